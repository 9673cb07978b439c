//! `verify`: checks the store with `nix-store --verify`.

use super::{Operation, ProfileNames, Site};
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

    fn perform(&self, site: &Site<'_>) -> Result<Option<String>, PerformError> {
        site.nix.verify(self.contents).map(|()| None)
    }

    fn examine(&self, _: &Site<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
