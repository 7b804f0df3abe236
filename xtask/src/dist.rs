//! What the stores get: a package for Chromium's stores, one for Mozilla's, and the source that Mozilla's reviewers build.
//!
//! The same commit gives the same bytes on every checkout: files in order, with one date, and nothing of this machine's
//! paths in the wasm (`wasm.rs`). `--check` proves it, by building a second checkout elsewhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::extension;
use crate::run::{self, command, copy_folder, target};
use crate::setup::{self, For};

/// A store's package: what of the manifest is not for it.
struct Package {
    name: &'static str,
    /// Paths in the manifest, as JavaScript would write them.
    without: &'static [&'static str],
    permissions_without: &'static [&'static str],
}

/// Every package.
const PACKAGES: &[Package] = &[
    Package {
        name: "chromium",
        // The stores give an id of their own and refuse an upload with `key`.
        // Only Firefox has containers, and opens links of extensions.
        without: &[
            "key",
            "browser_specific_settings",
            "background.scripts",
            "protocol_handlers",
            "optional_permissions",
        ],
        permissions_without: &["contextualIdentities"],
    },
    Package {
        name: "firefox",
        without: &["key", "minimum_chrome_version", "background.service_worker"],
        // Its background is a page, which has workers of its own.
        permissions_without: &["offscreen"],
    },
];

/// 1 January 1980 in UTC: the first moment that a zip file can name.
const DATE: Duration = Duration::from_secs(315_532_800);

/// `cargo xtask dist`, `--check` to prove that another checkout gives the same.
pub(crate) fn run(check: bool) -> Result<()> {
    setup::ensure(For::Dist)?;
    extension::assemble()?;
    let made = pack()?;
    lint()?;
    run::say("Packages in target/dist");
    print!("{}", fs::read_to_string(&made)?);
    if check {
        compare(&made)?;
    }
    Ok(())
}

/// Makes the packages of what is in `target/extension`, and the list of their hashes, which it returns.
fn pack() -> Result<PathBuf> {
    let dist = target().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let mut files = Vec::new();
    for package in PACKAGES {
        unpacked(package)?;
        let zip = format!("keyfob-{version}-{}.zip", package.name);
        self::zip(&dist.join(package.name), &dist.join(&zip))?;
        files.push(zip);
    }
    let source = format!("keyfob-{version}-source.zip");
    // Of what is committed: it is what the reviewers build.
    run::visible(command("git archive --format zip HEAD --output").arg(dist.join(&source)))?;
    files.push(source);
    let sums = run::output(command("sha256sum --").args(&files).current_dir(&dist)).context("cannot hash")?;
    let list = dist.join("SHA256SUMS");
    fs::write(&list, sums + "\n")?;
    Ok(list)
}

/// The package as a folder: the extension with the manifest that is for this store.
fn unpacked(package: &Package) -> Result<PathBuf> {
    let folder = target().join("dist").join(package.name);
    copy_folder(&target().join("extension"), &folder)?;
    // Node is there, and JSON its own.
    let script = "
        const fs = require('node:fs');
        const [file, without, permissions] = process.argv.slice(1);
        const manifest = JSON.parse(fs.readFileSync(file, 'utf8'));
        for (const path of without.split(' ')) {
          const names = path.split('.');
          const last = names.pop();
          const at = names.reduce((object, name) => object[name], manifest);
          if (!(last in at)) throw new Error(`the manifest has no ${path}`);
          delete at[last];
        }
        const drop = permissions.split(' ').filter(Boolean);
        manifest.permissions = manifest.permissions.filter((each) => !drop.includes(each));
        fs.writeFileSync(file, JSON.stringify(manifest, null, 2) + '\\n');
    ";
    run::visible(
        Command::new("node")
            .args(["-e", script, "--"])
            .arg(folder.join("manifest.json"))
            .args([package.without.join(" "), package.permissions_without.join(" ")]),
    )?;
    Ok(folder)
}

/// Packs a folder: in order, everything with one date, and without what differs between machines.
fn zip(folder: &Path, zip: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(folder, Path::new(""), &mut files)?;
    files.sort();
    let date = SystemTime::UNIX_EPOCH + DATE;
    for file in &files {
        File::options().write(true).open(folder.join(file))?.set_modified(date)?;
    }
    let names = folder.with_extension("list");
    fs::write(&names, files.join("\n") + "\n")?;
    run::visible(
        command("zip --quiet -X -9 --names-stdin")
            .arg(zip)
            .current_dir(folder)
            // A zip file has local times.
            .env("TZ", "UTC")
            .stdin(Stdio::from(File::open(&names)?)),
    )?;
    fs::remove_file(names)?;
    Ok(())
}

/// The files below a folder, by their paths in it.
fn list(folder: &Path, below: &Path, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(folder, &path, files)?;
        } else {
            files.push(path.to_str().context("a file of the extension has no name in UTF-8")?.to_owned());
        }
    }
    Ok(())
}

/// Mozilla's linter on its package: not a single warning. (What Chromium thinks of the other is asked of Chromium, in
/// `tests/browser/packages.test.js`.)
fn lint() -> Result<()> {
    run::say("web-ext lint");
    run::visible(
        command("node tests/lint/node_modules/web-ext/bin/web-ext.js lint --no-config-discovery")
            .args(["--warnings-as-errors", "--source-dir"])
            .arg(target().join("dist/firefox")),
    )
}

/// The packages as folders in `target/dist`, linted: for the tests.
pub(crate) fn check() -> Result<()> {
    for package in PACKAGES {
        unpacked(package)?;
    }
    lint()
}

/// Builds a second, clean checkout of the same commit in another folder, and compares the packages.
fn compare(made: &Path) -> Result<()> {
    if run::output(&mut command("git status --porcelain")).is_none_or(|changes| !changes.is_empty()) {
        bail!("there are changes that are not committed: another checkout cannot have them");
    }
    run::say("The same from another checkout");
    let elsewhere = target().join("dist-elsewhere/a longer path, with spaces/checkout");
    if elsewhere.exists() {
        fs::remove_dir_all(&elsewhere)?;
    }
    run::visible(command("git clone --quiet --no-local .").arg(&elsewhere))?;
    // Its own everything, but what was only downloaded, and the tools.
    for folder in ["extension/node_modules", "tests/node_modules", "tests/lint/node_modules", "target/setup"]
    {
        copy_folder(Path::new(folder), &elsewhere.join(folder))?;
    }
    // What is compiled as well: with the same folder for it cargo would take one checkout's for the other's.
    run::visible(command("cargo xtask dist").current_dir(&elsewhere).env_remove("CARGO_TARGET_DIR"))?;
    let theirs = fs::read_to_string(elsewhere.join("target/dist/SHA256SUMS"))?;
    if theirs != fs::read_to_string(made)? {
        bail!("another checkout gives other packages:\n{theirs}\n(see {})", elsewhere.display());
    }
    eprintln!("The same bytes.");
    // It is large, and nobody's any more.
    fs::remove_dir_all(&elsewhere)?;
    Ok(())
}
