//! harmonia-gc, formerly fast-nix-gc: its flags, and the options `services.harmonia.gc` that become them.

use super::collect_garbage::until_free;
use super::draft::{Budget, Collect, Draft, Generations, Job, Keep, Operations};
use super::flags::{self, Flag, Takes, Word};
use super::shell;
use super::spans;
use super::{Around, ImportError, NoteKind, Scope};
use crate::domain::budget::parse_size;
use crate::domain::measure::{Bytes, Span};

const TOOL: &str = "harmonia-gc";

/// The flags of the program, and the options of the module under their own names.
const FLAGS: &[Flag] = &[
    Flag(&["--delete-old", "-d"], Takes::Nothing),
    Flag(&["--delete-older-than", "--deleteOlderThan"], Takes::Value),
    Flag(&["--ensure-free", "--ensureFree"], Takes::Value),
    Flag(&["--keep-recent", "--keepRecent"], Takes::Value),
    Flag(&["--dry-run"], Takes::Nothing),
    Flag(&["--no-vacuum"], Takes::Nothing),
    Flag(&["--noVacuum"], Takes::Value),
    Flag(&["--chunk-size", "--chunkSize"], Takes::Value),
    Flag(&["--keep-outputs"], Takes::Value),
    Flag(&["--keep-derivations"], Takes::Value),
    Flag(&["--gc-roots-dir"], Takes::Value),
    Flag(&["--store-dir"], Takes::Value),
    Flag(&["--state-dir"], Takes::Value),
    Flag(&["--enable"], Takes::Value),
    Flag(&["--automatic"], Takes::Value),
    Flag(&["--dates"], Takes::Value),
    Flag(&["--persistent"], Takes::Value),
    Flag(&["--randomizedDelaySec"], Takes::Value),
    Flag(&["--package"], Takes::Value),
    Flag(&["--extraArgs"], Takes::Value),
];

/// Ages as it reads them: one number and one letter; a month is 30 days.
const AGES: &[(&[&str], u64)] = &[
    (&["h"], 3_600),
    (&["d"], 86_400),
    (&["w"], 604_800),
    (&["m"], 2_592_000),
];

#[derive(Default)]
struct Said {
    all_old: bool,
    older_than: Option<Span>,
    keep_recent: Option<Span>,
    free: Option<Free>,
}

/// What `--ensure-free` makes of the collection.
enum Free {
    /// It is always reached: nothing is collected.
    Nothing,
    /// A goal.
    Goal(String),
}

pub(super) fn harmonia(words: &[String], around: &Around<'_>) -> Result<Draft, ImportError> {
    let (mut draft, mut said) = (Draft::default(), Said::default());
    read(words, &mut said, &mut draft)?;
    let keep = match (said.older_than, said.all_old) {
        (Some(within), _) => Some(Keep {
            within: Some(within),
            ..Keep::default()
        }),
        (None, true) => {
            draft.note(
                "--delete-old",
                NoteKind::KeepsMore,
                "Generations newer than the current one stay, and a system keeps one older generation to boot. harmonia-gc \
                 removes both.",
            );
            Some(Keep {
                last: Some(1),
                ..Keep::default()
            })
        }
        (None, false) => None,
    };
    let generations = keep.map(|keep| Generations {
        profiles: profiles(around.scope, &mut draft),
        keep,
    });
    let collect = Collect {
        keep_recent: said.keep_recent,
    };
    let (budget, collect) = match said.free {
        Some(Free::Nothing) => (None, None),
        Some(Free::Goal(goal)) => {
            until_free("--ensure-free", &mut draft);
            (Some(Budget::MinFree(goal)), Some(collect))
        }
        None => (None, Some(collect)),
    };
    draft.job(
        "default",
        Job {
            description: "as harmonia-gc did".to_string(),
            budget,
            operations: Operations {
                generations,
                collect,
                ..Operations::default()
            },
            ..Job::default()
        },
    )?;
    Ok(draft)
}

fn read(words: &[String], said: &mut Said, draft: &mut Draft) -> Result<(), ImportError> {
    for word in flags::read(TOOL, FLAGS, words)? {
        match word {
            Word::Flag("--extraArgs", value) => read(&shell::words(&value)?, said, draft)?,
            Word::Flag(name, value) => flag(name, &value, said, draft)?,
            Word::Plain(word) => {
                return Err(ImportError::new(
                    format!("{TOOL} takes no `{word}`"),
                    "It takes flags only.",
                ));
            }
        }
    }
    Ok(())
}

fn flag(name: &str, value: &str, said: &mut Said, draft: &mut Draft) -> Result<(), ImportError> {
    match name {
        "--delete-old" => said.all_old = true,
        "--delete-older-than" => said.older_than = Some(age(name, value)?),
        "--keep-recent" => said.keep_recent = Some(age(name, value)?),
        "--ensure-free" => said.free = Some(free(value, draft)?),
        "--dry-run" => draft.ignored(name, "`nix-prune plan` shows what a run would do."),
        "--keep-outputs" | "--keep-derivations" if value == "true" => {
            return Err(ImportError::new(
                format!("{TOOL}: `{name} true` keeps paths that a collection by nix.conf deletes"),
                "Write the setting into nix.conf, and leave the flag out.",
            ));
        }
        "--gc-roots-dir" => {
            return Err(ImportError::new(
                format!("{TOOL}: the roots in {value} are not known to Nix, and would be deleted"),
                "Link the directory below /nix/var/nix/gcroots, and leave the flag out.",
            ));
        }
        "--store-dir" | "--state-dir" => draft.note(
            name,
            NoteKind::NoEquivalent,
            "NIX_STORE_DIR and NIX_STATE_DIR say where Nix keeps things.",
        ),
        "--keep-outputs" | "--keep-derivations" => draft.note(
            name,
            NoteKind::KeepsMore,
            "Nix's own settings count here; what they keep stays.",
        ),
        "--enable" | "--automatic" | "--dates" | "--persistent" | "--randomizedDelaySec" => draft
            .ignored(
                name,
                "When jobs run is not a setting here: the modules and timers have options for it.",
            ),
        _ => draft.ignored(
            name,
            "It changes how the work is done, and not what is removed.",
        ),
    }
    Ok(())
}

fn age(what: &str, value: &str) -> Result<Span, ImportError> {
    // Its own letters only: a bare 0 has none.
    let one = value
        .bytes()
        .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    let letters = value.bytes().filter(u8::is_ascii_lowercase).count();
    if !one || letters != 1 {
        return Err(ImportError::new(
            format!("{TOOL} does not take `{value}` for {what}"),
            "Write a number and h, d, w or m, such as `30d`.",
        ));
    }
    spans::read(what, value, AGES)
}

fn free(value: &str, draft: &mut Draft) -> Result<Free, ImportError> {
    let wrong = |hint: &str| {
        let message = format!("`{value}` of --ensure-free is not a goal that can be taken over");
        ImportError::new(message, hint)
    };
    let text = value.trim();
    if let Some(percent) = text.strip_suffix('%') {
        // A part of a percent less is a goal that is reached sooner.
        let whole = percent.trim().split('.').next().unwrap_or_default();
        let whole: u8 = whole
            .parse()
            .map_err(|_| wrong("Write a whole percentage, such as `20%`."))?;
        return match whole {
            0..5 => Err(wrong("Write at least `5%`, or a size such as `20G`.")),
            5..=90 => Ok(Free::Goal(format!("{whole}%"))),
            _ => {
                draft.note(
                    "--ensure-free",
                    NoteKind::KeepsMore,
                    "The goal is 90% free, the most that a job can ask for.",
                );
                Ok(Free::Goal("90%".to_string()))
            }
        };
    }
    let size = text.to_ascii_uppercase();
    match parse_size(&size) {
        Ok(Bytes(0)) => Ok(Free::Nothing),
        Ok(_) => Ok(Free::Goal(size)),
        Err(_) => Err(wrong(
            "Write a size such as `50G`, or a percentage such as `20%`.",
        )),
    }
}

/// The profiles that it looks at, as far as ours can name them without taking in others.
fn profiles(scope: Scope, draft: &mut Draft) -> Vec<String> {
    match scope {
        Scope::System => {
            draft.note(
                "profiles",
                NoteKind::KeepsMore,
                "Only system profiles are thinned out. harmonia-gc takes in root's own and those in /nix/var/nix/profiles/per-user; \
                 add `users` and `home-manager` for them, which takes in every user's home as well.",
            );
            vec!["system".to_string()]
        }
        Scope::User => vec!["users".to_string(), "home-manager".to_string()],
    }
}
