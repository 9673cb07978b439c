//! Holds: releases them when their undo window ends, or before that for a budget.

use super::{ActionContext, Draft, Frees, Loss, Operation, Performed, ProfileNames, Regret};
use crate::domain::blocker::CheckCode;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::plan::{Action, EarlyFacts, HoldFacts, RemovalRule, Subject};
use crate::domain::profile::ProfilePath;
use crate::domain::receipt::Outcome;
use crate::domain::retention::Reason;
use crate::domain::risk::{self, RiskLevel};
use crate::domain::snapshot::{Held, Hold, Snapshot};
use crate::ports::PerformError;

/// Releases a hold whose undo window has ended, or by hand.
pub(super) struct Release<'a>(pub(super) &'a HoldFacts);

/// Releases a hold whose undo window is open.
pub(super) struct ReleaseEarly<'a>(pub(super) &'a EarlyFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let mut holds: Vec<&Hold> = draft.snapshot.holds.iter().collect();
    holds.sort_by(|a, b| (a.until, &a.link).cmp(&(b.until, &b.link)));
    for hold in holds {
        let subject = Subject::Hold {
            link: hold.link.clone(),
            held: hold.held.clone(),
            until: hold.until,
        };
        if hold.until > draft.snapshot.taken_at {
            draft.keep(subject, Reason::WindowOpen);
        } else {
            let action = Action::ReleaseHold(HoldFacts::from(hold));
            draft.remove(subject, RemovalRule::WindowEnded, RiskLevel::Low, action);
        }
    }
}

/// Whether a hold keeps a system, so that its end narrows the way back of the machine. A profile that is not there any
/// more may have been one, and so may every root that lay where the machine's profiles are.
fn holds_a_system(held: &Held, snapshot: &Snapshot) -> bool {
    match held {
        Held::Generation { profile, .. } => {
            let mut found = snapshot.profiles.iter().filter(|p| p.path == *profile);
            found.next().is_none_or(|p| p.kind.is_system())
        }
        Held::Root { root } => root.parent() == Some(&snapshot.state_dir.join("profiles")),
    }
}

/// Whether a generation of the profile may be pinned without our knowing.
fn pins_are_unknown(profile: &ProfilePath, snapshot: &Snapshot) -> bool {
    let mut blockers = snapshot.blockers.iter();
    let mut profiles = snapshot.profiles.iter();
    blockers.any(|blocker| blocker.code == CheckCode::PinsUnreadable)
        && profiles
            .find(|found| found.path == *profile)
            .is_none_or(|found| found.blocked.is_some())
}

/// Whether a pin or the settings protect what a hold keeps.
fn is_spared(hold: &HoldFacts, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> bool {
    let protected = |link| job.is_some_and(|job| job.protect.roots.matches(link));
    let spared = match &hold.held {
        Held::Generation { profile, number } => {
            let pinned = snapshot.pins.iter().any(|pin| {
                pin.profile == *profile
                    && pin.number == *number
                    && pin.until.is_none_or(|until| until > snapshot.taken_at)
            });
            let named = job.is_some_and(|job| {
                let mut generations = job.protect.generations.iter();
                generations.any(|p| p.number == *number && p.profile.names(profile))
            });
            pinned || named || pins_are_unknown(profile, snapshot)
        }
        Held::Root { root } => protected(root),
    };
    spared || protected(&hold.link)
}

/// The early release of an open hold; `None` if a pin or the settings protect what it keeps.
pub(crate) fn early_release(
    hold: &Hold,
    snapshot: &Snapshot,
    job: &EffectiveJob,
) -> Option<EarlyFacts> {
    let hold = HoldFacts::from(hold);
    let system = holds_a_system(&hold.held, snapshot);
    (!is_spared(&hold, snapshot, Some(job))).then_some(EarlyFacts { hold, system })
}

fn recheck(facts: &HoldFacts, snapshot: &Snapshot) -> Result<(), String> {
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

impl Operation for Release<'_> {
    fn describe(&self, names: &ProfileNames<'_>) -> String {
        format!("release the hold on {}", names.held(&self.0.held))
    }

    fn frees(&self) -> Frees {
        Frees::Now(self.0.link.clone())
    }

    fn regret(&self) -> Option<Regret> {
        Some(Regret {
            of: Loss::EndedHold,
            since: self.0.until,
            link: self.0.link.clone(),
        })
    }

    fn recheck(&self, snapshot: &Snapshot, _: Option<&EffectiveJob>) -> Result<(), String> {
        recheck(self.0, snapshot)?;
        // The clock may have been set back since.
        if self.0.until > snapshot.taken_at {
            return Err(format!("the window of the hold {} is open", self.0.link));
        }
        Ok(())
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        context.nix.release_hold(self.0).map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_removal(context.nix.see_hold(self.0))
    }
}

impl Operation for ReleaseEarly<'_> {
    fn describe(&self, names: &ProfileNames<'_>) -> String {
        format!("{} early", Release(&self.0.hold).describe(names))
    }

    fn risk(&self) -> RiskLevel {
        risk::of_early_release(self.0.system)
    }

    fn frees(&self) -> Frees {
        Release(&self.0.hold).frees()
    }

    fn regret(&self) -> Option<Regret> {
        let regret = Release(&self.0.hold).regret()?;
        let of = Loss::OpenHold;
        Some(Regret { of, ..regret })
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        let hold = &self.0.hold;
        recheck(hold, snapshot)?;
        if is_spared(hold, snapshot, job) {
            return Err(format!(
                "the generation held by {} is now pinned",
                hold.link
            ));
        }
        // What was planned as less than a system's must not turn out to be one.
        if !self.0.system && holds_a_system(&hold.held, snapshot) {
            return Err(format!("{} holds a system", hold.link));
        }
        Ok(())
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        Release(&self.0.hold).perform(context)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        Release(&self.0.hold).examine(context)
    }
}
