//! Threads that remove files, and mounts in the store directory.

use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use camino::Utf8PathBuf;
use rstest::rstest;

use super::*;
use crate::adapters::files::open_directory;
use crate::ports::Interrupt;

const A: &str = "00000000000000000000000000000000-a";
const B: &str = "11111111111111111111111111111111-b";
const C: &str = "22222222222222222222222222222222-c";

/// Nobody asks to stop, but the answer comes late.
#[derive(Default)]
struct Gate {
    was_asked: AtomicBool,
    is_open: AtomicBool,
    stops: AtomicBool,
}

impl Interrupt for Gate {
    fn requested(&self) -> bool {
        self.was_asked.store(true, Ordering::SeqCst);
        until(&self.is_open);
        self.stops.load(Ordering::SeqCst)
    }
}

fn until(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(1));
    }
}

struct World {
    _dir: tempfile::TempDir,
    path: Utf8PathBuf,
    gate: Arc<Gate>,
    claims: Arc<Claims>,
    counter: Arc<ProgressCounter>,
    _woken: UnixStream,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (wake, woken) = UnixStream::pair().unwrap();
        Self {
            path: Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap(),
            _dir: dir,
            gate: Arc::default(),
            claims: Arc::new(Claims::new(wake)),
            counter: Arc::default(),
            _woken: woken,
        }
    }

    fn files(&self) -> StoreFiles {
        let dir = open_directory(&self.path).unwrap();
        StoreFiles::new(dir, Arc::clone(&self.gate) as _).unwrap()
    }

    /// Without any thread.
    fn shared(&self) -> Shared {
        Shared {
            files: self.files(),
            claims: Arc::clone(&self.claims),
            counter: Arc::clone(&self.counter),
            queue: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    fn remover(&self) -> Remover {
        let (claims, counter) = (Arc::clone(&self.claims), Arc::clone(&self.counter));
        Remover::start(self.files(), claims, counter).unwrap()
    }
}

#[rstest]
#[case::removed(false)]
#[case::stopped(true)]
fn a_claim_lasts_until_it_is_known_what_becomes_of_the_files(#[case] stops: bool) {
    let world = World::new();
    world.gate.stops.store(stops, Ordering::SeqCst);
    let file = world.path.join(A);
    std::fs::write(&file, "text").unwrap();
    let hash = hash_of(A).unwrap();
    assert!(world.claims.claim(&[A]));
    let remover = world.remover();
    remover.remove([A.to_string()].into_iter());
    until(&world.gate.was_asked);
    let (is_free, is_there) = (world.claims.is_free(&hash), file.exists());
    world.gate.is_open.store(true, Ordering::SeqCst);
    assert!(!is_free && is_there);
    let removed = remover.settle();
    assert!(world.claims.is_free(&hash));
    assert_eq!(file.exists(), stops);
    assert_eq!(removed.unfinished, u64::from(stops));
    assert_eq!(removed.left, Vec::<String>::new());
    let counted = world.counter.deleted.load(Ordering::Relaxed);
    assert_eq!(counted, u64::from(!stops));
    // What was said is not said again.
    assert_eq!(remover.settle().unfinished, 0);
}

/// Every name that has the hash.
#[test]
fn what_a_build_waits_for_is_removed_first() {
    let world = World::new();
    let lock = format!("{C}.lock");
    let names = [A, B, C, &lock];
    assert!(world.claims.claim(&names));
    let shared = world.shared();
    for name in names {
        let hash = hash_of(name).unwrap();
        let mut queue = shared.queue();
        queue.order.push_back(hash);
        queue
            .waiting
            .entry(hash)
            .or_default()
            .push(name.to_string());
    }
    shared.queue().is_closed = true;
    assert!(!world.claims.need(hash_of(C).unwrap()));
    let order: Vec<String> = std::iter::from_fn(|| shared.next()).collect();
    assert_eq!(order, [&lock, C, A, B]);
}

#[test]
fn a_request_to_stop_ends_the_look_at_unused_links() {
    let world = World::new();
    world.gate.is_open.store(true, Ordering::SeqCst);
    let links = world.path.join(".links");
    std::fs::create_dir(&links).unwrap();
    for n in 0..2 * NAMES_AT_ONCE {
        std::fs::write(links.join(n.to_string()), "").unwrap();
    }
    world.gate.stops.store(true, Ordering::SeqCst);
    let error = remove_unused_links(&world.files()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    world.gate.stops.store(false, Ordering::SeqCst);
    remove_unused_links(&world.files()).unwrap();
    assert_eq!(links.read_dir().unwrap().count(), 0);
}

#[test]
fn mounts_are_found_whatever_their_names_and_whatever_leads_to_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let base = Utf8Path::from_path(dir.path()).unwrap();
    let base = base.canonicalize_utf8().unwrap();
    let (store, link) = (base.join("a store"), base.join("link"));
    std::fs::create_dir(&store).unwrap();
    std::os::unix::fs::symlink(&store, &link).unwrap();
    let mounts = base.join("mountinfo");
    let escaped = store.as_str().replace(' ', "\\040");
    let mount = |place: &str| format!("36 35 0:42 / {place} rw - ext4 /dev/b rw\n");
    let text = [
        mount("/"),
        mount(&escaped),
        mount(&format!("{escaped}/plain/deep")),
        mount(&format!("{escaped}/with\\040blank")),
        mount(&format!("{escaped}/back\\134slash")),
        mount(&format!("{escaped}er/other")),
    ];
    std::fs::write(&mounts, text.concat()).unwrap();
    for path in [&store, &link] {
        let found = mounted_below(&mounts, path).unwrap();
        assert_eq!(found, ["plain", "with blank", "back\\slash"], "{path}");
    }
    assert!(mounted_below(&base.join("none"), &store).is_err());
}

#[test]
fn what_builds_wait_for_comes_first_before_it_is_handed_over_as_well() {
    let world = World::new();
    let names = [A, B, C];
    assert!(world.claims.claim(&names));
    let remover = Remover {
        shared: Arc::new(world.shared()),
        threads: Vec::new(),
    };
    remover.shared.queue().is_closed = true;
    assert!(!world.claims.need(hash_of(B).unwrap()));
    // A thread that looks for work hears of it.
    assert_eq!(remover.shared.next(), None);
    remover.remove(names.map(str::to_string).into_iter());
    let order: Vec<String> = std::iter::from_fn(|| remover.shared.next()).collect();
    assert_eq!(order, [B, A, C]);
}

#[test]
fn no_file_goes_after_the_end() {
    let world = World::new();
    let file = world.path.join(A);
    std::fs::write(&file, "text").unwrap();
    assert!(world.claims.claim(&[A]));
    let remover = world.remover();
    remover.remove([A.to_string()].into_iter());
    until(&world.gate.was_asked);
    thread::scope(|scope| {
        let dropped = scope.spawn(move || drop(remover));
        thread::sleep(Duration::from_millis(100));
        let has_ended = dropped.is_finished();
        world.gate.is_open.store(true, Ordering::SeqCst);
        dropped.join().unwrap();
        assert!(!has_ended && !file.exists());
    });
}

#[test]
fn what_was_freed_is_told_once_and_what_is_left_is_named_and_free() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    world.gate.is_open.store(true, Ordering::SeqCst);
    let files = [A, B].map(|name| world.path.join(name));
    for file in &files {
        std::fs::write(file, vec![1; 100_000]).unwrap();
    }
    std::fs::hard_link(&files[1], world.path.join("other")).unwrap();
    let bytes = files[0].metadata().unwrap().blocks() * 512;
    std::fs::create_dir_all(world.path.join(C).join("d/".repeat(512))).unwrap();
    assert!(world.claims.claim(&[A, B, C]));
    let remover = world.remover();
    remover.remove([B, A, C].map(str::to_string).into_iter());
    let told = remover.settle();
    let is_linked = true;
    assert_eq!(told.freed, Freed { bytes, is_linked });
    assert_eq!(told.unfinished, 1);
    assert_eq!(told.left, [format!("{C}: it is nested too deeply")]);
    assert!(world.claims.is_free(&hash_of(C).unwrap()));
    let counter = &world.counter;
    assert_eq!(counter.deleted.load(Ordering::Relaxed), 2);
    assert_eq!(counter.freed.load(Ordering::Relaxed), bytes);
    let told = remover.settle();
    assert_eq!((told.freed, told.left.len()), (Freed::default(), 0));
}

#[test]
fn links_that_are_used_stay_and_the_rest_frees_its_space() {
    use std::os::unix::fs::MetadataExt;
    let world = World::new();
    world.gate.is_open.store(true, Ordering::SeqCst);
    // There may be none at all.
    assert_eq!(remove_unused_links(&world.files()).unwrap(), 0);
    let links = world.path.join(".links");
    std::fs::create_dir(&links).unwrap();
    for name in ["unused", "used"] {
        std::fs::write(links.join(name), vec![1; 100_000]).unwrap();
    }
    std::fs::hard_link(links.join("used"), world.path.join(A)).unwrap();
    let bytes = links.join("unused").metadata().unwrap().blocks() * 512;
    assert_eq!(remove_unused_links(&world.files()).unwrap(), bytes);
    assert!(links.join("used").exists() && !links.join("unused").exists());
}
