//! Signing any request against two independent implementations, the `aws-sigv4` crate and botocore; and Signature
//! Version 2 and POST policies against botocore.
//!
//! A hundred thousand requests and more from fixed seeds, with whatever has gone wrong in signers before. Where a peer
//! signs something else, its table says why, and how the request is without the cause: then both must sign the same.
//! A difference that no row explains fails the test, and so does a row that explains none.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SigningParams, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity;
use hmac::{Hmac, KeyInit as _, Mac as _};
use keyfob_core::s3::{Condition, Endpoint, PostKey, PostPolicy};
use keyfob_core::sigv2::{self, S3Request, When};
use keyfob_core::sigv4::{
    AmzDate, Chunking, ContentHash, DateKey, Payload, Query, Settings, SignableRequest, SignedHeaders,
    Signer, UNSIGNED_HEADERS, Url, encode_path, encode_query,
};
use keyfob_tests::random::Random;
use keyfob_tests::tool;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha1::Sha1;

/// Requests signed by `aws-sigv4` too.
const BY_AWS_SIGV4: usize = 100_000;
/// Requests signed by botocore too, of each version, and forms.
const BY_BOTOCORE: usize = 20_000;
const BY_BOTOCORE_V2: usize = 6000;
const FORMS: usize = 2000;

/// Questions on a line to botocore.
const BATCH: usize = 100;

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Identified {
    access_key_id: &'static str,
    secret_access_key: &'static str,
    session_token: Option<&'static str>,
    time: u64,
}

fn identified(random: &mut Random) -> Identified {
    Identified {
        access_key_id: pick(random, &["AKIAIOSFODNN7EXAMPLE", "minio-admin_1.x~"]),
        secret_access_key: pick(
            random,
            &[
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "s",
                // 64 bytes with the prefix, and 65: where HMAC begins to hash its key.
                "123456789012345678901234567890123456789012345678901234567890",
                "1234567890123456789012345678901234567890123456789012345678901",
            ],
        ),
        session_token: pick(random, &[None, None, Some("IQoJb3JpZ2luX2VjE+PT//////8/wE=="), Some("a&b=%")]),
        time: random.bits() % 4_102_444_800,
    }
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    *random.of(choices).unwrap()
}

/// One in `n`.
fn rarely(random: &mut Random, n: usize) -> bool {
    random.below(n) == 0
}

fn text(random: &mut Random, parts: &[&str], max: usize) -> String {
    (0..random.below(max + 1)).map(|_| pick(random, parts)).collect()
}

/// What names, values and parts of paths are made of, before they are encoded.
#[rustfmt::skip]
const PARTS: &[&str] = &[
    "a", "Z", "0", "-", "_", ".", "~", "/", "//", "/./", "/../", "..", " ", "  ", "+", "%", "%20", "%2F", "%zz", "&",
    "=", "?", "#", "\\", "\"", "'", "<", ">", "`", "|", "^", "{", "}", "[", "]", "@", ":", ";", ",", "!", "$", "(", ")",
    "*", "\t", "\n", "\u{7f}", "\u{80}", "ü", "u\u{308}", "ß", "日本", "\u{ffff}", "😀", "photos/2006", ".txt",
];

/// Paths as other programs send them: what may be encoded and is not, what need not be and is.
const SENT_PATH: &[&str] = &[
    "a", "Z", "0", "-", "_", ".", "~", "/", "/", "//", "/./", "/../", "/..", "/.", "%20", "%2f", "%2F",
    "%7e", "%41", "!", "$", "&", "'", "(", ")", "*", "+", ",", ";", "=", ":", "@", "%C3%BC", "%25", "b.txt",
];

/// Queries as other programs send them.
const SENT_QUERY: &[&str] = &[
    "a", "a", "B", "1", "x-id", "-", "_", ".", "~", "=", "=", "=", "&", "&", "&", "+", "%20", "%2f", "%2F",
    "%7e", "%41", "%25", "%26", "%3D", "%2B", "%C3%BC", "%ff", "%zz", "%4", "/", "?", ":", "@", "!", "'",
    "(", ")", "*", ",", ";", "[",
];

/// Values of headers: spaces at their ends, runs of them, everything printable.
const VALUE: &[&str] =
    &["a", "B", "1", " ", "  ", "   ", ",", ";", "=", "\"", "\"a  b\"", "/", "*", ":", "%20", "\\", "'", "~"];

/// What the body is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Body {
    Signed,
    Unsigned,
    UnsignedTrailer,
    Chunked,
    ChunkedTrailer,
}

/// A request to be signed in its headers.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Question {
    kind: &'static str,
    #[serde(flatten)]
    who: Identified,
    service: &'static str,
    region: &'static str,
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    payload: Body,
}

fn question(random: &mut Random) -> Question {
    let scheme = pick(random, &["https://", "https://", "http://"]);
    let host = pick(
        random,
        &["h", "Bucket.S3.amazonaws.com", "sts.eu-west-1.amazonaws.com", "127.0.0.1:9000", "[::1]:8080"],
    );
    let host = pick(random, &[host, host, host, "example.com:443", "example.com:80"]);
    let mut url = [scheme, host].concat();
    if rarely(random, 2) {
        // What a person types, spelled for sending.
        let mut path = Vec::new();
        encode_path(&mut path, text(random, PARTS, 12).as_bytes());
        let mut query = String::new();
        for i in 0..random.below(4) {
            let mut pair = Vec::new();
            let name = pick(random, &["a", "a", "B", "versionId", "list-type", "x y", "ü", "", "a.b"]);
            encode_query(&mut pair, name.as_bytes());
            pair.push(b'=');
            encode_query(&mut pair, text(random, PARTS, 4).as_bytes());
            query += if i == 0 { "?" } else { "&" };
            query += std::str::from_utf8(&pair).unwrap();
        }
        url += &format!("/{}{query}", String::from_utf8(path).unwrap());
    } else {
        url += &format!("/{}", text(random, SENT_PATH, 12));
        if rarely(random, 2) {
            url += &format!("?{}", text(random, SENT_QUERY, 12));
        }
    }
    let service = pick(
        random,
        &["s3", "s3", "s3", "s3-object-lambda", "iam", "sts", "execute-api", "dynamodb", "aoss", "glacier"],
    );
    let mut headers = Vec::new();
    for name in [
        "Content-Type",
        "X-Amz-Target",
        "x-amz-meta-A-Rather-Long-Name-1",
        "x-amz-meta-a-rather-long-name-2",
        "X-Amz-Meta-a-rather-LONG-name-1",
        "accept",
        "User-Agent",
        "Expect",
        "X-Amzn-Trace-Id",
        "Connection",
        "transfer-encoding",
        "Host",
        "X-Amz-Date",
        "Authorization",
        "x-amz-security-token",
        "b!#$%&'*+.^_`|~",
    ] {
        if rarely(random, if matches!(name, "Host" | "x-amz-security-token") { 60 } else { 6 }) {
            let value = if name == "Host" { "other.example.com".into() } else { text(random, VALUE, 8) };
            headers.push((name, value));
        }
    }
    if rarely(random, 40) {
        headers.push(("x-tab", "a\tb \t c".into()));
    }
    // In any order.
    for i in (1..headers.len()).rev() {
        headers.swap(i, random.below(i + 1));
    }
    Question {
        kind: "v4",
        who: identified(random),
        service,
        region: pick(random, &["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]),
        method: pick(random, &["GET", "GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
        url,
        headers,
        body: text(random, PARTS, 30),
        payload: pick(
            random,
            &[
                Body::Signed,
                Body::Signed,
                Body::Signed,
                Body::Unsigned,
                Body::UnsignedTrailer,
                Body::Chunked,
                Body::ChunkedTrailer,
            ],
        ),
    }
}

/// Server, path and query, as they are in the URL.
fn split(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").unwrap() + 3;
    let end = start + url[start..].find('/').unwrap();
    let (path, query) = url[end..].split_once('?').unwrap_or((&url[end..], ""));
    (&url[..end], path, query)
}

/// The canonical request, and the headers.
fn ours(question: &Question) -> (String, SignedHeaders<'_>) {
    let (server, path, query) = split(&question.url);
    let server = Url::parse(server).unwrap();
    let headers: Vec<_> = question.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let request = SignableRequest {
        method: question.method,
        host: server.host(),
        path,
        query: Query::Sent(query),
        headers: &headers,
        payload: match question.payload {
            Body::Signed => Payload::Bytes(question.body.as_bytes()),
            Body::Unsigned => Payload::Unsigned,
            Body::UnsignedTrailer => Payload::Chunked(Chunking::UnsignedTrailer),
            Body::Chunked => Payload::Chunked(Chunking::Signed),
            Body::ChunkedTrailer => Payload::Chunked(Chunking::SignedTrailer),
        },
    };
    let date = AmzDate::from_unix(question.who.time).unwrap();
    let date_key = DateKey::from_secret(question.who.secret_access_key.as_bytes(), date);
    let key = date_key.signing_key(question.region, question.service).unwrap();
    let signer = Signer::new(question.who.access_key_id, question.who.session_token, question.service);
    let prepared = signer.prepare(&request, &date, key.scope()).unwrap();
    let signature = key.sign(prepared.string_to_sign());
    (prepared.canonical_request().to_owned(), prepared.finish(&signature))
}

/// Why a peer signs something else.
struct Explained<Q> {
    /// Why, and why it is right not to follow.
    why: &'static str,
    /// Takes the cause out of a request.
    mend: fn(&mut Q),
    met: AtomicUsize,
}

impl<Q: Clone + PartialEq + std::fmt::Debug> Explained<Q> {
    const fn new(why: &'static str, mend: fn(&mut Q)) -> Self {
        Self { why, mend, met: AtomicUsize::new(0) }
    }

    /// The question without all that explains a difference.
    #[track_caller]
    fn mended(table: &[Self], question: &Q, ours: &str, theirs: &str) -> Q {
        let mut mended = question.clone();
        for row in table {
            let before = mended.clone();
            (row.mend)(&mut mended);
            if mended != before {
                row.met.fetch_add(1, Ordering::Relaxed);
            }
        }
        assert!(mended != *question, "unexplained: {question:#?}\nours:\n{ours}\ntheirs:\n{theirs}");
        mended
    }

    fn finish(table: &[Self], asked: usize, differences: usize) {
        println!("{asked} asked, {differences} explained differences");
        for row in table {
            let met = row.met.load(Ordering::Relaxed);
            println!("{met:6} {}", row.why);
            assert!(met > 0, "explains nothing: {}", row.why);
        }
    }
}

static AWS_SIGV4_DIFFERS: [Explained<Question>; 2] = [
    Explained::new("aws-sigv4 collapses runs of spaces only; botocore takes a tab for one too", |question| {
        for (_, value) in &mut question.headers {
            *value = value.replace('\t', " ");
        }
    }),
    Explained::new(
        "aws-sigv4 puts U+FFFD in place of bytes that are not UTF-8; servers see the bytes",
        |question| question.url = question.url.replace("%ff", ""),
    ),
];

#[test]
fn aws_sigv4_signs_the_same() {
    /// What they sign differently, and without its cause do not.
    fn check(question: &Question) -> Option<Question> {
        let (canonical_request, signed) = ours(question);
        let token = question.who.session_token.map(Into::into);
        let (id, secret) = (question.who.access_key_id, question.who.secret_access_key);
        let identity: Identity = Credentials::new(id, secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        if Settings::for_service(question.service) == Settings::S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        // It leaves that to the caller.
        if ContentHash::for_service(question.service) == ContentHash::Always
            || question.payload != Body::Signed
        {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings.excluded_headers = Some(UNSIGNED_HEADERS.map(Into::into).to_vec());
        let params: SigningParams<'_> = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(question.region)
            .name(question.service)
            .time(UNIX_EPOCH + Duration::from_secs(question.who.time))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = question.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = match question.payload {
            Body::Signed => SignableBody::Bytes(question.body.as_bytes()),
            Body::Unsigned => SignableBody::UnsignedPayload,
            Body::UnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
            Body::Chunked => SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into()),
            Body::ChunkedTrailer => SignableBody::StreamingSignedPayloadTrailer,
        };
        // It takes the host's letters as they are; clients send them small.
        let (server, path, query) = split(&question.url);
        let server = Url::parse(server).unwrap();
        let mark = if question.url.contains('?') { "?" } else { "" };
        let url = [server.scheme().as_str(), "://", server.host(), path, mark, query].concat();
        let signable =
            aws_sigv4::http_request::SignableRequest::new(question.method, url, headers, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let theirs: BTreeMap<_, _> = instructions.headers().collect();
        let ours: BTreeMap<_, _> = signed.headers().collect();
        (ours != theirs).then(|| {
            let (ours, theirs) = (format!("{canonical_request}\n{ours:#?}"), format!("{theirs:#?}"));
            Explained::mended(&AWS_SIGV4_DIFFERS, question, &ours, &theirs)
        })
    }
    fn differs(question: &Question) -> bool {
        let mended = check(question);
        if let Some(mended) = &mended {
            assert_eq!(check(mended), None, "something else than what is explained: {question:#?}");
        }
        mended.is_some()
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let differences: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=threads)
            .map(|seed| {
                scope.spawn(move || {
                    let mut random = Random::new(20_130_524 + seed as u64);
                    let count = BY_AWS_SIGV4.div_ceil(threads);
                    (0..count).filter(|_| differs(&question(&mut random))).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    Explained::finish(&AWS_SIGV4_DIFFERS, BY_AWS_SIGV4, differences);
}

static BOTOCORE_DIFFERS: [Explained<Question>; 2] = [
    Explained::new(
        "botocore signs a URL's query as it is sent, only sorted; servers decode it and encode it by the rules, as aws-sigv4 \
         does",
        |question| {
            if let Some((before, query)) = question.url.split_once('?') {
                let mut out = Vec::new();
                for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
                    out.push(if out.is_empty() { b'?' } else { b'&' });
                    encode_query(&mut out, name.as_bytes());
                    out.push(b'=');
                    encode_query(&mut out, value.as_bytes());
                }
                question.url = format!("{before}{}", String::from_utf8(out).unwrap());
            }
        },
    ),
    Explained::new(
        "botocore drops the slash that RFC 3986 section 5.2.4 and aws-sigv4 leave in place of a last dot segment",
        |question| {
            let (_, path, _) = split(&question.url);
            if ["/.", "/.."].iter().any(|end| path.ends_with(end)) {
                let at = question.url.find('?').unwrap_or(question.url.len());
                question.url.insert(at, '/');
            }
        },
    ),
];

#[test]
fn botocore_signs_the_same() {
    #[derive(Deserialize)]
    struct Reply {
        error: Option<String>,
        canonical_request: Option<String>,
        headers: Option<BTreeMap<String, String>>,
    }
    let mut random = Random::new(7);
    let questions: Vec<_> = std::iter::from_fn(|| Some(question(&mut random)))
        .filter(|question| {
            // What botocore never sends: chunks with signatures; other bodies but to S3; unsigned ones in the clear.
            let s3 = Settings::for_service(question.service) == Settings::S3;
            let others = ContentHash::for_service(question.service) == ContentHash::Always && !s3;
            !others
                && match question.payload {
                    Body::Signed => true,
                    Body::Unsigned => question.url.starts_with("https"),
                    Body::UnsignedTrailer => s3,
                    Body::Chunked | Body::ChunkedTrailer => false,
                }
        })
        .take(BY_BOTOCORE)
        .collect();
    /// What they sign differently, without its cause.
    fn differing(questions: &[Question]) -> Vec<Question> {
        let mut differing = Vec::new();
        ask(questions, |question: &Question, reply: Reply| differing.extend(check(question, reply)));
        differing
    }
    fn check(question: &Question, reply: Reply) -> Option<Question> {
        assert_eq!(reply.error, None, "{question:#?}");
        let (canonical_request, signed) = ours(question);
        let headers: BTreeMap<_, _> =
            signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (their_request, theirs) = (reply.canonical_request.unwrap(), reply.headers.unwrap());
        (canonical_request != their_request || headers != theirs).then(|| {
            let ours = format!("{canonical_request}\n{headers:#?}");
            let theirs = format!("{their_request}\n{theirs:#?}");
            Explained::mended(&BOTOCORE_DIFFERS, question, &ours, &theirs)
        })
    }
    let mended = differing(&questions);
    assert_eq!(differing(&mended), [], "something else than what is explained");
    Explained::finish(&BOTOCORE_DIFFERS, questions.len(), mended.len());
}

/// A request to be signed by Signature Version 2.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct QuestionV2 {
    kind: &'static str,
    #[serde(flatten)]
    who: Identified,
    method: &'static str,
    url: String,
    host: &'static str,
    bucket: &'static str,
    path: String,
    query: Vec<(&'static str, Option<String>)>,
    resource: Option<String>,
    headers: Vec<(&'static str, String)>,
    expires: u64,
}

fn question_v2(random: &mut Random) -> QuestionV2 {
    let mut path = Vec::new();
    encode_path(&mut path, text(random, PARTS, 10).as_bytes());
    let path = format!("/{}", String::from_utf8(path).unwrap());
    let bucket = pick(random, &["", "my-bucket"]);
    let mut query = Vec::new();
    for name in sigv2::SUB_RESOURCES.into_iter().chain(["prefix", "list-type", "X-Other"]) {
        if rarely(random, 15) {
            let value = (!rarely(random, 3))
                .then(|| text(random, &["a", "+", "/", "=", "%20", "ü", " ", "&", "?"], 4));
            query.push((name, value));
        }
    }
    let mut headers = Vec::new();
    for name in [
        "Content-Type",
        "content-md5",
        "X-Amz-Meta-B",
        "x-amz-meta-b",
        "x-amz-acl",
        "x-amz-meta-a",
        "Range",
        "x-amzother",
    ] {
        if rarely(random, 3) {
            headers.push((name, text(random, VALUE, 6)));
        }
    }
    let host = if bucket.is_empty() { "https://127.0.0.1:9000" } else { "https://my-bucket.example.com" };
    let mut question = QuestionV2 {
        kind: pick(random, &["v2-header", "v2-query"]),
        who: identified(random),
        method: pick(random, &["GET", "HEAD", "PUT", "DELETE", "POST"]),
        url: String::new(),
        host,
        bucket,
        resource: (!bucket.is_empty()).then(|| format!("/{bucket}{path}")),
        path,
        query,
        headers,
        expires: 1 + random.below(604_800) as u64,
    };
    question.write_url();
    question
}

impl QuestionV2 {
    fn write_url(&mut self) {
        let mut out = [self.host, &self.path].concat().into_bytes();
        for (i, (name, value)) in self.query.iter().enumerate() {
            out.push(if i == 0 { b'?' } else { b'&' });
            encode_query(&mut out, name.as_bytes());
            if let Some(value) = value {
                out.push(b'=');
                encode_query(&mut out, value.as_bytes());
            }
        }
        self.url = String::from_utf8(out).unwrap();
    }
}

fn hmac_sha1(secret: &str, text: &str) -> [u8; sigv2::SIGNATURE_LEN] {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[test]
fn botocore_signs_the_same_by_version_2() {
    #[derive(Deserialize)]
    struct Reply {
        error: Option<String>,
        string_to_sign: Option<String>,
        signature: Option<String>,
    }
    let mut random = Random::new(11);
    let questions: Vec<_> = (0..BY_BOTOCORE_V2).map(|_| question_v2(&mut random)).collect();
    ask(&questions, check);
    fn check(question: &QuestionV2, reply: Reply) {
        assert_eq!(reply.error, None, "{question:#?}");
        let query: Vec<_> = question.query.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        let headers: Vec<_> = question.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = S3Request {
            method: question.method,
            bucket: question.bucket,
            path: &question.path,
            query: &query,
            headers: &headers,
            session_token: question.who.session_token,
        };
        let date = AmzDate::from_unix(question.who.time).unwrap().to_http_date();
        let expires = question.who.time + question.expires;
        let by_header = question.kind == "v2-header";
        let when = if by_header { When::Date(&date) } else { When::Expires(expires) };
        let string_to_sign = request.string_to_sign(when).unwrap();
        let mac = hmac_sha1(question.who.secret_access_key, &string_to_sign);
        let authorization = sigv2::authorization(question.who.access_key_id, &mac);
        let signature = if by_header {
            authorization
        } else {
            let host = Url::parse(&question.url).unwrap();
            let link = request.link(host.scheme(), host.host(), question.who.access_key_id, expires, &mac);
            assert!(link.starts_with(&question.url), "{link} is of {}", question.url);
            let encoded = link.split("&Signature=").last().unwrap().split('&').next().unwrap();
            encoded.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
        };
        let (their_string, theirs) = (reply.string_to_sign.unwrap(), reply.signature.unwrap());
        assert_eq!((string_to_sign, signature), (their_string, theirs), "{question:#?}");
    }
}

/// A form.
#[derive(Debug, Clone, Serialize)]
struct Form {
    kind: &'static str,
    #[serde(flatten)]
    who: Identified,
    region: &'static str,
    key: String,
    prefix: bool,
    expires: u64,
    /// As the product takes them.
    given: Vec<(&'static str, String)>,
    begins: Option<String>,
    range: Option<(u64, u64)>,
    /// As botocore takes them.
    fields: Vec<(String, String)>,
    conditions: Vec<Value>,
}

fn form(random: &mut Random) -> Form {
    let printable: Vec<_> =
        PARTS.iter().copied().filter(|part| !part.chars().any(char::is_control)).collect();
    let key = format!("k{}", text(random, PARTS, 10));
    let prefix = rarely(random, 2);
    let mut given = Vec::new();
    for name in
        ["acl", "Content-Disposition", "success_action_status", "success_action_redirect", "x-amz-meta-a"]
    {
        if rarely(random, 3) {
            given.push((name, text(random, &printable, 6)));
        }
    }
    let begins = rarely(random, 3).then(|| text(random, &printable, 3));
    let range = rarely(random, 3).then(|| (random.below(10) as u64, 10 + (random.bits() >> 12)));
    let whole = if prefix { format!("{key}${{filename}}") } else { key.clone() };
    let mut conditions: Vec<_> = given.iter().map(|(name, value)| json!({ *name: value })).collect();
    conditions.extend(begins.as_ref().map(|begins| json!(["starts-with", "$Content-Type", begins])));
    conditions.extend(range.map(|(least, most)| json!(["content-length-range", least, most])));
    conditions.push(json!({ "bucket": "examplebucket" }));
    conditions.push(if prefix { json!(["starts-with", "$key", key]) } else { json!({ "key": key }) });
    let fields = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Form {
        kind: pick(random, &["post-v4", "post-v2"]),
        who: identified(random),
        region: pick(random, &["us-east-1", "eu-central-1", "cn-north-1"]),
        expires: 1 + random.below(604_800) as u64,
        fields: fields.chain([("key".to_owned(), whole)]).collect(),
        key,
        prefix,
        given,
        begins,
        range,
        conditions,
    }
}

#[test]
fn botocore_makes_the_same_forms() {
    #[derive(Deserialize)]
    struct Reply {
        error: Option<String>,
        fields: Option<Vec<(String, String)>>,
        policy: Option<String>,
    }
    let mut random = Random::new(13);
    let forms: Vec<_> = (0..FORMS).map(|_| form(&mut random)).collect();
    ask(&forms, |form: &Form, reply: Reply| {
        assert_eq!(reply.error, None, "{form:#?}");
        let endpoint = Endpoint::aws(form.region).unwrap();
        let given: Vec<_> = form.given.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let begins = form.begins.as_deref().map(|begins| Condition::StartsWith("Content-Type", begins));
        let range = form.range.map(|(least, most)| Condition::ContentLengthRange(least, most));
        let conditions: Vec<_> = begins.into_iter().chain(range).collect();
        let policy = PostPolicy {
            endpoint: &endpoint,
            bucket: "examplebucket",
            key: if form.prefix { PostKey::Prefix(&form.key) } else { PostKey::Exact(&form.key) },
            access_key_id: form.who.access_key_id,
            time: form.who.time,
            expires: form.expires,
            session_token: form.who.session_token,
            fields: &given,
            conditions: &conditions,
        };
        let ours = if form.kind == "post-v4" {
            let date = AmzDate::from_unix(form.who.time).unwrap();
            let date_key = DateKey::from_secret(form.who.secret_access_key.as_bytes(), date);
            policy.sign(&date_key.signing_key(form.region, "s3").unwrap()).unwrap()
        } else {
            let prepared = policy.prepare_v2().unwrap();
            let mac = hmac_sha1(form.who.secret_access_key, prepared.string_to_sign());
            prepared.finish(&mac)
        };
        assert_eq!(ours.fields(), reply.fields.unwrap(), "{form:#?}\n{}", reply.policy.unwrap());
    });
}

/// Puts all questions to botocore, a batch on a line, and checks its replies.
fn ask<Q: Serialize + Sync, R: for<'a> Deserialize<'a>>(questions: &[Q], mut check: impl FnMut(&Q, R)) {
    let mut child = Command::new(tool("KEYFOB_PYTHON").unwrap())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_sign.py"))
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for batch in questions.chunks(BATCH) {
                writeln!(stdin, "{}", serde_json::to_string(batch).unwrap()).unwrap();
            }
        });
        let mut lines = stdout.lines();
        for batch in questions.chunks(BATCH) {
            let line = lines.next().expect("a reply to every batch").unwrap();
            let replies: Vec<R> = serde_json::from_str(&line).unwrap();
            assert_eq!(replies.len(), batch.len());
            for (question, reply) in batch.iter().zip(replies) {
                check(question, reply);
            }
        }
    });
    assert!(child.wait().unwrap().success());
}
