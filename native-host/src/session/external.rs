//! What other programs give.
use std::time::Duration;

use keyfob_core::message::{Failure, Session};

pub(super) fn exported(profile: &str, time_left: Option<Duration>) -> Result<Session, Failure> {
    let _ = (profile, time_left);
    todo!()
}

pub(super) fn process(command: &str, profile: &str, time_left: Option<Duration>) -> Result<Session, Failure> {
    let _ = (command, profile, time_left);
    todo!()
}
