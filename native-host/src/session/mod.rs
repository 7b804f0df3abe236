//! Sessions: temporary credentials for a profile, made by STS with requests that the key signs, and kept by the agent.
//!
//! ```text
//!   access key on the key ─┬─ GetSessionToken (MFA) ─► session of the identity ─ AssumeRole ─► role ─ AssumeRole ─► …
//!                          └─ AssumeRole (MFA), where more than the chained hour is asked for ─► role
//! ```
//!
//! Every arrow is one question to whoever keeps sessions ([`Op::TakeSession`]): of all programs that ask it at once one makes the
//! session, and the others get it too.

pub(crate) mod child;
mod external;
pub(crate) mod mfa;
mod sts;

use std::time::{Duration, Instant};

use keyfob_core::message::{
    Answer, ErrorCode, Failure, Identity, Op, Session, SessionLabel, SignatureVersion,
};
use sha2::{Digest as _, Sha256};

use crate::aws_files::AwsFiles;
use crate::error::failure;
use crate::front;
use crate::http::Http;
use crate::profile::{Base, Endpoint, Mfa, Profile, Role};
use crate::service;
use crate::signing::{self, Ask, Credentials};
use sts::{Proof, Sts};

/// How long the session of an identity lasts where nobody says, in seconds: as long as AWS has it by itself.
const IDENTITY_LASTS: u32 = 12 * 3600;
/// The least and the most that STS takes.
const IDENTITY_LIMITS: (u32, u32) = (900, 36 * 3600);
/// The same of roles.
const ROLE_LIMITS: (u32, u32) = (900, 12 * 3600);
/// What a role's session lasts where nobody says, and the most it lasts that is assumed by another session.
const CHAINED: u32 = 3600;
/// What is handed out lasts so long at least: the SDKs renew credentials a quarter of an hour before they end, and
/// would come again at once.
const LASTING: u64 = 16 * 60;
/// How long STS may be silent.
const STALL: Duration = Duration::from_secs(20);

/// A person at a front end, who is asked what programs cannot know.
pub trait Person: Ask {
    /// Asks a key: that one, or the one that was named on the command line or is the only one there is.
    ///
    /// # Errors
    /// That of the answer.
    fn ask_key(&mut self, key: Option<&str>, op: Op) -> Result<Answer, Failure>;

    /// The key that is meant where a profile names `key`: a person's word on the command line comes before it.
    fn key_of(&self, key: Option<&str>) -> Option<String>;

    /// Asks for the code of an MFA device that is on no key. `why` says why it is asked for.
    ///
    /// # Errors
    /// If nobody can be asked.
    fn type_code(&mut self, serial: &str, why: &str) -> Result<String, Failure>;

    /// Says something that is worth knowing.
    fn note(&self, text: &str);

    /// How much time there is yet, if it is limited.
    fn time_left(&self) -> Option<Duration>;
}

/// Asks the key that signs, in the name of a person: of several that hold the access key any will do.
struct On<'a> {
    person: &'a mut dyn Person,
    key: Option<String>,
    access_key_id: &'a str,
}

impl Ask for On<'_> {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        let error = match self.person.ask_key(self.key.as_deref(), op.clone()) {
            Err(error) if error.code == ErrorCode::Ambiguous && self.key.is_none() => error,
            result => return result,
        };
        let holders = identities(self.person)?;
        let holder = holders.into_iter().find(|(_, identity)| identity.access_key_id == self.access_key_id);
        let Some((key, _)) = holder else { return Err(error) };
        let answer = self.person.ask_key(Some(&key), op);
        self.key = Some(key);
        answer
    }
}

/// The access keys on all keys that are plugged in, each with its key: those first that want no password.
fn identities(person: &mut dyn Person) -> Result<Vec<(String, Identity)>, Failure> {
    let Answer::Keys { mut keys } = person.ask_key(None, Op::Keys {})? else { return Err(unexpected()) };
    keys.sort_by_key(|key| key.locked);
    let mut all = Vec::new();
    for key in keys {
        // One that does not answer may be the wrong one anyway.
        if let Ok(Answer::Identities { identities, .. }) = person.ask_key(Some(&key.id), Op::Identities {}) {
            let of_v4 = identities.into_iter().filter(|one| one.signature == SignatureVersion::SigV4);
            all.extend(of_v4.map(|identity| (key.id.clone(), identity)));
        }
    }
    Ok(all)
}

/// What is asked for besides the profile.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// How long it is to last, in seconds, in place of what the profile says.
    pub duration: Option<u32>,
    /// Made anew: no session that is kept is used, and none is kept.
    pub no_session: bool,
}

/// The credentials of a profile: kept ones, or new ones.
///
/// Those of a profile without MFA and without a role, whose access key stands in a file, are given as they are.
///
/// # Errors
/// What keeps them from being made; AWS's refusals with what they mean here.
pub fn of_profile(person: &mut dyn Person, profile: &Profile, want: &Want) -> Result<Session, Failure> {
    check(profile, want)?;
    let mut maker = Maker { person, profile, want, http: None };
    match profile.roles.as_slice() {
        [] => maker.identity(),
        roles => maker.role(roles),
    }
}

/// Refuses what STS would refuse whoever asks.
fn check(profile: &Profile, want: &Want) -> Result<(), Failure> {
    let Some(seconds) = want.duration else { return Ok(()) };
    let (least, most) = if profile.roles.is_empty() { IDENTITY_LIMITS } else { ROLE_LIMITS };
    if (least..=most).contains(&seconds) {
        return Ok(());
    }
    let what = if profile.roles.is_empty() { "an identity's session" } else { "a role's session" };
    Err(failure(
        ErrorCode::InvalidInput,
        format!(
            "{what} lasts from {} to {}",
            service::duration(least.into()),
            service::duration(most.into())
        ),
        "give another --duration",
    ))
}

/// Makes the sessions of one profile.
struct Maker<'a> {
    person: &'a mut dyn Person,
    profile: &'a Profile,
    want: &'a Want,
    /// None before anything is sent.
    http: Option<Http>,
}

/// Who asks STS.
struct Asker {
    credentials: Credentials,
    /// Of the access key on a key: which.
    key: Option<String>,
    /// What the questions for its sessions begin with.
    question: String,
}

impl Maker<'_> {
    /// The session of the profile's identity.
    fn identity(&mut self) -> Result<Session, Failure> {
        let has_mfa = self.profile.mfa.is_some();
        match &self.profile.base {
            // Without MFA, left alone.
            Base::Given(session) if !has_mfa || session.session_token.is_some() => Ok(session.to_message()),
            Base::Exported { .. } | Base::Process { .. } => self.external(),
            Base::Given(_) | Base::Key { .. } => {
                let asker = self.base()?;
                self.session_token(asker)
            }
        }
    }

    /// What another program gives.
    fn external(&mut self) -> Result<Session, Failure> {
        let (kind, profile, command) = match &self.profile.base {
            Base::Exported { profile } => ("export", profile, None),
            Base::Process { command, profile } => ("process", profile, Some(command)),
            Base::Given(_) | Base::Key { .. } => return Err(unexpected()),
        };
        external::refuse_circle(profile)?;
        let surroundings = surroundings(command.is_none());
        let question = question(&[kind, profile, command.map_or("", String::as_str), &surroundings]);
        let label = self.label(
            profile,
            if command.is_some() { "credential_process" } else { "aws configure export-credentials" },
        );
        let lasting = LASTING;
        self.take(question, label, lasting, |maker| {
            let left = maker.person.time_left();
            match command {
                Some(command) => external::process(command, profile, left),
                None => external::exported(profile, left),
            }
        })
    }

    /// The identity itself.
    fn base(&mut self) -> Result<Asker, Failure> {
        match &self.profile.base {
            Base::Key { access_key_id, key } => {
                let key = self.person.key_of(key.as_deref());
                let (access_key_id, key) = match access_key_id {
                    Some(id) => (id.clone(), key),
                    None => self.only_identity(key)?,
                };
                let question = question(&["identity", &access_key_id]);
                Ok(Asker { credentials: Credentials::Key { access_key_id }, key, question })
            }
            Base::Given(session) => {
                let token = session.session_token.as_ref().map_or(&[][..], |token| token.expose());
                // The secret is in it: another one under the same id is another question.
                let secret =
                    hex(&Sha256::digest([session.secret_access_key.expose(), b"\0", token].concat()));
                let question = question(&["given", &session.access_key_id, &secret]);
                Ok(Asker { credentials: Credentials::Session(session.clone()), key: None, question })
            }
            Base::Exported { profile } | Base::Process { profile, .. } => {
                let session = self.external()?;
                let question = question(&["given", profile, &session.access_key_id]);
                Ok(Asker { credentials: Credentials::Session((&session).into()), key: None, question })
            }
        }
    }

    /// The access key that is meant where the profile names none, and on which key it is.
    fn only_identity(&mut self, key: Option<String>) -> Result<(String, Option<String>), Failure> {
        let several = |error: Failure| Failure {
            hint: Some(format!(
                "name one in the profile {}: keyfob_access_key_id = AKIA…",
                self.profile.name
            )),
            ..error
        };
        let found = match self.person.ask_key(key.as_deref(), Op::Identities {}) {
            Ok(Answer::Identities { identities, .. }) => identities,
            Ok(_) => return Err(unexpected()),
            // Of several keys perhaps one has it, or all the same.
            Err(error) if error.code == ErrorCode::Ambiguous && key.is_none() => {
                let mut all = identities(self.person)?;
                let first = all.pop();
                return match first {
                    Some((key, one)) if all.iter().all(|(_, it)| it.access_key_id == one.access_key_id) => {
                        Ok((one.access_key_id, Some(key)))
                    }
                    _ => Err(several(error)),
                };
            }
            Err(error) => return Err(error),
        };
        let id =
            signing::only_identity(found, SignatureVersion::SigV4).map_err(|error| match error.code {
                ErrorCode::Ambiguous => several(error),
                _ => error,
            })?;
        Ok((id, key))
    }

    /// The session of an identity, by GetSessionToken.
    fn session_token(&mut self, asker: Asker) -> Result<Session, Failure> {
        let profile = self.profile;
        let asked = self.want.duration.filter(|_| profile.roles.is_empty());
        let duration = asked.or(profile.duration).unwrap_or(IDENTITY_LASTS);
        let mut question = self.identity_question(&asker);
        // One session does for all who leave it to the profile; who asks for a time gets that, and no longer one.
        if let Some(seconds) = asked {
            question = self::question(&[&question, &seconds.to_string()]);
        }
        let label = self.label(asker.credentials.access_key_id(), "GetSessionToken");
        let lasting = lasting(duration);
        self.take(question, label, lasting, |maker| {
            let purpose = format!("a session, for the profile {}", profile.name);
            let proof = maker.prove(profile.mfa.as_ref(), asker.key.as_deref(), &purpose)?;
            maker.ask_sts(&profile.sts, &asker, |sts, ask| sts.session_token(ask, duration, proof.as_ref()))
        })
    }

    fn identity_question(&self, asker: &Asker) -> String {
        let Endpoint { url, region } = &self.profile.sts;
        // A session that was made without MFA is not that of one who wants it; which device proved it does not matter.
        let mfa = if self.profile.mfa.is_some() { "mfa" } else { "" };
        question(&[&asker.question, "GetSessionToken", mfa, url, region])
    }

    /// The session of the last of the roles, each assumed by the one before.
    fn role(&mut self, roles: &[Role]) -> Result<Session, Failure> {
        let Some((role, before)) = roles.split_last() else { return self.identity() };
        let is_last = roles.len() == self.profile.roles.len();
        let asked = self.want.duration.filter(|_| is_last).or(role.duration);
        let is_long = asked.is_some_and(|seconds| seconds > CHAINED);
        let is_external = matches!(self.profile.base, Base::Exported { .. } | Base::Process { .. });
        let is_temporary = |asker: &Asker| asker.credentials.session_token().is_some();
        if !before.is_empty() {
            let mut duration = asked;
            if is_long {
                self.person.note(&format!(
                    "{} is assumed by another role, and AWS lets such a session last an hour at most.",
                    role.arn
                ));
                duration = Some(CHAINED);
            }
            let before_it = self.chain_question(before)?;
            let question = self.role_question(&before_it, role, duration);
            return self.take(
                question,
                self.label(&role.arn, "AssumeRole"),
                lasting(duration.unwrap_or(CHAINED)),
                |maker| {
                    let session = maker.role(before)?;
                    let asker = Asker {
                        credentials: Credentials::Session((&session).into()),
                        key: None,
                        question: String::new(),
                    };
                    maker.assume(role, duration, &asker, None)
                },
            );
        }
        let profile = self.profile;
        if is_external {
            let asker = self.base()?;
            let question = self.role_question(&asker.question, role, asked);
            let label = self.label(&role.arn, "AssumeRole");
            return self.take(question, label, lasting(asked.unwrap_or(CHAINED)), |maker| {
                maker.assume(role, asked, &asker, None)
            });
        }
        let asker = self.base()?;
        let question = self.role_question(&asker.question, role, asked);
        let label = self.label(&role.arn, "AssumeRole");
        let direct = is_long || profile.mfa.is_none() || is_temporary(&asker) || self.want.no_session;
        if is_long && profile.mfa.is_some() && !is_temporary(&asker) {
            self.person.note(&format!(
                "{} is asked for more than an hour, which AWS gives to an identity that assumes it by itself: with an MFA code \
                 of its own, not from the kept session.",
                role.arn
            ));
        }
        self.take(question, label, lasting(asked.unwrap_or(CHAINED)), |maker| {
            if direct {
                let mfa = profile.mfa.as_ref().filter(|_| !is_temporary(&asker));
                let proof = maker.prove(mfa, asker.key.as_deref(), &format!("the role {}", role.arn))?;
                return maker.assume(role, asked, &asker, proof.as_ref());
            }
            maker.assume_by_session(role, asked, asker)
        })
    }

    /// A role, by the kept session of the identity.
    fn assume_by_session(
        &mut self,
        role: &Role,
        duration: Option<u32>,
        asker: Asker,
    ) -> Result<Session, Failure> {
        let again = Asker {
            credentials: asker.credentials.clone(),
            key: asker.key.clone(),
            question: asker.question.clone(),
        };
        let kept = self.identity_question(&asker);
        let session = self.session_token(asker)?;
        let by = |session: &Session| Asker {
            credentials: Credentials::Session(session.into()),
            key: None,
            question: String::new(),
        };
        match self.try_assume(role, duration, &by(&session), None) {
            // It was kept, and AWS knows it no more: its user's access key was deleted, or its sessions were revoked.
            Err(refused) if is_gone(&refused.code) => {
                let label = self.label(again.credentials.access_key_id(), "GetSessionToken");
                let profile = self.profile;
                let purpose = format!("a session, for the profile {}", profile.name);
                let duration_of_identity = profile.duration.unwrap_or(IDENTITY_LASTS);
                let session = self.take(kept, label, u64::MAX, |maker| {
                    let proof = maker.prove(profile.mfa.as_ref(), again.key.as_deref(), &purpose)?;
                    maker.ask_sts(&profile.sts, &again, |sts, ask| {
                        sts.session_token(ask, duration_of_identity, proof.as_ref())
                    })
                })?;
                Ok(self.try_assume(role, duration, &by(&session), None)?)
            }
            result => Ok(result?),
        }
    }

    /// What the question for a role begins with that is assumed by these.
    fn chain_question(&mut self, before: &[Role]) -> Result<String, Failure> {
        let mut question = self.base()?.question;
        for role in before {
            question = self.role_question(&question, role, role.duration);
        }
        Ok(question)
    }

    fn role_question(&self, before: &str, role: &Role, duration: Option<u32>) -> String {
        let duration = duration.map(|seconds| seconds.to_string()).unwrap_or_default();
        let tags: Vec<String> = role.tags.iter().map(|(key, value)| question(&[key, value])).collect();
        let transitive: Vec<&str> = role.transitive_tags.iter().map(String::as_str).collect();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        question(&[
            before,
            "AssumeRole",
            if self.profile.mfa.is_some() { "mfa" } else { "" },
            &role.arn,
            &text(&role.session_name),
            &text(&role.external_id),
            &text(&role.source_identity),
            &duration,
            &question(&tags.iter().map(String::as_str).collect::<Vec<_>>()),
            &question(&transitive),
            &role.sts.url,
            &role.sts.region,
        ])
    }

    fn assume(
        &mut self,
        role: &Role,
        duration: Option<u32>,
        asker: &Asker,
        proof: Option<&Proof>,
    ) -> Result<Session, Failure> {
        Ok(self.try_assume(role, duration, asker, proof)?)
    }

    fn try_assume(
        &mut self,
        role: &Role,
        duration: Option<u32>,
        asker: &Asker,
        proof: Option<&Proof>,
    ) -> Result<Session, crate::aws_call::Refused> {
        self.prepare()?;
        let Some(http) = &self.http else { return Err(unexpected().into()) };
        let sts = Sts { http, endpoint: &role.sts, credentials: &asker.credentials };
        let access_key_id = asker.credentials.access_key_id();
        let mut ask = On { person: self.person, key: asker.key.clone(), access_key_id };
        sts.assume_role(&mut ask, role, duration, proof)
    }

    fn ask_sts(
        &mut self,
        endpoint: &Endpoint,
        asker: &Asker,
        call: impl FnOnce(&Sts<'_>, &mut dyn Ask) -> Result<Session, crate::aws_call::Refused>,
    ) -> Result<Session, Failure> {
        self.prepare()?;
        let Some(http) = &self.http else { return Err(unexpected()) };
        let sts = Sts { http, endpoint, credentials: &asker.credentials };
        let access_key_id = asker.credentials.access_key_id();
        let mut ask = On { person: self.person, key: asker.key.clone(), access_key_id };
        Ok(call(&sts, &mut ask)?)
    }

    /// A client, where something is sent at last, with the time that is left: what a person took to answer was not counted.
    fn prepare(&mut self) -> Result<(), Failure> {
        let left = self.person.time_left();
        let http = match &mut self.http {
            Some(http) => http,
            none => none.insert(Http::trusting(self.profile.ca_bundle.as_deref(), STALL)?),
        };
        http.give_up_at(left.and_then(|left| Instant::now().checked_add(left)));
        Ok(())
    }

    fn prove(
        &mut self,
        mfa: Option<&Mfa>,
        key: Option<&str>,
        purpose: &str,
    ) -> Result<Option<Proof>, Failure> {
        mfa.map(|mfa| mfa::prove(self.person, mfa, key, purpose)).transpose()
    }

    fn label(&self, of: &str, made_by: &str) -> SessionLabel {
        SessionLabel { profile: self.profile.name.clone(), of: of.to_owned(), made_by: made_by.to_owned() }
    }

    /// A session that is kept, or that is made now and kept.
    fn take(
        &mut self,
        question: String,
        label: SessionLabel,
        lasting: u64,
        make: impl FnOnce(&mut Self) -> Result<Session, Failure>,
    ) -> Result<Session, Failure> {
        if self.want.no_session {
            return make(self);
        }
        let lease = match self.person.ask(Op::TakeSession { question, label, lasting })? {
            Answer::Session { session } => return Ok(session),
            Answer::MakeSession { lease } => lease,
            _ => return Err(unexpected()),
        };
        let start = Instant::now();
        let left = self.person.time_left();
        let made = make(self);
        let told = match &made {
            Ok(session) => Op::KeepSession { lease, session: session.clone() },
            Err(error) => {
                let late = left.is_some_and(|left| start.elapsed() >= left);
                // Another one may have a terminal to type the code on.
                let untyped = self.profile.mfa.is_some()
                    && matches!(error.code, ErrorCode::NoKey | ErrorCode::NoPcsc | ErrorCode::NotFound);
                Op::FailSession { lease, error: error.clone(), own: late || untyped || is_own(error.code) }
            }
        };
        // Whoever keeps them may be gone: the session is good all the same.
        let _ = self.person.ask(told);
        made
    }
}

/// A digest of what decides what another program gives for a profile: a session is shared by programs that would have got the same
/// one. The AWS CLI goes by AWS's variables and files; any other program by whatever there is.
fn surroundings(is_aws: bool) -> String {
    let decides = |name: &str| {
        let of_aws = name.starts_with("AWS_") || matches!(name, "HOME" | "PATH" | "USERPROFILE");
        // What is taken from it anyway, and what a shell counts.
        let is_nothing = external::SHADOWING.contains(&name) || matches!(name, "_" | "SHLVL");
        (of_aws || !is_aws) && !is_nothing
    };
    let mut variables: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| decides(name))
        .collect();
    variables.sort();
    let mut parts: Vec<String> = variables.into_iter().flat_map(|(name, value)| [name, value]).collect();
    if !is_aws {
        parts.push(
            std::env::current_dir().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default(),
        );
    }
    // Whatever is changed in the profile, or in one that it names.
    if let Ok(files) = AwsFiles::open(front::env) {
        for path in files.paths() {
            parts.push(std::fs::read(path).map(|bytes| hex(&Sha256::digest(bytes))).unwrap_or_default());
        }
    }
    question(&parts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// How many seconds before its end a session is made anew for who goes on using it: just before the SDKs ask for another.
pub(crate) fn renewed_before_end(session: &Session, now: u64) -> u64 {
    let left = session.expires_at.map_or(u64::MAX, |end| end.saturating_sub(now));
    LASTING.min(left / 2)
}

/// Whether a failure says nothing to others who ask the same: it is about this front end, its terminal, its time.
fn is_own(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Cancelled
            | ErrorCode::Locked
            | ErrorCode::WrongPassword
            | ErrorCode::Busy
            | ErrorCode::InvalidInput
    )
}

/// Whether AWS does not know credentials that it gave.
fn is_gone(code: &str) -> bool {
    matches!(code, "InvalidClientTokenId" | "ExpiredToken" | "ExpiredTokenException" | "InvalidToken")
}

/// What of a session of that many seconds must be left when it is handed out: of a short one, half.
fn lasting(duration: u32) -> u64 {
    LASTING.min(u64::from(duration) / 2)
}

/// A digest over texts: others give another one, wherever one ends and the next begins.
fn question(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finalize())
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn unexpected() -> Failure {
    failure(
        ErrorCode::Internal,
        "the service answered something else than it was asked",
        "please report this",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_apart() {
        assert_eq!(question(&["a", "b"]), question(&["a", "b"]));
        assert_ne!(question(&["ab", ""]), question(&["a", "b"]));
        assert_ne!(question(&["a"]), question(&["a", ""]));
        assert_eq!(question(&[]).len(), 64);
    }

    #[test]
    fn short_sessions_are_handed_out_too() {
        assert_eq!(lasting(900), 450);
        assert_eq!(lasting(3600), LASTING);
        assert_eq!(lasting(43_200), LASTING);
    }
}
