//! Cards in virtual readers.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use keyfob::vpcd;
use zeroize::Zeroizing;

/// What a scripted card does with a command.
pub enum Answer {
    /// Response APDU, whatever it is worth.
    Response(Vec<u8>),
    /// The card is pulled out of the reader.
    Pulled,
}

/// A card in a reader; pulled out when dropped.
pub struct Inserted {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Inserted {
    /// Puts a scripted card into the slot that listens on `port`, and waits until it was powered on.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or nobody powers it on within half a minute.
    pub fn new(port: u16, answer: impl FnMut(&[u8]) -> Answer + Send + 'static) -> Result<Self> {
        let stream =
            crate::poll("the virtual reader", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())?;
        let (powered, is_powered) = mpsc::channel();
        let served = stream.try_clone()?;
        let thread = std::thread::spawn(move || {
            let pulled = served.try_clone();
            // Ends when either side disconnects, or the card is pulled.
            let _ = vpcd::serve(served, &mut Scripted { answer, powered });
            if let Ok(stream) = pulled {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        let inserted = Self { stream, thread: Some(thread) };
        is_powered
            .recv_timeout(Duration::from_secs(30))
            .context("the PC/SC service did not notice the card within 30 s")?;
        Ok(inserted)
    }
}

impl Drop for Inserted {
    fn drop(&mut self) {
        // Fails only where the other side was faster.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Scripted<F> {
    answer: F,
    powered: mpsc::Sender<()>,
}

impl<F: FnMut(&[u8]) -> Answer> vpcd::Card for Scripted<F> {
    fn transmit(&mut self, command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
        match (self.answer)(command) {
            Answer::Response(response) => Ok(Zeroizing::new(response)),
            Answer::Pulled => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    fn power_on(&mut self) {
        // Only the first is waited for.
        let _ = self.powered.send(());
    }
}
