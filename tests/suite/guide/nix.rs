//! The Nix in the pages of the book is Nix, and its flakes have what they promise. `scripts/check-modules` evaluates the modules.

use std::fs;

use serde_json::{Value, json};

use super::{files, home, read};
use crate::support::{Ran, blocks, command, nixes, run_command};

/// Evaluates an expression without a store.
fn evaluate(args: &[&str]) -> Option<Ran> {
    let nix = nixes().last()?;
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(nix.bin.join("nix-instantiate"));
    command
        .args(["--store", "dummy://"])
        .args(args)
        .env_clear()
        .env("HOME", dir.path())
        .env("NIX_STATE_DIR", dir.path().join("state"));
    Some(run_command(&mut command))
}

#[test]
fn every_example_in_nix_can_be_parsed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("example.nix");
    let mut count = 0;
    for page in files("docs", &["md"]) {
        let text = read(&page);
        for example in blocks(&text, "nix") {
            count += 1;
            fs::write(&file, example).unwrap();
            let Some(ran) = evaluate(&["--parse", file.to_str().unwrap()]) else {
                return;
            };
            assert_eq!(ran.status, 0, "{page}: {example}\n{}", ran.stderr);
        }
    }
    assert!(count > 20, "{count} examples");
}

/// With stand-ins for what they get, the flakes of a fleet deploy the policy to their machines.
#[test]
fn the_flakes_of_a_fleet_deploy_the_policy() {
    let text = fs::read_to_string(home().join("docs/guide/fleet.md")).unwrap();
    let examples = blocks(&text, "nix");
    let flakes: Vec<&&str> = examples
        .iter()
        .filter(|it| it.contains("outputs ="))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    for name in [
        "nix-prune-policy.nix",
        "machines/web.nix",
        "machines/db.nix",
    ] {
        fs::create_dir_all(place(name).parent().unwrap()).unwrap();
        fs::write(place(name), "{ }").unwrap();
    }
    fs::create_dir(place("nixpkgs")).unwrap();
    fs::write(place("nixpkgs/default.nix"), "_: { }").unwrap();
    let modules = "map (m: if builtins.isPath m then baseNameOf m else m)";
    let what = [
        format!("builtins.mapAttrs (_: m: {modules} m.modules) o.nixosConfigurations"),
        format!("{modules} o.colmena.defaults.imports"),
        "o.deploy.nodes.web.profiles.system.path".to_string(),
    ];
    let policy = |name: &str| json!(["the module", "nix-prune-policy.nix", name]);
    let expected: [Value; 3] = [
        json!({ "web": policy("web.nix"), "db": policy("db.nix") }),
        json!(["the module", "nix-prune-policy.nix"]),
        json!("activates web.nix"),
    ];
    assert_eq!(flakes.len(), what.len());
    for ((flake, what), expected) in flakes.iter().zip(what).zip(expected) {
        fs::write(place("flake.nix"), flake).unwrap();
        let expression = format!(
            "let f = import {dir}/flake.nix; o = f.outputs {{ self = o; nixpkgs = {{ outPath = {dir}/nixpkgs; lib.nixosSystem = it: it; }}; \
             nix-prune.nixosModules.default = \"the module\"; \
             deploy-rs.lib.x86_64-linux.activate.nixos = it: \"activates ${{baseNameOf (builtins.elemAt it.modules 2)}}\"; }}; in {what}",
            dir = dir.path().display(),
        );
        let Some(ran) = evaluate(&["--eval", "--strict", "--json", "--expr", &expression]) else {
            return;
        };
        assert_eq!(ran.status, 0, "{flake}: {}", ran.stderr);
        assert_eq!(
            serde_json::from_str::<Value>(&ran.stdout).unwrap(),
            expected
        );
    }
}
