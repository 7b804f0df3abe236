//! The least that a code costs over PC/SC: the exchange alone, without anything around it. What `keyfob code` is compared
//! with.

use std::ffi::CString;

use anyhow::{Context as _, Result, ensure};
use keyfob_core::oath::{CalculateAll, Request as _, Select};
use pcsc::{Context, Disposition, MAX_BUFFER_SIZE_EXTENDED, Protocols, Scope, ShareMode, Transaction};

/// ISO 7816-4's "more data", and YKOATH's SEND REMAINING.
const MORE: u8 = 0x61;
const SEND_REMAINING: [u8; 5] = [0, 0xA5, 0, 0, 0];

/// Connects to the service and to the card in `reader`, SELECTs the OATH applet and has all codes calculated, under one
/// transaction; gives the length of what came.
///
/// # Errors
///
/// Those of PC/SC, and of a card that answers anything but `9000`.
pub fn exchange(reader: &str) -> Result<usize> {
    let context = Context::establish(Scope::User)?;
    let mut names = [0; 2048];
    let wanted = CString::new(reader)?;
    ensure!(context.list_readers(&mut names)?.any(|name| name == wanted.as_c_str()), "no reader {reader}");
    let mut card = context.connect(&wanted, ShareMode::Shared, Protocols::ANY)?;
    let transaction = card.transaction()?;
    let selected = all(&transaction, Select.command()?.as_bytes())?;
    let calculated = all(&transaction, CalculateAll { challenge: 1 }.command()?.as_bytes())?;
    transaction.end(Disposition::LeaveCard).map_err(|(_, error)| error)?;
    card.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error)?;
    Ok(selected + calculated)
}

/// The length of a command's whole response.
fn all(transaction: &Transaction<'_>, command: &[u8]) -> Result<usize> {
    let (mut buffer, mut length) = ([0; MAX_BUFFER_SIZE_EXTENDED], 0);
    let mut response = transaction.transmit(command, &mut buffer)?;
    loop {
        let (data, status) = response.split_last_chunk::<2>().context("no status word")?;
        length += data.len();
        match status {
            [MORE, _] => response = transaction.transmit(&SEND_REMAINING, &mut buffer)?,
            [0x90, 0] => return Ok(length),
            status => anyhow::bail!("the card answers {status:02x?}"),
        }
    }
}
