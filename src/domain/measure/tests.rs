use super::*;
use rstest::rstest;

#[rstest]
#[case("30s", 30)]
#[case("15min", 900)]
#[case("2h", 7_200)]
#[case("1h30min", 5_400)]
#[case("6mo", 15_780_096)]
#[case("1y", 31_557_600)]
#[case("1d", 86_400)]
#[case("1.5d", 129_600)]
#[case("2w", 1_209_600)]
#[case(" 7d ", 604_800)]
#[case("0s", 0)]
#[case("0.0001s", 1)]
fn ages_are_read(#[case] text: &str, #[case] seconds: u64) {
    assert_eq!(text.parse::<Span>().unwrap().as_seconds(), seconds);
}

#[rstest]
#[case("")]
#[case(" ")]
#[case("d")]
#[case("7")]
#[case("1.xd")]
#[case("1.d")]
#[case(".5d")]
#[case("-1d")]
#[case("+1d")]
#[case("7 d d")]
#[case("1e3d")]
#[case("15m")]
#[case("1h30m")]
#[case("1mon")]
#[case("1M")]
#[case("99999999999999999999d")]
#[case("9999999w")]
#[case("1ẗ")]
fn other_texts_are_not_ages(#[case] text: &str) {
    assert!(text.parse::<Span>().is_err());
}

#[test]
fn a_bare_m_names_both_readings_and_was_a_minute_before() {
    let error = "1h6m".parse::<Span>().unwrap_err().to_string();
    assert!(error.contains("`1h6min` or `1h6mo`"), "{error}");
    assert_eq!(Span::respelled(" 1h6m ").as_deref(), Some(" 1h6min "));
    assert_eq!(Span::respelled("6 m"), None);
    let not_one = AgeError::NotOne("6 m".to_string());
    assert_eq!("6 m".parse::<Span>(), Err(not_one));
    let read = |text: &str| serde_json::from_value::<Span>(text.into()).unwrap();
    assert_eq!(read("1h30m"), read("90min"));
}

#[rstest]
#[case(0, "0s")]
#[case(86_400 * 14, "14d")]
#[case(5_400, "1h30min")]
#[case(129_600, "1d12h")]
fn ages_are_written(#[case] seconds: u64, #[case] text: &str) {
    let age = Span { seconds };
    assert_eq!(age.to_string(), text);
    assert_eq!(text.parse::<Span>().unwrap(), age);
}

#[rstest]
#[case(0, "0 B")]
#[case(1023, "1023 B")]
#[case(1024, "1.00 KiB")]
#[case((1 << 20) - 1, "1023.99 KiB")]
#[case(1 << 20, "1.00 MiB")]
#[case(1_048_576 * 3 / 2, "1.50 MiB")]
#[case(u64::MAX, "16777215.99 TiB")]
fn bytes_are_written(#[case] bytes: u64, #[case] text: &str) {
    assert_eq!(Bytes(bytes).to_string(), text);
}

#[rstest]
#[case(0, 0)]
#[case(-1, 999_999_999)]
#[case(1_795_377_937, 988_908_278)]
fn unix_times_come_back(#[case] seconds: i64, #[case] nanos: i64) {
    let time = Timestamp::from_unix(seconds, nanos).unwrap();
    assert_eq!(time.to_unix(), (seconds, nanos));
}

#[test]
fn times_beyond_the_calendar_are_none() {
    assert_eq!(Timestamp::from_unix(i64::MAX, 0), None);
}

proptest::proptest! {
    #[test]
    fn written_ages_are_read_back(seconds in 0u64..300_000_000_000) {
        let age = Span { seconds };
        proptest::prop_assert_eq!(age.to_string().parse::<Span>(), Ok(age));
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = text.parse::<Span>();
    }
}

#[rstest]
#[case(0, "generation", "0 generations")]
#[case(1, "generation", "1 generation")]
#[case(2, "generation", "2 generations")]
#[case(1, "entry", "1 entry")]
#[case(2, "entry", "2 entries")]
#[case(2, "day", "2 days")]
#[case(-1, "path", "18446744073709551615 paths")]
fn numbers_have_their_noun(#[case] number: i64, #[case] noun: &str, #[case] text: &str) {
    assert_eq!(count(number, noun), text);
}

#[rstest]
#[case(0, "0 roots point")]
#[case(1, "1 root points")]
#[case(3, "3 roots point")]
fn verbs_agree_with_their_number(#[case] number: usize, #[case] text: &str) {
    assert_eq!(count_with_verb(number, "root", "point"), text);
}

#[test]
fn a_time_is_the_same_on_the_calendar() {
    let time: Timestamp = "2026-11-22T22:16:44Z".parse().unwrap();
    assert_eq!(jiff::Timestamp::from(time).to_string(), time.to_string());
    assert_eq!(Timestamp::from(jiff::Timestamp::from(time)), time);
}
