//! Command line arguments of the commands that read the store.

use camino::Utf8PathBuf;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};

use super::JsonArg;
use crate::adapters::http::ListenAddress;
use crate::cli::complete;
use crate::domain::measure::Span;
use crate::domain::root::RootKind;

/// `generations`.
#[derive(Debug, Args)]
pub struct GenerationsArgs {
    /// Show only these profiles, or generations of them: `system`, `system:40..45`
    #[arg(value_name = "PROFILE[:N[..M]]", add = complete::profiles())]
    pub profiles: Vec<String>,
    /// Omit sizes; do not read the store database
    #[arg(long)]
    pub no_sizes: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `roots`.
#[derive(Debug, Args)]
pub struct RootsArgs {
    /// Show only roots of this kind (repeatable)
    #[arg(long, value_name = "KIND", value_parser = root_kind())]
    pub kind: Vec<RootKind>,
    /// Show only roots of this user, by name or number (repeatable)
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,
    /// Show only links made longer ago than this, such as 30d
    #[arg(long, value_name = "DURATION")]
    pub older: Option<Span>,
    /// Show only links last used longer ago than this, such as 30d; the time of the link counts where no use is known
    #[arg(long, value_name = "DURATION")]
    pub unused: Option<Span>,
    /// Order of the list
    #[arg(long, value_enum, value_name = "ORDER", default_value_t = RootOrder::Link)]
    pub sort: RootOrder,
    /// Print tab-separated values with a heading
    #[arg(long, conflicts_with = "json")]
    pub tsv: bool,
    /// Omit sizes; do not read the store database
    #[arg(long)]
    pub no_sizes: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

fn root_kind() -> impl TypedValueParser<Value = RootKind> {
    PossibleValuesParser::new(RootKind::ALL.map(RootKind::as_str)).try_map(|text| {
        let mut kinds = RootKind::ALL.into_iter();
        kinds
            .find(|kind| kind.as_str() == text)
            .ok_or("no kind of root")
    })
}

/// The order of roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RootOrder {
    /// By link, numbers as numbers
    Link,
    /// The largest exclusive size first
    Size,
    /// The oldest link first
    Age,
    /// The longest unused link first
    Use,
}

/// `dead`.
#[derive(Debug, Args)]
pub struct DeadArgs {
    /// List the paths; the default where the output is no terminal
    #[arg(long, conflicts_with_all = ["top", "json"])]
    pub list: bool,
    /// Show the N largest packages; the default on a terminal is 20
    #[arg(long, value_name = "N", conflicts_with = "json")]
    pub top: Option<usize>,
    /// Measure disk usage even of more than 2000 paths
    #[arg(long)]
    pub exact: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A store path, a path inside one, a link to one, or the name of a package for all of its versions
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: Utf8PathBuf,
    /// Show at most N chains
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,
    /// Print a graph of the chains for Graphviz
    #[arg(long, conflicts_with = "json")]
    pub dot: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Show the versions of this package, and what keeps each
    #[arg(value_name = "PACKAGE", conflicts_with_all = ["by", "top", "exact"])]
    pub package: Option<String>,
    /// Group the store; default: who keeps what, in one table
    #[arg(long, value_enum, value_name = "GROUP")]
    pub by: Option<Division>,
    /// Show the N largest of `--by` or `--dot`, 20 by default
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Print a graph for Graphviz: which profiles and roots share what
    #[arg(long, conflicts_with_all = ["package", "by", "exact", "json"])]
    pub dot: bool,
    /// Measure disk usage as well, `--by root` unless another group is given
    #[arg(long)]
    pub exact: bool,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Write the page to FILE, for its owner alone; `-` prints it, the default where the output is no terminal
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "json")]
    pub out: Option<Utf8PathBuf>,
    /// Output
    #[command(flatten)]
    pub json: JsonArg,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Listen on this address: `127.0.0.1:9748`, `[::1]:9748` or `unix:/path`; port 0 is any free port
    ///
    /// Default: the socket that systemd passes, else 127.0.0.1:9748. Addresses of other machines need --token-file. There is no
    /// TLS: use a reverse proxy.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<ListenAddress>,
    /// Answer only requests with the token in FILE, as `Authorization: Bearer TOKEN`
    ///
    /// The token has at least 16 visible characters, and other users may not read the file. A Unix socket takes no token.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<Utf8PathBuf>,
    /// Exit when nobody was connected for this long, such as 10min; the socket of systemd starts the service again
    #[arg(long, value_name = "DURATION")]
    pub idle_exit: Option<Span>,
}

/// How the store is grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Division {
    /// Root links, temporary roots and processes
    Root,
    /// Profiles
    Profile,
    /// Generations of profiles
    Generation,
    /// Owners of roots
    User,
    /// Packages, all versions together
    Package,
    /// Store paths
    Path,
    /// Source trees (`*-source`), those of one name and size together
    Source,
}

/// `metrics`.
#[derive(Debug, Args)]
pub struct MetricsArgs {
    /// Write the metrics to this file, and a sample of the free space to the records
    ///
    /// The file is for the textfile collector of `node_exporter`, so its name should end in `.prom`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<Utf8PathBuf>,
    /// Read the store as well: dead paths, roots, and what each job would do with each generation
    #[arg(long)]
    pub store: bool,
}
