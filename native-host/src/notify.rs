//! Notifications on the desktop: `org.freedesktop.Notifications` on the session bus (Desktop Notifications
//! Specification 1.2). On systems other than Linux there are none: the prompt on the terminal and the browser's own are
//! all there is.

use std::ffi::OsString;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::front;

/// The environment variable that, set to anything, keeps notifications away.
pub const OFF_ENV: &str = "KEYFOB_NO_NOTIFY";

/// The address of the session bus: that of the environment, else the socket where systemd puts it. None where
/// [`OFF_ENV`] is set, or there is no desktop. A bus is never started. `env` reads an environment variable.
#[must_use]
pub fn session_bus(env: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let set = |name| env(name).filter(|value| !value.is_empty());
    if !cfg!(all(feature = "notify", target_os = "linux")) || set(OFF_ENV).is_some() {
        return None;
    }
    if let Some(address) = set("DBUS_SESSION_BUS_ADDRESS") {
        // What is no text, or wants a bus to be started for it, is none.
        return address.into_string().ok().filter(|address| !address.starts_with("autolaunch:"));
    }
    let socket = std::path::Path::new(&set("XDG_RUNTIME_DIR")?).join("bus");
    // In an address all other bytes would have to be escaped.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/.".contains(c);
    let path = socket.to_str().filter(|path| socket.exists() && path.chars().all(plain))?;
    Some(format!("unix:path={path}"))
}

/// How long a desktop is waited for that is told something in passing: it is done by then, or hangs.
const PASSING: Duration = Duration::from_millis(250);

/// Tells something that has happened, on the desktop if there is one; it goes by itself.
pub fn tell(title: &'static str, text: &str) {
    let Some(bus) = session_bus(front::env) else { return };
    let text = text.to_owned();
    let (told, is_told) = mpsc::channel();
    let thread = thread::Builder::new().name("notice".to_owned()).spawn(move || {
        if let Some(shown) = Notification::show(&bus, title, &text) {
            shown.leave();
        }
        // Nobody waits for it any more, perhaps.
        let _ = told.send(());
    });
    if thread.is_ok() {
        let _ = is_told.recv_timeout(PASSING);
    }
}

/// A text as a notification's body, where `<`, `>` and `&` are markup.
#[cfg(any(test, all(feature = "notify", target_os = "linux")))]
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(all(feature = "notify", target_os = "linux"))]
mod native {
    use std::time::Duration;

    use dbus::Error;
    use dbus::arg::{PropMap, Variant};
    use dbus::blocking::LocalConnection;
    use dbus::channel::Channel;

    const NAME: &str = "org.freedesktop.Notifications";
    const PATH: &str = "/org/freedesktop/Notifications";
    /// How long the desktop is waited for; nobody waits meanwhile.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// In milliseconds: after it the notification goes, also when nobody is left to close it.
    const EXPIRES: i32 = 30_000;

    /// A notification that is shown; closed when dropped, unless it was left.
    pub(crate) struct Notification {
        bus: LocalConnection,
        id: Option<u32>,
    }

    impl Notification {
        /// Shows a title and a text. None where there is nobody to show it.
        pub(crate) fn show(address: &str, title: &str, text: &str) -> Option<Self> {
            Self::try_show(address, title, text).ok()
        }

        fn try_show(address: &str, title: &str, text: &str) -> Result<Self, Error> {
            let mut channel = Channel::open_private(address)?;
            channel.register()?;
            let bus = LocalConnection::from(channel);
            let mut hints = PropMap::new();
            hints.insert("transient".to_owned(), Variant(Box::new(true)));
            hints.insert("category".to_owned(), Variant(Box::new("device".to_owned())));
            let (replaced, icon, actions) = (0_u32, "dialog-password", Vec::<&str>::new());
            let text = super::without_markup(text);
            let arguments = ("Keyfob", replaced, icon, title, text, actions, hints, EXPIRES);
            let (id,) = bus.with_proxy(NAME, PATH, PATIENCE).method_call(NAME, "Notify", arguments)?;
            Ok(Self { bus, id: Some(id) })
        }

        /// Leaves it to the desktop when it goes.
        pub(crate) fn leave(mut self) {
            self.id = None;
        }
    }

    impl Drop for Notification {
        fn drop(&mut self) {
            let Some(id) = self.id else { return };
            // It is gone already, or the desktop is.
            let _: Result<(), Error> =
                self.bus.with_proxy(NAME, PATH, PATIENCE).method_call(NAME, "CloseNotification", (id,));
        }
    }
}

#[cfg(not(all(feature = "notify", target_os = "linux")))]
mod native {
    /// There is none.
    pub(crate) enum Notification {}

    impl Notification {
        /// Nobody is there to show it.
        pub(crate) fn show(_address: &str, _title: &str, _text: &str) -> Option<Self> {
            None
        }

        /// There is none.
        pub(crate) fn leave(self) {}
    }
}

pub(crate) use native::Notification;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "notify", target_os = "linux"))]
    fn the_bus_is_that_of_the_session() {
        #[track_caller]
        fn check(env: &[(&str, &str)], bus: Option<&str>) {
            let get =
                |name: &str| env.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into());
            assert_eq!(session_bus(get).as_deref(), bus, "{env:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let runtime = folder.path().to_str().unwrap();
        check(&[], None);
        check(&[("XDG_RUNTIME_DIR", runtime)], None);
        std::fs::write(folder.path().join("bus"), "").unwrap();
        let socket = format!("unix:path={runtime}/bus");
        check(&[("XDG_RUNTIME_DIR", runtime)], Some(&socket));
        let address = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x");
        check(&[("XDG_RUNTIME_DIR", runtime), address], Some("unix:path=/x"));
        check(&[("DBUS_SESSION_BUS_ADDRESS", ""), ("XDG_RUNTIME_DIR", runtime)], Some(&socket));
        check(&[("DBUS_SESSION_BUS_ADDRESS", "autolaunch:"), ("XDG_RUNTIME_DIR", runtime)], None);
        check(&[address, (OFF_ENV, "1")], None);
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(without_markup("<a href=x>AWS & Co</a>"), "&lt;a href=x&gt;AWS &amp; Co&lt;/a&gt;");
    }
}
