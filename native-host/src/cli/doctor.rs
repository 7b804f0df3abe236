//! `keyfob doctor`: prints what [`crate::doctor`] finds.

use keyfob_core::message::Failure;
use serde_json::json;

use super::args::{Doctor, Global};
use super::output;
use crate::doctor::{self, Finding, Level, System, clock};
use crate::error::failure;
use crate::exit::Exit;
use crate::front;
use crate::paths::Paths;
use crate::prompt::printable;

/// Prints the findings: one a line, each with its fix below. [`Exit::Other`] if one of them is a problem.
pub(super) fn run(global: &Global, options: &Doctor) -> Result<Exit, Failure> {
    let paths = Paths::resolve(front::env).map_err(|error| failure(error.code(), &error, ""))?;
    let mut findings = doctor::examine(&System::this(), &paths, global.one_key()?.as_deref());
    if let Some(url) = &options.clock {
        findings.push(clock::check(url));
    }
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    if global.json {
        output::json(&json!({ "problems": problems, "findings": findings }))?;
    } else {
        findings.iter().try_for_each(print)?;
        let count = match problems {
            0 => "Nothing is wrong.".to_owned(),
            1 => "One problem.".to_owned(),
            more => format!("{more} problems."),
        };
        output::note(global.quiet, &count);
    }
    Ok(if problems == 0 { Exit::Ok } else { Exit::Other })
}

fn print(finding: &Finding) -> Result<(), Failure> {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Problem => "PROBLEM",
    };
    output::line(&format!("{level:<9}{}", printable(&finding.title)))?;
    finding.fix.iter().try_for_each(|fix| output::line(&format!("         → {}", printable(fix))))
}
