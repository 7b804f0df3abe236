//! The notice on the desktop, for real: on a session bus of the test's own, with a service that takes notifications.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(all(feature = "notify", target_os = "linux"))]

use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{env, thread};

use dbus::Message;
use dbus::blocking::LocalConnection;
use dbus::channel::{MatchingReceiver as _, Sender as _};
use dbus::message::MatchRule;
use keyfob::notify;
use keyfob::touch::TouchNotice;

/// Says to a process started by [`in_private_session`] that it is inside.
const INSIDE: &str = "KEYFOB_TEST_NOTIFY";
const ID: u32 = 7;

/// What the desktop was asked.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Notify { title: String, body: String },
    Close(u32),
}

/// Runs the test `name` of this file in a home of its own, on a bus of its own.
#[track_caller]
fn in_private_session(name: &str) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("dbus-run-session")
        .arg("--")
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("dbus-run-session starts (Debian's package dbus-daemon)");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A desktop: tells its calls, and answers them unless it hangs.
fn desktop(hangs: bool) -> Receiver<Call> {
    let (calls, seen) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let bus = LocalConnection::new_session().unwrap();
        bus.request_name("org.freedesktop.Notifications", false, true, false).unwrap();
        let answer = move |message: Message, bus: &LocalConnection| {
            take(&message, &calls);
            if !hangs {
                let reply = message.method_return();
                let notified = message.member().as_deref() == Some("Notify");
                bus.send(if notified { reply.append1(ID) } else { reply }).unwrap();
            }
            true
        };
        bus.start_receive(MatchRule::new_method_call(), Box::new(answer));
        ready.send(()).unwrap();
        loop {
            bus.process(Duration::from_secs(1)).unwrap();
        }
    });
    is_ready.recv().unwrap();
    seen
}

fn take(message: &Message, calls: &Sender<Call>) {
    let call = match message.member().as_deref() {
        Some("Notify") => {
            let (_, _, _, title, body) = message.get5::<String, u32, String, String, String>();
            Call::Notify { title: title.unwrap(), body: body.unwrap() }
        }
        Some("CloseNotification") => Call::Close(message.get1().unwrap()),
        other => panic!("{other:?}"),
    };
    // The test has seen enough.
    let _ = calls.send(call);
}

const PATIENCE: Duration = Duration::from_secs(20);
const TEXT: &str = "aws asks for the code of <b>AWS</b> & Co\u{1b}";

#[test]
fn the_desktop_says_it_after_a_while_and_no_longer_than_it_is_true() {
    if env::var_os(INSIDE).is_none() {
        return in_private_session("the_desktop_says_it_after_a_while_and_no_longer_than_it_is_true");
    }
    let calls = desktop(false);
    let start = Instant::now();
    let notice = TouchNotice::on_desktop(TEXT, Duration::from_millis(300));
    let shown = calls.recv_timeout(PATIENCE).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(2300));
    let body = "aws asks for the code of &lt;b&gt;AWS&lt;/b&gt; &amp; Co\u{fffd}".to_owned();
    assert_eq!(shown, Call::Notify { title: "Keyfob: touch your key".to_owned(), body });
    drop(notice);
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), Call::Close(ID));

    // Touched in time: nothing at all.
    drop(TouchNotice::on_desktop(TEXT, Duration::ZERO));
    let notice = TouchNotice::on_desktop(TEXT, Duration::ZERO);
    thread::sleep(Duration::from_millis(500));
    drop(notice);
    assert_eq!(calls.recv_timeout(Duration::from_secs(4)), Err(RecvTimeoutError::Timeout));
}

#[test]
fn what_has_happened_is_told_and_left_there() {
    if env::var_os(INSIDE).is_none() {
        return in_private_session("what_has_happened_is_told_and_left_there");
    }
    let calls = desktop(false);
    notify::tell("Keyfob: an account was changed", "firefox deleted <b>AWS</b> from the key");
    let body = "firefox deleted &lt;b&gt;AWS&lt;/b&gt; from the key".to_owned();
    let title = "Keyfob: an account was changed".to_owned();
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), Call::Notify { title, body });
    assert_eq!(calls.recv_timeout(Duration::from_secs(1)), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_desktop_that_hangs_holds_nobody_up() {
    if env::var_os(INSIDE).is_none() {
        return in_private_session("a_desktop_that_hangs_holds_nobody_up");
    }
    let calls = desktop(true);
    let notice = TouchNotice::on_desktop(TEXT, Duration::ZERO);
    assert!(matches!(calls.recv_timeout(PATIENCE).unwrap(), Call::Notify { .. }));
    let start = Instant::now();
    drop(notice);
    // Before the answer is given up that never comes.
    assert!(start.elapsed() < Duration::from_secs(4));
    let start = Instant::now();
    notify::tell("Keyfob", TEXT);
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn without_a_desktop_nothing_happens() {
    if env::var_os(INSIDE).is_none() {
        return in_private_session("without_a_desktop_nothing_happens");
    }
    // Nobody takes notifications on this bus. It ends while the notice waits for its time.
    let notice = TouchNotice::on_desktop(TEXT, Duration::ZERO);
    thread::sleep(Duration::from_secs(3));
    drop(notice);
}
