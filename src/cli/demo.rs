//! `demo`: plan, run and undo on a temporary store of a real Nix.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Parser;

use super::args::{Cli, Command, Global};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{dispatch_in, out};
use crate::adapters::files::remove::remove_own;
use crate::adapters::scratch::{NewPath, Scratch, ScratchError};
use crate::domain::measure::{Span, Timestamp};
use crate::ports::{Clock, PerformError, error_chain};
use crate::render::table;

const KEEP: &str = "--keep-last 3 --keep-within 30d --keep-monthly 6";
/// The ages of the twelve system generations, in days.
const SYSTEM: [u32; 12] = [365, 330, 300, 270, 210, 180, 150, 120, 75, 40, 12, 1];
/// The ages of the four generations of a user's profile, in days.
const USER: [u32; 4] = [200, 90, 20, 2];

/// Shows the main job. It neither reads nor changes the machine's store, and removes its own at the end.
pub(super) fn demo(global: Global) -> Result<Exit, Failure> {
    let scratch = Scratch::new(global.nix_bin.as_deref()).map_err(no_scratch_store)?;
    let context = Context::scratch(global, &scratch)?;
    let version = crate::ports::NixActions::nix_version(context.nix()?)?;
    say(
        &context,
        &format!(
            "Temporary store in {}, with Nix {version}. Your own store is not touched.",
            scratch.base()
        ),
    );
    fill(&scratch, context.clock.now()).map_err(no_scratch_store)?;
    let system = scratch.state_dir().join("profiles");
    let before = links(&system);

    say(
        &context,
        "Twelve system generations over a year, four user generations, and some GC roots.",
    );
    show(&context, "generations")?;
    show(&context, "roots")?;
    say(
        &context,
        "A retention policy, and what it would do. `plan` is read-only; with `--full` it shows every reason.",
    );
    show(&context, &format!("plan {KEEP}"))?;
    say(
        &context,
        "Pin a generation, and run. Removed generations stay restorable for seven days; garbage is collected.",
    );
    show(&context, "pin system:2 --reason good-one")?;
    show(&context, &format!("run {KEEP} --yes"))?;
    let after = links(&system);
    say(&context, "Each run is recorded, and holds can be listed.");
    show(&context, "history")?;
    show(&context, "hold list")?;
    say(
        &context,
        "Undo restores the same numbers, the same targets, the same times.",
    );
    show(&context, "undo --yes")?;
    let restored = links(&system);
    if before == restored && after.len() < before.len() {
        let dropped = before.len() - after.len();
        say(
            &context,
            &format!(
                "The {dropped} removed generations are restored, with timestamps exact to the nanosecond. The temporary store is now deleted."
            ),
        );
        return Ok(Exit::Done);
    }
    Err(
        Failure::new(Exit::Failed, "undo did not restore everything")
            .hint("This is a bug. Please report it with the output above."),
    )
}

/// Runs one of our own commands on the scratch store and prints its output.
fn show(context: &Context, words: &str) -> Result<(), Failure> {
    out::text(&format!("\n$ nix-prune {words}"));
    let args = std::iter::once("nix-prune").chain(words.split_whitespace());
    let command: Command = Cli::try_parse_from(args)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?
        .command;
    match dispatch_in(context, command)? {
        Exit::Done => Ok(()),
        exit => Err(Failure::new(
            exit,
            format!("`nix-prune {words}` failed in the demo"),
        )),
    }
}

fn say(context: &Context, text: &str) {
    let text = table::prose(text, context.view().style);
    out::text(&format!("\n{text}"));
}

fn no_scratch_store(error: ScratchError) -> Failure {
    match error {
        ScratchError::Nix(error) => PerformError::Unusable(error.into()).into(),
        error => Failure::new(
            Exit::CannotCreate,
            format!("cannot create the temporary store: {}", error_chain(&error)),
        ),
    }
}

/// Two profiles over a year, a `result`, a dangling root, and dead paths.
fn fill(scratch: &Scratch, now: Timestamp) -> Result<(), ScratchError> {
    let base = scratch.add_path("glibc-2.40", &[], 400_000)?;
    let mut names: Vec<String> = (1..=SYSTEM.len())
        .map(|n| format!("nixos-system-{n}"))
        .collect();
    names.extend((1..=USER.len()).map(|n| format!("user-environment-{n}")));
    names.extend([
        "hello-2.12".to_string(),
        "old-build-1.0".to_string(),
        "leftover-0.9".to_string(),
    ]);
    let new: Vec<NewPath> = names
        .iter()
        .map(|name| NewPath::file(name, 250_000).refers_to(&[&base]))
        .collect();
    scratch.add_paths(&new)?;
    let profiles = scratch.state_dir().join("profiles");
    let user = scratch.home().join(".local/state/nix/profiles/profile");
    let system = profiles.join("system");
    for (profile, prefix, ages) in [
        (&system, "nixos-system", SYSTEM.as_slice()),
        (&user, "user-environment", USER.as_slice()),
    ] {
        for (n, days) in (1..).zip(ages) {
            let path = scratch.path_named(&format!("{prefix}-{n}"))?;
            scratch.set_profile(profile, &path, now.before(Span::days(*days)))?;
        }
    }
    let work = scratch.home().join("work");
    let file = |path: &Utf8Path| {
        let path = path.to_path_buf();
        move |source| ScratchError::File { path, source }
    };
    fs::create_dir_all(&work).map_err(file(&work))?;
    scratch.add_root(&work.join("result"), &scratch.path_named("hello-2.12")?)?;
    scratch.add_root(&work.join("gone"), &scratch.path_named("old-build-1.0")?)?;
    remove_own(&work.join("gone")).map_err(file(&work))?;
    let booted = scratch.places().run_dir.join("booted-system");
    let path = scratch.path_named(&format!("nixos-system-{}", SYSTEM.len()))?;
    symlink(path.to_absolute_path(scratch.store()), &booted).map_err(file(&booted))?;
    let settings = scratch.base().join("settings.json");
    fs::write(&settings, SETTINGS).map_err(file(&settings))
}

const SETTINGS: &str = r#"{
  "version": 2,
  "jobs": {
    "default": {
      "operations": {
        "generations": {
          "profiles": ["system", "users", "home-manager"],
          "keep": { "last": 5, "within": "14d" }
        },
        "roots": { "dangling": true },
        "collect": {}
      }
    }
  }
}
"#;

/// Every link of a directory, with its target and its time.
fn links(dir: &Utf8Path) -> BTreeMap<Utf8PathBuf, (Utf8PathBuf, i64, i64)> {
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let path = entry.path();
            let data = path.symlink_metadata().ok()?;
            let text = path.read_link_utf8().ok()?;
            Some((path.to_path_buf(), (text, data.mtime(), data.mtime_nsec())))
        })
        .collect()
}
