//! The time, and the zone whose calendar the machine follows.

use jiff::tz::TimeZone;

use crate::domain::measure::Timestamp;
use crate::ports::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(jiff::Timestamp::now())
    }
}

/// The machine's zone, from `TZ` or `/etc/localtime`; UTC where neither tells one.
pub fn zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}
