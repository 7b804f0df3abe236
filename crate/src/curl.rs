//! Text as curl and the shells that run it read it.
//!
//! What stands in a program's arguments, every user of the computer can read: what is secret (a link, a signature) goes to curl
//! by a here-document.

use alloc::string::String;

/// The command that uploads `file` by a presigned link, as a POSIX shell runs it. A `content_type` is sent with it: one that is
/// signed has to be.
#[must_use]
pub fn upload(url: &str, content_type: Option<&str>, file: &str) -> String {
    // As the URL is signed: no dot segments resolved, no brackets expanded.
    let mut command = String::from("curl --fail-with-body --path-as-is --globoff ");
    // It would put the file's name behind a path that ends so.
    let is_folder = url.split('?').next().is_some_and(|path| path.ends_with('/'));
    let file = path(file);
    let words = match is_folder {
        true => ["--request PUT --data-binary ", &word(&["@", &file].concat())],
        false => ["--upload-file ", &word(&file)],
    };
    command.extend(words);
    command.push_str(" --config - <<'END'\n");
    let mut option = |name, value: &str| command.extend([name, " = ", &value_of_config(value), "\n"]);
    option("url", url);
    match content_type {
        Some(kind) => option("header", &["Content-Type: ", kind].concat()),
        // Not the type of a form, which curl takes such a body for.
        None if is_folder => option("header", "Content-Type:"),
        None => {}
    }
    command.push_str("END\n");
    command
}

/// Text as a shell takes it for one word, whatever is in it.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.into();
    }
    ["'", &text.replace('\'', r"'\''"), "'"].concat()
}

/// A value as curl's configuration has it: in one line.
#[must_use]
pub fn value_of_config(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A file's name that is neither stdin nor an option.
#[must_use]
pub fn path(file: &str) -> String {
    if file.starts_with(['/', '.']) && file != "." { file.into() } else { ["./", file].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads() {
        #[track_caller]
        fn check(url: &str, content_type: Option<&str>, file: &str, expected: &str) {
            assert_eq!(
                upload(url, content_type, file),
                format!("curl --fail-with-body --path-as-is --globoff {expected}END\n")
            );
        }
        check(
            "https://h/a?X=1",
            None,
            "a.txt",
            "--upload-file ./a.txt --config - <<'END'\nurl = \"https://h/a?X=1\"\n",
        );
        check(
            "https://h/a",
            Some("text/plain; charset=\"utf-8\""),
            "it's",
            "--upload-file './it'\\''s' --config - <<'END'\nurl = \"https://h/a\"\n\
             header = \"Content-Type: text/plain; charset=\\\"utf-8\\\"\"\n",
        );
        check(
            "https://h/a/?X=1/",
            None,
            "-",
            "--request PUT --data-binary @./- --config - <<'END'\nurl = \"https://h/a/?X=1/\"\nheader = \"Content-Type:\"\n",
        );
    }

    #[test]
    fn words_of_a_shell() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(word(text), expected);
        }
        check("", "''");
        check("a-b_./:@%+=,1", "a-b_./:@%+=,1");
        check("a b", "'a b'");
        check("$x`y`!\n", "'$x`y`!\n'");
        check("'", r"''\'''");
    }

    #[test]
    fn values_of_a_configuration() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(value_of_config(text), expected);
        }
        check("a b", r#""a b""#);
        check("END\n$(x) `y` \"z\" \\", r#""END\n$(x) `y` \"z\" \\""#);
        check("\r\t\u{b}ü", r#""\r\t\vü""#);
    }
}
