//! The numbers of YKOATH, each once: the client and the software key both read them here.
//!
//! Source: Yubico's YKOATH protocol document.

/// Application identifier of the OATH applet.
pub const AID: [u8; 7] = [0xA0, 0x00, 0x00, 0x05, 0x27, 0x21, 0x01];

/// Class byte of every YKOATH command.
pub const CLA: u8 = 0x00;

/// Longest credential id in bytes, period prefix and issuer included.
pub const MAX_ID: usize = 64;

/// Shortest key in bytes; shorter ones are padded with zeros on the right.
pub const MIN_KEY: usize = 14;

/// Period of a TOTP credential whose id names none, in seconds.
pub const DEFAULT_PERIOD: u32 = 30;

/// Rounds of PBKDF2-HMAC-SHA1 from a password to an access key.
pub const ACCESS_KEY_ROUNDS: u32 = 1000;

/// Length of an access key in bytes.
pub const ACCESS_KEY_LEN: usize = 16;

/// Instruction bytes.
pub mod ins {
    /// Add (on most cards: or overwrite) a credential.
    pub const PUT: u8 = 0x01;
    /// Remove a credential.
    pub const DELETE: u8 = 0x02;
    /// Set or remove the access key.
    pub const SET_CODE: u8 = 0x03;
    /// Erase everything (P1 `DE`, P2 `AD`).
    pub const RESET: u8 = 0x04;
    /// Rename a credential (firmware 5.3.1).
    pub const RENAME: u8 = 0x05;
    /// List the credentials.
    pub const LIST: u8 = 0xA1;
    /// Calculate one response.
    pub const CALCULATE: u8 = 0xA2;
    /// Prove knowledge of the access key, both ways.
    pub const VALIDATE: u8 = 0xA3;
    /// Calculate the responses of all TOTP credentials that want no touch.
    pub const CALCULATE_ALL: u8 = 0xA4;
    /// Fetch the rest of an answer that ended in `61xx`.
    pub const SEND_REMAINING: u8 = 0xA5;
    /// Select an applet (P1 `04`: by name).
    pub const SELECT: u8 = 0xA4;
}

/// TLV tags.
pub mod tag {
    /// Credential id; in the answer to SELECT the device's salt.
    pub const NAME: u8 = 0x71;
    /// One entry of LIST.
    pub const NAME_LIST: u8 = 0x72;
    /// Type and algorithm, digits, key.
    pub const KEY: u8 = 0x73;
    /// Challenge.
    pub const CHALLENGE: u8 = 0x74;
    /// Digits, then the whole HMAC; in SET CODE and VALIDATE the bare HMAC.
    pub const RESPONSE: u8 = 0x75;
    /// Digits, then four bytes of dynamically truncated HMAC.
    pub const TRUNCATED_RESPONSE: u8 = 0x76;
    /// An HOTP credential in CALCULATE ALL: digits.
    pub const NO_RESPONSE: u8 = 0x77;
    /// Property: one byte, *without* a length.
    pub const PROPERTY: u8 = 0x78;
    /// Firmware version, three bytes.
    pub const VERSION: u8 = 0x79;
    /// Initial moving factor of HOTP, four bytes big endian.
    pub const INITIAL_MOVING_FACTOR: u8 = 0x7A;
    /// Algorithm of the access key.
    pub const ALGORITHM: u8 = 0x7B;
    /// A credential that wants a touch, in CALCULATE ALL: digits.
    pub const TOUCH: u8 = 0x7C;
}

/// Bits of [`tag::PROPERTY`].
pub mod property {
    /// Only increasing challenges are answered.
    pub const ONLY_INCREASING: u8 = 0x01;
    /// Every calculation wants a touch (firmware 4.2.4).
    pub const REQUIRE_TOUCH: u8 = 0x02;
}

/// P2 of CALCULATE and CALCULATE ALL.
pub mod p2 {
    /// The whole HMAC.
    pub const FULL: u8 = 0x00;
    /// The truncated one.
    pub const TRUNCATED: u8 = 0x01;
}
