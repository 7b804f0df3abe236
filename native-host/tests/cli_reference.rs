//! `docs/cli.md` is what the program says of itself.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

const DOCUMENT: &str = "../docs/cli.md";

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_keyfob"))
        .args(words)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let listed =
        help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|&name| name != "help")
        .map(str::to_owned)
        .collect()
}

fn describe(words: &[&str], document: &mut String) {
    let text = help(words);
    *document += &format!("\n## keyfob {}\n\n```text\n{}\n```\n", words.join(" "), text.trim_end())
        .replace("keyfob \n", "keyfob\n");
    for name in subcommands(&text) {
        describe(&[words, &[name.as_str()]].concat(), document);
    }
}

#[test]
fn the_reference_is_current() {
    let mut fresh =
        "# The command line\n\nWritten by the program itself: `KEYFOB_UPDATE=1 cargo test -p keyfob`.\n"
            .to_owned();
    describe(&[], &mut fresh);
    assert!(fresh.contains("## keyfob oath add"));
    if std::env::var_os("KEYFOB_UPDATE").is_some() {
        std::fs::write(DOCUMENT, &fresh).unwrap();
    }
    let document = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert_eq!(document, fresh, "stale: KEYFOB_UPDATE=1 cargo test -p keyfob");
}
