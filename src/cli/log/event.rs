//! Events of a run, as the journal has them: each kind has an identifier, which the catalogue in `contrib/systemd` explains.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum EventKind {
    /// A run begins.
    RunBegun,
    /// A run ended, and did all that it was to do.
    RunEnded,
    /// A run, or a part of it, failed.
    RunFailed,
    /// A safety check stopped a run or a part of it.
    CheckFailed,
    /// A run did not reach its goal.
    GoalMissed,
    /// The job is paused.
    JobPaused,
}

impl EventKind {
    /// The identifier of its entries.
    pub(in crate::cli) fn message_id(self) -> &'static str {
        match self {
            Self::RunBegun => "71fa09fc19c040668d7018498836b714",
            Self::RunEnded => "817bfbc58ce34d98932f7c26665aee06",
            Self::RunFailed => "834623bdc37546d990379bac9a1eca76",
            Self::CheckFailed => "bbc9ff48db2743548aad588db5520a63",
            Self::GoalMissed => "b07663e72ae04965b6198522d31523c6",
            Self::JobPaused => "a64db50ea2824d3a93926848e897ae6f",
        }
    }
}

/// The fields of an entry besides its text, the job and the run.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct RunEvent {
    /// What happened.
    pub(in crate::cli) kind: Option<EventKind>,
    /// How it ended: the name of an exit status, or the code of a safety check.
    pub(in crate::cli) result: Option<&'static str>,
    /// The kind of the action that it is about.
    pub(in crate::cli) action: Option<String>,
    /// The bytes that were freed, or are missing.
    pub(in crate::cli) bytes: Option<i64>,
}

impl RunEvent {
    /// An event of this kind.
    pub(in crate::cli) fn of(kind: EventKind) -> Self {
        Self {
            kind: Some(kind),
            ..Self::default()
        }
    }

    /// The fields, by their names in the journal.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let fields = [
            (
                "MESSAGE_ID",
                self.kind.map(|it| it.message_id().to_string()),
            ),
            ("NIX_PRUNE_RESULT", self.result.map(str::to_string)),
            ("NIX_PRUNE_ACTION", self.action.clone()),
            ("NIX_PRUNE_BYTES", self.bytes.map(|it| it.to_string())),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const CATALOGUE: &str = include_str!("../../../contrib/systemd/nix-prune.catalog");

    const ALL: [EventKind; 6] = [
        EventKind::RunBegun,
        EventKind::RunEnded,
        EventKind::RunFailed,
        EventKind::CheckFailed,
        EventKind::GoalMissed,
        EventKind::JobPaused,
    ];

    #[test]
    fn the_catalogue_explains_each_kind_and_nothing_else() {
        let ids: Vec<&str> = ALL.iter().map(|kind| kind.message_id()).collect();
        let mut entries = CATALOGUE
            .lines()
            .filter_map(|line| line.strip_prefix("-- "));
        assert_eq!(entries.clone().collect::<Vec<_>>(), ids);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ALL.len());
        let is_id =
            |id: &str| id.len() == 32 && id.bytes().all(|b| b"0123456789abcdef".contains(&b));
        assert!(entries.all(is_id));
    }

    #[test]
    fn only_what_is_known_is_a_field() {
        let event = RunEvent {
            result: Some("budget"),
            bytes: Some(-1),
            ..RunEvent::of(EventKind::GoalMissed)
        };
        let names: Vec<&str> = event.fields().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["MESSAGE_ID", "NIX_PRUNE_RESULT", "NIX_PRUNE_BYTES"]);
        assert!(RunEvent::default().fields().is_empty());
    }
}
