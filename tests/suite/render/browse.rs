//! The full screen without a terminal: what keys do, and what is drawn.

use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::measure::Span;
use nix_prune::domain::visible::is_hidden;
use nix_prune::engine::Exploration;
use nix_prune::render::browse::{Effect, Input, Key, Model, Scene, Screen, Way, Wheel, draw};
use nix_prune::render::{Style, View};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use rstest::rstest;

use super::{assert_kept, sample};
use crate::support::{plan_of, unrestricted};

const TABS: [char; 7] = ['1', '2', '3', '4', '5', '6', '7'];

fn scene(odd: &str) -> Scene {
    let snapshot = sample::calm_snapshot(odd);
    let job = |window| sample::job(window, odd);
    let (week, none) = (job(Span::days(7)), job(Span::ZERO));
    let mut plan = plan_of(&snapshot, &week);
    plan.disk = Some(sample::disk());
    let at_once = plan_of(&snapshot, &none);
    let exploration = Exploration {
        store: sample::inspection(odd, &snapshot),
        plan,
        snapshot,
    };
    let week: EffectiveJob = unrestricted(&week);
    let what_if = exploration.what_if(&week);
    let way = |window, plan: nix_prune::domain::plan::Plan| Way {
        window,
        fates: plan.fates(),
        plan,
    };
    let Exploration {
        snapshot,
        store,
        plan,
    } = exploration;
    let usual = way(Span::days(7), plan);
    let at_once = way(Span::ZERO, at_once);
    Scene::new(snapshot, store, usual, Some(at_once), what_if)
}

fn model_with(odd: &str, color: bool, is_utf8: bool) -> Model {
    let scene = scene(odd);
    let view = View::of(&scene.snapshot, Style { color, width: None });
    let screen = Screen {
        columns: 100,
        lines: 24,
        is_utf8,
    };
    Model::new(scene, view, screen)
}

fn model() -> Model {
    model_with("", false, true)
}

fn press(model: &mut Model, keys: &str) -> Effect {
    let mut effect = Effect::Draw;
    for key in keys.chars() {
        effect = model.update(Input::Key(match key {
            '\n' => Key::Enter,
            '\x1b' => Key::Esc,
            c => Key::Char(c),
        }));
    }
    effect
}

fn drawn(model: &mut Model, columns: u16, lines: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw(model, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content().chunks(width);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_string() + "\n"
    };
    lines.map(line).collect()
}

fn screen(model: &mut Model) -> String {
    text(&drawn(model, 100, 24))
}

/// The line of the marks.
fn marks(model: &mut Model) -> String {
    let screen = screen(model);
    screen.lines().nth(22).unwrap().trim().to_string()
}

#[rstest]
fn the_tabs_are_drawn_as_kept(#[values(60, 100, 160)] columns: u16) {
    let mut all = String::new();
    for tab in TABS {
        let mut model = model();
        press(&mut model, &tab.to_string());
        all += &text(&drawn(&mut model, columns, 24));
        all += &"=".repeat(usize::from(columns));
        all.push('\n');
    }
    assert_kept(&format!("tests/fixtures/render/browse-{columns}.txt"), &all);
}

#[test]
fn a_mark_changes_what_is_freed_and_another_press_takes_it_back() {
    let mut model = model();
    press(&mut model, "2");
    let before = marks(&mut model);
    assert!(before.contains("marked: frees "), "{before}");
    press(&mut model, " ");
    let after = marks(&mut model);
    assert_ne!(before, after);
    assert!(after.contains("29 Nov (restorable until then)"), "{after}");
    press(&mut model, " ");
    assert_eq!(marks(&mut model), before);
    press(&mut model, "u ");
    let at_once = marks(&mut model);
    assert!(at_once.contains("no undo window"), "{at_once}");
    assert!(!at_once.contains("restorable"), "{at_once}");
    press(&mut model, "c");
    assert!(marks(&mut model).contains("Nothing is marked"));
}

#[test]
fn what_is_kept_cannot_be_marked_and_the_screen_says_why() {
    let mut model = model();
    press(&mut model, "2c");
    let rows = model.plan().items.len();
    let mut kept = 0;
    for _ in 0..rows + 10 {
        let before = screen(&mut model);
        if before.contains("  Kept: ") {
            kept += 1;
            press(&mut model, " ");
            let after = screen(&mut model);
            assert!(after.contains("Nothing is marked"), "{after}");
            assert!(after.contains("cannot be removed"), "{after}");
        }
        press(&mut model, "j");
    }
    assert!(kept > 2, "{kept}");
    let screen = {
        press(&mut model, "/system:12\nj");
        screen(&mut model)
    };
    assert!(screen.contains("it is the current one"), "{screen}");
}

#[test]
fn only_marks_are_carried_out() {
    let mut model = model();
    press(&mut model, "c");
    assert_eq!(press(&mut model, "x"), Effect::Draw);
    assert!(screen(&mut model).contains("Nothing is marked."));
    press(&mut model, "2 ");
    assert_eq!(press(&mut model, "x"), Effect::Apply);
    let items = 0..model.plan().items.len();
    let marked: Vec<usize> = items.filter(|at| model.is_marked(*at)).collect();
    assert!(!marked.is_empty());
    let mut plan = model.plan().clone();
    let keep = nix_prune::engine::DeadPaths::Keep;
    plan.restrict_to_marked(&model.scene().snapshot, keep, |at| model.is_marked(at));
    assert_eq!(plan.removals().count(), marked.len());
    assert!(plan.collection().is_none());
    assert!(plan.is_consistent());
}

#[test]
fn it_is_left_by_its_keys_and_the_filter_ends_first() {
    for key in [Key::Char('q'), Key::Esc, Key::Interrupt] {
        assert_eq!(model().update(Input::Key(key)), Effect::Leave);
    }
    let mut model = model();
    press(&mut model, "2/system:\n");
    let filtered = screen(&mut model);
    assert!(filtered.contains("system:1"), "{filtered}");
    assert!(!filtered.contains("alice/profile"), "{filtered}");
    assert_eq!(press(&mut model, "\x1b"), Effect::Draw);
    assert!(screen(&mut model).contains("alice/profile"));
    // Letters are text while it is typed.
    assert_eq!(press(&mut model, "/xq\n"), Effect::Draw);
    assert!(screen(&mut model).contains("No row has this text"));
}

#[test]
fn a_path_shows_what_keeps_it() {
    let mut model = model();
    press(&mut model, "5\n\n");
    let why = screen(&mut model);
    assert!(why.contains("Why it is alive"), "{why}");
    assert!(why.contains("is the root of"), "{why}");
    // Any key that does not scroll goes back, to the paths and then to the packages.
    assert_eq!(press(&mut model, "q"), Effect::Draw);
    assert_eq!(press(&mut model, "\x1b"), Effect::Draw);
    assert!(screen(&mut model).contains("PACKAGE"));
}

#[test]
fn pins_and_holds_are_changed_by_the_caller() {
    let mut model = model();
    press(&mut model, "2/system:1\n");
    press(&mut model, "j");
    let reason = |effect| match effect {
        Effect::Pin(_, number, reason) => (number.to_string(), reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(press(&mut model, "p"), Effect::Draw);
    let asked = screen(&mut model);
    assert!(asked.contains("Reason to pin system:1 "), "{asked}");
    // Letters are text.
    let pinned = reason(press(&mut model, " q x\n"));
    assert_eq!(pinned, ("1".to_string(), Some("q x".to_string())));
    assert_eq!(reason(press(&mut model, "p \n")).1, None);
    assert_eq!(press(&mut model, "pq\x1b"), Effect::Draw);
    assert!(screen(&mut model).contains("Not pinned."));
    assert_eq!(press(&mut model, "k"), Effect::Draw);
    press(&mut model, "7j");
    assert_eq!(press(&mut model, "r"), Effect::Draw);
    let question = screen(&mut model);
    assert!(
        question.contains("Release the hold on generation"),
        "{question}"
    );
    assert_eq!(press(&mut model, "n"), Effect::Draw);
    press(&mut model, "r");
    assert!(matches!(press(&mut model, "y"), Effect::Release(_)));
}

#[test]
fn the_mouse_selects_and_marks() {
    let mut model = model();
    press(&mut model, "c");
    screen(&mut model);
    // The second tab, and its first row.
    model.update(Input::Click(15, 0));
    assert!(screen(&mut model).contains("GENERATION"));
    model.update(Input::Click(20, 4));
    assert!(screen(&mut model).lines().nth(4).unwrap().starts_with('>'));
    assert!(marks(&mut model).contains("Nothing"));
    model.update(Input::Click(3, 3));
    assert!(marks(&mut model).contains("1 marked"));
    model.update(Input::Wheel(Wheel::Down));
    model.update(Input::DoubleClick(30, 3));
    assert!(marks(&mut model).contains("Nothing"));
}

#[test]
fn a_hold_that_cannot_be_marked_can_be_released() {
    let mut model = model();
    press(&mut model, "7jj");
    let text = screen(&mut model);
    assert!(text.contains("r releases the hold: it frees "), "{text}");
    press(&mut model, " ");
    let text = screen(&mut model);
    assert!(text.contains("r releases the hold."), "{text}");
}

#[test]
fn the_marks_are_in_one_line_of_sixty_columns() {
    let mut model = model();
    for tab in TABS {
        press(&mut model, &tab.to_string());
        for _ in 0..40 {
            press(&mut model, " j");
        }
    }
    for columns in [60, 100] {
        let text = text(&drawn(&mut model, columns, 24));
        let marks = text.lines().nth(22).unwrap();
        assert!(marks.contains(" marked: "), "{marks}");
        let (_, risk) = marks.split_once("; risk ").unwrap_or_default();
        let risks = ["low", "medium", "high", "critical"];
        assert!(risks.iter().any(|word| risk.starts_with(word)), "{marks}");
    }
}

#[test]
fn an_overview_that_is_cut_says_so() {
    let mut model = model();
    let cut = text(&drawn(&mut model, 100, 12));
    let lines: Vec<&str> = cut.lines().collect();
    assert!(lines[9].contains(" below"), "{cut}");
    for _ in 0..60 {
        press(&mut model, "j");
    }
    let end = text(&drawn(&mut model, 100, 12));
    assert!(!end.contains(" below"), "{end}");
}

#[rstest]
#[case(39, 24)]
#[case(100, 7)]
fn a_small_terminal_is_told_so(#[case] columns: u16, #[case] lines: u16) {
    let text = text(&drawn(&mut model(), columns, lines));
    assert!(text.contains("too small"), "{text}");
}

#[test]
fn colours_are_the_sixteen_of_the_terminal_and_can_be_left_out() {
    let of = |color| {
        let mut all = Vec::new();
        for tab in TABS {
            let mut model = model_with("", color, true);
            press(&mut model, &tab.to_string());
            all.extend(drawn(&mut model, 160, 40).content().to_vec());
        }
        all
    };
    let allowed = [Color::Reset, Color::Red, Color::Green, Color::Yellow];
    let (with, without) = (of(true), of(false));
    assert!(with.iter().all(|cell| allowed.contains(&cell.fg)));
    assert!(with.iter().any(|cell| cell.fg != Color::Reset));
    assert!(without.iter().all(|cell| cell.fg == Color::Reset));
    for cells in [with, without] {
        assert!(cells.iter().all(|cell| cell.bg == Color::Reset));
        let selected = |cell: &ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
        assert!(cells.iter().any(selected));
    }
}

#[test]
fn without_utf8_all_is_ascii() {
    for keys in ["1", "2 ", "3", "4", "5", "6", "7", "5\n\n", "?", "2/x"] {
        let mut model = model_with("", true, false);
        press(&mut model, keys);
        let text = text(&drawn(&mut model, 60, 24));
        assert!(text.is_ascii(), "{text}");
    }
}

#[rstest]
#[case("\nowned")]
#[case("\x1b]0;owned\x07\x1b[2J\x1b[31m")]
#[case("\u{202e}txt.exe\u{2066}")]
#[case("\u{9b}31m\u{7f}\r")]
#[case("\u{2061}\u{206a}\u{206b}")]
#[case("\u{61c}\u{feff}\u{fe0f}\u{e0041}")]
#[case("世界🦀\u{301}")]
fn hostile_names_cannot_draw(#[case] odd: &str) {
    for (keys, columns) in TABS.iter().flat_map(|tab| [(*tab, 50), (*tab, 160)]) {
        let mut model = model_with(odd, true, true);
        press(&mut model, &keys.to_string());
        for more in ["", "j ", "\n", "\n", "y", "p", "r", "?"] {
            press(&mut model, more);
            let buffer = drawn(&mut model, columns, 24);
            for cell in buffer.content() {
                let is_harmless = |c: char| !is_hidden(c) && !c.is_control();
                assert!(cell.symbol().chars().all(is_harmless), "{cell:?}");
            }
        }
    }
}

fn inputs() -> impl Strategy<Value = Input> {
    let keys = vec![
        Key::Enter,
        Key::Esc,
        Key::Tab,
        Key::BackTab,
        Key::Up,
        Key::Down,
        Key::PageUp,
        Key::PageDown,
        Key::Home,
        Key::End,
        Key::Backspace,
    ];
    prop_oneof![
        prop::sample::select(keys).prop_map(Input::Key),
        prop::char::range(' ', 'z').prop_map(|c| Input::Key(Key::Char(c))),
        (0u16..120, 0u16..30).prop_map(|(x, y)| Input::Click(x, y)),
        (0u16..120, 0u16..30).prop_map(|(x, y)| Input::DoubleClick(x, y)),
        Just(Input::Wheel(Wheel::Down)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is typed, what is kept is not marked.
    #[test]
    fn no_input_breaks_the_screen(inputs in prop::collection::vec(inputs(), 0..60), columns in 1u16..130, lines in 1u16..40) {
        let mut model = model();
        for input in inputs {
            model.update(input);
            drawn(&mut model, columns, lines);
            for (at, item) in model.plan().items.iter().enumerate() {
                prop_assert!(!model.is_marked(at) || item.removal().is_some());
            }
        }
    }
}
