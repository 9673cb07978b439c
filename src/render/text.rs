//! Text for a terminal: escaping, and times, durations and numbers.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use camino::Utf8Path;
use jiff::tz::TimeZone;

use crate::domain::growth::FullForecast;
use crate::domain::measure::Timestamp;
use crate::domain::reference;
use crate::domain::store_path::StorePathRef;
use crate::domain::visible::is_hidden;

pub use crate::domain::measure::count;

/// Makes every character visible that would move the cursor, change the order of the text or not show at all. Our own
/// marks for colours are among them, and so cannot come from outside.
///
/// Escapes in the text are left as they are, so that a whole sentence can be escaped after its parts. A backslash is
/// left alone: names that have one can be copied, and nothing worse than a doubtful reading comes of it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(&mut out, text);
    out
}

/// The same behind what is there already.
pub fn escape_into(out: &mut String, text: &str) {
    // What nearly every name is; there may be a million of them.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = match c {
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if c.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(c)),
            c if is_hidden(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.write_char(c),
        };
    }
}

/// A store path in the short form that people recognise: the beginning of the hash, and the name. Every other text is
/// unchanged, a path below a store path among them.
pub fn short_target(text: &str) -> String {
    let path = Utf8Path::new(text);
    let in_store = path.parent().and_then(Utf8Path::file_name) == Some("store");
    let base_name = path.file_name().filter(|_| in_store).unwrap_or_default();
    match StorePathRef::from_base_name(base_name) {
        Ok(path) => {
            let hash: String = base_name.chars().take(7).collect();
            format!("{hash}…-{}", path.name())
        }
        Err(_) => text.to_string(),
    }
}

/// A time to the minute, `2026-11-22 22:16`.
pub fn time(time: Timestamp, zone: &TimeZone) -> String {
    time.in_zone(zone).strftime("%Y-%m-%d %H:%M").to_string()
}

/// How long ago a time was: `12 days ago`.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const MONTH: u64 = 30 * DAY;
    const YEAR: u64 = 365 * DAY;
    if time > now {
        return "in the future".to_string();
    }
    let seconds = now.to_unix().0.abs_diff(time.to_unix().0);
    let (unit, word) = match seconds {
        0..MINUTE => return "just now".to_string(),
        MINUTE..HOUR => (MINUTE, "minute"),
        HOUR..172_800 => (HOUR, "hour"),
        172_800..5_184_000 => (DAY, "day"),
        5_184_000..63_072_000 => (MONTH, "month"),
        _ => (YEAR, "year"),
    };
    format!("{} ago", count(seconds / unit, word))
}

/// When a file system will be full, where that is within the reach of a forecast: `full in about 25 days (18 to 40) at the present
/// growth`.
pub fn full_forecast(forecast: FullForecast) -> Option<String> {
    let FullForecast::Within {
        earliest_days,
        likely_days,
        latest_days,
    } = forecast
    else {
        return None;
    };
    let when = match (likely_days, latest_days) {
        (None, _) => format!("in {} at the earliest", count(earliest_days, "day")),
        (Some(0), _) => "today".to_string(),
        (Some(days), Some(latest)) if latest == earliest_days => {
            format!("in about {}", count(days, "day"))
        }
        (Some(days), Some(latest)) => {
            format!(
                "in about {} ({earliest_days} to {latest})",
                count(days, "day")
            )
        }
        (Some(days), None) => {
            format!("in about {} ({earliest_days} or more)", count(days, "day"))
        }
    };
    Some(format!("full {when} at the present growth"))
}

/// Numbers in ranges: `1-55, 58`.
pub fn ranges(numbers: &BTreeSet<u32>) -> String {
    let range = |(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    let ranges = reference::ranges(numbers);
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

/// The order of two names in which numbers count as numbers: `system-9-link` before `system-10-link`.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let same = common_prefix(a, b);
    let behind = |text| str::get(text, same..).unwrap_or_default();
    let (mut left, mut right) = (behind(a), behind(b));
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (l, r) = (digits(left), digits(right));
        if l > 0 && r > 0 {
            let (number, other) = (left.split_at(l), right.split_at(r));
            let (one, two) = (
                number.0.trim_start_matches('0'),
                other.0.trim_start_matches('0'),
            );
            let order = one.len().cmp(&two.len()).then_with(|| one.cmp(two));
            if order.is_ne() {
                return order;
            }
            (left, right) = (number.1, other.1);
            continue;
        }
        let (mut ahead, mut other) = (left.chars(), right.chars());
        match (ahead.next(), other.next()) {
            (Some(one), Some(two)) if one == two => {
                (left, right) = (ahead.as_str(), other.as_str());
            }
            // Equal but for zeros before a number.
            (None, None) => return a.cmp(b),
            (one, two) => return one.cmp(&two),
        }
    }
}

/// The bytes that two names begin with alike, up to a number that goes on behind them.
fn common_prefix(a: &str, b: &str) -> usize {
    let pairs = a.bytes().zip(b.bytes());
    let same = pairs.take_while(|(one, two)| one == two).count();
    let number = a.bytes().take(same).rev();
    let number = number.take_while(u8::is_ascii_digit).count();
    let mut end = same - number;
    while !(a.is_char_boundary(end) && b.is_char_boundary(end)) {
        end -= 1;
    }
    end
}

/// A list as it is spoken: `a`, `a and b`, `a, b and c`.
pub fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

/// The text with a capital letter at its start.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain", "plain")]
    #[case("grüße 世界 🦀", "grüße 世界 🦀")]
    #[case("a b\\n", "a b\\n")]
    #[case("a\nb", "a\\nb")]
    #[case("a\r\tb", "a\\r\\tb")]
    #[case("\0", "\\x00")]
    #[case("\x1b]0;title\x07", "\\x1b]0;title\\x07")]
    #[case("\x1b[2J", "\\x1b[2J")]
    #[case("\x7f", "\\x7f")]
    #[case("\u{9b}31m", "\\u{9b}31m")]
    #[case("\u{85}", "\\u{85}")]
    #[case("exe\u{202e}txt.", "exe\\u{202e}txt.")]
    #[case("\u{2066}\u{2069}", "\\u{2066}\\u{2069}")]
    #[case("\u{2028}", "\\u{2028}")]
    #[case("a\u{200b}b", "a\\u{200b}b")]
    #[case("\u{feff}", "\\u{feff}")]
    #[case("\u{e0041}", "\\u{e0041}")]
    #[case("\u{fe0f}", "\\u{fe0f}")]
    fn hostile_names_become_visible(#[case] text: &str, #[case] visible: &str) {
        assert_eq!(escape(text), visible);
    }

    #[rstest]
    #[case(-1, "in the future")]
    #[case(0, "just now")]
    #[case(59, "just now")]
    #[case(60, "1 minute ago")]
    #[case(7_199, "1 hour ago")]
    #[case(86_400, "24 hours ago")]
    #[case(172_800, "2 days ago")]
    #[case(12 * 86_400, "12 days ago")]
    #[case(90 * 86_400, "3 months ago")]
    #[case(800 * 86_400, "2 years ago")]
    fn ages_are_said(#[case] seconds: i64, #[case] text: &str) {
        let now = Timestamp::from_unix(1_795_385_804, 0).unwrap();
        let then = Timestamp::from_unix(1_795_385_804 - seconds, 0).unwrap();
        assert_eq!(ago(then, now), text);
    }

    #[rstest]
    #[case(18, Some(25), Some(40), "in about 25 days (18 to 40)")]
    #[case(25, Some(25), Some(25), "in about 25 days")]
    #[case(1, Some(1), Some(2), "in about 1 day (1 to 2)")]
    #[case(18, Some(25), None, "in about 25 days (18 or more)")]
    #[case(18, None, None, "in 18 days at the earliest")]
    #[case(0, Some(0), Some(3), "today")]
    fn a_forecast_is_a_range(
        #[case] earliest_days: u32,
        #[case] likely_days: Option<u32>,
        #[case] latest_days: Option<u32>,
        #[case] when: &str,
    ) {
        let forecast = FullForecast::Within {
            earliest_days,
            likely_days,
            latest_days,
        };
        let text = full_forecast(forecast).unwrap();
        assert_eq!(text, format!("full {when} at the present growth"));
        assert_eq!(full_forecast(FullForecast::NotWithin { days: 9 }), None);
    }

    #[rstest]
    #[case(0, "generation", "0 generations")]
    #[case(1, "entry", "1 entry")]
    #[case(2, "entry", "2 entries")]
    #[case(3, "day", "3 days")]
    fn numbers_agree_with_their_nouns(#[case] n: u64, #[case] noun: &str, #[case] text: &str) {
        assert_eq!(count(n, noun), text);
    }

    #[rstest]
    #[case(60)]
    #[case(0)]
    fn times_are_told_in_the_zone(#[case] offset: i32) {
        let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(offset * 60).unwrap());
        let at = Timestamp::from_unix(1_795_385_804, 0).unwrap();
        let hour = if offset == 0 { 22 } else { 23 };
        assert_eq!(time(at, &zone), format!("2026-11-22 {hour}:16"));
    }

    #[rstest]
    #[case(
        "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-nixos-26.05",
        "00bgd04…-nixos-26.05"
    )]
    #[case("/a b/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x", "00bgd04…-x")]
    #[case(
        "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x/bin",
        "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x/bin"
    )]
    #[case(
        "/elsewhere/00bgd045z0d4icpbc2yyz4gx48ak44la-x",
        "/elsewhere/00bgd045z0d4icpbc2yyz4gx48ak44la-x"
    )]
    #[case("/nix/store/x", "/nix/store/x")]
    #[case("", "")]
    fn only_store_paths_are_shortened(#[case] text: &str, #[case] short: &str) {
        assert_eq!(short_target(text), short);
    }

    #[rstest]
    #[case(&[], "")]
    #[case(&[7], "7")]
    #[case(&[1, 2, 3, 5, 8, 9], "1-3, 5, 8-9")]
    #[case(&[0, u32::MAX - 1, u32::MAX], "0, 4294967294-4294967295")]
    fn numbers_are_told_in_ranges(#[case] numbers: &[u32], #[case] text: &str) {
        assert_eq!(ranges(&numbers.iter().copied().collect()), text);
    }

    #[rstest]
    #[case("system-9-link", "system-10-link")]
    #[case("a", "b")]
    #[case("a", "a1")]
    #[case("a-2-b", "a-10")]
    #[case("a01", "a1")]
    #[case("a1b", "a12")]
    #[case("a11", "a101")]
    #[case("a99999999999999999999999", "a100000000000000000000000")]
    fn numbers_sort_as_numbers(#[case] first: &str, #[case] second: &str) {
        assert_eq!(natural_order(first, second), Ordering::Less);
        assert_eq!(natural_order(second, first), Ordering::Greater);
        assert_eq!(natural_order(first, first), Ordering::Equal);
    }

    proptest::proptest! {
        #[test]
        fn the_natural_order_is_an_order(a in "[aéè0-2]{0,5}", b in "[aéè0-2]{0,5}", c in "[aéè0-2]{0,5}") {
            let order = natural_order(&a, &b);
            proptest::prop_assert_eq!(order, natural_order(&b, &a).reverse());
            if order.is_le() && natural_order(&b, &c).is_le() {
                proptest::prop_assert!(natural_order(&a, &c).is_le());
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_hidden_is_left(text: String) {
            let once = escape(&text);
            proptest::prop_assert!(!once.chars().any(is_hidden));
            proptest::prop_assert_eq!(escape(&once), once);
        }
    }
}
