{
  description = "Garbage-collects a Nix store by retention policy and disk budget, with undo";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      # Nixpkgs has no x86_64-darwin any more. The modules and the overlay work there with a nixpkgs that has.
      eachSystem =
        outputs:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
          "aarch64-darwin"
        ] (system: outputs nixpkgs.legacyPackages.${system} self.packages.${system}.default);
    in
    import ./nix/outputs.nix
    // {
      packages = eachSystem (
        pkgs: package:
        {
          default = pkgs.callPackage ./nix/package.nix { };
          nix-prune = package;
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

      templates = {
        default = self.templates.nixos;
        nixos = {
          path = ./nix/templates/nixos;
          description = "A NixOS configuration with nix-prune";
        };
        home-manager = {
          path = ./nix/templates/home-manager;
          description = "A home-manager configuration with nix-prune";
        };
        nix-darwin = {
          path = ./nix/templates/nix-darwin;
          description = "A nix-darwin configuration with nix-prune";
        };
      };

      checks = eachSystem (
        pkgs: _:
        import ./checks {
          inherit pkgs;
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
        }
      );

      devShells = eachSystem (pkgs: _: { default = pkgs.callPackage ./nix/shell.nix { }; });

      formatter = eachSystem (pkgs: _: pkgs.nixfmt-tree);
    };
}
