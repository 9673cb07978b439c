//! Waiting for the lock of another run.

use std::thread;
use std::time::{Duration, Instant};

use crate::adapters::signals::Signals;
use crate::domain::measure::Span;
use crate::ports::{Interrupt, JournalError};

/// How often the lock is tried for.
const PAUSE: Duration = Duration::from_millis(100);

/// How long to wait, and what ends it before.
#[derive(Debug, Clone)]
pub(super) struct LockWait {
    most: Duration,
    signals: Signals,
}

impl LockWait {
    pub(super) fn new(most: Span, signals: Signals) -> Self {
        let most = Duration::from_secs(most.as_seconds());
        Self { most, signals }
    }

    /// Tries until it is not locked out any more; says once whom it waits for.
    pub(super) fn wait<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let begun = Instant::now();
        let mut said = false;
        loop {
            let locked = match attempt() {
                Err(error @ JournalError::Locked { .. }) => error,
                ended => return ended,
            };
            if begun.elapsed() >= self.most || self.signals.requested() {
                return Err(locked);
            }
            if !said {
                tracing::warn!("waiting: {locked}");
                said = true;
            }
            thread::sleep(PAUSE);
        }
    }
}
