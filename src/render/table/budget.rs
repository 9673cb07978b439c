//! A disk budget in words: the goal, the plan, and the outcome of a run.

use crate::domain::boot_menu::BootReport;
use crate::domain::budget::{
    BudgetEnd, BudgetReport, Contradiction, Disk, DiskUsage, LeftOut, Quantity, SizeMetric,
};
use crate::domain::measure::Bytes;
use crate::domain::receipt::BudgetOutcome;
use crate::render::text::{count, escape, list};

use super::{Page, View};

/// The budget of a plan, line by line.
pub(in crate::render) fn lines(report: &BudgetReport, view: &View) -> Vec<String> {
    let mut page = Page::default();
    write(report, view, &mut page);
    let lines = page.finish();
    lines.lines().map(|line| line.trim().to_string()).collect()
}

/// The budget of a plan: the goal, how much is to be freed, and when the rest comes.
pub(super) fn write(report: &BudgetReport, view: &View, page: &mut Page) {
    page.gap();
    let say = |page: &mut Page, text: &str| page.prose("Budget: ", text, view.style);
    let (goal, to_free) = (report.goal, report.metric.show(report.to_free));
    if report.is_reached() {
        let now = disk_usage(report.now, report.metric);
        let now = now.map_or(String::new(), |now| format!(": {now}"));
        say(page, &format!("{goal}. The goal is reached{now}."));
        return;
    }
    let outcome = if report.missing == Quantity(0) {
        "This plan reaches the goal.".to_string()
    } else {
        let missing = report.metric.show(report.missing);
        format!("After this plan {missing} are still missing.")
    };
    say(
        page,
        &format!(
            "{goal}. To free: {to_free}{}. {outcome}",
            metric(report.metric)
        ),
    );
    let contradicted = report
        .contradiction
        .as_ref()
        .map(|it| contradicted(it, view));
    let waiting = (report.missing.0 > 0).then(|| waiting(report, view));
    for sentence in contradicted
        .into_iter()
        .chain(waiting.into_iter().flatten())
    {
        page.prose("        ", &escape(&sentence), view.style);
    }
}

/// The goal of the boot menu: what is free, what the plan frees, and what is still missing.
pub(super) fn write_boot_menu(report: &BootReport, view: &View, page: &mut Page) {
    let BootReport {
        dir,
        min_free,
        free,
        frees,
        missing,
    } = report;
    let outcome = match (frees.0, missing.0) {
        (0, 0) => "The goal is reached.".to_string(),
        (_, 0) => format!("The refresh frees {frees} and reaches the goal."),
        (0, _) => format!("{missing} are missing."),
        _ => format!("The refresh frees {frees}; {missing} are still missing."),
    };
    let text = format!("at least {min_free} free on {dir}. Free: {free}. {outcome}");
    page.gap();
    page.prose("Boot menu: ", &escape(&text), view.style);
}

/// What a run that missed its goal says: first that it did, then what is to be known of it. What comes from others in
/// it is as it is, to be escaped.
pub fn shortfall(outcome: &BudgetOutcome, view: &View) -> Vec<String> {
    let planned = &outcome.planned;
    let goal = planned.goal;
    let mut sentences = vec![match outcome.missing {
        Some(missing) => {
            let missing = planned.metric.show(missing);
            format!("the budget is not reached: {missing} more must be freed for {goal}")
        }
        None => format!("it is unknown whether the budget is reached: {goal}"),
    }];
    sentences.extend(reason(outcome));
    sentences.extend(waiting(planned, view));
    sentences
}

/// Why a run with a budget removed nothing more for good.
fn reason(outcome: &BudgetOutcome) -> Option<String> {
    if outcome.ended != Some(BudgetEnd::Contradicted) {
        return None;
    }
    let system = outcome.file_system.as_deref();
    let causes = causes(system);
    let system = system.map_or("the file system".to_string(), |name| {
        format!("the file system ({name})")
    });
    let Some(last) = outcome.rounds.last() else {
        return Some(format!(
            "Nothing was removed without a hold, because the last prediction did not match {system}. {causes}"
        ));
    };
    let metric = outcome.planned.metric;
    let predicted = metric.show(last.predicted);
    let measured = amount(metric, last.measured.unwrap_or_default());
    Some(format!(
        "The last deletion was predicted to free {predicted}; afterwards {system} had {measured} free than before. {causes} \
         Nothing more is removed without a hold."
    ))
}

/// What may keep blocks that no store path uses any more.
fn causes(file_system: Option<&str>) -> &'static str {
    match file_system {
        Some("overlay") => "The lower layer of the overlay keeps its files.",
        Some("btrfs" | "zfs" | "bcachefs" | "apfs") => {
            "Snapshots, or files that share extents, keep the blocks."
        }
        Some("xfs") => {
            "Files that share extents may keep the blocks, or another program wrote at the same time."
        }
        _ => "Another program wrote at the same time, or something else keeps the blocks.",
    }
}

fn contradicted(contradiction: &Contradiction, view: &View) -> String {
    let (run, at) = (&contradiction.run, view.time(contradiction.at));
    let metric = contradiction.metric;
    let predicted = metric.show(contradiction.predicted);
    let measured = amount(metric, contradiction.measured);
    format!(
        "Nothing is removed without a hold: the run {run} of {at} was predicted to free {predicted}; afterwards the \
         file system had {measured} free than before. Snapshots, files that share extents or a lower layer may keep the \
         blocks."
    )
}

/// So much more or less.
fn amount(metric: SizeMetric, freed: i64) -> String {
    let change = if freed < 0 { "less" } else { "more" };
    let freed = metric.show(Quantity(freed.unsigned_abs()));
    format!("{freed} {change}")
}

/// How a run came out against its budget.
pub(super) fn outcome(outcome: &BudgetOutcome) -> String {
    let goal = outcome.planned.goal;
    match outcome.missing {
        Some(missing) if missing.0 == 0 => format!("The budget is reached: {goal}."),
        Some(missing) => {
            let missing = outcome.planned.metric.show(missing);
            format!("The budget is not reached: {goal}. Missing: {missing}.")
        }
        None => format!("It is unknown whether the budget is reached: {goal}."),
    }
}

/// When the rest comes, or what keeps it.
fn waiting(report: &BudgetReport, view: &View) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(first) = report.later.first() {
        let at = view.time(first.at);
        let (bytes, all) = (first.nar_bytes, report.later.len());
        let mut text = format!("Undo windows end: {bytes} (NAR size) on {at}");
        if all > 1 {
            let sum: u64 = report.later.iter().map(|later| later.nar_bytes.0).sum();
            let last = report.later.last().map(|later| view.time(later.at));
            let last = last.unwrap_or_default();
            let sum = Bytes(sum);
            text = format!("{text}, {sum} in all until {last}");
        }
        sentences.push(format!("{text}."));
    }
    match report.reached_at {
        Some(at) => sentences.push(format!(
            "The goal is reached on {}, by the first run after that, if nothing else changes.",
            view.time(at)
        )),
        None if report.missing.0 > 0 && report.contradiction.is_none() => {
            sentences.push("Waiting alone does not reach the goal.".to_string());
        }
        None => {}
    }
    if !report.too_risky.is_empty() {
        let parts: Vec<String> = report.too_risky.iter().map(count_of_risk).collect();
        sentences.push(format!(
            "Left out because of the job's risk limit: {}.",
            list(&parts)
        ));
    }
    if report.free_nothing > 0 {
        let steps = usize::try_from(report.free_nothing).unwrap_or(usize::MAX);
        let steps = count(steps, "step");
        sentences.push(format!(
            "Left out: {steps} that would free nothing on disk, because snapshots or copies share the blocks."
        ));
    }
    if report.reached_at.is_none() && !report.kept_by.is_empty() {
        let kept = report.kept_by.iter();
        let kept: Vec<String> = kept
            .map(|kept| format!("{} ({})", kept.root, kept.exclusive_bytes))
            .collect();
        sentences.push(format!("Largest exclusive sizes: {}.", list(&kept)));
    }
    sentences
}

fn count_of_risk(left: &LeftOut) -> String {
    let steps = usize::try_from(left.steps).unwrap_or(usize::MAX);
    format!("{} of risk {}", count(steps, "step"), left.risk)
}

fn disk_usage(disk_usage: DiskUsage, metric: SizeMetric) -> Option<String> {
    let disk = disk_usage.disk;
    Some(match metric {
        SizeMetric::NarSize => format!("store size {} (NAR size)", disk_usage.store_bytes?),
        SizeMetric::OnDisk => {
            let Disk {
                used, available, ..
            } = disk?;
            let percent = disk?.percent_used();
            format!("{available} free, {used} used ({percent}%)")
        }
        SizeMetric::Inodes => match disk?.inodes {
            Some(inodes) => {
                let (free, percent) = (inodes.free, inodes.percent_used());
                format!("{free} of {} inodes free ({percent}% used)", inodes.total)
            }
            None => "the file system has no fixed number of inodes".to_string(),
        },
    })
}

fn metric(metric: SizeMetric) -> &'static str {
    match metric {
        SizeMetric::OnDisk => " (on disk)",
        SizeMetric::NarSize => " (NAR size)",
        SizeMetric::Inodes => "",
    }
}
