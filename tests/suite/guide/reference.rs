//! The pages of the book that are written from the program: commands and JSON documents.

use clap::{Arg, Command, CommandFactory};
use nix_prune::cli::args::Cli;
use nix_prune::render::Document;
use rstest::rstest;

use crate::render::assert_kept;
use crate::support::{command, run_command};

/// What a command prints with `--help`, at 100 columns; without the options that every command has.
fn help(words: &[&str]) -> String {
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    command.args(words).arg("--help").env_clear();
    let ran = run_command(command.env("COLUMNS", "100"));
    assert_eq!(ran.status, 0, "{words:?}: {}", ran.stderr);
    let mut is_shown = true;
    let lines = ran.stdout.lines().filter(|line| {
        if !line.starts_with(' ') && !line.is_empty() {
            is_shown = words.is_empty() || *line != "Global options:";
        }
        is_shown
    });
    let text: Vec<&str> = lines.map(str::trim_end).collect();
    let text = text.join("\n");
    let rest = text.split("\n\n").filter(|paragraph| {
        let first = paragraph.trim_start();
        !first.starts_with("-h, --help") && !first.starts_with("-V, --version")
    });
    let text = rest.collect::<Vec<_>>().join("\n\n");
    text.replace(
        "Options:\n  -h, --help\n          Print help (see a summary with '-h')\n\n",
        "",
    )
}

fn write_below(page: &mut String, command: &Command, words: &[&str]) {
    for below in command.get_subcommands() {
        if below.get_name() == "help" || below.is_hide_set() {
            continue;
        }
        let words = [words, &[below.get_name()]].concat();
        let help = help(&words);
        let title = words.join(" ");
        page.extend([format!(
            "\n## `nix-prune {title}`\n\n```text\n{}\n```\n",
            help.trim()
        )]);
        write_below(page, below, &words);
    }
}

#[test]
fn the_page_of_the_commands_is_current() {
    let mut page = format!(
        "# Commands\n\nWhat each command prints with `--help`, written by the tests. The global options, which every command \
         takes, are shown once.\n\n## `nix-prune`\n\n```text\n{}\n```\n",
        help(&[]).trim()
    );
    write_below(&mut page, &Cli::command(), &[]);
    assert_kept("docs/commands.md", &page);
}

#[rstest]
#[case("plan")]
#[case("run")]
fn only_goals_are_below_the_heading_of_budgets(#[case] name: &str) {
    let command = Cli::command();
    let command = command.find_subcommand(name).unwrap();
    let is_below = |arg: &&Arg| {
        arg.get_help_heading()
            .is_some_and(|it| it.contains("budget"))
    };
    let below = command.get_arguments().filter(is_below);
    let below: Vec<&str> = below.filter_map(Arg::get_long).collect();
    let goals = ["until-free", "max-used", "max-store", "until-free-inodes"];
    assert_eq!(below, [goals.as_slice(), &["release-holds"]].concat());
}

/// The commands that print a document.
fn printed_by(document: Document) -> &'static [&'static str] {
    match document {
        Document::Status => &["status"],
        Document::Generations => &["generations"],
        Document::Roots => &["roots"],
        Document::Plan => &["plan"],
        Document::Receipt => &["run", "free", "apply", "undo", "history RUN"],
        Document::Undo => &["undo --dry-run"],
        Document::History => &["history"],
        Document::Holds => &["hold list"],
        Document::Pin => &["pin PROFILE:N", "unpin"],
        Document::PinList => &["pin list"],
        Document::Dead => &["dead"],
        Document::Why => &["why PATH"],
        Document::Du => &["du --by GROUP"],
        Document::Usage => &["du"],
        Document::Package => &["du PACKAGE", "why PACKAGE"],
        Document::Report => &["report"],
        Document::Doctor => &["doctor"],
        Document::ConfigCheck => &["config check"],
        Document::ConfigDiff => &["config diff"],
        Document::ConfigImport => &["config import"],
        Document::ConfigMigrate => &["config migrate"],
        Document::ConfigShow => &["config show"],
        Document::Notice => &["notify"],
        Document::Error => &[],
    }
}

#[test]
fn the_page_of_the_documents_is_current() {
    let mut page = "# JSON documents\n\nWritten by the tests from the schemas. With `--json` a command prints one document on standard \
                    output, and nothing else there. If it fails, it prints the document `error` instead. Every document has \
                    a `schema`, such as `nix-prune/plan/2`; its number changes if a field is removed or gets another \
                    meaning. Readers should accept fields that they do not know.\n"
        .to_string();
    for document in Document::ALL {
        let (name, version) = (document.name(), document.version());
        let schema = document.schema();
        let value = schema.as_value();
        let commands = printed_by(document);
        let commands: Vec<String> = commands.iter().map(|it| format!("`{it} --json`")).collect();
        let by = if commands.is_empty() {
            "any command with `--json` that failed".to_string()
        } else {
            commands.join(", ")
        };
        let about = value["description"].as_str().unwrap();
        page.extend([format!(
            "\n## `{name}`\n\n{about} Printed by {by}. [Schema](schemas/{name}-{version}.json).\n\n| Field | Meaning |\n| --- | --- |\n"
        )]);
        let fields = value["properties"].as_object().unwrap();
        for (field, schema) in fields.iter().filter(|(field, _)| *field != "schema") {
            let meaning = schema["description"].as_str().unwrap_or_default();
            let meaning = meaning.replace('\n', " ").replace('|', "\\|");
            page.extend([format!("| `{field}` | {meaning} |\n")]);
        }
    }
    assert_kept("docs/json.md", &page);
}
