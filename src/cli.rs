//! The command line: parses arguments, calls the engine, prints, and returns the exit status.

mod apply;
pub mod args;
mod ask;
mod browse;
mod budget;
mod complete;
mod config;
mod context;
mod dead;
mod demo;
mod doctor;
mod du;
mod due;
mod environment;
mod failure;
mod free;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generations;
mod help;
mod history;
mod hold;
mod inspect;
mod layers;
mod log;
mod manual;
mod metrics;
mod notices;
mod out;
mod package;
mod pin;
mod plan;
mod progress;
mod report;
mod roots;
mod run;
mod serve;
mod status;
mod touch;
mod undo;
mod why;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Cli, Command};
use context::Context;
use failure::{Exit, Failure};
use log::Priority;

use crate::adapters::{process, signals};

/// Parses the command line, runs the command, and returns its exit status.
#[expect(
    clippy::disallowed_methods,
    reason = "the first thing that the program does"
)]
pub fn main() -> ExitCode {
    if let Some(error) = process::become_command(std::env::args_os().skip(1)) {
        out::failure(&Failure::new(Exit::Failed, error.to_string()));
        return Exit::Failed.into();
    }
    process::launch_with_this_program();
    complete::answer_shell();
    if std::env::args_os().len() < 2 {
        out::bytes(help::first().as_bytes());
        return out::exit(Exit::Done).into();
    }
    let json = asks_for_json(std::env::args_os());
    let matches = help::command().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(mut error) => {
            help::mend_tip(&mut error);
            if json && error.use_stderr() {
                out::failure_document(&usage(&error));
            }
            let code = u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.into());
            // Help and version are returned this way as well; a closed pipe is no failure then.
            return match print_usage(&error) {
                Err(failed) if code == 0 && failed.kind() != ErrorKind::BrokenPipe => {
                    Exit::Failed.into()
                }
                _ => ExitCode::from(code),
            };
        }
    };
    log::start(&cli.global);
    out::set_quiet(cli.global.quiet > 0);
    // The exit status of `due` is its answer, whether its text can be printed or not.
    let only_words = matches!(cli.command, Command::Due(_));
    match dispatch(cli) {
        Ok(exit) if only_words => exit.into(),
        Ok(exit) => end(out::exit(exit)),
        Err(failure) => {
            out::failure(&failure);
            if json {
                out::failure_document(&failure);
            }
            end(failure.exit)
        }
    }
}

/// Ends as the exit status says: systemd takes a unit that it stopped for a clean one if it ends by the signal.
fn end(exit: Exit) -> ExitCode {
    if exit == Exit::Stopped {
        signals::end_by_sigterm();
    }
    exit.into()
}

/// Prints what is wrong with a command line, or the help that was asked for.
fn print_usage(error: &clap::Error) -> std::io::Result<()> {
    if error.use_stderr() && log::is_journal() {
        log::print(Priority::Error, &error.render().to_string());
        return Ok(());
    }
    error.print()
}

/// Whether a command line has `--json`, be it valid or not.
fn asks_for_json(words: impl Iterator<Item = OsString>) -> bool {
    let mut words = words.take_while(|word| word != "--");
    words.any(|word| word == "--json")
}

/// What is wrong with a command line: the first paragraph says it, those below what to do.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let (message, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
    let message = message.trim_start_matches("error: ").trim_end();
    Failure::new(Exit::Usage, message).hint(hint.trim())
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Completions { shell } => return complete::registration(shell),
        Command::Man(args) => return manual::manual(&args),
        Command::Demo => return demo::demo(cli.global),
        Command::Due(args) => return due::due(cli.global, &args),
        _ => {}
    }
    let mut context = Context::new(cli.global)?;
    if let Some(wait) = cli.command.wait() {
        context.wait = Some(wait);
        context.journal = context.journal.patient(wait, context.signals.clone());
    }
    let result = wait_and_dispatch(&context, cli.command);
    if !context.signals.terminated() {
        return result;
    }
    match result {
        Ok(Exit::Done) => Ok(Exit::Done),
        Ok(_) => Ok(Exit::Stopped),
        Err(failure) => Err(Failure {
            exit: Exit::Stopped,
            ..failure
        }),
    }
}

fn wait_and_dispatch(context: &Context, command: Command) -> Result<Exit, Failure> {
    if context.wait.is_some() {
        // This comes first, so that the plan is made for the state that the other run leaves.
        context.journal.wait_for_turn()?;
    }
    dispatch_in(context, command)
}

/// Runs the commands that use a store.
fn dispatch_in(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Status(args) => status::status(context, &args),
        Command::Plan(args) => plan::plan(context, &args),
        Command::Run(args) if args.only_plan => plan::plan(context, &args.into_plan()),
        Command::Run(args) => run::run(context, &args),
        Command::Free(args) => free::free(context, &args),
        Command::Apply(args) => apply::apply(context, &args),
        Command::Undo(args) => undo::undo(context, &args),
        Command::History(args) => history::history(context, &args),
        Command::Generations(args) => generations::generations(context, &args),
        Command::Roots(args) => roots::roots(context, &args),
        Command::Dead(args) => dead::dead(context, &args),
        Command::Why(args) => why::why(context, &args),
        Command::Du(args) => du::du(context, &args),
        Command::Browse(args) => browse::browse(context, &args),
        Command::Report(args) => report::report(context, &args),
        Command::Doctor(args) => doctor::doctor(context, &args),
        Command::Hold(args) => hold::hold(context, &args),
        Command::Pin(args) => pin::pin(context, &args),
        Command::Unpin(args) => pin::unpin(context, &args),
        Command::Metrics(args) => metrics::metrics(context, &args),
        Command::Notify(args) => notices::notify(context, &args),
        Command::Serve(args) => serve::serve(context, &args),
        Command::Touch(args) => touch::touch(context, &args),
        Command::Config(args) => config::config(context, &args),
        Command::Completions { .. } | Command::Man(_) | Command::Demo | Command::Due(_) => {
            Ok(Exit::Done)
        }
    }
}
