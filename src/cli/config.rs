//! `config`: the settings commands.

mod check;
mod diff;
pub(super) mod findings;
mod import;
mod init;
mod migrate;
mod show;

use super::args::{ConfigArgs, ConfigCommand};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::settings;

/// Runs the subcommand.
pub(super) fn config(context: &Context, args: &ConfigArgs) -> Result<Exit, Failure> {
    match &args.command {
        ConfigCommand::Check(args) => check::check(context, args),
        ConfigCommand::Diff(args) => diff::diff(args),
        ConfigCommand::Import(args) => import::import(context, args),
        ConfigCommand::Init(args) => init::init(context, args),
        ConfigCommand::Migrate(args) => migrate::migrate(context, args),
        ConfigCommand::Show(args) => show::show(context, args),
        ConfigCommand::Schema => {
            out::json(&settings::schema())?;
            Ok(Exit::Done)
        }
    }
}
