//! `optimise`: hard-links equal files with `nix-store --optimise`.

use super::{ActionContext, Operation, ProfileNames};
use crate::domain::receipt::Outcome;
use crate::ports::PerformError;

/// Optimises the store.
pub(super) struct Optimise;

impl Operation for Optimise {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        "hard-link equal files in the store".to_string()
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Option<String>, PerformError> {
        context.nix.optimise().map(|()| None)
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
