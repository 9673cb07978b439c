//! `roots`: the garbage collector roots that are links or files.

use super::args::JsonArg;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::render;

/// Lists the roots.
pub(super) fn roots(context: &Context, args: &JsonArg) -> Result<Exit, Failure> {
    let snapshot = context.snapshot(None)?;
    if args.json {
        out::json(&render::json::roots(&snapshot))?;
    } else {
        out::text(&render::table::roots(&snapshot, &context.view()));
    }
    Ok(Exit::Done)
}
