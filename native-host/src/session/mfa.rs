//! The code of an MFA device: from whichever key holds its account, or typed.

use keyfob_core::aws;
use keyfob_core::message::{Account, AccountKind, Answer, ErrorCode, Failure, Key, Op, Password};
use keyfob_core::oath::{CredentialId, Kind};

use super::Person;
use super::sts::{Proof, account_of};
use crate::error::is_absent;
use crate::profile::Mfa;

/// A code of one of the devices. `first` is the key that is looked at first: the one that signs. `purpose` says in the prompt what
/// it is for.
///
/// # Errors
/// Those of the keys; [`ErrorCode::NotFound`] or [`ErrorCode::NoKey`] where no key has it and nobody can type it.
pub(crate) fn prove(
    person: &mut dyn Person,
    mfa: &Mfa,
    first: Option<&str>,
    purpose: &str,
) -> Result<Proof, Failure> {
    let found = match find(person, mfa, first)? {
        Found::Here { key, account, serial } => (key, account, serial),
        Found::Nowhere { why, failure } => return typed(person, mfa, &why, failure),
    };
    let (key, account, serial) = found;
    // Given to no other program, whatever becomes of AWS's answer.
    let op = Op::SubmitCode { account, purpose: purpose.to_owned() };
    let Answer::Code { code, .. } = person.ask_key(Some(&key), op)? else { return Err(super::unexpected()) };
    Ok(Proof { serial, code: Password(code.value.clone()) })
}

/// Where the account of a device is.
pub(crate) enum Found {
    /// On that key, under that name.
    Here { key: String, account: String, serial: String },
    /// On none, and why not.
    Nowhere { why: String, failure: Option<Failure> },
}

/// Looks for the account of one of the devices on all keys; `first` is the key that is looked at first.
///
/// # Errors
/// Those of the keys, but for those that are not there.
pub(crate) fn find(person: &mut dyn Person, mfa: &Mfa, first: Option<&str>) -> Result<Found, Failure> {
    let keys = match person.ask_key(first, Op::Keys {}) {
        Ok(Answer::Keys { keys }) => keys,
        Ok(_) => return Err(super::unexpected()),
        Err(error) if is_absent(&error) => {
            let why = error.message.clone();
            return Ok(Found::Nowhere { why, failure: Some(error) });
        }
        Err(error) => return Err(error),
    };
    if keys.is_empty() {
        return Ok(Found::Nowhere { why: "no key is plugged in".to_owned(), failure: None });
    }
    let signs = match first {
        Some(first) => match person.ask_key(Some(first), Op::Info {}) {
            Ok(Answer::Info { key }) => Some(key.id),
            _ => None,
        },
        None => None,
    };
    let mut keys: Vec<&Key> = keys.iter().collect();
    // A key that wants its password is asked for it only if no other has the account.
    keys.sort_by_key(|key| (signs.as_ref() != Some(&key.id), key.locked));
    let mut best: Option<(usize, String, String, String)> = None;
    let mut failed = None;
    for key in keys {
        if best.as_ref().is_some_and(|(rank, ..)| *rank == 0) {
            break;
        }
        if key.locked && best.is_some() {
            continue;
        }
        let accounts = match person.ask_key(Some(&key.id), Op::Listing { codes: false, at: None }) {
            Ok(Answer::Listing { accounts }) => accounts,
            Ok(_) => return Err(super::unexpected()),
            Err(error) if is_absent(&error) => continue,
            Err(error) if error.code == ErrorCode::Cancelled => return Err(error),
            // Another key may have it.
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        for account in &accounts {
            let Some((rank, serial)) = rank(mfa, account) else { continue };
            if best.as_ref().is_none_or(|(other, ..)| rank < *other) {
                best = Some((rank, key.id.clone(), account.name.clone(), serial.to_owned()));
            }
        }
    }
    Ok(match best {
        Some((_, key, account, serial)) => Found::Here { key, account, serial },
        None if failed.is_some() => return Err(failed.unwrap_or_else(super::unexpected)),
        None => {
            let name = mfa.account.as_deref().unwrap_or(&mfa.serial);
            let why = format!("no key that is plugged in has the account {name}");
            Found::Nowhere { why, failure: None }
        }
    })
}

/// How well an account fits, the best first, and whose device it is: by the name that the profile gives; by a device's ARN; by the
/// name that AWS's pages give it.
fn rank<'a>(mfa: &'a Mfa, account: &Account) -> Option<(usize, &'a str)> {
    if account.kind != AccountKind::Totp {
        return None;
    }
    // A key keeps long names cut.
    let is = |name: &str| {
        CredentialId::for_name(Kind::Totp, account.period, name)
            .is_ok_and(|id| id.name(Kind::Totp) == account.name)
    };
    if let Some(name) = &mfa.account {
        return is(name).then_some((0, mfa.serial.as_str()));
    }
    let serials = || std::iter::once(&mfa.serial).chain(&mfa.others);
    if let Some(at) = serials().position(|serial| is(serial)) {
        return serials().nth(at).map(|serial| (at, serial.as_str()));
    }
    let login = aws::login(&account.name)?;
    let at = serials().position(|serial| {
        let device = serial.split_once(":mfa/").map(|(_, path)| path.rsplit('/').next().unwrap_or(path));
        account_of(serial).is_some() && account_of(serial) == login.account && device == Some(&login.device)
    })?;
    serials().nth(at).map(|serial| (1 + mfa.others.len() + at, serial.as_str()))
}

/// A code that a person types, who has the device elsewhere.
fn typed(person: &mut dyn Person, mfa: &Mfa, why: &str, absent: Option<Failure>) -> Result<Proof, Failure> {
    let code = person.type_code(&mfa.serial, why).map_err(|untyped| {
        // What there is to do first is to plug in the key.
        let hint = "plug in the key that has it, or run it in a terminal and type the code";
        let code = absent.as_ref().map_or(ErrorCode::NoKey, |failure| failure.code);
        if untyped.code == ErrorCode::Cancelled {
            return untyped;
        }
        let message = format!("the MFA code of {} is wanted, and {why}", mfa.serial);
        crate::error::failure(
            code,
            message,
            absent.and_then(|failure| failure.hint).unwrap_or(hint.to_owned()),
        )
    })?;
    let is_code = (6..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    if !is_code {
        return Err(crate::error::failure(
            ErrorCode::InvalidInput,
            "what was typed is no MFA code",
            "one is six digits; try again",
        ));
    }
    Ok(Proof { serial: mfa.serial.clone(), code: Password(code) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_device_is_found_by_its_exact_name() {
        #[track_caller]
        fn check(mfa: &Mfa, name: &str, expected: Option<(usize, &str)>) {
            let account = Account {
                name: name.to_owned(),
                issuer: None,
                kind: AccountKind::Totp,
                period: 30,
                digits: None,
                touch: None,
                aws: None,
                code: None,
            };
            assert_eq!(rank(mfa, &account), expected, "{name}");
            let counter = Account { kind: AccountKind::Hotp, ..account };
            assert_eq!(rank(mfa, &counter), None, "{name}");
        }
        let serial = "arn:aws:iam::123456789012:mfa/alessandro";
        let other = "arn:aws:iam::123456789012:mfa/team/alessandro-2";
        let mut mfa = Mfa { serial: serial.to_owned(), account: None, others: vec![other.to_owned()] };
        check(&mfa, serial, Some((0, serial)));
        check(&mfa, other, Some((1, other)));
        check(&mfa, "Amazon Web Services:alessandro@123456789012", Some((2, serial)));
        check(&mfa, "Amazon Web Services:alessandro-2@123456789012", Some((3, other)));
        check(&mfa, "Amazon Web Services:alessandro@123456789013", None);
        check(&mfa, "Amazon Web Services:alessandro-3@123456789012", None);
        check(&mfa, "arn:aws:iam::123456789012:mfa/alessandro-3", None);
        check(&mfa, "arn:aws:iam::123456789012:mfa/alessandr", None);
        let long = format!("arn:aws:iam::123456789012:mfa/{}", "a".repeat(60));
        let cut = CredentialId::for_name(Kind::Totp, 30, &long).unwrap().name(Kind::Totp);
        assert!(cut.len() < long.len());
        check(&Mfa { serial: long.clone(), ..mfa.clone() }, &cut, Some((0, &long)));
        mfa.account = Some("work".to_owned());
        check(&mfa, "work", Some((0, serial)));
        check(&mfa, serial, None);
        let token = Mfa { serial: "GAHT12345678".to_owned(), account: None, others: Vec::new() };
        check(&token, "GAHT12345678", Some((0, "GAHT12345678")));
        check(&token, "Amazon Web Services:GAHT12345678@123456789012", None);
    }
}
