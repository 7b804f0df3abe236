//! `keyfob sessions`: what the agent keeps.

use std::collections::BTreeSet;

use clap::Subcommand;
use keyfob_core::message::{self, Answer, ErrorCode, Failure, KeptSession, Op, Request};
use serde::Serialize;
use serde_json::json;

use super::args::Global;
use super::{commands, output};
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::holder::Desk;
use crate::policy::Caller;
use crate::prompt::printable;
use crate::service::{self, unix_time};

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

/// A session, as it is printed for programs.
#[derive(Serialize)]
struct Printed<'a> {
    profiles: &'a [String],
    of: &'a str,
    made_by: &'a str,
    access_key_id: &'a str,
    expires_at: u64,
    seconds_left: u64,
}

pub(super) fn run(global: &Global, sessions: &Sessions) -> Result<Exit, Failure> {
    // Whoever asks what is kept, or has it forgotten, starts no agent for it.
    let desk = if global.no_agent { None } else { front::running_desk(Caller::CommandLine)? };
    if desk.is_none() {
        let why = if global.no_agent { "Without the agent" } else { "The agent does not run:" };
        output::note(global.quiet, &format!("{why} no sessions are kept."));
    }
    let agent = Agent { desk, global };
    match sessions {
        Sessions::List => agent.list()?,
        Sessions::Clear { profiles } => agent.clear(profiles)?,
    }
    Ok(Exit::Ok)
}

/// The agent, if one runs.
struct Agent<'a> {
    desk: Option<Box<dyn Desk>>,
    global: &'a Global,
}

impl Agent<'_> {
    fn ask(desk: &dyn Desk, global: &Global, op: Op) -> Result<Answer, Failure> {
        let request = Request { v: message::VERSION, id: "sessions".to_owned(), key: None, op };
        front::ask(desk, request, global.deadline(), |_| ())
    }

    fn kept(&self) -> Result<Vec<KeptSession>, Failure> {
        let Some(desk) = &self.desk else { return Ok(Vec::new()) };
        match Self::ask(&**desk, self.global, Op::Sessions {})? {
            Answer::Sessions { sessions } => Ok(sessions),
            other => commands::unexpected(other),
        }
    }

    fn list(&self) -> Result<(), Failure> {
        let (kept, now) = (self.kept()?, unix_time());
        if self.global.json {
            let printed = kept.iter().map(|session| Printed {
                profiles: &session.profiles,
                of: &session.label.of,
                made_by: &session.label.made_by,
                access_key_id: &session.access_key_id,
                expires_at: session.expires_at,
                seconds_left: session.expires_at.saturating_sub(now),
            });
            return output::json(&printed.collect::<Vec<_>>());
        }
        if kept.is_empty() && self.desk.is_some() {
            output::note(self.global.quiet, "No sessions are kept.");
        }
        let row = |session: &KeptSession| {
            let left = service::duration(session.expires_at.saturating_sub(now));
            vec![
                printable(&session.profiles.join(", ")).into_owned(),
                printable(&session.label.of).into_owned(),
                printable(&session.label.made_by).into_owned(),
                format!("ends in {left}"),
            ]
        };
        output::rows(&kept.iter().map(row).collect::<Vec<_>>())
    }

    fn clear(&self, profiles: &[String]) -> Result<(), Failure> {
        // All names are looked at before anything is forgotten.
        let kept = self.kept()?;
        let known: BTreeSet<&String> = kept.iter().flat_map(|session| &session.profiles).collect();
        if let Some(unknown) = profiles.iter().find(|profile| !known.contains(profile)) {
            let hint = if known.is_empty() { "there is nothing to forget" } else { "name one of these" };
            let text = format!("no session is kept for the profile {unknown:?}");
            let candidates = known.into_iter().cloned().collect();
            return Err(Failure { candidates, ..failure(ErrorCode::NotFound, text, hint) });
        }
        let mut forgotten = 0;
        if let Some(desk) = &self.desk {
            let one_by_one = profiles.iter().map(|profile| Some(profile.clone()));
            let all = profiles.is_empty().then_some(None);
            for profile in one_by_one.chain(all) {
                match Self::ask(&**desk, self.global, Op::ClearSessions { profile })? {
                    Answer::SessionsCleared { cleared } => forgotten += cleared,
                    other => return commands::unexpected(other),
                }
            }
        }
        if self.global.json {
            return output::json(&json!({ "cleared": forgotten }));
        }
        if self.desk.is_some() {
            let sessions = if forgotten == 1 { "session is" } else { "sessions are" };
            output::note(self.global.quiet, &format!("{forgotten} {sessions} forgotten."));
        }
        Ok(())
    }
}
