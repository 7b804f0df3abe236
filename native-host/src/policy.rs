//! What a front end may ask for. A browser is not trusted with more than it shows to a person.
//!
//! The extension's code is checked by its store and updated without us; pages attack it all day. So this file,
//! not the extension, decides: a browser sees AWS accounts (and others that the user has named in the
//! configuration), has no clock of its own, learns of identities by their access key id alone, gets S3 object
//! links signed and nothing else, and changes accounts only: it adds those that are time-based and replaces none, and
//! deletes and renames what it sees, with a touch where the account wants one; a few a minute, and the desktop says so.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use keyfob_core::aws;
use keyfob_core::message::{self, Account, AccountKind, ErrorCode, Failure, Op, Request, Scheme};
use keyfob_core::s3::{self, Endpoint, EndpointKind, ParsedPresign};

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::failure;
use crate::prompt::printable;

/// How far a browser's `X-Amz-Date` may be from the host's clock, in seconds.
pub const CLOCK_TOLERANCE: u64 = 300;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caller {
    /// A person at the command line, or a program of theirs: everything.
    CommandLine,
    /// A browser's extension.
    Browser {
        /// Its id, as the browser gave it.
        extension: String,
    },
}

impl Caller {
    /// The caller's name in a prompt, where the program behind it is not known.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CommandLine => "keyfob",
            Self::Browser { .. } => "The browser",
        }
    }

    /// Whether it is a browser.
    #[must_use]
    pub fn is_browser(&self) -> bool {
        matches!(self, Self::Browser { .. })
    }
}

/// Refuses requests of another version of the protocol, and what the caller may never ask for.
///
/// # Errors
/// [`ErrorCode::UnsupportedVersion`], [`ErrorCode::Forbidden`].
pub fn check_request(client: &Client, request: &Request) -> Result<(), Failure> {
    if request.v != message::VERSION {
        return Err(failure(
            ErrorCode::UnsupportedVersion,
            format!("this host speaks version {} of the protocol, not {}", message::VERSION, request.v),
            "update Keyfob and its browser extension to the same release",
        ));
    }
    check(client, &request.op)?;
    check_key(client, request.key.as_deref())
}

/// Refuses what the caller may never ask for, whatever is on the key.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub fn check(client: &Client, op: &Op) -> Result<(), Failure> {
    if !client.caller.is_browser() {
        return Ok(());
    }
    match op {
        Op::Hello {} | Op::Keys {} | Op::Identities {} | Op::Unlock { .. } => Ok(()),
        // What of it may be signed, or fetched, `check_presign` says.
        Op::Presign { .. } | Op::PresignMany { .. } | Op::CheckLink { .. } => Ok(()),
        // Of which accounts, `may_see`.
        Op::ConfirmAccount { .. } | Op::DeleteAccount { .. } | Op::RenameAccount { .. } => Ok(()),
        // Of which kind, `check_added`.
        Op::AddAccount { overwrite: false, .. } => Ok(()),
        Op::AddAccount { .. } => Err(forbidden(
            "a browser may not replace an account",
            "give it another name, or delete the old one first",
        )),
        Op::Cancel { .. } | Op::Lock {} => Ok(()),
        // A login is offered to browsers alone, and to the one that knows its ticket.
        Op::TakeLogin { .. } => Ok(()),
        Op::Submitted { account, .. } if is_for_browsers(client, account, aws::login(account).is_some()) => {
            Ok(())
        }
        Op::Submitted { .. } => {
            Err(forbidden("a browser submits codes of the accounts that it may see", "use the command line"))
        }
        Op::Accounts { at: None, .. } | Op::Listing { at: None, .. } => Ok(()),
        Op::Code { at: None, next: false, .. } => Ok(()),
        Op::Accounts { .. } | Op::Listing { .. } | Op::Code { .. } => Err(forbidden(
            "a browser gets codes for now only, by this computer's clock",
            "use `keyfob code --at` for another time",
        )),
        _ => Err(forbidden(
            "a browser may change nothing on the key but accounts, nor have it calculate anything but codes and links",
            "use the command line: `keyfob --help`",
        )),
    }
}

/// Refuses a software key that the user has not chosen in the configuration or the environment: its touch is nobody's.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub fn check_key(client: &Client, asked: Option<&str>) -> Result<(), Failure> {
    // By its id, whatever name the user gave it.
    let chosen = client.config.choice(asked);
    let is_soft = chosen.as_deref().is_some_and(|chosen| chosen.starts_with("soft"));
    if client.caller.is_browser() && is_soft && chosen != client.config.choice(None) {
        return Err(forbidden(
            "a browser may not choose a software key",
            "choose it yourself: `key` in config.toml, or KEYFOB_KEY in the browser's environment",
        ));
    }
    Ok(())
}

/// Whether the client may see the account and have its code. Counter-based codes are not for browsers: they do not run
/// out, AWS has none, and asking for one changes the key.
#[must_use]
pub fn may_see(client: &Client, account: &Account) -> bool {
    may_see_named(client, account.kind == AccountKind::Totp, &account.name)
}

/// As [`may_see`], where no more is known of the account than its name and whether it is time-based.
#[must_use]
pub fn may_see_named(client: &Client, is_totp: bool, name: &str) -> bool {
    !client.caller.is_browser() || is_totp && is_for_browsers(client, name, aws::login(name).is_some())
}

/// Refuses an account that the caller may not put on a key: counter-based codes are not for browsers, and a page may not
/// give a name that reads as another one.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub fn check_added(client: &Client, is_totp: bool, name: &str) -> Result<(), Failure> {
    if !client.caller.is_browser() {
        return Ok(());
    }
    if !is_totp {
        return Err(forbidden(
            "a browser may add accounts that are time-based, and no others",
            "`keyfob oath uri` adds this one",
        ));
    }
    if printable(name) != name {
        return Err(forbidden(
            "the account's name has characters in it that do not show",
            "give it another name",
        ));
    }
    Ok(())
}

/// Refuses a name in place of the URI's that says another AWS login, or none where the URI's says one: what was read off
/// AWS's pages is saved as what it is, under whichever device's name. Both are whole names, as no key has cut them yet.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub fn check_given_name(client: &Client, of_uri: &str, given: &str) -> Result<(), Failure> {
    let whose = |name| aws::login(name).map(|login| (login.flow, login.account));
    if !client.caller.is_browser() || whose(of_uri).is_none_or(|uri| whose(given) == Some(uri)) {
        return Ok(());
    }
    Err(forbidden(
        "a browser may not give an AWS account the name of another account",
        "keep the name's end, the account, and choose another device's name before it",
    ))
}

/// When browsers last changed what is on a key. All browsers together: whoever has taken one over empties no key, nor
/// fills it, before somebody has seen it.
#[derive(Debug, Default)]
pub struct Changes(VecDeque<Instant>);

impl Changes {
    /// So many accounts may be added, deleted and renamed in [`Changes::TIME`].
    pub const MOST: usize = 10;
    /// See [`Changes::MOST`].
    pub const TIME: Duration = Duration::from_secs(60);

    /// Refuses one more change for now, if there were many.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`], with the time to wait.
    pub fn check(&mut self, client: &Client, now: Instant) -> Result<(), Failure> {
        self.0.retain(|then| now.saturating_duration_since(*then) < Self::TIME);
        match self.0.front() {
            Some(oldest) if client.caller.is_browser() && self.0.len() >= Self::MOST => {
                let pause = Self::TIME.saturating_sub(now.saturating_duration_since(*oldest));
                Err(failure(
                    ErrorCode::Busy,
                    format!("browsers have changed {} accounts within a minute", self.0.len()),
                    format!("try again in {} s, or use the command line", pause.as_secs() + 1),
                ))
            }
            _ => Ok(()),
        }
    }

    /// One was made.
    pub fn note(&mut self, client: &Client, now: Instant) {
        if client.caller.is_browser() {
            self.0.push_back(now);
        }
    }
}

/// Refuses a new name under which the caller could not see an account that it sees now.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub fn check_renamed(client: &Client, is_totp: bool, name: &str) -> Result<(), Failure> {
    check_added(client, is_totp, name)?;
    if may_see_named(client, is_totp, name) {
        return Ok(());
    }
    Err(forbidden(
        "a browser may give names of AWS accounts, and no others",
        "use `keyfob oath rename`, or allow the name in config.toml: [browser] allow_accounts = [\"…\"]",
    ))
}

fn is_for_browsers(client: &Client, name: &str, is_aws: bool) -> bool {
    is_aws || client.config.browser.allow_accounts.iter().any(|allowed| allowed == name)
}

/// Refuses links that the caller may not have signed. `now` is Unix time in seconds.
///
/// That the request is for S3, is query-signed, lasts at most seven days and has one date everywhere was
/// settled when it was parsed.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub fn check_presign(
    client: &Client,
    request: &ParsedPresign,
    scheme: Scheme,
    now: u64,
) -> Result<(), Failure> {
    if !client.caller.is_browser() {
        return Ok(());
    }
    if !matches!(request.method(), "GET" | "HEAD" | "PUT") {
        return Err(forbidden(
            format!("a browser may not have {} signed", request.method()),
            "GET, HEAD and PUT are possible; `keyfob presign --method` signs others",
        ));
    }
    if request.time().abs_diff(now) > CLOCK_TOLERANCE {
        return Err(forbidden(
            "the link's date is more than 5 minutes away from this computer's clock",
            "links begin to work when they are made; `keyfob presign --at` makes others",
        ));
    }
    if request.has_session_token() {
        return Err(forbidden("a browser may not have session tokens signed", "use `keyfob presign`"));
    }
    let parameter = |name: &str| name == s3::VERSION_ID || s3::RESPONSE_OVERRIDES.contains(&name);
    if let Some((name, _)) = request.parameters().iter().find(|(name, _)| !parameter(name)) {
        return Err(forbidden(
            format!("a browser may not have the parameter {name} signed"),
            "links to objects are possible, of a version and with headers of the answer; `keyfob presign` signs others",
        ));
    }
    // Of AWS's endpoints the popup makes links for one, and of other servers those that have the bucket in the path.
    let usual = match request.endpoint().kind() {
        EndpointKind::Other => !request.endpoint().is_virtual_hosted(),
        _ => Endpoint::aws(request.region()).is_ok_and(|usual| usual.authority() == request.authority()),
    };
    if !usual {
        return Err(forbidden(
            format!("a browser may not have links to {} signed", request.host()),
            "the region's own endpoint is possible; `keyfob presign` signs for others",
        ));
    }
    if let Some(header) = request.headers().iter().map(|(name, _)| name).find(|name| *name != "content-type")
    {
        return Err(forbidden(
            format!("a browser may not have the header {header} signed"),
            "host and content-type are possible; `keyfob presign` signs others",
        ));
    }
    let origin = format!("{}://{}", scheme.as_str(), request.authority());
    let allowed = if request.is_aws_host() {
        scheme == Scheme::Https
    } else {
        client.config.browser.allow_endpoints.contains(&origin)
    };
    if !allowed {
        return Err(forbidden(
            format!("a browser may not have links to {origin} signed"),
            "allow it in config.toml: [browser] allow_endpoints = [\"…\"]",
        ));
    }
    Ok(())
}

fn forbidden(message: impl ToString, hint: &str) -> Failure {
    failure(ErrorCode::Forbidden, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrowserConfig, Config};

    const ACCOUNT: &str = "Amazon Web Services:me@123456789012";

    fn browser() -> Client {
        let browser =
            BrowserConfig { allow_accounts: vec!["GitHub:me".to_owned()], ..BrowserConfig::default() };
        let config = Config { browser, ..Config::default() };
        Client::new(Caller::Browser { extension: "x".to_owned() }, config, |_| None)
    }

    #[test]
    fn a_browser_changes_a_few_accounts_a_minute() {
        let (browser, start) = (browser(), Instant::now());
        let line = Client { caller: Caller::CommandLine, ..browser.clone() };
        let mut changes = Changes::default();
        let at = |seconds| start.checked_add(Duration::from_secs(seconds)).unwrap();
        for seconds in 0..10 {
            changes.note(&line, at(seconds));
            assert!(changes.check(&browser, at(seconds)).is_ok());
            changes.note(&browser, at(seconds));
        }
        let refused = changes.check(&browser, at(20)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Busy);
        assert!(refused.hint.unwrap().contains("in 41 s"));
        assert!(changes.check(&line, at(20)).is_ok(), "a person at the command line changes what they like");
        assert!(changes.check(&browser, at(59)).is_err());
        assert!(changes.check(&browser, at(60)).is_ok());
        changes.note(&browser, at(60));
        assert!(changes.check(&browser, at(60)).is_err());
    }

    #[test]
    fn a_given_name_is_of_the_same_account() {
        #[track_caller]
        fn check(uri: &str, given: &str, fine: bool) {
            assert_eq!(check_given_name(&browser(), uri, given).is_ok(), fine, "{given:?} for {uri:?}");
            let line = Client { caller: Caller::CommandLine, ..browser() };
            assert!(check_given_name(&line, uri, given).is_ok());
        }
        let arn = "arn:aws:iam::123456789012:mfa/team/alice";
        check(ACCOUNT, ACCOUNT, true);
        check(ACCOUNT, "Amazon Web Services:me-2@123456789012", true);
        check(ACCOUNT, "Amazon Web Services:a-long-name-of-somebody-at-a-company-of-many@123456789012", true);
        check(ACCOUNT, "Amazon Web Services:me@210987654321", false);
        check(ACCOUNT, "Amazon Web Services:me", false);
        check(ACCOUNT, "AWS SSO:me", false);
        check(ACCOUNT, "GitHub:me", false);
        check(ACCOUNT, "", false);
        check(arn, "arn:aws:iam::123456789012:mfa/team/alice-2", true);
        check(arn, "arn:aws:iam::210987654321:mfa/team/alice", false);
        check("AWS SSO:alice", "AWS SSO:alice-2", true);
        check("AWS SSO:alice", ACCOUNT, false);
        check("AWS SSO:alice", "Bank:alice", false);
        // What is none of AWS's has whichever name.
        check("GitHub:me", "GitHub:me-2", true);
        check("GitHub:me", "Bank:me", true);
    }

    /// The fields that an operation must have.
    fn fields(name: &str) -> &'static str {
        match name {
            "code" | "delete-account" => r#""account": "Amazon Web Services:me@123456789012""#,
            "submit-code" => r#""account": "Amazon Web Services:me@123456789012", "purpose": """#,
            "submitted" => r#""account": "Amazon Web Services:me@123456789012", "valid_from": 0"#,
            "cancel" => r#""request": "a""#,
            "presign" => r#""canonical_request": """#,
            "presign-many" => r#""canonical_requests": []"#,
            "check-link" => r#""url": """#,
            "sign" => r#""access_key_id": "", "region": "", "service": "", "canonical_request": """#,
            "sign-policy" => r#""access_key_id": "", "signature": "SigV4", "policy": """#,
            "sign-v2" => r#""access_key_id": "", "string_to_sign": "", "host": """#,
            "signing-keys" => r#""access_key_id": "", "at": 0, "scopes": [], "purpose": """#,
            "unlock" => r#""password": """#,
            "add-account" => r#""uri": "", "touch": false"#,
            "confirm-account" => r#""account": "", "uri": """#,
            "add-identity" => r#""access_key_id": "", "secret_access_key": "", "touch": true"#,
            "delete-identity" => r#""access_key_id": """#,
            "rename-account" => r#""account": "", "to": """#,
            "verify" => r#""account": "", "code": """#,
            "hmac" => r#""account": "", "challenge": """#,
            "take-session" => {
                r#""question": "", "label": {"profile": "", "of": "", "made_by": ""}, "lasting": 0"#
            }
            "keep-session" => r#""lease": 0, "session": {"access_key_id": "", "secret_access_key": ""}"#,
            "offer-login" => r#""ticket": "", "url": "", "container": """#,
            "take-login" => r#""ticket": """#,
            "fail-session" => r#""lease": 0, "error": {"code": "cancelled", "message": ""}, "own": true"#,
            _ => "",
        }
    }

    fn op(name: &str, more: &str) -> Op {
        let all = [fields(name), more].into_iter().filter(|fields| !fields.is_empty());
        let json = format!(r#"{{"name": "{name}", {}}}"#, all.collect::<Vec<_>>().join(", "));
        serde_json::from_str(&json.replace(", }", "}")).unwrap_or_else(|error| panic!("{error} in {json}"))
    }

    /// All names that serde knows: it says them when it is given another.
    fn names() -> Vec<String> {
        let error = serde_json::from_str::<Op>(r#"{"name": "?"}"#).unwrap_err().to_string();
        let (_, names) = error.split_once("expected one of ").unwrap();
        names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn a_browser_gets_what_the_document_says_and_nothing_else() {
        let document = std::fs::read_to_string("../docs/protocol.md").unwrap();
        let names = names();
        assert!(names.len() >= 29, "{names:?}");
        for name in &names {
            let row = document.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
            let says = row.split('|').nth(4).unwrap().trim();
            let refused = check(&browser(), &op(name, "")).err();
            assert_eq!(refused.is_some(), says == "no", "{name}: {says:?}, {refused:?}");
            assert!(refused.is_none_or(|failure| failure.code == ErrorCode::Forbidden));
            let line = Client { caller: Caller::CommandLine, ..browser() };
            assert!(check(&line, &op(name, "")).is_ok(), "{name}");
        }
        let rows =
            document.lines().filter(|line| line.starts_with("| `") && !line.contains("`op.name`")).count();
        assert_eq!(rows, names.len(), "an operation stands in the table that there is not");
    }

    #[test]
    fn what_a_browser_may_ask_it_may_not_ask_in_every_way() {
        #[track_caller]
        fn check(name: &str, more: &str) {
            let refused = super::check(&browser(), &op(name, more)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Forbidden);
        }
        check("accounts", r#""at": 0"#);
        check("listing", r#""codes": true, "at": 0"#);
        check("code", r#""at": 0"#);
        check("code", r#""next": true"#);
        check("add-account", r#""overwrite": true"#);
    }

    #[test]
    fn names_that_a_browser_gives() {
        #[track_caller]
        fn check(is_totp: bool, name: &str, added: bool, renamed: bool) {
            assert_eq!(check_added(&browser(), is_totp, name).is_ok(), added, "{name:?}");
            assert_eq!(check_renamed(&browser(), is_totp, name).is_ok(), renamed, "{name:?}");
            let line = Client { caller: Caller::CommandLine, ..browser() };
            assert!(check_added(&line, is_totp, name).is_ok() && check_renamed(&line, is_totp, name).is_ok());
        }
        check(true, ACCOUNT, true, true);
        check(true, "arn:aws:iam::123456789012:mfa/alice", true, true);
        check(true, "AWS SSO:alice", true, true);
        check(true, "GitHub:me", true, true);
        // What others show, it may add, and does not see then.
        check(true, "GitHub:somebody", true, false);
        check(true, "Ünïcödé:zürich", true, false);
        check(false, ACCOUNT, false, false);
        // A name that reads as another, or as none.
        check(true, "AWS SSO:al\u{202e}ice", false, false);
        check(true, "AWS SSO:alice\u{200b}", false, false);
        check(true, "Git\u{1b}[2JHub:me", false, false);
        check(true, "GitHub:me\n", false, false);
    }
}
