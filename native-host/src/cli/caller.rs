//! Who calls IAM, as it is typed: the user of a profile or of an access key on a key, by a session that was made with MFA where
//! one can be had.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use keyfob_core::message::{Answer, ErrorCode, Failure, Identity, Op, SignatureVersion};

use super::args::Global;
use super::client::Client;
use super::commands::unexpected;
use super::complete;
use crate::aws_call::{self, Refused};
use crate::error::failure;
use crate::front;
use crate::harden;
use crate::http::Http;
use crate::iam::{Iam, code};
use crate::profile::{self, Base, Mfa, Profile};
use crate::query::Repeat;
use crate::session::mfa::{self, Found};
use crate::session::{self, Person, Want};
use crate::signing::{self, Ask, Credentials};

/// How long a server may be silent.
const STALL: Duration = Duration::from_secs(20);

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Profile of the AWS config file; without it that of AWS_PROFILE, or else the access key on the key
    #[arg(long, value_name = "NAME", add = complete::profiles())]
    profile: Option<String>,
    /// Which access key on the key signs, without any profile
    #[arg(long, value_name = "ACCESS_KEY_ID", conflicts_with = "profile", add = complete::identities())]
    identity: Option<String>,
    /// Region, in place of the profile's; it decides the partition
    #[arg(long)]
    region: Option<String>,
    /// Server other than AWS's STS and IAM (http://127.0.0.1:5000)
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

impl Options {
    /// The access key that is meant: the one that is typed, or the profile's; none if it is the only one on the key.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] if the profile's is on no key.
    pub(super) fn access_key_id(&self) -> Result<Option<String>, Failure> {
        if self.identity.is_some() {
            return Ok(self.identity.clone());
        }
        match self.profile()?.base {
            Base::Key { access_key_id, .. } => Ok(access_key_id),
            _ => Err(not_on_a_key()),
        }
    }

    /// The profile that is meant, with what was typed in the place of what it says.
    fn profile(&self) -> Result<Profile, Failure> {
        let env = |name: &str| -> Option<OsString> {
            match name {
                "AWS_REGION" if self.region.is_some() => self.region.clone().map(OsString::from),
                "AWS_ENDPOINT_URL_STS" | "AWS_ENDPOINT_URL_IAM" if self.endpoint.is_some() => {
                    self.endpoint.clone().map(OsString::from)
                }
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" if self.endpoint.is_some() => None,
                name => front::env(name),
            }
        };
        let of_environment = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]
            .iter()
            .any(|name| front::env(name).is_some_and(|value| !value.is_empty()));
        if self.profile.is_some() || self.identity.is_none() && of_environment {
            return profile::resolve(&super::profile::name(self.profile.as_deref())?, &env);
        }
        profile::of_identity(self.identity.as_deref(), &env)
    }
}

/// By what IAM is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By a session that was made with MFA, where the user has a device that is at hand: it costs no touch a call, and
    /// policies may want it.
    Session,
    /// By the access key itself.
    Itself,
}

/// Whoever calls IAM.
pub(super) struct Caller<'a> {
    pub(super) client: Client<'a>,
    pub(super) http: Http,
    profile: Profile,
    credentials: Credentials,
    /// The key that signs.
    key: Option<String>,
}

/// A user, as AWS says.
pub(super) struct User {
    /// Such as `aws`.
    pub(super) partition: String,
    /// The account's 12 digits.
    pub(super) account: String,
    /// The name, without the path.
    pub(super) name: String,
}

/// Asks the key that signs where none is named.
struct On<'a, 'b> {
    client: &'a mut Client<'b>,
    key: Option<&'a str>,
}

impl Ask for On<'_, '_> {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        self.client.ask_key(self.key.map(str::to_owned), op)
    }
}

impl Person for On<'_, '_> {
    fn ask_key(&mut self, key: Option<&str>, op: Op) -> Result<Answer, Failure> {
        self.client.ask_key(key.or(self.key).map(str::to_owned), op)
    }

    fn key_of(&self, _: Option<&str>) -> Option<String> {
        self.key.map(str::to_owned)
    }

    fn type_code(&mut self, serial: &str, why: &str) -> Result<String, Failure> {
        self.client.type_code(serial, why)
    }

    fn note(&self, text: &str) {
        self.client.note(text);
    }

    fn time_left(&self) -> Option<Duration> {
        self.client.time_left()
    }
}

impl<'a> Caller<'a> {
    /// Finds out who it is.
    ///
    /// # Errors
    /// What is wrong with the profile, or keeps its credentials from being had.
    pub(super) fn new(global: &'a Global, options: &Options, by: By) -> Result<Self, Failure> {
        Self::of_profile(global, options.profile()?, by)
    }

    /// The same where the profile's access key is that one, whatever the profile says: it must be on a key.
    ///
    /// # Errors
    /// As [`Caller::new`].
    pub(super) fn by_key(
        global: &'a Global,
        options: &Options,
        by: By,
        access_key_id: &str,
    ) -> Result<Self, Failure> {
        let mut profile = options.profile()?;
        let key = match profile.base {
            Base::Key { key, .. } => key,
            _ => None,
        };
        profile.base = Base::Key { access_key_id: Some(access_key_id.to_owned()), key };
        Self::of_profile(global, profile, by)
    }

    fn of_profile(global: &'a Global, mut profile: Profile, by: By) -> Result<Self, Failure> {
        // Secrets pass through this process.
        harden::process();
        // IAM is called by the user, whatever roles the profile goes on with.
        profile.roles.clear();
        let mut client = Client::new(global)?;
        let http = Http::trusting(profile.ca_bundle.as_deref().map(Path::new), STALL)?;
        let http = http.until(global.deadline());
        let (credentials, key) = match &profile.base {
            Base::Key { access_key_id, key } => {
                let (access_key_id, key) =
                    signing_key(&mut client, global, key.as_deref(), access_key_id.as_deref())?;
                profile.base = Base::Key { access_key_id: Some(access_key_id.clone()), key: key.clone() };
                (Credentials::Key { access_key_id }, key)
            }
            Base::Given(session) => (Credentials::Session(session.clone()), None),
            Base::Exported { .. } | Base::Process { .. } => {
                let session = session::of_profile(&mut client, &profile, &Want::default())?;
                (Credentials::Session((&session).into()), None)
            }
        };
        let is_long_term = credentials.session_token().is_none();
        let mut caller = Self { client, http, profile, credentials, key };
        if by == By::Session && is_long_term {
            caller.begin_session()?;
        }
        Ok(caller)
    }

    /// What is undone has the time of `--timeout` anew.
    pub(super) fn begin_anew(&mut self) {
        self.client.begin_anew();
        self.http.give_up_at(self.client.deadline);
    }

    /// Goes on by a session that is made with MFA, where there is a device.
    fn begin_session(&mut self) -> Result<(), Failure> {
        let named = self.profile.mfa.clone();
        let is_here = match &named {
            Some(mfa) => matches!(self.find(mfa)?, Found::Here { .. }),
            None => false,
        };
        if !is_here {
            let devices = match self.iam(|iam, ask| iam.list_mfa_devices(ask, None)) {
                Ok(devices) => Some(devices),
                Err(refused) if code::DENIED.contains(&refused.code.as_str()) => None,
                Err(refused) => return Err(refused.into()),
            };
            let mut serials = devices
                .iter()
                .flatten()
                .map(|device| device.serial.clone())
                .filter(|serial| has_codes(serial));
            match named {
                // Its code is typed, unless it is still to be made.
                Some(mfa) if devices.is_none() || serials.any(|serial| mfa.is(&serial)) => {}
                Some(_) => return Ok(()),
                None => {
                    let Some(serial) = serials.next() else { return Ok(()) };
                    let mfa = Mfa { serial, account: None, others: serials.collect() };
                    // Nobody has to look for a device that the profile does not name.
                    if !matches!(self.find(&mfa)?, Found::Here { .. }) {
                        return Ok(());
                    }
                    self.profile.mfa = Some(mfa);
                }
            }
        }
        let mut on = On { client: &mut self.client, key: self.key.as_deref() };
        let session = session::of_profile(&mut on, &self.profile, &Want::default())?;
        self.credentials = Credentials::Session((&session).into());
        Ok(())
    }

    /// Calls IAM.
    pub(super) fn iam<T>(
        &mut self,
        call: impl FnOnce(&Iam<'_>, &mut dyn Ask) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let iam = Iam { http: &self.http, endpoint: &self.profile.iam, credentials: &self.credentials };
        call(&iam, &mut On { client: &mut self.client, key: self.key.as_deref() })
    }

    /// Which user it is (GetCallerIdentity, which no policy can forbid).
    ///
    /// # Errors
    /// [`ErrorCode::Unsupported`] if it is no user.
    pub(super) fn user(&mut self) -> Result<User, Failure> {
        let sts = &self.profile.sts;
        let mut on = On { client: &mut self.client, key: self.key.as_deref() };
        let who = aws_call::caller_identity(&mut on, &self.credentials, &self.http, &sts.url, &sts.region)?;
        user_of(&who.arn).ok_or_else(|| {
            failure(
                ErrorCode::Unsupported,
                format!("these credentials are those of {}, which is no IAM user", who.arn),
                "name the profile or the access key of a user: --profile, --identity; the root user's devices are made in AWS's \
                 console",
            )
        })
    }

    /// Whether temporary credentials sign.
    pub(super) fn by_session(&self) -> bool {
        self.credentials.session_token().is_some()
    }

    /// The access key on a key that signs, or that has made the session which does.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] if there is none.
    pub(super) fn access_key_id(&self) -> Result<&str, Failure> {
        match &self.profile.base {
            Base::Key { access_key_id: Some(id), .. } => Ok(id),
            _ => Err(not_on_a_key()),
        }
    }

    /// From now on that access key signs, which is on that key; a session goes on as it is.
    pub(super) fn sign_by(&mut self, access_key_id: &str, key: &str) {
        if let Credentials::Key { access_key_id: old } = &mut self.credentials {
            access_key_id.clone_into(old);
            self.key = Some(key.to_owned());
        }
    }

    /// Has a key sign with an access key, and STS say whose it is; AWS may need so long to know it.
    ///
    /// # Errors
    /// Those of the key, and STS's.
    pub(super) fn prove(&mut self, key: &str, access_key_id: &str, unknown: Duration) -> Result<(), Failure> {
        let sts = &self.profile.sts;
        let call = aws_call::identity_call(&sts.url, &sts.region);
        let credentials = Credentials::Key { access_key_id: access_key_id.to_owned() };
        let mut on = On { client: &mut self.client, key: Some(key) };
        aws_call::call_when_known(&mut on, &credentials, &self.http, &call, Repeat::Harmless, unknown)?;
        Ok(())
    }

    /// The MFA device that the profile names.
    pub(super) fn mfa(&self) -> Option<&Mfa> {
        self.profile.mfa.as_ref()
    }

    /// Looks for the account of a device on the keys.
    ///
    /// # Errors
    /// As [`mfa::find`].
    pub(super) fn find(&mut self, mfa: &Mfa) -> Result<Found, Failure> {
        mfa::find(&mut On { client: &mut self.client, key: self.key.as_deref() }, mfa, self.key.as_deref())
    }
}

fn not_on_a_key() -> Failure {
    failure(
        ErrorCode::InvalidInput,
        "the profile's access key is not on a key",
        "name the one that is: `keyfob aws rotate ACCESS_KEY_ID`; `keyfob aws import` moves one to the key",
    )
}

/// Whether a device has codes at all: security keys and passkeys have none.
pub(super) fn has_codes(serial: &str) -> bool {
    !serial.contains(":u2f/")
}

/// `arn:aws:iam::123456789012:user/team/alice`.
fn user_of(arn: &str) -> Option<User> {
    let mut parts = arn.splitn(6, ':');
    let mut part = || parts.next();
    let ("arn", partition, "iam", "", account, resource) =
        (part()?, part()?, part()?, part()?, part()?, part()?)
    else {
        return None;
    };
    let name = resource.strip_prefix("user/")?.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some(User { partition: partition.to_owned(), account: account.to_owned(), name: name.to_owned() })
}

/// Which access key signs, and on which key: of several that hold it any will do. Those that are typed are those that something is
/// done with: where none of them can sign, another one may.
fn signing_key(
    client: &mut Client<'_>,
    global: &Global,
    of_profile: Option<&str>,
    access_key_id: Option<&str>,
) -> Result<(String, Option<String>), Failure> {
    let typed = if global.key_is_typed || of_profile.is_none() { global.key.as_slice() } else { &[] };
    let mut first: Vec<String> = typed.to_vec();
    if first.is_empty() {
        first.extend(of_profile.map(str::to_owned));
    }
    let mut found = Signers::default();
    for key in &first {
        found.look_at(client, key, access_key_id)?;
    }
    if found.all.is_empty() && (first.is_empty() || !typed.is_empty()) {
        let mut keys = client.keys()?;
        keys.retain(|key| !first.iter().any(|name| *name == key.id || key.name.as_deref() == Some(name)));
        // Nobody has to give a password that is not needed.
        keys.sort_by_key(|key| key.locked);
        if let ([], [] | [_], Some(id)) = (first.as_slice(), keys.as_slice(), access_key_id) {
            return Ok((id.to_owned(), keys.pop().map(|key| key.id)));
        }
        for key in keys {
            found.look_at(client, &key.id, access_key_id)?;
        }
    }
    if let (Some(id), []) = (access_key_id, found.all.as_slice()) {
        return Err(failure(
            ErrorCode::NotFound,
            format!("none of the keys has the secret of {id}"),
            "`keyfob aws identities` shows those that are on a key; `keyfob aws add` puts one there",
        ));
    }
    let id = signing::only_identity(found.all, SignatureVersion::SigV4)?;
    let key = found.on.into_iter().find(|(known, _)| *known == id).map(|(_, key)| key);
    Ok((id, key))
}

/// The access keys that can sign, each once, and where they are.
#[derive(Default)]
struct Signers {
    all: Vec<Identity>,
    /// Access key id and key.
    on: Vec<(String, String)>,
}

impl Signers {
    fn look_at(&mut self, client: &mut Client<'_>, key: &str, wanted: Option<&str>) -> Result<(), Failure> {
        if wanted.is_some() && !self.all.is_empty() {
            return Ok(());
        }
        for identity in identities(client, key)? {
            let is_it = identity.signature == SignatureVersion::SigV4
                && wanted.is_none_or(|id| id == identity.access_key_id);
            if is_it && !self.on.iter().any(|(id, _)| *id == identity.access_key_id) {
                self.on.push((identity.access_key_id.clone(), key.to_owned()));
                self.all.push(identity);
            }
        }
        Ok(())
    }
}

/// The access keys on a key.
///
/// # Errors
/// Those of the key.
pub(super) fn identities(client: &mut Client<'_>, key: &str) -> Result<Vec<Identity>, Failure> {
    match client.ask_key(Some(key.to_owned()), Op::Identities {})? {
        Answer::Identities { identities, .. } => Ok(identities),
        other => unexpected(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_arns() {
        #[track_caller]
        fn check(arn: &str, expected: Option<(&str, &str, &str)>) {
            let user = user_of(arn);
            let parts = user.as_ref().map(|u| (u.partition.as_str(), u.account.as_str(), u.name.as_str()));
            assert_eq!(parts, expected, "{arn}");
        }
        check("arn:aws:iam::123456789012:user/alice", Some(("aws", "123456789012", "alice")));
        check("arn:aws-cn:iam::123456789012:user/a/b/alice", Some(("aws-cn", "123456789012", "alice")));
        check("arn:aws:iam::123456789012:root", None);
        check("arn:aws:sts::123456789012:assumed-role/ops/alice", None);
        check("arn:aws:sts::123456789012:federated-user/alice", None);
        check("arn:aws:iam::123456789012:user/", None);
        check("alice", None);
    }
}
