//! The protocol on a stream: frames, broken messages, and a front end that goes away.
//!
//! A frame is a length in four bytes of native endianness and that many bytes of JSON: native messaging's form, and the
//! agent's. Requests go to a [`Desk`] as they come; replies are written as they come, by a thread of their own, so that
//! a reader who has stopped reading holds up nobody else:
//!
//! ```text
//!   reader ─► frames ─► parse ─► Desk ─► events, answer ─► queue ─► writer
//!                └─ what is no frame of ours: refused at once ─────┘
//! ```
//!
//! Every message gets its own reply, and as long as the framing is intact the next one is read.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use keyfob_core::message::{ErrorCode, Event, Failure, Reply, Request, VERSION};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::holder::Desk;

/// Largest request that is read, in bytes. The longest that makes sense, a hundred links to object keys of 1,024 bytes that
/// are all encoded, is under 512 KiB.
const MAX_REQUEST: u32 = 1 << 20;

/// Largest message a browser sends, in bytes. A greater length is none: the stream is not in frames.
const MAX_FRAME: u32 = 64 << 20;

/// Largest reply a browser takes, in bytes; it closes the port at a larger one.
pub(crate) const MAX_REPLY: usize = 1 << 20;

/// How much of a message is read at once, in bytes: more than nearly all have.
const CHUNK: usize = 16 << 10;

/// Longest [`Request::id`], in characters.
const MAX_ID: usize = 64;

/// How many replies may wait for a front end that does not read them. One that asks on without reading is served no more.
const MAX_QUEUE: usize = 4096;

/// How a conversation ended.
#[derive(Debug)]
pub enum End {
    /// The input ended, and all that was asked is answered.
    Finished,
    /// The input ended, and nobody is there to take the answers that are still to come.
    Abandoned,
    /// The input ended inside a frame, or was not in frames (a [`Failure`] was sent).
    BrokenFrame,
    /// The output is closed, or the input failed.
    Io(io::Error),
}

/// What the end of the input means for what is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// It is answered, unless the key waits for a touch: nobody is there to be shown that.
    Finish,
    /// Nobody waits for it.
    Leave,
}

/// Lets `desk` answer the requests of `reader` until it ends.
///
/// Input that is no request is answered with [`ErrorCode::BadRequest`] or [`ErrorCode::UnsupportedVersion`],
/// with the request's id where it can be made out, and never reaches the desk.
pub fn serve<R, W>(mut reader: R, writer: W, desk: &dyn Desk, at_end: AtEnd) -> End
where
    R: Read,
    W: Write + Send + 'static,
{
    let (replies, queue) = channel();
    let shared = Arc::new(Shared {
        replies: Mutex::new(Some(replies)),
        queued: AtomicUsize::new(0),
        state: Mutex::default(),
        turn: Condvar::new(),
    });
    let writing = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            let result = write(writer, &queue, &shared.queued);
            // Nothing more reaches the front end.
            shared.replies.lock().unwrap_or_else(PoisonError::into_inner).take();
            shared.change(|state| state.closed = true);
            result
        }
    });
    let ended = read_frames(&mut reader, &shared, desk);
    let mut state = shared.state();
    while at_end == AtEnd::Finish && state.waiting > 0 && state.touches == 0 && !state.closed {
        state = shared.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let finished = state.waiting == 0;
    drop(state);
    // No reply is taken any more; those that were are written.
    shared.replies.lock().unwrap_or_else(PoisonError::into_inner).take();
    desk.leave();
    let written = writing.join().unwrap_or(Ok(()));
    match (written, ended) {
        (Err(error), _) | (Ok(()), Err(error)) => End::Io(error),
        (Ok(()), Ok(_)) if !finished => End::Abandoned,
        (Ok(()), Ok(Stop::BrokenFrame)) => End::BrokenFrame,
        (Ok(()), Ok(Stop::EndOfInput)) => End::Finished,
    }
}

fn write(mut writer: impl Write, queue: &Receiver<Reply>, queued: &AtomicUsize) -> io::Result<()> {
    for reply in queue {
        queued.fetch_sub(1, Ordering::Relaxed);
        // After the first failure nothing is written any more: half a frame would spoil all that follow.
        writer.write_all(&frame(&reply)).and_then(|()| writer.flush())?;
    }
    Ok(())
}

/// What the reader, the writer and the replies have in common.
struct Shared {
    /// None once nothing more is to be written.
    replies: Mutex<Option<Sender<Reply>>>,
    /// How many replies wait to be written. A channel with a limit would take room for all of them at once.
    queued: AtomicUsize,
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Default)]
struct State {
    /// How many requests are not answered yet.
    waiting: usize,
    /// For how many of them the front end was told that the key waits for a touch.
    touches: usize,
    /// The output is closed, or nobody reads it.
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.turn.notify_all();
    }

    fn send(&self, reply: Reply) {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = &*replies else { return };
        if self.queued.fetch_add(1, Ordering::Relaxed) < MAX_QUEUE {
            // A writer that has ended has said why.
            let _ = queue.send(reply);
        } else {
            replies.take();
            drop(replies);
            self.change(|state| state.closed = true);
        }
    }
}

/// Why the reader stopped.
enum Stop {
    EndOfInput,
    BrokenFrame,
}

fn read_frames(reader: &mut impl Read, shared: &Arc<Shared>, desk: &dyn Desk) -> io::Result<Stop> {
    loop {
        if shared.state().closed {
            return Ok(Stop::EndOfInput);
        }
        let message = match read_frame(reader)? {
            Frame::Message(message) => message,
            Frame::End => return Ok(Stop::EndOfInput),
            Frame::TooLong(text) => {
                shared.send(refusal(&text, None));
                continue;
            }
            Frame::Broken(text, hint) => {
                shared.send(refusal(&text, hint));
                return Ok(Stop::BrokenFrame);
            }
        };
        let request = match parse(&message) {
            Ok(request) => request,
            Err(reply) => {
                shared.send(*reply);
                continue;
            }
        };
        shared.change(|state| state.waiting += 1);
        let touched = Mutex::new(false);
        let shared = Arc::clone(shared);
        let replies = move |reply: Reply| {
            let mut touched = touched.lock().unwrap_or_else(PoisonError::into_inner);
            let asks_touch =
                matches!(&reply, Reply::Event { event: Event::TouchRequired { maybe: false, .. }, .. });
            let is_event = matches!(&reply, Reply::Event { .. });
            shared.send(reply);
            shared.change(|state| {
                if asks_touch && !*touched {
                    *touched = true;
                    state.touches += 1;
                } else if !is_event {
                    state.touches -= usize::from(std::mem::take(&mut *touched));
                    state.waiting -= 1;
                }
            });
        };
        desk.ask(request, Box::new(replies));
    }
}

/// What comes out of a stream.
pub(crate) enum Frame {
    /// A message, of [`MAX_REQUEST`] bytes at most.
    Message(Zeroizing<Vec<u8>>),
    /// Between two frames.
    End,
    /// Longer, and skipped.
    TooLong(String),
    /// The stream is not in frames, or ended inside one.
    Broken(String, Option<&'static str>),
}

/// Reads one frame.
pub(crate) fn read_frame(reader: &mut impl Read) -> io::Result<Frame> {
    let broken = |text: &str| Ok(Frame::Broken(text.to_owned(), None));
    let mut length = [0; 4];
    match read_up_to(reader, &mut length)? {
        0 => return Ok(Frame::End),
        4 => {}
        _ => return broken("the input ended inside a message's length"),
    }
    let length = u32::from_ne_bytes(length);
    if length > MAX_FRAME {
        return Ok(Frame::Broken(
            format!("a message of {length} bytes was announced; no browser sends more than {MAX_FRAME}"),
            Some("This program speaks native messaging on its standard input; browsers start it themselves"),
        ));
    }
    if length > MAX_REQUEST {
        let text = format!("the message has {length} bytes; a request has {MAX_REQUEST} at most");
        let skipped = io::copy(&mut reader.by_ref().take(length.into()), &mut io::sink())?;
        return Ok(if skipped < length.into() { Frame::Broken(text, None) } else { Frame::TooLong(text) });
    }
    // Room for what has come, not for what was announced: there may be a thousand who announce. In chunks, for a buffer that
    // grows leaves copies of passwords behind.
    let mut chunks = Vec::new();
    let mut missing = length as usize;
    while missing > CHUNK {
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        if read_up_to(reader, &mut chunk)? < CHUNK {
            return broken("the input ended inside a message");
        }
        chunks.push(chunk);
        missing -= CHUNK;
    }
    let mut last = Zeroizing::new(vec![0; missing]);
    if read_up_to(reader, &mut last)? < missing {
        return broken("the input ended inside a message");
    }
    if chunks.is_empty() {
        return Ok(Frame::Message(last));
    }
    let mut message = Zeroizing::new(Vec::with_capacity(length as usize));
    chunks.iter().chain([&last]).for_each(|chunk| message.extend_from_slice(chunk));
    Ok(Frame::Message(message))
}

/// Fills `buffer` as far as the input goes. How far that was.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What can be made out of a message that is no request.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    v: Option<serde_json::Value>,
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(default)]
    op: Option<HeadOp>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeadOp {
    Named { name: String },
    Other(serde::de::IgnoredAny),
}

impl Head {
    fn of(message: &[u8]) -> Self {
        serde_json::from_slice(message).unwrap_or_default()
    }

    /// The id, or none where it is none that this host gives back.
    fn id(&self) -> String {
        match &self.id {
            Some(serde_json::Value::String(id)) if is_id(id) => id.clone(),
            _ => String::new(),
        }
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().count() <= MAX_ID
}

/// The request in a message, or the reply to what is none. A reply never quotes the message beyond its id and
/// the operation's name: there may be secrets in it.
fn parse(message: &[u8]) -> Result<Request, Box<Reply>> {
    let refuse = |id: String, code, text: &str, hint| {
        Err(Box::new(Reply::Failed { id, error: failure(code, text, hint) }))
    };
    if message.is_empty() {
        return refuse(String::new(), ErrorCode::BadRequest, "the message is empty", None);
    }
    if std::str::from_utf8(message).is_err() {
        return refuse(String::new(), ErrorCode::BadRequest, "the message is not valid UTF-8", None);
    }
    let update = Some("Update Keyfob's extension and program to the same version");
    let error = match serde_json::from_slice::<Request>(message) {
        Ok(request) if request.v == VERSION && is_id(&request.id) => return Ok(request),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    if let Some(error) = &error
        && (error.is_syntax() || error.is_eof())
    {
        let text = format!("the message is broken JSON at line {}, column {}", error.line(), error.column());
        return refuse(String::new(), ErrorCode::BadRequest, &text, None);
    }
    let head = Head::of(message);
    let id = head.id();
    match &head.v {
        Some(v) if v.as_u64() != Some(VERSION.into()) && v.is_number() => {
            let text = format!("the request has version {v} of the protocol, this host speaks {VERSION}");
            return refuse(id, ErrorCode::UnsupportedVersion, &text, update);
        }
        _ => {}
    }
    if id.is_empty() {
        let text = format!("the request has no id of 1 to {MAX_ID} characters");
        return refuse(id, ErrorCode::BadRequest, &text, None);
    }
    let is_word =
        |name: &str| name.len() <= 32 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let text = match head.op {
        Some(HeadOp::Named { name }) if is_word(&name) => {
            format!("this host does not know the operation `{name}` in this form")
        }
        _ => "the message is no request of this protocol".to_owned(),
    };
    refuse(id, ErrorCode::BadRequest, &text, update)
}

fn failure(code: ErrorCode, message: &str, hint: Option<&str>) -> Failure {
    Failure {
        code,
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
        candidates: Vec::new(),
        wants: None,
    }
}

/// The reply to input of which no id can be made out.
fn refusal(message: &str, hint: Option<&str>) -> Reply {
    Reply::Failed { id: String::new(), error: failure(ErrorCode::BadRequest, message, hint) }
}

/// A reply as it goes over the wire.
fn frame(reply: &Reply) -> Zeroizing<Vec<u8>> {
    match try_frame(reply) {
        Ok(frame) => frame,
        Err(problem) => {
            let (Reply::Event { id, .. } | Reply::Done { id, .. } | Reply::Failed { id, .. }) = reply else {
                return Zeroizing::default();
            };
            let error = failure(ErrorCode::Internal, &problem, Some("Ask for less, or use the command line"));
            // A failure of a few hundred bytes does fit, so that this recursion ends here.
            try_frame(&Reply::Failed { id: id.clone(), error }).unwrap_or_default()
        }
    }
}

/// A message as it goes over the wire.
///
/// # Errors
/// A sentence, if it is larger than browsers take.
pub(crate) fn try_frame(message: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, String> {
    const LENGTH: usize = size_of::<u32>();
    let mut frame = Zeroizing::new(Vec::with_capacity(4096));
    frame.extend_from_slice(&[0; LENGTH]);
    serde_json::to_writer(&mut *frame, message)
        .map_err(|error| format!("the reply cannot be written: {error}"))?;
    let length = frame.len() - LENGTH;
    let header = u32::try_from(length).ok().filter(|_| length <= MAX_REPLY);
    match (header, frame.first_chunk_mut()) {
        (Some(length), Some(header)) => *header = length.to_ne_bytes(),
        _ => {
            return Err(format!(
                "the reply of {length} bytes is larger than the {MAX_REPLY} that browsers take"
            ));
        }
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use keyfob_core::message::{Answer, Op};
    use proptest::strategy::Strategy as _;

    use super::*;
    use crate::holder::script::{self, Script};

    /// Serves requests that `handler` answers, one after another.
    fn serve<R, W, H>(reader: R, writer: W, handler: H) -> End
    where
        R: Read,
        W: Write + Send + 'static,
        H: FnMut(&Request, &mut dyn FnMut(Event)) -> Result<Answer, Failure> + Send + 'static,
    {
        super::serve(reader, writer, &script::local(Script(handler)), AtEnd::Finish)
    }

    /// A writer whose bytes stay visible.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn replies(&self) -> Vec<Reply> {
            let bytes = self.0.lock().unwrap().clone();
            let mut rest = bytes.as_slice();
            let mut replies = Vec::new();
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let (json, after) = after.split_at(u32::from_ne_bytes(*length) as usize);
                replies.push(serde_json::from_slice(json).unwrap());
                rest = after;
            }
            replies
        }
    }

    fn framed(json: impl AsRef<[u8]>) -> Vec<u8> {
        let json = json.as_ref();
        [&u32::try_from(json.len()).unwrap().to_ne_bytes(), json].concat()
    }

    /// A request that waits for its turn.
    fn asked(id: &str) -> Vec<u8> {
        framed(format!(r#"{{"v":1,"id":"{id}","op":{{"name":"forget-password"}}}}"#))
    }

    fn answer(_: &Request, _: &mut dyn FnMut(Event)) -> Result<Answer, Failure> {
        Ok(Answer::Hello { version: "x".into(), protocol: VERSION })
    }

    /// What a reply comes to: `id:done`, `id:touch` or `id:code message`.
    fn summary(reply: &Reply) -> String {
        match reply {
            Reply::Event { id, event: Event::Waiting { .. } } => format!("{id}:waiting"),
            Reply::Event { id, .. } => format!("{id}:touch"),
            Reply::Done { id, .. } => format!("{id}:done"),
            Reply::Failed { id, error } => format!("{id}:{} {}", error.code.as_str(), error.message),
            _ => unreachable!(),
        }
    }

    #[test]
    fn every_message_gets_its_own_reply() {
        #[track_caller]
        fn check(input: &[u8], expected: &[&str], end: &str) {
            let sink = Sink::default();
            // Byte by byte: a read is no message.
            struct Slow<'a>(&'a [u8]);
            impl Read for Slow<'_> {
                fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                    let n = 1.min(buffer.len());
                    self.0.read(&mut buffer[..n])
                }
            }
            let ended = if input.len() < 4096 {
                serve(Slow(input), sink.clone(), answer)
            } else {
                serve(input, sink.clone(), answer)
            };
            let replies = sink.replies();
            let mut actual: Vec<_> = replies.iter().map(summary).collect();
            let mut expected = expected.to_vec();
            // Refusals of frames overtake answers.
            actual.sort();
            expected.sort_unstable();
            assert_eq!(actual.len(), expected.len(), "{actual:#?}");
            for (actual, expected) in actual.iter().zip(expected) {
                assert!(actual.starts_with(expected), "{actual}\nnot {expected}");
            }
            assert_eq!(format!("{ended:?}"), end);
        }
        let then = |first: Vec<u8>| [first, asked("next")].concat();

        check(&[], &[], "Finished");
        check(&then(asked("a")), &["a:done", "next:done"], "Finished");
        check(&then(framed("")), &[":bad-request the message is empty", "next:done"], "Finished");
        check(
            &then(framed("{")),
            &[":bad-request the message is broken JSON at line 1, column 1", "next:done"],
            "Finished",
        );
        check(
            &then(framed([0x22, 0xff, 0x22])),
            &[":bad-request the message is not valid UTF-8", "next:done"],
            "Finished",
        );
        check(&then(framed("null")), &[":bad-request the request has no id", "next:done"], "Finished");
        check(&then(framed("[1]")), &[":bad-request the request has no id", "next:done"], "Finished");
        let transmit = r#"{"v":1,"id":"a","op":{"name":"transmit","apdu":"00"}}"#;
        check(
            &then(framed(transmit)),
            &["a:bad-request this host does not know the operation `transmit`", "next:done"],
            "Finished",
        );
        check(
            &then(framed(r#"{"v":1,"id":"a","op":7}"#)),
            &["a:bad-request the message is no request", "next:done"],
            "Finished",
        );
        check(
            &then(framed(r#"{"v":2,"id":"a","op":{"name":"hello"}}"#)),
            &["a:unsupported-version the request has version 2", "next:done"],
            "Finished",
        );
        check(
            &then(framed(r#"{"v":3,"id":"a","op":{"name":"new"},"more":1}"#)),
            &["a:unsupported-version the request has version 3", "next:done"],
            "Finished",
        );
        check(&then(asked("")), &[":bad-request the request has no id", "next:done"], "Finished");
        check(
            &then(asked(&"x".repeat(65))),
            &[":bad-request the request has no id", "next:done"],
            "Finished",
        );
        check(&then(asked(&"ü".repeat(64))), &[&"ü".repeat(64), "next:done"], "Finished");
        check(
            &then(framed(vec![b' '; MAX_REQUEST as usize + 1])),
            &[":bad-request the message has 1048577 bytes", "next:done"],
            "Finished",
        );
        check(
            &[asked("a"), u32::MAX.to_ne_bytes().to_vec(), asked("never")].concat(),
            &["a:done", ":bad-request a message of 4294967295 bytes was announced"],
            "BrokenFrame",
        );
        check(&[0, 0], &[":bad-request the input ended inside a message's length"], "BrokenFrame");
        check(
            &[asked("a"), vec![9, 0, 0, 0, b'{']].concat(),
            &["a:done", ":bad-request the input ended inside"],
            "BrokenFrame",
        );
        check(&[0, 0, 32, 0, b'{'], &[":bad-request the message has 2097152 bytes"], "BrokenFrame");
    }

    #[test]
    fn replies_to_broken_requests_tell_no_secret() {
        for json in [
            r#"{"v":1,"id":"a","op":{"name":"unlock","password":"hunter2","more":"hunter2"}}"#,
            r#"{"v":1,"id":"a","op":{"name":"unlock","password":["hunter2"]}}"#,
            r#"{"v":"hunter2","id":"a","op":{"name":"unlock","password":"hunter2"}}"#,
            r#"{"v":1,"id":"a","op":{"name":"unlock hunter2"}}"#,
            r#"{"v":1,"id":"a","op":"hunter2"}"#,
            r#"{"v":1,"id":"a","hunter2":1}"#,
            r#""hunter2""#,
        ] {
            let reply = parse(json.as_bytes()).unwrap_err();
            assert!(!format!("{reply:?}").contains("hunter2"), "{reply:?}");
        }
    }

    #[test]
    fn what_browsers_do_not_take_becomes_a_failure() {
        let sink = Sink::default();
        let end = serve(asked("a").as_slice(), sink.clone(), |_, _| {
            Ok(Answer::Hello { version: "x".repeat(MAX_REPLY), protocol: VERSION })
        });
        assert!(matches!(end, End::Finished));
        let [Reply::Failed { id, error }] = &sink.replies()[..] else { panic!() };
        assert_eq!((id.as_str(), error.code), ("a", ErrorCode::Internal));
        assert!(error.message.contains("larger than"), "{error:?}");
    }

    #[test]
    fn events_come_before_the_answer_and_failures_carry_the_id() {
        let sink = Sink::default();
        let input = [asked("a"), asked("b")].concat();
        serve(input.as_slice(), sink.clone(), |request, report| {
            report(Event::TouchRequired { prompt: "p".into(), maybe: false });
            if request.id == "b" {
                Err(failure(ErrorCode::NoKey, "no key", None))
            } else {
                answer(request, report)
            }
        });
        let mut replies: Vec<_> = sink.replies().iter().map(summary).collect();
        // Told to the second, if it was asked while the key waited for the first.
        replies.retain(|reply| reply != "b:waiting");
        // The input has ended by the first touch: the rest may be abandoned, but never reordered.
        assert_eq!(replies, ["a:touch", "a:done", "b:touch", "b:no-key no key"][..replies.len()]);
        assert!(!replies.is_empty());
    }

    /// A reader that goes on when told to.
    struct Fed(mpsc::Receiver<Vec<u8>>, Vec<u8>);

    impl Read for Fed {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.1.is_empty() {
                self.1 = self.0.recv().unwrap_or_default();
            }
            let n = self.1.as_slice().read(buffer)?;
            self.1.drain(..n);
            Ok(n)
        }
    }

    #[test]
    fn a_browser_that_goes_away_during_a_touch_is_noticed() {
        let sink = Sink::default();
        let (feed, fed) = mpsc::channel();
        let (touched, touch) = mpsc::channel::<()>();
        let (waits, waiting) = mpsc::channel();
        let (left, leaving) = mpsc::channel();
        let host = std::thread::spawn({
            let sink = sink.clone();
            move || {
                serve(Fed(fed, Vec::new()), sink, move |request, report| {
                    report(Event::TouchRequired { prompt: "p".into(), maybe: false });
                    waits.send(()).unwrap();
                    touch.recv().unwrap();
                    let result = answer(request, report);
                    left.send(()).unwrap();
                    result
                })
            }
        });
        feed.send(asked("a")).unwrap();
        waiting.recv().unwrap();
        // While the key waits, broken and further requests are still read.
        feed.send([u32::to_ne_bytes(2 << 20).to_vec(), vec![0; 2 << 20]].concat()).unwrap();
        while sink.replies().len() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(feed);
        assert!(matches!(host.join().unwrap(), End::Abandoned));
        // The touch comes too late: nobody gets the answer.
        touched.send(()).unwrap();
        leaving.recv().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let replies: Vec<_> = sink.replies().iter().map(summary).collect();
        assert_eq!(replies[0], "a:touch");
        assert!(!replies.contains(&"a:done".to_owned()), "{replies:?}");
    }

    #[test]
    fn a_flood_is_refused_and_loses_nothing_that_was_taken() {
        let sink = Sink::default();
        let (go, wait) = mpsc::channel::<()>();
        let flood: Vec<u8> =
            (0..crate::holder::MAX_WAITING + 10).flat_map(|i| asked(&format!("{i}"))).collect();
        let host = std::thread::spawn({
            let sink = sink.clone();
            move || {
                serve(flood.as_slice(), sink, move |request, report| {
                    let _ = wait.recv();
                    answer(request, report)
                })
            }
        });
        while sink.replies().len() < 10 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(go);
        assert!(matches!(host.join().unwrap(), End::Finished));
        let replies = sink.replies();
        assert_eq!(replies.len(), crate::holder::MAX_WAITING + 10, "each is answered once");
        let refused = replies.iter().filter(|r| summary(r).contains("busy")).count();
        assert_eq!(refused, 10);
    }

    #[test]
    fn who_asks_on_and_never_reads_is_left() {
        /// Asks without end.
        struct Flood(io::Cursor<Vec<u8>>);
        impl Read for Flood {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => {
                        self.0.set_position(0);
                        self.0.read(buffer)
                    }
                    n => Ok(n),
                }
            }
        }
        /// Takes nothing until it is let go.
        struct Full(mpsc::Receiver<()>);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        /// Lets the writer go when it is left.
        struct Gate(Mutex<Option<mpsc::Sender<()>>>);
        impl Desk for Gate {
            fn ask(&self, request: Request, replies: crate::holder::Replies) {
                replies(Reply::Done { id: request.id, answer: crate::service::hello() });
            }
            fn leave(&self) {
                self.0.lock().unwrap().take();
            }
        }
        let (go, full) = mpsc::channel();
        let end = super::serve(
            Flood(io::Cursor::new(asked("a"))),
            Full(full),
            &Gate(Mutex::new(Some(go))),
            AtEnd::Leave,
        );
        assert!(matches!(end, End::Finished), "{end:?}");
    }

    #[test]
    fn a_closed_output_ends_the_conversation_and_a_panic_is_answered() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let input = [asked("a"), asked("b")].concat();
        assert!(
            matches!(serve(input.as_slice(), Broken, answer), End::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
        );
        let sink = Sink::default();
        let end = serve(input.as_slice(), sink.clone(), |_, _| panic!("of the test"));
        assert!(matches!(end, End::Finished), "{end:?}");
        let mut replies: Vec<_> = sink.replies().iter().map(summary).collect();
        replies.sort();
        assert_eq!(replies, ["a:internal something in keyfob broke", "b:internal something in keyfob broke"]);
    }

    #[test]
    fn long_messages_are_put_together_again() {
        let text: Vec<u8> = (0..MAX_REQUEST).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, text.len()] {
            let frame = framed(&text[..length]);
            let Ok(Frame::Message(message)) = read_frame(&mut frame.as_slice()) else { panic!("{length}") };
            assert_eq!(*message, text[..length], "{length}");
            let cut = read_frame(&mut &frame[..frame.len() - 1]);
            assert!(matches!(cut, Ok(Frame::Broken(..))), "{length}");
        }
    }

    #[test]
    fn requests_reach_the_handler_whole() {
        let json = r#"{"v":1,"id":"a","key":"soft:x","op":{"name":"code","account":"y","at":59}}"#;
        let request = parse(json.as_bytes()).unwrap();
        assert_eq!(request.key.as_deref(), Some("soft:x"));
        assert_eq!(
            request.op,
            Op::Code { account: "y".into(), at: Some(59), purpose: None, fresh: false, next: false }
        );
    }

    proptest::proptest! {
        /// Whatever comes in, what goes out is in frames, and everything else is left alone.
        #[test]
        fn no_input_breaks_the_output(parts in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64).prop_map(framed),
                "[ -~]{0,64}".prop_map(framed),
                "[a-z]{0,70}".prop_map(|id| asked(&id)),
            ],
            0..8,
        )) {
            let sink = Sink::default();
            let input = parts.concat();
            let end = serve(input.as_slice(), sink.clone(), answer);
            assert!(matches!(end, End::Finished | End::BrokenFrame), "{end:?}");
            sink.replies();
        }
    }
}
