//! Texts of the tables as styled lines of a screen.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// A line of a table's text with the styles that its escape sequences stand for. It begins with `style`, which becomes that of
/// its end. The only sequences in it are our own: every other one was escaped before it came into the text.
pub(super) fn line(text: &str, style: &mut Style, is_utf8: bool) -> Line<'static> {
    let mut spans = Vec::new();
    let mut parts = text.split("\x1b[");
    let mut push = |text: &str, style: Style| {
        if !text.is_empty() {
            spans.push(Span::styled(plain(text, is_utf8), style));
        }
    };
    push(parts.next().unwrap_or_default(), *style);
    for part in parts {
        let (code, rest) = part.split_once('m').unwrap_or(("", part));
        *style = match code {
            "1" => style.add_modifier(Modifier::BOLD),
            "2" => style.add_modifier(Modifier::DIM),
            "31" => style.fg(Color::Red),
            "32" => style.fg(Color::Green),
            "33" => style.fg(Color::Yellow),
            _ => Style::new(),
        };
        push(rest, *style);
    }
    Line::from(spans)
}

/// The text in ASCII where the terminal shows nothing else of ours.
fn plain(text: &str, is_utf8: bool) -> String {
    if is_utf8 {
        return text.to_string();
    }
    // As wide as they are.
    text.replace('…', "~")
        .replace(['—', '─'], "-")
        .replace('█', "#")
}
