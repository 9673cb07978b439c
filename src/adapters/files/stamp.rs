//! Stamps of files and directories, by which a later change is noticed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long a file is as it is before it is relied on that a change shows: some file systems count whole seconds.
const SETTLED: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2000 });

/// Seconds and nanoseconds.
type Time = (i64, i64);

/// Which file it is, and when its content and its inode changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters) struct Stamp {
    file: (u64, u64),
    length: u64,
    content: Time,
    inode: Option<Time>,
}

impl Stamp {
    /// Of a file; `None` when it is not there or changed just now, so that another change could come unseen.
    pub(in crate::adapters) fn of(file: &Path) -> Option<Self> {
        let stamp = Self::of_metadata(&fs::metadata(file).ok()?);
        stamp.is_settled().then_some(stamp)
    }

    /// The same of the content alone, of a file whose inode changes while its content does not.
    pub(in crate::adapters) fn of_content(file: &Path) -> Option<Self> {
        let stamp = Self {
            inode: None,
            ..Self::of_metadata(&fs::metadata(file).ok()?)
        };
        stamp.is_settled().then_some(stamp)
    }

    /// Of a file that may change just now.
    pub(in crate::adapters) fn of_metadata(meta: &Metadata) -> Self {
        Self {
            file: (meta.dev(), meta.ino()),
            length: meta.len(),
            content: (meta.mtime(), meta.mtime_nsec()),
            inode: Some((meta.ctime(), meta.ctime_nsec())),
        }
    }

    fn is_settled(&self) -> bool {
        let times = [Some(self.content), self.inode];
        let mut times = times.into_iter().flatten();
        times.all(|time| since(time).is_some_and(|since| since >= SETTLED))
    }
}

/// How long ago a file changed; `None` for a time in the future.
pub(in crate::adapters) fn age(meta: &Metadata) -> Option<Duration> {
    since((meta.ctime(), meta.ctime_nsec()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with the time of a file, never with a plan's"
)]
fn since((seconds, nanoseconds): Time) -> Option<Duration> {
    let (seconds, nanoseconds) = (
        u64::try_from(seconds).ok()?,
        u32::try_from(nanoseconds).ok()?,
    );
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    SystemTime::now().duration_since(changed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(file: &Path) -> Stamp {
        loop {
            if let Some(stamp) = Stamp::of(file) {
                return stamp;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_change_shows_and_one_just_now_is_no_stamp() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::of(dir.path()), None);
        let before = settled(dir.path());
        assert_eq!(Stamp::of(dir.path()), Some(before));
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(Stamp::of(dir.path()), None);
        fs::remove_file(dir.path().join("file")).unwrap();
        assert_ne!(settled(dir.path()), before);
        assert_eq!(Stamp::of(&dir.path().join("file")), None);
    }

    #[test]
    fn the_content_alone_may_count() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "a").unwrap();
        settled(&file);
        let before = Stamp::of_content(&file);
        assert!(before.is_some());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Stamp::of(&file), None);
        assert_eq!(Stamp::of_content(&file), before);
        fs::write(&file, "b").unwrap();
        assert_eq!(Stamp::of_content(&file), None);
        settled(&file);
        assert_ne!(Stamp::of_content(&file), before);
    }
}
