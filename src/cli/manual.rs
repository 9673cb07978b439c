//! `man`: one manual page for all commands.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::Cli;
use super::failure::{Exit, Failure};
use super::out;

/// Prints the manual page.
pub(super) fn manual() -> Result<Exit, Failure> {
    let mut page = Vec::new();
    write(&mut page).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot render the manual: {error}"))
    })?;
    out::bytes(&page);
    Ok(Exit::Done)
}

fn write(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    writeln!(page, ".SH COMMANDS")?;
    for below in command.get_subcommands() {
        write_command(below, page)?;
    }
    man.render_options_section(page)?;
    man.render_extra_section(page)?;
    man.render_version_section(page)
}

/// A command, its purpose, and its own options; global options have their own section.
fn write_command(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    if command.get_name() == "help" {
        return Ok(());
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    writeln!(page, ".SS {}", plain(usage))?;
    let about = command.get_long_about().or_else(|| command.get_about());
    writeln!(
        page,
        "{}",
        plain(&about.map(ToString::to_string).unwrap_or_default())
    )?;
    let own = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version"));
    for arg in own {
        let help = arg.get_long_help().or_else(|| arg.get_help());
        writeln!(page, ".TP\n{}", plain(&arg.to_string()))?;
        writeln!(
            page,
            "{}",
            plain(&help.map(ToString::to_string).unwrap_or_default())
        )?;
    }
    for below in command.get_subcommands() {
        write_command(below, page)?;
    }
    Ok(())
}

/// A text without characters that have a meaning in the page's language.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        _ => line.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
