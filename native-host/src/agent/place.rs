//! Where the agent's socket is: in a folder of the user's alone.

use std::ffi::OsString;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::system;
use crate::paths::Paths;

/// The environment variable that leads PC/SC to another service: another one has other readers.
const PCSC_ENV: &str = "PCSCLITE_CSOCK_NAME";

/// The agent's files.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The socket; on Windows a file that names the pipe.
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
        hash.update(paths.data.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(env(PCSC_ENV).unwrap_or_default().as_encoded_bytes());
        let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let socket = system::file(paths, &format!("agent-{hash}.{}", system::EXTENSION))?;
        Some(Self { lock: socket.with_extension("lock"), socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_home_and_each_service_has_a_socket_of_its_own() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = |folder: &std::path::Path, service: &str| {
            Place::of(&Paths::in_folder(folder), |name| (name == PCSC_ENV).then(|| service.into())).unwrap()
        };
        assert_eq!(place(a.path(), "x").socket, place(a.path(), "x").socket);
        assert_ne!(place(a.path(), "x").socket, place(a.path(), "y").socket);
        assert_ne!(place(a.path(), "x").socket, place(b.path(), "x").socket);
        assert_eq!(place(a.path(), "x").lock, place(a.path(), "x").socket.with_extension("lock"));
    }
}
