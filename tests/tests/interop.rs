//! ykman and keyfob take turns at one virtual key, over real PC/SC: every operation by either client, and after each
//! the state of the key as both see it, held against a model that shares no code with them.
//!
//! The model's codes follow RFC 4226 and RFC 6238 by other crates. Each transcript runs twice, with the roles swapped, on
//! each firmware; keyfob asks its agent on some, and the card itself on the others.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use keyfob_tests::home::Home;
use keyfob_tests::keychain::Keychain;
use keyfob_tests::leash::Leash;
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::random::Random;
use keyfob_tests::ykman::Ykman;
use keyfob_tests::{poll, terminal, tool};
use serde_json::{Value, json};

/// The time of all codes, unless a step says otherwise: one of RFC 6238's.
const NOW: u64 = 1_111_111_109;

/// What `keyfob` asks with.
const PASSWORD_PROMPT: &str = "Enter the password of the key in";

/// A firmware that the software key can have, and what it cannot do (ykman's own limits; SHA-512 from 4.3.1, touch from 4.2.4 or,
/// as ykman has it, 4.2.6, RENAME from 5.3.1).
#[derive(Debug, Clone, Copy)]
struct Firmware {
    option: &'static str,
    /// How many accounts fit; by their lengths where there is none.
    slots: Option<usize>,
    sha512: bool,
    touch: bool,
    rename: bool,
}

const NEO: Firmware = Firmware { option: "neo", slots: None, sha512: false, touch: false, rename: false };
const V4: Firmware = Firmware { option: "4.3", slots: Some(32), sha512: true, touch: true, rename: false };
const V5: Firmware = Firmware { option: "5.2", slots: Some(32), sha512: true, touch: true, rename: false };
const V57: Firmware = Firmware { option: "5.7", slots: Some(64), sha512: true, touch: true, rename: true };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Totp,
    Hotp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

/// An account as it was meant to be put on the key.
#[derive(Debug, Clone)]
struct Account {
    /// Full name, `ISSUER:ACCOUNT` or `ACCOUNT`.
    name: String,
    kind: Kind,
    hash: Hash,
    digits: u8,
    period: u32,
    counter: u32,
    touch: bool,
    secret: Vec<u8>,
}

/// One as sites give them: SHA-1, six digits, 30 seconds, RFC 6238's secret.
fn totp(name: &str) -> Account {
    Account {
        name: name.to_owned(),
        kind: Kind::Totp,
        hash: Hash::Sha1,
        digits: 6,
        period: 30,
        counter: 0,
        touch: false,
        secret: b"12345678901234567890".to_vec(),
    }
}

fn hotp(name: &str, counter: u32) -> Account {
    Account { kind: Kind::Hotp, period: 0, counter, ..totp(name) }
}

impl Account {
    fn parts(&self) -> (Option<&str>, &str) {
        self.name.split_once(':').map_or((None, self.name.as_str()), |(issuer, name)| (Some(issuer), name))
    }

    fn is_steam(&self) -> bool {
        self.kind == Kind::Totp && self.parts().0 == Some("Steam")
    }

    /// What it is called on the key.
    fn id(&self) -> String {
        let as_if = self.name.split_once('/').is_some_and(|(period, _)| period.parse::<u32>().is_ok());
        match (self.kind, self.period) {
            (Kind::Hotp, _) => self.name.clone(),
            (Kind::Totp, 30) if !as_if => self.name.clone(),
            (Kind::Totp, period) => format!("{period}/{}", self.name),
        }
    }

    /// RFC 4226, section 5.3, over RFC 6238's time step or the counter; Steam's letters.
    fn code(&self, at: u64) -> String {
        fn mac<M: Mac + KeyInit>(secret: &[u8], step: u64) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(secret).unwrap();
            mac.update(&step.to_be_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        let step = match self.kind {
            Kind::Totp => at / u64::from(self.period),
            Kind::Hotp => self.counter.into(),
        };
        let mac = match self.hash {
            Hash::Sha1 => mac::<Hmac<sha1::Sha1>>(&self.secret, step),
            Hash::Sha256 => mac::<Hmac<sha2::Sha256>>(&self.secret, step),
            Hash::Sha512 => mac::<Hmac<sha2::Sha512>>(&self.secret, step),
        };
        let offset = usize::from(mac[mac.len() - 1] & 15);
        let bits = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7FFF_FFFF;
        if self.is_steam() {
            let letters = b"23456789BCDFGHJKMNPQRTVWXY";
            let mut rest = usize::try_from(bits).unwrap();
            let mut letter = || {
                let letter = letters[rest % letters.len()];
                rest /= letters.len();
                char::from(letter)
            };
            return (0..5).map(|_| letter()).collect();
        }
        format!("{:0width$}", u64::from(bits) % 10_u64.pow(self.digits.into()), width = self.digits.into())
    }

    /// How either client shows it, [`NOW`].
    fn seen(&self) -> Value {
        let hotp = self.kind == Kind::Hotp;
        json!({
            "name": self.name,
            "issuer": self.parts().0,
            "kind": if hotp { "hotp" } else { "totp" },
            "period": self.period,
            "touch": (!hotp).then_some(self.touch),
            "code": (!hotp).then(|| self.code(NOW)),
        })
    }

    fn uri(&self) -> String {
        let issuer = self.parts().0;
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let kind = if self.kind == Kind::Hotp { "hotp" } else { "totp" };
        let moved = match self.kind {
            Kind::Hotp => format!("counter={}", self.counter),
            Kind::Totp => format!("period={}", self.period),
        };
        let issuer = issuer.map_or(String::new(), |issuer| format!("&issuer={}", encode(issuer)));
        format!(
            "otpauth://{kind}/{}?secret={}&digits={}&algorithm={:?}&{moved}{issuer}",
            encode(&self.name),
            base32(&self.secret),
            self.digits,
            self.hash
        )
        .replace("algorithm=Sha", "algorithm=SHA")
    }
}

/// RFC 4648, section 6, without padding.
fn base32(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)).collect();
    let letter = |bits: &[u8]| {
        let value = bits.iter().chain([0; 4].iter()).take(5).fold(0, |value, bit| value << 1 | bit);
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(value)])
    };
    bits.chunks(5).map(letter).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Keyfob,
    Ykman,
}

/// One operation, by either client. Names are full ones; the password that the key has is given where it wants one.
#[derive(Debug, Clone)]
enum Step {
    /// By its parts, replacing what is there only with consent.
    Add {
        account: Account,
        consent: bool,
    },
    /// By its `otpauth` URI.
    Uri {
        account: Account,
        consent: bool,
    },
    /// Of one account.
    Code(&'static str),
    /// Of all that give one unasked.
    Codes,
    List,
    Info,
    Rename(&'static str, &'static str),
    Delete {
        name: &'static str,
        consent: bool,
    },
    /// Set or changed; removed.
    Password(Option<&'static str>),
    /// Something that wants the password, with another one.
    Wrong(&'static str),
    /// The same, with none.
    NoPassword,
    /// Where there is no keychain.
    Remember,
    Forget,
    Reset,
}

fn add(account: Account) -> Step {
    Step::Add { account, consent: false }
}

fn uri(account: Account) -> Step {
    Step::Uri { account, consent: false }
}

fn over(account: Account) -> Step {
    Step::Add { account, consent: true }
}

fn delete(name: &'static str) -> Step {
    Step::Delete { name, consent: true }
}

/// How either client says that it did not.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// keyfob's exit code and error code.
    exit: i32,
    code: &'static str,
    /// ykman's exit code, and some of its words.
    status: i64,
    words: &'static str,
}

const fn refusal(exit: i32, code: &'static str, status: i64, words: &'static str) -> Refusal {
    Refusal { exit, code, status, words }
}

const NOT_REPLACED: Refusal = refusal(1, "exists", 1, "Abort");
const TAKEN: Refusal = refusal(1, "exists", 1, "already exists");
const NO_CODE_OF: Refusal = refusal(7, "not-found", 1, "No matching account found");
const NO_SUCH: Refusal = refusal(7, "not-found", 0, "No matches");
const NOT_DELETED: Refusal = refusal(2, "invalid-input", 0, "aborted by user");
const WRONG: Refusal = refusal(5, "wrong-password", 1, "Wrong password?");
const LOCKED: Refusal = refusal(5, "locked", 1, "Abort");
const NO_KEYCHAIN: Refusal = refusal(1, "unsupported", 1, "Keyring locked or unavailable");
const NO_SHA512: Refusal = refusal(1, "unsupported", 1, "SHA512 not supported");
const NO_TOUCH: Refusal = refusal(1, "unsupported", 1, "touch is not supported");
const NO_RENAME: Refusal = refusal(1, "unsupported", 1, "requires YubiKey 5.3.1");
const FULL: Refusal = refusal(1, "no-space", 1, "No space left");

/// What must be on the key.
#[derive(Debug)]
struct Model {
    firmware: Firmware,
    accounts: BTreeMap<String, Account>,
    password: Option<&'static str>,
}

impl Model {
    /// Carries a step out; gives the code that it must print, if any.
    fn apply(&mut self, step: &Step) -> Result<Option<String>, Refusal> {
        match step {
            Step::Add { account, consent } | Step::Uri { account, consent } => {
                let there = self.accounts.contains_key(&account.name);
                let cannot = match account {
                    Account { touch: true, .. } if !self.firmware.touch => Some(NO_TOUCH),
                    Account { hash: Hash::Sha512, .. } if !self.firmware.sha512 => Some(NO_SHA512),
                    _ => None,
                };
                match (cannot, there && !consent) {
                    // keyfob says this first, and ykman that.
                    (Some(cannot), true) => {
                        return Err(Refusal { exit: NOT_REPLACED.exit, code: NOT_REPLACED.code, ..cannot });
                    }
                    (Some(cannot), false) => return Err(cannot),
                    (None, true) => return Err(NOT_REPLACED),
                    (None, false) => {}
                }
                let full = self.firmware.slots.is_some_and(|slots| self.accounts.len() >= slots);
                // A full NEO replaces nothing either: it does not look what it would be.
                if full && (!there || self.firmware.option == NEO.option) {
                    return Err(FULL);
                }
                self.accounts.insert(account.name.clone(), account.clone());
            }
            Step::Code(name) => {
                let account = self.accounts.get_mut(*name).ok_or(NO_CODE_OF)?;
                let code = account.code(NOW);
                if account.kind == Kind::Hotp {
                    account.counter += 1;
                }
                return Ok(Some(code));
            }
            Step::Rename(from, to) => {
                if !self.accounts.contains_key(*from) {
                    return Err(NO_SUCH);
                }
                if self.accounts.contains_key(*to) {
                    return Err(TAKEN);
                }
                if !self.firmware.rename {
                    return Err(NO_RENAME);
                }
                if let Some(account) = self.accounts.remove(*from) {
                    self.accounts.insert((*to).to_owned(), Account { name: (*to).to_owned(), ..account });
                }
            }
            Step::Delete { consent: false, .. } => return Err(NOT_DELETED),
            Step::Delete { name, .. } => {
                self.accounts.remove(*name).ok_or(NO_SUCH)?;
            }
            Step::Password(new) => self.password = *new,
            Step::Wrong(_) => return Err(WRONG),
            Step::NoPassword => return Err(LOCKED),
            Step::Remember => return Err(NO_KEYCHAIN),
            Step::Reset => {
                self.accounts.clear();
                self.password = None;
            }
            Step::Codes | Step::List | Step::Info | Step::Forget => {}
        }
        Ok(None)
    }

    /// The id by which ykman finds what keyfob finds by name.
    fn id(&self, name: &str) -> String {
        self.accounts.get(name).map_or(name.to_owned(), Account::id)
    }
}

/// A key in a reader, two clients, and what must be on it.
struct Bench {
    model: Model,
    ykman: Ykman,
    /// Whether keyfob asks its agent, which knows a password until it is told to lock.
    agent: bool,
    /// Whether ykman's commands run as processes of their own, at the time that it is.
    processes: bool,
    /// As ykman tells it; another one after each reset.
    device: String,
    was_reset: bool,
    _card: Leash,
    /// Before the home that it is in.
    keychain: Option<Keychain>,
    home: Home,
    _pcscd: Pcscd,
}

fn reader() -> String {
    format!("{YUBIKEY_READER} 00 00")
}

impl Bench {
    fn new(firmware: Firmware, agent: bool) -> Self {
        Self::in_home(Home::new().unwrap(), None, firmware, agent)
    }

    fn in_home(mut home: Home, keychain: Option<Keychain>, firmware: Firmware, agent: bool) -> Self {
        let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
        home.use_pcscd(&pcscd);
        if !agent {
            home.set("KEYFOB_NO_AGENT", "1");
        }
        // The newest is what there is without asking.
        let option = ["--firmware", firmware.option];
        let option = if firmware.option == V57.option { &[][..] } else { &option };
        home.succeed(&[&["soft", "create", "key"], option].concat(), "").unwrap();
        let card = pcscd.insert_soft_key(0, &home, "key").unwrap();
        // With a passphrase at hand passwords would be remembered in a file: ykman knows the keychain alone.
        home.set("KEYFOB_PASSPHRASE_FILE", "");
        let ykman = Ykman::start(&home, &reader()).unwrap();
        let model = Model { firmware, accounts: BTreeMap::new(), password: None };
        let mut bench = Self {
            model,
            ykman,
            agent,
            processes: false,
            device: String::new(),
            was_reset: true,
            _card: card,
            keychain,
            home,
            _pcscd: pcscd,
        };
        bench.compare("a new key");
        bench
    }

    /// Steps by one client and the other in turn.
    fn play(&mut self, first: Client, steps: &[Step]) {
        let second = if first == Client::Keyfob { Client::Ykman } else { Client::Keyfob };
        for (i, step) in steps.iter().enumerate() {
            self.step(if i % 2 == 0 { first } else { second }, step);
        }
    }

    fn step(&mut self, client: Client, step: &Step) {
        let what = format!("{client:?} on {}: {step:?}", self.model.firmware.option);
        // As it is before the step.
        let password = match step {
            Step::Wrong(wrong) => Some(*wrong),
            Step::NoPassword | Step::Info | Step::Forget | Step::Reset => None,
            _ => self.model.password,
        };
        let id = match step {
            Step::Code(name) | Step::Rename(name, _) | Step::Delete { name, .. } => self.model.id(name),
            _ => String::new(),
        };
        let expected = self.model.apply(step);
        match client {
            Client::Keyfob => self.keyfob(step, password, expected, &what),
            Client::Ykman => self.ykman(step, &id, password, expected, &what),
        }
        self.was_reset = matches!(step, Step::Reset);
        self.compare(&what);
    }

    fn run_keyfob(&self, args: &[&str], input: &str, password: Option<&str>) -> Output {
        let args = [&["--json"], args].concat();
        let Some(password) = password else { return self.home.run(&args, input).unwrap() };
        let mut command = self.home.keyfob().unwrap();
        command.args(args);
        // After a wrong password the agent takes no other for a moment.
        let answered = || {
            let answers = [(PASSWORD_PROMPT, password)];
            let output = terminal::run_with_input(&command, input, &answers).unwrap().output;
            (!text(&output.stderr).contains("the last passwords were wrong")).then_some(output)
        };
        poll("the next password to be taken", answered).unwrap()
    }

    fn keyfob(
        &self,
        step: &Step,
        password: Option<&str>,
        expected: Result<Option<String>, Refusal>,
        what: &str,
    ) {
        let mut args: Vec<String> = Vec::new();
        let mut input = String::new();
        let mut arg = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
        match step {
            Step::Add { account, consent } => {
                arg(&["oath", "add", "--algorithm", &format!("{:?}", account.hash).to_lowercase()]);
                arg(&["--digits", &account.digits.to_string()]);
                match account.kind {
                    Kind::Totp => arg(&["--period", &account.period.to_string()]),
                    Kind::Hotp => arg(&["--hotp", &account.counter.to_string()]),
                }
                arg(if account.touch { &["--touch"] } else { &[] });
                arg(if *consent { &["--force"] } else { &[] });
                arg(&["--", &account.name]);
                input = base32(&account.secret);
            }
            Step::Uri { account, consent } => {
                arg(&["oath", "uri"]);
                arg(if account.touch { &["--touch"] } else { &[] });
                arg(if *consent { &["--force"] } else { &[] });
                input = account.uri();
            }
            Step::Code(name) => arg(&["code", "--at", &NOW.to_string(), "--", name]),
            Step::Codes => arg(&["code", "--at", &NOW.to_string()]),
            Step::List | Step::Wrong(_) | Step::NoPassword => arg(&["oath", "list"]),
            Step::Info => arg(&["list"]),
            Step::Rename(from, to) => arg(&["oath", "rename", "--", from, to]),
            Step::Delete { name, consent: true } => arg(&["oath", "delete", "--force", "--", name]),
            Step::Delete { name, .. } => arg(&["oath", "delete", "--", name]),
            Step::Password(Some(new)) => {
                arg(&["oath", "access", "change"]);
                input = (*new).to_owned();
            }
            Step::Password(None) => arg(&["oath", "access", "change", "--clear"]),
            Step::Remember => arg(&["oath", "access", "remember"]),
            Step::Forget => arg(&["oath", "access", "forget"]),
            Step::Reset => arg(&["oath", "reset", "--force"]),
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        if self.agent && matches!(step, Step::Wrong(_) | Step::NoPassword) {
            self.home.succeed(&["--quiet", "lock"], "").unwrap();
        }
        // Consent is not asked of a person who is at the terminal for the password alone.
        let password = password.filter(|_| !matches!(step, Step::Delete { consent: false, .. }));
        let output = self.run_keyfob(&args, &input, password);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let what = format!("{what}: {:?}\n{out}{err}", output.status);
        let answer = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| panic!("{what}"));
        match expected {
            Err(refusal) => {
                let error = answer(err.lines().last().unwrap_or_default());
                let code = error["error"]["code"].as_str();
                assert_eq!((output.status.code(), code), (Some(refusal.exit), Some(refusal.code)), "{what}");
                assert!(out.is_empty(), "{what}");
            }
            Ok(code) => {
                assert!(output.status.success(), "{what}");
                let answer = answer(&out);
                match step {
                    Step::Code(_) => assert_eq!(answer["code"]["value"].as_str(), code.as_deref(), "{what}"),
                    Step::List | Step::Codes => {
                        let accounts = answer["accounts"].as_array().unwrap();
                        assert_eq!(accounts.len(), self.model.accounts.len(), "{what}");
                        for account in accounts {
                            let name = account["name"].as_str().unwrap();
                            assert!(self.model.accounts.contains_key(name), "{what}");
                        }
                    }
                    Step::Info => {
                        let locked = answer[0]["locked"].as_bool();
                        assert_eq!(locked, Some(self.model.password.is_some()), "{what}");
                    }
                    _ => {}
                }
            }
        }
    }

    /// A command of ykman's: its exit code, and all that it said.
    fn run_ykman(&mut self, args: &[&str], input: &str) -> (i64, String, String) {
        if !self.processes {
            let run = self.ykman.run(args, input, Some(NOW)).unwrap();
            return (run.status, run.out, run.err);
        }
        let mut command = self.home.command(tool("KEYFOB_YKMAN").unwrap());
        command.args(["--reader", &reader(), "oath"]).args(args);
        let file = self.home.write("ykman's input", input).unwrap();
        let output = command.stdin(std::fs::File::open(file).unwrap()).output().unwrap();
        (output.status.code().unwrap_or(-1).into(), text(&output.stdout), text(&output.stderr))
    }

    fn ykman(
        &mut self,
        step: &Step,
        id: &str,
        password: Option<&str>,
        expected: Result<Option<String>, Refusal>,
        what: &str,
    ) {
        let mut args: Vec<String> = Vec::new();
        let mut input = "";
        let mut arg = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
        let password: Vec<&str> = password.iter().flat_map(|password| ["--password", password]).collect();
        let write = |account: &Account, consent: bool| {
            let touch = account.touch.then_some("--touch");
            let force = consent.then_some("--force");
            touch.into_iter().chain(force).map(str::to_owned).collect::<Vec<_>>()
        };
        match step {
            Step::Add { account, consent } => {
                let (issuer, name) = account.parts();
                arg(&["accounts", "add", "--algorithm", &format!("{:?}", account.hash).to_uppercase()]);
                arg(&["--digits", &account.digits.to_string()]);
                match account.kind {
                    Kind::Totp => arg(&["--period", &account.period.to_string()]),
                    Kind::Hotp => arg(&["--oath-type", "HOTP", "--counter", &account.counter.to_string()]),
                }
                issuer.iter().for_each(|issuer| arg(&["--issuer", issuer]));
                arg(&password);
                write(account, *consent).iter().for_each(|option| arg(&[option]));
                arg(&["--", name, &base32(&account.secret)]);
                input = "n\n";
            }
            Step::Uri { account, consent } => {
                arg(&["accounts", "uri"]);
                arg(&password);
                write(account, *consent).iter().for_each(|option| arg(&[option]));
                arg(&["--", &account.uri()]);
                input = "n\n";
            }
            Step::Code(_) => {
                arg(&["accounts", "code", "--single"]);
                arg(&password);
                arg(&["--", id]);
            }
            Step::Codes => arg(&[&["accounts", "code", "--show-hidden"], password.as_slice()].concat()),
            Step::List => {
                let list = ["accounts", "list", "--show-hidden", "--oath-type", "--period"];
                arg(&[list.as_slice(), &password].concat());
            }
            Step::Wrong(_) | Step::NoPassword => arg(&[&["accounts", "list"], password.as_slice()].concat()),
            Step::Info => arg(&["info"]),
            Step::Rename(_, to) => {
                arg(&["accounts", "rename", "--force"]);
                arg(&password);
                arg(&["--", id, to]);
            }
            Step::Delete { consent, .. } => {
                arg(&["accounts", "delete"]);
                arg(if *consent { &["--force"] } else { &[] });
                arg(&password);
                arg(&["--", id]);
                input = "n\n";
            }
            Step::Password(new) => {
                arg(&["access", "change"]);
                arg(&password);
                match new {
                    Some(new) => arg(&["--new-password", new]),
                    None => arg(&["--clear"]),
                }
            }
            Step::Remember => arg(&[&["access", "remember"], password.as_slice()].concat()),
            Step::Forget => arg(&["access", "forget"]),
            Step::Reset => arg(&["reset", "--force"]),
        }
        let before = now();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (status, out, err) = self.run_ykman(&args, input);
        let what = format!("{what}: {status}\n{out}{err}");
        match expected {
            Err(refusal) => {
                assert_eq!(status, refusal.status, "{what}");
                assert!([out, err].concat().contains(refusal.words), "{what}");
            }
            Ok(code) => {
                assert_eq!(status, 0, "{what}");
                let accounts = self.model.accounts.values();
                match (step, code) {
                    // A process of its own has a clock of its own.
                    (Step::Code(name), Some(_))
                        if self.processes && self.model.accounts[*name].kind == Kind::Totp =>
                    {
                        let account = &self.model.accounts[*name];
                        assert!(
                            [before, now()].map(|at| account.code(at)).contains(&out.trim().to_owned()),
                            "{what}"
                        );
                    }
                    (Step::Code(_), Some(code)) => assert_eq!(out.trim(), code, "{what}"),
                    (Step::List, _) => {
                        let line = |account: &Account| {
                            format!("{}, {}, {}", account.id(), kind(account), account.period)
                        };
                        assert_eq!(sorted(out.lines()), sorted(accounts.map(line)), "{what}");
                    }
                    (Step::Codes, _) if !self.processes => {
                        let row = |account: &Account| match (account.kind, account.touch) {
                            (Kind::Hotp, _) => (account.id(), "[HOTP Account]".to_owned()),
                            (_, true) => (account.id(), "[Requires Touch]".to_owned()),
                            _ => (account.id(), account.code(NOW)),
                        };
                        // Columns, of which the last is flush right.
                        let rows = out.lines().map(|line| {
                            let (name, code) = line.split_once("  ").unwrap();
                            (name.trim().to_owned(), code.trim().to_owned())
                        });
                        assert_eq!(sorted(rows), sorted(accounts.map(row)), "{what}");
                    }
                    (Step::Info, _) => {
                        let state = if self.model.password.is_some() { "enabled" } else { "disabled" };
                        assert!(out.contains(state), "{what}");
                    }
                    _ => {}
                }
            }
        }
    }

    /// The state as both see it, and as it must be.
    #[track_caller]
    fn compare(&mut self, what: &str) {
        let expected: Vec<Value> = self.model.accounts.values().map(Account::seen).collect();
        let (password, locked) = (self.model.password, self.model.password.is_some());

        let theirs = self.ykman.state(password, NOW).unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut seen = theirs["accounts"].as_array().unwrap().clone();
        seen.sort_by_key(|account| account["name"].to_string());
        for account in &mut seen {
            let id = account.as_object_mut().unwrap().remove("id");
            let name = account["name"].as_str().unwrap();
            assert_eq!(id, Some(json!(self.model.id(name))), "{what}");
        }
        assert_eq!(json!(seen), sorted_by_name(expected.clone()), "{what}: as ykman sees it");
        assert_eq!(theirs["locked"], locked, "{what}: as ykman sees it");
        let device = theirs["device"].as_str().unwrap();
        assert_eq!(
            device != self.device,
            self.was_reset,
            "{what}: a device has another id after a reset only"
        );
        self.device = device.to_owned();

        let answer = |args: &[&str], password| {
            let output = self.run_keyfob(args, "", password);
            let said = [text(&output.stdout), text(&output.stderr)].concat();
            assert!(output.status.success(), "{what}, then keyfob {args:?}: {said}");
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        let key = &answer(&["list"], None)[0];
        assert_eq!(
            (&key["id"], &key["version"], &key["locked"]),
            (&json!(theirs["serial"].to_string()), &theirs["version"], &theirs["locked"]),
            "{what}: as keyfob sees it"
        );
        let at = NOW.to_string();
        let ours = answer(&["code", "--at", &at], password);
        let mut ours = ours["accounts"].as_array().unwrap().clone();
        let wants_touch = |account: &Value| account["touch"] == true;
        let touch: Vec<_> =
            ours.iter().filter(|account| wants_touch(account)).map(|a| a["name"].clone()).collect();
        if !touch.is_empty() {
            let names = touch.iter().map(|name| name.as_str().unwrap());
            let args: Vec<&str> = ["code", "--at", &at, "--"].into_iter().chain(names).collect();
            let codes = answer(&args, password);
            // One stands alone.
            let codes = codes.as_array().cloned().unwrap_or_else(|| vec![codes]);
            for (account, code) in ours.iter_mut().filter(|account| wants_touch(account)).zip(codes) {
                assert_eq!(account["name"], code["account"], "{what}");
                account["code"] = code["code"].clone();
            }
        }
        let seen = ours.iter().map(|account| {
            let name = account["name"].as_str().unwrap();
            if let (Some(digits), Some(model)) = (account["digits"].as_u64(), self.model.accounts.get(name)) {
                assert_eq!(digits, u64::from(model.digits), "{what}: {name}");
            }
            json!({
                "name": name,
                "issuer": account["issuer"],
                "kind": account["kind"],
                "period": account["period"],
                "touch": account["touch"],
                "code": account["code"]["value"],
            })
        });
        assert_eq!(sorted_by_name(seen.collect()), sorted_by_name(expected), "{what}: as keyfob sees it");
    }
}

fn kind(account: &Account) -> &'static str {
    if account.kind == Kind::Hotp { "HOTP" } else { "TOTP" }
}

fn sorted<T: Ord + Clone + ToOwned>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

fn sorted_by_name(mut accounts: Vec<Value>) -> Value {
    accounts.sort_by_key(|account| account["name"].to_string());
    Value::Array(accounts)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

const ALICE: &str = "Amazon Web Services:alice@123456789012";
const UNICODE: &str = "Ünïcödé:zürich 東京";
const COUNTER: &str = "Example:counter";
const TOUCH: &str = "AWS SSO:wants a touch";
const LONG: &str = "A name of 64 bytes:123456789012345678901234567890123456789012345";
const LONG_60: &str = "A name of 61 bytes, period 60:3456789012345678901234567890123";

/// Every operation, with and without a password.
fn transcript() -> Vec<Step> {
    let secret = |n: u8| (0..n).map(|i| i.wrapping_mul(37) ^ 0x5A).collect::<Vec<u8>>();
    vec![
        Step::Codes,
        Step::List,
        // Added: every kind, hash, length; half by their parts, half by URI.
        add(totp(ALICE)),
        add(Account { hash: Hash::Sha256, digits: 8, ..totp("no issuer") }),
        uri(Account { hash: Hash::Sha512, period: 60, ..totp(UNICODE) }),
        add(Account { hash: Hash::Sha512, digits: 7, ..totp("Example:512") }),
        add(hotp(COUNTER, 0)),
        uri(Account { hash: Hash::Sha256, digits: 8, ..hotp("second counter", 5) }),
        add(Account { touch: true, digits: 7, ..totp(TOUCH) }),
        uri(Account { touch: true, hash: Hash::Sha256, period: 15, ..totp("Touch:fifteen") }),
        add(totp(LONG)),
        uri(Account { period: 60, ..totp(LONG_60) }),
        add(totp("Steam:gamer")),
        uri(hotp("Steam:counted", 0)),
        add(totp("_hidden:from ykman")),
        uri(totp("colons:in:a name")),
        // Shorter than a key keeps, and longer than a hash takes.
        add(Account { secret: secret(10), ..totp("short secret") }),
        uri(Account { secret: secret(100), ..totp("long secret") }),
        add(Account { secret: secret(64), hash: Hash::Sha256, ..totp("secret of a block") }),
        Step::Codes,
        Step::List,
        Step::Info,
        Step::Code(ALICE),
        Step::Code(UNICODE),
        Step::Code("no issuer"),
        Step::Code(TOUCH),
        Step::Code("Steam:gamer"),
        Step::Code("Touch:fifteen"),
        Step::Code("nobody:at all"),
        // Counters: moved by the one and the other.
        Step::Code(COUNTER),
        Step::Code(COUNTER),
        Step::Code(COUNTER),
        Step::Code("second counter"),
        Step::Code("second counter"),
        Step::Code("Steam:counted"),
        // Replaced with consent only; by another hash, by a counter, with and without touch.
        add(Account { hash: Hash::Sha256, ..totp(ALICE) }),
        uri(Account { hash: Hash::Sha256, ..totp(ALICE) }),
        over(Account { hash: Hash::Sha256, digits: 8, ..totp(ALICE) }),
        Step::Uri { account: hotp("no issuer", 3), consent: true },
        Step::Code("no issuer"),
        over(Account { touch: true, ..totp("long secret") }),
        over(totp("long secret")),
        // Renamed: the issuer, to and from none, another alphabet; the period stays, and so does the counter.
        Step::Rename(ALICE, "AWS:alice"),
        Step::Rename("AWS:alice", "only alice"),
        Step::Rename("only alice", "アマゾン:alice"),
        Step::Rename("アマゾン:alice", ALICE),
        Step::Rename(LONG_60, "sixty"),
        Step::Rename("sixty", "Sixty:seconds"),
        Step::Rename(COUNTER, "Counted:on"),
        Step::Rename("Counted:on", COUNTER),
        Step::Code(COUNTER),
        Step::Rename(COUNTER, ALICE),
        Step::Rename("nobody", "somebody"),
        // Deleted.
        Step::Delete { name: "short secret", consent: false },
        delete("short secret"),
        delete("short secret"),
        delete("nobody"),
        delete("no issuer"),
        // Password: set, wrong, none, changed, used for everything, removed.
        Step::Forget,
        Step::Password(Some("correct horse")),
        Step::Info,
        Step::Wrong("wrong horse"),
        Step::NoPassword,
        Step::Codes,
        Step::List,
        Step::Remember,
        Step::Forget,
        Step::Code(ALICE),
        Step::Code(COUNTER),
        Step::Code(TOUCH),
        add(Account { digits: 8, ..totp("while:locked") }),
        uri(hotp("while:counting", 0)),
        Step::Code("while:counting"),
        Step::Rename("while:locked", "while:renamed"),
        delete("while:counting"),
        delete("while:counting"),
        Step::Password(Some("Pässwörd of anöther client, rather longer than a hash's block of 64 bytes is")),
        Step::Wrong("correct horse"),
        Step::NoPassword,
        Step::Code(ALICE),
        Step::Password(Some("battery staple")),
        Step::Code(ALICE),
        Step::Password(None),
        Step::Info,
        Step::Code(ALICE),
        Step::Password(Some("correct horse")),
        // A forgotten one: reset all the same.
        Step::Reset,
        Step::Codes,
        add(totp(ALICE)),
        Step::Code(ALICE),
        Step::Password(Some("again")),
        Step::Code(ALICE),
        Step::Password(None),
        Step::Reset,
        Step::List,
        Step::Info,
    ]
}

/// The transcript twice, the second time with the roles swapped, on what the first has left.
#[track_caller]
fn both_ways(firmware: Firmware, agent: bool) {
    let mut bench = Bench::new(firmware, agent);
    bench.play(Client::Keyfob, &transcript());
    bench.play(Client::Ykman, &transcript());
}

#[test]
fn both_agree_on_a_5_7() {
    both_ways(V57, true);
}

#[test]
fn both_agree_on_a_5_2() {
    both_ways(V5, true);
}

#[test]
fn both_agree_on_a_4_3() {
    both_ways(V4, false);
}

#[test]
fn both_agree_on_a_neo() {
    both_ways(NEO, false);
}

/// One step of each kind by the real command, in a process of its own.
#[test]
fn the_command_ykman_agrees() {
    let mut bench = Bench::new(V57, true);
    bench.processes = true;
    let steps = [
        add(Account { hash: Hash::Sha256, digits: 8, ..totp(ALICE) }),
        uri(hotp(COUNTER, 7)),
        add(totp(ALICE)),
        over(Account { touch: true, period: 60, ..totp(UNICODE) }),
        Step::Codes,
        Step::List,
        Step::Info,
        Step::Code(ALICE),
        Step::Code(UNICODE),
        Step::Code(COUNTER),
        Step::Code("nobody"),
        Step::Rename(UNICODE, "Touch:renamed"),
        Step::Rename(ALICE, COUNTER),
        Step::Delete { name: COUNTER, consent: false },
        delete(COUNTER),
        Step::Password(Some("correct horse")),
        Step::Wrong("wrong horse"),
        Step::NoPassword,
        Step::Code(ALICE),
        Step::Remember,
        Step::Forget,
        Step::Password(Some("battery staple")),
        Step::Password(None),
        Step::Reset,
    ];
    for step in &steps {
        bench.step(Client::Ykman, step);
    }
}

/// Steps of all kinds in any order, against the same model: what is refused and what is not is part of it.
#[track_caller]
fn at_random(firmware: Firmware, agent: bool, seed: u64, steps: usize) {
    /// A name has one period: two accounts of one name are another test's.
    const NAMES: &[(&str, u32)] = &[
        ("one", 30),
        ("Issuer:two", 30),
        ("Issuer:three", 30),
        ("Steam:four", 30),
        ("Ümläut:fünf", 60),
        ("six", 60),
        ("Issuer:seven:7", 45),
    ];
    const PASSWORDS: &[&str] = &["correct horse", "Pässwörd", " with spaces "];
    let mut bench = Bench::new(firmware, agent);
    let mut random = Random::new(seed);
    for _ in 0..steps {
        let (name, period) = *random.of(NAMES).unwrap();
        let account = |random: &mut Random| {
            let hashes = [Hash::Sha1, Hash::Sha1, Hash::Sha256, Hash::Sha512];
            let length = 2 + random.below(99);
            let account = Account {
                hash: *random.of(&hashes).unwrap(),
                digits: u8::try_from(6 + random.below(3)).unwrap(),
                period,
                touch: random.below(4) == 0,
                secret: random.bytes(length),
                ..totp(name)
            };
            if period == 30 && random.below(3) == 0 {
                let counter = u32::try_from(random.below(1 << 20)).unwrap();
                return Account { kind: Kind::Hotp, period: 0, counter, ..account };
            }
            account
        };
        // A password makes everything slower, and so is soon removed again.
        let locked = bench.model.password.is_some();
        let step = match random.below(20) {
            0..=3 => add(account(&mut random)),
            4..=6 => uri(account(&mut random)),
            7 | 8 => over(account(&mut random)),
            9..=11 => Step::Code(name),
            12..=14 => {
                let same: Vec<_> =
                    NAMES.iter().filter(|other| other.1 == period && other.0 != name).collect();
                match random.of(&same) {
                    Some(to) => Step::Rename(name, to.0),
                    None => Step::Codes,
                }
            }
            15 | 16 => delete(name),
            17 if locked => Step::Password(None),
            17 => Step::Password(random.of(PASSWORDS).copied()),
            18 if locked && random.below(2) == 0 => Step::Wrong("another one"),
            18 if locked => Step::Password(None),
            18 => Step::List,
            _ if random.below(3) == 0 => Step::Reset,
            _ => Step::Codes,
        };
        let client = if random.below(2) == 0 { Client::Keyfob } else { Client::Ykman };
        bench.step(client, &step);
    }
}

#[test]
fn both_agree_whatever_comes_on_a_5_7() {
    at_random(V57, false, 0x9E37_79B9_7F4A_7C15, 100);
}

#[test]
fn both_agree_whatever_comes_on_a_5_2() {
    at_random(V5, false, 0xD1B5_4A32_D192_ED03, 50);
}

#[test]
fn both_agree_whatever_comes_on_a_4_3() {
    at_random(V4, true, 0x8BB8_4B93_962E_ACC9, 50);
}

#[test]
fn both_agree_whatever_comes_on_a_neo() {
    at_random(NEO, true, 0x2545_F491_4F6C_DD1D, 50);
}

#[test]
fn both_say_when_a_key_is_full() {
    for (firmware, agent) in [(V57, true), (V5, false), (V4, true), (NEO, false)] {
        let mut bench = Bench::new(firmware, agent);
        let name = |i: usize| format!("Example Company:account number {i}@example.com");
        let full = (0..100).find_map(|i| {
            let secret = vec![u8::try_from(i).unwrap(); 20];
            let add = ["accounts", "add", "--", &name(i), &base32(&secret)];
            let run = bench.ykman.run(&add, "", None).unwrap();
            if run.status == 0 {
                let account = Account { secret, ..totp(&name(i)) };
                bench.model.accounts.insert(name(i), account);
            }
            (run.status != 0).then_some(run)
        });
        let full = full.unwrap();
        assert!(full.err.contains(FULL.words), "{}", full.err);
        let seen = bench.model.accounts.len();
        // An old one has no slots: it takes what it can list in one answer.
        assert!(firmware.slots.map_or(30..60, |slots| slots..slots + 1).contains(&seen), "{seen}");
        bench.model.firmware.slots = Some(seen);
        bench.was_reset = false;
        // Answers of several blocks for both of them.
        bench.compare("a full key");
        let steps = [
            Step::List,
            Step::Codes,
            add(totp("Example Company:account number 101@example.com")),
            add(totp("Example Company:account number 101@example.com")),
            over(Account { digits: 8, ..totp("Example Company:account number 7@example.com") }),
            delete("Example Company:account number 0@example.com"),
            uri(totp("one:more")),
            Step::Code("one:more"),
        ];
        bench.play(Client::Keyfob, &steps);
    }
}

/// Names that one of them makes and the other has to cope with.
#[test]
fn odd_names_are_read_by_both() {
    let mut bench = Bench::new(V57, true);
    // To ykman a number and a slash are a period, wherever they come from.
    const AS_IF: &str = "60/looks like a period";
    bench.step(Client::Keyfob, &add(totp(AS_IF)));
    bench.step(Client::Ykman, &Step::Code(AS_IF));
    bench.step(Client::Keyfob, &Step::Code(AS_IF));
    bench.step(Client::Ykman, &Step::Rename(AS_IF, "looks like itself"));
    bench.step(Client::Keyfob, &Step::Rename("looks like itself", AS_IF));
    bench.step(Client::Ykman, &delete(AS_IF));
    for client in [Client::Keyfob, Client::Ykman] {
        bench.step(client, &add(hotp("60/counts", 0)));
        bench.step(Client::Keyfob, &Step::Code("60/counts"));
        bench.step(Client::Ykman, &Step::Code("60/counts"));
        bench.step(client, &delete("60/counts"));
    }

    // Longer than a key keeps: found by its full name by keyfob, by what is left of it by ykman.
    let full = format!("Amazon Web Services:{}@123456789012", "long".repeat(20));
    let output = bench.run_keyfob(&["oath", "add", &full], &base32(&totp("").secret), None);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let seen = bench.ykman.state(None, NOW).unwrap();
    let cut = seen["accounts"][0]["id"].as_str().unwrap().to_owned();
    assert!(cut.len() <= 64 && full.starts_with(cut.split_once('~').unwrap().0), "{cut}");
    bench.model.accounts.insert(cut.clone(), totp(&cut));
    bench.compare("a name that was cut");
    let at = NOW.to_string();
    let output = bench.run_keyfob(&["code", "--at", &at, &full], "", None);
    assert!(text(&output.stdout).contains(&totp(&cut).code(NOW)), "{}", text(&output.stdout));
    let run = bench.ykman.run(&["accounts", "delete", "--force", &cut], "", None).unwrap();
    assert_eq!(run.status, 0, "{}", run.err);
    bench.model.accounts.clear();
    bench.compare("it was deleted");

    // ykman makes two of one name: keyfob tells them apart by their ids, and makes none itself.
    for period in ["30", "60"] {
        let add = ["accounts", "add", "--period", period, "twin", &base32(&totp("").secret)];
        assert_eq!(bench.ykman.run(&add, "", None).unwrap().status, 0);
    }
    let output = bench.run_keyfob(&["code", "--at", &at, "twin"], "", None);
    // The id of one of them is the name.
    assert!(text(&output.stdout).contains(&totp("twin").code(NOW)), "{}", text(&output.stderr));
    let output = bench.run_keyfob(&["code", "--at", &at, "60/twin"], "", None);
    assert!(text(&output.stdout).contains(&Account { period: 60, ..totp("twin") }.code(NOW)));
    let output = bench.run_keyfob(&["oath", "delete", "--force", "60/twin"], "", None);
    assert!(output.status.success());
    bench.model.accounts.insert("twin".to_owned(), totp("twin"));
    bench.compare("one of two was deleted");
    let output = bench.run_keyfob(&["oath", "add", "--period", "60", "twin"], &base32(&[1; 20]), None);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    bench.compare("another twin was refused");
}

/// Where there is a keychain, each remembers for itself; a password that the other has changed is asked for again.
#[test]
fn a_remembered_password_is_forgotten_when_the_other_changes_it() {
    let mut home = Home::new().unwrap();
    let keychain = Keychain::start(&mut home).unwrap();
    let mut bench = Bench::in_home(home, Some(keychain), V57, false);
    assert!(bench.keychain.is_some());
    /// Whether accounts are listed where nobody can be asked for the password.
    #[track_caller]
    fn opens(bench: &mut Bench, keyfob: bool, ykman: bool) {
        let output = bench.run_keyfob(&["oath", "list"], "", None);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(if keyfob { 0 } else { 5 }), "keyfob: {said}");
        let (status, _, said) = bench.run_ykman(&["accounts", "list"], "");
        assert_eq!(status, i64::from(!ykman), "ykman: {said}");
    }
    let remember = |bench: &mut Bench, client: Client| {
        let password = bench.model.password.unwrap();
        match client {
            Client::Keyfob => {
                let output = bench.run_keyfob(&["oath", "access", "remember"], "", Some(password));
                assert!(output.status.success(), "{}", text(&output.stderr));
            }
            Client::Ykman => {
                let (status, out, said) =
                    bench.run_ykman(&["access", "remember", "--password", password], "");
                assert!(status == 0 && out.contains("Password remembered."), "{out}{said}");
            }
        }
    };
    bench.step(Client::Ykman, &add(totp(ALICE)));
    bench.step(Client::Keyfob, &Step::Password(Some("correct horse")));
    opens(&mut bench, false, false);
    remember(&mut bench, Client::Keyfob);
    opens(&mut bench, true, false);
    remember(&mut bench, Client::Ykman);
    opens(&mut bench, true, true);
    // Who changes it keeps or forgets it; to the other what it has is wrong.
    bench.step(Client::Ykman, &Step::Password(Some("battery staple")));
    opens(&mut bench, false, false);
    remember(&mut bench, Client::Ykman);
    remember(&mut bench, Client::Keyfob);
    opens(&mut bench, true, true);
    bench.step(Client::Keyfob, &Step::Password(Some("again")));
    opens(&mut bench, true, false);
    bench.step(Client::Keyfob, &Step::Forget);
    opens(&mut bench, false, false);
    remember(&mut bench, Client::Keyfob);
    bench.step(Client::Ykman, &Step::Password(None));
    opens(&mut bench, true, true);
    bench.step(Client::Keyfob, &Step::Reset);
    opens(&mut bench, true, true);
}
