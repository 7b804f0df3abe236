//! The files in which AWS's tools keep access keys, and the short answers of AWS's servers.

#![no_main]

use std::path::Path;

use keyfob::aws_call::xml_text;
use keyfob::aws_files::AwsFile;
use keyfob_fuzz::within;
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 2] = ["aws_access_key_id", "aws_secret_access_key"];

/// Sections with their entries.
type Sections<'a> = Vec<(&'a str, Vec<(&'a str, &'a str)>)>;

fn sections(file: &AwsFile) -> Sections<'_> {
    file.sections().map(|(name, entries)| (name, entries.collect())).collect()
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes) {
        for name in ["Code", "Message"] {
            // A reference is never shorter than what it stands for.
            let found = within(4096 + 4 * bytes.len(), || xml_text(text, name));
            assert!(found.is_none_or(|found| found.len() <= text.len()));
        }
    }
    let parse = |bytes: &[u8]| AwsFile::parse(Path::new("f"), bytes.to_vec().into());
    let Ok(file) = within((1 << 16) + 256 * bytes.len(), || parse(bytes)) else { return };
    let before = sections(&file);
    let names: Vec<&str> = before.iter().map(|(name, _)| *name).collect();
    let rest = file.without(&names).expect("a line goes without changing the others");
    let after = parse(&rest).expect("what was checked is read again");
    let mut expected = before;
    for (_, entries) in &mut expected {
        entries.retain(|(name, _)| !KEYS.contains(name));
    }
    assert_eq!(sections(&after), expected);
    // Nothing was in the file for the access keys but what has gone.
    let is_part = {
        let mut all = bytes.iter();
        rest.iter().all(|byte| all.any(|other| other == byte))
    };
    assert!(is_part, "the rest is the file, with something left out");
});
