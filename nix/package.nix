{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  makeBinaryWrapper,
  nix,
  # whether Nix comes along, for machines that have none on PATH
  withNix ? true,
}:

let
  inherit ((lib.importTOML ../Cargo.toml).package) name version description;
in
rustPlatform.buildRustPackage {
  pname = name;
  inherit version;

  # What the build reads: an edit elsewhere does not rebuild the package.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      # Cargo.toml names it, so cargo looks for it even when it is not built.
      ../tests/suite/main.rs
      # What the tests beside the code read.
      ../fuzz
      ../scripts/fuzz
      ../tests/fixtures/settings
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  # The other tests make Nix stores of their own, which a build's sandbox refuses.
  cargoTestFlags = [ "--lib" ];

  nativeBuildInputs = [
    installShellFiles
    makeBinaryWrapper
  ];

  # As a suffix: the Nix of the system knows its own store best.
  postInstall =
    lib.optionalString withNix ''
      wrapProgram $out/bin/${name} --suffix PATH : ${lib.makeBinPath [ nix ]}
    ''
    + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      for shell in bash zsh fish; do
        $out/bin/${name} completions $shell >${name}.$shell
      done
      installShellCompletion ${name}.{bash,zsh,fish}
      $out/bin/${name} man --out man
      installManPage man/*
    '';

  meta = {
    inherit description;
    license = lib.licenses.mit;
    mainProgram = name;
    platforms = lib.platforms.unix;
  };
}
