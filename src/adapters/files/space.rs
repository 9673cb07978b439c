//! Space set aside: a file that has its blocks before it has bytes can be written on a full disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use camino::Utf8Path;
use nix::errno::Errno;

use super::open::open_to_change;
use super::remove::remove_own;
use super::{directory_of, refuse_special, sync_dir};

/// What `stat` counts blocks in, whatever the file system's own are.
const BLOCK: u64 = 512;

/// Writes a file as [`write_atomically`](super::write_atomically) does, into another one that has its blocks already and takes the place of `path`:
/// where that one is large enough, a full disk does not matter.
///
/// # Errors
/// As [`write_atomically`](super::write_atomically); then the other file is where it was.
pub fn write_into(spare: &Utf8Path, path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    refuse_special(path)?;
    let mut file = open_to_change(OpenOptions::new().write(true), spare)?;
    file.write_all(bytes)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if file.metadata()?.len() != length {
        file.set_len(length)?;
    }
    file.sync_all()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "takes the place of the old file at once"
    )]
    fs::rename(spare, path)?;
    sync_dir(directory_of(path)?)
}

/// Whether there is a file that has blocks for so many bytes.
pub fn is_set_aside(path: &Utf8Path, bytes: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.blocks() >= bytes / BLOCK)
}

/// Makes an empty file that has blocks for so many bytes.
///
/// # Errors
/// When it cannot have them; then it is not there.
pub fn set_aside(path: &Utf8Path, bytes: u64, mode: u32) -> io::Result<()> {
    let file = open_to_change(OpenOptions::new().write(true).create(true).mode(mode), path)?;
    let done = allocate(&file, bytes).or_else(|error| match error.raw_os_error() {
        Some(code) if code == Errno::EOPNOTSUPP as i32 => fill_with_noise(&file, bytes),
        _ => Err(error),
    });
    if done.is_err() {
        remove_own(path)?;
    }
    done
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use nix::fcntl::{FallocateFlags, fallocate};
    // Blocks behind the end remain when the file is written, also for lines that come later.
    let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    Ok(fallocate(file, flags, 0, length)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &File, _: u64) -> io::Result<()> {
    Err(Errno::EOPNOTSUPP.into())
}

/// Writes data that no file system can store in less space.
fn fill_with_noise(mut file: &File, bytes: u64) -> io::Result<()> {
    let noise = File::open("/dev/urandom")?;
    io::copy(&mut noise.take(bytes), &mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use rstest::rstest;
    use std::os::unix::fs::symlink;

    #[rstest]
    #[case::empty("")]
    #[case::cut_off("a part of a record that was killed, which is longer")]
    fn a_file_is_written_into_one_that_has_blocks(#[case] left: &str) {
        let (_guard, dir) = scratch();
        let (spare, path) = (dir.join("spare"), dir.join("a.json"));
        set_aside(&spare, 64 << 10, 0o600).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(&spare)
            .unwrap()
            .write_all(left.as_bytes())
            .unwrap();
        fs::write(&path, "the old one").unwrap();
        let inode = fs::metadata(&spare).unwrap().ino();
        write_into(&spare, &path, b"the new one").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "the new one");
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert!(!spare.exists());
    }

    #[test]
    fn only_a_regular_file_is_written_into() {
        let (_guard, dir) = scratch();
        let (spare, path) = (dir.join("spare"), dir.join("a.json"));
        fs::write(&path, "untouched").unwrap();
        symlink("a.json", &spare).unwrap();
        write_into(&spare, &dir.join("b.json"), b"new").unwrap_err();
        fs::remove_file(&spare).unwrap();
        nix::unistd::mkfifo(
            spare.as_std_path(),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        write_into(&spare, &path, b"new").unwrap_err();
        set_aside(&spare, 1, 0o600).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "untouched");
    }

    #[test]
    fn where_no_blocks_can_be_had_beforehand_noise_takes_them() {
        let (_guard, dir) = scratch();
        let path = dir.join("spare");
        let file = File::create(&path).unwrap();
        fill_with_noise(&file, 100_000).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 100_000);
        assert!((0..=255).all(|byte| bytes.contains(&byte)));
    }
}
