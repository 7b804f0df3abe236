//! Verifying requests: Signature Version 4 by AWS's own implementation, and what else a request must be to be taken.
//!
//! Source: "Create a signed AWS API request", IAM User Guide.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use data_encoding::HEXLOWER;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::http::HttpRequest;
use super::xml::Refusal;

/// How much a request's date may be off, in seconds.
const TOLERANCE: i64 = 5 * 60;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "%Y%m%dT%H%M%SZ";

/// The Authorization header in its parts.
pub(super) struct Authorization<'a> {
    pub(super) access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// That of a request.
    pub(super) fn of(request: &'a HttpRequest) -> Result<Self, Refusal> {
        let missing = "Request is missing Authentication Token";
        let Some(header) = request.header("authorization") else {
            return Err(Refusal::new(403, "MissingAuthenticationToken", missing));
        };
        let incomplete = || {
            Refusal::new(400, "IncompleteSignature", format!("Authorization header is not of {ALGORITHM}"))
        };
        let rest = header.strip_prefix(ALGORITHM).ok_or_else(incomplete)?;
        let part = |name: &str| {
            let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
            parts.find(|(known, _)| *known == name).map(|(_, value)| value).ok_or_else(incomplete)
        };
        let scope: Vec<&str> = part("Credential")?.split('/').collect();
        let &[access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete());
        };
        let signed_headers = part("SignedHeaders")?.split(';').collect();
        Ok(Self { access_key_id, date, region, service, signed_headers, signature: part("Signature")? })
    }

    /// Whether a request is signed with this secret, for `service`, within five minutes of `now` (Unix time).
    pub(super) fn verify(
        &self,
        request: &HttpRequest,
        secret: &str,
        service: &str,
        now: i64,
    ) -> Result<(), Refusal> {
        let bad = |message: String| Refusal::new(403, "SignatureDoesNotMatch", message);
        let date = request.header("x-amz-date").unwrap_or_default();
        let time = strtime::parse(DATE, date).and_then(|parts| parts.to_datetime());
        let time = time.and_then(|time| time.to_zoned(TimeZone::UTC));
        let time = time.map_err(|_| {
            let message = format!("Date must be in ISO-8601 'basic format'. Got '{date}'.");
            Refusal::new(400, "IncompleteSignature", message)
        })?;
        let time = time.timestamp().as_second();
        let (now_text, limit) = (basic(now), "5 min.");
        if time + TOLERANCE < now {
            let edge = basic(now - TOLERANCE);
            return Err(bad(format!(
                "Signature expired: {date} is now earlier than {edge} ({now_text} - {limit})"
            )));
        }
        if time > now + TOLERANCE {
            let edge = basic(now + TOLERANCE);
            return Err(bad(format!(
                "Signature not yet current: {date} is still later than {edge} ({now_text} + {limit})"
            )));
        }
        if !date.starts_with(self.date) || self.date.len() != 8 {
            return Err(bad(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' \
                 != '{date}'.",
                self.date
            )));
        }
        if self.service != service {
            return Err(bad(format!("Credential should be scoped to correct service: '{service}'. ")));
        }
        let is_region = match service {
            "iam" => self.region == "us-east-1",
            _ => self.region.split('-').count() >= 3,
        };
        if !is_region {
            return Err(bad("Credential should be scoped to a valid region. ".to_owned()));
        }
        let must_be_signed =
            |name: &str| matches!(name, "host" | "content-type") || name.starts_with("x-amz-");
        for (name, _) in &request.headers {
            if must_be_signed(name) && !self.signed_headers.contains(&name.as_str()) {
                return Err(bad(format!(
                    "'{name}' must be a 'SignedHeader' in the AWS Authorization header."
                )));
            }
        }
        if let Some(absent) = self.signed_headers.iter().find(|name| request.header(name).is_none()) {
            return Err(bad(format!("the signed header '{absent}' is not in the request")));
        }
        if let Some(hash) = request.header("x-amz-content-sha256") {
            let right = HEXLOWER.encode(sha256(&request.body).as_ref());
            if hash != right {
                let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
                return Err(Refusal::new(400, "XAmzContentSHA256Mismatch", message));
            }
        }
        let headers = request.headers.iter().filter(|(name, _)| self.signed_headers.contains(&name.as_str()));
        let headers: Vec<(&str, &str)> =
            headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signer = Signer {
            access_key_id: self.access_key_id,
            secret,
            region: self.region,
            service,
            time: UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or_default()),
        };
        let (_, signature) = signer.sign(request, &headers).map_err(|error| bad(format!("{error:#}")))?;
        if signature != self.signature {
            return Err(bad(
                "The request signature we calculated does not match the signature you provided. \
                            Check your AWS Secret Access Key and signing method. Consult the service \
                            documentation for details."
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// What signs.
pub(super) struct Signer<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) time: SystemTime,
}

impl Signer<'_> {
    /// The headers that a request gets, and the signature. `headers` are those that are signed, and no others but the date;
    /// they tell the token of a session.
    pub(super) fn sign(
        &self,
        request: &HttpRequest,
        headers: &[(&str, &str)],
    ) -> Result<(Vec<(String, String)>, String)> {
        let identity = Credentials::from_keys(self.access_key_id, self.secret, None).into();
        let mut settings = SigningSettings::default();
        settings.excluded_headers = None;
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()?
            .into();
        let url = format!("http://{}{}", request.header("host").context("no host")?, request.target);
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, url, headers.iter().copied(), body)?;
        let (instructions, signature) = sign(signable, &params)?.into_parts();
        let added = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok((added, signature))
    }
}

fn sha256(bytes: &[u8]) -> impl AsRef<[u8]> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
}

/// As in `X-Amz-Date`.
fn basic(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map(|time| time.strftime(DATE).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret";
    /// 2026-03-01T23:59:00Z.
    const NOW: i64 = 1_772_409_540;

    /// A request that is signed as it was told.
    fn signed(service: &str, region: &str, headers: &[(&str, &str)]) -> HttpRequest {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut request = HttpRequest {
            method: "POST".to_owned(),
            target: "/".to_owned(),
            headers: headers.iter().map(own).collect(),
            body: b"Action=A".to_vec(),
        };
        let time = UNIX_EPOCH + Duration::from_secs(NOW.try_into().unwrap());
        let signer = Signer { access_key_id: "AKIA", secret: SECRET, region, service, time };
        let (added, _) = signer.sign(&request, headers).unwrap();
        request.headers.extend(added);
        request
    }

    #[track_caller]
    fn check(request: &HttpRequest, now: i64, expected: Result<(), &str>) {
        let verified = Authorization::of(request).and_then(|authorization| {
            assert_eq!(authorization.access_key_id, "AKIA");
            authorization.verify(request, SECRET, "sts", now)
        });
        match (verified, expected) {
            (Ok(()), Ok(())) => {}
            (Err(refusal), Err(said)) if refusal.message.contains(said) => {}
            (verified, _) => panic!("{verified:?} is not {expected:?}"),
        }
    }

    const HOST: (&str, &str) = ("host", "localhost:1");
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    const NO_MATCH: &str = "does not match the signature you provided";

    #[test]
    fn what_is_signed_is_verified() {
        let good = signed("sts", "eu-west-1", &[HOST, FORM]);
        check(&good, NOW, Ok(()));
        let token = signed("sts", "eu-west-1", &[HOST, FORM, ("x-amz-security-token", "a")]);
        check(&token, NOW, Ok(()));
        for n in 0..token.headers.len() {
            let mut changed = token.clone();
            let (name, value) = &mut changed.headers[n];
            // Its signature is at its end.
            let last = value.pop().unwrap();
            value.push(if last == '0' { '1' } else { '0' });
            let name = name.clone();
            let verified = Authorization::of(&changed).unwrap().verify(&changed, SECRET, "sts", NOW);
            assert!(verified.is_err(), "{name}");
        }
        let mut changed = good.clone();
        changed.body.push(b'&');
        check(&changed, NOW, Err(NO_MATCH));
        let mut changed = good.clone();
        changed.target.push_str("?a");
        check(&changed, NOW, Err(NO_MATCH));
        let mut changed = good.clone();
        changed.method = "PUT".to_owned();
        check(&changed, NOW, Err(NO_MATCH));
    }

    #[test]
    fn what_must_be_signed_is() {
        // Sent, and not signed.
        for (name, value) in [FORM, ("x-amz-security-token", "a"), ("x-amz-anything", "a")] {
            let mut request = signed("sts", "eu-west-1", &[HOST]);
            request.headers.push((name.to_owned(), value.to_owned()));
            check(&request, NOW, Err("must be a 'SignedHeader'"));
        }
        // Signed, and not sent.
        let mut request = signed("sts", "eu-west-1", &[HOST, FORM]);
        request.headers.retain(|(name, _)| name != "content-type");
        check(&request, NOW, Err("is not in the request"));
        // What nobody must sign may come with it.
        let mut request = signed("sts", "eu-west-1", &[HOST]);
        request.headers.push(("user-agent".to_owned(), "a".to_owned()));
        check(&request, NOW, Ok(()));
        // The hash of another body.
        let request = signed("sts", "eu-west-1", &[HOST, ("x-amz-content-sha256", "00")]);
        check(&request, NOW, Err("does not match what was computed"));
    }

    #[test]
    fn scope_and_date_are_right() {
        check(&signed("iam", "us-east-1", &[HOST]), NOW, Err("correct service: 'sts'"));
        check(&signed("sts", "nowhere", &[HOST]), NOW, Err("valid region"));
        let iam = signed("iam", "eu-west-1", &[HOST]);
        let verified = Authorization::of(&iam).unwrap().verify(&iam, SECRET, "iam", NOW);
        assert!(verified.unwrap_err().message.contains("valid region"));
        let request = signed("sts", "eu-west-1", &[HOST]);
        for (later, expected) in [
            (
                -TOLERANCE - 1,
                Err("Signature not yet current: 20260301T235900Z is still later than 20260301T235859Z"),
            ),
            (-TOLERANCE, Ok(())),
            (TOLERANCE, Ok(())),
            (TOLERANCE + 1, Err("Signature expired: 20260301T235900Z is now earlier than 20260301T235901Z")),
        ] {
            check(&request, NOW + later, expected);
        }
        let mut request = signed("sts", "eu-west-1", &[HOST]);
        for (_, value) in &mut request.headers {
            *value = value.replace("/20260301/", "/20260302/");
        }
        check(&request, NOW, Err("does not match YYYYMMDD"));
        let bare = HttpRequest { headers: Vec::new(), ..request };
        check(&bare, NOW, Err("missing Authentication Token"));
    }
}
