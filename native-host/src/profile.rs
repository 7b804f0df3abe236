//! Profiles of AWS's config and credentials files, resolved: who begins, which device proves it, which roles follow.

use std::ffi::OsString;
use std::path::PathBuf;

use keyfob_core::message::Failure;

use crate::signing::Session;

/// Reads an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A profile by its name.
///
/// # Errors
/// What is wrong with it, or with the files: [`keyfob_core::message::ErrorCode::NotFound`] with the names there are, where there is none of that name.
pub fn resolve(name: &str, env: Env<'_>) -> Result<Profile, Failure> {
    let _ = (name, env);
    todo!()
}

/// What stands in for a profile where none is named: an access key whose secret is on a key, and the environment's region.
///
/// # Errors
/// What is wrong with the environment.
pub fn of_identity(access_key_id: Option<&str>, env: Env<'_>) -> Result<Profile, Failure> {
    let _ = (access_key_id, env);
    todo!()
}

/// The names of all profiles, in the files' order.
///
/// # Errors
/// What is wrong with the files.
pub fn names(env: Env<'_>) -> Result<Vec<String>, Failure> {
    let _ = env;
    todo!()
}

/// A profile, with all that it takes to get credentials for it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The region of whoever uses the credentials, if one is set.
    pub region: Option<String>,
    /// Whose credentials everything begins with.
    pub base: Base,
    /// The MFA device of the base identity, where one is named: by the first role that names one, else by the base's own
    /// profile.
    pub mfa: Option<Mfa>,
    /// The roles in the order in which they are assumed; the last one's session is the profile's. None: the base's own session.
    pub roles: Vec<Role>,
    /// How long the base's session is to last, in seconds, where the profile says.
    pub duration: Option<u32>,
    /// The STS that makes the base's session.
    pub sts: Endpoint,
    /// The IAM of the same account.
    pub iam: Endpoint,
    /// Certificates (PEM) that vouch for the servers, where the profile names a file (`ca_bundle`).
    pub ca_bundle: Option<PathBuf>,
}

/// Whose credentials everything begins with.
#[derive(Debug, Clone)]
pub enum Base {
    /// An access key whose secret is on a key.
    Key {
        /// `AKIA…`; none: the only one on the key.
        access_key_id: Option<String>,
        /// Which key, as `--key` names one, where the profile says (`keyfob_device`).
        key: Option<String>,
    },
    /// An access key in the credentials file, the config file or the environment (`credential_source = Environment`).
    Given(Session),
    /// What another program gives for a profile: `aws configure export-credentials` (Identity Center, `login_session`, web
    /// identity, instance and container roles).
    Exported {
        /// The profile that is named to it.
        profile: String,
    },
    /// What the profile's `credential_process` prints. Never Keyfob itself.
    Process {
        /// The command line.
        command: String,
        /// The profile that it is of.
        profile: String,
    },
}

/// An MFA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mfa {
    /// `arn:aws:iam::123456789012:mfa/alice`, or a hardware device's serial number.
    pub serial: String,
    /// The name of its account on the key, where the profile gives one (`mfa_alias`, `keyfob_oath`).
    pub account: Option<String>,
    /// Further devices of the same user; whichever is on a key that is plugged in is used.
    pub others: Vec<String>,
}

/// A role to assume.
#[derive(Debug, Clone)]
pub struct Role {
    /// The profile that names it.
    pub profile: String,
    /// `role_arn`.
    pub arn: String,
    /// `role_session_name`.
    pub session_name: Option<String>,
    /// `external_id`.
    pub external_id: Option<String>,
    /// `duration_seconds`.
    pub duration: Option<u32>,
    /// `source_identity`.
    pub source_identity: Option<String>,
    /// `session_tags`, in the file's order.
    pub tags: Vec<(String, String)>,
    /// `transitive_session_tags`.
    pub transitive_tags: Vec<String>,
    /// The STS that is asked.
    pub sts: Endpoint,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://sts.eu-west-1.amazonaws.com`.
    pub url: String,
    /// Of the credential scope.
    pub region: String,
}
