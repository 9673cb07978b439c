//! References to generations as a person writes them: `system:42`, `alice/home-manager:40..45`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::job::ProfileRef;
use super::profile::{GenerationNumber, ProfilePath};

/// Generations of one profile, all of them or those within a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationsRef {
    /// The profile.
    pub profile: ProfileRef,
    numbers: Option<RangeInclusive<GenerationNumber>>,
}

impl GenerationsRef {
    /// Reads `PROFILE`, `PROFILE:N` or `PROFILE:N..M`.
    pub fn parse(text: &str) -> Option<Self> {
        let (profile, numbers) = match text.rsplit_once(':') {
            Some((profile, numbers)) => (profile, Some(range(numbers)?)),
            None => (text, None),
        };
        let profile = ProfileRef::parse(profile)?;
        Some(Self { profile, numbers })
    }

    /// The number, if it names exactly one.
    pub fn number(&self) -> Option<GenerationNumber> {
        let numbers = self.numbers.as_ref()?;
        (numbers.start() == numbers.end()).then_some(*numbers.start())
    }

    /// Whether the generation is meant.
    pub fn names(&self, profile: &ProfilePath, number: GenerationNumber) -> bool {
        let mut numbers = self.numbers.iter();
        self.profile.names(profile) && numbers.all(|range| range.contains(&number))
    }
}

fn range(text: &str) -> Option<RangeInclusive<GenerationNumber>> {
    let number = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number);
        number.map(GenerationNumber)
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    (!range.is_empty()).then_some(range)
}

/// The numbers as ranges, each as its first and last number.
pub fn ranges(numbers: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use rstest::rstest;

    const SYSTEM: &str = "/nix/var/nix/profiles/system";

    #[rstest]
    #[case("system:42", &[42], Some(42))]
    #[case("system:40..42", &[40, 41, 42], None)]
    #[case("system:42..42", &[42], Some(42))]
    #[case("/nix/var/nix/profiles/system:41", &[41], Some(41))]
    #[case("system", &[39, 40, 41, 42, 43], None)]
    #[case("default:42", &[], Some(42))]
    fn people_name_generations(
        #[case] text: &str,
        #[case] named: &[u32],
        #[case] number: Option<u32>,
    ) {
        let profile = ProfilePath::new(Utf8Path::new(SYSTEM)).unwrap();
        let reference = GenerationsRef::parse(text).unwrap();
        let all = (39..=43).map(GenerationNumber);
        let found: Vec<u32> = all
            .filter(|number| reference.names(&profile, *number))
            .map(|number| number.0)
            .collect();
        assert_eq!(found, named);
        assert_eq!(reference.number(), number.map(GenerationNumber));
    }

    #[rstest]
    #[case("")]
    #[case(":42")]
    #[case("system:")]
    #[case("system:+4")]
    #[case("system:4x")]
    #[case("system:42..40")]
    #[case("system:40..")]
    #[case("system:..40")]
    #[case("system:40...42")]
    #[case("system:4294967296")]
    #[case("../system:4")]
    fn other_texts_name_none(#[case] text: &str) {
        assert_eq!(GenerationsRef::parse(text), None);
    }
}
