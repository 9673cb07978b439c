//! Help: commands in groups, the first words, and better tips than the nearest spelling.

use std::fmt::Write as _;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Cli;

/// The commands that somebody needs first; those that exist are shown.
const FIRST: [&str; 7] = ["status", "plan", "free", "run", "undo", "du", "doctor"];

/// The commands by what they are for. What is in none of the groups is in the last one.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Free space",
        &["status", "plan", "run", "free", "apply", "undo", "history"],
    ),
    (
        "Look",
        &[
            "generations",
            "roots",
            "dead",
            "why",
            "du",
            "browse",
            "report",
        ],
    ),
    ("Protect", &["pin", "unpin", "hold", "touch"]),
    (
        "Set up",
        &["config", "doctor", "due", "metrics", "notify", "serve"],
    ),
];

/// What people type that know other tools, and the flag that does it.
const HABITS: [(&str, &str); 5] = [
    ("--older-than", "--keep-within"),
    ("--max-freed", "--until-free"),
    ("--max", "--until-free"),
    ("--ensure-free", "--until-free"),
    ("--no-gc", "--no-collect"),
];

/// The command line, with its commands in groups.
pub(super) fn command() -> clap::Command {
    let command = Cli::command();
    let names: Vec<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    let mut text = String::new();
    for (title, group) in GROUPS {
        section(&mut text, &command, title, group);
    }
    let is_grouped = |name: &&str| GROUPS.iter().any(|(_, group)| group.contains(name));
    let others: Vec<&str> = names.into_iter().filter(|name| !is_grouped(name)).collect();
    section(&mut text, &command, "More", &others);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}{{after-help}}"
    ))
}

/// What is printed where nothing is asked for.
pub(super) fn first() -> String {
    let command = Cli::command();
    let about = command.get_about().map(ToString::to_string);
    let mut text = format!("{}\n\n", about.unwrap_or_default());
    section(&mut text, &command, "First steps", &FIRST);
    text + "All commands: nix-prune --help. One of them: nix-prune help COMMAND.\n"
}

fn section(text: &mut String, command: &clap::Command, title: &str, names: &[&str]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{title}:");
    for name in names {
        if let Some(below) = command.find_subcommand(name) {
            let about = below.get_about().map(ToString::to_string);
            let _ = writeln!(text, "  {name:<12} {}", about.unwrap_or_default());
        }
    }
    text.push('\n');
}

/// Takes tips away that are wrong: a job has no name that begins with a dash, and what other tools call a flag is no slip.
pub(super) fn mend_tip(error: &mut clap::Error) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    error.remove(ContextKind::Suggested);
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return;
    };
    let habit = HABITS.iter().find(|(habit, _)| habit == flag);
    if let Some((_, ours)) = habit {
        let ours = ContextValue::String((*ours).to_string());
        error.insert(ContextKind::SuggestedArg, ours);
    }
}
