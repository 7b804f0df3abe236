//! The harness of the end-to-end tests, the demonstration and the benchmarks: real components, each started
//! privately and ended with the test, so that nothing of the user's is touched.
//!
//! Everything is told where the programs are by environment variables that `cargo xtask` sets ([`tool`]).

pub mod bare;
pub mod botocore;
pub mod ceph;
pub mod counted;
pub mod home;
pub mod host;
pub mod http;
pub mod identity;
pub mod keychain;
pub mod kills;
pub mod leash;
pub mod memory;
pub mod moto;
pub mod pcscd;
pub mod random;
pub mod s3s;
pub mod sdk_client;
pub mod stand_in;
pub mod terminal;
pub mod tls;
pub mod turns;
pub mod vpcd;
pub mod ykman;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A program or folder that `cargo xtask` built or installed, by the name of its environment variable.
///
/// # Errors
///
/// If the variable is not set: then this was not started by `cargo xtask`.
pub fn tool(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).filter(|value| !value.is_empty());
    path.map(PathBuf::from).with_context(|| format!("{variable} is not set: please run `cargo xtask test`"))
}

/// Asks every few milliseconds until there is an answer, for at most half a minute.
///
/// # Errors
///
/// When the time is over, saying what was waited for.
pub fn poll<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = answer() {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("waited 30 s in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
