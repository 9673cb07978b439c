{
  services.nix-prune = {
    enable = true;
    # removed generations stay restorable for two weeks
    settings.undoWindow = "14d";
    jobs.daily = {
      dates = "03:15";
      # nothing is removed while a fifth of the disk is free
      budget.minFree = "20%";
      operations = {
        generations.keep = {
          last = 5;
          within = "14d";
          monthly = 6;
        };
        collect = { };
      };
    };
    # every user's own profiles, with the user's rights
    users.enable = true;
  };
}
