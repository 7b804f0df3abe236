//! A front end's side of the agent: finds it, starts it, asks it, and survives its end.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keyfob_core::message::{ErrorCode, Event, Failure, Op, Reply, Request, VERSION};
use serde::Deserialize as _;
use serde_json::Deserializer;

use super::place::Place;
use super::system::{self, Stream};
use super::{Opened, Opening, Purpose, Status};
use crate::client::Client;
use crate::error::failure;
use crate::front;
use crate::holder::{Desk, Replies, is_shared};
use crate::paths::Paths;
use crate::program;
use crate::wire::{Frame, read_frame, try_frame};

/// How long an agent may take to greet. One that is stopped takes for ever.
const GREETING: Duration = Duration::from_secs(2);
/// How long one that was started may take to listen.
const START: Duration = Duration::from_secs(3);

/// A connection to the agent, which is started where there is none. None where it cannot be had: the front end then
/// holds the keys itself.
#[must_use]
pub fn connect(paths: &Paths, client: &Client) -> Option<Box<dyn Desk>> {
    desk(paths, client, true)
}

/// As [`connect`], and starts none: none where there is none.
#[must_use]
pub fn connect_running(paths: &Paths, client: &Client) -> Option<Box<dyn Desk>> {
    desk(paths, client, false)
}

fn desk(paths: &Paths, client: &Client, starts: bool) -> Option<Box<dyn Desk>> {
    let link = Link { place: Place::of(paths, front::env)?, client: client.clone(), starts };
    let stream = link.open()?;
    let shared = Arc::new(Shared { link, stream: Mutex::new(None), pending: Mutex::default() });
    shared.listen(&stream).ok()?;
    *shared.stream() = Some(stream);
    Some(Box::new(Remote { shared }))
}

/// How the agent is; none if there is none.
///
/// # Errors
/// If it does not say.
pub fn status(paths: &Paths) -> Result<Option<Status>, Failure> {
    ask_once(paths, Purpose::Status)
}

/// Ends the agent. How it was; none if there was none.
///
/// # Errors
/// If it does not answer.
pub fn stop(paths: &Paths) -> Result<Option<Status>, Failure> {
    ask_once(paths, Purpose::Stop)
}

/// Starts the agent, if there is none yet.
///
/// # Errors
/// If it does not come up.
pub fn start(paths: &Paths) -> Result<Status, Failure> {
    if let Some(status) = status(paths)? {
        return Ok(status);
    }
    let place = Place::of(paths, front::env).ok_or_else(no_place)?;
    launch().map_err(|error| failure(ErrorCode::Io, format!("cannot start the agent: {error}"), ""))?;
    let silent =
        || failure(ErrorCode::Io, "the agent was started and does not listen", "try `keyfob agent run`");
    wait_for(&place).ok_or_else(silent)?;
    status(paths)?.ok_or_else(silent)
}

fn no_place() -> Failure {
    failure(
        ErrorCode::Io,
        "there is no folder for the agent's socket that is yours alone",
        "see that $XDG_RUNTIME_DIR is yours, with mode 0700",
    )
}

fn ask_once(paths: &Paths, purpose: Purpose) -> Result<Option<Status>, Failure> {
    let Some(place) = Place::of(paths, front::env) else { return Ok(None) };
    // Once more where it ended meanwhile. One that breaks off again is there, and is not to be taken for gone.
    for _ in 0..2 {
        let Ok(stream) = Stream::connect(&place.socket) else { return Ok(None) };
        match open(&stream, purpose.clone()) {
            Ok(Opened::Status(status)) => return Ok(Some(status)),
            Ok(Opened::Retired) => return Ok(None),
            Ok(Opened::Refused(failure)) => return Err(failure),
            Err(error) if has_ended(&error) => std::thread::sleep(Duration::from_millis(20)),
            Ok(Opened::Welcome) | Err(_) => break,
        }
    }
    Err(silent())
}

fn silent() -> Failure {
    failure(
        ErrorCode::Internal,
        "the agent does not answer",
        "end it by hand: its process is in the file beside its socket; --no-agent does without it",
    )
}

/// Starts the agent as a process of its own.
fn launch() -> io::Result<()> {
    let program = program::keyfob()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the program keyfob is not in your PATH"))?;
    system::launch(&program)
}

/// A connection to an agent that was just started.
fn wait_for(place: &Place) -> Option<Stream> {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(500);
    while begin.elapsed() < START {
        if let Ok(stream) = Stream::connect(&place.socket) {
            return Some(stream);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    None
}

/// Says what a connection is for, and hears the answer.
fn open(stream: &Stream, purpose: Purpose) -> io::Result<Opened> {
    if !system::is_peer_user(stream) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(GREETING))?;
    stream.set_write_timeout(Some(GREETING))?;
    let mut stream = stream;
    let frame = try_frame(&Opening { v: VERSION, purpose }).map_err(io::Error::other)?;
    stream.write_all(&frame)?;
    let Frame::Message(message) = read_frame(&mut stream)? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let opened = Opened::deserialize(&mut Deserializer::from_slice(&message)).map_err(io::Error::other)?;
    stream.set_read_timeout(None)?;
    Ok(opened)
}

/// Whether that is the end of an agent that was there a moment ago.
fn has_ended(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

/// How a connection is made, and made again.
struct Link {
    place: Place,
    client: Client,
    /// Whether an agent is started where there is none.
    starts: bool,
}

impl Link {
    fn open(&self) -> Option<Stream> {
        // The second one after the first was retired, or ended between being found and being asked.
        for _ in 0..2 {
            let stream = match Stream::connect(&self.place.socket) {
                Ok(stream) => stream,
                Err(_) if !self.starts => return None,
                Err(_) => {
                    launch().ok()?;
                    wait_for(&self.place)?
                }
            };
            match open(&stream, Purpose::Ask(Box::new(self.client.clone()))) {
                Ok(Opened::Welcome) => return Some(stream),
                Ok(Opened::Retired) => {}
                Err(error) if has_ended(&error) => {}
                _ => return None,
            }
        }
        None
    }
}

/// A request that is not answered yet.
struct Pending {
    request: Request,
    replies: Replies,
    /// A touch was asked for, or it was asked twice: it is not asked again.
    told: bool,
}

struct Shared {
    link: Link,
    stream: Mutex<Option<Stream>>,
    pending: Mutex<HashMap<String, Pending>>,
}

/// The agent as a [`Desk`].
struct Remote {
    shared: Arc<Shared>,
}

impl Shared {
    fn stream(&self) -> MutexGuard<'_, Option<Stream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what comes over a connection, in a thread of its own.
    fn listen(self: &Arc<Self>, stream: &Stream) -> io::Result<()> {
        let mut reader = stream.try_clone()?;
        let shared = Arc::downgrade(self);
        std::thread::Builder::new().name("agent".to_owned()).spawn(move || {
            while let Ok(Frame::Message(message)) = read_frame(&mut reader) {
                let Ok(reply) = serde_json::from_slice::<Reply>(&message) else { break };
                let Some(shared) = shared.upgrade() else { return };
                shared.dispatch(reply);
            }
            if let Some(shared) = shared.upgrade() {
                shared.lost();
            }
        })?;
        Ok(())
    }

    fn dispatch(&self, reply: Reply) {
        let (Reply::Event { id, .. } | Reply::Done { id, .. } | Reply::Failed { id, .. }) = &reply else {
            return;
        };
        let mut pending = self.pending();
        if let Reply::Event { event, .. } = &reply {
            if let Some(asked) = pending.get_mut(id) {
                asked.told |= matches!(event, Event::TouchRequired { .. });
                (asked.replies)(reply);
            }
        } else if let Some(asked) = pending.remove(id) {
            drop(pending);
            (asked.replies)(reply);
        }
    }

    /// The agent has ended. What only reads, and has asked for no touch yet, is asked again.
    fn lost(self: &Arc<Self>) {
        let mut stream = self.stream();
        if stream.take().is_none() {
            // We left.
            return;
        }
        // Before anything is asked over another connection, which is not lost.
        let lost: Vec<_> = self.pending().drain().map(|(_, pending)| pending).collect();
        drop(stream);
        for Pending { request, replies, told } in lost {
            if !told && is_repeatable(&request.op) {
                self.send(Pending { request, replies, told: true });
            } else {
                fail(&request, &replies);
            }
        }
    }

    fn send(self: &Arc<Self>, asked: Pending) {
        // Held until the request is on its way, so that nobody else connects anew meanwhile, and no request falls between
        // the end of one connection and the next.
        let mut stream = self.stream();
        if stream.is_none() {
            *stream = self.link.open().filter(|stream| self.listen(stream).is_ok());
        }
        let Some(connection) = stream.as_mut() else {
            drop(stream);
            return fail(&asked.request, &asked.replies);
        };
        if self.pending().contains_key(&asked.request.id) {
            let error = failure(ErrorCode::BadRequest, "a request of this id is waiting already", "");
            return (asked.replies)(Reply::Failed { id: asked.request.id, error });
        }
        let frame = match try_frame(&asked.request) {
            Ok(frame) => frame,
            Err(text) => {
                let error = failure(ErrorCode::InvalidInput, text, "");
                return (asked.replies)(Reply::Failed { id: asked.request.id, error });
            }
        };
        let id = asked.request.id.clone();
        self.pending().insert(id, asked);
        // A connection that is broken, or takes no more, is noticed by the listener: after half a frame no other can follow.
        if connection.write_all(&frame).is_err() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Whether it may be asked again of another agent: it reads, or asks for a session, which the first has not given.
fn is_repeatable(op: &Op) -> bool {
    is_shared(op) || matches!(op, Op::TakeSession { .. } | Op::Sessions {})
}

fn fail(request: &Request, replies: &Replies) {
    let text = "the agent ended before it answered";
    // What only reads may be asked again in any case.
    let hint = match &request.op {
        op if is_repeatable(op) => "ask again",
        // What it had, it had in its memory.
        Op::KeepSession { .. } | Op::FailSession { .. } | Op::ClearSessions { .. } => {
            "its sessions are gone with it: ask again for new ones"
        }
        _ => "ask again; whether it was done, `keyfob oath list` shows",
    };
    replies(Reply::Failed { id: request.id.clone(), error: failure(ErrorCode::Internal, text, hint) });
}

impl Desk for Remote {
    fn ask(&self, request: Request, replies: Replies) {
        self.shared.send(Pending { request, replies, told: false });
    }

    fn leave(&self) {
        if let Some(stream) = self.shared.stream().take() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        self.shared.pending().clear();
    }

    fn look(&self) -> Result<(), Failure> {
        // One that is gone has ended its connections, which is noticed by itself.
        let Ok(stream) = Stream::connect(&self.shared.link.place.socket) else { return Ok(()) };
        match open(&stream, Purpose::Status) {
            Err(error) if !has_ended(&error) => Err(silent()),
            _ => Ok(()),
        }
    }

    fn describe(&self) -> String {
        format!("the agent at {} holds the keys", self.shared.link.place.socket.display())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.leave();
    }
}
