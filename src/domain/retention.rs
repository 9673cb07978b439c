//! Which generations stay: a pure function from a profile, a policy and the circumstances to verdicts with reasons.
//!
//! A generation stays if any rule keeps it, and shows all that do. The rules are restic's (`last`, `within`, calendar
//! buckets); what is always kept is ours.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::measure::{Age, Timestamp};
use super::profile::{Content, Current, Generation, GenerationNumber, Profile};
use super::snapshot::Pin;
use super::store_path::StorePath;

/// How much of a profile's history to keep. A policy that could keep nothing cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepPolicy {
    rules: KeepRules,
}

/// The rules as they are written; each is optional.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeepRules {
    /// Keep this many, counted back from the current generation, which is the first.
    pub last: Option<u16>,
    /// Keep what is not older than this, and the one that was active then.
    #[schemars(with = "Option<String>")]
    pub within: Option<Age>,
    /// Keep the newest of each of this many days that have one.
    pub daily: Option<u16>,
    /// Keep the newest of each of this many ISO weeks that have one.
    pub weekly: Option<u16>,
    /// Keep the newest of each of this many months that have one.
    pub monthly: Option<u16>,
    /// Keep the newest of each of this many years that have one.
    pub yearly: Option<u16>,
}

/// The largest number a keep rule takes.
pub const MOST_KEPT: u16 = 1000;

/// Why rules are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// No rule is given, or all of them keep nothing.
    #[error("these keep rules could keep nothing")]
    KeepsNothing,
    /// A number above [`MOST_KEPT`].
    #[error("`{rule}` is {value}, and at most 1000 can be kept")]
    TooMany {
        /// The rule.
        rule: &'static str,
        /// Its number.
        value: u16,
    },
}

impl KeepPolicy {
    /// Checks the rules.
    ///
    /// # Errors
    /// When they could keep nothing, or a number is above [`MOST_KEPT`].
    pub fn new(rules: KeepRules) -> Result<Self, KeepError> {
        let counts = [
            ("last", rules.last),
            ("daily", rules.daily),
            ("weekly", rules.weekly),
            ("monthly", rules.monthly),
            ("yearly", rules.yearly),
        ];
        for (rule, value) in counts {
            if let Some(value) = value.filter(|&value| value > MOST_KEPT) {
                return Err(KeepError::TooMany { rule, value });
            }
        }
        let counted = counts.iter().any(|(_, n)| n.is_some_and(|n| n > 0));
        let aged = rules.within.is_some_and(|age| !age.is_zero());
        if counted || aged {
            Ok(Self { rules })
        } else {
            Err(KeepError::KeepsNothing)
        }
    }

    /// The rules.
    pub fn rules(&self) -> &KeepRules {
        &self.rules
    }
}

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
}

/// Why a generation stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    /// It is the system to fall back to.
    Fallback,
    /// The rule `last`.
    Last(u16),
    /// The rule `within`.
    Within(Age),
    /// The rule `daily`: the newest of this day.
    Daily(String),
    /// The rule `weekly`: the newest of this ISO week.
    Weekly(String),
    /// The rule `monthly`: the newest of this month.
    Monthly(String),
    /// The rule `yearly`: the newest of this year.
    Yearly(String),
    /// Its link is dated after now, so that its age cannot be told.
    FromTheFuture,
    /// Its store path is gone: it could be neither held nor brought back.
    TargetMissing,
    /// Its link does not lead straight to a store path.
    TargetForeign,
    /// The profile's current generation cannot be told.
    CurrentUnknown(String),
    /// The profile must not be touched.
    Blocked(String),
    /// The job has no rule for this profile.
    NotSelected,
    /// It belongs to another user.
    NotYours,
}

/// One or more reasons, in the order of [`Reason`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasons {
    first: Reason,
    others: Vec<Reason>,
}

impl Reasons {
    /// A single reason.
    pub fn one(reason: Reason) -> Self {
        Self {
            first: reason,
            others: Vec::new(),
        }
    }

    fn gather(reasons: BTreeSet<Reason>) -> Option<Self> {
        let mut reasons = reasons.into_iter();
        reasons.next().map(|first| Self {
            first,
            others: reasons.collect(),
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// What is to become of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for all these reasons.
    Keep(Reasons),
    /// It goes: it is older than the current one, and no rule keeps it.
    Drop {
        /// What it leads to, on disk: what the hold will keep.
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
    let current = match (&profile.current, &profile.blocked) {
        (Current::Known(number), None) => *number,
        (Current::Known(_), Some(why)) => return keep_all(profile, &Reason::Blocked(why.clone())),
        (Current::Unknown(why), _) => {
            return keep_all(profile, &Reason::CurrentUnknown(why.to_string()));
        }
    };
    let mut ballot = Ballot::new(profile, current);
    ballot.always_kept(circumstances);
    ballot.last(policy.rules.last);
    ballot.within(policy.rules.within, circumstances.now);
    ballot.buckets(&policy.rules, circumstances);
    ballot.verdicts()
}

/// Keeps every generation of a profile for one reason.
pub fn keep_all(profile: &Profile, reason: &Reason) -> BTreeMap<GenerationNumber, Verdict> {
    let keep = || Verdict::Keep(Reasons::one(reason.clone()));
    profile.generations.keys().map(|&n| (n, keep())).collect()
}

/// The reasons gathered so far.
struct Ballot<'a> {
    profile: &'a Profile,
    current: GenerationNumber,
    reasons: BTreeMap<GenerationNumber, BTreeSet<Reason>>,
}

impl<'a> Ballot<'a> {
    fn new(profile: &'a Profile, current: GenerationNumber) -> Self {
        Self {
            profile,
            current,
            reasons: BTreeMap::new(),
        }
    }

    fn keep(&mut self, number: GenerationNumber, reason: Reason) {
        self.reasons.entry(number).or_default().insert(reason);
    }

    /// The current generation and what is older, from the newest number. What is newer than the current one stays
    /// anyway and takes no place of any rule, as with `nix-env --delete-generations +N`.
    fn up_to_current(&self) -> impl Iterator<Item = &'a Generation> + use<'a> {
        let generations = &self.profile.generations;
        generations.range(..=self.current).rev().map(|(_, g)| g)
    }

    fn always_kept(&mut self, circumstances: &Circumstances<'_>) {
        for generation in self.profile.generations.values() {
            let number = generation.number;
            if number == self.current {
                self.keep(number, Reason::Current);
            }
            if number > self.current {
                self.keep(number, Reason::NewerThanCurrent);
            }
            if generation.created > circumstances.now {
                self.keep(number, Reason::FromTheFuture);
            }
            match &generation.content {
                Content::Bootable(_) | Content::Present(_) => {}
                Content::Missing(_) => self.keep(number, Reason::TargetMissing),
                Content::Foreign => self.keep(number, Reason::TargetForeign),
            }
            if let Some(path) = generation.content.store_path() {
                if circumstances.booted.contains(path) {
                    self.keep(number, Reason::Booted);
                }
                if circumstances.running.contains(path) {
                    self.keep(number, Reason::Running);
                }
            }
            for pin in circumstances.pins {
                let holds = pin.until.is_none_or(|until| until > circumstances.now);
                if pin.profile == self.profile.path && pin.number == number && holds {
                    let (reason, until) = (pin.reason.clone(), pin.until);
                    self.keep(number, Reason::Pinned { reason, until });
                }
            }
        }
        if self.profile.kind.is_system() {
            self.fallback();
        }
    }

    /// Keeps the newest older system that looks bootable, or else the newest older one on disk.
    fn fallback(&mut self) {
        let older = || self.up_to_current().filter(|g| g.number < self.current);
        let bootable = older().find(|g| matches!(g.content, Content::Bootable(_)));
        let on_disk = || older().find(|g| g.content.on_disk().is_some());
        if let Some(generation) = bootable.or_else(on_disk) {
            self.keep(generation.number, Reason::Fallback);
        }
    }

    fn last(&mut self, last: Option<u16>) {
        let Some(last) = last else { return };
        for generation in self.up_to_current().take(usize::from(last)) {
            self.keep(generation.number, Reason::Last(last));
        }
    }

    fn within(&mut self, within: Option<Age>, now: Timestamp) {
        let Some(age) = within else { return };
        let cutoff = now.before(age);
        let (mut latest, mut highest): (Option<&Generation>, Option<&Generation>) = (None, None);
        for generation in self.up_to_current() {
            if generation.created >= cutoff {
                self.keep(generation.number, Reason::Within(age));
                continue;
            }
            // From the newest number down: the first one is the highest, and an equal time does not displace it.
            highest = highest.or(Some(generation));
            if latest.is_none_or(|best| generation.created > best.created) {
                latest = Some(generation);
            }
        }
        // Where times do not rise with the numbers (restored or touched links) both may have been the active one.
        for generation in [latest, highest].into_iter().flatten() {
            self.keep(generation.number, Reason::ActiveAtCutoff);
        }
    }

    fn buckets(&mut self, rules: &KeepRules, circumstances: &Circumstances<'_>) {
        let trusted = |g: &&Generation| g.created <= circumstances.now;
        let mut newest_first: Vec<&Generation> = self.up_to_current().filter(trusted).collect();
        newest_first.sort_by_key(|g| std::cmp::Reverse((g.created, g.number)));
        let kinds: [(Option<u16>, BucketName, fn(String) -> Reason); 4] = [
            (
                rules.daily,
                |t| t.strftime("%Y-%m-%d").to_string(),
                Reason::Daily,
            ),
            (
                rules.weekly,
                |t| t.strftime("%G-W%V").to_string(),
                Reason::Weekly,
            ),
            (
                rules.monthly,
                |t| t.strftime("%Y-%m").to_string(),
                Reason::Monthly,
            ),
            (
                rules.yearly,
                |t| t.strftime("%Y").to_string(),
                Reason::Yearly,
            ),
        ];
        for (count, name, reason) in kinds {
            // A set, not the last bucket seen: where a zone goes back over midnight, a day comes twice.
            let mut seen = BTreeSet::new();
            for generation in &newest_first {
                if seen.len() >= usize::from(count.unwrap_or(0)) {
                    break;
                }
                let bucket = name(&generation.created.in_zone(circumstances.zone));
                if seen.insert(bucket.clone()) {
                    self.keep(generation.number, reason(bucket));
                }
            }
        }
    }

    fn verdicts(mut self) -> BTreeMap<GenerationNumber, Verdict> {
        let mut verdicts = BTreeMap::new();
        for (&number, generation) in &self.profile.generations {
            let reasons = Reasons::gather(self.reasons.remove(&number).unwrap_or_default());
            let verdict = match (reasons, generation.content.on_disk()) {
                (Some(reasons), _) => Verdict::Keep(reasons),
                (None, Some(path)) => Verdict::Drop {
                    store_path: path.clone(),
                },
                (None, None) => Verdict::Keep(Reasons::one(Reason::TargetMissing)),
            };
            verdicts.insert(number, verdict);
        }
        verdicts
    }
}

/// Names the calendar bucket of a moment.
type BucketName = fn(&Zoned) -> String;
