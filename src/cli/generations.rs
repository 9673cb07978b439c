//! `generations`: what profiles there are, and what they keep.

use super::args::GenerationsArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::domain::job::ProfileRef;
use crate::domain::snapshot::Snapshot;
use crate::render;

/// Lists profiles and generations.
pub(super) fn generations(context: &Context, args: &GenerationsArgs) -> Result<Exit, Failure> {
    let mut snapshot = context.snapshot(None)?;
    // What the settings pin shows as pinned; to list what is there they need not be valid.
    let settings = context.settings().ok();
    let protecting = settings.and_then(|s| s.jobs().next().map(|job| job.job().clone()));
    if !args.profiles.is_empty() {
        select(&mut snapshot, &args.profiles)?;
    }
    if args.json.json {
        out::json(&render::json::generations(&snapshot, protecting.as_ref()))?;
    } else {
        out::text(&render::table::generations(
            &snapshot,
            protecting.as_ref(),
            &context.view(),
        ));
    }
    Ok(Exit::Done)
}

fn select(snapshot: &mut Snapshot, names: &[String]) -> Result<(), Failure> {
    let mut wanted = Vec::new();
    for name in names {
        let reference = ProfileRef::parse(name);
        let found = |p: &&crate::domain::profile::Profile| {
            reference.as_ref().is_some_and(|r| r.names(&p.path))
        };
        let paths: Vec<_> = snapshot
            .profiles
            .iter()
            .filter(found)
            .map(|p| p.path.clone())
            .collect();
        if paths.is_empty() {
            return Err(
                Failure::new(Exit::Usage, format!("there is no profile `{name}`"))
                    .hint("`nix-prune generations` lists them all."),
            );
        }
        wanted.extend(paths);
    }
    snapshot.profiles.retain(|p| wanted.contains(&p.path));
    Ok(())
}
