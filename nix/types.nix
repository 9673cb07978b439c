# The types of settings: what a person can get wrong is refused while it is evaluated, with the name of the option.
{ lib }:

let
  inherit (lib) types;

  matching =
    description: pattern:
    types.strMatching pattern
    // {
      inherit description;
      descriptionClass = "noun";
    };

  age = "([0-9]+(\\.[0-9]{1,9})?(s|min|h|d|w|mo|y))+";
  size = "[0-9]+(\\.[0-9]{1,9})?[kKmMgGtT]([iI]?[bB])?|[0-9]+[bB]|0+";
  percent = "([5-9]|[1-8][0-9]|90)%";

in
{
  age = matching "duration, such as 14d, 1.5d or 1h30min" " *${age} *";
  size = matching "size with a unit, such as 200G or 1.5T" size;
  amount = matching "size with a unit such as 50G, or 5% to 90%" "${size}|${percent}";
  inodes = matching "number such as \"50000\", or 1% to 90%" "0*[1-9][0-9]{0,18}|([1-9]|[1-8][0-9]|90)%";
  risk = types.enum [
    "low"
    "medium"
    "high"
    "critical"
  ];
  keep = types.ints.between 0 1000;
  # whether systemd knows one is seen when the settings file is built
  calendar = types.singleLineStr // {
    description = "calendar expression of systemd.time(7), such as daily or Sat 04:30";
  };
  span = types.singleLineStr // {
    description = "time span of systemd.time(7), such as 15min or 1h";
  };
  profile = matching "system, users, home-manager, containers, system-manager, nix-on-droid, nix-collect-garbage, or the absolute path of a profile or a pattern for paths" "system|users|home-manager|containers|system-manager|nix-on-droid|nix-collect-garbage|/.+";
  user = matching "name of a user, or the number as text" "[^[:space:]:/*]+";
  place = matching "absolute path" "/.*";
  # systemd would read more than one path, or another one
  directory = matching "absolute path without spaces, quotes, %, $ and backslashes" "/[^[:space:]\"'%$\\]*";
  # what can be connected to from this machine alone is known by its text
  address = matching "address and port, such as 127.0.0.1:9748 or [::1]:9748, or unix:/path" "[0-9.]+:[0-9]{1,5}|\\[[0-9a-fA-F:.]+]:[0-9]{1,5}|unix:/[^[:space:]\"'%$\\]*";
  safetyCheck = matching "code of a safety check, such as roots.unreadable" "[a-z]+\\.[a-z-]+";
  reason = matching "text that is not empty" ".*[^[:space:]].*";

  unit = matching "name of a unit of systemd, such as notify@%n.service" "[a-zA-Z0-9@%:_.\\\\-]+\\.(automount|device|mount|path|scope|service|slice|socket|swap|target|timer)";

  jobName = "[a-zA-Z0-9][a-zA-Z0-9_-]{0,49}";
}
