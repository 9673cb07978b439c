//! Start of commands as another user, without the run's terminal, privileges and open files.
//!
//! The standard library cannot start a session in a child, and `unsafe` is forbidden here. So this program is started once more, as
//! root: it drops everything that the user must not get and then becomes the command. All of that happens
//! before the process belongs to the user, because from then on the user may trace it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{close, setsid};

use super::Account;
use crate::domain::visible::shown;

/// The first argument by which the program recognises that it must become another user's command.
const WORD: &str = "become-command-of-another-user";

/// The umask of most login sessions. The umask of the run may be wider.
const UMASK: u16 = 0o022;

/// The program that understands [`WORD`].
static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();

/// Makes this very program the launcher. Its `main` must begin with [`become_command`].
#[expect(clippy::disallowed_methods, reason = "the program starts itself")]
pub fn launch_with_this_program() {
    // In the child this is the file that we run, even if another version has replaced it under its name since.
    let program = if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    };
    match program {
        Ok(program) => launch_with(program),
        Err(error) => tracing::debug!(%error, "cannot start commands as other users"),
    }
}

/// Names the executable of `nix-prune`, for programs that only use the library. Only the first call counts.
pub fn launch_with(program: impl Into<PathBuf>) {
    let _ = LAUNCHER.set(program.into());
}

/// The executable of `nix-prune`, once it is known.
pub(super) fn own_program() -> Option<PathBuf> {
    LAUNCHER.get().cloned()
}

/// The program and the arguments that start `program` as `account`.
///
/// # Errors
/// When there is no launcher. The command must not start without one.
pub(super) fn words(
    account: &Account,
    cpu: Duration,
    program: &Path,
    args: &[OsString],
) -> io::Result<(PathBuf, Vec<OsString>)> {
    let launcher = LAUNCHER
        .get()
        .ok_or_else(|| io::Error::other("cannot start commands as other users"))?;
    let numbers = [account.uid, account.gid].map(|number| number.to_string().into());
    let mut words = vec![WORD.into()];
    words.extend(numbers);
    words.push(cpu.as_secs().to_string().into());
    words.push(program.into());
    words.extend_from_slice(args);
    Ok((launcher.clone(), words))
}

/// Becomes another user's command if the arguments ask for that; gives the error if it fails. Must run first in `main`,
/// while nothing is open and no thread runs.
pub fn become_command(mut args: impl Iterator<Item = OsString>) -> Option<io::Error> {
    if args.next()? != WORD {
        return None;
    }
    Some(try_to_become(args).unwrap_or_else(|error| error))
}

/// Gives an error in either case: on success there is nobody left to return to.
fn try_to_become(mut args: impl Iterator<Item = OsString>) -> io::Result<io::Error> {
    let mut number = || args.next().and_then(|word| word.to_str()?.parse().ok());
    let (Some(uid), Some(gid), Some(cpu)) = (number(), number(), number()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let program = args.next().ok_or(io::ErrorKind::InvalidInput)?;
    // Root is never another user, and this program drops nothing for the sake of root.
    if uid == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // First of all: in the session of the run, a tracer of this process could type into root's shell.
    setsid()?;
    forbid_privileges()?;
    close_inherited()?;
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_CPU, u64::from(cpu))?;
    drop_oom_protection();
    umask(Mode::from_bits_truncate(UMASK.into()));
    // As root this also drops the supplementary groups. The process cannot be traced from then on until the command
    // has taken its place.
    #[expect(
        clippy::disallowed_methods,
        reason = "replaces this process, below the one door for child processes"
    )]
    let error = std::process::Command::new(&program)
        .args(args)
        .gid(gid)
        .uid(uid)
        .exec();
    Err(io::Error::new(
        error.kind(),
        format!("cannot start {}: {error}", shown(program)),
    ))
}

/// Programs with the set-user-ID bit, such as `sudo`, give the command no more than the user's own rights.
#[cfg(target_os = "linux")]
fn forbid_privileges() -> nix::Result<()> {
    nix::sys::prctl::set_no_new_privs()
}

#[cfg(not(target_os = "linux"))]
fn forbid_privileges() -> nix::Result<()> {
    Ok(())
}

/// Closes everything but the standard streams: the parent of the run may have left a file open for it.
fn close_inherited() -> io::Result<()> {
    let number = |name: OsString| name.to_str().and_then(|name| name.parse::<i32>().ok());
    let open: Vec<i32> = std::fs::read_dir("/dev/fd")?
        .filter_map(|entry| number(entry.ok()?.file_name()))
        .collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        // The directory that was read just now is among them, and closed already.
        let _ = close(descriptor);
    }
    Ok(())
}

/// Lowers a limit, but never raises one.
fn limit(resource: Resource, value: u64) -> nix::Result<()> {
    let (_, most) = getrlimit(resource)?;
    setrlimit(resource, value.min(most), value.min(most))
}

/// A service that the kernel must not end when memory runs out does not pass that on.
fn drop_oom_protection() {
    const FILE: &str = "/proc/self/oom_score_adj";
    let protected = |text: String| text.trim().parse::<i32>().is_ok_and(|score| score < 0);
    if std::fs::read_to_string(FILE).is_ok_and(protected) {
        // Only root can have protection, and only an odd system refuses to drop it.
        let _ = std::fs::write(FILE, "0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn asked(words: &[&str]) -> Option<io::Error> {
        become_command(words.iter().map(OsString::from))
    }

    #[test]
    fn other_arguments_are_none_of_its_business() {
        for words in [&[][..], &["run"], &["--help"], &["run", WORD]] {
            assert!(asked(words).is_none(), "{words:?}");
        }
    }

    // No program that there is: one that is started replaces this test, and nothing fails then.
    #[rstest]
    #[case::nothing(&[WORD])]
    #[case::no_program(&[WORD, "1", "1", "60"])]
    #[case::root(&[WORD, "0", "1", "60", "/nonexistent/sh"])]
    #[case::no_number(&[WORD, "eve", "1", "60", "/nonexistent/sh"])]
    #[case::too_large(&[WORD, "4294967296", "1", "60", "/nonexistent/sh"])]
    fn incomplete_requests_start_nothing(#[case] words: &[&str]) {
        let error = asked(words).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
