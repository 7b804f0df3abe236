//! The same secret on several keys, so that there is a backup: it cannot be read from a key again.

use keyfob_core::message::{ErrorCode, Failure, Key, Op};

use super::args::Global;
use super::client::Client;
use super::output;
use crate::error::failure;
use crate::prompt;

/// Calls `write` with the id of each key that is to have it: those that `--key` names, or as many as `copies` says, one
/// after another in the same port if need be.
///
/// # Errors
/// Those of `write`, with the keys that were written before; that a key is not there is said before anything is written.
pub(super) fn to_each(
    global: &Global,
    copies: u8,
    mut write: impl FnMut(&mut Client<'_>, Option<String>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut client = Client::new(global)?;
    if global.key.len() <= 1 && copies <= 1 {
        return write(&mut client, global.one_key()?);
    }
    let mut done: Vec<Key> = Vec::new();
    let mut write = |client: &mut Client<'_>, key: Key, done: &mut Vec<Key>| {
        write(client, Some(key.id.clone())).map_err(|error| after(error, done))?;
        output::note(global.quiet, &format!("That is on key {} ({}) now.", key.id, key.label));
        done.push(key);
        Ok::<_, Failure>(())
    };
    if global.key.len() > 1 {
        let mut keys = Vec::new();
        for name in &global.key {
            let key = client.info(Some(name.clone()))?;
            if keys.iter().any(|other: &Key| other.id == key.id) {
                let text = format!("key {} is named twice", key.id);
                return Err(failure(ErrorCode::InvalidInput, text, "name each key once"));
            }
            keys.push(key);
        }
        return to_all(&mut client, keys, &mut done, &mut write);
    }
    // All that are wanted are plugged in already, or they come one by one.
    let there = client.keys()?;
    if global.key.is_empty() && there.len() == usize::from(copies) {
        return to_all(&mut client, there, &mut done, &mut write);
    }
    let first = client.info(global.one_key()?)?;
    write(&mut client, first, &mut done)?;
    while done.len() < usize::from(copies) {
        let key = next(&mut client, &done).map_err(|error| after(error, &done))?;
        write(&mut client, key, &mut done)?;
    }
    Ok(())
}

/// Writes to keys that are all plugged in; each must be open before the first is written.
fn to_all(
    client: &mut Client<'_>,
    keys: Vec<Key>,
    done: &mut Vec<Key>,
    write: &mut impl FnMut(&mut Client<'_>, Key, &mut Vec<Key>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for key in &keys {
        client.ask_key(Some(key.id.clone()), Op::Listing { codes: false, at: None })?;
    }
    keys.into_iter().try_for_each(|key| write(client, key, done))
}

/// The next key, when the person has plugged it in.
fn next(client: &mut Client<'_>, done: &[Key]) -> Result<Key, Failure> {
    loop {
        prompt::answer("Plug in the next key and press Enter: ").map_err(|_| {
            failure(
                ErrorCode::InvalidInput,
                "there is no terminal to ask for the next key on",
                "plug in all keys and name them: --key A --key B",
            )
        })?;
        let mut new = client.keys()?;
        new.retain(|key| !done.iter().any(|other| other.id == key.id));
        match new.pop() {
            Some(key) if new.is_empty() => return Ok(key),
            Some(_) => {
                output::note(false, "Several keys that have not got it are plugged in: leave one of them.")
            }
            None => output::note(false, "No key is plugged in that has not got it yet."),
        }
    }
}

/// A failure after some keys were written.
fn after(error: Failure, done: &[Key]) -> Failure {
    if done.is_empty() {
        return error;
    }
    let done: Vec<_> = done.iter().map(|key| key.id.as_str()).collect();
    Failure { message: format!("{}; it is on {} already", error.message, done.join(", ")), ..error }
}
