# The tests of checks/vm in virtual machines, by name.
{ lib, testers }:

lib.mapAttrs' (file: _: {
  name = lib.removeSuffix ".nix" file;
  value = testers.runNixOSTest (
    import (./vm + "/${file}") {
      inherit lib;
      module = (import ../nix/outputs.nix).nixosModules.default;
    }
  );
}) (lib.filterAttrs (file: _: file != "common.nix") (builtins.readDir ./vm))
