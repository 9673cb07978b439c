//! Parses, runs, exits.

fn main() -> std::process::ExitCode {
    nix_prune::cli::main()
}
