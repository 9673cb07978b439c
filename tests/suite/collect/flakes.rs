//! The locked inputs of flakes are kept, so that an offline evaluation still works after a collection.

#![cfg(test)]

use std::fs;

use camino::Utf8PathBuf;
use nix_prune::domain::graph::KeepFlags;
use serde_json::{Value, json};

use super::stores::{Row, Store};
use crate::support::{
    Nix, Ran, by_hand, guide_example, nixes, program, run_by_hand, run_command, with_each_nix,
};

/// A flake with an input that is a flake, one that is none, and one that follows; neither is anywhere but in the store.
struct Flake {
    store: Store,
    dir: Utf8PathBuf,
}

impl Flake {
    fn new(nix: &Nix) -> Self {
        let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
        let base = store.scratch.base();
        let conf = base.join("etc/nix.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let features = "experimental-features = nix-command flakes\n";
        fs::write(conf, text + features).unwrap();
        let dir = base.join("flake");
        for name in ["flake", "dep", "lib", "raw"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        fs::write(base.join("raw/text"), "raw").unwrap();
        let lib = "{ outputs = { self }: { text = \"lib\"; }; }";
        fs::write(base.join("lib/flake.nix"), lib).unwrap();
        let dep = format!(
            "{{ inputs.lib.url = \"path:{base}/lib\"; outputs = {{ self, lib }}: {{ text = lib.text; }}; }}"
        );
        fs::write(base.join("dep/flake.nix"), dep).unwrap();
        let flake = format!(
            r#"{{
              inputs = {{
                lib.url = "path:{base}/lib";
                dep = {{ url = "path:{base}/dep"; inputs.lib.follows = "lib"; }};
                raw = {{ url = "path:{base}/raw"; flake = false; }};
              }};
              outputs = {{ self, lib, dep, raw }}: {{ text = dep.text + builtins.readFile "${{raw}}/text"; }};
            }}"#
        );
        fs::write(dir.join("flake.nix"), flake).unwrap();
        let flake = Self { store, dir };
        by_hand(
            &flake.store.scratch,
            "nix",
            &["flake", "lock", &flake.reference()],
        );
        assert_eq!(flake.evaluate().stdout, "libraw\n");
        let base = flake.store.scratch.base();
        for name in ["dep", "lib", "raw"] {
            fs::remove_dir_all(base.join(name)).unwrap();
        }
        // Not every version of Nix has one for such a flake.
        let _ = fs::remove_dir_all(base.join("home/.cache"));
        flake.store.fill(&[Row::new("dead", &[])]);
        flake
    }

    fn reference(&self) -> String {
        format!("path:{}", self.dir)
    }

    fn evaluate(&self) -> Ran {
        let text = format!("{}#text", self.reference());
        let args = ["eval", "--offline", "--raw", &text];
        let mut ran = run_by_hand(&self.store.scratch, "nix", &args);
        ran.stdout = ran.stdout.trim().to_string() + "\n";
        ran
    }

    fn command(&self, collect: &Value, args: &[&str]) -> Ran {
        let base = self.store.scratch.base();
        let settings = base.join("settings.json");
        let jobs = json!({"gc": {"operations": {"collect": collect}}});
        let text = json!({"version": 2, "jobs": jobs}).to_string();
        fs::write(&settings, text).unwrap();
        let mut command = program(&self.store.scratch);
        run_command(command.args(args).args(["--config", settings.as_str()]))
    }

    /// The example of the guide, for this flake.
    fn rule(&self) -> Value {
        let text =
            guide_example("collecting", "keepFlakeInputs").replace("/etc/nixos", self.dir.as_str());
        let example: Value = serde_json::from_str(&text).unwrap();
        example["collect"].clone()
    }
}

#[test]
fn an_offline_evaluation_works_after_a_collection_with_the_rule_and_fails_without_it() {
    with_each_nix(|nix| {
        for keeps in [true, false] {
            let flake = Flake::new(nix);
            let rule = if keeps { flake.rule() } else { json!({}) };
            let plan = flake.command(&rule, &["plan"]).stdout;
            assert_eq!(plan.contains("3 dead paths of"), keeps, "{plan}");
            let roots = flake.command(&rule, &["roots", "--kind", "flakeInput"]);
            assert_eq!(roots.stdout.contains("flake.lock"), keeps);
            let ran = flake.command(&rule, &["run", "--yes"]);
            assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
            assert!(!flake.store.has("dead"));
            let names = flake.store.names();
            assert_eq!(names.len(), if keeps { 3 } else { 0 });
            if let Some(input) = names.first() {
                let why = flake.command(&rule, &["why", input]).stdout;
                assert!(why.contains("flake.lock"), "{why}");
            }
            flake.store.assert_sound();
            let evaluated = flake.evaluate();
            assert_eq!(evaluated.status == 0, keeps, "{}", evaluated.stderr);
            assert_eq!(evaluated.stdout == "libraw\n", keeps);
        }
    });
}

/// No Nix evaluates such a flake, even if the source is in the store, so the collection does not wait for its repair.
#[test]
fn a_path_without_a_hash_stops_no_collection_and_the_other_inputs_stay() {
    with_each_nix(|nix| {
        let flake = Flake::new(nix);
        let file = flake.dir.join("flake.lock");
        let mut lock: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let locked = lock["nodes"]["raw"]["locked"].as_object_mut().unwrap();
        locked.remove("narHash").unwrap();
        fs::write(&file, lock.to_string()).unwrap();
        assert_ne!(flake.evaluate().status, 0);
        let plan = flake.command(&flake.rule(), &["plan"]).stdout;
        assert!(plan.contains("such as `raw`"), "{plan}");
        let ran = flake.command(&flake.rule(), &["run", "--yes"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(!flake.store.has("dead"));
        assert_eq!(flake.store.names().len(), 2);
        flake.store.assert_sound();
    });
}

#[test]
fn a_saved_plan_keeps_what_it_was_made_to_keep() {
    let Some(nix) = nixes().last() else { return };
    let flake = Flake::new(nix);
    let file = flake.store.scratch.base().join("plan.json");
    let plan = ["plan", "--out", file.as_str()];
    assert_eq!(flake.command(&flake.rule(), &plan).status, 0);
    // The settings of today do not name the flake.
    let apply = ["apply", file.as_str(), "--yes"];
    let ran = flake.command(&json!({}), &apply);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(!flake.store.has("dead"));
    assert_eq!(flake.evaluate().stdout, "libraw\n");
}

#[test]
fn a_flake_that_cannot_be_read_stops_the_collection_until_that_is_accepted() {
    let Some(nix) = nixes().last() else { return };
    let flake = Flake::new(nix);
    fs::write(flake.dir.join("flake.lock"), "{}").unwrap();
    let rule = flake.rule();
    let ran = flake.command(&rule, &["run", "--yes"]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("flake.unreadable") || ran.stderr.contains("flake.unreadable"));
    assert!(flake.store.has("dead"));
    let accept = ["run", "--yes", "--accept", "flake.unreadable"];
    let ran = flake.command(&rule, &accept);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(flake.store.names().len(), 0);
}
