# The settings file of these options, checked by the program that will read it.
{ pkgs }:

{
  package,
  # the name of the option, for the message
  option,
  settings,
}:

let
  file = (pkgs.formats.json { }).generate "nix-prune.json" settings;
  # A program for another machine cannot be run here; it checks its settings when it starts.
  canCheck =
    pkgs.stdenv.buildPlatform.canExecute
      package.stdenv.hostPlatform or pkgs.stdenv.hostPlatform;
in
if !canCheck then
  file
else
  pkgs.runCommand "nix-prune.json"
    {
      nativeBuildInputs = [ package ];
      preferLocalBuild = true;
      inherit file option;
    }
    ''
      if ! nix-prune config check --level comprehensive "$file"; then
        echo "error: $option are not valid settings, see above. What follows a slash is the name of an option in them." >&2
        exit 1
      fi
      cp "$file" "$out"
    ''
