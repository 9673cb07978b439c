//! Dropping generations and putting them back.

use std::fs;
use std::os::unix::fs::symlink;

use nix_prune::adapters::scratch::{Scratch, set_link_time};
use nix_prune::domain::plan::{GenerationFacts, HoldFacts};
use nix_prune::domain::profile::GenerationNumber;
use nix_prune::domain::snapshot::Held;
use nix_prune::ports::{LinkState, NixActions, PerformError};

use super::{Fixture, assert_stale, created};
use crate::support::{by_hand, listing, time, with_each_nix};

fn round_trip(scratch: Scratch) {
    let f = Fixture::new(scratch);
    let nix = f.scratch.nix().unwrap();
    let facts = f.facts(1);
    let hold = f.hold(0);
    let (before, on_disk) = (listing(f.profile.dir()), facts.target.clone());

    nix.hold(&facts.store_path, &hold).unwrap();
    assert_eq!(nix.see_generation(&facts).unwrap(), LinkState::Unchanged);
    nix.remove_generation(&facts).unwrap();
    assert_eq!(nix.see_generation(&facts).unwrap(), LinkState::Gone);
    assert!(f.link(1).symlink_metadata().is_err());
    assert_eq!(
        nix.see_generation(&f.facts(2)).unwrap(),
        LinkState::Unchanged
    );

    // The hold keeps it, and what it refers to, through a collection.
    by_hand(&f.scratch, "nix-collect-garbage", &[]);
    assert!(on_disk.exists());

    nix.restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh)
        .unwrap();
    assert_eq!(nix.see_generation(&facts).unwrap(), LinkState::Unchanged);
    let link = |listing: &std::collections::BTreeMap<String, String>, name: &str| {
        // Everything but the time of change, which is now.
        let words: Vec<_> = listing[name].split(' ').map(str::to_string).collect();
        [&words[..4], &words[5..]].concat()
    };
    let after = listing(f.profile.dir());
    assert_eq!(link(&after, "demo-1-link"), link(&before, "demo-1-link"));
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>(),
        "no lock is left behind"
    );

    // It is a root again by itself (trap 14): the hold may go.
    nix.release_hold(&hold_facts(&f, &facts)).unwrap();
    by_hand(&f.scratch, "nix-collect-garbage", &[]);
    assert!(on_disk.exists());
    by_hand(&f.scratch, "nix-store", &["--verify", "--check-contents"]);

    // Nix knows it: it can be listed, made current and left again.
    let profile = f.profile.to_path();
    let listed = by_hand(
        &f.scratch,
        "nix-env",
        &["-p", profile.as_str(), "--list-generations"],
    );
    assert!(
        listed.stdout.contains("   1   2026-01-03 04:05:06"),
        "{}",
        listed.stdout
    );
    by_hand(
        &f.scratch,
        "nix-env",
        &["-p", profile.as_str(), "--switch-generation", "1"],
    );
    by_hand(
        &f.scratch,
        "nix-env",
        &["-p", profile.as_str(), "--switch-generation", "3"],
    );

    // Without generation and hold it is garbage, and what the others need is not.
    nix.remove_generation(&facts).unwrap();
    let collected = nix.collect().unwrap();
    assert!(!on_disk.exists());
    assert_eq!(collected.paths, Some(1));
    assert!(f.facts(2).target.exists());
}

fn hold_facts(f: &Fixture, facts: &GenerationFacts) -> HoldFacts {
    HoldFacts {
        run: "20261122T221644Z".to_string().try_into().unwrap(),
        link: f.hold(0),
        store_path: facts.store_path.clone(),
        held: Held::Generation {
            profile: facts.profile.clone(),
            number: facts.number,
        },
        until: time("2026-12-01T00:00:00Z"),
    }
}

#[test]
fn what_is_dropped_comes_back_as_it_was() {
    with_each_nix(|nix| round_trip(Scratch::new(Some(&nix.bin)).unwrap()));
}

#[test]
fn what_is_dropped_comes_back_as_it_was_below_a_directory_with_a_space() {
    with_each_nix(|nix| round_trip(Scratch::with_space(Some(&nix.bin)).unwrap()));
}

/// Something that changes between plan and deed, and a word of why the deed is refused then.
type Change = (&'static str, fn(&Fixture, &mut GenerationFacts));

#[test]
fn trap_05_and_12_nothing_is_dropped_that_is_not_as_it_was_planned() {
    let changes: &[Change] = &[
        ("is the current one", |_, facts| {
            facts.current = facts.number;
        }),
        ("is not demo-2-link", |_, facts| {
            facts.current = GenerationNumber(2);
        }),
        ("no longer exists", |_, facts| {
            facts.number = GenerationNumber(99);
        }),
        ("has changed since the plan", |f, facts| {
            facts.target = f.facts(2).target;
        }),
        ("has changed since the plan", |_, facts| {
            facts.created = created(2);
        }),
        ("has changed since the plan", |f, _| {
            // A time that differs in the last nanosecond.
            set_link_time(&f.link(1), time("2026-01-03T04:05:06.123456788Z")).unwrap();
        }),
        ("has changed since the plan", |f, _| {
            fs::remove_file(f.link(1)).unwrap();
            symlink(f.facts(2).target, f.link(1)).unwrap();
            set_link_time(&f.link(1), created(1)).unwrap();
        }),
        ("has changed since the plan", |f, _| {
            fs::remove_file(f.link(1)).unwrap();
            fs::write(f.link(1), "").unwrap();
        }),
        // An absolute link: Nix would not know which generation is current, and refuse none.
        ("is not demo-3-link", |f, _| {
            fs::remove_file(f.profile.to_path()).unwrap();
            symlink(f.link(3), f.profile.to_path()).unwrap();
        }),
        ("is not demo-3-link", |f, _| {
            fs::remove_file(f.profile.to_path()).unwrap();
        }),
        ("current generation 3 does not exist", |f, _| {
            fs::remove_file(f.link(3)).unwrap();
        }),
        ("has no directory any more", |f, _| {
            let away = f.scratch.base().join("away");
            fs::rename(f.profile.dir(), away).unwrap();
        }),
    ];
    with_each_nix(|nix| {
        for (n, (words, change)) in changes.iter().enumerate() {
            let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
            let mut facts = f.facts(1);
            change(&f, &mut facts);
            let before = listing(&f.scratch.base().join("."));
            let cli = f.scratch.nix().unwrap();
            assert_stale(cli.remove_generation(&facts), words);
            assert_eq!(listing(&f.scratch.base().join(".")), before, "change {n}");
        }
    });
}

#[test]
fn a_profile_directory_that_became_a_link_is_left_alone() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let away = f.scratch.base().join("away");
        fs::rename(f.profile.dir(), &away).unwrap();
        symlink(&away, f.profile.dir()).unwrap();
        let cli = f.scratch.nix().unwrap();
        let before = listing(&away);
        assert!(matches!(
            cli.remove_generation(&f.facts(1)),
            Err(PerformError::File { .. })
        ));
        assert!(matches!(
            cli.see_generation(&f.facts(1)),
            Err(PerformError::File { .. })
        ));
        assert!(matches!(
            cli.restore_generation(&f.facts(1), nix_prune::ports::RestoreMode::Fresh),
            Err(PerformError::File { .. })
        ));
        assert_eq!(listing(&away), before);
    });
}

#[test]
fn what_stands_under_a_number_is_told_apart() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let sight = || cli.see_generation(&f.facts(1)).unwrap();
        assert_eq!(sight(), LinkState::Unchanged);
        set_link_time(&f.link(1), created(2)).unwrap();
        assert_eq!(sight(), LinkState::Unfinished);
        fs::remove_file(f.link(1)).unwrap();
        assert_eq!(sight(), LinkState::Gone);
        fs::create_dir(f.link(1)).unwrap();
        assert_eq!(sight(), LinkState::Different);
        // A directory that is away tells nothing.
        fs::rename(f.profile.dir(), f.scratch.base().join("away")).unwrap();
        assert_stale(cli.see_generation(&f.facts(1)), "has no directory any more");
    });
}

#[test]
fn nothing_is_put_back_where_something_is_or_from_what_is_gone() {
    let changes: &[Change] = &[
        ("its name is taken", |f, _| {
            symlink("x", f.link(1)).unwrap();
        }),
        ("its name is taken", |f, facts| {
            // Its very own link: whoever put it back, it was not this call.
            symlink(&facts.target, f.link(1)).unwrap();
        }),
        ("its name is taken", |f, _| {
            fs::write(f.link(1), "").unwrap();
        }),
        ("its name is taken", |f, _| {
            fs::create_dir(f.link(1)).unwrap();
        }),
        ("its store path is gone", |f, _| {
            by_hand(&f.scratch, "nix-collect-garbage", &[]);
        }),
        ("points to another store", |f, facts| {
            facts.target = f.facts(2).target;
        }),
        ("points to a derivation", |f, facts| {
            facts.store_path = f.derivation();
            facts.target = facts.store_path.to_absolute_path(f.scratch.store());
        }),
        ("has no directory any more", |f, _| {
            fs::rename(f.profile.dir(), f.scratch.base().join("away")).unwrap();
        }),
    ];
    with_each_nix(|nix| {
        for (words, change) in changes {
            let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
            let cli = f.scratch.nix().unwrap();
            let mut facts = f.facts(1);
            cli.remove_generation(&facts).unwrap();
            change(&f, &mut facts);
            let before = listing(&f.scratch.base().join("."));
            assert_stale(
                cli.restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh),
                words,
            );
            let mut after = listing(&f.scratch.base().join("."));
            // The profile's lock came and went, which changes the times of its directory and nothing else.
            let dir = "profiles".to_string();
            after.extend(before.get(&dir).map(|entry| (dir, entry.clone())));
            assert_eq!(after, before, "{words}");
        }
    });
}

#[test]
fn a_path_that_is_on_disk_but_not_valid_is_not_put_back() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let facts = f.facts(1);
        cli.remove_generation(&facts).unwrap();
        by_hand(&f.scratch, "nix-collect-garbage", &[]);
        fs::write(&facts.target, "an impostor").unwrap();
        let error = cli
            .restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh)
            .unwrap_err();
        assert!(matches!(error, PerformError::Nix { .. }), "{error:?}");
        assert_eq!(cli.see_generation(&facts).unwrap(), LinkState::Gone);
        assert!(cli.hold(&facts.store_path, &f.hold(0)).is_err());
    });
}

#[test]
fn nothing_is_put_back_while_another_nix_holds_the_profile() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let facts = f.facts(1);
        cli.remove_generation(&facts).unwrap();
        let lock = fs::File::create(f.profile.dir().join("demo.lock")).unwrap();
        let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
        std::thread::scope(|scope| {
            let restored = scope
                .spawn(|| cli.restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh));
            std::thread::sleep(std::time::Duration::from_millis(300));
            // It waits, as Nix would.
            assert!(!restored.is_finished());
            assert!(f.link(1).symlink_metadata().is_err());
            drop(lock);
            restored.join().unwrap().unwrap();
        });
        assert_eq!(cli.see_generation(&facts).unwrap(), LinkState::Unchanged);
    });
}

#[test]
fn trap_07_names_with_dashes_belong_to_their_own_profile() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let other = f.scratch.base().join("profiles/demo-1");
        for number in 1..=2 {
            let path = f.scratch.add_path(&format!("o-{number}"), &[], 10).unwrap();
            f.scratch
                .set_profile(&other, &path, created(number))
                .unwrap();
        }
        let cli = f.scratch.nix().unwrap();
        cli.remove_generation(&f.facts(1)).unwrap();
        for name in ["demo-1", "demo-1-1-link", "demo-1-2-link", "demo-2-link"] {
            let link = f.profile.dir().join(name);
            assert!(link.symlink_metadata().is_ok(), "{name}");
        }
    });
}

#[test]
fn a_newer_generation_than_the_current_one_can_go_and_come_back() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let profile = f.profile.to_path();
        by_hand(
            &f.scratch,
            "nix-env",
            &["-p", profile.as_str(), "--switch-generation", "1"],
        );
        let cli = f.scratch.nix().unwrap();
        let facts = GenerationFacts {
            current: GenerationNumber(1),
            ..f.facts(3)
        };
        cli.hold(&facts.store_path, &f.hold(0)).unwrap();
        cli.remove_generation(&facts).unwrap();
        cli.restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh)
            .unwrap();
        assert_eq!(cli.see_generation(&facts).unwrap(), LinkState::Unchanged);
        assert_eq!(profile.read_link_utf8().unwrap(), "demo-1-link");
    });
}
