//! HTTP/1.1 of which every byte is the test's: no client between it and the server that would tidy up a path, add a header, or
//! resolve the host's name.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// 100 to 599.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decoded, if it came in chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks the server on that port of 127.0.0.1, whatever the host's name in the URL is. Host, Connection and, where there is a
/// body, Content-Length are added; a Host or Content-Length among the headers holds instead.
///
/// # Errors
///
/// If there is no connection, or nothing that is HTTP comes back.
pub fn send(port: u16, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let rest = url.strip_prefix("http://").context("not an http:// URL")?;
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let target = if target.is_empty() { "/" } else { target };
    let length = body.len().to_string();
    let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let own = [("host", host), ("connection", "close"), ("content-length", length.as_str())];
    let bodiless = body.is_empty() && matches!(method, "GET" | "HEAD" | "DELETE");
    let own = own.into_iter().filter(|(name, _)| !(given(name) || bodiless && *name == "content-length"));
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in own.chain(headers.iter().copied()) {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";

    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    // A server may refuse, and hang up, before it has all of it.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    parse(&answer, method).with_context(|| format!("{method} {url}: {read:?}, {} bytes", answer.len()))
}

fn parse(answer: &[u8], method: &str) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if status == 100 {
        return parse(body, method);
    }
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut parsed = Answer { status, headers, body: body.to_vec() };
    if method != "HEAD" {
        if parsed.header("transfer-encoding") == "chunked" {
            parsed.body = unchunk(body)?;
        } else if let Ok(length) = parsed.header("content-length").parse::<usize>() {
            parsed.body = body.get(..length)?.to_vec();
        }
    }
    Some(parsed)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(rest.get(..end)?).ok()?, 16).ok()?;
        if length == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 2 + length + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_answers() {
        #[track_caller]
        fn check(answer: &str, method: &str, expected: Option<(u16, &str)>) {
            let parsed = parse(answer.as_bytes(), method);
            let parsed = parsed.as_ref().map(|parsed| (parsed.status, parsed.text()));
            assert_eq!(parsed, expected.map(|(status, body)| (status, body.to_owned())));
        }
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "GET", Some((200, "abc")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", Some((200, "")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "GET", None);
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "PUT", Some((204, "")));
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n";
        check(chunked, "GET", Some((200, "0123456789a")));
        check("", "GET", None);
    }
}
