//! What a browser may do with accounts and links: the real host, spoken to as a browser does, with hostile requests among them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyfob_core::oath::protocol::ins;
use keyfob_core::oath::{Algorithm, CredentialId, DigitCount, Kind, Put, Request, Select};
use keyfob_core::s3::{Endpoint, PresignRequest};
use keyfob_core::sigv4::{AmzDate, DateKey};
use keyfob_core::softkey::{Environment, SoftKey};
use keyfob_tests::home::Home;
use keyfob_tests::host::Host;
use keyfob_tests::http;
use keyfob_tests::identity::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use keyfob_tests::pcscd::{Pcscd, YUBIKEY_READER};
use keyfob_tests::poll;
use keyfob_tests::s3s::S3s;
use keyfob_tests::tls::{Stream, TlsServer};
use keyfob_tests::vpcd::{Answer, Inserted};
use serde_json::{Value, json};

/// RFC 6238's secret, `12345678901234567890`, in base32.
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJR";
const ALICE: &str = "Amazon Web Services:alice@123456789012";
const TOUCH: &str = "arn:aws:iam::123456789012:mfa/touch";
const BUCKET: &str = "test-bucket";

/// A home with a software key that is touched at once.
fn home() -> Home {
    Home::with_software_key().unwrap()
}

/// Lets the browser have links to that server.
fn allow(home: &Home, origins: &[&str]) {
    let config = format!("[browser]\nallow_endpoints = {}\n", json!(origins));
    std::fs::create_dir_all(home.path().join(".config/keyfob")).unwrap();
    home.write(".config/keyfob/config.toml", &config).unwrap();
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn uri(more: &str, secret: &str) -> String {
    format!("otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret={secret}{more}")
}

/// The answer, the prompt that came before it without the program's name; none where no touch was asked for.
#[track_caller]
fn ask(host: &mut Host, op: &Value) -> (Value, Option<String>) {
    host.send("x", op).unwrap();
    let (reply, prompts) = host.answer().unwrap();
    assert_eq!(reply["id"], "x");
    assert!(prompts.len() <= 1, "{prompts:?}");
    let what = |prompt: &String| prompt.split_once(" asks to ").unwrap().1.to_owned();
    (reply, prompts.first().map(what))
}

/// The answer to what works, without a touch or with one.
#[track_caller]
fn done(host: &mut Host, op: &Value) -> Value {
    let (reply, _) = ask(host, op);
    assert_eq!(reply["type"], "done", "{op}: {reply}");
    reply["answer"].clone()
}

/// The failure of what is refused before the key blinks.
#[track_caller]
fn refused(host: &mut Host, op: &Value, code: &str) -> String {
    let (reply, prompt) = ask(host, op);
    assert_eq!(reply["error"]["code"], code, "{op}: {reply}");
    assert_eq!(prompt, None, "the key would have blinked for {op}");
    let said = reply.to_string();
    // Neither what is secret nor whoever has it is repeated.
    assert!(!said.contains(SECRET) && !said.contains("X-Amz-"), "{said}");
    reply["error"]["message"].as_str().unwrap().to_owned()
}

fn add(uri: &str, touch: bool, account: Option<&str>) -> Value {
    match account {
        Some(account) => json!({ "name": "add-account", "uri": uri, "touch": touch, "account": account }),
        None => json!({ "name": "add-account", "uri": uri, "touch": touch }),
    }
}

fn confirm(account: &str, uri: &str) -> Value {
    json!({ "name": "confirm-account", "account": account, "uri": uri })
}

fn delete(account: &str) -> Value {
    json!({ "name": "delete-account", "account": account })
}

fn rename(account: &str, to: &str) -> Value {
    json!({ "name": "rename-account", "account": account, "to": to })
}

/// The host of a browser that has changed nothing for a minute.
fn another(home: &Home, host: Host) -> Host {
    drop(host);
    home.succeed(&["agent", "stop"], "").unwrap();
    Host::start(home).unwrap()
}

/// What the key has, as the command line tells it.
fn accounts(home: &Home) -> Vec<String> {
    let listed: Value =
        serde_json::from_str(&home.succeed(&["--json", "oath", "list"], "").unwrap()).unwrap();
    let name = |account: &Value| account["name"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = listed["accounts"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn an_account_is_saved_confirmed_and_then_there() {
    let home = home();
    let mut host = Host::start(&home).unwrap();
    for more in ["", "&period=60", "&digits=8&algorithm=SHA256", "&algorithm=SHA512", "&issuer=AWS%20SSO"] {
        let uri = uri(more, SECRET);
        let written = done(&mut host, &add(&uri, true, None));
        let name = written["written"].as_str().unwrap();
        assert_eq!(written, json!({ "name": "written", "written": name, "replaced": false }));
        let (reply, prompt) = ask(&mut host, &confirm(name, &uri));
        assert_eq!(prompt.unwrap(), format!("confirm {name} for its enrolment"));
        let codes = reply["answer"]["codes"].as_array().unwrap_or_else(|| panic!("{reply}")).clone();
        assert_eq!(codes.len(), 3, "{reply}");
        let period = if more.contains("60") { 60 } else { 30 };
        let current = codes[1]["valid_from"].as_u64().unwrap();
        assert!((current..current + 2 * period).contains(&now()), "{reply}");
        for (n, code) in codes.iter().enumerate() {
            let from = code["valid_from"].as_u64().unwrap();
            assert_eq!(
                (from + period, from),
                (current + n as u64 * period, code["valid_until"].as_u64().unwrap() - period)
            );
            // The key says so too.
            let calculated = home.succeed(&["code", name, "--at", &from.to_string()], "").unwrap();
            assert_eq!(calculated.trim_end(), code["value"], "{name}");
        }
        done(&mut host, &delete(name));
    }
    // So many changes are what a browser has for a minute.
    let message = refused(&mut host, &add(&uri("", SECRET), true, None), "busy");
    assert!(message.contains("10 accounts"), "{message}");
    home.succeed(&["oath", "add", "Bank:ann"], SECRET).unwrap();
    home.succeed(&["oath", "delete", "Bank:ann", "--force"], "").unwrap();
    let mut host = another(&home, host);

    // A second one of the same name gets another; one that is too long is cut, and found by its whole name.
    done(&mut host, &add(&uri("", SECRET), true, None));
    refused(&mut host, &add(&uri("", OTHER_SECRET), true, None), "exists");
    refused(&mut host, &add(&uri("&period=60", OTHER_SECRET), true, None), "exists");
    let second = "Amazon Web Services:alice-2@123456789012";
    assert_eq!(done(&mut host, &add(&uri("", OTHER_SECRET), false, Some(second)))["written"], second);
    let long = format!("arn:aws:iam::123456789012:mfa/{}", "device".repeat(12));
    let written = done(&mut host, &add(&uri("", SECRET), true, Some(&long)))["written"].clone();
    assert!(written.as_str().unwrap().len() <= 64 && written != long.as_str(), "{written}");
    done(&mut host, &confirm(&long, &uri("", SECRET)));
    let (reply, prompt) = ask(&mut host, &delete(&long));
    assert_eq!(
        (&reply["answer"]["deleted"], prompt),
        (&written, Some(format!("delete {} from the key", written.as_str().unwrap())))
    );

    // Whoever has a code in the ledger is told by the confirmation, too.
    let (reply, prompt) = ask(&mut host, &confirm(second, &uri("", OTHER_SECRET)));
    assert_eq!(prompt, None, "this one wants no touch");
    let from = reply["answer"]["codes"][0]["valid_from"].clone();
    done(&mut host, &json!({ "name": "submitted", "account": second, "valid_from": from }));
    let again = done(&mut host, &confirm(second, &uri("", OTHER_SECRET)));
    assert_eq!(again["codes"][0]["submitted"], true, "{again}");
    assert_eq!(accounts(&home), [second, ALICE]);
}

#[test]
fn what_is_not_the_account_is_not_confirmed() {
    let home = home();
    home.succeed(&["oath", "add", ALICE, "--touch"], SECRET).unwrap();
    home.succeed(&["oath", "add", "Bank:ann"], SECRET).unwrap();
    home.succeed(&["oath", "add", "AWS SSO:counter", "--hotp"], SECRET).unwrap();
    home.succeed(&["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
    let mut host = Host::start(&home).unwrap();
    for (more, secret) in
        [("", OTHER_SECRET), ("&digits=7", SECRET), ("&algorithm=SHA256", SECRET), ("", "AA")]
    {
        let (reply, prompt) = ask(&mut host, &confirm(ALICE, &uri(more, secret)));
        assert_eq!(reply["error"]["code"], "bad-answer", "{reply}");
        assert!(
            prompt.is_some() && reply["error"]["hint"].as_str().unwrap().contains("do not use"),
            "{reply}"
        );
        // Nothing that could be a code.
        assert!(
            !reply["error"].to_string().contains(|c: char| c.is_ascii_digit() && !"123456789012".contains(c))
        );
    }
    // What can be seen without the key costs no touch.
    refused(&mut host, &confirm(ALICE, &uri("&period=60", SECRET)), "bad-answer");
    let counter = format!("otpauth://hotp/x?secret={SECRET}&counter=0");
    refused(&mut host, &confirm(ALICE, &counter), "bad-answer");
    refused(&mut host, &confirm(ALICE, "otpauth://totp/x"), "invalid-input");
    refused(&mut host, &confirm(ALICE, "https://totp/x"), "invalid-input");
    let identity = format!("exile-{ACCESS_KEY_ID}-SigV4");
    for hidden in
        ["Bank:ann", "Amazon", "Amazon Web Services:alice", "", "nobody", "AWS SSO:counter", &identity]
    {
        refused(&mut host, &confirm(hidden, &uri("", SECRET)), "not-found");
    }
    // The counter has not moved.
    assert_eq!(home.succeed(&["code", "AWS SSO:counter"], "").unwrap(), "755224\n");
}

#[test]
fn what_a_browser_may_not_add_or_name() {
    let home = home();
    home.succeed(&["oath", "add", ALICE], SECRET).unwrap();
    home.succeed(&["oath", "add", "Bank:ann"], SECRET).unwrap();
    home.succeed(&["oath", "add", "AWS SSO:counter", "--hotp"], SECRET).unwrap();
    home.succeed(&["aws", "add", ACCESS_KEY_ID], SECRET_ACCESS_KEY).unwrap();
    let before = accounts(&home);
    let mut host = Host::start(&home).unwrap();
    let fine = uri("", SECRET);
    let identity = format!("exile-{ACCESS_KEY_ID}-SigV4");

    let over = json!({ "name": "add-account", "uri": fine, "touch": false, "overwrite": true });
    refused(&mut host, &over, "forbidden");
    refused(&mut host, &add(&fine, false, None), "exists");
    // One that it does not see is not replaced either, nor one that is there by its id.
    let bank = |user| format!("otpauth://totp/Bank:{user}?secret={SECRET}");
    refused(&mut host, &add(&bank("ann"), false, None), "exists");
    refused(&mut host, &add(&bank("bob"), false, Some("Bank:ann")), "exists");
    refused(&mut host, &add(&bank("bob"), false, Some("AWS SSO:counter")), "exists");
    // What was set up on AWS's pages is saved as that.
    for other in ["Bank:bob", "AWS SSO:alice", "Amazon Web Services:alice@210987654321", "x"] {
        refused(&mut host, &add(&fine, false, Some(other)), "forbidden");
    }
    let counter = format!("otpauth://hotp/AWS%20SSO:x?secret={SECRET}&counter=0");
    refused(&mut host, &add(&counter, false, None), "forbidden");
    for name in [identity.as_str(), "exile-AKIA-SigV4", "exile-AKIAIOSFODNN7EXAMPLE-HmacV1"] {
        refused(&mut host, &add(&fine, false, Some(name)), "invalid-input");
        refused(&mut host, &rename(ALICE, name), "invalid-input");
    }
    for name in ["AWS SSO:a\u{202e}b", "AWS SSO:a\u{200b}", "\u{1b}[2J", "AWS SSO:a\nb"] {
        refused(&mut host, &add(&fine, false, Some(name)), "forbidden");
        refused(&mut host, &rename(ALICE, name), "forbidden");
    }
    refused(&mut host, &add(&fine, false, Some("")), "invalid-input");
    for bad in
        ["", "otpauth://totp/AWS%20SSO:x", "otpauth://totp/AWS%20SSO:x?secret=!", "javascript:alert(1)"]
    {
        refused(&mut host, &add(bad, false, None), "invalid-input");
    }
    refused(&mut host, &add(&format!("{fine}&x={}", "a".repeat(5000)), false, None), "invalid-input");

    for hidden in ["Bank:ann", "AWS SSO:counter", "nobody", "Amazon", "", &identity] {
        refused(&mut host, &delete(hidden), "not-found");
        refused(&mut host, &rename(hidden, "AWS SSO:x"), "not-found");
    }
    for hidden in ["Bank:bob", "x", "60/AWS SSO:x", "AWS SSO:", "Amazon Web Services"] {
        refused(&mut host, &rename(ALICE, hidden), "forbidden");
    }
    refused(&mut host, &rename(ALICE, ""), "invalid-input");
    refused(&mut host, &rename(ALICE, ALICE), "exists");
    refused(&mut host, &rename(ALICE, "AWS SSO:counter"), "exists");
    assert_eq!(accounts(&home), before);
    assert!(home.succeed(&["aws", "identities"], "").unwrap().contains(ACCESS_KEY_ID));

    // What shows it changes without a touch, if its codes want none.
    assert_eq!(ask(&mut host, &rename(ALICE, "AWS SSO:alice")).1, None);
    assert_eq!(ask(&mut host, &delete("AWS SSO:alice")).1, None);
    // And what it saves of others it does not see again.
    done(&mut host, &add(&bank("ben"), true, Some("Bank:bob")));
    refused(&mut host, &confirm("Bank:bob", &fine), "not-found");
    refused(&mut host, &delete("Bank:bob"), "not-found");
    assert_eq!(accounts(&home), ["AWS SSO:counter", "Bank:ann", "Bank:bob"]);
}

/// The finger at a card in a reader: says when it waits for a touch, and touches when it is told to.
struct Finger {
    blinks: Sender<()>,
    touches: Receiver<bool>,
}

impl Environment for Finger {
    fn touch(&mut self, _id: &[u8]) -> bool {
        self.blinks.send(()).is_ok() && self.touches.recv().unwrap_or(false)
    }

    fn random(&mut self) -> [u8; 8] {
        [9; 8]
    }
}

/// A card in a reader of its own, and whoever touches it.
struct Bench {
    home: Home,
    /// Whether the card is pulled out at its next calculation.
    pull: Arc<AtomicBool>,
    /// Which of the next responses is cut, and after how many bytes.
    cut: Arc<Mutex<Option<(usize, usize)>>>,
    /// How often it was told to calculate something for one credential.
    calculated: Arc<AtomicUsize>,
    key: Arc<Mutex<SoftKey>>,
    blinks: Receiver<()>,
    touches: Sender<bool>,
    // After the card: it is pulled out of a living reader.
    _card: Inserted,
    _pcscd: Pcscd,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// One account without touch, one with, and an identity without.
    fn new() -> Self {
        let mut key = SoftKey::new(91_234_567, [1, 2, 3, 4, 5, 6, 7, 8]);
        let (blinks, touched) = (channel(), channel());
        let mut finger = Finger { blinks: blinks.0, touches: touched.1 };
        let mut send = |command: &[u8]| assert!(key.transmit(command, &mut finger).ends_with(&[0x90, 0]));
        send(Select.command().unwrap().as_bytes());
        for (name, touch) in [(ALICE, false), (TOUCH, true)] {
            let id = CredentialId::for_name(Kind::Totp, 30, name).unwrap();
            let secret = b"12345678901234567890";
            let put = Put::totp(id, Algorithm::Sha1, DigitCount::SIX, secret, touch);
            send(put.command().unwrap().as_bytes());
        }
        key.power_cycle();
        let pcscd = Pcscd::start(&[YUBIKEY_READER]).unwrap();
        let mut home = Home::new().unwrap();
        home.use_pcscd(&pcscd);
        let key = Arc::new(Mutex::new(key));
        let (pull, calculated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let cut: Arc<Mutex<Option<(usize, usize)>>> = Arc::default();
        let card = pcscd.insert(0, {
            let (key, pull, calculated) = (Arc::clone(&key), Arc::clone(&pull), Arc::clone(&calculated));
            let cut = Arc::clone(&cut);
            move |command| {
                if command.get(1) == Some(&ins::CALCULATE) {
                    calculated.fetch_add(1, Ordering::SeqCst);
                    if pull.load(Ordering::SeqCst) {
                        return Answer::Pulled;
                    }
                }
                let mut response = lock(&key).transmit(command, &mut finger).to_vec();
                match &mut *lock(&cut) {
                    Some((0, bytes)) => {
                        response.truncate(*bytes);
                        *bytes = usize::MAX;
                    }
                    Some((before, _)) => *before -= 1,
                    None => {}
                }
                Answer::Response(response)
            }
        });
        let bench = Self {
            home,
            pull,
            cut,
            calculated,
            key,
            blinks: blinks.1,
            touches: touched.0,
            _card: card.unwrap(),
            _pcscd: pcscd,
        };
        let seen =
            || bench.home.succeed(&["--json", "list"], "").ok().filter(|keys| keys.contains("91234567"));
        poll("the card to be seen", seen).unwrap();
        lock(&bench.key).power_cycle();
        bench
    }

    fn state(&self) -> Vec<u8> {
        lock(&self.key).to_bytes().unwrap().to_vec()
    }

    /// Asks for what wants a touch, and gives one, or none.
    #[track_caller]
    fn ask(&self, host: &mut Host, op: &Value, touch: bool) -> (Value, String) {
        host.send("x", op).unwrap();
        self.blinks.recv_timeout(Duration::from_secs(10)).unwrap();
        self.touches.send(touch).unwrap();
        let (reply, prompts) = host.answer().unwrap();
        let [prompt] = prompts.try_into().unwrap();
        (reply, prompt.split_once(" asks to ").unwrap().1.to_owned())
    }
}

#[test]
fn without_a_touch_nothing_is_changed() {
    let bench = Bench::new();
    let mut host = Host::start(&bench.home).unwrap();
    let before = bench.state();
    let renamed = "AWS SSO:renamed";
    let changes = [
        (delete(TOUCH), format!("delete {TOUCH} from the key")),
        (rename(TOUCH, renamed), format!("rename {TOUCH} to {renamed}")),
    ];
    for (op, prompt) in &changes {
        let (reply, prompted) = bench.ask(&mut host, op, false);
        assert_eq!((&reply["error"]["code"], &prompted), (&json!("touch-timeout"), prompt), "{reply}");
        assert!(reply["error"]["hint"].is_string());
        assert_eq!(bench.state(), before);

        // Taken back while the key blinks: a touch that comes then buys nothing.
        host.send("y", op).unwrap();
        bench.blinks.recv_timeout(Duration::from_secs(10)).unwrap();
        host.send("c", &json!({ "name": "cancel", "request": "y" })).unwrap();
        let (cancelled, _) = host.answer().unwrap();
        assert_eq!((&cancelled["id"], &cancelled["error"]["code"]), (&json!("y"), &json!("cancelled")));
        assert_eq!(host.answer().unwrap().0["answer"]["name"], "withdrawn");
        bench.touches.send(true).unwrap();
        // Waits until the card is done with the other.
        done(&mut host, &json!({ "name": "accounts" }));
        assert_eq!(bench.state(), before);
    }
    // What cannot be is refused before anybody touches.
    refused(&mut host, &rename(TOUCH, ALICE), "exists");
    refused(&mut host, &rename(TOUCH, "Bank:x"), "forbidden");

    let confirmed = confirm(TOUCH, &uri("", SECRET));
    let (reply, _) = bench.ask(&mut host, &confirmed, false);
    assert_eq!(reply["error"]["code"], "touch-timeout");
    let (reply, prompt) = bench.ask(&mut host, &confirmed, true);
    assert_eq!((&reply["type"], prompt), (&json!("done"), format!("confirm {TOUCH} for its enrolment")));

    let (reply, _) = bench.ask(&mut host, &rename(TOUCH, renamed), true);
    assert_eq!(reply["answer"], json!({ "name": "written", "written": renamed, "replaced": false }));
    let (reply, _) = bench.ask(&mut host, &delete(renamed), true);
    assert_eq!(reply["answer"], json!({ "name": "deleted", "deleted": renamed }));
    // The command line, at which a person has typed it, asks for no touch.
    assert_eq!(accounts(&bench.home), [ALICE]);
    done(&mut host, &delete(ALICE));
    assert_eq!(accounts(&bench.home), [""; 0]);
    assert!(bench.blinks.try_recv().is_err());
}

#[test]
fn a_key_that_is_pulled_out_in_the_middle_keeps_what_it_had() {
    for op in [delete(TOUCH), rename(TOUCH, "AWS SSO:x"), confirm(TOUCH, &uri("", SECRET))] {
        let bench = Bench::new();
        let mut host = Host::start(&bench.home).unwrap();
        let before = bench.state();
        bench.pull.store(true, Ordering::SeqCst);
        let (reply, prompt) = ask(&mut host, &op);
        assert_eq!(reply["error"]["code"], "key-removed", "{reply}");
        assert!(prompt.is_some());
        assert_eq!(bench.state(), before);
        let code = ask(&mut host, &add(&uri("", SECRET), true, None)).0["error"]["code"].clone();
        assert!(code == "no-key" || code == "key-removed", "{code}");
    }
}

#[test]
fn a_card_that_breaks_off_loses_nothing() {
    let bench = Bench::new();
    let mut host = Host::start(&bench.home).unwrap();
    let before = bench.state();
    // How much of the host's patience for one minute is used up.
    let mut changes = 0;
    for op in [delete(ALICE), rename(ALICE, "AWS SSO:x"), confirm(ALICE, &uri("", SECRET))] {
        // What it comes to when nobody disturbs.
        let after = {
            done(&mut host, &op);
            bench.state()
        };
        let restore = || *lock(&bench.key) = SoftKey::from_bytes(&before).unwrap();
        restore();
        // Every response, cut after some of its bytes; there are fewer than ten of them.
        for (nth, bytes) in (0..10).flat_map(|nth| [1, 2, 3, 7, 20].map(|bytes| (nth, bytes))) {
            if changes >= 9 {
                host = another(&bench.home, host);
                changes = 0;
            }
            *lock(&bench.cut) = Some((nth, bytes));
            let (reply, prompt) = ask(&mut host, &op);
            changes += usize::from(reply["type"] == "done");
            let was_cut = lock(&bench.cut).take() == Some((0, usize::MAX));
            assert!(prompt.is_none(), "{prompt:?}");
            let state = bench.state();
            assert!(state == before || state == after, "{op}: response {nth} cut to {bytes} bytes: {reply}");
            if !was_cut {
                assert_eq!(reply["type"], "done", "{reply}");
            } else if reply["type"] != "done" {
                let code = reply["error"]["code"].as_str().unwrap();
                assert!(["bad-answer", "key-removed", "no-key"].contains(&code), "{nth}, {bytes}: {reply}");
            }
            restore();
        }
    }
}

#[test]
fn each_key_is_asked_by_itself() {
    let pcscd = Pcscd::start(&[YUBIKEY_READER, "Other Maker Reader"]).unwrap();
    let mut home = Home::new().unwrap();
    home.use_pcscd(&pcscd);
    for name in ["first", "second"] {
        home.succeed(&["soft", "create", name], "").unwrap();
    }
    let _first = pcscd.insert_soft_key(0, &home, "first").unwrap();
    let _second = pcscd.insert_soft_key(1, &home, "second").unwrap();
    let mut host = Host::start(&home).unwrap();
    let keys = done(&mut host, &json!({ "name": "keys" }));
    let ids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect();
    assert_eq!(ids.len(), 2, "{keys}");
    let enrolment = uri("", SECRET);
    refused(&mut host, &add(&enrolment, true, None), "ambiguous");
    let mut ask_key = |key: &Value, op: &Value| {
        host.send_message(&json!({ "v": 1, "id": "x", "key": key, "op": op })).unwrap();
        host.answer().unwrap().0
    };
    assert_eq!(ask_key(&ids[0], &add(&enrolment, true, None))["type"], "done");
    assert_eq!(ask_key(&ids[1], &confirm(ALICE, &enrolment))["error"]["code"], "not-found");
    assert_eq!(ask_key(&ids[1], &add(&enrolment, true, None))["type"], "done");
    let codes = ids.iter().map(|id| ask_key(id, &confirm(ALICE, &enrolment))["answer"]["codes"].clone());
    assert!(codes.into_iter().all(|codes| codes.as_array().is_some_and(|codes| codes.len() == 3)));
    // Which of two is meant is not guessed.
    refused(&mut host, &delete(ALICE), "ambiguous");
}

fn canonical(endpoint: &Endpoint, key: &str, change: impl FnOnce(&mut PresignRequest<'_>)) -> String {
    let mut request = request(endpoint, key);
    change(&mut request);
    request.canonical_request().unwrap()
}

fn request<'a>(endpoint: &'a Endpoint, key: &'a str) -> PresignRequest<'a> {
    PresignRequest {
        method: "GET",
        endpoint,
        bucket: BUCKET,
        key,
        access_key_id: ACCESS_KEY_ID,
        time: now(),
        expires: 3600,
        session_token: None,
        version_id: None,
        query: &[],
        headers: &[],
    }
}

fn many(canonical_requests: &[String]) -> Value {
    json!({ "name": "presign-many", "canonical_requests": canonical_requests, "scheme": "http" })
}

fn check_link(url: &str) -> Value {
    json!({ "name": "check-link", "url": url })
}

/// A server and a home whose browser may have links to it.
fn server_and_home(touch: bool) -> (S3s, Home, Endpoint) {
    let server = S3s::start(ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET).unwrap();
    let home = home();
    allow(&home, &[&server.endpoint()]);
    let options: &[&str] = if touch { &[] } else { &["--no-touch"] };
    home.succeed(&[&["aws", "add", ACCESS_KEY_ID], options].concat(), SECRET_ACCESS_KEY).unwrap();
    let endpoint = Endpoint::custom(&server.endpoint(), "us-east-1").unwrap();
    (server, home, endpoint)
}

#[test]
fn a_hundred_links_are_one_touch_and_all_of_them_work() {
    let (server, home, endpoint) = server_and_home(true);
    let mut host = Host::start(&home).unwrap();
    let key = |n: usize| format!("reports/2026/ü {n}.txt");
    let time = now();
    let link = |n: usize| canonical(&endpoint, &key(n), |request| request.time = time);
    for n in 0..100 {
        server.put(BUCKET, &key(n), format!("content {n}").as_bytes()).unwrap();
    }
    let all: Vec<_> = (0..100).map(link).collect();
    let (reply, prompt) = ask(&mut host, &many(&all));
    let urls = reply["answer"]["urls"].as_array().unwrap_or_else(|| panic!("{reply}"));
    assert_eq!(reply["answer"]["expires_at"], time + 3600);
    assert_eq!(
        prompt.unwrap(),
        format!(
            "sign 100 links: GET {}/{BUCKET}/reports/2026/… as {ACCESS_KEY_ID} (work for 1 h): \"ü 0.txt\", \"ü 1.txt\", \
             \"ü 2.txt\", … and 97 more",
            server.endpoint()
        )
    );
    assert_eq!(urls.len(), 100);
    let date_key = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), AmzDate::from_unix(time).unwrap());
    let signing_key = date_key.signing_key("us-east-1", "s3").unwrap();
    for (n, url) in urls.iter().enumerate() {
        let url = url.as_str().unwrap();
        let name = key(n);
        let expected = PresignRequest { time, ..request(&endpoint, &name) }.presign(&signing_key).unwrap();
        assert_eq!(url, expected);
        let answer = http::send(server.port(), "GET", url, &[], b"").unwrap();
        assert_eq!((answer.status, answer.text()), (200, format!("content {n}")));
    }
    // One of several is signed by itself as well, and what uploads.
    let put = |key| canonical(&endpoint, key, |request| (request.method, request.time) = ("PUT", time));
    let (reply, prompt) = ask(&mut host, &many(&[put("up/a"), put("up/b")]));
    assert!(prompt.unwrap().starts_with("sign 2 links: PUT "));
    let url = reply["answer"]["urls"][1].as_str().unwrap();
    assert_eq!(http::send(server.port(), "PUT", url, &[], b"new").unwrap().status, 200);
    assert_eq!(std::fs::read(server.file(BUCKET, "up/b")).unwrap(), b"new");
}

#[test]
fn links_that_are_not_alike_cost_no_touch() {
    let (server, home, endpoint) = server_and_home(true);
    let mut host = Host::start(&home).unwrap();
    let time = now();
    let good = |key: &str| canonical(&endpoint, key, |request| request.time = time);
    let odd = |change: fn(&mut PresignRequest<'_>)| {
        canonical(&endpoint, "odd", |request| {
            request.time = time;
            change(request);
        })
    };
    for (odd, code) in [
        (odd(|request| request.bucket = "other-bucket"), "invalid-input"),
        (odd(|request| request.method = "PUT"), "invalid-input"),
        (odd(|request| request.expires += 1), "invalid-input"),
        (odd(|request| request.time -= 1), "invalid-input"),
        (odd(|request| request.access_key_id = "AKIAIOSFODNN7EXAMPLF"), "invalid-input"),
        (odd(|request| request.query = &[("response-content-type", "text/html")]), "invalid-input"),
        (odd(|request| request.headers = &[("content-type", "text/html")]), "invalid-input"),
        (odd(|request| request.session_token = Some("token")), "invalid-input"),
        (odd(|request| (request.key, request.query) = ("", &[("list-type", "2")])), "invalid-input"),
        (
            canonical(&Endpoint::aws("us-east-1").unwrap(), "odd", |request| request.time = time),
            "invalid-input",
        ),
        (good("odd") + "\n", "invalid-input"),
        (good("odd").replacen("GET", "get", 1), "invalid-input"),
        ("".to_owned(), "invalid-input"),
    ] {
        for requests in [[good("a"), odd.clone()], [odd.clone(), good("a")]] {
            refused(&mut host, &many(&requests), code);
        }
    }
    // What a browser may not have signed at all, it may not have signed by the dozen.
    for odd in [
        odd(|request| request.method = "DELETE"),
        odd(|request| request.time += 1000),
        odd(|request| request.query = &[("uploadId", "1")]),
        odd(|request| request.headers = &[("x-amz-acl", "public-read")]),
    ] {
        refused(&mut host, &many(&[odd.clone(), odd]), "forbidden");
    }
    let elsewhere = Endpoint::custom("http://127.0.0.1:9", "us-east-1").unwrap();
    refused(&mut host, &many(&[canonical(&elsewhere, "a", |_| ())]), "forbidden");
    let in_the_clear = canonical(&Endpoint::aws("us-east-1").unwrap(), "a", |_| ());
    refused(&mut host, &many(&[in_the_clear]), "forbidden");
    refused(&mut host, &many(&[]), "invalid-input");
    let too_many: Vec<_> = (0..101).map(|n| good(&n.to_string())).collect();
    refused(&mut host, &many(&too_many), "invalid-input");
    let with_more = json!({ "name": "presign-many", "canonical_requests": [], "virtual_hosted": true });
    refused(&mut host, &with_more, "bad-request");

    // As long as keys can be, every byte of them encoded: the answer is one that browsers take.
    let long: Vec<_> = (0..100).map(|n| good(&format!("{}{n:04}", "ü".repeat(510)))).collect();
    let (reply, prompt) = ask(&mut host, &many(&long));
    assert!(prompt.unwrap().chars().count() < 1500);
    assert!(reply.to_string().len() > 300_000 && reply["answer"]["urls"].as_array().unwrap().len() == 100);
    // And what would be longer is refused before anybody touches.
    let longer = |pad: &str| {
        let query = [("response-content-disposition", pad)];
        PresignRequest { time, query: &query, ..request(&endpoint, "a") }.canonical_request().unwrap()
    };
    let pad = "x".repeat(10_430 - longer("").len());
    let message = refused(&mut host, &many(&vec![longer(&pad); 100]), "invalid-input");
    assert!(message.contains("longer together than a browser takes"), "{message}");
    let (reply, _) = ask(&mut host, &many(&vec![longer(&pad); 99]));
    assert_eq!(reply["type"], "done", "{reply}");
    drop(server);
}

/// The link to an object that the host signs for the browser.
#[track_caller]
fn presign(host: &mut Host, canonical: &str) -> String {
    let op = json!({ "name": "presign", "canonical_request": canonical, "scheme": "http" });
    done(host, &op)["url"].as_str().unwrap().to_owned()
}

#[test]
fn a_link_is_tried_and_told_how_it_does() {
    for agent in ["", "[agent]\nenabled = false\n"] {
        let (server, home, endpoint) = server_and_home(false);
        let config = home.path().join(".config/keyfob/config.toml");
        let text = agent.to_owned() + &std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text).unwrap();
        server.put(BUCKET, "a b.txt", b"content").unwrap();
        let mut host = Host::start(&home).unwrap();
        let link = presign(&mut host, &canonical(&endpoint, "a b.txt", |_| ()));
        let found = done(&mut host, &check_link(&link));
        assert_eq!((&found["status"], &found["bytes"]), (&json!(206), &json!(7)), "{found}");
        let typed = presign(
            &mut host,
            &canonical(&endpoint, "a b.txt", |request| {
                request.query = &[("response-content-type", "text/x-a")]
            }),
        );
        assert_eq!(done(&mut host, &check_link(&typed))["content_type"], "text/x-a");
        // Signed for HEAD it is asked by that.
        let head = presign(&mut host, &canonical(&endpoint, "a b.txt", |request| request.method = "HEAD"));
        let found = done(&mut host, &check_link(&head));
        assert_eq!((&found["status"], &found["bytes"]), (&json!(200), &json!(7)), "{found}");
        // One that uploads is not tried, and does nothing.
        let put = presign(&mut host, &canonical(&endpoint, "new", |request| request.method = "PUT"));
        let (reply, _) = ask(&mut host, &check_link(&put));
        assert_eq!(reply["error"]["code"], "aws-refused", "{reply}");
        assert!(reply["error"]["hint"].as_str().unwrap().contains("only by uploading"), "{reply}");
        let typed = canonical(&endpoint, "new", |request| {
            (request.method, request.headers) = ("PUT", &[("content-type", "text/plain")]);
        });
        let typed = presign(&mut host, &typed);
        refused(&mut host, &check_link(&typed), "invalid-input");
        assert!(!server.file(BUCKET, "new").exists());
        // What does not work says why.
        let gone = presign(&mut host, &canonical(&endpoint, "gone", |_| ()));
        let (reply, _) = ask(&mut host, &check_link(&gone));
        assert_eq!(reply["error"]["code"], "aws-refused");
        assert!(reply["error"]["message"].as_str().unwrap().contains("NoSuchKey"), "{reply}");
        let late = PresignRequest { time: now() - 7200, ..request(&endpoint, "a b.txt") };
        let key = DateKey::from_secret(SECRET_ACCESS_KEY.as_bytes(), AmzDate::from_unix(late.time).unwrap());
        let late = late.presign(&key.signing_key("us-east-1", "s3").unwrap()).unwrap();
        assert_eq!(ask(&mut host, &check_link(&late)).0["error"]["code"], "aws-refused");
        // The server says so, not the host: its clock may be the wrong one.
        let wrong = link.replace("a%20b", "a%20c");
        assert_eq!(ask(&mut host, &check_link(&wrong)).0["error"]["code"], "aws-refused");
        drop(server);
        assert_eq!(ask(&mut host, &check_link(&link)).0["error"]["code"], "io");
    }
}

/// A server that notes what it is asked, and answers so.
fn listener(answer: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            lock(&noted).push(String::from_utf8_lossy(&head).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (origin, asked)
}

#[test]
fn a_page_does_not_have_this_computer_fetch_what_it_likes() {
    let (secret, asked) = listener("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret".to_owned());
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {secret}/x\r\nContent-Length: 0\r\n\r\n");
    let (redirecting, redirected) = listener(redirect);
    let home = home();
    allow(&home, &[&redirecting]);
    let mut host = Host::start(&home).unwrap();
    let date_key = |time| DateKey::from_secret(b"secret", AmzDate::from_unix(time).unwrap());
    let link = |origin: &str| {
        let endpoint = Endpoint::custom(origin, "us-east-1").unwrap();
        let request = request(&endpoint, "x");
        request.presign(&date_key(request.time).signing_key("us-east-1", "s3").unwrap()).unwrap()
    };
    // On this computer, in its network, in its cloud.
    let port = secret.rsplit(':').next().unwrap();
    for origin in [
        secret.as_str(),
        &format!("http://localhost:{port}"),
        &format!("https://127.0.0.1:{port}"),
        "http://169.254.169.254",
        "https://192.168.0.1",
        "https://evil.test",
    ] {
        refused(&mut host, &check_link(&link(origin)), "forbidden");
    }
    let message = json!({ "v": 2, "id": "x", "op": check_link(&link(&redirecting)) });
    host.send_message(&message).unwrap();
    assert_eq!(host.answer().unwrap().0["error"]["code"], "unsupported-version");
    let good = link(&redirecting);
    for other in [
        good.replace("http://", "file://"),
        good.replace("http://", "ftp://"),
        good.replace("http://", &format!("http://127.0.0.1:{port}/?")),
        good.replace("http://", &format!("http://127.0.0.1:{port}#")),
        good.replace("http://", &format!("http://127.0.0.1:{port}\\@")),
        good.replace("http://", "http://user@"),
        format!("{secret}/x"),
        format!("{secret}/latest/meta-data/iam/security-credentials/"),
        "file:///etc/passwd".to_owned(),
        "http://[::1]/".to_owned(),
        "//x".to_owned(),
        String::new(),
        format!("{good}&x=1"),
        format!("{good}{}", "0".repeat(100_000)),
    ] {
        refused(&mut host, &check_link(&other), "forbidden");
    }
    // Where it may go it goes, and no further.
    let (reply, _) = ask(&mut host, &check_link(&good));
    assert_eq!(reply["error"]["code"], "aws-refused", "{reply}");
    let heads = lock(&redirected).clone();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let head = heads[0].to_ascii_lowercase();
    assert!(heads[0].starts_with("GET /") && head.contains("\r\nrange: bytes=0-0\r\n"), "{head}");
    assert!(
        !["cookie", "authorization", "referer", "origin"]
            .iter()
            .any(|name| head.contains(&format!("\r\n{name}:")))
    );
    assert!(lock(&asked).is_empty(), "{:?}", lock(&asked));
}

#[test]
fn a_link_that_was_taken_back_is_answered_at_once() {
    // A server that never answers.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let home = home();
    allow(&home, &[&origin]);
    let endpoint = Endpoint::custom(&origin, "us-east-1").unwrap();
    let request = request(&endpoint, "x");
    let date_key = DateKey::from_secret(b"secret", AmzDate::from_unix(request.time).unwrap());
    let link = request.presign(&date_key.signing_key("us-east-1", "s3").unwrap()).unwrap();
    let mut host = Host::start(&home).unwrap();
    host.send("l", &check_link(&link)).unwrap();
    let connected = listener.accept().unwrap();
    // The key is asked meanwhile.
    done(&mut host, &json!({ "name": "accounts" }));
    host.send("l", &check_link(&link)).unwrap();
    assert_eq!(host.receive().unwrap()["error"]["code"], "bad-request", "an id is one request's");
    host.send("c", &json!({ "name": "cancel", "request": "l" })).unwrap();
    let (cancelled, withdrawn) = (host.receive().unwrap(), host.receive().unwrap());
    assert_eq!((&cancelled["id"], &cancelled["error"]["code"]), (&json!("l"), &json!("cancelled")));
    assert_eq!((&withdrawn["id"], &withdrawn["answer"]["name"]), (&json!("c"), &json!("withdrawn")));
    drop(connected);
    done(&mut host, &json!({ "name": "accounts" }));
}

/// A proxy that leads every name to that port of this computer, and keeps what it was asked for.
fn proxy(port: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            lock(&noted).push(head.lines().next().unwrap_or_default().to_owned());
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                // A client that goes is gone for the server too.
                let _ = to.shutdown(Shutdown::Write);
            });
            thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (url, asked)
}

#[test]
fn a_link_to_aws_is_tried_by_tls_through_the_proxy_there_is() {
    let name = format!("{BUCKET}.s3.eu-west-1.amazonaws.com");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&heads);
    let serve = move |stream: &mut Stream| {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        lock(&noted).push(String::from_utf8_lossy(&head).into_owned());
        let answer = "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Range: bytes 0-0/12345\r\n\
                      Content-Type: text/\u{202e}plain\r\nContent-Length: 1\r\n\r\nx";
        stream.write_all(answer.as_bytes())
    };
    let server = TlsServer::start(&[&name], serve).unwrap();
    let (proxy, asked) = proxy(server.port());
    let mut home = home();
    home.succeed(&["aws", "add", ACCESS_KEY_ID, "--no-touch"], SECRET_ACCESS_KEY).unwrap();
    home.set("HTTPS_PROXY", &proxy);
    let endpoint = Endpoint::aws("eu-west-1").unwrap();
    let text = canonical(&endpoint, "ü/..//b", |_| ());
    let presign = json!({ "name": "presign", "canonical_request": text });

    // Nobody knows that server's authority yet.
    let mut host = Host::start(&home).unwrap();
    let link = done(&mut host, &presign)["url"].as_str().unwrap().to_owned();
    let (reply, _) = ask(&mut host, &check_link(&link));
    assert_eq!(reply["error"]["code"], "io", "{reply}");
    assert!(lock(&heads).is_empty());
    let bundle = home.write("ca.pem", server.authority()).unwrap();
    home.set("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let mut host = Host::start(&home).unwrap();
    let found = done(&mut host, &check_link(&link));
    assert_eq!((&found["status"], &found["bytes"]), (&json!(206), &json!(12_345)), "{found}");
    assert!(!found.to_string().contains('\u{202e}'), "{found}");
    assert!(lock(&asked).iter().all(|line| *line == format!("CONNECT {name}:443 HTTP/1.1")), "{asked:?}");
    let heads = lock(&heads);
    // The path reaches the wire as it was signed.
    assert!(heads[0].starts_with("GET /%C3%BC/..//b?X-Amz-Algorithm="), "{heads:?}");
    assert!(heads[0].to_ascii_lowercase().contains(&format!("\r\nhost: {name}\r\n")), "{heads:?}");
}

#[test]
fn several_links_are_one_calculation() {
    use keyfob_core::identity::IdentityName;
    use keyfob_core::message::SignatureVersion;
    use keyfob_core::secret::Secret;
    let bench = Bench::new();
    let identity = IdentityName::new(ACCESS_KEY_ID, SignatureVersion::SigV4).unwrap();
    let put = identity.put(&Secret::from(SECRET_ACCESS_KEY.to_owned()), true).unwrap();
    {
        let mut key = lock(&bench.key);
        let mut nobody = Finger { blinks: channel().0, touches: channel().1 };
        for command in [Select.command().unwrap(), put.command().unwrap()] {
            assert!(key.transmit(command.as_bytes(), &mut nobody).ends_with(&[0x90, 0]));
        }
        key.power_cycle();
    }
    let mut host = Host::start(&bench.home).unwrap();
    let endpoint = Endpoint::aws("eu-west-1").unwrap();
    let time = now();
    let all: Vec<_> =
        (0..100).map(|n| canonical(&endpoint, &n.to_string(), |request| request.time = time)).collect();
    let op = json!({ "name": "presign-many", "canonical_requests": all });
    let (reply, _) = bench.ask(&mut host, &op, false);
    assert_eq!(reply["error"]["code"], "touch-timeout", "{reply}");
    assert_eq!(bench.calculated.load(Ordering::SeqCst), 1);
    let (reply, _) = bench.ask(&mut host, &op, true);
    assert_eq!(reply["answer"]["urls"].as_array().map(Vec::len), Some(100), "{reply}");
    assert_eq!(bench.calculated.load(Ordering::SeqCst), 2);
    // A browser's next one is touched for again.
    let (reply, _) = bench.ask(&mut host, &op, true);
    assert_eq!(reply["type"], "done");
    assert_eq!(bench.calculated.load(Ordering::SeqCst), 3);
    bench.pull.store(true, Ordering::SeqCst);
    assert_eq!(ask(&mut host, &op).0["error"]["code"], "key-removed");
}
