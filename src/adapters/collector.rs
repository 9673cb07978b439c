//! Who collects garbage now: whoever holds Nix's lock of the collector, `gc.lock` in the state directory.
//!
//! The kernel's list of locks tells, to everybody and without taking the lock. Where there is no such list (macOS), nobody
//! is known, and Nix itself waits.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix::libc::{major, minor};

use crate::ports::Interrupt;

/// How often the list is read.
const PAUSE: Duration = Duration::from_millis(200);

/// A collection that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// The lock that it holds.
    pub lock: Utf8PathBuf,
    /// The process, where it is one that we can see.
    pub process: Option<Process>,
}

/// A process by its number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The name of its program, as far as the kernel keeps it; unknown of one that has just ended.
    pub name: Option<String>,
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some(Process { pid, name }) => {
                write!(f, "process {pid}")?;
                name.iter().try_for_each(|name| write!(f, " ({name})"))?;
            }
            None => f.write_str("a process that cannot be seen from here")?,
        }
        write!(f, " holds {}", self.lock)
    }
}

/// Whoever collects in the store of a state directory, with processes and locks as `proc` lists them.
pub fn collector(state_dir: &Utf8Path, proc: &Utf8Path) -> Option<Collector> {
    holder(state_dir.join("gc.lock"), proc)
}

/// Whoever holds a lock exclusively, with processes and locks as `proc` lists them.
pub fn holder(lock: Utf8PathBuf, proc: &Utf8Path) -> Option<Collector> {
    let file = fs::metadata(&lock).ok()?;
    let device = (major(file.dev()), minor(file.dev()));
    let list = fs::read_to_string(proc.join("locks")).ok()?;
    let holder = list
        .lines()
        .find_map(|line| holder_of(line, device, file.ino()))?;
    let process = u32::try_from(holder)
        .ok()
        .filter(|pid| *pid > 0)
        .map(|pid| {
            let name = fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok();
            let name = name.map(|name| name.trim_end().to_string());
            Process { pid, name }
        });
    Some(Collector { lock, process })
}

/// Waits until nobody collects, at most this long or until somebody asks to stop; says once whom it waits for.
///
/// # Errors
/// Whoever collects still.
pub fn wait_for_collector(
    state_dir: &Utf8Path,
    most: Duration,
    interrupt: &dyn Interrupt,
) -> Result<(), Collector> {
    let begun = Instant::now();
    let mut said = false;
    while let Some(collector) = collector(state_dir, Utf8Path::new("/proc")) {
        if begun.elapsed() >= most || interrupt.requested() {
            return Err(collector);
        }
        if !said {
            tracing::warn!("waiting for another collection: {collector}");
            said = true;
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The number of the process that a line of the list gives for an exclusive lock of this file; those that only wait for
/// it have an arrow.
///
/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`
fn holder_of(line: &str, device: (u32, u32), inode: u64) -> Option<i64> {
    let mut fields = line.split_whitespace().skip(1);
    let is_lock = fields.next() == Some("FLOCK") && fields.nth(1) == Some("WRITE");
    let pid = fields.next().filter(|_| is_lock)?.parse().ok()?;
    let mut file = fields.next()?.split(':');
    let hex = |field: Option<&str>| u32::from_str_radix(field?, 16).ok();
    let listed = (hex(file.next())?, hex(file.next())?);
    // Of btrfs and the like the list and the file name different devices, both without a driver.
    let same = listed == device || (listed.0 == 0 && device.0 == 0);
    let is_it = same && file.next()?.parse() == Ok(inode);
    is_it.then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{Flock, FlockArg};
    use rstest::rstest;
    use std::fs::File;

    #[rstest]
    #[case::held("1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF", Some(4711))]
    #[case::of_another_namespace("1: FLOCK  ADVISORY  WRITE 0 fe:00:131 0 EOF", Some(0))]
    #[case::shared("1: FLOCK  ADVISORY  READ 4711 fe:00:131 0 EOF", None)]
    #[case::waiting("1: -> FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF", None)]
    #[case::of_a_range("1: POSIX  ADVISORY  WRITE 4711 fe:00:131 0 EOF", None)]
    #[case::another_file("1: FLOCK  ADVISORY  WRITE 4711 fe:00:132 0 EOF", None)]
    #[case::another_device("1: FLOCK  ADVISORY  WRITE 4711 fe:01:131 0 EOF", None)]
    #[case::nonsense("1: FLOCK", None)]
    #[case::nothing("", None)]
    fn a_line_names_the_holder(#[case] line: &str, #[case] holder: Option<i64>) {
        assert_eq!(holder_of(line, (0xfe, 0), 131), holder);
    }

    #[test]
    fn devices_without_a_driver_are_taken_for_one() {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 00:2a:131 0 EOF";
        assert_eq!(holder_of(line, (0, 0x31), 131), Some(4711));
        assert_eq!(holder_of(line, (8, 0x2a), 131), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_holds_the_lock_is_named_as_long_as_that_is_so() {
        let dir = tempfile::tempdir().unwrap();
        let state = Utf8Path::from_path(dir.path()).unwrap();
        let proc = Utf8Path::new("/proc");
        assert_eq!(collector(state, proc), None);
        let file = File::create(state.join("gc.lock")).unwrap();
        assert_eq!(collector(state, proc), None);
        let shared = Flock::lock(file, FlockArg::LockShared).unwrap();
        assert_eq!(collector(state, proc), None);
        let held = Flock::lock(shared.unlock().unwrap(), FlockArg::LockExclusive).unwrap();
        let Some(found) = collector(state, proc) else {
            println!("SKIPPED: who collects: this kernel lists no locks");
            return;
        };
        assert_eq!(found.process.as_ref().unwrap().pid, std::process::id());
        assert!(found.to_string().ends_with("gc.lock"), "{found}");
        drop(held);
        // A process that another test starts just now may have it for a moment longer.
        let most = Duration::from_secs(60);
        wait_for_collector(state, most, &NobodyAsks).unwrap();
    }

    struct NobodyAsks;

    impl Interrupt for NobodyAsks {
        fn requested(&self) -> bool {
            false
        }
    }
}
