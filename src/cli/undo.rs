//! `undo`: restores what a run removed.

use super::args::UndoArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::hold::warn_of_others;
use super::run;
use crate::domain::receipt::RunId;
use crate::engine::EngineError;

/// Undoes a run, without confirmation: it only restores, and overwrites nothing.
pub(super) fn undo(context: &Context, args: &UndoArgs) -> Result<Exit, Failure> {
    let run = args.run.clone().map(run_id).transpose()?;
    let nix = context.nix()?;
    let observer = context.observer(None);
    let undone = context.engine(&observer, &nix).undo(run.as_ref());
    if let Err(EngineError::NothingToUndo { .. }) = &undone {
        warn_of_others(&context.snapshot(None)?);
    }
    let receipt = undone?;
    run::show(context, &receipt, args.json.json)?;
    Ok(run::exit(&receipt))
}

/// The run that was named.
pub(super) fn run_id(text: String) -> Result<RunId, Failure> {
    RunId::try_from(text).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}
