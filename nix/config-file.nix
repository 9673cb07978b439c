# The settings file of these options, checked by the program that will read it; and the times beside it, by systemd.
{ pkgs }:

{
  package,
  # the name of the option, for the message
  option,
  settings,
  # times that systemd must know: { kind = "calendar" or "timespan"; option; text; }
  times ? [ ],
}:

let
  inherit (pkgs) lib;
  file = (pkgs.formats.json { }).generate "nix-prune.json" settings;
  # A program for another machine cannot be run here; it checks its settings when it starts.
  canCheck =
    pkgs.stdenv.buildPlatform.canExecute
      package.stdenv.hostPlatform or pkgs.stdenv.hostPlatform;
  judge =
    time:
    "judge ${
      lib.escapeShellArgs (
        map (key: time.${key}) [
          "kind"
          "option"
          "text"
        ]
      )
    }";
in
if !canCheck then
  file
else
  pkgs.runCommand "nix-prune.json"
    {
      nativeBuildInputs = [ package ] ++ lib.optional (times != [ ]) pkgs.systemd;
      preferLocalBuild = true;
      inherit file option;
    }
    (
      ''
        if ! nix-prune config check --level comprehensive "$file"; then
          echo "error: $option are not valid settings, see above. What follows a slash is the name of an option in them." >&2
          exit 1
        fi
      ''
      + lib.optionalString (times != [ ]) ''
        judge() { # KIND OPTION TEXT
          local text=$3
          # systemd looks for time zones where a build has none
          if [[ $1 == calendar && $text == *" "* && -f ${pkgs.tzdata}/share/zoneinfo/''${text##* } ]]; then
            text=''${text% *}
          fi
          if ! systemd-analyze "$1" -- "$text" >/dev/null; then
            echo "error: $2: systemd does not know \"$3\", see above. \`systemd-analyze $1\` tries others; systemd.time(7) describes them." >&2
            exit 1
          fi
        }
        ${lib.concatMapStringsSep "\n" judge times}
      ''
      + ''
        cp "$file" "$out"
      ''
    )
