//! Stores of any shape, made without building: rows in Nix's database, and a file for each.

// The lints spare what has the attribute of a test, and not what tests call.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::collections::BTreeSet;
use std::fs;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::graph::KeepFlags;
use nix_prune::domain::store_path::StorePath;
use rusqlite::{Connection, params};

use crate::support::{Nix, by_hand};

/// A valid path.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) name: String,
    references: Vec<String>,
    deriver: Option<String>,
    outputs: Vec<String>,
    registered: i64,
}

impl Row {
    pub(super) fn new(name: &str, references: &[&str]) -> Self {
        Self {
            name: name.to_string(),
            references: references.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    pub(super) fn derivation(name: &str, outputs: &[&str]) -> Self {
        Self {
            outputs: outputs.iter().map(ToString::to_string).collect(),
            ..Self::new(name, &[])
        }
    }

    pub(super) fn derived_from(mut self, deriver: &str) -> Self {
        self.deriver = Some(deriver.to_string());
        self
    }

    pub(super) fn that_needs(mut self, reference: &str) -> Self {
        self.references.push(reference.to_string());
        self
    }

    pub(super) fn registered(mut self, at: i64) -> Self {
        self.registered = at;
        self
    }
}

/// A store with a real Nix.
pub(super) struct Store {
    pub(super) scratch: Scratch,
}

impl Store {
    pub(super) fn new(nix: &Nix, flags: KeepFlags) -> Self {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let conf = scratch.base().join("etc/nix.conf");
        let text = fs::read_to_string(&conf).unwrap();
        let keep = format!(
            "{text}keep-derivations = {}\nkeep-outputs = {}\n",
            flags.derivations, flags.outputs
        );
        fs::write(conf, keep).unwrap();
        by_hand(&scratch, "nix-store", &["--init"]);
        Self { scratch }
    }

    pub(super) fn path(&self, name: &str) -> StorePath<String> {
        self.scratch.path_named(name).unwrap()
    }

    pub(super) fn absolute(&self, name: &str) -> Utf8PathBuf {
        self.path(name).to_absolute_path(self.scratch.store())
    }

    pub(super) fn fill(&self, rows: &[Row]) {
        let database = self.scratch.state_dir().join("db/db.sqlite");
        let mut connection = Connection::open(database).unwrap();
        let all = connection.transaction().unwrap();
        let insert = "insert into ValidPaths (path, hash, registrationTime, deriver, narSize) values (?, ?, ?, ?, 8)";
        let id = "(select id from ValidPaths where path = ?)";
        let refer = format!("insert into Refs (referrer, reference) values ({id}, {id})");
        let put_out = format!("insert into DerivationOutputs (drv, id, path) values ({id}, ?, ?)");
        let mut insert = all.prepare(insert).unwrap();
        let mut refer = all.prepare(&refer).unwrap();
        let mut put_out = all.prepare(&put_out).unwrap();
        for row in rows {
            let path = self.absolute(&row.name);
            fs::write(&path, &row.name).unwrap();
            let deriver = row.deriver.as_ref().map(|name| self.absolute(name));
            let deriver = deriver.map(Utf8PathBuf::into_string);
            let hash = format!("sha256:{:064}", 0);
            insert
                .execute(params![path.as_str(), hash, row.registered, deriver])
                .unwrap();
        }
        for row in rows {
            let path = self.absolute(&row.name);
            for reference in &row.references {
                let reference = self.absolute(reference);
                refer.execute([path.as_str(), reference.as_str()]).unwrap();
            }
            for (number, output) in row.outputs.iter().enumerate() {
                let (number, output) = (number.to_string(), self.absolute(output));
                put_out
                    .execute([path.as_str(), &number, output.as_str()])
                    .unwrap();
            }
        }
        drop((insert, refer, put_out));
        all.commit().unwrap();
    }

    /// Puts a file into the store directory that Nix knows nothing of.
    pub(super) fn unregistered(&self, name: &str) {
        fs::write(self.absolute(name), name).unwrap();
    }

    pub(super) fn root(&self, name: &str) {
        let link = self.scratch.state_dir().join("gcroots").join(name);
        std::os::unix::fs::symlink(self.absolute(name), link).unwrap();
    }

    /// What is in the store directory.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let entries = self.scratch.store().as_path().read_dir_utf8().unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string());
        names.filter(|name| name != ".links").collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().contains(&self.path(name).to_string())
    }

    /// What is valid, by base name.
    pub(super) fn valid(&self) -> BTreeSet<String> {
        let dump = by_hand(&self.scratch, "nix-store", &["--dump-db"]).stdout;
        let store = format!("{}/", self.scratch.store().as_path());
        let mut lines = dump.lines();
        let mut valid = BTreeSet::new();
        // Path, hash, size, deriver, number of references, references.
        while let Some(path) = lines.next() {
            valid.insert(path.strip_prefix(&store).unwrap().to_string());
            let references: usize = lines.nth(3).unwrap().parse().unwrap();
            lines.by_ref().take(references).for_each(drop);
        }
        valid
    }

    /// Nix finds nothing wrong.
    pub(super) fn assert_sound(&self) {
        let verified = by_hand(&self.scratch, "nix-store", &["--verify"]);
        for word in ["error", "disappeared", "corrupt", "missing"] {
            assert!(!verified.stderr.contains(word), "{}", verified.stderr);
        }
    }

    /// Nix finds nothing wrong, and nothing more to collect.
    pub(super) fn assert_clean(&self) {
        self.assert_sound();
        let before = self.names();
        by_hand(&self.scratch, "nix-collect-garbage", &[]);
        let more: Vec<_> = before.difference(&self.names()).cloned().collect();
        assert!(more.is_empty(), "Nix collects more: {more:?}");
    }
}

/// Numbers that look random, the same for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end.max(1)
    }

    fn some(&mut self, of: &[String], most: usize) -> Vec<String> {
        let count = self.below(most + 1).min(of.len());
        let picked: BTreeSet<_> = (0..count).map(|_| self.below(of.len())).collect();
        picked.into_iter().map(|at| of[at].clone()).collect()
    }
}

/// A store as Nix makes them: sources, derivations with outputs that list them, references to what is older; with
/// references to itself, derivers that are gone and outputs that were never built.
pub(super) fn any_store(dice: &mut Dice) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut built, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..=dice.below(25) {
        if dice.below(4) == 0 {
            let source = Row::new(&format!("source-{n}"), &[]);
            described.push(source.name.clone());
            built.push(source.name.clone());
            rows.push(source);
            continue;
        }
        let drv = format!("p-{n}.drv");
        let names: Vec<_> = (0..=dice.below(3)).map(|k| format!("p-{n}-{k}")).collect();
        for name in &names {
            if dice.below(6) == 0 {
                continue;
            }
            let mut row = Row::new(name, &[]);
            row.references = dice.some(&built, 4);
            if dice.below(3) == 0 {
                row.references.push(name.clone());
            }
            row.deriver = (dice.below(8) > 0).then(|| drv.clone());
            built.push(name.clone());
            rows.push(row);
        }
        if dice.below(4) > 0 {
            let mut row = Row::new(&drv, &[]);
            row.references = dice.some(&described, 3);
            row.outputs = names;
            described.push(drv);
            rows.push(row);
        }
    }
    let names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
    let roots = dice.some(&names, 4);
    // The database gives them in any order.
    for at in (1..rows.len()).rev() {
        rows.swap(at, dice.below(at + 1));
    }
    (rows, roots)
}
