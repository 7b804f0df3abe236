//! The software key's file: encrypted, never written in part, never losing what another process wrote.
//!
//! What is inside is the state of [`keyfob_core::softkey`], opaque here. `docs/software-key.md` describes the
//! format and what it protects against; the layout in code is `Header`.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use keyfob_core::message::ErrorCode;
use keyfob_core::secret::Secret;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::keychain::{Keychain, KeychainError};
use crate::locked::Locked;
use crate::paths::{Lock, PathError, create_atomically, write_atomically};

/// First bytes of every software key's file.
const MAGIC: [u8; 8] = *b"KEYFOBSK";
/// Version of the format.
const FORMAT: u8 = 1;
/// Magic, format, protection, two zero bytes, Argon2's m, t and p, salt, nonce.
const HEADER: usize = 64;
/// Poly1305's.
const TAG: usize = 16;
/// SHA-256 over all that stands before it.
const CHECKSUM: usize = 32;
/// Largest file that is read, in bytes. A full key takes a few kilobytes.
const MAX_FILE: usize = 1 << 20;
/// End of every file's name.
const EXTENSION: &str = ".key";

/// Why a software key could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoftError {
    /// The name cannot be one.
    #[error(
        "`{0}` cannot name a software key: use 1 to 32 letters, digits, dots, hyphens or underscores, no dot first"
    )]
    InvalidName(String),
    /// There is one of that name.
    #[error("there is a software key `{0}` already: choose another name, or delete it first")]
    Exists(Name),
    /// There is none of that name.
    #[error("there is no software key `{0}`: `keyfob soft list` shows those that are there")]
    NotFound(Name),
    /// A new key wants a passphrase.
    #[error("an empty passphrase protects nothing: give one, or keep the key in the keychain")]
    EmptyPassphrase,
    /// The passphrase does not open the file. (Nor would it if somebody had forged the file.)
    #[error("wrong passphrase for the software key `{0}`")]
    WrongPassphrase(Name),
    /// The file is opened with a passphrase, and none was given.
    #[error("the software key `{0}` wants its passphrase")]
    NeedsPassphrase(Name),
    /// The file is opened with a key in the keychain, and a passphrase was given.
    #[error("the software key `{0}` is opened by the keychain, not by a passphrase")]
    NeedsKeychain(Name),
    /// The keychain has lost the file's key.
    #[error(
        "the keychain does not hold the key of the software key `{0}`: without it the file cannot be opened"
    )]
    KeyMissing(Name),
    /// The keychain's key does not open the file.
    #[error("the keychain's key does not open the software key `{0}`: one of the two was changed")]
    WrongKey(Name),
    /// The file is damaged.
    #[error("the file of the software key `{name}` is damaged ({what}): restore it from a backup")]
    Corrupt {
        /// Whose file.
        name: Name,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file is of another version of the format.
    #[error(
        "the file of the software key `{name}` has format {got}, this program knows {FORMAT}: update Keyfob"
    )]
    UnsupportedFormat {
        /// Whose file.
        name: Name,
        /// The file's format.
        got: u8,
    },
    /// The file asks for more work than any file that Keyfob writes.
    #[error(
        "the file of the software key `{name}` asks for m={m} KiB, t={t}, p={p}: Keyfob did not write it"
    )]
    ExcessiveWork {
        /// Whose file.
        name: Name,
        /// Memory, in KiB.
        m: u32,
        /// Passes.
        t: u32,
        /// Lanes.
        p: u32,
    },
    /// Another process gave the file another key.
    #[error("the software key `{0}` was made anew meanwhile: unlock it again")]
    Replaced(Name),
    /// The state is larger than a file may be.
    #[error("the software key's state of {0} bytes is too large")]
    TooLarge(usize),
    /// The system has no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// Argon2 refused its parameters.
    #[error("key derivation failed: {0}")]
    Derivation(argon2::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The keychain could not be used.
    #[error(transparent)]
    Keychain(#[from] KeychainError),
}

impl SoftError {
    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidName(_) | Self::EmptyPassphrase | Self::NeedsKeychain(_) => ErrorCode::InvalidInput,
            Self::Exists(_) => ErrorCode::Exists,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::WrongPassphrase(_) => ErrorCode::WrongPassword,
            Self::NeedsPassphrase(_) | Self::KeyMissing(_) | Self::WrongKey(_) | Self::Replaced(_) => {
                ErrorCode::Locked
            }
            Self::Corrupt { .. } | Self::ExcessiveWork { .. } => ErrorCode::Io,
            Self::UnsupportedFormat { .. } => ErrorCode::Unsupported,
            Self::TooLarge(_) => ErrorCode::NoSpace,
            Self::Random(_) | Self::Derivation(_) => ErrorCode::Internal,
            Self::Path(error) => error.code(),
            Self::Keychain(error) => error.code(),
        }
    }
}

/// The name of a software key: `[A-Za-z0-9._-]{1,32}`, no dot first. Safe as a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = SoftError;

    fn from_str(name: &str) -> Result<Self, SoftError> {
        let fits = (1..=32).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(SoftError::InvalidName(name.escape_debug().to_string()))
        }
    }
}

/// What a person is asked for to open a key: completes "enter …".
#[must_use]
pub fn passphrase_of(name: &Name) -> String {
    format!("the passphrase of the software key {name}")
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What opens a software key's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// A passphrase.
    Passphrase,
    /// A key in the operating system's keychain.
    Keychain,
}

/// Means to open a file, or to protect a new one.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// With this passphrase.
    Passphrase(&'a Secret),
    /// With the key in this keychain.
    Keychain(&'a dyn Keychain),
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(…)",
            Self::Keychain(_) => "Keychain(…)",
        })
    }
}

/// What stands before the ciphertext and is authenticated with it. On disk, integers big-endian:
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 8 | `KEYFOBSK` |
/// | 8 | 1 | format, 1 |
/// | 9 | 1 | 1: key from a passphrase; 2: key in the keychain |
/// | 10 | 2 | 0 |
/// | 12 | 4 | Argon2id's m in KiB (0 with the keychain) |
/// | 16 | 4 | its t (0 with the keychain) |
/// | 20 | 4 | its p (0 with the keychain) |
/// | 24 | 16 | its salt, or what names the keychain's entry |
/// | 40 | 24 | XChaCha20-Poly1305's nonce, new with every write |
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    key: KeySource,
    nonce: [u8; 24],
}

/// Where the file's key comes from. Stays the same as long as the file lives.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KeySource {
    Passphrase { work: Work, salt: [u8; 16] },
    Keychain { id: [u8; 16] },
}

/// Argon2id's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    m: u32,
    t: u32,
    p: u32,
}

impl Work {
    /// OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
    const DEFAULT: Self = Self { m: 19_456, t: 2, p: 1 };

    /// Bounds a file's demands, so that a hostile one takes neither memory nor time.
    fn is_bounded(self) -> bool {
        (1..=4).contains(&self.p) && (8 * self.p..=262_144).contains(&self.m) && (1..=16).contains(&self.t)
    }
}

impl Header {
    fn to_bytes(&self) -> [u8; HEADER] {
        let (protection, work, id) = match &self.key {
            KeySource::Passphrase { work, salt } => (1, *work, salt),
            KeySource::Keychain { id } => (2, Work { m: 0, t: 0, p: 0 }, id),
        };
        let mut bytes = [0; HEADER];
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &[FORMAT, protection, 0, 0],
            &work.m.to_be_bytes(),
            &work.t.to_be_bytes(),
            &work.p.to_be_bytes(),
            id,
            &self.nonce,
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    fn parse(name: &Name, bytes: &[u8; HEADER]) -> Result<Self, SoftError> {
        let corrupt = |what| SoftError::Corrupt { name: name.clone(), what };
        let mut rest: &[u8] = bytes;
        let mut field = |n: usize| {
            let (field, after) = rest.split_at_checked(n).unwrap_or_default();
            rest = after;
            field
        };
        if field(8) != MAGIC {
            return Err(corrupt("it is no software key"));
        }
        let &[format, protection, 0, 0] = field(4) else { return Err(corrupt("reserved bytes are set")) };
        if format != FORMAT {
            return Err(SoftError::UnsupportedFormat { name: name.clone(), got: format });
        }
        let mut number = || field(4).try_into().map(u32::from_be_bytes).unwrap_or_default();
        let work = Work { m: number(), t: number(), p: number() };
        let id = field(16).try_into().map_err(|_| corrupt("it is cut short"))?;
        let nonce = field(24).try_into().map_err(|_| corrupt("it is cut short"))?;
        let key = match protection {
            1 if work.is_bounded() => KeySource::Passphrase { work, salt: id },
            1 => {
                let Work { m, t, p } = work;
                return Err(SoftError::ExcessiveWork { name: name.clone(), m, t, p });
            }
            2 => KeySource::Keychain { id },
            _ => return Err(corrupt("it is protected in an unknown way")),
        };
        Ok(Self { key, nonce })
    }
}

/// A file as it was read: whole, its checksum right, its ciphertext not yet opened.
struct Sealed {
    header: Header,
    associated_data: [u8; HEADER],
    ciphertext: Vec<u8>,
}

impl Sealed {
    fn parse(name: &Name, bytes: &[u8]) -> Result<Self, SoftError> {
        let corrupt = |what| SoftError::Corrupt { name: name.clone(), what };
        let (body, checksum) =
            bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| corrupt("it is cut short"))?;
        let (associated_data, ciphertext) =
            body.split_first_chunk::<HEADER>().ok_or_else(|| corrupt("it is cut short"))?;
        // The format first: another one may have its checksum elsewhere.
        let header = Header::parse(name, associated_data)?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(corrupt("its checksum is wrong"));
        }
        if ciphertext.len() < TAG {
            return Err(corrupt("it is cut short"));
        }
        Ok(Self { header, associated_data: *associated_data, ciphertext: ciphertext.to_owned() })
    }

    /// The plaintext, or none if the key is wrong (or the file was forged).
    fn open(self, key: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(self.ciphertext);
        XChaCha20Poly1305::new(key.into())
            .decrypt_in_place(&XNonce::from(self.header.nonce), &self.associated_data, &mut *text)
            .ok()
            .map(|()| text)
    }
}

/// A whole file's bytes, under a new nonce.
fn seal(key_source: &KeySource, key: &[u8; 32], state: &[u8]) -> Result<Vec<u8>, SoftError> {
    let length = state.len().saturating_add(HEADER + TAG + CHECKSUM);
    if length > MAX_FILE {
        return Err(SoftError::TooLarge(state.len()));
    }
    let header = Header { key: key_source.clone(), nonce: random()? };
    let associated_data = header.to_bytes();
    // Room for the tag, so that the plaintext is not left behind by a reallocation.
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    text.extend_from_slice(state);
    XChaCha20Poly1305::new(key.into())
        .encrypt_in_place(&XNonce::from(header.nonce), &associated_data, &mut *text)
        .map_err(|_| SoftError::TooLarge(state.len()))?;
    let mut file = Vec::with_capacity(length);
    file.extend_from_slice(&associated_data);
    file.extend_from_slice(&text);
    let checksum = Sha256::digest(&file);
    file.extend_from_slice(&checksum);
    Ok(file)
}

fn random<const N: usize>() -> Result<[u8; N], SoftError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(SoftError::Random)?;
    Ok(bytes)
}

/// Argon2id (RFC 9106), version 0x13, 32 bytes.
fn derive(passphrase: &Secret, work: Work, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>, SoftError> {
    /// Room for more than is used, in blocks of 1 KiB, most of it never touched. What is larger than 32 MiB goes back to the
    /// system when it is freed (mallopt(3), `M_MMAP_THRESHOLD`); of anything smaller glibc learns to keep it, and an agent
    /// would grow by it every time that it opens a key.
    const ROOM: usize = 33 << 10;
    let params = Params::new(work.m, work.t, work.p, Some(32)).map_err(SoftError::Derivation)?;
    let count = params.block_count();
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(count.max(ROOM))
        .map_err(|_| SoftError::Derivation(argon2::Error::OutOfMemory))?;
    memory.resize(count, Block::new());
    let mut key = Zeroizing::new([0; 32]);
    let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.expose(), salt, &mut *key, &mut memory)
        .map_err(SoftError::Derivation);
    // Not the room beyond it, as `Vec` would.
    memory.iter_mut().for_each(Block::zeroize);
    derived.map(|()| key)
}

/// What names the key of a file in the keychain.
fn keychain_entry(id: &[u8; 16]) -> String {
    use fmt::Write as _;
    id.iter().fold("soft-".to_owned(), |mut entry, byte| {
        // Writing to a string cannot fail.
        let _ = write!(entry, "{byte:02x}");
        entry
    })
}

/// The folder of the software keys. It need not exist.
#[derive(Debug, Clone)]
pub struct SoftKeys {
    folder: PathBuf,
}

impl SoftKeys {
    /// The software keys in `folder` ([`crate::paths::Paths::soft_keys`]).
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of a software key.
    pub(crate) fn file(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}{EXTENSION}"))
    }

    /// One lock for each: a conversation under it may wait for a touch. (No name begins with a dot.)
    fn lock(&self, name: &Name) -> Result<Lock, SoftError> {
        Ok(Lock::acquire(&self.folder.join(format!(".{name}.lock")))?)
    }

    fn read(&self, name: &Name) -> Result<Sealed, SoftError> {
        let path = self.file(name);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SoftError::NotFound(name.clone()));
            }
            Err(error) => return Err(PathError::io("open", &path)(error).into()),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(PathError::io("read", &path))?;
        if bytes.len() > MAX_FILE {
            return Err(SoftError::Corrupt { name: name.clone(), what: "it is too large" });
        }
        Sealed::parse(name, &bytes)
    }

    /// The names of all, sorted. Other files in the folder are passed over.
    ///
    /// # Errors
    /// [`SoftError::Path`] if the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Name>, SoftError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(PathError::io("read", &self.folder)(error).into()),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(PathError::io("read", &self.folder))?.file_name();
            names.extend(entry.to_str().and_then(|file| file.strip_suffix(EXTENSION)?.parse::<Name>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// What opens the software key of that name.
    ///
    /// # Errors
    /// [`SoftError::NotFound`], or what is wrong with the file.
    pub fn protection(&self, name: &Name) -> Result<Protection, SoftError> {
        Ok(match self.read(name)?.header.key {
            KeySource::Passphrase { .. } => Protection::Passphrase,
            KeySource::Keychain { .. } => Protection::Keychain,
        })
    }

    /// Makes a software key in that state. Never replaces one.
    ///
    /// # Errors
    /// [`SoftError::Exists`], [`SoftError::EmptyPassphrase`], and those of files, keychain and random bytes.
    pub fn create(&self, name: &Name, protect: Unlock<'_>, state: &[u8]) -> Result<Opened, SoftError> {
        if self.file(name).exists() {
            return Err(SoftError::Exists(name.clone()));
        }
        let (source, key) = match protect {
            Unlock::Passphrase(passphrase) if passphrase.is_empty() => {
                return Err(SoftError::EmptyPassphrase);
            }
            Unlock::Passphrase(passphrase) => {
                let salt = random()?;
                let key = derive(passphrase, Work::DEFAULT, &salt)?;
                (KeySource::Passphrase { work: Work::DEFAULT, salt }, key)
            }
            Unlock::Keychain(keychain) => {
                let (id, key) = (random()?, Zeroizing::new(random()?));
                keychain.set(&keychain_entry(&id), &*key)?;
                (KeySource::Keychain { id }, key)
            }
        };
        let created =
            seal(&source, &key, state).and_then(|file| Ok(create_atomically(&self.file(name), &file)?));
        if let Err(error) = created {
            // A key without a file would stay in the keychain for ever; why there is no file matters more
            // than whether this succeeds.
            if let (Unlock::Keychain(keychain), KeySource::Keychain { id }) = (protect, &source) {
                let _ = keychain.delete(&keychain_entry(id));
            }
            return Err(match error {
                SoftError::Path(PathError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists =>
                {
                    SoftError::Exists(name.clone())
                }
                error => error,
            });
        }
        let state = Zeroizing::new(state.to_owned());
        Ok(Opened { keys: self.clone(), name: name.clone(), source, key: Locked::new(*key), state })
    }

    /// Opens the software key of that name.
    ///
    /// # Errors
    /// [`SoftError::NotFound`]; [`SoftError::WrongPassphrase`]; [`SoftError::NeedsPassphrase`],
    /// [`SoftError::NeedsKeychain`] if `unlock` is not what [`SoftKeys::protection`] says; what is wrong with
    /// the file.
    pub fn open(&self, name: &Name, unlock: Unlock<'_>) -> Result<Opened, SoftError> {
        let sealed = self.read(name)?;
        let source = sealed.header.key.clone();
        let key = match (unlock, &source) {
            (Unlock::Passphrase(passphrase), KeySource::Passphrase { work, salt }) => {
                derive(passphrase, *work, salt)?
            }
            (Unlock::Keychain(keychain), KeySource::Keychain { id }) => {
                let key =
                    keychain.get(&keychain_entry(id))?.ok_or_else(|| SoftError::KeyMissing(name.clone()))?;
                let key: &[u8; 32] =
                    key.as_slice().try_into().map_err(|_| SoftError::WrongKey(name.clone()))?;
                Zeroizing::new(*key)
            }
            (Unlock::Keychain(_), KeySource::Passphrase { .. }) => {
                return Err(SoftError::NeedsPassphrase(name.clone()));
            }
            (Unlock::Passphrase(_), KeySource::Keychain { .. }) => {
                return Err(SoftError::NeedsKeychain(name.clone()));
            }
        };
        let state = sealed.open(&key).ok_or_else(|| match unlock {
            Unlock::Passphrase(_) => SoftError::WrongPassphrase(name.clone()),
            Unlock::Keychain(_) => SoftError::WrongKey(name.clone()),
        })?;
        Ok(Opened { keys: self.clone(), name: name.clone(), source, key: Locked::new(*key), state })
    }

    /// Deletes the software key of that name for good, and its key in the keychain if it has one there.
    /// A damaged file is deleted too. `keychain` is called only when one is needed.
    ///
    /// # Errors
    /// [`SoftError::NotFound`]; [`SoftError::Path`]; [`SoftError::Keychain`] after the file is gone, if its key
    /// could not be removed.
    pub fn delete(
        &self,
        name: &Name,
        keychain: impl FnOnce() -> Result<Box<dyn Keychain>, KeychainError>,
    ) -> Result<(), SoftError> {
        let _lock = self.lock(name)?;
        let source = match self.read(name) {
            Ok(sealed) => Some(sealed.header.key),
            Err(error @ SoftError::NotFound(_)) => return Err(error),
            Err(_) => None,
        };
        let path = self.file(name);
        fs::remove_file(&path).map_err(PathError::io("delete", &path))?;
        if let Some(KeySource::Keychain { id }) = source {
            keychain()?.delete(&keychain_entry(&id))?;
        }
        Ok(())
    }
}

/// An open software key: its state, and the key to write it again without asking for the passphrase.
pub struct Opened {
    keys: SoftKeys,
    name: Name,
    source: KeySource,
    key: Locked<[u8; 32]>,
    state: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Opened {
    /// Whose state it is.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The state when the file was last read or written.
    #[must_use]
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// Erases the state; the next use reads the file again.
    pub fn forget_state(&mut self) {
        self.state = Zeroizing::default();
    }

    /// Reads the file again, for what other processes wrote.
    ///
    /// # Errors
    /// [`SoftError::NotFound`], [`SoftError::Replaced`], or what is wrong with the file.
    pub fn refresh(&mut self) -> Result<&[u8], SoftError> {
        let sealed = self.keys.read(&self.name)?;
        if sealed.header.key != self.source {
            return Err(SoftError::Replaced(self.name.clone()));
        }
        self.state = sealed.open(&self.key).ok_or_else(|| SoftError::Corrupt {
            name: self.name.clone(),
            what: "it was changed without its key",
        })?;
        Ok(&self.state)
    }

    /// Changes the state: takes the lock, reads the file again, and gives its state to `change`, which answers
    /// with a result and, if there is anything to write, the new state. No other process's change is lost, and
    /// when this returns, the new state is on the disk.
    ///
    /// # Errors
    /// Those of `change`, then nothing is written; those of [`Opened::refresh`] and of writing.
    pub fn update<T, E: From<SoftError>>(
        &mut self,
        change: impl FnOnce(&[u8]) -> Result<(T, Option<Zeroizing<Vec<u8>>>), E>,
    ) -> Result<T, E> {
        let _lock = self.keys.lock(&self.name)?;
        self.refresh()?;
        let (result, new) = change(&self.state)?;
        if let Some(new) = new {
            let file = seal(&self.source, &self.key, &new)?;
            write_atomically(&self.keys.file(&self.name), &file).map_err(SoftError::Path)?;
            self.state = new;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keychain::memory::Memory;

    fn keys() -> (tempfile::TempDir, SoftKeys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = SoftKeys::new(folder.path().join("soft"));
        (folder, keys)
    }

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    fn no_keychain() -> Result<Box<dyn Keychain>, KeychainError> {
        panic!("the keychain is not needed here")
    }

    #[test]
    fn names_are_safe_as_files() {
        #[track_caller]
        fn check(name: &str, fits: bool) {
            assert_eq!(name.parse::<Name>().is_ok(), fits, "{name:?}");
        }
        for good in ["demo", "a", "A.b_c-9", &"x".repeat(32)] {
            check(good, true);
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "é", "a\0", "C:x", &"x".repeat(33)] {
            check(bad, false);
        }
        let error = "\x1b[2J".parse::<Name>().unwrap_err();
        assert!(!error.to_string().contains('\x1b'), "no control characters of others on the terminal");
    }

    #[test]
    fn a_key_is_made_once_opened_changed_and_deleted() {
        let (_folder, keys) = keys();
        let (demo, right) = (name("demo"), secret("correct horse"));
        assert!(keys.list().unwrap().is_empty());
        assert!(matches!(keys.open(&demo, Unlock::Passphrase(&right)), Err(SoftError::NotFound(_))));
        assert!(matches!(
            keys.create(&demo, Unlock::Passphrase(&secret("")), b"s"),
            Err(SoftError::EmptyPassphrase)
        ));
        let mut opened = keys.create(&demo, Unlock::Passphrase(&right), b"state 0").unwrap();
        assert_eq!(opened.state(), b"state 0");
        assert!(!format!("{opened:?}").contains("115"), "no byte of the state in {opened:?}");
        let again = keys.create(&demo, Unlock::Passphrase(&right), b"other").unwrap_err();
        assert!(matches!(again, SoftError::Exists(_)), "{again:?}");
        opened.update(|_| Ok::<_, SoftError>(((), Some(Zeroizing::new(b"state 1".to_vec()))))).unwrap();

        assert_eq!(keys.protection(&demo).unwrap(), Protection::Passphrase);
        assert_eq!(keys.open(&demo, Unlock::Passphrase(&right)).unwrap().state(), b"state 1");
        let wrong = keys.open(&demo, Unlock::Passphrase(&secret("Correct horse"))).unwrap_err();
        assert!(matches!(wrong, SoftError::WrongPassphrase(_)), "{wrong:?}");
        let memory = Memory::default();
        assert!(matches!(keys.open(&demo, Unlock::Keychain(&memory)), Err(SoftError::NeedsPassphrase(_))));
        let file = fs::read(keys.file(&demo)).unwrap();
        assert!(!file.windows(5).any(|bytes| bytes == b"state"), "the file is encrypted");

        fs::write(keys.folder.join("README"), "x").unwrap();
        fs::write(keys.folder.join(".hidden.key"), "x").unwrap();
        assert_eq!(keys.list().unwrap(), [name("demo")]);
        keys.delete(&demo, no_keychain).unwrap();
        assert!(keys.list().unwrap().is_empty());
        assert!(matches!(keys.delete(&demo, no_keychain), Err(SoftError::NotFound(_))));
        assert!(matches!(opened.refresh(), Err(SoftError::NotFound(_))));
        let gone = opened.update(|_| Ok::<_, SoftError>(((), Some(Zeroizing::new(b"x".to_vec())))));
        assert!(matches!(gone, Err(SoftError::NotFound(_))), "a deleted key does not come back: {gone:?}");
        assert!(keys.list().unwrap().is_empty());
    }

    #[test]
    fn the_keychain_holds_the_key_of_a_file() {
        let (_folder, keys) = keys();
        let (demo, memory) = (name("demo"), Memory::default());
        keys.create(&demo, Unlock::Keychain(&memory), b"state").unwrap();
        assert_eq!(keys.protection(&demo).unwrap(), Protection::Keychain);
        assert_eq!(keys.open(&demo, Unlock::Keychain(&memory)).unwrap().state(), b"state");
        let error = keys.open(&demo, Unlock::Passphrase(&secret("x"))).unwrap_err();
        assert!(matches!(error, SoftError::NeedsKeychain(_)), "{error:?}");
        let error = keys.open(&demo, Unlock::Keychain(&Memory::default())).unwrap_err();
        assert!(matches!(error, SoftError::KeyMissing(_)), "{error:?}");
        let mut kept = memory.0.borrow().clone();
        kept.values_mut().for_each(|key| key[0] ^= 1);
        let other = Memory(kept.clone().into());
        assert!(matches!(keys.open(&demo, Unlock::Keychain(&other)), Err(SoftError::WrongKey(_))));
        kept.values_mut().for_each(|key| key.truncate(31));
        let other = Memory(kept.into());
        assert!(matches!(keys.open(&demo, Unlock::Keychain(&other)), Err(SoftError::WrongKey(_))));

        // A refused second creation leaves no key without a file.
        keys.create(&demo, Unlock::Keychain(&memory), b"other").unwrap_err();
        assert_eq!(memory.0.borrow().len(), 1);

        let memory = std::rc::Rc::new(memory);
        struct Shared(std::rc::Rc<Memory>);
        impl Keychain for Shared {
            fn get(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
                self.0.get(entry)
            }
            fn set(&self, entry: &str, secret: &[u8]) -> Result<(), KeychainError> {
                self.0.set(entry, secret)
            }
            fn delete(&self, entry: &str) -> Result<bool, KeychainError> {
                self.0.delete(entry)
            }
        }
        keys.delete(&demo, || Ok(Box::new(Shared(memory.clone())))).unwrap();
        assert!(memory.0.borrow().is_empty(), "the key goes with its file");
    }

    #[test]
    fn no_change_is_lost_between_two_holders() {
        let (_folder, keys) = keys();
        let (demo, pass) = (name("demo"), secret("p"));
        keys.create(&demo, Unlock::Passphrase(&pass), &[0, 0]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut opened = keys.open(&demo, Unlock::Passphrase(&pass)).unwrap();
                    for _ in 0..25 {
                        let add = |state: &[u8]| {
                            let count = u16::from_be_bytes(state.try_into().unwrap()) + 1;
                            Ok::<_, SoftError>(((), Some(Zeroizing::new(count.to_be_bytes().to_vec()))))
                        };
                        opened.update(add).unwrap();
                    }
                });
            }
        });
        assert_eq!(keys.open(&demo, Unlock::Passphrase(&pass)).unwrap().state(), [0, 100]);
    }

    #[test]
    fn a_refused_change_writes_nothing_and_reading_writes_nothing() {
        let (_folder, keys) = keys();
        let (demo, pass) = (name("demo"), secret("p"));
        let mut opened = keys.create(&demo, Unlock::Passphrase(&pass), b"s").unwrap();
        let before = fs::read(keys.file(&demo)).unwrap();
        let refused = opened.update(|_| Err::<((), _), _>(SoftError::EmptyPassphrase));
        assert!(matches!(refused, Err(SoftError::EmptyPassphrase)));
        assert_eq!(opened.update(|state| Ok::<_, SoftError>((state.len(), None))).unwrap(), 1);
        let large = opened.update(|_| Ok::<_, SoftError>(((), Some(Zeroizing::new(vec![0; MAX_FILE])))));
        assert!(matches!(large, Err(SoftError::TooLarge(MAX_FILE))), "{large:?}");
        assert_eq!(fs::read(keys.file(&demo)).unwrap(), before);

        // Made anew by another process, with the same passphrase even: the old key would spoil it.
        keys.delete(&demo, no_keychain).unwrap();
        keys.create(&demo, Unlock::Passphrase(&pass), b"new").unwrap();
        let replaced = opened.update(|_| Ok::<_, SoftError>(((), Some(Zeroizing::new(b"old".to_vec())))));
        assert!(matches!(replaced, Err(SoftError::Replaced(_))), "{replaced:?}");
        assert_eq!(keys.open(&demo, Unlock::Passphrase(&pass)).unwrap().state(), b"new");
    }

    #[test]
    fn damage_is_told_from_a_wrong_passphrase() {
        let (_folder, keys) = keys();
        let (demo, pass) = (name("demo"), secret("p"));
        keys.create(&demo, Unlock::Passphrase(&pass), b"state").unwrap();
        let path = keys.file(&demo);
        let good = fs::read(&path).unwrap();
        let check = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            let error = keys.open(&demo, Unlock::Passphrase(&pass)).unwrap_err();
            assert!(error.to_string().contains(what), "{error}\nnot {what}");
        };
        let mended = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good[..good.len() - CHECKSUM].to_vec();
            change(&mut bytes);
            let checksum = Sha256::digest(&bytes);
            bytes.extend_from_slice(&checksum);
            bytes
        };
        // Every bit of the file counts, and none of them panics.
        for i in 0..good.len() {
            let mut bytes = good.clone();
            bytes[i] ^= 0x80;
            check(&bytes, "software key `demo`");
        }
        for length in 0..good.len() {
            check(&good[..length], "is damaged");
        }
        check(&vec![0; MAX_FILE + 1], "too large");
        check(&mended(&|b| b[0] = b'X'), "it is no software key");
        check(&mended(&|b| b[8] = 2), "has format 2");
        check(&mended(&|b| b[9] = 3), "protected in an unknown way");
        check(&mended(&|b| b[10] = 1), "reserved bytes");
        check(&mended(&|b| b.truncate(HEADER + TAG - 1)), "cut short");
        // A forged file passes the checksum and fails authentication: every byte of it is authenticated.
        check(&mended(&|b| b[HEADER] ^= 1), "wrong passphrase");
        check(&mended(&|b| b[45] ^= 1), "wrong passphrase");
        check(&mended(&|b| b[19] = 1), "wrong passphrase");
        // Demands that a hostile file might make.
        for (m, t, p) in [
            (u32::MAX, 2, 1),
            (262_145, 2, 1),
            (7, 1, 1),
            (19_456, 17, 1),
            (19_456, 0, 1),
            (19_456, 2, 5),
            (19_456, 2, 0),
            (19_456, 2, u32::MAX),
        ] {
            let hostile = mended(&|b| {
                b[12..16].copy_from_slice(&u32::to_be_bytes(m));
                b[16..20].copy_from_slice(&u32::to_be_bytes(t));
                b[20..24].copy_from_slice(&u32::to_be_bytes(p));
            });
            check(&hostile, "Keyfob did not write it");
        }
    }

    /// The format of 2026 stays readable: a file made once, by an independent implementation of the documented
    /// format (`argon2-cffi` and PyNaCl).
    #[test]
    fn a_file_made_elsewhere_opens() {
        let (_folder, keys) = keys();
        let file = include_bytes!("../tests/data/soft-v1.key");
        fs::create_dir_all(&keys.folder).unwrap();
        fs::write(keys.file(&name("elsewhere")), file).unwrap();
        let opened = keys
            .open(&name("elsewhere"), Unlock::Passphrase(&secret("correct horse battery staple")))
            .unwrap();
        assert_eq!(opened.state(), b"the state of a software key");
    }
}
