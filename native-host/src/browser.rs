//! Tells browsers where this program is: native-messaging manifests, for every browser and system in [`BROWSERS`].
//!
//! A browser starts only hosts that a manifest in a folder of its own names, and only for the extensions that
//! the manifest lists. On Windows a registry value points to the manifest instead. Nothing here needs more
//! rights than the user's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use keyfob_core::message::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::paths::{PathError, write_atomically};

/// The host's name, by which the extension asks for it.
pub const HOST_NAME: &str = "dev.keyfob.host";

/// Name of the manifest's file.
pub const MANIFEST_FILE: &str = "dev.keyfob.host.json";

/// Id of the unpacked extension in Chromium and its kin: it follows from the public `key` in
/// `extension/static/manifest.json`, and a test computes it from there.
pub const DEVELOPMENT_ID: &str = "kgflcfbikploaljgifhheppecbmchoad";

/// Ids under which Chromium's kin get the extension from their stores. It is in none yet.
pub const STORE_IDS: &[&str] = &[];

/// Id of the add-on in Firefox, from the same file.
pub const FIREFOX_ID: &str = "keyfob@keyfob.dev";

/// What kind of manifest a browser takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// `allowed_origins`.
    Chromium,
    /// `allowed_extensions`.
    Firefox,
}

/// Whether an extension of this id is Keyfob's own.
#[must_use]
pub fn is_own_extension(family: Family, id: &str) -> bool {
    match family {
        Family::Chromium => id == DEVELOPMENT_ID || STORE_IDS.contains(&id),
        Family::Firefox => id == FIREFOX_ID,
    }
}

/// One browser, on every system.
#[derive(Debug)]
pub struct Browser {
    /// For the command line.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// What manifest it takes.
    pub family: Family,
    linux: Option<Place>,
    macos: Option<Place>,
    windows: Option<Place>,
}

/// Where a browser is, below a folder of the user's.
#[derive(Debug)]
struct Place {
    /// Folders that are there if the browser was ever used: any of them.
    profiles: &'static [(Base, &'static str)],
    /// The folder of manifests; on Windows the registry key below `HKEY_CURRENT_USER\Software`.
    hosts: (Base, &'static str),
}

/// The folders of a user below which browsers keep theirs.
#[derive(Debug, Clone, Copy)]
enum Base {
    /// `$HOME`.
    Home,
    /// Linux: `$XDG_CONFIG_HOME`, else `~/.config`.
    Config,
    /// macOS: `~/Library/Application Support`.
    ApplicationSupport,
    /// Windows: `%LOCALAPPDATA%`.
    Local,
    /// Windows: `%APPDATA%`.
    Roaming,
    /// Windows: `HKEY_CURRENT_USER\Software`.
    Registry,
}

use Base::{ApplicationSupport, Config, Home, Local, Registry as RegistryKey, Roaming};

/// Every browser that Keyfob knows.
pub const BROWSERS: &[Browser] = &[
    Browser {
        name: "chrome",
        title: "Google Chrome",
        family: Family::Chromium,
        linux: Some(Place {
            profiles: &[(Config, "google-chrome")],
            hosts: (Config, "google-chrome/NativeMessagingHosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "Google/Chrome")],
            hosts: (ApplicationSupport, "Google/Chrome/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Local, "Google/Chrome/User Data")],
            hosts: (RegistryKey, r"Google\Chrome\NativeMessagingHosts"),
        }),
    },
    Browser {
        name: "chromium",
        title: "Chromium",
        family: Family::Chromium,
        linux: Some(Place {
            profiles: &[(Config, "chromium")],
            hosts: (Config, "chromium/NativeMessagingHosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "Chromium")],
            hosts: (ApplicationSupport, "Chromium/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Local, "Chromium/User Data")],
            hosts: (RegistryKey, r"Chromium\NativeMessagingHosts"),
        }),
    },
    Browser {
        name: "edge",
        title: "Microsoft Edge",
        family: Family::Chromium,
        linux: Some(Place {
            profiles: &[(Config, "microsoft-edge")],
            hosts: (Config, "microsoft-edge/NativeMessagingHosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "Microsoft Edge")],
            hosts: (ApplicationSupport, "Microsoft Edge/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Local, "Microsoft/Edge/User Data")],
            hosts: (RegistryKey, r"Microsoft\Edge\NativeMessagingHosts"),
        }),
    },
    Browser {
        name: "brave",
        title: "Brave",
        family: Family::Chromium,
        linux: Some(Place {
            profiles: &[(Config, "BraveSoftware/Brave-Browser")],
            hosts: (Config, "BraveSoftware/Brave-Browser/NativeMessagingHosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "BraveSoftware/Brave-Browser")],
            hosts: (ApplicationSupport, "BraveSoftware/Brave-Browser/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Local, "BraveSoftware/Brave-Browser/User Data")],
            hosts: (RegistryKey, r"Google\Chrome\NativeMessagingHosts"),
        }),
    },
    Browser {
        name: "vivaldi",
        title: "Vivaldi",
        family: Family::Chromium,
        linux: Some(Place {
            profiles: &[(Config, "vivaldi")],
            hosts: (Config, "vivaldi/NativeMessagingHosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "Vivaldi")],
            hosts: (ApplicationSupport, "Vivaldi/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Local, "Vivaldi/User Data")],
            hosts: (RegistryKey, r"Google\Chrome\NativeMessagingHosts"),
        }),
    },
    Browser {
        name: "opera",
        title: "Opera",
        family: Family::Chromium,
        linux: Some(Place {
            profiles: &[(Config, "opera")],
            hosts: (Config, "google-chrome/NativeMessagingHosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "com.operasoftware.Opera")],
            hosts: (ApplicationSupport, "Google/Chrome/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Roaming, "Opera Software/Opera Stable")],
            hosts: (RegistryKey, r"Opera Software\NativeMessagingHosts"),
        }),
    },
    Browser {
        name: "arc",
        title: "Arc",
        family: Family::Chromium,
        linux: None,
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "Arc/User Data")],
            hosts: (ApplicationSupport, "Arc/User Data/NativeMessagingHosts"),
        }),
        windows: None,
    },
    Browser {
        name: "firefox",
        title: "Firefox",
        family: Family::Firefox,
        linux: Some(Place {
            profiles: &[(Home, ".mozilla/firefox"), (Config, "mozilla/firefox")],
            hosts: (Home, ".mozilla/native-messaging-hosts"),
        }),
        macos: Some(Place {
            profiles: &[(ApplicationSupport, "Firefox")],
            hosts: (ApplicationSupport, "Mozilla/NativeMessagingHosts"),
        }),
        windows: Some(Place {
            profiles: &[(Roaming, "Mozilla/Firefox")],
            hosts: (RegistryKey, r"Mozilla\NativeMessagingHosts"),
        }),
    },
];

/// Browsers in a sandbox of their own, on Linux: a folder below `$HOME` that gives one away, and what to know.
const SANDBOXED: &[(&str, &str)] = &[
    (
        "snap/firefox",
        "Firefox as a Snap asks for permission through the desktop's portal when it first starts Keyfob",
    ),
    (
        ".var/app/org.mozilla.firefox",
        "Firefox as a Flatpak starts programs outside its sandbox only from version 157 on, through its proxy",
    ),
    (
        "snap/chromium",
        "Chromium as a Snap cannot start programs outside its sandbox: use another package of it",
    ),
    (
        ".var/app/org.chromium.Chromium",
        "Chromium as a Flatpak cannot start programs outside its sandbox: use another package of it",
    ),
    (
        ".var/app/com.google.Chrome",
        "Chrome as a Flatpak cannot start programs outside its sandbox: use another package of it",
    ),
    (
        ".var/app/com.brave.Browser",
        "Brave as a Flatpak cannot start programs outside its sandbox: use another package of it",
    ),
];

/// Why the browsers could not be told, or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// No browser of that name is known.
    #[error("no browser is called `{0}`: choose among {names}", names = names())]
    Unknown(String),
    /// That browser is not to be had on this system.
    #[error("{0} does not exist on this system")]
    NotHere(&'static str),
    /// The environment names no home folder.
    #[error("no home folder is known: set HOME")]
    NoHome,
    /// The extension is in no store of Chromium's kin.
    #[error(
        "Keyfob's extension is in no store of {0} yet: install it unpacked, then use `keyfob browser install --dev`"
    )]
    NotInStore(&'static str),
    /// The path of this program is not known, or no text, as a manifest has to be.
    #[error("the path of this program cannot stand in a manifest: {0}")]
    Program(String),
    /// A file or folder could not be read or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The Windows registry refused.
    #[error("cannot {action} the registry key {key}: {source}")]
    Registry {
        /// What was to be done.
        action: &'static str,
        /// With which key.
        key: String,
        /// What the system said.
        source: io::Error,
    },
}

impl BrowserError {
    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown(_) => ErrorCode::NotFound,
            Self::NotHere(_) | Self::NotInStore(_) => ErrorCode::Unsupported,
            Self::NoHome | Self::Program(_) | Self::Registry { .. } => ErrorCode::Io,
            Self::Path(error) => error.code(),
        }
    }
}

fn names() -> String {
    BROWSERS.iter().map(|browser| browser.name).collect::<Vec<_>>().join(", ")
}

/// The browser of that name.
///
/// # Errors
/// [`BrowserError::Unknown`].
pub fn by_name(name: &str) -> Result<&'static Browser, BrowserError> {
    BROWSERS
        .iter()
        .find(|browser| browser.name == name)
        .ok_or_else(|| BrowserError::Unknown(name.escape_debug().to_string()))
}

/// A native-messaging manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`HOST_NAME`].
    pub name: String,
    /// For people.
    pub description: String,
    /// The program, by its absolute path.
    pub path: String,
    /// `stdio`.
    pub r#type: String,
    /// Chromium: `chrome-extension://ID/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// Firefox: ids of add-ons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_extensions: Option<Vec<String>>,
}

impl Manifest {
    /// The manifest that lets `family`'s browsers start `program` for Keyfob's extension; with `development` also
    /// for the unpacked one.
    ///
    /// # Errors
    /// [`BrowserError::Program`] if `program` is no absolute path, or no text.
    pub fn new(family: Family, program: &Path, development: bool) -> Result<Self, BrowserError> {
        let path = program
            .to_str()
            .filter(|_| program.is_absolute())
            .ok_or_else(|| BrowserError::Program(program.display().to_string()))?;
        let (allowed_origins, allowed_extensions) = match family {
            Family::Chromium => (Some(origins(development)), None),
            Family::Firefox => (None, Some(vec![FIREFOX_ID.to_owned()])),
        };
        Ok(Self {
            name: HOST_NAME.to_owned(),
            description: "Keyfob: AWS sign-in codes and presigned S3 links from a security key".to_owned(),
            path: path.to_owned(),
            r#type: "stdio".to_owned(),
            allowed_origins,
            allowed_extensions,
        })
    }

    /// The manifest's file.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings alone: writing them cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Writes it into `folder`, which is a folder of manifests (as that of a Chromium profile made for a test).
    ///
    /// # Errors
    /// [`BrowserError::Path`].
    pub fn install_into(&self, folder: &Path) -> Result<PathBuf, BrowserError> {
        let path = folder.join(MANIFEST_FILE);
        write_atomically(&path, self.to_json().as_bytes())?;
        Ok(path)
    }

    /// What keeps it from working with `program`.
    fn problems(&self, family: Family, program: &Path) -> Vec<Problem> {
        let mut problems = Vec::new();
        let path = Path::new(&self.path);
        if !path.is_file() {
            problems.push(Problem::ProgramGone);
        } else if path != program && fs::canonicalize(path).ok() != fs::canonicalize(program).ok() {
            problems.push(Problem::OtherProgram);
        }
        let expected = |development| Self::new(family, program, development).ok();
        let allows = |expected: Option<Self>| {
            expected.is_some_and(|expected| {
                self.allowed_origins == expected.allowed_origins
                    && self.allowed_extensions == expected.allowed_extensions
            })
        };
        if !allows(expected(false)) && !allows(expected(true))
            || self.name != HOST_NAME
            || self.r#type != "stdio"
        {
            problems.push(Problem::OtherContents);
        }
        problems
    }

    fn is_development(&self) -> bool {
        self.allowed_origins.as_ref().is_some_and(|allowed| allowed.contains(&origin(DEVELOPMENT_ID)))
    }
}

fn origin(id: &str) -> String {
    format!("chrome-extension://{id}/")
}

fn origins(development: bool) -> Vec<String> {
    STORE_IDS.iter().copied().chain(development.then_some(DEVELOPMENT_ID)).map(origin).collect()
}

/// Why a manifest that is there does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Problem {
    /// The program is not where the manifest says.
    ProgramGone,
    /// The manifest names another program than this one.
    OtherProgram,
    /// The manifest was written by another version: it lists other extensions.
    OtherContents,
    /// The manifest is no JSON of a manifest.
    Unreadable,
}

/// Whether a browser can start this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// It can.
    Ok,
    /// There is no manifest.
    Missing,
    /// There is one that does not work: see [`Status::problems`].
    Stale,
}

/// What is known of one browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name for the command line.
    pub browser: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Whether it seems to be used here: a folder of profiles exists.
    pub present: bool,
    /// Where its manifest is, or would be.
    pub manifest: PathBuf,
    /// Windows: the registry key that points there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_key: Option<String>,
    /// Names of the other browsers that read the same manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<&'static str>,
    /// Whether it can start this program.
    pub state: State,
    /// Whether the unpacked extension is let in.
    pub development: bool,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// What was found, or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Browser by browser, in [`BROWSERS`]' order.
    pub browsers: Vec<Status>,
    /// What to know about sandboxed browsers here, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// Systems that browsers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Linux,
    MacOs,
    Windows,
}

/// The part of the Windows registry that is needed. Keys are below `HKEY_CURRENT_USER\Software`.
trait Registry {
    /// The default value of a key, if there is one.
    fn get(&self, key: &str) -> io::Result<Option<String>>;
    /// Sets it, making the key.
    fn set(&mut self, key: &str, value: &str) -> io::Result<()>;
    /// Removes the key, if it is there.
    fn delete(&mut self, key: &str) -> io::Result<()>;
}

/// The browsers of a user.
pub struct Browsers {
    system: System,
    /// `$HOME`, or `%USERPROFILE%`.
    home: PathBuf,
    config: PathBuf,
    local: PathBuf,
    roaming: PathBuf,
    /// Where Windows' manifests go.
    data: PathBuf,
    registry: Box<dyn Registry>,
    program: PathBuf,
}

impl std::fmt::Debug for Browsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browsers")
            .field("home", &self.home)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Browsers {
    /// The current user's, for this program. `env` reads an environment variable, `data` is
    /// [`crate::paths::Paths::data`].
    ///
    /// # Errors
    /// [`BrowserError::NoHome`]; [`BrowserError::Program`] if the system does not tell where this program is.
    pub fn of_user(env: impl Fn(&str) -> Option<OsString>, data: &Path) -> Result<Self, BrowserError> {
        let program = std::env::current_exe().map_err(|error| BrowserError::Program(error.to_string()))?;
        let system = match () {
            () if cfg!(windows) => System::Windows,
            () if cfg!(target_os = "macos") => System::MacOs,
            () => System::Linux,
        };
        let folder = |name| env(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
        let home = match folder("HOME").filter(|_| system != System::Windows) {
            Some(home) => home,
            None => directories::BaseDirs::new().ok_or(BrowserError::NoHome)?.home_dir().to_owned(),
        };
        Ok(Self {
            system,
            config: folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            local: folder("LOCALAPPDATA").unwrap_or_else(|| home.join("AppData/Local")),
            roaming: folder("APPDATA").unwrap_or_else(|| home.join("AppData/Roaming")),
            data: data.to_owned(),
            registry: registry(),
            home,
            program,
        })
    }

    fn place(&self, browser: &'static Browser) -> Option<&'static Place> {
        match self.system {
            System::Linux => browser.linux.as_ref(),
            System::MacOs => browser.macos.as_ref(),
            System::Windows => browser.windows.as_ref(),
        }
    }

    fn folder(&self, (base, below): (Base, &str)) -> PathBuf {
        let base = match base {
            Base::Home => &self.home,
            Base::Config => &self.config,
            Base::ApplicationSupport => &self.home.join("Library/Application Support"),
            Base::Local => &self.local,
            Base::Roaming => &self.roaming,
            Base::Registry => &self.data,
        };
        base.join(below)
    }

    fn is_present(&self, place: &Place) -> bool {
        place.profiles.iter().any(|&profile| self.folder(profile).is_dir())
    }

    /// The registry key and the folder of the manifest.
    fn target(&self, browser: &Browser, place: &Place) -> (Option<String>, PathBuf) {
        match place.hosts {
            (Base::Registry, key) => {
                let family = match browser.family {
                    Family::Chromium => "chromium",
                    Family::Firefox => "firefox",
                };
                (Some(format!(r"{key}\{HOST_NAME}")), self.data.join("browsers").join(family))
            }
            hosts => (None, self.folder(hosts)),
        }
    }

    /// What is known of every browser of this system.
    ///
    /// # Errors
    /// [`BrowserError::Path`], [`BrowserError::Registry`] if something is there and cannot be read.
    pub fn status(&self) -> Result<Report, BrowserError> {
        self.report(BROWSERS.iter().collect())
    }

    /// Lets browsers start this program: those of these names, or all that seem to be used here. With
    /// `development` the unpacked extension may ask it too. What is there already is replaced.
    ///
    /// # Errors
    /// [`BrowserError::Unknown`], [`BrowserError::NotHere`], [`BrowserError::NotInStore`] (nothing is written
    /// then), and those of files and registry.
    pub fn install(&mut self, names: &[String], development: bool) -> Result<Report, BrowserError> {
        let chosen = self.choose(names)?;
        let mut manifests = Vec::new();
        for &(browser, place) in &chosen {
            if browser.family == Family::Chromium && origins(development).is_empty() {
                if names.is_empty() {
                    continue;
                }
                return Err(BrowserError::NotInStore(browser.title));
            }
            manifests.push((browser, place, Manifest::new(browser.family, &self.program, development)?));
        }
        if let (true, Some((browser, _))) = (manifests.is_empty(), chosen.first()) {
            return Err(BrowserError::NotInStore(browser.title));
        }
        for (browser, place, manifest) in manifests {
            let (key, folder) = self.target(browser, place);
            let path = manifest.install_into(&folder)?;
            if let Some(key) = key {
                let value = path.to_str().ok_or_else(|| BrowserError::Program(path.display().to_string()))?;
                self.registry.set(&key, value).map_err(|source| BrowserError::Registry {
                    action: "write",
                    key,
                    source,
                })?;
            }
        }
        self.report(chosen.into_iter().map(|(browser, _)| browser).collect())
    }

    /// Takes it back: for browsers of these names, or for all. Whatever else is in their folders stays.
    ///
    /// # Errors
    /// [`BrowserError::Unknown`], [`BrowserError::NotHere`], and those of files and registry.
    pub fn uninstall(&mut self, names: &[String]) -> Result<Report, BrowserError> {
        let chosen: Vec<_> = if names.is_empty() {
            BROWSERS.iter().filter_map(|browser| Some((browser, self.place(browser)?))).collect()
        } else {
            self.choose(names)?
        };
        for &(browser, place) in &chosen {
            let (key, folder) = self.target(browser, place);
            if let Some(key) = key {
                self.registry.delete(&key).map_err(|source| BrowserError::Registry {
                    action: "delete",
                    key,
                    source,
                })?;
                // Other browsers' keys may point to the same manifest: it goes with the last of them.
                if self.is_manifest_used(browser.family)? {
                    continue;
                }
            }
            let path = folder.join(MANIFEST_FILE);
            match fs::remove_file(&path) {
                Err(error) if !is_absent(&error) => return Err(PathError::io("delete", &path)(error).into()),
                _ => {}
            }
        }
        self.report(chosen.into_iter().map(|(browser, _)| browser).collect())
    }

    fn is_manifest_used(&self, family: Family) -> Result<bool, BrowserError> {
        for browser in BROWSERS.iter().filter(|browser| browser.family == family) {
            let Some((Some(key), _)) = self.place(browser).map(|place| self.target(browser, place)) else {
                continue;
            };
            if self.registered(&key)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn registered(&self, key: &str) -> Result<Option<String>, BrowserError> {
        let failed = |source| BrowserError::Registry { action: "read", key: key.to_owned(), source };
        self.registry.get(key).map_err(failed)
    }

    fn choose(&self, names: &[String]) -> Result<Vec<(&'static Browser, &'static Place)>, BrowserError> {
        if names.is_empty() {
            let here = |browser| Some((browser, self.place(browser).filter(|place| self.is_present(place))?));
            return Ok(BROWSERS.iter().filter_map(here).collect());
        }
        let named = |name: &String| {
            let browser = by_name(name)?;
            Ok((browser, self.place(browser).ok_or(BrowserError::NotHere(browser.title))?))
        };
        names.iter().map(named).collect()
    }

    fn report(&self, browsers: Vec<&'static Browser>) -> Result<Report, BrowserError> {
        let mut targets: BTreeMap<_, Vec<&'static str>> = BTreeMap::new();
        for browser in BROWSERS {
            if let Some(place) = self.place(browser) {
                targets.entry(self.target(browser, place)).or_default().push(browser.name);
            }
        }
        let mut statuses = Vec::new();
        for browser in browsers {
            let Some(place) = self.place(browser) else { continue };
            let target = self.target(browser, place);
            let shared_with = targets.get(&target).into_iter().flatten().copied();
            let shared_with = shared_with.filter(|&name| name != browser.name).collect();
            let (registry_key, folder) = target;
            let (state, development, problems) =
                self.inspect(browser.family, registry_key.as_deref(), &folder)?;
            statuses.push(Status {
                browser: browser.name,
                title: browser.title,
                present: self.is_present(place),
                manifest: folder.join(MANIFEST_FILE),
                registry_key: registry_key.map(|key| format!(r"HKEY_CURRENT_USER\Software\{key}")),
                shared_with,
                state,
                development,
                problems,
            });
        }
        let sandboxed =
            |&&(folder, _): &&(&str, &str)| self.system == System::Linux && self.home.join(folder).is_dir();
        let notes = SANDBOXED.iter().filter(sandboxed).map(|&(_, note)| note).collect();
        Ok(Report { browsers: statuses, notes })
    }

    fn inspect(
        &self,
        family: Family,
        registry_key: Option<&str>,
        folder: &Path,
    ) -> Result<(State, bool, Vec<Problem>), BrowserError> {
        let path = match registry_key.map(|key| self.registered(key)).transpose()? {
            Some(None) => return Ok((State::Missing, false, Vec::new())),
            Some(Some(path)) => PathBuf::from(path),
            None => folder.join(MANIFEST_FILE),
        };
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(error) if is_absent(&error) => return Ok((State::Missing, false, Vec::new())),
            Err(error) => return Err(PathError::io("read", &path)(error).into()),
        };
        let (development, problems) = match serde_json::from_slice::<Manifest>(&json) {
            Ok(manifest) => (manifest.is_development(), manifest.problems(family, &self.program)),
            Err(_) => (false, vec![Problem::Unreadable]),
        };
        Ok((if problems.is_empty() { State::Ok } else { State::Stale }, development, problems))
    }
}

/// Whether a file is not there, nor the folder it would be in.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(windows)]
fn registry() -> Box<dyn Registry> {
    use winreg::RegKey;
    use winreg::enums::HKEY_CURRENT_USER;

    struct CurrentUser;

    impl Registry for CurrentUser {
        fn get(&self, key: &str) -> io::Result<Option<String>> {
            let value = RegKey::predef(HKEY_CURRENT_USER)
                .open_subkey(format!(r"Software\{key}"))
                .and_then(|key| key.get_value(""));
            match value {
                Ok(value) => Ok(Some(value)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        }

        fn set(&mut self, key: &str, value: &str) -> io::Result<()> {
            let (key, _) = RegKey::predef(HKEY_CURRENT_USER).create_subkey(format!(r"Software\{key}"))?;
            key.set_value("", &value)
        }

        fn delete(&mut self, key: &str) -> io::Result<()> {
            match RegKey::predef(HKEY_CURRENT_USER).delete_subkey(format!(r"Software\{key}")) {
                Err(error) if !is_absent(&error) => Err(error),
                _ => Ok(()),
            }
        }
    }

    Box::new(CurrentUser)
}

/// Where there is none, no browser's place is in it either.
#[cfg(not(windows))]
fn registry() -> Box<dyn Registry> {
    struct Absent;

    impl Registry for Absent {
        fn get(&self, _key: &str) -> io::Result<Option<String>> {
            Ok(None)
        }

        fn set(&mut self, _key: &str, _value: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn delete(&mut self, _key: &str) -> io::Result<()> {
            Ok(())
        }
    }

    Box::new(Absent)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use sha2::{Digest as _, Sha256};

    use super::*;

    #[derive(Clone, Default)]
    struct Map(Rc<RefCell<BTreeMap<String, String>>>);

    impl Registry for Map {
        fn get(&self, key: &str) -> io::Result<Option<String>> {
            Ok(self.0.borrow().get(key).cloned())
        }
        fn set(&mut self, key: &str, value: &str) -> io::Result<()> {
            self.0.borrow_mut().insert(key.to_owned(), value.to_owned());
            Ok(())
        }
        fn delete(&mut self, key: &str) -> io::Result<()> {
            self.0.borrow_mut().remove(key);
            Ok(())
        }
    }

    fn browsers(system: System, home: &Path) -> (Browsers, Map) {
        let map = Map::default();
        let program = home.join("keyfob");
        fs::write(&program, "").unwrap();
        let browsers = Browsers {
            system,
            home: home.to_owned(),
            config: home.join(".config"),
            local: home.join("AppData/Local"),
            roaming: home.join("AppData/Roaming"),
            data: home.join("data"),
            registry: Box::new(map.clone()),
            program,
        };
        (browsers, map)
    }

    fn make(home: &Path, folder: &str) {
        fs::create_dir_all(home.join(folder)).unwrap();
    }

    /// Where every manifest goes, written down a second time and in another way: as a path from `$HOME`, or a key.
    #[test]
    fn every_browser_has_its_place() {
        #[track_caller]
        fn check(system: System, name: &str, profile: &str, expected: &str) {
            let home = tempfile::tempdir().unwrap();
            make(home.path(), profile);
            let (mut browsers, map) = browsers(system, home.path());
            let before = browsers.status().unwrap();
            let present: Vec<_> = before.browsers.iter().filter(|b| b.present).map(|b| b.browser).collect();
            assert_eq!(present, [name]);

            let report = browsers.install(&[], true).unwrap();
            let [status] = &report.browsers[..] else { panic!("{report:?}") };
            assert_eq!((status.browser, status.state), (name, State::Ok), "{status:?}");
            let file = match system {
                System::Windows => {
                    let keys = map.0.borrow();
                    assert_eq!(keys.keys().collect::<Vec<_>>(), [expected]);
                    PathBuf::from(&keys[expected])
                }
                _ => home.path().join(expected),
            };
            let manifest: Manifest = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            assert_eq!(Path::new(&manifest.path), home.path().join("keyfob"));
            assert_eq!(manifest.allowed_extensions.is_some(), name == "firefox");

            browsers.uninstall(&[]).unwrap();
            assert!(!file.exists() && map.0.borrow().is_empty());
            assert_eq!(browsers.status().unwrap(), before);
        }
        let linux = |name, profile, folder: &str| {
            check(System::Linux, name, profile, &format!("{folder}/dev.keyfob.host.json"));
        };
        linux("chrome", ".config/google-chrome", ".config/google-chrome/NativeMessagingHosts");
        linux("chromium", ".config/chromium", ".config/chromium/NativeMessagingHosts");
        linux("edge", ".config/microsoft-edge", ".config/microsoft-edge/NativeMessagingHosts");
        linux(
            "brave",
            ".config/BraveSoftware/Brave-Browser",
            ".config/BraveSoftware/Brave-Browser/NativeMessagingHosts",
        );
        linux("vivaldi", ".config/vivaldi", ".config/vivaldi/NativeMessagingHosts");
        linux("firefox", ".mozilla/firefox", ".mozilla/native-messaging-hosts");
        linux("firefox", ".config/mozilla/firefox", ".mozilla/native-messaging-hosts");
        let macos = |name, profile: &str, folder: &str| {
            let below = "Library/Application Support";
            check(
                System::MacOs,
                name,
                &format!("{below}/{profile}"),
                &format!("{below}/{folder}/dev.keyfob.host.json"),
            );
        };
        macos("chrome", "Google/Chrome", "Google/Chrome/NativeMessagingHosts");
        macos("chromium", "Chromium", "Chromium/NativeMessagingHosts");
        macos("edge", "Microsoft Edge", "Microsoft Edge/NativeMessagingHosts");
        macos("brave", "BraveSoftware/Brave-Browser", "BraveSoftware/Brave-Browser/NativeMessagingHosts");
        macos("vivaldi", "Vivaldi", "Vivaldi/NativeMessagingHosts");
        macos("arc", "Arc/User Data", "Arc/User Data/NativeMessagingHosts");
        macos("firefox", "Firefox", "Mozilla/NativeMessagingHosts");
        let windows = |name, profile: &str, key: &str| {
            let key = format!(r"{key}\NativeMessagingHosts\dev.keyfob.host");
            check(System::Windows, name, &format!("AppData/{profile}"), &key);
        };
        windows("chrome", "Local/Google/Chrome/User Data", r"Google\Chrome");
        windows("chromium", "Local/Chromium/User Data", "Chromium");
        windows("edge", "Local/Microsoft/Edge/User Data", r"Microsoft\Edge");
        windows("brave", "Local/BraveSoftware/Brave-Browser/User Data", r"Google\Chrome");
        windows("vivaldi", "Local/Vivaldi/User Data", r"Google\Chrome");
        windows("opera", "Roaming/Opera Software/Opera Stable", "Opera Software");
        windows("firefox", "Roaming/Mozilla/Firefox", "Mozilla");
    }

    #[test]
    fn opera_reads_chromes_manifest() {
        for (system, profile) in [
            (System::Linux, ".config/opera"),
            (System::MacOs, "Library/Application Support/com.operasoftware.Opera"),
        ] {
            let home = tempfile::tempdir().unwrap();
            make(home.path(), profile);
            let (mut browsers, _) = browsers(system, home.path());
            let report = browsers.install(&[], true).unwrap();
            let [opera] = &report.browsers[..] else { panic!("{report:?}") };
            assert_eq!(
                (opera.browser, opera.state, &opera.shared_with[..]),
                ("opera", State::Ok, &["chrome"][..])
            );
        }
    }

    #[test]
    fn status_tells_what_is_wrong() {
        let home = tempfile::tempdir().unwrap();
        make(home.path(), ".config/chromium");
        let (mut browsers, _) = browsers(System::Linux, home.path());
        let chromium = |browsers: &Browsers| {
            let report = browsers.status().unwrap();
            let status = report.browsers.into_iter().find(|status| status.browser == "chromium").unwrap();
            (status.state, status.problems)
        };
        assert_eq!(chromium(&browsers), (State::Missing, vec![]));
        let report = browsers.install(&["chromium".into()], true).unwrap();
        assert!(report.browsers[0].development);
        assert_eq!(chromium(&browsers), (State::Ok, vec![]));

        let path = home.path().join(".config/chromium/NativeMessagingHosts").join(MANIFEST_FILE);
        let good = fs::read_to_string(&path).unwrap();
        let check = |json: &str, problem| {
            fs::write(&path, json).unwrap();
            assert_eq!(chromium(&browsers), (State::Stale, vec![problem]), "{json}");
        };
        check("{", Problem::Unreadable);
        check("{}", Problem::Unreadable);
        check(&good.replace(DEVELOPMENT_ID, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), Problem::OtherContents);
        check(&good.replace("stdio", "pipe"), Problem::OtherContents);
        fs::write(home.path().join("other"), "").unwrap();
        check(&good.replace("/keyfob\"", "/other\""), Problem::OtherProgram);
        check(&good.replace("/keyfob\"", "/gone\""), Problem::ProgramGone);

        // Installing again mends it.
        assert_eq!(browsers.install(&[], true).unwrap().browsers[0].state, State::Ok);
        fs::remove_file(&browsers.program).unwrap();
        assert_eq!(chromium(&browsers), (State::Stale, vec![Problem::ProgramGone]));
        browsers.uninstall(&["chromium".into()]).unwrap();
        assert_eq!(chromium(&browsers), (State::Missing, vec![]));
        browsers.uninstall(&["chromium".into()]).unwrap();
    }

    #[test]
    fn what_cannot_be_installed_is_said_and_writes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let (mut linux, _) = browsers(System::Linux, home.path());
        let mut check = |names: &[&str], development, expected: &str| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            let error = linux.install(&names, development).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&["netscape"], true, "choose among chrome, chromium, edge");
        check(&["arc"], true, "Arc does not exist on this system");
        check(&["firefox", "chrome"], false, "no store of Google Chrome yet");
        assert!(
            !home.path().join(".mozilla").exists(),
            "nothing is written before all is known to be possible"
        );
        assert!(linux.install(&[], true).unwrap().browsers.is_empty(), "no browser is used here");

        // Both are used, one can be served: it is, and the other is said to be missing.
        make(home.path(), ".config/chromium");
        make(home.path(), ".mozilla/firefox");
        let report = linux.install(&[], false).unwrap();
        let states: Vec<_> = report.browsers.iter().map(|status| (status.browser, status.state)).collect();
        assert_eq!(states, [("chromium", State::Missing), ("firefox", State::Ok)]);
    }

    #[test]
    fn sandboxes_are_pointed_out() {
        let home = tempfile::tempdir().unwrap();
        let (linux, _) = browsers(System::Linux, home.path());
        assert!(linux.status().unwrap().notes.is_empty());
        make(home.path(), "snap/chromium");
        make(home.path(), ".var/app/org.mozilla.firefox");
        let notes = linux.status().unwrap().notes;
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("157") && notes[1].contains("Snap"), "{notes:?}");
    }

    #[test]
    fn windows_browsers_that_share_a_manifest_lose_it_with_the_last() {
        let home = tempfile::tempdir().unwrap();
        let (mut windows, map) = browsers(System::Windows, home.path());
        windows.install(&["chrome".into(), "edge".into(), "firefox".into()], true).unwrap();
        let file = home.path().join("data/browsers/chromium").join(MANIFEST_FILE);
        windows.uninstall(&["edge".into()]).unwrap();
        assert!(file.exists());
        windows.uninstall(&["chrome".into()]).unwrap();
        assert!(!file.exists());
        assert_eq!(map.0.borrow().len(), 1, "Firefox's stays");
    }

    #[test]
    fn manifests_are_as_browsers_want_them() {
        let chromium = Manifest::new(Family::Chromium, Path::new(ROOTED), true).unwrap().to_json();
        let json: serde_json::Value = serde_json::from_str(&chromium).unwrap();
        let origin = format!("chrome-extension://{DEVELOPMENT_ID}/");
        assert_eq!(json["allowed_origins"], serde_json::json!([origin]));
        assert_eq!((&json["name"], &json["type"]), (&"dev.keyfob.host".into(), &"stdio".into()));
        assert!(json.get("allowed_extensions").is_none());
        let firefox = Manifest::new(Family::Firefox, Path::new(ROOTED), false).unwrap().to_json();
        let json: serde_json::Value = serde_json::from_str(&firefox).unwrap();
        assert_eq!(json["allowed_extensions"], serde_json::json!(["keyfob@keyfob.dev"]));
        assert!(json.get("allowed_origins").is_none());
        assert!(
            Manifest::new(Family::Firefox, Path::new("keyfob"), false).is_err(),
            "relative paths are refused"
        );
    }

    const ROOTED: &str = if cfg!(windows) { r"C:\keyfob.exe" } else { "/usr/bin/keyfob" };

    /// The ids are those of the extension's own manifest. Chromium makes an id of a public key: 16 bytes of its
    /// SHA-256, each half byte a letter from `a` on.
    #[test]
    fn ids_are_those_of_the_extension() {
        let manifest = include_str!("../../extension/static/manifest.json");
        let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
        let key = base64(manifest["key"].as_str().unwrap());
        let id: String = Sha256::digest(key)[..16]
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|half| char::from(b'a' + half))
            .collect();
        assert_eq!(id, DEVELOPMENT_ID);
        assert_eq!(manifest["browser_specific_settings"]["gecko"]["id"], FIREFOX_ID);
    }

    fn base64(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bits = 0u32;
        let mut bytes = Vec::new();
        for (i, c) in text.bytes().filter(|&c| c != b'=').enumerate() {
            bits = bits << 6 | u32::try_from(alphabet.iter().position(|&a| a == c).unwrap()).unwrap();
            if i % 4 != 0 {
                bytes.push(u8::try_from(bits >> (6 - 2 * (i % 4)) & 0xff).unwrap());
            }
        }
        bytes
    }
}
