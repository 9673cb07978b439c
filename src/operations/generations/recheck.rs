//! The look at a generation right before it is removed.

use super::circumstances;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::plan::GenerationFacts;
use crate::domain::profile::ProfileKind;
use crate::domain::retention::{self, Reason, Verdict};
use crate::domain::snapshot::Snapshot;

pub(super) fn recheck(
    facts: &GenerationFacts,
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
) -> Result<(), String> {
    let of = |what: &str| format!("{what} of {}", facts.profile);
    let profile = snapshot.profiles.iter().find(|p| p.path == facts.profile);
    let profile = profile.ok_or_else(|| format!("{} is gone", facts.profile))?;
    let is_removed_users = facts.profile_kind == ProfileKind::RemovedUser;
    if profile.current() != Some(facts.current) && !is_removed_users {
        return Err(format!(
            "{} is no longer {}",
            of("the current generation"),
            facts.current
        ));
    }
    let same = profile.owner.uid == facts.owner.uid && profile.kind == facts.profile_kind;
    if profile.blocked.is_some() || !same {
        return Err(format!("{} has changed", facts.profile));
    }
    if !snapshot.actor.may_act_for(profile.owner.uid) {
        return Err(format!("{} belongs to {}", facts.profile, profile.owner));
    }
    let number = facts.number;
    let this = of(&format!("generation {number}"));
    let generation = profile.generations.get(&number);
    let generation = generation.ok_or_else(|| format!("{this} is gone"))?;
    let unchanged = generation.target == facts.target
        && generation.created == facts.created
        && generation.content.on_disk() == Some(&facts.store_path);
    if !unchanged {
        return Err(format!("{this} has changed"));
    }
    let pins = match job {
        Some(job) => job.pins_of(profile, snapshot),
        None => snapshot.pins.clone(),
    };
    let circumstances = circumstances(snapshot, &pins);
    if is_removed_users {
        // Removals before this one in the run leave the others as they were judged.
        let verdicts = job.and_then(|job| super::verdicts_of(profile, snapshot, job));
        let verdict = verdicts.and_then(|mut verdicts| verdicts.remove(&number));
        return match verdict {
            Some(Verdict::Remove { .. }) => Ok(()),
            _ => Err(format!("{this} is not to be removed any more")),
        };
    }
    if let Some(reasons) = retention::always_kept(profile, number, &circumstances) {
        let reasons: Vec<&str> = reasons.iter().map(in_words).collect();
        return Err(format!("{this} {}", reasons.join(" and ")));
    }
    let floor = job.map(|job| job.policy().keep).unwrap_or_default();
    if retention::kept_by_floor(profile, number, floor, &circumstances) {
        return Err(format!("{this} is kept by the machine policy"));
    }
    let left = profile
        .generations
        .values()
        .filter(|g| g.number != number && g.content.on_disk().is_some());
    if profile.kind.is_system() && left.count() < 2 {
        return Err(format!("{this} would leave fewer than two to boot from"));
    }
    Ok(())
}

/// Why a generation is kept now that was to be removed.
fn in_words(reason: &Reason) -> &'static str {
    match reason {
        Reason::Current | Reason::NewerThanCurrent => "is not older than the current generation",
        Reason::Booted | Reason::Running => "is now booted or running",
        Reason::Pinned { .. } => "is now pinned",
        Reason::Fallback => "is now the rollback target",
        Reason::FutureTimestamp => "has a timestamp in the future",
        _ => "must stay",
    }
}
