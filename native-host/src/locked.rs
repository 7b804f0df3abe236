//! Secrets that are kept for long: on pages of their own, which the system does not write to its swap.

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// Whole pages, on every system that there is: unlocking one must not unlock another's.
#[repr(align(16384))]
struct Page<T>(T);

/// A secret in locked memory, erased when dropped. Where the system locks no (more) memory for this user, it is kept all
/// the same: that is one wall of several.
pub struct Locked<T: Zeroize> {
    page: Box<Page<T>>,
    /// Dropped after the secret is erased.
    guard: Option<region::LockGuard>,
}

impl<T: Zeroize> Locked<T> {
    /// Moves `secret` to pages of its own.
    #[must_use]
    pub fn new(secret: T) -> Self {
        let page = Box::new(Page(secret));
        let guard = region::lock(&raw const *page, size_of::<Page<T>>()).ok();
        Self { page, guard }
    }

    /// Whether the system keeps it out of its swap.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.guard.is_some()
    }
}

impl<T: Zeroize> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.page.0
    }
}

impl<T: Zeroize> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.page.0
    }
}

impl<T: Zeroize> Drop for Locked<T> {
    fn drop(&mut self) {
        self.page.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_on_locked_pages_of_their_own() {
        let (one, two) = (Locked::new([1_u8; 32]), Locked::new([2_u8; 32]));
        assert_eq!((*one, *two), ([1; 32], [2; 32]));
        let page = |secret: &Locked<[u8; 32]>| (&raw const **secret).addr() / 16384;
        assert_ne!(page(&one), page(&two));
        assert_eq!(format!("{one:?}"), "Locked(…)");
        #[cfg(target_os = "linux")]
        {
            let kib = || -> usize {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
                line.split_whitespace().nth(1).unwrap().parse().unwrap()
            };
            // Other tests may lock some too, but not while this one has all that is locked.
            if one.is_locked() && two.is_locked() {
                assert!(kib() >= 32, "{}", kib());
            }
        }
        drop(one);
        assert_eq!(*two, [2; 32]);
    }
}
