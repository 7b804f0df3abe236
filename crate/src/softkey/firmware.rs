//! The firmware that a software key stands in for: what each could and could not, in one table.

use core::fmt;
use core::str::FromStr;

use crate::apdu::StatusWord;
use crate::oath::{Algorithm, Version};

/// A generation of YubiKeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Firmware {
    /// YubiKey NEO: ykneo-oath, a Java Card applet.
    Neo,
    /// YubiKey 4.
    V4_3,
    /// YubiKey 5 before it could rename.
    V5_2,
    /// YubiKey 5 of today.
    #[default]
    V5_7,
}

/// A name that is no firmware's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no firmware is called {0:?}: it is neo, 4.3, 5.2 or 5.7")]
pub struct UnknownFirmware(String);

/// How much fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    /// So many credentials.
    Slots(usize),
    /// As many as CALCULATE ALL could answer out of a buffer of so many bytes.
    Answer(usize),
}

/// Bytes of a credential in the answer to CALCULATE ALL, besides its id.
const ANSWER_OVERHEAD: usize = 9;

/// How a key tells what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Management has no READ CONFIG; serial number and status come from the OTP applet.
    ByOtp,
    /// One byte of capabilities, and nothing about what is enabled that could be believed.
    InOneByte,
    /// All in one page.
    InOnePage,
    /// In two.
    InTwoPages,
}

/// What a firmware does its own way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    pub(super) firmware: Firmware,
    /// What people call it.
    pub(super) name: &'static str,
    /// What the management applet says, and the state keeps.
    pub(super) version: Version,
    /// What SELECT of the OATH applet says.
    pub(super) oath: Version,
    pub(super) capacity: Capacity,
    pub(super) algorithms: &'static [Algorithm],
    /// Longest key in bytes; longer ones are hashed by the client.
    pub(super) key: usize,
    /// Whether the property that wants a touch is more than remembered.
    pub(super) touch: bool,
    pub(super) rename: bool,
    /// Longest challenge in bytes.
    pub(super) challenge: usize,
    /// Most bytes of a response block, wherever that cuts a TLV.
    pub(super) block: usize,
    /// What SW2 of `61xx` says at most.
    pub(super) more: u8,
    /// Extended APDUs, or `6700`.
    pub(super) extended: bool,
    /// Whether who sets the password need not prove it before the next command.
    pub(super) set_code_unlocks: bool,
    pub(super) nfc: bool,
    pub(super) tells: Tells,
}

const BEFORE_SHA512: &[Algorithm] = &[Algorithm::Sha1, Algorithm::Sha256];
const ALL_ALGORITHMS: &[Algorithm] = &[Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

/// Sources: ykneo-oath's code and its behaviour over PC/SC (NEO: 254 bytes a block, 2,048 bytes of answers, keys and
/// challenges up to 64 bytes, touch and RENAME unknown, extended APDUs refused, authentication not granted by SET CODE);
/// Yubico's YKOATH document and yubikit (touch from 4.2.4, SHA-512 from 4.3.1, RENAME from 5.3.1, 32 slots, 64 from 5.7; the
/// management applet's answers).
static PROFILES: [Profile; 4] = [
    Profile {
        firmware: Firmware::Neo,
        name: "neo",
        version: Version(3, 4, 9),
        oath: Version(1, 0, 2),
        capacity: Capacity::Answer(2048),
        algorithms: BEFORE_SHA512,
        key: 64,
        touch: false,
        rename: false,
        challenge: 64,
        block: 254,
        more: 254,
        extended: false,
        set_code_unlocks: false,
        nfc: true,
        tells: Tells::ByOtp,
    },
    Profile {
        firmware: Firmware::V4_3,
        name: "4.3",
        version: Version(4, 3, 7),
        oath: Version(4, 3, 7),
        nfc: false,
        tells: Tells::InOneByte,
        ..SINCE_4_3
    },
    Profile {
        firmware: Firmware::V5_2,
        name: "5.2",
        version: Version(5, 2, 7),
        oath: Version(5, 2, 7),
        tells: Tells::InOnePage,
        ..SINCE_4_3
    },
    SINCE_5_7,
];

/// What has not changed since.
const SINCE_4_3: Profile = Profile { capacity: Capacity::Slots(32), rename: false, ..SINCE_5_7 };

const SINCE_5_7: Profile = Profile {
    firmware: Firmware::V5_7,
    name: "5.7",
    version: Version(5, 7, 1),
    oath: Version(5, 7, 1),
    capacity: Capacity::Slots(64),
    algorithms: ALL_ALGORITHMS,
    key: 128,
    touch: true,
    rename: true,
    challenge: 255,
    block: 256,
    more: 255,
    extended: true,
    set_code_unlocks: true,
    nfc: true,
    tells: Tells::InTwoPages,
};

impl Firmware {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::Neo, Self::V4_3, Self::V5_2, Self::V5_7];

    /// What people call it, and [`FromStr`] reads: `neo`, `4.3`, `5.2`, `5.7`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.profile().name
    }

    /// The version that the management applet tells.
    #[must_use]
    pub fn version(self) -> Version {
        self.profile().version
    }

    /// The version that SELECT of the OATH applet tells: on a NEO the applet's own.
    #[must_use]
    pub fn oath_version(self) -> Version {
        self.profile().oath
    }

    /// How many credentials fit; none on a NEO, where it depends on the length of their ids.
    #[must_use]
    pub fn slots(self) -> Option<usize> {
        match self.profile().capacity {
            Capacity::Slots(slots) => Some(slots),
            Capacity::Answer(_) => None,
        }
    }

    /// The firmware of this version, as a state keeps it.
    pub(super) fn of_version(version: Version) -> Option<Self> {
        PROFILES.iter().find(|profile| profile.version == version).map(|profile| profile.firmware)
    }

    pub(super) fn profile(self) -> &'static Profile {
        let [neo, v4_3, v5_2, v5_7] = &PROFILES;
        match self {
            Self::Neo => neo,
            Self::V4_3 => v4_3,
            Self::V5_2 => v5_2,
            Self::V5_7 => v5_7,
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Firmware {
    type Err = UnknownFirmware;

    fn from_str(name: &str) -> Result<Self, UnknownFirmware> {
        let found = PROFILES.iter().find(|profile| profile.name == name);
        found.map(|profile| profile.firmware).ok_or_else(|| UnknownFirmware(name.into()))
    }
}

impl Capacity {
    /// Whether a credential whose id has `new` bytes fits beside those whose ids have `stored` bytes, one of which it
    /// may replace.
    pub(super) fn check(
        self,
        stored: impl ExactSizeIterator<Item = usize>,
        new: usize,
        replaces: bool,
    ) -> Result<(), StatusWord> {
        let fits = match self {
            Self::Slots(slots) => replaces || stored.len() < slots,
            // It does not ask what would be replaced.
            Self::Answer(bytes) => stored.chain([new]).map(|id| id + ANSWER_OVERHEAD).sum::<usize>() <= bytes,
        };
        if fits { Ok(()) } else { Err(StatusWord::NO_SPACE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_firmware_has_its_row() {
        for (firmware, profile) in Firmware::ALL.into_iter().zip(&PROFILES) {
            assert_eq!((profile.firmware, firmware.profile().name), (firmware, profile.name));
            assert_eq!(firmware.to_string().parse(), Ok(firmware));
            assert_eq!(Firmware::of_version(firmware.version()), Some(firmware));
        }
        assert_eq!("5.4".parse::<Firmware>(), Err(UnknownFirmware("5.4".into())));
        assert_eq!(Firmware::of_version(Version(5, 4, 3)), None);
    }

    #[test]
    fn as_much_fits_as_the_firmware_says() {
        #[track_caller]
        fn check(firmware: Firmware, id: usize, replaces: bool, expected: usize) {
            let capacity = firmware.profile().capacity;
            let fits = (0..100).find(|n| capacity.check(vec![id; *n].into_iter(), id, replaces).is_err());
            assert_eq!(fits, Some(expected));
        }
        check(Firmware::V4_3, 64, false, 32);
        check(Firmware::V5_7, 64, false, 64);
        // Long names take the room of several short ones.
        check(Firmware::Neo, 64, false, 28);
        check(Firmware::Neo, 20, false, 70);
        check(Firmware::Neo, 64, true, 28);
    }
}
