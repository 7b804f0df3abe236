//! What a card tells of itself besides its accounts: serial number, form factor, what is switched on.

use keyfob_core::management::{Capability, DeviceInfo, FormFactor, ReadDeviceInfo};
use keyfob_core::message;
use keyfob_core::oath::Version;

use super::{Card, KeyError, run};

/// Asks a card for it: Yubico's management applet, or what older keys have of it. `None` on other makes. Deselects OATH.
pub(super) fn read(card: &mut dyn Card) -> Result<Option<DeviceInfo>, KeyError> {
    run(card, ReadDeviceInfo::new())
}

/// Writes what is known of a key into its description, whose reader is there already. `version` is the applet's.
pub(super) fn describe(key: &mut message::Key, info: &DeviceInfo, version: Version) {
    key.serial = info.serial;
    key.firmware = info.version.map(|version| version.to_string());
    key.form_factor = (info.form_factor != FormFactor::Unknown).then(|| info.form_factor.to_string());
    key.enabled = enabled(info, &key.label).names().map(str::to_owned).collect();
    key.slots = slots(info.version.unwrap_or(version));
}

/// What is switched on over the interface that leads through this reader.
fn enabled(info: &DeviceInfo, reader: &str) -> Capability {
    let reader = reader.to_ascii_lowercase();
    // A key in its own USB port is a reader that is called so; in another reader it is asked by NFC.
    let by_usb = reader.contains("yubikey") || info.nfc_supported.is_none();
    let (supported, enabled) = match by_usb {
        true => (info.usb_supported, info.usb_enabled),
        false => (info.nfc_supported, info.nfc_enabled),
    };
    let supported = supported.unwrap_or_default();
    if enabled.is_some() || !by_usb || !reader.contains("yubikey") {
        return enabled.unwrap_or(supported);
    }
    // Before 5.0 interfaces are switched, not applications, and the reader's name lists them:
    // "Yubico Yubikey 4 OTP+U2F+CCID" (yubikit, `support.py` and `pcsc.py`).
    let off = |word: [&str; 2], what: Capability| {
        if word.iter().any(|word| reader.contains(word)) { 0 } else { what.0 }
    };
    Capability(
        supported.0
            & !off(["otp", "otp"], Capability::OTP)
            & !off(["u2f", "fido"], Capability::U2F | Capability::FIDO2),
    )
}

/// How many accounts a YubiKey of this firmware holds (Yubico's "YubiKey 5.7 firmware specifics", "OATH"). A NEO has
/// memory for so many bytes, not for a number of accounts.
fn slots(version: Version) -> Option<u8> {
    match version {
        version if version >= Version(5, 7, 0) => Some(64),
        version if version >= Version(4, 0, 0) => Some(32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use keyfob_core::message::{Key, KeyKind};

    use super::super::tests::Script;
    use super::*;

    const SELECTED: &[u8] = b"Virtual mgr - FW version 5.7.1\x90\x00";

    fn key(reader: &str) -> Key {
        Key {
            id: String::new(),
            name: None,
            kind: KeyKind::SmartCard,
            label: reader.to_owned(),
            version: String::new(),
            locked: false,
            serial: None,
            firmware: None,
            form_factor: None,
            enabled: Vec::new(),
            slots: None,
        }
    }

    #[test]
    fn cards_tell_of_themselves_what_they_can() {
        #[track_caller]
        fn check(script: &[&'static [u8]], serial: Option<u32>, form_factor: Option<&str>) {
            let info = read(&mut Script(script.to_vec())).unwrap();
            let mut key = key("Yubico YubiKey CCID");
            if let Some(info) = &info {
                describe(&mut key, info, Version(5, 7, 1));
            }
            assert_eq!((key.serial, key.form_factor.as_deref()), (serial, form_factor), "{info:?}");
        }
        // Neither management nor OTP: another make.
        check(&[&[0x6A, 0x82], &[0x6A, 0x82]], None, None);
        check(&[&[0x90, 0], &[0x6D, 0], &[0x6A, 0x82]], None, None);
        check(&[SELECTED, &[9, 1, 1, 0x20, 2, 4, 0, 0, 4, 0xD2, 0x90, 0]], Some(1234), None);
        check(&[SELECTED, &[3, 4, 1, 3, 0x90, 0]], None, Some("Keychain (USB-C)"));
        // Nonsense is nothing told, not an error.
        check(&[&[0x90, 0], &[3, 2, 4, 0, 0x90, 0]], None, None);
    }

    #[test]
    fn what_is_enabled_follows_from_interface_and_generation() {
        #[track_caller]
        fn check(tlvs: &[u8], reader: &str, expected: &[&str]) {
            let mut info = DeviceInfo::default();
            info.read_page(&[&[tlvs.len() as u8], tlvs].concat()).unwrap();
            let mut key = key(reader);
            describe(&mut key, &info, Version(5, 4, 3));
            assert_eq!(key.enabled, expected, "{reader}");
        }
        // USB: OTP and OATH of all; NFC: OATH.
        let five = [1, 2, 2, 0x3F, 3, 2, 0, 0x21, 0x0D, 2, 2, 0x3F, 0x0E, 2, 0, 0x20];
        check(&five, "Yubico YubiKey OTP+CCID 00 00", &["Yubico OTP", "OATH"]);
        check(&five, "ACS ACR122U PICC Interface 00 00", &["OATH"]);
        // No NFC: it can only be USB, whatever the reader is called.
        check(&[1, 1, 0x20, 3, 1, 0x20], "Some Reader", &["OATH"]);
        let four = [1, 1, 0x3F, 5, 3, 4, 3, 7];
        check(&four, "Yubico Yubikey 4 CCID", &["OpenPGP", "PIV", "OATH"]);
        check(&four, "Yubico Yubikey 4 U2F+CCID", &["FIDO U2F", "OpenPGP", "PIV", "OATH"]);
        check(&[4, 1, 1], "Yubico YubiKey CCID", &[]);
    }

    #[test]
    fn how_many_accounts_fit_depends_on_the_firmware() {
        #[track_caller]
        fn check(version: Version, expected: Option<u8>) {
            assert_eq!(slots(version), expected, "{version}");
        }
        check(Version(3, 4, 9), None);
        check(Version(4, 3, 7), Some(32));
        check(Version(5, 4, 3), Some(32));
        check(Version(5, 7, 0), Some(64));
    }
}
