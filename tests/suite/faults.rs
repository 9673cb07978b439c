//! Every fault of a child of ours, in every action: how the program ends, what the record says, what is there.
//!
//! Every run of the tests takes some cells of the table; with `NIX_PRUNE_TEST_FAULTS=all` it takes every one.

#![cfg(test)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::os::unix::fs::symlink;

use camino::Utf8PathBuf;
use nix_prune::domain::plan::Action;
use nix_prune::domain::receipt::{Entry, Outcome};

use crate::kill::world::{WRITE_MENU, World};
use crate::safety::{is_current, table};
use crate::support::{Nix, nixes, program, run_command, script};

/// What a child does instead of its work; `REAL` is the real command, our program its parent.
const FAULTS: [(&str, &str); 9] = [
    ("killed at once", "kill -9 $$"),
    ("killed after its work", "REAL; kill -9 $$"),
    ("fails at once", "echo 'error: no luck' >&2; exit 1"),
    (
        "fails after its work",
        "REAL; echo 'error: no luck' >&2; exit 1",
    ),
    ("does nothing, exit status 0", "exit 0"),
    (
        "prints garbage, exit status 0",
        "printf '\\377\\000\\033[31m -> 9 store paths deleted, -1'",
    ),
    (
        "prints megabytes beside its work",
        "head -c 3000000 /dev/zero | tr '\\0' x; REAL",
    ),
    (
        "hangs until we are stopped by SIGTERM",
        "kill -TERM $PPID; sleep 600",
    ),
    (
        "finds no daemon",
        "echo \"error: cannot connect to socket at '/x': Connection refused\" >&2; exit 1",
    ),
];

/// What is done by a child: the tool, what its command line has, and the command that comes to it.
const ACTIONS: [(&str, &str, &str, &[&str]); 9] = [
    ("hold of a vanished root", "nix-store", "--add-root", RUN),
    ("hold", "nix-store", "--add-root", RUN),
    (
        "remove a generation",
        "nix-env",
        "--delete-generations",
        RUN,
    ),
    ("selective collection", "nix-store", "--delete", RUN),
    (
        "full collection",
        "nix-collect-garbage",
        "",
        &["run", "all", "--collect-method=full", "--yes"],
    ),
    ("optimise", "nix-store", "--optimise", RUN),
    ("verify", "nix-store", "--verify", RUN),
    ("boot menu", SWITCH, "boot", RUN),
    ("undo", "nix-store", "--add-root", &["undo"]),
];

const RUN: &[&str] = &["run", "all", "--yes"];

const SWITCH: &str = "switch-to-configuration";

/// A boot loader is not left half installed: its installer is waited for, and the run ends afterwards.
const STOPPED_BESIDE_THE_INSTALLER: (&str, &str) = (
    "goes on while we are stopped by SIGTERM",
    "kill -TERM $PPID; sleep 1; REAL",
);

fn fault_of(action: &str, fault: usize) -> (&'static str, &'static str) {
    match FAULTS[fault] {
        (name, _) if action == "boot menu" && name.contains("SIGTERM") => {
            STOPPED_BESIDE_THE_INSTALLER
        }
        fault => fault,
    }
}

/// The programs of a Nix of which one has a fault when its command line has `option`.
fn with_fault(world: &World, nix: &Nix, tool: &str, option: &str, fault: &str) -> Utf8PathBuf {
    let bin = world.scratch.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
        if name != tool {
            symlink(nix.bin.join(name), bin.join(name)).unwrap();
        }
    }
    let real = match tool {
        SWITCH => WRITE_MENU.to_string(),
        _ => format!("'{}' \"$@\"", nix.bin.join(tool)),
    };
    let fault = fault.replace("REAL", &real);
    let text = format!("case \" $* \" in *\"{option}\"*) {fault};; *) exec {real};; esac");
    script(&bin.join(tool), &text);
    bin
}

/// What a cell is about, in the record.
fn is_about(action: &str, entry: &Entry) -> bool {
    match &entry.action {
        Action::HoldRoot(_) => action.ends_with("vanished root"),
        Action::RemoveGeneration(_) => ["hold", "remove a generation"].contains(&action),
        Action::Collect(_) => action.ends_with("collection"),
        Action::RefreshBootMenu(_) => action == "boot menu",
        Action::Optimise(_) => action == "optimise",
        Action::Verify { .. } => action == "verify",
        Action::RestoreGeneration(_) => action == "undo",
        _ => false,
    }
}

/// The first of what a record says, without paths and arguments of a certain machine.
fn in_short(detail: Option<&str>) -> String {
    let parts = detail.unwrap_or_default().split('`').enumerate();
    let parts = parts.map(|(nth, part)| {
        if nth % 2 == 1 {
            let command = part.split(' ').next().unwrap_or_default();
            return command.rsplit('/').next().unwrap_or_default().to_string();
        }
        let plain = |word| {
            if str::contains(word, '/') {
                "…"
            } else if word.contains('.') && word.parse::<f64>().is_ok() {
                // What Nix measures hangs on the file system.
                "N"
            } else {
                word
            }
        };
        part.split(' ').map(plain).collect::<Vec<_>>().join(" ")
    });
    let text: String = parts.collect();
    let text = text.replace('|', "/").replace('\n', " ");
    let text = text.replace("… … ", "… ");
    let chars: Vec<char> = text.chars().collect();
    let Some(cut) = chars.len().checked_sub(121) else {
        return text;
    };
    // The cause stands at the end.
    let (head, tail) = (&chars[..80], &chars[80 + cut..]);
    format!("{}…{}", String::from_iter(head), String::from_iter(tail))
}

/// Does it, sees that nothing is lost and everything can be put right, and tells how it came out.
fn cell(world: &World, nix: &Nix, action: usize, fault: usize) -> String {
    let (action, tool, option, args) = ACTIONS[action];
    let (fault, text) = fault_of(action, fault);
    world.restore();
    if action == "undo" {
        world.ends(RUN, &[0]);
    }
    let before = world.receipts().len();
    let bin = with_fault(world, nix, tool, option, text);
    let mut command = program(&world.scratch);
    command.args(args).arg(format!("--nix-bin={bin}"));
    let ran = run_command(&mut command);
    fs::remove_dir_all(&bin).unwrap();
    world.kept();
    world.not_collected();
    let receipts = world.receipts();
    let receipt = &receipts[before];
    assert!(!receipt.is_interrupted());
    let about = receipt
        .entries
        .iter()
        .filter(|entry| is_about(action, entry));
    let about: Vec<&Entry> = about.collect();
    let first = about.first().unwrap();
    let worst = about
        .iter()
        .find(|entry| entry.outcome != Outcome::Done)
        .unwrap_or(first);
    let outcome = format!("{:?}", worst.outcome).to_lowercase();
    let detail = in_short(worst.detail.as_deref());
    // Whatever it was, without the fault everything is put right.
    if action != "undo" {
        world.told_truly(false);
        world.ends(RUN, &[0]);
        world.kept();
        world.told_truly(false);
    }
    for _ in 0..4 {
        if world.ends(&["undo"], &[0, 4]).status == 4 {
            break;
        }
    }
    world.all_back();
    format!(
        "| {action} | {fault} | {} | {outcome} | {detail} |\n",
        ran.status
    )
}

const HEAD: &str = "\
| action | its child | exit status | recorded as | message |
| --- | --- | --- | --- | --- |
";

#[test]
fn every_fault_of_a_child_in_every_action_is_told_and_put_right() {
    let Some(nix) = nixes()
        .last()
        .filter(|nix| nix.version.ends_with(" 2.34.8"))
    else {
        return;
    };
    let all = std::env::var("NIX_PRUNE_TEST_FAULTS").is_ok_and(|what| what == "all");
    let world = World::new(nix);
    world.save();
    let mut made = HEAD.to_string();
    let known = table("faults");
    for action in 0..ACTIONS.len() {
        for fault in 0..FAULTS.len() {
            if all {
                made.push_str(&cell(&world, nix, action, fault));
            } else if action == fault {
                let cell = cell(&world, nix, action, fault);
                assert!(known.contains(&cell), "docs/safety.md has not: {cell}");
            }
        }
    }
    if all {
        is_current("faults", &made);
    }
}
