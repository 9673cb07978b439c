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
pub(super) mod dirs;
mod elsewhere;
mod findings;
mod flakes;
mod found;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod machine;
mod names;
mod profile_dir;
mod profiles;
mod removed_users;
mod roots;
mod scan;
mod store;
mod systems;
mod unprotected;
mod users;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;

use crate::domain::baseline::RootBaseline;
use crate::domain::blocker::CheckCode;
use crate::domain::elapsed::Reading;
use crate::domain::leftover::{LeftoverQuery, Leftovers};
use crate::domain::maintenance::Registrations;
use crate::domain::measure::count;
use crate::domain::note::NoteCode;
use crate::domain::profile::Profile;
use crate::domain::receipt::RunId;
use crate::domain::snapshot::{Actor, Hold, Pin, Snapshot};
use crate::domain::store_path::StoreDir;
use crate::ports::{self, Clock, JournalError, Survey, SurveyError};

use super::boot;
use super::database::Database;
use super::leftovers::LeftoverFiles;
use super::nix_cli::StoreAccess;
use super::nix_dirs::NixDirs;
use super::process::Account;
use baseline_check::Missing;
use dirs::DirHandle;
pub use elsewhere::Elsewhere;
use findings::Findings;
use found::Hidden;
pub use machine::host_name;
use names::{kind_of, shown};
use profiles::Profiles;
use roots::Roots;
use store::Store;
use users::Users;

/// The most unreadable roots that are listed one by one.
const MAX_LISTED: usize = 10;

/// Records of earlier runs that a survey needs.
pub trait PreviousRuns {
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
    fn baseline(&self, store: &StoreDir) -> Result<Option<RootBaseline>, JournalError>;

    /// Whether a run has a record.
    fn knows(&self, run: &RunId) -> bool {
        let _ = run;
        true
    }

    /// Whether the last whole collection of a store was a direct one that did not come to its end: paths whose rows are gone may have
    /// their files. One that is under way counts if `under_way`.
    fn left_files(&self, store: &StoreDir, under_way: bool) -> bool {
        let _ = (store, under_way);
        false
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

/// What every part of the survey needs.
#[derive(Clone, Copy)]
struct SurveyContext<'a> {
    actor: Actor,
    places: &'a NixDirs,
    previous_runs: &'a dyn PreviousRuns,
    store: &'a Store<'a>,
    users: &'a Users,
    findings: &'a Findings,
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
    /// The flakes whose locked inputs count as roots.
    pub flakes: Vec<Utf8PathBuf>,
    /// Whether to read the boot menu.
    pub boot_menu: bool,
    /// Whether to look at the use of links that rules for roots may remove.
    pub uses_of_links: bool,
    /// The records of earlier runs.
    pub previous_runs: &'a dyn PreviousRuns,
    /// The clock, for the time at which the survey began.
    pub clock: &'a dyn Clock,
}

impl Survey for Observer<'_> {
    fn leftovers(&self, query: LeftoverQuery<'_>) -> Vec<Leftovers> {
        let files = LeftoverFiles {
            places: self.places,
            proc: Utf8Path::new("/proc"),
            actor: self.actor,
        };
        files.find(query)
    }

    fn new_paths(&self, since: Registrations) -> Option<u64> {
        Database::new(&self.places.state_dir, self.places.store.clone()).new_paths(since)
    }

    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let taken_at = self.clock.now();
        let places = self.places;
        let state = DirHandle::open(&places.state_dir).map_err(|source| SurveyError::StateDir {
            dir: shown(&places.state_dir),
            source,
        })?;
        let findings = Findings::default();
        let users = Users::read(places, self.actor, &findings);
        let store = Store::open(&places.store);
        let context = SurveyContext {
            actor: self.actor,
            places,
            previous_runs: self.previous_runs,
            store: &store,
            users: &users,
            findings: &findings,
        };
        let missing = Missing::since_the_last_run(context);
        let roots = Roots::walk(context, &state, missing.mounts());
        let unseen_roots = context.report(&roots);
        unprotected::homes_away(context, &roots);
        let uptime = self.clock.uptime();
        let clock = Reading {
            at: taken_at,
            uptime: uptime.as_ref(),
        };
        let scope = missing.report(&roots, clock);

        unprotected::holds_away(context, &roots);
        unprotected::places_away(context, &roots, &missing);
        let mut profiles = Profiles::new(context);
        profiles.of_machine(&state);
        profiles.of_users(self.all_of_nix, &roots);
        profiles.asked_for(&self.extra_profiles, &roots);
        if self.all_of_nix {
            profiles.beside_own();
        }
        let holds_dir = self.previous_runs.holds_dir();
        profiles.revealed(&roots.reveals(&holds_dir));
        profiles.block_too_many_names();

        let booted = context.booted(&mut profiles);
        let running = context.running(&mut profiles);
        let mut pins = context.pins(&mut profiles);
        let mut holds = context.holds();
        unprotected::windows(context, &mut holds, &scope.skips);
        let mut roots = roots.into_vec(|link, entry| {
            let is_generation = profiles.has_generation(link);
            kind_of(link, entry, (&holds_dir, &places.run_dir), is_generation)
        });
        let profiles = profiles.into_vec();
        let boot = boot::state(places, &profiles, self.boot_menu);
        missing.clock(taken_at, &profiles);
        let asked = &self.extra_profiles;
        let spared = unprotected::rootless_generations(context, &profiles, &roots, asked);
        unprotected::rootless_holds(context, &mut holds, &roots, taken_at);
        roots.extend(spared);
        roots.extend(flakes::inputs(context, &self.flakes));
        pins.extend(elsewhere::pins(context, &roots, &profiles, taken_at));
        let links = if self.uses_of_links {
            context.uses_of(&roots)
        } else {
            BTreeMap::new()
        };
        let vanished = missing.roots(&roots, &holds);
        let uptimes = missing.uptimes(&booted, uptime.as_ref());
        let (blockers, notes) = findings.finish();
        Ok(Snapshot {
            taken_at,
            zone: self.zone.clone(),
            machine: machine::machine_id(places),
            store: places.store.clone(),
            state_dir: places.state_dir.clone(),
            actor: self.actor,
            profiles,
            roots,
            uses: links,
            booted,
            running,
            pins,
            holds,
            uptimes,
            vanished,
            flakes: self.flakes.clone(),
            boot,
            leftovers: Vec::new(),
            scope,
            blockers,
            notes,
            unseen_roots,
        })
    }
}

impl SurveyContext<'_> {
    /// Reports unreadable parts of the store and the roots. Returns the roots that only the daemon can read.
    fn report(&self, roots: &Roots<'_>) -> Option<String> {
        let findings = self.findings;
        if let Some(first) = roots.concealed.first() {
            let (first, more) = (shown(first), roots.concealed.len() - 1);
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            findings.refuse_at(
                &roots.concealed,
                CheckCode::RootsHidden,
                format!(
                    "Nix cannot read the root {first}{more}, which only its owner may read; collection is selective \
                     and keeps its paths"
                ),
                "let root read it; Nix's own garbage collector deletes the paths of such a root, whoever calls it",
            );
        }
        let refuse = |message: String, hidden: &[&Hidden]| {
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
        if let Some(error) = self.store.trouble() {
            let message = format!(
                "cannot read the store directory {}: {error}",
                self.store.dir
            );
            refuse(message, &[]);
        }
        for hidden in &roots.hidden {
            refuse(hidden.what.clone(), &[hidden]);
        }
        let (unreadable, unwalked) = (&roots.unreadable, &roots.unwalked);
        if StoreAccess::of(self.places, self.actor) == StoreAccess::Direct {
            let mut all = unwalked.iter().chain(unreadable);
            for hidden in all.by_ref().take(MAX_LISTED) {
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
        let counted = |n: usize, noun, of| (n > 0).then(|| count(n, noun) + of);
        let roots = counted(unreadable.len(), "root", "");
        let directories = counted(unwalked.len(), "directory", " of roots");
        let counts: Vec<String> = roots.into_iter().chain(directories).collect();
        if counts.is_empty() {
            return None;
        }
        let unseen = format!(
            "{} of other users cannot be read; the daemon sees them",
            counts.join(" and ")
        );
        findings.note(NoteCode::RootsUnseen, unseen.clone());
        Some(unseen)
    }

    /// Our own pins, and those of users whose profiles we could change.
    fn pins(&self, profiles: &mut Profiles<'_>) -> Vec<Pin> {
        let mut pins = self.pins_of(None, self.previous_runs.pins(), profiles);
        if self.actor != Actor::Root {
            return pins;
        }
        for user in self.users.all.iter().filter(|user| user.uid != 0) {
            if profiles.iter().any(|profile| profile.owner.uid == user.uid) {
                let theirs = self.previous_runs.pins_of_user(&user.home, user.uid);
                pins.extend(self.pins_of(Some(user), theirs, profiles));
            }
        }
        pins
    }

    /// The pins that were read of a user, or of ourselves. A user's pins count only for profiles in directories of that user,
    /// whatever they name.
    fn pins_of(
        &self,
        user: Option<&Account>,
        read: Result<Vec<Pin>, JournalError>,
        profiles: &mut Profiles<'_>,
    ) -> Vec<Pin> {
        let is_theirs = |profile: &Profile| user.is_none_or(|it| it.uid == profile.owner.uid);
        let pins = match read {
            Ok(pins) => pins.into_iter(),
            Err(error) => {
                let whose = user.map(|user| format!(" of {}", shown(&user.name)));
                let whose = whose.unwrap_or_default();
                let why = format!("cannot read the pins{whose}: {}", causes(&error));
                profiles.block(&why, is_theirs);
                self.findings.refuse_at(
                    user.map(|user| &user.home),
                    CheckCode::PinsUnreadable,
                    why,
                    "repair or remove the record; until then no generation that it may pin is removed",
                );
                return Vec::new();
            }
        };
        let mut pins: Vec<Pin> = pins.map(|pin| under_known_name(pin, profiles)).collect();
        pins.retain(|pin| {
            let mut theirs = profiles.iter().filter(|profile| is_theirs(profile));
            user.is_none() || theirs.any(|profile| profile.path == pin.profile)
        });
        pins
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
