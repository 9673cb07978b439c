//! Store paths read from a daemon: the rows of the database, for users who may not read it.
//!
//! The daemon reports sizes, times, derivers and references, but for the outputs of a derivation only those that it would build.
//! The database records the outputs from the derivation's file when it becomes valid, so that file is read here.

use std::collections::HashMap;

use super::database::{PathRow, RowSink};
use super::derivation::{DerivationError, read_outputs};
use super::nix_cli::{NixCli, PathInfo};
use crate::domain::store_path::StoreDir;
use crate::ports::{Interrupt, PerformError, error_chain};

/// What could not be known of the outputs of derivations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnknownOutputs {
    /// How many derivations have outputs whose paths hang on their contents; the database may know them.
    pub floating: u64,
    /// How many files of derivations could not be read.
    pub unread: u64,
    /// Why the first of them could not.
    pub example: Option<String>,
}

impl UnknownOutputs {
    /// The same in words; `None` where everything is known.
    pub(super) fn doubt(&self) -> Option<String> {
        let floating = (self.floating > 0).then(|| {
            let floating = self.floating;
            format!("the daemon does not know the outputs of {floating} derivations")
        });
        let unread = self.example.as_ref().map(|example| {
            let unread = self.unread;
            format!("{unread} derivations cannot be read, {example}")
        });
        let doubts: Vec<String> = floating.into_iter().chain(unread).collect();
        (!doubts.is_empty()).then(|| doubts.join("; "))
    }
}

/// Asks a daemon for every valid path, and gives the rows to `sink` as the database would: all paths, then references,
/// then outputs. What became valid meanwhile may be missing; what was deleted meanwhile may still be there.
///
/// Takes the names of all paths and 8 bytes a reference until it is done.
///
/// # Errors
/// When the daemon cannot be asked or does not answer, or somebody asked to stop. The sink is worth nothing then.
pub fn read_from_daemon<S: RowSink + Send>(
    nix: &NixCli,
    store: &StoreDir,
    interrupt: &dyn Interrupt,
    sink: &mut S,
) -> Result<UnknownOutputs, PerformError> {
    let mut rows = Rows::default();
    nix.valid_paths(&mut |info| rows.take(&info, sink))?;
    for &(referrer, reference) in &rows.references {
        // Of what was deleted and made anew meanwhile, with other references.
        if rows.ids.is_valid(reference) {
            sink.reference(i64::from(referrer), i64::from(reference));
        }
    }
    read_derivations(&rows.ids, store, interrupt, sink)
}

fn read_derivations(
    ids: &Ids,
    store: &StoreDir,
    interrupt: &dyn Interrupt,
    sink: &mut impl RowSink,
) -> Result<UnknownOutputs, PerformError> {
    let mut unknown = UnknownOutputs::default();
    for (drv, name) in ids.derivations() {
        if interrupt.requested() {
            let what = "reading derivations".to_string();
            return Err(PerformError::Interrupted { what });
        }
        let file = store.as_path().join(name);
        match read_outputs(&file, store) {
            Ok(outputs) => {
                unknown.floating += u64::from(outputs.floating > 0);
                for output in outputs.paths {
                    sink.output(i64::from(drv), &output.to_string());
                }
            }
            // Deleted meanwhile.
            Err(DerivationError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                unknown.unread += 1;
                unknown
                    .example
                    .get_or_insert_with(|| format!("{file}: {}", error_chain(&error)));
            }
        }
    }
    Ok(unknown)
}

#[derive(Default)]
struct Rows {
    ids: Ids,
    references: Vec<(u32, u32)>,
}

impl Rows {
    fn take(&mut self, info: &PathInfo, sink: &mut impl RowSink) {
        let Some(valid) = &info.valid else {
            return;
        };
        let name = info.path.to_string();
        let id = self.ids.of(&name);
        self.ids.set_valid(id);
        let deriver = valid.deriver.as_ref().map(ToString::to_string);
        sink.path(PathRow {
            id: i64::from(id),
            base_name: &name,
            nar_size: Some(valid.nar_size.0).filter(|&size| size > 0),
            registered: valid.registered.unwrap_or_default(),
            deriver: deriver.as_deref(),
        });
        for reference in &valid.references {
            let reference = self.ids.of(&reference.to_string());
            self.references.push((id, reference));
        }
    }
}

/// Numbers for names, given when a name is met first: in a row of its own, or as a reference of another.
#[derive(Default)]
struct Ids {
    by_name: HashMap<Box<str>, u32>,
    valid: Vec<bool>,
}

impl Ids {
    fn of(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        // More do not fit into a graph, which says so.
        let id = u32::try_from(self.valid.len()).unwrap_or(u32::MAX);
        self.by_name.insert(name.into(), id);
        self.valid.push(false);
        id
    }

    fn set_valid(&mut self, id: u32) {
        if let Some(valid) = self.valid.get_mut(id as usize) {
            *valid = true;
        }
    }

    fn is_valid(&self, id: u32) -> bool {
        self.valid.get(id as usize).copied().unwrap_or_default()
    }

    /// The derivations among the valid paths, in the order in which the daemon listed them.
    fn derivations(&self) -> Vec<(u32, &str)> {
        let names = self.by_name.iter().map(|(name, &id)| (id, &**name));
        let is_drv =
            |&(id, name): &(u32, &str)| name.strip_suffix(".drv").is_some() && self.is_valid(id);
        let mut all: Vec<(u32, &str)> = names.filter(is_drv).collect();
        all.sort_unstable();
        all
    }
}
