# What else removes generations or collects garbage on a schedule: what it removes is not held.
{ lib }:

let
  generations = "removes generations";
  everything = "removes generations and collects garbage";
  # a module whose schedule is an option of its own
  scheduled = option: {
    inherit option;
    needs = [ (lib.removeSuffix ".automatic" option + ".enable") ];
    does = everything;
  };
  harmonia = map scheduled [
    "services.fast-nix-gc.automatic"
    "services.harmonia.gc.automatic"
    "services.harmonia-dev.gc.automatic"
  ];
  nixGc = {
    option = "nix.gc.automatic";
    does = "collects garbage, and removes generations if its options say so";
  };
  nh = {
    option = "programs.nh.clean.enable";
    does = everything;
  };
  angrr = {
    option = "services.angrr.enable";
    does = "removes generations and roots";
  };
in
rec {
  nixos = [
    nixGc
    nh
    angrr
    {
      option = "services.nix-sweep.enable";
      does = everything;
    }
  ]
  ++ harmonia;

  home-manager = [
    nixGc
    nh
    {
      option = "services.home-manager.autoExpire.enable";
      does = generations;
    }
  ];

  darwin = [
    nixGc
    angrr
  ]
  ++ harmonia;

  # Warnings about those of them that are on, beside the module at `at`.
  warnings =
    config: at: peers:
    let
      isOn = option: lib.attrByPath (lib.splitString "." option) false config;
      active = lib.filter (peer: lib.all isOn ([ peer.option ] ++ peer.needs or [ ])) peers;
    in
    map (
      peer:
      "${peer.option} is on beside ${at}: it ${peer.does}, and what it removes is not held and cannot be put back. Either set ${peer.option} = false, or ${at}.enable = false. `nix-prune config import` makes a job of its options."
    ) active;
}
