//! The core and the reader of QR codes as wasm: compiled, given their JavaScript glue, optimised, measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::{self, command, target};

/// What brings a compiler for wasm32 where rustup's target cannot be had: it compiles std itself, from source.
pub(crate) const DEBIAN_PACKAGES: &str = "rustc-web cargo-web rust-web-src lld";

const TRIPLE: &str = "wasm32-unknown-unknown";

/// A compiler that can make wasm.
pub(crate) enum Toolchain {
    /// The one that runs this, with its target's std.
    Rustup,
    /// Debian's, in /usr/bin, with its sources of std.
    Debian,
}

/// The compiler to use, if there is one.
pub(crate) fn toolchain() -> Option<Toolchain> {
    let libraries = run::output(&mut command(&format!("rustc --print target-libdir --target {TRIPLE}")));
    if libraries.is_some_and(|folder| fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())) {
        return Some(Toolchain::Rustup);
    }
    let debian =
        ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/wasm-ld"].iter().all(|p| Path::new(p).exists());
    let sysroot = run::output(&mut command("/usr/bin/rustc --print sysroot")).map(PathBuf::from);
    let sources = sysroot.is_some_and(|root| root.join("lib/rustlib/src/rust/library/std").exists());
    (debian && sources).then_some(Toolchain::Debian)
}

/// Tries rustup's own target, which is quick where it works; a failure is no error, Debian's packages follow.
pub(crate) fn add_rustup_target() {
    if run::find("rustup").is_some() {
        run::say("Asking rustup for its wasm32 target: the extension's core is wasm");
        let added = run::logged("rustup", &mut command(&format!("timeout 180 rustup target add {TRIPLE}")));
        if added.is_err() {
            eprintln!("  not to be had that way; Debian's packages will do");
        }
    }
}

/// What a wasm is for.
#[derive(Clone, Copy)]
pub(crate) enum Flavour {
    /// The extension, wherever it is at work: what pages are.
    Extension,
    /// The extension, where links are made.
    Links,
    /// The extension, where an account is put on a key: QR codes and what they say.
    Qr,
    /// Tests and benchmarks: with the signer and the software key too.
    Signer,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Links => "links",
            Self::Qr => "qr",
            Self::Signer => "signer",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Extension => "The core as wasm, for the extension",
            Self::Links => "Links as wasm, for the extension",
            Self::Qr => "QR codes as wasm, for the extension",
            Self::Signer => "The core as wasm, for tests and benchmarks",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Extension | Self::Links | Self::Signer => "keyfob-core",
            Self::Qr => "keyfob-qr",
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::Extension => "pages",
            Self::Links => "links",
            Self::Qr => "",
            Self::Signer => "signer",
        }
    }

    /// The profile of Cargo: the extension's modules are downloaded with it, hashing is measured in the other.
    fn profile(self) -> &'static str {
        match self {
            Self::Extension | Self::Links | Self::Qr => "wasm-small",
            Self::Signer => "wasm",
        }
    }

    /// The module's name, without its endings.
    fn stem(self) -> &'static str {
        match self {
            Self::Extension | Self::Signer => "keyfob_core",
            Self::Links => "keyfob_links",
            Self::Qr => "keyfob_qr",
        }
    }

    /// Folder with the module and its glue.
    pub(crate) fn folder(self) -> PathBuf {
        target().join("wasm").join(self.name())
    }

    /// The glue's file.
    pub(crate) fn script(self) -> PathBuf {
        self.folder().join([self.stem(), ".js"].concat())
    }

    /// The module's file.
    pub(crate) fn module(self) -> PathBuf {
        self.folder().join([self.stem(), "_bg.wasm"].concat())
    }
}

/// Builds one flavour and says how large it is.
pub(crate) fn build(flavour: Flavour) -> Result<()> {
    run::say(flavour.purpose());
    let (mut cargo, build) = match toolchain().context("no Rust compiler for wasm32 is installed")? {
        Toolchain::Rustup => (command("cargo"), target().join("wasm/build")),
        Toolchain::Debian => {
            let mut cargo = command("/usr/bin/cargo");
            cargo
                .env("RUSTC", "/usr/bin/rustc")
                // For build-std, which compiles std from Debian's sources.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("CARGO");
            (cargo, target().join("wasm/build-debian"))
        }
    };
    cargo
        .args(["build", "--package", flavour.package(), "--profile", flavour.profile(), "--target", TRIPLE])
        .args(["--features", flavour.features(), "--target-dir"])
        .arg(&build)
        .env("CARGO_ENCODED_RUSTFLAGS", flags()?.join("\x1f"))
        .env_remove("RUSTFLAGS");
    if matches!(toolchain(), Some(Toolchain::Debian)) {
        cargo.arg("-Zbuild-std=std,panic_abort");
    }
    run::visible(&mut cargo)?;

    let file = flavour.package().replace('-', "_") + ".wasm";
    let compiled = build.join(TRIPLE).join(flavour.profile()).join(file);
    let folder = flavour.folder();
    fs::create_dir_all(&folder)?;
    let source = folder.join("compiled.wasm");
    if same(&compiled, &source) && flavour.module().exists() {
        return Ok(());
    }
    // The glue is named after it.
    let named = folder.join([flavour.stem(), ".wasm"].concat());
    fs::copy(&compiled, &named)?;
    run::visible(command("cargo run --quiet --package bindgen --").arg(&named).arg(&folder))?;
    fs::remove_file(&named)?;
    optimise(&flavour.module())?;
    // Last: what is finished is recognised by it.
    fs::copy(&compiled, &source)?;
    Ok(())
}

/// Flags for rustc. Panics name the file they come from: without this machine's folders, so that every checkout gives the
/// same bytes.
fn flags() -> Result<Vec<String>> {
    // Every browser that has MV3 has SIMD.
    let mut flags = vec!["-Ctarget-feature=+simd128".to_owned()];
    let home = |variable: &str, folder: &str| {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(folder));
        std::env::var_os(variable).map(PathBuf::from).or_else(home)
    };
    let sysroot = run::output(&mut command("/usr/bin/rustc --print sysroot")).map(PathBuf::from);
    let mut folders = vec![
        (Some(std::env::current_dir()?), "."),
        (sysroot.map(|root| root.join("lib/rustlib/src/rust")), "rust"),
    ];
    // Which registry they come from is in a folder's name.
    let registries =
        home("CARGO_HOME", ".cargo").and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    folders
        .extend(registries.into_iter().flatten().flatten().map(|folder| (Some(folder.path()), "registry")));
    for (folder, name) in folders {
        let Some(folder) = folder else { continue };
        // As it is named, and as it is called where links are followed.
        let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        for folder in [Some(&folder), (real != folder).then_some(&real)].into_iter().flatten() {
            flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
        }
    }
    Ok(flags)
}

const FEATURES: [&str; 7] = [
    "bulk-memory",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
    "simd",
];

fn optimise(wasm: &Path) -> Result<()> {
    run::logged(
        "wasm-opt",
        Command::new("node")
            .arg("tests/node_modules/binaryen/bin/wasm-opt")
            .args(["-O3", "--strip-debug", "--strip-producers"])
            // What rustc and wasm-bindgen emit, and no more: browsers do not read everything that wasm-opt can write.
            .args(FEATURES.map(|feature| format!("--enable-{feature}")))
            .arg("--output")
            .args([wasm, wasm]),
    )?;
    let raw = fs::metadata(wasm)?.len();
    eprintln!("  {raw} bytes, {} gzipped", gzipped(wasm)?);
    Ok(())
}

/// Size after `gzip -9`, as a server or a store sends it.
pub(crate) fn gzipped(file: &Path) -> Result<usize> {
    let output =
        Command::new("gzip").args(["-9", "--stdout"]).arg(file).output().context("cannot run gzip")?;
    Ok(output.stdout.len())
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}
