//! `keyfob aws import`: a profile's access key moves from the credentials file to the key, or to several.
//!
//! The order is what loses nothing, whenever it is broken off: the secret is put on the key; AWS accepts a signature that the
//! key has made of it, on every key; only then the lines go from the file. Done again after a kill it goes on where it was.

use clap::Args;
use keyfob_core::identity::{IdentityError, IdentityName};
use keyfob_core::message::{Answer, ErrorCode, Failure, Op, Password, SignatureVersion};
use keyfob_core::sigv4::Url;
use serde_json::json;

use super::args::{Copies, Global};
use super::client::Client;
use super::commands::unexpected;
use super::whoami::Sts;
use super::{copies, output};
use crate::aws_call::{self, CallerIdentity};
use crate::aws_files::{AccessKey, AwsFileError, AwsFiles, Place};
use crate::error::failure;
use crate::front;
use crate::harden;
use crate::http::Http;
use crate::prompt;
use crate::signing::{Ask, Credentials};

/// The profile of those who name none.
const DEFAULT_PROFILE: &str = "default";

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Profile whose access key it is; without it default
    #[arg(long, env = "AWS_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// Leave the access key in the file
    #[arg(long)]
    keep: bool,
    /// Do not try the key by a call to AWS
    #[arg(long, requires = "keep")]
    no_check: bool,
    /// Remove the same access key from other profiles too, without asking
    #[arg(long, conflicts_with = "keep")]
    everywhere: bool,
    /// Sign without a touch: whoever can use this computer can then use the secret
    #[arg(long)]
    no_touch: bool,
    /// Replace the secret that is on the key for this access key
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    copies: Copies,
    #[command(flatten)]
    sts: Sts,
}

/// Asks one key.
struct On<'a, 'b> {
    client: &'a mut Client<'b>,
    key: &'a str,
}

impl Ask for On<'_, '_> {
    fn ask(&mut self, op: Op) -> Result<Answer, Failure> {
        self.client.ask_key(Some(self.key.to_owned()), op)
    }
}

pub(super) fn run(global: &Global, options: &Options) -> Result<(), Failure> {
    let note = |text: &str| output::note(global.quiet, text);
    // The secret is read before whoever holds the key is asked.
    harden::process();
    let lock = front::paths()?.data.join("aws-files.lock");
    let files = AwsFiles::open(front::env).map_err(broken)?;
    let profile = profile(options)?;
    let found = files.access_key(&profile).map_err(broken)?;
    check(&files, &found, options)?;
    // What must be known before anything is done: nobody may be there to ask afterwards.
    let (endpoint, region) =
        options.sts.resolve(files.setting(&profile, "endpoint_url"), files.setting(&profile, "region"))?;
    let http = Http::new()?;
    trust(&endpoint, &region, options)?;
    let places = if options.keep { Vec::new() } else { places(&files, &found, options)? };

    // Nobody has to hurry with the answers.
    let http = http.until(global.deadline());
    let server = Url::parse(&endpoint).map(|url| url.host().to_owned()).unwrap_or_default();
    let mut who = None::<CallerIdentity>;
    let mut keys = Vec::new();
    let put = copies::to_each(global, options.copies.number, |client, key| {
        let key = client.info(key)?.id;
        let there = write(client, &key, &found, options)?;
        if there {
            note(&format!("{} is on key {key} already: its secret there is left as it is.", found.id));
        } else {
            note(&format!("Added {} to key {key}.", found.id));
        }
        if !options.no_check {
            let credentials = Credentials::Key { access_key_id: found.id.clone() };
            let mut ask = On { client, key: &key };
            let caller = aws_call::caller_identity(&mut ask, &credentials, &http, &endpoint, &region)
                .map_err(|error| unproved(error, &found, &key, there))?;
            note(&format!("Key {key} signs for {}, says {server}.", prompt::printable(&caller.arn)));
            who = Some(caller);
        }
        keys.push(key);
        Ok(())
    });
    put.map_err(|error| untouched(error, &files, &found))?;

    let removed = files.remove(&places, &lock).map_err(|error| unremoved(broken(error), &found, &keys))?;
    for file in &removed {
        note(&format!("Removed it from {}.", file.path().display()));
        if file.has_other_names() {
            note("That file has other names (hard links), which keep what was in it: delete them.");
        }
    }
    let left: Vec<_> = std::iter::once(found.place.clone())
        .chain(files.elsewhere(&found))
        .filter(|place| !places.contains(place))
        .collect();
    for place in &left {
        let path = path_of(&files, place);
        note(&format!("The secret is still in the profile {}: {path}.", place.profile));
        if !options.keep {
            note(&format!("`keyfob aws import --profile {}` removes it there.", place.profile));
        }
    }
    if global.json {
        let describe = |place: &Place| json!({ "profile": place.profile, "file": path_of(&files, place) });
        return output::json(&json!({
            "access_key_id": found.id,
            "keys": keys,
            "endpoint": who.as_ref().map(|_| &endpoint),
            "account": who.as_ref().map(|who| &who.account),
            "arn": who.as_ref().map(|who| &who.arn),
            "user_id": who.as_ref().map(|who| &who.user_id),
            "removed": places.iter().map(describe).collect::<Vec<_>>(),
            "left": left.iter().map(describe).collect::<Vec<_>>(),
        }));
    }
    if left.is_empty() {
        note(&format!(
            "Tools that read the profile {profile} find no access key there any more: what they need, the key signs."
        ));
    }
    note(
        "The secret has been on this disk, and may be in backups: rotate it. `aws iam create-access-key` makes a new access \
         key, `keyfob aws add` puts it on the key, and `aws iam delete-access-key` ends this one.",
    );
    Ok(())
}

/// The profile that is meant. One without a name is a slip (`--profile "$UNSET"`), and nobody's word for the default one,
/// as botocore has it too.
fn profile(options: &Options) -> Result<String, Failure> {
    let named = options.profile.clone().or_else(|| std::env::var("AWS_DEFAULT_PROFILE").ok());
    match named {
        Some(name) if name.trim().is_empty() => Err(failure(
            ErrorCode::InvalidInput,
            "the profile that is named has no name",
            "give --profile NAME; for the default one leave it out, and unset AWS_PROFILE and AWS_DEFAULT_PROFILE",
        )),
        Some(name) => Ok(name),
        None => Ok(DEFAULT_PROFILE.to_owned()),
    }
}

/// That a signature is right is for AWS to say. Another server may take any, and the secret be lost by that: a person says
/// that its word will do, by `--endpoint` or when asked.
fn trust(endpoint: &str, region: &str, options: &Options) -> Result<(), Failure> {
    if options.keep || options.sts.is_given() || aws_call::is_sts(endpoint, region) {
        return Ok(());
    }
    let shown = Url::parse(endpoint).map(|url| url.host().to_owned()).unwrap_or_default();
    let question = format!(
        "The settings lead to {shown}, which is not AWS's STS. Remove the secret from the file when that server takes its \
         signature?"
    );
    match prompt::confirm(&question) {
        Ok(true) => Ok(()),
        answer => Err(failure(
            if answer.is_ok() { ErrorCode::Cancelled } else { ErrorCode::InvalidInput },
            format!(
                "{shown} is not AWS's STS: that it takes a signature may prove nothing; nothing was done"
            ),
            "name the server on the command line if its word will do: --endpoint URL; --keep leaves the secret in the file",
        )),
    }
}

/// Refuses what no key would take, or no server.
fn check(files: &AwsFiles, found: &AccessKey, options: &Options) -> Result<(), Failure> {
    let place = path_of(files, &found.place);
    let invalid = |line: usize, error: &dyn std::fmt::Display, hint: &str| {
        Err(failure(ErrorCode::InvalidInput, format!("{place}:{line}: {error}"), hint))
    };
    let (id_line, secret_line) = found.lines;
    let name = match IdentityName::new(&found.id, SignatureVersion::SigV4) {
        Ok(name) => name,
        // What stands there may be the secret, in the wrong line: it is not shown.
        Err(IdentityError::AccessKeyId(_)) => {
            let text = "what the profile has for an access key id is none";
            return invalid(
                id_line,
                &text,
                "one is 16 to 40 capital letters and digits, such as AKIAIOSFODNN7EXAMPLE",
            );
        }
        Err(error) => return invalid(id_line, &error, "name another profile: --profile"),
    };
    if let Err(error) = name.put(&found.secret, !options.no_touch) {
        let hint =
            "AWS's tools take all that stands behind the = for the secret, a comment too: correct the line";
        return invalid(secret_line, &error, hint);
    }
    Ok(())
}

/// Where the access key is to go from: its own profile, and others if a person says so.
fn places(files: &AwsFiles, found: &AccessKey, options: &Options) -> Result<Vec<Place>, Failure> {
    let mut places = vec![found.place.clone()];
    let others = files.elsewhere(found);
    if others.is_empty() {
        return Ok(places);
    }
    let names: Vec<_> =
        others.iter().map(|place| format!("{} ({})", place.profile, path_of(files, place))).collect();
    let question = format!(
        "The same access key is in {}. Remove it there too, once it is on the key?",
        names.join(" and ")
    );
    // Where nobody can be asked it stays there, and is said to.
    if options.everywhere || prompt::confirm(&question).unwrap_or(false) {
        places.extend(others);
    }
    Ok(places)
}

/// Puts the secret on a key, unless there is one for this access key; says whether there was.
fn write(client: &mut Client<'_>, key: &str, found: &AccessKey, options: &Options) -> Result<bool, Failure> {
    // It was seen to be ASCII.
    let secret = str::from_utf8(found.secret.expose()).unwrap_or_default();
    let op = Op::AddIdentity {
        access_key_id: found.id.clone(),
        signature: SignatureVersion::SigV4,
        secret_access_key: Password(secret.to_owned()),
        touch: !options.no_touch,
        overwrite: options.force,
    };
    match client.ask_key(Some(key.to_owned()), op) {
        Ok(Answer::Written { .. }) => Ok(false),
        Ok(other) => unexpected(other),
        // The call shows whether it is this secret.
        Err(error) if error.code == ErrorCode::Exists && !options.no_check => Ok(true),
        Err(error) => Err(error),
    }
}

/// The call that was to show that the key has the right secret was refused, or not answered.
fn unproved(error: Failure, found: &AccessKey, key: &str, there: bool) -> Failure {
    let message = format!("{} is on key {key}, but it is not known to work: {}", found.id, error.message);
    if error.code == ErrorCode::AwsRefused && there {
        let hint = "if the secret on the key is another one than in the file, replace it: --force";
        return Failure { message, hint: Some(hint.to_owned()), ..error };
    }
    Failure { message, ..error }
}

/// Whatever failed, the file is as it was.
fn untouched(error: Failure, files: &AwsFiles, found: &AccessKey) -> Failure {
    let path = path_of(files, &found.place);
    Failure { message: format!("{}; {path} is as it was", error.message), ..error }
}

/// All is proved, but the file cannot be written.
fn unremoved(error: Failure, found: &AccessKey, keys: &[String]) -> Failure {
    let (id, keys) = (&found.id, keys.join(" and "));
    let message = format!("{}; {id} is on key {keys}, and its secret is in the file still", error.message);
    // What has changed meanwhile is said to try again with.
    if error.code == ErrorCode::Busy {
        return Failure { message, ..error };
    }
    let hint =
        error.hint.map(|hint| format!("{hint}; then do it again: what is on the key is checked, and left"));
    Failure { message, hint, ..error }
}

fn path_of(files: &AwsFiles, place: &Place) -> String {
    files.file_of(place).map(|file| file.path().display().to_string()).unwrap_or_default()
}

fn broken(error: AwsFileError) -> Failure {
    Failure { candidates: error.candidates().to_vec(), ..failure(error.code(), &error, error.hint()) }
}
