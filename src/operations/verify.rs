//! `verify`: checks the store with `nix-store --verify`. Nothing is repaired.

use super::{ActionContext, Operation, Performed, ProfileNames};
use crate::domain::maintenance::Report;
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

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let found = context.nix.verify(self.contents)?;
        if !found.is_sound() {
            return Err(PerformError::Damaged(Box::new(found)));
        }
        Ok(Performed {
            note: Some(found.to_string()),
            report: Some(Report::Verified(found)),
        })
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
