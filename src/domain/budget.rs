//! The disk goal of a job, and how much must go to reach it.

use std::fmt;
use std::str::FromStr;

use super::measure::Bytes;

/// What is to hold after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// At least this much of the file system is free.
    MinFree(Amount),
    /// At most this much of the file system is used.
    MaxUsed(Percent),
    /// The store is at most so large.
    MaxStore(Bytes),
}

/// So many bytes, or a part of the file system: `50G`, `20%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(Bytes),
    /// A part of the file system.
    Percent(Percent),
}

/// A whole number of hundredths, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

/// How full a file system is. What only root may use belongs to neither part, as `df` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// The bytes in use.
    pub used: Bytes,
    /// The bytes that anybody may still use.
    pub available: Bytes,
}

/// Why a text or number is no disk goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The text is not a size.
    #[error("`{0}` is not a size; write a number with K, M, G or T behind it, such as 50G or 1.5T")]
    Size(String),
    /// The text is neither a size nor a percentage.
    #[error("`{0}` is neither a size such as 50G nor a whole percentage such as 20%")]
    Amount(String),
    /// The most that may be used is out of range.
    #[error("{0} percent used is no goal; it must be 10 to 95")]
    MaxUsed(u64),
    /// The least that is to be free is out of range.
    #[error("{0} percent free is no goal; it must be 5 to 90")]
    MinFree(u8),
}

impl Percent {
    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }

    fn of(self, whole: u64) -> u128 {
        u128::from(whole) * u128::from(self.0)
    }
}

impl Disk {
    fn size(self) -> u64 {
        self.used.0.saturating_add(self.available.0)
    }
}

impl Budget {
    /// A least part that is to be free. As [`Budget::max_used`], a percentage must leave room for a system: 5 to 90.
    ///
    /// # Errors
    /// When a percentage is out of range.
    pub fn min_free(amount: Amount) -> Result<Self, BudgetError> {
        match amount {
            Amount::Percent(Percent(percent)) if !(5..=90).contains(&percent) => {
                Err(BudgetError::MinFree(percent))
            }
            _ => Ok(Self::MinFree(amount)),
        }
    }

    /// A largest part that may be used, 10 to 95 percent.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn max_used(percent: u64) -> Result<Self, BudgetError> {
        match u8::try_from(percent) {
            Ok(percent @ 10..=95) => Ok(Self::MaxUsed(Percent(percent))),
            _ => Err(BudgetError::MaxUsed(percent)),
        }
    }

    /// How many bytes must go until the goal is reached: none when it is. `store` is the size of the store.
    pub fn to_free(self, disk: Disk, store: Bytes) -> Bytes {
        let missing = match self {
            Self::MinFree(Amount::Bytes(least)) => least.0.saturating_sub(disk.available.0),
            // A part of a byte counts as a whole one: the goal is reached, not nearly.
            Self::MinFree(Amount::Percent(least)) => {
                hundredth(least.of(disk.size()), u128::div_ceil).saturating_sub(disk.available.0)
            }
            Self::MaxUsed(most) => disk
                .used
                .0
                .saturating_sub(hundredth(most.of(disk.size()), |n, by| n / by)),
            Self::MaxStore(most) => store.0.saturating_sub(most.0),
        };
        Bytes(missing)
    }
}

fn hundredth(bytes: u128, divide: impl Fn(u128, u128) -> u128) -> u64 {
    // At most 100 percent of a number of 64 bits.
    u64::try_from(divide(bytes, 100)).unwrap_or(u64::MAX)
}

impl FromStr for Amount {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || BudgetError::Amount(text.to_string());
        match text.strip_suffix('%') {
            Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => {
                let percent: u8 = number.parse().map_err(|_| wrong())?;
                let percent = Some(percent).filter(|&percent| percent <= 100);
                percent.map(|p| Self::Percent(Percent(p))).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
            None => parse_size(text).map(Self::Bytes).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Percent(Percent(percent)) => write!(f, "{percent}%"),
        }
    }
}

/// Reads a size: bytes, or an integer or decimal with K, M, G or T for powers of 1024. A part of a byte counts as a whole
/// one.
///
/// # Errors
/// When it is not one, or more than 64 bits hold.
pub fn parse_size(text: &str) -> Result<Bytes, BudgetError> {
    size(text)
        .map(Bytes)
        .ok_or_else(|| BudgetError::Size(text.to_string()))
}

fn size(text: &str) -> Option<u64> {
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(*unit));
    let (number, shift) = match unit {
        Some((unit, shift)) => (text.strip_suffix(*unit)?, *shift),
        None => (text, 0),
    };
    let (whole, fraction) = match number.split_once('.') {
        // There is no part of a byte to write.
        Some((_, _)) if shift == 0 => return None,
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let power = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let whole: u64 = whole.parse().ok()?;
    let bytes = u128::from(whole).checked_mul(power)?.checked_add(part)? << shift;
    u64::try_from(bytes.div_ceil(power)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GIB: u64 = 1 << 30;

    #[rstest]
    #[case("0", 0)]
    #[case("4096", 4096)]
    #[case("1K", 1024)]
    #[case("50G", 50 * GIB)]
    #[case("1.5T", 1536 * GIB)]
    #[case("0.1K", 103)]
    #[case("0.000000001K", 1)]
    #[case("18446744073709551615", u64::MAX)]
    #[case("16777215.999999999T", 18_446_744_073_709_550_517)]
    fn sizes_are_read(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(parse_size(text), Ok(Bytes(bytes)));
    }

    #[rstest]
    #[case("")]
    #[case("G")]
    #[case("1.5")]
    #[case("1.G")]
    #[case(".5G")]
    #[case("1.2.3G")]
    #[case("1.0000000001G")]
    #[case("-1G")]
    #[case("+1G")]
    #[case("1 G")]
    #[case(" 1G")]
    #[case("1g")]
    #[case("1GiB")]
    #[case("1GG")]
    #[case("1e3G")]
    #[case("٣G")]
    #[case("16777216T")]
    #[case("18446744073709551616")]
    #[case("99999999999999999999999999999999999999999T")]
    fn other_texts_are_not_sizes(#[case] text: &str) {
        assert_eq!(parse_size(text), Err(BudgetError::Size(text.to_string())));
        assert_eq!(
            text.parse::<Amount>(),
            Err(BudgetError::Amount(text.to_string()))
        );
    }

    #[rstest]
    #[case("20%", Some(20))]
    #[case("0%", Some(0))]
    #[case("100%", Some(100))]
    #[case("101%", None)]
    #[case("256%", None)]
    #[case("2.5%", None)]
    #[case("-1%", None)]
    #[case("+1%", None)]
    #[case("%", None)]
    #[case("20%%", None)]
    fn percentages_are_whole(#[case] text: &str, #[case] percent: Option<u8>) {
        let amount = percent.map(|percent| Amount::Percent(Percent(percent)));
        assert_eq!(text.parse::<Amount>().ok(), amount);
    }

    #[rstest]
    #[case(9, false)]
    #[case(10, true)]
    #[case(95, true)]
    #[case(96, false)]
    #[case(u64::MAX, false)]
    fn a_goal_that_no_system_can_keep_is_refused(#[case] percent: u64, #[case] good: bool) {
        assert_eq!(Budget::max_used(percent).is_ok(), good);
        let free = 100u64.saturating_sub(percent);
        let free: Amount = format!("{free}%").parse().unwrap();
        assert_eq!(Budget::min_free(free).is_ok(), good);
    }

    #[rstest]
    #[case(Budget::MinFree(Amount::Bytes(Bytes(300))), 100)]
    #[case(Budget::MinFree(Amount::Bytes(Bytes(200))), 0)]
    #[case(Budget::MinFree(Amount::Percent(Percent(20))), 1)]
    #[case(Budget::MinFree(Amount::Percent(Percent(19))), 0)]
    #[case(Budget::MaxUsed(Percent(80)), 1)]
    #[case(Budget::MaxUsed(Percent(81)), 0)]
    #[case(Budget::MaxUsed(Percent(10)), 703)]
    #[case(Budget::MaxStore(Bytes(500)), 100)]
    #[case(Budget::MaxStore(Bytes(600)), 0)]
    #[case(Budget::MaxStore(Bytes(u64::MAX)), 0)]
    fn the_goal_says_what_must_go(#[case] budget: Budget, #[case] bytes: u64) {
        let disk = Disk {
            used: Bytes(803),
            available: Bytes(200),
        };
        assert_eq!(budget.to_free(disk, Bytes(600)), Bytes(bytes));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_size(&text);
            let _ = text.parse::<Amount>();
        }

        /// After freeing what it asked for, a goal asks for nothing more, and a byte less is not enough.
        #[test]
        fn what_must_go_is_enough(used: u64, available: u64, percent in 10u64..=95, free in 5u8..=90) {
            let (used, available) = (used / 2, available / 2);
            for budget in [
                Budget::max_used(percent).unwrap(),
                Budget::min_free(Amount::Percent(Percent(free))).unwrap(),
                Budget::MinFree(Amount::Bytes(Bytes(available / 2 + used / 3))),
            ] {
                let now = |freed: u64| Disk { used: Bytes(used - freed), available: Bytes(available + freed) };
                let freed = budget.to_free(now(0), Bytes(0)).0;
                proptest::prop_assert!(freed <= used);
                proptest::prop_assert_eq!(budget.to_free(now(freed), Bytes(0)), Bytes(0));
                if freed > 0 {
                    proptest::prop_assert_eq!(budget.to_free(now(freed - 1), Bytes(0)), Bytes(1));
                }
            }
        }
    }
}
