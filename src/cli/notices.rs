//! Notices: tells somebody what a run changed, once; and `notify`, which tries that.

use std::collections::BTreeSet;
use std::time::Duration;

use super::args::NotifyArgs;
use super::ask;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::adapters::clock;
use crate::adapters::notifier::{DeliveryError, Notifier};
use crate::domain::blocker::CheckCode;
use crate::domain::budget::{Quantity, SizeMetric};
use crate::domain::growth::FullForecast;
use crate::domain::job::JobName;
use crate::domain::limits::FAILURES_BEFORE_PAUSE;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::notice::{JobState, NoticeEvent, NoticeSettings, Trouble};
use crate::domain::receipt::{Receipt, RunKind};
use crate::domain::snapshot::Actor;
use crate::engine::failed_in_a_row;
use crate::ports::{Clock, Interrupt, RunJournal, error_chain};
use crate::render::json::{MissingDocument, NoticeCheckDocument, NoticeDocument, notice, to_text};
use crate::render::text::escape;

/// How a run ended, or why it did not begin.
struct Ended<'a> {
    job: &'a JobName,
    exit: Exit,
    receipt: Option<&'a Receipt>,
    failure: Option<&'a Failure>,
}

/// Tells of a run that has a record.
pub(super) fn run_ended(context: &Context, receipt: &Receipt, exit: Exit) {
    // A run that somebody stopped says nothing about the job, and neither does space that somebody asked for.
    let (RunKind::Run, false, Some(job)) = (&receipt.kind, receipt.stopped, &receipt.job) else {
        return;
    };
    tell(
        context,
        &Ended {
            job,
            exit,
            receipt: Some(receipt),
            failure: None,
        },
    );
}

/// Tells of a run that did not begin or has no end.
pub(super) fn run_failed(context: &Context, job: &JobName, failure: &Failure) {
    if matches!(failure.exit, Exit::TryAgain | Exit::Stopped | Exit::Usage) {
        return;
    }
    tell(
        context,
        &Ended {
            job,
            exit: failure.exit,
            receipt: None,
            failure: Some(failure),
        },
    );
}

/// Nothing in here fails a run.
fn tell(context: &Context, ended: &Ended<'_>) {
    let Ok(settings) = context.settings() else {
        return;
    };
    let Some(settings) = settings.notices().filter(|settings| !settings.is_silent()) else {
        return;
    };
    if context.signals.requested() {
        return;
    }
    let told = context.journal.told(ended.job).unwrap_or_else(|error| {
        tracing::warn!("a notice may be repeated: {}", error_chain(&error));
        JobState::default()
    });
    let forecast = context.forecast();
    let mut state = state(context, settings, ended, &told, forecast);
    if ask::can_ask() {
        state = state.still_wrong(&told);
    }
    if let Some(event) = state.news_since(&told) {
        let document = document(context, event, ended, &state, forecast);
        let delivered = deliver(context, settings, &document);
        let is_told = delivered.iter().any(Result::is_ok);
        for error in delivered.into_iter().filter_map(Result::err) {
            tracing::warn!("a notice was not delivered: {}", error_chain(&error));
        }
        if !is_told {
            return;
        }
    }
    if state != told
        && let Err(error) = context.journal.record_told(ended.job, state)
    {
        tracing::warn!("the next run repeats the notice: {}", error_chain(&error));
    }
}

/// What is wrong with the job after a run.
fn state(
    context: &Context,
    settings: &NoticeSettings,
    ended: &Ended<'_>,
    told: &JobState,
    forecast: FullForecast,
) -> JobState {
    let mut troubles = BTreeSet::new();
    let mut checks: BTreeSet<CheckCode> = BTreeSet::new();
    checks.extend(ended.failure.and_then(|failure| failure.check));
    // Of a run that did all that was asked for, nothing that was left out matters.
    let failed = ended.receipt.filter(|_| ended.exit != Exit::Done);
    checks.extend(
        failed
            .iter()
            .flat_map(|it| &it.failed_checks)
            .map(|it| it.code),
    );
    let is_paused = checks.remove(&CheckCode::JobPaused) || is_paused(context, ended.job);
    let by_checks = !checks.is_empty() || is_paused;
    let is_failed = match ended.exit {
        Exit::Done | Exit::OverBudget => false,
        Exit::Refused => !by_checks,
        _ => true,
    };
    let misses_goal = ended.receipt.is_some_and(Receipt::misses_goal);
    let was_told = told.troubles.contains(&Trouble::FullSoon);
    let is_full_soon = match forecast {
        FullForecast::Within {
            likely_days: Some(days),
            ..
        } => settings.is_full_soon(days, was_told),
        _ => false,
    };
    let all = [
        (Trouble::JobPaused, is_paused),
        (Trouble::RunFailed, is_failed),
        (Trouble::CheckFailed, !checks.is_empty()),
        (Trouble::GoalMissed, misses_goal),
        (Trouble::FullSoon, is_full_soon),
    ];
    troubles.extend(
        all.into_iter()
            .filter_map(|(it, is_wrong)| is_wrong.then_some(it)),
    );
    JobState { troubles, checks }
}

fn is_paused(context: &Context, job: &JobName) -> bool {
    let records = context.journal.receipts().unwrap_or_default();
    let of_the_job = records
        .iter()
        .rev()
        .filter(|it| it.job.as_ref() == Some(job));
    failed_in_a_row(&context.journal, of_the_job) >= FAILURES_BEFORE_PAUSE
}

fn document(
    context: &Context,
    event: NoticeEvent,
    ended: &Ended<'_>,
    state: &JobState,
    forecast: FullForecast,
) -> NoticeDocument {
    let missing = ended.receipt.and_then(missing);
    let failed = ended.receipt.filter(|_| ended.exit != Exit::Done);
    let refused = ended.failure.and_then(|failure| {
        Some(NoticeCheckDocument {
            code: failure.check?,
            message: failure.message.clone(),
            hint: failure.hint.clone().unwrap_or_default(),
        })
    });
    let left_out = failed.iter().flat_map(|it| &it.failed_checks);
    let checks = refused
        .into_iter()
        .chain(left_out.map(NoticeCheckDocument::of));
    let detail = ended.failure.map(|failure| {
        let hint = failure.hint.iter().flat_map(|hint| ["\n", hint]);
        let rest: String = hint.collect();
        format!("{}.{rest}", failure.message)
    });
    notice(NoticeDocument {
        event,
        job: Some(ended.job.clone()),
        run: ended.receipt.map(|receipt| receipt.run.clone()),
        result: ended.exit.name().to_string(),
        exit: ended.exit.into(),
        message: message(event, Some(ended.job)),
        detail,
        commands: commands(event, ended.job, missing),
        standing: state.troubles.iter().copied().collect(),
        checks: checks.collect(),
        bytes: ended.receipt.map(|receipt| receipt.bytes),
        missing,
        forecast: Some(forecast),
        ..test_document(context.clock.now())
    })
}

fn test_document(time: Timestamp) -> NoticeDocument {
    NoticeDocument {
        schema: "nix-prune/notice/1",
        event: NoticeEvent::Test,
        host: clock::host_name(),
        job: None,
        run: None,
        time,
        result: Exit::Done.name().to_string(),
        exit: Exit::Done.into(),
        message: message(NoticeEvent::Test, None),
        detail: None,
        commands: Vec::new(),
        standing: Vec::new(),
        checks: Vec::new(),
        bytes: None,
        missing: None,
        forecast: None,
    }
}

/// What is missing for the budget, or else for the boot menu.
fn missing(receipt: &Receipt) -> Option<MissingDocument> {
    let budget = receipt.budget.as_ref().and_then(|budget| {
        let amount = budget.missing.filter(|missing| missing.0 > 0)?;
        let metric = budget.planned.metric;
        Some(MissingDocument { metric, amount })
    });
    budget.or_else(|| {
        let missing = receipt.boot_menu.as_ref()?.missing()?;
        Some(MissingDocument {
            metric: SizeMetric::OnDisk,
            amount: Quantity(missing.0),
        })
    })
}

fn message(event: NoticeEvent, job: Option<&JobName>) -> String {
    let job = job.map_or(String::new(), |job| format!("job {job}"));
    match event {
        NoticeEvent::JobPaused => {
            format!("{job} is paused: its last {FAILURES_BEFORE_PAUSE} runs failed")
        }
        NoticeEvent::RunFailed => format!("{job} failed, or a part of it"),
        NoticeEvent::CheckFailed => format!("a safety check stopped {job}, or a part of it"),
        NoticeEvent::GoalMissed => format!("{job} did not reach its goal"),
        NoticeEvent::FullSoon => "the file system of the store will be full soon".to_string(),
        NoticeEvent::Resolved => format!("{job} is in order again"),
        NoticeEvent::Test => "this is a test".to_string(),
    }
}

fn commands(event: NoticeEvent, job: &JobName, missing: Option<MissingDocument>) -> Vec<String> {
    let plan = format!("nix-prune plan {job}");
    let in_bytes = missing.filter(|it| it.metric != SizeMetric::Inodes);
    let size = in_bytes.map_or("10%".to_string(), |it| {
        format!("{}M", it.amount.0.div_ceil(1 << 20))
    });
    let free = match missing {
        Some(it) if it.metric == SizeMetric::Inodes => {
            format!("nix-prune free {} --inodes", it.amount.0)
        }
        _ => format!("nix-prune free {size}"),
    };
    match event {
        NoticeEvent::JobPaused => vec![
            "nix-prune history".to_string(),
            "nix-prune doctor --acknowledge".to_string(),
        ],
        NoticeEvent::RunFailed => vec![
            "nix-prune history last".to_string(),
            "nix-prune doctor".to_string(),
        ],
        NoticeEvent::CheckFailed => vec![plan, "nix-prune doctor".to_string()],
        NoticeEvent::GoalMissed | NoticeEvent::FullSoon => vec![plan, free],
        NoticeEvent::Resolved | NoticeEvent::Test => Vec::new(),
    }
}

/// Delivers a notice in every way that is set.
fn deliver(
    context: &Context,
    settings: &NoticeSettings,
    document: &NoticeDocument,
) -> Vec<Result<(), DeliveryError>> {
    let notifier = Notifier {
        child_env: &context.child_env,
        interrupt: &context.signals,
        is_root: context.actor == Actor::Root,
    };
    let mut delivered = Vec::new();
    if let Some(hook) = &settings.command {
        let text = to_text(document).unwrap_or_default();
        let timeout = Duration::from_secs(settings.timeout.as_seconds());
        delivered.push(notifier.run(hook, text.into_bytes(), timeout));
    }
    if settings.desktop {
        let is_urgent = !matches!(document.event, NoticeEvent::Resolved | NoticeEvent::Test);
        let headline = format!("nix-prune: {}", document.message);
        let text = desktop_text(document);
        delivered.push(notifier.show(&escape(&headline), &text, is_urgent));
    }
    delivered
}

/// The text below the headline: what is missing, the first line of the details, and the commands.
fn desktop_text(document: &NoticeDocument) -> String {
    let missing = document.missing.map(|it| match it.metric {
        SizeMetric::Inodes => format!("{} inodes are missing.", it.amount.0),
        _ => format!("{} are missing.", Bytes(it.amount.0)),
    });
    let detail = document.detail.as_deref();
    let detail = detail.and_then(|it| it.lines().next()).map(escape);
    let check = document.checks.first().map(|it| escape(&it.message));
    let lines = missing.into_iter().chain(detail).chain(check);
    let lines = lines.chain(document.commands.iter().cloned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Sends a test notice.
pub(super) fn notify(context: &Context, args: &NotifyArgs) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let Some(notices) = settings.notices().filter(|it| !it.is_silent()) else {
        let message =
            "no notice was sent: the settings have neither `notify.command` nor `notify.desktop`";
        return Err(Failure::new(Exit::Failed, message)
            .hint("Set one of them; docs/guide/notices.md has examples."));
    };
    let document = test_document(context.clock.now());
    for delivered in deliver(context, notices, &document) {
        delivered
            .map_err(|error| Failure::new(Exit::Failed, error_chain(&error)).hint(error.hint()))?;
    }
    if args.json.json {
        out::json(&document)?;
        return Ok(Exit::Done);
    }
    let mut lines = Vec::new();
    if let Some(hook) = &notices.command {
        lines.push(format!(
            "{} took a test notice.",
            escape(hook.program.as_str())
        ));
    }
    if notices.desktop {
        lines.push("The desktop took a test notice.".to_string());
    }
    if let Some(within) = notices.full_within {
        lines.push(format!(
            "A notice is sent as well if the file system of the store will be full within {within}."
        ));
    }
    out::text(&lines.join("\n"));
    Ok(Exit::Done)
}
