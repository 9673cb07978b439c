//! The versions of a package, for `du` and `why`.

use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::domain::analysis::StoreAnalysis;
use crate::domain::snapshot::Snapshot;
use crate::render;

/// Shows the versions of a package, and what keeps each.
pub(super) fn show(
    context: &Context,
    snapshot: &Snapshot,
    inspection: &StoreAnalysis,
    package: &str,
    json: bool,
) -> Result<Exit, Failure> {
    let document = render::json::package(snapshot, inspection, package);
    if document.versions.is_empty() {
        let message = format!("no path in the store belongs to a package `{package}`");
        return Err(Failure::new(Exit::Usage, message)
            .hint("`nix-prune du --by package` lists the packages."));
    }
    if json {
        out::json(&document)?;
    } else {
        out::text(&render::table::package(&document, &context.view()));
    }
    Ok(Exit::Done)
}
