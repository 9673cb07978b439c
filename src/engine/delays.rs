//! Delays: how long the profiles of one user, and of all other users, may delay a run.
//!
//! A user can keep the lock of their profile forever, or slow down `nix-env` in many other ways. The run holds its own lock
//! during that time, and the collection comes last.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::domain::measure::Timestamp;
use crate::domain::profile::Owner;

/// The time that a step may take on a slow machine, in seconds. Only the rest is a delay.
const USUAL_SECONDS: i64 = 3;
/// The delay after which the rest of another user's steps is skipped.
const MAX_OWNER_SECONDS: i64 = 30;
/// The delay by all other users together after which all of their steps are skipped.
const MAX_RUN_SECONDS: i64 = 90;

/// The time of all steps of another user after which the rest is skipped: a user can make each step slow without a delay
/// of any single one.
const MAX_OWNER_TOTAL_SECONDS: i64 = 120;
/// The time of all steps of all other users after which all of their steps are skipped.
const MAX_RUN_TOTAL_SECONDS: i64 = 300;

/// The profile that a step changes, by its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Delayer {
    /// A profile of the user who runs this. Its other profiles are not concerned.
    Ours(Utf8PathBuf),
    /// Any profile of another user.
    Theirs(u32),
}

/// The delays of one run.
#[derive(Debug, Default)]
pub(super) struct Delays {
    seconds: BTreeMap<Delayer, i64>,
    of_others: i64,
    /// The time of the steps of each other user, delay or not.
    totals: BTreeMap<u32, i64>,
}

impl Delays {
    /// The reason to skip a step; `None` if it may be tried.
    pub(super) fn reason_to_skip(&self, delayer: &Delayer, owner: &Owner) -> Option<String> {
        let delay = self.seconds.get(delayer).copied().unwrap_or_default();
        let of_all: i64 = self.totals.values().sum();
        let total = |uid: &u32| self.totals.get(uid).copied().unwrap_or_default();
        match delayer {
            Delayer::Ours(profile) if delay >= MAX_OWNER_SECONDS => Some(format!(
                "skipped: {profile} was locked for too long earlier in this run; the next run tries again"
            )),
            Delayer::Theirs(_) if delay >= MAX_OWNER_SECONDS => Some(format!(
                "skipped: a profile of the user {owner} was locked or too slow earlier in this run; the next run tries again"
            )),
            Delayer::Theirs(_) if self.of_others >= MAX_RUN_SECONDS => Some(format!(
                "skipped: profiles of other users have delayed this run for {} s; the next run tries again",
                self.of_others
            )),
            Delayer::Theirs(uid) if total(uid) >= MAX_OWNER_TOTAL_SECONDS => Some(format!(
                "skipped: the generations of the user {owner} have taken {} s of this run; the next run tries again",
                total(uid)
            )),
            Delayer::Theirs(_) if of_all >= MAX_RUN_TOTAL_SECONDS => Some(format!(
                "skipped: the generations of other users have taken {of_all} s of this run; the next run tries again"
            )),
            Delayer::Ours(_) | Delayer::Theirs(_) => None,
        }
    }

    /// Adds what a step took. After a time-out nothing more is tried there. Our own profiles may be slow: nobody else is the
    /// cause.
    pub(super) fn add(
        &mut self,
        delayer: Delayer,
        (begun, ended): (Timestamp, Timestamp),
        timed_out: bool,
    ) {
        let took = ended.to_unix().0.saturating_sub(begun.to_unix().0);
        let mut delay = 0;
        if let Delayer::Theirs(uid) = delayer {
            let total = self.totals.entry(uid).or_default();
            *total = total.saturating_add(took.max(0));
            delay = took.saturating_sub(USUAL_SECONDS).max(0);
            self.of_others = self.of_others.saturating_add(delay);
        }
        let sum = self.seconds.entry(delayer).or_default();
        *sum = sum.saturating_add(delay);
        if timed_out {
            *sum = (*sum).max(MAX_OWNER_SECONDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: u32) -> Owner {
        Owner { uid, name: None }
    }

    fn span(seconds: i64) -> (Timestamp, Timestamp) {
        let at = |seconds| Timestamp::from_unix(seconds, 0).unwrap();
        (at(1_000), at(1_000 + seconds))
    }

    #[test]
    fn many_users_cannot_hold_up_a_run_one_after_the_other() {
        let mut delays = Delays::default();
        let mut tried = 0;
        for uid in 1000..1100 {
            let delayer = Delayer::Theirs(uid);
            if delays.reason_to_skip(&delayer, &owner(uid)).is_none() {
                delays.add(delayer, span(33), true);
                tried += 1;
            }
        }
        assert_eq!(tried, 3);
        let ours = Delayer::Ours("/state/profiles/system".into());
        assert_eq!(delays.reason_to_skip(&ours, &owner(0)), None);
    }

    #[test]
    fn many_short_steps_of_others_cannot_hold_up_a_run() {
        let mut delays = Delays::default();
        let mut tried: BTreeMap<u32, usize> = BTreeMap::new();
        for uid in 1000..1005 {
            for _ in 0..500 {
                let delayer = Delayer::Theirs(uid);
                if delays.reason_to_skip(&delayer, &owner(uid)).is_none() {
                    delays.add(delayer, span(3), false);
                    *tried.entry(uid).or_default() += 1;
                }
            }
        }
        assert_eq!(tried.values().copied().collect::<Vec<_>>(), [40, 40, 20]);
        // Our own profiles may take as long as they need.
        let ours = Delayer::Ours("/state/profiles/system".into());
        delays.add(ours.clone(), span(3_000), false);
        assert_eq!(delays.reason_to_skip(&ours, &owner(0)), None);
    }

    #[test]
    fn a_time_out_in_one_profile_of_ours_leaves_the_others() {
        let mut delays = Delays::default();
        let profile = |name: &str| Delayer::Ours(format!("/state/profiles/{name}").into());
        delays.add(profile("default"), span(60), true);
        delays.add(profile("system"), span(600), false);
        assert!(
            delays
                .reason_to_skip(&profile("default"), &owner(0))
                .is_some()
        );
        assert_eq!(delays.reason_to_skip(&profile("system"), &owner(0)), None);
    }

    #[test]
    fn a_clock_that_goes_back_is_no_delay() {
        let mut delays = Delays::default();
        delays.add(Delayer::Theirs(1000), span(-500), false);
        delays.add(Delayer::Theirs(1000), span(32), false);
        assert_eq!(
            delays.reason_to_skip(&Delayer::Theirs(1000), &owner(1000)),
            None
        );
        delays.add(Delayer::Theirs(1000), span(4), false);
        assert!(
            delays
                .reason_to_skip(&Delayer::Theirs(1000), &owner(1000))
                .is_some()
        );
    }
}
