# The development shell for those who do not use flakes.
{
  pkgs ? import <nixpkgs> { },
}:

pkgs.callPackage ./nix/shell.nix { }
