//! Nix's own traps, from outside and with every Nix.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};

use camino::Utf8Path;

use super::{ends, fill, link, links, numbers, on_disk, profiles, store, store_of};
use crate::support::{
    by_hand, is_root, listing, program, run_as, run_command, script, skipped, with_each_nix,
};

#[test]
fn trap_02_and_03_nothing_newer_than_the_current_one_goes_and_the_one_of_the_cutoff_stays() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 9);
        by_hand(
            &scratch,
            "nix-env",
            &["-p", system.as_str(), "--switch-generation", "6"],
        );
        // Everything is older than a day: only the youngest of what is older was the active one then.
        ends(&scratch, &["run", "--keep-within=1d", "--yes"], 0);
        let left = numbers(&system);
        assert!([5, 6, 7, 8, 9].iter().all(|n| left.contains(n)), "{left:?}");
        assert_eq!(system.read_link_utf8().unwrap(), "system-6-link");
    });
}

#[test]
fn trap_04_times_that_do_not_rise_with_the_numbers_stop_nothing_and_lose_nothing() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 8);
        // As after a restored backup and a clock that jumped: one is new, one is of the future, one is equal.
        for (n, date) in [
            (2, "2026-09-01T00:00:00Z"),
            (3, "2199-01-01T00:00:00Z"),
            (4, "2026-01-05T00:00:00Z"),
            (6, "1970-01-01T00:00:00Z"),
        ] {
            let link = system.with_file_name(format!("system-{n}-link"));
            nix_prune::adapters::scratch::set_link_time(&link, crate::support::time(date)).unwrap();
        }
        let before = links(&system);
        ends(&scratch, &["run", "--keep-within=30d", "--yes"], 0);
        let left = numbers(&system);
        // 8 is current, 7 to fall back to and the highest of the cutoff, 2 the latest of it by time.
        assert_eq!(left, [2, 3, 7, 8]);
        ends(&scratch, &["undo"], 0);
        assert_eq!(links(&system), before);
    });
}

#[test]
fn trap_09_two_profiles_with_one_target_do_not_take_it_from_each_other() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let (one, other) = (
            profiles(&scratch).join("one"),
            profiles(&scratch).join("other"),
        );
        fill(&scratch, &one, 4);
        for n in [1, 2, 1, 2] {
            let path = scratch.path_named(&format!("profilesone-{n}")).unwrap();
            let date = crate::support::time("2026-02-01T00:00:00Z");
            scratch.set_profile(&other, &path, date).unwrap();
        }
        assert_eq!(
            numbers(&other).len(),
            4,
            "Nix compares with the newest only"
        );
        let selected = format!("--profile={one}");
        ends(
            &scratch,
            &[
                "run",
                &selected,
                "--keep-last=1",
                "--undo-window=0s",
                "--yes",
            ],
            0,
        );
        assert_eq!(numbers(&one), [4]);
        assert!(on_disk(&scratch, "profilesone-1") && on_disk(&scratch, "profilesone-2"));
        assert!(
            !on_disk(&scratch, "profilesone-3"),
            "nothing leads to it any more"
        );
    });
}

#[test]
fn trap_12_an_absolute_profile_link_loses_nothing_and_stops_nothing_else() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let (system, fine) = (
            profiles(&scratch).join("system"),
            profiles(&scratch).join("default"),
        );
        fill(&scratch, &system, 4);
        fill(&scratch, &fine, 4);
        scratch.add_path("dead", &[], 10).unwrap();
        fs::remove_file(&system).unwrap();
        symlink(system.with_file_name("system-4-link"), &system).unwrap();
        let ran = ends(&scratch, &["run", "--keep-last=1", "--yes"], 4);
        assert!(
            ran.stderr.contains("a profile was skipped"),
            "{}",
            ran.stderr
        );
        assert_eq!(numbers(&system), [1, 2, 3, 4]);
        assert_eq!(numbers(&fine), [4], "the others are thinned out");
        assert!(!on_disk(&scratch, "dead"));
    });
}

#[test]
fn trap_29_and_45_a_plan_asks_nix_for_its_settings_alone_and_a_collection_gets_no_options() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        fill(&scratch, &profiles(&scratch).join("system"), 4);
        let junk = scratch.store().as_path().join("junkfile");
        fs::write(&junk, "").unwrap();
        let bin = scratch.base().join("spies");
        let elsewhere = tempfile::tempdir().unwrap();
        let said = Utf8Path::from_path(elsewhere.path()).unwrap().join("said");
        fs::create_dir(&bin).unwrap();
        for tool in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
            let real = nix.bin.join(tool);
            let text = format!("echo {tool} \"$@\" >>'{said}'\nexec '{real}' \"$@\"");
            script(&bin.join(tool), &text);
        }
        let bin = format!("--nix-bin={bin}");
        let before = listing(scratch.base());
        for args in [
            ["plan", &bin],
            ["generations", &bin],
            ["roots", &bin],
            ["history", &bin],
        ] {
            ends(&scratch, &args, 0);
        }
        assert_eq!(listing(scratch.base()), before, "something was changed");
        // What a path's closure keeps hangs on Nix's settings; to tell them, Nix opens no store.
        for line in fs::read_to_string(&said).unwrap().lines() {
            assert!(
                line.ends_with(" config show")
                    || line.ends_with(" show-config")
                    || line == "nix --version",
                "{line}"
            );
        }
        ends(
            &scratch,
            &["run", &bin, "--keep-last=1", "--no-collect", "--yes"],
            0,
        );
        assert!(junk.exists());
        ends(&scratch, &["run", &bin, "--keep-last=1", "--yes"], 0);
        let said = fs::read_to_string(&said).unwrap();
        for line in said.lines() {
            assert!(
                !line.contains("--dry-run") && !line.contains("--print-"),
                "{line}"
            );
            assert!(!line.contains(" old") && !line.contains(" -d"), "{line}");
        }
        assert!(
            said.lines().any(|line| line == "nix-collect-garbage"),
            "{said}"
        );
    });
}

#[test]
fn trap_37_a_store_that_cannot_be_reached_costs_no_generation() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 5);
        for remote in [
            "daemon",
            "unix:///nowhere/socket",
            "ssh://nobody@localhost.invalid",
        ] {
            let mut command = program(&scratch);
            command
                .env("NIX_REMOTE", remote)
                .env("NIX_DAEMON_SOCKET_PATH", "/nowhere/socket")
                .args(["run", "--keep-last=1", "--yes", "--json"]);
            let ran = run_command(&mut command);
            assert_eq!(ran.status, 69, "{remote}: {}", ran.stderr);
            assert_eq!(
                numbers(&system),
                [1, 2, 3, 4, 5],
                "{remote}: {}",
                ran.stdout
            );
        }
    });
}

#[test]
fn trap_39_who_drops_systems_is_told_of_the_boot_menu() {
    let Some(scratch) = store() else { return };
    fill(&scratch, &profiles(&scratch).join("default"), 4);
    let plan = ends(&scratch, &["plan", "--keep-last=1"], 0);
    assert!(!plan.stdout.contains("boot menu"), "{}", plan.stdout);
    fill(&scratch, &profiles(&scratch).join("system"), 4);
    let plan = ends(&scratch, &["plan", "--keep-last=1"], 0);
    assert!(plan.stdout.contains("boot menu"), "{}", plan.stdout);
}

#[test]
fn trap_44_profiles_of_users_whom_nobody_knows_stay() {
    const NOBODY_KNOWS: u32 = 3_999_999_998;
    if !is_root() {
        return skipped("a profile of an unknown user, which takes root");
    }
    let Some(scratch) = store() else { return };
    let profile = profiles(&scratch).join("per-user/gone/profile");
    fill(&scratch, &profile, 4);
    give(profile.parent().unwrap(), NOBODY_KNOWS);
    let ran = ends(&scratch, &["run", "--keep-last=1", "--yes"], 0);
    assert_eq!(numbers(&profile), [1, 2, 3, 4], "{}", ran.stdout);
    assert!(
        ran.stdout.contains("not in the list of users"),
        "{}",
        ran.stdout
    );
}

#[test]
fn another_users_profile_is_nothing_that_an_ordinary_user_can_touch() {
    const USER: u32 = 54_323;
    if !is_root() {
        return skipped("an ordinary user beside root, which takes root");
    }
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let theirs = profiles(&scratch).join("per-user/other/profile");
        fill(&scratch, &theirs, 4);
        let before = listing(&scratch.state_dir());
        let records = scratch.base().join("own");
        fs::create_dir(&records).unwrap();
        give(&records, USER);
        let records = format!("--state-dir={records}");
        let selected = format!("--profile={theirs}");
        for args in [
            ["run", &records, "--keep-last=1", "--no-collect", "--yes"],
            ["run", &records, &selected, "--keep-last=1", "--yes"],
        ] {
            let ran = run_as(&scratch, USER, &args);
            assert!(
                !ran.stdout.contains("Removed 3 generations"),
                "{}",
                ran.stdout
            );
            assert_eq!(
                listing(&scratch.state_dir()),
                before,
                "{args:?}: {}",
                ran.stdout
            );
        }
        let pin = format!("{theirs}:2");
        let ran = run_as(&scratch, USER, &["pin", &records, &pin]);
        assert_eq!(ran.status, 77, "{}", ran.stderr);
    });
}

/// Gives a directory, and what is in it, to a user.
fn give(dir: &Utf8Path, uid: u32) {
    for entry in dir.read_dir_utf8().unwrap() {
        lchown(entry.unwrap().path(), Some(uid), Some(uid)).unwrap();
    }
    chown(dir, Some(uid), Some(uid)).unwrap();
}

#[test]
fn a_link_with_a_number_beyond_all_numbers_is_left_alone() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 4);
    for odd in [
        "system-99999999999-link",
        "system-007-link",
        "system-1-link~",
    ] {
        link(
            &system.with_file_name(odd),
            "/nowhere",
            "2020-01-01T00:00:00Z",
        );
    }
    ends(&scratch, &["run", "--keep-last=1", "--yes"], 0);
    let left: Vec<String> = links(&system).into_keys().collect();
    assert_eq!(left.len(), 1 + 2 + 3, "{left:?}");
}
