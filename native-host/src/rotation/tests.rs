//! Every step of a rotation fails, is lost, or is the last one before a kill; then it is run again. At every instant an access key
//! works, and in the end one is all there is.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use keyfob_core::message::SignatureVersion;

const OLD: &str = "AKIAOLD";
const GRACE: u64 = 3600;

/// What goes wrong with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    KilledBefore,
    KilledAfter,
    /// Nothing is done, and nothing is said.
    Silent,
    /// It is done, and nothing is said.
    Lost,
    /// Nothing is done, and that is said.
    Refused,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::KilledBefore, Trouble::KilledAfter, Trouble::Silent, Trouble::Lost, Trouble::Refused];

/// An access key at AWS.
#[derive(Debug, Clone)]
struct Known {
    secret: String,
    active: bool,
    created: u64,
    used: bool,
}

/// AWS, two keys, a journal and a profile.
struct Fake {
    aws: BTreeMap<String, Known>,
    keys: BTreeMap<String, BTreeMap<String, String>>,
    absent: BTreeSet<String>,
    journal: Option<Record>,
    profile: String,
    /// The profile could not be written, and a person was told to do it.
    by_hand: bool,
    signer: String,
    made: usize,
    /// What the next list does not show yet.
    unlisted: String,
    clock: u64,
    consents: bool,
    /// Steps of this run, and what goes wrong with which.
    step: usize,
    troubles: Vec<(usize, Trouble)>,
    dead: bool,
}

fn targets() -> Vec<Target> {
    let target =
        |key: &str| Target { key: key.to_owned(), signatures: vec![SignatureVersion::SigV4], touch: true };
    // The last is written first.
    vec![target("b"), target("a")]
}

const BOTH: [SignatureVersion; 2] = [SignatureVersion::SigV4, SignatureVersion::HmacV1];

/// Of an access key on a key.
fn name(signature: SignatureVersion, id: &str) -> String {
    match signature {
        SignatureVersion::SigV4 => id.to_owned(),
        _ => format!("{id}/v2"),
    }
}

fn io() -> Failure {
    failure(ErrorCode::Io, "nothing came back", "")
}

fn refused(code: &str) -> Refused {
    Refused { code: code.to_owned(), failure: failure(ErrorCode::AwsRefused, code, ""), may_be_there: true }
}

impl Fake {
    fn new() -> Self {
        let secret = "old secret".to_owned();
        let known = Known { secret: secret.clone(), active: true, created: 10, used: true };
        let on_key = BTreeMap::from([(OLD.to_owned(), secret)]);
        Self {
            aws: BTreeMap::from([(OLD.to_owned(), known)]),
            keys: BTreeMap::from([("a".to_owned(), on_key.clone()), ("b".to_owned(), on_key)]),
            absent: BTreeSet::new(),
            journal: None,
            profile: OLD.to_owned(),
            by_hand: false,
            signer: OLD.to_owned(),
            made: 0,
            unlisted: String::new(),
            clock: 1_000_000,
            consents: true,
            step: 0,
            troubles: Vec::new(),
            dead: false,
        }
    }

    /// One step; `error` is what is said when it is refused, by AWS or by somebody else.
    fn step<T, E: From<Failure>>(
        &mut self,
        error: impl FnOnce() -> E,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.dead {
            return Err(io().into());
        }
        let number = self.step;
        self.step += 1;
        let trouble = self.troubles.iter().find(|(at, _)| *at == number).map(|(_, trouble)| *trouble);
        match trouble {
            Some(Trouble::KilledBefore) => self.dead = true,
            Some(Trouble::Refused) => return Err(error()),
            Some(Trouble::Silent) => {}
            Some(Trouble::KilledAfter | Trouble::Lost) | None => {
                let done = work(self);
                self.check();
                if trouble.is_none() {
                    return done;
                }
                self.dead = trouble == Some(Trouble::KilledAfter);
            }
        }
        Err(io().into())
    }

    /// A call of AWS, which must be signed by an access key that works.
    fn call<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        self.step(
            || refused("AccessDenied"),
            |fake| {
                let signer = fake.signer.clone();
                if !fake.keys.iter().any(|(key, _)| !fake.absent.contains(key) && fake.works(key, &signer)) {
                    return Err(refused("InvalidClientTokenId"));
                }
                work(fake)
            },
        )
    }

    fn works(&self, key: &str, id: &str) -> bool {
        let Some(known) = self.aws.get(id).filter(|known| known.active) else { return false };
        self.keys.get(key).and_then(|key| key.get(id)) == Some(&known.secret)
    }

    /// At every instant an access key works.
    #[track_caller]
    fn check(&self) {
        let works = self.aws.keys().any(|id| self.keys.keys().any(|key| self.works(key, id)));
        assert!(works, "no access key works: {:?}, {:?}", self.aws, self.keys);
        assert!(self.aws.len() <= 2, "{:?}", self.aws);
    }

    fn on<T>(
        &mut self,
        key: &str,
        work: impl FnOnce(&mut BTreeMap<String, String>) -> T,
    ) -> Result<T, Failure> {
        let absent = self.absent.contains(key);
        let key = key.to_owned();
        self.step(
            || failure(ErrorCode::TouchTimeout, "nobody has touched it", ""),
            |fake| match fake.keys.get_mut(&key) {
                Some(on) if !absent => Ok(work(on)),
                _ => Err(failure(ErrorCode::NoKey, "there is no such key", "")),
            },
        )
    }

    /// Runs it: begins, or goes on with what is in the journal.
    fn run(&mut self, grace: u64, how: How, troubles: &[(usize, Trouble)]) -> Result<Outcome, Failure> {
        (self.step, self.dead) = (0, false);
        self.troubles = troubles.to_vec();
        match self.journal.clone() {
            None => {
                self.signer = OLD.to_owned();
                Rotation::new(self, Record::new(OLD, targets(), Vec::new(), grace)).begin()
            }
            Some(record) => {
                self.signer = record.signer().to_owned();
                Rotation::new(self, record).resume(how)
            }
        }
    }

    /// The access key that is all there is: at AWS, on both keys, in the profile.
    #[track_caller]
    fn only(&self) -> String {
        let [id] = self.aws.keys().cloned().collect::<Vec<_>>().try_into().unwrap();
        for (key, on) in &self.keys {
            assert!(on.len() == 1 && self.works(key, &id), "{key}: {:?}, {:?}", self.aws, self.keys);
        }
        assert!(self.profile == id || self.by_hand, "{} is named, {id} is there", self.profile);
        assert_eq!(self.journal, None);
        id
    }

    /// Runs it until it is over, with nothing that goes wrong.
    #[track_caller]
    fn end(&mut self, what: &dyn std::fmt::Debug) -> String {
        for _ in 0..6 {
            if self.journal.is_none() {
                let id = self.only();
                if id != OLD {
                    return id;
                }
            }
            if let Err(error) = self.run(0, How::Safely, &[]) {
                // The only failures without trouble are those that say why it went back.
                assert!(
                    error.message.contains("nothing of the new access key is left"),
                    "{what:?}: {error:?}"
                );
            }
        }
        panic!("{what:?}: it does not end: {:?}", self.journal);
    }
}

impl World for Fake {
    fn list(&mut self) -> Result<Vec<AccessKey>, Refused> {
        self.call(|fake| {
            let unlisted = std::mem::take(&mut fake.unlisted);
            let listed = fake.aws.iter().filter(|(id, _)| **id != unlisted).map(|(id, known)| AccessKey {
                access_key_id: id.clone(),
                status: if known.active { Status::Active } else { Status::Inactive },
                created: Some(known.created),
            });
            Ok(listed.collect())
        })
    }

    fn create(&mut self) -> Result<NewAccessKey, Refused> {
        self.call(|fake| {
            if fake.aws.len() >= 2 {
                return Err(refused(code::LIMIT));
            }
            fake.made += 1;
            let (id, secret) = (format!("AKIANEW{}", fake.made), format!("secret {}", fake.made));
            let known = Known { secret: secret.clone(), active: true, created: fake.clock, used: false };
            fake.aws.insert(id.clone(), known);
            Ok(NewAccessKey {
                access_key_id: id,
                secret_access_key: Password(secret),
                user: "alice".to_owned(),
            })
        })
    }

    fn set(&mut self, id: &str, status: Status) -> Result<(), Refused> {
        self.call(|fake| {
            let known = fake.aws.get_mut(id).ok_or_else(|| refused(code::NONE))?;
            known.active = status == Status::Active;
            Ok(())
        })
    }

    fn delete(&mut self, id: &str) -> Result<(), Refused> {
        self.call(|fake| fake.aws.remove(id).map(drop).ok_or_else(|| refused(code::NONE)))
    }

    fn is_used(&mut self, id: &str) -> Result<bool, Refused> {
        self.call(|fake| fake.aws.get(id).map(|known| known.used).ok_or_else(|| refused("AccessDenied")))
    }

    fn put(
        &mut self,
        target: &Target,
        signature: SignatureVersion,
        id: &str,
        secret: &Password,
    ) -> Result<(), Failure> {
        self.on(&target.key, |on| drop(on.insert(name(signature, id), secret.0.clone())))
    }

    fn signatures(&mut self, key: &str, id: &str) -> Result<Vec<SignatureVersion>, Failure> {
        self.on(key, |on| BOTH.into_iter().filter(|both| on.contains_key(&name(*both, id))).collect())
    }

    fn is_there(&mut self, key: &str) -> bool {
        !self.absent.contains(key)
    }

    fn remove(&mut self, key: &str, id: &str) -> Result<(), Failure> {
        self.on(key, |on| BOTH.map(|both| drop(on.remove(&name(both, id)))))?;
        Ok(())
    }

    fn prove(&mut self, key: &str, id: &str) -> Result<(), Failure> {
        if self.absent.contains(key) {
            return Err(failure(ErrorCode::NoKey, "there is no such key", ""));
        }
        self.step(
            || failure(ErrorCode::TouchTimeout, "nobody has touched it", ""),
            |fake| match fake.works(key, id) {
                true => Ok(()),
                false => Err(failure(ErrorCode::AwsRefused, "SignatureDoesNotMatch", "")),
            },
        )
    }

    fn sign_by(&mut self, id: &str, _: &[Target]) {
        self.signer = id.to_owned();
    }

    fn point(&mut self, from: &str, to: &str) {
        let written: Result<(), Failure> = self.step(io, |fake| {
            if fake.profile == from {
                fake.profile = to.to_owned();
            }
            Ok(())
        });
        self.by_hand |= written.is_err() && !self.dead;
    }

    fn write(&mut self, record: &Record) -> Result<(), Failure> {
        let record = record.clone();
        self.step(io, |fake| {
            fake.journal = Some(record);
            Ok(())
        })
    }

    fn forget(&mut self, _: &Record) -> Result<(), Failure> {
        self.step(io, |fake| {
            fake.journal = None;
            Ok(())
        })
    }

    fn consent(&mut self, _: &str) -> Result<(), Failure> {
        match self.consents {
            true => Ok(()),
            false => Err(failure(ErrorCode::Cancelled, "no", "")),
        }
    }

    fn begin_anew(&mut self) {}

    fn say(&self, _: &str) {}

    fn wait(&mut self, _: Duration) {}

    fn now(&self) -> u64 {
        self.clock
    }
}

/// How many steps a whole rotation has.
fn steps() -> usize {
    let mut fake = Fake::new();
    assert_eq!(fake.run(0, How::Safely, &[]), Ok(Outcome::Done));
    assert_ne!(fake.only(), OLD);
    fake.step
}

#[test]
fn what_goes_wrong_once_is_put_right_by_the_next_run() {
    let steps = steps();
    assert!(steps > 15, "{steps}");
    for at in 0..steps {
        for trouble in TROUBLES {
            let mut fake = Fake::new();
            let result = fake.run(0, How::Safely, &[(at, trouble)]);
            // What was not killed has an end of its own, or says that there is more to do.
            if !fake.dead && fake.journal.is_none() {
                let id = fake.only();
                assert!(result.is_err() || id != OLD, "{at} {trouble:?}: {result:?}");
            }
            fake.end(&(at, trouble));
        }
    }
}

#[test]
fn what_goes_wrong_twice_is_put_right_too() {
    // In the same run, so that going back fails; and in the next one.
    let steps = steps() + 8;
    for first in 0..steps {
        for second in 0..steps {
            for one in TROUBLES {
                for other in TROUBLES {
                    let what = ((first, one), (second, other));
                    if first < second {
                        let mut fake = Fake::new();
                        let _ = fake.run(0, How::Safely, &[(first, one), (second, other)]);
                        fake.end(&what);
                    }
                    let mut fake = Fake::new();
                    let _ = fake.run(0, How::Safely, &[(first, one)]);
                    let was_over = fake.journal.is_none() && fake.only() != OLD;
                    if !was_over {
                        let _ = fake.run(0, How::Safely, &[(second, other)]);
                        fake.end(&what);
                    }
                }
            }
        }
    }
}

#[test]
fn the_old_one_rests_and_can_be_had_again() {
    let mut fake = Fake::new();
    let due = fake.clock + GRACE;
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Resting { due }));
    assert!(!fake.aws[OLD].active && fake.keys["a"].contains_key(OLD) && fake.profile != OLD);
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Resting { due }));
    // Once: both work. Twice: as if it had never been.
    assert_eq!(fake.run(GRACE, How::Back, &[]), Ok(Outcome::Both));
    assert!(fake.aws.values().all(|known| known.active) && fake.aws.len() == 2);
    assert_eq!(fake.run(GRACE, How::Back, &[]), Ok(Outcome::Undone));
    assert_eq!(fake.only(), OLD);
    // Once, and on again: the grace begins anew.
    fake.run(GRACE, How::Safely, &[]).unwrap();
    fake.run(GRACE, How::Back, &[]).unwrap();
    fake.clock += 100;
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Resting { due: due + 100 }));
    fake.clock += GRACE;
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Done));
    assert_ne!(fake.only(), OLD);
}

#[test]
fn what_is_undone_may_go_wrong_too() {
    for undos in 1..=2 {
        for at in 0..16 {
            for trouble in TROUBLES {
                let mut fake = Fake::new();
                fake.run(GRACE, How::Safely, &[]).unwrap();
                for _ in 1..undos {
                    fake.run(GRACE, How::Back, &[]).unwrap();
                }
                let _ = fake.run(GRACE, How::Back, &[(at, trouble)]);
                for _ in 0..3 {
                    if fake.journal.is_some() {
                        let _ = fake.run(GRACE, How::Back, &[]);
                    }
                }
                assert_eq!(fake.only(), OLD, "{undos} {at} {trouble:?}");
            }
        }
    }
}

#[test]
fn what_somebody_else_does_is_seen() {
    let resting = || {
        let mut fake = Fake::new();
        fake.run(GRACE, How::Safely, &[]).unwrap();
        let new = fake.journal.clone().unwrap().new.unwrap();
        fake.clock += GRACE;
        (fake, new)
    };
    // The old one is active again: nobody deletes it unasked.
    let (mut fake, _) = resting();
    fake.aws.get_mut(OLD).unwrap().active = true;
    assert_eq!(fake.run(GRACE, How::Safely, &[]).unwrap_err().code, ErrorCode::Cancelled);
    assert!(fake.aws.contains_key(OLD));
    assert!(matches!(fake.run(GRACE, How::On, &[]), Ok(Outcome::Resting { .. })));
    // The old one is deleted already.
    let (mut fake, new) = resting();
    fake.aws.remove(OLD);
    assert_eq!(fake.run(GRACE, How::Back, &[]).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Done));
    assert_eq!(fake.only(), new);
    // The old one is deleted before it is done: there is no way back.
    let mut fake = Fake::new();
    fake.run(GRACE, How::Safely, &[]).unwrap();
    fake.run(GRACE, How::Back, &[]).unwrap();
    fake.aws.remove(OLD);
    fake.check();
    fake.signer = new;
    assert!(fake.run(GRACE, How::Back, &[]).is_err());
    fake.check();
    assert!(matches!(fake.run(0, How::Safely, &[]), Ok(Outcome::Resting { .. })));
    // An access key that comes while one of ours may have been made is left alone, unless it can be ours.
    for (created, used, deleted) in [(0, false, true), (0, true, false), (LATER + 1, false, false)] {
        let mut fake = Fake::new();
        let create = 3;
        let _ = fake.run(GRACE, How::Safely, &[(create - 1, Trouble::KilledBefore)]);
        assert_eq!(fake.journal.as_ref().unwrap().stage, Stage::Creating);
        let known = Known { secret: "x".to_owned(), active: true, created: fake.clock + created, used };
        fake.aws.insert("AKIAOTHER".to_owned(), known);
        let result = fake.run(GRACE, How::Safely, &[]);
        assert_eq!((result.is_ok(), fake.aws.len()), (deleted, if deleted { 1 } else { 2 }), "{result:?}");
        assert_eq!(fake.journal, None);
    }
    // Nor is it deleted without consent.
    let mut fake = Fake::new();
    let _ = fake.run(GRACE, How::Safely, &[(2, Trouble::KilledAfter)]);
    assert_eq!(fake.aws.len(), 2);
    fake.consents = false;
    assert_eq!(fake.run(GRACE, How::Safely, &[]).unwrap_err().code, ErrorCode::Cancelled);
    assert!(fake.aws.len() == 2 && fake.journal.is_some());
}

#[test]
fn two_access_keys_are_one_too_many() {
    for active in [true, false] {
        let mut fake = Fake::new();
        let known = Known { secret: "x".to_owned(), active, created: 10, used: true };
        fake.aws.insert("AKIAOTHER".to_owned(), known);
        let error = fake.run(GRACE, How::Safely, &[]).unwrap_err();
        assert_eq!((error.code, fake.aws.len(), &fake.journal), (ErrorCode::Exists, 2, &None));
        let says = if active { "(active)" } else { "(inactive)" };
        assert!(error.message.contains("AKIAOTHER") && error.message.contains(says), "{error:?}");
    }
    let mut fake = Fake::new();
    let record = Record::new("AKIANONE", targets(), Vec::new(), GRACE);
    let error = Rotation::new(&mut fake, record).begin().unwrap_err();
    assert_eq!((error.code, fake.made), (ErrorCode::NotFound, 0));
}

/// Killed when the first key has the new one, and the second has not.
fn half() -> Fake {
    for at in 0..steps() {
        let mut fake = Fake::new();
        let _ = fake.run(GRACE, How::Safely, &[(at, Trouble::KilledAfter)]);
        if fake.keys["a"].len() == 2 && fake.keys["b"].len() == 1 {
            return fake;
        }
    }
    panic!("no key is written before the other");
}

#[test]
fn a_person_may_go_on_with_what_is_there() {
    let mut fake = half();
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Undone));
    assert_eq!(fake.only(), OLD);
    let mut fake = half();
    assert!(matches!(fake.run(GRACE, How::On, &[]), Ok(Outcome::Resting { .. })));
    let record = fake.journal.clone().unwrap();
    assert_eq!((record.targets.len(), &record.waived), (1, &vec!["b".to_owned()]));
    fake.clock += GRACE;
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Done));
    assert!(fake.keys["a"].len() == 1 && fake.keys["b"].is_empty() && !fake.aws.contains_key(OLD));
}

#[test]
fn keys_that_are_not_there_are_waited_for_or_waived() {
    let mut fake = half();
    fake.absent.insert("b".to_owned());
    let error = fake.run(GRACE, How::Safely, &[]).unwrap_err();
    assert!(error.code == ErrorCode::NoKey && error.hint.unwrap().contains("--waive b"));
    assert_eq!(fake.aws.len(), 2);
    let record = fake.journal.clone().unwrap();
    let mut rotation = Rotation::new(&mut fake, record);
    assert_eq!(rotation.waive(&["a".to_owned(), "b".to_owned()]).unwrap_err().code, ErrorCode::InvalidInput);
    rotation.waive(&["b".to_owned()]).unwrap();
    assert!(matches!(rotation.resume(How::Safely), Ok(Outcome::Resting { .. })));

    // What is to be deleted from a key waits for it.
    let mut fake = Fake::new();
    fake.run(GRACE, How::Safely, &[]).unwrap();
    fake.clock += GRACE;
    fake.absent.insert("b".to_owned());
    let left = Ok(Outcome::Left { keys: vec!["b".to_owned()] });
    assert_eq!(fake.run(GRACE, How::Safely, &[]), left);
    assert_eq!(fake.run(GRACE, How::Safely, &[]), left);
    fake.absent.clear();
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Done));
    assert_ne!(fake.only(), OLD);
}

#[test]
fn another_secret_than_awss_goes_back() {
    // All keys have something by that name, and it is not right.
    let mut fake = half();
    let new = fake.journal.clone().unwrap().new.unwrap();
    fake.keys.get_mut("b").unwrap().insert(new, "another secret".to_owned());
    let error = fake.run(GRACE, How::Safely, &[]).unwrap_err();
    assert!(error.message.contains("nothing of the new access key is left"), "{error:?}");
    assert_eq!(fake.only(), OLD);
}

#[test]
fn what_is_on_no_key_any_more_is_not_gone_back_to() {
    // Somebody has tidied up by hand.
    let mut fake = Fake::new();
    fake.run(GRACE, How::Safely, &[]).unwrap();
    let new = fake.journal.clone().unwrap().new.unwrap();
    fake.keys.values_mut().for_each(|on| drop(on.remove(OLD)));
    assert_eq!(fake.run(GRACE, How::Back, &[]), Ok(Outcome::Both));
    let error = fake.run(GRACE, How::Back, &[]).unwrap_err();
    assert!(error.code == ErrorCode::NotFound && error.message.contains(OLD), "{error:?}");
    assert!(fake.aws[&new].active && fake.works("a", &new) && fake.works("b", &new));
    // Where it may be on one that is not there, that is asked for.
    fake.absent.insert("b".to_owned());
    assert_eq!(fake.run(GRACE, How::Back, &[]).unwrap_err().code, ErrorCode::NoKey);
    fake.absent.clear();
    assert!(matches!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Resting { .. })));
    fake.clock += GRACE;
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Done));
    assert_eq!(fake.only(), new);

    // Or the new one: the old one is not ended, nor deleted.
    for stage in [Stage::Proved, Stage::Resting] {
        let mut fake = Fake::new();
        fake.run(GRACE, How::Safely, &[]).unwrap();
        let new = fake.journal.clone().unwrap().new.unwrap();
        if stage == Stage::Proved {
            fake.run(GRACE, How::Back, &[]).unwrap();
        }
        fake.clock += GRACE;
        let active = fake.aws[OLD].active;
        fake.keys.values_mut().for_each(|on| drop(on.remove(&new)));
        // A session that was made before still signs.
        fake.keys
            .insert("session".to_owned(), BTreeMap::from([(new.clone(), fake.aws[&new].secret.clone())]));
        assert_eq!(fake.run(GRACE, How::Safely, &[]).unwrap_err().code, ErrorCode::NotFound, "{stage:?}");
        assert_eq!((fake.aws.len(), fake.aws[OLD].active), (2, active));
        fake.keys.remove("session");
        fake.aws.get_mut(OLD).unwrap().active = true;
        fake.check();
    }
}

#[test]
fn a_key_that_lacks_one_kind_of_signatures_goes_back() {
    let both = || vec![Target { signatures: BOTH.to_vec(), ..targets()[1].clone() }];
    for at in 0..40 {
        let mut fake = Fake::new();
        fake.keys.remove("b");
        fake.keys.get_mut("a").unwrap().insert(name(SignatureVersion::HmacV1, OLD), "old secret".to_owned());
        fake.troubles = vec![(at, Trouble::KilledAfter)];
        let _ = Rotation::new(&mut fake, Record::new(OLD, both(), Vec::new(), 0)).begin();
        for _ in 0..3 {
            if fake.journal.is_some() {
                fake.run(0, How::Safely, &[]).unwrap();
            }
        }
        let [id] = fake.aws.keys().cloned().collect::<Vec<_>>().try_into().unwrap();
        let on: Vec<_> = fake.keys["a"].keys().cloned().collect();
        assert_eq!(on, BOTH.map(|signature| name(signature, &id)), "{at}");
    }
}

#[test]
fn a_list_that_is_older_is_waited_for() {
    // Of one that goes on, and of one that goes back: the new one is deleted though no list shows it.
    let mut fake = Fake::new();
    let _ = fake.run(GRACE, How::Safely, &[(9, Trouble::KilledBefore)]);
    let new = fake.journal.clone().unwrap().new.unwrap();
    fake.journal.as_mut().unwrap().stage = Stage::Writing;
    fake.keys.get_mut("b").unwrap().remove(&new);
    fake.unlisted.clone_from(&new);
    assert_eq!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Undone));
    assert_eq!(fake.only(), OLD);
    let mut fake = Fake::new();
    fake.run(GRACE, How::Safely, &[]).unwrap();
    fake.run(GRACE, How::Back, &[]).unwrap();
    let new = fake.journal.clone().unwrap().new.unwrap();
    fake.unlisted = new;
    assert!(matches!(fake.run(GRACE, How::Safely, &[]), Ok(Outcome::Resting { .. })));
}

#[test]
fn what_was_there_before_is_never_deleted() {
    let mut fake = Fake::new();
    let record = Record { before: vec!["AKIANEW1".to_owned()], ..Record::new(OLD, targets(), Vec::new(), 0) };
    let mut rotation = Rotation::new(&mut fake, record);
    let made = rotation.create().unwrap();
    let error = rotation.carry(&made).unwrap_err();
    assert!(error.message.contains("was there before"), "{error:?}");
    assert!(rotation.back(Some(error)).is_err());
    assert!(fake.aws.contains_key("AKIANEW1") && fake.journal.is_none());
}

#[test]
fn only_keys_of_the_rotation_are_waived() {
    let mut fake = half();
    let record = fake.journal.clone().unwrap();
    let error = Rotation::new(&mut fake, record).waive(&["typo".to_owned()]).unwrap_err();
    assert_eq!((error.code, error.candidates), (ErrorCode::NotFound, vec!["b".to_owned(), "a".to_owned()]));
}
