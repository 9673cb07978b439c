//! Where the valid paths are read: in the database, or from the daemon where that may not be read.

use std::io;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

use super::StoreReader;
use crate::adapters::daemon::{Untold, read_from_daemon};
use crate::adapters::database::{Database, DatabaseError, PathRow, RowSink};
use crate::adapters::nix_cli::NixCli;
use crate::domain::graph::{GraphBuilder, StoreGraph};
use crate::ports::{InspectError, InspectTrouble, PerformError, told};

/// The valid paths of the store.
pub(super) struct ValidPaths {
    /// As a graph.
    pub(super) graph: StoreGraph,
    /// Where they were read, if not in the database.
    pub(super) note: Option<String>,
    /// What of the outputs of derivations is not known.
    pub(super) outputs_untold: Option<String>,
}

impl StoreReader<'_> {
    pub(super) fn valid_paths(&self) -> Result<ValidPaths, InspectError> {
        self.check_local()?;
        let database = Database::new(&self.places.state_dir, self.places.store.clone());
        let error = match database.read(Sink::default) {
            Ok((sink, _)) => {
                return Ok(ValidPaths {
                    graph: sink.graph()?,
                    note: None,
                    outputs_untold: None,
                });
            }
            Err(error) => error,
        };
        match self.nix {
            Some(nix) if is_closed(&error) && self.has_daemon() => self.ask(nix, error),
            _ => Err(refused(error)),
        }
    }

    /// Asks the daemon, as the database is closed to us.
    fn ask(&self, nix: &NixCli, closed: DatabaseError) -> Result<ValidPaths, InspectError> {
        let mut sink = Sink::default();
        match read_from_daemon(nix, &self.places.store, self.interrupt, &mut sink) {
            Ok(untold) => Ok(ValidPaths {
                graph: sink.graph()?,
                note: Some(format!(
                    "the store's paths were asked of nix-daemon, for the database was closed: {}",
                    told(&closed)
                )),
                outputs_untold: doubt(untold),
            }),
            Err(error @ PerformError::Interrupted { .. }) => Err(InspectError {
                kind: InspectTrouble::Interrupted,
                hint: "Nothing was changed.",
                source: error.into(),
            }),
            Err(error) => {
                let (why, asked) = (told(&closed), told(&error));
                Err(InspectError {
                    source: format!("{why}; nix-daemon was asked instead: {asked}").into(),
                    ..refused(closed)
                })
            }
        }
    }

    /// The database here is that of the store only where Nix itself would use it.
    fn check_local(&self) -> Result<(), InspectError> {
        match self.remote.as_deref().unwrap_or_default() {
            "" | "auto" | "local" | "daemon" => Ok(()),
            socket if socket.starts_with("unix://") => Ok(()),
            remote => Err(InspectError {
                kind: InspectTrouble::Unusable,
                hint: "Run it on the machine that has the store.",
                source: format!("NIX_REMOTE is `{remote}`, whose database is not here").into(),
            }),
        }
    }

    /// Whether Nix itself would go through a daemon. By default it does where it may not write to the state directory.
    fn has_daemon(&self) -> bool {
        match self.remote.as_deref().unwrap_or_default() {
            "" | "auto" => faccessat(
                AT_FDCWD,
                self.places.state_dir.as_std_path(),
                AccessFlags::R_OK | AccessFlags::W_OK,
                AtFlags::AT_EACCESS,
            )
            .is_err(),
            remote => remote != "local",
        }
    }
}

/// Whether the database is not for us to read, or not here. Of one that is busy the daemon would tell what has not
/// settled; one that is damaged or of an unknown layout is nothing to go around.
fn is_closed(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Missing { .. } | DatabaseError::WalUnreadable { .. } => true,
        DatabaseError::Unreadable { source, .. } => {
            source.kind() == io::ErrorKind::PermissionDenied
        }
        _ => false,
    }
}

fn doubt(untold: Untold) -> Option<String> {
    let Untold {
        floating,
        unread,
        example,
    } = untold;
    let mut doubts = Vec::new();
    if floating > 0 {
        doubts.push(format!(
            "outputs of {floating} derivations are known to the database alone"
        ));
    }
    if let Some(example) = example {
        doubts.push(format!("{unread} derivations cannot be read, {example}"));
    }
    (!doubts.is_empty()).then(|| doubts.join("; "))
}

fn refused(error: DatabaseError) -> InspectError {
    let kind = match &error {
        DatabaseError::Unreadable { .. } => InspectTrouble::Denied,
        DatabaseError::Missing { .. } | DatabaseError::OtherStore { .. } => {
            InspectTrouble::NoDatabase
        }
        DatabaseError::Busy { .. } | DatabaseError::Changing { .. } => InspectTrouble::Busy,
        _ => InspectTrouble::Unusable,
    };
    InspectError {
        kind,
        hint: error.hint(),
        source: error.into(),
    }
}

/// Makes a graph of the rows.
#[derive(Default)]
struct Sink(GraphBuilder);

impl Sink {
    fn graph(self) -> Result<StoreGraph, InspectError> {
        self.0.finish().map_err(|error| InspectError {
            kind: InspectTrouble::Unusable,
            hint: "Let `nix-store --verify` look at the database.",
            source: error.into(),
        })
    }
}

impl RowSink for Sink {
    fn path(&mut self, row: PathRow<'_>) {
        let size = row.nar_size.unwrap_or(0);
        self.0
            .add_path(row.id, row.base_name, size, row.registered, row.deriver);
    }
    fn reference(&mut self, referrer: i64, reference: i64) {
        self.0.add_reference(referrer, reference);
    }
    fn output(&mut self, drv: i64, base_name: &str) {
        self.0.add_output(drv, base_name);
    }
}
