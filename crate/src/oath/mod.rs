//! A YKOATH client without I/O.
//!
//! ```text
//!   Request (select, list, calculate, …)          what is asked, how its answer is read
//!      │ Session::exchange
//!      ▼
//!   Exchange::step(None) ─► Transmit(CommandApdu) ─► [ card ] ─► step(Some(response)) ─► … ─► Done(answer)
//! ```
//!
//! An exchange drains `61xx`, proves the password again where an applet forgets it, and says what a status
//! word means here. A driver only carries bytes: see the blocking one for PC/SC in the host.

mod base32;
mod code;
mod credential;
mod exchange;
mod feature;
mod migration;
mod otpauth;
pub mod protocol;
mod request;

pub use code::{DigitCount, InvalidDigits, hmac, hotp, steam_code, truncate};
pub use credential::{Algorithm, CredentialId, IdError, Kind, NameParts};
pub use exchange::{Exchange, Session, Single, Step};
pub use feature::Feature;
pub use migration::{Migration, MigrationAccount, MigrationAccountError, MigrationError};
pub use otpauth::{OtpAuth, OtpAuthError};
pub use request::{
    AccessKey, Calculate, CalculateAll, CalculateFull, Calculated, Delete, FullResponse, List, ListEntry,
    Put, Rename, Request, Reset, Select, Selected, SetCode, Truncated, Validate, Version,
};

use crate::apdu::{ApduError, StatusWord};
use crate::tlv::TlvError;

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OathError {
    /// A malformed APDU.
    #[error(transparent)]
    Apdu(#[from] ApduError),
    /// A malformed TLV.
    #[error("the card's answer is malformed: {0}")]
    Tlv(#[from] TlvError),
    /// The card has no OATH applet, or it is disabled.
    #[error("no OATH applet on this card")]
    NoApplet,
    /// A password is needed.
    #[error("the key is locked with a password")]
    Locked,
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The card could not prove that it knows the password: it is not the card it claims to be.
    #[error("the card does not know its own password: do not trust it")]
    CardProof,
    /// Nobody touched the key in time.
    #[error("the key was not touched in time")]
    TouchTimeout,
    /// No credential of this id.
    #[error("no such account on the key")]
    NoSuchCredential,
    /// There is one already (on cards that say so).
    #[error("an account of this name is on the key already")]
    Exists,
    /// All slots are taken.
    #[error("the key is full")]
    NoSpace,
    /// One of the credentials on the key is broken (memory failure).
    #[error("an account on the key is broken (memory failure)")]
    BrokenCredential,
    /// The applet does not know the instruction.
    #[error("the key does not support instruction {ins:02X}")]
    Unsupported {
        /// The instruction.
        ins: u8,
    },
    /// The applet refused the data of the instruction: an algorithm or a property it does not know.
    #[error("the key refused the data of instruction {ins:02X}: its firmware may lack this feature")]
    Refused {
        /// The instruction.
        ins: u8,
    },
    /// The applet is older than what was asked of it.
    #[error("this key cannot {feature}: that takes version {}, and its OATH has {version}", feature.since())]
    Lacks {
        /// What it cannot do.
        feature: Feature,
        /// The applet's version.
        version: Version,
    },
    /// Another status word.
    #[error("the card answered instruction {ins:02X} with {status}")]
    Status {
        /// The instruction.
        ins: u8,
        /// The card's word.
        status: StatusWord,
    },
    /// More continuation blocks, or more bytes, than any applet has.
    #[error("the card's answer does not end")]
    Endless,
    /// The card said that more data waits, and sent none.
    #[error("the card promised more data and sent none")]
    EmptyContinuation,
    /// A field of a length that YKOATH does not give it.
    #[error("field {tag:02X} of the card's answer has {got} bytes")]
    FieldLength {
        /// Its tag.
        tag: u8,
        /// Its length in bytes.
        got: usize,
    },
    /// A value that YKOATH does not give a field.
    #[error("field {tag:02X} of the card's answer has the unknown value {got:02X}")]
    FieldValue {
        /// Its tag.
        tag: u8,
        /// Its value.
        got: u8,
    },
    /// Bytes are left over after the answer.
    #[error("{0} bytes too many in the card's answer")]
    TrailingBytes(usize),
    /// The exchange was used after its end, or before its start.
    #[error("exchange used out of order")]
    OutOfOrder,
    /// The id cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
}
