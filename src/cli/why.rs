//! `why`: shows which roots keep a path alive.

use camino::{Utf8Path, Utf8PathBuf};

use super::args::WhyArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::roots_are_hidden;
use super::{out, package};
use crate::domain::analysis::StoreAnalysis;
use crate::domain::graph::NodeIdx;
use crate::domain::note::{Note, NoteCode};
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::{StorePath, StorePathRef};
use crate::render::{self, json::WhyDocument};

/// Shows the chains from roots to a path.
pub(super) fn why(context: &Context, args: &WhyArgs) -> Result<Exit, Failure> {
    let observation = context.observe_for_jobs()?;
    let (snapshot, inspection) = (observation.snapshot, observation.store?);
    let package = args.path.as_str();
    let targets = match find(&inspection, &args.path) {
        Ok(target) => vec![target],
        // The name of a package is no path.
        Err(_) if inspection.has_package(package) && args.dot => {
            inspection.package_paths(package).collect()
        }
        Err(_) if inspection.has_package(package) => {
            return package::show(context, &snapshot, &inspection, package, args.json.json);
        }
        Err(failure) => return Err(failure),
    };
    let explain = |target| explain(&snapshot, &inspection, target, args.most);
    let documents = targets.into_iter().map(explain);
    let documents = documents.collect::<Result<Vec<_>, Failure>>()?;
    if args.dot {
        out::bytes(render::dot::why(&documents).as_bytes());
        return Ok(Exit::Done);
    }
    for document in &documents {
        if args.json.json {
            out::json(document)?;
        } else {
            out::text(&render::table::why(document, &context.view()));
        }
    }
    Ok(Exit::Done)
}

/// The chains to a path.
///
/// # Errors
/// When none was found and something hides roots.
fn explain(
    snapshot: &Snapshot,
    inspection: &StoreAnalysis,
    target: NodeIdx,
    most: usize,
) -> Result<WhyDocument, Failure> {
    let mut document = render::json::why(inspection, target, most);
    if let (Some(false) | None, Some(blocker)) = (document.live, snapshot.hidden_roots().next()) {
        return Err(roots_are_hidden(blocker));
    }
    let own = format!("/proc/{}/", std::process::id());
    let steps = document.chains.iter().flatten();
    let mut roots = steps.filter_map(|step| step.root.as_deref());
    if roots.any(|root| root.starts_with(&own)) {
        // As under sudo, which puts the words of the command into its environment.
        document.notes.push(Note::new(
            NoteCode::OwnEnvironment,
            "the environment of this command names a path that keeps it alive",
        ));
    }
    Ok(document)
}

/// The valid path that a text names: a store path, something below one, a base name, or a link to one.
fn find(inspection: &StoreAnalysis, text: &Utf8Path) -> Result<NodeIdx, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why);
    let path = store_path(inspection, text).ok_or_else(|| {
        usage(format!("{text} is not in the store {}", inspection.store()))
            .hint("Use a store path, a link to one, or the name of a package as in `nix-prune du --by package`.")
    })?;
    inspection.graph().find(&path.to_string()).ok_or_else(|| {
        usage(format!(
            "{} is not a valid path",
            path.to_absolute_path(inspection.store())
        ))
        .hint(
            "`nix-prune dead --json` lists names in the store directory that are not valid paths.",
        )
    })
}

fn store_path(inspection: &StoreAnalysis, text: &Utf8Path) -> Option<StorePath<String>> {
    let inside = |path: &Utf8Path| {
        let (path, _) = StorePathRef::from_absolute_path_full(path, inspection.store()).ok()?;
        Some(path.to_owned())
    };
    let absolute = std::path::absolute(text).ok();
    let absolute = absolute.and_then(|path| Utf8PathBuf::try_from(path).ok());
    let by_name = || {
        let path = StorePathRef::from_base_name(text.as_str()).ok()?;
        Some(path.to_owned())
    };
    absolute
        .as_deref()
        .and_then(inside)
        .or_else(by_name)
        .or_else(|| inside(&absolute.as_ref()?.canonicalize_utf8().ok()?))
}
