# As much of NixOS, home-manager and nix-darwin as the modules touch, with the same types. A key that one of them does
# not know is refused here as well.
{ lib }:

let
  inherit (lib) mkOption types;
  any =
    type: default:
    mkOption {
      inherit type default;
    };
  strings = any (types.listOf types.str) [ ];
  flag = any types.bool false;
  scalar = types.oneOf [
    types.bool
    types.int
    types.str
  ];
  section = any (types.attrsOf (types.either scalar (types.listOf scalar))) { };
  module = options: { inherit options; };

  common = module {
    assertions = any (types.listOf (types.attrsOf types.raw)) [ ];
    warnings = strings;
  };

  unit = {
    description = any types.str "";
    documentation = strings;
    after = strings;
    wants = strings;
    wantedBy = strings;
    onFailure = strings;
    onSuccess = strings;
    unitConfig = section;
  };
  service = unit // {
    path = any (types.listOf types.package) [ ];
    environment = any (types.attrsOf types.str) { };
    restartIfChanged = any types.bool true;
    serviceConfig = section;
  };
  timer = unit // {
    timerConfig = section;
  };
  socket = unit // {
    socketConfig = section;
  };
  # those of the modules that our module looks at, as each of them declares its options
  peers = {
    angrr.enable = flag;
    nix-sweep.enable = flag;
    fast-nix-gc = automatic;
    harmonia.gc = automatic;
    harmonia-dev.gc = automatic;
  };
  automatic = {
    enable = flag;
    automatic = flag;
  };
  units = kind: any (types.attrsOf (types.submodule (module kind))) { };
  etc = any (types.attrsOf (
    types.submodule (module {
      source = any types.path null;
      text = any (types.nullOr types.lines) null;
    })
  )) { };
in
{
  nixos = [
    common
    (module {
      environment.systemPackages = any (types.listOf types.package) [ ];
      environment.etc = etc;
      # of the impermanence module
      environment.persistence = any (types.attrsOf types.raw) { };
      systemd.services = units service;
      systemd.timers = units timer;
      systemd.sockets = units socket;
      systemd.user.services = units service;
      systemd.user.timers = units timer;
      system.activationScripts = any (types.attrsOf (
        types.submodule (module {
          text = any types.lines "";
          supportsDryActivation = flag;
        })
      )) { };
      nix.enable = any types.bool true;
      nix.package = any types.package null;
      nix.gc.automatic = flag;
      programs.nh.clean.enable = flag;
      services = peers // {
        prometheus = any (types.attrsOf types.raw) { };
      };
    })
  ];

  # what the machines of checks/vm set besides
  vm = [
    (
      { config, ... }:
      {
        options = {
          nix.settings.substituters = strings;
          specialisation = any (types.attrsOf (
            types.submodule (module {
              configuration = any types.deferredModule { };
            })
          )) { };
          systemd.user.units = any (types.attrsOf (
            types.submodule (module {
              text = any types.lines "";
            })
          )) { };
          users.users = any (types.attrsOf (types.attrsOf types.raw)) { };
          virtualisation = any (types.attrsOf types.raw) { };
        };
        config = {
          # NixOS appends it to what anybody sets.
          nix.settings.substituters = lib.mkAfter [ "https://cache.nixos.org/" ];
          assertions = lib.mapAttrsToList (name: _: {
            assertion = !lib.hasPrefix "systemd/" name;
            message = "environment.etc.\"${name}\": /etc/${dirOf name} is a link to a directory of the store, which can have no other entries.";
          }) config.environment.etc;
        };
      }
    )
  ];

  home-manager = [
    common
    (module {
      home.packages = any (types.listOf types.package) [ ];
      home.homeDirectory = any types.path "/home/ann";
      xdg.configFile = etc;
      systemd.user.services = any (types.attrsOf (types.attrsOf (types.attrsOf types.raw))) { };
      systemd.user.timers = any (types.attrsOf (types.attrsOf (types.attrsOf types.raw))) { };
      launchd.agents = any (types.attrsOf (
        types.submodule (module {
          enable = flag;
          config = any (types.attrsOf types.raw) { };
        })
      )) { };
      nix.enable = any types.bool true;
      nix.package = any (types.nullOr types.package) null;
      nix.gc.automatic = flag;
      programs.nh.clean.enable = flag;
      services.home-manager.autoExpire.enable = flag;
    })
  ];

  darwin = [
    common
    (module {
      environment.systemPackages = any (types.listOf types.package) [ ];
      environment.etc = etc;
      launchd.daemons = any (types.attrsOf (
        types.submodule (module {
          serviceConfig = any (types.attrsOf types.raw) { };
        })
      )) { };
      nix.enable = any types.bool true;
      nix.package = any types.package null;
      nix.gc.automatic = flag;
      services = { inherit (peers) angrr fast-nix-gc harmonia-dev; };
    })
  ];
}
