//! What the survey asks of the records.

use camino::{Utf8Path, Utf8PathBuf};

use super::Journal;
use crate::adapters::links::Memory;
use crate::domain::receipt::RunId;
use crate::domain::seen::Seen;
use crate::domain::snapshot::{Hold, Pin};
use crate::domain::store_path::StoreDir;
use crate::ports::JournalError;

impl Memory for Journal {
    fn pins(&self) -> Result<Vec<Pin>, JournalError> {
        self.pins()
    }

    fn pins_of_user(&self, home: &Utf8Path, uid: u32) -> Result<Vec<Pin>, JournalError> {
        self.pins_of_user(home, uid)
    }

    fn holds(&self, store: &StoreDir) -> Result<Vec<Hold>, JournalError> {
        self.holds_in(store)
    }

    fn last_seen(&self, store: &StoreDir) -> Result<Option<Seen>, JournalError> {
        self.last_seen(store)
    }

    fn knows(&self, run: &RunId) -> bool {
        self.receipt_path(run).symlink_metadata().is_ok()
    }

    fn holds_dir(&self) -> Utf8PathBuf {
        self.holds_dir()
    }
}
