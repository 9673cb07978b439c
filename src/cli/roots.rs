//! `roots`: lists GC roots, including those of running processes.

use std::cmp::Ordering;

use super::args::{RootOrder, RootsArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::sizes_unknown;
use super::out;
use crate::adapters::store::Care;
use crate::adapters::survey::Observer;
use crate::domain::analysis::Sizes;
use crate::domain::measure::Timestamp;
use crate::domain::note::{Note, NoteCode};
use crate::domain::root::GcRoot;
use crate::domain::root_use::LinkUse;
use crate::domain::snapshot::Snapshot;
use crate::ports::Survey;
use crate::render;
use crate::render::text::natural_order;

/// Lists the roots.
pub(super) fn roots(context: &Context, args: &RootsArgs) -> Result<Exit, Failure> {
    let jobs = context.enabled_jobs();
    let survey = Observer {
        uses_of_links: true,
        ..context.observer_of(&jobs.iter().collect::<Vec<_>>())
    };
    let (mut snapshot, running, sizes) = if args.no_sizes {
        (survey.snapshot()?, context.reader(None).running(), None)
    } else {
        let observation = context.observe_by(Care::Quick, &survey)?;
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
    select(&mut snapshot, sizes.as_ref(), args);
    if args.json.json {
        out::json(&render::json::roots(&snapshot, sizes.as_ref()))?;
    } else if args.tsv {
        out::text(&render::table::roots_tsv(&snapshot, sizes.as_ref()));
    } else {
        let view = context.view();
        out::text(&render::table::roots(&snapshot, sizes.as_ref(), &view));
    }
    Ok(Exit::Done)
}

/// Leaves the roots that were asked for, in the order that was asked for.
fn select(snapshot: &mut Snapshot, sizes: Option<&Sizes>, args: &RootsArgs) {
    let made_before = args.older.map(|age| snapshot.taken_at.before(age));
    let used_before = args.unused.map(|age| snapshot.taken_at.before(age));
    // Of a link that no rule removes, only its own time is known.
    let used = |root: &GcRoot| match snapshot.uses.get(&root.link) {
        Some(LinkUse::Seen(seen)) => Some(seen.last.at),
        Some(LinkUse::Process(_) | LinkUse::Unknown(_)) => None,
        None => root.made_at,
    };
    let is_wanted = |root: &GcRoot| {
        let of_user = |user: &String| {
            let owner = root.owner.as_ref();
            owner.is_some_and(|it| it.name.as_ref() == Some(user) || it.uid.to_string() == *user)
        };
        !root.is_released_hold()
            && (args.kind.is_empty() || args.kind.contains(&root.kind))
            && (args.user.is_empty() || args.user.iter().any(of_user))
            && made_before.is_none_or(|at| root.made_at.is_some_and(|made| made < at))
            && used_before.is_none_or(|at| used(root).is_some_and(|used| used < at))
    };
    snapshot.roots.retain(is_wanted);
    let exclusive = |root: &GcRoot| sizes.and_then(|sizes| sizes.of_root(root).exclusive);
    snapshot.roots.sort_by(|a, b| {
        let by_link = natural_order(a.link.as_str(), b.link.as_str());
        match args.sort {
            RootOrder::Link => by_link,
            RootOrder::Size => exclusive(b).cmp(&exclusive(a)).then(by_link),
            RootOrder::Age => known_first(a.made_at, b.made_at).then(by_link),
            RootOrder::Use => known_first(used(a), used(b)).then(by_link),
        }
    });
}

/// The oldest time first. A root without a time comes last.
fn known_first(a: Option<Timestamp>, b: Option<Timestamp>) -> Ordering {
    (a.is_none(), a).cmp(&(b.is_none(), b))
}
