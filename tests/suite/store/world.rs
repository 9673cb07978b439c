//! Random stores: rows as Nix writes them, roots of every kind, and files on disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix::fcntl::{Flock, FlockArg};
use nix_prune::adapters::clock::SystemClock;
use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::nix_dirs::NixDirs;
use nix_prune::adapters::progress_counter::ProgressCounter;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::adapters::store::{Care, StoreCache, StoreReader};
use nix_prune::adapters::survey::Observer;
use nix_prune::domain::analysis::StoreAnalysis;
use nix_prune::domain::graph::KeepFlags;
use nix_prune::domain::snapshot::{Actor, Snapshot};
use nix_prune::ports::{Interrupt, ReadStore};
use rusqlite::Connection;

use crate::support::{Nix, by_hand, is_root};

/// Nobody asks to stop.
pub(super) struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

/// A small generator whose numbers follow from its seed alone (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A path of a random store.
struct Made {
    name: String,
    references: Vec<usize>,
    deriver: Option<String>,
    outputs: Vec<String>,
}

/// What a random store may have, each of which must occur in many.
pub(super) const KINDS: [&str; 29] = [
    "a self reference",
    "a valid derivation",
    "a deriver that is valid",
    "a deriver that is not valid",
    "an output without a deriver",
    "an output that is valid",
    "an output that is not valid",
    "several outputs",
    "keep-derivations",
    "no keep-derivations",
    "keep-outputs",
    "no keep-outputs",
    "at most three paths",
    "at least three hundred paths",
    "a direct root",
    "a root below a path",
    "a profile",
    "a regular file for a root",
    "a dangling root",
    "a root followed twice",
    "an indirect root",
    "a target that was never there",
    "a target that is not registered",
    "a living temporary root",
    "a temporary root of a dead owner",
    "a file that is no store path",
    "a directory that is no store path",
    "an unregistered path",
    "a name beside a temporary root",
];

/// A store, and what in it lives as long as this.
pub(super) struct World {
    pub(super) scratch: Scratch,
    pub(super) flags: KeepFlags,
    paths: Vec<Made>,
    unregistered: Vec<String>,
    /// How often there is each of [`KINDS`].
    kinds: RefCell<BTreeMap<&'static str, u32>>,
    /// What the owners of the temporary roots hold as long as they live.
    #[allow(dead_code)]
    locks: Vec<Flock<File>>,
}

fn base_name(dice: &mut Dice, name: &str) -> String {
    let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz";
    let hash = (0..32).map(|_| char::from(alphabet[dice.below(32)]));
    // More than 160 bits do not fit: the first character has one of them.
    let hash: String = std::iter::once('0').chain(hash.skip(1)).collect();
    format!("{hash}-{name}")
}

/// The text of a derivation with these outputs.
fn derivation(store: &Utf8Path, outputs: &[String]) -> String {
    let mut text = String::from("Derive([");
    for (n, output) in outputs.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        write!(
            text,
            "{comma}(\"out{n}\",\"{}\",\"\",\"\")",
            store.join(output)
        )
        .unwrap();
    }
    text + "],[],[],\"none\",\"/bin/sh\",[],[])"
}

impl World {
    /// A store of this Nix that follows from the seed.
    pub(super) fn new(nix: &Nix, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let flags = KeepFlags {
            derivations: dice.one_in(2),
            outputs: dice.one_in(2),
        };
        let conf = scratch.base().join("etc/nix.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let text = format!(
            "{text}keep-derivations = {}\nkeep-outputs = {}\n",
            flags.derivations, flags.outputs
        );
        fs::write(&conf, text).unwrap();
        // Nix itself makes the database.
        by_hand(&scratch, "nix-store", &["--verify"]);
        let mut world = Self {
            scratch,
            flags,
            paths: Vec::new(),
            unregistered: Vec::new(),
            kinds: RefCell::default(),
            locks: Vec::new(),
        };
        world.count(if flags.derivations {
            "keep-derivations"
        } else {
            "no keep-derivations"
        });
        world.count(if flags.outputs {
            "keep-outputs"
        } else {
            "no keep-outputs"
        });
        world.draw_paths(&mut dice);
        world.count_paths();
        world.write_files(&mut dice);
        world.write_rows(&mut dice);
        world.write_roots(&mut dice);
        world
    }

    fn count(&self, kind: &'static str) {
        assert!(KINDS.contains(&kind), "{kind}");
        *self.kinds.borrow_mut().entry(kind).or_default() += 1;
    }

    /// Which of [`KINDS`] there are.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.kinds.borrow().keys().copied().collect()
    }

    fn count_paths(&self) {
        match self.paths.len() {
            0..=3 => self.count("at most three paths"),
            300.. => self.count("at least three hundred paths"),
            _ => {}
        }
        let valid = |name: &String| self.paths.iter().any(|made| made.name == *name);
        for (index, made) in self.paths.iter().enumerate() {
            if made.references.contains(&index) {
                self.count("a self reference");
            }
            match &made.deriver {
                Some(drv) if valid(drv) => self.count("a deriver that is valid"),
                Some(_) => self.count("a deriver that is not valid"),
                None if made.name.contains("-made-") && made.outputs.is_empty() => {
                    self.count("an output without a deriver");
                }
                None => {}
            }
            if made.outputs.is_empty() {
                continue;
            }
            self.count("a valid derivation");
            if made.outputs.len() > 1 {
                self.count("several outputs");
            }
            for output in &made.outputs {
                self.count(if valid(output) {
                    "an output that is valid"
                } else {
                    "an output that is not valid"
                });
            }
        }
    }

    fn draw_paths(&mut self, dice: &mut Dice) {
        let count = match dice.below(10) {
            0 => 1 + dice.below(3),
            1 => 300 + dice.below(100),
            _ => 1 + dice.below(100),
        };
        let most = 1 + dice.below(6);
        while self.paths.len() < count {
            let n = self.paths.len();
            let references = |dice: &mut Dice, this: usize, n: usize| {
                let few = if n > 0 { dice.below(most + 1) } else { 0 };
                let mut all: Vec<usize> = (0..few).map(|_| dice.below(n)).collect();
                if dice.one_in(5) {
                    all.push(this);
                }
                all.sort_unstable();
                all.dedup();
                all
            };
            if !dice.one_in(3) {
                let made = Made {
                    name: base_name(dice, &format!("source-{n}")),
                    references: references(dice, n, n),
                    deriver: None,
                    outputs: Vec::new(),
                };
                self.paths.push(made);
                continue;
            }
            // A derivation, valid or not, with outputs, valid or not; what refers to what comes before it, so that
            // references alone make no cycle.
            let drv = base_name(dice, &format!("made-{n}.drv"));
            let outputs: Vec<String> = (0..=dice.below(3))
                .map(|o| base_name(dice, &format!("made-{n}-{o}")))
                .collect();
            let valid_drv = !dice.one_in(4);
            if valid_drv {
                let mut references = references(dice, n, n);
                references.retain(|&reference| reference != n);
                self.paths.push(Made {
                    name: drv.clone(),
                    references,
                    deriver: None,
                    outputs: outputs.clone(),
                });
            }
            for output in outputs {
                if dice.one_in(4) {
                    continue;
                }
                let this = self.paths.len();
                let made = Made {
                    name: output,
                    // At times an output refers to its derivation too.
                    references: references(dice, this, this),
                    deriver: (!dice.one_in(5)).then(|| drv.clone()),
                    outputs: Vec::new(),
                };
                self.paths.push(made);
            }
        }
    }

    fn write_files(&mut self, dice: &mut Dice) {
        let store = self.scratch.store().as_path().to_path_buf();
        let mut twins: Vec<Utf8PathBuf> = Vec::new();
        for made in &self.paths {
            let path = store.join(&made.name);
            if !made.outputs.is_empty() {
                fs::write(&path, derivation(&store, &made.outputs)).unwrap();
                continue;
            }
            match dice.below(6) {
                0 => fs::write(&path, vec![7; dice.below(40_000)]).unwrap(),
                1 => symlink("/nowhere", &path).unwrap(),
                _ => {
                    fs::create_dir(&path).unwrap();
                    for n in 0..dice.below(4) {
                        let file = path.join(format!("file-{n}"));
                        if let Some(twin) = twins.get(dice.below(8)) {
                            // As after an optimisation, or inside one path.
                            fs::hard_link(twin, &file).unwrap();
                        } else {
                            let text = vec![n.try_into().unwrap(); dice.below(20_000)];
                            fs::write(&file, text).unwrap();
                        }
                        if dice.one_in(3) {
                            twins.push(file);
                        }
                    }
                }
            }
        }
        for n in 0..dice.below(4) {
            let (name, kind) = match dice.below(5) {
                0 => (format!("junk-{n}"), "a file that is no store path"),
                1 => (format!("junk-{n}.d"), "a directory that is no store path"),
                2 => (
                    format!("{}.lock", base_name(dice, "built")),
                    "an unregistered path",
                ),
                _ => (base_name(dice, "unregistered"), "an unregistered path"),
            };
            self.count(kind);
            if kind.contains("directory") {
                fs::create_dir(store.join(&name)).unwrap();
                symlink("/nowhere", store.join(&name).join("link")).unwrap();
            } else {
                fs::write(store.join(&name), "x").unwrap();
            }
            self.unregistered.push(name);
        }
    }

    fn write_rows(&self, dice: &mut Dice) {
        let db = self.scratch.state_dir().join("db/db.sqlite");
        let mut connection = Connection::open(db).unwrap();
        let transaction = connection.transaction().unwrap();
        let store = self.scratch.store().as_path();
        let hash = format!("sha256:{}", "0".repeat(64));
        for (id, made) in (1i64..).zip(&self.paths) {
            transaction
                .execute(
                    "insert into ValidPaths (id, path, hash, registrationTime, deriver, narSize) values (?,?,?,?,?,?)",
                    (
                        id,
                        store.join(&made.name).as_str(),
                        &hash,
                        i64::try_from(dice.below(1 << 30)).unwrap(),
                        made.deriver.as_ref().map(|drv| store.join(drv).into_string()),
                        i64::try_from(1 + dice.below(1 << 20)).unwrap(),
                    ),
                )
                .unwrap();
        }
        for (id, made) in (1i64..).zip(&self.paths) {
            for reference in &made.references {
                let reference = i64::try_from(*reference).unwrap() + 1;
                transaction
                    .execute("insert into Refs values (?,?)", (id, reference))
                    .unwrap();
            }
            for (n, output) in made.outputs.iter().enumerate() {
                let output = store.join(output).into_string();
                transaction
                    .execute(
                        "insert into DerivationOutputs (drv, id, path) values (?,?,?)",
                        (id, format!("out{n}"), output),
                    )
                    .unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    /// A path to be a root's target: mostly a valid one.
    fn target(&self, dice: &mut Dice) -> String {
        // A name of another shape makes Nix give up where a temporary root has it.
        let unregistered: Vec<&String> =
            self.unregistered.iter().filter(|s| s.len() > 33).collect();
        match (dice.below(8), unregistered.as_slice()) {
            (0, _) => {
                self.count("a target that was never there");
                base_name(dice, "never-there")
            }
            (1, &[name, ..]) => {
                self.count("a target that is not registered");
                name.clone()
            }
            _ => self.paths[dice.below(self.paths.len())].name.clone(),
        }
    }

    fn write_roots(&mut self, dice: &mut Dice) {
        let state = self.scratch.state_dir();
        let store = self.scratch.store().as_path().to_path_buf();
        let (auto, direct) = (state.join("gcroots/auto"), state.join("gcroots/some/deep"));
        let (home, profiles) = (self.scratch.home(), state.join("profiles/per-user/me"));
        for dir in [&auto, &direct, &profiles] {
            fs::create_dir_all(dir).unwrap();
        }
        let file = |path: &Utf8Path| fs::write(path, "").unwrap();
        // An empty home would count as one that is away.
        file(&home.join("something"));
        for n in 0..dice.below(self.paths.len() / 4 + 4) {
            let name = self.target(dice);
            let target = store.join(&name);
            let below = target.join("bin/deep");
            let kind = dice.below(8);
            self.count(match kind {
                0 => "a direct root",
                1 => "a root below a path",
                2 => "a profile",
                3 => "a regular file for a root",
                4 => "a dangling root",
                5 => "a root followed twice",
                _ => "an indirect root",
            });
            match kind {
                0 => symlink(&target, direct.join(format!("direct-{n}"))).unwrap(),
                1 => symlink(below, direct.join(format!("below-{n}"))).unwrap(),
                2 => {
                    let link = format!("profile-{n}-link");
                    symlink(&target, profiles.join(&link)).unwrap();
                    let _ = fs::remove_file(profiles.join("profile"));
                    symlink(&link, profiles.join("profile")).unwrap();
                }
                3 => file(&direct.join(&name)),
                4 => symlink(
                    home.join(format!("gone-{n}")),
                    auto.join(format!("gone-{n}")),
                )
                .unwrap(),
                5 => {
                    // Followed once and not twice: this keeps nothing.
                    let (first, second) =
                        (home.join(format!("a-{n}")), home.join(format!("b-{n}")));
                    symlink(&target, &second).unwrap();
                    symlink(&second, &first).unwrap();
                    symlink(&first, auto.join(format!("twice-{n}"))).unwrap();
                }
                _ => {
                    let link = home.join(format!("result-{n}"));
                    symlink(&target, &link).unwrap();
                    symlink(&link, auto.join(format!("auto-{n}"))).unwrap();
                }
            }
        }
        self.write_temporary(dice, &state, &store);
    }

    /// Temporary roots whose owners live, by a lock that we hold, and some whose owners are gone.
    fn write_temporary(&mut self, dice: &mut Dice, state: &Utf8Path, store: &Utf8Path) {
        let dir = state.join("temproots");
        fs::create_dir_all(&dir).unwrap();
        for pid in 0..dice.below(3) {
            let path = dir.join((4_000_000 + pid).to_string());
            let mut file = File::create(&path).unwrap();
            let kept: Vec<String> = (0..dice.below(4)).map(|_| self.target(dice)).collect();
            for name in &kept {
                write!(file, "{}\0", store.join(name)).unwrap();
            }
            drop(file);
            let lives = !dice.one_in(3);
            if !kept.is_empty() {
                self.count(if lives {
                    "a living temporary root"
                } else {
                    "a temporary root of a dead owner"
                });
            }
            if let (Some(name), true) = (kept.first(), dice.one_in(3)) {
                // What a build has beside its output: spared with it, for it has the same hash.
                fs::write(store.join(format!("{name}.lock")), "").unwrap();
                self.count("a name beside a temporary root");
            }
            if lives {
                let file = File::options().read(true).write(true).open(&path).unwrap();
                self.locks
                    .push(Flock::lock(file, FlockArg::LockExclusive).unwrap());
            }
        }
    }

    /// What our own look says.
    pub(super) fn observe(&self) -> (Snapshot, StoreAnalysis) {
        observe(&self.scratch)
    }
}

/// What our own look says of a scratch store.
pub(super) fn observe(scratch: &Scratch) -> (Snapshot, StoreAnalysis) {
    // What came just now is not told for unregistered: it may have its row in a moment.
    std::thread::sleep(Duration::from_millis(25));
    let places: NixDirs = scratch.places();
    let nix = scratch.nix().unwrap();
    let journal = Journal::at(scratch.base().join("state"));
    let actor = if is_root() {
        Actor::Root
    } else {
        Actor::User(nix::unistd::geteuid().as_raw())
    };
    let observer = Observer {
        places: &places,
        actor,
        zone: TimeZone::UTC,
        extra_profiles: Vec::new(),
        boot_menu: false,
        all_of_nix: false,
        flakes: Vec::new(),
        uses_of_links: false,
        previous_runs: &journal,
        clock: &SystemClock,
    };
    let reader = StoreReader {
        places: &places,
        proc: Utf8Path::new("/proc"),
        nix: Some(&nix),
        care: Care::Thorough,
        previous_runs: &journal,
        in_run: false,
        cache: &StoreCache::default(),
        interrupt: &Never,
        counter: &ProgressCounter::default(),
    };
    let look = reader.observe(&observer).unwrap();
    (look.snapshot, look.store.unwrap())
}
