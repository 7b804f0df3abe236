//! How an access key takes the place of another: step by step, each written down before and after it.
//!
//! ```text
//!   LIST ─► Creating ─► Writing ───► Proved ─► Deactivating ─► Resting ─ grace ─► Deleting ─► Cleaning ─► over
//!                │          │         │   ▲                       │
//!                ▼          ▼         ▼   └──────── undo ─────────┘
//!              over ◄───── Back ◄─ undo
//! ```
//!
//! At every instant one access key at least is active at AWS and its secret is on a key: the old one is made inactive only when every
//! key has signed with the new one and AWS has taken that; the new one is deleted only while the old one is active. The new secret is
//! nowhere but in this process and on the keys: what is broken off before all keys have it goes back.

use std::time::Duration;

use keyfob_core::message::{ErrorCode, Failure, Password, SignatureVersion};

use crate::aws_call::{Refused, UNKNOWN_KEY};
use crate::error::{failure, is_absent};
use crate::iam::{AccessKey, NewAccessKey, Status, code};
use crate::journal::{Record, Stage, Target};

/// How often an access key is asked for whose making was lost on the way.
const ATTEMPTS: u32 = 3;
/// How long IAM may take to show what it has made, and how often it is asked.
const SHOWN: Duration = Duration::from_secs(2);
const LOOKS: u32 = 5;
/// How much earlier than asked, by AWS's clock, and how much later what was asked for may have been made, in seconds: AWS takes no
/// signature of a clock that is further off, and a touch takes its time.
const EARLIER: u64 = 5 * 60;
const LATER: u64 = 15 * 60;
/// What to do about a rotation that has stopped.
const AGAIN: &str = "run `keyfob aws rotate` again: it goes on, or back";

/// What a rotation is done with.
pub trait World {
    /// The user's access keys, as AWS lists them.
    ///
    /// # Errors
    /// [`Refused`].
    fn list(&mut self) -> Result<Vec<AccessKey>, Refused>;
    /// Has AWS make an access key.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::may_be_done`] says whether it may be made all the same.
    fn create(&mut self) -> Result<NewAccessKey, Refused>;
    /// Makes an access key work at AWS, or not.
    ///
    /// # Errors
    /// [`Refused`]; [`code::NONE`] where there is none such.
    fn set(&mut self, access_key_id: &str, status: Status) -> Result<(), Refused>;
    /// Deletes an access key at AWS.
    ///
    /// # Errors
    /// [`Refused`]; [`code::NONE`] where there is none such.
    fn delete(&mut self, access_key_id: &str) -> Result<(), Refused>;
    /// Whether an access key has been used, as far as AWS knows.
    ///
    /// # Errors
    /// [`Refused`].
    fn is_used(&mut self, access_key_id: &str) -> Result<bool, Refused>;
    /// Puts the secret of an access key on a key, for one kind of signatures.
    ///
    /// # Errors
    /// Those of the key.
    fn put(
        &mut self,
        target: &Target,
        signature: SignatureVersion,
        access_key_id: &str,
        secret: &Password,
    ) -> Result<(), Failure>;
    /// For which signatures a key has the secret of an access key: none where it has not.
    ///
    /// # Errors
    /// Those of the key; [`is_absent`] says whether it is not there.
    fn signatures(&mut self, key: &str, access_key_id: &str) -> Result<Vec<SignatureVersion>, Failure>;
    /// Whether a key is there now: one that is lost is never waited for.
    fn is_there(&mut self, key: &str) -> bool;
    /// Deletes the secret of an access key from a key that has it.
    ///
    /// # Errors
    /// Those of the key.
    fn remove(&mut self, key: &str, access_key_id: &str) -> Result<(), Failure>;
    /// Has a key sign with an access key, and AWS take it.
    ///
    /// # Errors
    /// Those of the key and of AWS.
    fn prove(&mut self, key: &str, access_key_id: &str) -> Result<(), Failure>;
    /// From now on that access key signs what AWS is asked, unless a session does; on one of these keys.
    fn sign_by(&mut self, access_key_id: &str, targets: &[Target]);
    /// Sees to it that the profiles that name an access key name another.
    fn point(&mut self, from: &str, to: &str);
    /// Writes down how far it has come; it is on the disk afterwards.
    ///
    /// # Errors
    /// Those of the file.
    fn write(&mut self, record: &Record) -> Result<(), Failure>;
    /// Forgets it.
    ///
    /// # Errors
    /// Those of the file.
    fn forget(&mut self, record: &Record) -> Result<(), Failure>;
    /// Asks a person whether that may be.
    ///
    /// # Errors
    /// That it may not.
    fn consent(&mut self, question: &str) -> Result<(), Failure>;
    /// What is done from now on has a time limit of its own.
    fn begin_anew(&mut self);
    /// Tells a person what happens.
    fn say(&self, text: &str);
    /// Waits.
    fn wait(&mut self, time: Duration);
    /// Unix time in seconds.
    fn now(&self) -> u64;
}

/// How a rotation that was begun goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// On if nothing is lost by that, else back.
    Safely,
    /// On, with the keys that have the new one; and though somebody has made the old one active again.
    On,
    /// Back.
    Back,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The old access key is inactive, and is due to be deleted then: Unix time in seconds.
    Resting {
        /// When.
        due: u64,
    },
    /// Both access keys work.
    Both,
    /// The old access key is deleted at AWS; these keys have its secret still, which is worth nothing.
    Left {
        /// Their ids.
        keys: Vec<String>,
    },
    /// It is over: the new access key is all there is.
    Done,
    /// It is undone: the old access key is all there is.
    Undone,
}

/// A rotation.
pub struct Rotation<'w, W> {
    world: &'w mut W,
    record: Record,
}

impl<'w, W: World> Rotation<'w, W> {
    /// One that is begun, or is to begin.
    pub fn new(world: &'w mut W, record: Record) -> Self {
        Self { world, record }
    }

    /// What is written of it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Begins it. Whatever fails before every key has signed with the new access key is undone.
    ///
    /// # Errors
    /// Those of AWS and of the keys, with what has become of it.
    pub fn begin(&mut self) -> Result<Outcome, Failure> {
        let there = self.world.list()?;
        self.check(&there)?;
        self.record.before = there.into_iter().map(|key| key.access_key_id).collect();
        let made = self.create()?;
        if let Err(error) = self.carry(&made) {
            return Err(self.back(Some(error)).err().unwrap_or_else(unreachable));
        }
        drop(made);
        self.go_on()
    }

    /// Goes on, or back, with one that was begun.
    ///
    /// # Errors
    /// Those of AWS and of the keys, with what is to be done.
    pub fn resume(&mut self, how: How) -> Result<Outcome, Failure> {
        let old = self.record.old.clone();
        match (self.record.stage, how) {
            (Stage::Creating, _) => {
                self.world.wait(SHOWN);
                self.clear()?;
                self.world.forget(&self.record)?;
                Ok(Outcome::Undone)
            }
            (Stage::Back, _) | (Stage::Writing | Stage::Proved, How::Back) => self.back(None),
            (Stage::Writing, _) => self.resume_writing(how),
            (Stage::Proved | Stage::Deactivating, How::Safely | How::On) => self.go_on(),
            (Stage::Deactivating | Stage::Resting | Stage::Deleting, How::Back) => self.reactivate(),
            (Stage::Resting, How::Safely | How::On) => {
                let due = self.record.due().unwrap_or_default();
                if self.world.now() < due {
                    return Ok(Outcome::Resting { due });
                }
                self.finish(how)
            }
            (Stage::Deleting, How::Safely | How::On) => self.finish(how),
            (Stage::Cleaning, How::Safely | How::On) => self.clean(),
            (Stage::Cleaning, How::Back) => Err(failure(
                ErrorCode::NotFound,
                format!("{old} is deleted at AWS, for good"),
                "what uses it must use the new one",
            )),
        }
    }

    /// Lets it be over without these keys: they are not to have the new access key, and what they have is not looked for.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] if no key is left that is to have it.
    pub fn waive(&mut self, keys: &[String]) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        let is_known = |key: &String| {
            self.record.waived.contains(key) || self.record.targets.iter().any(|it| it.key == *key)
        };
        if let Some(unknown) = keys.iter().find(|key| !is_known(key)) {
            return Err(Failure {
                candidates: self.record.targets.iter().map(|target| target.key.clone()).collect(),
                ..failure(
                    ErrorCode::NotFound,
                    format!("{unknown} is none of the keys of this rotation"),
                    "name one as `keyfob aws rotate --status --json` does",
                )
            });
        }
        let (waived, targets): (Vec<Target>, Vec<Target>) =
            self.record.targets.iter().cloned().partition(|target| keys.contains(&target.key));
        if targets.is_empty() && !matches!(self.record.stage, Stage::Back | Stage::Cleaning) {
            return Err(failure(
                ErrorCode::InvalidInput,
                "with that no key is left that has the new access key",
                "waive only the keys that are lost, or that are not to have it",
            ));
        }
        self.record.targets = targets;
        self.record.waived.extend(waived.into_iter().map(|target| target.key));
        self.world.write(&self.record)
    }

    /// Whether AWS will make another access key for the user.
    fn check(&mut self, there: &[AccessKey]) -> Result<(), Failure> {
        let old = self.record.old.clone();
        match there.iter().find(|key| key.access_key_id == old) {
            Some(key) if key.status == Status::Active => {}
            Some(_) => {
                let text = format!("{old} is inactive at AWS; nothing was done");
                let hint = format!(
                    "make it active first: `aws iam update-access-key --access-key-id {old} --status Active`"
                );
                return Err(failure(ErrorCode::InvalidInput, text, hint));
            }
            None => {
                let text = format!("{old} is none of the user's access keys; nothing was done");
                return Err(failure(ErrorCode::NotFound, text, "`keyfob aws whoami` says whose it is"));
            }
        }
        let Some(other) = there.iter().find(|key| key.access_key_id != old) else { return Ok(()) };
        let id = &other.access_key_id;
        let used = match self.world.is_used(id) {
            Ok(true) => ", which has been used",
            Ok(false) => ", which has never been used as far as AWS knows",
            Err(_) => "",
        };
        let status = match other.status {
            Status::Active => "active",
            Status::Inactive => "inactive",
        };
        Err(Failure {
            candidates: there.iter().map(|key| key.access_key_id.clone()).collect(),
            ..failure(
                ErrorCode::Exists,
                format!(
                    "AWS allows two access keys a user, and there is a second one, {id} ({status}){used}; nothing was done"
                ),
                format!("if nobody needs it, delete it: `aws iam delete-access-key --access-key-id {id}`"),
            )
        })
    }

    /// Has AWS make the new access key. What was lost on the way is found, deleted, and made again.
    fn create(&mut self) -> Result<NewAccessKey, Failure> {
        self.record.stage = Stage::Creating;
        let mut lost = None::<Refused>;
        for _ in 0..ATTEMPTS {
            self.record.asked = self.world.now();
            self.world.write(&self.record)?;
            let refused = match self.world.create() {
                Ok(made) => return Ok(made),
                Err(refused) => refused,
            };
            if refused.may_be_done() || lost.is_some() && refused.code == code::LIMIT {
                self.world.wait(SHOWN);
                self.clear()?;
                lost = Some(refused);
                continue;
            }
            if lost.is_some() {
                self.clear()?;
            }
            self.world.forget(&self.record)?;
            return Err(refused.into());
        }
        let error = lost.map(|refused| refused.failure).unwrap_or_else(unreachable);
        let message = format!("{}; whether AWS has made an access key is not known", error.message);
        Err(Failure { message, hint: Some(AGAIN.to_owned()), ..error })
    }

    /// Deletes an access key that AWS has made, and whose secret was lost on the way, with consent: somebody else may have had it made
    /// at the same time.
    fn clear(&mut self) -> Result<(), Failure> {
        let there = self.world.list()?;
        let before = &self.record.before;
        let Some(orphan) = there.into_iter().find(|key| !before.contains(&key.access_key_id)) else {
            return Ok(());
        };
        let id = &orphan.access_key_id;
        let from = self.record.asked.saturating_sub(EARLIER);
        let in_time = orphan.created.is_some_and(|at| (from..=self.record.asked + LATER).contains(&at));
        if !in_time || self.world.is_used(id)? {
            let message = format!(
                "the user has another access key since, {id}, and it is not known to be from the rotation that was broken off"
            );
            let hint =
                format!("if nobody needs it, delete it: `aws iam delete-access-key --access-key-id {id}`");
            // It takes the place that one of ours would have.
            self.world.forget(&self.record)?;
            return Err(failure(ErrorCode::Exists, message, hint));
        }
        self.world.consent(&format!(
            "AWS has an access key {id}, which may be left from a rotation that was broken off, and has never been used as far as \
             AWS knows. Delete it, if nobody else has had it made just now?"
        ))?;
        self.delete(id)?;
        self.world.say(&format!("Deleted {id} at AWS, whose secret was lost on the way."));
        Ok(())
    }

    /// Puts the new access key on one key after the other, and has each sign with it.
    fn carry(&mut self, made: &NewAccessKey) -> Result<(), Failure> {
        let id = &made.access_key_id;
        // Before it is written down: what was there is never deleted.
        if self.record.before.contains(id) {
            let text = format!("AWS says that {id} is new, and it was there before");
            return Err(failure(ErrorCode::AwsRefused, text, "see that the endpoint is the right one"));
        }
        self.record.new = Some(id.clone());
        self.record.stage = Stage::Writing;
        self.world.write(&self.record)?;
        // The last one that was looked at is there; where there is room for one at a time, a person changes them as seldom as can be.
        for target in self.record.targets.clone().iter().rev() {
            for &signature in &target.signatures {
                self.world.put(target, signature, id, &made.secret_access_key)?;
            }
            self.world.say(&format!("Key {} has {id}.", target.key));
            self.prove(&target.key, id)?;
        }
        self.proved()
    }

    /// Has a key sign with the new access key.
    fn prove(&mut self, key: &str, new: &str) -> Result<(), Failure> {
        self.world.prove(key, new)?;
        self.world.say(&format!("Key {key} signs with {new}."));
        Ok(())
    }

    /// Every key has signed with it.
    fn proved(&mut self) -> Result<(), Failure> {
        self.record.stage = Stage::Proved;
        self.world.write(&self.record)
    }

    /// The secret is lost by now, but for the keys that have it.
    fn resume_writing(&mut self, how: How) -> Result<Outcome, Failure> {
        let Some(new) = self.record.new.clone() else { return self.back(None) };
        if !self.world.list()?.iter().any(|key| key.access_key_id == new) {
            return self.back(None);
        }
        let mut lacking = Vec::new();
        for target in self.record.targets.clone() {
            match self.world.signatures(&target.key, &new) {
                // Killed between the two, a key has it for one kind of signatures.
                Ok(has) if target.signatures.iter().all(|signature| has.contains(signature)) => {}
                Ok(_) => lacking.push(target.key),
                Err(error) if is_absent(&error) && how == How::On => lacking.push(target.key),
                Err(error) if is_absent(&error) => {
                    let message = format!(
                        "whether key {} has {new} is not known: {}; both access keys work",
                        target.key, error.message
                    );
                    let hint = format!(
                        "plug it in, and run `keyfob aws rotate` again; or go on without it: --waive {}; or go back: --undo",
                        target.key
                    );
                    return Err(Failure { message, hint: Some(hint), ..error });
                }
                Err(error) => return Err(error),
            }
        }
        if !lacking.is_empty() && (how != How::On || lacking.len() == self.record.targets.len()) {
            self.world.say(&format!("{new} is not on every key, and its secret is lost: going back."));
            return self.back(None);
        }
        if !lacking.is_empty() {
            self.world.say(&format!("Going on without {}.", lacking.join(" and ")));
            self.waive(&lacking)?;
        }
        let targets = self.record.targets.clone();
        let proven = targets.iter().try_for_each(|target| self.prove(&target.key, &new));
        match proven.and_then(|()| self.proved()) {
            Ok(()) => self.go_on(),
            // It is not the right secret.
            Err(error) if error.code == ErrorCode::AwsRefused => self.back(Some(error)),
            Err(error) => {
                let message = format!("{}; both access keys work", error.message);
                Err(Failure { message, hint: error.hint.or(Some(AGAIN.to_owned())), ..error })
            }
        }
    }

    /// Makes the old access key inactive; what works is the new one, on every key.
    fn go_on(&mut self) -> Result<Outcome, Failure> {
        let Some(new) = self.record.new.clone() else { return Err(unreachable()) };
        let old = self.record.old.clone();
        self.is_on_a_key(&new)?;
        self.world.sign_by(&new, &self.record.targets);
        self.world.point(&old, &new);
        let both = |error: Failure| {
            let message = format!("{}; {old} and {new} both work", error.message);
            let again = "run `keyfob aws rotate` again to go on, or `keyfob aws rotate --undo` to go back";
            let hint = error.hint.map_or(again.to_owned(), |hint| format!("{hint}; {again}"));
            Failure { message, hint: Some(hint), ..error }
        };
        let there = self.list_with(&new).map_err(|refused| both(refused.into()))?;
        self.is_active(&there, &new)?;
        if there.iter().any(|key| key.access_key_id == old) {
            self.record.stage = Stage::Deactivating;
            self.world.write(&self.record).map_err(both)?;
            match self.world.set(&old, Status::Inactive) {
                Ok(()) => {}
                Err(refused) if refused.code == code::NONE => {}
                Err(refused) if refused.may_be_done() => {
                    let message =
                        format!("{}; whether {old} is inactive is not known", refused.failure.message);
                    return Err(Failure { message, hint: Some(AGAIN.to_owned()), ..refused.failure });
                }
                Err(refused) => {
                    self.record.stage = Stage::Proved;
                    self.world.write(&self.record).map_err(both)?;
                    return Err(both(refused.into()));
                }
            }
        }
        self.record.stage = Stage::Resting;
        let now = self.world.now();
        self.record.since = Some(now);
        self.world.write(&self.record)?;
        self.world.say(&format!("{new} is on every key; {old} is inactive."));
        match self.record.due() {
            Some(due) if due > now => Ok(Outcome::Resting { due }),
            _ => self.finish(How::Safely),
        }
    }

    /// The user's access keys, once IAM knows a new one: what it is signed by, and what is in the list.
    fn list_with(&mut self, new: &str) -> Result<Vec<AccessKey>, Refused> {
        let mut looks = 1;
        loop {
            let is_known = |there: &[AccessKey]| there.iter().any(|key| key.access_key_id == new);
            match self.world.list() {
                Ok(there) if looks < LOOKS && !is_known(&there) => {}
                Err(refused) if looks < LOOKS && refused.code == UNKNOWN_KEY => {}
                result => return result,
            }
            looks += 1;
            self.world.wait(SHOWN);
        }
    }

    /// Whoever has deleted the secret from every key by hand is left with what AWS has.
    fn is_on_a_key(&mut self, id: &str) -> Result<(), Failure> {
        let mut keys: Vec<String> = self.record.targets.iter().map(|target| target.key.clone()).collect();
        let waived = self.record.waived.clone();
        keys.extend(waived.into_iter().filter(|key| self.world.is_there(key)));
        let mut absent = None;
        for key in &keys {
            match self.world.signatures(key, id) {
                Ok(has) if has.contains(&SignatureVersion::SigV4) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_absent(&error) => absent = Some(error),
                Err(error) => return Err(error),
            }
        }
        let keys = keys.join(" and ");
        Err(match absent {
            Some(error) => Failure {
                message: format!("no key that is plugged in has {id}; nothing was changed"),
                hint: Some(format!("plug in a key that has it ({keys}), and run it again")),
                ..error
            },
            None => failure(
                ErrorCode::NotFound,
                format!("{id} is on no key any more ({keys}): what else works is kept; nothing was changed"),
                "`keyfob aws rotate --continue` or --undo goes the other way; a key that is not among these may have it",
            ),
        })
    }

    /// What an access key is replaced by must work.
    fn is_active(&self, there: &[AccessKey], new: &str) -> Result<(), Failure> {
        if there.iter().any(|key| key.access_key_id == new && key.status == Status::Active) {
            return Ok(());
        }
        let old = &self.record.old;
        Err(failure(
            ErrorCode::AwsRefused,
            format!("{new} is not active at AWS: somebody else has changed that; {old} was left as it is"),
            "make it active (`aws iam update-access-key`) and run `keyfob aws rotate` again; or go back: `keyfob aws rotate --undo`",
        ))
    }

    /// Makes the old access key work again, beside the new one.
    fn reactivate(&mut self) -> Result<Outcome, Failure> {
        let old = self.record.old.clone();
        match self.world.set(&old, Status::Active) {
            Ok(()) => {}
            Err(refused) if refused.code == code::NONE => {
                let message = format!("{old} is deleted at AWS, for good");
                let hint = "what uses it must use the new one; `keyfob aws rotate` ends what is left to do";
                return Err(failure(ErrorCode::NotFound, message, hint));
            }
            Err(refused) => return Err(refused.into()),
        }
        self.record.stage = Stage::Proved;
        self.record.since = None;
        self.world.write(&self.record)?;
        Ok(Outcome::Both)
    }

    /// Deletes the old access key, at AWS and then from the keys.
    fn finish(&mut self, how: How) -> Result<Outcome, Failure> {
        let Some(new) = self.record.new.clone() else { return Err(unreachable()) };
        let old = self.record.old.clone();
        self.is_on_a_key(&new)?;
        let there = self.world.list()?;
        self.is_active(&there, &new)?;
        match there.iter().find(|key| key.access_key_id == old) {
            Some(key) if key.status == Status::Active && how == How::On => {
                self.record.stage = Stage::Proved;
                self.record.since = None;
                self.world.write(&self.record)?;
                return self.go_on();
            }
            Some(key) if key.status == Status::Active => {
                return Err(failure(
                    ErrorCode::Cancelled,
                    format!("somebody has made {old} active again: it is not deleted"),
                    "`keyfob aws rotate --continue` makes it inactive again, and begins the grace anew; --undo lets both be",
                ));
            }
            Some(_) => {
                self.record.stage = Stage::Deleting;
                self.world.write(&self.record)?;
                self.delete(&old)?;
            }
            None => {}
        }
        self.record.stage = Stage::Cleaning;
        self.world.write(&self.record)?;
        self.world.say(&format!("Deleted {old} at AWS."));
        self.clean()
    }

    /// Deletes the old secret, which is worth nothing any more, from every key.
    fn clean(&mut self) -> Result<Outcome, Failure> {
        let old = self.record.old.clone();
        // Whoever waived them does not wait for them.
        for key in self.record.waived.clone() {
            if self.world.is_there(&key) {
                let _ = self.remove(&key, &old);
            }
        }
        let mut left = Vec::new();
        for target in self.record.targets.clone() {
            match self.remove(&target.key, &old) {
                Ok(()) => {}
                Err(error) if is_absent(&error) => left.push(target),
                Err(error) => return Err(error),
            }
        }
        if left.is_empty() {
            self.world.forget(&self.record)?;
            return Ok(Outcome::Done);
        }
        let keys = left.iter().map(|target| target.key.clone()).collect();
        self.record.targets = left;
        self.world.write(&self.record)?;
        Ok(Outcome::Left { keys })
    }

    /// Deletes the new access key, at AWS and from the keys, if the old one works.
    ///
    /// # Errors
    /// `reason`, if there is one, with what has become of it.
    fn back(&mut self, reason: Option<Failure>) -> Result<Outcome, Failure> {
        let undone = self.go_back();
        match (undone, reason) {
            (Ok(()), None) => Ok(Outcome::Undone),
            (Ok(()), Some(error)) => {
                let old = &self.record.old;
                let message = format!(
                    "{}; nothing of the new access key is left, at AWS or on a key: {old} goes on",
                    error.message
                );
                Err(Failure { message, ..error })
            }
            (Err(left), None) => Err(left),
            (Err(left), Some(error)) => {
                let message = format!("{}; going back, too, has failed: {}", error.message, left.message);
                let hint = left.hint.or(error.hint);
                Err(Failure { message, hint, ..error })
            }
        }
    }

    fn go_back(&mut self) -> Result<(), Failure> {
        let Some(new) = self.record.new.clone() else { return self.world.forget(&self.record) };
        let old = self.record.old.clone();
        self.world.begin_anew();
        // Until then nobody had a reason to delete the old one.
        if self.record.stage == Stage::Proved {
            self.is_on_a_key(&old)?;
        }
        self.world.sign_by(&old, &self.record.targets);
        let again = |error: Failure| {
            let message = format!("{}; {new} is left, and {old} works", error.message);
            let hint = error.hint.map_or(AGAIN.to_owned(), |hint| format!("{hint}; {AGAIN}"));
            Failure { message, hint: Some(hint), ..error }
        };
        let there = self.world.list().map_err(|refused| again(refused.into()))?;
        match there.iter().find(|key| key.access_key_id == old) {
            Some(key) if key.status == Status::Active => {}
            Some(_) => self.world.set(&old, Status::Active)?,
            None => {
                return Err(failure(
                    ErrorCode::NotFound,
                    format!("{old} is deleted at AWS: there is no way back, and {new} is kept"),
                    "go on with the keys that have it: `keyfob aws rotate --continue`",
                ));
            }
        }
        let before = std::mem::replace(&mut self.record.stage, Stage::Back);
        match self.world.write(&self.record) {
            // What is written leads back all the same.
            Err(error) if before == Stage::Writing => self.world.say(&error.message),
            written => written.map_err(again)?,
        }
        self.world.point(&new, &old);
        // Also where it is not in the list: that may be older.
        self.delete(&new).map_err(again)?;
        let mut first = None;
        for target in self.record.targets.clone() {
            if let Err(error) = self.remove(&target.key, &new) {
                let message =
                    format!("key {} may have {new}, which is worth nothing: {}", target.key, error.message);
                let hint = format!(
                    "plug it in, and run `keyfob aws rotate` again; or leave it there: --waive {}",
                    target.key
                );
                first.get_or_insert(Failure { message, hint: Some(hint), ..error });
            }
        }
        match first {
            Some(error) => Err(error),
            None => self.world.forget(&self.record),
        }
    }

    /// Deletes an access key at AWS, if it is there.
    fn delete(&mut self, id: &str) -> Result<(), Failure> {
        match self.world.delete(id) {
            Err(refused) if refused.code != code::NONE => Err(refused.into()),
            _ => Ok(()),
        }
    }

    /// Deletes a secret from a key, if it is there.
    fn remove(&mut self, key: &str, id: &str) -> Result<(), Failure> {
        if self.world.signatures(key, id)?.is_empty() {
            return Ok(());
        }
        self.world.remove(key, id)
    }
}

fn unreachable() -> Failure {
    failure(ErrorCode::Internal, "a rotation is in a state that it cannot be in", "please report this")
}

#[cfg(test)]
mod tests;
