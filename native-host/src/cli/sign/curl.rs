//! A request as a command line for curl, which a POSIX shell runs as it is.
//!
//! Its headers come by a here-document: what stands in a program's arguments, every user of the computer can read, and a
//! signature works for some minutes.

use keyfob_core::curl::{path, word};

/// What curl sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Data<'a> {
    /// No body.
    Nothing,
    /// Text that was typed.
    Text(&'a str),
    /// The content of the file.
    File(&'a str),
}

/// The command. `headers` are all that the request must have.
pub(super) fn command(method: &str, url: &str, headers: &[(String, String)], data: Data<'_>) -> String {
    // As the URL is signed: no dot segments resolved, no brackets expanded.
    let mut words = vec!["curl".to_owned(), "--path-as-is".to_owned(), "--globoff".to_owned()];
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), word(value)]);
    let is_folder = url.split('?').next().unwrap_or_default().ends_with('/');
    // It sends nothing by itself that tells the server that no body comes.
    let wants_length = matches!(method, "POST" | "PUT" | "PATCH");
    match (method, data) {
        ("GET", Data::Nothing) => {}
        ("HEAD", Data::Nothing) => words.push("--head".to_owned()),
        _ => option("--request", method),
    }
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), word(value)]);
    match data {
        Data::Nothing if wants_length => option("--data-raw", ""),
        Data::Nothing => {}
        Data::Text(text) => option("--data-raw", text),
        // It would put the file's name behind such a URL.
        Data::File(file) if is_folder => option("--data-binary", &format!("@{}", path(file))),
        // That does not lie in its memory as a whole.
        Data::File(file) => option("--upload-file", &path(file)),
    }
    option("--header", "@-");
    option("--url", url);
    let mut text = words.join(" ");
    text.push_str(" <<'HEADERS'\n");
    for (name, value) in headers {
        // What curl would leave out has a sign of its own.
        let value = if value.is_empty() { ";".to_owned() } else { format!(": {value}") };
        text.push_str(&format!("{name}{value}\n"));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        // Not the type of a form, which curl takes every body for.
        text.push_str("Content-Type:\n");
    }
    text.push_str("HEADERS\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_of_a_shell() {
        #[track_caller]
        fn check(method: &str, url: &str, data: Data<'_>, expected: &str) {
            let headers =
                [("x-amz-date".to_owned(), "20130524T000000Z".to_owned()), ("x-e".to_owned(), "".to_owned())];
            let expected = format!(
                "curl --path-as-is --globoff {expected} <<'HEADERS'\nx-amz-date: 20130524T000000Z\nx-e;\nContent-Type:\nHEADERS\n"
            );
            assert_eq!(command(method, url, &headers, data), expected);
        }
        check("GET", "https://h/", Data::Nothing, "--header @- --url https://h/");
        check("HEAD", "https://h/a", Data::Nothing, "--head --header @- --url https://h/a");
        check("DELETE", "https://h/a", Data::Nothing, "--request DELETE --header @- --url https://h/a");
        check(
            "POST",
            "https://h/a?b&c='",
            Data::Nothing,
            r"--request POST --data-raw '' --header @- --url 'https://h/a?b&c='\'''",
        );
        check(
            "PUT",
            "https://h/a/",
            Data::Text("it's $HOME `x`\n"),
            "--request PUT --data-raw 'it'\\''s $HOME `x`\n' --header @- --url https://h/a/",
        );
        check(
            "PUT",
            "https://h/a",
            Data::File("-"),
            "--request PUT --upload-file ./- --header @- --url https://h/a",
        );
        check(
            "PUT",
            "https://h/a/",
            Data::File("/tmp/a b"),
            "--request PUT --data-binary '@/tmp/a b' --header @- --url https://h/a/",
        );
        check(
            "GET",
            "https://h/a",
            Data::File("."),
            "--request GET --upload-file ./. --header @- --url https://h/a",
        );
    }

    #[test]
    fn a_signed_type_stays() {
        let headers = [("Content-Type".to_owned(), "text/plain".to_owned())];
        let text = command("POST", "https://h/", &headers, Data::Text("a"));
        assert!(text.ends_with("<<'HEADERS'\nContent-Type: text/plain\nHEADERS\n"), "{text}");
    }
}
