//! `nh clean`.

use super::draft::{Collect, Draft, Generations, Job, Keep, Operations, Optimise, Roots};
use super::flags::{self, Flag, Takes, Word};
use super::spans::{self, HUMANTIME};
use super::{Around, ImportError, NoteKind};

const FLAGS: &[Flag] = &[
    Flag(&["--keep", "-k"], Takes::Value),
    Flag(&["--keep-since", "-K"], Takes::Value),
    Flag(&["--dry", "-n"], Takes::Nothing),
    Flag(&["--ask", "-a"], Takes::Nothing),
    Flag(&["--no-gc", "--nogc"], Takes::Nothing),
    Flag(&["--no-gcroots", "--nogcroots"], Takes::Nothing),
    Flag(&["--no-direnv", "--nodirenv"], Takes::Nothing),
    Flag(&["--optimise"], Takes::Nothing),
    Flag(&["--max"], Takes::Value),
    Flag(&["--keep-one"], Takes::Nothing),
    Flag(&["--cross-filesystems", "-x"], Takes::Nothing),
    Flag(&["--verbose", "-v"], Takes::Nothing),
    Flag(&["--quiet", "-q"], Takes::Nothing),
    Flag(&["--elevation-strategy", "-e"], Takes::Value),
];

/// What the flags say.
struct Said {
    keep: u64,
    since: Option<crate::domain::measure::Age>,
    collect: bool,
    roots: bool,
    optimise: bool,
}

pub(super) fn nh(words: &[String], _around: &Around<'_>) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    let mut said = Said {
        keep: 1,
        since: None,
        collect: true,
        roots: true,
        optimise: false,
    };
    let mut plain = Vec::new();
    for word in flags::read("nh clean", FLAGS, words)? {
        match word {
            Word::Plain(word) => plain.push(word),
            Word::Flag(name, value) => flag(name, &value, &mut said, &mut draft)?,
        }
    }
    let profiles = profiles(&plain, &mut said, &mut draft)?;
    if said.roots {
        draft.note(
            "gcroots",
            NoteKind::KeepsMore,
            "Roots that lead nowhere are removed. `result` links and those of direnv stay, however old they are; \
             --no-gcroots says so there.",
        );
    }
    let mut keep = Keep {
        last: Some(said.keep),
        within: said.since.filter(|age| !age.is_zero()),
        ..Keep::default()
    };
    if keep.within.is_some() {
        draft.note(
            "--keep-since",
            NoteKind::KeepsMore,
            "The generation that was active when that time began stays as well.",
        );
    }
    if !keep.keeps() {
        keep.last = Some(1);
        draft.note(
            "--keep",
            NoteKind::KeepsMore,
            "The current generation always stays; nh would delete it.",
        );
    }
    draft.note(
        "--keep",
        NoteKind::KeepsMore,
        "It counts back from the current generation, and what is newer stays as well; nh counts from the highest number.",
    );
    let operations = Operations {
        generations: Some(Generations { profiles, keep }),
        roots: said.roots.then_some(Roots { dangling: true }),
        collect: said.collect.then_some(Collect {}),
        optimise: said.optimise.then_some(Optimise { enabled: true }),
    };
    draft.job(
        "default",
        Job {
            description: "as nh clean did".to_string(),
            operations,
            ..Job::default()
        },
    )?;
    Ok(draft)
}

fn flag(name: &str, value: &str, said: &mut Said, draft: &mut Draft) -> Result<(), ImportError> {
    match name {
        "--keep" => said.keep = flags::number("nh clean", name, value)?,
        "--keep-since" => said.since = Some(spans::read("--keep-since", value, HUMANTIME)?),
        "--no-gc" => said.collect = false,
        "--no-gcroots" => said.roots = false,
        "--optimise" => said.optimise = true,
        "--max" => draft.note(
            name,
            NoteKind::NoEquivalent,
            "A collection does not stop after so many bytes; a budget says how much is to be free instead.",
        ),
        "--no-direnv" | "--keep-one" => {
            draft.ignored(name, "Roots of direnv are never removed for their age.");
        }
        "--dry" => draft.ignored(name, "`nix-prune plan` shows what would be done."),
        "--ask" => draft.ignored(name, "`nix-prune run` asks on a terminal, unless --yes is said."),
        "--cross-filesystems" => draft.ignored(name, "Roots are found wherever they are."),
        _ => draft.ignored(name, "It decides nothing."),
    }
    Ok(())
}

fn profiles(
    plain: &[String],
    said: &mut Said,
    draft: &mut Draft,
) -> Result<Vec<String>, ImportError> {
    let words: Vec<&str> = plain.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["clean"]).unwrap_or(&words);
    match words {
        ["all"] => {
            draft.note(
                "all",
                NoteKind::Different,
                "The profiles of every user of the machine are meant; nh looks at root and at 100 user numbers.",
            );
            Ok(["system", "users", "home-manager"]
                .map(String::from)
                .to_vec())
        }
        ["user"] => Ok(["users", "home-manager"].map(String::from).to_vec()),
        ["profile", path] => {
            // With one profile nh looks at no roots.
            said.roots = false;
            Ok(vec![absolute(path)?])
        }
        ["profile"] => Err(ImportError::new(
            "`nh clean profile` lacks its profile",
            "Write the path of the profile behind it.",
        )),
        _ => Err(ImportError::new(
            format!("`{}` is nothing that nh clean does", words.join(" ")),
            "Write `clean all`, `clean user` or `clean profile PATH`, as for nh.",
        )),
    }
}

/// A path that means the same wherever it is read.
pub(super) fn absolute(path: &str) -> Result<String, ImportError> {
    if path.starts_with('/') {
        Ok(path.to_string())
    } else {
        Err(ImportError::new(
            format!("`{path}` is not the absolute path of a profile"),
            "Write the whole path, from `/`.",
        ))
    }
}
