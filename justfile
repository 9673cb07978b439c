# Lists the verbs
default:
    @just --list

# Builds the library and the binary
build:
    cargo build --locked

# Formats the Rust sources
fmt:
    cargo fmt

# Lints the Rust sources and checks the Nix files
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    scripts/layers
    scripts/duplication
    scripts/check-nix
    scripts/check-modules

# Runs every check, or only the cargo tests whose names contain a filter
test *filters:
    scripts/test {{ filters }}

# Runs the tests that need no Nix: those beside the code
fast:
    cargo test --locked --lib --quiet

# Hands made-up input to a reader
fuzz target *arguments:
    scripts/fuzz {{ target }} {{ arguments }}

# Measures which lines of src the tests reach
cover *arguments:
    scripts/cover {{ arguments }}

# Changes the code in small ways and looks whether the tests that need no Nix notice
mutants *arguments:
    scripts/mutants {{ arguments }}

# Checks the dependencies: licences, sources, vulnerabilities
deny:
    scripts/deny

# Measures the speed
bench *arguments:
    cargo bench --locked {{ arguments }}

# Writes what is generated: the picture of the modules, and the figures
docs:
    scripts/layers --update
    scripts/duplication --update

# Writes the golden files and schemas
golden:
    NIX_PRUNE_BLESS=1 cargo test --locked --test suite documents
    scripts/check-modules --update

# Shows the main job on a scratch store
demo *arguments:
    scripts/demo {{ arguments }}

# Makes the store of a laptop with 131 generations, and prints the variables to use it
laptop dir *arguments:
    @scripts/laptop {{ dir }} {{ arguments }}
