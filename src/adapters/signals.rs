//! Termination requests: SIGINT, SIGTERM and SIGHUP set a flag that is checked between and during the steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::emulate_default_handler;

use crate::ports::Interrupt;

/// Whether one of the signals has come.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to catch the signals instead of dying of them, so that a step is ended and recorded properly.
    ///
    /// # Errors
    /// When a handler cannot be set.
    pub fn catch() -> std::io::Result<Self> {
        let signals = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&signals.stop))?;
        }
        signal_hook::flag::register(SIGTERM, Arc::clone(&signals.terminated))?;
        Ok(signals)
    }

    /// Whether SIGTERM has come, as from a service manager that stops the unit or the machine.
    pub fn terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }
}

/// Ends the process as SIGTERM does where nobody catches it, so that its parent knows that it was stopped and did not fail.
/// Returns only if that is impossible.
pub fn end_by_sigterm() {
    if let Err(error) = emulate_default_handler(SIGTERM) {
        tracing::debug!(%error, "cannot end by SIGTERM");
    }
}

impl Interrupt for Signals {
    fn requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
