//! What the software key tells of itself: the management applet, and the NEO's OTP applet.

use super::firmware::{Firmware, Tells};
use crate::apdu::{Command, StatusWord};
use crate::management::{Capability, FormFactor, OTP_SERIAL, ins, tag};
use crate::oath::Version;
use crate::tlv::Writer;

type Answer = Result<Writer, StatusWord>;

/// All that it can, and no more.
const CAPABILITIES: Capability = Capability::OATH;

/// USB mode of a NEO that is a smart card and nothing else (yubikit, `management.py`, `_MODES`).
const MODE_CCID: u8 = 0x01;

fn bytes(version: Version) -> [u8; 3] {
    [version.0, version.1, version.2]
}

/// What SELECT of the management applet answers: clients read the version out of it.
pub(super) fn greeting(firmware: Firmware) -> Writer {
    let mut body = Writer::new();
    body.raw(alloc::format!("Keyfob software key - FW version {}", firmware.version()).as_bytes());
    body
}

/// READ CONFIG: a length byte, then TLVs.
pub(super) fn management(firmware: Firmware, serial: u32, command: &Command<'_>) -> Answer {
    let profile = firmware.profile();
    let mut config = Writer::new();
    match (command.ins, profile.tells, command.p1) {
        (ins::READ_CONFIG, Tells::InOneByte, 0) => {
            let [_, low] = CAPABILITIES.0.to_be_bytes();
            config
                .put(tag::USB_SUPPORTED, &[&[low]])?
                .put(tag::SERIAL, &[&serial.to_be_bytes()])?
                .put(tag::VERSION, &[&bytes(profile.version)])?;
        }
        (ins::READ_CONFIG, Tells::InOnePage | Tells::InTwoPages, 0) => {
            let capabilities = CAPABILITIES.0.to_be_bytes();
            config
                .put(tag::USB_SUPPORTED, &[&capabilities])?
                .put(tag::USB_ENABLED, &[&capabilities])?
                .put(tag::SERIAL, &[&serial.to_be_bytes()])?
                .put(tag::FORM_FACTOR, &[&[FormFactor::UsbAKeychain.code()]])?
                .put(tag::VERSION, &[&bytes(profile.version)])?
                .put(tag::AUTO_EJECT_TIMEOUT, &[&[0, 0]])?
                .put(tag::CHALLENGE_RESPONSE_TIMEOUT, &[&[15]])?
                .put(tag::DEVICE_FLAGS, &[&[0]])?;
            if profile.nfc {
                config.put(tag::NFC_SUPPORTED, &[&capabilities])?.put(tag::NFC_ENABLED, &[&capabilities])?;
            }
            config.put(tag::CONFIG_LOCK, &[&[0]])?;
            if profile.tells == Tells::InTwoPages {
                config.put(tag::MORE_DATA, &[&[1]])?;
            }
        }
        (ins::READ_CONFIG, Tells::InTwoPages, 1) => {
            config.put(tag::PIN_COMPLEXITY, &[&[0]])?.put(tag::NFC_RESTRICTED, &[&[0]])?;
        }
        (ins::READ_CONFIG, Tells::InOneByte | Tells::InOnePage | Tells::InTwoPages, _) => {
            return Err(StatusWord::WRONG_PARAMETERS);
        }
        _ => return Err(StatusWord::INVALID_INSTRUCTION),
    }
    let length = u8::try_from(config.as_bytes().len()).map_err(|_| StatusWord::WRONG_LENGTH)?;
    let mut body = Writer::new();
    body.raw(&[length]).raw(config.as_bytes());
    Ok(body)
}

/// The NEO's OTP applet, as far as clients ask it who it is: no slot is programmed, and none can be.
pub(super) fn otp(firmware: Firmware, serial: u32, command: &Command<'_>) -> Answer {
    match (command.ins, command.p1) {
        (ins::OTP_REQUEST, OTP_SERIAL) => {
            let mut body = Writer::new();
            body.raw(&serial.to_be_bytes());
            Ok(body)
        }
        (ins::OTP_STATUS, 0) => Ok(otp_status(firmware)),
        (ins::OTP_REQUEST | ins::OTP_STATUS, _) => Err(StatusWord::WRONG_PARAMETERS),
        _ => Err(StatusWord::INVALID_INSTRUCTION),
    }
}

/// Version, sequence number, the slots' state, mode.
pub(super) fn otp_status(firmware: Firmware) -> Writer {
    let mut body = Writer::new();
    body.raw(&bytes(firmware.version())).raw(&[0, 0, 0, MODE_CCID]);
    body
}
