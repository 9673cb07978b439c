{
  mkShell,
  cargo,
  clippy,
  just,
  nix,
  python3,
  rustc,
  rustfmt,
}:

mkShell {
  packages = [
    cargo
    clippy
    just
    nix
    python3
    rustc
    rustfmt
  ];
}
