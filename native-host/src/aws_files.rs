//! The files in which AWS's tools keep access keys and settings: read as they read them, and rid of single lines.
//!
//! What is a section, a comment or a value that goes on is as Python's `configparser` has it, for botocore reads by that:
//! a `#` behind a value belongs to the value, a name twice in a section is an error, `[DEFAULT]` is inherited by all. What is
//! removed are whole lines; every other byte stays.
//!
//! Source: "Configuration and credential file settings", AWS CLI User Guide; botocore's `configloader.py` and `credentials.py`.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use keyfob_core::message::ErrorCode;
use keyfob_core::secret::Secret;
use zeroize::Zeroizing;

use crate::paths::{Lock, PathError, sync_folder};

/// More than any such file has, in bytes.
const MAX_FILE: u64 = 1 << 20;
const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
/// The section that all others inherit from.
const INHERITED: &str = "DEFAULT";
/// By what a profile may have credentials without having them, in the words of the file.
const SOURCES: [&str; 8] = [
    "credential_process",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "role_arn",
    "credential_source",
    "web_identity_token_file",
    "login_session",
];

/// Why a file cannot be used. Nothing of what is in it is shown but names.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsFileError {
    /// An operation on a file failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// AWS's tools cannot read it either.
    #[error("{}:{line}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Somebody else has written it since it was read.
    #[error("{} has changed meanwhile: nothing was removed from it", .0.display())]
    Changed(PathBuf),
    /// The lock, or the folder.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No home folder.
    #[error("no home folder is known: set AWS_SHARED_CREDENTIALS_FILE to the credentials file")]
    NoHome,
    /// No file has such a profile.
    #[error("there is no profile {profile:?} in {}", shown(files))]
    NoProfile {
        /// Its name.
        profile: String,
        /// Where it was looked for.
        files: Vec<PathBuf>,
        /// Profiles that have an access key.
        others: Vec<String>,
    },
    /// It has no access key.
    #[error("the profile {profile:?} has no access key{}", source_of(.from))]
    NoKey {
        /// Its name.
        profile: String,
        /// The setting by which it has credentials all the same.
        from: Option<&'static str>,
        /// Profiles that have an access key.
        others: Vec<String>,
    },
    /// An access key id alone, or a secret alone.
    #[error("{}:{line}: the profile {profile:?} has {has} without {lacks}", path.display())]
    Half {
        /// The file.
        path: PathBuf,
        /// The line of what is there.
        line: usize,
        /// Its name.
        profile: String,
        /// What it has.
        has: &'static str,
        /// What it has not.
        lacks: &'static str,
    },
    /// A session's.
    #[error("the credentials of the profile {0:?} are temporary: they have a session token")]
    Temporary(String),
    /// In the section that others inherit.
    #[error("{}: the access key is in [{INHERITED}], which every profile inherits", .0.display())]
    Inherited(PathBuf),
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ")
}

fn source_of(from: &Option<&'static str>) -> String {
    from.map(|setting| format!(" of its own: it has its credentials by {setting}")).unwrap_or_default()
}

impl AwsFileError {
    /// The protocol's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } | Self::NoHome => ErrorCode::Io,
            Self::Changed(_) => ErrorCode::Busy,
            Self::Path(error) => error.code(),
            Self::NoProfile { .. } | Self::NoKey { .. } => ErrorCode::NotFound,
            Self::Syntax { .. } | Self::Half { .. } | Self::Temporary(_) | Self::Inherited(_) => {
                ErrorCode::InvalidInput
            }
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { action: "read", .. } => {
                "AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name the files, where they are not in ~/.aws"
            }
            Self::Io { .. } => {
                "see that you may write the file and its folder, and that neither is protected"
            }
            Self::Path(_) | Self::NoHome => "",
            Self::Syntax { .. } => "AWS's own tools refuse such a file too: correct that line, and try again",
            Self::Changed(_) => "try again: what is on the key is checked, and need not be written twice",
            Self::NoProfile { .. } | Self::NoKey { .. } => "name one that has an access key: --profile",
            Self::Half { .. } => "complete or correct it, or put the key on by `keyfob aws add`",
            Self::Temporary(_) => "only long-term access keys (AKIA…) are worth a place on the key",
            Self::Inherited(_) => "move it into the section of the one profile that it is for",
        }
    }

    /// Profiles that could be meant.
    #[must_use]
    pub fn candidates(&self) -> &[String] {
        match self {
            Self::NoProfile { others, .. } | Self::NoKey { others, .. } => others,
            _ => &[],
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// One line that gives a name a value, with those by which the value goes on.
struct Entry {
    name: String,
    value: Zeroizing<String>,
    line: usize,
    /// Bytes of its lines, with their ends.
    bytes: Range<usize>,
}

struct Section {
    name: String,
    /// Behind the line of its name.
    begin: usize,
    entries: Vec<Entry>,
}

impl Section {
    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// A file as it was read.
pub struct AwsFile {
    path: PathBuf,
    other_names: bool,
    bytes: Zeroizing<Vec<u8>>,
    sections: Vec<Section>,
}

/// What is in it is secret.
impl fmt::Debug for AwsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// As Python strips.
fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The lines of a text and where they are, with their ends: `\n`, `\r\n`, `\r`.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = match rest.find(['\n', '\r']) {
            Some(at) if rest.get(at..).is_some_and(|end| end.starts_with("\r\n")) => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        let range = start..start + length;
        start += length;
        Some((range, rest.get(..length)?))
    })
}

impl AwsFile {
    /// Reads the file at `path`, following links; none if there is none.
    ///
    /// # Errors
    /// [`AwsFileError::Io`], [`AwsFileError::Syntax`].
    pub fn open(path: &Path) -> Result<Option<Self>, AwsFileError> {
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AwsFileError::io("read", path)(error)),
        };
        let kind = fs::metadata(&target).map_err(AwsFileError::io("read", path))?.file_type();
        if kind.is_dir() {
            return Err(AwsFileError::io("read", path)(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder",
            )));
        }
        if !kind.is_file() {
            // /dev/null is how people say that there is none.
            #[cfg(unix)]
            if std::os::unix::fs::FileTypeExt::is_char_device(&kind) {
                return Ok(None);
            }
            // What is read from a pipe can be read once, and nothing can be removed from it.
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no file, but a pipe, a socket or a device",
            );
            return Err(AwsFileError::io("read", path)(error));
        }
        let bytes = read(&target)?;
        let file = Self::parse(&target, bytes)?;
        #[cfg(unix)]
        let other_names = {
            use std::os::unix::fs::MetadataExt as _;
            fs::metadata(&target).is_ok_and(|metadata| metadata.nlink() > 1)
        };
        #[cfg(not(unix))]
        let other_names = false;
        Ok(Some(Self { other_names, ..file }))
    }

    /// Takes apart what a file holds. `path` is for messages and for [`AwsFile::without`].
    ///
    /// # Errors
    /// [`AwsFileError::Syntax`].
    pub fn parse(path: &Path, bytes: Zeroizing<Vec<u8>>) -> Result<Self, AwsFileError> {
        let wrong = |line: usize, what: String| AwsFileError::Syntax { path: path.to_owned(), line, what };
        let text = str::from_utf8(&bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            wrong(before.iter().filter(|b| **b == b'\n').count() + 1, "it is not UTF-8".to_owned())
        })?;
        let mut sections: Vec<Section> = Vec::new();
        // Which section and entry go on, and how far the entry's line was indented.
        let (mut current, mut open, mut indent): (Option<usize>, bool, usize) = (None, false, 0);
        for (number, (range, line)) in lines(text).enumerate() {
            let number = number + 1;
            let content = strip(line);
            let comment = content.starts_with(['#', ';']);
            let section = current.and_then(|at| sections.get_mut(at));
            if comment || content.is_empty() {
                // An empty line may stand inside a value that goes on.
                if let Some(entry) = section.filter(|_| open && !comment).and_then(|s| s.entries.last_mut()) {
                    entry.value.push('\n');
                }
                continue;
            }
            let indented = line.chars().take_while(|c| is_space(*c)).count();
            if let Some(entry) =
                section.and_then(|s| s.entries.last_mut()).filter(|_| open && indented > indent)
            {
                entry.value.push('\n');
                entry.value.push_str(content);
                entry.bytes.end = range.end;
                continue;
            }
            indent = indented;
            if let Some(name) = header(content) {
                let known = sections.iter().position(|section| section.name == name);
                if known.is_some() && name != INHERITED {
                    return Err(wrong(number, format!("there is a section [{name}] already")));
                }
                current = Some(known.unwrap_or(sections.len()));
                if known.is_none() {
                    sections.push(Section { name: name.to_owned(), begin: range.end, entries: Vec::new() });
                }
                open = false;
                continue;
            }
            let Some(section) = current.and_then(|at| sections.get_mut(at)) else {
                return Err(wrong(
                    number,
                    "the first section must begin before that, as in [default]".to_owned(),
                ));
            };
            let (name, value) = content.split_once(['=', ':']).unwrap_or_default();
            let name = strip(name).to_lowercase();
            if name.is_empty() {
                return Err(wrong(number, "it is neither [SECTION] nor NAME = VALUE".to_owned()));
            }
            if section.entry(&name).is_some() {
                return Err(wrong(number, format!("[{}] has {name} already", section.name)));
            }
            let value = Zeroizing::new(strip(value).to_owned());
            section.entries.push(Entry { name, value, line: number, bytes: range });
            open = true;
        }
        for entry in sections.iter_mut().flat_map(|section| &mut section.entries) {
            let end = entry.value.trim_end_matches(is_space).len();
            entry.value.truncate(end);
            let nested = entry.value.strip_prefix('\n').unwrap_or_default();
            if nested.lines().any(|line| !line.trim().is_empty() && !line.contains('=')) {
                return Err(wrong(
                    entry.line,
                    format!("what {} goes on with is not NAME = VALUE", entry.name),
                ));
            }
        }
        Ok(Self { path: path.to_owned(), other_names: false, bytes, sections })
    }

    /// Names of the sections, and of their entries with the values, in the file's order. `[DEFAULT]` is one of them.
    pub fn sections(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, &str)>)> {
        self.sections.iter().map(|section| {
            let entries = section.entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_str()));
            (section.name.as_str(), entries)
        })
    }

    /// The file without the lines of the access key that these sections have.
    ///
    /// # Errors
    /// [`AwsFileError::Syntax`] if the rest would be read as something else: then a line must not go.
    pub fn without(&self, sections: &[&str]) -> Result<Zeroizing<Vec<u8>>, AwsFileError> {
        let goes = |section: &Section, entry: &Entry| {
            sections.contains(&section.name.as_str())
                && [ACCESS_KEY_ID, SECRET_ACCESS_KEY].contains(&entry.name.as_str())
        };
        let mut gone: Vec<&Range<usize>> = Vec::new();
        for section in &self.sections {
            gone.extend(
                section.entries.iter().filter(|entry| goes(section, entry)).map(|entry| &entry.bytes),
            );
        }
        gone.sort_by_key(|range| range.start);
        let mut rest = Zeroizing::new(Vec::with_capacity(self.bytes.len()));
        let mut from = 0;
        for range in gone {
            rest.extend_from_slice(self.bytes.get(from..range.start).unwrap_or_default());
            from = range.end;
        }
        rest.extend_from_slice(self.bytes.get(from..).unwrap_or_default());
        let read = Self::parse(&self.path, rest)?;
        let kept = self.sections.iter().map(|section| {
            let entries = section.entries.iter().filter(|entry| !goes(section, entry));
            (&section.name, entries.map(|entry| (&entry.name, &*entry.value)).collect::<Vec<_>>())
        });
        let now = read.sections.iter().map(|section| {
            (
                &section.name,
                section.entries.iter().map(|entry| (&entry.name, &*entry.value)).collect::<Vec<_>>(),
            )
        });
        if !now.eq(kept) {
            let what = "what follows the access key would be read as something else without it".to_owned();
            return Err(AwsFileError::Syntax { path: self.path.clone(), line: 1, what });
        }
        Ok(read.bytes)
    }

    /// The file with these settings in a section, which is made at its end if it is not there: what a name stands for already
    /// is put in the place of its value, the rest goes behind the section's last line. Every other byte stays.
    ///
    /// # Errors
    /// [`AwsFileError::Syntax`] if it would be read as something else.
    pub fn with(&self, section: &str, settings: &[(&str, &str)]) -> Result<Zeroizing<Vec<u8>>, AwsFileError> {
        let text = str::from_utf8(&self.bytes).unwrap_or_default();
        let slice = |range: Range<usize>| text.get(range).unwrap_or_default();
        let line_end = match lines(text).next() {
            Some((_, line)) if line.ends_with("\r\n") => "\r\n",
            _ => "\n",
        };
        let there = self.sections.iter().find(|other| other.name == section);
        let mut edits: Vec<(Range<usize>, Zeroizing<String>)> = Vec::new();
        let mut new = Zeroizing::new(String::new());
        let last = there.and_then(|section| section.entries.iter().max_by_key(|entry| entry.bytes.end));
        let at =
            last.map(|entry| entry.bytes.end).or(there.map(|section| section.begin)).unwrap_or(text.len());
        // As the line before it, or it would go on with that one's value.
        let indent: &str = last.map_or("", |entry| {
            let line = slice(entry.bytes.clone());
            line.split(|c| !is_space(c)).next().unwrap_or_default()
        });
        if !slice(0..at).is_empty() && !slice(0..at).ends_with(['\n', '\r']) {
            new.push_str(line_end);
        }
        if there.is_none() {
            if !text.trim().is_empty() {
                new.push_str(line_end);
            }
            new.extend(["[", section, "]", line_end]);
        }
        for (name, value) in settings {
            match there.and_then(|section| section.entry(name)) {
                Some(entry) if entry.value.as_str() == *value => {}
                Some(entry) => {
                    let old = slice(entry.bytes.clone());
                    let behind = old.find(['=', ':']).map_or(old.len(), |at| at + 1);
                    let (head, rest) = old.split_at(behind);
                    let space: String = rest.chars().take_while(|c| [' ', '\t'].contains(c)).collect();
                    let end = old.trim_end_matches(['\r', '\n']).len();
                    let end = old.get(end..).unwrap_or_default();
                    edits.push((entry.bytes.clone(), Zeroizing::new([head, &space, value, end].concat())));
                }
                None => new.extend([indent, name, " = ", value, line_end]),
            }
        }
        if there.is_none() || new.ends_with(line_end) && new.as_str() != line_end {
            edits.push((at..at, new));
        }
        edits.sort_by_key(|(range, _)| range.start);
        let mut bytes = Zeroizing::new(Vec::with_capacity(
            text.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>(),
        ));
        let mut from = 0;
        for (range, text) in edits {
            bytes.extend_from_slice(slice(from..range.start).as_bytes());
            bytes.extend_from_slice(text.as_bytes());
            from = range.end;
        }
        bytes.extend_from_slice(slice(from..text.len()).as_bytes());
        let read = Self::parse(&self.path, bytes)?;
        let expected = |file: &Self, changed: bool| {
            let mut all: Vec<(String, Vec<Setting>)> = file
                .sections
                .iter()
                .map(|section| {
                    let entries = section.entries.iter();
                    let entries = entries.map(|entry| (entry.name.clone(), entry.value.clone())).collect();
                    (section.name.clone(), entries)
                })
                .collect();
            if changed && there.is_none() {
                all.push((section.to_owned(), Vec::new()));
            }
            for (_, entries) in all.iter_mut().filter(|(name, _)| changed && name == section) {
                for (name, value) in settings {
                    let value = Zeroizing::new((*value).to_owned());
                    match entries.iter_mut().find(|(other, _)| other == name) {
                        Some(entry) => entry.1 = value,
                        None => entries.push(((*name).to_owned(), value)),
                    }
                }
            }
            all
        };
        if expected(&read, false) != expected(self, true) {
            let what = format!("[{section}] would be read as something else with what is to be written");
            return Err(AwsFileError::Syntax { path: self.path.clone(), line: 1, what });
        }
        Ok(read.bytes)
    }

    /// What is in it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes `bytes` in the place of what was read: whole or not at all, with the mode and the owner that the file has, under
    /// `lock`.
    ///
    /// # Errors
    /// [`AwsFileError::Changed`] if the file is not what was read any more, [`AwsFileError::Io`], [`AwsFileError::Path`].
    pub fn replace(&self, bytes: &[u8], lock: &Path) -> Result<(), AwsFileError> {
        let path = &self.path;
        let _lock = Lock::acquire(lock)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".keyfob-")
            .tempfile_in(folder)
            .map_err(AwsFileError::io("write into", folder))?;
        let metadata = fs::metadata(path).map_err(AwsFileError::io("read", path))?;
        keep_owner(file.as_file(), &metadata).map_err(AwsFileError::io("keep the owner of", path))?;
        file.as_file()
            .set_permissions(metadata.permissions())
            .map_err(AwsFileError::io("keep the mode of", path))?;
        file.write_all(bytes).map_err(AwsFileError::io("write beside", path))?;
        file.as_file().sync_all().map_err(AwsFileError::io("write beside", path))?;
        // As late as can be: others know no lock.
        if *read(path)? != *self.bytes {
            return Err(AwsFileError::Changed(path.clone()));
        }
        file.persist(path).map_err(|error| AwsFileError::io("replace", path)(error.error))?;
        Ok(sync_folder(folder)?)
    }

    /// Whether the file had other names, by hard links, when it was read: they keep what it had.
    #[must_use]
    pub fn has_other_names(&self) -> bool {
        self.other_names
    }

    /// Where it is, links followed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, AwsFileError> {
    let failed = |error| AwsFileError::io("read", path)(error);
    let file = File::open(path).map_err(failed)?;
    // Of its final size at once: a vector that grows leaves its beginnings behind.
    let length = file.metadata().map_err(failed)?.len().min(MAX_FILE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 32));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB")));
    }
    Ok(bytes)
}

/// Gives a new file the owner and the group of the one that it takes the place of.
fn keep_owner(file: &File, of: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (of.uid(), of.gid()) {
            std::os::unix::fs::fchown(file, Some(of.uid()), Some(of.gid()))?;
        }
    }
    #[cfg(not(unix))]
    let _ = (file, of);
    Ok(())
}

/// The name in `[…]`, whatever stands behind the last bracket.
fn header(content: &str) -> Option<&str> {
    let (name, _) = content.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

/// The profile that a section of the config file is: `default`, `profile NAME`, `profile "A NAME"`.
fn profile_of(section: &str) -> Option<String> {
    if section == "default" {
        return Some(section.to_owned());
    }
    named_section("profile", section)
}

/// The name in a section's `KIND NAME`, as botocore takes it apart: by the words of a shell.
fn named_section(kind: &str, section: &str) -> Option<String> {
    let words = section.starts_with(kind).then(|| words(section))??;
    match words.as_slice() {
        [_, name] => Some(name.clone()),
        _ => None,
    }
}

/// One word, as [`words`] reads it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-/.%@:+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Words of a shell, without anything that it would expand; none if a quote stays open.
pub(crate) fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some('"'), '\\') => match chars.next()? {
                escaped @ ('"' | '\\') => word.get_or_insert_default().push(escaped),
                other => word.get_or_insert_default().extend(['\\', other]),
            },
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A section with what it inherits.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    which: Which,
    file: &'a AwsFile,
    section: &'a Section,
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// As it stands there; one that goes on has its lines, each behind a line feed.
    pub value: &'a str,
    /// The file.
    pub path: &'a Path,
    /// The line, from 1.
    pub line: usize,
}

impl<'a> Lines<'a> {
    /// Whether they are of the credentials file.
    #[must_use]
    pub fn of_credentials(&self) -> bool {
        self.which == Which::Credentials
    }

    /// What a name stands for: in the section itself, else in `[DEFAULT]`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Line<'a>> {
        self.entries().find(|(other, _)| *other == name).map(|(_, line)| line)
    }

    /// All of them with their names in lower case; of the same name the first holds.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Line<'a>)> + use<'a> {
        let (file, section) = (self.file, self.section);
        let inherited = file.sections.iter().find(|section| section.name == INHERITED);
        std::iter::once(section).chain(inherited).flat_map(|section| &section.entries).map(|entry| {
            let line = Line { value: entry.value.as_str(), path: &file.path, line: entry.line };
            (entry.name.as_str(), line)
        })
    }
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Credentials,
    Config,
}

/// A profile that has an access key, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The profile's name.
    pub profile: String,
    which: Which,
    section: String,
}

/// A long-term access key of a profile.
#[derive(Debug)]
pub struct AccessKey {
    /// `AKIA…`, as it stands there.
    pub id: String,
    /// The secret, as it stands there.
    pub secret: Secret,
    /// Where it is.
    pub place: Place,
    /// The lines of id and secret, from 1.
    pub lines: (usize, usize),
}

/// Name and value of a setting.
type Setting = (String, Zeroizing<String>);

/// The credentials file and the config file.
#[derive(Debug)]
pub struct AwsFiles {
    credentials: Option<AwsFile>,
    config: Option<AwsFile>,
    paths: Vec<PathBuf>,
}

impl AwsFiles {
    /// Reads the files that `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` name, or those in `~/.aws`. `env` reads an
    /// environment variable.
    ///
    /// # Errors
    /// [`AwsFileError::Io`], [`AwsFileError::Syntax`]; a missing file is none.
    pub fn open(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, AwsFileError> {
        let home = || {
            directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()).ok_or(AwsFileError::NoHome)
        };
        let path = |variable: &str, name: &str| match env(variable).filter(|path| !path.is_empty()) {
            Some(path) => match Path::new(&path).strip_prefix("~") {
                Ok(below) => Ok::<_, AwsFileError>(home()?.join(below)),
                Err(_) => Ok(PathBuf::from(path)),
            },
            None => Ok(home()?.join(".aws").join(name)),
        };
        let paths = [path("AWS_SHARED_CREDENTIALS_FILE", "credentials")?, path("AWS_CONFIG_FILE", "config")?];
        let [credentials, config] = &paths;
        Ok(Self {
            credentials: AwsFile::open(credentials)?,
            config: AwsFile::open(config)?,
            paths: paths.to_vec(),
        })
    }

    /// Both files, those of credentials first.
    fn files(&self) -> impl Iterator<Item = (Which, &AwsFile)> {
        let files = [(Which::Credentials, &self.credentials), (Which::Config, &self.config)];
        files.into_iter().filter_map(|(which, file)| Some((which, file.as_ref()?)))
    }

    /// All profiles with their sections. In the config file the last of several sections holds.
    fn profiles(&self) -> impl Iterator<Item = (Place, &AwsFile, &Section)> {
        self.files().flat_map(|(which, file)| {
            file.sections.iter().filter(|section| section.name != INHERITED).filter_map(move |section| {
                let profile = match which {
                    Which::Credentials => section.name.clone(),
                    Which::Config => profile_of(&section.name)?,
                };
                Some((Place { profile, which, section: section.name.clone() }, file, section))
            })
        })
    }

    fn file(&self, which: Which) -> Option<&AwsFile> {
        self.files().find(|(other, _)| *other == which).map(|(_, file)| file)
    }

    /// The file of a profile's access key.
    #[must_use]
    pub fn file_of(&self, place: &Place) -> Option<&AwsFile> {
        self.file(place.which)
    }

    fn named<'a>(&'a self, which: Which, profile: &str) -> Option<(Place, &'a AwsFile, &'a Section)> {
        self.profiles().filter(|(place, ..)| place.which == which && place.profile == profile).last()
    }

    /// A setting of a profile: from the config file, else from the credentials file.
    #[must_use]
    pub fn setting(&self, profile: &str, name: &str) -> Option<&str> {
        [Which::Config, Which::Credentials].into_iter().find_map(|which| {
            let (_, _, section) = self.named(which, profile)?;
            section.entry(name).map(|entry| entry.value.as_str()).filter(|value| !value.is_empty())
        })
    }

    /// The names of all profiles, in the files' order, those of the config file first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for which in [Which::Config, Which::Credentials] {
            for (place, ..) in self.profiles().filter(|(place, ..)| place.which == which) {
                if !names.contains(&place.profile) {
                    names.push(place.profile);
                }
            }
        }
        names
    }

    /// The config file, if there is one.
    #[must_use]
    pub fn config(&self) -> Option<&AwsFile> {
        self.config.as_ref()
    }

    /// These with another config file.
    #[must_use]
    pub fn with_config(self, config: AwsFile) -> Self {
        Self { config: Some(config), ..self }
    }

    /// The section of the config file in which a profile's settings are, or are to be.
    #[must_use]
    pub fn section_of(&self, profile: &str) -> String {
        match self.named(Which::Config, profile) {
            Some((place, ..)) => place.section,
            None if profile == "default" => profile.to_owned(),
            None => format!("profile {}", quoted(profile)),
        }
    }

    /// The files that were looked for, that of credentials first.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What a profile's sections say, that of the credentials file first, for it wins (botocore's `Session.full_config`).
    #[must_use]
    pub fn lines_of(&self, profile: &str) -> Vec<Lines<'_>> {
        [Which::Credentials, Which::Config]
            .into_iter()
            .filter_map(|which| self.named(which, profile))
            .map(|(place, file, section)| Lines { which: place.which, file, section })
            .collect()
    }

    /// What `[services NAME]` of the config file says.
    #[must_use]
    pub fn services(&self, name: &str) -> Option<Lines<'_>> {
        let file = self.config.as_ref()?;
        let mut sections = file.sections.iter().filter(|section| section.name != INHERITED);
        let section =
            sections.rfind(|section| named_section("services", &section.name).as_deref() == Some(name))?;
        Some(Lines { which: Which::Config, file, section })
    }

    /// The long-term access key of a profile, as AWS's tools find it: in the credentials file, else in the config file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn access_key(&self, profile: &str) -> Result<AccessKey, AwsFileError> {
        let sections =
            [Which::Credentials, Which::Config].into_iter().filter_map(|which| self.named(which, profile));
        let mut from = None;
        let mut seen = false;
        for (place, file, section) in sections {
            seen = true;
            from = from.or_else(|| SOURCES.into_iter().find(|source| section.entry(source).is_some()));
            let path = file.path.clone();
            let half = |entry: &Entry, has, lacks| AwsFileError::Half {
                path: path.clone(),
                line: entry.line,
                profile: profile.to_owned(),
                has,
                lacks,
            };
            let inherited = file.sections.iter().find(|section| section.name == INHERITED);
            match (section.entry(ACCESS_KEY_ID), section.entry(SECRET_ACCESS_KEY)) {
                (Some(id), Some(secret)) => {
                    let token = ["aws_session_token", "aws_security_token"];
                    if token.iter().any(|token| section.entry(token).is_some()) {
                        return Err(AwsFileError::Temporary(profile.to_owned()));
                    }
                    return Ok(AccessKey {
                        id: id.value.to_string(),
                        secret: Secret::new(secret.value.as_bytes().to_vec()),
                        place,
                        lines: (id.line, secret.line),
                    });
                }
                _ if inherited.is_some_and(|all| {
                    all.entry(ACCESS_KEY_ID).or(all.entry(SECRET_ACCESS_KEY)).is_some()
                }) =>
                {
                    return Err(AwsFileError::Inherited(path));
                }
                (Some(id), None) => return Err(half(id, "an access key id", "its secret")),
                // AWS's tools look on.
                (None, _) => {}
            }
        }
        let others = || {
            let mut names: Vec<_> = self
                .profiles()
                .filter(|(_, _, section)| {
                    section.entry(ACCESS_KEY_ID).is_some() && section.entry(SECRET_ACCESS_KEY).is_some()
                })
                .map(|(place, ..)| place.profile)
                .collect();
            names.dedup();
            names
        };
        let profile = profile.to_owned();
        Err(if seen {
            AwsFileError::NoKey { profile, from, others: others() }
        } else {
            AwsFileError::NoProfile { profile, files: self.paths.clone(), others: others() }
        })
    }

    /// Where else this access key is, with this secret.
    #[must_use]
    pub fn elsewhere(&self, key: &AccessKey) -> Vec<Place> {
        let is = |section: &Section, name: &str, value: &[u8]| {
            section.entry(name).is_some_and(|entry| entry.value.as_bytes() == value)
        };
        let has = |section: &Section| {
            is(section, ACCESS_KEY_ID, key.id.as_bytes())
                && is(section, SECRET_ACCESS_KEY, key.secret.expose())
        };
        self.profiles()
            .filter(|(place, _, section)| *place != key.place && has(section))
            .map(|(place, ..)| place)
            .collect()
    }

    /// Removes the lines of the access key from the sections of these places, file by file, and gives the files.
    ///
    /// # Errors
    /// As [`AwsFile::without`] and [`AwsFile::replace`]; the files that came before are written.
    pub fn remove(&self, places: &[Place], lock: &Path) -> Result<Vec<&AwsFile>, AwsFileError> {
        let mut edits = Vec::new();
        for (which, file) in self.files() {
            let here = places.iter().filter(|place| place.which == which);
            let sections: Vec<_> = here.map(|place| place.section.as_str()).collect();
            if !sections.is_empty() {
                edits.push((file, file.without(&sections)?));
            }
        }
        // All that can be wrong with the one is known before the other is written.
        edits.iter().try_for_each(|(file, bytes)| file.replace(bytes, lock))?;
        Ok(edits.into_iter().map(|(file, _)| file).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn parse(text: &str) -> Result<AwsFile, AwsFileError> {
        AwsFile::parse(Path::new("f"), Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// Both files; an empty one is not there.
    fn files(credentials: &str, config: &str) -> AwsFiles {
        let file = |text: &str| (!text.is_empty()).then(|| parse(text).unwrap());
        AwsFiles { credentials: file(credentials), config: file(config), paths: vec!["a".into(), "b".into()] }
    }

    #[test]
    fn lines_are_read_as_pythons_parser_reads_them() {
        type Sections<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];
        #[track_caller]
        fn check(text: &str, expected: Result<Sections<'_>, &str>) {
            let actual = parse(text).map_err(|error| error.to_string());
            let actual = actual.as_ref().map(|file| {
                let sections = file.sections().map(|(name, entries)| (name, entries.collect::<Vec<_>>()));
                sections.collect::<Vec<_>>()
            });
            let expected = expected.map(|sections| {
                sections.iter().map(|(name, entries)| (*name, entries.to_vec())).collect::<Vec<_>>()
            });
            match (actual, expected) {
                (Ok(actual), Ok(expected)) => assert_eq!(actual, expected, "{text:?}"),
                (Err(actual), Err(expected)) => assert!(actual.contains(expected), "{actual}"),
                (actual, expected) => panic!("{text:?}: {actual:?} is not {expected:?}"),
            }
        }
        check("", Ok(&[]));
        check(
            "# c\n\n[a]\nx=1\n  Y : 2 \r\nz\t=\t3=4\r[b] # c\n",
            Ok(&[("a", &[("x", "1\nY : 2"), ("z", "3=4")]), ("b", &[])]),
        );
        check(
            "[a]\n x = 1 # no comment\n ; a comment\n y = 2",
            Ok(&[("a", &[("x", "1 # no comment"), ("y", "2")])]),
        );
        check(
            "[a]\nx =\n  y = 1\n\n  z = 2\n\n[ b ]\nx=",
            Ok(&[("a", &[("x", "\ny = 1\n\nz = 2")]), (" b ", &[("x", "")])]),
        );
        check(
            "[DEFAULT]\nx=1\n[a]\n[DEFAULT]\ny=2",
            Ok(&[("DEFAULT", &[("x", "1"), ("y", "2")]), ("a", &[])]),
        );
        check("[a]\n[b]\n[a]", Err("f:3: there is a section [a] already"));
        check("[a]\nx=1\nX=2", Err("f:3: [a] has x already"));
        check("x=1", Err("f:1: the first section"));
        check("\u{feff}[a]", Err("f:1: the first section"));
        check("[a]\nhello", Err("f:2: it is neither"));
        check("[a]\n= 1", Err("f:2: it is neither"));
        check("[]", Err("f:1: the first section"));
        check("[a]\nx =\n  y", Err("f:2: what x goes on with"));
        let error = AwsFile::parse(Path::new("f"), Zeroizing::new(b"[a]\n\xff".to_vec())).unwrap_err();
        assert_eq!(error.to_string(), "f:2: it is not UTF-8");
    }

    #[test]
    fn only_the_access_key_goes() {
        #[track_caller]
        fn check(text: &str, sections: &[&str], expected: &str) {
            let rest = parse(text).unwrap().without(sections).unwrap();
            assert_eq!(str::from_utf8(&rest).unwrap(), expected);
        }
        check(
            "# mine\r\n[a]\r\nregion = x\r\nAWS_ACCESS_KEY_ID=1\r\n# between\r\n\
             aws_secret_access_key\t: 2 # 3\r\n\r\n[b]\r\naws_access_key_id=1",
            &["a"],
            "# mine\r\n[a]\r\nregion = x\r\n# between\r\n\r\n[b]\r\naws_access_key_id=1",
        );
        check("[a]\naws_access_key_id=1\naws_secret_access_key=2", &["a"], "[a]\n");
        check("[a]\naws_access_key_id=1\rz = 1\raws_secret_access_key=2\r\n", &["a"], "[a]\nz = 1\r");
        let both = "[a]\naws_access_key_id=1\n[b]\naws_access_key_id=1\n";
        check(both, &["b", "a"], "[a]\n[b]\n");
        check(both, &[], both);
    }

    #[test]
    fn settings_are_written_and_no_other_byte_changes() {
        #[track_caller]
        fn check(text: &str, settings: &[(&str, &str)], expected: Result<&str, &str>) {
            let bytes = parse(text).unwrap().with("a", settings).map_err(|error| error.to_string());
            let actual = bytes.as_ref().map(|bytes| str::from_utf8(bytes).unwrap());
            match (actual, expected) {
                (Err(actual), Err(expected)) => assert!(actual.contains(expected), "{actual}"),
                (actual, expected) => assert_eq!(actual.map_err(String::as_str), expected, "{text:?}"),
            }
        }
        let one = &[("x", "1")][..];
        check("", one, Ok("[a]\nx = 1\n"));
        check("# c\r\n", one, Ok("# c\r\n\r\n[a]\r\nx = 1\r\n"));
        check("[b]\ny = 2", one, Ok("[b]\ny = 2\n\n[a]\nx = 1\n"));
        check("[a]", one, Ok("[a]\nx = 1\n"));
        check("[a] # c\n# d\n[b]\n", one, Ok("[a] # c\nx = 1\n# d\n[b]\n"));
        check("[a]\n  y = 2\n  # c\n\n [b]\n", one, Ok("[a]\n  y = 2\n  x = 1\n  # c\n\n [b]\n"));
        check("[a]\ny =\n  z = 1\n\n[b]\n", one, Ok("[a]\ny =\n  z = 1\nx = 1\n\n[b]\n"));
        check("[a]\nX:  0 # c\r\ny=1\n", one, Ok("[a]\nX:  1\r\ny=1\n"));
        check("[a]\nx=\n  z = 1\ny=1", &[("x", "1"), ("w", "2")], Ok("[a]\nx=1\ny=1\nw = 2\n"));
        check("[a]\nx = 1\n#", one, Ok("[a]\nx = 1\n#"));
        check("[a]\nx = 1", one, Ok("[a]\nx = 1"));
        check("[a]\n", &[("x", "1\n[b]")], Err("would be read as something else"));
        check("[a]\n", &[("x", " 1")], Err("would be read as something else"));
    }

    #[test]
    fn an_access_key_is_found_as_tools_find_it() {
        #[track_caller]
        fn check(credentials: &str, config: &str, profile: &str, expected: Result<(&str, Which), &str>) {
            let key = format!("aws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n");
            let files = files(&credentials.replace("KEY\n", &key), &config.replace("KEY\n", &key));
            let found = files.access_key(profile);
            let found = found.as_ref().map_err(ToString::to_string).map(|key| {
                assert_eq!(key.secret.expose(), SECRET.as_bytes());
                (key.id.as_str(), key.place.which)
            });
            match (found, expected) {
                (Err(actual), Err(expected)) => assert!(actual.contains(expected), "{actual}"),
                (actual, expected) => assert_eq!(actual, expected.map_err(str::to_owned)),
            }
        }
        use Which::{Config, Credentials};
        check("[default]\nKEY\n", "", "default", Ok((ID, Credentials)));
        check("", "[default]\nKEY\n", "default", Ok((ID, Config)));
        check("", "[profile a]\nKEY\n", "a", Ok((ID, Config)));
        check("", "[profile \"a b\"]\nKEY\n", "a b", Ok((ID, Config)));
        check("[a]\nKEY\n", "[profile a]\naws_access_key_id=1\n", "a", Ok((ID, Credentials)));
        check("[a]\nregion=x\n", "[profile a]\nKEY\n", "a", Ok((ID, Config)));
        check("[b]\nKEY\n[c]\n", "[a]\nKEY\n", "a", Err("there is no profile \"a\" in a or b"));
        check("[profile a]\nKEY\n", "", "a", Err("no profile"));
        let process = "[profile a]\ncredential_process = x\n";
        check(
            "[a]\nregion=x\n",
            process,
            "a",
            Err("of its own: it has its credentials by credential_process"),
        );
        check("", "[profile a]\nsso_session = x\n", "a", Err("by sso_session"));
        check("[a]\n", "", "a", Err("has no access key"));
        check("[a]\nKEY\naws_session_token=x\n", "", "a", Err("temporary"));
        let half = format!("[a]\naws_access_key_id = {ID}\n");
        let says = "f:2: the profile \"a\" has an access key id without its secret";
        check(&half, "[profile a]\nKEY\n", "a", Err(says));
        check("[DEFAULT]\nKEY\n[a]\n", "", "a", Err("every profile inherits"));
        let some = files("[b]\naws_access_key_id=1\naws_secret_access_key=2\n[c]", "");
        assert_eq!(some.access_key("a").unwrap_err().candidates(), ["b"]);
    }

    #[test]
    fn the_same_key_elsewhere() {
        let key = format!("aws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n");
        let other = format!("aws_access_key_id = {ID}\naws_secret_access_key = other\n");
        let config = format!("[profile a]\n{key}endpoint_url = http://e\n");
        let files = files(&format!("[a]\n{key}[b]\n{key}[c]\n{other}"), &config);
        let found = files.access_key("a").unwrap();
        let elsewhere: Vec<_> = files.elsewhere(&found).into_iter().map(|p| (p.profile, p.which)).collect();
        assert_eq!(elsewhere, [("b".to_owned(), Which::Credentials), ("a".to_owned(), Which::Config)]);
        assert_eq!(files.setting("a", "endpoint_url"), Some("http://e"));
        assert_eq!(files.setting("b", "endpoint_url"), None);
    }

    #[test]
    fn quoted_profiles() {
        #[track_caller]
        fn check(section: &str, expected: Option<&str>) {
            assert_eq!(profile_of(section).as_deref(), expected, "{section}");
        }
        check("default", Some("default"));
        check("profile default", Some("default"));
        check("profile  a", Some("a"));
        check("profile 'a b'", Some("a b"));
        check(r#"profile "a \"b\" \c""#, Some(r#"a "b" \c"#));
        check(r"profile a\ b", Some("a b"));
        check("profile ''", Some(""));
        check("profile a b", None);
        check("profile 'a", None);
        check("profile", None);
        check("a", None);
        check("sso-session a", None);
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lock) = (folder.path().join("credentials"), folder.path().join("lock"));
        fs::write(&path, "[a]\naws_access_key_id=1\n").unwrap();
        #[cfg(unix)]
        let named = {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let link = folder.path().join("link");
            std::os::unix::fs::symlink("credentials", &link).unwrap();
            link
        };
        #[cfg(not(unix))]
        let named = path.clone();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let before = count();
        let file = AwsFile::open(&named).unwrap().unwrap();
        let rest = file.without(&["a"]).unwrap();
        fs::write(&path, "[a]\naws_access_key_id=2\n").unwrap();
        let error = file.replace(&rest, &lock).unwrap_err();
        assert!(matches!(error, AwsFileError::Changed(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[a]\naws_access_key_id=2\n");
        let file = AwsFile::open(&named).unwrap().unwrap();
        file.replace(&file.without(&["a"]).unwrap(), &lock).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[a]\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            assert!(fs::symlink_metadata(&named).unwrap().is_symlink());
        }
        assert_eq!(count(), before + 1, "the lock, and nothing else");
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "(\\[a\\]\\n)?([ \\t\\[\\]=:;#\\r\\na-cé\\u{1c}]|aws_access_key_id|DEFAULT){0,40}") {
            if let Ok(file) = parse(&text) {
                let names: Vec<_> = file.sections().map(|(name, _)| name).collect();
                let rest = file.without(&names).unwrap();
                let mut left = str::from_utf8(&rest).unwrap().chars();
                proptest::prop_assert!(left.all(|c| text.contains(c)) && rest.len() <= text.len());
            }
        }
    }

    #[test]
    fn what_is_no_file_is_none_and_what_is_too_large_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert!(AwsFile::open(&folder.path().join("none")).unwrap().is_none());
        let says = |path: &Path| AwsFile::open(path).unwrap_err().to_string();
        assert!(says(folder.path()).ends_with(": it is a folder"), "{}", says(folder.path()));
        #[cfg(unix)]
        {
            let socket = folder.path().join("socket");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            assert!(says(&socket).contains(": it is no file, but a pipe"), "{}", says(&socket));
            assert!(AwsFile::open(Path::new("/dev/null")).unwrap().is_none());
        }
        let path = folder.path().join("large");
        fs::write(&path, vec![b'#'; MAX_FILE as usize + 1]).unwrap();
        let error = AwsFile::open(&path).unwrap_err();
        assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
        let secret = parse(&format!("[a]\naws_secret_access_key = {SECRET}\n")).unwrap();
        assert!(!format!("{secret:?}").contains(SECRET));
    }
}
