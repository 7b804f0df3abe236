//! The protocol on a stream, from a browser or to the agent: any bytes. Each message gets its own reply, and the replies are frames.

#![no_main]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use keyfob::holder::{Desk, Replies};
use keyfob::wire::{AtEnd, End, serve};
use keyfob_core::message::{Answer, Event, Reply, Request};
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

/// Answers at once, with the request in words.
struct Echo;

impl Desk for Echo {
    fn ask(&self, request: Request, replies: Replies) {
        let written = format!("{:?}", request.op);
        // Half of the requests report something first.
        if written.len() % 2 == 0 {
            let event = Event::TouchRequired { prompt: written.clone(), maybe: written.len() % 4 == 0 };
            replies(Reply::Event { id: request.id.clone(), event });
        }
        replies(Reply::Done { id: request.id, answer: Answer::Written { written, replaced: false } });
    }

    fn leave(&self) {}
}

fuzz_target!(|bytes: &[u8]| {
    let output = Output::default();
    let end = serve(bytes, output.clone(), &Echo, AtEnd::Finish);
    // Nothing is left to wait for.
    assert!(matches!(end, End::Finished | End::BrokenFrame), "{end:?}");

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
    assert_eq!(answers, messages(bytes));
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
