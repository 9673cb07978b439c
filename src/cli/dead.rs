//! `dead`: what a collection would delete.

use super::args::DeadArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::{Exact, names};
use super::out;
use crate::render;

/// Lists the dead paths.
pub(super) fn dead(context: &Context, args: &DeadArgs) -> Result<Exit, Failure> {
    let (_, inspection) = context.look_at_dead()?;
    let dead = inspection.dead();
    let names = names(inspection.graph(), dead.iter());
    let measured = context.measure(&names, Exact::from_flag(args.exact))?;
    let sum = render::json::dead_sum(
        &inspection,
        measured.bytes,
        measured.at_most,
        measured.notes,
    );
    if args.json.json {
        out::json(&render::json::dead(&inspection, sum))?;
    } else {
        out::text(&render::table::dead(&inspection));
        out::eprint_lines(&render::table::dead_total(&sum));
    }
    Ok(Exit::Done)
}
