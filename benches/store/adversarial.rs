//! Shapes on which a careless walk is quadratic: what twice the size costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nix_prune::domain::graph::{GraphBuilder, KeepFlags, NodeIdx, StoreGraph};

const BOTH: KeepFlags = KeepFlags {
    derivations: true,
    outputs: true,
};

type Make = fn(u32) -> (StoreGraph, Vec<NodeIdx>);

/// Measures each at two sizes; a thing that is linear takes about twice as long.
pub(crate) fn run(smoke: bool) {
    println!(
        "\nadversarial graphs: reading, live set, what each root alone keeps, batches, the shortest chain"
    );
    let shapes: [(&str, u32, Make); 4] = [
        ("a chain", 200_000, chain),
        ("a path with as many referrers", 200_000, star),
        ("as many roots over one closure", 2_000, crowd),
        ("cycles through both keep flags", 200_000, cycles),
    ];
    for (name, size, make) in shapes {
        let size = if smoke { size / 100 } else { size };
        let times = [size / 2, size].map(|size| least(|| all_of(make, size)));
        let [half, whole] = times.map(|time| time.as_secs_f64() * 1e3);
        println!(
            "  {name}: {half:.1} ms of {}, {whole:.1} ms of {size}, {:.2} times",
            size / 2,
            whole / half
        );
    }
}

fn least(mut what: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| what()).min().unwrap()
}

fn all_of(make: Make, size: u32) -> Duration {
    let begun = Instant::now();
    let (graph, roots) = make(size);
    let groups: Vec<[NodeIdx; 1]> = roots.iter().map(|&root| [root]).collect();
    black_box(graph.exclusive(&groups, BOTH));
    black_box(graph.closure_sizes(&roots, BOTH));
    black_box(graph.freed_by_order(&[], &groups, BOTH));
    let dead = graph.dead(&[], BOTH);
    black_box(graph.deletion_batches_by(&dead, BOTH, 5_000, |_| 1));
    if let (Some(first), Some(last)) = (roots.first(), graph.nodes().last()) {
        black_box(graph.why(&[*first], last, BOTH, 1));
    }
    begun.elapsed()
}

fn name(path: u32) -> String {
    format!("{path:032}-path-{path}")
}

fn finish(builder: GraphBuilder, roots: impl Iterator<Item = u32>) -> (StoreGraph, Vec<NodeIdx>) {
    let graph = builder.finish().unwrap();
    let roots = roots.map(|path| graph.find(&name(path)).unwrap()).collect();
    (graph, roots)
}

fn paths(count: u32) -> GraphBuilder {
    let mut builder = GraphBuilder::new();
    for path in 0..count {
        builder.add_path(i64::from(path), &name(path), 1, i64::from(path), None);
    }
    builder
}

fn chain(size: u32) -> (StoreGraph, Vec<NodeIdx>) {
    let mut builder = paths(size);
    for path in 1..size {
        builder.add_reference(i64::from(path - 1), i64::from(path));
    }
    finish(builder, [0, size / 2].into_iter())
}

fn star(size: u32) -> (StoreGraph, Vec<NodeIdx>) {
    let mut builder = paths(size);
    for path in 1..size {
        builder.add_reference(i64::from(path), 0);
    }
    finish(builder, (1..size).step_by(100))
}

/// Roots that each refer to the first of ten thousand paths in a chain.
fn crowd(size: u32) -> (StoreGraph, Vec<NodeIdx>) {
    const SHARED: u32 = 10_000;
    let mut builder = paths(SHARED + size);
    for path in 1..SHARED {
        builder.add_reference(i64::from(path - 1), i64::from(path));
    }
    for root in SHARED..SHARED + size {
        builder.add_reference(i64::from(root), 0);
    }
    finish(builder, SHARED..SHARED + size)
}

/// Derivations whose outputs each refer to the derivation before.
fn cycles(size: u32) -> (StoreGraph, Vec<NodeIdx>) {
    let mut builder = GraphBuilder::new();
    let pairs = size / 2;
    for pair in 0..pairs {
        let (drv, out) = (2 * pair, 2 * pair + 1);
        builder.add_path(
            i64::from(drv),
            &format!("{drv:032}-path-{drv}.drv"),
            1,
            0,
            None,
        );
        let deriver = format!("{drv:032}-path-{drv}.drv");
        builder.add_path(i64::from(out), &name(out), 1, 0, Some(&deriver));
    }
    for pair in 1..pairs {
        builder.add_reference(i64::from(2 * pair + 1), i64::from(2 * pair - 2));
    }
    for pair in 0..pairs {
        builder.add_output(i64::from(2 * pair), &name(2 * pair + 1));
    }
    finish(builder, [1, 2 * pairs - 1].into_iter())
}
