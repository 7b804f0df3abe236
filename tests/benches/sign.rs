//! What signing a request in its headers costs, and hashing a large body, side by side with peers in one run.
//!
//! Each peer is given the same request of ten headers and 1 KiB, hashes the body, and gives the headers that the request
//! must carry besides; nobody applies them. Credentials, settings and headers are ready made, the time is not. `aws-sigv4`
//! derives its signing key each time and cannot keep it, which is four HMACs: the ratio to ours *with the signing key at hand*
//! is what a user gains, the ratio to ours *from the secret* is what is gained besides keeping the key; the bare hashing of that
//! is a case too, for it limits what there is to gain.
//!
//! Prints tables, and last one line of JSON for programs.

mod measure;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SigningInstructions, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity;
use keyfob_core::sigv4::{AmzDate, DateKey, Payload, Query, Settings, SignableRequest, Signer};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use measure::{
    Aim, BATCH, Case, FLOOR_FROM_SECRET, Measured, REGION, ROUNDS, TIME, botocore, measure, pin, print_aims,
};
use ring::digest;
use serde_json::json;

/// A request, and what service it is for.
struct Subject {
    service: &'static str,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

/// A POST such as the SDKs send: the rules of most services.
const POST: Subject = Subject {
    service: "dynamodb",
    method: "POST",
    host: "dynamodb.us-east-1.amazonaws.com",
    path: "/",
    query: "",
    headers: &[
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "DynamoDB_20120810.PutItem"),
        ("content-length", "1024"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("amz-sdk-invocation-id", "1b2c3d4e-5f60-4172-8394-a5b6c7d8e9f0"),
        ("amz-sdk-request", "attempt=1; max=3"),
        ("x-amz-user-agent", "aws-sdk-rust/1.3.3 os/linux lang/rust/1.94.0"),
        ("cache-control", "no-cache"),
        ("x-amzn-api-version", "2012-08-10"),
    ],
};

/// A PUT to S3, whose rules are others: the path as it is sent, the hash as a header.
const PUT: Subject = Subject {
    service: "s3",
    method: "PUT",
    host: "examplebucket.s3.us-east-1.amazonaws.com",
    path: "/photos/2006/February/sample.jpg",
    query: "partNumber=3&uploadId=VCVsb2FkIElEIGZvciBlbHZpbmcncyBteS1tb3ZpZS5tMnRzIHVwbG9hZA",
    headers: &[
        ("content-type", "image/jpeg"),
        ("content-length", "1024"),
        ("content-md5", "rcYLw9ZBAs8ihMDHJ0hFpA=="),
        ("cache-control", "no-store"),
        ("content-disposition", "inline"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-meta-author", "Jane Doe"),
        ("x-amz-expected-bucket-owner", "111122223333"),
        ("x-amz-server-side-encryption", "AES256"),
    ],
};

fn main() {
    pin();
    let body: Vec<u8> = (0..1024_u32).map(|i| (i * 7) as u8).collect();
    let post = signing(&POST, &body);
    let put = signing(&PUT, &body);
    let large = hashing();

    let mut aims = Vec::new();
    for (what, measured) in [("POST", &post), ("PUT", &put)] {
        let aws = "aws-sigv4, from the secret";
        let wanted = if what == "POST" { "at least 4" } else { "for comparison" };
        for (case, aim) in [
            (AT_HAND, wanted),
            (FROM_SECRET, "for comparison: both derive the key"),
            (FLOOR_FROM_SECRET, "for comparison: the most that could be, the key derived"),
        ] {
            aims.push(Aim(format!("{what}: aws-sigv4 / {case}"), measured.ratio(aws, case), aim));
        }
        aims.push(Aim(
            format!("{what}: {AT_HAND} / floor"),
            measured.ratio(AT_HAND, "floor"),
            "for comparison",
        ));
    }
    aims.push(Aim("64 MiB: ring / keyfob".into(), large.ratio("ring", "keyfob"), "at least 0.95"));

    let rows = json!({
        "post": post.print("Signing a POST of 1 KiB with ten headers"),
        "put": put.print("Signing a PUT of 1 KiB to S3 with ten headers"),
        "large": large.print("Hashing a body of 64 MiB"),
    });
    let ratios = print_aims(&aims);
    let question = json!([{
        "kind": "bench-v4", "count": 500,
        "service": POST.service, "region": REGION, "method": POST.method,
        "url": format!("https://{}{}", POST.host, POST.path), "headers": POST.headers,
        "body": "x".repeat(1024), "payload": "signed",
        "access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY, "session_token": null, "time": TIME,
    }]);
    let botocore = botocore("botocore_sign.py", &question.to_string());
    println!("{}", json!({ "bench": "sign", "cases": rows, "ratios": ratios, "botocore_us": botocore }));
}

const AT_HAND: &str = "keyfob, signing key at hand";
const FROM_SECRET: &str = "keyfob, from the secret";

fn signing(subject: &Subject, body: &[u8]) -> Measured {
    let request = SignableRequest {
        method: subject.method,
        host: subject.host,
        path: subject.path,
        query: Query::Sent(subject.query),
        headers: subject.headers,
        payload: Payload::Bytes(body),
    };
    let signer = Signer::new(ACCESS_KEY_ID, None, subject.service);
    let at = || AmzDate::from_unix(black_box(TIME)).expect("a time");
    let date_key = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), at());
    let key = date_key.signing_key(REGION, subject.service).expect("a scope");
    let prepared = signer.prepare(&request, &at(), key.scope()).expect("a request");

    let mark = if subject.query.is_empty() { "" } else { "?" };
    let url = ["https://", subject.host, subject.path, mark, subject.query].concat();
    let identity: Identity = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench").into();
    let mut settings = SigningSettings::default();
    if signer.settings == Settings::S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let by_aws = || by_aws_sigv4(subject, &url, &identity, settings.clone(), black_box(body));

    // Nobody is fast at something else.
    let signed = signer.sign(&request, &at(), &key).expect("a signature");
    let theirs = by_aws();
    let theirs: BTreeMap<_, _> = theirs.headers().collect();
    assert_eq!(theirs, signed.headers().collect(), "aws-sigv4 signs something else");

    let messages = [body, prepared.canonical_request().as_bytes()];
    measure(
        vec![
            Case::floor(&messages, prepared.string_to_sign().as_bytes()),
            Case::floor_from_secret(&messages, prepared.string_to_sign().as_bytes()),
            Case::new(AT_HAND, || signer.sign(black_box(&request), &at(), &key).expect("a signature")),
            Case::new("keyfob, from the date key", || {
                let key = black_box(&date_key).signing_key(REGION, subject.service).expect("a scope");
                signer.sign(black_box(&request), &at(), &key).expect("a signature")
            }),
            Case::new(FROM_SECRET, || {
                let date_key = DateKey::from_secret(black_box(SECRET_ACCESS_KEY.as_bytes()), at());
                let key = date_key.signing_key(REGION, subject.service).expect("a scope");
                signer.sign(black_box(&request), &at(), &key).expect("a signature")
            }),
            Case::new("aws-sigv4, from the secret", by_aws),
        ],
        BATCH,
        ROUNDS,
    )
}

fn by_aws_sigv4(
    subject: &Subject,
    url: &str,
    identity: &Identity,
    settings: SigningSettings,
    body: &[u8],
) -> SigningInstructions {
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(identity)
        .region(REGION)
        .name(subject.service)
        .time(UNIX_EPOCH + Duration::from_secs(black_box(TIME)))
        .settings(settings)
        .build()
        .expect("all is set")
        .into();
    let headers = subject.headers.iter().copied();
    let signable = aws_sigv4::http_request::SignableRequest::new(
        subject.method,
        black_box(url),
        headers,
        SignableBody::Bytes(body),
    );
    sign(signable.expect("a request"), &params).expect("a signature").into_parts().0
}

/// A whole signature on our side, for the body is hashed nowhere else.
fn hashing() -> Measured {
    let body: Vec<u8> = (0..64_u32 << 20).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
    let request = SignableRequest {
        method: "PUT",
        host: PUT.host,
        path: PUT.path,
        query: Query::Sent(""),
        headers: &[],
        payload: Payload::Bytes(&body),
    };
    let signer = Signer::new(ACCESS_KEY_ID, None, "s3");
    let date = AmzDate::from_unix(TIME).expect("a time");
    let key =
        DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), date).signing_key(REGION, "s3").expect("a scope");
    let signed = signer.sign(&request, &date, &key).expect("a signature");
    let hex: String =
        digest::digest(&digest::SHA256, &body).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert!(signed.headers().any(|header| header == ("x-amz-content-sha256", &hex)), "ring hashes otherwise");
    measure(
        vec![
            Case::new("ring", || digest::digest(&digest::SHA256, black_box(&body))),
            Case::new("keyfob", || signer.sign(black_box(&request), &date, &key).expect("a signature")),
        ],
        1,
        30,
    )
}
