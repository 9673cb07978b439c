//! A plan with every item and all reasons.

use crate::domain::measure::Timestamp;
use crate::domain::plan::{Decision, Item, Plan, PlannedProfile, Subject};
use crate::domain::profile::{GenerationNumber, ProfileNames};
use crate::domain::retention::Reason;
use crate::domain::root::is_in_auto;
use crate::render::reason;
use crate::render::table::grid::{Column, Grid};
use crate::render::table::{Page, Paint, View};
use crate::render::text::{ago, count, escape};

use super::{ban, blockers, foot, head};

/// The most vanished roots that are listed one by one: thousands of links come and go on a build machine.
pub(in crate::render::table) const MAX_HOLDS_SHOWN: usize = 10;

/// A plan with every item and all reasons.
pub fn plan_in_full(plan: &Plan, view: &View) -> String {
    let mut page = Page::default();
    head(plan, view, &mut page);
    blockers(&plan.failed_checks, plan.skips_collection, view, &mut page);
    profiles(plan, view, &mut page);
    roots(plan, view, &mut page);
    holds(plan, view, &mut page);
    leftovers(plan, view, &mut page);
    foot(plan, None, view, &mut page);
    page.finish()
}

/// The items of one profile.
struct Group<'a> {
    planned: &'a PlannedProfile,
    rows: Vec<Row<'a>>,
}

#[derive(Clone, Copy)]
struct Row<'a> {
    number: GenerationNumber,
    created: Timestamp,
    item: &'a Item,
}

/// Every profile: those that the job does not touch in a line together, the others each with its generations.
fn profiles(plan: &Plan, view: &View, page: &mut Page) {
    let names: ProfileNames<'_> = plan.profiles.iter().map(|it| &it.profile).collect();
    let (mut not_selected, mut not_ours) = (Vec::new(), Vec::new());
    for planned in &plan.profiles {
        let group = Group::of(plan, planned);
        if plan.keep.is_none() && group.rows.is_empty() {
            // Nothing is decided without rules.
            continue;
        }
        if group.all_are(&Reason::NotSelected) {
            not_selected.push(group);
        } else if group.all_are(&Reason::OtherOwner) {
            not_ours.push(group);
        } else {
            group.write(&names, view, page);
        }
    }
    if !not_selected.is_empty() || !not_ours.is_empty() {
        page.gap();
    }
    folded(
        &not_selected,
        "Not selected by the job (unchanged)",
        view,
        page,
    );
    folded(&not_ours, "Owned by other users (unchanged)", view, page);
}

fn folded(groups: &[Group<'_>], heading: &str, view: &View, page: &mut Page) {
    if groups.is_empty() {
        return;
    }
    let generations: usize = groups.iter().map(|group| group.rows.len()).sum();
    let paths: Vec<String> = groups.iter().map(|group| escape(&group.path())).collect();
    let profiles = count(groups.len(), "profile");
    let generations = count(generations, "generation");
    let text = format!(
        "{heading}: {profiles} with {generations} ({})",
        paths.join(", ")
    );
    page.prose("", &text, view.style);
}

impl<'a> Group<'a> {
    fn of(plan: &'a Plan, planned: &'a PlannedProfile) -> Self {
        let row = |item: &'a Item| match &item.subject {
            Subject::Generation {
                profile,
                number,
                created,
                ..
            } if *profile == planned.profile => Some(Row {
                number: *number,
                created: *created,
                item,
            }),
            _ => None,
        };
        let rows = plan.items.iter().filter_map(row).collect();
        Self { planned, rows }
    }

    fn path(&self) -> String {
        self.planned.profile.to_string()
    }

    fn all_are(&self, reason: &Reason) -> bool {
        let is = |row: &Row<'_>| !row.is_removed() && row.reasons().all(|it| it == reason);
        self.rows.iter().all(is)
    }

    fn write(&self, names: &ProfileNames<'_>, view: &View, page: &mut Page) {
        page.gap();
        page.cut_line(self.heading(names, view), view.style);
        page.line(format!(
            "  {}",
            view.paint(&escape(&self.path()), Paint::Dim)
        ));
        if let Some(reason) = ban(self.rows.iter().map(|row| &row.item.decision)) {
            let why = reason::sentence(reason, &|time| view.time(time));
            page.prose("  ", &view.paint(&escape(&why), Paint::Yellow), view.style);
            return;
        }
        let mut grid = Grid::new(&[
            Column::new("Number").right(),
            Column::new("Created").importance(1),
            Column::new("Age").importance(3),
            Column::new("Exclusive").right().importance(2),
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

    /// `system (root): 12 generations (current: 12), 7 kept, 5 removed`.
    fn heading(&self, names: &ProfileNames<'_>, view: &View) -> String {
        let PlannedProfile {
            profile,
            owner,
            current,
            ..
        } = self.planned;
        let name = format!("{} ({owner})", names.of(profile));
        let name = view.paint(&escape(&name), Paint::Bold);
        let removals = || self.rows.iter().filter_map(|row| row.item.removal());
        let removed = removals().count();
        let risk = removals().map(|removal| removal.risk).max();
        let current = current.map_or("unknown".to_string(), |number| number.to_string());
        let verdicts = match (self.rows.len() - removed, risk) {
            (_, None) => "all kept".to_string(),
            (kept, Some(risk)) => format!("{kept} kept, {removed} removed ({risk} risk)"),
        };
        let generations = count(self.rows.len(), "generation");
        format!("{name}: {generations} (current: {current}), {verdicts}")
    }
}

impl Row<'_> {
    fn is_removed(&self) -> bool {
        self.item.removal().is_some()
    }

    fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.item.decision.reasons()
    }

    fn is_for_later(&self) -> bool {
        self.reasons().any(|reason| *reason == Reason::LaterRun)
    }

    fn cells(&self, view: &View) -> [String; 6] {
        let time = |time| view.time(time);
        let why = reason::of_decision(&self.item.decision, &time);
        let verdict = verdict(&self.item.decision, view);
        let exclusive = self.item.exclusive_bytes;
        [
            self.number.to_string(),
            view.time(self.created),
            ago(self.created, view.now),
            exclusive.map_or(String::new(), |bytes| bytes.to_string()),
            verdict,
            escape(&why),
        ]
    }
}

/// Dangling roots, grouped by what is done with them. Each path has a line of its own, so that it can be copied.
fn roots(plan: &Plan, view: &View, page: &mut Page) {
    if !plan.vanished.is_empty() {
        page.heading(view, "Roots that vanished since the last run");
        page.line("  their targets are held for the undo window");
        for facts in plan.vanished.iter().take(MAX_HOLDS_SHOWN) {
            page.line(format!("    {}", escape(facts.link.as_str())));
        }
        if let Some(more @ 1..) = plan.vanished.len().checked_sub(MAX_HOLDS_SHOWN) {
            page.line(format!(
                "    {more} more; `nix-prune plan --json` lists all"
            ));
        }
    }
    links(plan, view, page);
    let roots = plan.items.iter().filter_map(|item| match &item.subject {
        Subject::Root { link, entry, .. } => {
            let by_hand = entry.as_ref().filter(|entry| !is_in_auto(entry));
            let text = by_hand.map_or(link.to_string(), |entry| format!("{entry} -> {link}"));
            Some((item, text))
        }
        _ => None,
    });
    grouped(roots, "Dangling GC roots", view, page);
}

/// Links of roots that the rules of the job are about.
fn links(plan: &Plan, view: &View, page: &mut Page) {
    let mut grid = Grid::new(&[
        Column::new("Link").cut_front(),
        Column::new("Kind").importance(1),
        Column::new("Owner").importance(3),
        Column::new("Exclusive").right().importance(2),
        Column::new("Verdict"),
        Column::new("Why").wrap(),
    ]);
    let mut is_empty = true;
    for item in &plan.items {
        if let Subject::RootLink {
            link,
            origin,
            owner,
            ..
        } = &item.subject
        {
            let owner = owner.as_ref().map(ToString::to_string);
            let why = reason::of_decision(&item.decision, &|time| view.time(time));
            grid.row([
                escape(link.as_str()),
                origin.as_str().to_string(),
                escape(&owner.unwrap_or_default()),
                item.exclusive_bytes
                    .map_or(String::new(), |bytes| bytes.to_string()),
                verdict(&item.decision, view),
                escape(&why),
            ]);
            is_empty = false;
        }
    }
    if !is_empty {
        page.heading(view, "GC roots");
        grid.write(page, view.style);
    }
}

fn verdict(decision: &Decision, view: &View) -> String {
    match decision {
        Decision::Remove(_) => view.paint("remove", Paint::Yellow),
        Decision::Keep { .. } => view.paint("keep", Paint::Green),
    }
}

fn holds(plan: &Plan, view: &View, page: &mut Page) {
    let names: ProfileNames<'_> = plan.profiles.iter().map(|it| &it.profile).collect();
    let holds = plan.items.iter().filter_map(|item| match &item.subject {
        Subject::Hold { held, until, .. } => {
            let bytes = item
                .exclusive_bytes
                .map(|bytes| format!(", {bytes} exclusive"));
            let bytes = bytes.unwrap_or_default();
            let (until, held) = (view.time(*until), names.held(held));
            Some((item, format!("until {until}: {held}{bytes}")))
        }
        _ => None,
    });
    grouped(holds, "Holds of earlier runs", view, page);
}

fn leftovers(plan: &Plan, view: &View, page: &mut Page) {
    let found = plan.items.iter().filter_map(|item| match &item.subject {
        Subject::Leftovers {
            class,
            dir,
            old,
            kept,
            oldest,
            ..
        } => {
            let oldest = oldest.map_or(String::new(), |at| {
                format!(", the oldest of {}", view.time(at))
            });
            let others = match kept.entries {
                0 => String::new(),
                entries => format!("; {entries} kept, {} on disk", kept.bytes),
            };
            let old = (old.entries > 0).then(|| {
                format!(
                    ": {}, {} on disk{oldest}",
                    class.count(old.entries),
                    old.bytes
                )
            });
            let old = old.unwrap_or_else(|| format!(": {class}"));
            Some((item, format!("{dir}{old}{others}")))
        }
        _ => None,
    });
    grouped(found, "Leftovers (not restorable)", view, page);
}

fn grouped<'a>(
    items: impl Iterator<Item = (&'a Item, String)>,
    heading: &str,
    view: &View,
    page: &mut Page,
) {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (item, text) in items {
        let verdict = match item.decision {
            Decision::Remove(_) => "remove",
            Decision::Keep { .. } => "keep",
        };
        let why = reason::of_decision(&item.decision, &|time| view.time(time));
        let name = format!("{verdict}: {why}");
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(text),
            None => groups.push((name, vec![text])),
        }
    }
    if groups.is_empty() {
        return;
    }
    page.heading(view, heading);
    for (name, members) in groups {
        page.prose("  ", &escape(&name), view.style);
        for member in members {
            page.line(format!("    {}", escape(&member)));
        }
    }
}
