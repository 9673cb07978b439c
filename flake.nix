{
  description = "Keeps a Nix store within its budget without taking away what its owner wants back";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      eachSystem =
        outputs:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
          "x86_64-darwin"
          "aarch64-darwin"
        ] (system: outputs nixpkgs.legacyPackages.${system} self.packages.${system}.default);
    in
    {
      packages = eachSystem (pkgs: _: { default = pkgs.callPackage ./nix/package.nix { }; });

      apps = eachSystem (
        _: package: {
          default = {
            type = "app";
            program = lib.getExe package;
            meta = { inherit (package.meta) description; };
          };
        }
      );

      overlays.default = final: _prev: { nix-prune = final.callPackage ./nix/package.nix { }; };

      devShells = eachSystem (pkgs: _: { default = pkgs.callPackage ./nix/shell.nix { }; });

      formatter = eachSystem (pkgs: _: pkgs.nixfmt-tree);

      checks = eachSystem (_: package: { inherit package; });
    };
}
