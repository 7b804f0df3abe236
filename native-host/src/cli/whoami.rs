//! `keyfob aws whoami`: whose access key it is, as AWS says.

use clap::Args;
use keyfob_core::message::{Failure, SignatureVersion};
use serde_json::json;

use super::args::Global;
use super::client::Client;
use super::{credentials, output};
use crate::aws_call::{self, CallerIdentity};
use crate::http::Http;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    credentials: credentials::Options,
    #[command(flatten)]
    pub(super) sts: Sts,
}

/// Where STS is, as it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Sts {
    /// Region whose STS is asked; it decides the partition
    #[arg(long, env = "AWS_REGION")]
    region: Option<String>,
    /// Server other than AWS's STS (http://127.0.0.1:5000)
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

impl Sts {
    /// Whether a person has named the server on the command line.
    pub(super) fn is_given(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Endpoint and region: those that are given, or those of a profile, or those that everybody has.
    pub(super) fn resolve(
        &self,
        profile_endpoint: Option<&str>,
        profile_region: Option<&str>,
    ) -> Result<(String, String), Failure> {
        let env = |name: &str| std::env::var(name).ok();
        let some = |text: &String| !text.is_empty();
        let region = (self.region.clone().filter(some))
            .or_else(|| env("AWS_DEFAULT_REGION").filter(some))
            .or_else(|| profile_region.map(str::to_owned).filter(some))
            .unwrap_or_else(|| aws_call::DEFAULT_REGION.to_owned());
        let endpoint = match (&self.endpoint, profile_endpoint) {
            (Some(url), _) => url.clone(),
            (None, profile) => aws_call::sts_endpoint(profile, &region)?,
        };
        Ok((endpoint, region))
    }
}

pub(super) fn run(global: &Global, options: &Options) -> Result<(), Failure> {
    let (endpoint, region) = options.sts.resolve(None, None)?;
    let http = Http::new()?.until(global.deadline());
    let mut client = Client::new(global)?;
    let credentials = options.credentials.resolve(&mut client, SignatureVersion::SigV4)?;
    let CallerIdentity { account, arn, user_id } =
        aws_call::caller_identity(&mut client, &credentials, &http, &endpoint, &region)?;
    let access_key_id = credentials.access_key_id();
    if global.json {
        return output::json(&json!({
            "access_key_id": access_key_id,
            "account": account,
            "arn": arn,
            "user_id": user_id,
        }));
    }
    let row = |name: &str, value: &str| vec![name.to_owned(), crate::prompt::printable(value).into_owned()];
    output::rows(&[
        row("Account", &account),
        row("ARN", &arn),
        row("User id", &user_id),
        row("Access key", access_key_id),
    ])
}
