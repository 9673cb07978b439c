//! The generations of each profile in a plan.

use crate::domain::measure::Timestamp;
use crate::domain::plan::{Decision, Item, Plan, Subject};
use crate::domain::profile::{GenerationNumber, Owner, ProfilePath};
use crate::domain::retention::Reason;
use crate::render::reason;
use crate::render::table::grid::{Column, Grid};
use crate::render::table::{Page, Paint, View};
use crate::render::text::{ago, count, escape};

/// The items of one profile.
struct Group<'a> {
    path: &'a ProfilePath,
    rows: Vec<Row<'a>>,
}

#[derive(Clone, Copy)]
struct Row<'a> {
    number: GenerationNumber,
    created: Timestamp,
    decision: &'a Decision,
}

/// Every profile: those that the job does not touch in a line together, the others each with its generations.
pub(super) fn write(plan: &Plan, view: &View, page: &mut Page) {
    let (mut not_selected, mut not_yours) = (Vec::new(), Vec::new());
    for group in groups(&plan.items) {
        if group.all_are(&Reason::NotSelected) {
            not_selected.push(group);
        } else if group.all_are(&Reason::OtherOwner) {
            not_yours.push(group);
        } else {
            group.write(plan, view, page);
        }
    }
    if !not_selected.is_empty() || !not_yours.is_empty() {
        page.gap();
    }
    folded(&not_selected, "Not selected by the job (unchanged)", page);
    folded(&not_yours, "Owned by other users (unchanged)", page);
}

fn folded(groups: &[Group<'_>], heading: &str, page: &mut Page) {
    if groups.is_empty() {
        return;
    }
    let generations: usize = groups.iter().map(|g| g.rows.len()).sum();
    let paths: Vec<String> = groups.iter().map(|g| escape(&g.path.to_string())).collect();
    let (profiles, generations) = (
        count(groups.len(), "profile"),
        count(generations, "generation"),
    );
    page.line(format!(
        "{heading}: {profiles} with {generations} ({})",
        paths.join(", ")
    ));
}

/// Gathers the generations by profile, in the order in which the profiles come.
fn groups(items: &[Item]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for item in items {
        let Subject::Generation {
            profile,
            number,
            created,
            ..
        } = &item.subject
        else {
            continue;
        };
        let row = Row {
            number: *number,
            created: *created,
            decision: &item.decision,
        };
        match groups.last_mut().filter(|group| group.path == profile) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                path: profile,
                rows: vec![row],
            }),
        }
    }
    groups
}

impl Group<'_> {
    fn all_are(&self, reason: &Reason) -> bool {
        let is = |row: &Row<'_>| !row.is_removed() && row.decision.reasons().all(|r| r == reason);
        self.rows.iter().all(is)
    }

    fn write(&self, plan: &Plan, view: &View, page: &mut Page) {
        page.gap();
        page.line(self.heading(plan, view));
        page.line(format!(
            "  {}",
            view.paint(&escape(&self.path.to_string()), Paint::Dim)
        ));
        if let Some(reason) = self.ban() {
            let why = reason::sentence(reason, &|time| view.time(time));
            let why = view.paint(&escape(&why), Paint::Yellow);
            page.line(format!("  {why}"));
            return;
        }
        let mut grid = Grid::new(&[
            Column::new("Number").right(),
            Column::new("Created").importance(1),
            Column::new("Age").importance(0),
            Column::new("Verdict"),
            Column::new("Why").wrap(),
        ]);
        let (later, shown): (Vec<Row<'_>>, Vec<Row<'_>>) =
            self.rows.iter().copied().partition(Row::is_for_later);
        for row in shown {
            grid.row(row.cells(view));
        }
        grid.write(page, view.style);
        if !later.is_empty() {
            let generations = count(later.len(), "more generation");
            page.line(format!("  {generations}: left for later runs"));
        }
    }

    /// The one reason that keeps the whole profile from being touched, if there is one.
    fn ban(&self) -> Option<&Reason> {
        let reason = self
            .rows
            .iter()
            .find_map(|row| row.decision.reasons().next())?;
        let is_ban = matches!(reason, Reason::CurrentUnknown(_) | Reason::Blocked(_));
        (is_ban && self.all_are(reason)).then_some(reason)
    }

    /// `system (root) — 12 generations (current: 12), 7 kept, 5 removed`; the owner is known if one is removed.
    fn heading(&self, plan: &Plan, view: &View) -> String {
        let name = escape(self.path.name());
        let owner = owner(plan, self.path);
        let owner = owner.map_or(String::new(), |o| format!(" ({})", escape(&o.to_string())));
        let removed = self.rows.iter().filter(|row| row.is_removed()).count();
        let current = self.rows.iter().find(|row| row.is_current());
        let current = match (current, self.ban()) {
            (Some(row), _) => format!(" (current: {})", row.number),
            (None, Some(Reason::CurrentUnknown(_))) => " (current: unknown)".to_string(),
            (None, _) => String::new(),
        };
        let fates = match (self.rows.len() - removed, removed) {
            (_, 0) => "all kept".to_string(),
            (kept, removed) => format!("{kept} kept, {removed} removed"),
        };
        let generations = count(self.rows.len(), "generation");
        let name = view.paint(&format!("{name}{owner}"), Paint::Bold);
        format!("{name} — {generations}{current}, {fates}")
    }
}

fn owner<'a>(plan: &'a Plan, profile: &ProfilePath) -> Option<&'a Owner> {
    let mut removed = plan.removed_generations();
    let removed = removed.find(|facts| facts.profile == *profile);
    removed.map(|facts| &facts.owner)
}

impl Row<'_> {
    fn is_removed(&self) -> bool {
        matches!(self.decision, Decision::Remove(_))
    }

    fn is_for_later(&self) -> bool {
        self.decision.reasons().any(|r| *r == Reason::LaterRun)
    }

    fn is_current(&self) -> bool {
        self.decision.reasons().any(|r| *r == Reason::Current)
    }

    fn cells(&self, view: &View) -> Vec<String> {
        let time = |time| view.time(time);
        let why = reason::of_decision(self.decision, &time);
        let verdict = if self.is_removed() {
            view.paint("remove", Paint::Yellow)
        } else {
            view.paint("keep", Paint::Green)
        };
        vec![
            self.number.to_string(),
            view.time(self.created),
            ago(self.created, view.now),
            verdict,
            escape(&why),
        ]
    }
}
