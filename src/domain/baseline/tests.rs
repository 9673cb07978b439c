use super::*;
use rstest::rstest;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[rstest]
#[case::moments_later("2026-11-22T22:20:00Z", None, None)]
#[case::set_by_seconds("2026-11-22T22:13:00Z", None, None)]
#[case::as_far_behind_as_clocks_differ("2026-11-22T22:11:44Z", None, None)]
#[case::set_back_by_an_hour("2026-11-22T21:16:00Z", None, Some("behind the last run"))]
#[case::set_back_to_1970("1970-01-01T00:00:00Z", None, Some("2026-11-22T22:16:44Z"))]
#[case::five_months_later("2027-04-20T00:00:00Z", None, None)]
#[case::half_a_year_later("2027-05-21T22:16:44Z", None, None)]
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
        uptimes: Uptimes::new(),
    };
    let blocker = seen.clock(time(now), newest.map(time));
    assert_eq!(blocker.is_some(), says.is_some(), "{blocker:?}");
    if let (Some(blocker), Some(says)) = (blocker, says) {
        assert!(blocker.message.contains(says), "{}", blocker.message);
        // Accepting is by message, so that it must be the same a moment later.
        assert!(!blocker.message.contains(now));
    }
}

use crate::domain::profile::{Current, Owner, Profile, ProfileKind, ProfilePath};
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
        made_at: None,
    }
}

fn set(places: &[&str]) -> BTreeSet<Utf8PathBuf> {
    places.iter().map(|place| (*place).into()).collect()
}

fn snapshot(roots: Vec<GcRoot>) -> Snapshot {
    Snapshot {
        boot: crate::domain::boot_menu::BootState::default(),
        unseen_roots: None,
        taken_at: time("2026-11-22T22:16:44Z"),
        zone: jiff::tz::TimeZone::UTC,
        machine: MachineId("a machine".to_string()),
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        state_dir: "/state".into(),
        actor: Actor::Root,
        profiles: Vec::new(),
        roots,
        uses: std::collections::BTreeMap::new(),
        booted: Vec::new(),
        running: Vec::new(),
        pins: Vec::new(),
        holds: Vec::new(),
        vanished: Vec::new(),
        uptimes: BTreeMap::new(),
        flakes: Vec::new(),
        leftovers: Vec::new(),
        scope: SnapshotScope {
            directories: set(&["/state/gcroots/auto", "/state/profiles"]),
            mounts: Some(set(&["/", "/home", "/state", "/srv"])),
            uptime: None,
            skips: Vec::new(),
        },
        blockers: Vec::new(),
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
        root("/state/profiles/default", RootKind::System, 6),
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
    later.scope.directories = set(&["/state/profiles"]);
    later.scope.mounts = Some(set(&["/"]));
    later.taken_at = time("2026-11-23T00:00:00Z");
    assert_eq!(
        before.vanished(&later.scope).collect::<Vec<_>>(),
        ["/state/gcroots/auto"]
    );
    assert_eq!(before.away(&later.scope).collect::<Vec<_>>(), ["/home"]);
    assert_eq!(
        before.vanished(&full.scope).count() + before.away(&full.scope).count(),
        0
    );
    let unknown = SnapshotScope {
        mounts: None,
        ..later.scope.clone()
    };
    assert_eq!(before.away(&unknown).count(), 0);

    let accepted = RootBaseline::of(&later, &[], Some(&before));
    assert_eq!(
        (&accepted.directories, &accepted.mounts),
        (&set(&[]), &set(&[]))
    );
    assert_eq!(accepted.taken_at, later.taken_at);
    let blocker = |code| Blocker {
        places: vec!["/home".into()],
        ..Blocker::new(code, String::new(), String::new())
    };
    later.blockers = [
        CheckCode::RootsVanished,
        CheckCode::RootsAway,
        CheckCode::ClockJumped,
    ]
    .map(blocker)
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
        (0..3).map(move |n| GcRoot {
            owner: Some(Owner { uid, name: None }),
            ..root(&format!("/{uid}/{n}/{long}"), RootKind::Result, n)
        })
    };
    let of_one = RootBaseline::of(&snapshot(many(1).collect()), &[], None);
    assert_eq!(of_one.roots.len(), 2);
    let all = (1..=6).flat_map(many).collect();
    assert_eq!(RootBaseline::of(&snapshot(all), &[], None).roots.len(), 11);
    // What is missing already is never forgotten for want of space.
    let mut missing = snapshot(many(1).collect());
    let lost = |n: u32| VanishedRoot {
        link: format!("/lost/{n}/{long}").into(),
        store_path: path(n),
    };
    for (vanished, recorded) in [(10, 11), (14, 14)] {
        missing.vanished = (0..vanished).map(lost).collect();
        let of_all = RootBaseline::of(&missing, &[], None);
        assert_eq!(of_all.roots.len(), recorded, "{vanished} are missing");
    }
}

#[test]
fn uptimes_of_systems_that_are_still_there_are_recorded() {
    let mut snapshot = snapshot(Vec::new());
    let generation = |n: u32| {
        let number = crate::domain::profile::GenerationNumber(n);
        let generation = crate::domain::profile::Generation {
            number,
            target: format!("/nix/store/{}", path(n)).into(),
            content: crate::domain::profile::Content::Bootable(path(n)),
            specialisations: vec![path(10 + n)],
            created: snapshot.taken_at,
        };
        (number, generation)
    };
    let profile = |name: &str, kind, n| Profile {
        path: ProfilePath::new(Utf8Path::new(name)).unwrap(),
        kind,
        owner: Owner { uid: 0, name: None },
        current: Current::Known(crate::domain::profile::GenerationNumber(n)),
        generations: BTreeMap::from([generation(n)]),
        is_nix_own: false,
        blocked: None,
    };
    snapshot.profiles = vec![
        profile("/p/system", ProfileKind::System, 1),
        profile("/p/user", ProfileKind::User, 2),
    ];
    let uptimes = |paths: &[u32]| -> Uptimes {
        let known = paths.iter();
        known
            .map(|n| (path(*n), Span::seconds(u64::from(*n))))
            .collect()
    };
    // A system, a user's profile, a specialisation of the system, and one that is gone.
    snapshot.uptimes = uptimes(&[1, 2, 11, 3]);
    let baseline = RootBaseline::of(&snapshot, &[], None);
    assert_eq!(baseline.uptimes, uptimes(&[1, 11]));
    let written = serde_json::to_string(&baseline).unwrap();
    assert_eq!(
        serde_json::from_str::<RootBaseline>(&written).unwrap(),
        baseline
    );
}

#[rstest]
#[case(CheckCode::RootsVanished, "directories")]
#[case(CheckCode::RootsAway, "file systems")]
#[case(CheckCode::ClockJumped, "clock")]
#[case(CheckCode::JournalUnreadable, "")]
fn each_check_that_fails_keeps_known_what_it_is_about(
    #[case] code: CheckCode,
    #[case] known: &str,
) {
    let full = snapshot(vec![root("/home/a/result", RootKind::Result, 1)]);
    let before = RootBaseline::of(&full, &[], None);
    let mut later = snapshot(Vec::new());
    later.scope.directories = BTreeSet::new();
    later.scope.mounts = Some(BTreeSet::new());
    later.taken_at = time("2026-11-23T00:00:00Z");
    let places = vec!["/home".into()];
    let failed = Blocker::new(code, String::new(), String::new());
    later.blockers = vec![Blocker { places, ..failed }];
    let after = RootBaseline::of(&later, &[], Some(&before));
    assert_eq!(
        after.directories == before.directories,
        known == "directories"
    );
    assert_eq!(after.mounts == before.mounts, known == "file systems");
    assert_eq!(after.away == set(&["/home"]), known == "file systems");
    assert_eq!(after.taken_at == before.taken_at, known == "clock");
}

/// The entry of the removal of a generation that `/state/profiles/default-41-link` was.
fn removal(outcome: Outcome) -> Entry {
    let entry = serde_json::json!({
        "action": {
            "kind": "removeGeneration", "profile": "/state/profiles/default", "profileKind": "default",
            "owner": { "uid": 0, "name": "root" }, "number": 41, "target": "/nix/store/x",
            "storePath": path(1), "created": "2026-01-02T03:04:05Z", "current": 42, "hold": "0s",
        },
        "risk": "low", "outcome": outcome,
        "at": null, "detail": null, "undo": null, "undoneBy": null,
    });
    serde_json::from_value(entry).unwrap()
}

#[rstest]
#[case::removed(Outcome::Done, 1, true)]
#[case::another_path(Outcome::Done, 2, false)]
#[case::not_removed(Outcome::Failed, 1, false)]
fn what_the_run_removed_itself_is_not_missed(
    #[case] outcome: Outcome,
    #[case] led_to: u32,
    #[case] removed: bool,
) {
    // The directory goes by another name among the roots.
    let link = "/elsewhere/profiles/default-41-link";
    let before = snapshot(vec![root(link, RootKind::Profile, led_to)]);
    let run = [removal(outcome)];
    let missed = links(gone_between(&before, &snapshot(Vec::new()), &run));
    assert_eq!(missed.is_empty(), removed, "{missed:?}");
    let mut after = snapshot(Vec::new());
    after.vanished = gone_between(&before, &after, &[]);
    let recorded = RootBaseline::of(&after, &run, None).roots;
    assert_eq!(recorded.is_empty(), removed, "{recorded:?}");
}

#[test]
fn a_baseline_knows_how_far_its_clock_was_set_ahead() {
    let mut baseline = RootBaseline::of(&snapshot(Vec::new()), &[], None);
    let up = |seconds| Uptime {
        boot: "a".to_string(),
        seconds,
    };
    baseline.uptime = Some(up(1_000));
    let now = baseline.taken_at.after(Span::days(100));
    let skips = baseline.skips(now, Some(&up(1_000)));
    let skipped: Vec<_> = skips.iter().map(|skip| (skip.after, skip.length)).collect();
    assert_eq!(skipped, [(baseline.taken_at, Span::days(100))]);
    let proven = Some(up(1_000 + Span::days(100).as_seconds()));
    assert_eq!(baseline.skips(now, proven.as_ref()), []);
}
