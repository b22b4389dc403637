//! Names, tags and arguments that would turn, hide or command what a terminal shows: all printers spell them out.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::run;

/// A name with all sorts of what must not be printed as it is.
const NAME: &str =
    "evil\u{202e}gpj\u{2066}\u{200b}\u{200f}\u{61c}\u{ad}\u{feff}\u{2028}\u{2029}\u{e0041}\u{9b}2J\x1b[31m";

fn is_tricky(c: char) -> bool {
    c != '\n'
        && (c.is_control()
            || "\u{ad}\u{61c}\u{feff}\u{2028}\u{2029}".contains(c)
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{e0000}'..='\u{e0fff}'))
}

#[track_caller]
fn clean(outcome: Outcome) -> Outcome {
    let tricky: Vec<char> = outcome.out.chars().chain(outcome.err.chars()).filter(|c| is_tricky(*c)).collect();
    assert!(tricky.is_empty(), "{tricky:?} in {:?} {:?}", outcome.out, outcome.err);
    outcome
}

#[test]
fn no_verb_prints_what_turns_hides_or_commands_text() {
    let house = House::new();
    house.write(&format!("in/{NAME}"), "x");
    std::os::unix::fs::symlink(NAME, house.path("in/link")).expect("a link");
    clean(house.run(["backup", "-v", "--dry-run", "--exclude", "evil*", "in"]).done()).says("excluded");
    house.run(["backup", "in"]).done();
    clean(house.run(["backup", "-v", "--tag", NAME, "--label", NAME, "-H", NAME, "in"]).done()).says("\\u{202e}");
    let file = house.path("in").join(NAME);
    clean(house.run([file.as_os_str(), "backup".as_ref()]).ended(2));
    for arguments in [
        vec!["snapshots"],
        vec!["snapshots", "--group-by", "host,paths,tags"],
        vec!["ls", "-l", "latest"],
        vec!["find", "-l", "evil*"],
        vec!["diff", "latest~1", "latest"],
        vec!["cat", "snapshot", "latest"],
        vec!["restore", "-v", "latest", "--target", "out", "--no-owner"],
        vec!["forget", "--dry-run", "--keep-last", "1", "--group-by", "host,paths,tags,label"],
        vec!["key", "add", "--new-key-file", "more", "--label", NAME],
        vec!["key", "list"],
        vec!["snapshots", "--host", NAME],
        vec!["stats", "--mode", "by-snapshot"],
        vec!["rewrite", "--dry-run", "--exclude", "evil*", "latest"],
        vec!["diff", "--disk", "--metadata", "latest"],
    ] {
        clean(house.run(&arguments).done());
        let json = clean(house.run([&["--json"], arguments.as_slice()].concat()));
        json.out.lines().for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).expect("JSON")));
    }
    let found = house.run(["--json", "find", "evil*"]).done().json();
    assert!(found[0]["matches"][0]["name"] == NAME, "scripts get the name as it is: {found}");
}

#[test]
fn errors_that_repeat_what_was_typed_spell_it_out() {
    let house = House::new();
    let option = format!("--{NAME}");
    let selector = format!("latest:/{NAME}");
    for arguments in [
        vec![NAME],
        vec![option.as_str()],
        vec!["snapshots", option.as_str()],
        vec!["stats", "--mode", NAME],
        vec!["check", "--budget", NAME],
        vec!["prune", "--max-unused", NAME],
        vec!["key", NAME],
        vec!["backup", NAME],
        vec!["backup", "--files-from", NAME],
        vec!["ls", &selector],
        vec!["ls", NAME],
        vec!["find", "[", NAME],
        vec!["restore", "latest", "--target", NAME, "--include-file", NAME],
        vec!["-r", NAME, "snapshots"],
        vec!["--key-file", NAME, "snapshots"],
        vec!["repair", "packs", NAME],
    ] {
        let plain = house.run(&arguments);
        assert!(plain.code != 0 && plain.err.contains("error: "), "{arguments:?}: {plain}");
        clean(plain);
        let json = clean(house.run([&["--json"], arguments.as_slice()].concat()));
        assert!(json.code != 0, "{arguments:?}");
    }
}

#[test]
fn what_another_tool_calls_it_is_answered_and_nobody_is_told_of_two_dashes() {
    let house = House::empty();
    let told = |arguments: &[&str]| run(house.bare().args(arguments)).ended(2).err;
    for (arguments, words) in [
        (vec!["create", "x"], "'strongroom backup'"),
        (vec!["extract", "x"], "'strongroom restore'"),
        (vec!["info"], "'strongroom stats'"),
        (vec!["delete", "x"], "'strongroom forget'"),
        (vec!["compact"], "'strongroom prune'"),
        (vec!["list"], "'strongroom snapshots'"),
        (vec!["mount", "x"], "cannot be mounted"),
        (vec!["backup", "--list", "x"], "-v lists every entry"),
        (vec!["key", "change-passphrase"], "'strongroom key passwd'"),
    ] {
        let err = told(&arguments);
        assert!(err.lines().last().is_some_and(|last| last.starts_with("hint: ") && last.contains(words)), "{err}");
    }
    for arguments in
        [vec!["backup", "--nonsense", "x"], vec!["backup", "--exclud", "x"], vec!["ls", "-z"], vec!["nonsense"]]
    {
        let err = told(&arguments);
        assert!(!err.contains("as a value") && !err.contains("'-- "), "{err}");
    }
    for arguments in [vec!["copy", "--from-repo", "x"], vec!["rewrite", "--exclude", "x"], vec!["repair", "snapshots"]]
    {
        assert!(told(&arguments).lines().last().is_some_and(|last| last.contains("--all")), "{arguments:?}");
    }
    assert!(told(&["diff", "latest"]).lines().last().is_some_and(|last| last.contains("--disk")));
}
