use crate::domain::budget::{BudgetReport, Disk, Figure, LeftOut, Standing};
use crate::domain::receipt::BudgetOutcome;
use crate::render::text::{count, escape, list};

use super::{Page, View};

/// The budget of a plan: the goal, now, after the run, and when the rest comes.
pub(super) fn write(report: &BudgetReport, view: &View, page: &mut Page) {
    page.heading(view, &format!("Budget: {}", report.goal));
    let say = |page: &mut Page, text: &str| page.prose("  ", text, view.style);
    if let Some(now) = standing(report.now, report.figure) {
        say(page, &format!("Now: {now}."));
    }
    if report.is_reached() {
        say(page, "The goal is reached, so nothing is done.");
        return;
    }
    let (to_free, frees) = (report.to_free, report.frees);
    let figure = figure(report.figure);
    say(
        page,
        &format!("To go: {to_free} {figure}. This run frees {frees}."),
    );
    if report.missing.0 == 0 {
        say(page, "The goal is then reached.");
        return;
    }
    say(page, &format!("Then still missing: {}.", report.missing));
    for sentence in waiting(report, view) {
        say(page, &escape(&sentence));
    }
}

/// What a run that missed its goal says: first that it did, then what is to be known of it. What comes from others in
/// it is as it is, to be escaped.
pub fn shortfall(outcome: &BudgetOutcome, view: &View) -> Vec<String> {
    let planned = &outcome.planned;
    let goal = planned.goal;
    let mut sentences = vec![match outcome.missing {
        Some(missing) => {
            format!("the budget is not reached: {missing} to go until there is {goal}")
        }
        None => format!("it cannot be told whether there is {goal} now"),
    }];
    sentences.extend(waiting(planned, view));
    sentences
}

/// How a run came out against its budget.
pub(super) fn outcome(outcome: &BudgetOutcome) -> String {
    let goal = outcome.planned.goal;
    match outcome.missing {
        Some(missing) if missing.0 == 0 => format!("The budget is reached: {goal}."),
        Some(missing) => format!("The budget is not reached: {goal}. Missing: {missing}."),
        None => format!("Whether the budget is reached is not known: {goal}."),
    }
}

/// When the rest comes, or what keeps it.
fn waiting(report: &BudgetReport, view: &View) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(first) = report.later.first() {
        let at = view.time(first.at);
        let (bytes, all) = (first.nar_bytes, report.later.len());
        let mut text = format!("Undo windows end: {bytes} by the store's own sizes on {at}");
        if all > 1 {
            let sum: u64 = report.later.iter().map(|later| later.nar_bytes.0).sum();
            let last = report.later.last().map(|later| view.time(later.at));
            let last = last.unwrap_or_default();
            let sum = crate::domain::measure::Bytes(sum);
            text = format!("{text}, {sum} in all until {last}");
        }
        sentences.push(format!("{text}."));
    }
    match report.reached_at {
        Some(at) => sentences.push(format!(
            "The goal is reached on {}, by the first run after that, if nothing else changes.",
            view.time(at)
        )),
        None if report.missing.0 > 0 => {
            sentences.push("Waiting alone does not reach the goal.".to_string());
        }
        None => {}
    }
    if !report.left_out.is_empty() {
        let parts: Vec<String> = report.left_out.iter().map(left_out).collect();
        sentences.push(format!(
            "Left out, because the job may not risk it: {}.",
            list(&parts)
        ));
    }
    if report.reached_at.is_none() && !report.kept_by.is_empty() {
        let kept = report.kept_by.iter();
        let kept: Vec<String> = kept
            .map(|kept| format!("{} ({})", kept.root, kept.only_here_bytes))
            .collect();
        sentences.push(format!("What alone keeps the most: {}.", list(&kept)));
    }
    sentences
}

fn left_out(left: &LeftOut) -> String {
    let steps = usize::try_from(left.steps).unwrap_or(usize::MAX);
    format!("{} of the risk {}", count(steps, "step"), left.risk)
}

fn standing(standing: Standing, figure: Figure) -> Option<String> {
    if figure == Figure::NarSize {
        let bytes = standing.store_bytes?;
        return Some(format!("a store of {bytes}, by its own sizes"));
    }
    let Disk { used, available } = standing.disk?;
    let size = u128::from(used.0) + u128::from(available.0);
    let percent = (u128::from(used.0) * 100).div_ceil(size.max(1));
    Some(format!("{available} free, {used} used ({percent}%)"))
}

fn figure(figure: Figure) -> &'static str {
    match figure {
        Figure::OnDisk => "on disk",
        Figure::NarSize => "by the store's own sizes",
    }
}
