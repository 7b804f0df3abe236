//! The simple TLVs of YKOATH: one-byte tag, BER length (one byte, or `81`/`82` and one or two), value.

use zeroize::Zeroize as _;

/// What is wrong with a TLV.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlvError {
    /// The bytes end inside a tag, a length or a value.
    #[error("truncated TLV: {missing} more bytes expected")]
    Truncated {
        /// How many bytes are missing, at least.
        missing: usize,
    },
    /// A length encoding that YKOATH does not use (`80`, or more than two length bytes).
    #[error("unsupported TLV length byte {0:02X}")]
    UnsupportedLength(u8),
    /// Another tag than the one that has to stand here.
    #[error("tag {expected:02X} expected, got {got:02X}")]
    UnexpectedTag {
        /// The tag that the protocol demands.
        expected: u8,
        /// The tag that is there.
        got: u8,
    },
    /// A value too long for the two-byte length encoding.
    #[error("TLV value of {0} bytes is too long")]
    TooLong(usize),
}

/// Reads TLVs off the front of a byte string.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes are read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are unread.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next tag, unread.
    #[must_use]
    pub fn peek_tag(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads one byte that is not a TLV (YKOATH's property is one).
    ///
    /// # Errors
    /// [`TlvError::Truncated`].
    pub fn byte(&mut self) -> Result<u8, TlvError> {
        let (&first, rest) = self.rest.split_first().ok_or(TlvError::Truncated { missing: 1 })?;
        self.rest = rest;
        Ok(first)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], TlvError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(TlvError::Truncated { missing: n.saturating_sub(self.rest.len()) })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads the next TLV, whatever its tag.
    ///
    /// # Errors
    /// [`TlvError::Truncated`], [`TlvError::UnsupportedLength`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not tell the end from what is broken"
    )]
    pub fn next(&mut self) -> Result<(u8, &'a [u8]), TlvError> {
        let tag = self.byte()?;
        let length = match self.byte()? {
            short @ 0..=0x7F => usize::from(short),
            0x81 => usize::from(self.byte()?),
            0x82 => usize::from(u16::from_be_bytes([self.byte()?, self.byte()?])),
            other => return Err(TlvError::UnsupportedLength(other)),
        };
        Ok((tag, self.take(length)?))
    }

    /// Reads the next TLV, which must have the tag `expected`.
    ///
    /// # Errors
    /// As [`Reader::next`], and [`TlvError::UnexpectedTag`].
    pub fn expect(&mut self, expected: u8) -> Result<&'a [u8], TlvError> {
        match self.next()? {
            (tag, value) if tag == expected => Ok(value),
            (got, _) => Err(TlvError::UnexpectedTag { expected, got }),
        }
    }

    /// Reads the next TLV if it has the tag `wanted`; leaves it otherwise.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn optional(&mut self, wanted: u8) -> Result<Option<&'a [u8]>, TlvError> {
        if self.peek_tag() == Some(wanted) { Ok(Some(self.next()?.1)) } else { Ok(None) }
    }
}

/// Writes TLVs. Erases what it wrote when dropped: values may be secrets.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        // Room for any short APDU, so that a secret is not left behind by a reallocation.
        Self { bytes: Vec::with_capacity(260) }
    }

    /// Appends a TLV whose value is the concatenation of `parts`.
    ///
    /// # Errors
    /// [`TlvError::TooLong`] over 65,535 bytes.
    pub fn put(&mut self, tag: u8, parts: &[&[u8]]) -> Result<&mut Self, TlvError> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.push(tag);
        match u16::try_from(length).map_err(|_| TlvError::TooLong(length))?.to_be_bytes() {
            [0, low @ 0..=0x7F] => self.bytes.push(low),
            [0, low] => self.bytes.extend_from_slice(&[0x81, low]),
            [high, low] => self.bytes.extend_from_slice(&[0x82, high, low]),
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        Ok(self)
    }

    /// Appends bytes that are not a TLV.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// What was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_form() {
        #[track_caller]
        fn check(length: usize, header: &[u8]) {
            let value = vec![7; length];
            let mut writer = Writer::new();
            writer.put(0x71, &[&value]).unwrap();
            assert_eq!(&writer.as_bytes()[..header.len()], header);
            let mut reader = Reader::new(writer.as_bytes());
            assert_eq!(reader.expect(0x71).unwrap(), value);
            assert!(reader.is_empty());
        }
        check(0, &[0x71, 0]);
        check(127, &[0x71, 127]);
        check(128, &[0x71, 0x81, 128]);
        check(255, &[0x71, 0x81, 255]);
        check(256, &[0x71, 0x82, 1, 0]);
        check(65_535, &[0x71, 0x82, 0xFF, 0xFF]);
        assert_eq!(Writer::new().put(1, &[&vec![0; 65_536]]).err(), Some(TlvError::TooLong(65_536)));
    }

    #[test]
    fn broken_bytes_are_named() {
        #[track_caller]
        fn check(bytes: &[u8], expected: TlvError) {
            assert_eq!(Reader::new(bytes).expect(0x71).unwrap_err(), expected);
        }
        check(&[], TlvError::Truncated { missing: 1 });
        check(&[0x71], TlvError::Truncated { missing: 1 });
        check(&[0x71, 2, 0], TlvError::Truncated { missing: 1 });
        check(&[0x71, 0x82, 1], TlvError::Truncated { missing: 1 });
        check(&[0x71, 0x80], TlvError::UnsupportedLength(0x80));
        check(&[0x71, 0x83, 0, 0, 0], TlvError::UnsupportedLength(0x83));
        check(&[0x72, 0], TlvError::UnexpectedTag { expected: 0x71, got: 0x72 });
    }
}
