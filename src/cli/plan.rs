//! `plan`: shows what a job would do.

use camino::Utf8Path;

use super::args::PlanArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect;
use super::out;
use crate::adapters::plan_file;
use crate::domain::plan::Plan;
use crate::engine::Exact;
use crate::ports::error_chain;
use crate::render;

/// Makes the plan, prints it, and saves it when asked to.
pub(super) fn plan(context: &Context, args: &PlanArgs) -> Result<Exit, Failure> {
    let job = context.job(&args.job, None)?;
    let plan = inspect::plan(context, &job, Exact::from_flag(args.exact))?;
    if let Some(path) = &args.out {
        save(&plan, path)?;
    }
    if args.json.json {
        out::json(&plan)?;
    } else {
        out::text(&render::table::plan(&plan, &context.view()));
        if let Some(path) = &args.out {
            let path = render::text::escape(path.as_str());
            out::text(&format!(
                "Saved to {path}\nCarry it out with: nix-prune apply {path}"
            ));
        }
    }
    Ok(Exit::Done)
}

fn save(plan: &Plan, path: &Utf8Path) -> Result<(), Failure> {
    plan_file::save(path, plan).map_err(|error| {
        Failure::new(Exit::CannotCreate, error_chain(&error)).hint("Name another file with --out.")
    })
}
