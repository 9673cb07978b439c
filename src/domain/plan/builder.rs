//! Construction of the items and actions of a plan, operation by operation.

use std::collections::{BTreeMap, HashSet};

use camino::Utf8PathBuf;

use super::{
    Action, CollectFacts, Decision, DropRule, GenerationFacts, HoldFacts, Item, KeepCause,
    PlannedAction, RootFacts, Subject, VanishedFacts,
};
use crate::domain::accept;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::collect::CollectMethod;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::{GenerationsOperation, ProfileRef, Protect};
use crate::domain::profile::{Content, Generation, GenerationNumber, Profile, ProfilePath};
use crate::domain::retention::{self, Circumstances, Reason, Reasons, Verdict};
use crate::domain::risk::{self, RiskLevel};
use crate::domain::root::{Dangling, GcRoot, RootKind, RootState};
use crate::domain::snapshot::{Actor, Hold, Pin, Snapshot};

/// One run removes no more generations, and no more roots: its record must stay small enough to be written and read.
pub const MAX_REMOVALS: usize = 10_000;

/// Root removes no more generations of another user in one run: the time for them is taken from everybody else.
pub const MAX_REMOVALS_OF_A_USER: usize = 500;

/// What has been drawn up so far.
#[derive(Default)]
pub(super) struct PlanBuilder {
    pub(super) items: Vec<Item>,
    pub(super) actions: Vec<PlannedAction>,
}

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
            if !matches!(verdict, Verdict::Drop { .. }) {
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

impl PlanBuilder {
    fn add(&mut self, action: Action, risk: RiskLevel) {
        self.actions.push(PlannedAction { action, risk });
    }

    pub(super) fn generations(&mut self, snapshot: &Snapshot, job: &EffectiveJob) {
        let Some(operation) = &job.operations.generations else {
            return;
        };
        let mut profiles: Vec<&Profile> = snapshot.profiles.iter().collect();
        profiles.sort_by(|a, b| a.path.cmp(&b.path));
        let of: usize = profiles.iter().map(|p| p.generations.len()).sum();
        let accepted = |code| job.accept.contains(&code);
        let most_unconfirmed = job.limits.most_unconfirmed(of as u64, accepted);
        let mut removals = Removals {
            all: 0,
            most_unconfirmed: usize::try_from(most_unconfirmed).unwrap_or(usize::MAX),
            of_owner: BTreeMap::new(),
        };
        let mut judged: Vec<(&Profile, Verdicts)> = profiles
            .iter()
            .map(|profile| (*profile, verdicts_of(profile, operation, snapshot, job)))
            .collect();
        let mut dropped: BTreeMap<u32, usize> = BTreeMap::new();
        for (profile, verdicts) in &judged {
            let drops = |verdict: &&Verdict| matches!(verdict, Verdict::Drop { .. });
            *dropped.entry(profile.owner.uid).or_default() +=
                verdicts.values().filter(drops).count();
        }
        // Root's first, then those of users with few: nobody with many takes the place of others.
        judged.sort_by_key(|(profile, _)| {
            let uid = profile.owner.uid;
            (uid != 0, dropped.get(&uid).copied(), uid)
        });
        let mut verdicts: BTreeMap<&ProfilePath, Verdicts> = BTreeMap::new();
        for (profile, all) in judged {
            let within = removals.within_limits(all, profile.owner.uid, snapshot.actor);
            verdicts.insert(&profile.path, within);
        }
        for profile in profiles {
            let verdicts = verdicts.remove(&profile.path).unwrap_or_default();
            self.profile(profile, verdicts, job);
        }
    }

    fn profile(&mut self, profile: &Profile, verdicts: Verdicts, job: &EffectiveJob) {
        let risk = risk::of_generation(
            profile.kind.is_system(),
            !job.undo_window.is_zero(),
            bootable_left(profile, &verdicts),
        );
        for (number, verdict) in verdicts {
            let Some(generation) = profile.generations.get(&number) else {
                continue;
            };
            let subject = Subject::Generation {
                profile: profile.path.clone(),
                number,
                target: generation.target.clone(),
                created: generation.created,
            };
            let fate = match (verdict, profile.current()) {
                (Verdict::Keep(reasons), _) => Decision::KeepGeneration(reasons),
                (Verdict::Drop { store_path }, Some(current)) => {
                    let facts = GenerationFacts {
                        profile: profile.path.clone(),
                        profile_kind: profile.kind,
                        owner: profile.owner.clone(),
                        number,
                        target: generation.target.clone(),
                        store_path,
                        created: generation.created,
                        current,
                        hold: job.undo_window,
                    };
                    self.add(Action::DropGeneration(facts), risk);
                    let rule = DropRule::NoRuleKeepsIt;
                    Decision::Drop { rule, risk }
                }
                // Retention drops nothing where the current one is unknown; should it ever, it stops here.
                (Verdict::Drop { .. }, None) => Decision::KeepGeneration(Reasons::one(
                    Reason::CurrentUnknown("its current generation is unknown".to_string()),
                )),
            };
            self.items.push(Item { subject, fate });
        }
    }

    pub(super) fn roots(&mut self, snapshot: &Snapshot, job: &EffectiveJob) {
        let Some(operation) = job.operations.roots else {
            return;
        };
        let mut roots: Vec<&GcRoot> = snapshot.roots.iter().collect();
        roots.sort_by(|a, b| (&a.link, &a.entry).cmp(&(&b.link, &b.entry)));
        let mut removed = 0;
        for root in roots {
            let RootState::Dangling(dangling) = root.state else {
                continue;
            };
            let fate = match (
                keep_cause(
                    root,
                    dangling,
                    snapshot,
                    Some(&job.protect),
                    operation.dangling,
                ),
                &root.entry,
            ) {
                (None, Some(_)) if removed == MAX_REMOVALS => Decision::Keep(KeepCause::LaterRun),
                (None, Some(entry)) => {
                    removed += 1;
                    let facts = RootFacts {
                        entry: entry.clone(),
                        link: root.link.clone(),
                    };
                    self.add(Action::RemoveRoot(facts), RiskLevel::Low);
                    Decision::Drop {
                        rule: DropRule::Dangling,
                        risk: RiskLevel::Low,
                    }
                }
                (None, None) => Decision::Keep(KeepCause::LinkExists),
                (Some(cause), _) => Decision::Keep(cause),
            };
            let subject = Subject::Root {
                link: root.link.clone(),
                entry: root.entry.clone(),
                kind: root.kind,
            };
            self.items.push(Item { subject, fate });
        }
    }

    pub(super) fn holds(&mut self, snapshot: &Snapshot) {
        let mut holds: Vec<&Hold> = snapshot.holds.iter().collect();
        holds.sort_by(|a, b| (a.until, &a.link).cmp(&(b.until, &b.link)));
        for hold in holds {
            let fate = if hold.until > snapshot.taken_at {
                Decision::Keep(KeepCause::WindowOpen)
            } else {
                self.add(Action::ReleaseHold(HoldFacts::from(hold)), RiskLevel::Low);
                Decision::Drop {
                    rule: DropRule::WindowEnded,
                    risk: RiskLevel::Low,
                }
            };
            let subject = Subject::Hold {
                link: hold.link.clone(),
                held: hold.held.clone(),
                until: hold.until,
            };
            self.items.push(Item { subject, fate });
        }
    }

    pub(super) fn store(&mut self, snapshot: &Snapshot, job: &EffectiveJob, refused: bool) {
        if let Some(collect) = job.operations.collect.filter(|_| !refused) {
            let method = if hides_roots(snapshot, Some(job)) {
                CollectMethod::Selective
            } else {
                collect.method
            };
            let facts = CollectFacts {
                method,
                registered_before: collect.cutoff(snapshot.taken_at),
            };
            self.add(Action::Collect(facts), RiskLevel::Low);
        }
        if job.operations.optimise {
            self.add(Action::Optimise, RiskLevel::Low);
        }
        if let Some(verify) = job.operations.verify {
            let contents = verify.contents;
            self.add(Action::Verify { contents }, RiskLevel::Low);
        }
    }
}

impl PlanBuilder {
    /// Holds what vanished roots kept, before all else: a collection would take it. Without one nothing is lost, and the
    /// run after it still knows of them.
    pub(super) fn vanished(&mut self, snapshot: &Snapshot, job: &EffectiveJob) {
        let collects = |planned: &PlannedAction| planned.action.collection().is_some();
        if !job.holds_what_vanished() || !self.actions.iter().any(collects) {
            return;
        }
        let known: HashSet<&Utf8PathBuf> = snapshot.roots.iter().map(|root| &root.link).collect();
        let mut holds = Vec::new();
        for root in &snapshot.vanished {
            let facts = VanishedFacts {
                link: root.link.clone(),
                store_path: root.store_path.clone(),
                hold: job.undo_window,
            };
            holds.push(PlannedAction {
                action: Action::HoldRoot(facts),
                risk: RiskLevel::Low,
            });
            // A dangling one is told of already.
            if !known.contains(&root.link) {
                let subject = Subject::Root {
                    link: root.link.clone(),
                    entry: None,
                    kind: RootKind::Other,
                };
                let fate = Decision::Keep(KeepCause::CoveredByHold);
                self.items.push(Item { subject, fate });
            }
        }
        self.actions.splice(0..0, holds);
    }

    /// Says whose generations are left for later runs.
    pub(super) fn left_for_later(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut left: BTreeMap<&ProfilePath, usize> = BTreeMap::new();
        for item in &self.items {
            if let (Subject::Generation { profile, .. }, Decision::KeepGeneration(reasons)) =
                (&item.subject, &item.fate)
                && reasons.iter().any(|reason| *reason == Reason::LaterRun)
            {
                *left.entry(profile).or_default() += 1;
            }
        }
        let mut of_owner: BTreeMap<String, usize> = BTreeMap::new();
        for profile in &snapshot.profiles {
            if let Some(count) = left.get(&profile.path) {
                *of_owner.entry(profile.owner.to_string()).or_default() += count;
            }
        }
        let note = |(owner, count): (String, usize)| {
            format!(
                "Generations of {owner} left for later runs: {count}. One run removes at most \
                 {MAX_REMOVALS_OF_A_USER} of another user, and {MAX_REMOVALS} in all. Together, other users' \
                 generations stay below the limits that need a confirmation."
            )
        };
        of_owner.into_iter().map(note).collect()
    }

    /// Says how many roots Nix itself removes when it collects: every entry whose link it does not find (trap 17).
    pub(super) fn left_to_nix(&self, snapshot: &Snapshot) -> Option<String> {
        let mut actions = self.actions.iter().map(|planned| &planned.action);
        if !actions.any(|action| action.collection().is_some()) {
            return None;
        }
        let auto = snapshot.state_dir.join("gcroots/auto");
        let removed = self
            .actions
            .iter()
            .filter_map(|planned| match &planned.action {
                Action::RemoveRoot(facts) => Some(&facts.entry),
                _ => None,
            });
        let removed: HashSet<&Utf8PathBuf> = removed.collect();
        let left = snapshot.roots.iter().filter(|root| {
            let gone = [Dangling::LinkGone, Dangling::ParentMissing].map(RootState::Dangling);
            let entry = root.entry.as_ref();
            let in_auto = entry.is_some_and(|e| e.parent() == Some(&auto) && !removed.contains(e));
            in_auto && gone.contains(&root.state)
        });
        let roots = match left.count() {
            0 => return None,
            1 => "1 dangling root".to_string(),
            count => format!("{count} dangling roots"),
        };
        Some(format!(
            "Nix's collector removes {roots} that this plan keeps. Mount missing file systems \
             first if they hold roots that you need."
        ))
    }
}

/// Whether there are roots that Nix cannot read, so that its own collector would delete what they keep. Who accepts
/// `roots.unreadable` there accepts that.
pub(super) fn hides_roots(snapshot: &Snapshot, job: Option<&EffectiveJob>) -> bool {
    let accepted = |hidden: &Blocker| {
        let unreadable = Blocker {
            code: CheckCode::RootsUnreadable,
            ..hidden.clone()
        };
        job.is_some_and(|job| {
            job.accept.contains(&unreadable.code)
                || accept::reason(&unreadable, &job.accepted).is_some()
        })
    };
    let mut hidden = snapshot
        .refusals
        .iter()
        .filter(|refusal| refusal.code == CheckCode::RootsHidden);
    hidden.any(|refusal| !accepted(refusal))
}

/// The verdict on every generation of a profile, whether the job may touch it or not.
fn verdicts_of(
    profile: &Profile,
    operation: &GenerationsOperation,
    snapshot: &Snapshot,
    job: &EffectiveJob,
) -> Verdicts {
    if !operation.selects(profile) {
        return retention::keep_all(profile, &Reason::NotSelected);
    }
    if !snapshot.actor.may_act_for(profile.owner.uid) {
        return retention::keep_all(profile, &Reason::OtherOwner);
    }
    let circumstances = Circumstances {
        now: snapshot.taken_at,
        zone: &snapshot.zone,
        booted: &snapshot.booted,
        running: &snapshot.running,
        pins: &pins_of(profile, snapshot, job),
    };
    retention::judge(profile, &operation.keep, &circumstances)
}

/// How many of the kept generations the machine could boot from.
///
/// Where none of the profile looks bootable (a container has no kernel of its own) being on disk has to do; where
/// one does, a generation that does not is no way back.
fn bootable_left(profile: &Profile, verdicts: &Verdicts) -> usize {
    let bootable = |g: &&Generation| matches!(g.content, Content::Bootable(_));
    let kept = |g: &&Generation| matches!(verdicts.get(&g.number), Some(Verdict::Keep(_)));
    let tells = profile.generations.values().any(|g| bootable(&g));
    let counts = |g: &&Generation| {
        if tells {
            bootable(g)
        } else {
            g.content.on_disk().is_some()
        }
    };
    let generations = profile.generations.values();
    generations.filter(kept).filter(counts).count()
}

/// What retention says of a profile.
type Verdicts = BTreeMap<GenerationNumber, Verdict>;

/// The pins of a profile: the recorded ones and the settings'.
pub fn pins_of(profile: &Profile, snapshot: &Snapshot, job: &EffectiveJob) -> Vec<Pin> {
    let recorded = snapshot.pins.iter().filter(|p| p.profile == profile.path);
    let protected = job.protect.generations.iter();
    let protected = protected.filter(|p| p.profile.names(&profile.path));
    let from_settings = protected.map(|p| Pin {
        profile: profile.path.clone(),
        number: p.number,
        reason: p.reason.clone(),
        until: None,
    });
    recorded.cloned().chain(from_settings).collect()
}

/// Says which generations that the settings protect were not found: a name with a slip in it protects nothing.
pub(super) fn pins_in_vain(snapshot: &Snapshot, job: &EffectiveJob) -> Vec<String> {
    let mut notes = Vec::new();
    for protected in &job.protect.generations {
        let named = |p: &&Profile| protected.profile.names(&p.path);
        let mut profiles = snapshot.profiles.iter().filter(named);
        let there = |p: &Profile| p.generations.contains_key(&protected.number);
        if profiles.any(there) {
            continue;
        }
        let (number, name) = match &protected.profile {
            ProfileRef::Path(path) => (protected.number, path.to_string()),
            ProfileRef::Name(name) => (protected.number, name.clone()),
        };
        notes.push(format!(
            "The settings protect generation {number} of {name}, which was not found."
        ));
    }
    notes
}

/// Why a dangling root stays; `None` when it may go.
pub(super) fn keep_cause(
    root: &GcRoot,
    dangling: Dangling,
    snapshot: &Snapshot,
    protect: Option<&Protect>,
    selected: bool,
) -> Option<KeepCause> {
    let auto = snapshot.state_dir.join("gcroots/auto");
    let in_auto = |entry: &Utf8PathBuf| entry.parent() == Some(&auto);
    match dangling {
        _ if !root.exact => Some(KeepCause::NotUtf8),
        _ if protect.is_some_and(|p| p.roots.matches(&root.link)) => Some(KeepCause::Protected),
        _ if protect.is_some_and(|p| p.paths.covering(&root.link).is_some()) => {
            Some(KeepCause::ProtectedPath)
        }
        Dangling::ParentMissing => Some(KeepCause::ParentMissing),
        Dangling::PathGone | Dangling::NotARoot => Some(KeepCause::LinkExists),
        Dangling::LinkGone if root.entry.is_none() => Some(KeepCause::LinkExists),
        Dangling::LinkGone if !root.entry.as_ref().is_some_and(in_auto) => {
            Some(KeepCause::EntryByHand)
        }
        Dangling::LinkGone if !selected => Some(KeepCause::NotSelected),
        Dangling::LinkGone if snapshot.actor != Actor::Root => root
            .owner
            .as_ref()
            .is_none_or(|owner| !snapshot.actor.may_act_for(owner.uid))
            .then_some(KeepCause::OtherOwner),
        Dangling::LinkGone => None,
    }
}
