//! `keyfob login`: signs in to the AWS console with a role's session.
//!
//! The console's URL that comes of it is as good as a password for a quarter of an hour: it stands in no argument of any program, where
//! others of the machine could read it. The browser is sent to this computer, once, and from here to AWS; or, where it is to open in a
//! container of Firefox, to the extension's page, with a ticket by which the extension gets it from the agent, once.
//!
//! Source: "Enabling custom identity broker access to the AWS console", IAM User Guide.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use data_encoding::HEXLOWER;
use keyfob_core::aws;
use keyfob_core::message::{
    self, Answer as Replied, ErrorCode, Event, Failure, Op, Password, Reply, Session,
};
use keyfob_core::partition::Partition;
use keyfob_core::sigv4::encode_query;
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::args::Global;
use super::output;
use super::profile;
use crate::aws_call;
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::holder::Desk;
use crate::http::{Body, Http};
use crate::loopback::{Answer, Loopback, Request};
use crate::policy::Caller;
use crate::profile::{Base, Profile};

/// Names another server in the place of AWS's sign-in.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_SIGNIN";
/// More than any answer of it has, in bytes.
const MAX_ANSWER: u64 = 256 * 1024;
/// How long the browser may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sessions of more than an hour are a role's that was assumed directly, and may say how long the console's is.
const CHAINED: u32 = 3600;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    profile: profile::Options,
    /// Print the URL rather than open it: whoever has it is signed in, for a quarter of an hour
    #[arg(long)]
    stdout: bool,
    /// Where to in the console: a service, such as s3, or an address of the console
    #[arg(long, value_name = "SERVICE|URL")]
    destination: Option<String>,
    /// Open it in a container of Firefox, by way of the extension: in the one of that name, or of the profile's
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, conflicts_with = "stdout")]
    container: Option<Option<String>>,
}

/// What getSigninToken answers.
#[derive(Deserialize)]
struct SigninToken {
    #[serde(rename = "SigninToken")]
    token: Password,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    // What cannot be is said before anybody is asked for a touch.
    let name = profile::name(options.profile.profile.as_deref())?;
    let resolved = crate::profile::resolve(&name, &front::env)?;
    check(&resolved)?;
    // Without a region the role's partition decides.
    let of_role = resolved.roles.last().map(|role| role.sts.region.as_str());
    let region = resolved.region.as_deref().or(of_role).unwrap_or(aws_call::DEFAULT_REGION);
    let place = Place::of(region)?;
    let destination = destination(options.destination.as_deref(), &place, region)?;
    let container = match &options.container {
        Some(named) => Some(Container::of(global, named.as_ref().unwrap_or(&resolved.name), &place)?),
        None => None,
    };
    let (resolved, session) = options.profile.credentials(global)?;
    let http =
        Http::trusting(resolved.ca_bundle.as_deref(), Duration::from_secs(20))?.until(global.deadline());
    let duration =
        options.profile.how.duration.filter(|seconds| *seconds > CHAINED && resolved.roles.len() == 1);
    let token = signin_token(&http, &place, &session, duration)?;
    let url = place.login(&destination, &token);
    if let Some(container) = container {
        container.hand_over(url)?;
        if global.json {
            output::json(&json!({ "profile": resolved.name, "container": container.name }))?;
        }
        let text =
            format!("Firefox opens the console, as {}, in the container {}.", resolved.name, container.name);
        output::note(global.quiet, &text);
        return Ok(Exit::Ok);
    }
    if options.stdout || global.json {
        if global.json {
            output::json(&json!({ "profile": resolved.name, "url": url.as_str() }))?;
        } else {
            output::line(&url)?;
        }
        return Ok(Exit::Ok);
    }
    open(url)?;
    output::note(global.quiet, &format!("The browser is on its way to the console, as {}.", resolved.name));
    Ok(Exit::Ok)
}

/// The console takes the sessions of roles, and no others.
fn check(profile: &Profile) -> Result<(), Failure> {
    let is_users = match &profile.base {
        Base::Key { .. } => true,
        Base::Given(session) => session.session_token.is_none(),
        Base::Exported { .. } | Base::Process { .. } => false,
    };
    if profile.roles.is_empty() && is_users {
        return Err(failure(
            ErrorCode::InvalidInput,
            format!(
                "the profile {:?} has no role, and AWS signs in to the console with a role's session alone",
                profile.name
            ),
            "name a profile with a role_arn; a user signs in on AWS's page, where the browser extension fills in the code",
        ));
    }
    Ok(())
}

/// Where a partition's sign-in and console are.
struct Place {
    signin: String,
    console: &'static str,
}

impl Place {
    fn of(region: &str) -> Result<Self, Failure> {
        let console = Partition::of_region(region).console.ok_or_else(|| {
            failure(
                ErrorCode::Unsupported,
                format!("where the console of {region} is, is not public"),
                "`keyfob exec` and `keyfob env` give credentials there",
            )
        })?;
        let named = front::env(ENDPOINT).and_then(|url| url.into_string().ok()).filter(|url| !url.is_empty());
        let signin =
            named.unwrap_or_else(|| format!("https://{}", console.replacen("console.", "signin.", 1)));
        Ok(Self { signin: signin.trim_end_matches('/').to_owned(), console })
    }

    fn login(&self, destination: &str, token: &Password) -> Zeroizing<String> {
        let mut url =
            Zeroizing::new(format!("{}/federation?Action=login&Issuer=keyfob", self.signin).into_bytes());
        for (name, value) in [("Destination", destination), ("SigninToken", token.0.as_str())] {
            url.extend_from_slice(format!("&{name}=").as_bytes());
            encode_query(&mut url, value.as_bytes());
        }
        // Escaped, and so ASCII.
        Zeroizing::new(String::from_utf8_lossy(&url).into_owned())
    }
}

/// The page of the console that is meant. Only the console's own: a token goes with it.
fn destination(named: Option<&str>, place: &Place, region: &str) -> Result<String, Failure> {
    let console = place.console;
    let wrong = || {
        Err(failure(
            ErrorCode::InvalidInput,
            format!("--destination is neither a service nor an address of {console}"),
            format!("give a service, such as s3, or https://{console}/…"),
        ))
    };
    let Some(named) = named else {
        return Ok(format!("https://{region}.{console}/console/home?region={region}"));
    };
    if !named.is_empty() && named.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Ok(format!("https://{region}.{console}/{named}/home?region={region}"));
    }
    let Some(rest) = named.strip_prefix("https://") else { return wrong() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_consoles =
        host == console || host.strip_suffix(console).is_some_and(|before| before.ends_with('.'));
    let is_plain = named.bytes().all(|b| b.is_ascii_graphic()) && !host.contains(['@', ':', '\\']);
    if is_consoles && is_plain { Ok(named.to_owned()) } else { wrong() }
}

/// A token for the console, by POST: a URL with credentials in it would be logged along the way.
fn signin_token(
    http: &Http,
    place: &Place,
    session: &Session,
    duration: Option<u32>,
) -> Result<Password, Failure> {
    let json = Zeroizing::new(
        json!({
            "sessionId": session.access_key_id,
            "sessionKey": session.secret_access_key,
            "sessionToken": session.session_token,
        })
        .to_string(),
    );
    let mut body = Zeroizing::new(b"Action=getSigninToken".to_vec());
    if let Some(seconds) = duration {
        body.extend_from_slice(format!("&SessionDuration={seconds}").as_bytes());
    }
    body.extend_from_slice(b"&Session=");
    encode_query(&mut body, json.as_bytes());
    let headers = [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let mut response =
        http.send("POST", &format!("{}/federation", place.signin), &headers, Body::Bytes(&body))?;
    if response.status != 200 {
        let refused = aws_call::refused(response);
        let hint = "the role's session was not taken for the console: see that it has not ended (`keyfob sessions clear`)";
        return Err(Failure { hint: refused.hint.or(Some(hint.to_owned())), ..refused });
    }
    let answer = Zeroizing::new(response.read(MAX_ANSWER)?);
    let answer: SigninToken = serde_json::from_slice(&answer).map_err(|_| {
        let message = format!("what {} answers is no token for the console", response.origin());
        failure(
            ErrorCode::AwsRefused,
            message,
            "try again; something in between may have answered in AWS's place",
        )
    })?;
    Ok(answer.token)
}

/// What Firefox knows the extension's links by.
const LINK: &str = "ext+keyfob:";

/// What helps where the extension does not take the console's URL.
const INSTEAD: &str = "give --stdout, and open what it prints";

/// A container of Firefox, and the agent, by way of which its extension gets the console's URL.
struct Container {
    name: String,
    desk: Box<dyn Desk>,
    /// When it has taken too long for the person's `--timeout`.
    deadline: Option<Instant>,
}

impl Container {
    /// What can be known to be wrong is said before anybody is asked for a touch.
    fn of(global: &Global, name: &str, place: &Place) -> Result<Self, Failure> {
        if !aws::is_console_login(&place.login("", &Password(String::new()))) {
            return Err(failure(
                ErrorCode::InvalidInput,
                format!("the extension opens AWS's own sign-in alone, and {ENDPOINT} names another server"),
                "leave --container out",
            ));
        }
        let what = "a browser's container is given the console's URL";
        let desk = front::agent_desk(Caller::CommandLine, global.agent(), what)?;
        Ok(Self { name: name.to_owned(), desk, deadline: global.deadline() })
    }

    /// Has the extension open the URL: returns once it has it.
    fn hand_over(&self, mut url: Zeroizing<String>) -> Result<(), Failure> {
        let ticket = Password(random()?);
        let link = [LINK, &ticket.0].concat();
        let url = Password(std::mem::take(&mut *url));
        let op = Op::OfferLogin { ticket, url, container: self.name.clone() };
        let request = message::Request { v: message::VERSION, id: "login".to_owned(), key: None, op };
        let (sender, replies) = mpsc::channel();
        self.desk.ask(request, Box::new(move |reply| drop(sender.send(reply))));
        let mut firefox = None;
        loop {
            match replies.recv_timeout(Duration::from_millis(100)) {
                // Only now can it be taken.
                Ok(Reply::Event { event: Event::Waiting { .. }, .. }) if firefox.is_none() => {
                    firefox = Some(start_firefox(&link)?);
                }
                Ok(Reply::Done { answer: Replied::Noted {}, .. }) => return Ok(()),
                Ok(Reply::Failed { error, .. }) => return Err(error),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let ended = firefox.as_mut().and_then(|browser| browser.try_wait().ok().flatten());
                    if ended.is_some_and(|status| !status.success()) {
                        return Err(failure(ErrorCode::Io, "Firefox was not opened", INSTEAD));
                    }
                    if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        let text = "Firefox has not come in time";
                        return Err(failure(ErrorCode::Busy, text, "give a longer --timeout"));
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let text = "whoever holds the console's URL broke off";
                    return Err(failure(ErrorCode::Internal, text, "please report this"));
                }
            }
        }
    }
}

/// 128 random bits, in hexadecimal digits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| failure(ErrorCode::Internal, error, ""))?;
    Ok(HEXLOWER.encode(&bytes))
}

/// Opens the browser at an address of this computer that leads to the URL, once.
fn open(url: Zeroizing<String>) -> Result<(), Failure> {
    let server = Loopback::bind(0)
        .map_err(|error| failure(ErrorCode::Io, format!("cannot listen on 127.0.0.1: {error}"), INSTEAD))?;
    let (port, path) = (server.port(), format!("/{}", random()?));
    let address = format!("http://127.0.0.1:{port}{path}");
    let (taken, is_taken) = mpsc::channel();
    let url = Mutex::new(Some(url));
    thread::spawn(move || {
        server.serve(move |request, peer| {
            let answer = redirect(request, peer, port, &path, &url);
            Answer { taken: (answer.status == 302).then(|| taken.clone()), ..answer }
        });
    });
    let mut browser = start(&address)
        .map_err(|error| failure(ErrorCode::Io, format!("cannot open the browser: {error}"), INSTEAD))?;
    let end = Instant::now() + PATIENCE;
    loop {
        if is_taken.recv_timeout(Duration::from_millis(100)).is_ok() {
            return Ok(());
        }
        let failed = browser.try_wait().ok().flatten().is_some_and(|status| !status.success());
        if failed || Instant::now() >= end {
            let text =
                if failed { "the browser was not opened" } else { "the browser has not come for a minute" };
            return Err(failure(ErrorCode::Io, text, INSTEAD));
        }
    }
}

/// What the browser is told: where to go, if it is the first that asks, and this user's.
fn redirect(
    request: &Request,
    peer: SocketAddr,
    port: u16,
    path: &str,
    url: &Mutex<Option<Zeroizing<String>>>,
) -> Answer {
    let is_it = bool::from(request.target.as_bytes().ct_eq(path.as_bytes()));
    if !request.is_for(port) || request.has("origin") || request.method != "GET" || !is_it || !is_users(peer)
    {
        return Answer::empty(403);
    }
    let url = url.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let Some(url) = url else { return Answer::empty(410) };
    let headers = vec![("location", url.to_string()), ("referrer-policy", "no-referrer".to_owned())];
    Answer { headers, ..Answer::empty(302) }
}

/// Whether a connection is a process's of this user, as far as the system tells: the address can be seen in the arguments of the
/// program that opens it.
fn is_users(peer: SocketAddr) -> bool {
    #[cfg(target_os = "linux")]
    {
        // A socket of the other family comes by a mapped address.
        let tables: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect();
        let owner = tables.iter().find_map(|table| owner(table, peer));
        // Both ends are in the same table: where there is one, whoever is not in it is nobody.
        owner.map_or(tables.is_empty(), |uid| uid == rustix::process::getuid().as_raw())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = peer;
        true
    }
}

/// Whose a connection is, by its own end of it: proc_net_tcp, Linux's documentation. The words of an address are in the machine's
/// order of bytes.
#[cfg(any(test, target_os = "linux"))]
fn owner(table: &str, end: SocketAddr) -> Option<u32> {
    let std::net::IpAddr::V4(ip) = end.ip().to_canonical() else { return None };
    let (word, port) = (u32::from_ne_bytes(ip.octets()), end.port());
    let wanted = [
        format!("{word:08X}:{port:04X}"),
        format!("0000000000000000{:08X}{word:08X}:{port:04X}", u32::from_ne_bytes([0, 0, 0xff, 0xff])),
    ];
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let address = fields.next()?;
        wanted.iter().any(|wanted| wanted == address).then(|| fields.nth(5)?.parse().ok())?
    })
}

/// Starts the user's browser.
fn start(address: &str) -> std::io::Result<Child> {
    let mut command = match &named_browser() {
        Some(browser) => Command::new(browser),
        None if cfg!(target_os = "macos") => Command::new("open"),
        None if cfg!(windows) => {
            let mut command = Command::new("rundll32");
            command.arg("url.dll,FileProtocolHandler");
            command
        }
        None => Command::new("xdg-open"),
    };
    spawn(&mut command, address)
}

/// Starts Firefox, or tells the one that runs. Systems do not know the extension's links, only Firefox does: so nothing else can be asked
/// to open them.
fn start_firefox(link: &str) -> Result<Child, Failure> {
    let absent = || {
        failure(
            ErrorCode::Io,
            "no Firefox is in PATH",
            "name its program in BROWSER; or give --stdout, and open what it prints",
        )
    };
    let mut command = match named_browser() {
        Some(browser) => Command::new(browser),
        None if cfg!(target_os = "macos") => {
            let mut command = Command::new("open");
            command.args(["-a", "Firefox"]);
            command
        }
        None if cfg!(windows) => {
            // It knows where Firefox is installed.
            let mut command = Command::new("cmd");
            command.args(["/c", "start", "", "firefox"]);
            command
        }
        None => Command::new(firefox().ok_or_else(absent)?),
    };
    spawn(&mut command, link)
        .map_err(|error| failure(ErrorCode::Io, format!("cannot open Firefox: {error}"), INSTEAD))
}

/// What a person has named as their browser.
fn named_browser() -> Option<OsString> {
    front::env("BROWSER").filter(|browser| !browser.is_empty())
}

/// Firefox's program in `PATH`, under the names that Mozilla, Debian and Flatpak give it.
fn firefox() -> Option<PathBuf> {
    let path = front::env("PATH").unwrap_or_default();
    let names = ["firefox", "firefox-esr", "firefox-developer-edition", "org.mozilla.firefox"];
    let in_path =
        |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    names.into_iter().find_map(in_path)
}

fn spawn(command: &mut Command, address: &str) -> std::io::Result<Child> {
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_the_consoles_own() {
        let place = Place { signin: String::new(), console: "console.aws.amazon.com" };
        let at = |named: Option<&str>| destination(named, &place, "eu-west-1").ok();
        let home = "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1";
        assert_eq!(at(None).as_deref(), Some(home));
        assert_eq!(
            at(Some("s3")).as_deref(),
            Some("https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1")
        );
        for own in ["https://console.aws.amazon.com/x?y#z", "https://us-east-1.console.aws.amazon.com"] {
            assert_eq!(at(Some(own)).as_deref(), Some(own));
        }
        for other in [
            "",
            "S3",
            "http://console.aws.amazon.com/",
            "https://evil.test/console.aws.amazon.com",
            "https://evilconsole.aws.amazon.com/",
            "https://console.aws.amazon.com@evil.test/",
            "https://console.aws.amazon.com.evil.test/",
            "https://evil.test\\.console.aws.amazon.com/",
            "https://console.aws.amazon.com/\r\nx",
        ] {
            assert_eq!(at(Some(other)), None, "{other}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn whose_a_connection_is() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345\n   \
                     1: 0100007F:C0DE 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 12346\n";
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(owner(table, end(0xc0de)), Some(1001));
        assert_eq!(owner(table, end(1)), None);
        // By a socket of the other family.
        let table = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0000000000000000FFFF00000100007F:C0DE 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000 65534        0 12347\n";
        assert_eq!(owner(table, end(0xc0de)), Some(65534));
        assert_eq!(owner(table, end(0x1f90)), None);
    }
}
