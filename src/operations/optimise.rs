//! `optimise`: hard-links equal files with `nix-store --optimise`.

use super::{Operation, ProfileNames, Site};
use crate::domain::receipt::Outcome;
use crate::ports::PerformError;

/// Optimises the store.
pub(super) struct Optimise;

impl Operation for Optimise {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        "hard-link equal files in the store".to_string()
    }

    fn perform(&self, site: &Site<'_>) -> Result<Option<String>, PerformError> {
        site.nix.optimise().map(|()| None)
    }

    fn examine(&self, _: &Site<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
