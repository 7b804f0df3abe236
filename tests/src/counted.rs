//! A key with many accounts in a reader, which notes the commands that it gets.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use keyfob_core::oath::{Algorithm, CredentialId, DigitCount, Kind, Put, Request, Select};
use keyfob_core::softkey::{Environment, SoftKey};

use crate::home::Home;
use crate::pcscd::Pcscd;
use crate::poll;
use crate::vpcd::{Answer, Inserted};

const SERIAL: u32 = 64_646_464;

/// The key; pulled out when dropped.
pub struct Counted {
    commands: Arc<Mutex<Vec<[u8; 2]>>>,
    _card: Inserted,
}

struct NoFinger;

impl Environment for NoFinger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        false
    }
    fn random(&mut self) -> [u8; 8] {
        [9; 8]
    }
}

impl Counted {
    /// Puts a key of today's firmware into the first slot of a reader, and waits until `home` sees it. Its accounts are called
    /// as [`Counted::account`] says, and want no touch.
    ///
    /// # Errors
    ///
    /// If there is no room for so many accounts, or as [`Pcscd::insert`].
    pub fn insert(pcscd: &Pcscd, reader: usize, home: &Home, accounts: usize) -> Result<Self> {
        let mut key = SoftKey::new(SERIAL, [6; 8]);
        let mut send = |command: &[u8]| -> Result<()> {
            let response = key.transmit(command, &mut NoFinger);
            ensure!(response.ends_with(&[0x90, 0]), "{response:02x?}");
            Ok(())
        };
        send(Select.command()?.as_bytes())?;
        for i in 0..accounts {
            let id = CredentialId::for_name(Kind::Totp, 30, &Self::account(i))?;
            let secret = format!("{i:020}");
            let put = Put::totp(id, Algorithm::Sha1, DigitCount::new(6)?, secret.as_bytes(), false);
            send(put.command()?.as_bytes())?;
        }
        key.power_cycle();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&commands);
        let card = pcscd.insert(reader, move |command| {
            if let [_, ins, p1, ..] = *command {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push([ins, p1]);
            }
            Answer::Response(key.transmit(command, &mut NoFinger).to_vec())
        })?;
        let counted = Self { commands, _card: card };
        let serial = format!("\"{SERIAL}\"");
        poll("the card", || {
            home.succeed(&["--json", "list"], "").is_ok_and(|list| list.contains(&serial)).then_some(())
        })?;
        counted.take();
        Ok(counted)
    }

    /// The name of an account.
    pub fn account(i: usize) -> String {
        format!("Example Issuer {i}:somebody{i}@example.com")
    }

    /// INS and P1 of the commands since this was last asked.
    pub fn take(&self) -> Vec<[u8; 2]> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
