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
use keyfob_core::s3::{
    Addressing, Endpoint, EndpointError, EndpointKind, ParsedPresign, PresignRequest, Target, Variant,
};
use keyfob_core::sigv4::{AmzDate, DateKey};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
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
    // What the host makes of it is the same link.
    let parsed = ParsedPresign::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(parsed.sign(&key, endpoint.scheme()).unwrap(), link, "{question:?}");
    assert_eq!((parsed.bucket(), parsed.key()), (question.bucket, question.key.as_str()));
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
    put(botocore(), &questions(), check);
}

/// The program that asks botocore.
fn botocore() -> Command {
    let python = std::env::var_os("KEYFOB_PYTHON").expect(
        "KEYFOB_PYTHON must name a Python that has botocore: run `cargo xtask test`, which sets it up",
    );
    let mut command = Command::new(python);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_presign.py"))
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// A request as a client of botocore takes it, and as we do.
#[derive(Debug, Clone)]
struct Form {
    /// Bucket or ARN.
    name: String,
    region: &'static str,
    endpoint: Option<&'static str>,
    variant: Variant,
    operation: &'static str,
    method: &'static str,
    key: &'static str,
    /// Botocore's name of each parameter, its value, and ours: a parameter of the query, or a header after `:`.
    parameters: Vec<(&'static str, serde_json::Value, &'static str)>,
    /// What botocore puts into the query by itself.
    more: Vec<(&'static str, &'static str)>,
    session_token: Option<&'static str>,
}

impl Form {
    const TIME: u64 = 1_795_320_000;
    const ACCOUNT: &str = "123456789012";

    fn get(name: impl Into<String>, region: &'static str, words: &str) -> Self {
        let has = |word| words.split(' ').any(|other| other == word);
        let addressing = match (has("virtual"), has("path")) {
            (true, _) => Addressing::Virtual,
            (_, true) => Addressing::Path,
            _ => Addressing::Auto,
        };
        Self {
            name: name.into(),
            region,
            endpoint: None,
            variant: Variant {
                dual_stack: has("dual"),
                fips: has("fips"),
                accelerate: has("accelerate"),
                addressing,
            },
            operation: "get_object",
            method: "GET",
            key: "a b/../c//\u{fc}+%.txt",
            parameters: Vec::new(),
            more: Vec::new(),
            session_token: None,
        }
    }

    /// As [`Question`] is asked.
    fn question(&self) -> serde_json::Value {
        let mut parameters = serde_json::Map::new();
        parameters.insert("Bucket".into(), self.name.clone().into());
        if !self.key.is_empty() {
            parameters.insert("Key".into(), self.key.into());
        }
        parameters.extend(self.parameters.iter().map(|(name, value, _)| ((*name).into(), value.clone())));
        serde_json::json!({
            "form": {
                "operation": self.operation,
                "parameters": parameters,
                "region": self.region,
                "endpoint": self.endpoint,
                "addressing": match self.variant.addressing {
                    // "auto" is AWS's old host for all regions, in a presigned link alone; "virtual" is its path where dots are.
                    Addressing::Auto | Addressing::Virtual => "virtual",
                    Addressing::Path => "path",
                },
                "accelerate": self.variant.accelerate,
                "dual_stack": self.variant.dual_stack,
                "fips": self.variant.fips,
            },
            "access_key_id": ACCESS_KEY_ID,
            "secret_access_key": SECRET_ACCESS_KEY,
            "session_token": self.session_token,
            "time": Self::TIME,
            "expires": 900,
        })
    }

    /// The canonical request and the link, or why there is none.
    fn ours(&self) -> Result<(String, String), EndpointError> {
        let Target { endpoint, bucket } = match self.endpoint {
            Some(url) => Target::server(url, self.region, &self.name, self.variant)?,
            None => Target::aws(&self.name, Some(self.region), self.variant)?,
        };
        let text =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let values: Vec<_> = self.parameters.iter().map(|(_, value, ours)| (*ours, text(value))).collect();
        let (mut query, mut headers) = (self.more.clone(), Vec::new());
        for (name, value) in &values {
            match name.strip_prefix(':') {
                Some(name) => headers.push((name, value.as_str())),
                None => query.push((*name, value.as_str())),
            }
        }
        let request = PresignRequest {
            method: self.method,
            endpoint: &endpoint,
            bucket: &bucket,
            key: self.key,
            access_key_id: ACCESS_KEY_ID,
            time: Self::TIME,
            expires: 900,
            session_token: self.session_token,
            version_id: None,
            query: &query,
            headers: &headers,
        };
        let date = AmzDate::from_unix(Self::TIME).unwrap();
        let date_key = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), date);
        let key = date_key.signing_key(endpoint.region(), endpoint.service()).unwrap();
        let (text, link) = (request.canonical_request().unwrap(), request.presign(&key).unwrap());
        // The host reads it as it is meant, and signs the same.
        let virtual_hosted = endpoint.kind() == EndpointKind::Other && endpoint.is_virtual_hosted();
        let parse = if virtual_hosted { ParsedPresign::parse_virtual_hosted } else { ParsedPresign::parse };
        let parsed = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(parsed.sign(&key, endpoint.scheme()).unwrap(), link);
        assert_eq!((parsed.bucket(), parsed.key()), (bucket.as_str(), self.key));
        assert_eq!((parsed.endpoint().kind(), parsed.authority()), (endpoint.kind(), endpoint.authority()));
        Ok((text, link))
    }

    /// What we refuse and botocore does otherwise, and why.
    fn is_refused_by_us_alone(&self) -> bool {
        let Variant { accelerate, addressing, dual_stack, fips } = self.variant;
        let has_host = self.name.ends_with("-s3") || self.name.starts_with("arn:");
        // It has no edges in GovCloud; and otherwise a wish is taken back in silence: what is asked for is not what is got.
        accelerate && (self.region.starts_with("us-gov") || addressing == Addressing::Path)
            || has_host && addressing == Addressing::Path
            || self.name.contains('.') && addressing == Addressing::Virtual
            || self.endpoint.is_some() && (dual_stack || fips)
            // It signs with SigV4, told to, what takes SigV4A alone.
            || self.name.ends_with(".mrap")
    }
}

/// Every endpoint, with everything that can be wished for at it.
fn places() -> Vec<Form> {
    let regions = [
        ("aws", "us-east-1"),
        ("aws", "us-west-2"),
        ("aws-cn", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1"),
        ("aws-eusc", "eusc-de-east-1"),
        ("aws-iso", "us-iso-east-1"),
        ("aws-iso-b", "us-isob-east-1"),
        ("aws-iso-e", "eu-isoe-west-1"),
        ("aws-iso-f", "us-isof-south-1"),
    ];
    let variants = [
        "",
        "virtual",
        "path",
        "dual",
        "dual path",
        "dual virtual",
        "fips",
        "fips path",
        "fips dual",
        "fips dual path",
        "accelerate",
        "accelerate dual",
        "accelerate fips",
        "accelerate path",
    ];
    let mut forms = Vec::new();
    for (partition, region) in regions {
        let arn = |service: &str, resource: &str| {
            format!("arn:{partition}:{service}:{region}:{}:{resource}", Form::ACCOUNT)
        };
        let names = [
            "bucket".to_owned(),
            "my.bucket".to_owned(),
            "bkt--usw2-az1--x-s3".to_owned(),
            "point--usw2-az1--xa-s3".to_owned(),
            "alias-k3v9c8t1m3p-s3alias".to_owned(),
            arn("s3", "accesspoint/my-ap"),
            arn("s3", "accesspoint:my-ap"),
            arn("s3-object-lambda", "accesspoint/my-ap"),
            arn("s3-outposts", "outpost/op-01ac5d28a6a232904/accesspoint/my-ap"),
        ];
        for name in names {
            for words in variants {
                // Elsewhere there is none, and botocore's rules know but China.
                let none = words.contains("accelerate") && partition != "aws" && partition != "aws-us-gov";
                // Botocore has an older table beside its rules, without these.
                let untold = words.contains("dual") && matches!(partition, "aws-iso-e" | "aws-iso-f");
                if !none && !untold {
                    forms.push(Form::get(name.clone(), region, words));
                }
            }
        }
    }
    for url in [
        "https://minio.example.com",
        "http://localhost:9000",
        "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-west-2.vpce.amazonaws.com",
    ] {
        for words in ["virtual", "path", "fips", "dual", "accelerate"] {
            forms.push(Form { endpoint: Some(url), ..Form::get("bucket", "us-west-2", words) });
        }
    }
    let multi = format!("arn:aws:s3::{}:accesspoint/mfzwi23gnjvgw.mrap", Form::ACCOUNT);
    forms.push(Form::get(multi, "us-west-2", ""));
    forms
}

/// Every operation with all that it can carry, at a few endpoints.
fn operations() -> Vec<Form> {
    type Parameters = &'static [(&'static str, &'static str, &'static str)];
    /// Botocore's name and ours, whether it is of an object, what it carries, and what botocore adds.
    type Operation = (&'static str, &'static str, bool, Parameters, &'static [(&'static str, &'static str)]);
    const URL: (&str, &str) = ("encoding-type", "url");
    #[rustfmt::skip]
    let table: [Operation; 19] = [
        ("get_object", "GET", true, &[
            ("VersionId", "3/L4kq+Q==", "versionId"), ("ResponseContentType", "text/x; a=\"b\"", "response-content-type"),
            ("ResponseCacheControl", "no-cache", "response-cache-control"),
            ("ResponseContentDisposition", "attachment; filename=\"\u{fc} +.txt\"", "response-content-disposition"),
            ("ResponseContentEncoding", "gzip", "response-content-encoding"),
            ("ResponseContentLanguage", "de", "response-content-language"),
        ], &[]),
        ("get_object", "GET", true, &[
            ("Range", "bytes=0-0", ":range"), ("IfNoneMatch", "\"etag\"", ":if-none-match"),
            ("ChecksumMode", "ENABLED", ":x-amz-checksum-mode"), ("RequestPayer", "requester", ":x-amz-request-payer"),
            ("ExpectedBucketOwner", "123456789012", ":x-amz-expected-bucket-owner"),
        ], &[]),
        ("get_object", "GET", true, &[("PartNumber", "7", "partNumber")], &[]),
        ("get_object", "GET", true, &[
            ("SSECustomerAlgorithm", "AES256", ":x-amz-server-side-encryption-customer-algorithm"),
        ], &[]),
        ("head_object", "HEAD", true, &[("VersionId", "1", "versionId")], &[]),
        ("put_object", "PUT", true, &[
            ("ContentType", "text/plain; charset=utf-8", ":content-type"), ("ContentLength", "12", ":content-length"),
            ("ACL", "bucket-owner-full-control", ":x-amz-acl"), ("Tagging", "a=b%20c&d=", ":x-amz-tagging"),
            ("StorageClass", "STANDARD_IA", ":x-amz-storage-class"), ("CacheControl", "max-age=1", ":cache-control"),
            ("ContentDisposition", "inline", ":content-disposition"), ("ContentEncoding", "gzip", ":content-encoding"),
            ("ContentLanguage", "de", ":content-language"), ("ContentMD5", "1B2M2Y8AsgTpgAmY7PhCfg==", ":content-md5"),
        ], &[]),
        ("put_object", "PUT", true, &[
            ("ServerSideEncryption", "aws:kms", ":x-amz-server-side-encryption"),
            ("SSEKMSKeyId", "arn:aws:kms:us-west-2:123456789012:key/1-2", ":x-amz-server-side-encryption-aws-kms-key-id"),
            ("ChecksumSHA256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", ":x-amz-checksum-sha256"),
            ("IfNoneMatch", "*", ":if-none-match"), ("GrantRead", "id=\"1\"", ":x-amz-grant-read"),
            ("ObjectLockMode", "GOVERNANCE", ":x-amz-object-lock-mode"),
            ("WebsiteRedirectLocation", "/a", ":x-amz-website-redirect-location"),
        ], &[]),
        ("delete_object", "DELETE", true, &[
            ("VersionId", "1", "versionId"), ("IfMatch", "\"etag\"", ":if-match"),
        ], &[]),
        ("create_multipart_upload", "POST", true, &[
            ("ContentType", "a/b", ":content-type"), ("ChecksumAlgorithm", "CRC32", ":x-amz-checksum-algorithm"),
        ], &[("uploads", "")]),
        ("upload_part", "PUT", true, &[
            ("UploadId", "VXBsb2Fk+/ID==", "uploadId"), ("PartNumber", "10000", "partNumber"), ("ContentLength", "5", ":content-length"),
            ("ChecksumCRC32C", "yZRlqg==", ":x-amz-checksum-crc32c"),
        ], &[]),
        ("complete_multipart_upload", "POST", true, &[("UploadId", "VXBsb2Fk", "uploadId")], &[]),
        ("abort_multipart_upload", "DELETE", true, &[("UploadId", "VXBsb2Fk", "uploadId")], &[]),
        ("list_parts", "GET", true, &[("UploadId", "VXBsb2Fk", "uploadId")], &[]),
        ("list_objects_v2", "GET", false, &[], &[("list-type", "2"), URL]),
        ("list_objects_v2", "GET", false, &[
            ("Prefix", "a b/\u{fc}+", "prefix"), ("Delimiter", "/", "delimiter"), ("MaxKeys", "100", "max-keys"),
            ("StartAfter", "a b/c", "start-after"), ("ContinuationToken", "1ue+/=", "continuation-token"),
            ("RequestPayer", "requester", ":x-amz-request-payer"),
        ], &[("list-type", "2"), URL]),
        ("list_objects", "GET", false, &[("Prefix", "p", "prefix"), ("Marker", "m", "marker")], &[URL]),
        ("list_objects", "GET", false, &[], &[URL]),
        ("list_object_versions", "GET", false, &[
            ("KeyMarker", "m", "key-marker"), ("VersionIdMarker", "v", "version-id-marker"),
        ], &[("versions", ""), URL]),
        ("list_multipart_uploads", "GET", false, &[("MaxUploads", "7", "max-uploads")], &[("uploads", "")]),
    ];
    let arn = format!("arn:aws:s3:us-west-2:{}:accesspoint/my-ap", Form::ACCOUNT);
    let places = [
        Form::get("bucket", "us-west-2", ""),
        Form::get("my.bucket", "us-west-2", "dual"),
        Form::get("bucket", "us-gov-west-1", "fips"),
        Form::get(arn, "us-west-2", ""),
        Form { endpoint: Some("https://minio.example.com"), ..Form::get("bucket", "us-west-2", "path") },
        Form { endpoint: Some("https://minio.example.com"), ..Form::get("bucket", "us-west-2", "virtual") },
    ];
    let mut forms = Vec::new();
    for (operation, method, of_object, parameters, more) in table {
        for place in &places {
            for session_token in [None, Some("IQoJb3JpZ2luX2VjE+PT//////8/wE==")] {
                let value = |(theirs, value, ours): &(&'static str, &'static str, &'static str)| {
                    let number = matches!(*theirs, "PartNumber" | "ContentLength" | "MaxKeys" | "MaxUploads");
                    let value = if number { value.parse::<u64>().unwrap().into() } else { (*value).into() };
                    (*theirs, value, *ours)
                };
                forms.push(Form {
                    operation,
                    method,
                    key: if of_object { place.key } else { "" },
                    parameters: parameters.iter().map(value).collect(),
                    more: more.to_vec(),
                    session_token,
                    ..place.clone()
                });
            }
        }
    }
    forms
}

#[test]
fn botocore_makes_the_same_links_for_every_endpoint_and_operation() {
    let forms: Vec<_> = places().into_iter().chain(operations()).collect();
    let (mut links, mut refused) = (0, 0);
    let questions: Vec<_> = forms.iter().map(Form::question).collect();
    let mut forms = forms.iter();
    let mut different = Vec::new();
    put(botocore(), &questions, |_, reply| {
        let form = forms.next().unwrap();
        match (form.ours(), &reply.error) {
            (Ok((text, link)), None)
                if reply.canonical_request.as_ref() == Some(&text)
                    && parts(reply.url.as_deref().unwrap()) == parts(&link) =>
            {
                links += 1;
            }
            (Err(_), Some(_)) => refused += 1,
            (Err(_), None) if form.is_refused_by_us_alone() => refused += 1,
            (ours, _) => different.push(format!("{form:?}\n  we: {ours:?}\n  botocore: {reply:?}")),
        }
    });
    assert!(different.is_empty(), "{} differences:\n{}", different.len(), different.join("\n"));
    assert!(links > 600 && refused > 300, "{links} links, {refused} refused");
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
    put(command, &questions(), |question, reply| {
        assert_eq!(reply.url.as_ref(), Some(&ours(question).1), "link of {question:#?}");
    });
}

/// Puts questions to a program, a line each, and checks its replies.
fn put<Q: Serialize + Sync>(mut command: Command, questions: &[Q], mut check: impl FnMut(&Q, &Reply)) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for question in questions {
                writeln!(stdin, "{}", serde_json::to_string(question).unwrap()).unwrap();
            }
        });
        let mut replies = stdout.lines();
        for question in questions {
            let line = replies.next().expect("a reply to every question").unwrap();
            check(question, &serde_json::from_str(&line).unwrap());
        }
    });
    assert!(child.wait().unwrap().success());
}
