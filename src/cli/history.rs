//! `history`: lists past runs.

use super::args::HistoryArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::undo::run_id;
use super::{out, run};
use crate::ports::{Clock, RunJournal};
use crate::render;

/// Lists the runs, or shows one.
pub(super) fn history(context: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    if let Some(name) = args.run.clone() {
        let receipt = context.journal.receipt(&run_id(name)?)?;
        run::show(context, &receipt, args.json.json)?;
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
