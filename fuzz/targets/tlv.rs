//! TLVs: what is read and written again is the same, and never longer than it was.

#![no_main]

use keyfob_core::tlv::{Reader, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let mut read = Vec::new();
    let mut writer = Writer::new();
    loop {
        let tag = reader.peek_tag();
        let before = reader.remaining();
        let Ok((got, value)) = reader.next() else { break };
        assert_eq!(tag, Some(got));
        assert!(reader.remaining() + value.len() + 2 <= before, "nothing is read twice");
        writer.put(got, &[value]).expect("a value that was read can be written");
        read.push((got, value));
    }
    assert!(writer.as_bytes().len() <= bytes.len());
    let mut again = Reader::new(writer.as_bytes());
    for (tag, value) in read {
        assert_eq!(again.optional(tag.wrapping_add(1)), Ok(None));
        assert_eq!(again.optional(tag), Ok(Some(value)));
    }
    assert!(again.is_empty());
});
