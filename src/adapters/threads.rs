//! Parallel work; if the system cannot start a thread, the work runs on the current one.

use std::num::NonZero;
use std::thread::{self, Builder, Scope, ScopedJoinHandle};

/// How many threads can run at once.
pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Work that runs in a thread, or is done once somebody waits for it.
pub(super) enum Task<'scope, T, F> {
    Begun(ScopedJoinHandle<'scope, T>),
    PutOff(F),
}

/// Begins work that reads only what it borrows.
pub(super) fn begin<'scope, T, F>(scope: &'scope Scope<'scope, '_>, work: F) -> Task<'scope, T, F>
where
    T: Send + 'scope,
    F: FnOnce() -> T + Copy + Send + 'scope,
{
    match Builder::new().spawn_scoped(scope, work) {
        Ok(thread) => Task::Begun(thread),
        Err(error) => {
            tracing::debug!(%error, "cannot start a thread");
            Task::PutOff(work)
        }
    }
}

impl<T, F: FnOnce() -> T> Task<'_, T, F> {
    /// Waits for the result.
    pub(super) fn result(self) -> T {
        match self {
            Task::Begun(thread) => joined(thread),
            Task::PutOff(work) => work(),
        }
    }
}

/// The result of a thread. None of ours panics; if one does, that must not be hidden.
pub(super) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
