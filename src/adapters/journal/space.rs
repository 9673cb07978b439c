//! Samples of the free space, for a forecast.

use serde::{Deserialize, Serialize};

use super::{FILE_MODE, Journal, unwritable, written};
use crate::adapters::files;
use crate::domain::growth::{SpaceHistory, SpaceSample};
use crate::domain::store_path::StoreDir;
use crate::ports::JournalError;

const FILE: &str = "free-space.json";

/// The samples of each store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    schema: Form,
    stores: Vec<OfStore>,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/free-space/1")]
    V1,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfStore {
    store: StoreDir,
    samples: SpaceHistory,
}

impl Journal {
    /// The samples of the file system of a store.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn space_history(&self, store: &StoreDir) -> Result<SpaceHistory, JournalError> {
        let of_store = self.samples()?.into_iter().find(|it| it.store == *store);
        Ok(of_store.map_or_else(SpaceHistory::default, |it| it.samples))
    }

    /// Adds a sample. Where two processes do that at once, one of the samples is lost.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_space_sample(
        &self,
        store: &StoreDir,
        sample: SpaceSample,
    ) -> Result<(), JournalError> {
        // A file that cannot be read is written anew: it has nothing that another day would not bring.
        let mut stores = self.samples().unwrap_or_default();
        let before = stores.iter().position(|it| it.store == *store);
        let before = before.map(|at| stores.swap_remove(at).samples);
        let mut samples = before.unwrap_or_default();
        samples.add(sample);
        let store = store.clone();
        stores.push(OfStore { store, samples });
        stores.sort_by(|a, b| a.store.as_path().cmp(b.store.as_path()));
        let schema = Form::V1;
        let path = self.dir.join(FILE);
        let text = written(&path, &Record { schema, stores })?;
        self.trusted(&self.dir)?;
        // Not with the reserve for records: on a full disk there is nothing left to forecast.
        files::write_atomically(&path, &text, FILE_MODE).map_err(|source| unwritable(&path, source))
    }

    fn samples(&self) -> Result<Vec<OfStore>, JournalError> {
        let record: Option<Record> = self.document(FILE)?;
        Ok(record.map_or_else(Vec::new, |record| record.stores))
    }
}
