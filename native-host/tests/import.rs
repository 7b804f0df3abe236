//! Exports of other apps, made by independent implementations (`tests/oracle/make_import_fixtures.py`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fs;
use std::path::Path;

use keyfob::import::{self, EntryError, Import, ImportError, Imported, MAX_FILE, Origin};
use keyfob_core::oath::{Algorithm, Kind, OtpAuth};
use keyfob_core::secret::Secret;
use proptest::prelude::*;

const PASSWORD: &str = "correct horse ü 🔑";

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name)).unwrap()
}

/// Nobody to ask.
fn nobody(_: &str) -> Option<Secret> {
    None
}

fn read_with(password: &str, bytes: &[u8]) -> Result<Vec<Imported>, ImportError> {
    import::read(bytes, &mut |_| Some(Secret::from(password.to_owned())))
}

/// The accounts of a text of URIs, read line by line by the core.
fn expected(name: &str) -> Vec<OtpAuth> {
    let text = String::from_utf8(fixture(name)).unwrap();
    let uris = text.lines().filter(|line| line.starts_with("otpauth"));
    let accounts: Vec<_> = uris.map(|uri| OtpAuth::parse(uri).unwrap()).collect();
    assert_eq!(accounts.len(), 4);
    accounts
}

/// Steam's codes are made of what a key gives for six digits.
fn as_imported(mut account: OtpAuth) -> OtpAuth {
    if account.issuer.as_deref() == Some("Steam") {
        account.digits = keyfob_core::oath::DigitCount::SIX;
    }
    account
}

#[test]
fn every_app_gives_the_same_accounts() {
    #[track_caller]
    fn check(name: &str, origins: [Origin; 4]) {
        let read = read_with(PASSWORD, &fixture(name)).unwrap();
        let accounts: Vec<OtpAuth> = read.iter().map(|imported| imported.account.clone()).collect();
        let expected: Vec<OtpAuth> = expected("uris.txt").into_iter().map(as_imported).collect();
        assert_eq!(accounts, expected, "{name}");
        assert_eq!(read.iter().map(|imported| imported.origin).collect::<Vec<_>>(), origins, "{name}");
        assert_eq!(
            read.iter().map(|imported| imported.steam).collect::<Vec<_>>(),
            [false, false, false, true]
        );
    }
    let entries = [1, 2, 3, 4].map(Origin::Entry);
    check("uris.txt", [3, 4, 5, 6].map(Origin::Line));
    check("aegis.json", entries);
    check("aegis-encrypted.json", entries);
    check("andotp.json", entries);
    check("andotp-encrypted.json.aes", entries);
    check("andotp-old.json.aes", entries);
    check("2fas.json", entries);
    check("2fas-encrypted.json", entries);
}

#[test]
fn bitwarden_has_names_of_its_own() {
    #[track_caller]
    fn check(name: &str) {
        let read = read_with(PASSWORD, &fixture(name)).unwrap();
        let mut expected: Vec<OtpAuth> = expected("uris.txt").into_iter().map(as_imported).collect();
        // Where the URI names nothing, the item does; where it says `steam://`, it is Steam's.
        expected[2].issuer = Some("My bank".into());
        let accounts: Vec<_> = read.iter().map(|imported| imported.account.clone()).collect();
        assert_eq!(accounts, expected, "{name}");
        let origins: Vec<_> = read.iter().map(|imported| imported.origin).collect();
        assert_eq!(origins, [2, 4, 5, 6].map(Origin::Entry), "{name}");
        assert!(read[3].steam && !read[0].steam);
    }
    check("bitwarden.json");
    check("bitwarden-pbkdf2.json");
    check("bitwarden-argon2id.json");
}

#[test]
fn google_authenticator_whole_and_in_parts() {
    let expected = expected("google.txt");
    #[track_caller]
    fn check(files: &[&str], expected: &[OtpAuth], first: Origin) {
        let mut import = Import::new();
        for name in files {
            import.add(&fixture(name), &mut nobody).unwrap();
        }
        let read = import.finish().unwrap();
        let accounts: Vec<_> = read.iter().map(|imported| imported.account.clone()).collect();
        assert_eq!(accounts, expected, "{files:?}");
        assert_eq!(read[0].origin, first);
    }
    check(&["google-whole.txt"], &expected, Origin::LineAccount(1, 1));
    check(&["google-parts.txt"], &expected, Origin::LineAccount(1, 1));
    if cfg!(feature = "qr") {
        check(&["google-parts.png"], &expected, Origin::QrCodeAccount(1, 1));
        check(&["google-part-1.png", "google-part-2.txt"], &expected, Origin::QrCodeAccount(1, 1));
        // The same part twice is no harm.
        let twice = ["google-part-1.png", "google-parts.txt"];
        check(&twice, &expected, Origin::QrCodeAccount(1, 1));
    }
    let missing = ImportError::MissingParts { missing: vec![1], size: 2 };
    assert_eq!(missing.to_string(), "Google Authenticator made 2 QR codes, and 1 of them are missing: 1");
    assert_eq!(import::read(&fixture("google-part-2.txt"), &mut nobody), Err(missing));
}

#[cfg(feature = "qr")]
#[test]
fn pictures() {
    #[track_caller]
    fn check(name: &str, count: usize) {
        let read = import::read(&fixture(name), &mut nobody).unwrap();
        let accounts: Vec<_> = read.iter().map(|imported| imported.account.clone()).collect();
        assert_eq!(accounts, expected("uris.txt")[..count], "{name}");
        let origins: Vec<_> = read.iter().map(|imported| imported.origin).collect();
        assert_eq!(origins, (1..=count).map(Origin::QrCode).collect::<Vec<_>>(), "{name}");
    }
    check("one.png", 1);
    check("dark.png", 1);
    check("transparent.png", 1);
    check("photo.jpg", 1);
    check("photo-progressive.jpg", 1);
    check("photo-grey.jpg", 1);
    check("photo-cmyk.jpg", 1);
    check("three.png", 3);
}

#[cfg(feature = "qr")]
#[test]
fn pictures_without_accounts_are_named() {
    #[track_caller]
    fn check(bytes: &[u8], expected: &ImportError) {
        assert_eq!(import::read(bytes, &mut nobody).as_ref(), Err(expected));
    }
    check(&fixture("blank.png"), &ImportError::NoQrCode);
    let problem = import::read(&fixture("link.png"), &mut nobody).unwrap_err();
    assert_eq!(problem.to_string(), "QR code 1: not an otpauth:// URI");
    let png = fixture("one.png");
    check(&png[..png.len() / 2], &ImportError::Picture("not a whole PNG"));
    check(&fixture("photo.jpg")[..20], &ImportError::Picture("not a whole JPEG"));
    // 20,000 × 20,000 pixels in a header, its checksum made right: nothing of that size is allocated.
    let mut huge = png.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x4E, 0x20, 0, 0, 0x4E, 0x20]);
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    check(&huge, &ImportError::PictureSize);
    let jpeg = fixture("photo.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    let mut huge = jpeg;
    huge[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    check(&huge, &ImportError::PictureSize);
}

/// PNG's checksum (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

#[test]
fn passwords() {
    #[track_caller]
    fn check(name: &str, app: &'static str) {
        assert_eq!(read_with("wrong", &fixture(name)), Err(ImportError::WrongPassword(app)), "{name}");
        let mut asked = Vec::new();
        let read = import::read(&fixture(name), &mut |prompt| {
            asked.push(prompt.to_owned());
            None
        });
        assert_eq!(read, Err(ImportError::NoPassword(app)), "{name}");
        assert_eq!(asked, [format!("Password of the {app} file")]);
    }
    check("aegis-encrypted.json", "Aegis");
    check("andotp-encrypted.json.aes", "andOTP");
    check("andotp-old.json.aes", "andOTP");
    check("2fas-encrypted.json", "2FAS");
    check("bitwarden-pbkdf2.json", "Bitwarden");
    check("bitwarden-argon2id.json", "Bitwarden");
    // Nobody is asked in vain.
    let restricted = read_with(PASSWORD, &fixture("bitwarden-restricted.json"));
    assert_eq!(restricted, Err(ImportError::AccountRestricted));
    let plain = fixture("2fas.json");
    assert!(import::read(&plain, &mut |prompt| panic!("asked: {prompt}")).is_ok());
}

#[test]
fn what_was_changed_after_encryption_is_refused() {
    #[track_caller]
    fn check(name: &str, change: impl Fn(&mut serde_json::Value), expected: ImportError) {
        let mut export: serde_json::Value = serde_json::from_slice(&fixture(name)).unwrap();
        change(&mut export);
        assert_eq!(read_with(PASSWORD, export.to_string().as_bytes()), Err(expected), "{name}");
    }
    let damaged = |format, what| ImportError::Damaged { format, what };
    let other = "its content is not what was encrypted";
    check(
        "aegis-encrypted.json",
        |vault| vault["header"]["params"]["tag"] = "00".repeat(16).into(),
        damaged("Aegis", other),
    );
    check(
        "aegis-encrypted.json",
        |vault| vault["db"] = "!".into(),
        damaged("Aegis", "its content is not base64"),
    );
    check(
        "aegis-encrypted.json",
        |vault| vault["header"]["slots"][2]["key"] = "zz".into(),
        damaged("Aegis", "a slot is not hexadecimal"),
    );
    check(
        "aegis-encrypted.json",
        |vault| vault["header"]["slots"] = vault["header"]["slots"].as_array().unwrap()[..1].into(),
        ImportError::NoPasswordSlot,
    );
    check(
        "2fas-encrypted.json",
        |backup| backup["servicesEncrypted"] = "AAAA:AAAA".into(),
        damaged("2FAS", "its content is not of three parts"),
    );
    check(
        "bitwarden-pbkdf2.json",
        |export| export["data"] = "2.AAAA|AAAA".into(),
        damaged("Bitwarden", "its encrypted text is malformed"),
    );
    check(
        "bitwarden-pbkdf2.json",
        |export| {
            let data = export["data"].as_str().unwrap();
            let (start, mac) = data.rsplit_once('|').unwrap();
            let flipped = if mac.starts_with('A') { "B" } else { "A" };
            export["data"] = format!("{start}|{flipped}{}", &mac[1..]).into();
        },
        damaged("Bitwarden", other),
    );
    check(
        "bitwarden-pbkdf2.json",
        |export| export["data"] = "0.AAAA|AAAA".into(),
        damaged("Bitwarden", "its encryption is unknown"),
    );
}

#[test]
fn files_that_ask_for_too_much_are_refused_at_once() {
    #[track_caller]
    fn check(name: &str, app: &'static str, change: impl Fn(&mut serde_json::Value)) {
        let mut export: serde_json::Value = serde_json::from_slice(&fixture(name)).unwrap();
        change(&mut export);
        let started = std::time::Instant::now();
        assert_eq!(
            read_with(PASSWORD, export.to_string().as_bytes()),
            Err(ImportError::ExcessiveWork(app)),
            "{name}"
        );
        assert!(started.elapsed().as_millis() < 500);
    }
    let aegis = |key: &'static str, value: u64| {
        move |vault: &mut serde_json::Value| vault["header"]["slots"][1][key] = value.into()
    };
    check("aegis-encrypted.json", "Aegis", aegis("n", 1 << 40));
    check("aegis-encrypted.json", "Aegis", aegis("n", 1 << 20));
    check("aegis-encrypted.json", "Aegis", aegis("n", 32767));
    check("aegis-encrypted.json", "Aegis", aegis("n", 1));
    check("aegis-encrypted.json", "Aegis", aegis("n", u64::MAX));
    check("aegis-encrypted.json", "Aegis", aegis("r", 1 << 60));
    check("aegis-encrypted.json", "Aegis", aegis("r", 0));
    check("aegis-encrypted.json", "Aegis", aegis("p", u64::MAX));
    let bitwarden =
        |key: &'static str, value: u64| move |export: &mut serde_json::Value| export[key] = value.into();
    check("bitwarden-pbkdf2.json", "Bitwarden", bitwarden("kdfIterations", 2_000_001));
    check("bitwarden-pbkdf2.json", "Bitwarden", bitwarden("kdfIterations", 0));
    check("bitwarden-argon2id.json", "Bitwarden", bitwarden("kdfIterations", 11));
    check("bitwarden-argon2id.json", "Bitwarden", bitwarden("kdfMemory", 1025));
    check("bitwarden-argon2id.json", "Bitwarden", bitwarden("kdfMemory", u64::MAX));
    check("bitwarden-argon2id.json", "Bitwarden", bitwarden("kdfParallelism", 17));
    // andOTP's number of rounds is all that tells its formats apart.
    let mut backup = fixture("andotp-encrypted.json.aes");
    backup[0] = 0xFF;
    assert_eq!(read_with(PASSWORD, &backup), Err(ImportError::WrongPassword("andOTP")));
    assert_eq!(read_with(PASSWORD, &vec![b' '; MAX_FILE + 1]), Err(ImportError::TooLarge));
}

#[test]
fn unknown_files_are_named() {
    #[track_caller]
    fn check(bytes: &[u8], expected: ImportError) {
        assert_eq!(import::read(bytes, &mut nobody), Err(expected), "{}", String::from_utf8_lossy(bytes));
    }
    check(b"", ImportError::UnknownFormat);
    check(b"PK\x03\x04\xFF", ImportError::UnknownFormat);
    check(b"\xFF\x00\x01", ImportError::UnknownFormat);
    check(b"hello", ImportError::UnknownFormat);
    check(b"{}", ImportError::UnknownFormat);
    check(b"# nothing\n\n", ImportError::Empty);
    check(b"[]", ImportError::Empty);
    check(br#"{"items":[]}"#, ImportError::Empty);
    check(b"\xFF\xFEo\0t\0p\0", ImportError::Utf16);
    check(b"{\"items\":\n[}", ImportError::Json { format: "JSON", line: 2, column: 2 });
    check(br#"{"header":{},"db":{},"version":2}"#, ImportError::Version { format: "Aegis", got: 2 });
    check(
        br#"{"header":{},"db":{"version":4,"entries":[]},"version":1}"#,
        ImportError::Version { format: "Aegis", got: 4 },
    );
    check(br#"{"services":[],"schemaVersion":5}"#, ImportError::Version { format: "2FAS", got: 5 });
}

/// A secret whose presence in a message is seen.
const SECRET: &str = "SEENSEENSEENSEEN";

#[test]
fn entries_are_named_and_nothing_else() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = import::read(text.replace("SECRET", SECRET).as_bytes(), &mut nobody).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
        assert!(!format!("{error:?}").contains("SEEN"), "{error:?}");
    }
    // Lines.
    let good = "otpauth://totp/x?secret=SECRET\n";
    check(&[good, "\nSECRET\n"].concat(), "line 3: not an otpauth:// URI");
    check(&[good, "otpauth://SECRET"].concat(), "line 2: neither TOTP, HOTP nor Steam");
    check(&[good, "otpauth://SECRET/x"].concat(), "line 2: neither TOTP, HOTP nor Steam");
    check(
        "otpauth://totp/x?secret=SECRET&algorithm=SECRET",
        "line 1: its hash is neither SHA1, SHA256 nor SHA512",
    );
    check("otpauth://totp/x?secret=SECRET1", "line 1: its secret is not base32");
    check(
        "otpauth://totp/x?secret=SECRET&algorithm=md5",
        "line 1: MD5 is a hash that keys do not have: SHA1, SHA256 and SHA512 are possible",
    );
    check(
        "otpauth://totp/x?secret=SECRET&digits=10",
        "line 1: parameter digits of the otpauth URI is out of range",
    );
    check("otpauth://totp/x?secret=SECRET&digits=5", "line 1: codes of 5 digits: 6 to 8 are possible");
    check("motp://x?secret=SECRET", "line 1: mOTP codes cannot be calculated by a key");
    check("otpauth://yaotp/x?secret=SECRET", "line 1: Yandex codes cannot be calculated by a key");
    check(
        "otpauth://totp/x\notpauth-migration://offline?data=%",
        "line 1: it has no secret\nline 2: the migration URI's data is not base64",
    );
    check(
        "otpauth-migration://offline?data=CggKATESAXggBA",
        "line 1, account 1 (x): MD5 is a hash that keys do not have",
    );
}

#[test]
fn entries_of_apps_are_named_and_nothing_else() {
    #[track_caller]
    fn check(entry: &str, expected: &str) {
        let good = format!(r#"{{"type":"TOTP","issuer":"I","label":"a","secret":"{SECRET}"}}"#);
        let text = format!("[{good},{}]", entry.replace("SECRET", SECRET));
        let error = import::read(text.as_bytes(), &mut nobody).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
        assert!(!format!("{error:?}").contains("SEEN"), "{error:?}");
    }
    check("\"SECRET\"", "entry 2: not as the app writes it");
    check(r#"{"secret":"SECRET","digits":"SECRET"}"#, "entry 2: not as the app writes it");
    check(r#"{"label":"a","issuer":"I"}"#, "entry 2 (I:a): it has no secret");
    check(r#"{"label":"a","secret":""}"#, "entry 2 (a): it has no secret");
    check(r#"{"label":"a","secret":"SECRET!"}"#, "entry 2 (a): its secret is not base32");
    check(r#"{"secret":"SECRET"}"#, "entry 2: the account's name is empty");
    check(
        r#"{"label":"\u001b[2Ja\u202e","secret":"SECRET","digits":10}"#,
        "entry 2 (\u{FFFD}[2Ja\u{FFFD}): codes of 10 digits: 6 to 8 are possible",
    );
    check(
        r#"{"label":"a","secret":"SECRET","algorithm":"SHA224"}"#,
        "entry 2 (a): SHA224 is a hash that keys do not have: SHA1, SHA256 and SHA512 are possible",
    );
    check(
        r#"{"label":"a","secret":"SECRET","algorithm":"SECRET"}"#,
        "entry 2 (a): its hash is neither SHA1, SHA256 nor SHA512",
    );
    check(r#"{"label":"a","secret":"SECRET","period":0}"#, "entry 2 (a): its period is out of range");
    check(
        r#"{"label":"a","secret":"SECRET","type":"HOTP"}"#,
        "entry 2 (a): its counter is missing or beyond 32 bits",
    );
    check(
        r#"{"label":"a","secret":"SECRET","type":"HOTP","counter":4294967296}"#,
        "entry 2 (a): its counter is missing or beyond 32 bits",
    );
    check(
        r#"{"label":"a","secret":"SECRET","type":"MOTP"}"#,
        "entry 2 (a): mOTP codes cannot be calculated by a key",
    );
    check(
        r#"{"label":"a","secret":"SECRET","type":"yandex"}"#,
        "entry 2 (a): Yandex codes cannot be calculated by a key",
    );
    check(r#"{"label":"a","secret":"SECRET","type":"SECRET"}"#, "entry 2 (a): neither TOTP, HOTP nor Steam");
    check(
        r#"{"label":"a","secret":"SECRET","type":"steam","algorithm":"SHA256"}"#,
        "entry 2 (a): another than SHA1, for Steam, is a hash that keys do not have: SHA1, SHA256 and SHA512 are possible",
    );
    check(
        r#"{"label":"a","issuer":"I","secret":"AAAAAAAA"}"#,
        "entry 1 and entry 2 are both \"I:a\" and not the same: a key holds one of a name, rename the other",
    );
}

#[test]
fn broken_values_are_not_quoted() {
    #[track_caller]
    fn check(text: &str) {
        let error = import::read(text.replace("SECRET", SECRET).as_bytes(), &mut nobody).unwrap_err();
        assert!(matches!(error, ImportError::Json { .. }), "{text}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("SEEN"), "{error:?}");
    }
    check(r#"{"header":{"slots":"SECRET"},"db":"SECRET","version":1}"#);
    check(r#"{"header":{},"db":{"version":"SECRET"},"version":1}"#);
    check(r#"{"services":"SECRET","schemaVersion":4}"#);
    check(r#"{"servicesEncrypted":"SECRET","schemaVersion":"SECRET"}"#);
    check(r#"{"encrypted":"SECRET","items":[]}"#);
    check(r#"{"encrypted":true,"passwordProtected":true,"salt":"SECRET","data":1}"#);
    check(r#"{"items":["SECRET"#);
}

#[test]
fn names_of_the_wild() {
    #[track_caller]
    fn check(issuer: &str, label: &str, expected: (Option<&str>, &str)) {
        let entry = serde_json::json!([{"issuer": issuer, "label": label, "secret": "GE======"}]);
        let read = import::read(entry.to_string().as_bytes(), &mut nobody).unwrap();
        let account = &read[0].account;
        assert_eq!((account.issuer.as_deref(), account.account.as_str()), expected);
        assert_eq!((account.kind, account.algorithm, account.period), (Kind::Totp, Algorithm::Sha1, 30));
    }
    check("I", "a", (Some("I"), "a"));
    check("", "a", (None, "a"));
    check("I", "", (None, "I"));
    check("I", "I", (Some("I"), "I"));
    check("I", "I:a", (Some("I"), "a"));
    check("", "root@1: 72", (Some("root@1"), "72"));
    check("", ": 72", (None, "72"));
    check("AWS: prod", "root", (Some("AWS prod"), "root"));
    check(" I ", " a b ", (Some("I"), "a b"));
    let old = br#"[{"label":"I - a","secret":"GE"}]"#;
    assert_eq!(import::read(old, &mut nobody).unwrap()[0].account.issuer.as_deref(), Some("I"));
}

#[test]
fn steam_by_every_sign() {
    #[track_caller]
    fn check(uri: &str, account: &str) {
        let read = import::read(uri.as_bytes(), &mut nobody).unwrap();
        assert!(read[0].steam, "{uri}");
        assert_eq!(read[0].account.issuer.as_deref(), Some("Steam"), "{uri}");
        assert_eq!(read[0].account.account, account, "{uri}");
        assert_eq!(read[0].account.digits.get(), 6);
    }
    check("otpauth://totp/Steam:me?secret=GE&digits=5", "me");
    check("otpauth://steam/Steam:me?secret=GE", "me");
    check("otpauth://totp/me?secret=GE&encoder=steam", "me");
    check("otpauth://totp/steam:me?secret=GE", "me");
    check("otpauth://steam/Valve:me?secret=GE&issuer=Valve", "me");
    let plain = import::read(b"otpauth://totp/Steam%20Engines:me?secret=GE", &mut nobody).unwrap();
    assert!(!plain[0].steam);
}

#[test]
fn what_stands_there_twice_is_taken_once() {
    let line = "otpauth://totp/I:a?secret=GE\r\n";
    let text = ["\u{FEFF}# twice\r\n", line, line].concat();
    let read = import::read(text.as_bytes(), &mut nobody).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].origin, Origin::Line(2));
    // Nothing of a broken file stays behind.
    let mut import = Import::new();
    assert!(matches!(
        import.add(b"otpauth://totp/a?secret=GE\nbroken", &mut nobody),
        Err(ImportError::Entries(problems)) if problems.0[0].error == EntryError::NoUri
    ));
    assert_eq!(import.finish(), Ok(Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_with(PASSWORD, &bytes);
    }

    /// Files with one byte changed, or cut off: an error or accounts, in no time.
    #[test]
    fn no_damage_panics(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let names = [
            "uris.txt", "google-whole.txt", "google-parts.txt", "aegis.json", "andotp.json", "2fas.json",
            "bitwarden.json", "one.png", "photo.jpg", "photo-progressive.jpg", "three.png", "google-parts.png",
        ];
        let mut bytes = fixture(names[which.index(names.len())]);
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else {
            bytes[place] = byte;
        }
        let _ = read_with(PASSWORD, &bytes);
    }
}
