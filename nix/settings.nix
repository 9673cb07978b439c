# From options to settings: what becomes JSON, what is refused before, and what is only remarked.
{ lib }:

let
  own = import ./types.nix { inherit lib; };

  # What nobody set is not written.
  written =
    value:
    if lib.isList value then
      map written value
    else if lib.isAttrs value && !lib.isDerivation value then
      lib.mapAttrs (_: written) (lib.filterAttrs (_: inner: inner != null) value)
    else
      value;

  policyOf =
    job:
    lib.getAttrs [
      "description"
      "enabled"
      "maxRisk"
      "budget"
    ] job
    // {
      # without the alias of `enabled`
      operations = lib.mapAttrs (
        _: operation: if operation == null then null else removeAttrs operation [ "enable" ]
      ) job.operations;
    };

  isNotSet = value: value == null;
  goals =
    budget:
    lib.filter (key: !isNotSet (budget.${key} or null)) [
      "minFree"
      "maxUsed"
      "maxStore"
      "minFreeInodes"
    ];
  sizes = budget: lib.remove "minFreeInodes" (goals budget);
  keepsSomething = keep: lib.any (rule: !isNotSet rule && rule != 0) (lib.attrValues (removeAttrs keep [ "knownGood" ]));

  # Assertions about a job called `name`, whose options are at `at`.
  ofJob =
    cfg: parent: name: job:
    let
      at = "${parent}.jobs.${name}";
      settingsAt = "${parent}.settings";
      done = lib.filter (operation: !isNotSet operation) (lib.attrValues job.operations);
      generations = job.operations.generations;
      # what is written past the options is checked in the build
      past = cfg.settings.jobs.${name} or { };
    in
    [
      {
        assertion = builtins.match own.jobName name != null;
        message = "${at}: a job has a name of 1 to 50 letters, digits, `_` and `-` that begins with a letter or digit. Rename it.";
      }
      {
        assertion = job.enabled -> done != [ ] || past ? operations;
        message = "${at}.operations: the job is enabled and does nothing. Either set one of generations, roots, leftovers, collect, bootMenu, optimise and verify, or set ${at}.enabled = false.";
      }
      {
        assertion = job.maxRisk == "critical" -> !cfg.settings.safeMode;
        message = "${at}.maxRisk: the job may do what is critical, and the safe mode refuses that. Either set it to \"high\", or set ${settingsAt}.safeMode = false if nothing needs to bring this machine back.";
      }
      {
        assertion = isNotSet job.budget || (goals job.budget != [ ] && lib.length (sizes job.budget) <= 1);
        message = "${at}.budget: a budget has one goal for the size. Either set one of minFree, maxUsed and maxStore, or minFreeInodes, or both, or remove the budget.";
      }
      {
        assertion = isNotSet generations || keepsSomething generations.keep;
        message = "${at}.operations.generations.keep: nothing is kept. Either set a rule above zero, such as last = 5 or within = \"14d\", or remove generations.";
      }
      {
        assertion = isNotSet generations || generations.profiles != [ ];
        message = "${at}.operations.generations.profiles: no profile is selected. Either name one, or remove generations.";
      }
    ];
in
{
  inherit goals;

  # The attributes of the settings file of these options.
  file =
    cfg:
    written cfg.settings
    // {
      jobs = lib.recursiveUpdate (lib.mapAttrs (_: job: written (policyOf job)) cfg.jobs) (
        cfg.settings.jobs or { }
      );
    };

  # of the options below `at`
  assertions =
    cfg: at:
    [
      {
        assertion = cfg.jobs != { } || cfg.settings.jobs or { } != { };
        message = "${at}.jobs: there is no job. Either define one, or remove the empty definition to have the job `daily`.";
      }
    ]
    ++ lib.concatLists (lib.mapAttrsToList (ofJob cfg at) cfg.jobs);

  # What is remarked of the options below `at`.
  warnings =
    cfg: at:
    map (
      name:
      "${at}.settings.jobs.${name} has no timer, and its budget is not watched. Define ${at}.jobs.${name} instead; a job without a time runs by hand only."
    ) (lib.attrNames (removeAttrs (cfg.settings.jobs or { }) (lib.attrNames cfg.jobs)));

  # What systemd must know of the enabled jobs below `at`.
  times =
    at: jobs:
    let
      of = kind: option: text: { inherit kind option text; };
      ofJob =
        name: job:
        let
          option = key: "${at}.jobs.${name}.${key}";
        in
        map (of "calendar" (option "dates")) job.dates
        ++ [ (of "timespan" (option "randomizedDelaySec") job.randomizedDelaySec) ]
        ++ lib.optional (job ? watch) (of "timespan" (option "watch.interval") job.watch.interval);
    in
    lib.concatLists (lib.mapAttrsToList ofJob jobs);

  # The jobs that run, with what the settings say past the options.
  enabledJobs =
    cfg:
    let
      past = name: lib.getAttrs (lib.intersectLists [ "budget" "enabled" ] (keys name)) (of name);
      keys = name: lib.attrNames (of name);
      of = name: cfg.settings.jobs.${name} or { };
      jobs = lib.mapAttrs (name: job: lib.recursiveUpdate job (past name)) cfg.jobs;
    in
    lib.filterAttrs (_: job: job.enabled) jobs;
}
