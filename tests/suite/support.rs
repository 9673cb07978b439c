//! What tests of several modules need: the Nix versions to test with, our own program, and a look at a whole directory.

// The lints spare what has the attribute of a test, and not what tests call.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used
)]

mod children;

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::unistd::Pid;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::job::Job;
use nix_prune::domain::measure::Timestamp;
use nix_prune::domain::plan::{Plan, PlannedAction};
use nix_prune::domain::policy::Policy;
use nix_prune::domain::snapshot::Snapshot;

/// A job on a machine without a policy.
pub(crate) fn unrestricted(job: &Job) -> EffectiveJob {
    EffectiveJob::new(job.clone(), Policy::default())
}

/// The actions of a plan, in order.
pub(crate) fn actions(plan: &Plan) -> Vec<PlannedAction> {
    plan.actions().collect()
}

/// The actions of a plan's document, in order.
pub(crate) fn actions_of(plan: &serde_json::Value) -> Vec<serde_json::Value> {
    let plan: Plan = serde_json::from_value(plan.clone()).unwrap();
    let actions = plan.actions();
    actions
        .map(|planned| serde_json::to_value(planned).unwrap())
        .collect()
}

/// The plan of a job on a machine without a policy.
pub(crate) fn plan_of(snapshot: &Snapshot, job: &Job) -> Plan {
    Plan::build(snapshot, &unrestricted(job))
}

pub(crate) use children::{Over, command, wait_for};

/// A Nix to test with.
#[derive(Debug, Clone)]
pub(crate) struct Nix {
    /// The directory of its programs.
    pub(crate) bin: Utf8PathBuf,
    /// What it says of itself: `nix (Nix) 2.34.8`.
    pub(crate) version: String,
}

/// Every Nix to test with: those of `NIX_PRUNE_TEST_NIX` (directories, with colons between), else those that
/// `scripts/nix-toolchain` has brought, else the one on `PATH`. Without any, the test fails, unless the variable is `none`.
pub(crate) fn nixes() -> &'static [Nix] {
    static FOUND: OnceLock<Vec<Nix>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let bins = named_bins()
            .or_else(fetched_bins)
            .unwrap_or_else(|| bin_on_path().into_iter().collect());
        let nixes: Vec<Nix> = bins.into_iter().map(nix_in).collect();
        if nixes.is_empty() && without_nix() {
            skipped("NIX_PRUNE_TEST_NIX is none, so nothing was tested with a real Nix");
        }
        nixes
    });
    assert!(
        !found.is_empty() || without_nix(),
        "there is no Nix to test with; NIX_PRUNE_TEST_NIX=none skips the tests that need one"
    );
    found
}

/// Whether the tests are to run without any Nix.
fn without_nix() -> bool {
    std::env::var_os(NIXES).is_some_and(|list| list == "none")
}

const NIXES: &str = "NIX_PRUNE_TEST_NIX";

/// Runs a test with every Nix in turn; what fails is told with the version.
pub(crate) fn with_each_nix(test: impl Fn(&Nix)) {
    let mut failures = Vec::new();
    for nix in nixes() {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| test(nix))) {
            failures.push(format!("with {}: {}", nix.version, words(&*cause)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Says that something is not tested, where nobody can overlook it.
pub(crate) fn skipped(why: &str) {
    // Not by eprintln!, which is kept back while a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
    if let Some(file) = std::env::var_os("NIX_PRUNE_TEST_SKIPPED") {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("NIX_PRUNE_TEST_SKIPPED names a file");
        writeln!(file, "SKIPPED: {why}").unwrap();
    }
}

fn named_bins() -> Option<Vec<Utf8PathBuf>> {
    let list = std::env::var(NIXES).ok()?;
    if without_nix() {
        return Some(Vec::new());
    }
    let bins = list.split(':').filter(|bin| !bin.is_empty());
    let bins: Vec<_> = bins.map(Utf8PathBuf::from).collect();
    // What was asked for and is not there must not pass for tested.
    for bin in &bins {
        assert!(
            bin.join("nix").exists(),
            "NIX_PRUNE_TEST_NIX: there is no nix in {bin}"
        );
    }
    (!bins.is_empty()).then_some(bins)
}

fn fetched_bins() -> Option<Vec<Utf8PathBuf>> {
    let dir = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nix");
    let mut bins: Vec<_> = dir
        .read_dir_utf8()
        .ok()?
        .map(|entry| entry.unwrap().into_path().join("bin"))
        .filter(|bin| bin.join("nix").exists())
        .collect();
    bins.sort();
    (!bins.is_empty()).then_some(bins)
}

fn bin_on_path() -> Option<Utf8PathBuf> {
    let nix = which::which("nix").ok()?;
    Utf8PathBuf::from_path_buf(nix.parent()?.to_path_buf()).ok()
}

fn nix_in(bin: Utf8PathBuf) -> Nix {
    // As root, any other program of Nix's would create /nix to tell its version.
    let output = command(bin.join("nix")).arg("--version").output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {bin}/nix: {error}"));
    let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
    assert!(output.status.success(), "{bin}/nix --version failed");
    Nix { bin, version }
}

/// What a panic said.
pub(crate) fn words(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "it panicked".into())
}

/// What our program did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code, or 128 and the number of the signal that ended it, as shells have it.
    pub(crate) status: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

/// Our program in a scratch store: nothing of the environment reaches it but what is given here.
pub(crate) fn program(scratch: &Scratch) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    let path = match scratch.bin() {
        Some(bin) => format!("{bin}:/usr/bin:/bin"),
        None => std::env::var("PATH").unwrap_or_default(),
    };
    command
        .env_clear()
        .env("PATH", path)
        .env("TZ", "UTC")
        .envs(scratch.env())
        .current_dir(scratch.base())
        .stdin(Stdio::null());
    command
}

/// Runs our program in a scratch store.
#[must_use]
pub(crate) fn run(scratch: &Scratch, args: &[&str]) -> Ran {
    run_command(program(scratch).args(args))
}

/// Runs our program as another user, which takes root: `uid` is also the number of the group.
#[must_use]
pub(crate) fn run_as(scratch: &Scratch, uid: u32, args: &[&str]) -> Ran {
    run_command(program(scratch).args(args).gid(uid).uid(uid))
}

/// An exit code, or 128 and the number of a signal.
pub(crate) fn status(ended: ExitStatus) -> i32 {
    let signal = || ended.signal().map(|signal| 128 + signal);
    ended.code().or_else(signal).unwrap_or(-1)
}

/// Runs a command to its end.
#[must_use]
pub(crate) fn run_command(command: &mut Command) -> Ran {
    let output = command.output().expect("the program can be run");
    Ran {
        status: status(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What Nix holds for dead. This **deletes**: stale entries of `gcroots/auto`, and what in the store directory is not
/// named like a store path (trap 45).
pub(crate) fn print_dead(scratch: &Scratch) -> Result<Vec<Utf8PathBuf>, String> {
    let ran = run_by_hand(scratch, "nix-store", &["--gc", "--print-dead"]);
    let paths = ran.stdout.lines().filter(|line| line.starts_with('/'));
    match ran.status {
        0 => Ok(paths.map(Utf8PathBuf::from).collect()),
        _ => Err(ran.stderr),
    }
}

/// Runs one of Nix's programs by hand in a scratch store; it has to succeed.
pub(crate) fn by_hand(scratch: &Scratch, tool: &str, args: &[&str]) -> Ran {
    let ran = run_by_hand(scratch, tool, args);
    assert_eq!(ran.status, 0, "{tool} {args:?}: {}", ran.stderr);
    ran
}

pub(crate) fn run_by_hand(scratch: &Scratch, tool: &str, args: &[&str]) -> Ran {
    let tool = match scratch.bin() {
        Some(bin) => bin.join(tool),
        None => tool.into(),
    };
    let mut command = command(&tool);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(scratch.env())
        .args(args)
        .stdin(Stdio::null());
    run_command(&mut command)
}

/// A daemon on a socket of its own; it ends with this.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(scratch: &Scratch, nix: &Nix, socket: &Utf8Path) -> Self {
        Self::start_with(scratch, nix, socket, &[])
    }

    /// The same with some variables of its own.
    pub(crate) fn start_with(
        scratch: &Scratch,
        nix: &Nix,
        socket: &Utf8Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let child = command(nix.bin.join("nix-daemon"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(scratch.env())
            .env("NIX_REMOTE", "local")
            .env("NIX_DAEMON_SOCKET_PATH", socket)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no daemon");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether these tests run as root.
/// Runs one test of this binary as nobody, or as ourselves when we are not root, with a variable that only it looks for; returns what it
/// prints.
pub(crate) fn as_ordinary_user(test: &str, variable: &str, value: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = dir.path().join("suite");
    let exe = std::env::current_exe().unwrap();
    fs::hard_link(&exe, &own)
        .or_else(|_| fs::copy(&exe, &own).map(drop))
        .unwrap();
    let mut command = command(&own);
    command.args(["--exact", test, "--nocapture"]);
    command.env(variable, value).current_dir("/");
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Set in the process that has a small disk, to a place beside it.
const SMALL_DISK: &str = "NIX_PRUNE_TEST_SMALL_DISK";

/// Calls this binary for the test of that name alone, where `TMPDIR` is a disk in memory that is mounted with these
/// options, and has another one in `other`, in a namespace of its own; there `body` is run. Where nothing can be mounted, the test is skipped.
pub(crate) fn on_small_disk(test: &str, options: &str, body: impl FnOnce()) {
    let mount = format!(
        "mount -t tmpfs -o {options} tmpfs \"$TMPDIR\" && mkdir \"$TMPDIR/other\" && \
         mount -t tmpfs tmpfs \"$TMPDIR/other\""
    );
    on_mounted(test, &mount, body);
}

/// The same where `mount`, a shell command, mounts something at `$TMPDIR`; `$IMAGE` is a file that it may make.
pub(crate) fn on_mounted(test: &str, mount: &str, body: impl FnOnce()) {
    if std::env::var_os(SMALL_DISK).is_some() {
        return body();
    }
    let dir = tempfile::Builder::new().prefix("np").tempdir().unwrap();
    let image = tempfile::Builder::new().prefix("np").tempdir().unwrap();
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let (with, back) = if is_root() {
        (vec!["--mount"], String::new())
    } else {
        // To mount takes root, and the tests are to run as whoever runs them.
        let back = format!("unshare --user --map-user={uid} --map-group={gid}");
        (vec!["--user", "--map-root-user", "--mount"], back)
    };
    let unshare = |script: &str| {
        let mut command = command("unshare");
        command
            .args(&with)
            .args(["/bin/sh", "-c", script, "sh"])
            .env("TMPDIR", dir.path())
            .env("IMAGE", image.path().join("image"))
            .env(SMALL_DISK, std::env::temp_dir());
        command
    };
    let can = unshare(&format!("{mount} && exec {back} true"));
    if !{ can }.output().is_ok_and(|ran| ran.status.success()) {
        return skipped(&format!("{test}: this cannot be done here: {mount}"));
    }
    let ran = unshare(&format!("{mount} && exec {back} \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{errors}");
    assert!(said.contains("1 passed"), "{said}{errors}");
}

/// Our program in a scratch store, and in a mount namespace of its own behind these words of shell; `None`, which is said
/// aloud, where that cannot be had.
pub(crate) fn program_behind(scratch: &Scratch, words: &str) -> Option<Command> {
    let can = command("unshare").args(["--mount", "true"]).output();
    if !is_root() || !can.is_ok_and(|can| can.status.success()) {
        skipped("what takes root and a mount namespace");
        return None;
    }
    let ours = program(scratch);
    let variables = ours
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut unshare = command("unshare");
    unshare
        .args(["--mount", "--propagation", "private", "/bin/sh", "-c"])
        .arg(format!("{words}\nexec \"$0\" \"$@\""))
        .arg(ours.get_program())
        .env_clear()
        .envs(variables)
        .current_dir(scratch.base())
        .stdin(Stdio::null());
    Some(unshare)
}

/// A temporary directory that is not on a small disk.
pub(crate) fn large_dir() -> tempfile::TempDir {
    let beside = std::env::var_os(SMALL_DISK).map(std::path::PathBuf::from);
    let place = beside.unwrap_or_else(std::env::temp_dir);
    tempfile::tempdir_in(place).unwrap()
}

/// A time, as RFC 3339 writes it.
pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Writes a shell script that can be run.
///
/// Another process writes it: a file that is open for writing in this one, with threads that start programs, may be
/// "busy" when it is run.
pub(crate) fn script(path: &Utf8Path, text: &str) {
    let mut child = command("/bin/sh")
        .args([
            "-c",
            "cat > \"$1\" && chmod 755 \"$1\"",
            "sh",
            path.as_str(),
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut input = child.stdin.take().unwrap();
    write!(input, "#!/bin/sh\n{text}\n").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// Everything below a directory by its path in it: kind, mode, owner, size, times to the nanosecond, and what a link
/// says. Whoever only reads leaves it as it was; times of access do not count.
pub(crate) fn listing(dir: &Utf8Path) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    list(dir, dir, &mut entries);
    entries
}

fn list(top: &Utf8Path, path: &Utf8Path, entries: &mut BTreeMap<String, String>) {
    let data = path.symlink_metadata().unwrap();
    let kind = data.file_type();
    let text = if kind.is_symlink() {
        format!(" -> {}", fs::read_link(path).unwrap().display())
    } else {
        String::new()
    };
    // The size of a directory is the file system's business.
    let size = if kind.is_dir() { 0 } else { data.len() };
    let entry = format!(
        "{:o} {}:{} {size} {}.{:09} {}.{:09}{text}",
        data.permissions().mode(),
        data.uid(),
        data.gid(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
    );
    let name = path.strip_prefix(top).unwrap();
    entries.insert(name.to_string(), entry);
    if kind.is_dir() {
        for entry in path.read_dir_utf8().unwrap() {
            list(top, entry.unwrap().path(), entries);
        }
    }
}

/// Both ends of a new terminal. No program inherits them: one that had the other end of its own terminal would not notice that
/// nobody is there any more.
pub(crate) fn new_terminal(size: Option<&Winsize>) -> OpenptyResult {
    let pair = openpty(size, None).unwrap();
    for end in [&pair.master, &pair.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    pair
}

/// The program on a terminal of its own. It is killed where a test fails.
pub(crate) struct OnTerminal {
    child: Child,
    pub(crate) terminal: fs::File,
}

/// How long a test waits for a program on a terminal.
const PATIENCE: Duration = Duration::from_secs(60);

impl OnTerminal {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::on(command, None)
    }

    /// On one of so many columns and lines.
    pub(crate) fn start_sized(command: &mut Command, (columns, lines): (u16, u16)) -> Self {
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Self::on(command, Some(size))
    }

    fn on(command: &mut Command, size: Option<Winsize>) -> Self {
        let pair = new_terminal(size.as_ref());
        let end = || Stdio::from(pair.slave.as_fd().try_clone_to_owned().unwrap());
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Self {
            child,
            terminal: pair.master.into(),
        }
    }

    /// Reads until the text appears, or the program has closed its end.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        let begun = Instant::now();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let mut wanted = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut wanted, PollTimeout::try_from(left).unwrap()).unwrap();
            assert!(
                ready > 0,
                "{text:?} did not appear: {:?}",
                String::from_utf8_lossy(&seen)
            );
            let mut some = [0u8; 4096];
            // The other end is closed when the program has ended.
            match self.terminal.read(&mut some) {
                Ok(count) if count > 0 => seen.extend(&some[..count]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Its exit status, -1 for a signal. It must be about to end.
    pub(crate) fn end(mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The blocks of a page in this language.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    let blocks = page.split(&open).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// Whether a command takes the settings that its chapter shows.
pub(crate) fn names_settings(line: &str) -> bool {
    line.contains(" daily") || line == "nix-prune config check"
}

/// The first settings file that a chapter shows.
pub(crate) fn settings_of(page: &str) -> &str {
    let mut files = blocks(page, "json").into_iter();
    files.find(|file| file.starts_with('{')).unwrap_or_default()
}

/// Splits a line at blanks; single quotes keep words together.
pub(crate) fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// The example in a chapter of the guide that has this key, as an object.
pub(crate) fn guide_example(chapter: &str, key: &str) -> String {
    let file = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/guide/{chapter}.md"));
    let page = fs::read_to_string(file).unwrap();
    let quoted = format!("\"{key}\"");
    let mut blocks = blocks(&page, "json").into_iter();
    let example = blocks.find(|block| block.contains(&quoted)).unwrap();
    match example.trim() {
        object if object.starts_with('{') => object.to_string(),
        member => format!("{{ {member} }}"),
    }
}
