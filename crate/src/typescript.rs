//! The extension's TypeScript that is generated from this crate: `extension/src/generated/`.
//!
//! Tests compare the files with what they should hold, and rewrite them where `KEYFOB_UPDATE=1` is set.

use std::path::Path;

/// Fails if the file at `path` does not hold `expected`; with `KEYFOB_UPDATE=1` writes it instead.
#[track_caller]
pub(crate) fn assert_current(path: &Path, expected: &str) {
    if std::env::var_os("KEYFOB_UPDATE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, expected).unwrap();
        return;
    }
    let current = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        current == expected,
        "{} is stale: run `KEYFOB_UPDATE=1 cargo test -p keyfob-core`",
        path.display()
    );
}

mod tests {
    use ts_rs::{Config, TS};

    use super::*;
    use crate::message::*;

    #[test]
    fn typescript_types_are_current() {
        fn declaration<T: TS>(config: &Config) -> String {
            format!("export {}\n", T::decl(config))
        }
        let config = Config::default();
        let mut text = String::from(
            "// Generated from crate/src/message.rs by `KEYFOB_UPDATE=1 cargo test -p keyfob-core`. Do not edit.\n\n",
        );
        text.push_str(&format!("/** Version of the protocol. */\nexport const VERSION = {VERSION};\n\n"));
        for declaration in [
            declaration::<Request>(&config),
            declaration::<Op>(&config),
            declaration::<Password>(&config),
            declaration::<SigningScope>(&config),
            declaration::<Scheme>(&config),
            declaration::<Reply>(&config),
            declaration::<Event>(&config),
            declaration::<Answer>(&config),
            declaration::<Key>(&config),
            declaration::<KeyKind>(&config),
            declaration::<Account>(&config),
            declaration::<AccountKind>(&config),
            declaration::<AwsLogin>(&config),
            declaration::<AwsFlow>(&config),
            declaration::<Code>(&config),
            declaration::<Identity>(&config),
            declaration::<SignatureVersion>(&config),
            declaration::<SessionLabel>(&config),
            declaration::<Session>(&config),
            declaration::<KeptSession>(&config),
            declaration::<Failure>(&config),
            declaration::<Wants>(&config),
            declaration::<ErrorCode>(&config),
        ] {
            text.push_str(&declaration);
        }
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../extension/src/generated/message.ts"));
        assert_current(path, &text);
    }
}
