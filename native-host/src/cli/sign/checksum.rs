//! Checksums of S3's trailers, computed as the body goes by.
//!
//! Source: "Checking object integrity", Amazon S3 User Guide; the parameters of the CRCs in the catalogue of
//! parametrised CRC algorithms (CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME).

use clap::ValueEnum;
use data_encoding::BASE64;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Which checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    /// The header, or trailer, that holds it.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// How long its base64 is.
    pub(super) fn encoded_len(self) -> usize {
        let bytes = match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        };
        BASE64.encode_len(bytes)
    }
}

/// A checksum of all that has gone by.
pub(super) enum Checksum {
    Crc(Crc),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc(Crc::new(0xedb8_8320, 4)),
            Algorithm::Crc32c => Self::Crc(Crc::new(0x82f6_3b78, 4)),
            Algorithm::Crc64Nvme => Self::Crc(Crc::new(0x9a6c_9329_ac4b_c9b5, 8)),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(crc) => crc.update(bytes),
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// In base64, as the trailer has it: most significant byte first.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Crc(crc) => {
                let value = (!crc.state).to_be_bytes();
                BASE64.encode(value.get(value.len() - crc.bytes..).unwrap_or_default())
            }
            Self::Sha1(hash) => BASE64.encode(&hash.finalize()),
            Self::Sha256(hash) => BASE64.encode(&hash.finalize()),
        }
    }
}

/// A reflected CRC whose register begins with all ones and is inverted at the end, as all of S3's are.
pub(super) struct Crc {
    table: Box<[u64; 256]>,
    state: u64,
    bytes: usize,
}

impl Crc {
    fn new(polynomial: u64, bytes: usize) -> Self {
        let mut table = Box::new([0; 256]);
        for (entry, byte) in table.iter_mut().zip(0u64..) {
            *entry = (0..8).fold(byte, |crc, _| (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 });
        }
        Self { table, state: u64::MAX >> (64 - 8 * bytes), bytes }
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let at = (self.state as u8 ^ byte) as usize;
            self.state = (self.state >> 8) ^ self.table.get(at).copied().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        #[track_caller]
        fn check(algorithm: Algorithm, input: &str, expected: &str) {
            let mut checksum = Checksum::new(algorithm);
            // In two parts.
            let (first, second) = input.as_bytes().split_at(input.len() / 2);
            checksum.update(first);
            checksum.update(second);
            let text = checksum.finish();
            assert_eq!(text.len(), algorithm.encoded_len());
            let hex = data_encoding::HEXLOWER.encode(&BASE64.decode(text.as_bytes()).unwrap());
            assert_eq!(hex, expected, "{algorithm:?} of {input:?}");
        }
        // The catalogue's check values.
        let check_input = "123456789";
        check(Algorithm::Crc32, check_input, "cbf43926");
        check(Algorithm::Crc32c, check_input, "e3069283");
        check(Algorithm::Crc64Nvme, check_input, "ae8b14860a799888");
        check(Algorithm::Crc32, "", "00000000");
        check(Algorithm::Crc64Nvme, "", "0000000000000000");
        // FIPS 180-4's examples.
        check(Algorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(Algorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
