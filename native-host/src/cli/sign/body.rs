//! A request's body: read once to be hashed, and again to be sent. What is long never lies in memory.
//!
//! A file is read in place; what can be read only once (a pipe) goes into a temporary file without a name, and only if it
//! must be sent. A file that changes between the two readings is noticed before its last byte is sent.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use keyfob_core::message::{ErrorCode, Failure};
use keyfob_core::sigv4::{CHUNK_END, ChunkEncoder};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::checksum::Checksum;
use crate::error::failure;
use crate::front;

/// What is no longer than this lies in memory, and is shown to whoever asks for the touch.
const SMALL: u64 = 64 * 1024;
/// How much is read at a time.
const BUFFER: usize = 256 * 1024;

/// Where a body comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// There is none.
    Nothing,
    /// The command line.
    Text(&'a str),
    /// A file, or a pipe that has a name.
    File(&'a Path),
    /// Standard input.
    Stdin,
}

/// What is to be done with a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// Its hash is wanted.
    pub(super) hash: bool,
    /// It will be sent.
    pub(super) send: bool,
}

/// A body that is there. What can be read only once is left alone until it is wanted.
pub(super) struct Found<'a> {
    source: Source<'a>,
    file: Option<File>,
}

impl Source<'_> {
    fn unread(self, error: &io::Error) -> Failure {
        let name = match self {
            Self::File(path) => path.display().to_string(),
            _ => "stdin".to_owned(),
        };
        let text = format!("cannot read the body from {name}: {error}");
        failure(ErrorCode::Io, text, "name a file that can be read, or - for stdin")
    }

    fn open(self) -> Result<File, Failure> {
        let file = match self {
            Self::File(path) => File::open(path),
            _ => front::unbuffered_stdin(),
        };
        let file = file.map_err(|error| self.unread(&error))?;
        if file.metadata().map_err(|error| self.unread(&error))?.is_dir() {
            return Err(self.unread(&io::ErrorKind::IsADirectory.into()));
        }
        Ok(file)
    }

    /// Whether there is nothing to be read again.
    pub(super) fn is_read_once(self) -> bool {
        match self {
            Self::Stdin => true,
            Self::File(path) => path.metadata().is_ok_and(|it| !it.is_file() && !it.is_dir()),
            Self::Text(_) | Self::Nothing => false,
        }
    }
}

impl<'a> Found<'a> {
    /// Finds it.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be read.
    pub(super) fn find(source: Source<'a>) -> Result<Self, Failure> {
        let open = matches!(source, Source::File(_)) && !source.is_read_once();
        Ok(Self { source, file: open.then(|| source.open()).transpose()? })
    }

    /// Bytes, where that is known before it is read.
    pub(super) fn len(&self) -> Option<u64> {
        match self.source {
            Source::Nothing => Some(0),
            Source::Text(text) => Some(text.len() as u64),
            _ => self.file.as_ref()?.metadata().ok().map(|metadata| metadata.len()),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be read, or not be kept.
    pub(super) fn read(self, what: Use) -> Result<Body, Failure> {
        let Self { source, file } = self;
        let unread = |error: io::Error| source.unread(&error);
        let mut file = match (source, file) {
            (Source::Nothing, _) => return Ok(Body::of_bytes(Vec::new())),
            (Source::Text(text), _) => return Ok(Body::of_bytes(text.as_bytes().to_vec())),
            (_, Some(file)) => file,
            (_, None) => source.open()?,
        };
        let metadata = file.metadata().map_err(unread)?;
        let start = if metadata.is_file() { file.stream_position().map_err(unread)? } else { 0 };
        let mut first = Zeroizing::new(Vec::with_capacity(SMALL as usize + 1));
        (&file).take(SMALL + 1).read_to_end(&mut first).map_err(unread)?;
        if first.len() as u64 <= SMALL {
            return Ok(Body::of_bytes(std::mem::take(&mut *first)));
        }
        if metadata.is_file() {
            let len = metadata.len().saturating_sub(start);
            let mut body = Body { content: Content::File(file, start), len, hash: None };
            if what.hash {
                let mut hash = Sha256::new();
                let read = each(&mut body.reader()?, |part| {
                    hash.update(part);
                    Ok(())
                });
                read.map_err(unread)?;
                body.hash = Some(hash.finalize().into());
            }
            return Ok(body);
        }
        let full = |error: io::Error| {
            let text = format!("cannot keep the body until it is sent: {error}");
            let hint = "make room in the folder of temporary files, let TMPDIR name another one, or give the body as a file";
            failure(ErrorCode::Io, text, hint)
        };
        let mut kept = if what.send { Some(tempfile::tempfile().map_err(full)?) } else { None };
        let (mut hash, mut len, mut unkept) = (Sha256::new(), 0, None);
        let copied = each(&mut first.as_slice().chain(&file), |part| {
            hash.update(part);
            len += part.len() as u64;
            let written = kept.as_mut().map_or(Ok(()), |kept| kept.write_all(part));
            written.map_err(|error| {
                let kind = error.kind();
                unkept = Some(error);
                kind.into()
            })
        });
        if let Some(error) = unkept {
            return Err(full(error));
        }
        copied.map_err(unread)?;
        let content = kept.map_or(Content::Gone, |kept| Content::File(kept, 0));
        Ok(Body { content, len, hash: Some(hash.finalize().into()) })
    }
}

/// A body that was read.
pub(super) struct Body {
    content: Content,
    /// Bytes.
    len: u64,
    hash: Option<[u8; 32]>,
}

enum Content {
    Bytes(Zeroizing<Vec<u8>>),
    /// From that position on.
    File(File, u64),
    /// It was hashed on its way.
    Gone,
}

impl Body {
    fn of_bytes(bytes: Vec<u8>) -> Self {
        let hash = Some(Sha256::digest(&bytes).into());
        Self { len: bytes.len() as u64, content: Content::Bytes(Zeroizing::new(bytes)), hash }
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Its SHA-256, if it was asked for.
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        self.hash
    }

    /// All of it, if it is small.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Reads it from its beginning.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be read again.
    pub(super) fn reader(&mut self) -> Result<Box<dyn Read + '_>, Failure> {
        let again = |error: io::Error| {
            failure(ErrorCode::Io, format!("cannot read the body again: {error}"), "give it as a file")
        };
        match &mut self.content {
            Content::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            Content::File(file, start) => {
                file.seek(SeekFrom::Start(*start)).map_err(again)?;
                Ok(Box::new(Same { file, left: self.len, hash: self.hash.map(|hash| (Sha256::new(), hash)) }))
            }
            Content::Gone => Err(again(io::ErrorKind::NotSeekable.into())),
        }
    }
}

/// Gives every part of what is read to `take`.
fn each(reader: &mut dyn Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = Zeroizing::new(vec![0; BUFFER]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => take(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file that is the same as when it was hashed: as long, and, before its last byte is given, of the same hash.
struct Same<'a> {
    file: &'a mut File,
    left: u64,
    hash: Option<(Sha256, [u8; 32])>,
}

impl Read for Same<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let changed = || {
            // Of this kind, the client says nothing of the connection.
            let text = "the file was changed while it was read: try again once nobody writes to it";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let read = self.file.read(buffer)?;
        if read == 0 {
            return Err(changed());
        }
        self.left = self.left.saturating_sub(read as u64);
        if let Some((hash, _)) = &mut self.hash {
            hash.update(buffer.get(..read).unwrap_or_default());
        }
        if self.left == 0
            && let Some((hash, expected)) = self.hash.take()
            && expected != <[u8; 32]>::from(hash.finalize())
        {
            return Err(changed());
        }
        Ok(read)
    }
}

/// A body as it is sent in chunks, signed or not, with a checksum behind it if that is wanted.
pub(super) struct Chunks<'a, 'k> {
    from: Box<dyn Read + 'a>,
    /// Bytes that are still to come, without the chunks' own.
    left: u64,
    chunk_len: u64,
    /// None after the end.
    encoder: Option<ChunkEncoder<'a, 'k>>,
    checksum: Option<(&'static str, Checksum)>,
    chunk: Vec<u8>,
    /// What is to be given next, and how much of it was.
    out: Vec<u8>,
    given: usize,
}

impl<'a, 'k> Chunks<'a, 'k> {
    /// `checksum` goes by the trailer's name.
    pub(super) fn new(
        from: Box<dyn Read + 'a>,
        len: u64,
        chunk_len: u64,
        encoder: ChunkEncoder<'a, 'k>,
        checksum: Option<(&'static str, Checksum)>,
    ) -> Self {
        let (chunk, out) = (Vec::new(), Vec::new());
        Self { from, left: len, chunk_len, encoder: Some(encoder), checksum, chunk, out, given: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        let wrong = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        self.out.clear();
        self.given = 0;
        if self.left == 0 {
            let Some(encoder) = self.encoder.take() else { return Ok(()) };
            let trailer = self.checksum.take().map(|(name, checksum)| (name, checksum.finish()));
            let trailer = trailer.as_ref().map(|(name, value)| (*name, value.as_str()));
            self.out = encoder.finish(trailer.as_slice()).map_err(wrong)?;
            return Ok(());
        }
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let len = self.left.min(self.chunk_len);
        self.chunk.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        self.from.read_exact(&mut self.chunk)?;
        self.left -= len;
        if let Some((_, checksum)) = &mut self.checksum {
            checksum.update(&self.chunk);
        }
        self.out.extend_from_slice(encoder.chunk(&self.chunk).map_err(wrong)?.as_bytes());
        self.out.extend_from_slice(&self.chunk);
        self.out.extend_from_slice(CHUNK_END);
        Ok(())
    }
}

impl Read for Chunks<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.out.len() {
            self.refill()?;
        }
        let rest = self.out.get(self.given..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..read), rest.get(..read)) {
            to.copy_from_slice(from);
        }
        self.given += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use keyfob_core::sigv4::{AmzDate, ChunkedBody, Chunking, DateKey, Signature};

    use super::super::checksum::Algorithm;
    use super::*;

    const ALL: Use = Use { hash: true, send: true };

    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    fn read(source: Source<'_>, what: Use) -> Result<Body, Failure> {
        Found::find(source)?.read(what)
    }

    fn text(result: Result<Body, Failure>) -> String {
        result.err().map(|failure| failure.message).unwrap_or_default()
    }

    #[test]
    fn bodies_are_hashed_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        #[track_caller]
        fn check(folder: &Path, len: usize, small: bool) {
            let content = data(len);
            let path = folder.join("body");
            std::fs::write(&path, &content).unwrap();
            let mut body = read(Source::File(&path), ALL).unwrap();
            assert_eq!((body.len(), body.bytes().is_some()), (len as u64, small), "{len}");
            assert_eq!(body.hash(), Some(Sha256::digest(&content).into()), "{len}");
            // As often as it is wanted.
            for _ in 0..2 {
                let mut again = Vec::new();
                body.reader().unwrap().read_to_end(&mut again).unwrap();
                assert!(again == content, "{len}");
            }
        }
        check(folder.path(), 0, true);
        check(folder.path(), 65_536, true);
        check(folder.path(), 65_537, false);
        check(folder.path(), 1_000_000, false);
    }

    #[test]
    fn what_is_no_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| text(read(Source::File(path), ALL));
        assert!(said(folder.path()).contains("cannot read the body from"), "{}", said(folder.path()));
        assert!(said(&folder.path().join("none")).contains("none: "));
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        #[track_caller]
        fn check(path: &Path, what: Use, change: impl FnOnce(&mut Vec<u8>), expected: Option<&str>) {
            let mut content = data(300_000);
            std::fs::write(path, &content).unwrap();
            let mut body = read(Source::File(path), what).unwrap();
            change(&mut content);
            std::fs::write(path, &content).unwrap();
            let mut sent = Vec::new();
            let result = body.reader().unwrap().read_to_end(&mut sent);
            let said = result.err().map(|error| error.to_string());
            assert_eq!(said.is_some(), expected.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()));
            // The end is held back.
            assert_eq!(sent.len() < 300_000, expected.is_some());
        }
        let changed = Some("was changed");
        check(&path, ALL, |_| (), None);
        check(&path, ALL, |content| content[0] ^= 1, changed);
        check(&path, ALL, |content| content[299_999] ^= 1, changed);
        check(&path, ALL, |content| content.truncate(299_999), changed);
        // What was signed is still there.
        check(&path, ALL, |content| content.push(1), None);
        let unsigned = Use { hash: false, send: true };
        check(&path, unsigned, |content| content[0] ^= 1, None);
        check(&path, unsigned, |content| content.truncate(299_999), changed);
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_kept_only_to_be_sent() {
        let content = data(200_000);
        let check = |what: Use, again: bool| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            let (to, bytes) = (path.clone(), content.clone());
            let writer = std::thread::spawn(move || std::fs::write(to, bytes));
            let mut body = read(Source::File(&path), what).unwrap();
            writer.join().unwrap().unwrap();
            assert_eq!((body.len(), body.hash()), (200_000, Some(Sha256::digest(&content).into())));
            let mut sent = Vec::new();
            let read = body.reader().map(|mut reader| reader.read_to_end(&mut sent).unwrap());
            assert_eq!((read.is_ok(), sent == content), (again, again));
        };
        check(ALL, true);
        check(Use { hash: true, send: false }, false);
    }

    #[test]
    fn chunks_are_as_long_as_they_are_said_to_be() {
        #[track_caller]
        fn check(len: usize, checksum: Option<Algorithm>, chunking: Chunking) {
            let content = data(len);
            let date = AmzDate::parse("20130524T000000Z").unwrap();
            let key = DateKey::from_secret(b"secret", date).signing_key("us-east-1", "s3").unwrap();
            let announced = checksum.map(|it| (it.header(), it.encoded_len()));
            let shape = ChunkedBody::new(chunking, len as u64, 8192, announced.as_slice()).unwrap();
            let expected = shape.content_length();
            let signature = Signature::from_bytes([0; 32]);
            let mut by_hand = Vec::new();
            let mut encoder = shape.clone().encoder(date, &key, &signature);
            for chunk in content.chunks(8192) {
                by_hand.extend_from_slice(encoder.chunk(chunk).unwrap().as_bytes());
                by_hand.extend_from_slice(chunk);
                by_hand.extend_from_slice(CHUNK_END);
            }
            let value = checksum.map(|it| {
                let mut sum = Checksum::new(it);
                sum.update(&content);
                (it.header(), sum.finish())
            });
            let value = value.as_ref().map(|(name, value)| (*name, value.as_str()));
            by_hand.extend_from_slice(&encoder.finish(value.as_slice()).unwrap());
            let mut chunks = Chunks::new(
                Box::new(content.as_slice()),
                len as u64,
                8192,
                shape.encoder(date, &key, &signature),
                checksum.map(|it| (it.header(), Checksum::new(it))),
            );
            let mut sent = Vec::new();
            chunks.read_to_end(&mut sent).unwrap();
            assert_eq!(sent.len() as u64, expected, "{len}");
            assert!(sent == by_hand, "{len}");
        }
        for len in [0, 1, 8191, 8192, 8193, 100_000] {
            check(len, None, Chunking::Signed);
            check(len, Some(Algorithm::Crc32), Chunking::SignedTrailer);
            check(len, Some(Algorithm::Sha256), Chunking::UnsignedTrailer);
        }
    }
}
