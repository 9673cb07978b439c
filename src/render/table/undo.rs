//! What an undo would restore, and what it did.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::plan::Action;
use crate::domain::profile::ProfileNames;
use crate::domain::receipt::{Entry, Outcome, Receipt};
use crate::domain::undo::{Parts, UndoPreview};
use crate::render::text::{count, escape, list, ranges};

use super::grid::{Column, Grid};
use super::{Page, Paint, View};

/// So many links or failures are named; the record of the undo has every one.
const MAX_SHOWN: usize = 3;

/// What an undo would restore: one row for each profile, and what may prevent it.
pub fn undo_preview(preview: &UndoPreview, view: &View) -> String {
    let mut page = Page::default();
    let started = view.time(preview.started_at);
    let title = format!("Undo of run {}, started {started}", preview.run);
    page.line(view.paint(&title, Paint::Bold));
    page.gap();
    let actions = preview.items.iter().map(|item| &item.action);
    parts("Restore", &actions.collect(), view, &mut page);
    let mut obstacles: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
    for item in &preview.items {
        if let Some(obstacle) = &item.obstacle {
            obstacles.entry(obstacle).or_default().push(&item.action);
        }
    }
    for (obstacle, actions) in obstacles {
        let items = actions.into_iter().collect::<Parts<'_>>().items();
        let sentence = format!("May fail: {} ({obstacle}).", shown(items));
        page.gap();
        page.prose("", &escape(&sentence), view.style);
    }
    page.finish()
}

/// The question whether to restore that.
pub fn undo_question(preview: &UndoPreview) -> String {
    let actions = preview.items.iter().map(|item| &item.action);
    let what = counted(&actions.collect());
    format!("Restore {what} of run {}?", preview.run)
}

/// What an undo restored and what it did not, and what is left to undo of the run, whose record is `original`.
pub fn undone(undo: &Receipt, original: &Receipt, view: &View) -> String {
    let mut page = Page::default();
    let is_done = |entry: &&Entry| entry.outcome == Outcome::Done;
    let done = undo.entries.iter().filter(is_done);
    let restored: Parts<'_> = done.map(|entry| &entry.action).collect();
    let what = match counted(&restored) {
        nothing if nothing.is_empty() => "nothing".to_string(),
        what => what,
    };
    let title = format!("Restored {what} of run {}", original.run);
    page.line(view.paint(&title, Paint::Bold));
    page.gap();
    parts("Restored", &restored, view, &mut page);
    let failed = undo.entries.iter().filter(|entry| !is_done(entry));
    failures(undo, &failed.collect::<Vec<_>>(), view, &mut page);
    page.gap();
    for sentence in super::receipt::undo(&left(undo, original), view) {
        page.prose("", &sentence, view.style);
    }
    page.finish()
}

/// The record of the run, without what cannot be restored any more.
fn left(undo: &Receipt, original: &Receipt) -> Receipt {
    let mut left = original.clone();
    let stale = |entry: &Entry| {
        let inverse = entry.action.operation().inverse();
        let mut tried = undo.entries.iter();
        tried.any(|it| it.outcome == Outcome::Stale && Some(&it.action) == inverse.as_ref())
    };
    left.entries.retain(|entry| !stale(entry));
    left
}

fn failures(undo: &Receipt, failed: &[&Entry], view: &View, page: &mut Page) {
    if failed.is_empty() {
        return;
    }
    page.gap();
    let title = format!("Not restored: {}", failed.len());
    page.line(view.paint(&title, Paint::Yellow));
    let names: Parts<'_> = failed.iter().map(|entry| &entry.action).collect();
    let names = names.names();
    for entry in failed.iter().take(MAX_SHOWN) {
        page.prose("  ", &escape(&failure(entry, &names)), view.style);
    }
    if failed.len() > MAX_SHOWN {
        let more = failed.len() - MAX_SHOWN;
        page.line(format!(
            "  and {more} more; `nix-prune history {}` shows them",
            undo.run
        ));
    }
}

fn failure(entry: &Entry, names: &ProfileNames<'_>) -> String {
    let what = entry.action.operation().describe(names);
    let what = what.trim_start_matches("restore ");
    let why = entry.detail.as_deref().unwrap_or("not finished");
    format!("{what}: {why}")
}

fn parts(heading: &'static str, parts: &Parts<'_>, view: &View, page: &mut Page) {
    let mut grid = Grid::new(&[
        Column::new("Profile").cut_front(),
        Column::new(heading).right(),
        Column::new("").wrap(),
    ]);
    let names = parts.names();
    for (profile, numbers) in &parts.generations {
        grid.row([
            escape(&names.of(profile)),
            numbers.len().to_string(),
            ranges(numbers),
        ]);
    }
    for (name, links) in [("roots", &parts.links), ("dangling roots", &parts.dangling)] {
        if !links.is_empty() {
            let texts = links.iter().map(ToString::to_string).collect();
            grid.row([
                name.to_string(),
                links.len().to_string(),
                escape(&shown(texts)),
            ]);
        }
    }
    grid.write(page, view.style);
}

/// The first of some texts, and how many more there are.
fn shown(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        texts.truncate(MAX_SHOWN);
        texts.push(format!("{more} more"));
    }
    list(&texts)
}

/// How much it is, such as `3 generations and 1 dangling root`; nothing for nothing.
fn counted(parts: &Parts<'_>) -> String {
    let generations: usize = parts.generations.values().map(BTreeSet::len).sum();
    let numbers = [
        (generations, "generation"),
        (parts.links.len(), "root"),
        (parts.dangling.len(), "dangling root"),
    ];
    let numbers = numbers.into_iter().filter(|(number, _)| *number > 0);
    let texts: Vec<String> = numbers.map(|(number, noun)| count(number, noun)).collect();
    list(&texts)
}
