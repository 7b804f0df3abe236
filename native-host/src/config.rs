//! The user's configuration: `config.toml` in the config folder. No file means the defaults.
//!
//! ```toml
//! # The key to use where none is named: a serial number, "soft:NAME", or a name from [keys].
//! key = "work"
//!
//! # Names for keys: what --key and KEYFOB_KEY take besides.
//! [keys]
//! work = "12345678"
//! backup = "23456789"
//!
//! [agent]
//! # Whether there is to be one; without, every program holds the key for itself.
//! enabled = true
//! # After so long without a request the agent forgets passwords: 30s, 15m, 8h.
//! idle = "15m"
//!
//! [signing]
//! # A signing key lives for one operation. With this the agent keeps the key of a day, region and service for so long, and
//! # the command line signs with it without another touch.
//! keep = "15m"
//!
//! [browser]
//! # Accounts that a browser sees besides those of AWS, by full name.
//! allow_accounts = ["GitHub:me"]
//! # Servers that a browser may have links presigned for besides AWS.
//! allow_endpoints = ["http://127.0.0.1:9000"]
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use keyfob_core::message::ErrorCode;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::cli::time;

/// The environment variable that names the key, before the file's `key`.
pub const KEY_ENV: &str = "KEYFOB_KEY";

/// Longest time for which a signing key is kept, in seconds.
const MAX_KEEP: u64 = 86_400;

/// More than any configuration file has, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The environment variable is not text.
    #[error("{KEY_ENV} is not valid UTF-8: give a serial number or soft:NAME")]
    KeyEnv,
}

impl ConfigError {
    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } => ErrorCode::Io,
            Self::Invalid { .. } | Self::KeyEnv => ErrorCode::InvalidInput,
        }
    }
}

/// The resolved settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The key to use where the command line names none.
    pub key: Option<String>,
    /// Names that the user has given to keys, and their ids.
    pub keys: BTreeMap<String, String>,
    /// Whether front ends use the agent.
    pub agent: bool,
    /// After so many seconds without a request the agent forgets passwords; none: as it likes.
    pub agent_idle: Option<u64>,
    /// For so many seconds a signing key is kept; none: for one operation.
    #[serde(default)]
    pub signing_keep: Option<u64>,
    /// What browsers may have besides the defaults.
    pub browser: BrowserConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            key: None,
            keys: BTreeMap::new(),
            agent: true,
            agent_idle: None,
            signing_keep: None,
            browser: BrowserConfig::default(),
        }
    }
}

/// The `[browser]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserConfig {
    /// Full names of accounts that a browser may see though they are none of AWS's.
    pub allow_accounts: Vec<String>,
    /// Origins (`scheme://host[:port]`, lower case, no default port) that presigned links may lead to
    /// besides AWS's.
    pub allow_endpoints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Option<Spanned<String>>,
    #[serde(default)]
    keys: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    agent: AgentTable,
    #[serde(default)]
    signing: SigningTable,
    #[serde(default)]
    browser: BrowserTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentTable {
    enabled: Option<bool>,
    idle: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SigningTable {
    keep: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrowserTable {
    #[serde(default)]
    allow_accounts: Vec<String>,
    #[serde(default)]
    allow_endpoints: Vec<Spanned<String>>,
}

impl Config {
    /// Reads the file at `path`, if there is one, and applies [`KEY_ENV`]. `env` reads an environment
    /// variable.
    ///
    /// # Errors
    /// [`ConfigError`]; a missing file is none.
    pub fn load(path: &Path, env: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut config = match read_bounded(path) {
            Ok(text) => Self::parse(path, &text)?,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(source) => return Err(ConfigError::Io { path: path.to_owned(), source }),
        };
        if let Some(key) = env(KEY_ENV).filter(|key| !key.is_empty()) {
            config.key = Some(key.into_string().map_err(|_| ConfigError::KeyEnv)?);
        }
        Ok(config)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let invalid = |offset: usize, message: String| {
            let before = text.get(..offset).unwrap_or(text);
            let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
            ConfigError::Invalid { path: path.to_owned(), line, message }
        };
        let file: File = toml::from_str(text).map_err(|error| {
            invalid(error.span().map_or(0, |span| span.start), error.message().trim().replace('\n', ", "))
        })?;
        let key = match file.key {
            Some(key) if key.get_ref().trim().is_empty() => {
                let message = "`key` is empty: give a serial number or soft:NAME, or remove the line";
                return Err(invalid(key.span().start, message.to_owned()));
            }
            key => key.map(Spanned::into_inner),
        };
        let allow_endpoints = file.browser.allow_endpoints.into_iter().map(|endpoint| {
            origin(endpoint.get_ref()).ok_or_else(|| {
                let message = format!(
                    "`{}` is not an endpoint: give scheme, host and port alone, as http://127.0.0.1:9000",
                    endpoint.get_ref()
                );
                invalid(endpoint.span().start, message)
            })
        });
        for (name, id) in &file.keys {
            // Else `--key` could mean two keys.
            let is_id = |text: &str| {
                text.is_empty() || text.starts_with("soft") || text.bytes().all(|b| b.is_ascii_digit())
            };
            if is_id(name) {
                let message =
                    format!("`{name}` cannot name a key: it looks like a serial number or a software key");
                return Err(invalid(id.span().start, message));
            }
            if id.get_ref().trim().is_empty() {
                return Err(invalid(id.span().start, format!("no key is given for the name `{name}`")));
            }
        }
        let seconds = |duration: Spanned<String>| {
            let seconds =
                time::duration(duration.get_ref()).map_err(|hint| invalid(duration.span().start, hint))?;
            Ok(seconds.as_secs())
        };
        Ok(Self {
            key,
            keys: file.keys.into_iter().map(|(name, id)| (name, id.into_inner())).collect(),
            agent: file.agent.enabled.unwrap_or(true),
            agent_idle: file.agent.idle.map(seconds).transpose()?,
            signing_keep: match file.signing.keep {
                None => None,
                Some(keep) => {
                    let start = keep.span().start;
                    let keep = seconds(keep)?;
                    if keep > MAX_KEEP {
                        let message = "`keep` is more than a day: a signing key is good for one UTC day, give 24h or less";
                        return Err(invalid(start, message.to_owned()));
                    }
                    Some(keep)
                }
            },
            browser: BrowserConfig {
                allow_accounts: file.browser.allow_accounts,
                allow_endpoints: allow_endpoints.collect::<Result<_, _>>()?,
            },
        })
    }
}

impl Config {
    /// The id of the key that is meant: the one that was asked for, or the one of the configuration, by its id or by the
    /// name that the user gave it.
    #[must_use]
    pub fn choice(&self, asked: Option<&str>) -> Option<String> {
        let choice = asked.or(self.key.as_deref())?;
        Some(self.keys.get(choice).map_or(choice, String::as_str).to_owned())
    }

    /// The name that the user gave to the key with this id.
    #[must_use]
    pub fn name_of(&self, id: &str) -> Option<&str> {
        self.keys.iter().find(|(_, named)| *named == id).map(|(name, _)| name.as_str())
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(text)
}

/// An endpoint in the one form in which origins are compared, or none if it is more or less than an origin.
fn origin(endpoint: &str) -> Option<String> {
    let lower = endpoint.to_ascii_lowercase();
    let lower = lower.strip_suffix('/').unwrap_or(&lower);
    let (scheme, rest) = lower.split_once("://")?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (host, port) = match rest.rsplit_once(':') {
        // Inside an IPv6 address in brackets a colon is no port's.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'),
    };
    if !is_host {
        return None;
    }
    match port {
        None => Some(format!("{scheme}://{host}")),
        Some(port) => match port.parse::<u16>().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()))? {
            port if port == default_port => Some(format!("{scheme}://{host}")),
            port => Some(format!("{scheme}://{host}:{port}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_strictly() {
        #[track_caller]
        fn check(text: &str, expected: Result<Config, &str>) {
            let actual = Config::parse(Path::new("c.toml"), text).map_err(|error| error.to_string());
            match (actual, expected) {
                (Ok(actual), Ok(expected)) => assert_eq!(actual, expected, "{text}"),
                (Err(actual), Err(expected)) => {
                    assert!(actual.starts_with(expected), "{actual}\nnot {expected}")
                }
                (actual, expected) => panic!("{actual:?}\nnot {expected:?}"),
            }
        }
        let browser = |accounts: &[&str], endpoints: &[&str]| Config {
            browser: BrowserConfig {
                allow_accounts: accounts.iter().map(|&s| s.to_owned()).collect(),
                allow_endpoints: endpoints.iter().map(|&s| s.to_owned()).collect(),
            },
            ..Config::default()
        };
        check("", Ok(Config::default()));
        check("[signing]\nkeep = \"24h\"", Ok(Config { signing_keep: Some(86_400), ..Config::default() }));
        check("[signing]\nkeep = \"25h\"", Err("c.toml:2: `keep` is more than a day"));
        check("[signing]\nkeep = \"x\"", Err("c.toml:2: "));
        check("key = \"soft:demo\"", Ok(Config { key: Some("soft:demo".into()), ..Config::default() }));
        check(
            "[browser]\nallow_accounts = [\"GitHub:me\"]\nallow_endpoints = [\"HTTP://127.0.0.1:9000/\"]",
            Ok(browser(&["GitHub:me"], &["http://127.0.0.1:9000"])),
        );
        check("# c\n\nkey = 1\n", Err("c.toml:3: invalid type: integer `1`, expected a string"));
        check("key = \"\"\n", Err("c.toml:1: `key` is empty"));
        check("\n[browsers]\n", Err("c.toml:2: unknown field `browsers`"));
        check("key = \"x\n", Err("c.toml:1: "));
        check(
            "[browser]\nallow_endpoints = [\n \"s3.example\"]",
            Err("c.toml:3: `s3.example` is not an endpoint"),
        );
    }

    #[test]
    fn endpoints_are_origins() {
        #[track_caller]
        fn check(endpoint: &str, expected: Option<&str>) {
            assert_eq!(origin(endpoint).as_deref(), expected, "{endpoint}");
        }
        check("http://127.0.0.1:9000", Some("http://127.0.0.1:9000"));
        check("https://S3.Example:443/", Some("https://s3.example"));
        check("http://h:80", Some("http://h"));
        check("http://[::1]:9000", Some("http://[::1]:9000"));
        check("http://[::1]", Some("http://[::1]"));
        for bad in [
            "",
            "s3.example",
            "ftp://h",
            "https://",
            "https://:1",
            "https://h:",
            "https://h:+1",
            "https://h:65536",
            "https://h/p",
            "https://u@h",
            "https://h?q",
            "https://h#f",
            "https://[::1",
            "https://[x]",
            "https://a b",
            "https://*",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn the_environment_names_the_key_first_and_no_file_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(Config::load(&path, |_| None).unwrap(), Config::default());
        std::fs::write(&path, "key = \"1\"").unwrap();
        assert_eq!(Config::load(&path, |_| None).unwrap().key.as_deref(), Some("1"));
        let env = |name: &str| (name == KEY_ENV).then(|| OsString::from("soft:x"));
        assert_eq!(Config::load(&path, env).unwrap().key.as_deref(), Some("soft:x"));
        assert_eq!(Config::load(&path, |_| Some(OsString::new())).unwrap().key.as_deref(), Some("1"));
        let error = Config::load(folder.path(), |_| None).unwrap_err();
        assert!(matches!(error, ConfigError::Io { .. }), "{error:?}");
        std::fs::write(&path, vec![b'#'; (MAX_FILE + 1) as usize]).unwrap();
        let error = Config::load(&path, |_| None).unwrap_err();
        assert!(error.to_string().contains("larger than"), "{error}");
    }
}
