//! Credentials that another program gives: a profile's `credential_process`, or the AWS CLI for what it alone knows.
//!
//! Source: "Sourcing credentials with an external process", AWS SDKs and Tools Reference Guide; `aws configure
//! export-credentials`, AWS CLI Command Reference.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use keyfob_core::message::{ErrorCode, Failure, Password, Session};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::failure;
use crate::front;
use crate::profile::command_words;
use crate::signing;

/// Carries the profiles for which a program was started already, a line each, to whatever that program starts.
const RESOLVING: &str = "KEYFOB_RESOLVING";
/// More than any credentials are, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;
/// A person may be asked by it.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// What comes before the profile in AWS's tools.
pub(super) const SHADOWING: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
];

/// What the AWS CLI has for a profile: of Identity Center, a console login, a web identity, an instance or a container.
///
/// # Errors
/// If it is not there or has none, and what it says then stands on stderr.
pub(super) fn exported(profile: &str, time_left: Option<Duration>) -> Result<Session, Failure> {
    let words = ["aws", "configure", "export-credentials", "--profile", profile, "--format", "process"];
    let resolving = front::env(RESOLVING).and_then(|value| value.into_string().ok());
    let what = "`aws configure export-credentials`";
    let hint = format!(
        "see what it says above: perhaps `aws sso login --profile {profile}` or `aws login --profile {profile}` is due, or the AWS CLI is older than version 2.9"
    );
    let start = Start { words: &words.map(str::to_owned), profile, what, hint: &hint, time_left };
    start.run(resolving.as_deref()).map_err(|error| match error.code {
        ErrorCode::NotFound => failure(
            ErrorCode::NotFound,
            format!("the profile {profile:?} is one for the AWS CLI, and there is no `aws` in PATH"),
            "install the AWS CLI, version 2: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
        ),
        _ => error,
    })
}

/// What a profile's `credential_process` prints. It is started without a shell, as AWS's tools do.
///
/// # Errors
/// If it cannot be started, fails, takes too long, or prints something else; what it says stands on stderr.
pub(super) fn process(command: &str, profile: &str, time_left: Option<Duration>) -> Result<Session, Failure> {
    let Some(words) = command_words(command) else {
        let message =
            format!("the credential_process of the profile {profile:?} has a quote that stays open");
        return Err(failure(ErrorCode::InvalidInput, message, "correct it in the AWS config file"));
    };
    let resolving = front::env(RESOLVING).and_then(|value| value.into_string().ok());
    let (what, hint) = ("the credential_process", "what it says about that stands above");
    Start { words: &words, profile, what, hint, time_left }.run(resolving.as_deref())
}

/// Refuses a profile for which a program was started that now asks for it: whoever waits for that program would wait for ever.
///
/// # Errors
/// [`ErrorCode::InvalidInput`], with the circle.
pub(super) fn refuse_circle(profile: &str) -> Result<(), Failure> {
    let resolving = front::env(RESOLVING).and_then(|value| value.into_string().ok());
    begun(profile, resolving.as_deref()).map(|_| ())
}

/// The profiles for which programs were started already, of which `profile` must be none.
fn begun<'a>(profile: &str, resolving: Option<&'a str>) -> Result<Vec<&'a str>, Failure> {
    let before: Vec<_> = resolving.unwrap_or_default().lines().collect();
    if !before.contains(&profile) {
        return Ok(before);
    }
    let circle = before.iter().copied().chain([profile]).collect::<Vec<_>>().join(" → ");
    Err(failure(
        ErrorCode::InvalidInput,
        format!(
            "the program that was started for the profile {profile:?} asks Keyfob for it again: {circle}"
        ),
        "let the profile's credential_process be `keyfob credential-process PROFILE` and nothing around it, or name another profile in it",
    ))
}

/// A program that is to be started.
struct Start<'a> {
    words: &'a [String],
    profile: &'a str,
    /// What it is, in a message.
    what: &'a str,
    /// What to do if it fails.
    hint: &'a str,
    time_left: Option<Duration>,
}

/// What it prints beside the credentials.
#[derive(Deserialize)]
struct Beside {
    #[serde(rename = "Version")]
    version: Option<u32>,
    #[serde(rename = "AccountId")]
    account_id: Option<String>,
}

impl Start<'_> {
    fn run(&self, resolving: Option<&str>) -> Result<Session, Failure> {
        let Self { words, profile, what, .. } = *self;
        let before = begun(profile, resolving)?;
        let Some((program, arguments)) = words.split_first() else {
            let message = format!("the credential_process of the profile {profile:?} is empty");
            return Err(failure(ErrorCode::InvalidInput, message, "correct it in the AWS config file"));
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        for name in SHADOWING {
            command.env_remove(name);
        }
        command.env(RESOLVING, before.into_iter().chain([profile]).collect::<Vec<_>>().join("\n"));
        let child = command.spawn().map_err(|error| {
            let code =
                if error.kind() == io::ErrorKind::NotFound { ErrorCode::NotFound } else { ErrorCode::Io };
            let message = format!("{program:?}, which the profile {profile:?} is to have its credentials from, cannot be started: {error}");
            failure(code, message, "correct the credential_process, or see that PATH has the program")
        })?;
        let (output, status) = self.wait(child)?;
        if !status.success() {
            let message = format!("{what} gave no credentials for the profile {profile:?}: {status}");
            return Err(failure(ErrorCode::Io, message, self.hint));
        }
        self.read(&output)
    }

    /// Its output and how it ended.
    fn wait(&self, child: Child) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), Failure> {
        let mut child = Ended(child);
        let end = Instant::now() + self.time_left.map_or(LONGEST, |left| left.min(LONGEST));
        let left = || end.saturating_duration_since(Instant::now());
        let failed = |error: io::Error| {
            let Self { what, profile, .. } = *self;
            failure(ErrorCode::Io, format!("{what} of the profile {profile:?} cannot be read: {error}"), "")
        };
        let (sender, receiver) = mpsc::channel();
        if let Some(stdout) = child.0.stdout.take() {
            // What the program has started may keep its output open after it was ended: this is left to itself then.
            thread::spawn(move || {
                // Of its final size at once: a vector that grows leaves its beginnings behind.
                let mut output = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + 64));
                let read = stdout.take(MAX_OUTPUT as u64 + 1).read_to_end(&mut output);
                let _ = sender.send(read.map(|_| output));
            });
        }
        let output = receiver.recv_timeout(left()).map_err(|_| self.late())?.map_err(failed)?;
        if output.len() > MAX_OUTPUT {
            return Err(self.no_credentials("more than 64 KiB"));
        }
        let mut pause = Duration::from_millis(1);
        loop {
            match child.0.try_wait().map_err(failed)? {
                Some(status) => return Ok((output, status)),
                None if left().is_zero() => return Err(self.late()),
                None => thread::sleep(pause.min(left())),
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn late(&self) -> Failure {
        let Self { what, profile, .. } = *self;
        let message = format!("{what} of the profile {profile:?} has not answered in time");
        failure(
            ErrorCode::Io,
            message,
            "see what it waits for by running it alone, or give it time: --timeout 5m",
        )
    }

    fn no_credentials(&self, printed: &str) -> Failure {
        let Self { what, profile, .. } = *self;
        let message = format!("{what} of the profile {profile:?} printed {printed}, and no credentials");
        failure(
            ErrorCode::InvalidInput,
            message,
            "it must print the JSON of a credential_process, and nothing else",
        )
    }

    fn read(&self, output: &[u8]) -> Result<Session, Failure> {
        let beside: Beside =
            serde_json::from_slice(output).map_err(|_| self.no_credentials("something else"))?;
        if beside.version != Some(1) {
            return Err(self.no_credentials("another Version than 1"));
        }
        let session = signing::Session::parse(output).map_err(|error| {
            let Self { what, profile, .. } = *self;
            Failure { message: format!("{what} of the profile {profile:?}: {}", error.message), ..error }
        })?;
        let text = |secret: &keyfob_core::secret::Secret| {
            // It comes from a JSON string.
            Password(String::from_utf8_lossy(secret.expose()).into_owned())
        };
        Ok(Session {
            secret_access_key: text(&session.secret_access_key),
            session_token: session.session_token.as_ref().map(text),
            expires_at: session.expires_at,
            account_id: beside.account_id.filter(|id| !id.is_empty()),
            access_key_id: session.access_key_id,
        })
    }
}

/// A child that does not outlive its use.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has ended already where all went well.
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLE000000000","SecretAccessKey":"s","SessionToken":"t","Expiration":"2030-01-02T03:04:05Z","AccountId":"123456789012"}"#;

    fn run(script: &str, resolving: Option<&str>, time_left: Duration) -> Result<Session, Failure> {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        Start {
            words: &words,
            profile: "p",
            what: "the credential_process",
            hint: "",
            time_left: Some(time_left),
        }
        .run(resolving)
    }

    #[test]
    fn a_program_gives_credentials_or_a_reason() {
        #[track_caller]
        fn check(script: &str, code: ErrorCode, expected: &str) {
            let error = run(script, None, Duration::from_secs(60)).unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
            assert!(error.message.contains(expected), "{}", error.message);
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
        let session = run(&format!("echo '{GOOD}'"), Some("q"), Duration::from_secs(60)).unwrap();
        assert_eq!(session.access_key_id, "ASIAEXAMPLE000000000");
        assert_eq!(
            (session.secret_access_key.0.as_str(), session.session_token.unwrap().0.as_str()),
            ("s", "t")
        );
        assert_eq!(
            (session.expires_at, session.account_id.as_deref()),
            (Some(1_893_553_445), Some("123456789012"))
        );
        use ErrorCode::{InvalidInput, Io};
        check(
            "exit 3",
            Io,
            "the credential_process gave no credentials for the profile \"p\": exit status: 3",
        );
        check(&format!("echo '{GOOD}'; exit 1"), Io, "exit status: 1");
        check("echo s3cr3t", InvalidInput, "printed something else, and no credentials");
        check("echo '{\"Version\":2}'", InvalidInput, "another Version than 1");
        check("echo '{\"Version\":1,\"AccessKeyId\":\"s3cr3t\"}'", InvalidInput, "these are no credentials");
        let late = GOOD.replace("2030-01-02T03:04:05Z", "s3cr3t");
        check(&format!("echo '{late}'"), InvalidInput, "the Expiration is no time");
        check(
            "while :; do echo s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t; done",
            InvalidInput,
            "more than 64 KiB",
        );
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // The child of its own keeps the output open.
        let script = format!("echo $$ > {}; sleep 10 & exec sleep 100", pid.display());
        let begin = Instant::now();
        // Time enough to write the number.
        let error = run(&script, None, Duration::from_secs(2)).unwrap_err();
        assert!(error.message.ends_with("has not answered in time"), "{}", error.message);
        assert!(begin.elapsed() < Duration::from_secs(60));
        let pid = std::fs::read_to_string(pid).unwrap();
        let there = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status().unwrap();
        assert!(!there.success(), "it runs on");
    }

    #[test]
    fn nobody_asks_for_himself() {
        let minute = Duration::from_secs(60);
        let error = run("echo", Some("a\np\nb"), minute).unwrap_err();
        assert!(error.message.ends_with("asks Keyfob for it again: a → p → b → p"), "{}", error.message);
        // The child is told of all, and of nothing that would come before its profile.
        let script = format!(
            "test \"$(echo $KEYFOB_RESOLVING)\" = 'a p' && test -z \"$AWS_ACCESS_KEY_ID\" && echo '{GOOD}'"
        );
        run(&script, Some("a"), minute).unwrap();
        let words = ["/no/such/program".to_owned()];
        let start = Start { words: &words, profile: "p", what: "", hint: "", time_left: None };
        assert_eq!(start.run(None).unwrap_err().code, ErrorCode::NotFound);
    }
}
