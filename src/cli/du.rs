//! `du`: shows store disk usage.

use super::args::{Division, DuArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{out, package};
use crate::adapters::disk;
use crate::domain::analysis::{GroupBy, Sets};
use crate::domain::leftover::{LeftoverQuery, LeftoversOperation, by_class};
use crate::domain::protected::ProtectedPaths;
use crate::engine::names;
use crate::ports::Survey;
use crate::render;

/// The number of largest paths or packages that are measured, so that the largest on disk are among them.
const MEASURED: usize = 2000;
/// The same for roots, profiles, generations and users: the size of each takes a walk through the graph.
const MEASURED_BY_ROOTS: usize = 200;

const DEFAULT_TOP: usize = 20;

/// Lists what uses the space.
pub(super) fn du(context: &Context, args: &DuArgs) -> Result<Exit, Failure> {
    if let Some(package) = &args.package {
        let (snapshot, inspection) = context.observe_all_roots()?;
        return package::show(context, &snapshot, &inspection, package, args.json.json);
    }
    if args.dot {
        return graph(context, args.top.unwrap_or(DEFAULT_TOP));
    }
    let by = match (args.by, args.exact, args.top) {
        (Some(by), ..) => group(by),
        (None, false, None) => return overview(context, args.json.json),
        (None, ..) => GroupBy::Root,
    };
    let top = args.top.unwrap_or(DEFAULT_TOP);
    let (snapshot, inspection) = context.observe_all_roots()?;
    let mut notes = inspection.notes(!inspection.dead().is_empty());
    let document = if args.exact {
        let measured = match by {
            GroupBy::Package | GroupBy::Path | GroupBy::Source => MEASURED,
            _ => MEASURED_BY_ROOTS,
        };
        let usage = inspection.usage(&snapshot, by, measured.max(top), Sets::Listed);
        let sets = usage.rows.iter().map(|row| row.set.iter().copied());
        let graph = inspection.graph();
        let groups: Vec<_> = sets.map(|set| names(graph, set)).collect();
        let disk = context.measure_groups(&groups)?;
        let all = context.measure(&names(graph, usage.whole.iter()))?;
        notes.extend(all.notes());
        render::json::du_on_disk(
            &usage,
            &disk,
            (Some(all.bytes), !all.at_most.is_empty()),
            top,
            notes,
        )
    } else {
        let usage = inspection.usage(&snapshot, by, top, Sets::Left);
        render::json::du(&usage, notes)
    };
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::du(&document, &context.view()));
    }
    Ok(Exit::Done)
}

/// Shows the disk, the store by who keeps what, and what Nix left beside the store.
fn overview(context: &Context, json: bool) -> Result<Exit, Failure> {
    let (snapshot, inspection) = context.observe_all_roots()?;
    let store = inspection.store().as_path();
    let disk = disk::fullness(store).ok();
    let shares = inspection.shares(&snapshot);
    let notes = inspection.notes(!inspection.dead().is_empty());
    let leftovers = context.observer(None).leftovers(LeftoverQuery {
        operation: &LeftoversOperation::any_age(),
        now: snapshot.taken_at,
        protected: &ProtectedPaths::default(),
    });
    let leftovers = by_class(&leftovers);
    let document = render::json::usage(store.as_str(), disk, &shares, &leftovers, notes);
    if json {
        out::json(&document)?;
    } else {
        out::text(&render::table::usage(&document, &context.view()));
    }
    Ok(Exit::Done)
}

/// Draws which profiles and roots share what.
fn graph(context: &Context, top: usize) -> Result<Exit, Failure> {
    let (snapshot, inspection) = context.observe_all_roots()?;
    let sharing = inspection.sharing(&snapshot, top);
    let notes = inspection.notes(sharing.dead.paths > 0);
    let graph = render::dot::sharing(&sharing, &context.zone, &notes);
    out::bytes(graph.as_bytes());
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
        Division::Source => GroupBy::Source,
    }
}
