//! What every front end sets up: the environment read once, the service, and who answers its questions.

use std::ffi::OsString;
use std::fs::File;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use keyfob_core::message::{self, Answer, ErrorCode, Event, Failure, Op, Reply, Request};

use crate::agent;
use crate::client::Client;
use crate::config::Config;
use crate::error::{Refusal, failure};
use crate::harden;
use crate::holder::{Desk, Local};
use crate::key::{KeyError, Keys, ServedCard, SoftKeys, SoftSettings};
use crate::link_desk::LinkDesk;
use crate::passwords::Passwords;
use crate::paths::Paths;
use crate::policy::Caller;
use crate::prompt::{self, PromptError};
use crate::service::Service;
use crate::soft;
use crate::touch::OnDesktop;

/// An environment variable of the process.
#[must_use]
pub fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Who answers a front end's requests.
///
/// # Errors
/// What is wrong with configuration and environment.
pub fn desk(caller: Caller, agent: Agent) -> Result<Box<dyn Desk>, Failure> {
    let (paths, client) = client(caller)?;
    Ok(desk_of(&paths, client, agent))
}

/// Who answers a browser's requests: as [`desk`], with notices of touches on the desktop, and trying links itself.
///
/// # Errors
/// As [`desk`].
pub fn browser_desk(extension: String) -> Result<Box<dyn Desk>, Failure> {
    let (paths, client) = client(Caller::Browser { extension })?;
    let desk = OnDesktop(desk_of(&paths, client.clone(), Agent::Yes));
    Ok(Box::new(LinkDesk::new(Box::new(desk), client)))
}

fn client(caller: Caller) -> Result<(Paths, Client), Failure> {
    // Passwords and answers pass through every front end.
    harden::process();
    let paths = paths()?;
    let config = config(&paths)?;
    Ok((paths, Client::new(caller, config, env)))
}

fn desk_of(paths: &Paths, client: Client, agent: Agent) -> Box<dyn Desk> {
    if agent == Agent::Yes
        && client.config.agent
        && let Some(remote) = agent::connect(paths, &client)
    {
        return remote;
    }
    Box::new(Local::new(local_service(paths), client))
}

/// As [`desk`], of the agent alone, and only of one that runs; none where there is none.
///
/// # Errors
/// As [`desk`]; if it does not answer.
pub fn running_desk(caller: Caller) -> Result<Option<Box<dyn Desk>>, Failure> {
    let (paths, client) = client(caller)?;
    if !client.config.agent {
        return Ok(None);
    }
    let desk = agent::connect_running(&paths, &client);
    if desk.is_none() {
        // One that is there and does not answer still has what it has.
        agent::status(&paths)?;
    }
    Ok(desk)
}

/// As [`desk`], of the agent alone, which is started where there is none: for what several front ends do together. `what` begins the
/// sentence that says that they cannot without it.
///
/// # Errors
/// As [`desk`]; if it is switched off, or cannot be had.
pub fn agent_desk(caller: Caller, agent: Agent, what: &str) -> Result<Box<dyn Desk>, Failure> {
    let (paths, client) = client(caller)?;
    if agent == Agent::No || !client.config.agent {
        return Err(failure(
            ErrorCode::InvalidInput,
            format!("{what} through the agent, which is not to be used"),
            "leave out --no-agent and KEYFOB_NO_AGENT, and `agent = false` in config.toml",
        ));
    }
    match agent::connect(&paths, &client) {
        Some(desk) => Ok(desk),
        None => {
            let text = format!("{what} through the agent, which cannot be reached");
            Err(failure(ErrorCode::Io, text, "`keyfob agent start` says why"))
        }
    }
}

/// The user's configuration.
///
/// # Errors
/// What is wrong with it.
pub fn config(paths: &Paths) -> Result<Config, Failure> {
    Config::load(&paths.config_file(), env).map_err(|error| failure(error.code(), &error, ""))
}

/// After so long without a word whoever is asked is looked at.
const SILENCE: Duration = Duration::from_secs(5);
/// So often in a row they must be found not to go on: once may be a computer that is busy.
const LOOKS: u32 = 2;

/// Asks, and waits for the answer, until the deadline if there is one; events go to `events`.
///
/// # Errors
/// Those of the answer; [`ErrorCode::TouchTimeout`] if nobody has touched the key by then, or [`ErrorCode::Busy`]; those of
/// [`Desk::look`].
pub fn ask(
    desk: &dyn Desk,
    request: Request,
    deadline: Option<Instant>,
    mut events: impl FnMut(Event),
) -> Result<Answer, Failure> {
    let (sender, replies) = channel();
    let id = request.id.clone();
    desk.ask(request, Box::new(move |reply| drop(sender.send(reply))));
    let (mut touch, mut waiting, mut silent) = (false, None, 0);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match replies.recv_timeout(left.map_or(SILENCE, |left| left.min(SILENCE))) {
            Err(RecvTimeoutError::Timeout) if left.is_none_or(|left| left > SILENCE) => match desk.look() {
                Ok(()) => silent = 0,
                Err(_) if silent + 1 < LOOKS => silent += 1,
                Err(error) => return Err(error),
            },
            Ok(Reply::Event { event, .. }) => {
                match &event {
                    Event::TouchRequired { .. } => touch = true,
                    Event::Waiting { why } => waiting = Some(why.clone()),
                    _ => {}
                }
                events(event);
            }
            Ok(Reply::Done { answer, .. }) => return Ok(answer),
            Ok(Reply::Failed { error, .. }) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {
                let cancel = Op::Cancel { request: id };
                let request = Request { v: message::VERSION, id: "cancel".to_owned(), key: None, op: cancel };
                desk.ask(request, Box::new(|_| ()));
                return Err(match waiting {
                    _ if touch => failure(
                        ErrorCode::TouchTimeout,
                        "nobody touched the key in time",
                        "ask again, and touch it while it blinks",
                    ),
                    Some(why) => {
                        failure(ErrorCode::Busy, format!("given up: {why}"), "give a longer --timeout")
                    }
                    None => failure(
                        ErrorCode::Busy,
                        "the key has not answered in time",
                        "give a longer --timeout",
                    ),
                });
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                let text = "whoever holds the key broke off";
                return Err(failure(ErrorCode::Internal, text, "please report this"));
            }
        }
    }
}

/// Whether the agent is asked, or this process holds the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// The agent, started where there is none.
    Yes,
    /// This process.
    No,
}

/// A service over this user's keys.
#[must_use]
pub fn local_service(paths: &Paths) -> Service {
    Service::new(
        Keys::new(SoftKeys::new(soft::SoftKeys::new(paths.soft_keys()))),
        Passwords::new(paths.passwords()),
    )
}

/// Standard input, past the buffer of [`std::io::stdin`]: that is never erased, and takes more than it is asked for.
///
/// # Errors
/// If there is none.
pub fn unbuffered_stdin() -> std::io::Result<File> {
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&std::io::stdin()).try_clone_to_owned();
    handle.map(File::from)
}

/// Standard output, past the buffer of [`std::io::stdout`]: what is written is written, and its length is known.
///
/// # Errors
/// If there is none.
pub fn unbuffered_stdout() -> std::io::Result<File> {
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&std::io::stdout()).try_clone_to_owned();
    handle.map(File::from)
}

/// The files of the software keys.
///
/// # Errors
/// If there is no folder for them.
pub fn soft_files() -> Result<soft::SoftKeys, Failure> {
    Ok(soft::SoftKeys::new(paths()?.soft_keys()))
}

/// A software key as a card; its passphrase is asked for at the terminal.
///
/// # Errors
/// What keeps it from being opened.
pub fn served_card(name: &str) -> Result<ServedCard, Failure> {
    let refused = |error| Refusal::from(error).0;
    let mut keys = SoftKeys::new(soft_files()?);
    keys.settings = SoftSettings::new(env);
    if !keys.is_open(name).map_err(refused)? {
        let what = soft::passphrase_of(&name.parse().map_err(|error| refused(KeyError::Soft(error)))?);
        let passphrase =
            prompt::passphrase(&what, |_| None, &mut |_| ()).map_err(|error| prompt_failure(&error))?;
        keys.unlock(name, &passphrase).map_err(refused)?;
    }
    keys.card(name).map_err(refused)
}

/// Where this user's files are.
///
/// # Errors
/// If no home is known.
pub fn paths() -> Result<Paths, Failure> {
    Paths::resolve(env).map_err(|error| failure(error.code(), &error, ""))
}

/// A prompt's error as the protocol says it.
#[must_use]
pub fn prompt_failure(error: &PromptError) -> Failure {
    failure(error.code(), error, error.hint().unwrap_or_default())
}
