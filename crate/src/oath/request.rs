//! The instructions: what each sends, how its answer is read, and what its status words mean.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::code::hmac;
use super::protocol::{ACCESS_KEY_LEN, ACCESS_KEY_ROUNDS, AID, CLA, MIN_KEY, ins, p2, property, tag};
use super::{Algorithm, CredentialId, DigitCount, Feature, Kind, OathError};
use crate::apdu::{CommandApdu, StatusWord};
use crate::tlv::{Reader, Writer};

/// One instruction to the applet.
pub trait Request {
    /// What its answer says.
    type Answer;

    /// Its instruction byte.
    const INS: u8;

    /// The command.
    ///
    /// # Errors
    /// [`OathError`] if it cannot be encoded.
    fn command(&self) -> Result<CommandApdu, OathError>;

    /// Reads the whole, drained answer.
    ///
    /// # Errors
    /// [`OathError`] if it is not one.
    fn parse(&self, body: &[u8]) -> Result<Self::Answer, OathError>;

    /// What a status word other than `9000` means. `locked`: the session wants a password that was not proved.
    fn refusal(&self, status: StatusWord, locked: bool) -> OathError {
        refusal(Self::INS, status, locked)
    }

    /// Whether it cannot be done without a feature.
    fn needs(&self, _feature: Feature) -> bool {
        false
    }
}

/// What status words mean to most instructions.
fn refusal(ins: u8, status: StatusWord, locked: bool) -> OathError {
    match status {
        StatusWord::SECURITY_STATUS => OathError::Locked,
        StatusWord::CONDITIONS_NOT_SATISFIED if locked => OathError::Locked,
        StatusWord::NO_SUCH_OBJECT | StatusWord::NOT_FOUND => OathError::NoSuchCredential,
        StatusWord::NO_SPACE => OathError::NoSpace,
        StatusWord::MEMORY_FAILURE => OathError::BrokenCredential,
        StatusWord::WRONG_DATA => OathError::Refused { ins },
        StatusWord::INVALID_INSTRUCTION => OathError::Unsupported { ins },
        status => OathError::Status { ins, status },
    }
}

/// What they mean to the instructions that write a name: `6985` is a duplicate.
fn write_refusal(ins: u8, status: StatusWord, locked: bool) -> OathError {
    match status {
        StatusWord::CONDITIONS_NOT_SATISFIED if !locked => OathError::Exists,
        status => refusal(ins, status, locked),
    }
}

/// What they mean to the instructions that may want a touch: the applet gives one that never came the same word as a
/// password that was never proved.
fn calculate_refusal(ins: u8, status: StatusWord, locked: bool) -> OathError {
    match status {
        StatusWord::SECURITY_STATUS if !locked => OathError::TouchTimeout,
        status => refusal(ins, status, locked),
    }
}

fn command(ins: u8, p1: u8, p2: u8, data: &[u8]) -> Result<CommandApdu, OathError> {
    Ok(CommandApdu::new(CLA, ins, p1, p2, data)?)
}

/// Nothing may follow.
fn end(reader: Reader<'_>) -> Result<(), OathError> {
    match reader.remaining() {
        0 => Ok(()),
        n => Err(OathError::TrailingBytes(n)),
    }
}

fn array<const N: usize>(tag: u8, value: &[u8]) -> Result<[u8; N], OathError> {
    value.try_into().map_err(|_| OathError::FieldLength { tag, got: value.len() })
}

/// Selects the OATH applet.
#[derive(Debug, Clone, Copy)]
pub struct Select;

/// The applet's version: of the firmware on YubiKeys, of the applet elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Version(pub u8, pub u8, pub u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What SELECT answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The applet's version.
    pub version: Version,
    /// Salt of the password, and the device's id until the next reset; 8 bytes on most cards.
    pub salt: Vec<u8>,
    /// Challenge to prove the password against; none where there is no password.
    pub challenge: Option<Vec<u8>>,
}

impl Selected {
    #[cfg(test)]
    pub(super) fn bytes_for_tests(locked: bool) -> Vec<u8> {
        let mut bytes = vec![0x79, 3, 5, 7, 1, 0x71, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        if locked {
            bytes.extend([0x74, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x7B, 1, 1]);
        }
        bytes.extend([0x90, 0]);
        bytes
    }

    #[cfg(test)]
    pub(super) fn parse_for_tests(locked: bool) -> Self {
        let bytes = Self::bytes_for_tests(locked);
        Select.parse(&bytes[..bytes.len() - 2]).unwrap()
    }
}

impl Request for Select {
    type Answer = Selected;
    const INS: u8 = ins::SELECT;

    fn command(&self) -> Result<CommandApdu, OathError> {
        command(Self::INS, 0x04, 0x00, &AID)
    }

    fn parse(&self, body: &[u8]) -> Result<Selected, OathError> {
        let mut reader = Reader::new(body);
        let [major, minor, patch] = array(tag::VERSION, reader.expect(tag::VERSION)?)?;
        let salt = reader.expect(tag::NAME)?.to_vec();
        let mut challenge = None;
        // Later fields are not the same everywhere (some cards add a serial number): what is unknown is skipped.
        while !reader.is_empty() {
            match reader.next()? {
                (tag::CHALLENGE, value) if (1..=64).contains(&value.len()) => {
                    challenge = Some(value.to_vec())
                }
                (tag::CHALLENGE, value) => {
                    return Err(OathError::FieldLength { tag: tag::CHALLENGE, got: value.len() });
                }
                _ => {}
            }
        }
        Ok(Selected { version: Version(major, minor, patch), salt, challenge })
    }

    fn refusal(&self, status: StatusWord, _locked: bool) -> OathError {
        match status {
            StatusWord::NOT_FOUND
            | StatusWord::SELECT_FAILED
            | StatusWord::INVALID_INSTRUCTION
            | StatusWord::INVALID_CLASS
            | StatusWord::WRONG_P1_P2
            | StatusWord::WRONG_PARAMETERS => OathError::NoApplet,
            status => OathError::Status { ins: Self::INS, status },
        }
    }
}

/// The 16 bytes that a password becomes. Erased on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AccessKey([u8; ACCESS_KEY_LEN]);

impl AccessKey {
    /// PBKDF2-HMAC-SHA1 over the salt of SELECT, 1000 rounds, cut to 16 bytes: as Yubico derives it.
    #[must_use]
    pub fn derive(password: &str, salt: &[u8]) -> Self {
        let mut key = [0; ACCESS_KEY_LEN];
        pbkdf2::pbkdf2_hmac::<sha1::Sha1>(password.as_bytes(), salt, ACCESS_KEY_ROUNDS, &mut key);
        Self(key)
    }

    /// Takes a key that was derived before.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ACCESS_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever keeps them encrypted.
    #[must_use]
    pub fn expose(&self) -> &[u8; ACCESS_KEY_LEN] {
        &self.0
    }

    /// HMAC-SHA1 of a challenge: 20 bytes.
    #[must_use]
    pub fn respond(&self, challenge: &[u8]) -> Zeroizing<Vec<u8>> {
        hmac(Algorithm::Sha1, &self.0, challenge)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(…)")
    }
}

/// Proves the password to the card, and has the card prove it back.
pub struct Validate {
    proof: Zeroizing<Vec<u8>>,
    host_challenge: [u8; 8],
    expected: Zeroizing<Vec<u8>>,
}

impl Validate {
    /// `challenge` is the card's, of SELECT; `host_challenge` is random.
    #[must_use]
    pub fn new(key: &AccessKey, challenge: &[u8], host_challenge: [u8; 8]) -> Self {
        Self { proof: key.respond(challenge), host_challenge, expected: key.respond(&host_challenge) }
    }
}

impl Request for Validate {
    type Answer = ();
    const INS: u8 = ins::VALIDATE;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        data.put(tag::RESPONSE, &[&self.proof])?.put(tag::CHALLENGE, &[&self.host_challenge])?;
        command(Self::INS, 0, 0, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<(), OathError> {
        let mut reader = Reader::new(body);
        let proof = reader.expect(tag::RESPONSE)?;
        end(reader)?;
        if bool::from(proof.ct_eq(&self.expected)) { Ok(()) } else { Err(OathError::CardProof) }
    }

    fn refusal(&self, status: StatusWord, _locked: bool) -> OathError {
        match status {
            StatusWord::WRONG_DATA | StatusWord::SECURITY_STATUS | StatusWord::CONDITIONS_NOT_SATISFIED => {
                OathError::WrongPassword
            }
            status => OathError::Status { ins: Self::INS, status },
        }
    }
}

/// Sets the password (its key) of the applet, or removes it.
pub struct SetCode {
    key: Option<(AccessKey, [u8; 8])>,
}

impl SetCode {
    /// Sets a password. `host_challenge` is random: the card checks that both derive the same from it.
    #[must_use]
    pub fn set(key: AccessKey, host_challenge: [u8; 8]) -> Self {
        Self { key: Some((key, host_challenge)) }
    }

    /// Removes the password.
    #[must_use]
    pub fn remove() -> Self {
        Self { key: None }
    }
}

impl Request for SetCode {
    type Answer = ();
    const INS: u8 = ins::SET_CODE;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        match &self.key {
            None => data.put(tag::KEY, &[])?,
            Some((key, challenge)) => data
                .put(tag::KEY, &[&[Kind::Totp as u8 | Algorithm::Sha1 as u8], key.expose()])?
                .put(tag::CHALLENGE, &[challenge])?
                .put(tag::RESPONSE, &[&key.respond(challenge)])?,
        };
        command(Self::INS, 0, 0, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<(), OathError> {
        end(Reader::new(body))
    }

    fn refusal(&self, status: StatusWord, locked: bool) -> OathError {
        match status {
            // The card derives another response from the key than this program: nothing is missing on it.
            StatusWord::NO_SUCH_OBJECT => OathError::Refused { ins: Self::INS },
            status => refusal(Self::INS, status, locked),
        }
    }
}

/// Lists the credentials.
#[derive(Debug, Clone, Copy)]
pub struct List;

/// One credential, as LIST tells it: neither digits nor touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its id.
    pub id: CredentialId,
    /// What moves its code.
    pub kind: Kind,
    /// Its hash; none if it is one that this program does not know.
    pub algorithm: Option<Algorithm>,
}

impl Request for List {
    type Answer = Vec<ListEntry>;
    const INS: u8 = ins::LIST;

    fn command(&self) -> Result<CommandApdu, OathError> {
        command(Self::INS, 0, 0, &[])
    }

    fn parse(&self, body: &[u8]) -> Result<Vec<ListEntry>, OathError> {
        let mut reader = Reader::new(body);
        let mut entries = Vec::new();
        while !reader.is_empty() {
            let value = reader.expect(tag::NAME_LIST)?;
            let (&kind, id) =
                value.split_first().ok_or(OathError::FieldLength { tag: tag::NAME_LIST, got: 0 })?;
            // One odd credential must not hide the others. An id that cannot be one cannot be asked for either.
            let Ok(id) = CredentialId::from_bytes(id) else { continue };
            entries.push(ListEntry {
                id,
                // All that follows from the kind here is how the name is read.
                kind: Kind::from_type_byte(kind).unwrap_or(Kind::Totp),
                algorithm: Algorithm::from_type_byte(kind),
            });
        }
        Ok(entries)
    }
}

/// A truncated HMAC, and the digits its code has.
#[derive(Clone, PartialEq, Eq)]
pub struct Truncated {
    /// Digits of the code.
    pub digits: DigitCount,
    /// 31 bits; not reduced modulo 10^digits on every card.
    pub value: u32,
}

impl Truncated {
    fn parse(value: &[u8]) -> Result<Self, OathError> {
        let (&digits, bits) = value
            .split_first()
            .ok_or(OathError::FieldLength { tag: tag::TRUNCATED_RESPONSE, got: value.len() })?;
        Ok(Self {
            digits: digit_count(tag::TRUNCATED_RESPONSE, digits)?,
            value: u32::from_be_bytes(array(tag::TRUNCATED_RESPONSE, bits)?),
        })
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> String {
        self.digits.format(self.value)
    }
}

impl fmt::Debug for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Truncated({} digits)", self.digits.get())
    }
}

fn digit_count(tag: u8, digits: u8) -> Result<DigitCount, OathError> {
    DigitCount::new(digits).map_err(|_| OathError::FieldValue { tag, got: digits })
}

/// Calculates one code.
#[derive(Debug, Clone)]
pub struct Calculate {
    /// Of which credential.
    pub id: CredentialId,
    /// What moves it: a counter on the card takes no challenge.
    pub kind: Kind,
    /// Time step (TOTP): Unix time divided by the period.
    pub challenge: u64,
}

impl Request for Calculate {
    type Answer = Truncated;
    const INS: u8 = ins::CALCULATE;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let challenge = self.challenge.to_be_bytes();
        let challenge: &[u8] = if self.kind == Kind::Totp { &challenge } else { &[] };
        let mut data = Writer::new();
        data.put(tag::NAME, &[self.id.as_bytes()])?.put(tag::CHALLENGE, &[challenge])?;
        command(Self::INS, 0, p2::TRUNCATED, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<Truncated, OathError> {
        let mut reader = Reader::new(body);
        let answer = Truncated::parse(reader.expect(tag::TRUNCATED_RESPONSE)?)?;
        end(reader)?;
        Ok(answer)
    }

    fn refusal(&self, status: StatusWord, locked: bool) -> OathError {
        calculate_refusal(Self::INS, status, locked)
    }
}

/// Calculates a whole HMAC over any challenge (at most 64 bytes on some cards, 8 on others).
#[derive(Clone)]
pub struct CalculateFull {
    /// Of which credential.
    pub id: CredentialId,
    /// What to compute over.
    pub challenge: Vec<u8>,
}

/// A whole HMAC: 20, 32 or 64 bytes. May be key material: erased on drop, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct FullResponse(Vec<u8>);

impl FullResponse {
    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FullResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FullResponse({} bytes)", self.0.len())
    }
}

impl Request for CalculateFull {
    type Answer = FullResponse;
    const INS: u8 = ins::CALCULATE;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        data.put(tag::NAME, &[self.id.as_bytes()])?.put(tag::CHALLENGE, &[&self.challenge])?;
        command(Self::INS, 0, p2::FULL, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<FullResponse, OathError> {
        let mut reader = Reader::new(body);
        let value = reader.expect(tag::RESPONSE)?;
        end(reader)?;
        match value {
            [_digits, mac @ ..] if matches!(mac.len(), 20 | 32 | 64) => Ok(FullResponse(mac.to_vec())),
            _ => Err(OathError::FieldLength { tag: tag::RESPONSE, got: value.len() }),
        }
    }

    fn refusal(&self, status: StatusWord, locked: bool) -> OathError {
        calculate_refusal(Self::INS, status, locked)
    }
}

/// Calculates the codes of all TOTP credentials that want no touch, for one time step.
#[derive(Debug, Clone, Copy)]
pub struct CalculateAll {
    /// Unix time divided by 30. Credentials of another period want a [`Calculate`] of their own.
    pub challenge: u64,
}

/// What CALCULATE ALL says of one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calculated {
    /// TOTP, calculated.
    Code(Truncated),
    /// TOTP that wants a touch.
    Touch,
    /// HOTP: not calculated, for that would move its counter.
    Hotp,
    /// Calculated, with an answer that no code can be made of.
    Odd,
}

impl Request for CalculateAll {
    type Answer = Vec<(CredentialId, Calculated)>;
    const INS: u8 = ins::CALCULATE_ALL;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        data.put(tag::CHALLENGE, &[&self.challenge.to_be_bytes()])?;
        command(Self::INS, 0, p2::TRUNCATED, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<Self::Answer, OathError> {
        let mut reader = Reader::new(body);
        let mut entries = Vec::new();
        while !reader.is_empty() {
            let id = CredentialId::from_bytes(reader.expect(tag::NAME)?);
            let calculated = match reader.next()? {
                // One odd credential must not hide the others.
                (tag::TRUNCATED_RESPONSE, value) => {
                    Truncated::parse(value).map_or(Calculated::Odd, Calculated::Code)
                }
                (tag::TOUCH, _) => Calculated::Touch,
                (tag::NO_RESPONSE, _) => Calculated::Hotp,
                (got, _) => {
                    return Err(crate::tlv::TlvError::UnexpectedTag {
                        expected: tag::TRUNCATED_RESPONSE,
                        got,
                    }
                    .into());
                }
            };
            // An id that cannot be one cannot be asked for either.
            entries.extend(id.ok().map(|id| (id, calculated)));
        }
        Ok(entries)
    }
}

/// Adds a credential. **Overwrites one of the same id on most cards**: LIST first.
pub struct Put {
    id: CredentialId,
    kind: Kind,
    algorithm: Algorithm,
    digits: DigitCount,
    key: Zeroizing<Vec<u8>>,
    touch: bool,
    counter: u32,
}

impl Put {
    /// A TOTP credential. `secret` is the bare key: it is hashed or padded here, as the card wants it.
    #[must_use]
    pub fn totp(
        id: CredentialId,
        algorithm: Algorithm,
        digits: DigitCount,
        secret: &[u8],
        touch: bool,
    ) -> Self {
        Self { id, kind: Kind::Totp, algorithm, digits, key: shape_key(algorithm, secret), touch, counter: 0 }
    }

    /// An HOTP credential, `counter` being the moving factor of its first code.
    #[must_use]
    pub fn hotp(
        id: CredentialId,
        algorithm: Algorithm,
        digits: DigitCount,
        secret: &[u8],
        touch: bool,
        counter: u32,
    ) -> Self {
        Self { kind: Kind::Hotp, counter, ..Self::totp(id, algorithm, digits, secret, touch) }
    }
}

impl Request for Put {
    type Answer = ();
    const INS: u8 = ins::PUT;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        data.put(tag::NAME, &[self.id.as_bytes()])?
            .put(tag::KEY, &[&[self.kind as u8 | self.algorithm as u8, self.digits.get()], &self.key])?;
        if self.touch {
            // One byte, without a length: `78 01 02` sets the wrong property on some applets.
            data.raw(&[tag::PROPERTY, property::REQUIRE_TOUCH]);
        }
        if self.counter > 0 {
            data.put(tag::INITIAL_MOVING_FACTOR, &[&self.counter.to_be_bytes()])?;
        }
        command(Self::INS, 0, 0, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<(), OathError> {
        end(Reader::new(body))
    }

    fn refusal(&self, status: StatusWord, locked: bool) -> OathError {
        write_refusal(Self::INS, status, locked)
    }

    fn needs(&self, feature: Feature) -> bool {
        match feature {
            Feature::Touch => self.touch,
            Feature::Sha512 => self.algorithm == Algorithm::Sha512,
            Feature::Rename => false,
        }
    }
}

/// A key as the card wants it: hashed if it is longer than the hash's block, padded to 14 bytes if shorter.
fn shape_key(algorithm: Algorithm, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    use sha2::Digest as _;
    // Room for the padding, so that no copy is left behind by a reallocation.
    let mut key = Zeroizing::new(Vec::with_capacity(algorithm.block_len()));
    if secret.len() <= algorithm.block_len() {
        key.extend_from_slice(secret);
    } else {
        match algorithm {
            Algorithm::Sha1 => key.extend_from_slice(&sha1::Sha1::digest(secret)),
            Algorithm::Sha256 => key.extend_from_slice(&sha2::Sha256::digest(secret)),
            Algorithm::Sha512 => key.extend_from_slice(&sha2::Sha512::digest(secret)),
        }
    }
    if key.len() < MIN_KEY {
        key.resize(MIN_KEY, 0);
    }
    key
}

/// Removes a credential.
#[derive(Debug, Clone)]
pub struct Delete {
    /// Which.
    pub id: CredentialId,
}

impl Request for Delete {
    type Answer = ();
    const INS: u8 = ins::DELETE;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        data.put(tag::NAME, &[self.id.as_bytes()])?;
        command(Self::INS, 0, 0, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<(), OathError> {
        end(Reader::new(body))
    }
}

/// Renames a credential (firmware 5.3.1). Overwrites the target on some cards: LIST first.
#[derive(Debug, Clone)]
pub struct Rename {
    /// From.
    pub from: CredentialId,
    /// To.
    pub to: CredentialId,
}

impl Request for Rename {
    type Answer = ();
    const INS: u8 = ins::RENAME;

    fn command(&self) -> Result<CommandApdu, OathError> {
        let mut data = Writer::new();
        data.put(tag::NAME, &[self.from.as_bytes()])?.put(tag::NAME, &[self.to.as_bytes()])?;
        command(Self::INS, 0, 0, data.as_bytes())
    }

    fn parse(&self, body: &[u8]) -> Result<(), OathError> {
        end(Reader::new(body))
    }

    fn refusal(&self, status: StatusWord, locked: bool) -> OathError {
        write_refusal(Self::INS, status, locked)
    }

    fn needs(&self, feature: Feature) -> bool {
        feature == Feature::Rename
    }
}

/// Erases the applet: all credentials and the password.
#[derive(Debug, Clone, Copy)]
pub struct Reset;

impl Request for Reset {
    type Answer = ();
    const INS: u8 = ins::RESET;

    fn command(&self) -> Result<CommandApdu, OathError> {
        command(Self::INS, 0xDE, 0xAD, &[])
    }

    fn parse(&self, body: &[u8]) -> Result<(), OathError> {
        end(Reader::new(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv::TlvError;

    fn id(name: &str) -> CredentialId {
        CredentialId::from_bytes(name.as_bytes()).unwrap()
    }

    #[test]
    fn commands_are_those_of_the_protocol() {
        #[track_caller]
        fn check(request: &impl Request, expected: &str) {
            let hex = data_encoding::HEXUPPER.encode(request.command().unwrap().as_bytes());
            assert_eq!(hex, expected.replace(' ', ""));
        }
        check(&Select, "00A40400 07 A0000005272101 00");
        check(&List, "00A10000 00");
        check(&CalculateAll { challenge: 1 }, "00A40001 0A 7408 0000000000000001 00");
        check(
            &Calculate { id: id("a"), kind: Kind::Totp, challenge: 1 },
            "00A20001 0D 710161 7408 0000000000000001 00",
        );
        check(&Calculate { id: id("a"), kind: Kind::Hotp, challenge: 1 }, "00A20001 05 710161 7400 00");
        check(
            &CalculateFull { id: id("a"), challenge: b"20260101".to_vec() },
            "00A20000 0D 710161 7408 3230323630313031 00",
        );
        check(&Delete { id: id("a") }, "00020000 03 710161 00");
        check(&Rename { from: id("a"), to: id("b") }, "00050000 06 710161 710162 00");
        check(&Reset, "0004DEAD 00");
        check(&SetCode::remove(), "00030000 02 7300 00");
        let six = DigitCount::SIX;
        check(
            &Put::totp(id("a"), Algorithm::Sha256, six, &[1; 14], true),
            "00010000 17 710161 7310 2206 0101010101010101010101010101 7802 00",
        );
        check(
            &Put::hotp(id("a"), Algorithm::Sha1, six, &[1; 2], false, 5),
            "00010000 1B 710161 7310 1106 0101000000000000000000000000 7A04 00000005 00",
        );
    }

    #[test]
    fn keys_are_shaped_as_the_card_wants_them() {
        #[track_caller]
        fn check(algorithm: Algorithm, length: usize, expected: usize) {
            assert_eq!(shape_key(algorithm, &vec![7; length]).len(), expected);
            // An HMAC does not tell the shaped key from the bare one.
            assert_eq!(
                hmac(algorithm, &shape_key(algorithm, &vec![7; length]), b"x"),
                hmac(algorithm, &vec![7; length], b"x")
            );
        }
        check(Algorithm::Sha1, 1, 14);
        check(Algorithm::Sha1, 64, 64);
        check(Algorithm::Sha1, 65, 20);
        check(Algorithm::Sha256, 65, 32);
        check(Algorithm::Sha512, 128, 128);
        check(Algorithm::Sha512, 129, 64);
    }

    #[test]
    fn answers_are_read_strictly() {
        let calculate = Calculate { id: id("a"), kind: Kind::Totp, challenge: 1 };
        let answer = calculate.parse(&[0x76, 5, 6, 0x7F, 0xFF, 0xFF, 0xFF]).unwrap();
        assert_eq!(answer.code(), "483647");
        #[track_caller]
        fn check(got: Result<Truncated, OathError>, expected: OathError) {
            assert_eq!(got.unwrap_err(), expected);
        }
        check(calculate.parse(&[]), OathError::Tlv(TlvError::Truncated { missing: 1 }));
        check(calculate.parse(&[0x76, 0]), OathError::FieldLength { tag: 0x76, got: 0 });
        check(calculate.parse(&[0x76, 1, 6]), OathError::FieldLength { tag: 0x76, got: 0 });
        check(calculate.parse(&[0x76, 5, 99, 0, 0, 0, 0]), OathError::FieldValue { tag: 0x76, got: 99 });
        check(calculate.parse(&[0x76, 5, 6, 0, 0, 0, 0, 1]), OathError::TrailingBytes(1));
        check(
            calculate.parse(&[0x75, 0]),
            OathError::Tlv(TlvError::UnexpectedTag { expected: 0x76, got: 0x75 }),
        );
        assert!(List.parse(&[0x72, 0]).is_err());
        assert!(List.parse(&[0x73, 2, 0x21, 0x61]).is_err());
        assert!(CalculateAll { challenge: 0 }.parse(&[0x71, 1, 0x61]).is_err());
        assert!(CalculateAll { challenge: 0 }.parse(&[0x71, 1, 0x61, 0x79, 0]).is_err());
    }

    #[test]
    fn one_odd_credential_does_not_hide_the_others() {
        let body =
            [&[0x72, 2, 0xF1, b'a', 0x72, 1, 0x21, 0x72, 66, 0x21][..], &[b'x'; 65], &[0x72, 2, 0x24, b'b']];
        let entries = List.parse(&body.concat()).unwrap();
        let read: Vec<_> = entries.iter().map(|e| (e.id.as_bytes(), e.kind, e.algorithm)).collect();
        assert_eq!(read, [(&b"a"[..], Kind::Totp, Some(Algorithm::Sha1)), (b"b", Kind::Totp, None)]);
        let body = [0x71, 1, b'a', 0x76, 5, 99, 0, 0, 0, 1, 0x71, 0, 0x7C, 1, 6, 0x71, 1, b'b', 0x7C, 1, 6];
        let entries = CalculateAll { challenge: 0 }.parse(&body).unwrap();
        assert_eq!(entries, [(id("a"), Calculated::Odd), (id("b"), Calculated::Touch)]);
    }

    #[test]
    fn all_of_calculate_all() {
        let body =
            [0x71, 1, b'a', 0x76, 5, 6, 0, 0, 0, 1, 0x71, 1, b'b', 0x7C, 1, 6, 0x71, 1, b'c', 0x77, 1, 6];
        let entries = CalculateAll { challenge: 0 }.parse(&body).unwrap();
        let code = Truncated { digits: DigitCount::SIX, value: 1 };
        assert_eq!(
            entries,
            [(id("a"), Calculated::Code(code)), (id("b"), Calculated::Touch), (id("c"), Calculated::Hotp)]
        );
    }

    #[test]
    fn the_password_is_derived_as_yubico_does() {
        // PBKDF2-HMAC-SHA1("password", 8 zero bytes, 1000, 16), from an independent implementation.
        let key = AccessKey::derive("password", &[0; 8]);
        assert_eq!(data_encoding::HEXLOWER.encode(key.expose()), PBKDF2_VECTOR);
        assert_eq!(format!("{key:?}"), "AccessKey(…)");
    }

    /// `python3 -c 'import hashlib; print(hashlib.pbkdf2_hmac("sha1", b"password", bytes(8), 1000, 16).hex())'`
    const PBKDF2_VECTOR: &str = "c7ed655363041dc868bf73ab3b4ac686";

    #[test]
    fn a_card_that_cannot_prove_the_password_is_not_trusted() {
        let validate = Validate::new(&AccessKey::derive("p", &[0; 8]), &[1; 8], [2; 8]);
        let mut proof = vec![0x75, 20];
        proof.extend_from_slice(&AccessKey::derive("p", &[0; 8]).respond(&[2; 8]));
        assert_eq!(validate.parse(&proof), Ok(()));
        proof[5] ^= 1;
        assert_eq!(validate.parse(&proof), Err(OathError::CardProof));
        assert_eq!(validate.parse(&[0x75, 0]), Err(OathError::CardProof));
    }
}
