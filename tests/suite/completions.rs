//! Completions, as real shells show them.

#![cfg(test)]

use std::io::Write;
use std::process::Command;

use camino::Utf8Path;
use nix::sys::signal::{Signal, kill};
use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;

use crate::support::{OnTerminal, nixes, program, run, run_command, skipped, time};

/// A store with two system generations and a run on record.
fn machine() -> Option<Scratch> {
    let nix = nixes().last()?;
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=2 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 10).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    Some(scratch)
}

/// A shell that finds our program on PATH; `None`, which is said aloud, where there is none.
fn shell(scratch: &Scratch, name: &str) -> Option<Command> {
    let Ok(shell) = which::which(name) else {
        skipped(&format!("completions in {name}, which is not installed"));
        return None;
    };
    let ours = program(scratch);
    let bin = Utf8Path::new(env!("CARGO_BIN_EXE_nix-prune"));
    let mut command = crate::support::command(shell);
    command.env_clear();
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let path = format!("{}:/usr/bin:/bin", bin.parent().unwrap());
    command.env("PATH", path).env("TERM", "xterm");
    command.current_dir(scratch.base());
    Some(command)
}

/// What bash offers for a line.
fn in_bash(scratch: &Scratch, line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let (last, before) = (words.len() - 1, words[words.len().saturating_sub(2)]);
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <(nix-prune completions bash)\nCOMP_WORDS=({}) COMP_CWORD={last} COMP_TYPE=9\n\
         _clap_complete_nix_prune nix-prune '{}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words[last],
    );
    Some(run_command(shell(scratch, "bash")?.args(["--norc", "-c", &script])).stdout)
}

/// What fish offers for a line.
fn in_fish(scratch: &Scratch, line: &str) -> Option<String> {
    let script = format!("nix-prune completions fish | source; complete -C '{line}'");
    Some(run_command(shell(scratch, "fish")?.args(["--no-config", "-c", &script])).stdout)
}

/// What zsh puts on the line, or shows below it: a key of ours prints the line.
fn in_zsh(scratch: &Scratch, line: &str) -> Option<String> {
    let mut zsh = OnTerminal::start(shell(scratch, "zsh")?.args(["-f", "-i"]));
    let start = "autoload -Uz compinit && compinit -D -u; source <(nix-prune completions zsh); \
                 show() { zle -I; print -r -- \"$BUFFER\" EN''D }; zle -N show; bindkey '^G' show; print REA''DY\n";
    zsh.terminal.write_all(start.as_bytes()).unwrap();
    zsh.until("READY");
    let typed = format!("{line}\t\u{7}");
    zsh.terminal.write_all(typed.as_bytes()).unwrap();
    let seen = zsh.until("END");
    kill(zsh.pid(), Signal::SIGKILL).unwrap();
    let _ = zsh.end();
    Some(seen)
}

#[rstest]
#[case::command("nix-prune gener", "generations")]
#[case::second_word("nix-prune hold li", "list")]
#[case::flag("nix-prune plan --keep-wi", "--keep-within")]
#[case::value("nix-prune du --by pack", "package")]
#[case::job("nix-prune plan defa", "default")]
#[case::profile("nix-prune generations sys", "system")]
#[case::generation("nix-prune pin system:", "system:2")]
#[case::code("nix-prune plan --accept roots.van", "roots.vanished")]
#[case::level("nix-prune run --max-risk cri", "critical")]
fn every_shell_completes(#[case] line: &str, #[case] offers: &str) {
    let Some(scratch) = machine() else { return };
    let shown = [
        ("bash", in_bash(&scratch, line)),
        ("fish", in_fish(&scratch, line)),
        ("zsh", in_zsh(&scratch, line)),
    ];
    for (shell, shown) in shown {
        let Some(shown) = shown else { continue };
        assert!(shown.contains(offers), "{shell}: {shown:?}");
    }
}

#[test]
fn runs_are_completed_from_the_records() {
    let Some(scratch) = machine() else { return };
    let ran = run(&scratch, &["run", "--keep-last=1", "--yes"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let Some(shown) = in_bash(&scratch, "nix-prune undo ") else {
        return;
    };
    assert!(shown.starts_with("20"), "{shown:?}");
}
