//! `nh clean`.

use camino::Utf8PathBuf;

use super::draft::{Collect, Draft, Generations, Job, Keep, Operations, Optimise, Roots};
use super::flags::{self, Flag, Takes, Word};
use super::shell;
use super::spans::{self, HUMANTIME};
use super::{Around, ImportError, NoteKind};
use crate::domain::job::ProfileSelector;

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
    // The options of the module `programs.nh.clean`, which runs `nh clean all` with these words behind it.
    Flag(&["--extraArgs"], Takes::Value),
    Flag(&["--enable"], Takes::Value),
    Flag(&["--dates"], Takes::Value),
];

/// What the flags say.
struct Said {
    keep: u64,
    since: Option<crate::domain::measure::Span>,
    collect: bool,
    roots: bool,
    optimise: bool,
}

pub(super) fn nh(words: &[String], around: &Around<'_>) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    let mut said = Said {
        keep: 1,
        since: None,
        collect: true,
        roots: true,
        optimise: false,
    };
    let mut plain = Vec::new();
    read(words, &mut plain, &mut said, &mut draft)?;
    let profiles = profiles(&plain, around, &mut said, &mut draft)?;
    if said.roots {
        draft.note(
            "gcroots",
            NoteKind::KeepsMore,
            "Dangling roots are removed. `result` links and those of direnv stay, however old they are; \
             --no-gcroots says so there.",
        );
    }
    let mut keep = Keep {
        last: Some(said.keep),
        within: said.since.filter(|age| !age.is_zero()),
        ..Keep::default()
    };
    if keep.within.is_some() && !profiles.is_empty() {
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
    if !profiles.is_empty() {
        draft.note(
            "--keep",
            NoteKind::KeepsMore,
            "It counts back from the current generation, and what is newer stays as well; nh counts from the highest number.",
        );
    }
    let operations = Operations {
        generations: (!profiles.is_empty()).then_some(Generations { profiles, keep }),
        roots: said.roots.then_some(Roots { dangling: true }),
        collect: said.collect.then(Collect::default),
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

fn read(
    words: &[String],
    plain: &mut Vec<String>,
    said: &mut Said,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    for word in flags::read("nh clean", FLAGS, words)? {
        match word {
            Word::Plain(word) => plain.push(word),
            Word::Flag("--extraArgs", value) => {
                if plain.is_empty() {
                    plain.push("all".to_string());
                }
                read(&shell::words(&value)?, plain, said, draft)?;
            }
            Word::Flag(name, value) => flag(name, &value, said, draft)?,
        }
    }
    Ok(())
}

fn flag(name: &str, value: &str, said: &mut Said, draft: &mut Draft) -> Result<(), ImportError> {
    match name {
        "--keep" => said.keep = flags::number("nh clean", name, value)?,
        "--keep-since" => said.since = Some(spans::read("--keep-since", value, HUMANTIME)?),
        "--no-gc" => said.collect = false,
        "--no-gcroots" => said.roots = false,
        "--optimise" => said.optimise = true,
        "--max" => {
            let message = format!(
                "Nix stops after {value}. The job deletes all dead store paths; `minFree` in a `budget` stops it when so much is free."
            );
            draft.note(name, NoteKind::DeletesMore, &message);
        }
        "--no-direnv" | "--keep-one" => {
            draft.ignored(name, "Roots of direnv are never removed for their age.");
        }
        "--dry" => draft.ignored(name, "`nix-prune plan` shows what a run would do."),
        "--ask" => draft.ignored(
            name,
            "`nix-prune run` asks for confirmation on a terminal, unless --yes is given.",
        ),
        "--enable" | "--dates" => draft.ignored(
            name,
            "When jobs run is not a setting here: the modules and timers have options for it.",
        ),
        "--cross-filesystems" => draft.ignored(name, "Roots are found wherever they are."),
        _ => draft.ignored(name, "It decides nothing."),
    }
    Ok(())
}

fn profiles(
    plain: &[String],
    around: &Around<'_>,
    said: &mut Said,
    draft: &mut Draft,
) -> Result<Vec<String>, ImportError> {
    let words: Vec<&str> = plain.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["clean"]).unwrap_or(&words);
    match words {
        ["all"] => Ok(named(words, &of_all(around), around, draft)),
        ["user"] => Ok(named(words, &of_one(around)?, around, draft)),
        ["profile", path] => {
            // With one profile nh looks at no roots.
            said.roots = false;
            Ok(vec![absolute(path)?])
        }
        ["profile"] => Err(ImportError::new(
            "`nh clean profile` needs a profile",
            "Add the path of the profile.",
        )),
        _ => Err(ImportError::new(
            format!("unknown subcommand `{}` of nh clean", words.join(" ")),
            "Use `clean all`, `clean user` or `clean profile PATH`.",
        )),
    }
}

/// The directories that `nh clean all` looks into, and no deeper.
fn of_all(around: &Around<'_>) -> Vec<Utf8PathBuf> {
    const FIRST: u32 = if cfg!(target_os = "macos") { 501 } else { 1000 };
    let profiles = around.state_dir.join("profiles");
    let per_user = profiles.join("per-user");
    let of_users = (around.entries)(&per_user).into_iter();
    let of_users: Vec<Utf8PathBuf> = of_users.map(|entry| per_user.join(entry.name)).collect();
    let users = std::iter::once(0).chain(FIRST..FIRST.saturating_add(100));
    let homes = users
        .filter_map(|uid| (around.home_of)(uid))
        .map(|home| home.join(".local/state/nix/profiles"));
    std::iter::once(profiles)
        .chain(of_users)
        .chain(homes)
        .collect()
}

/// The directories that `nh clean user` looks into.
fn of_one(around: &Around<'_>) -> Result<Vec<Utf8PathBuf>, ImportError> {
    let own = around.in_home(".local/state/nix/profiles")?;
    let named = around.user.map(|user| around.per_user(user));
    Ok(std::iter::once(own).chain(named).collect())
}

/// The profiles by their paths: the words of ours take in profiles that nh does not look at.
fn named(
    words: &[&str],
    dirs: &[Utf8PathBuf],
    around: &Around<'_>,
    draft: &mut Draft,
) -> Vec<String> {
    let mut profiles: Vec<String> = Vec::new();
    for profile in dirs.iter().flat_map(|dir| around.profiles_in(dir)) {
        let profile = profile.into_string();
        if ProfileSelector::parse(&profile).is_some() && !profiles.contains(&profile) {
            profiles.push(profile);
        }
    }
    let about = words.first().copied().unwrap_or_default();
    if profiles.is_empty() {
        draft.note(
            about,
            NoteKind::NoEquivalent,
            "There is no profile here that nh would look at. Write the paths of the profiles into the settings.",
        );
    } else {
        draft.note(
            about,
            NoteKind::KeepsMore,
            "The profiles that can be seen now are named one by one. Add the path of a profile that is made later.",
        );
    }
    profiles
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
