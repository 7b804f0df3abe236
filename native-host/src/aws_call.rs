//! Calls to AWS: signed by the key, sent, and what AWS says when it refuses.
//!
//! Errors come in XML (STS and IAM; S3; EC2) or JSON, each with a code and a message ("Common Error Types", API references
//! of the services; "Error responses", Amazon S3 API Reference; AWS JSON protocol, Smithy specification).

use std::time::{Duration, Instant};

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::partition::is_aws_host;
use keyfob_core::sigv4::{AmzDate, Payload, Query, SignableRequest, Url};
use zeroize::Zeroizing;

use crate::doctor::clock;
use crate::error::failure;
use crate::front;
use crate::http::{Body, Http, Response, Unanswered};
use crate::profile::endpoint::{self, Variant};
use crate::query::{self, Repeat};
use crate::service;
use crate::signing::{Ask, Credentials, Request};

/// The region of those who name none.
pub const DEFAULT_REGION: &str = "us-east-1";
/// More than any error document has, in bytes.
pub(crate) const MAX_ERROR: u64 = 256 * 1024;
/// More than any answer that is read whole has, in bytes.
const MAX_ANSWER: u64 = 4 << 20;
/// What AWS lets a clock be off (IAM User Guide, "Elements of an AWS API request signature").
const TOLERANCE: u64 = 5 * 60;
/// Less is no clock that is off, but a request that took its time.
const SKEWED: u64 = 60;
/// STS's and IAM's code for an access key that they do not know.
pub(crate) const UNKNOWN_KEY: &str = "InvalidClientTokenId";
/// Longest message of a server that is passed on, in characters.
const LONGEST: usize = 600;

/// A call.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// Where it goes: `https://sts.eu-west-1.amazonaws.com/`.
    pub url: &'a str,
    /// Of the credential scope.
    pub region: &'a str,
    /// Of the credential scope: `sts`.
    pub service: &'a str,
    /// More headers, which are all signed.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// A refusal, with AWS's own code for it.
#[derive(Debug)]
pub struct Refused {
    /// `AccessDenied`; empty where it was not AWS that refused.
    pub code: String,
    /// What to show.
    pub failure: Failure,
    /// Whether AWS may have had the request.
    pub may_be_there: bool,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { code: String::new(), failure, may_be_there: true }
    }
}

impl From<Unanswered> for Refused {
    fn from(Unanswered { failure, may_be_there }: Unanswered) -> Self {
        Self { code: String::new(), failure, may_be_there }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

/// Signs a call, which may want a touch, and sends it. The answer's status is one of success.
///
/// # Errors
/// Those of whoever holds the key and of [`Http::send`]; [`ErrorCode::AwsRefused`] as [`refused`].
pub fn call(
    ask: &mut dyn Ask,
    credentials: &Credentials,
    http: &Http,
    call: &Call<'_>,
) -> Result<Response, Failure> {
    let prepared = Prepared::new(ask, credentials, call)?;
    prepared.send(http, call).map_err(Failure::from)
}

/// As [`call`], with the answer read whole; what fails in passing (throttling, an internal error, a connection that breaks off) is
/// sent again, twice at most, signed once.
///
/// # Errors
/// As [`call`].
pub fn call_patiently(
    ask: &mut dyn Ask,
    credentials: &Credentials,
    http: &Http,
    call: &Call<'_>,
    repeat: Repeat,
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    call_when_known(ask, credentials, http, call, repeat, Duration::ZERO)
}

/// As [`call_patiently`]; while AWS does not know the access key, which may be new, the same request is sent again until
/// `unknown` has passed: less than a signature is good for.
///
/// # Errors
/// As [`call`].
pub fn call_when_known(
    ask: &mut dyn Ask,
    credentials: &Credentials,
    http: &Http,
    call: &Call<'_>,
    repeat: Repeat,
    unknown: Duration,
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    const ATTEMPTS: u32 = 3;
    let prepared = Prepared::new(ask, credentials, call)?;
    let begin = Instant::now();
    let (mut next, mut looks) = (2, 0);
    loop {
        let answer = prepared.send(http, call).and_then(|mut response| Ok(response.read(MAX_ANSWER)?));
        let refused = match answer.map(Zeroizing::new) {
            Err(refused) if refused.code == UNKNOWN_KEY && begin.elapsed() < unknown => {
                looks += 1;
                let pause = Duration::from_millis(250 << looks.min(4));
                if !http.has(pause) {
                    return Err(refused);
                }
                std::thread::sleep(pause);
                continue;
            }
            Err(refused) if next <= ATTEMPTS && refused.is_passing(repeat) => refused,
            result => return result,
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap_or_default();
        let pause = query::pause(next, u64::from_ne_bytes(random));
        if !http.has(pause) {
            return Err(refused);
        }
        std::thread::sleep(pause);
        next += 1;
    }
}

impl Refused {
    /// Whether AWS may have done what it does not say to have done.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        match self.code.as_str() {
            // Nothing came back, or nothing that can be understood.
            "" => self.may_be_there && matches!(self.failure.code, ErrorCode::Io | ErrorCode::AwsRefused),
            "InternalFailure"
            | "InternalError"
            | "InternalServerError"
            | "ServiceFailure"
            // A proxy's too.
            | "ServiceUnavailable"
            | "RequestTimeout"
            | "RequestTimeoutException" => true,
            code => code == "Status408" || code.starts_with("Status5"),
        }
    }

    /// Whether another try may do.
    fn is_passing(&self, repeat: Repeat) -> bool {
        match self.code.as_str() {
            // A server that is too busy to look at a request has not done it.
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "PriorRequestNotComplete"
            // IAM's, of what was changed a moment ago.
            | "EntityTemporarilyUnmodifiable"
            | "ConcurrentModification"
            | "SlowDown" => true,
            "ServiceUnavailable" | "InternalFailure" | "InternalError" | "InternalServerError" | "ServiceFailure"
            | "RequestTimeout" | "RequestTimeoutException" => repeat == Repeat::Harmless,
            "" => self.failure.code == ErrorCode::Io && (repeat == Repeat::Harmless || !self.may_be_there),
            _ => false,
        }
    }
}

/// A call that is signed, and may be sent more than once.
struct Prepared {
    url: Url,
    headers: Vec<(String, String)>,
    by_session: bool,
}

impl Prepared {
    fn new(ask: &mut dyn Ask, credentials: &Credentials, call: &Call<'_>) -> Result<Self, Failure> {
        let invalid = |error: &dyn std::fmt::Display| failure(ErrorCode::InvalidInput, error, "");
        let url = Url::parse(call.url).map_err(|error| invalid(&error))?;
        let request = SignableRequest {
            method: call.method,
            host: url.host(),
            path: url.path(),
            query: Query::Sent(url.query()),
            headers: call.headers,
            payload: Payload::Bytes(call.body),
        };
        let date = AmzDate::from_unix(service::unix_time()).map_err(|error| invalid(&error))?;
        let signed = credentials.sign(
            ask,
            Request {
                request: &request,
                date: &date,
                region: call.region,
                service: call.service,
                body: Some(call.body),
            },
        )?;
        let mut headers: Vec<(String, String)> = Vec::with_capacity(call.headers.len() + 4);
        headers.extend(call.headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        headers.extend(signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Self { url, headers, by_session: credentials.session_token().is_some() })
    }

    fn send(&self, http: &Http, call: &Call<'_>) -> Result<Response, Refused> {
        let body = if call.body.is_empty() { Body::Empty } else { Body::Bytes(call.body) };
        let response = http.try_send(call.method, &self.url.to_string(), &self.headers, body)?;
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        let (mut refusal, response) = Refusal::of(response);
        refusal.by_session = self.by_session;
        let failure = refusal.failure(&response, service::unix_time());
        Err(Refused { code: refusal.code_or_status(response.status), failure, may_be_there: true })
    }
}

/// Whose access key it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CallerIdentity {
    /// The account's 12 digits.
    pub account: String,
    /// The user's or role's ARN.
    pub arn: String,
    /// `AIDA…`.
    pub user_id: String,
}

/// GetCallerIdentity, of the STS that is there.
pub(crate) fn identity_call<'a>(endpoint: &'a str, region: &'a str) -> Call<'a> {
    Call {
        method: "POST",
        url: endpoint,
        region,
        service: "sts",
        headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
        body: b"Action=GetCallerIdentity&Version=2011-06-15",
    }
}

/// Asks STS whose access key signs (GetCallerIdentity, which no policy can forbid).
///
/// # Errors
/// As [`call`].
pub fn caller_identity(
    ask: &mut dyn Ask,
    credentials: &Credentials,
    http: &Http,
    endpoint: &str,
    region: &str,
) -> Result<CallerIdentity, Failure> {
    let mut response = call(ask, credentials, http, &identity_call(endpoint, region))?;
    let answer = String::from_utf8(response.read(MAX_ANSWER)?).unwrap_or_default();
    let part = |name| {
        xml_text(&answer, name).filter(|text| !text.is_empty()).ok_or_else(|| {
            let message = format!("what {} answers is none of STS's answers", response.origin());
            failure(ErrorCode::AwsRefused, message, "see that the endpoint is that of STS")
        })
    };
    Ok(CallerIdentity { account: part("Account")?, arn: part("Arn")?, user_id: part("UserId")? })
}

/// Where STS is for a region: the endpoint that `AWS_ENDPOINT_URL_STS` or `AWS_ENDPOINT_URL` names, or a profile's
/// `endpoint_url`, or AWS's; `AWS_USE_FIPS_ENDPOINT` chooses among those.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for what cannot be a region's name.
pub fn sts_endpoint(profile: Option<&str>, region: &str) -> Result<String, Failure> {
    endpoint_of(profile, region, |name| front::env(name)?.into_string().ok())
}

fn endpoint_of(
    profile: Option<&str>,
    region: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let is_set = |name: &str| env(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let named = env("AWS_ENDPOINT_URL_STS").or_else(|| env("AWS_ENDPOINT_URL"));
    let named = named.or_else(|| profile.map(str::to_owned));
    if let Some(url) = named.filter(|_| !is_set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        return Ok(url);
    }
    let variant = Variant { fips: is_set("AWS_USE_FIPS_ENDPOINT"), ..Variant::default() };
    Ok(endpoint::sts(region, variant)?.url)
}

/// Whether the server at `endpoint` is AWS's STS, and nobody else can be in its place: by TLS, under one of its own names.
#[must_use]
pub fn is_sts(endpoint: &str, region: &str) -> bool {
    let Some(host) = endpoint.strip_prefix("https://").map(|rest| rest.trim_end_matches('/')) else {
        return false;
    };
    // Other names under AWS's may be a customer's: a bucket's, a virtual machine's.
    let names = [(false, false), (true, false), (false, true), (true, true)].into_iter().filter_map(
        |(fips, dual_stack)| endpoint::sts(region, Variant { fips, dual_stack, legacy: false }).ok(),
    );
    host == "sts.amazonaws.com"
        || names.map(|it| it.url).any(|url| url.strip_prefix("https://") == Some(host))
}

/// What a server that is no success of a call said, as the failure to show: its code, its message, and what to do. Whether the
/// clock is to blame is seen from the server's own.
#[must_use]
pub fn refused(response: Response) -> Failure {
    let (refusal, response) = Refusal::of(response);
    refusal.failure(&response, service::unix_time())
}

/// As [`refused`], for whoever has read the body.
#[must_use]
pub fn refused_with(response: &Response, body: &[u8]) -> Failure {
    let refusal = Refusal::read(response, &String::from_utf8_lossy(body));
    refusal.failure(response, service::unix_time())
}

/// An error document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Refusal {
    code: String,
    message: String,
    /// Where S3 wants the request to go.
    region: Option<String>,
    /// The host that a redirect leads to.
    elsewhere: Option<String>,
    /// Whether it was signed by temporary credentials.
    by_session: bool,
}

impl Refusal {
    /// What a response says, whose body is read for that.
    fn of(mut response: Response) -> (Self, Response) {
        let body = response.read(MAX_ERROR).unwrap_or_default();
        (Self::read(&response, &String::from_utf8_lossy(&body)), response)
    }

    fn read(response: &Response, body: &str) -> Self {
        // Services spell the names differently, and some spell one twice.
        let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let text = |names: &[&str]| {
            names.iter().find_map(|name| json.get(name)).and_then(|value| value.as_str()).map(str::to_owned)
        };
        // `AccessDeniedException:http://…` in the header, `com.amazonaws.sts#AccessDenied` in the body.
        let bare = |code: &str| {
            let code = code.split(':').next().unwrap_or_default();
            code.rsplit('#').next().unwrap_or_default().to_owned()
        };
        let code = response
            .header("x-amzn-errortype")
            .map(str::to_owned)
            .or_else(|| text(&["__type", "code", "Code"]))
            .or_else(|| xml_text(body, "Code"))
            .map(|code| bare(code.trim()));
        let message = text(&["message", "Message", "errorMessage"])
            .or_else(|| xml_text(body, "Message"))
            .unwrap_or_default();
        // What follows is the canonical request, with a session's token in it.
        let message = message.trim().lines().next().unwrap_or_default().chars().take(LONGEST).collect();
        let region =
            response.header("x-amz-bucket-region").map(str::to_owned).or_else(|| xml_text(body, "Region"));
        // No more than the host: the rest may have the request's signature in it.
        let elsewhere = response.header("location").filter(|_| (300..400).contains(&response.status));
        let elsewhere = elsewhere.and_then(|url| Url::parse(url).ok()).map(|url| url.host().to_owned());
        let code = code.unwrap_or_default().chars().take(100).collect();
        Self { code, message, region, elsewhere, by_session: false }
    }

    /// `now` is this computer's time.
    fn failure(&self, response: &Response, now: u64) -> Failure {
        let host = Url::parse(response.origin()).map(|url| url.host().to_owned()).unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        let who = if is_aws_host(host) { "AWS" } else { response.origin() };
        let said = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("{who} refused: status {}", response.status),
            ("", message) => format!("{who} refused: {message}"),
            (code, "") => format!("{who} refused: {code}"),
            (code, message) => format!("{who} refused: {code}: {message}"),
        };
        let off = response.date().map(|theirs| (now.abs_diff(theirs), now > theirs));
        let (bad, late) = self.is_about_time();
        let clock = match off {
            Some((off, ahead)) if late && off >= SKEWED || bad && off > TOLERANCE => {
                let direction = if ahead { "ahead of" } else { "behind" };
                Some(format!("this computer's clock is {} {direction} {who}'s", spelled(off)))
            }
            _ => None,
        };
        let Some(clock) = clock else {
            return failure(ErrorCode::AwsRefused, said, self.hint(response.status));
        };
        failure(
            ErrorCode::AwsRefused,
            format!("{said} ({clock})"),
            format!("set the clock: {}", clock::ADVICE),
        )
    }

    /// AWS's code; of a server's error without one (a proxy's page) the name that AWS has for it.
    fn code_or_status(&self, status: u16) -> String {
        match (self.code.as_str(), status) {
            ("", 429) => "TooManyRequestsException".to_owned(),
            ("", 503) => "ServiceUnavailable".to_owned(),
            ("", 500 | 502 | 504) => "InternalFailure".to_owned(),
            ("", status) => format!("Status{status}"),
            (code, _) => code.to_owned(),
        }
    }

    /// Whether it is about the signature, and whether it is about its time.
    fn is_about_time(&self) -> (bool, bool) {
        let says = |text: &str| self.message.contains(text);
        let late = match self.code.as_str() {
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => true,
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "AccessDenied" => {
                says("Signature expired") || says("Signature not yet current") || says("not yet valid")
            }
            _ => false,
        };
        let signature = matches!(
            self.code.as_str(),
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "AuthFailure" | "IncompleteSignature"
        );
        (late || signature, late)
    }

    /// What to do.
    fn hint(&self, status: u16) -> String {
        let says = |text: &str| self.message.contains(text);
        let hint = match self.code.as_str() {
            // STS says it in the message alone.
            "AccessDenied" if says("invalid MFA one time pass code") => {
                "AWS takes each code once: wait for the next one, half a minute at most, and try again. If it is never right: \
                 `keyfob doctor --clock`, then `keyfob aws resync`"
            }
            "AccessDenied" if says("unable to validate MFA code") => {
                "this MFA device is not, or not any more, that of the user whose access key signs: `aws iam list-mfa-devices` \
                 names it, mfa_serial in the profile is to be the same"
            }
            "AccessDenied" if says("sts:AssumeRole") => {
                "the role's trust policy must name who signs, and its user may need a policy that allows sts:AssumeRole; if they ask \
                 for MFA, let mfa_serial name the device in the profile"
            }
            "AccessDenied" if says("with session credentials") => {
                "only a long-term access key may ask for this: see that the profile begins with one"
            }
            "ValidationError" if says("role chaining") => {
                "a role that is assumed by another one's session lasts an hour at most: ask for less, duration_seconds = 3600"
            }
            "ValidationError" if says("MaxSessionDuration") => {
                "ask for less (--duration, duration_seconds), or let the role last longer: `aws iam update-role --max-session-duration`"
            }
            "InvalidAuthenticationCode" => {
                "the codes are not those of the device just now: see that the clock is right, `keyfob doctor --clock`"
            }
            "EntityTemporarilyUnmodifiable" => "AWS is at work on it: wait a minute, and try again",
            "LimitExceeded" if says("AccessKeysPerUser") => {
                "a user may have two access keys: delete the one that is no longer used, `aws iam list-access-keys` shows both"
            }
            "PackedPolicyTooLarge" => "give the session fewer or shorter tags",
            _ if self.is_about_time().1 => "try again; `keyfob doctor --clock` compares the clock with AWS's",
            "AccessDenied" if self.message.contains("expired") => "the link has expired: make a new one",
            // AWS forgets what has ended, and it is on no list.
            "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "AuthFailure"
                if self.by_session =>
            {
                "the session has ended, or belongs to another partition (then give its --region): get new credentials"
            }
            "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" | "AuthFailure" => {
                "this access key was deleted, is inactive, or belongs to another partition (then give its --region); \
                 `aws iam list-access-keys` shows it"
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" => {
                "the secret on the key is not that of this access key: put it there again with `keyfob aws add --force`; \
                 or something changed the request on its way"
            }
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "AuthorizationError"
            | "Forbidden"
            | "AllAccessDisabled" => {
                "the policies do not allow it; if they ask for MFA, sign with a session that was made with it: --credentials"
            }
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
                "the session has ended: get new credentials, or sign with the key"
            }
            "InvalidToken" | "InvalidSecurityToken" => {
                "the session token does not belong to these credentials, or the region is not enabled for them"
            }
            "OptInRequired" | "RegionDisabledException" => {
                "the account must enable that region or service first"
            }
            "NotSignedUp" => "the account must sign up for the service first, in AWS's console",
            "NoSuchBucket" | "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" => {
                "see that bucket, key and region are spelled right"
            }
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError"
            | "IllegalLocationConstraintException" => match &self.region {
                Some(region) if keyfob_core::partition::is_region(region) => {
                    return format!("the bucket is in another region: give --region {region}");
                }
                _ => match &self.elsewhere {
                    Some(host) => return format!("the bucket is at {host}: give its region, --region"),
                    None => "see that the region is right: --region",
                },
            },
            "Throttling"
            | "ThrottlingException"
            | "SlowDown"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "ServiceUnavailable"
            | "InternalFailure"
            | "InternalError" => "wait a little, and try again",
            _ if status >= 500 => "wait a little, and try again",
            _ => match &self.elsewhere {
                Some(host) => {
                    return format!(
                        "it leads to {host}, for which this is not signed: give the region or the endpoint of that"
                    );
                }
                None => "",
            },
        };
        hint.to_owned()
    }
}

/// `12 min`, for how far a clock is off.
fn spelled(seconds: u64) -> String {
    match Duration::from_secs(seconds).as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// The text of the first element of that name in AWS's plain XML: no attributes are looked at, nor what is inside comments
/// or CDATA, which AWS's short answers have not.
#[must_use]
pub fn xml_text(xml: &str, name: &str) -> Option<String> {
    let mut rest = xml;
    let open = format!("<{name}");
    loop {
        rest = rest.get(rest.find(&open)? + open.len()..)?;
        // Not `<CodeOfConduct>`.
        if rest.starts_with(['>', ' ', '\t', '\r', '\n', '/']) {
            break;
        }
    }
    let (tag, inside) = rest.split_once('>')?;
    if tag.ends_with('/') {
        return Some(String::new());
    }
    let (text, after) = inside.split_once('<')?;
    after.strip_prefix('/')?.starts_with(name).then(|| unescape(text))
}

/// Text with XML's own entities and character references resolved; others stay as they are.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').and_then(|(name, behind)| {
            let c = match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                name => {
                    let number = name.strip_prefix('#')?;
                    let code = match number.strip_prefix('x') {
                        Some(hex) => u32::from_str_radix(hex, 16),
                        None => number.parse(),
                    };
                    char::from_u32(code.ok()?)?
                }
            };
            Some((c, behind))
        });
        match entity {
            Some((c, behind)) => {
                out.push(c);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of an answer, by a clock that says `now`; the server's says 2015-08-30 12:36:00.
    fn failure_of(status: u16, headers: &[(&str, &str)], body: &str, now: u64) -> Failure {
        let mut all = vec![("date".to_owned(), "Sun, 30 Aug 2015 12:36:00 GMT".to_owned())];
        all.extend(headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let response =
            Response::new(status, all, body.as_bytes().to_vec(), "https://sts.eu-west-1.amazonaws.com");
        Refusal::read(&response, body).failure(&response, now)
    }

    const NOW: u64 = 1_440_938_160;

    #[test]
    fn what_may_be_done_is_told_from_what_is_not() {
        #[track_caller]
        fn check(code: &str, error: ErrorCode, expected: bool) {
            let mut refused =
                Refused { code: code.to_owned(), failure: failure(error, "", ""), may_be_there: true };
            assert_eq!(refused.may_be_done(), expected, "{code} {error:?}");
            // What has not gone anywhere is not done, and may go again whatever it does.
            refused.may_be_there = false;
            if code.is_empty() {
                assert!(!refused.may_be_done());
                assert_eq!(refused.is_passing(Repeat::Harmful), error == ErrorCode::Io, "{error:?}");
            }
        }
        check("", ErrorCode::Io, true);
        check("", ErrorCode::AwsRefused, true);
        check("", ErrorCode::TouchTimeout, false);
        check("", ErrorCode::KeyRemoved, false);
        check("InternalFailure", ErrorCode::AwsRefused, true);
        check("ServiceUnavailable", ErrorCode::AwsRefused, true);
        check("Status599", ErrorCode::AwsRefused, true);
        check("Status400", ErrorCode::AwsRefused, false);
        check("AccessDenied", ErrorCode::AwsRefused, false);
        check("EntityAlreadyExists", ErrorCode::AwsRefused, false);
    }

    #[test]
    fn refusals_are_read_in_every_form() {
        #[track_caller]
        fn check(headers: &[(&str, &str)], body: &str, message: &str, hint: &str) {
            let failure = failure_of(403, headers, body, NOW);
            assert_eq!((failure.code, failure.message.as_str()), (ErrorCode::AwsRefused, message), "{body}");
            assert!(failure.hint.as_deref().unwrap_or_default().contains(hint), "{failure:?}");
        }
        // STS, as its API reference has it.
        check(
            &[],
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n <Error>\n  <Type>Sender</Type>\n  \
             <Code>InvalidClientTokenId</Code>\n  <Message>The security token included in the request is invalid.</Message>\n \
             </Error>\n <RequestId>x</RequestId>\n</ErrorResponse>",
            "AWS refused: InvalidClientTokenId: The security token included in the request is invalid.",
            "list-access-keys",
        );
        // S3.
        check(
            &[],
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>The \
             authorization header is malformed; the region &apos;us-east-1&apos; is wrong; expecting &#39;eu-west-1&#x27;\
             </Message><Region>eu-west-1</Region><RequestId>x</RequestId></Error>",
            "AWS refused: AuthorizationHeaderMalformed: The authorization header is malformed; the region 'us-east-1' is \
             wrong; expecting 'eu-west-1'",
            "--region eu-west-1",
        );
        // EC2.
        check(
            &[],
            "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>No.</Message></Error></Errors></Response>",
            "AWS refused: UnauthorizedOperation: No.",
            "MFA",
        );
        // JSON: DynamoDB; one whose code is in a header; one with both spellings.
        check(
            &[],
            r##"{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","Message":"No."}"##,
            "AWS refused: AccessDeniedException: No.",
            "policies",
        );
        check(
            &[("x-amzn-errortype", "ExpiredTokenException:http://internal.amazon.com/coral/")],
            r#"{"message":"The security token included in the request is expired"}"#,
            "AWS refused: ExpiredTokenException: The security token included in the request is expired",
            "has ended",
        );
        check(
            &[],
            r#"{"__type":"ThrottlingException","code":"x","message":"a","Message":"b"}"#,
            "AWS refused: ThrottlingException: a",
            "wait",
        );
        // Nothing, something else, and what is broken.
        check(&[], "", "AWS refused: status 403", "");
        check(&[], "<html>no</html>", "AWS refused: status 403", "");
        check(&[], "<Error><Code>", "AWS refused: status 403", "");
        check(&[], "<Error><Code/><CodeOfConduct>x</CodeOfConduct></Error>", "AWS refused: status 403", "");
        check(&[], "{\"__type\":{\"a\":[1]}}", "AWS refused: status 403", "");
        check(
            &[("x-amz-bucket-region", "a b")],
            "<Error><Code>PermanentRedirect</Code></Error>",
            "AWS refused: PermanentRedirect",
            "region is right",
        );
    }

    #[test]
    fn what_follows_the_message_may_be_secret() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match. \
                    Consult the documentation.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n\
                    x-amz-security-token:5ec7e7'</Message></Error>";
        let failure = failure_of(403, &[], body, NOW);
        assert!(failure.message.ends_with("Consult the documentation."), "{failure:?}");
        assert!(failure.hint.unwrap().contains("keyfob aws add --force"));
        let long = format!("<Error><Code>X</Code><Message>{}</Message></Error>", "é".repeat(9000));
        assert!(failure_of(403, &[], &long, NOW).message.chars().count() < 700);
    }

    #[test]
    fn a_clock_that_is_off_is_said() {
        #[track_caller]
        fn check(code: &str, message: &str, now: u64, expected: Option<&str>) {
            let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            let failure = failure_of(403, &[], &body, now);
            let clock = failure.message.split_once(" (").map(|(_, clock)| clock.trim_end_matches(')'));
            assert_eq!(clock, expected, "{failure:?}");
            assert_eq!(failure.hint.unwrap().starts_with("set the clock"), expected.is_some());
        }
        check("RequestTimeTooSkewed", "", NOW - 750, Some("this computer's clock is 12 min behind AWS's"));
        check("RequestExpired", "", NOW + 7200, Some("this computer's clock is 2 h ahead of AWS's"));
        let expired = "Signature expired: 20150830T121100Z is now earlier than 20150830T122600Z";
        check("SignatureDoesNotMatch", expired, NOW - 90, Some("this computer's clock is 90 s behind AWS's"));
        let early = "Signature not yet current: 20150830T124100Z is still later than 20150830T123600Z";
        check(
            "InvalidSignatureException",
            early,
            NOW + 400_000,
            Some("this computer's clock is 4 days ahead of AWS's"),
        );
        // The clock is right, and the request took its time.
        check("RequestTimeTooSkewed", "", NOW - 20, None);
        // A wrong clock may be why, but only if it is wrong enough.
        check("SignatureDoesNotMatch", "", NOW - 300, None);
        check("SignatureDoesNotMatch", "", NOW - 301, Some("this computer's clock is 5 min behind AWS's"));
        // That has other reasons, whatever the clock.
        check("AccessDenied", "no", NOW - 3000, None);
    }

    #[test]
    fn who_is_sts() {
        #[track_caller]
        fn check(endpoint: &str, region: &str, expected: bool) {
            assert_eq!(is_sts(endpoint, region), expected, "{endpoint}");
        }
        for region in ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"] {
            for env in [&[][..], &[("AWS_USE_FIPS_ENDPOINT", "true")]] {
                let env =
                    |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
                check(&endpoint_of(None, region, env).unwrap(), region, true);
            }
        }
        check("https://sts.amazonaws.com/", "us-east-1", true);
        check("http://sts.eu-west-1.amazonaws.com", "eu-west-1", false);
        check("https://sts.eu-west-1.amazonaws.com", "us-east-1", false);
        check("https://sts.s3.amazonaws.com", "us-east-1", false);
        check("https://sts.eu-west-1.amazonaws.com@evil.example", "eu-west-1", false);
        check("https://sts.eu-west-1.amazonaws.com:8443", "eu-west-1", false);
        check("https://sts.eu-west-1.amazonaws.com.evil.example", "eu-west-1", false);
        check("https://evil.example/https://sts.amazonaws.com", "us-east-1", false);
        // As a region that a profile gives may be.
        check("https://sts.evil.example/.amazonaws.com", "evil.example/", false);
    }

    #[test]
    fn where_a_redirect_leads_is_said() {
        #[track_caller]
        fn check(status: u16, body: &str, location: &str, hint: &str) {
            let failure = failure_of(status, &[("location", location)], body, NOW);
            assert_eq!(failure.hint.as_deref().unwrap_or_default(), hint, "{failure:?}");
        }
        let elsewhere = "https://b.s3.eu-central-1.amazonaws.com/k?X-Amz-Signature=5ec7e7";
        let host = "b.s3.eu-central-1.amazonaws.com";
        let leads = |host| {
            format!(
                "it leads to {host}, for which this is not signed: give the region or the endpoint of that"
            )
        };
        check(307, "", elsewhere, &leads(host));
        check(302, "<html/>", "http://[::1]:8/", &leads("[::1]:8"));
        check(307, "", "/elsewhere", "");
        check(403, "", elsewhere, "");
        let redirect = "<Error><Code>TemporaryRedirect</Code></Error>";
        check(307, redirect, elsewhere, &format!("the bucket is at {host}: give its region, --region"));
        check(307, redirect, "", "see that the region is right: --region");
        let known = "<Error><Code>PermanentRedirect</Code><Region>eu-west-1</Region></Error>";
        check(301, known, elsewhere, "the bucket is in another region: give --region eu-west-1");
        let unsigned = "<Error><Code>NotSignedUp</Code></Error>";
        check(403, unsigned, "", "the account must sign up for the service first, in AWS's console");
    }

    #[test]
    fn a_session_that_aws_forgot_is_on_no_list() {
        let body = "<Error><Code>InvalidClientTokenId</Code></Error>";
        let response = Response::new(403, Vec::new(), body.as_bytes().to_vec(), "https://sts.amazonaws.com");
        let (mut refusal, response) = Refusal::of(response);
        assert!(refusal.failure(&response, NOW).hint.unwrap().contains("list-access-keys"));
        refusal.by_session = true;
        let hint = refusal.failure(&response, NOW).hint.unwrap();
        assert!(hint.contains("get new credentials") && !hint.contains("list"), "{hint}");
    }

    #[test]
    fn endpoints_of_sts() {
        #[track_caller]
        fn check(region: &str, env: &[(&str, &str)], expected: Result<&str, &str>) {
            let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
            let profile = Some("http://p:3").filter(|_| region == "p");
            let actual = endpoint_of(profile, region, env).map_err(|failure| failure.message);
            assert_eq!(actual.as_deref().map_err(String::as_str), expected, "{region}");
        }
        check("us-east-1", &[], Ok("https://sts.us-east-1.amazonaws.com"));
        check("cn-north-1", &[], Ok("https://sts.cn-north-1.amazonaws.com.cn"));
        check("eusc-de-east-1", &[], Ok("https://sts.eusc-de-east-1.amazonaws.eu"));
        let fips = [("AWS_USE_FIPS_ENDPOINT", "true")];
        check("eu-west-1", &fips, Ok("https://sts-fips.eu-west-1.amazonaws.com"));
        check("us-gov-west-1", &fips, Ok("https://sts.us-gov-west-1.amazonaws.com"));
        let both = [("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_STS", "http://b:2")];
        check("x", &both, Ok("http://b:2"));
        check("x", &[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_STS", "")], Ok("http://a:1"));
        let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE");
        check("us-east-1", &[both[0], ignored], Ok("https://sts.us-east-1.amazonaws.com"));
        check("p", &[], Ok("http://p:3"));
        check("p", &both[..1], Ok("http://a:1"));
        check("evil.example/", &[], Err("\"evil.example/\" is no region"));
        check("", &[], Err("\"\" is no region"));
    }
}
