//! What must be installed, why, and how it gets there. Everything is probed first and nothing is done twice:
//! system packages are asked for by what they bring, the rest leaves a stamp with its version in `target/setup`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::run::{self, command, find, target};
use crate::wasm;

/// Which commands need a thing: each needs what the ones before it need, but packing needs of those building alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    Build,
    Fuzz,
    Demo,
    Dist,
    Test,
    Bench,
}

impl For {
    /// Whether this command needs what `other` needs.
    fn needs(self, other: Self) -> bool {
        match self {
            Self::Dist => matches!(other, Self::Build | Self::Dist),
            _ => other <= self,
        }
    }
}

/// Something of the operating system's, with the Debian packages (12 and newer) that bring it.
struct System {
    needed: For,
    what: &'static str,
    why: &'static str,
    packages: &'static str,
    have: fn() -> bool,
}

/// Where Debian has the AWS CLI: another one may come before it in the path.
const AWS: &str = "/usr/bin/aws";

/// The AWS CLI.
pub(crate) fn aws() -> PathBuf {
    if Path::new(AWS).exists() { AWS.into() } else { find("aws").unwrap_or_default() }
}

const SYSTEM: &[System] = &[
    System {
        needed: For::Build,
        what: "Node and npm",
        why: "compile the extension, drive the browsers",
        packages: "nodejs npm",
        have: || find("node").is_some() && find("npm").is_some(),
    },
    System {
        needed: For::Build,
        what: "PC/SC headers",
        why: "the host talks to smart cards through them",
        packages: "libpcsclite-dev pkg-config",
        have: || run::succeeds(&mut command("pkg-config --exists libpcsclite")),
    },
    System {
        needed: For::Build,
        what: "a Rust compiler for wasm32",
        why: "the extension's core is wasm, and rustup could not bring its target",
        packages: wasm::DEBIAN_PACKAGES,
        have: || wasm::toolchain().is_some(),
    },
    System {
        needed: For::Fuzz,
        what: "a C++ compiler",
        why: "libFuzzer, which runs the fuzz targets, is C++",
        packages: "g++",
        have: || find("c++").is_some(),
    },
    System {
        needed: For::Demo,
        what: "Chromium",
        why: "the extension runs in it",
        packages: "chromium",
        have: || find("chromium").is_some(),
    },
    System {
        needed: For::Demo,
        what: "OpenSSL's program",
        why: "makes the certificate of the test sign-in page",
        packages: "openssl",
        have: || find("openssl").is_some(),
    },
    System {
        needed: For::Dist,
        what: "zip",
        why: "packs the extension for the stores",
        packages: "zip",
        have: || find("zip").is_some(),
    },
    System {
        needed: For::Test,
        what: "Firefox",
        why: "the extension runs in it too",
        packages: "firefox-esr",
        have: || find("firefox-esr").is_some() || find("firefox").is_some(),
    },
    System {
        needed: For::Test,
        what: "the PC/SC service",
        why: "a private one of the tests' own serves the virtual readers",
        packages: "pcscd",
        have: || find("pcscd").is_some(),
    },
    System {
        needed: For::Test,
        what: "virtual readers",
        why: "the software key is plugged into them, for real PC/SC without a card",
        packages: "vsmartcard-vpcd",
        have: || Path::new("/usr/lib/pcsc/drivers/serial/libifdvpcd.so").exists(),
    },
    System {
        needed: For::Test,
        what: "the AWS CLI",
        why: "it gets its credentials from the host, as any of AWS's tools does",
        packages: "awscli",
        have: || Path::new(AWS).exists() || find("aws").is_some(),
    },
    System {
        needed: For::Test,
        what: "Ceph's gateway, and a monitor and a store for it",
        why: "a private S3 and STS server that verifies signatures of both versions and keeps versions",
        packages: "radosgw ceph-mon ceph-osd ceph-common",
        have: || ["radosgw", "ceph-mon", "ceph-osd", "ceph"].iter().all(|program| find(program).is_some()),
    },
    System {
        needed: For::Test,
        what: "a D-Bus session and a GNOME keyring",
        why: "private ones, in which the keychain is tested",
        packages: "dbus-daemon gnome-keyring",
        have: || find("dbus-run-session").is_some() && find("gnome-keyring-daemon").is_some(),
    },
    System {
        needed: For::Test,
        what: "a virtual X server and a client of its clipboard",
        why: "a private one, in which copied codes are looked for",
        packages: "xvfb xclip",
        have: || find("Xvfb").is_some() && find("xclip").is_some(),
    },
    System {
        needed: For::Test,
        what: "curl",
        why: "signed requests are printed as commands for it, and run",
        packages: "curl",
        have: || find("curl").is_some(),
    },
    System {
        needed: For::Test,
        what: "zsh and fish",
        why: "completions are tried in them, and in bash",
        packages: "zsh fish",
        have: || find("zsh").is_some() && find("fish").is_some(),
    },
    System {
        needed: For::Test,
        what: "Python with venv, its headers, and swig",
        why: "ykman and botocore are the references that results are held against, moto is STS and IAM",
        packages: "python3-venv python3-dev swig",
        have: || {
            find("swig").is_some()
                && run::succeeds(Command::new("/usr/bin/python3").args([
                    "-c",
                    "import ensurepip, venv, os, sysconfig; \
                     os.stat(sysconfig.get_path('include') + '/Python.h')",
                ]))
        },
    },
];

/// Something installed into `target/` or a `node_modules`, once for each `version`.
struct Local {
    needed: For,
    name: &'static str,
    why: &'static str,
    /// Changes when it must be installed anew.
    version: fn() -> Result<String>,
    /// Is gone when somebody cleaned up.
    proof: &'static str,
    install: fn() -> Result<()>,
}

const S3S_FS: &str = "0.14.1";

const LOCAL: &[Local] = &[
    Local {
        needed: For::Build,
        name: "npm-extension",
        why: "TypeScript",
        version: || lock_file("extension/package-lock.json"),
        proof: "extension/node_modules",
        install: || npm_ci("extension"),
    },
    Local {
        needed: For::Build,
        name: "npm-tests",
        why: "wasm-opt, and puppeteer-core to drive the browsers",
        version: || lock_file("tests/package-lock.json"),
        proof: "tests/node_modules",
        install: || npm_ci("tests"),
    },
    Local {
        needed: For::Demo,
        name: "s3s-fs",
        why: "an S3 server that verifies signatures; compiling it takes a minute or two",
        version: || Ok(S3S_FS.to_owned()),
        proof: "target/tools/bin/s3s-fs",
        install: install_s3s_fs,
    },
    Local {
        needed: For::Dist,
        name: "npm-lint",
        why: "web-ext, Mozilla's linter of extensions",
        version: || lock_file("tests/lint/package-lock.json"),
        proof: "tests/lint/node_modules",
        install: || npm_ci("tests/lint"),
    },
    Local {
        needed: For::Test,
        name: "python",
        why: "ykman, botocore and moto, in target/venv",
        version: || lock_file("tests/requirements.txt"),
        proof: "target/venv/bin/ykman",
        install: install_python,
    },
    Local {
        needed: For::Bench,
        name: "npm-benches",
        why: "aws4fetch and the AWS SDK, to be measured against",
        version: || lock_file("tests/benches/package-lock.json"),
        proof: "tests/benches/node_modules",
        install: || npm_ci("tests/benches"),
    },
];

/// Installs what the command needs and has not got.
pub(crate) fn ensure(command: For) -> Result<()> {
    if wasm::toolchain().is_none() {
        wasm::add_rustup_target();
    }
    let system: Vec<&System> = SYSTEM.iter().filter(|s| command.needs(s.needed) && !(s.have)()).collect();
    let mut local = Vec::new();
    for item in LOCAL.iter().filter(|l| command.needs(l.needed)) {
        let version = (item.version)()?;
        let stamp = fs::read_to_string(stamp(item.name)).unwrap_or_default();
        if stamp != version || !Path::new(item.proof).exists() {
            local.push((item, version));
        }
    }
    if system.is_empty() && local.is_empty() {
        return node_is_new_enough();
    }

    run::say("Setting up (once; logs in target/setup)");
    for need in &system {
        eprintln!("  {}: {} (Debian: {})", need.what, need.why, need.packages);
    }
    for (item, _) in &local {
        eprintln!("  {}: {}", item.name, item.why);
    }
    let apt = apt_command(&system)?;

    // What the system's package manager brings, the Python and Node steps need; the compiler is there already.
    let (early, late): (Vec<_>, Vec<_>) =
        local.into_iter().partition(|(item, _)| apt.is_none() || item.name == "s3s-fs");
    let (sender, progress) = mpsc::channel();
    std::thread::scope(|scope| {
        let start = |item: &'static Local, version: String, sender: &Sender<Progress>| {
            let sender = sender.clone();
            scope.spawn(move || job(item.name, &sender, || install(item, &version)));
        };
        for (item, version) in early {
            start(item, version, &sender);
        }
        if let Some(apt) = apt {
            let sender = sender.clone();
            scope.spawn(move || {
                let mut installed = false;
                job("Debian packages", &sender, || {
                    apt_install(apt)?;
                    installed = true;
                    Ok(())
                });
                if installed {
                    for (item, version) in late {
                        start(item, version, &sender);
                    }
                }
            });
        }
        drop(sender);
        report(&progress)
    })?;
    if let Some(need) = system.iter().find(|need| !(need.have)()) {
        bail!("{} ({}) cannot be found even after installing {}", need.what, need.why, need.packages);
    }
    node_is_new_enough()
}

/// What a step has to tell.
enum Progress {
    Started(&'static str),
    Ended(&'static str, Result<()>),
}

fn job(name: &'static str, sender: &Sender<Progress>, work: impl FnOnce() -> Result<()>) {
    // The receiver outlives every sender.
    let _ = sender.send(Progress::Started(name));
    let result = work();
    let _ = sender.send(Progress::Ended(name, result));
}

/// Tells what starts, ends and still runs, until all have ended; the first error is the result.
fn report(progress: &mpsc::Receiver<Progress>) -> Result<()> {
    let mut running = BTreeMap::new();
    let mut failed = Ok(());
    loop {
        match progress.recv_timeout(Duration::from_secs(15)) {
            Ok(Progress::Started(name)) => {
                running.insert(name, Instant::now());
            }
            Ok(Progress::Ended(name, result)) => {
                let seconds = running.remove(name).map_or(0, |start| start.elapsed().as_secs());
                let word = if result.is_ok() { "installed" } else { "FAILED" };
                eprintln!("  {name}: {word} after {seconds} s");
                failed = failed.and(result.with_context(|| format!("could not install {name}")));
            }
            Err(RecvTimeoutError::Timeout) => {
                let names: Vec<_> = running
                    .iter()
                    .map(|(name, start)| format!("{name} ({} s)", start.elapsed().as_secs()))
                    .collect();
                eprintln!("  … still at it: {}", names.join(", "));
            }
            Err(RecvTimeoutError::Disconnected) => return failed,
        }
    }
}

fn stamp(name: &str) -> std::path::PathBuf {
    target().join("setup").join(format!("{name}.stamp"))
}

fn install(item: &Local, version: &str) -> Result<()> {
    (item.install)()?;
    fs::create_dir_all(target().join("setup"))?;
    fs::write(stamp(item.name), version)?;
    Ok(())
}

/// The file that pins the versions is the version.
fn lock_file(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

fn npm_ci(folder: &str) -> Result<()> {
    run::logged(
        &format!("npm-{}", folder.replace('/', "-")),
        command("npm ci --no-audit --no-fund --loglevel=error").current_dir(folder),
    )
}

fn install_s3s_fs() -> Result<()> {
    let build = target().join("tools/build");
    // Unoptimised: it serves a few requests, and somebody waits for it to compile.
    run::logged(
        "s3s-fs",
        command("cargo install --locked --debug --force --features binary --root target/tools --target-dir")
            .arg(&build)
            .arg(format!("s3s-fs@{S3S_FS}"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )?;
    fs::remove_dir_all(build).context("cannot remove what compiling s3s-fs left")
}

fn install_python() -> Result<()> {
    // Debian's own, whose headers Debian's packages bring: pyscard is compiled against them.
    run::logged("python-venv", &mut command("/usr/bin/python3 -m venv --clear target/venv"))?;
    run::logged("python-pip", &mut command("target/venv/bin/pip install -r tests/requirements.txt"))
}

/// The command that installs the system's packages, as this user may run it; none if nothing is missing.
fn apt_command(missing: &[&System]) -> Result<Option<Vec<&'static str>>> {
    if missing.is_empty() {
        return Ok(None);
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages.split_whitespace()).collect();
    if find("apt-get").is_none() {
        bail!("please install these by your system's own means (Debian calls them {})", packages.join(", "));
    }
    let root = run::output(&mut command("id -u")).is_some_and(|id| id == "0");
    let mut apt = Vec::new();
    if !root {
        if !run::succeeds(&mut command("sudo -n true")) {
            let install = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
            bail!(
                "this needs an administrator. Please run\n\n  sudo sh -c 'apt-get update && {install}'\n\nand start again"
            );
        }
        apt.push("sudo");
    }
    apt.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    apt.push("install");
    apt.extend(["--yes", "--no-install-recommends"]);
    apt.extend(packages);
    Ok(Some(apt))
}

fn apt_install(install: Vec<&'static str>) -> Result<()> {
    // A fresh machine has no list of packages, an old list names files that are gone.
    let update = install.iter().take_while(|word| **word != "install").chain(["update"].iter());
    run::logged("apt-update", &mut command(&update.copied().collect::<Vec<_>>().join(" ")))?;
    run::logged("apt-install", &mut command(&install.join(" ")))
}

fn node_is_new_enough() -> Result<()> {
    let version = run::output(&mut command("node --version")).context("`node --version` says nothing")?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        bail!("Node 20 or newer is needed, and this one is {version}");
    }
    Ok(())
}
