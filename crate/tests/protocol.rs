//! `docs/protocol.md` says what `message.rs` does.

use keyfob_core::message::{ErrorCode, Reply, Request};

const DOCUMENT: &str = "../docs/protocol.md";
const MARK: &str = "<!-- error codes -->";

/// The fenced blocks that are marked as `kind`.
fn blocks<'a>(document: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```json {kind}\n");
    document.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_examples_are_messages() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let requests = blocks(&document, "request");
    assert!(requests.len() >= 4);
    for block in requests {
        serde_json::from_str::<Request>(block).unwrap_or_else(|error| panic!("{error} in {block}"));
    }
    let replies = blocks(&document, "reply");
    assert!(replies.len() >= 4);
    for block in replies {
        let reply: Reply = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error} in {block}"));
        let again: serde_json::Value = serde_json::to_value(&reply).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(block).unwrap(), "a field is not known");
    }
}

#[test]
fn every_error_code_is_listed() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, after) = document.split_once(MARK).unwrap();
    let rest = &after[after.find("\n## ").unwrap()..];
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| format!("`{}`", code.as_str())).collect();
    let fresh = format!("{before}{MARK}\n{}.\n{rest}", codes.join(", "));
    if std::env::var_os("KEYFOB_UPDATE").is_some() {
        std::fs::write(DOCUMENT, &fresh).unwrap();
    }
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    assert_eq!(document, fresh, "stale: KEYFOB_UPDATE=1 cargo test -p keyfob-core");
}
