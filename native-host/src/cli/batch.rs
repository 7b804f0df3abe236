//! `keyfob presign --stdin` and `--recursive`: many links, one touch.
//!
//! What the touch buys is declared before it: the prompt says method, bucket, region and longest life, and a line that goes
//! beyond is bad.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{ArgAction, ArgGroup, Args, ValueEnum};
use keyfob_core::message::{ErrorCode, Failure, Scheme, SignatureVersion};
use keyfob_core::s3::{self, EndpointKind, ParsedPresign, PresignRequest, Presigner, Target};
use keyfob_core::sigv4::{AmzDate, SigningKey};

use super::args::Global;
use super::batch_line::{Pairs, Spec, put_csv, put_json, put_number, put_request};
use super::client::Client;
use super::presign::{self, invalid, spelled};
use super::{output, place};
use crate::batch::{self, Batch, End, Event, Feed, Item, MAX_LINE, Made, Tally, Work};
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::http::Http;
use crate::prompt::{grouped, shown};
use crate::s3_list::List;
use crate::service::{self, duration};
use crate::signing::Credentials;

/// The heading of these options.
const BATCH: &str = "Many links";
/// Bad lines that are shown one by one, unless all are wanted.
const SHOWN: u64 = 20;
/// Endpoints that a worker remembers.
const MAX_PLACES: usize = 1024;
/// How often the line of progress is drawn, and from when on.
const REDRAW: Duration = Duration::from_millis(100);
/// What begins a line that is an S3 URL.
const S3: &str = "s3://";
/// A bucket's name, where it does not matter which.
const ANY_BUCKET: &str = "any-bucket";
/// As some programs begin their files.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A batch, as it is typed.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("many").args(["stdin", "recursive"]))]
pub(super) struct Options {
    /// Links for what stdin names, a line each: a key of the bucket that is given, behind the prefix; s3://BUCKET/KEY; or a
    /// JSON object with key (or url), and any of bucket, method, expires, version_id, query, headers and region. What a line
    /// does not say is as the other options say; --expires is the longest. A key that begins with { or s3:// is given as JSON,
    /// or with --keys
    #[arg(long, help_heading = BATCH)]
    pub(super) stdin: bool,
    /// Links for all objects whose keys begin with the prefix, as the server lists them
    #[arg(short, long, requires = "url", help_heading = BATCH)]
    pub(super) recursive: bool,
    /// Begin after this key
    #[arg(
        long,
        value_name = "KEY",
        requires = "recursive",
        conflicts_with = "stdin",
        help_heading = BATCH,
        allow_hyphen_values = true
    )]
    pub(super) start_after: Option<String>,
    /// Every line is a key, whatever it looks like: for names that others chose
    #[arg(long, requires_all = ["stdin", "url"], conflicts_with = "recursive", help_heading = BATCH)]
    pub(super) keys: bool,
    /// A NUL ends each line of stdin, so that keys can have line breaks in them
    #[arg(short = '0', long, requires = "stdin", conflicts_with = "recursive", help_heading = BATCH)]
    pub(super) null: bool,
    /// How links are printed; --json is jsonl
    #[arg(long, value_name = "FORMAT", requires = "many", help_heading = BATCH)]
    pub(super) format: Option<Format>,
    /// Stop at the first bad line
    #[arg(long, requires = "many", help_heading = BATCH)]
    pub(super) strict: bool,
    /// Another region that lines may name; more than once for several
    #[arg(long, value_name = "REGION", requires = "stdin", conflicts_with = "recursive", action = ArgAction::Append, help_heading = BATCH)]
    pub(super) also_region: Vec<String>,
    /// Another method that lines may name; more than once for several
    #[arg(long, value_name = "METHOD", requires = "stdin", conflicts_with = "recursive", action = ArgAction::Append, help_heading = BATCH)]
    pub(super) also_method: Vec<String>,
}

/// How links are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A link a line
    Text,
    /// A JSON object a line: line, bucket, key, url and expires_at, with method unless it is GET, and headers if there are any; or
    /// line and error
    Jsonl,
    /// bucket, key, url and expires_at, with commas (RFC 4180). Keys are as they are: a spreadsheet takes one that begins
    /// with =, +, - or @ for a formula, unless it is told that the column is text
    Csv,
}

impl Format {
    /// What stands before all records.
    fn head(self) -> &'static str {
        match self {
            Self::Text | Self::Jsonl => "",
            Self::Csv => "bucket,key,url,expires_at\r\n",
        }
    }
}

impl Options {
    /// Whether it is one.
    pub(super) fn is_batch(&self) -> bool {
        self.stdin || self.recursive
    }

    /// What a link is made of.
    fn item(&self) -> &'static str {
        if self.recursive { "object" } else { "line" }
    }
}

/// What all links of a batch have in common.
struct Common {
    credentials: Credentials,
    time: u64,
    /// In seconds: of lines that say nothing else, and the longest.
    expires: u64,
    /// The first is that of lines that name none.
    methods: Vec<String>,
    version_id: Option<String>,
    query: Pairs,
    headers: Pairs,
    options: place::Options,
    /// The bucket that was given.
    home: Option<Home>,
    /// One a scope.
    keys: Vec<SigningKey>,
    only_keys: bool,
    null: bool,
    /// Whether what comes are objects that a server lists, and no lines.
    listed: bool,
    format: Format,
}

/// The bucket that was given: no line leaves it.
struct Home {
    /// As it was typed: a name or an ARN.
    bucket: String,
    prefix: String,
    place: Place,
    /// For lines that say nothing but the key.
    presigner: Presigner,
}

impl Home {
    /// Whether a key, which begins with the prefix, leads out of it where dots are resolved. What the prefix has of them is meant.
    fn is_left_by(&self, key: &str) -> bool {
        let segment = self.prefix.rfind('/').map_or(0, |slash| slash + 1);
        !self.prefix.is_empty()
            && key.get(segment..).is_some_and(|rest| rest.split('/').any(|part| part == ".."))
    }
}

/// Where a bucket is, and which of the signing keys is for it.
#[derive(Clone)]
struct Place {
    target: Arc<Target>,
    key: usize,
}

/// Makes links of lines.
struct Maker {
    common: Arc<Common>,
    /// By bucket, as it was typed, and by region.
    places: HashMap<(String, Option<String>), Result<Place, String>>,
    /// Prefix and key.
    key: String,
}

impl Work for Maker {
    fn make(&mut self, number: u64, item: Item<'_>, out: &mut Vec<u8>) -> Result<Made, String> {
        let line = match item {
            Item::Key(key) => return self.common.listed(number, key, out),
            Item::Line(line) => line,
        };
        if line.len() > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        let line = if self.common.null { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        let line = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if line.is_empty() {
            return Ok(Made::Nothing);
        }
        let line = str::from_utf8(line)
            .map_err(|error| format!("it is not UTF-8 from its byte {} on", error.valid_up_to() + 1))?;
        if self.common.only_keys || !(line.starts_with('{') || line.starts_with(S3)) {
            return self.behind_prefix(number, line, out);
        }
        if let Some(location) = line.strip_prefix(S3) {
            let (bucket, key) = s3::split_location(location);
            return self.elsewhere(number, bucket, key, &Spec::default(), out);
        }
        let spec = Spec::read(line)?;
        match (&spec.url, &spec.bucket, &spec.key) {
            (Some(url), None, None) => {
                let location = url.strip_prefix(S3).ok_or("its url is none of S3: give s3://BUCKET/KEY")?;
                let (bucket, key) = s3::split_location(location);
                self.elsewhere(number, bucket, key, &spec, out)
            }
            (None, Some(bucket), Some(key)) => self.elsewhere(number, bucket, key, &spec, out),
            (None, None, Some(key)) => {
                let home = self.common.home.as_ref().ok_or(NO_BUCKET)?;
                let (bucket, key) = (home.bucket.clone(), [&home.prefix, key.as_str()].concat());
                self.elsewhere(number, &bucket, &key, &spec, out)
            }
            _ => Err("it must have key, and may have bucket; or it has url alone".to_owned()),
        }
    }

    fn put_bad(&mut self, number: u64, why: &str, out: &mut Vec<u8>) {
        if self.common.format == Format::Jsonl {
            out.extend_from_slice(b"{\"line\":");
            put_number(out, number);
            out.extend_from_slice(b",\"error\":");
            put_json(out, why);
            out.extend_from_slice(b"}\n");
        }
    }
}

const NO_BUCKET: &str =
    "it names no bucket, and none was given: give the command s3://BUCKET, or the line as s3://BUCKET/KEY";

impl Maker {
    fn behind_prefix(&mut self, number: u64, line: &str, out: &mut Vec<u8>) -> Result<Made, String> {
        let prefix = self.common.home.as_ref().map(|home| home.prefix.as_str()).ok_or(NO_BUCKET)?;
        if prefix.is_empty() {
            return self.common.at_home(number, line, out);
        }
        self.key.clear();
        self.key.push_str(prefix);
        self.key.push_str(line);
        self.common.at_home(number, &self.key, out)
    }

    fn elsewhere(
        &mut self,
        number: u64,
        bucket: &str,
        key: &str,
        spec: &Spec,
        out: &mut Vec<u8>,
    ) -> Result<Made, String> {
        if let Some(home) = &self.common.home {
            if home.bucket != bucket {
                return Err(format!(
                    "it is in the bucket {}, and the command was given {}: leave that away for lines of several buckets",
                    shown(bucket),
                    shown(&home.bucket)
                ));
            }
            if !key.starts_with(&home.prefix) {
                return Err(format!(
                    "its key does not begin with {:?}, as the command was given",
                    shown(&home.prefix)
                ));
            }
        }
        let place = self.place(bucket, spec.region.as_deref())?;
        self.common.link(number, bucket, key, &place, spec, out)
    }

    fn place(&mut self, bucket: &str, region: Option<&str>) -> Result<Place, String> {
        let which = (bucket.to_owned(), region.map(str::to_owned));
        if let Some(known) = self.places.get(&which) {
            return known.clone();
        }
        if self.places.len() >= MAX_PLACES {
            self.places.clear();
        }
        let place = self.common.place(bucket, region);
        self.places.insert(which, place.clone());
        place
    }
}

/// What a failure says, in one sentence.
fn sentence(failure: Failure) -> String {
    match failure.hint {
        Some(hint) => format!("{}: {hint}", failure.message),
        None => failure.message,
    }
}

/// `options` with another region.
fn in_region(options: &place::Options, region: Option<&str>) -> place::Options {
    let mut options = options.clone();
    if let Some(region) = region {
        options.region = Some(region.to_owned());
    }
    options
}

/// Both, without those of `given` that `more` has too.
fn merged<'a>(
    given: &'a Pairs,
    more: &'a Pairs,
    same: impl Fn(&str, &str) -> bool,
) -> Vec<(&'a str, &'a str)> {
    let kept = given.iter().filter(|(name, _)| !more.iter().any(|(other, _)| same(name, other)));
    kept.chain(more).map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn lent(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl Common {
    fn place(&self, bucket: &str, region: Option<&str>) -> Result<Place, String> {
        let target = in_region(&self.options, region).target(bucket).map_err(sentence)?;
        let (region, service) = (target.endpoint.region(), target.endpoint.service());
        let key = self
            .keys
            .iter()
            .position(|key| key.scope().region() == region && key.scope().service() == service)
            .ok_or_else(|| match self.keys.iter().any(|key| key.scope().service() == service) {
                true => {
                    format!("it is in {region}, for which nothing was signed: give --also-region {region}")
                }
                false => format!("it is signed for {service}: give the command its bucket, s3://{bucket}"),
            })?;
        Ok(Place { target: Arc::new(target), key })
    }

    /// A link of an object that the server says is there: what it says is not believed.
    fn listed(&self, number: u64, key: &str, out: &mut Vec<u8>) -> Result<Made, String> {
        match &self.home {
            Some(home) if !key.starts_with(&home.prefix) => {
                let (key, prefix) = (shown(key), shown(&home.prefix));
                Err(format!("the server lists {key:?}, which does not begin with {prefix:?}"))
            }
            _ => self.at_home(number, key, out),
        }
    }

    /// A link of the bucket that was given.
    fn at_home(&self, number: u64, key: &str, out: &mut Vec<u8>) -> Result<Made, String> {
        let home = self.home.as_ref().ok_or(NO_BUCKET)?;
        let until = self.time.saturating_add(self.expires);
        let method = self.methods.first().map(String::as_str).unwrap_or_default();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let put_request = |out: &mut Vec<u8>| put_request(out, method, headers);
        self.record(number, &home.bucket, key, until, out, put_request, |out| {
            home.presigner.presign_into(key, out).map_err(|error| error.to_string())
        })
    }

    fn link(
        &self,
        number: u64,
        bucket: &str,
        key: &str,
        place: &Place,
        spec: &Spec,
        out: &mut Vec<u8>,
    ) -> Result<Made, String> {
        let expires = spec.expires.unwrap_or(self.expires);
        if expires > self.expires {
            return Err(format!(
                "it is to work for {}, and the longest is {}: give the command --expires {expires}s",
                duration(expires),
                duration(self.expires),
            ));
        }
        let method = match &spec.method {
            Some(method) => self.method(method)?,
            None => self.methods.first().map(String::as_str).unwrap_or_default(),
        };
        if let Some((name, _)) = spec.headers.iter().find(|(name, _)| s3::is_secret_header(name)) {
            return Err(format!(
                "{name} is a secret, which no link has in it: it is sent with the link, and only its algorithm is signed"
            ));
        }
        let query = merged(&self.query, &spec.query, |a, b| a == b);
        let headers = merged(&self.headers, &spec.headers, str::eq_ignore_ascii_case);
        let request = PresignRequest {
            method,
            endpoint: &place.target.endpoint,
            bucket: &place.target.bucket,
            key,
            access_key_id: self.credentials.access_key_id(),
            time: self.time,
            expires,
            session_token: self.credentials.session_token(),
            version_id: spec.version_id.as_deref().or(self.version_id.as_deref()),
            query: &query,
            headers: &headers,
        };
        if spec.is_special() {
            check(&request)?;
        }
        let signing_key = self.keys.get(place.key).ok_or("there is no key for it")?;
        let until = self.time.saturating_add(expires);
        let put_request = |out: &mut Vec<u8>| put_request(out, method, headers.iter().copied());
        self.record(number, bucket, key, until, out, put_request, |out| {
            request.presign_into(signing_key, out).map_err(|error| error.to_string())
        })
    }

    /// Appends the record of a link, which `sign` appends, and `put_request` what is to be sent with it.
    #[expect(clippy::too_many_arguments, reason = "a record's parts")]
    fn record(
        &self,
        number: u64,
        bucket: &str,
        key: &str,
        until: u64,
        out: &mut Vec<u8>,
        put_request: impl FnOnce(&mut Vec<u8>),
        sign: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Made, String> {
        let dots = s3::has_dot_segments(key);
        if dots
            && !self.listed
            && let Some(home) = &self.home
            && home.is_left_by(key)
        {
            return Err(format!(
                "there is a .. in its key, by which programs and servers leave {:?}: give the command the bucket alone",
                shown(&home.prefix)
            ));
        }
        match self.format {
            Format::Text => {
                sign(out)?;
                out.push(b'\n');
            }
            // A link is ASCII, and has neither quotes nor commas in it.
            Format::Jsonl => {
                out.extend_from_slice(b"{\"line\":");
                put_number(out, number);
                out.extend_from_slice(b",\"bucket\":");
                put_json(out, bucket);
                out.extend_from_slice(b",\"key\":");
                put_json(out, key);
                out.extend_from_slice(b",\"url\":\"");
                sign(out)?;
                out.extend_from_slice(b"\",\"expires_at\":");
                put_number(out, until);
                put_request(out);
                out.extend_from_slice(b"}\n");
            }
            Format::Csv => {
                put_csv(out, bucket);
                out.push(b',');
                put_csv(out, key);
                out.push(b',');
                sign(out)?;
                out.push(b',');
                put_number(out, until);
                out.extend_from_slice(b"\r\n");
            }
        }
        Ok(Made::Link { until, dots })
    }

    /// The one of the declared methods that is meant.
    fn method(&self, method: &str) -> Result<&str, String> {
        // Methods are case-sensitive, and those of S3 are upper-case.
        let known = self.methods.iter().find(|known| known.eq_ignore_ascii_case(method));
        known.map(String::as_str).ok_or_else(|| {
            let method = shown(method);
            format!("it is for {method}, and the touch was not: give the command --also-method {method}")
        })
    }
}

/// Refuses what is refused of a single link: what cannot be read in its canonical request.
fn check(request: &PresignRequest<'_>) -> Result<(), String> {
    let text = request.canonical_request().map_err(|error| error.to_string())?;
    let endpoint = request.endpoint;
    let virtual_hosted = endpoint.kind() == EndpointKind::Other && endpoint.is_virtual_hosted();
    let parse = if virtual_hosted { ParsedPresign::parse_virtual_hosted } else { ParsedPresign::parse };
    parse(&text).map_err(|error| error.to_string())?;
    presign::check_sense(request)
}

pub(super) fn run(global: &Global, args: &presign::Options) -> Result<Exit, Failure> {
    let batch = &args.batch;
    let refused = [
        (args.list, "--list is one link", "leave it away: --recursive makes a link for each object"),
        (
            args.sigv2,
            "a signature of version 2 takes a touch for each link",
            "leave --sigv2 away, or make single links",
        ),
        (args.check, "--check is for a single link", "leave it away"),
        (
            batch.stdin && args.signer.from_stdin(),
            "stdin cannot have both credentials and lines",
            "put the credentials into a file, or into the environment: --credentials env",
        ),
        (
            batch.recursive && args.upload_id.is_some(),
            "objects that exist have no upload's id",
            "leave --upload-id away",
        ),
        (
            batch.recursive && args.version_id.is_some(),
            "a version is one of a single object",
            "leave --version-id away: the list is of the newest versions",
        ),
    ];
    if let Some((_, what, hint)) = refused.iter().find(|(refused, ..)| *refused) {
        return Err(invalid(what, hint));
    }
    let format = global.printed("--format", batch.format, Format::Jsonl, Format::Text)?;
    let now = service::unix_time();
    let time = args.at.unwrap_or(now);
    let date = AmzDate::from_unix(time).map_err(|error| invalid(&error, ""))?;
    if batch.recursive && AmzDate::from_unix(now).is_ok_and(|now| now.date() != date.date()) {
        return Err(invalid(
            &"one touch is for one day: the list is asked for today, and the links are of another",
            "give --at of this day (UTC), or leave it away",
        ));
    }
    let mut methods = vec![args.method.to_ascii_uppercase()];
    methods.extend(batch.also_method.iter().map(|method| method.to_ascii_uppercase()));

    // Where it goes, and what must be signed for it.
    let location = match &args.url {
        None => None,
        Some(url) => {
            let location = url.strip_prefix(S3).filter(|location| !location.is_empty());
            Some(s3::split_location(location.ok_or_else(|| {
                invalid(&format!("{url:?} is no S3 URL"), "give s3://BUCKET, or s3://BUCKET/PREFIX")
            })?))
        }
    };
    let bucket = location.map_or(ANY_BUCKET, |(bucket, _)| bucket);
    let mut targets = vec![args.place.target(bucket)];
    for region in &batch.also_region {
        targets.push(in_region(&args.place, Some(region)).target(bucket));
    }
    // Lines may name their regions all.
    if location.is_none() && targets.len() > 1 && targets.first().is_some_and(Result::is_err) {
        drop(targets.remove(0));
    }
    let mut targets = targets.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter();
    let Some(target) = targets.next() else { return Err(invalid(&"no region is known", "give --region")) };
    let mut scopes = vec![(target.endpoint.region().to_owned(), target.endpoint.service())];
    for other in targets {
        let scope = (other.endpoint.region().to_owned(), other.endpoint.service());
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let is_directory = target.endpoint.kind() == EndpointKind::Directory;
    if is_directory && batch.start_after.is_some() {
        return Err(invalid(&"the list of a directory bucket has no order", "leave --start-after away"));
    }

    let (query, headers) = (presign::query(args, "")?, presign::headers(args)?);
    let expires = args.expires.as_secs();
    for method in &methods {
        // Before a key is looked for: what no line can mend is said without one.
        check(&PresignRequest {
            method,
            endpoint: &target.endpoint,
            bucket: &target.bucket,
            key: "key",
            access_key_id: args.signer.identity.as_deref().unwrap_or("AKIAIOSFODNN7EXAMPLE"),
            time,
            expires,
            session_token: None,
            version_id: args.version_id.as_deref(),
            query: &lent(&query),
            headers: &lent(&headers),
        })
        .map_err(|why| invalid(&why, ""))?;
    }

    let mut client = Client::new(global)?;
    let credentials = args.signer.resolve(&mut client, SignatureVersion::SigV4)?;
    credentials.check_expiry(time, expires)?;
    let purpose = purpose(args, &methods, location, &target);
    let scopes: Vec<_> = scopes.iter().map(|(region, service)| (region.as_str(), *service)).collect();
    let keys = credentials.signing_keys(&mut client, &date, &scopes, &purpose)?;
    drop(client);

    let note = |text: &str| output::note(global.quiet, text);
    if target.endpoint.scheme() == Scheme::Http {
        note("These links are fetched without TLS: whoever is on the way can read them.");
    }
    if is_directory {
        note("A directory bucket: the identity must be allowed s3express:CreateSession there.");
    }
    for (name, value) in &headers {
        note(&format!("Whoever uses the links must send {}: {value}", name.to_ascii_lowercase()));
    }

    let home = match (location, keys.first()) {
        (Some((bucket, prefix)), Some(key)) => {
            let request = PresignRequest {
                method: methods.first().map(String::as_str).unwrap_or_default(),
                endpoint: &target.endpoint,
                bucket: &target.bucket,
                key: "",
                access_key_id: credentials.access_key_id(),
                time,
                expires,
                session_token: credentials.session_token(),
                version_id: args.version_id.as_deref(),
                query: &lent(&query),
                headers: &lent(&headers),
            };
            let presigner = Presigner::new(&request, key).map_err(|error| invalid(&error, ""))?;
            let place = Place { target: Arc::new(target), key: 0 };
            Some(Home { bucket: bucket.to_owned(), prefix: prefix.to_owned(), place, presigner })
        }
        _ => None,
    };
    let common = Arc::new(Common {
        credentials,
        time,
        expires,
        methods,
        version_id: args.version_id.clone(),
        query,
        headers,
        options: args.place.clone(),
        home,
        keys,
        only_keys: batch.keys,
        null: batch.null,
        listed: batch.recursive,
        format,
    });
    let maker = || Maker { common: Arc::clone(&common), places: HashMap::new(), key: String::new() };
    let works = (0..batch::workers()).map(|_| maker()).collect();
    let out = front::unbuffered_stdout()
        .map_err(|error| failure(ErrorCode::Io, format!("there is no stdout: {error}"), ""))?;
    let many = Batch { out, head: format.head(), strict: batch.strict, stop: told_to_stop() };
    let mut progress = Progress::new(global, batch, format);
    let mut events = |event: Event<'_>| progress.event(&event);
    let (tally, end) = if batch.recursive {
        let http = Http::new()?.until(global.deadline());
        let list = Arc::clone(&common);
        let (start_after, payer) = (batch.start_after.clone(), args.request_payer);
        let source = move |feed: &mut Feed| list_all(&list, &http, start_after, payer, feed);
        many.run(works, source, &mut events)
    } else {
        let input = front::unbuffered_stdin()
            .map_err(|error| failure(ErrorCode::Io, format!("there is no stdin: {error}"), ""))?;
        let separator = if batch.null { b'\0' } else { b'\n' };
        many.run(works, move |feed: &mut Feed| feed.lines(input, separator), &mut events)
    };
    progress.end();
    finish(global, batch, &tally, end)
}

/// What is asked of the person, as far as the scopes do not say it.
fn purpose(
    args: &presign::Options,
    methods: &[String],
    location: Option<(&str, &str)>,
    target: &Target,
) -> String {
    /// Longest prefix that is shown, in characters: what follows is to be seen too.
    const LONGEST: usize = 60;
    let what = if args.batch.recursive { "all objects" } else { "the objects that stdin names" };
    let place = match location {
        None => "in any bucket".to_owned(),
        Some((bucket, prefix)) => {
            let more = if prefix.chars().nth(LONGEST).is_some() { "…" } else { "" };
            let prefix: String = prefix.chars().take(LONGEST).collect();
            let slash = if prefix.is_empty() { "" } else { "/" };
            format!("in s3://{bucket}{slash}{prefix}{more}")
        }
    };
    let other = target.endpoint.kind() == EndpointKind::Other;
    let server = if other { format!(" at {}", target.endpoint.authority()) } else { String::new() };
    let tls = if target.endpoint.scheme() == Scheme::Http { " without TLS" } else { "" };
    let life = duration(args.expires.as_secs());
    format!("{} links to {what}, {place}{server}{tls}, {life}", methods.join(" or "))
}

/// Feeds the keys of the bucket that was given.
fn list_all(
    common: &Common,
    http: &Http,
    start_after: Option<String>,
    request_payer: bool,
    feed: &mut Feed,
) -> Result<(), Failure> {
    let Some((home, key)) =
        common.home.as_ref().and_then(|home| Some((home, common.keys.get(home.place.key)?)))
    else {
        return Ok(());
    };
    let mut last = start_after.clone();
    let list = List {
        http,
        target: &home.place.target,
        prefix: &home.prefix,
        start_after: start_after.as_deref(),
        request_payer,
        access_key_id: common.credentials.access_key_id(),
        session_token: common.credentials.session_token(),
        key,
    };
    let listed = list.pages(|keys| {
        if let Some(key) = keys.last() {
            last = Some(key.clone());
        }
        feed.keys(keys)
    });
    let ordered = home.place.target.endpoint.kind() != EndpointKind::Directory;
    listed.map_err(|mut failure| {
        if let Some(last) = last.filter(|_| ordered) {
            let go_on = format!("go on with --start-after '{}'", last.replace('\'', r"'\''"));
            failure.hint = Some(failure.hint.map_or(go_on.clone(), |hint| format!("{hint}; then {go_on}")));
        }
        failure
    })
}

/// Becomes true at the first Ctrl-C, and the like. At the second the process ends.
fn told_to_stop() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    {
        use signal_hook::flag::{register, register_conditional_default};
        crate::signals::take();
        for signal in crate::signals::ending() {
            // Without a handler the signal ends the process, as it does before and after.
            let _ = register_conditional_default(signal, Arc::clone(&stop));
            let _ = register(signal, Arc::clone(&stop));
        }
    }
    stop
}

/// What is said meanwhile.
struct Progress {
    /// Whether there is a line that is drawn again and again.
    drawn: bool,
    /// Whether bad lines are in the output.
    in_output: bool,
    /// What each is.
    item: &'static str,
    verbose: bool,
    begin: Instant,
    last: Instant,
    width: usize,
    bad: u64,
}

impl Progress {
    fn new(global: &Global, batch: &Options, format: Format) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        // Where lines are typed or links are shown, it would stand in their way.
        let drawn = !global.quiet
            && !dumb
            && io::stderr().is_terminal()
            && !io::stdout().is_terminal()
            && !io::stdin().is_terminal();
        let now = Instant::now();
        Self {
            drawn,
            in_output: format == Format::Jsonl,
            item: batch.item(),
            verbose: global.verbose,
            begin: now,
            last: now,
            width: 0,
            bad: 0,
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Bad(number, why) => {
                self.bad += 1;
                if !self.in_output && (self.verbose || self.bad <= SHOWN) {
                    self.clear();
                    output::note(false, &format!("{} {number}: {why}", self.item));
                }
            }
            Event::SoFar(tally) if self.drawn && self.last.elapsed() >= REDRAW => self.draw(tally),
            Event::SoFar(_) => {}
        }
    }

    fn draw(&mut self, tally: &Tally) {
        self.last = Instant::now();
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        let rate = (tally.items() as f64 / seconds) as u64;
        let bad = if tally.bad > 0 { format!(", {} bad", grouped(tally.bad)) } else { String::new() };
        let text = format!("{} {}s, {}/s{bad}", grouped(tally.items()), self.item, grouped(rate));
        let width = self.width;
        // Nobody is left to be told that stderr is closed.
        let _ = write!(io::stderr(), "\r{text:<width$}");
        self.width = text.len();
    }

    fn clear(&mut self) {
        if self.width > 0 {
            let width = self.width;
            let _ = write!(io::stderr(), "\r{:<width$}\r", "");
            self.width = 0;
        }
    }

    fn end(&mut self) {
        self.clear();
        let more = self.bad.saturating_sub(SHOWN);
        if more > 0 && !self.in_output && !self.verbose {
            let more = counted(more, &format!("bad {}", self.item));
            output::note(false, &format!("… and {more} more; -v shows all of them."));
        }
    }
}

/// `1 link`, `2 links`.
fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Says how it ended.
fn finish(global: &Global, batch: &Options, tally: &Tally, end: End) -> Result<Exit, Failure> {
    let links = counted(tally.links, "link");
    let written = if tally.links == 1 { "was written" } else { "were written" };
    // How what is left is asked for.
    let rest = |done: u64| match batch.recursive {
        true if tally.links == 0 => "ask for all of them again: none has a link yet".to_owned(),
        true => "go on with --start-after and the key of the last link".to_owned(),
        false => format!("what is left begins at line {}", done + 1),
    };
    let item = batch.item();
    match end {
        End::Done => {
            let date = |time| AmzDate::from_unix(time).map(|date| spelled(&date)).unwrap_or_default();
            let text = match tally.until {
                None => links,
                Some((first, last)) if first == last => {
                    let verb = if tally.links == 1 { "works" } else { "work" };
                    format!("{links} that {verb} until {}", date(last))
                }
                Some((first, last)) => {
                    format!(
                        "{links}, of which the first works until {}, the last until {}",
                        date(first),
                        date(last)
                    )
                }
            };
            output::note(global.quiet, &format!("{text}."));
            if tally.empty > 0 {
                let text = format!("{} skipped.", counted(tally.empty, "empty line"));
                output::note(global.quiet, &text);
            }
            if tally.dots > 0 {
                let have = if tally.dots == 1 { "has" } else { "have" };
                let text = format!("{} {have} {}", counted(tally.dots, "link"), presign::DOTS);
                output::note(global.quiet, &text);
            }
            if tally.bad == 0 {
                return Ok(Exit::Ok);
            }
            let were = if tally.bad == 1 { "was" } else { "were" };
            let text = format!("{} of {} {item}s {were} bad", grouped(tally.bad), grouped(tally.items()));
            let hint = match batch.recursive {
                true => "there are links for all the others",
                false => "correct them, and ask for those again",
            };
            output::failure(&invalid(&text, hint), global.json);
            Ok(Exit::Other)
        }
        End::Bad { number, why } => {
            let text = format!("{item} {number} is bad, and before it {links} {written}: {why}");
            let hint =
                if batch.recursive { "leave --strict away" } else { "correct it, or leave --strict away" };
            output::failure(&invalid(&text, hint), global.json);
            Ok(Exit::Other)
        }
        End::Closed => Ok(Exit::Ok),
        End::Stopped(done) => Err(failure(
            ErrorCode::Cancelled,
            format!("stopped: {links} {written}, all of them whole"),
            rest(done),
        )),
        End::Unwritten { error, number } => Err(failure(
            ErrorCode::Io,
            format!("cannot write to stdout: {error}; {links} {written}, all of them whole"),
            format!("make room; {}", rest(number)),
        )),
        End::Broken(failure) if tally.links == 0 => Err(failure),
        End::Broken(failure) => {
            let message = format!("{}; {links} {written} before", failure.message);
            Err(Failure { message, ..failure })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        #[track_caller]
        fn check(number: u64, expected: &str) {
            assert_eq!(counted(number, "link"), expected);
        }
        check(0, "0 links");
        check(1, "1 link");
        check(999, "999 links");
        check(1000, "1,000 links");
        check(1_234_567, "1,234,567 links");
    }
}
