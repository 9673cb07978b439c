//! Detection of a running garbage collection: the holder of Nix's `gc.lock` in the state directory.
//!
//! The holder is read from the kernel's list of locks, without taking the lock. Without such a list (macOS) the holder is
//! unknown, and Nix itself waits.

use std::fmt;
use std::fs;
use std::io;
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
            None => f.write_str("a process outside this namespace")?,
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
    let file = Locked::find(&lock, proc)?;
    let list = fs::read_to_string(proc.join("locks")).ok()?;
    let mut holders = list.lines().filter_map(|line| holder_of(line, &file));
    let holder = holders.find(|pid| file.may_be_held_by(*pid, proc))?;
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

/// A lock file, as the list of locks names it and as `stat` does.
struct Locked {
    /// The device of its file system. On btrfs and overlays this is not the device of the file: each subvolume or layer has
    /// one of its own.
    system: (u32, u32),
    device: u64,
    inode: u64,
}

impl Locked {
    fn find(lock: &Utf8Path, proc: &Utf8Path) -> Option<Self> {
        let file = fs::metadata(lock).ok()?;
        let own = (major(file.dev()), minor(file.dev()));
        Some(Self {
            system: device_of_system(lock, proc).unwrap_or(own),
            device: file.dev(),
            inode: file.ino(),
        })
    }

    /// Whether a process may have this very file open. Only where the number of an inode is not unique in the file system is
    /// that asked, and a process that cannot be looked into may.
    fn may_be_held_by(&self, pid: i64, proc: &Utf8Path) -> bool {
        if self.system == (major(self.device), minor(self.device)) || pid <= 0 {
            return true;
        }
        let Ok(open) = fs::read_dir(proc.join(pid.to_string()).join("fd")) else {
            return true;
        };
        let mut files = open.flatten().map(|file| fs::metadata(file.path()));
        files.any(|file| match file {
            Ok(file) => (file.dev(), file.ino()) == (self.device, self.inode),
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
        })
    }
}

/// The device of the file system that a file is on, as the kernel lists mounts and locks.
#[cfg(target_os = "linux")]
fn device_of_system(path: &Utf8Path, proc: &Utf8Path) -> Option<(u32, u32)> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    // A handle that reads nothing, locks nothing and waits for nothing.
    let handle = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_PATH)
        .open(path)
        .ok()?;
    let about = proc.join(format!("self/fdinfo/{}", handle.as_raw_fd()));
    let about = fs::read_to_string(about).ok()?;
    let mount = about
        .lines()
        .find_map(|line| line.strip_prefix("mnt_id:"))?;
    let mounts = fs::read_to_string(proc.join("self/mountinfo")).ok()?;
    device_of_mount(&mounts, mount.trim())
}

#[cfg(not(target_os = "linux"))]
fn device_of_system(_: &Utf8Path, _: &Utf8Path) -> Option<(u32, u32)> {
    None
}

/// The device of a mount in the list of them: `36 35 0:42 /subvolume /mnt rw - btrfs /dev/sda1 rw`.
#[cfg(any(test, target_os = "linux"))]
fn device_of_mount(mounts: &str, id: &str) -> Option<(u32, u32)> {
    let mut mounts = mounts.lines().map(str::split_whitespace);
    let mut mount = mounts.find_map(|mut fields| (fields.next()? == id).then_some(fields))?;
    let (major, minor) = mount.nth(1)?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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
/// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`, with the device of the file system in hexadecimal digits.
fn holder_of(line: &str, file: &Locked) -> Option<i64> {
    let mut fields = line.split_whitespace().skip(1);
    let is_lock = fields.next() == Some("FLOCK") && fields.nth(1) == Some("WRITE");
    let pid = fields.next().filter(|_| is_lock)?.parse().ok()?;
    let mut listed = fields.next()?.split(':');
    let hex = |field: Option<&str>| u32::from_str_radix(field?, 16).ok();
    let system = (hex(listed.next())?, hex(listed.next())?);
    let is_it = system == file.system && listed.next()?.parse() == Ok(file.inode);
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
        assert_eq!(holder_of(line, &locked((0xfe, 0), 0xfe00)), holder);
    }

    fn locked(system: (u32, u32), device: u64) -> Locked {
        Locked {
            system,
            device,
            inode: 131,
        }
    }

    #[rstest]
    #[case::the_same((0, 0x2a), Some(4711))]
    #[case::another_without_a_driver((0, 0x31), None)]
    #[case::another_driver((8, 0x2a), None)]
    fn the_whole_number_of_the_device_counts(
        #[case] system: (u32, u32),
        #[case] holder: Option<i64>,
    ) {
        let line = "1: FLOCK  ADVISORY  WRITE 4711 00:2a:131 0 EOF";
        assert_eq!(holder_of(line, &locked(system, 0x31)), holder);
    }

    #[rstest]
    #[case("36", Some((0, 42)))]
    #[case("3", None)]
    #[case("35", Some((254, 1)))]
    fn a_mount_names_the_device_of_its_file_system(
        #[case] id: &str,
        #[case] device: Option<(u32, u32)>,
    ) {
        let mounts =
            "35 1 254:1 / / rw - ext4 /dev/vda rw\n36 35 0:42 /a /b rw - btrfs /dev/b rw\n";
        assert_eq!(device_of_mount(mounts, id), device);
    }

    /// Two subvolumes of btrfs have files of the same number on one file system.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_has_another_file_of_that_number_open_does_not_hold_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap();
        let proc = Utf8Path::new("/proc");
        let file = File::create(path.join("gc.lock")).unwrap();
        let (device, inode) = (
            file.metadata().unwrap().dev(),
            file.metadata().unwrap().ino(),
        );
        let elsewhere = (0, u32::MAX);
        let it = |device, inode, system| Locked {
            system,
            device,
            inode,
        };
        let ours = i64::from(std::process::id());
        assert!(it(device, inode, elsewhere).may_be_held_by(ours, proc));
        assert!(!it(device + 1, inode, elsewhere).may_be_held_by(ours, proc));
        // Where numbers are unique, the list is believed.
        let own = (major(device + 1), minor(device + 1));
        assert!(it(device + 1, inode, own).may_be_held_by(ours, proc));
        // Of another namespace, or gone.
        assert!(it(device + 1, inode, elsewhere).may_be_held_by(0, proc));
        assert!(it(device + 1, inode, elsewhere).may_be_held_by(i64::from(i32::MAX), proc));
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
