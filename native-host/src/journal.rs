//! What must be known of a rotation after a kill: which access key takes the place of which, on which keys, and how far it has come.
//!
//! A file for each rotation in the data folder, named by the access key that is replaced, for its owner alone, replaced whole and
//! on the disk before anything goes on. There is no secret in it. A lock lets one rotation run at a time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use keyfob_core::message::{ErrorCode, Failure, SignatureVersion};
use serde::{Deserialize, Serialize};

use crate::error::failure;
use crate::paths::{Lock, PathError, write_atomically};

/// Of what is written.
const VERSION: u8 = 1;

/// How far a rotation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// AWS may have made the new access key, which nobody knows then.
    Creating,
    /// AWS has made it; it may be on keys.
    Writing,
    /// It goes away again, at AWS and from the keys.
    Back,
    /// Every key has signed with it, and AWS has taken that. Both access keys work.
    Proved,
    /// The old one may be inactive.
    Deactivating,
    /// The old one is inactive, and can be made active again.
    Resting,
    /// The old one may be deleted at AWS.
    Deleting,
    /// The old one is deleted at AWS, and may be on keys still.
    Cleaning,
}

/// A key that is to have the new access key, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its serial number, or `soft:NAME`.
    pub key: String,
    /// For which signatures it has the old one.
    pub signatures: Vec<SignatureVersion>,
    /// Whether a signature wants a touch.
    pub touch: bool,
}

/// A rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of the format.
    pub v: u8,
    /// The access key that is replaced: `AKIA…`.
    pub old: String,
    /// The one in its place, once AWS has made it.
    pub new: Option<String>,
    /// The keys that are to have the new one.
    pub targets: Vec<Target>,
    /// Keys that are not to have it, by a person's word.
    pub waived: Vec<String>,
    /// The access keys that the user had before: what comes besides them has been made here, or by somebody else meanwhile.
    pub before: Vec<String>,
    /// When AWS was last asked to make one: Unix time in seconds.
    pub asked: u64,
    /// How long the old one stays at AWS, inactive: seconds.
    pub grace: u64,
    /// When the old one was made inactive: Unix time in seconds.
    pub since: Option<u64>,
    /// How far it has come.
    pub stage: Stage,
}

impl Record {
    /// One that begins.
    #[must_use]
    pub fn new(old: &str, targets: Vec<Target>, waived: Vec<String>, grace: u64) -> Self {
        Self {
            v: VERSION,
            old: old.to_owned(),
            new: None,
            targets,
            waived,
            before: Vec::new(),
            asked: 0,
            grace,
            since: None,
            stage: Stage::Creating,
        }
    }

    /// Whether it is about an access key.
    #[must_use]
    pub fn is_about(&self, access_key_id: &str) -> bool {
        self.old == access_key_id || self.new.as_deref() == Some(access_key_id)
    }

    /// The access key that is sure to work.
    #[must_use]
    pub fn signer(&self) -> &str {
        match (self.stage, &self.new) {
            (Stage::Creating | Stage::Writing | Stage::Back, _) | (_, None) => &self.old,
            (_, Some(new)) => new,
        }
    }

    /// When the old one is due to be deleted: Unix time in seconds.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.since.map(|since| since.saturating_add(self.grace))
    }
}

/// The folder of all rotations.
#[derive(Debug, Clone)]
pub struct Journals {
    folder: PathBuf,
}

impl Journals {
    /// Those below the data folder.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { folder: data.join("rotate") }
    }

    /// Keeps others from rotating until it is dropped.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`] if another rotation is running, [`ErrorCode::Io`].
    pub fn lock(&self) -> Result<Lock, Failure> {
        Lock::acquire(&self.folder.join("lock")).map_err(|error| unwritten(&error))
    }

    /// All rotations that are not over, by the names of their files.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if one cannot be read.
    pub fn all(&self) -> Result<Vec<Record>, Failure> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unread(&self.folder, &error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unread(&self.folder, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }

    /// Writes down how far a rotation has come. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`ErrorCode::Io`].
    pub fn write(&self, record: &Record) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(record).map_err(|error| failure(ErrorCode::Internal, error, ""))?;
        write_atomically(&self.path(record)?, &bytes).map_err(|error| unwritten(&error))
    }

    /// Forgets a rotation that is over.
    ///
    /// # Errors
    /// [`ErrorCode::Io`].
    pub fn forget(&self, record: &Record) -> Result<(), Failure> {
        let path = self.path(record)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let text = format!("cannot delete {}: {error}", path.display());
                Err(failure(ErrorCode::Io, text, "see that you may write into that folder"))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, record: &Record) -> Result<PathBuf, Failure> {
        // It becomes the name of a file.
        if record.old.is_empty() || !record.old.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let text = "that is no access key id";
            return Err(failure(
                ErrorCode::InvalidInput,
                text,
                "one is AKIA and 16 capital letters and digits",
            ));
        }
        Ok(self.folder.join(format!("{}.json", record.old)))
    }
}

fn read(path: &Path) -> Result<Record, Failure> {
    let bytes = fs::read(path).map_err(|error| unread(path, &error))?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| unread(path, &error))?;
    if record.v != VERSION {
        return Err(unread(path, &"another version of Keyfob has written it"));
    }
    Ok(record)
}

fn unread(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    failure(
        ErrorCode::Io,
        format!("cannot read the journal of a rotation, {}: {error}", path.display()),
        "if it cannot be mended, see which of the user's access keys work (`aws iam list-access-keys`), then delete it",
    )
}

fn unwritten(error: &PathError) -> Failure {
    match error {
        PathError::Locked(_) => failure(
            error.code(),
            "another rotation is running",
            "wait until it is over; nothing was done here",
        ),
        error => failure(error.code(), error, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(old: &str) -> Record {
        let target =
            Target { key: "soft:demo".to_owned(), signatures: vec![SignatureVersion::SigV4], touch: true };
        Record::new(old, vec![target], vec!["123".to_owned()], 60)
    }

    #[test]
    fn what_is_written_is_read_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::of(folder.path());
        assert_eq!(journals.all().unwrap(), []);
        journals.forget(&record("AKIAONE")).unwrap();
        let _lock = journals.lock().unwrap();
        let (mut one, two) = (record("AKIAONE"), record("AKIATWO"));
        journals.write(&one).unwrap();
        journals.write(&two).unwrap();
        (one.stage, one.new, one.since) = (Stage::Resting, Some("AKIANEW".to_owned()), Some(1000));
        journals.write(&one).unwrap();
        assert_eq!(Journals::of(folder.path()).all().unwrap(), [one.clone(), two.clone()]);
        assert_eq!(one.due(), Some(1060));
        assert!(one.is_about("AKIAONE") && one.is_about("AKIANEW") && !one.is_about("AKIATWO"));
        journals.forget(&one).unwrap();
        assert_eq!(journals.all().unwrap(), [two]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let file = folder.path().join("rotate/AKIATWO.json");
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn what_cannot_be_a_journal_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::of(folder.path());
        assert_eq!(journals.write(&record("../x")).unwrap_err().code, ErrorCode::InvalidInput);
        assert_eq!(journals.forget(&record("")).unwrap_err().code, ErrorCode::InvalidInput);
        let text = serde_json::to_string(&Record { v: 9, ..record("AKIAONE") }).unwrap();
        for text in ["{", "{}", &text] {
            fs::create_dir_all(folder.path().join("rotate")).unwrap();
            fs::write(folder.path().join("rotate/AKIAONE.json"), text).unwrap();
            let error = journals.all().unwrap_err();
            assert!(error.code == ErrorCode::Io && error.message.contains("AKIAONE.json"), "{error:?}");
        }
    }

    #[test]
    fn who_signs_is_who_works() {
        let mut record = Record { new: Some("AKIANEW".to_owned()), ..record("AKIAOLD") };
        for (stage, signer) in [
            (Stage::Creating, "AKIAOLD"),
            (Stage::Writing, "AKIAOLD"),
            (Stage::Back, "AKIAOLD"),
            (Stage::Proved, "AKIANEW"),
            (Stage::Deactivating, "AKIANEW"),
            (Stage::Resting, "AKIANEW"),
            (Stage::Deleting, "AKIANEW"),
            (Stage::Cleaning, "AKIANEW"),
        ] {
            record.stage = stage;
            assert_eq!(record.signer(), signer, "{stage:?}");
        }
    }
}
