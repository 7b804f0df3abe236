//! The settings of profiles by name: which there are, where one stands, and what its value must be like.
//!
//! What decides credentials may stand under a name of Keyfob's own, `keyfob_…`: AWS's tools go by their own names before they
//! ask a `credential_process`, and would ask nobody.
//!
//! Source: "Configuration and credential file settings", AWS CLI User Guide; `AssumeRole` and `GetSessionToken`, AWS STS API
//! Reference, for what values may be; aws-vault's documentation for the names that are from there.

use std::path::PathBuf;

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::sigv4::Url;

use super::endpoint::is_label;
use crate::aws_files::{AwsFiles, Lines};
use crate::error::failure;

/// What every setting of Keyfob's own begins with.
pub(super) const PREFIX: &str = "keyfob_";

/// A setting of a profile.
pub(crate) struct Setting {
    /// As AWS's tools, the MFA plugin or aws-vault call it; none: it is Keyfob's alone.
    pub(crate) name: Option<&'static str>,
    /// Keyfob's own name for it, which is read first; none: it is read under the other alone.
    pub(crate) prefixed: Option<&'static str>,
    /// Whether a profile that includes another has it from there.
    pub(super) included: bool,
}

const fn both(name: &'static str, prefixed: &'static str) -> Setting {
    Setting { name: Some(name), prefixed: Some(prefixed), included: true }
}

const fn plain(name: &'static str) -> Setting {
    Setting { name: Some(name), prefixed: None, included: true }
}

const fn ours(prefixed: &'static str) -> Setting {
    Setting { name: None, prefixed: Some(prefixed), included: true }
}

const fn own(name: &'static str) -> Setting {
    Setting { name: Some(name), prefixed: None, included: false }
}

pub(super) const ROLE_ARN: Setting = both("role_arn", "keyfob_role_arn");
pub(super) const SOURCE_PROFILE: Setting = both("source_profile", "keyfob_source_profile");
pub(super) const CREDENTIAL_SOURCE: Setting = both("credential_source", "keyfob_credential_source");
pub(super) const MFA_SERIAL: Setting = both("mfa_serial", "keyfob_mfa_serial");
pub(super) const MFA_ACCOUNT: Setting = both("mfa_alias", "keyfob_oath");
pub(super) const DURATION: Setting = both("duration_seconds", "keyfob_duration_seconds");
pub(super) const SESSION_NAME: Setting = both("role_session_name", "keyfob_role_session_name");
pub(super) const EXTERNAL_ID: Setting = both("external_id", "keyfob_external_id");
pub(super) const TAGS: Setting = both("session_tags", "keyfob_session_tags");
pub(super) const TRANSITIVE_TAGS: Setting = both("transitive_session_tags", "keyfob_transitive_session_tags");
pub(super) const SOURCE_IDENTITY: Setting = both("source_identity", "keyfob_source_identity");
pub(super) const ACCESS_KEY: Setting = ours("keyfob_access_key_id");
pub(super) const DEVICE: Setting = ours("keyfob_device");
pub(super) const INCLUDE: Setting = own("include_profile");
pub(super) const PROCESS: Setting = plain("credential_process");
pub(super) const REGION: Setting = plain("region");
pub(super) const ENDPOINT_URL: Setting = plain("endpoint_url");
pub(super) const SERVICES: Setting = plain("services");
pub(super) const IGNORE_ENDPOINTS: Setting = plain("ignore_configured_endpoint_urls");
pub(super) const STS_REGIONAL: Setting = plain("sts_regional_endpoints");
pub(super) const FIPS: Setting = plain("use_fips_endpoint");
pub(super) const DUAL_STACK: Setting = plain("use_dualstack_endpoint");
pub(super) const CA_BUNDLE: Setting = plain("ca_bundle");
pub(super) const WEB_IDENTITY: Setting = plain("web_identity_token_file");
pub(super) const SSO_SESSION: Setting = plain("sso_session");
pub(super) const SSO_START_URL: Setting = plain("sso_start_url");
pub(super) const SSO_ACCOUNT: Setting = plain("sso_account_id");
pub(super) const SSO_ROLE: Setting = plain("sso_role_name");
pub(super) const LOGIN_SESSION: Setting = plain("login_session");
pub(super) const KEY_ID: Setting = own("aws_access_key_id");
pub(super) const SECRET: Setting = own("aws_secret_access_key");
pub(super) const TOKEN: Setting = own("aws_session_token");
pub(super) const OLD_TOKEN: Setting = own("aws_security_token");

/// All of them.
pub(crate) const SETTINGS: [Setting; 33] = [
    ROLE_ARN,
    SOURCE_PROFILE,
    CREDENTIAL_SOURCE,
    MFA_SERIAL,
    MFA_ACCOUNT,
    DURATION,
    SESSION_NAME,
    EXTERNAL_ID,
    TAGS,
    TRANSITIVE_TAGS,
    SOURCE_IDENTITY,
    ACCESS_KEY,
    DEVICE,
    INCLUDE,
    PROCESS,
    REGION,
    ENDPOINT_URL,
    SERVICES,
    IGNORE_ENDPOINTS,
    STS_REGIONAL,
    FIPS,
    DUAL_STACK,
    CA_BUNDLE,
    WEB_IDENTITY,
    SSO_SESSION,
    SSO_START_URL,
    SSO_ACCOUNT,
    SSO_ROLE,
    LOGIN_SESSION,
    KEY_ID,
    SECRET,
    TOKEN,
    OLD_TOKEN,
];

/// A value that is set, and where.
#[derive(Clone)]
pub(super) struct Found<'a> {
    pub(super) value: &'a str,
    /// As it is called there.
    pub(super) name: &'static str,
    profile: String,
    /// The file and the line, or the environment.
    place: String,
}

impl Found<'_> {
    /// The file and the line.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Refuses the value, which is no secret; `why` completes "… is not good: it …".
    pub(super) fn refuse(&self, why: impl std::fmt::Display, hint: impl Into<String>) -> Failure {
        let Self { value, name, profile, place } = self;
        let message = format!("{place}: {name} = {value:?} of the profile {profile:?} {why}");
        failure(ErrorCode::InvalidInput, message, hint)
    }

    /// The value, if it has so many characters, all of them of these.
    fn spelled(
        &self,
        length: std::ops::RangeInclusive<usize>,
        allowed: impl Fn(char) -> bool,
        characters: &str,
    ) -> Result<String, Failure> {
        let (least, most) = (length.start(), length.end());
        if !length.contains(&self.value.chars().count()) {
            return Err(self.refuse(format!("is not {least} to {most} characters long"), "correct it there"));
        }
        match self.value.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(self.refuse(format!("has {c:?} in it"), format!("AWS takes {characters} there"))),
            None => Ok(self.value.to_owned()),
        }
    }

    /// `role_session_name`, `source_identity`.
    pub(super) fn session_name(&self) -> Result<String, Failure> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        self.spelled(2..=64, allowed, "letters, digits and _+=,.@-")
    }

    pub(super) fn external_id(&self) -> Result<String, Failure> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        self.spelled(2..=1224, allowed, "letters, digits and _+=,.@:/-")
    }

    pub(super) fn access_key_id(&self) -> Result<String, Failure> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.spelled(16..=128, allowed, "letters and digits")
    }

    pub(super) fn role_arn(&self) -> Result<String, Failure> {
        let parts: Vec<_> = self.value.splitn(6, ':').collect();
        let is_role = match parts.as_slice() {
            ["arn", partition, "iam", "", account, resource] => {
                partition.starts_with("aws")
                    && account.len() == 12
                    && account.bytes().all(|b| b.is_ascii_digit())
                    && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
            }
            _ => false,
        };
        if !is_role || self.value.contains(char::is_whitespace) || self.value.len() > 2048 {
            return Err(self.refuse("is no role's ARN", "such as arn:aws:iam::123456789012:role/deploy"));
        }
        Ok(self.value.to_owned())
    }

    /// In seconds.
    pub(super) fn duration(&self, most: u32) -> Result<u32, Failure> {
        const LEAST: u32 = 900;
        self.value.parse().ok().filter(|seconds| (LEAST..=most).contains(seconds)).ok_or_else(|| {
            self.refuse(format!("is no number of seconds from {LEAST} to {most}"), "correct it there")
        })
    }

    pub(super) fn region(&self) -> Result<String, Failure> {
        if !is_label(self.value) {
            return Err(self.refuse("is no region", "give one such as eu-west-1"));
        }
        Ok(self.value.to_owned())
    }

    /// Without what AWS's tools take no notice of either: a `/` at its end.
    pub(super) fn url(&self) -> Result<String, Failure> {
        match Url::parse(self.value) {
            Ok(_) if !self.value.contains(['?', '#']) => Ok(self.value.trim_end_matches('/').to_owned()),
            _ => Err(self.refuse("is no server's URL", "give one such as https://sts.example.com")),
        }
    }

    pub(super) fn is_true(&self) -> Result<bool, Failure> {
        match self.value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.refuse("is neither true nor false", "correct it there")),
        }
    }

    pub(super) fn is_legacy(&self) -> Result<bool, Failure> {
        match self.value.to_ascii_lowercase().as_str() {
            "legacy" => Ok(true),
            "regional" => Ok(false),
            _ => Err(self.refuse("is neither regional nor legacy", "correct it there")),
        }
    }

    /// `~` is the home folder.
    pub(super) fn path(&self) -> PathBuf {
        let path = PathBuf::from(self.value);
        let home = || directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
        match path.strip_prefix("~") {
            Ok(below) => home().map_or_else(|| path.clone(), |home| home.join(below)),
            Err(_) => path,
        }
    }

    /// The serial number of an MFA device, or its ARN.
    fn serial(&self, text: &str) -> Result<String, Failure> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c);
        Found { value: text, ..self.clone() }.spelled(9..=256, allowed, "letters, digits and _+=/:,.@-")
    }

    /// One, or under Keyfob's own name several. A name may have a comma in it: a further device begins behind a comma and a
    /// space, or with `arn:`.
    pub(super) fn serials(&self) -> Result<Vec<String>, Failure> {
        let mut serials: Vec<String> = Vec::new();
        for part in self.value.split(',') {
            let begins = part.starts_with(char::is_whitespace) || part.starts_with("arn:");
            match serials.last_mut().filter(|_| !begins || !self.name.starts_with(PREFIX)) {
                Some(last) => last.extend([",", part]),
                None => serials.push(part.to_owned()),
            }
        }
        serials.iter().map(|serial| self.serial(serial.trim())).collect()
    }

    /// `key=value,key2=value2`.
    pub(super) fn tags(&self) -> Result<Vec<(String, String)>, Failure> {
        const MOST: usize = 50;
        let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
        let mut tags: Vec<(String, String)> = Vec::new();
        for part in self.value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(self
                    .refuse(format!("has a tag without a value: {part:?}"), "write key=value,key2=value2"));
            };
            let (key, value) = (key.trim(), value.trim());
            let length = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
            if !length || !key.chars().chain(value.chars()).all(allowed) {
                return Err(self.refuse(
                    format!("has a tag that AWS does not take: {part:?}"),
                    "a key has 1 to 128 characters, a value at most 256: letters, digits, spaces and _.:/=+-@",
                ));
            }
            if tags.iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
                return Err(self.refuse(format!("has the tag {key:?} twice"), "leave one of them out"));
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        if tags.len() > MOST {
            return Err(self.refuse(format!("has {} tags", tags.len()), format!("AWS takes {MOST} at most")));
        }
        Ok(tags)
    }

    /// Keys of these tags.
    pub(super) fn keys_of(&self, tags: &[(String, String)]) -> Result<Vec<String>, Failure> {
        let keys = self.value.split(',').map(str::trim).filter(|key| !key.is_empty());
        keys.map(|key| match tags.iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            true => Ok(key.to_owned()),
            false => Err(self.refuse(
                format!("has {key:?} in it, which is none of the session's tags"),
                "name tags of session_tags",
            )),
        })
        .collect()
    }
}

/// A profile's settings, with those of the profiles that it includes.
pub(super) struct Settings<'a> {
    /// The profile itself first.
    profiles: Vec<(String, Vec<Lines<'a>>)>,
}

impl<'a> Settings<'a> {
    /// None: there is no such profile.
    pub(super) fn of(files: &'a AwsFiles, profile: &str) -> Result<Option<Self>, Failure> {
        let lines = files.lines_of(profile);
        if lines.is_empty() {
            return Ok(None);
        }
        let mut it = Self { profiles: vec![(profile.to_owned(), lines)] };
        it.check_names()?;
        while let Some(include) = it.last_include() {
            let name = include.value.to_owned();
            if it.profiles.iter().any(|(other, _)| *other == name) {
                let names = it.profiles.iter().map(|(other, _)| other.as_str());
                let circle = names.chain([name.as_str()]).collect::<Vec<_>>().join(" → ");
                return Err(include.refuse(format!("leads in a circle: {circle}"), "take that line out"));
            }
            let lines = files.lines_of(&name);
            if lines.is_empty() {
                return Err(include.refuse("names a profile that there is not", "correct it there"));
            }
            it.profiles.push((name, lines));
        }
        Ok(Some(it))
    }

    /// A name that is misspelled must not pass for one that is not there: other credentials would be handed out.
    fn check_names(&self) -> Result<(), Failure> {
        for (profile, lines) in &self.profiles {
            for (name, line) in lines.iter().flat_map(Lines::entries) {
                let known = || SETTINGS.iter().any(|setting| setting.prefixed == Some(name));
                if name.starts_with(PREFIX) && !known() {
                    let place = format!("{}:{}", line.path.display(), line.line);
                    let message = format!("{place}: the profile {profile:?} has {name}, which is no setting");
                    let names: Vec<_> = SETTINGS.iter().filter_map(|setting| setting.prefixed).collect();
                    let hint = format!("there are {}", names.join(", "));
                    return Err(failure(ErrorCode::InvalidInput, message, hint));
                }
            }
        }
        Ok(())
    }

    fn last_include(&self) -> Option<Found<'a>> {
        let (profile, lines) = self.profiles.last()?;
        find(profile, lines, INCLUDE.name?)
    }

    /// What is set, and where; what is empty is not.
    pub(super) fn get(&self, setting: &Setting) -> Option<Found<'a>> {
        let profiles = if setting.included { self.profiles.len() } else { 1 };
        self.profiles.iter().take(profiles).find_map(|(profile, lines)| {
            let names = [setting.prefixed, setting.name].into_iter().flatten();
            names.filter_map(|name| find(profile, lines, name)).next()
        })
    }

    /// As [`Settings::get`], of two that are set together: the one does not hold beside the other from a place that comes later.
    pub(super) fn either(&self, one: &Setting, other: &Setting) -> (Option<Found<'a>>, Option<Found<'a>>) {
        for (profile, lines) in &self.profiles {
            let named = |name: Option<&'static str>| find(profile, lines, name?);
            for (one, other) in [(one.prefixed, other.prefixed), (one.name, other.name)] {
                let found = (named(one), named(other));
                if found.0.is_some() || found.1.is_some() {
                    return found;
                }
            }
        }
        (None, None)
    }

    /// The profile's own sections, that of the credentials file first.
    pub(super) fn sections(&self) -> &[Lines<'a>] {
        self.profiles.first().map(|(_, lines)| lines.as_slice()).unwrap_or_default()
    }
}

fn find<'a>(profile: &str, lines: &[Lines<'a>], name: &'static str) -> Option<Found<'a>> {
    let line = lines.iter().find_map(|lines| lines.get(name)).filter(|line| !line.value.is_empty())?;
    let place = format!("{}:{}", line.path.display(), line.line);
    Some(Found { value: line.value, name, profile: profile.to_owned(), place })
}

/// What an environment variable says, as a setting.
pub(super) fn in_environment<'a>(name: &'static str, value: &'a str, profile: &str) -> Found<'a> {
    Found { value, name, profile: profile.to_owned(), place: "the environment".to_owned() }
}

/// The `endpoint_url` of a service in a section of services.
pub(super) fn endpoint_of<'a>(section: Lines<'a>, service: &str, profile: &str) -> Option<Found<'a>> {
    let line = section.get(service)?;
    let value =
        line.value.lines().filter_map(|nested| nested.split_once('=')).find_map(|(name, value)| {
            (name.trim() == "endpoint_url").then(|| value.trim()).filter(|value| !value.is_empty())
        })?;
    let place = format!("{}:{}", line.path.display(), line.line);
    Some(Found { value, name: "endpoint_url", profile: profile.to_owned(), place })
}
