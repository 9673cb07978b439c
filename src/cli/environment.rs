//! Our environment variables, with a check for unknown names.

use super::failure::{Exit, Failure};

/// Asks for another opinion on dead paths.
const COMPARE_DEAD: &str = "NIX_PRUNE_COMPARE_DEAD";

/// The variables that the program reads, with their meaning.
pub(super) const VARIABLES: [(&str, &str); 6] = [
    ("NIX_PRUNE_CONFIG", "The settings file, as --config."),
    (
        "NIX_PRUNE_STATE_DIR",
        "The state directory, as --state-dir.",
    ),
    (
        "NIX_PRUNE_NIX_BIN",
        "The directory of Nix's commands, as --nix-bin.",
    ),
    ("NIX_PRUNE_MAX_RISK", "The risk limit, as --max-risk."),
    (
        "NIX_PRUNE_UNDO_WINDOW",
        "The undo window, as --undo-window.",
    ),
    (
        COMPARE_DEAD,
        "If set to 1, a direct collection spares what `nix-store --gc --print-dead` does not name.",
    ),
];

/// The variables that tests and scripts beside the sources read.
const OTHERS: [&str; 4] = [
    "NIX_PRUNE_TEST_",
    "NIX_PRUNE_BLESS",
    "NIX_PRUNE_NIX_DIR",
    "NIX_PRUNE_DEBIAN_",
];

fn known() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _)| *name)
}

/// Whether a direct collection asks Nix what is dead as well.
#[expect(clippy::disallowed_methods, reason = "the environment of the program")]
pub(super) fn compares_dead() -> bool {
    std::env::var_os(COMPARE_DEAD).is_some_and(|value| value == "1")
}

/// Refuses an unknown variable with our prefix: it was set for a purpose, and a misspelt limit would be no limit.
///
/// # Errors
/// When there is one.
pub(super) fn check(names: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let ours = names.into_iter().filter(|n| n.starts_with("NIX_PRUNE_"));
    let mut unknown = ours.filter(|name| {
        let others = OTHERS.iter().any(|other| name.starts_with(other));
        !known().any(|known| known == name) && !others
    });
    match unknown.next() {
        None => Ok(()),
        Some(name) => {
            let message = format!("unknown variable {name}; nothing was done");
            let hint = format!(
                "Unset it. Known variables: {}.",
                known().collect::<Vec<_>>().join(", ")
            );
            Err(Failure::new(Exit::Usage, message).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("NIX_PRUNE_MAX_RISK", true)]
    #[case("NIX_PRUNE_MAX_RSIK", false)]
    #[case("NIX_PRUNE_TEST_NIX", true)]
    #[case("NIX_PRUNE_", false)]
    #[case("NIX_PRUNER", true)]
    #[case("HOME", true)]
    fn slips_are_refused(#[case] name: &str, #[case] passes: bool) {
        let result = check([name.to_string()]);
        assert_eq!(result.is_ok(), passes);
        assert!(result.is_ok_and(|()| passes) || !passes);
    }
}
