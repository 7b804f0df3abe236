//! Tells when the machine is about to sleep: logind's `PrepareForSleep` on the system bus.
//!
//! The sleep is held up (by a *delay* inhibitor) until whoever is told has done what is to be done. Where there is no
//! logind, nothing is told; [`crate::harden::SleepDetector`] notices afterwards.

/// Calls `sleeping` before each sleep, from a thread of its own.
#[cfg(all(feature = "notify", target_os = "linux"))]
pub(super) fn before(sleeping: impl Fn() + Send + 'static) {
    // Without a thread, or a bus, there is the detector.
    let _ = std::thread::Builder::new().name("sleep".to_owned()).stack_size(256 << 10).spawn(move || {
        let _ = linux::watch(sleeping);
    });
}

/// Calls nothing: this system tells nobody.
#[cfg(not(all(feature = "notify", target_os = "linux")))]
pub(super) fn before(_: impl Fn() + Send + 'static) {}

#[cfg(all(feature = "notify", target_os = "linux"))]
mod linux {
    use std::cell::RefCell;
    use std::os::fd::OwnedFd;
    use std::rc::Rc;
    use std::time::Duration;

    use dbus::Error;
    use dbus::blocking::{BlockingSender as _, LocalConnection};
    use dbus::channel::Channel;
    use dbus::message::{MatchRule, Message};

    use crate::front;

    const NAME: &str = "org.freedesktop.login1";
    const PATH: &str = "/org/freedesktop/login1";
    const MANAGER: &str = "org.freedesktop.login1.Manager";
    /// Where the system bus is, unless the environment knows better.
    const SOCKET: &str = "unix:path=/run/dbus/system_bus_socket";
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Returns when the bus is gone.
    pub(super) fn watch(sleeping: impl Fn() + 'static) -> Result<(), Error> {
        let address = front::env("DBUS_SYSTEM_BUS_ADDRESS").and_then(|address| address.into_string().ok());
        let mut channel = Channel::open_private(address.as_deref().unwrap_or(SOCKET))?;
        channel.register()?;
        let bus = LocalConnection::from(channel);
        // Held: the sleep waits until it is dropped.
        let delay = Rc::new(RefCell::new(inhibit(&bus)));
        // Only logind's own word counts: anybody may send signals.
        let rule = MatchRule::new_signal(MANAGER, "PrepareForSleep").with_sender(NAME).static_clone();
        bus.add_match(rule, move |(before,): (bool,), bus, _| {
            if before {
                sleeping();
                delay.borrow_mut().take();
            } else {
                *delay.borrow_mut() = inhibit(bus);
            }
            true
        })?;
        loop {
            bus.process(Duration::from_secs(3600))?;
        }
    }

    /// Holds up the next sleep; none where that is not allowed.
    fn inhibit(bus: &LocalConnection) -> Option<OwnedFd> {
        let call = Message::new_method_call(NAME, PATH, MANAGER, "Inhibit").ok()?;
        let call = call.append3("sleep", "Keyfob", "forgets passwords").append1("delay");
        bus.send_with_reply_and_block(call, PATIENCE).ok()?.read1().ok()
    }
}
