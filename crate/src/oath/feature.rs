//! What came to YKOATH later than its first version.

use core::fmt;

use super::Version;

/// Something that old firmware cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// A touch before each calculation. An applet that does not know it ignores it.
    Touch,
    /// HMAC-SHA512.
    Sha512,
    /// RENAME.
    Rename,
}

impl Feature {
    /// All.
    pub const ALL: &'static [Self] = &[Self::Touch, Self::Sha512, Self::Rename];

    /// The firmware that it came with (Yubico's YKOATH document; RENAME as yubikit requires it). Other makes' applets have
    /// versions of their own, which promise nothing.
    #[must_use]
    pub fn since(self) -> Version {
        match self {
            Self::Touch => Version(4, 2, 4),
            Self::Sha512 => Version(4, 3, 1),
            Self::Rename => Version(5, 3, 1),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Touch => "ask for a touch",
            Self::Sha512 => "calculate with SHA512",
            Self::Rename => "rename accounts",
        })
    }
}
