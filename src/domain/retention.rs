//! Retention: which generations a policy keeps, and why.
//!
//! A generation is kept if any rule keeps it, and lists all such rules. The rules are those of restic (`last`, `within`, calendar
//! buckets); the generations that are always kept are ours.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use self::calendar::{Calendar, PeriodCounts};
use self::keep_reasons::KeepReasons;
pub use self::policy::{KeepError, KeepPolicy, KeepRules, MAX_KEPT};
use super::measure::{Span, Timestamp};
use super::policy::MinimumRetention;
use super::profile::{Current, CurrentUnknown, GenerationNumber, Profile};
use super::root_rules::RuleNumber;
use super::root_use::LastUse;
use super::snapshot::Pin;
use super::store_path::StorePath;
use super::uptimes::Uptimes;

mod calendar;
mod keep_reasons;
mod policy;

/// What holds for a profile beside its policy.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The moment of the look.
    pub now: Timestamp,
    /// The zone whose calendar the buckets follow.
    pub zone: &'a TimeZone,
    /// The systems the machine was booted with.
    pub booted: &'a [StorePath<String>],
    /// The systems the machine is running.
    pub running: &'a [StorePath<String>],
    /// Pins, of any profile.
    pub pins: &'a [Pin],
    /// How long the machine ran each of its systems.
    pub uptimes: &'a Uptimes,
}

/// Why a generation, a root or a hold is kept.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "code", content = "value", rename_all = "camelCase")]
pub enum Reason {
    /// It is the current one.
    Current,
    /// The machine was booted with it.
    Booted,
    /// The machine is running it.
    Running,
    /// Somebody pinned it.
    Pinned {
        /// Why, in their words.
        reason: Option<String>,
        /// Until when.
        until: Option<Timestamp>,
    },
    /// Its number is above the current one: somebody went back, and may go forward again.
    NewerThanCurrent,
    /// It was the active one when the `within` rule's time began.
    ActiveAtCutoff,
    /// It is the rollback target.
    Fallback,
    /// The rule `last`.
    Last(u16),
    /// The rule `within`.
    Within(Span),
    /// A calendar rule: it is the newest of this period.
    NewestOf {
        /// The rule.
        rule: Calendar,
        /// The period, such as `2026-05`.
        period: String,
    },
    /// The rule `knownGood`: no other system ran longer without a reboot, as far as runs have seen it.
    KnownGood(Span),
    /// The policy of the machine keeps so many.
    PolicyLast(u16),
    /// The policy of the machine keeps what is not older than this, and the one that was active then.
    PolicyWithin(Span),
    /// The timestamp of its link is in the future, so its age is unknown.
    FutureTimestamp,
    /// Its store path is gone: it could be neither held nor brought back.
    TargetMissing,
    /// The target of its link is not a store path.
    TargetOutsideStore,
    /// The profile's current generation is unknown.
    CurrentUnknown(String),
    /// The profile must not be touched.
    Blocked(String),
    /// A pattern of `protect.roots` matches the link.
    Protected,
    /// A path of `protect.paths` covers the link.
    ProtectedPath,
    /// The parent directory is missing: a home or file system may not be mounted.
    ParentMissing,
    /// The link is still there; its owner can see it, and remove it.
    LinkExists,
    /// The link is gone, and its entry lies outside `gcroots/auto` and `gcroots/per-user`: its owner can see the entry, and remove it.
    EntryByHand,
    /// Its name is not UTF-8, and could not be recorded and restored exactly.
    NotUtf8,
    /// Its undo window is open.
    WindowOpen,
    /// The job does not select it.
    NotSelected,
    /// It belongs to another user.
    OtherOwner,
    /// The budget does not need its space.
    NotNeeded,
    /// One run removes no more.
    LaterRun,
    /// Nobody marked it in `browse`.
    NotMarked,
    /// A process works in the project of the link.
    InUse {
        /// The number of the process.
        pid: u32,
    },
    /// It cannot be removed with the rights of its owner: they may not change its directory, or they have no account.
    OutOfReach,
    /// Its last use is not known.
    UseUnknown(String),
    /// It was used within the time of a rule.
    UsedWithin {
        /// The time of the rule.
        span: Span,
        /// The last use.
        last: LastUse,
    },
    /// It was made within the time of a rule.
    MadeWithin(Span),
    /// It is one of the latest links of its kind in its directory.
    LatestInDirectory(u16),
    /// Its project exists.
    ProjectExists,
    /// This rule keeps it.
    RuleKeepsIt(RuleNumber),
    /// It is on another file system, and no rule names it by a pattern.
    OtherFileSystem,
    /// Its target is a derivation, which could not be held.
    Derivation,
    /// They are too young, or something uses them.
    YoungOrInUse,
}

/// One or more reasons, in the order of [`Reason`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "Vec<Reason>", into = "Vec<Reason>")]
pub struct Reasons(Vec<Reason>);

/// There is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no reason to keep it")]
pub struct NoReason;

impl TryFrom<Vec<Reason>> for Reasons {
    type Error = NoReason;
    fn try_from(reasons: Vec<Reason>) -> Result<Self, Self::Error> {
        Self::gather(reasons.into_iter().collect()).ok_or(NoReason)
    }
}

impl From<Reasons> for Vec<Reason> {
    fn from(reasons: Reasons) -> Self {
        reasons.0
    }
}

impl Reasons {
    /// A single reason.
    pub fn one(reason: Reason) -> Self {
        Self(vec![reason])
    }

    /// All of these, without repetitions; `None` for none.
    pub fn gather(reasons: BTreeSet<Reason>) -> Option<Self> {
        (!reasons.is_empty()).then(|| Self(reasons.into_iter().collect()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        self.0.iter()
    }
}

/// What becomes of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, for all these reasons.
    Keep(Reasons),
    /// It is removed: it is older than the current one, and no rule keeps it.
    Remove {
        /// Its target on disk, which a hold keeps.
        store_path: StorePath<String>,
    },
}

/// Judges every generation of a profile.
///
/// A longer policy never drops more: `last` and the buckets count from the newest, `within` from a cutoff, and each
/// keeps a superset of what the same rule with a smaller number keeps.
pub fn judge(
    profile: &Profile,
    policy: &KeepPolicy,
    circumstances: &Circumstances<'_>,
) -> BTreeMap<GenerationNumber, Verdict> {
    let current = match settled(profile) {
        Ok(current) => current,
        Err(reason) => return keep_all(profile, &reason),
    };
    let mut keep = KeepReasons::new(profile, current);
    keep.always_kept(circumstances);
    keep.last(policy.rules().last, circumstances.now);
    keep.within(policy.rules().within, circumstances.now);
    keep.buckets(policy.rules(), circumstances);
    if policy.rules().known_good {
        keep.known_good(circumstances);
    }
    keep.floor(policy.floor(), circumstances.now);
    keep.verdicts()
}

/// Judges every generation of a profile whose owner was removed. None is kept because it is the current one: nobody uses it. All are
/// kept while one of them is younger than `age`.
pub fn judge_removed(
    profile: &Profile,
    age: Span,
    floor: MinimumRetention,
    circumstances: &Circumstances<'_>,
) -> BTreeMap<GenerationNumber, Verdict> {
    let numbers = profile.generations.keys();
    let (None, Some(newest)) = (&profile.blocked, numbers.max()) else {
        let why = profile.blocked.clone().unwrap_or_default();
        return keep_all(profile, &Reason::Blocked(why));
    };
    let cutoff = circumstances.now.before(age);
    let mut generations = profile.generations.values();
    if generations.any(|generation| generation.created >= cutoff) {
        return keep_all(profile, &Reason::MadeWithin(age));
    }
    let mut keep = KeepReasons::new(profile, *newest);
    keep.always_kept(circumstances);
    keep.floor(floor, circumstances.now);
    keep.forget(&Reason::Current);
    keep.verdicts()
}

/// Why a generation is kept whatever the rules are; `None` when only the rules can keep it, or when it does not exist.
pub fn always_kept(
    profile: &Profile,
    number: GenerationNumber,
    circumstances: &Circumstances<'_>,
) -> Option<Reasons> {
    let generation = profile.generations.get(&number)?;
    let current = match settled(profile) {
        Ok(current) => current,
        Err(reason) => return Some(Reasons::one(reason)),
    };
    let mut keep = KeepReasons::new(profile, current);
    keep.by_state(generation, circumstances);
    keep.by_pins_and_fallback(circumstances);
    keep.reasons_of(number)
}

/// Whether the policy of the machine keeps a generation.
pub fn kept_by_floor(
    profile: &Profile,
    number: GenerationNumber,
    floor: MinimumRetention,
    circumstances: &Circumstances<'_>,
) -> bool {
    let Ok(current) = settled(profile) else {
        return true;
    };
    let mut keep = KeepReasons::new(profile, current);
    keep.floor(floor, circumstances.now);
    keep.reasons_of(number).is_some()
}

/// The current generation, or why nothing of the profile may go.
fn settled(profile: &Profile) -> Result<GenerationNumber, Reason> {
    match (&profile.current, &profile.blocked) {
        (Current::Unknown(why), _) => Err(Reason::CurrentUnknown(why.to_string())),
        (Current::Known(_), Some(why)) => Err(Reason::Blocked(why.clone())),
        (Current::Known(number), None) if profile.generations.contains_key(number) => Ok(*number),
        // The profile changed while it was read: what counts back from this number would count from nowhere.
        (Current::Known(number), None) => {
            let why = CurrentUnknown::Dangling(*number);
            Err(Reason::CurrentUnknown(why.to_string()))
        }
    }
}

/// Keeps every generation of a profile for one reason.
pub fn keep_all(profile: &Profile, reason: &Reason) -> BTreeMap<GenerationNumber, Verdict> {
    let keep = || Verdict::Keep(Reasons::one(reason.clone()));
    profile.generations.keys().map(|&n| (n, keep())).collect()
}

#[cfg(test)]
mod tests;
