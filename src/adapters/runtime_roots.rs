//! Roots of processes: temporary roots, and paths in use by running processes.
//!
//! Read them after the database: a path that becomes valid in between is then unknown, and for every known path the roots were read
//! last.

mod processes;
mod temporary;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::root::{Dangling, GcRoot, RootKind, RootState};
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};
use crate::ports::RunningRoots;

pub use processes::read_processes;
pub use temporary::{read_temporary, remove_stale};

/// How many places are named for one store path.
const PLACES: usize = 8;

/// How many of what may not be looked into are named.
const DENIED: usize = 3;

/// How many problems are named.
const PROBLEMS: usize = 8;

/// How much of one file is read: many times what Nix or the kernel puts into one.
const LIMIT: u64 = 64 << 20;

/// The places that keep one store path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The first few, named as Nix does: `/proc/12/exe`, `{temp:12}`.
    pub named: Vec<String>,
    /// How many there are beyond these.
    pub more: u64,
}

/// What was found, and how much of it could not be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuntimeRoots {
    /// The store paths, valid or not. A temporary root keeps every name in the store directory that has its hash.
    pub paths: BTreeMap<StorePath<String>, Places>,
    /// How many processes, or files of temporary roots, may not be looked into.
    pub denied: u64,
    /// The first of these: the number and the name of a process, or a file.
    pub denied_named: Vec<String>,
    /// Whether the processes of other users are not even shown, so that they are not counted in `denied`.
    pub others_hidden: bool,
    /// What could not be read for another reason, or not to its end.
    pub problems: Vec<String>,
    /// How many problems there are beyond these.
    pub more_problems: u64,
}

/// Reads the roots that live and die with processes.
pub fn running(state_dir: &Utf8Path, proc: &Utf8Path, store: &StoreDir) -> RunningRoots {
    let temporary = read_temporary(state_dir, store);
    let processes = read_processes(proc, store);
    let is_there = |root: &GcRoot| {
        let target = root.target.as_ref().map(fs::symlink_metadata);
        !matches!(target, Some(Err(error)) if error.kind() == io::ErrorKind::NotFound)
    };
    let mut roots = temporary.to_gc_roots(RootKind::Temporary, store);
    for root in roots.iter_mut().filter(|root| !is_there(root)) {
        // It is going to be built.
        root.state = RootState::Dangling(Dangling::PathGone);
    }
    // An environment may name any path; one that is not there keeps nothing.
    let of_processes = processes.to_gc_roots(RootKind::Process, store);
    roots.extend(of_processes.into_iter().filter(is_there));
    let mut hidden = temporary.hidden("file of temporary roots", "files of temporary roots");
    hidden.extend(processes.hidden("process", "processes"));
    RunningRoots { roots, hidden }
}

impl RuntimeRoots {
    /// What was not seen.
    fn hidden(self, one: &str, many: &str) -> Vec<String> {
        let mut hidden = Vec::new();
        let names = self.denied_named.join(", ");
        let more = usize::try_from(self.denied).map_or(usize::MAX, |all| {
            all.saturating_sub(self.denied_named.len())
        });
        match (self.denied, more) {
            (0, _) => {}
            (1, _) => hidden.push(format!("1 {one} is not readable: {names}")),
            (n, 0) => hidden.push(format!("{n} {many} are not readable: {names}")),
            (n, more) => hidden.push(format!(
                "{n} {many} are not readable: {names} and {more} more"
            )),
        }
        if self.others_hidden {
            hidden.push("the processes of other users are hidden".to_string());
        }
        hidden.extend(self.problems);
        if self.more_problems > 0 {
            hidden.push(format!("{} more problems with {many}", self.more_problems));
        }
        hidden
    }

    /// The same as roots of `kind`, one a store path.
    fn to_gc_roots(&self, kind: RootKind, store: &StoreDir) -> Vec<GcRoot> {
        let root = |(path, places): (&StorePath<String>, &Places)| GcRoot {
            link: Utf8PathBuf::from(places.named.first().cloned().unwrap_or_default()),
            entry: None,
            exact: true,
            target: Some(path.to_absolute_path(store)),
            store_path: Some(path.clone()),
            kind,
            owner: None,
            state: RootState::Live,
            made_at: None,
        };
        self.paths.iter().map(root).collect()
    }

    fn add(&mut self, path: StorePathRef<'_>, place: &str) {
        let places = self.paths.entry(path.to_owned()).or_default();
        if places.named.iter().any(|known| known == place) {
            return;
        }
        if places.named.len() < PLACES {
            places.named.push(place.to_string());
        } else {
            places.more += 1;
        }
    }

    fn deny(&mut self, name: String) {
        self.denied += 1;
        if self.denied_named.len() < DENIED {
            self.denied_named.push(name);
        }
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }
}

/// Reads a file to its end, but not beyond the limit; returns whether there was more.
fn read_bounded(file: &File, into: &mut Vec<u8>) -> io::Result<bool> {
    into.clear();
    file.take(LIMIT).read_to_end(into)?;
    Ok(u64::try_from(into.len()).is_ok_and(|len| len >= LIMIT))
}

/// Finds store paths in what processes leave: bytes, not always text.
struct Finder {
    prefix: Vec<u8>,
}

impl Finder {
    fn new(store: &StoreDir) -> Self {
        let prefix = store.prefix().into_bytes();
        Self { prefix }
    }

    /// The store path that `path` is in, or is.
    fn leading<'a>(&self, path: &'a [u8]) -> Option<StorePathRef<'a>> {
        let below = path.strip_prefix(self.prefix.as_slice())?;
        parse(below.split(|&byte| byte == b'/').next()?)
    }

    /// Every store path that is named anywhere in `bytes`: the longest run of characters that a name may have.
    fn anywhere<'a>(&self, mut bytes: &'a [u8], mut found: impl FnMut(StorePathRef<'a>)) {
        while let Some(at) = bytes.iter().position(|&byte| byte == b'/') {
            let (_, here) = bytes.split_at(at);
            let Some(below) = here.strip_prefix(self.prefix.as_slice()) else {
                bytes = here.get(1..).unwrap_or_default();
                continue;
            };
            let end = below
                .iter()
                .position(|&byte| !super::store_dir::is_name_byte(byte))
                .unwrap_or(below.len());
            let (name, rest) = below.split_at(end);
            if let Some(path) = parse(name) {
                found(path);
            }
            bytes = rest;
        }
    }
}

fn parse(name: &[u8]) -> Option<StorePathRef<'_>> {
    StorePathRef::from_base_name(str::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const A: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-a";
    const B: &str = "11bgd045z0d4icpbc2yyz4gx48ak44la-b-1.0";

    fn found(bytes: &[u8]) -> Vec<String> {
        let store = StoreDir::new("/nix/store".into()).unwrap();
        let mut all = Vec::new();
        Finder::new(&store).anywhere(bytes, |path| all.push(path.to_string()));
        all
    }

    #[rstest]
    #[case("PATH=/nix/store/{A}/bin:/nix/store/{B}/bin\0X=1", &[A, B])]
    #[case("/nix/store/{A}/nix/store/{B}", &[A, B])]
    #[case("/mnt/nix/store/{A}", &[A])]
    #[case("//nix/store/{A},/nix/store/{B}", &[A, B])]
    #[case("/nix/store//nix/store/{B}", &[B])]
    #[case("/nix/store/{A}\u{e9}", &[A])]
    #[case("/nix/store/{A}!/nix/stor", &[A])]
    #[case("/nix/store/short /nix/stores/{A} nix/store/{A}", &[])]
    #[case("", &[])]
    #[case("/", &[])]
    fn trap_21_paths_are_found_anywhere_in_an_environment(
        #[case] text: &str,
        #[case] expected: &[&str],
    ) {
        let text = text.replace("{A}", A).replace("{B}", B);
        assert_eq!(found(text.as_bytes()), expected);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_and_every_path_is_found(
            mut before: Vec<u8>,
            after: Vec<u8>,
        ) {
            // A name extends as far as it may, so the text around it must not join in.
            before.extend_from_slice(format!(" /nix/store/{A} ").as_bytes());
            before.extend_from_slice(&after);
            proptest::prop_assert!(found(&before).contains(&A.to_string()));
        }
    }

    #[test]
    fn places_are_named_up_to_a_bound_and_counted_beyond() {
        let mut roots = RuntimeRoots::default();
        let path = StorePathRef::from_base_name(A).unwrap();
        for n in 0..20 {
            roots.add(path, &format!("/proc/{n}/exe"));
            roots.problem(n.to_string());
        }
        roots.add(path, "/proc/0/exe");
        let places = roots.paths.values().next().unwrap();
        assert_eq!((places.named.len(), places.more), (8, 12));
        assert_eq!((roots.problems.len(), roots.more_problems), (8, 12));
        let store = StoreDir::new("/nix/store".into()).unwrap();
        let [root] = &roots.to_gc_roots(RootKind::Process, &store)[..] else {
            panic!("{roots:?}");
        };
        assert_eq!(root.link, "/proc/0/exe");
        assert_eq!(root.store_path, Some(path.to_owned()));
    }
}
