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

  # The calendar expressions of systemd.time(7), part by part.
  list = item: "${item}(,${item})*";
  steps = number: list "(\\*|${number}(\\.\\.${number})?)(/[0-9]+(\\.[0-9]+)?)?";
  day = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
  days = list "${day}(\\.\\.${day})?";
  year = steps "[0-9]{4}";
  month = steps "(0?[1-9]|1[0-2])";
  date = steps "(0?[1-9]|[12][0-9]|3[01])";
  hour = steps "([01]?[0-9]|2[0-3])";
  sixty = steps "[0-5]?[0-9](\\.[0-9]{1,6})?";
  zone = "(UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_+-]+)+)";
  fullDate = "((${year}-)?${month}[-~]${date})";
  time = "(${hour}:${sixty}(:${sixty})?)";
  word = "(minutely|hourly|daily|weekly|monthly|quarterly|semiannually|annually|yearly)";
  calendar = "(${word}|${days}|(${days} )?${fullDate}( ${time})?|(${days} )?${time})( ${zone})?";

  unit = "(us|ms|s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?)";
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
  calendar = matching "calendar expression of systemd.time(7), such as daily or Sat 04:30" calendar;
  span = matching "time span of systemd.time(7), such as 15min or 1h" "[0-9]+|[0-9]+ ?${unit}( ?[0-9]+ ?${unit})*";
  profile = matching "system, users, home-manager, nix-collect-garbage, or the absolute path of a profile" "system|users|home-manager|nix-collect-garbage|/.+";
  place = matching "absolute path" "/.*";
  safetyCheck = matching "code of a safety check, such as roots.unreadable" "[a-z]+\\.[a-z-]+";
  reason = matching "text that is not empty" ".*[^[:space:]].*";

  jobName = "[a-zA-Z0-9][a-zA-Z0-9_-]{0,49}";
}
