//! The reserve: disk space set aside so that a run that frees space can start on a full disk.
//!
//! ```text
//! reserve/NUMBER   an empty file that has blocks
//! ```
//!
//! If a record finds no space, it is written into one of these files, which is then renamed: that needs neither a block nor an
//! inode. On a full disk most of them are removed to make space for files that Nix creates.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::statvfs::statvfs;

use super::{FILE_MODE, Journal, dir_mode, is_root, is_there, unwritable};
use crate::adapters::files;
use crate::adapters::files::remove::remove_own;
use crate::domain::disk_use::Taken;
use crate::domain::measure::Bytes;
use crate::ports::{JournalError, is_full};

/// How many files there are. Nix makes two for each generation that is put back, and some more while it works.
const FILES: usize = 24;
/// How many of them are kept for records when the others are given up.
const FILES_FOR_RECORDS: usize = 6;
/// The least and the most that one of them has, in bytes.
const MIN_BYTES: u64 = 16 << 10;
const MAX_BYTES: u64 = 256 << 10;

/// What a file system has left.
struct Space {
    bytes: u64,
    files: u64,
}

impl Journal {
    pub(super) fn reserve_dir(&self) -> Utf8PathBuf {
        self.dir.join("reserve")
    }

    fn reserved(&self, number: usize) -> Utf8PathBuf {
        self.reserve_dir().join(number.to_string())
    }

    /// The files of the reserve that are there.
    fn reserve(&self) -> Vec<Utf8PathBuf> {
        let files = (0..FILES).map(|number| self.reserved(number));
        files
            .filter(|path| is_there(path).unwrap_or(false))
            .collect()
    }

    /// Fills the reserve up, as far as there is space. A reserve that is too small is no failure of the run.
    pub(super) fn fill_reserve(&self) -> io::Result<()> {
        let dir = self.reserve_dir();
        files::make_dir(&dir, dir_mode())?;
        self.trusted(&dir).map_err(io::Error::other)?;
        let size = self.bytes_of_a_record();
        // The other half of what is left is for everybody else.
        let Space { bytes, files } = self.space();
        let most = usize::try_from((bytes / size).min(files) / 2).unwrap_or(usize::MAX);
        let reserve = (0..FILES).map(|number| self.reserved(number));
        let missing = reserve.filter(|path| !files::is_set_aside(path, size));
        missing
            .take(most)
            .try_for_each(|path| files::set_aside(&path, size, FILE_MODE))
    }

    /// What a full reserve takes more than now. The size of its files stays the same in a process, whose own record may be larger.
    pub(super) fn missing_reserve(&self) -> Taken {
        let size = || self.bytes_of_a_record();
        let size = *self.reserve_file_bytes.get_or_init(size);
        let files = || (0..FILES).map(|number| self.reserved(number));
        let without_blocks = files().filter(|path| !files::is_set_aside(path, size));
        let absent = files().filter(|path| !is_there(path).unwrap_or(false));
        Taken {
            bytes: Bytes(size.saturating_mul(without_blocks.count() as u64)),
            inodes: absent.count() as u64,
        }
    }

    /// As much as the largest recent record takes, and a margin.
    fn bytes_of_a_record(&self) -> u64 {
        let size = |path: &Utf8Path| fs::symlink_metadata(path).map_or(0, |file| file.len());
        let runs = self.paths_in(&self.runs_dir()).unwrap_or_default();
        let last = runs.iter().max().map_or(0, |path| size(path));
        let largest = size(&self.dir.join(super::previous_runs::BASELINE)).max(last);
        let bytes = largest.saturating_add(largest / 2);
        bytes.next_power_of_two().clamp(MIN_BYTES, MAX_BYTES)
    }

    /// Gives up what Nix needs of the reserve, where the disk is full; false where there is nothing left to give up.
    pub(super) fn give_up_reserve(&self) -> bool {
        if self.has_space() {
            return true;
        }
        let reserve = self.reserve();
        tracing::info!(dir = %self.reserve_dir(), "the disk is full: using the reserve");
        for path in reserve.iter().skip(FILES_FOR_RECORDS) {
            remove(path);
        }
        !reserve.is_empty()
    }

    /// Whether there is space for a record, and for what Nix writes meanwhile.
    fn has_space(&self) -> bool {
        let all = MIN_BYTES.saturating_mul(FILES as u64);
        let Space { bytes, files } = self.space();
        // Quotas show only when something is written.
        bytes > all && files > FILES as u64 && files::probe(&self.dir).is_ok()
    }

    /// What the file system has left; without limit where it does not say.
    fn space(&self) -> Space {
        let unknown = Space {
            bytes: u64::MAX,
            files: u64::MAX,
        };
        let Ok(disk) = statvfs(self.dir.as_std_path()) else {
            return unknown;
        };
        // Root may use what is kept back for it.
        let blocks = if is_root() {
            disk.blocks_free()
        } else {
            disk.blocks_available()
        };
        // The types differ between platforms.
        #[allow(clippy::useless_conversion)]
        let (blocks, size, all_files, files) = (
            u64::from(blocks),
            u64::from(disk.fragment_size()),
            u64::from(disk.files()),
            u64::from(disk.files_available()),
        );
        Space {
            bytes: blocks.saturating_mul(size),
            // Some file systems make inodes as they are needed, and have no number of them.
            files: if all_files == 0 { u64::MAX } else { files },
        }
    }

    /// Writes a document as [`files::write_atomically`] does, with the reserve where the disk is full.
    pub(super) fn write(&self, path: &Utf8Path, bytes: &[u8]) -> Result<(), JournalError> {
        let write = || files::write_atomically(path, bytes, FILE_MODE);
        self.with_reserve(write, |spare| files::write_into(spare, path, bytes))
            .map_err(|source| unwritable(path, source))
    }

    /// Writes a document as [`files::write_new`] does, with the reserve where the disk is full.
    pub(super) fn write_new(&self, path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
        let write = || files::write_new(path, bytes, FILE_MODE);
        self.with_reserve(write, |spare| {
            // Under the lock nobody else makes records.
            if path.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            files::write_into(spare, path, bytes)
        })
    }

    /// Makes a directory, with the reserve where the disk is full.
    pub(super) fn make_dir(&self, path: &Utf8Path) -> Result<(), JournalError> {
        let make = || files::make_dir(path, dir_mode());
        self.with_reserve(make, |_| Err(io::ErrorKind::StorageFull.into()))
            .map_err(|source| unwritable(path, source))?;
        self.trusted(path)
    }

    /// Does something; where the disk is full, does it once more with a file of the reserve, which is removed before the next
    /// attempt.
    fn with_reserve(
        &self,
        act: impl Fn() -> io::Result<()>,
        with: impl Fn(&Utf8Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = act();
        for spare in self.reserve().iter().rev() {
            if !done.as_ref().is_err_and(is_full) {
                break;
            }
            done = with(spare);
            let is_settled = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
            if !done.as_ref().map_or_else(is_settled, |()| true) {
                remove(spare);
                done = act();
            }
        }
        done
    }
}

fn remove(path: &Utf8Path) {
    if let Err(error) = remove_own(path) {
        tracing::debug!(%path, %error, "cannot remove a file of the reserve");
    }
}
