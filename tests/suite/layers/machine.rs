//! The machine's file, in a mount namespace of its own, where `/etc` is what the test says.

use std::fs;
use std::os::unix::fs::chown;

use serde_json::json;

use super::{document, planned, settings, ten};
use crate::support::{command, is_root, nixes, program, run_command, skipped};

/// Set in the process that has an `/etc` of its own.
const HERE: &str = "NIX_PRUNE_TEST_OWN_ETC";
const TEST: &str = "layers::machine::the_files_of_the_machine_and_of_users_count_as_they_must";

#[test]
fn the_files_of_the_machine_and_of_users_count_as_they_must() {
    if std::env::var_os(HERE).is_some() {
        return within();
    }
    if nixes().is_empty() {
        return;
    }
    let own = "cp /etc/passwd /etc/group \"$TMPDIR\" && mount -t tmpfs tmpfs /etc && \
               cp \"$TMPDIR\"/passwd \"$TMPDIR\"/group /etc && mkdir -m 755 /etc/nix-prune";
    let dir = tempfile::Builder::new().prefix("np").tempdir().unwrap();
    let unshare = |script: &str| {
        let mut command = command("unshare");
        command
            .args(["--mount", "/bin/sh", "-c", script, "sh"])
            .env("TMPDIR", dir.path())
            .env(HERE, "yes");
        command
    };
    let can = is_root() && unshare(own).output().is_ok_and(|ran| ran.status.success());
    if !can {
        return skipped("the machine's settings file: nothing can be mounted here");
    }
    let ran = unshare(&format!("{own} && exec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && text.contains("1 passed"),
        "{text}{errors}"
    );
}

fn within() {
    let scratch = ten().unwrap();
    let policy = json!({ "policy": { "keepAtLeast": { "last": 6 } }, "undoWindow": "9d" });
    let machine = settings("machine", &json!({ "last": 8 }), &policy);
    fs::write("/etc/nix-prune/config.json", machine).unwrap();
    let plan = |extra: &[&str]| {
        let ran = run_command(program(&scratch).args(["plan", "--json"]).args(extra));
        let plan = document(&ran);
        (planned(&plan).0.len(), plan["job"].clone(), ran.stderr)
    };
    assert_eq!(plan(&[]).0, 2);
    // A user's file asks for less, and the policy of the machine holds.
    let home = scratch.home().to_path_buf();
    let dir = home.join(".config/nix-prune");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("config.json");
    fs::write(&file, settings("own", &json!({ "last": 1 }), &json!({}))).unwrap();
    let (dropped, job, stderr) = plan(&[]);
    assert_eq!((dropped, job), (4, json!("own")), "{stderr}");
    assert!(stderr.contains("policy requires"), "{stderr}");
    assert_eq!(plan(&["--keep-last", "1"]).0, 4);
    // Root does not follow the home of somebody else.
    chown(&home, Some(12_345), None).unwrap();
    let (dropped, job, stderr) = plan(&[]);
    assert_eq!((dropped, job), (2, json!("machine")), "{stderr}");
    assert!(stderr.contains("is ignored"), "{stderr}");
    // The machine's own file must be root's alone.
    chown("/etc/nix-prune", Some(12_345), None).unwrap();
    let ran = run_command(program(&scratch).args(["plan", "--json"]));
    assert_eq!(ran.status, 78, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("belongs to user 12345"),
        "{}",
        ran.stderr
    );
}
