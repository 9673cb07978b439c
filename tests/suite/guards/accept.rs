//! `--accept`: one failed check by its name, for what was shown, and written down.

use super::*;

/// Makes a profile in a home of which no entry makes a root, so that a collection would take it; gives the profile.
fn unroot(scratch: &Scratch, name: &str) -> Utf8PathBuf {
    let dir = scratch.home().join(".local/state/nix/profiles");
    fs::create_dir_all(&dir).unwrap();
    let path = scratch.add_path(&format!("env-{name}"), &[], 10).unwrap();
    let path = path.to_absolute_path(scratch.store());
    let link = format!("{name}-1-link");
    symlink(path, dir.join(&link)).unwrap();
    symlink(&link, dir.join(name)).unwrap();
    dir.join(name)
}

#[test]
fn a_refusal_stops_the_collection_and_is_accepted_by_its_own_code_and_by_no_other() {
    let Some(scratch) = machine() else { return };
    unroot(&scratch, "alice");
    let ran = ends(&scratch, &["run", "--yes"], 4);
    assert!(
        ran.stderr.contains("--accept profile.unrooted"),
        "{}",
        ran.stderr
    );
    ends(&scratch, &["run", "--yes", "--accept=roots.away"], 4);
    assert!(on_disk(&scratch, "dead"));
    let args = ["run", "--yes", "--json", "--accept=profile.unrooted"];
    let receipt = json(&ends(&scratch, &args, 0));
    assert_eq!(codes(&receipt["acceptedChecks"]), ["profile.unrooted"]);
    assert!(!on_disk(&scratch, "dead"));
    let history = ends(&scratch, &["history", receipt["run"].as_str().unwrap()], 0);
    assert!(history.stdout.contains("profile.unrooted"));
}

#[test]
fn a_profile_that_cannot_be_understood_stays_and_the_rest_is_done() {
    let Some(scratch) = machine() else { return };
    blur(&scratch);
    let ran = ends(&scratch, &["run", "--yes"], 4);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("--accept profile.current-unknown"), "{said}");
    assert!(!said.contains("nothing to do"), "{said}");
    assert!(!on_disk(&scratch, "dead"));
    assert_eq!(generations(&scratch), 5);
    let args = ["run", "--yes", "--accept=profile.current-unknown"];
    ends(&scratch, &args, 0);
    assert_eq!(generations(&scratch), 5);
}

/// A lasting acceptance holds for its place, is shown in every plan with its reason, and stays on record.
#[test]
fn the_settings_accept_a_check_at_a_place() {
    let Some(scratch) = machine() else { return };
    let (alice, bob) = (unroot(&scratch, "alice"), unroot(&scratch, "bob"));
    let file = scratch.base().join("accepting.json");
    let settings = |places: &[String]| {
        let entry = |place: &String| serde_json::json!({ "code": "profile.unrooted", "place": place, "reason": "NFS\u{1b}[2J" });
        let entries: Vec<Value> = places.iter().map(entry).collect();
        let document = serde_json::json!({
            "version": 2,
            "accept": entries,
            "jobs": { "daily": { "operations": { "collect": {} } } }
        });
        fs::write(&file, document.to_string()).unwrap();
    };
    let run_it = ["run", "--yes", "--config", file.as_str()];
    // One of the two is not enough.
    settings(&[format!("{alice}/**")]);
    let ran = ends(&scratch, &run_it, 4);
    assert!(on_disk(&scratch, "dead"));
    assert!(ran.stderr.contains(bob.as_str()) && !ran.stderr.contains(alice.as_str()));
    assert!(
        ran.stderr.contains("`accept` entry in the settings"),
        "{}",
        ran.stderr
    );
    settings(&[
        format!("{alice}/**"),
        bob.to_string(),
        "/elsewhere".to_string(),
    ]);
    let plan = ends(&scratch, &["plan", "--config", file.as_str()], 0);
    for shown in [
        "Accepted safety checks",
        "NFS",
        "profile.unrooted at /elsewhere: no matching check now",
    ] {
        assert!(plan.stdout.contains(shown), "{shown}: {}", plan.stdout);
    }
    assert!(!plan.stdout.contains('\u{1b}'));
    // What is accepted is no news, and no error either.
    let doctor = ends(
        &scratch,
        &["doctor", "--json", "--config", file.as_str()],
        0,
    );
    assert!(doctor.stdout.contains("accepted in the settings"));
    let ran = ends(&scratch, &[&run_it[..], &["--json"]].concat(), 0);
    let receipt = json(&ran);
    assert!(!on_disk(&scratch, "dead"));
    let accepted = receipt["acceptedChecks"].as_array().unwrap();
    assert_eq!(accepted.len(), 2);
    assert!(
        accepted.iter().all(|a| a["reason"] == "NFS\u{1b}[2J"),
        "{accepted:?}"
    );
}

#[test]
fn a_saved_plan_passes_with_what_the_settings_still_accept() {
    let Some(scratch) = machine() else { return };
    let home = unroot(&scratch, "alice");
    let (file, saved) = (
        scratch.base().join("accepting.json"),
        scratch.base().join("plan"),
    );
    let settings = |place: &str| {
        let document = serde_json::json!({
            "version": 2,
            "accept": [{ "code": "profile.unrooted", "place": place, "reason": "NFS" }],
            "jobs": { "daily": { "operations": { "collect": {} } } }
        });
        fs::write(&file, document.to_string()).unwrap();
    };
    let config = ["--config", file.as_str()];
    settings(home.as_str());
    ends(
        &scratch,
        &[&["plan", "--out", saved.as_str()], &config[..]].concat(),
        0,
    );
    settings("/elsewhere");
    let apply = [&["apply", "--yes", saved.as_str()], &config[..]].concat();
    ends(&scratch, &apply, 4);
    assert!(on_disk(&scratch, "dead"));
    settings(home.as_str());
    ends(&scratch, &apply, 0);
    assert!(!on_disk(&scratch, "dead"));
}

/// What was asked for by name and is not there: a timer must see it.
#[test]
fn a_profile_that_is_not_there_is_no_nothing_to_do() {
    let Some(scratch) = machine() else { return };
    let (file, saved) = (
        scratch.base().join("absent.json"),
        scratch.base().join("plan"),
    );
    let named = scratch.state_dir().join("profiles/sytem");
    let settings = |profiles: &[&str]| {
        let document = serde_json::json!({ "version": 2, "jobs": { "daily": { "operations": {
            "generations": { "profiles": profiles, "keep": { "last": 3 } }
        } } } });
        fs::write(&file, document.to_string()).unwrap();
    };
    let config = ["--config", file.as_str()];
    settings(&[named.as_str()]);
    let ran = ends(&scratch, &[&["run", "--yes"], &config[..]].concat(), 4);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains("nothing to do"), "{said}");
    assert!(
        said.contains(&format!("did you mean {}?", system(&scratch))),
        "{said}"
    );
    // A saved plan says it as well, and so does the record.
    ends(
        &scratch,
        &[&["plan", "--out", saved.as_str()], &config[..]].concat(),
        0,
    );
    ends(
        &scratch,
        &[&["apply", "--yes", saved.as_str()], &config[..]].concat(),
        4,
    );
    let history = json(&ends(&scratch, &["history", "--json"], 0));
    assert_eq!(history["runs"][0]["failedChecks"], 1);
    let run = history["runs"][0]["run"].as_str().unwrap();
    let receipt = json(&ends(&scratch, &["history", run, "--json"], 0));
    assert_eq!(codes(&receipt["failedChecks"]), ["profile.absent"]);
    let doctor = ends(&scratch, &[&["doctor"], &config[..]].concat(), 1);
    assert!(
        doctor.stdout.contains("the job daily needs it"),
        "{}",
        doctor.stdout
    );
    assert!(doctor.stdout.contains("did you mean"), "{}", doctor.stdout);
    // Beside it the rest is done.
    settings(&[named.as_str(), "system"]);
    ends(&scratch, &[&["run", "--yes"], &config[..]].concat(), 4);
    assert_eq!(generations(&scratch), 3);
}

#[test]
fn a_saved_plan_carries_what_was_let_pass_and_nothing_that_came_since() {
    let Some(scratch) = machine() else { return };
    unroot(&scratch, "alice");
    let (bare, file) = (scratch.base().join("bare"), scratch.base().join("plan"));
    let accept = "--accept=profile.unrooted";
    ends(&scratch, &["plan", "--out", bare.as_str()], 0);
    ends(&scratch, &["plan", accept, "--out", file.as_str()], 0);
    ends(&scratch, &["apply", "--yes", bare.as_str()], 4);
    assert!(on_disk(&scratch, "dead"), "no collection was in that plan");
    // Another one of the same name was not shown to anybody.
    let other = unroot(&scratch, "other");
    let ran = ends(&scratch, &["apply", "--yes", file.as_str()], 4);
    assert!(ran.stderr.contains("other"), "{}", ran.stderr);
    assert!(on_disk(&scratch, "dead"));
    for link in [other.clone(), other.with_file_name("other-1-link")] {
        fs::remove_file(link).unwrap();
    }
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
