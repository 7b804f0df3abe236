//! pcsc-lite and USB on Linux: why the service cannot be used, and keys that are plugged in but in no reader.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{Finding, System};
use crate::holders::Holder;
use crate::key::Slot;
use crate::prompt::printable;

/// A family of distributions.
struct Distribution {
    /// `ID` or `ID_LIKE` in os-release(5).
    ids: &'static [&'static str],
    /// What installs the service and the driver of USB readers.
    install: &'static str,
}

const DISTRIBUTIONS: &[Distribution] = &[
    Distribution { ids: &["debian", "ubuntu"], install: "`sudo apt install pcscd libccid`" },
    Distribution {
        ids: &["fedora", "rhel", "centos"],
        install: "`sudo dnf install pcsc-lite pcsc-lite-ccid`",
    },
    Distribution { ids: &["arch"], install: "`sudo pacman -S pcsclite ccid`" },
    Distribution { ids: &["suse", "opensuse"], install: "`sudo zypper install pcsc-lite pcsc-ccid`" },
    Distribution { ids: &["alpine"], install: "`sudo apk add pcsc-lite pcsc-lite-openrc ccid`" },
    Distribution { ids: &["void"], install: "`sudo xbps-install pcsclite pcsc-ccid`" },
    Distribution { ids: &["gentoo"], install: "`sudo emerge sys-apps/pcsc-lite app-crypt/ccid`" },
    Distribution { ids: &["nixos"], install: "`services.pcscd.enable = true;` in configuration.nix" },
];

/// How this distribution installs the service.
fn install(system: &System) -> &'static str {
    let text = fs::read_to_string(system.root.join("etc/os-release"))
        .or_else(|_| fs::read_to_string(system.root.join("usr/lib/os-release")))
        .unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    // Its own id first, then those that it is like, nearest first.
    let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
    let named = |id: &str| DISTRIBUTIONS.iter().find(|distribution| distribution.ids.contains(&id));
    ids.split_whitespace()
        .find_map(named)
        .map_or("your distribution's packages of pcsc-lite and of its CCID driver", |distribution| {
            distribution.install
        })
}

fn has(system: &System, path: &str) -> bool {
    system.root.join(path).exists()
}

fn has_systemd(system: &System) -> bool {
    has(system, "run/systemd/system")
}

fn start(system: &System) -> &'static str {
    if has_systemd(system) {
        "start it, now and at every boot: `sudo systemctl enable --now pcscd.socket`"
    } else if has(system, "sbin/openrc") || has(system, "sbin/rc-service") {
        "start it, now and at every boot: `sudo rc-service pcscd start && sudo rc-update add pcscd`"
    } else {
        "start it: `sudo pcscd`"
    }
}

fn restart(system: &System) -> &'static str {
    if has_systemd(system) {
        "restart it: `sudo systemctl restart pcscd.socket pcscd.service`; its messages: `journalctl -u pcscd`"
    } else {
        "end it and start it again: `sudo pcscd`; its messages are in the system's log"
    }
}

/// How far a connection to the service gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Missing,
    Refused,
    Denied,
    /// Its queue is full: it does not take anybody.
    Hung,
    Connected,
}

fn reach(socket: &Path) -> Reach {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let result = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|stream| connect(&stream, &SocketAddrUnix::new(socket)?));
    match result {
        Ok(()) => Reach::Connected,
        Err(Errno::ACCESS | Errno::PERM) => Reach::Denied,
        Err(Errno::AGAIN) => Reach::Hung,
        Err(Errno::CONNREFUSED) => Reach::Refused,
        Err(_) => Reach::Missing,
    }
}

/// Why the service does not answer. `error` is what PC/SC says.
pub(super) fn service(system: &System, error: pcsc::Error) -> Finding {
    explain(system, reach(&system.socket), error)
}

fn explain(system: &System, reach: Reach, error: pcsc::Error) -> Finding {
    let installed = ["usr/sbin/pcscd", "usr/bin/pcscd", "run/current-system/sw/bin/pcscd"]
        .into_iter()
        .any(|path| has(system, path));
    let socket = system.socket.display();
    match reach {
        Reach::Missing if !installed => Finding::problem(
            "pcsc-missing",
            "the smart-card service (pcscd) is not installed",
            format!("install it: {}; then {}", install(system), start(system)),
        ),
        Reach::Missing => Finding::problem(
            "pcsc-stopped",
            format!("the smart-card service (pcscd) does not run: there is no {socket}"),
            start(system),
        ),
        Reach::Refused => Finding::problem(
            "pcsc-dead",
            format!("the smart-card service (pcscd) has ended; its socket {socket} was left behind"),
            restart(system),
        ),
        Reach::Denied => denied(system),
        Reach::Hung => Finding::problem(
            "pcsc-hung",
            "the smart-card service (pcscd) runs and takes no connection",
            restart(system),
        ),
        Reach::Connected if error == pcsc::Error::Timeout => Finding::problem(
            "pcsc-hung",
            "the smart-card service (pcscd) takes connections and does not answer",
            restart(system),
        ),
        Reach::Connected if has(system, POLICY) => polkit(system),
        Reach::Connected => Finding::problem(
            "pcsc-broken",
            format!("the smart-card service (pcscd) takes connections and then fails: {error}"),
            restart(system),
        ),
    }
}

/// The socket may not be opened: whose it is.
fn denied(system: &System) -> Finding {
    let title = format!("you may not open the smart-card service's socket, {}", system.socket.display());
    let group = fs::metadata(&system.socket)
        .ok()
        .filter(|file| file.permissions().mode() & 0o020 != 0 && file.gid() != 0)
        .and_then(|file| group(system, file.gid()));
    match group {
        Some(group) => Finding::problem(
            "pcsc-permission",
            format!("{title}: it is for the group {group}"),
            format!("join the group and log in again: `sudo usermod --append --groups {group} \"$USER\"`"),
        ),
        None => Finding::problem(
            "pcsc-permission",
            title,
            format!(
                "the packages make it open to everybody; undo what was changed, then {}",
                restart(system)
            ),
        ),
    }
}

/// A group's name in group(5).
fn group(system: &System, gid: u32) -> Option<String> {
    let text = fs::read_to_string(system.root.join("etc/group")).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        (id.parse() == Ok(gid) && name.chars().all(plain)).then(|| name.to_owned())
    })
}

/// pcsc-lite's actions for polkit: built with it, the service asks polkit who may come.
const POLICY: &str = "usr/share/polkit-1/actions/org.debian.pcsc-lite.policy";

/// The service takes the connection and ends it: polkit said no. By its policy only those at the machine itself may.
fn polkit(system: &System) -> Finding {
    let set = |name: &str| (system.env)(name).filter(|value| !value.is_empty());
    let session = set("XDG_SESSION_ID").and_then(|id| id.into_string().ok());
    let session = session
        .filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric()))
        .and_then(|id| fs::read_to_string(system.root.join("run/systemd/sessions").join(id)).ok());
    let says = |line: &str| session.as_deref().is_some_and(|text| text.lines().any(|l| l == line));
    let remote = set("SSH_CONNECTION").is_some() || set("SSH_TTY").is_some() || says("REMOTE=1");
    let why = match () {
        () if remote => {
            "you are logged in over the network, and polkit lets only those at the machine use cards"
        }
        () if session.is_none() => {
            "this is no login session (a service, a container, `su`), and polkit lets only those use cards"
        }
        () if says("ACTIVE=0") => {
            "this session is in the background, and polkit lets only the active one use cards"
        }
        () => "polkit does not let you",
    };
    let user = set("USER").and_then(|user| user.into_string().ok());
    let user = user.filter(|user| user.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
    Finding::problem(
        "pcsc-polkit",
        format!("the smart-card service (pcscd) turns you away: {why}"),
        format!(
            "as root, write this into /etc/polkit-1/rules.d/50-pcsc.rules: \
             polkit.addRule(function(action, subject) {{ \
             if (action.id.indexOf(\"org.debian.pcsc-lite.\") == 0 && subject.user == \"{}\") \
             return polkit.Result.YES; }});",
            user.as_deref().unwrap_or("YOUR NAME"),
        ),
    )
}

/// The vendor whose keys are looked for on USB.
const YUBICO: &str = "1050";
/// The class of USB interfaces of readers (CCID, "Smart Card").
const CCID: &str = "0b";

/// Keys on USB that are in no reader, and why.
pub(super) fn usb(system: &System, slots: &[Slot], grave: bool, holders: &[Holder]) -> Vec<Finding> {
    let read = |folder: &Path, name: &str| {
        Some(fs::read_to_string(folder.join(name)).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let (mut findings, mut with_ccid) = (Vec::new(), Vec::new());
    for device in fs::read_dir(system.root.join("sys/bus/usb/devices")).into_iter().flatten().flatten() {
        let folder = device.path();
        if read(&folder, "idVendor").as_deref() != Some(YUBICO) {
            continue;
        }
        let product = read(&folder, "product").unwrap_or_else(|| "YubiKey".to_owned());
        let interfaces = fs::read_dir(&folder).into_iter().flatten().flatten();
        let classes: Vec<_> = interfaces.filter_map(|i| read(&i.path(), "bInterfaceClass")).collect();
        if classes.iter().any(|class| class == CCID) {
            with_ccid.push(printable(&product).into_owned());
        } else if !classes.is_empty() {
            findings.push(Finding::problem_if(
                grave,
                Finding::problem(
                    "ccid-disabled",
                    format!("the {} on USB has its CCID interface switched off", printable(&product)),
                    "switch it on: `ykman config usb --enable OATH` (`ykman mode OTP+FIDO+CCID` before firmware 5); a \
                     Security Key or an FIDO-only key has no OATH at all",
                ),
            ));
        }
    }
    let readers = slots.iter().filter(|slot| slot.reader.to_ascii_lowercase().contains("yubi")).count();
    if with_ccid.len() > readers {
        // Who has the device open itself keeps the service from it.
        let (why, fix) = match holders.first() {
            Some(holder) => {
                (format!(": perhaps {holder} has it"), holder.hint.unwrap_or("close that program").to_owned())
            }
            None => (
                String::new(),
                format!(
                    "install the driver of USB readers: {}; if it is there, {}",
                    install(system),
                    restart(system)
                ),
            ),
        };
        findings.push(Finding::problem_if(
            grave,
            Finding::problem(
                "reader-missing",
                format!(
                    "the smart-card service does not see the {} on USB{why}",
                    with_ccid.join(", nor the ")
                ),
                fix,
            ),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::super::Level;
    use super::*;

    /// A machine with these files. Those whose name ends in a slash are folders.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, System) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        }
        let system =
            System { root: folder.path().to_owned(), socket: folder.path().join("comm"), env: |_| None };
        (folder, system)
    }

    const PCSCD: (&str, &str) = ("usr/sbin/pcscd", "");
    const SYSTEMD: (&str, &str) = ("run/systemd/system/", "");
    const RULES: (&str, &str) = (POLICY, "");

    #[test]
    fn a_service_that_is_not_there_is_installed_as_the_distribution_does() {
        #[track_caller]
        fn check(os_release: &str, expected: &str) {
            let (_folder, system) = machine(&[("etc/os-release", os_release), SYSTEMD]);
            let finding = explain(&system, Reach::Missing, pcsc::Error::NoService);
            assert_eq!((finding.id, finding.level), ("pcsc-missing", Level::Problem));
            let fix = finding.fix.unwrap();
            assert!(fix.contains(expected) && fix.contains("systemctl enable --now pcscd.socket"), "{fix}");
        }
        check("NAME=x\nID=debian\n", "apt install pcscd");
        check("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt install pcscd");
        check("ID=\"rocky\"\nID_LIKE='rhel centos fedora'", "dnf install pcsc-lite");
        check("ID=arch", "pacman -S pcsclite");
        check("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"", "zypper install");
        check("ID=alpine", "apk add");
        check("ID=nixos", "services.pcscd.enable");
        check("ID=somethingelse", "your distribution's packages");
        check("", "your distribution's packages");
    }

    #[test]
    fn why_the_service_does_not_answer() {
        #[track_caller]
        fn check(files: &[(&str, &str)], reach: Reach, error: pcsc::Error, id: &str, fix: &str) {
            let (_folder, system) = machine(files);
            let finding = explain(&system, reach, error);
            assert_eq!((finding.id, finding.level), (id, Level::Problem), "{finding:?}");
            assert!(finding.fix.as_deref().is_some_and(|text| text.contains(fix)), "{finding:?}");
        }
        use pcsc::Error::{CommError, NoService, Timeout};
        check(&[PCSCD, SYSTEMD], Reach::Missing, NoService, "pcsc-stopped", "systemctl enable --now");
        check(&[PCSCD, ("sbin/openrc", "")], Reach::Missing, NoService, "pcsc-stopped", "rc-service pcscd");
        check(&[PCSCD], Reach::Missing, NoService, "pcsc-stopped", "`sudo pcscd`");
        check(&[PCSCD, SYSTEMD], Reach::Refused, NoService, "pcsc-dead", "systemctl restart");
        check(&[PCSCD, SYSTEMD], Reach::Hung, NoService, "pcsc-hung", "systemctl restart");
        check(&[PCSCD, SYSTEMD], Reach::Connected, Timeout, "pcsc-hung", "systemctl restart");
        check(&[PCSCD, RULES], Reach::Connected, NoService, "pcsc-polkit", "polkit.addRule");
        check(&[PCSCD, RULES], Reach::Connected, CommError, "pcsc-polkit", "polkit.addRule");
        check(&[PCSCD, SYSTEMD], Reach::Connected, CommError, "pcsc-broken", "journalctl -u pcscd");
    }

    #[test]
    fn polkit_says_no_for_a_reason() {
        #[track_caller]
        fn check(env: fn(&str) -> Option<OsString>, session: &str, why: &str, user: &str) {
            let (_folder, system) = machine(&[("run/systemd/sessions/c2", session), RULES]);
            let finding = polkit(&System { env, ..system });
            assert!(finding.title.contains(why), "{finding:?}");
            assert!(finding.fix.unwrap().contains(&format!("subject.user == \"{user}\"")));
        }
        check(
            |name| match name {
                "SSH_CONNECTION" => Some("192.0.2.1 1 192.0.2.2 22".into()),
                "USER" => Some("alice".into()),
                _ => None,
            },
            "",
            "over the network",
            "alice",
        );
        let session: fn(&str) -> _ = |name| match name {
            "XDG_SESSION_ID" => Some("c2".into()),
            "USER" => Some("a\"; evil".into()),
            _ => None,
        };
        check(session, "ACTIVE=1\nREMOTE=1\n", "over the network", "YOUR NAME");
        check(session, "ACTIVE=0\nREMOTE=0\n", "in the background", "YOUR NAME");
        check(session, "ACTIVE=1\nREMOTE=0\n", "polkit does not let you", "YOUR NAME");
        check(
            |name| (name == "XDG_SESSION_ID").then(|| "../c2".into()),
            "ACTIVE=1",
            "no login session",
            "YOUR NAME",
        );
        check(|_| None, "", "no login session", "YOUR NAME");
    }

    #[test]
    fn a_socket_is_tried() {
        let (_folder, system) = machine(&[]);
        assert_eq!(reach(&system.socket), Reach::Missing);
        let listener = UnixListener::bind(&system.socket).unwrap();
        assert_eq!(reach(&system.socket), Reach::Connected);
        // Nobody takes them: its queue is full at some time.
        let mut held = Vec::new();
        while reach(&system.socket) == Reach::Connected {
            held.push(UnixStream::connect(&system.socket).unwrap());
            assert!(held.len() < 10_000);
        }
        assert_eq!(reach(&system.socket), Reach::Hung);
        drop(listener);
        assert_eq!(reach(&system.socket), Reach::Refused);
    }

    #[test]
    fn whose_the_socket_is() {
        #[track_caller]
        fn check(mode: u32, groups: &str, expected: &str) {
            let (_folder, system) = machine(&[]);
            let _listener = UnixListener::bind(&system.socket).unwrap();
            fs::set_permissions(&system.socket, fs::Permissions::from_mode(mode)).unwrap();
            let gid = fs::metadata(&system.socket).unwrap().gid();
            fs::create_dir(system.root.join("etc")).unwrap();
            fs::write(system.root.join("etc/group"), groups.replace("GID", &gid.to_string())).unwrap();
            let finding = denied(&system);
            assert_eq!(finding.id, "pcsc-permission");
            assert!(finding.fix.unwrap().contains(expected));
        }
        check(0o600, "scard:x:GID:\n", "open to everybody");
        check(0o660, "a:x:1\n;`evil:x:GID:\n", "open to everybody");
        // The root group is nobody's to join.
        if !rustix::process::getgid().is_root() {
            check(0o660, "root:x:0:\nscard:x:GID:bob\n", "usermod --append --groups scard");
        }
        let (_folder, system) = machine(&[("etc/group", "root:x:0:\nbroken\nscard:x:117:bob\n")]);
        assert_eq!(group(&system, 117).as_deref(), Some("scard"));
        assert_eq!(group(&system, 118), None);
    }

    #[test]
    fn keys_on_usb_without_a_reader() {
        const OTP_FIDO: &[(&str, &str)] = &[
            ("sys/bus/usb/devices/1-1/idVendor", "1050\n"),
            ("sys/bus/usb/devices/1-1/product", "YubiKey OTP+FIDO\u{1b}[2J\n"),
            ("sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass", "03\n"),
            ("sys/bus/usb/devices/1-1/1-1:1.1/bInterfaceClass", "03\n"),
            ("sys/bus/usb/devices/1-2/idVendor", "046d\n"),
            ("sys/bus/usb/devices/1-2/1-2:1.0/bInterfaceClass", "03\n"),
        ];
        const CCID: &[(&str, &str)] = &[
            ("etc/os-release", "ID=debian"),
            ("sys/bus/usb/devices/1-1/idVendor", "1050\n"),
            ("sys/bus/usb/devices/1-1/product", "YubiKey CCID\n"),
            ("sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass", "0b\n"),
        ];
        let scdaemon = Holder { pid: 7, name: "scdaemon".to_owned(), hint: Some("end it so") };
        #[track_caller]
        fn check(
            files: &[(&str, &str)],
            readers: &[&str],
            holders: &[Holder],
            expected: Option<(&str, &str, &str)>,
        ) {
            let (_folder, system) = machine(files);
            let slots: Vec<_> =
                readers.iter().map(|&reader| Slot { reader: reader.to_owned(), card: None }).collect();
            let findings = usb(&system, &slots, true, holders);
            match (findings.as_slice(), expected) {
                ([], None) => {}
                ([finding], Some((id, title, fix))) => {
                    assert_eq!((finding.id, finding.level), (id, Level::Problem));
                    assert!(finding.title.contains(title), "{finding:?}");
                    assert!(!finding.title.contains('\u{1b}'), "{finding:?}");
                    assert!(finding.fix.as_deref().unwrap().contains(fix), "{finding:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        check(&[], &[], &[], None);
        check(
            OTP_FIDO,
            &[],
            &[],
            Some(("ccid-disabled", "YubiKey OTP+FIDO", "ykman config usb --enable OATH")),
        );
        check(CCID, &["Yubico YubiKey CCID 00 00"], &[], None);
        check(CCID, &[], &[], Some(("reader-missing", "YubiKey CCID on USB", "apt install pcscd libccid")));
        check(
            CCID,
            &["Other"],
            &[scdaemon],
            Some(("reader-missing", "perhaps scdaemon (pid 7)", "end it so")),
        );
        // Beside a key that works it is no more than a note.
        let (_folder, system) = machine(OTP_FIDO);
        assert_eq!(usb(&system, &[], false, &[]).first().map(|finding| finding.level), Some(Level::Note));
    }
}
