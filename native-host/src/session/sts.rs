//! The calls of STS that make sessions.
//!
//! Source: AWS Security Token Service API Reference, version 2011-06-15: GetSessionToken, AssumeRole, GetFederationToken.

use keyfob_core::message::{ErrorCode, Failure, Password, Session};
use zeroize::Zeroizing;

use crate::aws_call::{Refused, xml_text};
use crate::cli::time;
use crate::error::failure;
use crate::http::Http;
use crate::profile::{Endpoint, Role};
use crate::query::{Repeat, Server};
use crate::service;
use crate::signing::{Ask, Credentials};

const VERSION: &str = "2011-06-15";
/// What a session without a name of its own is called in AWS's logs, with the time behind it.
const NAME: &str = "keyfob";

/// A code that proves an MFA device.
#[derive(Debug)]
pub(crate) struct Proof {
    /// `arn:aws:iam::123456789012:mfa/alice`.
    pub(crate) serial: String,
    /// Good once, and for a minute or two.
    pub(crate) code: Password,
}

/// STS at one place, asked with one set of credentials.
pub(super) struct Sts<'a> {
    pub(super) http: &'a Http,
    pub(super) endpoint: &'a Endpoint,
    pub(super) credentials: &'a Credentials,
}

impl Sts<'_> {
    /// The session of an identity, for 900 to 129,600 seconds.
    pub(super) fn session_token(
        &self,
        ask: &mut dyn Ask,
        duration: u32,
        proof: Option<&Proof>,
    ) -> Result<Session, Refused> {
        let duration = duration.to_string();
        let mut parameters = vec![("DurationSeconds", duration.as_str())];
        parameters.extend(proved(proof));
        // By a code once used a second answer cannot be had.
        let answer = self.call(ask, "GetSessionToken", &parameters, once_if(proof))?;
        // The device is one of the identity's own account.
        let account = proof.and_then(|proof| account_of(&proof.serial));
        Ok(self.session("GetSessionToken", &answer, account)?)
    }

    /// The session of a role, for `duration` seconds, or as long as AWS has it by itself: an hour.
    pub(super) fn assume_role(
        &self,
        ask: &mut dyn Ask,
        role: &Role,
        duration: Option<u32>,
        proof: Option<&Proof>,
    ) -> Result<Session, Refused> {
        let name = role.session_name.clone().unwrap_or_else(|| format!("{NAME}-{}", service::unix_time()));
        let mut parameters =
            vec![("RoleArn".to_owned(), role.arn.clone()), ("RoleSessionName".to_owned(), name)];
        let optional = [
            ("DurationSeconds", duration.map(|seconds| seconds.to_string())),
            ("ExternalId", role.external_id.clone()),
            ("SourceIdentity", role.source_identity.clone()),
        ];
        parameters.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        for (number, (key, value)) in (1..).zip(&role.tags) {
            parameters.push((format!("Tags.member.{number}.Key"), key.clone()));
            parameters.push((format!("Tags.member.{number}.Value"), value.clone()));
        }
        for (number, key) in (1..).zip(&role.transitive_tags) {
            parameters.push((format!("TransitiveTagKeys.member.{number}"), key.clone()));
        }
        let given = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let parameters: Vec<(&str, &str)> = given.chain(proved(proof)).collect();
        let answer = self.call(ask, "AssumeRole", &parameters, once_if(proof))?;
        Ok(self.session("AssumeRole", &answer, account_of(&role.arn))?)
    }

    fn call(
        &self,
        ask: &mut dyn Ask,
        action: &str,
        parameters: &[(&str, &str)],
        repeat: Repeat,
    ) -> Result<Zeroizing<String>, Refused> {
        self.server().call(ask, self.credentials, action, parameters, repeat)
    }

    fn server(&self) -> Server<'_> {
        Server {
            http: self.http,
            endpoint: &self.endpoint.url,
            region: &self.endpoint.region,
            service: "sts",
            version: VERSION,
        }
    }

    fn session(&self, action: &str, answer: &str, account_id: Option<String>) -> Result<Session, Failure> {
        let server = self.server();
        let part = |name| server.part(action, answer, name);
        let end = part("Expiration")?;
        let expires_at = time::parse(&end).map_err(|_| {
            failure(ErrorCode::AwsRefused, format!("{action} gives a session whose end is no time"), "")
        })?;
        Ok(Session {
            access_key_id: part("AccessKeyId")?,
            secret_access_key: Password(part("SecretAccessKey")?),
            session_token: Some(Password(part("SessionToken")?)),
            expires_at: Some(expires_at),
            account_id: account_id.or_else(|| account_of(&xml_text(answer, "Arn")?)),
        })
    }
}

fn proved(proof: Option<&Proof>) -> impl Iterator<Item = (&str, &str)> {
    proof
        .into_iter()
        .flat_map(|proof| [("SerialNumber", proof.serial.as_str()), ("TokenCode", proof.code.0.as_str())])
}

fn once_if(proof: Option<&Proof>) -> Repeat {
    if proof.is_some() { Repeat::Harmful } else { Repeat::Harmless }
}

/// The account's 12 digits in an ARN (`arn:aws:iam::123456789012:role/ops`).
pub(crate) fn account_of(arn: &str) -> Option<String> {
    let account = arn.strip_prefix("arn:")?.split(':').nth(3)?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then(|| account.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_arns() {
        for (arn, account) in [
            ("arn:aws:iam::123456789012:role/ops", Some("123456789012")),
            ("arn:aws-cn:iam::123456789012:mfa/a:b", Some("123456789012")),
            ("arn:aws:iam::12345678901:role/ops", None),
            ("arn:aws:iam", None),
            ("GAHT12345678", None),
            ("", None),
        ] {
            assert_eq!(account_of(arn).as_deref(), account, "{arn}");
        }
    }
}
