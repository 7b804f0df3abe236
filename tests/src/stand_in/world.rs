//! Who and what there is: as a test says before the start.

use std::collections::BTreeMap;

use anyhow::Result;

use super::ACCOUNT;
use super::totp::Device;

/// What a test says before the start. There is nothing but what it says.
#[derive(Debug, Default)]
pub struct World {
    pub(super) users: BTreeMap<String, NewUser>,
    /// By their ARNs.
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) moto: bool,
}

/// A user of IAM with one access key. It may do everything, unless its policy is said.
#[derive(Debug)]
pub struct NewUser {
    pub(super) devices: Vec<(String, Result<Device>)>,
    pub(super) policy: Policy,
}

/// What a user may.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) actions: Vec<String>,
    pub(super) needs_mfa: bool,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    pub(super) id: String,
    pub(super) max_duration: u32,
    pub(super) needs_mfa: bool,
    pub(super) external_id: Option<String>,
    pub(super) trusted: Vec<String>,
    pub(super) actions: Vec<String>,
}

impl World {
    /// A new user.
    pub fn user(&mut self, name: &str) -> &mut NewUser {
        let policy = Policy { actions: vec!["*".to_owned()], needs_mfa: false };
        self.users.entry(name.to_owned()).or_insert(NewUser { devices: Vec::new(), policy })
    }

    /// A new role, which everybody in the account may assume for an hour at most.
    pub fn role(&mut self, name: &str) -> &mut Role {
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        self.roles.entry(arn).or_insert_with(|| Role {
            id: super::id("AROA"),
            max_duration: 3600,
            needs_mfa: false,
            external_id: None,
            trusted: Vec::new(),
            actions: vec!["*".to_owned()],
        })
    }

    /// Has moto behind it, which must agree to what is done with access keys, by its own look at signatures and policies. It
    /// takes seconds to start.
    pub fn moto(&mut self) -> &mut Self {
        self.moto = true;
        self
    }
}

impl NewUser {
    /// An MFA device that is enabled, with its secret in base32. Its serial number is `arn:aws:iam::123456789012:mfa/NAME`.
    pub fn device(&mut self, name: &str, base32: &str) -> &mut Self {
        self.devices.push((format!("arn:aws:iam::{ACCOUNT}:mfa/{name}"), Device::new(base32)));
        self
    }

    /// The only actions that it may do: `iam:*`, `sts:AssumeRole`. What needs no permission at AWS needs none here.
    pub fn may(&mut self, actions: &[&str]) -> &mut Self {
        self.policy.actions = actions.iter().map(|&action| action.to_owned()).collect();
        self
    }

    /// Denied everything without MFA but what it takes to get it: the policy of "AWS: Allows MFA-authenticated IAM users to
    /// manage their own credentials", IAM User Guide.
    pub fn iam_only_with_mfa(&mut self) -> &mut Self {
        self.policy.needs_mfa = true;
        self
    }
}

impl Role {
    /// The longest session, in seconds.
    pub fn max_duration(&mut self, seconds: u32) -> &mut Self {
        self.max_duration = seconds;
        self
    }

    /// Assumed only by who has shown an MFA code.
    pub fn needs_mfa(&mut self) -> &mut Self {
        self.needs_mfa = true;
        self
    }

    /// Assumed only by who knows this.
    pub fn external_id(&mut self, id: &str) -> &mut Self {
        self.external_id = Some(id.to_owned());
        self
    }

    /// Assumed only by these users and roles, by their names.
    pub fn trusts(&mut self, names: &[&str]) -> &mut Self {
        self.trusted = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// The only actions that its sessions may do.
    pub fn may(&mut self, actions: &[&str]) -> &mut Self {
        self.actions = actions.iter().map(|&action| action.to_owned()).collect();
        self
    }
}
