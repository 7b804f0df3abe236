//! The operating system's keychain, for real: a session bus and a GNOME keyring of the test's own, in a home of
//! its own, ended with it. The user's keychain is never touched.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![cfg(all(feature = "keychain", target_os = "linux"))]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use keyfob::keychain::{self, KeychainError};
use keyfob::soft::{Name, Protection, SoftError, SoftKeys, Unlock};

/// Says to a process started by [`in_private_session`] that it is inside. Its value is the test's home.
const INSIDE: &str = "KEYFOB_TEST_KEYCHAIN_HOME";

/// Runs the test `name` of this file in a home of its own: with a keyring on a bus of its own, or without a bus.
#[track_caller]
fn in_private_session(name: &str, keyring: bool) {
    let home = tempfile::tempdir().unwrap();
    let runtime = home.path().join("run");
    fs::create_dir(&runtime).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
    let this = env::current_exe().unwrap();
    let mut command = if keyring {
        // The daemon unlocks its login keyring with the password on its standard input. It ends with the bus.
        let script = "printf test-password | gnome-keyring-daemon --unlock --components=secrets \
                      --control-directory=\"$XDG_RUNTIME_DIR\" >/dev/null && exec \"$@\"";
        let mut command = Command::new("dbus-run-session");
        command.args(["--", "sh", "-c", script, "sh"]).arg(this);
        command
    } else {
        Command::new(this)
    };
    let output = command
        .args(["--exact", name, "--nocapture"])
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", runtime.join("none").display()))
        .env(INSIDE, home.path())
        .stdin(Stdio::null())
        .output()
        .expect("dbus-run-session starts (Debian's packages dbus-daemon and gnome-keyring)");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The keychain, once its daemon has made the collection that it keeps things in: it says that it runs before that.
fn ready() -> Box<dyn keychain::Keychain> {
    let start = Instant::now();
    loop {
        let result = keychain::system().and_then(|keychain| {
            keychain.set("ready", b"yes")?;
            keychain.delete("ready")?;
            Ok(keychain)
        });
        match result {
            Ok(keychain) => return keychain,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "{error}"),
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_secret_service_keeps_the_key_of_a_software_key() {
    let Some(home) = env::var_os(INSIDE) else {
        return in_private_session("the_secret_service_keeps_the_key_of_a_software_key", true);
    };
    let keychain = ready();
    assert_eq!(keychain.get("entry").unwrap(), None);
    assert!(!keychain.delete("entry").unwrap());
    keychain.set("entry", b"one").unwrap();
    // Not text, and in the place of another.
    keychain.set("entry", b"\x00\xfftwo").unwrap();
    keychain.set("other", b"three").unwrap();
    assert_eq!(keychain.get("entry").unwrap().as_deref().map(Vec::as_slice), Some(&b"\x00\xfftwo"[..]));
    assert!(keychain.delete("entry").unwrap());
    assert_eq!(keychain.get("entry").unwrap(), None);
    assert!(keychain.get("other").unwrap().is_some());

    let folder = Path::new(&home).join("soft");
    let keys = SoftKeys::new(folder.clone());
    let name: Name = "demo".parse().unwrap();
    keys.create(&name, Unlock::Keychain(&*keychain), b"state").unwrap();
    assert_eq!(keys.protection(&name).unwrap(), Protection::Keychain);
    // Another connection, as another process has it.
    let again = keychain::system().unwrap();
    assert_eq!(keys.open(&name, Unlock::Keychain(&*again)).unwrap().state(), b"state");
    let file = fs::read(folder.join("demo.key")).unwrap();
    keys.delete(&name, keychain::system).unwrap();
    fs::write(folder.join("demo.key"), file).unwrap();
    let error = keys.open(&name, Unlock::Keychain(&*again)).unwrap_err();
    assert!(matches!(error, SoftError::KeyMissing(_)), "the key went with the file: {error:?}");
}

#[test]
fn no_keychain_is_said_and_nothing_waits_for_one() {
    if env::var_os(INSIDE).is_none() {
        return in_private_session("no_keychain_is_said_and_nothing_waits_for_one", false);
    }
    let Err(error) = keychain::system() else { panic!("there is no bus here") };
    assert!(matches!(error, KeychainError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("use a software key with a passphrase"), "{error}");
}
