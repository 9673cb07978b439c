//! Draws the state: tabs, a table, what the selected row is, what the marks come to, and the keys.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::about;
use super::cells;
use super::keys::{KEYS, Tab};
use super::model::{Model, Screen};
use super::popup::view_of;
use super::styled;
use super::typing::Typing;
use super::window::draw_popup;
use crate::render::table::grid::Grid;
use crate::render::table::{self, Page};
use crate::render::text::{count, escape};

/// On a smaller screen nothing can be told apart.
const MIN_COLUMNS: u16 = 40;
const MIN_LINES: u16 = 8;
/// From this height on the selected row is described.
const MIN_LINES_WITH_DETAIL: u16 = 14;
/// A rule and three lines.
const DETAIL_LINES: u16 = 4;
/// The tabs and the headings.
const HEAD_LINES: u16 = 2;
/// The marks and the keys.
const FOOT_LINES: u16 = 2;
/// Where the marks stand, behind the column of the cursor.
const MARK_COLUMNS: std::ops::Range<u16> = 2..5;

const SELECTED: Modifier = Modifier::REVERSED;

/// How many rows are on the screen.
pub(super) fn rows_height(screen: Screen) -> usize {
    usize::from(detail_line(screen).saturating_sub(HEAD_LINES)).max(1)
}

/// The first line below the rows.
fn detail_line(screen: Screen) -> u16 {
    let detail = if screen.lines >= MIN_LINES_WITH_DETAIL {
        DETAIL_LINES
    } else {
        0
    };
    screen.lines.saturating_sub(FOOT_LINES + detail)
}

/// Draws the state.
pub fn draw(model: &mut Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    let is_utf8 = model.screen.is_utf8;
    model.resize(Screen {
        columns: area.width,
        lines: area.height,
        is_utf8,
    });
    let buffer = frame.buffer_mut();
    if area.width < MIN_COLUMNS || area.height < MIN_LINES {
        let text = format!(
            "The terminal is too small: browse needs {MIN_COLUMNS} columns and {MIN_LINES} lines. q leaves."
        );
        let view = view_of(model, area.width);
        text_lines(model, buffer, area, &table::prose(&text, view.style), 0);
        return;
    }
    draw_tabs(model, buffer);
    match model.tab {
        Tab::Overview => draw_overview(model, buffer),
        _ => draw_list(model, buffer),
    }
    draw_marks(model, buffer);
    draw_keys(model, buffer);
    draw_popup(model, buffer);
}

/// Writes a line that fits; what does not is cut.
fn put(model: &Model, buffer: &mut Buffer, (x, y): (u16, u16), text: &str) {
    let line = styled::line(text, &mut Style::new(), model.screen.is_utf8);
    let width = model.screen.columns.saturating_sub(x);
    if y < buffer.area.bottom() {
        buffer.set_line(x, y, &line, width);
    }
}

pub(super) fn text_lines(model: &Model, buffer: &mut Buffer, area: Rect, text: &str, top: usize) {
    // Styles go on over the ends of lines.
    let mut style = Style::new();
    let is_utf8 = model.screen.is_utf8;
    let lines = text
        .lines()
        .map(|line| styled::line(line, &mut style, is_utf8));
    let lines = lines.skip(top).take(usize::from(area.height));
    for (y, line) in (area.y..).zip(lines) {
        buffer.set_line(area.x, y, &line, area.width);
    }
}

/// The titles of the tabs with the columns that they take.
fn tabs(screen: Screen) -> Vec<(Tab, String, u16)> {
    let titles = |title: fn(Tab) -> &'static str| {
        let mut x = 0;
        let mut placed = Vec::new();
        for (number, tab) in (1..).zip(Tab::ALL) {
            let text = format!(" {number} {} ", title(tab));
            let width = u16::try_from(text.width()).unwrap_or(u16::MAX);
            placed.push((tab, text, x));
            x += width;
        }
        (placed, x)
    };
    let (long, width) = titles(Tab::title);
    if width <= screen.columns {
        long
    } else {
        titles(Tab::short).0
    }
}

fn draw_tabs(model: &Model, buffer: &mut Buffer) {
    for (tab, title, x) in tabs(model.screen) {
        let style = if tab == model.tab {
            Style::new().add_modifier(SELECTED | Modifier::BOLD)
        } else {
            Style::new()
        };
        let width = usize::from(model.screen.columns.saturating_sub(x));
        buffer.set_stringn(x, 0, &title, width, style);
    }
}

/// The tab at a place.
pub(super) fn tab_at(model: &Model, column: u16, line: u16) -> Option<Tab> {
    let mut tabs = tabs(model.screen).into_iter().rev();
    let at = tabs.find(|(_, _, x)| line == 0 && *x <= column);
    at.filter(|(_, title, x)| usize::from(column - x) < title.width())
        .map(|(tab, ..)| tab)
}

/// The row on a line, by its place in the list.
pub(super) fn row_at(model: &Model, line: u16) -> Option<usize> {
    let line = usize::from(line.checked_sub(HEAD_LINES)?);
    let row = model.list().top + line;
    let is_row = line < rows_height(model.screen) && row < model.list().rows.len();
    (is_row && model.tab != Tab::Overview).then_some(row)
}

/// Whether a column belongs to the marks.
pub(super) fn is_mark(column: u16) -> bool {
    MARK_COLUMNS.contains(&column)
}

/// The area between the tabs and the marks.
fn middle(screen: Screen) -> Rect {
    Rect {
        x: 0,
        y: HEAD_LINES,
        width: screen.columns,
        height: screen.lines.saturating_sub(HEAD_LINES + FOOT_LINES),
    }
}

fn draw_overview(model: &Model, buffer: &mut Buffer) {
    let text = about::overview(model);
    let area = middle(model.screen);
    let area = Rect {
        x: 1,
        width: area.width.saturating_sub(1),
        ..area
    };
    let top = model.list().top;
    text_lines(model, buffer, area, &text, top);
    let below = text
        .lines()
        .count()
        .saturating_sub(top + usize::from(area.height));
    if let Some(last) = area.bottom().checked_sub(1).filter(|_| below > 0) {
        let line = Rect {
            y: last,
            height: 1,
            ..area
        };
        buffer.set_style(line, Style::reset());
        let blank = " ".repeat(usize::from(line.width));
        buffer.set_string(line.x, line.y, blank, Style::new());
        // The line that it covers is one of them.
        let more = format!("\x1b[2m … {} below\x1b[0m", count(below + 1, "line"));
        put(model, buffer, (area.x, last), &more);
    }
}

/// How far the overview can be scrolled.
pub(super) fn last_top_of_overview(model: &Model) -> usize {
    let lines = about::overview(model).lines().count();
    lines.saturating_sub(usize::from(middle(model.screen).height))
}

fn draw_list(model: &mut Model, buffer: &mut Buffer) {
    let height = rows_height(model.screen);
    model.list_mut().follow(height);
    model.know_groups();
    let (list, screen) = (model.list(), model.screen);
    let names = model.scene.names();
    let mut grid = Grid::new(&cells::columns(model.tab, list.package.is_some()));
    let rows = list.rows.iter().skip(list.top).take(height);
    for row in rows {
        grid.row(cells::cells(model, &names, *row));
    }
    let mut page = Page::default();
    grid.write(&mut page, view_of(model, screen.columns).style);
    let text = page.finish();
    let area = Rect {
        y: 1,
        height: detail_line(screen).saturating_sub(1),
        ..middle(screen)
    };
    if list.rows.is_empty() {
        put(model, buffer, (2, HEAD_LINES), &about::nothing(model));
    } else {
        text_lines(model, buffer, area, &text, 0);
        let line = list.cursor.saturating_sub(list.top);
        let y = HEAD_LINES.saturating_add(u16::try_from(line).unwrap_or(u16::MAX));
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        buffer.set_style(
            row.intersection(buffer.area),
            // One bar: colours would divide it.
            Style::new().fg(Color::Reset).add_modifier(SELECTED),
        );
        if let Some(cell) = buffer.cell_mut((0, y)) {
            cell.set_char('>');
        }
    }
    draw_position(model, buffer);
    draw_detail(model, buffer);
}

/// Where the part on the screen is in the list, and what the list is filtered by.
fn draw_position(model: &Model, buffer: &mut Buffer) {
    let list = model.list();
    let (line, columns) = (detail_line(model.screen), model.screen.columns);
    if model.screen.lines < MIN_LINES_WITH_DETAIL {
        return;
    }
    let rule = "─".repeat(usize::from(columns));
    put(model, buffer, (0, line), &format!("\x1b[2m{rule}\x1b[0m"));
    let mut text = match list.package {
        Some(node) => format!(" {} ", escape(model.scene.store.graph().package_name(node))),
        None => String::new(),
    };
    if !list.filter.is_empty() || model.typing == Some(Typing::Filter) {
        text = format!("{text} /{} ", escape(&list.filter));
    }
    put(model, buffer, (2, line), &text);
    let rows = list.rows.len();
    let place = format!(" {} of {rows} ", (list.cursor + 1).min(rows));
    let width = u16::try_from(place.width()).unwrap_or(u16::MAX);
    let x = columns.saturating_sub(width + 2);
    put(model, buffer, (x, line), &place);
}

fn draw_detail(model: &Model, buffer: &mut Buffer) {
    let screen = model.screen;
    if screen.lines < MIN_LINES_WITH_DETAIL {
        return;
    }
    let area = Rect {
        x: 2,
        y: detail_line(screen) + 1,
        width: screen.columns.saturating_sub(2),
        height: DETAIL_LINES - 1,
    };
    let view = view_of(model, area.width);
    text_lines(model, buffer, area, &about::selected(model, &view), 0);
}

fn draw_marks(model: &Model, buffer: &mut Buffer) {
    let line = model.screen.lines.saturating_sub(FOOT_LINES);
    let columns = usize::from(model.screen.columns);
    let disk = about::fullness(model);
    // The disk is behind the marks where both fit.
    let text = about::marks(model, columns);
    let space = columns.saturating_sub(about::width(&text));
    let disk = disk.iter().find(|disk| disk.width() + 2 <= space);
    let disk = disk.map_or(String::new(), |disk| {
        " ".repeat(space - disk.width() - 1) + disk
    });
    let text = text + &disk;
    let area = Rect {
        x: 0,
        y: line,
        width: model.screen.columns,
        height: 1,
    };
    put(model, buffer, (0, line), &text);
    buffer.set_style(
        area.intersection(buffer.area),
        Style::new().add_modifier(Modifier::BOLD),
    );
}

fn draw_keys(model: &Model, buffer: &mut Buffer) {
    let line = model.screen.lines.saturating_sub(1);
    let columns = usize::from(model.screen.columns);
    let text = if let Some(typing) = &model.typing {
        typing.line(model, columns)
    } else if let Some(popup) = &model.popup {
        format!(" {}", popup.keys())
    } else if let Some(notice) = &model.notice {
        format!(" \x1b[33m{}\x1b[0m", escape(notice))
    } else {
        keys(model.tab, columns)
    };
    put(model, buffer, (0, line), &text);
}

/// As many of the keys as there is space for; how to leave and to get help is always shown.
fn keys(tab: Tab, columns: usize) -> String {
    let hint = |key: &str| {
        let known = KEYS.iter().find(|(name, ..)| *name == key);
        let word = match (tab, key) {
            (Tab::Packages, "Enter") => "paths",
            _ => known.map_or("", |(_, word, _)| *word),
        };
        format!("\x1b[1m{key}\x1b[0m {word}")
    };
    let width = |hint: &str| hint.width() - "\x1b[1m\x1b[0m".width();
    let last = [hint("?"), hint("q")];
    let mut used: usize = 1 + last.iter().map(|hint| width(hint) + 2).sum::<usize>();
    let mut shown = Vec::new();
    for key in tab.keys().iter().chain(["Tab, 1-7"].iter()) {
        let hint = hint(key);
        if used + width(&hint) + 2 > columns || shown.contains(&hint) {
            continue;
        }
        used += width(&hint) + 2;
        shown.push(hint);
    }
    shown.extend(last);
    format!(" {}", shown.join("  "))
}
