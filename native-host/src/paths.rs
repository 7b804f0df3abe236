//! Where files live, and how they are written: private, whole or not at all, under a lock.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keyfob_core::message::ErrorCode;

/// The environment variable that names one folder to take the place of all of [`Paths`]' folders.
pub const CONFIG_ENV: &str = "KEYFOB_CONFIG";

/// How long another process may hold a lock before [`Lock::acquire`] gives up: longer than a touch is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// Why a folder or file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The platform names no home folder.
    #[error("no home folder is known: set {CONFIG_ENV} to a folder for Keyfob's files")]
    NoHome,
    /// An operation on a path failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("another process has held {} for {LOCK_PATIENCE:?}: end it and try again", .0.display())]
    Locked(PathBuf),
}

impl PathError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoHome | Self::Io { .. } => ErrorCode::Io,
            Self::Locked(_) => ErrorCode::Busy,
        }
    }
}

/// Keyfob's folders. None need exist; [`private_folder`] makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// For `config.toml`.
    pub config: PathBuf,
    /// For software keys, on this machine only (never in a roaming profile).
    pub data: PathBuf,
    /// For what may be deleted at any time.
    pub cache: PathBuf,
    /// For the agent's socket: gone when the user logs out, where the system has such a folder.
    pub runtime: PathBuf,
}

impl Paths {
    /// The platform's folders, or the one that [`CONFIG_ENV`] names. `env` reads an environment variable.
    ///
    /// # Errors
    /// [`PathError::NoHome`]; [`PathError::Io`] if the current folder is gone and a relative one was named.
    pub fn resolve(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathError> {
        if let Some(folder) = env(CONFIG_ENV).filter(|folder| !folder.is_empty()) {
            let folder = Path::new(&folder);
            let folder = std::path::absolute(folder).map_err(PathError::io("resolve", folder))?;
            return Ok(Self::in_folder(&folder));
        }
        let dirs = directories::ProjectDirs::from("dev", "keyfob", "Keyfob").ok_or(PathError::NoHome)?;
        Ok(Self {
            config: dirs.config_dir().to_owned(),
            data: dirs.data_local_dir().to_owned(),
            cache: dirs.cache_dir().to_owned(),
            runtime: dirs
                .runtime_dir()
                .map(Path::to_owned)
                .or_else(systemd_runtime_dir)
                .unwrap_or_else(|| dirs.cache_dir().join("run")),
        })
    }

    /// All in one folder: configuration and data directly in it, the others below.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            config: folder.to_owned(),
            data: folder.to_owned(),
            cache: folder.join("cache"),
            runtime: folder.join("run"),
        }
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The folder of what is known of remembered passwords.
    #[must_use]
    pub fn passwords(&self) -> PathBuf {
        self.data.join("passwords")
    }

    /// The folder of the software keys.
    #[must_use]
    pub fn soft_keys(&self) -> PathBuf {
        self.data.join("soft")
    }
}

/// The folder that systemd makes for each user who is logged in: also for who has not been told of it by the environment,
/// such as a job or a hook, so that all find the same agent.
fn systemd_runtime_dir() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        let user = rustix::process::geteuid().as_raw();
        let folder = Path::new("/run/user").join(user.to_string());
        let owner = fs::symlink_metadata(&folder).ok().filter(fs::Metadata::is_dir)?.uid();
        (owner == user).then(|| folder.join("keyfob"))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Makes `folder` and those above it where they are missing, readable by their owner alone.
///
/// # Errors
/// [`PathError::Io`].
pub fn private_folder(folder: &Path) -> Result<(), PathError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(PathError::io("create the folder", folder))
}

/// Replaces the file at `path`, or makes it: readers see the old bytes or the new ones, never a part, and
/// after a crash at any instant one of the two is there. Its folder is made if it is missing. Mode 0600.
///
/// # Errors
/// [`PathError::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    let (folder, file) = written_beside(path, bytes)?;
    file.persist(path).map_err(|error| PathError::io("replace", path)(error.error))?;
    sync_folder(folder)
}

/// As [`write_atomically`], but never replaces a file.
///
/// # Errors
/// [`PathError::Io`], of kind `AlreadyExists` if there is one.
pub fn create_atomically(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    let (folder, file) = written_beside(path, bytes)?;
    file.persist_noclobber(path).map_err(|error| PathError::io("create", path)(error.error))?;
    sync_folder(folder)
}

/// A temporary file with `bytes` on the disk, in the folder of `path`.
fn written_beside<'a>(
    path: &'a Path,
    bytes: &[u8],
) -> Result<(&'a Path, tempfile::NamedTempFile), PathError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    private_folder(folder)?;
    // `tempfile` creates with mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".keyfob-")
        .tempfile_in(folder)
        .map_err(PathError::io("write into", folder))?;
    file.write_all(bytes).map_err(PathError::io("write", file.path()))?;
    file.as_file().sync_all().map_err(PathError::io("write", file.path()))?;
    Ok((folder, file))
}

/// Makes a rename inside `folder` survive a loss of power. Windows has no such call and needs none.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), PathError> {
    #[cfg(unix)]
    File::open(folder).and_then(|file| file.sync_all()).map_err(PathError::io("write", folder))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// An advisory lock among Keyfob's processes, held until dropped, or until the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    // Closing the file releases the lock.
    _file: File,
}

impl Lock {
    /// Takes the lock whose file is `path`; the file is made if it is missing and stays.
    ///
    /// # Errors
    /// [`PathError::Io`]; [`PathError::Locked`] if another process does not let go of it.
    pub fn acquire(path: &Path) -> Result<Self, PathError> {
        Self::acquire_within(path, LOCK_PATIENCE)
    }

    fn acquire_within(path: &Path, patience: Duration) -> Result<Self, PathError> {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(PathError::io("open", path))?;
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    return Err(PathError::Locked(path.to_owned()));
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(TryLockError::Error(source)) => return Err(PathError::io("lock", path)(source)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_variable_moves_all_folders() {
        #[track_caller]
        fn check(config: Option<&str>, expected: Option<&str>) {
            let env = |name: &str| (name == CONFIG_ENV).then(|| config.map(OsString::from)).flatten();
            let paths = Paths::resolve(env).unwrap();
            match expected {
                Some(folder) => assert_eq!(paths, Paths::in_folder(Path::new(folder))),
                None => assert!(paths.config.is_absolute() && paths.config != Path::new("")),
            }
        }
        check(None, None);
        check(Some(""), None);
        #[cfg(unix)]
        check(Some("/tmp/k"), Some("/tmp/k"));
        check(Some("here"), Some(std::path::absolute("here").unwrap().to_str().unwrap()));
    }

    #[test]
    fn files_are_replaced_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let error = create_atomically(&path, b"three").unwrap_err();
        assert!(
            matches!(&error, PathError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists),
            "{error:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"two");
        // No temporary file stays behind, of the refused write neither.
        let names: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["file"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_write_that_cannot_be_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"x").unwrap();
        let error = write_atomically(&file.join("below"), b"y").unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
        assert_eq!(error.code(), ErrorCode::Io);
    }

    #[test]
    fn a_lock_excludes_and_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/.lock");
        let held = Lock::acquire(&path).unwrap();
        let error = Lock::acquire_within(&path, Duration::from_millis(5)).unwrap_err();
        assert!(matches!(error, PathError::Locked(_)), "{error:?}");
        assert_eq!(error.code(), ErrorCode::Busy);
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || Lock::acquire(&path).is_ok()
        });
        std::thread::sleep(Duration::from_millis(20));
        drop(held);
        assert!(waiting.join().unwrap());
    }
}
