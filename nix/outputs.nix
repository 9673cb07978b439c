# What flake.nix and default.nix have in common: the overlay and the modules.
let
  # The module as nixpkgs would have it. Its package is built here, with the nixpkgs of the machine.
  withPackage =
    output: module:
    { lib, pkgs, ... }:
    {
      # With a key of its own, a module that is imported twice counts once.
      key = "${toString ./outputs.nix}#${output}";
      _file = "${toString ./outputs.nix}#${output}";
      imports = [ module ];
      services.nix-prune.package = lib.mkDefault (pkgs.callPackage ./package.nix { });
    };
in
{
  overlays.default = final: _prev: { nix-prune = final.callPackage ./package.nix { }; };

  nixosModules.default = withPackage "nixosModules.default" ./module.nix;
  homeModules.default = withPackage "homeModules.default" ./home-manager.nix;
  darwinModules.default = withPackage "darwinModules.default" ./darwin.nix;
}
