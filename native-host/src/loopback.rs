//! A server for the programs of this computer: HTTP/1.1 on 127.0.0.1, one short request a connection.
//!
//! Anybody on this computer can connect, and any web page can have the browser do it. So nothing is answered but what a handler
//! says, everything that comes is bounded in size, time and number, and whoever sends slowly keeps nobody waiting: each connection has a
//! thread of its own, and when there are too many, the one that has been silent longest goes, before its request or after its answer.
//!
//! Source: RFC 9112.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any client's request has, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How many connections at once. Each is two files, of which a process on macOS may have 256 open.
const MOST_CONNECTIONS: usize = if cfg!(test) { 20 } else { 100 };
/// A connection that came, or was answered, later than that is not ended for another: it has just not come to send yet, or to close.
const GRACE: Duration = Duration::from_secs(1);

/// A request, without a body: what is asked here has none.
#[derive(Debug)]
pub(crate) struct Request {
    /// `GET`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header, by its name in lower case; none where there is none, or more than one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether there is such a header at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other == name)
    }

    /// Whether it was meant for this server: a web page that has pointed a name of its own here comes by that name.
    pub(crate) fn is_for(&self, port: u16) -> bool {
        self.header("host").is_some_and(|host| {
            ["127.0.0.1", "localhost"].iter().any(|name| host.eq_ignore_ascii_case(&format!("{name}:{port}")))
        })
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(head).ok()?.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target, version) = (first.next()?, first.next()?, first.next()?);
        if first.next().is_some() || !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return None;
        }
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').filter(|(name, _)| is_name(name))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Self { method: method.to_owned(), target: target.to_owned(), headers })
    }
}

/// An answer. It is never stored by anybody.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 200, 403.
    pub(crate) status: u16,
    /// More headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Hears when it was taken.
    pub(crate) taken: Option<Sender<()>>,
}

impl Answer {
    /// Without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Zeroizing::default(), taken: None }
    }

    fn head(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            302 => "Found",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            410 => "Gone",
            _ => "Service Unavailable",
        };
        let mut head = format!(
            "HTTP/1.1 {} {reason}\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }
}

/// A server that listens already.
#[derive(Debug)]
pub(crate) struct Loopback {
    listener: TcpListener,
    port: u16,
}

impl Loopback {
    /// Listens on a port of 127.0.0.1; 0: any.
    ///
    /// # Errors
    /// If another program does.
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Answers requests as long as the process lives.
    pub(crate) fn serve(self, handler: impl Fn(&Request, SocketAddr) -> Answer + Send + Sync + 'static) {
        let handler = Arc::new(handler);
        let open = Open::default();
        for number in 0.. {
            let Ok((stream, peer)) = self.listener.accept() else {
                // Too many files are open, perhaps: some will be closed.
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            let Some(place) = open.enter(number, &stream) else { continue };
            let handler = Arc::clone(&handler);
            // A thread that cannot be had is a connection that is closed.
            let _ = thread::Builder::new().stack_size(256 << 10).spawn(move || {
                let mut stream = stream;
                let answer = match read(&mut stream) {
                    Ok(Some(request)) => {
                        place.is(Stage::Answering);
                        handler(&request, peer)
                    }
                    Ok(None) => Answer::empty(400),
                    Err(_) => return,
                };
                // Whoever has gone away gets none.
                if write(&mut stream, &answer).is_ok() {
                    place.is(Stage::Answered);
                    drain(&mut stream);
                }
                drop(place);
            });
        }
    }
}

/// The connections that there are.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<HashMap<u64, Connection>>>);

struct Connection {
    stream: TcpStream,
    stage: Stage,
    /// Since when it is at that stage.
    since: Instant,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its request has not come yet.
    Silent,
    /// Its request is being answered: it is never ended for another.
    Answering,
    /// It could be closed, by whoever asked.
    Answered,
}

/// One connection's place among them, until it is dropped.
struct Place {
    open: Open,
    number: u64,
}

impl Open {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection; where all are taken, that of the one which has been silent longest, as soon as that has been long
    /// enough. None if none becomes free.
    fn enter(&self, number: u64, stream: &TcpStream) -> Option<Place> {
        let stream = stream.try_clone().ok()?;
        let begin = Instant::now();
        loop {
            let mut all = self.all();
            if all.len() >= MOST_CONNECTIONS {
                let waiting = all.iter().filter(|(_, one)| one.stage != Stage::Answering);
                let oldest =
                    waiting.min_by_key(|(_, one)| one.since).map(|(number, one)| (*number, one.since));
                match oldest {
                    Some((oldest, since)) if since.elapsed() >= GRACE => {
                        if let Some(ended) = all.remove(&oldest) {
                            let _ = ended.stream.shutdown(Shutdown::Both);
                        }
                    }
                    _ if begin.elapsed() > GRACE => return None,
                    _ => {
                        drop(all);
                        thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                }
            }
            all.insert(number, Connection { stream, stage: Stage::Silent, since: Instant::now() });
            return Some(Place { open: self.clone(), number });
        }
    }
}

impl Place {
    fn is(&self, stage: Stage) {
        if let Some(one) = self.open.all().get_mut(&self.number) {
            one.stage = stage;
            one.since = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.all().remove(&self.number);
    }
}

/// The head of a request. None if what came is none.
fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let end = Instant::now() + PATIENCE;
    let mut head = Zeroizing::new(Vec::with_capacity(1024));
    let mut buffer = Zeroizing::new([0; 1024]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = match stream.read(&mut *buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // An end that came in pieces begins in what was there before.
        let looked_at = head.len().saturating_sub(3);
        head.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if head.get(looked_at..).unwrap_or_default().windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(Request::parse(&head));
        }
        if head.len() > MAX_HEAD {
            return Ok(None);
        }
    }
}

fn write(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Zeroizing::new(answer.head().into_bytes());
    bytes.extend_from_slice(&answer.body);
    stream.write_all(&bytes)?;
    stream.shutdown(Shutdown::Write)?;
    if let Some(taken) = &answer.taken {
        let _ = taken.send(());
    }
    Ok(())
}

/// Reads what is still on its way, for a while: closing before would have the answer thrown away.
fn drain(stream: &mut TcpStream) {
    let end = Instant::now() + GRACE;
    let mut rest = [0; 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now()).min(Duration::from_millis(200));
        if left.is_zero()
            || stream.set_read_timeout(Some(left)).is_err()
            || !stream.read(&mut rest).is_ok_and(|read| read > 0)
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> u16 {
        let server = Loopback::bind(0).unwrap();
        let port = server.port();
        thread::spawn(move || {
            server.serve(move |request, _| {
                let text = format!("{} {}", request.method, request.target);
                Answer { body: Zeroizing::new(text.into_bytes()), ..Answer::empty(200) }
            });
        });
        port
    }

    fn ask(port: u16, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        // It may be refused before it is all sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn requests_are_read_and_nonsense_is_not() {
        let port = server();
        for (sent, answered) in [
            ("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b=c"),
            ("POST / HTTP/1.0\r\n\r\n", "POST /"),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400 Bad"),
            ("GET  / HTTP/1.1\r\n\r\n", "400 Bad"),
            ("GET http://a/ HTTP/1.1\r\n\r\n", "400 Bad"),
            ("\0\x16\x03\x01\r\n\r\n", "400 Bad"),
            ("GET / HTTP/1.1\r\n: empty\r\n\r\n", "400 Bad"),
        ] {
            let answer = ask(port, sent.as_bytes());
            assert!(answer.contains(answered), "{sent:?}: {answer}");
        }
        let endless = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 2 * MAX_HEAD]].concat();
        assert!(!ask(port, &endless).contains("200 OK"));
    }

    #[test]
    fn whom_a_request_is_for() {
        let request = |host: &str| Request {
            method: "GET".to_owned(),
            target: "/".to_owned(),
            headers: host
                .split('|')
                .filter(|host| !host.is_empty())
                .map(|host| ("host".to_owned(), host.to_owned()))
                .collect(),
        };
        for (host, is_for) in [
            ("127.0.0.1:80", true),
            ("localhost:80", true),
            ("LOCALHOST:80", true),
            ("127.0.0.1", false),
            ("127.0.0.1:81", false),
            ("evil.example:80", false),
            ("127.0.0.1.evil.example:80", false),
            ("127.0.0.1:80|evil.example", false),
            ("", false),
        ] {
            assert_eq!(request(host).is_for(80), is_for, "{host}");
        }
    }

    #[test]
    fn who_sends_nothing_keeps_nobody_waiting() {
        let port = server();
        let silent: Vec<_> =
            (0..MOST_CONNECTIONS).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
        // Taken as soon as one of them has been silent for long enough: tried until then, not for a fixed time.
        let end = Instant::now() + Duration::from_secs(30);
        while !ask(port, b"GET /x HTTP/1.1\r\n\r\n").contains("GET /x") {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(20));
        }
        drop(silent);
    }

    #[test]
    fn a_place_is_that_of_who_has_been_silent_longest() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        for (stage, goes) in [(Stage::Silent, true), (Stage::Answered, true), (Stage::Answering, false)] {
            let open = Open::default();
            let places: Vec<_> =
                (0..MOST_CONNECTIONS as u64).map(|number| open.enter(number, &stream).unwrap()).collect();
            places.iter().for_each(|place| place.is(stage));
            let Some(past) = Instant::now().checked_sub(2 * GRACE) else { return };
            open.all().get_mut(&7).unwrap().since = past;
            let next = open.enter(1000, &stream);
            assert_eq!((next.is_some(), open.all().contains_key(&7)), (goes, !goes), "{stage:?}");
        }
    }

    #[test]
    fn who_has_an_answer_and_stays_keeps_nobody_waiting() {
        let port = server();
        let staying: Vec<_> = (0..2 * MOST_CONNECTIONS)
            .map(|number| {
                let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                // It may have been closed already.
                let _ = stream.write_all(format!("GET /{number} HTTP/1.1\r\n\r\nmore").as_bytes());
                stream
            })
            .collect();
        let end = Instant::now() + Duration::from_secs(30);
        while !ask(port, b"GET /x HTTP/1.1\r\n\r\n").contains("GET /x") {
            assert!(Instant::now() < end);
        }
        drop(staying);
    }
}
