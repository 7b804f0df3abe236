//! Credentials as the key tells of them, and which of them is meant.

use keyfob_core::aws;
use keyfob_core::identity::IdentityName;
use keyfob_core::message::{Account, AccountKind, Code, ErrorCode, Failure};
use keyfob_core::oath::protocol::DEFAULT_PERIOD;
use keyfob_core::oath::{
    Calculate, CalculateAll, Calculated, CredentialId, DigitCount, Kind, List, ListEntry, OathError,
    Truncated, steam_code,
};

use crate::error::{Refusal, failure};
use crate::key::{Conversation, KeyError};
use crate::policy::Caller;
use crate::prompt::shown;

/// One credential, as CALCULATE ALL and, where it does not say enough, LIST tell of it.
pub(crate) struct Entry {
    pub(crate) id: CredentialId,
    pub(crate) kind: Kind,
    pub(crate) digits: Option<DigitCount>,
    pub(crate) state: State,
}

pub(crate) enum State {
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
pub(crate) fn stored(key: &mut Conversation<'_>, now: u64) -> Result<Vec<Entry>, Refusal> {
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
    pub(crate) fn name(&self) -> String {
        self.id.name(self.kind)
    }

    pub(crate) fn touch(&self) -> Option<bool> {
        match self.state {
            State::Code(_) => Some(false),
            State::Touch => Some(true),
            State::Hotp | State::Unknown => None,
        }
    }

    /// The account that this is; none if it is an identity.
    pub(crate) fn account(&self) -> Option<Account> {
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
    pub(crate) fn named(&self, error: KeyError) -> Refusal {
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
    pub(crate) fn remaining(&self, now: u64) -> u64 {
        match self.kind {
            Kind::Hotp => u64::MAX,
            Kind::Totp => {
                let period = u64::from(self.id.parts(self.kind).period.max(1));
                period - now % period
            }
        }
    }

    /// Without what CALCULATE ALL has calculated, which is for now.
    pub(crate) fn at_another_time(&self) -> Self {
        Self { state: State::Unknown, id: self.id.clone(), ..*self }
    }

    /// The first second of the code for a time; none where a counter moves it.
    pub(crate) fn valid_from(&self, now: u64) -> Option<u64> {
        let period = u64::from(self.id.parts(self.kind).period.max(1));
        (self.kind == Kind::Totp).then(|| now / period * period)
    }

    /// The code for a time; asks the key again where CALCULATE ALL has not given it.
    pub(crate) fn code(&self, key: &mut Conversation<'_>, now: u64) -> Result<Code, Refusal> {
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
        Ok(self.spelled(&truncated, now))
    }

    /// What was calculated for a time, as a person types it.
    pub(crate) fn spelled(&self, truncated: &Truncated, now: u64) -> Code {
        let parts = self.id.parts(self.kind);
        let valid_from = self.valid_from(now);
        // A counter of theirs is one like any other.
        let is_steam = self.kind == Kind::Totp && parts.issuer.as_deref() == Some("Steam");
        Code {
            value: if is_steam { steam_code(truncated.value) } else { truncated.code() },
            valid_from,
            valid_until: valid_from.map(|from| from + u64::from(parts.period.max(1))),
            submitted: false,
        }
    }
}

/// The one account of exactly this name, by LIST.
pub(crate) fn only<'a>(entries: &'a [ListEntry], account: &str) -> Result<&'a ListEntry, Failure> {
    let mut found = fitting(entries, account, Match::Exact);
    found.retain(|entry| !IdentityName::is_reserved(&entry.id));
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => Err(no_account(account, &[])),
        several => Err(ambiguous(account, several.iter().map(|entry| (&entry.id, entry.kind)))),
    }
}

/// Those that are no identities.
pub(crate) fn accounts_only(entries: Vec<Entry>) -> Vec<Entry> {
    entries.into_iter().filter(|entry| !IdentityName::is_reserved(&entry.id)).collect()
}

/// A credential's id and what moves it: all that a name is looked for in.
pub(crate) trait Named {
    fn id(&self) -> &CredentialId;
    fn kind(&self) -> Kind;
}

impl Named for Entry {
    fn id(&self) -> &CredentialId {
        &self.id
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

impl Named for ListEntry {
    fn id(&self) -> &CredentialId {
        &self.id
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

/// How a name is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// In full.
    Exact,
    /// By a beginning, of the name, the issuer or the account.
    Beginning,
}

/// Those that a name fits. An id tells two of one name apart.
pub(crate) fn fitting<'a, T: Named>(entries: &'a [T], account: &str, how: Match) -> Vec<&'a T> {
    if how == Match::Exact {
        if let Some(entry) = entries.iter().find(|entry| entry.id().as_bytes() == account.as_bytes()) {
            return vec![entry];
        }
        return entries.iter().filter(|entry| entry.id().is_named(entry.kind(), account)).collect();
    }
    // Who gives a full name, with a colon, wants no other.
    if account.contains(':') {
        return Vec::new();
    }
    let query = account.to_lowercase();
    let begins = |text: &str| text.to_lowercase().starts_with(&query);
    let fits = |entry: &&T| {
        let parts = entry.id().parts(entry.kind());
        begins(&entry.id().name(entry.kind()))
            || parts.issuer.as_deref().is_some_and(begins)
            || begins(&parts.account)
    };
    entries.iter().filter(fits).collect()
}

/// The account that is meant: by its exact name, from the command line also by a beginning that only one account has.
pub(crate) fn find<'a>(entries: &'a [Entry], account: &str, caller: &Caller) -> Result<&'a Entry, Failure> {
    let mut found = fitting(entries, account, Match::Exact);
    if found.is_empty() && *caller == Caller::CommandLine {
        found = fitting(entries, account, Match::Beginning);
    }
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
