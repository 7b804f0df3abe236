//! Sessions: temporary credentials for a profile, made by STS with requests that the key signs, and kept by the agent.

mod external;

use std::time::Duration;

use keyfob_core::message::{Answer, Failure, Op, Session};

use crate::profile::Profile;
use crate::signing::Ask;

/// A person at a front end, who is asked what programs cannot know.
pub trait Person: Ask {
    /// Asks a key: that one, or the one that was named on the command line or is the only one there is.
    ///
    /// # Errors
    /// That of the answer.
    fn ask_key(&mut self, key: Option<&str>, op: Op) -> Result<Answer, Failure>;

    /// Asks for the code of an MFA device that is on no key. `why` says why it is asked for: completes "…, so type it".
    ///
    /// # Errors
    /// If nobody can be asked.
    fn type_code(&mut self, serial: &str, why: &str) -> Result<String, Failure>;

    /// Says something that is worth knowing.
    fn note(&self, text: &str);

    /// How much time there is yet, if it is limited.
    fn time_left(&self) -> Option<Duration>;
}

/// What is asked for besides the profile.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// How long it is to last, in seconds, in place of what the profile says.
    pub duration: Option<u32>,
    /// Made anew: no session that is kept is used, and none is kept.
    pub no_session: bool,
}

/// The credentials of a profile: kept ones, or new ones.
///
/// # Errors
/// What keeps them from being made; AWS's refusals with what they mean here.
pub fn of_profile(person: &mut dyn Person, profile: &Profile, want: &Want) -> Result<Session, Failure> {
    todo!()
}
