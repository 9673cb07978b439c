//! No process that a test starts runs for ever: a hang is a failure that names its command.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The longest that a process below a test may run. Every one of them takes seconds, on a slow machine a minute or two.
const LONGEST: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(2);

/// A command of a test. All of them are made here, so that their processes are watched.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    watch();
    Command::new(program)
}

/// Begins to watch the processes of this one, once.
pub(crate) fn watch() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // A process whose parent ends stays below this one, where it is seen.
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_child_subreaper(true);
        let _ = thread::Builder::new().name("watch".into()).spawn(|| {
            let mut since = BTreeMap::new();
            loop {
                thread::sleep(PAUSE);
                for killed in kill_the_old(&mut since, LONGEST) {
                    // Not by eprintln!, which is kept back until the test has ended.
                    let _ = writeln!(std::io::stderr(), "HANGS: {killed}");
                }
            }
        });
    });
}

/// A process: its number, and when it began, because numbers come again.
type Process = (i32, u64);

/// Kills each process below this one that has been there for so long, with all that are below it, and names them.
fn kill_the_old(since: &mut BTreeMap<Process, Instant>, longest: Duration) -> Vec<String> {
    let mut killed = Vec::new();
    let parents = parents();
    let ours = below(&parents, Pid::this().as_raw());
    since.retain(|process, _| ours.contains(process));
    for process in ours {
        let begun = *since.entry(process).or_insert_with(Instant::now);
        if begun.elapsed() < longest {
            continue;
        }
        killed.push(format!(
            "process {} below a test has run for {} s and is killed: {}",
            process.0,
            begun.elapsed().as_secs(),
            words(process.0)
        ));
        for (pid, _) in below(&parents, process.0) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
    }
    killed
}

/// Every process that is no zombie, with its parent.
fn parents() -> BTreeMap<Process, i32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        let begun = fields.nth(17)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(((pid, begun), parent))
    })
    .collect()
}

/// The processes below one. This very program may have been called for one test: it watches its own.
fn below(parents: &BTreeMap<Process, i32>, top: i32) -> BTreeSet<Process> {
    let this = fs::read_link("/proc/self/exe").ok();
    let mut found = BTreeSet::new();
    let mut tops = vec![top];
    while let Some(top) = tops.pop() {
        for (process, _) in parents.iter().filter(|(_, parent)| **parent == top) {
            let exe = fs::read_link(format!("/proc/{}/exe", process.0)).ok();
            if (exe.is_none() || exe != this) && found.insert(*process) {
                tops.push(process.0);
            }
        }
    }
    found
}

fn words(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Tells those who work beside a test that it is over, also where it fails: its scope waits for them.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits until something has come to be, but not for ever.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_does_not_end_is_killed_with_what_it_started() {
    let mut since = BTreeMap::new();
    // The inner shell has the output as well, and would keep it open.
    // It says so only when its own child is there, so that no child is missed below.
    let script = "sh -c 'sleep 1000 & echo $$; wait' & exec sleep 1000";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    watch();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut inner = String::new();
    std::io::BufRead::read_line(&mut output, &mut inner).unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut only_it = parents();
    only_it.retain(|process, _| process.0 == pid);
    let process = *only_it.keys().next().unwrap();
    since.insert(process, Instant::now().checked_sub(LONGEST).unwrap());
    let killed = kill_the_old(&mut since, LONGEST);
    assert_eq!(killed.len(), 1, "{killed:?}");
    assert!(killed[0].ends_with("killed: sleep 1000 "), "{killed:?}");
    assert!(!child.wait().unwrap().success());
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut output, &mut rest).unwrap();
    wait_for("the inner shell to end", || {
        let pid: i32 = inner.trim().parse().unwrap();
        !parents().keys().any(|process| process.0 == pid)
    });
}
