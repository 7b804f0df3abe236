//! Who asks, with the settings that hold for them.
//!
//! A front end resolves them, from its environment and the user's configuration, and sends them along: whoever holds the
//! key (this process, or the agent) uses none of its own.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::asker;
use crate::config::Config;
use crate::key::SoftSettings;
use crate::policy::Caller;

/// One front end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What it is, which decides what it may ask.
    pub caller: Caller,
    /// The program on whose behalf it asks, as prompts name it.
    pub asker: String,
    /// The user's configuration.
    pub config: Config,
    /// How software keys are opened and touched.
    pub soft: SoftSettings,
}

impl Client {
    /// A front end of this process. `env` reads an environment variable.
    #[must_use]
    pub fn new(caller: Caller, config: Config, env: impl Fn(&str) -> Option<OsString>) -> Self {
        let asker = asker::name();
        Self { caller, asker, config, soft: SoftSettings::new(env) }
    }
}

/// Whether anybody still waits for an answer.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody does, from now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether that was said.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
