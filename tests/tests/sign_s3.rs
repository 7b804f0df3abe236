//! Requests signed in their headers, and bodies in chunks, against a real S3 server that verifies signatures.

use keyfob_core::sigv4::{
    AmzDate, CHUNK_END, ChunkedBody, Chunking, DateKey, Payload, Query, SignableRequest, Signer, Url,
};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::s3s::S3s;
use sha2::{Digest as _, Sha256};
use ureq::Agent;

const BUCKET: &str = "test-bucket";
const REGION: &str = "eu-west-1";
const CHUNK: usize = 8192;

struct Fixture {
    server: S3s,
    agent: Agent,
}

impl Fixture {
    fn new() -> Self {
        let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { server, agent }
    }

    /// Status and answer of a PUT; `body` makes it from what was signed.
    fn put(
        &self,
        key: &str,
        headers: &[(&str, &str)],
        payload: Payload<'_>,
        body: impl FnOnce(&keyfob_core::sigv4::SignedHeaders<'_>, AmzDate) -> Vec<u8>,
    ) -> (u16, String) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let date = AmzDate::from_unix(now).unwrap();
        let key_of_day = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), date);
        let url = Url::parse(&format!("{}/{BUCKET}/{key}", self.server.endpoint())).unwrap();
        let request = SignableRequest {
            method: "PUT",
            host: url.host(),
            path: url.path(),
            query: Query::Sent(url.query()),
            headers,
            payload,
        };
        let signer = Signer::new(ACCESS_KEY_ID, None, "s3");
        let signed = signer.sign(&request, &date, &key_of_day.signing_key(REGION, "s3").unwrap()).unwrap();
        let mut sent = self.agent.put(url.to_string());
        let own: Vec<(&str, &str)> = signed.headers().collect();
        for (name, value) in headers.iter().chain(&own) {
            // The client sets that one itself, from the body.
            if *name != "content-length" {
                sent = sent.header(*name, *value);
            }
        }
        let mut response = sent.send(&body(&signed, date)[..]).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// In chunks; `change` spoils the body once it is signed.
    fn put_chunked(
        &self,
        key: &str,
        chunking: Chunking,
        data: &[u8],
        change: fn(&mut Vec<u8>),
    ) -> (u16, String) {
        let checksum = base64(&Sha256::digest(data));
        let trailers = [("x-amz-checksum-sha256", checksum.as_str())];
        let trailers = if chunking == Chunking::Signed { &[][..] } else { &trailers };
        let announced: Vec<_> = trailers.iter().map(|(name, value)| (*name, value.len())).collect();
        let shape = ChunkedBody::new(chunking, data.len() as u64, CHUNK as u64, &announced).unwrap();
        let headers = shape.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.put(key, &headers, Payload::Chunked(chunking), |signed, date| {
            let signing_key =
                DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), date).signing_key(REGION, "s3").unwrap();
            let mut encoder = shape.encoder(date, &signing_key, signed.signature());
            let mut out = Vec::new();
            for chunk in data.chunks(CHUNK) {
                out.extend_from_slice(encoder.chunk(chunk).unwrap().as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(CHUNK_END);
            }
            out.extend_from_slice(&encoder.finish(trailers).unwrap());
            change(&mut out);
            out
        })
    }
}

/// Base64, the plain way.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().chain(&[0, 0]).take(3).fold(0, |n, byte| n << 8 | usize::from(*byte));
        for i in 0..4 {
            let digit = DIGITS[number >> (18 - 6 * i) & 63];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[test]
fn signed_requests_are_taken_and_changed_ones_are_not() {
    let fixture = Fixture::new();
    let headers = [("x-amz-meta-a", "  two   words "), ("content-type", "text/plain")];
    let check = |key: &str, payload: Payload<'_>, body: &'static [u8], good: bool| {
        let (status, answer) = fixture.put(key, &headers, payload, |_, _| body.to_vec());
        assert!(if good { status == 200 } else { status >= 400 }, "{key}: {status} {answer}");
        let stored = std::fs::read(fixture.server.file(BUCKET, key)).ok();
        assert_eq!(stored.as_deref(), good.then_some(body), "{key}");
    };
    check("plain", Payload::Bytes(b"content"), b"content", true);
    check("a b/(ü)+~", Payload::Unsigned, b"content", true);
    check("changed", Payload::Bytes(b"content"), b"contemt", false);
}

#[test]
fn chunks_are_taken_and_changed_ones_are_not() {
    let fixture = Fixture::new();
    let data: Vec<u8> = (0..2 * CHUNK + 100).map(|i| (i % 251) as u8).collect();
    for (name, chunking) in [
        ("signed", Chunking::Signed),
        ("signed-trailer", Chunking::SignedTrailer),
        ("unsigned-trailer", Chunking::UnsignedTrailer),
    ] {
        let (status, answer) = fixture.put_chunked(name, chunking, &data, |_| {});
        assert_eq!(status, 200, "{name}: {answer}");
        assert_eq!(std::fs::read(fixture.server.file(BUCKET, name)).unwrap(), data, "{name}");
        // A byte in the second chunk; then one of the trailer, or of the last signature.
        let changes: [fn(&mut Vec<u8>); 2] = [
            |body| body[CHUNK + 300] ^= 1,
            |body| {
                let at = body.len() - 8;
                body[at] ^= 1;
            },
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let key = format!("{name}-{i}");
            let (status, answer) = fixture.put_chunked(&key, chunking, &data, change);
            // It answers 500 to what is wrong in the middle of a body.
            assert!(status >= 400, "{key}: {status} {answer}");
            // A checksum it compares when the file is there already.
            let stored = fixture.server.file(BUCKET, &key).exists();
            assert!(!stored || chunking == Chunking::UnsignedTrailer, "{key}");
        }
    }
}
