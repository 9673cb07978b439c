//! Roots that are gone since the last run: what they kept is held, and not lost.

use nix_prune::domain::store_path::StorePath;

use super::*;
use crate::support::{by_hand, with_each_nix};

/// A link of a build in a home, with what it leads to.
fn thesis(scratch: &Scratch) -> (Utf8PathBuf, StorePath<String>) {
    let source = scratch.add_path("source", &[], 500).unwrap();
    let path = scratch.add_path("thesis", &[&source], 1000).unwrap();
    let link = scratch.home().join("thesis/result");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    scratch.add_root(&link, &path).unwrap();
    (link, path)
}

fn kinds(document: &Value, list: &str) -> Vec<String> {
    let entries = document[list].as_array().unwrap().iter();
    let kinds = entries.map(|e| {
        if e["kind"].is_null() {
            &e["action"]["kind"]
        } else {
            &e["kind"]
        }
    });
    kinds
        .map(|kind| kind.as_str().unwrap().to_string())
        .collect()
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
        assert_eq!(kinds(&plan, "actions")[0], "holdRoot");
        assert_eq!(plan["prediction"]["paths"], 0, "nothing goes that is held");
        let shown = ends(&scratch, &["plan"], 0).stdout;
        assert!(shown.contains(link.as_str()), "{shown}");
        ends(&scratch, &["run", "--no-collect", "--yes"], 0);

        let receipt = json(&ends(&scratch, &["run", "--yes", "--json"], 0));
        assert_eq!(kinds(&receipt, "entries")[0], "holdRoot");
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
        assert_eq!(kinds(&plan, "actions"), ["collect"]);
        ends(&scratch, &["hold", "release", "--all", "--yes"], 0);
        let receipt = json(&ends(&scratch, &["run", "--yes", "--json"], 0));
        assert_eq!(kinds(&receipt, "entries"), ["collect"]);
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
    assert_eq!(kinds(&plan, "actions"), ["holdRoot", "collect"]);
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
