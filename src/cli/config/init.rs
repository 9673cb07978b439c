//! `config init`: writes a preset.

use std::io;

use camino::Utf8Path;

use super::super::args::InitArgs;
use super::super::context::Context;
use super::super::failure::{Exit, Failure};
use super::super::out;
use crate::adapters::files;
use crate::render::text::escape;

/// Everybody may read settings; only their owner may write them.
const MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

/// Writes settings and their guide, each completely or not at all; existing files are overwritten only on request.
pub(super) fn init(context: &Context, args: &InitArgs) -> Result<Exit, Failure> {
    let file = match &args.output {
        Some(file) => file.clone(),
        None => context.new_settings_path()?,
    };
    let guide = file.with_extension("guide.md");
    let name = file.file_name().unwrap_or_default();
    if guide == file {
        let message = format!("{file} is the file name of the guide to the settings");
        return Err(Failure::new(Exit::Usage, message).hint("Name another file with --output."));
    }
    if !args.force {
        // Both are checked before either is written; writing checks again.
        for path in [&file, &guide] {
            if path.symlink_metadata().is_ok() {
                return Err(there_already(path));
            }
        }
    }
    if let Some(dir) = file.parent().filter(|dir| !dir.as_str().is_empty()) {
        files::make_dirs(dir, DIR_MODE).map_err(|error| cannot_write(&file, &error))?;
    }
    // The settings come last: when they exist, everything exists.
    write(&guide, &args.preset.guide(name), args.force)?;
    write(&file, args.preset.text(), args.force)?;
    out::text(&format!(
        "Wrote {} and {}.",
        escape(file.as_str()),
        escape(guide.file_name().unwrap_or_default())
    ));
    Ok(Exit::Done)
}

fn write(path: &Utf8Path, text: &str, over: bool) -> Result<(), Failure> {
    let written = if over {
        files::write_atomically(path, text.as_bytes(), MODE)
    } else {
        files::write_new(path, text.as_bytes(), MODE)
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => there_already(path),
        _ => cannot_write(path, &error),
    })
}

fn there_already(path: &Utf8Path) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("nothing was written: {path} already exists"),
    )
    .hint("Name another file with --output, or overwrite it with --force.")
}

fn cannot_write(path: &Utf8Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::CannotCreate,
    };
    Failure::new(exit, format!("cannot write {path}: {error}"))
        .hint("Name another file with --output.")
}
