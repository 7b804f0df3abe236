//! The native-messaging host's wire: frames, broken messages, and a browser that goes away.
//!
//! A frame is a length in four bytes of native endianness and that many bytes of JSON. The reader runs on the
//! caller's thread, requests are handled one after another on a worker, so that the end of the input is noticed
//! while a key waits for a touch:
//!
//! ```text
//!   reader ─► frames ─► queue ─► worker: parse ─► handler ─► events, answer ─► writer
//!                └─ what is no frame of ours: refused at once ─────────────────────┘
//! ```
//!
//! Every message gets its own reply, and as long as the framing is intact the next one is read.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use keyfob_core::message::{Answer, ErrorCode, Event, Failure, Reply, Request, VERSION};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::browser::{self, Family};

/// Largest request that is read, in bytes. The longest that makes sense, a presign with a session token and
/// an object key of 1,024 bytes, is under 16 KiB.
const MAX_REQUEST: u32 = 1 << 20;

/// Largest message a browser sends, in bytes. A greater length is none: the stream is not in frames.
const MAX_FRAME: u32 = 64 << 20;

/// Largest reply a browser takes, in bytes; it closes the port at a larger one.
const MAX_REPLY: usize = 1 << 20;

/// How many requests may wait. A touch blocks the worker for up to 15 s, in which a person causes a few.
const MAX_WAITING: usize = 64;

/// Longest [`Request::id`], in characters.
const MAX_ID: usize = 64;

/// How a conversation ended.
#[derive(Debug)]
pub enum End {
    /// The input ended, and all that was asked is answered.
    Finished,
    /// The input ended while the key waited for a touch: nobody is there to take the answer. The worker is left
    /// behind; the process should end now. What it may still find out is dropped, not written.
    Abandoned,
    /// The input ended inside a frame, or was not in frames (a [`Failure`] was sent).
    BrokenFrame,
    /// The output is closed, or the input failed.
    Io(io::Error),
    /// The handler panicked.
    Panicked,
}

/// Answers the requests of `reader` until it ends. `handler` gets them one at a time, and a function to report
/// progress with.
///
/// Input that is no request is answered with [`ErrorCode::BadRequest`] or [`ErrorCode::UnsupportedVersion`],
/// with the request's id where it can be made out, and never reaches `handler`.
pub fn serve<R, W, H>(mut reader: R, writer: W, handler: H) -> End
where
    R: Read,
    W: Write + Send + 'static,
    H: FnMut(Request, &mut dyn FnMut(Event)) -> Result<Answer, Failure> + Send + 'static,
{
    let shared = Arc::new(Shared {
        output: Mutex::new(Output::Open(writer)),
        state: Mutex::default(),
        turn: Condvar::new(),
    });
    let (queue, requests) = sync_channel(MAX_WAITING);
    let worker = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || work(&shared, &requests, handler)
    });
    let ended = read_frames(&mut reader, &shared, queue);
    // `queue` is dropped: the worker stops once it is through with what waits.
    let mut state = shared.state();
    while !state.finished && !state.touch {
        state = shared.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let finished = state.finished;
    drop(state);
    let error = shared.close();
    if finished && worker.join().is_err() {
        return End::Panicked;
    }
    match (error, ended) {
        (Some(error), _) | (None, Err(error)) => End::Io(error),
        (None, Ok(_)) if !finished => End::Abandoned,
        (None, Ok(Stop::BrokenFrame)) => End::BrokenFrame,
        (None, Ok(Stop::EndOfInput)) => End::Finished,
    }
}

/// What reader and worker have in common.
struct Shared<W> {
    output: Mutex<Output<W>>,
    state: Mutex<State>,
    turn: Condvar,
}

/// The writer, until it fails or the conversation is over.
enum Output<W> {
    Open(W),
    Closed(Option<io::Error>),
}

/// Where the worker is.
#[derive(Default)]
struct State {
    /// It told the browser that the key waits for a touch, and the request is not done yet.
    touch: bool,
    /// It has ended.
    finished: bool,
}

impl<W: Write> Shared<W> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.turn.notify_all();
    }

    /// Writes a reply in one frame. After the first failure nothing is written any more: half a frame would
    /// spoil all that follow.
    fn send(&self, reply: &Reply) {
        let frame = frame(reply);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if let Output::Open(writer) = &mut *output
            && let Err(error) = writer.write_all(&frame).and_then(|()| writer.flush())
        {
            *output = Output::Closed(Some(error));
        }
    }

    fn is_closed(&self) -> bool {
        matches!(*self.output.lock().unwrap_or_else(PoisonError::into_inner), Output::Closed(_))
    }

    /// Lets nothing more be written. Why nothing could be, if that was so.
    fn close(&self) -> Option<io::Error> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *output, Output::Closed(None)) {
            Output::Open(_) => None,
            Output::Closed(error) => error,
        }
    }
}

/// Why the reader stopped.
enum Stop {
    EndOfInput,
    BrokenFrame,
}

fn read_frames<W: Write>(
    reader: &mut impl Read,
    shared: &Shared<W>,
    queue: SyncSender<Zeroizing<Vec<u8>>>,
) -> io::Result<Stop> {
    loop {
        let mut length = [0; 4];
        match read_up_to(reader, &mut length)? {
            0 => return Ok(Stop::EndOfInput),
            4 => {}
            _ => {
                shared.send(&refusal("the input ended inside a message's length", None));
                return Ok(Stop::BrokenFrame);
            }
        }
        let length = u32::from_ne_bytes(length);
        if length > MAX_FRAME {
            shared.send(&refusal(
                &format!("a message of {length} bytes was announced; no browser sends more than {MAX_FRAME}"),
                Some("This program speaks native messaging on its standard input; browsers start it themselves"),
            ));
            return Ok(Stop::BrokenFrame);
        }
        if length > MAX_REQUEST {
            shared.send(&refusal(
                &format!("the message has {length} bytes; a request has {MAX_REQUEST} at most"),
                None,
            ));
            let skipped = io::copy(&mut reader.by_ref().take(length.into()), &mut io::sink())?;
            if skipped < length.into() {
                return Ok(Stop::BrokenFrame);
            }
            continue;
        }
        // At most MAX_REQUEST bytes, allocated once: growing would leave copies of passwords behind.
        let mut message = Zeroizing::new(vec![0; length as usize]);
        if read_up_to(reader, &mut message)? < message.len() {
            shared.send(&refusal("the input ended inside a message", None));
            return Ok(Stop::BrokenFrame);
        }
        match queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(message)) => {
                let id = Head::of(&message).id();
                let text = format!("{MAX_WAITING} requests are waiting already");
                let hint = Some("Touch the key, or wait until it gives up, and try again");
                shared.send(&Reply::Failed { id, error: failure(ErrorCode::Busy, &text, hint) });
            }
            // The worker ends early only when nothing can be written any more, or by a panic.
            Err(TrySendError::Disconnected(_)) => return Ok(Stop::EndOfInput),
        }
    }
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

fn work<W, H>(shared: &Shared<W>, requests: &Receiver<Zeroizing<Vec<u8>>>, mut handler: H)
where
    W: Write,
    H: FnMut(Request, &mut dyn FnMut(Event)) -> Result<Answer, Failure>,
{
    /// Says that the worker has ended, also when it panics.
    struct Finished<'a, W: Write>(&'a Shared<W>);
    impl<W: Write> Drop for Finished<'_, W> {
        fn drop(&mut self) {
            self.0.change(|state| state.finished = true);
        }
    }
    let _finished = Finished(shared);
    for message in requests {
        if shared.is_closed() {
            return;
        }
        let request = match parse(&message) {
            Ok(request) => request,
            Err(reply) => {
                shared.send(&reply);
                continue;
            }
        };
        let id = request.id.clone();
        let mut report = |event| {
            let touch = matches!(event, Event::TouchRequired { .. });
            shared.send(&Reply::Event { id: id.clone(), event });
            if touch {
                shared.change(|state| state.touch = true);
            }
        };
        let result = handler(request, &mut report);
        shared.send(&match result {
            Ok(answer) => Reply::Done { id, answer },
            Err(error) => Reply::Failed { id, error },
        });
        shared.change(|state| state.touch = false);
    }
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
    Failure { code, message: message.to_owned(), hint: hint.map(str::to_owned), candidates: Vec::new() }
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

fn try_frame(reply: &Reply) -> Result<Zeroizing<Vec<u8>>, String> {
    const LENGTH: usize = size_of::<u32>();
    let mut frame = Zeroizing::new(Vec::with_capacity(4096));
    frame.extend_from_slice(&[0; LENGTH]);
    serde_json::to_writer(&mut *frame, reply)
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

/// The extension for which a browser started this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What kind of browser it is.
    pub family: Family,
    /// The extension's id.
    pub extension: String,
}

impl Caller {
    /// Whether it is Keyfob's own extension. The browser has checked that by the manifest it was given; this is
    /// for when somebody else wrote the manifest.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        browser::is_own_extension(self.family, &self.extension)
    }
}

/// Who calls, if the arguments after the program's name are those with which a browser starts a native-messaging
/// host: `chrome-extension://ID/` first (then perhaps `--parent-window=N`), or the path of a manifest and the
/// add-on's id.
#[must_use]
pub fn browser_caller(args: &[OsString]) -> Option<Caller> {
    let first = args.first()?;
    if let Some(origin) = first.to_str().and_then(|first| first.strip_prefix("chrome-extension://")) {
        let extension = origin.strip_suffix('/').unwrap_or(origin).to_owned();
        return Some(Caller { family: Family::Chromium, extension });
    }
    let is_manifest = Path::new(first).file_name().is_some_and(|name| name == browser::MANIFEST_FILE);
    let extension = args.get(1).filter(|_| is_manifest)?.to_str()?.to_owned();
    Some(Caller { family: Family::Firefox, extension })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use keyfob_core::message::Op;
    use proptest::strategy::Strategy as _;

    use super::*;

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

    fn hello(id: &str) -> Vec<u8> {
        framed(format!(r#"{{"v":1,"id":"{id}","op":{{"name":"hello"}}}}"#))
    }

    fn answer(_: Request, _: &mut dyn FnMut(Event)) -> Result<Answer, Failure> {
        Ok(Answer::Hello { version: "x".into(), protocol: VERSION })
    }

    /// What a reply comes to: `id:done`, `id:touch` or `id:code message`.
    fn summary(reply: &Reply) -> String {
        match reply {
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
        let then = |first: Vec<u8>| [first, hello("next")].concat();

        check(&[], &[], "Finished");
        check(&then(hello("a")), &["a:done", "next:done"], "Finished");
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
        check(&then(hello("")), &[":bad-request the request has no id", "next:done"], "Finished");
        check(
            &then(hello(&"x".repeat(65))),
            &[":bad-request the request has no id", "next:done"],
            "Finished",
        );
        check(&then(hello(&"ü".repeat(64))), &[&"ü".repeat(64), "next:done"], "Finished");
        check(
            &then(framed(vec![b' '; MAX_REQUEST as usize + 1])),
            &[":bad-request the message has 1048577 bytes", "next:done"],
            "Finished",
        );
        check(
            &[hello("a"), u32::MAX.to_ne_bytes().to_vec(), hello("never")].concat(),
            &["a:done", ":bad-request a message of 4294967295 bytes was announced"],
            "BrokenFrame",
        );
        check(&[0, 0], &[":bad-request the input ended inside a message's length"], "BrokenFrame");
        check(
            &[hello("a"), vec![9, 0, 0, 0, b'{']].concat(),
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
        let end = serve(hello("a").as_slice(), sink.clone(), |_, _| {
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
        let input = [hello("a"), hello("b")].concat();
        serve(input.as_slice(), sink.clone(), |request, report| {
            report(Event::TouchRequired { prompt: "p".into() });
            if request.id == "b" {
                Err(failure(ErrorCode::NoKey, "no key", None))
            } else {
                answer(request, report)
            }
        });
        let replies: Vec<_> = sink.replies().iter().map(summary).collect();
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
                    report(Event::TouchRequired { prompt: "p".into() });
                    waits.send(()).unwrap();
                    touch.recv().unwrap();
                    let result = answer(request, report);
                    left.send(()).unwrap();
                    result
                })
            }
        });
        feed.send(hello("a")).unwrap();
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
        let flood: Vec<u8> = (0..MAX_WAITING + 10).flat_map(|i| hello(&format!("{i}"))).collect();
        let host = std::thread::spawn({
            let sink = sink.clone();
            move || {
                serve(flood.as_slice(), sink, move |request, report| {
                    let _ = wait.recv();
                    answer(request, report)
                })
            }
        });
        // One is being handled and 64 wait, or one more is refused while the worker has not taken its first.
        while sink.replies().len() < 9 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(go);
        assert!(matches!(host.join().unwrap(), End::Finished));
        let replies = sink.replies();
        assert_eq!(replies.len(), MAX_WAITING + 10, "each is answered once");
        let refused = replies.iter().filter(|r| summary(r).contains("busy")).count();
        assert!((9..=10).contains(&refused), "{refused}");
    }

    #[test]
    fn a_closed_output_and_a_panic_end_the_conversation() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let input = [hello("a"), hello("b")].concat();
        assert!(
            matches!(serve(input.as_slice(), Broken, answer), End::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
        );
        let end = serve(hello("a").as_slice(), Sink::default(), |_, _| panic!("of the test"));
        assert!(matches!(end, End::Panicked), "{end:?}");
    }

    #[test]
    fn browsers_are_known_by_their_arguments() {
        #[track_caller]
        fn check(args: &[&str], expected: Option<(Family, &str)>) {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            let expected = expected.map(|(family, id)| Caller { family, extension: id.to_owned() });
            assert_eq!(browser_caller(&args), expected, "{args:?}");
        }
        let firefox = "/home/u/.mozilla/native-messaging-hosts/dev.keyfob.host.json";
        check(&["chrome-extension://abc/"], Some((Family::Chromium, "abc")));
        check(&["chrome-extension://abc/", "--parent-window=0"], Some((Family::Chromium, "abc")));
        check(&[firefox, "keyfob@keyfob.dev"], Some((Family::Firefox, "keyfob@keyfob.dev")));
        check(&[firefox], None);
        check(&["/etc/other.json", "keyfob@keyfob.dev"], None);
        check(&["list", "--json"], None);
        check(&[], None);

        let allowed = |family, id: &str| Caller { family, extension: id.to_owned() }.is_allowed();
        assert!(allowed(Family::Firefox, "keyfob@keyfob.dev"));
        assert!(allowed(Family::Chromium, browser::DEVELOPMENT_ID));
        assert!(!allowed(Family::Chromium, "keyfob@keyfob.dev"));
        assert!(!allowed(Family::Firefox, "evil@example"));
        assert!(!allowed(Family::Chromium, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    }

    #[test]
    fn requests_reach_the_handler_whole() {
        let json = r#"{"v":1,"id":"a","key":"soft:x","op":{"name":"code","account":"y","at":59}}"#;
        let request = parse(json.as_bytes()).unwrap();
        assert_eq!(request.key.as_deref(), Some("soft:x"));
        assert_eq!(request.op, Op::Code { account: "y".into(), at: Some(59), purpose: None });
    }

    proptest::proptest! {
        /// Whatever comes in, what goes out is in frames, and everything else is left alone.
        #[test]
        fn no_input_breaks_the_output(parts in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64).prop_map(framed),
                "[ -~]{0,64}".prop_map(framed),
                "[a-z]{0,70}".prop_map(|id| hello(&id)),
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
