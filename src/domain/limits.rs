//! Limits and anomaly checks: unusually large plans need confirmation.

use serde::{Deserialize, Serialize};

use super::blocker::{Blocker, CheckCode};
use super::measure::Bytes;
use super::plan::{Plan, Subject};

/// So many runs are looked back at.
pub const LOOKED_BACK_AT: usize = 10;
/// Fewer runs say nothing about the next one.
const FEWEST_RUNS: usize = 3;
/// So many times as much as the most that any of them took is not usual.
const TIMES: u64 = 4;
/// Fewer generations than this are never too many.
const MIN_JUDGED_GENERATIONS: u64 = 20;
/// Less than this is never too much: one update of a system.
const MIN_JUDGED_BYTES: Bytes = Bytes(10 << 30);
/// Nor is the larger part of so few.
const MIN_GENERATIONS_FOR_SHARE: u64 = 10;
/// Per cent of all generations, which is never an unusual share.
const HALF: u64 = 50;

/// So many runs of a job fail one after the other before it pauses.
pub const FAILURES_BEFORE_PAUSE: usize = 5;

/// Per-run limits: what a run may do without a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// So many generations may go.
    pub generations: Option<u64>,
    /// So much may be deleted, by the store's own sizes.
    pub bytes: Option<Bytes>,
    /// The most that earlier runs removed.
    pub usual: Usual,
}

/// The most generations that a run of the same job removed lately; `None` where too few runs are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usual {
    generations: Option<u64>,
    /// Per cent of all generations.
    share: Option<u64>,
}

impl Usual {
    /// The most of earlier runs, the latest first.
    pub fn of(earlier: impl IntoIterator<Item = PlanSize>) -> Self {
        let earlier = last_runs(earlier);
        Self {
            generations: most(&earlier, |extent| Some(extent.generations)),
            share: most(&earlier, PlanSize::share),
        }
    }
}

impl Limits {
    /// How many of so many generations may be removed without a confirmation, but for the checks that are accepted.
    pub fn most_unconfirmed(self, of: u64, accepted: impl Fn(CheckCode) -> bool) -> u64 {
        let usual = self.usual.generations;
        let usual = usual.map(|most| most.saturating_mul(TIMES).max(MIN_JUDGED_GENERATIONS));
        let share = self.usual.share.map(|most| {
            let percent = most.saturating_mul(2).max(HALF);
            (of.saturating_mul(percent) / 100).max(MIN_GENERATIONS_FOR_SHARE)
        });
        let limits = [
            (CheckCode::LimitGenerations, self.generations),
            (CheckCode::AnomalyGenerations, usual),
            (CheckCode::AnomalyShare, share),
        ];
        let effective = limits.into_iter().filter(|(code, _)| !accepted(*code));
        effective
            .filter_map(|(_, most)| most)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        fn least<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            generations: least(self.generations, other.generations),
            bytes: least(self.bytes, other.bytes),
            usual: self.usual,
        }
    }
}

/// How much a plan takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSize {
    /// How many generations are removed.
    pub generations: u64,
    /// How many there are, with those that are kept; null if that is not known.
    pub of_generations: Option<u64>,
    /// How much a collection deletes, by the store's own sizes; null where that is not known.
    pub nar_bytes: Option<Bytes>,
}

impl PlanSize {
    /// How much a plan takes.
    pub fn of(plan: &Plan) -> Self {
        let generation = |subject: &Subject| matches!(subject, Subject::Generation { .. });
        let seen = plan.items.iter().filter(|item| generation(&item.subject));
        Self {
            generations: plan.removed_generations().count() as u64,
            of_generations: Some(seen.count() as u64).filter(|seen| *seen > 0),
            nar_bytes: if plan.collection().is_some() {
                plan.prediction.nar_bytes
            } else {
                Some(Bytes(0))
            },
        }
    }

    fn takes_nothing(&self) -> bool {
        self.generations == 0 && self.nar_bytes.is_none_or(|bytes| bytes == Bytes(0))
    }

    /// Per cent of the generations that go.
    fn share(&self) -> Option<u64> {
        let of = self.of_generations?;
        self.generations.saturating_mul(100).checked_div(of)
    }
}

/// The safety checks of a plan that need a confirmation. `earlier` holds the runs of the same job, the latest first.
pub fn detect_anomalies(
    extent: &PlanSize,
    limits: Limits,
    earlier: impl IntoIterator<Item = PlanSize>,
) -> Vec<Blocker> {
    let earlier = last_runs(earlier);
    let anomalies = [
        too_many(extent, limits),
        too_large(extent, limits),
        unusually_many(extent, &earlier),
        unusually_large(extent, &earlier),
        unusual_share(extent, &earlier),
    ];
    anomalies.into_iter().flatten().collect()
}

/// The last runs that removed something. The others say nothing about a run that does.
fn last_runs(earlier: impl IntoIterator<Item = PlanSize>) -> Vec<PlanSize> {
    let earlier = earlier.into_iter();
    let earlier = earlier.filter(|extent| !extent.takes_nothing());
    earlier.take(LOOKED_BACK_AT).collect()
}

/// Whether a job pauses, of which so many runs failed one after the other.
pub fn circuit_breaker(failed: usize) -> Option<Blocker> {
    (failed >= FAILURES_BEFORE_PAUSE).then(|| {
        let message = format!("the job is paused because its last {failed} runs failed");
        let hint =
            "fix the cause, shown by `nix-prune history`, and run `nix-prune doctor --acknowledge`";
        Blocker::new(CheckCode::JobPaused, message, hint.to_string())
    })
}

fn too_many(extent: &PlanSize, limits: Limits) -> Option<Blocker> {
    let most = limits
        .generations
        .filter(|most| extent.generations > *most)?;
    let message = format!(
        "{} generations would be removed, and `limits.maxGenerationsPerRun` is {most}",
        extent.generations
    );
    Some(anomaly(CheckCode::LimitGenerations, message))
}

/// An unknown size may exceed the limit.
fn too_large(extent: &PlanSize, limits: Limits) -> Option<Blocker> {
    let most = limits.bytes?;
    let message = match extent.nar_bytes {
        Some(bytes) if bytes <= most => return None,
        Some(bytes) => format!("{bytes} would be deleted"),
        None => "the amount to delete is unknown".to_string(),
    };
    let message = format!("{message}, and `limits.maxBytesPerRun` is {most}");
    Some(anomaly(CheckCode::LimitBytes, message))
}

/// The most of the earlier runs; `None` if too few of them are known.
fn most(earlier: &[PlanSize], figure: impl Fn(&PlanSize) -> Option<u64> + Clone) -> Option<u64> {
    let figures = earlier.iter().filter_map(figure);
    let enough = figures.clone().count() >= FEWEST_RUNS;
    figures.max().filter(|_| enough)
}

fn unusually_many(extent: &PlanSize, earlier: &[PlanSize]) -> Option<Blocker> {
    let most = most(earlier, |extent| Some(extent.generations))?;
    let many = extent.generations;
    (many > MIN_JUDGED_GENERATIONS && many > most.saturating_mul(TIMES)).then(|| {
        let message =
            format!("{many} generations would be removed; recent runs removed at most {most}");
        anomaly(CheckCode::AnomalyGenerations, message)
    })
}

fn unusually_large(extent: &PlanSize, earlier: &[PlanSize]) -> Option<Blocker> {
    let most = most(earlier, |extent| extent.nar_bytes.map(|bytes| bytes.0))?;
    let much = extent.nar_bytes?;
    (much > MIN_JUDGED_BYTES && much.0 > most.saturating_mul(TIMES)).then(|| {
        let most = Bytes(most);
        let message = format!("{much} would be deleted; recent runs deleted at most {most}");
        anomaly(CheckCode::AnomalyBytes, message)
    })
}

fn unusual_share(extent: &PlanSize, earlier: &[PlanSize]) -> Option<Blocker> {
    let most = most(earlier, PlanSize::share)?;
    let share = extent.share()?;
    let many = extent.generations > MIN_GENERATIONS_FOR_SHARE;
    (many && share > HALF && share > most.saturating_mul(2)).then(|| {
        let message = format!(
            "{share} % of all generations would be removed; recent runs removed at most {most} %"
        );
        anomaly(CheckCode::AnomalyShare, message)
    })
}

fn anomaly(code: CheckCode, message: String) -> Blocker {
    let hint = "review the plan; on a terminal you can confirm it".to_string();
    Blocker::new(code, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GIB: u64 = 1 << 30;

    fn extent(generations: u64, of: u64, gib: u64) -> PlanSize {
        PlanSize {
            generations,
            of_generations: Some(of),
            nar_bytes: Some(Bytes(gib * GIB)),
        }
    }

    fn codes(extent: PlanSize, limits: Limits, earlier: &[PlanSize]) -> Vec<&'static str> {
        let anomalies = detect_anomalies(&extent, limits, earlier.iter().copied());
        anomalies
            .iter()
            .map(|anomaly| anomaly.code.as_str())
            .collect()
    }

    #[rstest]
    #[case::as_always(extent(4, 100, 5), &[])]
    #[case::at_the_floor(extent(20, 100, 10), &[])]
    #[case::four_times(extent(24, 100, 24), &[])]
    #[case::many(extent(25, 100, 5), &["anomaly.generations"])]
    #[case::large(extent(4, 100, 25), &["anomaly.bytes"])]
    #[case::half(extent(11, 20, 5), &["anomaly.share"])]
    #[case::half_of_few(extent(10, 18, 5), &[])]
    #[case::all_of_it(extent(90, 100, 500), &["anomaly.generations", "anomaly.bytes", "anomaly.share"])]
    fn far_more_than_before_waits_for_a_yes(#[case] now: PlanSize, #[case] expected: &[&str]) {
        let usual = [extent(6, 100, 6), extent(0, 100, 3), extent(2, 100, 1)];
        assert_eq!(codes(now, Limits::default(), &usual), expected);
        // Two runs do not make a habit, and runs that had nothing to do are no runs here.
        assert_eq!(
            codes(now, Limits::default(), &usual[..2]),
            Vec::<&str>::new()
        );
        let idle = [usual[0], usual[1], extent(0, 100, 0), extent(0, 100, 0)];
        assert_eq!(codes(now, Limits::default(), &idle), Vec::<&str>::new());
    }

    #[rstest]
    #[case::many_for_them(extent(20, 1_000, 1), &[])]
    #[case::more(extent(21, 1_000, 1), &["anomaly.generations"])]
    #[case::much_for_them(extent(1, 1_000, 10), &[])]
    #[case::larger(extent(1, 1_000, 11), &["anomaly.bytes"])]
    #[case::most_of_few(extent(10, 19, 1), &[])]
    #[case::half_of_more(extent(11, 22, 1), &[])]
    #[case::most_of_more(extent(11, 21, 1), &["anomaly.share"])]
    fn little_is_never_too_much_though_runs_took_less(
        #[case] now: PlanSize,
        #[case] expected: &[&str],
    ) {
        let earlier = [extent(1, 1_000, 1); FEWEST_RUNS];
        assert_eq!(codes(now, Limits::default(), &earlier), expected);
    }

    #[rstest]
    #[case(FAILURES_BEFORE_PAUSE - 1, None)]
    #[case(
        FAILURES_BEFORE_PAUSE,
        Some("the job is paused because its last 5 runs failed")
    )]
    #[case(7, Some("the job is paused because its last 7 runs failed"))]
    fn a_job_pauses_after_so_many_failures(#[case] failed: usize, #[case] message: Option<&str>) {
        let blocker = circuit_breaker(failed);
        assert_eq!(blocker.as_ref().map(|it| it.message.as_str()), message);
        assert!(blocker.is_none_or(|it| it.code == CheckCode::JobPaused));
    }

    #[test]
    fn only_the_last_runs_count() {
        let mut earlier = vec![extent(1, 100, 1); LOOKED_BACK_AT];
        earlier.push(extent(90, 100, 500));
        assert_eq!(
            codes(extent(30, 100, 1), Limits::default(), &earlier),
            ["anomaly.generations"]
        );
        earlier.remove(0);
        assert_eq!(
            codes(extent(30, 100, 1), Limits::default(), &earlier),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn limits_hold_from_the_first_run_on() {
        let limits = Limits {
            generations: Some(5),
            bytes: Some(Bytes(2 * GIB)),
            ..Limits::default()
        };
        assert_eq!(codes(extent(5, 9, 2), limits, &[]), Vec::<&str>::new());
        assert_eq!(codes(extent(6, 9, 2), limits, &[]), ["limits.generations"]);
        assert_eq!(codes(extent(5, 9, 3), limits, &[]), ["limits.bytes"]);
        let unknown = PlanSize {
            nar_bytes: None,
            ..extent(5, 9, 0)
        };
        assert_eq!(codes(unknown, limits, &[]), ["limits.bytes"]);
        assert_eq!(codes(unknown, Limits::default(), &[]), Vec::<&str>::new());
    }

    #[rstest]
    #[case::few_and_many(&[extent(6, 100, 0); 3], 100)]
    #[case::small(&[extent(1, 400, 0); 3], 30)]
    #[case::small_of_many(&[extent(1, 400, 0); 3], 100)]
    #[case::a_large_share(&[extent(40, 100, 0); 3], 100)]
    #[case::not_known(&[], 100)]
    fn what_needs_no_confirmation_raises_no_alarm_and_one_more_does(
        #[case] earlier: &[PlanSize],
        #[case] of: u64,
    ) {
        for generations in [None, Some(5), Some(60)] {
            let limits = Limits {
                generations,
                usual: Usual::of(earlier.iter().copied()),
                ..Limits::default()
            };
            let most = limits.most_unconfirmed(of, |_| false);
            for removed in 0..=of {
                let anomalies = codes(extent(removed, of, 0), limits, earlier);
                assert_eq!(
                    anomalies.is_empty(),
                    removed <= most,
                    "{removed} of {most}: {anomalies:?}"
                );
            }
            assert_eq!(limits.most_unconfirmed(of, |_| true), u64::MAX);
        }
    }

    #[rstest]
    #[case::the_lower_of_both((Some(5), Some(2)), (Some(3), Some(4)), (Some(3), Some(2)))]
    #[case::the_only_one((None, Some(2)), (Some(3), None), (Some(3), Some(2)))]
    #[case::none((None, None), (None, None), (None, None))]
    fn limits_of_two_files_both_hold(
        #[case] one: (Option<u64>, Option<u64>),
        #[case] other: (Option<u64>, Option<u64>),
        #[case] both: (Option<u64>, Option<u64>),
    ) {
        let usual = Usual::of([extent(6, 100, 0); 3]);
        let limits = |(generations, gib): (_, Option<u64>), usual| Limits {
            generations,
            bytes: gib.map(|gib| Bytes(gib * GIB)),
            usual,
        };
        // What is usual is known of the job, not of its settings.
        let joined = limits(one, usual).and(limits(other, Usual::default()));
        assert_eq!(joined, limits(both, usual));
    }
}
