//! `man`: a manual page for each command, and one for the settings.

use std::io;

use camino::Utf8Path;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{Cli, ManArgs};
use super::environment::VARIABLES;
use super::failure::{Exit, Failure};
use super::out;
use crate::adapters::files;
use crate::ports::error_chain;
use crate::settings::reference;

/// Anybody may read a page.
const MODE: u32 = 0o644;

/// The files that every command reads or writes.
const FILES: [(&str, &str); 5] = [
    ("/etc/nix-prune/config.json", "Settings of the machine."),
    (
        "$XDG_CONFIG_HOME/nix-prune/config.json",
        "Settings of a user, over those of the machine.",
    ),
    (
        "/var/lib/nix-prune",
        "Records, pins and holds of runs by root.",
    ),
    (
        "$XDG_STATE_HOME/nix-prune",
        "Records, pins and holds of runs by another user.",
    ),
    ("/nix/var/nix/profiles", "Profiles and their generations."),
];

/// Prints the manual page of the program, or writes every page to a directory.
pub(super) fn manual(args: &ManArgs) -> Result<Exit, Failure> {
    let failed = |error: io::Error| {
        let message = format!("cannot write the manual: {}", error_chain(&error));
        Failure::new(Exit::Failed, message)
    };
    match &args.out {
        None => out::bytes(&program().map_err(failed)?),
        Some(dir) => write_all(dir).map_err(failed)?,
    }
    Ok(Exit::Done)
}

fn program() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    page(command, "nix-prune")
}

fn write_all(dir: &Utf8Path) -> io::Result<()> {
    files::make_dirs(dir, 0o755)?;
    files::write_atomically(&dir.join("nix-prune.1"), &program()?, MODE)?;
    files::write_atomically(&dir.join("nix-prune-settings.5"), &settings()?, MODE)?;
    let mut command = Cli::command();
    command.build();
    write_below(&command, "nix-prune", dir)
}

fn write_below(command: &Command, name: &str, dir: &Utf8Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        if below.get_name() != "help" {
            let name = format!("{name}-{}", below.get_name());
            let file = dir.join(format!("{name}.1"));
            files::write_atomically(&file, &page(below.clone(), &name)?, MODE)?;
            write_below(below, &name, dir)?;
        }
    }
    Ok(())
}

/// The page of a command. The last part of its help, EXIT STATUS and EXAMPLES, becomes sections of their own.
fn page(command: Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let command = command.display_name(name.to_string());
    let has_below = command.has_subcommands();
    let man = Man::new(command).manual("nix-prune");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_below {
        man.render_subcommands_section(&mut page)?;
    }
    let mut sections = Roff::new();
    let after = if after.contains("Exit status") {
        after
    } else {
        format!("{after}\n\nExit status:\n  See nix-prune(1).")
    };
    for paragraph in after.trim().split("\n\n") {
        let (title, lines) = paragraph.split_once(":\n").unwrap_or(("Notes", paragraph));
        let title = title.split(',').next().unwrap_or(title);
        sections.control("SH", [title.to_uppercase().as_str()]);
        sections.control("nf", []);
        for line in lines.lines() {
            sections.text([roman(line.trim())]);
        }
        sections.control("fi", []);
    }
    sections.control("SH", ["FILES"]);
    for (file, what) in FILES {
        entry(&mut sections, file, what);
    }
    sections.control("SH", ["ENVIRONMENT"]);
    for (variable, what) in VARIABLES {
        entry(&mut sections, variable, what);
    }
    sections.control("SH", ["SEE ALSO"]);
    sections.text([roman(
        "nix-prune(1), nix-prune-settings(5), nix-collect-garbage(1)",
    )]);
    sections.to_writer(&mut page)?;
    Ok(page)
}

fn entry(roff: &mut Roff, name: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(text)]);
}

/// The page of the settings, from their reference.
fn settings() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut roff = Roff::new();
    roff.control(
        "TH",
        ["nix-prune-settings", "5", "", "nix-prune", "nix-prune"],
    );
    roff.control("SH", ["NAME"]);
    roff.text([roman("nix-prune-settings - settings of nix-prune")]);
    roff.control("SH", ["DESCRIPTION"]);
    for line in reference().lines().skip(4) {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().replace('`', "").replace("\\|", "|"))
            .collect();
        match cells.as_slice() {
            [title] if line.starts_with('#') => {
                let title = title.trim_start_matches('#').trim();
                roff.control("SH", [title]);
            }
            [name, ..] if name == "---" || name == "Key" || name == "Name" || name == "Code" => {}
            [text] => _ = roff.text([roman(text.as_str())]),
            [name, meaning] => entry(&mut roff, name, meaning),
            [name, meaning, value, default, flag] => {
                let flag = if flag.is_empty() {
                    String::new()
                } else {
                    format!(" Flag: {flag}.")
                };
                let text = format!("{meaning} Value: {value}. Default: {default}.{flag}");
                entry(&mut roff, name, &text);
            }
            _ => {}
        }
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}
