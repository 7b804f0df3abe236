//! The codes of an MFA device (RFC 6238 with SHA-1, six digits, steps of 30 s), computed apart from Keyfob's own code.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// The length of a step, in seconds.
pub(super) const STEP: i64 = 30;
/// How many steps a code may be early or late.
const WINDOW: i64 = 1;
/// How far ResyncMFADevice looks, in steps either way.
const RESYNC: i64 = 1000;

/// A virtual MFA device.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// Whose it is, once it is enabled.
    pub(super) user: Option<String>,
    /// Unix time.
    pub(super) enabled: i64,
    secret: Vec<u8>,
    used: BTreeSet<i64>,
    /// How many steps its clock is ahead.
    pub(super) ahead: i64,
}

/// Why a code is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCode {
    /// It is none of the window's.
    Wrong,
    /// It was taken before.
    Used,
}

impl Device {
    /// One that is nobody's yet, with a secret in base32 as people write it: in any case, with spaces.
    pub(super) fn new(base32: &str) -> Result<Self> {
        let text: String = base32.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
        let secret = BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .ok()
            .context("a secret is no base32")?;
        Ok(Self { user: None, enabled: 0, secret, used: BTreeSet::new(), ahead: 0 })
    }

    /// Its secret.
    pub(super) fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.secret)
    }

    /// The code at a step of its own clock.
    pub(super) fn code(&self, step: i64) -> String {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.secret) else {
            return String::new();
        };
        mac.update(&step.to_be_bytes());
        let hash: [u8; 20] = mac.finalize().into_bytes().into();
        let at = usize::from(hash.last().copied().unwrap_or_default() & 0xF);
        let four = hash.iter().skip(at).take(4).fold(0_u32, |n, &byte| n << 8 | u32::from(byte));
        format!("{:06}", (four & 0x7FFF_FFFF) % 1_000_000)
    }

    /// The step of its clock at a time.
    pub(super) fn step(&self, now: i64) -> i64 {
        now.div_euclid(STEP) + self.ahead
    }

    /// Takes a code, once.
    pub(super) fn take(&mut self, code: &str, now: i64) -> Result<(), BadCode> {
        let middle = self.step(now);
        let step = (middle - WINDOW..=middle + WINDOW).find(|&step| self.code(step) == code);
        let step = step.ok_or(BadCode::Wrong)?;
        if self.used.insert(step) { Ok(()) } else { Err(BadCode::Used) }
    }

    /// Takes two codes in a row; those that are in the window are good for nothing else afterwards.
    pub(super) fn take_two(&mut self, codes: [&str; 2], now: i64) -> Result<(), BadCode> {
        let middle = self.step(now);
        // The older one was of the window when it was made.
        let step = self.pair(codes, middle - WINDOW - 1..=middle + WINDOW).ok_or(BadCode::Wrong)?;
        if self.used.contains(&step) || self.used.contains(&(step + 1)) {
            return Err(BadCode::Used);
        }
        self.used.extend([step, step + 1]);
        Ok(())
    }

    /// Sets its clock by two codes in a row.
    pub(super) fn resync(&mut self, codes: [&str; 2], now: i64) -> Result<(), BadCode> {
        let middle = now.div_euclid(STEP);
        let far = (0..=RESYNC).flat_map(|far| [middle + far, middle - far]);
        let step = self.pair(codes, far).ok_or(BadCode::Wrong)?;
        if self.used.contains(&(step + 1)) {
            return Err(BadCode::Used);
        }
        // What is one step old is no clock that is late.
        let ahead = step + 1 - middle;
        self.ahead = if ahead.abs() <= WINDOW { 0 } else { ahead };
        self.used.extend([step, step + 1]);
        Ok(())
    }

    /// Forgets which codes were taken.
    pub(super) fn forget(&mut self) {
        self.used.clear();
    }

    fn pair(&self, [first, second]: [&str; 2], mut steps: impl Iterator<Item = i64>) -> Option<i64> {
        steps.find(|&step| self.code(step) == first && self.code(step + 1) == second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device::new("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ").unwrap()
    }

    /// RFC 6238, appendix B.
    #[test]
    fn makes_the_codes_of_the_standard() {
        for (time, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(device().code(device().step(time)), code, "{time}");
        }
    }

    #[test]
    fn takes_each_code_of_the_window_once() {
        let mut device = device();
        let now: i64 = 1_111_111_109;
        let at = |device: &Device, off| device.code(device.step(now) + off);
        for (off, result) in [
            (-2, Err(BadCode::Wrong)),
            (-1, Ok(())),
            (0, Ok(())),
            (1, Ok(())),
            (2, Err(BadCode::Wrong)),
            (0, Err(BadCode::Used)),
        ] {
            let code = at(&device, off);
            assert_eq!(device.take(&code, now), result, "{off}");
        }
        let (two, three) = (at(&device, 1), at(&device, 2));
        assert_eq!(device.take_two([&two, &three], now), Err(BadCode::Used));
        device.forget();
        assert_eq!(device.take_two([&three, &two], now), Err(BadCode::Wrong));
        assert_eq!(device.take_two([&two, &three], now), Ok(()));
        assert_eq!(device.take(&two, now), Err(BadCode::Used));
    }

    #[test]
    fn a_clock_that_is_off_is_set() {
        let mut device = device();
        let now: i64 = 1_111_111_109;
        let at = |device: &Device, off| device.code(now.div_euclid(STEP) + off);
        let (two, three) = (at(&device, 40), at(&device, 41));
        assert_eq!(device.take(&two, now), Err(BadCode::Wrong));
        assert_eq!(device.resync([&three, &two], now), Err(BadCode::Wrong));
        assert_eq!(device.resync([&two, &three], now), Ok(()));
        assert_eq!(device.take(&three, now), Err(BadCode::Used));
        let four = at(&device, 42);
        assert_eq!(device.take(&four, now), Ok(()));
    }
}
