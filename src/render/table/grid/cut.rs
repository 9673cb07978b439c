//! Texts cut and broken to a width in columns of the terminal; marks of colours are kept in pairs.

use unicode_width::UnicodeWidthChar;

use crate::render::table::{Paint, RESET};

const ELLIPSIS: char = '…';

/// How many columns of the terminal a text takes; a mark of a colour takes none.
pub(in crate::render::table) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or_default()
}

/// The beginning of a text.
pub(super) fn cut_end(text: &str, width: usize) -> String {
    let mut cut = beginning(text, width.saturating_sub(1)).to_string();
    if width > 0 {
        cut.push(ELLIPSIS);
    }
    closed(cut)
}

/// The end of a text, of a path from a slash on.
pub(super) fn cut_front(text: &str, width: usize) -> String {
    let rest = end(text, width.saturating_sub(1));
    let slash = rest.find('/').filter(|at| *at < rest.len() / 2);
    let rest = slash.and_then(|at| rest.get(at..)).unwrap_or(rest);
    joined(text, "", rest, width)
}

/// The beginning and the longer end of a text.
pub(super) fn cut_middle(text: &str, width: usize) -> String {
    let front = beginning(text, width.saturating_sub(1) / 3);
    let rest = end(text, width.saturating_sub(1 + columns(front)));
    joined(text, front, rest, width)
}

/// The text in lines broken at spaces, or within words that are too long.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let (width, mut lines, mut line) = (width.max(1), Vec::new(), String::new());
    let mut end_line = |line: &mut String| {
        let open = open_mark(line);
        lines.push(closed(std::mem::take(line)));
        line.extend(open);
    };
    for mut word in text.split(' ') {
        let gap = usize::from(columns(&line) > 0);
        if gap > 0 && columns(&line) + gap + columns(word) > width {
            end_line(&mut line);
        } else if gap > 0 {
            line.push(' ');
        }
        while columns(word) > width {
            let first = word.chars().next().map_or(0, char::len_utf8);
            let front = beginning(word, width).len().max(first);
            let (front, rest) = word.split_at(front);
            line.push_str(front);
            end_line(&mut line);
            word = rest;
        }
        line.push_str(word);
    }
    end_line(&mut line);
    lines
}

/// As much of the beginning as these columns take.
fn beginning(text: &str, width: usize) -> &str {
    let mut used = 0;
    let is_over = |(_, c): &(usize, char)| {
        used += columns_of(*c);
        used > width
    };
    let end = text.char_indices().find(is_over);
    text.get(..end.map_or(text.len(), |(at, _)| at))
        .unwrap_or_default()
}

/// As much of the end as these columns take.
fn end(text: &str, width: usize) -> &str {
    let mut used = 0;
    let is_over = |(_, c): &(usize, char)| {
        used += columns_of(*c);
        used > width
    };
    let start = text.char_indices().rev().find(is_over);
    text.get(start.map_or(0, |(at, c)| at + c.len_utf8())..)
        .unwrap_or_default()
}

fn joined(text: &str, front: &str, rest: &str, width: usize) -> String {
    let gone = text.get(..text.len() - rest.len()).unwrap_or_default();
    let ellipsis = (width > 0).then_some(ELLIPSIS);
    let mut cut = String::new();
    // What is cut away may have begun the colour of the rest.
    if open_mark(front) != open_mark(gone) {
        cut.extend(open_mark(gone));
    }
    cut.push_str(front);
    cut.extend(ellipsis);
    cut.push_str(rest);
    closed(cut)
}

/// The mark of the colour that a text leaves on.
fn open_mark(text: &str) -> Option<char> {
    let marks = text.chars().rev();
    let mut marks = marks.filter(|c| *c == RESET || Paint::ALL.iter().any(|p| p.mark() == *c));
    marks.next().filter(|mark| *mark != RESET)
}

fn closed(mut text: String) -> String {
    if open_mark(&text).is_some() {
        text.push(RESET);
    }
    text
}
