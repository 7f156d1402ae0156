//! What is kept of fuzzing runs through its targets as any test does: without the fuzzer, and within a moment.

use driftline_fuzz::TARGETS;

#[test]
fn the_command_knows_every_target() {
    let command = include_str!("../../xtask/src/fuzz.rs");
    for target in TARGETS {
        assert!(command.contains(&format!("(\"{}\"", target.name)), "cargo xtask fuzz does not know {}", target.name);
    }
}

#[test]
fn what_was_found_once_is_read_well() {
    for target in TARGETS {
        let inputs = target.corpus();
        assert!(!inputs.is_empty(), "{}: nothing is kept of it", target.name);
        for input in inputs {
            (target.read)(&input);
        }
    }
}

#[test]
fn sound_inputs_are_read_well_whole_cut_and_damaged() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(seeds.len() > 3, "{}: it begins with next to nothing", target.name);
        for seed in seeds {
            (target.read)(&seed);
            for at in (0..seed.len()).step_by(7) {
                (target.read)(&seed[..at]);
                let mut damaged = seed.clone();
                damaged[at] ^= 0x11;
                (target.read)(&damaged);
            }
        }
    }
}
