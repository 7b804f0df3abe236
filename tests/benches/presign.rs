//! What a presigned S3 GET costs, side by side with peers in one run.
//!
//! The floor is what nobody can save: one SHA-256 of the canonical request and one HMAC of the string to sign, key
//! schedule kept. Peers get their URL, credentials and settings ready made.
//!
//! Prints a table, and last one line of JSON for programs.

mod measure;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity;
use keyfob_core::message::Scheme;
use keyfob_core::s3::{Endpoint, ParsedPresign, PresignRequest, Presigner};
use keyfob_core::sigv4::{AmzDate, DateKey, SigningKey, string_to_sign};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::random::Random;
use measure::{Aim, BATCH, Case, REGION, ROUNDS, TIME, botocore, measure, pin, print_aims};
use rusty_s3::S3Action as _;

const BUCKET: &str = "examplebucket";
const KEY: &str = "photos/2006/February/sample.jpg";
const EXPIRES: u64 = 86_400;

/// As long as those of STS are, in base64 as they are.
static SESSION_TOKEN: LazyLock<String> = LazyLock::new(|| {
    let alphabet: Vec<_> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut random = Random::new(1);
    (0..930).filter_map(|_| random.of(&alphabet).copied()).chain(['=', '=']).collect()
});

fn main() {
    pin();
    let date = AmzDate::from_unix(TIME).expect("a time");
    let endpoint = Endpoint::aws(REGION).expect("a region");
    let request = PresignRequest {
        method: "GET",
        endpoint: &endpoint,
        bucket: BUCKET,
        key: KEY,
        access_key_id: ACCESS_KEY_ID,
        time: TIME,
        expires: EXPIRES,
        session_token: None,
        version_id: None,
        query: &[],
        headers: &[],
    };
    let date_key = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), date);
    let key = date_key.signing_key(REGION, "s3").expect("a scope");
    let canonical_request = request.canonical_request().expect("a request");
    let to_sign = string_to_sign(&date, key.scope(), canonical_request.as_bytes());

    let base_url = format!("https://{BUCKET}.s3.{REGION}.amazonaws.com/{KEY}");
    let identity: Identity = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench").into();
    let timestamp = jiff::Timestamp::from_second(TIME as i64).expect("a time");
    let rusty_bucket = rusty_s3::Bucket::new(
        format!("https://s3.{REGION}.amazonaws.com").parse().expect("a URL"),
        rusty_s3::UrlStyle::VirtualHost,
        BUCKET,
        REGION,
    )
    .expect("a bucket");
    let rusty_credentials = rusty_s3::Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);

    let by_aws = || aws_sigv4_presign(&base_url, &identity);
    let by_rusty = || {
        let action = rusty_bucket.get_object(Some(&rusty_credentials), black_box(KEY));
        action.sign_with_time(Duration::from_secs(EXPIRES), &timestamp)
    };
    // Nobody is fast at something else.
    let link = request.presign(&key).expect("a link");
    for (peer, other) in [("aws-sigv4", by_aws()), ("rusty-s3", by_rusty().to_string())] {
        assert_eq!(signature(&other), signature(&link), "{peer} signs something else: {other}");
    }

    let messages = [canonical_request.as_bytes()];
    let mut cases = with_the_key_at_hand(&request, &key, &messages, to_sign.as_bytes());
    cases.extend([
        Case::new("keyfob, from the date key", || {
            let key = black_box(&date_key).signing_key(REGION, "s3").expect("a scope");
            black_box(&request).presign(&key).expect("a link")
        }),
        Case::new("keyfob, from the secret", || {
            let date = AmzDate::from_unix(black_box(TIME)).expect("a time");
            let date_key = DateKey::from_secret(black_box(SECRET_ACCESS_KEY.as_bytes()), date);
            let key = date_key.signing_key(REGION, "s3").expect("a scope");
            black_box(&request).presign(&key).expect("a link")
        }),
        Case::new("keyfob, host's reading of a front end's request", || {
            let parsed = ParsedPresign::parse(black_box(&canonical_request)).expect("a request");
            parsed.sign(&key, Scheme::Https).expect("a link")
        }),
        Case::new("rusty-s3, from the secret", by_rusty),
        Case::new("aws-sigv4, from the secret", by_aws),
    ]);
    let get = measure(cases, BATCH, ROUNDS);

    // All that a link can have.
    let with_all = PresignRequest {
        session_token: Some(&SESSION_TOKEN),
        version_id: Some("L4kqtJlcpXroDTDmpUMLUo"),
        query: &[
            ("response-cache-control", "no-store"),
            ("response-content-disposition", "attachment; filename=\"sample.jpg\""),
            ("response-content-encoding", "identity"),
            ("response-content-language", "en-GB"),
            ("response-content-type", "image/jpeg"),
            ("response-expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
            ("x-amz-request-payer", "requester"),
        ],
        headers: &[
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
            ("x-amz-server-side-encryption-customer-key-MD5", "rcYLw9ZBAs8ihMDHJ0hFpA=="),
            ("x-amz-expected-bucket-owner", "111122223333"),
            ("x-amz-checksum-mode", "ENABLED"),
            ("range", "bytes=0-1023"),
        ],
        ..request
    };
    let all_canonical = with_all.canonical_request().expect("a request");
    let all_to_sign = string_to_sign(&date, key.scope(), all_canonical.as_bytes());
    let all_messages = [all_canonical.as_bytes()];
    let cases = with_the_key_at_hand(&with_all, &key, &all_messages, all_to_sign.as_bytes());
    let all = measure(cases, BATCH, ROUNDS);

    let bytes = |text: &str| format!("({} bytes of canonical request)", text.len());
    let rows = get.print(&format!("Presigning an S3 GET {}", bytes(&canonical_request)));
    let all_rows = all.print(&format!("The same with all options {}", bytes(&all_canonical)));
    let [at_hand, from_date, from_secret] =
        ["keyfob, signing key at hand", "keyfob, from the date key", "keyfob, from the secret"];
    let [rusty, aws] = ["rusty-s3, from the secret", "aws-sigv4, from the secret"];
    let aims = [
        Aim("presign / floor".into(), get.ratio(at_hand, "floor"), "at most 1.8"),
        Aim("presign with all options / its floor".into(), all.ratio(at_hand, "floor"), "at most 1.8"),
        Aim("aws-sigv4 / from the date key".into(), get.ratio(aws, from_date), "at least 3.8"),
        Aim("rusty-s3 / from the date key".into(), get.ratio(rusty, from_date), "at least 2.4"),
        Aim("aws-sigv4 / from the secret".into(), get.ratio(aws, from_secret), "for comparison"),
        Aim("rusty-s3 / from the secret".into(), get.ratio(rusty, from_secret), "for comparison"),
    ];
    let ratios = print_aims(&aims);
    let botocore = botocore("botocore_presign.py", "{\"bench\": 500}");
    println!(
        "{}",
        serde_json::json!({
            "bench": "presign", "cases": rows, "all_options": all_rows, "ratios": ratios, "botocore_us": botocore,
        })
    );
}

/// The floor of a request, and every way to sign it but those that derive the key.
fn with_the_key_at_hand<'a>(
    request: &'a PresignRequest<'a>,
    key: &'a SigningKey,
    messages: &'a [&'a [u8]],
    to_sign: &'a [u8],
) -> Vec<Case<'a>> {
    let (mut link_of, mut link_of_batch) = (Vec::new(), Vec::new());
    let presigner = Presigner::new(request, key).expect("links");
    vec![
        Case::floor(messages, to_sign),
        Case::new("keyfob, signing key at hand", move || black_box(request).presign(key).expect("a link")),
        Case::new("keyfob, signing key and buffer at hand", move || {
            link_of.clear();
            black_box(request).presign_into(key, &mut link_of).expect("a link");
        }),
        Case::new("keyfob, in a batch", move || {
            link_of_batch.clear();
            presigner.presign_into(black_box(KEY), &mut link_of_batch).expect("a link");
        }),
    ]
}

fn aws_sigv4_presign(url: &str, identity: &Identity) -> String {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(EXPIRES));
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let params: SigningParams<'_> = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(identity)
        .region(REGION)
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_secs(black_box(TIME)))
        .settings(settings)
        .build()
        .expect("all is set")
        .into();
    let signable = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::UnsignedPayload)
        .expect("a request");
    let (instructions, _) = sign(signable, &params).expect("a signature").into_parts();
    let mut request = http::Request::builder().uri(url).body(()).expect("a request");
    instructions.apply_to_request_http1x(&mut request);
    request.uri().to_string()
}

fn signature(url: &str) -> &str {
    let (_, after) = url.split_once("X-Amz-Signature=").expect("a signature");
    after.split('&').next().unwrap_or_default()
}
