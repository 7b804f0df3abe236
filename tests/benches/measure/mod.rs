//! Measuring cases side by side.
//!
//! One pinned core; the cases take turns in short batches, so that a busy moment hits all of them; medians of many
//! rounds, and ratios taken round by round.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

pub(crate) const REGION: &str = "us-east-1";
/// Midnight of 24 May 2013, as in the examples of AWS's documentation.
pub(crate) const TIME: u64 = 1_369_353_600;

/// How often each of the short cases runs in a round.
pub(crate) const BATCH: u32 = 32;
pub(crate) const ROUNDS: usize = 3000;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything to the system's allocator and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller guarantees.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is measured.
pub(crate) struct Case<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Case<'a> {
    /// What `run` gives is not optimised away.
    pub(crate) fn new<T>(name: &'static str, mut run: impl FnMut() -> T + 'a) -> Self {
        Self { name, run: Box::new(move || drop(black_box(run()))) }
    }

    /// What nobody can save: the hashes of `messages`, and one HMAC of `to_sign` with the key schedule kept. Its `sha2` and
    /// `hmac` erase their state, as the product's do, which costs it about a tenth.
    pub(crate) fn floor(messages: &'a [&'a [u8]], to_sign: &'a [u8]) -> Self {
        let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32]).expect("any length");
        Self::new("floor", move || bare(messages, keyed.clone(), to_sign))
    }

    /// The same where the key is derived each time: four HMACs, and the key schedule of their outcome.
    pub(crate) fn floor_from_secret(messages: &'a [&'a [u8]], to_sign: &'a [u8]) -> Self {
        Self::new(FLOOR_FROM_SECRET, move || {
            let key = ["20130524", REGION, "dynamodb", "aws4_request"].iter().fold([7; 32], |key, part| {
                let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
                mac.update(black_box(part.as_bytes()));
                mac.finalize().into_bytes().into()
            });
            bare(messages, Hmac::new_from_slice(&key).expect("any length"), to_sign)
        })
    }
}

fn bare(messages: &[&[u8]], mut keyed: Hmac<Sha256>, to_sign: &[u8]) -> impl Sized + use<> {
    for message in messages {
        black_box(Sha256::digest(black_box(message)));
    }
    keyed.update(black_box(to_sign));
    keyed.finalize()
}

pub(crate) const FLOOR_FROM_SECRET: &str = "floor, key derived";

/// Cases and what they took.
pub(crate) struct Measured {
    names: Vec<&'static str>,
    /// Nanoseconds, of each case and round.
    times: Vec<Vec<f64>>,
    allocations: Vec<u64>,
}

/// Runs each case `batch` times a round.
pub(crate) fn measure(mut cases: Vec<Case<'_>>, batch: u32, rounds: usize) -> Measured {
    let allocations = cases
        .iter_mut()
        .map(|case| {
            (case.run)();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            (case.run)();
            ALLOCATIONS.load(Ordering::Relaxed) - before
        })
        .collect();
    // The first rounds warm caches and clock up.
    let warm = rounds / 30;
    let mut times = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..rounds + warm {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..batch {
                (case.run)();
            }
            let time = start.elapsed().as_nanos() as f64 / f64::from(batch);
            if round >= warm {
                times.push(time);
            }
        }
    }
    Measured { names: cases.iter().map(|case| case.name).collect(), times, allocations }
}

impl Measured {
    /// Prints a table, whose floor is the first case, and gives the same for programs.
    pub(crate) fn print(&self, title: &str) -> serde_json::Value {
        println!("{title}, one core, medians of {} rounds", self.times[0].len());
        println!("{:<50} {:>12} {:>9} {:>12}", "", "ns", "x floor", "allocations");
        let mut rows = Vec::new();
        for (case, name) in self.names.iter().enumerate() {
            let (ns, floor) = (median(self.times[case].clone()), self.ratio(name, self.names[0]));
            let allocations = self.allocations[case];
            println!("{name:<50} {ns:>12.0} {floor:>9.2} {allocations:>12}");
            rows.push(serde_json::json!({
                "case": name, "ns": ns.round(), "x_floor": round2(floor), "allocations": allocations,
            }));
        }
        println!();
        rows.into()
    }

    /// Median of the ratios of each round.
    pub(crate) fn ratio(&self, a: &str, b: &str) -> f64 {
        let of = |name| &self.times[self.names.iter().position(|&n| n == name).expect("a case")];
        median(of(a).iter().zip(of(b)).map(|(a, b)| a / b).collect())
    }
}

/// A ratio and what is aimed at.
pub(crate) struct Aim(pub(crate) String, pub(crate) f64, pub(crate) &'static str);

/// Prints ratios, and gives them for programs.
pub(crate) fn print_aims(aims: &[Aim]) -> serde_json::Map<String, serde_json::Value> {
    for Aim(name, value, aim) in aims {
        println!("{name:<70} {value:>9.2}   {aim}");
    }
    aims.iter().map(|Aim(name, value, _)| (name.clone(), round2(*value).into())).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Keeps the process on the core it is on.
pub(crate) fn pin() {
    #[cfg(target_os = "linux")]
    {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(rustix::thread::sched_getcpu());
        if let Err(error) = rustix::thread::sched_setaffinity(None, &cores) {
            eprintln!("not pinned to a core: {error}");
        }
    }
}

/// Microseconds that botocore takes by its own clock, as `oracle` answers to `question`.
pub(crate) fn botocore(oracle: &str, question: &str) -> Option<f64> {
    let answer = || {
        let python = std::env::var_os("KEYFOB_PYTHON")?;
        let mut child = Command::new(python)
            .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle").join(oracle))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        writeln!(child.stdin.take()?, "{question}").ok()?;
        let output = child.wait_with_output().ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        // One answer, or a list of one.
        answer.get(0).unwrap_or(&answer).get("microseconds")?.as_f64()
    };
    let answer = answer();
    match answer {
        Some(us) => println!("{:<70} {us:>9.2} µs", "botocore"),
        None => println!(
            "botocore: not measured, for KEYFOB_PYTHON names no Python that has it: cargo xtask bench"
        ),
    }
    answer.map(round2)
}
