//! The root baseline: roots, file systems and time that the last run saw, so that missing ones are noticed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::blocker::{Blocker, CheckCode};
use super::elapsed::{self, Reading, Skip, Uptime};
use super::measure::{Span, Timestamp};
use super::plan::GenerationFacts;
use super::receipt::{Entry, Outcome};
use super::root::{Dangling, GcRoot, RootKind, RootState};
use super::snapshot::{Held, Hold, Snapshot, VanishedRoot};
use super::store_path::{StoreDir, StorePath};

/// Clocks are set by some seconds all the time.
const SLACK: Span = Span::minutes(5);
/// Half a year without a run and without a generation is more likely a wrong clock than a machine that slept.
const LONG: Span = Span::days(180);

/// What the record of roots may take, in bytes: who makes roots without end must not stop the runs of others.
const ROOM: usize = 24 << 20;
/// And of that the roots of one owner: some thirty thousand of usual length.
const ROOM_OF_AN_OWNER: usize = 6 << 20;
/// What a root takes beside its link: a store path, and the marks between.
const PER_ROOT: usize = 100;

/// Where roots are and lead to, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotScope {
    /// Every directory below `gcroots` and `profiles`, readable or not.
    pub directories: BTreeSet<Utf8PathBuf>,
    /// Where file systems are mounted; `None` where the machine does not tell.
    pub mounts: Option<BTreeSet<Utf8PathBuf>>,
    /// How long the machine is up; `None` where it does not tell.
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
}

impl RootBaseline {
    /// What this snapshot saw. Roots that are missing in it and not held stay known, except those that the run itself has
    /// removed: a removal that was only planned, or failed, forgets nothing. Refusals that stand are kept as well.
    pub fn of(snapshot: &Snapshot, run: &[Entry], before: Option<&Self>) -> Self {
        let live = snapshot
            .roots
            .iter()
            .filter(|root| root.state == RootState::Live && root.exact);
        let (mut directories, mut mounts) = (BTreeSet::new(), BTreeSet::new());
        // One that has the store or its state on it as well is not noticed to be away: nothing is there then.
        let all = snapshot.ground.mounts.iter().flatten();
        let elsewhere: HashSet<&Utf8Path> = all
            .map(Utf8PathBuf::as_path)
            .filter(|at| at.as_str() != "/" && !snapshot.state_dir.starts_with(at))
            .collect();
        for root in live {
            let name = root.entry.as_ref().unwrap_or(&root.link);
            let parent = name.parent().map(Utf8Path::to_path_buf);
            directories.extend(parent.filter(|dir| snapshot.ground.directories.contains(dir)));
            // There may be a million roots and hundreds of mounts: each root is looked up by the directories above it.
            let on_the_way = root.link.ancestors().filter(|at| elsewhere.contains(at));
            mounts.extend(on_the_way.map(Utf8Path::to_path_buf));
        }
        let stands = |code| snapshot.refusals.iter().any(|refusal| refusal.code == code);
        if let Some(before) = before {
            if stands(CheckCode::RootsVanished) {
                directories.extend(before.vanished(&snapshot.ground).cloned());
            }
            if stands(CheckCode::RootsAway) {
                mounts.extend(before.away(&snapshot.ground).cloned());
            }
        }
        let refusals = snapshot.refusals.iter();
        let away = refusals.filter(|refusal| refusal.code == CheckCode::RootsAway);
        // A clock that nobody has accepted must not become the one that later runs are compared with.
        let clock = before.filter(|_| stands(CheckCode::ClockJumped));
        Self {
            store: snapshot.store.clone(),
            taken_at: clock.map_or(snapshot.taken_at, |before| before.taken_at),
            uptime: match clock {
                Some(before) => before.uptime.clone(),
                None => snapshot.ground.uptime.clone(),
            },
            skips: match clock {
                Some(before) => before.skips.clone(),
                None => snapshot.ground.skips.clone(),
            },
            directories,
            mounts,
            roots: roots_of(snapshot, run),
            away: away.flat_map(|refusal| refusal.places.clone()).collect(),
        }
    }

    /// The roots that are gone since, by their links, but for those that have their hold already. One that leads
    /// elsewhere now is not gone: its owner moved on. Nor is one that cannot be looked at. One whose place is gone may only
    /// be away; who lets that pass has what it kept for an undo window.
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
        ground: &'a SnapshotScope,
    ) -> impl Iterator<Item = &'a Utf8PathBuf> {
        let gone = self.directories.iter();
        gone.filter(|dir| !ground.directories.contains(*dir))
    }

    /// The file systems that are not mounted any more.
    pub fn away<'a>(&'a self, ground: &'a SnapshotScope) -> impl Iterator<Item = &'a Utf8PathBuf> {
        let known = ground.mounts.as_ref();
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

/// The generations that a run has removed.
struct Removed<'a>(HashSet<(String, &'a StorePath<String>)>);

impl<'a> Removed<'a> {
    fn by(run: &'a [Entry]) -> Self {
        let done = run.iter().filter(|entry| entry.outcome == Outcome::Done);
        let removed = done.filter_map(|entry| entry.action.removed_generation());
        let name = |facts: &'a GenerationFacts| {
            let link = facts.profile.link_name(facts.number);
            (link, &facts.store_path)
        };
        Self(removed.map(name).collect())
    }

    /// By the name of the link and its path: the directory may go by another name among the roots.
    fn has(&self, link: &Utf8Path, path: &StorePath<String>) -> bool {
        let name = link.file_name().map(str::to_string);
        name.is_some_and(|name| self.0.contains(&(name, path)))
    }
}

/// The roots that the next run should look for: those that are missing already and were not removed by this run, and as
/// many of the others as have room.
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
    let mut left = ROOM;
    let mut of_owner: HashMap<Option<u32>, usize> = HashMap::new();
    let mut roots = BTreeMap::new();
    let vanished = snapshot.vanished.iter();
    for root in vanished.filter(|root| !removed.has(&root.link, &root.store_path)) {
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
        let seen = RootBaseline {
            store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
            taken_at: time("2026-11-22T22:16:44Z"),
            directories: BTreeSet::new(),
            mounts: BTreeSet::new(),
            roots: BTreeMap::new(),
            away: BTreeSet::new(),
            uptime: None,
            skips: Vec::new(),
        };
        let refusal = seen.clock(time(now), newest.map(time));
        assert_eq!(refusal.is_some(), says.is_some(), "{refusal:?}");
        if let (Some(refusal), Some(says)) = (refusal, says) {
            assert!(refusal.message.contains(says), "{}", refusal.message);
            // Accepting is by message, so that it must be the same a moment later.
            assert!(!refusal.message.contains(now));
        }
    }

    use crate::domain::profile::Owner;
    use crate::domain::snapshot::{Actor, MachineId};
    use crate::domain::store_path::StorePathRef;

    fn path(n: u32) -> StorePath<String> {
        let name = format!("{n:032}-path");
        StorePathRef::from_base_name(&name).unwrap().to_owned()
    }

    fn root(link: &str, kind: RootKind, n: u32) -> GcRoot {
        GcRoot {
            link: link.into(),
            entry: Some(format!("/state/gcroots/auto/{n}").into()),
            exact: true,
            target: None,
            store_path: Some(path(n)),
            kind,
            owner: Some(Owner {
                uid: 1000,
                name: None,
            }),
            state: RootState::Live,
            last_used: None,
        }
    }

    fn set(places: &[&str]) -> BTreeSet<Utf8PathBuf> {
        places.iter().map(|place| (*place).into()).collect()
    }

    fn snapshot(roots: Vec<GcRoot>) -> Snapshot {
        Snapshot {
            unseen_roots: None,
            taken_at: time("2026-11-22T22:16:44Z"),
            zone: jiff::tz::TimeZone::UTC,
            machine: MachineId("a machine".to_string()),
            store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
            state_dir: "/state".into(),
            actor: Actor::Root,
            profiles: Vec::new(),
            roots,
            booted: Vec::new(),
            running: Vec::new(),
            pins: Vec::new(),
            holds: Vec::new(),
            vanished: Vec::new(),
            ground: SnapshotScope {
                directories: set(&["/state/gcroots/auto", "/state/profiles"]),
                mounts: Some(set(&["/", "/home", "/state", "/srv"])),
                uptime: None,
                skips: Vec::new(),
            },
            refusals: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn hold(link: &str, n: u32, intact: bool) -> Hold {
        Hold {
            run: crate::domain::receipt::RunId::at(time("2026-11-22T22:16:44Z"), 1),
            link: format!("/holds/{n}").into(),
            store_path: path(n),
            held: Held::Root { root: link.into() },
            until: time("2026-11-29T22:16:44Z"),
            intact,
        }
    }

    fn links(roots: Vec<VanishedRoot>) -> Vec<Utf8PathBuf> {
        roots.into_iter().map(|root| root.link).collect()
    }

    #[test]
    fn what_somebody_made_is_remembered_with_its_place() {
        let seen = snapshot(vec![
            root("/home/a/result", RootKind::Result, 1),
            root("/run/booted-system", RootKind::System, 2),
            root("/proc/1/exe", RootKind::Process, 3),
            GcRoot {
                exact: false,
                ..root("/srv/odd", RootKind::Result, 4)
            },
            GcRoot {
                state: RootState::Dangling(Dangling::LinkGone),
                ..root("/srv/gone", RootKind::Result, 5)
            },
        ]);
        let baseline = RootBaseline::of(&seen, &[], None);
        assert_eq!(
            baseline.roots.into_iter().collect::<Vec<_>>(),
            [("/home/a/result".into(), path(1))]
        );
        assert_eq!(baseline.directories, set(&["/state/gcroots/auto"]));
        assert_eq!(
            baseline.mounts,
            set(&["/home"]),
            "not where the state is as well"
        );
        assert_eq!(
            (baseline.taken_at, baseline.away),
            (seen.taken_at, BTreeSet::new())
        );
    }

    #[test]
    fn what_is_missing_stays_known_until_somebody_accepts_it() {
        let full = snapshot(vec![root("/home/a/result", RootKind::Result, 1)]);
        let before = RootBaseline::of(&full, &[], None);
        let mut later = snapshot(Vec::new());
        later.ground.directories = set(&["/state/profiles"]);
        later.ground.mounts = Some(set(&["/"]));
        later.taken_at = time("2026-11-23T00:00:00Z");
        assert_eq!(
            before.vanished(&later.ground).collect::<Vec<_>>(),
            ["/state/gcroots/auto"]
        );
        assert_eq!(before.away(&later.ground).collect::<Vec<_>>(), ["/home"]);
        assert_eq!(
            before.vanished(&full.ground).count() + before.away(&full.ground).count(),
            0
        );
        let unknown = SnapshotScope {
            mounts: None,
            ..later.ground.clone()
        };
        assert_eq!(before.away(&unknown).count(), 0);

        let accepted = RootBaseline::of(&later, &[], Some(&before));
        assert_eq!(
            (&accepted.directories, &accepted.mounts),
            (&set(&[]), &set(&[]))
        );
        assert_eq!(accepted.taken_at, later.taken_at);
        let refusal = |code| Blocker {
            places: vec!["/home".into()],
            ..Blocker::new(code, String::new(), String::new())
        };
        later.refusals = [
            CheckCode::RootsVanished,
            CheckCode::RootsAway,
            CheckCode::ClockJumped,
        ]
        .map(refusal)
        .into();
        let refused = RootBaseline::of(&later, &[], Some(&before));
        assert_eq!(
            (&refused.directories, &refused.mounts),
            (&before.directories, &before.mounts)
        );
        assert_eq!(
            (refused.taken_at, refused.away),
            (before.taken_at, set(&["/home"]))
        );
    }

    #[test]
    fn a_root_is_gone_only_where_nothing_stands_in_its_place() {
        let there = [("/a", 1), ("/b", 2), ("/c", 3), ("/d", 4)];
        let roots = there.map(|(link, n)| root(link, RootKind::Result, n));
        let before = snapshot(roots.to_vec());
        let baseline = RootBaseline::of(&before, &[], None);
        let mut after = snapshot(vec![
            // It leads elsewhere now; it cannot be looked at; its link, or its path, is gone.
            root("/a", RootKind::Result, 9),
            GcRoot {
                state: RootState::Unreadable(String::new()),
                ..roots[1].clone()
            },
            GcRoot {
                state: RootState::Dangling(Dangling::LinkGone),
                ..roots[2].clone()
            },
            GcRoot {
                state: RootState::Dangling(Dangling::PathGone),
                ..roots[3].clone()
            },
        ]);
        let gone = |after: &Snapshot| {
            let gone = links(baseline.gone(&after.roots, &after.holds));
            assert_eq!(gone, links(gone_between(&before, after, &[])));
            gone
        };
        assert_eq!(gone(&after), ["/c"]);
        after.holds = vec![
            hold("/c", 3, false),
            hold("/c", 4, true),
            hold("/d", 3, true),
        ];
        assert_eq!(
            gone(&after),
            ["/c"],
            "another path, another link, a hold that is none"
        );
        after.holds.push(hold("/c", 3, true));
        assert_eq!(gone(&after), Vec::<Utf8PathBuf>::new());
    }

    #[test]
    fn what_comes_and_goes_by_itself_is_not_missed_in_a_run() {
        let kinds = [
            RootKind::Process,
            RootKind::Temporary,
            RootKind::Hold,
            RootKind::System,
        ];
        let roots = kinds
            .into_iter()
            .zip(1..)
            .map(|(kind, n)| root(&format!("/{n}"), kind, n));
        let before = snapshot(roots.collect());
        assert_eq!(
            links(gone_between(&before, &snapshot(Vec::new()), &[])),
            ["/4"]
        );
    }

    #[test]
    fn the_record_has_room_for_so_many_roots_of_an_owner_and_of_all() {
        let long = "x".repeat(2 << 20);
        let many = |uid: u32| {
            let long = long.clone();
            (0..4).map(move |n| GcRoot {
                owner: Some(Owner { uid, name: None }),
                ..root(&format!("/{uid}/{n}/{long}"), RootKind::Result, n)
            })
        };
        let of_one = RootBaseline::of(&snapshot(many(1).collect()), &[], None);
        assert_eq!(of_one.roots.len(), 2);
        let all = (1..=20).flat_map(many).collect();
        assert_eq!(RootBaseline::of(&snapshot(all), &[], None).roots.len(), 11);
        // What is missing already is never forgotten for want of room.
        let mut missing = snapshot(many(1).collect());
        let lost = |n: u32| VanishedRoot {
            link: format!("/lost/{n}/{long}").into(),
            store_path: path(n),
        };
        missing.vanished = (0..14).map(lost).collect();
        assert_eq!(RootBaseline::of(&missing, &[], None).roots.len(), 14);
    }
}
