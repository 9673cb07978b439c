//! Names that are options, hold a line break, begin with each other, or are too many.

use std::time::{Duration, Instant};

use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;

use super::{ends, fill, json, link, links, numbers, profiles, store, store_of};
use crate::support::{actions_of, by_hand, listing, with_each_nix};

/// A profile of any name is thinned out, held through a collection by hand, and comes back.
fn comes_and_goes(scratch: &Scratch, name: &str) {
    let profile = profiles(scratch).join("per-user/somebody").join(name);
    fill(scratch, &profile, 5);
    let before = links(&profile);
    let selected = format!("--profile={profile}");
    let args = ["run", &selected, "--keep-last=2", "--yes"];
    ends(scratch, &args, 0);
    assert_eq!(numbers(&profile), [4, 5], "{name:?}");
    by_hand(scratch, "nix-collect-garbage", &[]);
    ends(scratch, &["undo"], 0);
    assert_eq!(links(&profile), before, "{name:?}");
}

#[rstest]
#[case::an_option("-p")]
#[case::a_long_option("--version")]
#[case::delete_generations("--delete-generations")]
#[case::old("old")]
#[case::days("30d")]
#[case::a_count("+5")]
#[case::everything("*")]
#[case::a_space("with space")]
#[case::quotes("it's \"quoted\" $(touch x) `y`")]
#[case::a_tilde("~")]
#[case::umlauts("größe")]
#[case::like_a_generation("system-1-link")]
fn names_that_look_like_something_else_are_names(#[case] name: &str) {
    with_each_nix(|nix| comes_and_goes(&store_of(nix), name));
}

#[test]
fn a_line_break_in_a_name_is_no_line_break_on_the_terminal() {
    let Some(scratch) = store() else { return };
    let name = "a\nb\x1b[31m\u{202e}";
    comes_and_goes(&scratch, name);
    let profile = profiles(&scratch).join("per-user/somebody").join(name);
    link(
        &profile.with_file_name("a\nb\x1b[31m\u{202e}-7-link~"),
        "x",
        "2026-01-01T00:00:00Z",
    );
    let selected = format!("--profile={profile}");
    for args in [
        ["plan", &selected, "--keep-last=2"],
        ["generations", "--color=never", "-v"],
        ["roots", "--color=never", "-v"],
        ["hold", "list", "-v"],
        ["history", "--color=never", "-v"],
        ["undo", "20260101T000000Z", "-v"],
    ] {
        let ran = crate::support::run(&scratch, &args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains('\x1b'), "{args:?}: {said:?}");
        assert!(!said.contains('\u{202e}'), "{args:?}: {said:?}");
        assert!(
            !said
                .lines()
                .any(|line| line.starts_with("b[") || line.starts_with("b\\u")),
            "{said}"
        );
    }
}

/// Text that no terminal obeys: written out here, and not taken from the program.
fn is_inert(text: &str) -> bool {
    let marks = [
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
    ];
    text.chars()
        .all(|c| c == '\n' || !(c.is_control() || marks.contains(&c)))
}

fn texts_below(dir: &camino::Utf8Path) -> Vec<(camino::Utf8PathBuf, String)> {
    let mut texts = Vec::new();
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().path().to_path_buf();
        let kind = path.symlink_metadata().unwrap();
        if kind.is_dir() {
            texts.extend(texts_below(&path));
        } else if kind.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            texts.push((path, text));
        }
    }
    texts
}

#[test]
fn documents_and_records_with_hostile_names_are_inert_and_say_the_same() {
    let Some(scratch) = store() else { return };
    let name =
        "c\u{9b}2J\u{85}\u{7f}\u{202e}\u{2066}\u{200e}\u{61c}\u{2028}\u{200b}\u{feff}\u{e0041}x";
    let profile = profiles(&scratch).join("per-user/somebody").join(name);
    fill(&scratch, &profile, 5);
    let selected = format!("--profile={profile}");
    let file = scratch.base().join("plan.json");
    let out = format!("--out={file}");
    ends(&scratch, &["plan", &selected, "--keep-last=3", &out], 0);
    let run = ["run", &selected, "--keep-last=2", "--yes", "--json"];
    for args in [
        &["plan", &selected, "--keep-last=2", "--json"][..],
        &run,
        &["generations", "--json"],
        &["roots", "--json"],
        &["hold", "list", "--json"],
        &["history", "--json"],
    ] {
        let ran = crate::support::run(&scratch, args);
        assert!(is_inert(&ran.stdout), "{args:?}: {:?}", ran.stdout);
        assert!(is_inert(&ran.stderr), "{args:?}: {:?}", ran.stderr);
        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        if args != ["history", "--json"] {
            let texts = document.to_string();
            let written = serde_json::to_string(name).unwrap();
            assert!(
                texts.contains(written.trim_matches('"')),
                "{args:?}: {texts:?}"
            );
        }
    }
    let mut texts = texts_below(&scratch.base().join("state"));
    texts.push((file.clone(), std::fs::read_to_string(&file).unwrap()));
    assert!(texts.len() > 2);
    for (path, text) in texts {
        assert!(is_inert(&text), "{path:?}: {text:?}");
    }
    ends(&scratch, &["undo"], 0);
    assert_eq!(numbers(&profile), [1, 2, 3, 4, 5]);
    ends(&scratch, &["apply", file.as_str(), "--yes"], 0);
    assert_eq!(numbers(&profile), [3, 4, 5]);
}

#[test]
fn trap_07_profiles_whose_names_begin_with_each_other_are_thinned_out_apart() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let all = [
            "system",
            "system-manager",
            "system-1-link-2",
            "systems",
            "system-profiles/system",
        ];
        let all = all.map(|name| profiles(&scratch).join(name));
        for profile in &all {
            fill(&scratch, profile, 4);
        }
        let system = all.first().unwrap();
        let selected = format!("--profile={system}");
        ends(&scratch, &["run", &selected, "--keep-last=1", "--yes"], 0);
        assert_eq!(
            numbers(system),
            [3, 4],
            "the current and the one to fall back to"
        );
        for other in all.iter().skip(1) {
            assert_eq!(numbers(other), [1, 2, 3, 4], "{other}");
        }
    });
}

#[test]
fn ten_thousand_generations_are_planned_in_seconds() {
    let Some(scratch) = store() else { return };
    let path = scratch.add_path("many", &[], 10).unwrap();
    let target = path.to_absolute_path(scratch.store());
    let dir = profiles(&scratch).join("per-user/somebody");
    for n in 1..=10_000 {
        link(
            &dir.join(format!("profile-{n}-link")),
            &target,
            "2026-01-01T00:00:00Z",
        );
    }
    link(
        &dir.join("profile"),
        "profile-10000-link",
        "2026-01-01T00:00:00Z",
    );
    let before = listing(&scratch.state_dir());
    let begun = Instant::now();
    let plan = json(&ends(&scratch, &["plan", "--keep-last=10", "--json"], 0));
    let taken = begun.elapsed();
    let drops = actions_of(&plan).len();
    assert_eq!(drops, 9_991, "9,990 generations and a collection");
    assert!(taken < Duration::from_secs(20), "it took {taken:?}");
    assert_eq!(listing(&scratch.state_dir()), before);
}
