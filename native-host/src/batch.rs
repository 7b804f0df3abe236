//! Many lines in, many links out: in the order that they came, on all cores, in bounded memory.
//!
//! ```text
//!           block k ─► worker k mod n ─ pieces ─►
//!  source ─ block k+1 ► worker k+1 mod n ────────► writer, who takes from the workers in the same order
//!           …        ◄─ buffers, to be used again ─
//! ```
//!
//! A block is whole lines: what one read gave, so that slow input is answered as it comes. Every channel is short, so that whoever
//! is ahead waits. Output goes out in whole records, and where it cannot, what is there of the last is taken back, if it can be.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use keyfob_core::message::{ErrorCode, Failure};

use crate::error::failure;

/// Longest line in bytes: a key has 1,024, and the rest is room for what JSON says besides.
pub const MAX_LINE: usize = 64 * 1024;
/// Bytes of a block: more than a line may have.
const BLOCK: usize = 2 * MAX_LINE;
/// Bytes of output after which a piece goes to the writer; one more record fits.
const PIECE: usize = 192 * 1024;
/// Pieces of a worker that wait for the writer.
const WAITING: usize = 2;
/// More workers than this are ahead of any writer.
const MAX_WORKERS: usize = 16;
/// How often the writer looks up when nothing comes.
const LOOK_UP: Duration = Duration::from_millis(100);

/// One of what is to be done.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A line as it was read, without its end.
    Line(&'a [u8]),
    /// An object's key.
    Key(&'a str),
}

/// What came of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A record was written, of a link that works until then: Unix time in seconds.
    Link {
        /// Unix time in seconds.
        until: u64,
        /// Whether programs change its path before they ask ([`keyfob_core::s3::has_dot_segments`]).
        dots: bool,
    },
    /// There was nothing to do.
    Nothing,
}

/// What a worker does. Each worker has its own.
pub trait Work: Send {
    /// Appends the record of an item to `out`. `number` is its number, from 1.
    ///
    /// # Errors
    /// Why there is none; what was appended is taken back.
    fn make(&mut self, number: u64, item: Item<'_>, out: &mut Vec<u8>) -> Result<Made, String>;

    /// Appends a record of why there is none, where such records belong to the output.
    fn put_bad(&mut self, number: u64, why: &str, out: &mut Vec<u8>);
}

/// Items that go through one worker together.
enum Block {
    /// Whole lines: of the buffer so many bytes.
    Lines {
        buffer: Vec<u8>,
        filled: usize,
        separator: u8,
    },
    Keys(Vec<String>),
}

/// A count of items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that became a link.
    pub links: u64,
    /// Those that could not.
    pub bad: u64,
    /// Empty lines.
    pub empty: u64,
    /// Links whose paths programs change before they ask.
    pub dots: u64,
    /// When the first of the links ends, and the last: Unix time in seconds.
    pub until: Option<(u64, u64)>,
}

impl Tally {
    /// All items.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.links + self.bad + self.empty
    }

    fn link(&mut self, until: u64, dots: bool) {
        self.links += 1;
        self.dots += u64::from(dots);
        self.until =
            Some(self.until.map_or((until, until), |(first, last)| (first.min(until), last.max(until))));
    }

    fn add(&mut self, other: &Self) {
        self.links += other.links;
        self.bad += other.bad;
        self.empty += other.empty;
        self.dots += other.dots;
        self.until = match (self.until, other.until) {
            (Some((first, last)), Some((a, b))) => Some((first.min(a), last.max(b))),
            (until, None) | (None, until) => until,
        };
    }
}

/// What a worker has made of a block, or of a part of it.
#[derive(Default)]
struct Piece {
    out: Vec<u8>,
    /// Where each record ends in `out`, the number of its item, and whether it is a link's.
    ends: Vec<(usize, u64, bool)>,
    bad: Vec<(u64, String)>,
    tally: Tally,
    /// Nothing more comes of this block.
    last: bool,
    /// Nothing more is wanted at all.
    stop: bool,
}

impl Piece {
    fn clear(&mut self) {
        self.out.clear();
        self.ends.clear();
        self.bad.clear();
        self.tally = Tally::default();
        (self.last, self.stop) = (false, false);
    }
}

/// What the writer tells.
#[derive(Debug)]
pub enum Event<'a> {
    /// An item was bad.
    Bad(u64, &'a str),
    /// So far; ten times a second, or more often.
    SoFar(&'a Tally),
}

/// How a batch came to its end.
#[derive(Debug)]
pub enum End {
    /// All that there was is done.
    Done,
    /// At a bad item, as it was to.
    Bad {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It was told to stop. Records are written up to this item's.
    Stopped(u64),
    /// Whoever reads the output is gone.
    Closed,
    /// The output cannot be written.
    Unwritten {
        /// Why.
        error: io::Error,
        /// The last item whose record is written.
        number: u64,
    },
    /// The items ended before their time.
    Broken(Failure),
}

/// What a batch is to do.
pub struct Batch {
    /// Where the records go; nothing else writes there meanwhile.
    pub out: File,
    /// What stands before all of them.
    pub head: &'static str,
    /// Whether the first bad item ends it.
    pub strict: bool,
    /// Becomes true when it is to stop.
    pub stop: Arc<AtomicBool>,
}

/// How many workers are worth it here.
#[must_use]
pub fn workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS))
}

/// Where a source puts what it has.
pub struct Feed {
    workers: Vec<SyncSender<(u64, Block)>>,
    next: usize,
    /// The next item's number.
    number: u64,
    spare: Receiver<Vec<u8>>,
}

/// Nobody wants more.
struct Gone;

impl Feed {
    fn send(&mut self, block: Block, items: u64) -> Result<(), Gone> {
        let worker = self.workers.get(self.next).ok_or(Gone)?;
        worker.send((self.number, block)).map_err(|_| Gone)?;
        self.next = (self.next + 1) % self.workers.len();
        self.number += items;
        Ok(())
    }

    fn buffer(&self) -> Vec<u8> {
        self.spare.try_recv().unwrap_or_else(|_| vec![0; BLOCK])
    }

    /// Keys, each an item. False: nobody wants more.
    pub fn keys(&mut self, keys: Vec<String>) -> bool {
        let count = keys.len() as u64;
        keys.is_empty() || self.send(Block::Keys(keys), count).is_ok()
    }

    /// All lines of `input`, up to its end, or until nobody wants more. What follows the last separator is a line if it
    /// is anything.
    ///
    /// # Errors
    /// [`ErrorCode::Io`] if it cannot be read.
    pub fn lines(&mut self, mut input: impl Read, separator: u8) -> Result<(), Failure> {
        let (mut buffer, mut filled) = (self.buffer(), 0);
        // In a line that is too long, whose beginning was sent off to be complained of.
        let mut skipping = false;
        loop {
            let read = match input.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(failure(ErrorCode::Io, format!("cannot read stdin: {error}"), ""));
                }
            };
            if read == 0 {
                if filled > 0 {
                    let _ = self.send(Block::Lines { buffer, filled, separator }, 1);
                }
                return Ok(());
            }
            let mut new = buffer.get(filled..filled + read).unwrap_or_default();
            if skipping {
                let Some(at) = new.iter().position(|byte| *byte == separator) else { continue };
                skipping = false;
                let rest = at + 1..read;
                new = new.get(rest.clone()).unwrap_or_default();
                let left = new.len();
                buffer.copy_within(rest, 0);
                filled = left;
            } else {
                filled += read;
            }
            let all = buffer.get(..filled).unwrap_or_default();
            if let Some(end) = all.iter().rposition(|byte| *byte == separator) {
                let (lines, rest) = all.split_at(end + 1);
                let mut next = self.buffer();
                if let Some(to) = next.get_mut(..rest.len()) {
                    to.copy_from_slice(rest);
                }
                let left = rest.len();
                let items = lines.iter().filter(|byte| **byte == separator).count() as u64;
                let block =
                    Block::Lines { buffer: mem::replace(&mut buffer, next), filled: end + 1, separator };
                filled = left;
                if self.send(block, items).is_err() {
                    return Ok(());
                }
            }
            if filled > MAX_LINE {
                let next = self.buffer();
                let block = Block::Lines { buffer: mem::replace(&mut buffer, next), filled, separator };
                (filled, skipping) = (0, true);
                if self.send(block, 1).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// What a worker has in its hands.
struct Worker<W> {
    work: W,
    strict: bool,
    piece: Piece,
    pieces: SyncSender<Piece>,
    emptied: Receiver<Piece>,
}

impl<W: Work> Worker<W> {
    fn run(mut self, blocks: &Receiver<(u64, Block)>, spare: &Sender<Vec<u8>>) -> Result<(), Gone> {
        for (first, block) in blocks {
            let mut number = first;
            match block {
                Block::Lines { buffer, filled, separator } => {
                    let lines = buffer.get(..filled).unwrap_or_default();
                    let lines = lines.strip_suffix(&[separator]).unwrap_or(lines);
                    for line in lines.split(|byte| *byte == separator) {
                        self.item(number, Item::Line(line))?;
                        number += 1;
                    }
                    // Who makes them may be gone.
                    let _ = spare.send(buffer);
                }
                Block::Keys(keys) => {
                    for key in &keys {
                        self.item(number, Item::Key(key))?;
                        number += 1;
                    }
                }
            }
            self.piece.last = true;
            self.send()?;
        }
        Ok(())
    }

    fn item(&mut self, number: u64, item: Item<'_>) -> Result<(), Gone> {
        let piece = &mut self.piece;
        let start = piece.out.len();
        match self.work.make(number, item, &mut piece.out) {
            Ok(Made::Link { until, dots }) => {
                piece.ends.push((piece.out.len(), number, true));
                piece.tally.link(until, dots);
            }
            Ok(Made::Nothing) => piece.tally.empty += 1,
            Err(why) => {
                piece.out.truncate(start);
                self.work.put_bad(number, &why, &mut piece.out);
                if piece.out.len() > start {
                    piece.ends.push((piece.out.len(), number, false));
                }
                piece.tally.bad += 1;
                piece.bad.push((number, why));
                piece.stop = self.strict;
            }
        }
        if piece.stop {
            self.send()?;
            return Err(Gone);
        }
        if piece.out.len() >= PIECE || piece.bad.len() >= 256 {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Gone> {
        let next = self.emptied.try_recv().unwrap_or_default();
        self.pieces.send(mem::replace(&mut self.piece, next)).map_err(|_| Gone)
    }
}

impl Batch {
    /// Runs it: `source` feeds as many workers as there are `works`. `events` is told what happens meanwhile.
    ///
    /// Where it ends early, the source may be left waiting for input in its thread.
    pub fn run<W: Work + 'static>(
        mut self,
        works: Vec<W>,
        source: impl FnOnce(&mut Feed) -> Result<(), Failure> + Send + 'static,
        events: &mut dyn FnMut(Event<'_>),
    ) -> (Tally, End) {
        let mut tally = Tally::default();
        let (spare, spares) = channel();
        let (mut blocks, mut workers, mut threads) = (Vec::new(), Vec::new(), Vec::new());
        for work in works {
            let (block, its_blocks) = sync_channel(1);
            let (pieces, its_pieces) = sync_channel(WAITING);
            let (empty, emptied) = channel();
            let worker = Worker { work, strict: self.strict, piece: Piece::default(), pieces, emptied };
            let spare = spare.clone();
            threads.push(thread::spawn(move || drop(worker.run(&its_blocks, &spare))));
            blocks.push(block);
            workers.push((its_pieces, empty));
        }
        let (result, results) = channel();
        let mut feed = Feed { workers: blocks, next: 0, number: 1, spare: spares };
        thread::spawn(move || {
            let ended = source(&mut feed);
            let _ = result.send(ended);
        });

        widen(&self.out);
        let end = match self.out.write_all(self.head.as_bytes()) {
            Ok(()) => self.write(&workers, &mut tally, events),
            Err(error) => Some(unwritten(error, 0)),
        };
        // Whoever still has something to hand on gives up.
        drop(workers);
        let end = end.unwrap_or_else(|| match results.recv() {
            Ok(Err(failure)) => End::Broken(failure),
            // It ended, or there was no worker left to feed, and then its panic has been seen.
            _ => End::Done,
        });
        if matches!(end, End::Done | End::Broken(_)) {
            // Their keys are erased with them.
            let broken: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().err()).collect();
            if !broken.is_empty() {
                let text = "a part of the batch broke down: not all of it is written";
                return (tally, End::Broken(failure(ErrorCode::Internal, text, "please report this")));
            }
        }
        (tally, end)
    }

    /// None: there is nothing more to write.
    fn write(
        &mut self,
        workers: &[(Receiver<Piece>, Sender<Piece>)],
        tally: &mut Tally,
        events: &mut dyn FnMut(Event<'_>),
    ) -> Option<End> {
        let mut number = 0;
        for (pieces, empty) in workers.iter().cycle() {
            loop {
                let mut piece = match pieces.recv_timeout(LOOK_UP) {
                    Ok(piece) => piece,
                    Err(RecvTimeoutError::Timeout) if self.stop.load(Ordering::Relaxed) => {
                        return Some(End::Stopped(number));
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        events(Event::SoFar(tally));
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return None,
                };
                if let Err((written, error)) = self.put(&piece) {
                    let done = piece.ends.iter().take_while(|(end, ..)| *end <= written);
                    for (_, item, is_link) in done {
                        number = *item;
                        tally.links += u64::from(*is_link);
                    }
                    return Some(error.map_or(End::Stopped(number), |error| unwritten(error, number)));
                }
                tally.add(&piece.tally);
                number = tally.items();
                // The one that ends it is told at the end.
                if let Some((number, why)) = piece.bad.pop_if(|_| piece.stop) {
                    return Some(End::Bad { number, why });
                }
                for (number, why) in &piece.bad {
                    events(Event::Bad(*number, why));
                }
                events(Event::SoFar(tally));
                let last = piece.last;
                piece.clear();
                // The worker may have no use for it any more.
                let _ = empty.send(piece);
                if last {
                    break;
                }
            }
        }
        None
    }

    /// Writes a piece. An error says how many bytes of whole records are written, and is none if it is to stop.
    fn put(&mut self, piece: &Piece) -> Result<(), (usize, Option<io::Error>)> {
        let bytes = piece.out.as_slice();
        let mut at = 0;
        while at < bytes.len() {
            // The record that is begun is finished, and no other.
            let mut to = bytes.len();
            if self.stop.load(Ordering::Relaxed) {
                let begun = piece.ends.partition_point(|(end, ..)| *end < at);
                to = piece.ends.get(begun).map_or(to, |(end, ..)| *end);
                if at == 0 || to == at {
                    return Err((at, None));
                }
            }
            let error = match self.out.write(bytes.get(at..to).unwrap_or_default()) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    at += written;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let whole = piece.ends.partition_point(|(end, ..)| *end <= at);
            let whole = whole.checked_sub(1).and_then(|i| piece.ends.get(i)).map_or(0, |(end, ..)| *end);
            self.take_back((at - whole) as u64);
            return Err((whole, Some(error)));
        }
        Ok(())
    }

    /// Takes the last bytes back, if the output is a file that ends here. From where else they went they cannot be had back.
    fn take_back(&mut self, bytes: u64) {
        let cut = |out: &mut File| -> io::Result<()> {
            let (data, at) = (out.metadata()?, out.stream_position()?);
            if data.is_file() && data.len() == at {
                out.set_len(at.saturating_sub(bytes))?;
                out.seek(io::SeekFrom::End(0))?;
            }
            Ok(())
        };
        if bytes > 0 {
            // What is worse than a line that is cut off is told anyway.
            let _ = cut(&mut self.out);
        }
    }
}

/// Makes room for a piece in a pipe, if it is one: what is narrower has writer and reader wait for each other in turns.
fn widen(out: &File) {
    #[cfg(target_os = "linux")]
    {
        use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
        const ROOM: usize = 256 * 1024;
        if fcntl_getpipe_size(out).is_ok_and(|room| room < ROOM) {
            // The system may allow no more.
            let _ = fcntl_setpipe_size(out, ROOM);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = out;
}

fn unwritten(error: io::Error, number: u64) -> End {
    if error.kind() == io::ErrorKind::BrokenPipe { End::Closed } else { End::Unwritten { error, number } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeats a line; `bad` is bad.
    struct Echo;

    impl Work for Echo {
        fn make(&mut self, number: u64, item: Item<'_>, out: &mut Vec<u8>) -> Result<Made, String> {
            let line = match item {
                Item::Line(line) => line,
                Item::Key(key) => key.as_bytes(),
            };
            if line.is_empty() {
                return Ok(Made::Nothing);
            }
            write!(out, "{number} {} ", line.len()).unwrap();
            if line.len() > MAX_LINE {
                return Err("too long".to_owned());
            }
            out.extend_from_slice(line);
            if line == b"bad" {
                return Err(format!("{number} is bad"));
            }
            out.push(b'\n');
            Ok(Made::Link { until: number, dots: line.starts_with(b"..") })
        }
        fn put_bad(&mut self, _: u64, _: &str, _: &mut Vec<u8>) {}
    }

    /// Input that comes in pieces of these sizes, over and over.
    struct InPieces<'a>(&'a [u8], &'a [usize], usize);

    impl Read for InPieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1[self.2 % self.1.len()].min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(size);
            buffer[..size].copy_from_slice(now);
            (self.0, self.2) = (later, self.2 + 1);
            Ok(size)
        }
    }

    fn batch(strict: bool) -> (Batch, File) {
        let out = tempfile::tempfile().unwrap();
        let same = out.try_clone().unwrap();
        (Batch { out, head: "head\n", strict, stop: Arc::default() }, same)
    }

    fn written(mut out: File) -> String {
        out.rewind().unwrap();
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn lines_are_whole_and_in_order_however_they_come() {
        #[track_caller]
        fn check(input: &[u8], sizes: &[usize], workers: usize) {
            let mut expected = "head\n".to_owned();
            let mut tally = Tally::default();
            let mut bad = Vec::new();
            let mut lines: Vec<_> = input.split(|byte| *byte == b'\n').collect();
            assert_eq!(lines.pop(), Some(&b""[..]), "the input of this test ends a line");
            for (number, line) in (1..).zip(lines) {
                if line.is_empty() {
                    tally.empty += 1;
                } else if line.len() > MAX_LINE || line == b"bad" {
                    tally.bad += 1;
                    bad.push(number);
                } else {
                    tally.link(number, line.starts_with(b".."));
                    expected += &format!("{number} {} {}\n", line.len(), String::from_utf8_lossy(line));
                }
            }
            // With its last end and without.
            for end in [0, 1] {
                let given = input[..input.len().saturating_sub(end)].to_vec();
                if end == 1 && given.last().is_none_or(|byte| *byte == b'\n') {
                    continue;
                }
                let sizes = sizes.to_vec();
                let (batch, out) = batch(false);
                let works = (0..workers).map(|_| Echo).collect();
                let mut told = Vec::new();
                let source = move |feed: &mut Feed| feed.lines(InPieces(&given, &sizes, 0), b'\n');
                let (actual, end) = batch.run(works, source, &mut |event| {
                    if let Event::Bad(number, _) = event {
                        told.push(number);
                    }
                });
                assert!(matches!(end, End::Done), "{end:?}");
                assert_eq!((actual, &told), (tally, &bad));
                assert!(written(out) == expected);
            }
        }
        check(b"", &[1], 2);
        check(b"\n\n\n", &[1], 2);
        check(b"a\nb\n\nbad\nc\n", &[1], 3);
        check(b"..\nb\n..\n..a\nbad\n", &[4], 2);
        check(b"a\nb\n\nbad\nc\n", &[2, 3], 1);
        let many: String = (0..20_000).map(|i| format!("{}{i}\n", "x".repeat(i % 90))).collect();
        check(many.as_bytes(), &[usize::MAX], 1);
        check(many.as_bytes(), &[7, 4096, 1, 65_536], 2);
        check(many.as_bytes(), &[BLOCK, 1], 5);
        for long in [MAX_LINE, MAX_LINE + 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK] {
            let line = vec![b'l'; long];
            for around in [&b""[..], b"a\n", b"\n", b"bad\nb\n"] {
                let input = [around, &line, b"\n", around, &line, b"\nlast\n"].concat();
                check(&input, &[usize::MAX], 2);
                check(&input, &[1000, 65_537], 3);
                check(&input, &[BLOCK - 1, 1], 2);
            }
        }
    }

    #[test]
    fn keys_are_items_too() {
        let (batch, out) = batch(false);
        let pages =
            [vec!["a\nb".to_owned(), "c".to_owned()], Vec::new(), vec!["bad".to_owned(), "d".to_owned()]];
        let source = move |feed: &mut Feed| {
            assert!(pages.map(|page| feed.keys(page)).iter().all(|more| *more));
            Err(failure(ErrorCode::Io, "gone", ""))
        };
        let (tally, end) = batch.run(vec![Echo, Echo], source, &mut |_| ());
        assert!(matches!(end, End::Broken(failure) if failure.message == "gone"));
        assert_eq!((tally.links, tally.bad, tally.until), (3, 1, Some((1, 4))));
        assert_eq!(written(out), "head\n1 3 a\nb\n2 1 c\n4 1 d\n");
    }

    #[test]
    fn the_first_bad_line_ends_a_strict_batch() {
        for workers in [1, 2, 3] {
            let (batch, out) = batch(true);
            let source = |feed: &mut Feed| feed.lines(&b"a\nb\nbad\nc\nbad\n"[..], b'\n');
            let works = (0..workers).map(|_| Echo).collect();
            let (tally, end) =
                batch.run(works, source, &mut |event| assert!(!matches!(event, Event::Bad(..))));
            assert!(matches!(&end, End::Bad { number: 3, why } if why == "3 is bad"), "{end:?}");
            assert_eq!((tally.links, written(out).as_str()), (2, "head\n1 1 a\n2 1 b\n"));
        }
    }

    #[test]
    fn a_worker_that_breaks_down_is_no_end() {
        struct Broken;
        impl Work for Broken {
            fn make(&mut self, _: u64, _: Item<'_>, _: &mut Vec<u8>) -> Result<Made, String> {
                panic!("of this test");
            }
            fn put_bad(&mut self, _: u64, _: &str, _: &mut Vec<u8>) {}
        }
        let (batch, _out) = batch(false);
        let (_, end) = batch.run(vec![Broken], |feed| feed.lines(&b"a\n"[..], b'\n'), &mut |_| ());
        assert!(matches!(&end, End::Broken(failure) if failure.code == ErrorCode::Internal), "{end:?}");
    }
}
