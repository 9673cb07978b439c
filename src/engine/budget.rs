//! What a run does for its budget, and how that came out.

use super::collect::{LastLook, collect_after};
use super::run::settle;
use super::{Collection, Engine};
use crate::domain::budget::{Figure, Standing};
use crate::domain::collect::{CollectMethod, NotSelective, Selection};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::plan::{Action, CollectFacts};
use crate::domain::receipt::{BudgetOutcome, Entry, Outcome, Receipt};
use crate::domain::snapshot::Snapshot;
use crate::ports::{Clock, Interrupt, Perform, Remember, Survey, SurveyError};

/// How often it is collected for a goal that was not reached the time before.
const MOST_ROUNDS: usize = 8;

impl<S, P, R, C, I> Engine<'_, S, P, R, C, I>
where
    S: Survey,
    P: Perform,
    R: Remember,
    C: Clock,
    I: Interrupt,
{
    /// What a budget gives up for good, it gives up for a collection. Where that is left out, nothing would be freed.
    pub(super) fn spare_without_collection(&self, receipt: &mut Receipt) {
        if receipt.budget.is_none() {
            return;
        }
        let collection = |entry: &&Entry| entry.action.collection().is_some();
        let collection = receipt.entries.iter().find(collection);
        if collection.is_none_or(|entry| entry.outcome == Outcome::Pending) {
            return;
        }
        for entry in &mut receipt.entries {
            let for_good = match &entry.action {
                Action::ReleaseEarly(_) => true,
                Action::DropGeneration(facts) => facts.hold.is_zero(),
                _ => false,
            };
            if for_good && entry.outcome == Outcome::Pending {
                let why = "it would free nothing, for nothing is collected".to_string();
                settle(entry, Outcome::Stale, Some(why), self.clock);
            }
        }
    }

    /// Measures how a run came out.
    pub(super) fn measure_budget(&self, receipt: &mut Receipt) {
        if let Some(outcome) = &mut receipt.budget {
            outcome.after = self.survey.standing(outcome.planned.figure);
            outcome.missing = outcome.after.to_free(outcome.planned.goal);
        }
    }

    /// Collects what the budget needs: a part of what is dead, and more of it while the goal is not reached, for what
    /// paths are by the store's own sizes is not what they are on disk. A part is never widened to the whole.
    pub(super) fn collect_for(
        &self,
        facts: CollectFacts,
        outcome: Option<&BudgetOutcome>,
        last_look: LastLook<'_>,
    ) -> Collection {
        let before = facts.registered_before;
        let part = outcome.and_then(|b| b.planned.collects_most.map(|most| (b, most)));
        let Some((outcome, most)) = part else {
            return match before {
                Some(_) => self.collect_part(before, None, last_look),
                None => collect_after(
                    self.survey,
                    self.perform,
                    self.interrupt,
                    facts.method,
                    last_look,
                ),
            };
        };
        let mut all = self.collect_part(before, Some(most), last_look);
        for _ in 1..MOST_ROUNDS {
            let now = self.survey.standing(outcome.planned.figure);
            let rest = now.to_free(outcome.planned.goal).unwrap_or_default();
            if rest == Bytes(0) || all.outcome.is_err() || self.interrupt.requested() {
                break;
            }
            let more = self.collect_part(before, Some(rest), last_look);
            let idle = more.collected.paths == Some(0);
            all.join(more);
            if idle {
                break;
            }
        }
        all
    }

    fn collect_part(
        &self,
        before: Option<Timestamp>,
        most: Option<Bytes>,
        last_look: LastLook<'_>,
    ) -> Collection {
        let part = Part {
            survey: self.survey,
            before,
            most,
        };
        collect_after(
            &part,
            self.perform,
            self.interrupt,
            CollectMethod::Selective,
            last_look,
        )
    }
}

/// Sees of what is dead only what is old enough, and of that only as much as is to go, least recently registered first.
struct Part<'a, S> {
    survey: &'a S,
    before: Option<Timestamp>,
    most: Option<Bytes>,
}

impl<S: Survey> Survey for Part<'_, S> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        self.survey.snapshot()
    }

    fn standing(&self, figure: Figure) -> Standing {
        self.survey.standing(figure)
    }

    fn dead(&self) -> Result<Selection, NotSelective> {
        let mut chosen = self.survey.dead()?;
        if let Some(before) = self.before {
            // A part of a second is left out, which spares what was registered in it.
            chosen = chosen.before(before.to_unix().0);
        }
        if let Some(most) = self.most {
            chosen = chosen.freeing(most);
        }
        Ok(chosen)
    }
}
