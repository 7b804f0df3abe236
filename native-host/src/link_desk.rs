//! Links that a browser has tried: which may be, and how many at a time.
//!
//! It is done in the process that the browser started, beside the questions to the key: whoever holds the key reaches no
//! server. A browser must not make this computer fetch whatever it likes, from where pages cannot reach. So a link is read as
//! one of ours, put together again and compared, and held to the same policy as when it was signed: an object on S3 of AWS, or
//! on a server that the user has allowed. Redirects are not followed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keyfob_core::message::{Answer, ErrorCode, Failure, Op, Password, Reply, Request, Scheme};
use keyfob_core::s3::ParsedPresign;
use keyfob_core::sigv4::UNSIGNED_PAYLOAD;

use crate::check::{self, Found};
use crate::client::Client;
use crate::error::failure;
use crate::holder::{Desk, Replies};
use crate::http::Http;
use crate::policy;
use crate::prompt::shown;

/// How many are tried at a time.
const AT_ONCE: usize = 2;
/// How many may wait for their turn.
const MAX_WAITING: usize = 16;
/// How long a server may be silent.
const STALL: Duration = Duration::from_secs(10);
/// How long it all may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest link that is read, in bytes: those that are signed are shorter.
const MAX_LINK: usize = 32 * 1024;
/// What stands between what is signed and the signature.
const SIGNATURE: &str = "&X-Amz-Signature=";

/// A desk that tries links itself, and has another one answer all else.
pub struct LinkDesk {
    desk: Box<dyn Desk>,
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Asked>,
    /// Those that are being tried, unless they were taken back.
    running: Vec<Asked>,
    threads: usize,
    /// Counts all that were ever asked, for ids come again.
    asked: u64,
}

struct Asked {
    number: u64,
    id: String,
    link: Arc<Password>,
    replies: Replies,
}

impl Asked {
    fn finish(self, result: Result<Answer, Failure>) {
        finish(self.id, &self.replies, result);
    }
}

fn finish(id: String, replies: &Replies, result: Result<Answer, Failure>) {
    replies(match result {
        Ok(answer) => Reply::Done { id, answer },
        Err(error) => Reply::Failed { id, error },
    });
}

impl LinkDesk {
    /// Before that desk, for that browser. Nothing is connected yet.
    #[must_use]
    pub fn new(desk: Box<dyn Desk>, client: Client) -> Self {
        Self { desk, shared: Arc::new(Shared { client, state: Mutex::default() }) }
    }

    fn try_link(&self, id: String, link: Password, replies: Replies) {
        if let Err(refused) = read(&self.shared.client, &link.0) {
            return finish(id, &replies, Err(refused));
        }
        let mut state = self.shared.state();
        let known = state.waiting.iter().chain(&state.running).any(|asked| asked.id == id);
        if known || state.waiting.len() >= MAX_WAITING {
            drop(state);
            let refused = if known {
                failure(ErrorCode::BadRequest, "a request of this id is waiting already", "")
            } else {
                let text = format!("{MAX_WAITING} links wait to be tried already");
                failure(ErrorCode::Busy, text, "try it again in a moment")
            };
            return finish(id, &replies, Err(refused));
        }
        state.asked += 1;
        let number = state.asked;
        state.waiting.push_back(Asked { number, id, link: Arc::new(link), replies });
        if state.threads >= AT_ONCE {
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new().name("link".to_owned()).spawn(move || work(&shared));
        if let Err(error) = started {
            let mut state = self.shared.state();
            state.threads -= 1;
            let stranded = if state.threads == 0 { state.take(|asked| asked.number == number) } else { None };
            drop(state);
            if let Some(asked) = stranded {
                let text = format!("the link cannot be tried: {error}");
                asked.finish(Err(failure(ErrorCode::Internal, text, "try it again in a moment")));
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out whoever waits for one of the links.
    fn take(&mut self, which: impl Fn(&Asked) -> bool) -> Option<Asked> {
        if let Some(at) = self.waiting.iter().position(&which) {
            return self.waiting.remove(at);
        }
        let at = self.running.iter().position(which)?;
        Some(self.running.swap_remove(at))
    }
}

impl Desk for LinkDesk {
    fn ask(&self, request: Request, replies: Replies) {
        match request.op {
            Op::CheckLink { .. }
                if let Err(refused) = policy::check_request(&self.shared.client, &request) =>
            {
                finish(request.id, &replies, Err(refused));
            }
            Op::CheckLink { url } => self.try_link(request.id, url, replies),
            Op::Cancel { request: ref id } => {
                let taken = self.shared.state().take(|asked| asked.id == *id);
                let Some(asked) = taken else { return self.desk.ask(request, replies) };
                asked.finish(Err(failure(ErrorCode::Cancelled, "the request was cancelled", "ask again")));
                finish(request.id, &replies, Ok(Answer::Withdrawn {}));
            }
            _ => self.desk.ask(request, replies),
        }
    }

    fn leave(&self) {
        let mut state = self.shared.state();
        let gone = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.running));
        drop(state);
        drop(gone);
        self.desk.leave();
    }

    fn describe(&self) -> String {
        self.desk.describe()
    }
}

/// Tries what waits, until nothing does.
fn work(shared: &Arc<Shared>) {
    /// Answers whoever waits when a link is done with, also when that panics.
    struct Turn<'a>(&'a Shared, u64, Option<Result<Found, Failure>>);
    impl Drop for Turn<'_> {
        fn drop(&mut self) {
            // None if it was taken back meanwhile.
            let asked = self.0.state().take(|asked| asked.number == self.1);
            let Some(asked) = asked else { return };
            let broken = || failure(ErrorCode::Internal, "something in keyfob broke", "please report this");
            asked.finish(self.2.take().unwrap_or_else(|| Err(broken())).map(answer));
        }
    }
    /// One thread less, also when it panics.
    struct Thread<'a>(&'a Shared);
    impl Drop for Thread<'_> {
        fn drop(&mut self) {
            self.0.state().threads -= 1;
        }
    }
    let thread = Thread(shared);
    loop {
        let mut state = shared.state();
        let Some(asked) = state.waiting.pop_front() else {
            // Under the same lock, so that nothing that comes now waits for this thread.
            state.threads -= 1;
            std::mem::forget(thread);
            return;
        };
        let (number, link) = (asked.number, Arc::clone(&asked.link));
        state.running.push(asked);
        drop(state);
        let mut turn = Turn(shared, number, None);
        turn.2 = Some(fetch(&link));
    }
}

fn fetch(Password(link): &Password) -> Result<Found, Failure> {
    let http = Http::with_patience(STALL)?.until(Instant::now().checked_add(PATIENCE));
    check::fetch_or_head(&http, link)
}

fn answer(found: Found) -> Answer {
    Answer::LinkChecked {
        status: found.status,
        bytes: found.bytes,
        content_type: found.content_type.map(|kind| shown(&kind)),
    }
}

/// Refuses what is no link that the browser could have had signed.
fn read(client: &Client, link: &str) -> Result<(), Failure> {
    let no_link = || {
        failure(
            ErrorCode::Forbidden,
            "this is no link that Keyfob has signed for a browser",
            "links are tried as they were made; make a new one",
        )
    };
    if link.len() > MAX_LINK {
        return Err(no_link());
    }
    let (scheme, rest) = link.split_once("://").ok_or_else(no_link)?;
    let scheme = [Scheme::Https, Scheme::Http].into_iter().find(|known| known.as_str() == scheme);
    let scheme = scheme.ok_or_else(no_link)?;
    let (before, signature) = rest.rsplit_once(SIGNATURE).ok_or_else(no_link)?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if signature.len() != 64 || !signature.bytes().all(is_hex) {
        return Err(no_link());
    }
    let (address, query) = before.split_once('?').ok_or_else(no_link)?;
    let (host, path) = address.split_at(address.find('/').ok_or_else(no_link)?);
    if !query.split('&').any(|pair| pair == "X-Amz-SignedHeaders=host") {
        return Err(failure(
            ErrorCode::InvalidInput,
            "this link works with certain headers only, as one to upload does",
            "such a link can be tried only by using it: see the curl line",
        ));
    }
    // Which method it was signed for it does not say; what can be fetched by one is the same for all.
    let canonical = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{UNSIGNED_PAYLOAD}");
    let parsed = ParsedPresign::parse(&canonical).map_err(|_| no_link())?;
    policy::check_presign(client, &parsed, scheme, parsed.time())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use keyfob_core::message::VERSION;
    use keyfob_core::s3::{Endpoint, PresignRequest};
    use keyfob_core::sigv4::{AmzDate, DateKey};

    use super::*;
    use crate::config::{BrowserConfig, Config};
    use crate::holder::Closed;
    use crate::policy::Caller;

    const TIME: u64 = 1_369_353_600;

    fn client(allowed: &str) -> Client {
        let browser = BrowserConfig { allow_endpoints: vec![allowed.to_owned()], ..BrowserConfig::default() };
        let config = Config { browser, ..Config::default() };
        Client::new(Caller::Browser { extension: "x".to_owned() }, config, |_| None)
    }

    fn link(endpoint: &Endpoint, change: impl FnOnce(&mut PresignRequest<'_>)) -> String {
        let mut request = PresignRequest {
            method: "GET",
            endpoint,
            bucket: "bucket",
            key: "a b/ü.txt",
            access_key_id: "AKIAIOSFODNN7EXAMPLE",
            time: TIME,
            expires: 900,
            session_token: None,
            version_id: None,
            query: &[],
            headers: &[],
        };
        change(&mut request);
        let key = DateKey::from_secret(b"secret", AmzDate::from_unix(request.time).unwrap());
        request.presign(&key.signing_key(endpoint.region(), endpoint.service()).unwrap()).unwrap()
    }

    #[test]
    fn only_links_that_a_browser_has_signed_are_tried() {
        #[track_caller]
        fn check(link: &str, code: Option<ErrorCode>) {
            let refused = read(&client("http://127.0.0.1:9000"), link).err();
            assert_eq!(refused.as_ref().map(|failure| failure.code), code, "{link}: {refused:?}");
            // Whoever has a link may use it.
            assert!(refused.is_none_or(|failure| !format!("{failure:?}").contains("X-Amz-")), "{link}");
        }
        let forbidden = Some(ErrorCode::Forbidden);
        let aws = Endpoint::aws("eu-west-1").unwrap();
        let good = link(&aws, |_| ());
        check(&good, None);
        check(&link(&aws, |request| request.method = "HEAD"), None);
        check(&link(&aws, |request| request.version_id = Some("v 1")), None);
        check(&link(&aws, |request| request.query = &[("response-content-type", "text/html")]), None);
        check(&link(&Endpoint::aws("cn-north-1").unwrap(), |_| ()), None);
        check(&link(&Endpoint::custom("http://127.0.0.1:9000", "us-east-1").unwrap(), |_| ()), None);
        let upload = link(&aws, |request| {
            (request.method, request.headers) = ("PUT", &[("Content-Type", "text/plain")]);
        });
        check(&upload, Some(ErrorCode::InvalidInput));

        // Other places, however they are spelled.
        let moved = |host: &str| good.replace("bucket.s3.eu-west-1.amazonaws.com", host);
        for host in [
            "127.0.0.1",
            "127.0.0.1:9000",
            "localhost",
            "[::1]",
            "169.254.169.254",
            "metadata.google.internal",
            "2852039166",
            "0x7f.1",
            "evil.test",
            "bucket.s3.eu-west-1.amazonaws.com.evil.test",
            "evil.test#bucket.s3.eu-west-1.amazonaws.com",
            "evil.test\\bucket.s3.eu-west-1.amazonaws.com",
            "evil.test%2fbucket.s3.eu-west-1.amazonaws.com",
            "user@bucket.s3.eu-west-1.amazonaws.com",
            "user:bucket.s3.eu-west-1.amazonaws.com@evil.test",
            "bucket.s3.eu-west-1.amazonaws.com:8443",
            "bucket.s3.eu-west-1.amazonaws.com:443",
            "bucket.s3.eu-west-1.amazonaws.com.",
            "BUCKET.S3.eu-west-1.amazonaws.com",
            "bucket.s3.eu-central-1.amazonaws.com",
            "bucket.s3-accelerate.amazonaws.com",
            "bucket.s3-website-eu-west-1.amazonaws.com",
            "sts.eu-west-1.amazonaws.com",
            "abc.execute-api.eu-west-1.amazonaws.com",
            "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
            "",
        ] {
            check(&moved(host), forbidden);
        }
        let local = link(&Endpoint::custom("http://127.0.0.1:9001", "us-east-1").unwrap(), |_| ());
        check(&local, forbidden);
        // Allowed as http, not as https.
        let local = link(&Endpoint::custom("https://127.0.0.1:9000", "us-east-1").unwrap(), |_| ());
        check(&local, forbidden);
        check(&good.replace("https:", "http:"), forbidden);
        for scheme in ["file", "ftp", "gopher", "data", "HTTPS", "https:https", ""] {
            check(&good.replacen("https", scheme, 1), forbidden);
        }
        // Other requests than for an object.
        check(&link(&aws, |request| (request.key, request.query) = ("", &[("list-type", "2")])), forbidden);
        check(&link(&aws, |request| request.query = &[("uploads", "")]), forbidden);
        check(&link(&aws, |request| request.session_token = Some("token")), forbidden);
        for more in ["#x", " ", "\n", "&acl=", "/", "%0d%0aX: y"] {
            check(&format!("{good}{more}"), forbidden);
            check(
                &good.replacen(".txt", &format!(".txt{more}"), 1),
                if more == "/" { None } else { forbidden },
            );
        }
        check(&good.replace("%20", "+"), forbidden);
        check(&good.replace("a%20b/", "a%20b/%2e%2e/"), forbidden);
        check(&good.replace("&X-Amz-Expires", "&acl=&X-Amz-Expires"), forbidden);
        check(good.split_once("&X-Amz-Signature").unwrap().0, forbidden);
        check("", forbidden);
        check("https://", forbidden);
        check("https://bucket.s3.eu-west-1.amazonaws.com/a", forbidden);
        check(&format!("https://{}/a?b{SIGNATURE}{}", "a".repeat(1 << 20), "0".repeat(64)), forbidden);
    }

    proptest::proptest! {
        /// However a link is changed: what is tried leads to S3, and to where the HTTP client takes it to lead.
        #[test]
        fn changed_links_lead_nowhere_else(
            at: proptest::sample::Index,
            length in 0_usize..40,
            text in r"[-.:/@?#\\%\[\]&=a-zA-Z0-9\s\u{e9}\u{ff0e}\u{3002}]{0,30}",
        ) {
            let good = link(&Endpoint::aws("eu-west-1").unwrap(), |_| ());
            let start = at.index(good.len());
            let end = (start + length).min(good.len());
            let changed = [&good[..start], &text, &good[end..]].concat();
            if read(&client("http://127.0.0.1:9000"), &changed).is_ok() {
                let uri: ureq::http::Uri = changed.parse().unwrap();
                let host = uri.host().unwrap();
                let on_s3 = host == "s3.eu-west-1.amazonaws.com" || host.ends_with(".s3.eu-west-1.amazonaws.com");
                proptest::prop_assert!(on_s3 && uri.port().is_none(), "{}", changed);
                proptest::prop_assert_eq!(uri.scheme_str(), Some("https"));
            }
        }
    }

    /// Replies, as words.
    fn ask(desk: &LinkDesk, id: &str, op: Op) -> Receiver<String> {
        let (sender, replies) = channel();
        let request = Request { v: VERSION, id: id.to_owned(), key: None, op };
        let reply = move |reply: Reply| {
            let text = match reply {
                Reply::Done { answer: Answer::LinkChecked { status, bytes, .. }, .. } => {
                    format!("{status} {bytes:?}")
                }
                Reply::Done { answer, .. } => format!("{answer:?}"),
                Reply::Failed { error, .. } => error.code.as_str().to_owned(),
                other => format!("{other:?}"),
            };
            let _ = sender.send(text);
        };
        desk.ask(request, Box::new(reply));
        replies
    }

    fn next(replies: &Receiver<String>) -> String {
        replies.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn two_are_tried_at_a_time_and_who_takes_one_back_waits_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = Endpoint::custom(&origin, "us-east-1").unwrap();
        let link = || Op::CheckLink { url: Password(link(&endpoint, |_| ())) };
        let closed = failure(ErrorCode::NoKey, "somebody else's desk", "");
        let desk = LinkDesk::new(Box::new(Closed(closed)), client(&origin));
        // A server that answers when the test says so.
        let accept = || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream
        };
        let (first, second, third, fourth) = (
            ask(&desk, "1", link()),
            ask(&desk, "2", link()),
            ask(&desk, "3", link()),
            ask(&desk, "4", link()),
        );
        let mut streams = [accept(), accept()];
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "a third is not tried yet");
        listener.set_nonblocking(false).unwrap();
        assert_eq!(next(&ask(&desk, "1", link())), "bad-request");
        // All else is the other desk's, a cancel of what is not known here too.
        assert_eq!(next(&ask(&desk, "h", Op::Hello {})), "no-key");
        assert_eq!(next(&ask(&desk, "c", Op::Cancel { request: "h".to_owned() })), "no-key");
        // One that waits, and one that is being tried.
        for (id, replies) in [("4", &fourth), ("2", &second)] {
            assert_eq!(next(&ask(&desk, "c", Op::Cancel { request: id.to_owned() })), "Withdrawn");
            assert_eq!(next(replies), "cancelled");
        }
        for stream in &mut streams {
            let head =
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/12345\r\nConnection: close\r\n";
            stream.write_all(format!("{head}Content-Length: 1\r\n\r\nx").as_bytes()).unwrap();
        }
        assert_eq!(next(&first), "206 Some(12345)");
        drop(accept());
        assert_eq!(next(&third), "io");
        assert!(second.recv().is_err() && fourth.recv().is_err(), "nothing more is said of those");

        // Who asks for too many is told so; who leaves is told nothing.
        let many: Vec<_> =
            (0..=AT_ONCE + MAX_WAITING).map(|n| ask(&desk, &format!("m{n}"), link())).collect();
        let refused = many.iter().filter(|replies| replies.try_recv().is_ok_and(|reply| reply == "busy"));
        assert!(refused.count() >= 1);
        desk.leave();
        assert!(many.iter().all(|replies| replies.recv().is_err()));
    }
}
