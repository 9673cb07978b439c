//! Everything that a command needs: directories, settings, adapters.

use std::sync::{Arc, OnceLock};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use nix::unistd::Uid;

mod named_job;
mod observer;
mod settings_text;
mod state_dir;

pub(super) use named_job::named_job;
use settings_text::unreadable;
pub(super) use settings_text::{SettingsText, invalid, read_resolved};
use state_dir::{state_dir, state_dir_at_home, usual_state_dir};

use super::args::{Global, JobArgs};
use super::environment;
use super::failure::{Exit, Failure};
use super::out;
use crate::adapters::clock::{self, SystemClock};
use crate::adapters::files::{self, trust};
use crate::adapters::journal::Journal;
use crate::adapters::nix_cli::NixCli;
use crate::adapters::nix_dirs::{NixDirs, variable};
use crate::adapters::open_files;
use crate::adapters::process::ChildEnv;
use crate::adapters::progress_counter::ProgressCounter;
use crate::adapters::scratch::Scratch;
use crate::adapters::signals::Signals;
use crate::adapters::store::StoreCache;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::{GenerationsOperation, Job, ProfileSelector};
use crate::domain::measure::Span;
use crate::domain::retention::{KeepPolicy, KeepRules};
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::Actor;
use crate::engine::Engine;
use crate::ports::{Clock, JournalError, Survey};
use crate::render::table::View;
use crate::settings::Settings;

/// The variable for the state directory; the option takes precedence.
const STATE_DIR: &str = "NIX_PRUNE_STATE_DIR";

/// The largest settings file that is read.
pub(super) const SETTINGS_LIMIT: u64 = 4 << 20;

/// The environment of a command.
pub(super) struct Context {
    /// The global options.
    pub(super) global: Global,
    /// Directories and files.
    pub(super) places: NixDirs,
    /// The user.
    pub(super) actor: Actor,
    /// The records.
    pub(super) journal: Journal,
    /// The machine's clock.
    pub(super) clock: SystemClock,
    /// The machine's zone.
    pub(super) zone: TimeZone,
    /// Requests to stop.
    pub(super) signals: Signals,
    /// The environment; Nix's commands get a part of it.
    pub(super) child_env: ChildEnv,
    /// The settings, once they were read.
    pub(super) known_settings: OnceLock<Settings>,
    /// Whether only the settings that are named are used.
    pub(super) ignore_default_files: bool,
    /// How long to wait for another run or collection, if requested.
    pub(super) wait: Option<Span>,
    /// The progress of long work.
    pub(super) counter: Arc<ProgressCounter>,
    /// What was read last of the store.
    pub(super) cache: Arc<StoreCache>,
    /// Nix's commands, once they were found.
    known_nix: OnceLock<NixCli>,
}

impl Context {
    /// The same, with the settings as they are now.
    pub(super) fn with_settings_of_now(&self) -> Self {
        Self {
            known_settings: OnceLock::new(),
            global: self.global.clone(),
            places: self.places.clone(),
            journal: self.journal.clone(),
            zone: self.zone.clone(),
            signals: self.signals.clone(),
            child_env: self.child_env.clone(),
            counter: Arc::clone(&self.counter),
            cache: Arc::clone(&self.cache),
            known_nix: OnceLock::new(),
            ..*self
        }
    }

    /// Reads the environment; creates nothing.
    ///
    /// # Errors
    /// When the environment names invalid places.
    pub(super) fn new(global: Global) -> Result<Self, Failure> {
        open_files::ensure().map_err(|error| {
            Failure::new(Exit::Failed, format!("nothing was done: {error}"))
                .hint("Raise it with `ulimit -n`, or with LimitNOFILE= in a unit.")
        })?;
        #[expect(
            clippy::disallowed_methods,
            reason = "variables with a misspelt name are refused"
        )]
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        environment::check(names)?;
        let places = NixDirs::from_env()?;
        let actor = actor();
        let usual = usual_state_dir(actor, &places)?;
        let state_dir = state_dir(&global, usual.clone())?;
        let usual = usual.into_iter().chain(variable(STATE_DIR)?);
        let usual = usual.chain(state_dir_at_home(actor, &places));
        let signals = Signals::catch().map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot catch signals: {error}"))
        })?;
        Ok(Self {
            global,
            places,
            actor,
            journal: Journal::at(state_dir).with_usual_directories(usual.collect()),
            clock: SystemClock,
            zone: clock::zone(),
            signals,
            child_env: ChildEnv::of_this_process(),
            known_settings: OnceLock::new(),
            ignore_default_files: false,
            wait: None,
            counter: Arc::default(),
            cache: Arc::default(),
            known_nix: OnceLock::new(),
        })
    }

    /// The same for a scratch store, without any connection to the machine's.
    ///
    /// # Errors
    /// When signals cannot be caught.
    pub(super) fn scratch(mut global: Global, scratch: &Scratch) -> Result<Self, Failure> {
        let base = scratch.base();
        global.nix_bin = scratch.bin().map(Utf8Path::to_path_buf);
        global.config = Some(base.join("settings.json"));
        Ok(Self {
            global,
            places: scratch.places(),
            actor: actor(),
            journal: Journal::at(base.join("nix-prune")),
            clock: SystemClock,
            zone: clock::zone(),
            signals: Signals::catch().map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot catch signals: {error}"))
            })?,
            child_env: scratch.child_env().clone(),
            known_settings: OnceLock::new(),
            ignore_default_files: true,
            wait: None,
            counter: Arc::default(),
            cache: Arc::default(),
            known_nix: OnceLock::new(),
        })
    }

    /// The built-in settings.
    ///
    /// # Errors
    /// Never, as a test of the settings shows.
    pub(super) fn builtin() -> Result<Settings, Failure> {
        Settings::builtin().map_err(|findings| invalid(&SettingsText::builtin(), &findings))
    }

    /// The text of a settings file in use.
    ///
    /// # Errors
    /// When it cannot be read or, as root, could have been written by another user.
    pub(super) fn settings_at(&self, path: Utf8PathBuf) -> Result<SettingsText, Failure> {
        let text = self.read_settings(&path)?;
        Ok(SettingsText {
            name: path.into_string(),
            text,
        })
    }

    /// Reads the file, with links resolved; as root only a file that nobody else can have written.
    fn read_settings(&self, path: &Utf8Path) -> Result<String, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| unreadable(path, error);
        let absolute = std::path::absolute(path).map_err(|error| failed(&error))?;
        let absolute = Utf8PathBuf::try_from(absolute).map_err(|error| failed(&error))?;
        if self.actor != Actor::Root {
            return read_resolved(&absolute);
        }
        let untrusted = |error: &JournalError| match error {
            JournalError::Untrusted { .. } => {
                failed(error).hint("Make root its owner, and let no other user write to it.")
            }
            _ => failed(error),
        };
        let file = trust::open(&absolute, 0).map_err(|error| untrusted(&error))?;
        files::read_text(file, SETTINGS_LIMIT).map_err(|error| failed(&error))
    }

    /// The job that the arguments name, with their changes.
    ///
    /// # Errors
    /// When there is no such job, or the changes are not a valid policy.
    pub(super) fn job(
        &self,
        args: &JobArgs,
        max_risk: Option<RiskLevel>,
    ) -> Result<EffectiveJob, Failure> {
        self.job_with(args, max_risk, |_| {})
    }

    /// The same with further changes, before the policy is applied.
    ///
    /// # Errors
    /// As [`Context::job`].
    pub(super) fn job_with(
        &self,
        args: &JobArgs,
        max_risk: Option<RiskLevel>,
        change: impl FnOnce(&mut Job),
    ) -> Result<EffectiveJob, Failure> {
        let settings = self.settings()?;
        let mut job = named_job(&settings, args.job.as_deref())?;
        job.max_risk = max_risk.unwrap_or(job.max_risk);
        if let Some(window) = args.undo_window {
            job.undo_window = window;
        }
        job.accept.extend(&args.accepts);
        collection(&mut job, args)?;
        super::budget::apply_overrides(&mut job, &args.budget)?;
        let rules = KeepRules {
            last: args.keep.keep_last,
            within: args.keep.keep_within,
            calendar: args.keep.calendar.0,
            known_good: false,
        };
        let usage = |text: String| Failure::new(Exit::Usage, text);
        let keep = (rules != KeepRules::default())
            .then(|| KeepPolicy::new(rules))
            .transpose()
            .map_err(|error| {
                usage(error.to_string())
                    .hint("Use at least one --keep option with a value above 0.")
            })?;
        let mut selected = Vec::new();
        for text in &args.profiles {
            selected.push(ProfileSelector::parse(text).ok_or_else(|| {
                usage(format!("`{text}` is not a profile")).hint(format!(
                    "Use {}, an absolute path, or a pattern for paths.",
                    ProfileSelector::WORDS.join(", ")
                ))
            })?);
        }
        let selected = (!selected.is_empty()).then_some(selected);
        match (&mut job.operations.generations, keep, selected) {
            (_, None, None) => {}
            (Some(operation), keep, selected) => {
                if let Some(keep) = keep {
                    operation.keep = keep.overriding_job();
                }
                if let Some(selected) = selected {
                    operation.profiles = selected;
                }
            }
            (none, Some(keep), selected) => {
                let profiles = selected.unwrap_or_else(every_profile);
                let users = Vec::new();
                *none = Some(GenerationsOperation {
                    profiles,
                    users,
                    keep,
                });
            }
            (None, None, Some(_)) => {
                return Err(usage(format!("the job {} has no keep rules", job.name))
                    .hint("Use at least one --keep option."));
            }
        }
        change(&mut job);
        Ok(EffectiveJob::new(job, settings.policy()))
    }

    /// The enabled jobs; none where the settings cannot be used.
    pub(super) fn enabled_jobs(&self) -> Vec<EffectiveJob> {
        let Ok(settings) = self.settings() else {
            return Vec::new();
        };
        let enabled = settings.jobs().filter(|job| job.is_enabled());
        let jobs = enabled.map(|job| EffectiveJob::new(job.job().clone(), settings.policy()));
        jobs.collect()
    }

    /// The display options, with the current time.
    pub(super) fn view(&self) -> View {
        View {
            style: out::style(self.global.color),
            zone: self.zone.clone(),
            now: self.clock.now(),
            program: out::program(),
            // What suggests to end one has read the settings.
            may_end_windows: self
                .known_settings
                .get()
                .is_none_or(|settings| settings.policy().undo_window.is_zero()),
        }
    }

    /// Nix's commands.
    ///
    /// # Errors
    /// When they are missing or too old.
    pub(super) fn nix(&self) -> Result<&NixCli, Failure> {
        if let Some(nix) = self.known_nix.get() {
            return Ok(nix);
        }
        let nix = NixCli::new(
            self.places.clone(),
            self.global.nix_bin.as_deref(),
            self.child_env.clone(),
            Arc::new(self.signals.clone()),
        )?
        .counting(Arc::clone(&self.counter))
        .comparing_dead(environment::compares_dead());
        Ok(self.known_nix.get_or_init(|| nix))
    }

    /// The engine over these adapters.
    pub(super) fn engine<'a, S: Survey>(
        &'a self,
        survey: &'a S,
        perform: &'a NixCli,
    ) -> Engine<'a, Journal> {
        Engine {
            survey,
            perform,
            remember: &self.journal,
            clock: &self.clock,
            interrupt: &self.signals,
        }
    }
}

/// Applies the collection options.
fn collection(job: &mut Job, args: &JobArgs) -> Result<(), Failure> {
    if args.no_collect {
        job.operations.collect = None;
        return Ok(());
    }
    if args.collect_method.is_none() && args.keep_recent.is_none() {
        return Ok(());
    }
    let Some(collect) = &mut job.operations.collect else {
        let message = format!("the job {} does not collect garbage", job.name);
        let hint = "Omit --collect-method and --keep-recent, or name another job.";
        return Err(Failure::new(Exit::Usage, message).hint(hint));
    };
    collect.method = args.collect_method.unwrap_or(collect.method);
    collect.keep_recent = args.keep_recent.or(collect.keep_recent);
    collect.check().map_err(|error| {
        Failure::new(Exit::Usage, error.to_string()).hint(format!(
            "Use either method full or {}, not both.",
            error.key
        ))
    })
}

fn actor() -> Actor {
    let uid = Uid::effective();
    if uid.is_root() {
        Actor::Root
    } else {
        Actor::User(uid.as_raw())
    }
}

fn every_profile() -> Vec<ProfileSelector> {
    vec![
        ProfileSelector::System,
        ProfileSelector::Users,
        ProfileSelector::HomeManager,
    ]
}
