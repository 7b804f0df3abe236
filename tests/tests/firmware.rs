//! The firmware that a software key stands in for, as ykman sees it in a virtual reader.

use keyfob_tests::home::Home;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::tool;

/// Reader of a NEO: ykman knows one by it.
const NEO_READER: &str = "Yubico Yubikey NEO OTP+U2F+CCID";
/// As the driver of virtual readers calls its own; to ykman it is one for NFC.
const OTHER_READER: &str = "Virtual PCD";

#[track_caller]
fn ykman(home: &Home, reader: &str, args: &[&str]) -> String {
    let mut command = home.command(tool("KEYFOB_YKMAN").unwrap());
    let output = command.args(["--reader", &format!("{reader} 00 00")]).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ykman {}: {error}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// What `ykman info` and `ykman oath info` say of a key of this firmware, line by line; `{SERIAL}` is its serial number.
#[track_caller]
fn check(firmware: &str, reader: &str, expected: &[&str]) {
    let pcscd = Pcscd::start(&[reader]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    let made = home.succeed(&["--json", "soft", "create", "demo", "--firmware", firmware], "").unwrap();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    let said = ykman(&home, reader, &["info"]) + &ykman(&home, reader, &["oath", "info"]);
    let said: Vec<String> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in expected {
        let line = line.replace("{SERIAL}", &made["serial"].to_string());
        assert!(said.contains(&line), "{firmware}: no {line:?} in {said:#?}");
    }
    let listed = home.succeed(&["--json", "list"], "").unwrap();
    assert!(listed.contains(&made["serial"].to_string()), "{firmware}: {listed}");
}

#[test]
fn ykman_takes_a_software_key_for_a_neo() {
    check(
        "neo",
        NEO_READER,
        &[
            "Device type: YubiKey NEO",
            "Serial number: {SERIAL}",
            "Firmware version: 3.4.9",
            "OATH Enabled Enabled",
            "OATH version: 1.0.2",
        ],
    );
}

#[test]
fn a_reader_of_any_name_will_do() {
    // The names are ykman's guesses: it knows no reader by this name.
    let oath = "OATH Enabled Enabled";
    check("neo", OTHER_READER, &["Device type: YubiKey NEO", "Firmware version: 3.4.9", oath]);
    check("4.3", OTHER_READER, &["Device type: YubiKey 4", "Firmware version: 4.3.7"]);
    check("5.7", OTHER_READER, &["Device type: YubiKey 5 NFC", "Firmware version: 5.7.1", oath]);
}

#[test]
fn ykman_takes_a_software_key_for_a_yubikey_4() {
    check(
        "4.3",
        YUBIKEY_READER,
        &[
            "Device type: YubiKey 4",
            "Serial number: {SERIAL}",
            "Firmware version: 4.3.7",
            "OATH Enabled",
            "PIV Not available",
            "OATH version: 4.3.7",
        ],
    );
}

#[test]
fn ykman_takes_a_software_key_for_a_yubikey_5() {
    for (firmware, version) in [("5.2", "5.2.7"), ("5.7", "5.7.1")] {
        check(
            firmware,
            YUBIKEY_READER,
            &[
                "Device type: YubiKey 5 NFC",
                "Serial number: {SERIAL}",
                &format!("Firmware version: {version}"),
                "Form factor: Keychain (USB-A)",
                "OATH Enabled Enabled",
                "PIV Not available Not available",
                &format!("OATH version: {version}"),
            ],
        );
    }
}
