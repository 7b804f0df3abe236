//! What the account has and knows, and who calls.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use keyfob::aws_call::xml_text;

use super::http::{HttpRequest, Reply};
use super::sigv4::{Authorization, Signer};
use super::totp::Device;
use super::world::{Policy, Role};
use super::xml::{Refusal, Xml};
use super::{ACCOUNT, Fault, Request};
use crate::http;
use crate::moto::Moto;

pub(super) const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
pub(super) const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// What may be done without MFA by a user who needs it.
const WITHOUT_MFA: [&str; 8] = [
    "iam:CreateVirtualMFADevice",
    "iam:EnableMFADevice",
    "iam:GetMFADevice",
    "iam:GetUser",
    "iam:ListMFADevices",
    "iam:ListVirtualMFADevices",
    "iam:ResyncMFADevice",
    "sts:GetSessionToken",
];

pub(super) struct State {
    /// What its clock is ahead, in seconds.
    pub(super) ahead: i64,
    /// What its clock says while a request is answered.
    pub(super) now: i64,
    pub(super) users: BTreeMap<String, User>,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) keys: BTreeMap<String, AccessKey>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) devices: BTreeMap<String, Device>,
    pub(super) sign_in_tokens: BTreeMap<String, i64>,
    pub(super) faults: BTreeMap<String, VecDeque<Fault>>,
    pub(super) requests: Vec<Request>,
    /// How many came before those.
    pub(super) forgotten: usize,
    /// For so many calls, and so long, a new access key is not known yet.
    pub(super) slow_keys: (u32, Duration),
    /// The longest session that is made, in seconds, whatever is asked for.
    pub(super) longest_session: Option<i64>,
    /// How many items a list has.
    pub(super) page: usize,
    pub(super) moto: Option<Moto>,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) policy: Policy,
}

pub(super) struct AccessKey {
    pub(super) user: String,
    pub(super) secret: String,
    pub(super) active: bool,
    pub(super) created: i64,
    /// Those that were made earlier have less.
    pub(super) order: usize,
    pub(super) last_used: Option<(i64, &'static str)>,
    /// Calls that do not know it yet.
    pub(super) unknown_for: u32,
    pub(super) unknown_until: Instant,
}

pub(super) struct Session {
    pub(super) who: Who,
    pub(super) secret: String,
    pub(super) token: String,
    pub(super) expires: i64,
    pub(super) mfa: bool,
    pub(super) source_identity: Option<String>,
    /// Made by a session.
    pub(super) chained: bool,
}

/// Whose credentials they are.
#[derive(Debug, Clone)]
pub(super) enum Who {
    User(String),
    Role { arn: String, session: String },
    Federated { name: String },
}

/// Who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) who: Who,
    /// By a session's credentials.
    pub(super) session: bool,
    pub(super) mfa: bool,
    pub(super) source_identity: Option<String>,
}

/// The parameters of a request.
pub(super) struct Parameters(pub(super) Vec<(String, String)>);

impl Parameters {
    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// One that there must be.
    pub(super) fn must(&self, name: &str) -> Result<&str, Refusal> {
        let mut small = name.to_owned();
        if let Some(first) = small.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            Refusal::invalid(format!(
                "1 validation error detected: Value null at '{small}' failed to satisfy constraint: Member must not \
                 be null"
            ))
        })
    }
}

impl State {
    /// Answers a request of the Query protocol, and says whether its signature was right.
    pub(super) fn query(&mut self, request: &HttpRequest, parameters: &Parameters) -> Outcome {
        let action = parameters.get("Action").unwrap_or_default();
        let version = parameters.get("Version").unwrap_or_default();
        let (service, namespace) = if version == "2010-05-08" { ("iam", IAM) } else { ("sts", STS) };
        let caller = self.caller(request, service);
        let verified = caller.is_ok();
        let mfa = caller.as_ref().is_ok_and(|caller| caller.mfa);
        let result = caller.and_then(|caller| match (service, version) {
            ("iam", _) => self.iam(request, &caller, action, parameters),
            ("sts", "2011-06-15") => self.sts(request, &caller, action, parameters),
            _ => Err(no_action(action, version)),
        });
        let request_id = super::id("");
        let (reply, code) = match result {
            Ok(xml) => (xml_reply(200, xml.document(action, namespace, &request_id)), String::new()),
            Err(refusal) => {
                (xml_reply(refusal.status, refusal.document(namespace, &request_id)), refusal.code)
            }
        };
        Outcome { reply, code, verified, mfa }
    }

    /// Who has signed a request.
    fn caller(&mut self, request: &HttpRequest, service: &'static str) -> Result<Caller, Refusal> {
        let invalid = || {
            let message = "The security token included in the request is invalid.";
            Refusal::new(403, "InvalidClientTokenId", message)
        };
        let now = self.now;
        let authorization = Authorization::of(request)?;
        let id = authorization.access_key_id;
        let token = request.header("x-amz-security-token");
        if let Some(key) = self.keys.get_mut(id) {
            if token.is_some() || !key.active {
                return Err(invalid());
            }
            if key.unknown_for > 0 || key.unknown_until > Instant::now() {
                key.unknown_for = key.unknown_for.saturating_sub(1);
                return Err(invalid());
            }
            authorization.verify(request, &key.secret, service, now)?;
            key.last_used = Some((now, service));
            let who = Who::User(key.user.clone());
            return Ok(Caller { who, session: false, mfa: false, source_identity: None });
        }
        let session = self.sessions.get(id).ok_or_else(invalid)?;
        if token != Some(session.token.as_str()) {
            return Err(invalid());
        }
        authorization.verify(request, &session.secret, service, now)?;
        if session.expires <= now {
            let message = "The security token included in the request is expired";
            return Err(Refusal::new(403, "ExpiredToken", message));
        }
        Ok(Caller {
            who: session.who.clone(),
            session: true,
            mfa: session.mfa,
            source_identity: session.source_identity.clone(),
        })
    }

    /// Whether the caller's policy allows an action.
    pub(super) fn allow(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), Refusal> {
        let arn = self.arn(&caller.who);
        let denied = |why: String| {
            Err(Refusal::denied(format!(
                "User: {arn} is not authorized to perform: {action} on resource: {resource} {why}"
            )))
        };
        let (actions, needs_mfa): (&[String], bool) = match &caller.who {
            Who::User(name) => match self.users.get(name) {
                Some(user) => (&user.policy.actions, user.policy.needs_mfa),
                None => (&[], false),
            },
            Who::Role { arn, .. } => (self.roles.get(arn).map_or(&[], |role| &role.actions), false),
            Who::Federated { .. } => (&[], false),
        };
        if needs_mfa && !caller.mfa && !WITHOUT_MFA.contains(&action) {
            return denied("with an explicit deny in an identity-based policy".to_owned());
        }
        let allowed = actions.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(begin) => action.starts_with(begin),
            None => pattern == action,
        });
        if allowed {
            return Ok(());
        }
        denied(format!("because no identity-based policy allows the {action} action"))
    }

    /// The ARN that GetCallerIdentity tells.
    #[expect(clippy::unused_self, reason = "the next account would be of the state")]
    pub(super) fn arn(&self, who: &Who) -> String {
        match who {
            Who::User(name) => format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
            Who::Role { arn, session } => {
                let name = arn.rsplit('/').next().unwrap_or_default();
                format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}")
            }
            Who::Federated { name } => format!("arn:aws:sts::{ACCOUNT}:federated-user/{name}"),
        }
    }

    /// What moto says to the same request, where it is behind. A session's request is signed anew, for moto knows no sessions but
    /// its own.
    pub(super) fn second_opinion(
        &self,
        request: &HttpRequest,
        caller: &Caller,
    ) -> Result<Option<String>, Refusal> {
        let Some(moto) = &self.moto else { return Ok(None) };
        let broken = |error: String| Refusal::new(500, "InternalFailure", format!("moto: {error}"));
        let mut request = request.clone();
        if caller.session {
            let Who::User(user) = &caller.who else { return Ok(None) };
            let mut keys = self.keys.iter().filter(|(_, key)| &key.user == user && key.active);
            let Some((id, key)) = keys.next() else { return Ok(None) };
            request.headers.retain(|(name, _)| matches!(name.as_str(), "host" | "content-type"));
            let signer = Signer {
                access_key_id: id,
                secret: &key.secret,
                region: "us-east-1",
                service: "iam",
                time: std::time::SystemTime::now(),
            };
            let headers: Vec<(&str, &str)> =
                request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let (added, _) = signer.sign(&request, &headers).map_err(|error| broken(format!("{error:#}")))?;
            request.headers.extend(added);
        }
        let url = format!("http://{}{}", request.header("host").unwrap_or_default(), request.target);
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "content-length" | "connection" | "accept-encoding"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = http::send(moto.port(), &request.method, &url, &headers, &request.body);
        let answer = answer.map_err(|error| broken(format!("{error:#}")))?;
        let text = answer.text();
        if answer.status == 200 {
            return Ok(Some(text));
        }
        let part = |name| xml_text(&text, name).unwrap_or_default();
        Err(Refusal::new(answer.status, &part("Code"), part("Message")))
    }

    /// Makes a session.
    pub(super) fn new_session(&mut self, mut session: Session) -> Xml {
        if let Some(longest) = self.longest_session {
            session.expires = session.expires.min(self.now + longest);
        }
        let id = super::id("ASIA");
        session.secret = super::secret();
        session.token = super::token();
        let xml = Xml::default()
            .text("AccessKeyId", &id)
            .text("SecretAccessKey", &session.secret)
            .text("SessionToken", &session.token)
            .text("Expiration", &iso(session.expires));
        self.sessions.insert(id, session);
        xml
    }
}

/// What came of a request.
pub(super) struct Outcome {
    pub(super) reply: Reply,
    /// AWS's code, if it was refused.
    pub(super) code: String,
    pub(super) verified: bool,
    pub(super) mfa: bool,
}

pub(super) fn xml_reply(status: u16, document: String) -> Reply {
    Reply::new(status, "text/xml", document)
}

pub(super) fn no_action(action: &str, version: &str) -> Refusal {
    Refusal::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
}

/// `2026-11-23T00:00:00Z`.
pub(super) fn iso(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map(|time| time.to_string()).unwrap_or_default()
}
