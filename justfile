# Lists the recipes
default:
    @just --list

# Builds the library and the binary
build:
    cargo build --locked

# Runs every check, or only the cargo tests whose names contain a filter
test *filters:
    scripts/test {{ filters }}

# Lints the Rust sources and checks the Nix files
lint:
    cargo clippy --all-targets --locked -- -D warnings
    scripts/check-nix
    scripts/check-modules

# Formats the Rust sources
fmt:
    cargo fmt

# Shows the main job on a scratch store
demo *arguments:
    scripts/demo {{ arguments }}
