//! The keys of a bucket, page by page: ListObjectsV2, signed in its headers.
//!
//! Source: "ListObjectsV2", Amazon S3 API Reference.

use std::thread::sleep;
use std::time::Duration;

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::s3::{REQUEST_PAYER, Target};
use keyfob_core::sigv4::{
    AmzDate, Payload, Query, SignError, SignableRequest, Signer, SigningKey, encode_query,
};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::aws_call::refused;
use crate::error::failure;
use crate::http::{Body, Http, Response};
use crate::service;

/// More than a page has, in bytes: a thousand keys, each byte of which takes three.
const MAX_PAGE: u64 = 16 << 20;
/// Longest token that is passed on, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// How often a page is asked for in vain, and how long is waited after the first time; twice as long after each.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// The last second of a day.
const END_OF_DAY: u64 = 86_399;

/// What is listed, and by whom.
pub struct List<'a> {
    /// The client.
    pub http: &'a Http,
    /// Where the bucket is.
    pub target: &'a Target,
    /// What the keys begin with.
    pub prefix: &'a str,
    /// The key after which to begin, as the server sorts them.
    pub start_after: Option<&'a str>,
    /// Whether whoever lists pays.
    pub request_payer: bool,
    /// Whose key it is.
    pub access_key_id: &'a str,
    /// That of temporary credentials.
    pub session_token: Option<&'a str>,
    /// The key of the endpoint's region and service, of some day.
    pub key: &'a SigningKey,
}

impl List<'_> {
    /// Hands every page's keys to `take`, until the last page or until `take` says no.
    ///
    /// # Errors
    /// [`ErrorCode::AwsRefused`] if the server refuses; [`ErrorCode::Io`] if it is not reached, breaks off, or answers what is no list;
    /// [`ErrorCode::InvalidInput`] if the day of the signing key is over. `take` has had the pages before.
    pub fn pages(&self, mut take: impl FnMut(Vec<String>) -> bool) -> Result<(), Failure> {
        let mut token: Option<String> = None;
        loop {
            let page = self.page(token.as_deref())?;
            if !take(page.keys) {
                return Ok(());
            }
            match page.next {
                None => return Ok(()),
                // For ever, then.
                Some(next) if token.as_deref() == Some(&next) => {
                    return Err(no_list("it names the same page twice"));
                }
                next => token = next,
            }
        }
    }

    fn page(&self, token: Option<&str>) -> Result<Page, Failure> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let failed = match self.ask(token) {
                Ok(mut response) if response.status == 200 => match response.read(MAX_PAGE) {
                    Ok(body) => return Page::read(&body).map_err(|why| no_list(&why)),
                    Err(broken) => broken,
                },
                // A server that is busy says so (SlowDown), or that it stumbled.
                Ok(response) if tries == TRIES || !matches!(response.status, 429 | 500 | 502..=504) => {
                    return Err(refused(response));
                }
                Ok(response) => refused(response),
                // What was never there does not come back.
                Err(failed) if token.is_none() || failed.code != ErrorCode::Io => return Err(failed),
                Err(failed) => failed,
            };
            if tries == TRIES {
                return Err(failed);
            }
            sleep(pause);
            pause *= 2;
            tries += 1;
        }
    }

    fn ask(&self, token: Option<&str>) -> Result<Response, Failure> {
        let endpoint = &self.target.endpoint;
        let bucket = &self.target.bucket;
        // Dots do not fit the certificate of the host.
        let (host, path) = if endpoint.is_virtual_hosted() && !bucket.contains('.') {
            (format!("{bucket}.{}", endpoint.authority()), "/".to_owned())
        } else {
            (endpoint.authority().to_owned(), format!("/{bucket}"))
        };
        let query = query(token, self.prefix, self.start_after);
        let payer = [(REQUEST_PAYER, "requester")];
        let given: &[_] = if self.request_payer { &payer } else { &[] };
        let request = SignableRequest {
            method: "GET",
            host: &host,
            path: &path,
            query: Query::Sent(&query),
            headers: given,
            payload: Payload::EMPTY,
        };
        let date = self.date()?;
        let signer = Signer::new(self.access_key_id, self.session_token, endpoint.service());
        let signed = signer
            .sign(&request, &date, self.key)
            .map_err(|error: SignError| failure(ErrorCode::InvalidInput, error, ""))?;
        let headers: Vec<_> = given
            .iter()
            .copied()
            .chain(signed.headers())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let url = format!("{}://{host}{path}?{query}", endpoint.scheme().as_str());
        self.http.send("GET", &url, &headers, Body::Empty)
    }

    /// Now; or, for as long as servers take it, the end of the signing key's day.
    fn date(&self) -> Result<AmzDate, Failure> {
        date_within(self.key.scope().date(), service::unix_time())
    }
}

/// How far a request may be from the server's time, as S3 takes it ("RequestTimeTooSkewed").
const TOLERANCE: u64 = 15 * 60;

fn date_within(day: &str, now: u64) -> Result<AmzDate, Failure> {
    let invalid = |error| failure(ErrorCode::InvalidInput, error, "");
    let first = AmzDate::parse(&format!("{day}T000000Z")).map_err(invalid)?.unix();
    let time = now.clamp(first, first + END_OF_DAY);
    if time.abs_diff(now) >= TOLERANCE {
        return Err(failure(
            ErrorCode::InvalidInput,
            "the day for which the key was touched is over, and it signs no more lists",
            "",
        ));
    }
    AmzDate::from_unix(time).map_err(invalid)
}

/// Sorted, as the signature wants it anyway.
fn query(token: Option<&str>, prefix: &str, start_after: Option<&str>) -> String {
    let mut out = Vec::new();
    let parameters = [
        ("continuation-token", token),
        ("encoding-type", Some("url")),
        ("list-type", Some("2")),
        ("prefix", Some(prefix).filter(|prefix| !prefix.is_empty())),
        ("start-after", start_after.filter(|_| token.is_none())),
    ];
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        if !out.is_empty() {
            out.push(b'&');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        encode_query(&mut out, value.as_bytes());
    }
    // The encoder writes ASCII only.
    String::from_utf8(out).unwrap_or_default()
}

fn no_list(why: &str) -> Failure {
    let message = format!("what the server answers is no list of a bucket: {why}");
    failure(ErrorCode::Io, message, "see that the endpoint is that of an S3 server")
}

/// A page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects' keys, decoded.
    pub keys: Vec<String>,
    /// The token of the next page, if there is one.
    pub next: Option<String>,
}

impl Page {
    /// Reads the XML of an answer.
    ///
    /// # Errors
    /// Why it is no page of a list.
    pub fn read(xml: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::from_reader(xml);
        let mut page = Self::default();
        // Names of the elements that are open; those further in than a key are only counted.
        let mut open: Vec<Vec<u8>> = Vec::new();
        let mut deeper = 0_usize;
        let mut text = String::new();
        let (mut encoded, mut truncated, mut is_list) = (false, false, false);
        loop {
            let broken = |error: &dyn std::fmt::Display| format!("its XML is broken: {error}");
            match reader.read_event().map_err(|error| broken(&error))? {
                Event::Start(_) if open.len() == 3 => deeper += 1,
                Event::Start(start) => {
                    open.push(start.local_name().as_ref().to_vec());
                    text.clear();
                    is_list |=
                        open.len() == 1 && open.first().is_some_and(|name| name == b"ListBucketResult");
                }
                Event::End(_) if deeper > 0 => deeper -= 1,
                Event::End(_) => {
                    let names: Vec<&[u8]> = open.iter().map(Vec::as_slice).collect();
                    let value = || text.trim();
                    match names.as_slice() {
                        // A key may begin and end with spaces.
                        [_, b"Contents", b"Key"] => page.keys.push(text.clone()),
                        [_, b"EncodingType"] => encoded = value() == "url",
                        [_, b"IsTruncated"] => truncated = value() == "true",
                        [_, b"NextContinuationToken"] => page.next = Some(value().to_owned()),
                        _ => {}
                    }
                    open.pop();
                    text.clear();
                }
                Event::Text(part) if deeper == 0 => {
                    text += &part.xml10_content().map_err(|error| broken(&error))?;
                }
                Event::CData(part) if deeper == 0 => {
                    text += &part.xml10_content().map_err(|error| broken(&error))?;
                }
                Event::GeneralRef(reference) if deeper == 0 => {
                    match reference.resolve_char_ref().map_err(|error| broken(&error))? {
                        Some(c) => text.push(c),
                        None => text.push(match &*reference.decode().map_err(|error| broken(&error))? {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            other => return Err(format!("it has an entity {other:?} in it")),
                        }),
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        if !is_list || !open.is_empty() {
            return Err(if is_list { "it breaks off" } else { "it is something else" }.to_owned());
        }
        if encoded {
            page.keys = page.keys.iter().map(|key| decoded(key)).collect::<Result<_, _>>()?;
        }
        page.next = page.next.filter(|token| truncated && !token.is_empty());
        if truncated && page.next.is_none() {
            return Err("it says that there is more, but not where".to_owned());
        }
        if page.next.as_ref().is_some_and(|token| token.len() > MAX_TOKEN) {
            return Err("its token for the next page is too long".to_owned());
        }
        Ok(page)
    }
}

/// As forms encode: `+` is a space (which S3 and its likes write so), `%2B` a plus.
fn decoded(key: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(key.len());
    let mut bytes = key.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(format!("its key {key:?} is not encoded as it says"));
                };
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| format!("its key {key:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        #[track_caller]
        fn check(xml: &str, expected: Result<(&[&str], Option<&str>), &str>) {
            match (Page::read(xml.as_bytes()), expected) {
                (Ok(page), Ok((keys, next))) => {
                    assert_eq!(page.keys, keys, "{xml}");
                    assert_eq!(page.next.as_deref(), next, "{xml}");
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (actual, expected) => panic!("{actual:?} is not {expected:?}: {xml}"),
            }
        }
        let list = |inside: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</ListBucketResult>"
            )
        };
        let contents = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><Size>1</Size><Owner><ID>x</ID><Key>no</Key></Owner></Contents>"
            )
        };
        // The sample response of the API reference, cut.
        check(
            &list(
                "<Name>bucket</Name><Prefix/><KeyCount>205</KeyCount><MaxKeys>1000</MaxKeys>\
                 <IsTruncated>false</IsTruncated><Contents><Key>my-image.jpg</Key><LastModified>\
                 2009-10-12T17:50:30.000Z</LastModified><Size>434234</Size></Contents>",
            ),
            Ok((&["my-image.jpg"], None)),
        );
        check(&list(""), Ok((&[], None)));
        check(
            &list(&format!(
                "{}{}<IsTruncated>true</IsTruncated><NextContinuationToken>a/b==</NextContinuationToken>",
                contents(" a&amp;b&#x20;&lt;"),
                contents("<![CDATA[c%2B+]]>d"),
            )),
            Ok((&[" a&b <", "c%2B+d"], Some("a/b=="))),
        );
        check(
            &list(&format!(
                "<Contents><Key>x</Key></Contents><EncodingType>url</EncodingType>{}",
                contents("a+b%2B%0A%C3%BC/*")
            )),
            Ok((&["x", "a b+\nü/*"], None)),
        );
        // Where there is no next page, its token says nothing.
        check(&list("<NextContinuationToken>a</NextContinuationToken>"), Ok((&[], None)));
        check(
            &list("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><StartAfter>b</StartAfter>"),
            Ok((&[], None)),
        );
        let encoded = |key: &str| list(&format!("<EncodingType>url</EncodingType>{}", contents(key)));
        check(&encoded("%C3"), Err("UTF-8"));
        check(&encoded("%4"), Err("not encoded"));
        check(&encoded("%+1"), Err("not encoded"));
        check(&list("<IsTruncated>true</IsTruncated>"), Err("not where"));
        check(&list("&bomb;"), Err("entity"));
        check("<Error><Code>AccessDenied</Code></Error>", Err("something else"));
        check("<ListBucketResult><Contents>", Err("breaks off"));
        check("<ListBucketResult></Other>", Err("broken"));
        check("{}", Err("something else"));
        check("", Err("something else"));
        check(&"<a>".repeat(100_000), Err("something else"));
    }

    #[test]
    fn a_list_is_asked_for() {
        #[track_caller]
        fn check(token: Option<&str>, prefix: &str, start_after: Option<&str>, expected: &str) {
            assert_eq!(query(token, prefix, start_after), expected);
        }
        check(None, "", None, "encoding-type=url&list-type=2");
        check(None, "a b/", Some("ü"), "encoding-type=url&list-type=2&prefix=a%20b%2F&start-after=%C3%BC");
        check(
            Some("t/="),
            "p",
            Some("ü"),
            "continuation-token=t%2F%3D&encoding-type=url&list-type=2&prefix=p",
        );
    }

    #[test]
    fn a_list_that_crosses_midnight_goes_on_for_a_while() {
        #[track_caller]
        fn check(now: &str, expected: Option<&str>) {
            let now = AmzDate::parse(now).unwrap().unix();
            let date = date_within("20130524", now).ok();
            assert_eq!(date.map(|date| date.to_string()).as_deref(), expected);
        }
        check("20130524T000000Z", Some("20130524T000000Z"));
        check("20130524T120000Z", Some("20130524T120000Z"));
        check("20130525T000000Z", Some("20130524T235959Z"));
        check("20130525T001458Z", Some("20130524T235959Z"));
        check("20130525T001459Z", None);
        // The other way: a clock that was set back.
        check("20130523T235959Z", Some("20130524T000000Z"));
        check("20130523T120000Z", None);
    }
}
