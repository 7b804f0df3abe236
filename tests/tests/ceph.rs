//! Every signed form against Ceph's gateway, a server that is not ours and verifies all of them: taken when right, refused when
//! any bit is changed, late, or too early.

use hmac::{Hmac, KeyInit as _, Mac as _};
use keyfob_core::message::{Scheme, SignatureVersion};
use keyfob_core::s3::{Condition, Endpoint, PostForm, PostKey, PostPolicy, PresignRequest};
use keyfob_core::sigv2::{self, When};
use keyfob_core::sigv4::{
    AmzDate, CHUNK_END, ChunkedBody, Chunking, DateKey, Payload, Query, SignableRequest, SignedHeaders,
    Signer, SigningKey, encode_path, encode_query,
};
use keyfob_tests::ceph::Ceph;
use keyfob_tests::http::{self, Answer};
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::s3s::S3s;
use sha1::Sha1;

const BUCKET: &str = "test-bucket";
const REGION: &str = "eu-west-1";

/// Who signs.
#[derive(Debug, Clone)]
struct Credentials {
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Link,
    Headers,
    LinkV2,
    HeadersV2,
}

const FORMS: [Form; 4] = [Form::Link, Form::Headers, Form::LinkV2, Form::HeadersV2];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    method: &'a str,
    /// Empty for the bucket.
    key: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    /// When it is signed; links are for an hour.
    time: u64,
}

/// A request with its signature.
#[derive(Debug, Clone)]
struct Signed {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

const HOUR: u64 = 3600;

fn get(key: &str) -> Request<'_> {
    Request { method: "GET", key, query: &[], headers: &[], body: b"", time: now() }
}

fn put<'a>(key: &'a str, body: &'a [u8]) -> Request<'a> {
    Request { method: "PUT", body, ..get(key) }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

impl Credentials {
    fn date_key(&self, time: u64) -> DateKey {
        DateKey::from_secret(self.secret.as_bytes(), AmzDate::from_unix(time).unwrap())
    }

    fn signing_key(&self, time: u64, service: &str) -> SigningKey {
        self.date_key(time).signing_key(REGION, service).unwrap()
    }

    /// HMAC-SHA1, as a key calculates it.
    fn sign_v2(&self, string_to_sign: &str) -> [u8; sigv2::SIGNATURE_LEN] {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(string_to_sign.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn sign(&self, form: Form, endpoint: &Endpoint, request: &Request<'_>) -> Signed {
        match form {
            Form::Link => self.link(endpoint, request, HOUR),
            Form::Headers => {
                self.headers(endpoint, request, Payload::Bytes(request.body), |_, _| request.body.into())
            }
            Form::LinkV2 => self.v2(endpoint, request, When::Expires(request.time + HOUR)),
            Form::HeadersV2 => {
                let date = AmzDate::from_unix(request.time).unwrap().to_http_date();
                self.v2(endpoint, request, When::Date(&date))
            }
        }
    }

    fn link(&self, endpoint: &Endpoint, request: &Request<'_>, expires: u64) -> Signed {
        let Request { method, key, query, headers, time, .. } = *request;
        let presign = PresignRequest {
            method,
            endpoint,
            bucket: BUCKET,
            key,
            access_key_id: &self.access_key_id,
            time,
            expires,
            session_token: self.session_token.as_deref(),
            version_id: None,
            query,
            headers,
        };
        let url = presign.presign(&self.signing_key(time, "s3")).unwrap();
        request.signed(url, headers.iter().copied().map(owned).collect())
    }

    /// `body` may depend on what was signed.
    fn headers(
        &self,
        endpoint: &Endpoint,
        request: &Request<'_>,
        payload: Payload<'_>,
        body: impl FnOnce(&SignedHeaders<'_>, AmzDate) -> Vec<u8>,
    ) -> Signed {
        let (host, path) = request.place(endpoint);
        let signable = SignableRequest {
            method: request.method,
            host: &host,
            path: &path,
            query: Query::Pairs(request.query),
            headers: request.headers,
            payload,
        };
        let date = AmzDate::from_unix(request.time).unwrap();
        let signer = Signer::new(&self.access_key_id, self.session_token.as_deref(), "s3");
        let signed = signer.sign(&signable, &date, &self.signing_key(request.time, "s3")).unwrap();
        let headers = request.headers.iter().copied().map(owned).chain(signed.headers().map(owned)).collect();
        let url = format!("http://{host}{path}{}", request.query_string());
        Signed { body: body(&signed, date), ..request.signed(url, headers) }
    }

    fn v2(&self, endpoint: &Endpoint, request: &Request<'_>, when: When<'_>) -> Signed {
        let (host, path) = request.place(endpoint);
        let query: Vec<_> = request
            .query
            .iter()
            .map(|(name, value)| (*name, Some(*value).filter(|v| !v.is_empty())))
            .collect();
        let v2 = sigv2::S3Request {
            method: request.method,
            bucket: if endpoint.is_virtual_hosted() { BUCKET } else { "" },
            path: &path,
            query: &query,
            headers: request.headers,
            session_token: self.session_token.as_deref(),
        };
        let signature = self.sign_v2(&v2.string_to_sign(when).unwrap());
        let mut headers: Vec<_> = request.headers.iter().copied().map(owned).collect();
        let url = match when {
            When::Expires(at) => v2.link(Scheme::Http, &host, &self.access_key_id, at, &signature),
            When::Date(date) => {
                headers.push(owned(("date", date)));
                headers
                    .push(owned(("authorization", &sigv2::authorization(&self.access_key_id, &signature))));
                headers.extend(
                    self.session_token.as_deref().map(|token| owned(("x-amz-security-token", token))),
                );
                format!("http://{host}{path}{}", request.query_string())
            }
        };
        request.signed(url, headers)
    }
}

impl Request<'_> {
    fn signed(&self, url: String, headers: Vec<(String, String)>) -> Signed {
        Signed { method: self.method.into(), url, headers, body: self.body.into() }
    }

    /// Host and path, encoded.
    fn place(&self, endpoint: &Endpoint) -> (String, String) {
        let mut path = b"/".to_vec();
        let mut host = endpoint.authority().to_owned();
        if endpoint.is_virtual_hosted() {
            host.insert_str(0, &format!("{BUCKET}."));
        } else {
            path.extend_from_slice(BUCKET.as_bytes());
            path.extend_from_slice(if self.key.is_empty() { b"" } else { b"/" });
        }
        encode_path(&mut path, self.key.as_bytes());
        (host, String::from_utf8(path).unwrap())
    }

    fn query_string(&self) -> String {
        let mut out = Vec::new();
        for (i, (name, value)) in self.query.iter().enumerate() {
            out.push(if i == 0 { b'?' } else { b'&' });
            encode_query(&mut out, name.as_bytes());
            if !value.is_empty() {
                out.push(b'=');
                encode_query(&mut out, value.as_bytes());
            }
        }
        String::from_utf8(out).unwrap()
    }
}

fn alice() -> Credentials {
    Credentials { access_key_id: ACCESS_KEY_ID.into(), secret: SECRET_ACCESS_KEY.into(), session_token: None }
}

/// A gateway with one user and one bucket.
struct Fixture {
    server: Ceph,
    /// With the bucket in the path.
    endpoint: Endpoint,
    alice: Credentials,
}

impl Fixture {
    fn new() -> Self {
        let server = Ceph::with_bucket(BUCKET).unwrap();
        let alice = alice();
        let endpoint = Endpoint::custom(&server.endpoint(), REGION).unwrap();
        Self { server, endpoint, alice }
    }

    #[track_caller]
    fn send(&self, signed: &Signed) -> Answer {
        let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        http::send(self.server.port(), &signed.method, &signed.url, &headers, &signed.body).unwrap()
    }

    fn sign(&self, form: Form, request: &Request<'_>) -> Signed {
        self.alice.sign(form, &self.endpoint, request)
    }

    /// The answer to what must succeed.
    #[track_caller]
    fn taken(&self, form: Form, request: &Request<'_>) -> Answer {
        let signed = self.sign(form, request);
        let answer = self.send(&signed);
        assert!(
            matches!(answer.status, 200 | 204),
            "{form:?} {signed:?}: {} {}",
            answer.status,
            answer.text()
        );
        answer
    }
}

/// Every text that differs in one bit of one byte and is printable, with the byte's place.
fn changes(text: &str) -> impl Iterator<Item = (usize, String)> {
    (0..text.len()).flat_map(move |at| {
        (0..7).filter_map(move |bit| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let changed = bytes[at].is_ascii_graphic();
            changed.then(|| (at, String::from_utf8(bytes).unwrap()))
        })
    })
}

/// A change that makes no other request, or that this server does not mind.
struct Exception {
    forms: &'static [Form],
    /// Of the text that is not changed yet: what stands before the byte, and from it on.
    applies: fn(&str, &str) -> bool,
    /// Of the change itself, by what it makes of the byte.
    case_only: bool,
    why: &'static str,
}

/// Two characters after a percent sign.
fn is_percent_digit(before: &str) -> bool {
    before.ends_with('%') || before.len() > 1 && before[..before.len() - 1].ends_with('%')
}

const EXCEPTIONS: [Exception; 4] = [
    Exception {
        forms: &[Form::Link, Form::Headers],
        applies: |before, _| is_percent_digit(before),
        case_only: true,
        why: "%c3 and %C3 are the same byte (RFC 3986, section 6.2.2.1), and Version 4 signs what is decoded",
    },
    Exception {
        forms: &[Form::LinkV2, Form::HeadersV2],
        applies: |before, _| before.contains('?') && is_percent_digit(before),
        case_only: true,
        why: "the same; but Version 2 signs the path as it is sent, and only the query decoded",
    },
    Exception {
        forms: &[Form::Link],
        applies: |before, after| {
            let at = before.rfind('&').map_or("", |at| &before[at..]);
            "&X-Amz-Signature="
                .strip_prefix(at)
                .is_some_and(|rest| (2..11).contains(&rest.len()) && after.starts_with(rest))
        },
        case_only: true,
        why: "the gateway looks for its own parameters whatever their case; the signature's name is not signed",
    },
    Exception {
        forms: &[Form::Headers],
        applies: |before, _| before == "AWS4-HMAC-SHA256",
        case_only: false,
        why: "the gateway skips one byte between the algorithm and what follows it",
    },
];

impl Fixture {
    /// Changes every bit of the path, the query, the headers' values and, where it is signed, of the body; and takes away every
    /// header. All that must be refused, but for the exceptions, which must be taken. Says which of these there were.
    #[track_caller]
    fn refuses_every_change(
        &self,
        who: &Credentials,
        form: Form,
        request: &Request<'_>,
    ) -> Vec<&'static str> {
        let right = who.sign(form, &self.endpoint, request);
        let mut met = Vec::new();
        let mut check = |changed: &Signed, exception: Option<&Exception>| {
            let status = self.send(changed).status;
            met.extend(exception.map(|exception| exception.why));
            let why = exception.map_or("", |exception| exception.why);
            // 501 to a method that it knows no such body for.
            assert!(matches!(status, 200 | 400..=499 | 501), "{form:?} {changed:?}: {status}");
            assert_eq!(status == 200, exception.is_some(), "{form:?} {changed:?}: {status} {why}");
        };
        let exception = |text: &str, at: usize, changed: &str| {
            let (from, to) = (&text[at..=at], &changed[at..=at]);
            EXCEPTIONS.iter().find(|exception| {
                exception.forms.contains(&form)
                    && (exception.applies)(&text[..at], &text[at..])
                    && (!exception.case_only || from.eq_ignore_ascii_case(to))
            })
        };
        // Without its first slash it would be no path.
        let target = right.url.find(BUCKET).unwrap();
        let (server, target) = right.url.split_at(target);
        for (at, changed) in changes(target) {
            let url = [server, &changed].concat();
            check(&Signed { url, ..right.clone() }, exception(target, at, &changed));
        }
        for (i, (name, value)) in right.headers.iter().enumerate() {
            for (at, changed) in changes(value) {
                let mut headers = right.headers.clone();
                headers[i].1.clone_from(&changed);
                check(&Signed { headers, ..right.clone() }, exception(value, at, &changed));
            }
            // A length is sent in any case.
            if name != "content-length" {
                let mut headers = right.headers.clone();
                headers.remove(i);
                check(&Signed { headers, ..right.clone() }, None);
            }
        }
        let hashed = form == Form::Headers || request.headers.iter().any(|(name, _)| *name == "content-md5");
        for at in (0..request.body.len()).filter(|_| hashed) {
            let mut body = right.body.clone();
            body[at] ^= 1;
            check(&Signed { body, ..right.clone() }, None);
        }
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            if method != request.method {
                check(&Signed { method: method.into(), ..right.clone() }, None);
            }
        }
        // Last, for it may be taken once only.
        assert_eq!(self.send(&right).status, 200, "{form:?} {right:?}");
        met
    }
}

#[test]
fn requests_are_refused_once_a_bit_is_changed() {
    let fixture = Fixture::new();
    let key = "x y/ü+%.txt";
    fixture.taken(Form::Link, &put(key, b"content"));
    let upload = [
        ("content-length", "8"),
        ("content-md5", "v180YZVsj0q518CHfBUFrQ=="),
        ("content-type", "text/x-test"),
        ("x-amz-acl", "private"),
        ("x-amz-checksum-sha256", "PO8bJF1LLzfa3dy623YBfUQLooNgEihyTAyywH01vtQ="),
        ("x-amz-meta-note", "two words"),
        ("x-amz-tagging", "who=a%20b&c="),
    ];
    let check = &|form: Form| {
        let query = [("response-content-type", "text/x-a")];
        let headers = [("x-amz-meta-a", "two words"), ("content-type", "text/plain")];
        let download = Request { query: &query, headers: &headers, ..get(key) };
        let mut met = fixture.refuses_every_change(&fixture.alice, form, &download);
        // What is no sub-resource Version 2 does not sign, nor lengths.
        let upload = if matches!(form, Form::Link | Form::Headers) {
            let list = Request { query: &[("prefix", "x y/")], ..get("") };
            met.extend(fixture.refuses_every_change(&fixture.alice, form, &list));
            &upload[..]
        } else {
            &upload[1..]
        };
        let key = format!("{form:?}");
        met.extend(fixture.refuses_every_change(
            &fixture.alice,
            form,
            &Request { headers: upload, ..put(&key, b"uploaded") },
        ));
        assert_eq!(fixture.taken(form, &get(&key)).body, b"uploaded");
        met
    };
    let met: Vec<_> = std::thread::scope(|scope| {
        let checks = FORMS.map(|form| scope.spawn(move || check(form)));
        checks.into_iter().flat_map(|check| check.join().unwrap()).collect()
    });
    for Exception { why, .. } in EXCEPTIONS {
        assert!(met.contains(&why), "{why}");
    }
}

#[test]
fn every_byte_of_a_key_stays() {
    let fixture = Fixture::new();
    let domain = format!("http://{}:{}", Ceph::DOMAIN, fixture.server.port());
    let host = Endpoint::custom(&domain, REGION).unwrap().virtual_hosted().unwrap();
    let longest = "k".repeat(1024);
    let keys = [
        "a",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a/./b",
        "~",
        "a b",
        " ",
        "a+b%20%2F",
        "!*'()&=?#;:@,$[]{}|^`\"<>\\",
        "tab\there\u{1}",
        "ü 日本語 🔑",
        "?uploads",
        &longest,
    ];
    for form in FORMS {
        for endpoint in [&fixture.endpoint, &host] {
            for key in keys {
                let content = format!("{form:?} of {key}");
                let mut asked = Vec::new();
                for request in
                    [put(key, content.as_bytes()), get(key), Request { method: "HEAD", ..get(key) }]
                {
                    let signed = fixture.alice.sign(form, endpoint, &request);
                    let answer = fixture.send(&signed);
                    assert_eq!(answer.status, 200, "{signed:?} {}", answer.text());
                    asked.push(answer);
                }
                assert_eq!(asked[1].text(), content);
                assert_eq!(asked[2].header("content-length"), content.len().to_string());
            }
        }
    }
    // It has these keys, and no others that it took them for.
    let list = Request { query: &[("list-type", "2"), ("encoding-type", "url")], ..get("") };
    let mut expected = keys.map(str::to_owned);
    expected.sort();
    for form in FORMS {
        let text = fixture.taken(form, &list).text();
        let mut found: Vec<_> = all(&text, "Key").into_iter().map(decoded).collect();
        found.sort();
        assert_eq!(found, expected, "{form:?}");
    }
}

/// What is percent-encoded, and in XML.
fn decoded(text: &str) -> String {
    let text = text.replace("&apos;", "'");
    let mut bytes = Vec::new();
    for (i, part) in text.split('%').enumerate() {
        let (digits, rest) = if i == 0 { ("", part) } else { part.split_at(2) };
        bytes.extend(u8::from_str_radix(digits, 16).ok());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// The contents of all elements of that name.
fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(open.as_str()).skip(1).filter_map(|rest| Some(rest.split_once(close.as_str())?.0)).collect()
}

#[test]
fn every_operation_in_every_form() {
    let fixture = Fixture::new();
    let enable = b"<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Status>Enabled</Status></VersioningConfiguration>";
    fixture.taken(Form::Headers, &Request { query: &[("versioning", "")], ..put("", enable) });
    for form in FORMS {
        // What an upload says of the object is what it is then like.
        let headers = [
            ("content-type", "text/x-test"),
            ("x-amz-acl", "public-read"),
            ("x-amz-meta-note", "two words"),
            ("x-amz-tagging", "who=a%20b&c="),
        ];
        let first = fixture.taken(form, &Request { headers: &headers, ..put("a/1", b"first") });
        let second = fixture.taken(form, &put("a/1", b"second"));
        let (first, second) = (first.header("x-amz-version-id"), second.header("x-amz-version-id"));
        assert!(!first.is_empty() && first != second);
        let version = [("versionId", first)];
        let answer = fixture.taken(form, &Request { query: &version, ..get("a/1") });
        assert_eq!(
            (answer.text().as_str(), answer.header("content-type")),
            ("first", "text/x-test"),
            "{form:?}"
        );
        assert_eq!(answer.header("x-amz-meta-note"), "two words");
        assert_eq!(fixture.taken(form, &get("a/1")).text(), "second");
        let unsigned = format!("{}/{BUCKET}/a/1", fixture.server.endpoint());
        let public =
            http::send(fixture.server.port(), "GET", &format!("{unsigned}?versionId={first}"), &[], b"");
        assert_eq!(public.unwrap().text(), "first");
        assert_eq!(http::send(fixture.server.port(), "GET", &unsigned, &[], b"").unwrap().status, 403);
        let tags =
            fixture.taken(form, &Request { query: &[("tagging", ""), version[0]], ..get("a/1") }).text();
        assert!(tags.contains("<Key>who</Key><Value>a b</Value>"), "{tags}");
        // The other version by the same signature.
        let signed = fixture.sign(form, &Request { query: &version, ..get("a/1") });
        let other = Signed { url: signed.url.replace(first, second), ..signed };
        assert_eq!(fixture.send(&other).status, 403, "{form:?}");

        let overrides = [
            ("response-cache-control", "no-store"),
            ("response-content-disposition", "attachment; filename=\"ü +.txt\""),
            ("response-content-encoding", "x-none"),
            ("response-content-language", "en"),
            ("response-content-type", "text/x-other"),
            ("response-expires", "Thu, 01 Dec 2026 16:00:00 GMT"),
        ];
        let answer = fixture.taken(form, &Request { query: &overrides, ..get("a/1") });
        for (name, value) in overrides {
            assert_eq!(answer.header(name.strip_prefix("response-").unwrap()), value, "{form:?}");
        }
        let range = Request { headers: &[("range", "bytes=1-3")], ..get("a/1") };
        let signed = fixture.sign(form, &range);
        let answer = fixture.send(&signed);
        assert_eq!((answer.status, answer.text().as_str()), (206, "eco"), "{form:?}");

        // Lists.
        fixture.taken(form, &put("b/2", b"content"));
        let list = |query: &[(&str, &str)]| fixture.taken(form, &Request { query, ..get("") }).text();
        assert_eq!(all(&list(&[("list-type", "2"), ("prefix", "b/")]), "Key"), ["b/2"]);
        assert_eq!(all(&list(&[("marker", "a/1")]), "Key"), ["b/2"]);
        let versions = list(&[("versions", ""), ("prefix", "a/")]);
        let ids = all(&versions, "VersionId");
        assert!(ids.contains(&first) && ids.contains(&second), "{versions}");

        // An upload in parts.
        let uploads = [("uploads", "")];
        let begun = fixture.taken(form, &Request { method: "POST", query: &uploads, ..get("big") }).text();
        let id = all(&begun, "UploadId")[0];
        let large = vec![b'x'; 5 << 20];
        let mut complete = String::from("<CompleteMultipartUpload>");
        for (number, body) in [("1", &large[..]), ("2", b"y")] {
            let query = [("partNumber", number), ("uploadId", id)];
            let part = fixture.taken(form, &Request { query: &query, ..put("big", body) });
            let tag = part.header("etag");
            complete += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
            let signed = fixture.sign(form, &Request { query: &query, ..put("big", b"z") });
            for (from, to) in [
                (format!("partNumber={number}"), "partNumber=3".to_owned()),
                (id.to_owned(), format!("{id}x")),
            ] {
                let changed = Signed { url: signed.url.replace(&from, &to), ..signed.clone() };
                assert_eq!(fixture.send(&changed).status, 403, "{form:?} {changed:?}");
            }
        }
        complete += "</CompleteMultipartUpload>";
        let query = [("uploadId", id)];
        assert_eq!(
            all(&fixture.taken(form, &Request { query: &query, ..get("big") }).text(), "PartNumber"),
            ["1", "2"]
        );
        assert_eq!(all(&list(&uploads), "UploadId"), [id]);
        let request = Request { method: "POST", query: &query, body: complete.as_bytes(), ..get("big") };
        fixture.taken(form, &request);
        assert_eq!(fixture.taken(form, &get("big")).body, [&large[..], b"y"].concat());
        let begun = fixture.taken(form, &Request { method: "POST", query: &uploads, ..get("big") }).text();
        let query = [("uploadId", all(&begun, "UploadId")[0])];
        fixture.taken(form, &Request { method: "DELETE", query: &query, ..get("big") });

        // Gone: by its version, and then but for a marker.
        fixture.taken(form, &Request { method: "DELETE", query: &version, ..get("a/1") });
        let signed = fixture.sign(form, &Request { query: &version, ..get("a/1") });
        assert_eq!(fixture.send(&signed).status, 404, "{form:?}");
        for key in ["a/1", "b/2", "big"] {
            fixture.taken(form, &Request { method: "DELETE", ..get(key) });
            let signed = fixture.sign(form, &get(key));
            assert_eq!(fixture.send(&signed).status, 404, "{form:?}");
        }
    }
}

#[test]
fn requests_are_refused_late_and_too_early() {
    let fixture = Fixture::new();
    fixture.taken(Form::Link, &put("a", b"content"));
    let check = |form: Form, age: i64, taken: bool| {
        let request = Request { time: now().checked_add_signed(-age).unwrap(), ..get("a") };
        let signed = fixture.sign(form, &request);
        let answer = fixture.send(&signed);
        assert_eq!(answer.status, if taken { 200 } else { 403 }, "{form:?} {age}: {}", answer.text());
    };
    // Links are for an hour.
    check(Form::Link, 3500, true);
    check(Form::Link, 3601, false);
    check(Form::Link, 100 * 86400, false);
    check(Form::LinkV2, 3500, true);
    check(Form::LinkV2, 3601, false);
    // A request in headers is for now; a quarter of an hour is forgiven either way.
    for form in [Form::Headers, Form::HeadersV2] {
        check(form, 14 * 60, true);
        check(form, 16 * 60, false);
        check(form, -14 * 60, true);
        check(form, -16 * 60, false);
        check(form, 86400, false);
    }
    // AWS takes no link before its time, nor does s3s (below); the gateway does not look.
    check(Form::Link, -16 * 60, true);
    let content = |age: u64, expires: u64| {
        let request = Request { time: now() - age, ..get("a") };
        fixture.send(&fixture.alice.link(&fixture.endpoint, &request, expires)).status
    };
    assert_eq!(content(60, 59), 403);
    assert_eq!(content(6 * 86400, 7 * 86400), 200);
    assert_eq!(content(7 * 86400 + 1, 7 * 86400), 403);
}

#[test]
fn s3s_takes_no_link_before_its_time() {
    let fixture = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    fixture.put(BUCKET, "a", b"content").unwrap();
    let endpoint = Endpoint::custom(&fixture.endpoint(), REGION).unwrap();
    for (age, status) in [(60, 200), (-14 * 60, 200), (-16 * 60, 403), (-86400, 403)] {
        let request = Request { time: now().checked_add_signed(-age).unwrap(), ..get("a") };
        let signed = alice().sign(Form::Link, &endpoint, &request);
        let answer = http::send(fixture.port(), "GET", &signed.url, &[], b"").unwrap();
        assert_eq!(answer.status, status, "{age}: {}", answer.text());
    }
}

const CHUNK: usize = 8192;

/// A chunked body, as it is sent, in parts: what each part is, and its bytes.
type Parts = Vec<(&'static str, Vec<u8>)>;

impl Fixture {
    /// An upload in chunks; `change` may spoil the body once it is signed.
    fn chunked(&self, key: &str, chunking: Chunking, data: &[u8], change: impl FnOnce(&mut Parts)) -> Signed {
        // The gateway knows no trailers, and so does not look whether it is right.
        let trailers = [("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")];
        let trailers = if chunking == Chunking::Signed { &[][..] } else { &trailers };
        let announced: Vec<_> = trailers.iter().map(|(name, value)| (*name, value.len())).collect();
        let shape = ChunkedBody::new(chunking, data.len() as u64, CHUNK as u64, &announced).unwrap();
        let headers = shape.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = Request { headers: &headers, ..put(key, b"") };
        let signing_key = self.alice.signing_key(request.time, "s3");
        self.alice.headers(&self.endpoint, &request, Payload::Chunked(chunking), |signed, date| {
            let mut encoder = shape.encoder(date, &signing_key, signed.signature());
            let mut parts = Parts::new();
            for chunk in data.chunks(CHUNK) {
                parts.push(("header", encoder.chunk(chunk).unwrap().as_bytes().to_vec()));
                parts.push(("data", chunk.to_vec()));
                parts.push(("end", CHUNK_END.to_vec()));
            }
            parts.push(("last", encoder.finish(trailers).unwrap()));
            change(&mut parts);
            parts.into_iter().flat_map(|(_, bytes)| bytes).collect()
        })
    }
}

#[test]
fn chunks_are_taken_and_changed_ones_are_not() {
    let fixture = Fixture::new();
    let data: Vec<u8> = (0..2 * CHUNK + 100).map(|i| (i % 251) as u8).collect();
    let mut right = Parts::new();
    let signed = fixture.chunked("a", Chunking::Signed, &data, |parts| right.clone_from(parts));
    let answer = fixture.send(&signed);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fixture.taken(Form::Link, &get("a")).body, data);

    for (i, (what, bytes)) in right.iter().enumerate() {
        // Data is hashed, and needs no look at every byte; of the last part each has the same reason.
        let step = if matches!(*what, "data" | "last") { 61 } else { 1 };
        for at in (0..bytes.len()).step_by(step) {
            // The gateway skips the name before a signature, and the line break after data. It stops once it has as much data
            // as the signed length says: before the chunk of no bytes, and whatever larger size the last one with data claims.
            let minded = match *what {
                "data" => true,
                "header" => {
                    let name = bytes.iter().position(|byte| *byte == b';').unwrap() + 1;
                    let larger = i + 4 == right.len() && at < name - 1;
                    !larger && !(name..name + "chunk-signature".len()).contains(&at)
                }
                _ => false,
            };
            let signed = fixture.chunked("b", Chunking::Signed, &data, |parts| parts[i].1[at] ^= 1);
            let status = fixture.send(&signed).status;
            assert!(
                if minded { matches!(status, 400 | 403) } else { status == 200 },
                "{what} {i}, byte {at}: {status}"
            );
            let stored = fixture.send(&fixture.sign(Form::Link, &get("b")));
            assert_eq!(stored.status, if minded { 404 } else { 200 }, "{what} {i}, byte {at}");
            if !minded {
                assert_eq!(stored.body, data);
                fixture.taken(Form::Link, &Request { method: "DELETE", ..get("b") });
            }
        }
    }
    // Chunks in another order.
    let signed = fixture.chunked("b", Chunking::Signed, &data, |parts| parts.rotate_left(3));
    assert_eq!(fixture.send(&signed).status, 403);

    // What it does not know it refuses, and does not take for data.
    for chunking in [Chunking::SignedTrailer, Chunking::UnsignedTrailer] {
        let answer = fixture.send(&fixture.chunked("c", chunking, &data, |_| {}));
        assert_eq!(all(&answer.text(), "Code"), ["XAmzContentSHA256Mismatch"]);
        assert_eq!(fixture.send(&fixture.sign(Form::Link, &get("c"))).status, 404);
    }
}

#[test]
fn bodies_that_are_not_signed_may_be_any() {
    let fixture = Fixture::new();
    let upload = |payload: Payload<'_>| {
        let signed =
            fixture.alice.headers(&fixture.endpoint, &put("a", b""), payload, |_, _| b"content".to_vec());
        fixture.send(&signed).status
    };
    assert_eq!(upload(Payload::Unsigned), 200);
    assert_eq!(fixture.taken(Form::Headers, &get("a")).text(), "content");
    assert_eq!(upload(Payload::Bytes(b"content")), 200);
    assert_eq!(upload(Payload::Bytes(b"contemt")), 400);
    assert_eq!(upload(Payload::EMPTY), 400);
}

impl Fixture {
    /// A request to IAM or STS, with its parameters in a form.
    #[track_caller]
    fn call(&self, who: &Credentials, service: &str, parameters: &[(&str, &str)]) -> Answer {
        let mut body = Vec::new();
        for (i, (name, value)) in parameters.iter().enumerate() {
            body.extend_from_slice(if i == 0 { b"" } else { b"&" });
            encode_query(&mut body, name.as_bytes());
            body.push(b'=');
            encode_query(&mut body, value.as_bytes());
        }
        let host = self.endpoint.authority();
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let payload = Payload::Bytes(&body);
        let request = SignableRequest {
            method: "POST",
            host,
            path: "/",
            query: Query::Sent(""),
            headers: &headers,
            payload,
        };
        let (time, token) = (now(), who.session_token.as_deref());
        let signer = Signer::new(&who.access_key_id, token, service);
        let date = AmzDate::from_unix(time).unwrap();
        let signed = signer.sign(&request, &date, &who.signing_key(time, service)).unwrap();
        let headers: Vec<_> = headers.into_iter().chain(signed.headers()).collect();
        http::send(self.server.port(), "POST", &format!("http://{host}/"), &headers, &body).unwrap()
    }

    /// Lets Alice have temporary credentials, by a request to IAM.
    #[track_caller]
    fn allow_sessions(&self) {
        let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}"#;
        let allow = [
            ("Action", "PutUserPolicy"),
            ("Version", "2010-05-08"),
            ("UserName", "alice"),
            ("PolicyName", "sts"),
            ("PolicyDocument", policy),
        ];
        let stranger = Credentials { secret: format!("{SECRET_ACCESS_KEY}x"), ..self.alice.clone() };
        assert_eq!(self.call(&stranger, "iam", &allow).status, 403);
        assert_eq!(self.call(&self.alice, "iam", &allow).status, 200);
    }

    /// Temporary credentials of Alice's.
    #[track_caller]
    fn session(&self) -> Credentials {
        let version = ("Version", "2011-06-15");
        let ask = [("Action", "GetSessionToken"), version, ("DurationSeconds", "900")];
        let answer = self.call(&self.alice, "sts", &ask);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let xml = answer.text();
        let one = |name: &str| all(&xml, name)[0].to_owned();
        let (access_key_id, secret) = (one("AccessKeyId"), one("SecretAccessKey"));
        Credentials { access_key_id, secret, session_token: Some(one("SessionToken")) }
    }
}

#[test]
fn temporary_credentials_in_every_form() {
    let fixture = Fixture::new();
    let ask = [("Action", "GetSessionToken"), ("Version", "2011-06-15")];
    assert_eq!(fixture.call(&fixture.alice, "sts", &ask).status, 403, "until she is allowed to");
    fixture.allow_sessions();
    let stranger = Credentials { secret: format!("{SECRET_ACCESS_KEY}x"), ..fixture.alice.clone() };
    assert_eq!(fixture.call(&stranger, "sts", &ask).status, 403);
    let (session, other) = (fixture.session(), fixture.session());
    assert_ne!(session.access_key_id, other.access_key_id);

    std::thread::scope(|scope| {
        for form in FORMS {
            let (fixture, session, other) = (&fixture, &session, &other);
            scope.spawn(move || {
                let key = format!("{form:?}");
                let send = |who: &Credentials, request: &Request<'_>| {
                    fixture.send(&who.sign(form, &fixture.endpoint, request)).status
                };
                assert_eq!(send(session, &put(&key, b"content")), 200);
                assert_eq!(fixture.taken(form, &get(&key)).text(), "content");
                // Also of the token.
                fixture.refuses_every_change(session, form, &get(&key));
                // Rightly signed, but with a token of other credentials, an invented one, or none.
                for token in [other.session_token.clone(), Some("bm9uZQ==".into()), None] {
                    let wrong = Credentials { session_token: token, ..session.clone() };
                    let status = send(&wrong, &get(&key));
                    assert!(matches!(status, 400 | 403), "{form:?} {wrong:?}: {status}");
                }
                let wrong = Credentials { secret: other.secret.clone(), ..session.clone() };
                assert_eq!(send(&wrong, &get(&key)), 403);
            });
        }
    });
}

/// `multipart/form-data`: the header's value, and the body.
fn multipart(fields: &[(String, String)], content: &str) -> (String, Vec<u8>) {
    let boundary = "----KeyfobFormBoundary7MA4YWxkTrZu0gW";
    let disposition = format!("--{boundary}\r\nContent-Disposition: form-data; name=");
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("{disposition}\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += &format!(
        "{disposition}\"file\"; filename=\"a b.txt\"\r\nContent-Type: text/plain\r\n\r\n{content}\r\n"
    );
    body += &format!("--{boundary}--\r\n");
    (format!("multipart/form-data; boundary={boundary}"), body.into_bytes())
}

impl Fixture {
    fn form(&self, who: &Credentials, version: SignatureVersion, policy: &PostPolicy<'_>) -> PostForm {
        if version == SignatureVersion::SigV4 {
            return policy.sign(&who.signing_key(policy.time, "s3")).unwrap();
        }
        let draft = policy.prepare_v2().unwrap();
        let signature = who.sign_v2(draft.string_to_sign());
        draft.finish(&signature)
    }

    #[track_caller]
    fn post(&self, form: &PostForm, fields: &[(String, String)], content: &str) -> Answer {
        let (content_type, body) = multipart(fields, content);
        let headers = [("content-type", content_type.as_str())];
        http::send(self.server.port(), "POST", form.url(), &headers, &body).unwrap()
    }
}

#[test]
fn forms_are_taken_and_changed_ones_are_not() {
    let fixture = Fixture::new();
    let key = "a/ü +%.txt";
    let plain = PostPolicy {
        endpoint: &fixture.endpoint,
        bucket: BUCKET,
        key: PostKey::Exact(key),
        access_key_id: &fixture.alice.access_key_id,
        time: now(),
        expires: HOUR,
        session_token: None,
        fields: &[],
        conditions: &[],
    };
    for version in [SignatureVersion::SigV4, SignatureVersion::HmacV1] {
        let rich = PostPolicy {
            fields: &[
                ("acl", "public-read"),
                ("Content-Type", "text/x-test"),
                ("success_action_status", "201"),
                ("x-amz-meta-note", "two words"),
            ],
            conditions: &[
                Condition::ContentLengthRange(1, 10),
                Condition::StartsWith("x-amz-meta-who", "al"),
            ],
            ..plain
        };
        let form = fixture.form(&fixture.alice, version, &rich);
        let fields = [form.fields(), &[owned(("x-amz-meta-who", "alice"))]].concat();
        let answer = fixture.post(&form, &fields, "content");
        assert_eq!((answer.status, all(&answer.text(), "Key")), (201, vec![key]), "{version:?}");
        let stored = fixture.taken(Form::Headers, &get(key));
        assert_eq!((stored.text().as_str(), stored.header("content-type")), ("content", "text/x-test"));
        assert_eq!(stored.header("x-amz-meta-note"), "two words");
        assert_eq!(stored.header("x-amz-meta-who"), "alice");
        let mut unsigned = b"/".to_vec();
        encode_path(&mut unsigned, format!("{BUCKET}/{key}").as_bytes());
        let unsigned = fixture.server.endpoint() + str::from_utf8(&unsigned).unwrap();
        assert_eq!(http::send(fixture.server.port(), "GET", &unsigned, &[], b"").unwrap().text(), "content");

        for (content, status) in [("", 400), ("0123456789", 201), ("01234567890", 400)] {
            assert_eq!(fixture.post(&form, &fields, content).status, status, "{version:?} {content}");
        }
        // Every bit of every field; what the person may choose stays right as long as it begins so.
        for (i, (name, value)) in fields.iter().enumerate() {
            for (at, changed) in changes(value) {
                let right = name == "x-amz-meta-who" && at > 1;
                let mut fields = fields.clone();
                fields[i].1 = changed;
                let status = fixture.post(&form, &fields, "content").status;
                assert!(matches!(status, 201 | 400 | 403), "{version:?} {:?}: {status}", fields[i]);
                assert_eq!(status == 201, right, "{version:?} {:?}: {status}", fields[i]);
            }
            let mut fields = fields.clone();
            fields.remove(i);
            let status = fixture.post(&form, &fields, "content").status;
            assert!(matches!(status, 400 | 403), "{version:?} without {name}: {status}");
        }
        let more = [&fields[..], &[owned(("x-amz-meta-more", "x"))]].concat();
        assert_eq!(fixture.post(&form, &more, "content").status, 403, "{version:?}");

        // The person's own name for the file; and where the browser goes then.
        let redirect = "http://example.com/done";
        let fields = [("success_action_redirect", redirect)];
        let form = fixture.form(
            &fixture.alice,
            version,
            &PostPolicy { key: PostKey::Prefix("up/"), fields: &fields, ..plain },
        );
        let answer = fixture.post(&form, form.fields(), "named");
        assert_eq!(answer.status, 303, "{version:?} {}", answer.text());
        let location = answer.header("location");
        assert!(
            location.starts_with(&format!("{redirect}?bucket={BUCKET}&key=up%2Fa%20b.txt&etag=")),
            "{location}"
        );
        assert_eq!(fixture.taken(Form::Headers, &get("up/a b.txt")).text(), "named");

        let lasts = |age: i64, expires: u64| {
            let time = now().checked_add_signed(-age).unwrap();
            let form = fixture.form(&fixture.alice, version, &PostPolicy { time, expires, ..plain });
            fixture.post(&form, form.fields(), "content").status
        };
        assert_eq!(lasts(100, 160), 204);
        assert_eq!(lasts(100, 99), 403);
        assert_eq!(lasts(86400, 3600), 403);
        // A policy says when it ends, and not when it begins.
        assert_eq!(lasts(-3600, 60), 204);
    }
}

#[test]
fn forms_of_temporary_credentials() {
    let fixture = Fixture::new();
    fixture.allow_sessions();
    let (session, other) = (fixture.session(), fixture.session());
    for version in [SignatureVersion::SigV4, SignatureVersion::HmacV1] {
        let post = |who: &Credentials, key: &str| {
            let policy = PostPolicy {
                endpoint: &fixture.endpoint,
                bucket: BUCKET,
                key: PostKey::Exact(key),
                access_key_id: &who.access_key_id,
                time: now(),
                expires: HOUR,
                session_token: who.session_token.as_deref(),
                fields: &[],
                conditions: &[],
            };
            let form = fixture.form(who, version, &policy);
            fixture.post(&form, form.fields(), "content").status
        };
        let key = format!("{version:?}");
        assert_eq!(post(&session, &key), 204, "{version:?}");
        assert_eq!(fixture.taken(Form::Headers, &get(&key)).text(), "content");
        for token in [other.session_token.clone(), Some("bm9uZQ==".into()), None] {
            let wrong = Credentials { session_token: token, ..session.clone() };
            assert_eq!(post(&wrong, "wrong"), 403, "{version:?} {wrong:?}");
        }
    }
}

#[test]
fn headers_and_parameters_of_every_kind() {
    let fixture = Fixture::new();
    for form in FORMS {
        let check = |headers: &[(&str, &str)], stored: &[(&str, &str)]| {
            fixture.taken(form, &Request { headers, ..put("a", b"content") });
            let answer = fixture.taken(form, &get("a"));
            let found: Vec<_> =
                answer.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-")).cloned().collect();
            assert_eq!(found, stored.iter().copied().map(owned).collect::<Vec<_>>(), "{form:?}");
        };
        check(&[("x-amz-meta-a", " two  words ")], &[("x-amz-meta-a", "two  words")]);
        check(&[("X-Amz-Meta-A", "B")], &[("x-amz-meta-a", "B")]);
        check(&[("x-amz-meta-a", "")], &[("x-amz-meta-a", "")]);
        let sorted =
            [("x-amz-meta-a", "1"), ("x-amz-meta-a-a", "2"), ("x-amz-meta-a1", "3"), ("x-amz-meta-b", "4")];
        let mut mixed = sorted;
        mixed.reverse();
        check(&mixed, &sorted);
        for query in [&[("x", "")][..], &[("b", "1"), ("a-b", "&=+ %ü"), ("a", "1"), ("A", ""), ("~", "/")]]
        {
            fixture.taken(form, &Request { query, ..get("a") });
        }
        // The gateway keeps one of each name, and so refuses what AWS takes: headers and parameters that repeat.
        if form != Form::Link {
            let headers = [("x-amz-meta-a", "one"), ("x-amz-meta-a", "two")];
            let signed = fixture.sign(form, &Request { headers: &headers, ..put("a", b"content") });
            assert_eq!(fixture.send(&signed).status, 403, "{form:?}");
        }
        if form == Form::Headers {
            let signed = fixture.sign(form, &Request { query: &[("x", "1"), ("x", "0")], ..get("a") });
            assert_eq!(fixture.send(&signed).status, 403, "{form:?}");
        }
    }
}
