//! Several links that are signed with one touch.
//!
//! The prompt can name no hundred objects. So all else is one for all and said once, the folder that they are in comes with the
//! place, and then the first few by name.

use keyfob_core::message::{ErrorCode, MAX_LINKS, Password, Scheme};
use keyfob_core::s3::{self, EndpointKind, ParsedPresign};

use super::reading::{life, parse_presign, tls_of};
use super::signing::invalid;
use crate::error::{Refusal, failure};
use crate::prompt::word;
use crate::wire::MAX_REPLY;

/// Most objects that a prompt names one by one.
const MAX_NAMED: usize = 3;
/// What a link has that its canonical request has not, in bytes: scheme and signature; and what JSON puts around it.
const LINK_ROOM: usize = 100;

/// Several links that differ in the object and its version alone, at least one.
pub(super) struct Links {
    first: ParsedPresign,
    rest: Vec<ParsedPresign>,
    scheme: Scheme,
}

impl Links {
    pub(super) fn read(canonical_requests: &[Password], scheme: Scheme) -> Result<Self, Refusal> {
        let wrong = || wrong_number(canonical_requests.len());
        if canonical_requests.len() > MAX_LINKS {
            return Err(wrong());
        }
        // Before the touch: what would be too long to be answered is not asked of the key.
        let room: usize = canonical_requests.iter().map(|Password(text)| text.len() + LINK_ROOM).sum();
        if room > MAX_REPLY - LINK_ROOM {
            return Err(failure(
                ErrorCode::InvalidInput,
                "these links would be longer together than a browser takes at once",
                "ask for fewer at a time",
            )
            .into());
        }
        let mut requests = Vec::with_capacity(canonical_requests.len());
        for Password(text) in canonical_requests {
            requests.push(parse_presign(text, false)?);
        }
        let mut requests = requests.into_iter();
        let links = Self { first: requests.next().ok_or_else(wrong)?, rest: requests.collect(), scheme };
        for request in links.requests() {
            if request.key().is_empty() || request.has_session_token() {
                return Err(invalid("several links at once are for objects, signed without a session token"));
            }
            if let Some(what) = difference(&links.first, request) {
                return Err(invalid(format!(
                    "the links are not of one {what}: what is signed at once differs in the object alone"
                )));
            }
        }
        Ok(links)
    }

    pub(super) fn first(&self) -> &ParsedPresign {
        &self.first
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &ParsedPresign> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The folder that all are in, `/` at its end; empty if there is none.
    fn folder(&self) -> &str {
        let first = self.first.key();
        let common = self.rest.iter().fold(first.len(), |common, request| {
            let same = first.bytes().zip(request.key().bytes()).take_while(|(a, b)| a == b).count();
            common.min(same)
        });
        // A slash is one byte, and none is within a character.
        let end = first.bytes().take(common).rposition(|byte| byte == b'/').map_or(0, |at| at + 1);
        first.get(..end).unwrap_or_default()
    }

    /// How many, where, by whom, how long.
    pub(super) fn text(&self, now: u64) -> String {
        let (request, count) = (&self.first, 1 + self.rest.len());
        let (links, works) = if count == 1 { ("link", "works") } else { ("links", "work") };
        let (bucket, folder, method) = (request.bucket(), self.folder(), request.method());
        let place = if request.endpoint().kind() == EndpointKind::Other {
            let origin = format!("{}://{}", self.scheme.as_str(), request.host());
            format!("{}…", word(&format!("{origin}/{bucket}/{folder}")))
        } else {
            format!("{}… at {}", word(&format!("s3://{bucket}/{folder}")), tls_of(request, self.scheme))
        };
        format!(
            "{count} {links}: {method} {place} as {} {}",
            request.access_key_id(),
            life(request, works, now)
        )
    }

    /// The objects, within their folder: all of a few, the first of many.
    pub(super) fn names(&self) -> String {
        let folder = self.folder();
        let count = 1 + self.rest.len();
        // "and 1 more" is no shorter than its name.
        let named = if count <= MAX_NAMED + 1 { count } else { MAX_NAMED };
        let name = |request: &ParsedPresign| {
            let name = word(request.key().strip_prefix(folder).unwrap_or(request.key()));
            match request.version_id() {
                Some(id) => format!("{name} version {}", word(id)),
                None => name,
            }
        };
        let names: Vec<_> = self.requests().take(named).map(name).collect();
        let more = if named < count { format!(", … and {} more", count - named) } else { String::new() };
        format!(": {}{more}", names.join(", "))
    }
}

/// In what two requests differ besides the object and its version.
fn difference(a: &ParsedPresign, b: &ParsedPresign) -> Option<&'static str> {
    fn parameters(of: &ParsedPresign) -> impl Iterator<Item = &(String, String)> {
        of.parameters().iter().filter(|(name, _)| name != s3::VERSION_ID)
    }
    let rows = [
        ("method", a.method() == b.method()),
        ("identity", a.access_key_id() == b.access_key_id()),
        ("server", a.authority() == b.authority() && a.endpoint().kind() == b.endpoint().kind()),
        ("bucket", a.bucket() == b.bucket() && a.host() == b.host()),
        ("date", a.date().as_str() == b.date().as_str()),
        ("region", a.scope() == b.scope()),
        ("expiry", a.expires() == b.expires()),
        ("set of parameters", parameters(a).eq(parameters(b))),
        ("set of headers", a.headers() == b.headers()),
    ];
    rows.iter().find(|(_, same)| !same).map(|(what, _)| *what)
}

/// None, or too many.
pub(super) fn wrong_number(count: usize) -> Refusal {
    invalid(format!("1 to {MAX_LINKS} links can be signed at once, not {count}"))
}

#[cfg(test)]
mod tests {
    use keyfob_core::message::{Failure, Op};
    use keyfob_core::s3::{Endpoint, PresignRequest};

    use super::*;
    use crate::service::describe;

    const TIME: u64 = 1_369_353_600;

    /// A request for each object, the `odd`th changed.
    fn requests(
        endpoint: &Endpoint,
        keys: &[&str],
        odd: usize,
        change: impl Fn(&mut PresignRequest<'_>),
    ) -> Vec<Password> {
        let request = |(n, key): (usize, &&str)| {
            let mut request = PresignRequest {
                method: "GET",
                endpoint,
                bucket: "bucket",
                key,
                access_key_id: "AKIAIOSFODNN7EXAMPLE",
                time: TIME,
                expires: 3600,
                session_token: None,
                version_id: None,
                query: &[],
                headers: &[],
            };
            if n == odd {
                change(&mut request);
            }
            Password(request.canonical_request().unwrap())
        };
        keys.iter().enumerate().map(request).collect()
    }

    fn told(canonical_requests: Vec<Password>, scheme: Scheme) -> Result<String, Failure> {
        describe(&Op::PresignMany { canonical_requests, scheme }, TIME)
    }

    #[test]
    fn a_prompt_says_what_all_have_in_common_and_names_the_first() {
        #[track_caller]
        fn check(keys: &[&str], expected: &str) {
            let aws = Endpoint::aws("eu-west-1").unwrap();
            assert_eq!(told(requests(&aws, keys, 0, |_| ()), Scheme::Https).unwrap(), expected);
        }
        let place = "at s3.eu-west-1.amazonaws.com as AKIAIOSFODNN7EXAMPLE";
        check(&["a.txt"], &format!("1 link: GET s3://bucket/… {place} (works for 1 h): a.txt"));
        check(&["a", "b"], &format!("2 links: GET s3://bucket/… {place} (work for 1 h): a, b"));
        check(
            &["x/y/a", "x/y/b/c", "x/yz", "x/y/a"],
            &format!("4 links: GET s3://bucket/x/… {place} (work for 1 h): y/a, y/b/c, yz, y/a"),
        );
        check(
            &["ü ö/a", "ü ö/b, … and 1 more", "ü ö/\u{202e}c", "ü ö/d", "ü ö/e"],
            &format!(
                "5 links: GET \"s3://bucket/ü ö/\"… {place} (work for 1 h): a, \"b, … and 1 more\", \"\u{fffd}c\", … and 2 more"
            ),
        );
        // A folder that is an object too, and characters of which some bytes are equal.
        check(&["a/", "a/"], &format!("2 links: GET s3://bucket/a/… {place} (work for 1 h): \"\", \"\""));
        check(&["é", "è"], &format!("2 links: GET s3://bucket/… {place} (work for 1 h): é, è"));
        let many: Vec<_> = (0..100).map(|n| format!("{n:0900}/{}", "k".repeat(100))).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let aws = Endpoint::aws("eu-west-1").unwrap();
        let text = told(requests(&aws, &many, 0, |_| ()), Scheme::Https).unwrap();
        assert!(text.ends_with(", … and 97 more") && text.chars().count() < 1000, "{text}");

        // Versions stand with their objects, what holds for all before them.
        let both = |request: &mut PresignRequest<'_>| {
            (request.version_id, request.query) = (Some("v 1"), &[("response-expires", "0")]);
        };
        let one = requests(&aws, &["a"], 0, both);
        assert_eq!(
            told(one, Scheme::Https).unwrap(),
            format!(
                "1 link: GET s3://bucket/… {place} (works for 1 h), response-expires: 0: a version \"v 1\""
            )
        );
        let other = Endpoint::custom("http://127.0.0.1:9000", "us-east-1").unwrap();
        let text = told(requests(&other, &["a/b", "a/c"], 0, |_| ()), Scheme::Http).unwrap();
        let place = "http://127.0.0.1:9000/bucket/a/… as AKIAIOSFODNN7EXAMPLE";
        assert_eq!(text, format!("2 links: GET {place} (work for 1 h): b, c"));
    }

    #[test]
    fn links_that_differ_in_more_than_the_object_are_refused() {
        let aws = Endpoint::aws("eu-west-1").unwrap();
        let check = |change: fn(&mut PresignRequest<'_>), what: &str| {
            for odd in [0, 1, 2] {
                let requests = requests(&aws, &["a", "b", "c"], odd, change);
                match told(requests, Scheme::Https) {
                    Ok(text) => assert_eq!(what, "", "{text}"),
                    Err(refused) => {
                        assert_eq!(refused.code, ErrorCode::InvalidInput);
                        assert!(!what.is_empty() && refused.message.contains(what), "{what}: {refused:?}");
                    }
                }
            }
        };
        check(|_| (), "");
        check(|request| request.version_id = Some("v"), "");
        check(|request| request.method = "HEAD", "one method");
        check(|request| request.method = "DELETE", "one method");
        check(|request| request.bucket = "others", "one bucket");
        check(|request| request.access_key_id = "AKIAIOSFODNN7EXAMPLF", "one identity");
        check(|request| request.time += 1, "one date");
        check(|request| request.time += 86_400, "one date");
        check(|request| request.expires += 1, "one expiry");
        check(|request| request.query = &[("response-expires", "0")], "one set of parameters");
        check(|request| request.headers = &[("content-type", "text/plain")], "one set of headers");
        check(|request| request.session_token = Some("t"), "without a session token");
        check(|request| (request.key, request.query) = ("", &[("list-type", "2")]), "for objects");

        let both = |a: &str, b: &str| {
            let of = |region: &str| requests(&Endpoint::aws(region).unwrap(), &["a"], 1, |_| ());
            told([of(a), of(b)].concat(), Scheme::Https).unwrap_err().message
        };
        assert!(
            both("eu-west-1", "eu-central-1").contains("one server"),
            "{}",
            both("eu-west-1", "eu-central-1")
        );
    }

    #[test]
    fn how_many_and_how_long() {
        let aws = Endpoint::aws("eu-west-1").unwrap();
        let check = |count: usize, key: &str| {
            let requests = requests(&aws, &vec![key; count], 0, |_| ());
            told(requests, Scheme::Https).map(drop).map_err(|refused| refused.message)
        };
        assert_eq!(check(0, "a").unwrap_err(), "1 to 100 links can be signed at once, not 0");
        assert_eq!(check(101, "a").unwrap_err(), "1 to 100 links can be signed at once, not 101");
        // As long as keys can be, every byte of them encoded.
        assert_eq!(check(100, &"ü".repeat(512)), Ok(()));
        // Nor does the answer become longer than a browser takes, whatever is asked for.
        const LONG: &str = match str::from_utf8(&[b'x'; 15_000]) {
            Ok(text) => text,
            Err(_) => "",
        };
        let long = |request: &mut PresignRequest<'_>| request.query = &[("response-content-type", LONG)];
        let one = requests(&aws, &["a"], 0, long).remove(0);
        let most = MAX_REPLY / (one.0.len() + LINK_ROOM);
        assert!(most < 100);
        assert!(told(vec![one.clone(); most], Scheme::Https).is_ok());
        let refused = told(vec![one; most + 1], Scheme::Https).unwrap_err();
        assert!(refused.message.contains("longer together than a browser takes"), "{refused:?}");
    }
}
