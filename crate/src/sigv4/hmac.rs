//! HMAC-SHA256 (RFC 2104, FIPS 180-4) over whole messages, for keys that sign more than once.
//!
//! A key is kept as its schedule: the states of SHA-256 after the inner and the outer padded key, 32 bytes each.
//! So a message costs its own blocks and one more, nothing is buffered, and all that is secret lies in two arrays
//! that are erased. The compression function is `sha2`'s; only the padding is done here, and tests hold it
//! against `sha2` and `hmac`.

use sha2::block_api::compress256;
use zeroize::{ZeroizeOnDrop, Zeroizing, optimization_barrier};

const BLOCK: usize = 64;

/// FIPS 180-4 section 5.3.3.
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

type State = [u32; 8];

/// SHA-256 of a message.
pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    let mut state = INITIAL;
    finish(&mut state, 0, message);
    to_bytes(&state)
}

/// SHA-256 of a message whose end is not there yet.
pub(crate) struct Begun {
    state: State,
    taken: usize,
}

impl Begun {
    /// Of the whole message, whose beginning was taken in before.
    pub(crate) fn finish(mut self, message: &[u8]) -> [u8; 32] {
        finish(&mut self.state, self.taken, message.get(self.taken..).unwrap_or_default());
        to_bytes(&self.state)
    }
}

/// SHA-256 of a message, and begun of another.
///
/// Each block waits for the outcome of the one before it, which leaves a processor with instructions for SHA-256 half idle.
/// So it is given a block of each message by turns: a quarter less time for both.
pub(crate) fn sha256_beside(message: &[u8], beginning: &[u8]) -> ([u8; 32], Begun) {
    let (mut state, mut other) = (INITIAL, INITIAL);
    let (blocks, (others, _)) = (message.as_chunks::<BLOCK>().0, beginning.as_chunks::<BLOCK>());
    for (block, another) in blocks.iter().zip(others) {
        compress256(&mut state, core::slice::from_ref(block));
        compress256(&mut other, core::slice::from_ref(another));
    }
    let by_turns = blocks.len().min(others.len());
    compress256(&mut other, others.get(by_turns..).unwrap_or_default());
    finish(&mut state, by_turns * BLOCK, message.get(by_turns * BLOCK..).unwrap_or_default());
    (to_bytes(&state), Begun { state: other, taken: others.len() * BLOCK })
}

/// The key schedule of an HMAC-SHA256 key. Erased on drop.
pub(crate) struct HmacKey {
    inner: State,
    outer: State,
}

impl HmacKey {
    /// A key of any length, as two parts to be taken as one.
    pub(crate) fn new(parts: [&[u8]; 2]) -> Self {
        let mut block = [0; BLOCK];
        let [first, second] = parts;
        let len = first.len() + second.len();
        if let Some((to_first, to_second)) =
            block.get_mut(..len).and_then(|b| b.split_at_mut_checked(first.len()))
        {
            to_first.copy_from_slice(first);
            to_second.copy_from_slice(second);
        } else {
            // Longer than a block: RFC 2104 hashes it first.
            let mut whole = Zeroizing::new(Vec::with_capacity(len));
            whole.extend_from_slice(first);
            whole.extend_from_slice(second);
            return Self::from_code(sha256(&whole));
        }
        Self::from_block(block)
    }

    /// A key of 32 bytes, as codes are.
    pub(crate) fn from_code(mut code: [u8; 32]) -> Self {
        let mut block = [0; BLOCK];
        block.first_chunk_mut().into_iter().for_each(|to| *to = code);
        erase(&mut code);
        Self::from_block(block)
    }

    fn from_block(mut block: [u8; BLOCK]) -> Self {
        let mut key = Self { inner: INITIAL, outer: INITIAL };
        block.iter_mut().for_each(|byte| *byte ^= 0x36);
        compress256(&mut key.inner, core::slice::from_ref(&block));
        block.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        compress256(&mut key.outer, core::slice::from_ref(&block));
        erase(&mut block);
        key
    }

    /// The code of a message. It may be a key again: erasing it is the caller's.
    pub(crate) fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.mac_behind(BLOCK, message)
    }

    /// The same of a message whose beginning is in the inner state already: with the padded key so many bytes.
    fn mac_behind(&self, taken: usize, message: &[u8]) -> [u8; 32] {
        let mut state = self.inner;
        finish(&mut state, taken, message);
        let mut last = OUTER_PADDING;
        last.first_chunk_mut().into_iter().for_each(|to| *to = to_bytes(&state));
        state = self.outer;
        compress256(&mut state, core::slice::from_ref(&last));
        let code = to_bytes(&state);
        erase(&mut state);
        code
    }

    /// For messages that all begin so. What is no whole block of it is given back, to be repeated for each.
    pub(crate) fn begin<'m>(&self, beginning: &'m [u8]) -> (BegunMac, &'m [u8]) {
        let (blocks, rest) = beginning.as_chunks::<BLOCK>();
        let mut key = Self { inner: self.inner, outer: self.outer };
        compress256(&mut key.inner, blocks);
        (BegunMac { key, taken: BLOCK * (1 + blocks.len()) }, rest)
    }

    /// The key that is the code of a message.
    pub(crate) fn derive(&self, message: &[u8]) -> Self {
        Self::from_code(self.mac(message))
    }
}

/// A key that has taken in what messages begin with. Erased on drop.
pub(crate) struct BegunMac {
    key: HmacKey,
    taken: usize,
}

impl BegunMac {
    /// The code of the message that ends so.
    pub(crate) fn finish(&self, end: &[u8]) -> [u8; 32] {
        self.key.mac_behind(self.taken, end)
    }
}

/// The second and last block of the outer hash, but for the inner hash that it begins with: 96 bytes in all.
const OUTER_PADDING: [u8; BLOCK] = {
    let mut block = [0; BLOCK];
    block[32] = 0x80;
    [block[62], block[63]] = (96 * 8_u16).to_be_bytes();
    block
};

impl Drop for HmacKey {
    fn drop(&mut self) {
        erase(&mut self.inner);
        erase(&mut self.outer);
    }
}

impl ZeroizeOnDrop for HmacKey {}

/// Overwrites with zeros, all at once: `Zeroize` does it byte by byte, which costs as much as the hashing.
fn erase<T: Copy + Default, const N: usize>(secret: &mut [T; N]) {
    *secret = [T::default(); N];
    // The compiler must take it for used.
    optimization_barrier(secret);
}

/// Takes in the rest of a message of which `before` bytes, whole blocks, are in `state` already, and its padding.
fn finish(state: &mut State, before: usize, message: &[u8]) {
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        compress256(state, blocks);
    }
    let bits = ((before + message.len()) as u64) << 3;
    // A one bit must follow, and the length in the last eight bytes: in the same block, or else in one more.
    let mut last = [0; BLOCK];
    if let Some((text, padding)) = last.split_at_mut_checked(rest.len()) {
        text.copy_from_slice(rest);
        padding.first_mut().into_iter().for_each(|one| *one = 0x80);
    }
    if rest.len() >= BLOCK - 8 {
        compress256(state, core::slice::from_ref(&last));
        last = [0; BLOCK];
    }
    last.last_chunk_mut().into_iter().for_each(|length| *length = bits.to_be_bytes());
    compress256(state, core::slice::from_ref(&last));
}

fn to_bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    #[track_caller]
    fn check(key: &[u8], message: &[u8]) {
        assert_eq!(sha256(message), <[u8; 32]>::from(Sha256::digest(message)), "{} bytes", message.len());
        let mut expected = Hmac::<Sha256>::new_from_slice(key).unwrap();
        expected.update(message);
        let expected: [u8; 32] = expected.finalize().into_bytes().into();
        let (first, second) = key.split_at(key.len() / 3);
        assert_eq!(HmacKey::new([first, second]).mac(message), expected, "{} bytes", message.len());
        assert_eq!(HmacKey::new([key, &[]]).mac(message), expected, "key of {} bytes", key.len());
        let derived = HmacKey::new([&expected, &[]]).mac(message);
        assert_eq!(HmacKey::from_code(expected).mac(message), derived);
        assert_eq!(HmacKey::new([key, &[]]).derive(message).mac(message), derived);
        let (beginning, end) = message.split_at(message.len() / 2);
        let (begun, rest) = HmacKey::new([key, &[]]).begin(beginning);
        assert_eq!(begun.finish(&[rest, end].concat()), expected, "{} bytes", message.len());
    }

    #[test]
    fn every_length_is_padded_rightly() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=bytes.len() {
            check(b"key", &bytes[..len]);
            check(&bytes[..len], b"message");
        }
    }

    #[test]
    fn messages_beside_each_other_are_hashed_as_alone() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=bytes.len() {
            for begun in [0, 1, 63, 64, 65, 127, 128, 129, 200, 256] {
                let (hash, other) = sha256_beside(&bytes[..len], &bytes[..begun]);
                assert_eq!(hash, sha256(&bytes[..len]), "{len} beside {begun}");
                assert_eq!(other.finish(&bytes), sha256(&bytes), "{len} beside {begun}");
            }
        }
    }

    /// RFC 4231, test case 6: a key of 131 bytes.
    #[test]
    fn long_keys_are_hashed_first() {
        let code =
            HmacKey::new([&[0xaa; 131], &[]]).mac(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(
            data_encoding::HEXLOWER.encode(&code),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    proptest! {
        #[test]
        fn it_is_hmac(key in prop::collection::vec(any::<u8>(), 0..200), message in prop::collection::vec(any::<u8>(), 0..2000)) {
            check(&key, &message);
        }
    }
}
