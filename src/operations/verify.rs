//! `verify`: checks the store with `nix-store --verify`.

use super::{ActionContext, Operation, ProfileNames};
use crate::domain::receipt::Outcome;
use crate::ports::PerformError;

/// Checks the store.
pub(super) struct Verify {
    /// Whether the contents of every path are read.
    pub(super) contents: bool,
}

impl Operation for Verify {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let contents = if self.contents {
            " and its contents"
        } else {
            ""
        };
        format!("check the store{contents}")
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Option<String>, PerformError> {
        context.nix.verify(self.contents).map(|()| None)
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
