//! Notices: what is wrong with a job, and which change of that somebody is told of.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::blocker::CheckCode;
use super::measure::Span;

/// Something that is wrong with a job, the most urgent first.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// Its last runs failed, and it does nothing until somebody acknowledges that.
    JobPaused,
    /// Its last run failed, or a part of it.
    RunFailed,
    /// Safety checks stopped its last run, or a part of it.
    CheckFailed,
    /// Its last run did not reach its goal.
    GoalMissed,
    /// The file system of the store will be full soon, by its growth.
    FullSoon,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::JobPaused,
        Self::RunFailed,
        Self::CheckFailed,
        Self::GoalMissed,
        Self::FullSoon,
    ];
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoticeEvent {
    /// The job is paused.
    JobPaused,
    /// A run failed, or a part of it.
    RunFailed,
    /// Safety checks stopped a run, or a part of it.
    CheckFailed,
    /// A run did not reach its goal.
    GoalMissed,
    /// The file system of the store will be full soon.
    FullSoon,
    /// Nothing is wrong with the job any more.
    Resolved,
    /// Nothing happened: somebody tries whether notices arrive.
    Test,
}

impl From<Trouble> for NoticeEvent {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::JobPaused => Self::JobPaused,
            Trouble::RunFailed => Self::RunFailed,
            Trouble::CheckFailed => Self::CheckFailed,
            Trouble::GoalMissed => Self::GoalMissed,
            Trouble::FullSoon => Self::FullSoon,
        }
    }
}

/// What is wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobState {
    /// What is wrong.
    pub troubles: BTreeSet<Trouble>,
    /// The safety checks that failed.
    pub checks: BTreeSet<CheckCode>,
}

impl JobState {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.troubles.is_empty()
    }

    /// What is new since the state that somebody was told of. Of several things the most urgent one; nothing where a part of what was
    /// wrong is still wrong.
    pub fn news_since(&self, told: &Self) -> Option<NoticeEvent> {
        let mut new = self.troubles.difference(&told.troubles);
        let other_check =
            self.troubles.contains(&Trouble::CheckFailed) && !self.checks.is_subset(&told.checks);
        match new.next() {
            Some(trouble) => Some((*trouble).into()),
            None if other_check => Some(NoticeEvent::CheckFailed),
            None if self.is_well() && !told.is_well() => Some(NoticeEvent::Resolved),
            None => None,
        }
    }

    /// What was wrong before and still is: somebody who sees a run end need not be told of what is new.
    #[must_use]
    pub fn still_wrong(&self, before: &Self) -> Self {
        Self {
            troubles: &self.troubles & &before.troubles,
            checks: &self.checks & &before.checks,
        }
    }
}

/// A command that gets notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// The program, by its absolute path.
    pub program: Utf8PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// How somebody is told, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeSettings {
    /// The command that gets each notice.
    pub command: Option<HookCommand>,
    /// Whether notices are shown on the desktop.
    pub desktop: bool,
    /// How long the command may take.
    pub timeout: Span,
    /// Within how long the file system of the store must be full for a notice.
    pub full_within: Option<Span>,
}

/// A forecast comes and goes around its limit: what was told stays until it is past the limit by this part.
const SLACK: u64 = 4;

impl NoticeSettings {
    /// Whether nobody is to be told.
    pub fn is_silent(&self) -> bool {
        self.command.is_none() && !self.desktop
    }

    /// Whether so many days until the file system is full are too few; `told` if somebody was told that they are.
    pub fn is_full_soon(&self, days: u32, told: bool) -> bool {
        let Some(limit) = self.full_within else {
            return false;
        };
        let limit = limit.as_seconds();
        let slack = if told { limit / SLACK } else { 0 };
        u64::from(days) * Span::days(1).as_seconds() <= limit.saturating_add(slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn states() -> impl Strategy<Value = JobState> {
        let troubles = proptest::sample::subsequence(Trouble::ALL.to_vec(), 0..=5);
        let checks = [
            CheckCode::RootsAway,
            CheckCode::RootsUnreadable,
            CheckCode::Unrooted,
        ];
        let checks = proptest::sample::subsequence(checks.to_vec(), 0..=3);
        (troubles, checks).prop_map(|(troubles, checks)| state(&troubles, &checks))
    }

    fn state(troubles: &[Trouble], checks: &[CheckCode]) -> JobState {
        let checks = checks.iter().copied();
        let troubles: BTreeSet<Trouble> = troubles.iter().copied().collect();
        let checks = if troubles.contains(&Trouble::CheckFailed) {
            checks.collect()
        } else {
            BTreeSet::new()
        };
        JobState { troubles, checks }
    }

    proptest! {
        #[test]
        fn what_was_told_is_not_told_again(state in states()) {
            prop_assert_eq!(state.news_since(&state), None);
        }

        /// Over any sequence of runs: whatever is wrong was told of since it was last right, and an end is told once.
        #[test]
        fn every_trouble_is_told_of_once(runs in proptest::collection::vec(states(), 1..20)) {
            let mut told = JobState::default();
            let mut is_open = false;
            for run in runs {
                let news = run.news_since(&told);
                let is_new = !run.troubles.is_subset(&told.troubles) || !run.checks.is_subset(&told.checks);
                match news {
                    Some(NoticeEvent::Resolved) => {
                        prop_assert!(run.is_well() && is_open);
                        is_open = false;
                    }
                    Some(_) => {
                        prop_assert!(is_new);
                        is_open = true;
                    }
                    None => prop_assert!(!is_new && (!run.is_well() || !is_open)),
                }
                told = run;
            }
        }

        #[test]
        fn whoever_saw_it_end_is_told_only_that_it_is_resolved(before in states(), now in states()) {
            let news = now.still_wrong(&before).news_since(&before);
            prop_assert!(matches!(news, None | Some(NoticeEvent::Resolved)));
        }
    }

    #[rstest]
    #[case::the_most_urgent(&[Trouble::GoalMissed, Trouble::JobPaused], &[], Some(NoticeEvent::JobPaused))]
    #[case::another_check(&[Trouble::CheckFailed], &[CheckCode::RootsAway], Some(NoticeEvent::CheckFailed))]
    #[case::the_same(&[Trouble::CheckFailed], &[CheckCode::Unrooted], None)]
    #[case::resolved(&[], &[], Some(NoticeEvent::Resolved))]
    fn the_news_since_a_failed_check(
        #[case] troubles: &[Trouble],
        #[case] checks: &[CheckCode],
        #[case] news: Option<NoticeEvent>,
    ) {
        let told = state(&[Trouble::CheckFailed], &[CheckCode::Unrooted]);
        assert_eq!(state(troubles, checks).news_since(&told), news);
    }

    #[rstest]
    #[case(14, false, true)]
    #[case(15, false, false)]
    #[case(15, true, true)]
    #[case(17, true, true)]
    #[case(18, true, false)]
    fn a_forecast_at_the_limit_is_told_once(
        #[case] days: u32,
        #[case] told: bool,
        #[case] soon: bool,
    ) {
        let settings = |full_within| NoticeSettings {
            command: None,
            desktop: true,
            timeout: Span::minutes(1),
            full_within,
        };
        assert_eq!(
            settings(Some(Span::days(14))).is_full_soon(days, told),
            soon
        );
        assert!(!settings(None).is_full_soon(0, told));
    }
}
