//! Metrics: the values of a machine worked out by hand, and the form that a scraper reads.

// Metrics are floating-point numbers, and those of these tests are whole.
#![allow(clippy::cast_precision_loss, clippy::float_cmp)]

use std::collections::{BTreeMap, BTreeSet};

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::budget::{Amount, Budget, DiskGoal, ReleaseHolds};
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::growth::FullForecast;
use nix_prune::domain::limits::PlanSize;
use nix_prune::domain::measure::{Bytes, Span};
use nix_prune::domain::policy::Policy;
use nix_prune::domain::receipt::{Outcome, Receipt};
use nix_prune::render::metrics::{FileSystem, JobMetrics, Machine, is_success, metrics};
use rstest::rstest;

use super::{assert_kept, sample};
use crate::support::plan_of;

/// A metric line by line, as Prometheus reads it: each name with its labels once, under a head of its own.
pub(crate) fn values(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let (mut values, mut heads, mut name) = (BTreeMap::new(), BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# ") {
            let mut words = head.split(' ');
            match (words.next().unwrap(), words.next()) {
                ("EOF", None) => {}
                ("HELP", Some(of)) => {
                    name = of.to_string();
                    assert!(heads.insert(name.clone()), "{name} twice");
                    assert!(words.next().is_some(), "{name} has no help");
                }
                ("TYPE", Some(of)) => {
                    assert_eq!((of, words.next()), (name.as_str(), Some("gauge")));
                }
                ("UNIT", Some(of)) => {
                    assert_eq!(of, name);
                    assert!(
                        name.ends_with(&format!("_{}", words.next().unwrap())),
                        "{line}"
                    );
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(key.split('{').next(), Some(name.as_str()), "{line}");
        assert!(name.starts_with("nix_prune_"), "{line}");
        let value = if value == "+Inf" {
            f64::INFINITY
        } else {
            value.parse().unwrap()
        };
        assert!(
            values.insert(key.to_string(), value).is_none(),
            "{key} twice"
        );
    }
    values
}

fn job(budget: Option<Budget>) -> EffectiveJob {
    let mut job = sample::job(Span::days(7), "");
    job.budget = budget.map(|budget| DiskGoal::new(budget, ReleaseHolds::Never));
    EffectiveJob::new(job, Policy::default())
}

fn machine(jobs: Vec<JobMetrics<'_>>, forecast: FullForecast) -> Machine<'_> {
    Machine {
        jobs,
        holds: &[],
        file_systems: vec![(FileSystem::Store, sample::disk())],
        forecast,
        store: None,
    }
}

fn of_job<'a>(job: &'a EffectiveJob, last: Option<&'a Receipt>) -> JobMetrics<'a> {
    JobMetrics {
        job,
        last,
        last_success: last.filter(|run| is_success(run)),
        failures: 0,
        plan: None,
    }
}

#[test]
fn metrics_are_those_of_the_record() {
    let snapshot = sample::snapshot("");
    let store = sample::inspection("", &snapshot);
    let mut last = sample::receipt("");
    last.bytes.predicted = Some(Bytes(4_000_000));
    last.bytes.measured = Some(5_000_000);
    last.size = Some(PlanSize {
        generations: 7,
        of_generations: Some(20),
        nar_bytes: None,
    });
    let disk = sample::disk();
    let goal = Budget::min_free(Amount::Bytes(Bytes(disk.available.0 + 1000))).unwrap();
    let job = job(Some(goal));
    let plan = plan_of(&snapshot, &sample::job(Span::days(7), ""));
    let mut machine = machine(
        vec![],
        FullForecast::Within {
            earliest_days: 2,
            likely_days: Some(3),
            latest_days: None,
        },
    );
    machine.holds = &snapshot.holds;
    machine.jobs = vec![JobMetrics {
        failures: 2,
        plan: Some(&plan),
        ..of_job(&job, Some(&last))
    }];
    machine.store = Some((&snapshot, &store));
    let text = metrics(&machine);
    assert_kept("tests/fixtures/render/metrics.txt", &text);
    let values = values(&text);
    let value = |key: &str| values.get(&format!("nix_prune_{key}")).copied();
    let started = sample::now().to_unix().0 as f64;
    let removed = plan.removed_generations().count();
    assert_eq!(removed, 7);
    for (key, expected) in [
        (r#"last_run_timestamp_seconds{job_name="weekly"}"#, started),
        (r#"last_run_duration_seconds{job_name="weekly"}"#, 90.0),
        (
            r#"last_run_result{job_name="weekly",result="partial"}"#,
            1.0,
        ),
        (r#"last_run_success{job_name="weekly"}"#, 0.0),
        (r#"failures_in_a_row{job_name="weekly"}"#, 2.0),
        (
            r#"last_run_freed_bytes{job_name="weekly",source="predicted"}"#,
            4e6,
        ),
        (
            r#"last_run_freed_bytes{job_name="weekly",source="reported"}"#,
            5e9,
        ),
        (
            r#"last_run_freed_bytes{job_name="weekly",source="measured"}"#,
            5e6,
        ),
        (
            r#"last_run_prediction_error_ratio{job_name="weekly"}"#,
            0.25,
        ),
        (
            r#"budget_missing_bytes{job_name="weekly",goal="minFree"}"#,
            1000.0,
        ),
        (r#"until_full_seconds{estimate="earliest"}"#, 2.0 * 86_400.0),
        (r#"until_full_seconds{estimate="likely"}"#, 3.0 * 86_400.0),
        (r#"until_full_seconds{estimate="latest"}"#, f64::INFINITY),
        (
            r#"generations{job_name="weekly",decision="remove",reason="noRuleKeepsIt"}"#,
            7.0,
        ),
        ("holds", snapshot.holds.len() as f64),
        ("store_paths", store.graph().len() as f64),
        (
            r#"filesystem_free_bytes{filesystem="store"}"#,
            disk.available.0 as f64,
        ),
    ] {
        assert_eq!(value(key), Some(expected), "{key}\n{text}");
    }
    let done = last
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Done);
    let done = done
        .filter(|entry| entry.action.removed_generation().is_some())
        .count() as f64;
    assert_eq!(
        value(r#"last_run_generations{job_name="weekly",decision="remove"}"#),
        Some(done)
    );
    assert_eq!(
        value(r#"last_run_generations{job_name="weekly",decision="keep"}"#),
        Some(20.0 - done)
    );
    assert_eq!(
        value(r#"last_success_timestamp_seconds{job_name="weekly"}"#),
        None
    );
}

#[rstest]
#[case::done(&|_: &mut Receipt| {}, "done", true)]
#[case::partial(&|run: &mut Receipt| run.entries[0].outcome = Outcome::Failed, "partial", false)]
#[case::stale(&|run: &mut Receipt| run.entries[0].outcome = Outcome::Stale, "partial", false)]
#[case::not_needed(&|run: &mut Receipt| run.entries[0].outcome = Outcome::Retained, "done", true)]
#[case::failed(&|run: &mut Receipt| run.entries.iter_mut().for_each(|it| it.outcome = Outcome::Failed), "failed", false)]
#[case::stopped(&|run: &mut Receipt| run.stopped = true, "stopped", false)]
#[case::unfinished(&|run: &mut Receipt| run.finished_at = None, "unfinished", false)]
#[case::refused(&|run: &mut Receipt| run.failed_checks = vec![Blocker::new(CheckCode::RootsAway, "gone".to_string(), "mount it".to_string())], "refused", false)]
fn results_are_told_apart(
    #[case] change: &dyn Fn(&mut Receipt),
    #[case] result: &str,
    #[case] success: bool,
) {
    let mut run = sample::receipt("");
    run.entries
        .iter_mut()
        .for_each(|entry| entry.outcome = Outcome::Done);
    change(&mut run);
    let job = job(None);
    let text = metrics(&machine(
        vec![of_job(&job, Some(&run))],
        FullForecast::NotEnoughData,
    ));
    let values = values(&text);
    let results: Vec<_> = values
        .keys()
        .filter(|key| key.contains("last_run_result"))
        .collect();
    assert_eq!(
        results,
        [&format!(
            r#"nix_prune_last_run_result{{job_name="weekly",result="{result}"}}"#
        )]
    );
    let of_success = values[r#"nix_prune_last_run_success{job_name="weekly"}"#];
    assert_eq!(of_success, f64::from(u8::from(success)));
    let is_known =
        values.contains_key(r#"nix_prune_last_success_timestamp_seconds{job_name="weekly"}"#);
    assert_eq!(is_known, success);
    let checks = values
        .keys()
        .filter(|key| key.contains("failed_check"))
        .count();
    assert_eq!(checks, usize::from(result == "refused"));
}

#[test]
fn without_runs_and_samples_little_is_known() {
    let job = job(None);
    let text = metrics(&machine(
        vec![of_job(&job, None)],
        FullForecast::NotEnoughData,
    ));
    let values = values(&text);
    assert!(
        !text.contains("last_run") && !text.contains("until_full"),
        "{text}"
    );
    assert_eq!(
        values[r#"nix_prune_failures_in_a_row{job_name="weekly"}"#],
        0.0
    );
    let text = metrics(&machine(vec![], FullForecast::NotWithin { days: 90 }));
    assert_eq!(
        super::metrics::values(&text)[r#"nix_prune_until_full_seconds{estimate="earliest"}"#],
        f64::INFINITY
    );
}
