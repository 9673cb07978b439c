//! Elapsed time: how much of the time that the clock claims to have passed since the last run is proven.
//!
//! Undo windows end by it. A clock that jumps ahead by months would end all of them at once.

use serde::{Deserialize, Serialize};

use super::measure::{Age, Timestamp};
use super::snapshot::Hold;

/// What a clock may differ from the uptime between two runs of one boot.
const SLACK: Age = Age::minutes(5);
/// How long a machine may be off between two runs without any doubt: a long weekend.
const MAX_TIME_OFF: Age = Age::days(3);
/// A machine that was off is believed so long after the first run that saw the new time.
const CONFIRM_OFF: Age = Age::days(1);
/// Within one boot, either the old time or the new one was wrong, or a virtual machine was paused. As long as the usual
/// undo window, so that no such window ends early.
const CONFIRM_RUNNING: Age = Age::days(7);

/// How long the machine is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Uptime {
    /// The identity of the boot.
    pub boot: String,
    /// The time since then, sleep included.
    pub seconds: u64,
}

/// Time that the clock skipped between two runs and nothing proves to have passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Skip {
    /// The end of the run before.
    pub after: Timestamp,
    /// How much was skipped.
    pub length: Age,
    /// When it was first seen.
    pub seen: Timestamp,
    /// Whether the machine was booted in between, so that it may have been off.
    pub booted: bool,
}

/// A reading of clock and uptime.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The clock.
    pub at: Timestamp,
    /// The uptime, where the machine has one.
    pub uptime: Option<&'a Uptime>,
}

/// The skips that count at `now`, the oldest first: those known at the last run and not confirmed since, and the one
/// since then.
pub fn skips(last: Reading<'_>, known: &[Skip], now: Reading<'_>) -> Vec<Skip> {
    let new = skipped(last, now);
    let mut standing: Vec<Skip> = new.clone().into_iter().collect();
    // From the newest: time that was skipped later confirms nothing. Only a machine that is often off for days is
    // believed as soon as a later run has seen it.
    for skip in known.iter().rev() {
        let confirm = if skip.booted {
            CONFIRM_OFF
        } else {
            CONFIRM_RUNNING
        };
        let unproven = |later: &&Skip| !later.booted || Some(*later) == new.as_ref();
        let later = standing.iter().filter(|later| later.after >= skip.seen);
        let later = later.filter(unproven);
        let proven = later.fold(now.at, |time, later| time.before(later.length));
        // A clock that was set back behind it has taken it back.
        if skip.seen <= now.at && skip.seen.after(confirm) > proven {
            standing.push(skip.clone());
        }
    }
    standing.reverse();
    standing
}

fn skipped(last: Reading<'_>, now: Reading<'_>) -> Option<Skip> {
    let claimed = now.at.to_unix().0.checked_sub(last.at.to_unix().0)?;
    let claimed = u64::try_from(claimed).ok()?;
    let up = now.uptime.map_or(0, |uptime| uptime.seconds);
    let same = last.uptime.zip(now.uptime);
    let same = same.filter(|(before, now)| before.boot == now.boot);
    let (proven, allowed) = match same {
        Some((before, _)) => (up.saturating_sub(before.seconds), SLACK),
        None => (up, MAX_TIME_OFF),
    };
    let skipped = claimed.saturating_sub(proven);
    (skipped > allowed.as_seconds()).then(|| Skip {
        after: last.at,
        // To the minute, so that a plan and its run come to the same.
        length: Age::minutes(u32::try_from(skipped.div_ceil(60)).unwrap_or(u32::MAX)),
        seen: now.at,
        booted: same.is_none(),
    })
}

/// When the window of a hold ends: as much later as the clock skipped while it was open.
pub fn window_end(hold: &Hold, skips: &[Skip]) -> Timestamp {
    let made = hold.run.started();
    let mut end = hold.until;
    for skip in skips {
        // A run whose name does not say when it began counts as an old one.
        if made.is_none_or(|made| made <= skip.after) && end > skip.after {
            end = end.after(skip.length);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::receipt::RunId;
    use crate::domain::snapshot::Held;
    use crate::domain::store_path::StorePathRef;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rstest::rstest;

    const T0: i64 = 1_795_000_000;
    const DAY: i64 = 86_400;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_unix(T0 + days * DAY, 0).unwrap()
    }

    fn up(boot: &str, days: u64) -> Uptime {
        Uptime {
            boot: boot.to_string(),
            seconds: 1000 + days * 86_400,
        }
    }

    /// A hold of a week that was made at the beginning.
    fn hold() -> Hold {
        let name = "00000000000000000000000000000000-x";
        Hold {
            run: RunId::at(at(0), 1),
            link: "/holds/0".into(),
            store_path: StorePathRef::from_base_name(name).unwrap().to_owned(),
            held: Held::Root { root: "/r".into() },
            until: at(7),
            intact: true,
        }
    }

    /// Runs at these days, each with its boot and its uptime in days; whether the window has ended at each.
    fn ended(runs: &[(i64, &str, u64)]) -> Vec<bool> {
        let (mut last, mut uptime, mut known) = (at(0), up("a", 0), Vec::new());
        let each = runs.iter().map(|&(day, boot, days)| {
            let (now, then) = (at(day), up(boot, days));
            let before = Reading {
                at: last,
                uptime: Some(&uptime),
            };
            known = skips(
                before,
                &known,
                Reading {
                    at: now,
                    uptime: Some(&then),
                },
            );
            (last, uptime) = (now, then);
            window_end(&hold(), &known) <= now
        });
        each.collect()
    }

    #[rstest]
    #[case::a_server(&[(6, "a", 6), (7, "a", 7)], &[false, true])]
    #[case::a_server_without_runs(&[(100, "a", 100)], &[true])]
    #[case::off_for_weekends(&[(3, "b", 0), (5, "c", 1), (8, "d", 0)], &[false, false, true])]
    #[case::off_for_long(&[(100, "b", 0), (101, "b", 1)], &[false, true])]
    #[case::off_for_long_and_again(&[(100, "b", 0), (200, "c", 0)], &[false, false])]
    #[case::once_a_week(&[(7, "b", 0), (14, "c", 0), (21, "d", 0)], &[false, false, true])]
    #[case::set_ahead(&[(100, "a", 0), (101, "a", 1), (106, "a", 6), (107, "a", 7)], &[false, false, false, true])]
    #[case::set_ahead_step_by_step(&[(8, "a", 0), (20, "a", 0), (60, "a", 0), (200, "a", 0)], &[false, false, false, false])]
    #[case::set_ahead_and_back(&[(100, "a", 0), (1, "a", 1), (7, "a", 7)], &[false, false, true])]
    #[case::ahead_and_booted(&[(100, "a", 0), (100, "b", 0), (101, "b", 1)], &[false, false, false])]
    fn windows_end_by_time_that_was_seen_to_pass(
        #[case] runs: &[(i64, &str, u64)],
        #[case] expected: &[bool],
    ) {
        assert_eq!(ended(runs), expected);
    }

    #[test]
    fn a_hold_made_after_a_skip_ends_by_the_new_time() {
        let skip = Skip {
            after: at(-3000),
            length: Age::days(3000),
            seen: at(0),
            booted: false,
        };
        let mut young = hold();
        young.run = RunId::at(at(0), 1);
        assert_eq!(window_end(&young, std::slice::from_ref(&skip)), at(7));
        let mut old = hold();
        (old.run, old.until) = (RunId::at(at(-3000), 1), at(-2993));
        assert_eq!(window_end(&old, &[skip]), at(7));
    }

    /// A step of a machine: hours that really pass, hours that the clock is set ahead, and whether it is booted.
    fn step() -> impl Strategy<Value = (u32, i64, bool)> {
        let set = prop_oneof![4 => Just(0), 1 => 1..400_i64, 1 => 400..4000_i64];
        (0..60_u32, set, proptest::bool::weighted(0.2))
    }

    proptest! {
        #[test]
        fn no_window_ends_before_so_much_time_was_seen_to_pass(steps in vec(step(), 1..40)) {
            let mut run = World::new();
            let mut confirmed = Vec::new();
            for &(real, set, boot) in &steps {
                let before = run.known.clone();
                run.step(real, set, boot);
                // What counts no longer was confirmed: so long ago was it seen, by the clock of later runs.
                confirmed.extend(before.into_iter().filter(|skip| !run.known.contains(skip)));
                for skip in &confirmed {
                    let wait = if skip.booted { CONFIRM_OFF } else { CONFIRM_RUNNING };
                    prop_assert!(skip.seen.after(wait) <= run.now);
                }
                if confirmed.is_empty() && run.ended() {
                    // A boot proves no more than that the machine may have been off.
                    prop_assert!(run.real + run.boots * 72 >= 7 * 24);
                }
            }
        }

        #[test]
        fn a_window_ends_in_time_where_the_clock_is_right(
            steps in vec((1..60_u32, Just(0), proptest::bool::weighted(0.3)), 1..40),
        ) {
            let mut run = World::new();
            for (real, set, boot) in steps {
                run.step(real, set, boot);
                prop_assert_eq!(run.ended(), run.real >= 7 * 24);
            }
        }

        #[test]
        fn no_window_ends_within_a_week_of_a_boot_whose_clock_is_set(
            steps in vec((0..10_u32, 0..4000_i64), 1..40),
        ) {
            let mut run = World::new();
            for (real, set) in steps {
                run.step(real, set, false);
                prop_assert!(run.real >= 7 * 24 || !run.ended());
            }
        }
    }

    /// A machine, and what its runs write down.
    struct World {
        now: Timestamp,
        uptime: Uptime,
        known: Vec<Skip>,
        real: i64,
        boots: i64,
    }

    impl World {
        fn new() -> Self {
            let (known, real, boots) = (Vec::new(), 0, 0);
            Self {
                now: at(0),
                uptime: up("0", 0),
                known,
                real,
                boots,
            }
        }

        /// A machine that is booted is off for the time before.
        fn step(&mut self, real: u32, set: i64, boot: bool) {
            let (last, uptime) = (self.now, self.uptime.clone());
            self.real += i64::from(real);
            if boot {
                self.boots += 1;
                self.uptime = Uptime {
                    boot: self.boots.to_string(),
                    seconds: 0,
                };
            } else {
                self.uptime.seconds += u64::from(real) * 3600;
            }
            let passed = (i64::from(real) + set) * 3600;
            self.now = Timestamp::from_unix(last.to_unix().0 + passed, 0).unwrap();
            let before = Reading {
                at: last,
                uptime: Some(&uptime),
            };
            let now = Reading {
                at: self.now,
                uptime: Some(&self.uptime),
            };
            self.known = skips(before, &self.known, now);
        }

        fn ended(&self) -> bool {
            window_end(&hold(), &self.known) <= self.now
        }
    }
}
