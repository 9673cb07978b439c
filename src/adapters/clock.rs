//! The system clock and time zone.

use std::fs;

use jiff::tz::TimeZone;

use crate::domain::elapsed::Uptime;
use crate::domain::measure::Timestamp;
use crate::ports::Clock;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one clock of the program")]
    fn now(&self) -> Timestamp {
        Timestamp::from(jiff::Timestamp::now())
    }

    fn uptime(&self) -> Option<Uptime> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        Some(Uptime {
            boot: boot.trim().to_string(),
            seconds: uptime.split('.').next()?.parse().ok()?,
        })
    }
}

/// The name of the machine; empty where it has none.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The machine's zone, from `TZ` or `/etc/localtime`; UTC if neither has one.
pub fn zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}
