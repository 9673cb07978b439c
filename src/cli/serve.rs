//! `serve`: answers read requests over HTTP with what other commands print.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::args::{Global, ServeArgs};
use super::context::Context;
use super::environment::VARIABLES;
use super::failure::{Exit, Failure};
use super::out;
use crate::adapters::files::{self, trust};
use crate::adapters::http::{
    Access, Answer, ListenAddress, ListenError, Listener, MediaType, Service, Status, Token,
};
use crate::adapters::memo::Memo;
use crate::adapters::process::{ChildEnv, Command, ProcessError, Program};
use crate::adapters::signals::Signals;
use crate::domain::snapshot::Actor;
use crate::ports::error_chain;
use crate::render::text::escape;

/// Not among those that exporters of Prometheus have registered.
const DEFAULT_PORT: u16 = 9748;
const MAX_TOKEN_FILE_BYTES: u64 = 4 << 10;
/// How long documents that need the store are kept.
const KEPT: Duration = Duration::from_secs(60);
/// How long those are kept that need the records of runs alone.
const QUICK_KEPT: Duration = Duration::from_secs(5);
/// The time for making a document.
const MAKING_TIME: Duration = Duration::from_secs(120);
/// How long a command that makes one has to end, when the service ends.
const ENDING_TIME: Duration = Duration::from_millis(500);
/// The largest document. That of a store of 100,000 paths has a tenth of it.
const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// Serves until a signal comes, or nobody asks.
pub(super) fn serve(context: &Context, args: &ServeArgs) -> Result<Exit, Failure> {
    let settings = context.settings()?;
    let enabled = settings.jobs().filter(|job| job.is_enabled());
    let jobs = enabled.map(|job| job.job().name.to_string()).collect();
    let passed = match &args.listen {
        Some(_) => None,
        None => Listener::passed()?,
    };
    let default = ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)));
    let asked = args.listen.clone().unwrap_or(default);
    let address = passed.as_ref().map_or(&asked, Listener::address);
    let token = args.token_file.as_deref().map(|file| token(context, file));
    let Some(access) = Access::at(address, token.transpose()?) else {
        let message = format!("other machines could ask at {address}");
        return Err(Failure::new(Exit::Usage, message).hint(
            "Use --token-file FILE, with `openssl rand -hex 32` in it; or listen on 127.0.0.1, [::1] or unix:/path.",
        ));
    };
    let listener = match passed {
        Some(listener) => listener,
        None => Listener::bind(&asked)?,
    };
    let documents = Documents {
        program: Program::own().map_err(|error| unserved(&error))?,
        options: options(&context.global)?,
        child_env: context.child_env.clone(),
        signals: context.signals.clone(),
        jobs,
        kept: Memo::new(KEPT),
        quick: Memo::new(QUICK_KEPT),
    };
    out::text(&format!(
        "Listening on {}",
        escape(&listener.address().to_string())
    ));
    let service = Service {
        access,
        idle_exit: args
            .idle_exit
            .map(|idle| Duration::from_secs(idle.as_seconds())),
        interrupt: &context.signals,
        answer: &|target| documents.answer(target),
    };
    service.run(&listener).map_err(|error| unserved(&error))?;
    Ok(Exit::Done)
}

fn unserved(error: &(dyn std::error::Error + 'static)) -> Failure {
    let message = format!("cannot serve: {}", error_chain(error));
    Failure::new(Exit::Failed, message)
}

/// Reads the token; as root only from a file that nobody else can have written.
fn token(context: &Context, path: &Utf8Path) -> Result<Token, Failure> {
    let refused = |exit: Exit, why: String| {
        Failure::new(exit, format!("cannot use the token of {path}: {why}")).hint(
            "Write it with `openssl rand -hex 32`, for its owner alone (mode 0600), in a directory that others cannot write to.",
        )
    };
    let failed =
        |error: &(dyn std::error::Error + 'static)| refused(Exit::NoPermission, error_chain(error));
    let absolute = absolute(path)?;
    let file = match context.actor {
        Actor::Root => trust::open(&absolute, 0).map_err(|error| failed(&error))?,
        Actor::User(_) => {
            let real = absolute
                .canonicalize_utf8()
                .map_err(|error| failed(&error))?;
            files::open_to_read(&real).map_err(|error| failed(&error))?
        }
    };
    let mode = file.metadata().map_err(|error| failed(&error))?;
    let mode = mode.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        let why = format!("other users may read it (mode {mode:04o})");
        return Err(refused(Exit::NoPermission, why));
    }
    let text = files::read_text(file, MAX_TOKEN_FILE_BYTES).map_err(|error| failed(&error))?;
    Token::new(&text).map_err(|why| refused(Exit::Usage, why))
}

fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, Failure> {
    let absolute = std::path::absolute(path).ok();
    absolute
        .and_then(|path| Utf8PathBuf::try_from(path).ok())
        .ok_or_else(|| Failure::new(Exit::Usage, format!("`{path}` is not the name of a file")))
}

/// The options of this process that name files, for commands that start in another directory.
fn options(global: &Global) -> Result<Vec<OsString>, Failure> {
    let named = [
        ("--config", &global.config),
        ("--state-dir", &global.state_dir),
        ("--nix-bin", &global.nix_bin),
    ];
    let mut options = Vec::new();
    for (option, path) in named {
        if let Some(path) = path {
            options.extend([option.into(), absolute(path)?.into_string().into()]);
        }
    }
    Ok(options)
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        let message = error_chain(&error);
        let (exit, hint) = match &error {
            ListenError::Bind { address, source } => match (source.kind(), address) {
                (ErrorKind::AddrInUse, ListenAddress::Unix(path)) => (
                    Exit::Failed,
                    format!("If no other service listens there, remove {path}."),
                ),
                (ErrorKind::AddrInUse, ListenAddress::Tcp(_)) => (
                    Exit::Failed,
                    "Another service listens there. Choose another port with --listen.".to_string(),
                ),
                (ErrorKind::PermissionDenied, _) => (
                    Exit::NoPermission,
                    "Choose a port above 1023, or a directory that you may write to.".to_string(),
                ),
                (ErrorKind::AddrNotAvailable, _) => (
                    Exit::Failed,
                    "Name an address of this machine with --listen.".to_string(),
                ),
                (_, ListenAddress::Unix(_)) => (
                    Exit::CannotCreate,
                    "Name a file in a directory that exists, with at most 107 bytes.".to_string(),
                ),
                (_, ListenAddress::Tcp(_)) => (
                    Exit::Failed,
                    "Name another address with --listen.".to_string(),
                ),
            },
            ListenError::Passed(_) => (
                Exit::Usage,
                "Give the socket unit one ListenStream=, and leave Accept=yes out.".to_string(),
            ),
        };
        Self::new(exit, message).hint(hint)
    }
}

/// A document that is made by a command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Document {
    Page,
    Status,
    Plan(Option<String>),
    History,
    Usage,
    Report,
    Metrics,
    StoreMetrics,
}

impl Document {
    /// The document at a path with its query, both exactly as they were sent.
    fn at(target: &str, jobs: &[String]) -> Option<Self> {
        Some(match target {
            "/" => Self::Page,
            "/status.json" => Self::Status,
            "/plan.json" => Self::Plan(None),
            "/history.json" => Self::History,
            "/usage.json" => Self::Usage,
            "/report.json" => Self::Report,
            "/metrics" => Self::Metrics,
            "/metrics?store=1" => Self::StoreMetrics,
            _ => {
                let name = target.strip_prefix("/plan/")?.strip_suffix(".json")?;
                let job = jobs.iter().find(|job| *job == name)?;
                Self::Plan(Some(job.clone()))
            }
        })
    }

    fn command(&self) -> Vec<&str> {
        match self {
            Self::Page => vec!["report", "--out", "-"],
            Self::Status => vec!["status", "--json"],
            Self::Plan(None) => vec!["plan", "--json"],
            Self::Plan(Some(job)) => vec!["plan", "--json", "--", job],
            Self::History => vec!["history", "--json"],
            Self::Usage => vec!["du", "--json"],
            Self::Report => vec!["report", "--json"],
            Self::Metrics => vec!["metrics"],
            Self::StoreMetrics => vec!["metrics", "--store"],
        }
    }

    fn media_type(&self) -> MediaType {
        match self {
            Self::Page => MediaType::Html,
            Self::Metrics | Self::StoreMetrics => MediaType::OpenMetrics,
            _ => MediaType::Json,
        }
    }

    /// Whether it needs the records of runs alone.
    fn is_quick(&self) -> bool {
        matches!(self, Self::Metrics | Self::History)
    }
}

/// The documents, each made by a process of its own: its memory is free again when it ends, and it can be ended.
struct Documents {
    program: Program,
    options: Vec<OsString>,
    child_env: ChildEnv,
    signals: Signals,
    jobs: Vec<String>,
    kept: Memo<Document, Answer>,
    quick: Memo<Document, Answer>,
}

impl Documents {
    fn answer(&self, target: &str) -> Answer {
        if target == "/healthz" {
            return Answer::new(Status::Ok, MediaType::Text, b"ok\n".to_vec());
        }
        let Some(document) = Document::at(target, &self.jobs) else {
            return Status::NotFound.answer();
        };
        let memo = if document.is_quick() {
            &self.quick
        } else {
            &self.kept
        };
        memo.get(&document, || self.make(&document))
    }

    fn make(&self, document: &Document) -> Answer {
        let mut command = Command::new(&self.program, &self.child_env, MAKING_TIME)
            .args(self.options.iter().cloned())
            .args(document.command())
            .end_within(ENDING_TIME)
            .unset("TZ");
        let bus = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
        let variables = VARIABLES.map(|(name, _)| name);
        for name in variables.into_iter().chain(bus).chain(["TZ"]) {
            command = command.keep(name);
        }
        let mut body = Vec::new();
        let mut is_whole = true;
        let made = command.run_blocks(&self.signals, &mut |block| {
            is_whole = is_whole && body.len() + block.len() <= MAX_DOCUMENT_BYTES;
            if is_whole {
                body.extend_from_slice(block);
            }
        });
        let failed = match made {
            Ok(_) if is_whole => return Answer::new(Status::Ok, document.media_type(), body),
            Ok(_) => format!("the document has more than {MAX_DOCUMENT_BYTES} bytes"),
            Err(ProcessError::Interrupted(_)) => return Status::Unavailable.answer(),
            Err(ProcessError::TimedOut { .. }) => return Status::GatewayTimeout.answer(),
            // The document of the error.
            Err(_) if document.media_type() == MediaType::Json && !body.is_empty() => {
                return Answer::new(Status::InternalError, MediaType::Json, body);
            }
            Err(ProcessError::Failed { stderr, .. }) => stderr,
            Err(error) => error_chain(&error),
        };
        tracing::warn!("{} was not made: {failed}", document.command().join(" "));
        let text = format!("{failed}\n");
        Answer::new(Status::InternalError, MediaType::Text, text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/", "report --out -")]
    #[case("/plan/daily.json", "plan --json -- daily")]
    #[case("/plan/--help.json", "")]
    #[case("/plan/weekly.json", "")]
    #[case("/plan/.json", "")]
    #[case("/plan/daily.json.json", "")]
    #[case("/plan/../status.json", "")]
    #[case("/plan/daily", "")]
    #[case("/status.json?", "")]
    #[case("/status.json/", "")]
    #[case("//status.json", "")]
    #[case("/%73tatus.json", "")]
    #[case("/STATUS.JSON", "")]
    #[case("/metrics?store=1", "metrics --store")]
    #[case("/metrics?store=0", "")]
    #[case("/metrics?store=1&x", "")]
    #[case("/../etc/passwd", "")]
    #[case("/%2e%2e/etc/passwd", "")]
    #[case("", "")]
    fn only_known_paths_are_documents(#[case] target: &str, #[case] command: &str) {
        let document = Document::at(target, &["daily".to_string()]);
        let words = document.as_ref().map(Document::command).unwrap_or_default();
        assert_eq!(words.join(" "), command);
    }
}
