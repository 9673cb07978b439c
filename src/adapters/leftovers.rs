//! Leftovers: looks for files of Nix beside the store that are old and not in use, and removes them.
//!
//! Other users may change what is looked at. Everything is named relative to an open directory, no link is followed and no mount
//! crossed, and what belongs to another user is removed with that user's rights.

mod derivations;
mod in_use;
mod places;
#[cfg(test)]
mod tests;
mod tree;
mod units;

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::geteuid;

use self::in_use::InUse;
use self::places::{Place, Rights, places};
use self::tree::{FileId, Seen, look};
use self::units::Unit;
use super::files::open_file_at;
use super::files::remove::{Removal, remove_tree};
use super::nix_dirs::NixDirs;
use super::process::Account;
use super::rights::with_rights_of;
use crate::domain::leftover::{LeftoverClass, LeftoverQuery, LeftoverSum, Leftovers};
use crate::domain::measure::Timestamp;
use crate::domain::plan::LeftoverFacts;
use crate::domain::protected::ProtectedPaths;
use crate::domain::snapshot::Actor;
use crate::ports::{Interrupt, PerformError};

/// How many entries that are kept in spite of their age are named.
const MAX_PROBLEMS: usize = 5;
/// How many entries one run removes from a directory.
const MAX_ENTRIES: u64 = 200_000;
/// How many inodes may come to an entry while it is removed.
const GROWTH: u64 = 1000;

/// Where leftovers are, and who looks.
#[derive(Clone, Copy)]
pub struct LeftoverFiles<'a> {
    /// The places.
    pub places: &'a NixDirs,
    /// Where processes are: `/proc`.
    pub proc: &'a Utf8Path,
    /// The user who looks, and would remove.
    pub actor: Actor,
}

/// What decides about an entry.
struct Rules<'a> {
    before: Timestamp,
    in_use: &'a InUse,
    protected: &'a ProtectedPaths,
    actor: Actor,
}

/// What becomes of an entry.
enum Verdict {
    /// It is old, and nothing uses it.
    Old(Seen),
    /// It is young, or something uses it.
    Kept(Seen),
    /// It belongs to somebody else, or is gone.
    NotOurs,
    /// It is kept for another reason.
    Problem(String),
}

impl LeftoverFiles<'_> {
    /// Looks for leftovers. A directory without any is left out.
    pub fn find(&self, query: LeftoverQuery<'_>) -> Vec<Leftovers> {
        let in_use = InUse::read(self.proc, self.actor);
        let store = std::fs::symlink_metadata(self.places.store.as_path()).ok();
        let store = store.map(|store| store.dev());
        let mut all = Vec::new();
        for (class, before) in query.operation.cutoffs(query.now) {
            let rules = Rules {
                before,
                in_use: &in_use,
                protected: query.protected,
                actor: self.actor,
            };
            for place in places(self.places, class, self.actor) {
                let found = with_rights_of(place.account(), || find_in(&place, &rules, store));
                let found = found.unwrap_or_else(|error| {
                    let mut none = place.nothing();
                    none.problems.push(format!("{}: {error}", place.dir));
                    none
                });
                let entries = found.old.entries + found.kept.entries;
                if entries > 0 || !found.problems.is_empty() {
                    all.push(found);
                }
            }
        }
        all
    }

    /// Removes the leftovers that are still old and unused, and says what became of them.
    ///
    /// # Errors
    /// As [`NixActions::remove_leftovers`](crate::ports::NixActions::remove_leftovers).
    pub fn remove(
        &self,
        facts: &LeftoverFacts,
        protected: &ProtectedPaths,
        interrupt: &(dyn Interrupt + Sync),
    ) -> Result<String, PerformError> {
        let LeftoverFacts {
            class, dir, owner, ..
        } = facts;
        // A saved plan may name any directory.
        let mut places = places(self.places, *class, self.actor).into_iter();
        let place = places.find(|place| place.dir == *dir && place.owner == *owner);
        let Some(place) = place else {
            let why = format!("{dir} is no directory of {owner} that has {class}");
            return Err(PerformError::Stale(why));
        };
        let in_use = InUse::read(self.proc, self.actor);
        let rules = Rules {
            before: facts.before,
            in_use: &in_use,
            protected,
            actor: self.actor,
        };
        let what = || format!("remove {class} from {dir}");
        let removed = with_rights_of(place.account(), || remove_in(&place, &rules, interrupt));
        let removed = removed.map_err(|source| PerformError::File {
            what: what(),
            source,
        })?;
        let text = removed.text(&place);
        match removed.failed {
            _ if removed.stopped => Err(PerformError::Interrupted { what: what() }),
            Some(source) => Err(PerformError::File {
                what: format!("{} ({text})", what()),
                source,
            }),
            None => Ok(text),
        }
    }
}

fn find_in(place: &Place, rules: &Rules<'_>, store: Option<u64>) -> io::Result<Leftovers> {
    let mut found = place.nothing();
    place.visit(&mut |unit| {
        found.is_on_store |= Some(unit.device()) == store;
        match rules.judge(unit, place) {
            Verdict::Old(seen) => {
                found.old.add(seen.taken);
                let last_used = Some(seen.last_used);
                found.oldest = found
                    .oldest
                    .map_or(last_used, |oldest| last_used.min(Some(oldest)));
            }
            Verdict::Kept(seen) => found.kept.add(seen.taken),
            Verdict::NotOurs => {}
            Verdict::Problem(problem) => {
                found.kept.entries += 1;
                if found.problems.len() < MAX_PROBLEMS {
                    found.problems.push(problem);
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// What became of the leftovers of a place.
#[derive(Default)]
struct Removed {
    gone: LeftoverSum,
    kept: u64,
    problems: Vec<String>,
    failed: Option<io::Error>,
    stopped: bool,
}

fn remove_in(
    place: &Place,
    rules: &Rules<'_>,
    interrupt: &(dyn Interrupt + Sync),
) -> io::Result<Removed> {
    let mut removed = Removed::default();
    place.visit(&mut |unit| {
        if interrupt.requested() {
            removed.stopped = true;
            return ControlFlow::Break(());
        }
        if removed.gone.entries == MAX_ENTRIES {
            removed
                .problems
                .push("the rest is left for a later run".to_string());
            return ControlFlow::Break(());
        }
        let done = match place.rights {
            Rights::OfEachOwner => {
                let owner = unit.owner().ok().flatten();
                with_rights_of(owner.as_ref(), || Ok(remove_unit(unit, place, rules)))
            }
            Rights::Ours | Rights::Of(_) => Ok(remove_unit(unit, place, rules)),
        };
        match done.and_then(|done| done) {
            Ok(Verdict::Old(seen)) => removed.gone.add(seen.taken),
            Ok(Verdict::Kept(_)) => removed.kept += 1,
            Ok(Verdict::NotOurs) => {}
            Ok(Verdict::Problem(problem)) => {
                removed.kept += 1;
                if removed.problems.len() < MAX_PROBLEMS {
                    removed.problems.push(problem);
                }
            }
            Err(error) => {
                removed.kept += 1;
                let error = io::Error::new(error.kind(), format!("{}: {error}", unit.path()));
                removed.failed.get_or_insert(error);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(removed)
}

/// Removes an entry if it is still to be removed.
fn remove_unit(unit: &Unit<'_>, place: &Place, rules: &Rules<'_>) -> io::Result<Verdict> {
    let verdict = rules.judge(unit, place);
    if let Verdict::Old(seen) = &verdict {
        let path = unit.path();
        for (name, id) in unit.names.iter().zip(&seen.ids) {
            let file = match place.class {
                LeftoverClass::TemporaryRoots => match stale_roots(unit, name, *id)? {
                    None => return Ok(verdict.kept()),
                    file => file,
                },
                _ => None,
            };
            let removal = Removal::Leftover {
                path: &path,
                protected: rules.protected,
            };
            remove_tree(unit.dir, name, *id, seen.inodes + GROWTH, removal)?;
            if let Some(mut file) = file {
                // As Nix does: whoever opened the file before it was removed, and waited for the lock, sees that and makes another one.
                file.write_all(b"d")?;
            }
        }
    }
    Ok(verdict)
}

/// Opens and locks a file of temporary roots; `None` while its process is alive, which holds the lock.
fn stale_roots(unit: &Unit<'_>, name: &CStr, id: FileId) -> io::Result<Option<File>> {
    let file = open_file_at(unit.dir, name)?;
    let opened = file.metadata()?;
    let is_it = (opened.dev(), opened.ino()) == id;
    Ok(Some(file).filter(|file| is_it && file.try_lock().is_ok()))
}

impl Verdict {
    /// The same for an entry that is in use after all.
    fn kept(self) -> Self {
        match self {
            Self::Old(seen) => Self::Kept(seen),
            other => other,
        }
    }
}

impl Rules<'_> {
    fn judge(&self, unit: &Unit<'_>, place: &Place) -> Verdict {
        let path = unit.path();
        let problem = |why: &dyn std::fmt::Display| Verdict::Problem(format!("{path}: {why}"));
        match unit.owner() {
            Ok(Some(owner)) if self.may_remove(owner.uid, place) => {}
            Ok(_) => return Verdict::NotOurs,
            Err(error) => return problem(&error),
        }
        let seen = match look(unit, place.last_use, self.in_use) {
            Ok(Some(seen)) => seen,
            Ok(None) => return Verdict::NotOurs,
            Err(error) => return problem(&error),
        };
        if seen.is_in_use || seen.last_used >= self.before {
            return Verdict::Kept(seen);
        }
        if let Some(by) = self.protected.keeping_leftover(&path) {
            return problem(&format!("the settings protect {by}"));
        }
        match self.in_use.unknown() {
            Some(why) => problem(&format!("it may be in use: {why}")),
            None => Verdict::Old(seen),
        }
    }

    fn may_remove(&self, uid: u32, place: &Place) -> bool {
        match (&place.rights, self.actor) {
            (Rights::Of(account), _) => account.uid == uid,
            (_, Actor::Root) => true,
            (_, Actor::User(own)) => own == uid,
        }
    }
}

impl Place {
    /// The user with whose rights the directory is read, where it is another one.
    fn account(&self) -> Option<&Account> {
        match &self.rights {
            Rights::Of(account) if account.uid != geteuid().as_raw() => Some(account),
            _ => None,
        }
    }

    fn nothing(&self) -> Leftovers {
        Leftovers {
            class: self.class,
            dir: self.dir.clone(),
            owner: self.owner.clone(),
            old: LeftoverSum::default(),
            kept: LeftoverSum::default(),
            oldest: None,
            is_on_store: false,
            problems: Vec::new(),
        }
    }
}

impl Removed {
    fn text(&self, place: &Place) -> String {
        let class = place.class;
        let gone = class.count(self.gone.entries);
        let mut parts = vec![format!("removed {gone}, {} on disk", self.gone.bytes)];
        if self.kept > 0 {
            parts.push(format!("kept {}", self.kept));
        }
        parts.extend(self.problems.iter().cloned());
        parts.join("; ")
    }
}

/// A path of an entry, for people and for comparison with protected paths.
fn joined(dir: &Utf8Path, name: &CStr) -> Utf8PathBuf {
    dir.join(name.to_string_lossy().as_ref())
}
