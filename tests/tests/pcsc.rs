//! Real PC/SC: a private service, virtual readers, the software key in them, and `ykman` as the other client.

use std::time::{SystemTime, UNIX_EPOCH};

use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::tool;
use keyfob_tests::vpcd::Answer;
use serde_json::json;

/// RFC 4226's and RFC 6238's secret, `12345678901234567890`, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A home with a private PC/SC service, and the software key `demo` in it, not inserted yet.
fn home_and_pcscd(readers: &[&str]) -> (Home, Pcscd) {
    let pcscd = Pcscd::start(readers).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    (home, pcscd)
}

#[track_caller]
fn ykman(home: &Home, args: &[&str]) -> String {
    let mut command = home.command(tool("KEYFOB_YKMAN").unwrap());
    let output =
        command.args(["--reader", &format!("{YUBIKEY_READER} 00 00"), "oath"]).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ykman oath {}: {error}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// The only account's code out of what `code` prints: the last word.
fn last_word(text: &str) -> String {
    text.split_whitespace().last().unwrap_or_default().to_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn ykman_and_keyfob_list_and_calculate_the_same() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();

    // Half of them put on the key by either client, so that each also reads what the other wrote.
    let accounts: &[(&str, &[&str])] = &[
        ("Amazon Web Services:alice@123456789012", &[]),
        ("no issuer", &["--algorithm", "sha256", "--digits", "8"]),
        ("Ünïcödé:zürich", &["--algorithm", "sha512", "--period", "60"]),
        ("A name of 64 bytes:123456789012345678901234567890123456789012345", &["--digits", "7"]),
    ];
    for (i, (name, options)) in accounts.iter().enumerate() {
        if i % 2 == 0 {
            home.succeed(&[&["oath", "add", name], *options].concat(), SECRET).unwrap();
        } else {
            let (issuer, account) = name.split_once(':').unwrap_or(("", name));
            let issuer: &[&str] = if issuer.is_empty() { &[] } else { &["--issuer", issuer] };
            let options: Vec<String> = options.iter().map(|o| o.replace("sha", "SHA")).collect();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            ykman(&home, &[&["accounts", "add"], issuer, &options, &["--force", account, SECRET]].concat());
        }
    }

    // It prints the credential's id, to which a period other than 30 s belongs.
    let theirs = ykman(&home, &["accounts", "list"]);
    let mut theirs: Vec<&str> = theirs.lines().map(|line| line.strip_prefix("60/").unwrap_or(line)).collect();
    theirs.sort_unstable();
    let mut names: Vec<&str> = accounts.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(theirs, names);
    let listed: serde_json::Value =
        serde_json::from_str(&home.succeed(&["--json", "oath", "list"], "").unwrap()).unwrap();
    let mut ours: Vec<&str> =
        listed["accounts"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    ours.sort_unstable();
    assert_eq!(ours, names);

    for name in names {
        // The time step may change while ykman starts.
        let before = now();
        let theirs = last_word(&ykman(&home, &["accounts", "code", name]));
        let ours = [before, now()]
            .map(|at| last_word(&home.succeed(&["code", name, "--at", &at.to_string()], "").unwrap()));
        assert!(ours.contains(&theirs), "{name}: {theirs} is not among {ours:?}");
    }
}

#[test]
fn a_counter_moves_for_both_clients() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["oath", "add", "rfc4226", "--hotp"], SECRET).unwrap();
    // RFC 4226, appendix D.
    for (i, expected) in ["755224", "287082", "359152", "969429"].into_iter().enumerate() {
        let code = if i % 2 == 0 {
            ykman(&home, &["accounts", "code", "rfc4226"])
        } else {
            home.succeed(&["code", "rfc4226"], "").unwrap()
        };
        assert_eq!(last_word(&code), expected);
    }
}

#[test]
fn a_password_set_by_ykman_locks_the_key() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["oath", "add", "one"], SECRET).unwrap();
    ykman(&home, &["access", "change", "--new-password", "correct horse"]);
    let output = home.run(&["--json", "oath", "list"], "").unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(ykman(&home, &["accounts", "list", "--password", "correct horse"]).contains("one"));
}

#[test]
fn two_cards_are_ambiguous_until_one_is_chosen() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER, "Other Maker Reader"]);
    home.succeed(&["soft", "create", "second"], "").unwrap();
    let _first = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["oath", "add", "on the first"], SECRET).unwrap();
    let _second = pcscd.insert_soft_key(1, &home, "second").unwrap();

    let output = home.run(&["--json", "oath", "list"], "").unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    let candidates = answer["error"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{answer}");
    let keys: serde_json::Value =
        serde_json::from_str(&home.succeed(&["--json", "list"], "").unwrap()).unwrap();
    let cards = keys.as_array().unwrap().iter().filter(|key| key["kind"] == "smart-card");
    let lists: Vec<String> = cards
        .map(|key| home.succeed(&["--key", key["id"].as_str().unwrap(), "oath", "list"], "").unwrap())
        .collect();
    assert_eq!(lists.iter().filter(|list| list.contains("on the first")).count(), 1, "{lists:?}");
}

#[test]
fn a_browser_is_told_nothing_of_what_several_cards_have() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER, "Other Maker Reader"]);
    home.succeed(&["soft", "create", "second"], "").unwrap();
    let _first = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["oath", "add", "Bank:ann"], SECRET).unwrap();
    home.succeed(&["oath", "add", "Amazon Web Services:ann@123456789012"], SECRET).unwrap();
    let _second = pcscd.insert_soft_key(1, &home, "second").unwrap();
    let mut host = Host::start(&home).unwrap();
    let mut code = |account: &str| host.ask(&json!({ "name": "code", "account": account })).unwrap();
    assert!(code("Amazon Web Services:ann@123456789012")["answer"]["code"]["value"].is_string());
    // One that is there and one that is not look alike, and neither brings names along.
    for account in ["Bank:ann", "Bank:bob"] {
        let error = &code(account)["error"];
        let text = format!("none of the keys that are plugged in has the account {account}");
        assert_eq!((&error["code"], &error["message"]), (&json!("not-found"), &json!(text)));
        assert_eq!(error["candidates"], json!(["Amazon Web Services:ann@123456789012"]));
    }
}

#[test]
fn a_beginning_counts_once_all_cards_were_looked_into() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER, "Other Maker Reader"]);
    home.succeed(&["soft", "create", "second"], "").unwrap();
    let first = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["oath", "add", "aws"], SECRET).unwrap();
    home.succeed(&["oath", "access", "change"], "a password").unwrap();
    drop(first);
    let _second = pcscd.insert_soft_key(1, &home, "second").unwrap();
    home.succeed(&["oath", "add", "aws-dev:ann"], SECRET).unwrap();
    let _first = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    home.succeed(&["lock"], "").unwrap();
    // "aws" is on the one that is locked.
    let output = home.run(&["code", "aws"], "").unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    home.succeed(&["code", "aws-dev:ann"], "").unwrap();
}

#[test]
fn without_a_card_it_is_exit_3() {
    let (home, _pcscd) = home_and_pcscd(&[YUBIKEY_READER]);
    // There is a software key, and it is not taken unasked.
    let output = home.run(&["oath", "list"], "").unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn cards_that_misbehave_are_told() {
    /// A card that selects well and answers everything else so; the code and part of the message that follow.
    #[track_caller]
    fn check(answer: fn(&[u8]) -> Answer, code: &str) {
        let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
        let mut home = Home::new().unwrap();
        home.use_pcscd(&pcscd);
        let card = pcscd.insert(0, move |command| match command {
            [0, 0xa4, 4, 0, 7, 0xa0, 0, 0, 5, 0x27, 0x21, 1, ..] => Answer::Response(SELECTED.to_vec()),
            // No other applet: neither management nor OTP.
            [0, 0xa4, 4, ..] => Answer::Response(vec![0x6a, 0x82]),
            _ => answer(command),
        });
        let _card = card.unwrap();
        let output = home.run(&["--json", "oath", "list"], "").unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        // One object and no more: no panic either.
        let answer: serde_json::Value = serde_json::from_str(&error).unwrap_or_default();
        assert_eq!(answer["error"]["code"], code, "{error}");
    }
    /// Version 5.7.1 and a device id.
    const SELECTED: &[u8] = b"\x79\x03\x05\x07\x01\x71\x08\x01\x02\x03\x04\x05\x06\x07\x08\x90\x00";

    // Not even a status word.
    check(|_| Answer::Response(vec![0x90]), "bad-answer");
    // A length beyond the end.
    check(|_| Answer::Response(vec![0x72, 0x7f, 0x21, b'x', 0x90, 0x00]), "bad-answer");
    // Another tag than any that is known.
    check(|_| Answer::Response(vec![0x55, 0x01, 0x00, 0x90, 0x00]), "bad-answer");
    // More data for ever.
    check(|_| Answer::Response(vec![0x72, 0x01, 0x21, 0x61, 0x10]), "bad-answer");
    check(|_| Answer::Response(vec![0x6f, 0x00]), "bad-answer");
    check(|_| Answer::Pulled, "key-removed");
}

#[test]
fn ykman_sees_the_virtual_readers() {
    let (home, pcscd) = home_and_pcscd(&[YUBIKEY_READER, "Other Maker Reader"]);
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    let output = home.command(tool("KEYFOB_YKMAN").unwrap()).args(["list", "--readers"]).output().unwrap();
    let readers = String::from_utf8(output.stdout).unwrap();
    let expected = format!("{YUBIKEY_READER} 00 00\n{YUBIKEY_READER} 00 01\nOther Maker Reader 00 00\n");
    assert!(readers.starts_with(&expected), "{readers}");
}
