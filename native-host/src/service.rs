//! Answers the protocol's requests: the one place where an operation on a key is put together.
//!
//! Whoever holds the key calls it (`holder`), for one front end after another; all get the same answers, as far as
//! `policy` lets them.

mod links;
mod reading;
mod signing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyfob_core::identity::{IdentityError, IdentityName};
use keyfob_core::message::{
    self, Account, Answer, ErrorCode, Event, Failure, Identity, KeyKind, Op, Password, Request,
    SignatureVersion, Wants,
};
use keyfob_core::oath::{
    AccessKey, CalculateFull, CredentialId, Delete, Kind, List, ListEntry, OathError, OtpAuth, Put, Rename,
    Reset, SetCode, Truncated, hotp,
};
use keyfob_core::secret::Secret;
use subtle::ConstantTimeEq as _;

use crate::client::{Cancel, Client};
use crate::entry::{Entry, Match, accounts_only, find, fitting, only, stored};
use crate::error::{Refusal, failure};
use crate::key::{Conversation, KeyError, Keys, SOFT_PREFIX};
use crate::locked::Locked;
use crate::notify;
use crate::passwords::{Passwords, PasswordsError};
use crate::policy;
use crate::prompt::shown;

pub use reading::describe;

/// Takes progress events.
pub type Events<'a> = &'a mut dyn FnMut(Event);

/// What comes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// Its answer.
    Answer(Answer),
    /// Nothing yet: it is to be asked again in so many seconds.
    Later {
        /// Seconds.
        seconds: u64,
        /// What it waits for, in words.
        why: String,
    },
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// The key of a password, and the card that it opens.
struct Unlocked {
    salt: Vec<u8>,
    key: Locked<AccessKey>,
    /// The reader that it was in.
    label: String,
    /// It came from the keychain, and may be out of date.
    remembered: bool,
}

/// Keys of passwords, and signing keys where the user wants them kept: until they are locked, or until the card is
/// removed. Shared, so that they can be erased while the key waits for a touch.
#[derive(Clone, Default)]
pub struct UnlockCache(Arc<Mutex<Vec<Unlocked>>>, Arc<Mutex<Vec<signing::Kept>>>);

impl UnlockCache {
    /// Erases the signing keys whose time is over.
    pub fn expire(&self) {
        self.kept().retain(|kept| !kept.is_older_than(Duration::MAX));
    }

    /// When a signing key's time is over.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.kept().iter().filter_map(signing::Kept::until).min()
    }

    /// Erases the signing keys of an access key: its secret is another now, or gone.
    fn forget_signing(&self, access_key_id: &str) {
        self.kept().retain(|kept| kept.access_key_id() != access_key_id);
    }

    /// Erases all.
    pub fn clear(&self) {
        self.entries().clear();
        self.kept().clear();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Unlocked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<signing::Kept>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in, in the place of what was known of that card.
    fn put(&self, new: Unlocked) {
        let mut entries = self.entries();
        entries.retain(|known| known.salt != new.salt);
        entries.push(new);
    }

    /// The key for a card, and whether it came from the keychain.
    fn get(&self, salt: &[u8]) -> Option<(AccessKey, bool)> {
        self.entries()
            .iter()
            .find(|known| known.salt == salt)
            .map(|known| ((*known.key).clone(), known.remembered))
    }

    fn forget(&self, salt: &[u8]) {
        self.entries().retain(|known| known.salt != salt);
    }
}

/// How often in a row a password was wrong, and when the next may be tried.
#[derive(Default)]
struct WrongPasswords {
    count: u32,
    next: Option<Instant>,
}

/// The keys, and what is known of them.
pub struct Service {
    keys: Keys,
    unlocked: UnlockCache,
    wrong_passwords: WrongPasswords,
    /// Those that the user had remembered.
    passwords: Passwords,
    /// The last code of each account that was submitted, by its first second: AWS takes none twice, and none that is
    /// older. By name alone, for copies of an account on several keys have one code.
    submitted: HashMap<String, u64>,
    /// What browsers have changed lately.
    changes: policy::Changes,
    clock: fn() -> u64,
}

impl Service {
    /// Nothing is asked of any key yet.
    #[must_use]
    pub fn new(keys: Keys, passwords: Passwords) -> Self {
        Self {
            keys,
            unlocked: UnlockCache::default(),
            wrong_passwords: WrongPasswords::default(),
            passwords,
            submitted: HashMap::new(),
            changes: policy::Changes::default(),
            clock: unix_time,
        }
    }

    /// The keys of passwords, to be erased at any time.
    #[must_use]
    pub fn unlock_cache(&self) -> UnlockCache {
        self.unlocked.clone()
    }

    /// Forgets all passwords and passphrases.
    pub fn lock(&mut self) {
        self.unlocked.clear();
        self.keys.soft.lock();
    }

    /// Forgets the password of the card that was in a reader, and what cards have given.
    pub fn removed(&mut self, reader: &str) {
        self.unlocked.entries().retain(|known| known.label != reader);
        self.unlocked.kept().clear();
    }

    /// Answers one request of a front end.
    ///
    /// # Errors
    /// [`Failure`], for the front end to show.
    pub fn handle(
        &mut self,
        client: &Client,
        request: &Request,
        cancel: &Cancel,
        events: Events<'_>,
    ) -> Result<Outcome, Failure> {
        policy::check_request(client, request)?;
        self.unlocked.expire();
        self.keys.cancel = cancel.clone();
        self.keys.soft.settings = client.soft.clone();
        self.choose_and_answer(client, request, events).map_err(|refusal| refusal.0)
    }

    fn choose_and_answer(
        &mut self,
        client: &Client,
        request: &Request,
        events: Events<'_>,
    ) -> Result<Outcome, Refusal> {
        let choice = client.config.choice(request.key.as_deref());
        let choice = match self.keys.soft.resolve(choice)? {
            None => self.locate(client, &request.op)?,
            choice => choice,
        };
        let is_change =
            matches!(request.op, Op::AddAccount { .. } | Op::DeleteAccount { .. } | Op::RenameAccount { .. });
        if is_change {
            self.changes.check(client, Instant::now())?;
        }
        let mut outcome = self.answer(client, choice.as_deref(), &request.op, events)?;
        if is_change && let Outcome::Answer(answer) = &outcome {
            self.changes.note(client, Instant::now());
            tell(client, &request.op, answer);
        }
        if let Outcome::Answer(answer) = &mut outcome {
            for key in answer.keys_mut() {
                key.name = client.config.name_of(&key.id).map(str::to_owned);
            }
        }
        Ok(outcome)
    }

    fn answer(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        op: &Op,
        events: Events<'_>,
    ) -> Result<Outcome, Refusal> {
        let answer = match op {
            Op::Hello {} => hello(),
            Op::Lock {} => {
                self.lock();
                Answer::Locked {}
            }
            // Whoever holds the key takes a request back; what comes here is none of its own.
            Op::Cancel { .. } => Answer::Withdrawn {},
            Op::Submitted { account, valid_from } => self.note(client, account, *valid_from)?,
            Op::Keys {} => Answer::Keys { keys: self.keys.list(choice)? },
            Op::Verify { account, code, window, at } => {
                self.verify(client, choice, account, &code.0, *window, *at, events)?
            }
            Op::Info {} => self.open(choice, false, |key| Ok(Answer::Info { key: key.describe()? }))?,
            Op::Accounts { codes, at } => {
                let (key, accounts) = self.accounts(client, choice, *codes, *at, |key| key.describe())?;
                Answer::Accounts { key, accounts }
            }
            Op::Listing { codes, at } => {
                let ((), accounts) = self.accounts(client, choice, *codes, *at, |_| Ok(()))?;
                Answer::Listing { accounts }
            }
            Op::SubmitCode { account, purpose } => {
                let purpose = Some(purpose.clone());
                let code = Op::Code { account: account.clone(), at: None, purpose, fresh: true, next: false };
                let outcome = self.code(client, choice, account, &code, events)?;
                if let Outcome::Answer(Answer::Code { account, code }) = &outcome
                    && let Some(valid_from) = code.valid_from
                {
                    self.note(client, account, valid_from)?;
                }
                return Ok(outcome);
            }
            Op::Code { account, .. } => {
                return self.code(client, choice, account, op, events);
            }
            Op::Identities {} => self.identities(client, choice)?,
            Op::Presign { .. }
            | Op::PresignMany { .. }
            | Op::Sign { .. }
            | Op::SignPolicy { .. }
            | Op::SignV2 { .. } => self.sign(client, choice, op, events)?,
            // The front end does it: whoever holds the key reaches no server.
            Op::CheckLink { .. } => {
                let text = "whoever holds the key tries no links";
                let hint = "the program that a browser starts does; restart the browser";
                return Err(failure(ErrorCode::BadRequest, text, hint).into());
            }
            Op::SigningKeys { .. } => self.signing_keys(client, choice, op, events)?,
            Op::Unlock { password } => self.unlock(choice, &Secret::from(password.0.clone()))?,
            Op::AddAccount { uri, touch, overwrite, account } => {
                self.add_account(client, choice, &uri.0, account.as_deref(), *touch, *overwrite)?
            }
            Op::ConfirmAccount { account, uri } => {
                self.confirm_account(client, choice, account, &uri.0, events)?
            }
            Op::AddIdentity { access_key_id, signature, secret_access_key, touch, overwrite } => {
                let secret = Secret::from(secret_access_key.0.clone());
                self.add_identity(choice, &identity(access_key_id, *signature)?, &secret, *touch, *overwrite)?
            }
            Op::DeleteAccount { account } => self.delete_account(client, choice, account, events)?,
            Op::DeleteIdentity { access_key_id } => self.delete_identity(choice, access_key_id)?,
            Op::RenameAccount { account, to } => self.rename(client, choice, account, to, events)?,
            Op::ChangePassword { new } => {
                let new = new.as_ref().map(|new| Secret::from(new.0.clone()));
                self.change_password(choice, new.as_ref())?
            }
            Op::RememberPassword {} => self.remember(choice)?,
            Op::ForgetPassword {} => self.forget(choice)?,
            Op::Hmac { account, challenge } => self.hmac(client, choice, account, challenge, events)?,
            Op::Reset {} => {
                let salt = self.open(choice, false, |key| {
                    let salt = key.selected().salt.clone();
                    key.call(Reset)?;
                    Ok(salt)
                })?;
                self.unlocked.kept().clear();
                // Nothing will ever ask for it again; a keychain that is closed keeps what is worthless.
                let _ = self.passwords.forget(&salt);
                Answer::Reset {}
            }
            _ => {
                let text = "this host does not know that operation";
                return Err(failure(ErrorCode::BadRequest, text, "update Keyfob").into());
            }
        };
        Ok(answer.into())
    }

    /// Notes that a code was submitted. A browser gets codes for now only: one of later, believed, would mark all that come
    /// before it as used.
    fn note(&mut self, client: &Client, account: &str, valid_from: u64) -> Result<Answer, Refusal> {
        /// More accounts than keys have.
        const MOST: usize = 1024;
        /// More than any account's name has, in bytes.
        const LONGEST: usize = 1024;
        if account.len() > LONGEST || client.caller.is_browser() && valid_from > self.now(None) {
            let text = "there is no such code yet";
            return Err(failure(ErrorCode::InvalidInput, text, "see that the clock is right").into());
        }
        let last = self.submitted.entry(account.to_owned()).or_default();
        *last = (*last).max(valid_from);
        if self.submitted.len() > MOST {
            let oldest = self.submitted.iter().min_by_key(|(_, last)| **last).map(|(name, _)| name.clone());
            oldest.map(|name| self.submitted.remove(&name));
        }
        Ok(Answer::Noted {})
    }

    /// Which of several keys an operation is for, that names something and no key: the one that has it.
    ///
    /// `None` if there is nothing to choose from.
    fn locate(&mut self, client: &Client, op: &Op) -> Result<Option<String>, Refusal> {
        let Some(wanted) = Wanted::of(op)? else { return Ok(None) };
        let keys = self.keys.several()?;
        let mut locked = None;
        let mut lists = Vec::new();
        for key in keys {
            match self.open(Some(&key), true, |key| Ok(key.call(List)?)) {
                Ok(mut entries) => {
                    // Of an account that it may not see a browser is not told either which key has it.
                    entries.retain(|entry| {
                        IdentityName::is_reserved(&entry.id)
                            || policy::may_see_named(
                                client,
                                entry.kind == Kind::Totp,
                                &entry.id.name(entry.kind),
                            )
                    });
                    lists.push((key, entries));
                }
                Err(Refusal(failure)) if failure.code == ErrorCode::Locked => {
                    locked = locked.or(Some(failure));
                }
                Err(error) => return Err(error),
            }
        }
        if lists.is_empty() && locked.is_none() {
            return Ok(None);
        }
        let beginnings = client.caller == policy::Caller::CommandLine && wanted.may_begin();
        let hows = if beginnings { [Match::Exact, Match::Beginning].as_slice() } else { &[Match::Exact] };
        for how in hows {
            // What one of them has in full is meant, not what begins so on another.
            if *how == Match::Beginning && locked.is_some() {
                break;
            }
            let mut found: Vec<String> = lists
                .iter()
                .filter(|(_, entries)| wanted.fits(entries, *how))
                .map(|(key, _)| key.clone())
                .collect();
            if found.len() > 1 {
                return Err(Failure {
                    candidates: found,
                    ..failure(
                        ErrorCode::Ambiguous,
                        format!("several of the keys that are plugged in have {}", wanted.shown()),
                        "choose one with --key, or unplug the others",
                    )
                }
                .into());
            }
            if let Some(key) = found.pop() {
                return Ok(Some(key));
            }
        }
        // It may be on one that cannot be looked into.
        Err(locked.unwrap_or_else(|| wanted.not_found(&lists)).into())
    }

    /// Holds a conversation, unlocked first where `unlock` says that it must be.
    fn open<T>(
        &mut self,
        choice: Option<&str>,
        unlock: bool,
        talk: impl FnOnce(&mut Conversation<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        /// What is known of a card that stays locked.
        struct StillLocked {
            salt: Vec<u8>,
            label: String,
            wants: Wants,
        }
        let mut talk = Some(talk);
        let mut asked_keychain = false;
        // At most twice: with what is known, and with what the keychain has.
        loop {
            let Self { keys, unlocked, .. } = self;
            let locked = keys.with(choice, |key| -> Result<_, Refusal> {
                if unlock && key.is_locked() {
                    let salt = key.selected().salt.clone();
                    if let Some((known, remembered)) = unlocked.get(&salt) {
                        match key.unlock(known) {
                            Ok(()) => {}
                            // It was changed meanwhile.
                            Err(KeyError::Oath(OathError::WrongPassword)) => {
                                unlocked.forget(&salt);
                                asked_keychain |= remembered;
                            }
                            Err(error) => return Err(error.into()),
                        }
                    }
                    if key.is_locked() {
                        let described = key.describe()?;
                        let what = match described.kind {
                            KeyKind::Software => format!("the password of the {}", described.label),
                            _ => format!("the password of the key in {}", described.label),
                        };
                        let wants = Wants { key: described.id, what };
                        return Ok(Err(StillLocked { salt, label: described.label, wants }));
                    }
                }
                match talk.take() {
                    Some(talk) => talk(key).map(Ok),
                    None => Err(OathError::OutOfOrder.into()),
                }
            })?;
            let StillLocked { salt, label, wants } = match locked {
                Ok(result) => return Ok(result),
                Err(locked) => locked,
            };
            if !asked_keychain && let Some(key) = self.passwords.get(&salt, self.passphrase().as_ref()) {
                asked_keychain = true;
                self.unlocked.put(Unlocked { salt, key: Locked::new(key), label, remembered: true });
                continue;
            }
            let Refusal(failure) = OathError::Locked.into();
            return Err(Failure { wants: Some(Box::new(wants)), ..failure }.into());
        }
    }

    /// The passphrase that passwords are encrypted with where there is no keychain, if who asks has one at hand.
    fn passphrase(&self) -> Option<Secret> {
        self.keys.soft.settings.passphrase("the passphrase of remembered passwords").ok()?
    }

    /// Unlocks until [`Service::lock`]. After wrong passwords the next may be tried later and later: the key itself
    /// counts none.
    fn unlock(&mut self, choice: Option<&str>, password: &Secret) -> Result<Answer, Refusal> {
        const FREE: u32 = 3;
        const FIRST: Duration = Duration::from_millis(500);
        const LONGEST: Duration = Duration::from_secs(10);
        if let Some(pause) =
            self.wrong_passwords.next.and_then(|next| next.checked_duration_since(Instant::now()))
        {
            let seconds = pause.as_secs() + 1;
            return Err(failure(
                ErrorCode::Busy,
                "the last passwords were wrong",
                format!("try again in {} s; nothing was counted by the key", seconds),
            )
            .into());
        }
        let result = self.try_unlock(choice, password);
        match &result {
            Ok(true) => self.wrong_passwords = WrongPasswords::default(),
            // A key that wants no password says nothing of who asks.
            Ok(false) => {}
            Err(Refusal(failure)) if failure.code == ErrorCode::WrongPassword => {
                let wrong = &mut self.wrong_passwords;
                wrong.count += 1;
                // Everybody mistypes; from the third on it is somebody who guesses.
                if let Some(more) = wrong.count.checked_sub(FREE) {
                    let pause = FIRST.saturating_mul(1 << more.min(10)).min(LONGEST);
                    wrong.next = Instant::now().checked_add(pause);
                }
            }
            Err(_) => {}
        }
        result.map(|_| Answer::Unlocked {})
    }

    /// Whether the password was wanted, and right.
    fn try_unlock(&mut self, choice: Option<&str>, password: &Secret) -> Result<bool, Refusal> {
        // A software key may be locked twice: its file, and the applet in it.
        if let Some(name) = choice.and_then(|choice| choice.strip_prefix(SOFT_PREFIX))
            && !self.keys.soft.is_open(name)?
        {
            self.keys.soft.unlock(name, password)?;
            return Ok(true);
        }
        let known = self.open(choice, false, |key| {
            if !key.is_locked() {
                return Ok(None);
            }
            let salt = key.selected().salt.clone();
            let access_key = access_key(password, &salt)?;
            key.unlock(access_key.clone())?;
            let label = key.label().to_owned();
            Ok(Some(Unlocked { salt, key: Locked::new(access_key), label, remembered: false }))
        })?;
        let proved = known.is_some();
        if let Some(known) = known {
            self.unlocked.put(known);
        }
        Ok(proved)
    }

    /// Sets the password, or removes it. The old one was proved by `open`.
    fn change_password(&mut self, choice: Option<&str>, new: Option<&Secret>) -> Result<Answer, Refusal> {
        let mut challenge = [0; 8];
        getrandom::fill(&mut challenge).map_err(KeyError::from)?;
        let (salt, label, access_key) = self.open(choice, true, |key| {
            let (salt, label) = (key.selected().salt.clone(), key.label().to_owned());
            let access_key = new.map(|new| access_key(new, &salt)).transpose()?;
            key.call(match &access_key {
                Some(access_key) => SetCode::set(access_key.clone(), challenge),
                None => SetCode::remove(),
            })?;
            Ok((salt, label, access_key))
        })?;
        match access_key.clone() {
            Some(key) => {
                self.unlocked.put(Unlocked {
                    salt: salt.clone(),
                    key: Locked::new(key),
                    label,
                    remembered: false,
                });
            }
            None => self.unlocked.forget(&salt),
        }
        if self.passwords.has(&salt) {
            match &access_key {
                Some(access_key) => {
                    self.passwords.remember(&salt, access_key, self.passphrase().as_ref()).map(drop)
                }
                None => self.passwords.forget(&salt).map(drop),
            }
            .map_err(|error| {
                let Refusal(failure) = passwords_failure(error);
                let message = format!("the password was changed, but not remembered: {}", failure.message);
                let hint = Some("`keyfob oath access remember`, once that is mended".to_owned());
                Refusal(Failure { message, hint, ..failure })
            })?;
        }
        Ok(Answer::PasswordChanged {})
    }

    fn remember(&mut self, choice: Option<&str>) -> Result<Answer, Refusal> {
        let (salt, wanted) = self.open(choice, true, |key| {
            Ok((key.selected().salt.clone(), key.selected().challenge.is_some()))
        })?;
        let Some((known, _)) = self.unlocked.get(&salt).filter(|_| wanted) else {
            return Err(failure(ErrorCode::NotFound, "this key has no password", "").into());
        };
        let passphrase = self.passphrase();
        let in_file =
            self.passwords.remember(&salt, &known, passphrase.as_ref()).map_err(passwords_failure)?;
        Ok(Answer::PasswordRemembered { in_file })
    }

    fn forget(&mut self, choice: Option<&str>) -> Result<Answer, Refusal> {
        let salt = self.open(choice, false, |key| Ok(key.selected().salt.clone()))?;
        let was_remembered = self.passwords.forget(&salt).map_err(passwords_failure)?;
        Ok(Answer::PasswordForgotten { was_remembered })
    }

    fn rename(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        account: &str,
        to: &str,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let now = self.now(None);
        self.open(choice, true, |key| {
            let entries = key.call(List)?;
            let from = only(&visible(&entries, client), account)?.clone();
            let id = CredentialId::for_name(from.kind, from.id.parts(from.kind).period.max(1), to)?;
            check_account_name(&id)?;
            policy::check_renamed(client, from.kind == Kind::Totp, &id.name(from.kind))?;
            if entries.iter().any(|entry| entry.id == id) {
                let hint = "choose another name, or delete that account first";
                return Err(failure(ErrorCode::Exists, OathError::Exists, hint).into());
            }
            refuse_twin(&entries, &id, from.kind)?;
            let prompt = || {
                let (from, to) = (from.id.name(from.kind), id.name(from.kind));
                format!("{} asks to rename {} to {}", client.asker, shown(&from), shown(&to))
            };
            touched(key, client, &from.id, now, events, prompt)?;
            key.call(Rename { from: from.id.clone(), to: id.clone() })?;
            Ok(Answer::Written { written: id.name(from.kind), replaced: false })
        })
    }

    fn hmac(
        &mut self,
        client: &Client,
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
        let now = self.now(None);
        self.open(choice, true, |key| {
            let entries = accounts_only(stored(key, now)?);
            let entry = find(&entries, account, &client.caller)?;
            refuse_counter(
                entry,
                "a counter-based account takes no challenge",
                "choose an account that is time-based",
            )?;
            touch(entry, events, || format!("{} asks for an HMAC by {}", client.asker, shown(&entry.name())));
            let response = key.call(CalculateFull { id: entry.id.clone(), challenge })?;
            let response = data_encoding::HEXLOWER.encode(response.expose());
            Ok(Answer::Hmac { response: Password(response) })
        })
    }

    fn now(&self, at: Option<u64>) -> u64 {
        at.unwrap_or_else(self.clock)
    }

    /// The accounts, and what `describe` makes of the key.
    fn accounts<T>(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        codes: bool,
        at: Option<u64>,
        describe: impl FnOnce(&mut Conversation<'_>) -> Result<T, KeyError>,
    ) -> Result<(T, Vec<Account>), Refusal> {
        let now = self.now(at);
        let submitted = self.submitted.clone();
        self.open(choice, true, |key| {
            let described = describe(key)?;
            let mut accounts = Vec::new();
            for entry in stored(key, now)? {
                let Some(mut account) = entry.account() else { continue };
                if !policy::may_see(client, &account) {
                    continue;
                }
                if codes && account.touch == Some(false) {
                    let mut code = entry.code(key, now)?;
                    code.submitted = code.valid_from <= submitted.get(&account.name).copied();
                    account.code = Some(code);
                }
                accounts.push(account);
            }
            Ok((described, accounts))
        })
    }

    /// Answers an [`Op::Code`].
    fn code(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        account: &str,
        op: &Op,
        events: Events<'_>,
    ) -> Result<Outcome, Refusal> {
        let Op::Code { at, purpose, fresh, next, .. } = op else { return Err(OathError::OutOfOrder.into()) };
        let now = self.now(*at);
        let submitted = self.submitted.clone();
        self.open(choice, true, |key| {
            let entries: Vec<_> = stored(key, now)?
                .into_iter()
                .filter(|entry| entry.account().is_some_and(|account| policy::may_see(client, &account)))
                .collect();
            let entry = find(&entries, account, &client.caller)?;
            let name = entry.name();
            let remaining = entry.remaining(now);
            let is_submitted =
                |valid_from: Option<u64>| valid_from.is_some() && valid_from <= submitted.get(&name).copied();
            if *next {
                let used_up = "the next code of a counter-based account would use up the one before it";
                refuse_counter(entry, used_up, "ask for its code twice")?;
            }
            if at.is_none() && !next {
                // The key is let go of meanwhile.
                if *fresh && is_submitted(entry.valid_from(now)) {
                    let why = format!("this code of {} was used already", shown(&name));
                    return Ok(Outcome::Later { seconds: remaining, why });
                }
                // Nobody should touch for a code that has run out by then.
                if entry.touch() != Some(false) && remaining < LEAST_FOR_TOUCH {
                    let why = format!("this code of {} is about to run out", shown(&name));
                    return Ok(Outcome::Later { seconds: remaining, why });
                }
            }
            touch(entry, events, || {
                let what =
                    purpose.as_ref().map(|purpose| format!(" for {}", shown(purpose))).unwrap_or_default();
                format!("{} asks for the code of {}{what}", client.asker, shown(&name))
            });
            let mut code = if *next {
                entry.at_another_time().code(key, now.saturating_add(remaining))?
            } else {
                entry.code(key, now)?
            };
            code.submitted = is_submitted(code.valid_from);
            Ok(Answer::Code { account: name, code }.into())
        })
    }

    #[allow(clippy::too_many_arguments, reason = "as many as the operation has")]
    fn verify(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        account: &str,
        code: &str,
        window: u8,
        at: Option<u64>,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        const WIDEST: u8 = 10;
        let now = self.now(at);
        // Now first, then further and further away.
        let window = i8::try_from(window.min(WIDEST)).unwrap_or(0);
        let distances = (0..=window).flat_map(|n| if n == 0 { vec![0] } else { vec![-n, n] });
        self.open(choice, true, |key| {
            let entries = accounts_only(stored(key, now)?);
            let entry = find(&entries, account, &client.caller)?;
            let moved =
                "a counter-based account's code cannot be verified: asking for it would move the counter";
            refuse_counter(entry, moved, "")?;
            let period = i64::from(entry.id.parts(entry.kind).period);
            for steps in distances {
                let Some(at) = now.checked_add_signed(period.saturating_mul(steps.into())) else { continue };
                touch(entry, events, || {
                    format!("{} verifies a code of {}", client.asker, shown(&entry.name()))
                });
                // What CALCULATE ALL calculated is for now.
                let right = match steps {
                    0 => entry.code(key, at)?,
                    _ => entry.at_another_time().code(key, at)?,
                };
                if bool::from(right.value.as_bytes().ct_eq(code.as_bytes())) {
                    return Ok(Answer::Verified { steps: Some(steps) });
                }
            }
            Ok(Answer::Verified { steps: None })
        })
    }

    fn identities(&mut self, client: &Client, choice: Option<&str>) -> Result<Answer, Refusal> {
        let now = self.now(None);
        let browser = client.caller.is_browser();
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

    fn add_account(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        uri: &str,
        name: Option<&str>,
        touch: bool,
        overwrite: bool,
    ) -> Result<Answer, Refusal> {
        let mut account = OtpAuth::parse(uri)?;
        let of_uri = match &account.issuer {
            Some(issuer) => format!("{issuer}:{}", account.account),
            None => account.account.clone(),
        };
        if let Some(name) = name {
            (account.issuer, account.account) = match name.split_once(':') {
                Some((issuer, account)) => (Some(issuer.to_owned()), account.to_owned()),
                None => (None, name.to_owned()),
            };
        }
        let id = account.id()?;
        check_account_name(&id)?;
        policy::check_added(client, account.kind == Kind::Totp, &id.name(account.kind))?;
        policy::check_given_name(client, &of_uri, name.unwrap_or(&of_uri))?;
        let instruction = account.put(touch)?;
        let now = self.now(None);
        self.open(choice, true, |key| {
            let replaced = may_write(key, &id, account.kind, overwrite).map_err(|Refusal(mut error)| {
                // It has no --force.
                if error.code == ErrorCode::Exists && client.caller.is_browser() {
                    error.hint = Some("give this one another name, or delete that one first".to_owned());
                }
                Refusal(error)
            })?;
            put(key, instruction, replaced)?;
            if touch {
                check_touch(key, &id, replaced, now)?;
            }
            Ok(Answer::Written { written: id.name(account.kind), replaced })
        })
    }

    fn add_identity(
        &mut self,
        choice: Option<&str>,
        identity: &IdentityName,
        secret: &Secret,
        touch: bool,
        overwrite: bool,
    ) -> Result<Answer, Refusal> {
        let instruction = identity.put(secret, touch).map_err(invalid_identity)?;
        self.unlocked.forget_signing(identity.access_key_id());
        let now = self.now(None);
        let id = identity.id()?;
        self.open(choice, true, |key| {
            let replaced = may_write(key, &id, Kind::Totp, overwrite).map_err(|Refusal(error)| {
                if error.code != ErrorCode::Exists {
                    return Refusal(error);
                }
                let signature = match identity.signature() {
                    SignatureVersion::HmacV1 => "Signature Version 2",
                    _ => "SigV4",
                };
                let id = shown(identity.access_key_id());
                let text = format!("the secret of {id} for {signature} is on the key already");
                failure(ErrorCode::Exists, text, "replace it with --force").into()
            })?;
            put(key, instruction, replaced)?;
            if touch {
                check_touch(key, &id, replaced, now)?;
            }
            Ok(Answer::Written { written: identity.access_key_id().to_owned(), replaced })
        })
    }

    /// Whether the key calculates what the secret in `uri` gives, and the codes that it gives around now.
    fn confirm_account(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        account: &str,
        uri: &str,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let secret = OtpAuth::parse(uri)?;
        let (now, clock) = (self.now(None), self.clock);
        let submitted = self.submitted.clone();
        self.open(choice, true, |key| {
            let entries: Vec<_> = stored(key, now)?
                .into_iter()
                .filter(|entry| entry.account().is_some_and(|account| policy::may_see(client, &account)))
                .collect();
            let entry = find(&entries, account, &client.caller)?;
            let name = entry.name();
            let moved =
                "a counter-based account cannot be confirmed: asking for its code would move the counter";
            refuse_counter(entry, moved, "")?;
            let expected = |now: u64| {
                let step = now / u64::from(secret.period.max(1));
                let value = hotp(secret.algorithm, secret.secret.expose(), step);
                entry.spelled(&Truncated { digits: secret.digits, value }, now)
            };
            let period = entry.id.parts(entry.kind).period;
            let other = |what: &str| {
                let text = format!("{} on the key is not this account: {what}", shown(&name));
                let hint = "delete it from the key and save it again; do not use its codes";
                failure(ErrorCode::BadAnswer, text, hint)
            };
            if secret.kind != Kind::Totp || secret.period != period {
                return Err(other("its codes last another time").into());
            }
            touch(entry, events, || {
                format!("{} asks to confirm {} for its enrolment", client.asker, shown(&name))
            });
            let calculated = entry.code(key, now)?;
            if !bool::from(calculated.value.as_bytes().ct_eq(expected(now).value.as_bytes())) {
                return Err(other("the key calculates another code than the secret gives").into());
            }
            // A step may have ended while the touch was waited for.
            let (now, period) = (clock(), u64::from(period));
            let times = [now.saturating_sub(period), now, now.saturating_add(period)];
            let code = |at| {
                let mut code = expected(at);
                code.submitted = code.valid_from <= submitted.get(&name).copied();
                code
            };
            Ok(Answer::Confirmed { codes: times.into_iter().map(code).collect() })
        })
    }

    fn delete_account(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        account: &str,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let now = self.now(None);
        self.open(choice, true, |key| {
            let entries = visible(&key.call(List)?, client);
            let entry = only(&entries, account)?;
            let name = entry.id.name(entry.kind);
            let prompt = || format!("{} asks to delete {} from the key", client.asker, shown(&name));
            touched(key, client, &entry.id, now, events, prompt)?;
            key.call(Delete { id: entry.id.clone() })?;
            Ok(Answer::Deleted { deleted: name })
        })
    }

    /// Removes the secret in every form in which it is there.
    fn delete_identity(&mut self, choice: Option<&str>, access_key_id: &str) -> Result<Answer, Refusal> {
        let wanted = identity(access_key_id, SignatureVersion::SigV4)?;
        self.unlocked.forget_signing(access_key_id);
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
            key.commit()?;
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

/// What every host says to a greeting.
#[must_use]
pub fn hello() -> Answer {
    Answer::Hello { version: env!("CARGO_PKG_VERSION").to_owned(), protocol: message::VERSION }
}

/// What an operation names, so that the key is found by it.
enum Wanted<'a> {
    /// An account, which may be given by its beginning.
    Account(&'a str),
    /// An account, by its full name.
    Exactly(&'a str),
    /// An identity, for one signature or whichever.
    Identity(String, Option<SignatureVersion>),
}

impl<'a> Wanted<'a> {
    fn of(op: &'a Op) -> Result<Option<Self>, Refusal> {
        Ok(match op {
            Op::Code { account, .. }
            | Op::SubmitCode { account, .. }
            | Op::Verify { account, .. }
            | Op::Hmac { account, .. } => Some(Self::Account(account)),
            Op::DeleteAccount { account }
            | Op::RenameAccount { account, .. }
            | Op::ConfirmAccount { account, .. } => Some(Self::Exactly(account)),
            Op::DeleteIdentity { access_key_id } => Some(Self::Identity(access_key_id.clone(), None)),
            op => reading::identity(op)?.map(|(id, signature)| Self::Identity(id, Some(signature))),
        })
    }

    fn may_begin(&self) -> bool {
        matches!(self, Self::Account(_))
    }

    fn fits(&self, entries: &[ListEntry], how: Match) -> bool {
        match self {
            Self::Account(account) | Self::Exactly(account) => {
                fitting(entries, account, how).iter().any(|entry| !IdentityName::is_reserved(&entry.id))
            }
            Self::Identity(wanted, signature) => entries.iter().any(|entry| {
                IdentityName::parse(&entry.id).is_some_and(|i| {
                    i.access_key_id() == *wanted
                        && signature.is_none_or(|signature| signature == i.signature())
                })
            }),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Account(account) | Self::Exactly(account) => format!("the account {}", shown(account)),
            Self::Identity(id, _) => format!("the secret of {}", shown(id)),
        }
    }

    fn not_found(&self, lists: &[(String, Vec<ListEntry>)]) -> Failure {
        let entries = || lists.iter().flat_map(|(_, entries)| entries);
        let candidates = match self {
            Self::Identity(..) => Vec::new(),
            _ => entries()
                .filter(|entry| !IdentityName::is_reserved(&entry.id))
                .map(|entry| entry.id.name(entry.kind))
                .collect(),
        };
        Failure {
            candidates,
            ..failure(
                ErrorCode::NotFound,
                format!("none of the keys that are plugged in has {}", self.shown()),
                "`keyfob --key SERIAL oath list` shows what is on a key",
            )
        }
    }
}

/// Refuses an account that a counter moves, for what only those that are time-based can do.
fn refuse_counter(entry: &Entry, why: &str, hint: &str) -> Result<(), Failure> {
    if entry.kind == Kind::Hotp {
        return Err(failure(ErrorCode::Unsupported, why, hint));
    }
    Ok(())
}

/// Says that a touch is wanted, or may be, where that is so.
fn touch(entry: &Entry, events: Events<'_>, prompt: impl FnOnce() -> String) {
    match entry.touch() {
        Some(false) => {}
        touch => events(Event::TouchRequired { prompt: prompt(), maybe: touch.is_none() }),
    }
}

/// Has the desktop say what a browser has changed on a key: a touch was asked for at most for what wants one.
fn tell(client: &Client, op: &Op, answer: &Answer) {
    let what = match (op, answer) {
        (Op::AddAccount { .. }, Answer::Written { written, .. }) => {
            format!("added {} to the key", shown(written))
        }
        (Op::DeleteAccount { .. }, Answer::Deleted { deleted }) => {
            format!("deleted {} from the key", shown(deleted))
        }
        (Op::RenameAccount { account, .. }, Answer::Written { written, .. }) => {
            format!("renamed {} to {}", shown(account), shown(written))
        }
        _ => return,
    };
    if client.caller.is_browser() {
        notify::tell(CHANGED, &format!("{} {what}", client.asker));
    }
}

/// What heads the notification of a change.
const CHANGED: &str = "Keyfob: an account was changed";

/// The credentials that the client may see, identities besides.
fn visible(entries: &[ListEntry], client: &Client) -> Vec<ListEntry> {
    let may_see = |entry: &&ListEntry| {
        policy::may_see_named(client, entry.kind == Kind::Totp, &entry.id.name(entry.kind))
    };
    entries.iter().filter(may_see).cloned().collect()
}

/// Has an account touched, where it wants that, before a browser changes it: by a calculation whose result is erased. What a
/// person at the command line types is consent enough.
fn touched(
    key: &mut Conversation<'_>,
    client: &Client,
    id: &CredentialId,
    now: u64,
    events: Events<'_>,
    prompt: impl FnOnce() -> String,
) -> Result<(), Refusal> {
    if !client.caller.is_browser() {
        return Ok(());
    }
    let entries = stored(key, now)?;
    let entry = entries.iter().find(|entry| entry.id == *id).ok_or(OathError::NoSuchCredential)?;
    if entry.touch() != Some(false) {
        touch(entry, events, prompt);
        entry.code(key, now)?;
    }
    Ok(())
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
        PasswordsError::Sealed(error) => error.code(),
        PasswordsError::Nowhere(_) => ErrorCode::Unsupported,
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
    key.commit()?;
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

/// Makes sure that a credential wants the touch that was asked for: some cards drop the property without a word. Where it
/// does not, a new one is taken off the key again. Of a counter nothing can be known.
fn check_touch(
    key: &mut Conversation<'_>,
    id: &CredentialId,
    replaced: bool,
    now: u64,
) -> Result<(), Refusal> {
    let entries = stored(key, now)?;
    if !entries.iter().any(|entry| entry.id == *id && entry.touch() == Some(false)) {
        return Ok(());
    }
    let (what, hint) = if replaced {
        ("it is on the key now and wants none", "delete it, if that is not good enough")
    } else {
        key.call(Delete { id: id.clone() })?;
        ("nothing was added", "add it without a touch, if that is good enough, or use another key")
    };
    let text = format!("this key ignores that a touch is wanted: {what}");
    Err(failure(ErrorCode::Unsupported, text, hint).into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_submitted_is_not_of_the_future_and_is_not_kept_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let keys = Keys::new(crate::key::SoftKeys::new(crate::soft::SoftKeys::new(path("soft"))));
        let mut service = Service { clock: || 1000, ..Service::new(keys, Passwords::new(path("passwords"))) };
        let client = |caller| Client::new(caller, crate::config::Config::default(), |_| None);
        let browser = client(policy::Caller::Browser { extension: "x".to_owned() });
        let mut note = |client: &Client, account: &str, valid_from| {
            let noted = service.note(client, account, valid_from).is_ok();
            noted.then_some(service.submitted.len())
        };
        assert_eq!(note(&browser, "a", 990), Some(1));
        assert_eq!(note(&browser, "a", u64::MAX), None);
        assert_eq!(note(&browser, &"a".repeat(2000), 990), None);
        // From `code --next`.
        assert_eq!(note(&client(policy::Caller::CommandLine), "a", 1020), Some(1));
        for n in 0..2000 {
            assert!(note(&browser, &format!("b{n}"), 960) <= Some(1024));
        }
        assert_eq!(service.submitted.get("a"), Some(&1020));
    }

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
}
