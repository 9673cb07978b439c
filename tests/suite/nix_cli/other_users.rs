//! Root acts in the directories of other users: as they, and with their rights only.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix_prune::adapters::process::{self, Account, ChildEnv, Program};
use nix_prune::adapters::scratch::{Scratch, set_link_time};
use nix_prune::domain::measure::Span;
use nix_prune::domain::plan::GenerationFacts;
use nix_prune::domain::profile::{GenerationNumber, Owner, ProfileKind, ProfilePath};
use nix_prune::ports::{Interrupt, LinkState, NixActions, PerformError};

use super::{assert_stale, created};
use crate::support::{
    Nix, by_hand, command, is_root, listing, run_command, skipped, with_each_nix,
};

pub(super) const EVE: u32 = 4242;

/// A store with a daemon, and a user in it who has a profile with two generations.
pub(super) struct Machine {
    pub(super) scratch: Scratch,
    daemon: Child,
    facts: GenerationFacts,
}

impl Machine {
    pub(super) fn new(nix: &Nix) -> Self {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let home = scratch.base().join("eve");
        let dir = home.join(".local/state/nix/profiles");
        fs::create_dir_all(&dir).unwrap();
        let passwd = scratch.base().join("etc/passwd");
        let mut users = fs::read_to_string(&passwd).unwrap();
        writeln!(users, "eve:x:{EVE}:{EVE}::{home}:/bin/sh").unwrap();
        fs::write(&passwd, users).unwrap();
        for dir in [
            "eve",
            "eve/.local",
            "eve/.local/state",
            "eve/.local/state/nix",
        ] {
            chown(scratch.base().join(dir), Some(EVE), Some(EVE)).unwrap();
        }
        chown(&dir, Some(EVE), Some(EVE)).unwrap();
        let paths = ["eve-1", "eve-2"].map(|name| scratch.add_path(name, &[], 1_000).unwrap());
        let daemon = start_daemon(&scratch);
        let profile = ProfilePath::new(&dir.join("profile")).unwrap();
        for (number, path) in (1u32..).zip(&paths) {
            let target = path.to_absolute_path(scratch.store());
            let args =
                ["-p", profile.to_path().as_str(), "--set", target.as_str()].map(String::from);
            as_eve(&scratch, "nix-env", &args);
            set_link_time(&profile.link(GenerationNumber(number)), created(number)).unwrap();
        }
        let facts = GenerationFacts {
            profile,
            profile_kind: ProfileKind::User,
            owner: Owner {
                uid: EVE,
                name: Some("eve".into()),
            },
            number: GenerationNumber(1),
            target: paths[0].to_absolute_path(scratch.store()),
            store_path: paths[0].clone(),
            created: created(1),
            current: GenerationNumber(2),
            hold: Span::days(7),
        };
        Self {
            scratch,
            daemon,
            facts,
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn start_daemon(scratch: &Scratch) -> Child {
    let socket = scratch.base().join("sock");
    let daemon = command(scratch.bin().unwrap().join("nix-daemon"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(scratch.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !socket.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "no daemon");
        std::thread::sleep(Duration::from_millis(5));
    }
    daemon
}

pub(super) fn as_eve(scratch: &Scratch, tool: &str, args: &[String]) {
    let mut command = command(scratch.bin().unwrap().join(tool));
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(scratch.env())
        .env_remove("NIX_REMOTE")
        .env_remove("XDG_STATE_HOME")
        .env("HOME", scratch.base().join("eve"))
        .env("USER", "eve")
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .gid(EVE)
        .uid(EVE);
    let ran = run_command(&mut command);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

/// Only root can do this; others are refused, which is tested instead.
pub(super) fn as_root(test: impl Fn(&Nix)) {
    if is_root() {
        process::launch_with(env!("CARGO_BIN_EXE_nix-prune"));
        with_each_nix(test);
    } else {
        skipped("acting as another user is not tested, because these tests do not run as root");
    }
}

#[test]
fn a_users_generation_goes_and_comes_back_as_the_users() {
    as_root(|nix| {
        let m = Machine::new(nix);
        let cli = m.scratch.nix().unwrap();
        let hold = m.scratch.base().join("state/holds/run/0");
        fs::create_dir_all(hold.parent().unwrap()).unwrap();
        cli.hold(&m.facts.store_path, &hold).unwrap();
        cli.remove_generation(&m.facts).unwrap();
        assert_eq!(cli.see_generation(&m.facts).unwrap(), LinkState::Gone);
        cli.restore_generation(&m.facts, nix_prune::ports::RestoreMode::Fresh)
            .unwrap();
        assert_eq!(cli.see_generation(&m.facts).unwrap(), LinkState::Unchanged);
        let link = m
            .facts
            .profile
            .link(m.facts.number)
            .symlink_metadata()
            .unwrap();
        assert_eq!((link.uid(), link.gid()), (EVE, EVE));
        // The whole home is still the user's, and root's is untouched.
        for (name, entry) in listing(&m.scratch.base().join("eve")) {
            assert!(entry.contains(&format!(" {EVE}:{EVE} ")), "{name}: {entry}");
        }
        // A generation in a home is a root by its entry alone (trap 14).
        fs::remove_file(&hold).unwrap();
        by_hand(&m.scratch, "nix-collect-garbage", &[]);
        assert!(m.facts.target.exists());
    });
}

#[test]
fn a_directory_that_is_not_the_users_any_more_is_left_alone() {
    as_root(|nix| {
        let m = Machine::new(nix);
        let cli = m.scratch.nix().unwrap();
        chown(m.facts.profile.dir(), Some(EVE + 1), None).unwrap();
        let before = listing(m.facts.profile.dir());
        assert_stale(
            cli.remove_generation(&m.facts),
            "is now in a directory of the user 4243",
        );
        assert_stale(
            cli.restore_generation(&m.facts, nix_prune::ports::RestoreMode::Fresh),
            "is now in a directory of the user 4243",
        );
        assert_eq!(listing(m.facts.profile.dir()), before);
    });
}

#[test]
fn a_link_of_a_user_does_not_lead_root_into_a_directory_of_its_own() {
    as_root(|nix| {
        let m = Machine::new(nix);
        let cli = m.scratch.nix().unwrap();
        cli.remove_generation(&m.facts).unwrap();
        // The user moves the directory away and puts a link where its parent was: to a directory that only root can
        // write, but that once was handed to them.
        let state = m.scratch.base().join("eve/.local/state");
        let trap = m.scratch.base().join("trap");
        fs::create_dir_all(trap.join("nix")).unwrap();
        fs::rename(m.facts.profile.dir(), trap.join("nix/profiles")).unwrap();
        fs::set_permissions(&trap, fs::Permissions::from_mode(0o700)).unwrap();
        fs::rename(&state, m.scratch.base().join("eve/.local/old")).unwrap();
        symlink(&trap, &state).unwrap();
        let before = listing(&trap);
        let error = cli
            .restore_generation(&m.facts, nix_prune::ports::RestoreMode::Fresh)
            .unwrap_err();
        assert!(matches!(error, PerformError::File { .. }), "{error:?}");
        assert_eq!(listing(&trap), before);
    });
}

#[test]
fn trap_44_nobody_acts_for_a_user_whom_nobody_knows() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let f = super::Fixture::new(scratch);
        let mut facts = f.facts(1);
        facts.owner.uid = 3_999_999_999;
        let cli = f.scratch.nix().unwrap();
        let before = listing(f.profile.dir());
        for error in [
            cli.remove_generation(&facts).unwrap_err(),
            cli.restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh)
                .unwrap_err(),
        ] {
            assert!(
                error.to_string().contains("act for the user 3999999999"),
                "{error}"
            );
        }
        assert_eq!(listing(f.profile.dir()), before);
    });
}

/// Of a removed user every generation is removed, the current one as well, with the rights of the number alone; and put back.
#[test]
fn trap_44_a_removed_user_needs_no_account() {
    if !is_root() {
        return skipped("only root acts for other users");
    }
    process::launch_with(env!("CARGO_BIN_EXE_nix-prune"));
    with_each_nix(|nix| {
        let machine = Machine::new(nix);
        let passwd = machine.scratch.base().join("etc/passwd");
        let users = fs::read_to_string(&passwd).unwrap();
        let left = users.lines().filter(|line| !line.starts_with("eve:"));
        fs::write(&passwd, left.collect::<Vec<_>>().join("\n")).unwrap();
        let profile = &machine.facts.profile;
        let links = [1, 2].map(|number| profile.link(GenerationNumber(number)));
        let facts = [1, 2].map(|number| {
            let path = machine
                .scratch
                .path_named(&format!("eve-{number}"))
                .unwrap();
            GenerationFacts {
                profile_kind: ProfileKind::RemovedUser,
                owner: Owner {
                    uid: EVE,
                    name: None,
                },
                number: GenerationNumber(number),
                target: path.to_absolute_path(machine.scratch.store()),
                store_path: path,
                created: created(number),
                ..machine.facts.clone()
            }
        });
        let seen = || {
            links.clone().map(|link| {
                let found = link.symlink_metadata().ok()?;
                let text = link.read_link_utf8().unwrap();
                Some((text, found.mtime(), found.mtime_nsec(), found.uid()))
            })
        };
        let before = seen();
        let cli = machine.scratch.nix().unwrap();
        // In a directory of another owner, and where the owner may not write, nothing is done.
        let dir = profile.dir();
        for (owner, mode) in [(0, 0o755), (EVE + 1, 0o777), (EVE, 0o555)] {
            chown(dir, Some(owner), None).unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                cli.remove_generation(&facts[0]).is_err(),
                "{owner} {mode:o}"
            );
            assert_eq!(seen(), before);
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        for facts in &facts {
            cli.remove_generation(facts).unwrap();
            assert_stale(cli.remove_generation(facts), "no longer exists");
        }
        assert_eq!(seen(), [None, None]);
        // The profile itself stays, so that what is put back has one.
        assert!(profile.to_path().is_symlink());
        for facts in &facts {
            cli.restore_generation(facts, nix_prune::ports::RestoreMode::Fresh)
                .unwrap();
        }
        assert_eq!(seen(), before);
        // They are roots where they are.
        by_hand(&machine.scratch, "nix-store", &["--gc"]);
        for facts in &facts {
            assert!(facts.target.exists());
        }
        // An account that came back after the last look.
        fs::write(&passwd, &users).unwrap();
        assert_stale(cli.remove_generation(&facts[0]), "has an account");
        assert_eq!(seen(), before);
        fs::write(&passwd, "").unwrap();
        // Without the kind nobody acts for the number.
        let mut facts = facts[0].clone();
        facts.profile_kind = ProfileKind::User;
        assert!(cli.remove_generation(&facts).is_err());
        assert_eq!(seen(), before);
    });
}

/// Nobody asks to stop.
struct Never;

impl Interrupt for Never {
    fn requested(&self) -> bool {
        false
    }
}

fn eve(home: &str) -> Account {
    Account {
        uid: EVE,
        gid: EVE + 1,
        name: "eve".into(),
        home: home.into(),
    }
}

/// What a script of `/bin/sh` prints that runs as the user, with variables of root's around it.
fn printed_as_eve(account: &Account, script: &str) -> String {
    process::launch_with(env!("CARGO_BIN_EXE_nix-prune"));
    let child_env: ChildEnv = [
        ("PATH", "/usr/bin:/bin:/run/current-system/sw/bin"),
        ("NIX_REMOTE", "local"),
        ("NIX_CONFIG", "x"),
        ("NIX_USER_CONF_FILES", "/etc/of-root/nix.conf"),
        ("XDG_CONFIG_HOME", "/etc/of-root"),
        ("SECRET", "of root"),
    ]
    .into_iter()
    .collect();
    let sh = Program::find("sh", None, &child_env).unwrap();
    let output = process::Command::new(&sh, &child_env, Duration::from_secs(30))
        .args(["-c", script])
        .run_as(Some(account))
        .run(&Never)
        .unwrap();
    output.stdout.text()
}

#[test]
fn commands_of_other_users_get_nothing_of_roots() {
    if !is_root() {
        return skipped(
            "commands of other users are not tested, because these tests do not run as root",
        );
    }
    // A file that whoever started the run left open for everything that it starts.
    let left_open = fs::File::open("/etc/passwd").unwrap();
    nix::fcntl::fcntl(
        &left_open,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let script = r#"
        echo "user $(id -u) $(id -g) $(id -G)"
        echo "session $$ $(cut -d' ' -f5-8 /proc/$$/stat)"
        if (: < /dev/tty); then echo "terminal"; else echo "no terminal"; fi 2>/dev/null
        printf 'open '; ls -m /proc/$$/fd
        echo "input $(wc -c)"
        echo "privileges $(grep -E '^(NoNewPrivs|CapEff):' /proc/$$/status | tr -d '\n')"
        echo "core $(ulimit -Hc) cpu $(ulimit -Ht)"
        echo "umask $(umask) in $(pwd)"
        env | sort
    "#;
    let text = printed_as_eve(&eve("/nowhere"), script);
    drop(left_open);
    let line = |word: &str| {
        let line = text.lines().find(|line| line.starts_with(word));
        line.unwrap_or_else(|| panic!("no {word}: {text}"))
            .to_string()
    };
    assert_eq!(line("user"), format!("user {EVE} {0} {0}", EVE + 1));
    // The group, the session, the terminal and its group: the process leads the first two and has no third.
    let session = line("session");
    let fields: Vec<&str> = session.split(' ').collect();
    assert_eq!(
        fields[1..],
        [fields[1], fields[1], fields[1], "0", "-1"],
        "{text}"
    );
    assert_eq!(line("no terminal"), "no terminal");
    assert_eq!(line("open"), "open 0, 1, 2");
    assert_eq!(line("input"), "input 0");
    assert_eq!(
        line("privileges"),
        "privileges CapEff:\t0000000000000000NoNewPrivs:\t1"
    );
    assert_eq!(line("core"), "core 0 cpu 80");
    assert_eq!(line("umask"), "umask 0022 in /");
    let environment: Vec<&str> = text.lines().filter(|line| line.contains('=')).collect();
    let expected = [
        "HOME=/nowhere",
        "LC_ALL=C",
        "LOGNAME=eve",
        "NIX_PAGER=cat",
        "NIX_USER_CONF_FILES=",
        "NO_COLOR=1",
        "PAGER=cat",
        "PATH=/usr/bin:/bin:/run/current-system/sw/bin",
        "PWD=/",
        "TERM=dumb",
        "TZ=UTC",
        "USER=eve",
    ];
    let known: Vec<&&str> = environment
        .iter()
        .filter(|v| !v.starts_with("_=") && !v.starts_with("SHLVL=") && !v.starts_with("OLDPWD="))
        .collect();
    assert_eq!(known, expected.iter().collect::<Vec<_>>());
}

/// What the starter of a run may have set for it, looser and tighter than a command of another user gets it.
#[test]
fn commands_of_other_users_do_not_inherit_the_umask_and_the_protection_of_the_run() {
    if !is_root() {
        return skipped("the umask of commands of other users, which takes root");
    }
    let started = |before: &str, script: &str| {
        let become_it = format!("{before}; exec \"$@\"");
        let mut command = command("sh");
        command.args(["-c", &become_it, "sh", env!("CARGO_BIN_EXE_nix-prune")]);
        let uid = EVE.to_string();
        command.args(["become-command-of-another-user", &uid, &uid, "60"]);
        let ran = command.args(["/bin/sh", "-c", script]).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    assert_eq!(started("umask 000", "umask"), "0022\n");
    // Root of a container may not protect its processes, so that there is nothing to pass on.
    let protect = "echo -500 > /proc/self/oom_score_adj";
    let protected = started(protect, "cat /proc/self/oom_score_adj");
    assert!(!protected.starts_with('-'), "{protected}");
    // A tighter limit than ours stays.
    assert_eq!(started("ulimit -t 7", "ulimit -Ht"), "7\n");
}

/// `plugin-files` in a user's own `nix.conf` names code that Nix loads: it must never be read in a run of root's.
#[test]
fn a_users_own_nix_conf_is_not_read_for_root() {
    as_root(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let home = scratch.base().join("eve");
        let dir = home.join(".config/nix");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("nix.conf"), "http-connections = 4242\n").unwrap();
        // Nix takes no home that is somebody else's.
        chown(&home, Some(EVE), None).unwrap();
        let bin = scratch.bin().unwrap();
        let show = if nix.bin.as_str().contains("bookworm") {
            "show-config"
        } else {
            "config show"
        };
        let script = format!(
            "{bin}/nix --extra-experimental-features nix-command {show} | grep '^http-connections '"
        );
        let read =
            |prefix: &str| printed_as_eve(&eve(home.as_str()), &format!("{prefix} {script}"));
        // The file is one that this Nix reads by itself.
        assert_eq!(
            read("unset NIX_USER_CONF_FILES;"),
            "http-connections = 4242\n"
        );
        assert_ne!(read(""), "http-connections = 4242\n");
    });
}

/// The lock of a user's profile is a file of that user's, who may put anything there.
#[test]
fn a_pipe_in_the_place_of_a_profiles_lock_stops_nothing() {
    as_root(|nix| {
        let m = Machine::new(nix);
        let cli = m.scratch.nix().unwrap();
        cli.remove_generation(&m.facts).unwrap();
        let lock = m.facts.profile.dir().join("profile.lock");
        let _ = fs::remove_file(&lock);
        nix::unistd::mkfifo(lock.as_std_path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        chown(&lock, Some(EVE), Some(EVE)).unwrap();
        let begun = Instant::now();
        let error = cli
            .restore_generation(&m.facts, nix_prune::ports::RestoreMode::Fresh)
            .unwrap_err();
        assert!(
            super::chain(&error).contains("profile.lock is not a regular file"),
            "{error:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        fs::remove_file(&lock).unwrap();
        cli.restore_generation(&m.facts, nix_prune::ports::RestoreMode::Fresh)
            .unwrap();
    });
}
