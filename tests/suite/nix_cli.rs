//! Nix's own commands behind their types: with every real Nix, and with programs that only look like it.

// The lints spare what has the attribute of a test, and not what tests call.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used
)]

mod boot;
mod faults;
mod generations;
mod links_of_users;
mod other_users;
mod roots;
mod store;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::{NewPath, Scratch};
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::plan::GenerationFacts;
use nix_prune::domain::profile::{GenerationNumber, Owner, ProfileKind, ProfilePath};
use nix_prune::domain::store_path::{StorePath, StorePathRef};
use nix_prune::ports::PerformError;

use crate::support::{by_hand, time};

/// A profile with generations 1 to 3, of which 3 is current, a month apart and with odd nanoseconds.
struct Fixture {
    scratch: Scratch,
    profile: ProfilePath,
    paths: Vec<StorePath<String>>,
}

fn created(number: u32) -> Timestamp {
    time(&format!("2026-0{number}-03T04:05:06.{number}23456789Z"))
}

impl Fixture {
    fn new(scratch: Scratch) -> Self {
        let profile = scratch.base().join("profiles/demo");
        let common = scratch.path_named("common-1.0").unwrap();
        let mut batch = vec![NewPath::file("common-1.0", 4_000)];
        for number in 1..=3 {
            let new = NewPath::file(&format!("demo-{number}"), 20_000);
            batch.push(new.refers_to(&[&common]));
        }
        scratch.add_paths(&batch).unwrap();
        let mut paths = Vec::new();
        for number in 1..=3 {
            let path = scratch.path_named(&format!("demo-{number}")).unwrap();
            let made = scratch.set_profile(&profile, &path, created(number));
            assert_eq!(made.unwrap(), GenerationNumber(number));
            paths.push(path);
        }
        Self {
            scratch,
            profile: ProfilePath::new(&profile).unwrap(),
            paths,
        }
    }

    fn path(&self, number: u32) -> StorePath<String> {
        self.paths[number as usize - 1].clone()
    }

    fn facts(&self, number: u32) -> GenerationFacts {
        let path = self.path(number);
        GenerationFacts {
            profile: self.profile.clone(),
            profile_kind: ProfileKind::Other,
            owner: Owner {
                uid: nix::unistd::geteuid().as_raw(),
                name: None,
            },
            number: GenerationNumber(number),
            target: path.to_absolute_path(self.scratch.store()),
            store_path: path,
            created: created(number),
            current: GenerationNumber(3),
            hold: Span::days(7),
        }
    }

    /// A derivation, which would be built if it were realised.
    fn derivation(&self) -> StorePath<String> {
        let text = r#"derivation { name = "x"; system = "none"; builder = "/none"; }"#;
        let made = by_hand(&self.scratch, "nix-instantiate", &["--expr", text]).stdout;
        let path = Utf8Path::new(made.trim());
        let path = StorePathRef::from_absolute_path(path, self.scratch.store());
        path.unwrap().to_owned()
    }

    fn link(&self, number: u32) -> Utf8PathBuf {
        self.profile.link(GenerationNumber(number))
    }

    /// Where a hold goes.
    fn hold(&self, index: u32) -> Utf8PathBuf {
        let dir = self.scratch.base().join("state/holds/run");
        std::fs::create_dir_all(&dir).unwrap();
        dir.join(index.to_string())
    }
}

fn assert_stale<T: std::fmt::Debug>(result: Result<T, PerformError>, words: &str) {
    match result {
        Err(PerformError::Stale(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("not stale ({words}): {other:?}"),
    }
}

/// What an error says, with everything below it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
