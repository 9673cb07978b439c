//! `undo`: restores what a run removed, or a part of it.

use super::args::UndoArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::hold::warn_of_others;
use super::{ask, history, out, run};
use crate::domain::nearest::nearest;
use crate::domain::receipt::{Receipt, RunId, RunKind};
use crate::domain::undo::{ItemRef, UndoPreview};
use crate::engine::EngineError;
use crate::render;
use crate::render::text::list;

/// Undoes a run. At a terminal it shows what is restored and asks; elsewhere it does not, for it only restores, and overwrites nothing.
pub(super) fn undo(context: &Context, args: &UndoArgs) -> Result<Exit, Failure> {
    let (mut run, items) = named(context, args)?;
    let nix = context.nix()?;
    let observer = context.observer(None);
    let engine = context.engine(&observer, nix);
    let asks = !args.yes && ask::can_ask();
    if args.only_preview || asks {
        if asks && !args.only_preview {
            run::recover_first(context, &observer, nix)?;
        }
        let preview = found(context, engine.preview_undo(run.as_ref(), &items))?;
        if args.only_preview {
            return show_preview(context, &preview, args.json.json);
        }
        if !args.json.json {
            show_preview(context, &preview, false)?;
        }
        let question = render::table::undo_question(&preview);
        ask::confirm(&[], &question, &context.signals)?;
        run = Some(preview.run);
    }
    let receipt = found(context, engine.undo(run.as_ref(), &items))?;
    show(context, &receipt, args.json.json)?;
    Ok(run::exit(&receipt))
}

/// The run and the items that the arguments name. The name of a run begins with a digit.
fn named(context: &Context, args: &UndoArgs) -> Result<(Option<RunId>, Vec<ItemRef>), Failure> {
    let is_run = |text: &&String| {
        let is_id = text.starts_with(|c: char| c.is_ascii_digit());
        *text == LAST || is_id && !text.contains([':', '/'])
    };
    let run = args.run.as_ref().filter(is_run);
    let first = args.run.as_ref().filter(|_| run.is_none());
    let run = match run {
        Some(text) if text != LAST => Some(history::find(context, text)?),
        _ => None,
    };
    let items = first.into_iter().chain(&args.items).map(|text| {
        ItemRef::parse(text).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("`{text}` is neither a run nor a part of one")).hint(
                "Use a run of `nix-prune history`, a generation such as system:42 or system:40..42, or the path of a root.",
            )
        })
    });
    Ok((run, items.collect::<Result<_, _>>()?))
}

fn found<T>(context: &Context, result: Result<T, EngineError>) -> Result<T, Failure> {
    if let Err(EngineError::NothingToUndo { .. }) = &result {
        warn_of_others(&context.snapshot(None)?);
    }
    Ok(result?)
}

fn show_preview(context: &Context, preview: &UndoPreview, json: bool) -> Result<Exit, Failure> {
    if json {
        out::json(&render::json::undo(preview))?;
    } else {
        out::text(&render::table::undo_preview(preview, &context.view()));
    }
    Ok(Exit::Done)
}

fn show(context: &Context, receipt: &Receipt, json: bool) -> Result<(), Failure> {
    let original = match &receipt.kind {
        RunKind::Undo(run) if !json => context.journal.receipt(run).ok(),
        _ => None,
    };
    let Some(original) = original else {
        return run::show(context, receipt, json);
    };
    out::text(&render::table::undone(receipt, &original, &context.view()));
    Ok(())
}

/// The name for the latest run.
const LAST: &str = "last";

/// What an undo can name instead of `item`, where a run has `items`.
pub(super) fn known_items(item: &str, mut items: Vec<String>) -> String {
    const MAX_SHOWN: usize = 6;
    let (name, numbers) = profile_of(item);
    let mut near = nearest(name, items.iter().map(|item| profile_of(item).0));
    if near == Some(name) {
        near = None;
        items.retain(|item| profile_of(item).0 == name);
    }
    let near = near.map(|near| format!("Did you mean {near}{numbers}? "));
    if items.is_empty() {
        return "Nothing of it can be restored any more.".to_string();
    }
    let more = items.len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        items.truncate(MAX_SHOWN);
        items.push(format!("{more} more"));
    }
    format!(
        "{}It can restore {}.",
        near.unwrap_or_default(),
        list(&items)
    )
}

/// The profile of an item, and `:N` or nothing.
fn profile_of(item: &str) -> (&str, &str) {
    item.split_at(item.rfind(':').unwrap_or(item.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::profile("sytem:40", &["alice/x:1", "system:40..43"], "Did you mean system:40? It can restore alice/x:1 and system:40..43.")]
    #[case::number("system:7", &["alice/x:1", "system:40..43"], "It can restore system:40..43.")]
    #[case::link("/src/reslt", &["/src/result", "system:1"], "Did you mean /src/result? It can restore /src/result and system:1.")]
    #[case::other("firefox", &["system:1"], "It can restore system:1.")]
    #[case::many("firefox", &["s:1", "s:3", "s:5", "s:7", "s:9", "s:11", "s:13", "s:15"], "It can restore s:1, s:3, s:5, s:7, s:9, s:11 and 2 more.")]
    #[case::nothing("system:1", &[], "Nothing of it can be restored any more.")]
    fn wrong_items_are_answered_with_right_ones(
        #[case] item: &str,
        #[case] items: &[&str],
        #[case] hint: &str,
    ) {
        let items = items.iter().map(ToString::to_string).collect();
        assert_eq!(known_items(item, items), hint);
    }
}
