//! Who else has the key: the programs that are connected to the PC/SC service, or have the key's USB device open.
//!
//! PC/SC says that somebody holds a card, never who. Linux tells: `sock_diag(7)` pairs the service's sockets with their
//! clients' (`unix_diag.h`), `/proc/PID/fd` says whose those are. What belongs to another user stays hidden unless we are
//! root; of those, only programs known to keep cards are named. Elsewhere nobody is named. Nothing is ever ended here.

use std::fmt;
use std::path::PathBuf;

/// A program that may hold the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name, printable, at most 40 characters.
    pub name: String,
    /// What makes it let go, where that is known: an imperative, without a full stop.
    pub hint: Option<&'static str>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// A program known to use cards.
#[cfg(target_os = "linux")]
struct Known {
    /// Beginning of its name, as `/proc/PID/comm` has it (15 characters of it).
    name: &'static str,
    /// How it lets go.
    hint: &'static str,
    /// It keeps the card while it does nothing: a suspect even where its files are hidden from us.
    keeps: bool,
}

/// Those that keep a card for themselves first.
#[cfg(target_os = "linux")]
const KNOWN: &[Known] = &[
    // Opens the card exclusively, or its USB device past the service (`disable-ccid` in scdaemon.conf).
    Known {
        name: "scdaemon",
        hint: "run `gpgconf --kill scdaemon`; for good, put `pcsc-shared` and `disable-ccid` into ~/.gnupg/scdaemon.conf",
        keeps: true,
    },
    Known { name: "qemu-system", hint: "give the key back from the virtual machine", keeps: true },
    Known { name: "VirtualBoxVM", hint: "give the key back from the virtual machine", keeps: true },
    Known { name: "vmware-vmx", hint: "give the key back from the virtual machine", keeps: true },
    Known {
        name: "yubikey-agent",
        hint: "run `killall -HUP yubikey-agent`: it then lets go of the key",
        keeps: true,
    },
    Known { name: "pivy-agent", hint: "end it while you use Keyfob", keeps: true },
    Known {
        name: "keyfob",
        hint: "wait until it has finished; an agent ends with `keyfob agent stop`",
        keeps: false,
    },
    Known { name: "ykman", hint: "wait until it has ended", keeps: false },
    Known { name: "authenticator", hint: "close Yubico Authenticator", keeps: false },
    Known { name: "yubioath", hint: "close Yubico Authenticator", keeps: false },
    Known { name: "age-plugin-yubi", hint: "wait until it has ended", keeps: false },
    Known {
        name: "ssh-pkcs11-help",
        hint: "run `ssh-add -e LIBRARY` with the PKCS#11 library that ssh-agent has loaded",
        keeps: false,
    },
    Known { name: "p11-kit", hint: "end the program that uses the key through p11-kit", keeps: false },
    Known {
        name: "gsd-smartcard",
        hint: "run `systemctl --user stop org.gnome.SettingsDaemon.Smartcard.service`",
        keeps: false,
    },
    Known { name: "pcsc_scan", hint: "end it", keeps: false },
    Known {
        name: "firefox",
        hint: "unload the PKCS#11 module in its settings (Security Devices), or close it",
        keeps: false,
    },
    Known { name: "chrome", hint: "close it, if it reads client certificates from the key", keeps: false },
    Known { name: "chromium", hint: "close it, if it reads client certificates from the key", keeps: false },
];

/// The other programs that may hold a key now: those known to keep cards first. Empty where that cannot be told: on
/// other systems than Linux, and of other users' programs.
#[must_use]
pub fn others() -> Vec<Holder> {
    #[cfg(target_os = "linux")]
    return linux::others();
    #[cfg(not(target_os = "linux"))]
    Vec::new()
}

/// Where the PC/SC service of pcsc-lite listens, as its client library finds it (`PCSCD.h`).
#[must_use]
pub fn pcscd_socket() -> PathBuf {
    let named = std::env::var_os("PCSCLITE_CSOCK_NAME").filter(|name| !name.is_empty());
    named.map_or_else(|| PathBuf::from("/run/pcscd/pcscd.comm"), PathBuf::from)
}

/// Only letters that stand in one place, and not many: the name is whatever a program calls itself.
#[cfg(target_os = "linux")]
fn presentable(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic()).take(40).collect()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashSet;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    };

    use super::{Holder, KNOWN, presentable};

    /// The vendor whose USB devices are keys.
    const YUBICO: &str = "1050";

    pub(super) fn others() -> Vec<Holder> {
        let socket = super::pcscd_socket();
        let usb = usb_nodes(Path::new("/sys/bus/usb/devices"));
        find(Path::new("/proc"), std::process::id(), clients(&socket).as_ref(), &usb)
    }

    /// The holders among the processes in `proc`. `clients` are the sockets' inodes of the service's clients, `usb` the
    /// keys' device nodes.
    pub(super) fn find(
        proc: &Path,
        own: u32,
        clients: Option<&HashSet<u64>>,
        usb: &HashSet<PathBuf>,
    ) -> Vec<Holder> {
        let mut found = Vec::new();
        for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let folder = entry.path();
            let name = name(&folder);
            // The service itself has every reader's device open.
            if pid == own || name == "pcscd" {
                continue;
            }
            let rank = KNOWN.iter().position(|known| name.starts_with(known.name));
            let known = rank.and_then(|rank| KNOWN.get(rank));
            let holds = match fs::read_dir(folder.join("fd")) {
                Ok(files) => files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|file| {
                    usb.contains(&file)
                        || match (clients, inode(&file)) {
                            (Some(clients), Some(inode)) => clients.contains(&inode),
                            (None, Some(_)) => has_pcsc_library(&folder),
                            _ => false,
                        }
                }),
                // Another user's, or just ended.
                Err(_) => known.is_some_and(|known| known.keeps),
            };
            if holds {
                found.push((rank.unwrap_or(KNOWN.len()), Holder { pid, name, hint: known.map(|k| k.hint) }));
            }
        }
        found.sort_by_key(|(rank, holder)| (*rank, holder.pid));
        found.into_iter().map(|(_, holder)| holder).collect()
    }

    /// What a process is called: as the system does, but a script by its own name, and no name cut short.
    fn name(folder: &Path) -> String {
        let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let comm = comm.trim_end();
        let line = fs::read(folder.join("cmdline")).unwrap_or_default();
        let base = |arg: &[u8]| {
            let arg = String::from_utf8_lossy(arg);
            arg.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let mut args = line.split(|byte| *byte == 0);
        let first = args.next().map(base).unwrap_or_default();
        let name = if comm.starts_with("python") {
            args.find(|arg| !arg.starts_with(b"-")).map(base).filter(|script| !script.is_empty())
        } else {
            // 15 characters are all that `comm` holds.
            Some(first).filter(|first| comm.len() == 15 && first.starts_with(comm))
        };
        presentable(name.as_deref().unwrap_or(comm))
    }

    /// The inode of `socket:[INODE]`.
    fn inode(link: &Path) -> Option<u64> {
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// Whether the client library of PC/SC is loaded: the best that can be said where the system does not pair sockets.
    fn has_pcsc_library(folder: &Path) -> bool {
        fs::read_to_string(folder.join("maps")).is_ok_and(|maps| maps.contains("/libpcsclite"))
    }

    /// The device nodes of the keys on USB, below `/sys/bus/usb/devices`.
    fn usb_nodes(devices: &Path) -> HashSet<PathBuf> {
        let read = |folder: &Path, name| Some(fs::read_to_string(folder.join(name)).ok()?.trim().to_owned());
        let node = |folder: PathBuf| {
            read(&folder, "idVendor").filter(|vendor| vendor == YUBICO)?;
            let number = |name| read(&folder, name)?.parse::<u16>().ok();
            Some(PathBuf::from(format!("/dev/bus/usb/{:03}/{:03}", number("busnum")?, number("devnum")?)))
        };
        fs::read_dir(devices).into_iter().flatten().flatten().filter_map(|entry| node(entry.path())).collect()
    }

    // linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h.
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST_DUMP: u16 = 0x301;
    const NLMSG_DONE: u16 = 3;
    const NLMSG_ERROR: u16 = 2;
    const AF_UNIX: u8 = 1;
    const UDIAG_SHOW_NAME_VFS_PEER: u32 = 1 | 2 | 4;
    const UNIX_DIAG_NAME: u16 = 0;
    const UNIX_DIAG_VFS: u16 = 1;
    const UNIX_DIAG_PEER: u16 = 2;
    const HEADER: usize = 16;
    /// `struct unix_diag_msg`: family, type, state, padding, inode, cookie.
    const MESSAGE: usize = 16;

    /// The inodes of the sockets that are connected to the one at `path`. None if the system does not tell.
    fn clients(path: &Path) -> Option<HashSet<u64>> {
        let file = fs::metadata(path).ok()?;
        let kernel_device =
            u64::from(rustix::fs::major(file.dev())) << 20 | u64::from(rustix::fs::minor(file.dev()));
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )
        .ok()?;
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(1))).ok()?;
        let mut request = Vec::with_capacity(HEADER + 24);
        request.extend(40_u32.to_ne_bytes());
        request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
        request.extend([0; 8]);
        request.extend([AF_UNIX, 0, 0, 0]);
        // All states, any inode, these attributes, no cookie.
        for word in [u32::MAX, 0, UDIAG_SHOW_NAME_VFS_PEER, u32::MAX, u32::MAX] {
            request.extend(word.to_ne_bytes());
        }
        send(&socket, &request, SendFlags::empty()).ok()?;
        let mut buffer = vec![0; 1 << 16];
        let mut found = HashSet::new();
        loop {
            let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()).ok()?;
            let mut rest = buffer.get(..length).filter(|part| !part.is_empty())?;
            while let Some(size) = u32_at(rest, 0).map(|size| size as usize).filter(|size| *size >= HEADER) {
                let message = rest.get(..size)?;
                match u16_at(message, 4)? {
                    NLMSG_DONE => return Some(found),
                    NLMSG_ERROR => return None,
                    SOCK_DIAG_BY_FAMILY => found.extend(peer(message, path, file.ino(), kernel_device)),
                    _ => {}
                }
                rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    /// The peer's inode, if a message speaks of a socket bound to that file.
    fn peer(message: &[u8], path: &Path, inode: u64, device: u64) -> Option<u64> {
        let (mut name, mut vfs, mut peer) = (None, None, None);
        let mut rest = message.get(HEADER + MESSAGE..)?;
        while let Some(size) = u16_at(rest, 0).map(usize::from).filter(|size| *size >= 4) {
            let value = rest.get(4..size)?;
            match u16_at(rest, 2)? {
                UNIX_DIAG_NAME => name = Some(value),
                UNIX_DIAG_VFS => vfs = Some((u64::from(u32_at(value, 0)?), u64::from(u32_at(value, 4)?))),
                UNIX_DIAG_PEER => peer = Some(u64::from(u32_at(value, 0)?)),
                _ => {}
            }
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
        let (ino, dev) = vfs?;
        // An overlay tells another device than its files say; then the name has to do.
        let named = |bytes: &[u8]| {
            let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            Path::new(&*String::from_utf8_lossy(bytes)).file_name() == path.file_name().map(OsStr::new)
        };
        (ino == inode & u64::from(u32::MAX) && (dev == device || name.is_some_and(named)))
            .then_some(peer)
            .flatten()
    }

    fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
    }

    fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::{UnixListener, UnixStream};

        use super::*;

        /// A process in a made-up `/proc`. `fds` none: they may not be seen.
        fn process(proc: &Path, pid: u32, comm: &str, cmdline: &str, fds: Option<&[&str]>) {
            let folder = proc.join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(folder.join("cmdline"), cmdline.replace(' ', "\0")).unwrap();
            if let Some(fds) = fds {
                fs::create_dir(folder.join("fd")).unwrap();
                for (i, target) in fds.iter().enumerate() {
                    symlink(target, folder.join(format!("fd/{i}"))).unwrap();
                }
            }
        }

        #[test]
        fn holders_are_found_in_what_the_system_tells() {
            let folder = tempfile::tempdir().unwrap();
            let proc = folder.path();
            fs::create_dir(proc.join("self")).unwrap();
            process(proc, 10, "bash", "bash", Some(&["/dev/null", "socket:[70]"]));
            process(proc, 11, "pcscd", "/usr/sbin/pcscd -f", Some(&["/dev/bus/usb/001/004"]));
            process(proc, 12, "python3", "python3 -E /usr/bin/ykman list", Some(&["socket:[71]"]));
            process(proc, 13, "keyfob", "keyfob code", Some(&["socket:[72]"]));
            process(proc, 14, "scdaemon", "scdaemon --multi-server", Some(&["/dev/bus/usb/001/004"]));
            process(proc, 15, "scdaemon", "scdaemon", Some(&["/dev/null"]));
            process(proc, 16, "scdaemon", "scdaemon", None);
            process(proc, 17, "ykman", "ykman", None);
            process(proc, 18, "a-very-long-nam", "/opt/a-very-long-name x", Some(&["socket:[73]"]));
            process(proc, 19, "e\u{1b}[31mvil", "", Some(&["socket:[74]"]));
            process(proc, 20, "ykman", "ykman", Some(&["socket:[75]"]));
            fs::write(proc.join("20/maps"), "7f00-7f01 r-xp 0 08:01 1 /usr/lib/libpcsclite.so.1.0.0\n")
                .unwrap();
            let usb = HashSet::from([PathBuf::from("/dev/bus/usb/001/004")]);
            #[track_caller]
            fn check(found: &[Holder], expected: &[(u32, &str, bool)]) {
                let found: Vec<_> =
                    found.iter().map(|h| (h.pid, h.name.as_str(), h.hint.is_some())).collect();
                assert_eq!(found, expected);
            }
            let clients = HashSet::from([71, 72, 73, 74]);
            check(
                &find(proc, 13, Some(&clients), &usb),
                &[
                    (14, "scdaemon", true),
                    (16, "scdaemon", true),
                    (12, "ykman", true),
                    (18, "a-very-long-name", false),
                    (19, "e[31mvil", false),
                ],
            );
            // Where sockets are not paired, whoever has the library and a socket.
            check(&find(proc, 13, None, &HashSet::new()), &[(16, "scdaemon", true), (20, "ykman", true)]);
        }

        #[test]
        fn keys_on_usb_have_device_nodes() {
            let folder = tempfile::tempdir().unwrap();
            for (name, vendor, number) in [("1-1", "1050", "4"), ("1-2", "046d", "5"), ("1-3", "1050", "x")] {
                let device = folder.path().join(name);
                fs::create_dir(&device).unwrap();
                fs::write(device.join("idVendor"), format!("{vendor}\n")).unwrap();
                fs::write(device.join("busnum"), "1\n").unwrap();
                fs::write(device.join("devnum"), format!("{number}\n")).unwrap();
            }
            assert_eq!(usb_nodes(folder.path()), HashSet::from([PathBuf::from("/dev/bus/usb/001/004")]));
            assert_eq!(usb_nodes(&folder.path().join("none")), HashSet::new());
        }

        /// The inode of a socket of this process.
        fn own_inode(stream: &UnixStream) -> u64 {
            use std::os::fd::AsRawFd as _;
            inode(&fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap()).unwrap()
        }

        #[test]
        fn the_system_pairs_a_services_sockets_with_its_clients() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pcscd.comm");
            let listener = UnixListener::bind(&path).unwrap();
            let Some(none) = clients(&path) else {
                eprintln!("the system has no sock_diag for Unix sockets: nothing to see here");
                return;
            };
            assert_eq!(none, HashSet::new());
            let client = UnixStream::connect(&path).unwrap();
            let served = listener.accept().unwrap();
            assert_eq!(clients(&path).unwrap(), HashSet::from([own_inode(&client)]));
            drop((client, served));
            assert_eq!(clients(&path).unwrap(), HashSet::new());
        }
    }
}
