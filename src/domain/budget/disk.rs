//! How full a file system is.

use serde::{Deserialize, Serialize};

use super::{Inodes, Percent};
use crate::domain::disk_use::Taken;
use crate::domain::measure::Bytes;

/// How full a file system is. What only root may use belongs to neither part, as `df` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// The bytes in use.
    pub used: Bytes,
    /// The bytes that anybody may still use.
    pub available: Bytes,
    /// Its inodes; null where it has no fixed number of them.
    #[serde(default)]
    pub inodes: Option<Inodes>,
}

impl Disk {
    /// How much of it is used, in percent, rounded up as `df` has it.
    pub fn percent_used(self) -> u128 {
        let size = u128::from(self.used.0) + u128::from(self.available.0);
        (u128::from(self.used.0) * 100).div_ceil(size.max(1))
    }

    /// The same once this is taken as well.
    #[must_use]
    pub fn after_taking(self, taken: Taken) -> Self {
        let inodes = self.inodes.map(|inodes| Inodes {
            free: inodes.free.saturating_sub(taken.inodes),
            ..inodes
        });
        Self {
            used: Bytes(self.used.0.saturating_add(taken.bytes.0)),
            available: Bytes(self.available.0.saturating_sub(taken.bytes.0)),
            inodes,
        }
    }

    /// A part of the whole file system.
    pub fn part(self, percent: Percent) -> Bytes {
        Bytes(percent.part_of(self.size()))
    }

    /// All that anybody may use of it, in bytes.
    pub fn size(self) -> u64 {
        self.used.0.saturating_add(self.available.0)
    }
}
