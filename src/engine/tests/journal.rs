//! The records of the world in memory.

use super::*;
use nix_prune::domain::disk_use::Taken;

/// Dying releases a lock, as the kernel does; `locked` is another process's.
pub(super) struct Token;

impl RunJournal for World {
    type Lock = Token;

    fn make_space(&self, _: &Token) -> bool {
        !self.full.get()
    }

    fn reserve_takes(&self) -> Taken {
        let bytes = Bytes(self.takes_of_the_disk.get());
        Taken { bytes, inodes: 0 }
    }

    fn acknowledged(&self) -> Result<Option<Timestamp>, JournalError> {
        Ok(self.acknowledged_at.get())
    }

    fn restock(&self, _: &Token) {
        self.restocked.set(self.restocked.get() + 1);
    }

    fn lock(&self) -> Result<Token, JournalError> {
        if self.locked.get() {
            return Err(JournalError::Locked {
                lock: "/lock".to_string(),
                holder: None,
            });
        }
        if self.full_for_a_lock.get() {
            return Err(JournalError::Write {
                path: "/lock".to_string(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        Ok(Token)
    }

    fn record_baseline(
        &self,
        _: &Token,
        snapshot: &Snapshot,
        _: &Receipt,
    ) -> Result<(), JournalError> {
        let failed = snapshot.blockers.iter().map(|blocker| blocker.code);
        self.recorded.borrow_mut().push(failed.collect());
        Ok(())
    }

    fn begin(&self, _: &Token, receipt: &mut Receipt) -> Result<(), JournalError> {
        let free = |nth: &u32| {
            let run = RunId::at(receipt.started_at, *nth);
            !self.journal.borrow().contains_key(&run)
        };
        let nth = (1..1000).find(free).unwrap();
        receipt.run = RunId::at(receipt.started_at, nth);
        self.record(&Token, receipt)
    }

    fn record(&self, _: &Token, receipt: &Receipt) -> Result<(), JournalError> {
        self.point(|| {
            self.journal
                .borrow_mut()
                .insert(receipt.run.clone(), receipt.clone());
        });
        Ok(())
    }

    /// The rest of the record stays as it was written last, as a journal does it.
    fn record_step(&self, _: &Token, receipt: &Receipt, index: usize) -> Result<(), JournalError> {
        self.point(|| {
            let mut journal = self.journal.borrow_mut();
            let recorded = journal.get_mut(&receipt.run).unwrap();
            recorded.entries[index] = receipt.entries[index].clone();
            recorded.bytes = receipt.bytes;
        });
        Ok(())
    }

    fn receipts(&self) -> Result<Vec<Receipt>, JournalError> {
        Ok(self.journal.borrow().values().cloned().collect())
    }

    fn hold_link(&self, _: &Token, run: &RunId, index: usize) -> Result<Utf8PathBuf, JournalError> {
        Ok(format!("/holds/{run}/{index}").into())
    }
}
