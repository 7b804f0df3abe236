//! What each command does.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, stdin};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory as _;
use keyfob_core::message::{
    self, Answer, ErrorCode, Event, Failure, Key, Op, Password, Request, SignatureVersion,
};
use keyfob_core::oath::{DigitCount, Kind, OtpAuth, OtpAuthError};
use keyfob_core::secret::Secret;
use keyfob_core::softkey::SoftKey;
use serde_json::json;
use zeroize::Zeroizing;

use super::args::{self, Aws, Browser, Cli, Command, Global, Oath, Soft};
use super::client::{Client, text_as_it_is};
use super::clip;
use super::complete::{self, Dialect};
use super::copies;
use super::output;
use super::watch;
use crate::agent;
use crate::browser::{Browsers, State};
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::import::{self, Imported};
use crate::keychain;
use crate::paths::Paths;
use crate::policy::Caller;
use crate::prompt;
use crate::service;
use crate::soft::{Name, SoftError, Unlock};
use crate::vpcd;

pub(super) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let global = cli.global;
    let done = match cli.command {
        Command::Doctor(options) => return super::doctor::run(&global, &options).map(ExitCode::from),
        Command::List => list(&global),
        Command::Info => info(&global),
        Command::Code(code) | Command::Oath(Oath::Code(code)) => self::code(&global, code),
        Command::Oath(Oath::List) => accounts(&global, false, None),
        Command::Oath(Oath::Add(add)) => oath_add(&global, &add),
        Command::Oath(Oath::Uri(uri)) => {
            let text = if uri.clipboard {
                let uri = clipboard_uri()?;
                output::note(global.quiet, clip::STILL_THERE);
                uri
            } else {
                text(ask("the otpauth:// URI")?, "the otpauth:// URI")?
            };
            add_account(&global, text, &uri.write)
        }
        Command::Oath(Oath::Import(import)) => self::import(&global, &import),
        Command::Oath(Oath::Delete(delete)) => {
            let question = format!("Delete the account {} from the key, for good?", delete.name);
            consent(delete.force, &question)?;
            deleted(&global, Op::DeleteAccount { account: delete.name })
        }
        Command::Oath(Oath::Rename { name, to }) => {
            let op = Op::RenameAccount { account: name, to };
            global
                .one_key()
                .and_then(|key| written(&mut Client::new(&global)?, &global, key, "Renamed to", op))
        }
        Command::Oath(Oath::Verify(verify)) => self::verify(&global, verify),
        Command::Oath(Oath::Hmac(hmac)) => {
            let op = Op::Hmac { account: hmac.account, challenge: hmac.challenge };
            match Client::new(&global)?.ask(op)? {
                Answer::Hmac { response } if global.json => output::json(&json!({ "response": response })),
                Answer::Hmac { response } => output::line(&response.0),
                other => unexpected(other),
            }
        }
        Command::Oath(Oath::Reset { force }) => reset(&global, force),
        Command::Oath(Oath::Access(access)) => self::access(&global, &access),
        Command::Aws(Aws::Add(add)) => aws_add(&global, add),
        Command::Aws(Aws::Import(options)) => super::aws_import::run(&global, &options),
        Command::Aws(Aws::Identities) => identities(&global),
        Command::Aws(Aws::Whoami(options)) => super::whoami::run(&global, &options),
        Command::Aws(Aws::Delete(delete)) => {
            let question = format!("Delete the secret of {} from the key, for good?", delete.access_key_id);
            consent(delete.force, &question)?;
            deleted(&global, Op::DeleteIdentity { access_key_id: delete.access_key_id })
        }
        Command::Aws(Aws::Setup(options)) => {
            return super::aws_setup::run(&global, &options).map(ExitCode::from);
        }
        Command::Aws(Aws::Enroll(options)) => {
            return super::enroll::run(&global, &options).map(ExitCode::from);
        }
        Command::Aws(Aws::Resync(options)) => {
            return super::resync::run(&global, &options).map(ExitCode::from);
        }
        Command::Aws(Aws::Rotate(options)) => {
            return super::rotate::run(&global, &options).map(ExitCode::from);
        }
        Command::Exec(options) => return super::exec::run(&global, &options),
        Command::Env(options) => return super::environment::run(&global, &options).map(ExitCode::from),
        Command::CredentialProcess(options) => {
            return super::credential_process::run(&global, &options).map(ExitCode::from);
        }
        Command::Serve(options) => return super::serve::run(&global, &options),
        Command::Login(options) => return super::login::run(&global, &options).map(ExitCode::from),
        Command::Sessions(sessions) => return super::sessions::run(&global, &sessions).map(ExitCode::from),
        Command::Sign(options) => super::sign::run(&global, &options),
        Command::Presign(options) if options.batch.is_batch() => {
            return super::batch::run(&global, &options).map(ExitCode::from);
        }
        Command::Presign(options) => super::presign::run(&global, &options),
        Command::PresignPost(options) => super::presign_post::run(&global, &options),
        Command::Browser(browser) => self::browser(&global, browser),
        Command::Soft(soft) => self::soft(&global, soft),
        Command::Lock => lock(&global),
        Command::Agent(agent) => self::agent(&global, &agent),
        Command::Completions { shell } => {
            if let Some(dialect) = Dialect::of(shell) {
                return output::raw(dialect.script().as_bytes()).map(|()| Exit::Ok.into());
            }
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "keyfob", &mut script);
            output::raw(&script)
        }
        Command::Man { folder } => man(&global, &folder),
        Command::Complete { shell, words } => {
            complete::run(shell, &words);
            Ok(())
        }
        Command::HoldClipboard { clear_after } => clip::hold(clear_after),
    };
    done.map(|()| Exit::Ok.into())
}

/// An answer of another kind than its request's is a fault of ours, never the user's.
pub(super) fn unexpected<T>(_answer: Answer) -> Result<T, Failure> {
    Err(failure(
        ErrorCode::Internal,
        "the service answered something else than it was asked",
        "please report this",
    ))
}

fn list(global: &Global) -> Result<(), Failure> {
    match Client::new(global)?.ask(Op::Keys {})? {
        Answer::Keys { keys } if global.json => output::json(&keys),
        Answer::Keys { keys } if keys.is_empty() => {
            output::note(global.quiet, "No key is plugged in. (`keyfob soft list` shows software keys.)");
            Ok(())
        }
        Answer::Keys { keys } => output::keys(&keys),
        other => unexpected(other),
    }
}

/// Prints the accounts. The key is asked what it is where that is printed, too.
fn accounts(global: &Global, codes: bool, at: Option<u64>) -> Result<(), Failure> {
    let op = if global.json { Op::Accounts { codes, at } } else { Op::Listing { codes, at } };
    match Client::new(global)?.ask(op)? {
        Answer::Accounts { key, accounts } => output::json(&json!({ "key": key, "accounts": accounts })),
        Answer::Listing { accounts } => {
            if accounts.is_empty() {
                let text = "There are no accounts on this key. `keyfob oath add` puts one there.";
                output::note(global.quiet, text);
            }
            output::accounts(&accounts, codes)
        }
        other => unexpected(other),
    }
}

fn info(global: &Global) -> Result<(), Failure> {
    let mut client = Client::new(global)?;
    let (key, accounts) = match client.ask(Op::Accounts { codes: false, at: None })? {
        Answer::Accounts { key, accounts } => (key, accounts),
        other => return unexpected(other),
    };
    let identities = match client.ask(Op::Identities {})? {
        Answer::Identities { identities, .. } => identities,
        other => return unexpected(other),
    };
    if global.json {
        return output::json(&json!({
            "key": key,
            "accounts": accounts.len(),
            "identities": identities.len(),
            "used": accounts.len() + identities.len(),
        }));
    }
    output::line(&format!("key         {}", prompt::printable(&key.id)))?;
    output::line(&format!("reader      {}", prompt::printable(&key.label)))?;
    output::line(&format!("OATH        {}", key.version))?;
    if let Some(firmware) = &key.firmware {
        output::line(&format!("firmware    {}", prompt::printable(firmware)))?;
    }
    if let Some(form_factor) = &key.form_factor {
        output::line(&format!("form        {}", prompt::printable(form_factor)))?;
    }
    if !key.enabled.is_empty() {
        output::line(&format!("enabled     {}", prompt::printable(&key.enabled.join(", "))))?;
    }
    output::line(&format!("accounts    {}", accounts.len()))?;
    output::line(&format!("identities  {}", identities.len()))?;
    let used = accounts.len() + identities.len();
    match key.slots {
        Some(slots) => output::line(&format!("used        {used} of {slots}")),
        None => output::line(&format!("used        {used}")),
    }
}

fn code(global: &Global, code: args::Code) -> Result<(), Failure> {
    if code.watch {
        return watch(global);
    }
    let clip = code.clip;
    if clip && code.accounts.len() != 1 {
        return Err(failure(
            ErrorCode::InvalidInput,
            "one code fits on the clipboard, and no more",
            "name one account with --clip",
        ));
    }
    if clip {
        clip::check()?;
    }
    if code.accounts.is_empty() {
        return accounts(global, true, code.at);
    }
    let mut client = Client::new(global)?;
    let mut codes = Vec::new();
    for account in code.accounts {
        match client.ask(Op::Code {
            account,
            at: code.at,
            purpose: None,
            fresh: code.fresh,
            next: code.next,
        })? {
            Answer::Code { account, code: calculated } => {
                let late = calculated.valid_until.is_some_and(|until| until <= service::unix_time());
                if code.at.is_none() && late {
                    return Err(failure(
                        ErrorCode::TouchTimeout,
                        format!("the code of {account} has run out while the key waited"),
                        "ask for another",
                    ));
                }
                if calculated.submitted {
                    let text = format!(
                        "AWS has had this code of {account}, and takes none twice: --fresh waits for the next."
                    );
                    output::note(global.quiet, &text);
                }
                codes.push((account, calculated));
            }
            other => return unexpected(other),
        }
    }
    // One code stands alone, for scripts; several have their names.
    match codes.as_slice() {
        [(account, code)] if clip => copied(global, account, &code.value),
        [(account, code)] if global.json => output::json(&json!({ "account": account, "code": code })),
        [(_, code)] => output::line(&code.value),
        several if global.json => {
            let all: Vec<_> =
                several.iter().map(|(account, code)| json!({ "account": account, "code": code })).collect();
            output::json(&all)
        }
        several => output::rows(
            &several
                .iter()
                .map(|(account, code)| vec![account.clone(), code.value.clone()])
                .collect::<Vec<_>>(),
        ),
    }
}

fn watch(global: &Global) -> Result<(), Failure> {
    if global.json {
        return Err(failure(
            ErrorCode::InvalidInput,
            "a live view is for people",
            "leave --json or --watch away",
        ));
    }
    let (key, agent) = (global.one_key()?, global.agent());
    watch::run(move || {
        // The view itself asks for the password.
        let desk = front::desk(Caller::CommandLine, agent)?;
        Ok(move |other: Option<String>, op, events: &mut dyn FnMut(Event)| {
            let key = other.or_else(|| key.clone());
            let request = Request { v: message::VERSION, id: "watch".to_owned(), key, op };
            front::ask(&*desk, request, None, events)
        })
    })
}

fn copied(global: &Global, account: &str, code: &str) -> Result<(), Failure> {
    clip::copy(code)?;
    let seconds = clip::CLEAR_AFTER.as_secs();
    if global.json {
        return output::json(&json!({ "account": account, "copied": true, "cleared_after": seconds }));
    }
    let text =
        format!("The code of {account} is on the clipboard, and cleared there after {seconds} seconds.");
    output::note(global.quiet, &text);
    Ok(())
}

/// The URI of the one account that is on the clipboard, as text or as a picture.
fn clipboard_uri() -> Result<Zeroizing<String>, Failure> {
    let accounts = import::read(&clip::paste()?, &mut |_| None).map_err(|error| {
        failure(ErrorCode::InvalidInput, format!("the clipboard: {error}"), "copy it again")
    })?;
    match accounts.as_slice() {
        [imported] => Ok(imported.account.to_uri()),
        several => Err(failure(
            ErrorCode::InvalidInput,
            format!("there are {} accounts on the clipboard, not one", several.len()),
            "add them with `keyfob oath import --clipboard`",
        )),
    }
}

/// A secret from stdin if something is piped in, from the terminal otherwise.
fn ask(what: &str) -> Result<Secret, Failure> {
    // Nothing is locked here: it is the command that lacks something.
    prompt::secret(what)
        .map_err(|error| Failure { code: ErrorCode::InvalidInput, ..front::prompt_failure(&error) })
}

fn text(secret: Secret, what: &str) -> Result<Zeroizing<String>, Failure> {
    match std::str::from_utf8(secret.expose()) {
        Ok(text) if text.trim().is_empty() => Err(failure(
            ErrorCode::InvalidInput,
            format!("nothing was given for {what}"),
            "type it, or pipe it in as one line",
        )),
        Ok(text) => Ok(Zeroizing::new(text.trim().to_owned())),
        Err(_) => Err(failure(ErrorCode::InvalidInput, format!("{what} is not UTF-8 text"), "copy it again")),
    }
}

fn oath_add(global: &Global, add: &args::Add) -> Result<(), Failure> {
    /// More than any site gives, in bytes. (A key keeps 64 of them and a hash of the rest.)
    const MAX_NAME: usize = 512;
    let invalid = |message: &str, hint: &str| Err(failure(ErrorCode::InvalidInput, message, hint));
    let (issuer, account) = match add.name.split_once(':') {
        Some(("", _)) => {
            return invalid("the issuer before the colon is empty", "give ISSUER:ACCOUNT or ACCOUNT");
        }
        Some((issuer, account)) => (Some(issuer), account),
        None => (None, add.name.as_str()),
    };
    if account.trim().is_empty() {
        return invalid("the account's name is empty", "give ISSUER:ACCOUNT or ACCOUNT");
    }
    if add.name.len() > MAX_NAME {
        let length = add.name.len();
        return invalid(
            &format!("the account's name has {length} bytes"),
            &format!("give one of {MAX_NAME} at most"),
        );
    }
    let what = format!("the secret of {} (base32)", add.name);
    let secret = text(ask(&what)?, "the secret")?;
    let broken = |error: &OtpAuthError| {
        failure(ErrorCode::InvalidInput, error, "copy the secret again from where it is shown")
    };
    let mut account =
        OtpAuth::totp(issuer.map(str::to_owned), account.to_owned(), &secret).map_err(|e| broken(&e))?;
    account.algorithm = add.algorithm.into();
    account.digits =
        DigitCount::new(add.digits).map_err(|error| failure(ErrorCode::InvalidInput, error, ""))?;
    account.period = add.period;
    if let Some(counter) = add.hotp {
        (account.kind, account.period, account.counter) = (Kind::Hotp, 0, counter);
    }
    add_account(global, account.to_uri(), &add.write)
}

fn add_account(global: &Global, uri: Zeroizing<String>, write: &args::Write) -> Result<(), Failure> {
    let uri = Password(uri.as_str().to_owned());
    let op = Op::AddAccount { uri, touch: write.touch, overwrite: write.force, account: None };
    copies::to_each(global, write.copies.number, |client, key| {
        written(client, global, key, "Added", op.clone())
    })
}

/// A file, or stdin for `-`; a little more than an import takes at most, so that too large is seen to be so.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let most = u64::try_from(import::MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        front::unbuffered_stdin().and_then(|stdin| stdin.take(most).read_to_end(&mut bytes))
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(failure(
            ErrorCode::Io,
            format!("cannot read {}: {error}", path.display()),
            "name another file",
        )),
    }
}

fn import(global: &Global, args: &args::Import) -> Result<(), Failure> {
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() { stdin.as_slice() } else { args.files.as_slice() };
    let mut import = import::Import::new();
    let broken = |error: &dyn std::fmt::Display| {
        failure(ErrorCode::InvalidInput, error, "nothing was added; docs/import.md lists what can be read")
    };
    let clipboard = [PathBuf::from("the clipboard")];
    let files = if args.clipboard { clipboard.as_slice() } else { files };
    for path in files {
        let bytes = if args.clipboard { clip::paste()? } else { read_file(path)? };
        import
            .add(&bytes, &mut |what| prompt::typed_secret(what).ok())
            .map_err(|error| broken(&format!("{}: {error}", path.display())))?;
    }
    let accounts = import.finish().map_err(|error| broken(&error))?;
    if args.clipboard {
        output::note(global.quiet, clip::STILL_THERE);
    }
    // Those that are on one key already may not be on another.
    copies::to_each(global, args.write.copies.number, |client, key| {
        import_to(client, global, key, args, &accounts)
    })
}

/// Puts accounts on one key.
fn import_to(
    client: &mut Client<'_>,
    global: &Global,
    key: Option<String>,
    args: &args::Import,
    accounts: &[Imported],
) -> Result<(), Failure> {
    let name = |account: &OtpAuth| account.id().map(|id| id.name(account.kind)).unwrap_or_default();

    let (key, there) = match client.ask_key(key, Op::Accounts { codes: false, at: None })? {
        Answer::Accounts { key, accounts } => (key, accounts),
        other => return unexpected(other),
    };
    let is_there = |account: &OtpAuth| there.iter().any(|other| other.name == name(account));
    let double: Vec<String> =
        accounts.iter().filter(|imported| is_there(&imported.account)).map(|i| name(&i.account)).collect();
    let accounts: Vec<_> =
        accounts.iter().filter(|imported| !(args.skip && is_there(&imported.account))).collect();
    if !args.skip && !double.is_empty() && !args.write.force {
        return Err(Failure {
            candidates: double,
            ..failure(
                ErrorCode::Exists,
                "accounts of these names are on the key already; nothing was added",
                "leave them with --skip, or replace them with --force",
            )
        });
    }
    let names: Vec<String> = accounts.iter().map(|imported| name(&imported.account)).collect();
    if !args.dry_run {
        // One key for all of them, whatever is plugged in meanwhile.
        for (done, imported) in accounts.iter().enumerate() {
            let uri = Password(imported.account.to_uri().as_str().to_owned());
            let op =
                Op::AddAccount { uri, touch: args.write.touch, overwrite: args.write.force, account: None };
            client.ask_key(Some(key.id.clone()), op).map_err(|failure| Failure {
                message: format!(
                    "{}; {done} of {} accounts were added before that",
                    failure.message,
                    names.len()
                ),
                ..failure
            })?;
        }
    }
    if global.json {
        return output::json(&json!({ "key": key, "accounts": names, "added": !args.dry_run }));
    }
    let verb = if args.dry_run { "Would add" } else { "Added" };
    names.iter().for_each(|name| output::note(global.quiet, &format!("{verb} {name}.")));
    if names.is_empty() {
        output::note(global.quiet, "There was nothing to add.");
    }
    Ok(())
}

fn aws_add(global: &Global, add: args::AwsAdd) -> Result<(), Failure> {
    // What is wrong with the id is said before the secret is asked for.
    keyfob_core::identity::IdentityName::new(&add.access_key_id, SignatureVersion::SigV4)
        .map_err(|error| failure(ErrorCode::InvalidInput, error, ""))?;
    let what = format!("the secret access key of {}", add.access_key_id);
    let secret = text(ask(&what)?, "the secret access key")?;
    let secret_access_key = Password(secret.as_str().to_owned());
    let versions = add.signature.versions();
    let op = |signature| Op::AddIdentity {
        access_key_id: add.access_key_id.clone(),
        signature,
        secret_access_key: secret_access_key.clone(),
        touch: !add.no_touch,
        overwrite: add.force,
    };
    copies::to_each(global, add.copies.number, |client, key| {
        if versions.len() > 1 {
            has_room(client, key.clone(), &add.access_key_id, versions)?;
        }
        let mut done = None;
        for &signature in versions {
            written(client, global, key.clone(), "Added", op(signature)).map_err(|error| match done {
                Some(done) => Failure {
                    message: format!("{}; the secret for {} is on the key", error.message, made_for(done)),
                    ..error
                },
                None => error,
            })?;
            done = Some(signature);
        }
        Ok(())
    })
}

/// Refuses what would be done by half: that a key, if it tells how many secrets it holds, has no room for all of these.
fn has_room(
    client: &mut Client<'_>,
    key: Option<String>,
    access_key_id: &str,
    versions: &[SignatureVersion],
) -> Result<(), Failure> {
    let (slots, there) = match client.ask_key(key.clone(), Op::Identities {})? {
        Answer::Identities { key: Key { slots: Some(slots), .. }, identities } => (slots, identities),
        Answer::Identities { .. } => return Ok(()),
        other => return unexpected(other),
    };
    let accounts = match client.ask_key(key, Op::Listing { codes: false, at: None })? {
        Answer::Listing { accounts } => accounts.len(),
        other => return unexpected(other),
    };
    let is_there = |signature: &&SignatureVersion| {
        there.iter().any(|there| there.access_key_id == access_key_id && there.signature == **signature)
    };
    let new = versions.len() - versions.iter().filter(is_there).count();
    let free = usize::from(slots).saturating_sub(accounts + there.len());
    if new <= free {
        return Ok(());
    }
    Err(failure(
        ErrorCode::NoSpace,
        format!("the key has room for {free} more, and these would be {new}: nothing was added"),
        "delete an account that is no longer used, or add it for one signature: --signature v4",
    ))
}

/// Signatures, as people call them.
fn made_for(signature: SignatureVersion) -> &'static str {
    match signature {
        SignatureVersion::HmacV1 => "Signature Version 2",
        _ => "SigV4",
    }
}

fn written(
    client: &mut Client<'_>,
    global: &Global,
    key: Option<String>,
    done: &str,
    op: Op,
) -> Result<(), Failure> {
    let signature = match &op {
        Op::AddIdentity { signature, .. } => Some(*signature),
        _ => None,
    };
    let answer = match client.ask_key(key.clone(), op.clone()) {
        // A script, which pipes the secret in, says --force.
        Err(error) if error.code == ErrorCode::Exists && stdin().is_terminal() => match replacing(op) {
            Some(op) => {
                let question = format!("{}. Replace it?", capitalized(&error.message));
                match prompt::confirm(&question) {
                    Ok(true) => client.ask_key(key, op)?,
                    Ok(false) => return Err(cancelled()),
                    Err(_) => return Err(error),
                }
            }
            None => return Err(error),
        },
        answer => answer?,
    };
    match answer {
        Answer::Written { written, replaced } if global.json => {
            let mut json = json!({ "written": written, "replaced": replaced });
            if let (Some(signature), Some(json)) = (signature, json.as_object_mut()) {
                json.insert("signature".to_owned(), json!(signature));
            }
            output::json(&json)
        }
        Answer::Written { written, replaced } => {
            let verb = if replaced { "Replaced" } else { done };
            let what = signature.map(|signature| format!(" for {}", made_for(signature))).unwrap_or_default();
            output::note(global.quiet, &format!("{verb} {written}{what}."));
            Ok(())
        }
        other => unexpected(other),
    }
}

/// The same, with what is there replaced; none where that was asked for already, or cannot be.
fn replacing(op: Op) -> Option<Op> {
    match op {
        Op::AddAccount { uri, touch, overwrite: false, account } => {
            Some(Op::AddAccount { uri, touch, overwrite: true, account })
        }
        Op::AddIdentity { access_key_id, signature, secret_access_key, touch, overwrite: false } => {
            Some(Op::AddIdentity { access_key_id, signature, secret_access_key, touch, overwrite: true })
        }
        _ => None,
    }
}

/// A message as the beginning of a text.
fn capitalized(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn deleted(global: &Global, op: Op) -> Result<(), Failure> {
    match Client::new(global)?.ask(op)? {
        Answer::Deleted { deleted } if global.json => output::json(&json!({ "deleted": deleted })),
        Answer::Deleted { deleted } => {
            output::note(global.quiet, &format!("Deleted {deleted}."));
            Ok(())
        }
        other => unexpected(other),
    }
}

/// Asks, unless the command line has said yes already.
pub(super) fn consent(given: bool, question: &str) -> Result<(), Failure> {
    if given {
        return Ok(());
    }
    match prompt::confirm(question) {
        Ok(true) => Ok(()),
        Ok(false) => Err(cancelled()),
        Err(_) => Err(no_consent()),
    }
}

fn no_consent() -> Failure {
    failure(
        ErrorCode::InvalidInput,
        "this wants a person's consent, and there is no terminal to ask on",
        "give --force",
    )
}

fn verify(global: &Global, verify: args::Verify) -> Result<(), Failure> {
    let code = match verify.code {
        Some(code) => Zeroizing::new(code),
        None => text(ask("the code")?, "the code")?,
    };
    let op = Op::Verify {
        account: verify.account,
        code: Password(code.as_str().to_owned()),
        window: verify.window,
        at: verify.at,
    };
    let right = match Client::new(global)?.ask(op)? {
        Answer::Verified { steps } => steps,
        other => return unexpected(other),
    };
    match right {
        Some(steps) if global.json => output::json(&json!({ "right": true, "steps": steps })),
        Some(_) => {
            output::note(global.quiet, "The code is right.");
            Ok(())
        }
        None => {
            Err(failure(ErrorCode::NotFound, "the code is not right at this time", "see --window and --at"))
        }
    }
}

fn reset(global: &Global, force: bool) -> Result<(), Failure> {
    let mut client = Client::new(global)?;
    let key = match client.ask(Op::Info {})? {
        Answer::Info { key } => key,
        other => return unexpected(other),
    };
    // What is shown and what is erased are one key, even if another is plugged in meanwhile.
    let id = Some(key.id.clone());
    if !force {
        output::note(false, &format!("On key {} ({}):", key.id, key.label));
        if key.locked {
            // A forgotten password is a reason to reset.
            output::note(false, "  It is locked: what is on it cannot be shown.");
        } else {
            if let Answer::Accounts { accounts, .. } =
                client.ask_key(id.clone(), Op::Accounts { codes: false, at: None })?
            {
                accounts.iter().for_each(|account| output::note(false, &format!("  {}", account.name)));
            }
            if let Answer::Identities { identities, .. } = client.ask_key(id.clone(), Op::Identities {})? {
                for identity in &identities {
                    output::note(false, &format!("  {} ({:?})", identity.access_key_id, identity.signature));
                }
            }
        }
        let answer =
            prompt::answer("All of it will be lost. Type `reset` to go on: ").map_err(|_| no_consent())?;
        if answer != "reset" {
            return Err(cancelled());
        }
    }
    match client.ask_key(id, Op::Reset {})? {
        Answer::Reset {} if global.json => output::json(&json!({ "reset": true })),
        Answer::Reset {} => {
            output::note(global.quiet, "The key is empty.");
            Ok(())
        }
        other => unexpected(other),
    }
}

fn cancelled() -> Failure {
    failure(ErrorCode::Cancelled, "nothing was done", "")
}

fn access(global: &Global, access: &args::Access) -> Result<(), Failure> {
    let mut client = Client::new(global)?;
    let op = match access {
        args::Access::Change { clear: true } => Op::ChangePassword { new: None },
        args::Access::Change { clear: false } => {
            let new = prompt::new_secret("the new password of the key").map_err(|error| Failure {
                code: ErrorCode::InvalidInput,
                ..front::prompt_failure(&error)
            })?;
            Op::ChangePassword { new: Some(text_as_it_is(&new, "the new password")?) }
        }
        args::Access::Remember => Op::RememberPassword {},
        args::Access::Forget => Op::ForgetPassword {},
    };
    let cleared = matches!(op, Op::ChangePassword { new: None });
    let done = match client.ask(op)? {
        Answer::PasswordChanged {} if cleared => "The key has no password.",
        Answer::PasswordChanged {} => "The password is set.",
        Answer::PasswordRemembered { in_file: true } => "The password is in an encrypted file.",
        Answer::PasswordRemembered { .. } => "The password is in the system's keychain.",
        Answer::PasswordForgotten { was_remembered: true } => "The password is forgotten.",
        Answer::PasswordForgotten { .. } => "The password was not remembered.",
        other => return unexpected(other),
    };
    if global.json {
        return output::json(&json!({ "done": done }));
    }
    output::note(global.quiet, done);
    Ok(())
}

fn identities(global: &Global) -> Result<(), Failure> {
    match Client::new(global)?.ask(Op::Identities {})? {
        Answer::Identities { key, identities } if global.json => {
            output::json(&json!({ "key": key, "identities": identities }))
        }
        Answer::Identities { identities, .. } if identities.is_empty() => {
            output::note(
                global.quiet,
                "There are no identities on this key. `keyfob aws add` puts one there.",
            );
            Ok(())
        }
        Answer::Identities { identities, .. } => output::identities(&identities),
        other => unexpected(other),
    }
}

fn browser(global: &Global, command: Browser) -> Result<(), Failure> {
    let broken = |error: crate::browser::BrowserError| failure(error.code(), &error, "");
    let paths = Paths::resolve(front::env).map_err(|error| failure(error.code(), &error, ""))?;
    let mut browsers = Browsers::of_user(front::env, &paths.data).map_err(broken)?;
    let (report, done) = match command {
        Browser::Install { browsers: names, dev } => (browsers.install(&names, dev).map_err(broken)?, true),
        Browser::Uninstall { browsers: names } => (browsers.uninstall(&names).map_err(broken)?, true),
        Browser::Status => (browsers.status().map_err(broken)?, false),
    };
    if global.json {
        return output::json(&report);
    }
    let mut shown = false;
    for status in &report.browsers {
        if !done && !status.present && status.state == State::Missing {
            continue;
        }
        shown = true;
        let state = match status.state {
            State::Ok if status.development => "can start keyfob, for the unpacked extension too",
            State::Ok => "can start keyfob",
            State::Missing => "cannot start keyfob",
            _ => "has a stale manifest: run `keyfob browser install` again",
        };
        output::line(&format!("{}: {state} ({})", status.title, status.manifest.display()))?;
    }
    if !shown {
        output::note(
            global.quiet,
            "No browser seems to be used here; name one: `keyfob browser install chrome`.",
        );
    }
    for note in &report.notes {
        output::note(global.quiet, note);
    }
    Ok(())
}

fn soft(global: &Global, command: Soft) -> Result<(), Failure> {
    let broken = |error: SoftError| failure(error.code(), &error, "");
    let files = front::soft_files()?;
    let parse = |name: &str| name.parse::<Name>().map_err(broken);
    match command {
        Soft::Create { name, keychain: in_keychain, firmware } => {
            let name = parse(&name)?;
            let random = |bytes: &mut [u8]| {
                getrandom::fill(bytes).map_err(|error| failure(ErrorCode::Internal, error, ""))
            };
            let (mut serial, mut salt) = ([0; 4], [0; 8]);
            random(&mut serial)?;
            random(&mut salt)?;
            // Eight digits, as real ones have, above those that were ever sold.
            let serial = 90_000_000 + u32::from_be_bytes(serial) % 10_000_000;
            let state = SoftKey::with_firmware(firmware, serial, salt)
                .to_bytes()
                .map_err(|error| failure(ErrorCode::Internal, error, "please report this"))?;
            if in_keychain {
                let keychain = keychain::system().map_err(|error| failure(error.code(), &error, ""))?;
                files.create(&name, Unlock::Keychain(&*keychain), &state).map_err(broken)?;
            } else {
                if files.list().map_err(broken)?.contains(&name) {
                    return Err(broken(SoftError::Exists(name)));
                }
                let what = format!("the passphrase of the software key {name}");
                let passphrase =
                    prompt::new_passphrase(&what, front::env, &mut |text| output::note(global.quiet, text))
                        .map_err(|error| front::prompt_failure(&error))?;
                files.create(&name, Unlock::Passphrase(&passphrase), &state).map_err(broken)?;
            }
            let id = format!("soft:{name}");
            if global.json {
                return output::json(&json!({ "key": id, "serial": serial }));
            }
            output::note(
                global.quiet,
                &format!(
                    "Made a software key. Use it with --key {id}. It is a file, not a card: whoever has the file and \
                     its passphrase has the secrets."
                ),
            );
            Ok(())
        }
        Soft::List => {
            let names = files.list().map_err(broken)?;
            let names: Vec<_> = names.iter().map(|name| format!("soft:{name}")).collect();
            if global.json {
                return output::json(&names);
            }
            if names.is_empty() {
                output::note(
                    global.quiet,
                    "There are no software keys. `keyfob soft create NAME` makes one.",
                );
            }
            names.iter().try_for_each(|name| output::line(name))
        }
        Soft::Delete { name, force } => {
            let name = parse(name.strip_prefix("soft:").unwrap_or(&name))?;
            consent(force, &format!("Delete the software key {name} and all that is on it, for good?"))?;
            files.delete(&name, keychain::system).map_err(broken)?;
            if global.json {
                return output::json(&json!({ "deleted": format!("soft:{name}") }));
            }
            output::note(global.quiet, &format!("Deleted soft:{name}."));
            Ok(())
        }
        Soft::Serve { name, reader } => serve(global, name.strip_prefix("soft:").unwrap_or(&name), &reader),
    }
}

fn lock(global: &Global) -> Result<(), Failure> {
    let paths = front::paths()?;
    // One that is started only to be told to forget knows nothing. And whoever uses none has nothing to forget.
    let runs = !global.no_agent && agent::status(&paths)?.is_some();
    if runs {
        match Client::new(global)?.ask(Op::Lock {})? {
            Answer::Locked {} => {}
            other => return unexpected(other),
        }
    }
    if global.json {
        return output::json(&json!({ "locked": true, "agent": runs }));
    }
    output::note(global.quiet, if runs { "Locked." } else { "The agent does not run: nothing is unlocked." });
    Ok(())
}

fn agent(global: &Global, command: &args::Agent) -> Result<(), Failure> {
    let paths = front::paths()?;
    let (status, verb) = match command {
        args::Agent::Start => (Some(agent::start(&paths)?), "runs"),
        args::Agent::Stop => (agent::stop(&paths)?, "has ended"),
        args::Agent::Status => (agent::status(&paths)?, "runs"),
        args::Agent::Run { idle } => {
            let idle = match idle {
                Some(idle) => *idle,
                None => front::config(&paths)?.agent_idle.map_or(agent::IDLE, Duration::from_secs),
            };
            return agent::run(idle);
        }
    };
    match status {
        Some(status) if global.json => output::json(&status),
        Some(status) => output::line(&format!(
            "The agent {verb}: process {}, version {}, {} clients, idle for {}; forgets passwords after {}.",
            status.pid,
            status.version,
            status.clients,
            service::duration(status.idle),
            service::duration(status.idle_limit),
        )),
        None if matches!(command, args::Agent::Stop) => {
            output::note(global.quiet, "The agent does not run.");
            Ok(())
        }
        None => Err(failure(
            ErrorCode::NotFound,
            "the agent does not run",
            "it starts by itself when a key is asked; `keyfob agent start` starts it now",
        )),
    }
}

fn man(global: &Global, folder: &Path) -> Result<(), Failure> {
    let broken = |error: std::io::Error| {
        failure(
            ErrorCode::Io,
            format!("cannot write the manual to {}: {error}", folder.display()),
            "name another folder",
        )
    };
    std::fs::create_dir_all(folder).map_err(broken)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(broken)?;
    output::note(global.quiet, &format!("The manual pages are in {}.", folder.display()));
    Ok(())
}

/// A software key in a virtual reader.
struct Served(crate::key::ServedCard);

impl vpcd::Card for Served {
    fn transmit(&mut self, command: &[u8]) -> std::io::Result<Zeroizing<Vec<u8>>> {
        self.0.transmit(command).map_err(std::io::Error::other)
    }

    fn reset(&mut self) {
        self.0.power_cycle();
    }
}

fn serve(global: &Global, name: &str, reader: &str) -> Result<(), Failure> {
    let mut card = Served(front::served_card(name)?);
    let stream = TcpStream::connect(reader).map_err(|error| {
        failure(
            ErrorCode::Io,
            format!("no virtual reader listens on {reader}: {error}"),
            "install and start its driver (Debian: vsmartcard-vpcd and pcscd), or give its address with --reader",
        )
    })?;
    output::note(
        global.quiet,
        &format!("The software key {name} is in the reader at {reader}. Ctrl-C pulls it out."),
    );
    match vpcd::serve(stream, &mut card) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            output::note(global.quiet, "The reader is gone.");
            Ok(())
        }
        Err(error) => Err(failure(ErrorCode::Io, format!("the virtual reader: {error}"), "")),
    }
}
