//! A store without any Nix, in which a direct collection runs.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use camino::Utf8PathBuf;
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, params};

use super::{Direct, Setup};
use crate::adapters::nix_dirs::NixDirs;
use crate::domain::graph::KeepFlags;
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};
use crate::ports::{Interrupt, PerformError};

/// What Nix makes, as far as it matters.
const SCHEMA: &str = "
    pragma journal_mode = wal;
    create table ValidPaths (
        id integer primary key autoincrement not null, path text unique not null, hash text not null,
        registrationTime integer not null, deriver text, narSize integer, ultimate integer, sigs text, ca text);
    create table Refs (
        referrer integer not null, reference integer not null, primary key (referrer, reference),
        foreign key (referrer) references ValidPaths(id) on delete cascade,
        foreign key (reference) references ValidPaths(id) on delete restrict);
    create trigger DeleteSelfRefs before delete on ValidPaths begin
        delete from Refs where referrer = old.id and reference = old.id; end;
    create table DerivationOutputs (
        drv integer not null, id text not null, path text not null, primary key (drv, id),
        foreign key (drv) references ValidPaths(id) on delete cascade);";

/// Answers late, as long as it is shut.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) is_shut: AtomicBool,
    pub(super) stops: AtomicBool,
}

impl Interrupt for Gate {
    fn requested(&self) -> bool {
        while self.is_shut.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        self.stops.load(Ordering::SeqCst)
    }
}

pub(super) struct World {
    _dir: tempfile::TempDir,
    pub(super) places: NixDirs,
    pub(super) gate: Arc<Gate>,
}

impl World {
    pub(super) fn new() -> Self {
        let (dir, base) = crate::support::scratch();
        let base = base.canonicalize_utf8().unwrap();
        let places = NixDirs {
            store: StoreDir::new(&base.join("store")).unwrap(),
            state_dir: base.join("state"),
            ..NixDirs::from_env().unwrap()
        };
        for dir in ["store", "state/db", "state/gcroots", "state/temproots"] {
            std::fs::create_dir_all(base.join(dir)).unwrap();
        }
        let world = Self {
            _dir: dir,
            places,
            gate: Arc::default(),
        };
        world.database().execute_batch(SCHEMA).unwrap();
        world
    }

    pub(super) fn database(&self) -> Connection {
        Connection::open(self.places.state_dir.join("db/db.sqlite")).unwrap()
    }

    pub(super) fn path(n: usize) -> StorePath<String> {
        let name = format!("{n:032}-p{n}");
        StorePathRef::from_base_name(&name).unwrap().to_owned()
    }

    pub(super) fn file(&self, n: usize) -> Utf8PathBuf {
        Self::path(n).to_absolute_path(&self.places.store)
    }

    /// Registers a path that refers to others, and writes it.
    pub(super) fn add(&self, n: usize, references: &[usize]) {
        std::fs::write(self.file(n), vec![1; 10_000]).unwrap();
        let database = self.database();
        let insert = "insert into ValidPaths (path, hash, registrationTime) values (?, '', 0)";
        let path = self.file(n).into_string();
        database.execute(insert, [path]).unwrap();
        let id = "(select id from ValidPaths where path = ?)";
        let refer = format!("insert into Refs (referrer, reference) values ({id}, {id})");
        for &reference in references {
            let (from, to) = (self.file(n).into_string(), self.file(reference));
            database.execute(&refer, [from, to.into_string()]).unwrap();
        }
    }

    /// Says that a derivation has an output, and of which derivation the output is.
    pub(super) fn put_out(&self, drv: usize, output: usize, deriver: usize) {
        let database = self.database();
        let output = self.file(output).into_string();
        let put = "insert into DerivationOutputs (drv, id, path)
            select id, 'out', ? from ValidPaths where path = ?";
        let drv = self.file(drv).into_string();
        database.execute(put, params![output, drv]).unwrap();
        let derive = "update ValidPaths set deriver = ? where path = ?";
        let deriver = self.file(deriver).into_string();
        database.execute(derive, params![deriver, output]).unwrap();
    }

    pub(super) fn is_valid(&self, n: usize) -> bool {
        let count = "select count(*) from ValidPaths where path = ?";
        let path = self.file(n).into_string();
        let count = self.database().query_row(count, [path], |row| row.get(0));
        count == Ok(1)
    }

    pub(super) fn lock(&self, name: &str, arg: FlockArg) -> Flock<File> {
        let file = File::create(self.places.state_dir.join(name)).unwrap();
        Flock::lock(file, arg).unwrap()
    }

    /// A temporary root, as long as it is there.
    pub(super) fn temporary(&self, n: usize) -> Flock<File> {
        let file = self.places.state_dir.join("temproots/1");
        std::fs::write(&file, format!("{}\0", self.file(n))).unwrap();
        let file = File::open(file).unwrap();
        Flock::lock(file, FlockArg::LockExclusive).unwrap()
    }

    pub(super) fn root(&self, link: &str, n: usize) -> Utf8PathBuf {
        let link = self.places.state_dir.join("gcroots").join(link);
        symlink(self.file(n), &link).unwrap();
        link
    }

    pub(super) fn begin(&self) -> Result<Direct<'_>, PerformError> {
        Direct::begin(Setup {
            places: &self.places,
            flags: KeepFlags::NIX_DEFAULT,
            interrupt: Arc::clone(&self.gate) as _,
            counter: Arc::default(),
            most: Duration::from_secs(60),
            dead_for_nix: None,
        })
    }
}
