//! Imported settings keep everything that the other tool keeps, as a real Nix shows on a copy.

use std::collections::BTreeSet;

use camino::Utf8Path;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::measure::{Span, Timestamp};

use super::{document, planned, write};
use crate::support::{Nix, by_hand, run, with_each_nix};

/// The ages of generations in days, the oldest first.
const AGES: [u32; 8] = [90, 61, 45, 30, 20, 9, 3, 1];

/// A system with these generations, which was rolled back by some.
fn system(nix: &Nix, now: Timestamp, back: usize) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for (n, age) in AGES.into_iter().enumerate() {
        let path = scratch.add_path(&format!("system-{n}"), &[], 100).unwrap();
        // Half a day off the whole days, so that the test may take its time.
        let made = now.before(Span::days(age)).before("12h".parse().unwrap());
        scratch.set_profile(&system, &path, made).unwrap();
    }
    if back > 0 {
        let number = (AGES.len() - back).to_string();
        let args = ["-p", system.as_str(), "--switch-generation", &number];
        by_hand(&scratch, "nix-env", &args);
    }
    scratch
}

fn numbers(profiles: &Utf8Path) -> BTreeSet<u64> {
    let names = profiles.read_dir_utf8().unwrap();
    let number = |name: &str| {
        let name = name.strip_prefix("system-")?;
        name.strip_suffix("-link")?.parse().ok()
    };
    names
        .filter_map(|name| number(name.unwrap().file_name()))
        .collect()
}

fn keeps_no_less(nix: &Nix, flags: &[&str], tool: &str, theirs: &[&str], back: usize) {
    let now = Timestamp::from(jiff::Timestamp::now());
    let (copy, ours) = (system(nix, now, back), system(nix, now, back));
    let profile = copy.state_dir().join("profiles/system");
    let in_place = |word: &&str| word.replace("PROFILE", profile.as_str());
    let theirs: Vec<String> = theirs.iter().map(in_place).collect();
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    by_hand(&copy, tool, &theirs);
    let kept = numbers(profile.parent().unwrap());
    let profile = ours.state_dir().join("profiles/system");
    let flags: Vec<String> = flags
        .iter()
        .map(|word| word.replace("PROFILE", profile.as_str()))
        .collect();
    let import = ["config", "import", "--for", "system"];
    let words = import.into_iter().chain(flags.iter().map(String::as_str));
    let taken = run(&ours, &words.collect::<Vec<_>>());
    assert_eq!(taken.status, 0, "{}", taken.stderr);
    let file = write(&ours, "taken.json", &taken.stdout);
    let ran = run(&ours, &["plan", "--json", "--config", file.as_str()]);
    let (dropped, _) = planned(&document(&ran));
    let all: BTreeSet<u64> = (1..=8).collect();
    let stays: BTreeSet<u64> = all.difference(&dropped).copied().collect();
    assert!(
        stays.is_superset(&kept),
        "{flags:?}: {stays:?}, Nix keeps {kept:?}"
    );
    // It is not that nothing ever goes.
    assert!(
        kept.len() < 8 && !dropped.is_empty() || back > 0,
        "{dropped:?}"
    );
}

#[test]
fn trap_3_what_nix_keeps_by_age_is_kept() {
    with_each_nix(|nix| {
        for days in ["2d", "30d"] {
            let theirs = ["--delete-older-than", days];
            let ours = ["nix-collect-garbage", "--delete-older-than", days];
            keeps_no_less(nix, &ours, "nix-collect-garbage", &theirs, 0);
        }
    });
}

#[test]
fn trap_2_what_nix_keeps_of_all_old_ones_is_kept() {
    with_each_nix(|nix| {
        for back in [0, 3] {
            let ours = ["nix-collect-garbage", "-d"];
            keeps_no_less(nix, &ours, "nix-collect-garbage", &["-d"], back);
        }
    });
}

#[test]
fn trap_1_what_nix_keeps_by_number_is_kept() {
    with_each_nix(|nix| {
        for (number, back) in [("3", 0), ("2", 2)] {
            let plus = format!("+{number}");
            let theirs = ["-p", "PROFILE", "--delete-generations", &plus];
            let ours = ["nh", "clean", "profile", "PROFILE", "--keep", number];
            keeps_no_less(nix, &ours, "nix-env", &theirs, back);
        }
    });
}
