//! `collect`: deletes dead store paths through Nix.

use camino::Utf8Path;

use super::{ActionContext, Draft, Operation, Performed, ProfileNames};
use crate::domain::accept;
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::collect::CollectMethod;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{Action, CollectFacts};
use crate::domain::receipt::Outcome;
use crate::domain::root::{Dangling, RootState};
use crate::domain::snapshot::Snapshot;
use crate::ports::PerformError;

/// Collects garbage.
pub(super) struct Collect<'a>(pub(super) &'a CollectFacts);

pub(super) fn select(draft: &mut Draft<'_>) {
    let Some(collect) = &draft.job.operations.collect else {
        return;
    };
    if draft.collection_is_blocked() {
        return;
    }
    // Nix's own collector would delete what it does not know as live.
    let keeps_more = collect.keep_build_dependencies || !collect.keep_flake_inputs.is_empty();
    let method = match collect.method {
        CollectMethod::Auto | CollectMethod::Full
            if keeps_more || hides_roots(draft.snapshot, Some(draft.job)) =>
        {
            CollectMethod::Selective
        }
        method => method,
    };
    draft.step(Action::Collect(CollectFacts {
        method,
        registered_before: collect.cutoff(draft.snapshot.taken_at),
        keep_flake_inputs: collect.keep_flake_inputs.clone(),
        keep_build_dependencies: collect.keep_build_dependencies,
        sources_first: collect.sources_first,
    }));
    let note = left_to_nix(draft);
    draft.notes.extend(note);
}

/// Says how many roots Nix itself removes when it collects, and a file system that comes back would bring back: Nix removes
/// every entry whose link it does not find (trap 17). A link that is gone from a directory that is there, as a removed
/// generation leaves it, is missed by nobody, and neither is one in a directory that `nix-build` has removed.
fn left_to_nix(draft: &Draft<'_>) -> Option<Note> {
    if draft
        .job
        .operations
        .collect
        .as_ref()
        .is_some_and(|it| it.method == CollectMethod::Direct)
    {
        return None;
    }
    let auto = draft.snapshot.state_dir.join("gcroots/auto");
    // The plan itself removes none of these: their place may come back.
    let away = RootState::Dangling(Dangling::ParentMissing);
    let left = draft.snapshot.roots.iter().filter(|root| {
        let dir = root.entry.as_ref().and_then(|entry| entry.parent());
        dir == Some(&auto) && root.state == away && !is_of_nix_build(&root.link)
    });
    let roots = match left.count() {
        0 => return None,
        1 => "1 dangling root".to_string(),
        count => format!("{count} dangling roots"),
    };
    let text = format!(
        "Nix's collector removes {roots} that this plan keeps. Mount missing file systems \
         first if they hold roots that you need."
    );
    Some(Note::new(NoteCode::RootsRemovedByNix, text))
}

/// Whether a link lay in a temporary directory of Nix's own commands: `nix-build --no-out-link` and `nix-shell` make
/// `/tmp/nix-build-PID-N/result` and remove the directory.
fn is_of_nix_build(link: &Utf8Path) -> bool {
    let name = link.parent().and_then(Utf8Path::file_name);
    let number = name.and_then(|name| {
        let numbers = ["nix-build-", "nix-shell-"].map(|prefix| name.strip_prefix(prefix));
        numbers.into_iter().flatten().next()
    });
    number.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

/// Whether there are roots that Nix cannot read, so that its own collector would delete what they keep. Who accepts
/// `roots.unreadable` there accepts that.
fn hides_roots(snapshot: &Snapshot, job: Option<&EffectiveJob>) -> bool {
    let accepted = |hidden: &Blocker| {
        let unreadable = Blocker {
            code: CheckCode::RootsUnreadable,
            ..hidden.clone()
        };
        job.is_some_and(|job| {
            job.accept.contains(&unreadable.code)
                || accept::reason(&unreadable, &job.accepted).is_some()
        })
    };
    let mut hidden = snapshot
        .blockers
        .iter()
        .filter(|blocker| blocker.code == CheckCode::RootsHidden);
    hidden.any(|blocker| !accepted(blocker))
}

impl Operation for Collect<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let by = match self.0.method {
            CollectMethod::Auto => "",
            CollectMethod::Selective => " (selective)",
            CollectMethod::Full => " (nix-collect-garbage)",
            CollectMethod::Direct => " (direct)",
        };
        let before = self.0.registered_before;
        let before = before.map(|before| format!(" registered before {before}"));
        let flakes = self.0.keep_flake_inputs.iter().map(|flake| flake.as_str());
        let flakes: Vec<&str> = flakes.collect();
        let flakes = (!flakes.is_empty()).then(|| flakes.join(", "));
        let inputs = flakes.map(|flakes| format!("the locked inputs of {flakes}"));
        let built_with = self.0.keep_build_dependencies;
        let built_with = built_with.then(|| "build dependencies".to_string());
        let kept: Vec<String> = built_with.into_iter().chain(inputs).collect();
        let but = match kept.as_slice() {
            [] => String::new(),
            kept => format!(" except {}", kept.join(" and ")),
        };
        let before = before.unwrap_or_default();
        format!("collect garbage{before}{but}{by}")
    }

    fn recheck(&self, snapshot: &Snapshot, job: Option<&EffectiveJob>) -> Result<(), String> {
        match snapshot.blockers.iter().find(|r| r.code.stops_collection()) {
            Some(blocker) => Err(blocker.message.clone()),
            None if !self.0.method.lists_paths() && hides_roots(snapshot, job) => {
                Err("there are now roots that Nix cannot read".to_string())
            }
            None => match self
                .0
                .keep_flake_inputs
                .iter()
                .find(|flake| !snapshot.flakes.contains(flake))
            {
                Some(flake) => Err(format!("the locked inputs of {flake} were not looked for")),
                None => Ok(()),
            },
        }
    }

    /// A collection takes a last look, rounds and records of its own, so the engine does it (`engine/collect.rs`).
    fn perform(&self, _: &ActionContext<'_>) -> Result<Performed, PerformError> {
        Err(PerformError::Stale(
            "a collection needs a last look at the roots".to_string(),
        ))
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/tmp/nix-build-4711-0/result", true)]
    #[case("/tmp/nix-build-4711-0/result-12", true)]
    #[case("/var/tmp/nix-shell-1-2/result", true)]
    #[case("/mnt/usb/nix-build/result", false)]
    #[case("/mnt/usb/nix-build-logs/result", false)]
    #[case("/mnt/usb/result", false)]
    fn what_nix_build_left_behind_is_recognised(#[case] link: &str, #[case] is: bool) {
        assert_eq!(is_of_nix_build(Utf8Path::new(link)), is);
    }
}
