//! Random stores of content-addressed derivations: what Nix keeps of their outputs is not deleted by name.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;

use super::number;
use super::world::{Dice, observe};
use crate::support::{Nix, by_hand, nixes, print_dead, run};

/// How many random stores there are without a word.
const STORES: u64 = 9;

const FEATURES: &str = "experimental-features = nix-command ca-derivations\n";

/// Derivations of which each needs some of those before it; most are content-addressed and have several outputs.
fn expression(dice: &mut Dice) -> (String, usize) {
    let count = 3 + dice.below(4);
    let mut text = String::from(
        "let make = name: ca: deps: derivation ({ inherit name deps; system = builtins.currentSystem; builder = \"/bin/sh\";
           outputs = [ \"out\" \"dev\" ];
           args = [ \"-c\" \"echo $name $deps > $out; echo dev $name > $dev\" ]; } // (if ca then {
           __contentAddressed = true; outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\"; } else { })); in rec {\n",
    );
    for n in 0..count {
        // What is not content-addressed and needs what is has no paths before it is built, either.
        let ca = !dice.one_in(4);
        let mut deps = String::new();
        for dep in (0..n).filter(|_| dice.one_in(2)).collect::<Vec<_>>() {
            let output = if dice.one_in(3) { ".dev" } else { "" };
            write!(deps, " d{dep}{output}").unwrap();
        }
        writeln!(text, "d{n} = make \"d{n}\" {ca} [{deps} ];").unwrap();
    }
    (text + "}", count)
}

/// Builds some, and keeps outputs of some and derivations of some.
fn store(nix: &Nix, seed: u64) -> Scratch {
    let mut dice = Dice(seed);
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let conf = scratch.base().join("etc/nix.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let derivations = !dice.one_in(3);
    fs::write(
        &conf,
        format!("{text}{FEATURES}keep-outputs = true\nkeep-derivations = {derivations}\n"),
    )
    .unwrap();
    let (text, count) = expression(&mut dice);
    let file = scratch.base().join("expression.nix");
    fs::write(&file, text).unwrap();
    let home = scratch.home();
    fs::write(home.join("something"), "").unwrap();
    for n in 0..count {
        let attribute = format!("d{n}");
        let link = home.join(format!("link-{n}"));
        let last = n + 1 == count;
        if last || dice.one_in(2) {
            by_hand(
                &scratch,
                "nix-build",
                &["--no-out-link", file.as_str(), "-A", &attribute],
            );
        }
        match dice.below(4) {
            0 if !last => {}
            1 | 2 => {
                let root = ["--add-root", link.as_str()];
                let args = [&[file.as_str(), "-A", &attribute][..], &root].concat();
                by_hand(&scratch, "nix-instantiate", &args);
            }
            _ => {
                let args = [file.as_str(), "-A", &attribute, "-o", link.as_str()];
                by_hand(&scratch, "nix-build", &args);
            }
        }
    }
    scratch
}

/// What our look holds for dead, by the end of its path, and what Nix does: that hangs on the order of the store
/// directory, and may be more.
fn dead(scratch: &Scratch) -> (BTreeSet<String>, BTreeSet<String>) {
    let (_, inspection) = observe(scratch);
    let ours = inspection.dead();
    let ours = ours.iter().map(|node| inspection.path(node)).collect();
    // Last, for it deletes (trap 45).
    let theirs = print_dead(scratch).unwrap();
    (
        ours,
        theirs.into_iter().map(Utf8PathBuf::into_string).collect(),
    )
}

/// Whether a path is a derivation or an output of one, and not what is built of a name of its own.
fn is_output(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.get(33..).is_some_and(|name| name.starts_with('d'))
}

/// `NIX_PRUNE_TEST_CA_STORES` says how many.
#[test]
fn what_nix_keeps_of_content_addressed_outputs_is_not_dead() {
    let nixes = nixes();
    let stores = number("NIX_PRUNE_TEST_CA_STORES", STORES);
    let (mut kept_more, mut any_dead) = (0, 0);
    for (seed, nix) in (9_000..9_000 + stores).zip(nixes.iter().cycle()) {
        let scratch = store(nix, seed);
        let (ours, theirs) = dead(&scratch);
        let only_ours: Vec<_> = ours.difference(&theirs).collect();
        assert_eq!(
            only_ours,
            Vec::<&String>::new(),
            "seed {seed}: {}",
            nix.version
        );
        any_dead += ours.len();
        for path in theirs.difference(&ours) {
            assert!(
                is_output(path),
                "seed {seed}: {}: only Nix says dead: {path}",
                nix.version
            );
            kept_more += 1;
        }
    }
    println!("{any_dead} dead; {kept_more} that only Nix holds for dead");
}

/// A chain of derivations of which the last one is wanted: its outputs and those of all before it are kept by each way to
/// collect that deletes by name.
#[test]
fn outputs_that_only_realisations_record_are_kept() {
    crate::support::with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let conf = scratch.base().join("etc/nix.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let text = format!("{text}{FEATURES}keep-outputs = true\n");
        fs::write(&conf, &text).unwrap();
        let file = scratch.base().join("expression.nix");
        let expression = "let make = name: deps: derivation { inherit name deps; system = builtins.currentSystem;
               builder = \"/bin/sh\"; outputs = [ \"out\" \"dev\" ]; __contentAddressed = true;
               outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\";
               args = [ \"-c\" \"echo $name $deps > $out; echo dev $name > $dev\" ]; };
             in rec { a = make \"a\" [ ]; b = make \"b\" [ a ]; c = make \"c\" [ b ]; }";
        fs::write(&file, expression).unwrap();
        let home = scratch.home();
        let (file, link) = (file.as_str(), home.join("result"));
        by_hand(
            &scratch,
            "nix-build",
            &[file, "-A", "c", "-o", link.as_str()],
        );
        let drv = home.join("drv");
        by_hand(
            &scratch,
            "nix-instantiate",
            &[file, "-A", "c", "--add-root", drv.as_str()],
        );
        scratch.add_path("dead-1.0", &[], 1_000).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(25));
        let devs = || {
            let names = scratch.store().as_path().read_dir_utf8().unwrap();
            let names = names.map(|e| e.unwrap().file_name().to_string());
            let mut names: Vec<String> = names.filter(|n| n.ends_with("-dev")).collect();
            names.sort_by_key(|name| name[33..].to_string());
            names
        };
        let before = devs();
        assert_eq!(before.len(), 3, "{before:?}");
        for method in ["selective", "auto"] {
            let ran = run(
                &scratch,
                &["run", "--yes", "--json", "--collect-method", method],
            );
            assert_eq!(ran.status, 0, "{} {}", ran.stdout, ran.stderr);
            assert_eq!(devs(), before, "{method}");
        }
        let names = scratch.store().as_path().read_dir_utf8().unwrap();
        let mut names = names.map(|e| e.unwrap().file_name().to_string());
        assert!(!names.any(|name| name.ends_with("dead-1.0")));
        // Without the flag they are nobody's.
        fs::write(
            &conf,
            text.replace("keep-outputs = true", "keep-outputs = false"),
        )
        .unwrap();
        let ran = run(
            &scratch,
            &["run", "--yes", "--json", "--collect-method", "selective"],
        );
        assert_eq!(ran.status, 0, "{} {}", ran.stdout, ran.stderr);
        assert_eq!(devs(), Vec::<String>::new());
    });
}
