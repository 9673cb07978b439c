//! Suggestion of the nearest known word.

/// The nearest of the known words, if it is near enough to be a slip.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let (distance, found) = known
        .into_iter()
        // What is much longer is no slip, and to compare it may take long.
        .filter(|known| length <= 2 * known.chars().count())
        .map(|known| (strsim::osa_distance(&word, &known.to_lowercase()), known))
        .min()?;
    let longer = length.max(found.chars().count());
    (distance <= longer.div_ceil(3)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("saveMode", Some("safeMode"))]
    #[case("SAFEMODE", Some("safeMode"))]
    #[case("job", Some("jobs"))]
    #[case("jobs-xy", Some("jobs"))]
    #[case("retention", None)]
    #[case("", None)]
    fn a_slip_is_recognised(#[case] word: &str, #[case] expected: Option<&str>) {
        assert_eq!(nearest(word, ["jobs", "protect", "safeMode"]), expected);
    }

    #[test]
    fn of_no_words_none_is_near() {
        assert_eq!(nearest("x", []), None);
    }
}
