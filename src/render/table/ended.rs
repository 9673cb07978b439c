//! A run that has just ended, in a few lines: what it did, how full the disk is now, and what to do next.

use std::collections::BTreeSet;

use crate::domain::budget::Disk;
use crate::domain::maintenance::Report;
use crate::domain::measure::Bytes;
use crate::domain::plan::{Action, Later, Plan};
use crate::domain::profile::{ProfileNames, ProfilePath};
use crate::domain::receipt::{Entry, Outcome, Receipt};
use crate::render::reason::outcome_word;
use crate::render::text::{capital, count, escape, list, ranges};

use super::plan::{fullness, removed_links};
use super::{Page, Paint, View, budget, damage, prose};

/// A run that has just ended. `disk` is how full the file system of the store is now.
pub fn run_ended(receipt: &Receipt, plan: &Plan, disk: Option<Disk>, view: &View) -> String {
    let mut page = Page::default();
    let mut sentences = done(receipt, view);
    sentences.extend(deleted(receipt));
    if sentences.is_empty() && receipt.entries.is_empty() {
        let nothing = if receipt.failed_checks.is_empty() {
            "There was nothing to do."
        } else {
            "Nothing was done."
        };
        sentences.push(nothing.to_string());
    }
    let disk = disk.map(|disk| format!("{} now.", fullness(&receipt.store.to_string(), disk)));
    sentences.extend(disk.map(|disk| escape(&disk)));
    sentences.extend(
        receipt
            .budget
            .as_ref()
            .filter(|it| it.is_reached())
            .map(budget::outcome),
    );
    sentences.extend(rest(receipt, plan, view));
    let run = &receipt.run;
    sentences.push(format!("Every step: {} history {run}", view.program));
    for sentence in sentences {
        page.prose("", &sentence, view.style);
    }
    page.finish()
}

/// Actions that a run did not do, or of which there is something to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDone {
    /// Their kind, as documents name it.
    pub action: String,
    /// What they are, and why they were not done.
    pub text: String,
}

/// What a run did not do, and why, and what is to be known of the rest; generations of a profile with the same reason together.
pub fn not_done(receipt: &Receipt, view: &View) -> Vec<NotDone> {
    type Group<'a> = (Outcome, Option<&'a ProfilePath>, Vec<&'a Entry>);
    let mut groups: Vec<Group<'_>> = Vec::new();
    // The same command fails for each generation with another number.
    let reason = |entry: &Entry| {
        entry
            .detail
            .as_ref()
            .map(|it| it.replace(|c: char| c.is_ascii_digit(), ""))
    };
    for entry in &receipt.entries {
        let is_silent = match entry.outcome {
            // What the installer of a boot loader says is in the record.
            Outcome::Done => {
                entry.detail.is_none() || entry.report.is_some() || is_refresh(&entry.action)
            }
            outcome => outcome == Outcome::Retained,
        };
        if is_silent {
            continue;
        }
        let profile = entry
            .action
            .changed_generation()
            .map(|facts| &facts.profile);
        let same = |(outcome, of, entries): &&mut Group<'_>| {
            let reasons = entries.first().map(|first| reason(first));
            *outcome == entry.outcome
                && profile.is_some()
                && *of == profile
                && reasons == Some(reason(entry))
        };
        match groups.iter_mut().find(same) {
            Some((.., entries)) => entries.push(entry),
            None => groups.push((entry.outcome, profile, vec![entry])),
        }
    }
    groups.sort_by_key(|(outcome, ..)| *outcome != Outcome::Failed);
    let group = |(outcome, profile, entries): Group<'_>| {
        let paint = match outcome {
            Outcome::Failed => Paint::Red,
            Outcome::Done => Paint::Green,
            _ => Paint::Yellow,
        };
        let word = view.paint(&capital(outcome_word(outcome)), paint);
        let numbers = entries
            .iter()
            .filter_map(|entry| entry.action.changed_generation());
        let numbers: BTreeSet<u32> = numbers.map(|facts| facts.number.0).collect();
        let first = entries.first();
        let what = match profile {
            Some(profile) => {
                let noun = if numbers.len() == 1 {
                    "generation"
                } else {
                    "generations"
                };
                format!("{noun} {} of {}", ranges(&numbers), profile.short())
            }
            None => first.map_or(String::new(), |entry| {
                entry.action.operation().describe(&ProfileNames::default())
            }),
        };
        let why = first.and_then(|entry| entry.detail.as_ref());
        let mut why = why.map_or(String::new(), |why| format!(": {why}"));
        if outcome == Outcome::Failed && first.is_some_and(|entry| is_refresh(&entry.action)) {
            why.push_str(REFRESH_HINT);
        }
        let text = prose(&format!("{word}: {}", escape(&(what + &why))), view.style);
        let mut lines = vec![text.trim_end().to_string()];
        if let Some(found) = first.and_then(|entry| entry.damage()) {
            lines.extend(damage::lines(
                found,
                &receipt.store,
                &receipt.run,
                &view.program,
            ));
        }
        NotDone {
            action: first.map_or(String::new(), |entry| kind(&entry.action)),
            text: lines.join("\n"),
        }
    };
    groups.into_iter().map(group).collect()
}

/// The kind of an action, as documents name it.
fn kind(action: &Action) -> String {
    let document = serde_json::to_value(action).unwrap_or_default();
    let kind = document.get("kind").and_then(|kind| kind.as_str());
    kind.unwrap_or_default().to_string()
}

/// What to do where the boot menu could not be refreshed.
const REFRESH_HINT: &str = ". The menu still lists removed generations, which cannot be booted. Free space on its file system if that \
                            is full, and run `nixos-rebuild boot`.";

fn is_refresh(action: &Action) -> bool {
    matches!(action, Action::RefreshBootMenu(_))
}

/// What was removed, and until when it can be restored.
fn done(receipt: &Receipt, view: &View) -> Vec<String> {
    let is_done = |entry: &&Entry| entry.outcome == Outcome::Done;
    let done = || receipt.entries.iter().filter(is_done);
    let number = |is: &dyn Fn(&Action) -> bool| done().filter(|entry| is(&entry.action)).count();
    let mut sentences = Vec::new();
    let held = || done().filter(|entry| is_restorable(entry));
    if let Some(until) = held()
        .filter_map(|entry| Some(entry.undo.as_ref()?.hold()?.1))
        .min()
    {
        let until = view.time(until);
        let what = removed_links(held().map(|entry| &entry.action));
        let them = if held().count() == 1 { "it" } else { "them" };
        sentences.push(format!(
            "Removed {what}; `nix-prune undo` restores {them} until {until}."
        ));
    }
    let for_good = |entry: &&Entry| entry.action.removed_link().is_some() && entry.undo.is_none();
    let mut parts = Vec::new();
    if done().any(|entry| for_good(&entry)) {
        let what = removed_links(done().filter(for_good).map(|entry| &entry.action));
        parts.push(format!("Removed {what} for good"));
    }
    let leftovers = done().filter_map(|entry| entry.action.removed_leftovers());
    let leftovers: BTreeSet<&str> = leftovers.map(|facts| facts.dir.as_str()).collect();
    let some = |before: &str, number, noun| {
        (number > 0).then(|| format!("{before}{}", count(number, noun)))
    };
    let dangling = number(&|it| matches!(it, Action::RemoveRoot(_)));
    let removed = [
        some("", dangling, "dangling root"),
        some("leftovers from ", leftovers.len(), "directory"),
    ];
    let removed: Vec<String> = removed.into_iter().flatten().collect();
    if !removed.is_empty() {
        parts.push(format!("removed {}", list(&removed)));
    }
    let released = number(&|it| it.released_hold().is_some());
    parts.extend(some("released ", released, "hold"));
    let vanished = number(&|it| it.vanished_root().is_some());
    parts.extend(some("held ", vanished, "vanished root"));
    if !parts.is_empty() {
        sentences.push(format!("{}.", capital(&list(&parts))));
    }
    if number(&is_refresh) > 0 {
        sentences.push("Refreshed the boot menu.".to_string());
    }
    for report in done().filter_map(|entry| entry.report.as_ref()) {
        sentences.push(match report {
            Report::Optimised(done) => format!("Optimised the store: {done}."),
            Report::Verified(found) => format!("Checked the store: {found}."),
        });
    }
    sentences
}

/// Whether it removed a link, and a hold has what the link kept.
fn is_restorable(entry: &Entry) -> bool {
    entry.action.removed_link().is_some() && entry.undo.is_some()
}

/// What was deleted, by Nix's count, and what the file system says where that is much less.
fn deleted(receipt: &Receipt) -> Option<String> {
    let bytes = receipt.bytes;
    if bytes.paths == Some(0) {
        let is_done =
            |entry: &Entry| entry.action.collection().is_some() && entry.outcome == Outcome::Done;
        let is_done = receipt.entries.iter().any(is_done);
        return is_done.then(|| "No store path was dead.".to_string());
    }
    let paths = bytes.paths.map(|paths| count(paths, "store path"));
    let paths = paths.or_else(|| bytes.reported.map(|_| "store paths".to_string()))?;
    let freed = bytes
        .reported
        .map_or("an unknown amount".to_string(), |bytes| bytes.to_string());
    let missing = bytes
        .reported
        .zip(bytes.measured)
        .filter(|(reported, measured)| {
            // A quarter less, and more than other writers explain.
            let measured = u64::try_from(*measured).unwrap_or_default();
            reported.0.saturating_sub(measured) > (reported.0 / 4).max(16 << 20)
        });
    let measured = missing.map(|(_, measured)| {
        let (change, bytes) = (if measured < 0 { "less" } else { "more" }, measured.unsigned_abs());
        format!(" The file system has {} {change} free than before: something else keeps the blocks, or was written meanwhile.", Bytes(bytes))
    });
    Some(format!(
        "Deleted {paths}: {freed} freed.{}",
        measured.unwrap_or_default()
    ))
}

/// What the run did not free and a person could, with the command for it.
fn rest(receipt: &Receipt, plan: &Plan, view: &View) -> Vec<String> {
    let held = receipt
        .entries
        .iter()
        .filter_map(|entry| match &entry.undo {
            Some(undo) if is_restorable(entry) && entry.outcome == Outcome::Done => {
                undo.hold().map(|(_, until)| until)
            }
            _ => None,
        });
    let bytes = |later: Option<Later>| later.map_or(0, |later| later.nar_bytes.0);
    let (new, old) = (plan.prediction.when_windows_end, plan.prediction.open_holds);
    // What was predicted is for all of the plan.
    let new = new.filter(|_| held.clone().count() == plan.removed_links().count());
    let all = Bytes(bytes(new) + bytes(old));
    if all.0 == 0 {
        return Vec::new();
    }
    let when = match (held.min(), bytes(old)) {
        (Some(until), 0) => format!("on {}", view.day(until)),
        _ => "when the undo windows end".to_string(),
    };
    match view.free_command(all, receipt.job.as_ref()) {
        Some(command) => vec![
            format!("{all} more are freed {when}. To free them now, for good:"),
            format!("  {command}"),
        ],
        None => vec![format!(
            "{all} more are freed {when}. The policy of this machine does not allow an undo window to end early."
        )],
    }
}
