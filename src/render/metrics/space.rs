//! Metrics of file systems and of the goals of jobs.

use prometheus_client::registry::Unit;

use super::{FileSystem, Labels, Machine, Metrics, amount, float};
use crate::domain::budget::{Budget, Disk, DiskGoal, DiskUsage, SizeMetric};
use crate::domain::growth::FullForecast;

const DAY_SECONDS: f64 = 86_400.0;

/// How far the goals of the jobs are missed.
pub(super) fn goals(machine: &Machine<'_>, page: &mut Metrics) {
    let of_store = |(on, _): &&(FileSystem, Disk)| *on == FileSystem::Store;
    let disk = machine
        .file_systems
        .iter()
        .find(of_store)
        .map(|(_, disk)| *disk);
    let store_bytes = machine
        .store
        .map(|(_, store)| store.graph().nar_size(&store.everything()));
    let usage = DiskUsage { disk, store_bytes };
    let missing = |inodes: bool| {
        let goals = machine.jobs.iter().flat_map(|it| {
            let goals = it.job.budget.into_iter().flat_map(DiskGoal::budgets);
            goals.map(move |goal| (it, goal))
        });
        let known = goals.filter(move |(_, goal)| (goal.metric() == SizeMetric::Inodes) == inodes);
        let known = known.filter_map(|(it, goal)| {
            let missing = amount(goal.to_free(usage)?.0);
            Some((it.labels_with("goal", goal_name(goal)), missing))
        });
        known.collect::<Vec<_>>()
    };
    page.gauge(
        "budget_missing",
        "Bytes that must be freed until the goal of the job is reached",
        Some(Unit::Bytes),
        missing(false),
    );
    page.gauge(
        "budget_missing_inodes",
        "Inodes that must be freed until the goal of the job is reached",
        None,
        missing(true),
    );
}

/// How full the file systems are, and when the store's will be full.
pub(super) fn disks(machine: &Machine<'_>, page: &mut Metrics) {
    let each = |value: &dyn Fn(Disk) -> Option<f64>| -> Vec<(Labels, f64)> {
        let disks = machine.file_systems.iter();
        let values = disks.filter_map(|(on, disk)| {
            let labels = vec![("filesystem", on.as_str().to_string())];
            Some((labels, value(*disk)?))
        });
        values.collect()
    };
    page.gauge(
        "filesystem_free",
        "Free space of the file system of the store, of the records and of the boot menu",
        Some(Unit::Bytes),
        each(&|disk| Some(float(disk.available))),
    );
    page.gauge(
        "filesystem_size",
        "Size of these file systems, without the part for root alone",
        Some(Unit::Bytes),
        each(&|disk| Some(amount(disk.size()))),
    );
    page.gauge(
        "filesystem_free_inodes",
        "Free inodes of these file systems, where their number is fixed",
        None,
        each(&|disk| Some(amount(disk.inodes?.free))),
    );
    let days = |days: Option<u32>| days.map_or(f64::INFINITY, |days| f64::from(days) * DAY_SECONDS);
    let estimates = match machine.forecast {
        FullForecast::NotEnoughData => Vec::new(),
        FullForecast::NotWithin { .. } => vec![
            ("earliest", f64::INFINITY),
            ("likely", f64::INFINITY),
            ("latest", f64::INFINITY),
        ],
        FullForecast::Within {
            earliest_days,
            likely_days,
            latest_days,
        } => vec![
            ("earliest", days(Some(earliest_days))),
            ("likely", days(likely_days)),
            ("latest", days(latest_days)),
        ],
    };
    page.gauge(
        "until_full",
        "Time until the file system of the store is full, by its growth; infinite beyond the reach of a forecast, missing without enough data",
        Some(Unit::Seconds),
        estimates.into_iter().map(|(name, time)| (vec![("estimate", name.to_string())], time)),
    );
}

fn goal_name(goal: Budget) -> &'static str {
    match goal {
        Budget::MinFree(_) => "minFree",
        Budget::MaxUsed(_) => "maxUsed",
        Budget::MaxStore(_) => "maxStore",
        Budget::MinFreeInodes(_) => "minFreeInodes",
    }
}
