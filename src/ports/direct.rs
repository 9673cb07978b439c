//! Direct collection: deletion of dead paths by nix-prune itself, in place of Nix's collector.

use super::{Deleted, PerformError};
use crate::domain::measure::Bytes;
use crate::domain::store_path::StorePath;

/// A collection under way. It holds Nix's lock and answers builds that need a path; it ends when it is dropped.
pub trait DirectCollection {
    /// Deletes the paths of the leading batches, as many batches as take a fraction of a second. Their files may still be there when
    /// it returns.
    ///
    /// Whatever keeps a path must be in the same batch, in an earlier one, or gone. Each path is checked once more; a path that came
    /// alive meanwhile is refused, with all that it keeps.
    fn delete(&self, batches: &[Vec<StorePath<String>>]) -> DirectStep;

    /// Waits for the files of all deleted paths, and deletes hard links in `.links` that no path uses any more. A `whole` collection
    /// deletes the names in the store directory that are not those of store paths as well.
    fn finish(&self, whole: bool) -> Finished;
}

/// The result of one step.
#[derive(Debug)]
pub struct DirectStep {
    /// How many of the batches it took.
    pub taken: usize,
    /// What became of their paths.
    pub deleted: Deleted,
}

/// What became of the files of deleted paths, and of what is beside store paths.
#[derive(Debug)]
pub struct Finished {
    /// Names deleted that are not those of store paths.
    pub names: u64,
    /// What all of it freed on disk, in bytes.
    pub bytes: Bytes,
    /// Paths that have files left, because somebody asked to stop or some could not be deleted.
    pub unfinished: u64,
    /// Paths and names that could not be deleted, each with the reason.
    pub left: Vec<String>,
    /// Whether it came to its end.
    pub outcome: Result<(), PerformError>,
}
