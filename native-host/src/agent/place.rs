//! Where the agent's socket is: in a folder of the user's alone.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::paths::{Paths, private_folder};

/// The environment variable that leads PC/SC to another service: another one has other readers.
const PCSC_ENV: &str = "PCSCLITE_CSOCK_NAME";

/// Longest path of a socket in bytes: macOS's 104, its end included. Linux has 108.
const LONGEST: usize = 103;

/// The agent's files.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The socket.
    pub(super) socket: PathBuf,
    /// Locked by the agent as long as the socket is its.
    pub(super) lock: PathBuf,
}

impl Place {
    /// For the user's files and readers: agents that hold other files, or another service's readers, have other sockets.
    ///
    /// None where there is no folder that nobody else can write into.
    pub(super) fn of(paths: &Paths, env: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let mut hash = Sha256::new();
        hash.update(paths.data.as_os_str().as_bytes());
        hash.update([0]);
        hash.update(env(PCSC_ENV).unwrap_or_default().as_bytes());
        let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let file = |folder: &Path| folder.join(format!("agent-{hash}.sock"));
        let mut folder = paths.runtime.clone();
        if file(&folder).as_os_str().len() > LONGEST {
            folder = PathBuf::from(format!("/tmp/keyfob-{}", rustix::process::geteuid().as_raw()));
        }
        private_folder(&folder).ok()?;
        is_private(&folder)
            .then(|| Self { socket: file(&folder), lock: folder.join(format!("agent-{hash}.lock")) })
    }
}

/// Whether a folder is this user's, and nobody else may look into it.
fn is_private(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.permissions().mode() & 0o077 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_home_and_each_service_has_a_socket_of_its_own() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = |folder: &Path, service: &str| {
            Place::of(&Paths::in_folder(folder), |name| (name == PCSC_ENV).then(|| service.into()))
                .unwrap()
                .socket
        };
        assert_eq!(place(a.path(), "x"), place(a.path(), "x"));
        assert_ne!(place(a.path(), "x"), place(a.path(), "y"));
        assert_ne!(place(a.path(), "x"), place(b.path(), "x"));
        let long = a.path().join("x".repeat(100));
        assert!(place(&long, "x").as_os_str().len() <= LONGEST);
    }

    #[test]
    fn a_folder_of_others_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::in_folder(folder.path());
        private_folder(&paths.runtime).unwrap();
        fs::set_permissions(&paths.runtime, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(Place::of(&paths, |_| None).is_none());
        fs::remove_dir(&paths.runtime).unwrap();
        std::os::unix::fs::symlink("/tmp", &paths.runtime).unwrap();
        assert!(Place::of(&paths, |_| None).is_none());
    }
}
