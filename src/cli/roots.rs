//! `roots`: lists GC roots, including those of running processes.

use super::args::RootsArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::sizes_unknown;
use super::out;
use crate::domain::note::{Note, NoteCode};
use crate::render;

/// Lists the roots.
pub(super) fn roots(context: &Context, args: &RootsArgs) -> Result<Exit, Failure> {
    let (mut snapshot, running, sizes) = if args.no_sizes {
        let snapshot = context.snapshot(None)?;
        (snapshot, context.reader(None).running(), None)
    } else {
        let observation = context.observe()?;
        let mut snapshot = observation.snapshot;
        let sizes = match observation.store {
            Ok(store) => {
                snapshot.notes.extend_from_slice(store.remarks());
                Some(store.sizes(&snapshot))
            }
            Err(error) => {
                snapshot.notes.push(sizes_unknown(&error));
                None
            }
        };
        (snapshot, observation.running, sizes)
    };
    snapshot.roots.extend(running.roots);
    let hidden = running.hidden.iter();
    let hidden = hidden.map(|why| {
        let text = format!("root list may be incomplete: {why}");
        Note::new(NoteCode::RootsIncomplete, text)
    });
    snapshot.notes.extend(hidden);
    if args.json.json {
        out::json(&render::json::roots(&snapshot, sizes.as_ref()))?;
    } else {
        let view = context.view();
        out::text(&render::table::roots(&snapshot, sizes.as_ref(), &view));
    }
    Ok(Exit::Done)
}
