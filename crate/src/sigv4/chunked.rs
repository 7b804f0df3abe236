//! Bodies sent in chunks (`Content-Encoding: aws-chunked`): each chunk signed and chained to the one before, or unsigned
//! with a checksum in a trailer.
//!
//! ```text
//! body     = *( chunk ) last [ trailers ] CRLF
//! chunk    = hex-length [ ";chunk-signature=" signature ] CRLF data CRLF
//! last     = "0" [ ";chunk-signature=" signature ] CRLF
//! trailers = *( name ":" value CRLF ) [ "x-amz-trailer-signature:" signature CRLF ]
//! ```
//!
//! The first signature is chained to that of the request, which is signed with [`super::Payload::Chunked`] and
//! [`ChunkedBody::headers`]. Nothing is buffered: a chunk's data is hashed where it lies.
//!
//! Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and "…:
//! Including Trailing Headers", Amazon S3 API Reference.

use core::fmt;

use super::encode::hex;
use super::hmac::sha256;
use super::{AmzDate, CanonicalRequestError, Signature, SigningKey, check_header};

/// Least length in bytes of all chunks but the last: S3 takes no shorter ones.
pub const MIN_CHUNK: u64 = 8 * 1024;

/// What follows a chunk's data.
pub const CHUNK_END: &[u8; 2] = b"\r\n";

const CHUNK_SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";
/// SHA-256 of nothing.
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What of a chunked body is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunking {
    /// Every chunk.
    Signed,
    /// Every chunk, and the trailers.
    SignedTrailer,
    /// Neither: https protects them, and a checksum among the trailers finds faults.
    UnsignedTrailer,
}

impl Chunking {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Signed, Self::SignedTrailer, Self::UnsignedTrailer];

    /// The payload hash that says so.
    #[must_use]
    pub fn payload_hash(self) -> &'static str {
        match self {
            Self::Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }

    fn is_signed(self) -> bool {
        self != Self::UnsignedTrailer
    }
}

/// The shape of a chunked body: all that must be known before its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkedBody<'a> {
    chunking: Chunking,
    decoded_len: u64,
    chunk_len: u64,
    /// Names, sorted, and lengths of their values.
    trailers: Vec<(&'a str, usize)>,
}

/// Why a body cannot be chunked so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Chunks that S3 would not take.
    #[error("chunks must have {MIN_CHUNK} bytes at least, all but the last one, not {0}")]
    TooSmall(u64),
    /// The body is longer than a length can say.
    #[error("a body of {0} bytes is longer than HTTP can say once it is chunked")]
    TooLong(u64),
    /// Trailers where there can be none, or none where one must be.
    #[error("{} is for bodies {} trailers", .0.payload_hash(), if *.0 == Chunking::Signed { "without" } else { "with" })]
    Trailers(Chunking),
    /// A trailer's name is none.
    #[error(transparent)]
    Name(#[from] CanonicalRequestError),
    /// A trailer that was not announced, was announced twice or with another length, or is not printable.
    #[error("the trailer {0} is not the one that was announced")]
    Trailer(String),
    /// A chunk of another length than announced.
    #[error("the next chunk has {expected} bytes, not {got}")]
    Length {
        /// In bytes; 0 when the body was whole.
        expected: u64,
        /// In bytes.
        got: u64,
    },
    /// The end came too early.
    #[error("{0} bytes of the body are missing")]
    Missing(u64),
}

impl<'a> ChunkedBody<'a> {
    /// A body of `decoded_len` bytes in chunks of `chunk_len`, the last one shorter; `trailers` are names and the lengths
    /// of their values in bytes, in any order.
    ///
    /// # Errors
    /// [`ChunkError::TooSmall`], [`ChunkError::TooLong`], [`ChunkError::Trailers`], [`ChunkError::Name`],
    /// [`ChunkError::Trailer`] if one is announced twice.
    pub fn new(
        chunking: Chunking,
        decoded_len: u64,
        chunk_len: u64,
        trailers: &[(&'a str, usize)],
    ) -> Result<Self, ChunkError> {
        if chunk_len < MIN_CHUNK && chunk_len < decoded_len.max(1) {
            return Err(ChunkError::TooSmall(chunk_len));
        }
        if trailers.is_empty() != (chunking == Chunking::Signed) {
            return Err(ChunkError::Trailers(chunking));
        }
        let mut trailers = trailers.to_vec();
        trailers.sort_unstable();
        for (i, (name, _)) in trailers.iter().enumerate() {
            check_header(name, "")?;
            let twice = trailers.iter().skip(i + 1).any(|(other, _)| other == name);
            // One spelling: it is signed as it is sent.
            if twice || name.bytes().any(|b| b.is_ascii_uppercase()) || *name == TRAILER_SIGNATURE {
                return Err(ChunkError::Trailer((*name).into()));
            }
        }
        let body = Self { chunking, decoded_len, chunk_len, trailers };
        body.encoded_len().ok_or(ChunkError::TooLong(decoded_len))?;
        Ok(body)
    }

    /// Length of the whole in bytes: the Content-Length of the request.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        // That there is one was found out at once.
        self.encoded_len().unwrap_or_default()
    }

    fn encoded_len(&self) -> Option<u64> {
        let signature = if self.chunking.is_signed() { CHUNK_SIGNATURE.len() as u64 + 64 } else { 0 };
        let frame = |len: u64| -> Option<u64> {
            let digits = u64::from(64 - len.leading_zeros()).div_ceil(4).max(1);
            len.checked_add(digits + signature + 2 + 2)
        };
        let whole = self.decoded_len / self.chunk_len.max(1);
        let rest = self.decoded_len % self.chunk_len.max(1);
        let mut total = if whole == 0 { 0 } else { frame(self.chunk_len)?.checked_mul(whole)? };
        if rest > 0 {
            total = total.checked_add(frame(rest)?)?;
        }
        // The line break at the end of the last chunk, which has no data, ends the trailers.
        total = total.checked_add(frame(0)?)?;
        for (name, value) in &self.trailers {
            total = total.checked_add(name.len() as u64 + 1 + 2)?.checked_add(*value as u64)?;
        }
        if self.chunking == Chunking::SignedTrailer {
            total = total.checked_add(TRAILER_SIGNATURE.len() as u64 + 1 + 64 + 2)?;
        }
        Some(total)
    }

    /// What the request must carry besides: to be among the headers that are signed. A content encoding of the object's
    /// own comes behind `aws-chunked`.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let names: Vec<_> = self.trailers.iter().map(|(name, _)| *name).collect();
        let trailer = (!names.is_empty()).then(|| ("x-amz-trailer", names.join(",")));
        [
            ("content-encoding", "aws-chunked".to_string()),
            ("content-length", self.content_length().to_string()),
            ("x-amz-decoded-content-length", self.decoded_len.to_string()),
        ]
        .into_iter()
        .chain(trailer)
        .collect()
    }

    /// Begins the body of a request that `key` signed with `signature` at `date`.
    #[must_use]
    pub fn encoder<'k>(
        self,
        date: AmzDate,
        key: &'k SigningKey,
        signature: &Signature,
    ) -> ChunkEncoder<'a, 'k> {
        ChunkEncoder { rest: self.decoded_len, body: self, date, key, previous: *signature }
    }
}

/// Encodes a body, chunk by chunk.
///
/// ```
/// use keyfob_core::sigv4::{AmzDate, CHUNK_END, ChunkedBody, Chunking, DateKey, Payload, Query, SignableRequest, Signer};
///
/// let date = AmzDate::parse("20130524T000000Z")?;
/// let key = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date).signing_key("us-east-1", "s3")?;
/// let data = [b'a'; 66_560];
/// let body = ChunkedBody::new(Chunking::Signed, data.len() as u64, 65_536, &[])?;
/// let more = body.headers();
/// let headers: Vec<_> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
/// let request = SignableRequest {
///     method: "PUT",
///     host: "s3.amazonaws.com",
///     path: "/examplebucket/chunkObject.txt",
///     query: Query::Sent(""),
///     headers: &headers,
///     payload: Payload::Chunked(Chunking::Signed),
/// };
/// let signed = Signer::new("AKIAIOSFODNN7EXAMPLE", None, "s3").sign(&request, &date, &key)?;
/// let length = body.content_length();
/// let mut encoder = body.encoder(date, &key, signed.signature());
/// let mut sent = Vec::new();
/// for chunk in data.chunks(65_536) {
///     sent.extend_from_slice(encoder.chunk(chunk)?.as_bytes());
///     sent.extend_from_slice(chunk);
///     sent.extend_from_slice(CHUNK_END);
/// }
/// sent.extend_from_slice(&encoder.finish(&[])?);
/// assert_eq!(sent.len() as u64, length);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ChunkEncoder<'a, 'k> {
    body: ChunkedBody<'a>,
    date: AmzDate,
    key: &'k SigningKey,
    previous: Signature,
    /// Bytes that are still to come.
    rest: u64,
}

impl ChunkEncoder<'_, '_> {
    /// What stands before a chunk's data; after it stands [`CHUNK_END`].
    ///
    /// # Errors
    /// [`ChunkError::Length`] if it is not as long as the next chunk must be.
    pub fn chunk(&mut self, data: &[u8]) -> Result<ChunkHeader, ChunkError> {
        let (expected, got) = (self.body.chunk_len.min(self.rest), data.len() as u64);
        if got != expected || got == 0 {
            return Err(ChunkError::Length { expected, got });
        }
        self.rest -= got;
        Ok(self.header(data))
    }

    /// The end of the body: the last chunk, and the trailers with their values.
    ///
    /// # Errors
    /// [`ChunkError::Missing`] if chunks are missing, [`ChunkError::Trailer`] for trailers other than those announced.
    pub fn finish(mut self, trailers: &[(&str, &str)]) -> Result<Vec<u8>, ChunkError> {
        if self.rest > 0 {
            return Err(ChunkError::Missing(self.rest));
        }
        let other =
            trailers.iter().find(|(name, _)| !self.body.trailers.iter().any(|(known, _)| known == name));
        if let Some((name, _)) = other {
            return Err(ChunkError::Trailer((*name).into()));
        }
        let mut out = self.header(&[]).as_bytes().to_vec();
        let mut canonical = Vec::new();
        for (name, len) in &self.body.trailers {
            let mut values = trailers.iter().filter(|(given, _)| given == name).map(|(_, value)| *value);
            let value = values
                .next()
                .filter(|value| value.len() == *len && value.bytes().all(|b| b.is_ascii_graphic()))
                .filter(|_| values.next().is_none())
                .ok_or_else(|| ChunkError::Trailer((*name).into()))?;
            for (to, end) in [(&mut out, &b"\r\n"[..]), (&mut canonical, b"\n")] {
                to.extend_from_slice(name.as_bytes());
                to.push(b':');
                to.extend_from_slice(value.as_bytes());
                to.extend_from_slice(end);
            }
        }
        if self.body.chunking == Chunking::SignedTrailer {
            let signature = self.sign("AWS4-HMAC-SHA256-TRAILER", &[&hex(&sha256(&canonical))]);
            out.extend_from_slice(TRAILER_SIGNATURE.as_bytes());
            out.push(b':');
            out.extend_from_slice(&signature.to_hex());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }

    fn header(&mut self, data: &[u8]) -> ChunkHeader {
        let mut header = ChunkHeader { text: [0; ChunkHeader::MAX_LEN], len: 0 };
        header.put(format!("{:x}", data.len()).as_bytes());
        if self.body.chunking.is_signed() {
            let hash = hex(&sha256(data));
            self.previous = self.sign("AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_HASH.as_bytes(), &hash]);
            header.put(CHUNK_SIGNATURE.as_bytes());
            header.put(&self.previous.to_hex());
        }
        header.put(b"\r\n");
        header
    }

    /// Signs what is chained to the signature before.
    fn sign(&self, algorithm: &str, hashes: &[&[u8]]) -> Signature {
        let scope = self.key.scope();
        let mut text = Vec::with_capacity(320);
        text.extend_from_slice(algorithm.as_bytes());
        for part in [self.date.as_bytes().as_slice(), scope.as_bytes(), &self.previous.to_hex()]
            .into_iter()
            .chain(hashes.iter().copied())
        {
            text.push(b'\n');
            text.extend_from_slice(part);
        }
        self.key.sign_text(&text)
    }
}

/// What stands before a chunk's data.
#[derive(Clone, Copy)]
pub struct ChunkHeader {
    text: [u8; Self::MAX_LEN],
    len: usize,
}

impl ChunkHeader {
    /// Longest header in bytes.
    pub const MAX_LEN: usize = 16 + CHUNK_SIGNATURE.len() + 64 + 2;

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, part: &[u8]) {
        if let Some(to) = self.text.get_mut(self.len..self.len + part.len()) {
            to.copy_from_slice(part);
            self.len += part.len();
        }
    }
}

impl fmt::Debug for ChunkHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkHeader({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::{DateKey, Payload, Query, SignableRequest, Signer};
    use proptest::prelude::*;

    fn key() -> (AmzDate, SigningKey) {
        let date = AmzDate::parse("20130524T000000Z").unwrap();
        let day = DateKey::from_secret(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date);
        (date, day.signing_key("us-east-1", "s3").unwrap())
    }

    /// All of a body, from the request's signature on.
    fn encode(
        body: ChunkedBody<'_>,
        signature: &Signature,
        data: &[u8],
        trailers: &[(&str, &str)],
    ) -> Result<Vec<u8>, ChunkError> {
        let (date, key) = key();
        let chunk_len = usize::try_from(body.chunk_len).unwrap();
        let mut encoder = body.encoder(date, &key, signature);
        let mut out = Vec::new();
        for chunk in data.chunks(chunk_len) {
            out.extend_from_slice(encoder.chunk(chunk)?.as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(CHUNK_END);
        }
        out.extend_from_slice(&encoder.finish(trailers)?);
        Ok(out)
    }

    /// The two examples of the reference: 65 KiB of `a` in chunks of 64 KiB.
    #[test]
    fn examples_of_the_reference() {
        #[track_caller]
        fn check(
            chunking: Chunking,
            announced: &[(&str, usize)],
            headers: &[(&str, &str)],
            trailers: &[(&str, &str)],
            seed: &str,
            signatures: [&str; 3],
            end: &str,
        ) {
            let data = [b'a'; 66_560];
            let body = ChunkedBody::new(chunking, data.len() as u64, 65_536, announced).unwrap();
            let request = SignableRequest {
                method: "PUT",
                host: "s3.amazonaws.com",
                path: "/examplebucket/chunkObject.txt",
                query: Query::Sent(""),
                headers,
                payload: Payload::Chunked(chunking),
            };
            let (date, key) = key();
            let signed = Signer::new("AKIAIOSFODNN7EXAMPLE", None, "s3").sign(&request, &date, &key).unwrap();
            assert_eq!(signed.signature().to_string(), seed);
            let length = body.content_length();
            let out = String::from_utf8(encode(body, signed.signature(), &data, trailers).unwrap()).unwrap();
            assert_eq!(out.len() as u64, length);
            let [first, second, last] = signatures;
            let expected = format!(
                "10000;chunk-signature={first}\r\n{}\r\n400;chunk-signature={second}\r\n{}\r\n\
                 0;chunk-signature={last}\r\n{end}\r\n",
                "a".repeat(65_536),
                "a".repeat(1024)
            );
            assert!(out == expected, "{}", &out[out.len() - 300..]);
        }
        let common = [("content-encoding", "aws-chunked"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        let decoded = ("x-amz-decoded-content-length", "66560");
        check(
            Chunking::Signed,
            &[],
            &[&common[..], &[("content-length", "66824"), decoded]].concat(),
            &[],
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            [
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ],
            "",
        );
        check(
            Chunking::SignedTrailer,
            &[("x-amz-checksum-crc32c", 8)],
            &[&common[..], &[decoded, ("x-amz-trailer", "x-amz-checksum-crc32c")]].concat(),
            &[("x-amz-checksum-crc32c", "sOO8/Q==")],
            "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
            [
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
            ],
            "x-amz-checksum-crc32c:sOO8/Q==\r\n\
             x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
        );
    }

    #[test]
    fn unsigned_chunks() {
        let body = ChunkedBody::new(Chunking::UnsignedTrailer, 3, MIN_CHUNK, &[("x-amz-checksum-crc32", 8)])
            .unwrap();
        assert_eq!(
            body.headers(),
            [
                ("content-encoding", "aws-chunked".into()),
                ("content-length", body.content_length().to_string()),
                ("x-amz-decoded-content-length", "3".into()),
                ("x-amz-trailer", "x-amz-checksum-crc32".into()),
            ]
        );
        let length = body.content_length();
        let out =
            encode(body, &Signature::from_bytes([0; 32]), b"abc", &[("x-amz-checksum-crc32", "NSRBwg==")]);
        let out = out.unwrap();
        assert_eq!(out, b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n");
        assert_eq!(length, out.len() as u64);
    }

    #[test]
    fn bodies_that_cannot_be() {
        #[track_caller]
        fn check(
            chunking: Chunking,
            decoded_len: u64,
            chunk_len: u64,
            trailers: &[(&str, usize)],
            expected: ChunkError,
        ) {
            assert_eq!(ChunkedBody::new(chunking, decoded_len, chunk_len, trailers), Err(expected));
        }
        use Chunking::{Signed, SignedTrailer, UnsignedTrailer};
        check(Signed, 0, 0, &[], ChunkError::TooSmall(0));
        check(Signed, 9000, 8191, &[], ChunkError::TooSmall(8191));
        check(Signed, u64::MAX, MIN_CHUNK, &[], ChunkError::TooLong(u64::MAX));
        check(Signed, 1, MIN_CHUNK, &[("a", 1)], ChunkError::Trailers(Signed));
        check(SignedTrailer, 1, MIN_CHUNK, &[], ChunkError::Trailers(SignedTrailer));
        check(UnsignedTrailer, 1, MIN_CHUNK, &[], ChunkError::Trailers(UnsignedTrailer));
        check(SignedTrailer, 1, MIN_CHUNK, &[("a", 1), ("a", 1)], ChunkError::Trailer("a".into()));
        check(SignedTrailer, 1, MIN_CHUNK, &[("A", 1)], ChunkError::Trailer("A".into()));
        check(
            SignedTrailer,
            1,
            MIN_CHUNK,
            &[(TRAILER_SIGNATURE, 64)],
            ChunkError::Trailer(TRAILER_SIGNATURE.into()),
        );
        let name = CanonicalRequestError::Name("a b".into());
        check(SignedTrailer, 1, MIN_CHUNK, &[("a b", 1)], ChunkError::Name(name));
        assert!(ChunkedBody::new(Signed, 100, 100, &[]).is_ok(), "one chunk may be of any length");
    }

    #[test]
    fn what_was_announced_must_come() {
        let (date, key) = key();
        let seed = Signature::from_bytes([0; 32]);
        let body = || ChunkedBody::new(Chunking::SignedTrailer, 10_000, MIN_CHUNK, &[("t", 2)]).unwrap();
        let mut encoder = body().encoder(date, &key, &seed);
        let error = |encoder: &mut ChunkEncoder<'_, '_>, data: &[u8]| encoder.chunk(data).unwrap_err();
        assert_eq!(error(&mut encoder, &[]), ChunkError::Length { expected: MIN_CHUNK, got: 0 });
        assert_eq!(error(&mut encoder, &[0; 100]), ChunkError::Length { expected: MIN_CHUNK, got: 100 });
        encoder.chunk(&[0; 8192]).unwrap();
        assert_eq!(error(&mut encoder, &[0; 1809]), ChunkError::Length { expected: 1808, got: 1809 });
        assert_eq!(encoder.finish(&[("t", "ab")]), Err(ChunkError::Missing(1808)));
        let trailers: [&[(&str, &str)]; 6] = [
            &[],
            &[("t", "abc")],
            &[("t", "\r\n")],
            &[("t", "ab"), ("t", "ab")],
            &[("u", "ab")],
            &[("T", "ab")],
        ];
        for trailers in trailers {
            let got = encode(body(), &seed, &[0; 10_000], trailers);
            assert!(matches!(got, Err(ChunkError::Trailer(_))), "{trailers:?}");
        }
    }

    proptest! {
        #[test]
        fn the_length_is_known_beforehand(len in 0_usize..40_000, chunk_len in MIN_CHUNK..20_000, value in "[!-~]{0,50}") {
            for chunking in [Chunking::Signed, Chunking::SignedTrailer, Chunking::UnsignedTrailer] {
                let with = chunking != Chunking::Signed;
                let announced = if with { vec![("x-b", value.len()), ("x-a", 1)] } else { vec![] };
                let trailers = if with { vec![("x-b", value.as_str()), ("x-a", "1")] } else { vec![] };
                let body = ChunkedBody::new(chunking, len as u64, chunk_len, &announced).unwrap();
                let length = body.content_length();
                let out = encode(body, &Signature::from_bytes([7; 32]), &vec![b'x'; len], &trailers).unwrap();
                prop_assert_eq!(out.len() as u64, length);
            }
        }
    }
}
