//! The root baseline: roots, file systems and time that the last run saw, so that missing ones are noticed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::blocker::{Blocker, CheckCode};
use super::elapsed::{self, Reading, Skip, Uptime};
use super::measure::{Span, Timestamp};
use super::receipt::{Entry, Outcome};
use super::root::{Dangling, GcRoot, RootKind, RootState};
use super::snapshot::{Held, Hold, Snapshot, VanishedRoot};
use super::store_path::{StoreDir, StorePath};
use super::uptimes::{self, Uptimes};

/// Clocks are set by some seconds all the time.
const SLACK: Span = Span::minutes(5);
/// Half a year without a run and without a generation is more likely a wrong clock than a machine that slept.
const LONG: Span = Span::days(180);

/// What the record of roots may take, in bytes: who makes roots without end must not stop the runs of others.
const MAX_BYTES: usize = 24 << 20;
/// And of that the roots of one owner: some thirty thousand of usual length.
const MAX_BYTES_OF_OWNER: usize = 6 << 20;
/// What a root takes beside its link: a store path, and the marks between.
const PER_ROOT: usize = 100;

/// Where roots are and lead to, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotScope {
    /// Every directory below `gcroots` and `profiles`, readable or not.
    pub directories: BTreeSet<Utf8PathBuf>,
    /// Where file systems are mounted; `None` if unknown.
    pub mounts: Option<BTreeSet<Utf8PathBuf>>,
    /// How long the machine is up; `None` if unknown.
    pub uptime: Option<Uptime>,
    /// What the clock skipped since holds were made that are there.
    pub skips: Vec<Skip>,
}

/// What a run saw of the roots of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RootBaseline {
    /// The store.
    pub store: StoreDir,
    /// When.
    pub taken_at: Timestamp,
    /// The directories that had roots in them.
    pub directories: BTreeSet<Utf8PathBuf>,
    /// The file systems, the first one apart, that roots led into.
    pub mounts: BTreeSet<Utf8PathBuf>,
    /// The roots that somebody made and may miss, and what each led to.
    #[serde(default)]
    pub roots: BTreeMap<Utf8PathBuf, StorePath<String>>,
    /// The places that were away, and that nobody has let pass.
    #[serde(default)]
    pub away: BTreeSet<Utf8PathBuf>,
    /// How long the machine was up.
    #[serde(default)]
    pub uptime: Option<Uptime>,
    /// What the clock has skipped, as far as nothing has confirmed it.
    #[serde(default)]
    pub skips: Vec<Skip>,
    /// How long the machine ran each of its systems.
    #[serde(default)]
    pub uptimes: Uptimes,
}

impl RootBaseline {
    /// What this snapshot saw. Roots that are missing in it and not held remain known, except those that the run itself
    /// has removed: a removal that was only planned, or failed, forgets nothing. Directories and file systems of checks
    /// that still fail remain known as well.
    pub fn of(snapshot: &Snapshot, run: &[Entry], before: Option<&Self>) -> Self {
        let live = snapshot
            .roots
            .iter()
            .filter(|root| root.state == RootState::Live && root.exact);
        let (mut directories, mut mounts) = (BTreeSet::new(), BTreeSet::new());
        // One that has the store or its state on it as well is not noticed to be away: nothing is there then.
        let all = snapshot.scope.mounts.iter().flatten();
        let elsewhere: HashSet<&Utf8Path> = all
            .map(Utf8PathBuf::as_path)
            .filter(|at| at.as_str() != "/" && !snapshot.state_dir.starts_with(at))
            .collect();
        for root in live {
            let name = root.entry.as_ref().unwrap_or(&root.link);
            let parent = name.parent().map(Utf8Path::to_path_buf);
            directories.extend(parent.filter(|dir| snapshot.scope.directories.contains(dir)));
            // There may be a million roots and hundreds of mounts: each root is looked up by the directories above it.
            let on_the_way = root.link.ancestors().filter(|at| elsewhere.contains(at));
            mounts.extend(on_the_way.map(Utf8Path::to_path_buf));
        }
        let stands = |code| snapshot.blockers.iter().any(|blocker| blocker.code == code);
        if let Some(before) = before {
            if stands(CheckCode::RootsVanished) {
                directories.extend(before.vanished(&snapshot.scope).cloned());
            }
            if stands(CheckCode::RootsAway) {
                mounts.extend(before.away(&snapshot.scope).cloned());
            }
        }
        let blockers = snapshot.blockers.iter();
        let away = blockers.filter(|blocker| blocker.code == CheckCode::RootsAway);
        // A clock that nobody has accepted must not become the one that later runs are compared with.
        let clock = before.filter(|_| stands(CheckCode::ClockJumped));
        Self {
            store: snapshot.store.clone(),
            taken_at: clock.map_or(snapshot.taken_at, |before| before.taken_at),
            uptime: match clock {
                Some(before) => before.uptime.clone(),
                None => snapshot.scope.uptime.clone(),
            },
            skips: match clock {
                Some(before) => before.skips.clone(),
                None => snapshot.scope.skips.clone(),
            },
            directories,
            mounts,
            roots: roots_of(snapshot, run),
            uptimes: uptimes::of_systems(&snapshot.uptimes, &snapshot.profiles),
            away: away.flat_map(|blocker| blocker.places.clone()).collect(),
        }
    }

    /// The roots that vanished since, by their links, without those that are held already. A root that points elsewhere
    /// now has not vanished: its owner changed it. Nor has one that cannot be read. One whose parent directory is gone
    /// may only be unmounted; if that is accepted, its former target is held for an undo window.
    ///
    /// That something else leads to the same path is no reason to leave one out: a hold may end in this very run, and a
    /// booted system with the next boot.
    pub fn gone(&self, roots: &[GcRoot], holds: &[Hold]) -> Vec<VanishedRoot> {
        let there = present(roots);
        let held = held_roots(holds);
        let gone = self.roots.iter();
        let gone = gone.filter(|root| !there.contains(root.0) && !held.contains(root));
        gone.map(|(link, store_path)| VanishedRoot {
            link: link.clone(),
            store_path: store_path.clone(),
        })
        .collect()
    }

    /// The directories of roots that are gone since.
    pub fn vanished<'a>(
        &'a self,
        scope: &'a SnapshotScope,
    ) -> impl Iterator<Item = &'a Utf8PathBuf> {
        let gone = self.directories.iter();
        gone.filter(|dir| !scope.directories.contains(*dir))
    }

    /// The file systems that are not mounted any more.
    pub fn away<'a>(&'a self, scope: &'a SnapshotScope) -> impl Iterator<Item = &'a Utf8PathBuf> {
        let known = scope.mounts.as_ref();
        let gone = self.mounts.iter();
        gone.filter(move |at| known.is_some_and(|mounts| !mounts.contains(*at)))
    }

    /// What the clock has skipped until now.
    pub fn skips(&self, now: Timestamp, uptime: Option<&Uptime>) -> Vec<Skip> {
        let last = Reading {
            at: self.taken_at,
            uptime: self.uptime.as_ref(),
        };
        elapsed::skips(last, &self.skips, Reading { at: now, uptime })
    }

    /// Refuses to believe a clock that cannot be right. `newest` is the youngest generation that is not of the future.
    ///
    /// Backwards, undo windows that ended are open again and the future is full of generations; forwards, every age
    /// that a rule asks for has passed at once, and so has every undo window.
    pub fn clock(&self, now: Timestamp, newest: Option<Timestamp>) -> Option<Blocker> {
        let refuse = |message: String, hint: &str| {
            let hint = hint.to_string();
            Some(Blocker::new(CheckCode::ClockJumped, message, hint))
        };
        let last = self.taken_at;
        if now.after(SLACK) < last {
            return refuse(
                format!("the clock is behind the last run, which was {last}"),
                "set the clock; if it was wrong at that run and is right now, accept this once",
            );
        }
        let youngest = newest.map_or(last, |newest| newest.max(last));
        if youngest.after(LONG) < now {
            return refuse(
                format!(
                    "the clock is more than {LONG} ahead of the last run and of every generation, the last of them \
                     {youngest}"
                ),
                "set the clock; if the machine was off for that long, accept this once",
            );
        }
        None
    }
}

/// The roots that were there in `before`, are gone in `after`, and were not removed by this run, in the order of their
/// links. A root whose place is gone is gone too: what it kept is live no longer, wherever the place went.
pub fn gone_between(before: &Snapshot, after: &Snapshot, run: &[Entry]) -> Vec<VanishedRoot> {
    let there = present(&after.roots);
    let held = held_roots(&after.holds);
    let removed = Removed::by(run);
    let known = before
        .roots
        .iter()
        .filter(|root| root.kind.may_be_missed() && root.state == RootState::Live);
    let gone = known.filter_map(|root| Some((&root.link, root.store_path.as_ref()?)));
    let gone = gone.filter(|(link, _)| !there.contains(link));
    let gone =
        gone.filter(|(link, path)| !held.contains(&(link, path)) && !removed.has(link, path));
    let gone = gone.map(|(link, store_path)| VanishedRoot {
        link: link.clone(),
        store_path: store_path.clone(),
    });
    gone.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The links of the roots that are there, or cannot be looked at.
fn present(roots: &[GcRoot]) -> HashSet<&Utf8PathBuf> {
    let is_there = |root: &&GcRoot| match root.state {
        RootState::Dangling(Dangling::LinkGone | Dangling::ParentMissing | Dangling::NotARoot) => {
            false
        }
        RootState::Live | RootState::Dangling(Dangling::PathGone) | RootState::Unreadable(_) => {
            true
        }
    };
    let there = roots.iter().filter(is_there);
    there.map(|root| &root.link).collect()
}

/// The roots in whose place there is a hold.
fn held_roots(holds: &[Hold]) -> HashSet<(&Utf8PathBuf, &StorePath<String>)> {
    let held = holds.iter().filter_map(|hold| match &hold.held {
        Held::Root { root } if hold.intact => Some((root, &hold.store_path)),
        _ => None,
    });
    held.collect()
}

/// The links that a run has removed.
struct Removed<'a>(HashSet<(String, &'a StorePath<String>)>);

impl<'a> Removed<'a> {
    fn by(run: &'a [Entry]) -> Self {
        let done = run.iter().filter(|entry| entry.outcome == Outcome::Done);
        let removed = done.filter_map(|entry| entry.action.removed_link());
        let named = removed.filter_map(|(link, path)| Some((link.file_name()?.to_string(), path)));
        Self(named.collect())
    }

    /// By the name of the link and its path: the directory may go by another name among the roots.
    fn has(&self, link: &Utf8Path, path: &StorePath<String>) -> bool {
        let name = link.file_name().map(str::to_string);
        name.is_some_and(|name| self.0.contains(&(name, path)))
    }
}

/// The roots that the next run should look for: those that are missing already and were not removed by this run, and as
/// many of the others as fit.
fn roots_of(snapshot: &Snapshot, run: &[Entry]) -> BTreeMap<Utf8PathBuf, StorePath<String>> {
    let removed = Removed::by(run);
    let made = snapshot.roots.iter().filter(|root| {
        // The links of the running system come and go by themselves.
        let lasts = root.kind.may_be_missed() && root.kind != RootKind::System;
        lasts && root.state == RootState::Live && root.exact
    });
    let made = made.filter_map(|root| {
        let uid = root.owner.as_ref().map(|owner| owner.uid);
        Some((uid, &root.link, root.store_path.as_ref()?))
    });
    let mut left = MAX_BYTES;
    let mut of_owner: HashMap<Option<u32>, usize> = HashMap::new();
    let mut roots = BTreeMap::new();
    let vanished = snapshot.vanished.iter();
    for root in vanished.filter(|root| !removed.has(&root.link, &root.store_path)) {
        left = left.saturating_sub(root.link.as_str().len() + PER_ROOT);
        roots.insert(root.link.clone(), root.store_path.clone());
    }
    for (uid, link, path) in made {
        let takes = link.as_str().len() + PER_ROOT;
        let own = of_owner.entry(uid).or_insert(MAX_BYTES_OF_OWNER);
        if takes <= left.min(*own) {
            (left, *own) = (left - takes, *own - takes);
            roots.insert(link.clone(), path.clone());
        }
    }
    roots
}

#[cfg(test)]
mod tests;
