//! Systems without an agent: every front end holds the keys itself.

use std::time::Duration;

use keyfob_core::message::{ErrorCode, Failure};

use super::Status;
use crate::client::Client;
use crate::error::failure;
use crate::holder::Desk;
use crate::paths::Paths;

/// Connects to none.
#[must_use]
pub fn connect(_: &Paths, _: &Client) -> Option<Box<dyn Desk>> {
    None
}

/// How it is: not there.
///
/// # Errors
/// None.
pub fn status(_: &Paths) -> Result<Option<Status>, Failure> {
    Ok(None)
}

/// Ends none.
///
/// # Errors
/// None.
pub fn stop(_: &Paths) -> Result<Option<Status>, Failure> {
    Ok(None)
}

/// Starts none.
///
/// # Errors
/// Always.
pub fn start(_: &Paths) -> Result<Status, Failure> {
    Err(none())
}

/// Is none.
///
/// # Errors
/// Always.
pub fn run(_: Duration) -> Result<(), Failure> {
    Err(none())
}

fn none() -> Failure {
    failure(ErrorCode::Unsupported, "there is no agent on this system yet", "everything works without it")
}
