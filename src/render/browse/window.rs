//! Draws the window over the list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::draw::text_lines;
use super::model::{Model, Screen};
use super::popup::view_of;

/// Where the popup is.
fn popup_area(screen: Screen) -> Rect {
    let margin = if screen.columns >= 80 { 4 } else { 1 };
    Rect {
        x: margin,
        y: 1,
        width: screen.columns.saturating_sub(2 * margin),
        height: screen.lines.saturating_sub(3),
    }
}

/// The text of the popup, with as many lines as it has, and where it is.
fn popup_text(model: &Model) -> Option<(String, Rect)> {
    let popup = model.popup.as_ref()?;
    let mut area = popup_area(model.screen);
    let text = popup.text(&view_of(model, area.width.saturating_sub(4)));
    let lines = u16::try_from(text.lines().count()).unwrap_or(u16::MAX);
    area.height = area.height.min(lines.saturating_add(2));
    Some((text, area))
}

/// How far the popup can be scrolled.
pub(super) fn last_top_of_popup(model: &Model) -> usize {
    popup_text(model).map_or(0, |(text, area)| {
        let shown = usize::from(area.height.saturating_sub(2));
        text.lines().count().saturating_sub(shown)
    })
}

/// Draws the window, if there is one.
pub(super) fn draw_popup(model: &mut Model, buffer: &mut Buffer) {
    let last = last_top_of_popup(model);
    let top = model.popup.as_mut().and_then(|popup| popup.top());
    let top = top.map_or(0, |top| {
        *top = (*top).min(last);
        *top
    });
    let (Some((text, area)), Some(popup)) = (popup_text(model), &model.popup) else {
        return;
    };
    let is_utf8 = model.screen.is_utf8;
    let area = area.intersection(buffer.area);
    let [left, top_left, bottom_left] = if is_utf8 {
        ["│", "┌", "└"]
    } else {
        ["|", "+", "+"]
    };
    let [dash, top_right, bottom_right] = if is_utf8 {
        ["─", "┐", "┘"]
    } else {
        ["-", "+", "+"]
    };
    let dashes = dash.repeat(usize::from(area.width.saturating_sub(2)));
    for y in area.top()..area.bottom() {
        let (first, fill, last) = match y {
            y if y == area.top() => (top_left, dashes.clone(), top_right),
            y if y + 1 == area.bottom() => (bottom_left, dashes.clone(), bottom_right),
            _ => (
                left,
                " ".repeat(usize::from(area.width.saturating_sub(2))),
                left,
            ),
        };
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        buffer.set_style(row, Style::reset());
        buffer.set_string(area.x, y, format!("{first}{fill}{last}"), Style::new());
    }
    let title = Line::from(format!(" {} ", popup.title()));
    buffer.set_line(area.x + 2, area.y, &title, area.width.saturating_sub(4));
    let inner = Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    };
    text_lines(model, buffer, inner, &text, top);
}
