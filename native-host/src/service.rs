//! Answers the protocol's requests: the one place where an operation on a key is put together.
//!
//! The command line calls it in process, a browser through `native_messaging`; both get the same answers, as
//! far as `policy` lets them.

use std::time::{SystemTime, UNIX_EPOCH};

use keyfob_core::aws;
use keyfob_core::identity::{IdentityError, IdentityName};
use keyfob_core::message::{
    self, Account, AccountKind, Answer, Code, ErrorCode, Event, Failure, Identity, Op, Password, Request,
    Scheme, SignatureVersion,
};
use keyfob_core::oath::protocol::DEFAULT_PERIOD;
use keyfob_core::oath::{
    AccessKey, Calculate, CalculateAll, CalculateFull, Calculated, CredentialId, Delete, DigitCount, Kind,
    List, ListEntry, OathError, OtpAuth, Rename, Reset, SetCode, Truncated,
};
use keyfob_core::s3::{self, ParsedPresign};
use keyfob_core::secret::Secret;
use keyfob_core::sigv4::DateKey;

use crate::config::Config;
use crate::error::{Refusal, failure};
use crate::key::{Conversation, KeyError, Keys, SOFT_PREFIX};
use crate::passwords::{Passwords, PasswordsError};
use crate::policy::{self, Caller};
use crate::prompt::printable;

/// Asks a person for the password of a card; `None` if there is nobody to ask.
pub type AskPassword = Box<dyn FnMut(&str) -> Result<Option<Secret>, Failure> + Send>;

/// Takes progress events.
pub type Events<'a> = &'a mut dyn FnMut(Event);

/// A host: keys, settings, and one caller.
pub struct Service {
    keys: Keys,
    config: Config,
    caller: Caller,
    ask: AskPassword,
    /// Keys of passwords that were right, by the card's salt: kept as long as this process lives.
    unlocked: Vec<(Vec<u8>, AccessKey)>,
    /// Those that the user had remembered.
    passwords: Passwords,
    clock: fn() -> u64,
}

impl Service {
    /// A host for one caller.
    #[must_use]
    pub fn new(keys: Keys, config: Config, caller: Caller, ask: AskPassword, passwords: Passwords) -> Self {
        Self { keys, config, caller, ask, unlocked: Vec::new(), passwords, clock: unix_time }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// [`Failure`], for the front end to show.
    pub fn handle(&mut self, request: Request, events: Events<'_>) -> Result<Answer, Failure> {
        if request.v != message::VERSION {
            return Err(failure(
                ErrorCode::UnsupportedVersion,
                format!("this host speaks version {} of the protocol, not {}", message::VERSION, request.v),
                "update Keyfob and its browser extension to the same release",
            ));
        }
        policy::check(&self.caller, &request.op)?;
        let choice = request.key.or_else(|| self.config.key.clone());
        self.answer(choice.as_deref(), request.op, events).map_err(|refusal| refusal.0)
    }

    fn answer(&mut self, choice: Option<&str>, op: Op, events: Events<'_>) -> Result<Answer, Refusal> {
        match op {
            Op::Hello {} => Ok(Answer::Hello {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: message::VERSION,
            }),
            Op::Keys {} => Ok(Answer::Keys { keys: self.keys.list(choice)? }),
            Op::Accounts { codes, at } => self.accounts(choice, codes, at),
            Op::Code { account, at, purpose } => self.code(choice, &account, at, purpose.as_deref(), events),
            Op::Identities {} => self.identities(choice),
            Op::Presign { canonical_request, scheme } => {
                self.presign(choice, &canonical_request, scheme, events)
            }
            Op::Unlock { password } => self.unlock(choice, &Secret::from(password.0.clone())),
            Op::AddAccount { uri, touch, overwrite } => self.add_account(choice, &uri.0, touch, overwrite),
            Op::AddIdentity { access_key_id, secret_access_key, touch, overwrite } => {
                let secret = Secret::from(secret_access_key.0.clone());
                self.add_identity(choice, &access_key_id, &secret, touch, overwrite)
            }
            Op::DeleteAccount { account } => self.delete_account(choice, &account),
            Op::DeleteIdentity { access_key_id } => self.delete_identity(choice, &access_key_id),
            Op::RenameAccount { account, to } => self.rename(choice, &account, &to),
            Op::ChangePassword { new } => {
                self.change_password(choice, new.map(|new| Secret::from(new.0.clone())).as_ref())
            }
            Op::RememberPassword {} => self.remember(choice),
            Op::ForgetPassword {} => self.forget(choice),
            Op::Hmac { account, challenge } => self.hmac(choice, &account, &challenge, events),
            Op::Reset {} => self.open(choice, false, |key| {
                key.call(Reset)?;
                Ok(Answer::Reset {})
            }),
            _ => {
                Err(failure(ErrorCode::BadRequest, "this host does not know that operation", "update Keyfob")
                    .into())
            }
        }
    }

    /// Holds a conversation, unlocked first where `unlock` says that it must be.
    ///
    /// A person who is asked for the password takes their time: the card is let go of meanwhile.
    fn open<T>(
        &mut self,
        choice: Option<&str>,
        unlock: bool,
        talk: impl FnOnce(&mut Conversation<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut talk = Some(talk);
        let mut remembered_is_wrong = false;
        // At most three times: with the remembered password, without any, and with what the person gave.
        loop {
            let Self { keys, unlocked, passwords, .. } = self;
            let locked = keys.with(choice, |key| -> Result<_, Refusal> {
                if unlock && key.is_locked() {
                    let salt = key.selected().salt.clone();
                    let known = unlocked.iter().position(|(known, _)| *known == salt);
                    let access_key = match known.and_then(|position| unlocked.get(position)) {
                        Some((_, access_key)) => access_key.clone(),
                        None => match passwords.get(&salt).filter(|_| !remembered_is_wrong) {
                            Some(access_key) => access_key,
                            None => return Ok(Err((salt, key.label().to_owned()))),
                        },
                    };
                    if let Err(error) = key.unlock(access_key.clone()) {
                        if known.is_none() && matches!(error, KeyError::Oath(OathError::WrongPassword)) {
                            remembered_is_wrong = true;
                            return Ok(Err((salt, key.label().to_owned())));
                        }
                        // It was changed meanwhile: forgotten, so that the next attempt asks.
                        unlocked.retain(|(known, _)| *known != salt);
                        return Err(error.into());
                    }
                    if known.is_none() {
                        unlocked.push((salt, access_key));
                    }
                }
                match talk.take() {
                    Some(talk) => talk(key).map(Ok),
                    None => Err(OathError::OutOfOrder.into()),
                }
            })?;
            match locked {
                Ok(result) => return Ok(result),
                Err((salt, label)) => {
                    let what = format!("the password of the key in {label}");
                    let password = (self.ask)(&what)?.ok_or(OathError::Locked)?;
                    let access_key = access_key(&password, &salt)?;
                    self.unlocked.push((salt, access_key));
                }
            }
        }
    }

    fn unlock(&mut self, choice: Option<&str>, password: &Secret) -> Result<Answer, Refusal> {
        // A software key may be locked twice: its file, and the applet in it.
        if let Some(name) = choice.and_then(|choice| choice.strip_prefix(SOFT_PREFIX))
            && !self.keys.soft.is_open(name)?
        {
            self.keys.soft.unlock(name, password)?;
            return Ok(Answer::Unlocked {});
        }
        let known = self.open(choice, false, |key| {
            if !key.is_locked() {
                return Ok(None);
            }
            let salt = key.selected().salt.clone();
            let access_key = access_key(password, &salt)?;
            key.unlock(access_key.clone())?;
            Ok(Some((salt, access_key)))
        })?;
        if let Some((salt, access_key)) = known {
            self.unlocked.retain(|(known, _)| *known != salt);
            self.unlocked.push((salt, access_key));
        }
        Ok(Answer::Unlocked {})
    }

    /// Sets the password, or removes it. The old one was proved by `open`.
    fn change_password(&mut self, choice: Option<&str>, new: Option<&Secret>) -> Result<Answer, Refusal> {
        let mut challenge = [0; 8];
        getrandom::fill(&mut challenge).map_err(KeyError::from)?;
        let (salt, access_key) = self.open(choice, true, |key| {
            let salt = key.selected().salt.clone();
            let access_key = new.map(|new| access_key(new, &salt)).transpose()?;
            key.call(match &access_key {
                Some(access_key) => SetCode::set(access_key.clone(), challenge),
                None => SetCode::remove(),
            })?;
            Ok((salt, access_key))
        })?;
        if self.passwords.get(&salt).is_some() {
            match &access_key {
                Some(access_key) => self.passwords.remember(&salt, access_key),
                None => self.passwords.forget(&salt).map(drop),
            }
            .map_err(passwords_failure)?;
        }
        self.unlocked.retain(|(known, _)| *known != salt);
        self.unlocked.extend(access_key.map(|access_key| (salt, access_key)));
        Ok(Answer::PasswordChanged {})
    }

    fn remember(&mut self, choice: Option<&str>) -> Result<Answer, Refusal> {
        let (salt, wanted) = self.open(choice, true, |key| {
            Ok((key.selected().salt.clone(), key.selected().challenge.is_some()))
        })?;
        match self.unlocked.iter().find(|(known, _)| *known == salt) {
            Some((_, key)) if wanted => self.passwords.remember(&salt, key).map_err(passwords_failure)?,
            _ => return Err(failure(ErrorCode::NotFound, "this key has no password", "").into()),
        }
        Ok(Answer::PasswordRemembered {})
    }

    fn forget(&mut self, choice: Option<&str>) -> Result<Answer, Refusal> {
        let salt = self.open(choice, false, |key| Ok(key.selected().salt.clone()))?;
        let was_remembered = self.passwords.forget(&salt).map_err(passwords_failure)?;
        Ok(Answer::PasswordForgotten { was_remembered })
    }

    fn rename(&mut self, choice: Option<&str>, account: &str, to: &str) -> Result<Answer, Refusal> {
        self.open(choice, true, |key| {
            let entries = key.call(List)?;
            let from = only(&entries, account)?;
            let id = CredentialId::for_name(from.kind, from.id.parts(from.kind).period.max(1), to)?;
            check_account_name(&id)?;
            if entries.iter().any(|entry| entry.id == id) || has_twin(&entries, &id, from.kind) {
                return Err(OathError::Exists.into());
            }
            key.call(Rename { from: from.id.clone(), to: id.clone() })?;
            Ok(Answer::Written { written: id.name(from.kind), replaced: false })
        })
    }

    fn hmac(
        &mut self,
        choice: Option<&str>,
        account: &str,
        challenge: &str,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let challenge = unhex(challenge).ok_or_else(|| {
            failure(
                ErrorCode::InvalidInput,
                "the challenge is no text of hexadecimal digits, 1 to 64 bytes",
                "",
            )
        })?;
        let (now, caller) = (self.now(None), self.caller.clone());
        self.open(choice, true, |key| {
            let entries = accounts_only(stored(key, now)?);
            let entry = find(&entries, account, &caller)?;
            if entry.kind == Kind::Hotp {
                return Err(failure(
                    ErrorCode::Unsupported,
                    "a counter-based account takes no challenge",
                    "choose an account that is time-based",
                )
                .into());
            }
            if entry.touch() == Some(true) {
                let prompt = format!("{} asks for an HMAC by {}", caller.name(), shown(&entry.name()));
                events(Event::TouchRequired { prompt });
            }
            let response = key.call(CalculateFull { id: entry.id.clone(), challenge })?;
            let response = response.expose().iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(Answer::Hmac { response: Password(response) })
        })
    }

    fn now(&self, at: Option<u64>) -> u64 {
        at.unwrap_or_else(self.clock)
    }

    fn accounts(&mut self, choice: Option<&str>, codes: bool, at: Option<u64>) -> Result<Answer, Refusal> {
        let now = self.now(at);
        let (caller, browser) = (self.caller.clone(), self.config.browser.clone());
        self.open(choice, true, |key| {
            let described = key.describe()?;
            let mut accounts = Vec::new();
            for entry in stored(key, now)? {
                let Some(mut account) = entry.account() else { continue };
                if !policy::may_see(&caller, &browser, &account.name) {
                    continue;
                }
                if codes && account.touch == Some(false) {
                    account.code = Some(entry.code(key, now)?);
                }
                accounts.push(account);
            }
            Ok(Answer::Accounts { key: described, accounts })
        })
    }

    fn code(
        &mut self,
        choice: Option<&str>,
        account: &str,
        at: Option<u64>,
        purpose: Option<&str>,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let now = self.now(at);
        let (caller, browser) = (self.caller.clone(), self.config.browser.clone());
        self.open(choice, true, |key| {
            let entries: Vec<_> = stored(key, now)?
                .into_iter()
                .filter(|e| e.account().is_some_and(|a| policy::may_see(&caller, &browser, &a.name)))
                .collect();
            let entry = find(&entries, account, &caller)?;
            let name = entry.name();
            if matches!(entry.state, State::Touch | State::Unknown) {
                let what = purpose.map(|purpose| format!(" for {}", shown(purpose))).unwrap_or_default();
                events(Event::TouchRequired {
                    prompt: format!("{} asks for the code of {}{what}", caller.name(), shown(&name)),
                });
            }
            let code = entry.code(key, now)?;
            Ok(Answer::Code { account: name, code })
        })
    }

    fn identities(&mut self, choice: Option<&str>) -> Result<Answer, Refusal> {
        let now = self.now(None);
        let browser = matches!(self.caller, Caller::Browser { .. });
        self.open(choice, true, |key| {
            let described = key.describe()?;
            let identities = stored(key, now)?
                .iter()
                .filter_map(|entry| {
                    let name = IdentityName::parse(&entry.id)?;
                    Some(Identity {
                        access_key_id: name.access_key_id().to_owned(),
                        signature: name.signature(),
                        touch: entry.touch(),
                    })
                })
                // A browser signs S3 links with SigV4, and need not know of others.
                .filter(|identity| !browser || identity.signature == SignatureVersion::SigV4)
                .collect();
            Ok(Answer::Identities { key: described, identities })
        })
    }

    fn presign(
        &mut self,
        choice: Option<&str>,
        canonical_request: &str,
        scheme: Scheme,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let request = ParsedPresign::parse(canonical_request)?;
        policy::check_presign(&self.caller, &self.config.browser, &request, scheme, self.now(None))?;
        let identity = identity(request.access_key_id(), SignatureVersion::SigV4)?;
        let now = self.now(None);
        let caller = self.caller.name();
        let date_key = self.open(choice, true, |key| {
            let id = identity.id()?;
            let entries = stored(key, now)?;
            let entry = entries.iter().find(|entry| entry.id == id).ok_or_else(|| {
                failure(
                    ErrorCode::NotFound,
                    format!("the secret of {} is not on this key", identity.access_key_id()),
                    "`keyfob aws identities` shows those that are; `keyfob aws add` puts one there",
                )
            })?;
            if entry.touch() != Some(false) {
                events(Event::TouchRequired {
                    prompt: format!("{caller} asks to sign {}", describe(&request)),
                });
            }
            let challenge = request.date().date().to_vec();
            let response = key.call(CalculateFull { id, challenge }).map_err(|error| entry.named(error))?;
            match <[u8; 32]>::try_from(response.expose()) {
                Ok(bytes) => Ok(DateKey::new(bytes, *request.date())),
                Err(_) => Err(failure(
                    ErrorCode::BadAnswer,
                    format!("the credential of {} is not one for SigV4", identity.access_key_id()),
                    "delete the identity and add it again",
                )
                .into()),
            }
        })?;
        let invalid = |error: &dyn std::fmt::Display| failure(ErrorCode::InvalidInput, error, "");
        let signing_key =
            date_key.signing_key(request.region(), s3::SERVICE).map_err(|error| invalid(&error))?;
        drop(date_key);
        let url = request.sign(&signing_key, scheme).map_err(|error| invalid(&error))?;
        Ok(Answer::Presigned { url, expires_at: request.expires_at() })
    }

    fn add_account(
        &mut self,
        choice: Option<&str>,
        uri: &str,
        touch: bool,
        overwrite: bool,
    ) -> Result<Answer, Refusal> {
        let account = OtpAuth::parse(uri)?;
        let id = account.id()?;
        check_account_name(&id)?;
        let put = account.put(touch)?;
        self.open(choice, true, |key| {
            let replaced = may_write(key, &id, account.kind, overwrite)?;
            key.call(put)?;
            Ok(Answer::Written { written: id.name(account.kind), replaced })
        })
    }

    fn add_identity(
        &mut self,
        choice: Option<&str>,
        access_key_id: &str,
        secret: &Secret,
        touch: bool,
        overwrite: bool,
    ) -> Result<Answer, Refusal> {
        let identity = identity(access_key_id, SignatureVersion::SigV4)?;
        let put = identity.put(secret, touch).map_err(invalid_identity)?;
        let id = identity.id()?;
        self.open(choice, true, |key| {
            let replaced = may_write(key, &id, Kind::Totp, overwrite)?;
            key.call(put)?;
            Ok(Answer::Written { written: access_key_id.to_owned(), replaced })
        })
    }

    fn delete_account(&mut self, choice: Option<&str>, account: &str) -> Result<Answer, Refusal> {
        self.open(choice, true, |key| {
            let entries = key.call(List)?;
            let entry = only(&entries, account)?;
            key.call(Delete { id: entry.id.clone() })?;
            Ok(Answer::Deleted { deleted: entry.id.name(entry.kind) })
        })
    }

    fn delete_identity(&mut self, choice: Option<&str>, access_key_id: &str) -> Result<Answer, Refusal> {
        let identity = identity(access_key_id, SignatureVersion::SigV4)?;
        self.open(choice, true, |key| {
            key.call(Delete { id: identity.id()? })?;
            Ok(Answer::Deleted { deleted: access_key_id.to_owned() })
        })
    }
}

/// Seconds since 1970, by this computer's clock.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn access_key(password: &Secret, salt: &[u8]) -> Result<AccessKey, Refusal> {
    match std::str::from_utf8(password.expose()) {
        Ok(password) => Ok(AccessKey::derive(password, salt)),
        Err(_) => Err(OathError::WrongPassword.into()),
    }
}

fn identity(access_key_id: &str, signature: SignatureVersion) -> Result<IdentityName, Refusal> {
    IdentityName::new(access_key_id, signature).map_err(invalid_identity)
}

fn invalid_identity(error: IdentityError) -> Refusal {
    failure(ErrorCode::InvalidInput, error, "").into()
}

fn passwords_failure(error: PasswordsError) -> Refusal {
    let code = match &error {
        PasswordsError::Keychain(error) => error.code(),
        PasswordsError::Path(error) => error.code(),
    };
    failure(code, error, "").into()
}

/// Keeps accounts out of the name space of identities.
fn check_account_name(id: &CredentialId) -> Result<(), Refusal> {
    if !IdentityName::is_reserved(id) {
        return Ok(());
    }
    Err(failure(
        ErrorCode::InvalidInput,
        "names that begin with exile- are those of AWS identities",
        "use `keyfob aws add` for an identity, or give the account another name",
    )
    .into())
}

/// Bytes from 1 to 64 pairs of hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect::<Option<Vec<_>>>().filter(|bytes| (1..=64).contains(&bytes.len()))
}

/// Refuses to overwrite unasked; says whether something will be replaced. Most cards would not say a word.
///
/// Two accounts of one name but of another kind or period would be two ids: that is refused even when asked for, for
/// neither could be told from the other.
fn may_write(
    key: &mut Conversation<'_>,
    id: &CredentialId,
    kind: Kind,
    overwrite: bool,
) -> Result<bool, Refusal> {
    let entries = key.call(List)?;
    let exists = entries.iter().any(|entry| entry.id == *id);
    if (exists && !overwrite) || has_twin(&entries, id, kind) {
        return Err(OathError::Exists.into());
    }
    Ok(exists)
}

/// Whether an account has the same name as this one would have, but another id.
fn has_twin(entries: &[ListEntry], id: &CredentialId, kind: Kind) -> bool {
    let name = id.name(kind);
    entries.iter().any(|entry| entry.id != *id && entry.id.name(entry.kind) == name)
}

/// One credential, as CALCULATE ALL and, where it does not say enough, LIST tell of it.
struct Entry {
    id: CredentialId,
    kind: Kind,
    digits: Option<DigitCount>,
    state: State,
}

enum State {
    /// Calculated for the default period.
    Code(Truncated),
    /// Wants a touch.
    Touch,
    /// Not calculated: HOTP, whose touch flag cannot be known.
    Hotp,
    /// Not calculated, for another credential is broken; may want a touch.
    Unknown,
}

/// All credentials, in the key's order: one command, and what it says of each. A broken one fails that for all, but not
/// LIST, which computes nothing and tells less.
fn stored(key: &mut Conversation<'_>, now: u64) -> Result<Vec<Entry>, Refusal> {
    let challenge = now / u64::from(DEFAULT_PERIOD);
    let all = match key.call(CalculateAll { challenge }) {
        Err(KeyError::Oath(OathError::BrokenCredential)) => {
            let unknown = |entry: ListEntry| {
                let state = if entry.kind == Kind::Hotp { State::Hotp } else { State::Unknown };
                Entry { id: entry.id, kind: entry.kind, digits: None, state }
            };
            return Ok(key.call(List)?.into_iter().map(unknown).collect());
        }
        all => all?,
    };
    Ok(all
        .into_iter()
        .map(|(id, calculated)| match calculated {
            Calculated::Code(code) => {
                Entry { id, kind: Kind::Totp, digits: Some(code.digits), state: State::Code(code) }
            }
            Calculated::Touch => Entry { id, kind: Kind::Totp, digits: None, state: State::Touch },
            Calculated::Hotp => Entry { id, kind: Kind::Hotp, digits: None, state: State::Hotp },
        })
        .collect())
}

impl Entry {
    fn name(&self) -> String {
        self.id.name(self.kind)
    }

    fn touch(&self) -> Option<bool> {
        match self.state {
            State::Code(_) => Some(false),
            State::Touch => Some(true),
            State::Hotp | State::Unknown => None,
        }
    }

    /// The account that this is; none if it is an identity.
    fn account(&self) -> Option<Account> {
        if IdentityName::is_reserved(&self.id) {
            return None;
        }
        let parts = self.id.parts(self.kind);
        let name = self.name();
        Some(Account {
            issuer: parts.issuer.map(|issuer| issuer.into_owned()),
            kind: match self.kind {
                Kind::Hotp => AccountKind::Hotp,
                Kind::Totp => AccountKind::Totp,
            },
            period: parts.period,
            digits: self.digits.map(DigitCount::get),
            touch: self.touch(),
            aws: aws::login(&name),
            name,
            code: None,
        })
    }

    /// An error of this credential's own, with its name.
    fn named(&self, error: KeyError) -> Refusal {
        match error {
            KeyError::Oath(error @ OathError::BrokenCredential) => {
                let (name, command) = match IdentityName::parse(&self.id) {
                    Some(identity) => (identity.access_key_id().to_owned(), "aws"),
                    None => (self.name(), "oath"),
                };
                let hint = format!("delete it: `keyfob {command} delete {name:?}`");
                failure(ErrorCode::BadAnswer, format!("{}: {error}", shown(&name)), hint).into()
            }
            error => error.into(),
        }
    }

    /// The code for a time; asks the key again where CALCULATE ALL has not given it.
    fn code(&self, key: &mut Conversation<'_>, now: u64) -> Result<Code, Refusal> {
        let period = self.id.parts(self.kind).period.max(1);
        let step = now / u64::from(period);
        let truncated = match &self.state {
            State::Code(code) if period == DEFAULT_PERIOD => code.clone(),
            _ => {
                let calculate = Calculate { id: self.id.clone(), kind: self.kind, challenge: step };
                key.call(calculate).map_err(|error| self.named(error))?
            }
        };
        let valid_from = (self.kind == Kind::Totp).then(|| step * u64::from(period));
        Ok(Code {
            value: truncated.code(),
            valid_from,
            valid_until: valid_from.map(|from| from + u64::from(period)),
        })
    }
}

/// The one account of exactly this name, by LIST.
fn only<'a>(entries: &'a [ListEntry], account: &str) -> Result<&'a ListEntry, Failure> {
    let named =
        |entry: &&ListEntry| !IdentityName::is_reserved(&entry.id) && entry.id.is_named(entry.kind, account);
    let found: Vec<_> = entries.iter().filter(named).collect();
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => Err(no_account(account, &[])),
        several => {
            let ids = several.iter().map(|entry| String::from_utf8_lossy(entry.id.as_bytes()).into_owned());
            Err(ambiguous(account, ids.collect()))
        }
    }
}

/// Those that are no identities.
fn accounts_only(entries: Vec<Entry>) -> Vec<Entry> {
    entries.into_iter().filter(|entry| !IdentityName::is_reserved(&entry.id)).collect()
}

/// The account that is meant: by its exact name; from the command line also by a beginning or an issuer that
/// only one account has.
fn find<'a>(entries: &'a [Entry], account: &str, caller: &Caller) -> Result<&'a Entry, Failure> {
    let exact: Vec<_> = entries.iter().filter(|e| e.id.is_named(e.kind, account)).collect();
    let found = if exact.is_empty() && *caller == Caller::CommandLine {
        let query = account.to_lowercase();
        entries
            .iter()
            .filter(|entry| {
                let parts = entry.id.parts(entry.kind);
                let matches = |text: &str| text.to_lowercase().starts_with(&query);
                matches(&entry.name())
                    || parts.issuer.as_deref().is_some_and(matches)
                    || matches(&parts.account)
            })
            .collect()
    } else {
        exact
    };
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => Err(no_account(account, entries)),
        several => Err(ambiguous(account, several.iter().map(|entry| entry.name()).collect())),
    }
}

fn no_account(account: &str, entries: &[Entry]) -> Failure {
    Failure {
        candidates: entries.iter().map(Entry::name).collect(),
        ..failure(
            ErrorCode::NotFound,
            format!("no account {} on this key", shown(account)),
            "`keyfob oath list` shows the accounts that are there",
        )
    }
}

fn ambiguous(account: &str, candidates: Vec<String>) -> Failure {
    Failure {
        candidates,
        ..failure(
            ErrorCode::Ambiguous,
            format!("several accounts fit {}", shown(account)),
            "give the full name",
        )
    }
}

/// What a signature is for, from our own parse.
fn describe(request: &ParsedPresign) -> String {
    let version = request.version_id().map(|id| format!(", version {}", shown(id))).unwrap_or_default();
    format!(
        "{} s3://{}/{}{version} at {} as {} (works for {})",
        request.method(),
        request.bucket(),
        shown(request.key()),
        request.authority(),
        request.access_key_id(),
        duration(request.expires()),
    )
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (unit, name) in parts {
        if rest >= unit {
            words.push(format!("{} {name}", rest / unit));
            rest %= unit;
        }
    }
    if words.is_empty() { "0 s".to_owned() } else { words.join(" ") }
}

/// Text from outside, fit for a prompt of one line.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut clean: String = printable(text).chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        #[track_caller]
        fn check(seconds: u64, expected: &str) {
            assert_eq!(duration(seconds), expected);
        }
        check(0, "0 s");
        check(900, "15 min");
        check(3661, "1 h 1 min 1 s");
        check(604_800, "7 d");
    }

    #[test]
    fn prompts_cannot_be_forged_by_names() {
        assert_eq!(shown("a\x1b[2Jb\nc\u{202E}d"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), 201);
    }
}
