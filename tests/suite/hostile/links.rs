//! Links of users that are roots, under rules: a tree with everything that can be in one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::{Scratch, set_link_time};
use serde_json::json;

use super::{ends, json as document, on_disk, store, store_of};
use crate::support::{by_hand, command, time, with_each_nix};

const OLD: &str = "2025-01-01T00:00:00Z";

/// Writes settings with these rules.
fn settings(scratch: &Scratch, rules: &serde_json::Value) -> Utf8PathBuf {
    let file = scratch.base().join("rules.json");
    let settings = json!({
        "version": 2,
        "jobs": { "daily": { "operations": { "roots": { "rules": rules }, "collect": {} } } },
    });
    fs::write(&file, settings.to_string()).unwrap();
    file
}

/// Makes a root of a path of its own, with an old link.
fn root(scratch: &Scratch, link: &str) -> Utf8PathBuf {
    let name = link.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let path = scratch.add_path(&format!("p{name}"), &[], 1000).unwrap();
    let link = scratch.home().join(link);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    scratch.add_root(&link, &path).unwrap();
    set_link_time(&link, time(OLD)).unwrap();
    link
}

/// Makes everything below a directory old, links included.
fn age(dir: &Utf8Path) {
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.symlink_metadata().unwrap().is_dir() {
            age(&path);
        }
        set_link_time(&path, time(OLD)).unwrap();
    }
}

fn file(path: &Utf8Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What becomes of each link, as `plan --json` says it: the rule that removes it, or the first reason to keep it.
fn verdicts(scratch: &Scratch, config: &Utf8Path) -> BTreeMap<String, String> {
    let plan = document(&ends(
        scratch,
        &["--config", config.as_str(), "plan", "--json"],
        0,
    ));
    let items = plan["items"].as_array().unwrap().iter();
    let links = items.filter(|item| item["subject"]["kind"] == "rootLink");
    links
        .map(|item| {
            let link = item["subject"]["link"].as_str().unwrap();
            let link = Utf8Path::new(link).strip_prefix(scratch.home()).unwrap();
            let verdict = match item["action"]["rule"].as_u64() {
                Some(rule) => format!("rule {rule}"),
                None => item["reasons"][0]["code"].as_str().unwrap().to_string(),
            };
            (link.to_string(), verdict)
        })
        .collect()
}

/// The links below a home that are there, with their texts and times.
fn links(dir: &Utf8Path) -> BTreeMap<Utf8PathBuf, (Utf8PathBuf, i64)> {
    let mut found = BTreeMap::new();
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        let data = path.symlink_metadata().unwrap();
        if data.is_symlink() {
            found.insert(path.clone(), (path.read_link_utf8().unwrap(), data.mtime()));
        } else if data.is_dir() {
            found.extend(links(&path));
        }
    }
    found
}

struct Working(Child);

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn work_in(dir: &Utf8Path) -> Working {
    let child = command("sleep").arg("600").current_dir(dir).spawn();
    Working(child.unwrap())
}

#[test]
fn a_tree_of_projects_is_thinned_out_by_rules_and_restored() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let home = scratch.home();
        let all = [
            "src/old/result",
            "src/live/result",
            "src/open/result",
            "src/keep/result",
            "src/env/.direnv/flake-profile-a-1-link",
            "src/left/.direnv/flake-profile-b-1-link",
            "src/tree/result",
            "src/gone/result",
            "src/many/result-1",
            "src/many/result-2",
            ".local/state/home-manager/gcroots/current-home",
            "result",
        ];
        for link in all {
            root(&scratch, link);
        }
        let src = home.join("src");
        file(&src.join("live/.git/index"), "");
        file(&src.join("env/.envrc"), "");
        file(&src.join("repo/.git/worktrees/tree/index"), "");
        let gitdir = |name: &str| format!("gitdir: {src}/repo/.git/worktrees/{name}\n");
        file(&src.join("tree/.git"), &gitdir("tree"));
        file(&src.join("gone/.git"), &gitdir("gone"));
        age(&home);
        file(&src.join("live/.git/index"), "now");
        set_link_time(&src.join("many/result-2"), time("2025-02-01T00:00:00Z")).unwrap();
        let _working = work_in(&src.join("open"));
        let config = settings(
            &scratch,
            &json!([
                { "match": format!("{home}/src/keep/**"), "action": "keep" },
                { "projectGone": true },
                { "match": format!("{home}/src/many/*"), "keepLatestPerDirectory": 1 },
                { "kind": "direnv", "unusedFor": "4000d" },
                { "kind": "result", "match": format!("{home}/src/{{old,live,open,keep,tree}}/*"), "unusedFor": "30d" },
            ]),
        );
        let expected = [
            ("result", "projectExists"),
            ("src/env/.direnv/flake-profile-a-1-link", "usedWithin"),
            ("src/gone/result", "rule 2"),
            ("src/keep/result", "ruleKeepsIt"),
            ("src/left/.direnv/flake-profile-b-1-link", "rule 2"),
            ("src/live/result", "usedWithin"),
            ("src/many/result-1", "rule 3"),
            ("src/many/result-2", "latestInDirectory"),
            ("src/old/result", "rule 5"),
            ("src/open/result", "inUse"),
            ("src/tree/result", "rule 5"),
        ];
        let found = verdicts(&scratch, &config);
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(found, expected);
        let before = links(&home);
        let arguments = ["--config", config.as_str(), "run", "--yes"];
        let ran = ends(&scratch, &arguments, 0);
        assert!(ran.stdout.contains("Removed 5 roots"), "{}", ran.stdout);
        let removed: Vec<&str> = expected
            .iter()
            .filter(|(_, verdict)| verdict.starts_with("rule "))
            .map(|(link, _)| *link)
            .collect();
        let left = links(&home);
        for link in all {
            let gone = removed.contains(&link);
            assert_eq!(left.contains_key(&home.join(link)), !gone, "{link}");
            let name = format!(
                "p{}",
                link.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            );
            assert!(on_disk(&scratch, &name), "{link} is held");
        }
        // Nix drops the entries of the links, and keeps what is held.
        by_hand(&scratch, "nix-collect-garbage", &[]);
        let undone = ends(&scratch, &["undo"], 0);
        assert!(undone.stdout.contains("5 roots"), "{}", undone.stdout);
        assert_eq!(links(&home), before);
        by_hand(&scratch, "nix-collect-garbage", &[]);
        for link in all {
            let name = format!(
                "p{}",
                link.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            );
            assert!(on_disk(&scratch, &name), "{link} is a root again");
        }
        // Without an undo window they are collected with the run.
        let now = [&arguments[..], &["--now"]].concat();
        ends(&scratch, &now, 0);
        for link in removed {
            let name = format!(
                "p{}",
                link.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            );
            assert!(!on_disk(&scratch, &name), "{link} is collected");
        }
        assert!(on_disk(&scratch, "psrc-live-result"));
    });
}

#[test]
fn touch_keeps_a_project() {
    let Some(scratch) = store() else { return };
    root(&scratch, "src/a/result");
    let dir = scratch.home().join("src/a");
    let config = settings(&scratch, &json!([{ "kind": "result", "unusedFor": "30d" }]));
    assert_eq!(verdicts(&scratch, &config)["src/a/result"], "rule 1");
    let ran = ends(&scratch, &["touch", dir.as_str()], 0);
    assert_eq!(
        ran.stdout,
        format!("Marked 1 root link in {dir} as used.\n")
    );
    assert_eq!(verdicts(&scratch, &config)["src/a/result"], "usedWithin");
    let ran = ends(&scratch, &["touch", scratch.base().as_str()], 0);
    assert!(ran.stdout.contains("No link in"), "{}", ran.stdout);
    ends(&scratch, &["touch", "/absent"], 1);
}

#[test]
fn a_project_entered_between_plan_and_removal_is_kept() {
    let Some(scratch) = store() else { return };
    let link = root(&scratch, "src/a/result");
    let config = settings(&scratch, &json!([{ "kind": "result", "unusedFor": "30d" }]));
    let plan = scratch.base().join("plan.json");
    let arguments = ["--config", config.as_str(), "plan", "--out", plan.as_str()];
    ends(&scratch, &arguments, 0);
    let working = work_in(link.parent().unwrap());
    let apply = ["--config", config.as_str(), "apply", plan.as_str(), "--yes"];
    let ran = ends(&scratch, &apply, 4);
    assert!(ran.stderr.contains("no rule removes"), "{}", ran.stderr);
    assert!(link.is_symlink());
    drop(working);
    ends(&scratch, &apply, 0);
    assert!(!link.is_symlink());
}

#[test]
fn protected_links_are_kept_by_the_program() {
    let Some(scratch) = store() else { return };
    let link = root(&scratch, "src/a/result");
    let config = settings(&scratch, &json!([{ "unusedFor": "30d" }]));
    let mut text: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    text["protect"] = json!({ "roots": [format!("{}/src/**", scratch.home())] });
    fs::write(&config, text.to_string()).unwrap();
    assert_eq!(verdicts(&scratch, &config)["src/a/result"], "protected");
    ends(&scratch, &["--config", config.as_str(), "run", "--yes"], 0);
    assert!(link.is_symlink());
}

#[test]
fn a_link_directly_in_a_home_goes_by_its_own_time_whoever_works_there() {
    let Some(scratch) = store() else { return };
    let link = root(&scratch, "result");
    let _working = work_in(&scratch.home());
    let config = settings(&scratch, &json!([{ "kind": "result", "unusedFor": "30d" }]));
    ends(&scratch, &["--config", config.as_str(), "run", "--yes"], 0);
    assert!(!link.is_symlink());
}

#[test]
fn roots_shows_the_last_use_and_its_sign() {
    let Some(scratch) = store() else { return };
    let all = ["git", "old", "open", "older", "tree"].map(|dir| format!("src/{dir}/result"));
    for link in &all {
        root(&scratch, link);
    }
    let src = scratch.home().join("src");
    file(
        &src.join("tree/.git"),
        &format!("gitdir: {src}/git/.git/worktrees/tree\n"),
    );
    file(&src.join("git/.git/index"), "");
    age(&scratch.home());
    set_link_time(&src.join("git/.git/index"), time("2025-03-01T00:00:00Z")).unwrap();
    set_link_time(&src.join("older/result"), time("2024-01-01T00:00:00Z")).unwrap();
    let working = work_in(&src.join("open"));
    let roots = document(&ends(&scratch, &["roots", "--json"], 0));
    let seen = |dir: &str| {
        let mut roots = roots["roots"].as_array().unwrap().iter();
        let link = format!("{src}/{dir}/result");
        let root = roots.find(|root| root["link"] == *link).unwrap();
        let keys = ["lastUse", "usedByProcess", "projectGone"];
        keys.map(|key| root[key].clone())
    };
    let use_of = |at: &str, signal: &str| json!({ "at": at, "signal": signal });
    assert_eq!(
        seen("git"),
        [
            use_of("2025-03-01T00:00:00Z", "git"),
            json!(null),
            json!(false)
        ]
    );
    assert_eq!(
        seen("old"),
        [use_of(OLD, "link"), json!(null), json!(false)]
    );
    assert_eq!(
        seen("open"),
        [json!(null), json!(working.0.id()), json!(null)]
    );
    assert_eq!(seen("tree")[2], json!(true));
    let list = |more: &[&str]| {
        let ran = ends(
            &scratch,
            &[&["roots", "--kind", "result", "--tsv"], more].concat(),
            0,
        );
        let lines = ran.stdout.lines().skip(1);
        let dir = |line: &str| {
            let link = Utf8Path::new(line.split('\t').nth(6).unwrap());
            link.parent().unwrap().file_name().unwrap().to_string()
        };
        lines.map(dir).collect::<Vec<_>>()
    };
    let by_use = ["older", "old", "tree", "git", "open"];
    assert_eq!(list(&["--sort", "use"]), by_use);
    assert_eq!(list(&["--sort", "use", "--unused", "1d"]), by_use[..4]);
    let text = ends(&scratch, &["roots"], 0).stdout;
    for part in ["months ago, git", "now, process ", "project gone"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
