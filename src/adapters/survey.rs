//! The survey: profiles, generations and roots, read directly from the file system.
//!
//! No Nix command is called, because even commands that print take locks, remove stale links and create profiles (traps 10, 11,
//! 25, 45). Nothing is created, locked or removed, and only lists of the machine, such as /etc/passwd, are opened: directories are
//! listed, names are examined without following them, links are read.
//!
//! Only "not found" counts as an answer, and the code says why; every other error fails a safety check.

#[cfg(target_os = "linux")]
mod as_owner;
mod baseline_check;
mod dirs;
mod elsewhere;
mod found;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod kinds;
mod machine;
mod names;
mod profile_dir;
mod profiles;
mod roots;
mod scan;
mod store;
mod unprotected;
mod users;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;

use crate::domain::baseline::RootBaseline;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::budget::{DiskUsage, SizeMetric};
use crate::domain::elapsed::Reading;
use crate::domain::receipt::RunId;
use crate::domain::snapshot::{Actor, Hold, Pin, Snapshot};
use crate::domain::store_path::{StoreDir, StorePath};
use crate::ports::{self, Clock, JournalError, Survey, SurveyError};

use super::disk;
use super::nix_cli::StoreAccess;
use super::nix_dirs::NixDirs;
use baseline_check::Missing;
use dirs::DirHandle;
pub use elsewhere::Elsewhere;
use kinds::Kinds;
use names::{lossy, shown};
use profiles::Profiles;
use roots::{Hidden, Roots};
use scan::ScanContext;
use store::Store;
use users::Users;

/// The most unreadable roots that are listed one by one.
const MOST_TOLD: usize = 10;

/// The most notes, and odd names, that are listed: any user can cause more.
const MAX_LISTED: usize = 100;

/// Records of earlier runs that a survey needs.
pub trait Memory {
    /// Our own pins.
    ///
    /// # Errors
    /// When their record exists and cannot be read.
    fn pins(&self) -> Result<Vec<Pin>, JournalError>;

    /// The pins of the user `uid`, who lives in `home`.
    ///
    /// # Errors
    /// When their record exists and cannot be read.
    fn pins_of_user(&self, home: &Utf8Path, uid: u32) -> Result<Vec<Pin>, JournalError>;

    /// The holds in one store.
    ///
    /// # Errors
    /// When a record that could name a hold cannot be read.
    fn holds(&self, store: &StoreDir) -> Result<Vec<Hold>, JournalError>;

    /// The baseline of the last run in one store.
    ///
    /// # Errors
    /// When its record exists and cannot be read.
    fn last_seen(&self, store: &StoreDir) -> Result<Option<RootBaseline>, JournalError>;

    /// Whether a run has a record.
    fn knows(&self, run: &RunId) -> bool {
        let _ = run;
        true
    }

    /// The directory that contains the links of all holds.
    fn holds_dir(&self) -> Utf8PathBuf;

    /// The pins and holds that our user's other state directories have of a store: the usual ones, and those `found` by
    /// their holds.
    fn elsewhere(&self, found: &BTreeSet<&Utf8Path>, store: &StoreDir) -> Vec<Elsewhere> {
        let _ = (found, store);
        Vec::new()
    }
}

/// Reads a machine, and changes nothing.
#[derive(Clone)]
pub struct Observer<'a> {
    /// The places.
    pub places: &'a NixDirs,
    /// The user who reads, and would act.
    pub actor: Actor,
    /// The zone of the calendar.
    pub zone: TimeZone,
    /// The profiles that the settings name by path.
    pub extra_profiles: Vec<Utf8PathBuf>,
    /// Whether to search wherever `nix-collect-garbage -d` does.
    pub all_of_nix: bool,
    /// The records of earlier runs.
    pub memory: &'a dyn Memory,
    /// The clock, for the time at which the survey began.
    pub clock: &'a dyn Clock,
}

impl Survey for Observer<'_> {
    fn standing(&self, _: SizeMetric) -> DiskUsage {
        DiskUsage {
            disk: disk::settled_fullness(self.places.store.as_path()).ok(),
            store_bytes: None,
        }
    }

    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let taken_at = self.clock.now();
        let places = self.places;
        let state = DirHandle::open(&places.state_dir).map_err(|source| SurveyError::StateDir {
            dir: shown(&places.state_dir),
            source,
        })?;
        let mut findings = Findings::default();
        let users = Users::read(places, self.actor, &mut findings);
        let store = Store::open(&places.store);
        let missing = Missing::since_the_last_run(self.memory, places, &mut findings);
        let roots = Roots::walk(
            self.actor,
            &state,
            &places.state_dir,
            &store,
            &users,
            missing.mounts(),
        );
        let unseen_roots = self.report(&store, &roots, &mut findings);
        unprotected::homes_away(&roots, &users, &places.state_dir, &mut findings);
        let uptime = self.clock.uptime();
        let clock = Reading {
            at: taken_at,
            uptime: uptime.as_ref(),
        };
        let ground = missing.report(&roots, &places.state_dir, clock, &mut findings);

        let holds_dir = self.memory.holds_dir();
        unprotected::holds_away(&roots, self.memory, self.actor, &mut findings);
        unprotected::places_away(&roots, &users, places, &missing, &mut findings);
        let lens = ScanContext {
            actor: self.actor,
            store: &store,
            users: &users,
        };
        let mut profiles = Profiles::new(lens);
        profiles.of_machine(&state, places, &mut findings);
        profiles.of_users(places, self.all_of_nix, &roots, &mut findings);
        profiles.asked_for(&self.extra_profiles, &roots, &mut findings);
        if self.all_of_nix {
            profiles.beside_own(places, &mut findings);
        }
        profiles.revealed(&roots.reveals(&holds_dir), &mut findings);
        profiles.block_too_many_names(&mut findings);

        let booted = self.systems("booted-system", &mut profiles, &mut findings);
        let running = self.systems("current-system", &mut profiles, &mut findings);
        let mut pins = self.pins(&users, &mut profiles, &mut findings);
        let mut holds = self.holds(&mut findings);
        unprotected::windows(&mut holds, &ground.skips, &mut findings);
        let kinds = Kinds {
            holds: &holds_dir,
            run_dir: &places.run_dir,
            is_generation: |link: &Utf8Path| profiles.has_generation(link),
        };
        let mut roots = roots.into_vec(|link, entry| kinds.of(link, entry));
        let profiles = profiles.into_vec();
        missing.clock(taken_at, &profiles, &mut findings);
        let spared = unprotected::rootless_generations(
            &profiles,
            &roots,
            self.actor,
            places,
            &self.extra_profiles,
            &mut findings,
        );
        unprotected::rootless_holds(&mut holds, &roots, taken_at, &mut findings);
        roots.extend(spared);
        pins.extend(elsewhere::pins(
            &roots,
            &profiles,
            &places.store,
            self.memory,
            taken_at,
            &mut findings,
        ));
        let vanished = missing.roots(&roots, &holds, &store, &mut findings);
        let (refusals, notes) = findings.finish();
        Ok(Snapshot {
            taken_at,
            zone: self.zone.clone(),
            machine: machine::machine_id(places),
            store: places.store.clone(),
            state_dir: places.state_dir.clone(),
            actor: self.actor,
            profiles,
            roots,
            booted,
            running,
            pins,
            holds,
            vanished,
            ground,
            refusals,
            notes,
            unseen_roots,
        })
    }
}

impl Observer<'_> {
    /// Reports unreadable parts of the store and the roots. Returns the roots that only the daemon can read.
    fn report(
        &self,
        store: &Store<'_>,
        roots: &Roots<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        if let Some(first) = roots.concealed.first() {
            let (first, more) = (shown(first), roots.concealed.len() - 1);
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            findings.refuse_at(
                roots.concealed.iter().map(PathBuf::as_path),
                CheckCode::RootsHidden,
                format!(
                    "Nix cannot read the root {first}{more}, which only its owner may read; collection is selective \
                     and keeps its paths"
                ),
                "let root read it; Nix's own garbage collector deletes the paths of such a root, whoever calls it",
            );
        }
        let mut refuse = |message: String, hidden: &[&Hidden]| {
            // An acceptance by place covers only checks about places.
            let places = hidden.iter().map(|hidden| hidden.place.as_deref());
            let places: Option<Vec<&Path>> = places.collect();
            findings.refuse_at(
                places.unwrap_or_default(),
                CheckCode::RootsUnreadable,
                message,
                "find the cause; no garbage is collected while roots may be hidden",
            );
        };
        if let Some(error) = store.trouble() {
            let message = format!("cannot read the store directory {}: {error}", store.dir);
            refuse(message, &[]);
        }
        for hidden in &roots.hidden {
            refuse(hidden.what.clone(), &[hidden]);
        }
        let (unreadable, unwalked) = (&roots.unreadable, &roots.unwalked);
        if StoreAccess::of(self.places, self.actor) == StoreAccess::Direct {
            let mut all = unwalked.iter().chain(unreadable);
            for hidden in all.by_ref().take(MOST_TOLD) {
                let message = format!("cannot read the root {}", hidden.what);
                refuse(message, &[hidden]);
            }
            let more: Vec<&Hidden> = all.collect();
            if !more.is_empty() {
                let message = format!("cannot read {} more roots", more.len());
                refuse(message, &more);
            }
            return None;
        }
        // The daemon collects, and sees more than we do.
        let counted = |n: usize, one: &str, more: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {more}")),
        };
        let counts = [
            counted(unreadable.len(), "root", "roots"),
            counted(unwalked.len(), "directory of roots", "directories of roots"),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        if counts.is_empty() {
            return None;
        }
        let unseen = format!(
            "{} of other users cannot be read; the daemon sees them",
            counts.join(" and ")
        );
        findings.note(unseen.clone());
        Some(unseen)
    }

    fn systems(
        &self,
        name: &str,
        profiles: &mut Profiles<'_>,
        findings: &mut Findings,
    ) -> Vec<StorePath<String>> {
        machine::systems(self.places, name).unwrap_or_else(|why| {
            // Any generation may be the booted one: the machine keeps all of them.
            profiles.block(&why, |profile| profile.kind.is_system());
            findings.refuse(
                CheckCode::RootsUnreadable,
                why,
                "check the link; until then no system generation is removed",
            );
            Vec::new()
        })
    }

    /// Our own pins, and those of users whose profiles we could change. A user's pins count only for profiles in
    /// directories of that user, whatever they name.
    fn pins(
        &self,
        users: &Users,
        profiles: &mut Profiles<'_>,
        findings: &mut Findings,
    ) -> Vec<Pin> {
        let hint =
            "repair or remove the record; until then no generation that it may pin is removed";
        let mut pins = Vec::new();
        match self.memory.pins() {
            Ok(own) => pins.extend(own.into_iter().map(|pin| under_known_name(pin, profiles))),
            Err(error) => {
                let why = format!("cannot read the pins: {}", causes(&error));
                profiles.block(&why, |_| true);
                findings.refuse(CheckCode::PinsUnreadable, why, hint);
            }
        }
        if self.actor != Actor::Root {
            return pins;
        }
        for user in users.all.iter().filter(|user| user.uid != 0) {
            if !profiles.iter().any(|profile| profile.owner.uid == user.uid) {
                continue;
            }
            match self.memory.pins_of_user(&user.home, user.uid) {
                Ok(theirs) => {
                    let theirs = theirs
                        .into_iter()
                        .map(|pin| under_known_name(pin, profiles));
                    pins.extend(theirs.filter(|pin| {
                        let mut of_user = profiles.iter().filter(|p| p.owner.uid == user.uid);
                        of_user.any(|profile| profile.path == pin.profile)
                    }));
                }
                Err(error) => {
                    let name = shown(&user.name);
                    let why = format!("cannot read the pins of {name}: {}", causes(&error));
                    profiles.block(&why, |profile| profile.owner.uid == user.uid);
                    let home = user.home.as_std_path();
                    findings.refuse_at([home], CheckCode::PinsUnreadable, why, hint);
                }
            }
        }
        pins
    }

    fn holds(&self, findings: &mut Findings) -> Vec<Hold> {
        self.memory
            .holds(&self.places.store)
            .unwrap_or_else(|error| {
                findings.refuse(
                    CheckCode::JournalUnreadable,
                    format!(
                        "cannot read the records of earlier runs: {}",
                        causes(&error)
                    ),
                    "repair or remove the record; until then its holds are unknown",
                );
                Vec::new()
            })
    }
}

/// A pin of a profile by another name, through a link above it, counts as well.
fn under_known_name(mut pin: Pin, profiles: &Profiles<'_>) -> Pin {
    if let Some(known) = profiles.known_name(&pin.profile) {
        pin.profile = known;
    }
    pin
}

/// An error with its causes, as text that cannot control a terminal.
fn causes(error: &JournalError) -> String {
    shown(ports::error_chain(error))
}

/// The refusals and notes of a survey.
#[derive(Debug, Default)]
struct Findings {
    refusals: Vec<Blocker>,
    notes: Vec<String>,
    odd_names: usize,
    left_out: usize,
}

impl Findings {
    fn refuse(&mut self, code: CheckCode, message: String, hint: &str) {
        let hint = hint.to_string();
        self.push(Blocker::new(code, message, hint));
    }

    /// A refusal about places, which settings can accept by name.
    fn refuse_at<'a>(
        &mut self,
        places: impl IntoIterator<Item = &'a Path>,
        code: CheckCode,
        message: String,
        hint: &str,
    ) {
        let places = places.into_iter().map(|place| lossy(place.to_path_buf()).0);
        self.push(Blocker {
            places: places.collect(),
            ..Blocker::new(code, message, hint.to_string())
        });
    }

    fn push(&mut self, refusal: Blocker) {
        self.odd_names += usize::from(refusal.code == CheckCode::OddName);
        if refusal.code == CheckCode::OddName && self.odd_names > MAX_LISTED {
            self.left_out += 1;
        } else {
            self.refusals.push(refusal);
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_LISTED {
            self.notes.push(note);
        } else {
            self.left_out += 1;
        }
    }

    /// All of them, with the number of those not listed.
    fn finish(mut self) -> (Vec<Blocker>, Vec<String>) {
        if self.left_out > 0 {
            let more = format!("{} more notes and odd names are not listed", self.left_out);
            self.notes.push(more);
        }
        (self.refusals, self.notes)
    }
}
