//! Where the database is closed, a daemon tells the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use nix_prune::adapters::daemon::{UnknownOutputs, read_from_daemon};
use nix_prune::adapters::database::{Database, PathRow, RowSink};
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::ports::{Interrupt, PerformError};
use serde_json::Value;

use super::number;
use super::world::{Never, World};
use crate::support::{
    Daemon, Nix, Ran, by_hand, is_root, listing, nixes, program, run, run_command, script, skipped,
    time, with_each_nix,
};

/// Rows, by names instead of numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    /// With size, time and deriver.
    paths: BTreeSet<(String, Option<u64>, i64, Option<String>)>,
    references: BTreeSet<(String, String)>,
    outputs: BTreeSet<(String, String)>,
}

/// Takes the rows as they come; a number must be known before anything refers to it.
#[derive(Default)]
struct Sink {
    names: std::collections::HashMap<i64, String>,
    rows: Rows,
}

impl RowSink for Sink {
    fn path(&mut self, row: PathRow<'_>) {
        let name = row.base_name.to_string();
        assert!(self.names.insert(row.id, name.clone()).is_none(), "{name}");
        let deriver = row.deriver.map(str::to_string);
        let row = (name, row.nar_size, row.registered, deriver);
        self.rows.paths.insert(row);
    }
    fn reference(&mut self, referrer: i64, reference: i64) {
        let names = [referrer, reference].map(|id| self.names[&id].clone());
        self.rows.references.insert(names.into());
    }
    fn output(&mut self, drv: i64, base_name: &str) {
        let row = (self.names[&drv].clone(), base_name.to_string());
        self.rows.outputs.insert(row);
    }
}

fn rows_of_the_database(scratch: &Scratch) -> Rows {
    let database = Database::new(&scratch.state_dir(), scratch.store().clone());
    database.read(Sink::default).unwrap().0.rows
}

fn rows_of_the_daemon(scratch: &Scratch) -> (Rows, UnknownOutputs) {
    let mut sink = Sink::default();
    let nix = scratch.nix().unwrap();
    let unknown = read_from_daemon(&nix, scratch.store(), &Never, &mut sink).unwrap();
    (sink.rows, unknown)
}

fn daemon(scratch: &Scratch, nix: &Nix) -> Daemon {
    Daemon::start(scratch, nix, &scratch.base().join("sock"))
}

/// Paths that Nix has built: several outputs, one that refers to itself, one that is not valid, a fixed one, one that
/// was copied in; derivations with and without their outputs.
fn build(scratch: &Scratch) {
    let expression = r#"
      let
        make = name: text: more: derivation ({
          inherit name;
          system = builtins.currentSystem;
          builder = "/bin/sh";
          args = [ "-c" text ];
        } // more);
        library = make "library-1.0" "echo $out > $out; echo $out > $dev" { outputs = [ "out" "dev" ]; };
        fixed = make "fixed" "echo fixed > $out" {
          outputHashMode = "flat";
          outputHashAlgo = "sha256";
          outputHash = builtins.hashString "sha256" "fixed\n";
        };
      in {
        tool = make "tool-2.0" "echo ${library} ${fixed} ${./expression.nix} > $out" { };
        never = make "never-3.0" "exit 1" { needs = [ library.dev ]; };
      }
    "#;
    let file = scratch.base().join("expression.nix");
    fs::write(&file, expression).unwrap();
    by_hand(
        scratch,
        "nix-build",
        &["--no-out-link", "-A", "tool", file.as_str()],
    );
    by_hand(
        scratch,
        "nix-instantiate",
        &[
            "-A",
            "never",
            file.as_str(),
            "--add-root",
            scratch.home().join("drv").as_str(),
        ],
    );
}

#[test]
fn a_daemon_tells_the_rows_of_the_database() {
    let stores = number("NIX_PRUNE_TEST_DAEMON_STORES", 12);
    let nixes = nixes();
    for (seed, nix) in (5_000..5_000 + stores).zip(nixes.iter().cycle()) {
        let world = World::new(nix, seed);
        let _daemon = daemon(&world.scratch, nix);
        let (by_daemon, unknown) = rows_of_the_daemon(&world.scratch);
        let rows = rows_of_the_database(&world.scratch);
        assert!(!rows.paths.is_empty());
        assert_eq!(by_daemon, rows, "seed {seed} with {}", nix.version);
        assert_eq!(unknown, UnknownOutputs::default(), "seed {seed}");
    }
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        build(&scratch);
        let _daemon = daemon(&scratch, nix);
        let home = listing(&scratch.home());
        let (by_daemon, unknown) = rows_of_the_daemon(&scratch);
        let rows = rows_of_the_database(&scratch);
        assert_eq!(by_daemon, rows);
        assert_eq!(unknown, UnknownOutputs::default());
        assert_eq!(listing(&scratch.home()), home, "it only reads");
        // What the test is about is there.
        assert_eq!(rows.outputs.len(), 5, "{rows:?}");
        let valid = |name: &String| rows.paths.iter().any(|row| row.0 == *name);
        assert_eq!(rows.outputs.iter().filter(|row| valid(&row.1)).count(), 4);
        assert!(rows.references.iter().any(|(from, to)| from == to));
        assert!(rows.paths.iter().any(|row| row.3.is_some()));
    });
}

/// Makes one derivation unreadable, and lets an output of another hang on what it will hold.
fn spoil_derivations(scratch: &Scratch) {
    let store = scratch.store().as_path();
    let derivation = |name: &str| {
        let mut all = store
            .read_dir_utf8()
            .unwrap()
            .map(|e| e.unwrap().into_path());
        all.find(|path| path.as_str().ends_with(&format!("-{name}.drv")))
            .unwrap()
    };
    for (name, text) in [
        ("tool-2.0", "nonsense"),
        ("library-1.0", r#"Derive([("out","","r:sha256","")],[]"#),
    ] {
        let file = derivation(name);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, text).unwrap();
    }
}

#[test]
fn what_a_daemon_cannot_tell_of_derivations_is_counted() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        build(&scratch);
        spoil_derivations(&scratch);
        let _daemon = daemon(&scratch, nix);
        let (_, unknown) = rows_of_the_daemon(&scratch);
        assert_eq!((unknown.floating, unknown.unread), (1, 1), "{unknown:?}");
        assert!(unknown.example.unwrap().contains("tool-2.0.drv"));
    });
}

/// A store with two generations and a dead path.
fn machine(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    build(&scratch);
    let library = scratch.add_path("lib-1.0", &[], 20_000).unwrap();
    scratch.add_path("dead-1.0", &[&library], 7_000).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=2 {
        let path = scratch
            .add_path(&format!("system-{n}"), &[&library], 3_000)
            .unwrap();
        let date = time(&format!("2025-0{n}-01T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    // What came just now is not told for unregistered.
    std::thread::sleep(Duration::from_millis(25));
    scratch
}

/// Moves the database where only the daemon looks for it.
fn hide(scratch: &Scratch, nix: &Nix) -> Daemon {
    let hidden = scratch.base().join("hidden");
    fs::create_dir(&hidden).unwrap();
    let state = scratch.state_dir();
    fs::rename(state.join("db"), hidden.join("db")).unwrap();
    for name in ["profiles", "gcroots", "temproots"] {
        fs::create_dir_all(state.join(name)).unwrap();
        symlink(state.join(name), hidden.join(name)).unwrap();
    }
    let socket = scratch.base().join("sock");
    Daemon::start_with(scratch, nix, &socket, &[("NIX_STATE_DIR", hidden.as_str())])
}

/// The document of a command without what hangs on the moment, and its notes.
fn document(ran: &Ran, args: &[&str]) -> (Value, String) {
    assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
    let mut document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut notes = document["notes"].take().to_string();
    if let Some(predicted) = document.pointer_mut("/prediction/notes") {
        notes += &predicted.take().to_string();
    }
    document["takenAt"].take();
    // Others write to that file system as well.
    document["disk"].take();
    (document, notes)
}

#[test]
fn where_the_database_is_not_there_every_command_asks_the_daemon() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let library = scratch.path_named("lib-1.0").unwrap().to_string();
        let commands: [&[&str]; 8] = [
            &["dead", "--json"],
            &["du", "--by", "root", "--json"],
            &["du", "--by", "package", "--json"],
            &["du", "--by", "path", "--exact", "--json"],
            &["why", "--json", &library],
            &["generations", "--json"],
            &["roots", "--json"],
            &["plan", "--json", "--keep-last", "1"],
        ];
        let expected = commands.map(|args| document(&run(&scratch, args), args).0);
        let _daemon = hide(&scratch, nix);
        // The daemon of 2.8 sets the modes of the users' directories anew each time.
        let state = || {
            let mut all = listing(&scratch.state_dir());
            all.retain(|name, _| !name.contains("per-user"));
            all
        };
        let before = state();
        for (args, expected) in commands.iter().zip(expected) {
            let asked = run_command(program(&scratch).env("NIX_REMOTE", "daemon").args(*args));
            let (by_daemon, notes) = document(&asked, args);
            assert_eq!(by_daemon, expected, "{args:?}");
            assert!(
                notes.contains("read the store paths from nix-daemon"),
                "{args:?}: {notes}"
            );
            assert!(notes.contains("does not exist"), "{args:?}: {notes}");
        }
        assert_eq!(state(), before, "it only reads");
    });
}

#[test]
fn a_user_who_may_not_read_the_database_is_told_by_the_daemon() {
    if !is_root() {
        return skipped("running as another user takes root");
    }
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let db = scratch.state_dir().join("db");
        fs::set_permissions(&db, fs::Permissions::from_mode(0o700)).unwrap();
        let ask = |remote: &str| {
            let mut command = program(&scratch);
            let command = command.env("NIX_REMOTE", remote).args(["dead", "--json"]);
            run_command(command.gid(65_533).uid(65_533))
        };
        let (expected, _) = document(&run(&scratch, &["dead", "--json"]), &[]);
        // Without a daemon it is said that one was asked.
        let alone = ask("");
        assert_eq!(alone.status, 77, "{}", alone.stderr);
        assert!(
            alone.stderr.contains("nix-daemon failed as well") && alone.stderr.contains("sock"),
            "{}",
            alone.stderr
        );
        let socket = scratch.base().join("sock");
        let _daemon = Daemon::start(&scratch, nix, &socket);
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
        for remote in ["", "auto", "daemon", &format!("unix://{socket}")] {
            let (by_daemon, notes) = document(&ask(remote), &[]);
            assert_eq!(by_daemon["paths"], expected["paths"], "{remote}");
            assert_eq!(by_daemon["total"], expected["total"], "{remote}");
            assert!(
                notes.contains("read the store paths from nix-daemon"),
                "{notes}"
            );
        }
        // Who has the store for itself does not go around a lock.
        assert_eq!(ask("local").status, 77);
    });
}

#[test]
fn what_a_daemon_cannot_tell_of_outputs_matters_where_they_are_kept() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        spoil_derivations(&scratch);
        let _daemon = hide(&scratch, nix);
        let notes = |own: bool| {
            let args = ["dead", "--json"];
            let mut command = program(&scratch);
            command
                .env("NIX_REMOTE", "daemon")
                .env("NIX_CONFIG", format!("keep-outputs = {own}"));
            let asked = run_command(command.args(args));
            document(&asked, &args).1
        };
        let floating = "dead paths may be over-reported: the daemon does not know the outputs of 1 derivations; 1 \
                        derivations cannot be read";
        let conf = scratch.base().join("etc/nix.conf");
        let text = fs::read_to_string(&conf).unwrap();
        // The daemon may take the setting of the machine or our own.
        for (keep, own, doubted) in [
            (true, true, true),
            (true, false, true),
            (false, true, true),
            (false, false, false),
        ] {
            fs::write(&conf, format!("{text}keep-outputs = {keep}\n")).unwrap();
            let notes = notes(own);
            assert_eq!(notes.contains(floating), doubted, "{keep}: {notes}");
            assert_eq!(notes.contains("derivations"), doubted, "{keep}: {notes}");
        }
    });
}

#[test]
fn who_asks_to_stop_while_a_daemon_tells_is_not_told_of_the_store() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let _daemon = hide(&scratch, nix);
        // The answer never comes: the one who waits for it is asked to stop.
        let bin = bin_with(&scratch, nix, "kill -INT $PPID; exec sleep 60");
        let args = ["dead", "--nix-bin", bin.as_str()];
        let ran = run_command(program(&scratch).env("NIX_REMOTE", "daemon").args(args));
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
        assert!(ran.stderr.contains("Nothing was changed"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("db.sqlite"), "{}", ran.stderr);
    });
}

/// Nix's programs, of which `nix` does this instead of telling the store's paths.
fn bin_with(scratch: &Scratch, nix: &Nix, instead: &str) -> Utf8PathBuf {
    let bin = scratch.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in ["nix-env", "nix-store", "nix-collect-garbage"] {
        symlink(nix.bin.join(tool), bin.join(tool)).unwrap();
    }
    let real = nix.bin.join("nix");
    let text = format!("case \"$*\" in *path-info*) {instead} ;; *) exec '{real}' \"$@\" ;; esac");
    script(&bin.join("nix"), &text);
    bin
}

#[test]
fn a_daemon_is_not_asked_around_what_is_wrong_with_the_database() {
    let Some(nix) = nixes().last() else {
        return;
    };
    let scratch = machine(nix);
    let _daemon = daemon(&scratch, nix);
    fs::write(scratch.state_dir().join("db/schema"), "11").unwrap();
    let ran = run_command(program(&scratch).env("NIX_REMOTE", "daemon").arg("dead"));
    assert_eq!(ran.status, 69, "{}", ran.stderr);
    assert!(ran.stderr.contains("schema `11`"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("failed as well"), "{}", ran.stderr);
}

/// Asks a Nix that answers with this text for the store's paths.
fn answer_of(nix: &Nix, interrupt: &dyn Interrupt, text: &dyn Fn(&Scratch) -> Value) -> Answer {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let answer = scratch.base().join("answer");
    fs::write(&answer, text(&scratch).to_string()).unwrap();
    let bin = bin_with(&scratch, nix, &format!("cat '{answer}'"));
    let child_env = scratch.child_env().clone();
    let cli = NixCli::new(scratch.places(), Some(&bin), child_env, Arc::new(Never)).unwrap();
    let mut sink = Sink::default();
    let unknown = read_from_daemon(&cli, scratch.store(), interrupt, &mut sink);
    (sink.rows, unknown)
}

type Answer = (Rows, Result<UnknownOutputs, PerformError>);

/// Asked to stop from the beginning.
struct AtOnce;

impl Interrupt for AtOnce {
    fn requested(&self) -> bool {
        true
    }
}

/// Two paths, of which the first has no size and refers to the second, and to a derivation that is on disk; and another
/// derivation, which is not.
fn changing(scratch: &Scratch) -> Value {
    let path = |name: &str| {
        let path = scratch.path_named(name).unwrap();
        path.to_absolute_path(scratch.store()).into_string()
    };
    let deleted = path("deleted.drv");
    fs::write(
        &deleted,
        r#"Derive([("out","/x","","")],[],[],"","",[],[])"#,
    )
    .unwrap();
    let row = |size: u64, references: Value| serde_json::json!({"narSize": size, "references": references, "registrationTime": 9});
    let rows = [
        (path("a"), row(0, serde_json::json!([path("b"), deleted]))),
        (path("b"), row(7, serde_json::json!([]))),
        (path("gone.drv"), row(7, serde_json::json!([]))),
    ];
    Value::Object(rows.into_iter().collect())
}

#[test]
fn what_goes_while_a_daemon_tells_is_neither_named_nor_counted() {
    let Some(nix) = nixes().last().cloned() else {
        return;
    };
    let (rows, unknown) = answer_of(&nix, &Never, &changing);
    // The sink takes no number that it does not know.
    assert_eq!(unknown.unwrap(), UnknownOutputs::default());
    assert_eq!(
        (rows.paths.len(), rows.references.len()),
        (3, 1),
        "{rows:?}"
    );
    assert_eq!(rows.outputs, BTreeSet::new());
    let size = |name: &str| {
        rows.paths
            .iter()
            .find(|row| row.0.ends_with(name))
            .map(|row| row.1)
    };
    assert_eq!(size("-a"), Some(None), "nought is not known");
    assert_eq!(size("-b"), Some(Some(7)));
}

#[test]
fn derivations_are_not_read_any_more_when_somebody_asks_to_stop() {
    let Some(nix) = nixes().last().cloned() else {
        return;
    };
    let (_, unknown) = answer_of(&nix, &AtOnce, &changing);
    assert!(
        matches!(unknown, Err(PerformError::Interrupted { .. })),
        "{unknown:?}"
    );
}
