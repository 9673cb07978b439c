//! The graph against naive oracles.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use nix_prune::domain::budget::Quantity;
use nix_prune::domain::graph::{
    Chain, DeletionOrder, KeepFlags, NodeIdx, NodeSet, StoreGraph, Via, Weight,
};
use nix_prune::domain::measure::Bytes;
use oracle::{FLAGS, Groups, Spec, Store, any_spec, listed_spec};
use proptest::prelude::*;

fn names(spec: &Spec, graph: &StoreGraph, nodes: impl IntoIterator<Item = NodeIdx>) -> Store {
    nodes
        .into_iter()
        .map(|node| spec.number(graph.base_name(node)))
        .collect()
}

fn set(spec: &Spec, graph: &StoreGraph, set: &NodeSet) -> Store {
    names(spec, graph, set.iter())
}

fn nodes(spec: &Spec, graph: &StoreGraph, numbers: &[usize]) -> Vec<NodeIdx> {
    let find = |&number: &usize| graph.find(&spec.name(number)).unwrap();
    numbers.iter().map(find).collect()
}

fn grouped(spec: &Spec, graph: &StoreGraph, groups: &[Vec<usize>]) -> Vec<Vec<NodeIdx>> {
    groups.iter().map(|g| nodes(spec, graph, g)).collect()
}

fn weight(spec: &Spec, paths: &Store) -> Weight {
    Weight {
        paths: paths.len() as u64,
        nar_bytes: Bytes(paths.iter().map(|&n| spec.sizes[n]).sum()),
    }
}

/// The oldest dead paths of at least these bytes.
fn oldest_dead(graph: &StoreGraph, dead: &NodeSet, flags: KeepFlags, goal: u64) -> NodeSet {
    let sizes = |nodes: &[NodeIdx]| -> Result<Vec<Quantity>, std::convert::Infallible> {
        let size = |&node| Quantity(graph.nar_size_of(node).0);
        Ok(nodes.iter().map(size).collect())
    };
    let oldest = graph
        .oldest_dead_by(
            dead,
            flags,
            (Quantity(goal), DeletionOrder::default()),
            sizes,
        )
        .unwrap();
    graph.set_of(oldest.nodes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The collector asks from each path backwards, we mark forwards: the same, in whatever order it meets the paths.
    #[test]
    fn trap_24_live_is_what_the_collector_keeps(spec in listed_spec(), roots: Groups) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        for flags in FLAGS {
            let live = graph.live(&nodes(&spec, &graph, &roots), flags);
            let dead = graph.dead(&nodes(&spec, &graph, &roots), flags);
            let naive = spec.dead_by_backward_walks(&roots, flags);
            prop_assert_eq!(&set(&spec, &graph, &dead), &naive, "{:?}", flags);
            prop_assert_eq!(set(&spec, &graph, &live), spec.all().difference(&naive).copied().collect());
            for order in spec.orders() {
                prop_assert_eq!(&spec.collector(&order, &roots, flags), &naive, "{:?}", flags);
            }
            prop_assert_eq!(graph.weight(&dead), weight(&spec, &naive));
            prop_assert_eq!(graph.nar_size(&dead), weight(&spec, &naive).nar_bytes);
        }
    }

    /// Where a recorded deriver does not list the path, the collector's answer hangs on the order of the directory: what
    /// we call dead it calls dead in every order.
    #[test]
    fn trap_25_what_we_call_dead_is_dead_in_every_order(spec in any_spec(), roots: Groups) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        for flags in FLAGS {
            let dead = set(&spec, &graph, &graph.dead(&nodes(&spec, &graph, &roots), flags));
            prop_assert_eq!(&dead, &spec.all().difference(&spec.closure(&roots, flags)).copied().collect());
            for order in spec.orders() {
                prop_assert!(dead.is_subset(&spec.collector(&order, &roots, flags)), "{:?}", flags);
            }
        }
    }

    #[test]
    fn what_goes_root_by_root_is_freed_in_that_order(spec in any_spec(), always: Groups, drop: Groups) {
        let (graph, always, drop) = (spec.graph(), always.flat(spec.len()), drop.of(spec.len()));
        for flags in FLAGS {
            let freed = graph.freed_by_order(&nodes(&spec, &graph, &always), &grouped(&spec, &graph, &drop), flags);
            prop_assert_eq!(freed.len(), drop.len());
            for (at, freed) in freed.iter().enumerate() {
                let left = |from: usize| {
                    let roots: Vec<usize> = always.iter().chain(drop[from..].iter().flatten()).copied().collect();
                    spec.closure(&roots, flags)
                };
                let gone = left(at).difference(&left(at + 1)).copied().collect();
                prop_assert_eq!(*freed, weight(&spec, &gone));
            }
        }
    }

    #[test]
    fn exclusive_is_what_goes_with_one_group_alone(spec in any_spec(), groups: Groups) {
        let (graph, groups) = (spec.graph(), groups.of(spec.len()));
        for flags in FLAGS {
            let weights = graph.exclusive(&grouped(&spec, &graph, &groups), flags);
            let all = spec.closure(&groups.concat(), flags);
            prop_assert_eq!(weights.len(), groups.len());
            for (at, got) in weights.iter().enumerate() {
                let mut others = groups.clone();
                others.remove(at);
                let gone = all.difference(&spec.closure(&others.concat(), flags)).copied().collect();
                prop_assert_eq!(*got, weight(&spec, &gone));
            }
        }
    }

    #[test]
    fn each_path_is_in_the_part_of_its_keepers(spec in any_spec(), groups: Groups) {
        let (graph, groups) = (spec.graph(), groups.of(spec.len()));
        for flags in FLAGS {
            let mut naive: BTreeMap<Vec<usize>, BTreeSet<usize>> = BTreeMap::new();
            naive.insert(Vec::new(), BTreeSet::new());
            let kept: Vec<_> = groups.iter().map(|group| spec.closure(group, flags)).collect();
            for path in spec.all() {
                let keepers = (0..groups.len()).filter(|&group| kept[group].contains(&path));
                naive.entry(keepers.collect()).or_default().insert(path);
            }
            let parts = graph.by_keepers(&grouped(&spec, &graph, &groups), flags);
            prop_assert!(parts[0].keepers.is_empty());
            let got: BTreeMap<_, _> = parts.iter().map(|part| (part.keepers.clone(), part.weight)).collect();
            prop_assert_eq!(got.len(), parts.len());
            let naive = naive.into_iter().map(|(keepers, paths)| (keepers, weight(&spec, &paths)));
            prop_assert_eq!(got, naive.collect::<BTreeMap<_, _>>());
        }
    }

    #[test]
    fn closures_are_measured_one_by_one_and_together(spec in any_spec(), roots: Groups) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        // More than one pass of 64.
        let roots: Vec<usize> = roots.iter().cycle().take(roots.len() * 30).copied().collect();
        for flags in FLAGS {
            let roots_of = nodes(&spec, &graph, &roots);
            let together = graph.closure_sizes(&roots_of, flags);
            prop_assert_eq!(together.len(), roots.len());
            for ((&root, &node), together) in roots.iter().zip(&roots_of).zip(together) {
                let naive = weight(&spec, &spec.closure(&[root], flags));
                prop_assert_eq!(graph.closure_sizes(&[node], flags), [naive]);
                prop_assert_eq!(together, naive);
            }
        }
    }

    #[test]
    fn why_gives_the_shortest_chain_of_each_root(spec in any_spec(), roots: Groups, most in 0usize..6) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        for flags in FLAGS {
            for target in spec.all() {
                let node = nodes(&spec, &graph, &[target])[0];
                let chains = graph.why(&nodes(&spec, &graph, &roots), node, flags, most);
                let unique: BTreeSet<usize> = roots.iter().copied().collect();
                let mut naive: Vec<(usize, usize)> = unique
                    .iter()
                    .filter_map(|&root| Some((spec.distance(root, target, flags)?, root)))
                    .collect();
                naive.sort_by_key(|&(distance, root)| (distance, spec.row(root)));
                naive.truncate(most);
                let got: Vec<(usize, usize)> = chains
                    .iter()
                    .map(|chain| (chain.steps.len() - 1, spec.number(graph.base_name(chain.steps[0].node))))
                    .collect();
                prop_assert_eq!(got, naive);
                for chain in &chains {
                    prop_assert_eq!(chain.steps.last().unwrap().node, node);
                    prop_assert!(holds(&spec, &graph, chain, flags), "{:?}", chain);
                }
            }
        }
    }

    /// Each beginning of the list of batches can be deleted whatever becomes of the rest.
    #[test]
    fn batches_come_in_an_order_that_nix_accepts(spec in any_spec(), roots: Groups, limit in 0usize..8) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        for flags in FLAGS {
            let dead = graph.dead(&nodes(&spec, &graph, &roots), flags);
            let batches = graph.deletion_batches_by(&dead, flags, limit, |_| 1);
            let mut gone = Store::new();
            for batch in &batches {
                let batch_of = names(&spec, &graph, batch.iter().copied());
                prop_assert_eq!(batch_of.len(), batch.len());
                prop_assert!(batch_of.is_disjoint(&gone));
                gone.extend(&batch_of);
                prop_assert!(spec.keepers_of(&gone, flags).is_subset(&gone), "{:?}", flags);
                prop_assert!(!batch.is_empty());
                if batch.len() > limit {
                    // Only what keeps each other may be more than was asked for.
                    for &path in &batch_of {
                        prop_assert!(batch_of.is_subset(&spec.closure(&[path], flags)));
                    }
                }
            }
            prop_assert_eq!(gone, set(&spec, &graph, &dead));
        }
    }

    #[test]
    fn recent_paths_stay_with_what_they_need(spec in any_spec(), roots: Groups, cutoff in 0i64..12) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        for flags in FLAGS {
            let dead = graph.dead(&nodes(&spec, &graph, &roots), flags);
            let before = graph.dead_before(&dead, flags, cutoff);
            let recent = spec.all().into_iter().filter(|&n| spec.times[n] >= cutoff);
            let more: Vec<usize> = roots.iter().copied().chain(recent).collect();
            let naive = graph.dead(&nodes(&spec, &graph, &more), flags);
            prop_assert_eq!(before, naive);
        }
    }

    #[test]
    fn the_oldest_dead_paths_go_first_and_no_more_than_needed(spec in any_spec(), roots: Groups, goal in 0u64..60) {
        let (graph, roots) = (spec.graph(), roots.flat(spec.len()));
        for flags in FLAGS {
            let dead = graph.dead(&nodes(&spec, &graph, &roots), flags);
            let chosen = set(&spec, &graph, &oldest_dead(&graph, &dead, flags, goal));
            let dead = set(&spec, &graph, &dead);
            prop_assert!(chosen.is_subset(&dead));
            prop_assert!(spec.keepers_of(&chosen, flags).is_subset(&chosen));
            let freed = weight(&spec, &chosen).nar_bytes.0;
            prop_assert!(freed >= goal || chosen == dead);
            // Without the youngest path of those chosen, and what keeps it and what it keeps, it is not enough.
            let since = |path: &usize| {
                dead.iter()
                    .filter(|&&n| spec.closure(&[n], flags).contains(path))
                    .map(|&n| spec.times[n])
                    .max()
            };
            let youngest = chosen.iter().map(since).max().flatten();
            prop_assert!(dead.difference(&chosen).all(|path| since(path) >= youngest));
            let older: Store = chosen.iter().filter(|path| since(path) < youngest).copied().collect();
            prop_assert!(chosen.is_empty() || weight(&spec, &older).nar_bytes.0 < goal);
        }
    }

    #[test]
    fn packages_share_out_all_that_is_there(spec in any_spec()) {
        let graph = spec.graph();
        let groups = graph.groups_by_package(graph.nodes());
        prop_assert_eq!(groups.iter().map(|g| g.weight.paths).sum::<u64>(), spec.len() as u64);
        prop_assert_eq!(groups.iter().map(|g| g.weight.nar_bytes.0).sum::<u64>(), spec.sizes.iter().sum::<u64>());
        prop_assert!(groups.windows(2).all(|g| g[0].weight.nar_bytes >= g[1].weight.nar_bytes));
    }
}

/// Whether each step is an edge of the kind that it says, and its kind is allowed.
fn holds(spec: &Spec, graph: &StoreGraph, chain: &Chain, flags: KeepFlags) -> bool {
    let number = |node| spec.number(graph.base_name(node));
    let first_is_root = chain.steps[0].via == Via::Root;
    first_is_root
        && chain.steps.windows(2).all(|pair| {
            let (from, to) = (number(pair[0].node), number(pair[1].node));
            match pair[1].via {
                Via::Root => false,
                Via::Reference => spec.references.contains(&(from, to)),
                Via::Deriver => flags.derivations && spec.derivers[from] == Some(to),
                Via::Output => flags.outputs && spec.outputs.contains(&(from, to)),
            }
        })
}

#[test]
fn outputs_and_derivations_count_to_their_package() {
    let mut builder = nix_prune::domain::graph::GraphBuilder::new();
    let hashed = |n: u32, name: &str| format!("{n:032}-{name}");
    let drv = hashed(9, "glibc-2.40.drv");
    for (n, name, size, deriver) in [
        (1, "glibc-2.40", 30, Some(drv.as_str())),
        (2, "glibc-2.40-dev", 5, Some(drv.as_str())),
        (3, "glibc-2.39", 29, None),
        (4, "glibc-2.40.drv", 1, None),
        (5, "etc", 100, None),
    ] {
        builder.add_path(i64::from(n), &hashed(n, name), size, 0, deriver);
    }
    let graph = builder.finish().unwrap();
    let groups = graph.groups_by_package(graph.nodes());
    let told: Vec<_> = groups
        .iter()
        .map(|g| (g.name, g.versions, g.weight.paths, g.weight.nar_bytes.0))
        .collect();
    assert_eq!(told, [("etc", 1, 1, 100), ("glibc", 2, 4, 65)]);
}
