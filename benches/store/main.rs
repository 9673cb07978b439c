//! How long whole commands take, beside the raw work that cannot be left out and beside Nix itself, in one run.
//!
//! `cargo bench` measures; `cargo bench -- --quick` on the smallest store only; `cargo bench -- --settings` how long it takes to
//! check settings; `cargo bench -- --marks` what a mark in `browse` costs; `cargo bench -- --collect` what collecting takes, which is
//! more than an hour, with `--large` behind it only on the store of 100,000 paths; `cargo bench -- --direct` what direct collection
//! takes, beside a peer that `NIX_PRUNE_BENCH_PEER` names. Without `--bench`, as `cargo test` calls it, every part is run once on a small store to see
//! that it works, and nothing is judged.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod adversarial;
mod bytes;
mod collect;
mod direct;
mod marks;
mod measure;
mod places;
mod raw;
mod settings;
mod stores;

use std::time::Duration;

use collect::Sizes;
use measure::alternate;
use stores::{Shape, Store};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Everything.
    Full,
    /// What takes no more than a minute.
    Quick,
    /// Once, to see that it works.
    Smoke,
}

impl Extent {
    fn of(args: &[String]) -> Self {
        let has = |word: &str| args.iter().any(|arg| arg == word);
        match (has("--bench"), has("--quick")) {
            (false, _) => Self::Smoke,
            (true, true) => Self::Quick,
            (true, false) => Self::Full,
        }
    }

    fn rounds(self) -> usize {
        match self {
            Self::Full => 7,
            Self::Quick => 5,
            Self::Smoke => 1,
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let extent = Extent::of(&args);
    println!("cores: {}", std::thread::available_parallelism().unwrap());
    let has = |word: &str| args.iter().any(|arg| arg == word);
    if has("--collect") || extent == Extent::Smoke {
        let sizes = if has("--large") {
            Sizes::Large
        } else {
            Sizes::Both
        };
        collect::run(extent, sizes);
    }
    if has("--direct") || extent == Extent::Smoke {
        direct::run(extent);
    }
    if has("--collect") || has("--direct") {
        return;
    }
    if has("--marks") {
        marks::run(extent);
        return;
    }
    settings::run(extent);
    if has("--settings") {
        return;
    }
    let sizes: &[u32] = match extent {
        Extent::Full => &[10_000, 100_000, 1_000_000],
        Extent::Quick => &[10_000],
        Extent::Smoke => &[2_000],
    };
    adversarial::run(extent == Extent::Smoke);
    marks::run(extent);
    places::run(extent);
    let mut ours = Vec::new();
    for &size in sizes {
        for shape in [Shape::ManyRoots, Shape::FewRoots] {
            if size == 1_000_000 && shape == Shape::FewRoots {
                continue;
            }
            let Some(store) = Store::make(size, shape) else {
                println!(
                    "SKIPPED: no nix-store was found, which makes the databases (NIX_PRUNE_TEST_NIX)"
                );
                return;
            };
            let dead = dead(&store, extent);
            if shape == Shape::ManyRoots {
                ours.push((size, dead));
            }
        }
    }
    growth(&ours);
    bytes::run(extent);
}

/// `dead` against the raw work and against Nix; gives our median.
fn dead(store: &Store, extent: Extent) -> Duration {
    println!("\n{store}:");
    let mut dead = || measure::command(&mut store.program(&["dead"]));
    let mut raw = || raw::all(store);
    let [ours, least] = alternate(extent.rounds(), [&mut dead, &mut raw]);
    println!("  nix-prune dead                        {ours}");
    println!("  raw: scan, readdir, links of roots    {least}");
    println!(
        "    ratio to the raw work               {:.2}",
        ours.over(&least)
    );
    if let Some(memory) = measure::memory(&mut store.program(&["dead"])) {
        println!(
            "    memory of its own, at most          {} MiB",
            memory.anonymous >> 20
        );
        println!(
            "    with mapped files                   {} MiB",
            memory.resident >> 20
        );
    }
    let mut listing = || measure::command(&mut store.program(&["generations", "--no-sizes"]));
    let mut help = || measure::command(&mut store.program(&["--help"]));
    let [listing, help] = alternate(extent.rounds(), [&mut listing, &mut help]);
    println!("  nix-prune generations --no-sizes      {listing}");
    println!("  nix-prune --help                      {help}");
    let mut page = || measure::command(&mut store.program(&["report"]));
    let mut usage = || measure::command(&mut store.program(&["du"]));
    let [page, usage] = alternate(extent.rounds(), [&mut page, &mut usage]);
    println!("  nix-prune report                      {page}");
    println!("  nix-prune du                          {usage}");
    println!(
        "    ratio of report to du               {:.2}",
        page.over(&usage)
    );
    if let Some(memory) = measure::memory(&mut store.program(&["report"])) {
        println!(
            "    memory of report, at most           {} MiB",
            memory.anonymous >> 20
        );
    }
    // Of a million paths Nix does not come to an end.
    if store.size <= 100_000 {
        let rounds = extent.rounds().min(if store.size > 10_000 { 1 } else { 3 });
        let mut print_dead =
            || measure::command(&mut store.nix("nix-store", &["--gc", "--print-dead"]));
        let [nix] = alternate(rounds, [&mut print_dead]);
        println!("  nix-store --gc --print-dead           {nix}");
        println!(
            "    times as long as ours               {:.0}",
            nix.over(&ours)
        );
    }
    ours.median()
}

/// The exponent by which our time grows with the size of the store.
fn growth(ours: &[(u32, Duration)]) {
    for pair in ours.windows(2) {
        if let [(small, short), (large, long)] = pair {
            let times = f64::from(*large) / f64::from(*small);
            let exponent = (long.as_secs_f64() / short.as_secs_f64()).log(times);
            println!("\ngrowth from {small} to {large} paths: exponent {exponent:.2}");
        }
    }
}
