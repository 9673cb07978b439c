//! Garbage collection: selective if the dead paths are known, full otherwise.

use crate::domain::collect::{CollectMethod, CollectStrategy, DeletionSet, FullGcReason};
use crate::domain::measure::Bytes;
use crate::domain::store_path::StorePath;
use crate::ports::{
    ArgLimit, Collected, Deleted, DirectCollection, DirectStep, Finished, Interrupt, NixActions,
    PerformError, Survey, UndeletedPath,
};

/// How often Nix may refuse a path. After each time it is looked again, so that one root that came back costs a few
/// refusals at most; more of them mean that we see less than Nix does.
const MAX_REFUSALS: usize = 32;

/// How many paths a batch of a direct collection has. A step takes as many batches as it has time for.
const DIRECT_BATCH: usize = 64;

/// How many refused paths are named.
const NAMED: usize = 8;

/// What a collection did.
#[derive(Debug)]
pub struct Collection {
    /// How much went; of paths deleted by name, those that were seen to go.
    pub collected: Collected,
    /// Dead paths that were not deleted, because Nix refused to or they came alive.
    pub refused: Vec<UndeletedPath>,
    /// What there is to say beyond that.
    pub notes: Vec<String>,
    /// Whether it came to its end. A refusal is no failure.
    pub outcome: Result<(), PerformError>,
    /// The paths that were deleted by name; `None` where Nix collected everything dead itself and does not say which.
    pub deleted: Option<Vec<StorePath<String>>>,
}

impl Default for Collection {
    /// Of nothing.
    fn default() -> Self {
        Self {
            collected: Collected {
                paths: Some(0),
                bytes: Some(Bytes(0)),
            },
            refused: Vec::new(),
            notes: Vec::new(),
            outcome: Ok(()),
            deleted: Some(Vec::new()),
        }
    }
}

impl Collection {
    /// Adds what another one did after it.
    pub(super) fn join(&mut self, later: Self) {
        let (mine, more) = (self.collected, later.collected);
        let bytes = mine.bytes.zip(more.bytes);
        self.collected = Collected {
            paths: mine.paths.zip(more.paths).map(|(a, b)| a.saturating_add(b)),
            bytes: bytes.map(|(a, b)| Bytes(a.0.saturating_add(b.0))),
        };
        self.refused.extend(later.refused);
        // A round says the same as the one before it.
        let mut notes = later.notes;
        notes.retain(|note| !self.notes.contains(note));
        self.notes.extend(notes);
        self.outcome = later.outcome;
        self.deleted = self
            .deleted
            .take()
            .zip(later.deleted)
            .map(|(mut all, more)| {
                all.extend(more);
                all
            });
    }

    /// Everything that there is to say, on one line.
    pub fn detail(&self) -> Option<String> {
        let mut parts = self.notes.clone();
        if !self.refused.is_empty() {
            let named = self.refused.iter().take(NAMED);
            let mut named: Vec<_> = named.map(|r| format!("{}: {}", r.path, r.why)).collect();
            match self.refused.len().saturating_sub(NAMED) {
                0 => {}
                more => named.push(format!("and {more} more")),
            }
            let paths = match self.refused.len() {
                1 => "1 dead path was".to_string(),
                count => format!("{count} dead paths were"),
            };
            parts.push(format!("{paths} not deleted ({})", named.join("; ")));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// A last check before anything is deleted; if it fails, nothing is.
pub(super) type LastCheck<'a> = &'a mut dyn FnMut() -> Result<(), PerformError>;

/// Collects garbage. Nothing is ever forced: refused paths are kept with all that they keep, and the rest is deleted.
pub fn collect(
    survey: &dyn Survey,
    perform: &dyn NixActions,
    interrupt: &dyn Interrupt,
    method: CollectMethod,
) -> Collection {
    let find_dead = || survey.dead();
    let direct = match method {
        CollectMethod::Direct => perform.begin_direct().map(Some),
        _ => Ok(None),
    };
    let direct = match direct {
        Ok(direct) => direct,
        Err(error) => {
            return Collection {
                outcome: Err(error),
                ..Collection::default()
            };
        }
    };
    let means = Means {
        method,
        direct: direct.as_deref(),
    };
    collect_from(survey, perform, interrupt, means, find_dead, &mut || Ok(()))
}

/// How it is collected.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) method: CollectMethod,
    /// The collection that is under way, of [`CollectMethod::Direct`].
    pub(super) direct: Option<&'a dyn DirectCollection>,
}

/// The same of what `find_dead` finds, after a last check: right before Nix collects, or right after it was found what is
/// dead. A root that vanishes later is no part of what is deleted by name.
pub(super) fn collect_from(
    survey: &dyn Survey,
    perform: &dyn NixActions,
    interrupt: &dyn Interrupt,
    Means { method, direct }: Means<'_>,
    find_dead: impl FnOnce() -> Result<DeletionSet, FullGcReason>,
    last_check: LastCheck<'_>,
) -> Collection {
    let mut collector = Collector {
        survey,
        perform,
        interrupt,
        last_check,
        total: None,
        refused: Vec::new(),
        notes: Vec::new(),
        deleted: Some(Vec::new()),
    };
    let outcome = match direct {
        Some(direct) => collector.directly(direct, find_dead),
        None => collector.collect(method, find_dead),
    };
    Collection {
        deleted: collector.deleted,
        collected: collector.total.unwrap_or_default(),
        refused: collector.refused,
        notes: collector.notes,
        outcome,
    }
}

struct Collector<'a> {
    survey: &'a dyn Survey,
    perform: &'a dyn NixActions,
    interrupt: &'a dyn Interrupt,
    last_check: LastCheck<'a>,
    total: Option<Collected>,
    refused: Vec<UndeletedPath>,
    notes: Vec<String>,
    deleted: Option<Vec<StorePath<String>>>,
}

/// How deleting by name ended.
enum CollectOutcome {
    /// Nothing was refused in the last call.
    Clean,
    /// The last call had a refusal.
    Refused {
        /// How many paths were not tried any more.
        given_up: u64,
    },
}

impl Collector<'_> {
    fn collect(
        &mut self,
        method: CollectMethod,
        find_dead: impl FnOnce() -> Result<DeletionSet, FullGcReason>,
    ) -> Result<(), PerformError> {
        if method == CollectMethod::Full {
            return self.collect_fully(None);
        }
        let Some(limit) = self.perform.deletion_limit()? else {
            return match method.otherwise(FullGcReason::UntestedNix) {
                CollectStrategy::Neither(why) => Err(impossible(why)),
                _ => self.collect_fully(Some(FullGcReason::UntestedNix)),
            };
        };
        match method.strategy(find_dead) {
            CollectStrategy::Selective(chosen) => self.selectively(*chosen, limit, method),
            CollectStrategy::Full(why) => self.collect_fully(why),
            CollectStrategy::Neither(why) => Err(impossible(why)),
        }
    }

    fn collect_fully(&mut self, why: Option<FullGcReason>) -> Result<(), PerformError> {
        // Where dead paths were not computed, there is nothing to say.
        if let Some(why) = why.filter(|why| *why != FullGcReason::NotLooked) {
            tracing::info!(%why, "running nix-collect-garbage");
            self.notes
                .push(format!("full collection by nix-collect-garbage: {why}"));
        }
        (self.last_check)()?;
        self.deleted = None;
        let collected = self.perform.collect()?;
        if collected.paths.is_none() {
            // Every Nix ends with a count. A missing count is noted and decides nothing (trap 28).
            let why = "nix exited successfully but did not report how much it deleted";
            self.notes.push(why.to_string());
        }
        self.count(collected);
        Ok(())
    }

    fn selectively(
        &mut self,
        chosen: DeletionSet,
        limit: ArgLimit,
        method: CollectMethod,
    ) -> Result<(), PerformError> {
        (self.last_check)()?;
        self.count(Collected {
            paths: Some(0),
            bytes: Some(Bytes(0)),
        });
        if chosen.requires_full_gc() {
            let why = FullGcReason::ForeignNames(chosen.foreign_names());
            self.notes
                .push(format!("some names were not deleted: {why}"));
        }
        let may_be_whole = method == CollectMethod::Auto && chosen.is_everything();
        let CollectOutcome::Refused { given_up } = self.delete(chosen, limit)? else {
            return Ok(());
        };
        if given_up > 0 {
            let refusals = FullGcReason::Refusals(self.refused.len());
            if may_be_whole {
                return self.collect_fully(Some(refusals));
            }
            self.notes.push(format!(
                "{given_up} more dead paths were not deleted: {refusals}"
            ));
        }
        // Nix broke off before it looked for files that only `.links` still has.
        self.perform.delete_paths(&[]).outcome
    }

    /// Deletes in the place of Nix. What came alive meanwhile is taken out with all that it keeps, and the rest goes on.
    fn directly(
        &mut self,
        direct: &dyn DirectCollection,
        find_dead: impl FnOnce() -> Result<DeletionSet, FullGcReason>,
    ) -> Result<(), PerformError> {
        let mut chosen = find_dead().map_err(impossible)?;
        (self.last_check)()?;
        self.count(Collected {
            paths: Some(0),
            bytes: Some(Bytes(0)),
        });
        let whole = chosen.is_everything();
        let deleted = self.delete_directly(direct, &mut chosen);
        let Finished {
            names,
            bytes,
            unfinished,
            mut left,
            outcome,
        } = direct.finish(whole && deleted.is_ok());
        // What has files left is deleted once they are gone.
        let total = self.total.unwrap_or_default();
        self.total = Some(Collected {
            paths: total.paths.map(|paths| paths.saturating_sub(unfinished)),
            ..total
        });
        self.count(Collected {
            paths: Some(names),
            bytes: Some(bytes),
        });
        if !left.is_empty() {
            let more = left.len().saturating_sub(NAMED);
            left.truncate(NAMED);
            left.extend((more > 0).then(|| format!("and {more} more")));
            let left = left.join("; ");
            self.notes
                .push(format!("some files could not be removed: {left}"));
        }
        deleted.and(outcome)
    }

    fn delete_directly(
        &mut self,
        direct: &dyn DirectCollection,
        chosen: &mut DeletionSet,
    ) -> Result<(), PerformError> {
        while !chosen.is_empty() {
            let batches = chosen.batches(DIRECT_BATCH, |_| 1);
            let mut left = batches.as_slice();
            let mut is_complete = true;
            while is_complete && !left.is_empty() {
                if self.interrupt.requested() {
                    return Err(stopped());
                }
                let DirectStep { taken, deleted } = direct.delete(left);
                left = left.get(taken.max(1)..).unwrap_or_default();
                let refused = self.absorb(chosen, deleted)?;
                is_complete = refused.is_empty();
                self.refuse(chosen, refused);
            }
            if is_complete {
                break;
            }
        }
        Ok(())
    }

    /// Counts what was deleted and takes it out of what was chosen; returns what was refused.
    fn absorb(
        &mut self,
        chosen: &mut DeletionSet,
        deleted: Deleted,
    ) -> Result<Vec<UndeletedPath>, PerformError> {
        let Deleted {
            paths,
            bytes,
            refused,
            outcome,
        } = deleted;
        self.count(Collected {
            paths: u64::try_from(paths.len()).ok(),
            bytes,
        });
        chosen.deleted(&paths);
        let left = chosen.len();
        tracing::info!(deleted = paths.len(), left, "deleted dead paths");
        if let Some(all) = &mut self.deleted {
            all.extend(paths);
        }
        outcome.map(|()| refused)
    }

    /// Deletes batch by batch until all is gone or refused.
    fn delete(
        &mut self,
        mut chosen: DeletionSet,
        limit: ArgLimit,
    ) -> Result<CollectOutcome, PerformError> {
        loop {
            if self.batches(&mut chosen, limit)? {
                return Ok(CollectOutcome::Clean);
            }
            self.keep_only_dead(&mut chosen);
            if chosen.is_empty() || self.refused.len() >= MAX_REFUSALS {
                let given_up = chosen.len();
                return Ok(CollectOutcome::Refused { given_up });
            }
        }
    }

    /// Deletes up to the first refusal; returns whether there was none.
    fn batches(&mut self, chosen: &mut DeletionSet, limit: ArgLimit) -> Result<bool, PerformError> {
        let cost = |name: &str| name.len() + limit.per_path;
        for batch in chosen.batches(limit.bytes, cost) {
            if self.interrupt.requested() {
                return Err(stopped());
            }
            let refused = self.absorb(chosen, self.perform.delete_paths(&batch))?;
            if !refused.is_empty() {
                self.refuse(chosen, refused);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn refuse(&mut self, chosen: &mut DeletionSet, refused: Vec<UndeletedPath>) {
        for refused in refused {
            tracing::warn!(path = %refused.path, why = refused.why, "not deleted");
            chosen.refused(&refused.path);
            self.refused.push(refused);
        }
    }

    /// Takes out what came alive since, at once instead of by a refusal each.
    fn keep_only_dead(&self, chosen: &mut DeletionSet) {
        if chosen.is_empty() {
            return;
        }
        let Ok(later) = self.survey.dead() else {
            // What is left was dead before, and Nix checks it all the same.
            return;
        };
        let mut narrowed = chosen.still_dead(later);
        for refused in &self.refused {
            narrowed.refused(&refused.path);
        }
        *chosen = narrowed;
    }

    /// Adds up; what is not known of one part is not known of the sum.
    fn count(&mut self, more: Collected) {
        let Some(so_far) = self.total else {
            self.total = Some(more);
            return;
        };
        let paths = so_far.paths.zip(more.paths);
        let bytes = so_far.bytes.zip(more.bytes);
        self.total = Some(Collected {
            paths: paths.map(|(a, b)| a.saturating_add(b)),
            bytes: bytes.map(|(a, b)| Bytes(a.0.saturating_add(b.0))),
        });
    }
}

fn stopped() -> PerformError {
    PerformError::Interrupted {
        what: "deleting dead paths".to_string(),
    }
}

fn impossible(why: FullGcReason) -> PerformError {
    PerformError::Nix {
        what: "collecting by name".to_string(),
        source: why.into(),
    }
}
