//! Entry point of the program.

fn main() -> std::process::ExitCode {
    nix_prune::cli::main()
}
