//! Every verb with a standard output that takes nothing: full, open for reading only, or closed before the program began.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::finish;
use crate::harness::run;
use std::fs::File;
use std::process::Command;
use std::process::Stdio;

/// Runs with a full disk behind standard output.
fn full(command: &mut Command) -> Outcome {
    run(command.stdout(File::options().write(true).open("/dev/full").expect("every Linux has it")))
}

/// Runs with a standard output that is open for reading only.
fn read_only(command: &mut Command) -> Outcome {
    run(command.stdout(File::open("/dev/null").expect("every Linux has it")))
}

/// Runs without a standard output, as `>&-` has it.
fn shut(command: &mut Command) -> Outcome {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("a house has one"));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell.spawn().expect("a shell starts"))
}

/// Verbs that do nothing but show: nothing was done.
const SHOWING: &[&str] = &[
    "snapshots",
    "--json snapshots",
    "ls latest",
    "find *",
    "diff latest~1 latest",
    "stats",
    "cat config",
    "key list",
    "dump latest",
    "backup --dry-run in",
    "restore latest --dry-run --target out",
    "forget --dry-run --keep-last 1",
    "prune --dry-run",
    "repair index --dry-run",
    "version",
    "man",
    "completions bash",
];

/// Verbs that do something, in an order in which there is something to do, and what is said of it.
const DOING: &[(&str, &str)] = &[
    ("-r new init --no-recovery-code", "the repository is made"),
    ("backup in", "is stored, but"),
    ("restore latest --target out --no-owner", "everything was restored, but"),
    ("check", "the repository is sound, but"),
    ("repair index", "the index is repaired as far as it can be, but"),
    ("repair packs", "what could be saved of the packs is saved, but"),
    ("repair fetch --from-repo other --all", "what could be fetched is stored, but"),
    ("repair snapshots --all", "the snapshots are repaired as far as they can be, but"),
    ("tag --add x latest", "the tags are changed, but"),
    ("rewrite --exclude more latest", "the snapshots are rewritten, but"),
    ("copy --from-repo other --all", "the snapshots are copied, but"),
    ("key add --new-key-file second.key", "the key is added, but"),
    ("protect latest", "the protection is changed, but"),
    ("unprotect latest", "the protection is changed, but"),
    ("forget --keep-last 1 --group-by host", "the snapshots are removed, but"),
    ("prune", "the repository is pruned, but"),
    ("key rotate", "the root key is changed"),
];

/// Two snapshots, and another repository with one, under the same key.
fn house() -> House {
    let house = House::new();
    for name in ["in/file", "in/more"] {
        house.write(name, name);
        house.backup(&["in"]);
    }
    house.run(["-r", "other", "init", "--no-recovery-code"]).done();
    house.run(["-r", "other", "backup", "in"]).done();
    house
}

#[test]
fn what_cannot_be_shown_is_said_by_every_verb() {
    for take in [full, read_only] {
        let house = house();
        let take = |words: &str| take(&mut house.command(words.split(' ')));
        for words in SHOWING {
            let outcome = take(words).ended(1);
            let said = ["cannot write the result", "standard output is closed"];
            assert!(said.iter().any(|said| outcome.err.contains(said)), "{words}: {outcome}");
        }
        for (words, said) in DOING {
            let outcome = take(words).ended(3);
            assert!(outcome.err.contains(said), "{words}: {outcome}");
        }
        house.assert_sound();
    }
}

#[test]
fn nothing_that_is_shown_only_once_is_made_for_nobody() {
    let house = House::empty();
    let refused = |words: &str| {
        shut(&mut house.command(words.split(' '))).refused(1, &["standard output is closed", "shown to nobody"]);
    };
    refused("init");
    assert!(!house.repository().exists() && !house.path("key").exists());
    house.run(["init"]).done();
    let keys = || house.run(["--json", "key", "list"]).done().out;
    let before = keys();
    for words in ["key add --new-recovery-code", "key rotate", "key rotate --new-key-file other.key"] {
        refused(words);
    }
    assert_eq!(keys(), before);
    assert!(!house.path("other.key").exists());
    // The first backup makes the user's own repository, with a code as well.
    let mut first = house.bare();
    shut(first.args(["backup", "home"])).refused(1, &["standard output is closed"]);
    assert!(crate::harness::files(&house.path("data")).is_empty());
}

#[test]
fn an_output_that_is_thrown_away_on_purpose_is_no_failure() {
    let house = house();
    for words in [["snapshots"].as_slice(), &["backup", "in"], &["key", "add", "--new-recovery-code"]] {
        run(house.command(words).stdout(Stdio::null())).done();
    }
    // As Python does it; nobody can tell that from an output that was closed.
    let null = || File::options().read(true).write(true).open("/dev/null").expect("every Linux has it");
    for words in [["snapshots"].as_slice(), &["backup", "in"]] {
        run(house.command(words).stdout(null())).done();
        shut(&mut house.command(words)).done();
    }
    let dump = ["dump", "latest", "in/file"];
    run(house.command(dump).stdout(Stdio::null())).done();
    shut(&mut house.command(dump)).refused(1, &["standard output is closed", "--target"]);
}
