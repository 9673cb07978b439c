//! The machine's file, in a mount namespace of its own, where `/etc` is what the test says.

use std::fs;
use std::os::unix::fs::chown;

use serde_json::json;

use super::{document, planned, settings, ten};
use crate::support::{is_root, on_mounted, program, run_command, skipped};

const TEST: &str = "layers::machine::the_files_of_the_machine_and_of_users_count_as_they_must";

#[test]
fn the_files_of_the_machine_and_of_users_count_as_they_must() {
    if !is_root() {
        return skipped("the machine's settings file: that takes root");
    }
    let own = "cp /etc/passwd /etc/group \"$TMPDIR\" && mount -t tmpfs tmpfs /etc && \
               cp \"$TMPDIR\"/passwd \"$TMPDIR\"/group /etc && mkdir -m 755 /etc/nix-prune";
    on_mounted(TEST, own, within);
}

fn within() {
    let Some(scratch) = ten() else { return };
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
