//! The tests' own AWS: STS, IAM's access keys and MFA devices, and the console's sign-in with temporary credentials.
//!
//! It verifies what AWS verifies and what moto does not: every signature (by AWS's own implementation, apart from
//! Keyfob's), MFA codes (window, and each only once), the credentials of the sessions that it has made; and it fails as AWS
//! and networks do when a test says so ([`StandIn::fail_next`]). Its clock is the test's ([`StandIn::turn_clock`]).
//!
//! ```no_run
//! # use keyfob_tests::{home::Home, stand_in::StandIn};
//! let aws = StandIn::start(|world| {
//!     world.user("alice").device("alice", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
//!     world.role("ops").needs_mfa().max_duration(7200);
//! })?;
//! let mut home = Home::with_software_key()?;
//! aws.configure(&mut home);
//! aws.put_on_key(&home, "alice")?;
//! # anyhow::Ok(())
//! ```
//!
//! Sources: AWS STS API Reference; AWS IAM API Reference; and what AWS answers, word for word, where it is not written there.

mod federation;
mod http;
mod iam;
mod sigv4;
mod state;
mod sts;
mod totp;
mod world;
mod xml;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use data_encoding::{BASE32, BASE64};

use self::http::{HttpRequest, Reply};
use self::state::{AccessKey, Parameters, State, User, xml_reply};
use self::totp::STEP;
use self::xml::Refusal;
use crate::home::Home;
use crate::moto::Moto;
use crate::poll;

pub use self::world::{NewUser, Role, World};

/// The number of the only account: moto's.
pub const ACCOUNT: &str = Moto::ACCOUNT;

/// The server; ends, with all that it knows, when dropped.
pub struct StandIn {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    state: Mutex<State>,
    /// Connections that never get an answer.
    held: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// There were too many: status 400, `Throttling`. Nothing is done.
    Throttle,
    /// Status 500, `InternalFailure`. Nothing is done.
    InternalError,
    /// That status, with AWS's code and message. Nothing is done.
    Status(u16, &'static str, &'static str),
    /// The connection ends without an answer. Nothing is done.
    HangUpBefore,
    /// It is done; the connection ends without an answer.
    HangUpAfter,
    /// It is done; a proxy answers with status 503 and a page of its own.
    UnavailableAfter,
    /// It is done, and answered, after so long.
    Delay(Duration),
    /// It is done, and answered so long after.
    SlowAnswer(Duration),
    /// The connection stays, without an answer. Nothing is done.
    HalfOpen,
    /// A page of a hotel's network, with status 200. Nothing is done.
    Garbage,
    /// The clock is so many seconds further ahead (less than 0: behind) for this one.
    Skew(i64),
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GetSessionToken`; of the sign-in endpoint `getSigninToken` and `login`.
    pub action: String,
    /// Names and values, decoded, as they were sent.
    pub parameters: Vec<(String, String)>,
    /// Whose signature it claims; empty without one.
    pub access_key_id: String,
    /// Of the credential scope; empty without one.
    pub region: String,
    /// Whether the signature was right, and its credentials good.
    pub verified: bool,
    /// Whether the credentials were of a session with MFA.
    pub mfa: bool,
    /// The status of the answer, which may have been lost; none before it is known, and where a [`Fault`] took its place.
    pub status: Option<u16>,
    /// AWS's code for a refusal; empty otherwise.
    pub code: String,
}

impl Request {
    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it was done, be its answer lost or not.
    pub fn is_done(&self) -> bool {
        self.status.is_some_and(|status| status < 400)
    }
}

/// An access key of a user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// `AKIA…`.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Whether it is good for anything.
    pub active: bool,
}

/// An MFA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevice {
    /// Its ARN.
    pub serial: String,
    /// Its secret.
    pub base32: String,
    /// Whose it is; none if it is not enabled.
    pub user: Option<String>,
}

impl StandIn {
    /// Starts a server that has what `world` is told, and nothing else.
    ///
    /// # Errors
    ///
    /// If it cannot listen, a device's secret is no base32, or as [`Moto::start`].
    pub fn start(build: impl FnOnce(&mut World)) -> Result<Self> {
        let mut world = World::default();
        build(&mut world);
        let state = State::new(world)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared =
            Shared { state: Mutex::new(state), held: Mutex::default(), is_over: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let server = Self { shared: Arc::clone(&shared), port };
        thread::Builder::new().name("stand-in".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(stream));
            }
        })?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`, of STS and of IAM.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT/federation`.
    pub fn federation(&self) -> String {
        format!("{}/federation", self.endpoint())
    }

    /// Lets the programs of a home call this server in place of AWS, in `eu-west-1`.
    pub fn configure(&self, home: &mut Home) {
        for name in ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_SIGNIN"] {
            home.set(name, &self.endpoint());
        }
        home.set("AWS_REGION", "eu-west-1");
    }

    /// Puts a user's active access keys and MFA devices on the key that the home's programs use, none of which then wants a
    /// touch. The accounts are called by the devices' ARNs.
    ///
    /// # Errors
    ///
    /// As [`Home::succeed`].
    pub fn put_on_key(&self, home: &Home, user: &str) -> Result<()> {
        for key in self.keys(user).iter().filter(|key| key.active) {
            home.succeed(&["aws", "add", &key.id, "--no-touch"], &key.secret)?;
        }
        for device in self.devices(user) {
            home.succeed(&["oath", "add", &device.serial], &device.base32)?;
        }
        Ok(())
    }

    /// `arn:aws:iam::123456789012:role/NAME`.
    pub fn role_arn(name: &str) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role/{name}")
    }

    /// `arn:aws:iam::123456789012:mfa/NAME`.
    pub fn serial(name: &str) -> String {
        format!("arn:aws:iam::{ACCOUNT}:mfa/{name}")
    }

    /// A user's access keys, the oldest first.
    pub fn keys(&self, user: &str) -> Vec<KnownKey> {
        let state = self.state();
        let mut keys: Vec<_> = state.keys.iter().filter(|(_, key)| key.user == user).collect();
        keys.sort_by_key(|(_, key)| key.order);
        let known = |(id, key): (&String, &AccessKey)| KnownKey {
            id: id.clone(),
            secret: key.secret.clone(),
            active: key.active,
        };
        keys.into_iter().map(known).collect()
    }

    /// A user's only access key.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub fn key(&self, user: &str) -> Result<KnownKey> {
        let keys: [KnownKey; 1] = self.keys(user).try_into().ok().context("not one access key")?;
        let [key] = keys;
        Ok(key)
    }

    /// A user's devices that are enabled.
    pub fn devices(&self, user: &str) -> Vec<KnownDevice> {
        self.all_devices().into_iter().filter(|device| device.user.as_deref() == Some(user)).collect()
    }

    /// All devices, those that are nobody's too.
    pub fn all_devices(&self) -> Vec<KnownDevice> {
        let state = self.state();
        let known = state.devices.iter().map(|(serial, device)| KnownDevice {
            serial: serial.clone(),
            base32: device.base32(),
            user: device.user.clone(),
        });
        known.collect()
    }

    /// The code of a device so many steps from now, by this server's clock; empty if there is no such device.
    pub fn code(&self, serial: &str, steps: i64) -> String {
        let state = self.state();
        let now = unix() + state.ahead;
        let code = |device: &totp::Device| device.code(device.step(now) + steps);
        state.devices.get(serial).map(code).unwrap_or_default()
    }

    /// Removes a device, whoever has it.
    pub fn remove_device(&self, serial: &str) {
        self.state().devices.remove(serial);
    }

    /// Forgets which codes were taken: the next one need not wait for the next step.
    pub fn forget_codes(&self) {
        self.state().devices.values_mut().for_each(totp::Device::forget);
    }

    /// Lets a device's clock be so many steps of 30 s ahead (less than 0: behind), by what this server knows of it.
    pub fn drift(&self, serial: &str, steps: i64) {
        if let Some(device) = self.state().devices.get_mut(serial) {
            device.ahead = steps;
        }
    }

    /// Turns this server's clock, and the end of every session with it, so many seconds ahead (less than 0: back).
    pub fn turn_clock(&self, seconds: i64) {
        self.state().ahead += seconds;
    }

    /// How many seconds the present step of 30 s has left, by this server's clock: 1 to 30.
    pub fn left_in_step(&self) -> i64 {
        STEP - (unix() + self.state().ahead).rem_euclid(STEP)
    }

    /// Ends all sessions that there are.
    pub fn end_sessions(&self) {
        self.state().sessions.values_mut().for_each(|session| session.expires = 0);
    }

    /// Lets the sessions that are made from now on last so many seconds at most, whatever is asked for.
    pub fn shorten_sessions(&self, seconds: Option<u32>) {
        self.state().longest_session = seconds.map(i64::from);
    }

    /// Lets access keys that are made from now on be unknown for so many calls, and for so long.
    pub fn slow_keys(&self, calls: u32, time: Duration) {
        self.state().slow_keys = (calls, time);
    }

    /// Lets lists have so many items a page.
    pub fn page(&self, items: usize) {
        self.state().page = items;
    }

    /// Lets the next `n` calls of an action (`*`: of any) that have no fault yet have this one.
    pub fn fail_next(&self, action: &str, n: usize, fault: Fault) {
        let mut state = self.state();
        let faults = state.faults.entry(action.to_owned()).or_default();
        faults.extend(std::iter::repeat_n(fault, n));
    }

    /// Faults that have met no call yet are taken back.
    pub fn fail_no_more(&self) {
        self.state().faults.clear();
    }

    /// How many requests of an action came, whatever became of them.
    pub fn calls(&self, action: &str) -> usize {
        self.state().requests.iter().filter(|request| request.action == action).count()
    }

    /// All requests that came, in their order.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// The requests of an action.
    pub fn requests_of(&self, action: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.action == action).collect()
    }

    /// Forgets the requests that came.
    pub fn forget_requests(&self) {
        let mut state = self.state();
        state.forgotten += state.requests.len();
        state.requests.clear();
    }

    /// Waits until so many requests of an action have come.
    ///
    /// # Errors
    ///
    /// If they have not after half a minute.
    pub fn wait_for(&self, action: &str, n: usize) -> Result<()> {
        poll(&format!("{n} calls of {action}"), || (self.calls(action) >= n).then_some(()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // The thread that waits for connections gets one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        // What answers late is no reason to keep it.
        self.state().moto.take();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request on a connection, which then ends.
    fn serve(&self, stream: TcpStream) {
        let Some(request) = HttpRequest::read(&stream) else { return };
        let parameters = Parameters(request.parameters());
        let (number, fault) = self.state().arrive(&request, &parameters);
        let refuse = |status: u16, code: &str, message: &str| {
            let refusal = Refusal::new(status, code, message);
            (xml_reply(status, refusal.document(state::STS, &id(""))), code.to_owned())
        };
        let (skew, pause) = match fault {
            Some(Fault::Skew(seconds)) => (seconds, Duration::ZERO),
            Some(Fault::Delay(time)) => (0, time),
            _ => (0, Duration::ZERO),
        };
        thread::sleep(pause);
        let refused = match fault {
            Some(Fault::HangUpBefore) => return,
            Some(Fault::HalfOpen) => {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
                return;
            }
            Some(Fault::Garbage) => {
                let page = "<html><title>Welcome to the hotel</title><p>Please accept our terms.</html>\n";
                Some((Reply::new(200, "text/html", page.to_owned()), "Garbage".to_owned()))
            }
            Some(Fault::Throttle) => Some(refuse(400, "Throttling", "Rate exceeded")),
            Some(Fault::InternalError) => {
                let message =
                    "The request processing has failed because of an unknown error, exception or failure.";
                Some(refuse(500, "InternalFailure", message))
            }
            Some(Fault::Status(status, code, message)) => Some(refuse(status, code, message)),
            _ => None,
        };
        let mut state = self.state();
        state.now = unix() + state.ahead + skew;
        let now = state.now;
        let reply = match refused {
            Some((reply, code)) => {
                state.depart(number, None, &code);
                reply
            }
            None => {
                let outcome = if request.path() == "/federation" {
                    state.federation(&request, &parameters)
                } else {
                    state.query(&request, &parameters)
                };
                state.depart(
                    number,
                    Some((outcome.reply.status, outcome.verified, outcome.mfa)),
                    &outcome.code,
                );
                outcome.reply
            }
        };
        drop(state);
        match fault {
            Some(Fault::HangUpAfter) => {}
            Some(Fault::UnavailableAfter) => {
                Reply::new(503, "text/html", "<html>Service Unavailable</html>".to_owned())
                    .send(&stream, now);
            }
            Some(Fault::SlowAnswer(time)) => {
                thread::sleep(time);
                reply.send(&stream, now);
            }
            _ => reply.send(&stream, now),
        }
    }
}

impl State {
    fn new(world: World) -> Result<Self> {
        let now = unix();
        let names: Vec<(&str, Vec<&str>)> = world
            .users
            .iter()
            .map(|(name, user)| (name.as_str(), user.policy.actions.iter().map(String::as_str).collect()))
            .collect();
        let moto = if world.moto {
            let users: Vec<(&str, &[&str])> =
                names.iter().map(|(name, actions)| (*name, actions.as_slice())).collect();
            Some(Moto::start(&users)?)
        } else {
            None
        };
        let mut state = Self {
            ahead: 0,
            now,
            users: BTreeMap::new(),
            roles: world.roles,
            keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            devices: BTreeMap::new(),
            sign_in_tokens: BTreeMap::new(),
            faults: BTreeMap::new(),
            requests: Vec::new(),
            forgotten: 0,
            slow_keys: (0, Duration::ZERO),
            longest_session: None,
            page: usize::MAX,
            moto,
        };
        for (name, user) in world.users {
            for (serial, device) in user.devices {
                let mut device = device.with_context(|| serial.clone())?;
                (device.user, device.enabled) = (Some(name.clone()), now);
                state.devices.insert(serial, device);
            }
            let known =
                state.moto.as_ref().map_or(&[][..], Moto::users).iter().find(|user| user.name == name);
            let (id, secret) = match known {
                Some(user) => (user.access_key_id.clone(), user.secret_access_key.clone()),
                None => (id("AKIA"), secret()),
            };
            let key = AccessKey {
                user: name.clone(),
                secret,
                active: true,
                created: now,
                order: 0,
                last_used: None,
                unknown_for: 0,
                unknown_until: Instant::now(),
            };
            state.keys.insert(id, key);
            state.users.insert(name, User { id: self::id("AIDA"), created: now, policy: user.policy });
        }
        Ok(state)
    }

    /// Notes a request; gives its number, and what goes wrong with it.
    fn arrive(&mut self, request: &HttpRequest, parameters: &Parameters) -> (usize, Option<Fault>) {
        let action = parameters.get("Action").unwrap_or_default().to_owned();
        let authorization = request.header("authorization").unwrap_or_default();
        let scope = authorization.split_once("Credential=").map_or("", |(_, rest)| rest);
        let mut scope = scope.split(',').next().unwrap_or_default().split('/');
        let access_key_id = scope.next().unwrap_or_default().to_owned();
        let region = scope.nth(1).unwrap_or_default().to_owned();
        let mut next =
            |action: &str| self.faults.get_mut(action).and_then(std::collections::VecDeque::pop_front);
        let fault = next(&action).or_else(|| next("*"));
        self.requests.push(Request {
            action,
            parameters: parameters.0.clone(),
            access_key_id,
            region,
            verified: false,
            mfa: false,
            status: None,
            code: String::new(),
        });
        (self.forgotten + self.requests.len() - 1, fault)
    }

    /// Notes what became of a request.
    fn depart(&mut self, number: usize, outcome: Option<(u16, bool, bool)>, code: &str) {
        let number = number.checked_sub(self.forgotten);
        let Some(request) = number.and_then(|number| self.requests.get_mut(number)) else { return };
        code.clone_into(&mut request.code);
        if let Some((status, verified, mfa)) = outcome {
            (request.status, request.verified, request.mfa) = (Some(status), verified, mfa);
        }
    }
}

fn unix() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Nothing here is worth more than that no two are the same.
    if getrandom::fill(&mut bytes).is_err() {
        bytes.fill(7);
    }
    bytes
}

/// `AKIA` and 16 letters and digits, as AWS's identifiers have.
fn id(kind: &str) -> String {
    format!("{kind}{}", BASE32.encode(&random::<10>()))
}

/// 40 characters.
fn secret() -> String {
    BASE64.encode(&random::<30>())
}

/// As long as AWS's.
fn token() -> String {
    BASE64.encode(&random::<336>())
}
