//! `touch`: marks a project as used.

use super::args::TouchArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::adapters::projects;
use crate::domain::measure::count;
use crate::ports::Clock;
use crate::render::text::escape;

/// Sets the time of the links of a project, so that rules for unused roots keep them.
pub(super) fn touch(context: &Context, args: &TouchArgs) -> Result<Exit, Failure> {
    let dir = &args.dir;
    let touched = projects::touch(dir, &context.places.store, context.clock.now());
    let touched = touched.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot mark {dir} as used: {error}"))
            .hint("Name the directory of a project that you own.")
    })?;
    let dir = escape(dir.as_str());
    out::text(&match touched.len() {
        0 => format!("No link in {dir} points into the store.\n"),
        number => format!("Marked {} in {dir} as used.\n", count(number, "root link")),
    });
    Ok(Exit::Done)
}
