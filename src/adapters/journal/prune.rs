//! Removal of obsolete records.

use super::{Journal, RunLock, holds, unwritable};
use crate::adapters::files::remove::remove_own;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::receipt::Receipt;
use crate::ports::{JournalError, RunJournal};

/// The records of so many runs stay however old they are.
const FEWEST: usize = 100;
/// And those of a year, however many they are.
const YOUNG: Span = Span::days(365);

impl Journal {
    /// Removes the oldest records, one after the other, as long as they are old, more than enough, and hold nothing; gives how many.
    ///
    /// It ends at the first that must stay. So no record goes before an older one, and none that says what became of
    /// a hold goes before the record of the hold.
    pub(super) fn forget_old_runs(
        &self,
        _lock: &RunLock,
        now: Timestamp,
    ) -> Result<usize, JournalError> {
        let receipts = self.receipts()?;
        let released = holds::released(&receipts);
        let more = receipts.len().saturating_sub(FEWEST);
        let mut gone = 0;
        for receipt in receipts.iter().take(more) {
            if !is_past(receipt, now) || holds::any(receipt, &released)? {
                break;
            }
            let path = self.receipt_path(&receipt.run);
            remove_own(&path).map_err(|source| unwritable(&path, source))?;
            gone += 1;
        }
        Ok(gone)
    }
}

fn is_past(receipt: &Receipt, now: Timestamp) -> bool {
    !receipt.is_interrupted() && receipt.started_at.after(YOUNG) < now
}
