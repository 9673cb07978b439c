//! Termination requests: SIGINT, SIGTERM and SIGHUP set a flag that is checked between and during the steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::ports::Interrupt;

/// Whether one of the signals has come.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
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
        Ok(signals)
    }
}

impl Interrupt for Signals {
    fn requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
