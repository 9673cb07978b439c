//! What the last run saw, so that the next one notices what is missing: an entry of `gcroots` that is gone tells nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::measure::{Age, Timestamp};
use super::plan::Action;
use super::receipt::{Entry, Outcome, Receipt};
use super::refusal::{Refusal, RefusalCode};
use super::root::{Dangling, GcRoot, RootKind, RootState};
use super::snapshot::{Held, Hold, Snapshot, VanishedRoot};
use super::store_path::{StoreDir, StorePath};

/// Clocks are set by some seconds all the time.
const SLACK: Age = Age::minutes(5);
/// Half a year without a run and without a generation is more likely a wrong clock than a machine that slept.
const LONG: Age = Age::days(180);

/// What the record of roots may take, in bytes: who makes roots without end must not stop the runs of others.
const ROOM: usize = 24 << 20;
/// And of that the roots of one owner: some thirty thousand of usual length.
const ROOM_OF_AN_OWNER: usize = 6 << 20;
/// What a root takes beside its link: a store path, and the marks between.
const PER_ROOT: usize = 100;

/// Where roots are and lead to, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ground {
    /// Every directory below `gcroots` and `profiles`, readable or not.
    pub directories: BTreeSet<Utf8PathBuf>,
    /// Where file systems are mounted; `None` where the machine does not tell.
    pub mounts: Option<BTreeSet<Utf8PathBuf>>,
}

/// What a run saw of the roots of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
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
}

impl Seen {
    /// What this snapshot saw, but for what the run itself is about to take away. What was missing in it and was not let
    /// pass, or is not held yet, is still missing in the next one.
    pub fn of(snapshot: &Snapshot, run: &[Entry], before: Option<&Self>) -> Self {
        let live = snapshot
            .roots
            .iter()
            .filter(|root| root.state == RootState::Live && root.exact);
        let (mut directories, mut mounts) = (BTreeSet::new(), BTreeSet::new());
        for root in live {
            let name = root.entry.as_ref().unwrap_or(&root.link);
            let parent = name.parent().map(Utf8Path::to_path_buf);
            directories.extend(parent.filter(|dir| snapshot.ground.directories.contains(dir)));
            let all = snapshot.ground.mounts.iter().flatten();
            let on_the_way = all.filter(|at| at.as_str() != "/" && root.link.starts_with(at));
            // One that has the store or its state on it as well is not noticed to be away: nothing is there then.
            let elsewhere = on_the_way.filter(|at| !snapshot.state_dir.starts_with(at));
            mounts.extend(elsewhere.cloned());
        }
        let stands = |code| snapshot.refusals.iter().any(|refusal| refusal.code == code);
        if let Some(before) = before {
            if stands(RefusalCode::RootsVanished) {
                directories.extend(before.vanished(&snapshot.ground).cloned());
            }
            if stands(RefusalCode::RootsAway) {
                mounts.extend(before.away(&snapshot.ground).cloned());
            }
        }
        Self {
            store: snapshot.store.clone(),
            taken_at: snapshot.taken_at,
            directories,
            mounts,
            roots: roots_of(snapshot, run),
        }
    }

    /// Forgets the vanished roots that a run holds now, so that the end of the hold is the end of them; tells whether
    /// there were any.
    pub fn forget_held(&mut self, run: &Receipt) -> bool {
        let before = self.roots.len();
        for entry in &run.entries {
            if let (Action::HoldRoot(facts), Outcome::Done) = (&entry.action, entry.outcome)
                && self.roots.get(&facts.link) == Some(&facts.store_path)
            {
                self.roots.remove(&facts.link);
            }
        }
        self.roots.len() < before
    }

    /// The roots that are gone since, by their links, but for those that have their hold already. One that leads
    /// elsewhere now is not gone: its owner moved on. Nor is one that cannot be looked at, or may only be away.
    ///
    /// That something else leads to the same path is no reason to leave one out: a hold may end in this very run, and a
    /// booted system with the next boot.
    pub fn gone(&self, roots: &[GcRoot], holds: &[Hold]) -> Vec<VanishedRoot> {
        let is_there = |root: &&GcRoot| match root.state {
            RootState::Dangling(Dangling::LinkGone | Dangling::NotARoot) => false,
            RootState::Live
            | RootState::Dangling(Dangling::PlaceGone | Dangling::PathGone)
            | RootState::Unreadable(_) => true,
        };
        let there = roots.iter().filter(is_there).map(|root| &root.link);
        let there: HashSet<&Utf8PathBuf> = there.collect();
        let held = holds.iter().filter_map(|hold| match &hold.held {
            Held::Root { root } if hold.intact => Some((root, &hold.store_path)),
            _ => None,
        });
        let held: HashSet<(&Utf8PathBuf, &StorePath<String>)> = held.collect();
        let gone = self.roots.iter();
        let gone = gone.filter(|root| !there.contains(root.0) && !held.contains(root));
        gone.map(|(link, store_path)| VanishedRoot {
            link: link.clone(),
            store_path: store_path.clone(),
        })
        .collect()
    }

    /// The directories of roots that are gone since.
    pub fn vanished<'a>(&'a self, ground: &'a Ground) -> impl Iterator<Item = &'a Utf8PathBuf> {
        let gone = self.directories.iter();
        gone.filter(|dir| !ground.directories.contains(*dir))
    }

    /// The file systems that are not mounted any more.
    pub fn away<'a>(&'a self, ground: &'a Ground) -> impl Iterator<Item = &'a Utf8PathBuf> {
        let known = ground.mounts.as_ref();
        let gone = self.mounts.iter();
        gone.filter(move |at| known.is_some_and(|mounts| !mounts.contains(*at)))
    }

    /// Refuses to believe a clock that cannot be right. `newest` is the youngest generation that is not of the future.
    ///
    /// Backwards, undo windows that ended are open again and the future is full of generations; forwards, every age
    /// that a rule asks for has passed at once, and so has every undo window.
    pub fn clock(&self, now: Timestamp, newest: Option<Timestamp>) -> Option<Refusal> {
        let refuse = |message: String, hint: &str| {
            let hint = hint.to_string();
            Some(Refusal::new(RefusalCode::ClockJumped, message, hint))
        };
        let last = self.taken_at;
        if now.after(SLACK) < last {
            return refuse(
                format!("the clock is behind the last run, which was {last}"),
                "set the clock; if it was wrong at that run and is right now, let it pass once",
            );
        }
        let youngest = newest.map_or(last, |newest| newest.max(last));
        if youngest.after(LONG) < now {
            return refuse(
                format!(
                    "the clock is more than {LONG} ahead of the last run and of every generation, the last of them \
                     {youngest}"
                ),
                "set the clock; if the machine was off for so long, let it pass once",
            );
        }
        None
    }
}

/// The roots that the next run should look for: those that were missing already, and as many of the others as have room.
fn roots_of(snapshot: &Snapshot, run: &[Entry]) -> BTreeMap<Utf8PathBuf, StorePath<String>> {
    let drops = || {
        run.iter().filter_map(|entry| match &entry.action {
            Action::DropGeneration(facts) => Some(facts),
            _ => None,
        })
    };
    let dropped: HashSet<Utf8PathBuf> = drops()
        .map(|facts| facts.profile.link(facts.number))
        .collect();
    // What is held from now on is safe until the next run, whatever other name the generation has among the roots.
    let held: HashSet<&StorePath<String>> = drops()
        .filter(|facts| !facts.hold.is_zero())
        .map(|facts| &facts.store_path)
        .collect();
    let goes = |root: &GcRoot| {
        dropped.contains(&root.link) || root.store_path.as_ref().is_some_and(|p| held.contains(p))
    };
    let made = snapshot.roots.iter().filter(|root| match root.kind {
        RootKind::Profile
        | RootKind::Result
        | RootKind::Direnv
        | RootKind::Home
        | RootKind::Other => root.state == RootState::Live && root.exact && !goes(root),
        // They come and go by themselves.
        RootKind::System | RootKind::Process | RootKind::Temporary | RootKind::Hold => false,
    });
    let made = made.filter_map(|root| {
        let uid = root.owner.as_ref().map(|owner| owner.uid);
        Some((uid, &root.link, root.store_path.as_ref()?))
    });
    let mut left = ROOM;
    let mut of_owner: HashMap<Option<u32>, usize> = HashMap::new();
    let mut roots = BTreeMap::new();
    for root in &snapshot.vanished {
        left = left.saturating_sub(root.link.as_str().len() + PER_ROOT);
        roots.insert(root.link.clone(), root.store_path.clone());
    }
    for (uid, link, path) in made {
        let takes = link.as_str().len() + PER_ROOT;
        let own = of_owner.entry(uid).or_insert(ROOM_OF_AN_OWNER);
        if takes <= left.min(*own) {
            (left, *own) = (left - takes, *own - takes);
            roots.insert(link.clone(), path.clone());
        }
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::moments_later("2026-11-22T22:20:00Z", None, None)]
    #[case::set_by_seconds("2026-11-22T22:13:00Z", None, None)]
    #[case::set_back_by_an_hour("2026-11-22T21:16:00Z", None, Some("behind the last run"))]
    #[case::set_back_to_1970("1970-01-01T00:00:00Z", None, Some("2026-11-22T22:16:44Z"))]
    #[case::five_months_later("2027-04-20T00:00:00Z", None, None)]
    #[case::a_year_later("2027-11-22T00:00:00Z", None, Some("ahead of the last run"))]
    #[case::with_a_young_generation("2027-11-22T00:00:00Z", Some("2027-11-01T00:00:00Z"), None)]
    #[case::with_an_old_one(
        "2027-11-22T00:00:00Z",
        Some("2026-12-01T00:00:00Z"),
        Some("2026-12-01T00:00:00Z")
    )]
    fn a_clock_that_cannot_be_right_is_refused(
        #[case] now: &str,
        #[case] newest: Option<&str>,
        #[case] says: Option<&str>,
    ) {
        let seen = Seen {
            store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
            taken_at: time("2026-11-22T22:16:44Z"),
            directories: BTreeSet::new(),
            mounts: BTreeSet::new(),
            roots: BTreeMap::new(),
        };
        let refusal = seen.clock(time(now), newest.map(time));
        assert_eq!(refusal.is_some(), says.is_some(), "{refusal:?}");
        if let (Some(refusal), Some(says)) = (refusal, says) {
            assert!(refusal.message.contains(says), "{}", refusal.message);
            // Accepting is by message, so that it must be the same a moment later.
            assert!(!refusal.message.contains(now));
        }
    }
}
