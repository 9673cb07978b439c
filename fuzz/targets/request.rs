#![no_main]

use nix_prune::fuzzing::Target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| Target::Request.run(input));
