//! The card's end of a virtual reader (the `vpcd` driver of the vsmartcard project).
//!
//! The driver listens, the card connects: plugged in. Each message is a length of two bytes, big-endian, and that many
//! bytes; a message of one byte from the driver is control (power off, power on, reset, ATR), any other is
//! a command APDU. Disconnecting pulls the card.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Answer to reset: T=1, with "YubiKey" in the historical bytes, as the real ones have.
pub const ATR: &[u8] = b"\x3b\x8d\x80\x01\x80\x73\xc0\x21\xc0\x57\x59\x75\x62\x69\x4b\x65\x79\xf9";

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// A card, as its reader sees it.
pub trait Card: Send + 'static {
    /// Response APDU to a command APDU.
    fn transmit(&mut self, command: &[u8]) -> Vec<u8>;

    /// Power was cut or the card was reset: what it knew beyond its memory is gone.
    fn reset(&mut self) {}
}

impl<F: FnMut(&[u8]) -> Vec<u8> + Send + 'static> Card for F {
    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        self(command)
    }
}

/// A card in a reader; pulled out when dropped.
pub struct Inserted {
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Inserted {
    /// Puts a card into the slot that listens on `port`, and waits until it was powered on.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or does not ask for the ATR within ten seconds.
    pub fn new(port: u16, card: impl Card) -> Result<Self> {
        let stream =
            crate::poll("the virtual reader", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())?;
        stream.set_nodelay(true)?;
        let (powered, is_powered) = mpsc::channel();
        let served = stream.try_clone()?;
        let thread = std::thread::spawn(move || {
            // Ends when either side disconnects, which is how a card is pulled.
            let _ = serve(served, card, &powered);
        });
        let inserted = Self { stream, thread: Some(thread) };
        is_powered
            .recv_timeout(Duration::from_secs(10))
            .context("the PC/SC service did not notice the card within 10 s")?;
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

fn serve(mut stream: TcpStream, mut card: impl Card, powered: &mpsc::Sender<()>) -> std::io::Result<()> {
    loop {
        let mut length = [0; 2];
        read(&mut stream, &mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        read(&mut stream, &mut message)?;
        let answer = match message.as_slice() {
            [POWER_OFF | RESET] => {
                card.reset();
                continue;
            }
            [POWER_ON] => {
                let _ = powered.send(());
                continue;
            }
            [GET_ATR] => ATR.to_vec(),
            [_] => continue,
            command => card.transmit(command),
        };
        let Ok(length) = u16::try_from(answer.len()) else {
            return Err(std::io::ErrorKind::InvalidData.into());
        };
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())?;
    }
}

/// The driver sends length and body in two segments and waits for the first to be acknowledged: at once, or every
/// APDU takes 44 ms.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_quickack(&*stream, true)?;
    stream.read_exact(buffer)
}
