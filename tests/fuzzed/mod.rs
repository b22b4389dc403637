//! Every fuzz target without a fuzzer: its seeds, cut, flipped and spliced blindly, on any machine and compiler.
//!
//! It finds less than coverage-guided fuzzing does, but it runs with every test run, and its mutations depend on
//! the target's name only, so that a failure is there again the next time. `FUZZED_ROUNDS` asks for more of them.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use strongroom::fuzzing;

/// One parser: the name of its fuzz target, of the folder of its seeds, and of its function in the engine.
#[derive(Clone, Copy)]
struct Target {
    name: &'static str,
    run: fn(&[u8]),
}

/// All parsers.
const TARGETS: &[Target] = &[
    Target { name: "config_private", run: fuzzing::config_private },
    Target { name: "config_public", run: fuzzing::config_public },
    Target { name: "entry", run: fuzzing::entry },
    Target { name: "entry_path", run: fuzzing::entry_path },
    Target { name: "envelope", run: fuzzing::envelope },
    Target { name: "gc", run: fuzzing::gc },
    Target { name: "index_body", run: fuzzing::index_body },
    Target { name: "index_parts", run: fuzzing::index_parts },
    Target { name: "key_file", run: fuzzing::key_file },
    Target { name: "keyslot", run: fuzzing::keyslot },
    Target { name: "location", run: fuzzing::location },
    Target { name: "object_name", run: fuzzing::object_name },
    Target { name: "pack_head", run: fuzzing::pack_head },
    Target { name: "pack_table", run: fuzzing::pack_table },
    Target { name: "page", run: fuzzing::page },
    Target { name: "recovery_code", run: fuzzing::recovery_code },
    Target { name: "snapshot", run: fuzzing::snapshot },
    Target { name: "unsqueeze", run: fuzzing::unsqueeze },
    Target { name: "wire", run: fuzzing::wire },
];

/// Mutations of each target in an ordinary test run.
const ROUNDS: u32 = 3_000;
/// Numbers that parsers stumble over, put where a length may stand.
const EDGES: [u32; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand below the top").join("fuzz")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = match fs::read_dir(folder().join("seeds").join(target)) {
        Ok(names) => names.map(|name| name.expect("a name").path()).collect(),
        Err(_) => Vec::new(),
    };
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// SplitMix64, started from a name.
struct Dice(u64);

impl Dice {
    fn new(name: &str) -> Self {
        Self(
            name.bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)),
        )
    }

    fn draw(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound.max(1)).expect("a bound")).expect("below a bound")
    }
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=dice.draw(4) {
        let at = dice.draw(bytes.len() + 1);
        match dice.draw(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_slice(&other[dice.draw(other.len() + 1)..]),
            2 => bytes.insert(at, u8::try_from(dice.draw(256)).expect("a byte")),
            3 => {
                let edge = EDGES[dice.draw(EDGES.len())].to_le_bytes();
                bytes.iter_mut().skip(at).zip(edge).for_each(|(to, from)| *to = from);
            }
            4 => drop(bytes.drain(at..(at + dice.draw(9)).min(bytes.len()))),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.draw(8)),
        }
    }
}

/// Runs a target on its seeds and their mutations; the first input that makes it panic, with how it came about.
fn first_failure(target: Target, rounds: u32) -> Option<Vec<u8>> {
    let seeds = seeds(target.name);
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    let fails = |bytes: &Vec<u8>| catch_unwind(|| (target.run)(bytes)).is_err();
    if let Some(seed) = seeds.iter().find(|seed| fails(seed)) {
        return Some(seed.clone());
    }
    let mut dice = Dice::new(target.name);
    (0..rounds).find_map(|_| {
        let mut bytes = seeds[dice.draw(seeds.len())].clone();
        let other = &seeds[dice.draw(seeds.len())];
        mutate(&mut dice, &mut bytes, other);
        fails(&bytes).then_some(bytes)
    })
}

#[test]
fn no_parser_panics_on_damaged_or_hostile_input() {
    let rounds = std::env::var("FUZZED_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("FUZZED_ROUNDS is a number"));
    for target in TARGETS {
        if let Some(bytes) = first_failure(*target, rounds) {
            panic!("{} panics on {}", target.name, bytes.escape_ascii());
        }
    }
}

#[test]
fn a_parser_that_panics_would_be_found() {
    let careless = Target { name: "entry_path", run: |bytes| assert!(bytes.is_empty(), "seeds are not") };
    assert!(first_failure(careless, 0).is_some());
    let rare = Target { name: "entry_path", run: |bytes| assert!(!bytes.ends_with(&[0xff; 3]), "a mutation ends so") };
    assert!(first_failure(rare, 100_000).is_some());
}

#[test]
fn every_parser_has_a_fuzz_target() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("the fuzz manifest");
    let bins = manifest.split("[[bin]]").skip(1).filter_map(|bin| bin.split('"').nth(1));
    let names = TARGETS.iter().map(|target| target.name);
    assert_eq!(bins.collect::<BTreeSet<_>>(), names.collect::<BTreeSet<_>>());
}
