//! A second look at the roots, independent of the survey: the same files in the same way as Nix's collector reads them, and nothing
//! of what it removes.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use camino::Utf8Path;

use crate::adapters::runtime_roots::{RuntimeRoots, read_processes, read_temporary};
use crate::domain::store_path::{StoreDir, StorePathRef};
use crate::ports::PerformError;

/// The base names of the paths that are roots, valid or not.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// By a link or file in the state directory, with what tells it from another of the same name.
    pub(super) lasting: HashMap<String, HashSet<Identity>>,
    /// By a process, or by its temporary roots.
    pub(super) running: HashSet<String>,
}

/// Inode and time of the last change of each link on the way.
type Identity = Vec<(u64, i64, i64)>;

impl Roots {
    /// Whether a path is a root by a link that was there before as well.
    pub(super) fn has_same(&self, before: &Self, base_name: &str) -> bool {
        let both = self
            .lasting
            .get(base_name)
            .zip(before.lasting.get(base_name));
        both.is_some_and(|(now, before)| !now.is_disjoint(before))
    }

    /// Reads links in the state directory, temporary roots and processes.
    ///
    /// # Errors
    /// When any of them cannot be read: a root that is not seen would be deleted.
    pub(super) fn read(
        state_dir: &Utf8Path,
        store: &StoreDir,
        proc: &Utf8Path,
    ) -> Result<Self, PerformError> {
        let mut roots = Self::default();
        let prefix = store.prefix();
        for name in ["gcroots", "profiles"] {
            let dir = state_dir.join(name);
            roots
                .walk(dir.as_std_path(), &prefix)
                .map_err(|source| PerformError::File {
                    what: format!("read the roots in {dir}"),
                    source,
                })?;
        }
        let temporary = read_temporary(state_dir, store);
        let is_denied = temporary.denied > 0;
        roots.add_running(&temporary, is_denied, "temporary roots")?;
        // A process that root may not look into is not seen by Nix either, and such processes are everywhere: a service manager
        // outside of the container, for one.
        roots.add_running(&read_processes(proc, store), false, "roots of processes")?;
        Ok(roots)
    }

    fn add_running(
        &mut self,
        found: &RuntimeRoots,
        is_denied: bool,
        what: &str,
    ) -> Result<(), PerformError> {
        self.running
            .extend(found.paths.keys().map(ToString::to_string));
        let problem = found.problems.first().map(String::as_str);
        match problem.or(is_denied.then_some("permission denied")) {
            Some(why) => Err(PerformError::Unsupported(format!(
                "some {what} cannot be read ({why})"
            ))),
            None => Ok(()),
        }
    }

    /// As `LocalStore::findRoots` of Nix.
    fn walk(&mut self, path: &Path, prefix: &str) -> io::Result<()> {
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) => return unless_gone(error),
        };
        let (kind, entry) = (meta.file_type(), identity(&meta));
        if kind.is_dir() {
            let entries = match fs::read_dir(path) {
                Ok(entries) => entries,
                Err(error) => return unless_gone(error),
            };
            for entry in entries {
                self.walk(&entry?.path(), prefix)?;
            }
        } else if kind.is_symlink() {
            let target = match fs::read_link(path) {
                Ok(target) => target,
                Err(error) => return unless_gone(error),
            };
            if !self.add(&target, prefix, vec![entry])
                && let Some(dir) = path.parent()
            {
                // An indirect root, followed once.
                let link = dir.join(&target);
                match fs::read_link(&link) {
                    Ok(target) => {
                        let meta = fs::symlink_metadata(&link);
                        let link = meta.map(|meta| identity(&meta)).unwrap_or_default();
                        self.add(&target, prefix, vec![entry, link]);
                    }
                    // It is there and no link.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                    Err(error) => return unless_gone(error),
                }
            }
        } else if kind.is_file()
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
            && StorePathRef::from_base_name(name).is_ok()
        {
            self.insert(name, vec![entry]);
        }
        Ok(())
    }

    /// Adds what a link into the store keeps, by its text, as Nix does; returns whether it is one.
    fn add(&mut self, target: &Path, prefix: &str, identity: Identity) -> bool {
        let target = target.as_os_str().as_bytes();
        let Some(below) = target.strip_prefix(prefix.as_bytes()) else {
            return false;
        };
        let name = below.split(|byte| *byte == b'/').next();
        // No store path has another name.
        if let Some(name) = name.and_then(|name| str::from_utf8(name).ok()) {
            self.insert(name, identity);
        }
        true
    }

    fn insert(&mut self, name: &str, identity: Identity) {
        let identities = self.lasting.entry(name.to_string()).or_default();
        identities.insert(identity);
    }
}

fn identity(meta: &Metadata) -> (u64, i64, i64) {
    (meta.ino(), meta.ctime(), meta.ctime_nsec())
}

/// What is not there keeps nothing. What may not be read, Nix reads as root or skips; it is an error here.
fn unless_gone(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use camino::Utf8PathBuf;
    use rstest::rstest;

    use super::*;

    const A: &str = "00000000000000000000000000000000-a";

    fn read(state_dir: &Utf8Path) -> Result<Roots, PerformError> {
        let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
        let proc = state_dir.join("proc");
        fs::create_dir_all(&proc).unwrap();
        Roots::read(state_dir, &store, &proc)
    }

    fn state_dir() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        (dir, path)
    }

    #[rstest]
    #[case::a_link("gcroots/x", "/nix/store/A", true)]
    #[case::deeper("gcroots/per-user/x/y", "/nix/store/A", true)]
    #[case::a_profile("profiles/system-1-link", "/nix/store/A", true)]
    #[case::below_a_path("gcroots/x", "/nix/store/A/bin/a", true)]
    #[case::of_another_store("gcroots/x", "/gnu/store/A", false)]
    #[case::the_store_itself("gcroots/x", "/nix/store", false)]
    #[case::elsewhere("temproots.d/x", "/nix/store/A", false)]
    fn a_link_is_a_root(#[case] link: &str, #[case] target: &str, #[case] is_root: bool) {
        let (_dir, state_dir) = state_dir();
        let link = state_dir.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target.replace('A', A), &link).unwrap();
        let roots = read(&state_dir).unwrap();
        assert_eq!(roots.lasting.contains_key(A), is_root);
        assert!(roots.running.is_empty());
    }

    #[rstest]
    #[case::once(1, true)]
    #[case::but_not_twice(2, false)]
    fn an_indirect_root_is_followed(#[case] times: u32, #[case] is_root: bool) {
        let (_dir, state_dir) = state_dir();
        let auto = state_dir.join("gcroots/auto");
        fs::create_dir_all(&auto).unwrap();
        let place = |n: u32| state_dir.join(format!("result-{n}"));
        symlink(place(1), auto.join("x")).unwrap();
        for n in 1..times {
            symlink(place(n + 1), place(n)).unwrap();
        }
        symlink(format!("/nix/store/{A}"), place(times)).unwrap();
        assert_eq!(read(&state_dir).unwrap().lasting.contains_key(A), is_root);
    }

    #[test]
    fn a_file_is_a_root_by_its_name_and_what_is_gone_is_none() {
        let (_dir, state_dir) = state_dir();
        let gcroots = state_dir.join("gcroots");
        fs::create_dir_all(&gcroots).unwrap();
        fs::write(gcroots.join(A), "").unwrap();
        fs::write(gcroots.join("notes"), "").unwrap();
        symlink("/nowhere/result", gcroots.join("dangling")).unwrap();
        let roots = read(&state_dir).unwrap();
        assert_eq!(roots.lasting.into_keys().collect::<Vec<_>>(), [A]);
    }

    #[test]
    fn temporary_roots_that_cannot_be_read_end_it() {
        let (_dir, state_dir) = state_dir();
        fs::write(state_dir.join("temproots"), "").unwrap();
        let read = read(&state_dir);
        assert!(matches!(read, Err(PerformError::Unsupported(_))));
    }

    #[test]
    fn a_link_into_a_path_counts_whatever_its_text_is_behind_the_name() {
        use std::ffi::OsStr;
        let (_dir, state_dir) = state_dir();
        fs::create_dir(state_dir.join("gcroots")).unwrap();
        let target = [b"/nix/store/", A.as_bytes(), b"/\xff"].concat();
        let link = state_dir.join("gcroots/x");
        symlink(OsStr::from_bytes(&target), link).unwrap();
        assert!(read(&state_dir).unwrap().lasting.contains_key(A));
    }

    /// What becomes of the links by which `A` is a root: whether it is the same root afterwards.
    #[rstest]
    #[case::nothing(|_: &Utf8Path| {}, true)]
    #[case::made_anew(|dir: &Utf8Path| again(&dir.join("gcroots/x")), false)]
    #[case::changed(|dir: &Utf8Path| change(&dir.join("gcroots/x")), false)]
    #[case::gone(|dir: &Utf8Path| fs::remove_file(dir.join("gcroots/x")).unwrap(), false)]
    #[case::one_beside_it(|dir: &Utf8Path| link(&dir.join("gcroots/y")), true)]
    fn a_root_is_the_same_by_the_very_same_link(
        #[case] then: fn(&Utf8Path),
        #[case] is_same: bool,
    ) {
        let (_dir, state_dir) = state_dir();
        fs::create_dir(state_dir.join("gcroots")).unwrap();
        link(&state_dir.join("gcroots/x"));
        let before = read(&state_dir).unwrap();
        // The clock of files is coarse.
        std::thread::sleep(std::time::Duration::from_millis(20));
        then(&state_dir);
        assert_eq!(read(&state_dir).unwrap().has_same(&before, A), is_same);
    }

    #[test]
    fn an_indirect_root_whose_link_was_made_anew_is_another_one() {
        let (_dir, state_dir) = state_dir();
        let result = state_dir.join("result");
        fs::create_dir_all(state_dir.join("gcroots/auto")).unwrap();
        symlink(&result, state_dir.join("gcroots/auto/x")).unwrap();
        link(&result);
        let before = read(&state_dir).unwrap();
        assert!(read(&state_dir).unwrap().has_same(&before, A));
        std::thread::sleep(std::time::Duration::from_millis(20));
        again(&result);
        let now = read(&state_dir).unwrap();
        assert!(now.lasting.contains_key(A) && !now.has_same(&before, A));
    }

    fn link(link: &Utf8Path) {
        symlink(format!("/nix/store/{A}"), link).unwrap();
    }

    fn again(old: &Utf8Path) {
        fs::remove_file(old).unwrap();
        link(old);
    }

    /// Changes the link itself, which stays the same file.
    fn change(link: &Utf8Path) {
        let meta = fs::symlink_metadata(link).unwrap();
        std::os::unix::fs::lchown(link, Some(meta.uid()), Some(meta.gid())).unwrap();
        let moved = link.with_extension("moved");
        fs::rename(link, &moved).unwrap();
        fs::rename(&moved, link).unwrap();
    }

    #[rstest]
    #[case::a_relative_link("../../result", true)]
    #[case::a_file("../../file", false)]
    #[case::below_a_file("../../file/x", false)]
    #[case::a_directory("../../elsewhere", false)]
    fn an_entry_leads_to_a_root_by_another_link_and_stops_nothing(
        #[case] target: &str,
        #[case] is_root: bool,
    ) {
        let (_dir, state_dir) = state_dir();
        for dir in ["gcroots/auto", "elsewhere"] {
            fs::create_dir_all(state_dir.join(dir)).unwrap();
        }
        for name in ["result", "elsewhere/deeper"] {
            link(&state_dir.join(name));
        }
        fs::write(state_dir.join("file"), "").unwrap();
        symlink(target, state_dir.join("gcroots/auto/x")).unwrap();
        assert_eq!(read(&state_dir).unwrap().lasting.contains_key(A), is_root);
    }

    /// It might be a root.
    #[test]
    fn an_entry_that_cannot_be_followed_ends_it() {
        let (_dir, state_dir) = state_dir();
        fs::create_dir(state_dir.join("gcroots")).unwrap();
        symlink("x".repeat(300), state_dir.join("gcroots/long")).unwrap();
        assert!(matches!(read(&state_dir), Err(PerformError::File { .. })));
    }

    #[test]
    fn temporary_roots_that_may_not_be_read_end_it() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, state_dir) = state_dir();
        let file = state_dir.join("temproots/1");
        for dir in ["temproots", "proc"] {
            fs::create_dir(state_dir.join(dir)).unwrap();
        }
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let read = std::thread::scope(|scope| {
            let as_nobody = scope.spawn(|| {
                // Root may read everything, so this thread is somebody else.
                nix::unistd::setfsuid(65_534.into());
                read(&state_dir)
            });
            as_nobody.join().unwrap()
        });
        assert!(matches!(read, Err(PerformError::Unsupported(_))));
    }

    #[test]
    fn what_a_process_uses_counts_as_running() {
        let (_dir, state_dir) = state_dir();
        let process = state_dir.join("proc/20");
        fs::create_dir_all(process.join("fd")).unwrap();
        symlink(format!("/nix/store/{A}/bin/a"), process.join("exe")).unwrap();
        symlink("/", process.join("cwd")).unwrap();
        for name in ["maps", "environ"] {
            fs::write(process.join(name), "").unwrap();
        }
        let roots = read(&state_dir).unwrap();
        assert!(roots.running.contains(A) && roots.lasting.is_empty());
    }
}
