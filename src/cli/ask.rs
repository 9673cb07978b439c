//! Confirmation prompts.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::domain::plan::Plan;
use crate::domain::receipt::RunKind;
use crate::engine::{Approved, GateError, gate};
use crate::ports::Interrupt;
use crate::render;

/// Lets a plan through the gate, with a yes where one is needed.
///
/// What stops a run takes the yes of somebody who has read what it is: `--yes` was said before, and does not count.
///
/// # Errors
/// When the plan is too risky, nobody can be asked, or the answer is no.
pub(super) fn approve(
    context: &Context,
    plan: &mut Plan,
    kind: &RunKind,
    yes: bool,
) -> Result<Approved, Failure> {
    let propose = |plan: &Plan| gate(plan, kind.clone());
    let consequences = render::table::consequences(plan, &context.view());
    match propose(plan) {
        Err(GateError::Stopped { stops }) if can_ask() => {
            let mut text: Vec<String> = stops
                .iter()
                .map(|stop| format!("{}: {}.", stop.code, render::text::escape(&stop.message)))
                .collect();
            text.extend(consequences);
            confirm(&text, &context.signals)?;
            plan.accept_stops();
            Ok(propose(plan)?)
        }
        Ok(_) if !yes && !plan.is_empty() => {
            confirm(&consequences, &context.signals)?;
            Ok(propose(plan)?)
        }
        decided => Ok(decided?),
    }
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks whether to go on, after saying `consequences`. Without a terminal nobody can answer, and nothing is done.
///
/// # Errors
/// When nobody can be asked, the answer is no, or ^C came instead of one.
pub(super) fn confirm(consequences: &[String], interrupt: &impl Interrupt) -> Result<(), Failure> {
    let mut terminal = io::stderr();
    if !can_ask() {
        return Err(Failure::new(
            Exit::Refused,
            "nothing was done: there is no terminal to ask for confirmation",
        )
        .hint("Use --yes to skip the confirmation."));
    }
    let mut text = String::new();
    for line in consequences {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("Continue? [y/N] ");
    let asked = terminal
        .write_all(text.as_bytes())
        .and_then(|()| terminal.flush());
    let answer = asked.and_then(|()| read_line(interrupt));
    match answer {
        Ok(Some(line)) if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") => Ok(()),
        Ok(Some(_)) => Err(Failure::new(Exit::Refused, "aborted; nothing was changed")),
        Ok(None) => {
            let _ = writeln!(terminal);
            Err(Failure::new(
                Exit::Refused,
                "interrupted; nothing was changed",
            ))
        }
        Err(error) => Err(Failure::new(
            Exit::Refused,
            format!("nothing was done: cannot read the answer: {error}"),
        )),
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
