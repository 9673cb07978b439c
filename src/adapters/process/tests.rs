use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use rstest::rstest;

struct Never;
impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

struct Flag(AtomicBool);
impl Interrupt for Flag {
    fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A request that comes when the command has been looked at a few times.
struct Soon(std::sync::atomic::AtomicU32);
impl Interrupt for Soon {
    fn requested(&self) -> bool {
        self.0.fetch_add(1, Ordering::SeqCst) > 8
    }
}

fn child_env() -> ChildEnv {
    [("PATH", "/usr/bin:/bin:/run/current-system/sw/bin")]
        .into_iter()
        .collect()
}

const LONG: Duration = Duration::from_secs(60);

/// What `/bin/sh` does with a script; no file is written, so none can be busy.
fn sh(
    script: &str,
    timeout: Duration,
    grace: Duration,
    interrupt: &dyn Interrupt,
) -> Result<Output, ProcessError> {
    let child_env = child_env();
    let sh = Program::find("sh", None, &child_env).unwrap();
    Command::new(&sh, &child_env, timeout)
        .args(["-c", script])
        .end_within(grace)
        .run(interrupt)
}

#[test]
fn output_is_captured() {
    let output = sh("echo out; echo err >&2", LONG, LONG, &Never).unwrap();
    assert_eq!(output.stdout.text(), "out\n");
    assert_eq!(output.stderr.text(), "err\n");
    assert!(output.stdout.is_whole() && output.stderr.is_whole());
}

#[rstest]
#[case("echo no >&2; exit 3", Ended::Status(3), "no")]
#[case("echo a >&2; echo b >&2; kill -9 $$", Ended::Signal(9), "a / b")]
#[case(
    "printf 'x\\033]0;y\\n\\377' >&2; exit 1",
    Ended::Status(1),
    "x\\u{1b}]0;y / \u{fffd}"
)]
fn failures_say_how_and_what(#[case] script: &str, #[case] how: Ended, #[case] said: &str) {
    match sh(script, LONG, LONG, &Never).unwrap_err() {
        error @ ProcessError::Failed { .. } => {
            let text = error.to_string();
            assert!(text.contains(&how.to_string()), "{text}");
            assert!(text.ends_with(said), "{text}");
            assert!(text.contains("/sh -c "), "{text}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_command_that_hangs_is_ended_with_all_its_children() {
    let begun = Instant::now();
    // The child would outlive a shell that is ended alone.
    let script = "echo $$; sleep 100 & wait";
    let short = Duration::from_millis(200);
    let error = sh(script, short, LONG, &Never).unwrap_err();
    assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    assert!(
        error.to_string().contains("timed out after 0.2 s"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_command_that_does_not_listen_is_killed() {
    let begun = Instant::now();
    let script = "trap '' TERM INT; while :; do sleep 0.1; done";
    let short = Duration::from_millis(200);
    let error = sh(script, short, short, &Never).unwrap_err();
    assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    let error = sh(script, LONG, short, &Soon(0.into())).unwrap_err();
    assert!(matches!(error, ProcessError::Interrupted { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_request_to_stop_is_passed_on_once_and_a_good_end_counts() {
    // The shell notes each signal and ends well: what is done is done.
    let script =
        "n=0; trap 'n=$((n+1))' TERM; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo $n";
    let output = sh(script, LONG, LONG, &Soon(0.into())).unwrap();
    assert_eq!(output.stdout.text(), "1\n");
}

#[test]
fn nothing_is_begun_when_the_request_to_stop_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("begun");
    let script = format!(": > '{}'", file.display());
    let error = sh(&script, LONG, LONG, &Flag(true.into())).unwrap_err();
    assert!(matches!(error, ProcessError::Interrupted { .. }), "{error}");
    assert!(!file.exists());
}

#[test]
fn megabytes_of_output_are_read_but_not_kept() {
    let script =
        "echo first; head -c 5000000 /dev/zero; echo; echo last; head -c 3000000 /dev/zero >&2";
    let output = sh(script, LONG, LONG, &Never).unwrap();
    let text = output.stdout.text();
    assert!(text.starts_with("first\n") && text.ends_with("\nlast\n"));
    assert!(text.len() < 1_100_000);
    assert!(output.stdout.dropped() > 3_900_000 && output.stderr.dropped() > 1_900_000);
    assert!(!output.stdout.is_whole());
}

#[test]
fn a_grandchild_that_keeps_the_pipe_does_not_hold_us() {
    let begun = Instant::now();
    let output = sh("echo out; sleep 30 & echo $!", LONG, LONG, &Never).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
    let text = output.stdout.text();
    let pid = text.strip_prefix("out\n").unwrap().trim();
    assert!(!output.stdout.is_whole());
    // It is none of ours to end, but for this test.
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn every_block_is_passed_on() {
    let child_env = child_env();
    let sh = Program::find("sh", None, &child_env).unwrap();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf end";
    let mut text = Vec::new();
    Command::new(&sh, &child_env, LONG)
        .args(["-c", script])
        .run_blocks(&Never, &mut |block| text.extend_from_slice(block))
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), 20_001);
    assert!(text.ends_with("line 19999\nend"));
}

#[test]
fn the_environment_is_ours_to_choose() {
    let child_env: ChildEnv = [
        ("PATH", "/usr/bin:/bin:/run/current-system/sw/bin"),
        ("LD_PRELOAD_X", "no"),
        ("TZ", "Asia/Tokyo"),
        ("HOME", "/home/x"),
    ]
    .into_iter()
    .collect();
    let env = Program::find("env", None, &child_env).unwrap();
    let output = Command::new(&env, &child_env, LONG)
        .set("NIX_STORE_DIR", "/s")
        .run(&Never)
        .unwrap();
    let text = output.stdout.text();
    let mut lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("PATH=")).collect();
    lines.sort_unstable();
    let expected = [
        "HOME=/home/x",
        "LC_ALL=C",
        "NIX_PAGER=cat",
        "NIX_STORE_DIR=/s",
        "NO_COLOR=1",
        "PAGER=cat",
        "TERM=dumb",
        "TZ=UTC",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn commands_run_in_the_root_directory_and_in_a_group_of_their_own() {
    let output = sh(
        "pwd; cat; ps -o pgid= -p $$ 2>/dev/null || echo $$; echo $$",
        LONG,
        LONG,
        &Never,
    );
    let text = output.unwrap().stdout.text();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(lines[0], "/");
    assert_eq!(lines[1], lines[2]);
}

/// The tests of the library are no launcher; `commands_of_other_users_get_nothing_of_roots` has one.
#[test]
fn without_a_launcher_no_command_of_another_user_starts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("begun");
    let eve = Account {
        uid: 4242,
        gid: 4243,
        name: "eve".into(),
        home: "/nowhere".into(),
    };
    let child_env = child_env();
    let sh = Program::find("sh", None, &child_env).unwrap();
    let error = Command::new(&sh, &child_env, LONG)
        .args(["-c".to_string(), format!(": > '{}'", file.display())])
        .run_as(Some(&eve))
        .run(&Never)
        .unwrap_err();
    assert!(matches!(error, ProcessError::Spawn { .. }), "{error}");
    assert!(!file.exists());
}

#[test]
fn a_program_that_is_missing_is_named_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let child_env = ChildEnv::default();
    for bin in [None, Some(dir.path())] {
        let error = Program::find("nix-env", bin, &child_env).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("nix-env"), "{text}");
    }
    // Something that cannot be run is not it.
    std::fs::write(dir.path().join("nix-env"), "").unwrap();
    assert!(Program::find("nix-env", Some(dir.path()), &child_env).is_err());
}

#[test]
fn programs_keep_the_name_that_they_were_found_by() {
    let dir = tempfile::tempdir().unwrap();
    let sh = Program::find("sh", None, &child_env()).unwrap();
    std::os::unix::fs::symlink(sh.path(), dir.path().join("nix-env")).unwrap();
    let found = Program::find("nix-env", Some(dir.path()), &ChildEnv::default()).unwrap();
    assert_eq!(found.path(), dir.path().join("nix-env"));
}

#[test]
fn what_cannot_be_started_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let gone = Program {
        path: dir.path().join("gone"),
    };
    let child_env = child_env();
    let error = Command::new(&gone, &child_env, LONG)
        .run(&Never)
        .unwrap_err();
    assert!(matches!(error, ProcessError::Spawn { .. }), "{error}");
    assert!(error.to_string().contains("/gone"), "{error}");
}
