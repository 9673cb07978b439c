//! One row for each profile, and for roots and holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::leftover::{LeftoverClass, LeftoverSum};
use crate::domain::measure::Bytes;
use crate::domain::plan::{Decision, Plan, PlannedProfile, RemovalRule, Subject};
use crate::domain::profile::{GenerationNumber, ProfileNames, ProfilePath};
use crate::domain::retention::Reason;
use crate::domain::root::RootKind;
use crate::render::reason;
use crate::render::table::grid::{Column, Grid};
use crate::render::table::{Page, Paint, View};
use crate::render::text::{count, escape, ranges};

use super::ban;

/// Writes a row for each profile that the job may change, one for those that it may not, and one for each other kind of item.
pub(super) fn write(plan: &Plan, view: &View, page: &mut Page) {
    let mut grid = Grid::new(&[
        Column::new("Profile").cut_front(),
        Column::new("Keep").right(),
        Column::new("Remove").right(),
        Column::new("").importance(1).at_least(10).wrap(),
        Column::new("Frees").right(),
    ]);
    let names: ProfileNames<'_> = plan
        .profiles
        .iter()
        .map(|planned| &planned.profile)
        .collect();
    let (mut not_selected, mut not_ours) = (Vec::new(), Vec::new());
    for planned in &plan.profiles {
        let row = Row::of(plan, planned);
        if plan.keep.is_none() && row.decisions.is_empty() {
            // Nothing is decided without rules, and "0" kept generations would be a lie.
            continue;
        }
        if row.all_are(&Reason::NotSelected) {
            not_selected.push(row);
        } else if row.all_are(&Reason::OtherOwner) {
            not_ours.push(row);
        } else {
            // A failed check says why a profile is skipped.
            let path = planned.profile.to_path();
            let is_checked = plan.failed_checks.iter().any(|check| check.concerns(&path));
            grid.row(row.cells(&names.of(&planned.profile), is_checked, view));
        }
    }
    for (rows, what) in [(not_selected, "not selected"), (not_ours, "of other users")] {
        if !rows.is_empty() {
            let kept: usize = rows.iter().map(|row| row.decisions.len()).sum();
            let name = format!("{} {what}", count(rows.len(), "profile"));
            grid.row([name, kept.to_string()]);
        }
    }
    others(plan, view, &mut grid);
    page.gap();
    grid.write(page, view.style);
}

/// Dangling roots, vanished roots, holds and leftovers.
fn others(plan: &Plan, view: &View, grid: &mut Grid) {
    links(plan, view, grid);
    let mut row = |name: &str, is: &dyn Fn(&Subject) -> bool, text: &str| {
        let items = || plan.items.iter().filter(|item| is(&item.subject));
        let removed = items().filter(|item| item.removal().is_some()).count();
        let kept = items().count() - removed;
        if kept + removed > 0 {
            grid.row(cells(name, kept as u64, removed as u64, text, None, view));
        }
    };
    row(
        "dangling roots",
        &|it| matches!(it, Subject::Root { .. }),
        "",
    );
    let early = super::removed_by(plan, RemovalRule::NeededNow);
    let early = match early {
        0 => String::new(),
        early => format!("{early} before their undo windows end"),
    };
    row("holds", &|it| matches!(it, Subject::Hold { .. }), &early);
    leftovers(plan, view, grid);
    if !plan.vanished.is_empty() {
        let text = "their targets are held for the undo window";
        grid.row(cells(
            "vanished roots",
            plan.vanished.len() as u64,
            0,
            text,
            None,
            view,
        ));
    }
}

/// Links of roots, with the kinds of those that are removed.
fn links(plan: &Plan, view: &View, grid: &mut Grid) {
    let mut kinds: BTreeMap<RootKind, usize> = BTreeMap::new();
    let mut kept = 0;
    for item in &plan.items {
        match (&item.subject, &item.decision) {
            (Subject::RootLink { origin, .. }, Decision::Remove(_)) => {
                *kinds.entry(*origin).or_default() += 1;
            }
            (Subject::RootLink { .. }, Decision::Keep { .. }) => kept += 1,
            _ => {}
        }
    }
    let removed: usize = kinds.values().sum();
    if kept + removed > 0 {
        let kinds = kinds
            .iter()
            .map(|(kind, n)| format!("{n} {}", kind.as_str()));
        let text = kinds.collect::<Vec<_>>().join(", ");
        let frees = plan.prediction.root_links.filter(|_| removed > 0);
        grid.row(cells(
            "roots",
            kept as u64,
            removed as u64,
            &text,
            frees,
            view,
        ));
    }
}

/// A row for each class of leftovers.
fn leftovers(plan: &Plan, view: &View, grid: &mut Grid) {
    for class in LeftoverClass::ALL {
        let (mut gone, mut kept) = (LeftoverSum::default(), LeftoverSum::default());
        for item in &plan.items {
            match &item.subject {
                Subject::Leftovers {
                    class: of,
                    old,
                    kept: others,
                    ..
                } if *of == class => {
                    kept.join(*others);
                    match item.decision {
                        Decision::Remove(_) => gone.join(*old),
                        Decision::Keep { .. } => kept.join(*old),
                    }
                }
                _ => {}
            }
        }
        if gone.entries + kept.entries > 0 {
            let text = if gone.entries > 0 {
                "size on disk; not restorable"
            } else {
                ""
            };
            let bytes = (gone.entries > 0).then_some(gone.bytes);
            grid.row(cells(
                &class.to_string(),
                kept.entries,
                gone.entries,
                text,
                bytes,
                view,
            ));
        }
    }
}

fn cells(
    name: &str,
    kept: u64,
    removed: u64,
    text: &str,
    frees: Option<Bytes>,
    view: &View,
) -> [String; 5] {
    let removed = match removed {
        0 => "-".to_string(),
        removed => view.paint(&removed.to_string(), Paint::Yellow),
    };
    let frees = frees.map_or(String::new(), |bytes| bytes.to_string());
    [
        escape(name),
        kept.to_string(),
        removed,
        text.to_string(),
        frees,
    ]
}

/// What becomes of the generations of a profile.
struct Row<'a> {
    planned: &'a PlannedProfile,
    decisions: Vec<(GenerationNumber, &'a Decision)>,
}

impl<'a> Row<'a> {
    fn of(plan: &'a Plan, planned: &'a PlannedProfile) -> Self {
        let of_profile = |subject: &Subject, path: &ProfilePath| match subject {
            Subject::Generation {
                profile, number, ..
            } if profile == path => Some(*number),
            _ => None,
        };
        let items = plan.items.iter();
        let decisions = items.filter_map(|item| {
            let number = of_profile(&item.subject, &planned.profile)?;
            Some((number, &item.decision))
        });
        Self {
            planned,
            decisions: decisions.collect(),
        }
    }

    fn all_are(&self, reason: &Reason) -> bool {
        let mut decisions = self.decisions.iter();
        !self.decisions.is_empty()
            && decisions.all(|(_, decision)| match decision {
                Decision::Keep { reasons } => reasons.iter().all(|it| it == reason),
                Decision::Remove(_) => false,
            })
    }

    fn cells(&self, name: &str, is_checked: bool, view: &View) -> [String; 5] {
        let removed = |decision: &Decision| matches!(decision, Decision::Remove(_));
        let numbers = self.decisions.iter().filter(|(_, it)| removed(it));
        let numbers: BTreeSet<u32> = numbers.map(|(number, _)| number.0).collect();
        let later = |decision: &Decision| decision.reasons().any(|it| *it == Reason::LaterRun);
        let later = self.decisions.iter().filter(|(_, it)| later(it)).count();
        let mut text = ranges(&numbers);
        if later > 0 {
            text = format!("{text}; {later} left for later runs");
        }
        if let Some(reason) = ban(self.decisions.iter().map(|(_, decision)| *decision)) {
            let why = reason::sentence(reason, &|time| view.time(time));
            let why = if is_checked {
                String::new()
            } else {
                format!(": {why}")
            };
            text = escape(&format!("skipped{why}"));
        }
        let frees = self.planned.frees.filter(|_| !numbers.is_empty());
        let kept = self.decisions.len() - numbers.len();
        cells(name, kept as u64, numbers.len() as u64, &text, frees, view)
    }
}
