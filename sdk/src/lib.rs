//! A signer for [aws-sdk-rust](https://docs.rs/aws-config): its calls are signed by a secret access key that is on a
//! YubiKey and nowhere else. There are no credentials in the program, no STS, and one touch for all of a run.
//!
//! ```text
//!  client ─► orchestrator ─► resolve_identity ── once a UTC day ─► whoever holds the key ─► touch
//!                 │               │ the day's signing keys of the declared scopes
//!                 └─► sign ◄──────┘ in memory, erased with the signer
//! ```
//!
//! A program declares beforehand what it will sign for ([`Builder::scope`]: region and service), for that is what the
//! prompt shows and all that the touch buys. What came to it are signing keys of one UTC day (HMACs; the secret cannot be
//! found from them). At midnight UTC they are worth nothing more, and the next call asks for another touch.
//!
//! What it signs: every operation that is signed by Signature Version 4, `presigned()` too. What it does not, and says
//! so: signatures that the SDK makes later than the request's, of chunks (uploads of a stream by http; by https they are
//! not signed one by one) and of event streams; Signature Version 4A (multi-region access points); sessions with
//! directory buckets (build the client of S3 with `disable_s3_express_session_auth(true)`, and declare `s3express`).
//!
//! Source: the SDK's reference architecture as `aws-smithy-runtime-api` has it, and its own signer, `aws-runtime`'s
//! `auth::sigv4`, whose options and overrides this one reads.

mod ask;
#[doc = include_str!("../../docs/rust-api.md")]
pub mod rust_api {}
mod sign;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_runtime::auth::sigv4;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeId, Sign};
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityCacheLocation, IdentityFuture, ResolveIdentity, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::config_bag::ConfigBag;
use keyfob::front::Agent;
use keyfob_core::message::{ErrorCode, Event, Failure, MAX_SCOPES};
use keyfob_core::sigv4::{AmzDate, CanonicalRequestError, DateError, Scope, SigningKey};
use tokio::sync::Mutex;

use crate::ask::{Line, Question};

/// How many days' keys are held at once: today's, and those of a link that is presigned for another day.
const MAX_DAYS: usize = 2;
const DAY: u64 = 86_400;

/// Signs the calls of SDK clients: `push_auth_scheme` of a client's configuration takes it, a clone for each.
///
/// All clones share the signing keys, which are erased when the last is dropped. No credentials provider is asked any
/// more.
///
/// The touch is waited for within the first call. Where calls have a timeout that is shorter than a person
/// takes, [`KeySigner::ready`] goes first.
#[derive(Clone)]
pub struct KeySigner(Arc<Inner>);

struct Inner {
    access_key_id: String,
    scopes: Vec<(String, String)>,
    source: Source,
    state: Mutex<State>,
    /// How often whoever holds the key has answered.
    answers: AtomicU64,
}

type KeysFrom = dyn Fn(&AmzDate, &[(&str, &str)]) -> Result<Vec<SigningKey>, Failure> + Send + Sync;

enum Source {
    Key(Question),
    Other(Box<KeysFrom>),
}

#[derive(Default)]
struct State {
    days: Vec<Identity>,
    /// Which answer was none, for which day.
    failed: Option<(u64, [u8; 8], Failure)>,
}

/// What the SDK takes for an identity: the signing keys of one day.
#[derive(Debug)]
pub(crate) struct DayKeys {
    day: AmzDate,
    keys: Vec<SigningKey>,
}

/// Why a call cannot be signed. The SDK has it among the sources of its error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeySignerError {
    /// Whoever holds the key gave no signing keys.
    #[error("{}", spelled(.0))]
    Key(Failure),
    /// A scope that is not among those that the program declared.
    #[error(
        "this program did not declare that it signs for {service} in {region}: add .scope({region:?}, {service:?}) to its KeySigner"
    )]
    Undeclared {
        /// Such as `eu-west-1`.
        region: String,
        /// Such as `s3`.
        service: String,
    },
    /// The SDK would sign the body chunk by chunk.
    #[error(
        "by http the SDK signs a streamed body chunk by chunk, for which it wants a secret at hand: use https, or give the body as bytes in memory"
    )]
    Chunks,
    /// The SDK would sign the body event by event.
    #[error(
        "streams of events are signed one by one, for which the SDK wants a secret at hand: use temporary credentials for them"
    )]
    EventStream,
    /// Another resolver's identity.
    #[error("the SDK took another identity than KeySigner's: set no identity resolver for sigv4")]
    Identity,
    /// The client's configuration lacks something, or has something of another kind.
    #[error("the client's configuration has no {0} to sign for")]
    Config(&'static str),
    /// A body of a kind, or with a hash, that is not known.
    #[error("the body's hash is none that can be signed")]
    PayloadHash,
    /// Neither today nor just after midnight.
    #[error(
        "the signing keys are for {day}, and the request is for {date}: send it again, and see that the clock is right"
    )]
    OtherDay {
        /// Of the keys.
        day: AmzDate,
        /// Of the request.
        date: AmzDate,
    },
    /// A clock before 1970, or after 9999.
    #[error("the clock shows a time that cannot be signed: set it")]
    Clock,
    /// The request's URI. It may be a secret, and is not printed.
    #[error("the request's address cannot be signed")]
    Uri,
    /// The method, the path, or a header's name or value.
    #[error(transparent)]
    Request(#[from] keyfob_core::sigv4::SignError),
}

impl From<Failure> for KeySignerError {
    fn from(failure: Failure) -> Self {
        Self::Key(failure)
    }
}

impl From<DateError> for KeySignerError {
    fn from(_: DateError) -> Self {
        Self::Clock
    }
}

impl From<CanonicalRequestError> for KeySignerError {
    fn from(error: CanonicalRequestError) -> Self {
        Self::Request(error.into())
    }
}

fn spelled(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{}: {hint}", failure.message),
        None => failure.message.clone(),
    }
}

/// What a [`KeySigner`] is to be.
pub struct Builder {
    access_key_id: String,
    scopes: Vec<(String, String)>,
    question: Question,
    other: Option<Box<KeysFrom>>,
}

impl Builder {
    /// Declares that the program signs for a service in a region, by the names in credential scopes: `eu-west-1` and
    /// `s3`. Of global services it is the region that signs for them: `us-east-1` for `iam`.
    #[must_use]
    pub fn scope(mut self, region: &str, service: &str) -> Self {
        let scope = (region.to_owned(), service.to_owned());
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
        self
    }

    /// What for, in a few words: the prompt has it.
    #[must_use]
    pub fn purpose(mut self, purpose: &str) -> Self {
        purpose.clone_into(&mut self.question.purpose);
        self
    }

    /// Which key: a serial number, `soft:NAME`. Without it, the one that is plugged in.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.question.key = Some(key.to_owned());
        self
    }

    /// Whether the agent is asked, which is the default: it is started from the program `keyfob`, beside this one or in
    /// `PATH`. Where that is not installed, this process holds the key itself.
    #[must_use]
    pub fn agent(mut self, agent: Agent) -> Self {
        self.question.agent = agent;
        self
    }

    /// How long a person, or the key, may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.question.timeout = Some(timeout);
        self
    }

    /// Takes what is to be shown to a person, in place of the notices on the terminal and the desktop: above all that
    /// the key waits for a touch. Called in a thread of its own.
    #[must_use]
    pub fn on_event(mut self, events: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.question.events = Some(Arc::new(events));
        self
    }

    /// Takes the signing keys from elsewhere, in the order of the scopes, for the day of the date. It may block: it is
    /// called in a thread of its own.
    #[must_use]
    pub fn keys_from(
        mut self,
        source: impl Fn(&AmzDate, &[(&str, &str)]) -> Result<Vec<SigningKey>, Failure> + Send + Sync + 'static,
    ) -> Self {
        self.other = Some(Box::new(source));
        self
    }

    /// The signer. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] without a scope, with more than [`MAX_SCOPES`], or with one that can be none.
    pub fn build(self) -> Result<KeySigner, KeySignerError> {
        let invalid = |text: &dyn fmt::Display, hint: &str| {
            KeySignerError::Key(keyfob::error::failure(ErrorCode::InvalidInput, text, hint))
        };
        if self.scopes.is_empty() || self.scopes.len() > MAX_SCOPES {
            let text = format!("{} scopes were declared, and 1 to {MAX_SCOPES} can be", self.scopes.len());
            return Err(invalid(&text, "declare region and service of every call with .scope(…)"));
        }
        for (region, service) in &self.scopes {
            Scope::new(&AmzDate::from_unix(0)?, region, service).map_err(|error| invalid(&error, ""))?;
        }
        let source = self.other.map_or(Source::Key(self.question), Source::Other);
        Ok(KeySigner(Arc::new(Inner {
            access_key_id: self.access_key_id,
            scopes: self.scopes,
            source,
            state: Mutex::default(),
            answers: AtomicU64::new(0),
        })))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("access_key_id", &self.access_key_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl KeySigner {
    /// Begins one that signs by the access key of that id, whose secret is on the key.
    #[must_use]
    pub fn builder(access_key_id: &str) -> Builder {
        let question = Question::new(access_key_id);
        Builder { access_key_id: access_key_id.to_owned(), scopes: Vec::new(), question, other: None }
    }

    /// Has the signing keys of today at hand: asks for the touch now, where it was not asked for yet.
    ///
    /// # Errors
    /// [`KeySignerError::Key`]
    pub async fn ready(&self) -> Result<(), KeySignerError> {
        self.identity(SystemTime::now()).await.map(drop)
    }

    /// Erases the signing keys, as soon as the calls that are on their way are signed. The next one asks for a touch.
    pub async fn forget(&self) {
        self.0.state.lock().await.days.clear();
    }

    /// The keys of the day. Who comes while they are asked for gets the same answer, also if it is none: nobody is to be
    /// asked once for every call that waits.
    async fn identity(&self, now: SystemTime) -> Result<Identity, KeySignerError> {
        let date = amz_date(now)?;
        let seen = self.0.answers.load(Ordering::SeqCst);
        let mut state = self.0.state.lock().await;
        let is_of_day = |keys: &DayKeys| keys.day.date() == date.date();
        if let Some(held) = state.days.iter().find(|held| held.data().is_some_and(is_of_day)) {
            return Ok(held.clone());
        }
        if let Some((answer, day, failure)) = &state.failed
            && *answer > seen
            && day == date.date()
        {
            return Err(failure.clone().into());
        }
        let answer = self.ask(date).await;
        let number = self.0.answers.fetch_add(1, Ordering::SeqCst) + 1;
        match answer {
            Ok(keys) => {
                let end = UNIX_EPOCH + Duration::from_secs(day_after(&date));
                let identity = Identity::new(DayKeys { day: date, keys }, Some(end));
                if state.days.len() >= MAX_DAYS {
                    state.days.remove(0);
                }
                state.days.push(identity.clone());
                Ok(identity)
            }
            Err(failure) => {
                state.failed = Some((number, *date.date(), failure.clone()));
                Err(failure.into())
            }
        }
    }

    /// In a thread of its own, on any executor. When nobody waits any more, the question is taken back.
    async fn ask(&self, date: AmzDate) -> Result<Vec<SigningKey>, Failure> {
        let broken = || keyfob::error::failure(ErrorCode::Internal, "no thread can ask the key", "");
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let line = Line::default();
        let (inner, other_end) = (Arc::clone(&self.0), line.other_end());
        let work = move || {
            let scopes: Vec<_> = inner.scopes.iter().map(|(r, s)| (r.as_str(), s.as_str())).collect();
            // Nobody may wait any more: then the keys are erased here.
            drop(sender.send(match &inner.source {
                Source::Key(question) => question.signing_keys(&other_end, &date, &scopes),
                Source::Other(source) => source(&date, &scopes),
            }));
        };
        std::thread::Builder::new().name("signing keys".to_owned()).spawn(work).map_err(|_| broken())?;
        receiver.await.map_err(|_| broken())?
    }
}

/// Its clients' traces have it.
impl fmt::Debug for KeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySigner")
            .field("access_key_id", &self.0.access_key_id)
            .field("scopes", &self.0.scopes)
            .finish_non_exhaustive()
    }
}

impl AuthScheme for KeySigner {
    /// In place of the SDK's own.
    fn scheme_id(&self) -> AuthSchemeId {
        sigv4::SCHEME_ID
    }

    /// Its own, whatever the client has for others.
    fn identity_resolver(&self, _: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        Some(SharedIdentityResolver::new(self.clone()))
    }

    fn signer(&self) -> &dyn Sign {
        self
    }
}

impl ResolveIdentity for KeySigner {
    fn resolve_identity<'a>(
        &'a self,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move { Ok(self.identity(sign::corrected_time(components, config)).await?) })
    }

    /// The client's cache gives a resolver five seconds, and a person takes longer.
    fn cache_location(&self) -> IdentityCacheLocation {
        IdentityCacheLocation::IdentityResolver
    }
}

fn amz_date(time: SystemTime) -> Result<AmzDate, KeySignerError> {
    let unix = time.duration_since(UNIX_EPOCH).map_err(|_| KeySignerError::Clock)?.as_secs();
    Ok(AmzDate::from_unix(unix)?)
}

/// When the day of that time is over: Unix time in seconds.
fn day_after(date: &AmzDate) -> u64 {
    (date.unix() / DAY + 1) * DAY
}
