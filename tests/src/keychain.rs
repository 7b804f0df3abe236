//! A keychain of a test's own: a session bus with GNOME's keyring on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};

use crate::home::Home;
use crate::leash::Leash;
use crate::{poll, tool};

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
        let ready = home.command(tool("KEYFOB_PYTHON")?).args(["-c", READY]).output()?;
        ensure!(ready.status.success(), "no keyring: {}", String::from_utf8_lossy(&ready.stderr));
        Ok(Self { _keyring: keyring, _bus: bus })
    }
}

/// Waits until the keyring has made and opened the collection that it keeps things in. Who asks it before it is on the bus
/// has the bus start another one, which stays locked.
const READY: &str = r#"
import time
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection
from secretstorage import Collection
connection = open_dbus_connection()
def ready():
    if not Proxy(message_bus, connection).NameHasOwner("org.freedesktop.secrets")[0]:
        return False
    try:
        return not Collection(connection, "/org/freedesktop/secrets/aliases/default").is_locked()
    except Exception:
        return False
end = time.monotonic() + 10
while not ready():
    if time.monotonic() > end:
        raise SystemExit("it does not open within 10 s")
    time.sleep(0.01)
"#;
