//! The most generations that one run removes, in all and of each owner.

use std::collections::BTreeMap;

use super::Verdicts;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::note::{Note, NoteCode};
use crate::domain::profile::Profile;
use crate::domain::retention::{Reason, Reasons, Verdict};
use crate::domain::snapshot::{Actor, Snapshot};

/// The limit of one run for generations, and for roots: its record must be small enough to be written and read.
pub const MAX_REMOVALS: usize = 10_000;

/// Root removes no more generations of another user in one run: the time for them is taken from everybody else.
pub const MAX_REMOVALS_OF_A_USER: usize = 500;

/// How many generations are removed, in all and of each owner.
struct Removals {
    all: usize,
    /// Root removes generations of other users up to this number of all: beyond it the run would need a confirmation.
    /// No user may cause that for everybody.
    most_unconfirmed: usize,
    of_owner: BTreeMap<u32, usize>,
}

impl Removals {
    /// The verdicts, with those generations kept for a later run that are beyond the limits.
    fn within_limits(&mut self, mut verdicts: Verdicts, owner: u32, actor: Actor) -> Verdicts {
        let of_owner = self.of_owner.entry(owner).or_default();
        let (most, most_of_all) = if actor == Actor::Root && owner != 0 {
            (
                MAX_REMOVALS_OF_A_USER,
                self.most_unconfirmed.min(MAX_REMOVALS),
            )
        } else {
            (MAX_REMOVALS, MAX_REMOVALS)
        };
        for verdict in verdicts.values_mut() {
            if !matches!(verdict, Verdict::Remove { .. }) {
                continue;
            }
            if self.all >= most_of_all || *of_owner >= most {
                *verdict = Verdict::Keep(Reasons::one(Reason::LaterRun));
            } else {
                self.all += 1;
                *of_owner += 1;
            }
        }
        verdicts
    }
}

/// Keeps for later runs what is beyond the limits of this one. The profiles keep their order.
pub(super) fn limit<'a>(
    judged: Vec<(&'a Profile, Verdicts)>,
    snapshot: &Snapshot,
    job: &EffectiveJob,
) -> Vec<(&'a Profile, Verdicts)> {
    let of: usize = judged.iter().map(|(p, _)| p.generations.len()).sum();
    let accepted = |code| job.accept.contains(&code);
    let most_unconfirmed = job.limits.most_unconfirmed(of as u64, accepted);
    let mut removals = Removals {
        all: 0,
        most_unconfirmed: usize::try_from(most_unconfirmed).unwrap_or(usize::MAX),
        of_owner: BTreeMap::new(),
    };
    let mut removed: BTreeMap<u32, usize> = BTreeMap::new();
    for (profile, verdicts) in &judged {
        let is_removed = |verdict: &&Verdict| matches!(verdict, Verdict::Remove { .. });
        *removed.entry(profile.owner.uid).or_default() +=
            verdicts.values().filter(is_removed).count();
    }
    let mut in_turn: Vec<(usize, (&Profile, Verdicts))> = judged.into_iter().enumerate().collect();
    // Root's first, then those of users with few: nobody with many takes the place of others.
    in_turn.sort_by_key(|(_, (profile, _))| {
        let uid = profile.owner.uid;
        (uid != 0, removed.get(&uid).copied(), uid)
    });
    for (_, (profile, verdicts)) in &mut in_turn {
        let all = std::mem::take(verdicts);
        *verdicts = removals.within_limits(all, profile.owner.uid, snapshot.actor);
    }
    in_turn.sort_by_key(|(index, _)| *index);
    in_turn.into_iter().map(|(_, judged)| judged).collect()
}

/// Says whose generations are left for later runs.
pub(super) fn left_for_later(judged: &[(&Profile, Verdicts)]) -> Vec<Note> {
    let is_left = |verdict: &&Verdict| matches!(verdict, Verdict::Keep(reasons) if reasons.iter().any(|r| *r == Reason::LaterRun));
    let mut of_owner: BTreeMap<String, usize> = BTreeMap::new();
    for (profile, verdicts) in judged {
        let left = verdicts.values().filter(is_left).count();
        if left > 0 {
            *of_owner.entry(profile.owner.to_string()).or_default() += left;
        }
    }
    let note = |(owner, count): (String, usize)| {
        Note::new(
            NoteCode::LaterRun,
            format!(
                "Generations of {owner} left for later runs: {count}. One run removes at most \
             {MAX_REMOVALS_OF_A_USER} of another user, and {MAX_REMOVALS} in all. Together, other users' \
             generations stay below the limits that need a confirmation."
            ),
        )
    };
    of_owner.into_iter().map(note).collect()
}
