//! `status`: how full the store is, what can be freed, and what needs attention.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use super::args::{JobArgs, StatusArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{doctor, inspect, out};
use crate::adapters::process::{Command, Program};
use crate::domain::boot_menu::SeenMenu;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::JobName;
use crate::domain::measure::Timestamp;
use crate::domain::plan::{Plan, Subject};
use crate::domain::profile::GenerationNumber;
use crate::domain::snapshot::Actor;
use crate::engine::Exact;
use crate::ports::{Clock, RunJournal};
use crate::render;
use crate::render::json::{CheckState, FreesDocument, JobDocument, StatusDocument};

/// A service manager that does not answer at once is not waited for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Shows the state of the store. Nothing on disk is measured, so that it is quick.
pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<Exit, Failure> {
    let (document, plan) = observe(context, args.job.clone())?;
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::status(&document, &plan, &context.view()));
    }
    Ok(Exit::Done)
}

/// The state of the store, with the plan of a job without its budget.
pub(super) fn observe(
    context: &Context,
    job: Option<String>,
) -> Result<(StatusDocument, Plan), Failure> {
    let settings = context.settings()?;
    let named = JobArgs {
        job,
        ..JobArgs::default()
    };
    // What could be freed, and not what a budget needs.
    let job = context.job_with(&named, None, |job| job.budget = None)?;
    let plan = inspect::plan(context, &job, Exact::Never)?;
    let receipts = context.journal.receipts().unwrap_or_default();
    let runs = render::json::history(&receipts, context.clock.now()).runs;
    let jobs = settings.jobs().filter(|job| job.is_enabled());
    let jobs = jobs.map(|settings| {
        let name = &settings.job().name;
        let last = runs.iter().rev().find(|run| run.job.as_ref() == Some(name));
        JobDocument {
            name: name.to_string(),
            last_run: last.cloned(),
            next_run: next_run(context, name),
        }
    });
    let mut attention = doctor::jobs(context);
    let system = system_generations(&plan);
    let menu = doctor::boot::read(context);
    attention.extend(doctor::boot::check_menu(
        &menu,
        context.actor,
        system.as_ref(),
    ));
    attention.retain(|check| check.state != CheckState::Ok);
    let mut document = render::json::status(&plan, jobs.collect(), attention);
    document.forecast = context.forecast();
    let full = document.forecast.earliest(plan.taken_at);
    document.frees_before_full = full.and_then(|at| freed_by(context, &job, &plan, at));
    if let SeenMenu::Known(menu) = &menu {
        document.boot = Some(menu.into());
    }
    Ok((document, plan))
}

/// What a run of the job has freed by a moment, if nothing keeps it from being carried out.
fn freed_by(
    context: &Context,
    job: &EffectiveJob,
    plan: &Plan,
    at: Timestamp,
) -> Option<FreesDocument> {
    if plan.is_refused() || plan.stops().next().is_some() {
        return None;
    }
    let holds = context.journal.holds_in(&context.places.store);
    let last = holds
        .unwrap_or_default()
        .iter()
        .map(|hold| hold.until)
        .max();
    let windows_end = plan.taken_at.after(job.undo_window);
    let freed = plan.prediction.freed_by(at, windows_end, last)?;
    Some(freed.into())
}

/// The generations of the profile `system`, where the job looks at them.
fn system_generations(plan: &Plan) -> Option<BTreeSet<GenerationNumber>> {
    let items = plan.items.iter();
    let numbers = items.filter_map(|item| match &item.subject {
        Subject::Generation {
            profile, number, ..
        } if profile.short() == "system" => Some(*number),
        _ => None,
    });
    Some(numbers.collect()).filter(|numbers: &BTreeSet<_>| !numbers.is_empty())
}

/// When the timers that the modules install start a job next, if there are any.
fn next_run(context: &Context, job: &JobName) -> Option<Timestamp> {
    let systemctl = Program::find("systemctl", None, &context.child_env).ok()?;
    let unit = format!("nix-prune-{job}.timer");
    // home-manager's, and that of the system's configuration for all users
    let of_users = format!("nix-prune-users-{job}.timer");
    let (manager, units) = match context.actor {
        Actor::Root => ("--system", vec![&unit]),
        Actor::User(_) => ("--user", vec![&unit, &of_users]),
    };
    let words = [
        manager,
        "show",
        "--property=NextElapseUSecRealtime",
        "--value",
        "--timestamp=unix",
    ];
    let words = words
        .into_iter()
        .chain(units.into_iter().map(String::as_str));
    let mut command = Command::new(&systemctl, &context.child_env, TIMEOUT);
    // where the user's own service manager is
    for name in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
        command = command.keep(name);
    }
    let output = command
        .args(words.map(OsStr::new))
        .run(&context.signals)
        .ok()?;
    earliest(&output.stdout.text())
}

/// The earliest of the times that `systemctl show` prints, which leaves a line empty for a timer that it does not know.
fn earliest(times: &str) -> Option<Timestamp> {
    let seconds = times
        .lines()
        .filter_map(|line| line.trim().strip_prefix('@'));
    let seconds = seconds.filter_map(|seconds| seconds.parse().ok()).min()?;
    Timestamp::from_unix(seconds, 0)
}

#[cfg(test)]
mod tests {
    use super::earliest;
    use rstest::rstest;

    #[rstest]
    #[case("\n", None)]
    #[case("@1795385804\n", Some(1_795_385_804))]
    #[case("\n\n@1795385804\n", Some(1_795_385_804))]
    #[case("@1795385900\n\n@1795385804\n", Some(1_795_385_804))]
    #[case("n/a\n", None)]
    fn the_next_run_is_that_of_the_earliest_timer(
        #[case] times: &str,
        #[case] expected: Option<i64>,
    ) {
        assert_eq!(earliest(times).map(|at| at.to_unix().0), expected);
    }
}
