//! How many commands a key gets, however many accounts are on it: each costs time, on a slow reader much of it.

use keyfob_core::oath::protocol::ins;
use keyfob_tests::counted::Counted;
use keyfob_tests::home::Home;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};

const SELECT: [u8; 2] = [ins::SELECT, 0x04];
const CALCULATE_ALL: [u8; 2] = [ins::CALCULATE_ALL, 0];
const SEND_REMAINING: [u8; 2] = [ins::SEND_REMAINING, 0];
/// As many as the firmware has room for.
const ACCOUNTS: usize = 64;

#[test]
fn a_full_key_is_asked_two_commands() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    let key = Counted::insert(&pcscd, 0, &home, ACCOUNTS).unwrap();
    let last = Counted::account(ACCOUNTS - 1);

    // `keyfob list` has asked the key by the agent what it is: one that was just started knows nothing.
    for before in [None, Some(["agent", "stop"])] {
        for args in [
            &["oath", "list"] as &[_],
            &["code", &last],
            &["code"],
            &["complete", "zsh", "--", "keyfob", "code", ""],
        ] {
            for agent in [true, false] {
                if let Some(stop) = before.as_ref().filter(|_| agent) {
                    home.succeed(stop, "").unwrap();
                }
                // The completion asks as the command line does that is completed: it has no such option.
                if !agent && args.contains(&"complete") {
                    continue;
                }
                let args = if agent { args.to_vec() } else { [&["--no-agent"], args].concat() };
                let printed = home.succeed(&args, "").unwrap();
                let (whole, more): (Vec<_>, Vec<_>) =
                    key.take().into_iter().partition(|command| *command != SEND_REMAINING);
                assert_eq!(whole, [SELECT, CALCULATE_ALL], "{args:?}");
                if args.contains(&last.as_str()) {
                    assert_eq!(printed.trim_end().len(), 6, "{printed}");
                } else {
                    assert!(printed.contains(&last) && printed.lines().count() == ACCOUNTS, "{printed}");
                }
                // What is counted are real commands: no response has room for all of them.
                assert!(!more.is_empty(), "{args:?}");
            }
        }
    }
    // As JSON the key is described, which asks it more.
    let described = home.succeed(&["--json", "--no-agent", "oath", "list"], "").unwrap();
    assert!(described.contains("\"serial\":64646464"), "{described}");
    assert!(key.take().len() > 2);
}
