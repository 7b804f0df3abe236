//! What the fuzz targets have in common. `README.md` says how they are run.

use keyfob_core::oath::protocol::MAX_ID;
use keyfob_core::oath::{OtpAuth, OtpAuthError};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a fuzzer made, taken off the front. It never ends: what is missing is zero or empty.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// An input at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// As many bytes as the two before them say (big endian), or what there is.
    pub fn chunk(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_be_bytes(self.array()));
        let (chunk, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        chunk
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Calls `run`, and fails if it ever has more than `most` bytes allocated at once, beyond what was before.
///
/// # Panics
/// If it has.
pub fn within<T>(most: usize, run: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = run();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= most, "{taken} bytes were allocated, and {most} are the most");
    result
}

/// Checks that what every reader of accounts gives has an id on a key, and comes back from the URI that is written of it.
///
/// # Panics
/// If not.
pub fn check_account(account: &OtpAuth) {
    let id = account.id().expect("an account has an id");
    assert!((1..=MAX_ID).contains(&id.as_bytes().len()));
    let uri = account.to_uri();
    match OtpAuth::parse(&uri) {
        Ok(again) => {
            // A colon in the account's name becomes that after the issuer, where there is none: on a key they are one.
            assert_eq!(again.id().as_ref(), Ok(&id), "{:?}", &**uri);
            let rest =
                |account: &OtpAuth| OtpAuth { issuer: None, account: String::new(), ..account.clone() };
            assert_eq!(rest(&again), rest(account), "{:?}", &**uri);
        }
        // Percent-encoding makes it three times as long, and a URI has a limit.
        Err(error) => assert_eq!(error, OtpAuthError::TooLong, "{:?}", &**uri),
    }
}
