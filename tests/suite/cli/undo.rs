//! `undo` as seen from outside: parts of a run, the preview, the question, and wrong items.

use super::*;

/// Nine generations, of which a run removed the first six.
fn undoable() -> Option<(Scratch, String)> {
    let scratch = machine()?;
    let args = ["run", "--keep-last=3", "--no-collect", "--yes", "--json"];
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let id = json(&ran)["run"].as_str().unwrap().to_string();
    Some((scratch, id))
}

#[rstest]
#[case::one(&["system:2"], &[2, 7, 8, 9], "5 generations until")]
#[case::of_the_run(&["RUN", "system:2..3", "system:6"], &[2, 3, 6, 7, 8, 9], "3 generations until")]
#[case::of_the_last(&["last", "system:2..99"], &[2, 3, 4, 5, 6, 7, 8, 9], "1 generation until")]
#[case::a_profile(&["system"], &ALL, "Restored 6 generations")]
#[case::the_year(&["2"], &ALL, "Restored 6 generations")]
fn a_part_of_a_run_is_undone_and_the_end_says_what_is_left(
    #[case] words: &[&str],
    #[case] left: &[u32],
    #[case] says: &str,
) {
    let Some((scratch, id)) = undoable() else {
        return;
    };
    let words = words
        .iter()
        .map(|word| if *word == "RUN" { &id } else { *word });
    let args: Vec<&str> = std::iter::once("undo").chain(words).collect();
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&scratch), left);
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    let is_over = left == ALL;
    let advice = format!("`nix-prune undo {id}` restores");
    assert_eq!(ran.stdout.contains(&advice), !is_over, "{}", ran.stdout);
    assert_eq!(run(&scratch, &["undo"]).status, if is_over { 4 } else { 0 });
    assert_eq!(numbers(&scratch), ALL);
}

#[rstest]
#[case::number(&["system:9"], 2, "removed nothing called `system:9`", "It can restore system:1..6.")]
#[case::range(&["system:7..9"], 2, "system:7..9", "system:1..6")]
#[case::one_of_two(&["system:1", "system:9"], 2, "system:9", "system:1..6")]
#[case::profile(&["sytem:2"], 2, "sytem:2", "Did you mean system:2?")]
#[case::link(&["/src/result"], 2, "/src/result", "system:1..6")]
#[case::word(&["latest"], 2, "removed nothing called `latest`", "system:1..6")]
#[case::backwards(&["system:3..1"], 2, "`system:3..1` is neither", "system:40..42")]
#[case::no_number(&["system:x"], 2, "`system:x` is neither", "system:42")]
#[case::two_runs(&["last", "20200101T000000Z"], 2, "20200101T000000Z", "system:1..6")]
#[case::no_run(&["1999"], 2, "no such run: 1999", "nix-prune history")]
#[case::no_run_of_this_name(&["20200101T000000Z", "system:1"], 2, "20200101T000000Z", "nix-prune history")]
fn a_wrong_item_undoes_nothing(
    #[case] words: &[&str],
    #[case] status: i32,
    #[case] says: &str,
    #[case] hint: &str,
) {
    let Some((scratch, _)) = undoable() else {
        return;
    };
    let args: Vec<&str> = std::iter::once("undo")
        .chain(words.iter().copied())
        .collect();
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
}

#[test]
fn a_beginning_of_two_runs_names_neither() {
    let Some((scratch, _)) = undoable() else {
        return;
    };
    assert_eq!(run(&scratch, &["undo", "system:2"]).status, 0);
    let ran = run(&scratch, &["undo", "2"]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("`2` is ambiguous"), "{}", ran.stderr);
    assert_eq!(numbers(&scratch), [2, 7, 8, 9]);
}

#[rstest]
fn a_dry_run_shows_what_would_be_restored(#[values(false, true)] json: bool) {
    let Some((scratch, id)) = undoable() else {
        return;
    };
    let state = listing(&scratch.base().join("state"));
    let mut args = vec!["undo", "system:2..4", "system:6", "--dry-run"];
    args.extend(json.then_some("--json"));
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(&id), "{}", ran.stdout);
    if json {
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(document["items"].as_array().unwrap().len(), 4);
    } else {
        assert!(ran.stdout.contains("4  2-4, 6"), "{}", ran.stdout);
    }
    assert_eq!(numbers(&scratch), [7, 8, 9]);
    assert_eq!(listing(&scratch.base().join("state")), state);
}

#[rstest]
#[case::yes("y\n", &[], "Restored 2 generations", 0, &[2, 3, 7, 8, 9])]
#[case::no("n\n", &[], "aborted", 4, &[7, 8, 9])]
#[case::unasked("", &["--yes"], "Restored 2 generations", 0, &[2, 3, 7, 8, 9])]
fn at_a_terminal_it_asks(
    #[case] answer: &str,
    #[case] more: &[&str],
    #[case] says: &str,
    #[case] status: i32,
    #[case] left: &[u32],
) {
    let Some((scratch, id)) = undoable() else {
        return;
    };
    let args = ["undo", "system:2..3", "--color", "never"];
    let mut shown = OnTerminal::start(program(&scratch).args(args).args(more));
    if more.is_empty() {
        let text = shown.until("[y/N]");
        assert!(text.contains("2  2-3"), "{text}");
        let question = format!("Restore 2 generations of run {id}?");
        assert!(text.contains(&question), "{text}");
        shown.terminal.write_all(answer.as_bytes()).unwrap();
    }
    let text = shown.until(says);
    assert!(text.contains(says), "{text}");
    shown.until("nothing of this");
    assert_eq!(shown.end(), status);
    assert_eq!(numbers(&scratch), left);
}

#[test]
fn what_cannot_be_restored_is_said_in_few_lines() {
    let Some((scratch, id)) = undoable() else {
        return;
    };
    let dir = scratch.state_dir().join("profiles");
    for n in 1..=5 {
        symlink("/elsewhere", dir.join(format!("system-{n}-link"))).unwrap();
    }
    let preview = run(&scratch, &["undo", "--dry-run"]);
    let says = "May fail: system:1..5 (its name is taken).";
    assert!(preview.stdout.contains(says), "{}", preview.stdout);
    let ran = run(&scratch, &["undo"]);
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("Restored 1 generation of"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("Not restored: 5"), "{}", ran.stdout);
    assert!(ran.stdout.contains("and 2 more"), "{}", ran.stdout);
    assert!(
        !ran.stdout.contains(&format!("undo {id}")),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.lines().count() <= 12, "{}", ran.stdout);
}
