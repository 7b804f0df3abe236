//! What the entries of all apps' lists have in common, and how such lists are read.

use keyfob_core::oath::{Algorithm, DigitCount, Kind, OtpAuth};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::{EntryError, ImportError, Origin, Problem, Problems, printable};
use super::{Imported, MAX_ENTRIES};

/// By which clients know that an account's codes are Steam's.
const STEAM: &str = "Steam";

/// A text that is erased.
pub(super) struct SecretText(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// An entry as apps keep it. What is missing has everybody's value, but for a counter.
#[derive(Default)]
pub(super) struct Record {
    /// `totp`, `hotp`, `steam`, in whatever case.
    pub(super) kind: Option<String>,
    pub(super) issuer: String,
    pub(super) account: String,
    pub(super) secret: Option<SecretText>,
    pub(super) algorithm: Option<String>,
    pub(super) digits: Option<u64>,
    pub(super) period: Option<u64>,
    pub(super) counter: Option<u64>,
}

impl Record {
    /// The account, and whether it is Steam's.
    pub(super) fn account(&self) -> Result<(OtpAuth, bool), EntryError> {
        let kind = self.kind.as_deref().unwrap_or("totp").to_ascii_lowercase();
        let (kind, steam) = match kind.as_str() {
            "totp" => (Kind::Totp, false),
            "hotp" => (Kind::Hotp, false),
            "steam" => (Kind::Totp, true),
            "yandex" | "yaotp" => return Err(EntryError::Kind("Yandex")),
            "motp" => return Err(EntryError::Kind("mOTP")),
            _ => return Err(EntryError::UnknownKind),
        };
        // On a key a colon ends the issuer, and an account without a name cannot be.
        let issuer = self.issuer.replace(':', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let account = self.account.trim();
        let account = match (issuer.as_str(), account) {
            (issuer, "") => issuer,
            (issuer, account) => {
                account.strip_prefix(issuer).and_then(|rest| rest.strip_prefix(':')).unwrap_or(account)
            }
        };
        let (issuer, account) = match account.trim() {
            account if account == issuer && self.account.trim().is_empty() => ("", account),
            account => (issuer.as_str(), account),
        };
        // Without an issuer, what stands before a colon is one, as in a URI's label.
        let (issuer, account) = match account.split_once(':') {
            Some((prefix, rest))
                if issuer.is_empty() && !prefix.trim().is_empty() && !rest.trim().is_empty() =>
            {
                (prefix.trim(), rest.trim())
            }
            _ => (issuer, account),
        };
        let secret = self.secret.as_ref().ok_or(EntryError::NoSecret)?;
        let issuer = (!issuer.is_empty()).then(|| issuer.to_owned());
        let mut read = OtpAuth::totp(issuer, account.to_owned(), &secret.0)?;
        read.kind = kind;
        read.algorithm = match self.algorithm.as_deref() {
            None | Some("") => Algorithm::Sha1,
            Some(name) => {
                // andOTP and 2FAS have written both spellings.
                let plain = name.replace('-', "");
                let plain = plain.strip_prefix("Hmac").or(plain.strip_prefix("HMAC")).unwrap_or(&plain);
                [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
                    .into_iter()
                    .find(|known| plain.eq_ignore_ascii_case(known.as_str()))
                    .ok_or_else(|| EntryError::algorithm(plain))?
            }
        };
        let digits = self.digits.filter(|_| !steam).unwrap_or(6);
        read.digits = digits
            .try_into()
            .ok()
            .and_then(|digits| DigitCount::new(digits).ok())
            .ok_or(EntryError::Digits(digits))?;
        match kind {
            Kind::Totp => {
                let period = self.period.unwrap_or(u64::from(read.period));
                read.period = u32::try_from(period).ok().filter(|&p| p > 0).ok_or(EntryError::Period)?;
            }
            Kind::Hotp => {
                read.period = 0;
                read.counter =
                    self.counter.and_then(|counter| counter.try_into().ok()).ok_or(EntryError::Counter)?;
            }
        }
        finish(read, steam)
    }

    /// What it is called, for an error.
    pub(super) fn name(&self) -> String {
        match (self.issuer.trim(), self.account.trim()) {
            ("", account) => account.to_owned(),
            (issuer, "") => issuer.to_owned(),
            (issuer, account) => format!("{issuer}:{account}"),
        }
    }
}

/// Last checks on an account, whatever it came from; `steam` where the source says so.
pub(super) fn finish(mut account: OtpAuth, steam: bool) -> Result<(OtpAuth, bool), EntryError> {
    let steam = steam || account.issuer.as_deref().is_some_and(|issuer| issuer.eq_ignore_ascii_case(STEAM));
    if steam {
        if account.kind != Kind::Totp {
            return Err(EntryError::Kind("Steam HOTP"));
        }
        if account.algorithm != Algorithm::Sha1 {
            return Err(EntryError::Algorithm("another than SHA1, for Steam,"));
        }
        account.issuer = Some(STEAM.to_owned());
        // The key's 31 bits are what counts; not every key takes 5.
        account.digits = DigitCount::SIX;
    } else if account.digits.get() < 6 {
        return Err(EntryError::Digits(account.digits.get().into()));
    }
    account.id()?;
    Ok((account, steam))
}

/// Collects accounts, or else what is wrong with them.
#[derive(Default)]
pub(super) struct Collector {
    accounts: Vec<Imported>,
    problems: Vec<Problem>,
}

impl Collector {
    pub(super) fn push(
        &mut self,
        origin: Origin,
        name: impl FnOnce() -> String,
        read: Result<(OtpAuth, bool), EntryError>,
    ) {
        match read {
            Ok((account, steam)) => self.accounts.push(Imported { account, origin, steam }),
            Err(error) => self.problems.push(Problem { origin, name: printable(&name()), error }),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<Imported>, ImportError> {
        if self.problems.is_empty() {
            Ok(self.accounts)
        } else {
            Err(ImportError::Entries(Problems(self.problems)))
        }
    }
}

/// Reads JSON. Of what is wrong only the place is told: serde's own text quotes the value.
pub(super) fn parse<'a, T: Deserialize<'a>>(format: &'static str, text: &'a str) -> Result<T, ImportError> {
    serde_json::from_str(text).map_err(|error| ImportError::Json {
        format,
        line: error.line(),
        column: error.column(),
    })
}

/// As [`parse`], for what was decrypted.
pub(super) fn parse_bytes<'a, T: Deserialize<'a>>(
    format: &'static str,
    bytes: &'a [u8],
) -> Result<T, ImportError> {
    parse(format, utf8(format, bytes)?)
}

/// Decrypted text.
pub(super) fn utf8<'a>(format: &'static str, bytes: &'a [u8]) -> Result<&'a str, ImportError> {
    std::str::from_utf8(bytes).map_err(|_| ImportError::Damaged { format, what: "it is not UTF-8" })
}

/// Reads a list of entries, each by itself; `record` gives none where an entry is no account.
pub(super) fn read_list<'a, T: Deserialize<'a>>(
    entries: &[&'a RawValue],
    mut record: impl FnMut(T) -> Option<Record>,
) -> Result<Vec<Imported>, ImportError> {
    if entries.len() > MAX_ENTRIES {
        return Err(ImportError::TooMany);
    }
    let mut collector = Collector::default();
    for (i, raw) in entries.iter().enumerate() {
        let origin = Origin::Entry(i + 1);
        match serde_json::from_str(raw.get()) {
            Ok(entry) => {
                if let Some(record) = record(entry) {
                    collector.push(origin, || record.name(), record.account());
                }
            }
            Err(_) => collector.push(origin, String::new, Err(EntryError::Malformed)),
        }
    }
    collector.finish()
}
