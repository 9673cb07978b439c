//! The division of random stores, against closures that are walked path by path.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::graph::Weight;

/// Paths with a size each, and references from a path to another.
type Paths = (Vec<u64>, Vec<(usize, usize)>);

/// The links of a store, by who keeps them: two profiles, another root, two holds, a process.
const KEEPERS: usize = 6;

fn name_of(n: usize) -> String {
    // Some share a package.
    format!("{n:032}-package{}-1.{n}", n / 3)
}

fn paths() -> impl Strategy<Value = Paths> {
    let sizes = proptest::collection::vec(1u64..1000, 1..60);
    sizes.prop_flat_map(|sizes| {
        let count = sizes.len();
        let references = proptest::collection::vec((0..count, 0..count), 0..30);
        (Just(sizes), references)
    })
}

fn closure(references: &[(usize, usize)], from: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let (mut seen, mut todo) = (BTreeSet::new(), from.collect::<Vec<_>>());
    while let Some(path) = todo.pop() {
        if seen.insert(path) {
            let next = references.iter().filter(|(of, _)| *of == path);
            todo.extend(next.map(|(_, to)| *to));
        }
    }
    seen
}

fn store((sizes, references): &Paths, links: &[(usize, usize)]) -> (StoreAnalysis, Snapshot) {
    let mut graph = GraphBuilder::new();
    let id = |n: usize| i64::try_from(n).unwrap();
    for (n, size) in sizes.iter().enumerate() {
        graph.add_path(id(n), &name_of(n), *size, 0, None);
    }
    for (of, to) in references {
        graph.add_reference(id(*of), id(*to));
    }
    let mut snapshot = snapshot();
    let mut second = snapshot.profiles[0].clone();
    second.path = ProfilePath::new(Utf8Path::new("/nix/var/nix/profiles/work")).unwrap();
    snapshot.profiles.push(second);
    let mut roots = Vec::new();
    for (n, &(keeper, node)) in links.iter().enumerate() {
        let path = name_of(node);
        let number = GenerationNumber(u32::try_from(n).unwrap() + 1);
        let (link, kind) = match keeper {
            0 | 1 => {
                let profile = &mut snapshot.profiles[keeper];
                let mut generation = profile.generations.values().next().unwrap().clone();
                generation.number = number;
                profile.generations.insert(number, generation);
                (profile.path.link(number).into_string(), RootKind::Profile)
            }
            2 => (format!("/home/result-{n}"), RootKind::Result),
            3 | 4 => {
                let day = i64::try_from(keeper).unwrap();
                let until = Timestamp::from_unix(day, 0).unwrap();
                let link = format!("/holds/{n}");
                snapshot.holds.push(Hold {
                    run: RunId::at(until, 1),
                    link: link.clone().into(),
                    store_path: super::path(&path),
                    held: Held::Root {
                        root: "/gone".into(),
                    },
                    until,
                    intact: true,
                });
                (link, RootKind::Hold)
            }
            _ => (format!("/proc/{n}/exe"), RootKind::Process),
        };
        roots.push(root(&link, kind, None, &path));
    }
    let store = StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: graph.finish().unwrap().into(),
        flags: KeepFlags::REFERENCES,
        roots,
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: None,
        notes: Vec::new(),
    });
    (store, snapshot)
}

/// Which keeper of the test a part is of; the last two are nobody and several.
fn keeper_of(keeper: &Keeper) -> usize {
    match keeper {
        Keeper::Profile(path) if path.name() == "work" => 1,
        Keeper::Profile(_) => 0,
        Keeper::OtherRoots => 2,
        Keeper::Holds { until, .. } => usize::try_from(until.to_unix().0).unwrap(),
        Keeper::Processes => 5,
        Keeper::UnknownHolds => usize::MAX,
        Keeper::Dead => KEEPERS,
        Keeper::Shared => KEEPERS + 1,
    }
}

/// Who keeps a path, asked of each closure by itself.
fn expected(reached: &[BTreeSet<usize>; KEEPERS], path: usize) -> usize {
    let by = |keeper: usize| reached[keeper].contains(&path);
    let links: Vec<usize> = (0..3).filter(|keeper| by(*keeper)).collect();
    let held = by(3) || by(4);
    match (links.as_slice(), held, by(5)) {
        ([], false, false) => KEEPERS,
        ([], false, true) => 5,
        // The hold that ends last keeps it.
        ([], true, _) => 3 + usize::from(by(4)),
        ([one], false, _) => *one,
        _ => KEEPERS + 1,
    }
}

proptest! {
    #[test]
    fn each_path_is_in_the_part_of_its_keeper(
        paths in paths(),
        links in proptest::collection::vec((0..KEEPERS, 0usize..14), 0..10),
    ) {
        let links: Vec<_> = links.into_iter().map(|(keeper, node)| (keeper, node % paths.0.len())).collect();
        let (store, snapshot) = store(&paths, &links);
        let reached: [BTreeSet<usize>; KEEPERS] = std::array::from_fn(|keeper| {
            let of_keeper = links.iter().filter(|(of, _)| *of == keeper);
            closure(&paths.1, of_keeper.map(|(_, node)| *node))
        });
        let parts = store.division(&snapshot);
        let mut seen = BTreeSet::new();
        for part in &parts {
            for node in &part.paths {
                let name = store.graph().base_name(*node);
                let number = (0..paths.0.len()).find(|n| name_of(*n) == name).unwrap();
                prop_assert!(seen.insert(number), "{} is in two parts", name);
                prop_assert_eq!(expected(&reached, number), keeper_of(&part.keeper), "{}", name);
            }
        }
        prop_assert_eq!(seen.len(), paths.0.len());
    }

    #[test]
    fn the_packages_of_a_part_add_up_to_it(
        paths in paths(),
        links in proptest::collection::vec((0..KEEPERS, 0usize..14), 0..10),
        all in 0u64..10_000_000,
    ) {
        let links: Vec<_> = links.into_iter().map(|(keeper, node)| (keeper, node % paths.0.len())).collect();
        let (store, snapshot) = store(&paths, &links);
        for part in store.division(&snapshot) {
            let packages = store.packages_of(&part, Bytes(all));
            let largest = packages.largest.iter().map(|package| package.weight);
            let sum = largest.fold(packages.weight_of_others, |sum, weight| Weight {
                paths: sum.paths + weight.paths,
                nar_bytes: Bytes(sum.nar_bytes.0 + weight.nar_bytes.0),
            });
            prop_assert_eq!(sum, store.share_of(&part).weight);
        }
    }
}

/// A package that is small beside the store is counted with others, unless it is among the largest of its part.
#[test]
fn small_packages_are_counted_together() {
    let packages = 20;
    let sizes = (0..3 * packages).map(|n| if n < 3 { 1_000_000 } else { 1 });
    let (store, snapshot) = store(&(sizes.collect(), Vec::new()), &[]);
    let parts = store.division(&snapshot);
    let dead = parts
        .iter()
        .find(|part| part.keeper == Keeper::Dead)
        .unwrap();
    let of = |all| store.packages_of(dead, Bytes(all));
    assert_eq!((of(3_000_057).largest.len(), of(3_000_057).others), (12, 8));
    assert_eq!(of(3_000_057).weight_of_others.paths, 24);
    assert_eq!((of(3_000).largest.len(), of(3_000).others), (20, 0));
}
