{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  makeBinaryWrapper,
  pkg-config,
  versionCheckHook,
  testers,
  sqlite,
  nix,
  # whether Nix comes along, for machines that have none on PATH
  withNix ? true,
}:

let
  cargo = (lib.importTOML ../Cargo.toml).package;
  inherit (cargo) name;
  # A static library of SQLite is not everywhere; Cargo builds one.
  withSystemSqlite = !stdenv.hostPlatform.isStatic;
  canRun = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
in
rustPlatform.buildRustPackage {
  pname = name;
  inherit (cargo) version;

  __structuredAttrs = true;
  strictDeps = true;

  # What the build reads: an edit elsewhere does not rebuild the package.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      # Cargo.toml names it, so cargo looks for it even when it is not built.
      ../tests/suite/main.rs
      # What journalctl reads, and the tests beside the code.
      ../contrib/systemd/nix-prune.catalog
      ../fuzz
      ../scripts/fuzz
      ../tests/fixtures/nix-output
      ../tests/fixtures/settings
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  buildNoDefaultFeatures = withSystemSqlite;
  # The other tests make Nix stores of their own, which a build's sandbox refuses.
  cargoTestFlags = [ "--lib" ];

  nativeBuildInputs = [
    installShellFiles
    makeBinaryWrapper
  ]
  ++ lib.optional withSystemSqlite pkg-config;
  buildInputs = lib.optional withSystemSqlite sqlite;

  # As a suffix: the Nix of the system knows its own store best.
  postInstall =
    lib.optionalString withNix ''
      wrapProgram $out/bin/${name} --suffix PATH : ${lib.makeBinPath [ nix ]}
    ''
    + lib.optionalString stdenv.hostPlatform.isLinux ''
      install -Dm444 contrib/systemd/nix-prune.catalog -t $out/lib/systemd/catalog
    ''
    + lib.optionalString canRun ''
      for shell in bash zsh fish; do
        $out/bin/${name} completions $shell >${name}.$shell
      done
      installShellCompletion ${name}.{bash,zsh,fish}
      $out/bin/${name} man --out man
      installManPage man/*
    '';

  doInstallCheck = canRun;
  nativeInstallCheckInputs = [ versionCheckHook ];

  passthru.tests = lib.optionalAttrs stdenv.hostPlatform.isLinux (
    import ../checks/vm.nix { inherit lib testers; }
  );

  meta = {
    inherit (cargo) description;
    license = lib.licenses.mit;
    maintainers = [ ];
    mainProgram = name;
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  }
  // lib.optionalAttrs (cargo ? repository) {
    homepage = cargo.repository;
    changelog = "${cargo.repository}/blob/v${cargo.version}/CHANGELOG.md";
  };
}
