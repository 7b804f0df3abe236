//! The card's end of a virtual reader: the `vpcd` driver of the vsmartcard project.
//!
//! The driver listens, the card connects: plugged in. Each message is a length of two bytes, big-endian, and that
//! many bytes; a message of one byte from the driver is control (power off, power on, reset, ATR), any other is a
//! command APDU. Disconnecting pulls the card.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use zeroize::Zeroizing;

/// Answer to reset: T=1, with "YubiKey" in the historical bytes, as the real ones have.
pub const ATR: &[u8] = b"\x3b\x8d\x80\x01\x80\x73\xc0\x21\xc0\x57\x59\x75\x62\x69\x4b\x65\x79\xf9";

const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// A card, as its reader sees it.
pub trait Card {
    /// Response APDU to a command APDU.
    ///
    /// # Errors
    /// Ends the session: the card is pulled.
    fn transmit(&mut self, command: &[u8]) -> io::Result<Zeroizing<Vec<u8>>>;

    /// Power was switched on.
    fn power_on(&mut self) {}

    /// Power was cut, or the card was reset: what it knew beyond its memory is gone.
    fn reset(&mut self) {}
}

/// Is a card in the reader that `stream` leads to, until either side disconnects.
///
/// # Errors
/// The end of the connection, or the card's.
pub fn serve(mut stream: TcpStream, card: &mut dyn Card) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut length = [0; 2];
        read(&mut stream, &mut length)?;
        let mut message = Zeroizing::new(vec![0; usize::from(u16::from_be_bytes(length))]);
        read(&mut stream, &mut message)?;
        let answer = match message.as_slice() {
            [POWER_OFF | RESET] => {
                card.reset();
                continue;
            }
            [POWER_ON] => {
                card.power_on();
                continue;
            }
            [GET_ATR] => Zeroizing::new(ATR.to_vec()),
            [_] | [] => continue,
            command => card.transmit(command)?,
        };
        let length = u16::try_from(answer.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        // In one segment: see `read`.
        let frame = Zeroizing::new([&length.to_be_bytes(), answer.as_slice()].concat());
        stream.write_all(&frame)?;
    }
}

/// The driver sends length and body in two segments and waits for the first to be acknowledged: at once, or every
/// APDU takes 44 ms.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_quickack(&*stream, true)?;
    stream.read_exact(buffer)
}
