//! Metrics in the text format of `OpenMetrics`, which Prometheus reads as well.
//!
//! All are gauges: a textfile collector reads the older format of Prometheus, which has no type for information, and
//! both formats write gauges alike. Label values are names of jobs, kinds and codes, never paths. `job` itself is a label of
//! Prometheus, so jobs are labelled `job_name`.

mod runs;
mod space;
mod store;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

pub use runs::is_success;

use super::json::TOOL_VERSION;
use crate::domain::analysis::StoreAnalysis;
use crate::domain::budget::Disk;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::growth::FullForecast;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::plan::Plan;
use crate::domain::receipt::Receipt;
use crate::domain::snapshot::{Hold, Snapshot};

type Labels = Vec<(&'static str, String)>;

/// A job and its records.
#[derive(Debug)]
pub struct JobMetrics<'a> {
    /// The job.
    pub job: &'a EffectiveJob,
    /// Its last run.
    pub last: Option<&'a Receipt>,
    /// Its last run that did all of its work.
    pub last_success: Option<&'a Receipt>,
    /// How many of its runs failed in a row.
    pub failures: usize,
    /// What it would do now, where the store was read.
    pub plan: Option<&'a Plan>,
}

/// What the metrics are of.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The enabled jobs.
    pub jobs: Vec<JobMetrics<'a>>,
    /// All holds that have not ended.
    pub holds: &'a [Hold],
    /// The file systems that can be read, by what is on them.
    pub file_systems: Vec<(FileSystem, Disk)>,
    /// When the store's file system is full.
    pub forecast: FullForecast,
    /// The store, where it was read.
    pub store: Option<(&'a Snapshot, &'a StoreAnalysis)>,
}

/// What is on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// The store.
    Store,
    /// Our records.
    State,
    /// The boot menu.
    Boot,
}

impl FileSystem {
    fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::State => "state",
            Self::Boot => "boot",
        }
    }
}

/// The metrics of a machine.
pub fn metrics(machine: &Machine<'_>) -> String {
    let mut page = Metrics::default();
    let version = vec![("version", TOOL_VERSION.to_string())];
    page.gauge("build_info", "Version of nix-prune", None, [(version, 1.0)]);
    runs::runs(machine, &mut page);
    runs::freed(machine, &mut page);
    runs::decided(machine, &mut page);
    runs::holds(machine, &mut page);
    space::goals(machine, &mut page);
    space::disks(machine, &mut page);
    if let Some((snapshot, found)) = machine.store {
        store::of_store(snapshot, found, &mut page);
        store::generations(machine, &mut page);
    }
    page.finish()
}

impl JobMetrics<'_> {
    fn labels(&self) -> Labels {
        vec![("job_name", self.job.name.to_string())]
    }

    fn labels_with(&self, name: &'static str, value: &str) -> Labels {
        vec![
            ("job_name", self.job.name.to_string()),
            (name, value.to_string()),
        ]
    }
}

/// A metric with a value for each set of labels.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    values: Vec<(Labels, f64)>,
}

/// All metrics, in order.
#[derive(Debug, Default)]
struct Metrics(Vec<Family>);

impl Metrics {
    /// Adds a metric; one without values is left out.
    fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let values: Vec<(Labels, f64)> = values.into_iter().collect();
        if !values.is_empty() {
            self.0.push(Family {
                name,
                help,
                unit,
                values,
            });
        }
    }

    fn finish(self) -> String {
        let mut registry = Registry::with_prefix("nix_prune");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let unit = family.unit.as_ref();
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit, MetricType::Gauge)?;
            for (labels, value) in &family.values {
                if labels.is_empty() {
                    metric.encode_gauge(value)?;
                } else {
                    metric.encode_family(labels)?.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}

fn seconds(at: Timestamp) -> f64 {
    signed(at.to_unix().0)
}

fn float(bytes: Bytes) -> f64 {
    amount(bytes.0)
}

fn count(number: usize) -> f64 {
    amount(number as u64)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers"
)]
fn amount(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers"
)]
fn signed(number: i64) -> f64 {
    number as f64
}
