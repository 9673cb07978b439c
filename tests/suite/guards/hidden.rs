//! Roots that root may not read, as on NFS with `root_squash`: root without the right to override permissions stands in.

use std::os::unix::fs::{PermissionsExt, chown};

use super::*;
use crate::support::{command, is_root, program, run_command, skipped, with_each_nix};

const ALICE: u32 = 4242;
const OTHER: u32 = 4243;

/// A store with a dead path and a root in alice's home; `innermost` owns the directory of its link.
fn squashed(bin: &camino::Utf8Path, innermost: u32) -> Scratch {
    let scratch = Scratch::new(Some(bin)).unwrap();
    scratch.add_path("dead", &[], 10).unwrap();
    let kept = scratch.add_path("kept", &[], 10).unwrap();
    let home = scratch.base().join("nfs/alice");
    let inner = home.join("work");
    fs::create_dir_all(&inner).unwrap();
    let link = inner.join("result");
    scratch.add_root(&link, &kept).unwrap();
    for (path, uid) in [(&home, ALICE), (&inner, innermost)] {
        chown(path, Some(uid), None).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    // Alice must get to her home.
    for dir in home.ancestors().skip(1).take(4) {
        if dir.starts_with(std::env::temp_dir()) && dir != std::env::temp_dir() {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    scratch
}

/// Runs our program as root that may not override permissions.
fn unprivileged(scratch: &Scratch, args: &[&str]) -> Ran {
    let program = program(scratch);
    let mut command = command("setpriv");
    command.args([
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
    ]);
    command.arg(program.get_program()).args(program.get_args());
    command.args(args).env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    run_command(&mut command)
}

fn can_be_tried() -> bool {
    let there = command("setpriv").arg("--version").output().is_ok();
    let traversed = |dir: &std::path::Path| {
        dir.ancestors()
            .all(|dir| fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
    };
    if is_root() && there && traversed(&std::env::temp_dir()) {
        return true;
    }
    skipped(
        "this takes root, setpriv, and a directory for temporary files that everybody may search",
    );
    false
}

#[test]
fn what_a_root_keeps_that_only_its_owner_may_read_stays_and_the_rest_is_collected() {
    if !can_be_tried() {
        return;
    }
    with_each_nix(|nix| {
        let scratch = squashed(&nix.bin, ALICE);
        let ran = unprivileged(&scratch, &["run", "--yes"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("roots.hidden"), "{}", ran.stdout);
        assert!(!on_disk(&scratch, "dead"));
        assert!(on_disk(&scratch, "kept"));
        // Nix's own collector cannot be asked for then.
        scratch.add_path("dead-later", &[], 10).unwrap();
        let ran = unprivileged(&scratch, &["run", "--yes", "--collect-method=full"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(!on_disk(&scratch, "dead-later"));
        assert!(on_disk(&scratch, "kept"));
    });
}

#[test]
fn a_root_that_nobody_lets_us_read_stops_the_collection_until_the_settings_accept_it() {
    if !can_be_tried() {
        return;
    }
    let Some(nix) = nixes().last() else { return };
    let scratch = squashed(&nix.bin, OTHER);
    let ran = unprivileged(&scratch, &["run", "--yes"]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("roots.unreadable"), "{}", ran.stderr);
    assert!(on_disk(&scratch, "dead") && on_disk(&scratch, "kept"));
    let file = scratch.base().join("accepting.json");
    let settings = serde_json::json!({
        "version": 2,
        "accept": [{
            "code": "roots.unreadable",
            "place": scratch.base().join("nfs/alice/**"),
            "reason": "nothing there is worth a store path"
        }],
        "jobs": { "daily": { "operations": { "collect": {} } } }
    });
    fs::write(&file, settings.to_string()).unwrap();
    let ran = unprivileged(&scratch, &["run", "--yes", "--config", file.as_str()]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!on_disk(&scratch, "dead"));
}

/// Any user can make a profile in their home whose generations are no roots.
#[test]
fn a_generation_of_another_user_that_is_no_root_is_spared_and_the_rest_is_collected() {
    if !is_root() {
        return skipped("generations of another user, which take root");
    }
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let library = scratch.add_path("env-library", &[], 10).unwrap();
        let env = scratch.add_path("env", &[&library], 10).unwrap();
        let dir = scratch.home().join(".local/state/nix/profiles");
        fs::create_dir_all(&dir).unwrap();
        let target = env.to_absolute_path(scratch.store());
        symlink(target, dir.join("profile-1-link")).unwrap();
        symlink("profile-1-link", dir.join("profile")).unwrap();
        chown(&dir, Some(ALICE), None).unwrap();
        let plan = ends(&scratch, &["plan"], 0);
        assert!(plan.stdout.contains("roots.hidden"), "{}", plan.stdout);
        let dead = ends(&scratch, &["dead"], 0);
        assert!(!dead.stdout.contains("env"), "{}", dead.stdout);
        for method in ["auto", "full"] {
            let method = format!("--collect-method={method}");
            ends(&scratch, &["run", "--yes", &method], 0);
            assert!(!on_disk(&scratch, "dead"));
            for kept in ["env", "env-library"] {
                assert!(on_disk(&scratch, kept), "{method}: {kept}");
            }
            scratch.add_path("dead", &[], 10).unwrap();
        }
        // It has not vanished, so that nothing has to hold it.
        let holds = json(&ends(&scratch, &["hold", "list", "--json"], 0));
        assert_eq!(holds["holds"].as_array().unwrap().len(), 0, "{holds}");
        // One's own generation stops the collection, as before.
        chown(&dir, Some(0), None).unwrap();
        let ran = ends(&scratch, &["run", "--yes"], 4);
        assert!(ran.stderr.contains("profile.unrooted"), "{}", ran.stderr);
        assert!(on_disk(&scratch, "dead") && on_disk(&scratch, "env"));
    });
}
