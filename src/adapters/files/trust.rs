//! Check that no other user could have replaced a file.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

use super::open_to_read;
use crate::ports::JournalError;

const MAX_LINKS: usize = 40;
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Checks that nobody but `own` and root can change what `path` leads to.
///
/// `path` itself must belong to `own`; the directories above it, and above the target of every link on the way, to
/// `own` or root, and none may be writable by others, but for sticky ones such as `/tmp`.
///
/// # Errors
/// [`JournalError::Untrusted`] names the part that is not so, [`JournalError::Read`] what cannot be looked at.
pub fn check(path: &Utf8Path, own: u32) -> Result<(), JournalError> {
    if !path.is_absolute() {
        return Err(untrusted(path, "it is not an absolute path"));
    }
    let top = Utf8Path::new("/");
    judge(top, &read_metadata(top)?, own, Position::Above)?;
    check_below(top.to_path_buf(), path, own, Position::Last)
}

/// Checks a directory in which something is to be made, as [`check`] does with those above a path.
///
/// # Errors
/// As [`check`].
pub fn check_above(dir: &Utf8Path, own: u32) -> Result<(), JournalError> {
    check_below("/".into(), dir, own, Position::Above)
}

/// Opens a file that nobody but `own` and root can have written, with links resolved.
///
/// # Errors
/// As [`check`].
pub fn open(path: &Utf8Path, own: u32) -> Result<fs::File, JournalError> {
    check(path, own)?;
    let failed = |source| unreadable(path, source);
    let real = path.canonicalize_utf8().map_err(failed)?;
    // By now only they can change the way to it; the opened file is checked all the same.
    let file = open_to_read(&real).map_err(failed)?;
    check_open(&real, &file, own)?;
    Ok(file)
}

/// Checks that an open file is `own`'s alone: what was opened may be another file than the one that [`check`] saw.
///
/// An access list cannot hide here: where there is one, the group's bits of the mode are its mask.
///
/// # Errors
/// As [`check`].
pub fn check_open(path: &Utf8Path, file: &fs::File, own: u32) -> Result<(), JournalError> {
    let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
    judge(path, &metadata, own, Position::Last)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Above,
    Last,
}

/// Walks from `at`, which is trusted and has no link in it, as the kernel would.
fn check_below(
    mut at: Utf8PathBuf,
    path: &Utf8Path,
    own: u32,
    last: Position,
) -> Result<(), JournalError> {
    let mut ahead = steps(path);
    let mut links = 0;
    while let Some(step) = ahead.pop() {
        match step.as_str() {
            "." => continue,
            // `at` has no link in it, so that its parent by name is its parent.
            ".." => {
                at.pop();
                continue;
            }
            "/" => {
                at = "/".into();
                continue;
            }
            _ => {}
        }
        let next = at.join(&step);
        let metadata = read_metadata(&next)?;
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(untrusted(path, "too many levels of symbolic links"));
            }
            // A link's own mode means nothing; its directory, checked before, decides who may replace it.
            owned(&next, &metadata, own)?;
            let target = next
                .read_link_utf8()
                .map_err(|source| unreadable(&next, source))?;
            ahead.append(&mut steps(&target));
        } else {
            judge(&next, &metadata, own, Position::Above)?;
            at = next;
        }
    }
    judge(&at, &read_metadata(&at)?, own, last)
}

/// The components of a path, the first one last.
fn steps(path: &Utf8Path) -> Vec<String> {
    path.components()
        .rev()
        .map(|part| part.as_str().to_string())
        .collect()
}

fn judge(
    path: &Utf8Path,
    metadata: &Metadata,
    own: u32,
    position: Position,
) -> Result<(), JournalError> {
    owned(path, metadata, own)?;
    let theirs = metadata.uid() != own && outer_root() != Some(metadata.uid());
    if position == Position::Last && theirs {
        let uid = metadata.uid();
        return Err(untrusted(path, format!("it belongs to user {uid}")));
    }
    // In a sticky directory others may add names but not replace ours.
    let shared = position == Position::Above && metadata.is_dir() && metadata.mode() & STICKY != 0;
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 && !shared {
        let mode = metadata.mode() & 0o7777;
        let why = format!("others may write to it (mode {mode:04o})");
        return Err(untrusted(path, why));
    }
    Ok(())
}

fn owned(path: &Utf8Path, metadata: &Metadata, own: u32) -> Result<(), JournalError> {
    let uid = metadata.uid();
    if uid == own || is_root(uid) {
        Ok(())
    } else {
        Err(untrusted(path, format!("it belongs to user {uid}")))
    }
}

/// Whether files of this user may be root's, as the kernel shows them here.
fn is_root(uid: u32) -> bool {
    uid == 0 || outer_root() == Some(uid)
}

/// The user that stands for the machine's root in a user namespace that has no number for it, as after `unshare -r` by
/// an ordinary user: root is a name for that user there, and all other files seem to belong to one unmapped user.
fn outer_root() -> Option<u32> {
    static FOUND: OnceLock<Option<u32>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let map = fs::read_to_string("/proc/self/uid_map").ok()?;
        let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?;
        unmapped_user(&map, overflow.trim().parse().ok()?)
    })
}

/// The number of all users that a namespace does not know, where the machine's root is one of them and nobody else can
/// have it. In every other namespace, the first one among them, a file of that number is anybody's but root's.
fn unmapped_user(map: &str, overflow: u32) -> Option<u32> {
    let mut ranges = Vec::new();
    for line in map.lines() {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        ranges.push((next()?, next()?, next()?));
    }
    let within =
        |first: u64, count: u64, id: u64| (first..first.saturating_add(count)).contains(&id);
    let is_known = ranges.iter().any(|(inner, outer, count)| {
        within(*inner, *count, u64::from(overflow)) || within(*outer, *count, 0)
    });
    (!ranges.is_empty() && !is_known).then_some(overflow)
}

fn read_metadata(path: &Utf8Path) -> Result<Metadata, JournalError> {
    fs::symlink_metadata(path).map_err(|source| unreadable(path, source))
}

pub(crate) fn unreadable(path: &Utf8Path, source: io::Error) -> JournalError {
    JournalError::Read {
        path: path.to_string(),
        source,
    }
}

pub(crate) fn untrusted(path: &Utf8Path, why: impl Into<String>) -> JournalError {
    JournalError::Untrusted {
        path: path.to_string(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A scratch directory without links above it, and whose it is.
    fn scratch() -> (tempfile::TempDir, Utf8PathBuf, u32) {
        let guard = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(guard.path())
            .unwrap()
            .canonicalize_utf8()
            .unwrap();
        for path in ["state", "state/runs"] {
            fs::create_dir(dir.join(path)).unwrap();
            set(&dir.join(path), 0o755);
        }
        let own = fs::metadata(&dir).unwrap().uid();
        (guard, dir, own)
    }

    fn set(path: &Utf8Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn below(dir: &Utf8Path, path: &str, own: u32) -> Result<(), JournalError> {
        check_below(dir.to_path_buf(), Utf8Path::new(path), own, Position::Last)
    }

    #[rstest]
    #[case::all_ours(0o755, 0o755, true)]
    #[case::others_may_write_above(0o757, 0o755, false)]
    #[case::a_group_may_write_above(0o775, 0o755, false)]
    #[case::sticky_above(0o1777, 0o755, true)]
    #[case::others_may_write(0o755, 0o777, false)]
    #[case::sticky_does_not_help_itself(0o755, 0o1777, false)]
    fn modes_decide(#[case] above: u32, #[case] itself: u32, #[case] trusted: bool) {
        let (_guard, dir, own) = scratch();
        set(&dir.join("state"), above);
        set(&dir.join("state/runs"), itself);
        let result = below(&dir, "state/runs", own);
        assert_eq!(result.is_ok(), trusted, "{result:?}");
        assert!(trusted || matches!(result, Err(JournalError::Untrusted { .. })));
    }

    #[rstest]
    #[case(0o644, true)]
    #[case(0o664, false)]
    #[case(0o646, false)]
    fn an_open_file_is_looked_at_itself(#[case] mode: u32, #[case] trusted: bool) {
        let (_guard, dir, own) = scratch();
        let file = dir.join("file");
        fs::write(&file, "").unwrap();
        set(&file, 0o644);
        let open = fs::File::open(&file).unwrap();
        set(&file, mode);
        // Another file takes its name meanwhile; it is not the one that was opened.
        fs::rename(&file, dir.join("moved")).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(check_open(&file, &open, own).is_ok(), trusted);
        assert!(check_open(&file, &open, own + 1).is_err());
    }

    #[rstest]
    #[case::the_machine_itself("0 0 4294967295", None)]
    #[case::unshare_by_a_user("0 1000 1", Some(65_534))]
    #[case::as_oneself("1000 1000 1\n", Some(65_534))]
    #[case::unshare_by_root("0 0 1", None)]
    #[case::a_service_with_private_users("0 0 1\n998 998 1", None)]
    #[case::a_container_that_knows_the_number("0 1000 1\n1 100000 65536", None)]
    #[case::a_container_of_few_users("0 1000 1\n1 100000 1000", Some(65_534))]
    #[case::a_container_of_roots("0 100000 65536", None)]
    #[case::not_set_yet("", None)]
    #[case::not_a_map("0 x 1", None)]
    fn the_unmapped_user_is_root_only_where_root_has_no_number(
        #[case] map: &str,
        #[case] user: Option<u32>,
    ) {
        assert_eq!(unmapped_user(map, 65_534), user);
    }

    #[test]
    fn another_owner_is_refused() {
        let (_guard, dir, own) = scratch();
        let somebody_else = own + 1;
        // Where the tests run as root, root's directories above are fine for anybody; the last is not.
        for path in ["state", "state/runs"] {
            let error = below(&dir, path, somebody_else).unwrap_err();
            assert!(matches!(error, JournalError::Untrusted { .. }), "{error}");
        }
    }

    #[test]
    fn a_link_of_another_owner_is_refused() {
        let (_guard, dir, own) = scratch();
        let link = dir.join("link");
        symlink("state", &link).unwrap();
        // Only root can give a link away; for others it is enough to ask for somebody else.
        let own = if own == 0 {
            std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
            own
        } else {
            own + 1
        };
        let error = below(&dir, "link", own).unwrap_err();
        assert!(matches!(error, JournalError::Untrusted { path, .. } if path == link));
    }

    #[test]
    fn what_a_link_leads_to_counts_too() {
        let (_guard, dir, own) = scratch();
        fs::create_dir_all(dir.join("open/inner")).unwrap();
        set(&dir.join("open/inner"), 0o755);
        set(&dir.join("open"), 0o777);
        symlink("state", dir.join("good")).unwrap();
        symlink("open/../state/./runs", dir.join("odd")).unwrap();
        symlink("open/inner", dir.join("bad")).unwrap();
        symlink("round", dir.join("round")).unwrap();
        symlink("..", dir.join("open/up")).unwrap();
        assert!(below(&dir, "good", own).is_ok());
        assert!(below(&dir, "good/runs", own).is_ok());
        assert!(below(&dir, "odd", own).is_err());
        assert!(below(&dir, "bad", own).is_err());
        assert!(below(&dir, "round", own).is_err());
        assert!(below(&dir, "bad/../../state", own).is_err());
        set(&dir.join("open"), 0o755);
        assert!(below(&dir, "odd", own).is_ok());
        assert!(below(&dir, "bad", own).is_ok());
        set(&dir, 0o1777);
        assert!(below(&dir, "open/up", own).is_err());
        set(&dir, 0o755);
        assert!(below(&dir, "open/up", own).is_ok());
    }

    #[test]
    fn relative_paths_are_refused_and_absent_ones_named() {
        let (_guard, dir, own) = scratch();
        assert!(matches!(
            check(Utf8Path::new("state"), 0),
            Err(JournalError::Untrusted { .. })
        ));
        let absent = below(&dir, "absent/runs", own);
        assert!(matches!(absent, Err(JournalError::Read { path, source })
            if path.ends_with("/absent") && source.kind() == std::io::ErrorKind::NotFound));
    }
}
