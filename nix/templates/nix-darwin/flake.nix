{
  description = "A Mac that prunes its Nix store by policy";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";
    nix-darwin.url = "github:nix-darwin/nix-darwin";
    nix-darwin.inputs.nixpkgs.follows = "nixpkgs";
    # where you have it
    nix-prune.url = "git+file:///etc/nix-darwin/nix-prune";
    nix-prune.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nix-darwin, nix-prune, ... }:
    {
      darwinConfigurations.mac = nix-darwin.lib.darwinSystem {
        modules = [
          nix-prune.darwinModules.default
          ./nix-prune.nix
          {
            nixpkgs.hostPlatform = "aarch64-darwin";
            system.stateVersion = 6;
          }
        ];
      };
    };
}
