//! `nix-collect-garbage`, and the options `nix.gc` that call it.

use super::draft::{Budget, Collect, Draft, Generations, Job, Keep, Operations};
use super::flags::{self, Flag, Takes, Word};
use super::shell::{self, Freed};
use super::spans;
use super::{ImportError, NoteKind};

const TOOL: &str = "nix-collect-garbage";

const FLAGS: &[Flag] = &[
    Flag(&["--delete-old", "-d"], Takes::Nothing),
    Flag(&["--delete-older-than"], Takes::Value),
    Flag(&["--max-freed"], Takes::Value),
    Flag(&["--dry-run"], Takes::Nothing),
    Flag(&["--keep-outputs"], Takes::Nothing),
    Flag(&["--keep-derivations"], Takes::Nothing),
    Flag(&["--option"], Takes::Two),
    // What every command of Nix's takes, and what says how it works and what it prints.
    Flag(&["--verbose", "-v"], Takes::Nothing),
    Flag(&["--quiet"], Takes::Nothing),
    Flag(&["--debug"], Takes::Nothing),
    Flag(&["--log-format"], Takes::Value),
    Flag(&["--no-build-output", "-Q"], Takes::Nothing),
    Flag(&["--print-build-logs", "-L"], Takes::Nothing),
    Flag(&["--show-trace"], Takes::Nothing),
    Flag(&["--keep-going", "-k"], Takes::Nothing),
    Flag(&["--keep-failed", "-K"], Takes::Nothing),
    Flag(&["--fallback"], Takes::Nothing),
    Flag(&["--max-jobs", "-j"], Takes::Value),
    Flag(&["--cores"], Takes::Value),
    Flag(&["--max-silent-time"], Takes::Value),
    Flag(&["--timeout"], Takes::Value),
    Flag(&["--experimental-features"], Takes::Value),
    Flag(&["--extra-experimental-features"], Takes::Value),
];

const GC: &[Flag] = &[
    Flag(&["--options"], Takes::Value),
    Flag(&["--automatic"], Takes::Value),
    Flag(&["--dates"], Takes::Value),
    Flag(&["--frequency"], Takes::Value),
    Flag(&["--interval"], Takes::Value),
    Flag(&["--persistent"], Takes::Value),
    Flag(&["--randomizedDelaySec"], Takes::Value),
    Flag(&["--user"], Takes::Value),
];

pub(super) fn collect_garbage(words: &[String]) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    taken_over(words, &mut draft, "as nix-collect-garbage did")?;
    Ok(draft)
}

/// The option `options` is a line of a shell script; the others say when it runs.
pub(super) fn nix_gc(words: &[String]) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    let mut options = String::new();
    for word in flags::read("nix.gc", GC, words)? {
        match word {
            Word::Flag("--options", value) => options = value,
            Word::Flag(name, _) => draft.ignored(
                name,
                "When jobs run is not a setting here: the modules and timers have options of the same names.",
            ),
            Word::Plain(word) => {
                return Err(ImportError::new(
                    format!("nix.gc has no option `{word}`"),
                    "Write the flags of nix-collect-garbage in one word: --options '--delete-older-than 30d'.",
                ));
            }
        }
    }
    let words = shell::words(&options)?;
    taken_over(&words, &mut draft, "as nix.gc did")?;
    Ok(draft)
}

fn taken_over(words: &[String], draft: &mut Draft, description: &str) -> Result<(), ImportError> {
    let (mut all_old, mut older_than, mut freed) = (false, None, None);
    for word in flags::read(TOOL, FLAGS, words)? {
        match word {
            Word::Flag("--delete-old", _) => all_old = true,
            Word::Flag("--delete-older-than", value) => older_than = Some(days(&value)?),
            Word::Flag("--max-freed", value) => freed = Some(shell::freed(&value)?),
            Word::Flag("--dry-run", _) => {
                draft.ignored("--dry-run", "`nix-prune plan` shows what a run would do.");
            }
            Word::Flag("--option", value) if !keeps_more(&value) => draft.ignored(
                "--option",
                "Nix's own settings are Nix's business; write it into nix.conf.",
            ),
            Word::Flag(name @ ("--keep-outputs" | "--keep-derivations" | "--option"), _) => draft.note(
                name,
                NoteKind::DeletesMore,
                "The flag keeps store paths that the job deletes; write the setting into nix.conf before you run the job.",
            ),
            Word::Flag(name, _) => draft.ignored(name, "It decides nothing."),
            Word::Plain(word) => {
                return Err(ImportError::new(
                    format!("{TOOL} takes no `{word}`"),
                    "It takes flags only.",
                ));
            }
        }
    }
    let keep = match (older_than, all_old) {
        (Some(within), also_all) => {
            if also_all {
                // Nix looks at the age alone when both are said.
                draft.note(
                    "--delete-old",
                    NoteKind::KeepsMore,
                    "Beside --delete-older-than it is left out: what is young enough stays.",
                );
            }
            Some(Keep {
                within: Some(within),
                ..Keep::default()
            })
        }
        (None, true) => {
            draft.note(
                "--delete-old",
                NoteKind::KeepsMore,
                "What is newer than the current generation stays after a rollback, and a system keeps one older generation \
                 to boot; Nix deletes both.",
            );
            Some(Keep {
                last: Some(1),
                ..Keep::default()
            })
        }
        (None, false) => None,
    };
    let generations = keep.map(|keep| Generations {
        profiles: vec![TOOL.to_string()],
        keep,
    });
    let (budget, collect) = goal(freed, draft);
    let operations = Operations {
        generations,
        collect,
        ..Operations::default()
    };
    draft.job(
        "default",
        Job {
            description: description.to_string(),
            budget,
            operations,
            ..Job::default()
        },
    )
}

/// Whether a setting of Nix's keeps what is dead otherwise.
fn keeps_more(option: &str) -> bool {
    [
        "keep-outputs true",
        "keep-derivations true",
        "gc-keep-outputs true",
        "gc-keep-derivations true",
    ]
    .contains(&option)
}

/// What `--max-freed` makes of the collection.
fn goal(freed: Option<Freed>, draft: &mut Draft) -> (Option<Budget>, Option<Collect>) {
    match freed {
        None => (None, Some(Collect::default())),
        Some(Freed::Bytes(0) | Freed::UntilFree(0)) => {
            draft.note(
                "--max-freed",
                NoteKind::KeepsMore,
                "Nix deletes nothing with it, so that nothing is collected here.",
            );
            (None, None)
        }
        Some(Freed::Bytes(bytes)) => {
            let message = format!(
                "Nix stops after {}. The job deletes all dead store paths; `minFree` in a `budget` stops it when so much is free.",
                written(bytes)
            );
            draft.note("--max-freed", NoteKind::DeletesMore, &message);
            (None, Some(Collect::default()))
        }
        Some(Freed::UntilFree(bytes)) => {
            until_free("--max-freed", draft);
            (
                Some(Budget::MinFree(written(bytes))),
                Some(Collect::default()),
            )
        }
    }
}

/// Says what a budget does otherwise than a collection that stops.
pub(super) fn until_free(about: &str, draft: &mut Draft) {
    draft.note(
        about,
        NoteKind::KeepsMore,
        "It is the goal `minFree`: the job removes only what is missing until so much is free, generations as well.",
    );
}

/// A size as the settings take it.
fn written(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let whole = units
        .iter()
        .find(|(_, shift)| bytes.trailing_zeros() >= *shift);
    match whole {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// Nix takes a whole number of days, at least one, and nothing else.
fn days(value: &str) -> Result<crate::domain::measure::Span, ImportError> {
    let number = value.strip_suffix('d').filter(|number| {
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        digits && !number.is_empty()
    });
    let number = number.and_then(|number| number.parse::<u64>().ok());
    let seconds = number
        .filter(|&n| n > 0)
        .and_then(|n| n.checked_mul(86_400));
    seconds.and_then(spans::age).ok_or_else(|| {
        let hint = match in_days(value) {
            _ if value.starts_with('+') => {
                "A number of generations is nix-env's; write `\"last\"` among the keep rules."
                    .to_string()
            }
            Some(days) => format!("Nix knows whole days only; write `{days}d`."),
            None => "Nix knows whole days, at least one, such as `30d`.".to_string(),
        };
        let message = format!("{TOOL} does not take `{value}` for an age");
        ImportError::new(message, hint)
    })
}

/// How many days an age of another form has; a month has 30 and a year 365.
fn in_days(value: &str) -> Option<u64> {
    let end = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    let number: u64 = number.parse().ok().filter(|&n| n > 0)?;
    let days = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "day" | "days" => 1,
        "w" | "week" | "weeks" => 7,
        "mo" | "month" | "months" => 30,
        "y" | "year" | "years" => 365,
        "h" | "hour" | "hours" if number.is_multiple_of(24) => return number.checked_div(24),
        _ => return None,
    };
    number.checked_mul(days)
}
