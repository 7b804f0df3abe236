//! Keys that take turns in one reader, as where a computer has room for one: whichever is asked for is plugged in.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::home::Home;
use crate::leash::Leash;
use crate::pcscd::{Pcscd, YUBIKEY_READER};

/// A reader and the keys for it.
pub struct Turns {
    inserted: Option<Leash>,
    /// Name and id of each.
    keys: Vec<(String, String)>,
    /// Where the keys are files: not where they are used.
    cards: Home,
    pcscd: Pcscd,
}

impl Turns {
    /// New keys, none of them in the reader, which `home` uses from now on.
    ///
    /// # Errors
    /// If there is no service for the reader.
    pub fn new(home: &mut Home, names: &[&str]) -> Result<Self> {
        let pcscd = Pcscd::start(&[YUBIKEY_READER])?;
        let mut cards = Home::new()?;
        home.use_pcscd(&pcscd);
        cards.use_pcscd(&pcscd);
        let mut turns = Self { inserted: None, keys: Vec::new(), cards, pcscd };
        for name in names {
            turns.cards.succeed(&["soft", "create", name], "")?;
            turns.keys.push(((*name).to_owned(), String::new()));
            turns.insert(turns.keys.len() - 1)?;
            let listed: Value = serde_json::from_str(&home.succeed(&["--json", "list"], "")?)?;
            let id = listed[0]["id"].as_str().with_context(|| listed.to_string())?.to_owned();
            turns.keys.last_mut().context("a key")?.1 = id;
        }
        turns.remove();
        Ok(turns)
    }

    /// What names a key.
    pub fn id(&self, at: usize) -> &str {
        &self.keys[at].1
    }

    /// Puts a key into the reader, in place of what is there; its id.
    ///
    /// # Errors
    /// If it is not seen there.
    pub fn insert(&mut self, at: usize) -> Result<String> {
        self.remove();
        let (name, id) = &self.keys[at];
        self.inserted = Some(self.pcscd.insert_soft_key(0, &self.cards, name)?);
        Ok(id.clone())
    }

    /// Takes out what is there.
    pub fn remove(&mut self) {
        drop(self.inserted.take());
    }

    /// Runs a command of `keyfob`, and plugs in whichever key it asks for: whether it succeeded, which keys it asked for, and what
    /// it said.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn run(&mut self, mut keyfob: Command) -> Result<(bool, Vec<usize>, String)> {
        keyfob.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = keyfob.spawn()?;
        let (mut said, mut asked) = (String::new(), Vec::new());
        for line in BufReader::new(child.stderr.take().context("what it says")?).lines() {
            let line = line?;
            if let Some(at) = self.keys.iter().position(|(_, id)| line == format!("Plug in key {id}.")) {
                self.insert(at)?;
                asked.push(at);
            }
            said.push_str(&line);
            said.push('\n');
        }
        Ok((child.wait()?.success(), asked, said))
    }
}
