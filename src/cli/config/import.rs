//! `config import`: converts the settings of other tools.

use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::Uid;

use super::super::args::{ImportArgs, ImportTool, ScopeArg};
use super::super::context::{Context, read_resolved};
use super::super::failure::{Exit, Failure};
use super::super::out;
use crate::adapters::files;
use crate::adapters::process::Account;
use crate::domain::snapshot::Actor;
use crate::render::json::{self, NoteDocument};
use crate::render::text::escape;
use crate::settings::{self, Entry, ImportContext, ImportError, Imported, Note, NoteKind, Scope};

/// Prints the settings, and on standard error how they differ from the other tool.
pub(super) fn import(context: &Context, args: &ImportArgs) -> Result<Exit, Failure> {
    let ImportTool::Tool(words) = &args.tool;
    let (name, words) = words.split_first().ok_or_else(|| {
        Failure::new(Exit::Usage, "no tool given").hint("`nix-prune config import --help`.")
    })?;
    let own = Account::find(&context.places.passwd, Uid::effective().as_raw());
    let own = own.ok().flatten();
    let context = ImportContext {
        scope: scope(context, args.scope),
        home: context.places.home.as_deref(),
        user: own.as_ref().map(|account| account.name.as_str()),
        state_dir: &context.places.state_dir,
        home_of: &|uid| home_of(context, uid),
        entries: &entries,
        read: &read,
    };
    let imported = settings::import(name, words, &context)
        .map_err(|error| Failure::new(Exit::Usage, error.message).hint(error.hint))?;
    if let Some(path) = &args.output {
        save(path, &imported)?;
    }
    if args.json.json {
        out::json(&document(&imported)?)?;
    } else {
        if args.output.is_none() {
            out::bytes(imported.text.as_bytes());
        }
        let notes = imported.notes.iter().map(|note| sentence(name, note));
        out::eprint_lines(&notes.collect::<Vec<_>>());
    }
    Ok(Exit::Done)
}

fn scope(context: &Context, said: Option<ScopeArg>) -> Scope {
    match (said, context.actor) {
        (Some(ScopeArg::System), _) | (None, Actor::Root) => Scope::System,
        (Some(ScopeArg::User), _) | (None, Actor::User(_)) => Scope::User,
    }
}

fn home_of(context: &Context, uid: u32) -> Option<Utf8PathBuf> {
    let account = Account::find(&context.places.passwd, uid).ok().flatten()?;
    Some(account.home)
}

/// The entries of a readable directory; settings cannot name a profile that is not UTF-8.
fn entries(dir: &Utf8Path) -> Vec<Entry> {
    let Ok(there) = dir.read_dir_utf8() else {
        return Vec::new();
    };
    let entries = there.filter_map(Result::ok).map(|entry| Entry {
        name: entry.file_name().to_string(),
        link: entry
            .path()
            .read_link_utf8()
            .ok()
            .map(Utf8PathBuf::into_string),
    });
    entries.collect()
}

fn read(path: &Utf8Path) -> Result<String, ImportError> {
    read_resolved(path).map_err(|failure| {
        ImportError::new(
            failure.message.replacen("the settings ", "", 1),
            "Name an existing, readable file.",
        )
    })
}

/// Never overwrites a file.
fn save(path: &Utf8Path, imported: &Imported) -> Result<(), Failure> {
    files::write_new(path, imported.text.as_bytes(), 0o644).map_err(|error| {
        let failure = Failure::new(
            Exit::CannotCreate,
            format!("cannot write the settings {path}: {error}"),
        );
        failure.hint(match error.kind() {
            ErrorKind::AlreadyExists => "Move the file away, or name another one with --output.",
            _ => "Name another file with --output.",
        })
    })
}

fn sentence(tool: &str, note: &Note) -> String {
    let kind = match note.kind {
        NoteKind::NoEquivalent => "not imported".to_string(),
        NoteKind::Different => "not the same".to_string(),
        NoteKind::KeepsMore => format!("keeps more than {tool}"),
        NoteKind::DeletesMore => format!("deletes more dead store paths than {tool}"),
    };
    format!("{}: {kind}. {}", escape(&note.about), escape(&note.message))
}

fn document(imported: &Imported) -> Result<json::ConfigImportDocument, Failure> {
    let settings = serde_json::from_str(&imported.text)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))?;
    let notes = imported.notes.iter().map(|note| NoteDocument {
        about: note.about.clone(),
        kind: match note.kind {
            NoteKind::NoEquivalent => json::NoteKindDocument::NoEquivalent,
            NoteKind::Different => json::NoteKindDocument::Different,
            NoteKind::KeepsMore => json::NoteKindDocument::KeepsMore,
            NoteKind::DeletesMore => json::NoteKindDocument::DeletesMore,
        },
        message: note.message.clone(),
    });
    Ok(json::config_import(settings, notes.collect()))
}
