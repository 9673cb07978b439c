//! `apply`: carries out a saved plan.

use std::sync::Arc;

use super::args::ApplyArgs;
use super::context::{Context, named_job};
use super::failure::{Exit, Failure};
use super::{ask, inspect, log, out, run};
use crate::adapters::plan_file;
use crate::domain::accept;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::plan::Plan;
use crate::domain::receipt::RunKind;
use crate::domain::risk::RiskLevel;
use crate::engine::Exact;
use crate::ports::error_chain;
use crate::render;

/// Carries out a saved plan, all of it or nothing: what it relies on is looked at again under the lock.
pub(super) fn apply(context: &Context, args: &ApplyArgs) -> Result<Exit, Failure> {
    log::begin_run();
    let mut plan = plan_file::load(&args.file).map_err(|error| {
        let message = format!("nothing was done: {}", error_chain(&error));
        Failure::new(Exit::Refused, message).hint(error.hint())
    })?;
    // The settings of today protect from the plan of yesterday as well.
    let settings = context.settings()?;
    let mut job = named_job(&settings, Some(&plan.job.to_string()))
        .or_else(|_| named_job(&Context::builtin()?, None))?;
    job.protect = Arc::clone(settings.protect());
    job.limits = settings.limits();
    job.accepted = Arc::clone(settings.accepted());
    if let Some(facts) = plan.collection() {
        // The plan keeps what it was made to keep.
        let collect = job.operations.collect.get_or_insert_default();
        collect
            .keep_flake_inputs
            .clone_from(&facts.keep_flake_inputs);
        collect.keep_build_dependencies = facts.keep_build_dependencies;
    }
    let job = EffectiveJob::new(job, settings.policy());
    let policy = job.policy();
    // The settings must still accept what they accepted.
    plan.accepted_checks
        .retain(|check| check.reason.is_none() || accept::reason(check, &job.accepted).is_some());
    plan.accept = job.accepted.to_vec();
    plan.max_risk = policy.ceiling(args.consent.max_risk.unwrap_or(plan.max_risk));
    plan.safe_mode |= settings.safe_mode();
    for planned in plan.actions() {
        policy.allows(&planned.action).map_err(|error| {
            let failure = Failure::new(Exit::Refused, format!("nothing was done: {error}"));
            failure.hint("Make a new plan.")
        })?;
    }
    log::set_job(&job.name);
    let nix = context.nix()?;
    let observer = context.observer(Some(&job));
    run::recover_first(context, &observer, nix)?;
    let mut plan = inspect::renew(context, &job, plan, Exact::IfCheap)?;
    let view = context.view();
    let show = |plan: &Plan| {
        if !args.json.json {
            out::text(&(render::table::plan(plan, None, &view) + "\n"));
        }
    };
    let most = policy.ceiling(args.consent.max_risk.unwrap_or(RiskLevel::Critical));
    let approved = ask::approve(
        context,
        &mut plan,
        &RunKind::Apply,
        &args.consent,
        most,
        show,
    )?;
    let receipt = run::carry_out(context, &observer, nix, approved, &job)?;
    run::finish(context, &plan, &receipt, args.json.json)
}
