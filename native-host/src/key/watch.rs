//! Watches readers: whose card has been removed, its password is forgotten.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pcsc::{Context, PNP_NOTIFICATION, ReaderState, Scope, State};

/// How long to wait before the service is looked for again, when it does not run.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it is looked for, until the next [`Watch::nudge`]: a service that is just being started.
const LOOKS: u32 = 5;
/// How long one wait lasts, where new readers are not reported. pcscd always reports them.
const WAIT: Duration = Duration::from_secs(if cfg!(target_os = "linux") { 3600 } else { 60 });

/// The watch; ends when dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ending: AtomicBool,
    context: Mutex<Option<Context>>,
    /// How often the service is still looked for.
    looks: Mutex<u32>,
    turn: Condvar,
}

impl Shared {
    fn looks(&self) -> MutexGuard<'_, u32> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the service is to be looked for again: after a pause as long as there is hope, else when nudged.
    fn pause(&self) {
        let looks = self.looks();
        if *looks == 0 {
            let idle = |looks: &mut u32| *looks == 0 && !self.ending.load(Ordering::SeqCst);
            drop(self.turn.wait_while(looks, idle).unwrap_or_else(PoisonError::into_inner));
        } else {
            let idle = |_: &mut u32| !self.ending.load(Ordering::SeqCst);
            let waited = self.turn.wait_timeout_while(looks, PAUSE, idle);
            let (mut looks, _) = waited.unwrap_or_else(PoisonError::into_inner);
            *looks = looks.saturating_sub(1);
        }
    }
}

/// Calls `removed` with the name of each reader whose card is taken out, is exchanged, or is lost with the service.
#[must_use]
pub fn removals(removed: impl Fn(String) + Send + 'static) -> Watch {
    let shared = Arc::new(Shared { looks: Mutex::new(LOOKS), ..Shared::default() });
    let thread = std::thread::Builder::new().name("readers".to_owned()).spawn({
        let shared = Arc::clone(&shared);
        move || {
            let mut present = HashMap::new();
            while !shared.ending.load(Ordering::SeqCst) {
                // Ends with the service, or when the watch is dropped.
                let _ = watch(&shared, &mut present, &removed);
                present.drain().for_each(|(reader, _)| removed(reader));
                shared.pause();
            }
        }
    });
    Watch { shared, thread: thread.ok() }
}

impl Watch {
    /// There may be a card to watch over. Without a service there was none, and nobody looks for one for long.
    pub fn nudge(&self) {
        *self.shared.looks() = LOOKS;
        self.shared.turn.notify_all();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // As one who waits looks at it.
        let looks = self.shared.looks();
        self.shared.ending.store(true, Ordering::SeqCst);
        drop(looks);
        self.shared.turn.notify_all();
        let Some(thread) = self.thread.take() else { return };
        // A wait that has not begun yet cannot be cancelled.
        for _ in 0..100 {
            if thread.is_finished() {
                break;
            }
            if let Some(context) = &*self.shared.context.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = context.cancel();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn watch(
    shared: &Shared,
    present: &mut HashMap<String, u32>,
    removed: &impl Fn(String),
) -> Result<(), pcsc::Error> {
    let context = Context::establish(Scope::User)?;
    *shared.context.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.clone());
    let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    loop {
        let names: HashSet<CString> = context.list_readers_owned()?.into_iter().collect();
        // What is known of a reader that has gone is its card's end.
        states.retain(|state| state.name() == PNP_NOTIFICATION() || names.contains(state.name()));
        for name in &names {
            if !states.iter().any(|state| state.name() == name.as_c_str()) {
                states.push(ReaderState::new(name.clone(), State::UNAWARE));
            }
        }
        let known = |reader: &String| names.iter().any(|name| name.to_str() == Ok(reader.as_str()));
        for reader in present.keys().filter(|reader| !known(reader)).cloned().collect::<Vec<_>>() {
            present.remove(&reader);
            removed(reader);
        }
        states.iter_mut().for_each(ReaderState::sync_current_state);
        if shared.ending.load(Ordering::SeqCst) {
            return Ok(());
        }
        match context.get_status_change(WAIT, &mut states) {
            Ok(()) | Err(pcsc::Error::Timeout) => {}
            Err(error) => return Err(error),
        }
        for state in &states {
            let Ok(reader) = state.name().to_str() else { continue };
            if state.name() == PNP_NOTIFICATION() {
                continue;
            }
            let is_present = state.event_state().contains(State::PRESENT);
            // The count of events tells a card that was exchanged between two looks.
            let stayed = is_present && present.get(reader) == Some(&state.event_count());
            if !stayed && present.remove(reader).is_some() {
                removed(reader.to_owned());
            }
            if is_present {
                present.insert(reader.to_owned(), state.event_count());
            }
        }
    }
}
