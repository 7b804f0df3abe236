//! The native-messaging host, started as a browser starts it.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result};
use keyfob::browser::DEVELOPMENT_ID;
use serde_json::{Value, json};

use crate::home::Home;

/// A running host; told to end when dropped.
pub struct Host {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Host {
    /// Starts the host of a home.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(home: &Home) -> Result<Self> {
        let mut keyfob = home.keyfob()?;
        keyfob.arg(format!("chrome-extension://{DEVELOPMENT_ID}/"));
        let mut child =
            keyfob.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("no stdout")?;
        Ok(Self { child, input, output })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The reply to an operation, after any events.
    ///
    /// # Errors
    ///
    /// If the host has ended, or speaks no JSON.
    pub fn ask(&mut self, op: &Value) -> Result<Value> {
        self.send("x", op)?;
        Ok(self.answer()?.0)
    }

    /// The next answer, and the prompts of touches before it.
    ///
    /// # Errors
    ///
    /// As [`Host::receive`].
    pub fn answer(&mut self) -> Result<(Value, Vec<String>)> {
        let mut prompts = Vec::new();
        loop {
            let reply = self.receive()?;
            if reply["type"] != "event" {
                return Ok((reply, prompts));
            }
            prompts.extend(reply["event"]["prompt"].as_str().map(str::to_owned));
        }
    }

    /// Sends a request, and waits for nothing.
    ///
    /// # Errors
    ///
    /// If the host has ended.
    pub fn send(&mut self, id: &str, op: &Value) -> Result<()> {
        self.send_message(&json!({ "v": 1, "id": id, "op": op }))
    }

    /// As [`Host::send`], for a request that is written whole.
    ///
    /// # Errors
    ///
    /// As [`Host::send`].
    pub fn send_message(&mut self, request: &Value) -> Result<()> {
        let message = request.to_string();
        let input = self.input.as_mut().context("the host's input is closed")?;
        input.write_all(&u32::try_from(message.len())?.to_ne_bytes())?;
        Ok(input.write_all(message.as_bytes())?)
    }

    /// The next message from the host.
    ///
    /// # Errors
    ///
    /// If the host has ended, or speaks no JSON.
    pub fn receive(&mut self) -> Result<Value> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).context("the host has ended")?;
        let mut reply = vec![0; usize::try_from(u32::from_ne_bytes(length))?];
        self.output.read_exact(&mut reply)?;
        Ok(serde_json::from_slice(&reply)?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends by itself; its status is of no interest here.
        let _ = self.child.wait();
    }
}
