//! Pins and holds in another state directory than the one in use.

use super::*;
use crate::support::{program, run_command};

const KEEP: [&str; 4] = ["run", "--yes", "--keep-last=1", "--max-risk=critical"];

/// Our program in another state directory, where the variable of the usual one is set or is not.
fn elsewhere(scratch: &Scratch, args: &[&str], with_variable: bool, status: i32) -> Ran {
    let mut command = program(scratch);
    if !with_variable {
        command.env_remove("NIX_PRUNE_STATE_DIR");
    }
    let dir = scratch.base().join("other");
    let ran = run_command(command.args(args).args(["--state-dir", dir.as_str()]));
    assert_eq!(ran.status, status, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

fn pinned(scratch: &Scratch) {
    let generation = format!("{}:2", system(scratch));
    ends(scratch, &["pin", &generation], 0);
}

#[test]
fn another_state_directory_costs_no_pin() {
    let Some(scratch) = machine() else { return };
    pinned(&scratch);
    let usual = scratch.base().join("state");
    for args in [&KEEP[..], &["run", "--yes"]] {
        let ran = elsewhere(&scratch, args, true, 4);
        let said = format!("{usual} has 1 pin and 0 holds");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("--accept state.elsewhere"),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains(&format!("use --state-dir {usual}")),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(generations(&scratch), 5);
    assert!(on_disk(&scratch, "dead"));
    // The pin holds, whatever is accepted.
    let args = [&KEEP[..], &["--accept=state.elsewhere"]].concat();
    elsewhere(&scratch, &args, true, 0);
    let link = |number| system(&scratch).with_file_name(format!("system-{number}-link"));
    let left: Vec<u32> = (1..=5)
        .filter(|number| link(*number).is_symlink())
        .collect();
    assert_eq!(left, [2, 4, 5]);
}

#[test]
fn a_state_directory_that_only_its_holds_show_is_found() {
    let Some(scratch) = machine() else { return };
    ends(
        &scratch,
        &["run", "--yes", "--keep-last=4", "--max-risk=critical"],
        0,
    );
    pinned(&scratch);
    let ran = elsewhere(&scratch, &KEEP, false, 4);
    assert!(
        ran.stderr.contains("has 1 pin and 1 hold"),
        "{}",
        ran.stderr
    );
    for args in [
        &["hold", "list"][..],
        &["hold", "release", "--all", "--yes"],
    ] {
        let ran = elsewhere(&scratch, args, false, 0);
        assert!(
            ran.stderr.contains("is not the usual state directory"),
            "{}",
            ran.stderr
        );
    }
    let ran = elsewhere(&scratch, &["undo"], false, 4);
    assert!(
        ran.stderr.contains("is not the usual state directory"),
        "{}",
        ran.stderr
    );
    ends(&scratch, &["undo"], 0);
    assert_eq!(generations(&scratch), 5);
}

#[test]
fn a_usual_state_directory_that_cannot_be_read_stops_a_run_elsewhere() {
    let Some(scratch) = machine() else { return };
    fs::create_dir(scratch.base().join("state")).unwrap();
    fs::write(scratch.base().join("state/pins.json"), "{").unwrap();
    let ran = elsewhere(&scratch, &KEEP, true, 4);
    assert!(ran.stderr.contains("state.elsewhere"), "{}", ran.stderr);
    assert_eq!(generations(&scratch), 5);
}

#[test]
fn an_empty_usual_state_directory_and_pins_of_other_profiles_stop_nothing() {
    let Some(scratch) = machine() else { return };
    elsewhere(&scratch, &["run", "--yes"], true, 0);
    pinned(&scratch);
    let pins = scratch.base().join("state/pins.json");
    let text = fs::read_to_string(&pins).unwrap();
    let of_another = text.replace("profiles/system", "profiles/another");
    assert_ne!(text, of_another);
    fs::write(&pins, of_another).unwrap();
    elsewhere(&scratch, &KEEP, true, 0);
    assert_eq!(generations(&scratch), 2);
}
