//! A run that removes leftovers, killed before each of its changes.

use std::fs;

use nix_prune::adapters::scratch::Scratch;

use super::tracer::{self, Step, Then};
use crate::support::{Nix, nixes, program, run, skipped};

const SETTINGS: &str = r#"{
  "version": 2, "jobs": { "left": { "operations": { "leftovers": { "buildDirs": "0s", "buildLogs": "0s" } } } }
}"#;

fn world(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    for name in ["tmp/nix-build-a/dir/file", "nix/var/log/drvs/ab/c.drv"] {
        let path = scratch.base().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "left").unwrap();
    }
    fs::write(scratch.base().join("left.json"), SETTINGS).unwrap();
    scratch
}

#[test]
fn a_run_killed_while_it_removes_leftovers_is_settled_by_the_next_one() {
    let (Some(nix), true) = (nixes().last(), tracer::possible()) else {
        return skipped("Without a Nix, or where programs cannot be traced, nothing is killed.");
    };
    let mut killed = 0;
    for at in 0.. {
        let scratch = world(nix);
        let config = scratch.base().join("left.json");
        let args = ["run", "--yes", "--config", config.as_str()];
        let mut removals = 0;
        let mut command = program(&scratch);
        command.args(args);
        let traced = tracer::trace(&command, scratch.base(), &mut |step| {
            let Step::Change(_, what) = step else {
                return Then::GoOn;
            };
            if !what.contains("nix-build-a") && !what.contains("drvs") && !what.contains("file") {
                return Then::GoOn;
            }
            removals += 1;
            if removals > at { Then::Die } else { Then::GoOn }
        });
        let traced = traced.unwrap();
        if !traced.killed {
            break;
        }
        killed += 1;
        let next = run(&scratch, &args);
        assert_eq!(next.status, 0, "{}{}", next.stdout, next.stderr);
        assert!(!scratch.base().join("tmp/nix-build-a").exists());
        assert!(!scratch.base().join("nix/var/log/drvs/ab/c.drv").exists());
        let history = run(&scratch, &["history"]).stdout;
        assert!(!history.contains("unfinished"), "{history}");
    }
    assert!(killed > 0, "no removal was seen");
}
