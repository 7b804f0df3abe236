//! Signing, as a front end sees it: by an access key whose secret is on a key, or by temporary credentials.
//!
//! What a key signs is asked of whoever holds it ([`Ask`]): one signature, or the signing keys of one operation, whose
//! scopes are declared beforehand. Temporary credentials have a secret of their own, and sign here.

use keyfob_core::message::{
    self, Answer, ErrorCode, Failure, Identity, Op, Password, Scheme, SignatureVersion, SigningScope,
};
use keyfob_core::s3::{EndpointKind, PresignRequest};
use keyfob_core::secret::Secret;
use keyfob_core::sigv2;
use keyfob_core::sigv4::{
    AmzDate, DateKey, Scope, SignableRequest, Signature, SignedHeaders, Signer, SigningKey, is_session_token,
};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::failure;
use crate::service::duration;

/// Longest body in bytes that is sent along, so that the prompt says what it asks for.
const MAX_SHOWN_BODY: usize = 64 * 1024;

/// Whoever answers requests, in the name of a person: shows prompts, asks for passwords.
pub trait Ask {
    /// Asks.
    ///
    /// # Errors
    /// That of the answer.
    fn ask(&mut self, op: Op) -> Result<Answer, Failure>;
}

/// Who signs.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An access key whose secret is on a key.
    Key {
        /// `AKIA…`.
        access_key_id: String,
    },
    /// Temporary credentials.
    Session(Session),
}

/// Temporary credentials, of STS or another service: their secret is in memory.
#[derive(Debug, Clone)]
pub struct Session {
    /// `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token; none where they are long-term credentials after all.
    pub session_token: Option<Secret>,
    /// When they end: Unix time in seconds.
    pub expires_at: Option<u64>,
}

/// What `credential_process` and `aws sts …` print.
#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "AccessKeyId")]
    access_key_id: String,
    #[serde(rename = "SecretAccessKey")]
    secret_access_key: Password,
    #[serde(rename = "SessionToken")]
    session_token: Option<Password>,
    #[serde(rename = "Expiration")]
    expiration: Option<String>,
}

#[derive(Deserialize)]
struct PrintedBySts {
    #[serde(rename = "Credentials")]
    credentials: Printed,
}

impl Session {
    /// From the JSON of `credential_process`, or of the `aws sts` commands, which have it in `Credentials`.
    ///
    /// # Errors
    /// If it is neither; nothing of it is in the message.
    pub fn parse(json: &[u8]) -> Result<Self, Failure> {
        let printed = serde_json::from_slice::<PrintedBySts>(json)
            .map(|outer| outer.credentials)
            .or_else(|_| serde_json::from_slice::<Printed>(json))
            .map_err(|_| {
                failure(
                    ErrorCode::InvalidInput,
                    "these are no credentials",
                    "give the JSON of a credential_process, or of `aws sts assume-role` and the like",
                )
            })?;
        let expires_at = printed.expiration.as_deref().map(|text| end("Expiration", text)).transpose()?;
        let secret = |text: &Password| Secret::from(text.0.clone());
        Self {
            secret_access_key: secret(&printed.secret_access_key),
            session_token: printed.session_token.as_ref().map(secret),
            access_key_id: printed.access_key_id,
            expires_at,
        }
        .checked()
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` and `AWS_CREDENTIAL_EXPIRATION`.
    ///
    /// # Errors
    /// If they are not there, or are none.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let (Some(access_key_id), Some(secret)) = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"))
        else {
            return Err(failure(
                ErrorCode::NotFound,
                "there are no credentials in the environment",
                "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or sign with the key",
            ));
        };
        const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";
        let expires_at = env(EXPIRATION).map(|text| end(EXPIRATION, &text)).transpose()?;
        let session_token = env("AWS_SESSION_TOKEN").map(Secret::from);
        Self { access_key_id, secret_access_key: Secret::from(secret), session_token, expires_at }.checked()
    }

    /// As the protocol has it.
    #[must_use]
    pub fn to_message(&self) -> message::Session {
        let text = |secret: &Secret| Password(String::from_utf8_lossy(secret.expose()).into_owned());
        message::Session {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: text(&self.secret_access_key),
            session_token: self.session_token.as_ref().map(text),
            expires_at: self.expires_at,
            account_id: None,
        }
    }

    fn checked(self) -> Result<Self, Failure> {
        let invalid = |text: &str| Err(failure(ErrorCode::InvalidInput, text, "copy the credentials again"));
        if self.secret_access_key.is_empty() {
            return invalid("the secret access key is empty");
        }
        if self.token().is_some_and(|token| !is_session_token(token)) {
            return invalid("the session token is none");
        }
        Ok(self)
    }

    fn token(&self) -> Option<&str> {
        // One that is not text was refused.
        self.session_token.as_ref().map(|token| std::str::from_utf8(token.expose()).unwrap_or_default())
    }
}

impl From<&message::Session> for Session {
    fn from(session: &message::Session) -> Self {
        let secret = |text: &Password| Secret::from(text.0.clone());
        Self {
            access_key_id: session.access_key_id.clone(),
            secret_access_key: secret(&session.secret_access_key),
            session_token: session.session_token.as_ref().map(secret),
            expires_at: session.expires_at,
        }
    }
}

/// The only one of a key's identities that can sign so.
///
/// # Errors
/// [`ErrorCode::NotFound`] if there is none, [`ErrorCode::Ambiguous`] if there are several.
pub(crate) fn only_identity(
    identities: Vec<Identity>,
    signature: SignatureVersion,
) -> Result<String, Failure> {
    let other = identities.iter().any(|identity| identity.signature != signature);
    let mut ids: Vec<_> = identities
        .into_iter()
        .filter(|identity| identity.signature == signature)
        .map(|identity| identity.access_key_id)
        .collect();
    match ids.len() {
        0 => {
            let (message, hint) = match signature {
                SignatureVersion::HmacV1 => (
                    "there is no AWS access key for Signature Version 2 on this key",
                    "put one there with `keyfob aws add --signature v2 AKIA…`",
                ),
                _ if other => (
                    "the AWS access keys on this key are there for Signature Version 2 only",
                    "put the secret there for SigV4 too: `keyfob aws add AKIA…`",
                ),
                _ => ("there is no AWS access key on this key", "put one there with `keyfob aws add AKIA…`"),
            };
            Err(failure(ErrorCode::NotFound, message, hint))
        }
        1 => Ok(ids.remove(0)),
        _ => Err(Failure {
            candidates: ids,
            ..failure(
                ErrorCode::Ambiguous,
                "there are several AWS access keys on this key",
                "choose one with --identity",
            )
        }),
    }
}

/// One request to be signed in its headers.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As it will be sent.
    pub request: &'a SignableRequest<'a>,
    /// Its time.
    pub date: &'a AmzDate,
    /// Such as `eu-west-1`.
    pub region: &'a str,
    /// Such as `sts`.
    pub service: &'a str,
    /// The body where it is at hand, for the prompt.
    pub body: Option<&'a [u8]>,
}

/// When a session ends, as `field` has it. One that is not understood is not left out: links would promise too much.
fn end(field: &str, text: &str) -> Result<u64, Failure> {
    crate::cli::time::parse(text)
        .map_err(|hint| failure(ErrorCode::InvalidInput, format!("the {field} is no time"), hint))
}

fn invalid(error: impl std::fmt::Display) -> Failure {
    failure(ErrorCode::InvalidInput, error, "")
}

fn unexpected() -> Failure {
    let text = "the service answered something else than it was asked";
    failure(ErrorCode::Internal, text, "please report this")
}

impl Credentials {
    /// `AKIA…` or `ASIA…`.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        match self {
            Self::Key { access_key_id } => access_key_id,
            Self::Session(session) => &session.access_key_id,
        }
    }

    /// That of temporary credentials.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        match self {
            Self::Key { .. } => None,
            Self::Session(session) => session.token(),
        }
    }

    /// When what they sign works no more, whatever is said in it: Unix time in seconds.
    #[must_use]
    pub fn expires_at(&self) -> Option<u64> {
        match self {
            Self::Key { .. } => None,
            Self::Session(session) => session.expires_at,
        }
    }

    /// Refuses a link that would outlive the credentials: it would not work as long as it says.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`], with how long it can last.
    pub fn check_expiry(&self, time: u64, expires: u64) -> Result<(), Failure> {
        match self.expires_at() {
            Some(end) if end <= time => Err(failure(
                ErrorCode::InvalidInput,
                "the session has ended: what it signs works no more",
                "get new credentials, or sign with the key",
            )),
            Some(end) if time.saturating_add(expires) > end => {
                let left = duration(end - time);
                Err(failure(
                    ErrorCode::InvalidInput,
                    format!(
                        "the session ends in {left}, and so do its links: this one would not last as long as it says"
                    ),
                    format!("give --expires {}s, or sign with the key", end - time),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The keys of one operation that signs many times, for the day of `date`, in the order of `scopes` (region and
    /// service). One touch for all; `purpose` completes "asks to sign …".
    ///
    /// # Errors
    /// Those of whoever holds the key.
    pub fn signing_keys(
        &self,
        ask: &mut dyn Ask,
        date: &AmzDate,
        scopes: &[(&str, &str)],
        purpose: &str,
    ) -> Result<Vec<SigningKey>, Failure> {
        let scope = |region: &str, service: &str| Scope::new(date, region, service).map_err(invalid);
        match self {
            Self::Session(session) => {
                let date_key = DateKey::from_secret(session.secret_access_key.expose(), *date);
                scopes
                    .iter()
                    .map(|(region, service)| date_key.signing_key(region, service).map_err(invalid))
                    .collect()
            }
            Self::Key { access_key_id } => {
                let declared = scopes.iter().map(|(region, service)| SigningScope {
                    region: (*region).to_owned(),
                    service: (*service).to_owned(),
                });
                let answer = ask.ask(Op::SigningKeys {
                    access_key_id: access_key_id.clone(),
                    at: date.unix(),
                    scopes: declared.collect(),
                    purpose: purpose.to_owned(),
                })?;
                let Answer::SigningKeys { keys } = answer else { return Err(unexpected()) };
                if keys.len() != scopes.len() {
                    return Err(unexpected());
                }
                scopes
                    .iter()
                    .zip(&keys)
                    .map(|((region, service), Password(hex))| {
                        let key = unhex::<32>(hex).ok_or_else(unexpected)?;
                        Ok(SigningKey::new(scope(region, service)?, *key))
                    })
                    .collect()
            }
        }
    }

    /// Signs one request in its headers. The prompt says what it is.
    ///
    /// # Errors
    /// What keeps it from being signed; those of whoever holds the key.
    pub fn sign<'c>(&'c self, ask: &mut dyn Ask, it: Request<'_>) -> Result<SignedHeaders<'c>, Failure> {
        let scope = Scope::new(it.date, it.region, it.service).map_err(invalid)?;
        let signer = Signer::new(self.access_key_id(), self.session_token(), it.service);
        let prepared = signer.prepare(it.request, it.date, &scope).map_err(invalid)?;
        let signature = match self {
            Self::Session(session) => DateKey::from_secret(session.secret_access_key.expose(), *it.date)
                .signing_key(it.region, it.service)
                .map_err(invalid)?
                .sign(prepared.string_to_sign()),
            Self::Key { access_key_id } => {
                let body = it.body.filter(|body| body.len() <= MAX_SHOWN_BODY);
                let answer = ask.ask(Op::Sign {
                    access_key_id: access_key_id.clone(),
                    region: it.region.to_owned(),
                    service: it.service.to_owned(),
                    canonical_request: Password(prepared.canonical_request().to_owned()),
                    body: body
                        .and_then(|body| std::str::from_utf8(body).ok())
                        .map(|body| Password(body.to_owned())),
                })?;
                let Answer::Signed { signature } = answer else { return Err(unexpected()) };
                Signature::from_bytes(*unhex::<32>(&signature).ok_or_else(unexpected)?)
            }
        };
        Ok(prepared.finish(&signature))
    }

    /// Makes a link, and says when it stops working, Unix time in seconds. The request's identity and token are these
    /// credentials'.
    ///
    /// # Errors
    /// What keeps it from being signed, a life beyond the session's; those of whoever holds the key.
    pub fn presign(&self, ask: &mut dyn Ask, request: &PresignRequest<'_>) -> Result<(String, u64), Failure> {
        self.check_expiry(request.time, request.expires)?;
        let token = self.session_token();
        let request =
            PresignRequest { access_key_id: self.access_key_id(), session_token: token, ..*request };
        match self {
            Self::Session(session) => {
                let date = AmzDate::from_unix(request.time).map_err(invalid)?;
                let key = DateKey::from_secret(session.secret_access_key.expose(), date)
                    .signing_key(request.endpoint.region(), request.endpoint.service())
                    .map_err(invalid)?;
                let url = request.presign(&key).map_err(invalid)?;
                Ok((url, request.time.saturating_add(request.expires)))
            }
            Self::Key { .. } => {
                let endpoint = request.endpoint;
                let virtual_hosted = endpoint.kind() == EndpointKind::Other && endpoint.is_virtual_hosted();
                let canonical_request = Password(request.canonical_request().map_err(invalid)?);
                let scheme: Scheme = endpoint.scheme();
                match ask.ask(Op::Presign { canonical_request, scheme, virtual_hosted })? {
                    Answer::Presigned { url, expires_at } => Ok((url.0.clone(), expires_at)),
                    _ => Err(unexpected()),
                }
            }
        }
    }

    /// Signs a policy of a form that uploads to S3 (JSON in base64) by SigV4. `scope` is the one that the policy names.
    ///
    /// # Errors
    /// Those of whoever holds the key.
    pub fn sign_policy(
        &self,
        ask: &mut dyn Ask,
        policy: &str,
        date: &AmzDate,
        scope: &Scope,
    ) -> Result<Signature, Failure> {
        match self {
            Self::Session(session) => {
                let date_key = DateKey::from_secret(session.secret_access_key.expose(), *date);
                let key = date_key.signing_key(scope.region(), scope.service()).map_err(invalid)?;
                Ok(key.sign_policy(policy))
            }
            Self::Key { access_key_id } => {
                let answer = ask.ask(Op::SignPolicy {
                    access_key_id: access_key_id.clone(),
                    signature: SignatureVersion::SigV4,
                    policy: policy.to_owned(),
                })?;
                let Answer::Signed { signature } = answer else { return Err(unexpected()) };
                Ok(Signature::from_bytes(*unhex::<32>(&signature).ok_or_else(unexpected)?))
            }
        }
    }

    /// Signs by Signature Version 2, with the HMAC-SHA1 credential of the identity.
    ///
    /// # Errors
    /// That a session cannot; those of whoever holds the key.
    pub fn sign_v2(&self, ask: &mut dyn Ask, what: V2<'_>) -> Result<[u8; sigv2::SIGNATURE_LEN], Failure> {
        let Self::Key { access_key_id } = self else {
            return Err(failure(
                ErrorCode::InvalidInput,
                "Signature Version 2 is for the access keys on a key, not for temporary credentials",
                "leave --sigv2 or --credentials away",
            ));
        };
        let access_key_id = access_key_id.clone();
        let op = match what {
            V2::Policy(policy) => Op::SignPolicy {
                access_key_id,
                signature: SignatureVersion::HmacV1,
                policy: policy.to_owned(),
            },
            V2::Request { string_to_sign, host } => Op::SignV2 {
                access_key_id,
                string_to_sign: Password(string_to_sign.to_owned()),
                host: host.to_owned(),
            },
        };
        let Answer::Signed { signature } = ask.ask(op)? else { return Err(unexpected()) };
        Ok(*unhex(&signature).ok_or_else(unexpected)?)
    }
}

/// What is signed by Signature Version 2.
#[derive(Debug, Clone, Copy)]
pub enum V2<'a> {
    /// A policy of a form: JSON in base64.
    Policy(&'a str),
    /// A request: its string to sign, and the server that it goes to.
    Request {
        /// The string to sign.
        string_to_sign: &'a str,
        /// The value of the header Host.
        host: &'a str,
    },
}

/// So many bytes from hexadecimal digits.
fn unhex<const N: usize>(hex: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    let decoded = data_encoding::HEXLOWER.decode_len(hex.len()).ok()?;
    if decoded != N {
        return None;
    }
    data_encoding::HEXLOWER.decode_mut(hex.as_bytes(), &mut *bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_read() {
        #[track_caller]
        fn check(json: &str, expected: Result<(&str, Option<&str>, Option<u64>), &str>) {
            let actual = Session::parse(json.as_bytes());
            match (&actual, expected) {
                (Ok(session), Ok(expected)) => {
                    assert_eq!(
                        (session.access_key_id.as_str(), session.token(), session.expires_at),
                        expected
                    );
                }
                (Err(failure), Err(expected)) => assert!(failure.message.contains(expected), "{failure:?}"),
                (actual, expected) => panic!("{actual:?} is not {expected:?}"),
            }
        }
        let printed = r#""AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-01-01T00:00:00Z""#;
        let expected = Ok(("ASIA", Some("t"), Some(1_767_225_600)));
        check(&format!(r#"{{"Version":1,{printed}}}"#), expected);
        check(&format!(r#"{{"Credentials":{{{printed}}},"AssumedRoleUser":{{}}}}"#), expected);
        check(r#"{"AccessKeyId":"AKIA","SecretAccessKey":"s"}"#, Ok(("AKIA", None, None)));
        check(r#"{"AccessKeyId":"AKIA","SecretAccessKey":""}"#, Err("empty"));
        check(r#"{"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":"a b"}"#, Err("token"));
        check("hunter2", Err("no credentials"));
    }

    #[test]
    fn links_do_not_outlive_their_session() {
        let json = br#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t","Expiration":"1970-01-01T01:00:00Z"}"#;
        let credentials = Credentials::Session(Session::parse(json).unwrap());
        let refused =
            |time, expires| credentials.check_expiry(time, expires).err().map(|failure| failure.message);
        assert_eq!(refused(0, 3600), None);
        assert!(refused(1, 3600).unwrap().contains("ends in 59 min 59 s"));
        assert!(refused(3600, 1).unwrap().contains("has ended"));
        let key = Credentials::Key { access_key_id: "AKIA".into() };
        assert!(key.check_expiry(1, 604_800).is_ok());
    }

    #[test]
    fn sessions_do_not_sign_by_version_2() {
        struct Nobody;
        impl Ask for Nobody {
            fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
                panic!("{op:?}")
            }
        }
        let session =
            Session::parse(br#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","SessionToken":"t"}"#).unwrap();
        let refused = Credentials::Session(session).sign_v2(&mut Nobody, V2::Policy("e30=")).unwrap_err();
        // As any other two options that do not go together.
        assert_eq!(refused.code, ErrorCode::InvalidInput, "{refused:?}");
    }
}
