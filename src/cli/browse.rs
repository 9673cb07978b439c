//! `browse`: the store on a full screen, where a person marks what to remove.

mod everything;

use std::io::{self, IsTerminal};

use nix::sys::signal::{Signal, raise};

use super::args::{BrowseArgs, Consent, JobArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{ask, hold, inspect, out, pin, run};
use crate::adapters::terminal::{self, Event};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Span, count};
use crate::domain::plan::{HoldFacts, Plan};
use crate::domain::receipt::{Outcome, RunKind};
use crate::domain::snapshot::Pin;
use crate::engine::{DeadPaths, Exact, Exploration};
use crate::ports::Interrupt;
use crate::render::browse::{Effect, Input, Key, Model, Scene, Screen, Way, Wheel, draw};

/// Shows the store, and carries out what was marked where that was asked for.
pub(super) fn browse(context: &Context, args: &BrowseArgs) -> Result<Exit, Failure> {
    check_terminal()?;
    let jobs = Jobs::new(context, args)?;
    let mut model = Model::new(jobs.scene(context)?, context.view(), screen(None));
    if show(context, &jobs, &mut model)? == Left::WithNothing {
        return Ok(Exit::Done);
    }
    // Settings, links and generations may have changed since the screen was opened.
    let context = &context.with_settings_of_now();
    let jobs = Jobs::new(context, args)?;
    let marks = model.count_of_marks();
    model.reload(jobs.scene(context)?, String::new());
    let dropped = marks.saturating_sub(model.count_of_marks());
    if dropped > 0 {
        let items = count(dropped, "marked item");
        out::eprint_lines(&[format!(
            "Left out: {items} that changed meanwhile, or may not be removed any more."
        )]);
    }
    let job = jobs.of(&model);
    let plan = marked(&model);
    let consent = Consent {
        yes: false,
        ask: true,
        max_risk: args.max_risk,
    };
    run::execute(
        context,
        &RunKind::Run,
        job,
        &consent,
        false,
        None,
        |context, job| inspect::renew(context, job, plan, Exact::IfCheap),
    )
}

/// Refuses what is no terminal, or one that cannot move its cursor.
fn check_terminal() -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "what the terminal can show")]
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let message = if !io::stdin().is_terminal() || !io::stdout().is_terminal() || !ask::can_ask() {
        "browse needs a terminal"
    } else if is_dumb {
        "browse needs a terminal that can move its cursor, and TERM says that this one cannot"
    } else {
        return Ok(());
    };
    let hint = "Use `nix-prune status`, `nix-prune du` or `nix-prune plan --json` instead.";
    Err(Failure::new(Exit::Usage, message).hint(hint))
}

/// The jobs that remove everything that may be removed.
struct Jobs {
    /// With the undo window of the settings.
    usual: EffectiveJob,
    /// Without one, where that is another job and the policy allows it.
    at_once: Option<EffectiveJob>,
}

impl Jobs {
    fn new(context: &Context, args: &BrowseArgs) -> Result<Self, Failure> {
        let job = |undo_window: Option<Span>| {
            let overrides = JobArgs {
                job: args.job.clone(),
                undo_window,
                accepts: args.accepts.clone(),
                ..JobArgs::default()
            };
            context.job_with(&overrides, args.max_risk, everything::select)
        };
        let (usual, at_once) = (job(args.undo_window)?, job(Some(Span::ZERO))?);
        let is_other = at_once.undo_window.is_zero() && !usual.undo_window.is_zero();
        Ok(Self {
            at_once: is_other.then_some(at_once),
            usual,
        })
    }

    /// The job whose plan the marks are a part of.
    fn of(&self, model: &Model) -> &EffectiveJob {
        match &self.at_once {
            Some(job) if !model.has_usual_window() => job,
            _ => &self.usual,
        }
    }

    /// Reads the store.
    fn scene(&self, context: &Context) -> Result<Scene, Failure> {
        // The limits of a run are about what is marked.
        let unlimited = everything::unlimited(&self.usual);
        let exploration = inspect::explore(context, &unlimited)?;
        let what_if = exploration.what_if(&unlimited);
        let at_once = self.at_once.as_ref().map(|job| {
            let plan = exploration.replan(&everything::unlimited(job));
            way(plan, job)
        });
        let Exploration {
            snapshot,
            store,
            plan,
        } = exploration;
        let usual = way(plan, &self.usual);
        Ok(Scene::new(snapshot, store, usual, at_once, what_if))
    }
}

fn way(plan: Plan, job: &EffectiveJob) -> Way {
    Way {
        window: job.undo_window,
        fates: plan.fates(),
        plan,
    }
}

/// The plan of what is marked.
fn marked(model: &Model) -> Plan {
    let mut plan = model.plan().clone();
    let dead_paths = if model.are_dead_paths_marked() {
        DeadPaths::Delete
    } else {
        DeadPaths::Keep
    };
    let snapshot = &model.scene().snapshot;
    plan.restrict_to_marked(snapshot, dead_paths, |item| model.is_marked(item));
    plan
}

fn screen(size: Option<(u16, u16)>) -> Screen {
    let (columns, lines) = size.unwrap_or((80, 24));
    Screen {
        columns,
        lines,
        is_utf8: out::is_utf8(),
    }
}

/// How the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nothing is to be done.
    WithNothing,
    /// What is marked is to be carried out.
    ToApply,
}

/// Shows the screen until it is left.
fn show(context: &Context, jobs: &Jobs, model: &mut Model) -> Result<Left, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Exit::Failed, format!("cannot use the terminal: {error}"))
            .hint("Nothing was changed.")
    };
    let mut taken = Some(terminal::Screen::take().map_err(failed)?);
    loop {
        let effect = match &mut taken {
            Some(screen) => next_effect(context, screen, model).map_err(failed)?,
            None => Effect::Leave,
        };
        match effect {
            Effect::Draw => {}
            Effect::Redraw => {
                if let Some(screen) = &mut taken {
                    screen.clear().map_err(failed)?;
                }
            }
            Effect::Leave => return Ok(Left::WithNothing),
            Effect::Apply => return Ok(Left::ToApply),
            effect => {
                // What is printed meanwhile belongs on the usual screen.
                drop(taken.take());
                act(context, jobs, model, effect)?;
                taken = Some(terminal::Screen::take().map_err(failed)?);
            }
        }
    }
}

/// Draws, and waits for an input that means more than another drawing.
fn next_effect(
    context: &Context,
    taken: &mut terminal::Screen,
    model: &mut Model,
) -> io::Result<Effect> {
    model.resize(screen(Some(taken.size()?)));
    taken.draw(|frame| draw(model, frame))?;
    let size = taken.size()?;
    loop {
        let Some(events) = taken.read(&context.signals)? else {
            return Ok(Effect::Leave);
        };
        if context.signals.requested() {
            return Ok(Effect::Leave);
        }
        let is_quiet = events.is_empty();
        for event in events {
            let effect = match input(event) {
                Some(input) => model.update(input),
                None => Effect::Draw,
            };
            if effect != Effect::Draw {
                return Ok(effect);
            }
        }
        if !is_quiet || taken.size()? != size {
            return Ok(Effect::Draw);
        }
    }
}

fn input(event: Event) -> Option<Input> {
    Some(match event {
        Event::Click(column, line) => Input::Click(column, line),
        Event::DoubleClick(column, line) => Input::DoubleClick(column, line),
        Event::WheelUp => Input::Wheel(Wheel::Up),
        Event::WheelDown => Input::Wheel(Wheel::Down),
        Event::Key(key) => Input::Key(meaning(key)?),
    })
}

fn meaning(key: terminal::Key) -> Option<Key> {
    use terminal::Key as Typed;
    Some(match key {
        Typed::Char(c) => Key::Char(c),
        Typed::Enter => Key::Enter,
        Typed::Esc => Key::Esc,
        Typed::Tab => Key::Tab,
        Typed::BackTab => Key::BackTab,
        Typed::Up => Key::Up,
        Typed::Down => Key::Down,
        Typed::Left => Key::Left,
        Typed::Right => Key::Right,
        Typed::PageUp => Key::PageUp,
        Typed::PageDown => Key::PageDown,
        Typed::Home => Key::Home,
        Typed::End => Key::End,
        Typed::Backspace | Typed::Delete => Key::Backspace,
        Typed::Ctrl('c' | 'd') => Key::Interrupt,
        Typed::Ctrl('z') => Key::Suspend,
        Typed::Ctrl('l') => Key::Redraw,
        Typed::Ctrl(_) => return None,
    })
}

/// Does what is done at once, and reads the store anew. What fails is shown, and nothing else changes.
fn act(context: &Context, jobs: &Jobs, model: &mut Model, effect: Effect) -> Result<(), Failure> {
    let done = match effect {
        Effect::Suspend => {
            // The shell continues it with SIGCONT.
            let _ = raise(Signal::SIGTSTP);
            return Ok(());
        }
        Effect::Pin(profile, number, reason) => {
            let until = None;
            let pin = Pin {
                profile,
                number,
                reason,
                until,
            };
            let words = ("Pinned", "is pinned already");
            change_pin(context, model, &pin, pin::add, words)
        }
        Effect::Unpin(profile, number) => {
            let (reason, until) = (None, None);
            let pin = Pin {
                profile,
                number,
                reason,
                until,
            };
            let words = (
                "Unpinned",
                "has no pin that can be removed here: see `nix-prune pin list`",
            );
            change_pin(context, model, &pin, pin::remove, words)
        }
        Effect::Release(facts) => release(context, facts),
        Effect::Draw | Effect::Redraw | Effect::Leave | Effect::Apply => return Ok(()),
    };
    match done {
        Ok(notice) => model.reload(jobs.scene(context)?, notice),
        Err(failure) => {
            let hint = failure
                .hint
                .map_or(String::new(), |hint| format!(" {hint}"));
            model.say(format!("{}.{hint}", failure.message));
        }
    }
    Ok(())
}

fn change_pin(
    context: &Context,
    model: &Model,
    pin: &Pin,
    change: impl FnOnce(&Context, &Pin) -> Result<bool, Failure>,
    (done, unchanged): (&str, &str),
) -> Result<String, Failure> {
    let mut profiles = model.plan().profiles.iter();
    if let Some(planned) = profiles.find(|planned| planned.profile == pin.profile) {
        pin::check_owner(context, &pin.profile, &planned.owner)?;
    }
    let what = format!("{}:{}", pin.profile.short(), pin.number);
    Ok(if change(context, pin)? {
        let reason = pin.reason.as_ref();
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        format!("{done} {what}{reason}.")
    } else {
        format!("{what} {unchanged}.")
    })
}

fn release(context: &Context, facts: HoldFacts) -> Result<String, Failure> {
    let nix = context.nix()?;
    let held = facts.held.to_string();
    let receipt = hold::release_now(context, nix, vec![facts])?;
    Ok(if receipt.count(Outcome::Done) > 0 {
        format!("Released the hold on {held}. Its space is free after the next collection.")
    } else {
        format!("The hold on {held} was not released: `nix-prune history last` says why.")
    })
}
