//! The time up to which failures are acknowledged.

use serde::{Deserialize, Serialize};

use super::{Journal, RunLock, written};
use crate::domain::measure::Timestamp;
use crate::ports::JournalError;

const NAME: &str = "acknowledged.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    schema: Form,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/acknowledged/1")]
    V1,
}

impl Journal {
    /// When somebody said last that they have seen what failed.
    ///
    /// # Errors
    /// When the record of it cannot be read.
    pub fn acknowledged(&self) -> Result<Option<Timestamp>, JournalError> {
        let path = self.dir.join(NAME);
        if self.is_absent(&path)? {
            return Ok(None);
        }
        Ok(Some(self.document::<Record>(&path)?.at))
    }

    /// Writes down that everything that failed until now has been seen.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn acknowledge(&self, _lock: &RunLock, at: Timestamp) -> Result<(), JournalError> {
        let path = self.dir.join(NAME);
        let schema = Form::V1;
        let text = written(&path, &Record { schema, at })?;
        self.write(&path, &text)
    }
}
