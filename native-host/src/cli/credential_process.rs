//! `keyfob credential-process`: hands a profile's credentials to AWS's tools.
//!
//! Source: "Sourcing credentials with an external process", AWS CLI User Guide; AWS SDKs and Tools Reference Guide, "Process
//! credential provider".

use clap::Args;
use keyfob_core::message::{Failure, Password};
use serde::Serialize;

use super::args::Global;
use super::{output, profile, time};
use crate::exit::Exit;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    profile: profile::Options,
}

/// What the tools read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Printed<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a Password,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a Password>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let (_, session) = options.profile.credentials(global)?;
    output::json(&Printed {
        version: 1,
        access_key_id: &session.access_key_id,
        secret_access_key: &session.secret_access_key,
        session_token: session.session_token.as_ref(),
        expiration: session.expires_at.map(time::rfc3339),
        account_id: session.account_id.as_deref(),
    })?;
    Ok(Exit::Ok)
}
