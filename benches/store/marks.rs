//! What a mark in `browse` costs, beside one walk that finds what is dead.

use std::hint::black_box;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::domain::analysis::{Fate, StoreAnalysis, StoreData, WhatIf};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags, NodeIdx};
use nix_prune::domain::root::{GcRoot, RootKind, RootState};
use nix_prune::domain::store_path::{StoreDir, StorePathRef};

use super::Extent;
use super::measure::alternate;

/// Generations, each with paths of its own and some of those before it.
const GENERATIONS: u32 = 200;
/// References of each path to earlier ones.
const REFERENCES: u32 = 10;

/// Measures both figures that a mark changes.
pub(crate) fn run(extent: Extent) {
    let sizes: &[u32] = match extent {
        Extent::Full => &[100_000, 1_000_000],
        Extent::Quick => &[100_000],
        Extent::Smoke => &[2_000],
    };
    for &size in sizes {
        let analysis = store(size);
        let links: Vec<Utf8PathBuf> = (0..GENERATIONS).map(link).collect();
        let links = links.iter().map(|link| Some(link.as_path()));
        let what_if = WhatIf::new(&analysis, links, None);
        let fate = |n| match n % 3 {
            0 => Fate::Kept,
            1 => Fate::Held,
            _ => Fate::RemovedNow,
        };
        let fates: Vec<Fate> = (0..GENERATIONS).map(fate).collect();
        let roots: Vec<NodeIdx> = analysis.roots().iter().map(|root| root.node).collect();
        println!("\na mark on a store of {size} paths, {GENERATIONS} of them roots:");
        let mut walk = || timed(|| analysis.graph().dead(&roots, analysis.flags()));
        let mut together = || timed(|| what_if.together(&analysis, &fates));
        let mut others = || timed(|| what_if.in_addition(&analysis, &fates));
        let [walk, together, others] =
            alternate(extent.rounds() * 3, [&mut walk, &mut together, &mut others]);
        println!("  one walk for what is dead             {walk}");
        println!("  what the marks free together          {together}");
        println!(
            "    ratio                               {:.2}",
            together.over(&walk)
        );
        println!("  what each other row would free        {others}");
        println!(
            "    ratio                               {:.2}",
            others.over(&walk)
        );
    }
}

fn timed<T>(what: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(what());
    begun.elapsed()
}

fn link(generation: u32) -> Utf8PathBuf {
    format!("/nix/var/nix/profiles/system-{generation}-link").into()
}

/// Paths that refer to earlier ones, near and far, and generations that are spread over them.
fn store(size: u32) -> StoreAnalysis {
    let name = |path: u32| format!("{path:032}-path-{path}");
    let mut builder = GraphBuilder::new();
    for path in 0..size {
        builder.add_path(i64::from(path), &name(path), 1000, i64::from(path), None);
    }
    // As random as it takes, and the same each time.
    let mut state = 1_u64;
    let mut random = |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u32::try_from(state >> 33).unwrap() % below.max(1)
    };
    for path in 1..size {
        for _ in 0..REFERENCES {
            let other = path.saturating_sub(1 + random(path.min(2_000)));
            builder.add_reference(i64::from(path), i64::from(other));
        }
    }
    let root = |generation: u32| {
        let path = size - 1 - generation * (size / GENERATIONS / 2).max(1);
        GcRoot {
            link: link(generation),
            entry: None,
            exact: true,
            target: None,
            store_path: Some(
                StorePathRef::from_base_name(&name(path))
                    .unwrap()
                    .to_owned(),
            ),
            kind: RootKind::Profile,
            owner: None,
            state: RootState::Live,
            made_at: None,
        }
    };
    StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: builder.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots: (0..GENERATIONS).map(root).collect(),
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: None,
        notes: Vec::new(),
    })
}
