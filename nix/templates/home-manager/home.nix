{
  services.nix-prune = {
    enable = true;
    jobs.weekly = {
      dates = "weekly";
      operations.generations.keep = {
        last = 3;
        within = "30d";
      };
    };
  };
}
