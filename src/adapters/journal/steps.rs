//! Outcomes of the entries of a current run: one line each, appended to a log beside the record, so that a run of thousands of
//! actions does not rewrite its whole record each time.
//!
//! ```text
//! runs/RUN.steps   {"schema": …, "of": SHA-256 of RUN.json}
//!                  {"after": SHA-256 of the line before, "index": …, "entry": {…}, "bytes": {…}}
//! ```
//!
//! The lines apply only to the record named in the first one: when the record is rewritten they are obsolete
//! whether or not their file was removed. A last line without an end was interrupted while it was
//! written; its entry is pending, and is examined. Any other line that does not match was changed by another program.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::Error as JsonError;
use sha2::{Digest, Sha256};

use super::{MAX_BYTES, malformed, unreadable, unwritable};
use crate::adapters::files;
use crate::domain::receipt::{Entry, FreedBytes, Receipt, RunId};
use crate::domain::visible::escape_json;
use crate::ports::{JournalError, is_full};

/// With more bytes of lines the record is written anew instead.
const MAX_STEP_BYTES: u64 = 16 << 20;

/// The record that was written last under a lock, and the lines behind it.
#[derive(Debug, Default)]
pub(super) struct Steps(RefCell<Option<Base>>);

#[derive(Debug)]
struct Base {
    run: RunId,
    digest: String,
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    last: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/steps/1")]
    V1,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    schema: Form,
    of: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    after: Cow<'a, str>,
    index: usize,
    entry: Cow<'a, Entry>,
    bytes: FreedBytes,
}

impl Steps {
    /// A record was written wholly; lines go behind it from now on.
    pub(super) fn restart(&self, run: &RunId, text: &[u8]) {
        self.0.replace(Some(Base {
            run: run.clone(),
            digest: digest(text),
            log: None,
        }));
    }

    /// Nothing is known of what was written last: the next step writes the record wholly.
    pub(super) fn forget(&self) {
        self.0.replace(None);
    }

    /// Writes a line for an entry, the first one with `write`; `false` where the record must be written wholly instead.
    pub(super) fn append(
        &self,
        path: &Utf8Path,
        receipt: &Receipt,
        index: usize,
        write: impl FnOnce(&[u8]) -> Result<(), JournalError>,
    ) -> Result<bool, JournalError> {
        let mut slot = self.0.borrow_mut();
        let Some(base) = slot.as_mut().filter(|base| base.run == receipt.run) else {
            return Ok(false);
        };
        let Some(entry) = receipt.entries.get(index) else {
            return Ok(false);
        };
        let written = match &mut base.log {
            Some(log) if log.size > MAX_STEP_BYTES => return Ok(false),
            Some(log) => log.append(entry, index, receipt.bytes),
            None => match Log::text(&base.digest, entry, index, receipt.bytes) {
                Ok((text, last)) => {
                    write(text.as_bytes())?;
                    Log::open(path, last).map(|log| base.log = Some(log))
                }
                Err(error) => Err(error),
            },
        };
        let Err(source) = written else {
            return Ok(true);
        };
        // A part of a line may be there; nothing may go behind it.
        *slot = None;
        if is_full(&source) {
            // The whole record can have the reserve.
            return Ok(false);
        }
        Err(unwritable(path, source))
    }
}

impl Log {
    /// The first two lines, which are written at once, and the digest of the second.
    fn text(
        record: &str,
        entry: &Entry,
        index: usize,
        bytes: FreedBytes,
    ) -> io::Result<(String, String)> {
        let head = serde_json::to_string(&Head {
            schema: Form::V1,
            of: record.to_string(),
        })?;
        let line = line(&digest(head.as_bytes()), entry, index, bytes)?;
        Ok((format!("{head}\n{line}\n"), digest(line.as_bytes())))
    }

    /// Opens the file that has them.
    fn open(path: &Utf8Path, last: String) -> io::Result<Self> {
        let file = files::open_to_change(OpenOptions::new().append(true), path)?;
        Ok(Self {
            size: file.metadata()?.len(),
            last,
            file,
        })
    }

    fn append(&mut self, entry: &Entry, index: usize, bytes: FreedBytes) -> io::Result<()> {
        let mut line = line(&self.last, entry, index, bytes)?;
        let last = digest(line.as_bytes());
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.size = self.size.saturating_add(line.len() as u64);
        self.last = last;
        Ok(())
    }
}

fn line(after: &str, entry: &Entry, index: usize, bytes: FreedBytes) -> io::Result<String> {
    Ok(escape_json(serde_json::to_string(&Line {
        after: after.into(),
        index,
        entry: Cow::Borrowed(entry),
        bytes,
    })?))
}

/// Where the lines behind a record are.
pub(super) fn path_of(record: &Utf8Path) -> Utf8PathBuf {
    record.with_extension("steps")
}

/// Reads what is behind a record, `None` where nothing is.
pub(super) fn read(path: &Utf8Path) -> Result<Option<String>, JournalError> {
    match files::read_bounded(path, MAX_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(path, source)),
    }
}

/// Brings a record up to date with the lines behind it.
pub(super) fn replay(
    path: &Utf8Path,
    text: &str,
    record: &[u8],
    receipt: &mut Receipt,
) -> Result<(), JournalError> {
    // The head is written together with a whole line, so that one that is cut off was not written by us.
    let Some((head, mut rest)) = text.split_once('\n') else {
        return Err(changed(path, "it has no first line"));
    };
    let Head {
        schema: Form::V1,
        of,
    } = serde_json::from_str(head).map_err(|source| malformed(path, source))?;
    if of != digest(record) {
        return Ok(());
    }
    let mut last = digest(head.as_bytes());
    while let Some((line, more)) = rest.split_once('\n') {
        let step: Line<'_> =
            serde_json::from_str(line).map_err(|source| malformed(path, source))?;
        if step.after != last {
            return Err(changed(path, "a line does not follow the one before it"));
        }
        let Some(entry) = receipt.entries.get_mut(step.index) else {
            return Err(changed(
                path,
                "a line is of an entry that the record does not have",
            ));
        };
        if entry.action != step.entry.action {
            return Err(changed(path, "a line is of another action than the record"));
        }
        *entry = step.entry.into_owned();
        receipt.bytes = step.bytes;
        last = digest(line.as_bytes());
        rest = more;
    }
    Ok(())
}

fn changed(path: &Utf8Path, why: &str) -> JournalError {
    malformed(path, <JsonError as serde::de::Error>::custom(why))
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |hex, byte| {
            hex + &format!("{byte:02x}")
        })
}
