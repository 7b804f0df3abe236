//! Native messaging: any bytes on the standard input. Each message gets its own reply, and the replies are frames.

#![no_main]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use keyfob::native_messaging::{End, serve};
use keyfob_core::message::{Answer, Event, Reply};
use libfuzzer_sys::fuzz_target;

/// Largest reply that a browser takes, in bytes.
const MAX_REPLY: usize = 1 << 20;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let output = Output::default();
    let end = serve(bytes, output.clone(), |request, report| {
        let written = format!("{:?}", request.op);
        // Half of the requests report something first.
        if written.len() % 2 == 0 {
            report(Event::TouchRequired { prompt: written.clone() });
        }
        Ok(Answer::Written { written, replaced: false })
    });
    assert!(!matches!(end, End::Panicked | End::Io(_)), "{end:?}");

    let output = output.0.lock().expect("no panic").clone();
    let mut rest = &output[..];
    let mut answers = 0;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_ne_bytes(*length) as usize;
        assert!((1..=MAX_REPLY).contains(&length), "a frame of {length} bytes");
        let (message, after) = after.split_at(length);
        rest = after;
        let id = match serde_json::from_slice(message).expect("a reply") {
            Reply::Done { id, .. } | Reply::Failed { id, .. } => {
                answers += 1;
                id
            }
            Reply::Event { id, .. } => id,
            other => panic!("{other:?}"),
        };
        assert!(id.chars().count() <= 64);
    }
    assert!(rest.is_empty(), "half a frame was written");
    // Nobody waits for a touch here; but a worker that is left behind need not have answered everything.
    if !matches!(end, End::Abandoned) {
        assert_eq!(answers, messages(bytes));
    }
});

/// How many replies the input is owed: one a message, and one for what is no whole message at its end.
fn messages(mut input: &[u8]) -> usize {
    let mut count = 0;
    while !input.is_empty() {
        count += 1;
        let Some((length, after)) = input.split_first_chunk::<4>() else { break };
        let length = u32::from_ne_bytes(*length) as usize;
        if length > 64 << 20 {
            break;
        }
        let Some((_, after)) = after.split_at_checked(length) else { break };
        input = after;
    }
    count
}
