//! What a job would do now, and why: drawn from a snapshot, without touching anything.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::job::{GenerationsOperation, Job, JobName};
use super::measure::{Age, Bytes, Timestamp};
use super::profile::{Content, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath};
use super::receipt::RunId;
use super::refusal::Refusal;
use super::retention::{self, Circumstances, Reason, Reasons, Verdict};
use super::risk::{self, RiskLevel};
use super::root::{Dangling, GcRoot, RootKind, RootState};
use super::snapshot::{Actor, Hold, MachineId, Pin, Snapshot};
use super::store_path::{StoreDir, StorePath};

/// One step of a plan, with the facts it relies on: where they do not hold any more, it is stale and not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[derive(schemars::JsonSchema)]
pub enum Action {
    /// Drop a generation of a profile.
    DropGeneration(GenerationFacts),
    /// Remove an entry of `gcroots/auto` whose link is gone.
    RemoveRoot(RootFacts),
    /// End a hold.
    ReleaseHold(HoldFacts),
    /// Let Nix collect garbage.
    Collect,
    /// Let Nix hard-link equal files in the store.
    Optimise,
    /// Let Nix check the store.
    Verify {
        /// Whether the contents of every path are read.
        contents: bool,
    },
    /// Put a dropped generation back, with its number, target and time.
    RestoreGeneration(GenerationFacts),
    /// Put an entry of `gcroots/auto` back.
    RestoreRoot(RootFacts),
}

/// What is known of a generation that goes or comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct GenerationFacts {
    /// The profile.
    pub profile: ProfilePath,
    /// What the profile is for.
    pub profile_kind: ProfileKind,
    /// Whose directory it lies in; `nix-env` runs as this user.
    pub owner: Owner,
    /// The generation's number.
    pub number: GenerationNumber,
    /// The text of its link.
    #[schemars(with = "String")]
    pub target: Utf8PathBuf,
    /// The store path behind it.
    pub store_path: StorePath<String>,
    /// The time of its link, to the nanosecond.
    pub created: Timestamp,
    /// The generation that was current.
    pub current: GenerationNumber,
    /// How long its closure is held; zero for not at all.
    pub hold: Age,
}

/// What is known of an entry of `gcroots/auto`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct RootFacts {
    /// The entry.
    #[schemars(with = "String")]
    pub entry: Utf8PathBuf,
    /// The link that the entry names.
    #[schemars(with = "String")]
    pub link: Utf8PathBuf,
}

/// What is known of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct HoldFacts {
    /// The run that made it.
    pub run: RunId,
    /// Its link.
    #[schemars(with = "String")]
    pub link: Utf8PathBuf,
    /// What it holds.
    pub store_path: StorePath<String>,
    /// The generation's profile.
    pub profile: ProfilePath,
    /// The generation's number.
    pub number: GenerationNumber,
    /// When its window ends.
    pub until: Timestamp,
}

/// An action with its risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedAction {
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// How much it can hurt.
    pub risk: RiskLevel,
}

/// Something that was seen, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub subject: Subject,
    /// What is to become of it.
    pub fate: Fate,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A generation.
    Generation {
        /// Its profile.
        profile: ProfilePath,
        /// Its number.
        number: GenerationNumber,
        /// The text of its link.
        target: Utf8PathBuf,
        /// The time of its link.
        created: Timestamp,
    },
    /// A root that leads nowhere.
    Root {
        /// The link it names.
        link: Utf8PathBuf,
        /// The entry that names it.
        entry: Option<Utf8PathBuf>,
        /// Where it comes from.
        kind: RootKind,
    },
    /// A hold.
    Hold {
        /// Its link.
        link: Utf8PathBuf,
        /// The generation it holds.
        profile: ProfilePath,
        /// Its number.
        number: GenerationNumber,
        /// When its window ends.
        until: Timestamp,
    },
}

/// What is to become of an item, with the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A generation stays.
    KeepGeneration(Reasons),
    /// A root or hold stays.
    Keep(KeepCause),
    /// It goes.
    Drop {
        /// The rule that lets it go.
        rule: DropRule,
        /// How much that can hurt.
        risk: RiskLevel,
    },
}

/// Why a root or a hold stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeepCause {
    /// A pattern of `protect.roots` matches.
    Protected,
    /// The place is gone, and may only be away: a home or disk that is not mounted.
    PlaceGone,
    /// Its own link is still there; its owner can see it, and remove it.
    LinkStillThere,
    /// The job removes no dangling roots.
    NotSelected,
    /// Only root may remove it.
    NotYours,
    /// Its name is not UTF-8, and could not be written down and put back exactly.
    NotUtf8,
    /// Its undo window is still open.
    WindowOpen,
}

/// The rule that lets something go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropRule {
    /// No keep rule keeps the generation.
    NoRuleKeepsIt,
    /// `roots.dangling`: the link is gone.
    Dangling,
    /// The undo window has ended.
    WindowEnded,
}

/// What a job would do now.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The moment of the snapshot.
    pub taken_at: Timestamp,
    /// The machine it was drawn for.
    pub machine: MachineId,
    /// The store it was drawn for.
    pub store: StoreDir,
    /// The job.
    pub job: JobName,
    /// Actions above this level stop the run.
    pub max_risk: RiskLevel,
    /// Whether critical actions are refused whatever `max_risk` says.
    pub safe_mode: bool,
    /// Everything seen, and what is to become of it.
    pub items: Vec<Item>,
    /// The steps, in the order they are done.
    pub actions: Vec<PlannedAction>,
    /// What is expected to be freed.
    pub prediction: Prediction,
    /// What could not be read.
    pub refusals: Vec<Refusal>,
    /// Whether a collection was asked for and left out because of a refusal.
    pub collection_refused: bool,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What is expected to be freed; unknown is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Prediction {
    /// By the store's own sizes.
    pub nar_bytes: Option<Bytes>,
    /// On disk.
    pub disk_bytes: Option<Bytes>,
    /// How many store paths.
    pub paths: Option<u64>,
}

impl Plan {
    /// Draws the plan of a job.
    ///
    /// Order: generations, roots, expired holds, collect, optimise, verify.
    pub fn draw(snapshot: &Snapshot, job: &Job) -> Self {
        let mut draft = Draft::default();
        draft.generations(snapshot, job);
        draft.roots(snapshot, job);
        draft.holds(snapshot);
        let refused = snapshot.refusals.iter().any(|r| r.code.stops_collection());
        draft.store(job, refused);
        let mut refusals = snapshot.refusals.clone();
        refusals.sort();
        refusals.dedup();
        Self {
            taken_at: snapshot.taken_at,
            machine: snapshot.machine.clone(),
            store: snapshot.store.clone(),
            job: job.name.clone(),
            max_risk: job.max_risk,
            safe_mode: job.safe_mode,
            items: draft.items,
            actions: draft.actions,
            prediction: Prediction::default(),
            refusals,
            collection_refused: job.operations.collect && refused,
            notes: snapshot.notes.clone(),
        }
    }

    /// The highest risk of its actions; `None` when there are none.
    pub fn risk(&self) -> Option<RiskLevel> {
        self.actions.iter().map(|a| a.risk).max()
    }
}

#[derive(Default)]
struct Draft {
    items: Vec<Item>,
    actions: Vec<PlannedAction>,
}

impl Draft {
    fn add(&mut self, action: Action, risk: RiskLevel) {
        self.actions.push(PlannedAction { action, risk });
    }

    fn generations(&mut self, snapshot: &Snapshot, job: &Job) {
        let Some(operation) = &job.operations.generations else {
            return;
        };
        let mut profiles: Vec<&Profile> = snapshot.profiles.iter().collect();
        profiles.sort_by(|a, b| a.path.cmp(&b.path));
        for profile in profiles {
            self.profile(profile, operation, snapshot, job);
        }
    }

    fn profile(
        &mut self,
        profile: &Profile,
        operation: &GenerationsOperation,
        snapshot: &Snapshot,
        job: &Job,
    ) {
        let pins = pins_of(profile, snapshot, job);
        let verdicts = if !operation.selects(profile) {
            retention::keep_all(profile, &Reason::NotSelected)
        } else if !snapshot.actor.may_act_for(profile.owner.uid) {
            retention::keep_all(profile, &Reason::NotYours)
        } else {
            let circumstances = Circumstances {
                now: snapshot.taken_at,
                zone: &snapshot.zone,
                booted: &snapshot.booted,
                running: &snapshot.running,
                pins: &pins,
            };
            retention::judge(profile, &operation.keep, &circumstances)
        };
        let kept = |n: &GenerationNumber| matches!(verdicts.get(n), Some(Verdict::Keep(_)));
        let kept_on_disk = profile
            .generations
            .values()
            .filter(|g| kept(&g.number) && g.content.on_disk().is_some());
        let risk = risk::of_generation(
            profile.kind.is_system(),
            !job.undo_window.is_zero(),
            kept_on_disk.count(),
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
                (Verdict::Keep(reasons), _) => Fate::KeepGeneration(reasons),
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
                    Fate::Drop { rule, risk }
                }
                // Retention drops nothing where the current one is unknown; should it ever, it stops here.
                (Verdict::Drop { .. }, None) => Fate::KeepGeneration(Reasons::one(
                    Reason::CurrentUnknown("its current generation is not known".to_string()),
                )),
            };
            self.items.push(Item { subject, fate });
        }
    }

    fn roots(&mut self, snapshot: &Snapshot, job: &Job) {
        let Some(operation) = job.operations.roots else {
            return;
        };
        let mut roots: Vec<&GcRoot> = snapshot.roots.iter().collect();
        roots.sort_by(|a, b| (&a.link, &a.entry).cmp(&(&b.link, &b.entry)));
        for root in roots {
            let RootState::Dangling(dangling) = root.state else {
                continue;
            };
            let fate = match (
                keep_cause(root, dangling, snapshot, job, operation.dangling),
                &root.entry,
            ) {
                (None, Some(entry)) => {
                    let facts = RootFacts {
                        entry: entry.clone(),
                        link: root.link.clone(),
                    };
                    self.add(Action::RemoveRoot(facts), RiskLevel::Low);
                    Fate::Drop {
                        rule: DropRule::Dangling,
                        risk: RiskLevel::Low,
                    }
                }
                (None, None) => Fate::Keep(KeepCause::LinkStillThere),
                (Some(cause), _) => Fate::Keep(cause),
            };
            let subject = Subject::Root {
                link: root.link.clone(),
                entry: root.entry.clone(),
                kind: root.kind,
            };
            self.items.push(Item { subject, fate });
        }
    }

    fn holds(&mut self, snapshot: &Snapshot) {
        let mut holds: Vec<&Hold> = snapshot.holds.iter().collect();
        holds.sort_by(|a, b| (a.until, &a.link).cmp(&(b.until, &b.link)));
        for hold in holds {
            let fate = if hold.until > snapshot.taken_at {
                Fate::Keep(KeepCause::WindowOpen)
            } else {
                self.add(Action::ReleaseHold(HoldFacts::from(hold)), RiskLevel::Low);
                Fate::Drop {
                    rule: DropRule::WindowEnded,
                    risk: RiskLevel::Low,
                }
            };
            let subject = Subject::Hold {
                link: hold.link.clone(),
                profile: hold.profile.clone(),
                number: hold.number,
                until: hold.until,
            };
            self.items.push(Item { subject, fate });
        }
    }

    fn store(&mut self, job: &Job, refused: bool) {
        if job.operations.collect && !refused {
            self.add(Action::Collect, RiskLevel::Low);
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

impl From<&Hold> for HoldFacts {
    fn from(hold: &Hold) -> Self {
        Self {
            run: hold.run.clone(),
            link: hold.link.clone(),
            store_path: hold.store_path.clone(),
            profile: hold.profile.clone(),
            number: hold.number,
            until: hold.until,
        }
    }
}

/// The pins of a profile: the recorded ones and the settings'.
pub fn pins_of(profile: &Profile, snapshot: &Snapshot, job: &Job) -> Vec<Pin> {
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

fn keep_cause(
    root: &GcRoot,
    dangling: Dangling,
    snapshot: &Snapshot,
    job: &Job,
    selected: bool,
) -> Option<KeepCause> {
    let auto = snapshot.state_dir.join("gcroots/auto");
    let in_auto = |entry: &Utf8PathBuf| entry.parent() == Some(&auto);
    match dangling {
        _ if !root.exact => Some(KeepCause::NotUtf8),
        _ if job.protect.roots.matches(&root.link) => Some(KeepCause::Protected),
        Dangling::PlaceGone => Some(KeepCause::PlaceGone),
        Dangling::PathGone | Dangling::NotARoot => Some(KeepCause::LinkStillThere),
        Dangling::LinkGone if !root.entry.as_ref().is_some_and(in_auto) => {
            Some(KeepCause::LinkStillThere)
        }
        Dangling::LinkGone if !selected => Some(KeepCause::NotSelected),
        Dangling::LinkGone if snapshot.actor != Actor::Root => root
            .owner
            .as_ref()
            .is_none_or(|owner| !snapshot.actor.may_act_for(owner.uid))
            .then_some(KeepCause::NotYours),
        Dangling::LinkGone => None,
    }
}

/// Looks at an action once more, in a fresh snapshot: `Err` says what has changed since it was planned.
///
/// # Errors
/// What the action relied on and does not hold any more.
pub fn recheck(action: &Action, snapshot: &Snapshot, job: Option<&Job>) -> Result<(), String> {
    match action {
        Action::DropGeneration(facts) => recheck_generation(facts, snapshot, job),
        Action::RemoveRoot(facts) => snapshot
            .roots
            .iter()
            .any(|root| {
                root.entry.as_ref() == Some(&facts.entry)
                    && root.link == facts.link
                    && root.state == RootState::Dangling(Dangling::LinkGone)
            })
            .then_some(())
            .ok_or_else(|| format!("{} is not the dangling root it was", facts.entry)),
        Action::ReleaseHold(facts) => snapshot
            .holds
            .iter()
            .any(|hold| hold.link == facts.link && hold.store_path == facts.store_path)
            .then_some(())
            .ok_or_else(|| format!("{} is not the hold it was", facts.link)),
        Action::Collect => match snapshot.refusals.iter().find(|r| r.code.stops_collection()) {
            Some(refusal) => Err(refusal.message.clone()),
            None => Ok(()),
        },
        Action::Optimise
        | Action::Verify { .. }
        | Action::RestoreGeneration(_)
        | Action::RestoreRoot(_) => Ok(()),
    }
}

fn recheck_generation(
    facts: &GenerationFacts,
    snapshot: &Snapshot,
    job: Option<&Job>,
) -> Result<(), String> {
    let of = |what: &str| format!("{what} of {}", facts.profile);
    let profile = snapshot.profiles.iter().find(|p| p.path == facts.profile);
    let profile = profile.ok_or_else(|| format!("{} is gone", facts.profile))?;
    if profile.current() != Some(facts.current) {
        return Err(format!(
            "{} is not {} any more",
            of("the current generation"),
            facts.current
        ));
    }
    if profile.blocked.is_some() || profile.owner.uid != facts.owner.uid {
        return Err(format!("{} is not what it was", facts.profile));
    }
    if !snapshot.actor.may_act_for(profile.owner.uid) {
        return Err(format!("{} belongs to {}", facts.profile, profile.owner));
    }
    let number = facts.number;
    let generation = profile.generations.get(&number);
    let generation =
        generation.ok_or_else(|| format!("{} is gone", of(&format!("generation {number}"))))?;
    let unchanged = generation.target == facts.target
        && generation.created == facts.created
        && generation.content.on_disk() == Some(&facts.store_path);
    if !unchanged {
        return Err(format!(
            "{} is another one now",
            of(&format!("generation {number}"))
        ));
    }
    if number >= facts.current {
        return Err(format!(
            "{} is not older than the current one",
            of(&format!("generation {number}"))
        ));
    }
    let path = &facts.store_path;
    if snapshot.booted.contains(path) || snapshot.running.contains(path) {
        return Err(format!(
            "{} is booted or running now",
            of(&format!("generation {number}"))
        ));
    }
    let pins = match job {
        Some(job) => pins_of(profile, snapshot, job),
        None => snapshot.pins.clone(),
    };
    let pinned = pins.iter().any(|pin| {
        pin.profile == facts.profile
            && pin.number == number
            && pin.until.is_none_or(|until| until > snapshot.taken_at)
    });
    if pinned {
        return Err(format!(
            "{} is pinned now",
            of(&format!("generation {number}"))
        ));
    }
    let left = profile.generations.values().filter(|g| {
        g.number != number && matches!(g.content, Content::Bootable(_) | Content::Present(_))
    });
    if profile.kind.is_system() && left.count() < 2 {
        return Err(format!(
            "{} would leave fewer than two to boot from",
            of(&format!("generation {number}"))
        ));
    }
    Ok(())
}
