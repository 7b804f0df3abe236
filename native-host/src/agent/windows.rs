//! What the agent needs of Windows: a named pipe of the user's alone.
//!
//! The pipe has a new random name each time; the socket's file, in a folder of the user's, says which. So nobody can be
//! there first, and an agent that has retired is not in its successor's way. Three walls keep others out:
//!
//! - the pipe's security descriptor admits this user alone, and no other machine (`PIPE_REJECT_REMOTE_CLIENTS`);
//! - each end looks whose the process at the other end is, and leaves if it is not this user's;
//! - a front end connects with `SECURITY_IDENTIFICATION`: a server that is none of ours can see who it is, and cannot act
//!   in its name.
//!
//! A program that runs with an administrator's rights and one of the same person without them do not find each other's
//! process to be theirs: each holds the keys itself.
//!
//! A blocking call on a pipe can be neither limited in time nor called off by safe means. Pipes are therefore driven by a
//! thread that waits for all of them (tokio's), and read and written from the threads that want to. What passes is copied
//! into its buffers on the way, and those are not erased.

use std::fs::{self, File, OpenOptions};
use std::future::pending;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::windows::io::OwnedHandle;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use interprocess::os::windows::ToWtf16 as _;
use interprocess::os::windows::named_pipe::tokio::{DuplexPipeStream, PipeListener};
use interprocess::os::windows::named_pipe::{PipeListenerOptions, pipe_mode::Bytes};
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use winsafe::{HPROCESS, STARTUPINFO, SysResult, TokenInfo, co};

use crate::paths::{Paths, private_folder, write_atomically};

/// Of the file that names the pipe.
pub(super) const EXTENSION: &str = "pipe";

/// How every agent's pipe begins; 32 hexadecimal digits follow.
const PREFIX: &str = r"\\.\pipe\keyfob-";
const DIGITS: usize = 32;

/// Bytes that a pipe takes before anybody reads them.
const BUFFER: u32 = 64 << 10;

/// How long the agent may take to offer the next instance of its pipe, after somebody has taken the last.
const BUSY: Duration = Duration::from_secs(2);

// <https://learn.microsoft.com/windows/win32/debug/system-error-codes>, `CreateFileW`.
const ERROR_PIPE_BUSY: i32 = 231;
const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
const SECURITY_IDENTIFICATION: u32 = 0x0001_0000;

/// The file `name` in the folder for the agent's files. It is the user's alone because the profile is; a place elsewhere
/// is as private as who chose it has made it.
pub(super) fn file(paths: &Paths, name: &str) -> Option<PathBuf> {
    private_folder(&paths.runtime).ok()?;
    Some(paths.runtime.join(name))
}

/// Options to open a file.
pub(super) fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Starts `program agent run` as a process of its own, without a window.
///
/// It gets none of this process's handles: who reads what this process prints would otherwise wait for the agent's end.
/// The standard library gives no process less than all that can be inherited. The environment cannot be chosen then, so
/// the agent has its starter's; it takes no settings from it but where files are.
///
/// # Errors
/// If it cannot be started.
pub(super) fn launch(program: &Path) -> io::Result<()> {
    let program = program.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let command = format!("\"{program}\" agent run");
    let start = |flags| {
        let mut startup = STARTUPINFO::default();
        winsafe::CreateProcess(
            Some(program),
            Some(&command),
            None,
            None,
            false,
            flags,
            &[],
            None,
            &mut startup,
        )
    };
    let flags = co::CREATE::DETACHED_PROCESS | co::CREATE::NEW_PROCESS_GROUP;
    // A browser ends all of its job's processes; not every job lets one go.
    start(flags | co::CREATE::BREAKAWAY_FROM_JOB).or_else(|_| start(flags)).map_err(system_error)?;
    Ok(())
}

/// Nothing: [`launch`] has detached it.
pub(super) fn detach() {}

/// What tells a file from another that has taken its place: length, and times of making and of the last change, in 100 ns.
pub(super) type Identity = (u64, u64, u64);

/// A file's identity; none if there is no such file.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    let file = fs::metadata(path).ok()?;
    Some((file.file_size(), file.creation_time(), file.last_write_time()))
}

fn system_error(error: co::ERROR) -> io::Error {
    io::Error::from_raw_os_error(error.raw().cast_signed())
}

/// What drives the pipes of this process.
fn driver() -> io::Result<&'static Handle> {
    static DRIVER: OnceLock<Option<Handle>> = OnceLock::new();
    let start = || {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let handle = runtime.handle().clone();
        let run = move || runtime.block_on(pending::<()>());
        std::thread::Builder::new().name("pipes".to_owned()).stack_size(256 << 10).spawn(run).ok()?;
        Some(handle)
    };
    DRIVER.get_or_init(start).as_ref().ok_or_else(|| io::Error::other("there is no thread for pipes"))
}

/// A pipe that listens.
#[derive(Debug)]
pub(super) struct Listener {
    pipe: PipeListener<Bytes, Bytes>,
    name: String,
    socket: PathBuf,
    closed: watch::Sender<bool>,
}

impl Listener {
    /// Listens on a new pipe, and says so in the file `socket`. Whatever is there was left behind: the caller sees to it
    /// that nobody listens.
    ///
    /// # Errors
    /// If there is no pipe to be had, or the file cannot be replaced.
    pub(super) fn bind(socket: &Path) -> io::Result<Self> {
        let mut random = [0; DIGITS / 2];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{PREFIX}{digits}");
        // Protected from inheritance; all rights for this user, none for anybody else.
        let rule = format!("D:P(A;;GA;;;{})", user_of(&HPROCESS::GetCurrentProcess()).map_err(system_error)?);
        let rule = rule.to_wtf_16().map_err(io::Error::other)?;
        let _driven = driver()?.enter();
        let pipe = PipeListenerOptions::new()
            .path(name.as_str())
            .security_descriptor(Some(SecurityDescriptor::deserialize(&rule)?))
            .accept_remote(false)
            .input_buffer_size_hint(BUFFER)
            .output_buffer_size_hint(BUFFER)
            .create_tokio_duplex::<Bytes>()?;
        write_atomically(socket, name.as_bytes()).map_err(io::Error::other)?;
        Ok(Self { pipe, name, socket: socket.to_owned(), closed: watch::Sender::new(false) })
    }

    /// Waits for a front end.
    ///
    /// # Errors
    /// If there is no further instance of the pipe to be had, or it was closed.
    pub(super) fn accept(&self) -> io::Result<Stream> {
        driver()?.block_on(async {
            tokio::select! {
                pipe = self.pipe.accept() => Ok(Stream::new(pipe?)),
                () = until_closed(&self.closed) => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        })
    }

    /// Whether the file is still there, and this pipe's.
    pub(super) fn is_there(&self) -> bool {
        pipe_name(&self.socket).is_ok_and(|name| name == self.name)
    }

    /// From here on nobody finds it.
    pub(super) fn close(&self) {
        if self.is_there() {
            let _ = fs::remove_file(&self.socket);
        }
        self.closed.send_replace(true);
    }
}

/// The pipe that a file names. Only one of an agent's: another machine's would be sent the user's credentials.
fn pipe_name(socket: &Path) -> io::Result<String> {
    let mut name = String::new();
    File::open(socket)?.take((PREFIX.len() + DIGITS + 1) as u64).read_to_string(&mut name)?;
    let is_ours = name.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    });
    if is_ours { Ok(name) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// One connection; its clones are the same one, as those of a socket are.
#[derive(Debug)]
pub(super) struct Stream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pipe: DuplexPipeStream<Bytes>,
    reading: Mutex<Option<Duration>>,
    writing: Mutex<Option<Duration>>,
    closed: watch::Sender<bool>,
}

impl Stream {
    fn new(pipe: DuplexPipeStream<Bytes>) -> Self {
        let shared = Shared {
            pipe,
            reading: Mutex::default(),
            writing: Mutex::default(),
            closed: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Connects to the pipe that the file `socket` names.
    ///
    /// # Errors
    /// If there is no such file or pipe; [`io::ErrorKind::InvalidData`] if the file names no pipe of an agent.
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let name = pipe_name(socket)?;
        let begin = Instant::now();
        let file = loop {
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(FILE_FLAG_OVERLAPPED)
                .security_qos_flags(SECURITY_IDENTIFICATION)
                .open(&name);
            match opened {
                Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) && begin.elapsed() < BUSY => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                opened => break opened?,
            }
        };
        let _driven = driver()?.enter();
        let pipe = DuplexPipeStream::try_from(OwnedHandle::from(file))
            .map_err(|error| error.cause.unwrap_or_else(|| io::ErrorKind::InvalidData.into()))?;
        Ok(Self::new(pipe))
    }

    /// The same connection once more.
    ///
    /// # Errors
    /// None.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { shared: Arc::clone(&self.shared) })
    }

    /// How long a read may take: then it is [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// None.
    pub(super) fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        *self.shared.reading.lock().unwrap_or_else(PoisonError::into_inner) = limit;
        Ok(())
    }

    /// How long a write may take: then it is [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// None.
    pub(super) fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        *self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner) = limit;
        Ok(())
    }

    /// Ends the connection: reads and writes return at once, and the other end sees it when the last clone is dropped.
    ///
    /// # Errors
    /// None.
    pub(super) fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.shared.closed.send_replace(true);
        Ok(())
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Shared { pipe, reading, closed, .. } = &*self.shared;
        let limit = *reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pipe = pipe;
        driver()?.block_on(async {
            tokio::select! {
                read = pipe.read(buffer) => read,
                () = until_closed(closed) => Ok(0),
                () = after(limit) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Shared { pipe, writing, closed, .. } = &*self.shared;
        let limit = *writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pipe = pipe;
        driver()?.block_on(async {
            tokio::select! {
                written = pipe.write(bytes) => written,
                () = until_closed(closed) => Err(io::ErrorKind::BrokenPipe.into()),
                () = after(limit) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }

    /// Nothing, as for a socket: on a pipe it would be to wait until the other end has read all.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

async fn until_closed(closed: &watch::Sender<bool>) {
    // Its sender outlives the wait.
    let _ = closed.subscribe().wait_for(|closed| *closed).await;
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => pending().await,
    }
}

/// Whether the process at the other end is this user's.
pub(super) fn is_peer_user(stream: &Stream) -> bool {
    let Ok(peer) = stream.shared.pipe.peer_process_id() else { return false };
    let peer = HPROCESS::OpenProcess(co::PROCESS::QUERY_LIMITED_INFORMATION, false, peer)
        .and_then(|process| user_of(&process));
    peer.is_ok_and(|peer| user_of(&HPROCESS::GetCurrentProcess()).is_ok_and(|user| user == peer))
}

/// The user as whom a process runs: a security identifier, `S-1-5-21-…`.
fn user_of(process: &HPROCESS) -> SysResult<String> {
    let token = process.OpenProcessToken(co::TOKEN::QUERY)?;
    match token.GetTokenInformation(co::TOKEN_INFORMATION_CLASS::User)? {
        TokenInfo::User(user) => {
            winsafe::ConvertSidToStringSid(user.User.Sid().ok_or(co::ERROR::INVALID_SID)?)
        }
        _ => Err(co::ERROR::INVALID_DATA),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener in a folder of its own.
    fn listener() -> (tempfile::TempDir, PathBuf, Listener) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.pipe");
        let listener = Listener::bind(&socket).unwrap();
        (folder, socket, listener)
    }

    fn pair(socket: &Path, listener: &Listener) -> (Stream, Stream) {
        let front = Stream::connect(socket).unwrap();
        (front, listener.accept().unwrap())
    }

    #[test]
    fn what_one_end_writes_the_other_reads() {
        let (_folder, socket, listener) = listener();
        let (mut front, mut agent) = pair(&socket, &listener);
        assert!(is_peer_user(&front) && is_peer_user(&agent));
        let long = vec![7; 300_000];
        let writing = std::thread::spawn({
            let (mut front, long) = (front.try_clone().unwrap(), long.clone());
            move || front.write_all(&long).unwrap()
        });
        let mut read = vec![0; long.len()];
        agent.read_exact(&mut read).unwrap();
        writing.join().unwrap();
        assert_eq!(read, long);
        // What was written before the end is read after it.
        agent.write_all(b"last words").unwrap();
        drop(agent);
        let mut read = String::new();
        front.read_to_string(&mut read).unwrap();
        assert_eq!(read, "last words");
    }

    #[test]
    fn reading_and_writing_do_not_wait_for_each_other() {
        let (_folder, socket, listener) = listener();
        let (mut front, mut agent) = pair(&socket, &listener);
        let reading = std::thread::spawn({
            let mut front = front.try_clone().unwrap();
            move || {
                let mut byte = [0];
                front.read_exact(&mut byte).unwrap();
                byte
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        front.write_all(b"?").unwrap();
        let mut byte = [0];
        agent.read_exact(&mut byte).unwrap();
        agent.write_all(b"!").unwrap();
        assert_eq!((byte, reading.join().unwrap()), (*b"?", *b"!"));
    }

    #[test]
    fn a_silent_end_is_waited_for_no_longer_than_said() {
        let (_folder, socket, listener) = listener();
        let (mut front, _agent) = pair(&socket, &listener);
        front.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(front.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        front.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        // The first is taken whatever its length, and is on its way when the second comes.
        let error = (0..8).find_map(|_| front.write_all(&[0; 1 << 16]).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_connection_that_is_shut_down_ends_at_both_ends() {
        let (_folder, socket, listener) = listener();
        let (front, mut agent) = pair(&socket, &listener);
        let reading = std::thread::spawn({
            let mut front = front.try_clone().unwrap();
            move || front.read(&mut [0]).unwrap()
        });
        std::thread::sleep(Duration::from_millis(50));
        front.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reading.join().unwrap(), 0);
        drop(front);
        assert_eq!(agent.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_closed_listener_lets_go_and_has_a_successor() {
        let (_folder, socket, first) = listener();
        let (mut front, mut agent) = pair(&socket, &first);
        let first = Arc::new(first);
        let accepting = std::thread::spawn({
            let first = Arc::clone(&first);
            move || first.accept().map(drop).unwrap_err().kind()
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(first.is_there());
        first.close();
        assert_eq!(accepting.join().unwrap(), io::ErrorKind::ConnectionAborted);
        assert!(!first.is_there() && !socket.exists());
        assert!(Stream::connect(&socket).is_err());
        let second = Listener::bind(&socket).unwrap();
        first.close();
        assert!(second.is_there(), "what a retired one closes is not its successor's");
        let _pair = pair(&socket, &second);
        // Who was connected still is.
        front.write_all(b"x").unwrap();
        agent.read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn many_come_at_once() {
        let (_folder, socket, listener) = listener();
        let listener = Arc::new(listener);
        let closer = Arc::clone(&listener);
        let fronts: Vec<_> = (0..50)
            .map(|_| {
                let socket = socket.clone();
                std::thread::spawn(move || Stream::connect(&socket).unwrap().read(&mut [0]).unwrap())
            })
            .collect();
        let serving = std::thread::spawn(move || {
            while let Ok(mut agent) = listener.accept() {
                agent.write_all(b"x").unwrap();
            }
        });
        assert!(fronts.into_iter().all(|front| front.join().unwrap() == 1));
        closer.close();
        serving.join().unwrap();
    }

    #[test]
    fn a_file_that_names_another_pipe_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.pipe");
        let digits = "0123456789abcdef0123456789abcdef";
        for (name, kind) in [
            (format!(r"\\.\pipe\keyfob-{digits}"), io::ErrorKind::NotFound),
            (format!(r"\\.\pipe\keyfob-{digits}0"), io::ErrorKind::InvalidData),
            (format!(r"\\server\pipe\keyfob-{digits}"), io::ErrorKind::InvalidData),
            (format!(r"\\.\pipe\keyfob-..\{}", &digits[3..]), io::ErrorKind::InvalidData),
            (String::new(), io::ErrorKind::InvalidData),
        ] {
            fs::write(&socket, &name).unwrap();
            assert_eq!(Stream::connect(&socket).unwrap_err().kind(), kind, "{name}");
        }
    }
}
