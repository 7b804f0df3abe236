//! The agent's own side: listens, serves, watches, and ends.

use std::fs::{File, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyfob_core::message::{ErrorCode, Failure, VERSION};

use super::place::Place;
use super::system::{self, Identity, Listener, Stream};
use super::{Opened, Opening, Purpose, Status};
use super::{sleep, stirs};
use crate::error::failure;
use crate::front;
use crate::harden::{self, SleepDetector};
use crate::holder::{Holder, Stir};
use crate::key::watch::{self, Watch};
use crate::paths::Paths;
use crate::wire::{self, AtEnd, Frame, read_frame, try_frame};

/// How often the agent looks whether it is still wanted, where the system does not tell.
const TICK: Duration = Duration::from_secs(2);
/// How often where it does: what ends by the wall clock ends no later than this after a jump that nobody saw.
const SELDOM: Duration = Duration::from_secs(10 * 60);
/// How long a front end may take to say what it wants.
const GREETING: Duration = Duration::from_secs(5);
/// How long a front end may leave its answers unread, once there is no more room for them.
const WRITING: Duration = Duration::from_secs(60);
/// How many front ends at once: more than a storm of processes, fewer than the system has threads.
const MAX_CLIENTS: usize = 1000;
/// How many files may be open: two for each front end, and what keys need.
const FILES: u64 = 4096;

/// Is the agent until it is told to end, or nobody has asked anything for `idle`.
///
/// # Errors
/// If it cannot listen. That another one does is none.
pub fn run(idle: Duration) -> Result<(), Failure> {
    harden::for_good();
    system::detach();
    harden::room_for_files(FILES);
    let paths = Paths::resolve(front::env).map_err(|error| failure(error.code(), &error, ""))?;
    let no_place =
        || failure(ErrorCode::Io, "there is no folder for the agent's socket that is yours alone", "");
    let place = Place::of(&paths, front::env).ok_or_else(no_place)?;
    let cannot = |error: io::Error| {
        failure(ErrorCode::Io, format!("cannot listen on {}: {error}", place.socket.display()), "")
    };
    let Some(listening) = Listening::begin(&place).map_err(cannot)? else { return Ok(()) };
    let _ = std::env::set_current_dir("/");

    let holder = Holder::new(front::local_service(&paths));
    let stir = holder.stir();
    let shared = Arc::new(Shared {
        holder,
        stir: Arc::clone(&stir),
        program: Program::running(),
        idle,
        clients: AtomicUsize::new(0),
        state: Mutex::new(State { listening: Some(listening), ending: false }),
    });
    let is_told = stirs::watch(&place.socket, move || stir.stir());
    let removals = watch::removals({
        let shared = Arc::clone(&shared);
        move |reader| shared.holder.removed(reader)
    });
    sleep::before({
        let shared = Arc::clone(&shared);
        move || shared.holder.lock()
    });
    std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || accept(&shared)
    });
    shared.stay(if is_told { SELDOM } else { TICK }, &removals);
    drop(removals);
    Ok(())
}

/// The socket, while it is ours.
struct Listening {
    listener: Arc<Listener>,
    /// Locked as long as it lives.
    _lock: File,
}

impl Listening {
    /// None if another agent listens.
    fn begin(place: &Place) -> io::Result<Option<Self>> {
        let mut lock =
            system::private().read(true).write(true).create(true).truncate(false).open(&place.lock)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        lock.set_len(0)?;
        lock.rewind()?;
        // For people; a disk that is full keeps nobody from the key.
        let _ = writeln!(lock, "{}", std::process::id());
        // With the lock in hand, whatever is there was left behind by one that was killed.
        let listener = Arc::new(Listener::bind(&place.socket)?);
        Ok(Some(Self { listener, _lock: lock }))
    }

    /// Whether the file is still there, and this socket's.
    fn is_there(&self) -> bool {
        self.listener.is_there()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listener.close();
    }
}

/// The file of a program: another one once it was replaced by another version.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    path: PathBuf,
    identity: Option<Identity>,
}

impl Program {
    fn running() -> Self {
        Self::at(&std::env::current_exe().unwrap_or_default())
    }

    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: system::identity(path) }
    }

    fn was_replaced(&self) -> bool {
        Self::at(&self.path) != *self
    }
}

struct Shared {
    holder: Holder,
    program: Program,
    idle: Duration,
    clients: AtomicUsize,
    state: Mutex<State>,
    /// Stirred by the holder, and by all that decides whether this agent is to stay.
    stir: Arc<Stir>,
}

struct State {
    /// None once this agent takes no more front ends.
    listening: Option<Listening>,
    ending: bool,
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the agent is to end. Looks whenever it is stirred, when something ends, and once in `look`.
    fn stay(&self, look: Duration, removals: &Watch) {
        let mut detector = SleepDetector::new();
        let mut locked = false;
        let mut seen = self.stir.count();
        loop {
            self.stir.wait(seen, self.next(look, locked));
            seen = self.stir.count();
            let state = self.state();
            // Whoever removed the socket, perhaps with its folder, wants no agent.
            let gone = state.listening.as_ref().is_some_and(|listening| !listening.is_there());
            let retired = state.listening.is_none();
            let ending = state.ending;
            drop(state);
            if ending || gone {
                return;
            }
            if detector.has_slept() {
                self.holder.lock();
            }
            // A question may have unlocked a card, or be about to.
            removals.nudge();
            self.holder.tick();
            let clients = self.clients.load(Ordering::SeqCst);
            if self.holder.idle() < self.idle {
                locked = false;
            } else if !locked {
                self.holder.lock();
                locked = true;
            }
            // `keyfob lock` does not reach it any more, so it may know nothing for long. Its front ends find its successor
            // when they next ask.
            if retired && self.holder.idle() >= TICK {
                self.holder.lock();
                return;
            }
            // Sessions that have not ended are what others come back for.
            if clients == 0 && (locked && !self.holder.has_sessions() || retired) {
                // From here on nobody finds it.
                self.state().listening = None;
                if self.clients.load(Ordering::SeqCst) == 0 {
                    return;
                }
            }
        }
    }

    /// When there is something to do, as far as is known now.
    fn next(&self, look: Duration, locked: bool) -> Option<Instant> {
        let retired = self.state().listening.is_none();
        // Of one that is busy, its being done stirs.
        let idle = self.holder.idle_since().filter(|_| !locked || retired);
        let idle = idle.and_then(|since| since.checked_add(if retired { TICK } else { self.idle }));
        Instant::now().checked_add(look).into_iter().chain(self.holder.due()).chain(idle).min()
    }

    fn status(&self) -> Status {
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // Who asks this is none.
            clients: self.clients.load(Ordering::SeqCst).saturating_sub(1),
            idle: self.holder.idle().as_secs(),
            idle_limit: self.idle.as_secs(),
        }
    }

    /// Takes no more front ends, and lets another agent be started.
    fn retire(&self) {
        self.state().listening = None;
        self.stir.stir();
    }

    fn end(&self) {
        let mut state = self.state();
        state.listening = None;
        state.ending = true;
        drop(state);
        self.stir.stir();
    }
}

fn accept(shared: &Arc<Shared>) {
    let Some(listener) = shared.state().listening.as_ref().map(|listening| Arc::clone(&listening.listener))
    else {
        return;
    };
    loop {
        let stream = match listener.accept() {
            Ok(stream) => stream,
            Err(_) if shared.state().listening.is_none() => return,
            // Too many files are open, perhaps: some will be closed.
            Err(_) => {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if shared.clients.fetch_add(1, Ordering::SeqCst) >= MAX_CLIENTS || !system::is_peer_user(&stream) {
            shared.clients.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let connection = Connection { shared: Arc::clone(shared) };
        // A thread that cannot be had is a connection that is closed.
        let _ = std::thread::Builder::new().stack_size(512 << 10).spawn(move || connection.serve(&stream));
        if shared.state().listening.is_none() {
            return;
        }
    }
}

/// One front end's connection; counted until it is dropped.
struct Connection {
    shared: Arc<Shared>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.shared.clients.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Perhaps it was the last that held the agent up.
            self.shared.stir.stir();
        }
    }
}

impl Connection {
    fn serve(self, stream: &Stream) {
        // Whoever breaks off, or says nothing that can be understood, gets no answer.
        let _ = self.talk(stream);
    }

    fn talk(&self, mut stream: &Stream) -> io::Result<()> {
        let shared = &self.shared;
        stream.set_read_timeout(Some(GREETING))?;
        let Frame::Message(message) = read_frame(&mut stream)? else { return Ok(()) };
        let mut answer = |opened: Opened| stream.write_all(&try_frame(&opened).map_err(io::Error::other)?);
        let opening: Opening = match serde_json::from_slice(&message) {
            Ok(opening) => opening,
            Err(_) => {
                let text = "the agent is of another version and does not understand";
                return answer(Opened::Refused(failure(ErrorCode::UnsupportedVersion, text, "")));
            }
        };
        match opening.purpose {
            Purpose::Status => answer(Opened::Status(shared.status())),
            Purpose::Stop => {
                let status = shared.status();
                // When it is answered there is no socket any more.
                shared.state().listening = None;
                shared.holder.lock();
                shared.holder.forget_sessions();
                let answered = answer(Opened::Status(status));
                shared.end();
                answered
            }
            Purpose::Ask(_) if shared.program.was_replaced() || opening.v > VERSION => {
                shared.retire();
                answer(Opened::Retired)
            }
            Purpose::Ask(_) if opening.v != VERSION => {
                let text = "the agent is of a later version";
                answer(Opened::Refused(failure(ErrorCode::UnsupportedVersion, text, "")))
            }
            Purpose::Ask(client) if !client.soft.can_be_lent() => {
                let text = "the agent reads a passphrase from a file only";
                answer(Opened::Refused(failure(ErrorCode::Unsupported, text, "use --no-agent")))
            }
            Purpose::Ask(client) => {
                answer(Opened::Welcome)?;
                stream.set_read_timeout(None)?;
                // A front end that takes no answer for so long is stopped, or none.
                stream.set_write_timeout(Some(WRITING))?;
                let seat = shared.holder.seat(*client);
                let writer = stream.try_clone()?;
                wire::serve(stream, writer, &seat, AtEnd::Leave);
                Ok(())
            }
        }
    }
}
