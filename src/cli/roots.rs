//! `roots`: the garbage collector roots that are links or files.

use super::args::RootsArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::ports::told;
use crate::render;

/// Lists the roots.
pub(super) fn roots(context: &Context, args: &RootsArgs) -> Result<Exit, Failure> {
    let (snapshot, sizes) = if args.no_sizes {
        (context.snapshot(None)?, None)
    } else {
        let look = context.look(None)?;
        let mut snapshot = look.snapshot;
        let sizes = match look.store {
            Ok(store) => Some(store.sizes(&snapshot)),
            Err(error) => {
                snapshot
                    .notes
                    .push(format!("sizes are not known: {}", told(&error)));
                None
            }
        };
        (snapshot, sizes)
    };
    if args.json.json {
        out::json(&render::json::roots(&snapshot, sizes.as_ref()))?;
    } else {
        let view = context.view();
        out::text(&render::table::roots(&snapshot, sizes.as_ref(), &view));
    }
    Ok(Exit::Done)
}
