//! `keyfob aws rotate`: replaces an access key by a new one, on every key that holds it.

use std::cell::Cell;
use std::time::Duration;

use clap::Args;
use keyfob_core::message::{Answer, ErrorCode, Failure, Identity, Key, Op, Password, SignatureVersion};
use serde_json::json;

use super::args::Global;
use super::caller::{self, By, Caller, identities};
use super::client::Client;
use super::commands::{consent, unexpected};
use super::{complete, output, time};
use crate::aws_call::Refused;
use crate::aws_files::{AwsFile, AwsFiles};
use crate::error::{failure, is_absent};
use crate::exit::Exit;
use crate::front;
use crate::iam::{AccessKey, NewAccessKey, Status};
use crate::journal::{Journals, Record, Stage, Target};
use crate::profile::unread;
use crate::rotation::{How, Outcome, Rotation, World};
use crate::service;

/// The longest that an old access key is kept.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long AWS may take to know an access key that it has made.
const UNKNOWN: Duration = Duration::from_secs(60);
/// The setting of a profile that names an access key on a key.
const SETTING: &str = "keyfob_access_key_id";

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Access key to replace; without it the profile's, or the only one on the key
    #[arg(add = complete::identities(), conflicts_with = "identity")]
    access_key_id: Option<String>,
    /// How long the old one stays at AWS, inactive, before a later run deletes it: 0, 12h, 7d; a day without it, 90d at most
    #[arg(long, value_name = "DURATION", value_parser = grace)]
    grace: Option<Duration>,
    /// So many keys hold it, all of which must be plugged in; or name them: --key A --key B
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=20))]
    copies: Option<u8>,
    /// Key that is not to have the new one, for it is lost or not at hand: what it holds is worth nothing afterwards
    #[arg(long, value_name = "SERIAL", add = complete::keys())]
    waive: Vec<String>,
    /// Go on with one that was broken off, with the keys that have the new one
    #[arg(long = "continue", conflicts_with = "undo")]
    go_on: bool,
    /// Make the old one work again; once more, remove the new one
    #[arg(long)]
    undo: bool,
    /// Show the rotations that are not over, and do nothing
    #[arg(long, conflicts_with_all = ["go_on", "undo", "grace", "copies", "waive"])]
    status: bool,
    /// Sign with the new one without a touch: whoever can use this computer can then use it
    #[arg(long)]
    no_touch: bool,
    /// Sign with the access key itself, not with a session that is made by an MFA device
    #[arg(long)]
    no_session: bool,
    /// Do not ask: rewrite the profiles that name it, delete what an earlier run has left at AWS
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    caller: caller::Options,
}

/// Where none is given.
const GRACE: Duration = Duration::from_secs(24 * 3600);

fn grace(text: &str) -> Result<Duration, String> {
    let grace = time::duration(text)?;
    if grace <= LONGEST { Ok(grace) } else { Err("that is more than 90d".to_owned()) }
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let journals = Journals::of(&front::paths()?.data);
    if options.status {
        return status(global, &journals.all()?);
    }
    let _lock = journals.lock()?;
    let all = journals.all()?;
    let wanted = match &options.access_key_id {
        Some(id) => Some(id.clone()),
        None => options.caller.access_key_id()?,
    };
    let by = if options.no_session { By::Itself } else { By::Session };
    let Some(record) = begun(&all, wanted.as_deref())? else {
        if options.go_on || options.undo {
            return Err(failure(
                ErrorCode::NotFound,
                "no rotation of that access key is under way",
                "`keyfob aws rotate --status` shows those that are",
            ));
        }
        return begin(global, options, journals, wanted, by);
    };
    let how = match (options.go_on, options.undo) {
        (true, _) => How::On,
        (_, true) => How::Back,
        _ => How::Safely,
    };
    output::note(
        global.quiet,
        &format!("A rotation of {} is under way: {}.", record.old, told(record.stage)),
    );
    let mut record = record.clone();
    if let Some(grace) = options.grace.map(|grace| grace.as_secs()).filter(|grace| *grace != record.grace) {
        record.grace = grace;
        journals.write(&record)?;
    }
    let waived = waived(options)?;
    let was_creating = record.stage == Stage::Creating;
    let caller = Caller::by_key(global, &options.caller, by, record.signer())?;
    let mut world = Real { global, options, caller, journals, told_profiles: Cell::new(false), user: None };
    let (outcome, record) = {
        let mut rotation = Rotation::new(&mut world, record);
        rotation.waive(&waived)?;
        let outcome = rotation.resume(how)?;
        (outcome, rotation.record().clone())
    };
    if was_creating && outcome == Outcome::Undone && how != How::Back {
        // Nothing had come of it: it begins anew.
        let Real { caller, journals, .. } = world;
        let begun = begin_by(global, options, journals.clone(), caller, &record.old, Some(&record));
        if begun.is_err() && !journals.all()?.iter().any(|other| other.old == record.old) {
            // What was said the first time is for the next one, too.
            journals.write(&record)?;
        }
        return begun;
    }
    done(global, &record, &outcome)
}

/// The rotation that is under way of an access key, or the only one.
fn begun<'a>(all: &'a [Record], wanted: Option<&str>) -> Result<Option<&'a Record>, Failure> {
    let mut found = all.iter().filter(|record| wanted.is_none_or(|id| record.is_about(id)));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) if wanted.is_none() => Err(Failure {
            candidates: all.iter().map(|record| record.old.clone()).collect(),
            ..failure(
                ErrorCode::Ambiguous,
                "several rotations are under way",
                "say which access key it is about: `keyfob aws rotate ACCESS_KEY_ID`",
            )
        }),
        (one, _) => Ok(one),
    }
}

fn begin(
    global: &Global,
    options: &Options,
    journals: Journals,
    named: Option<String>,
    by: By,
) -> Result<Exit, Failure> {
    let caller = match &named {
        Some(id) => Caller::by_key(global, &options.caller, by, id),
        None => Caller::new(global, &options.caller, by),
    };
    let caller = caller.map_err(wanted)?;
    let old = match named {
        Some(id) => id,
        None => caller.access_key_id()?.to_owned(),
    };
    begin_by(global, options, journals, caller, &old, None)
}

fn begin_by(
    global: &Global,
    options: &Options,
    journals: Journals,
    mut caller: Caller<'_>,
    old: &str,
    before: Option<&Record>,
) -> Result<Exit, Failure> {
    let mut waived = waived(options)?;
    waived.extend(before.into_iter().flat_map(|before| before.waived.iter().cloned()));
    let targets = targets(&mut caller.client, global, options, &waived, old)?;
    // What was said the first time still holds.
    let is_there =
        |key: &str| targets.iter().any(|target| target.key == key) || waived.iter().any(|it| it == key);
    if let Some(lost) = before.and_then(|before| before.targets.iter().find(|target| !is_there(&target.key)))
    {
        return Err(failure(
            ErrorCode::NoKey,
            format!("key {} was to have the new access key, too; nothing was done", lost.key),
            format!(
                "plug it in, or name it beside the others (--key); or leave it out: --waive {}",
                lost.key
            ),
        ));
    }
    if let Some(last) = targets.last() {
        // It is there now, whichever was first.
        caller.sign_by(old, &last.key);
    }
    for key in &waived {
        caller.client.note(&format!(
            "Key {key} does not get the new access key: what it has of {old} is worth nothing afterwards."
        ));
    }
    let grace = before.map_or(GRACE.as_secs(), |before| before.grace);
    let grace = options.grace.map_or(grace, |grace| grace.as_secs());
    let record = Record::new(old, targets, waived, grace);
    let mut world = Real { global, options, caller, journals, told_profiles: Cell::new(false), user: None };
    let mut rotation = Rotation::new(&mut world, record);
    let outcome = rotation.begin()?;
    let record = rotation.record().clone();
    done(global, &record, &outcome)
}

/// The keys that are to have the new access key: those that have the old one. All of them must be there, with room for another.
fn targets(
    client: &mut Client<'_>,
    global: &Global,
    options: &Options,
    waived: &[String],
    old: &str,
) -> Result<Vec<Target>, Failure> {
    let named = !global.key.is_empty();
    let mut targets: Vec<Target> = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let is_waived =
        |key: &Key| waived.iter().any(|name| *name == key.id || key.name.as_deref() == Some(name));
    for name in &global.key {
        let key = client.info(Some(name.clone())).map_err(wanted)?;
        if seen.contains(&key.id) {
            let text = format!("key {} is named twice", key.id);
            return Err(failure(ErrorCode::InvalidInput, text, "name each key once"));
        }
        seen.push(key.id.clone());
        if is_waived(&key) {
            let text = format!("key {} is named, and waived", key.id);
            return Err(failure(ErrorCode::InvalidInput, text, "one of the two is meant"));
        }
        match target(client, options, &key, old)? {
            Some(target) => targets.push(target),
            None => {
                let text = format!("key {} does not hold {old}; nothing was done", key.id);
                let hint = "name the keys that hold it; `keyfob aws identities` shows what is on a key";
                return Err(failure(ErrorCode::NotFound, text, hint));
            }
        }
    }
    for key in client.keys()? {
        if seen.contains(&key.id) || is_waived(&key) {
            continue;
        }
        if key.locked && named {
            client.note(&format!("Key {} is locked, and was not looked at.", key.id));
            continue;
        }
        let Some(target) = target(client, options, &key, old)? else { continue };
        if named {
            return Err(failure(
                ErrorCode::Ambiguous,
                format!("key {} holds {old} too, and is not named; nothing was done", key.id),
                format!("name it as well: --key {0}; or leave it out: --waive {0}", key.id),
            ));
        }
        targets.push(target);
    }
    if targets.is_empty() {
        let text = format!("no key that is plugged in holds {old}");
        return Err(failure(ErrorCode::NoKey, text, "plug in the keys that hold it"));
    }
    match options.copies.map(usize::from) {
        Some(copies) if copies != targets.len() => Err(Failure {
            candidates: targets.iter().map(|target| target.key.clone()).collect(),
            ..failure(
                if targets.len() < copies { ErrorCode::NoKey } else { ErrorCode::Ambiguous },
                format!(
                    "{} of the keys that are plugged in hold {old}, and {copies} are said to; nothing was done",
                    targets.len()
                ),
                "plug in all of them at once, or name them (--key A --key B --wait) to be asked for one after the other: the new \
                 secret is told once, and put on no key later; --waive leaves one out",
            )
        }),
        _ => Ok(targets),
    }
}

/// A key that is named is not there: it cannot get the new secret later.
fn wanted(error: Failure) -> Failure {
    if !is_absent(&error) || error.code == ErrorCode::NoPcsc {
        return error;
    }
    let hint = "plug in all keys that hold it at once, or say --wait to be asked for one after the other: the new secret is told \
                once, and put on no key later; if one is lost, do not name it by --key, but say --waive SERIAL";
    Failure { message: format!("{}; nothing was done", error.message), hint: Some(hint.to_owned()), ..error }
}

/// How a key holds an access key, if it does; whether it has room for another.
fn target(
    client: &mut Client<'_>,
    options: &Options,
    key: &Key,
    old: &str,
) -> Result<Option<Target>, Failure> {
    let there = identities(client, &key.id)?;
    let same: Vec<&Identity> = there.iter().filter(|identity| identity.access_key_id == old).collect();
    let Some(proves) = same.iter().find(|identity| identity.signature == SignatureVersion::SigV4) else {
        if same.is_empty() {
            return Ok(None);
        }
        return Err(failure(
            ErrorCode::Unsupported,
            format!(
                "key {} holds {old} for Signature Version 2 alone, and cannot prove a new one; nothing was done",
                key.id
            ),
            format!("leave it out (--waive {}), and put the next one there by hand", key.id),
        ));
    };
    if let Some(slots) = key.slots {
        let op = Op::Listing { codes: false, at: None };
        let accounts = match client.ask_key(Some(key.id.clone()), op)? {
            Answer::Listing { accounts } => accounts.len(),
            other => return unexpected(other),
        };
        if accounts + there.len() + same.len() > usize::from(slots) {
            return Err(failure(
                ErrorCode::NoSpace,
                format!(
                    "key {} has no room for another access key beside {old}: {slots} accounts and identities; nothing was done",
                    key.id
                ),
                "delete what is used no more",
            ));
        }
    }
    Ok(Some(Target {
        key: key.id.clone(),
        signatures: same.iter().map(|identity| identity.signature).collect(),
        // What the key does not tell is taken for what is safer.
        touch: !options.no_touch && proves.touch.unwrap_or(true),
    }))
}

/// AWS, the keys, the journal and the profiles.
struct Real<'a, 'b> {
    global: &'a Global,
    options: &'a Options,
    caller: Caller<'b>,
    journals: Journals,
    /// Whether a person was told which profiles they have to change themselves.
    told_profiles: Cell<bool>,
    /// The user's name, once AWS has said it.
    user: Option<String>,
}

impl Real<'_, '_> {
    /// The user's name, which IAM's reference wants where temporary credentials sign. It costs no touch then.
    fn user(&mut self) -> Result<Option<String>, Failure> {
        if !self.caller.by_session() {
            return Ok(None);
        }
        if self.user.is_none() {
            self.user = Some(self.caller.user()?.name);
        }
        Ok(self.user.clone())
    }

    /// Rewrites the profiles that name an access key, with consent.
    fn rewrite(&self, from: &str, to: &str) -> Result<(), Failure> {
        let lock = front::paths()?.data.join("aws-files.lock");
        let files = AwsFiles::open(front::env).map_err(unread)?;
        let Some(file) = files.config() else { return Ok(()) };
        let sections: Vec<String> = file
            .sections()
            .filter_map(|(section, mut entries)| {
                entries
                    .any(|(name, value)| name == SETTING && value.trim() == from)
                    .then(|| section.to_owned())
            })
            .collect();
        if sections.is_empty() {
            return Ok(());
        }
        let path = file.path().display();
        let names = sections.iter().map(|section| format!("[{section}]")).collect::<Vec<_>>().join(", ");
        let question = format!("{names} in {path} name {from}. Write {SETTING} = {to} there?");
        if let Err(error) = consent(self.options.force, &question) {
            if !self.told_profiles.replace(true) {
                self.say(&format!(
                    "{names} in {path} name {from}, and are left as they are: write {SETTING} = {to} there."
                ));
            }
            return if error.code == ErrorCode::Io { Err(error) } else { Ok(()) };
        }
        let mut bytes = file.bytes().to_vec();
        for section in &sections {
            let parsed = AwsFile::parse(file.path(), bytes.into()).map_err(unread)?;
            bytes = parsed.with(section, &[(SETTING, to)]).map_err(unread)?.to_vec();
        }
        file.replace(&bytes, &lock).map_err(unread)?;
        self.say(&format!("{names} in {path} name {to} now."));
        Ok(())
    }
}

/// The ids of the keys that are waived: they are named as `--key` names them, and need not be plugged in.
fn waived(options: &Options) -> Result<Vec<String>, Failure> {
    let config = front::config(&front::paths()?)?;
    Ok(options.waive.iter().filter_map(|name| config.choice(Some(name))).collect())
}

impl World for Real<'_, '_> {
    fn list(&mut self) -> Result<Vec<AccessKey>, Refused> {
        let user = self.user()?;
        self.caller.iam(|iam, ask| iam.list_access_keys(ask, user.as_deref()))
    }

    fn create(&mut self) -> Result<NewAccessKey, Refused> {
        let user = self.user()?;
        self.caller.iam(|iam, ask| iam.create_access_key(ask, user.as_deref()))
    }

    fn set(&mut self, access_key_id: &str, status: Status) -> Result<(), Refused> {
        let user = self.user()?;
        self.caller.iam(|iam, ask| iam.update_access_key(ask, user.as_deref(), access_key_id, status))
    }

    fn delete(&mut self, access_key_id: &str) -> Result<(), Refused> {
        let user = self.user()?;
        self.caller.iam(|iam, ask| iam.delete_access_key(ask, user.as_deref(), access_key_id))
    }

    fn is_used(&mut self, access_key_id: &str) -> Result<bool, Refused> {
        let used = self.caller.iam(|iam, ask| iam.access_key_last_used(ask, access_key_id))?;
        Ok(used.at.is_some())
    }

    fn put(
        &mut self,
        target: &Target,
        signature: SignatureVersion,
        access_key_id: &str,
        secret: &Password,
    ) -> Result<(), Failure> {
        let op = Op::AddIdentity {
            access_key_id: access_key_id.to_owned(),
            signature,
            secret_access_key: secret.clone(),
            touch: target.touch,
            overwrite: false,
        };
        match self.caller.client.ask_key(Some(target.key.clone()), op)? {
            Answer::Written { .. } => Ok(()),
            other => unexpected(other),
        }
    }

    fn signatures(&mut self, key: &str, access_key_id: &str) -> Result<Vec<SignatureVersion>, Failure> {
        let there = identities(&mut self.caller.client, key)?;
        let same = there.into_iter().filter(|identity| identity.access_key_id == access_key_id);
        Ok(same.map(|identity| identity.signature).collect())
    }

    fn is_there(&mut self, key: &str) -> bool {
        // Software keys are in no list, and never lost.
        let is_it = |keys: Vec<Key>| keys.iter().any(|there| there.id == key);
        key.starts_with("soft:") || self.caller.client.keys().is_ok_and(is_it)
    }

    fn remove(&mut self, key: &str, access_key_id: &str) -> Result<(), Failure> {
        let op = Op::DeleteIdentity { access_key_id: access_key_id.to_owned() };
        match self.caller.client.ask_key(Some(key.to_owned()), op)? {
            Answer::Deleted { .. } => {
                self.say(&format!("Deleted {access_key_id} from key {key}."));
                Ok(())
            }
            other => unexpected(other),
        }
    }

    fn prove(&mut self, key: &str, access_key_id: &str) -> Result<(), Failure> {
        self.caller.prove(key, access_key_id, UNKNOWN)
    }

    fn sign_by(&mut self, access_key_id: &str, targets: &[Target]) {
        // One that is there: a key that was waived may be named first.
        let there = targets.iter().find(|target| {
            let identities = identities(&mut self.caller.client, &target.key).unwrap_or_default();
            identities.iter().any(|identity| identity.access_key_id == access_key_id)
        });
        if let Some(target) = there {
            self.caller.sign_by(access_key_id, &target.key);
        }
    }

    fn point(&mut self, from: &str, to: &str) {
        if let Err(error) = self.rewrite(from, to) {
            self.say(&format!(
                "{}: where a profile names {from}, write {SETTING} = {to} yourself.",
                error.message
            ));
        }
    }

    fn write(&mut self, record: &Record) -> Result<(), Failure> {
        self.journals.write(record)
    }

    fn forget(&mut self, record: &Record) -> Result<(), Failure> {
        self.journals.forget(record)
    }

    fn consent(&mut self, question: &str) -> Result<(), Failure> {
        consent(self.options.force, question)
    }

    fn begin_anew(&mut self) {
        self.caller.begin_anew();
    }

    fn say(&self, text: &str) {
        output::note(self.global.quiet, text);
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> u64 {
        service::unix_time()
    }
}

/// How far it has come, for people.
fn told(stage: Stage) -> &'static str {
    match stage {
        Stage::Creating => "AWS may have made a new one",
        Stage::Writing => "the new one is being put on the keys",
        Stage::Back => "it is going back",
        Stage::Proved => "both access keys work",
        Stage::Deactivating => "the new one works, and the old one may be inactive",
        Stage::Resting => "the new one works, and the old one is inactive",
        Stage::Deleting => "the new one works, and the old one may be deleted",
        Stage::Cleaning => "the old one is deleted at AWS, and may be on a key still",
    }
}

/// Prints what has come of it.
fn done(global: &Global, record: &Record, outcome: &Outcome) -> Result<Exit, Failure> {
    let old = &record.old;
    let new = record.new.as_deref().unwrap_or_default();
    let mut left: &[String] = &[];
    let (state, id, text) = match outcome {
        Outcome::Resting { due } => (
            "resting",
            new,
            format!(
                "{old} can be made to work again until it is deleted: `keyfob aws rotate --undo`. Run `keyfob aws rotate` after {} \
                 to delete it.",
                time::rfc3339(*due)
            ),
        ),
        Outcome::Both => (
            "both",
            old.as_str(),
            format!(
                "{old} is active again, and {new} too. `keyfob aws rotate` goes on, `keyfob aws rotate --undo` removes {new}."
            ),
        ),
        Outcome::Left { keys } => {
            left = keys;
            let keys = keys.join(" and ");
            (
                "left",
                new,
                format!(
                    "{old} is deleted at AWS; key {keys} may have its secret still, which is worth nothing: plug it in, and run \
                     `keyfob aws rotate` again, or leave it there: --waive"
                ),
            )
        }
        Outcome::Done => ("done", new, format!("{old} is deleted, at AWS and from the keys.")),
        Outcome::Undone => ("undone", old.as_str(), format!("It is undone: {old} is all there is.")),
    };
    if global.json {
        output::json(&json!({
            "access_key_id": id,
            "old": old,
            "new": record.new,
            "state": state,
            "keys": record.targets.iter().map(|target| &target.key).collect::<Vec<_>>(),
            "waived": record.waived,
            "left": left,
            "due": match outcome {
                Outcome::Resting { due } => Some(time::rfc3339(*due)),
                _ => None,
            },
        }))?;
        return Ok(Exit::Ok);
    }
    output::line(id)?;
    output::note(global.quiet, &text);
    Ok(Exit::Ok)
}

/// Prints the rotations that are not over.
fn status(global: &Global, all: &[Record]) -> Result<Exit, Failure> {
    if global.json {
        let one = |record: &Record| {
            json!({
                "old": record.old,
                "new": record.new,
                "stage": record.stage,
                "keys": record.targets.iter().map(|target| &target.key).collect::<Vec<_>>(),
                "waived": record.waived,
                "due": record.due().map(time::rfc3339),
            })
        };
        output::json(&json!({ "rotations": all.iter().map(one).collect::<Vec<_>>() }))?;
        return Ok(Exit::Ok);
    }
    if all.is_empty() {
        output::note(global.quiet, "No rotation is under way.");
    }
    let row = |record: &Record| {
        vec![
            record.old.clone(),
            record.new.clone().unwrap_or_default(),
            told(record.stage).to_owned(),
            record.due().map(|due| format!("due {}", time::rfc3339(due))).unwrap_or_default(),
        ]
    };
    output::rows(&all.iter().map(row).collect::<Vec<_>>())?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graces_are_not_for_ever() {
        assert_eq!(grace("0"), Ok(Duration::ZERO));
        assert_eq!(grace("90d"), Ok(LONGEST));
        assert!(grace("91d").is_err() && grace("soon").is_err());
    }

    #[test]
    fn the_rotation_that_is_meant_is_found() {
        let record = |old: &str, new: &str| Record {
            new: Some(new.to_owned()),
            ..Record::new(old, Vec::new(), Vec::new(), 0)
        };
        let (one, other) = (record("AKIAONE", "AKIATWO"), record("AKIATHREE", "AKIAFOUR"));
        let both = [one.clone(), other.clone()];
        assert_eq!(begun(&both, Some("AKIATWO")), Ok(Some(&one)));
        assert_eq!(begun(&both, Some("AKIATHREE")), Ok(Some(&other)));
        assert_eq!(begun(&both, Some("AKIAFIVE")), Ok(None));
        assert_eq!(begun(&both, None).unwrap_err().code, ErrorCode::Ambiguous);
        assert_eq!(begun(&both[..1], None), Ok(Some(&one)));
        assert_eq!(begun(&[], None), Ok(None));
    }
}
