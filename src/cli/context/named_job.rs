//! The job that is named, or meant where none is.

use crate::cli::failure::{Exit, Failure};
use crate::domain::job::Job;
use crate::ports::error_chain;
use crate::settings::{JobSettings, NoJob, Settings};

/// A job of the settings; without a name the only enabled one of the highest file, or the one called `default`.
pub(in crate::cli) fn named_job(settings: &Settings, name: Option<&str>) -> Result<Job, Failure> {
    let names = || {
        let names: Vec<String> = settings.jobs().map(name_and_purpose).collect();
        format!("Jobs in the settings: {}.", names.join(", "))
    };
    if let Some(name) = name {
        return settings.job(name).cloned().map_err(|error| {
            let exit = match error {
                NoJob::Disabled { .. } => Exit::Refused,
                NoJob::Unknown { .. } => Exit::Usage,
            };
            let meant = match &error {
                NoJob::Unknown { nearest, .. } => nearest.as_ref(),
                NoJob::Disabled { .. } => None,
            };
            let meant = meant.map_or(String::new(), |job| format!("Did you mean {job}? "));
            Failure::new(exit, error_chain(&error)).hint(meant + &names())
        });
    }
    let on_top = |job: &&JobSettings| job.is_enabled() && job.is_in_highest_file();
    let mut enabled = settings.jobs().filter(on_top);
    if let (Some(only), None) = (enabled.next(), enabled.next()) {
        return Ok(only.job().clone());
    }
    settings.job("default").cloned().map_err(|_| {
        Failure::new(
            Exit::Usage,
            "the settings have several jobs, and none called `default`",
        )
        .hint(names())
    })
}

fn name_and_purpose(job: &JobSettings) -> String {
    let name = &job.job().name;
    match job.description() {
        Some(description) => format!("{name} ({description})"),
        None => name.to_string(),
    }
}
