# The package, the overlay and the modules for those who do not use flakes.
{
  pkgs ? import <nixpkgs> { },
}:

import ./nix/outputs.nix // { nix-prune = pkgs.callPackage ./nix/package.nix { }; }
