//! What other cleaners did to their users: each a test that a program which does the same does not pass.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;

use super::{ends, fill, json, link, links, numbers, on_disk, profiles, store, store_of};
use crate::support::{by_hand, listing, program, run, run_command, with_each_nix};

/// What counts of a machine: all but our own records.
fn world(scratch: &Scratch) -> (BTreeMap<String, String>, usize) {
    let store = scratch.store().as_path().read_dir_utf8().unwrap().count();
    (listing(&scratch.state_dir()), store)
}

/// Five systems, and something dead.
fn five() -> Option<Scratch> {
    let scratch = store()?;
    fill(&scratch, &profiles(&scratch).join("system"), 5);
    scratch.add_path("dead", &[], 10).unwrap();
    Some(scratch)
}

#[rstest]
#[case::no_rule("{}")]
#[case::nothing(r#"{ "last": 0 }"#)]
#[case::no_days(r#"{ "daily": 0, "weekly": 0 }"#)]
#[case::no_time(r#"{ "within": "0s" }"#)]
#[case::null(r#"{ "last": null }"#)]
fn accident_an_empty_policy_is_an_error_and_not_an_order_to_drop_everything(#[case] keep: &str) {
    let Some(scratch) = five() else { return };
    let config = scratch.base().join("settings.json");
    let text = format!(
        r#"{{ "version": 2, "jobs": {{ "all": {{ "operations":
            {{ "generations": {{ "profiles": ["system"], "keep": {keep} }}, "collect": {{}} }} }} }} }}"#
    );
    fs::write(&config, text).unwrap();
    let before = world(&scratch);
    let config = format!("--config={config}");
    for command in ["plan", "run"] {
        let yes = if command == "run" { "--yes" } else { "-v" };
        let ran = run(&scratch, &[command, "all", &config, yes]);
        assert_eq!(ran.status, 78, "{keep}: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(world(&scratch), before, "{keep}");
}

#[rstest]
#[case(&["run", "--dry-run", "--yes", "--keep-last=1"])]
#[case(&["run", "--dryrun", "--yes", "--keep-last=1"])]
#[case(&["run", "--dry_run", "--yes", "--keep-last=1"])]
#[case(&["run", "--dry-run=true", "--yes", "--keep-last=1"])]
#[case(&["run", "-n", "--yes", "--keep-last=1"])]
#[case(&["run", "--yes", "--keep-last=1", "--", "--dry-run"])]
#[case(&["--dry-run", "run", "--yes", "--keep-last=1"])]
#[case(&["run", "--yes", "--keep-lsat=3"])]
#[case(&["run", "--yes", "--keep-last=-1"])]
#[case(&["run", "--yes", "--keep-last=0"])]
#[case(&["run", "--yes", "--keep-within=0d"])]
#[case(&["undo", "--dryrun"])]
fn accident_a_mistyped_dry_run_does_nothing(#[case] args: &[&str]) {
    let Some(scratch) = five() else { return };
    ends(
        &scratch,
        &["run", "--keep-last=4", "--no-collect", "--yes"],
        0,
    );
    let before = world(&scratch);
    let ran = run(&scratch, args);
    assert!(
        [0, 2, 78].contains(&ran.status),
        "{args:?}: {}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(world(&scratch), before, "{args:?}");
    // Rightly written, it shows the plan.
    assert_eq!(ran.stdout.is_empty(), ran.status != 0, "{args:?}");
}

#[test]
fn accident_a_slash_behind_the_store_directory_changes_nothing() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 4);
        scratch.add_path("dead", &[], 10).unwrap();
        let planned = |store: &str| {
            let mut command = program(&scratch);
            command.env("NIX_STORE_DIR", store);
            command.args(["plan", "--keep-last=2", "--json"]);
            let mut plan = json(&run_command(&mut command));
            plan["takenAt"].take();
            plan["prediction"].take();
            plan
        };
        let store = scratch.store().as_path().to_string();
        let plain = planned(&store);
        let before = links(&system);
        for suffix in ["/", "//", "/."] {
            let store = format!("{store}{suffix}");
            let mut command = program(&scratch);
            command.env("NIX_STORE_DIR", &store);
            command.args(["run", "--keep-last=2", "--yes"]);
            let ran = run_command(&mut command);
            // It may be refused, but never be taken for another store in which nothing is alive.
            if ran.status == 0 {
                assert_eq!(numbers(&system), [3, 4], "{store}: {}", ran.stdout);
                ends(&scratch, &["undo"], 0);
            }
            assert_eq!(
                links(&system),
                before,
                "{store}: {}{}",
                ran.stdout,
                ran.stderr
            );
            for n in 1..=4 {
                assert!(on_disk(&scratch, &format!("profilessystem-{n}")), "{store}");
            }
        }
        assert_eq!(planned(&format!("{store}/"))["items"], plain["items"]);
    });
}

#[test]
fn trap_38_without_links_in_run_the_current_system_and_one_to_fall_back_to_stay() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 5);
        // Entries of another machine whose links are not to be seen from in here, as in a container.
        let auto = scratch.state_dir().join("gcroots/auto");
        fs::create_dir_all(&auto).unwrap();
        symlink("/host/home/somebody/result", auto.join("theirs")).unwrap();
        let settings = r#"{ "version": 2, "jobs": { "all": { "operations": {
            "generations": { "profiles": ["system"], "keep": { "last": 1 } },
            "roots": { "dangling": true } } } } }"#;
        let config = scratch.base().join("settings.json");
        fs::write(&config, settings).unwrap();
        ends(
            &scratch,
            &["run", "all", &format!("--config={config}"), "--yes"],
            0,
        );
        assert_eq!(numbers(&system), [4, 5]);
        assert!(
            auto.join("theirs").is_symlink(),
            "nobody knows that it is gone"
        );
        by_hand(&scratch, "nix-store", &["--verify"]);
    });
}

#[rstest]
#[case::two_words_in_one("--keep-last 2")]
#[case::two_options_in_one("--keep-last=2 --no-collect")]
#[case::a_command("--keep-last=2; touch pwned")]
#[case::a_substitution("--keep-last=$(touch pwned)")]
#[case::a_profile("--profile=`touch pwned`")]
fn trap_42_an_option_is_one_word_and_no_shell_reads_it(#[case] option: &str) {
    let Some(scratch) = five() else { return };
    let before = world(&scratch);
    let ran = run(&scratch, &["run", option, "--yes"]);
    assert_eq!(ran.status, 2, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(world(&scratch), before);
    assert!(!scratch.base().join("pwned").exists());
}

#[test]
fn trap_42_what_settings_say_is_read_by_no_shell() {
    let Some(scratch) = five() else { return };
    let profile = profiles(&scratch).join("per-user/x/$(touch pwned);`touch pwned`");
    fill(&scratch, &profile, 3);
    let config = scratch.base().join("settings.json");
    let keep = r#""keep": { "last": 1 }"#;
    let text = format!(
        r#"{{ "version": 2, "jobs": {{ "all": {{ "description": "$(touch pwned)", "operations":
            {{ "generations": {{ "profiles": ["{profile}"], {keep} }}, "collect": {{}} }} }} }} }}"#
    );
    fs::write(&config, text).unwrap();
    ends(
        &scratch,
        &["run", "all", &format!("--config={config}"), "--yes"],
        0,
    );
    assert_eq!(numbers(&profile), [3]);
    ends(&scratch, &["undo"], 0);
    assert_eq!(numbers(&profile), [1, 2, 3]);
    let found = walk(scratch.base());
    assert!(!found.iter().any(|name| name == "pwned"), "{found:?}");
}

/// The last part of the name of everything below a directory.
fn walk(dir: &camino::Utf8Path) -> Vec<String> {
    let names = listing(dir).into_keys();
    names
        .filter_map(|path| camino::Utf8Path::new(&path).file_name().map(str::to_string))
        .collect()
}

#[test]
fn accident_links_below_run_home_manager_and_every_current_generation_stay() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let all = ["system", "default", "per-user/somebody/home-manager"];
        let all = all.map(|name| profiles(&scratch).join(name));
        for profile in &all {
            fill(&scratch, profile, 4);
            let name = profile.file_name().unwrap();
            by_hand(
                &scratch,
                "nix-env",
                &["-p", profile.as_str(), "--switch-generation", "2"],
            );
            // As the links in /run and of a home: roots that lead to what is not the newest.
            let first = profile.with_file_name(format!("{name}-1-link"));
            let target = first.read_link_utf8().unwrap();
            let root = scratch.state_dir().join(format!("gcroots/current-{name}"));
            link(&root, &target, "2001-01-01T00:00:00Z");
        }
        let args = ["run", "--keep-last=1", "--undo-window=0s", "--yes"];
        ends(&scratch, &args, 0);
        for profile in &all {
            assert!(profile.exists(), "{profile} leads nowhere");
            assert!(
                profile
                    .read_link_utf8()
                    .unwrap()
                    .as_str()
                    .contains("-2-link")
            );
            let name = profile.file_name().unwrap();
            let root = scratch.state_dir().join(format!("gcroots/current-{name}"));
            assert!(root.exists(), "{root} leads nowhere");
        }
    });
}
