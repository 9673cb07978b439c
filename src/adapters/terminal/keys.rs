//! Keys and the mouse, from the bytes that terminals send.
//!
//! Every byte may come from anybody: what is not known is skipped.

/// A key, or what the mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A key.
    Key(Key),
    /// The left button was pressed, by column and line from 0.
    Click(u16, u16),
    /// It was pressed twice at one place.
    DoubleClick(u16, u16),
    /// The wheel was turned up.
    WheelUp,
    /// The wheel was turned down.
    WheelDown,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
}

/// The events of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) events: Vec<Event>,
    /// The beginning of an event whose other bytes have not come yet.
    pub(super) rest: Vec<u8>,
}

/// A longer sequence is none of a terminal.
const MAX_SEQUENCE_BYTES: usize = 32;

/// The events of some bytes; `is_last` is whether no more of them come soon.
pub(super) fn parse(bytes: &[u8], is_last: bool) -> Parsed {
    let mut parsed = Parsed::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (event, length) = match first(rest) {
            First::Event(event, length) => (event, length),
            First::Incomplete if is_last || rest.len() > MAX_SEQUENCE_BYTES => {
                // An escape character by itself is the key.
                let is_escape = rest == [ESC];
                (is_escape.then_some(Event::Key(Key::Esc)), rest.len())
            }
            First::Incomplete => {
                parsed.rest = rest.to_vec();
                break;
            }
        };
        parsed.events.extend(event);
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    parsed
}

const ESC: u8 = 0x1b;

/// What some bytes begin with.
enum First {
    /// An event, if it is a known one, and its bytes.
    Event(Option<Event>, usize),
    Incomplete,
}

fn first(bytes: &[u8]) -> First {
    let key = |key| First::Event(Some(Event::Key(key)), 1);
    match bytes {
        [] | [ESC] | [ESC, b'[' | b'O'] => First::Incomplete,
        [ESC, b'[', rest @ ..] => control_sequence(rest),
        [ESC, b'O', letter, ..] => First::Event(arrow(*letter).map(Event::Key), 3),
        // The other keys with Alt mean nothing here.
        [ESC, ESC, ..] => key(Key::Esc),
        [ESC, ..] => First::Event(None, 2),
        [b'\r' | b'\n', ..] => key(Key::Enter),
        [b'\t', ..] => key(Key::Tab),
        [0x7f | 0x08, ..] => key(Key::Backspace),
        [control @ 1..=26, ..] => key(Key::Ctrl(char::from(control + b'a' - 1))),
        [0..=31, ..] => First::Event(None, 1),
        _ => character(bytes),
    }
}

/// A character of UTF-8.
fn character(bytes: &[u8]) -> First {
    let length = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let Some(bytes) = bytes.get(..length) else {
        return First::Incomplete;
    };
    let text = std::str::from_utf8(bytes).ok();
    match text.and_then(|text| text.chars().next()) {
        Some(c) => First::Event(Some(Event::Key(Key::Char(c))), length),
        None => First::Event(None, 1),
    }
}

/// What follows `ESC [`: parameters, and a letter that ends them.
fn control_sequence(rest: &[u8]) -> First {
    let is_end = |byte: &u8| !matches!(byte, 0x20..=0x3f);
    let Some(end) = rest.iter().position(is_end) else {
        return First::Incomplete;
    };
    let (parameters, rest) = rest.split_at(end);
    let letter = rest.first().copied().unwrap_or_default();
    let parameters = std::str::from_utf8(parameters).unwrap_or_default();
    let event = match (parameters.strip_prefix('<'), letter) {
        (Some(report), b'M') => mouse(report),
        (Some(_), _) => None,
        (None, b'~') => numbered(parameters).map(Event::Key),
        (None, b'Z') => Some(Event::Key(Key::BackTab)),
        (None, letter) => arrow(letter).map(Event::Key),
    };
    // `ESC [`, the parameters, and the letter; a byte that cannot be in a sequence is not part of it.
    let ends = usize::from(matches!(letter, 0x40..=0x7e));
    First::Event(event, 2 + end + ends)
}

fn arrow(letter: u8) -> Option<Key> {
    Some(match letter {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

/// A key that has a number, and perhaps another one for Shift, Alt and Ctrl.
fn numbered(parameters: &str) -> Option<Key> {
    let number = parameters.split(';').next()?;
    Some(match number {
        "1" | "7" => Key::Home,
        "3" => Key::Delete,
        "4" | "8" => Key::End,
        "5" => Key::PageUp,
        "6" => Key::PageDown,
        _ => return None,
    })
}

/// A button that was pressed: its number, the column and the line from 1.
fn mouse(report: &str) -> Option<Event> {
    let mut numbers = report.split(';').map(str::parse::<u16>);
    let mut next = || numbers.next().and_then(Result::ok);
    let (button, column, line) = (next()?, next()?, next()?);
    Some(match button {
        0 => Event::Click(column.checked_sub(1)?, line.checked_sub(1)?),
        64 => Event::WheelUp,
        65 => Event::WheelDown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn key(key: Key) -> Vec<Event> {
        vec![Event::Key(key)]
    }

    #[rstest]
    #[case(b"a", key(Key::Char('a')))]
    #[case("ä世".as_bytes(), [key(Key::Char('ä')), key(Key::Char('世'))].concat())]
    #[case(b"\x1b", key(Key::Esc))]
    #[case(b"\r", key(Key::Enter))]
    #[case(b"\t\x1b[Z", [key(Key::Tab), key(Key::BackTab)].concat())]
    #[case(b"\x7f", key(Key::Backspace))]
    #[case(b"\x03", key(Key::Ctrl('c')))]
    #[case(b"\x1b[A\x1bOB", [key(Key::Up), key(Key::Down)].concat())]
    #[case(b"\x1b[1;5C", key(Key::Right))]
    #[case(b"\x1b[5~\x1b[6;2~", [key(Key::PageUp), key(Key::PageDown)].concat())]
    #[case(b"\x1b[H\x1b[4~", [key(Key::Home), key(Key::End)].concat())]
    #[case(b"\x1b[<0;3;200M", vec![Event::Click(2, 199)])]
    #[case(b"\x1b[<0;3;200m", Vec::new())]
    #[case(b"\x1b[<65;1;1Mq", [vec![Event::WheelDown], key(Key::Char('q'))].concat())]
    // What no terminal sends.
    #[case(b"\x1b[<0;0;1M", Vec::new())]
    #[case(b"\x1b[<;;M", Vec::new())]
    #[case(b"\x1b[<99999;1;1M", Vec::new())]
    #[case(b"\xffa", key(Key::Char('a')))]
    #[case(b"\x1b[12\nj", [key(Key::Enter), key(Key::Char('j'))].concat())]
    #[case(b"\x1bxq", key(Key::Char('q')))]
    fn bytes_are_keys(#[case] bytes: &[u8], #[case] events: Vec<Event>) {
        let rest = Vec::new();
        assert_eq!(parse(bytes, true), Parsed { events, rest });
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes, true).rest.is_empty());
        }

        /// Wherever a connection cuts them in two.
        #[test]
        fn keys_may_come_in_parts(at in 0usize..30) {
            let bytes = "a\x1b[<0;3;200M\x1b[5~\u{4e16}\x1b[Aq".as_bytes();
            let whole = parse(bytes, true);
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let first = parse(first, false);
            let second = parse(&[first.rest, second.to_vec()].concat(), true);
            prop_assert_eq!([first.events, second.events].concat(), whole.events);
        }
    }
}
