//! Answers the protocol's requests: the one place where an operation on a key is put together.
//!
//! The command line calls it in process, a browser through `native_messaging`; both get the same answers, as
//! far as `policy` lets them.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyfob_core::aws;
use keyfob_core::identity::{IdentityError, IdentityName};
use keyfob_core::message::{
    self, Account, AccountKind, Answer, Code, ErrorCode, Event, Failure, Identity, Op, Password, Request,
    Scheme, SignatureVersion,
};
use keyfob_core::oath::protocol::DEFAULT_PERIOD;
use keyfob_core::oath::{
    AccessKey, Calculate, CalculateAll, CalculateFull, Calculated, CredentialId, Delete, DigitCount, Kind,
    List, ListEntry, OathError, OtpAuth, Put, Rename, Reset, SetCode, Truncated, steam_code,
};
use keyfob_core::s3::{self, ParsedPresign};
use keyfob_core::secret::Secret;
use keyfob_core::sigv4::DateKey;
use subtle::ConstantTimeEq as _;

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

/// The key of a password, and the salt of the card that it opens.
struct Unlocked {
    salt: Vec<u8>,
    key: AccessKey,
    /// It came from the keychain, and may be out of date.
    remembered: bool,
}

/// A host: keys, settings, and one caller.
pub struct Service {
    keys: Keys,
    config: Config,
    caller: Caller,
    ask: AskPassword,
    /// Keys of passwords: kept as long as this process lives.
    unlocked: Vec<Unlocked>,
    /// How often in a row [`Op::Unlock`] was wrong.
    wrong_passwords: u32,
    /// Those that the user had remembered.
    passwords: Passwords,
    clock: fn() -> u64,
}

impl Service {
    /// A host for one caller.
    #[must_use]
    pub fn new(keys: Keys, config: Config, caller: Caller, ask: AskPassword, passwords: Passwords) -> Self {
        Self {
            keys,
            config,
            caller,
            ask,
            unlocked: Vec::new(),
            wrong_passwords: 0,
            passwords,
            clock: unix_time,
        }
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
        policy::check_key(&self.caller, request.key.as_deref(), self.config.key.as_deref())?;
        let choice = request.key.or_else(|| self.config.key.clone());
        let choice = self.keys.soft.resolve(choice).map_err(|error| Refusal::from(error).0)?;
        self.answer(choice.as_deref(), request.op, events).map_err(|refusal| refusal.0)
    }

    fn answer(&mut self, choice: Option<&str>, op: Op, events: Events<'_>) -> Result<Answer, Refusal> {
        match op {
            Op::Hello {} => Ok(Answer::Hello {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: message::VERSION,
            }),
            Op::Keys {} => Ok(Answer::Keys { keys: self.keys.list(choice)? }),
            Op::Verify { account, code, window, at } => {
                self.verify(choice, &account, &code.0, window, at, events)
            }
            Op::Info {} => self.open(choice, false, |key| Ok(Answer::Info { key: key.describe()? })),
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
            Op::Reset {} => {
                let salt = self.open(choice, false, |key| {
                    let salt = key.selected().salt.clone();
                    key.call(Reset)?;
                    Ok(salt)
                })?;
                // Nothing will ever ask for it again; a keychain that is closed keeps what is worthless.
                let _ = self.passwords.forget(&salt);
                Ok(Answer::Reset {})
            }
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
        // At most three times: without a password, with the remembered one, and with what the person gave.
        loop {
            let Self { keys, unlocked, .. } = self;
            let locked = keys.with(choice, |key| -> Result<_, Refusal> {
                if unlock && key.is_locked() {
                    let salt = key.selected().salt.clone();
                    let known = unlocked.iter().find(|known| known.salt == salt);
                    let Some(known) = known else { return Ok(Err((salt, key.label().to_owned()))) };
                    if let Err(error) = key.unlock(known.key.clone()) {
                        let is_wrong = matches!(error, KeyError::Oath(OathError::WrongPassword));
                        let ask_again = is_wrong && known.remembered;
                        // It was changed meanwhile: forgotten, so that the next attempt asks.
                        unlocked.retain(|known| known.salt != salt);
                        if ask_again {
                            remembered_is_wrong = true;
                            return Ok(Err((salt, key.label().to_owned())));
                        }
                        return Err(error.into());
                    }
                }
                match talk.take() {
                    Some(talk) => talk(key).map(Ok),
                    None => Err(OathError::OutOfOrder.into()),
                }
            })?;
            let (salt, label) = match locked {
                Ok(result) => return Ok(result),
                Err(locked) => locked,
            };
            if !remembered_is_wrong && let Some(key) = self.passwords.get(&salt) {
                self.unlocked.push(Unlocked { salt, key, remembered: true });
                continue;
            }
            let what = format!("the password of the key in {label}");
            let password = (self.ask)(&what)?.ok_or(OathError::Locked)?;
            let key = access_key(&password, &salt)?;
            self.unlocked.push(Unlocked { salt, key, remembered: false });
        }
    }

    /// Unlocks for as long as this process lives. Wrong passwords are answered later and later: the key itself counts
    /// none.
    fn unlock(&mut self, choice: Option<&str>, password: &Secret) -> Result<Answer, Refusal> {
        const LONGEST: Duration = Duration::from_secs(10);
        let result = self.try_unlock(choice, password);
        match &result {
            Ok(_) => self.wrong_passwords = 0,
            Err(Refusal(failure)) if failure.code == ErrorCode::WrongPassword => {
                let pause = Duration::from_millis(250).saturating_mul(1 << self.wrong_passwords.min(10));
                sleep(pause.min(LONGEST));
                self.wrong_passwords += 1;
            }
            Err(_) => {}
        }
        result
    }

    fn try_unlock(&mut self, choice: Option<&str>, password: &Secret) -> Result<Answer, Refusal> {
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
            Ok(Some(Unlocked { salt, key: access_key, remembered: false }))
        })?;
        if let Some(known) = known {
            self.unlocked.retain(|other| other.salt != known.salt);
            self.unlocked.push(known);
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
        if self.passwords.has(&salt) {
            match &access_key {
                Some(access_key) => self.passwords.remember(&salt, access_key),
                None => self.passwords.forget(&salt).map(drop),
            }
            .map_err(passwords_failure)?;
        }
        self.unlocked.retain(|known| known.salt != salt);
        self.unlocked.extend(access_key.map(|key| Unlocked { salt, key, remembered: false }));
        Ok(Answer::PasswordChanged {})
    }

    fn remember(&mut self, choice: Option<&str>) -> Result<Answer, Refusal> {
        let (salt, wanted) = self.open(choice, true, |key| {
            Ok((key.selected().salt.clone(), key.selected().challenge.is_some()))
        })?;
        match self.unlocked.iter().find(|known| known.salt == salt) {
            Some(known) if wanted => {
                self.passwords.remember(&salt, &known.key).map_err(passwords_failure)?;
            }
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
            if entries.iter().any(|entry| entry.id == id) {
                return Err(OathError::Exists.into());
            }
            refuse_twin(&entries, &id, from.kind)?;
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
            if entry.touch() != Some(false) {
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
                if !policy::may_see(&caller, &browser, &account) {
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
        let (caller, browser) = (self.caller.clone(), self.config.browser.clone());
        loop {
            let now = self.now(at);
            let answer = self.open(choice, true, |key| {
                let entries: Vec<_> = stored(key, now)?
                    .into_iter()
                    .filter(|e| e.account().is_some_and(|a| policy::may_see(&caller, &browser, &a)))
                    .collect();
                let entry = find(&entries, account, &caller)?;
                let name = entry.name();
                if entry.touch() != Some(false) {
                    let remaining = entry.remaining(now);
                    if at.is_none() && remaining < LEAST_FOR_TOUCH {
                        return Ok(Err(remaining));
                    }
                    let what = purpose.map(|purpose| format!(" for {}", shown(purpose))).unwrap_or_default();
                    events(Event::TouchRequired {
                        prompt: format!("{} asks for the code of {}{what}", caller.name(), shown(&name)),
                    });
                }
                let code = entry.code(key, now)?;
                Ok(Ok(Answer::Code { account: name, code }))
            })?;
            match answer {
                Ok(answer) => return Ok(answer),
                // Nobody should touch for a code that has run out by then. The key is let go of meanwhile.
                Err(remaining) => sleep(Duration::from_secs(remaining)),
            }
        }
    }

    fn verify(
        &mut self,
        choice: Option<&str>,
        account: &str,
        code: &str,
        window: u8,
        at: Option<u64>,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        const WIDEST: u8 = 10;
        let (now, caller) = (self.now(at), self.caller.clone());
        // Now first, then further and further away.
        let window = i8::try_from(window.min(WIDEST)).unwrap_or(0);
        let distances = (0..=window).flat_map(|n| if n == 0 { vec![0] } else { vec![-n, n] });
        self.open(choice, true, |key| {
            let entries = accounts_only(stored(key, now)?);
            let entry = find(&entries, account, &caller)?;
            if entry.kind == Kind::Hotp {
                return Err(failure(
                    ErrorCode::Unsupported,
                    "a counter-based account's code cannot be verified: asking for it would move the counter",
                    "",
                )
                .into());
            }
            let period = i64::from(entry.id.parts(entry.kind).period);
            for steps in distances {
                let Some(at) = now.checked_add_signed(period.saturating_mul(steps.into())) else { continue };
                if entry.touch() != Some(false) {
                    let prompt = format!("{} verifies a code of {}", caller.name(), shown(&entry.name()));
                    events(Event::TouchRequired { prompt });
                }
                // What CALCULATE ALL calculated is for now.
                let right = match steps {
                    0 => entry.code(key, at)?,
                    _ => Entry { state: State::Unknown, id: entry.id.clone(), ..*entry }.code(key, at)?,
                };
                if bool::from(right.value.as_bytes().ct_eq(code.as_bytes())) {
                    return Ok(Answer::Verified { steps: Some(steps) });
                }
            }
            Ok(Answer::Verified { steps: None })
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
            let entry = entries
                .iter()
                .find(|entry| entry.id == id)
                .ok_or_else(|| no_identity(identity.access_key_id()))?;
            if entry.touch() != Some(false) {
                events(Event::TouchRequired {
                    prompt: format!("{caller} asks to sign {}", describe(&request, scheme, now)),
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
        let instruction = account.put(touch)?;
        self.open(choice, true, |key| {
            let replaced = may_write(key, &id, account.kind, overwrite)?;
            put(key, instruction, replaced)?;
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
        let instruction = identity.put(secret, touch).map_err(invalid_identity)?;
        let id = identity.id()?;
        self.open(choice, true, |key| {
            let replaced = may_write(key, &id, Kind::Totp, overwrite)?;
            put(key, instruction, replaced)?;
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

    /// Removes the secret in every form in which it is there.
    fn delete_identity(&mut self, choice: Option<&str>, access_key_id: &str) -> Result<Answer, Refusal> {
        let wanted = identity(access_key_id, SignatureVersion::SigV4)?;
        self.open(choice, true, |key| {
            let ids: Vec<_> = key
                .call(List)?
                .into_iter()
                .map(|entry| entry.id)
                .filter(|id| {
                    IdentityName::parse(id).is_some_and(|i| i.access_key_id() == wanted.access_key_id())
                })
                .collect();
            if ids.is_empty() {
                return Err(no_identity(access_key_id).into());
            }
            for id in ids {
                key.call(Delete { id })?;
            }
            Ok(Answer::Deleted { deleted: access_key_id.to_owned() })
        })
    }
}

/// A touch is not asked for a code that lasts less long, in seconds: the next step is waited for.
const LEAST_FOR_TOUCH: u64 = 5;

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

fn no_identity(access_key_id: &str) -> Failure {
    failure(
        ErrorCode::NotFound,
        format!("the secret of {} is not on this key", shown(access_key_id)),
        "`keyfob aws identities` shows those that are; `keyfob aws add` puts one there",
    )
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
    if exists && !overwrite {
        return Err(OathError::Exists.into());
    }
    refuse_twin(&entries, id, kind)?;
    Ok(exists)
}

/// Refuses an id if an account with another one has the same name.
fn refuse_twin(entries: &[ListEntry], id: &CredentialId, kind: Kind) -> Result<(), Failure> {
    let name = id.name(kind);
    if entries.iter().any(|entry| entry.id != *id && entry.id.name(entry.kind) == name) {
        return Err(failure(
            ErrorCode::Exists,
            format!("an account {}, of another kind or period, is on the key already", shown(&name)),
            "delete that one first, or give this one another name",
        ));
    }
    Ok(())
}

/// PUT. Some cards refuse to replace what is there, even where the person wants it.
fn put(key: &mut Conversation<'_>, put: Put, replaced: bool) -> Result<(), Refusal> {
    match key.call(put) {
        Err(KeyError::Oath(OathError::Exists)) if replaced => Err(failure(
            ErrorCode::Exists,
            "this key does not replace an account",
            "delete the old one first; its secret is still there",
        )
        .into()),
        result => Ok(result?),
    }
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
            Calculated::Odd => Entry { id, kind: Kind::Totp, digits: None, state: State::Unknown },
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

    /// Seconds that the code of a time still lasts; for ever where a counter moves it.
    fn remaining(&self, now: u64) -> u64 {
        match self.kind {
            Kind::Hotp => u64::MAX,
            Kind::Totp => {
                let period = u64::from(self.id.parts(self.kind).period.max(1));
                period - now % period
            }
        }
    }

    /// The code for a time; asks the key again where CALCULATE ALL has not given it.
    fn code(&self, key: &mut Conversation<'_>, now: u64) -> Result<Code, Refusal> {
        let parts = self.id.parts(self.kind);
        let period = parts.period.max(1);
        let step = now / u64::from(period);
        let truncated = match &self.state {
            State::Code(code) if period == DEFAULT_PERIOD => code.clone(),
            _ => {
                let calculate = Calculate { id: self.id.clone(), kind: self.kind, challenge: step };
                key.call(calculate).map_err(|error| self.named(error))?
            }
        };
        let valid_from = (self.kind == Kind::Totp).then(|| step * u64::from(period));
        // A counter of theirs is one like any other.
        let is_steam = self.kind == Kind::Totp && parts.issuer.as_deref() == Some("Steam");
        Ok(Code {
            value: if is_steam { steam_code(truncated.value) } else { truncated.code() },
            valid_from,
            valid_until: valid_from.map(|from| from + u64::from(period)),
        })
    }
}

/// The one account of exactly this name, by LIST.
fn only<'a>(entries: &'a [ListEntry], account: &str) -> Result<&'a ListEntry, Failure> {
    let accounts = || entries.iter().filter(|entry| !IdentityName::is_reserved(&entry.id));
    // The id itself tells two of one name apart.
    if let Some(entry) = accounts().find(|entry| entry.id.as_bytes() == account.as_bytes()) {
        return Ok(entry);
    }
    let found: Vec<_> = accounts().filter(|entry| entry.id.is_named(entry.kind, account)).collect();
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => Err(no_account(account, &[])),
        several => Err(ambiguous(account, several.iter().map(|entry| (&entry.id, entry.kind)))),
    }
}

/// Those that are no identities.
fn accounts_only(entries: Vec<Entry>) -> Vec<Entry> {
    entries.into_iter().filter(|entry| !IdentityName::is_reserved(&entry.id)).collect()
}

/// The account that is meant: by its exact name, or by its id, which tells two of one name apart; from the command
/// line also by a beginning or an issuer that only one account has, unless the name is a full one (with a colon): who
/// gives that wants no other.
fn find<'a>(entries: &'a [Entry], account: &str, caller: &Caller) -> Result<&'a Entry, Failure> {
    if let Some(entry) = entries.iter().find(|entry| entry.id.as_bytes() == account.as_bytes()) {
        return Ok(entry);
    }
    let exact: Vec<_> = entries.iter().filter(|e| e.id.is_named(e.kind, account)).collect();
    let found = if exact.is_empty() && *caller == Caller::CommandLine && !account.contains(':') {
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
        several => Err(ambiguous(account, several.iter().map(|entry| (&entry.id, entry.kind)))),
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

/// The candidates by name, or by id where names are equal.
fn ambiguous<'a>(account: &str, found: impl Iterator<Item = (&'a CredentialId, Kind)>) -> Failure {
    let found: Vec<_> = found.map(|(id, kind)| (id, id.name(kind))).collect();
    let candidate = |(id, name): &(&CredentialId, String)| {
        let twins = found.iter().filter(|(_, other)| other == name).count() > 1;
        if twins { String::from_utf8_lossy(id.as_bytes()).into_owned() } else { name.clone() }
    };
    Failure {
        candidates: found.iter().map(candidate).collect(),
        ..failure(
            ErrorCode::Ambiguous,
            format!("several accounts fit {}", shown(account)),
            "give one of these names",
        )
    }
}

/// What a signature is for, from our own parse: all of it.
fn describe(request: &ParsedPresign, scheme: Scheme, now: u64) -> String {
    let mut text = format!("{} s3://{}/{}", request.method(), request.bucket(), shown(request.key()));
    if let Some(id) = request.version_id() {
        text += &format!(", version {}", shown(id));
    }
    let details = request.response_overrides().iter().chain(request.headers());
    for (name, value) in details {
        text += &format!(", {}: {}", shown(name), shown(value));
    }
    text += &format!(" at {}", request.authority());
    if scheme == Scheme::Http {
        text += " without TLS";
    }
    text += &format!(" as {} (works for {}", request.access_key_id(), duration(request.expires()));
    if request.time().abs_diff(now) > policy::CLOCK_TOLERANCE {
        text += &format!(" from {}", request.date().as_str());
    }
    text + ")"
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
