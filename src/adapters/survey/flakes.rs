//! Locked inputs of flakes as roots that Nix does not know: without them, an offline evaluation fails after a collection.

mod lock;

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use super::SurveyContext;
use super::dirs::{DirHandle, metadata_of, reach};
use super::names::shown;
use crate::adapters::files;
use crate::adapters::process::Account;
use crate::adapters::rights::with_rights_of;
use crate::domain::blocker::CheckCode;
use crate::domain::measure::count;
use crate::domain::note::NoteCode;
use crate::domain::root::{GcRoot, RootKind, RootState};
use crate::domain::snapshot::Actor;
use crate::domain::store_path::StorePath;

#[cfg(any(test, fuzzing))]
pub(super) use lock::fuzz;

const LOCK: &str = "flake.lock";
const FLAKE: &str = "flake.nix";

/// The largest lock file that is read; one of a hundred inputs has some 60 KiB.
const LOCK_LIMIT: u64 = 4 << 20;

/// The roots that the locked inputs of these flakes would be.
///
/// A flake that cannot be read stops a collection: what it locks is then not known, and would be deleted.
pub(super) fn inputs(context: SurveyContext<'_>, flakes: &[Utf8PathBuf]) -> Vec<GcRoot> {
    let mut roots = Vec::new();
    for flake in flakes {
        let mut keep = |path| roots.push(root(flake, path));
        if let Err(error) = locked(context, flake, &mut keep) {
            context.findings.refuse_at(
                [flake],
                CheckCode::FlakeUnreadable,
                format!("cannot read which inputs the flake {flake} locks: {error}"),
                "repair the flake, or remove it from keepFlakeInputs; a collection would delete its locked inputs",
            );
        }
    }
    roots
}

fn root(flake: &Utf8Path, path: StorePath<String>) -> GcRoot {
    GcRoot {
        link: flake.join(LOCK),
        entry: None,
        exact: true,
        target: None,
        store_path: Some(path),
        kind: RootKind::FlakeInput,
        owner: None,
        state: RootState::Live,
        made_at: None,
    }
}

/// Keeps the locked inputs of a flake that exist in the store. Notes say how many others there are. If this fails, what it kept
/// until then is still kept, in case that the collection is accepted.
fn locked(
    context: SurveyContext<'_>,
    flake: &Utf8Path,
    keep: &mut impl FnMut(StorePath<String>),
) -> io::Result<()> {
    let findings = context.findings;
    let Some(text) = read(context, flake)? else {
        let text = format!("The flake {flake} has no {LOCK}, so none of its inputs are kept.");
        findings.note(NoteCode::FlakeInputsAbsent, text);
        return Ok(());
    };
    let inputs = lock::inputs(&text, &context.places.store).map_err(io::Error::other)?;
    let many = inputs.paths.len();
    let mut here = 0;
    for path in inputs.paths {
        if context.store.has(&path)? {
            keep(path);
            here += 1;
        }
    }
    if here < many {
        let text = format!(
            "{here} of the {many} locked inputs of the flake {flake} are in the store and kept; Nix would fetch the others."
        );
        findings.note(NoteCode::FlakeInputsAbsent, text);
    }
    if let Some(name) = inputs.unlocked.first() {
        let many = count(inputs.unlocked.len(), "input");
        let text = format!(
            "{LOCK} has no narHash for {many} of the flake {flake}, such as `{name}`. Nix does not read a `path:` or indirect \
             input without narHash from the store, so nothing is kept for it."
        );
        findings.note(NoteCode::FlakeInputsAbsent, text);
    }
    inputs
        .unknown
        .map_or(Ok(()), |error| Err(io::Error::other(error)))
}

/// The text of the lock file; `None` for a flake without one.
///
/// Root follows no link that another user could have made, except with that user's rights.
fn read(context: SurveyContext<'_>, flake: &Utf8Path) -> io::Result<Option<String>> {
    let path = context.users.real_path(flake);
    let open = || {
        let absent = || io::Error::new(io::ErrorKind::NotFound, "there is no such directory");
        reach(&path)?.ok_or_else(absent)
    };
    let (dir, link) = open()?;
    match link.filter(|_| context.actor == Actor::Root) {
        None => read_in(&dir),
        Some(link) => {
            let account = maker_of(&link, &context.places.passwd)?;
            with_rights_of(Some(&account), || read_in(&open()?.0))
        }
    }
}

/// The user who could have made a link.
fn maker_of(link: &Path, passwd: &Utf8Path) -> io::Result<Account> {
    let unknown = || io::Error::other(format!("{} is a link of an unknown user", shown(link)));
    for place in [link.parent().unwrap_or(link), link] {
        let uid = metadata_of(place)?.uid;
        if uid != 0 {
            return Account::find(passwd, uid)?.ok_or_else(unknown);
        }
    }
    Err(unknown())
}

fn read_in(dir: &DirHandle) -> io::Result<Option<String>> {
    match dir.open_file(OsStr::new(LOCK)) {
        Ok(file) => files::read_text(file, LOCK_LIMIT)
            .map(Some)
            .map_err(|error| io::Error::new(error.kind(), format!("{LOCK}: {error}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match dir.metadata(OsStr::new(FLAKE))? {
                Some(_) => Ok(None),
                None => Err(io::Error::other(format!("there is no {FLAKE}"))),
            }
        }
        Err(error) => Err(io::Error::new(error.kind(), format!("{LOCK}: {error}"))),
    }
}
