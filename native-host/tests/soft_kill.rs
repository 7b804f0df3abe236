//! A software key's file through the death of its writer: a process is killed again and again while it writes, and
//! whatever it had said to be written is there.

#![allow(clippy::unwrap_used, clippy::explicit_write, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use keyfob::soft::{Name, SoftError, SoftKeys, Unlock};
use keyfob_core::secret::Secret;
use zeroize::Zeroizing;

/// Makes this file's test the process that writes. Its value is the folder.
const WRITER: &str = "KEYFOB_TEST_SOFT_KILL_FOLDER";

fn number(state: &[u8]) -> u64 {
    u64::from_be_bytes(*state.last_chunk().unwrap())
}

/// Counts up in the file for ever, and says each number after it is written.
fn write_for_ever(folder: &Path) {
    let (keys, name, secret) = at(folder);
    let mut opened = keys.open(&name, Unlock::Passphrase(&secret)).unwrap();
    loop {
        let next = |state: &[u8]| {
            let number = number(state) + 1;
            // Long enough that writing it is no single step.
            let mut state = Zeroizing::new(vec![0xa5; 20_000]);
            state.extend_from_slice(&number.to_be_bytes());
            Ok::<_, SoftError>((number, Some(state)))
        };
        let written = opened.update(next).unwrap();
        // Not `println!`, which the test runner captures.
        writeln!(std::io::stderr(), "{written}").unwrap();
    }
}

fn at(folder: &Path) -> (SoftKeys, Name, Secret) {
    (SoftKeys::new(folder.to_owned()), "demo".parse().unwrap(), Secret::from("p".to_owned()))
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if let Some(folder) = env::var_os(WRITER) {
        return write_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let (keys, name, secret) = at(folder.path());
    keys.create(&name, Unlock::Passphrase(&secret), &0u64.to_be_bytes()).unwrap();
    for round in 0..12 {
        let before = number(keys.open(&name, Unlock::Passphrase(&secret)).unwrap().state());
        let mut writer = Command::new(env::current_exe().unwrap())
            .args(["--exact", "what_was_acknowledged_survives_a_kill", "--nocapture"])
            .env(WRITER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(writer.stderr.take().unwrap()).lines();
        let mut said = lines.next().unwrap().unwrap();
        assert_eq!(said, (before + 1).to_string());
        // Killed each round at another instant of its cycle; and until then readers see whole files only.
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(40_000 + 470 * round) {
            keys.protection(&name).unwrap();
        }
        writer.kill().unwrap();
        // All that it said before it died; its last line may be cut short, then it was not said.
        for line in lines.map_while(Result::ok) {
            said = if line.len() >= said.len() { line } else { said };
        }
        writer.wait().unwrap();
        let mut opened = keys.open(&name, Unlock::Passphrase(&secret)).unwrap();
        assert!(number(opened.state()) >= said.parse().unwrap(), "{said} was written and is gone");
        // The dead writer's lock does not stay.
        let stored = number(opened.state());
        let next = opened.update(|state| Ok::<_, SoftError>((number(state), None))).unwrap();
        assert_eq!(next, stored);
    }
    let last = number(keys.open(&name, Unlock::Passphrase(&secret)).unwrap().state());
    assert!(last >= 12, "{last}: the writers did write");
    // A killed writer may leave its temporary file; it is no software key and in nobody's way.
    let names: Vec<_> = keys.list().unwrap();
    assert_eq!(names, [name]);
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 2 + 12);
}
