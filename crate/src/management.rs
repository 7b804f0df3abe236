//! Yubico's management applet, and what older keys have of it: serial number, version, form factor, what is enabled.
//!
//! The host reads by this file, and the software key answers by it. Source: Yubico's yubikit (`management.py`,
//! `yubiotp.py`, `support.py`).
//!
//! ```text
//!   from 4.1      SELECT management, READ CONFIG page by page: TLVs
//!   YubiKey NEO   SELECT management tells a version and no more; the OTP applet tells the serial number
//!   other makes   6A82, or an applet that answers alike
//! ```

use alloc::string::String;
use core::fmt;
use core::ops::{BitAnd, BitOr};

use crate::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::oath::{Exchange, OathError, Step, Version};
use crate::tlv::{Reader, TlvError};

/// Application identifier of the management applet. SELECT answers a text that ends in the version.
pub const AID: [u8; 8] = [0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];

/// Application identifier of the OTP applet. SELECT answers its status: version (3 bytes), sequence number, two bytes of
/// slots' state, and the USB mode on a NEO.
pub const OTP_AID: [u8; 7] = [0xA0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];

/// Instruction bytes.
pub mod ins {
    /// Management: P1 is the page; answers a length byte, then TLVs.
    pub const READ_CONFIG: u8 = 0x1D;
    /// OTP: a request to the slot in P1.
    pub const OTP_REQUEST: u8 = 0x01;
    /// OTP: the status, as SELECT answers it.
    pub const OTP_STATUS: u8 = 0x03;
}

/// P1 of [`ins::OTP_REQUEST`] for the serial number: four bytes big endian.
pub const OTP_SERIAL: u8 = 0x10;

/// TLV tags of READ CONFIG.
pub mod tag {
    /// Capabilities over USB.
    pub const USB_SUPPORTED: u8 = 0x01;
    /// Serial number, four bytes big endian.
    pub const SERIAL: u8 = 0x02;
    /// Those enabled over USB (5.0; 4.x answers nonsense).
    pub const USB_ENABLED: u8 = 0x03;
    /// Form factor, and two flags above it.
    pub const FORM_FACTOR: u8 = 0x04;
    /// Firmware version, three bytes.
    pub const VERSION: u8 = 0x05;
    /// Seconds to the automatic eject, two bytes.
    pub const AUTO_EJECT_TIMEOUT: u8 = 0x06;
    /// Seconds that challenge and response wait for a touch, one byte.
    pub const CHALLENGE_RESPONSE_TIMEOUT: u8 = 0x07;
    /// Device flags, one byte.
    pub const DEVICE_FLAGS: u8 = 0x08;
    /// Whether the configuration is locked by a code.
    pub const CONFIG_LOCK: u8 = 0x0A;
    /// Capabilities over NFC.
    pub const NFC_SUPPORTED: u8 = 0x0D;
    /// Those enabled over NFC.
    pub const NFC_ENABLED: u8 = 0x0E;
    /// How many more pages there are (5.7).
    pub const MORE_DATA: u8 = 0x10;
    /// Part number, UTF-8 (5.7).
    pub const PART_NUMBER: u8 = 0x13;
    /// Whether PINs must be complex (5.7).
    pub const PIN_COMPLEXITY: u8 = 0x16;
    /// Whether NFC is off until the key has been plugged in (5.7).
    pub const NFC_RESTRICTED: u8 = 0x17;
    /// Version, release type and iteration of a firmware that is no release (5.7).
    pub const VERSION_QUALIFIER: u8 = 0x19;
}

/// Most pages of READ CONFIG: today's keys have two.
const MAX_PAGES: u8 = 16;

/// The applications of a key, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capability(pub u16);

impl Capability {
    /// Yubico OTP.
    pub const OTP: Self = Self(0x0001);
    /// FIDO U2F.
    pub const U2F: Self = Self(0x0002);
    /// OpenPGP.
    pub const OPENPGP: Self = Self(0x0008);
    /// PIV.
    pub const PIV: Self = Self(0x0010);
    /// OATH.
    pub const OATH: Self = Self(0x0020);
    /// YubiHSM Auth.
    pub const HSMAUTH: Self = Self(0x0100);
    /// FIDO2.
    pub const FIDO2: Self = Self(0x0200);

    /// Every capability and its name, in the order of its bits.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::OTP, "Yubico OTP"),
        (Self::U2F, "FIDO U2F"),
        (Self::OPENPGP, "OpenPGP"),
        (Self::PIV, "PIV"),
        (Self::OATH, "OATH"),
        (Self::HSMAUTH, "YubiHSM Auth"),
        (Self::FIDO2, "FIDO2"),
    ];

    /// Whether all of `other` is among these.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self & other == other
    }

    /// The names of those that are known.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter_map(move |(bit, name)| self.contains(bit).then_some(name))
    }
}

impl BitOr for Capability {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Capability {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capability({:04X}: {self})", self.0)
    }
}

/// What a key looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FormFactor {
    /// Not told, or one that this program does not know.
    #[default]
    Unknown,
    /// USB-A, for the key ring.
    UsbAKeychain,
    /// USB-A, to stay plugged in.
    UsbANano,
    /// USB-C, for the key ring.
    UsbCKeychain,
    /// USB-C, to stay plugged in.
    UsbCNano,
    /// USB-C and Lightning.
    UsbCLightning,
    /// USB-A with a fingerprint reader.
    UsbABio,
    /// USB-C with a fingerprint reader.
    UsbCBio,
}

impl FormFactor {
    /// Bits of [`tag::FORM_FACTOR`] that are the form factor; the others are flags.
    const MASK: u8 = 0x0F;
    /// Its code on the wire, and the name that Yubico's programs give it.
    const TABLE: [(Self, u8, &'static str); 8] = [
        (Self::Unknown, 0, "Unknown"),
        (Self::UsbAKeychain, 1, "Keychain (USB-A)"),
        (Self::UsbANano, 2, "Nano (USB-A)"),
        (Self::UsbCKeychain, 3, "Keychain (USB-C)"),
        (Self::UsbCNano, 4, "Nano (USB-C)"),
        (Self::UsbCLightning, 5, "Keychain (USB-C, Lightning)"),
        (Self::UsbABio, 6, "Bio (USB-A)"),
        (Self::UsbCBio, 7, "Bio (USB-C)"),
    ];

    fn from_byte(byte: u8) -> Self {
        let code = byte & Self::MASK;
        Self::TABLE.iter().find(|row| row.1 == code).map_or(Self::Unknown, |row| row.0)
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }
}

impl fmt::Display for FormFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::TABLE.iter().find(|row| row.0 == *self).map_or("Unknown", |row| row.2))
    }
}

/// What is wrong with an answer to READ CONFIG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManagementError {
    /// A malformed TLV.
    #[error("the management applet's answer is malformed: {0}")]
    Tlv(#[from] TlvError),
    /// The length byte disagrees with the length.
    #[error("the management applet announced {said} bytes and sent {got}")]
    Length {
        /// What the length byte says.
        said: usize,
        /// How many bytes follow.
        got: usize,
    },
    /// A field of a length that it cannot have.
    #[error("field {tag:02X} of the management applet's answer has {got} bytes")]
    FieldLength {
        /// Its tag.
        tag: u8,
        /// Its length in bytes.
        got: usize,
    },
}

/// What a key tells of itself. Fields that it does not tell are `None`, `false` or unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Serial number.
    pub serial: Option<u32>,
    /// Firmware version.
    pub version: Option<Version>,
    /// What it looks like.
    pub form_factor: FormFactor,
    /// What it can over USB.
    pub usb_supported: Option<Capability>,
    /// What is enabled of it; not told by 4.x, where it follows from the USB mode.
    pub usb_enabled: Option<Capability>,
    /// What it can over NFC; none without NFC.
    pub nfc_supported: Option<Capability>,
    /// What is enabled of it.
    pub nfc_enabled: Option<Capability>,
    /// Whether NFC is off until the key has been plugged in.
    pub nfc_restricted: bool,
    /// Whether a code protects this configuration.
    pub config_locked: bool,
    /// Whether it is of the FIPS series.
    pub fips: bool,
    /// Whether it is a Security Key, which has no OATH.
    pub security_key: bool,
    /// Whether it enforces complex PINs.
    pub pin_complexity: bool,
    /// Part number.
    pub part_number: Option<String>,
}

impl DeviceInfo {
    /// Takes over one page of READ CONFIG, its length byte included, and returns how many pages follow.
    ///
    /// # Errors
    /// [`ManagementError`]; what was read before the error stays.
    pub fn read_page(&mut self, body: &[u8]) -> Result<u8, ManagementError> {
        let mut reader = Reader::new(body);
        let said = usize::from(reader.byte()?);
        if said != reader.remaining() {
            return Err(ManagementError::Length { said, got: reader.remaining() });
        }
        let (mut more, mut usb_enabled) = (0, None);
        while !reader.is_empty() {
            let (tag, value) = reader.next()?;
            let number = || number(tag, value);
            match tag {
                tag::USB_SUPPORTED => self.usb_supported = Some(capability(tag, value)?),
                tag::USB_ENABLED => usb_enabled = Some(capability(tag, value)?),
                tag::NFC_SUPPORTED => self.nfc_supported = Some(capability(tag, value)?),
                tag::NFC_ENABLED => self.nfc_enabled = Some(capability(tag, value)?),
                // Zero: the key does not tell its serial number.
                tag::SERIAL => self.serial = Some(number()?).filter(|serial| *serial != 0),
                tag::VERSION => self.version = Some(version(tag, value)?),
                tag::FORM_FACTOR => {
                    let byte = value.last().copied().unwrap_or(0);
                    self.form_factor = FormFactor::from_byte(byte);
                    self.fips = byte & 0x80 != 0;
                    self.security_key = byte & 0x40 != 0;
                }
                tag::CONFIG_LOCK => self.config_locked = value == [1],
                tag::NFC_RESTRICTED => self.nfc_restricted = value == [1],
                tag::PIN_COMPLEXITY => self.pin_complexity = value == [1],
                tag::PART_NUMBER => {
                    self.part_number =
                        core::str::from_utf8(value).ok().filter(|text| !text.is_empty()).map(String::from);
                }
                tag::VERSION_QUALIFIER => self.qualify(value)?,
                tag::MORE_DATA => more = u8::try_from(number()?).unwrap_or(u8::MAX),
                _ => {}
            }
        }
        let yubikey_4 = self.version.is_some_and(|v| (Version(4, 0, 0)..Version(5, 0, 0)).contains(&v));
        if usb_enabled.is_some() && !yubikey_4 {
            self.usb_enabled = usb_enabled;
        }
        if self.version == Some(Version(4, 2, 4)) {
            // It does not tell its capabilities correctly (yubikit, `management.py`).
            self.usb_supported = Some(Capability(0x3F));
        }
        Ok(more)
    }

    /// A firmware that is no release calls itself by another version there.
    fn qualify(&mut self, value: &[u8]) -> Result<(), ManagementError> {
        const VERSION: u8 = 0x01;
        const RELEASE_TYPE: u8 = 0x02;
        const FINAL: [u8; 1] = [2];
        let (mut qualified, mut release) = (None, true);
        let mut reader = Reader::new(value);
        while !reader.is_empty() {
            match reader.next()? {
                (VERSION, value) => qualified = Some(version(tag::VERSION_QUALIFIER, value)?),
                (RELEASE_TYPE, value) => release = value == FINAL,
                _ => {}
            }
        }
        if !release && qualified.is_some() {
            self.version = qualified;
        }
        Ok(())
    }
}

/// A number of one to four bytes, big endian.
fn number(tag: u8, value: &[u8]) -> Result<u32, ManagementError> {
    if value.is_empty() || value.len() > 4 {
        return Err(ManagementError::FieldLength { tag, got: value.len() });
    }
    Ok(value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// One byte on YubiKey 4, two from 5 on.
fn capability(tag: u8, value: &[u8]) -> Result<Capability, ManagementError> {
    let number = number(tag, value)?;
    u16::try_from(number).map(Capability).map_err(|_| ManagementError::FieldLength { tag, got: value.len() })
}

fn version(tag: u8, value: &[u8]) -> Result<Version, ManagementError> {
    match value {
        [major, minor, patch] => Ok(Version(*major, *minor, *patch)),
        _ => Err(ManagementError::FieldLength { tag, got: value.len() }),
    }
}

/// The first `X.Y.Z` of the text that SELECT of the management applet answers.
fn version_in_text(text: &[u8]) -> Option<Version> {
    let text = core::str::from_utf8(text).ok()?;
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse().ok());
        Some(Version(parts.next()??, parts.next()??, parts.next()??))
    })
}

/// Reads what a card tells of itself: `None` on one that is no YubiKey and does not answer as one.
///
/// It deselects the OATH applet. An applet that refuses or answers nonsense has told nothing, which is no error: the OATH
/// applet serves without it.
#[derive(Default)]
pub struct ReadDeviceInfo {
    info: DeviceInfo,
    state: State,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Start,
    Management,
    Page(u8),
    Deselect,
    Otp,
    Serial,
}

impl ReadDeviceInfo {
    /// At the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn send(&mut self, state: State, command: CommandApdu) -> Step<Option<DeviceInfo>> {
        self.state = state;
        Step::Transmit(command)
    }

    fn read(&mut self, page: u8) -> Result<Step<Option<DeviceInfo>>, OathError> {
        let command = CommandApdu::new(0, ins::READ_CONFIG, page, 0, &[])?;
        Ok(self.send(State::Page(page), command))
    }

    fn select_otp(&mut self) -> Result<Step<Option<DeviceInfo>>, OathError> {
        let command = CommandApdu::new(0, 0xA4, 0x04, 0, &OTP_AID)?;
        Ok(self.send(State::Otp, command))
    }

    fn done(&mut self) -> Step<Option<DeviceInfo>> {
        let info = core::mem::take(&mut self.info);
        Step::Done(Some(info).filter(|info| *info != DeviceInfo::default()))
    }
}

impl Exchange for ReadDeviceInfo {
    type Output = Option<DeviceInfo>;

    fn step(&mut self, response: Option<&[u8]>) -> Result<Step<Self::Output>, OathError> {
        let Some(response) = response else {
            *self = Self::default();
            let command = CommandApdu::new(0, 0xA4, 0x04, 0, &AID)?;
            return Ok(self.send(State::Management, command));
        };
        let response = ResponseApdu::parse(response)?;
        let answer = (response.status == StatusWord::OK).then_some(response.data);
        match (self.state, answer) {
            (State::Start, _) => Err(OathError::OutOfOrder),
            (State::Management, Some(text)) => {
                self.info.version = version_in_text(text);
                // A NEO's has no READ CONFIG, and the OTP applet is not selected after it without this.
                if self.info.version.is_some_and(|version| version.0 == 3) {
                    return Ok(self.send(State::Deselect, CommandApdu::header(0xA4, 0x04, 0x00, 0x08)));
                }
                self.read(0)
            }
            (State::Page(page), Some(body)) => match self.info.read_page(body) {
                Ok(1..) if page < MAX_PAGES => self.read(page + 1),
                _ => Ok(self.done()),
            },
            // Without the management applet: a NEO over NFC, or another make. Without READ CONFIG: before 4.1.
            (State::Management | State::Page(0) | State::Deselect, _) => self.select_otp(),
            (State::Page(_) | State::Serial, None) | (State::Otp, None) => Ok(self.done()),
            (State::Otp, Some(status)) => {
                if let (None, Some(&[major, minor, patch])) = (self.info.version, status.first_chunk::<3>()) {
                    self.info.version = Some(Version(major, minor, patch));
                }
                let command = CommandApdu::new(0, ins::OTP_REQUEST, OTP_SERIAL, 0, &[])?;
                Ok(self.send(State::Serial, command))
            }
            (State::Serial, Some(body)) => {
                self.info.serial = body.try_into().ok().map(u32::from_be_bytes).filter(|serial| *serial != 0);
                Ok(self.done())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A YubiKey 5 NFC of firmware 5.2.7, as `ykman --diagnose` printed it (Yubico/yubikey-manager, issue 695), with
    /// another serial number, NFC reduced to OATH, and a configuration lock.
    const YUBIKEY_5_NFC: &[u8] = &[
        0x2E, 0x01, 0x02, 0x02, 0x3F, 0x03, 0x02, 0x02, 0x3F, 0x02, 0x04, 0x00, 0xC3, 0x50, 0x01, 0x04, 0x01,
        0x01, 0x05, 0x03, 0x05, 0x02, 0x07, 0x06, 0x02, 0x00, 0x00, 0x07, 0x01, 0x0F, 0x08, 0x01, 0x00, 0x0D,
        0x02, 0x02, 0x3F, 0x0E, 0x02, 0x00, 0x20, 0x0A, 0x01, 0x01, 0x0F, 0x01, 0x00,
    ];

    #[test]
    fn a_page_is_read() {
        let mut info = DeviceInfo::default();
        assert_eq!(info.read_page(YUBIKEY_5_NFC), Ok(0));
        let all = Capability(0x023F);
        assert_eq!(
            info,
            DeviceInfo {
                serial: Some(12_800_001),
                version: Some(Version(5, 2, 7)),
                form_factor: FormFactor::UsbAKeychain,
                usb_supported: Some(all),
                usb_enabled: Some(all),
                nfc_supported: Some(all),
                nfc_enabled: Some(Capability::OATH),
                config_locked: true,
                ..DeviceInfo::default()
            }
        );
        assert_eq!(all.to_string(), "Yubico OTP, FIDO U2F, OpenPGP, PIV, OATH, FIDO2");
        assert!(all.contains(Capability::OATH) && !Capability::OATH.contains(all));
    }

    #[test]
    fn fields_are_read_as_each_firmware_means_them() {
        #[track_caller]
        fn check(tlvs: &[u8], read: impl FnOnce(DeviceInfo) -> bool) {
            let mut info = DeviceInfo::default();
            info.read_page(&[&[tlvs.len() as u8], tlvs].concat()).unwrap();
            assert!(read(info.clone()), "{info:?}");
        }
        // One byte of capabilities, and what 4.x says to be enabled is nonsense.
        check(&[1, 1, 0x3F, 3, 1, 0xFF, 5, 3, 4, 3, 7], |info| {
            info.usb_supported == Some(Capability(0x3F)) && info.usb_enabled.is_none()
        });
        check(&[1, 1, 0x07, 5, 3, 4, 2, 4], |info| info.usb_supported == Some(Capability(0x3F)));
        check(&[2, 4, 0, 0, 0, 0], |info| info.serial.is_none());
        check(&[4, 1, 0x85], |info| info.fips && info.form_factor == FormFactor::UsbCLightning);
        check(&[4, 1, 0x43], |info| info.security_key && info.form_factor == FormFactor::UsbCKeychain);
        check(&[4, 1, 0x0E], |info| info.form_factor == FormFactor::Unknown);
        check(&[4, 0], |info| info.form_factor == FormFactor::Unknown);
        check(&[0x13, 2, b'N', b'7'], |info| info.part_number.as_deref() == Some("N7"));
        check(&[0x13, 1, 0xFF], |info| info.part_number.is_none());
        check(&[5, 3, 0, 0, 1, 0x19, 11, 1, 3, 5, 8, 0, 2, 1, 0, 3, 1, 9], |info| {
            info.version == Some(Version(5, 8, 0))
        });
        check(&[5, 3, 5, 7, 1, 0x19, 8, 1, 3, 9, 9, 9, 2, 1, 2], |info| {
            info.version == Some(Version(5, 7, 1))
        });
        check(&[0x16, 1, 1, 0x17, 1, 1], |info| info.pin_complexity && info.nfc_restricted);
        check(&[0x77, 3, 1, 2, 3], |info| info == DeviceInfo::default());
    }

    #[test]
    fn broken_pages_are_named() {
        #[track_caller]
        fn check(body: &[u8], expected: ManagementError) {
            assert_eq!(DeviceInfo::default().read_page(body), Err(expected));
        }
        check(&[], TlvError::Truncated { missing: 1 }.into());
        check(&[3, 1, 1], ManagementError::Length { said: 3, got: 2 });
        check(&[3, 1, 2, 0], TlvError::Truncated { missing: 1 }.into());
        check(&[4, 5, 2, 1, 2], ManagementError::FieldLength { tag: 5, got: 2 });
        check(&[7, 2, 5, 1, 2, 3, 4, 5], ManagementError::FieldLength { tag: 2, got: 5 });
        check(&[5, 1, 3, 1, 0, 0], ManagementError::FieldLength { tag: 1, got: 3 });
        check(&[2, 1, 0], ManagementError::FieldLength { tag: 1, got: 0 });
        for n in 0..YUBIKEY_5_NFC.len() {
            assert!(DeviceInfo::default().read_page(&YUBIKEY_5_NFC[..n]).is_err());
        }
    }

    #[test]
    fn the_version_is_found_in_the_text() {
        #[track_caller]
        fn check(text: &str, expected: Option<Version>) {
            assert_eq!(version_in_text(text.as_bytes()), expected);
        }
        check("Virtual mgr - FW version 5.7.1", Some(Version(5, 7, 1)));
        check("FW version 10 is 4.3.7.", Some(Version(4, 3, 7)));
        check("Virtual mgr", None);
        check("5.7", None);
        check("5.700.1", None);
    }

    /// Runs the exchange against scripted answers: what was asked (INS and P1) and what came of it.
    fn run(responses: &[&[u8]]) -> (Vec<[u8; 2]>, Option<DeviceInfo>) {
        let mut exchange = ReadDeviceInfo::new();
        let (mut sent, mut responses) = (Vec::new(), responses.iter());
        let mut step = exchange.step(None).unwrap();
        loop {
            match step {
                Step::Done(info) => return (sent, info),
                Step::Transmit(command) => {
                    sent.push([command.as_bytes()[1], command.as_bytes()[2]]);
                    step = exchange.step(Some(responses.next().unwrap())).unwrap();
                }
            }
        }
    }

    #[test]
    fn every_generation_is_asked_as_it_answers() {
        const SELECT: [u8; 2] = [0xA4, 4];
        const MISSING: &[u8] = &[0x6A, 0x82];
        const UNKNOWN: &[u8] = &[0x6D, 0];
        let select = |version: &str| [b"FW version ", version.as_bytes(), &[0x90, 0]].concat();
        let serial = |info: Option<DeviceInfo>| info.map(|info| (info.version, info.serial));

        let five = [YUBIKEY_5_NFC, &[0x90, 0]].concat();
        let (sent, info) = run(&[&select("5.2.7"), &five]);
        assert_eq!(sent, [SELECT, [0x1D, 0]]);
        assert_eq!(serial(info), Some((Some(Version(5, 2, 7)), Some(12_800_001))));

        let (sent, info) =
            run(&[&select("5.7.1"), &[9, 2, 4, 0, 0, 0, 7, 0x10, 1, 1, 0x90, 0], &[3, 4, 1, 3, 0x90, 0]]);
        assert_eq!(sent, [SELECT, [0x1D, 0], [0x1D, 1]]);
        assert_eq!(info.unwrap().form_factor, FormFactor::UsbCKeychain);

        let status: &[u8] = &[3, 4, 9, 1, 0, 0, 6, 0x90, 0];
        let (sent, info) = run(&[&select("3.4.9"), &[0x6E, 0], status, &[0, 0, 0, 7, 0x90, 0]]);
        assert_eq!(sent, [SELECT, [4, 0], SELECT, [1, 0x10]]);
        assert_eq!(serial(info), Some((Some(Version(3, 4, 9)), Some(7))));

        // Over NFC a NEO has no management applet; its serial number may be hidden.
        let (_, info) = run(&[MISSING, status, UNKNOWN]);
        assert_eq!(serial(info), Some((Some(Version(3, 4, 9)), None)));
        assert_eq!(run(&[MISSING, MISSING]).1, None);
        // Nonsense tells nothing, and pages do not go on for ever.
        let (_, info) = run(&[&select("5.4.3"), &[9, 9, 0x90, 0]]);
        assert_eq!(serial(info), Some((Some(Version(5, 4, 3)), None)));
        let endless: Vec<&[u8]> = vec![&[3, 0x10, 1, 1, 0x90, 0]; 100];
        let (sent, _) = run(&[&[&select("5.4.3")[..]][..], &endless].concat());
        assert_eq!(sent.len(), 2 + usize::from(MAX_PAGES));
    }
}
