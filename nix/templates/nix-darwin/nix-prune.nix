{
  services.nix-prune = {
    enable = true;
    jobs.weekly = {
      # Saturday, half past four
      interval = {
        Weekday = 6;
        Hour = 4;
        Minute = 30;
      };
      operations = {
        generations.keep = {
          last = 3;
          within = "30d";
        };
        collect = { };
      };
    };
  };
}
