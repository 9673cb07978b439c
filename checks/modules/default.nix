# The golden files, the documentation of the options, and the settings, as scripts/check-modules looks at them.
{ pkgs, package }:

let
  evaluated = import ./evaluate.nix { inherit (pkgs) lib; };
in
pkgs.runCommand "nix-prune-modules"
  {
    nativeBuildInputs = [
      package
      pkgs.python3
    ];
    goldens = builtins.toJSON evaluated.goldens;
    inherit (evaluated) markdown;
    passAsFile = [
      "goldens"
      "markdown"
    ];
  }
  ''
    python3 ${./write.py} made <"$goldensPath"
    diff -ru ${../../tests/fixtures/modules} made
    diff -u ${../../docs/modules.md} "$markdownPath"
    find made -name '*.json' -print0 | xargs -0 -n 1 nix-prune config check
    touch $out
  ''
