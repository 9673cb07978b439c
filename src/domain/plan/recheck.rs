//! Recheck of an action right before it is carried out.

use super::budget::{holds_a_system, is_spared};
use super::builder::{hides_roots, keep_cause};
use super::{Action, EarlyFacts, GenerationFacts, HoldFacts, VanishedFacts, pins_of};
use crate::domain::collect::CollectMethod;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::retention::{self, Circumstances, Reason};
use crate::domain::root::{Dangling, GcRoot, RootState};
use crate::domain::snapshot::{Hold, Snapshot, VanishedRoot};

/// Looks at an action once more, in a fresh snapshot: `Err` says what has changed since it was planned.
///
/// # Errors
/// What the action relied on and does not hold any more.
pub fn recheck(
    action: &Action,
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
) -> Result<(), String> {
    match action {
        Action::HoldRoot(facts) => recheck_vanished(facts, snapshot),
        Action::DropGeneration(facts) => recheck_generation(facts, snapshot, job),
        Action::RemoveRoot(facts) => {
            let protect = job.map(|job| &*job.protect);
            let is_it = |root: &&GcRoot| {
                root.entry.as_ref() == Some(&facts.entry)
                    && root.link == facts.link
                    && root.state == RootState::Dangling(Dangling::LinkGone)
                    && keep_cause(root, Dangling::LinkGone, snapshot, protect, true).is_none()
            };
            let found = snapshot.roots.iter().find(is_it);
            found.map(|_| ()).ok_or_else(|| {
                format!(
                    "{} is no longer a dangling root that may be removed",
                    facts.entry
                )
            })
        }
        Action::ReleaseEarly(facts) => recheck_early(facts, snapshot, job),
        Action::ReleaseHold(facts) => {
            recheck_hold(facts, snapshot)?;
            // The clock may have been set back since.
            if facts.until > snapshot.taken_at {
                return Err(format!("the window of the hold {} is open", facts.link));
            }
            Ok(())
        }
        Action::Collect(facts) => {
            match snapshot.refusals.iter().find(|r| r.code.stops_collection()) {
                Some(refusal) => Err(refusal.message.clone()),
                None if facts.method != CollectMethod::Selective && hides_roots(snapshot, job) => {
                    Err("there are now roots that Nix cannot read".to_string())
                }
                None => Ok(()),
            }
        }
        Action::Optimise
        | Action::Verify { .. }
        | Action::RestoreGeneration(_)
        | Action::RestoreRoot(_) => Ok(()),
    }
}

fn recheck_vanished(facts: &VanishedFacts, snapshot: &Snapshot) -> Result<(), String> {
    let link = &facts.link;
    let root = VanishedRoot {
        link: link.clone(),
        store_path: facts.store_path.clone(),
    };
    // They are in order, for there may be many.
    if snapshot.vanished.binary_search(&root).is_ok() {
        return Ok(());
    }
    Err(format!(
        "the former target of {link} no longer needs a hold"
    ))
}

fn recheck_hold(facts: &HoldFacts, snapshot: &Snapshot) -> Result<(), String> {
    let is_it = |hold: &Hold| hold.link == facts.link && HoldFacts::from(hold) == *facts;
    if snapshot.holds.iter().any(is_it) {
        return Ok(());
    }
    let link = &facts.link;
    if snapshot.holds.iter().any(|hold| hold.link == *link) {
        Err(format!("{link} is no longer the same hold"))
    } else {
        Err(format!("the hold {link} has ended since"))
    }
}

fn recheck_early(
    facts: &EarlyFacts,
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
) -> Result<(), String> {
    recheck_hold(&facts.hold, snapshot)?;
    let hold = &facts.hold;
    if is_spared(hold, snapshot, job) {
        return Err(format!(
            "the generation held by {} is now pinned",
            hold.link
        ));
    }
    // What was planned as less than a system's must not turn out to be one.
    if !facts.system && holds_a_system(&hold.held, snapshot) {
        return Err(format!("{} holds a system", hold.link));
    }
    Ok(())
}

fn recheck_generation(
    facts: &GenerationFacts,
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
) -> Result<(), String> {
    let of = |what: &str| format!("{what} of {}", facts.profile);
    let profile = snapshot.profiles.iter().find(|p| p.path == facts.profile);
    let profile = profile.ok_or_else(|| format!("{} is gone", facts.profile))?;
    if profile.current() != Some(facts.current) {
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
        Some(job) => pins_of(profile, snapshot, job),
        None => snapshot.pins.clone(),
    };
    let circumstances = Circumstances {
        now: snapshot.taken_at,
        zone: &snapshot.zone,
        booted: &snapshot.booted,
        running: &snapshot.running,
        pins: &pins,
    };
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

/// Why a generation stays now that was to go.
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
