//! Roots that are away, forgotten, or not what they seem.

use std::fs;
use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::Scratch;

use super::{ends, fill, home_profiles, json, link, numbers, on_disk, profiles, store, store_of};
use crate::support::{by_hand, time, with_each_nix};

fn auto(scratch: &Scratch) -> Utf8PathBuf {
    scratch.state_dir().join("gcroots/auto")
}

/// Removes the entries that lead to links below a directory, as `rm gcroots/auto/*` does.
fn forget(scratch: &Scratch, below: &Utf8Path) {
    let mut removed = 0;
    for entry in auto(scratch).read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        if entry.path().read_link_utf8().unwrap().starts_with(below) {
            fs::remove_file(entry.path()).unwrap();
            removed += 1;
        }
    }
    assert!(removed > 0, "there was nothing to forget below {below}");
}

#[test]
fn trap_14_a_home_whose_entries_are_gone_stops_the_collection() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let profile = home_profiles(&scratch).join("home-manager");
        fill(&scratch, &profile, 3);
        scratch.add_path("dead", &[], 10).unwrap();
        ends(&scratch, &["run", "--keep-last=3", "--yes"], 0);
        assert!(
            !on_disk(&scratch, "dead"),
            "with its entries it is safe, and is collected beside"
        );
        forget(&scratch, &home_profiles(&scratch));
        let ran = ends(&scratch, &["run", "--keep-last=3", "--yes"], 4);
        for n in 1..=3 {
            assert!(
                on_disk(&scratch, &format!("profileshomemanager-{n}")),
                "{n} was collected"
            );
        }
        assert!(ran.stderr.contains("--add-root"), "{}", ran.stderr);
        // What it says helps.
        for n in 1..=3 {
            let link = profile.with_file_name(format!("home-manager-{n}-link"));
            let target = link.read_link_utf8().unwrap();
            let args = ["--realise", target.as_str(), "--add-root", link.as_str()];
            by_hand(&scratch, "nix-store", &args);
        }
        ends(&scratch, &["run", "--keep-last=3", "--yes"], 0);
    });
}

#[test]
fn trap_14_a_hold_whose_entry_is_gone_is_mended_before_anything_is_collected() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 5);
        ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
        forget(&scratch, &scratch.base().join("state"));
        let held = json(&ends(&scratch, &["hold", "list", "--json"], 0));
        let intact = |held: &serde_json::Value| {
            let holds = held["holds"].as_array().unwrap();
            holds.iter().filter(|hold| hold["intact"] == true).count()
        };
        assert_eq!(intact(&held), 0, "nothing keeps them: {held}");
        let plan = ends(&scratch, &["plan", "--keep-last=2"], 0);
        assert!(plan.stdout.contains("hold"), "{}", plan.stdout);
        ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
        let held = json(&ends(&scratch, &["hold", "list", "--json"], 0));
        assert_eq!(intact(&held), 3, "{held}");
        by_hand(&scratch, "nix-collect-garbage", &[]);
        ends(&scratch, &["undo"], 0);
        assert_eq!(numbers(&system), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn trap_17_a_home_that_is_away_stops_the_collection() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        fill(&scratch, &home_profiles(&scratch).join("profile"), 2);
        let work = scratch.home().join("work");
        fs::create_dir(&work).unwrap();
        let path = scratch.add_path("built", &[], 10).unwrap();
        scratch.add_root(&work.join("result"), &path).unwrap();
        // Not mounted: nothing is left, or an empty directory of somebody else's.
        let elsewhere = scratch.base().join("elsewhere");
        for empty in [true, false] {
            fs::rename(scratch.home(), &elsewhere).unwrap();
            if empty {
                fs::create_dir(scratch.home()).unwrap();
                if std::os::unix::fs::chown(scratch.home(), Some(4242), None).is_err() {
                    fs::remove_dir(scratch.home()).unwrap();
                }
            }
            let ran = ends(&scratch, &["run", "--keep-last=1", "--yes"], 4);
            assert!(
                ran.stderr.contains("no garbage was collected"),
                "{}",
                ran.stderr
            );
            assert!(on_disk(&scratch, "built") && on_disk(&scratch, "profilesprofile-2"));
            let _ = fs::remove_dir_all(scratch.home());
            fs::rename(&elsewhere, scratch.home()).unwrap();
        }
        ends(&scratch, &["run", "--keep-last=1", "--yes"], 0);
        assert!(on_disk(&scratch, "built") && on_disk(&scratch, "profilesprofile-2"));
    });
}

#[test]
fn trap_17_a_directory_that_was_deleted_stops_nothing_and_the_plan_says_what_nix_does() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let work = scratch.home().join("work");
        fs::create_dir(&work).unwrap();
        let path = scratch.add_path("built", &[], 10).unwrap();
        scratch.add_root(&work.join("result"), &path).unwrap();
        fs::remove_dir_all(&work).unwrap();
        fs::write(scratch.home().join("file"), "").unwrap();
        let plan = ends(&scratch, &["plan"], 0);
        assert!(
            plan.stdout.contains("Nix's collector removes"),
            "{}",
            plan.stdout
        );
        let plan = ends(&scratch, &["plan", "--no-collect"], 0);
        assert!(
            !plan.stdout.contains("Nix's collector removes"),
            "{}",
            plan.stdout
        );
        ends(&scratch, &["run", "--yes"], 0);
        assert!(!on_disk(&scratch, "built"));
    });
}

#[test]
fn trap_18_and_23_roots_that_are_no_entries_of_links_stay_and_keep() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        for name in ["straight", "file", "home"] {
            scratch.add_path(name, &[], 10).unwrap();
        }
        let absolute = |name: &str| {
            let path = scratch.path_named(name).unwrap();
            path.to_absolute_path(scratch.store())
        };
        by_hand(
            &scratch,
            "nix-store",
            &["--check-validity", absolute("home").as_str()],
        );
        let home = scratch
            .home()
            .join(".local/state/home-manager/gcroots/current-home");
        link(&home, absolute("home"), "2001-01-01T00:00:00Z");
        fs::create_dir_all(auto(&scratch)).unwrap();
        symlink(&home, auto(&scratch).join("a")).unwrap();
        symlink(absolute("straight"), auto(&scratch).join("b")).unwrap();
        let file = absolute("file");
        fs::write(
            scratch
                .state_dir()
                .join("gcroots")
                .join(file.file_name().unwrap()),
            "",
        )
        .unwrap();
        // A disk that is not there is named by a link of an administrator's, not by Nix.
        symlink(
            "/nowhere/mnt/store",
            scratch.state_dir().join("gcroots/mnt"),
        )
        .unwrap();
        ends(&scratch, &["run", "--yes"], 0);
        for name in ["straight", "file", "home"] {
            assert!(on_disk(&scratch, name), "{name}");
        }
        assert!(scratch.state_dir().join("gcroots/mnt").is_symlink());
        assert!(home.is_symlink());
    });
}

#[test]
fn a_generation_that_was_current_for_a_second_profile_is_not_pulled_from_under_it() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let one = profiles(&scratch).join("one");
        fill(&scratch, &one, 5);
        // A second profile with the same current target, made by Nix.
        let path = scratch.path_named("profilesone-2").unwrap();
        let two = profiles(&scratch).join("two");
        scratch
            .set_profile(&two, &path, time("2026-01-01T00:00:00Z"))
            .unwrap();
        ends(
            &scratch,
            &["run", "--keep-last=1", "--undo-window=0s", "--yes"],
            0,
        );
        assert!(two.exists(), "it leads nowhere now");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_root_that_leads_to_a_secret_file_is_neither_opened_nor_removed() {
    use nix::errno::Errno;
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 4);
    let secret = scratch.base().join("secret");
    fs::write(&secret, "root:$6$secret").unwrap();
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    watch
        .add_watch(secret.as_std_path(), AddWatchFlags::IN_OPEN)
        .unwrap();
    fs::create_dir_all(auto(&scratch)).unwrap();
    let device = Utf8Path::new("/dev/tty");
    for (name, target) in [("a", secret.as_path()), ("b", device)] {
        symlink(target, auto(&scratch).join(name)).unwrap();
        symlink(target, profiles(&scratch).join(format!("{name}-1-link"))).unwrap();
        symlink(format!("{name}-1-link"), profiles(&scratch).join(name)).unwrap();
    }
    for args in [
        &["roots", "--json"][..],
        &["generations", "--json"],
        &["plan", "--keep-last=1"],
        &["run", "--keep-last=1", "--yes"],
        &["undo"],
    ] {
        let ran = crate::support::run(&scratch, args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!([0, 4].contains(&ran.status), "{args:?}: {said}");
        assert!(!said.contains("$6$"), "{args:?}: {said}");
    }
    let opened = |watch: &Inotify| watch.read_events().map(|events| events.len());
    assert_eq!(opened(&watch), Err(Errno::EAGAIN), "it was opened");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "root:$6$secret");
    assert_eq!(opened(&watch), Ok(1), "the watch works");
    for name in ["a", "b"] {
        assert!(
            profiles(&scratch)
                .join(format!("{name}-1-link"))
                .is_symlink()
        );
    }
}

#[test]
fn the_word_nix_collect_garbage_selects_what_that_command_takes_in() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let below_state =
            ["direct", "extra/deep/p", "per-user/root/q"].map(|p| profiles(&scratch).join(p));
        let home = scratch.home();
        let elsewhere = ["work/blah", "work/sub/blub", "other/not"].map(|p| home.join(p));
        let own = ["own", "nested/own"].map(|p| home_profiles(&scratch).join(p));
        let all: Vec<Utf8PathBuf> = below_state
            .iter()
            .chain(&elsewhere)
            .chain(&own)
            .cloned()
            .collect();
        for profile in &all {
            fs::create_dir_all(profile.parent().unwrap()).unwrap();
            fill(&scratch, profile, 3);
        }
        let _ = fs::remove_file(home.join(".nix-profile"));
        symlink(&elsewhere[0], home.join(".nix-profile")).unwrap();
        let args = [
            "plan",
            "--json",
            "--no-collect",
            "--profile=nix-collect-garbage",
            "--keep-last=1",
        ];
        let plan = json(&ends(&scratch, &args, 0));
        let items = plan["items"].as_array().unwrap();
        let removes = |profile: &Utf8Path| {
            let of = |item: &&serde_json::Value| {
                item["subject"]["profile"] == profile.as_str() && item["verdict"] == "remove"
            };
            items.iter().filter(of).count()
        };
        let ours: Vec<usize> = all.iter().map(|profile| removes(profile)).collect();
        by_hand(&scratch, "nix-collect-garbage", &["-d"]);
        // Nix before 2.14 looks below the state directory alone.
        let old = nix.version.contains(" 2.8");
        for (profile, ours) in all.iter().zip(ours) {
            if !old || profile.starts_with(profiles(&scratch)) {
                assert_eq!(3 - numbers(profile).len(), ours, "{profile}");
            }
        }
        assert_eq!(removes(&elsewhere[2]), 0);
    });
}
