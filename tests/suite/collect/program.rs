//! The real program collects by name, wholly, or not at all.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use nix_prune::domain::graph::KeepFlags;
use rstest::rstest;
use serde_json::{Value, json};

use super::chain;
use super::stores::{Dice, Row, Store, any_store};
use crate::support::{
    Daemon, Ran, by_hand, guide_example, is_root, nixes, program, run_command, script, skipped,
    with_each_nix,
};

/// A store whose Nix writes down how it is called.
struct Watched {
    store: Store,
    bin: String,
}

impl Watched {
    fn new(nix: &crate::support::Nix, flags: KeepFlags) -> Self {
        let store = Store::new(nix, flags);
        let bin = store.scratch.base().join("spies");
        fs::create_dir(&bin).unwrap();
        let said = store.scratch.base().join("said");
        for tool in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
            let real = nix.bin.join(tool);
            let text = format!("echo {tool} \"$@\" >>'{said}'\nexec '{real}' \"$@\"");
            script(&bin.join(tool), &text);
        }
        let bin = bin.into_string();
        Self { store, bin }
    }

    /// Runs a job that collects as `collect` says, and does nothing else.
    fn command(&self, collect: &Value, args: &[&str]) -> std::process::Command {
        let settings = self.store.scratch.base().join("settings.json");
        let jobs = json!({"gc": {"operations": {"collect": collect}}});
        let text = json!({"version": 2, "jobs": jobs}).to_string();
        fs::write(&settings, text).unwrap();
        let mut command = program(&self.store.scratch);
        command.args(args).args(["--config", settings.as_str()]);
        command.args(["--nix-bin", &self.bin]);
        command
    }

    fn run(&self, collect: &Value, args: &[&str]) -> Ran {
        let all: Vec<&str> = ["run", "--yes", "--json"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        run_command(&mut self.command(collect, &all))
    }

    /// Which collecting commands Nix was given since the last time.
    fn said(&self) -> BTreeSet<String> {
        let file = self.store.scratch.base().join("said");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        let words = text.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').take(2).collect();
            words.join(" ")
        });
        words
            .filter(|line| line.contains("delete") || line.contains("garbage"))
            .collect()
    }
}

fn entry(ran: &Ran) -> Value {
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let receipt: Value = serde_json::from_str(&ran.stdout).unwrap();
    let entries = receipt["entries"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 1, "{receipt}");
    entries.into_iter().next().unwrap()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(ToString::to_string).collect()
}

#[test]
fn a_run_deletes_by_name_what_nix_would_collect() {
    with_each_nix(|nix| {
        let (rows, roots) = any_store(&mut Dice::new(7));
        let by_name = Watched::new(nix, KeepFlags::NIX_DEFAULT);
        let by_nix = Store::new(nix, KeepFlags::NIX_DEFAULT);
        for store in [&by_name.store, &by_nix] {
            store.fill(&rows);
            for root in &roots {
                store.root(root);
            }
        }
        by_hand(&by_nix.scratch, "nix-collect-garbage", &[]);
        let before = by_name.store.names().len();
        let ran = by_name.run(&json!({}), &[]);
        assert_eq!(entry(&ran)["outcome"], "done");
        assert_eq!(by_name.said(), set(&["nix-store --delete"]));
        assert_eq!(by_name.store.names(), by_nix.names());
        by_name.store.assert_clean();
        let receipt: Value = serde_json::from_str(&ran.stdout).unwrap();
        let gone = before - by_name.store.names().len();
        assert!(gone > 0);
        assert_eq!(receipt["bytes"]["paths"], gone);
    });
}

#[rstest]
#[case::as_set(json!({"method": "full"}), &[], false)]
#[case::for_this_time(json!({"method": "selective"}), &["--collect-method=full"], false)]
#[case::for_a_foreign_name(json!({}), &[], true)]
fn a_whole_collection_is_nixs_own(
    #[case] collect: Value,
    #[case] args: &[&str],
    #[case] foreign: bool,
) {
    let Some(nix) = nixes().last() else { return };
    let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
    chain(&watched.store);
    let junk = watched.store.scratch.store().as_path().join("junk");
    if foreign {
        fs::write(&junk, "").unwrap();
    }
    let entry = entry(&watched.run(&collect, args));
    assert_eq!(watched.said(), set(&["nix-collect-garbage"]));
    assert_eq!(watched.store.names().len(), 0);
    let detail = entry["detail"].as_str().unwrap_or_default();
    assert_eq!(detail.contains("not store paths"), foreign, "{detail}");
}

#[test]
fn by_name_or_not_at_all_leaves_a_foreign_name() {
    let Some(nix) = nixes().last() else { return };
    let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
    chain(&watched.store);
    fs::write(watched.store.scratch.store().as_path().join("junk"), "").unwrap();
    let entry = entry(&watched.run(&json!({}), &["--collect-method=selective"]));
    assert_eq!(watched.said(), set(&["nix-store --delete"]));
    assert_eq!(watched.store.names(), set(&["junk"]));
    let detail = entry["detail"].as_str().unwrap();
    assert!(detail.contains("some names were not deleted"), "{detail}");
}

/// `old` needs nothing; `new` is recent and needs `base`, which is old.
fn old_and_new(store: &Store) {
    let now = jiff::Timestamp::now().as_second();
    let old = now - 10 * 86_400;
    store.fill(&[
        Row::new("old", &[]).registered(old),
        Row::new("base", &[]).registered(old),
        Row::new("new", &["base"]).registered(now - 3_600),
        // As old as can be, to the second, and older.
        Row::new("edge", &[]).registered(now - 2 * 86_400 + 60),
        Row::new("over", &[]).registered(now - 2 * 86_400 - 60),
    ]);
}

#[test]
fn what_is_recent_stays_with_what_it_needs() {
    with_each_nix(|nix| {
        let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
        let store = &watched.store;
        old_and_new(store);
        // When it came nobody knows.
        store.unregistered("left-over");
        fs::write(store.scratch.store().as_path().join("junk"), "").unwrap();
        let recent = json!({"keepRecent": "2d"});
        let planned = run_command(&mut watched.command(&recent, &["plan", "--json"]));
        let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
        assert_eq!(plan["prediction"]["paths"], 2, "{plan}");
        let told = run_command(&mut watched.command(&recent, &["plan"])).stdout;
        assert!(told.contains("3 dead paths of"), "{told}");

        assert_eq!(entry(&watched.run(&recent, &[]))["outcome"], "done");
        for name in ["base", "new", "edge", "left-over"] {
            assert!(store.has(name), "{name}");
        }
        assert_eq!(store.names().len(), 5, "{:?}", store.names());
        assert_eq!(watched.said(), set(&["nix-store --delete"]));
        store.assert_sound();
        // Without the wish everything goes.
        watched.run(&json!({}), &[]);
        assert_eq!(store.names().len(), 0);
    });
}

#[test]
fn what_live_paths_were_built_with_stays_with_the_rule() {
    let example = guide_example("collecting", "keepBuildDependencies");
    let rule: Value = serde_json::from_str(&example).unwrap();
    with_each_nix(|nix| {
        for keeps in [true, false] {
            let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
            let store = &watched.store;
            store.fill(&[
                Row::derivation("tool.drv", &["tool"]),
                Row::new("tool", &[]).derived_from("tool.drv"),
                Row::derivation("out.drv", &["out"]).that_needs("tool.drv"),
                Row::new("out", &[]).derived_from("out.drv"),
                Row::new("dead", &[]),
            ]);
            store.root("out");
            let collect = if keeps {
                rule["collect"].clone()
            } else {
                json!({})
            };
            let plan = run_command(&mut watched.command(&collect, &["plan"])).stdout;
            assert_eq!(
                plan.contains("1 dead path of 8 B are kept because live"),
                keeps,
                "{plan}"
            );
            assert_eq!(entry(&watched.run(&collect, &[]))["outcome"], "done");
            assert_eq!(watched.said(), set(&["nix-store --delete"]));
            assert_eq!(store.has("tool"), keeps);
            assert_eq!(store.names().len(), if keeps { 4 } else { 3 });
            store.assert_sound();
        }
    });
}

#[test]
fn where_nix_may_not_be_told_names_what_is_recent_is_spared_by_collecting_nothing() {
    let Some(nix) = nixes().last() else { return };
    let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
    old_and_new(&watched.store);
    // One that nobody has tried.
    let bin = watched.store.scratch.base().join("spies/nix");
    let real = nix.bin.join("nix");
    let newer = format!(
        "[ \"$1\" = --version ] && {{ echo 'nix (Nix) 9.1.0'; exit; }}\nexec '{real}' \"$@\""
    );
    script(&bin, &newer);
    let ran = watched.run(&json!({"keepRecent": "2d"}), &[]);
    assert_ne!(ran.status, 0, "{}", ran.stdout);
    assert_eq!(watched.store.names().len(), 5);
    assert_eq!(watched.said(), set(&[]));
    let receipt: Value = serde_json::from_str(&ran.stdout).unwrap();
    let detail = receipt["entries"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("version of Nix"), "{detail}");
}

#[test]
fn a_saved_plan_spares_what_was_recent_when_it_was_drawn() {
    let Some(nix) = nixes().last() else { return };
    let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
    old_and_new(&watched.store);
    let file = watched.store.scratch.base().join("plan.json");
    let plan = ["plan", "--keep-recent=2d", "--out", file.as_str()];
    let planned = run_command(&mut watched.command(&json!({}), &plan));
    assert_eq!(planned.status, 0, "{}", planned.stderr);
    let apply = ["apply", file.as_str(), "--yes", "--json"];
    let ran = run_command(&mut watched.command(&json!({}), &apply));
    assert_eq!(entry(&ran)["outcome"], "done");
    assert_eq!(watched.store.names().len(), 3);
}

#[test]
fn a_user_of_a_daemon_collects_by_name() {
    const USER: u32 = 54_322;
    if !is_root() {
        return skipped("collecting through a daemon as another user, which takes root");
    }
    with_each_nix(|nix| {
        let watched = Watched::new(nix, KeepFlags::NIX_DEFAULT);
        let (store, scratch) = (&watched.store, &watched.store.scratch);
        chain(store);
        store.root("other");
        let socket = scratch.base().join("sock");
        let _daemon = Daemon::start(scratch, nix, &socket);
        let home = scratch.base().join("user");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(USER), Some(USER)).unwrap();
        fs::write(scratch.base().join("said"), "").unwrap();
        std::os::unix::fs::chown(scratch.base().join("said"), Some(USER), None).unwrap();
        let mut command = watched.command(&json!({}), &["run", "--yes", "--json"]);
        command
            .env("HOME", &home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("NIX_REMOTE", "daemon")
            .env("NIX_DAEMON_SOCKET_PATH", &socket)
            .env_remove("NIX_PRUNE_STATE_DIR");
        std::os::unix::process::CommandExt::uid(&mut command, USER);
        std::os::unix::process::CommandExt::gid(&mut command, USER);
        let ran = run_command(&mut command);
        assert_eq!(entry(&ran)["outcome"], "done", "{}", ran.stdout);
        assert_eq!(
            watched.said(),
            set(&["nix-store --delete"]),
            "{}",
            ran.stdout
        );
        assert_eq!(store.names().len(), 2, "{:?}", store.names());
        store.assert_sound();
    });
}

#[test]
fn a_job_that_collects_nothing_spares_nothing() {
    let Some(nix) = nixes().last() else { return };
    let store = Store::new(nix, KeepFlags::NIX_DEFAULT);
    let settings = store.scratch.base().join("settings.json");
    let text = r#"{"version": 2, "jobs": {"v": {"operations": {"verify": {"enabled": true}}}}}"#;
    fs::write(&settings, text).unwrap();
    for (args, says) in [
        (vec!["--keep-recent=2d"], "does not collect garbage"),
        (vec!["--collect-method=never"], "never"),
    ] {
        let mut command = program(&store.scratch);
        command
            .args(["plan", "--config", settings.as_str()])
            .args(args);
        let ran = run_command(&mut command);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}
