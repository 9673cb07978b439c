# What `nix flake check` runs.
{
  pkgs,
  # those of this system
  packages,
}:

let
  inherit (pkgs) lib;
  package = packages.default;

  # The package's sources lack tests and benches, which cargo names and these read.
  cargo =
    what: tool: command:
    package.overrideAttrs (old: {
      pname = "nix-prune-${what}";
      src = ../.;
      nativeBuildInputs = old.nativeBuildInputs ++ [ tool ];
      buildPhase = command;
      doCheck = false;
      doInstallCheck = false;
      installPhase = "touch $out";
      postInstall = "";
    });
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
        deadnix --fail nix checks *.nix
        touch $out
      '';

  book =
    pkgs.runCommand "nix-prune-book"
      {
        nativeBuildInputs = [ pkgs.mdbook ];
      }
      ''
        mdbook build --dest-dir "$out" ${../docs}
      '';

  modules = import ./modules { inherit pkgs package; };
}
# on Linux alone
// lib.filterAttrs (name: _: name == "static") packages
// lib.mapAttrs' (name: lib.nameValuePair "vm-${name}") package.tests
