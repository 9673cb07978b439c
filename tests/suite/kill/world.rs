//! A machine with something of everything to do, that can be put back to how it was; and what must hold of it always.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::scratch::{Contents, NewPath, Scratch, set_link_time};
use nix_prune::domain::plan::{Action, GenerationFacts};
use nix_prune::domain::receipt::{Outcome, Receipt};
use nix_prune::domain::store_path::StorePathRef;
use nix_prune::ports::RunJournal;

use super::tracer::{self, Step, Then, Traced};
use crate::support::{Nix, Ran, by_hand, command, program, run, run_command, script, time};

const SETTINGS: &str = r#"{
  "version": 2,
  "jobs": { "all": { "operations": {
    "generations": { "profiles": ["system", "users"], "keep": { "last": 2 } },
    "roots": { "dangling": true, "rules": [{ "kind": "result", "unusedFor": "30d" }] },
    "leftovers": { "buildDirs": "0s" },
    "collect": {},
    "bootMenu": {},
    "optimise": { "enabled": true },
    "verify": { "enabled": true }
  } } }
}"#;

/// What the system does to write its boot menu.
pub(crate) const WRITE_MENU: &str = "echo 'the menu was written' >&2";

type Links = BTreeMap<Utf8PathBuf, (Utf8PathBuf, std::time::SystemTime)>;

pub(crate) struct World {
    pub(crate) scratch: Scratch,
    /// The links of all profiles, and of an old project, before anything was dropped.
    all: Links,
    /// Those of the generations and of the project that the job drops.
    dropped: Vec<Utf8PathBuf>,
    /// What a root kept that is gone since a run saw it.
    built: Utf8PathBuf,
}

impl World {
    /// Two generations to drop, a hold to release, a root that vanished and dangles, one that is old, a build directory, and
    /// dead paths; and a system that writes a boot menu.
    pub(crate) fn new(nix: &Nix) -> Self {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let profiles = scratch.state_dir().join("profiles");
        let kernel = Contents::Tree(vec![("kernel".to_string(), vec![b'k'; 5000])]);
        fill(&scratch, &profiles.join("system"), "system", 2, &kernel);
        fill(
            &scratch,
            &profiles.join("default"),
            "default",
            4,
            &Contents::File(5000),
        );
        boot(&scratch, &profiles.join("system"));
        scratch.add_path("dead", &[], 10).unwrap();
        let config = scratch.home().join(".config/nix-prune");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("config.json"), SETTINGS).unwrap();
        let result = scratch.home().join("result");
        let path = scratch.add_path("built", &[], 10).unwrap();
        scratch.add_root(&result, &path).unwrap();
        // A hold whose window has ended when it comes to it.
        let args = [
            "run",
            "--keep-last=3",
            "--undo-window=1s",
            "--no-collect",
            "--yes",
        ];
        expect(&run(&scratch, &args), &[0]);
        fs::remove_file(&result).unwrap();
        let old = project(&scratch);
        let build = scratch.base().join("tmp/nix-build-a/dir");
        fs::create_dir_all(&build).unwrap();
        fs::write(build.join("file"), "left").unwrap();
        thread::sleep(Duration::from_millis(1100));
        let dropped = ["system-1-link", "default-2-link"];
        let dropped = dropped.map(|name| profiles.join(name)).into_iter();
        let mut world = Self {
            all: Links::new(),
            dropped: dropped.chain([old]).collect(),
            built: path.to_absolute_path(scratch.store()),
            scratch,
        };
        world.all = world.links();
        world
    }

    /// Runs our program, which has to end so.
    pub(crate) fn ends(&self, args: &[&str], statuses: &[i32]) -> Ran {
        let ran = run(&self.scratch, args);
        expect(&ran, statuses);
        ran
    }

    pub(crate) fn traced(&self, args: &[&str], decide: &mut dyn FnMut(&Step) -> Then) -> Traced {
        let mut command = program(&self.scratch);
        command.args(args);
        tracer::trace(&command, self.scratch.base(), decide).unwrap()
    }

    /// Remembers how everything is.
    pub(crate) fn save(&self) {
        self.shell("rm -rf \"$2\" && cp -a \"$1\" \"$2\"");
    }

    /// Puts everything back to how it was, with the blocks that were set aside, which a copy of the directory does not have.
    pub(crate) fn restore(&self) {
        self.shell("rm -rf \"$1\" && cp -a \"$2\" \"$1\"");
        let journal = Journal::at(self.scratch.base().join("state"));
        journal.restock(&journal.lock().unwrap());
    }

    fn shell(&self, script: &str) {
        let base = self.scratch.base();
        let saved = base.with_extension("saved");
        let mut command = command("/bin/sh");
        command.args(["-c", script, "sh", base.as_str(), saved.as_str()]);
        expect(&run_command(&mut command), &[0]);
    }

    /// Every generation that the rules keep is as it was, whatever happened.
    pub(crate) fn kept(&self) {
        let now = self.links();
        for (link, was) in &self.all {
            if !self.dropped.contains(link) {
                assert_eq!(
                    now.get(link),
                    Some(was),
                    "{link} was kept and is not as it was"
                );
                assert!(link.exists(), "{link} leads nowhere");
            }
        }
    }

    /// What the vanished root kept was not collected by a run of ours.
    pub(crate) fn not_collected(&self) {
        assert!(self.built.exists(), "{} is gone", self.built);
    }

    /// Every generation is as it was, and outlives a collection by hand.
    pub(crate) fn all_back(&self) {
        by_hand(&self.scratch, "nix-collect-garbage", &[]);
        assert_eq!(self.links(), self.all, "not everything came back");
        for link in self.all.keys() {
            assert!(link.exists(), "{link} leads nowhere");
        }
        by_hand(
            &self.scratch,
            "nix-store",
            &["--verify", "--check-contents"],
        );
    }

    /// What was dropped is held, or completely gone where that was allowed; what the records say is so.
    pub(crate) fn told_truly(&self, may_go: bool) {
        by_hand(&self.scratch, "nix-collect-garbage", &[]);
        let receipts = self.receipts();
        for link in &self.dropped {
            let target = self.all.get(link).map(|was| was.0.clone()).unwrap();
            let valid = self.is_valid(&target);
            assert_eq!(target.exists(), valid, "{target} is half gone");
            if !link.is_symlink() {
                assert!(valid || may_go, "{link} was dropped and is not held");
            }
        }
        for (nth, receipt) in receipts.iter().enumerate() {
            assert!(!receipt.is_interrupted(), "{} is still open", receipt.run);
            let later = receipts.get(nth + 1..).unwrap_or_default();
            let others = || receipts.iter().filter(|other| other.run != receipt.run);
            for entry in &receipt.entries {
                assert_ne!(entry.outcome, Outcome::Pending);
                let Some(there) = Self::is_there(&entry.action) else {
                    continue;
                };
                // Nix's own collector removes a dangling root as well.
                if matches!(entry.action, Action::RemoveRoot(_)) && !there {
                    continue;
                }
                // Whether an interrupted removal of leftovers finished is not known, and the record says so.
                let is_unknown = entry.outcome == Outcome::Skipped;
                if matches!(entry.action, Action::RemoveLeftovers(_)) && is_unknown {
                    continue;
                }
                // By a later run, or by the one that was killed after the plan of this one was drawn.
                let removed_by_another = others().any(|r| did(r, &entry.action));
                let truth = match entry.outcome {
                    Outcome::Done => {
                        !there || entry.undone_by.is_some() || is_put_back(later, entry)
                    }
                    _ => there || removed_by_another,
                };
                assert!(truth, "{} says {entry:#?}", receipt.run);
            }
        }
    }

    /// The last run completed every step of its plan.
    pub(crate) fn everything_done(&self) {
        let receipts = self.receipts();
        for entry in &receipts.last().unwrap().entries {
            assert_eq!(entry.outcome, Outcome::Done, "{entry:#?}");
        }
    }

    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        Journal::at(self.scratch.base().join("state"))
            .receipts()
            .unwrap()
    }

    /// Whether what an action takes away is there; `None` for what takes nothing of a name away.
    fn is_there(action: &Action) -> Option<bool> {
        match action {
            Action::RemoveGeneration(facts) => Some(generation(facts).is_symlink()),
            Action::RemoveRoot(facts) => Some(facts.entry.is_symlink()),
            Action::RemoveRootLink(facts) => Some(facts.link.is_symlink()),
            Action::RemoveLeftovers(facts) => Some(facts.dir.join("nix-build-a").exists()),
            Action::ReleaseHold(facts) => Some(facts.link.is_symlink()),
            _ => None,
        }
    }

    fn is_valid(&self, path: &Utf8Path) -> bool {
        let bin = self.scratch.bin().unwrap();
        let mut command = command(bin.join("nix-store"));
        command
            .env_clear()
            .envs(self.scratch.env())
            .args(["--check-validity", path.as_str()]);
        run_command(&mut command).status == 0
    }

    fn links(&self) -> Links {
        let mut links = links(&self.scratch.state_dir().join("profiles"));
        links.extend(self::links(&self.scratch.home().join("project")));
        links
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shell("chmod -R u+w \"$2\" 2>/dev/null; rm -rf \"$2\"");
    }
}

fn generation(facts: &GenerationFacts) -> Utf8PathBuf {
    facts.profile.link(facts.number)
}

fn did(receipt: &Receipt, action: &Action) -> bool {
    let done = |entry: &&nix_prune::domain::receipt::Entry| entry.outcome == Outcome::Done;
    let mut done = receipt.entries.iter().filter(done);
    done.any(|entry| match (&entry.action, action) {
        (Action::RemoveGeneration(a), Action::RemoveGeneration(b)) => {
            generation(a) == generation(b)
        }
        (Action::RemoveRoot(a), Action::RemoveRoot(b)) => a.entry == b.entry,
        (Action::RemoveRootLink(a), Action::RemoveRootLink(b)) => a.link == b.link,
        (Action::RemoveLeftovers(a), Action::RemoveLeftovers(b)) => a.dir == b.dir,
        (Action::ReleaseHold(a), Action::ReleaseHold(b)) => a.link == b.link,
        _ => false,
    })
}

fn is_put_back(later: &[Receipt], entry: &nix_prune::domain::receipt::Entry) -> bool {
    let mut entries = later.iter().flat_map(|receipt| &receipt.entries);
    entries.any(|later| match (&later.action, &entry.action) {
        (Action::RestoreGeneration(a), Action::RemoveGeneration(b)) => a == b,
        (Action::RestoreRoot(a), Action::RemoveRoot(b)) => a == b,
        (Action::RestoreRootLink(a), Action::RemoveRootLink(b)) => a == b,
        // The entry of a link that came back.
        (Action::RestoreRootLink(a), Action::RemoveRoot(b)) => a.entry == b.entry,
        // The entry of a generation that came back.
        (Action::RestoreGeneration(a), Action::RemoveRoot(b)) => generation(a) == b.link,
        _ => false,
    })
}

fn fill(scratch: &Scratch, profile: &Utf8Path, name: &str, count: usize, contents: &Contents) {
    let named = |n: usize| format!("{name}-{n}");
    let new: Vec<NewPath> = (1..=count)
        .map(|n| NewPath {
            contents: contents.clone(),
            ..NewPath::file(&named(n), 0)
        })
        .collect();
    scratch.add_paths(&new).unwrap();
    for n in 1..=count {
        let path = scratch.path_named(&named(n)).unwrap();
        let date = time(&format!("2026-01-{n:02}T00:00:00Z"));
        scratch.set_profile(profile, &path, date).unwrap();
    }
}

/// Makes a current system that writes the boot menu, with the program that a test puts in its place.
fn boot(scratch: &Scratch, profile: &Utf8Path) {
    let base = scratch.base();
    let dir = base.join("system");
    fs::create_dir_all(dir.join("bin")).unwrap();
    fs::write(dir.join("kernel"), "of a system that boots").unwrap();
    let name = "bin/switch-to-configuration";
    let text = format!("[ -x {base}/{name} ] && exec {base}/{name} \"$@\"\n{WRITE_MENU}");
    script(&dir.join(name), &text);
    // With its mode, and the hash that Nix verifies.
    let added = by_hand(scratch, "nix-store", &["--add", dir.as_str()]).stdout;
    fs::remove_dir_all(&dir).unwrap();
    let path = Utf8Path::new(added.trim()).file_name().unwrap();
    let path = StorePathRef::from_base_name(path).unwrap().to_owned();
    let date = time("2026-01-03T00:00:00Z");
    scratch.set_profile(profile, &path, date).unwrap();
}

/// Makes a link that no one has used for long.
fn project(scratch: &Scratch) -> Utf8PathBuf {
    let link = scratch.home().join("project/result");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    let path = scratch.add_path("old", &[], 10).unwrap();
    scratch.add_root(&link, &path).unwrap();
    set_link_time(&link, time("2025-01-01T00:00:00Z")).unwrap();
    link
}

/// Every link below a directory: its text, and its time to the nanosecond.
fn links(dir: &Utf8Path) -> Links {
    let mut links = Links::new();
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        let data = path.symlink_metadata().unwrap();
        if data.is_symlink() {
            let text = path.read_link_utf8().unwrap();
            links.insert(path, (text, data.modified().unwrap()));
        } else if data.is_dir() {
            links.extend(self::links(&path));
        }
    }
    links
}

pub(crate) fn expect(ran: &Ran, statuses: &[i32]) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        statuses.contains(&ran.status),
        "exit status {}: {said}",
        ran.status
    );
}
