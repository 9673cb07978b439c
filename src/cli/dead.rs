//! `dead`: lists dead store paths.

use super::args::DeadArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::engine::{Exact, names};
use crate::render;

const DEFAULT_TOP: usize = 20;

/// Lists the dead paths: one by one for a program, by package on a terminal.
pub(super) fn dead(context: &Context, args: &DeadArgs) -> Result<Exit, Failure> {
    let (_, inspection) = context.observe_all_roots()?;
    let dead = inspection.dead();
    let names = names(inspection.graph(), dead.iter());
    let is_measured = Exact::from_flag(args.exact).measures(names.len());
    let measured = is_measured.then(|| context.measure(&names)).transpose()?;
    let (bytes, at_most, notes) = match &measured {
        Some(used) => (Some(used.bytes), !used.at_most.is_empty(), used.notes()),
        None => (None, false, Vec::new()),
    };
    let sum = render::json::dead_sum(&inspection, bytes, at_most, notes);
    if args.json.json {
        out::json(&render::json::dead(&inspection, sum))?;
    } else {
        let is_grouped = args.top.is_some() || (out::is_terminal() && !args.list);
        out::text(&if is_grouped && !dead.is_empty() {
            let top = args.top.unwrap_or(DEFAULT_TOP);
            render::table::dead_by_package(&inspection, top, &context.view())
        } else {
            render::table::dead(&inspection)
        });
        out::eprint_lines(&render::table::dead_total(&sum));
    }
    Ok(Exit::Done)
}
