//! The failed checks and notes of a survey.

use std::cell::RefCell;
use std::path::Path;

use camino::Utf8Path;

use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::measure::count_with_verb;
use crate::domain::note::{Note, NoteCode};

use super::names::lossy;

/// The most notes, and odd names, that are listed: any user can cause more.
const MAX_LISTED: usize = 100;

/// The failed checks and notes so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    blockers: RefCell<Vec<Blocker>>,
    notes: RefCell<Vec<Note>>,
}

impl Findings {
    pub(super) fn refuse(&self, code: CheckCode, message: String, hint: &str) {
        self.push(Blocker::new(code, message, hint.to_string()));
    }

    /// A failed check about places, which settings can accept by name.
    pub(super) fn refuse_at(
        &self,
        places: impl IntoIterator<Item: AsRef<Path>>,
        code: CheckCode,
        message: String,
        hint: &str,
    ) {
        let places = places.into_iter();
        let places = places.map(|place| lossy(place.as_ref().to_path_buf()).0);
        self.push(Blocker {
            places: places.collect(),
            ..Blocker::new(code, message, hint.to_string())
        });
    }

    /// Refuses a collection while roots lead into a place that is not there.
    pub(super) fn refuse_away(&self, place: &Path, message: String, hint: &str) {
        self.refuse_at([place], CheckCode::RootsAway, message, hint);
    }

    pub(super) fn push(&self, blocker: Blocker) {
        self.blockers.borrow_mut().push(blocker);
    }

    pub(super) fn note(&self, code: NoteCode, text: impl Into<String>) {
        self.notes.borrow_mut().push(Note::new(code, text));
    }

    /// All of them, with the number of those not listed.
    pub(super) fn finish(self) -> (Vec<Blocker>, Vec<Note>) {
        let (mut blockers, mut notes) = (self.blockers.into_inner(), self.notes.into_inner());
        let all = blockers.len() + notes.len();
        let mut odd_names = 0;
        blockers.retain(|blocker| {
            odd_names += usize::from(blocker.code == CheckCode::OddName);
            blocker.code != CheckCode::OddName || odd_names <= MAX_LISTED
        });
        notes.truncate(MAX_LISTED);
        let too_risky = all - blockers.len() - notes.len();
        if too_risky > 0 {
            let text = format!("{too_risky} more notes and odd names are not listed");
            notes.push(Note::new(NoteCode::More, text));
        }
        (blockers, notes)
    }
}

/// `1 root points`, `3 roots point`.
pub(super) fn roots_point(count: usize) -> String {
    count_with_verb(count, "root", "point")
}

/// What a collection would do to roots in a place that is away, and what to do where it does not come back.
pub(super) fn if_gone_for_good(state_dir: &Utf8Path) -> String {
    format!(
        "a garbage collection would remove these roots. If it is gone permanently, remove the links in {state_dir}/gcroots/auto \
         that point there"
    )
}
