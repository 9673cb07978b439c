//! `run`: plans, asks, and carries out a job.

use std::sync::Arc;
use std::time::Duration;

use super::args::{Consent, RunArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::log::{self, EventKind, Priority, RunEvent};
use super::progress::Progress;
use super::{ask, inspect, notices, out};
use crate::adapters::collector;
use crate::adapters::nix_cli::NixCli;
use crate::adapters::store::{StoreReader, StoreSurvey};
use crate::adapters::survey::Observer;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Bytes, Span};
use crate::domain::plan::Plan;
use crate::domain::receipt::{Outcome, Receipt, RunKind};
use crate::domain::risk::RiskLevel;
use crate::engine::{Approved, Exact};
use crate::ports::{Clock, ReadStore, RunJournal};
use crate::render;

/// A collection takes minutes, and another one is no reason to wait for a day.
const PATIENCE: Span = Span::minutes(15);

/// Carries out a job.
pub(super) fn run(context: &Context, args: &RunArgs) -> Result<Exit, Failure> {
    log::begin_run();
    if args.resume {
        return resume(context, args.json.json);
    }
    let mut overrides = args.job.clone();
    if args.now {
        overrides.undo_window = Some(Span::ZERO);
    }
    let job = context.job(&overrides, args.consent.max_risk)?;
    let again = (!args.now).then(|| out::command("run"));
    let plan = |context: &Context, job: &EffectiveJob| inspect::plan(context, job, Exact::IfCheap);
    let ended = execute(
        context,
        &RunKind::Run,
        &job,
        &args.consent,
        args.json.json,
        again.as_deref(),
        plan,
    );
    ended.inspect_err(|failure| notices::run_failed(context, &job.name, failure))
}

/// Plans a job, asks, and carries it out. `again` is the command to print for more space at once.
pub(super) fn execute(
    context: &Context,
    kind: &RunKind,
    job: &EffectiveJob,
    consent: &Consent,
    json: bool,
    again: Option<&str>,
    plan: impl FnOnce(&Context, &EffectiveJob) -> Result<Plan, Failure>,
) -> Result<Exit, Failure> {
    log::set_job(&job.name);
    let nix = context.nix()?;
    // Before anything is shown that another run may change.
    context.journal.wait_for_turn()?;
    let observer = context.observer(Some(job));
    recover_first(context, &observer, nix)?;
    // A budget may be met without the store.
    if job.operations.collect.is_some() && job.budget.is_none() {
        context.reader(Some(nix)).compare_ahead();
    }
    let mut plan = plan(context, job)?;
    let view = context.view();
    let print = |plan: &Plan| {
        if !json {
            out::text(&(render::table::plan(plan, again, &view) + "\n"));
        }
    };
    let most = job
        .policy()
        .ceiling(consent.max_risk.unwrap_or(RiskLevel::Critical));
    let approved = ask::approve(context, &mut plan, kind, consent, most, print)?;
    let receipt = carry_out(context, &observer, nix, approved, job)?;
    finish(context, &plan, &receipt, json)
}

/// Recovers interrupted runs before anything is planned: a plan made earlier would contain steps that the recovery does.
///
/// Records that cannot be read are a failed check of the plan, which names them.
pub(super) fn recover_first(
    context: &Context,
    observer: &Observer<'_>,
    nix: &NixCli,
) -> Result<(), Failure> {
    let records = context.journal.receipts();
    if records.is_ok_and(|records| records.iter().any(Receipt::is_interrupted)) {
        context.engine(observer, nix).resume()?;
    }
    Ok(())
}

/// Settles what interrupted runs left open.
fn resume(context: &Context, json: bool) -> Result<Exit, Failure> {
    let nix = context.nix()?;
    let observer = context.observer(None);
    let settled = context.engine(&observer, nix).resume()?;
    if json {
        out::json(&render::json::history(&settled, context.clock.now()))?;
        return Ok(Exit::Done);
    }
    if settled.is_empty() {
        out::text("There is no interrupted run.");
    }
    for receipt in &settled {
        show(context, receipt, false)?;
    }
    Ok(Exit::Done)
}

/// Prints how a run ended, and gives its exit status: its budget and what was refused of its plan are part of that. The rest was
/// done, and the caller must hear on standard error what was not.
pub(super) fn finish(
    context: &Context,
    plan: &Plan,
    receipt: &Receipt,
    json: bool,
) -> Result<Exit, Failure> {
    log::set_run(&receipt.run);
    let exit = ended(plan, receipt);
    if json {
        out::json(receipt)?;
    } else {
        out::not_done(&render::table::not_done(receipt, &context.view()));
        let disk = context.reader(None).fullness().ok();
        let text = render::table::run_ended(receipt, plan, disk, &context.view());
        let is_news = receipt.has_changed_anything();
        let priority = if is_news {
            Priority::Notice
        } else {
            Priority::Info
        };
        out::text_of(&event(receipt, exit), priority, &text);
        out::unit_status(if receipt.stopped {
            "Stopped before its end."
        } else {
            text.lines().next().unwrap_or_default()
        });
    }
    out::blockers(plan);
    super::budget::report_boot_menu(receipt);
    super::budget::report_shortfall(context, receipt);
    notices::run_ended(context, receipt, exit);
    Ok(exit)
}

/// How a run of a plan ended.
fn ended(plan: &Plan, receipt: &Receipt) -> Exit {
    match exit(receipt) {
        Exit::Done if receipt.misses_goal() => Exit::OverBudget,
        Exit::Done if plan.is_refused() => Exit::Refused,
        exit => exit,
    }
}

/// The event that a run ended.
fn event(receipt: &Receipt, exit: Exit) -> RunEvent {
    let (kind, result) = match exit {
        _ if receipt.stopped => (EventKind::RunEnded, Exit::Stopped),
        Exit::Failed | Exit::Partly => (EventKind::RunFailed, exit),
        exit => (EventKind::RunEnded, exit),
    };
    let reported = receipt.bytes.reported.map(|it| it.0);
    let reported = reported.and_then(|it| i64::try_from(it).ok());
    RunEvent {
        result: Some(result.name()),
        bytes: reported.or(receipt.bytes.measured),
        ..RunEvent::of(kind)
    }
}

/// Carries out what was approved. What is dead is looked for under the lock, after everything else is done.
pub(super) fn carry_out(
    context: &Context,
    observer: &Observer<'_>,
    nix: &NixCli,
    approved: Approved,
    job: &EffectiveJob,
) -> Result<Receipt, Failure> {
    if approved.collects() {
        wait_for_collector(context)?;
    }
    // At the peak of the saw-tooth that collections make.
    context.sample_space();
    let begins = RunEvent::of(EventKind::RunBegun);
    log::record(
        Priority::Info,
        &begins,
        &format!("Running the job {}.", job.name),
    );
    let _progress = collecting(context, &approved);
    if !approved.needs_the_store() {
        return Ok(context.engine(observer, nix).apply(approved, Some(job))?);
    }
    let survey = StoreSurvey {
        is_compared: std::cell::Cell::default(),
        accepted: approved.accepted_by_name(),
        survey: observer,
        reader: StoreReader {
            in_run: true,
            ..context.reader(Some(nix))
        },
    };
    Ok(context.engine(&survey, nix).apply(approved, Some(job))?)
}

/// Shows how far the run has come.
fn collecting(context: &Context, approved: &Approved) -> Progress {
    let counter = Arc::clone(&context.counter);
    let all = approved.predicted_paths().map(|all| format!(" of {all}"));
    let all = all.unwrap_or_default();
    let generations = approved.generations();
    context.progress(move || {
        // In the order of a run, from its end.
        let text = match (
            counter.checked(),
            counter.optimised(),
            counter.deleted(),
            counter.removed(),
        ) {
            (0, 0, 0, 0) => return None,
            (0, 0, 0, removed) => format!("Removing generations: {removed} of {generations}"),
            (0, 0, deleted, _) => {
                let freed = Some(counter.freed()).filter(|bytes| *bytes > 0);
                let freed = freed.map(|bytes| format!(", {} freed on disk", Bytes(bytes)));
                let freed = freed.unwrap_or_default();
                format!("Collecting: {deleted}{all} paths deleted{freed}")
            }
            (0, paths, ..) => format!("Hard-linking equal files: {paths} paths"),
            (contents, ..) => format!("Checking contents: {contents} hashed"),
        };
        Some(text)
    })
}

/// Waits for another collection to end: as long as `--wait` says, or else a while.
fn wait_for_collector(context: &Context) -> Result<(), Failure> {
    let most = context.wait.unwrap_or(PATIENCE);
    let most = Duration::from_secs(most.as_seconds());
    collector::wait_for_collector(&context.places.state_dir, most, &context.signals).map_err(
        |who| {
            let message =
                format!("another garbage collection is in progress, and nothing was done: {who}");
            Failure::new(Exit::TryAgain, message)
                .hint("Try again when it has finished, or wait longer with --wait.")
        },
    )
}

/// Prints a receipt.
pub(super) fn show(context: &Context, receipt: &Receipt, json: bool) -> Result<(), Failure> {
    if json {
        out::json(receipt)
    } else {
        out::text(&render::table::receipt(receipt, &context.view()));
        Ok(())
    }
}

/// How a run ended.
pub(super) fn exit(receipt: &Receipt) -> Exit {
    let done = receipt.count(Outcome::Done);
    let failed = receipt.count(Outcome::Failed);
    let undo = matches!(receipt.kind, RunKind::Undo(_));
    // A budget that needs less than was planned is done.
    match receipt.entries.len() - done - receipt.count(Outcome::Retained) {
        0 => Exit::Done,
        left if done == 0 && failed == left => Exit::Failed,
        _ if done == 0 && undo => Exit::Refused,
        _ => Exit::Partly,
    }
}
