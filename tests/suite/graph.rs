//! Shapes of a graph on which a recursive or quadratic walk would not end well.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests, and what only they call"
)]

use nix_prune::domain::budget::Quantity;
use nix_prune::domain::graph::{
    DeletionOrder, GraphBuilder, KeepFlags, NodeIdx, NodeSet, StoreGraph, Weight,
};
use nix_prune::domain::measure::Bytes;
use rstest::rstest;

const MANY: u32 = 200_000;

const BOTH: KeepFlags = KeepFlags {
    derivations: true,
    outputs: true,
};

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

fn name(path: u32) -> String {
    format!("{path:032}-path-{path}")
}

/// Paths of one byte each, and references between them.
fn graph(paths: u32, references: impl Iterator<Item = (u32, u32)>) -> StoreGraph {
    let mut builder = GraphBuilder::new();
    for path in 0..paths {
        builder.add_path(i64::from(path), &name(path), 1, i64::from(path), None);
    }
    for (referrer, reference) in references {
        builder.add_reference(i64::from(referrer), i64::from(reference));
    }
    builder.finish().unwrap()
}

fn node(graph: &StoreGraph, path: u32) -> NodeIdx {
    graph.find(&name(path)).unwrap()
}

fn ones(paths: u32) -> Weight {
    Weight {
        paths: u64::from(paths),
        nar_bytes: Bytes(u64::from(paths)),
    }
}

/// Asks for everything, with one root at each end of the chain or star.
fn ask_all(graph: &StoreGraph, root: NodeIdx, target: NodeIdx, chain: usize) {
    let size = u32::try_from(graph.len()).unwrap();
    let nothing: [Vec<NodeIdx>; 0] = [];
    assert_eq!(graph.live(&[root], BOTH).count(), u64::from(size));
    assert_eq!(
        graph.freed_by_order(&[], &[vec![target], vec![root]], BOTH),
        [Weight::default(), ones(size)]
    );
    assert_eq!(graph.exclusive(&[vec![root]], BOTH), [ones(size)]);
    assert_eq!(graph.exclusive(&nothing, BOTH), []);
    let shared = graph.exclusive(&[vec![root], vec![target]], BOTH);
    assert_eq!(shared[1], Weight::default());
    assert_eq!(graph.closure_sizes(&[root], BOTH), [ones(size)]);
    assert_eq!(graph.why(&[root], target, BOTH, 3)[0].steps.len(), chain);
    let all = graph.dead(&[], BOTH);
    let batches = graph.deletion_batches_by(&all, BOTH, 1000, |_| 1);
    assert_eq!(batches.concat().len(), graph.len());
    assert_eq!(batches[0][0], root);
    assert!(!oldest_dead(graph, &all, BOTH, 1).is_empty());
}

#[rstest]
#[case::rows_downwards(false)]
#[case::rows_upwards(true)]
fn a_chain_of_200_000(#[case] upwards: bool) {
    let link = |n: u32| if upwards { (n + 1, n) } else { (n, n + 1) };
    let graph = graph(MANY, (0..MANY - 1).map(link));
    let ends = [node(&graph, 0), node(&graph, MANY - 1)];
    let [root, target] = if upwards { [ends[1], ends[0]] } else { ends };
    ask_all(&graph, root, target, MANY as usize);
}

#[test]
fn a_path_with_200_000_referrers() {
    let middle = (1..MANY - 1).flat_map(|n| [(0, n), (n, MANY - 1)]);
    let graph = graph(MANY, middle);
    ask_all(&graph, node(&graph, 0), node(&graph, MANY - 1), 3);
    let roots: Vec<NodeIdx> = graph.nodes().collect();
    let chains = graph.why(&roots, node(&graph, MANY - 1), BOTH, 10);
    let lengths: Vec<usize> = chains.iter().map(|c| c.steps.len()).collect();
    assert_eq!(lengths, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn two_thousand_roots_over_one_closure() {
    // Each root refers to the head of a chain of 20,000, and to one path of its own.
    const ROOTS: u32 = 2_000;
    const CHAIN: u32 = 20_000;
    let chain = (0..CHAIN - 1).map(|n| (n, n + 1));
    let heads = (0..ROOTS).flat_map(|n| [(CHAIN + n, 0), (CHAIN + n, CHAIN + ROOTS + n)]);
    let graph = graph(CHAIN + 2 * ROOTS, chain.chain(heads));
    let roots: Vec<NodeIdx> = (0..ROOTS).map(|n| node(&graph, CHAIN + n)).collect();
    let groups: Vec<Vec<NodeIdx>> = roots.iter().map(|&root| vec![root]).collect();
    for flags in [KeepFlags::REFERENCES, BOTH] {
        assert!(graph.live(&roots, flags).complement().is_empty());
        let exclusive = graph.exclusive(&groups, flags);
        assert!(exclusive.iter().all(|&weight| weight == ones(2)));
        let freed = graph.freed_by_order(&[], &groups, flags);
        let (last, others) = freed.split_last().unwrap();
        assert!(others.iter().all(|&weight| weight == ones(2)));
        assert_eq!(*last, ones(CHAIN + 2));
        let sizes = graph.closure_sizes(&roots, flags);
        assert!(sizes.iter().all(|&weight| weight == ones(CHAIN + 2)));
    }
}

#[test]
fn cycles_by_both_keep_flags() {
    // Every derivation keeps its output and the other way round, and each refers to the next derivation: with both
    // flags all of them but for the order of the chain hang together.
    const PAIRS: u32 = 100_000;
    let mut builder = GraphBuilder::new();
    let drv = |n: u32| format!("{n:032}-x-{n}.drv");
    let out = |n: u32| format!("{:032}-x-{n}", PAIRS + n);
    for n in 0..PAIRS {
        builder.add_path(i64::from(2 * n), &drv(n), 1, 0, None);
        builder.add_path(i64::from(2 * n + 1), &out(n), 1, 0, Some(&drv(n)));
    }
    for n in 0..PAIRS {
        builder.add_output(i64::from(2 * n), &out(n));
        // Derivations refer down, outputs up: one component in all.
        if n + 1 < PAIRS {
            builder.add_reference(i64::from(2 * n), i64::from(2 * (n + 1)));
            builder.add_reference(i64::from(2 * n + 3), i64::from(2 * n + 1));
        }
    }
    let graph = builder.finish().unwrap();
    let top = graph.find(&drv(0)).unwrap();
    let bottom = graph.find(&out(PAIRS - 1)).unwrap();
    let all = graph.dead(&[], BOTH);
    assert_eq!(graph.deletion_batches_by(&all, BOTH, 10, |_| 1).len(), 1);
    assert_eq!(
        graph
            .deletion_batches_by(&all, KeepFlags::REFERENCES, 10, |_| 1)
            .len(),
        20_000
    );
    assert_eq!(graph.live(&[bottom], BOTH).count(), u64::from(2 * PAIRS));
    assert_eq!(
        graph.live(&[top], KeepFlags::NIX_DEFAULT).count(),
        u64::from(PAIRS)
    );
    assert_eq!(
        graph.exclusive(&[vec![top], vec![bottom]], BOTH),
        [Weight::default(); 2]
    );
    assert_eq!(
        graph.closure_sizes(&[top, bottom], BOTH),
        [ones(2 * PAIRS); 2]
    );
    assert_eq!(oldest_dead(&graph, &all, BOTH, 1), all);
}
