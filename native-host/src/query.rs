//! AWS's Query protocol, which STS and IAM speak: a form goes in, XML comes out; what fails in passing is sent again.
//!
//! A request that is sent again is the very same, with the same signature: it is good for five minutes, and another one might
//! cost another touch.
//!
//! Sources: "Making query requests", IAM User Guide; "Retry behavior", AWS SDKs and Tools Reference Guide (standard mode: three
//! attempts, exponential backoff from one second at most 20, full jitter).

use std::time::Duration;

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::sigv4::encode_query;
use zeroize::Zeroizing;

use crate::aws_call::{self, Call, Refused};
use crate::error::failure;
use crate::http::Http;
use crate::signing::{Ask, Credentials};

/// Where a service is.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// By what it is reached.
    pub http: &'a Http,
    /// Where: `https://sts.eu-west-1.amazonaws.com`.
    pub endpoint: &'a str,
    /// Of the credential scope.
    pub region: &'a str,
    /// Of the credential scope: `sts`.
    pub service: &'a str,
    /// Of the API: `2011-06-15`.
    pub version: &'a str,
}

/// What a request does that is sent twice, for its first answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same as once.
    Harmless,
    /// Something more: one whose answer was lost is not sent again.
    Harmful,
}

impl Server<'_> {
    /// Calls an action with its parameters, names and values unencoded. Gives the XML of the answer.
    ///
    /// # Errors
    /// [`Refused`], with AWS's code where AWS has refused.
    pub fn call(
        &self,
        ask: &mut dyn Ask,
        credentials: &Credentials,
        action: &str,
        parameters: &[(&str, &str)],
        repeat: Repeat,
    ) -> Result<Zeroizing<String>, Refused> {
        let mut body = Zeroizing::new(format!("Action={action}&Version={}", self.version).into_bytes());
        for (name, value) in parameters {
            body.push(b'&');
            encode_query(&mut body, name.as_bytes());
            body.push(b'=');
            encode_query(&mut body, value.as_bytes());
        }
        let call = Call {
            method: "POST",
            url: self.endpoint,
            region: self.region,
            service: self.service,
            headers: &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: &body,
        };
        let answer = aws_call::call_patiently(ask, credentials, self.http, &call, repeat)?;
        let text = str::from_utf8(&answer).map_err(|_| self.nonsense(action))?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// The text of an element that an answer must have.
    ///
    /// # Errors
    /// [`ErrorCode::AwsRefused`] if it has none: then this is another server.
    pub fn part(&self, action: &str, answer: &str, name: &str) -> Result<String, Failure> {
        let text = aws_call::xml_text(answer, name).filter(|text| !text.is_empty());
        text.ok_or_else(|| self.nonsense(action))
    }

    fn nonsense(&self, action: &str) -> Failure {
        let message = format!("what {} answers to {action} is none of AWS's answers", self.origin());
        failure(ErrorCode::AwsRefused, message, "see that the endpoint is the right one")
    }

    /// Scheme and host, for messages.
    fn origin(&self) -> &str {
        let after = self.endpoint.find("://").map_or(0, |at| at + 3);
        let end = self.endpoint.get(after..).and_then(|rest| rest.find('/')).map(|at| after + at);
        self.endpoint.get(..end.unwrap_or(self.endpoint.len())).unwrap_or_default()
    }
}

/// How long to wait before attempt `next` (2, 3, …); `random` is any number.
pub(crate) fn pause(next: u32, random: u64) -> Duration {
    const MOST: u64 = 20_000;
    let most = 1000_u64.saturating_mul(1 << next.saturating_sub(2).min(16)).min(MOST);
    Duration::from_millis(random % (most + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        for (next, most) in [(2, 1000), (3, 2000), (4, 4000), (9, 20_000), (40, 20_000)] {
            assert_eq!(pause(next, most), Duration::from_millis(most), "{next}");
            assert_eq!(pause(next, most + 1), Duration::ZERO, "{next}");
        }
    }
}
