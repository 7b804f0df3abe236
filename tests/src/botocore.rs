//! botocore as the other client: what it makes of the same request.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::tool;

/// What a real client of botocore makes of each question, in the form that `oracle/botocore_client.py` tells.
///
/// # Errors
///
/// If it is not installed, or fails: it says on stderr why.
pub fn client(questions: &[Value]) -> Result<Vec<Value>> {
    let mut child = Command::new(tool("KEYFOB_PYTHON")?)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/botocore_client.py"))
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // One line each way: neither waits for the other.
    writeln!(child.stdin.take().context("no stdin")?, "{}", serde_json::to_string(questions)?)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "botocore failed, see above");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    ensure!(answers.len() == questions.len(), "botocore answered {} of {}", answers.len(), questions.len());
    Ok(answers)
}
