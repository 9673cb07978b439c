use nix_prune::domain::analysis::StoreAnalysis;
use nix_prune::domain::boot_menu::{BootEntry, BootMenu, BootReport};
use nix_prune::domain::job::{Job, Operations};
use nix_prune::domain::measure::{Bytes, Span};
use nix_prune::domain::plan::Action;
use nix_prune::domain::profile::{Content, GenerationNumber};
use nix_prune::domain::snapshot::Snapshot;
use nix_prune::domain::unusual::deviations;
use nix_prune::render::{Style, View, dot, json, table};
use proptest::prelude::*;
use rstest::rstest;

use super::{assert_kept, sample};
use crate::support::{actions, plan_of, unrestricted};

fn view(snapshot: &Snapshot, color: bool, width: Option<u16>) -> View {
    View::of(snapshot, Style { color, width })
}

/// Every view there is, by name.
fn views(odd: &str, color: bool, width: Option<u16>) -> Vec<(&'static str, String)> {
    let snapshot = sample::snapshot(odd);
    let calm = sample::calm_snapshot(odd);
    let view = view(&snapshot, color, width);
    let (week, none) = (
        sample::job(Span::days(7), odd),
        sample::job(Span::ZERO, odd),
    );
    let receipts = sample::receipts(odd);
    let preview = sample::undo_preview(odd);
    let store = sample::inspection(odd, &snapshot);
    let sizes = store.sizes(&snapshot);
    let tables = vec![
        (
            "plan",
            table::plan(&plan_of(&calm, &week), Some("nix-prune run weekly"), &view),
        ),
        (
            "status",
            table::status(
                &sample::status(&plan_of(&calm, &week)),
                &plan_of(&calm, &week),
                &view,
            ),
        ),
        (
            "plan-full",
            table::plan_in_full(&plan_of(&calm, &week), &view),
        ),
        (
            "plan-refused",
            table::plan(&plan_of(&snapshot, &none), None, &view),
        ),
        (
            "generations",
            table::generations(
                &json::generations(
                    &snapshot,
                    Some(&unrestricted(&week)),
                    Some(&sizes),
                    &sample::systems(odd),
                ),
                &view,
            ),
        ),
        ("roots", table::roots(&snapshot, Some(&sizes), &view)),
        ("dead", table::dead(&store)),
        ("dead-by-package", table::dead_by_package(&store, 20, &view)),
        (
            "dead-total",
            table::dead_total(&json::dead_sum(
                &store,
                Some(Bytes(4096)),
                false,
                Vec::new(),
            ))
            .join("\n"),
        ),
        (
            "why",
            table::why(&json::why(&store, sample::deep(&store), 9), &view),
        ),
        (
            "usage",
            table::usage(&sample::overview(&store, &snapshot), &view),
        ),
        (
            "package",
            table::package(&json::package(&snapshot, &store, "system"), &view),
        ),
        ("du", table::du(&sample::usage(&store, &snapshot), &view)),
        (
            "holds",
            table::holds(
                &snapshot,
                &json::holds(&snapshot, Some(&store.shares(&snapshot))),
                &view,
            ),
        ),
        (
            "run-ended",
            sample::not_done(&receipts[0], &view).join("\n")
                + "\n"
                + &table::run_ended(
                    &receipts[0],
                    &plan_of(&calm, &week),
                    Some(sample::disk()),
                    &view,
                ),
        ),
        ("receipt", table::receipt(&receipts[0], &view)),
        ("receipt-undo", table::receipt(&receipts[1], &view)),
        ("undo-preview", table::undo_preview(&preview, &view)),
        ("undone", table::undone(&receipts[1], &receipts[0], &view)),
        ("receipt-interrupted", table::receipt(&receipts[2], &view)),
        ("history", table::history(&receipts, &view)),
        ("pin", table::pin(&sample::pin(odd), &view)),
        ("pin-list", table::pin_list(&sample::pins(odd, 0), &view)),
    ];
    [tables, unusual(odd, &view), graphs(&store, &snapshot)].concat()
}

fn unusual(odd: &str, view: &View) -> Vec<(&'static str, String)> {
    let receipts = sample::unusual_receipts(odd);
    let last = deviations(&receipts).pop().flatten().unwrap();
    vec![
        ("history-unusual", table::history(&receipts, view)),
        ("unusual", table::unusual(&last, view)),
    ]
}

fn graphs(store: &StoreAnalysis, snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let sharing = store.sharing(snapshot, 3);
    let why = json::why(store, sample::deep(store), 9);
    vec![
        (
            "du-dot",
            dot::sharing(&sharing, &snapshot.zone, &store.notes(true)),
        ),
        ("why-dot", dot::why(&[why])),
    ]
}

#[test]
fn the_views_kept_are_current() {
    let views = views("", false, Some(100)).into_iter();
    for (name, text) in views.filter(|(name, _)| !LISTS.contains(name) && !SCREENS.contains(name)) {
        assert_kept(&format!("tests/fixtures/render/{name}.txt"), &text);
    }
}

/// The views of what is there; none is longer than the terminal is wide.
const LISTS: [&str; 12] = [
    "generations",
    "usage",
    "du",
    "package",
    "why",
    "roots",
    "dead-by-package",
    "holds",
    "history",
    "history-unusual",
    "undo-preview",
    "undone",
];

#[rstest]
fn the_lists_kept_fit_the_terminal(#[values(60, 80, 120)] width: u16) {
    let views = views("", false, Some(width));
    for (name, text) in views.iter().filter(|(name, _)| LISTS.contains(name)) {
        assert_kept(&format!("tests/fixtures/render/{width}/{name}.txt"), text);
        let lists = text.split("Failed safety checks").next().unwrap();
        for line in lists.lines() {
            assert!(line.chars().count() <= width.into(), "{name}: {line}");
        }
    }
}

/// Each row of a package names its keepers, also where they take more than a line.
#[test]
fn keepers_of_a_package_are_not_cut() {
    let snapshot = sample::snapshot("");
    let store = sample::inspection("", &snapshot);
    let mut document = json::package(&snapshot, &store, "system");
    document.versions.truncate(3);
    let projects = (1..=9).map(|n| format!("/home/alice/src/a-project-{n}/result"));
    let keepers: [Vec<String>; 3] = [
        vec![
            "alice/home-manager:15-24".into(),
            "alice/profile:1-35".into(),
        ],
        projects.collect(),
        vec![
            format!("/home/{}/result", "deep".repeat(15)),
            format!(
                "/home/alice/src/project/.direnv/flake-profile-{}",
                "a5d5b61a".repeat(5)
            ),
        ],
    ];
    for (version, kept_by) in document.versions.iter_mut().zip(keepers) {
        version.kept_by = kept_by;
    }
    let text = table::package(&document, &view(&snapshot, false, Some(80)));
    assert_kept("tests/fixtures/render/80/package-keepers.txt", &text);
}

/// The screens that say what to do next.
const SCREENS: [&str; 4] = ["plan", "plan-refused", "run-ended", "status"];

#[rstest]
fn the_screens_kept_fit_the_terminal(#[values(60, 80, 120)] width: u16) {
    let views = views("", false, Some(width));
    let shown = |name: &str| views.iter().find(|(known, _)| *known == name).unwrap();
    for (name, text) in SCREENS.map(shown) {
        assert_kept(&format!("tests/fixtures/render/{width}/{name}.txt"), text);
        for line in text.lines() {
            assert!(line.chars().count() <= width.into(), "{name}: {line}");
        }
    }
}

#[rstest]
fn no_generation_goes_unseen(#[values(None, Some(20), Some(80))] width: Option<u16>) {
    let snapshot = sample::snapshot("");
    let plan = sample::plan("");
    let text = table::plan_in_full(&plan, &view(&snapshot, false, width));
    let mut seen = 0;
    for planned in actions(&plan) {
        if let Action::RemoveGeneration(facts) = &planned.action {
            let (number, profile) = (facts.number, &facts.profile);
            let (_, rows) = text
                .split_once(&format!("\n{} (", profile.short()))
                .unwrap();
            let mut rows = rows.lines().take_while(|line| !line.is_empty());
            let row = rows.any(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some(&number.to_string()) && line.contains("  remove")
            });
            assert!(row, "no row for {number} in\n{text}");
            seen += 1;
        }
    }
    assert_eq!(seen, 7);
}

#[rstest]
fn no_refusal_or_note_goes_unseen(#[values(None, Some(20), Some(80))] width: Option<u16>) {
    let snapshot = sample::snapshot("");
    let view = view(&snapshot, false, width);
    let plan = sample::plan("");
    for text in [
        table::plan(&plan, None, &view),
        table::plan_in_full(&plan, &view),
    ] {
        says_all(&text, &snapshot);
    }
}

fn says_all(text: &str, snapshot: &Snapshot) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for blocker in &snapshot.blockers {
        assert!(words(text).contains(&words(&blocker.message)));
        assert!(words(text).contains(&words(&blocker.hint)));
    }
    for note in &snapshot.notes {
        assert!(words(text).contains(&words(&note[1..])));
    }
    assert!(text.contains("No garbage is collected"));
    assert!(!text.contains("collect garbage"));
}

#[test]
fn trap_39_the_boot_menu_is_mentioned_when_a_system_goes() {
    let snapshot = sample::snapshot("");
    let view = view(&snapshot, false, None);
    let mut plan = sample::plan("");
    assert!(table::plan(&plan, None, &view).contains("nixos-rebuild boot"));
    plan.items.retain(|item| {
        let removed = item.removal().and_then(|r| r.action.removed_generation());
        removed.is_none_or(|facts| !facts.profile_kind.is_system())
    });
    assert!(!table::plan(&plan, None, &view).contains("nixos-rebuild boot"));
}

#[rstest]
#[case::reached(50, 0, 0, "Free: 50 B. The goal is reached.")]
#[case::by_the_refresh(10, 40, 0, "The refresh frees 40 B and reaches the goal.")]
#[case::not_by_the_refresh(10, 20, 20, "The refresh frees 20 B; 20 B are still missing.")]
#[case::missed(10, 0, 40, "Free: 10 B. 40 B are missing.")]
fn a_plan_says_what_the_boot_menu_needs(
    #[case] free: u64,
    #[case] frees: u64,
    #[case] missing: u64,
    #[case] says: &str,
) {
    let snapshot = sample::snapshot("");
    let mut plan = sample::plan("");
    plan.boot_menu = Some(BootReport {
        dir: "/boot".into(),
        min_free: Bytes(50),
        free: Bytes(free),
        frees: Bytes(frees),
        missing: Bytes(missing),
    });
    let text = table::plan(&plan, None, &view(&snapshot, false, None));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("Boot menu: at least 50 B free on /boot."),
        "{text}"
    );
    assert!(text.contains(says), "{text}");
}

#[rstest]
#[case::copied(
    20,
    "/boot 5 B free, 2 generations on the boot menu; another takes up to 20 B"
)]
#[case::in_the_store(0, "/boot 5 B free, 2 generations on the boot menu\n")]
fn the_status_has_a_line_for_the_boot_menu(#[case] another: u64, #[case] says: &str) {
    let snapshot = sample::snapshot("");
    let plan = sample::plan("");
    let view = view(&snapshot, false, None);
    let mut document = sample::status(&plan);
    assert!(!table::status(&document, &plan, &view).contains("boot menu;"));
    document.boot = Some(json::BootDocument {
        dir: "/boot".to_string(),
        free: Bytes(5),
        generations: 2,
        another: Bytes(another),
    });
    let text = table::status(&document, &plan, &view);
    assert!(text.contains(says), "{text}");
}

#[test]
fn a_list_of_generations_has_what_each_takes_on_the_boot_menu() {
    let snapshot = sample::snapshot("");
    let mut document = json::generations(&snapshot, None, None, &json::Systems::new());
    let text = |document: &json::GenerationsDocument| {
        table::generations(document, &view(&snapshot, false, Some(80)))
    };
    assert!(!text(&document).contains("BOOT"));
    let entry = |number, file: &str| BootEntry {
        profile: None,
        generation: GenerationNumber(number),
        files: [file.into(), "shared".into()].into(),
    };
    let menu = BootMenu {
        dir: "/boot".into(),
        free: Bytes(0),
        entries: vec![entry(11, "a"), entry(12, "b")],
        default: None,
        sizes: [("a", 3), ("b", 4), ("shared", 5)]
            .map(|(file, size)| (file.into(), Bytes(size << 20)))
            .into(),
    };
    document.add_boot_menu(&menu, &snapshot);
    let sizes: Vec<u64> = document
        .profiles
        .iter()
        .flat_map(|it| &it.generations)
        .filter_map(|it| it.boot_bytes)
        .map(|bytes| bytes.0 >> 20)
        .collect();
    assert_eq!(sizes, [3, 4]);
    let text = text(&document);
    assert!(text.contains("BOOT") && text.contains("3.00 MiB"), "{text}");
}

/// No profile is listed with "0" kept generations.
#[test]
fn a_plan_without_keep_rules_says_nothing_of_profiles() {
    let mut snapshot = sample::calm_snapshot("");
    snapshot.holds.clear();
    snapshot.vanished.clear();
    let mut job = sample::job(Span::days(7), "");
    let view = view(&snapshot, false, Some(80));
    assert!(table::plan(&plan_of(&snapshot, &job), None, &view).contains("PROFILE"));
    job.operations = Operations {
        collect: job.operations.collect,
        ..Operations::default()
    };
    let text = table::plan(&plan_of(&snapshot, &job), None, &view);
    assert!(text.contains("no keep rules"), "{text}");
    assert!(!text.contains("PROFILE"), "{text}");
    let text = table::plan_in_full(&plan_of(&snapshot, &job), &view);
    assert!(!text.contains("0 generations"), "{text}");
}

#[test]
fn the_words_beside_a_long_command_get_a_line_of_their_own() {
    let snapshot = sample::calm_snapshot("");
    let plan = plan_of(&snapshot, &sample::job(Span::days(7), ""));
    let mut view = view(&snapshot, false, Some(80));
    let words = "shows what keeps the rest";
    let short = table::status(&sample::status(&plan), &plan, &view);
    view.program = "nix-prune --config /a/long/path/of/settings --state-dir /records".to_string();
    let long = table::status(&sample::status(&plan), &plan, &view);
    assert!(short.contains(words) && !short.lines().any(|line| line.trim() == words));
    assert!(long.lines().any(|line| line.trim() == words), "{long}");
}

#[test]
fn a_plan_without_actions_says_so() {
    let mut snapshot = sample::calm_snapshot("");
    snapshot.holds.clear();
    let job = Job {
        operations: Operations::default(),
        ..sample::job(Span::days(7), "")
    };
    let plan = plan_of(&snapshot, &job);
    let view = view(&snapshot, false, None);
    assert!(table::plan(&plan, None, &view).contains("There is nothing to do."));
}

#[rstest]
#[case(
    Span::days(7),
    "Remove 7 generations (restorable until 29 Nov), remove 1 dangling root, release 1 ended hold, remove 12 build directories and 12 build logs, collect garbage, hard-link equal files in the store and check the store and its contents?",
    "7 generations, restorable until then"
)]
#[case(
    Span::ZERO,
    "Remove 7 generations for good, remove 1 dangling root, release 1 ended hold, remove 12 build directories and 12 build logs, collect garbage, hard-link equal files in the store and check the store and its contents?",
    "Risk: critical. 7 generations"
)]
fn the_question_and_the_plan_tell_what_can_be_undone(
    #[case] window: Span,
    #[case] question: &str,
    #[case] shown: &str,
) {
    let snapshot = sample::calm_snapshot("");
    let plan = plan_of(&snapshot, &sample::job(window, ""));
    let view = view(&snapshot, false, None);
    assert_eq!(table::question(&plan, &view), question);
    let text = table::plan(&plan, Some("nix-prune run"), &view);
    assert!(text.contains(shown), "{text}");
    let sooner = "sooner";
    assert_eq!(text.contains(sooner), !window.is_zero(), "{text}");
}

#[test]
fn a_plan_that_leaves_one_system_says_why_it_is_critical() {
    let mut snapshot = sample::calm_snapshot("");
    for profile in snapshot.profiles.iter_mut().filter(|p| p.kind.is_system()) {
        // only the oldest one has a kernel
        for generation in profile.generations.values_mut().skip(1) {
            let path = generation.content.store_path().unwrap().clone();
            generation.content = Content::Present(path);
        }
    }
    let plan = plan_of(&snapshot, &sample::job(Span::days(7), ""));
    let text = table::plan(&plan, None, &view(&snapshot, false, None));
    assert!(
        text.contains("Risk: critical. Fewer than two generations that look bootable"),
        "{text}"
    );
}

#[test]
fn an_empty_machine_is_described_in_words() {
    let mut snapshot = sample::calm_snapshot("");
    snapshot.profiles.clear();
    snapshot.roots.clear();
    snapshot.holds.clear();
    snapshot.notes.clear();
    let view = view(&snapshot, false, None);
    assert_eq!(
        table::generations(
            &json::generations(&snapshot, None, None, &json::Systems::new()),
            &view
        ),
        "There are no profiles.\n"
    );
    assert_eq!(
        table::roots(&snapshot, None, &view),
        "There are no roots.\n"
    );
    let holds = json::holds(&snapshot, None);
    assert_eq!(
        table::holds(&snapshot, &holds, &view),
        "There are no holds.\n"
    );
    assert_eq!(table::history(&[], &view), "There are no recorded runs.\n");
}

#[rstest]
fn no_period_follows_a_path_and_no_word_is_out_of_place(
    #[values(None, Some(100))] width: Option<u16>,
) {
    for (name, text) in views("", false, width) {
        for line in text.lines() {
            let last = line.split_whitespace().last().unwrap_or_default();
            assert!(
                !(last.contains('/') && last.ends_with('.')),
                "{name}: {line}"
            );
            assert!(!line.ends_with(' '), "{name}: {line}");
        }
        for word in ["clean", "trash", "stuff"] {
            assert!(!text.to_lowercase().contains(word), "{name}: {word}");
        }
    }
}

#[rstest]
#[case("")]
#[case("\t\n\u{202e}")]
fn tab_separated_roots_have_a_line_and_nine_values_each(#[case] odd: &str) {
    let snapshot = sample::snapshot(odd);
    let text = table::roots_tsv(&snapshot, None);
    assert_eq!(text.lines().count(), 1 + snapshot.roots.len());
    for line in text.lines() {
        assert_eq!(line.matches('\t').count(), 8, "{line}");
        assert!(is_harmless(&line.replace('\t', "")), "{line}");
    }
}

/// Whether a text could do nothing to a terminal but write lines.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| {
        c == '\n' || !(c.is_control() || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'))
    })
}

fn without_our_colors(text: &str) -> String {
    [
        "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m",
    ]
    .iter()
    .fold(text.to_string(), |text, code| text.replace(code, ""))
}

#[rstest]
#[case("\nsystem (root) — 9 generations (current: 9), all kept")]
#[case("\x1b]0;owned\x07\x1b[2J")]
#[case("\u{202e}txt.exe\u{2066}")]
#[case("\u{9b}31m\u{7f}\r")]
#[case("\u{2061}\u{206a}\u{206b}")]
#[case("\u{61c}\u{feff}\u{fe0f}\u{e0041}")]
#[case("世界🦀\u{301}")]
fn hostile_names_cannot_draw(#[case] odd: &str, #[values(None, Some(60))] width: Option<u16>) {
    for ((name, plain), (_, color)) in views(odd, false, width)
        .into_iter()
        .zip(views(odd, true, width))
    {
        assert!(is_harmless(&plain), "{name}: {plain:?}");
        assert!(
            color.contains('\x1b')
                || ["pin", "dead", "dead-total", "du-dot", "why-dot"].contains(&name),
            "{name} has no colours"
        );
        assert_eq!(without_our_colors(&color), plain, "{name}");
        if width.is_none() {
            let lines = |odd| {
                let all = views(odd, false, None);
                all.into_iter()
                    .map(|(_, text)| text.lines().count())
                    .collect::<Vec<_>>()
            };
            assert_eq!(lines(odd), lines("x"), "a name began a line");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_name_can_draw(odd in "[^/]{1,12}", width in proptest::option::of(1u16..200)) {
        prop_assume!(odd != "." && odd != "..");
        for (name, text) in views(&odd, false, width) {
            prop_assert!(is_harmless(&text), "{}: {:?}", name, text);
        }
    }
}

#[rstest]
#[case::exact(false, "7.00 KiB on disk", "Predicted: 7.00 KiB freed.")]
#[case::bound(true, "at most 7.00 KiB on disk", "Predicted: at most 7.00 KiB freed.")]
fn a_figure_that_is_a_bound_is_called_one(
    #[case] at_most: bool,
    #[case] planned: &str,
    #[case] done: &str,
) {
    let snapshot = sample::calm_snapshot("");
    let view = view(&snapshot, false, None);
    let mut plan = plan_of(&snapshot, &sample::job(Span::days(7), ""));
    plan.prediction.disk_bytes = Some(Bytes(7168));
    plan.prediction.disk_bytes_at_most = at_most;
    plan.prediction.paths = Some(2);
    let text = table::plan(&plan, None, &view);
    assert!(
        text.contains(&format!("2 dead paths ({planned})")),
        "{text}"
    );
    let mut receipt = sample::receipt("");
    receipt.bytes.predicted = Some(Bytes(7168));
    receipt.bytes.predicted_at_most = at_most;
    let text = table::receipt(&receipt, &view);
    assert!(text.contains(done), "{text}");
    let store = sample::inspection("", &snapshot);
    let dead = json::dead_sum(&store, Some(Bytes(7168)), at_most, Vec::new());
    let text = table::dead_total(&dead).join("\n");
    assert!(text.contains(&format!(" {planned}.")), "{text}");
}
