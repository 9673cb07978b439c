{
  description = "A machine that prunes its Nix store by policy and budget";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # where you have it
    nix-prune.url = "git+file:///etc/nixos/nix-prune";
    nix-prune.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, nix-prune, ... }:
    {
      nixosConfigurations.machine = nixpkgs.lib.nixosSystem {
        modules = [
          nix-prune.nixosModules.default
          ./nix-prune.nix
          # your configuration.nix and hardware-configuration.nix
          { nixpkgs.hostPlatform = "x86_64-linux"; }
        ];
      };
    };
}
