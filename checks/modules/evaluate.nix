# Evaluates the modules with a `lib` of nixpkgs, and small stand-ins for all else.
#   goldens   the files that each case makes, by path
#   outcomes  for each wrong configuration how it fails, and what the message must say
#   refused   settings that only the program refuses
#   markdown  the documentation of the options
{
  lib,
  # what one wrong configuration is, to see how its evaluation fails
  system ? null,
  index ? null,
}:

let
  stubs = import ./stubs.nix { inherit lib; };
  cases = import ./cases.nix // {
    vm = lib.mapAttrs' (file: _: {
      name = lib.removeSuffix ".nix" file;
      value =
        (import (../vm + "/${file}") {
          inherit lib;
          module = outputs.nixosModules.default;
        }).nodes.machine;
    }) (lib.filterAttrs (file: _: file != "common.nix") (builtins.readDir ../vm));
  };
  inherit (import ./wrong.nix { inherit lib; }) built;
  wrong = builtins.removeAttrs (import ./wrong.nix { inherit lib; }) [ "built" ];

  # In place of a derivation, a path that reads well in a golden file.
  fake =
    digit: name: extra:
    {
      type = "derivation";
      inherit name;
      outPath = "/nix/store/${lib.strings.replicate 32 digit}-${name}";
    }
    // extra;
  nix-prune = fake "1" "nix-prune" { meta.mainProgram = "nix-prune"; };
  nix = fake "3" "nix" { };

  value =
    let
      inherit (lib) types;
    in
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
        types.path
        (types.attrsOf value)
        (types.listOf value)
      ]
    )
    // {
      description = "JSON value";
    };

  pkgsOf = isDarwin: rec {
    inherit lib nix-prune nix;
    systemd = fake "6" "systemd" { };
    tzdata = fake "7" "tzdata" { };
    curl = fake "8" "curl" { };
    writeShellScript = name: _: fake "9" name { };
    callPackage = _: _: nix-prune;
    stdenv.hostPlatform = {
      inherit isDarwin;
    };
    stdenv.buildPlatform.canExecute = platform: platform == stdenv.hostPlatform;
    formats.json = _: {
      type = value;
      generate = name: settings: fake "5" name { inherit settings; };
    };
    # the checked file carries what it was made from
    runCommand =
      name: environment: script:
      assert lib.hasInfix "config check" script;
      fake (if lib.hasInfix ".users." environment.option then "4" else "2") name {
        inherit (environment.file) settings;
        inherit (environment) option;
        inherit script;
      };
  };

  outputs = import ../../nix/outputs.nix;
  modules = {
    nixos = {
      module = outputs.nixosModules.default;
      stub = stubs.nixos ++ [ { nix.package = nix; } ];
      pkgs = pkgsOf false;
    };
    # the machines of checks/vm
    vm = modules.nixos // {
      stub = modules.nixos.stub ++ stubs.vm;
    };
    home-manager = {
      module = outputs.homeModules.default;
      stub = stubs.home-manager;
      pkgs = pkgsOf false;
    };
    home-manager-darwin = {
      module = outputs.homeModules.default;
      stub = stubs.home-manager ++ [
        {
          nix.package = nix;
          home.homeDirectory = "/Users/ann";
        }
      ];
      pkgs = pkgsOf true;
    };
    darwin = {
      module = outputs.darwinModules.default;
      stub = stubs.darwin ++ [ { nix.package = nix; } ];
      pkgs = pkgsOf true;
    };
  };

  evaluate =
    name: config:
    lib.evalModules {
      modules = modules.${name}.stub ++ [
        # twice, as where two parts of a configuration import it
        modules.${name}.module
        modules.${name}.module
        config
      ];
      specialArgs = { inherit (modules.${name}) pkgs; };
    };

  failed =
    config: map (it: it.message) (lib.filter (assertion: !assertion.assertion) config.assertions);
  sound =
    config: if failed config == [ ] then config else throw (lib.concatStringsSep "\n" (failed config));

  ## Units as systemd reads them

  ini = lib.generators.toINI {
    listsAsDuplicateKeys = true;
    mkKeyValue = lib.generators.mkKeyValueDefault { } "=";
  };
  sections = lib.filterAttrs (_: section: section != { });
  full = lib.filterAttrs (_: value: value != "" && value != [ ]);
  head =
    unit:
    full {
      Description = unit.description;
      Documentation = unit.documentation;
      After = lib.concatStringsSep " " unit.after;
      Wants = lib.concatStringsSep " " unit.wants;
      OnFailure = lib.concatStringsSep " " unit.onFailure;
      OnSuccess = lib.concatStringsSep " " unit.onSuccess;
      X-RestartIfChanged = lib.optionalString (!(unit.restartIfChanged or true)) "false";
    }
    // unit.unitConfig;
  serviceText =
    service:
    ini (sections {
      Unit = head service;
      Service =
        full {
          Environment =
            lib.mapAttrsToList (name: value: "\"${name}=${value}\"") service.environment
            ++ lib.optional (service.path != [ ]) "\"PATH=${lib.makeBinPath service.path}\"";
        }
        // service.serviceConfig;
    });
  timerText =
    timer:
    ini (sections {
      Unit = head timer;
      Timer = timer.timerConfig;
      Install = full { WantedBy = lib.concatStringsSep " " timer.wantedBy; };
    });
  socketText =
    socket:
    ini (sections {
      Unit = head socket;
      Socket = socket.socketConfig;
      Install = full { WantedBy = lib.concatStringsSep " " socket.wantedBy; };
    });
  plist = lib.generators.toPlist { escape = true; };
  files =
    folder: suffix: text: units:
    lib.mapAttrs' (name: unit: lib.nameValuePair "${folder}${name}.${suffix}" (text unit)) units;
  json = source: builtins.toJSON source.settings;
  remarks = config: {
    "warnings.txt" = lib.concatMapStrings (warning: warning + "\n") config.warnings;
  };
  written = lib.filterAttrs (_: text: text != "");

  render = {
    nixos =
      config:
      lib.mapAttrs' (name: file: lib.nameValuePair (baseNameOf name) (json file.source)) (
        lib.filterAttrs (_: file: file.text == null) config.environment.etc
      )
      // files "system/" "service" serviceText config.systemd.services
      // files "system/" "timer" timerText config.systemd.timers
      // files "system/" "socket" socketText config.systemd.sockets
      // files "user/" "service" serviceText config.systemd.user.services
      // files "user/" "timer" timerText config.systemd.user.timers
      // {
        "activation.sh" = config.system.activationScripts.nix-prune.text;
      };
    vm =
      config:
      render.nixos config
      // lib.mapAttrs' (name: unit: lib.nameValuePair "user/${name}" unit.text) config.systemd.user.units
      // {
        "nix.conf" = "substituters = ${toString config.nix.settings.substituters}\n";
      };
    home-manager =
      config:
      {
        "config.json" = json config.xdg.configFile."nix-prune/config.json".source;
      }
      // files "user/" "service" ini config.systemd.user.services
      // files "user/" "timer" ini config.systemd.user.timers
      // files "agents/" "plist" (agent: plist agent.config) config.launchd.agents;
    home-manager-darwin = render.home-manager;
    darwin =
      config:
      {
        "config.json" = json config.environment.etc."nix-prune/config.json".source;
        "newsyslog.conf" = config.environment.etc."newsyslog.d/nix-prune.conf".text;
      }
      // files "daemons/" "plist" (daemon: plist daemon.serviceConfig) config.launchd.daemons;
  };

  goldensOf =
    name: case: config:
    let
      evaluated = sound (evaluate name config).config;
    in
    lib.mapAttrs' (file: lib.nameValuePair "${name}/${case}/${file}") (
      written (render.${name} evaluated // remarks evaluated)
    );

  # the configurations that a machine can switch to
  specialisationsOf =
    case: node:
    merge (
      lib.mapAttrsToList (
        name: specialisation:
        goldensOf "vm" "${case}-${name}" {
          imports = [
            node
            specialisation.configuration
          ];
        }
      ) (evaluate "vm" node).config.specialisation
    );

  merge = lib.foldl' (all: some: all // some) { };
in
{
  goldens = merge (
    lib.concatLists (lib.mapAttrsToList (name: lib.mapAttrsToList (goldensOf name)) cases)
    ++ lib.mapAttrsToList specialisationsOf cases.vm
  );

  # How wrong configurations fail: the messages of their assertions; "thrown" for the evaluation itself, and "right" for
  # those that do not fail.
  outcomes = lib.mapAttrs (
    name:
    map (
      row:
      let
        inherit (evaluate name row.config) config;
        outcome =
          if failed config == [ ] then builtins.deepSeq (render.${name} config) "right" else failed config;
        tried = builtins.tryEval (builtins.deepSeq outcome outcome);
      in
      {
        inherit (row) says first;
        outcome = if tried.success then tried.value else "thrown";
      }
    )
  ) wrong;

  # Fails as the evaluation of one of them does.
  thrown =
    let
      inherit (evaluate system (lib.elemAt wrong.${system} index).config) config;
    in
    builtins.deepSeq [
      (failed config)
      (render.${system} config)
    ] null;

  # The settings files whose build fails, with its script, and what it must name.
  refused = map (
    row:
    let
      file = row.file or "config.json";
    in
    {
      inherit (row) names;
      inherit ((evaluate "nixos" row.config).config.environment.etc."nix-prune/${file}".source)
        settings
        option
        script
        ;
    }
  ) built;

  markdown = import ./markdown.nix {
    inherit lib;
    options = lib.mapAttrs (
      name: _:
      lib.filter (
        option: lib.hasPrefix "services.nix-prune." option.name && !lib.hasInfix "._module." option.name
      ) (lib.optionAttrSetToDocList (evaluate name { }).options)
    ) modules;
  };
}
