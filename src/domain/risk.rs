//! Risk of an action, computed from the action and its circumstances, never declared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The four levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(schemars::JsonSchema)]
pub enum RiskLevel {
    /// Nothing that a person can miss.
    Low,
    /// Reversible within the undo window.
    Medium,
    /// Reversible, but the machine is concerned; or irreversible for one user.
    High,
    /// Irreversible, and it narrows the way back of the machine.
    Critical,
}

impl RiskLevel {
    /// All levels, from the least.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for RiskLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no risk level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown risk level `{0}`; use low, medium, high or critical")]
pub struct NotARisk(String);

impl FromStr for RiskLevel {
    type Err = NotARisk;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| text.eq_ignore_ascii_case(level.as_str()))
            .ok_or_else(|| NotARisk(text.to_string()))
    }
}

/// The risk of dropping a generation.
///
/// `held` is whether its closure is held for the undo window, `bootable_left` how many generations the machine could
/// still boot from once everything planned is done.
pub fn of_generation(is_system: bool, held: bool, bootable_left: usize) -> RiskLevel {
    match (is_system, held) {
        (true, _) if bootable_left < 2 => RiskLevel::Critical,
        (true, false) => RiskLevel::Critical,
        (true, true) | (false, false) => RiskLevel::High,
        (false, true) => RiskLevel::Medium,
    }
}

/// The risk of removing a generation of a removed user, held or not: nobody is left to miss it, and nobody to make it again.
pub const OF_REMOVED_USER: RiskLevel = RiskLevel::High;

/// The risk of removing the link of a root. `held` is whether its closure is held for the undo window.
pub fn of_root_link(held: bool) -> RiskLevel {
    of_generation(false, held, usize::MAX)
}

/// The risk of ending a hold before its time: what it held can never be put back.
pub fn of_early_release(is_system: bool) -> RiskLevel {
    of_generation(is_system, false, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(false, true, 0, RiskLevel::Medium)]
    #[case(false, false, 9, RiskLevel::High)]
    #[case(true, true, 2, RiskLevel::High)]
    #[case(true, true, 1, RiskLevel::Critical)]
    #[case(true, false, 9, RiskLevel::Critical)]
    fn risk_is_computed(
        #[case] is_system: bool,
        #[case] held: bool,
        #[case] left: usize,
        #[case] risk: RiskLevel,
    ) {
        assert_eq!(of_generation(is_system, held, left), risk);
    }

    #[test]
    fn levels_are_read_in_any_case_and_ordered() {
        assert_eq!("HIGH".parse(), Ok(RiskLevel::High));
        assert!("none".parse::<RiskLevel>().is_err());
        assert!(RiskLevel::ALL.is_sorted());
    }
}
