//! Trying again what failed for a reason that passes: a daemon that is being started anew.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::NixCli;
use crate::adapters::process::{Output, ProcessError};

/// How long to wait before each further try, more or less. A unit of systemd that is started anew needs a second or two.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_millis(1200),
    Duration::from_secs(3),
];
const LOOK: Duration = Duration::from_millis(50);

impl NixCli {
    /// Runs a command, and again while it finds no daemon; gives what the last try came to.
    pub(super) fn persist(
        &self,
        run: impl Fn() -> Result<Output, ProcessError>,
    ) -> Result<Output, ProcessError> {
        self.persist_with(run, |result| result.as_ref().err())
    }

    /// The same where it is told otherwise whether it failed. A daemon that was waited for in vain is not waited for again:
    /// a run may have hundreds of commands.
    pub(super) fn persist_with<T>(
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
            tracing::warn!("trying again, as no nix-daemon answered");
            result = run();
        }
        if error_of(&result).is_some_and(passes) {
            self.no_daemon.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Waits between half and one and a half of that, so that those who failed together do not come back together; tells
    /// whether nobody asked to stop meanwhile.
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
    use rstest::rstest;

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
