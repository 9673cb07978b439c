//! The store that is meant: where Nix works on another one than the local one, nothing is done and nothing is shown of it.

use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;

use crate::support::{
    Daemon, Nix, Ran, command, listing, nixes, program, run_command, time, with_each_nix,
};

/// A store with three generations of a profile, a library that they need and something dead.
fn machine(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let library = scratch.add_path("library-1.0", &[], 2_000).unwrap();
    scratch.add_path("dead-1.0", &[&library], 2_000).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=3 {
        let path = scratch
            .add_path(&format!("system-{n}"), &[&library], 1_000)
            .unwrap();
        let date = time(&format!("2025-0{n}-01T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(25));
    scratch
}

/// The names in a store and the links of its profiles.
fn contents(scratch: &Scratch) -> (Vec<String>, Vec<String>) {
    let names = |dir: &Utf8Path| {
        let names = dir.read_dir_utf8().unwrap();
        let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().to_string()).collect();
        names.retain(|name| name != ".links");
        names.sort();
        names
    };
    (
        names(scratch.store().as_path()),
        names(&scratch.state_dir().join("profiles")),
    )
}

const RUN: [&str; 5] = ["run", "--yes", "--keep-last", "1", "--json"];

/// Runs a job in a store of which `change` changes how it is meant, and sees that nothing is done in either store.
fn assert_nothing_is_done(nix: &Nix, change: &dyn Fn(&Scratch, &Scratch, &mut Command)) {
    let (scratch, other) = (machine(nix), machine(nix));
    let saved = scratch.base().join("saved-plan");
    let planned = ["plan", "--keep-last", "1", "--out", saved.as_str()];
    assert_eq!(run_command(program(&scratch).args(planned)).status, 0);
    let before = (contents(&scratch), contents(&other));
    let ran = |args: &[&str]| {
        let mut command = program(&scratch);
        command.args(args);
        change(&scratch, &other, &mut command);
        run_command(&mut command)
    };
    let refused = |args: &[&str]| {
        let ran = ran(args);
        assert_eq!(ran.status, 69, "{args:?}: {} {}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("store") || ran.stdout.contains("store"),
            "{args:?}: {}",
            ran.stderr
        );
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains("nix config show"), "{args:?}: {said}");
        assert!(!said.contains("secret"), "{args:?}: {said}");
    };
    refused(&RUN);
    // Each Nix may understand its settings in its own way; the commands understand the answer in one.
    if nixes().last().is_some_and(|last| last.bin == nix.bin) {
        refused(&["run", "--yes", "--collect-method", "full"]);
        refused(&[
            "run",
            "--yes",
            "--accept",
            "store.mismatch",
            "--accept",
            "store.damaged",
        ]);
        // A plan that was drawn when the store was another one.
        refused(&["apply", "--yes", saved.as_str()]);
        refused(&["dead"]);
    }
    let Ran { status, stdout, .. } = ran(&["doctor"]);
    assert_eq!(status, 1, "{stdout}");
    assert!(stdout.contains("error    store"), "{stdout}");
    assert_eq!((contents(&scratch), contents(&other)), before);
}

fn append(file: &Utf8Path, text: &str) {
    let old = fs::read_to_string(file).unwrap_or_default();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("{old}\n{text}\n")).unwrap();
}

/// The ways to say it.
#[rstest]
#[case::nix_conf("etc/nix.conf", "store = {uri}")]
#[case::include("etc/nix.conf", "!include more.conf")]
#[case::of_the_user("home/.config/nix/nix.conf", "store = {uri}")]
#[case::nix_config("NIX_CONFIG", "store = {uri}")]
#[case::nix_remote("NIX_REMOTE", "{uri}")]
fn another_store_by_whatever_setting_is_refused(#[case] place: &str, #[case] text: &str) {
    with_each_nix(|nix| {
        assert_nothing_is_done(nix, &|scratch, other, command| {
            let uri = format!("local?store={}&state={}", other.store(), other.state_dir());
            let text = text.replace("{uri}", &uri);
            if place.starts_with("NIX_") {
                command.env(place, text);
                return;
            }
            let file = scratch.base().join(place);
            if !fs::read_to_string(&file).is_ok_and(|old| old.contains(&text)) {
                append(&file, &text);
                append(
                    &scratch.base().join("etc/more.conf"),
                    &format!("store = {uri}"),
                );
            }
            command.env_remove("NIX_USER_CONF_FILES");
        });
    });
}

/// What can be said.
#[rstest]
#[case("local?root={other}")]
#[case("local?root=%2F{other}")]
#[case("auto?root={other}")]
#[case("local?real={other}/nix/store")]
#[case("local?state={other}/nix/var/nix")]
#[case("{other}")]
#[case("dummy://")]
#[case("ssh-ng://me:secret@nowhere.invalid?ssh-key=secret")]
#[case("unix://{other}/sock?root={other}")]
#[case("nonsense://x")]
fn every_other_store_is_refused(#[case] uri: &str) {
    let Some(nix) = nixes().last() else {
        return;
    };
    assert_nothing_is_done(nix, &|_, other, command| {
        command.env("NIX_REMOTE", uri.replace("{other}", other.base().as_str()));
    });
}

/// Whether it is asked by its address, or lies where the variable says.
#[rstest]
#[case(true)]
#[case(false)]
fn the_daemon_of_another_store_is_refused(#[case] by_address: bool) {
    with_each_nix(|nix| {
        let elsewhere = machine(nix);
        let socket = elsewhere.base().join("other-sock");
        let _daemon = Daemon::start(&elsewhere, nix, &socket);
        let before = contents(&elsewhere);
        assert_nothing_is_done(nix, &|_, _, command| {
            if by_address {
                command.env("NIX_REMOTE", format!("unix://{socket}"));
            } else {
                command.env("NIX_REMOTE", "daemon");
                command.env("NIX_DAEMON_SOCKET_PATH", &socket);
            }
        });
        assert_eq!(contents(&elsewhere), before);
    });
}

/// Two stores of one directory: a daemon whose database is another one.
#[rstest]
#[case::empty(None)]
#[case::of_other_times(Some("UPDATE ValidPaths SET registrationTime = registrationTime + 7"))]
#[case::with_one_path_in_common(Some(
    "DELETE FROM Refs; DELETE FROM ValidPaths WHERE path NOT LIKE '%-library-1.0'"
))]
fn a_daemon_with_another_database_for_the_same_store_directory_is_refused(
    #[case] change: Option<&str>,
) {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let state = scratch.base().join("other-state");
        fs::create_dir_all(state.join("db")).unwrap();
        if let Some(change) = change {
            for entry in scratch.state_dir().join("db").read_dir_utf8().unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), state.join("db").join(entry.file_name())).unwrap();
            }
            let copy = rusqlite::Connection::open(state.join("db/db.sqlite")).unwrap();
            copy.execute_batch(change).unwrap();
            copy.close().unwrap();
        }
        let socket = scratch.base().join("sock");
        let variables = [("NIX_STATE_DIR", state.as_str())];
        let _daemon = Daemon::start_with(&scratch, nix, &socket, &variables);
        let before = contents(&scratch);
        let mut command = program(&scratch);
        let ran = run_command(command.args(RUN).env("NIX_REMOTE", "daemon"));
        assert_eq!(ran.status, 69, "{} {}", ran.stdout, ran.stderr);
        let said = "may serve another store";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert_eq!(contents(&scratch), before);
    });
}

/// A setting of the machine counts for its daemon, whatever a user's own says.
#[test]
fn a_daemon_that_is_set_to_another_store_is_refused() {
    let Some(nix) = nixes().last() else {
        return;
    };
    assert_nothing_is_done(nix, &|scratch, other, command| {
        let conf = scratch.base().join("etc/nix.conf");
        let line = format!("store = local?root={}", other.base());
        if !fs::read_to_string(&conf).unwrap().contains(&line) {
            append(&conf, &line);
        }
        command.env("NIX_CONFIG", "store = daemon");
    });
}

#[test]
fn a_nix_that_does_not_tell_its_store_is_not_let_collect() {
    let Some(nix) = nixes().last() else {
        return;
    };
    assert_nothing_is_done(nix, &|scratch, _, command| {
        let bin = scratch.base().join("bin");
        if !bin.exists() {
            with_nix(
                scratch,
                nix,
                "case \"$*\" in *'config show'*|*show-config*) exit 1 ;; esac",
            );
        }
        command.args(["--nix-bin", bin.as_str()]);
    });
}

/// Nothing is removed that could not be held, and no figure of one store is shown for another.
#[test]
fn nothing_is_planned_and_nothing_is_told_of_another_store() {
    let Some(nix) = nixes().last() else {
        return;
    };
    let scratch = machine(nix);
    let before = contents(&scratch);
    let ran = |args: &[&str]| {
        let mut asked = program(&scratch);
        run_command(asked.args(args).env("NIX_REMOTE", "local?root=/nowhere"))
    };
    let without = ["--no-collect", "--keep-last", "1"];
    let until = ["--until-free", "1G"];
    for args in [
        &[&["plan"], &without[..]].concat()[..],
        &[&["run", "--yes"], &without[..]].concat(),
        &[&["plan"], &until[..]].concat(),
        &["plan"],
        &["du"],
        &["why", "/nix/store"],
    ] {
        assert_eq!(ran(args).status, 69, "{args:?}: {}", ran(args).stderr);
    }
    for args in [["generations", "--json"], ["roots", "--json"]] {
        let told = ran(&args).stdout;
        assert!(told.contains("sizes are unknown"), "{args:?}: {told}");
    }
    assert_eq!(contents(&scratch), before);
}

/// The ways to the local store, of which each does its work.
#[rstest]
#[case("")]
#[case("auto")]
#[case("local")]
#[case(
    "local?store={base}/nix/store&state={base}/nix/var/nix&real={base}/nix/store&require-sigs=false"
)]
#[case("daemon")]
#[case("unix://{base}/sock")]
fn the_local_store_is_collected_however_it_is_called(#[case] uri: &str) {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let _daemon = Daemon::start(&scratch, nix, &scratch.base().join("sock"));
        let mut command = program(&scratch);
        command.env("NIX_REMOTE", uri.replace("{base}", scratch.base().as_str()));
        let ran = run_command(command.args(RUN));
        assert_eq!(ran.status, 0, "{uri}: {} {}", ran.stdout, ran.stderr);
        let (paths, links) = contents(&scratch);
        let has = |name: &str| paths.iter().any(|path| path.ends_with(name));
        assert!(!has("dead-1.0") && has("system-3"), "{uri}: {paths:?}");
        assert!(!links.contains(&"system-1-link".to_string()), "{links:?}");
    });
}

/// The newest paths are deleted by another collector after the database was read.
#[test]
fn a_daemon_is_not_refused_for_paths_that_were_deleted_meanwhile() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let newest: Vec<String> = (1..=9)
            .map(|n| {
                let path = scratch.add_path(&format!("newest-{n}"), &[], 10).unwrap();
                path.to_absolute_path(scratch.store()).into_string()
            })
            .collect();
        let _daemon = Daemon::start(&scratch, nix, &scratch.base().join("sock"));
        let done = scratch.base().join("done");
        let delete = nix.bin.join("nix-store");
        let bin = with_nix(
            &scratch,
            nix,
            &format!(
                "case \"$*\" in *path-info*) [ -e '{done}' ] || NIX_REMOTE=local '{delete}' --delete {} >&2; : > '{done}' ;; esac",
                newest.join(" ")
            ),
        );
        let mut command = program(&scratch);
        command.env("NIX_REMOTE", "daemon");
        command.args(RUN).args(["--nix-bin", bin.as_str()]);
        let ran = run_command(&mut command);
        assert_eq!(ran.status, 0, "{} {}", ran.stdout, ran.stderr);
        assert!(done.exists(), "no daemon was asked");
    });
}

/// What was removed is put back where it was removed, or not at all.
#[test]
fn an_undo_is_refused_in_another_store() {
    with_each_nix(|nix| {
        let (scratch, other) = (machine(nix), machine(nix));
        let ran = run_command(program(&scratch).args(RUN));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let before = (listing(other.base()), contents(&scratch));
        let uri = format!("local?root={}", other.base());
        let undo = |uri: &str| run_command(program(&scratch).args(["undo"]).env("NIX_REMOTE", uri));
        let refused = undo(&uri);
        assert_eq!(refused.status, 69, "{}", refused.stderr);
        assert!(
            refused.stderr.contains("nothing was done"),
            "{}",
            refused.stderr
        );
        assert_eq!((listing(other.base()), contents(&scratch)), before);
        assert_eq!(undo("local").status, 0);
    });
}

/// Nix's programs, of which `nix` does this first.
fn with_nix(scratch: &Scratch, nix: &Nix, first: &str) -> Utf8PathBuf {
    let bin = scratch.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in ["nix-env", "nix-store", "nix-collect-garbage"] {
        std::os::unix::fs::symlink(nix.bin.join(tool), bin.join(tool)).unwrap();
    }
    let real = nix.bin.join("nix");
    let text = format!("{first}\nexec '{real}' \"$@\"");
    crate::support::script(&bin.join("nix"), &text);
    bin
}

/// Every variable that decides which nix.conf is read, or what it says.
#[rstest]
#[case::conf_dir("NIX_CONF_DIR", "{dir}", "nix.conf")]
#[case::conf_files("NIX_USER_CONF_FILES", "{dir}/a.conf:{dir}/b.conf", "b.conf")]
#[case::of_nix("NIX_CONFIG_HOME", "{dir}", "nix.conf")]
#[case::config_home("XDG_CONFIG_HOME", "{dir}", "nix/nix.conf")]
#[case::config_dirs("XDG_CONFIG_DIRS", "/nowhere:{dir}", "nix/nix.conf")]
#[case::home("HOME", "{dir}", ".config/nix/nix.conf")]
#[case::nix_config("NIX_CONFIG", "{text}", "")]
fn a_run_sees_the_settings_that_nix_config_show_shows_by_hand(
    #[case] name: &str,
    #[case] value: &str,
    #[case] file: &str,
) {
    const TEXT: &str = "keep-outputs = true\nmin-free = 12345";
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let dir = scratch.base().join("settings");
        if !file.is_empty() {
            append(&dir.join(file), TEXT);
        }
        let value = value.replace("{dir}", dir.as_str()).replace("{text}", TEXT);
        let surround = |command: &mut Command| {
            // As on a machine where nobody has set it.
            command.env_remove("NIX_USER_CONF_FILES");
            if name == "HOME" {
                command.env_remove("XDG_CONFIG_HOME");
            }
            command.env(name, &value);
        };
        let answer = scratch.base().join("answer");
        let real = nix.bin.join("nix");
        let first = format!(
            "case \"$*\" in *'config show'*|*show-config*) '{real}' \"$@\" > '{answer}' || exit; cat '{answer}'; exit ;; esac"
        );
        let bin = with_nix(&scratch, nix, &first);
        let mut run = program(&scratch);
        run.args(["dead", "--nix-bin", bin.as_str()]);
        surround(&mut run);
        let ran = run_command(&mut run);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let saw = fs::read_to_string(&answer).unwrap();

        let words: &[&str] = if nix.version.contains(" 2.8") {
            &["show-config"]
        } else {
            &["config", "show"]
        };
        let mut by_hand = command(nix.bin.join("nix"));
        by_hand
            .env_clear()
            .envs(scratch.env())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .args(["--extra-experimental-features", "nix-command"])
            .args(words);
        surround(&mut by_hand);
        let shown = run_command(&mut by_hand).stdout;
        // Nix before 2.25 does not know the variable of its own.
        let is_read = shown.contains("min-free = 12345");
        assert!(is_read || name == "NIX_CONFIG_HOME", "{shown}");
        assert_eq!(saw, shown, "{}", nix.version);
    });
}

/// The older name of a variable counts where the newer one says nothing.
#[test]
fn the_store_directory_has_an_older_variable() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let mut command = program(&scratch);
        command
            .env_remove("NIX_STORE_DIR")
            .env("NIX_STORE", scratch.store().as_path())
            .arg("dead");
        let ran = run_command(&mut command);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("dead-1.0"), "{}", ran.stdout);
        // Nix itself must get the same directory, under whichever name.
        let answer = scratch.base().join("answer");
        let bin = with_nix(
            &scratch,
            nix,
            &format!("echo \"${{NIX_STORE_DIR:-$NIX_STORE}}\" > '{answer}'"),
        );
        let _ = run_command(command.args(["--nix-bin", bin.as_str()]));
        let got = fs::read_to_string(&answer).unwrap();
        assert_eq!(got.trim_end(), scratch.store().as_path());
    });
}
