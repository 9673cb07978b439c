# What `nix flake check` runs.
{
  pkgs,
  package,
  # the module of NixOS, with our package
  module,
}:

let
  inherit (pkgs) lib;
  onLinux = lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux;

  # The package's sources lack tests and benches, which cargo names and these read.
  cargo =
    what: tool: command:
    package.overrideAttrs (old: {
      pname = "nix-prune-${what}";
      src = ../.;
      nativeBuildInputs = old.nativeBuildInputs ++ [ tool ];
      buildPhase = command;
      doCheck = false;
      installPhase = "touch $out";
      postInstall = "";
    });

  vm = lib.mapAttrs' (file: _: {
    name = "vm-${lib.removeSuffix ".nix" file}";
    value = pkgs.testers.runNixOSTest (import (./vm + "/${file}") { inherit lib module; });
  }) (lib.filterAttrs (file: _: file != "common.nix") (builtins.readDir ./vm));
in
{
  # with the tests that need no store
  inherit package;

  clippy = cargo "clippy" pkgs.clippy "cargo clippy --offline --locked --all-targets -- -D warnings";
  fmt = cargo "fmt" pkgs.rustfmt "cargo fmt --check";

  nix-files =
    pkgs.runCommand "nix-prune-nix-files"
      {
        nativeBuildInputs = [
          pkgs.nixfmt
          pkgs.deadnix
        ];
      }
      ''
        cd ${../.}
        find . -name '*.nix' -exec nixfmt --check {} +
        deadnix --fail nix checks flake.nix
        touch $out
      '';

  modules = import ./modules { inherit pkgs package; };
}
// onLinux vm
