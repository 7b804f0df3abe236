//! `keyfob sign`: any request, signed in its headers; printed, or sent.

mod answer;
mod body;
mod checksum;
mod curl;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::{ArgAction, ArgGroup, Args, ValueEnum};
use keyfob_core::aws_host::AwsHost;
use keyfob_core::message::{ErrorCode, Failure, Scheme, SignatureVersion};
use keyfob_core::s3;
use keyfob_core::sigv4::{
    AUTHORIZATION, AmzDate, ChunkedBody, Chunking, MIN_CHUNK, Payload, Query, Scope, Settings,
    SignableRequest, SignedHeaders, Signer, SigningKey, Url, X_AMZ_CONTENT_SHA256, X_AMZ_DATE,
    X_AMZ_S3SESSION_TOKEN, X_AMZ_SECURITY_TOKEN, check_header,
};
use serde_json::json;
use zeroize::Zeroizing;

use self::answer::Output;
use self::body::{Chunks, Found, Source, Use};
use self::checksum::{Algorithm, Checksum};
use super::args::Global;
use super::client::Client;
use super::presign::invalid;
use super::{complete, credentials, output, time};
use crate::error::failure;
use crate::front;
use crate::http::{self, Http};
use crate::service;
use crate::signing::{Credentials, Request};

/// The type that curl gives to what is typed as data.
const FORM: &str = "application/x-www-form-urlencoded";
/// Longest URL in bytes: more than any service takes.
const MAX_URL: usize = 16 * 1024;
/// Most bytes of headers that are signed; S3 takes 8 KB of them.
const MAX_HEADERS: usize = 64 * 1024;
/// Largest chunk in bytes: each is held in memory.
const MAX_CHUNK: u64 = 64 << 20;
const EXAMPLES: &str = "\
Examples:
  keyfob sign POST https://sts.eu-west-1.amazonaws.com --send -d 'Action=GetCallerIdentity&Version=2011-06-15'
  keyfob sign PUT https://bucket.s3.eu-west-1.amazonaws.com/key --send --body FILE --chunked --trailer crc32c
  keyfob sign GET https://a1b2.execute-api.eu-west-1.amazonaws.com/ | curl -H @- https://a1b2.execute-…
  keyfob sign GET https://es.example.com/_search --service es --region eu-west-1 --body FILE --print curl | sh

The URL is signed and sent as it stands, but for characters that must be encoded. What is printed works for 5 minutes,
with S3 for 15.";

const BODY: &str = "Body";
const SCOPE: &str = "What it is signed for";
const RESULT: &str = "Result";

/// A request, as it is typed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
#[command(group = ArgGroup::new("in_chunks").args(["chunked", "trailer"]).multiple(true))]
pub(super) struct Options {
    /// HTTP method: GET, PUT, POST, …
    method: String,
    /// URL, with its query: https://sts.eu-west-1.amazonaws.com/
    url: String,
    /// Header that is signed and sent: 'Name: value'. 'Name;' is one without a value, @FILE or @- has one a line, which is where
    /// secrets belong
    #[arg(short = 'H', long, value_name = "HEADER", action = ArgAction::Append)]
    header: Vec<String>,
    /// Body, as it stands; @FILE or @- reads it. Others can see what is typed here: no secrets. Unless there is another
    /// Content-Type it is a form's (as of curl; 'Content-Type:' is none)
    #[arg(short, long, value_name = "TEXT", conflicts_with = "body", help_heading = BODY)]
    data: Option<String>,
    /// File that is the body, of any size; - for stdin
    #[arg(short = 'T', long, value_name = "FILE", add = complete::files(), help_heading = BODY)]
    body: Option<PathBuf>,
    /// Leave the body out of the signature (UNSIGNED-PAYLOAD): S3 by https only
    #[arg(long, help_heading = BODY)]
    unsigned_payload: bool,
    /// Sign the body chunk by chunk as it is sent, so that a file is read only once: S3 only
    #[arg(long, requires = "send", help_heading = BODY)]
    chunked: bool,
    /// Bytes of a chunk: 8192 to 67108864
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, requires = "in_chunks", value_parser = clap::value_parser!(u64).range(MIN_CHUNK..=MAX_CHUNK), help_heading = BODY)]
    chunk_size: u64,
    /// Send a checksum behind the chunks; with --unsigned-payload they are not signed
    #[arg(long, value_name = "ALGORITHM", value_enum, ignore_case = true, requires = "send", help_heading = BODY)]
    trailer: Option<Algorithm>,
    /// Service, as signatures name it: s3, execute-api, es. Without it: what AWS's host name says
    #[arg(long, help_heading = SCOPE)]
    service: Option<String>,
    /// Region. Without it: what AWS's host name says, else AWS_REGION, else us-east-1 for S3 of other servers than AWS's
    #[arg(long, help_heading = SCOPE)]
    region: Option<String>,
    #[command(flatten)]
    signer: credentials::Options,
    /// As of another time than now: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time::parse, help_heading = SCOPE)]
    at: Option<u64>,
    /// What to print: the headers, which are printed without it; a curl command for a POSIX shell, or JSON
    #[arg(long, value_enum, conflicts_with = "send", help_heading = RESULT)]
    print: Option<Print>,
    /// Send the request, and print the answer's body; exit code 8 if the server refuses. With --json: status, headers and body,
    /// that in Base64
    #[arg(long, help_heading = RESULT)]
    send: bool,
    /// Write the answer into a file, which is replaced once all of it is there; what a server says that refuses goes to stdout.
    /// - is stdout too, even if that is a terminal and the answer is no text
    #[arg(short, long, value_name = "FILE", requires = "send", add = complete::files(), help_heading = RESULT)]
    output: Option<PathBuf>,
    /// Put the answer's status and headers before it
    #[arg(short, long, requires = "send", help_heading = RESULT)]
    include: bool,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Print {
    Headers,
    Curl,
    Json,
}

/// A request that was signed.
struct Signed<'a> {
    method: &'a str,
    url: &'a Url,
    /// All that it must have.
    headers: Vec<(String, String)>,
    identity: &'a str,
}

pub(super) fn run(global: &Global, args: &Options) -> Result<(), Failure> {
    // Methods are case-sensitive, and those of AWS are upper-case.
    let method = args.method.to_ascii_uppercase();
    let url = url(&args.url)?;
    let typed = headers(args)?;
    let (service, region) = scope(args, &url, &typed)?;
    let chunking = chunking(args, &url, &service)?;
    let print = global.printed("--print", args.print, Print::Json, Print::Headers)?;
    let source = source(args, print)?;
    let time = || AmzDate::from_unix(args.at.unwrap_or_else(service::unix_time)).map_err(wrong);
    let request = SignableRequest {
        method: &method,
        host: url.host(),
        path: url.path(),
        query: Query::Sent(url.query()),
        headers: &[],
        payload: Payload::EMPTY,
    };
    // What cannot be signed is said before the body is read, and before a key is looked for.
    let date = time()?;
    let scope = Scope::new(&date, &region, &service).map_err(wrong)?;
    Signer::new("AKIAIOSFODNN7EXAMPLE", None, &service)
        .prepare(&SignableRequest { headers: &refs(&typed), ..request }, &date, &scope)
        .map_err(wrong)?;

    let found = Found::find(source)?;
    found.len().map_or(Ok(()), |len| check_length(&typed, len))?;
    let mut client = Client::new(global)?;
    let credentials = args.signer.resolve(&mut client, SignatureVersion::SigV4)?;
    credentials.check_expiry(date.unix(), 0)?;
    // A pipe is read once all that it is for is there: nobody could give it again.
    if matches!(source, Source::Stdin) && io::stdin().is_terminal() {
        output::note(global.quiet, "Reading the body from the terminal: Ctrl-D ends it.");
    }
    let hash = chunking.is_none() && !args.unsigned_payload;
    let mut body = client.meanwhile(|| found.read(Use { hash, send: args.send }))?;
    check_length(&typed, body.len())?;
    let announced = args.trailer.map(|algorithm| (algorithm.header(), algorithm.encoded_len()));
    let shape = chunking
        .map(|chunking| ChunkedBody::new(chunking, body.len(), args.chunk_size, announced.as_slice()))
        .transpose()
        .map_err(wrong)?;
    let mut headers = with_chunks(typed, shape.as_ref());

    // Reading may have taken a while.
    let date = time()?;
    credentials.check_expiry(date.unix(), 0)?;
    let payload = match (chunking, body.hash().filter(|_| hash)) {
        (Some(chunking), _) => Payload::Chunked(chunking),
        (None, Some(hash)) => Payload::Hash(hash),
        (None, None) => Payload::Unsigned,
    };
    let request = SignableRequest { headers: &refs(&headers), payload, ..request };
    let (added, key) = if matches!(chunking, Some(Chunking::Signed | Chunking::SignedTrailer)) {
        let purpose = format!("{method} {}{}, {} bytes in chunks", url.host(), url.path(), body.len());
        let (added, key) =
            with_key(&credentials, &mut client, &request, &date, (&region, &service), &purpose)?;
        (added, Some(key))
    } else {
        let (region, service) = (region.as_str(), service.as_str());
        let it = Request { request: &request, date: &date, region, service, body: body.bytes() };
        (credentials.sign(&mut client, it)?, None)
    };
    headers.extend(added.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut signed = Signed { method: &method, url: &url, headers, identity: credentials.access_key_id() };
    if !args.send {
        return signed.print(print, args, body.len());
    }

    // What is long is sent once the server has said that it takes it: one that refuses hangs up on the rest.
    if body.bytes().is_none() && !signed.has("expect") {
        signed.headers.push(("expect".to_owned(), "100-continue".to_owned()));
    }
    let len = body.len();
    let Some(shape) = shape else {
        if matches!(source, Source::Nothing) {
            return signed.send(global, args, http::Body::Empty);
        }
        let mut reader = body.reader()?;
        return signed.send(global, args, http::Body::Stream { reader: &mut *reader, length: Some(len) });
    };
    let length = Some(shape.content_length());
    // Chunks that are not signed need no key.
    let scope = Scope::new(&date, &region, &service).map_err(wrong)?;
    let key = key.unwrap_or_else(|| SigningKey::new(scope, [0; 32]));
    let encoder = shape.encoder(date, &key, added.signature());
    let checksum = args.trailer.map(|algorithm| (algorithm.header(), Checksum::new(algorithm)));
    let mut reader = Chunks::new(body.reader()?, len, args.chunk_size, encoder, checksum);
    signed.send(global, args, http::Body::Stream { reader: &mut reader, length })
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    invalid(&error, "")
}

/// Signs with the key of the day, which then signs the chunks as well.
fn with_key<'c>(
    credentials: &'c Credentials,
    client: &mut Client<'_>,
    request: &SignableRequest<'_>,
    date: &AmzDate,
    scope: (&str, &str),
    purpose: &str,
) -> Result<(SignedHeaders<'c>, SigningKey), Failure> {
    let keys = credentials.signing_keys(client, date, &[scope], purpose)?;
    let key = keys.into_iter().next().ok_or_else(|| {
        failure(ErrorCode::Internal, "there is no signing key in the answer", "please report this")
    })?;
    let signer = Signer::new(credentials.access_key_id(), credentials.session_token(), scope.1);
    let signed = signer.sign(request, date, &key).map_err(wrong)?;
    Ok((signed, key))
}

/// Headers by their names in lower case. Those of one name stand together, as they are signed, and as RFC 9110 section 5.2
/// combines them.
fn object(headers: &[(String, String)]) -> serde_json::Map<String, serde_json::Value> {
    let mut object = serde_json::Map::new();
    for (name, value) in headers {
        let entry = object.entry(name.to_ascii_lowercase()).or_insert_with(|| "".into());
        let before = entry.as_str().filter(|text| !text.is_empty());
        *entry = before.map_or(value.clone(), |before| format!("{before},{value}")).into();
    }
    object
}

fn refs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The URL, if it can be signed.
fn url(text: &str) -> Result<Url, Failure> {
    if text.len() > MAX_URL {
        let said = format!("the URL has {} bytes, and no service takes more than {MAX_URL}", text.len());
        return Err(invalid(&said, "put what is so long into the body"));
    }
    let url = Url::parse(text).map_err(|error| invalid(&error, "give https://HOST/PATH?QUERY"))?;
    let named = |name: &str| {
        let names = url.query().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        names.into_iter().any(|other| other.eq_ignore_ascii_case(name))
    };
    if named("X-Amz-Signature") || named("X-Amz-Algorithm") {
        return Err(invalid(
            &"the URL is signed already, and AWS refuses a request with two signatures",
            "fetch it as it is, or take its X-Amz-… parameters out",
        ));
    }
    Ok(url)
}

/// The headers, as they are typed or read.
fn headers(args: &Options) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = Vec::new();
    let mut no_type = false;
    for given in &args.header {
        let (lines, typed) = match given.strip_prefix('@') {
            Some(file) => (read_headers(Path::new(file))?, false),
            None => (Zeroizing::new(given.clone()), true),
        };
        let name = given.strip_prefix('@').map(|file| if file == "-" { "stdin" } else { file });
        let lines: Vec<_> = if typed { vec![lines.as_str()] } else { lines.lines().collect() };
        for (i, line) in lines.into_iter().enumerate().filter(|(_, line)| typed || !line.trim().is_empty()) {
            let checked = header(line, typed).map_err(|mut failure| {
                if let Some(name) = name {
                    failure.message = format!("{name}, line {}: {}", i + 1, failure.message);
                }
                failure
            });
            match checked? {
                Some(header) => headers.push(header),
                None => no_type = true,
            }
        }
    }
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if args.data.is_some() && !has_type && !no_type {
        headers.push(("content-type".to_owned(), FORM.to_owned()));
    }
    let len: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if len > MAX_HEADERS {
        let said = format!("the headers have {len} bytes, and no service takes more than {MAX_HEADERS}");
        return Err(invalid(&said, "put what is so long into the body"));
    }
    Ok(headers)
}

/// Headers of a file, or of stdin.
fn read_headers(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = if path == Path::new("-") { front::unbuffered_stdin() } else { File::open(path) };
    let mut text = Zeroizing::new(String::new());
    file.and_then(|file| file.take(2 * MAX_HEADERS as u64).read_to_string(&mut text)).map_err(|error| {
        let said = format!("cannot read the headers from {}: {error}", path.display());
        failure(ErrorCode::Io, said, "name a file with a header a line")
    })?;
    Ok(text)
}

/// Name and value; none for `Content-Type:`, by which curl leaves its own out.
fn header(line: &str, typed: bool) -> Result<Option<(String, String)>, Failure> {
    let no_header = || {
        // It may be a secret: not repeated.
        invalid(
            &"a header is not 'Name: value'",
            "put a colon behind its name; 'Name;' is one without a value",
        )
    };
    let (name, value) = match line.split_once(':') {
        Some((name, value)) => (name, value.trim()),
        None => (line.trim_end().strip_suffix(';').ok_or_else(no_header)?, ""),
    };
    if name.is_empty() {
        return Err(no_header());
    }
    if value.is_empty() && line.contains(':') {
        return match name.eq_ignore_ascii_case("content-type") {
            true => Ok(None),
            false => Err(invalid(
                &format!("the header {name} has no value"),
                &format!("give '{name};' if it is meant to have none"),
            )),
        };
    }
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if typed && s3::is_secret_header(name) {
        return Err(invalid(
            &format!("{name} is a secret, which other users of this computer could read here"),
            "give it in a file: -H @FILE, or -H @- for stdin",
        ));
    }
    let hint = if is(X_AMZ_DATE) {
        "leave it out; --at signs for another time"
    } else if is(X_AMZ_CONTENT_SHA256) {
        "leave it out; --unsigned-payload leaves the body out of the signature"
    } else if is(X_AMZ_SECURITY_TOKEN) || is(X_AMZ_S3SESSION_TOKEN) {
        "leave it out; --credentials signs with temporary credentials"
    } else if is("x-amz-trailer") || is("x-amz-decoded-content-length") {
        "leave it out; --chunked and --trailer write it"
    } else if is("transfer-encoding") {
        "leave it out; --chunked sends in chunks, as S3 takes them"
    } else if is(AUTHORIZATION) {
        "leave it out"
    } else {
        return match check_header(name, value) {
            Ok(()) => Ok(Some((name.to_owned(), value.to_owned()))),
            Err(error) => Err(wrong(error)),
        };
    };
    Err(invalid(&format!("{name} is for the signature to write"), hint))
}

/// A length that is typed is that of the body.
fn check_length(headers: &[(String, String)], len: u64) -> Result<(), Failure> {
    let told = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match told {
        Some((_, told)) if told.parse() != Ok(len) => Err(invalid(
            &format!("Content-Length says {told:?}, and the body has {len} bytes"),
            "leave it out: it is sent with the body",
        )),
        _ => Ok(()),
    }
}

/// Service and region of the signature: as they are given, else as the host says them.
fn scope(args: &Options, url: &Url, headers: &[(String, String)]) -> Result<(String, String), Failure> {
    let given = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = given.map_or(url.host().to_owned(), |(_, host)| host.to_ascii_lowercase());
    let known = AwsHost::parse(&host);
    if known.is_some_and(|known| known.multi_region) {
        return Err(failure(
            ErrorCode::Unsupported,
            format!("{host} takes signatures for several regions at once (SigV4A), which keys cannot make"),
            "send the request to one region: its bucket, access point or regional endpoint",
        ));
    }
    let service = args.service.clone().or_else(|| Some(known?.service.to_owned())).ok_or_else(|| {
        invalid(
            &format!("{host} does not say which service it is"),
            "give --service, such as s3, sts or execute-api, and --region",
        )
    })?;
    let env = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let region = args.region.clone().or_else(|| Some(known?.region?.to_owned()));
    let region = region.or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION"));
    // Other servers of S3 are in this one, unless they are told otherwise.
    let elsewhere = (known.is_none() && service == "s3").then(|| "us-east-1".to_owned());
    let region = region.or(elsewhere).ok_or_else(|| {
        invalid(&format!("{host} does not say which region it is in"), "give --region, or set AWS_REGION")
    })?;
    Ok((service, region))
}

/// How the body is sent in chunks, if it is.
fn chunking(args: &Options, url: &Url, service: &str) -> Result<Option<Chunking>, Failure> {
    if args.unsigned_payload && url.scheme() == Scheme::Http {
        return Err(invalid(
            &"a body that is not signed would go unprotected by http",
            "leave --unsigned-payload out, or use https",
        ));
    }
    if !args.chunked && args.trailer.is_none() {
        return Ok(None);
    }
    if Settings::for_service(service) != Settings::S3 {
        return Err(invalid(
            &format!("{service} takes no body in signed chunks: only S3 does"),
            "leave --chunked and --trailer out; --service s3 says that a server is one of S3",
        ));
    }
    match (args.unsigned_payload, args.trailer) {
        (false, None) => Ok(Some(Chunking::Signed)),
        (false, Some(_)) => Ok(Some(Chunking::SignedTrailer)),
        (true, Some(_)) => Ok(Some(Chunking::UnsignedTrailer)),
        (true, None) => Err(invalid(
            &"chunks that are not signed need a checksum behind them",
            "give --trailer crc32c, or leave --chunked or --unsigned-payload out",
        )),
    }
}

/// Where the body comes from; stdin can be one thing only.
fn source(args: &Options, print: Print) -> Result<Source<'_>, Failure> {
    let source = match (&args.data, &args.body) {
        (Some(text), _) => match text.strip_prefix('@') {
            Some("-") => Source::Stdin,
            Some(path) => Source::File(Path::new(path)),
            None => Source::Text(text),
        },
        (None, Some(path)) if path == Path::new("-") => Source::Stdin,
        (None, Some(path)) => Source::File(path),
        (None, None) => Source::Nothing,
    };
    let stdin = usize::from(matches!(source, Source::Stdin))
        + usize::from(args.signer.from_stdin())
        + args.header.iter().filter(|header| *header == "@-").count();
    if stdin > 1 {
        return Err(invalid(
            &"stdin can be one thing only: the body, the headers or the credentials",
            "give the others as files",
        ));
    }
    // Said before anybody touches a key.
    if source.is_read_once() && print == Print::Curl && !args.send {
        return Err(invalid(
            &"curl could not read the body again",
            "give it as a file that is no pipe, or print the headers",
        ));
    }
    Ok(source)
}

/// The headers with those of a body in chunks.
fn with_chunks(mut headers: Vec<(String, String)>, shape: Option<&ChunkedBody<'_>>) -> Vec<(String, String)> {
    let Some(shape) = shape else { return headers };
    for (name, mut value) in shape.headers() {
        let given: Vec<_> = headers
            .extract_if(.., |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        // An object's own encoding stays, behind that of the request.
        if name == "content-encoding" {
            value = [vec![value], given].concat().join(",");
        }
        headers.push((name.to_owned(), value));
    }
    headers
}

impl Signed<'_> {
    fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header))
    }

    fn print(&self, how: Print, args: &Options, len: u64) -> Result<(), Failure> {
        match how {
            Print::Headers => {
                let lines = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
                output::raw(lines.collect::<String>().as_bytes())
            }
            Print::Json => output::json(&json!({
                "method": self.method,
                "url": self.url.to_string(),
                "headers": object(&self.headers),
                "body_length": len,
                "identity": self.identity,
            })),
            Print::Curl => {
                let file = match (&args.data, &args.body) {
                    (Some(text), _) => text.strip_prefix('@'),
                    (None, body) => match body.as_deref().map(|path| (path, path.to_str())) {
                        Some((path, None)) => {
                            let said = format!("{} is no name that can be printed", path.display());
                            return Err(invalid(
                                &said,
                                "give the body by another name, or print the headers",
                            ));
                        }
                        Some((_, name)) => name,
                        None => None,
                    },
                };
                let data = match (file, &args.data) {
                    (Some(file), _) => curl::Data::File(file),
                    (None, Some(text)) => curl::Data::Text(text),
                    (None, None) => curl::Data::Nothing,
                };
                let text = curl::command(self.method, &self.url.to_string(), &self.headers, data);
                output::raw(text.as_bytes())
            }
        }
    }

    fn send(&self, global: &Global, args: &Options, body: http::Body<'_>) -> Result<(), Failure> {
        let http = Http::new()?.until(global.deadline());
        let response = http.send(self.method, &self.url.to_string(), &self.headers, body)?;
        if global.verbose {
            output::note(false, &format!("{} answered {}", response.origin(), response.status));
        }
        let output = args.output.as_deref();
        Output { file: output, include: args.include, json: global.json, quiet: global.quiet }.give(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_typed_as_for_curl() {
        #[track_caller]
        fn check(line: &str, typed: bool, expected: Result<Option<(&str, &str)>, &str>) {
            match (header(line, typed), expected) {
                (Ok(actual), Ok(expected)) => {
                    assert_eq!(
                        actual.as_ref().map(|(name, value)| (name.as_str(), value.as_str())),
                        expected
                    );
                }
                (Err(failure), Err(expected)) => {
                    let text = format!("{} {}", failure.message, failure.hint.unwrap_or_default());
                    assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
                }
                (actual, expected) => panic!("{line:?}: {actual:?} is not {expected:?}"),
            }
        }
        check("X-A: b: c ", true, Ok(Some(("X-A", "b: c"))));
        check("X-A:b", true, Ok(Some(("X-A", "b"))));
        check("X-A;", true, Ok(Some(("X-A", ""))));
        check("content-type:", true, Ok(None));
        check("X-A:", true, Err("give 'X-A;'"));
        check("hunter2", true, Err("is not 'Name: value'"));
        check(": hunter2", true, Err("is not 'Name: value'"));
        check("", true, Err("is not 'Name: value'"));
        check("Authorization: hunter2", true, Err("for the signature to write"));
        check("X-Amz-Date: hunter2", true, Err("--at"));
        check("x-amz-content-sha256: hunter2", true, Err("--unsigned-payload"));
        check("X-Amz-Security-Token: hunter2", true, Err("--credentials"));
        check("x-amz-s3session-token: hunter2", true, Err("--credentials"));
        check("X-Amz-Trailer: hunter2", true, Err("--trailer"));
        check("Transfer-Encoding: chunked", true, Err("--chunked"));
        let secret = "x-amz-server-side-encryption-customer-key: hunter2";
        check(secret, true, Err("-H @FILE"));
        check(secret, false, Ok(Some(("x-amz-server-side-encryption-customer-key", "hunter2"))));
    }

    #[test]
    fn urls_that_cannot_be_signed() {
        let check = |text: &str, expected: &str| {
            let failure = url(text).unwrap_err();
            assert!(failure.message.contains(expected), "{failure:?}");
            assert!(!failure.message.contains("hunter2"), "{failure:?}");
        };
        check("https://user:hunter2@h/", "user's name");
        check("https://h/?X-Amz-Algorithm=a&X-Amz-Signature=hunter2", "signed already");
        check("https://h/?x-amz-signature=hunter2", "signed already");
        check(&format!("https://h/{}", "a".repeat(MAX_URL)), "no service takes more");
        check("h/hunter2", "https://");
        check("https://h/\nhunter2", "control characters");
        assert!(url("https://h/?a=X-Amz-Signature").is_ok());
    }

    #[test]
    fn a_length_that_is_typed_is_the_bodys() {
        let headers = |value: &str| [("Content-Length".to_owned(), value.to_owned())];
        assert!(check_length(&headers("3"), 3).is_ok());
        assert!(check_length(&[], 3).is_ok());
        for wrong in ["4", "", "-3", "3, 3"] {
            assert!(check_length(&headers(wrong), 3).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_objects_own_encoding_stays() {
        let shape = ChunkedBody::new(Chunking::Signed, 1, MIN_CHUNK, &[]).unwrap();
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let given = vec![owned("Content-Encoding", "gzip"), owned("x-a", "b"), owned("Content-Length", "1")];
        let headers = with_chunks(given.clone(), Some(&shape));
        let length = shape.content_length().to_string();
        let expected = [
            owned("x-a", "b"),
            owned("content-encoding", "aws-chunked,gzip"),
            owned("content-length", &length),
            owned("x-amz-decoded-content-length", "1"),
        ];
        assert_eq!(headers, expected);
        assert_eq!(with_chunks(given.clone(), None), given);
    }
}
