//! Escaping of characters that control a terminal, hide text or reorder it, for text and JSON.

use std::ffi::OsStr;
use std::fmt::Write as _;

/// Whether a character moves the cursor, changes the order of the text, or has no glyph: controls, line separators,
/// directions, joiners, fillers, variation selectors, tags.
pub fn is_hidden(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

fn is_invisible(c: char) -> bool {
    matches!(
        u32::from(c),
        0x00ad
            | 0x034f
            | 0x0600..=0x0605
            | 0x061c
            | 0x06dd
            | 0x070f
            | 0x0890..=0x0891
            | 0x08e2
            | 0x115f..=0x1160
            | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            | 0x200b..=0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0x3164
            | 0xfe00..=0xfe0f
            | 0xfeff
            | 0xffa0
            | 0xfff0..=0xfffb
            | 0x110bd
            | 0x110cd
            | 0x13430..=0x1343f
            | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff
    )
}

/// A name for a message: characters that control a terminal or are invisible are escaped.
pub fn shown(name: impl AsRef<OsStr>) -> String {
    let mut text = String::new();
    for c in name.as_ref().to_string_lossy().chars() {
        match c {
            '"' | '\'' | '\\' => text.push(c),
            c => text.extend(c.escape_debug()),
        }
    }
    text
}

/// A JSON text that says the same and that a terminal only shows: hidden characters are written as `\uXXXX`.
///
/// JSON has such characters in its strings only, where the escape is the same value. Line breaks, blanks and tabs
/// between the strings are not escaped: inside a string JSON itself forbids them.
pub fn escape_json(text: String) -> String {
    let is_plain = |c: char| matches!(c, ..'\u{20}') || !is_hidden(c);
    if text.chars().all(is_plain) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("plain name-ä", "plain name-ä")]
    #[case("it's \"a\\b\"", "it's \"a\\b\"")]
    #[case("a\nb\x1b[31m\u{202e}", "a\\nb\\u{1b}[31m\\u{202e}")]
    fn names_in_messages_cannot_steer_a_terminal(#[case] name: &str, #[case] text: &str) {
        assert_eq!(shown(name), text);
    }

    #[rstest]
    #[case::c1("\u{9b}31m", r"\u009b31m")]
    #[case::next_line("\u{85}", r"\u0085")]
    #[case::delete("\u{7f}", r"\u007f")]
    #[case::overrides("\u{202a}\u{202e}", r"\u202a\u202e")]
    #[case::isolates("\u{2066}\u{2069}", r"\u2066\u2069")]
    #[case::marks("\u{200e}\u{200f}\u{61c}", r"\u200e\u200f\u061c")]
    #[case::separators("\u{2028}\u{2029}", r"\u2028\u2029")]
    #[case::zero_width("\u{200b}\u{200d}\u{2060}\u{feff}", r"\u200b\u200d\u2060\ufeff")]
    #[case::a_variation("\u{fe0f}", r"\ufe0f")]
    #[case::a_tag("\u{e0041}", r"\udb40\udc41")]
    #[case::letters("grüße 世界 🦀", "grüße 世界 🦀")]
    fn hidden_characters_are_written_as_escapes(#[case] text: &str, #[case] written: &str) {
        let document = serde_json::to_string(text).unwrap();
        assert_eq!(escape_json(document), format!("\"{written}\""));
    }

    proptest! {
        #[test]
        fn the_value_is_the_same_and_nothing_hidden_is_left(key: String, text: String, tail in "[\u{7f}-\u{9f}\u{2028}-\u{202e}\u{e0000}-\u{e007f}]{0,4}") {
            let value = json!({ key: [text, tail] });
            for document in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let escaped = escape_json(document);
                prop_assert!(!escaped.chars().any(|c| c != '\n' && is_hidden(c)), "{:?}", escaped);
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), &value);
            }
        }
    }
}
