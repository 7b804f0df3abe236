//! The one HTTP client: requests go out as they were signed, answers come back as they are.
//!
//! Path and query reach the wire byte for byte, for they are what was signed: nothing is normalized, no redirect is
//! followed, no cookie kept, nothing decompressed. TLS trusts what the system trusts, or the certificates that `AWS_CA_BUNDLE` names
//! in its place; proxies are those of `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, and none stands before this
//! very computer. No message here repeats a path, a query or a header: each may hold a signature.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::sigv4::{AmzDate, Url};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{AsSendBody, Proxy, ProxyProtocol, SendBody};

use crate::error::failure;
use crate::front;

/// Names a file of certificates (PEM) that are trusted in place of the system's, as for the SDKs.
pub const CA_BUNDLE_ENV: &str = "AWS_CA_BUNDLE";
/// What names a proxy, in the order in which they are asked; all in lower case are meant too.
const PROXY_ENV: [&str; 3] = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"];
/// How long a connection may take, in all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing at all may come or go.
const STALL: Duration = Duration::from_secs(60);
/// More than any bundle of certificates has, in bytes.
const MAX_BUNDLE: u64 = 16 << 20;

/// A client; it keeps connections for the next request, and may be used by several threads at once.
pub struct Http {
    agent: ureq::Agent,
    proxy: Option<Proxy>,
    deadline: Option<Instant>,
}

/// What a request carries.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// What is read here: exactly `length` bytes, or, if that is not known, all there is, in chunks.
    Stream {
        /// Where it comes from.
        reader: &'a mut dyn Read,
        /// Bytes.
        length: Option<u64>,
    },
}

/// What a server answered. Its body is still on the way.
pub struct Response {
    /// The status: 200, 403.
    pub status: u16,
    /// The headers, names in lower case, in the server's order.
    pub headers: Vec<(String, String)>,
    body: ureq::Body,
    origin: String,
}

impl Http {
    /// A client for these surroundings; nothing is connected yet.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] if `AWS_CA_BUNDLE` names no certificates, or `HTTPS_PROXY` and the like no proxy.
    pub fn new() -> Result<Self, Failure> {
        Self::with_patience(STALL)
    }

    /// As [`Http::new`], for a server that may be silent for so long.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn with_patience(stall: Duration) -> Result<Self, Failure> {
        Self::trusting(None, stall)
    }

    /// As [`Http::with_patience`], for a server whose certificates those of a file (PEM) vouch for, where `AWS_CA_BUNDLE` names
    /// none.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn trusting(ca_bundle: Option<&Path>, stall: Duration) -> Result<Self, Failure> {
        let named = front::env(CA_BUNDLE_ENV).filter(|path| !path.is_empty()).map(PathBuf::from);
        let root_certs = match (&named, ca_bundle) {
            (Some(path), _) => RootCerts::Specific(Arc::new(bundle(CA_BUNDLE_ENV, path)?)),
            (None, Some(path)) => RootCerts::Specific(Arc::new(bundle("the profile's ca_bundle", path)?)),
            (None, None) => RootCerts::PlatformVerifier,
        };
        let tls = TlsConfig::builder()
            .root_certs(root_certs)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let connect = CONNECT.min(stall);
        check_proxy(front::env)?;
        let proxy = Proxy::try_from_env();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy.clone())
            .max_redirects(0)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .accept("")
            .accept_encoding("")
            .user_agent(concat!("keyfob/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_per_read(Some(stall))
            .timeout_per_write(Some(stall))
            .build();
        Ok(Self { agent: agent.into(), proxy, deadline: None })
    }

    /// The same, which gives up at that time: what is sent and what is answered must be through by then.
    #[must_use]
    pub fn until(self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self }
    }

    /// As [`Http::until`], for the requests that follow.
    pub(crate) fn give_up_at(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether there is that much time, and some to do something with.
    pub(crate) fn has(&self, time: Duration) -> bool {
        self.deadline.is_none_or(|deadline| deadline.saturating_duration_since(Instant::now()) > time)
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// Besides `headers` it has Host, `User-Agent`, and the body's `Content-Length` or `Transfer-Encoding`, each only where it is
    /// not given.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for what is no request, [`ErrorCode::Io`] for a server that is not reached or breaks off.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Body<'_>,
    ) -> Result<Response, Failure> {
        self.try_send(method, url, headers, body).map_err(|unanswered| unanswered.failure)
    }

    /// As [`Http::send`]; the error says, too, whether the server may have had the request.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(crate) fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Body<'_>,
    ) -> Result<Response, Unanswered> {
        let (uri, origin) = address(url)?;
        let method = method_of(method)?;
        let mut sent = HeaderMap::new();
        let (mut chunked, mut told) = (false, None);
        for (name, value) in headers {
            let bad = || invalid(format!("the header {name:?} cannot be sent"));
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let text = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?;
            // Whoever frames the body tells how.
            if header == header::TRANSFER_ENCODING {
                chunked = true;
            } else if header == header::CONTENT_LENGTH {
                told = Some(value.trim().parse::<u64>().map_err(|_| bad())?);
            } else {
                sent.append(header, text);
            }
        }
        let (reader, known): (Box<dyn Read + '_>, _) = match body {
            Body::Empty => (Box::new(io::empty()), Some(0)),
            Body::Bytes(bytes) => (Box::new(bytes), Some(bytes.len() as u64)),
            Body::Stream { reader, length } => (Box::new(reader), length),
        };
        if let (Some(told), Some(known)) = (told, known)
            && told != known
        {
            return Err(invalid(format!("Content-Length says {told} bytes, and the body has {known}")).into());
        }
        let length = known.or(told).filter(|_| !chunked);
        // A server waits for the body of these methods unless it is told that there is none.
        let has_body = length != Some(0)
            || told.is_some()
            || [Method::POST, Method::PUT, Method::PATCH].contains(&method);
        if let Some(length) = length.filter(|_| has_body) {
            sent.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut framed = Framed { reader, left: length };
        let proxy = self.proxy_to(&uri).map(without_password);
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri, head.headers) = (method, uri, sent);
        let answer = if has_body {
            self.run(Request::from_parts(head, SendBody::from_reader(&mut framed)))
        } else {
            self.run(Request::from_parts(head, ()))
        };
        let (parts, body) = match answer {
            Ok(answer) => answer.into_parts(),
            Err(ureq::Error::Io(error)) if framed.left != Some(0) && has_body && is_hang_up(&error) => {
                let message = format!("{origin} hung up before it had the whole body");
                let hint = "it may have refused the request: a small body, or none, shows why";
                return Err(Unanswered {
                    failure: failure(ErrorCode::Io, message, hint),
                    may_be_there: true,
                });
            }
            Err(error) => {
                let may_be_there = !is_before_connecting(&error);
                let failure = broken(&origin, proxy.as_deref(), error);
                return Err(Unanswered { failure, may_be_there });
            }
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body,
            origin,
        })
    }

    fn run(
        &self,
        mut request: Request<impl AsSendBody>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        if is_this_computer(request.uri()) {
            request = self.agent.configure_request(request).proxy(None).build();
        }
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ureq::Error::Timeout(ureq::Timeout::Global));
            }
            request = self.agent.configure_request(request).timeout_global(Some(left)).build();
        }
        self.agent.run(request)
    }

    /// The proxy by which a server is reached.
    fn proxy_to(&self, uri: &Uri) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| !is_this_computer(uri) && !proxy.is_no_proxy(uri))
    }
}

impl Response {
    /// The first value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// What time it was at the server: the header Date, in Unix seconds.
    #[must_use]
    pub fn date(&self) -> Option<u64> {
        self.header("date").and_then(http_date)
    }

    /// Scheme, host and port that answered.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// An answer that no server gave.
    #[cfg(test)]
    pub(crate) fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>, origin: &str) -> Self {
        Self { status, headers, body: ureq::Body::builder().data(body), origin: origin.to_owned() }
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it breaks off, or is longer than `limit` bytes.
    pub fn read(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let mut reader = self.body.as_reader().take(limit.saturating_add(1));
        reader.read_to_end(&mut bytes).map_err(|error| broken(&self.origin, None, error.into()))?;
        if bytes.len() as u64 > limit {
            let message = format!("the answer of {} is longer than {limit} bytes", self.origin);
            return Err(failure(ErrorCode::Io, message, "see that this is the right server"));
        }
        Ok(bytes)
    }

    /// Reads so many bytes of the body, or all if there are fewer, and lets them go.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it breaks off before.
    pub fn skim(&mut self, most: u64) -> Result<(), Failure> {
        let mut reader = self.body.as_reader().take(most);
        io::copy(&mut reader, &mut io::sink()).map_err(|error| broken(&self.origin, None, error.into()))?;
        Ok(())
    }

    /// Writes the body to `out`, however long it is, and gives its length in bytes.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it breaks off, or cannot be written; what came so far is written.
    pub fn copy_to(&mut self, out: &mut dyn Write) -> Result<u64, Failure> {
        let unwritten = |error| failure(ErrorCode::Io, format!("cannot write the answer: {error}"), "");
        let mut reader = self.body.as_reader();
        let (mut buffer, mut copied) = (vec![0; 1 << 16], 0);
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&self.origin, None, error.into())),
            };
            out.write_all(buffer.get(..read).unwrap_or_default()).map_err(unwritten)?;
            copied += read as u64;
        }
        out.flush().map_err(unwritten)?;
        Ok(copied)
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// What to show.
    pub(crate) failure: Failure,
    /// Whether the server may have had the request.
    pub(crate) may_be_there: bool,
}

/// What is no request is not sent.
impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self { failure, may_be_there: false }
    }
}

/// Whether there was no connection yet by which a request could have gone.
fn is_before_connecting(error: &ureq::Error) -> bool {
    use ureq::{Error, Timeout};
    match error {
        Error::HostNotFound
        | Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | Error::ConnectionFailed
        | Error::ConnectProxyFailed(_) => true,
        Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused || is_lookup(error),
        _ => false,
    }
}

/// A body that is neither shorter nor longer than it was said to be.
struct Framed<'a> {
    reader: Box<dyn Read + 'a>,
    left: Option<u64>,
}

impl Read for Framed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left else { return self.reader.read(buffer) };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            let text = format!("the body ends {left} bytes before the length that was given for it");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.left = Some(left.saturating_sub(read as u64));
        Ok(read)
    }
}

fn invalid(message: impl ToString) -> Failure {
    failure(ErrorCode::InvalidInput, message, "")
}

fn method_of(method: &str) -> Result<Method, Failure> {
    // CONNECT asks a proxy for a tunnel, and carries neither path nor answer.
    match Method::from_bytes(method.as_bytes()) {
        Ok(known) if known != Method::CONNECT => Ok(known),
        _ => Err(invalid(format!("{method:?} is no method that can be sent"))),
    }
}

/// The URL as it goes to the wire, and scheme, host and port of it for messages.
fn address(url: &str) -> Result<(Uri, String), Failure> {
    let parsed = Url::parse(url).map_err(invalid)?;
    let origin = format!("{}://{}", parsed.scheme().as_str(), parsed.host());
    let sent = url.split('#').next().unwrap_or_default();
    let start = sent.find("://").map_or(0, |at| at + 3);
    let (before, after) = sent.split_at(start);
    let (authority, rest) = after.split_at(after.find(['/', '?']).unwrap_or(after.len()));
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let uri = format!("{before}{authority}{slash}{rest}");
    let uri = uri.parse().map_err(|_| invalid(format!("the URL at {origin} is too long, or not encoded")))?;
    Ok((uri, origin))
}

/// Whether a server is on this very computer, where no proxy can be in between.
fn is_this_computer(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Refuses what the environment names for a proxy and is none: nothing goes past a proxy for a slip in its name.
fn check_proxy(env: impl Fn(&str) -> Option<OsString>) -> Result<(), Failure> {
    // As `Proxy::try_from_env` asks them; the first that is set holds.
    for name in PROXY_ENV.into_iter().flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]) {
        let Some(value) = env(&name).filter(|value| !value.is_empty()) else { continue };
        let proxy = value.to_str().and_then(|value| Proxy::new(value).ok());
        // What it has is not shown: there may be a password in it.
        return match proxy.map(|proxy| proxy.protocol()) {
            Some(ProxyProtocol::Http | ProxyProtocol::Https) => Ok(()),
            _ => Err(failure(
                ErrorCode::InvalidInput,
                format!("what {name} names is no HTTP proxy"),
                "let it name one, such as http://proxy.example:3128, or unset it; NO_PROXY says what needs none",
            )),
        };
    }
    Ok(())
}

/// Where a proxy is, for messages.
fn without_password(proxy: &Proxy) -> String {
    let scheme = proxy.uri().scheme_str().unwrap_or("http");
    format!("{scheme}://{}:{}", proxy.host(), proxy.port())
}

/// The certificates of a file.
fn bundle(name: &str, path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        failure(
            ErrorCode::InvalidInput,
            format!("{name} names {}: {why}", path.display()),
            "let it name a file of certificates in PEM form, or unset it",
        )
    };
    let mut pem = Vec::new();
    let file = File::open(path).map_err(|error| bad(&error))?;
    file.take(MAX_BUNDLE).read_to_end(&mut pem).map_err(|error| bad(&error))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| bad(&"it is not PEM"))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(bad(&"there are no certificates in it"));
    }
    Ok(certificates)
}

/// Why there is no answer, in words that hold nothing of the request but where it went, and by which proxy.
fn broken(origin: &str, proxy: Option<&str>, error: ureq::Error) -> Failure {
    use io::ErrorKind as Kind;
    use ureq::{Error, Timeout};
    const ONLINE: &str = "see that you are online, and that region and endpoint are spelled right";
    const AGAIN: &str = "try again; a proxy is named by HTTPS_PROXY and NO_PROXY";
    const TRUST: &str = "if a proxy looks into TLS here, or the server has a certificate of its own, let AWS_CA_BUNDLE name \
                         their certificates; a clock that is far off makes certificates look invalid, too";
    const PROXY: &str = "see HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY";
    // Who is connected to, what to see to, and what is behind it.
    let (first, online, behind) = match proxy {
        Some(proxy) => (format!("the proxy {proxy}"), PROXY, format!(": {origin} is behind it")),
        None => (origin.to_owned(), ONLINE, String::new()),
    };
    let unknown = || format!("the name of {first} cannot be looked up{behind}");
    let (what, hint) = match error {
        Error::Timeout(Timeout::Global) => {
            (format!("{origin} has not answered in time"), "try again; a longer --timeout gives it more time")
        }
        Error::HostNotFound => (unknown(), online),
        Error::Io(error) if is_lookup(&error) => (unknown(), online),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            (format!("{first} cannot be reached: it does not answer{behind}"), online)
        }
        Error::Timeout(_) => (format!("{origin} has gone silent"), AGAIN),
        Error::Rustls(error) => (format!("no secure connection to {origin}: {error}"), TRUST),
        Error::Tls(error) => (format!("no secure connection to {origin}: {error}"), TRUST),
        Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => (format!("no secure connection to {origin}: {error}"), TRUST),
            None if error.kind() == Kind::ConnectionRefused => (
                format!("nothing listens at {first}{behind}"),
                if proxy.is_some() { PROXY } else { "see that the server runs, and that its port is right" },
            ),
            // Whoever reads the body says so.
            None if error.kind() == Kind::InvalidInput => {
                (format!("nothing was sent to {origin}: {error}"), "")
            }
            None => (format!("the connection to {origin} broke: {error}"), AGAIN),
        },
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => {
            let which = proxy.map(|proxy| format!(" {proxy}")).unwrap_or_default();
            (format!("the proxy{which} lets nothing through to {origin}"), PROXY)
        }
        Error::Protocol(_) | Error::LargeResponseHeader(..) => {
            (format!("what {origin} answers is no HTTP"), "see that scheme and port are right")
        }
        _ => (format!("{origin} cannot be reached"), ONLINE),
    };
    failure(ErrorCode::Io, what, hint)
}

/// Whether the other side is gone.
fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::BrokenPipe | Kind::ConnectionReset | Kind::ConnectionAborted)
}

/// Whether it is the name server's error: the system's has no kind of its own.
fn is_lookup(error: &io::Error) -> bool {
    /// HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY and NO_DATA of Windows Sockets.
    const WINDOWS: std::ops::RangeInclusive<i32> = 11001..=11004;
    error.to_string().starts_with("failed to lookup address information")
        || cfg!(windows) && error.raw_os_error().is_some_and(|code| WINDOWS.contains(&code))
}

/// Unix time of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7: the one form that is written today).
#[must_use]
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.trim().split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (clock, zone) = (words.next()?, words.next()?);
    if zone != "GMT" || words.next().is_some() || day.len() != 2 || clock.len() != 8 {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let text = format!("{year}{month:02}{day}T{}Z", clock.replace(':', ""));
    AmzDate::parse(&text).ok().map(|date| date.unix())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    use super::*;

    #[test]
    fn dates_of_servers_are_read() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(http_date(text), expected, "{text}");
        }
        // RFC 9110's own example; `date -ud` says the same of the next.
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199));
        check("Thu, 30 Feb 2024 23:59:59 GMT", None);
        check("Sunday, 06-Nov-94 08:49:37 GMT", None);
        check("Sun Nov  6 08:49:37 1994", None);
        check("Sun, 06 Nov 1994 08:49:37 CET", None);
        check("Sun, 6 Nov 1994 08:49:37 GMT", None);
        check("Sun, 06 Nov 1994 084937 GMT", None);
        check("Sun, 06 Nov 1994 08:49:37 GMT more", None);
        check("", None);
        check("é, é é é é", None);
    }

    /// The first byte of a TLS connection (RFC 8446, section 5.1).
    const TLS_HANDSHAKE: u8 = 22;

    /// Answers one connection, and gives what it was sent.
    fn server(answer: &'static [u8]) -> (String, JoinHandle<Vec<u8>>) {
        fn complete(request: &[u8]) -> bool {
            if request.first() == Some(&TLS_HANDSHAKE) {
                return true;
            }
            let text = String::from_utf8_lossy(request).to_ascii_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            if head.contains("transfer-encoding: chunked") {
                return body.ends_with("0\r\n\r\n");
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !complete(&request) {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&buffer[..read]),
                }
            }
            stream.write_all(answer).unwrap();
            request
        });
        (url, thread)
    }

    const OK: &[u8] =
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi";

    #[test]
    fn what_is_sent_is_what_was_given() {
        #[track_caller]
        fn check(
            method: &str,
            target: &str,
            headers: &[(&str, &str)],
            body: Body<'_>,
            line: &str,
            rest: &[&str],
        ) {
            let (url, thread) = server(OK);
            let headers: Vec<_> = headers.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
            let http = Http::new().unwrap();
            let mut response = http.send(method, &format!("{url}{target}"), &headers, body).unwrap();
            assert_eq!((response.status, response.header("x-a")), (200, Some("1")), "{target}");
            assert_eq!((response.date(), response.origin()), (Some(784_111_777), url.as_str()));
            assert_eq!(response.read(2).unwrap(), if method == "HEAD" { b"" } else { &b"hi"[..] });
            let request = String::from_utf8(thread.join().unwrap()).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let mut lines: Vec<_> = head.lines().collect();
            assert_eq!(lines.remove(0), line);
            lines.push(body);
            let host = url.strip_prefix("http://").unwrap();
            let always = format!("host: {host}");
            let agent = concat!("user-agent: keyfob/", env!("CARGO_PKG_VERSION"));
            let mut expected = rest.to_vec();
            expected.push(agent);
            if !headers.iter().any(|(name, _)| name == "Host") {
                expected.push(&always);
            }
            lines.sort_unstable();
            expected.sort_unstable();
            assert_eq!(lines, expected);
        }
        let target = "/a//b/../c/./%2F%2f%20+~@:,;=&'()*!$/ä?x=%2F&&y&=z&a=b/c?d";
        check("GET", target, &[], Body::Empty, &format!("GET {target} HTTP/1.1"), &[""]);
        check("GET", "?acl", &[], Body::Empty, "GET /?acl HTTP/1.1", &[""]);
        check("GET", "", &[], Body::Empty, "GET / HTTP/1.1", &[""]);
        check("HEAD", "/#part", &[], Body::Empty, "HEAD / HTTP/1.1", &[""]);
        check(
            "DELETE",
            "/",
            &[("X-B", "  2"), ("X-B", "3")],
            Body::Empty,
            "DELETE / HTTP/1.1",
            &["", "x-b:   2", "x-b: 3"],
        );
        check("POST", "/", &[], Body::Empty, "POST / HTTP/1.1", &["", "content-length: 0"]);
        check(
            "PROPFIND",
            "/",
            &[],
            Body::Bytes(b"abc"),
            "PROPFIND / HTTP/1.1",
            &["abc", "content-length: 3"],
        );
        let other =
            [("Host", "bucket.example:8000"), ("User-Agent", concat!("keyfob/", env!("CARGO_PKG_VERSION")))];
        check(
            "GET",
            "/",
            &other,
            Body::Bytes(b"abc"),
            "GET / HTTP/1.1",
            &["abc", "content-length: 3", "host: bucket.example:8000"],
        );
        let mut long: &[u8] = b"abcdef";
        let stream = Body::Stream { reader: &mut long, length: Some(4) };
        check(
            "PUT",
            "/",
            &[("content-length", "4")],
            stream,
            "PUT / HTTP/1.1",
            &["abcd", "content-length: 4"],
        );
        let mut some: &[u8] = b"abcdef";
        let stream = Body::Stream { reader: &mut some, length: None };
        let chunks = "6\r\nabcdef\r\n0\r\n\r\n";
        check("PUT", "/", &[], stream, "PUT / HTTP/1.1", &[chunks, "transfer-encoding: chunked"]);
        let mut some: &[u8] = b"abcdef";
        let stream = Body::Stream { reader: &mut some, length: Some(6) };
        let chunked = [("Transfer-Encoding", "chunked")];
        check("PUT", "/", &chunked, stream, "PUT / HTTP/1.1", &[chunks, "transfer-encoding: chunked"]);
    }

    #[test]
    fn failures_are_words_without_the_request() {
        #[track_caller]
        fn check(
            url: &str,
            method: &str,
            headers: &[(&str, &str)],
            body: Body<'_>,
            code: ErrorCode,
            says: &str,
        ) {
            let headers: Vec<_> = headers.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
            let url = format!("{url}/key?X-Amz-Signature=5ec7e7");
            // What a busy machine needs for its part; one case waits as long.
            let http = Http::with_patience(Duration::from_secs(2)).unwrap();
            let result = http.send(method, &url, &headers, body).and_then(|mut response| response.read(10));
            let failure = result.unwrap_err();
            let text = format!("{} {}", failure.message, failure.hint.as_deref().unwrap_or_default());
            assert_eq!(failure.code, code, "{text}");
            assert!(text.contains(says), "{text}");
            assert!(!text.contains("5ec7e7") && !text.contains("key?"), "{text}");
        }
        use ErrorCode::{InvalidInput, Io};
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let get = |url: &str, code, says: &str| check(url, "GET", &[], Body::Empty, code, says);
        get(&format!("http://{closed}"), Io, &format!("nothing listens at http://{closed}"));
        // Some name servers take longer than this test.
        get("http://no-such-host.invalid", Io, "http://no-such-host.invalid");
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(
            broken("http://h", None, lookup.into()).message,
            "the name of http://h cannot be looked up"
        );
        get("ftp://h", InvalidInput, "https://");
        get("http://user:pass@h", InvalidInput, "before @");
        get(&server(b"SSH-2.0-OpenSSH\r\n").0, Io, "is no HTTP");
        get(&server(b"").0, Io, "broke");
        get(&server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi").0, Io, "broke");
        get(
            &server(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901").0,
            Io,
            "longer than 10 bytes",
        );
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        get(&format!("http://{}", silent.local_addr().unwrap()), Io, "has gone silent");
        let (url, thread) = server(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        get(&url.replace("http:", "https:"), Io, "no secure connection");
        assert_eq!(thread.join().unwrap().first(), Some(&TLS_HANDSHAKE));
        let bad = |method, headers: &[(&str, &str)], body, says| {
            check(&server(OK).0, method, headers, body, InvalidInput, says)
        };
        bad("G T", &[], Body::Empty, "no method");
        bad("CONNECT", &[], Body::Empty, "no method");
        bad("GET", &[("a b", "1")], Body::Empty, "\"a b\"");
        bad("GET", &[("a", "1\r\nb: 2")], Body::Empty, "\"a\"");
        bad("PUT", &[("Content-Length", "5")], Body::Bytes(b"four"), "5 bytes");
        bad("PUT", &[("Content-Length", "5")], Body::Empty, "5 bytes");
        bad("PUT", &[("Content-Length", "-5")], Body::Empty, "Content-Length");
        let mut short: &[u8] = b"abc";
        let stream = Body::Stream { reader: &mut short, length: Some(4) };
        check(&server(OK).0, "PUT", &[], stream, Io, "ends 1 bytes before");
    }

    #[test]
    fn who_hangs_up_in_the_middle_of_a_body_may_have_refused_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 64]).unwrap() > 0);
        });
        let mut body = io::repeat(7);
        let body = Body::Stream { reader: &mut body, length: Some(1 << 30) };
        let failure = Http::new().unwrap().send("PUT", &url, &[], body).err().unwrap();
        server.join().unwrap();
        assert!(failure.message.ends_with(" hung up before it had the whole body"), "{failure:?}");
        // Several threads may send at once.
        fn shared<T: Send + Sync>() {}
        shared::<Http>();
    }

    #[test]
    fn no_redirect_is_followed() {
        let (elsewhere, _) = server(OK);
        let answer =
            format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
        let (url, _) = server(answer.leak().as_bytes());
        let response = Http::new().unwrap().send("GET", &url, &[], Body::Empty).unwrap();
        assert_eq!((response.status, response.header("location")), (307, Some(elsewhere.as_str())));
    }

    #[test]
    fn a_body_is_copied_and_a_full_disk_is_said() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let get = || Http::new().unwrap().send("GET", &server(OK).0, &[], Body::Empty).unwrap();
        let mut out = Vec::new();
        assert_eq!(get().copy_to(&mut out).unwrap(), 2);
        assert_eq!(out, b"hi");
        let failure = get().copy_to(&mut Full).unwrap_err();
        assert!(failure.message.starts_with("cannot write the answer"), "{failure:?}");
    }

    /// A client with this proxy before all that is not on this computer.
    fn with_proxy(url: &str) -> Http {
        let proxy = Some(Proxy::new(url).unwrap());
        let agent = ureq::Agent::config_builder().proxy(proxy.clone()).build().into();
        Http { agent, proxy, deadline: None }
    }

    #[test]
    fn it_is_the_proxy_that_fails() {
        #[track_caller]
        fn check(proxy: &str, says: &str) {
            let result = with_proxy(proxy).send("GET", "http://h.invalid/key", &[], Body::Empty);
            let failure = result.err().unwrap();
            let text = format!("{} {}", failure.message, failure.hint.as_deref().unwrap_or_default());
            assert!(text.contains(says) && text.contains("NO_PROXY"), "{says:?} is not in {text}");
            assert!(text.contains("http://h.invalid") && !text.contains("hunter2"), "{text}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = format!("http://person:hunter2@{closed}");
        check(
            &proxy,
            &format!("nothing listens at the proxy http://{closed}: http://h.invalid is behind it"),
        );
        check(
            "http://person:hunter2@no-such-proxy.invalid:3128",
            "the proxy http://no-such-proxy.invalid:3128",
        );
        let refuses = server(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").0;
        let proxy = refuses.replace("//", "//person:hunter2@");
        check(&proxy, &format!("the proxy {refuses} lets nothing through to http://h.invalid"));
        // What is on this computer is not behind it.
        let failure =
            with_proxy(&proxy).send("GET", &format!("http://{closed}"), &[], Body::Empty).err().unwrap();
        assert_eq!(failure.message, format!("nothing listens at http://{closed}"));
    }

    #[test]
    fn what_names_a_proxy_must() {
        #[track_caller]
        fn check(set: &[(&str, &str)], refused: Option<&str>) {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into());
            let message = check_proxy(env).err().map(|failure| {
                assert_eq!(failure.code, ErrorCode::InvalidInput);
                let text = format!("{} {:?}", failure.message, failure.hint);
                assert!(!text.contains("hunter2"), "{text}");
                failure.message
            });
            let expected = refused.map(|name| format!("what {name} names is no HTTP proxy"));
            assert_eq!(message, expected, "{set:?}");
        }
        check(&[], None);
        check(&[("HTTPS_PROXY", "")], None);
        check(&[("HTTPS_PROXY", "http://person:hunter2@h:3128")], None);
        check(&[("https_proxy", "h:3128")], None);
        check(&[("HTTP_PROXY", "https://h")], None);
        check(&[("HTTPS_PROXY", "garbage://")], Some("HTTPS_PROXY"));
        check(&[("HTTPS_PROXY", "garbage://person:hunter2@h")], Some("HTTPS_PROXY"));
        check(&[("http_proxy", "http:// h")], Some("http_proxy"));
        // It would be gone past: this client speaks no SOCKS.
        check(&[("ALL_PROXY", "socks5://h"), ("HTTPS_PROXY", "h")], Some("ALL_PROXY"));
        // The first that is set holds.
        check(&[("HTTP_PROXY", "garbage://"), ("HTTPS_PROXY", "h")], None);
    }

    #[test]
    fn nothing_is_waited_for_longer_than_it_may() {
        let late = "has not answered in time";
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let get = |url: &str, left: Duration| {
            let http = Http::new().unwrap().until(Some(Instant::now() + left));
            let mut response = http.send("GET", url, &[], Body::Empty)?;
            response.read(100)
        };
        let url = format!("http://{}", silent.local_addr().unwrap());
        let some = Duration::from_millis(200);
        let failure = get(&url, some).unwrap_err();
        assert!(failure.message.ends_with(late), "{failure:?}");
        assert!(failure.hint.unwrap().contains("--timeout"));
        // Time was up before: nobody is connected to.
        let (url, _) = server(OK);
        assert!(get(&url, Duration::ZERO).unwrap_err().message.ends_with(late));
        assert_eq!(get(&url, Duration::from_secs(60)).unwrap(), b"hi");
        // Who says something now and then is not waited for either.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_vec();
            while stream.write_all(&bytes).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
                bytes = b".".to_vec();
            }
        });
        let failure = get(&url, some).unwrap_err();
        assert!(failure.message.ends_with(late), "{failure:?}");
    }

    #[test]
    fn bundles_hold_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let says = |path: &Path| bundle(CA_BUNDLE_ENV, path).err().unwrap().message;
        assert!(says(&path).starts_with("AWS_CA_BUNDLE names "), "{}", says(&path));
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(says(&path).ends_with("there are no certificates in it"), "{}", says(&path));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        assert!(says(&path).ends_with("it is not PEM"), "{}", says(&path));
    }
}
