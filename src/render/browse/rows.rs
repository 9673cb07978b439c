//! Which rows a tab has, and in which order.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use super::keys::Tab;
use super::list::{Grouping, Heading, List, Row, Sort};
use super::scene::Scene;
use crate::domain::measure::Timestamp;
use crate::domain::plan::{Item, Subject};
use crate::domain::profile::{Owner, ProfileNames};
use crate::domain::root_use::LinkUse;
use crate::domain::snapshot::Held;
use crate::domain::store_path::ENCODED_DIGEST_SIZE;
use crate::render::text::natural_order;

/// The rows of a tab, in the order of the list and as far as its filter shows them.
pub(super) fn build(scene: &Scene, tab: Tab, list: &List) -> (Vec<Row>, Vec<Heading>) {
    let names = scene.names();
    let mut rows: Vec<Row> = match tab {
        Tab::Overview => Vec::new(),
        Tab::Generations | Tab::Leftovers | Tab::Holds => items(scene, tab).collect(),
        Tab::Roots => items(scene, tab)
            .chain(scene.other_roots().iter().map(|at| Row::Root(*at)))
            .collect(),
        Tab::Packages => match list.package {
            Some(node) => paths_of_package(scene, node),
            None => (0..scene.packages().len()).map(Row::Package).collect(),
        },
        Tab::DeadPaths => scene.dead().iter().map(|node| Row::Path(*node)).collect(),
    };
    if !list.filter.is_empty() {
        let wanted = list.filter.to_lowercase();
        rows.retain(|row| name(scene, &names, *row).to_lowercase().contains(&wanted));
    }
    sort(scene, &names, tab, list.sort, &mut rows);
    let (mut rows, headings) = group(scene, &names, list.grouping, rows);
    if tab == Tab::DeadPaths && !rows.is_empty() {
        rows.insert(0, Row::DeadPaths);
    }
    (rows, headings)
}

fn items(scene: &Scene, tab: Tab) -> impl Iterator<Item = Row> + '_ {
    let items = scene.items().iter().enumerate();
    let is_of_tab = move |item: &Item| match item.subject {
        Subject::Generation { .. } => tab == Tab::Generations,
        Subject::Root { .. } | Subject::RootLink { .. } => tab == Tab::Roots,
        Subject::Leftovers { .. } => tab == Tab::Leftovers,
        Subject::Hold { .. } => tab == Tab::Holds,
    };
    items
        .filter(move |(_, item)| is_of_tab(item))
        .map(|(at, _)| Row::Item(at))
}

fn paths_of_package(scene: &Scene, node: crate::domain::graph::NodeIdx) -> Vec<Row> {
    let graph = scene.store.graph();
    let package = graph.package_name(node);
    let nodes = graph.nodes();
    let mut nodes: Vec<_> = nodes
        .filter(|node| graph.package_name(*node) == package)
        .collect();
    nodes.sort_by_key(|node| Reverse(graph.nar_size_of(*node)));
    nodes.into_iter().map(Row::Path).collect()
}

/// What a row is called; not escaped.
pub(super) fn name<'a>(scene: &'a Scene, names: &ProfileNames<'_>, row: Row) -> Cow<'a, str> {
    let name: Option<Cow<'a, str>> = match row {
        Row::Heading(_) => None,
        Row::DeadPaths => Some("all dead paths".into()),
        Row::Item(at) => scene.item(at).map(|item| name_of_item(item, names).into()),
        Row::Root(at) => scene.root(at).map(|it| it.root.link.as_str().into()),
        Row::Package(at) => {
            let package = scene.packages().get(at);
            package.map(|it| scene.store.graph().package_name(it.node).into())
        }
        Row::Path(node) => Some(scene.store.graph().base_name(node).into()),
    };
    name.unwrap_or_default()
}

pub(super) fn name_of_item(item: &Item, names: &ProfileNames<'_>) -> String {
    match &item.subject {
        Subject::Generation {
            profile, number, ..
        } => format!("{}:{number}", names.of(profile)),
        Subject::Root { link, .. } | Subject::RootLink { link, .. } => link.to_string(),
        Subject::Leftovers { dir, .. } => dir.to_string(),
        Subject::Hold { held, .. } => match held {
            Held::Generation { profile, number } => format!("{}:{number}", names.of(profile)),
            Held::Root { .. } => names.held(held),
        },
    }
}

fn sort(scene: &Scene, names: &ProfileNames<'_>, tab: Tab, by: Sort, rows: &mut Vec<Row>) {
    match (by, tab) {
        // Items come in the order of the plan, paths and packages from the largest.
        (Sort::Usual, Tab::Roots) => {
            // What can be removed first, then what takes most.
            rows.sort_by_key(|row| (!can_be_removed(scene, *row), Reverse(size(scene, *row))));
        }
        // Systems first, as in a plan.
        (Sort::Usual, Tab::Generations) => {
            let profiles = scene.usual.plan.profiles.iter().enumerate();
            let places: BTreeMap<_, usize> = profiles.map(|(at, it)| (&it.profile, at)).collect();
            rows.sort_by_key(|row| match row {
                Row::Item(at) => match scene.item(*at).map(|item| &item.subject) {
                    Some(Subject::Generation { profile, .. }) => places.get(profile).copied(),
                    _ => None,
                },
                _ => None,
            });
        }
        (Sort::Usual, _) | (Sort::Size, Tab::DeadPaths) => {}
        (Sort::Size, _) => rows.sort_by_key(|row| Reverse(size(scene, *row))),
        (Sort::Age, _) => rows.sort_by_key(|row| {
            let time = time(scene, *row);
            (time.is_none(), time)
        }),
        (Sort::Name, _) => {
            let mut rows_by_name: Vec<(Cow<'_, str>, Row)> = rows
                .iter()
                .map(|row| (name(scene, names, *row), *row))
                .collect();
            rows_by_name.sort_by(|(a, _), (b, _)| by_name(tab, a, b));
            *rows = rows_by_name.into_iter().map(|(_, row)| row).collect();
        }
    }
}

/// A store path by its name, which is behind the hash.
fn by_name(tab: Tab, a: &str, b: &str) -> Ordering {
    let behind_hash = |text: &'_ str| match (tab, text.find('-')) {
        (Tab::DeadPaths | Tab::Packages, Some(ENCODED_DIGEST_SIZE)) => ENCODED_DIGEST_SIZE + 1,
        _ => 0,
    };
    let (from_a, from_b) = (behind_hash(a), behind_hash(b));
    natural_order(
        a.get(from_a..).unwrap_or_default(),
        b.get(from_b..).unwrap_or_default(),
    )
}

fn can_be_removed(scene: &Scene, row: Row) -> bool {
    let Row::Item(at) = row else { return false };
    scene.item(at).is_some_and(|item| item.removal().is_some())
}

/// What a row takes: alone, or on disk.
fn size(scene: &Scene, row: Row) -> u64 {
    match row {
        Row::Item(at) => match scene.item(at).map(|item| &item.subject) {
            Some(Subject::Leftovers { old, .. }) => old.bytes.0,
            _ => scene.alone(at).nar_bytes.0,
        },
        Row::Package(at) => {
            let package = scene.packages().get(at);
            package.map_or(0, |it| it.weight.nar_bytes.0)
        }
        Row::Path(node) => scene.store.graph().nar_size_of(node).0,
        Row::Heading(_) | Row::Root(_) | Row::DeadPaths => 0,
    }
}

/// When a row was made, or last used.
pub(super) fn time(scene: &Scene, row: Row) -> Option<Timestamp> {
    match row {
        Row::Item(at) => match &scene.item(at)?.subject {
            Subject::Generation { created, .. } => Some(*created),
            Subject::Leftovers { oldest, .. } => *oldest,
            Subject::Hold { until, .. } => Some(*until),
            Subject::RootLink { link, made_at, .. } => match scene.snapshot.uses.get(link) {
                Some(LinkUse::Seen(seen)) => Some(seen.last.at),
                _ => *made_at,
            },
            Subject::Root { .. } => None,
        },
        Row::Root(at) => scene.root(at)?.root.made_at,
        Row::Path(node) => Timestamp::from_unix(scene.store.graph().registered(node), 0),
        Row::Heading(_) | Row::Package(_) | Row::DeadPaths => None,
    }
}

/// The rows with a heading before each group. Groups come in the order of their first rows.
fn group(
    scene: &Scene,
    names: &ProfileNames<'_>,
    grouping: Grouping,
    rows: Vec<Row>,
) -> (Vec<Row>, Vec<Heading>) {
    let title = |row: &Row| title(scene, names, grouping, *row);
    if rows.iter().all(|row| title(row).is_none()) {
        return (rows, Vec::new());
    }
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut groups: Vec<(Heading, Vec<Row>)> = Vec::new();
    for row in rows {
        let title = title(&row).unwrap_or_default();
        let place = *places.entry(title.clone()).or_insert(groups.len());
        if place == groups.len() {
            let items = Vec::new();
            groups.push((Heading { title, items }, Vec::new()));
        }
        if let Some((heading, members)) = groups.get_mut(place) {
            if let Row::Item(at) = row {
                heading.items.push(at);
            }
            members.push(row);
        }
    }
    let (mut all, mut headings) = (Vec::new(), Vec::new());
    for (at, (heading, members)) in groups.into_iter().enumerate() {
        headings.push(heading);
        all.push(Row::Heading(at));
        all.extend(members);
    }
    (all, headings)
}

/// The group of a row; `None` where rows of its kind have none.
fn title(scene: &Scene, names: &ProfileNames<'_>, grouping: Grouping, row: Row) -> Option<String> {
    let of_owner = |owner: Option<&Owner>| {
        Some(owner.map_or("unknown owner".to_string(), ToString::to_string))
    };
    let item = match row {
        Row::Item(at) => scene.item(at)?,
        Row::Root(at) => {
            let root = &scene.root(at)?.root;
            return match grouping {
                Grouping::Usual => Some(root.kind.as_str().to_string()),
                Grouping::Owner => of_owner(root.owner.as_ref()),
                Grouping::Flat => None,
            };
        }
        _ => return None,
    };
    match (&item.subject, grouping) {
        (_, Grouping::Flat) => None,
        (Subject::Generation { profile, .. }, Grouping::Usual) => Some(names.of(profile)),
        (Subject::Generation { profile, .. }, Grouping::Owner) => {
            let planned = &scene.usual.plan.profiles;
            let planned = planned.iter().find(|it| it.profile == *profile);
            of_owner(planned.map(|it| &it.owner))
        }
        (Subject::Root { origin, .. } | Subject::RootLink { origin, .. }, Grouping::Usual) => {
            Some(origin.as_str().to_string())
        }
        (Subject::RootLink { owner, .. }, Grouping::Owner) => of_owner(owner.as_ref()),
        (Subject::Root { .. }, Grouping::Owner) => of_owner(None),
        (Subject::Leftovers { class, .. }, Grouping::Usual) => Some(class.to_string()),
        (Subject::Leftovers { owner, .. }, Grouping::Owner) => of_owner(Some(owner)),
        (Subject::Hold { .. }, _) => {
            let hold = scene.hold_of(item)?;
            Some(format!("run {}", hold.run))
        }
    }
}
