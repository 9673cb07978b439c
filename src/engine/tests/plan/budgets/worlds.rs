//! Small stores with generations and holds, and the slow way to the right answer.

use std::collections::BTreeSet;

use nix_prune::domain::analysis::{StoreAnalysis, StoreData};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags, NodeIdx};
use nix_prune::engine::Recent;
use proptest::prelude::*;

use super::super::*;
use super::{Action, ReleaseHolds};
use crate::support::plan_of;

/// What a world is made from.
#[derive(Debug, Clone)]
pub(super) struct Choices {
    /// For each path its size, and what it refers to among those before it.
    paths: Vec<(u64, Vec<usize>)>,
    /// The path of each generation, from the oldest, of the system and of Alice.
    system: Vec<usize>,
    alice: Vec<usize>,
    /// The path of each hold, how many days ago or ahead its window ends, and whether it is of the system.
    holds: Vec<(usize, i8, bool)>,
    /// The paths of other roots.
    others: Vec<usize>,
    /// How many generations stay, how long what goes is held, whether the safe mode is on, and a pin.
    last: u16,
    window: u32,
    safe_mode: bool,
    pin: Option<u32>,
    /// Since when paths are too young to go; each is registered a second after the one before.
    recent: Option<i64>,
}

impl Arbitrary for Choices {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let path = (1u64..300, prop::collection::vec(0usize..40, 0..3));
        let some = |most| prop::collection::vec(0usize..40, 0..most);
        let hold = (0usize..40, -3i8..4, any::<bool>());
        (
            prop::collection::vec(path, 1..40),
            (some(7), some(7)),
            prop::collection::vec(hold, 0..6),
            some(4),
            (1u16..4, prop::sample::select(vec![0u32, 7])),
            (
                any::<bool>(),
                prop::option::of(1u32..8),
                prop::option::of(0i64..40),
            ),
        )
            .prop_map(
                |(
                    paths,
                    (system, alice),
                    holds,
                    others,
                    (last, window),
                    (safe_mode, pin, recent),
                )| Self {
                    paths,
                    system,
                    alice,
                    holds,
                    others,
                    last,
                    window,
                    safe_mode,
                    pin,
                    recent,
                },
            )
            .boxed()
    }
}

/// A snapshot with its store.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) inspection: StoreAnalysis,
    pub(super) recent: Option<Recent>,
    job: Job,
}

impl World {
    pub(super) fn of(choices: &Choices) -> Self {
        Self::with(choices, false)
    }

    /// The same, where the roots are met in another order.
    pub(super) fn with_roots_reversed(self, choices: &Choices) -> Self {
        let other = Self::with(choices, true);
        Self {
            inspection: other.inspection,
            ..self
        }
    }

    fn with(choices: &Choices, reversed: bool) -> Self {
        let name = |n: usize| path_of("any", u32::try_from(n % choices.paths.len()).unwrap());
        let mut snapshot = snapshot(vec![
            of_paths(system(), &choices.system, &name),
            of_paths(alice(), &choices.alice, &name),
        ]);
        let hold = |(n, &(path, days, of_system)): (u32, &(usize, i8, bool))| {
            let now = time(NOW);
            let span = Span::days(u32::from(days.unsigned_abs()));
            Hold {
                until: if days > 0 {
                    now.after(span)
                } else {
                    now.before(span)
                },
                store_path: name(path),
                held: held(if of_system { SYSTEM } else { ALICE }, 100 + n),
                ..hold(n, NOW)
            }
        };
        snapshot.holds = (1..).zip(&choices.holds).map(hold).collect();
        let mut roots: Vec<GcRoot> = Vec::new();
        let mut add = |link: Utf8PathBuf, path: StorePath<String>, kind: RootKind| {
            roots.push(GcRoot {
                link,
                entry: None,
                store_path: Some(path),
                kind,
                state: RootState::Live,
                ..root("any")
            });
        };
        for profile in &snapshot.profiles {
            for generation in profile.generations.values() {
                let path = generation.content.store_path().unwrap().clone();
                add(
                    profile.path.link(generation.number),
                    path,
                    RootKind::Profile,
                );
            }
        }
        for hold in &snapshot.holds {
            add(hold.link.clone(), hold.store_path.clone(), RootKind::Hold);
        }
        for (n, &path) in choices.others.iter().enumerate() {
            let link = Utf8PathBuf::from(format!("/home/alice/result-{n}"));
            add(link, name(path), RootKind::Result);
        }
        if reversed {
            roots.reverse();
        }
        Self {
            inspection: inspect(choices, roots),
            snapshot,
            recent: choices.recent.map(|since| Recent {
                since,
                until: time(NOW).after(Span::days(2)),
            }),
            job: job_of(choices),
        }
    }

    pub(super) fn from_parts(snapshot: Snapshot, inspection: StoreAnalysis, job: Job) -> Self {
        Self {
            snapshot,
            inspection,
            recent: None,
            job,
        }
    }

    pub(super) fn job(&self) -> Job {
        self.job.clone()
    }

    pub(super) fn open_holds(&self) -> impl Iterator<Item = &Hold> {
        self.snapshot
            .holds
            .iter()
            .filter(|hold| hold.until > time(NOW))
    }

    /// What is taken, and what is then dead: link after link in order, until it is enough.
    pub(super) fn by_trying(
        &self,
        job: &Job,
        to_free: u64,
        mode: ReleaseHolds,
    ) -> (BTreeSet<(String, bool)>, u64) {
        let full = plan_of(&self.snapshot, job);
        let may =
            |risk: RiskLevel| risk <= job.max_risk && !(job.safe_mode && risk > RiskLevel::High);
        let mut generations = Vec::new();
        let mut expired = Vec::new();
        for planned in full.actions() {
            match planned.action {
                Action::RemoveGeneration(facts) => generations.push((facts, planned.risk)),
                Action::ReleaseHold(facts) => expired.push(facts.link.to_string()),
                _ => {}
            }
        }
        generations.sort_by_key(|(facts, _)| (facts.created, facts.profile.clone(), facts.number));
        let link = |facts: &nix_prune::domain::plan::GenerationFacts| {
            facts.profile.link(facts.number).into_string()
        };
        let mut open: Vec<&Hold> = self.open_holds().collect();
        open.sort_by_key(|hold| (hold.until, hold.link.clone()));
        let mut now = expired.clone();
        if mode == ReleaseHolds::IfNeeded {
            let early = |hold: &&&Hold| {
                let of_system = matches!(&hold.held, Held::Generation { profile, .. } if profile.name() == "system");
                may(if of_system {
                    RiskLevel::Critical
                } else {
                    RiskLevel::High
                })
            };
            now.extend(open.iter().filter(early).map(|hold| hold.link.to_string()));
        }
        if mode == ReleaseHolds::IfNeeded || job.undo_window.is_zero() {
            let at_once = generations.iter().filter(|(facts, risk)| {
                let least = if facts.profile_kind.is_system() {
                    RiskLevel::Critical
                } else {
                    RiskLevel::High
                };
                may(least.max(*risk))
            });
            now.extend(at_once.map(|(facts, _)| link(facts)));
        }
        let (first, frees) = self.reached(&[], &now, to_free, self.recent);
        let mut taken: BTreeSet<(String, bool)> =
            first.iter().map(|link| (link.clone(), true)).collect();
        if frees < to_free {
            let mut gone: Vec<String> = first.clone();
            gone.extend(expired);
            gone.extend(open.iter().map(|hold| hold.link.to_string()));
            let rest: Vec<String> = generations
                .iter()
                .filter(|(facts, risk)| may(*risk) && !first.contains(&link(facts)))
                .map(|(facts, _)| link(facts))
                .collect();
            let (later, _) = self.reached(&gone, &rest, to_free, None);
            let for_good = job.undo_window.is_zero();
            taken.extend(later.into_iter().map(|link| (link, for_good)));
        }
        (taken, frees)
    }

    /// The fewest of the links, from the first, that are enough, without those that free nothing; and what is dead then.
    fn reached(
        &self,
        gone: &[String],
        links: &[String],
        to_free: u64,
        recent: Option<Recent>,
    ) -> (Vec<String>, u64) {
        let graph = self.inspection.graph();
        let dead = |without: &[String]| {
            let kept_nodes = self.inspection.roots().iter();
            let kept_nodes = kept_nodes.filter(|root| {
                !without.contains(&root.root.link.to_string())
                    && !gone.contains(&root.root.link.to_string())
            });
            let young = graph.nodes().filter(|&node| {
                recent.is_some_and(|recent| graph.registered(node) >= recent.since)
            });
            let nodes: Vec<NodeIdx> = kept_nodes.map(|root| root.node).chain(young).collect();
            graph.dead(&nodes, self.inspection.flags())
        };
        let freed = |count: usize| graph.nar_size(&dead(&links[..count])).0;
        let enough = (0..=links.len()).find(|&count| freed(count) >= to_free);
        let count = enough.unwrap_or(links.len());
        let all = dead(&links[..count]);
        let takes_part = |link: &&String| {
            let mut nodes = self
                .inspection
                .roots()
                .iter()
                .filter(|root| root.root.link == link.as_str());
            nodes.any(|root| all.contains(root.node))
        };
        let taken = links[..count].iter().filter(takes_part).cloned().collect();
        (taken, freed(count))
    }
}

fn of_paths(
    mut profile: Profile,
    paths: &[usize],
    name: &impl Fn(usize) -> StorePath<String>,
) -> Profile {
    let start = time("2026-10-01T12:00:00Z");
    let system = profile.kind.is_system();
    let generation = |(n, &path): (u32, &usize)| {
        let store_path = name(path);
        let generation = Generation {
            number: GenerationNumber(n),
            target: Utf8PathBuf::from(format!("/nix/store/{store_path}")),
            specialisations: Vec::new(),
            content: if system {
                Content::Bootable(store_path)
            } else {
                Content::Present(store_path)
            },
            created: start.after(Span::days(n)),
        };
        (generation.number, generation)
    };
    profile.generations = (1..).zip(paths).map(generation).collect();
    profile.current = Current::Known(GenerationNumber(u32::try_from(paths.len()).unwrap()));
    profile
}

fn inspect(choices: &Choices, roots: Vec<GcRoot>) -> StoreAnalysis {
    let mut builder = GraphBuilder::new();
    for (n, (size, _)) in (0u32..).zip(&choices.paths) {
        let name = path_of("any", n).to_string();
        builder.add_path(i64::from(n), &name, *size, i64::from(n), None);
    }
    for (n, (_, references)) in choices.paths.iter().enumerate() {
        for reference in references {
            if n > 0 {
                let reference = reference % n;
                builder.add_reference(i64::try_from(n).unwrap(), i64::try_from(reference).unwrap());
            }
        }
    }
    StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: builder.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots,
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: None,
        notes: Vec::new(),
    })
}

fn job_of(choices: &Choices) -> Job {
    let mut job = job();
    let keep = KeepRules {
        last: Some(choices.last),
        ..KeepRules::default()
    };
    job.operations.generations.as_mut().unwrap().keep = KeepPolicy::new(keep).unwrap();
    job.undo_window = Span::days(choices.window);
    job.safe_mode = choices.safe_mode;
    job.max_risk = if choices.safe_mode {
        RiskLevel::High
    } else {
        RiskLevel::Critical
    };
    if let Some(number) = choices.pin {
        std::sync::Arc::make_mut(&mut job.protect).generations.push(
            nix_prune::domain::job::ProtectedGeneration {
                profile: nix_prune::domain::job::ProfileRef::Name("system".to_string()),
                number: GenerationNumber(number),
                reason: None,
            },
        );
    }
    job
}
