//! Every failure of the host as the protocol's [`Failure`]: a code, what happened, what to do next.

use keyfob_core::message::{ErrorCode, Failure, Wants};
use keyfob_core::oath::{Feature, IdError, OathError, OtpAuthError};
use keyfob_core::s3;

use crate::holders::{self, Holder};
use crate::key::{KeyError, PcscError, SOFT_PREFIX};
use crate::soft::{self, SoftError};

/// A failure with a hint.
#[must_use]
pub fn failure(code: ErrorCode, message: impl ToString, hint: impl Into<String>) -> Failure {
    let hint = hint.into();
    Failure {
        code,
        message: message.to_string(),
        hint: (!hint.is_empty()).then_some(hint),
        candidates: Vec::new(),
        wants: None,
    }
}

/// Whether a failure says that a key is merely not there, or has no such applet, or no such file.
#[must_use]
pub fn is_absent(error: &Failure) -> bool {
    matches!(error.code, ErrorCode::NoKey | ErrorCode::NoPcsc | ErrorCode::KeyRemoved | ErrorCode::NotFound)
}

/// Why the host gives no answer: a failure of the protocol, or one of a key that becomes one.
#[derive(Debug)]
pub struct Refusal(pub Failure);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self(match error {
            KeyError::Oath(error) => oath(&error),
            KeyError::Pcsc(PcscError::Busy) => busy(&holders::others()),
            KeyError::Pcsc(error) => pcsc(error),
            KeyError::Soft(SoftError::NeedsPassphrase(name)) => Failure {
                wants: Some(Box::new(Wants {
                    key: format!("{SOFT_PREFIX}{name}"),
                    what: soft::passphrase_of(&name),
                })),
                ..failure(ErrorCode::Locked, SoftError::NeedsPassphrase(name), "")
            },
            KeyError::Soft(error) => failure(error.code(), &error, ""),
            KeyError::State(error) => failure(ErrorCode::Io, &error, ""),
            KeyError::Prompt(error) => failure(error.code(), &error, error.hint().unwrap_or_default()),
            KeyError::Cancelled => failure(ErrorCode::Cancelled, error, ""),
            KeyError::NoKey => failure(
                ErrorCode::NoKey,
                &error,
                "plug in a key (`keyfob doctor` finds out why one is not seen), or choose a software key with --key soft:NAME",
            ),
            KeyError::NoSoftKey => {
                failure(ErrorCode::NotFound, &error, "`keyfob soft create NAME` makes one")
            }
            KeyError::NotFound(_) => {
                failure(ErrorCode::NoKey, &error, "`keyfob list` shows the keys that are plugged in")
            }
            KeyError::Ambiguous(candidates) => Failure {
                candidates,
                ..failure(
                    ErrorCode::Ambiguous,
                    "several keys are plugged in",
                    "choose one with --key SERIAL (or KEYFOB_KEY), or unplug the others",
                )
            },
            KeyError::Random(_) => failure(ErrorCode::Internal, &error, ""),
        })
    }
}

impl From<OathError> for Refusal {
    fn from(error: OathError) -> Self {
        Self(oath(&error))
    }
}

impl From<IdError> for Refusal {
    fn from(error: IdError) -> Self {
        Self(failure(ErrorCode::InvalidInput, error, "give the account another name"))
    }
}

impl From<OtpAuthError> for Refusal {
    fn from(error: OtpAuthError) -> Self {
        Self(failure(
            ErrorCode::InvalidInput,
            error,
            "copy the URI or the secret again from where it is shown",
        ))
    }
}

impl From<s3::ParseError> for Refusal {
    fn from(error: s3::ParseError) -> Self {
        Self(failure(ErrorCode::InvalidInput, error, ""))
    }
}

fn oath(error: &OathError) -> Failure {
    use OathError as E;
    let (code, hint) = match error {
        E::NoApplet => (
            ErrorCode::NoKey,
            "enable OATH over this interface (`ykman config usb --enable OATH`), or use another key",
        ),
        E::Locked => {
            (ErrorCode::Locked, "give the key's password when asked; in the browser, in Keyfob's popup")
        }
        E::WrongPassword => {
            (ErrorCode::WrongPassword, "try again; nothing is counted and nothing was changed")
        }
        E::CardProof => (ErrorCode::BadAnswer, "unplug it: this is not the key whose password you gave"),
        E::TouchTimeout => (ErrorCode::TouchTimeout, "ask again, and touch the key while it blinks"),
        E::NoSuchCredential => (ErrorCode::NotFound, "`keyfob list` shows what is on the key"),
        E::Exists => (ErrorCode::Exists, "choose another name, or replace it with --force"),
        E::NoSpace => (ErrorCode::NoSpace, "delete an account that is no longer used, or take another key"),
        E::BrokenCredential => (
            ErrorCode::BadAnswer,
            "ask for the accounts one by one (`keyfob oath list`), and delete the one that fails: `keyfob oath delete NAME`",
        ),
        E::Lacks { feature: Feature::Touch, .. } => {
            (ErrorCode::Unsupported, "leave the touch out, or take a newer key")
        }
        E::Unsupported { .. } | E::Refused { .. } | E::Lacks { .. } => {
            (ErrorCode::Unsupported, "`keyfob info` shows the firmware; a newer key may do it")
        }
        E::Id(_) => (ErrorCode::BadAnswer, "unplug the key and plug it in again"),
        _ => (
            ErrorCode::BadAnswer,
            "unplug the key and plug it in again; if that does not help, it is no OATH key",
        ),
    };
    failure(code, error, hint)
}

fn pcsc(error: PcscError) -> Failure {
    let (code, hint) = match error {
        PcscError::NoService(_) => (
            ErrorCode::NoPcsc,
            if cfg!(target_os = "linux") {
                "start it (`sudo systemctl enable --now pcscd.socket`; Debian's package is pcscd); `keyfob doctor` finds out why \
                 it does not answer"
            } else {
                "start the Smart Card service"
            },
        ),
        PcscError::Busy => (
            ErrorCode::Busy,
            "close the program that uses it; GnuPG's scdaemon lets go after `gpgconf --kill scdaemon`",
        ),
        PcscError::Removed => (ErrorCode::KeyRemoved, "plug the key in again; nothing was lost"),
        PcscError::NoCard => (ErrorCode::NoKey, "plug in a key"),
        PcscError::Hung => (ErrorCode::BadAnswer, "unplug the key and plug it in again"),
        PcscError::Mute => (ErrorCode::BadAnswer, "take the card out and put it in again"),
        PcscError::Other(_) => (ErrorCode::BadAnswer, "unplug the key and plug it in again"),
    };
    failure(code, error, hint)
}

/// Another program holds the key: which one, and how it lets go, if anybody knows.
fn busy(holders: &[Holder]) -> Failure {
    let Failure { code, message, hint, .. } = pcsc(PcscError::Busy);
    let Some(first) = holders.first() else { return failure(code, message, hint.unwrap_or_default()) };
    let names: Vec<_> = holders.iter().map(Holder::to_string).collect();
    let message = format!("{message}: {}", names.join(" or "));
    match first.hint {
        Some(hint) => failure(code, message, format!("{}: {hint}", first.name)),
        None => failure(code, message, "close the program that uses it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_key_is_named() {
        #[track_caller]
        fn check(holders: &[(u32, &str, Option<&'static str>)], message: &str, hint: &str) {
            let holder = |&(pid, name, hint): &(u32, &str, _)| Holder { pid, name: name.to_owned(), hint };
            let failure = busy(&holders.iter().map(holder).collect::<Vec<_>>());
            assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message, Some(hint)));
            assert_eq!(failure.code, ErrorCode::Busy);
        }
        check(
            &[],
            "another program holds the key",
            "close the program that uses it; GnuPG's scdaemon lets go after `gpgconf --kill scdaemon`",
        );
        check(
            &[(12, "scdaemon", Some("run this")), (13, "x", None)],
            "another program holds the key: scdaemon (pid 12) or x (pid 13)",
            "scdaemon: run this",
        );
        check(
            &[(13, "x", None)],
            "another program holds the key: x (pid 13)",
            "close the program that uses it",
        );
    }
}
