//! `generations`: removes generations that no keep rule keeps, and restores them.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

pub use self::quota::{MAX_REMOVALS, MAX_REMOVALS_OF_A_USER};
use super::{
    ActionContext, Draft, Frees, Loss, Operation, Performed, ProfileNames, Regret, held_links,
};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::{GenerationsOperation, ProfileRef, ProfileSelector};
use crate::domain::measure::{Span, Timestamp};
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{Action, Decision, GenerationFacts, RemovalRule, Subject};
use crate::domain::profile::{Content, Generation, GenerationNumber, Profile, ProfileKind};
use crate::domain::receipt::{Outcome, Undo};
use crate::domain::retention::{self, Circumstances, Reason, Verdict};
use crate::domain::risk::{self, RiskLevel};
use crate::domain::snapshot::{Pin, Snapshot};
use crate::domain::uptimes;
use crate::ports::{LinkState, NixActions, PerformError, RestoreMode};

mod quota;
mod recheck;
pub(super) mod skipped;

/// The verdict on each generation of a profile.
type Verdicts = BTreeMap<GenerationNumber, Verdict>;

/// Removes a generation.
pub(super) struct Remove<'a>(pub(super) &'a GenerationFacts);

/// Restores a removed generation.
pub(super) struct Restore<'a>(pub(super) &'a GenerationFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let (snapshot, job) = (draft.snapshot, draft.job);
    let mut profiles: Vec<&Profile> = snapshot.profiles.iter().collect();
    profiles.sort_by(|a, b| a.path.cmp(&b.path));
    let judged = profiles
        .into_iter()
        .filter_map(|profile| Some((profile, verdicts_of(profile, snapshot, job)?)))
        .collect();
    let judged = quota::limit(judged, snapshot, job);
    if let Some(operation) = &job.operations.generations {
        draft.notes.extend(pins_in_vain(snapshot, job));
        draft.notes.extend(selected_in_vain(snapshot, operation));
        draft.notes.extend(nothing_known_good(operation, snapshot));
    }
    draft.notes.extend(quota::left_for_later(&judged));
    for (profile, verdicts) in judged {
        select_of(profile, verdicts, draft);
    }
}

fn select_of(profile: &Profile, verdicts: Verdicts, draft: &mut Draft<'_>) {
    let hold = draft.job.undo_window;
    let is_removed_users = profile.kind == ProfileKind::RemovedUser;
    let (rule, risk) = if is_removed_users {
        (RemovalRule::OwnerRemoved, risk::OF_REMOVED_USER)
    } else {
        let left = bootable_left(profile, &verdicts);
        let risk = risk::of_generation(profile.kind.is_system(), !hold.is_zero(), left);
        (RemovalRule::NoRuleKeepsIt, risk)
    };
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
        // Of a removed user the current one is removed as well, and then there is none.
        let current = profile
            .current()
            .or_else(|| is_removed_users.then_some(number));
        match (verdict, current) {
            (Verdict::Keep(reasons), _) => draft.item(subject, Decision::Keep { reasons }),
            (Verdict::Remove { store_path }, Some(current)) => {
                let action = Action::RemoveGeneration(GenerationFacts {
                    profile: profile.path.clone(),
                    profile_kind: profile.kind,
                    owner: profile.owner.clone(),
                    number,
                    target: generation.target.clone(),
                    store_path,
                    created: generation.created,
                    current,
                    hold,
                });
                draft.remove(subject, rule, risk, action);
            }
            // Retention removes nothing where the current one is unknown; should it ever, it stops here.
            (Verdict::Remove { .. }, None) => {
                let why = "its current generation is unknown".to_string();
                draft.keep(subject, Reason::CurrentUnknown(why));
            }
        }
    }
}

/// The verdict on every generation of a profile, whether the job may touch it or not; `None` if it is about no generations.
fn verdicts_of(profile: &Profile, snapshot: &Snapshot, job: &EffectiveJob) -> Option<Verdicts> {
    let pins = job.pins_of(profile, snapshot);
    let circumstances = circumstances(snapshot, &pins);
    let may_act = snapshot.actor.may_act_for(profile.owner.uid);
    if let Some(age) = age_of_removed(profile, job).filter(|_| may_act) {
        let floor = job.policy().keep;
        return Some(retention::judge_removed(
            profile,
            age,
            floor,
            &circumstances,
        ));
    }
    let operation = job.operations.generations.as_ref()?;
    Some(if !operation.selects(profile) {
        retention::keep_all(profile, &Reason::NotSelected)
    } else if !may_act {
        retention::keep_all(profile, &Reason::OtherOwner)
    } else {
        retention::judge(profile, &operation.keep, &circumstances)
    })
}

/// `roots.removedUsers`, if it is about the profile.
fn age_of_removed(profile: &Profile, job: &EffectiveJob) -> Option<Span> {
    let age = job.operations.roots.as_ref()?.removed_users;
    age.filter(|_| profile.kind == ProfileKind::RemovedUser)
}

/// Says that the rule `knownGood` keeps nothing yet.
fn nothing_known_good(operation: &GenerationsOperation, snapshot: &Snapshot) -> Option<Note> {
    let profiles = snapshot.profiles.iter();
    let systems = profiles.filter(|it| it.kind.boots_the_machine() && operation.selects(it));
    let mut generations = systems
        .flat_map(|profile| profile.generations.values())
        .peekable();
    let wanted = operation.keep.rules().known_good && generations.peek().is_some();
    let known = generations.any(|it| uptimes::known_good(&snapshot.uptimes, it).is_some());
    let text = "No run has seen a system generation up for a day, so knownGood keeps nothing yet.";
    (wanted && !known).then(|| Note::new(NoteCode::NothingKnownGood, text))
}

fn circumstances<'a>(snapshot: &'a Snapshot, pins: &'a [Pin]) -> Circumstances<'a> {
    Circumstances {
        now: snapshot.taken_at,
        zone: &snapshot.zone,
        booted: &snapshot.booted,
        running: &snapshot.running,
        pins,
        uptimes: &snapshot.uptimes,
    }
}

/// How many of the kept generations the machine could boot from.
///
/// Where none of the profile looks bootable (a container has no kernel of its own) being on disk has to do; where
/// one does, a generation that does not is no way back.
fn bootable_left(profile: &Profile, verdicts: &Verdicts) -> usize {
    let bootable = |g: &&Generation| matches!(g.content, Content::Bootable(_));
    let kept = |g: &&Generation| matches!(verdicts.get(&g.number), Some(Verdict::Keep(_)));
    let any_bootable = profile.generations.values().any(|g| bootable(&g));
    let counts = |g: &&Generation| {
        if any_bootable {
            bootable(g)
        } else {
            g.content.on_disk().is_some()
        }
    };
    let generations = profile.generations.values();
    generations.filter(kept).filter(counts).count()
}

/// Says which generations that the settings protect were not found: a name with a slip in it protects nothing.
fn pins_in_vain(snapshot: &Snapshot, job: &EffectiveJob) -> Vec<Note> {
    let mut notes = Vec::new();
    for protected in &job.protect.generations {
        let named = |p: &&Profile| protected.profile.names(&p.path);
        let mut profiles = snapshot.profiles.iter().filter(named);
        let there = |p: &Profile| p.generations.contains_key(&protected.number);
        if profiles.any(there) {
            continue;
        }
        let number = protected.number;
        let name = match &protected.profile {
            ProfileRef::Path(path) => path.to_string(),
            ProfileRef::Name(name) => name.clone(),
        };
        notes.push(Note::new(
            NoteCode::ProtectedAbsent,
            format!("The settings protect generation {number} of {name}, which was not found."),
        ));
    }
    notes
}

/// Says which patterns and users match no profile: one with a slip in it selects nothing.
fn selected_in_vain(snapshot: &Snapshot, operation: &GenerationsOperation) -> Vec<Note> {
    let profiles = || snapshot.profiles.iter();
    let note = |text| Note::new(NoteCode::NothingSelected, text);
    let patterns = operation.profiles.iter().filter_map(|selector| {
        let ProfileSelector::Pattern(pattern) = selector else {
            return None;
        };
        let matches = profiles().any(|profile| selector.selects(profile));
        let pattern = pattern.texts().next()?;
        (!matches).then(|| format!("No profile was found that matches {pattern}."))
    });
    let users = operation.users.iter().filter_map(|user| {
        let has_one = profiles().any(|profile| profile.owner.is_called(user));
        (!has_one).then(|| format!("No profile of the user {user} was found."))
    });
    patterns.chain(users).map(note).collect()
}

impl Operation for Remove<'_> {
    fn describe(&self, names: &ProfileNames<'_>) -> String {
        let Self(facts) = self;
        let what = names.generation(facts.number, &facts.profile);
        held_links::describe_removal(&what, facts.hold)
    }

    fn risk(&self) -> RiskLevel {
        if self.0.profile_kind == ProfileKind::RemovedUser {
            return risk::OF_REMOVED_USER;
        }
        let system = self.0.profile_kind.is_system();
        risk::of_generation(system, !self.0.hold.is_zero(), usize::MAX)
    }

    fn frees(&self) -> Frees {
        held_links::frees_of_link(self.0.profile.link(self.0.number), self.0.hold)
    }

    fn regret(&self) -> Option<Regret> {
        self.0.hold.is_zero().then(|| Regret {
            of: Loss::Generation,
            since: self.0.created,
            link: self.0.profile.link(self.0.number),
        })
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        recheck::recheck(self.0, snapshot, job)
    }

    fn hold(&self) -> Option<Span> {
        Some(self.0.hold).filter(|hold| !hold.is_zero())
    }

    fn undo(&self, hold: Option<(Utf8PathBuf, Timestamp)>) -> Option<Undo> {
        hold.map(|(hold, until)| Undo::RestoreGeneration { hold, until })
    }

    fn inverse(&self) -> Option<Action> {
        Some(Action::RestoreGeneration(self.0.clone()))
    }

    fn state(&self, nix: &dyn NixActions) -> Option<Result<LinkState, PerformError>> {
        Some(nix.see_generation(self.0))
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let Self(facts) = self;
        held_links::remove_held(
            context,
            (&facts.store_path, facts.hold),
            || context.nix.remove_generation(facts),
            || context.nix.see_generation(facts),
        )
        .map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_removal(context.nix.see_generation(self.0))
    }
}

impl Operation for Restore<'_> {
    fn describe(&self, names: &ProfileNames<'_>) -> String {
        let what = names.generation(self.0.number, &self.0.profile);
        format!("restore {what}")
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let restored = context.nix.restore_generation(self.0, RestoreMode::Fresh);
        restored.map(Performed::from)
    }

    fn examine(&self, context: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_restored_link(context.nix.see_generation(self.0), || {
            context.nix.restore_generation(self.0, RestoreMode::Resume)
        })
    }
}
