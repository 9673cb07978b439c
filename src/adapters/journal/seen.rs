//! The root baseline of the last run, one record for each store.

use serde::{Deserialize, Serialize};

use super::{Journal, RunLock, written};
use crate::domain::baseline::RootBaseline;
use crate::domain::receipt::Receipt;
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::StoreDir;
use crate::ports::JournalError;

pub(super) const NAME: &str = "seen.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    schema: Form,
    stores: Vec<RootBaseline>,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/seen/1")]
    V1,
}

impl Journal {
    /// What the last run in a store saw; `None` where there was none.
    ///
    /// # Errors
    /// When the record of it cannot be read.
    pub fn last_seen(&self, store: &StoreDir) -> Result<Option<RootBaseline>, JournalError> {
        let stores = self.seen()?.into_iter();
        Ok(stores.into_iter().find(|seen| seen.store == *store))
    }

    fn seen(&self) -> Result<Vec<RootBaseline>, JournalError> {
        let path = self.dir.join(NAME);
        if self.is_absent(&path)? {
            return Ok(Vec::new());
        }
        Ok(self.document::<Record>(&path)?.stores)
    }

    pub(super) fn remember_what_was_seen(
        &self,
        _lock: &RunLock,
        snapshot: &Snapshot,
        run: &Receipt,
    ) -> Result<(), JournalError> {
        // A record that cannot be read is a refusal; who lets it pass has it written anew.
        let mut stores = self.seen().unwrap_or_default();
        let before = stores.iter().position(|seen| seen.store == snapshot.store);
        let before = before.map(|at| stores.swap_remove(at));
        stores.push(RootBaseline::of(snapshot, &run.entries, before.as_ref()));
        stores.sort_by(|a, b| a.store.as_path().cmp(b.store.as_path()));
        self.write_seen(stores)
    }

    fn write_seen(&self, stores: Vec<RootBaseline>) -> Result<(), JournalError> {
        let path = self.dir.join(NAME);
        let schema = Form::V1;
        let text = written(&path, &Record { schema, stores })?;
        self.write(&path, &text)
    }
}
