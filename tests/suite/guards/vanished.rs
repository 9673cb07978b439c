//! Roots that are gone since the last run: what they kept is held, and not lost.

use nix_prune::domain::store_path::StorePath;

use super::*;
use crate::support::{actions_of, by_hand, program_behind, run_command, script, with_each_nix};

/// The commands of a Nix whose `nix-env` does something more when it has removed a generation.
fn after_a_removal(scratch: &Scratch, nix: &Nix, more: &str) -> Utf8PathBuf {
    let bin = scratch.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["nix", "nix-store", "nix-collect-garbage"] {
        symlink(nix.bin.join(name), bin.join(name)).unwrap();
    }
    let real = nix.bin.join("nix-env");
    let text = format!("'{real}' \"$@\"; status=$?\n{more}\nexit $status");
    script(&bin.join("nix-env"), &text);
    bin
}

#[test]
fn a_root_that_vanishes_during_a_run_is_held_before_anything_is_collected() {
    for (what, method, window) in [
        ("rm -f 'RESULT'", "auto", "7d"),
        ("rm -f 'RESULT'", "full", "0s"),
        ("rm -f 'AUTO'/*", "selective", "7d"),
        ("rm -rf 'THESIS'", "full", "7d"),
        ("rm -f 'DIRECT'", "auto", "0s"),
    ] {
        let Some(scratch) = machine() else { return };
        let (link, _) = thesis(&scratch);
        let direct = scratch.state_dir().join("gcroots/direct");
        let kept = scratch.add_path("kept", &[], 10).unwrap();
        symlink(kept.to_absolute_path(scratch.store()), &direct).unwrap();
        let more = what
            .replace("RESULT", link.as_str())
            .replace("AUTO", scratch.state_dir().join("gcroots/auto").as_str())
            .replace("THESIS", link.parent().unwrap().as_str())
            .replace("DIRECT", direct.as_str());
        let bin = after_a_removal(&scratch, nixes().last().unwrap(), &more);
        let method = format!("--collect-method={method}");
        let window = format!("--undo-window={window}");
        let settings = scratch.base().join("unsafe.json");
        let text = r#"{"version": 2, "safeMode": false, "jobs": {"all": {"maxRisk": "critical", "operations":
            {"generations": {"profiles": ["system"], "keep": {"last": 2}}, "collect": {}}}}}"#;
        fs::write(&settings, text).unwrap();
        let args = ["run", "--yes", "--json", &method, &window];
        let places = ["--config", settings.as_str(), "--nix-bin", bin.as_str()];
        let args = [&args[..], &places].concat();
        let receipt = json(&ends(&scratch, &args, 0));
        assert!(done(&receipt).contains(&"holdRoot".to_string()), "{what}");
        for name in ["thesis", "source", "kept"] {
            assert!(on_disk(&scratch, name), "{what}: {name}");
        }
        assert!(!on_disk(&scratch, "dead"), "{what}: the rest goes");
        // Without an undo window it is held for a day.
        ends(&scratch, &args, 0);
        assert!(on_disk(&scratch, "thesis"), "{what}: held no longer");
    }
}

#[test]
fn a_root_that_vanishes_during_a_run_and_cannot_be_held_stops_the_collection() {
    let Some(nix) = nixes().last() else { return };
    for method in ["auto", "full"] {
        let scratch = machine_of(nix);
        let (link, _) = thesis(&scratch);
        let bin = after_a_removal(&scratch, nix, &format!("rm -f '{link}'"));
        let real = nix.bin.join("nix-store");
        fs::remove_file(bin.join("nix-store")).unwrap();
        let fails = format!("test -L '{link}' && exec '{real}' \"$@\"\necho no luck >&2; exit 1");
        script(&bin.join("nix-store"), &fails);
        // One removal, so that all that fails is the hold of the root.
        let method = format!("--collect-method={method}");
        let args = [
            "run",
            "--keep-last=4",
            "--yes",
            &method,
            "--nix-bin",
            bin.as_str(),
        ];
        let ran = ends(&scratch, &args, 3);
        assert!(ran.stderr.contains("could not be held"), "{}", ran.stderr);
        assert!(on_disk(&scratch, "thesis") && on_disk(&scratch, "dead"));
    }
}

#[test]
fn a_removal_that_takes_a_kept_generation_stops_the_collection() {
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let real = nix.bin.join("nix-env");
        let more = format!("'{real}' -p '{}' --delete-generations 4", system(&scratch));
        let bin = after_a_removal(&scratch, nix, &more);
        let args = ["run", "--keep-last=2", "--yes", "--nix-bin", bin.as_str()];
        let ran = ends(&scratch, &args, 3);
        assert!(
            ran.stderr.contains("this also removed the generations 4"),
            "{}",
            ran.stderr
        );
        assert!(on_disk(&scratch, "system-4") && on_disk(&scratch, "dead"));
        // The next run holds it, and collects the rest.
        ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
        assert!(on_disk(&scratch, "system-4") && !on_disk(&scratch, "dead"));
    });
}

#[test]
fn a_removal_that_failed_and_an_undo_forget_nothing() {
    let Some(scratch) = machine() else { return };
    let everything = ["run", "--keep-last=50", "--yes"];
    ends(&scratch, &everything, 0);
    let bin = after_a_removal(&scratch, nixes().last().unwrap(), "");
    script(&bin.join("nix-env"), "echo 'error: no luck' >&2; exit 1");
    let fails = ["run", "--keep-last=2", "--yes", "--nix-bin", bin.as_str()];
    ends(&scratch, &fails, 3);
    let profile = system(&scratch);
    by_hand(
        &scratch,
        "nix-env",
        &["-p", profile.as_str(), "--delete-generations", "1"],
    );
    ends(&scratch, &everything, 0);
    assert!(on_disk(&scratch, "system-1"));
    // The same after a generation came back.
    ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
    ends(&scratch, &["undo"], 0);
    by_hand(
        &scratch,
        "nix-env",
        &["-p", profile.as_str(), "--delete-generations", "2"],
    );
    ends(&scratch, &everything, 0);
    assert!(on_disk(&scratch, "system-2"));
}

#[test]
fn a_release_forgets_nothing() {
    let Some(scratch) = machine() else { return };
    ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
    let (link, _) = thesis(&scratch);
    ends(&scratch, &["hold", "release", "--all", "--yes"], 0);
    fs::remove_file(&link).unwrap();
    ends(&scratch, &["run", "--keep-last=50", "--yes"], 0);
    assert!(on_disk(&scratch, "thesis") && !on_disk(&scratch, "system-1"));
}

#[test]
fn a_home_that_is_unmounted_during_a_run_stops_the_collection() {
    let own = "mount --bind etc/passwd /etc/passwd && mount --bind disk homes/her || exit 99";
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let (home, disk) = (
            scratch.base().join("homes/her"),
            scratch.base().join("disk"),
        );
        for dir in [&home, &disk.join("project")] {
            fs::create_dir_all(dir).unwrap();
        }
        let users = format!("root:x:0:0::/root:/bin/sh\nher:x:4242:100::{home}:/bin/sh\n");
        fs::write(scratch.base().join("etc/passwd"), users).unwrap();
        let path = scratch.add_path("hers", &[], 10).unwrap();
        let link = "project/result";
        symlink(path.to_absolute_path(scratch.store()), disk.join(link)).unwrap();
        let entry = scratch.state_dir().join("gcroots/auto/hers");
        symlink(home.join(link), entry).unwrap();
        let unmounts = after_a_removal(&scratch, nix, &format!("umount -l '{home}' 2>&-"));
        let run = |args: &[&str], status: i32| {
            let ran = run_command(program_behind(&scratch, own)?.args(args));
            assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
            Some(ran.stdout + &ran.stderr)
        };
        let args = ["run", "--keep-last=2", "--yes"];
        let first = ["run", "--keep-last=50", "--no-collect", "--yes"];
        if run(&first, 0).is_none() {
            return;
        }
        for (keep, method) in [("4", "auto"), ("3", "full")] {
            let (keep, method) = (
                format!("--keep-last={keep}"),
                format!("--collect-method={method}"),
            );
            let args = [
                "run",
                &keep,
                "--yes",
                &method,
                "--nix-bin",
                unmounts.as_str(),
            ];
            let said = run(&args, 3).unwrap();
            assert!(said.contains(home.as_str()), "{said}");
            assert!(on_disk(&scratch, "hers") && on_disk(&scratch, "dead"));
        }
        run(&args, 0);
        assert!(on_disk(&scratch, "hers") && !on_disk(&scratch, "dead"));
    });
}

#[test]
fn many_vanished_roots_are_held_by_few_calls_and_told_in_few_lines() {
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let dir = scratch.home().join("ci");
        let paths: Vec<_> = (0..30)
            .map(|n| scratch.add_path(&format!("ci-{n}"), &[], 10).unwrap())
            .collect();
        fs::create_dir(&dir).unwrap();
        for (n, path) in paths.iter().enumerate() {
            let link = dir.join(n.to_string());
            symlink(path.to_absolute_path(scratch.store()), &link).unwrap();
            let entry = scratch.state_dir().join(format!("gcroots/auto/{n:032}"));
            symlink(&link, entry).unwrap();
        }
        ends(&scratch, &["run", "--yes"], 0);
        for n in 0..30 {
            fs::remove_file(dir.join(n.to_string())).unwrap();
        }
        let ran = ends(&scratch, &["run", "--yes"], 0);
        assert!(ran.stdout.lines().count() < 80, "{}", ran.stdout);
        by_hand(&scratch, "nix-collect-garbage", &[]);
        assert!((0..30).all(|n| on_disk(&scratch, &format!("ci-{n}"))));
        let list = json(&ends(&scratch, &["hold", "list", "--json"], 0));
        let holds = list["holds"].as_array().unwrap();
        assert_eq!(holds.len(), 30);
        assert!(holds.iter().all(|hold| hold["intact"] == true));
    });
}

#[test]
fn a_state_directory_that_is_away_stops_a_collection() {
    let Some(scratch) = machine() else { return };
    let run = ["run", "--keep-last=2", "--yes"];
    ends(&scratch, &run, 0);
    let (state, away) = (scratch.base().join("state"), scratch.base().join("away"));
    fs::rename(&state, &away).unwrap();
    let ran = ends(&scratch, &["run", "--yes"], 4);
    assert!(ran.stderr.contains("--state-dir"), "{}", ran.stderr);
    assert!(on_disk(&scratch, "system-1"));
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    ends(&scratch, &["undo"], 0);
    assert_eq!(generations(&scratch), 5);
    // Who has removed it for good says so once.
    ends(&scratch, &run, 0);
    fs::remove_dir_all(&state).unwrap();
    ends(&scratch, &["run", "--yes", "--accept=roots.away"], 0);
    assert!(!on_disk(&scratch, "system-1"));
    ends(&scratch, &["run", "--yes"], 0);
}

/// A link of a build in a home, with what it leads to.
fn thesis(scratch: &Scratch) -> (Utf8PathBuf, StorePath<String>) {
    let source = scratch.add_path("source", &[], 500).unwrap();
    let path = scratch.add_path("thesis", &[&source], 1000).unwrap();
    let link = scratch.home().join("thesis/result");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    scratch.add_root(&link, &path).unwrap();
    (link, path)
}

fn planned(plan: &Value) -> Vec<String> {
    let kind = |action: &Value| action["kind"].as_str().unwrap().to_string();
    actions_of(plan).iter().map(kind).collect()
}

fn done(receipt: &Value) -> Vec<String> {
    let kind = |entry: &Value| entry["action"]["kind"].as_str().unwrap().to_string();
    let entries = receipt["entries"].as_array().unwrap();
    entries.iter().map(kind).collect()
}

#[test]
fn what_a_root_kept_that_vanished_is_held_until_its_window_ends() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let (link, path) = thesis(&scratch);
        scratch.add_path("dead", &[], 10).unwrap();
        ends(&scratch, &["run", "--yes"], 0);
        assert!(!on_disk(&scratch, "dead"));
        fs::remove_file(&link).unwrap();

        // For Nix it is dead, and for us: only a run that collects holds it.
        let dead = ends(&scratch, &["dead"], 0).stdout;
        assert!(dead.contains("thesis") && dead.contains("source"), "{dead}");
        let plan = json(&ends(&scratch, &["plan", "--json"], 0));
        assert_eq!(planned(&plan)[0], "holdRoot");
        assert_eq!(plan["prediction"]["paths"], 0, "nothing goes that is held");
        let shown = ends(&scratch, &["plan", "--full"], 0).stdout;
        assert!(shown.contains(link.as_str()), "{shown}");
        ends(&scratch, &["run", "--no-collect", "--yes"], 0);

        let receipt = json(&ends(&scratch, &["run", "--yes", "--json"], 0));
        assert_eq!(done(&receipt)[0], "holdRoot");
        assert_eq!(receipt["entries"][0]["outcome"], "done");
        let list = json(&ends(&scratch, &["hold", "list", "--json"], 0));
        let hold = &list["holds"][0];
        assert_eq!(
            (&hold["root"], &hold["intact"]),
            (&link.as_str().into(), &true.into())
        );
        assert_eq!(hold["storePath"], path.to_string());
        by_hand(&scratch, "nix-collect-garbage", &["-d"]);
        assert!(on_disk(&scratch, "thesis") && on_disk(&scratch, "source"));
        let run = receipt["run"].as_str().unwrap();
        let ran = ends(&scratch, &["undo", run], 4);
        assert!(
            ran.stderr.contains("nothing that can be undone"),
            "{}",
            ran.stderr
        );

        // Once is enough, also when somebody ends the hold before the next run.
        let plan = json(&ends(&scratch, &["plan", "--json"], 0));
        assert_eq!(planned(&plan), ["collect"]);
        ends(&scratch, &["hold", "release", "--all", "--yes"], 0);
        let receipt = json(&ends(&scratch, &["run", "--yes", "--json"], 0));
        assert_eq!(done(&receipt), ["collect"]);
        assert!(!on_disk(&scratch, "thesis") && !on_disk(&scratch, "source"));
    });
}

#[test]
fn who_wants_no_undo_window_gets_no_holds_of_what_vanished() {
    let Some(scratch) = machine() else { return };
    let (link, _) = thesis(&scratch);
    let run = ["run", "--yes", "--undo-window=0s"];
    ends(&scratch, &run, 0);
    fs::remove_file(&link).unwrap();
    ends(&scratch, &run, 0);
    assert!(!on_disk(&scratch, "thesis"));
}

#[test]
fn a_budget_counts_on_nothing_that_will_be_held() {
    let Some(scratch) = machine() else { return };
    let (link, _) = thesis(&scratch);
    let budget = ["--max-store=1K", "--json"];
    ends(&scratch, &["run", "--yes"], 0);
    fs::remove_file(&link).unwrap();
    scratch.add_path("more", &[], 100).unwrap();
    let plan = json(&ends(&scratch, &[&["plan"][..], &budget].concat(), 0));
    assert_eq!(planned(&plan), ["holdRoot", "collect"]);
    assert_eq!(plan["prediction"]["paths"], 1);
    ends(&scratch, &[&["run", "--yes"][..], &budget].concat(), 5);
    assert!(on_disk(&scratch, "thesis") && !on_disk(&scratch, "more"));
}

#[test]
fn a_saved_plan_is_refused_when_a_root_vanished_since() {
    let Some(scratch) = machine() else { return };
    let (link, _) = thesis(&scratch);
    ends(&scratch, &["run", "--yes"], 0);
    scratch.add_path("more", &[], 100).unwrap();
    let file = scratch.base().join("plan");
    ends(&scratch, &["plan", "--out", file.as_str()], 0);
    fs::remove_file(&link).unwrap();
    let ran = ends(&scratch, &["apply", "--yes", file.as_str()], 4);
    assert!(ran.stderr.contains(link.as_str()), "{}", ran.stderr);
    assert!(on_disk(&scratch, "thesis") && on_disk(&scratch, "more"));
    ends(&scratch, &["plan", "--out", file.as_str()], 0);
    ends(&scratch, &["apply", "--yes", file.as_str()], 0);
    assert!(on_disk(&scratch, "thesis") && !on_disk(&scratch, "more"));
}
