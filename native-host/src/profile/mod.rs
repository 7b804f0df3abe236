//! Profiles of AWS's config and credentials files, resolved: who begins, which device proves it, which roles follow.
//!
//! The files are read as botocore reads them ([`crate::aws_files`]), and a profile begins with the credentials with which AWS's
//! tools would: a profile that works there works here. What only Keyfob knows stands under names of its own ([`setting`]).
//!
//! Source: "Configuration and credential file settings", AWS CLI User Guide; `AssumeRoleProvider` and
//! `create_credential_resolver` of botocore's `credentials.py`; aws-vault's documentation.

pub(crate) mod endpoint;
pub(crate) mod setting;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::partition::PARTITIONS;

use crate::aws_call::DEFAULT_REGION;
use crate::aws_files::{AwsFileError, AwsFiles, words};
use crate::error::failure;
use crate::signing::Session;
use endpoint::Variant;
use setting::{Found, Settings, endpoint_of, in_environment};

/// Longest session of a role, in seconds.
const LONGEST_ROLE: u32 = 12 * 60 * 60;
/// Longest session of an access key, in seconds.
const LONGEST_BASE: u32 = 36 * 60 * 60;
/// The profile of those who name none: there need be nothing of it in the files.
const DEFAULT_PROFILE: &str = "default";

/// Reads an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A profile by its name.
///
/// # Errors
/// What is wrong with it, or with the files: [`keyfob_core::message::ErrorCode::NotFound`] with the names there are, where there is none of that name.
pub fn resolve(name: &str, env: Env<'_>) -> Result<Profile, Failure> {
    resolve_in(&AwsFiles::open(env).map_err(unread)?, name, env)
}

/// As [`resolve`], of files that are read already.
pub(crate) fn resolve_in(files: &AwsFiles, name: &str, env: Env<'_>) -> Result<Profile, Failure> {
    Resolver { files, env, visited: Vec::new() }.profile(name)
}

/// What stands in for a profile where none is named: an access key whose secret is on a key, and the environment's region.
///
/// # Errors
/// What is wrong with the environment.
pub fn of_identity(access_key_id: Option<&str>, env: Env<'_>) -> Result<Profile, Failure> {
    let name = access_key_id.unwrap_or("the key");
    let places = Places::of(name, None, None, None, env)?;
    Ok(Profile {
        name: name.to_owned(),
        base: Base::Key { access_key_id: access_key_id.map(str::to_owned), key: None },
        mfa: mfa_of_environment(name, None, env)?,
        roles: Vec::new(),
        duration: None,
        region: places.region,
        sts: places.sts,
        iam: places.iam,
        ca_bundle: places.ca_bundle,
    })
}

/// The names of all profiles, in the files' order.
///
/// # Errors
/// What is wrong with the files.
pub fn names(env: Env<'_>) -> Result<Vec<String>, Failure> {
    Ok(AwsFiles::open(env).map_err(unread)?.names())
}

/// A file that cannot be used, as a failure.
pub(crate) fn unread(error: AwsFileError) -> Failure {
    failure(error.code(), &error, error.hint())
}

fn var(env: Env<'_>, name: &str) -> Option<String> {
    env(name)?.into_string().ok().filter(|value| !value.is_empty())
}

/// The credentials of one profile, as far as they are known while the profiles before it are resolved.
struct Chain {
    base: Base,
    /// Of the base's own profile.
    mfa: Option<Mfa>,
    /// Of the first role that names one.
    role_mfa: Option<Mfa>,
    roles: Vec<Role>,
    /// Of the base's session.
    duration: Option<u32>,
    /// Of the base.
    sts: Endpoint,
}

/// Where the services are that a program asks which was started for a profile: it goes by that profile all along.
#[derive(Clone)]
struct Places {
    region: Option<String>,
    sts: Endpoint,
    iam: Endpoint,
    ca_bundle: Option<PathBuf>,
}

impl Places {
    /// `role_arn` says which partition it is, where nothing names a region.
    fn of(
        profile: &str,
        settings: Option<&Settings<'_>>,
        files: Option<&AwsFiles>,
        role_arn: Option<&str>,
        env: Env<'_>,
    ) -> Result<Self, Failure> {
        let of_profile = |setting| settings.and_then(|settings| settings.get(setting));
        let region = match (var(env, "AWS_REGION"), var(env, "AWS_DEFAULT_REGION")) {
            (Some(region), _) => Some(in_environment("AWS_REGION", &region, profile).region()?),
            (None, Some(region)) => Some(in_environment("AWS_DEFAULT_REGION", &region, profile).region()?),
            (None, None) => of_profile(&setting::REGION).map(|it| it.region()).transpose()?,
        };
        let partition = role_arn.and_then(|arn| arn.split(':').nth(1));
        let asked = region.as_deref().unwrap_or_else(|| match partition {
            Some(id) => PARTITIONS
                .iter()
                .find(|partition| partition.id == id)
                .map_or(DEFAULT_REGION, endpoint::iam_region),
            None => DEFAULT_REGION,
        });
        let flag = |name: &str, setting| match var(env, name) {
            // As the SDKs: what is not true is false.
            Some(value) => Ok(value.eq_ignore_ascii_case("true")),
            None => of_profile(setting).map_or(Ok(false), |it: Found<'_>| it.is_true()),
        };
        let legacy = match var(env, "AWS_STS_REGIONAL_ENDPOINTS") {
            Some(value) => in_environment("AWS_STS_REGIONAL_ENDPOINTS", &value, profile).is_legacy()?,
            None => of_profile(&setting::STS_REGIONAL).map_or(Ok(false), |it| it.is_legacy())?,
        };
        let variant = Variant {
            fips: flag("AWS_USE_FIPS_ENDPOINT", &setting::FIPS)?,
            dual_stack: flag("AWS_USE_DUALSTACK_ENDPOINT", &setting::DUAL_STACK)?,
            legacy,
        };
        let is_ignored = flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", &setting::IGNORE_ENDPOINTS)?;
        let services = match of_profile(&setting::SERVICES).filter(|_| !is_ignored) {
            Some(name) => Some(files.and_then(|files| files.services(name.value)).ok_or_else(|| {
                name.refuse("names services that there are not", "add [services …], or correct it")
            })?),
            None => None,
        };
        let named = |variable: &'static str, service: &str| {
            for name in [variable, "AWS_ENDPOINT_URL"] {
                if let Some(url) = var(env, name) {
                    let name = if name == variable { variable } else { "AWS_ENDPOINT_URL" };
                    return in_environment(name, &url, profile).url().map(Some);
                }
            }
            let of_service = services.and_then(|section| endpoint_of(section, service, profile));
            of_service.or_else(|| of_profile(&setting::ENDPOINT_URL)).map(|it| it.url()).transpose()
        };
        let place = |own: Endpoint, variable, service| {
            let url = if is_ignored { None } else { named(variable, service)? };
            Ok::<_, Failure>(match url {
                Some(url) => Endpoint { url, ..own },
                None => own,
            })
        };
        let ca_bundle = match var(env, "AWS_CA_BUNDLE") {
            Some(path) => Some(in_environment("AWS_CA_BUNDLE", &path, profile).path()),
            None => of_profile(&setting::CA_BUNDLE).map(|it| it.path()),
        };
        Ok(Self {
            sts: place(endpoint::sts(asked, variant)?, "AWS_ENDPOINT_URL_STS", "sts")?,
            iam: place(endpoint::iam(asked, variant)?, "AWS_ENDPOINT_URL_IAM", "iam")?,
            region,
            ca_bundle,
        })
    }
}

/// Follows profiles to each other.
struct Resolver<'a> {
    files: &'a AwsFiles,
    env: Env<'a>,
    /// The profiles that are being followed, the first one first.
    visited: Vec<String>,
}

impl<'a> Resolver<'a> {
    fn profile(&mut self, name: &str) -> Result<Profile, Failure> {
        let Some(settings) = Settings::of(self.files, name)? else {
            if name == DEFAULT_PROFILE {
                return Ok(Profile { name: name.to_owned(), ..of_identity(None, self.env)? });
            }
            return Err(self.missing(name));
        };
        let places = self.places(name, &settings)?;
        let Chain { base, mfa, role_mfa, mut roles, duration, sts } = self.begin(name, &settings, &places)?;
        let is_exported = matches!(base, Base::Exported { .. });
        // There it is the role of the web identity.
        let for_token = (self.env)("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
        if let Some(arn) =
            var(self.env, "AWS_ROLE_ARN").filter(|_| roles.is_empty() && !is_exported && !for_token)
        {
            let arn = in_environment("AWS_ROLE_ARN", &arn, name).role_arn()?;
            roles.push(role(name, arn, &settings, &places.sts)?);
        }
        if let Some(last) =
            roles.last_mut().filter(|role| role.profile == name && role.session_name.is_none())
        {
            let given = var(self.env, "AWS_ROLE_SESSION_NAME");
            last.session_name = given
                .map(|it| in_environment("AWS_ROLE_SESSION_NAME", &it, name).session_name())
                .transpose()?;
        }
        let mfa = match role_mfa.or(mfa) {
            None if !is_exported => mfa_of_environment(name, Some(&settings), self.env)?,
            mfa => mfa,
        };
        Ok(Profile {
            name: name.to_owned(),
            region: places.region,
            base,
            mfa,
            roles,
            duration,
            sts,
            iam: places.iam,
            ca_bundle: places.ca_bundle,
        })
    }

    fn places(&self, name: &str, settings: &Settings<'_>) -> Result<Places, Failure> {
        let arn = settings.get(&setting::ROLE_ARN);
        Places::of(name, Some(settings), Some(self.files), arn.as_ref().map(|arn| arn.value), self.env)
    }

    fn missing(&self, name: &str) -> Failure {
        let names = self.files.names();
        let files =
            self.files.paths().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ");
        let hint = match names.is_empty() {
            true => format!("`keyfob aws setup {name}` writes one"),
            false => format!("name one that is there, or write it: `keyfob aws setup {name}`"),
        };
        let message = format!("there is no profile {name:?} in {files}");
        Failure { candidates: names, ..failure(ErrorCode::NotFound, message, hint) }
    }

    /// The profile that another one names.
    fn follow(&mut self, from: &Found<'_>, name: &str, places: Option<&Places>) -> Result<Chain, Failure> {
        if self.visited.iter().any(|other| other == name) {
            let names = self.visited.iter().map(String::as_str);
            let circle = names.chain([name]).collect::<Vec<_>>().join(" → ");
            let message = format!("the profiles lead in a circle: {circle}");
            return Err(failure(ErrorCode::InvalidInput, message, format!("correct {}", from.name)));
        }
        let Some(settings) = Settings::of(self.files, name)? else {
            let missing = self.missing(name);
            let message = format!("{}, which {} names", missing.message, from.place());
            return Err(Failure { message, ..missing });
        };
        // A program that is started for a profile goes by that profile; so does what stands in for the program.
        let own = match places {
            Some(_) if !runs_keyfob(&settings)? => None,
            _ => Some(self.places(name, &settings)?),
        };
        match own.as_ref().or(places) {
            Some(places) => self.begin(name, &settings, places),
            None => Err(failure(ErrorCode::Internal, "no endpoints are known", "please report this")),
        }
    }

    fn begin(&mut self, name: &str, settings: &Settings<'a>, places: &Places) -> Result<Chain, Failure> {
        self.visited.push(name.to_owned());
        let chain = self.chain(name, settings, places);
        self.visited.pop();
        chain
    }

    fn chain(&mut self, name: &str, settings: &Settings<'a>, places: &Places) -> Result<Chain, Failure> {
        // As botocore: the first profile's role comes before its access key, that of a source after it.
        let is_source = self.visited.len() > 1;
        let arn = settings.get(&setting::ROLE_ARN).filter(|arn| {
            let is_ours = arn.name.starts_with(setting::PREFIX);
            is_ours
                || settings.get(&setting::WEB_IDENTITY).is_none() && !(is_source && has_access_key(settings))
        });
        let Some(arn) = arn else {
            return self.base(name, settings, places);
        };
        let role = role(name, arn.role_arn()?, settings, &places.sts)?;
        let mut chain = match settings.either(&setting::SOURCE_PROFILE, &setting::CREDENTIAL_SOURCE) {
            (Some(source), Some(other)) => {
                let why = format!("stands beside {}", other.name);
                return Err(source.refuse(why, "take one of them out"));
            }
            (Some(source), None) if source.value != name => {
                self.follow(&source, source.value, Some(places))?
            }
            (None, Some(source)) => match self.of_source(name, settings, &arn, &source)? {
                Source::Given(session) => {
                    Chain { mfa: mfa(settings)?, ..Chain::new(Base::Given(session), places) }
                }
                Source::Exported => {
                    let base = Base::Exported { profile: name.to_owned() };
                    return Ok(Chain::new(base, places));
                }
            },
            // Its own, whatever AWS's tools need a `source_profile` for.
            _ => Chain { duration: None, ..self.base(name, settings, places)? },
        };
        if chain.role_mfa.is_none() {
            chain.role_mfa = mfa(settings)?;
        }
        chain.roles.push(role);
        Ok(chain)
    }

    /// Where a role's `credential_source` is.
    fn of_source(
        &self,
        name: &str,
        settings: &Settings<'_>,
        arn: &Found<'_>,
        source: &Found<'_>,
    ) -> Result<Source, Failure> {
        match source.value {
            "Environment" => {
                let session = Session::from_env(|name| var(self.env, name));
                session.map(Source::Given).map_err(|error| Failure {
                    message: format!("{}: {}", source.place(), error.message),
                    ..error
                })
            }
            "Ec2InstanceMetadata" | "EcsContainer" => {
                // The AWS CLI reaches them, by assuming the role itself.
                for found in [arn, source] {
                    if found.name.starts_with(setting::PREFIX) {
                        let why = format!("cannot begin with {}", source.value);
                        let hint = format!(
                            "put role_arn and credential_source into a profile of their own, and name it by keyfob_source_profile in {name:?}"
                        );
                        return Err(found.refuse(why, hint));
                    }
                }
                for setting in [&setting::TAGS, &setting::TRANSITIVE_TAGS, &setting::SOURCE_IDENTITY] {
                    if let Some(found) = settings.get(setting) {
                        let why = format!("cannot be sent along with credential_source = {}", source.value);
                        return Err(
                            found.refuse(why, "the AWS CLI assumes that role, and knows no such setting")
                        );
                    }
                }
                Ok(Source::Exported)
            }
            _ => Err(source.refuse(
                "is none that AWS's tools know",
                "there are Environment, Ec2InstanceMetadata and EcsContainer",
            )),
        }
    }

    /// What a profile begins with without its role, in the order in which AWS's tools look for it; what Keyfob alone knows
    /// comes first.
    fn base(&mut self, name: &str, settings: &Settings<'a>, places: &Places) -> Result<Chain, Failure> {
        let has = |setting| settings.get(setting).is_some();
        let process = process(settings)?;
        let ours = process.as_ref().and_then(|(_, words)| Ours::of(words));
        let device = settings.get(&setting::DEVICE).map(|it| it.value.to_owned());
        let key = device.or_else(|| ours.as_ref().and_then(|ours| ours.key.clone()));
        let source = |is_ours: bool| {
            let source = settings.get(&setting::SOURCE_PROFILE)?;
            (source.name.starts_with(setting::PREFIX) == is_ours && source.value != name).then_some(source)
        };
        let exported = || Base::Exported { profile: name.to_owned() };
        let base = if let Some(id) = settings.get(&setting::ACCESS_KEY) {
            Base::Key { access_key_id: Some(id.access_key_id()?), key }
        } else if let Some(source) = source(true) {
            return self.borrowed(&source, settings, places);
        } else if has(&setting::WEB_IDENTITY) || has(&setting::SSO_ACCOUNT) || has(&setting::SSO_ROLE) {
            exported()
        } else if let Some(session) = access_key(name, settings, true)? {
            Base::Given(session)
        } else if has(&setting::LOGIN_SESSION) {
            exported()
        } else if let Some((found, _)) = process.as_ref().filter(|_| ours.is_none()) {
            Base::Process { command: found.value.to_owned(), profile: name.to_owned() }
        } else if let (Some(other), Some((found, _))) =
            (ours.and_then(|ours| ours.profile).filter(|other| other != name), process)
        {
            return self.follow(&found, &other, None);
        } else if let Some(session) = access_key(name, settings, false)? {
            Base::Given(session)
        } else if has(&setting::SSO_SESSION) || has(&setting::SSO_START_URL) {
            exported()
        } else if let Some(source) = source(false) {
            return self.borrowed(&source, settings, places);
        } else {
            Base::Key { access_key_id: None, key }
        };
        let duration = settings.get(&setting::DURATION).map(|it| it.duration(LONGEST_BASE)).transpose()?;
        Ok(Chain { mfa: mfa(settings)?, duration, ..Chain::new(base, places) })
    }

    /// The credentials of a `source_profile` without a role, as aws-vault has it: with the profile's own device and duration.
    fn borrowed(
        &mut self,
        source: &Found<'_>,
        settings: &Settings<'_>,
        places: &Places,
    ) -> Result<Chain, Failure> {
        let chain = self.follow(source, source.value, Some(places))?;
        if !chain.roles.is_empty() {
            return Ok(chain);
        }
        let duration = settings.get(&setting::DURATION).map(|it| it.duration(LONGEST_BASE)).transpose()?;
        Ok(Chain { mfa: mfa(settings)?.or(chain.mfa), duration: duration.or(chain.duration), ..chain })
    }
}

impl Chain {
    fn new(base: Base, places: &Places) -> Self {
        let sts = places.sts.clone();
        Self { base, mfa: None, role_mfa: None, roles: Vec::new(), duration: None, sts }
    }
}

enum Source {
    Given(Session),
    Exported,
}

/// The `credential_process`, and its words. It may have secrets in it, so it is not shown.
fn process<'a>(settings: &Settings<'a>) -> Result<Option<(Found<'a>, Vec<String>)>, Failure> {
    let Some(found) = settings.get(&setting::PROCESS) else { return Ok(None) };
    match command_words(found.value).filter(|words| !words.is_empty()) {
        Some(words) => Ok(Some((found, words))),
        None => {
            let message = format!("{}: the credential_process has a quote that stays open", found.place());
            Err(failure(ErrorCode::InvalidInput, message, "correct it there"))
        }
    }
}

/// A command line, taken apart as botocore does; none if a quote stays open.
pub(crate) fn command_words(command: &str) -> Option<Vec<String>> {
    if cfg!(windows) { windows_words(command) } else { words(command) }
}

/// As Windows' programs take apart what they are started with: `\` is itself but before a quote.
fn windows_words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted, mut slashes) = (Vec::new(), None::<String>, false, 0);
    for c in command.chars() {
        if c == '\\' {
            slashes += 1;
            continue;
        }
        let count = std::mem::take(&mut slashes);
        let shown = if c == '"' { count / 2 } else { count };
        if shown > 0 {
            word.get_or_insert_default().extend(std::iter::repeat_n('\\', shown));
        }
        match c {
            '"' if count % 2 == 1 => word.get_or_insert_default().push(c),
            '"' => {
                word.get_or_insert_default();
                quoted = !quoted;
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if slashes > 0 {
        word.get_or_insert_default().extend(std::iter::repeat_n('\\', slashes));
    }
    words.extend(word);
    (!quoted).then_some(words)
}

/// A `credential_process` that is Keyfob itself.
struct Ours {
    /// The profile that it is asked for; none: the one that the SDK is using.
    profile: Option<String>,
    /// Which key, if it says.
    key: Option<String>,
}

impl Ours {
    fn of(words: &[String]) -> Option<Self> {
        const COMMAND: &str = "credential-process";
        /// Options that have a value behind them.
        const VALUED: [&str; 4] = ["-k", "--key", "--timeout", "--duration"];
        let (program, arguments) = words.split_first()?;
        if !Path::new(program).file_stem()?.eq_ignore_ascii_case("keyfob") {
            return None;
        }
        let (mut key, mut plain) = (None, Vec::new());
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let value = VALUED.contains(&argument.as_str()).then(|| arguments.next()).flatten();
            let short = argument.strip_prefix("-k").filter(|value| !value.is_empty());
            match (argument.as_str(), argument.strip_prefix("--key=").or(short)) {
                ("-k" | "--key", _) => key = value.cloned(),
                (_, Some(value)) => key = Some(value.to_owned()),
                (option, _) if option.starts_with('-') => {}
                (word, _) => plain.push(word),
            }
        }
        let (command, profile) = plain.split_first()?;
        (*command == COMMAND).then(|| Self { profile: profile.first().map(|name| (*name).to_owned()), key })
    }
}

/// Whether a `credential_process` of a profile is Keyfob, asked for that very profile.
pub(crate) fn is_keyfob_for(words: &[String], profile: &str) -> bool {
    Ours::of(words).is_some_and(|ours| ours.profile.is_none_or(|other| other == profile))
}

fn runs_keyfob(settings: &Settings<'_>) -> Result<bool, Failure> {
    Ok(process(settings)?.is_some_and(|(_, words)| Ours::of(&words).is_some()))
}

/// Whether AWS's tools would say that the profile has an access key.
fn has_access_key(settings: &Settings<'_>) -> bool {
    [setting::KEY_ID, setting::SECRET].iter().any(|setting| settings.get(setting).is_some())
}

/// The access key that stands in the profile's section of one of the files.
fn access_key(name: &str, settings: &Settings<'_>, of_credentials: bool) -> Result<Option<Session>, Failure> {
    let mut sections = settings.sections().iter();
    let Some(section) = sections.find(|section| section.of_credentials() == of_credentials) else {
        return Ok(None);
    };
    let line = |setting: &setting::Setting| section.get(setting.name?).filter(|line| !line.value.is_empty());
    let Some(id) = line(&setting::KEY_ID) else { return Ok(None) };
    let place = format!("{}:{}", id.path.display(), id.line);
    if line(&setting::SECRET).is_none() {
        let message = format!("{place}: the profile {name:?} has an access key id without its secret");
        let hint = "complete or correct it; if the secret is on the key, write keyfob_access_key_id in place of aws_access_key_id";
        return Err(failure(ErrorCode::InvalidInput, message, hint));
    }
    let session = Session::from_env(|variable| {
        let line = match variable {
            "AWS_ACCESS_KEY_ID" => Some(id),
            "AWS_SECRET_ACCESS_KEY" => line(&setting::SECRET),
            "AWS_SESSION_TOKEN" => line(&setting::TOKEN).or_else(|| line(&setting::OLD_TOKEN)),
            _ => None,
        };
        line.map(|line| line.value.to_owned())
    });
    session.map(Some).map_err(|error| Failure { message: format!("{place}: {}", error.message), ..error })
}

fn role(name: &str, arn: String, settings: &Settings<'_>, sts: &Endpoint) -> Result<Role, Failure> {
    let get = |setting| settings.get(setting);
    let tags = get(&setting::TAGS).map(|it| it.tags()).transpose()?.unwrap_or_default();
    let transitive_tags = get(&setting::TRANSITIVE_TAGS).map(|it| it.keys_of(&tags)).transpose()?;
    Ok(Role {
        profile: name.to_owned(),
        arn,
        session_name: get(&setting::SESSION_NAME).map(|it| it.session_name()).transpose()?,
        external_id: get(&setting::EXTERNAL_ID).map(|it| it.external_id()).transpose()?,
        duration: get(&setting::DURATION).map(|it| it.duration(LONGEST_ROLE)).transpose()?,
        source_identity: get(&setting::SOURCE_IDENTITY).map(|it| it.session_name()).transpose()?,
        transitive_tags: transitive_tags.unwrap_or_default(),
        tags,
        sts: sts.clone(),
    })
}

/// The MFA device that a profile names.
fn mfa(settings: &Settings<'_>) -> Result<Option<Mfa>, Failure> {
    let account = settings.get(&setting::MFA_ACCOUNT);
    let Some(found) = settings.get(&setting::MFA_SERIAL) else { return Ok(None) };
    Ok(devices(found.serials()?, account.map(|account| account.value.to_owned())))
}

fn devices(serials: Vec<String>, account: Option<String>) -> Option<Mfa> {
    let mut serials = serials.into_iter();
    Some(Mfa { serial: serials.next()?, account, others: serials.collect() })
}

/// The one that the environment names.
fn mfa_of_environment(
    name: &str,
    settings: Option<&Settings<'_>>,
    env: Env<'_>,
) -> Result<Option<Mfa>, Failure> {
    let account = settings.and_then(|settings| settings.get(&setting::MFA_ACCOUNT));
    match var(env, "AWS_MFA_SERIAL") {
        Some(serial) => {
            let serials = in_environment("AWS_MFA_SERIAL", &serial, name).serials()?;
            Ok(devices(serials, account.map(|account| account.value.to_owned())))
        }
        None => Ok(None),
    }
}

/// A profile, with all that it takes to get credentials for it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The region of whoever uses the credentials, if one is set.
    pub region: Option<String>,
    /// Whose credentials everything begins with.
    pub base: Base,
    /// The MFA device of the base identity, where one is named: by the first role that names one, else by the base's own
    /// profile.
    pub mfa: Option<Mfa>,
    /// The roles in the order in which they are assumed; the last one's session is the profile's. None: the base's own session.
    pub roles: Vec<Role>,
    /// How long the base's session is to last, in seconds, where the profile says.
    pub duration: Option<u32>,
    /// The STS that makes the base's session.
    pub sts: Endpoint,
    /// The IAM of the same account.
    pub iam: Endpoint,
    /// Certificates (PEM) that vouch for the servers, where the profile names a file (`ca_bundle`).
    pub ca_bundle: Option<PathBuf>,
}

/// Whose credentials everything begins with.
#[derive(Debug, Clone)]
pub enum Base {
    /// An access key whose secret is on a key.
    Key {
        /// `AKIA…`; none: the only one on the key.
        access_key_id: Option<String>,
        /// Which key, as `--key` names one, where the profile says (`keyfob_device`).
        key: Option<String>,
    },
    /// An access key in the credentials file, the config file or the environment (`credential_source = Environment`).
    Given(Session),
    /// What another program gives for a profile: `aws configure export-credentials` (Identity Center, `login_session`, web
    /// identity, instance and container roles).
    Exported {
        /// The profile that is named to it.
        profile: String,
    },
    /// What the profile's `credential_process` prints. Never Keyfob itself.
    Process {
        /// The command line.
        command: String,
        /// The profile that it is of.
        profile: String,
    },
}

/// An MFA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mfa {
    /// `arn:aws:iam::123456789012:mfa/alice`, or a hardware device's serial number.
    pub serial: String,
    /// The name of its account on the key, where the profile gives one (`mfa_alias`, `keyfob_oath`).
    pub account: Option<String>,
    /// Further devices of the same user; whichever is on a key that is plugged in is used.
    pub others: Vec<String>,
}

impl Mfa {
    /// Whether a serial number is that of one of the devices.
    #[must_use]
    pub fn is(&self, serial: &str) -> bool {
        self.serial == serial || self.others.iter().any(|other| other == serial)
    }
}

/// A role to assume.
#[derive(Debug, Clone)]
pub struct Role {
    /// The profile that names it.
    pub profile: String,
    /// `role_arn`.
    pub arn: String,
    /// `role_session_name`.
    pub session_name: Option<String>,
    /// `external_id`.
    pub external_id: Option<String>,
    /// `duration_seconds`.
    pub duration: Option<u32>,
    /// `source_identity`.
    pub source_identity: Option<String>,
    /// `session_tags`, in the file's order.
    pub tags: Vec<(String, String)>,
    /// `transitive_session_tags`.
    pub transitive_tags: Vec<String>,
    /// The STS that is asked.
    pub sts: Endpoint,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://sts.eu-west-1.amazonaws.com`.
    pub url: String,
    /// Of the credential scope.
    pub region: String,
}
