//! Cards that lie, stutter, vanish or are held by others, over real PC/SC: each gets its own clear error, nothing
//! on the key changes, and nobody waits for ever.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use keyfob_core::identity::IdentityName;
use keyfob_core::message::SignatureVersion;
use keyfob_core::oath::{
    AccessKey, Algorithm, CredentialId, DigitCount, Kind, Put, Request, Select, SetCode,
};
use keyfob_core::secret::Secret;
use keyfob_core::softkey::{Environment, SoftKey};
use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::random::Random;
use keyfob_tests::vpcd::{Answer, Inserted};
use keyfob_tests::{poll, terminal, tool};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// RFC 6238's secret, `12345678901234567890`, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const ALICE: &str = "Amazon Web Services:alice@123456789012";
/// RFC 6238's code for 59 s, of six digits.
const ALICE_AT_59: &str = "287082\n";
const TOUCH: &str = "AWS SSO:wants a touch";
const SERIAL: u32 = 91_234_567;
const SALT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// Whatever a person may wait for, no test waits longer than that for an answer.
const NO_HANG: Duration = Duration::from_secs(15);

/// What stands between the reader and the card: the number of the command, the command, the card.
type Between = Box<dyn FnMut(usize, &[u8], &mut SoftKey) -> Answer + Send>;

struct Finger;

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> [u8; 8] {
        [9; 8]
    }
}

fn honest() -> Between {
    Box::new(|_, command, key| Answer::Response(key.transmit(command, &mut Finger).to_vec()))
}

struct Inside {
    key: SoftKey,
    seen: usize,
    between: Between,
}

/// A key in a reader, and somebody between the two.
struct Bench {
    home: Home,
    card: Option<Inserted>,
    // After the card: it is pulled out of a living reader.
    pcscd: Pcscd,
    inside: Arc<Mutex<Inside>>,
}

/// How a command ended.
struct Run {
    args: String,
    output: Output,
    took: Duration,
}

impl Run {
    fn of(home: &Home, args: &[&str], input: &str) -> Self {
        let start = Instant::now();
        let output = home.run(args, input).unwrap();
        Self { args: args.join(" "), output, took: start.elapsed() }
    }

    fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn said(&self) -> String {
        format!(
            "keyfob {}: {}\n{}{}",
            self.args,
            self.output.status,
            String::from_utf8_lossy(&self.output.stdout),
            String::from_utf8_lossy(&self.output.stderr)
        )
    }

    /// The error, which stands alone on the last line of stderr.
    #[track_caller]
    fn json(&self) -> Value {
        let stderr = String::from_utf8(self.output.stderr.clone()).unwrap();
        let answer = serde_json::from_str(stderr.lines().last().unwrap_or_default());
        answer.unwrap_or_else(|_| panic!("{}", self.said()))
    }

    /// The error's code, which must come with a message and a hint, alone on stderr, and with nothing on stdout.
    #[track_caller]
    fn error(&self) -> String {
        assert!(self.output.stdout.is_empty(), "{}", self.said());
        assert!(self.took < NO_HANG, "{:?}: {}", self.took, self.said());
        let answer = self.json();
        let text = |field: &str| answer["error"][field].as_str().unwrap_or_default().to_owned();
        assert!(!text("message").is_empty() && !text("hint").is_empty(), "{}", self.said());
        assert!(!self.output.status.success(), "{}", self.said());
        text("code")
    }

    #[track_caller]
    fn failed(&self, exit: i32, code: &str) {
        assert_eq!((self.output.status.code(), self.error().as_str()), (Some(exit), code), "{}", self.said());
    }

    #[track_caller]
    fn succeeded(&self) -> String {
        assert!(self.output.status.success() && self.took < NO_HANG, "{:?}: {}", self.took, self.said());
        self.stdout()
    }
}

fn send(key: &mut SoftKey, command: &impl Request) {
    let response = key.transmit(command.command().unwrap().as_bytes(), &mut Finger);
    assert!(response.ends_with(&[0x90, 0]), "{response:02x?}");
}

/// A key with eight accounts, one of each sort, and an identity: what it lists takes more than one response.
fn full_key() -> SoftKey {
    let mut key = SoftKey::new(SERIAL, SALT);
    send(&mut key, &Select);
    let six = DigitCount::new(6).unwrap();
    let totp = |period, name, touch| {
        let id = CredentialId::for_name(Kind::Totp, period, name).unwrap();
        Put::totp(id, Algorithm::Sha1, six, b"12345678901234567890", touch)
    };
    send(&mut key, &totp(30, ALICE, false));
    send(&mut key, &totp(30, TOUCH, true));
    send(&mut key, &totp(60, "Example:sixty seconds", false));
    for name in ["Amazon Web Services:bob@123456789012", "AWS SSO:carol", "GitHub:dave", "erin"] {
        send(&mut key, &totp(30, name, false));
    }
    let id = CredentialId::for_name(Kind::Hotp, 0, "Example:counter").unwrap();
    send(&mut key, &Put::hotp(id, Algorithm::Sha1, six, b"12345678901234567890", false, 0));
    let identity = IdentityName::new(ACCESS_KEY_ID, SignatureVersion::SigV4).unwrap();
    send(&mut key, &identity.put(&Secret::from(SECRET_ACCESS_KEY.to_owned()), false).unwrap());
    key.power_cycle();
    key
}

impl Bench {
    fn new() -> Self {
        let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
        let mut home = Home::new().unwrap();
        home.use_pcscd(&pcscd);
        let inside = Inside { key: full_key(), seen: 0, between: honest() };
        let mut bench = Self { home, card: None, pcscd, inside: Arc::new(Mutex::new(inside)) };
        bench.insert();
        bench
    }

    fn insert(&mut self) {
        if self.card.take().is_some() {
            // The service looks every 400 ms: faster than that is no pulling out.
            let gone = || (self.json(CODE.0, "").error() == "no-key").then_some(());
            poll("the reader to be empty", gone).unwrap();
        }
        let between = std::mem::replace(&mut self.inside().between, honest());
        let inside = Arc::clone(&self.inside);
        let card = self.pcscd.insert(0, move |command| {
            let inside = &mut *lock(&inside);
            inside.seen += 1;
            (inside.between)(inside.seen - 1, command, &mut inside.key)
        });
        self.card = Some(card.unwrap());
        // The service has powered it on, and says so to clients a little later.
        let serial = format!("\"{}\"", self.inside().key.serial());
        let seen = || self.json(&["list"], "").stdout().contains(&serial).then_some(());
        poll("the card to be seen", seen).unwrap();
        let mut inside = self.inside();
        inside.key.power_cycle();
        (inside.between, inside.seen) = (between, 0);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }

    /// Puts somebody else between reader and card; commands are counted from 0 again.
    fn between(&self, between: impl FnMut(usize, &[u8], &mut SoftKey) -> Answer + Send + 'static) {
        let mut inside = self.inside();
        inside.seen = 0;
        inside.between = Box::new(between);
    }

    fn honest(&self) {
        self.between(honest());
    }

    fn state(&self) -> Vec<u8> {
        self.inside().key.to_bytes().unwrap().to_vec()
    }

    fn json(&self, args: &[&str], input: &str) -> Run {
        Run::of(&self.home, &[&["--json"], args].concat(), input)
    }

    /// The responses of an exchange that nobody disturbs.
    fn record(&self, args: &[&str], input: &str) -> (Run, Vec<Vec<u8>>) {
        let record = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&record);
        self.between(move |_, command, key| {
            let response = key.transmit(command, &mut Finger).to_vec();
            lock(&recorded).push(response.clone());
            Answer::Response(response)
        });
        let run = self.json(args, input);
        run.succeeded();
        self.honest();
        let responses = lock(&record).clone();
        (run, responses)
    }

    /// Makes the key what it was at first.
    fn reset(&self) {
        self.inside().key = full_key();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const CODE: (&[&str], &str) = (&["code", ALICE, "--at", "59"], "");
const LIST: (&[&str], &str) = (&["oath", "list"], "");
const ADD: (&[&str], &str) = (&["oath", "add", "New:account"], SECRET);
const PRESIGN: (&[&str], &str) =
    (&["presign", "s3://bucket/a b", "--region", "eu-west-1", "--at", "2026-11-21T12:00:00Z"], "");

const RENAME: (&[&str], &str) = (&["oath", "rename", ALICE, "AWS:alice"], "");
const DELETE: (&[&str], &str) = (&["oath", "delete", "--force", ALICE], "");
const PASSWORD: (&[&str], &str) = (&["oath", "access", "change"], "correct horse");
const RESET: (&[&str], &str) = (&["oath", "reset", "--force"], "");
const HMAC: (&[&str], &str) = (&["oath", "hmac", ALICE, "0000000000000001"], "");
const VERIFY: (&[&str], &str) = (&["oath", "verify", ALICE, "287082", "--at", "59"], "");
/// All that is done with a key: those that read, and those that write. Whatever the card answers, a key has after it what it had
/// before, or what it has when nobody disturbs.
const OPERATIONS: [(&[&str], &str); 10] =
    [CODE, LIST, PRESIGN, HMAC, VERIFY, ADD, RENAME, DELETE, PASSWORD, RESET];

/// The key's state after an operation was carried out.
fn state_after(bench: &Bench, (args, input): (&[&str], &str)) -> Vec<u8> {
    bench.reset();
    bench.honest();
    bench.json(args, input).succeeded();
    let state = bench.state();
    bench.reset();
    state
}

/// `false` if a response is of an applet other than OATH: what cannot be read there is no error.
fn is_oath(command: &[u8]) -> bool {
    !matches!(command, [0, 0xA4, 4, 0, 8, ..] | [0, 0x1D, ..])
}

#[test]
fn every_response_cut_at_every_byte() {
    let bench = Bench::new();
    let before = bench.state();
    for (args, input) in OPERATIONS {
        let after = state_after(&bench, (args, input));
        let (good, responses) = bench.record(args, input);
        bench.reset();
        assert!(responses.len() >= 2, "{responses:02x?}");
        for (i, response) in responses.iter().enumerate() {
            // Every byte of what is short; of the others what is near the ends, and every seventh.
            // (Without any byte is nothing that the reader's driver can carry.)
            let cuts = (1..response.len())
                .filter(|cut| response.len() < 50 || *cut < 10 || *cut + 6 > response.len() || cut % 7 == 0);
            for cut in cuts {
                let foreign = Arc::new(Mutex::new(false));
                let is_foreign = Arc::clone(&foreign);
                bench.between(move |n, command, key| {
                    let mut response = key.transmit(command, &mut Finger).to_vec();
                    if n == i {
                        *lock(&is_foreign) = !is_oath(command);
                        response.truncate(cut);
                    }
                    Answer::Response(response)
                });
                let run = bench.json(args, input);
                let what = format!("response {i} cut to {cut} bytes: {}", run.said());
                if *lock(&foreign) && run.output.status.success() {
                    // Only what the key is called may differ.
                    let answer = |run: &Run| {
                        let mut answer: Value = serde_json::from_str(&run.stdout()).unwrap();
                        answer.as_object_mut().unwrap().remove("key");
                        answer
                    };
                    assert_eq!(answer(&run), answer(&good), "{what}");
                } else {
                    assert!(run.took < NO_HANG, "{what}");
                    let code = run.error();
                    // What does not tell its serial number is not the key that is asked for by it.
                    let is_named = (*lock(&foreign) || args == RESET.0) && code == "no-key";
                    assert!(is_named || ["bad-answer", "key-removed"].contains(&code.as_str()), "{what}");
                }
                let state = bench.state();
                if state != before {
                    assert!(state == after, "{what}");
                    bench.reset();
                }
            }
        }
        bench.honest();
        assert_eq!(bench.json(args, input).succeeded(), good.stdout());
        bench.reset();
    }
}

#[test]
fn a_host_outlives_every_kind_of_garbage() {
    let bench = Bench::new();
    let before = bench.state();
    let mut host = Host::start(&bench.home).unwrap();
    let code = json!({ "name": "code", "account": ALICE });
    let ops = [
        code.clone(),
        json!({ "name": "accounts", "codes": true }),
        json!({ "name": "identities" }),
        json!({ "name": "keys" }),
    ];
    let mut random = Random::new(0x9E37_79B9_7F4A_7C15);
    for round in 0..600 {
        let (spoiled, how) = (random.below(4), random.below(7));
        let (at, byte, tail) = (random.below(300), random.bytes(1), random.below(300));
        let noise = random.bytes(tail);
        bench.between(move |n, command, key| {
            let mut response = key.transmit(command, &mut Finger).to_vec();
            if n < spoiled {
                return Answer::Response(response);
            }
            let length = response.len().max(1);
            match how {
                // One wrong byte: a tag, a length, a value, the status word.
                0 | 1 => {
                    if let Some(wrong) = response.get_mut(at % length) {
                        *wrong = byte.first().copied().unwrap_or_default();
                    }
                }
                // The same, off by one.
                2 => {
                    if let Some(wrong) = response.get_mut(at % length) {
                        *wrong = wrong.wrapping_add(1);
                    }
                }
                // Noise, with and without a good status word.
                3 => response = noise.clone(),
                4 => response = [&noise, [0x90, 0].as_slice()].concat(),
                // More to come, with data and without.
                5 => response = [&noise, [0x61, 0xFF].as_slice()].concat(),
                _ => response = vec![0x61, 0xFF],
            }
            Answer::Response(response)
        });
        let start = Instant::now();
        let op = &ops[round % ops.len()];
        let reply = host.ask(op).unwrap();
        assert!(start.elapsed() < NO_HANG, "{op}: {reply}");
        if reply["type"] == "failed" {
            assert_ne!(reply["error"]["message"], "", "{reply}");
            assert!(reply["error"]["code"] != "internal", "{op}: {reply}");
        }
        assert!(bench.state() == before, "{op}: {reply}");
    }
    bench.honest();
    let reply = host.ask(&code).unwrap();
    assert_eq!(reply["answer"]["account"], ALICE, "{reply}");
}

/// Each response of each operation replaced by what is none: of another tag, of wrong lengths, of 64 KiB, without an end.
#[test]
fn every_response_replaced_by_every_kind_of_nonsense() {
    let ok = |body: &[u8]| [body, &[0x90, 0]].concat();
    // The longest that the reader's driver carries.
    const MOST: usize = 65_533;
    let nonsense: [(&str, Vec<u8>); 12] = [
        ("another tag", ok(b"\x55\x01\x00")),
        ("a length beyond the end", ok(b"\x71\x7f\x00")),
        ("a length of two bytes beyond the end", ok(b"\x71\x82\xff\xff\x00")),
        ("a length of five bytes", ok(b"\x71\x85\xff\xff\xff\xff\xff")),
        ("a length without its bytes", ok(b"\x71\x81")),
        ("a tag alone", ok(b"\x71")),
        ("64 KiB of one byte", ok(&[0x71; MOST])),
        ("64 KiB in one TLV", ok(&[b"\x55\x82\xff\xf9".as_slice(), &[0; MOST - 4]].concat())),
        ("more data, and none", vec![0x61, 0xFF]),
        // What comes is that there is no more.
        ("more data, once", b"\x55\x61\xff".to_vec()),
        ("no status word", vec![0x90]),
        ("an unknown status word", vec![0x6F, 0x00]),
    ];
    let bench = Bench::new();
    let before = bench.state();
    for (args, input) in OPERATIONS {
        let after = state_after(&bench, (args, input));
        let (_, responses) = bench.record(args, input);
        bench.reset();
        let again = |n: usize, answer: &[u8], for_ever: bool| {
            let foreign = Arc::new(Mutex::new(false));
            let (is_foreign, answer) = (Arc::clone(&foreign), answer.to_vec());
            bench.between(move |at, command, key| {
                let response = key.transmit(command, &mut Finger).to_vec();
                *lock(&is_foreign) |= at == n && !is_oath(command);
                Answer::Response(if at == n || (for_ever && at > n) { answer.clone() } else { response })
            });
            let run = bench.json(args, input);
            let foreign = *lock(&foreign);
            let what = format!("response {n}: {}", run.said());
            assert!(run.took < NO_HANG, "{what}");
            let state = bench.state();
            assert!(state == before || state == after, "{what}");
            bench.reset();
            (run, foreign, what)
        };
        for n in 0..responses.len() {
            for (name, answer) in &nonsense {
                let (run, foreign, what) = again(n, answer, false);
                if !(foreign && run.output.status.success()) {
                    let code = run.error();
                    let is_other = (foreign || args == RESET.0) && code == "no-key";
                    assert!(is_other || code == "bad-answer", "{name}, {what}");
                }
            }
            for answer in [b"\x71\x61\xff".as_slice(), &[[0x71; 255].as_slice(), &[0x61, 0xFF]].concat()] {
                let (run, foreign, what) = again(n, answer, true);
                let code = run.error();
                let is_other = (foreign || args == RESET.0) && code == "no-key";
                assert!(is_other || code == "bad-answer", "without an end, {what}");
            }
        }
    }
}

/// A card may take its time: what it says is worth the same.
#[test]
fn a_slow_card_is_waited_for() {
    let bench = Bench::new();
    for (args, input) in [CODE, PRESIGN] {
        let (good, responses) = bench.record(args, input);
        bench.between(|_, command, key| {
            std::thread::sleep(Duration::from_millis(700));
            Answer::Response(key.transmit(command, &mut Finger).to_vec())
        });
        let run = bench.json(args, input);
        assert_eq!(run.succeeded(), good.stdout());
        let least = Duration::from_millis(700) * u32::try_from(responses.len()).unwrap();
        assert!(run.took > least, "{:?}", run.took);
    }
}

#[test]
fn cards_that_lie_are_told() {
    const SELECTED: &[u8] = b"\x79\x03\x05\x07\x01\x71\x08\x01\x02\x03\x04\x05\x06\x07\x08";
    /// `answer` is what the card says to the commands with this instruction and first parameter.
    #[track_caller]
    fn check(bench: &Bench, spoiled: [u8; 2], answer: Vec<u8>, exit: i32, code: &str, words: &str) {
        let before = bench.state();
        bench.between(move |_, command, key| {
            if command.get(1..3) == Some(&spoiled) {
                return Answer::Response(answer.clone());
            }
            Answer::Response(key.transmit(command, &mut Finger).to_vec())
        });
        let run = bench.json(CODE.0, CODE.1);
        run.failed(exit, code);
        assert!(run.said().contains(words), "{}", run.said());
        // The same in words.
        let told = Run::of(&bench.home, CODE.0, CODE.1);
        let text = String::from_utf8(told.output.stderr.clone()).unwrap();
        assert!(told.stdout().is_empty(), "{}", told.said());
        assert!(text.starts_with("keyfob: ") && text.contains(words) && text.contains("\n  → "), "{text}");
        assert!(bench.state() == before);
        bench.honest();
        assert!(bench.json(CODE.0, CODE.1).succeeded().contains(ALICE));
    }
    let ok = |body: &[u8]| [body, &[0x90, 0]].concat();
    let bench = Bench::new();
    let select = [0xA4, 4];
    check(&bench, select, vec![0x6A, 0x82], 3, "no-key", "no OATH applet");
    check(&bench, select, vec![0x6D, 0x00], 3, "no-key", "no OATH applet");
    // Selection failed, as some of Yubico's applets say it.
    check(&bench, select, vec![0x69, 0x99], 3, "no-key", "no OATH applet");
    check(&bench, select, vec![0x6F, 0x00], 1, "bad-answer", "6F00");
    // No version, no salt, a version of two bytes, a challenge without bytes.
    check(&bench, select, ok(&SELECTED[5..]), 1, "bad-answer", "");
    check(&bench, select, ok(&SELECTED[..5]), 1, "bad-answer", "");
    check(&bench, select, ok(b"\x79\x02\x05\x07\x71\x01\x01"), 1, "bad-answer", "");
    check(&bench, select, ok(&[SELECTED, &[0x74, 0]].concat()), 1, "bad-answer", "");
    let all = [0xA4, 0];
    check(&bench, all, ok(b"\x72\x02\x21x"), 1, "bad-answer", "");
    check(&bench, all, ok(b"\x71\x7fx"), 1, "bad-answer", "");
    // An entry that cannot be one is left out, and takes no other along: no name, one of 65 bytes, eleven digits.
    let long = [&[0x71, 0x41], [b'x'; 65].as_slice(), &[0x7C, 1, 6]].concat();
    for odd in [b"\x71\x00\x76\x05\x06\0\0\0\0".as_slice(), &long, b"\x71\x01x\x76\x05\x0b\0\0\0\0"] {
        check(&bench, all, ok(odd), 7, "not-found", "no account");
    }
    check(&bench, all, vec![0x61, 0xFF], 1, "bad-answer", "none");
    check(&bench, all, ok(&[0x71; 65_000]), 1, "bad-answer", "");
    check(&bench, all, ok(b""), 7, "not-found", "no account");
    // It promises more for ever.
    check(&bench, [0xA5, 0], vec![b'x', 0x61, 0x01], 1, "bad-answer", "does not end");
    check(
        &bench,
        [0xA5, 0],
        [[b'x'; 60_000].as_slice(), &[0x61, 0xFF]].concat(),
        1,
        "bad-answer",
        "does not end",
    );
    check(&bench, [0xA5, 0], vec![0x6D, 0x00], 1, "unsupported", "");
}

#[test]
fn one_broken_account_does_not_take_the_others_along() {
    let bench = Bench::new();
    // As a YubiKey does: CALCULATE ALL fails, and so does CALCULATE of the broken one.
    bench.between(|_, command, key| {
        let broken = command.get(1) == Some(&0xA2) && command.windows(4).any(|bytes| bytes == b"erin");
        if broken || command.get(1..3) == Some(&[0xA4, 0]) {
            return Answer::Response(vec![0x65, 0x81]);
        }
        Answer::Response(key.transmit(command, &mut Finger).to_vec())
    });
    assert_eq!(Run::of(&bench.home, CODE.0, "").succeeded(), ALICE_AT_59);
    assert_eq!(bench.json(LIST.0, "").succeeded().matches("\"name\"").count(), 8);
    bench.json(PRESIGN.0, "").succeeded();
    let run = bench.json(&["code", "erin"], "");
    run.failed(1, "bad-answer");
    assert!(run.said().contains("erin: ") && run.said().contains("keyfob oath delete"), "{}", run.said());
    bench.json(&["oath", "delete", "erin", "--force"], "").succeeded();
    assert_eq!(bench.json(LIST.0, "").succeeded().matches("\"name\"").count(), 7);
}

/// Pulls the card at every command of an exchange, before it is carried out and after.
fn pulled_at_every_command((args, input): (&[&str], &str)) {
    let mut bench = Bench::new();
    let after_add = state_after(&bench, ADD);
    let before = bench.state();
    let (good, responses) = bench.record(args, input);
    bench.reset();
    for at in 0..responses.len() {
        for carried_out in [false, true] {
            bench.between(move |n, command, key| {
                if n < at || carried_out {
                    let response = key.transmit(command, &mut Finger).to_vec();
                    if n < at {
                        return Answer::Response(response);
                    }
                }
                Answer::Pulled
            });
            let run = bench.json(args, input);
            run.failed(3, "key-removed");
            let state = bench.state();
            let written = args == ADD.0 && carried_out && at + 1 == responses.len();
            assert!(state == if written { &after_add } else { &before }[..], "{at}: {}", run.said());
            // In again: what was written is not written twice, and all else goes as if nothing had been.
            bench.honest();
            bench.insert();
            let again = bench.json(args, input);
            if written {
                again.failed(1, "exists");
            } else {
                assert_eq!(again.succeeded(), good.stdout());
            }
            bench.reset();
        }
    }
}

#[test]
fn a_card_is_pulled_while_it_gives_a_code() {
    pulled_at_every_command(CODE);
}

#[test]
fn a_card_is_pulled_while_it_is_listed() {
    pulled_at_every_command(LIST);
}

#[test]
fn a_card_is_pulled_while_it_is_written() {
    pulled_at_every_command(ADD);
}

#[test]
fn a_card_is_pulled_while_it_signs() {
    pulled_at_every_command(PRESIGN);
}

#[test]
fn the_service_dies_and_comes_back() {
    let mut bench = Bench::new();
    // The socket's path stays the same, as it does on a machine.
    let socket = bench.home.path().join("pcscd.comm");
    std::os::unix::fs::symlink(bench.pcscd.socket(), &socket).unwrap();
    bench.home.use_pcsc_socket(&socket);
    let mut host = Host::start(&bench.home).unwrap();
    let code = json!({ "name": "code", "account": ALICE });
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);

    // In the middle: the card has the command, and the service ends before it answers.
    let (reached, is_reached) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    bench.between(move |n, command, key| {
        if n == 1 {
            let _ = reached.send(());
            let _ = may_go_on.recv();
        }
        Answer::Response(key.transmit(command, &mut Finger).to_vec())
    });
    let home = &bench.home;
    std::thread::scope(|scope| {
        let run = scope.spawn(|| Run::of(home, &[&["--json"], CODE.0].concat(), ""));
        is_reached.recv_timeout(NO_HANG).unwrap();
        bench.pcscd.stop();
        let run = run.join().unwrap();
        assert!(["no-pcsc", "key-removed"].contains(&run.error().as_str()), "{}", run.said());
        assert_eq!(run.output.status.code(), Some(3), "{}", run.said());
        drop(go_on);
    });

    // A host that had a connection says that the service is gone, and finds the new one.
    assert_eq!(host.ask(&code).unwrap()["error"]["code"], "no-pcsc");
    let run = bench.json(CODE.0, "");
    run.failed(3, "no-pcsc");
    assert!(run.said().contains("pcscd"), "{}", run.said());
    bench.card = None;
    bench.pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    std::fs::remove_file(&socket).unwrap();
    std::os::unix::fs::symlink(bench.pcscd.socket(), &socket).unwrap();
    bench.honest();
    bench.insert();
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);
}

/// Another program that holds the card, through the same service.
struct Holder {
    child: Child,
}

impl Holder {
    fn new(home: &Home, how: &str) -> Self {
        const HOLD: &str = r#"
import sys
from smartcard.scard import *
def check(result, *values):
    if result != SCARD_S_SUCCESS: sys.exit(SCardGetErrorMessage(result))
    return values[0] if values else None
context = check(*SCardEstablishContext(SCARD_SCOPE_USER))
mode = SCARD_SHARE_EXCLUSIVE if sys.argv[1] == "exclusive" else SCARD_SHARE_SHARED
card = check(*SCardConnect(context, sys.argv[2], mode, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1)[:2])
if sys.argv[1] == "transaction": check(SCardBeginTransaction(card))
print("held", flush=True)
sys.stdin.readline()
SCardDisconnect(card, SCARD_LEAVE_CARD)
"#;
        let mut python = home.command(tool("KEYFOB_PYTHON").unwrap());
        python.args(["-c", HOLD, how, &format!("{YUBIKEY_READER} 00 00")]);
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Self { child }
    }

    fn let_go(&mut self) {
        let _ = self.child.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        self.child.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[test]
fn a_card_that_another_program_holds_is_waited_for() {
    let bench = Bench::new();
    for how in ["exclusive", "transaction"] {
        // Let go in time: nobody notices.
        let mut holder = Holder::new(&bench.home, how);
        let home = &bench.home;
        std::thread::scope(|scope| {
            let run = scope.spawn(|| Run::of(home, CODE.0, ""));
            std::thread::sleep(Duration::from_millis(700));
            assert!(!run.is_finished(), "{how}");
            holder.let_go();
            assert_eq!(run.join().unwrap().succeeded(), ALICE_AT_59);
        });
    }
    let holder = Holder::new(&bench.home, "exclusive");
    let run = bench.json(CODE.0, "");
    run.failed(1, "busy");
    assert!(run.took > Duration::from_secs(2) && run.took < Duration::from_secs(5), "{:?}", run.took);
    let pid = format!("(pid {})", holder.child.id());
    assert!(run.said().contains("another program") && run.said().contains(&pid), "{}", run.said());
    // Nor is another key taken in its place.
    bench.json(&["list"], "").failed(1, "busy");
}

/// All at once: they wait, and do nothing else.
#[test]
fn nothing_is_waited_for_for_ever() {
    std::thread::scope(|scope| {
        scope.spawn(a_transaction_that_never_ends);
        scope.spawn(a_card_that_never_answers);
        scope.spawn(a_card_that_answers_drop_by_drop);
        scope.spawn(a_service_that_hangs);
    });
}

fn a_transaction_that_never_ends() {
    let bench = Bench::new();
    let mut holder = Holder::new(&bench.home, "transaction");
    let mut host = Host::start(&bench.home).unwrap();
    let code = json!({ "name": "code", "account": ALICE });
    let start = Instant::now();
    assert_eq!(host.ask(&code).unwrap()["error"]["code"], "busy");
    let took = start.elapsed();
    assert!(took > Duration::from_secs(15) && took < Duration::from_secs(25), "{took:?}");
    holder.let_go();
    // What was left waiting lets go as soon as it has the card.
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);
}

fn a_card_that_never_answers() {
    let bench = Bench::new();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    bench.between(move |_, _, _| {
        let _ = may_go_on.recv();
        Answer::Pulled
    });
    let start = Instant::now();
    let run = bench.json(CODE.0, "");
    let took = start.elapsed();
    drop(go_on);
    assert!(took > Duration::from_secs(25) && took < Duration::from_secs(40), "{took:?}");
    let error = run.json();
    assert_eq!((run.output.status.code(), &error["error"]["code"]), (Some(1), &json!("bad-answer")));
}

/// Each block comes in time; all of them would take an hour.
fn a_card_that_answers_drop_by_drop() {
    let bench = Bench::new();
    bench.between(|_, command, key| {
        if command.get(1..3) != Some(&[0xA4, 0]) && command.get(1) != Some(&0xA5) {
            return Answer::Response(key.transmit(command, &mut Finger).to_vec());
        }
        std::thread::sleep(Duration::from_secs(4));
        Answer::Response(b"\x71\x61\xff".to_vec())
    });
    let start = Instant::now();
    let run = bench.json(CODE.0, "");
    let took = start.elapsed();
    assert!(took > Duration::from_secs(25) && took < Duration::from_secs(45), "{took:?}");
    let error = run.json();
    assert_eq!((run.output.status.code(), &error["error"]["code"]), (Some(1), &json!("bad-answer")));
    assert!(run.said().contains("does not end"), "{}", run.said());
}

fn a_service_that_hangs() {
    let bench = Bench::new();
    let mut host = Host::start(&bench.home).unwrap();
    let code = json!({ "name": "code", "account": ALICE });
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);
    let pcscd = process_of(&bench.pcscd);
    kill_process(pcscd, Signal::STOP).unwrap();
    let start = Instant::now();
    bench.json(CODE.0, "").failed(3, "no-pcsc");
    assert_eq!(host.ask(&code).unwrap()["error"]["code"], "no-pcsc");
    let took = start.elapsed();
    kill_process(pcscd, Signal::CONT).unwrap();
    // Either answer in its time.
    assert!(took < NO_HANG * 2, "{took:?}");
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);
}

/// The process of a service: the one that was given its folder.
fn process_of(pcscd: &Pcscd) -> Pid {
    let socket = pcscd.socket();
    let folder = socket.ancestors().nth(3).unwrap().to_str().unwrap();
    let is_it = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        command.split('\0').next().is_some_and(|name| name.ends_with("/pcscd")) && command.contains(folder)
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    Pid::from_raw(pids.find(is_it).unwrap()).unwrap()
}

#[test]
fn no_reader_no_card_no_service() {
    let mut home = Home::new().unwrap();
    let run = |home: &Home, args: &[&str]| Run::of(home, &[&["--json"], args].concat(), "");
    run(&home, CODE.0).failed(3, "no-pcsc");
    run(&home, &["list"]).failed(3, "no-pcsc");
    {
        let none = Pcscd::start(&[]).unwrap();
        home.use_pcscd(&none);
        run(&home, CODE.0).failed(3, "no-key");
        assert_eq!(run(&home, &["list"]).succeeded(), "[]\n");
    }
    let empty = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    home.use_pcscd(&empty);
    for (args, input) in [CODE, LIST, ADD, PRESIGN, (&["info"], "")] {
        let run = Run::of(&home, &[&["--json"], args].concat(), input);
        run.failed(3, "no-key");
        assert!(run.said().contains("--key soft:NAME"), "{}", run.said());
    }
    run(&home, &["--key", "12345678", "code", "x"]).failed(3, "no-key");
}

#[test]
fn two_keys_are_told_apart_by_serial_number() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER, "Other Maker Reader"]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    let insert = |reader, serial, salt, name: &str| {
        let mut key = SoftKey::new(serial, salt);
        send(&mut key, &Select);
        let id = CredentialId::for_name(Kind::Totp, 30, name).unwrap();
        let six = DigitCount::new(6).unwrap();
        send(&mut key, &Put::totp(id, Algorithm::Sha1, six, b"12345678901234567890", false));
        pcscd
            .insert(reader, move |command| Answer::Response(key.transmit(command, &mut Finger).to_vec()))
            .unwrap()
    };
    let _first = insert(0, 90_000_001, [1; 8], "first");
    let second = insert(1, 90_000_002, [2; 8], "second");
    let run = |args: &[&str]| Run::of(&home, &[&["--json"], args].concat(), "");
    for args in [LIST.0, &["oath", "add", "third"], &["oath", "reset", "--force"]] {
        let run = Run::of(&home, &[&["--json"], args].concat(), SECRET);
        run.failed(4, "ambiguous");
        let error = run.json();
        assert_eq!(error["error"]["candidates"], json!(["90000001", "90000002"]), "{}", run.said());
        assert!(run.said().contains("--key SERIAL"), "{}", run.said());
    }
    // Where an account is named, the key that has it is found.
    for name in ["first", "second"] {
        assert_eq!(Run::of(&home, &["code", name, "--at", "59"], "").succeeded(), ALICE_AT_59);
    }
    run(CODE.0).failed(7, "not-found");
    assert!(run(&["--key", "90000001", "oath", "list"]).succeeded().contains("first"));
    assert!(run(&["--key", "90000002", "oath", "list"]).succeeded().contains("second"));
    assert_eq!(
        Run::of(&home, &["-k", "90000002", "code", "second", "--at", "59"], "").succeeded(),
        ALICE_AT_59
    );
    run(&["--key", "90000001", "code", "second"]).failed(7, "not-found");
    run(&["--key", "90000003", "oath", "list"]).failed(3, "no-key");

    // A card that is none of ours, or speaks nonsense, in the other reader is no second key.
    drop(second);
    for answer in [&[0x6A, 0x82][..], &[0x69, 0x85], &[0x90, 0x00], &[0x79, 0x7F, 0x90, 0x00], &[0x00]] {
        let _stranger = pcscd.insert(1, move |_| Answer::Response(answer.to_vec())).unwrap();
        assert!(run(&["list"]).succeeded().matches("smart-card").count() == 1);
        assert!(run(&["oath", "list"]).succeeded().contains("first"), "{answer:02x?}");
        assert!(run(&["--key", "90000001", "oath", "list"]).succeeded().contains("first"));
    }
}

#[test]
fn a_locked_key_wants_its_password() {
    const PASSWORD: &str = "correct horse";
    let bench = Bench::new();
    {
        let key = &mut bench.inside().key;
        send(key, &Select);
        send(key, &SetCode::set(AccessKey::derive(PASSWORD, &SALT), [3; 8]));
        key.power_cycle();
    }
    let before = bench.state();
    // Nobody to ask.
    for (args, input) in [CODE, LIST, ADD, PRESIGN] {
        let run = Run::of(&bench.home, &[&["--json"], args].concat(), input);
        run.failed(5, "locked");
        assert!(run.said().contains("terminal"), "{}", run.said());
    }
    let listed = bench.json(&["list"], "").succeeded();
    assert!(listed.contains(&SERIAL.to_string()) && listed.contains("\"locked\":true"), "{listed}");

    // At a terminal.
    let at_terminal = |args: &[&str], password: &str| {
        let mut command = bench.home.keyfob().unwrap();
        command.args(args);
        terminal::run(&command, &[("Enter the password of the key in", password)]).unwrap()
    };
    let wrong = at_terminal(&[&["--json"], CODE.0].concat(), "wrong horse");
    assert_eq!(wrong.output.status.code(), Some(5));
    assert!(wrong.output.stdout.is_empty());
    let error: Value = serde_json::from_slice(&wrong.output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "wrong-password", "{error}");
    assert!(bench.state() == before);
    // After a wrong one the agent takes no other for a moment.
    let taken = || {
        let session = at_terminal(CODE.0, PASSWORD);
        (!String::from_utf8_lossy(&session.output.stderr).contains("the last passwords were wrong"))
            .then_some(session)
    };
    let right = poll("the next password to be taken", taken).unwrap();
    assert_eq!(String::from_utf8(right.output.stdout).unwrap(), ALICE_AT_59, "{}", right.screen);
    assert!(!right.screen.contains("horse"), "{}", right.screen);
    // Its serial number is asked for in between, which locks it again.
    for args in [LIST.0, &["info"], &["code"], &["aws", "identities"], PRESIGN.0] {
        let listed = at_terminal(args, PASSWORD);
        let error = String::from_utf8(listed.output.stderr).unwrap();
        assert!(listed.output.status.success() && !listed.output.stdout.is_empty(), "{args:?}: {error}");
    }

    // Over native messaging; what was unlocked is so for every front end, until it is locked.
    let mut host = Host::start(&bench.home).unwrap();
    let code = json!({ "name": "code", "account": ALICE });
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);
    bench.home.succeed(&["--quiet", "lock"], "").unwrap();
    let accounts = json!({ "name": "accounts", "codes": true });
    let error = host.ask(&code).unwrap()["error"].clone();
    assert_eq!(error["code"], "locked");
    assert!(error["hint"].as_str().unwrap().contains("popup"), "{error}");
    let unlock = |password: &str| json!({ "name": "unlock", "password": password });
    assert_eq!(host.ask(&unlock("wrong horse")).unwrap()["error"]["code"], "wrong-password");
    assert_eq!(host.ask(&code).unwrap()["error"]["code"], "locked");
    let unlocked = || (host.ask(&unlock(PASSWORD)).unwrap()["answer"]["name"] == "unlocked").then_some(());
    poll("the next password to be taken", unlocked).unwrap();
    assert_eq!(host.ask(&code).unwrap()["answer"]["account"], ALICE);
    let listed = host.ask(&accounts).unwrap();
    assert_eq!(listed["answer"]["key"]["locked"], false, "{listed}");

    // A card that does not know its own password, though it lets everybody in.
    bench.between(|_, command, key| {
        let mut response = key.transmit(command, &mut Finger).to_vec();
        if command.get(1) == Some(&0xA3) {
            response[2] ^= 1;
        }
        Answer::Response(response)
    });
    assert_eq!(host.ask(&code).unwrap()["error"]["code"], "bad-answer");
    let lied = at_terminal(CODE.0, PASSWORD);
    let error = String::from_utf8(lied.output.stderr).unwrap();
    assert_eq!(lied.output.status.code(), Some(1), "{error}");
    assert!(lied.output.stdout.is_empty() && error.contains("do not trust it"), "{error}");
    assert!(bench.state() == before);
}

/// Some applets take the property and forget it.
#[test]
fn a_card_that_ignores_the_touch_is_found_out() {
    let bench = Bench::new();
    bench.between(|_, command, key| {
        let is_put = command.get(1) == Some(&0x01);
        // The property stands last in the data, before Le.
        let plain = command.strip_suffix(&[0x78, 0x02, 0x00]).filter(|_| is_put).map(|plain| {
            let mut plain = [plain, &[0x00]].concat();
            plain[4] -= 2;
            plain
        });
        Answer::Response(key.transmit(plain.as_deref().unwrap_or(command), &mut Finger).to_vec())
    });
    let names = |bench: &Bench| bench.json(&["oath", "list"], "").succeeded();
    let before = names(&bench);
    let run = bench.json(&["oath", "add", "--touch", "New:one"], SECRET);
    run.failed(1, "unsupported");
    assert!(run.said().contains("nothing was added"), "{}", run.said());
    assert_eq!(names(&bench), before);
    bench.json(&["oath", "add", "New:one"], SECRET).succeeded();
    // What was there is replaced, and nothing is lost without a word.
    let run = bench.json(&["oath", "add", "--touch", "--force", "New:one"], SECRET);
    run.failed(1, "unsupported");
    assert!(run.said().contains("wants none"), "{}", run.said());
}

#[test]
fn unknown_accounts_and_touches_that_never_come() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    home.succeed(&["soft", "create", "demo"], "").unwrap();
    let soft = ["--key", "soft:demo"];
    home.succeed(&[&soft[..], &["oath", "add", "--touch", TOUCH]].concat(), SECRET).unwrap();
    home.succeed(&[&soft[..], &["oath", "add", ALICE]].concat(), SECRET).unwrap();
    home.succeed(&[&soft[..], &["aws", "add", ACCESS_KEY_ID]].concat(), SECRET_ACCESS_KEY).unwrap();
    home.set("KEYFOB_SOFT_TOUCH", "never");
    let _card = pcscd.insert_soft_key(0, &home, "demo").unwrap();
    let code = json!({ "name": "code", "account": TOUCH });
    let reply = Host::start(&home).unwrap().ask(&code).unwrap();
    assert_eq!(reply["error"]["code"], "touch-timeout", "{reply}");
    // In a reader and as a file it is the same.
    for key in [&[][..], &soft] {
        let run = |args: &[&str]| Run::of(&home, &[key, args].concat(), "");
        for args in [&["code", TOUCH][..], PRESIGN.0] {
            let run = run(args);
            assert_eq!(run.output.status.code(), Some(6), "{}", run.said());
            assert!(
                run.output.stdout.is_empty()
                    && run.said().contains("Touch your key: ")
                    && run.said().contains(" asks "),
                "{}",
                run.said()
            );
            assert!(run.said().contains("not touched in time"), "{}", run.said());
        }
        let run = run(&["--json", "code", "Nobody:at all"]);
        run.failed(7, "not-found");
        let error = run.json();
        assert_eq!(error["error"]["candidates"], json!([TOUCH, ALICE]), "{}", run.said());
        let run =
            Run::of(&home, &[key, &["--json", "oath", "delete", "--force", "Nobody:at all"]].concat(), "");
        run.failed(7, "not-found");
    }
}

#[test]
fn a_full_key_says_so() {
    let bench = Bench::new();
    bench.between(|_, command, key| match command.get(1) {
        Some(1) => Answer::Response(vec![0x6A, 0x84]),
        _ => Answer::Response(key.transmit(command, &mut Finger).to_vec()),
    });
    bench.json(ADD.0, ADD.1).failed(1, "no-space");
    // And one without memory of names, as SHA-512 is refused by old firmware.
    bench.between(|_, command, key| match command.get(1) {
        Some(1) => Answer::Response(vec![0x6A, 0x80]),
        _ => Answer::Response(key.transmit(command, &mut Finger).to_vec()),
    });
    bench.json(ADD.0, ADD.1).failed(1, "unsupported");
}
