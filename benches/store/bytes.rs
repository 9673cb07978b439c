//! Exact bytes on disk, against `du` over the same paths.

use std::fs;
use std::process::Command;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use nix_prune::adapters::disk::Meter;
use nix_prune::ports::Interrupt;

use super::Extent;
use super::collect::Pristine;
use super::measure::{self, alternate};
use super::stores::{Files, bins};

struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

/// Measures every path of a store that has whole trees.
pub(crate) fn run(extent: Extent) {
    let (name, size) = match extent {
        Extent::Smoke => ("collect-tiny", 2_000),
        Extent::Quick => ("collect-small", 10_000),
        Extent::Full => ("collect", 100_000),
    };
    let Some(bin) = bins().pop() else { return };
    let store = &Pristine::make(name, &bin, size, Files::Trees)
        .kept
        .join("store");
    let entries = fs::read_dir(store).unwrap();
    let names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".links")
        .collect();
    let list = store.with_file_name("du-list");
    let paths: Vec<String> = names
        .iter()
        .map(|name| format!("{}/{name}", store.display()))
        .collect();
    let text = paths.join("\0");
    fs::write(&list, text).unwrap();
    let ours = |threads: usize| -> Duration {
        let begun = Instant::now();
        let seen = AtomicU64::new(0);
        let meter = Meter::new(Utf8Path::from_path(store).unwrap(), &Never, &seen);
        std::hint::black_box(meter.with_threads(threads).measure(&names).unwrap());
        begun.elapsed()
    };
    let mut du = || {
        let mut command = Command::new("du");
        command
            .arg("-sc")
            .arg(format!("--files0-from={}", list.display()));
        measure::command(&mut command)
    };
    let [one, two, du] = alternate(extent.rounds(), [&mut || ours(1), &mut || ours(2), &mut du]);
    println!("\nexact bytes of {} paths, whole trees:", names.len());
    println!("  du -s                                 {du}");
    println!("  ours, one thread                      {one}");
    println!(
        "    ratio to du                         {:.2}",
        one.over(&du)
    );
    println!("  ours, two threads                     {two}");
    println!(
        "    ratio to du                         {:.2}",
        two.over(&du)
    );
}
