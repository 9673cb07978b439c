//! A plan on one screen: what it frees now and later, what it costs, and what to do next.

use std::ops::Deref;

use crate::domain::blocker::Blocker;
use crate::domain::budget::{Disk, Inodes};
use crate::domain::leftover::{LeftoverClass, LeftoverSum};
use crate::domain::measure::{Bytes, Span};
use crate::domain::plan::{
    Action, Decision, Item, Later, Plan, PlannedKeep, Prediction, RemovalRule, Subject,
};
use crate::domain::profile::ProfileNames;
use crate::domain::retention::Reason;
use crate::domain::risk::RiskLevel;
use crate::render::text::{capital, count, escape, list};

use super::{Page, Paint, View, budget};

mod checks;
mod full;
mod question;
mod rows;

pub(super) use checks::{accepted, blockers};
pub(super) use full::MAX_HOLDS_SHOWN;
pub use full::plan_in_full;
pub use question::question;

/// A plan on one screen. `run` is the command that carries it out, where it can be repeated with `--now`.
pub fn plan(plan: &Plan, run: Option<&str>, view: &View) -> String {
    let mut page = Page::default();
    head(plan, view, &mut page);
    blockers(&plan.failed_checks, plan.skips_collection, view, &mut page);
    rows::write(plan, view, &mut page);
    foot(plan, run, view, &mut page);
    page.finish()
}

/// The job and its policy, and how full the disk is.
fn head(plan: &Plan, view: &View, page: &mut Page) {
    let job = if plan.job.is_by_hand() {
        "Marked by hand".to_string()
    } else {
        format!("Job {}: {}", plan.job, policy(plan.keep))
    };
    let disk = plan
        .disk
        .map(|disk| fullness(&plan.store.to_string(), disk));
    let disk = disk.unwrap_or_default();
    let columns = job.chars().count() + disk.chars().count();
    let width = view.style.width.map_or(80, usize::from);
    let job = view.paint(&escape(&job), Paint::Bold);
    if columns + 2 <= width {
        let gap = " ".repeat(width.min(100).saturating_sub(columns).max(2));
        page.line(format!("{job}{gap}{}", escape(&disk)));
    } else {
        page.line(job);
        page.line(escape(&disk));
    }
}

/// From this part of the inodes on, in percent, they are always shown.
const SCARCE_INODES_PERCENT: u128 = 80;

/// How full a file system is, with its inodes where they may be used up before its bytes.
pub(in crate::render) fn fullness(place: &str, disk: Disk) -> String {
    let percent = disk.percent_used();
    let may_end_first = |inodes: &Inodes| {
        let used = inodes.percent_used();
        used > percent || used >= SCARCE_INODES_PERCENT
    };
    let inodes = disk.inodes.filter(may_end_first);
    fullness_with_inodes(place, Disk { inodes, ..disk })
}

/// How full a file system is, with its inodes.
pub(in crate::render) fn fullness_with_inodes(place: &str, disk: Disk) -> String {
    let inodes = disk.inodes.map(Inodes::percent_used);
    let inodes = inodes.map_or(String::new(), |used| format!(", {used}% of inodes used"));
    let percent = disk.percent_used();
    format!("{place} {percent}% full, {} free{inodes}", disk.available)
}

/// Keep rules in words.
pub(in crate::render) fn policy(keep: Option<PlannedKeep>) -> String {
    let Some(PlannedKeep {
        rules,
        overrides_job,
    }) = keep
    else {
        return "no keep rules".to_string();
    };
    let last = rules.last.map(|last| format!("the last {last}"));
    let within = rules.within.map(days);
    let calendar = rules.calendar.iter();
    let calendar = calendar.filter_map(|(rule, n)| Some(format!("{} {}", n?, rule.as_str())));
    let good = rules
        .known_good
        .then(|| "the known good system".to_string());
    let parts: Vec<String> = last
        .into_iter()
        .chain(within)
        .chain(calendar)
        .chain(good)
        .collect();
    let instead = if overrides_job {
        ", instead of the job's rules"
    } else {
        ""
    };
    format!("keep {}{instead}", list(&parts))
}

fn days(span: Span) -> String {
    const DAY: u64 = 86_400;
    let seconds = span.as_seconds();
    if seconds.is_multiple_of(DAY) {
        count(seconds / DAY, "day")
    } else {
        span.to_string()
    }
}

/// What is freed and when, the budget, and the notes. Without `run` no command is suggested.
fn foot(plan: &Plan, run: Option<&str>, view: &View, page: &mut Page) {
    page.gap();
    if plan.is_empty() {
        page.prose("", nothing(plan), view.style);
    }
    outcome(plan, run, view, page);
    if let Some(report) = &plan.budget {
        budget::write(report, view, page);
    }
    if let Some(report) = &plan.boot_menu {
        budget::write_boot_menu(report, view, page);
    }
    if let Some(sentence) = risk(plan) {
        page.gap();
        page.prose("", &view.paint(&sentence, Paint::Yellow), view.style);
    }
    accepted(&plan.accepted_checks, &plan.accept, view, page);
    notes(&all_notes(plan), view, page);
}

/// Why a plan has no action.
fn nothing(plan: &Plan) -> &'static str {
    if plan.is_refused() {
        "Nothing will be done: a safety check failed."
    } else if plan.left_out().next().is_some() {
        "Nothing will be done; some profiles are skipped, as shown above."
    } else {
        "There is nothing to do."
    }
}

/// One line for each time at which something is freed, and how to get it sooner.
pub(super) fn outcome(plan: &Plan, run: Option<&str>, view: &View, page: &mut Page) {
    let mut lines: Vec<(String, Option<Bytes>, String)> = Vec::new();
    if plan.collection().is_some() {
        lines.push((
            "now".to_string(),
            plan.prediction.nar_bytes,
            freed_now(plan),
        ));
    }
    if let Some((bytes, text)) = leftovers(plan) {
        lines.push(("now".to_string(), Some(bytes), text));
    }
    let open = plan.items.iter().filter_map(open_hold);
    if let Some((first, last)) = open.clone().min().zip(open.clone().max()) {
        let bytes = plan.prediction.open_holds.map(|held| held.nar_bytes);
        let (holds, last) = (count(open.count(), "hold"), view.day(last));
        let until = Some(last).filter(|last| *last != view.day(first));
        let until = until.map_or(String::new(), |last| format!(", the last until {last}"));
        lines.push((
            view.day(first),
            bytes,
            format!("{holds} of earlier runs{until}"),
        ));
    }
    // Should holds differ, the earliest end is the one to promise.
    if let Some(hold) = held(plan).filter_map(Action::promised_hold).min() {
        let until = view.day(view.now.after(hold));
        let bytes = plan
            .prediction
            .when_windows_end
            .map(|later| later.nar_bytes);
        let removed = removed_links(held(plan));
        let text = format!("{removed}, restorable until then (`nix-prune undo`)");
        lines.push((until, bytes, text));
    }
    let names = ProfileNames::default();
    let others = plan
        .steps
        .iter()
        .filter(|step| step.action.collection().is_none());
    let others: Vec<String> = others
        .map(|step| step.action.operation().describe(&names))
        .collect();
    if !others.is_empty() {
        lines.push(("then".to_string(), None, list(&others)));
    }
    if let Some(text) = sooner(plan, run, view) {
        lines.push(("sooner".to_string(), None, text));
    }
    let width = lines
        .iter()
        .map(|(label, ..)| label.len())
        .max()
        .unwrap_or_default();
    for (label, bytes, text) in lines {
        let bytes = bytes.map_or(String::new(), |bytes| bytes.to_string());
        page.prose(
            &format!("  {label:<width$} {bytes:>10}  "),
            &text,
            view.style,
        );
    }
}

/// What the leftovers that are removed take, and how many there are of each class.
fn leftovers(plan: &Plan) -> Option<(Bytes, String)> {
    let parts = leftover_counts(plan);
    let mut all = LeftoverSum::default();
    for facts in plan.removed_leftovers() {
        all.join(facts.old);
    }
    (!parts.is_empty()).then(|| {
        (
            all.bytes,
            format!("{} (on disk, not restorable)", list(&parts)),
        )
    })
}

/// How many leftovers of each class are removed.
fn leftover_counts(plan: &Plan) -> Vec<String> {
    let counts = LeftoverClass::ALL.into_iter().filter_map(|class| {
        let removed = plan.removed_leftovers();
        let removed = removed.filter(|facts| facts.class == class);
        let entries: u64 = removed.map(|facts| facts.old.entries).sum();
        (entries > 0).then(|| class.count(entries))
    });
    counts.collect()
}

/// The command that frees the rest at once. What earlier runs hold takes `free`.
fn sooner(plan: &Plan, run: Option<&str>, view: &View) -> Option<String> {
    let run = run.filter(|_| plan.budget.is_none())?;
    let bytes = |later: Option<Later>| later.map_or(0, |later| later.nar_bytes.0);
    let Prediction {
        nar_bytes,
        when_windows_end,
        open_holds,
        ..
    } = &plan.prediction;
    let (new, old) = (bytes(*when_windows_end), bytes(*open_holds));
    if old > 0 {
        let all = Bytes(nar_bytes.unwrap_or_default().0 + new + old);
        let free = view.free_command(all, Some(&plan.job))?;
        return Some(format!("{free}   (irreversible)"));
    }
    let waits = held(plan).next().is_some();
    (waits && view.may_end_windows).then(|| format!("{run} --now   (irreversible)"))
}

/// The removals of links whose closure is held.
fn held(plan: &Plan) -> impl Iterator<Item = &Action> {
    let is_held = |action: &&Action| action.promised_hold().is_some_and(|it| !it.is_zero());
    plan.removed_links().filter(is_held)
}

/// How many links are removed, such as `5 generations and 2 roots`.
pub(super) fn removed_links<'a>(actions: impl Iterator<Item = &'a Action>) -> String {
    let (roots, generations): (Vec<_>, Vec<_>) =
        actions.partition(|action| action.removed_root_link().is_some());
    let numbers = [(generations.len(), "generation"), (roots.len(), "root")];
    let numbers = numbers.into_iter().filter(|(number, _)| *number > 0);
    let texts: Vec<String> = numbers.map(|(number, noun)| count(number, noun)).collect();
    list(&texts)
}

fn open_hold(item: &Item) -> Option<crate::domain::measure::Timestamp> {
    match (&item.subject, &item.decision) {
        (Subject::Hold { until, .. }, Decision::Keep { .. }) => Some(*until),
        _ => None,
    }
}

fn freed_now(plan: &Plan) -> String {
    let Prediction {
        disk_bytes,
        disk_bytes_at_most,
        paths,
        ..
    } = plan.prediction;
    let Some(paths) = paths else {
        return "dead store paths, of unknown number".to_string();
    };
    let most = at_most(disk_bytes_at_most);
    let disk = disk_bytes.map(|bytes| format!(" ({most}{bytes} on disk)"));
    if paths == 0 {
        return "no dead paths".to_string();
    }
    format!("{}{}", count(paths, "dead path"), disk.unwrap_or_default())
}

/// Says beforehand that the run would be refused.
fn risk(plan: &Plan) -> Option<String> {
    let risk = plan.risk()?;
    if plan.safe_mode && risk == RiskLevel::Critical {
        Some(match plan.removed_for_good() {
            0 => "Risk: critical. Fewer than two generations that look bootable would be left. Safe mode refuses it.".to_string(),
            gone => format!(
                "Risk: critical. {} cannot be restored after this. At a terminal, a run asks for a confirmation; without one, safe mode refuses it.",
                count(gone, "generation")
            ),
        })
    } else if risk > plan.max_risk {
        let most = plan.max_risk;
        Some(format!("Risk: {risk}. The job allows at most {most}."))
    } else {
        None
    }
}

/// The words before a figure that is only a bound.
pub(super) fn at_most(is: bool) -> &'static str {
    if is { "at most " } else { "" }
}

/// What a reader should know.
pub(super) fn notes<T: Deref<Target = str>>(notes: &[T], view: &View, page: &mut Page) {
    if notes.is_empty() {
        return;
    }
    page.gap();
    for note in notes {
        page.prose("Note: ", &capital(&escape(note)), view.style);
    }
}

fn all_notes(plan: &Plan) -> Vec<&str> {
    let notes = plan.notes.iter().chain(&plan.prediction.notes);
    let mut notes: Vec<&str> = notes.map(|note| &**note).collect();
    let mut removed = plan.removed_generations();
    let mut steps = plan.steps.iter();
    let is_refreshed = steps.any(|step| matches!(step.action, Action::RefreshBootMenu(_)));
    if !is_refreshed && removed.any(|facts| facts.profile_kind.boots_the_machine()) {
        notes.push("the boot menu lists removed generations until `nixos-rebuild boot`");
    }
    notes
}

fn removed_by(plan: &Plan, rule: RemovalRule) -> usize {
    plan.removals()
        .filter(|removal| removal.rule == rule)
        .count()
}

/// The one reason that keeps all of these from being touched, if there is one.
fn ban<'a>(mut decisions: impl Iterator<Item = &'a Decision>) -> Option<&'a Reason> {
    let first = decisions.next()?.reasons().next()?;
    let is_ban = matches!(first, Reason::CurrentUnknown(_) | Reason::Blocked(_));
    let same = |decision: &Decision| decision.reasons().all(|reason| reason == first);
    (is_ban && decisions.all(same)).then_some(first)
}

/// A failed check without its hint, for the question before a run.
pub fn stop(blocker: &Blocker) -> String {
    format!("{}: {}.", blocker.code, escape(&blocker.message))
}
