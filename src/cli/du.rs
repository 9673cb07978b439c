//! `du`: what takes the room of the store.

use super::args::{Division, DuArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::{Exact, names};
use super::out;
use crate::domain::inspection::{GroupBy, Sets};
use crate::render;

/// Lists what takes the room.
pub(super) fn du(context: &Context, args: &DuArgs) -> Result<Exit, Failure> {
    let (snapshot, inspection) = context.look_at_dead()?;
    let sets = if args.exact { Sets::Listed } else { Sets::Left };
    let usage = inspection.usage(&snapshot, group(args.by), args.top, sets);
    let mut notes = inspection.notes();
    let mut disk = Vec::new();
    if args.exact {
        for row in &usage.rows {
            let names = names(inspection.graph(), row.set.iter().copied());
            let measured = context.measure(&names, Exact::Always)?;
            notes.extend(measured.notes);
            disk.push(measured.bytes);
        }
    }
    notes.dedup();
    let document = render::json::du(&usage, &disk, notes);
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::du(&document, &context.view()));
    }
    Ok(Exit::Done)
}

fn group(by: Division) -> GroupBy {
    match by {
        Division::Root => GroupBy::Root,
        Division::Profile => GroupBy::Profile,
        Division::Generation => GroupBy::Generation,
        Division::User => GroupBy::User,
        Division::Package => GroupBy::Package,
        Division::Path => GroupBy::Path,
    }
}
