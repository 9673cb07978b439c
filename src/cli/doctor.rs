//! `doctor`: checks the environment and recent runs.

pub(super) mod boot;
mod needs;
mod nix;

use std::collections::BTreeSet;

use super::args::DoctorArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::adapters::store::Care;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::limits::FAILURES_BEFORE_PAUSE;
use crate::domain::plan::Plan;
use crate::domain::profile::GenerationNumber;
use crate::domain::receipt::Receipt;
use crate::domain::snapshot::{Actor, Snapshot};
use crate::engine::failed_in_a_row;
use crate::ports::{Clock, Observation, RunJournal, StoreReadTrouble};
use crate::render::json::{self, CheckDocument, CheckState};
use crate::render::text::{count, escape};

/// Checks everything, even after a failure.
pub(super) fn doctor(context: &Context, args: &DoctorArgs) -> Result<Exit, Failure> {
    if args.acknowledge {
        let lock = context.journal.lock()?;
        context.journal.acknowledge(&lock, context.clock.now())?;
        context.journal.restock(&lock);
    }
    let mut checks = nix::checks(context);
    checks.extend([settings(context), needs::state(context)]);
    checks.extend(needs::access(context));
    checks.extend(needs::locks(context));
    checks.extend(state_in_memory(context));
    checks.extend(records(context));
    let enabled = context.enabled_jobs();
    let enabled: Vec<&EffectiveJob> = enabled.iter().collect();
    let observation = context.observe_with(Care::Thorough, &enabled);
    match &observation {
        Ok(observation) => {
            let is_open = !checks
                .iter()
                .any(|check| check.name == needs::ACCESS && check.state == CheckState::Error);
            checks.extend(store(observation, &enabled, is_open));
        }
        Err(failure) => checks.push(failed("roots", failure)),
    }
    let snapshot = observation
        .as_ref()
        .ok()
        .map(|observation| &observation.snapshot);
    checks.extend(needs::directories(context, snapshot));
    let system = snapshot.map(system_generations);
    checks.extend(boot::check_menu(
        &boot::read(context),
        context.actor,
        system.as_ref(),
    ));
    checks.extend(jobs(context));
    let document = json::doctor(checks);
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&lines_of(&document.checks));
    }
    Ok(if document.ok {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// The generations of the profile `system`.
fn system_generations(snapshot: &Snapshot) -> BTreeSet<GenerationNumber> {
    let mut profiles = snapshot.profiles.iter();
    let system = profiles.find(|profile| profile.path.short() == "system");
    let numbers = system.map(|profile| profile.generations.keys().copied().collect());
    numbers.unwrap_or_default()
}

fn settings(context: &Context) -> CheckDocument {
    let paths = context.settings_paths();
    match context.settings().and(paths) {
        Ok(paths) if paths.is_empty() => passed("settings", "built in".to_string()),
        Ok(paths) => {
            let names: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
            passed("settings", names.join(", "))
        }
        Err(failure) => CheckDocument {
            // `config check` shows them in full.
            hint: Some("Run `nix-prune config check` for details.".to_string()),
            ..failed("settings", &failure)
        },
    }
}

fn state_in_memory(context: &Context) -> Option<CheckDocument> {
    let dir = context.journal.dir();
    let message = format!("{dir} is on a memory file system and is lost at the next boot");
    let hint = "Move it to a disk or make it persistent. A run that does not find the holds of earlier runs collects no garbage.";
    is_in_memory(dir).then(|| warned("state", message, hint))
}

/// Whether a directory, or its place if it does not exist, is on a file system that is emptied by a boot.
#[cfg(target_os = "linux")]
fn is_in_memory(dir: &camino::Utf8Path) -> bool {
    use ::nix::sys::statfs::{TMPFS_MAGIC, statfs};
    let there = dir
        .ancestors()
        .find_map(|dir| statfs(dir.as_std_path()).ok());
    there.is_some_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &camino::Utf8Path) -> bool {
    false
}

fn records(context: &Context) -> Vec<CheckDocument> {
    let read = context
        .journal
        .receipts()
        .and_then(|receipts| Ok((receipts, context.journal.holds_in(&context.places.store)?)));
    let (receipts, holds) = match read {
        Ok(read) => read,
        Err(error) => return vec![failed("records", &error.into())],
    };
    let mut checks = vec![passed(
        "records",
        format!(
            "{}, {}",
            count(receipts.len(), "run"),
            count(holds.len(), "hold")
        ),
    )];
    let open = receipts.iter().filter(|receipt| receipt.is_interrupted());
    checks.extend(open.map(|receipt| {
        let message = format!("run {} is in progress or was interrupted", receipt.run);
        warned(
            "records",
            message,
            "`nix-prune run --resume` recovers it; so does the next run.",
        )
    }));
    checks.extend(holds.iter().filter(|hold| !hold.intact).map(|hold| {
        let message = format!(
            "holds of run {} are lost: {}",
            hold.run,
            hold.held
        );
        warned(
            "records",
            message,
            "`nix-prune undo` cannot restore them if their store paths are gone. The warning ends with the undo window.",
        )
    }));
    checks
}

/// `is_open`: a test showed that Nix opens the store.
fn store(observation: &Observation, jobs: &[&EffectiveJob], is_open: bool) -> Vec<CheckDocument> {
    let snapshot = &observation.snapshot;
    let mut checks = vec![passed(
        "roots",
        format!(
            "{}, {}",
            count(snapshot.profiles.len(), "profile"),
            count(snapshot.roots.len(), "root")
        ),
    )];
    let plans: Vec<Plan> = jobs.iter().map(|job| Plan::build(snapshot, job)).collect();
    let mut blockers: Vec<&Blocker> = snapshot.blockers.iter().collect();
    let of_plans = plans.iter();
    blockers
        .extend(of_plans.flat_map(|plan| plan.accepted_checks.iter().chain(&plan.failed_checks)));
    blockers.sort();
    // Accepted ones come last among those with the same words.
    blockers.reverse();
    blockers.dedup_by(|a, b| (a.code, &a.message) == (b.code, &b.message));
    blockers.reverse();
    checks.extend(
        blockers
            .into_iter()
            .map(|blocker| refused(blocker, snapshot, &plans)),
    );
    match &observation.store {
        Ok(store) => checks.push(passed("store", count(store.graph().len(), "valid path"))),
        // The safety check has reported it.
        Err(error) if error.kind == StoreReadTrouble::Damaged => {}
        // The access check has reported it.
        Err(error) if error.kind == StoreReadTrouble::NoAnswer && !is_open => {}
        Err(error) => checks.push(CheckDocument {
            state: match error.kind {
                StoreReadTrouble::OtherStore | StoreReadTrouble::NoAnswer => CheckState::Error,
                _ => CheckState::Warning,
            },
            hint: Some(error.hint.to_string()),
            ..passed("store", crate::ports::error_chain(error))
        }),
    }
    checks
}

fn refused(blocker: &Blocker, snapshot: &Snapshot, plans: &[Plan]) -> CheckDocument {
    let Blocker {
        code,
        message,
        hint,
        places,
        reason,
    } = blocker;
    let place = match code {
        CheckCode::StoreDamaged | CheckCode::StoreMismatch => "store",
        _ => "roots",
    };
    if let Some(reason) = reason {
        let message = format!("{code}: {message}; accepted in the settings: {reason}");
        let hint = "Remove the `accept` entry when the cause is gone.";
        return warned(place, message, hint);
    }
    let leave_alone = |plan: &&Plan| {
        let mut paths = plan.skipped_profiles.iter();
        paths.any(|path| places.is_empty() || blocker.concerns(path))
    };
    let (state, what) = if code.stops_run() {
        (CheckState::Error, "stops every run".to_string())
    } else if code.stops_collection() {
        (CheckState::Error, "no garbage is collected".to_string())
    } else if !code.keeps_profiles() {
        (CheckState::Warning, "stops nothing".to_string())
    } else if let Some(plan) = plans.iter().find(leave_alone) {
        // A job of the machine names profiles that do not concern an ordinary user.
        let is_ours = snapshot.actor == Actor::Root || *code != CheckCode::ProfileBlocked;
        let state = if is_ours {
            CheckState::Error
        } else {
            CheckState::Warning
        };
        (state, format!("the job {} needs it", plan.job))
    } else {
        (CheckState::Warning, "it is skipped".to_string())
    };
    CheckDocument {
        state,
        hint: Some(if code.stops_run() || code.stops_collection() {
            format!("{hint}; or use `--accept {code}`")
        } else {
            hint.clone()
        }),
        ..passed(place, format!("{code}: {message}; {what}"))
    }
}

/// The recent runs of the jobs.
pub(super) fn jobs(context: &Context) -> Vec<CheckDocument> {
    let Ok(receipts) = context.journal.receipts() else {
        return Vec::new();
    };
    let mut names: Vec<_> = receipts.iter().filter_map(|r| r.job.clone()).collect();
    names.sort();
    names.dedup();
    let checks = names.into_iter().map(|job| {
        let of_the_job = |receipt: &&Receipt| receipt.job.as_ref() == Some(&job);
        let runs = receipts.iter().rev().filter(of_the_job);
        let refused = runs.clone().next().map(|run| &run.failed_checks);
        let refused = refused.filter(|refused| !refused.is_empty());
        match failed_in_a_row(&context.journal, runs) {
            0 if let Some(refused) = refused => {
                let mut codes: Vec<&str> = refused.iter().map(|r| r.code.as_str()).collect();
                codes.dedup();
                warned(
                    "jobs",
                    format!("{job}: the last run failed safety checks: {}", codes.join(", ")),
                    "`nix-prune plan` shows whether they still fail, and what to do.",
                )
            }
            0 => passed("jobs", format!("{job}: the last run did not fail")),
            failed if failed < FAILURES_BEFORE_PAUSE => warned(
                "jobs",
                format!("{job}: the last {} failed", count(failed, "run")),
                "`nix-prune history` shows them.",
            ),
            failed => CheckDocument {
                state: CheckState::Error,
                ..warned(
                    "jobs",
                    format!("{job}: paused because the last {} failed", count(failed, "run")),
                    "Fix the cause, shown by `nix-prune history RUN`, and run `nix-prune doctor --acknowledge`.",
                )
            },
        }
    });
    checks.collect()
}

fn passed(name: &str, message: String) -> CheckDocument {
    CheckDocument {
        name: name.to_string(),
        state: CheckState::Ok,
        message,
        hint: None,
    }
}

fn warned(name: &str, message: String, hint: &str) -> CheckDocument {
    CheckDocument {
        state: CheckState::Warning,
        hint: Some(hint.to_string()),
        ..passed(name, message)
    }
}

fn failed(name: &str, failure: &Failure) -> CheckDocument {
    CheckDocument {
        state: CheckState::Error,
        hint: failure.hint.clone(),
        ..passed(name, failure.message.clone())
    }
}

/// A line for each, with its hint below.
fn lines_of(checks: &[CheckDocument]) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let state = match check.state {
            CheckState::Ok => "ok",
            CheckState::Warning => "warning",
            CheckState::Error => "error",
        };
        lines.push(format!(
            "{state:<7}  {:<8}  {}",
            check.name,
            escape(&check.message)
        ));
        let hints = check.hint.iter().flat_map(|hint| hint.lines());
        lines.extend(hints.map(|hint| format!("{:<19}{}", "", escape(hint))));
    }
    lines.join("\n")
}
