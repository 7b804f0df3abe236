//! The program: a native-messaging host when a browser starts it, a command line otherwise.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use keyfob::exit::Exit;
use keyfob::front;
use keyfob::holder::Closed;
use keyfob::native_messaging::{self, browser_caller};
use keyfob::program;
use keyfob::wire::{self, AtEnd, End};

fn main() -> ExitCode {
    program::this_is_keyfob();
    let args: Vec<OsString> = std::env::args_os().collect();
    match browser_caller(args.get(1..).unwrap_or_default()) {
        Some(caller) => native_messaging_host(caller),
        None => keyfob::cli::main(args),
    }
}

/// stdout carries the protocol alone; what went wrong with it goes to stderr, where browsers keep it in their logs.
fn native_messaging_host(caller: native_messaging::Caller) -> ExitCode {
    if !caller.is_allowed() {
        eprintln!("keyfob: {:?} is not Keyfob's extension", caller.extension);
        return Exit::Other.into();
    }
    // A broken configuration is told to who asks, not to a log.
    let desk = front::browser_desk(caller.extension).unwrap_or_else(|failure| Box::new(Closed(failure)));
    match wire::serve(io::stdin().lock(), io::stdout(), &*desk, AtEnd::Finish) {
        End::Finished | End::Abandoned => Exit::Ok.into(),
        end => {
            eprintln!("keyfob: {end:?}");
            Exit::Other.into()
        }
    }
}
