//! Confirmation prompts.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::read;

use super::args::{ColorChoice, Consent};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::domain::plan::Plan;
use crate::domain::receipt::RunKind;
use crate::domain::risk::RiskLevel;
use crate::engine::{Approved, GateError, gate};
use crate::ports::Interrupt;
use crate::render;

/// Lets a plan through the gate, with a confirmation where one is needed. A refusal comes before `show` prints the plan.
///
/// What stops a run takes the yes of somebody who has read what it is: `--yes` was said before, and does not count. Critical actions take
/// the number of generations that are gone for good.
///
/// # Errors
/// When the plan is too risky, nobody can be asked, or the answer is no.
pub(super) fn approve(
    context: &Context,
    plan: &mut Plan,
    kind: &RunKind,
    consent: &Consent,
    most: RiskLevel,
    show: impl FnOnce(&Plan),
) -> Result<Approved, Failure> {
    let shown = plan.clone();
    let mut gone = None;
    let mut warnings = Vec::new();
    let mut approved = gate(plan, kind.clone());
    let may_confirm = can_ask() && !consent.yes && most == RiskLevel::Critical;
    if let Err(error) = &approved
        && error.is_about_critical()
        && may_confirm
        && plan.removed_for_good() > 0
    {
        gone = Some(plan.removed_for_good());
        plan.allow_critical();
        approved = gate(plan, kind.clone());
    }
    if let Err(GateError::Stopped { stops }) = &approved
        && can_ask()
    {
        warnings.extend(stops.iter().map(render::table::stop));
        plan.accept_stops();
        approved = gate(plan, kind.clone());
    }
    let approved = approved?;
    let asks = !warnings.is_empty() || !(consent.yes || plan.is_empty());
    if asks && !can_ask() {
        return Err(nobody_to_ask());
    }
    show(&shown);
    let question = render::table::question(plan, &context.view());
    match gone {
        Some(gone) => confirm_number(&warnings, &question, gone, &context.signals)?,
        None if asks => confirm(&warnings, &question, &context.signals)?,
        None => {}
    }
    Ok(approved)
}

/// Whether there is a person to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question after printing `warnings`. Without a terminal nobody can answer, and nothing is done.
///
/// # Errors
/// When nobody can be asked, the answer is no, or ^C came instead of one.
pub(super) fn confirm(
    warnings: &[String],
    question: &str,
    interrupt: &impl Interrupt,
) -> Result<(), Failure> {
    let is_yes = |answer: &str| matches!(answer.to_lowercase().as_str(), "y" | "yes");
    ask(warnings, &format!("{question} [y/N] "), is_yes, interrupt)
}

fn nobody_to_ask() -> Failure {
    let message = "nothing was done: there is no terminal to ask for confirmation";
    Failure::new(Exit::Refused, message).hint("Use --yes to skip the confirmation.")
}

fn confirm_number(
    warnings: &[String],
    question: &str,
    gone: usize,
    interrupt: &impl Interrupt,
) -> Result<(), Failure> {
    let question = format!("{question}\nType {gone} to go on: ");
    ask(
        warnings,
        &question,
        |answer| answer == gone.to_string(),
        interrupt,
    )
}

fn ask(
    warnings: &[String],
    question: &str,
    is_consent: impl Fn(&str) -> bool,
    interrupt: &impl Interrupt,
) -> Result<(), Failure> {
    let refused = |message: &str| Failure::new(Exit::Refused, message);
    if !can_ask() {
        return Err(nobody_to_ask());
    }
    let mut text = String::new();
    for line in warnings {
        text.push_str(line);
        text.push('\n');
    }
    let style = out::style(ColorChoice::Never);
    for line in question.lines() {
        text.push_str(&render::table::prose(line, style));
    }
    // The answer stands behind the question.
    text.truncate(text.trim_end().len());
    text.push(' ');
    // An answer that was typed before the question could be read answers another one.
    let _ = tcflush(io::stdin().as_fd(), FlushArg::TCIFLUSH);
    let mut terminal = io::stderr();
    let asked = terminal
        .write_all(text.as_bytes())
        .and_then(|()| terminal.flush());
    match asked.and_then(|()| read_line(interrupt)) {
        Ok(Some(line)) if is_consent(line.trim()) => Ok(()),
        Ok(Some(_)) => Err(refused("aborted; nothing was changed")),
        Ok(None) => {
            let _ = writeln!(terminal);
            Err(refused("interrupted; nothing was changed"))
        }
        Err(error) => Err(refused(&format!(
            "nothing was done: cannot read the answer: {error}"
        ))),
    }
}

/// A line from the terminal; `None` when a signal or the end of input came first.
///
/// Read behind `poll` and without the library's buffer, whose reading starts again after a signal.
fn read_line(interrupt: &impl Interrupt) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    let mut line = Vec::new();
    loop {
        let mut wanted = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::from(200u8)) {
            Ok(_) | Err(Errno::EINTR) if interrupt.requested() => return Ok(None),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut some = [0u8; 256];
        match read(stdin.as_fd(), &mut some) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(count) => line.extend(some.iter().take(count)),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if line.contains(&b'\n') {
            break;
        }
        if line.len() > 1000 {
            break;
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}
