//! Signing: the key of the day, and what follows from it.
//!
//! ```text
//! request ─► `reading` ─► prompt ─► CALCULATE over the date ─► date key ─► signing keys ─► signature
//!                                                                  erased      erased, or kept as long as the user wants
//! ```

use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use keyfob_core::identity::IdentityName;
use keyfob_core::message::{Answer, ErrorCode, MAX_SCOPES, Op, Password, SignatureVersion};
use keyfob_core::oath::CalculateFull;
use keyfob_core::s3::ParsedPresign;
use keyfob_core::sigv2;
use keyfob_core::sigv4::{AmzDate, DateKey, Scope, Signature, SigningKey, string_to_sign};
use zeroize::Zeroizing;

use super::reading::{self, Work};
use super::{Events, Service, duration, no_identity, touch};
use crate::client::Client;
use crate::entry::{Entry, stored};
use crate::error::{Refusal, failure};
use crate::key::Conversation;
use crate::locked::Locked;
use crate::policy;
use crate::prompt::shown;

/// Most signing keys that are kept at a time: each has locked pages of its own.
const MOST_KEPT: usize = MAX_SCOPES;

type KeyBytes = Zeroizing<[u8; 32]>;

/// A signing key that the user wants kept for a while.
pub(super) struct Kept {
    access_key_id: String,
    scope: Scope,
    key: Locked<[u8; 32]>,
    /// The program that the person touched for.
    asker: String,
    /// The front end has it, as the person was told.
    given: bool,
    since: Instant,
    /// As long as the person was told.
    keep: Duration,
}

impl Kept {
    /// Whose it is.
    pub(super) fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// When it is as old as the person was told.
    pub(super) fn until(&self) -> Option<Instant> {
        self.since.checked_add(self.keep)
    }

    /// Whether it is as old as that, or as the person was told.
    pub(super) fn is_older_than(&self, keep: Duration) -> bool {
        self.since.elapsed() >= self.keep.min(keep)
    }
}

pub(super) fn invalid(error: impl std::fmt::Display) -> Refusal {
    failure(ErrorCode::InvalidInput, error.to_string(), "").into()
}

impl Service {
    /// Answers what asks for one signature.
    pub(super) fn sign(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        op: &Op,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let work = Work::of(op)?;
        let now = self.now(None);
        match &work {
            Work::Presign(request, scheme) => policy::check_presign(client, request, *scheme, now)?,
            Work::Links(links) => {
                for request in links.requests() {
                    policy::check_presign(client, request, links.scheme(), now)?;
                }
            }
            _ => {}
        }
        let Some((access_key_id, signature)) = reading::identity(op)? else {
            return Err(invalid("nobody is named to sign"));
        };
        let identity = super::identity(&access_key_id, signature)?;
        let described = work.describe(&access_key_id, now)?;
        let prompt = |kept: &str| format!("{} asks to sign {described}{kept}", client.asker);
        let (scope, date) = match &work {
            Work::Presign(request, _) => (request.scope(), request.date()),
            Work::Links(links) => (links.first().scope(), links.first().date()),
            Work::Sign { request, scope, .. } => (scope, request.date()),
            Work::Policy { scope, .. } => (scope, &day_of(scope)?),
            Work::PolicyV2 { policy: text, .. } | Work::V2 { string_to_sign: text, .. } => {
                let Password(text) = text;
                sigv2::check_challenge(&identity.id()?, text).map_err(invalid)?;
                let mac = self.calculate(choice, &identity, text.as_bytes(), events, || prompt(""))?;
                return Ok(Answer::Signed { signature: HEXLOWER.encode(&mac) });
            }
        };
        let scopes = [(scope.region(), scope.service())];
        let keys = self.scope_keys(client, choice, &identity, date, &scopes, false, events, &prompt)?;
        let Some(key) = keys.into_iter().next() else { return Err(invalid("nothing is to be signed")) };
        let key = SigningKey::new(*scope, *key);
        Ok(match &work {
            Work::Presign(request, scheme) => {
                let url = request.sign(&key, *scheme).map_err(invalid)?;
                Answer::Presigned { url: Password(url), expires_at: request.expires_at() }
            }
            Work::Links(links) => {
                let sign = |request: &ParsedPresign| request.sign(&key, links.scheme()).map(Password);
                let urls = links.requests().map(sign).collect::<Result<_, _>>().map_err(invalid)?;
                Answer::PresignedMany { urls, expires_at: links.first().expires_at() }
            }
            Work::Sign { request, .. } => {
                let canonical = request.canonical_request();
                let signature = key.sign(&string_to_sign(request.date(), scope, canonical.as_bytes()));
                Answer::Signed { signature: signature.to_string() }
            }
            Work::Policy { policy, .. } => {
                let signature: Signature = key.sign_policy(policy);
                Answer::Signed { signature: signature.to_string() }
            }
            Work::PolicyV2 { .. } | Work::V2 { .. } => return Err(invalid("that was signed already")),
        })
    }

    /// Answers an [`Op::SigningKeys`].
    pub(super) fn signing_keys(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        op: &Op,
        events: Events<'_>,
    ) -> Result<Answer, Refusal> {
        let Op::SigningKeys { access_key_id, at, scopes, purpose } = op else {
            return Err(invalid("no signing keys are asked for"));
        };
        if !(1..=MAX_SCOPES).contains(&scopes.len()) {
            return Err(invalid(format!("1 to {MAX_SCOPES} scopes can be declared, not {}", scopes.len())));
        }
        let identity = super::identity(access_key_id, SignatureVersion::SigV4)?;
        let date = AmzDate::from_unix(*at).map_err(invalid)?;
        let scopes: Vec<_> =
            scopes.iter().map(|scope| (scope.region.as_str(), scope.service.as_str())).collect();
        let described = reading::describe_keys(access_key_id, &date, &scopes, purpose, self.now(None))?;
        let prompt = |kept: &str| format!("{} asks to sign {described}{kept}", client.asker);
        let keys = self.scope_keys(client, choice, &identity, &date, &scopes, true, events, &prompt)?;
        let hex = |key: KeyBytes| Password(HEXLOWER.encode(&*key));
        Ok(Answer::SigningKeys { keys: keys.into_iter().map(hex).collect() })
    }

    /// The keys of a day's scopes: those that are kept, or all anew, from one date key. `given` to the front end, or used
    /// here for one signature.
    #[allow(clippy::too_many_arguments, reason = "as many as there are")]
    fn scope_keys(
        &mut self,
        client: &Client,
        choice: Option<&str>,
        identity: &IdentityName,
        date: &AmzDate,
        scopes: &[(&str, &str)],
        given: bool,
        events: Events<'_>,
        prompt: &dyn Fn(&str) -> String,
    ) -> Result<Vec<KeyBytes>, Refusal> {
        let access_key_id = identity.access_key_id();
        // What a browser asks for is what its person was shown, each time.
        let keep = client.config.signing_keep.filter(|keep| *keep > 0 && !client.caller.is_browser());
        // After its day it signs nothing any more.
        let (day, second) = (86_400, self.now(None));
        let left = if date.unix() / day == second / day { day - second % day } else { day };
        let keep = keep.map(|keep| Duration::from_secs(keep.min(left)));
        let declared: Vec<Scope> = scopes
            .iter()
            .map(|(region, service)| Scope::new(date, region, service).map_err(invalid))
            .collect::<Result<_, _>>()?;
        if let Some(keep) = keep {
            let kept = self.unlocked.kept();
            let known = |scope: &Scope| {
                kept.iter().find(|kept| {
                    kept.access_key_id == access_key_id
                        && kept.scope == *scope
                        && kept.asker == client.asker
                        && !kept.is_older_than(keep)
                        // Of what a touch for one signature has bought the key itself is no part.
                        && (kept.given || !given)
                })
            };
            let keys: Option<Vec<_>> =
                declared.iter().map(|scope| Some(Zeroizing::new(*known(scope)?.key))).collect();
            if let Some(keys) = keys {
                return Ok(keys);
            }
        }
        let note = match keep.map(|keep| duration(keep.as_secs())) {
            None => String::new(),
            Some(keep) if given => format!(", and again for {keep} without another touch"),
            Some(keep) => {
                let places: Vec<_> =
                    scopes.iter().map(|(region, service)| format!("{service} in {region}")).collect();
                format!(", and then anything for {} for {keep} without another touch", places.join(", "))
            }
        };
        let mac = self.calculate(choice, identity, date.date(), events, || prompt(&note))?;
        let mac = <[u8; 32]>::try_from(mac.as_slice()).map_err(|_| not_for(identity, "SigV4"))?;
        let date_key = DateKey::new(mac, *date);
        let keys = scopes
            .iter()
            .map(|(region, service)| date_key.signing_key_bytes(region, service).map_err(invalid))
            .collect::<Result<Vec<_>, _>>()?;
        drop(date_key);
        // A touch that comes after all have left buys nothing.
        if let Some(keep) = keep.filter(|_| !self.keys.cancel.is_set()) {
            let mut kept = self.unlocked.kept();
            for (scope, key) in declared.iter().zip(&keys) {
                kept.retain(|kept| {
                    kept.access_key_id != access_key_id || kept.scope != *scope || kept.asker != client.asker
                });
                kept.push(Kept {
                    access_key_id: access_key_id.to_owned(),
                    scope: *scope,
                    key: Locked::new(**key),
                    asker: client.asker.clone(),
                    given,
                    since: Instant::now(),
                    keep,
                });
            }
            let too_many = kept.len().saturating_sub(MOST_KEPT);
            kept.drain(..too_many);
        }
        Ok(keys)
    }

    /// The whole HMAC of an identity over a challenge: 32 bytes for SigV4, 20 for Signature Version 2.
    fn calculate(
        &mut self,
        choice: Option<&str>,
        identity: &IdentityName,
        challenge: &[u8],
        events: Events<'_>,
        prompt: impl FnOnce() -> String,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let now = self.now(None);
        let mac = self.open(choice, true, |key| {
            let entry = listed(key, identity, now)?;
            touch(&entry, events, prompt);
            let calculate = CalculateFull { id: entry.id.clone(), challenge: challenge.to_vec() };
            let response = key.call(calculate).map_err(|error| entry.named(error))?;
            Ok(Zeroizing::new(response.expose().to_vec()))
        })?;
        let expected = match identity.signature() {
            SignatureVersion::HmacV1 => (sigv2::SIGNATURE_LEN, "Signature Version 2"),
            _ => (32, "SigV4"),
        };
        if mac.len() != expected.0 {
            return Err(not_for(identity, expected.1));
        }
        Ok(mac)
    }
}

/// The identity's credential, as the key lists it.
fn listed(key: &mut Conversation<'_>, identity: &IdentityName, now: u64) -> Result<Entry, Refusal> {
    let id = identity.id()?;
    let mut entries = stored(key, now)?;
    if let Some(at) = entries.iter().position(|entry| entry.id == id) {
        return Ok(entries.swap_remove(at));
    }
    let mut missing = no_identity(identity.access_key_id());
    // The secret may be there for the other signature.
    if entries.iter().any(|entry| {
        IdentityName::parse(&entry.id).is_some_and(|other| other.access_key_id() == identity.access_key_id())
    }) {
        let (has, wants, option) = match identity.signature() {
            SignatureVersion::HmacV1 => ("SigV4", "Signature Version 2", "v2"),
            _ => ("Signature Version 2", "SigV4", "v4"),
        };
        missing.message = format!(
            "the secret of {} is on this key for {has} only, not for {wants}",
            shown(identity.access_key_id())
        );
        missing.hint = Some(format!("`keyfob aws add --signature {option}` adds it, from the secret itself"));
    }
    Err(missing.into())
}

fn not_for(identity: &IdentityName, signature: &str) -> Refusal {
    let text = format!("the credential of {} is not one for {signature}", identity.access_key_id());
    failure(ErrorCode::BadAnswer, text, "delete the identity and add it again").into()
}

/// The first second of a scope's day.
fn day_of(scope: &Scope) -> Result<AmzDate, Refusal> {
    AmzDate::parse(&format!("{}T000000Z", scope.date())).map_err(invalid)
}
