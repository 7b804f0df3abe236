//! A program of somebody's that uses the AWS SDK for Rust: it gets its credentials as its surroundings say, and asks AWS whose they
//! are.
//!
//! It is one of the tests of the program that starts it: a test file that has such a client calls [`client`] in a test of this name.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Says that the test is to be the client.
const INSIDE: &str = "KEYFOB_TEST_SDK_CLIENT";
/// The name of the test.
const TEST: &str = "sdk_client";

/// The program, its arguments, and the variable that it must find in its environment.
///
/// # Errors
///
/// If this program does not know where it is.
pub fn program() -> Result<(PathBuf, Vec<OsString>, (&'static str, &'static str))> {
    let arguments = ["--exact", TEST, "--nocapture"].map(OsString::from).to_vec();
    Ok((std::env::current_exe()?, arguments, (INSIDE, "1")))
}

/// Is the client, where this process is to be that: prints the ARN of who it is.
///
/// # Errors
///
/// If it gets no credentials, or AWS does not take them.
pub fn client() -> Result<()> {
    if std::env::var_os(INSIDE).is_none() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arn = runtime.block_on(async {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config =
            aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await;
        let caller = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await?;
        anyhow::Ok(caller.arn().context("no ARN")?.to_owned())
    })?;
    println!("{arn}");
    Ok(())
}
