//! Removal of a link whose closure is held until its undo window ends.

use camino::Utf8PathBuf;

use super::{ActionContext, Frees};
use crate::domain::measure::Span;
use crate::domain::store_path::StorePath;
use crate::ports::{LinkState, PerformError, error_chain};

/// What removing a link does, in the imperative.
pub(super) fn describe_removal(what: &str, hold: Span) -> String {
    if hold.is_zero() {
        format!("remove {what} (not restorable)")
    } else {
        format!("remove {what} (restorable for {hold})")
    }
}

/// What removing a link frees.
pub(super) fn frees_of_link(link: Utf8PathBuf, hold: Span) -> Frees {
    if hold.is_zero() {
        Frees::Now(link)
    } else {
        Frees::WhenWindowEnds(link)
    }
}

/// Holds the closure of a link for as long as promised, then removes the link. If the hold fails, the link is kept. If the
/// removal fails and the link is still there, the hold is not needed.
pub(super) fn remove_held(
    context: &ActionContext<'_>,
    (path, promised): (&StorePath<String>, Span),
    remove: impl FnOnce() -> Result<(), PerformError>,
    see: impl FnOnce() -> Result<LinkState, PerformError>,
) -> Result<Option<String>, PerformError> {
    match &context.hold {
        Some(hold) => context.nix.hold(path, &hold.link)?,
        None if promised.is_zero() => {}
        // A hold was promised and has no place: that must never lead to the removal.
        None => return Err(PerformError::Stale("the hold has no place".to_string())),
    }
    let Err(error) = remove() else {
        return Ok(None);
    };
    match see() {
        // It failed after the removal; it counts that the link is gone, held, and recorded so.
        Ok(LinkState::Gone)
            if !matches!(
                error,
                PerformError::Stale(_) | PerformError::RemovedMore { .. }
            ) =>
        {
            Ok(Some(error_chain(&error)))
        }
        Ok(LinkState::Unchanged) => {
            if let Some(hold) = &context.hold
                && let Err(error) = context.nix.release_hold(hold)
            {
                tracing::warn!(error = %error_chain(&error), "an unneeded hold remains until its undo window ends");
            }
            Err(error)
        }
        // The state of the link is not certain: the hold is kept until its window ends.
        Ok(LinkState::Gone | LinkState::Unfinished | LinkState::Different) | Err(_) => Err(error),
    }
}
