//! `protect.paths`: a link below a protected path stays, and every view says why.

use super::*;
use nix_prune::settings::Platform;

/// A dangling root, whose link was `PLACE/result`; gives its entry.
fn dangling(scratch: &Scratch, place: &str) -> Utf8PathBuf {
    let link = scratch.base().join(place).join("result");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    let path = scratch.add_path(place, &[], 10).unwrap();
    scratch.add_root(&link, &path).unwrap();
    fs::remove_file(&link).unwrap();
    let auto = scratch.state_dir().join("gcroots/auto");
    let mut entries = auto
        .read_dir_utf8()
        .unwrap()
        .map(|e| e.unwrap().into_path());
    let entry = entries.find(|e| e.read_link_utf8().is_ok_and(|text| text == link));
    entry.unwrap()
}

/// Removes dangling roots, below every path that must be protected and this one more.
fn protecting(scratch: &Scratch, path: &str) -> String {
    let critical = Platform::HERE.critical_paths().map(str::to_string);
    let paths: Vec<String> = critical.chain([path.to_string()]).collect();
    let document = serde_json::json!({
        "version": 1,
        "protect": { "paths": paths },
        "jobs": { "daily": { "operations": { "roots": { "dangling": true } } } }
    });
    let file = scratch.base().join("protecting.json");
    fs::write(&file, document.to_string()).unwrap();
    file.into_string()
}

#[test]
fn a_result_link_below_a_protected_path_stays_and_says_why() {
    let Some(scratch) = machine() else { return };
    let kept = dangling(&scratch, "kept");
    let removed = dangling(&scratch, "removed");
    let file = protecting(&scratch, scratch.base().join("kept").as_str());
    let plan = ends(&scratch, &["plan", "--full", "--config", &file], 0);
    let why = "its link is in a path that the settings protect";
    assert_eq!(plan.stdout.matches(why).count(), 1, "{}", plan.stdout);
    let plan = json(&ends(&scratch, &["plan", "--json", "--config", &file], 0));
    let items = plan["items"].as_array().unwrap().iter();
    let codes: Vec<String> = items.map(|item| item["reasons"].to_string()).collect();
    let protected = codes
        .iter()
        .filter(|code| code.contains("\"protectedPath\""));
    assert_eq!(protected.count(), 1, "{plan:#}");
    ends(&scratch, &["run", "--yes", "--config", &file], 0);
    assert!(kept.symlink_metadata().is_ok());
    assert!(removed.symlink_metadata().is_err());
    // Without the protection it is removed.
    let file = protecting(&scratch, "/elsewhere");
    ends(&scratch, &["run", "--yes", "--config", &file], 0);
    assert!(kept.symlink_metadata().is_err());
}

/// A plan that was saved before the protection removes nothing below it.
#[test]
fn a_saved_plan_removes_nothing_that_is_protected_since() {
    let Some(scratch) = machine() else { return };
    let kept = dangling(&scratch, "kept");
    let file = protecting(&scratch, "/elsewhere");
    let saved = scratch.base().join("saved.json");
    ends(
        &scratch,
        &["plan", "--out", saved.as_str(), "--config", &file],
        0,
    );
    let file = protecting(&scratch, scratch.base().join("kept").as_str());
    ends(
        &scratch,
        &["apply", "--yes", saved.as_str(), "--config", &file],
        4,
    );
    assert!(kept.symlink_metadata().is_ok());
}
