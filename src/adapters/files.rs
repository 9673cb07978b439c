//! Atomic writes, and directories.

mod open;
pub mod remove;
mod space;
pub(in crate::adapters) mod stamp;
pub mod trust;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use tempfile::NamedTempFile;

pub(crate) use open::name_the_link;
use open::not_regular;
pub use open::{
    for_each_name, is_there, open_below, open_directory, open_directory_at, open_file_at,
    open_to_change, open_to_read, read_bounded, read_text,
};
use remove::{Removal, remove_at};
pub use space::{is_set_aside, set_aside, write_into};

/// What the names of our temporary files begin with; one that is still there was left by a run that was killed.
pub const TEMPORARY_PREFIX: &str = ".nix-prune-tmp-";
/// As much as the record of a run of some hundred actions takes.
const PROBE_BYTES: usize = 64 << 10;

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

/// Writes a file that a person named, for its owner alone. A link in its place is refused: a rename would put a file in the place of
/// a link such as `/dev/stdout`, for everybody on the machine.
///
/// # Errors
/// As [`write_atomically`], and when a link stands there.
pub fn write_for_owner(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    const FOR_OWNER: u32 = 0o600;
    refuse_link(path)?;
    write_atomically(path, bytes, FOR_OWNER)
}

/// Everything else that is not to be overwritten, the writing itself refuses.
fn refuse_link(path: &Utf8Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(there) if there.is_symlink() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a symbolic link",
        )),
        _ => Ok(()),
    }
}

/// The same for everybody to read. As root it is written only where no other user could have put something else in the place of a
/// directory.
///
/// # Errors
/// As [`write_for_owner`], and when another user can write to one of the directories.
pub fn write_for_all(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    const FOR_ALL: u32 = 0o644;
    if nix::unistd::geteuid().is_root() {
        let path = std::path::absolute(path)?;
        let dir = path.parent().and_then(Utf8Path::from_path);
        let dir = dir.ok_or(io::ErrorKind::InvalidInput)?;
        trust::check_above(dir, 0).map_err(io::Error::other)?;
    }
    refuse_link(path)?;
    write_atomically(path, bytes, FOR_ALL)
}

/// Moves a file to another name in the same directory at once, in the place of what has that name. For what no power cut has to
/// survive, such as a socket.
///
/// # Errors
/// When it cannot be moved.
#[expect(clippy::disallowed_methods, reason = "takes the place at once")]
pub fn put_in_place(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    fs::rename(from, to)
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

/// Makes a directory and those above it, each with `mode` whatever the umask is; existing ones are not changed.
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
/// When the directory cannot be read, but for its absence; a file that cannot be removed only takes space.
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
        Ok(_) => Err(not_regular()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn directory_of(path: &Utf8Path) -> io::Result<&Utf8Path> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(_)) if dir.as_str().is_empty() => Ok(Utf8Path::new(".")),
        (Some(dir), Some(_)) => Ok(dir),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a file name",
        )),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use rstest::rstest;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

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
}
