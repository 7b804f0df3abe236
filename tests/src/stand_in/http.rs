//! The requests as they come, and the answers as they go.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// More than any request to STS or IAM has, in bytes.
const MAX_BODY: usize = 1 << 20;
const MAX_HEADERS: usize = 100;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl HttpRequest {
    /// Reads one; none of what is not whole, or not HTTP/1.1.
    pub(super) fn read(stream: &TcpStream) -> Option<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.by_ref().take(64 << 10).read_line(&mut line).ok()?;
            line.strip_suffix("\r\n").map(str::to_owned)
        };
        let first = line()?;
        let mut first = first.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').filter(|_| headers.len() < MAX_HEADERS)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, target, headers, body: Vec::new() };
        let length = request.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
        if length > MAX_BODY {
            return None;
        }
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Without the query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The parameters of query and form, decoded.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let parts = [query.as_bytes(), &self.body].map(form_urlencoded::parse);
        let parts = parts.into_iter().flatten();
        parts.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Reply {
    /// With a type and a body.
    pub(super) fn new(status: u16, content_type: &str, body: String) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body }
    }

    /// Sends it; `now` is what the server's clock says, in Unix time. Who has gone does not get it.
    pub(super) fn send(&self, mut stream: &TcpStream, now: i64) {
        let date = jiff::Timestamp::from_second(now).unwrap_or_default();
        let mut head = format!(
            "HTTP/1.1 {} -\r\ndate: {}\r\ncontent-length: {}\r\nconnection: close\r\n",
            self.status,
            date.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            self.body.len()
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let _ = stream.write_all(format!("{head}\r\n{}", self.body).as_bytes());
    }
}
