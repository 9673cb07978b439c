//! `plan`: shows what a job would do.

use super::args::PlanArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect;
use super::out;
use crate::adapters::plan_file::{self, PlanFileError};
use crate::engine::Exact;
use crate::ports::error_chain;
use crate::render;

/// Makes the plan, prints it, and saves it when asked to.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<Exit, Failure> {
    let job = context.job(&args.job, None)?;
    let plan = inspect::plan(context, &job, Exact::from_flag(args.exact))?;
    if args.out.as_deref().is_some_and(|path| path == "-") {
        let text = plan_file::to_text("standard output".into(), &plan);
        out::bytes(text.map_err(|error| unsaved(&error))?.as_bytes());
        return Ok(Exit::Done);
    }
    if let Some(path) = &args.out {
        plan_file::save(path, &plan).map_err(|error| unsaved(&error))?;
    }
    if args.json.json {
        out::json(&plan)?;
    } else {
        let view = context.view();
        out::text(&if args.full {
            render::table::plan_in_full(&plan, &view)
        } else {
            render::table::plan(&plan, Some(&out::command("run")), &view)
        });
        if let Some(path) = &args.out {
            let path = render::text::escape(path.as_str());
            out::text(&format!(
                "Saved to {path}\nCarry it out with: nix-prune apply {path}"
            ));
        }
    }
    Ok(Exit::Done)
}

fn unsaved(error: &PlanFileError) -> Failure {
    Failure::new(Exit::CannotCreate, error_chain(error)).hint(error.hint())
}
