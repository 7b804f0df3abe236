//! `keyfob sessions`: what the agent keeps.

use clap::Subcommand;
use keyfob_core::message::Failure;

use super::args::Global;
use crate::exit::Exit;

/// As it is typed.
#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List the sessions that are kept, and when they end
    List,
    /// Forget sessions, so that the next program gets new ones
    Clear {
        /// Profiles whose sessions are forgotten; without any: all
        #[arg(add = super::complete::profiles())]
        profiles: Vec<String>,
    },
}

pub(super) fn run(global: &Global, sessions: &Sessions) -> Result<Exit, Failure> {
    let _ = (global, sessions);
    todo!()
}
