//! Child processes, all started here: fixed environment, no terminal, bounded output, time limit, termination on request.

mod account;
mod capture;
mod child_env;
mod error;
mod launch;
mod watch;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::progress_counter::{LineCounter, ProgressCounter, ProgressLine};
use crate::domain::visible::shown;
use crate::ports::Interrupt;

pub use account::Account;
pub use capture::Captured;
pub use child_env::ChildEnv;
pub use error::{CommandLine, Ended, ProcessError};
pub use launch::{become_command, launch_with, launch_with_this_program};

/// A program that was found, once, as an absolute path.
///
/// The path is not resolved: all of Nix's tools are links to one program, which distinguishes them by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// Finds a program in `bin` alone, or else on `PATH`.
    ///
    /// # Errors
    /// [`ProcessError::NotFound`], which has a hint for the user.
    pub fn find(
        name: &str,
        bin: Option<&Path>,
        child_env: &ChildEnv,
    ) -> Result<Self, ProcessError> {
        let not_found = |place: String| ProcessError::NotFound {
            program: name.to_string(),
            place,
        };
        // The working directory never counts: who runs as root must not start what lies there.
        let found = if let Some(bin) = bin {
            let bin = std::path::absolute(bin).map_err(|_| not_found(shown(bin)))?;
            which::which_in(bin.join(name), None::<&OsStr>, "/")
                .map_err(|_| not_found(format!("in {}", shown(&bin))))?
        } else {
            which::which_in(name, child_env.get("PATH"), "/")
                .map_err(|_| not_found("on PATH".to_string()))?
        };
        Ok(Self { path: found })
    }

    /// This program, to run another of its commands.
    ///
    /// # Errors
    /// [`ProcessError::NotFound`] where it does not know its own file.
    pub fn own() -> Result<Self, ProcessError> {
        let path = launch::own_program().ok_or_else(|| ProcessError::NotFound {
            program: "nix-prune".to_string(),
            place: "that runs".to_string(),
        })?;
        Ok(Self { path })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a command left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
}

/// A command to be run.
#[derive(Debug, Clone)]
pub struct Command<'a> {
    program: &'a Program,
    child_env: &'a ChildEnv,
    account: Option<&'a Account>,
    args: Vec<OsString>,
    settings: Vec<(OsString, Option<OsString>)>,
    input: Input,
    timeout: Duration,
    grace: Grace,
    progress: Option<LineCounter>,
    low_priority: bool,
}

/// The standard input of a command.
#[derive(Debug, Clone)]
enum Input {
    Empty,
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// How long a command has to end after it was asked to.
#[derive(Debug, Clone, Copy)]
struct Grace {
    after_timeout: Duration,
    after_interrupt: Duration,
}

impl Grace {
    /// Nix ends within a moment of a signal, but not before the path that it deletes just now is gone.
    const FOR_NIX: Self = Self {
        after_timeout: Duration::from_secs(10),
        after_interrupt: Duration::from_secs(30),
    };
}

impl<'a> Command<'a> {
    /// A command that may take `timeout`.
    pub fn new(program: &'a Program, child_env: &'a ChildEnv, timeout: Duration) -> Self {
        Self {
            program,
            child_env,
            account: None,
            args: Vec::new(),
            settings: Vec::new(),
            input: Input::Empty,
            timeout,
            grace: Grace::FOR_NIX,
            progress: None,
            low_priority: false,
        }
    }

    /// Counts the lines by which it says how far it has come.
    #[must_use]
    pub(super) fn count_lines(
        mut self,
        line: ProgressLine,
        counter: &Arc<ProgressCounter>,
    ) -> Self {
        self.progress = Some(LineCounter::new(Arc::clone(counter), line));
        self
    }

    /// Lets it run when nothing else wants the processor or the disk, as far as the system allows that.
    #[must_use]
    pub fn low_priority(mut self) -> Self {
        self.low_priority = true;
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment, whatever was inherited.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.settings.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a variable that every command gets.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.push((name.into(), None));
        self
    }

    /// Passes a variable on, where it is set.
    #[must_use]
    pub fn keep(self, name: &str) -> Self {
        match self.child_env.get(name) {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Runs it as another user, which takes root; `None` for our own.
    #[must_use]
    pub fn run_as(mut self, account: Option<&'a Account>) -> Self {
        self.account = account;
        self
    }

    /// Lets it read a file as its standard input, which is empty otherwise.
    #[must_use]
    pub fn input(mut self, file: &Path) -> Self {
        self.input = Input::File(file.to_path_buf());
        self
    }

    /// Gives it bytes as its standard input; it need not read them.
    #[must_use]
    pub fn input_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.input = Input::Bytes(bytes);
        self
    }

    /// Shortens the time between a request to end and the end, after which it is killed.
    #[must_use]
    pub fn end_within(mut self, grace: Duration) -> Self {
        self.grace = Grace {
            after_timeout: grace,
            after_interrupt: grace,
        };
        self
    }

    /// Runs it to its end. Output beyond a MiB is cut out of the middle.
    ///
    /// # Errors
    /// When it could not be started, failed, took too long or was interrupted.
    pub fn run(self, interrupt: &dyn Interrupt) -> Result<Output, ProcessError> {
        let (output, ended) = self.watch(interrupt, None)?;
        ended.map(|()| output)
    }

    /// Runs it to its end, and gives what it wrote even where it failed: some of its work is done then.
    ///
    /// # Errors
    /// Outside, when it could not be started or waited for; inside, as [`Command::run`].
    pub fn run_to_any_end(
        self,
        interrupt: &dyn Interrupt,
    ) -> Result<(Output, Result<(), ProcessError>), ProcessError> {
        self.watch(interrupt, None)
    }

    /// Runs it to its end and gives its standard output to `block` as it comes, some 64 KiB at a time; the output then
    /// has none of it.
    ///
    /// # Errors
    /// As [`Command::run`], and [`ProcessError::Cut`] when the output did not end.
    pub fn run_blocks(
        self,
        interrupt: &dyn Interrupt,
        block: &mut dyn FnMut(&[u8]),
    ) -> Result<Output, ProcessError> {
        let (output, ended) = self.watch(interrupt, Some(block))?;
        ended.map(|()| output)
    }

    /// The words of the command.
    fn command_line(&self) -> CommandLine {
        let mut words = vec![self.program.path.clone().into_os_string()];
        words.extend(self.args.iter().cloned());
        CommandLine::new(words)
    }

    /// The program and its arguments, behind the commands that lower its priority. Each of them becomes the next one, and starts it
    /// all the same where the system refuses, as the sandbox of a unit does; the unit sets the priority itself.
    fn with_priority(&self) -> (PathBuf, Vec<OsString>) {
        let lower: &[&[&str]] = &[&["nice", "-n", "19"], &["ionice", "-t", "-c", "3"]];
        let lower = lower.iter().filter(|_| self.low_priority);
        let found = lower.filter_map(|words| {
            let (name, options) = words.split_first()?;
            let program = Program::find(name, None, self.child_env).ok()?;
            let options = options.iter().map(OsString::from);
            Some(std::iter::once(program.path.into_os_string()).chain(options))
        });
        let mut words = found
            .flatten()
            .chain([self.program.path.clone().into_os_string()]);
        let program = words
            .next()
            .map_or_else(|| self.program.path.clone(), PathBuf::from);
        (program, words.chain(self.args.iter().cloned()).collect())
    }

    /// The command without its outputs.
    ///
    /// # Errors
    /// When it belongs to another user, and this program cannot start such commands.
    fn expression(&self) -> io::Result<duct::Expression> {
        let ours = self.account.is_none();
        let (program, args) = match self.account {
            None => self.with_priority(),
            Some(account) => {
                let cpu = 2 * (self.timeout + self.grace.after_timeout);
                launch::words(account, cpu, &self.program.path, &self.args)?
            }
        };
        let mut environment = match self.account {
            None => self.child_env.for_ourselves(),
            Some(account) => self.child_env.for_account(account),
        };
        for (name, value) in &self.settings {
            match value {
                Some(value) => environment.insert(name.clone(), value.clone()),
                None => environment.remove(name),
            };
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the one door for child processes"
        )]
        let expression = duct::cmd(program, args)
            // A directory that is always there, and that no user's home stands in the way of.
            .dir("/")
            .full_env(environment)
            .unchecked();
        let expression = match &self.input {
            Input::File(file) => expression.stdin_path(file),
            Input::Bytes(bytes) => expression.stdin_bytes(bytes.clone()),
            Input::Empty => expression.stdin_null(),
        };
        Ok(expression.before_spawn(move |command| {
            // A group of its own, or ^C at the terminal would end Nix in the middle of a deed of ours. The leader of a
            // group cannot start a session, which makes a group as well.
            if ours {
                command.process_group(0);
            }
            Ok(())
        }))
    }
}

#[cfg(test)]
mod tests;
