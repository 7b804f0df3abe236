//! `keyfob aws enroll`: makes an MFA device for a user and puts it on keys.
//!
//! ```text
//!   LIST on every key ─► record ─► CreateVirtualMFADevice ─► PUT and CALCULATE on every key ─► EnableMFADevice ─► no record
//! ```
//!
//! The secret is nowhere but in this process and on the keys, so what is broken off cannot go on: it is undone, at once or by the
//! next one for the same device, which finds the record. Only what AWS had enabled by then is there to stay, and every key was seen to
//! calculate its codes before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use keyfob_core::message::{Account, Answer, ErrorCode, Failure, Key, Op, Password};
use keyfob_core::oath::{CredentialId, Kind, OtpAuth, hotp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::args::Global;
use super::caller::{self, By, Caller};
use super::commands::{consent, unexpected};
use super::output;
use crate::aws_call::Refused;
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::iam::{NewDevice, code};
use crate::paths::{Lock, PathError, write_atomically};
use crate::prompt::{printable, shown};
use crate::service;

/// What the names of AWS's devices may have besides letters and digits, and how long they may be.
const MARKS: &str = "_+=,.@-";
const LONGEST: usize = 226;

/// How long a code of AWS's devices lasts, in seconds.
const PERIOD: u32 = 30;
/// How often a device that AWS has just made may be unknown there, and how long that is waited for each time.
const PATIENCE: u32 = 4;
const UNKNOWN: Duration = Duration::from_secs(2);
/// What it takes to undo everything.
const SPARE: Duration = Duration::from_secs(5);

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Name of the device; without it that of the user
    device: Option<String>,
    /// User who is to have it; without it the one who signs
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Give its codes without a touch: whoever can use this computer can then use it
    #[arg(long)]
    no_touch: bool,
    /// Sign with the access key itself, not with a session that is made by another MFA device
    #[arg(long)]
    no_session: bool,
    /// Undo without asking what an enrolment of this device has left that was broken off
    #[arg(short, long)]
    force: bool,
    /// On so many keys, all of which are plugged in; or name them: --key A --key B
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    copies: u8,
    #[command(flatten)]
    caller: caller::Options,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stage {
    /// The device may be made at AWS, or not yet.
    Making,
    /// It is made at AWS; the account may be on keys.
    Made,
    /// It is on every key, and AWS may have enabled it.
    Enabling,
}

/// What is kept of an enrolment until it is done or undone. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    v: u8,
    /// The device's ARN.
    serial: String,
    user: String,
    /// The keys that are to have it, by their ids.
    keys: Vec<String>,
    stage: Stage,
}

/// Its file.
struct RecordFile(PathBuf);

impl RecordFile {
    fn of(folder: &Path, serial: &str) -> Self {
        let hash = Sha256::digest(serial.as_bytes());
        let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self(folder.join(format!("{name}.json")))
    }

    fn read(&self) -> Result<Option<Record>, Failure> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.broken(&error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Failure {
        failure(
            ErrorCode::Io,
            format!("cannot read the record of an enrolment, {}: {error}", self.0.display()),
            "if it cannot be mended, delete it; then delete the device at AWS that it was about, if nobody has it",
        )
    }

    fn write(&self, record: &Record) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(record).map_err(|error| failure(ErrorCode::Internal, error, ""))?;
        write_atomically(&self.0, &bytes).map_err(unwritten)
    }

    fn remove(&self) -> Result<(), Failure> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.broken(&error)),
            _ => Ok(()),
        }
    }
}

fn unwritten(error: PathError) -> Failure {
    failure(error.code(), &error, "")
}

/// One enrolment.
struct Enrolment<'a, 'b> {
    options: &'a Options,
    caller: Caller<'b>,
    record: Record,
    file: RecordFile,
    /// What AWS calls the device that it has made.
    made: Option<String>,
    /// The keys that may have the account by now.
    written: Vec<String>,
}

/// Why it has not come to its end.
struct Broken {
    error: Failure,
    /// Whether it is certain that AWS has not enabled the device.
    certain: bool,
}

impl From<Failure> for Broken {
    fn from(error: Failure) -> Self {
        Self { error, certain: true }
    }
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    for name in options.device.iter().chain(&options.user) {
        check_name(name)?;
    }
    let by = if options.no_session { By::Itself } else { By::Session };
    let mut caller = Caller::new(global, &options.caller, by)?;
    let who = caller.user()?;
    let user = options.user.clone().unwrap_or(who.name);
    let device = options.device.clone().unwrap_or_else(|| user.clone());
    let serial = format!("arn:{}:iam::{}:mfa/{device}", who.partition, who.account);

    let folder = front::paths()?.data.join("enroll");
    let _lock = Lock::acquire(&folder.join("lock")).map_err(unwritten)?;
    let file = RecordFile::of(&folder, &serial);
    let keys = keys(&mut caller, global, options)?;
    let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    let record = Record { v: 1, serial, user, keys: ids, stage: Stage::Making };
    let before = file.read()?;
    let mut enrolment = Enrolment { options, caller, record, file, made: None, written: Vec::new() };

    // One that was broken off may have made a device at AWS that nobody knows of.
    let mut uncertain = false;
    if let Some(before) = before {
        uncertain = before.stage == Stage::Making;
        if enrolment.recover(&before)? {
            return done(global, &before, &who.account, true);
        }
    }
    for key in &keys {
        enrolment.check_room(key)?;
    }
    enrolment.file.write(&enrolment.record)?;
    let made = enrolment.make(&device, uncertain)?;
    if let Err(broken) = enrolment.enroll(&made) {
        enrolment.undo(broken)?;
    }
    enrolment.forget();
    done(global, &enrolment.record, &who.account, false)
}

/// Prints what has come of it.
fn done(global: &Global, record: &Record, account: &str, recovered: bool) -> Result<Exit, Failure> {
    let Record { serial, user, keys, .. } = record;
    if global.json {
        output::json(&json!({
            "serial": serial,
            "user": user,
            "account": account,
            "keys": keys,
            "recovered": recovered,
        }))?;
        return Ok(Exit::Ok);
    }
    output::line(&printable(serial))?;
    let had = if recovered { "had enabled it already" } else { "has enabled it" };
    output::note(
        global.quiet,
        &format!(
            "AWS {had} for {user}; its codes come from {}. A profile uses it by the line mfa_serial = {serial}",
            keys.join(" and ")
        ),
    );
    Ok(Exit::Ok)
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || MARKS.contains(c);
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(is_good) {
        return Ok(());
    }
    Err(failure(
        ErrorCode::InvalidInput,
        format!("{} is no name of AWS's", shown(name)),
        format!("a name is 1 to {LONGEST} letters, digits and {MARKS}"),
    ))
}

/// The keys that are to have it: those that are named, or as many as are wanted. All of them have to be there, for what one of
/// them cannot take must be known before anything is made.
fn keys(caller: &mut Caller<'_>, global: &Global, options: &Options) -> Result<Vec<Key>, Failure> {
    let wanted = usize::from(options.copies);
    let mut keys: Vec<Key> = Vec::new();
    if global.key.is_empty() && wanted > 1 {
        keys = caller.client.keys()?;
        if keys.len() != wanted {
            return Err(Failure {
                candidates: keys.iter().map(|key| key.id.clone()).collect(),
                ..failure(
                    if keys.len() < wanted { ErrorCode::NoKey } else { ErrorCode::Ambiguous },
                    format!("{} keys are plugged in, and {wanted} are to have the device", keys.len()),
                    "plug in all that are to have it at once, or name them: --key A --key B, with --wait where there is room for one",
                )
            });
        }
        return Ok(keys);
    }
    if global.key.len() <= 1 {
        let key = caller.client.info(global.one_key()?)?;
        if wanted > 1 {
            let text = format!("one key is named, and {wanted} are to have the device");
            return Err(failure(ErrorCode::InvalidInput, text, "name them all: --key A --key B"));
        }
        return Ok(vec![key]);
    }
    for name in &global.key {
        let key = caller.client.info(Some(name.clone()))?;
        if keys.iter().any(|other| other.id == key.id) {
            let text = format!("key {} is named twice", key.id);
            return Err(failure(ErrorCode::InvalidInput, text, "name each key once"));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Whether that is the device's account: a key keeps long names cut.
fn is_named(account: &Account, serial: &str) -> bool {
    CredentialId::for_name(Kind::Totp, account.period, serial)
        .is_ok_and(|id| id.name(Kind::Totp) == account.name)
}

/// The name of the account on a key, for a device that AWS has made.
fn name_on_key(serial: &str) -> String {
    let id = CredentialId::for_name(Kind::Totp, PERIOD, serial);
    id.map_or_else(|_| serial.to_owned(), |id| id.name(Kind::Totp))
}

impl Enrolment<'_, '_> {
    /// Undoes what an enrolment has left that was broken off; says whether it was done after all.
    fn recover(&mut self, before: &Record) -> Result<bool, Failure> {
        let Record { serial, user, .. } = before;
        self.caller.client.note(&format!("An enrolment of {serial} was broken off."));
        let enabled = self.is_enabled(user, serial)?;
        if before.stage == Stage::Enabling && enabled {
            self.file.remove()?;
            return Ok(true);
        }
        let mut denied = None;
        // Whether one is ours that may have been made is not known: that is asked when there is one.
        if before.stage != Stage::Making && !enabled {
            match self.caller.iam(|iam, ask| iam.delete_virtual_mfa_device(ask, serial)) {
                Ok(()) => self.caller.client.note("Deleted its device at AWS, which nobody had."),
                Err(refused) if refused.code == code::NONE => {}
                // It is enabled, though the list did not know yet.
                Err(refused) if refused.code == code::IN_USE && before.stage == Stage::Enabling => {
                    self.file.remove()?;
                    return Ok(true);
                }
                // Policies that want MFA let a user make a device without it, but not delete it.
                Err(refused) if code::DENIED.contains(&refused.code.as_str()) => {
                    denied = Some(refused.failure)
                }
                Err(refused) => return Err(refused.into()),
            }
        }
        if before.stage == Stage::Making {
            return Ok(false);
        }
        for key in &before.keys {
            match self.account_on(key, serial) {
                Ok(None) => {}
                Ok(Some(name)) => {
                    let question = format!(
                        "Key {key} has the account {serial}, which the enrolment that was broken off has left. Delete it?"
                    );
                    consent(self.options.force, &question)?;
                    self.delete_account(key, &name)?;
                }
                Err(error)
                    if matches!(
                        error.code,
                        ErrorCode::NoKey | ErrorCode::NotFound | ErrorCode::KeyRemoved
                    ) =>
                {
                    let text = format!(
                        "key {key} is not there, and may have an account {serial} of the enrolment that was broken off, \
                         whose codes are worth nothing"
                    );
                    if !self.options.force {
                        return Err(failure(
                            error.code,
                            text,
                            "plug it in, and try again; --force leaves it there",
                        ));
                    }
                    self.caller.client.note(&format!("Left as it is: {text}."));
                }
                Err(error) => return Err(error),
            }
        }
        match denied {
            None => Ok(false),
            Some(error) => Err(Failure {
                message: format!("{}; the device {serial}, which nobody has, stays at AWS", error.message),
                hint: Some("give this one another name: `keyfob aws enroll NAME`".to_owned()),
                ..error
            }),
        }
    }

    /// Whether a user has a device.
    fn is_enabled(&mut self, user: &str, serial: &str) -> Result<bool, Refused> {
        let devices = self.caller.iam(|iam, ask| iam.list_mfa_devices(ask, Some(user)))?;
        Ok(devices.iter().any(|device| device.serial == serial))
    }

    /// The name of the device's account on a key, if it is there.
    fn account_on(&mut self, key: &str, serial: &str) -> Result<Option<String>, Failure> {
        match self.caller.client.ask_key(Some(key.to_owned()), Op::Listing { codes: false, at: None })? {
            Answer::Listing { accounts } => {
                let found = accounts.into_iter().find(|account| is_named(account, serial));
                Ok(found.map(|account| account.name))
            }
            other => unexpected(other),
        }
    }

    fn delete_account(&mut self, key: &str, serial: &str) -> Result<(), Failure> {
        let op = Op::DeleteAccount { account: serial.to_owned() };
        match self.caller.client.ask_key(Some(key.to_owned()), op)? {
            Answer::Deleted { .. } => {
                self.caller.client.note(&format!("Deleted the account {serial} from key {key}."));
                Ok(())
            }
            other => unexpected(other),
        }
    }

    /// Makes sure that a key can take the account, before anything is made.
    fn check_room(&mut self, key: &Key) -> Result<(), Failure> {
        let (id, serial) = (key.id.clone(), self.record.serial.clone());
        let accounts =
            match self.caller.client.ask_key(Some(id.clone()), Op::Listing { codes: false, at: None })? {
                Answer::Listing { accounts } => accounts,
                other => return unexpected(other),
            };
        if accounts.iter().any(|account| is_named(account, &serial)) {
            return Err(failure(
                ErrorCode::Exists,
                format!("key {id} has an account {serial} already; nothing was done"),
                format!(
                    "give the device another name: `keyfob aws enroll NAME`; or delete that one, if it is used no more: \
                     `keyfob --key {id} oath delete {serial}`"
                ),
            ));
        }
        let Some(slots) = key.slots else { return Ok(()) };
        let identities = match self.caller.client.ask_key(Some(id.clone()), Op::Identities {})? {
            Answer::Identities { identities, .. } => identities,
            other => return unexpected(other),
        };
        if accounts.len() + identities.len() >= usize::from(slots) {
            return Err(failure(
                ErrorCode::NoSpace,
                format!("key {id} is full: {slots} accounts and identities; nothing was done"),
                "delete what is used no more, or use another key",
            ));
        }
        Ok(())
    }

    /// Makes the device at AWS. One of that name that is there is deleted only if it may be ours, and with consent.
    fn make(&mut self, name: &str, mut uncertain: bool) -> Result<NewDevice, Failure> {
        let serial = self.record.serial.clone();
        let mut again = true;
        loop {
            let refused = match self.caller.iam(|iam, ask| iam.create_virtual_mfa_device(ask, name)) {
                Ok(device) => {
                    self.made = Some(device.serial.clone());
                    self.record.stage = Stage::Made;
                    if let Err(error) = self.file.write(&self.record) {
                        self.undo(error.into())?;
                    }
                    return Ok(device);
                }
                Err(refused) => refused,
            };
            if refused.code == code::EXISTS && uncertain {
                let question = format!(
                    "AWS has a device {serial}, which may be left from an enrolment that was broken off. Delete it, if nobody has \
                     it, and make it anew?"
                );
                consent(self.options.force, &question)?;
                match self.caller.iam(|iam, ask| iam.delete_virtual_mfa_device(ask, &serial)) {
                    Err(refused) if refused.code != code::NONE && refused.code != code::IN_USE => {
                        return Err(refused.into());
                    }
                    // What is somebody's is told of when it is to be made again.
                    _ => uncertain = false,
                }
            } else if refused.may_be_done() {
                uncertain = true;
                if !again {
                    let message =
                        format!("{}; whether AWS has made the device is not known", refused.failure.message);
                    return Err(Failure { message, hint: Some(AGAIN.to_owned()), ..refused.failure });
                }
                again = false;
            } else {
                // Where an earlier answer was lost there may be one all the same.
                if !uncertain {
                    self.file.remove()?;
                }
                if refused.code != code::EXISTS {
                    return Err(refused.into());
                }
                return Err(failure(
                    ErrorCode::Exists,
                    format!(
                        "AWS has a device {serial} already, which this enrolment has not made; nothing was done"
                    ),
                    format!(
                        "give this one another name: `keyfob aws enroll NAME`; or, if nobody uses that one, delete it: \
                         `aws iam delete-virtual-mfa-device --serial-number {serial}`"
                    ),
                ));
            }
        }
    }

    /// Puts the device on every key, and has AWS enable it.
    fn enroll(&mut self, device: &NewDevice) -> Result<(), Broken> {
        let Record { serial, user, keys, .. } = self.record.clone();
        if device.serial != serial {
            let text = format!("AWS has made the device {}, and not {serial}", device.serial);
            return Err(failure(ErrorCode::AwsRefused, text, "").into());
        }
        let account = OtpAuth::totp(None, "device".to_owned(), &device.seed.0).map_err(|error| {
            let text = format!("AWS gives a device whose secret is none: {error}");
            failure(ErrorCode::AwsRefused, text, "see that the endpoint is the right one")
        })?;
        let uri = account.to_uri();
        for key in &keys {
            self.put(key, &uri)?;
        }
        self.record.stage = Stage::Enabling;
        self.file.write(&self.record)?;
        match self.enable(&account) {
            Ok(()) => Ok(()),
            Err(refused) if refused.may_be_done() => match self.is_enabled(&user, &serial) {
                Ok(true) => Ok(()),
                _ => Err(Broken { error: refused.failure, certain: false }),
            },
            Err(refused) => Err(refused.failure.into()),
        }
    }

    /// Puts the account on a key, and sees that it calculates what the secret gives.
    fn put(&mut self, key: &str, uri: &str) -> Result<(), Failure> {
        let serial = &self.record.serial;
        let add = Op::AddAccount {
            uri: Password(uri.to_owned()),
            touch: !self.options.no_touch,
            overwrite: false,
            account: Some(serial.clone()),
        };
        let confirm = Op::ConfirmAccount { account: name_on_key(serial), uri: Password(uri.to_owned()) };
        match self.caller.client.ask_key(Some(key.to_owned()), add) {
            Ok(Answer::Written { .. }) => self.written.push(key.to_owned()),
            Ok(other) => return unexpected(other),
            Err(error) => {
                // One that has come there since is not ours. Anything else may have happened after it was written.
                if error.code != ErrorCode::Exists {
                    self.written.push(key.to_owned());
                }
                return Err(error);
            }
        }
        match self.caller.client.ask_key(Some(key.to_owned()), confirm)? {
            Answer::Confirmed { .. } => {
                self.caller.client.note(&format!("Key {key} has the device, and calculates its codes."));
                Ok(())
            }
            other => unexpected(other),
        }
    }

    /// Shows AWS two codes in a row: those of the last step and this one; where it refuses them, those of this step and the next;
    /// and once more when that has come.
    fn enable(&mut self, account: &OtpAuth) -> Result<(), Refused> {
        let period = u64::from(account.period.max(1));
        let code = |step: u64| {
            let value = hotp(account.algorithm, account.secret.expose(), step);
            Password(account.digits.format(value))
        };
        let (user, serial) = (self.record.user.clone(), self.record.serial.clone());
        let (mut attempt, mut patience) = (0, PATIENCE);
        loop {
            let now = service::unix_time();
            let second = if attempt == 1 { now / period + 1 } else { now / period };
            // Said before it goes to AWS: whatever becomes of the answer, nobody is to try that code again.
            let op = Op::Submitted { account: name_on_key(&serial), valid_from: second * period };
            self.caller.client.ask_key(self.record.keys.first().cloned(), op)?;
            let codes = (code(second.saturating_sub(1)), code(second));
            let refused = match self
                .caller
                .iam(|iam, ask| iam.enable_mfa_device(ask, &user, &serial, (&codes.0.0, &codes.1.0)))
            {
                // IAM is many servers, and some of them may not know yet what another has made.
                Err(refused) if refused.code == code::NONE && patience > 0 && self.has(UNKNOWN) => {
                    patience -= 1;
                    std::thread::sleep(UNKNOWN);
                    continue;
                }
                Err(refused) if refused.code == code::WRONG_CODE => refused,
                result => return result,
            };
            let left = Duration::from_secs(period - service::unix_time() % period);
            match attempt {
                0 => {}
                1 if self.has(left) => {
                    let seconds = left.as_secs();
                    self.caller.client.note(&format!(
                        "AWS has refused the codes of now: waiting {seconds} s for the next ones."
                    ));
                    std::thread::sleep(left);
                }
                _ => return Err(refused),
            }
            attempt += 1;
        }
    }

    /// Whether there is time to wait so long, and to undo everything afterwards.
    fn has(&self, time: Duration) -> bool {
        self.caller.http.has(time + SPARE)
    }

    /// Undoes everything, unless AWS had enabled the device after all.
    ///
    /// # Errors
    /// Why it was undone, with what has become of it.
    fn undo(&mut self, broken: Broken) -> Result<(), Failure> {
        let Broken { error, certain } = broken;
        self.caller.begin_anew();
        let serial = self.made.clone().unwrap_or_else(|| self.record.serial.clone());
        let mut left = Vec::new();
        match self.caller.iam(|iam, ask| iam.delete_virtual_mfa_device(ask, &serial)) {
            Ok(()) => {}
            Err(refused) if refused.code == code::NONE => {}
            // Somebody has it, and there is one only who can, whatever AWS has said: the keys keep its secret.
            Err(refused) if refused.code == code::IN_USE => return Ok(()),
            Err(_) if !certain => {
                let message = format!("{}; whether AWS has enabled the device is not known", error.message);
                return Err(Failure { message, hint: Some(AGAIN.to_owned()), ..error });
            }
            Err(_) => left.push("at AWS".to_owned()),
        }
        let account = name_on_key(&self.record.serial);
        for key in std::mem::take(&mut self.written) {
            match self.delete_account(&key, &account) {
                Ok(()) => {}
                Err(error) if error.code == ErrorCode::NotFound && self.is_there(&key) => {}
                Err(_) => left.push(format!("on key {key}")),
            }
        }
        if left.is_empty() {
            self.forget();
            let message = format!("{}; nothing of the device is left, at AWS or on a key", error.message);
            return Err(Failure { message, ..error });
        }
        let message = format!("{}; the device is left {}", error.message, left.join(" and "));
        let hint = match &error.hint {
            Some(hint) => format!("{hint}; {AGAIN}"),
            None => AGAIN.to_owned(),
        };
        Err(Failure { message, hint: Some(hint), ..error })
    }

    /// Removes the record. Where it stays, the next enrolment of this device finds that there is nothing to do.
    fn forget(&self) {
        if let Err(error) = self.file.remove() {
            self.caller.client.note(&error.message);
        }
    }

    fn is_there(&mut self, key: &str) -> bool {
        self.caller.client.info(Some(key.to_owned())).is_ok()
    }
}

/// What to do about one that was broken off.
const AGAIN: &str = "enroll it again: that finds what is left, and undoes it, or sees that it is done";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_aws_takes() {
        #[track_caller]
        fn check(name: &str, good: bool) {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
        check("alice", true);
        check("a_+=,.@-9", true);
        check(&"a".repeat(226), true);
        check(&"a".repeat(227), false);
        check("", false);
        check("team/alice", false);
        check("alice bob", false);
        check("ällice", false);
    }

    #[test]
    fn a_record_is_kept_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let serial = "arn:aws:iam::123456789012:mfa/alice";
        let file = RecordFile::of(&folder.path().join("enroll"), serial);
        assert_eq!(file.read().unwrap(), None);
        file.remove().unwrap();
        let record = Record {
            v: 1,
            serial: serial.to_owned(),
            user: "alice".to_owned(),
            keys: vec!["soft:demo".to_owned()],
            stage: Stage::Making,
        };
        file.write(&record).unwrap();
        assert_eq!(RecordFile::of(&folder.path().join("enroll"), serial).read().unwrap(), Some(record));
        assert_eq!(RecordFile::of(&folder.path().join("enroll"), "other").read().unwrap(), None);
        std::fs::write(&file.0, b"{").unwrap();
        assert_eq!(file.read().unwrap_err().code, ErrorCode::Io);
        file.remove().unwrap();
        assert_eq!(file.read().unwrap(), None);
    }
}
