//! What was wrong with each job when somebody was last told of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FILE_MODE, Journal, dir_mode, unwritable, written};
use crate::adapters::files;
use crate::domain::job::JobName;
use crate::domain::notice::JobState;
use crate::ports::JournalError;

const FILE: &str = "notices.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    schema: Form,
    jobs: BTreeMap<JobName, JobState>,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/notices/1")]
    V1,
}

impl Journal {
    /// What was wrong with a job when somebody was last told of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn told(&self, job: &JobName) -> Result<JobState, JournalError> {
        Ok(self.all_told()?.remove(job).unwrap_or_default())
    }

    /// Writes down what somebody was told of. Where two processes do that at once, one of them may tell it again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record_told(&self, job: &JobName, state: JobState) -> Result<(), JournalError> {
        // A file that cannot be read is written anew: at worst a notice is repeated.
        let mut jobs = self.all_told().unwrap_or_default();
        if state.is_well() {
            jobs.remove(job);
        } else {
            jobs.insert(job.clone(), state);
        }
        let schema = Form::V1;
        let path = self.dir.join(FILE);
        let text = written(&path, &Record { schema, jobs })?;
        files::make_dirs(&self.dir, dir_mode()).map_err(|source| unwritable(&self.dir, source))?;
        self.trusted(&self.dir)?;
        // Not with the reserve, which is for the records of runs.
        files::write_atomically(&path, &text, FILE_MODE).map_err(|source| unwritable(&path, source))
    }

    fn all_told(&self) -> Result<BTreeMap<JobName, JobState>, JournalError> {
        let record: Option<Record> = self.document(FILE)?;
        Ok(record.map_or_else(BTreeMap::new, |record| record.jobs))
    }
}
