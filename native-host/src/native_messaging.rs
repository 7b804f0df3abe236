//! Being started by a browser: its arguments, and whether it may.
//!
//! What it then says, on standard input and output, is `wire`'s.

use std::ffi::OsString;
use std::path::Path;

use crate::browser::{self, Family};

/// The extension for which a browser started this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What kind of browser it is.
    pub family: Family,
    /// The extension's id.
    pub extension: String,
}

impl Caller {
    /// Whether it is Keyfob's own extension. The browser has checked that by the manifest it was given; this is
    /// for when somebody else wrote the manifest.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        browser::is_own_extension(self.family, &self.extension)
    }
}

/// Who calls, if the arguments after the program's name are those with which a browser starts a native-messaging
/// host: `chrome-extension://ID/` first (then perhaps `--parent-window=N`), or the path of a manifest and the
/// add-on's id.
#[must_use]
pub fn browser_caller(args: &[OsString]) -> Option<Caller> {
    let first = args.first()?;
    if let Some(origin) = first.to_str().and_then(|first| first.strip_prefix("chrome-extension://")) {
        let extension = origin.strip_suffix('/').unwrap_or(origin).to_owned();
        return Some(Caller { family: Family::Chromium, extension });
    }
    let is_manifest = Path::new(first).file_name().is_some_and(|name| name == browser::MANIFEST_FILE);
    let extension = args.get(1).filter(|_| is_manifest)?.to_str()?.to_owned();
    Some(Caller { family: Family::Firefox, extension })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_their_arguments() {
        #[track_caller]
        fn check(args: &[&str], expected: Option<(Family, &str)>) {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            let expected = expected.map(|(family, id)| Caller { family, extension: id.to_owned() });
            assert_eq!(browser_caller(&args), expected, "{args:?}");
        }
        let firefox = "/home/u/.mozilla/native-messaging-hosts/dev.keyfob.host.json";
        check(&["chrome-extension://abc/"], Some((Family::Chromium, "abc")));
        check(&["chrome-extension://abc/", "--parent-window=0"], Some((Family::Chromium, "abc")));
        check(&[firefox, "keyfob@keyfob.dev"], Some((Family::Firefox, "keyfob@keyfob.dev")));
        check(&[firefox], None);
        check(&["/etc/other.json", "keyfob@keyfob.dev"], None);
        check(&["list", "--json"], None);
        check(&[], None);

        let allowed = |family, id: &str| Caller { family, extension: id.to_owned() }.is_allowed();
        assert!(allowed(Family::Firefox, "keyfob@keyfob.dev"));
        assert!(allowed(Family::Chromium, browser::DEVELOPMENT_ID));
        assert!(!allowed(Family::Chromium, "keyfob@keyfob.dev"));
        assert!(!allowed(Family::Firefox, "evil@example"));
        assert!(!allowed(Family::Chromium, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    }
}
