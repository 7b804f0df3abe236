//! `code --watch`: all accounts and their codes as they change; those that want a touch when they are asked for.
//!
//! The host is asked in a thread of its own, so that time goes on while the key waits for a touch. It must not use the
//! terminal: prompts and passwords are shown and asked for here.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Once;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    self, Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use keyfob_core::message::{Account, AccountKind, Answer, Code, ErrorCode, Event, Failure, Key, KeyKind, Op};

use super::clip;
use crate::error::failure;
use crate::front;
use crate::prompt::{self, printable};
use crate::service::unix_time;
use crate::touch;

/// How often the key is looked at, so that what others add to it is seen, and that it is there.
const LOOK: Duration = Duration::from_secs(3);
/// How often while there is none, and how soon again after a code has run out.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a pressed key, or an answer, may wait.
const TICK: Duration = Duration::from_millis(100);
/// How often a password may be wrong before the view begins.
const ATTEMPTS: usize = 3;
const LOOK_AT_ALL: Op = Op::Accounts { codes: true, at: None };
/// Width of a bar.
const BAR: u64 = 10;

/// Shows the view until the person leaves it. `connect` is run in a thread of its own and gives what asks the host:
/// it gets the key, none for the chosen one, an operation, and a taker of its progress events.
///
/// # Errors
/// If there is no terminal, or the key cannot be asked at all; one that is not plugged in is waited for.
pub(super) fn run<A>(connect: impl FnOnce() -> Result<A, Failure> + Send + 'static) -> Result<(), Failure>
where
    A: FnMut(Option<String>, Op, &mut dyn FnMut(Event)) -> Result<Answer, Failure>,
{
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(failure(
            ErrorCode::InvalidInput,
            "a live view wants a terminal",
            "leave --watch away: the codes are then printed once",
        ));
    }
    let mut host = Host::start(connect)?;
    let mut view = View { plain: !is_utf8(), ..View::default() };
    first_look(&mut host, &mut view)?;
    let broken = |error: io::Error| failure(ErrorCode::Io, format!("the terminal: {error}"), "");
    let mut screen = Screen::enter().map_err(broken)?;
    let mut looked = Instant::now();
    // What the key is about to do, and when that is worth telling.
    let mut progress = None;
    loop {
        while let Some(news) = host.news()? {
            match news {
                News::Event(Event::TouchRequired { prompt, maybe }) => {
                    let delay = if maybe { touch::UNCERTAIN } else { Duration::ZERO };
                    view.progress = None;
                    progress = Some((Instant::now() + delay, format!("Touch your key: {prompt}")));
                }
                News::Event(Event::Waiting { why }) => {
                    view.progress = None;
                    progress = Some((Instant::now(), format!("Waiting: {why}")));
                }
                News::Event(_) => {}
                News::Answer(result) => {
                    looked = Instant::now();
                    progress = None;
                    view.take(host.asked.take(), result);
                }
            }
        }
        if let Some((_, text)) = progress.take_if(|(when, _)| *when <= Instant::now()) {
            view.progress = Some(text);
        }
        let now = unix_time();
        if host.asked.is_none() && looked.elapsed() >= view.pause(now) {
            host.ask(Asked::Accounts, None, LOOK_AT_ALL);
        }
        view.asked = match &host.asked {
            Some(Asked::Code(account)) => Some(account.clone()),
            _ => None,
        };
        screen.draw(&view, now).map_err(broken)?;
        if !event::poll(TICK).map_err(broken)? {
            continue;
        }
        let pressed = match event::read().map_err(broken)? {
            event::Event::Key(key) => view.press(key, now),
            event::Event::Resize(..) => {
                screen.shown.clear();
                None
            }
            _ => None,
        };
        match pressed {
            // The host is in the middle of something perhaps; it ends with the process.
            Some(Wish::Quit) => return Ok(()),
            Some(Wish::Copy(code)) => view.trouble = clip::copy(&code).err(),
            // One question at a time: the key answers no more.
            Some(_) if host.asked.is_some() => {}
            Some(Wish::Ask(account)) => {
                view.trouble = None;
                let op =
                    Op::Code { account: account.clone(), at: None, purpose: None, fresh: false, next: false };
                host.ask(Asked::Code(account), None, op);
            }
            Some(Wish::Unlock) => {
                drop(screen);
                let unlock = unlock(view.absent.as_ref());
                screen = Screen::enter().map_err(broken)?;
                match unlock {
                    Ok((key, op)) => host.ask(Asked::Unlock, key, op),
                    Err(failure) => view.trouble = Some(failure),
                }
            }
            None => {}
        }
    }
}

/// Before the view begins: what only a person can change is said, or asked for, without it.
fn first_look(host: &mut Host, view: &mut View) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        let result = host.wait(Asked::Accounts, None, LOOK_AT_ALL)?;
        match &result {
            Err(failure) if failure.code == ErrorCode::Locked && attempts < ATTEMPTS => {
                attempts += 1;
                let (key, op) = unlock(Some(failure))?;
                match host.wait(Asked::Unlock, key, op)? {
                    // Wrong, or too soon after a wrong one.
                    Err(failure) if attempts < ATTEMPTS => super::output::note(false, &failure.message),
                    Err(failure) => return Err(failure),
                    Ok(_) => {}
                }
                continue;
            }
            Err(failure) if !is_absence(failure.code) && failure.code != ErrorCode::Busy => {
                return Err(failure.clone());
            }
            _ => view.take(Some(Asked::Accounts), result),
        }
        return Ok(());
    }
}

/// There is no key, for now.
fn is_absence(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NoKey | ErrorCode::KeyRemoved | ErrorCode::NoPcsc)
}

/// What unlocks the key, and which it is; the password is asked for on the terminal.
fn unlock(locked: Option<&Failure>) -> Result<(Option<String>, Op), Failure> {
    let wants = locked.and_then(|failure| failure.wants.as_deref());
    let what = wants.map_or("the password of the key", |wants| &wants.what);
    let secret = prompt::typed_secret(what).map_err(|error| front::prompt_failure(&error))?;
    let password = super::client::text_as_it_is(&secret, what)?;
    Ok((wants.map(|wants| wants.key.clone()), Op::Unlock { password }))
}

/// Whether the terminal shows more than ASCII.
fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(front::env).find(|v| !v.is_empty());
    let locale = locale.unwrap_or_default().to_string_lossy().to_ascii_lowercase().replace('-', "");
    cfg!(any(windows, target_os = "macos")) || locale.contains("utf8")
}

/// A question that is not answered yet.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Accounts,
    Code(String),
    Unlock,
}

enum News {
    Event(Event),
    Answer(Result<Answer, Failure>),
}

/// The thread that asks the host.
struct Host {
    questions: Sender<(Option<String>, Op)>,
    news: Receiver<News>,
    asked: Option<Asked>,
}

impl Host {
    fn start<A>(connect: impl FnOnce() -> Result<A, Failure> + Send + 'static) -> Result<Self, Failure>
    where
        A: FnMut(Option<String>, Op, &mut dyn FnMut(Event)) -> Result<Answer, Failure>,
    {
        let (questions, asked) = mpsc::channel::<(Option<String>, Op)>();
        let (sender, news) = mpsc::channel();
        thread::Builder::new()
            .name("host".to_owned())
            .spawn(move || {
                let mut host = match connect() {
                    Ok(host) => host,
                    // Nobody listens any more where a send fails: the view was left.
                    Err(failure) => return drop(sender.send(News::Answer(Err(failure)))),
                };
                for (key, op) in asked {
                    let result = host(key, op, &mut |event| drop(sender.send(News::Event(event))));
                    if sender.send(News::Answer(result)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| failure(ErrorCode::Internal, error, ""))?;
        Ok(Self { questions, news, asked: None })
    }

    fn ask(&mut self, asked: Asked, key: Option<String>, op: Op) {
        self.asked = Some(asked);
        // A thread that has ended is noticed where its news are read.
        let _ = self.questions.send((key, op));
    }

    /// Asks and waits.
    fn wait(
        &mut self,
        asked: Asked,
        key: Option<String>,
        op: Op,
    ) -> Result<Result<Answer, Failure>, Failure> {
        self.ask(asked, key, op);
        loop {
            match self.news.recv() {
                Ok(News::Answer(result)) => {
                    self.asked = None;
                    return Ok(result);
                }
                Ok(News::Event(_)) => {}
                Err(_) => return Err(ended()),
            }
        }
    }

    fn news(&self) -> Result<Option<News>, Failure> {
        match self.news.try_recv() {
            Ok(news) => Ok(Some(news)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(ended()),
        }
    }
}

fn ended() -> Failure {
    failure(ErrorCode::Internal, "what asks the key has ended", "please report this")
}

/// What the person wants.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    /// The code of an account.
    Ask(String),
    /// A code on the clipboard.
    Copy(String),
    Unlock,
}

/// A line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    text: String,
    chosen: bool,
}

impl From<String> for Row {
    fn from(text: String) -> Self {
        Self { text, chosen: false }
    }
}

/// What is known, and what is shown of it.
#[derive(Debug, Default)]
struct View {
    key: Option<Key>,
    accounts: Vec<Account>,
    /// Codes that were asked for, by account.
    given: BTreeMap<String, Code>,
    /// The account that is chosen: its place.
    chosen: usize,
    /// The number that is being typed.
    number: usize,
    /// The account whose code is being asked for.
    asked: Option<String>,
    /// What the key waits for.
    progress: Option<String>,
    /// Why the key could not be looked at.
    absent: Option<Failure>,
    /// Why what was asked for did not come; stands until something else is asked for.
    trouble: Option<Failure>,
    /// ASCII only.
    plain: bool,
}

impl View {
    /// Takes an answer.
    fn take(&mut self, asked: Option<Asked>, result: Result<Answer, Failure>) {
        self.progress = None;
        match result {
            Ok(Answer::Accounts { key, accounts }) => {
                let name = self.accounts.get(self.chosen).map(|account| account.name.clone());
                if self.key.as_ref().map(|key| &key.id) != Some(&key.id) {
                    self.given.clear();
                }
                self.absent = None;
                self.key = Some(key);
                self.accounts = accounts;
                self.given.retain(|name, _| self.accounts.iter().any(|account| account.name == *name));
                // The chosen one stays chosen where others come and go.
                let place = self.accounts.iter().position(|account| Some(&account.name) == name.as_ref());
                self.chosen = place.unwrap_or(self.chosen).min(self.accounts.len().saturating_sub(1));
            }
            Ok(Answer::Code { account, code }) => {
                self.trouble = None;
                self.given.insert(account, code);
            }
            Ok(_) => self.trouble = None,
            Err(failure) if asked == Some(Asked::Accounts) || is_absence(failure.code) => {
                // Others have it for a moment; what is shown is right until it runs out.
                if failure.code != ErrorCode::Busy {
                    self.key = None;
                    self.accounts.clear();
                    self.given.clear();
                }
                self.absent = Some(failure);
            }
            Err(failure) => self.trouble = Some(failure),
        }
    }

    /// How long after the last answer the key is asked again.
    fn pause(&self, now: u64) -> Duration {
        let has_run_out = |account: &Account| {
            account.code.as_ref().and_then(|code| code.valid_until).is_some_and(|until| until <= now)
        };
        if self.key.is_none() || self.accounts.iter().any(has_run_out) { LOOK_AGAIN } else { LOOK }
    }

    /// The code of an account that is right now.
    fn code<'a>(&'a self, account: &'a Account, now: u64) -> Option<&'a Code> {
        let code = account.code.as_ref().or_else(|| self.given.get(&account.name))?;
        code.valid_until.is_none_or(|until| until > now).then_some(code)
    }

    fn press(&mut self, key: KeyEvent, now: u64) -> Option<Wish> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let last = self.accounts.len().saturating_sub(1);
        let chosen = self.accounts.get(self.chosen);
        let number = std::mem::take(&mut self.number);
        match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Some(Wish::Quit);
            }
            KeyCode::Char('q') | KeyCode::Esc => return Some(Wish::Quit),
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.chosen = self.chosen.saturating_add(1).min(last),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = last,
            KeyCode::Char(c @ '0'..='9') => {
                let digit = usize::try_from(u32::from(c) - u32::from('0')).unwrap_or(0);
                let longer = number.saturating_mul(10).saturating_add(digit);
                self.number = if longer > self.accounts.len() { digit } else { longer };
                if (1..=self.accounts.len()).contains(&self.number) {
                    self.chosen = self.number - 1;
                }
            }
            KeyCode::Enter | KeyCode::Char(' ') => {
                let account = chosen?;
                // A time-based code that is there is the same one.
                if account.kind == AccountKind::Hotp || self.code(account, now).is_none() {
                    return Some(Wish::Ask(account.name.clone()));
                }
            }
            KeyCode::Char('c') => {
                return chosen.and_then(|a| self.code(a, now)).map(|code| Wish::Copy(code.value.clone()));
            }
            KeyCode::Char('u') if self.is_locked() => return Some(Wish::Unlock),
            _ => {}
        }
        None
    }

    fn is_locked(&self) -> bool {
        self.absent.as_ref().is_some_and(|failure| failure.code == ErrorCode::Locked)
    }

    /// The screen at a time, of a terminal of that size.
    fn rows(&self, now: u64, columns: usize, lines: usize) -> Vec<Row> {
        // Title, status and help, with an empty line each; a small terminal has none of them.
        let frame = if lines > 8 { 6 } else { 1 };
        let room = lines.saturating_sub(frame).max(1);
        let mut rows = Vec::new();
        if frame > 1 {
            rows.push(self.title().into());
            rows.push(String::new().into());
        }
        let above = self.chosen.saturating_sub(room.saturating_sub(1));
        let digits = self.accounts.len().to_string().len();
        let width = |account: &Account| printable(&account.name).chars().count();
        // Marker, number, code, bar and seconds stand beside the name.
        let beside = 2 + digits + 1 + 2 + 8 + 2 + 10 + 6 + 6;
        let longest = self.accounts.iter().map(width).max().unwrap_or(0);
        let wide = longest.min(columns.saturating_sub(beside).max(10));
        for (place, account) in self.accounts.iter().enumerate().skip(above).take(room) {
            let chosen = place == self.chosen;
            let mark = if chosen { '>' } else { ' ' };
            let name = shortened(&printable(&account.name), wide);
            let text = format!("{mark} {:>digits$} {name:<wide$}  {}", place + 1, self.state(account, now));
            let text = text.trim_end().chars().take(columns).collect();
            rows.push(Row { text, chosen });
        }
        if frame > 1 {
            rows.push(String::new().into());
        }
        rows.push(self.status().chars().take(columns).collect::<String>().into());
        if frame > 1 {
            let help = "Up, Down or number: choose · Enter: ask for its code · c: copy it · q: quit";
            let help = if self.plain { help.replace('·', "-") } else { help.to_owned() };
            rows.push(String::new().into());
            rows.push(help.chars().take(columns).collect::<String>().into());
        }
        rows
    }

    fn title(&self) -> String {
        match &self.key {
            Some(key) => {
                let kind = if key.kind == KeyKind::Software { "Software key " } else { "Key " };
                format!("{kind}{} ({})", printable(&key.id), printable(&key.label))
            }
            None => "No key".to_owned(),
        }
    }

    /// An account's code and how long it lasts, or how to get it.
    fn state(&self, account: &Account, now: u64) -> String {
        let Some(code) = self.code(account, now) else {
            return match (account.kind, account.touch) {
                _ if self.asked.as_ref() == Some(&account.name) => "...".to_owned(),
                (AccountKind::Hotp, _) => "Enter: the next code".to_owned(),
                (_, Some(true)) => "Enter, and a touch".to_owned(),
                _ => String::new(),
            };
        };
        let Some(until) = code.valid_until else { return code.value.clone() };
        let left = until.saturating_sub(now);
        let period = u64::from(account.period).max(1);
        // Full at the beginning, and never empty before the end.
        let full = left.saturating_mul(BAR).div_ceil(period).min(BAR);
        let (on, off) = if self.plain { ("#", ".") } else { ("█", "░") };
        let times = |text: &str, n: u64| text.repeat(usize::try_from(n).unwrap_or(0));
        // AWS takes no code twice.
        let used = if code.submitted { "  used" } else { "" };
        format!("{:<8}  {}{} {left:>3} s{used}", code.value, times(on, full), times(off, BAR - full))
    }

    fn status(&self) -> String {
        let said = |failure: &Failure| match &failure.hint {
            Some(hint) => format!("{}: {hint}", failure.message),
            None => failure.message.clone(),
        };
        let text = match (&self.progress, &self.asked, &self.absent, &self.trouble) {
            (Some(progress), ..) => progress.clone(),
            (_, Some(account), ..) => format!("Asking for the code of {account}"),
            (_, _, Some(absent), trouble) if self.is_locked() => {
                let wrong = trouble.as_ref().filter(|failure| failure.code == ErrorCode::WrongPassword);
                format!("{}: press u to unlock it", wrong.unwrap_or(absent).message)
            }
            (_, _, Some(absent), _) => match absent.code {
                ErrorCode::NoPcsc => format!("Plug in the key. ({})", absent.message),
                code if is_absence(code) => "Plug in the key.".to_owned(),
                _ => said(absent),
            },
            (_, _, _, Some(trouble)) => said(trouble),
            _ if self.accounts.is_empty() => {
                "There are no accounts on this key. `keyfob oath add` puts one there.".to_owned()
            }
            _ => String::new(),
        };
        printable(&text).into_owned()
    }
}

/// A name cut to a width, the cut marked.
fn shortened(name: &str, wide: usize) -> String {
    if name.chars().count() <= wide {
        return name.to_owned();
    }
    name.chars().take(wide.saturating_sub(1)).chain(['~']).collect()
}

/// The terminal while the view has it; given back when dropped, and when the program panics.
struct Screen {
    /// What stands there.
    shown: Vec<Row>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let others = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                others(info);
            }));
        });
        terminal::enable_raw_mode()?;
        // From here on it is given back.
        let screen = Self { shown: Vec::new() };
        execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    fn draw(&mut self, view: &View, now: u64) -> io::Result<()> {
        let (columns, lines) = terminal::size()?;
        let rows = view.rows(now, columns.into(), lines.into());
        if rows == self.shown {
            return Ok(());
        }
        // All of it at once: nothing flickers.
        let mut out = Vec::new();
        for (line, row) in (0..lines).zip(&rows) {
            queue!(out, MoveTo(0, line))?;
            if row.chosen {
                queue!(
                    out,
                    SetAttribute(Attribute::Reverse),
                    Print(&row.text),
                    SetAttribute(Attribute::Reset)
                )?;
            } else {
                queue!(out, Print(&row.text))?;
            }
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        if u16::try_from(rows.len()).is_ok_and(|end| end < lines) {
            queue!(out, MoveTo(0, u16::try_from(rows.len()).unwrap_or(0)), Clear(ClearType::FromCursorDown))?;
        }
        self.shown = rows;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. One that is gone needs nothing.
fn restore() {
    let _ = execute!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> Key {
        serde_json::from_value(serde_json::json!({
            "id": id, "kind": "smart-card", "label": "Reader", "version": "5.7.1", "locked": false,
        }))
        .unwrap()
    }

    fn account(name: &str, kind: &str, touch: Option<bool>, code: Option<(&str, u64)>) -> Account {
        let period = if kind == "totp" { 30 } else { 0 };
        let code = code.map(|(value, until)| serde_json::json!({ "value": value, "valid_until": until }));
        serde_json::from_value(serde_json::json!({
            "name": name, "kind": kind, "period": period, "touch": touch, "code": code,
        }))
        .unwrap()
    }

    fn view() -> View {
        let accounts = vec![
            account("AWS:alice", "totp", Some(false), Some(("123456", 120))),
            account("Touchy", "totp", Some(true), None),
            account("Counter", "hotp", None, None),
        ];
        let mut view = View { plain: true, ..View::default() };
        view.take(Some(Asked::Accounts), Ok(Answer::Accounts { key: key("1"), accounts }));
        view
    }

    fn lines(view: &View, now: u64, columns: usize, lines: usize) -> String {
        let rows: Vec<_> = view.rows(now, columns, lines).into_iter().map(|row| row.text).collect();
        assert!(
            rows.len() <= lines.max(2) && rows.iter().all(|row| row.chars().count() <= columns),
            "{rows:?}"
        );
        rows.join("\n")
    }

    fn press(view: &mut View, code: KeyCode, now: u64) -> Option<Wish> {
        view.press(KeyEvent::new(code, KeyModifiers::NONE), now)
    }

    const HELP: &str = "Up, Down or number: choose - Enter: ask for its code - c: copy it - q: quit";

    #[test]
    fn the_view_at_a_time() {
        let view = view();
        let expected = |state: &str| {
            format!(
                "Key 1 (Reader)\n\n> 1 AWS:alice  {state}\n  2 Touchy     Enter, and a touch\n  \
                 3 Counter    Enter: the next code\n\n\n\n{HELP}"
            )
        };
        #[track_caller]
        fn check(view: &View, now: u64, expected: &str) {
            assert_eq!(lines(view, now, 80, 24), expected);
        }
        check(&view, 90, &expected("123456    ##########  30 s"));
        check(&view, 93, &expected("123456    #########.  27 s"));
        check(&view, 119, &expected("123456    #.........   1 s"));
        let mut used = self::view();
        if let Some(code) = &mut used.accounts[0].code {
            code.submitted = true;
        }
        check(&used, 90, &expected("123456    ##########  30 s  used"));
        // What has run out is not shown.
        check(&view, 120, expected("").replace("alice  \n", "alice\n").as_str());
        assert_eq!((view.pause(119), view.pause(120)), (LOOK, LOOK_AGAIN));
    }

    #[test]
    fn it_fits_every_terminal() {
        let mut view = view();
        let many = (0..40).map(|i| account(&format!("An account with a long name {i}"), "totp", None, None));
        view.take(None, Ok(Answer::Accounts { key: key("1"), accounts: many.collect() }));
        for chosen in [0, 20, 39] {
            view.chosen = chosen;
            for (columns, height) in [(80, 24), (20, 5), (1, 1), (200, 9), (40, 8)] {
                let text = lines(&view, 0, columns, height);
                if columns > 1 {
                    assert!(text.contains(&format!("> {:>2} ", chosen + 1)), "{columns}×{height}: {text}");
                }
            }
        }
        let narrow = lines(&view, 0, 50, 24);
        assert!(narrow.contains("> 40 An account~"), "{narrow}");
    }

    #[test]
    fn a_person_chooses_and_asks() {
        let mut view = view();
        let now = 100;
        assert_eq!(press(&mut view, KeyCode::Enter, now), None, "its code is there");
        assert_eq!(press(&mut view, KeyCode::Char('c'), now), Some(Wish::Copy("123456".to_owned())));
        assert_eq!(press(&mut view, KeyCode::Down, now), None);
        assert_eq!(press(&mut view, KeyCode::Enter, now), Some(Wish::Ask("Touchy".to_owned())));
        assert_eq!(press(&mut view, KeyCode::Char('c'), now), None);
        view.progress = Some("Touch your key: keyfob asks\u{1b}".to_owned());
        assert!(lines(&view, now, 80, 24).contains("Touch your key: keyfob asks\u{fffd}"));
        let code = Code {
            value: "654321".to_owned(),
            valid_from: Some(90),
            valid_until: Some(120),
            submitted: false,
        };
        view.take(
            Some(Asked::Code("Touchy".to_owned())),
            Ok(Answer::Code { account: "Touchy".to_owned(), code }),
        );
        assert!(lines(&view, now, 80, 24).contains("> 2 Touchy     654321    #######...  20 s"));
        assert!(lines(&view, 120, 80, 24).contains("> 2 Touchy     Enter, and a touch"));
        for (pressed, chosen) in
            [('3', 2), ('1', 0), ('9', 0), ('2', 1), ('0', 1), ('j', 2), ('j', 2), ('k', 1)]
        {
            press(&mut view, KeyCode::Char(pressed), now);
            assert_eq!(view.chosen, chosen, "{pressed}");
        }
        // A counter's code stays, and the next one can be asked for.
        view.chosen = 2;
        let code = Code { value: "755224".to_owned(), valid_from: None, valid_until: None, submitted: false };
        view.take(None, Ok(Answer::Code { account: "Counter".to_owned(), code }));
        assert!(lines(&view, now, 80, 24).contains("> 3 Counter    755224"));
        assert_eq!(press(&mut view, KeyCode::Enter, now), Some(Wish::Ask("Counter".to_owned())));
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(press(&mut view, code, now), Some(Wish::Quit));
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt, now), Some(Wish::Quit));
    }

    #[test]
    fn a_two_digit_number_chooses() {
        let mut view = view();
        let accounts = (0..12).map(|i| account(&i.to_string(), "totp", None, None)).collect();
        view.take(None, Ok(Answer::Accounts { key: key("1"), accounts }));
        for (pressed, chosen) in [('1', 0), ('2', 11), ('3', 2), ('0', 2), ('1', 0), ('1', 10)] {
            press(&mut view, KeyCode::Char(pressed), 0);
            assert_eq!(view.chosen, chosen, "{pressed}");
        }
    }

    #[test]
    fn keys_and_accounts_come_and_go() {
        let mut view = view();
        view.chosen = 1;
        let code = Code {
            value: "654321".to_owned(),
            valid_from: Some(90),
            valid_until: Some(120),
            submitted: false,
        };
        view.take(None, Ok(Answer::Code { account: "Touchy".to_owned(), code }));
        // The chosen one moved; its code is still there.
        let accounts = || {
            vec![
                account("A new one", "totp", Some(true), None),
                account("AWS:alice", "totp", Some(false), Some(("123456", 120))),
                account("Touchy", "totp", Some(true), None),
            ]
        };
        view.take(Some(Asked::Accounts), Ok(Answer::Accounts { key: key("1"), accounts: accounts() }));
        assert!(lines(&view, 100, 80, 24).contains("> 3 Touchy     654321"));
        // A code that did not come is said until another is asked for.
        view.take(
            Some(Asked::Code("Touchy".to_owned())),
            Err(failure(ErrorCode::TouchTimeout, "the key was not touched", "try again")),
        );
        view.take(Some(Asked::Accounts), Ok(Answer::Accounts { key: key("1"), accounts: accounts() }));
        assert!(lines(&view, 100, 80, 24).contains("the key was not touched: try again"));
        // Pulled out, and nothing of it is left.
        view.take(Some(Asked::Accounts), Err(failure(ErrorCode::KeyRemoved, "gone", "")));
        assert_eq!(lines(&view, 100, 80, 24), format!("No key\n\n\nPlug in the key.\n\n{HELP}"));
        assert_eq!(view.pause(100), LOOK_AGAIN);
        // Another one.
        view.take(Some(Asked::Accounts), Ok(Answer::Accounts { key: key("2"), accounts: accounts() }));
        let text = lines(&view, 100, 80, 24);
        assert!(text.starts_with("Key 2 (Reader)\n") && !text.contains("654321"), "{text}");
        assert!(!text.contains("Plug in"), "{text}");
        // Another program has it.
        view.take(Some(Asked::Accounts), Err(failure(ErrorCode::Busy, "scdaemon holds the key", "")));
        let text = lines(&view, 100, 80, 24);
        assert!(text.contains("123456") && text.contains("scdaemon holds the key"), "{text}");
        // Locked meanwhile.
        assert_eq!(press(&mut view, KeyCode::Char('u'), 100), None);
        view.take(Some(Asked::Accounts), Err(failure(ErrorCode::Locked, "the key is locked", "")));
        assert!(lines(&view, 100, 80, 24).contains("the key is locked: press u to unlock it"));
        assert_eq!(press(&mut view, KeyCode::Char('u'), 100), Some(Wish::Unlock));
        view.take(Some(Asked::Unlock), Err(failure(ErrorCode::WrongPassword, "wrong password", "")));
        assert!(lines(&view, 100, 80, 24).contains("wrong password: press u to unlock it"));
        assert_eq!(press(&mut view, KeyCode::Char('u'), 100), Some(Wish::Unlock));
    }
}
