//! `metrics`: prints metrics, or writes them for a textfile collector.

use camino::Utf8Path;

use super::args::MetricsArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{doctor, inspect, out};
use crate::adapters::{disk, files};
use crate::domain::boot_menu::SeenMenu;
use crate::domain::budget::Disk;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::growth::{FullForecast, SpaceSample};
use crate::domain::measure::Bytes;
use crate::domain::plan::Plan;
use crate::domain::receipt::Receipt;
use crate::engine::{Exact, failed_in_a_row};
use crate::ports::{Clock, RunJournal, error_chain};
use crate::render::metrics::{FileSystem, JobMetrics, Machine, is_success, metrics as text_of};

/// The last free space is for the record of a run.
const LEFT_TO_RECORDS: Bytes = Bytes(1 << 20);

/// Prints metrics, or writes them to a file with a sample of the free space for the forecast.
pub(super) fn metrics(context: &Context, args: &MetricsArgs) -> Result<Exit, Failure> {
    let Some(path) = args.out.as_ref().filter(|path| *path != "-") else {
        out::bytes(text(context, args.store)?.as_bytes());
        return Ok(Exit::Done);
    };
    context.sample_space();
    let text = text(context, args.store)?;
    files::write_for_all(path, text.as_bytes()).map_err(|error| {
        let why = error_chain(&error);
        Failure::new(
            Exit::CannotCreate,
            format!("cannot write metrics to {path}: {why}"),
        )
        .hint("As root, name a file in a directory that only root can write to.")
    })?;
    Ok(Exit::Done)
}

fn text(context: &Context, reads_store: bool) -> Result<String, Failure> {
    let settings = context.settings()?;
    let jobs = settings.jobs().filter(|job| job.is_enabled());
    let jobs = jobs.map(|job| EffectiveJob::new(job.job().clone(), settings.policy()));
    let jobs: Vec<EffectiveJob> = jobs.collect();
    let receipts = context.journal.receipts()?;
    let holds = context.journal.holds_in(&context.places.store)?;
    let observation = reads_store
        .then(|| context.observe_for_jobs())
        .transpose()?;
    let store = match observation {
        Some(observation) => Some((observation.snapshot, observation.store?)),
        None => None,
    };
    let plan = |job: &EffectiveJob| -> Result<Option<Plan>, Failure> {
        let plan = || inspect::plan(context, job, Exact::Never);
        reads_store.then(plan).transpose()
    };
    let plans = jobs.iter().map(plan).collect::<Result<Vec<_>, Failure>>()?;
    let of_job = |(job, plan)| job_metrics(context, &receipts, job, plan);
    let machine = Machine {
        jobs: jobs
            .iter()
            .zip(plans.iter().map(Option::as_ref))
            .map(of_job)
            .collect(),
        holds: &holds,
        file_systems: file_systems(context),
        forecast: context.forecast(),
        store: store.as_ref().map(|(snapshot, store)| (snapshot, store)),
    };
    Ok(text_of(&machine))
}

fn job_metrics<'a>(
    context: &Context,
    receipts: &'a [Receipt],
    job: &'a EffectiveJob,
    plan: Option<&'a Plan>,
) -> JobMetrics<'a> {
    let runs = receipts.iter().rev();
    let runs = runs.filter(|receipt| receipt.job.as_ref() == Some(&job.name));
    JobMetrics {
        job,
        last: runs.clone().next(),
        last_success: runs.clone().find(|run| is_success(run)),
        failures: failed_in_a_row(&context.journal, runs),
        plan,
    }
}

fn file_systems(context: &Context) -> Vec<(FileSystem, Disk)> {
    let boot = match doctor::boot::read(context) {
        SeenMenu::Known(menu) => Some(menu.dir),
        SeenMenu::None | SeenMenu::Unknown(_) => None,
    };
    let places = [
        (
            FileSystem::Store,
            Some(context.places.store.as_path().to_path_buf()),
        ),
        (FileSystem::State, Some(context.journal.dir().to_path_buf())),
        (FileSystem::Boot, boot),
    ];
    let there = places.into_iter().filter_map(|(on, dir)| Some((on, dir?)));
    let known = there.filter_map(|(on, dir)| Some((on, fullness_of_place(&dir)?)));
    known.collect()
}

/// How full the file system is on which a directory is, or will be once it is made.
fn fullness_of_place(dir: &Utf8Path) -> Option<Disk> {
    dir.ancestors().find_map(|dir| disk::fullness(dir).ok())
}

impl Context {
    /// Adds a sample of the free space to the records. Without it only a forecast has less to go by.
    pub(super) fn sample_space(&self) {
        let store = &self.places.store;
        let Ok(disk) = disk::fullness(store.as_path()) else {
            return;
        };
        if disk.available < LEFT_TO_RECORDS {
            return;
        }
        let sample = SpaceSample::of(disk, self.clock.now());
        if let Err(error) = self.journal.add_space_sample(store, sample) {
            tracing::debug!("no sample of the free space: {}", error_chain(&error));
        }
    }

    /// When the file system of the store will be full.
    pub(super) fn forecast(&self) -> FullForecast {
        let store = &self.places.store;
        let Ok(disk) = disk::fullness(store.as_path()) else {
            return FullForecast::NotEnoughData;
        };
        let history = self.journal.space_history(store).unwrap_or_default();
        history.forecast(disk, self.clock.now())
    }
}
