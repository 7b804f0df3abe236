//! Several objects of one bucket, as people paste them: a key a line.

use super::arn::split_location;
use super::name::{KeyError, check_key};
use crate::message::MAX_LINKS;

/// A list that was read: nothing is made of it unless it is clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyList<'a> {
    /// The bucket that was given, else that of the first line that names one; empty if there is none.
    pub bucket: &'a str,
    /// The keys, in their order: at most [`MAX_LINKS`].
    pub keys: Vec<&'a str>,
    /// How many lines say something, also beyond [`MAX_LINKS`].
    pub count: usize,
    /// Numbers of lines, from 1, and what is wrong with them.
    pub faults: Vec<(usize, KeyListError)>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyListError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An S3 URI of another bucket.
    #[error("it is in the bucket {0:?}: all have to be in one")]
    OtherBucket(String),
    /// Stands there twice.
    #[error("it says the same as line {0}")]
    Twice(usize),
}

impl KeyList<'_> {
    /// Whether links can be made of all of it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && (1..=MAX_LINKS).contains(&self.count)
    }
}

impl<'a> KeyList<'a> {
    /// Reads lines with a key each, taken as it is, or with `s3://BUCKET/KEY`; empty ones do not count. `bucket` may be empty.
    #[must_use]
    pub fn read(text: &'a str, bucket: &'a str) -> Self {
        let mut list = Self { bucket, keys: Vec::new(), count: 0, faults: Vec::new() };
        // Where each key stands.
        let mut seen: Vec<(usize, &str)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            list.count += 1;
            if list.count > MAX_LINKS {
                continue;
            }
            match list.key(line, &seen) {
                Ok(key) => {
                    seen.push((number, key));
                    list.keys.push(key);
                }
                Err(error) => list.faults.push((number, error)),
            }
        }
        list
    }

    fn key(&mut self, line: &'a str, seen: &[(usize, &str)]) -> Result<&'a str, KeyListError> {
        let key = match line.strip_prefix("s3://") {
            Some(location) => {
                let (bucket, key) = split_location(location);
                if self.bucket.is_empty() {
                    self.bucket = bucket;
                }
                if bucket != self.bucket {
                    return Err(KeyListError::OtherBucket(bucket.into()));
                }
                key
            }
            None => line,
        };
        check_key(key)?;
        match seen.iter().find(|(_, other)| *other == key) {
            Some((number, _)) => Err(KeyListError::Twice(*number)),
            None => Ok(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bucket: &str, expected: (&str, &[&str])) {
        let list = KeyList::read(text, bucket);
        assert_eq!((list.bucket, list.keys.as_slice()), expected);
        assert!(list.is_clean(), "{:?}", list.faults);
    }

    #[track_caller]
    fn check_faults(text: &str, expected: &[(usize, KeyListError)]) {
        let list = KeyList::read(text, "bucket");
        assert_eq!(list.faults, expected);
        assert!(!list.is_clean());
    }

    #[test]
    fn keys_are_lines() {
        check("a.txt\nb c/ü.txt\n", "bucket", ("bucket", &["a.txt", "b c/ü.txt"]));
        // A space at the end is a part of the key, a carriage return that of Windows' line ends.
        check("a \r\n\r\n  \n b", "bucket", ("bucket", &["a ", " b"]));
        check("s3://bucket/a\nb\ns3://bucket//c", "bucket", ("bucket", &["a", "b", "/c"]));
        check("s3://other/a\ns3://other/b", "", ("other", &["a", "b"]));
    }

    #[test]
    fn what_is_wrong_is_told_by_line() {
        let other = KeyListError::OtherBucket;
        check_faults("a\n\ns3://other/b\na", &[(3, other("other".into())), (4, KeyListError::Twice(1))]);
        check_faults(
            "s3://bucket\ns3://bucket/",
            &[(1, KeyError::Empty.into()), (2, KeyError::Empty.into())],
        );
        check_faults("s3://", &[(1, other(String::new()))]);
        check_faults(&"k".repeat(1025), &[(1, KeyError::TooLong(1025).into())]);
        assert!(!KeyList::read(" \n\n", "bucket").is_clean());
    }

    #[test]
    fn long_lists_are_counted_and_no_more() {
        let lines = |count: usize| (0..count).map(|n| format!("k{n}\n")).collect::<String>();
        assert!(KeyList::read(&lines(MAX_LINKS), "bucket").is_clean());
        let text = lines(100_000);
        let list = KeyList::read(&text, "bucket");
        assert_eq!((list.count, list.keys.len(), list.is_clean()), (100_000, MAX_LINKS, false));
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_read(text in "((s3://)?[a-c/ü]{0,6}\\PC{0,3}(\r?\n){0,2}){0,12}", bucket in "[a-c]{0,3}") {
            let list = KeyList::read(&text, &bucket);
            proptest::prop_assert_eq!(list.keys.len() + list.faults.len(), list.count.min(MAX_LINKS));
            for (n, key) in list.keys.iter().enumerate() {
                proptest::prop_assert!(check_key(key).is_ok());
                proptest::prop_assert!(!list.keys.iter().take(n).any(|other| other == key));
            }
            for (line, _) in &list.faults {
                proptest::prop_assert!((1..=text.lines().count()).contains(line));
            }
        }
    }
}
