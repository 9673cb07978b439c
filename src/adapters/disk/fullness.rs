//! How full a file system is, once it counts what was freed.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use nix::sys::statvfs::statvfs;
#[cfg(target_os = "linux")]
use nix::unistd::syncfs;

use super::kind::Kind;
use super::open_directory;
use crate::domain::budget::{Disk, Inodes};
use crate::domain::measure::Bytes;

/// How long a figure has to be unchanged where a file system frees in the background, and the interval of the checks.
const UNCHANGED: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(10);
/// How long that is waited for: others may write all the time.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// How full the file system of `path` is once everything that was deleted counts as free, for what is decided by it.
///
/// btrfs counts freed space up to 30 seconds late; `syncfs` makes it catch up. It waits for all that is to be written
/// to that file system, so a command that only shows how full it is uses [`fullness`]. XFS frees the blocks of deleted
/// files in the background, within milliseconds as a rule, and `syncfs` does not wait for that: the figure has to be
/// unchanged for a while.
///
/// # Errors
/// When the file system does not say how full it is.
pub fn settled_fullness(path: &Utf8Path) -> io::Result<Disk> {
    let frees_later = catch_up(path);
    let mut disk = fullness(path)?;
    let (begun, mut since) = (Instant::now(), Instant::now());
    while frees_later && since.elapsed() < UNCHANGED && begun.elapsed() < MAX_WAIT {
        thread::sleep(PAUSE);
        let now = fullness(path)?;
        if now != disk {
            (disk, since) = (now, Instant::now());
        }
    }
    Ok(disk)
}

/// Lets the file system count what was freed. Returns whether it may count some of it a moment later all the same. Where
/// the call fails, the figure is the one that the file system has.
#[cfg(target_os = "linux")]
fn catch_up(path: &Utf8Path) -> bool {
    let done = open_directory(path).and_then(|directory| {
        let kind = Kind::of(&directory);
        if kind.counts_at_once() {
            return Ok(false);
        }
        syncfs(&directory)?;
        Ok(kind != Kind::Btrfs)
    });
    done.unwrap_or_else(|error| {
        tracing::warn!(%path, %error, "freed space may not be counted yet");
        false
    })
}

/// There is no call for one file system elsewhere.
#[cfg(not(target_os = "linux"))]
fn catch_up(_: &Utf8Path) -> bool {
    true
}

/// The name of the kind of file system that `path` is on, where it is a known one.
pub fn file_system_name(path: &Utf8Path) -> Option<&'static str> {
    Kind::of(&open_directory(path).ok()?).name()
}

/// How full the file system of `path` is, as it says at once.
///
/// # Errors
/// When the file system does not say.
pub fn fullness(path: &Utf8Path) -> io::Result<Disk> {
    let stat = statvfs(path.as_std_path())?;
    // The types differ between platforms.
    #[allow(clippy::useless_conversion)]
    let (all, free, available, size, files, files_free) = (
        u64::from(stat.blocks()),
        u64::from(stat.blocks_free()),
        u64::from(stat.blocks_available()),
        u64::from(stat.fragment_size()),
        u64::from(stat.files()),
        u64::from(stat.files_available()),
    );
    Ok(Disk {
        used: Bytes(all.saturating_sub(free).saturating_mul(size)),
        available: Bytes(available.saturating_mul(size)),
        // btrfs and others make inodes as they are needed, and have no number of them.
        inodes: (files > 0).then_some(Inodes {
            total: files,
            free: files_free,
        }),
    })
}
