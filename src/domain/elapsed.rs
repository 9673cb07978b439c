//! Elapsed time: how much of the time between two runs is proven.
//!
//! Undo windows end by it. A clock that jumps ahead by months would otherwise end all of them at once.

use serde::{Deserialize, Serialize};

use super::measure::{Span, Timestamp};
use super::snapshot::Hold;

/// What a clock may differ from the uptime between two runs of one boot.
const SLACK: Span = Span::minutes(5);
/// How long a machine may be off between two runs without any doubt: a long weekend.
const MAX_TIME_OFF: Span = Span::days(3);
/// A machine that was off is believed so long after the first run that saw the new time.
const CONFIRM_OFF: Span = Span::days(1);
/// Within one boot, either the old time or the new one was wrong, or a virtual machine was paused. As long as the usual
/// undo window, so that no such window ends early.
const CONFIRM_RUNNING: Span = Span::days(7);

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
    pub length: Span,
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
    let known = taken_back(known, last, now);
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
        let later = standing.iter().filter(unproven);
        let proven = later.fold(now.at, |time, later| time.before(later.length));
        if skip.seen.after(confirm) > proven {
            standing.push(skip.clone());
        }
    }
    standing.reverse();
    standing
}

fn skipped(last: Reading<'_>, now: Reading<'_>) -> Option<Skip> {
    let claimed = seconds_between(last.at, now.at);
    let same = proven(last, now);
    let (proven, allowed) = match same {
        Some(passed) => (passed, SLACK),
        None => (now.uptime.map_or(0, |uptime| uptime.seconds), MAX_TIME_OFF),
    };
    let skipped = claimed.saturating_sub(proven);
    (skipped > allowed.as_seconds()).then(|| Skip {
        after: last.at,
        length: in_minutes(skipped),
        seen: now.at,
        booted: same.is_none(),
    })
}

/// The known skips, less what a clock that was set back has taken back: of the newest first. What is left of one is seen
/// anew, or a clock that is only half right again would end windows.
fn taken_back(known: &[Skip], last: Reading<'_>, now: Reading<'_>) -> Vec<Skip> {
    let mut known = known.to_vec();
    let mut back = seconds_between(now.at, last.at);
    if back == 0 {
        return known;
    }
    back = back.saturating_add(proven(last, now).unwrap_or(0));
    while let Some(skip) = known.last_mut() {
        let left = skip.length.as_seconds().saturating_sub(back);
        if left > SLACK.as_seconds() {
            (skip.length, skip.seen) = (in_minutes(left), now.at);
            break;
        }
        back = back.saturating_sub(skip.length.as_seconds());
        known.pop();
    }
    known
}

/// A span to the minute, so that a plan and its run have the same.
fn in_minutes(seconds: u64) -> Span {
    Span::minutes(u32::try_from(seconds.div_ceil(60)).unwrap_or(u32::MAX))
}

/// The seconds of one boot that passed between two readings; `None` where the machine was booted in between. A container
/// that is started again may have the identity of its host's boot, and an uptime of its own.
fn proven(last: Reading<'_>, now: Reading<'_>) -> Option<u64> {
    let (before, now) = last.uptime.zip(now.uptime)?;
    let passed = now.seconds.checked_sub(before.seconds)?;
    (before.boot == now.boot).then_some(passed)
}

/// When the window of a hold ends: as much later as the clock skipped while it was open.
pub fn window_end(hold: &Hold, skips: &[Skip]) -> Timestamp {
    let made = hold.run.started();
    let mut end = hold.until;
    for skip in skips {
        if end <= skip.after {
            continue;
        }
        // A hold that was made before the clock was set back may lie in the middle of what it skipped later. A run whose
        // name does not say when it began counts as an old one.
        let since = made.map_or(u64::MAX, |made| seconds_between(made, skip.seen));
        end = end.after(in_minutes(skip.length.as_seconds().min(since)));
    }
    end
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> u64 {
    let seconds = later.to_unix().0.saturating_sub(earlier.to_unix().0);
    u64::try_from(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests;
