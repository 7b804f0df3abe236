//! The agent forgets passwords before the machine sleeps: on a system bus of the test's own, with a logind that says so.
#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(all(feature = "notify", target_os = "linux"))]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{env, thread};

use dbus::Message;
use dbus::blocking::LocalConnection;
use dbus::channel::{MatchingReceiver as _, Sender as _};
use dbus::message::MatchRule;

/// Says to a process started by the test that it is inside.
const INSIDE: &str = "KEYFOB_TEST_SLEEP";
const NAME: &str = "before_the_machine_sleeps_all_is_locked";

#[test]
fn before_the_machine_sleeps_all_is_locked() {
    if env::var_os(INSIDE).is_none() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("passphrase"), "correct horse").unwrap();
        let output = Command::new("dbus-run-session")
            .arg("--")
            .arg(env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env(INSIDE, "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    // The session bus of the test is the system bus of the agent.
    let bus = env::var("DBUS_SESSION_BUS_ADDRESS").unwrap();
    let home = env::var("HOME").unwrap();
    let keyfob = |args: &[&str], passphrase: bool, input: &str| {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(env!("CARGO_BIN_EXE_keyfob")).args(args).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("KEYFOB_CONFIG", &home).env("KEYFOB_KEY", "soft:test");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus).env("PCSCLITE_CSOCK_NAME", format!("{home}/no-pcscd"));
        if passphrase {
            command.env("KEYFOB_PASSPHRASE_FILE", format!("{home}/passphrase"));
        }
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        // What wants no input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait().unwrap().code().unwrap()
    };

    // Logind: lets sleep be held up, and says when it is near.
    let (inhibited, holds) = channel();
    let (sleep, told) = channel::<()>();
    thread::spawn(move || {
        let bus = LocalConnection::new_session().unwrap();
        bus.request_name("org.freedesktop.login1", false, true, false).unwrap();
        let answer = move |call: Message, bus: &LocalConnection| {
            let (what, _, _, how) = call.get4::<String, String, String, String>();
            inhibited.send((what.unwrap(), how.unwrap())).unwrap();
            // The pipe's other end would be noticed when it is closed.
            let file = std::fs::File::open("/dev/null").unwrap();
            bus.send(call.method_return().append1(std::os::fd::OwnedFd::from(file))).unwrap();
            true
        };
        bus.start_receive(MatchRule::new_method_call(), Box::new(answer));
        loop {
            bus.process(Duration::from_millis(20)).unwrap();
            if told.try_recv().is_ok() {
                let path = "/org/freedesktop/login1";
                let signal =
                    Message::new_signal(path, "org.freedesktop.login1.Manager", "PrepareForSleep").unwrap();
                bus.send(signal.append1(true)).unwrap();
            }
        }
    });

    assert_eq!(keyfob(&["soft", "create", "test"], true, ""), 0);
    assert_eq!(keyfob(&["oath", "add", "one"], true, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), 0);
    let (what, how) = holds.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((what.as_str(), how.as_str()), ("sleep", "delay"));
    assert_eq!(keyfob(&["code", "one"], false, ""), 0, "the agent has the key open");
    sleep.send(()).unwrap();
    // Each look is a request of its own.
    for _ in 0..200 {
        if keyfob(&["code", "one"], false, "") == 5 {
            keyfob(&["agent", "stop"], false, "");
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    keyfob(&["agent", "stop"], false, "");
    panic!("the agent has not forgotten the passphrase");
}
