//! `config migrate`: updates settings to the current version in place.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::Uid;

use super::super::args::MigrateArgs;
use super::super::context::{Context, SettingsText, invalid};
use super::super::failure::{Exit, Failure};
use super::super::out;
use crate::adapters::files;
use crate::domain::visible::escape_json;
use crate::render::json::{self, MigratedDocument};
use crate::render::text::escape;
use crate::settings::{Migration, Platform, VERSION, migrate as migrated};

/// The largest backup, which is that of settings.
const LIMIT: u64 = super::super::context::SETTINGS_LIMIT;

/// Migrates one file, or all files in use. A file of the current version is not written.
pub(super) fn migrate(context: &Context, args: &MigrateArgs) -> Result<Exit, Failure> {
    let files = match &args.file {
        Some(file) => vec![file.clone()],
        None => context.settings_paths()?,
    };
    let texts = files.into_iter().map(|file| context.settings_at(file));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    // All are converted before any is written: if one fails, the others stay unchanged.
    let migrations = texts.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let mut documents = Vec::new();
    for (text, migration) in texts.iter().zip(migrations) {
        documents.push(finish(text, migration, args)?);
    }
    if args.json.json {
        out::json(&json::config_migrate(documents))?;
    } else if !args.print {
        out::text(&summary(&documents));
    }
    Ok(Exit::Done)
}

fn of(text: &SettingsText) -> Result<Migration, Failure> {
    migrated(&text.text, Platform::HERE).map_err(|error| {
        let text = SettingsText {
            name: text.name.clone(),
            text: error.text,
        };
        invalid(&text, &error.findings)
    })
}

fn finish(
    old: &SettingsText,
    migration: Migration,
    args: &MigrateArgs,
) -> Result<MigratedDocument, Failure> {
    let (from, to, new, steps) = match migration {
        Migration::Current => (VERSION, VERSION, None, Vec::new()),
        Migration::Older {
            from,
            to,
            text,
            steps,
        } => (from, to, Some(text), steps),
    };
    let mut backup = None;
    if args.print {
        let text = new.as_deref().unwrap_or(&old.text);
        out::bytes((escape_json(text.trim_end_matches('\n').to_string()) + "\n").as_bytes());
    } else if let Some(new) = new {
        backup = Some(replace(Utf8Path::new(&old.name), &old.text, &new, from)?.into_string());
    }
    Ok(MigratedDocument {
        file: old.name.clone(),
        from,
        to,
        backup,
        steps: steps.into_iter().map(str::to_string).collect(),
    })
}

/// Replaces the text; the old one is kept beside it. Returns the name of the backup.
fn replace(path: &Utf8Path, old: &str, new: &str, from: i64) -> Result<Utf8PathBuf, Failure> {
    let there = fs::symlink_metadata(path).map_err(|error| cannot_write(path, &error))?;
    if there.is_symlink() {
        // The target of a link may be in the store, and was chosen by somebody else.
        return Err(refused(
            path,
            "it is a link",
            "Name the target file. If Nix generates it, change its source to the text shown by `--print`.",
        ));
    }
    if there.uid() != Uid::effective().as_raw() {
        let why = "it belongs to another user, and the new file would be yours";
        return Err(refused(path, why, "Migrate it as its owner."));
    }
    let backup = back_up(path, old, there.mode() & 0o7777, from)?;
    // Somebody may have saved the file between reading and writing; their text must not be lost.
    if files::read_bounded(path, LIMIT).map_err(|error| cannot_write(path, &error))? != old {
        return Err(refused(path, "it has just been changed", "Try again."));
    }
    files::write_atomically(path, new.as_bytes(), there.mode() & 0o7777)
        .map_err(|error| cannot_write(path, &error))?;
    Ok(backup)
}

/// Keeps the old text beside the file, and overwrites nothing.
fn back_up(path: &Utf8Path, old: &str, mode: u32, from: i64) -> Result<Utf8PathBuf, Failure> {
    let name = path.file_name().unwrap_or_default();
    let backup = path.with_file_name(format!("{name}.version-{from}"));
    match files::write_new(&backup, old.as_bytes(), mode) {
        Ok(()) => Ok(backup),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // A killed migration has left it behind.
            if files::read_bounded(&backup, LIMIT).is_ok_and(|text| text == old) {
                return Ok(backup);
            }
            let why = format!("the backup file {backup} already exists");
            Err(refused(path, &why, "Move it away."))
        }
        Err(error) => Err(cannot_write(&backup, &error)),
    }
}

fn refused(path: &Utf8Path, why: &str, hint: &str) -> Failure {
    let message = format!("{path} was not changed: {why}");
    Failure::new(Exit::Refused, message).hint(hint)
}

fn cannot_write(path: &Utf8Path, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::CannotCreate,
    };
    Failure::new(exit, format!("cannot write {path}: {error}"))
        .hint("Nothing was changed. Free space or fix its permissions, and try again; `--print` shows the new text.")
}

fn summary(documents: &[MigratedDocument]) -> String {
    if documents.is_empty() {
        return "There are no settings files; the built-in settings need no migration.".to_string();
    }
    let mut lines = Vec::new();
    for document in documents {
        let file = escape(&document.file);
        match &document.backup {
            None => lines.push(format!("{file}: already version {}.", document.to)),
            Some(backup) => {
                lines.push(format!(
                    "{file}: now version {}, was version {}. Backup: {}.",
                    document.to,
                    document.from,
                    escape(backup)
                ));
                let steps = document.steps.iter();
                lines.extend(steps.map(|step| format!("  {}", escape(step))));
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        let file = path.join("config.json");
        fs::write(&file, "old").unwrap();
        (dir, file)
    }

    fn names(file: &Utf8Path) -> Vec<String> {
        let entries = file.parent().unwrap().read_dir_utf8().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_text_is_kept_beside_the_new_one_with_its_mode() {
        let (_guard, file) = scratch();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let backup = replace(&file, "old", "new", 1).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "old");
        assert_eq!(names(&file), ["config.json", "config.json.version-1"]);
        for path in [&file, &backup] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o640, "{path}");
        }
    }

    #[test]
    fn what_a_killed_migration_left_is_no_obstacle_and_nothing_else_is_written_over() {
        let (_guard, file) = scratch();
        fs::write(file.with_file_name("config.json.version-1"), "old").unwrap();
        replace(&file, "old", "new", 1).unwrap();
        let failure = replace(&file, "new", "newer", 1).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn what_was_saved_meanwhile_stays() {
        let (_guard, file) = scratch();
        let failure = replace(&file, "what was read", "new", 1).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }

    #[test]
    fn a_link_is_left_alone_and_so_is_what_it_leads_to() {
        let (_guard, file) = scratch();
        let link = file.with_file_name("link.json");
        symlink(&file, &link).unwrap();
        let failure = replace(&link, "old", "new", 1).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(names(&file), ["config.json", "link.json"]);
    }
}
