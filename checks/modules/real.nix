# Evaluates our modules with those of home-manager and nix-darwin that make units and agents of them, where there is a
# checkout of each: what stubs.nix stands in for must not be kinder than the real ones.
{
  lib,
  home-manager,
  nix-darwin,
}:

let
  inherit (lib) mkOption types;
  fake = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/${lib.strings.replicate 32 "1"}-${name}";
    meta.mainProgram = name;
  };
  anything = types.lazyAttrsOf types.anything;
  pkgsOf = isDarwin: {
    inherit lib;
    nix-prune = fake "nix-prune";
    systemd = fake "systemd";
    tzdata = fake "tzdata";
    writeText = name: text: fake name // { inherit text; };
    writeTextFile = file: fake file.name // { inherit (file) text; };
    writeScriptBin = name: _: fake name;
    runCommand =
      name: _: _:
      fake name;
    stdenv.hostPlatform = {
      inherit isDarwin;
      isLinux = !isDarwin;
    };
    stdenv.buildPlatform.canExecute = _: true;
    formats.json = _: {
      type = types.attrsOf types.anything;
      generate = name: _: fake name;
    };
    formats.ini = _: { type = types.attrsOf (types.attrsOf types.anything); };
  };
  options = lib.mapAttrs (_: type: mkOption { inherit type; });
  common = {
    config._module.freeformType = anything;
    options = options {
      assertions = types.listOf types.raw;
      warnings = types.listOf types.str;
    };
    config.nix = {
      enable = true;
      package = fake "nix";
    };
  };

  home =
    isDarwin:
    ((import "${home-manager}/modules/lib/stdlib-extended.nix" lib).evalModules {
      modules = [
        "${home-manager}/modules/systemd.nix"
        "${home-manager}/modules/launchd"
        ../../nix/home-manager.nix
        ../../nix/template/home.nix
        common
        {
          options = options {
            meta = types.raw;
            lib = anything;
            xdg = anything;
            home = anything;
          };
          config.home.homeDirectory = "/Users/ann";
          config.home.username = "ann";
        }
      ];
      specialArgs.pkgs = pkgsOf isDarwin;
    }).config;

  machine =
    (lib.evalModules {
      modules = [
        "${nix-darwin}/modules/launchd"
        ../../nix/darwin.nix
        common
        {
          options = options {
            environment = anything;
            system = anything;
          };
          config.users.users = { };
          config.services.nix-prune = {
            enable = true;
            jobs.daily = {
              interval = {
                Weekday = 6;
                Hour = 4;
              };
              operations.collect = { };
            };
          };
        }
      ];
      specialArgs.pkgs = pkgsOf true;
    }).config;

  set = lib.filterAttrs (_: value: value != null);
in
{
  units = {
    inherit ((home false).systemd.user) services timers;
  };
  agents = lib.mapAttrs (_: agent: set agent.config) (home true).launchd.agents;
  daemons = machine.environment.launchDaemons;
}
