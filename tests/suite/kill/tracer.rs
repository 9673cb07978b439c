//! Runs our program under the eyes of the kernel: each system call that changes something can be counted, be the last
//! one, or fail. Nothing in the program knows of it, so that what is tested is what is shipped.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::{Ran, large_dir};

/// A moment at which something can happen to the program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// It is about to change something: the system call, and what it is about.
    Change(&'static str, String),
    /// It is about to start a child.
    Before,
    /// A child has just been started.
    Running,
    /// A child has just been seen to have ended.
    Ended,
}

/// What is to happen at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    GoOn,
    /// The program is killed; a child that runs goes on to its own end.
    Die,
    /// The program and the child that runs are killed.
    DieWithChild,
    /// The system call fails; only for a change.
    Fail(Errno),
}

/// How a traced program ended.
pub(crate) struct Traced {
    /// What it left; the exit code is -1 when it was killed.
    pub(crate) ran: Ran,
    /// Whether it was killed.
    pub(crate) killed: bool,
}

/// What the kernel told at the entry of a system call that is under way.
enum Entered {
    Other,
    Spawn,
    Wait,
    Failing(Errno),
}

struct Tracer<'a> {
    base: &'a Utf8Path,
    main: Pid,
    calls: BTreeMap<i32, Entered>,
    children: BTreeSet<i32>,
    decide: &'a mut dyn FnMut(&Step) -> Then,
    killed: bool,
}

/// Whether programs can be traced here.
pub(crate) fn possible() -> bool {
    let mut last = |_: &Step| Then::GoOn;
    let mut command = crate::support::command("/bin/true");
    command.env_clear();
    trace(&command, Utf8Path::new("/nowhere"), &mut last).is_ok()
}

/// Runs a command to its end; asks at each step what is to happen. Steps outside `base` do not count.
pub(crate) fn trace(
    command: &Command,
    base: &Utf8Path,
    decide: &mut dyn FnMut(&Step) -> Then,
) -> nix::Result<Traced> {
    let output = large_dir();
    let file = |name: &str| File::create(output.path().join(name)).unwrap();
    // The shell waits for a line, and becomes the program when it has come and we watch.
    let mut shell = crate::support::command("/bin/sh");
    shell
        .args(["-c", "read go; exec \"$0\" \"$@\" </dev/null"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(file("stdout"))
        .stderr(file("stderr"));
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    // Its end is waited for with that of all others.
    #[expect(clippy::zombie_processes)]
    let mut child = shell.spawn().unwrap();
    let main = Pid::from_raw(child.id() as i32);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    if let Err(errno) = ptrace::seize(main, options) {
        child.kill().unwrap();
        child.wait().unwrap();
        return Err(errno);
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut tracer = Tracer {
        base,
        main,
        calls: BTreeMap::from([(main.as_raw(), Entered::Other)]),
        children: BTreeSet::new(),
        decide,
        killed: false,
    };
    let status = tracer.follow()?;
    tracer.wait_for_orphans();
    let read = |name: &str| {
        let bytes = fs::read(output.path().join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Traced {
        ran: Ran {
            status,
            stdout: read("stdout"),
            stderr: read("stderr"),
        },
        killed: tracer.killed,
    })
}

impl Tracer<'_> {
    fn follow(&mut self) -> nix::Result<i32> {
        // Only what this thread traces: other tests run beside it.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let (pid, signal) = match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == self.main => return Ok(status),
                Ok(WaitStatus::Signaled(pid, ..)) if pid == self.main => return Ok(-1),
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    self.syscall(pid);
                    (pid, None)
                }
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                    if event == Event::PTRACE_EVENT_EXEC as i32 {
                        // The end of the call that started it comes next.
                        self.calls.insert(pid.as_raw(), Entered::Other);
                    }
                    (pid, None)
                }
                Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
            };
            match ptrace::syscall(pid, signal) {
                // It was killed meanwhile.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn syscall(&mut self, pid: Pid) {
        let Ok(mut regs) = ptrace::getregs(pid) else {
            return;
        };
        match self.calls.remove(&pid.as_raw()) {
            None => {
                let entered = self.enter(pid, &mut regs);
                self.calls.insert(pid.as_raw(), entered);
            }
            Some(Entered::Other) => {}
            Some(Entered::Failing(errno)) => {
                regs.rax = (-(errno as i64)) as u64;
                let _ = ptrace::setregs(pid, regs);
            }
            Some(Entered::Spawn) => {
                let child = regs.rax as i64;
                if child > 0 {
                    self.children.insert(child as i32);
                    self.step(&Step::Running);
                }
            }
            Some(Entered::Wait) => {
                let ended = |child: &i32| !fs::exists(format!("/proc/{child}")).unwrap();
                let gone: Vec<i32> = self.children.iter().copied().filter(ended).collect();
                for child in gone {
                    self.children.remove(&child);
                    self.step(&Step::Ended);
                }
            }
        }
    }

    fn enter(&mut self, pid: Pid, regs: &mut libc::user_regs_struct) -> Entered {
        let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10];
        let nr = regs.orig_rax as i64;
        if nr == libc::SYS_wait4 || nr == libc::SYS_waitid {
            return Entered::Wait;
        }
        if is_spawn(pid, nr, args[0]) {
            self.step(&Step::Before);
            return Entered::Spawn;
        }
        let Some((call, path)) = change(pid, nr, args) else {
            return Entered::Other;
        };
        let Some(place) = place(self.base, &path) else {
            return Entered::Other;
        };
        match self.step(&Step::Change(call, place)) {
            Then::Fail(errno) => {
                regs.orig_rax = u64::MAX;
                let _ = ptrace::setregs(pid, *regs);
                Entered::Failing(errno)
            }
            _ => Entered::Other,
        }
    }

    fn step(&mut self, step: &Step) -> Then {
        if self.killed {
            return Then::GoOn;
        }
        let then = (self.decide)(step);
        if then == Then::DieWithChild {
            for child in &self.children {
                let _ = killpg(Pid::from_raw(*child), Signal::SIGKILL);
            }
        }
        if matches!(then, Then::Die | Then::DieWithChild) {
            self.killed = true;
            let _ = kill(self.main, Signal::SIGKILL);
        }
        then
    }

    /// What a killed program started goes on; the next run comes when it has ended.
    fn wait_for_orphans(&self) {
        let begun = Instant::now();
        for child in &self.children {
            while is_running(*child) {
                assert!(begun.elapsed() < Duration::from_secs(60), "an orphan stays");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn is_spawn(pid: Pid, nr: i64, first: u64) -> bool {
    let thread = libc::CLONE_THREAD as u64;
    if nr == libc::SYS_clone {
        first & thread == 0
    } else if nr == libc::SYS_clone3 {
        let mut flags = [0; 8];
        memory(pid).read_exact_at(&mut flags, first).unwrap();
        u64::from_ne_bytes(flags) & thread == 0
    } else {
        nr == libc::SYS_fork || nr == libc::SYS_vfork
    }
}

/// A system call that changes files, and the file.
fn change(pid: Pid, nr: i64, args: [u64; 4]) -> Option<(&'static str, Utf8PathBuf)> {
    let [a, b, c, d] = args;
    let cwd = libc::AT_FDCWD as u64;
    let makes = |flags: u64| flags as i32 & (libc::O_CREAT | libc::O_TRUNC) != 0;
    let (call, path) = match nr {
        libc::SYS_openat if makes(c) => ("create", at(pid, a, b)),
        libc::SYS_open if makes(b) => ("create", at(pid, cwd, a)),
        libc::SYS_creat => ("create", at(pid, cwd, a)),
        libc::SYS_write
        | libc::SYS_pwrite64
        | libc::SYS_writev
        | libc::SYS_pwritev
        | libc::SYS_pwritev2
        | libc::SYS_sendfile
        | libc::SYS_fallocate => ("write", opened(pid, a)),
        libc::SYS_copy_file_range => ("write", opened(pid, c)),
        libc::SYS_fsync | libc::SYS_fdatasync => ("sync", opened(pid, a)),
        libc::SYS_ftruncate => ("truncate", opened(pid, a)),
        libc::SYS_truncate => ("truncate", at(pid, cwd, a)),
        libc::SYS_fchown => ("set the owner of", opened(pid, a)),
        libc::SYS_chown | libc::SYS_lchown => ("set the owner of", at(pid, cwd, a)),
        libc::SYS_fchownat => ("set the owner of", at(pid, a, b)),
        libc::SYS_fchmod => ("set the mode of", opened(pid, a)),
        libc::SYS_chmod => ("set the mode of", at(pid, cwd, a)),
        libc::SYS_fchmodat => ("set the mode of", at(pid, a, b)),
        libc::SYS_mkdir => ("make", at(pid, cwd, a)),
        libc::SYS_mkdirat => ("make", at(pid, a, b)),
        libc::SYS_rename => ("rename to", at(pid, cwd, b)),
        libc::SYS_renameat | libc::SYS_renameat2 => ("rename to", at(pid, c, d)),
        libc::SYS_link | libc::SYS_symlink => ("link", at(pid, cwd, b)),
        libc::SYS_linkat => ("link", at(pid, c, d)),
        libc::SYS_symlinkat => ("link", at(pid, b, c)),
        libc::SYS_unlink | libc::SYS_rmdir => ("remove", at(pid, cwd, a)),
        libc::SYS_unlinkat => ("remove", at(pid, a, b)),
        libc::SYS_utimensat => ("set the time of", at(pid, a, b)),
        _ => return None,
    };
    path.map(|path| (call, path))
}

fn memory(pid: Pid) -> File {
    File::open(format!("/proc/{pid}/mem")).unwrap()
}

/// The file behind a descriptor.
fn opened(pid: Pid, fd: u64) -> Option<Utf8PathBuf> {
    let link = format!("/proc/{pid}/fd/{}", fd as i32);
    Utf8Path::new(&link).read_link_utf8().ok()
}

/// The file that a name in a directory means.
fn at(pid: Pid, dir: u64, name: u64) -> Option<Utf8PathBuf> {
    if name == 0 {
        return opened(pid, dir);
    }
    let memory = memory(pid);
    let mut bytes = Vec::new();
    let mut byte = [0];
    while bytes.len() < 4096
        && memory
            .read_exact_at(&mut byte, name + bytes.len() as u64)
            .is_ok()
    {
        if byte == [0] {
            break;
        }
        bytes.push(byte[0]);
    }
    let name = Utf8PathBuf::from(String::from_utf8(bytes).ok()?);
    let dir = if dir as i32 == libc::AT_FDCWD {
        Utf8Path::new(&format!("/proc/{pid}/cwd"))
            .read_link_utf8()
            .ok()
    } else {
        opened(pid, dir)
    };
    Some(dir?.join(name))
}

/// What a path below `base` is; `None` for what is elsewhere.
fn place(base: &Utf8Path, path: &Utf8Path) -> Option<String> {
    let inside = path.strip_prefix(base).ok()?;
    let parts: Vec<&str> = inside.components().map(|part| part.as_str()).collect();
    let is_steps = inside.extension() == Some("steps");
    let what = match parts.as_slice() {
        ["state", "lock"] => "the lock",
        ["state", "runs", _] if is_steps => "the steps of a run",
        ["state", "runs", ..] => "the record of a run",
        ["state", "holds", ..] => "the holds",
        ["state", ..] => "the state directory",
        ["nix", "var", "nix", "gcroots", ..] => "the roots",
        ["nix", "var", "nix", "profiles", ..] => "a profile",
        ["nix", "var", "nix", ..] => "Nix's state",
        ["nix", "store", ..] => "the store",
        _ => "other files",
    };
    Some(what.to_string())
}
