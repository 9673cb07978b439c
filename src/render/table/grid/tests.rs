use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn drawn(grid: &Grid, width: Option<u16>, color: bool) -> String {
    let mut page = Page::default();
    grid.write(&mut page, Style { color, width });
    page.finish()
}

fn sample() -> Grid {
    let mut grid = Grid::new(&[
        Column::new("Kind").importance(2),
        Column::new("Owner").importance(1).cut_end(),
        Column::new("Closure").right().importance(3),
        Column::new("Exclusive").right(),
        Column::new("Link").cut_front(),
        Column::new("Empty"),
    ]);
    grid.row(
        [
            "result",
            "alice",
            "1.25 GiB",
            "31.0 MiB",
            "/home/alice/src/nixpkgs/pkgs/by-name/he/hello/result-of-the-third-build",
            "",
        ]
        .map(str::to_string),
    );
    grid.row(["direnv", "bob", "-", "4.00 KiB", "/home/世界/p", ""].map(str::to_string));
    grid
}

#[rstest]
#[case(
    40,
    "\u{20} EXCLUSIVE  LINK
   31.0 MiB  …/result-of-the-third-build
   4.00 KiB  /home/世界/p
"
)]
#[case(
    60,
    "\u{20} KIND     CLOSURE  EXCLUSIVE  LINK
  result  1.25 GiB   31.0 MiB  …/result-of-the-third-build
  direnv         -   4.00 KiB  /home/世界/p
"
)]
#[case(
    80,
    "\u{20} KIND    OWNER   CLOSURE  EXCLUSIVE  LINK
  result  alice  1.25 GiB   31.0 MiB  …/he/hello/result-of-the-third-build
  direnv  bob           -   4.00 KiB  /home/世界/p
"
)]
#[case(120, "\u{20} KIND    OWNER   CLOSURE  EXCLUSIVE  LINK
  result  alice  1.25 GiB   31.0 MiB  /home/alice/src/nixpkgs/pkgs/by-name/he/hello/result-of-the-third-build
  direnv  bob           -   4.00 KiB  /home/世界/p
")]
#[case(200, "\u{20} KIND    OWNER   CLOSURE  EXCLUSIVE  LINK
  result  alice  1.25 GiB   31.0 MiB  /home/alice/src/nixpkgs/pkgs/by-name/he/hello/result-of-the-third-build
  direnv  bob           -   4.00 KiB  /home/世界/p
")]
fn the_width_decides_what_is_shown(#[case] width: u16, #[case] expected: &str) {
    assert_eq!(drawn(&sample(), Some(width), false), expected);
}

#[test]
fn without_a_width_nothing_is_dropped_or_cut() {
    assert_eq!(
        drawn(&sample(), None, false),
        drawn(&sample(), Some(200), false)
    );
}

#[test]
fn sentences_continue_below_themselves() {
    let mut grid = Grid::new(&[Column::new("N").right(), Column::new("Why").wrap()]);
    grid.row(["7", "one of the last 3 and the newest of 2026-05"].map(str::to_string));
    assert_eq!(
        drawn(&grid, Some(31), false),
        "  N  WHY\n  7  one of the last 3 and the\n     newest of 2026-05\n"
    );
}

#[rstest]
#[case::end(cut_end("grüße aus 世界", 12), "grüße aus …")]
#[case::front(cut_front("/home/alice/src/result", 16), "…/src/result")]
#[case::front_of_a_name(cut_front("a-rather-long-name", 8), "…ng-name")]
#[case::middle(cut_middle("0123456789abcdefghij", 10), "012…efghij")]
#[case::nothing(cut_end("abc", 0), "")]
fn texts_are_cut(#[case] cut: String, #[case] expected: &str) {
    assert_eq!(cut, expected);
}

#[rstest]
fn a_cut_or_broken_cell_keeps_its_colour_to_itself(
    #[values(
        Column::cut_end,
        Column::cut_front,
        Column::cut_middle,
        Column::wrap,
        Column::wrap_names
    )]
    fit: fn(Column) -> Column,
) {
    let style = Style {
        color: true,
        width: Some(30),
    };
    let mut grid = Grid::new(&[fit(Column::new("State")), Column::new("Number")]);
    let text = "a long text that surely needs to be fitted into less";
    grid.row([style.paint(text, Paint::Red), "1".to_string()]);
    let text = drawn(&grid, style.width, true);
    for line in text.lines().skip(1) {
        let (on, off) = (line.matches("\x1b[31m"), line.matches("\x1b[0m"));
        assert_eq!((on.count(), off.count()), (1, 1), "{line:?}");
    }
}

fn column() -> impl Strategy<Value = Column> {
    let fit = prop::sample::select(vec![
        Fit::Full,
        Fit::CutEnd,
        Fit::CutMiddle,
        Fit::CutFront,
        Fit::Wrap,
        Fit::WrapNames,
    ]);
    let heading = prop::sample::select(vec!["N", "Profile", "Exclusive"]);
    let of = (heading, any::<bool>(), prop::option::of(0u8..4), fit);
    of.prop_map(|(heading, is_right, importance, fit)| Column {
        heading,
        is_right,
        importance,
        fit,
        least: MIN_FITTED_COLUMNS,
    })
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_terminal(
        columns in prop::collection::vec(column(), 1..7),
        cells in prop::collection::vec(prop::collection::vec((".{0,90}", any::<bool>()), 0..7), 1..4),
        width in 1u16..=200,
    ) {
        let style = Style { color: true, width: Some(width) };
        let mut grid = Grid::new(&columns);
        for row in cells {
            grid.row(row.into_iter().map(|(text, painted)| {
                let text = crate::render::text::escape(&text);
                if painted { style.paint(&text, Paint::Green) } else { text }
            }));
        }
        let plain = drawn(&grid, style.width, true);
        let plain = Paint::ALL.iter().fold(plain, |text, paint| text.replace(paint.code(), ""));
        for line in plain.replace("\x1b[0m", "").lines() {
            let width = unicode_width::UnicodeWidthStr::width(line);
            prop_assert!(width <= usize::from(style.width.unwrap()), "{:?}", line);
        }
    }

    #[test]
    fn with_forty_columns_prose_loses_no_word(text in "[a-z ]{0,200}") {
        let lines = wrap(&text, 40).join(" ");
        let words = |text: &str| text.split_whitespace().collect::<String>();
        prop_assert_eq!(words(&lines), words(&text));
    }
}
