//! `keyfob env`: prints a profile's credentials for a shell or a file.

use clap::{Args, ValueEnum};
use keyfob_core::message::{ErrorCode, Failure, Session};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::args::Global;
use super::{output, profile};
use crate::error::failure;
use crate::exit::Exit;
use crate::service;
use crate::session::child;

/// As it is typed.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    #[command(flatten)]
    profile: profile::Options,
    /// For what: a shell that evaluates it, or a file
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// export NAME='value', for sh, bash and zsh: eval "$(keyfob env PROFILE)"
    Sh,
    /// For fish: keyfob env PROFILE --format fish | source
    Fish,
    /// For PowerShell: keyfob env PROFILE --format powershell | Out-String | Invoke-Expression
    Powershell,
    /// NAME=value, for files that programs read
    Dotenv,
    /// An object of the variables
    Json,
    /// A section of AWS's credentials file
    Ini,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let format = global.printed("--format", options.format, Format::Json, Format::Sh)?;
    let (profile, session) = options.profile.credentials(global)?;
    let variables = child::variables(&session, profile.region.as_deref());
    let text = match format {
        Format::Ini => ini(&profile.name, &session, profile.region.as_deref()),
        Format::Json => return json(&variables).and_then(|()| said(global, &session)),
        format => lines(format, &variables),
    }
    .ok_or_else(|| failure(ErrorCode::AwsRefused, "AWS gave credentials that no shell could take", ""))?;
    output::raw(text.as_bytes())?;
    said(global, &session)
}

/// Says how long they are good for.
fn said(global: &Global, session: &Session) -> Result<Exit, Failure> {
    let text = match session.expires_at {
        Some(end) => {
            let left = service::duration(end.saturating_sub(service::unix_time()));
            format!("Good for {left} more.")
        }
        None => "These are long-term credentials: they do not end.".to_owned(),
    };
    output::note(global.quiet, &text);
    Ok(Exit::Ok)
}

type Variables = [(&'static str, Zeroizing<String>)];

fn json(variables: &Variables) -> Result<(), Failure> {
    let map: Map<String, Value> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
    output::json(&map)
}

/// A line for each variable; none if a value has a line end or another control character in it, which no shell and no file
/// would keep as it is.
fn lines(format: Format, variables: &Variables) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    // What the shell had before must not stand beside what it has now.
    for name in child::REPLACED {
        if variables.iter().any(|(other, _)| other == name) {
            continue;
        }
        match format {
            Format::Sh => text.push_str(&format!("unset {name}\n")),
            Format::Fish => text.push_str(&format!("set -e {name}\n")),
            Format::Powershell => {
                text.push_str(&format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"));
            }
            Format::Dotenv | Format::Json | Format::Ini => {}
        }
    }
    for (name, value) in variables {
        if value.chars().any(char::is_control) {
            return None;
        }
        let line = Zeroizing::new(match format {
            Format::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Format::Fish => {
                format!("set -gx {name} '{}'\n", value.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Format::Powershell => format!("$Env:{name} = '{}'\n", value.replace('\'', "''")),
            Format::Dotenv | Format::Json | Format::Ini => format!("{name}={}\n", dotenv(value)?),
        });
        text.push_str(&line);
    }
    Some(text)
}

/// A value of a `.env` file: what reads such files agrees on plain values, and on those in single quotes.
fn dotenv(value: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+/=_.:,@-".contains(c);
    if value.chars().all(plain) {
        return Some(value.to_owned());
    }
    (!value.contains('\'')).then(|| format!("'{value}'"))
}

fn ini(name: &str, session: &Session, region: Option<&str>) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(format!("[{name}]\n"));
    let values = [
        ("aws_access_key_id", Some(session.access_key_id.as_str())),
        ("aws_secret_access_key", Some(session.secret_access_key.0.as_str())),
        ("aws_session_token", session.session_token.as_ref().map(|token| token.0.as_str())),
        ("region", region),
    ];
    for (name, value) in values.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        if value.chars().any(char::is_control) {
            return None;
        }
        text.push_str(&Zeroizing::new(format!("{name} = {value}\n")));
    }
    (!name.contains(['[', ']']) && !name.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_through_every_shell() {
        #[track_caller]
        fn check(format: Format, value: &str, expected: Option<&str>) {
            let variables = [
                ("AWS_ACCESS_KEY_ID", Zeroizing::new(value.to_owned())),
                ("AWS_SECRET_ACCESS_KEY", Zeroizing::new("s".to_owned())),
            ];
            let text = lines(format, &variables);
            let line =
                text.as_ref().map(|text| text.lines().find(|line| line.contains("ACCESS_KEY_ID")).unwrap());
            assert_eq!(line, expected, "{format:?}");
        }
        check(Format::Sh, "a'b$(c)\\", Some(r"export AWS_ACCESS_KEY_ID='a'\''b$(c)\'"));
        check(Format::Fish, "a'b$(c)\\", Some(r"set -gx AWS_ACCESS_KEY_ID 'a\'b$(c)\\'"));
        check(Format::Powershell, "a'b$(c)", Some("$Env:AWS_ACCESS_KEY_ID = 'a''b$(c)'"));
        check(Format::Dotenv, "a+b/c=", Some("AWS_ACCESS_KEY_ID=a+b/c="));
        check(Format::Dotenv, "a b", Some("AWS_ACCESS_KEY_ID='a b'"));
        check(Format::Dotenv, "a'b", None);
        check(Format::Sh, "a\nb", None);
    }

    #[test]
    fn what_was_set_before_goes() {
        let variables = [("AWS_ACCESS_KEY_ID", Zeroizing::new("a".to_owned()))];
        let text = lines(Format::Sh, &variables).unwrap();
        assert!(text.starts_with("unset ") && text.contains("unset AWS_SESSION_TOKEN\n"), "{}", *text);
        assert!(!text.contains("unset AWS_ACCESS_KEY_ID"));
    }
}
