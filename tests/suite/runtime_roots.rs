//! Roots of running processes are found, and looking for them changes nothing.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};
use nix_prune::adapters::runtime_roots::{RuntimeRoots, read_processes, read_temporary};
use nix_prune::domain::store_path::StoreDir;
use rstest::rstest;
use tempfile::TempDir;

use crate::database::real;
use crate::support::{Over, wait_for};

const A: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-a";
const B: &str = "11bgd045z0d4icpbc2yyz4gx48ak44la-b";
const C: &str = "22bgd045z0d4icpbc2yyz4gx48ak44la-c";

fn nix_store() -> StoreDir {
    StoreDir::new("/nix/store".into()).unwrap()
}

fn names(roots: &RuntimeRoots) -> Vec<String> {
    roots.paths.keys().map(ToString::to_string).collect()
}

/// Every place with its path, `/proc/1/exe A`.
fn places(roots: &RuntimeRoots) -> Vec<String> {
    let mut all: Vec<String> = roots
        .paths
        .iter()
        .flat_map(|(path, places)| {
            places
                .named
                .iter()
                .map(move |place| format!("{place} {path}"))
        })
        .collect();
    all.sort();
    all
}

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    fn dir(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> Utf8PathBuf {
        let file = self.dir().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        file
    }

    fn link(&self, path: &str, target: impl AsRef<std::path::Path>) {
        let link = self.dir().join(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }

    /// A process that uses nothing.
    fn process(&self, pid: u32) {
        self.link(&format!("{pid}/exe"), "/usr/bin/true");
        self.link(&format!("{pid}/cwd"), "/");
        self.link(&format!("{pid}/fd/0"), "/dev/null");
        self.file(&format!("{pid}/maps"), "");
        self.file(&format!("{pid}/environ"), "");
        self.file(
            &format!("{pid}/stat"),
            format!("{pid} (a) b) S 1 1 1 0 -1 4194560 7 7\n"),
        );
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.dir().join(path)).unwrap();
    }
}

/// Whether all was seen that there is.
fn is_complete(roots: &RuntimeRoots) -> bool {
    roots.denied == 0 && !roots.others_hidden && roots.problems.is_empty()
}

#[test]
fn trap_20_whatever_a_process_uses_is_found() {
    let proc = Tree::new();
    for pid in [1, 20, 300] {
        proc.process(pid);
    }
    for link in ["20/exe", "20/cwd"] {
        proc.remove(link);
    }
    proc.link("20/exe", format!("/nix/store/{A}/bin/a (deleted)"));
    proc.link("20/cwd", format!("/nix/store/{B}"));
    proc.link("300/fd/3", format!("/nix/store/{C}/share/file"));
    proc.link("300/fd/4", "socket:[123]");
    proc.link("300/fd/5", format!("/mnt/nix/store/{A}"));
    let map = "7f00-7f01 r-xp 00001000 fe:00 10043447                   ";
    let maps = format!(
        "{map}/nix/store/{A}/lib/a b.so\n{map}\n{map}[heap]\n{map}/nix/store/{B}/lib/b.so (deleted)\n{map}/x/nix/store/{C}\n"
    );
    proc.file("300/maps", maps);
    let mut environ =
        format!("PATH=/nix/store/{A}/bin:/bin\0SUDO_COMMAND=rm /nix/store/{B}\0").into_bytes();
    environ.extend_from_slice(b"BAD=\xff\xfe/nix/store/junk\0");
    proc.file("300/environ", environ);
    proc.file(
        "sys/kernel/modprobe",
        format!("/nix/store/{C}/bin/modprobe\n"),
    );
    proc.file("sys/kernel/poweroff_cmd", "/sbin/poweroff\n");
    proc.file("version", format!("/nix/store/{C}"));
    proc.file("self/environ", format!("/nix/store/{C}"));

    let roots = read_processes(proc.dir(), &nix_store());
    let expected = [
        format!("20/cwd {B}"),
        format!("20/exe {A}"),
        format!("300/environ {A}"),
        format!("300/environ {B}"),
        format!("300/fd/3 {C}"),
        format!("300/maps {A}"),
        format!("300/maps {B}"),
        format!("sys/kernel/modprobe {C}"),
    ]
    .map(|line| format!("{}/{line}", proc.dir()));
    assert_eq!(places(&roots), expected);
    assert!(is_complete(&roots), "{roots:?}");
}

#[test]
fn a_process_that_ends_meanwhile_is_no_problem_and_a_broken_one_is() {
    let proc = Tree::new();
    proc.process(1);
    fs::create_dir(proc.dir().join("2")).unwrap();
    assert!(is_complete(&read_processes(proc.dir(), &nix_store())));
    fs::create_dir(proc.dir().join("2/environ")).unwrap();
    let roots = read_processes(proc.dir(), &nix_store());
    assert_eq!(roots.problems.len(), 1);
    assert!(!is_complete(&roots));
}

#[test]
fn hidden_processes_and_a_missing_proc_are_said() {
    let proc = Tree::new();
    proc.process(77);
    let roots = read_processes(proc.dir(), &nix_store());
    assert!(roots.others_hidden && !is_complete(&roots));
    let roots = read_processes(&proc.dir().join("absent"), &nix_store());
    assert_eq!(roots.problems.len(), 1);
    assert!(!is_complete(&roots));
}

#[test]
fn trap_21_a_path_in_our_own_environment_is_alive() {
    // Our own process is read as every other; no store path can be put into it here, but its program is there.
    let exe = std::env::current_exe().unwrap();
    let exe = Utf8PathBuf::from_path_buf(fs::canonicalize(exe).unwrap()).unwrap();
    let proc = Tree::new();
    proc.process(1);
    symlink("/proc/self", proc.dir().join("2")).unwrap();
    let link = fs::read_link(proc.dir().join("2/exe")).unwrap();
    assert_eq!(link, exe.as_std_path());
    assert!(is_complete(&read_processes(proc.dir(), &nix_store())));
}

const CHILD: &str = "NIX_PRUNE_TEST_ROOTS";

/// The part of the test below that runs without root's rights.
#[test]
fn child_reads_what_it_is_told() {
    // Only as a child of the test that starts it, as another user.
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (proc, state) = told.split_once(':').unwrap();
    let processes = read_processes(proc.into(), &nix_store());
    let temporary = read_temporary(state.into(), &nix_store());
    for roots in [processes, temporary] {
        let RuntimeRoots {
            denied,
            denied_named,
            problems,
            ..
        } = roots;
        println!("\nSEEN {denied} {denied_named:?} {problems:?}");
    }
}

#[test]
fn trap_20_what_may_not_be_seen_is_counted_and_the_first_named() {
    let proc = Tree::new();
    for pid in [1, 2, 3, 4, 5] {
        proc.process(pid);
    }
    proc.file("5/comm", "a) \u{1b}[2J\n");
    proc.file("3/stat", "3 (kworker/0:0) I 2 0 0 0 -1 69238880 0 0\n");
    proc.file("4/stat", "4 (ended) Z 1 4 4 0 -1 4194560 0 0\n");
    let closed = ["2/environ", "3/fd", "4/maps", "5/fd"].map(|path| proc.dir().join(path));
    for path in &closed {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let state = Tree::new();
    for pid in [10, 11, 12, 13, 14] {
        let file = state.file(&format!("temproots/{pid}"), format!("/nix/store/{A}\0"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let exe = proc.dir().join("suite");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let mut command = crate::support::command(&exe);
    command
        .args(["--exact", "runtime_roots::child_reads_what_it_is_told"])
        .arg("--nocapture")
        .env(CHILD, format!("{}:{}", proc.dir(), state.dir()));
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("SEEN "))
        .collect();
    let [processes, temporary] = seen.as_slice() else {
        panic!("{text}");
    };
    // Directories are read in any order.
    let named = [r#""2", "5 (a) \u{1b}[2J)""#, r#""5 (a) \u{1b}[2J)", "2""#];
    let expected = named.map(|named| format!("2 [{named}] []"));
    assert!(expected.contains(&(*processes).to_string()), "{processes}");
    assert!(temporary.starts_with("5 [\""), "{temporary}");
    assert_eq!(temporary.matches("/temproots/1").count(), 3, "{temporary}");
    for path in &closed {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn lock(file: &Utf8Path, how: FlockArg) -> Flock<fs::File> {
    Flock::lock(fs::File::open(file).unwrap(), how).unwrap()
}

#[rstest]
#[case::of_supported_nix(FlockArg::LockExclusive)]
#[case::of_old_nix(FlockArg::LockShared)]
fn a_temporary_root_lives_while_its_owner_holds_a_lock(#[case] how: FlockArg) {
    let state = Tree::new();
    let alive = state.file("temproots/123", format!("/nix/store/{A}\0/nix/store/{B}\0"));
    state.file("temproots/456", format!("/nix/store/{C}\0"));
    state.file("temproots/.keep", format!("/nix/store/{C}\0"));
    let held = lock(&alive, how);
    let roots = read_temporary(state.dir(), &nix_store());
    assert_eq!(
        places(&roots),
        [format!("{{temp:123}} {A}"), format!("{{temp:123}} {B}")]
    );
    assert!(is_complete(&roots));
    drop(held);
    assert!(names(&read_temporary(state.dir(), &nix_store())).is_empty());
    assert!(alive.exists());
    // Nothing of ours is left on it.
    lock(&alive, FlockArg::LockExclusiveNonblock);
}

#[rstest]
#[case("/nix/store/{A}\0/nix/store/{B}", &[A, B], 0)]
#[case("/nix/store/{A}\0/nix/sto", &[A], 0)]
#[case("d", &[], 0)]
#[case("", &[], 0)]
#[case("/nix/store/{A}\0/gnu/store/{B}\0", &[A], 1)]
#[case("/nix/store/{A}\0\0/nix/store/{B}\0", &[A, B], 1)]
#[case("junk\0", &[], 1)]
fn what_a_temporary_root_file_may_hold(
    #[case] content: &str,
    #[case] expected: &[&str],
    #[case] problems: usize,
) {
    let state = Tree::new();
    let content = content.replace("{A}", A).replace("{B}", B);
    let file = state.file("temproots/9", content);
    let _held = lock(&file, FlockArg::LockExclusive);
    let roots = read_temporary(state.dir(), &nix_store());
    assert_eq!(names(&roots), expected);
    assert_eq!(roots.problems.len(), problems, "{roots:?}");
}

#[test]
fn no_directory_of_temporary_roots_means_none_and_anything_else_is_a_problem() {
    let state = Tree::new();
    assert!(is_complete(&read_temporary(state.dir(), &nix_store())));
    state.file("temproots", "");
    assert_eq!(read_temporary(state.dir(), &nix_store()).problems.len(), 1);
    let state = Tree::new();
    state.link("temproots/7", "/etc/passwd");
    assert_eq!(read_temporary(state.dir(), &nix_store()).problems.len(), 1);
}

/// Ends a child whatever happens to the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A build that goes on until a file is there.
fn waiting_build(nix: &real::RealStore) -> Ended {
    let root = nix.root();
    let expression = format!(
        r#"derivation {{ name = "waits"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c"
          "PATH=/usr/bin:/bin; : > {root}/started; until [ -e {root}/go ]; do sleep 0.02; done; echo > $out" ]; }}"#
    );
    fs::write(root.join("waits.nix"), expression).unwrap();
    let mut command = nix.command("nix-build");
    command
        .args(["--no-out-link", root.join("waits.nix").as_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let child = Ended(command.spawn().unwrap());
    wait_for("the build to start", || root.join("started").exists());
    child
}

/// What `nix-store --gc --print-roots` says, as our places; it unlinks what is stale.
fn printed_roots(nix: &real::RealStore, of: &str) -> BTreeSet<String> {
    let text = nix.run("nix-store", &["--gc", "--print-roots"]);
    let line = |line: &str| {
        let (link, path) = line.rsplit_once(" -> ").unwrap();
        let name = path
            .strip_prefix(nix.store_dir().as_path().as_str())
            .unwrap();
        format!(
            "{} {}",
            link.trim_matches('"'),
            name.trim_start_matches('/')
        )
    };
    text.lines()
        .map(line)
        .filter(|line| line.starts_with(of))
        .collect()
}

fn files(dir: &Utf8Path) -> Vec<(String, u64, u64, i64, i64)> {
    let mut all: Vec<_> = dir
        .read_dir_utf8()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let m = fs::symlink_metadata(entry.path()).unwrap();
            (
                entry.file_name().to_string(),
                m.ino(),
                m.len(),
                m.ctime(),
                m.ctime_nsec(),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn trap_32_the_temporary_roots_of_a_real_build_are_seen_and_it_is_not_disturbed() {
    for bin in real::versions() {
        let nix = real::RealStore::new(&bin);
        let mut build = waiting_build(&nix);
        let dir = nix.state_dir().join("temproots");
        let before = files(&dir);
        assert!(!before.is_empty());
        let ours = read_temporary(&nix.state_dir(), &nix.store_dir());
        assert_eq!(files(&dir), before);
        assert!(is_complete(&ours), "{ours:?}");
        let valid = nix.run("nix-store", &["--dump-db"]);
        let valid: BTreeSet<&str> = valid.lines().collect();
        // Nix lists those only that are valid; the output of the build is not yet.
        let ours: BTreeSet<String> = places(&ours).into_iter().collect();
        assert!(
            ours.iter().any(|place| place.ends_with("-waits")),
            "{ours:?}"
        );
        let is_valid = |place: &&String| {
            let name = place.rsplit_once(' ').unwrap().1;
            valid.contains(format!("{}/{name}", nix.store_dir()).as_str())
        };
        let theirs = printed_roots(&nix, "{temp:");
        let valid_ours: BTreeSet<&String> = ours.iter().filter(is_valid).collect();
        assert!(!valid_ours.is_empty());
        for place in valid_ours {
            assert!(theirs.contains(place), "{place}, {theirs:?}");
        }
        for place in &theirs {
            assert!(ours.contains(place), "{place}, {ours:?}");
        }

        fs::write(nix.root().join("go"), "").unwrap();
        assert!(build.0.wait().unwrap().success());
        let mut path = String::new();
        build
            .0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut path)
            .unwrap();
        assert!(fs::exists(path.trim()).unwrap());
        assert!(names(&read_temporary(&nix.state_dir(), &nix.store_dir())).is_empty());
    }
}

#[test]
fn what_a_killed_nix_left_is_stale_and_stays_there() {
    for bin in real::versions() {
        let nix = real::RealStore::new(&bin);
        let mut build = waiting_build(&nix);
        assert!(!names(&read_temporary(&nix.state_dir(), &nix.store_dir())).is_empty());
        build.0.kill().unwrap();
        build.0.wait().unwrap();
        let dir = nix.state_dir().join("temproots");
        let before = files(&dir);
        assert!(before.iter().any(|file| file.2 > 0), "{before:?}");
        // A builder that dies a moment later may hold the file until then.
        wait_for("the owner's death", || {
            names(&read_temporary(&nix.state_dir(), &nix.store_dir())).is_empty()
        });
        assert_eq!(files(&dir), before);
        fs::write(nix.root().join("go"), "").unwrap();
    }
}

#[test]
fn real_builds_go_on_while_somebody_looks_all_the_time() {
    for bin in real::versions() {
        let nix = real::RealStore::new(&bin);
        let done = AtomicBool::new(false);
        let looks = std::thread::scope(|scope| {
            let looker = scope.spawn(|| {
                let mut looks = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    let roots = read_temporary(&nix.state_dir(), &nix.store_dir());
                    assert!(is_complete(&roots), "{roots:?}");
                    looks += 1;
                }
                looks
            });
            let over = Over(&done);
            for n in 0..15 {
                let file = nix.root().join("file");
                fs::write(&file, n.to_string()).unwrap();
                nix.run("nix-store", &["--add", file.as_str()]);
            }
            let collected = nix.run("nix-store", &["--gc"]);
            assert!(collected.contains("15 store paths deleted"));
            drop(over);
            looker.join().unwrap()
        });
        assert!(looks > 10);
    }
}

#[test]
fn trap_20_real_nix_finds_the_same_in_a_process() {
    for bin in real::versions() {
        let nix = real::RealStore::new(&bin);
        let add = |name: &str, from: &str| {
            let file = nix.root().join(name);
            fs::copy(from, &file).unwrap();
            nix.run("nix-store", &["--add", file.as_str()])
                .trim()
                .to_string()
        };
        let program = add("program", "/bin/sleep");
        let open = add("open", "/etc/passwd");
        let named = add("named", "/etc/group");
        fs::create_dir(nix.root().join("place")).unwrap();
        let place = nix.root().join("place");
        let place = nix.run("nix-store", &["--add", place.as_str()]);
        let child = crate::support::command(&program)
            .arg("1000")
            .env_clear()
            .env("NAMED", format!("x:{named}/bin:{}/gone", nix.store_dir()))
            .env("BELOW", format!("{named}.not-valid"))
            .current_dir(place.trim())
            .stdin(fs::File::open(&open).unwrap())
            .spawn()
            .unwrap();
        let child = Ended(child);
        let of = format!("/proc/{}/", child.0.id());
        // Not before the program is wholly there: its environment is what the kernel sets up last.
        wait_for("the program to start", || {
            let exe = fs::read_link(format!("{of}exe"));
            let environ = fs::read(format!("{of}environ")).unwrap_or_default();
            exe.is_ok_and(|exe| exe.ends_with(&program)) && environ.starts_with(b"BELOW=")
        });
        let ours = read_processes("/proc".into(), &nix.store_dir());
        let ours: BTreeSet<String> = places(&ours)
            .into_iter()
            .filter(|place| place.starts_with(&of) && !place.ends_with(".not-valid"))
            .collect();
        assert_eq!(ours, printed_roots(&nix, &of));
        let from: BTreeSet<&str> = ours
            .iter()
            .filter_map(|place| place.strip_prefix(&of)?.split(' ').next())
            .collect();
        assert_eq!(
            from,
            BTreeSet::from(["cwd", "environ", "exe", "fd/0", "maps"])
        );
    }
}
