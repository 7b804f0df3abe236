//! Whose credentials a command is about, as it is typed.

use clap::Args;
use keyfob_core::message::{ErrorCode, Failure, Session};

use super::args::Global;
use super::client::Client;
use super::{complete, time};
use crate::error::failure;
use crate::front;
use crate::profile::{self, Profile};
use crate::session::{self, Want};

/// The profile of those who name none.
const DEFAULT: &str = "default";

/// A profile.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Profile of the AWS config file; without it that of AWS_PROFILE, or default
    #[arg(add = complete::profiles())]
    pub(super) profile: Option<String>,
    #[command(flatten)]
    pub(super) how: How,
}

/// How its credentials are made.
#[derive(Debug, Default, Args)]
#[group(skip)]
pub(super) struct How {
    /// How long they are to last, in place of what the profile says: 15m, 12h
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(super) duration: Option<u32>,
    /// Make them anew: use no session that is kept, and keep none
    #[arg(long)]
    pub(super) no_session: bool,
}

fn seconds(text: &str) -> Result<u32, String> {
    u32::try_from(time::duration(text)?.as_secs()).map_err(|_| "that is too long".to_owned())
}

impl How {
    /// As sessions are asked for.
    pub(super) fn want(&self) -> Want {
        Want { duration: self.duration, no_session: self.no_session }
    }
}

/// The name of the profile that is meant. One without a name is a slip (`"$UNSET"`), and nobody's word for the default one.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for such a slip.
pub(super) fn name(named: Option<&str>) -> Result<String, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let named =
        named.map(str::to_owned).or_else(|| env("AWS_PROFILE")).or_else(|| env("AWS_DEFAULT_PROFILE"));
    match named {
        Some(name) if name.trim().is_empty() => Err(failure(
            ErrorCode::InvalidInput,
            "the profile that is named has no name",
            "name one; for the default one leave it out, and unset AWS_PROFILE and AWS_DEFAULT_PROFILE",
        )),
        Some(name) => Ok(name),
        None => Ok(DEFAULT.to_owned()),
    }
}

impl Options {
    /// The profile, and credentials for it.
    ///
    /// # Errors
    /// What is wrong with it; those of [`session::of_profile`].
    pub(super) fn credentials(&self, global: &Global) -> Result<(Profile, Session), Failure> {
        // Credentials pass through this process.
        crate::harden::process();
        let profile = profile::resolve(&name(self.profile.as_deref())?, &front::env)?;
        let mut client = Client::new(global)?;
        let session = session::of_profile(&mut client, &profile, &self.how.want())?;
        Ok((profile, session))
    }
}
