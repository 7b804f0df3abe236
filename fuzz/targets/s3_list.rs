//! Pages of S3's lists, as a server answers them.

#![no_main]

use keyfob::s3_list::Page;
use keyfob_fuzz::within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(page) = within((1 << 16) + 64 * bytes.len(), || Page::read(bytes)) else { return };
    // Nothing is longer than what it was read from: there are no entities but XML's own.
    let length: usize = page.keys.iter().chain(&page.next).map(String::len).sum();
    assert!(length <= bytes.len());
    assert!(page.next.is_none_or(|token| !token.is_empty()));
});
