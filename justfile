# The commands that everybody needs. `just` lists them.

[private]
default:
    @just --list --unsorted

# Install the tools of the gate (Debian, Ubuntu)
setup:
    .ci/setup

# Run every check that a change must pass
gate:
    .ci/run

# Run the tests, or only those whose names contain FILTER
test *FILTER:
    cargo test {{ FILTER }}

# Fuzz TARGET (see fuzz/README.md)
fuzz TARGET *OPTIONS:
    mkdir -p fuzz/corpus/{{ TARGET }}
    cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none --fuzz-dir . {{ TARGET }} \
        corpus/{{ TARGET }} seeds/{{ TARGET }} -- -dict=dictionary -max_len=4096 {{ OPTIONS }}

# Format the code
fmt:
    cargo fmt --all

# Run clippy as the gate does
lint:
    cargo clippy --locked --all-targets -- -D warnings

# Build the documentation of all items, private ones too
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# Serve DIR on http://127.0.0.1:8000/
serve DIR="static" *OPTIONS:
    cargo run --release -- {{ OPTIONS }} {{ DIR }}

# Serve DIR and show what the loop does
trace DIR="static" *OPTIONS:
    cargo run --release -- --trace {{ OPTIONS }} {{ DIR }}

# Run lesson NUMBER, or list the lessons
lesson *NUMBER:
    cargo run --quiet -- lesson {{ NUMBER }}

# Install the program, its man page and its completions for this user
install:
    cargo install --locked --path .
    mkdir -p ~/.local/share/man/man1 ~/.local/share/bash-completion/completions
    mkdir -p ~/.local/share/zsh/site-functions ~/.config/fish/completions
    cargo run --release --quiet -- man > ~/.local/share/man/man1/oneloop.1
    cargo run --release --quiet -- completions bash > ~/.local/share/bash-completion/completions/oneloop
    cargo run --release --quiet -- completions zsh > ~/.local/share/zsh/site-functions/_oneloop
    cargo run --release --quiet -- completions fish > ~/.config/fish/completions/oneloop.fish
    @echo 'zsh reads completions from $fpath: add ~/.local/share/zsh/site-functions to it in ~/.zshrc'
