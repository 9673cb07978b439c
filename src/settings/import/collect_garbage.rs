//! `nix-collect-garbage`, and the options `nix.gc` that call it.

use super::draft::{Collect, Draft, Generations, Job, Keep, Operations};
use super::flags::{self, Flag, Takes, Word};
use super::spans;
use super::{Around, ImportError, NoteKind, Scope};

const TOOL: &str = "nix-collect-garbage";

const FLAGS: &[Flag] = &[
    Flag(&["--delete-old", "-d"], Takes::Nothing),
    Flag(&["--delete-older-than"], Takes::Value),
    Flag(&["--max-freed"], Takes::Value),
    Flag(&["--dry-run"], Takes::Nothing),
    Flag(&["--verbose", "-v"], Takes::Nothing),
    Flag(&["--quiet"], Takes::Nothing),
    Flag(&["--log-format"], Takes::Value),
    Flag(&["--option"], Takes::Two),
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

pub(super) fn collect_garbage(words: &[String], around: &Around<'_>) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    taken_over(words, around, &mut draft, "as nix-collect-garbage did")?;
    Ok(draft)
}

/// The option `options` is a line of a shell script; the others say when it runs.
pub(super) fn nix_gc(words: &[String], around: &Around<'_>) -> Result<Draft, ImportError> {
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
    if let Some(sign) = options
        .chars()
        .find(|c| "$`\\\"'|&;<>(){}*?[]#~!\n".contains(*c))
    {
        return Err(ImportError::new(
            format!("the options have a `{sign}`, which only a shell can make sense of"),
            "Write the flags that come of it.",
        ));
    }
    let words: Vec<String> = options.split_whitespace().map(str::to_string).collect();
    taken_over(&words, around, &mut draft, "as nix.gc did")?;
    Ok(draft)
}

fn taken_over(
    words: &[String],
    around: &Around<'_>,
    draft: &mut Draft,
    description: &str,
) -> Result<(), ImportError> {
    let (mut all_old, mut older_than) = (false, None);
    for word in flags::read(TOOL, FLAGS, words)? {
        match word {
            Word::Flag("--delete-old", _) => all_old = true,
            Word::Flag("--delete-older-than", value) => older_than = Some(days(&value)?),
            Word::Flag("--max-freed", _) => draft.note(
                "--max-freed",
                NoteKind::NoEquivalent,
                "A collection does not stop after so many bytes; a budget says how much is to be free instead.",
            ),
            Word::Flag("--dry-run", _) => {
                draft.ignored("--dry-run", "`nix-prune plan` shows what would be done.");
            }
            Word::Flag("--option", _) => draft.ignored(
                "--option",
                "Nix's own settings are Nix's business; write it into nix.conf.",
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
        profiles: profiles(around.scope, draft),
        keep,
    });
    let operations = Operations {
        generations,
        collect: Some(Collect {}),
        ..Operations::default()
    };
    draft.job(
        "default",
        Job {
            description: description.to_string(),
            operations,
            ..Job::default()
        },
    )
}

/// Nix takes a whole number of days, at least one, and nothing else.
fn days(value: &str) -> Result<crate::domain::measure::Age, ImportError> {
    let number = value.strip_suffix('d').filter(|number| {
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        digits && !number.is_empty()
    });
    let number = number.and_then(|number| number.parse::<u64>().ok());
    let seconds = number
        .filter(|&n| n > 0)
        .and_then(|n| n.checked_mul(86_400));
    seconds.and_then(spans::age).ok_or_else(|| {
        let hint = if value.starts_with('+') {
            "A number of generations is nix-env's; write `\"last\"` among the keep rules."
        } else {
            "Nix knows whole days, at least one, such as `30d`."
        };
        let message = format!("{TOOL} does not take `{value}` for an age");
        ImportError::new(message, hint)
    })
}

/// The profiles that Nix looks at, as far as ours can name them without taking in others.
pub(super) fn profiles(scope: Scope, draft: &mut Draft) -> Vec<String> {
    match scope {
        Scope::System => {
            draft.note(
                "profiles",
                NoteKind::KeepsMore,
                "Only system profiles are thinned out. Nix takes in root's own and those in /nix/var/nix/profiles/per-user; \
                 add `users` and `home-manager` for them, which takes in every user's home as well.",
            );
            vec!["system".to_string()]
        }
        Scope::User => vec!["users".to_string(), "home-manager".to_string()],
    }
}
