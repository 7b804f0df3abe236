//! What keeps Keyfob from working on this machine, and what to do about each: `keyfob doctor`.
//!
//! A check is a function from what was seen to findings. What is looked at outside of Keyfob's own folders is under
//! [`System::root`], so that tests can make a machine up. Nothing is changed, and nothing is sent anywhere.

pub mod clock;
#[cfg(target_os = "linux")]
mod linux;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use keyfob_core::message::Failure;
use keyfob_core::oath::OathError;
use serde::Serialize;

use crate::agent;
use crate::browser::{self, BrowserError, Browsers};
use crate::config::{Config, ConfigError};
use crate::error::{Refusal, failure};
use crate::holders::{self, Holder};
use crate::key::{KeyError, Keys, PcscError, SOFT_PREFIX, Slot, SoftKeys};
use crate::paths::Paths;
use crate::prompt::printable;
use crate::soft;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Nothing is broken, but good to know.
    Note,
    /// Something does not work.
    Problem,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable, for programs: `pcsc-stopped`.
    pub id: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What is so, for people: a sentence without the full stop.
    pub title: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(id: &'static str, title: impl Into<String>) -> Self {
        Self { id, level: Level::Ok, title: title.into(), fix: None }
    }

    /// Good to know.
    pub fn note(id: &'static str, title: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into()).filter(|fix| !fix.is_empty());
        Self { id, level: Level::Note, title: title.into(), fix }
    }

    /// Something that does not work.
    pub fn problem(id: &'static str, title: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Problem, ..Self::note(id, title, fix) }
    }

    /// As [`Finding::problem`], or a note where it is none to this user.
    fn problem_if(grave: bool, finding: Self) -> Self {
        Self { level: if grave { finding.level } else { finding.level.min(Level::Note) }, ..finding }
    }
}

/// The machine, as far as the checks look at it.
pub struct System {
    /// `/`.
    pub root: PathBuf,
    /// Where the PC/SC service listens.
    pub socket: PathBuf,
    /// An environment variable.
    pub env: fn(&str) -> Option<OsString>,
}

impl System {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        Self { root: "/".into(), socket: holders::pcscd_socket(), env: crate::front::env }
    }
}

/// Looks at everything but the clock. `choice` is the key that the command line names.
#[must_use]
pub fn examine(system: &System, paths: &Paths, choice: Option<&str>) -> Vec<Finding> {
    let config = Config::load(&paths.config_file(), system.env);
    let choice = choice.map(str::to_owned).or_else(|| config.as_ref().ok()?.key.clone());
    let files = soft::SoftKeys::new(paths.soft_keys());
    let mut keys = Keys::new(SoftKeys::new(files.clone()));
    let mut findings = match keys.slots() {
        Ok(slots) => cards(system, &slots, choice.as_deref(), &holders::others()),
        Err(error) => vec![Finding::problem_if(!is_soft(choice.as_deref()), service(system, error))],
    };
    findings.extend(agent(agent::status(paths)));
    findings.extend(self::config(&paths.config_file(), config));
    findings.extend(software(&files, &paths.soft_keys()));
    findings
        .extend(browsers(Browsers::of_user(system.env, &paths.data).and_then(|browsers| browsers.status())));
    findings
}

fn is_soft(choice: Option<&str>) -> bool {
    choice.is_some_and(|choice| choice == "soft" || choice.starts_with(SOFT_PREFIX))
}

/// Why PC/SC itself does not answer.
fn service(system: &System, error: KeyError) -> Finding {
    #[cfg(target_os = "linux")]
    if let KeyError::Pcsc(PcscError::NoService(error)) = error {
        return linux::service(system, error);
    }
    let _ = system;
    told("pcsc", error)
}

/// A failure as every other command tells it.
fn told(id: &'static str, error: KeyError) -> Finding {
    let failure = Refusal::from(error).0;
    Finding::problem(id, failure.message, failure.hint.unwrap_or_default())
}

/// What is in the readers, and what should be.
fn cards(system: &System, slots: &[Slot], choice: Option<&str>, holders: &[Holder]) -> Vec<Finding> {
    let works = slots.iter().any(|slot| matches!(slot.card, Some(Ok(_))));
    // Without a key that works it is grave, unless none is needed.
    let grave = !works && !is_soft(choice);
    let mut findings = Vec::new();
    let mut empty = Vec::new();
    for slot in slots {
        let reader = printable(&slot.reader);
        match &slot.card {
            None | Some(Err(KeyError::Pcsc(PcscError::NoCard | PcscError::Removed))) => empty.push(reader),
            Some(Ok(key)) => {
                let form = key.form_factor.as_deref().map(|form| format!(", {form}")).unwrap_or_default();
                let locked = if key.locked { ", locked with a password" } else { "" };
                let version = match &key.firmware {
                    Some(firmware) => format!("firmware {firmware}"),
                    None => format!("OATH {}", key.version),
                };
                let title = format!("key {}: {version}{form}{locked}, in {reader}", key.id);
                findings.push(Finding::ok("key", printable(&title)));
            }
            Some(Err(KeyError::Oath(OathError::NoApplet))) => {
                findings.push(Finding::problem_if(grave, no_applet(&slot.reader)));
            }
            Some(Err(KeyError::Pcsc(PcscError::Busy))) => findings.push(held(&reader, holders)),
            Some(Err(error)) => {
                let (title, fix) = match error {
                    KeyError::Pcsc(error) => (error.to_string(), "take it out and put it in again"),
                    error => (error.to_string(), "unplug it and plug it in again, or use another one"),
                };
                findings.push(Finding::problem_if(
                    grave || !matches!(error, KeyError::Pcsc(PcscError::Mute)),
                    Finding::problem("card", format!("{reader}: {title}"), fix),
                ));
            }
        }
    }
    #[cfg(target_os = "linux")]
    findings.extend(linux::usb(system, slots, grave, holders));
    let _ = system;
    if findings.is_empty() {
        findings.push(Finding::problem_if(grave, match empty.as_slice() {
            [] => Finding::problem(
                "no-reader",
                "the smart-card service runs, and there is neither a key nor a reader",
                "plug in a key; a software key needs none: `keyfob soft create NAME`, then --key soft:NAME",
            ),
            readers => Finding::problem(
                "no-card",
                format!("there is no card in {}", readers.join(", nor in ")),
                "plug in the key, or lay it on the reader",
            ),
        }));
    }
    let has = |id: &str| slots.iter().any(|slot| matches!(&slot.card, Some(Ok(key)) if key.id == id));
    if let Some(choice) = choice.filter(|choice| works && !is_soft(Some(choice)) && !has(choice)) {
        findings.push(Finding::problem(
            "chosen-key",
            format!("the key {} is chosen, and another one is plugged in", printable(choice)),
            "plug in that one; or change --key, KEYFOB_KEY or `key` in the configuration",
        ));
    }
    // The one that is known to take a key and keep it. Where it has done so it was said above.
    if works && let Some(holder) = holders.iter().find(|holder| holder.name == "scdaemon") {
        findings.push(Finding::note(
            "scdaemon",
            format!("{holder} of GnuPG uses the readers too, and may keep the key for itself"),
            holder.hint.map(|hint| format!("when that happens, {hint}")).unwrap_or_default(),
        ));
    }
    findings
}

/// The agent, if there is one.
fn agent(status: Result<Option<agent::Status>, Failure>) -> Option<Finding> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    Some(match status {
        Ok(status) => {
            let agent::Status { pid, version, clients, .. } = status?;
            if version == VERSION {
                Finding::ok("agent", format!("the agent (pid {pid}) runs; front ends connected: {clients}"))
            } else {
                Finding::note(
                    "agent-version",
                    format!("the agent (pid {pid}) is of version {}, this is {VERSION}", printable(&version)),
                    "run `keyfob agent stop`: the next command starts one of this version",
                )
            }
        }
        Err(failure) => Finding::problem("agent", failure.message, failure.hint.unwrap_or_default()),
    })
}

fn held(reader: &str, holders: &[Holder]) -> Finding {
    let title = match holders {
        [] => format!("another program holds the key in {reader}"),
        holders => {
            let names: Vec<_> = holders.iter().map(Holder::to_string).collect();
            format!("another program holds the key in {reader}: {}", names.join(" or "))
        }
    };
    let hint = holders.first().and_then(|holder| holder.hint);
    Finding::problem("key-held", title, hint.unwrap_or("close the program that uses it"))
}

/// A card that answers, without OATH.
fn no_applet(reader: &str) -> Finding {
    let shown = printable(reader);
    // A key in its own USB port is a reader that is called so (facts of yubikit's `pcsc.py`).
    if reader.to_ascii_lowercase().contains("yubikey") {
        return Finding::problem(
            "oath-disabled",
            format!("OATH is switched off over USB on the key in {shown}"),
            "switch it on: `ykman config usb --enable OATH`, or in Yubico Authenticator under Toggle applications",
        );
    }
    Finding::problem(
        "no-oath",
        format!("the card in {shown} has no OATH application, or it is switched off over NFC"),
        "on a YubiKey switch it on, plugged into USB: `ykman config nfc --enable OATH`; else use another card",
    )
}

/// The configuration.
fn config(path: &Path, config: Result<Config, ConfigError>) -> Vec<Finding> {
    if let Err(error) = config {
        return vec![Finding::problem(
            "config",
            error.to_string(),
            "mend it; without the file Keyfob uses its defaults",
        )];
    }
    let mut findings = Vec::new();
    if path.exists() {
        findings.push(Finding::ok("config", format!("{} can be used", path.display())));
    }
    if others_may(path, 0o022) {
        findings.push(Finding::problem(
            "config-permissions",
            format!("other users may write {}, which says what browsers may ask for", path.display()),
            format!("run `chmod go-w {}`", quoted(path)),
        ));
    }
    findings
}

/// The software keys' files.
fn software(files: &soft::SoftKeys, folder: &Path) -> Vec<Finding> {
    let names = match files.list() {
        Ok(names) => names,
        Err(error) => {
            let fix = format!("run `chmod u+rwx {}`, or see whose it is", quoted(folder));
            return vec![Finding::problem("soft-folder", error.to_string(), fix)];
        }
    };
    let mut findings = Vec::new();
    if others_may(folder, 0o022) {
        findings.push(Finding::problem(
            "soft-permissions",
            format!("other users may replace the files in {}", folder.display()),
            format!("run `chmod go-w {}`", quoted(folder)),
        ));
    }
    for name in names {
        let path = files.file(&name);
        match files.protection(&name) {
            // Its message ends in what to do.
            Err(error) => findings.push(Finding::problem("soft-key", error.to_string(), "")),
            Ok(_) if others_may(&path, 0o077) => findings.push(Finding::problem(
                "soft-permissions",
                format!("other users may use the file of the software key {name}"),
                format!("run `chmod 600 {}`", quoted(&path)),
            )),
            Ok(_) => findings.push(Finding::ok("soft-key", format!("software key {name}"))),
        }
    }
    findings
}

/// Whether the group or others have one of these rights. Windows has no such bits: the folders are the user's.
fn others_may(path: &Path, bits: u32) -> bool {
    #[cfg(unix)]
    return std::fs::metadata(path)
        .is_ok_and(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & bits != 0);
    #[cfg(not(unix))]
    {
        let _ = (path, bits);
        false
    }
}

/// A path to be pasted into a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Which browsers can start this program.
fn browsers(report: Result<browser::Report, BrowserError>) -> Vec<Finding> {
    use browser::{Problem, State};
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let failure = failure(error.code(), &error, "");
            return vec![Finding::problem("browser", failure.message, "mend what it says, and run it again")];
        }
    };
    let mut findings = Vec::new();
    let mut seen = HashSet::new();
    for status in &report.browsers {
        // Some read each other's manifests: each is told once.
        if !status.present && status.state != State::Stale || !seen.insert(&status.manifest) {
            continue;
        }
        let (title, name) = (status.title, status.browser);
        let dev = if status.development { " --dev" } else { "" };
        match status.state {
            State::Ok => findings.push(Finding::ok("manifest", format!("{title} can start keyfob"))),
            State::Missing => findings.push(Finding::note(
                "manifest-missing",
                format!("{title} cannot start keyfob: it was not told where it is"),
                format!("if you want the extension in it, run `keyfob browser install {name}` (--dev for the unpacked one)"),
            )),
            State::Stale => {
                let what = |problem: &Problem| match problem {
                    Problem::ProgramGone => "the program is no longer where its manifest says",
                    Problem::OtherProgram => "its manifest names another keyfob than this",
                    Problem::OtherContents => "its manifest is another version's",
                    Problem::Unreadable => "its manifest is damaged",
                };
                let problems: Vec<_> = status.problems.iter().map(what).collect();
                findings.push(Finding::problem(
                    "manifest-stale",
                    format!("{title}: {} ({})", problems.join("; "), status.manifest.display()),
                    format!("run `keyfob browser install {name}{dev}`"),
                ));
            }
        }
    }
    findings.extend(report.notes.iter().map(|note| Finding::note("browser-sandbox", *note, "")));
    findings
}

#[cfg(test)]
mod tests {
    use keyfob_core::message::{Key, KeyKind};

    use super::*;

    fn key(id: &str) -> Key {
        Key {
            id: id.to_owned(),
            name: None,
            kind: KeyKind::SmartCard,
            label: String::new(),
            version: "5.7.1".to_owned(),
            locked: false,
            serial: None,
            firmware: None,
            form_factor: Some("Nano (USB-C)".to_owned()),
            enabled: Vec::new(),
            slots: None,
        }
    }

    #[test]
    fn readers_and_cards_are_judged() {
        const YUBIKEY: &str = "Yubico YubiKey CCID 00 00";
        let root = tempfile::tempdir().unwrap();
        let check = |slots: Vec<(&str, Option<Result<Key, KeyError>>)>,
                     choice: Option<&str>,
                     holders: &[(u32, &str)],
                     expected: &[(&str, Level, &str)]| {
            let system =
                System { root: root.path().to_owned(), socket: root.path().join("comm"), env: |_| None };
            let slots: Vec<_> =
                slots.into_iter().map(|(reader, card)| Slot { reader: reader.to_owned(), card }).collect();
            let holder =
                |&(pid, name): &(u32, &str)| Holder { pid, name: name.to_owned(), hint: Some("end it") };
            let holders: Vec<_> = holders.iter().map(holder).collect();
            let findings = cards(&system, &slots, choice, &holders);
            let ids: Vec<_> = findings.iter().map(|finding| (finding.id, finding.level)).collect();
            let wanted: Vec<_> = expected.iter().map(|&(id, level, _)| (id, level)).collect();
            assert_eq!(ids, wanted, "{findings:?}");
            for (finding, (_, _, says)) in findings.iter().zip(expected) {
                let text = format!("{} → {}", finding.title, finding.fix.as_deref().unwrap_or_default());
                assert!(text.contains(says), "{text}");
            }
        };
        let no_applet = || Some(Err(KeyError::Oath(OathError::NoApplet)));
        let pcsc = |error| Some(Err(KeyError::Pcsc(error)));
        use Level::{Note, Ok as Good, Problem};

        check(vec![], None, &[], &[("no-reader", Problem, "plug in a key")]);
        check(vec![], Some("soft:demo"), &[], &[("no-reader", Note, "plug in a key")]);
        check(vec![("A", None), ("B", None)], None, &[], &[("no-card", Problem, "in A, nor in B")]);
        check(vec![("A", pcsc(PcscError::NoCard))], None, &[], &[("no-card", Problem, "in A")]);
        check(
            vec![(YUBIKEY, Some(Ok(key("123")))), ("A", None)],
            None,
            &[],
            &[("key", Good, "key 123: OATH 5.7.1, Nano (USB-C), in Yubico YubiKey")],
        );
        check(
            vec![(YUBIKEY, no_applet())],
            None,
            &[],
            &[("oath-disabled", Problem, "ykman config usb --enable OATH")],
        );
        check(
            vec![("ACR122U", no_applet())],
            None,
            &[],
            &[("no-oath", Problem, "ykman config nfc --enable OATH")],
        );
        // A bank card beside a key is no problem.
        check(
            vec![("ACR122U", no_applet()), (YUBIKEY, Some(Ok(key("1"))))],
            None,
            &[],
            &[("no-oath", Note, "another card"), ("key", Good, "key 1")],
        );
        check(
            vec![(YUBIKEY, pcsc(PcscError::Busy))],
            None,
            &[(7, "scdaemon"), (8, "x")],
            &[("key-held", Problem, "Yubico YubiKey CCID 00 00: scdaemon (pid 7) or x (pid 8) → end it")],
        );
        check(
            vec![(YUBIKEY, pcsc(PcscError::Busy))],
            None,
            &[],
            &[("key-held", Problem, "close the program")],
        );
        check(
            vec![(YUBIKEY, Some(Ok(key("1"))))],
            None,
            &[(7, "scdaemon")],
            &[("key", Good, "key 1"), ("scdaemon", Note, "scdaemon (pid 7) of GnuPG")],
        );
        check(vec![("A", pcsc(PcscError::Mute))], None, &[], &[("card", Problem, "put it in again")]);
        check(
            vec![("A\u{1b}[2J", Some(Err(KeyError::Oath(OathError::Endless))))],
            None,
            &[],
            &[("card", Problem, "unplug it")],
        );
        check(
            vec![(YUBIKEY, Some(Ok(key("1"))))],
            Some("2"),
            &[],
            &[("key", Good, "key 1"), ("chosen-key", Problem, "the key 2 is chosen")],
        );
        check(vec![(YUBIKEY, Some(Ok(key("1"))))], Some("soft"), &[], &[("key", Good, "key 1")]);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_judged() {
        use std::fs::{Permissions, create_dir, set_permissions, write};
        use std::os::unix::fs::PermissionsExt as _;

        #[track_caller]
        fn check(findings: &[Finding], expected: &[(&str, Level)]) {
            let ids: Vec<_> = findings.iter().map(|finding| (finding.id, finding.level)).collect();
            assert_eq!(ids, expected, "{findings:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let load = || config(&path, Config::load(&path, |_| None));
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        check(&load(), &[]);
        write(&path, "key = \"1\"").unwrap();
        mode(&path, 0o644);
        check(&load(), &[("config", Level::Ok)]);
        mode(&path, 0o666);
        check(&load(), &[("config", Level::Ok), ("config-permissions", Level::Problem)]);
        write(&path, "key = 1").unwrap();
        check(&load(), &[("config", Level::Problem)]);

        let soft = folder.path().join("soft keys");
        let files = soft::SoftKeys::new(soft.clone());
        check(&software(&files, &soft), &[]);
        create_dir(&soft).unwrap();
        mode(&soft, 0o700);
        write(soft.join("a.key"), "no key").unwrap();
        check(&software(&files, &soft), &[("soft-key", Level::Problem)]);
        std::fs::copy("tests/data/soft-v1.key", soft.join("a.key")).unwrap();
        mode(&soft.join("a.key"), 0o600);
        check(&software(&files, &soft), &[("soft-key", Level::Ok)]);
        mode(&soft.join("a.key"), 0o640);
        mode(&soft, 0o770);
        let findings = software(&files, &soft);
        check(&findings, &[("soft-permissions", Level::Problem); 2]);
        let fix = findings.last().and_then(|finding| finding.fix.as_deref()).unwrap();
        assert_eq!(fix, format!("run `chmod 600 '{}/a.key'`", soft.display()));
        // A file where the folder should be.
        check(&software(&soft::SoftKeys::new(path.clone()), &path), &[("soft-folder", Level::Problem)]);
    }

    #[test]
    fn browsers_are_judged() {
        use browser::{Problem, Report, State, Status};
        #[track_caller]
        fn check(
            states: &[(bool, State, &[Problem])],
            notes: Vec<&'static str>,
            expected: &[(&str, Level, &str)],
        ) {
            let status = |(i, &(present, state, problems)): (usize, &(bool, State, &[Problem]))| Status {
                browser: "chromium",
                title: "Chromium",
                present,
                manifest: PathBuf::from(format!("/home/{i}")),
                registry_key: None,
                shared_with: Vec::new(),
                state,
                development: true,
                problems: problems.to_vec(),
            };
            let browsers: Vec<_> = states.iter().enumerate().map(status).collect();
            // The same manifest again, of a browser that reads another's.
            let twice = browsers.iter().cloned().chain(browsers.clone()).collect();
            let findings = super::browsers(Ok(Report { browsers: twice, notes }));
            let ids: Vec<_> = findings.iter().map(|finding| (finding.id, finding.level)).collect();
            assert_eq!(ids, expected.iter().map(|&(id, level, _)| (id, level)).collect::<Vec<_>>());
            for (finding, (_, _, says)) in findings.iter().zip(expected) {
                let text = format!("{} → {}", finding.title, finding.fix.as_deref().unwrap_or_default());
                assert!(text.contains(says), "{text}");
            }
        }
        check(&[(false, State::Missing, &[])], vec![], &[]);
        check(&[(true, State::Ok, &[])], vec![], &[("manifest", Level::Ok, "can start")]);
        check(
            &[(true, State::Missing, &[])],
            vec!["Firefox as a Snap asks"],
            &[
                ("manifest-missing", Level::Note, "keyfob browser install chromium"),
                ("browser-sandbox", Level::Note, "as a Snap"),
            ],
        );
        check(
            &[(false, State::Stale, &[Problem::ProgramGone, Problem::OtherContents])],
            vec![],
            &[(
                "manifest-stale",
                Level::Problem,
                "another version's (/home/0) → run `keyfob browser install chromium --dev`",
            )],
        );
    }

    #[test]
    fn the_agent_is_judged() {
        use keyfob_core::message::ErrorCode;
        #[track_caller]
        fn check(status: Result<Option<&str>, Failure>, expected: Option<(&str, Level)>) {
            let running = |version: &str| agent::Status {
                pid: 7,
                version: version.to_owned(),
                clients: 1,
                idle: 0,
                idle_limit: 900,
            };
            let finding = super::agent(status.map(|version| version.map(running)));
            assert_eq!(finding.map(|finding| (finding.id, finding.level)), expected);
        }
        check(Ok(None), None);
        check(Ok(Some(env!("CARGO_PKG_VERSION"))), Some(("agent", Level::Ok)));
        check(Ok(Some("0.0.9")), Some(("agent-version", Level::Note)));
        check(Err(failure(ErrorCode::Internal, "it hangs", "")), Some(("agent", Level::Problem)));
    }

    #[test]
    fn every_finding_is_described() {
        const DOCUMENT: &str = include_str!("../../../docs/doctor.md");
        let sources = [include_str!("mod.rs"), include_str!("linux.rs"), include_str!("clock.rs")];
        // What follows `Finding::problem(` and its like, on this line or the next.
        let ids: HashSet<_> = sources
            .iter()
            .flat_map(|source| source.split("#[cfg(test)]\nmod tests").next())
            .flat_map(|source| source.split("Finding::").skip(1))
            .filter_map(|call| call.split_once('(')?.1.trim_start().strip_prefix('"')?.split('"').next())
            .collect();
        assert!(ids.len() > 20, "{ids:?}");
        for id in ids {
            assert!(DOCUMENT.contains(&format!("`{id}`")), "docs/doctor.md does not tell of {id}");
        }
    }

    #[test]
    fn paths_can_be_pasted() {
        assert_eq!(quoted(Path::new("/home/ä/x.key")), "/home/ä/x.key");
        assert_eq!(quoted(Path::new("/a b/it's $x")), r"'/a b/it'\''s $x'");
    }
}
