//! Source of the valid paths: the database, or the daemon if the database is not readable.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use camino::Utf8Path;

use super::cache::Rows;
use super::{Care, StoreReader};
use crate::adapters::daemon::read_from_daemon;
use crate::adapters::database::{BAD_ROW, Database, DatabaseError, Fault, PathRow, RowSink};
use crate::adapters::nix_cli::{MalformedInfo, NixCli, NixConfig, PathInfo, Route};
use crate::domain::graph::{GraphBuilder, GraphError, StoreGraph};
use crate::domain::note::{Note, NoteCode};
use crate::domain::store_path::{StorePath, StorePathRef};
use crate::ports::{
    Cause, NO_ANSWER, OTHER_STORE, PerformError, StoreReadError, StoreReadTrouble, error_chain,
};

/// What the database holds: the outer error is of reading it, the inner one of what it holds.
pub(super) type DatabaseRead = Result<Result<Rows, StoreReadError>, DatabaseError>;

/// What is valid, and what Nix's settings make of it.
pub(super) struct Stored {
    /// The valid paths.
    pub(super) graph: Arc<StoreGraph>,
    /// Where they were read, if not in the database.
    pub(super) note: Option<Note>,
    /// What of the outputs of derivations is not known.
    pub(super) unknown_outputs: Option<String>,
    /// What Nix's settings come to; not known without Nix.
    pub(super) nix_config: Option<NixConfig>,
}

impl StoreReader<'_> {
    /// Begins to check the indexes of the database for the first thorough look.
    pub fn compare_ahead(&self) {
        self.cache.compare_ahead(self.database());
    }

    /// Reads the database, without falling back to a daemon.
    pub(super) fn read_database(&self) -> DatabaseRead {
        self.cache.rows(&self.database())
    }

    /// Checks the indexes of the database with as much care as was asked for. It takes longer than all else, so it comes last.
    pub(super) fn checked(
        &self,
        stored: Result<Stored, StoreReadError>,
    ) -> Result<Stored, StoreReadError> {
        if self.care == Care::Quick {
            return stored;
        }
        // Also where nothing is compared, because this process may write from here on.
        let ahead = self.cache.compared_ahead();
        let stored = stored?;
        if stored.note.is_none() {
            let compared = self.cache.compare(&self.database(), ahead);
            compared.map_err(refused)?;
        }
        Ok(stored)
    }

    fn database(&self) -> Database {
        Database::new(&self.places.state_dir, self.places.store.clone())
    }

    /// The valid paths, by the database or by the daemon.
    pub(super) fn valid_paths(
        &self,
        nix_config: Option<NixConfig>,
        read: DatabaseRead,
    ) -> Result<Stored, StoreReadError> {
        let mut stored = self.valid_paths_by(nix_config.as_ref(), read);
        // A collector may have deleted the newest paths before the daemon was asked about them.
        if stored
            .as_ref()
            .is_err_and(|error| error.kind == StoreReadTrouble::OtherStore)
        {
            stored = self.valid_paths_by(nix_config.as_ref(), self.read_database());
        }
        Ok(Stored {
            nix_config,
            ..stored?
        })
    }

    fn valid_paths_by(
        &self,
        nix_config: Option<&NixConfig>,
        read: DatabaseRead,
    ) -> Result<Stored, StoreReadError> {
        let daemon = nix_config.and_then(|nix_config| match &nix_config.route {
            Route::Daemon { socket, is_own, .. } => Some((self.nix?, socket.as_path(), *is_own)),
            Route::Files => None,
        });
        match read {
            Ok(rows) => {
                let Rows {
                    graph,
                    unknown_outputs,
                    ..
                } = rows?;
                check_rows(&graph)?;
                if let Some((nix, socket, is_own)) = daemon
                    && (self.care == Care::Thorough || !is_own)
                {
                    serves(nix, socket, is_own, &graph)?;
                }
                Ok(Stored {
                    graph,
                    note: None,
                    unknown_outputs: unknown_outputs.then(|| UNKNOWN_FORMAT.to_string()),
                    nix_config: None,
                })
            }
            Err(error) => match daemon {
                Some((nix, ..)) if is_closed(&error) => self.ask(nix, error),
                _ => Err(refused(error)),
            },
        }
    }

    /// Asks the daemon, as the database is closed to us.
    fn ask(&self, nix: &NixCli, closed: DatabaseError) -> Result<Stored, StoreReadError> {
        let mut sink = Sink::default();
        match read_from_daemon(nix, &self.places.store, self.interrupt, &mut sink) {
            Ok(unknown) => Ok(Stored {
                graph: Arc::new(sink.graph()?),
                note: Some(Note::new(
                    NoteCode::StoreFromDaemon,
                    format!(
                        "read the store paths from nix-daemon because the database is not readable: {}",
                        error_chain(&closed)
                    ),
                )),
                unknown_outputs: unknown.doubt(),
                nix_config: None,
            }),
            Err(error @ PerformError::Interrupted { .. }) => Err(interrupted(error)),
            // A daemon that has paths outside of this store directory serves another store.
            Err(PerformError::Nix { source, .. })
                if matches!(
                    source.downcast_ref::<MalformedInfo>(),
                    Some(MalformedInfo::Path(..))
                ) =>
            {
                Err(other_store(source))
            }
            Err(error) => {
                let (why, asked) = (error_chain(&closed), error_chain(&error));
                Err(StoreReadError {
                    source: format!("{why}; nix-daemon failed as well: {asked}").into(),
                    ..refused(closed)
                })
            }
        }
    }
}

/// So many of the newest paths are compared.
const COMPARED: usize = 8;

/// The database has outputs in a form that is not known.
const UNKNOWN_FORMAT: &str =
    "the database has outputs of content-addressed derivations in an unknown format";

/// Whether a daemon serves the store whose database was read: it knows the newest paths, with the times at which they
/// were registered. Where nothing can be compared, its socket has to lie where this store's daemon has it.
fn serves(
    nix: &NixCli,
    socket: &Utf8Path,
    is_own: bool,
    graph: &StoreGraph,
) -> Result<(), StoreReadError> {
    // Nix takes the name of a derivation for what it makes.
    let is_drv = |node| graph.base_name(node).strip_suffix(".drv").is_some();
    let others = graph.nodes().filter(|&node| !is_drv(node));
    let mut newest: Vec<_> = others.map(|n| (graph.registered(n), n)).collect();
    // Of one second, the last rows: the first ones are the same in every copy of an image.
    newest.sort_unstable_by_key(|&path| Reverse(path));
    newest.truncate(COMPARED);
    let parsed = newest.iter().filter_map(|&(time, node)| {
        let path = StorePathRef::from_base_name(graph.base_name(node)).ok()?;
        Some((path.to_owned(), time))
    });
    let newest: HashMap<StorePath<String>, i64> = parsed.collect();
    let doubt = |why: &str| {
        let what = format!("the daemon on {socket} may serve another store: {why}");
        Err(other_store(what.into()))
    };
    if newest.is_empty() {
        return if is_own {
            Ok(())
        } else {
            doubt("there are no paths to compare, and the socket is not the default")
        };
    }
    let paths: Vec<_> = newest.keys().cloned().collect();
    let infos = match nix.path_info(&paths) {
        Ok(infos) => infos,
        Err(error @ PerformError::Interrupted { .. }) => return Err(interrupted(error)),
        Err(error) if NixCli::is_no_answer(&error) => {
            return Err(StoreReadError {
                kind: StoreReadTrouble::NoAnswer,
                hint: NO_ANSWER,
                source: format!(
                    "nix-daemon on {socket} does not respond: {}",
                    error_chain(&error)
                )
                .into(),
            });
        }
        Err(error) => return doubt(&error_chain(&error)),
    };
    let is_same = |info: &&PathInfo| {
        // Nix does not write a time that is 0.
        let valid = info.valid.as_ref();
        let time = valid.map(|valid| valid.registered.unwrap_or_default());
        time.is_some() && time == newest.get(&info.path).copied()
    };
    let same = infos.iter().filter(is_same).count();
    // Some may have been deleted since.
    if same * 2 > newest.len() {
        return Ok(());
    }
    let all = newest.len();
    doubt(&format!(
        "it knows {same} of the {all} newest paths of the database"
    ))
}

/// Rows that join paths to nothing are what is left of a path whose row is lost.
fn check_rows(graph: &StoreGraph) -> Result<(), StoreReadError> {
    match graph.orphan_rows() {
        0 => Ok(()),
        count => Err(StoreReadError {
            kind: StoreReadTrouble::Damaged,
            hint: BAD_ROW,
            source: format!("{count} rows of the database refer to a missing row").into(),
        }),
    }
}

/// Whether the database is not for us to read, or not here. Of one that is busy the daemon would report what has not
/// settled; one that is damaged or of an unknown layout is nothing to go around.
fn is_closed(error: &DatabaseError) -> bool {
    match &error.fault {
        Fault::Missing | Fault::WalUnreadable(_) => true,
        Fault::Unreadable(error) => error.kind() == io::ErrorKind::PermissionDenied,
        _ => false,
    }
}

fn refused(error: DatabaseError) -> StoreReadError {
    let (kind, hint) = error.fault.trouble();
    StoreReadError {
        kind,
        hint,
        source: error.into(),
    }
}

pub(super) fn interrupted(error: PerformError) -> StoreReadError {
    StoreReadError {
        kind: StoreReadTrouble::Interrupted,
        hint: "Nothing was changed.",
        source: error.into(),
    }
}

pub(super) fn other_store(source: Cause) -> StoreReadError {
    StoreReadError {
        kind: StoreReadTrouble::OtherStore,
        hint: OTHER_STORE,
        source,
    }
}

/// Makes a graph of the rows.
#[derive(Default)]
pub(super) struct Sink(GraphBuilder);

impl Sink {
    pub(super) fn graph(self) -> Result<StoreGraph, StoreReadError> {
        self.0.finish().map_err(|error| {
            let (kind, hint) = match &error {
                GraphError::DuplicateId { .. } | GraphError::DuplicatePath { .. } => {
                    (StoreReadTrouble::Damaged, BAD_ROW)
                }
                GraphError::LatePath { .. } | GraphError::TooLarge => (
                    StoreReadTrouble::Unusable,
                    "Please report this: it is a limit of nix-prune.",
                ),
            };
            StoreReadError {
                kind,
                hint,
                source: error.into(),
            }
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
