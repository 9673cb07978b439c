//! A flag for each calendar rule.

use clap::{Arg, ArgGroup, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::job::KEEP_RULES;
use crate::domain::retention::{Calendar, PeriodCounts};

/// The counts that the flags give.
#[derive(Debug, Clone, Copy, Default)]
pub struct CalendarArgs(pub PeriodCounts);

fn name(rule: Calendar) -> String {
    format!("keep-{}", rule.as_str())
}

impl FromArgMatches for CalendarArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for rule in Calendar::ALL {
            let count = matches.get_one::<u16>(&name(rule)).copied();
            self.0 = self.0.with(rule, count.or(self.0.get(rule)));
        }
        Ok(())
    }
}

impl Args for CalendarArgs {
    fn augment_args(command: Command) -> Command {
        let arg = |rule: Calendar| {
            let periods = rule.periods();
            Arg::new(name(rule))
                .long(name(rule))
                .value_name("N")
                .help_heading(KEEP_RULES)
                .value_parser(value_parser!(u16))
                .help(format!(
                    "Keep the newest generation of each of the last N {periods} that have one"
                ))
        };
        let all = Calendar::ALL.map(name);
        let group = ArgGroup::new("CalendarArgs").multiple(true).args(all);
        command.args(Calendar::ALL.map(arg)).group(group)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
