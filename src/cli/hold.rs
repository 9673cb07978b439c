//! `hold`: lists and releases holds.

use super::args::{HoldArgs, HoldCommand, JobArgs, JsonArg, ReleaseArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{ask, history, inspect, out, run};
use crate::adapters::nix_cli::NixCli;
use crate::domain::blocker::CheckCode;
use crate::domain::plan::HoldFacts;
use crate::domain::receipt::{Outcome, Receipt};
use crate::domain::snapshot::{Hold, Snapshot};
use crate::engine::Exact;
use crate::ports::Clock;
use crate::render;
use crate::render::text::count;

/// Lists or releases holds.
pub(super) fn hold(context: &Context, args: &HoldArgs) -> Result<Exit, Failure> {
    match &args.command {
        HoldCommand::List(args) => list(context, args),
        HoldCommand::Release(args) => release(context, args),
    }
}

fn list(context: &Context, args: &JsonArg) -> Result<Exit, Failure> {
    // The journal first: if it cannot be read, an empty list would be wrong.
    context.journal.holds_in(&context.places.store)?;
    let observation = context.observe()?;
    let snapshot = observation.snapshot;
    let store = observation.store.ok();
    let shares = store.map(|store| store.shares(&snapshot));
    warn_of_others(&snapshot);
    let document = render::json::holds(&snapshot, shares.as_deref());
    if args.json {
        out::json(&document)?;
    } else {
        let view = context.view();
        out::text(&render::table::holds(&snapshot, &document, &view));
    }
    Ok(Exit::Done)
}

/// Warns that the usual state directory is another one, with holds of its own.
pub(super) fn warn_of_others(snapshot: &Snapshot) {
    let mut blockers = snapshot.blockers.iter();
    if let Some(blocker) = blockers.find(|it| it.code == CheckCode::StateElsewhere) {
        tracing::warn!("{}", blocker.message);
    }
}

fn release(context: &Context, args: &ReleaseArgs) -> Result<Exit, Failure> {
    let now = context.clock.now();
    let runs = args
        .runs
        .iter()
        .map(|run| history::find(context, run))
        .collect::<Result<Vec<_>, _>>()?;
    let wanted = |hold: &Hold| match (args.all, runs.is_empty()) {
        (true, _) => true,
        (false, true) => hold.until <= now,
        (false, false) => runs.contains(&hold.run),
    };
    // As above.
    context.journal.holds_in(&context.places.store)?;
    let snapshot = context.snapshot(None)?;
    warn_of_others(&snapshot);
    let holds = snapshot.holds;
    if let Some(run) = runs
        .iter()
        .find(|run| holds.iter().all(|hold| hold.run != **run))
    {
        return Err(
            Failure::new(Exit::Usage, format!("there are no holds of run {run}"))
                .hint("`nix-prune hold list` lists the holds."),
        );
    }
    let facts: Vec<HoldFacts> = holds
        .iter()
        .filter(|h| wanted(h))
        .map(HoldFacts::from)
        .collect();
    let nix = context.nix()?;
    let open = holds.iter().filter(|h| wanted(h) && h.until > now).count();
    if !args.yes && open > 0 {
        let text = render::table::open_windows(open);
        let question = format!("Release {}?", count(facts.len(), "hold"));
        ask::confirm(&[text], &question, &context.signals)?;
    }
    if facts.is_empty() && !args.json.json {
        out::text("There are no holds to release.");
        return Ok(Exit::Done);
    }
    let receipt = release_now(context, nix, facts)?;
    if args.json.json {
        out::json(&receipt)?;
    } else {
        out::not_done(&render::table::not_done(&receipt, &context.view()));
        let released = count(receipt.count(Outcome::Done), "hold");
        out::text(&format!("Released {released}.{}", freed_next(context)));
    }
    Ok(run::exit(&receipt))
}

/// Releases holds that a person has agreed to give up.
pub(super) fn release_now(
    context: &Context,
    nix: &NixCli,
    facts: Vec<HoldFacts>,
) -> Result<Receipt, Failure> {
    let observer = context.observer(None);
    Ok(context.engine(&observer, nix).release(facts)?)
}

/// What a run frees now, in words; nothing where that is unknown.
fn freed_next(context: &Context) -> String {
    let job = context.job(&JobArgs::default(), None);
    let plan = job.and_then(|job| inspect::plan(context, &job, Exact::Never));
    match plan.ok().and_then(|plan| plan.prediction.nar_bytes) {
        Some(bytes) if bytes.0 > 0 => format!(" Now `nix-prune run` frees {bytes}."),
        _ => String::new(),
    }
}
