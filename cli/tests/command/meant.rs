//! Where a backup goes: to the repository that was meant, and it is said which one that is.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::files;
use crate::harness::run;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

/// Runs the command with nothing configured but these variables.
fn with(house: &House, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    run(house.bare().envs(variables.iter().copied()).args(arguments))
}

fn nothing_was_made(house: &House) {
    assert!(files(&house.path("data")).is_empty() && files(&house.path("config")).is_empty());
}

#[test]
fn a_mistyped_variable_is_refused_with_the_one_that_was_meant() {
    let house = House::empty();
    house.write("in/file", "x");
    let top = house.text("in");
    let typed = |name: &str| with(&house, &[(name, "/srv/b")], &["backup", &top]);
    typed("STRONGROOM_REPOSITRY").refused(
        2,
        &["the variable STRONGROOM_REPOSITRY is not known", "hint: STRONGROOM_REPOSITORY was probably meant"],
    );
    typed("STRONGROOM_QUIET").refused(2, &["STRONGROOM_QUIET", "STRONGROOM_PASSWORD_COMMAND"]);
    for verb in [["snapshots"].as_slice(), &["init"], &["check"], &["restore", "latest", "--target", "out"]] {
        with(&house, &[("STRONGROOM_REPOSITRY", "/srv/b")], verb).ended(2);
    }
    with(&house, &[("STRONGROOM_REPOSITRY", "/srv/b")], &["version"]).done();
    nothing_was_made(&house);
}

#[test]
fn the_own_repository_is_not_used_where_anything_is_configured() {
    let house = House::empty();
    house.write("in/file", "x");
    house.write("password", "correct horse");
    let top = house.text("in");
    let own = house.text("data/strongroom/repository");
    for name in ["STRONGROOM_PASSWORD", "STRONGROOM_PASSWORD_FILE", "RESTIC_REPOSITORY", "BORG_REPO"] {
        let outcome = with(&house, &[(name, "password")], &["backup", &top]);
        outcome.refused(2, &[name, "used only where nothing is configured", &own]);
    }
    with(&house, &[], &["--password-file", "password", "backup", &top]).refused(2, &["--password-file", &own]);
    with(&house, &[], &["--use-recovery-code", "snapshots"]).refused(2, &["--use-recovery-code", &own]);
    house.write("credentials/strongroom.password", "correct horse");
    let credentials = house.text("credentials");
    with(&house, &[("CREDENTIALS_DIRECTORY", &credentials)], &["backup", &top]).refused(2, &["the credential", &own]);
    nothing_was_made(&house);
    with(&house, &[], &["backup", &top]).done();
}

#[test]
fn every_backup_says_where_it_went() {
    let house = House::empty();
    house.write("in/file", "x");
    let (top, own) = (house.text("in"), house.text("data/strongroom/repository"));
    // The first one makes the repository: that is no remark.
    with(&house, &[], &["-q", "backup", &top]).done().says(&own);
    let said = format!("saved in {own}");
    with(&house, &[], &["backup", &top]).done().says(&said);
    with(&house, &[], &["backup", "-n", &top]).done().says(&format!("nothing was stored in {own}"));
    with(&house, &[], &["backup", "--skip-if-unchanged", &top])
        .done()
        .says(&format!("no snapshot was stored in {own}"));
    let json = with(&house, &[], &["--json", "backup", &top]).done();
    assert_eq!(json.message("summary")["repository"], own.as_str());
    let house = House::new();
    house.write("in/file", "x");
    house.run(["backup", &house.text("in")]).done().says(&format!("saved in {}", house.text("repository")));
}

#[test]
fn without_a_terminal_the_recovery_code_goes_into_a_private_file() {
    for json in [false, true] {
        let house = House::empty();
        house.write("in/file", "x");
        let top = house.text("in");
        let arguments = [if json { vec!["--json"] } else { vec![] }, vec!["backup", &top]].concat();
        let outcome = with(&house, &[], &arguments).done();
        let made =
            std::fs::read_dir(house.path("config/strongroom")).expect("a folder").map(|entry| entry.expect("it"));
        let is_code = |file: &std::path::PathBuf| file.to_string_lossy().contains("/recovery-code-");
        let code_files: Vec<_> = made.map(|entry| entry.path()).filter(is_code).collect();
        let [file] = code_files.as_slice() else { panic!("{code_files:?}") };
        assert_eq!(std::fs::metadata(file).expect("there").permissions().mode() & 0o777, 0o600);
        let code = std::fs::read_to_string(file).expect("text");
        assert!(!outcome.out.contains(code.trim()) && !outcome.err.contains(code.trim()), "{outcome}");
        match json {
            true => assert_eq!(outcome.message("initialized")["recovery_code_file"], file.to_str().expect("UTF-8")),
            false => drop(outcome.says(file.to_str().expect("UTF-8"))),
        }
        let own = house.text("data/strongroom/repository");
        let opened = ["-r", &own, "--use-recovery-code", "snapshots"];
        with(&house, &[("STRONGROOM_RECOVERY_CODE", code.trim())], &opened).done().says("1 snapshot");
    }
}

#[test]
fn a_repository_that_vanished_while_its_key_remains_is_not_made_anew() {
    let house = House::empty();
    house.write("in/file", "x");
    let top = house.text("in");
    with(&house, &[], &["backup", &top]).done();
    std::fs::rename(house.path("data/strongroom"), house.path("elsewhere")).expect("it goes");
    for arguments in [["backup", &top].as_slice(), &["backup", "-n", &top]] {
        let texts = ["is gone", "its key is still there", "'strongroom init' makes a new one"];
        with(&house, &[], arguments).refused(10, &texts);
    }
    assert!(files(&house.path("data")).is_empty());
    std::fs::rename(house.path("elsewhere"), house.path("data/strongroom")).expect("it is back");
    with(&house, &[], &["backup", &top]).done();
    std::fs::remove_dir_all(house.path("data/strongroom")).expect("it goes");
    with(&house, &[], &["init"]).done();
    with(&house, &[], &["backup", &top]).done();
    with(&house, &[], &["snapshots"]).done().says("1 snapshot");
}

#[test]
fn a_repository_may_stand_at_a_path_that_is_not_text() {
    let house = House::empty();
    house.write("in/file", "x");
    let raw = |name: &[u8]| house.path(std::ffi::OsStr::from_bytes(name));
    let mut init = house.command(["init", "--no-recovery-code"]);
    run(init.env("STRONGROOM_REPOSITORY", raw(b"r-\xff\xfe"))).done();
    assert!(raw(b"r-\xff\xfe").join("config").exists());
    run(house.command(["backup", "in"]).env("STRONGROOM_REPOSITORY", raw(b"r-\xff\xfe"))).done();
    let mut listed = house.command([std::ffi::OsStr::new("snapshots"), "-r".as_ref(), raw(b"r-\xff\xfe").as_os_str()]);
    run(&mut listed).done().says("1 snapshot");
    let mut copied = house.command([std::ffi::OsStr::new("copy"), "--all".as_ref(), "--from-repo".as_ref()]);
    run(house.command(["init", "--no-recovery-code"]).env("STRONGROOM_KEY_FILE", house.path("key"))).done();
    run(copied.arg(raw(b"r-\xff\xfe"))).done();
    house.run(["snapshots"]).done().says("1 snapshot");
}
