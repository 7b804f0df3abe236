//! The numbers of Yubico's management applet, as far as clients ask it for a serial number: the host reads them, and the
//! software key answers by them.

/// Application identifier.
pub const AID: [u8; 8] = [0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];

/// READ CONFIG: answers a length byte, then TLVs.
pub const READ_CONFIG: u8 = 0x1D;

/// Tag of the serial number, four bytes big endian.
pub const SERIAL: u8 = 0x02;
