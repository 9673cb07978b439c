//! Selective collection: Nix deletes the given paths as far as it finds them dead itself.

use std::collections::BTreeSet;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};

use super::perform::plausible;
use super::{LONG, NixCli, NixVersion, failed, parse};
use crate::adapters::process::{Output, ProcessError};
use crate::adapters::progress_counter::ProgressLine;
use crate::domain::store_path::StorePath;
use crate::ports::{ArgLimit, Deleted, PerformError, UndeletedPath};

/// From here on Nix does not ask `keep-derivations` and `keep-outputs` when paths are named (trap 24). Lix counts on from
/// 2.90 and was not tried either.
const UNTESTED: NixVersion = NixVersion::new(2, 35, 0);

/// The most that Linux gives to arguments, whatever the limit of the stack says, in bytes.
const MAX_ARG_BYTES: usize = 6 << 20;

/// What every system takes: Linux gives 128 KiB at least.
const MIN_ARG_BYTES: usize = 64 << 10;

/// For the names of the program and of its options, for variables that are set for one command, and for a measure of
/// doubt about how a system counts.
const BESIDE: usize = 64 << 10;

/// What a command wrote, and how it ended.
type Ended = (Output, Result<(), ProcessError>);

impl NixCli {
    pub(super) fn deletion_limit_of_system(&self) -> Result<Option<ArgLimit>, PerformError> {
        let tested = *self.version()? < UNTESTED;
        let store = self.places.store.as_path().as_str();
        Ok(tested.then(|| ArgLimit {
            bytes: self
                .max_argument_bytes
                .min(argument_bytes(self.child_env.size())),
            // A slash, the zero at the end, and the pointer to it.
            per_path: store.len() + 2 + size_of::<usize>(),
        }))
    }

    /// Nothing in here weakens Nix's own check: no option, no setting, and no second try of a path that it refused.
    ///
    /// Nix is silent about a path that is not there and counts it as deleted, so what counts is what was there before
    /// and is not afterwards.
    pub(super) fn delete_by_name(&self, paths: &[StorePath<String>]) -> Deleted {
        let there = |path: &&StorePath<String>| self.is_on_disk(path).unwrap_or(true);
        let before: Vec<&StorePath<String>> = paths.iter().filter(there).collect();
        let used = self.used_bytes();
        let run = self.run_delete(paths);
        let (left, gone): (Vec<_>, Vec<_>) = before.into_iter().partition(there);
        let mut deleted = Deleted {
            paths: gone.into_iter().cloned().collect(),
            bytes: None,
            refused: Vec::new(),
            outcome: Ok(()),
        };
        match run {
            Ok(ended) => self.judge(ended, paths, &left, &mut deleted),
            Err(error) => deleted.outcome = Err(failed(what(), error)),
        }
        deleted.bytes = plausible(deleted.bytes, used);
        deleted
    }

    fn run_delete(&self, paths: &[StorePath<String>]) -> Result<Ended, ProcessError> {
        self.say_who_collects();
        let paths = self.absolute(paths);
        let run = || {
            self.command(&self.nix_store, LONG)
                .args(["--delete"])
                .args(&paths)
                .count_lines(ProgressLine::Deleting, &self.counter)
                .run_to_any_end(&*self.interrupt)
        };
        self.retry_with(run, |ran| match ran {
            Ok((_, ended)) => ended.as_ref().err(),
            Err(error) => Some(error),
        })
    }

    /// Separates refusals from failures.
    fn judge(
        &self,
        (output, ended): Ended,
        paths: &[StorePath<String>],
        left: &[&StorePath<String>],
        deleted: &mut Deleted,
    ) {
        let stderr = output.stderr.text();
        let collected =
            parse::collected(&output.stdout.text()).or_else(|| parse::collected(&stderr));
        deleted.bytes = collected.and_then(|collected| collected.bytes);
        let asked: BTreeSet<&StorePath<String>> = paths.iter().collect();
        deleted.refused = parse::refusals(&stderr, &self.places.store);
        deleted
            .refused
            .retain(|refused| asked.contains(&refused.path));
        match ended {
            Ok(())
                if deleted.refused.is_empty() && !left.is_empty() && deleted.paths.is_empty() =>
            {
                deleted.outcome = Err(PerformError::Nix {
                    what: what(),
                    source: "nix exited successfully but deleted nothing".into(),
                });
            }
            // Nix skips some paths that it cannot delete and still reports success (trap 31).
            Ok(()) => {
                let known: BTreeSet<_> = deleted.refused.iter().map(|r| r.path.clone()).collect();
                let silent = left.iter().filter(|path| !known.contains(**path));
                deleted.refused.extend(silent.map(|&path| UndeletedPath {
                    path: path.clone(),
                    why: "Nix did not delete it".to_string(),
                }));
            }
            Err(ProcessError::Failed { .. }) if !deleted.refused.is_empty() => {}
            Err(error) => deleted.outcome = Err(failed(what(), error)),
        }
    }
}

fn what() -> String {
    "deleting dead paths".to_string()
}

/// How much of the names of paths this system takes in one call, beside an environment of so many bytes. As much as
/// possible: Nix looks for all roots and walks all of `.links` in every call.
fn argument_bytes(environment: usize) -> usize {
    raise_limit();
    let system = sysconf(SysconfVar::ARG_MAX).ok().flatten();
    argument_bytes_beside(
        system.and_then(|most| usize::try_from(most).ok()),
        environment,
    )
}

fn argument_bytes_beside(system: Option<usize>, environment: usize) -> usize {
    let left = |most: usize| most.saturating_sub(environment).saturating_sub(BESIDE);
    system.map_or(MIN_ARG_BYTES, |most| {
        left(most.min(MAX_ARG_BYTES)).max(MIN_ARG_BYTES)
    })
}

/// Linux gives a quarter of what the stack may have to arguments, so that is raised as far as it takes, for us and what we
/// start from now on. Who has forbidden that gets shorter calls.
fn raise_limit() {
    const WANTED: u64 = 4 * (MAX_ARG_BYTES as u64);
    let raised = getrlimit(Resource::RLIMIT_STACK).and_then(|(now, most)| match now {
        now if now < WANTED => setrlimit(Resource::RLIMIT_STACK, WANTED.min(most), most),
        _ => Ok(()),
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of the stack cannot be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::process::{ChildEnv, Command, Program};
    use rstest::rstest;
    use std::time::Duration;

    /// Nobody asks to stop.
    struct Never;

    impl crate::ports::Interrupt for Never {
        fn requested(&self) -> bool {
            false
        }
    }

    #[rstest]
    #[case::linux(Some(2 << 20), 1_000, (2 << 20) - 1_000 - BESIDE)]
    #[case::a_large_environment(Some(2 << 20), 1 << 20, (1 << 20) - BESIDE)]
    #[case::no_limit_of_the_stack(Some(usize::MAX), 1_000, MAX_ARG_BYTES - 1_000 - BESIDE)]
    #[case::what_is_always_there(Some(128 << 10), 1_000, MIN_ARG_BYTES)]
    #[case::nothing_is_left(Some(128 << 10), 1 << 20, MIN_ARG_BYTES)]
    #[case::not_known(None, 0, MIN_ARG_BYTES)]
    fn names_get_what_the_environment_leaves(
        #[case] system: Option<usize>,
        #[case] environment: usize,
        #[case] expected: usize,
    ) {
        assert_eq!(argument_bytes_beside(system, environment), expected);
    }

    #[test]
    fn the_stack_gives_more_room_where_that_is_allowed() {
        let (_, most) = getrlimit(Resource::RLIMIT_STACK).unwrap();
        let max_argument_bytes = argument_bytes(1_000);
        let asked = usize::try_from(most / 4)
            .unwrap_or(MAX_ARG_BYTES)
            .min(MAX_ARG_BYTES);
        if cfg!(target_os = "linux") {
            assert_eq!(
                max_argument_bytes,
                argument_bytes_beside(Some(asked.max(128 << 10)), 1_000)
            );
        }
        // What this is about, on nearly every machine.
        assert!(
            most < 4 * MAX_ARG_BYTES as u64
                || max_argument_bytes > 5 << 20
                || !cfg!(target_os = "linux")
        );
    }

    /// A command line that is as long as it may be, with the shortest and with the longest names, is taken.
    #[rstest]
    fn so_much_is_taken(#[values(1, 211)] length: usize, #[values(0, 100_000)] variable: usize) {
        let child_env: ChildEnv = [("NIX_CONFIG", "x".repeat(variable))]
            .into_iter()
            .chain([("PATH", std::env::var("PATH").unwrap())])
            .collect();
        let name = "x".repeat(length);
        let count = argument_bytes(child_env.size()) / (length + 1 + size_of::<usize>());
        let program = Program::find("true", None, &child_env).unwrap();
        let command = Command::new(&program, &child_env, Duration::from_secs(60));
        let command = command.args(std::iter::repeat_n(name, count));
        command.run(&Never).unwrap();
    }
}
