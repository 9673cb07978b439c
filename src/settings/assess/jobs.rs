//! Jobs, before and after: what they may do, and how much they keep.

use super::{Ledger, Value};
use crate::domain::budget::{Amount, Budget, DiskGoal, ReleaseHolds};
use crate::domain::collect::CollectMethod;
use crate::domain::job::{
    CollectOperation, GenerationsOperation, Job, Operations, ProfileSelector,
};
use crate::domain::retention::KeepRules;
use crate::domain::risk::{self, RiskLevel};
use crate::settings::finding::Pointer;
use crate::settings::{JobSettings, Settings};

pub(super) fn compare(old: Option<&Settings>, new: &Settings, ledger: &mut Ledger) {
    let at = Pointer::root().key("jobs");
    for (name, job) in &new.jobs {
        let at = at.key(&name.to_string());
        match old.and_then(|old| old.jobs.get(name)) {
            Some(old) => both(old, job, &at, ledger),
            None => added(job, &at, ledger),
        }
    }
    for (name, job) in old.iter().flat_map(|old| &old.jobs) {
        if !new.jobs.contains_key(name) {
            let (at, was) = (at.key(&name.to_string()), in_words(job));
            ledger.removed(&at, was, RiskLevel::Low, "the job is not there any more");
        }
    }
}

fn added(job: &JobSettings, at: &Pointer, ledger: &mut Ledger) {
    if job.enabled {
        ledger.added(at, in_words(job), reach(&job.job), "a new job");
    } else {
        let words = "a new job, which is disabled";
        ledger.added(at, in_words(job), RiskLevel::Low, words);
    }
}

fn both(old: &JobSettings, new: &JobSettings, at: &Pointer, ledger: &mut Ledger) {
    if old.description != new.description {
        let said = |job: &JobSettings| job.description.clone().map(Value::Text);
        let at = at.key("description");
        ledger.add(
            &at,
            said(old),
            said(new),
            RiskLevel::Low,
            "only the words change",
        );
    }
    if old.enabled != new.enabled {
        let (risk, words) = if new.enabled {
            (reach(&new.job), "the job runs")
        } else {
            (RiskLevel::Low, "the job does not run any more")
        };
        let (was, is) = (Value::Switch(old.enabled), Value::Switch(new.enabled));
        ledger.changed(&at.key("enabled"), was, is, risk, words);
    }
    // Each field is compared here or for all jobs at once; a new one must be, too.
    let Job {
        name: _,
        max_risk: _,
        safe_mode: _,
        undo_window: _,
        protect: _,
        budget: _,
        // They are common to all jobs, and were compared.
        limits: _,
        // Settings cannot say it.
        accept: _,
        accepted: _,
        policy: _,
        operations: _,
    } = &new.job;
    let (old, new) = (&old.job, &new.job);
    if old.max_risk != new.max_risk {
        let (risk, words) = if new.max_risk > old.max_risk {
            (new.max_risk, "the job may do what is riskier")
        } else {
            (RiskLevel::Low, "the job may do less")
        };
        let said = |level: RiskLevel| Value::Text(level.to_string());
        let (was, is) = (said(old.max_risk), said(new.max_risk));
        ledger.changed(&at.key("maxRisk"), was, is, risk, words);
    }
    budget(old, new, &at.key("budget"), ledger);
    operations(old, new, &at.key("operations"), ledger);
}

fn in_words(job: &JobSettings) -> Value {
    let Operations {
        generations,
        roots,
        collect,
        optimise,
        verify,
    } = &job.job.operations;
    let there = [
        ("generations", generations.is_some()),
        ("roots", roots.is_some()),
        ("collect", collect.is_some()),
        ("optimise", *optimise),
        ("verify", verify.is_some()),
    ];
    let names = there.iter().filter(|(_, there)| *there);
    let names: Vec<&str> = names.map(|(name, _)| *name).collect();
    Value::Text(if names.is_empty() {
        "nothing".to_string()
    } else {
        names.join(", ")
    })
}

/// The highest risk of anything that a job may do.
fn reach(job: &Job) -> RiskLevel {
    let Operations {
        generations,
        roots: _,
        collect: _,
        optimise: _,
        verify: _,
    } = &job.operations;
    let generations = generations.as_ref();
    let drops = generations.map_or(RiskLevel::Low, |o| reach_of(&o.profiles, job));
    let releases = job.budget.map_or(RiskLevel::Low, |goal| early(goal, job));
    drops.max(releases)
}

/// The highest risk of dropping generations of these profiles, as far as the job may go.
fn reach_of(profiles: &[ProfileSelector], job: &Job) -> RiskLevel {
    let held = !job.undo_window.is_zero();
    let risks = profiles.iter().map(|selector| {
        // What a path leads to is known only on the machine.
        let may_be_a_system =
            matches!(selector, ProfileSelector::System | ProfileSelector::Path(_));
        risk::of_generation(may_be_a_system, held, 0)
    });
    risks.max().unwrap_or(RiskLevel::Low).min(ceiling(job))
}

fn early(goal: DiskGoal, job: &Job) -> RiskLevel {
    match goal.release_holds {
        ReleaseHolds::Never => RiskLevel::Low,
        // Holds of any profile, whatever this job thins out.
        ReleaseHolds::IfNeeded => risk::of_early_release(true).min(ceiling(job)),
    }
}

fn ceiling(job: &Job) -> RiskLevel {
    if job.safe_mode {
        job.max_risk.min(RiskLevel::High)
    } else {
        job.max_risk
    }
}

fn budget(old: &Job, new: &Job, at: &Pointer, ledger: &mut Ledger) {
    let said = |goal: DiskGoal| Value::Text(goal.budget.to_string());
    match (old.budget, new.budget) {
        (None, None) => {}
        (None, Some(goal)) => {
            // Without a goal the job removes all that its rules let go.
            let risk = early(goal, new);
            let words = "the job removes only as much as the goal needs";
            ledger.added(at, said(goal), risk, words);
        }
        (Some(goal), None) => {
            let words = "the job removes all that its rules let go";
            ledger.removed(at, said(goal), RiskLevel::Medium, words);
        }
        (Some(was), Some(is)) => {
            goals(was, is, at, ledger);
            if was.release_holds != is.release_holds {
                release_holds(was, is, new, &at.key("releaseHolds"), ledger);
            }
        }
    }
}

fn goals(was: DiskGoal, is: DiskGoal, at: &Pointer, ledger: &mut Ledger) {
    // How much is to be free: more of it is stricter.
    let (key, stricter) = match (was.budget, is.budget) {
        (was, is) if was == is => return,
        (Budget::MinFree(Amount::Bytes(was)), Budget::MinFree(Amount::Bytes(is))) => {
            ("minFree", is > was)
        }
        (Budget::MinFree(Amount::Percent(was)), Budget::MinFree(Amount::Percent(is))) => {
            ("minFree", is > was)
        }
        (Budget::MaxUsed(was), Budget::MaxUsed(is)) => ("maxUsed", is < was),
        (Budget::MaxStore(was), Budget::MaxStore(is)) => ("maxStore", is < was),
        // Which of the two is stricter hangs on the machine.
        (was, is) => {
            let (was, is) = (Value::Text(was.to_string()), Value::Text(is.to_string()));
            let words = "the goal is another one";
            return ledger.changed(at, was, is, RiskLevel::Medium, words);
        }
    };
    let (risk, words) = if stricter {
        (RiskLevel::Medium, "the goal is stricter")
    } else {
        (RiskLevel::Low, "the goal is looser")
    };
    let (was, is) = (amount(was.budget), amount(is.budget));
    ledger.changed(&at.key(key), was, is, risk, words);
}

fn amount(budget: Budget) -> Value {
    match budget {
        Budget::MinFree(amount) => Value::Text(amount.to_string()),
        Budget::MaxUsed(percent) => Value::Number(percent.get().into()),
        Budget::MaxStore(bytes) => Value::Text(bytes.to_string()),
    }
}

fn release_holds(was: DiskGoal, is: DiskGoal, job: &Job, at: &Pointer, ledger: &mut Ledger) {
    let said = |holds: ReleaseHolds| Value::Text(holds.to_string());
    let words = match is.release_holds {
        ReleaseHolds::Never => "undo windows are left to end",
        ReleaseHolds::IfNeeded => "undo windows may end early, for good",
    };
    let (was, now) = (said(was.release_holds), said(is.release_holds));
    ledger.changed(at, was, now, early(is, job), words);
}

fn operations(old: &Job, new: &Job, at: &Pointer, ledger: &mut Ledger) {
    let (was, is) = (&old.operations, &new.operations);
    let Operations {
        generations: _,
        roots: _,
        collect: _,
        optimise: _,
        verify: _,
    } = is;
    match (&was.generations, &is.generations) {
        (Some(was), Some(is)) => generations(was, is, new, &at.key("generations"), ledger),
        (was, is) => {
            let risk = is
                .as_ref()
                .map_or(RiskLevel::Low, |o| reach_of(&o.profiles, new));
            there(
                &at.key("generations"),
                was.is_some(),
                is.is_some(),
                risk,
                ledger,
            );
        }
    }
    let dangling = |o: &Operations| o.roots.is_some_and(|roots| roots.dangling);
    there(
        &at.key("roots").key("dangling"),
        dangling(was),
        dangling(is),
        RiskLevel::Low,
        ledger,
    );
    match (was.collect, is.collect) {
        (Some(was), Some(is)) => collect(was, is, &at.key("collect"), ledger),
        (was, is) => {
            let at = at.key("collect");
            there(&at, was.is_some(), is.is_some(), RiskLevel::Low, ledger);
        }
    }
    let optimise = at.key("optimise");
    there(&optimise, was.optimise, is.optimise, RiskLevel::Low, ledger);
    let verify = at.key("verify");
    match (was.verify, is.verify) {
        (Some(was), Some(is)) => {
            let at = verify.key("contents");
            there(&at, was.contents, is.contents, RiskLevel::Low, ledger);
        }
        (was, is) => there(&verify, was.is_some(), is.is_some(), RiskLevel::Low, ledger),
    }
}

/// An operation, or a part of one, that is there or not.
fn there(at: &Pointer, was: bool, is: bool, risk: RiskLevel, ledger: &mut Ledger) {
    let (risk, words) = match (was, is) {
        (false, true) => (risk, "the job does this as well"),
        (true, false) => (RiskLevel::Low, "the job does not do this any more"),
        _ => return,
    };
    ledger.changed(at, Value::Switch(was), Value::Switch(is), risk, words);
}

fn generations(
    was: &GenerationsOperation,
    is: &GenerationsOperation,
    job: &Job,
    at: &Pointer,
    ledger: &mut Ledger,
) {
    let profiles = at.key("profiles");
    for (index, selector) in is.profiles.iter().enumerate() {
        if !was.profiles.contains(selector) && is_first(&is.profiles, index) {
            let risk = reach_of(std::slice::from_ref(selector), job);
            let words = "the profiles are thinned out as well";
            ledger.added(&profiles.index(index), word(selector), risk, words);
        }
    }
    for (index, selector) in was.profiles.iter().enumerate() {
        if !is.profiles.contains(selector) && is_first(&was.profiles, index) {
            let words = "the profiles are not thinned out any more";
            let at = profiles.index(index);
            ledger.removed(&at, word(selector), RiskLevel::Low, words);
        }
    }
    keep(was.keep.rules(), is.keep.rules(), &at.key("keep"), ledger);
}

/// Whether what is at this place of a list is not in it before.
fn is_first(list: &[ProfileSelector], index: usize) -> bool {
    let this = list.get(index);
    list.iter().position(|other| Some(other) == this) == Some(index)
}

fn word(selector: &ProfileSelector) -> Value {
    Value::Text(match selector {
        ProfileSelector::System => "system".to_string(),
        ProfileSelector::Users => "users".to_string(),
        ProfileSelector::HomeManager => "home-manager".to_string(),
        ProfileSelector::NixCollectGarbage => "nix-collect-garbage".to_string(),
        ProfileSelector::Path(path) => path.to_string(),
    })
}

/// Compares keep rules, wherever they are written.
pub(super) fn keep(was: &KeepRules, is: &KeepRules, at: &Pointer, ledger: &mut Ledger) {
    let KeepRules {
        last,
        within,
        daily,
        weekly,
        monthly,
        yearly,
    } = *was;
    let words = "how many generations stay";
    let counts = [
        ("last", last, is.last),
        ("daily", daily, is.daily),
        ("weekly", weekly, is.weekly),
        ("monthly", monthly, is.monthly),
        ("yearly", yearly, is.yearly),
    ];
    for (rule, was, is) in counts {
        ledger.number(
            &at.key(rule),
            was.map(Into::into),
            is.map(Into::into),
            words,
        );
    }
    ledger.span(
        &at.key("within"),
        within,
        is.within,
        "how old a generation may be",
    );
}

fn collect(was: CollectOperation, is: CollectOperation, at: &Pointer, ledger: &mut Ledger) {
    let CollectOperation {
        method,
        keep_recent,
    } = was;
    if method != is.method {
        let said = |method: CollectMethod| Value::Text(method.to_string());
        let (was, now) = (said(method), said(is.method));
        let words = "what is dead is collected in another way";
        ledger.changed(&at.key("method"), was, now, RiskLevel::Low, words);
    }
    let words = "how young a dead path must be to stay";
    let at = at.key("keepRecent");
    match is.keep_recent {
        // Without it nothing is spared, as with none at all.
        None if keep_recent.is_some_and(|age| !age.is_zero()) => {
            let was = keep_recent.map(|age| Value::Text(age.to_string()));
            ledger.add(&at, was, None, RiskLevel::High, words);
        }
        now => ledger.span(&at, keep_recent, now, words),
    }
}
