//! ISO 7816-4 command and response APDUs, and the status words that OATH applets answer.
//!
//! Short encoding only: every applet understands it, and some refuse the extended one
//! (ykneo-oath answers `6700`).

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Largest data field (Lc) of a short command APDU, in bytes.
pub const MAX_DATA: usize = 255;

/// What is wrong with the bytes of an APDU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApduError {
    /// The data field of a command would not fit a short APDU.
    #[error("command data of {0} bytes does not fit a short APDU ({MAX_DATA} bytes)")]
    DataTooLong(usize),
    /// A response has no room for its status word.
    #[error("card answered {0} bytes, too few for a status word")]
    ResponseTooShort(usize),
    /// A command has no room for its header, or its length byte disagrees with its length.
    #[error("malformed command APDU of {0} bytes")]
    MalformedCommand(usize),
}

/// A short command APDU, encoded: `CLA INS P1 P2 [Lc data] Le`.
///
/// Le is always sent (as `00`: up to 256 bytes), for some applets return nothing without it.
///
/// `Debug` prints the header and the length only: the data may be a secret or a password proof.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct CommandApdu {
    bytes: Vec<u8>,
}

impl CommandApdu {
    /// Encodes a command. `data` is at most [`MAX_DATA`] bytes.
    ///
    /// # Errors
    /// [`ApduError::DataTooLong`].
    pub fn new(cla: u8, ins: u8, p1: u8, p2: u8, data: &[u8]) -> Result<Self, ApduError> {
        let mut bytes = Vec::with_capacity(6 + data.len());
        bytes.extend_from_slice(&[cla, ins, p1, p2]);
        if !data.is_empty() {
            let lc = u8::try_from(data.len()).map_err(|_| ApduError::DataTooLong(data.len()))?;
            bytes.push(lc);
            bytes.extend_from_slice(data);
        }
        bytes.push(0);
        Ok(Self { bytes })
    }

    /// Encodes a header alone, without Le (ISO 7816-4 case 1): for the one command that must not have it.
    #[must_use]
    pub fn header(cla: u8, ins: u8, p1: u8, p2: u8) -> Self {
        Self { bytes: alloc::vec![cla, ins, p1, p2] }
    }

    /// The bytes to transmit.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for CommandApdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommandApdu(")?;
        for byte in self.bytes.iter().take(4) {
            write!(f, "{byte:02X} ")?;
        }
        write!(f, "… {} bytes)", self.bytes.len())
    }
}

/// A received command APDU, decoded: the card's side. Short and extended encodings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Data field; empty if there is none.
    pub data: &'a [u8],
    /// Most bytes of data the caller takes (Le): 256 where a short command says `00`, 65,536 where an
    /// extended one says `0000`, 0 where there is none.
    pub le: usize,
}

impl<'a> Command<'a> {
    /// Decodes ISO 7816-4 cases 1 to 4, short and extended.
    ///
    /// # Errors
    /// [`ApduError::MalformedCommand`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApduError> {
        let malformed = || ApduError::MalformedCommand(bytes.len());
        let (&[cla, ins, p1, p2], body) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        let (data, le): (&[u8], usize) = match body {
            [] => (&[], 0),
            [le] => (&[], short_le(*le)),
            [0, hi, lo] => (&[], extended_le(*hi, *lo)),
            [0, hi, lo, rest @ ..] => {
                let lc = usize::from(u16::from_be_bytes([*hi, *lo]));
                match rest.split_at_checked(lc).ok_or_else(malformed)? {
                    (data, []) => (data, 0),
                    (data, [hi, lo]) => (data, extended_le(*hi, *lo)),
                    _ => return Err(malformed()),
                }
            }
            [lc, rest @ ..] => match rest.split_at_checked(usize::from(*lc)).ok_or_else(malformed)? {
                (data, []) => (data, 0),
                (data, [le]) => (data, short_le(*le)),
                _ => return Err(malformed()),
            },
        };
        Ok(Self { cla, ins, p1, p2, data, le })
    }
}

fn short_le(le: u8) -> usize {
    if le == 0 { 256 } else { usize::from(le) }
}

fn extended_le(hi: u8, lo: u8) -> usize {
    match u16::from_be_bytes([hi, lo]) {
        0 => 65_536,
        le => usize::from(le),
    }
}

/// A response APDU: data, then the status word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResponseApdu<'a> {
    /// Data field; may be empty.
    pub data: &'a [u8],
    /// How the command ended.
    pub status: StatusWord,
}

impl<'a> ResponseApdu<'a> {
    /// Splits a response of at least two bytes.
    ///
    /// # Errors
    /// [`ApduError::ResponseTooShort`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApduError> {
        let (data, sw) = bytes.split_last_chunk::<2>().ok_or(ApduError::ResponseTooShort(bytes.len()))?;
        Ok(Self { data, status: StatusWord(u16::from_be_bytes(*sw)) })
    }
}

/// SW1 and SW2 as one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Done.
    pub const OK: Self = Self(0x9000);
    /// Memory failure: on CALCULATE ALL, one stored credential is broken.
    pub const MEMORY_FAILURE: Self = Self(0x6581);
    /// Wrong length.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// A password is needed — or a touch never came: which one follows from the session's state.
    pub const SECURITY_STATUS: Self = Self(0x6982);
    /// No such credential.
    pub const NO_SUCH_OBJECT: Self = Self(0x6984);
    /// Conditions not satisfied: a duplicate, or "locked" on some applets.
    pub const CONDITIONS_NOT_SATISFIED: Self = Self(0x6985);
    /// Wrong syntax, or wrong password.
    pub const WRONG_DATA: Self = Self(0x6A80);
    /// File or applet not found.
    pub const NOT_FOUND: Self = Self(0x6A82);
    /// No space left.
    pub const NO_SPACE: Self = Self(0x6A84);
    /// Wrong parameters P1-P2.
    pub const WRONG_P1_P2: Self = Self(0x6A86);
    /// Wrong parameters P1-P2, as Yubico's applets say it.
    pub const WRONG_PARAMETERS: Self = Self(0x6B00);
    /// Applet selection failed.
    pub const SELECT_FAILED: Self = Self(0x6999);
    /// Unknown instruction.
    pub const INVALID_INSTRUCTION: Self = Self(0x6D00);
    /// Class not supported.
    pub const INVALID_CLASS: Self = Self(0x6E00);

    /// Whether more data waits (`61xx`).
    #[must_use]
    pub fn more_data(self) -> bool {
        self.0 >> 8 == 0x61
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match *self {
            Self::OK => "success",
            Self::MEMORY_FAILURE => "memory failure",
            Self::WRONG_LENGTH => "wrong length",
            Self::SECURITY_STATUS => "security status not satisfied",
            Self::NO_SUCH_OBJECT => "no such object",
            Self::CONDITIONS_NOT_SATISFIED => "conditions not satisfied",
            Self::WRONG_DATA => "wrong data",
            Self::NOT_FOUND => "not found",
            Self::NO_SPACE => "no space",
            Self::WRONG_P1_P2 | Self::WRONG_PARAMETERS => "wrong P1 or P2",
            Self::SELECT_FAILED => "applet selection failed",
            Self::INVALID_INSTRUCTION => "instruction not supported",
            Self::INVALID_CLASS => "class not supported",
            other if other.more_data() => "more data",
            _ => "unknown",
        };
        write!(f, "{:04X} ({meaning})", self.0)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_encoded_with_le() {
        #[track_caller]
        fn check(data: &[u8], expected: &[u8]) {
            assert_eq!(CommandApdu::new(0, 0xA4, 4, 0, data).unwrap().as_bytes(), expected);
        }
        check(&[], &[0, 0xA4, 4, 0, 0]);
        check(&[1, 2], &[0, 0xA4, 4, 0, 2, 1, 2, 0]);
        assert_eq!(CommandApdu::new(0, 0, 0, 0, &[0; 256]), Err(ApduError::DataTooLong(256)));
        assert_eq!(CommandApdu::new(0, 0, 0, 0, &[0; 255]).unwrap().as_bytes().len(), 261);
    }

    #[test]
    fn commands_are_decoded_in_every_case() {
        #[track_caller]
        fn check(bytes: &[u8], expected: Option<(&[u8], usize)>) {
            let got = Command::parse(bytes);
            assert_eq!(got.as_ref().ok().map(|c| (c.data, c.le)), expected, "{bytes:02X?}");
        }
        check(&[], None);
        check(&[0, 1, 2], None);
        check(&[0, 1, 2, 3], Some((&[], 0)));
        check(&[0, 1, 2, 3, 0], Some((&[], 256)));
        check(&[0, 1, 2, 3, 7], Some((&[], 7)));
        check(&[0, 1, 2, 3, 2, 8, 9], Some((&[8, 9], 0)));
        check(&[0, 1, 2, 3, 2, 8, 9, 5], Some((&[8, 9], 5)));
        check(&[0, 1, 2, 3, 2, 8], None);
        check(&[0, 1, 2, 3, 2, 8, 9, 5, 5], None);
        check(&[0, 1, 2, 3, 0, 0, 0], Some((&[], 65_536)));
        check(&[0, 1, 2, 3, 0, 1, 0], Some((&[], 256)));
        check(&[0, 1, 2, 3, 0, 0, 1, 9], Some((&[9], 0)));
        check(&[0, 1, 2, 3, 0, 0, 1, 9, 0, 0], Some((&[9], 65_536)));
        check(&[0, 1, 2, 3, 0, 0, 2, 9], None);
    }

    #[test]
    fn responses_need_a_status_word() {
        assert_eq!(ResponseApdu::parse(&[0x90]).err(), Some(ApduError::ResponseTooShort(1)));
        let response = ResponseApdu::parse(&[1, 0x61, 0xFF]).unwrap();
        assert_eq!((response.data, response.status), (&[1][..], StatusWord(0x61FF)));
        assert!(response.status.more_data());
    }

    #[test]
    fn debug_never_shows_the_data() {
        let command = CommandApdu::new(0, 1, 0, 0, b"secret").unwrap();
        assert_eq!(format!("{command:?}"), "CommandApdu(00 01 00 00 … 12 bytes)");
    }
}
