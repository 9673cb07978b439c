//! Signs of use in projects.
#![allow(
    clippy::disallowed_methods,
    reason = "a project that is worked in needs a process"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command};

use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use rstest::rstest;

use super::*;
use crate::domain::profile::Owner;
use crate::domain::root::{RootKind, RootState};
use crate::support::scratch;

const OLD: i64 = 1_700_000_000;
const LATER: i64 = 1_750_000_000;

/// Sets both times of a file or link.
fn set_time(path: &Utf8Path, seconds: i64) {
    let time = TimeSpec::new(seconds, 0);
    let follow = UtimensatFlags::NoFollowSymlink;
    utimensat(
        nix::fcntl::AT_FDCWD,
        path.as_std_path(),
        &time,
        &time,
        follow,
    )
    .unwrap();
}

/// Makes everything below a directory old.
fn age(dir: &Utf8Path) {
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.symlink_metadata().unwrap().is_dir() {
            age(&path);
        }
        set_time(&path, OLD);
    }
    set_time(dir, OLD);
}

fn make(file: &Utf8Path) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "").unwrap();
}

fn root(link: &Utf8Path) -> GcRoot {
    GcRoot {
        link: link.to_path_buf(),
        entry: Some("/nix/var/nix/gcroots/auto/x".into()),
        exact: true,
        target: None,
        store_path: None,
        kind: RootKind::Result,
        owner: Some(Owner { uid: 0, name: None }),
        state: RootState::Live,
        made_at: Timestamp::from_unix(OLD, 0),
    }
}

fn look(link: &Utf8Path, home: &Utf8Path) -> LinkUse {
    let reader = UseReader {
        is_out_of_reach: |_: &GcRoot| false,
        is_home: |dir: &Utf8Path| dir == home,
        own: &[home],
        homes: &HashMap::new(),
        processes: &Processes::read(Utf8Path::new("/proc")),
    };
    reader.read([root(link)].iter()).remove(link).unwrap()
}

fn seen(used: LinkUse) -> SeenUse {
    match used {
        LinkUse::Seen(seen) => seen,
        other => panic!("{other:?}"),
    }
}

/// A home with a project of `files`, everything of it old.
fn project(files: &[&str]) -> (tempfile::TempDir, Utf8PathBuf, Utf8PathBuf) {
    let (guard, home) = scratch();
    let dir = home.join("src/p");
    fs::create_dir_all(&dir).unwrap();
    for file in files {
        make(&dir.join(file));
    }
    age(&home);
    (guard, home, dir)
}

#[rstest]
#[case::envrc(".envrc", ".envrc", UseSignal::ProjectFile)]
#[case::lock("flake.lock", "flake.lock", UseSignal::ProjectFile)]
#[case::direnv(
    ".direnv/flake-profile-1.rc",
    ".direnv/flake-profile-1.rc",
    UseSignal::Environment
)]
#[case::devenv(".devenv/profile", ".devenv/profile", UseSignal::Environment)]
#[case::index(".git/index", ".git/index", UseSignal::Git)]
#[case::head(".git/HEAD", ".git/HEAD", UseSignal::Git)]
#[case::log(".git/logs/HEAD", ".git/logs/HEAD", UseSignal::Git)]
fn the_latest_sign_counts(#[case] file: &str, #[case] touched: &str, #[case] signal: UseSignal) {
    let (_guard, home, dir) = project(&[file]);
    let result = dir.join("result");
    let before = seen(look(&result, &home)).last;
    assert_eq!(before.at, Timestamp::from_unix(OLD, 0).unwrap());
    let path = dir.join(touched);
    // The access time of a file may count as well, so only the other one changes.
    let (then, omit) = (TimeSpec::new(LATER, 0), TimeSpec::UTIME_OMIT);
    let follow = UtimensatFlags::NoFollowSymlink;
    utimensat(
        nix::fcntl::AT_FDCWD,
        path.as_std_path(),
        &omit,
        &then,
        follow,
    )
    .unwrap();
    let last = seen(look(&result, &home)).last;
    assert_eq!(
        (last.at, last.signal),
        (Timestamp::from_unix(LATER, 0).unwrap(), signal)
    );
}

#[test]
fn reading_an_environment_counts_where_access_times_are_kept() {
    let (_guard, home, dir) = project(&[".envrc", ".direnv/a.rc", ".direnv/b"]);
    let link = dir.join(".direnv/a");
    let access = |file: &str| {
        let (then, omit) = (TimeSpec::new(LATER, 0), TimeSpec::UTIME_OMIT);
        let path = dir.join(file);
        let follow = UtimensatFlags::NoFollowSymlink;
        utimensat(
            nix::fcntl::AT_FDCWD,
            path.as_std_path(),
            &then,
            &omit,
            follow,
        )
        .unwrap();
        let last = seen(look(&link, &home)).last;
        age(&dir);
        (last.signal, last.at) == (UseSignal::Access, Timestamp::from_unix(LATER, 0).unwrap())
    };
    let kept = keeps_access_times(&dir);
    assert_eq!(access(".envrc"), kept);
    assert_eq!(access(".direnv/a.rc"), kept);
    assert!(
        !access(".direnv/b"),
        "only direnv's own file is read at every entry"
    );
}

#[test]
fn a_project_below_another_directory_of_a_repository_is_used_with_it() {
    let (_guard, home, dir) = project(&[".git/index", "sub/deep/x"]);
    set_time(&dir.join(".git/index"), LATER);
    let last = seen(look(&dir.join("sub/deep/result"), &home)).last;
    assert_eq!(last.signal, UseSignal::Git);
}

#[test]
fn what_is_done_in_a_home_is_no_use_of_a_link_in_it() {
    let (_guard, home, _) = project(&[]);
    make(&home.join(".git/index"));
    make(&home.join("flake.nix"));
    let used = seen(look(&home.join("result"), &home));
    assert_eq!(used.last.signal, UseSignal::Link);
    // Dot files in git are not the repository of a project below.
    let last = seen(look(&home.join("src/p/result"), &home)).last;
    assert_eq!(last.signal, UseSignal::Link);
    assert!(Project::of(Utf8Path::new("/tmp/result"), |_| false).is_none());
    assert!(Project::of(Utf8Path::new("/result"), |_| false).is_none());
    assert!(Project::of(Utf8Path::new("/tmp/x/result"), |_| false).is_some());
}

#[rstest]
#[case::direnv(&[".direnv/a"], true)]
#[case::direnv_used(&[".direnv/a", ".envrc"], false)]
#[case::devenv(&[".devenv/a"], true)]
#[case::devenv_used(&[".devenv/a", "devenv.nix"], false)]
#[case::devenv_by_yaml(&[".devenv/a", "devenv.yaml"], false)]
#[case::both(&[".devenv/a", ".direnv/a", "devenv.nix"], true)]
#[case::neither(&["README"], false)]
fn an_environment_without_its_definition_is_gone(#[case] files: &[&str], #[case] gone: bool) {
    let (_guard, home, dir) = project(files);
    assert_eq!(seen(look(&dir.join(".direnv/a"), &home)).project_gone, gone);
}

/// A worktree whose repository is `repository`, with `registered` in it.
fn worktree(registered: bool, repository: bool) -> (tempfile::TempDir, Utf8PathBuf, Utf8PathBuf) {
    let (guard, home, dir) = project(&["x"]);
    let git = home.join("repo/.git");
    if repository {
        fs::create_dir_all(&git).unwrap();
    }
    if registered {
        make(&git.join("worktrees/p/index"));
    }
    fs::write(dir.join(".git"), format!("gitdir: {git}/worktrees/p\n")).unwrap();
    age(&home);
    (guard, home, dir)
}

#[rstest]
#[case::registered(true, true, false)]
#[case::pruned(false, true, true)]
#[case::repository_away(false, false, false)]
fn a_worktree_that_its_repository_does_not_know_is_gone(
    #[case] registered: bool,
    #[case] repository: bool,
    #[case] gone: bool,
) {
    let (_guard, home, dir) = worktree(registered, repository);
    assert_eq!(seen(look(&dir.join("result"), &home)).project_gone, gone);
}

#[test]
fn a_worktree_is_used_with_its_index() {
    let (_guard, home, dir) = worktree(true, true);
    set_time(&home.join("repo/.git/worktrees/p/index"), LATER);
    let used = seen(look(&dir.join("result"), &home));
    assert_eq!(used.last.signal, UseSignal::Git);
}

#[test]
fn a_git_file_that_cannot_be_read_leaves_the_use_unknown() {
    let (_guard, home, dir) = project(&[]);
    symlink("/dev/zero", dir.join(".git")).unwrap();
    let used = look(&dir.join("result"), &home);
    assert!(
        matches!(used, LinkUse::Unknown(ref why) if why.contains(".git")),
        "{used:?}"
    );
    fs::remove_file(dir.join(".git")).unwrap();
    nix::unistd::mkfifo(
        dir.join(".git").as_std_path(),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    assert!(matches!(
        look(&dir.join("result"), &home),
        LinkUse::Unknown(_)
    ));
}

/// A process that works in a directory until the guard ends it.
struct Working(Child);

impl Working {
    fn in_dir(dir: &Utf8Path) -> Self {
        Self(
            Command::new("sleep")
                .arg("600")
                .current_dir(dir)
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_in_a_project_uses_it() {
    let (_guard, home, dir) = project(&["sub/x"]);
    let outside = home.join("src/p-2");
    fs::create_dir_all(&outside).unwrap();
    let _other = Working::in_dir(&outside);
    assert!(matches!(look(&dir.join("result"), &home), LinkUse::Seen(_)));
    let working = Working::in_dir(&dir.join("sub"));
    // The directory of a new process is that of its parent for a moment.
    let found = (0..500).find_map(|_| {
        if let LinkUse::Process(pid) = look(&dir.join("result"), &home) {
            return Some(pid);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        None
    });
    assert_eq!(found, Some(working.0.id()));
}

#[test]
fn a_file_system_of_neither_machine_nor_owner_is_elsewhere() {
    let (_guard, home, dir) = project(&["x"]);
    assert!(!seen(look(&dir.join("result"), &home)).elsewhere);
    let reader = UseReader {
        is_out_of_reach: |_: &GcRoot| false,
        is_home: |_: &Utf8Path| false,
        own: &[Utf8Path::new("/proc")],
        homes: &HashMap::new(),
        processes: &Processes::read(Utf8Path::new("/proc")),
    };
    let link = dir.join("result");
    let used = reader.read([root(&link)].iter()).remove(&link).unwrap();
    assert!(seen(used).elsewhere);
    let homes = HashMap::from([(0, home.as_path())]);
    let reader = UseReader {
        homes: &homes,
        ..reader
    };
    let used = reader.read([root(&link)].iter()).remove(&link).unwrap();
    assert!(!seen(used).elsewhere, "its owner's home is there");
}

#[test]
fn touching_a_project_sets_the_time_of_its_links_and_of_no_others() {
    let (_guard, home, dir) = project(&[".direnv/x"]);
    let store = crate::domain::store_path::StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
    let now = Timestamp::from_unix(LATER, 0).unwrap();
    assert!(touch(&dir, &store, now).unwrap().is_empty());
    assert!(touch(&dir.join("absent"), &store, now).is_err());
    let into = "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x";
    let (machine, names) = (
        home.join("profiles"),
        ["result", ".direnv/a", "other", "store"],
    );
    fs::create_dir(&machine).unwrap();
    symlink(into, machine.join("system-1-link")).unwrap();
    for (name, text) in names
        .iter()
        .zip([into, into, "/nix/storehouse/x", "/nix/store"])
    {
        symlink(text, dir.join(name)).unwrap();
    }
    // Only a directory is an environment: a link may lead anywhere.
    symlink(&machine, dir.join(".devenv")).unwrap();
    age(&home);
    let touched = touch(&dir, &store, now).unwrap();
    assert_eq!(touched, [dir.join(".direnv/a"), dir.join("result")]);
    let time = |path: &Utf8Path| modified(&lstat(path.as_std_path()).unwrap()).unwrap();
    let old = Timestamp::from_unix(OLD, 0).unwrap();
    assert_eq!(
        [time(&dir.join("result")), time(&dir.join(".direnv/a"))],
        [now, now]
    );
    assert_eq!(
        [time(&dir.join("other")), time(&dir.join("store"))],
        [old, old]
    );
    assert_eq!(time(&machine.join("system-1-link")), old);
}

#[test]
fn where_no_process_can_be_seen_the_use_of_a_project_is_unknown() {
    let (_guard, home, dir) = project(&["x"]);
    for proc in [home.join("absent"), dir] {
        let reader = UseReader {
            is_out_of_reach: |_: &GcRoot| false,
            is_home: |dir: &Utf8Path| dir == home,
            own: &[&home],
            homes: &HashMap::new(),
            processes: &Processes::read(&proc),
        };
        let roots = [root(&home.join("src/p/result")), root(&home.join("result"))];
        let uses: Vec<LinkUse> = reader.read(roots.iter()).into_values().collect();
        // A link that is in no project has no processes either.
        assert!(
            matches!(uses[..], [LinkUse::Seen(_), LinkUse::Unknown(_)]),
            "{uses:?}"
        );
    }
}
