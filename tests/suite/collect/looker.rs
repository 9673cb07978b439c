//! A look at a scratch store, with what happens behind its back.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use camino::Utf8Path;
use jiff::tz::TimeZone;
use nix_prune::adapters::clock::SystemClock;
use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::adapters::nix_dirs::NixDirs;
use nix_prune::adapters::progress_counter::ProgressCounter;
use nix_prune::adapters::store::{Care, StoreCache, StoreReader, StoreSurvey};
use nix_prune::adapters::survey::Observer;
use nix_prune::domain::collect::{DeletionSet, FullGcReason, Unregistered};
use nix_prune::domain::snapshot::{Actor, Snapshot};
use nix_prune::ports::{Interrupt, ReadStore, Survey, SurveyError};

use super::stores::Store;
use crate::support::is_root;

/// What happens after the look of this number.
type Meanwhile<'a> = Box<dyn Fn(u32) + 'a>;

/// Looks as the program does.
pub(super) struct Looker<'a> {
    places: NixDirs,
    nix: NixCli,
    journal: Journal,
    counter: ProgressCounter,
    cache: StoreCache,
    pub(super) looks: Cell<u32>,
    pub(super) narrow: fn(DeletionSet) -> DeletionSet,
    meanwhile: Option<Meanwhile<'a>>,
}

impl<'a> Looker<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self {
            places: store.scratch.places(),
            nix: store.scratch.nix().unwrap(),
            journal: Journal::at(store.scratch.base().join("state")),
            counter: ProgressCounter::default(),
            cache: StoreCache::default(),
            looks: Cell::new(0),
            narrow: |all| all,
            meanwhile: None,
        }
    }

    pub(super) fn meanwhile(self, then: impl Fn(u32) + 'a) -> Self {
        Self {
            meanwhile: Some(Box::new(then)),
            ..self
        }
    }

    fn observer(&self) -> Observer<'_> {
        let actor = if is_root() {
            Actor::Root
        } else {
            Actor::User(nix::unistd::geteuid().as_raw())
        };
        Observer {
            places: &self.places,
            actor,
            zone: TimeZone::UTC,
            extra_profiles: Vec::new(),
            boot_menu: false,
            all_of_nix: false,
            flakes: Vec::new(),
            uses_of_links: false,
            previous_runs: &self.journal,
            clock: &SystemClock,
        }
    }

    fn reader(&self) -> StoreReader<'_> {
        StoreReader {
            places: &self.places,
            proc: Utf8Path::new("/proc"),
            nix: Some(&self.nix),
            care: Care::Thorough,
            previous_runs: &self.journal,
            in_run: false,
            cache: &self.cache,
            interrupt: &Never,
            counter: &self.counter,
        }
    }

    pub(super) fn selection(&self) -> DeletionSet {
        // What came just now is not told for unregistered: it may have its row in a moment.
        std::thread::sleep(Duration::from_millis(25));
        let survey = StoreSurvey {
            is_compared: std::cell::Cell::default(),
            accepted: None,
            survey: &self.observer(),
            reader: self.reader(),
        };
        (self.narrow)(survey.dead().unwrap())
    }

    /// Why a look chooses nothing.
    pub(super) fn blocker(&self) -> FullGcReason {
        let survey = StoreSurvey {
            is_compared: std::cell::Cell::default(),
            accepted: None,
            survey: &self.observer(),
            reader: self.reader(),
        };
        survey.dead().unwrap_err()
    }

    /// What a look would choose in the middle of which, just behind the look for roots, something happens.
    pub(super) fn selection_around(&self, then: impl Fn()) -> DeletionSet {
        let survey = StoreSurvey {
            is_compared: std::cell::Cell::default(),
            accepted: None,
            survey: &Then {
                survey: &self.observer(),
                then,
            },
            reader: self.reader(),
        };
        survey.dead().unwrap()
    }

    /// What a look would choose that sees no root at all.
    pub(super) fn blind_selection(&self) -> DeletionSet {
        let observation = self
            .reader()
            .observe(&self.observer())
            .unwrap()
            .store
            .unwrap();
        // The graph of a look cannot be had without its roots, so a copy is read.
        let flags = observation.flags();
        let graph = super::graph_of(&self.places);
        let dead = graph.dead(&[], flags);
        (self.narrow)(DeletionSet::new(
            graph,
            flags,
            dead,
            Unregistered::default(),
        ))
    }
}

impl Survey for Looker<'_> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        panic!("nobody needs one");
    }

    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        let selection = self.selection();
        self.looks.set(self.looks.get() + 1);
        if let Some(meanwhile) = &self.meanwhile {
            meanwhile(self.looks.get());
        }
        Ok(selection)
    }
}

/// Looks for roots, and then something happens.
struct Then<'a, F> {
    survey: &'a Observer<'a>,
    then: F,
}

impl<F: Fn()> Survey for Then<'_, F> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let snapshot = self.survey.snapshot();
        (self.then)();
        snapshot
    }
}

/// Chose once, whatever the roots are, and cannot look again.
pub(super) struct Blind(RefCell<Option<DeletionSet>>);

impl Blind {
    pub(super) fn with(selection: DeletionSet) -> Self {
        Self(RefCell::new(Some(selection)))
    }
}

impl Survey for Blind {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        panic!("nobody needs one");
    }

    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        let seen = self.0.borrow_mut().take();
        seen.ok_or_else(|| FullGcReason::Unknown("the second look fails".to_string()))
    }
}

pub(super) struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

/// Asks to stop when it was asked so many times.
pub(super) struct StopAfter(pub(super) Cell<u32>);

impl Interrupt for StopAfter {
    fn requested(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left == 0
    }
}
