//! Completions: what the shells' scripts (`scripts/`) ask this program for at every TAB.
//!
//! What can follow is clap's to say; the names of accounts, identities and keys come from the key. It is asked
//! without a touch, a password or a word on stderr, and not for long: where it does not answer, nothing is completed.
//!
//! A line of the answer is `=VALUE`, in zsh and fish with a tab and a description behind it, or `files`, where the
//! shell completes the names of files.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{CommandFactory as _, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use keyfob_core::message::{self, Answer, Key, Op, Request};

use super::args::Cli;
use crate::front::{self, Agent};
use crate::paths::Paths;
use crate::policy::Caller;
use crate::prompt::printable;

/// How long the key is waited for: another program may hold it, for a touch perhaps.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shells that ask at every TAB. Others have scripts that know the words of the command line alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dialect {
    Bash,
    Zsh,
    Fish,
}

impl Dialect {
    /// The dialect of a shell, if it has one.
    pub(super) fn of(shell: clap_complete::Shell) -> Option<Self> {
        match shell {
            clap_complete::Shell::Bash => Some(Self::Bash),
            clap_complete::Shell::Zsh => Some(Self::Zsh),
            clap_complete::Shell::Fish => Some(Self::Fish),
            _ => None,
        }
    }

    /// The script to be put where the shell looks for it.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("scripts/keyfob.bash"),
            Self::Zsh => include_str!("scripts/keyfob.zsh"),
            Self::Fish => include_str!("scripts/keyfob.fish"),
        }
    }
}

/// What names an argument takes: in clap's candidates these texts stand for them.
macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident $function:ident $mark:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Names { $($variant),+ }

        impl Names {
            const ALL: &[(&str, Self)] = &[$(($mark, Self::$variant)),+];
        }

        $($(#[$doc])*
        pub(super) fn $function() -> ArgValueCompleter {
            ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new($mark)])
        })+
    };
}

names! {
    /// Completes the names of accounts.
    Accounts accounts "\0accounts";
    /// Completes the access key ids of identities.
    Identities identities "\0identities";
    /// Completes what `--key` takes.
    Keys keys "\0keys";
    /// Completes the names of software keys, without `soft:`.
    SoftKeys soft_keys "\0soft-keys";
    /// Completes the names of AWS profiles.
    Profiles profiles "\0profiles";
    /// Completes the names of files, as the shell does it.
    Files files "\0files";
}

/// What can stand where the cursor is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Candidates {
    values: Vec<(String, Option<String>)>,
    files: bool,
}

/// Prints what can follow. `words` are, for bash, the command line up to the cursor as it was typed, and what readline
/// takes for the word; for the others the words up to the cursor, without quotes.
pub(super) fn run(dialect: Dialect, words: &[OsString]) {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (words, typed) = match (dialect, words.as_slice()) {
        (Dialect::Bash, [line, word]) => {
            let typed = bash::Typed::parse(line, word);
            (typed.words.clone(), Some(typed))
        }
        (Dialect::Bash, _) => return,
        _ => (words, None),
    };
    let candidates = candidates(words, names);
    let mut text = if candidates.files { "files\n".to_owned() } else { String::new() };
    for (value, help) in &candidates.values {
        // What would steer the terminal, or be two lines, is typed by whoever wants it.
        if printable(value) != *value {
            continue;
        }
        match (&typed, help) {
            (Some(typed), _) => match typed.reply(value) {
                Some(reply) => text += &format!("={reply}\n"),
                None => continue,
            },
            (None, Some(help)) => text += &format!("={value}\t{}\n", printable(help)),
            (None, None) => text += &format!("={value}\n"),
        }
    }
    // A shell that has gone away completes nothing.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// What can be the last of `words`; `names` gets the names for a chosen key.
fn candidates(words: Vec<String>, names: impl Fn(Names, Option<String>) -> Vec<String>) -> Candidates {
    let mut all = Candidates::default();
    let Some((index, word)) = words.len().checked_sub(1).zip(words.last().cloned()) else { return all };
    let key = chosen_key(words.get(1..index).unwrap_or_default());
    let words = words.into_iter().map(OsString::from).collect();
    let Ok(found) = complete(&mut Cli::command(), words, index, None) else { return all };
    let (mut options, mut named) = (Vec::new(), false);
    for candidate in found {
        let value = candidate.get_value().to_string_lossy();
        let mark = Names::ALL.iter().find_map(|(mark, kind)| Some((value.strip_suffix(mark)?, *kind)));
        match mark {
            Some((_, Names::Files)) => all.files = true,
            // What is before the mark is an option: `--key=`.
            Some((before, kind)) => {
                named = true;
                let names = names(kind, key.clone()).into_iter();
                all.values.extend(names.map(|name| (format!("{before}{name}"), None)));
            }
            None if candidate.is_hide_set() => {}
            None => {
                let help = candidate.get_help().map(ToString::to_string);
                let help = help.and_then(|help| help.lines().next().map(str::to_owned));
                let kind = if value.starts_with('-') { &mut options } else { &mut all.values };
                kind.push((value.into_owned(), help));
            }
        }
    }
    // Options are offered to whoever begins one, or where nothing else can stand.
    if word.starts_with('-') || (all.values.is_empty() && !all.files && !named) {
        all.values.append(&mut options);
    }
    all
}

/// The key that the words before the cursor choose.
fn chosen_key(words: &[String]) -> Option<String> {
    let mut key = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        key = match word.as_str() {
            "--" => return key,
            "--key" | "-k" => words.next().cloned(),
            word => match word.strip_prefix("--key=").or_else(|| word.strip_prefix("-k")) {
                Some(value) => Some(value.to_owned()),
                None => continue,
            },
        };
    }
    key
}

/// The names on the key, or none in time.
fn names(kind: Names, key: Option<String>) -> Vec<String> {
    let (sender, answer) = mpsc::channel();
    // Ends with the process, if the key holds it up.
    thread::spawn(move || sender.send(ask_names(kind, key)));
    answer.recv_timeout(PATIENCE).ok().flatten().unwrap_or_default()
}

fn ask_names(kind: Names, key: Option<String>) -> Option<Vec<String>> {
    let soft_keys = || -> Option<Vec<String>> {
        Some(front::soft_files().ok()?.list().ok()?.iter().map(ToString::to_string).collect())
    };
    Some(match kind {
        Names::Profiles => crate::profile::names(&front::env).ok()?,
        Names::Accounts => match ask(key, Op::Listing { codes: false, at: None })? {
            Answer::Listing { accounts } => accounts.into_iter().map(|account| account.name).collect(),
            _ => return None,
        },
        Names::Identities => match ask(key, Op::Identities {})? {
            Answer::Identities { identities, .. } => {
                let mut ids: Vec<_> = identities.into_iter().map(|identity| identity.access_key_id).collect();
                ids.sort();
                ids.dedup();
                ids
            }
            _ => return None,
        },
        Names::Keys => {
            let soft = soft_keys().unwrap_or_default().into_iter().map(|name| format!("soft:{name}"));
            let cards: Vec<Key> = match ask(None, Op::Keys {}) {
                Some(Answer::Keys { keys }) => keys,
                _ => Vec::new(),
            };
            let paths = Paths::resolve(front::env).ok();
            let names = paths.and_then(|paths| front::config(&paths).ok()).map(|config| config.keys);
            let names = names.unwrap_or_default().into_keys();
            let mut ids: Vec<String> = cards.into_iter().map(|key| key.id).chain(soft).chain(names).collect();
            ids.sort();
            ids.dedup();
            ids
        }
        Names::SoftKeys => soft_keys()?,
        Names::Files => Vec::new(),
    })
}

/// The answer of a key, if it gives one without a person.
fn ask(key: Option<String>, op: Op) -> Option<Answer> {
    let request = Request { v: message::VERSION, id: "complete".to_owned(), key, op };
    let desk = front::desk(Caller::CommandLine, Agent::Yes).ok()?;
    front::ask(&*desk, request, None, |_| ()).ok()
}

/// What was typed in bash, whose readline replaces less than the word: it breaks words at colons and other characters
/// (`COMP_WORDBREAKS`), and leaves the quoting to the completion.
mod bash {
    /// A command line up to the cursor.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Typed {
        /// Its words, without quotes; the last is the one at the cursor.
        pub(super) words: Vec<String>,
        /// How much of the last word, without quotes, readline lets stand.
        kept: usize,
        /// The quote that is open at the cursor.
        quote: Option<char>,
    }

    impl Typed {
        /// Reads `line` as bash does, expansions aside. `word` is what readline will replace, as it was typed.
        pub(super) fn parse(line: &str, word: &str) -> Self {
            let (words, start, quote) = split(line);
            let raw = line.get(start..).unwrap_or_default();
            let kept = match raw.strip_suffix(word) {
                Some(kept) => split(kept).0.last().map_or(0, String::len),
                // Readline took away the quotes; then it lets nothing stand.
                None => 0,
            };
            // Assignments before the command are none of its words.
            let is_assignment = |word: &&String| word.contains('=') && !word.starts_with('-');
            let assignments = words.iter().take_while(is_assignment).count();
            Self { words: words.into_iter().skip(assignments).collect(), kept, quote }
        }

        /// What readline is given for a value, quoted as the word is; none if the value is another one than what was
        /// begun. It matches no prefixes itself.
        pub(super) fn reply(&self, value: &str) -> Option<String> {
            let begun = self.words.last().map_or("", String::as_str);
            let rest = value.strip_prefix(begun).and_then(|_| value.get(self.kept..))?;
            let mut reply = String::new();
            for c in rest.chars() {
                match (self.quote, c) {
                    (Some('\''), '\'') => reply.push_str("'\\'"),
                    (Some('\''), _) => {}
                    // History knows no escape within quotes.
                    (Some(_), '!') => reply.push_str("\"\\"),
                    (Some(_), '"' | '$' | '`' | '\\') => reply.push('\\'),
                    (Some(_), _) => {}
                    (None, c) if c.is_alphanumeric() || "-_./:=@%+,".contains(c) => {}
                    (None, _) => reply.push('\\'),
                }
                reply.push(c);
                if (self.quote, c) == (Some('"'), '!') {
                    reply.push('"');
                }
            }
            Some(reply)
        }
    }

    /// The words of a line without their quotes, where the last begins in the line, and the quote that it ends in.
    fn split(line: &str) -> (Vec<String>, usize, Option<char>) {
        let (mut words, mut word, mut start, mut quote) = (Vec::new(), String::new(), 0, None);
        let mut is_word = false;
        let mut chars = line.char_indices();
        while let Some((at, c)) = chars.next() {
            if !is_word && quote.is_none() && !c.is_ascii_whitespace() {
                (is_word, start) = (true, at);
            }
            match (quote, c) {
                (None, c) if c.is_ascii_whitespace() => {
                    if is_word {
                        words.push(std::mem::take(&mut word));
                        is_word = false;
                    }
                }
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                (None, '\\') => word.extend(chars.next().map(|(_, c)| c)),
                (Some('"'), '\\') => match chars.next() {
                    Some((_, c @ ('"' | '$' | '`' | '\\'))) => word.push(c),
                    Some((_, c)) => word.extend(['\\', c]),
                    None => {}
                },
                (_, c) => word.push(c),
            }
        }
        if !is_word {
            start = line.len();
        }
        words.push(word);
        (words, start, quote)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn lines_are_read_as_bash_does() {
            #[track_caller]
            fn check(line: &str, words: &[&str], start: usize, quote: Option<char>) {
                let words = words.iter().map(|word| (*word).to_owned()).collect();
                assert_eq!(split(line), (words, start, quote), "{line}");
            }
            check("", &[""], 0, None);
            check("keyfob", &["keyfob"], 0, None);
            check("keyfob  code ", &["keyfob", "code", ""], 13, None);
            check(r"keyfob code My\ Ac", &["keyfob", "code", "My Ac"], 12, None);
            check(r#"k "a b\"c\d" 'e\f"#, &["k", r#"a b"c\d"#, r"e\f"], 13, Some('\''));
            check(r#"k AWS:"my a"#, &["k", "AWS:my a"], 2, Some('"'));
            check("k é\\", &["k", "é"], 2, None);
            check("k ''", &["k", ""], 2, None);
        }

        #[test]
        fn readline_gets_what_it_replaces() {
            /// `line` with the word that readline sees; the value; what it is given.
            #[track_caller]
            fn check(line: &str, word: &str, value: &str, reply: Option<&str>) {
                assert_eq!(Typed::parse(line, word).reply(value).as_deref(), reply, "{line} {word}");
            }
            check("keyfob code A", "A", "AWS:alice", Some("AWS:alice"));
            check("keyfob code AWS:a", "a", "AWS:alice", Some("alice"));
            check("keyfob code AWS:", "", "AWS:alice", Some("alice"));
            check("keyfob code AWS:b", "b", "AWS:alice", None);
            check("keyfob code AWS:alice@1", "@1", "AWS:alice@12", Some("@12"));
            check("keyfob code ", "", "My Account (1)", Some(r"My\ Account\ \(1\)"));
            check(r"keyfob code My\ A", r"My\ A", "My Account", Some(r"My\ Account"));
            check(r"keyfob code a:My\ A", r"My\ A", "a:My Account", Some(r"My\ Account"));
            check(r#"keyfob code "My A"#, "My A", "My A$c", Some(r"My A\$c"));
            check(r#"keyfob code "W"#, "W", "Wow!", Some(r#"Wow"\!""#));
            check(r#"keyfob code "AWS:al"#, "AWS:al", "AWS:alice", Some("AWS:alice"));
            check("keyfob code 'it", "it", "it's", Some(r"it'\''s"));
            check("keyfob --key=so", "so", "--key=soft:demo", Some("soft:demo"));
            check("X=1 keyfob co", "co", "code", Some("code"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_follow() {
        #[track_caller]
        fn check(line: &str, expected: &[&str]) {
            let words = std::iter::once("keyfob").chain(line.split(' ')).map(str::to_owned).collect();
            let names = |kind, key: Option<String>| vec![format!("{kind:?} of {}", key.unwrap_or_default())];
            let found = candidates(words, names);
            let mut values: Vec<_> = found.values.iter().map(|(value, _)| value.as_str()).collect();
            if found.files {
                values.push("FILES");
            }
            assert_eq!(values, expected, "{line}");
        }
        check("oath acc", &["access"]);
        check("code ", &["Accounts of "]);
        check("code one t", &["Accounts of "]);
        check("--key soft:a code x", &["Accounts of soft:a"]);
        check("-k1 -k2 oath delete ", &["Accounts of 2"]);
        check("oath verify --key=7 ", &["Accounts of 7"]);
        check("oath verify a 12", &[]);
        check("oath rename ", &["Accounts of "]);
        check("oath hmac ", &["Accounts of "]);
        check("--key ", &["Keys of "]);
        check("--key=so", &["--key=Keys of "]);
        check("aws delete AK", &["Identities of "]);
        check("presign --identity ", &["Identities of "]);
        check("soft delete ", &["SoftKeys of "]);
        check("oath import ", &["FILES"]);
        check("code --at ", &[]);
        check("oath add --algorithm ", &["sha1", "sha256", "sha512"]);
        check("browser --js", &["--json"]);
        check("hold", &[]);
        check("compl", &["completions"]);
    }

    #[test]
    fn the_chosen_key() {
        #[track_caller]
        fn check(words: &str, key: Option<&str>) {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(chosen_key(&words).as_deref(), key, "{words:?}");
        }
        check("code", None);
        check("--key 1 code", Some("1"));
        check("--key=1 code -k soft:x", Some("soft:x"));
        check("-k1 code", Some("1"));
        check("code -- --key 1", None);
        check("code --key", None);
    }
}
