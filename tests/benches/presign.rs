//! What a presigned S3 GET costs, side by side with peers in one run.
//!
//! One pinned core; the cases take turns in short batches, so that a busy moment hits all of them; medians of
//! many rounds, and ratios taken round by round. The floor is what nobody can save: one SHA-256 of the canonical
//! request and one HMAC of the string to sign, key schedule kept; its `sha2` and `hmac` erase their state, as the
//! product's do, which costs it about a tenth. Peers get their URL, credentials and settings ready made.
//!
//! Prints a table, and last one line of JSON for programs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity;
use hmac::{Hmac, KeyInit as _, Mac as _};
use keyfob_core::message::Scheme;
use keyfob_core::s3::{Endpoint, ParsedPresign, PresignRequest};
use keyfob_core::sigv4::{AmzDate, DateKey, string_to_sign};
use rusty_s3::S3Action as _;
use sha2::{Digest as _, Sha256};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything to the system's allocator and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller guarantees.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
const BUCKET: &str = "examplebucket";
const KEY: &str = "photos/2006/February/sample.jpg";
const TIME: u64 = 1_369_353_600;
const EXPIRES: u64 = 86_400;

const BATCH: u32 = 32;
const ROUNDS: usize = 3000;

struct Case<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
}

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
    let date_key = DateKey::from_secret(SECRET.as_bytes(), date);
    let key = date_key.signing_key(REGION, "s3").expect("a scope");
    let canonical_request = request.canonical_request().expect("a request");
    let to_sign = string_to_sign(&date, key.scope(), canonical_request.as_bytes());
    let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("any length");

    let base_url = format!("https://{BUCKET}.s3.{REGION}.amazonaws.com/{KEY}");
    let identity: Identity = Credentials::new(ACCESS_KEY_ID, SECRET, None, None, "bench").into();
    let timestamp = jiff::Timestamp::from_second(TIME as i64).expect("a time");
    let rusty_bucket = rusty_s3::Bucket::new(
        format!("https://s3.{REGION}.amazonaws.com").parse().expect("a URL"),
        rusty_s3::UrlStyle::VirtualHost,
        BUCKET,
        REGION,
    )
    .expect("a bucket");
    let rusty_credentials = rusty_s3::Credentials::new(ACCESS_KEY_ID, SECRET);

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

    let mut cases = [
        Case {
            name: "floor",
            run: Box::new(|| {
                black_box(Sha256::digest(black_box(canonical_request.as_bytes())));
                let mut mac = keyed.clone();
                mac.update(black_box(to_sign.as_bytes()));
                black_box(mac.finalize());
            }),
        },
        Case {
            name: "keyfob, signing key at hand",
            run: Box::new(|| {
                black_box(black_box(&request).presign(&key).expect("a link"));
            }),
        },
        Case {
            name: "keyfob, from the date key",
            run: Box::new(|| {
                let key = black_box(&date_key).signing_key(REGION, "s3").expect("a scope");
                black_box(black_box(&request).presign(&key).expect("a link"));
            }),
        },
        Case {
            name: "keyfob, from the secret",
            run: Box::new(|| {
                let date = AmzDate::from_unix(black_box(TIME)).expect("a time");
                let date_key = DateKey::from_secret(black_box(SECRET.as_bytes()), date);
                let key = date_key.signing_key(REGION, "s3").expect("a scope");
                black_box(black_box(&request).presign(&key).expect("a link"));
            }),
        },
        Case {
            name: "keyfob, host's reading of a front end's request",
            run: Box::new(|| {
                let parsed = ParsedPresign::parse(black_box(&canonical_request)).expect("a request");
                black_box(parsed.sign(&key, Scheme::Https).expect("a link"));
            }),
        },
        Case { name: "rusty-s3, from the secret", run: Box::new(|| drop(black_box(by_rusty()))) },
        Case { name: "aws-sigv4, from the secret", run: Box::new(|| drop(black_box(by_aws()))) },
    ];

    let allocations: Vec<u64> = cases
        .iter_mut()
        .map(|case| {
            (case.run)();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            (case.run)();
            ALLOCATIONS.load(Ordering::Relaxed) - before
        })
        .collect();

    let mut times = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for round in 0..ROUNDS + 100 {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..BATCH {
                (case.run)();
            }
            let time = start.elapsed().as_nanos() as f64 / f64::from(BATCH);
            // The first rounds warm caches and clock up.
            if round >= 100 {
                times.push(time);
            }
        }
    }

    println!(
        "Presigning an S3 GET ({} bytes of canonical request), one core, medians of {ROUNDS} rounds",
        canonical_request.len()
    );
    println!("{:<50} {:>9} {:>12} {:>12}", "", "ns", "x floor", "allocations");
    let mut rows = Vec::new();
    for ((case, time), allocations) in cases.iter().zip(&times).zip(&allocations) {
        let (ns, floor) = (median(time.clone()), ratio(time, &times[0]));
        println!("{:<50} {ns:>9.0} {floor:>12.2} {allocations:>12}", case.name);
        rows.push(serde_json::json!({
            "case": case.name, "ns": ns.round(), "x_floor": round2(floor), "allocations": allocations,
        }));
    }
    let aims = [
        ("presign / floor", ratio(&times[1], &times[0]), "at most 1.8"),
        ("aws-sigv4 / from the date key", ratio(&times[6], &times[2]), "at least 3.8"),
        ("rusty-s3 / from the date key", ratio(&times[5], &times[2]), "at least 2.4"),
        ("aws-sigv4 / from the secret", ratio(&times[6], &times[3]), "for comparison"),
        ("rusty-s3 / from the secret", ratio(&times[5], &times[3]), "for comparison"),
    ];
    println!();
    for (name, value, aim) in &aims {
        println!("{name:<50} {value:>9.2}   {aim}");
    }
    let botocore = botocore();
    match botocore {
        Some(us) => println!("{:<50} {:>9.2} µs", "botocore generate_presigned_url", us),
        None => println!(
            "botocore: not measured, for KEYFOB_PYTHON names no Python that has it: cargo xtask bench"
        ),
    }
    let ratios: serde_json::Map<_, _> =
        aims.iter().map(|(name, value, _)| ((*name).to_owned(), round2(*value).into())).collect();
    println!(
        "{}",
        serde_json::json!({ "bench": "presign", "cases": rows, "ratios": ratios, "botocore_us": botocore.map(round2) })
    );
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median of the ratios of each round.
fn ratio(a: &[f64], b: &[f64]) -> f64 {
    median(a.iter().zip(b).map(|(a, b)| a / b).collect())
}

fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Keeps the process on the core it is on.
fn pin() {
    #[cfg(target_os = "linux")]
    {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(rustix::thread::sched_getcpu());
        if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
            eprintln!("not pinned to a core: {error}");
        }
    }
}

/// Microseconds of one `generate_presigned_url`, by its own clock.
fn botocore() -> Option<f64> {
    let python = std::env::var_os("KEYFOB_PYTHON")?;
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_presign.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(b"{\"bench\": 500}\n").ok()?;
    let output = child.wait_with_output().ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    answer.get("microseconds")?.as_f64()
}
