//! The bare PC/SC exchange as a process of its own: a benchmark's yardstick.

fn main() -> anyhow::Result<()> {
    let reader = std::env::args().nth(1).unwrap_or_default();
    println!("{}", keyfob_tests::bare::exchange(&reader)?);
    Ok(())
}
