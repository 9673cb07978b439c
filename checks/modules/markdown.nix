# The options of the modules as a document.
{ lib, options }:

let
  # What other renderers do with roles, for readers who have none.
  plain =
    text:
    lib.concatMapStrings (part: if lib.isString part then part else "") (
      builtins.split "[{](command|env|file|manpage|option)[}]" text
    );
  lines =
    text:
    lib.concatStringsSep "\n" (
      map (lib.removeSuffix " ") (lib.splitString "\n" (lib.trim (plain text)))
    );

  value =
    what: it:
    let
      text = it.text;
    in
    if lib.hasInfix "\n" text then "${what}:\n\n```nix\n${text}\n```\n" else "${what}: `${text}`\n";

  entry =
    option:
    if option.description or null == null then
      throw "${option.name} has no description"
    else
      lib.concatStringsSep "\n" (
        [
          "### `${option.name}`\n"
          (lines option.description)
          ""
          "Type: ${option.type}\n"
        ]
        ++ lib.optional (option ? default) (value "Default" option.default)
        ++ lib.optional (option ? example) (value "Example" option.example)
      );

  section =
    title: text: chosen:
    "## ${title}\n\n${text}\n\n${lib.concatMapStringsSep "\n" entry chosen}";

  # Those of users have the same ones below them, and say so.
  shown = lib.filter (
    option:
    !lib.hasPrefix "services.nix-prune.users.jobs." option.name
    && !lib.hasPrefix "services.nix-prune.users.settings." option.name
  );
  same = a: b: a.description == b.description && a.default or null == b.default or null;
  own = lib.filter (
    option: !lib.any (other: other.name == option.name && same option other) options.nixos
  );
in
lib.concatStringsSep "\n" [
  ''
    # Options of the modules

    Made from the modules themselves by `scripts/check-modules --update`. [The guide](guide/policy.md) explains what the settings
    mean, and [a decision](decisions/0009-modules.md) what the jobs of the system may do and why.
  ''
  (section "NixOS" "Of `nixosModules.default`." (shown options.nixos))
  (section "home-manager"
    "`homeModules.default` has the options of NixOS but for `users`, `watch` and `onFailure`; these differ."
    (own options.home-manager)
  )
  (section "nix-darwin"
    "`darwinModules.default` has the options of NixOS but for those that say when a job runs, and `users`; these differ."
    (own options.darwin)
  )
]
