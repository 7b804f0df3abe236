//! `keyfob aws setup`: writes a profile into the AWS config file, by which AWS's tools get their credentials here.
//!
//! What is to be written is shown as a diff first. Every other byte of the file stays, and what AWS's tools would go by in place of
//! the `credential_process` is refused: they would never ask.

use std::fmt::Write as _;

use clap::Args;
use keyfob_core::message::{Answer, ErrorCode, Failure, Op, SignatureVersion};
use serde_json::json;

use super::args::Global;
use super::client::Client;
use super::commands::consent;
use super::{complete, output, time};
use crate::aws_files::{AwsFile, AwsFiles, Line, quoted};
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::paths::{self, Lock};
use crate::profile::{Base, command_words, resolve_in, unread};
use crate::prompt::printable;
use crate::session::Person as _;
use crate::signing;

/// What decides a profile's credentials before its `credential_process` does: for botocore, or for another SDK.
const BEFORE: [(&str, &str); 9] = [
    ("role_arn", "take it out there, with source_profile, and give it as --role-arn, --source-profile"),
    ("aws_access_key_id", "`keyfob aws import --profile PROFILE` moves it to the key"),
    ("aws_secret_access_key", "`keyfob aws import --profile PROFILE` moves it to the key"),
    ("sso_account_id", "choose another name for the profile, and name this one as --source-profile"),
    ("sso_role_name", "choose another name for the profile, and name this one as --source-profile"),
    ("sso_session", "choose another name for the profile, and name this one as --source-profile"),
    ("sso_start_url", "choose another name for the profile, and name this one as --source-profile"),
    ("login_session", "choose another name for the profile, and name this one as --source-profile"),
    ("web_identity_token_file", "choose another name for the profile, and name this one as --source-profile"),
];
const PROCESS: &str = "credential_process";
/// Lines around a change.
const CONTEXT: usize = 3;
/// Lines whose values are shown to nobody.
const SECRETS: [&str; 3] = ["aws_secret_access_key", "aws_session_token", "aws_security_token"];

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Profile that is to be written
    #[arg(add = complete::profiles())]
    profile: String,
    /// Role to assume: arn:aws:iam::123456789012:role/deploy
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Profile whose credentials the role is assumed with
    #[arg(long, value_name = "PROFILE", add = complete::profiles())]
    source_profile: Option<String>,
    /// MFA device: arn:aws:iam::123456789012:mfa/alice; several with a comma and a space between them
    #[arg(long, value_name = "ARN")]
    mfa_serial: Option<String>,
    /// Account on the key that makes the device's codes, if its name is not the device's ARN
    #[arg(long, value_name = "ACCOUNT", add = complete::accounts())]
    oath: Option<String>,
    /// Access key on the key; without it the only one on the key that is plugged in
    #[arg(long, value_name = "ACCESS_KEY_ID", add = complete::identities())]
    access_key_id: Option<String>,
    /// How long sessions last: 1h, 12h
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    duration: Option<std::time::Duration>,
    /// Name of the role's sessions, as AWS's logs show it
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// What the role's owner wants to be told
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Region of the profile
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Print the diff, and write nothing
    #[arg(long, conflicts_with = "force")]
    dry_run: bool,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let lock = front::paths()?.data.join("aws-files.lock");
    let files = AwsFiles::open(front::env).map_err(unread)?;
    let profile = &options.profile;
    check_name(profile)?;
    check(&files, profile)?;
    let mut settings = settings(global, options, &files)?;
    let section = files.section_of(profile);
    let path = match (files.config(), files.paths()) {
        (Some(file), _) => file.path(),
        (None, [_, path]) => path,
        _ => return Err(failure(ErrorCode::Internal, "the config file is nowhere", "please report this")),
    };
    let none = AwsFile::parse(path, Vec::new().into()).map_err(unread)?;
    let old = files.config().unwrap_or(&none);
    let with = |settings: &[(&str, String)]| {
        let given: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        old.with(&section, &given).map_err(unread)
    };
    let new = with(&settings)?;
    // What would not work is not written.
    let after = AwsFile::parse(path, new).map_err(unread)?;
    let reread = AwsFiles::open(front::env).map_err(unread)?.with_config(after);
    let resolved = resolve_in(&reread, profile, &front::env).map_err(|error| {
        let message = format!("that profile would not work: {}", error.message);
        Failure { message, ..error }
    })?;
    // With it a kept session is found without the key.
    if options.source_profile.is_none()
        && let Base::Key { access_key_id: None, key } = &resolved.base
        && let Some(id) = only_identity(global, key.as_deref())
    {
        settings.push(("keyfob_access_key_id", id));
    }
    let new = with(&settings)?;
    let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
    let diff = diff(&path.display().to_string(), text(old.bytes()), text(&new));
    let done = |written: bool| {
        if global.json {
            let path = path.display().to_string();
            output::json(&json!({ "profile": profile, "file": path, "diff": diff, "written": written }))?;
        }
        Ok(Exit::Ok)
    };
    if diff.is_empty() {
        output::note(global.quiet, &format!("The profile {profile} is so already."));
        return done(false);
    }
    if options.dry_run {
        if !global.json {
            output::raw(printable_lines(&diff).as_bytes())?;
        }
        return done(false);
    }
    // Whoever is asked must see it.
    if !(options.force && global.quiet) {
        printable_lines(&diff).lines().for_each(|line| output::note(false, line));
    }
    consent(options.force, &format!("Write this into {}?", path.display()))?;
    match files.config() {
        Some(file) => file.replace(&new, &lock).map_err(unread)?,
        None => {
            let failed = |error: paths::PathError| failure(error.code(), &error, "");
            let _lock = Lock::acquire(&lock).map_err(failed)?;
            paths::create_atomically(path, &new).map_err(failed)?;
        }
    }
    let name = quoted(profile);
    output::note(
        global.quiet,
        &format!(
            "Written. `aws --profile {name} sts get-caller-identity` uses it, `keyfob exec {name} -- CMD` too."
        ),
    );
    if files.config().is_some_and(AwsFile::has_other_names) {
        let text = "The file has other names (hard links), which keep what was in it.";
        output::note(global.quiet, text);
    }
    done(true)
}

/// Names that the file cannot carry, or that AWS's tools read as something else.
fn check_name(profile: &str) -> Result<(), Failure> {
    if profile.is_empty() || profile.starts_with('-') || profile.contains(char::is_control) {
        let message = format!("{profile:?} cannot be the name of a profile");
        return Err(failure(ErrorCode::InvalidInput, message, "choose one of letters, digits and -"));
    }
    Ok(())
}

/// Refuses what AWS's tools would go by in place of the `credential_process`.
fn check(files: &AwsFiles, profile: &str) -> Result<(), Failure> {
    let sections = files.lines_of(profile);
    let find = |name: &str| sections.iter().find_map(|lines| lines.get(name));
    let place = |line: Line<'_>| format!("{}:{}", line.path.display(), line.line);
    for (name, hint) in BEFORE {
        if let Some(line) = find(name) {
            let message = format!(
                "{}: the profile {profile:?} has {name}, by which AWS's tools go in place of a credential_process",
                place(line)
            );
            return Err(failure(ErrorCode::InvalidInput, message, hint.replace("PROFILE", &quoted(profile))));
        }
    }
    if let Some(line) = find(PROCESS).filter(|line| !is_ours(line.value, profile)) {
        let message = format!("{}: the profile {profile:?} has another credential_process", place(line));
        let hint = "take it out there, or choose another name for the profile";
        return Err(failure(ErrorCode::Exists, message, hint));
    }
    Ok(())
}

/// Whether it is Keyfob that is asked for this very profile.
fn is_ours(command: &str, profile: &str) -> bool {
    command_words(command).is_some_and(|words| crate::profile::is_keyfob_for(&words, profile))
}

/// What is to stand in the profile, by name.
fn settings(
    global: &Global,
    options: &Options,
    files: &AwsFiles,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let device = match global.key.as_slice() {
        [] => None,
        [key] => Some(key.clone()),
        _ => return Err(failure(ErrorCode::InvalidInput, "a profile is for one key", "give --key once")),
    };
    let name = &options.profile;
    let own = [
        ("region", options.region.clone()),
        ("keyfob_role_arn", options.role_arn.clone()),
        ("keyfob_source_profile", options.source_profile.clone()),
        ("keyfob_access_key_id", options.access_key_id.clone()),
        ("keyfob_device", device),
        ("keyfob_mfa_serial", options.mfa_serial.clone()),
        ("keyfob_oath", options.oath.clone()),
        ("keyfob_duration_seconds", options.duration.map(|duration| duration.as_secs().to_string())),
        ("keyfob_role_session_name", options.role_session_name.clone()),
        ("keyfob_external_id", options.external_id.clone()),
    ];
    let there = files.lines_of(name).iter().any(|lines| lines.get(PROCESS).is_some());
    // One that asks for this profile is left as it is: it may say more.
    let process = (!there).then(|| format!("keyfob credential-process {}", quoted(name)));
    let all = std::iter::once((PROCESS, process)).chain(own);
    Ok(all.filter_map(|(name, value)| Some((name, value?))).collect())
}

/// The access key on the key that is plugged in, where there is one only.
fn only_identity(global: &Global, key: Option<&str>) -> Option<String> {
    let mut client = Client::new(global).ok()?;
    let key = client.key_of(key);
    // One that is absent, locked or has several of them is asked when it is used.
    let there = client.info(key).ok().filter(|key| !key.locked)?;
    match client.ask_key(Some(there.id), Op::Identities {}) {
        Ok(Answer::Identities { identities, .. }) => {
            signing::only_identity(identities, SignatureVersion::SigV4).ok()
        }
        _ => None,
    }
}

/// The lines, each fit for a terminal.
fn printable_lines(text: &str) -> String {
    text.split_inclusive('\n').fold(String::new(), |mut all, line| {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        all.push_str(&printable(line.strip_suffix('\r').unwrap_or(line)));
        all.push_str(end);
        all
    })
}

/// A line without the secret that may be in it.
fn shown(line: &str) -> String {
    let name = line.split(['=', ':']).next().unwrap_or_default().trim().to_lowercase();
    match line.find(['=', ':']).and_then(|at| line.get(..=at)) {
        Some(before) if SECRETS.contains(&name.as_str()) => format!("{before} …"),
        _ => line.to_owned(),
    }
}

/// What changes between two texts, as `diff -u` shows it; secrets are left out. Empty: nothing does.
fn diff<'a>(path: &str, old: &'a str, new: &'a str) -> String {
    let (old, new): (Vec<&'a str>, Vec<&'a str>) =
        (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let common = |one: &mut dyn Iterator<Item = &&str>, other: &mut dyn Iterator<Item = &&str>| {
        one.zip(other).take_while(|(one, other)| one == other).count()
    };
    let head = common(&mut old.iter(), &mut new.iter());
    let rest = |lines: &[&str]| lines.len() - head;
    let tail = common(&mut old.iter().rev(), &mut new.iter().rev()).min(rest(&old)).min(rest(&new));
    if head == old.len() && head == new.len() {
        return String::new();
    }
    let from = head.saturating_sub(CONTEXT);
    let behind = tail.min(CONTEXT);
    let middle = |lines: &[&'a str]| -> Vec<&'a str> {
        lines.iter().take(lines.len() - tail).skip(head).copied().collect()
    };
    let (gone, come) = (middle(&old), middle(&new));
    let count = |changed: usize| head - from + changed + behind;
    let start = |count: usize| if count == 0 { 0 } else { from + 1 };
    let (before, after) = (count(gone.len()), count(come.len()));
    let mut text = format!("--- {path}\n+++ {path}\n");
    let _ = writeln!(text, "@@ -{},{before} +{},{after} @@", start(before), start(after));
    let around = |line: &&'a str| (' ', *line);
    let lines = old.iter().take(head).skip(from).map(around);
    let lines = lines.chain(script(&gone, &come));
    for (sign, line) in lines.chain(old.iter().skip(old.len() - tail).take(behind).map(around)) {
        let (body, end) = match line.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (line, "\n\\ No newline at end of file\n"),
        };
        text.push(sign);
        text.push_str(&shown(body));
        text.push_str(end);
    }
    text
}

/// The shortest way from some lines to others: which stay, go and come.
fn script<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    // How many lines the rests from here have in common, row by row from the end.
    let mut rows: Vec<Vec<usize>> = vec![vec![0; new.len() + 1]];
    for line in old.iter().rev() {
        let below = rows.last().map(Vec::as_slice).unwrap_or_default();
        let mut row = vec![0];
        for ((other, down), diagonal) in new.iter().zip(below).zip(below.iter().skip(1)).rev() {
            let right = row.last().copied().unwrap_or_default();
            row.push(if line == other { diagonal + 1 } else { right.max(*down) });
        }
        row.reverse();
        rows.push(row);
    }
    rows.reverse();
    let common = |i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default();
    let (mut i, mut j, mut script) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(line), Some(other)) if line == other => {
                script.push((' ', *line));
                (i, j) = (i + 1, j + 1);
            }
            (Some(line), other) if other.is_none() || common(i + 1, j) >= common(i, j + 1) => {
                script.push(('-', *line));
                i += 1;
            }
            (_, Some(line)) => {
                script.push(('+', *line));
                j += 1;
            }
            (_, None) => return script,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_are_those_of_diff() {
        #[track_caller]
        fn check(old: &str, new: &str, expected: &str) {
            assert_eq!(diff("f", old, new), expected);
        }
        check("", "", "");
        check("a\n", "a\n", "");
        check("", "a\nb\n", "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n");
        check(
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
            "1\n2\n3\n4\nX\n6\n7\nY\n8\n9\n",
            "--- f\n+++ f\n@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n+Y\n 8\n 9\n",
        );
        check("a", "a\nb\n", "--- f\n+++ f\n@@ -1,1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n");
        check(
            "Aws_Secret_Access_Key: s3cr3t\r\n[a]\n",
            "Aws_Secret_Access_Key: s3cr3t\r\n[a]\nx = 1\n",
            "--- f\n+++ f\n@@ -1,2 +1,3 @@\n Aws_Secret_Access_Key: …\n [a]\n+x = 1\n",
        );
    }

    #[test]
    fn names_that_no_file_carries_are_refused() {
        for name in ["", "-x", "a\nb"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "a b", "default", "é"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
