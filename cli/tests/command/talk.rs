//! How the command talks: JSON lines, silence, errors, exit codes, help, and Ctrl-C.

use crate::harness::House;
use crate::harness::finish;
use crate::harness::run;

#[test]
fn every_verbs_json_is_lines_with_type_and_version() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    for arguments in [
        vec!["backup", "-v", &top],
        vec!["ls", "latest"],
        vec!["diff", "latest", "latest"],
        vec!["restore", "latest", "--target", "out", "-v", "--no-owner"],
        vec!["check"],
        vec!["stats"],
        vec!["tag", "--add", "x", "latest"],
        vec!["version"],
        vec!["key", "add", "--new-key-file", "more"],
        vec!["forget", "latest"],
    ] {
        let outcome = house.run([&["--json"], arguments.as_slice()].concat()).done();
        assert!(!outcome.messages().is_empty(), "{arguments:?}");
    }
    for (arguments, code) in [(vec!["ls", "latest"], 1), (vec!["nonsense"], 2), (vec!["backup", "missing"], 1)] {
        let error = house.run([&["--json"], arguments.as_slice()].concat()).ended(code).message("exit_error");
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[test]
fn quiet_says_only_results_and_errors() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    for arguments in [
        vec!["backup", &top],
        vec!["restore", "latest", "--target", "out", "--no-owner"],
        vec!["check", "--read-data"],
        vec!["tag", "--add", "x", "latest"],
        vec!["diff", "latest", "latest"],
    ] {
        let outcome = house.run([&["-q"], arguments.as_slice()].concat()).done();
        assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("", ""), "{arguments:?}");
    }
    let listed = house.run(["-q", "ls", "latest"]).done();
    assert!(listed.out.contains("/in/file") && listed.err.is_empty(), "{listed}");
    house.run(["-q", "ls", "ffff"]).refused(1, &["ffff"]);
}

#[test]
fn verbose_lists_every_entry() {
    let house = House::new();
    house.write("in/file", "x");
    house.run(["-v", "backup", &house.text("in")]).done().says("new").says("/in/file");
    let plain = house.run(["backup", &house.text("in")]).done();
    assert!(!plain.out.contains("/in/file") && !plain.err.contains('\x1b'), "{plain}");
    house.run(["-v", "-q", "snapshots"]).ended(2);
}

#[test]
fn every_exit_code_is_met() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    house.run(["backup", &top]).ended(0);
    house.run(["ls", "latest", "/missing"]).refused(1, &["there is no /missing"]);
    house.run(["backup", "missing"]).refused(1, &["missing"]);
    house.run(["-r", "nowhere", "snapshots"]).refused(10, &["there is no repository at", "init"]);
    house.write("other-key", format!("strongroom-key-1 {}\n", "ab".repeat(32)));
    house.run(["--key-file", "other-key", "snapshots"]).refused(12, &["does not open the repository at"]);
    // 3, 13 and 14 have tests of their own; 130 stands below.
}

#[test]
fn an_interrupt_stops_cleanly_and_says_so() {
    let house = House::new();
    for _ in 0..2 {
        // The source never ends by itself: only the signal ends the run.
        let script = "while :; do head -c 1000000 /dev/urandom; done";
        let before = house.area("packs").len();
        let mut command = house.command(["--json", "backup", "--stdin-from-command", "--", "sh", "-c", script]);
        let child = command.spawn().expect("the program starts");
        crate::kill::until(|| house.area("packs").len() > before);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
        let outcome = finish(child).ended(130);
        assert!(outcome.err.contains("stopping cleanly"), "{outcome}");
        assert!(house.snapshots().is_empty());
        house.assert_sound();
    }
}

#[test]
fn help_names_every_verb_and_exit_code() {
    let house = House::empty();
    let bare = |arguments: &[&str]| run(house.bare().args(arguments));
    let help = bare(&["--help"]).done();
    for word in ["init", "backup", "restore", "check", "forget", "130  interrupted", "Without any configuration"] {
        assert!(help.out.contains(word), "{word}");
    }
    bare(&["help", "restore"]).done().says("--map-owner").says("Examples:");
    assert!(bare(&[]).ended(2).err.contains("Usage"));
    assert!(bare(&["nonsense"]).ended(2).err.contains("nonsense"));
    let close = bare(&["snapshot"]).ended(2);
    assert!(close.err.contains("snapshots"), "a near miss is named: {close}");
}

#[test]
fn completions_man_pages_and_version_need_no_repository() {
    let house = House::empty();
    let bare = |arguments: &[&str]| run(house.bare().args(arguments));
    for (shell, text) in [("bash", "complete -F"), ("zsh", "#compdef strongroom"), ("fish", "complete -c strongroom")] {
        bare(&["completions", shell]).done().says(text);
    }
    bare(&["man"]).done().says(".TH strongroom");
    bare(&["man", "--folder", "pages"]).done();
    for page in ["strongroom.1", "strongroom-backup.1", "strongroom-key-add.1"] {
        assert!(house.path("pages").join(page).exists(), "{page}");
    }
    bare(&["version"]).done().says(env!("CARGO_PKG_VERSION"));
    bare(&["--version"]).done().says("strongroom");
    assert_eq!(bare(&["--json", "version"]).done().message("version")["version"], 1);
    assert!(crate::harness::files(&house.path("home")).is_empty(), "nothing is left in the home folder");
}

#[test]
fn caches_stay_where_they_are_told_to() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    house.run(["--no-cache", "backup", &top]).done();
    assert!(crate::harness::files(&house.path("cache")).is_empty());
    house.run(["--cache-dir", "elsewhere", "backup", &top]).done();
    assert!(crate::harness::files(&house.path("cache")).is_empty());
    house.run(["backup", &top]).done();
    // Whatever is in a cache, a backup is right without it.
    for (file, _) in crate::harness::files(&house.path("cache")) {
        std::fs::write(file, "rubbish").expect("written");
    }
    house.write("in/more", "y");
    house.run(["backup", &top]).done();
    let copy = house.restore(&house.path("in"), "out");
    assert_eq!(crate::support::walker::differences(&house.path("in"), &copy), Vec::<String>::new());
}
