{
  description = "A home whose profiles are pruned by policy";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    home-manager.url = "github:nix-community/home-manager";
    home-manager.inputs.nixpkgs.follows = "nixpkgs";
    # where you have it
    nix-prune.url = "git+file:///home/ann/nix-prune";
    nix-prune.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    {
      nixpkgs,
      home-manager,
      nix-prune,
      ...
    }:
    {
      homeConfigurations.ann = home-manager.lib.homeManagerConfiguration {
        pkgs = nixpkgs.legacyPackages.x86_64-linux;
        modules = [
          nix-prune.homeModules.default
          ./home.nix
          {
            home.username = "ann";
            home.homeDirectory = "/home/ann";
            home.stateVersion = "26.05";
          }
        ];
      };
    };
}
