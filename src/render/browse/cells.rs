//! The columns of each tab, and the texts of a row.

use std::borrow::Cow;

use super::keys::Tab;
use super::list::{Heading, Row};
use super::model::Model;
use super::rows;
use super::scene::Scene;
use crate::domain::measure::Bytes;
use crate::domain::plan::{Decision, Item, Subject};
use crate::domain::profile::ProfileNames;
use crate::domain::retention::Reason;
use crate::domain::risk::RiskLevel;
use crate::domain::root::GcRoot;
use crate::render::reason;
use crate::render::table::grid::Column;
use crate::render::table::{Paint, View, listing};
use crate::render::text::{ago, count, escape, short_target};

/// What removing an item frees, or why it is kept.
fn with_fate(mut columns: Vec<Column>) -> Vec<Column> {
    columns.extend([
        Column::new("Frees").right(),
        Column::new("Alone").right().importance(2),
        Column::new("Risk").importance(4),
        Column::new("Kept because")
            .importance(3)
            .cut_end()
            .at_least(20),
    ]);
    columns
}

/// The columns of a tab. The first one has the marks.
pub(super) fn columns(tab: Tab, is_package_open: bool) -> Vec<Column> {
    let mark = Column::new("");
    match tab {
        Tab::Overview => Vec::new(),
        Tab::Generations => with_fate(vec![
            mark,
            Column::new("Generation").cut_middle().at_least(16),
            Column::new("Created").importance(1),
            Column::new("Age").importance(5),
        ]),
        Tab::Roots => with_fate(vec![
            mark,
            Column::new("Link").cut_front().at_least(24),
            Column::new("Owner").importance(1).cut_end().at_least(8),
            Column::new("Last used")
                .importance(5)
                .cut_end()
                .at_least(12),
        ]),
        Tab::Leftovers => vec![
            mark,
            Column::new("Directory").cut_front().at_least(24),
            Column::new("Entries").importance(4),
            Column::new("On disk").right(),
            Column::new("Oldest").importance(3),
            Column::new("Kept").importance(1).cut_end(),
        ],
        Tab::Packages if is_package_open => path_columns(mark, "State"),
        Tab::Packages => vec![
            mark,
            Column::new("Package").cut_end().at_least(20),
            Column::new("Size").right(),
            Column::new("Share").right().importance(4),
            Column::new("Paths").right().importance(3),
            Column::new("Versions").right().importance(2),
            Column::new("").importance(1),
        ],
        Tab::DeadPaths => path_columns(mark, "Registered"),
        Tab::Holds => vec![
            mark,
            Column::new("Holds").cut_middle().at_least(24),
            Column::new("Ends"),
            Column::new("State").importance(4),
            Column::new("Frees").right().importance(5),
            Column::new("Alone").right().importance(2),
        ],
    }
}

fn path_columns(mark: Column, last: &'static str) -> Vec<Column> {
    vec![
        mark,
        Column::new("Path").cut_middle().at_least(24),
        Column::new("Size").right(),
        Column::new(last).importance(2),
    ]
}

/// The texts of a row, escaped.
pub(super) fn cells(model: &Model, names: &ProfileNames<'_>, row: Row) -> Vec<String> {
    let (scene, view) = (&model.scene, &model.view);
    match row {
        Row::Heading(at) => match model.list().headings.get(at) {
            Some(heading) => heading_cells(model, at, heading),
            None => Vec::new(),
        },
        Row::Item(at) => match scene.item(at) {
            Some(item) => item_cells(model, names, at, item),
            None => Vec::new(),
        },
        Row::Root(at) => scene
            .root(at)
            .map_or(Vec::new(), |it| root_cells(&it.root, view, model.indent())),
        Row::Package(at) => package_cells(scene, at),
        Row::Path(node) => {
            let graph = scene.store.graph();
            let last = if model.tab == Tab::Packages {
                let is_dead = scene.store.dead().contains(node);
                let (word, paint) = if is_dead {
                    ("dead", Paint::Yellow)
                } else {
                    ("live", Paint::Green)
                };
                view.paint(word, paint)
            } else {
                let time = rows::time(scene, row);
                time.map_or(String::new(), |time| ago(time, view.now))
            };
            let path = short_target(&scene.store.path(node));
            vec![
                "   ".to_string(),
                escape(&path),
                padded(graph.nar_size_of(node)),
                last,
            ]
        }
        Row::DeadPaths => {
            let dead = scene.what_if().dead();
            let all = format!("all {}", count(dead.paths, "dead path"));
            vec![
                mark(model.marks.are_dead_paths_marked(), view),
                view.paint(&all, Paint::Bold),
                padded(dead.nar_bytes),
            ]
        }
    }
}

fn heading_cells(model: &Model, at: usize, heading: &Heading) -> Vec<String> {
    let view = &model.view;
    let removable = heading.items.iter().filter(|at| {
        let item = model.scene.item(**at);
        item.is_some_and(|item| item.removal().is_some())
    });
    let removable: Vec<&usize> = removable.collect();
    let marked = removable
        .iter()
        .filter(|at| model.marks.is_marked(***at))
        .count();
    let mark = match (removable.len(), marked) {
        (0, _) => String::new(),
        (all, marked) if all == marked => mark(true, view),
        (_, 0) => mark(false, view),
        _ => view.paint("[-]", Paint::Green),
    };
    let title = view.paint(&escape(&heading.title), Paint::Bold);
    let frees = match (removable.len(), marked) {
        (0, _) => String::new(),
        (all, marked) if all == marked => view.paint(&format!("{:>10}", "marked"), Paint::Green),
        _ => view.paint(&padded(model.added_by_group(at).nar_bytes), Paint::Bold),
    };
    let all = count(heading.items.len(), "generation");
    let none = String::new;
    match model.tab {
        Tab::Generations => vec![mark, title, none(), all, frees],
        Tab::Roots | Tab::Holds => vec![mark, title, none(), none(), frees],
        _ => vec![mark, title],
    }
}

fn mark(is_marked: bool, view: &View) -> String {
    if is_marked {
        view.paint("[x]", Paint::Green)
    } else {
        "[ ]".to_string()
    }
}

/// A size in the width of the longest, so that columns stay where they are.
fn padded(bytes: Bytes) -> String {
    format!("{:>10}", bytes.to_string())
}

fn item_cells(model: &Model, names: &ProfileNames<'_>, at: usize, item: &Item) -> Vec<String> {
    let (scene, view) = (&model.scene, &model.view);
    let removal = model.marks.way(scene).plan.items.get(at);
    let removal = removal.and_then(Item::removal);
    let is_marked = model.marks.is_marked(at);
    let first = match removal {
        Some(_) => mark(is_marked, view),
        None => view.paint(" - ", Paint::Dim),
    };
    let name = rows::name_of_item(item, names);
    let name = escape(&listing::short_link(&shown_link(&name), view));
    let name = format!("{}{name}", model.indent());
    let name = if removal.is_some() {
        name
    } else {
        view.paint(&name, Paint::Dim)
    };
    let frees = match (removal, is_marked) {
        (None, _) => String::new(),
        (Some(_), true) => view.paint(&format!("{:>10}", "marked"), Paint::Green),
        (Some(_), false) => padded(model.marks.added(at).nar_bytes),
    };
    let alone = padded(scene.alone(at).nar_bytes);
    let risk = removal.map_or(String::new(), |removal| risk_word(removal.risk, view));
    let why = why_kept(item, view);
    match &item.subject {
        Subject::Generation { created, .. } => vec![
            first,
            name,
            view.time(*created),
            ago(*created, view.now),
            frees,
            alone,
            risk,
            why,
        ],
        Subject::RootLink { owner, .. } => {
            let owner = owner.as_ref().map(ToString::to_string);
            let root = scene.store.roots().iter();
            let root = root
                .map(|it| &it.root)
                .find(|root| root.link == item.subject.link());
            let used =
                root.map(|root| listing::last_use(root, scene.snapshot.uses.get(&root.link), view));
            let used = used.unwrap_or_default();
            let owner = escape(&owner.unwrap_or_default());
            vec![first, name, owner, used, frees, alone, risk, why]
        }
        Subject::Root { .. } => {
            let gone = view.paint("dangling", Paint::Yellow);
            let none = String::new;
            vec![first, name, none(), gone, frees, none(), risk, why]
        }
        Subject::Leftovers {
            class,
            old,
            oldest,
            kept,
            ..
        } => {
            let oldest = oldest.map_or(String::new(), |time| ago(time, view.now));
            let kept = match kept.entries {
                0 => String::new(),
                entries => format!("{entries} more in use or too young"),
            };
            vec![
                first,
                name,
                class.count(old.entries),
                padded(old.bytes),
                oldest,
                kept,
            ]
        }
        Subject::Hold { until, .. } => {
            let state = if *until > view.now {
                view.paint("restorable", Paint::Green)
            } else {
                view.paint("ended", Paint::Yellow)
            };
            vec![first, name, view.time(*until), state, frees, alone]
        }
    }
}

pub(super) fn risk_word(risk: RiskLevel, view: &View) -> String {
    let paint = match risk {
        RiskLevel::Low | RiskLevel::Medium => return risk.to_string(),
        RiskLevel::High => Paint::Yellow,
        RiskLevel::Critical => Paint::Red,
    };
    view.paint(risk.as_str(), paint)
}

/// The link of an environment by its project, whose name would be cut where all of the link is shown.
pub(super) fn shown_link(link: &str) -> Cow<'_, str> {
    for dir in ["/.direnv/", "/.devenv/"] {
        if let Some((project, _)) = link.split_once(dir) {
            return format!("{project}{dir}…").into();
        }
    }
    link.into()
}

/// Why an item cannot be marked; nothing for what can be. The rule that keeps the last generation is not of the settings,
/// and says nothing where there is another reason.
pub(super) fn why_kept(item: &Item, view: &View) -> String {
    let Decision::Keep { reasons } = &item.decision else {
        return String::new();
    };
    let is_ours = |reason: &&Reason| matches!(reason, Reason::Last(1));
    let mut all: Vec<&Reason> = reasons.iter().filter(|reason| !is_ours(reason)).collect();
    if all.is_empty() {
        all = reasons.iter().collect();
    }
    let time = |time| view.time(time);
    let all: Vec<String> = all.iter().map(|it| reason::sentence(it, &time)).collect();
    escape(&all.join("; "))
}

fn root_cells(root: &GcRoot, view: &View, indent: &str) -> Vec<String> {
    let owner = root.owner.as_ref().map(ToString::to_string);
    let made = root.made_at.map(|time| ago(time, view.now));
    let none = String::new;
    let name = format!("{indent}{}", escape(root.link.as_str()));
    vec![
        view.paint(" - ", Paint::Dim),
        view.paint(&name, Paint::Dim),
        escape(&owner.unwrap_or_default()),
        made.unwrap_or_default(),
        none(),
        none(),
        none(),
        why_no_item(root).to_string(),
    ]
}

/// Why a root that no rule may be about stays.
pub(super) fn why_no_item(root: &GcRoot) -> &'static str {
    use crate::domain::root::RootKind;
    match root.kind {
        RootKind::Process => "a process uses it",
        RootKind::Temporary => "a Nix command uses it",
        RootKind::System => "the booted or running system",
        RootKind::Profile => "a generation of another profile",
        RootKind::Home => "home-manager uses it",
        RootKind::Container => "a container uses it",
        RootKind::FlakeInput => "a flake locks it (keepFlakeInputs)",
        _ => "it was made a root by hand, outside gcroots/auto",
    }
}

fn package_cells(scene: &Scene, at: usize) -> Vec<String> {
    const BAR_COLUMNS: u128 = 20;
    let Some(package) = scene.packages().get(at) else {
        return Vec::new();
    };
    let all = u128::from(scene.all().0.max(1));
    let size = u128::from(package.weight.nar_bytes.0);
    let share = match size * 100 / all {
        0 if size > 0 => "<1%".to_string(),
        percent => format!("{percent}%"),
    };
    let bar = usize::try_from((size * BAR_COLUMNS).div_ceil(all)).unwrap_or_default();
    vec![
        "   ".to_string(),
        escape(scene.store.graph().package_name(package.node)),
        padded(package.weight.nar_bytes),
        format!("{share:>4}"),
        format!("{:>7}", package.weight.paths),
        package.versions.to_string(),
        "█".repeat(bar),
    ]
}
