//! `keyfob serve`: hands a profile's credentials to programs that ask a container's endpoint.
//!
//! Every SDK of AWS asks it by itself when the two variables are set, and again before the credentials end.
//!
//! Source: "Container credential provider", AWS SDKs and Tools Reference Guide; botocore's `ContainerMetadataFetcher`, which waits
//! two seconds for an answer.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use data_encoding::HEXLOWER;
use keyfob_core::message::{ErrorCode, Failure, Session};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::args::Global;
use super::client::Client;
use super::{complete, output, time};
use crate::aws_files::AwsFiles;
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::loopback::{Answer, Loopback, Request};
use crate::paths::{self, Lock};
use crate::profile::Profile;
use crate::service;
use crate::session::{self, Want, child};
use crate::signals;

/// Where the credentials are.
const PATH: &str = "/credentials";
/// How the SDKs know where, and by what token.
const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// How long an answer waits for new credentials while the old ones are good: the SDKs wait two seconds.
const WHILE_GOOD: Duration = Duration::from_secs(1);
/// How long it waits where there are none: for a touch.
const WHILE_NONE: Duration = Duration::from_secs(60);
/// How long after a failure nobody is asked again: SDKs try several times in a row, and each would be another prompt.
const AFTER_FAILURE: Duration = Duration::from_secs(15);
/// Credentials that end so soon, in seconds, are as good as ended.
const ENDED: u64 = 5;
/// Length of a token, in bytes.
const TOKEN_LEN: u64 = 64;
/// What is said of credentials that have no end: then they are asked for again.
const UNENDING: u64 = 3600;
/// What gives the default profile credentials of its own: before those of this endpoint.
const OWN: [&str; 7] = [
    "aws_access_key_id",
    "credential_process",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
    "login_session",
];

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    profile: super::profile::Options,
    /// Port on 127.0.0.1; without it any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File for the token that programs must show; without it one of its own, which goes at the end
    #[arg(long, value_name = "FILE", add = complete::files())]
    token_file: Option<PathBuf>,
    /// Program to run with it, and its arguments: the end of that is the end of this
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode, Failure> {
    crate::harden::process();
    let name = super::profile::name(options.profile.profile.as_deref())?;
    let profile = crate::profile::resolve(&name, &front::env)?;
    // What cannot be is said before anybody is asked for a touch.
    let server = Loopback::bind(options.port).map_err(|error| {
        let hint = if options.port == 0 { "" } else { "give another --port, or leave it out" };
        failure(ErrorCode::Io, format!("cannot listen on port {} of 127.0.0.1: {error}", options.port), hint)
    })?;
    let token = token()?;
    let file = TokenFile::write(options.token_file.as_deref(), &token)?;
    let keeper = Arc::new(Keeper {
        global: global.clone(),
        profile,
        want: options.profile.how.want(),
        state: Mutex::default(),
        turn: Condvar::new(),
    });
    keeper.fill(&mut Client::new(global)?)?;

    let port = server.port();
    let uri = format!("http://127.0.0.1:{port}{PATH}");
    let handler = {
        let (keeper, token) = (Arc::clone(&keeper), token.clone());
        move |request: &Request, _| answer(request, port, &token, || keeper.current())
    };
    let Some((program, arguments)) = options.command.split_first() else {
        output::line(&format!("export {URI}={uri}"))?;
        output::line(&format!("export {TOKEN_FILE}={}", quoted(&file.path)?))?;
        output::note(global.quiet, "Set these where a program is to have the credentials. Ctrl-C ends it.");
        server.serve(handler);
        return Ok(Exit::Ok.into());
    };
    let mut command = Command::new(program);
    command.args(arguments);
    child::clear(&mut command, &keeper.profile);
    command.env(URI, &uri).env(TOKEN_FILE, &file.path);
    // Older SDKs know no file.
    command.env(TOKEN, token.as_str());
    if default_has_its_own() {
        output::note(
            global.quiet,
            "The profile default has credentials of its own, which the program would use: it is not shown AWS's files.",
        );
        let nothing = if cfg!(windows) { "NUL" } else { "/dev/null" };
        command.env("AWS_CONFIG_FILE", nothing).env("AWS_SHARED_CREDENTIALS_FILE", nothing);
    }
    thread::spawn(move || server.serve(handler));
    let code = super::exec::run_child(command, program, global.json);
    drop(file);
    code
}

/// Whether programs without a profile have credentials before they come to this endpoint.
fn default_has_its_own() -> bool {
    AwsFiles::open(front::env)
        .is_ok_and(|files| OWN.iter().any(|name| files.setting("default", name).is_some()))
}

/// 256 random bits.
fn token() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| failure(ErrorCode::Internal, error, ""))?;
    Ok(Zeroizing::new(HEXLOWER.encode(&*bytes)))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or_else(|| {
        failure(
            ErrorCode::InvalidInput,
            "the token's file has a name that no shell could take",
            "give --token-file",
        )
    })?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Answers one request.
fn answer(
    request: &Request,
    port: u16,
    token: &str,
    current: impl FnOnce() -> Result<Session, Failure>,
) -> Answer {
    let refused =
        |status, code: &str, message: &str| json_of(status, &json!({ "Code": code, "Message": message }));
    // A web page comes with its origin, or by a name of its own.
    if !request.is_for(port) || request.has("origin") {
        return refused(403, "Forbidden", "this is for programs on this computer");
    }
    if request.target != PATH {
        return refused(404, "NotFound", "there is nothing here");
    }
    if request.method != "GET" {
        return refused(405, "MethodNotAllowed", "credentials are fetched by GET");
    }
    let shown = request.header("authorization").unwrap_or_default();
    if !bool::from(shown.as_bytes().ct_eq(token.as_bytes())) {
        return refused(403, "AccessDenied", "the token is not that of this server");
    }
    match current() {
        Ok(session) => {
            let end = session.expires_at.unwrap_or_else(|| service::unix_time() + UNENDING);
            json_of(
                200,
                &json!({
                    "AccessKeyId": session.access_key_id,
                    "SecretAccessKey": session.secret_access_key,
                    "Token": session.session_token.as_ref().map_or("", |token| token.0.as_str()),
                    "Expiration": time::rfc3339(end),
                    "AccountId": session.account_id,
                }),
            )
        }
        Err(error) => {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            refused(503, error.code.as_str(), &format!("keyfob: {}{hint}", error.message))
        }
    }
}

fn json_of(status: u16, body: &serde_json::Value) -> Answer {
    Answer {
        headers: vec![("content-type", "application/json".to_owned())],
        body: Zeroizing::new(body.to_string().into_bytes()),
        ..Answer::empty(status)
    }
}

/// Has credentials, and makes new ones when they are asked for and the old ones end soon.
struct Keeper {
    global: Global,
    profile: Profile,
    want: Want,
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    /// When it is to be made anew: Unix time in seconds.
    renewed_at: u64,
    making: bool,
    failed: Option<(Instant, Failure)>,
}

impl State {
    fn take(&mut self, session: Session) {
        let now = service::unix_time();
        let before = session::renewed_before_end(&session, now);
        self.renewed_at = session.expires_at.map_or(u64::MAX, |end| end.saturating_sub(before));
        self.session = Some(session);
        self.failed = None;
    }

    /// What is there, if it has not ended.
    fn good(&self) -> Option<&Session> {
        let now = service::unix_time();
        self.session.as_ref().filter(|session| session.expires_at.is_none_or(|end| end > now + ENDED))
    }
}

impl Keeper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the first ones.
    fn fill(&self, client: &mut Client<'_>) -> Result<(), Failure> {
        let session = session::of_profile(client, &self.profile, &self.want)?;
        self.state().take(session);
        Ok(())
    }

    /// Credentials that are good; of all who ask at once nobody has another prompt shown.
    fn current(self: &Arc<Self>) -> Result<Session, Failure> {
        let begin = Instant::now();
        let mut state = self.state();
        loop {
            let due = service::unix_time() >= state.renewed_at;
            match state.good() {
                Some(session) if !due => return Ok(session.clone()),
                good => {
                    let good = good.cloned();
                    let patience = if good.is_some() { WHILE_GOOD } else { WHILE_NONE };
                    let failed = state.failed.as_ref().filter(|(when, _)| when.elapsed() < AFTER_FAILURE);
                    match (failed, good) {
                        (Some(_), Some(session)) => return Ok(session),
                        (Some((_, error)), None) => return Err(error.clone()),
                        (None, good) if begin.elapsed() >= patience => {
                            let text = "nobody has touched the key yet";
                            return good.ok_or_else(|| {
                                failure(ErrorCode::TouchTimeout, text, "touch it, and ask again")
                            });
                        }
                        (None, _) => {}
                    }
                    if !state.making {
                        state.making = true;
                        self.make();
                    }
                    let left = patience.saturating_sub(begin.elapsed());
                    state = self.turn.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Makes new ones, in a thread of its own.
    fn make(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        thread::spawn(move || {
            // The time of `--timeout` is that of each, not of the server's life.
            keeper.global.begin_anew();
            let made = Client::new(&keeper.global)
                .and_then(|mut client| session::of_profile(&mut client, &keeper.profile, &keeper.want));
            let mut state = keeper.state();
            state.making = false;
            match made {
                Ok(session) => state.take(session),
                Err(error) => {
                    output::failure(&error, keeper.global.json);
                    state.failed = Some((Instant::now(), error));
                }
            }
            keeper.turn.notify_all();
        });
    }
}

/// The file with the token: its user's alone, locked while its server lives, and gone with it.
struct TokenFile {
    path: PathBuf,
    token: Zeroizing<String>,
    _locked: File,
    _removed: signals::AtEnd,
}

impl TokenFile {
    /// Writes it to `path`, or to one of its own.
    fn write(path: Option<&Path>, token: &Zeroizing<String>) -> Result<Self, Failure> {
        Self::write_below(&front::paths()?.cache, path, token)
    }

    fn write_below(cache: &Path, path: Option<&Path>, token: &Zeroizing<String>) -> Result<Self, Failure> {
        // One server at a time looks for its place: between looking and writing another could take it.
        let turn = Lock::acquire(&cache.join("serve.lock"))
            .map_err(|error| failure(error.code(), &error, "see that the folder can be written"))?;
        let path = match path {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            None => own_path(&cache.join("serve"))?,
        };
        let unwritten = |error: &dyn std::fmt::Display| {
            failure(
                ErrorCode::Io,
                format!("cannot write the token to {}: {error}", path.display()),
                "give another --token-file",
            )
        };
        if let Ok(other) = File::open(&path) {
            if !other.metadata().is_ok_and(|metadata| metadata.is_file()) {
                return Err(unwritten(&"it is no file"));
            }
            if matches!(other.try_lock(), Err(TryLockError::WouldBlock)) {
                return Err(unwritten(&"another server has its token there"));
            }
            // Only what such a server has left behind is replaced.
            let mut there = Vec::new();
            let read = other.take(TOKEN_LEN + 1).read_to_end(&mut there);
            let is_token = read.is_ok_and(|length| length as u64 == TOKEN_LEN)
                && there.iter().all(u8::is_ascii_hexdigit);
            if !is_token {
                let message = format!("{} is there already, and is no token", path.display());
                return Err(failure(ErrorCode::Exists, message, "give another --token-file"));
            }
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut new = tempfile::Builder::new()
            .prefix(".keyfob-")
            .tempfile_in(folder)
            .map_err(|error| unwritten(&error))?;
        // Shared: on Windows nobody could read what is locked otherwise. Whoever looks for a lock tries for one of his own.
        new.as_file().try_lock_shared().map_err(|error| unwritten(&error))?;
        new.write_all(token.as_bytes()).map_err(|error| unwritten(&error))?;
        let removed = signals::at_end({
            let (path, token) = (path.clone(), token.clone());
            move || remove(&path, &token)
        });
        let locked = new.persist(&path).map_err(|error| unwritten(&error.error))?;
        drop(turn);
        Ok(Self { path, token: token.clone(), _locked: locked, _removed: removed })
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        remove(&self.path, &self.token);
    }
}

/// Removes the file if it is that of this token: somebody may have removed it, and another server have put its own there.
fn remove(path: &Path, token: &str) {
    let is_own =
        std::fs::read(path).map(Zeroizing::new).is_ok_and(|text| text.as_slice() == token.as_bytes());
    if is_own {
        // Whoever has removed it has done so.
        let _ = std::fs::remove_file(path);
    }
}

/// A new path in a folder of the user's alone, rid of what killed servers have left there.
fn own_path(folder: &Path) -> Result<PathBuf, Failure> {
    paths::private_folder(folder).map_err(|error| failure(error.code(), &error, "give --token-file"))?;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_left = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_left {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| failure(ErrorCode::Internal, error, ""))?;
    Ok(folder.join(format!("token-{}", HEXLOWER.encode(&bytes))))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn write(cache: &Path, path: Option<&Path>, token: &str) -> Result<TokenFile, Failure> {
        TokenFile::write_below(cache, path, &Zeroizing::new(token.to_owned()))
    }

    #[test]
    fn servers_do_not_take_each_others_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |token: &str| write(folder.path(), Some(&path), token);
        let first = write("one").unwrap();
        let second = write("two").err().unwrap();
        assert!(second.message.contains("another server"), "{}", second.message);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        drop(first);
        assert!(!path.exists());
        // What a killed one has left is replaced.
        std::fs::write(&path, "f".repeat(64)).unwrap();
        let third = write("three").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three");
        // Somebody removes it, and another has the place: that one's stays.
        std::fs::remove_file(&path).unwrap();
        let fourth = write("four").unwrap();
        drop(third);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "four");
        drop(fourth);
        // What is anything else is nobody's to replace.
        for content in ["", "precious", &"g".repeat(64), &"f".repeat(65)] {
            std::fs::write(&path, content).unwrap();
            let refused = write("five").err().unwrap();
            assert_eq!(refused.code, ErrorCode::Exists, "{content}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn servers_that_start_at_once_have_a_file_each_or_say_so() {
        const SERVERS: usize = 16;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let start = |path: Option<&Path>| {
            let barrier = Barrier::new(SERVERS);
            let write = &|number: usize| {
                barrier.wait();
                (number, write(folder.path(), path, &format!("token {number}")))
            };
            thread::scope(|scope| {
                let all: Vec<_> = (0..SERVERS).map(|number| scope.spawn(move || write(number))).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
            })
        };
        for _ in 0..20 {
            let all = start(None);
            for (number, file) in &all {
                let path = &file.as_ref().map_err(|error| &error.message).unwrap().path;
                assert_eq!(std::fs::read_to_string(path).unwrap(), format!("token {number}"));
            }
            let all = start(Some(&path));
            let have: Vec<_> =
                all.iter().filter(|(_, file)| file.is_ok()).map(|(number, _)| number).collect();
            assert_eq!(have.len(), 1);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("token {}", have[0]));
        }
    }
}
