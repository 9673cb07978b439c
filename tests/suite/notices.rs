//! Notices: the real program on a store, with commands and desktops that keep what they get.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::render::schema;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Ran, command, is_root, nixes, program, run, run_command, script, skipped, time,
};

/// A store with four system generations.
struct Machine {
    scratch: Scratch,
    settings: Utf8PathBuf,
}

/// The goal of the job: one that no store reaches, and one that every store does.
const MISSED: &str = "1K";
const REACHED: &str = "1T";

impl Machine {
    fn new() -> Option<Self> {
        let scratch = Scratch::new(Some(&nixes().last()?.bin)).unwrap();
        for number in 1..=4 {
            let path = scratch
                .add_path(&format!("system-{number}"), &[], 1000)
                .unwrap();
            let date = time(&format!("2026-01-0{number}T00:00:00Z"));
            let system = scratch.state_dir().join("profiles/system");
            scratch.set_profile(&system, &path, date).unwrap();
        }
        let settings = scratch.base().join("notify.json");
        Some(Self { scratch, settings })
    }

    /// Writes a command that adds what it gets to a file of its own.
    fn hook(&self, text: &str) -> Utf8PathBuf {
        let hook = self.scratch.base().join("hook");
        script(&hook, text);
        hook
    }

    fn keeping_hook(&self) -> Utf8PathBuf {
        self.hook("n=$(ls \"$1\" | wc -l); cat >\"$1/$n\"")
    }

    fn kept_dir(&self) -> Utf8PathBuf {
        let dir = self.scratch.base().join("kept");
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// The notices so far; each is what its schema says.
    fn kept(&self) -> Vec<Value> {
        let schema = schema("notice").unwrap();
        let validator = jsonschema::validator_for(schema.as_value()).unwrap();
        let mut names: Vec<_> = self.kept_dir().read_dir_utf8().unwrap().collect();
        names.sort_by_key(|it| it.as_ref().unwrap().file_name().parse::<u32>().unwrap());
        let texts = names
            .iter()
            .map(|it| fs::read_to_string(it.as_ref().unwrap().path()).unwrap());
        let documents = texts.map(|text| serde_json::from_str(&text).unwrap());
        let documents: Vec<Value> = documents.collect();
        for document in &documents {
            validator.validate(document).unwrap();
        }
        documents
    }

    fn events(&self) -> Vec<String> {
        let kept = self.kept();
        kept.iter()
            .map(|it| it["event"].as_str().unwrap().to_string())
            .collect()
    }

    fn set(&self, notify: &Value, goal: &str) {
        let settings = json!({
            "version": 2,
            "notify": notify,
            "jobs": { "daily": {
                "budget": { "maxStore": goal },
                "operations": { "generations": { "keep": { "last": 2 } }, "collect": {} },
            } },
        });
        fs::write(&self.settings, settings.to_string()).unwrap();
    }

    fn run(&self, args: &[&str]) -> Ran {
        let config = ["--config", self.settings.as_str()];
        run(&self.scratch, &[&config, args].concat())
    }

    fn run_job(&self, args: &[&str]) -> Ran {
        self.run(&[args, &["run", "daily", "--yes"]].concat())
    }

    fn state_file(&self) -> Utf8PathBuf {
        self.scratch.base().join("state/notices.json")
    }
}

fn keeping(machine: &Machine) -> Value {
    json!({ "command": [machine.keeping_hook(), machine.kept_dir()] })
}

#[test]
fn a_notice_is_sent_once_for_each_change() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let notify = keeping(&machine);
    machine.set(&notify, MISSED);
    for _ in 0..3 {
        assert_eq!(machine.run_job(&[]).status, 5);
    }
    assert_eq!(machine.events(), ["goalMissed"]);
    let notice = &machine.kept()[0];
    assert_eq!(
        (&notice["job"], &notice["exit"]),
        (&json!("daily"), &json!(5))
    );
    assert_eq!(notice["result"], "budget");
    assert_eq!(notice["standing"], json!(["goalMissed"]));
    assert_eq!(notice["missing"]["metric"], "narSize");
    assert!(
        notice["missing"]["amount"].as_u64().unwrap() > 0,
        "{notice}"
    );
    assert_eq!(
        notice["commands"],
        json!(["nix-prune plan daily", "nix-prune free 1M"])
    );
    let last = machine.run(&["history", "last", "--json"]);
    let last: Value = serde_json::from_str(&last.stdout).unwrap();
    assert_ne!(notice["run"], last["run"], "the first run of three");

    // Another trouble while that one stands, and the end of all of them.
    let failed = machine.run_job(&["--nix-bin", "/nowhere"]);
    assert_eq!(failed.status, 69);
    machine.set(&notify, REACHED);
    for _ in 0..2 {
        assert_eq!(machine.run_job(&[]).status, 0);
    }
    assert_eq!(machine.events(), ["goalMissed", "runFailed", "resolved"]);
    let failed = &machine.kept()[1];
    assert_eq!(
        (&failed["run"], &failed["result"]),
        (&Value::Null, &json!("nix"))
    );
    assert!(
        failed["detail"].as_str().unwrap().contains("/nowhere"),
        "{failed}"
    );
}

#[test]
fn a_safety_check_that_stands_is_told_by_its_code() {
    let Some(machine) = Machine::new() else {
        return;
    };
    let notify = keeping(&machine);
    machine.set(&notify, REACHED);
    // A limit that the job exceeds stops the run.
    let text = fs::read_to_string(&machine.settings).unwrap();
    let limited = text.replacen('{', r#"{"limits": { "maxGenerationsPerRun": 0 }, "#, 1);
    let limited = limited.replace(REACHED, MISSED);
    fs::write(&machine.settings, limited).unwrap();
    assert_eq!(machine.run_job(&[]).status, 4);
    assert_eq!(machine.run_job(&[]).status, 4);
    assert_eq!(machine.events(), ["checkFailed"]);
    let notice = &machine.kept()[0];
    assert_eq!(notice["result"], "refused");
    assert_eq!(notice["checks"][0]["code"], "limits.generations");
}

#[test]
fn without_anybody_to_tell_nothing_is_written() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.set(&json!({ "fullWithin": "1d" }), MISSED);
    assert_eq!(machine.run_job(&[]).status, 5);
    assert!(!machine.state_file().exists());
    let ran = machine.run(&["notify"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("notify.command"), "{}", ran.stderr);
}

/// Whatever the command does, the run ends as it would without one, says what was wrong, and the next run tries again.
#[rstest]
#[case::fails("echo no luck >&2; exit 3", "no luck")]
#[case::hangs("exec sleep 600", "timed out")]
fn a_command_that_fails_changes_no_run(#[case] text: &str, #[case] why: &str) {
    let Some(machine) = Machine::new() else {
        return;
    };
    let hook = machine.hook(text);
    machine.set(&json!({ "command": [hook], "timeout": "1s" }), MISSED);
    let ran = machine.run_job(&[]);
    assert_eq!(ran.status, 5, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("a notice was not delivered"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(!machine.state_file().exists());
    machine.set(&keeping(&machine), MISSED);
    assert_eq!(machine.run_job(&[]).status, 5);
    assert_eq!(machine.events(), ["goalMissed"]);
}

#[test]
fn a_command_that_is_gone_changes_no_run() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.set(&json!({ "command": ["/nowhere/hook"] }), MISSED);
    let ran = machine.run_job(&[]);
    assert_eq!(ran.status, 5);
    assert!(ran.stderr.contains("/nowhere"), "{}", ran.stderr);
    let ran = machine.run(&["notify"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
}

/// As on a full disk: the notice is sent all the same, and the run ends as it would.
#[test]
fn a_state_that_cannot_be_written_fails_no_run_and_loses_no_notice() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.set(&keeping(&machine), MISSED);
    fs::create_dir_all(machine.state_file().join("in the way")).unwrap();
    for _ in 0..2 {
        let ran = machine.run_job(&[]);
        assert_eq!(ran.status, 5, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("the next run repeats the notice"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(machine.events(), ["goalMissed", "goalMissed"]);
}

#[test]
fn root_runs_no_command_that_others_may_write() {
    if !is_root() {
        return skipped("a command that root does not run, without root");
    }
    let Some(machine) = Machine::new() else {
        return;
    };
    let hook = machine.keeping_hook();
    machine.set(&json!({ "command": [hook, machine.kept_dir()] }), MISSED);
    fs::set_permissions(&hook, Permissions::from_mode(0o777)).unwrap();
    let ran = machine.run_job(&[]);
    assert_eq!(ran.status, 5);
    assert!(
        ran.stderr.contains("others may write to it"),
        "{}",
        ran.stderr
    );
    assert_eq!(machine.events(), Vec::<String>::new());
}

#[test]
fn notify_sends_a_test_and_prints_what_it_sent() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.set(&keeping(&machine), REACHED);
    let ran = machine.run(&["notify"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("took a test notice"), "{}", ran.stdout);
    let ran = machine.run(&["notify", "--json"]);
    let printed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(machine.events(), ["test", "test"]);
    assert_eq!(machine.kept()[1], printed);
    assert!(!machine.state_file().exists());
}

/// Owns the name of a desktop's notices, writes the first one to a file, and ends.
const RECORDER: &str = r#"
import json, sys
from gi.repository import Gio, GLib

ARGUMENTS = "".join(f"<arg type='{kind}' direction='in'/>" for kind in ["s", "u", "s", "s", "s", "as", "a{sv}", "i"])
XML = f"<node><interface name='org.freedesktop.Notifications'><method name='Notify'>{ARGUMENTS}<arg type='u' direction='out'/></method></interface></node>"
loop = GLib.MainLoop()

def notify(connection, sender, path, interface, method, parameters, invocation):
    with open(sys.argv[1], "w") as file:
        json.dump(parameters.unpack(), file)
    invocation.return_value(GLib.Variant("(u)", (7,)))
    GLib.timeout_add(100, loop.quit)

def own(connection, name):
    desktop = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
    connection.register_object("/org/freedesktop/Notifications", desktop, notify, None, None)

Gio.bus_own_name(
    Gio.BusType.SESSION, "org.freedesktop.Notifications", 0, own,
    lambda connection, name: print("ready", flush=True), lambda connection, name: sys.exit(1),
)
GLib.timeout_add_seconds(60, loop.quit)
loop.run()
"#;

/// A Python that can own a name on a bus; `None`, which is said aloud, without one or without a bus.
fn python() -> Option<&'static str> {
    let mut pythons = ["python3", "/usr/bin/python3"].into_iter();
    let can = |python: &&str| {
        let mut try_it = command(python);
        let ran = try_it
            .args(["-c", "from gi.repository import Gio"])
            .output();
        ran.is_ok_and(|ran| ran.status.success())
    };
    let programs = ["dbus-run-session", "busctl"];
    let python = pythons.find(can);
    if python.is_none() || programs.iter().any(|name| which::which(name).is_err()) {
        skipped("notices on a desktop, without dbus-run-session, busctl or a Python with gi");
        return None;
    }
    python
}

#[test]
fn a_desktop_shows_the_notice_and_what_to_run() {
    let (Some(python), Some(machine)) = (python(), Machine::new()) else {
        return;
    };
    machine.set(&json!({ "desktop": true }), MISSED);
    let base = machine.scratch.base();
    fs::write(base.join("recorder.py"), RECORDER).unwrap();
    let session = "mkfifo ready; \"$0\" recorder.py seen >ready & read line <ready; \"$@\"; status=$?; wait; exit $status";
    let ours = program(&machine.scratch);
    let ran = run_command(
        command("dbus-run-session")
            .args(["--", "/bin/sh", "-c", session, python])
            .arg(ours.get_program())
            .args([
                "--config",
                machine.settings.as_str(),
                "run",
                "daily",
                "--yes",
            ])
            .env_clear()
            .envs(
                ours.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(base)
            .stdin(std::process::Stdio::null()),
    );
    assert_eq!(ran.status, 5, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stderr.contains("not delivered"), "{}", ran.stderr);
    let seen = fs::read_to_string(base.join("seen")).unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    println!("{seen:#}");
    assert_eq!(
        (&seen[0], &seen[3]),
        (
            &json!("nix-prune"),
            &json!("nix-prune: job daily did not reach its goal")
        )
    );
    let text = seen[4].as_str().unwrap();
    assert!(
        text.ends_with("\nnix-prune plan daily\nnix-prune free 1M"),
        "{text}"
    );
    assert_eq!((&seen[5], &seen[6]["urgency"]), (&json!([]), &json!(2)));
    assert!(machine.state_file().exists());
}

#[test]
fn without_a_session_a_desktop_is_a_warning() {
    let Some(machine) = Machine::new() else {
        return;
    };
    machine.set(&json!({ "desktop": true }), MISSED);
    let ran = machine.run_job(&[]);
    assert_eq!(ran.status, 5);
    assert!(
        ran.stderr.contains("the desktop did not show the notice"),
        "{}",
        ran.stderr
    );
    assert_eq!(machine.run(&["notify"]).status, 1);
}
