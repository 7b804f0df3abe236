//! What the agent needs of Unix: a socket in a folder of the user's alone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::front;
use crate::paths::{Paths, private_folder};

pub(super) use std::os::unix::net::UnixStream as Stream;

/// Of the socket's file.
pub(super) const EXTENSION: &str = "sock";

/// Longest path of a socket in bytes: macOS's 104, its end included. Linux has 108.
const LONGEST: usize = 103;

/// What of the environment the agent needs: where the user's files, keychain and readers are. All else comes with each
/// front end.
const ENVIRONMENT: &[&str] = &[
    "HOME",
    "USER",
    "LANG",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "PCSCLITE_CSOCK_NAME",
    crate::paths::CONFIG_ENV,
    crate::notify::OFF_ENV,
];

/// The file `name` in a folder that nobody else can write into; none where there is no such folder.
pub(super) fn file(paths: &Paths, name: &str) -> Option<PathBuf> {
    let mut folder = paths.runtime.clone();
    if folder.join(name).as_os_str().len() > LONGEST {
        folder = PathBuf::from(format!("/tmp/keyfob-{}", rustix::process::geteuid().as_raw()));
    }
    private_folder(&folder).ok()?;
    is_private(&folder).then(|| folder.join(name))
}

/// Whether a folder is this user's, and nobody else may look into it.
fn is_private(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.permissions().mode() & 0o077 == 0
    })
}

/// Options to open a file that nobody else may read, should it be made.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Starts `program agent run` as a process of its own.
///
/// # Errors
/// If it cannot be started.
pub(super) fn launch(program: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command
        .args(["agent", "run"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in ENVIRONMENT.iter().filter_map(|name| Some((name, front::env(name)?))) {
        command.env(name, value);
    }
    // What a script has open, a lock or the end of a pipe, is closed when its commands have ended; the agent goes on.
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    let mut child = command.spawn()?;
    // Only a front end that outlives it sees its end.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Goes neither with the terminal nor with the browser that this process was started from.
pub(super) fn detach() {
    let _ = rustix::process::setsid();
}

/// What tells a file from another that has taken its place: device, inode, seconds and nanoseconds of the last change.
pub(super) type Identity = (u64, u64, i64, i64);

/// A file's identity; none if there is no such file.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    listener: UnixListener,
    socket: PathBuf,
    /// The socket's file, to know it again.
    inode: u64,
}

impl Listener {
    /// Listens at `socket`. Whatever is there was left behind: the caller sees to it that nobody listens.
    ///
    /// # Errors
    /// If the file cannot be replaced.
    pub(super) fn bind(socket: &Path) -> io::Result<Self> {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(socket)?;
        let inode = fs::symlink_metadata(socket)?.ino();
        Ok(Self { listener, socket: socket.to_owned(), inode })
    }

    /// Waits for a front end.
    ///
    /// # Errors
    /// If too many files are open, perhaps.
    pub(super) fn accept(&self) -> io::Result<Stream> {
        Ok(self.listener.accept()?.0)
    }

    /// Whether the file is still there, and this socket's.
    pub(super) fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.socket).is_ok_and(|metadata| metadata.ino() == self.inode)
    }

    /// From here on nobody finds it.
    pub(super) fn close(&self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.socket);
        }
    }
}

/// Whether the process at the other end is this user's.
pub(super) fn is_peer_user(stream: &Stream) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
    }
    #[cfg(target_os = "macos")]
    {
        nix::unistd::getpeereid(stream)
            .is_ok_and(|(user, _)| user.as_raw() == rustix::process::geteuid().as_raw())
    }
    // The folder lets nobody else in.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
    {
        let _ = stream;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_has_a_short_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(100));
        let file = file(&Paths::in_folder(&long), "agent.sock").unwrap();
        assert!(file.as_os_str().len() <= LONGEST, "{}", file.display());
        assert!(!long.exists());
    }

    #[test]
    fn a_folder_of_others_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::in_folder(folder.path());
        private_folder(&paths.runtime).unwrap();
        assert!(file(&paths, "agent.sock").is_some());
        fs::set_permissions(&paths.runtime, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(file(&paths, "agent.sock").is_none());
        fs::remove_dir(&paths.runtime).unwrap();
        std::os::unix::fs::symlink("/tmp", &paths.runtime).unwrap();
        assert!(file(&paths, "agent.sock").is_none());
    }
}
