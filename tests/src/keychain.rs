//! A keychain of a test's own: a session bus with GNOME's keyring on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};

use crate::home::Home;
use crate::leash::Leash;
use crate::poll;

/// Bus and keyring of a home; both end when dropped.
pub struct Keychain {
    _keyring: Leash,
    _bus: Leash,
}

impl Keychain {
    /// Starts them, and lets the programs of this home find them.
    ///
    /// # Errors
    ///
    /// If `dbus-daemon` or `gnome-keyring-daemon` is not installed, or does not come up within ten seconds.
    pub fn start(home: &mut Home) -> Result<Self> {
        let runtime = home.path().join("run");
        fs::create_dir(&runtime)?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700))?;
        let socket = runtime.join("bus");
        home.set("XDG_RUNTIME_DIR", runtime.to_str().context("a path that is no text")?);
        home.set("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={}", socket.display()));

        let mut daemon = home.command("dbus-daemon");
        daemon.args(["--session", "--nofork", "--nopidfile"]);
        daemon.arg(format!("--address=unix:path={}", socket.display()));
        let bus = Leash::start(&daemon, &home.path().join("bus.log"))?;
        poll("the session bus", || socket.exists().then_some(()))?;

        // It reads the password of the keyring that it makes from its standard input.
        let password = home.write("keyring-password", "test-password")?;
        let mut daemon = home.command("/bin/sh");
        let script = "exec gnome-keyring-daemon --foreground --unlock --components=secrets \
                      --control-directory=\"$XDG_RUNTIME_DIR\" <\"$1\"";
        daemon.args(["-c", script, "sh"]).arg(password);
        let keyring = Leash::start(&daemon, &home.path().join("keyring.log"))?;
        let send = |args: &[&str]| {
            let mut send = home.command("dbus-send");
            let output = send.args(["--session", "--print-reply"]).args(args).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        // Who asks it before it is there has the bus start another one, which stays locked.
        let is_there =
            ["--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner"];
        let is_there = [&is_there[..], &["string:org.freedesktop.secrets"]].concat();
        poll("the keyring", || send(&is_there).contains("boolean true").then_some(()))?;
        // It runs before it has made and opened the collection that it keeps things in.
        let collection = ["--dest=org.freedesktop.secrets", "/org/freedesktop/secrets/aliases/default"];
        let locked = ["string:org.freedesktop.Secret.Collection", "string:Locked"];
        let is_open = [&collection[..], &["org.freedesktop.DBus.Properties.Get"], &locked].concat();
        poll("the keyring's collection", || send(&is_open).contains("boolean false").then_some(()))?;
        Ok(Self { _keyring: keyring, _bus: bus })
    }
}
