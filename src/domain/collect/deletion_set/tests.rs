use super::*;
use crate::domain::graph::GraphBuilder;
use proptest::prelude::*;
use proptest::sample::Index;

/// References from each path to older ones, a deriver here and there, and roots.
#[derive(Debug, Clone)]
struct Spec {
    edges: Vec<(usize, usize)>,
    derivers: Vec<Option<usize>>,
    roots: Vec<usize>,
    flags: KeepFlags,
}

const PATHS: usize = 12;

fn spec() -> impl Strategy<Value = Spec> {
    (
        prop::collection::vec((0..PATHS, 0..PATHS), 0..20),
        prop::collection::vec(prop::option::of(0..PATHS), PATHS),
        prop::collection::vec(0..PATHS, 0..3),
        any::<(bool, bool)>(),
    )
        .prop_map(|(edges, derivers, roots, (derivations, outputs))| Spec {
            edges,
            derivers,
            roots,
            flags: KeepFlags {
                derivations,
                outputs,
            },
        })
}

fn name(path: usize) -> String {
    let name = if is_source(path) { "source" } else { "p" };
    format!("{path:032}-{name}")
}

fn is_source(path: usize) -> bool {
    path < PATHS && path % 4 == 3
}

fn store_path(base_name: &str) -> StorePath<String> {
    parse(base_name).unwrap()
}

impl Spec {
    fn graph(&self, without: &BTreeSet<usize>) -> StoreGraph {
        let mut builder = GraphBuilder::new();
        let there = |path: &usize| !without.contains(path);
        for path in (0..PATHS).filter(there) {
            let deriver = self.derivers[path].map(name);
            let id = i64::try_from(path).unwrap();
            builder.add_path(id, &name(path), 1, id, deriver.as_deref());
        }
        for &(from, to) in self.edges.iter().filter(|(a, b)| there(a) && there(b)) {
            builder.add_reference(i64::try_from(from).unwrap(), i64::try_from(to).unwrap());
        }
        for (path, deriver) in self.derivers.iter().enumerate() {
            if let Some(deriver) = deriver.filter(|drv| there(drv) && there(&path)) {
                builder.add_output(i64::try_from(deriver).unwrap(), &name(path));
            }
        }
        builder.finish().unwrap()
    }

    fn selection(&self, roots: &[usize], without: &BTreeSet<usize>) -> DeletionSet {
        let graph = self.graph(without);
        let roots = roots.iter().filter_map(|&path| graph.find(&name(path)));
        let dead = graph.dead(&roots.collect::<Vec<_>>(), self.flags);
        DeletionSet::new(graph, self.flags, dead, Unregistered::default())
    }

    /// What keeps each path directly.
    fn keepers(&self, path: usize) -> BTreeSet<usize> {
        let by_reference = self.edges.iter().filter(|(_, to)| *to == path);
        let mut keepers: BTreeSet<usize> = by_reference.map(|(from, _)| *from).collect();
        for (output, deriver) in self.derivers.iter().enumerate() {
            if self.flags.derivations && *deriver == Some(path) {
                keepers.insert(output);
            }
        }
        if self.flags.outputs {
            keepers.extend(self.derivers[path]);
        }
        keepers.remove(&path);
        keepers
    }
}

fn chosen(selection: &DeletionSet) -> BTreeSet<usize> {
    let batches = selection.batches(usize::MAX, str::len).concat();
    batches.iter().map(number).collect()
}

fn number(path: &StorePath<String>) -> usize {
    let text = path.to_string();
    text.split_once('-').unwrap().0.parse().unwrap()
}

proptest! {
    #[test]
    fn nothing_that_stays_keeps_what_is_chosen(
        spec in spec(),
        events in prop::collection::vec((any::<bool>(), any::<Index>()), 0..6),
        limit in 1usize..300,
    ) {
        let mut selection = spec.selection(&spec.roots, &BTreeSet::new());
        let mut gone = BTreeSet::new();
        for (refused, index) in events {
            let before = chosen(&selection);
            if before.is_empty() {
                break;
            }
            if refused {
                let path = *index.get(&before.iter().copied().collect::<Vec<_>>());
                selection.refused(&store_path(&name(path)));
                prop_assert!(!chosen(&selection).contains(&path));
            } else {
                // What Nix deletes is the beginning of a closed batch.
                let batch = selection.batches(limit, str::len).remove(0);
                gone.extend(batch.iter().map(number));
                selection.deleted(&batch);
            }
            prop_assert!(chosen(&selection).is_subset(&before), "it grew");
            prop_assert!(chosen(&selection).is_disjoint(&gone));
            prop_assert_eq!(selection.len(), chosen(&selection).len() as u64);
        }
        // Every batch is closed, whatever the limit.
        let mut done = gone;
        for batch in selection.batches(limit, str::len) {
            done.extend(batch.iter().map(number));
            for path in &batch {
                let keepers = spec.keepers(number(path));
                prop_assert!(keepers.is_subset(&done), "{path} before {keepers:?}");
            }
        }
    }

    #[test]
    fn another_look_only_takes_away(
        spec in spec(),
        more_roots in prop::collection::vec(0..PATHS, 0..3),
        gone in prop::collection::btree_set(0..PATHS, 0..3),
        cutoff in 0i64..14,
    ) {
        let first = spec.selection(&spec.roots, &BTreeSet::new()).before(cutoff);
        let before = chosen(&first);
        let roots = [spec.roots.as_slice(), more_roots.as_slice()].concat();
        let dead_later = chosen(&spec.selection(&roots, &gone));
        let narrowed = first.still_dead(spec.selection(&roots, &gone));
        let left = chosen(&narrowed);
        prop_assert!(left.is_subset(&before) && left.is_subset(&dead_later));
        prop_assert!(!narrowed.is_everything());
        for path in &left {
            let keepers: BTreeSet<_> = spec.keepers(*path).difference(&gone).copied().collect();
            prop_assert!(keepers.is_subset(&left), "{path} is kept by {keepers:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_was_built_with_something_is_dead_if_both_flags_say_so(spec in spec(), later in 0..PATHS) {
        let wide = Spec { flags: KeepFlags::BUILD_DEPENDENCIES, ..spec.clone() };
        let nothing = BTreeSet::new();
        let selection = spec.selection(&spec.roots, &nothing).without_build_dependencies().unwrap();
        prop_assert_eq!(chosen(&selection), chosen(&wide.selection(&spec.roots, &nothing)));
        prop_assert!(!selection.is_everything());
        // Also after another root came.
        let roots: Vec<usize> = spec.roots.iter().copied().chain([later]).collect();
        let narrowed = selection.still_dead(spec.selection(&roots, &nothing));
        prop_assert_eq!(chosen(&narrowed), chosen(&wide.selection(&roots, &nothing)));
    }
}

proptest! {
    #[test]
    fn sources_go_first_and_never_before_what_keeps_them(spec in spec(), goal in 1u64..10) {
        let nothing = BTreeSet::new();
        let all = chosen(&spec.selection(&spec.roots, &nothing));
        let alike = |_: &StoreGraph, names: &[&str]| -> Result<Vec<Quantity>, std::convert::Infallible> {
            Ok(vec![Quantity(1); names.len()])
        };
        let selection = spec.selection(&spec.roots, &nothing);
        let part = selection.freeing(Quantity(goal), DeletionOrder::SourcesFirst, alike).unwrap();
        let taken = chosen(&part.selection);
        // Nothing was counted that has to wait for something else.
        prop_assert_eq!(taken.len() as u64, part.weight.0);
        for path in &taken {
            let keepers = spec.keepers(*path);
            prop_assert!(keepers.is_subset(&taken), "{path} is kept by {keepers:?}");
        }
        let left = all.difference(&taken);
        let free = left.filter(|path| is_source(**path) && spec.keepers(**path).is_empty());
        prop_assert!(free.count() == 0 || taken.iter().all(|path| is_source(*path)));
    }
}

#[test]
fn unregistered_names_come_last_and_within_the_room() {
    let spec = Spec {
        edges: Vec::new(),
        derivers: vec![None; PATHS],
        roots: (1..PATHS).collect(),
        flags: KeepFlags::NIX_DEFAULT,
    };
    let graph = spec.graph(&BTreeSet::new());
    let dead = graph.set_of(graph.find(&name(0)));
    let unregistered = Unregistered {
        paths: (20..25).map(|n| store_path(&name(n))).collect(),
        foreign: 0,
    };
    let mut selection = DeletionSet::new(graph, spec.flags, dead, unregistered);
    let sizes =
        |s: &DeletionSet| -> Vec<usize> { s.batches(68, str::len).iter().map(Vec::len).collect() };
    assert_eq!(sizes(&selection), [2, 2, 2]);
    assert_eq!(selection.batches(1, str::len)[0], [store_path(&name(0))]);
    // Each takes 34 bytes.
    let four = selection.batches(4 * 34, str::len);
    assert_eq!(four.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    selection.refused(&store_path(&name(20)));
    selection.deleted(&[store_path(&name(0)), store_path(&name(21))]);
    assert_eq!((sizes(&selection), selection.len()), (vec![2, 1], 3));
    // Names that the database does not know go last, and only those that are needed.
    let alike =
        |_: &StoreGraph, names: &[&str]| -> Result<Vec<Quantity>, std::convert::Infallible> {
            Ok(vec![Quantity(10); names.len()])
        };
    let part = selection
        .freeing(Quantity(11), DeletionOrder::default(), alike)
        .unwrap();
    assert_eq!((part.selection.len(), part.weight), (2, Quantity(20)));
    assert!(!part.selection.is_everything());
    let rest = part
        .selection
        .freeing(Quantity(21), DeletionOrder::default(), alike)
        .unwrap();
    assert_eq!((rest.selection.len(), rest.weight), (2, Quantity(20)));
}

#[test]
fn an_unregistered_name_is_deleted_while_another_look_finds_it() {
    let spec = Spec {
        edges: Vec::new(),
        derivers: vec![None; PATHS],
        roots: Vec::new(),
        flags: KeepFlags::NIX_DEFAULT,
    };
    let look = |names: std::ops::Range<usize>| {
        let graph = spec.graph(&BTreeSet::new());
        let unregistered = Unregistered {
            paths: names.map(|n| store_path(&name(n))).collect(),
            foreign: 0,
        };
        let dead = graph.set_of([]);
        DeletionSet::new(graph, spec.flags, dead, unregistered)
    };
    let narrowed = look(20..23).still_dead(look(22..25));
    assert_eq!(chosen(&narrowed), [22].into());
}
