//! `history`: lists past runs.

use super::args::HistoryArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{out, run};
use crate::domain::receipt::RunId;
use crate::domain::unusual::deviations;
use crate::ports::{Clock, RunJournal};
use crate::render;

/// Lists the runs, or shows one.
pub(super) fn history(context: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    if let Some(name) = &args.run {
        let receipt = context.journal.receipt(&find(context, name)?)?;
        run::show(context, &receipt, args.json.json)?;
        if !args.json.json {
            show_unusual(context, &receipt.run)?;
        }
        return Ok(Exit::Done);
    }
    let receipts = context.journal.receipts()?;
    if args.json.json {
        out::json(&render::json::history(&receipts, context.clock.now()))?;
    } else {
        out::text(&render::table::history(&receipts, &context.view()));
    }
    Ok(Exit::Done)
}

/// Prints how a run differs from the earlier runs of its job.
fn show_unusual(context: &Context, run: &RunId) -> Result<(), Failure> {
    let receipts = context.journal.receipts()?;
    let at = receipts.iter().position(|receipt| receipt.run == *run);
    let found = at.and_then(|at| deviations(&receipts).into_iter().nth(at)?);
    let text = render::table::unusual(&found.unwrap_or_default(), &context.view());
    if !text.is_empty() {
        out::text(&text);
    }
    Ok(())
}

/// The run that is named: `last`, its name, or a beginning that no other run has.
pub(super) fn find(context: &Context, text: &str) -> Result<RunId, Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let runs = context.journal.receipts()?;
    let mut runs: Vec<RunId> = runs.into_iter().map(|receipt| receipt.run).collect();
    if text == "last" {
        let last = runs.pop();
        return last.ok_or_else(|| usage("there are no recorded runs".to_string()));
    }
    let named = RunId::try_from(text.to_string()).map_err(|error| usage(error.to_string()))?;
    if runs.contains(&named) {
        return Ok(named);
    }
    runs.retain(|run| run.to_string().starts_with(text));
    match runs.as_slice() {
        [run] => Ok(run.clone()),
        // The journal says what is wrong.
        [] => Ok(named),
        [first, .., last] => {
            let count = runs.len();
            let message = format!("`{text}` is ambiguous: {count} runs, from {first} to {last}");
            Err(usage(message).hint("Use more of the name."))
        }
    }
}
