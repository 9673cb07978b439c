//! `--accept`: one refusal by its name, for what was shown, and written down.

use super::*;

#[test]
fn a_refusal_bites_is_let_pass_by_its_own_code_and_by_no_other() {
    let Some(scratch) = machine() else { return };
    blur(&scratch);
    let ran = ends(&scratch, &["run", "--yes"], 4);
    assert!(
        ran.stderr.contains("--accept profile.current-unknown"),
        "{}",
        ran.stderr
    );
    ends(&scratch, &["run", "--yes", "--accept=roots.away"], 4);
    assert!(on_disk(&scratch, "dead"));
    let args = ["run", "--yes", "--json", "--accept=profile.current-unknown"];
    let receipt = json(&ends(&scratch, &args, 0));
    assert_eq!(codes(&receipt["accepted"]), ["profile.current-unknown"]);
    assert!(!on_disk(&scratch, "dead"));
    // Nothing of the profile itself was let go with it.
    assert!((1..=5).all(|n| on_disk(&scratch, &format!("system-{n}"))));
    let history = ends(&scratch, &["history", receipt["run"].as_str().unwrap()], 0);
    assert!(history.stdout.contains("profile.current-unknown"));
}

#[test]
fn a_saved_plan_carries_what_was_let_pass_and_nothing_that_came_since() {
    let Some(scratch) = machine() else { return };
    blur(&scratch);
    let (bare, file) = (scratch.base().join("bare"), scratch.base().join("plan"));
    let accept = "--accept=profile.current-unknown";
    ends(&scratch, &["plan", "--out", bare.as_str()], 0);
    ends(&scratch, &["plan", accept, "--out", file.as_str()], 0);
    ends(&scratch, &["apply", "--yes", bare.as_str()], 0);
    assert!(on_disk(&scratch, "dead"), "no collection was in that plan");
    // Another one of the same name was not shown to anybody.
    let other = scratch.state_dir().join("profiles/other");
    let path = scratch.path_named("system-1").unwrap();
    scratch
        .set_profile(&other, &path, time("2026-01-01T00:00:00Z"))
        .unwrap();
    fs::remove_file(&other).unwrap();
    symlink(other.with_file_name("other-1-link"), &other).unwrap();
    let ran = ends(&scratch, &["apply", "--yes", file.as_str()], 4);
    assert!(ran.stderr.contains("other"), "{}", ran.stderr);
    assert!(on_disk(&scratch, "dead"));
    fs::remove_file(&other).unwrap();
    symlink("other-1-link", &other).unwrap();
    ends(&scratch, &["apply", "--yes", file.as_str()], 0);
    assert!(!on_disk(&scratch, "dead"));
}

#[test]
fn an_unknown_code_is_told_with_those_that_there_are() {
    let Some(scratch) = machine() else { return };
    for code in ["roots", "everything", "*", "", "profile.odd-name"] {
        let ran = ends(&scratch, &["plan", &format!("--accept={code}")], 2);
        assert!(ran.stderr.contains("roots.away"), "{}", ran.stderr);
    }
}
