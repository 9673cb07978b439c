//! Small stores, and slow answers that are plainly right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nix_prune::domain::graph::{GraphBuilder, KeepFlags, StoreGraph};
use proptest::prelude::*;

/// Paths by their number.
pub(crate) type Store = BTreeSet<usize>;

pub(crate) const FLAGS: [KeepFlags; 4] = [
    KeepFlags::REFERENCES,
    KeepFlags::NIX_DEFAULT,
    KeepFlags {
        derivations: false,
        outputs: true,
    },
    KeepFlags {
        derivations: true,
        outputs: true,
    },
];

/// A store; the first paths are derivations.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) sizes: Vec<u64>,
    pub(crate) times: Vec<i64>,
    derivations: usize,
    pub(crate) references: BTreeSet<(usize, usize)>,
    pub(crate) outputs: BTreeSet<(usize, usize)>,
    /// The recorded derivers that are valid.
    pub(crate) derivers: Vec<Option<usize>>,
    /// The order of the rows.
    rows: Vec<usize>,
    step: i64,
}

/// Roots in groups, to be fitted to a store.
#[derive(Debug, Clone)]
pub(crate) struct Groups(Vec<Vec<usize>>);

impl Arbitrary for Groups {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let group = prop::collection::vec(0usize..1000, 0..3);
        prop::collection::vec(group, 0..5).prop_map(Self).boxed()
    }
}

impl Groups {
    pub(crate) fn of(&self, paths: usize) -> Vec<Vec<usize>> {
        let fit = |group: &Vec<usize>| group.iter().map(|n| n % paths).collect();
        self.0.iter().map(fit).collect()
    }

    pub(crate) fn flat(&self, paths: usize) -> Vec<usize> {
        self.of(paths).concat()
    }
}

/// A store in which every valid deriver lists what it is the deriver of, as Nix itself makes them.
pub(crate) fn listed_spec() -> impl Strategy<Value = Spec> {
    any_spec().prop_map(|mut spec| {
        for (path, deriver) in spec.derivers.iter_mut().enumerate() {
            *deriver = deriver.filter(|&drv| spec.outputs.contains(&(drv, path)));
        }
        spec
    })
}

/// Any store at all: with cycles, references to itself, several derivers of one path, derivers that know nothing of it.
pub(crate) fn any_spec() -> impl Strategy<Value = Spec> {
    (1usize..14, 0usize..8, any::<bool>()).prop_flat_map(|(paths, derivations, sparse)| {
        let derivations = derivations.min(paths);
        let pair = (0..paths, 0..paths);
        let output = (0..derivations.max(1), 0..paths);
        let outputs = prop::collection::btree_set(output, 0..=2 * derivations);
        (
            prop::collection::vec((0u64..20, 0i64..10), paths),
            prop::collection::btree_set(pair, 0..2 * paths),
            outputs,
            prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), paths),
            Just((0..paths).collect::<Vec<_>>()).prop_shuffle(),
        )
            .prop_map(move |(figures, references, outputs, choices, rows)| {
                let derivers = choices.iter().enumerate().map(|(path, (listed, choice))| {
                    let of_path = outputs.iter().filter(|&&(_, out)| out == path);
                    let listing: Vec<usize> = of_path.map(|&(drv, _)| drv).collect();
                    if *listed && !listing.is_empty() {
                        Some(*choice.get(&listing))
                    } else {
                        Some(choice.index(3 * paths)).filter(|&n| n < paths)
                    }
                });
                Spec {
                    derivers: derivers.collect(),
                    sizes: figures.iter().map(|f| f.0).collect(),
                    times: figures.iter().map(|f| f.1).collect(),
                    derivations,
                    references,
                    outputs: outputs.clone(),
                    rows,
                    step: if sparse { 1 << 40 } else { 1 },
                }
            })
    })
}

impl Spec {
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    pub(crate) fn all(&self) -> Store {
        (0..self.len()).collect()
    }

    pub(crate) fn name(&self, path: usize) -> String {
        let end = if path < self.derivations { ".drv" } else { "" };
        format!("{path:032}-p{}-{path}{end}", path % 3)
    }

    pub(crate) fn number(&self, name: &str) -> usize {
        let number = name.split_once('-').unwrap().0.parse().unwrap();
        assert_eq!(self.name(number), name);
        number
    }

    /// Where a path is among the rows.
    pub(crate) fn row(&self, path: usize) -> Option<usize> {
        self.rows.iter().position(|&row| row == path)
    }

    pub(crate) fn graph(&self) -> StoreGraph {
        let mut builder = GraphBuilder::new();
        let id = |path: usize| (i64::try_from(path).unwrap() + 1) * self.step;
        for &path in &self.rows {
            let deriver = self.derivers[path].map(|drv| self.name(drv));
            let invalid = format!("{:032}-gone.drv", 99);
            builder.add_path(
                id(path),
                &self.name(path),
                self.sizes[path],
                self.times[path],
                Some(deriver.as_deref().unwrap_or(&invalid)),
            );
        }
        for &(drv, out) in &self.outputs {
            builder.add_output(id(drv), &self.name(out));
        }
        // By reference, so that the referrers come in no order.
        let mut references: Vec<_> = self.references.iter().copied().collect();
        references.sort_by_key(|&(referrer, reference)| (reference, referrer));
        for (referrer, reference) in references {
            builder.add_reference(id(referrer), id(reference));
        }
        let graph = builder.finish().unwrap();
        assert_eq!(graph.len(), self.len());
        assert_eq!(graph.orphan_rows(), 0);
        graph
    }

    /// Directory orders: forth, back, and as the rows are.
    pub(crate) fn orders(&self) -> [Vec<usize>; 3] {
        [
            (0..self.len()).collect(),
            (0..self.len()).rev().collect(),
            self.rows.clone(),
        ]
    }

    /// What a path keeps, as the manual says.
    fn keeps(&self, path: usize, flags: KeepFlags) -> Store {
        let to = |edges: &BTreeSet<(usize, usize)>| -> Vec<usize> {
            let from_path = edges.iter().filter(|e| e.0 == path);
            from_path.map(|e| e.1).collect()
        };
        let mut kept: Store = to(&self.references).into_iter().collect();
        if flags.derivations {
            kept.extend(self.derivers[path]);
        }
        if flags.outputs {
            kept.extend(to(&self.outputs));
        }
        kept
    }

    pub(crate) fn keepers_of(&self, paths: &Store, flags: KeepFlags) -> Store {
        let keeps_one = |&n: &usize| !self.keeps(n, flags).is_disjoint(paths);
        self.all().into_iter().filter(keeps_one).collect()
    }

    pub(crate) fn closure(&self, roots: &[usize], flags: KeepFlags) -> Store {
        let mut seen: Store = roots.iter().copied().collect();
        let mut todo: Vec<usize> = roots.to_vec();
        while let Some(path) = todo.pop() {
            for next in self.keeps(path, flags) {
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        seen
    }

    pub(crate) fn distance(&self, from: usize, to: usize, flags: KeepFlags) -> Option<usize> {
        let mut distance = BTreeMap::from([(from, 0)]);
        let mut todo = VecDeque::from([from]);
        while let Some(path) = todo.pop_front() {
            for next in self.keeps(path, flags) {
                if !distance.contains_key(&next) {
                    distance.insert(next, distance[&path] + 1);
                    todo.push_back(next);
                }
            }
        }
        distance.get(&to).copied()
    }

    /// What the collector looks at behind a path: referrers; with `keep-derivations` the outputs of a derivation that
    /// record it as their deriver; with `keep-outputs` the derivations that list the path.
    fn behind(&self, path: usize, flags: KeepFlags) -> Store {
        let referrers = self.references.iter().filter(|e| e.1 == path).map(|e| e.0);
        let mut behind: Store = referrers.collect();
        if flags.derivations && path < self.derivations {
            let outputs = self.outputs.iter().filter(|e| e.0 == path).map(|e| e.1);
            behind.extend(outputs.filter(|&out| self.derivers[out] == Some(path)));
        }
        if flags.outputs {
            behind.extend(self.outputs.iter().filter(|e| e.1 == path).map(|e| e.0));
        }
        behind
    }

    /// The collector's definition, path by path.
    pub(crate) fn dead_by_backward_walks(&self, roots: &[usize], flags: KeepFlags) -> Store {
        let no_root_behind = |&path: &usize| {
            let mut seen = Store::from([path]);
            let mut todo = vec![path];
            while let Some(path) = todo.pop() {
                todo.extend(
                    self.behind(path, flags)
                        .into_iter()
                        .filter(|&n| seen.insert(n)),
                );
            }
            roots.iter().all(|root| !seen.contains(root))
        };
        self.all().into_iter().filter(no_root_behind).collect()
    }

    /// The collector's way: for each name in the directory a walk backwards, which ends at a root or at what is known to
    /// be alive; a root makes its closure alive. What it has called dead remains dead.
    pub(crate) fn collector(&self, order: &[usize], roots: &[usize], flags: KeepFlags) -> Store {
        let (mut alive, mut dead) = (Store::new(), Store::new());
        'start: for &start in order {
            let mut visited = Store::from([start]);
            let mut todo = VecDeque::from([start]);
            while let Some(path) = todo.pop_front() {
                if alive.contains(&path) {
                    alive.insert(start);
                    continue 'start;
                }
                if dead.contains(&path) {
                    continue;
                }
                if roots.contains(&path) {
                    alive.insert(start);
                    alive.extend(self.closure(&[path], flags));
                    continue 'start;
                }
                todo.extend(
                    self.behind(path, flags)
                        .into_iter()
                        .filter(|&n| visited.insert(n)),
                );
            }
            dead.extend(visited);
        }
        dead
    }
}
