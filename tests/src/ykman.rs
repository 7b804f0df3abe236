//! ykman as the other client: its commands and its library, in one process that stays.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::home::Home;
use crate::tool;

const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/other_client.py");

/// A running `oracle/other_client.py`; ends when dropped.
pub struct Ykman {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    reader: String,
}

/// How a command of ykman's ended.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub status: i64,
    /// What it printed.
    pub out: String,
    /// What it said on stderr, and the exception it ended with, if any.
    pub err: String,
}

impl Ykman {
    /// Starts it, for the key in one reader of the home's PC/SC service.
    ///
    /// # Errors
    ///
    /// As [`tool`], and if it cannot be started.
    pub fn start(home: &Home, reader: &str) -> Result<Self> {
        let mut python = home.command(tool("KEYFOB_PYTHON")?);
        python.arg(Path::new(ORACLE)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, input, output, reader: reader.to_owned() })
    }

    /// Runs `ykman --reader READER oath ARGS` with that input, at that Unix time (or the real one).
    ///
    /// # Errors
    ///
    /// If the process has ended; not if the command fails.
    pub fn run(&mut self, args: &[&str], input: &str, at: Option<u64>) -> Result<Run> {
        let args = [&["--reader", &self.reader, "oath"], args].concat();
        let answer = self.ask(&json!({ "args": args, "input": input, "at": at }))?;
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        Ok(Run {
            status: answer["status"].as_i64().context("no status")?,
            out: text("out"),
            err: text("err"),
        })
    }

    /// What its library sees of the key at a Unix time; `password` is asked for only by a locked one.
    ///
    /// # Errors
    ///
    /// If the library fails: its process ends then.
    pub fn state(&mut self, password: Option<&str>, at: u64) -> Result<Value> {
        let reader = self.reader.clone();
        self.ask(&json!({ "reader": reader, "password": password, "at": at }))
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let input = self.input.as_mut().context("its input is closed")?;
        writeln!(input, "{request}")?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "ykman has ended (see above) at {request}");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Ykman {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself; its status is of no interest here.
        let _ = self.child.wait();
    }
}
