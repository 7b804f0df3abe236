//! Randomness that is the same in every run.

/// A small generator (xorshift64).
pub struct Random(u64);

impl Random {
    /// With a seed other than 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits; the low ones are the worse.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// So many bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.bits().to_le_bytes()[3]).collect()
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).unwrap_or(u64::MAX).max(1);
        usize::try_from((self.bits() >> 16) % n).unwrap_or_default()
    }

    /// One of several.
    pub fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
