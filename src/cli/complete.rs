//! Shell completions: the registration scripts, and the values that exist on this machine.

use std::io;

use clap::{CommandFactory, Parser};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate, Shell};

use super::args::Cli;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::domain::blocker::CheckCode;
use crate::domain::profile::{Profile, ProfileNames};
use crate::domain::risk::RiskLevel;
use crate::ports::RunJournal;

/// The variable by which a shell asks for completions.
const VARIABLE: &str = "NIX_PRUNE_COMPLETE";

/// Answers a shell that asks for completions, and ends the program then.
pub(super) fn answer_shell() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .complete();
}

/// Prints the script that makes a shell ask.
pub(super) fn registration(shell: Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string());
    let written = completer.map_or_else(
        || Err(io::Error::other("unknown shell")),
        |shell| {
            shell.write_registration(VARIABLE, "nix-prune", "nix-prune", "nix-prune", &mut text)
        },
    );
    written.map_err(|error| Failure::new(Exit::Failed, format!("cannot write it: {error}")))?;
    if shell == Shell::Bash {
        text.extend_from_slice(
            b"# So that PROFILE:N is one word.\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n",
        );
    }
    out::bytes(&text);
    Ok(Exit::Done)
}

/// The world that completions come from; nothing is completed where it cannot be read.
fn context() -> Option<Context> {
    let cli = Cli::try_parse_from(["nix-prune", "history"]).ok()?;
    Context::new(cli.global).ok()
}

fn candidates(
    find: impl Fn(&Context) -> Option<Vec<CompletionCandidate>> + Send + Sync + 'static,
) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        context()
            .and_then(|context| find(&context))
            .unwrap_or_default()
    })
}

/// The jobs of the settings.
pub(super) fn jobs() -> ArgValueCandidates {
    candidates(|context| {
        let settings = context.settings().ok()?;
        let job = |job: &crate::settings::JobSettings| {
            let help = job.description().map(|text| text.to_string().into());
            CompletionCandidate::new(job.job().name.to_string()).help(help)
        };
        Some(settings.jobs().map(job).collect())
    })
}

/// The profiles.
pub(super) fn profiles() -> ArgValueCandidates {
    of_profiles(|names, profile| vec![CompletionCandidate::new(names.of(&profile.path))])
}

/// The generations of all profiles, the newest first.
pub(super) fn generations() -> ArgValueCandidates {
    of_profiles(|names, profile| {
        let name = names.of(&profile.path);
        let numbers = profile.generations.keys().rev();
        numbers
            .map(|number| CompletionCandidate::new(format!("{name}:{number}")))
            .collect()
    })
}

fn of_profiles(
    words: fn(&ProfileNames<'_>, &Profile) -> Vec<CompletionCandidate>,
) -> ArgValueCandidates {
    candidates(move |context| {
        let snapshot = context.snapshot(None).ok()?;
        let names: ProfileNames<'_> = snapshot.profiles.iter().map(|p| &p.path).collect();
        let words = snapshot.profiles.iter().flat_map(|p| words(&names, p));
        Some(words.collect())
    })
}

/// The runs on record, the newest first.
pub(super) fn runs() -> ArgValueCandidates {
    candidates(|context| {
        let receipts = context.journal.receipts().ok()?;
        let run = |receipt: &crate::domain::receipt::Receipt| {
            let help = format!("{} actions", receipt.entries.len());
            CompletionCandidate::new(receipt.run.to_string()).help(Some(help.into()))
        };
        Some(receipts.iter().rev().map(run).collect())
    })
}

/// The codes of safety checks.
pub(super) fn codes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let codes = CheckCode::ALL.into_iter();
        codes
            .map(|code| CompletionCandidate::new(code.as_str()))
            .collect()
    })
}

/// The levels of risk.
pub(super) fn levels() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let levels = RiskLevel::ALL.into_iter();
        levels
            .map(|level| CompletionCandidate::new(level.as_str()))
            .collect()
    })
}
