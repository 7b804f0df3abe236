//! `keyfob aws resync`: tells AWS where an MFA device's clock is.

use clap::Args;
use keyfob_core::message::{Answer, Code, ErrorCode, Failure, Op, Password};
use serde_json::json;

use super::args::Global;
use super::caller::{self, By, Caller, User};
use super::commands::unexpected;
use super::output;
use crate::error::failure;
use crate::exit::Exit;
use crate::iam::code;
use crate::profile::Mfa;
use crate::prompt::printable;
use crate::session::mfa::Found;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Device: its ARN, its serial number or its name; without it the one that the profile names, or the user's only one
    device: Option<String>,
    /// User who has it; without it the one who signs
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Sign with a session that is made by another MFA device, where policies want that
    #[arg(long)]
    session: bool,
    #[command(flatten)]
    caller: caller::Options,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    // A device that is out of step makes no session.
    let by = if options.session { By::Session } else { By::Itself };
    let mut caller = Caller::new(global, &options.caller, by)?;
    let who = caller.user()?;
    let user = options.user.clone().unwrap_or_else(|| who.name.clone());
    let mfa = device(&mut caller, options, &who, &user)?;
    let (key, account) = match caller.find(&mfa)? {
        Found::Here { key, account, .. } => (key, account),
        Found::Nowhere { why, failure: absent } => {
            let message = format!("two codes of {} in a row are wanted, and {why}", mfa.serial);
            let code = absent.map_or(ErrorCode::NotFound, |absent| absent.code);
            return Err(failure(code, message, "plug in the key that has it"));
        }
    };
    let (first, second) = two_codes(&mut caller, &key, &account)?;
    // Said before it goes to AWS, as the first one's was: whatever becomes of the answer, nobody is to try it again.
    if let Some(valid_from) = second.valid_from {
        caller.client.ask_key(Some(key.clone()), Op::Submitted { account, valid_from })?;
    }
    let codes = (Password(first.value.clone()), Password(second.value.clone()));
    let serial = &mfa.serial;
    caller.iam(|iam, ask| iam.resync_mfa_device(ask, &user, serial, (&codes.0.0, &codes.1.0))).map_err(
        |refused| {
            let hint = match refused.code.as_str() {
                code::WRONG_CODE => {
                    "see that the clock is right (`keyfob doctor --clock`); if it is, the account on the key is not this device's: \
                     enroll another one, and remove this"
                }
                code::NONE => "the user has no such device: `aws iam list-mfa-devices` shows those there are",
                _ => return refused.failure,
            };
            Failure { hint: Some(hint.to_owned()), ..refused.failure }
        },
    )?;
    if global.json {
        output::json(&json!({ "serial": serial, "user": user, "key": key }))?;
        return Ok(Exit::Ok);
    }
    output::line(&printable(serial))?;
    output::note(global.quiet, &format!("AWS knows now where the clock of this device of {user} is."));
    Ok(Exit::Ok)
}

/// Which device it is.
fn device(caller: &mut Caller<'_>, options: &Options, who: &User, user: &str) -> Result<Mfa, Failure> {
    let of_profile = caller.mfa().cloned().filter(|_| options.user.is_none());
    let alone = |serial: String| Mfa { serial, account: None, others: Vec::new() };
    let Some(wanted) = &options.device else {
        if let Some(mfa) = of_profile {
            // That one, and not whichever is at hand.
            return Ok(Mfa { others: Vec::new(), ..mfa });
        }
        let devices = caller.iam(|iam, ask| iam.list_mfa_devices(ask, Some(user)))?;
        let mut serials: Vec<String> = devices
            .into_iter()
            .map(|device| device.serial)
            .filter(|serial| caller::has_codes(serial))
            .collect();
        return match (serials.pop(), serials.is_empty()) {
            (Some(serial), true) => Ok(alone(serial)),
            (Some(serial), false) => {
                serials.push(serial);
                let text = format!("{user} has several MFA devices");
                Err(Failure {
                    candidates: serials,
                    ..failure(ErrorCode::Ambiguous, text, "name one of them: `keyfob aws resync DEVICE`")
                })
            }
            (None, _) => Err(failure(
                ErrorCode::NotFound,
                format!("{user} has no MFA device that gives codes"),
                "`keyfob aws enroll` makes one",
            )),
        };
    };
    let serial = serial(wanted, who);
    // The account's name on the key is the profile's to say.
    Ok(of_profile
        .filter(|mfa| mfa.serial == serial)
        .map_or_else(|| alone(serial.clone()), |mfa| Mfa { others: Vec::new(), ..mfa }))
}

/// The serial number that AWS knows a device by: an ARN is one; a hardware token has capital letters and digits on its back; anything
/// else is a virtual device's name.
fn serial(wanted: &str, who: &User) -> String {
    // Four letters, and eight digits or more.
    let is_token = wanted.len() >= 12
        && wanted.bytes().take(4).all(|b| b.is_ascii_uppercase())
        && wanted.bytes().skip(4).all(|b| b.is_ascii_digit());
    if wanted.starts_with("arn:") || is_token {
        return wanted.to_owned();
    }
    format!("arn:{}:iam::{}:mfa/{wanted}", who.partition, who.account)
}

/// Two codes in a row: of the step that is now, or that comes next if AWS has seen this one's, and of the one after.
fn two_codes(caller: &mut Caller<'_>, key: &str, account: &str) -> Result<(Code, Code), Failure> {
    let mut code = |op| match caller.client.ask_key(Some(key.to_owned()), op)? {
        Answer::Code { code, .. } => Ok(code),
        other => unexpected(other),
    };
    let purpose = "AWS to find this device's clock".to_owned();
    let first = code(Op::SubmitCode { account: account.to_owned(), purpose: purpose.clone() })?;
    // Whenever the touch for it comes: the one that follows the first.
    let second = code(Op::Code {
        account: account.to_owned(),
        at: first.valid_until,
        purpose: Some(purpose),
        fresh: false,
        next: false,
    })?;
    Ok((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_in_every_way() {
        #[track_caller]
        fn check(wanted: &str, expected: &str) {
            let who = User {
                partition: "aws-cn".to_owned(),
                account: "123456789012".to_owned(),
                name: "a".to_owned(),
            };
            assert_eq!(serial(wanted, &who), expected);
        }
        check("alice", "arn:aws-cn:iam::123456789012:mfa/alice");
        check("team/alice", "arn:aws-cn:iam::123456789012:mfa/team/alice");
        check("arn:aws:iam::123456789012:mfa/alice", "arn:aws:iam::123456789012:mfa/alice");
        check("GAHT12345678", "GAHT12345678");
        check("ALICE", "arn:aws-cn:iam::123456789012:mfa/ALICE");
    }
}
