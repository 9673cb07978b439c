//! Atomic writes, and reads that a hostile file can neither block nor redirect.

pub mod remove;
pub mod trust;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use tempfile::NamedTempFile;

use remove::{Removal, remove_at, remove_own};

/// What the names of our temporary files begin with; one that is still there was left by a run that was killed.
pub const TEMPORARY_PREFIX: &str = ".nix-prune-tmp-";
/// As much as the record of a run of some hundred actions takes.
const PROBE_BYTES: usize = 64 << 10;
/// What `stat` counts blocks in, whatever the file system's own are.
const BLOCK: u64 = 512;

/// Writes a file anew: after any fault there is the old file or the new one, and never a part of either.
///
/// A link at `path` is replaced, not followed.
///
/// # Errors
/// When it cannot be written, or when a directory, device, pipe or socket stands there.
pub fn write_atomically(path: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    refuse_special(path)?;
    let dir = directory_of(path)?;
    let temporary = written_in(dir, bytes, mode)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "takes the place of the old file at once"
    )]
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_dir(dir)
}

/// Writes a file as [`write_atomically`] does, but never in the place of another.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when there is something of that name; otherwise when it cannot be written.
pub fn write_new(path: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let dir = directory_of(path)?;
    let temporary = written_in(dir, bytes, mode)?;
    temporary
        .persist_noclobber(path)
        .map_err(|failed| failed.error)?;
    sync_dir(dir)
}

/// Writes a file as [`write_atomically`] does, into another one that has its blocks already and takes the place of `path`:
/// where that one is large enough, a full disk does not matter.
///
/// # Errors
/// As [`write_atomically`]; then the other file is where it was.
pub fn write_into(spare: &Utf8Path, path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    refuse_special(path)?;
    let mut file = open_changeable(OpenOptions::new().write(true), spare)?;
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
    let file = open_changeable(OpenOptions::new().write(true).create(true).mode(mode), path)?;
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
    // Blocks behind the end stay when the file is written, also for lines that come later.
    let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let length = i64::try_from(bytes).map_err(io::Error::other)?;
    Ok(fallocate(file, flags, 0, length)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &File, _: u64) -> io::Result<()> {
    Err(Errno::EOPNOTSUPP.into())
}

/// Writes what no file system can store in less room.
fn fill_with_noise(mut file: &File, bytes: u64) -> io::Result<()> {
    let noise = File::open("/dev/urandom")?;
    io::copy(&mut noise.take(bytes), &mut file)?;
    file.sync_all()
}

/// Opens a regular file to change it; neither a link is followed nor a pipe waited for.
fn open_changeable(options: &mut OpenOptions, path: &Utf8Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = options
        .truncate(false)
        .custom_flags(flags.bits())
        .open(path);
    let file = opened.map_err(name_the_link)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(invalid("it is not a regular file"))
    }
}

/// Reads a regular file of at most `limit` bytes; neither a link is followed nor a pipe waited for.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] beyond the limit, [`io::ErrorKind::InvalidData`] for what is not UTF-8,
/// [`io::ErrorKind::InvalidInput`] for what is no regular file; otherwise why it cannot be read.
pub fn read_bounded(path: &Utf8Path, limit: u64) -> io::Result<String> {
    read_text(open_plain(path)?, limit)
}

/// Opens a file to read it; neither a link is followed nor a pipe waited for.
///
/// # Errors
/// Why it cannot be opened; [`io::ErrorKind::InvalidInput`] for a link.
pub fn open_plain(path: &Utf8Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    opened.map_err(name_the_link)
}

/// Reads an open file as [`read_bounded`] does.
///
/// # Errors
/// As [`read_bounded`].
pub fn read_text(file: File, limit: u64) -> io::Result<String> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(invalid("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    // The size may change while it is read, and some files do not tell theirs: what counts is what comes.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size <= limit) {
        String::from_utf8(bytes).map_err(|_| invalid_data("it is not UTF-8"))
    } else {
        Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes"),
        ))
    }
}

/// Makes a directory and those above it, each with `mode` whatever the umask is; those that are there stay as
/// they are.
///
/// # Errors
/// When one cannot be made, or something else has its name.
pub fn make_dirs(path: &Utf8Path, mode: u32) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_str().is_empty()) {
        make_dirs(parent, mode)?;
    }
    make_dir(path, mode)
}

/// Makes one directory, as [`make_dirs`] does; a link in its place is refused.
///
/// # Errors
/// When it cannot be made, or something else has its name.
pub fn make_dir(path: &Utf8Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            sync_dir(directory_of(path)?)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path)?.is_dir() {
                Ok(())
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        }
        Err(error) => Err(error),
    }
}

/// Sees that the names in a directory outlive a power cut.
///
/// # Errors
/// When the file system fails to.
pub fn sync_dir(dir: &Utf8Path) -> io::Result<()> {
    // What is no directory any more is not waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_DIRECTORY.bits())
        .open(dir);
    match opened?.sync_all() {
        // Some file systems cannot sync a directory at all and say so; there the rename is all that can be had.
        Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(()),
        result => result,
    }
}

/// Finds out whether a directory takes a file of a few blocks, without leaving one behind: where the file system can,
/// the file never has a name.
///
/// # Errors
/// Why it takes none.
pub fn probe(dir: &Utf8Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(dir).map_err(without_path)?;
    file.write_all(&vec![1; PROBE_BYTES])?;
    file.sync_all()
}

/// Removes the temporary files that killed runs left in a directory; to be called only where nobody else writes.
///
/// # Errors
/// When the directory cannot be read, but for its absence; a file that cannot be removed only takes room.
pub fn remove_leftovers(dir: &Utf8Path) -> io::Result<()> {
    let names = match fs::read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names {
        let name = name?;
        if is_leftover(&name.file_name())
            && let Err(error) = remove_at(AT_FDCWD, &name.path(), Removal::Own)
        {
            tracing::debug!(path = %name.path().display(), %error, "cannot remove a leftover file");
        }
    }
    Ok(())
}

fn is_leftover(name: &OsStr) -> bool {
    name.as_bytes().starts_with(TEMPORARY_PREFIX.as_bytes())
}

/// What would be lost for ever by a rename over it: `/dev/null`, for instance.
fn refuse_special(path: &Utf8Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() || there.is_symlink() => Ok(()),
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Err(invalid("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn directory_of(path: &Utf8Path) -> io::Result<&Utf8Path> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(_)) if dir.as_str().is_empty() => Ok(Utf8Path::new(".")),
        (Some(dir), Some(_)) => Ok(dir),
        _ => Err(invalid("it is not a file name")),
    }
}

/// A temporary file with its contents on the disk; it is removed when it is dropped.
fn written_in(dir: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .rand_bytes(12)
        .tempfile_in(dir)
        .map_err(without_path)?;
    temporary.as_file().write_all(bytes)?;
    temporary
        .as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// An error of a temporary file without the file's name, which says nothing to anybody: the caller names the file.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|inner| inner.source());
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error,
    }
}

/// Says what `ELOOP` means after `O_NOFOLLOW`.
pub(crate) fn name_the_link(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::ELOOP as i32) {
        invalid("it is a symbolic link")
    } else {
        error
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn invalid_data(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;
    use rstest::rstest;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        (dir, path)
    }

    fn names(dir: &Utf8Path) -> Vec<String> {
        let mut names: Vec<_> = dir
            .read_dir_utf8()
            .unwrap()
            .map(|name| name.unwrap().file_name().to_string())
            .collect();
        names.sort();
        names
    }

    #[rstest]
    #[case(0o644)]
    #[case(0o600)]
    fn a_file_is_written_and_written_anew(#[case] mode: u32) {
        let (_guard, dir) = scratch();
        let path = dir.join("a.json");
        for text in ["first", "the second, longer", "3"] {
            write_atomically(&path, text.as_bytes(), mode).unwrap();
            assert_eq!(read_bounded(&path, 100).unwrap(), text);
        }
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            mode
        );
        assert_eq!(names(&dir), ["a.json"]);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let (_guard, dir) = scratch();
        fs::write(dir.join("other"), "untouched").unwrap();
        symlink("other", dir.join("a")).unwrap();
        write_atomically(&dir.join("a"), b"new", 0o644).unwrap();
        assert_eq!(fs::read_to_string(dir.join("other")).unwrap(), "untouched");
        assert!(fs::symlink_metadata(dir.join("a")).unwrap().is_file());
    }

    #[test]
    fn directories_and_pipes_are_not_replaced() {
        let (_guard, dir) = scratch();
        fs::create_dir(dir.join("dir")).unwrap();
        let _socket = UnixListener::bind(dir.join("socket")).unwrap();
        for name in ["dir", "socket"] {
            write_atomically(&dir.join(name), b"new", 0o644).unwrap_err();
        }
        assert_eq!(names(&dir), ["dir", "socket"]);
    }

    #[test]
    fn a_new_file_never_takes_the_place_of_another() {
        let (_guard, dir) = scratch();
        write_new(&dir.join("a"), b"old", 0o644).unwrap();
        let error = write_new(&dir.join("a"), b"new", 0o644).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        symlink("nowhere", dir.join("b")).unwrap();
        let error = write_new(&dir.join("b"), b"new", 0o644).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "old");
        assert_eq!(names(&dir), ["a", "b"]);
    }

    #[rstest]
    #[case::at_the_limit(4, true)]
    #[case::beyond(3, false)]
    fn reading_ends_at_the_limit(#[case] limit: u64, #[case] fits: bool) {
        let (_guard, dir) = scratch();
        fs::write(dir.join("a"), "four").unwrap();
        let read = read_bounded(&dir.join("a"), limit);
        assert_eq!(read.is_ok(), fits);
        assert!(read.is_ok_and(|t| t == "four") || !fits);
    }

    #[test]
    fn only_regular_files_in_utf8_are_read() {
        let (_guard, dir) = scratch();
        fs::write(dir.join("latin1"), [0xe4]).unwrap();
        fs::write(dir.join("file"), "text").unwrap();
        symlink("file", dir.join("link")).unwrap();
        fs::create_dir(dir.join("dir")).unwrap();
        nix::unistd::mkfifo(
            dir.join("fifo").as_std_path(),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        let kind = |name| read_bounded(&dir.join(name), 100).unwrap_err().kind();
        assert_eq!(kind("latin1"), io::ErrorKind::InvalidData);
        assert_eq!(kind("link"), io::ErrorKind::InvalidInput);
        assert_eq!(kind("dir"), io::ErrorKind::InvalidInput);
        assert_eq!(kind("fifo"), io::ErrorKind::InvalidInput);
        assert_eq!(kind("absent"), io::ErrorKind::NotFound);
    }

    #[test]
    fn leftovers_go_and_everything_else_stays() {
        let (_guard, dir) = scratch();
        for name in [".nix-prune-tmp-x1", ".nix-prune-tmp", "a.json"] {
            fs::write(dir.join(name), "").unwrap();
        }
        fs::create_dir(dir.join(".nix-prune-tmp-dir")).unwrap();
        remove_leftovers(&dir).unwrap();
        assert_eq!(
            names(&dir),
            [".nix-prune-tmp", ".nix-prune-tmp-dir", "a.json"]
        );
        remove_leftovers(&dir.join("absent")).unwrap();
    }

    #[test]
    fn directories_are_made_and_links_in_their_place_refused() {
        let (_guard, dir) = scratch();
        make_dirs(&dir.join("a/b/c"), 0o755).unwrap();
        make_dirs(&dir.join("a/b/c"), 0o755).unwrap();
        let mode = fs::metadata(dir.join("a/b")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        symlink("a", dir.join("link")).unwrap();
        fs::write(dir.join("file"), "").unwrap();
        assert!(make_dir(&dir.join("link"), 0o755).is_err());
        assert!(make_dirs(&dir.join("file/x"), 0o755).is_err());
    }

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
        assert_eq!(names(&dir), ["a.json"]);
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
