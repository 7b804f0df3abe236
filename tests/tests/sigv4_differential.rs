//! Presigned links against two independent implementations: the `aws-sigv4` crate and botocore, natively and in wasm.
//!
//! A few thousand requests from a fixed seed, with whatever has gone wrong in signers before: every kind of
//! character, empty and dot segments, what looks encoded already, long secrets, tokens, versions, overrides, headers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity;
use keyfob_core::s3::{Endpoint, ParsedPresign, PresignRequest};
use keyfob_core::sigv4::{AmzDate, DateKey};
use serde::{Deserialize, Serialize};

const REQUESTS: usize = 4000;

/// One question, as `oracle/botocore_presign.py` takes it.
#[derive(Debug, Clone, Serialize)]
struct Question {
    method: &'static str,
    endpoint: Option<&'static str>,
    region: &'static str,
    path_style: bool,
    bucket: &'static str,
    key: String,
    access_key_id: &'static str,
    secret_access_key: &'static str,
    session_token: Option<&'static str>,
    time: u64,
    expires: u64,
    version_id: Option<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

/// What it says to that.
#[derive(Debug, Deserialize)]
struct Reply {
    error: Option<String>,
    canonical_request: Option<String>,
    url: Option<String>,
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One in `n`.
    fn rarely(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn text(&mut self, parts: &[&str], max: u64) -> String {
        (0..1 + self.below(max)).map(|_| self.of(parts)).collect()
    }
}

/// What keys and values are made of.
#[rustfmt::skip]
const PARTS: &[&str] = &[
    "a", "Z", "0", "-", "_", ".", "~", "/", "//", "/./", "/../", "..", " ", "  ", "+", "%", "%20", "%2F", "%zz", "&",
    "=", "?", "#", "\\", "\"", "'", "<", ">", "`", "|", "^", "{", "}", "[", "]", "@", ":", ";", ",", "!", "$", "(", ")",
    "*", "\t", "\n", "\u{7f}", "\u{80}", "ü", "u\u{308}", "ß", "日本", "\u{ffff}", "😀", "photos/2006", ".txt",
];

fn question(random: &mut Random) -> Question {
    let endpoint = random.of(&[None, None, Some("http://127.0.0.1:9000"), Some("https://minio.example.com")]);
    let mut query = Vec::new();
    for name in ["response-cache-control", "response-content-disposition", "response-content-type"] {
        if random.rarely(5) {
            query.push((name, random.text(PARTS, 6)));
        }
    }
    if random.rarely(10) {
        query.push(("partNumber", (1 + random.below(10_000)).to_string()));
        query.insert(0, ("uploadId", random.text(&["a", "B", "_", ".", "-", "=", "/"], 20)));
    }
    let mut headers = Vec::new();
    for name in ["x-amz-meta-Name", "Content-Type", "x-amz-acl", "If-None-Match", "Cache-Control"] {
        if random.rarely(8) {
            // Signers agree on spaces within; at the ends an HTTP library may have its say first.
            headers.push((
                name,
                format!("v{}", random.text(&["a", "  ", ",", ";", "=", "\"", "/", "*"], 8) + "v"),
            ));
        }
    }
    Question {
        method: random.of(&["GET", "GET", "GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]),
        endpoint,
        region: random.of(&["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"]),
        path_style: random.rarely(4),
        bucket: random.of(&["examplebucket", "my.bucket.example", "a-1", "123"]),
        key: random.text(PARTS, 16),
        access_key_id: random.of(&["AKIAIOSFODNN7EXAMPLE", "minio-admin_1.x~"]),
        secret_access_key: random.of(&[
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "s",
            // 64 bytes with the prefix, and 65: where HMAC begins to hash its key.
            "123456789012345678901234567890123456789012345678901234567890",
            "1234567890123456789012345678901234567890123456789012345678901",
        ]),
        session_token: random.of(&[None, None, Some("IQoJb3JpZ2luX2VjE+PT//////8/wE=="), Some("a&b=%")]),
        time: random.below(4_102_444_800),
        expires: 1 + random.below(604_800),
        version_id: random.rarely(4).then(|| random.text(&["3", "L", "/", "+", "=", "kq", "."], 12)),
        query,
        headers,
    }
}

/// The canonical request and the link.
fn ours(question: &Question) -> (String, String) {
    let endpoint = match question.endpoint {
        Some(url) => Endpoint::custom(url, question.region).unwrap(),
        None => Endpoint::aws(question.region).unwrap(),
    };
    let endpoint = if question.path_style { endpoint.path_style() } else { endpoint };
    let query: Vec<_> = question.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let headers: Vec<_> = question.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let request = PresignRequest {
        method: question.method,
        endpoint: &endpoint,
        bucket: question.bucket,
        key: &question.key,
        access_key_id: question.access_key_id,
        time: question.time,
        expires: question.expires,
        session_token: question.session_token,
        version_id: question.version_id.as_deref(),
        query: &query,
        headers: &headers,
    };
    let date = AmzDate::from_unix(question.time).unwrap();
    let date_key = DateKey::from_secret(question.secret_access_key.as_bytes(), date);
    let key = date_key.signing_key(question.region, "s3").unwrap();
    let (text, link) = (request.canonical_request().unwrap(), request.presign(&key).unwrap());
    // What the host makes of it, where it takes it, is the same link.
    if let Ok(parsed) = ParsedPresign::parse(&text) {
        assert_eq!(parsed.sign(&key, endpoint.scheme()).unwrap(), link, "{question:?}");
        assert_eq!((parsed.bucket(), parsed.key()), (question.bucket, question.key.as_str()));
    } else {
        let more = question.query.iter().any(|(name, _)| !name.starts_with("response-"))
            || question.headers.iter().any(|(name, _)| *name == "x-amz-acl");
        assert!(more, "the host does not take {text}");
    }
    (text, link)
}

fn signature(url: &str) -> &str {
    url.split("X-Amz-Signature=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default()
}

/// Scheme, host and path, and the parameters by name.
fn parts(url: &str) -> (&str, BTreeMap<&str, &str>) {
    let (base, query) = url.split_once('?').unwrap();
    (base, query.split('&').map(|pair| pair.split_once('=').unwrap()).collect())
}

fn questions() -> Vec<Question> {
    let mut random = Random(20_130_524);
    (0..REQUESTS).map(|_| question(&mut random)).collect()
}

#[test]
fn aws_sigv4_signs_the_same() {
    /// Percent-encoding, the plain way.
    fn encode(text: &str, keep: &str) -> String {
        let one = |byte: u8| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || keep.contains(c) => c.to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(one).collect()
    }
    fn check(question: &Question) {
        let (_, link) = ours(question);
        let (base, _) = link.split_once('?').unwrap();
        // The place is checked by botocore's test; here the path is spelled anew.
        let server = base.split('/').take(3).collect::<Vec<_>>().join("/");
        let bucket = if server.contains(&format!("//{}.", question.bucket)) {
            String::new()
        } else {
            format!("/{}", question.bucket)
        };
        let mut url = format!("{server}{bucket}/{}", encode(&question.key, "-._~/"));
        let version_id = question.version_id.iter().map(|id| ("versionId", id));
        for (i, (name, value)) in question.query.iter().map(|(n, v)| (*n, v)).chain(version_id).enumerate() {
            url += &format!("{}{name}={}", if i == 0 { '?' } else { '&' }, encode(value, "-._~"));
        }

        let identity: Identity = Credentials::new(
            question.access_key_id,
            question.secret_access_key,
            question.session_token.map(Into::into),
            None,
            "test",
        )
        .into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(question.expires));
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        // All headers are signed.
        settings.excluded_headers = None;
        let params: SigningParams<'_> = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region(question.region)
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_secs(question.time))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = question.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable =
            SignableRequest::new(question.method, url, headers, SignableBody::UnsignedPayload).unwrap();
        let (_, expected) = sign(signable, &params).unwrap().into_parts();
        assert_eq!(signature(&link), expected, "{question:#?}\n{link}");
    }
    questions().iter().for_each(check);
}

#[test]
fn botocore_makes_the_same_links() {
    fn check(question: &Question, reply: &Reply) {
        let (text, link) = ours(question);
        assert_eq!(reply.error, None, "{question:#?}");
        assert_eq!(reply.canonical_request.as_ref(), Some(&text), "canonical request of {question:#?}");
        // Its parameters stand in another order.
        assert_eq!(parts(reply.url.as_deref().unwrap()), parts(&link), "link of {question:#?}");
    }
    let python = std::env::var_os("KEYFOB_PYTHON").expect(
        "KEYFOB_PYTHON must name a Python that has botocore: run `cargo xtask test`, which sets it up",
    );
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_presign.py"))
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    ask(command, check);
}

/// With the two tests above: in wasm the links are those of the two others too, letter for letter.
#[test]
fn the_wasm_makes_the_same_links() {
    assert!(
        std::env::var_os("KEYFOB_WASM").is_some(),
        "KEYFOB_WASM must name the folder of the wasm: run `cargo xtask test`, which builds it"
    );
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/wasm/presign_lines.js"));
    ask(command, |question, reply| {
        assert_eq!(reply.url.as_ref(), Some(&ours(question).1), "link of {question:#?}");
    });
}

/// Puts all questions to a program, a line each, and checks its replies.
fn ask(mut command: Command, check: impl Fn(&Question, &Reply)) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let questions = questions();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for question in &questions {
                writeln!(stdin, "{}", serde_json::to_string(question).unwrap()).unwrap();
            }
            drop(stdin);
        });
        let mut replies = stdout.lines();
        for question in &questions {
            let line = replies.next().expect("a reply to every question").unwrap();
            check(question, &serde_json::from_str(&line).unwrap());
        }
    });
    assert!(child.wait().unwrap().success());
}
