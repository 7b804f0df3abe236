//! What a software key's file keeps: the persistent state, secrets included.

use zeroize::Zeroizing;

use super::{Credential, Firmware, SoftKey};
use crate::oath::{AccessKey, Algorithm, Kind, Version};
use crate::secret::Secret;
use crate::tlv::{Reader, TlvError, Writer};

/// Why bytes are no state of a software key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Malformed.
    #[error("the software key's state is malformed: {0}")]
    Tlv(#[from] TlvError),
    /// Written by a later version.
    #[error("the software key's state has version {0}, which this program does not know: update it")]
    Version(u8),
    /// A field that cannot be.
    #[error("field {0:02X} of the software key's state is broken")]
    Field(u8),
}

// TLVs, in this order, after one byte of format version.

/// The format that is written. What is new in it: the firmware may be any of the table's, and a credential may have
/// [`LAST`]. Format 1 is read as well: its firmware is 5.7.
const FORMAT: u8 = 2;
const FORMAT_1: u8 = 1;

/// Version of the firmware that the key stands in for, three bytes.
const FIRMWARE: u8 = 0x01;
const SERIAL: u8 = 0x02;
const SALT: u8 = 0x03;
/// Optional.
const ACCESS_KEY: u8 = 0x04;
/// Any number of them.
const CREDENTIAL: u8 = 0x05;
// Inside a credential.
const ID: u8 = 0x11;
/// Type and algorithm, digits, property.
const SETTINGS: u8 = 0x12;
const KEY: u8 = 0x13;
const COUNTER: u8 = 0x14;
/// Highest challenge so far, where only increasing ones are answered. Optional.
const LAST: u8 = 0x15;

impl SoftKey {
    /// The persistent state, secrets included: to be encrypted by whoever stores it.
    ///
    /// # Errors
    /// [`StateError::Tlv`] is impossible in practice: every field is far below its limit.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let mut out = Writer::new();
        let version = self.firmware.version();
        out.raw(&[FORMAT])
            .put(FIRMWARE, &[&[version.0, version.1, version.2]])?
            .put(SERIAL, &[&self.serial.to_be_bytes()])?
            .put(SALT, &[&self.salt])?;
        if let Some(key) = &self.access_key {
            out.put(ACCESS_KEY, &[key.expose()])?;
        }
        for credential in &self.credentials {
            let kind = credential.kind as u8 | credential.algorithm as u8;
            let mut inner = Writer::new();
            inner
                .put(ID, &[&credential.id])?
                .put(SETTINGS, &[&[kind, credential.digits, credential.property]])?
                .put(KEY, &[credential.key.expose()])?
                .put(COUNTER, &[&credential.counter.to_be_bytes()])?;
            if !credential.last.is_empty() {
                inner.put(LAST, &[&credential.last])?;
            }
            out.put(CREDENTIAL, &[inner.as_bytes()])?;
        }
        Ok(Zeroizing::new(out.as_bytes().to_vec()))
    }

    /// Takes over a persistent state that another process wrote meanwhile; keeps the volatile one.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn reload(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let mut fresh = Self::from_bytes(bytes)?;
        (fresh.applet, fresh.challenge, fresh.validated) = (self.applet, self.challenge, self.validated);
        fresh.pending = core::mem::take(&mut self.pending);
        *self = fresh;
        Ok(())
    }

    /// Reads what [`SoftKey::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        fn array<const N: usize>(tag: u8, value: &[u8]) -> Result<[u8; N], StateError> {
            value.try_into().map_err(|_| StateError::Field(tag))
        }
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            FORMAT_1 | FORMAT => {}
            other => return Err(StateError::Version(other)),
        }
        let [major, minor, patch] = array(FIRMWARE, reader.expect(FIRMWARE)?)?;
        let firmware =
            Firmware::of_version(Version(major, minor, patch)).ok_or(StateError::Field(FIRMWARE))?;
        let serial = u32::from_be_bytes(array(SERIAL, reader.expect(SERIAL)?)?);
        let mut key = Self::with_firmware(firmware, serial, array(SALT, reader.expect(SALT)?)?);
        if let Some(bytes) = reader.optional(ACCESS_KEY)? {
            key.access_key = Some(AccessKey::from_bytes(array(ACCESS_KEY, bytes)?));
        }
        while !reader.is_empty() {
            let mut inner = Reader::new(reader.expect(CREDENTIAL)?);
            let id = inner.expect(ID)?.to_vec();
            let [kind, digits, property] = array(SETTINGS, inner.expect(SETTINGS)?)?;
            let secret = Secret::new(inner.expect(KEY)?.to_vec());
            let counter = u32::from_be_bytes(array(COUNTER, inner.expect(COUNTER)?)?);
            key.credentials.push(Credential {
                id,
                kind: Kind::from_type_byte(kind).ok_or(StateError::Field(SETTINGS))?,
                algorithm: Algorithm::from_type_byte(kind).ok_or(StateError::Field(SETTINGS))?,
                digits,
                key: secret,
                property,
                counter,
                last: inner.optional(LAST)?.unwrap_or_default().to_vec(),
            });
        }
        Ok(key)
    }
}
