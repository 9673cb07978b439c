{
  description = "Garbage-collects a Nix store by retention policy and disk budget, with undo";

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

      # The module as nixpkgs would have it, with the package of this flake.
      withPackage =
        module:
        { lib, pkgs, ... }:
        {
          imports = [ module ];
          services.nix-prune.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };
    in
    {
      packages = eachSystem (
        pkgs: _:
        {
          default = pkgs.callPackage ./nix/package.nix { };
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          # one file, for machines without Nix's libraries; it takes the Nix on PATH
          static = pkgs.pkgsStatic.callPackage ./nix/package.nix { withNix = false; };
        }
      );

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

      nixosModules.default = withPackage ./nix/module.nix;
      homeModules.default = withPackage ./nix/home-manager.nix;
      darwinModules.default = withPackage ./nix/darwin.nix;

      templates.default = {
        path = ./nix/template;
        description = "A NixOS configuration with nix-prune";
      };

      checks = eachSystem (
        pkgs: package:
        import ./checks {
          inherit pkgs package;
          module = self.nixosModules.default;
        }
      );

      devShells = eachSystem (pkgs: _: { default = pkgs.callPackage ./nix/shell.nix { }; });

      formatter = eachSystem (pkgs: _: pkgs.nixfmt-tree);
    };
}
