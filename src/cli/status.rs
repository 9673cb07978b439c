//! `status`: how full the store is, what can be freed, and what needs attention.

use std::ffi::OsStr;
use std::time::Duration;

use super::args::{JobArgs, StatusArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{doctor, inspect, out};
use crate::adapters::process::{Command, Program};
use crate::domain::job::JobName;
use crate::domain::measure::Timestamp;
use crate::domain::snapshot::Actor;
use crate::engine::Exact;
use crate::ports::{Clock, RunJournal};
use crate::render;
use crate::render::json::{CheckState, JobDocument};

/// A service manager that does not answer at once is not waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Shows the state of the store. Nothing on disk is measured, so that it is quick.
pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let named = JobArgs {
        job: args.job.clone(),
        ..JobArgs::default()
    };
    // What could be freed, and not what a budget needs.
    let job = context.job_with(&named, None, |job| job.budget = None)?;
    let plan = inspect::plan(context, &job, Exact::Never)?;
    let receipts = context.journal.receipts().unwrap_or_default();
    let jobs = settings.jobs().filter(|job| job.is_enabled());
    let jobs = jobs.map(|settings| {
        let name = &settings.job().name;
        let last = receipts
            .iter()
            .rev()
            .find(|receipt| receipt.job.as_ref() == Some(name));
        let last = last.map(std::slice::from_ref).unwrap_or_default();
        let last = render::json::history(last, context.clock.now());
        JobDocument {
            name: name.to_string(),
            last_run: last.runs.into_iter().next(),
            next_run: next_run(context, name),
        }
    });
    let mut attention = doctor::jobs(context);
    attention.retain(|check| check.state != CheckState::Ok);
    let document = render::json::status(&plan, jobs.collect(), attention);
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::status(&document, &plan, &context.view()));
    }
    Ok(Exit::Done)
}

/// When the timer that the modules install starts a job next, if there is one.
fn next_run(context: &Context, job: &JobName) -> Option<Timestamp> {
    let systemctl = Program::find("systemctl", None, &context.child_env).ok()?;
    let manager = match context.actor {
        Actor::Root => "--system",
        Actor::User(_) => "--user",
    };
    let unit = format!("nix-prune-{job}.timer");
    let words = [
        manager,
        "show",
        "--property=NextElapseUSecRealtime",
        "--value",
        "--timestamp=unix",
        &unit,
    ];
    let command = Command::new(&systemctl, &context.child_env, TIMEOUT);
    let output = command
        .args(words.map(OsStr::new))
        .run(&context.signals)
        .ok()?;
    let seconds = output
        .stdout
        .text()
        .trim()
        .strip_prefix('@')?
        .parse()
        .ok()?;
    Timestamp::from_unix(seconds, 0)
}
