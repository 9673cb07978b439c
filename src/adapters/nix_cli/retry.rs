//! Retries after a temporary failure, such as a daemon that restarts.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::NixCli;
use crate::adapters::process::{Account, Output, ProcessError};
use crate::ports::PerformError;

/// How long to wait before each further try, more or less. A unit of systemd that is started anew needs a second or two.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_millis(1200),
    Duration::from_secs(3),
];
const LOOK: Duration = Duration::from_millis(50);

impl NixCli {
    /// Whether a command failed as no daemon answered it, or none that accepts our user.
    pub fn is_no_answer(error: &PerformError) -> bool {
        match error {
            PerformError::TimedOut { .. } => true,
            PerformError::Nix { source, .. } => match source.downcast_ref() {
                Some(ProcessError::Failed { stderr, .. }) => {
                    finds_no_daemon(stderr) || stderr.contains("cannot open connection to")
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Runs a command, and again while it finds no daemon; gives what the last try came to.
    pub(super) fn retry(
        &self,
        run: impl Fn() -> Result<Output, ProcessError>,
    ) -> Result<Output, ProcessError> {
        self.retry_with(run, |result| result.as_ref().err())
    }

    /// The same for a command that may be another user's. What such a command prints is that user's choice, and must not
    /// end the retries of everybody else's commands.
    pub(super) fn retry_as(
        &self,
        account: Option<&Account>,
        run: impl Fn() -> Result<Output, ProcessError>,
    ) -> Result<Output, ProcessError> {
        match account {
            None => self.retry(run),
            Some(_) => self.try_again(run, |result| result.as_ref().err()),
        }
    }

    /// The same with another test for failure. A daemon that was waited for in vain is not waited for again: a run may
    /// have hundreds of commands.
    pub(super) fn retry_with<T>(
        &self,
        run: impl Fn() -> T,
        error_of: impl Fn(&T) -> Option<&ProcessError>,
    ) -> T {
        let result = self.try_again(run, &error_of);
        if error_of(&result).is_some_and(passes) {
            self.no_daemon.store(true, Ordering::Relaxed);
        }
        result
    }

    fn try_again<T>(
        &self,
        run: impl Fn() -> T,
        error_of: impl Fn(&T) -> Option<&ProcessError>,
    ) -> T {
        let mut result = run();
        for pause in PAUSES {
            if !error_of(&result).is_some_and(passes) {
                return result;
            }
            if self.no_daemon.load(Ordering::Relaxed) || !self.wait_about(pause) {
                return result;
            }
            tracing::warn!("no nix-daemon answered; trying again");
            result = run();
        }
        result
    }

    /// Waits between half and one and a half of that, so that those who failed together do not come back together;
    /// returns whether nobody asked to stop meanwhile.
    fn wait_about(&self, pause: Duration) -> bool {
        let chance = u32::try_from(RandomState::new().hash_one(0) % 1000).unwrap_or_default();
        let pause = pause / 2 + pause * chance / 1000;
        let begun = Instant::now();
        while begun.elapsed() < pause {
            if self.interrupt.requested() {
                return false;
            }
            thread::sleep(LOOK);
        }
        !self.interrupt.requested()
    }
}

fn passes(error: &ProcessError) -> bool {
    match error {
        ProcessError::Failed { stderr, .. } => finds_no_daemon(stderr),
        _ => false,
    }
}

/// Whether nothing was done because no daemon answered. All else that fails may have done a part of its work, or will fail
/// again.
fn finds_no_daemon(stderr: &str) -> bool {
    stderr.lines().any(|line| {
        let line = line.trim_start_matches("error:").trim_start();
        line.starts_with("cannot connect to")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::nix_dirs::{NameServices, NixDirs};
    use crate::adapters::process::ChildEnv;
    use crate::domain::store_path::StoreDir;
    use crate::ports::Interrupt;
    use camino::Utf8Path;
    use rstest::rstest;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// Asks to stop once something has run, so that nothing is waited for.
    #[derive(Default)]
    struct AfterTheFirst(AtomicBool);

    impl Interrupt for AfterTheFirst {
        fn requested(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_user_does_not_end_the_retries_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let base = Utf8Path::from_path(dir.path()).unwrap();
        for name in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
            symlink("/bin/sh", base.join(name)).unwrap();
        }
        let places = NixDirs {
            store: StoreDir::new(base).unwrap(),
            state_dir: base.into(),
            log_dir: None,
            temporary: Vec::new(),
            run_dir: base.into(),
            passwd: base.join("passwd"),
            name_services: NameServices::default(),
            machine_id: base.join("machine-id"),
            mounts: base.join("mounts"),
            fstab: base.join("fstab"),
            disks: Vec::new(),
            boot_dirs: Vec::new(),
            home: None,
            own_profiles: None,
            own_cache: None,
            remote: None,
        };
        let stop = Arc::new(AfterTheFirst::default());
        let path = [("PATH", "/usr/bin:/bin")].into_iter().collect();
        let cli = NixCli::new(places, Some(base), path, stop.clone()).unwrap();
        let eve = Account {
            uid: 4242,
            gid: 4242,
            name: "eve".into(),
            home: "/".into(),
        };
        let silent = ChildEnv::default();
        let fails = || {
            stop.0.store(false, Ordering::Relaxed);
            let text = "echo 'error: cannot connect to socket' >&2; exit 1";
            let command = crate::adapters::process::Command::new(&cli.nix, &silent, PAUSES[2] * 9);
            let ran = command.args(["-c", text]).run(&*stop);
            stop.0.store(true, Ordering::Relaxed);
            ran
        };
        assert!(passes(&cli.retry_as(Some(&eve), fails).unwrap_err()));
        assert!(!cli.no_daemon.load(Ordering::Relaxed));
        assert!(passes(&cli.retry_as(None, fails).unwrap_err()));
        assert!(cli.no_daemon.load(Ordering::Relaxed));
    }

    #[rstest]
    #[case::old(
        "error: cannot connect to daemon at '/nix/var/nix/daemon-socket/socket': Connection refused",
        true
    )]
    #[case::new(
        "error: cannot connect to socket at '/x': No such file or directory",
        true
    )]
    #[case::behind_others(
        "warning: x\nerror: cannot connect to socket at '/x': Connection refused",
        true
    )]
    #[case::lost_in_the_middle("error: unexpected end-of-file", false)]
    #[case::another("error: no luck", false)]
    #[case::quoted("error: builder said: cannot connect to socket", false)]
    fn only_a_daemon_that_does_not_answer_passes(#[case] stderr: &str, #[case] expected: bool) {
        assert_eq!(finds_no_daemon(stderr), expected);
    }
}
