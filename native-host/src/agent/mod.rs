//! The agent: one process that holds the keys for all front ends of a user.
//!
//! It is started by the first front end that wants a key, on a socket (Windows: a named pipe) of the user's alone, and
//! ends when nobody has asked anything for a while. Each connection begins with an [`Opening`], by which a front end says who it is and sends
//! its settings; what follows is the protocol of [`keyfob_core::message`] in frames ([`crate::wire`]).
//!
//! Everything works without it: where there is none, and where it does not answer, a front end holds the keys itself.

mod place;
mod remote;
mod server;
mod sleep;
mod stirs;
/// What the agent needs of the system, by the same names on each.
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::time::Duration;

use keyfob_core::message::Failure;
use serde::{Deserialize, Serialize};

use crate::client::Client;

pub use self::remote::{connect, connect_running, start, status, stop};
pub use self::server::run;

/// After so long without a request passwords are forgotten, where the configuration says nothing else.
pub const IDLE: Duration = Duration::from_secs(15 * 60);

/// The first message of a connection.
#[derive(Debug, Serialize, Deserialize)]
struct Opening {
    /// Version of the protocol: [`keyfob_core::message::VERSION`].
    v: u16,
    purpose: Purpose,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Purpose {
    /// To ask, as this front end.
    Ask(Box<Client>),
    /// To be told how the agent is.
    Status,
    /// To end it.
    Stop,
}

/// The agent's answer to an [`Opening`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Opened {
    /// Requests may come.
    Welcome,
    /// How it is; or was, when it was told to end.
    Status(Status),
    /// Its program was replaced: it takes no more front ends, and another may be started.
    Retired,
    /// It does not serve this front end.
    Refused(Failure),
}

/// How the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// How many front ends are connected.
    pub clients: usize,
    /// Seconds without a request.
    pub idle: u64,
    /// Seconds without a request after which it forgets passwords, and ends when no front end is connected.
    pub idle_limit: u64,
}
