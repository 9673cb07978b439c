//! The main job on a real store of every Nix: observe, decide, act, undo, as seen from outside.

#![cfg(test)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::adapters::process;
use nix_prune::adapters::progress_counter::ProgressCounter;
use nix_prune::adapters::scratch::{NewPath, Scratch, set_link_time};
use nix_prune::adapters::store::{Care, StoreCache, StoreReader};
use nix_prune::adapters::survey::Observer;
use nix_prune::domain::job::{
    CollectOperation, GenerationsOperation, Job, JobName, Operations, ProfileSelector,
    RootsOperation,
};
use nix_prune::domain::leftover::LeftoversOperation;
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::plan::Plan;
use nix_prune::domain::receipt::{Outcome, Receipt, RunKind};
use nix_prune::domain::retention::{KeepPolicy, KeepRules};
use nix_prune::domain::risk::RiskLevel;
use nix_prune::domain::snapshot::{Actor, Snapshot};
use nix_prune::domain::store_path::StorePath;
use nix_prune::engine::{Engine, Exact, Planner, gate};
use nix_prune::ports::{Clock, Interrupt, Survey};

use crate::retention::{YEAR_NOW, year_of_generations, year_rules};
use crate::support::{
    Daemon, Nix, by_hand, command, is_root, listing, program, run_command, script, skipped, time,
    unrestricted, with_each_nix,
};

/// A clock that is set by hand.
struct Hand(Cell<Timestamp>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        self.0.get()
    }
}

struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

/// A scratch store, our records, and a clock.
struct Machine {
    scratch: Scratch,
    journal: Journal,
    clock: Hand,
    places: nix_prune::adapters::nix_dirs::NixDirs,
    nix: NixCli,
}

impl Machine {
    fn new(bin: &Utf8Path, now: &str) -> Self {
        let scratch = Scratch::new(Some(bin)).unwrap();
        let records = scratch.base().join("records");
        fs::create_dir(&records).unwrap();
        fs::set_permissions(&records, fs::Permissions::from_mode(0o700)).unwrap();
        Self {
            journal: Journal::at(records),
            clock: Hand(Cell::new(time(now))),
            places: scratch.places(),
            nix: scratch.nix().unwrap(),
            scratch,
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
            clock: &self.clock,
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.observer().snapshot().unwrap()
    }

    /// The plan as every command makes it, with its prediction and its safety checks.
    fn plan(&self, job: &Job) -> Plan {
        let planner = Planner {
            survey: &self.observer(),
            store: &StoreReader {
                places: &self.places,
                proc: Utf8Path::new("/proc"),
                nix: Some(&self.nix),
                care: Care::Quick,
                previous_runs: &self.journal,
                in_run: false,
                cache: &StoreCache::default(),
                interrupt: &Never,
                counter: &ProgressCounter::default(),
            },
            nix: Some(&self.nix),
            remember: &self.journal,
        };
        planner.plan(&unrestricted(job), Exact::Always).unwrap()
    }

    fn run(&self, job: &Job) -> Receipt {
        let plan = self.plan(job);
        assert!(plan.failed_checks.is_empty(), "{:?}", plan.failed_checks);
        assert_eq!(plan.collection().is_some(), plan.prediction.paths.is_some());
        let approved = gate(&plan, RunKind::Run).unwrap();
        let observer = self.observer();
        self.engine(&observer)
            .apply(approved, Some(&unrestricted(job)))
            .unwrap()
    }

    fn run_after(&self, days: u32, job: &Job) -> Receipt {
        self.clock.0.set(self.clock.now().after(Span::days(days)));
        self.run(job)
    }

    fn undo(&self) -> Receipt {
        let observer = self.observer();
        self.engine(&observer).undo(None, &[]).unwrap()
    }

    fn engine<'a>(&'a self, survey: &'a Observer<'a>) -> Engine<'a, Journal> {
        Engine {
            survey,
            perform: &self.nix,
            remember: &self.journal,
            clock: &self.clock,
            interrupt: &Never,
        }
    }

    fn system(&self) -> Utf8PathBuf {
        self.scratch.state_dir().join("profiles/system")
    }

    /// A generation for each date, each with a dependency of its own beside a shared one.
    fn fill(&self, dates: &[&str]) -> Vec<StorePath<String>> {
        let shared = self.scratch.add_path("shared-1.0", &[], 50_000).unwrap();
        let mut new = Vec::new();
        for n in 1..=dates.len() {
            let own = format!("own-{n}");
            let path = self.scratch.path_named(&own).unwrap();
            new.push(NewPath::file(&own, 100_000));
            new.push(NewPath::file(&format!("system-{n}"), 1_000).refers_to(&[&shared, &path]));
        }
        self.scratch.add_paths(&new).unwrap();
        let mut paths = Vec::new();
        for (n, date) in (1..).zip(dates) {
            let path = self.scratch.path_named(&format!("system-{n}")).unwrap();
            let number = self
                .scratch
                .set_profile(&self.system(), &path, time(date))
                .unwrap();
            assert_eq!(number.0, n);
            paths.push(path);
        }
        paths
    }

    fn numbers(&self) -> Vec<u32> {
        let snapshot = self.snapshot();
        let system = snapshot
            .profiles
            .iter()
            .find(|p| p.path.to_path() == self.system());
        system.unwrap().generations.keys().map(|n| n.0).collect()
    }
}

fn job(rules: KeepRules) -> Job {
    Job {
        name: JobName::try_from("default".to_string()).unwrap(),
        max_risk: RiskLevel::High,
        safe_mode: true,
        undo_window: Span::days(7),
        protect: Arc::default(),
        budget: None,
        limits: nix_prune::domain::limits::Limits::default(),
        accept: std::collections::BTreeSet::new(),
        accepted: std::sync::Arc::default(),
        operations: Operations {
            generations: Some(GenerationsOperation {
                profiles: vec![ProfileSelector::System, ProfileSelector::Users],
                users: Vec::new(),
                keep: KeepPolicy::new(rules).unwrap(),
            }),
            roots: Some(RootsOperation {
                dangling: true,
                rules: Vec::new(),
                removed_users: None,
            }),
            leftovers: LeftoversOperation::default(),
            collect: Some(CollectOperation::default()),
            boot_menu: None,
            maintenance: Vec::new(),
        },
    }
}

/// Every link of the profiles' directory: its text, and its time to the nanosecond.
fn links(dir: &Utf8Path) -> BTreeMap<String, (Utf8PathBuf, i64, i64)> {
    let entries = dir.read_dir_utf8().unwrap().map(Result::unwrap);
    let links = entries.filter(|e| e.path().is_symlink());
    links
        .map(|e| {
            let data = e.path().symlink_metadata().unwrap();
            let text = e.path().read_link_utf8().unwrap();
            (
                e.file_name().to_string(),
                (text, data.mtime(), data.mtime_nsec()),
            )
        })
        .collect()
}

/// A directory of Nix's programs in which `tool` is a script; `{real}` in it stands for the program itself.
fn with_script(machine: &Utf8Path, nix: &Nix, tool: &str, text: &str) -> Utf8PathBuf {
    let bin = machine.join(format!("bin-{tool}"));
    fs::create_dir(&bin).unwrap();
    for entry in nix.bin.read_dir_utf8().unwrap() {
        let name = entry.unwrap().file_name().to_string();
        if name != tool {
            std::os::unix::fs::symlink(nix.bin.join(&name), bin.join(&name)).unwrap();
        }
    }
    let real = nix.bin.canonicalize_utf8().unwrap().join(tool);
    script(&bin.join(tool), &text.replace("{real}", real.as_str()));
    bin
}

/// The codes of the reasons to keep an item, or of the rule that removes it.
fn codes_of(item: &serde_json::Value) -> Vec<&str> {
    let kept = item["reasons"].as_array().into_iter().flatten();
    let kept = kept.map(|reason| match &reason["value"]["rule"] {
        rule if rule.is_string() => rule,
        _ => &reason["code"],
    });
    let removed = item["rule"].is_string().then_some(&item["rule"]);
    kept.chain(removed).map(|r| r.as_str().unwrap()).collect()
}

#[test]
fn a_year_is_thinned_out_held_undone_and_collected_with_every_nix() {
    with_each_nix(|nix| {
        let spy = tempfile::tempdir().unwrap();
        let spy = Utf8Path::from_path(spy.path()).unwrap();
        let said = spy.join("said");
        let text = format!("{{real}} \"$@\" >'{said}'; code=$?; cat '{said}'; exit $code");
        let bin = with_script(spy, nix, "nix-collect-garbage", &text);
        let machine = Machine::new(&bin, YEAR_NOW);
        let year = year_of_generations();
        let dates: Vec<&str> = year.iter().map(|row| row.1).collect();
        let paths = machine.fill(&dates);
        let job = job(year_rules());

        // The plan says what was worked out by hand, and changes nothing.
        let state = machine.scratch.state_dir();
        let before = listing(&state);
        let plan = machine.plan(&job);
        let document = serde_json::to_value(&plan).unwrap();
        assert_eq!(listing(&state), before, "the plan changed something");
        let items = document["items"].as_array().unwrap().iter();
        let items: Vec<_> = items
            .filter(|item| item["subject"]["kind"] == "generation")
            .collect();
        assert_eq!(items.len(), year.len());
        for (item, (number, _, keep, reasons)) in items.iter().zip(&year) {
            let mut expected: Vec<&str> = reasons.clone();
            if *number == 11 {
                expected.push("fallback");
            }
            let mut got = codes_of(item);
            if !keep {
                expected.push("noRuleKeepsIt");
            }
            got.sort_unstable();
            expected.sort_unstable();
            assert_eq!(item["subject"]["number"], *number);
            assert_eq!(
                item["verdict"],
                if *keep { "keep" } else { "remove" },
                "{number}"
            );
            assert_eq!(got, expected, "generation {number}");
        }

        // The run leaves exactly those; what went is held, and survives a collection by hand.
        let profiles = state.join("profiles");
        let all_links = links(&profiles);
        let receipt = machine.run(&job);
        assert_eq!(
            receipt.count(Outcome::Done),
            receipt.entries.len(),
            "{receipt:#?}"
        );
        let kept: Vec<u32> = year.iter().filter(|row| row.2).map(|row| row.0).collect();
        let dropped: Vec<&StorePath<String>> = paths
            .iter()
            .zip(&year)
            .filter(|(_, row)| !row.2)
            .map(|(p, _)| p)
            .collect();
        assert_eq!(machine.numbers(), kept);
        by_hand(&machine.scratch, "nix-collect-garbage", &[]);
        let store = machine.scratch.store().clone();
        for path in &dropped {
            let path = path.to_absolute_path(&store);
            by_hand(
                &machine.scratch,
                "nix-store",
                &["--check-validity", path.as_str()],
            );
            assert!(path.exists());
        }

        // Undo brings numbers, targets and times back, and each is a root again by itself.
        let undone = machine.undo();
        assert_eq!(undone.count(Outcome::Done), dropped.len(), "{undone:#?}");
        assert_eq!(links(&profiles), all_links);
        by_hand(&machine.scratch, "nix-collect-garbage", &[]);
        assert!(dropped.iter().all(|p| p.to_absolute_path(&store).exists()));

        // The run of the next day can tell that the window has ended. It frees them; the receipt says what Nix said.
        machine.run(&job);
        machine.run_after(8, &job);
        let last = machine.run_after(1, &job);
        assert_eq!(last.count(Outcome::Done), last.entries.len(), "{last:#?}");
        assert!(dropped.iter().all(|p| !p.to_absolute_path(&store).exists()));
        assert_eq!(
            last.bytes.paths,
            Some(2 * u64::try_from(dropped.len()).unwrap())
        );
        let line = fs::read_to_string(&said).unwrap();
        let (paths, bytes) = by_eye(&line);
        assert_eq!(last.bytes.paths, Some(paths), "{line}");
        let reported = last.bytes.reported.unwrap().0;
        assert!(
            reported.abs_diff(bytes) <= bytes / 100 + 1,
            "{reported} is not {line}"
        );
        assert!(last.bytes.measured.is_some());
        by_hand(
            &machine.scratch,
            "nix-store",
            &["--verify", "--check-contents"],
        );
    });
}

/// Reads `8 store paths deleted, 1.91 MiB freed` in another way than the program does.
fn by_eye(line: &str) -> (u64, u64) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|w| *w == "deleted,").unwrap();
    let number: f64 = words[at + 1].parse().unwrap();
    let unit = match words[at + 2] {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        other => panic!("{other}"),
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bytes = (number * unit) as u64;
    (words[at - 3].parse().unwrap(), bytes)
}

#[test]
fn trap_1_after_a_rollback_nothing_newer_goes_and_the_current_one_stays() {
    with_each_nix(|nix| {
        let machine = Machine::new(&nix.bin, YEAR_NOW);
        let dates: Vec<String> = (1..=9).map(|d| format!("2026-01-0{d}T00:00:00Z")).collect();
        let dates: Vec<&str> = dates.iter().map(String::as_str).collect();
        machine.fill(&dates);
        let system = machine.system();
        by_hand(
            &machine.scratch,
            "nix-env",
            &["-p", system.as_str(), "--switch-generation", "4"],
        );
        let receipt = machine.run(&job(KeepRules {
            last: Some(1),
            ..KeepRules::default()
        }));
        assert_eq!(machine.numbers(), [3, 4, 5, 6, 7, 8, 9], "{receipt:#?}");
        assert_eq!(system.read_link_utf8().unwrap(), "system-4-link");
    });
}

#[test]
fn a_dangling_root_is_removed_alone_and_comes_back() {
    with_each_nix(|nix| {
        let machine = Machine::new(&nix.bin, YEAR_NOW);
        machine.fill(&["2026-01-01T00:00:00Z"]);
        let work = machine.scratch.home().join("work");
        let away = machine.scratch.home().join("away");
        for (dir, name) in [(&work, "gone-1"), (&away, "gone-2")] {
            fs::create_dir(dir).unwrap();
            let path = machine.scratch.add_path(name, &[], 10).unwrap();
            machine
                .scratch
                .add_root(&dir.join("result"), &path)
                .unwrap();
        }
        fs::remove_file(work.join("result")).unwrap();
        // Trap 17: a home that is not mounted now.
        fs::rename(&away, machine.scratch.home().join("elsewhere")).unwrap();
        let auto = machine.scratch.state_dir().join("gcroots/auto");
        let before = links(&auto);
        let mut job = job(KeepRules {
            last: Some(1),
            ..KeepRules::default()
        });
        job.operations.collect = None;
        machine.run(&job);
        let after = links(&auto);
        let texts: Vec<&Utf8PathBuf> = after.values().map(|l| &l.0).collect();
        assert!(!texts.contains(&&work.join("result")));
        assert!(texts.contains(&&away.join("result")));
        let run = machine.journal.receipt(&last_run(&machine)).unwrap();
        let observer = machine.observer();
        machine.engine(&observer).undo(Some(&run.run), &[]).unwrap();
        let text = |l: &BTreeMap<String, (Utf8PathBuf, i64, i64)>| -> Vec<(String, Utf8PathBuf)> {
            l.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect()
        };
        assert_eq!(text(&links(&auto)), text(&before));
    });
}

fn last_run(machine: &Machine) -> nix_prune::domain::receipt::RunId {
    use nix_prune::ports::RunJournal;
    machine.journal.receipts().unwrap().pop().unwrap().run
}

#[test]
fn an_ordinary_user_of_a_daemon_thins_out_their_own_profile() {
    const USER: u32 = 54_321;
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let socket = scratch.base().join("sock");
        let _daemon = Daemon::start(&scratch, nix, &socket);
        let home = scratch.base().join("user");
        let profiles = home.join(".local/state/nix/profiles");
        fs::create_dir_all(&profiles).unwrap();
        // Without root the daemon is our own, and so is the user.
        let uid = if is_root() {
            USER
        } else {
            nix::unistd::geteuid().as_raw()
        };
        if is_root() {
            let mut dir = profiles.as_path();
            while dir != scratch.base() {
                chown(dir, Some(uid), Some(uid)).unwrap();
                dir = dir.parent().unwrap();
            }
        } else {
            skipped(
                "a daemon with an untrusted user, which takes root; the daemon was tested with its own user",
            );
        }
        let as_user = |command: &mut Command| {
            command
                .env("HOME", &home)
                .env("XDG_STATE_HOME", home.join(".local/state"))
                .env("XDG_CONFIG_HOME", home.join(".config"))
                .env("XDG_CACHE_HOME", home.join(".cache"))
                .env("NIX_REMOTE", "daemon")
                .env_remove("NIX_PRUNE_STATE_DIR")
                .env("NIX_DAEMON_SOCKET_PATH", &socket);
            if is_root() {
                use std::os::unix::process::CommandExt;
                command.uid(uid).gid(uid);
            }
            let ran = run_command(command);
            (ran.status, ran.stdout, ran.stderr)
        };
        let prune = |args: &[&str]| as_user(program(&scratch).args(args));

        // Nine generations of the user's own, and a system that belongs to the daemon's user.
        let profile = profiles.join("profile");
        for n in 1..=9u32 {
            let path = scratch.add_path(&format!("env-{n}"), &[], 1000).unwrap();
            let path = path.to_absolute_path(scratch.store());
            let mut set = command(nix.bin.join("nix-env"));
            set.env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap())
                .envs(scratch.env())
                .args(["-p", profile.as_str(), "--set", path.as_str()])
                .stdin(Stdio::null());
            let (status, _, stderr) = as_user(&mut set);
            assert_eq!(status, 0, "{stderr}");
            let link = profiles.join(format!("profile-{n}-link"));
            set_link_time(&link, time(&format!("2026-01-0{n}T00:00:00Z"))).unwrap();
        }
        let system = scratch.state_dir().join("profiles/system");
        for n in 1..=5 {
            let path = scratch.path_named(&format!("env-{n}")).unwrap();
            scratch
                .set_profile(&system, &path, time("2026-01-01T00:00:00Z"))
                .unwrap();
        }
        let system_before = links(system.parent().unwrap());
        let before = links(&profiles);

        let (status, stdout, stderr) = prune(&["run", "--keep-last", "2", "--yes", "--json"]);
        assert_eq!(status, 0, "{stdout}{stderr}");
        let left: Vec<String> = links(&profiles).into_keys().collect();
        assert_eq!(left, ["profile", "profile-8-link", "profile-9-link"]);
        if is_root() {
            assert_eq!(
                links(system.parent().unwrap()),
                system_before,
                "the system is not theirs"
            );
        }
        by_hand(&scratch, "nix-collect-garbage", &[]);
        for n in 1..=9 {
            let path = scratch.path_named(&format!("env-{n}")).unwrap();
            assert!(
                path.to_absolute_path(scratch.store()).exists(),
                "{n} was not held"
            );
        }
        let (status, stdout, stderr) = prune(&["undo"]);
        assert_eq!(status, 0, "{stdout}{stderr}");
        assert_eq!(links(&profiles), before);
        let owner = profiles
            .join("profile-3-link")
            .symlink_metadata()
            .unwrap()
            .uid();
        assert_eq!(owner, uid);
    });
}

#[test]
fn root_acts_in_a_users_directory_as_that_user() {
    const USER: u32 = 54_322;
    if !is_root() {
        skipped("root acting for another user, which takes root");
        return;
    }
    with_each_nix(|nix| {
        let machine = Machine::new(&nix.bin, YEAR_NOW);
        let home = machine.scratch.base().join("bob");
        let profiles = home.join(".local/state/nix/profiles");
        fs::create_dir_all(&profiles).unwrap();
        let passwd = machine.scratch.base().join("etc/passwd");
        let mut text = fs::read_to_string(&passwd).unwrap();
        let bob = format!("bob:x:{USER}:{USER}::{home}:/bin/sh\n");
        text.push_str(&bob);
        fs::write(&passwd, text).unwrap();
        // Who is root there has the socket of a daemon, as on a real machine.
        let socket = machine.scratch.base().join("sock");
        process::launch_with(env!("CARGO_BIN_EXE_nix-prune"));
        let _daemon = Daemon::start(&machine.scratch, nix, &socket);
        for n in 1..=5u32 {
            let path = machine
                .scratch
                .add_path(&format!("bob-{n}"), &[], 100)
                .unwrap();
            let date = time(&format!("2026-01-0{n}T00:00:00Z"));
            machine
                .scratch
                .set_profile(&profiles.join("profile"), &path, date)
                .unwrap();
        }
        let mut dir = profiles.as_path();
        while dir != machine.scratch.base() {
            chown(dir, Some(USER), Some(USER)).unwrap();
            dir = dir.parent().unwrap();
        }
        for entry in profiles.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            std::os::unix::fs::lchown(&path, Some(USER), Some(USER)).unwrap();
        }
        for n in 1..=5 {
            let link = profiles.join(format!("profile-{n}-link"));
            set_link_time(&link, time(&format!("2026-01-0{n}T00:00:00Z"))).unwrap();
        }
        let before = links(&profiles);
        let receipt = machine.run(&job(KeepRules {
            last: Some(2),
            ..KeepRules::default()
        }));
        assert_eq!(
            receipt.count(Outcome::Done),
            receipt.entries.len(),
            "{receipt:#?}"
        );
        let left: Vec<String> = links(&profiles)
            .into_keys()
            .filter(|n| n.ends_with("-link"))
            .collect();
        assert_eq!(left, ["profile-4-link", "profile-5-link"]);
        let undone = machine.undo();
        assert_eq!(undone.count(Outcome::Done), 3, "{undone:#?}");
        assert_eq!(links(&profiles), before);
        for name in links(&profiles).into_keys() {
            let owner = profiles.join(&name).symlink_metadata().unwrap().uid();
            assert_eq!(owner, USER, "{name}");
        }
    });
}
