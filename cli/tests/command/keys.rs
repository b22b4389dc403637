//! `init` and `key`: ways to unlock a repository, and where they come from.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::run;

/// Runs with variables set in place of the key file.
fn with(house: &House, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let mut command = house.command(arguments);
    command.env_remove("STRONGROOM_KEY_FILE").envs(variables.iter().copied());
    run(&mut command)
}

#[test]
fn init_tells_everything_its_owner_must_keep() {
    let house = House::empty();
    let made = house.run(["--json", "init", "--label", "laptop"]).done().message("initialized");
    assert_eq!(made["key_file"], house.text("key"));
    assert_eq!(made["repository"], house.text("repository"));
    let code = made["recovery_code"].as_str().expect("a code").to_owned();
    house.run(["init"]).refused(1, &["there is a repository at", "already"]);
    house.run(["key", "list"]).done().says("laptop").says("recovery code");
    let typed = code.to_lowercase().replace('-', " ");
    let outcome = with(&house, &[("STRONGROOM_RECOVERY_CODE", &typed)], &["--use-recovery-code", "snapshots"]);
    outcome.done().says("no snapshots");
    let wrong = with(&house, &[("STRONGROOM_RECOVERY_CODE", "ABCD-EFGH")], &["--use-recovery-code", "snapshots"]);
    wrong.refused(12, &["check the code for typing mistakes"]);
}

#[test]
fn a_password_comes_from_a_file_a_variable_or_a_command() {
    let house = House::empty();
    let file = house.write("password", "correct horse\n");
    let file = file.to_str().expect("UTF-8");
    with(&house, &[], &["--password-file", file, "init", "--no-recovery-code"]).done().says("Keep the password safe");
    for (variables, options) in [
        (vec![], vec!["--password-file", file]),
        (vec![], vec!["-p", file]),
        (vec![], vec!["--password-command", "cat password"]),
        (vec![("STRONGROOM_PASSWORD", "correct horse")], vec![]),
        (vec![("STRONGROOM_PASSWORD_FILE", file)], vec![]),
        (vec![("STRONGROOM_PASSWORD_COMMAND", "echo correct horse")], vec![]),
    ] {
        let outcome = with(&house, &variables, &[options.as_slice(), &["snapshots"]].concat());
        outcome.done().says("no snapshots");
    }
    // What systemd hands over.
    house.write("credentials/strongroom.password", "correct horse");
    with(&house, &[("CREDENTIALS_DIRECTORY", &house.text("credentials"))], &["snapshots"]).done();
    with(&house, &[], &["--password-command", "exit 1", "snapshots"]).refused(1, &["the password command failed"]);
    with(&house, &[], &["snapshots"]).refused(1, &["no password was given", "hint: use --password-file"]);
    with(&house, &[], &["-p", file, "--key-file", "key", "snapshots"]).refused(2, &["not several"]);
}

#[test]
fn keys_are_added_changed_and_removed_but_never_the_last() {
    let house = House::new();
    let (old, new) = (house.text("old"), house.text("new"));
    house.write("old", "old password");
    house.write("new", "new password");
    house.run(["key", "add", "--new-key-file", "second", "--label", "spare"]).done().says("added the key");
    let list = |house: &House| house.run(["--json", "key", "list"]).done().json().as_array().expect("a list").clone();
    let keys = list(&house);
    assert_eq!(keys.len(), 2);
    let of = |current: bool| {
        let key = keys.iter().find(|key| key["current"] == current).expect("it is listed");
        key["id"].as_str().expect("an ID").to_owned()
    };
    house.run(["key", "remove", &of(true)]).refused(1, &["is the one in use"]);
    house
        .run(["key", "remove", "zz"])
        .refused(1, &["there is not exactly one key", "'strongroom key list' shows them"]);
    house.run(["--key-file", "second", "snapshots"]).done();
    house.run(["key", "remove", &of(false)]).done().says("removed the key");
    house.run(["--key-file", "second", "snapshots"]).refused(12, &["the key file does not open the repository at"]);
    assert_eq!(list(&house).len(), 1);

    house.run(["key", "add", "--new-password-file", &old]).done();
    with(&house, &[], &["-p", &old, "key", "passwd", "--new-password-file", &new]).done().says("changed the password");
    with(&house, &[], &["-p", &old, "snapshots"]).refused(12, &["the password does not open the repository at"]);
    with(&house, &[], &["-p", &new, "snapshots"]).done();
    let code = house.run(["--json", "key", "add", "--new-recovery-code"]).done().message("added");
    let code = code["recovery_code"].as_str().expect("a code");
    with(&house, &[("STRONGROOM_RECOVERY_CODE", code)], &["--use-recovery-code", "snapshots"]).done();
}

#[test]
fn the_repositorys_place_comes_from_options_variables_or_a_file() {
    let house = House::new();
    house.write("where", format!("{}\n", house.text("repository")));
    let somewhere = |options: &[&str], variables: &[(&str, &str)]| {
        let mut command = house.command([options, &["snapshots"]].concat());
        command.env_remove("STRONGROOM_REPOSITORY").envs(variables.iter().copied());
        run(&mut command)
    };
    somewhere(&["-r", "repository"], &[]).done();
    somewhere(&["--repo", &format!("file:{}", house.text("repository"))], &[]).done();
    somewhere(&["--repository-file", "where"], &[]).done();
    somewhere(&[], &[("STRONGROOM_REPOSITORY_FILE", "where")]).done();
    somewhere(&["-r", "repository", "--repository-file", "where"], &[]).refused(2, &["both say where"]);
    somewhere(&["-r", "s3:bucket"], &[]).refused(2, &["cannot open s3: locations"]);
    assert!(!house.path("s3:bucket").exists());
}

#[test]
fn what_editors_add_to_a_password_file_is_no_part_of_the_password() {
    let house = House::empty();
    house.write("plain", "correct horse");
    with(&house, &[], &["-p", "plain", "init", "--no-recovery-code"]).done();
    house.write("windows", "\u{feff}correct horse\r\n");
    with(&house, &[], &["-p", "windows", "snapshots"]).done();
    // Nothing else is touched: blanks may be meant.
    house.write("blank", "correct horse \n");
    with(&house, &[], &["-p", "blank", "snapshots"]).refused(12, &["password"]);
    // A byte order mark alone is an empty password.
    house.write("empty", "\u{feff}\n");
    with(&house, &[], &["-p", "empty", "snapshots"]).refused(1, &["the password is empty"]);
}

#[test]
fn a_password_with_a_nul_byte_is_refused() {
    let house = House::empty();
    let wide: Vec<u8> = "\u{feff}horse\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    house.write("wide", wide);
    let refused = with(&house, &[], &["-p", "wide", "init"]).refused(1, &["NUL", "hint: ", "UTF-8"]);
    assert!(!house.repository().exists(), "{refused}");
    house.write("plain", "horse");
    with(&house, &[], &["-p", "plain", "init", "--no-recovery-code"]).done();
    with(&house, &[], &["-p", "plain", "key", "add", "--new-password-file", "wide"]).refused(1, &["NUL"]);
    with(&house, &[], &["--password-command", "printf 'a\\0b'", "snapshots"]).refused(1, &["NUL"]);
}

#[test]
fn using_a_recovery_code_and_making_one_are_not_confused() {
    let house = House::new();
    for arguments in [vec!["key", "add", "--recovery-code"], vec!["--recovery-code", "snapshots"]] {
        let outcome = house.run(arguments).ended(2);
        assert!(outcome.err.contains("--use-recovery-code unlocks with the code there is"), "{outcome}");
        assert!(outcome.err.contains("'key add --new-recovery-code' makes a new one"), "{outcome}");
    }
    let made = house.run(["--json", "key", "add", "--new-recovery-code"]).done().message("added");
    let code = made["recovery_code"].as_str().expect("a code");
    // Who has lost everything else gets in with it and adds a password in the same go.
    house.write("password", "correct horse");
    let add = ["--use-recovery-code", "key", "add", "--new-password-file", "password"];
    with(&house, &[("STRONGROOM_RECOVERY_CODE", code)], &add).done();
    with(&house, &[], &["-p", "password", "snapshots"]).done();
}

#[test]
fn a_new_root_key_keeps_one_key_and_a_new_recovery_code_and_drops_the_others() {
    let house = House::empty();
    let made = house.run(["--json", "init", "--label", "laptop"]).done().message("initialized");
    let old_code = made["recovery_code"].as_str().expect("a code").to_owned();
    house.write("password", "correct horse");
    house.run(["key", "add", "--new-password-file", "password"]).done();
    house.write("in/file", crate::support::trees::Dice::new(1).bytes(100_000));
    house.backup(&[&house.text("in")]);

    let rotated = house.run(["key", "rotate"]).done();
    rotated.says("the new recovery code is").says("has to be added again");
    assert_eq!(house.run(["key", "list"]).done().says("laptop").says("recovery code").out.lines().count(), 3);
    with(&house, &[], &["-p", "password", "snapshots"])
        .refused(12, &["it has no password, but 1 key file and 1 recovery code"]);
    let old = with(&house, &[("STRONGROOM_RECOVERY_CODE", &old_code)], &["--use-recovery-code", "snapshots"]);
    old.refused(12, &["the recovery code"]);

    // Nothing is stored again, and what was stored before and after is whole.
    let again = house.run(["--json", "backup", "--force", &house.text("in")]).done().message("summary");
    assert_eq!(again["data_added"], 0, "{again}");
    house.write("in/more", crate::support::trees::Dice::new(2).bytes(100_000));
    house.backup(&[&house.text("in")]);
    house.run(["check", "--read-data"]).done().says("no problems were found");

    // A key that may be known is replaced in the same go; the code that is shown works.
    let replaced = house.run(["--json", "key", "rotate", "--new-password-file", "password"]).done();
    let code = replaced.message("rotated")["recovery_code"].as_str().expect("a code").to_owned();
    house.run(["snapshots"]).refused(12, &["the key file"]);
    with(&house, &[], &["-p", "password", "check", "--read-data"]).done().says("no problems were found");
    let code = [("STRONGROOM_RECOVERY_CODE", code.as_str())];
    with(&house, &code, &["--use-recovery-code", "key", "rotate"]).refused(2, &["a recovery code cannot stay"]);
    let new = ["--use-recovery-code", "key", "rotate", "--new-key-file", "new.key", "--no-recovery-code"];
    with(&house, &code, &new).done();
    with(&house, &[], &["--key-file", "new.key", "restore", "latest", "--target", "out"]).done();
    assert!(house.path("out").exists());
    assert_eq!(with(&house, &[], &["--key-file", "new.key", "key", "list"]).done().out.lines().count(), 2);
}

#[test]
fn what_a_newer_root_key_has_sealed_is_not_called_damaged() {
    let house = House::new();
    house.write("in/file", "content");
    house.backup(&[&house.text("in")]);
    let slot = house.area("keys/slot").remove(0).0;
    let bytes = std::fs::read(&slot).expect("read");
    house.write("password", "correct horse");
    house.run(["key", "rotate", "--new-password-file", "password"]).done();
    with(&house, &[], &["-p", "password", "backup", &house.text("in")]).done();
    // Somebody puts the old slot back.
    std::fs::write(&slot, bytes).expect("written");
    let newest = with(&house, &[], &["-p", "password", "--json", "snapshots"]).done().json();
    let newest = newest[1]["id"].as_str().expect("an ID").to_owned();
    let advice = "hint: unlock with a key that was made";
    house.run(["cat", "snapshot", &newest]).refused(14, &["the root key was changed", advice]);
    house.run(["key", "rotate"]).refused(14, &["the root key was changed", advice]);
    house.run(["check"]).refused(14, &["the key in use does not open everything", advice]);
}

#[test]
fn a_secret_that_opens_the_repository_already_is_not_added_again() {
    let house = House::new();
    let (old, new) = (house.text("old"), house.text("new"));
    house.write("old", "old password");
    house.write("new", "new password");
    house.run(["key", "add", "--new-password-file", &old]).done();
    house.run(["key", "add", "--new-password-file", &old]).refused(1, &["opens the repository already"]);
    house.run(["key", "add", "--new-key-file", &house.text("key")]).refused(1, &["opens the repository already"]);
    // So a password that was changed is gone.
    with(&house, &[], &["-p", &old, "key", "passwd", "--new-password-file", &new]).done();
    with(&house, &[], &["-p", &old, "snapshots"]).refused(12, &["does not open"]);
    with(&house, &[], &["-p", &new, "snapshots"]).done();
}

#[test]
fn a_key_that_cannot_be_read_is_named_and_can_be_removed() {
    let house = House::new();
    let password = house.text("password");
    house.write("password", "a password");
    let added = house.run(["--json", "key", "add", "--new-password-file", &password]).done().message("added");
    let id = added["id"].as_str().expect("an id").to_owned();
    let slot = house.path("repository").join("keys/slot").join(&id);
    std::fs::remove_file(&slot).expect("removed");
    std::fs::write(&slot, b"").expect("emptied");
    let listed = house.run(["key", "list"]).ended(3);
    assert!(listed.err.contains(&format!("key remove {id}")), "{listed}");
    house.run(["key", "add", "--new-recovery-code"]).done();
    house.run(["check"]).refused(13, &["damaged"]);
    house.run(["key", "remove", &id]).done();
    house.run(["key", "list"]).done();
    house.run(["check"]).done();
}

#[test]
fn a_repository_that_takes_no_key_leaves_no_key_file_behind() {
    let house = House::new();
    // Whoever runs the tests, nothing is written to a repository without its folder of snapshots.
    let folder = house.repository().join("snapshots");
    std::fs::rename(&folder, house.path("aside")).expect("moved");
    for verb in ["add", "rotate"] {
        house.run(["key", verb, "--new-key-file", "second"]).refused(13, &["snapshots is missing"]);
        assert!(!house.path("second").exists(), "{verb}");
    }
    std::fs::rename(house.path("aside"), &folder).expect("moved back");
    house.run(["key", "add", "--new-key-file", "second"]).done();
    house.run(["--key-file", "second", "check"]).done();
}

/// The old key file opens the old slot, which somebody puts back; the password opens the new one.
fn rotated(arguments: &[&str]) -> House {
    let house = House::new();
    for (seed, name) in [(1, "one"), (2, "two")] {
        house.write(&format!("in/{name}"), crate::support::trees::Dice::new(seed).bytes(200_000));
        house.backup(&[&house.text("in")]);
    }
    house.run(["protect", "latest"]).done();
    let slot = house.area("keys/slot").remove(0).0;
    let bytes = std::fs::read(&slot).expect("read");
    house.write("password", "correct horse");
    house.run([&["key", "rotate", "--new-password-file", "password"], arguments].concat()).done();
    std::fs::write(&slot, bytes).expect("written");
    house
}

#[test]
fn what_was_stored_before_is_sealed_anew_in_the_same_command_and_the_old_key_reads_nothing() {
    let house = rotated(&["--reencrypt"]);
    for area in ["packs", "index"] {
        assert!(!house.area(area).is_empty());
        for (path, _) in house.area(area) {
            let id = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            let what = area.trim_end_matches('s');
            house.run(["cat", what, &id]).refused(14, &["the root key was changed"]);
            with(&house, &[], &["-p", "password", "cat", what, &id]).done();
        }
    }
    house.run(["restore", "latest", "--target", "stolen"]).ended(14);
    let snapshots = with(&house, &[], &["-p", "password", "--json", "snapshots"]).done().json();
    assert_eq!(snapshots.as_array().map(Vec::len), Some(2), "{snapshots}");
    let newest = snapshots[1]["id"].as_str().expect("an ID");
    with(&house, &[], &["-p", "password", "forget", newest]).refused(1, &["protected"]);
    // The old slot is seen, though.
    let check = with(&house, &[], &["-p", "password", "check", "--read-data"]).ended(3).says("no problems were found");
    assert!(check.err.contains("it was removed, and still opens the repository"), "{check}");
    with(&house, &[], &["-p", "password", "restore", "latest", "--target", "out"]).done();
    let back = house.path("out").join(house.path("in").strip_prefix("/").expect("absolute")).join("two");
    assert_eq!(std::fs::read(back).expect("restored"), std::fs::read(house.path("in/two")).expect("there"));
    let again = with(&house, &[], &["-p", "password", "--json", "backup", "--force", &house.text("in")]).done();
    assert_eq!(again.message("summary")["data_added"], 0);
    // Nothing is left to seal anew.
    let before = house.objects();
    let idle = with(&house, &[], &["-p", "password", "prune", "--reencrypt", "-n"]).done();
    idle.says("nothing is sealed under an earlier root key").says("nothing was changed");
    assert_eq!(house.objects(), before);
    let (packs, index) = (house.area("packs"), house.area("index"));
    with(&house, &[], &["-p", "password", "prune", "--reencrypt"]).done().says("nothing is sealed under an earlier");
    assert_eq!((house.area("packs"), house.area("index")), (packs, index));
}

#[test]
fn what_a_rotation_has_left_is_planned_told_and_sealed_anew_by_prunes() {
    let house = rotated(&[]);
    let prune = |arguments: &[&str]| with(&house, &[], &[&["-p", "password"], arguments].concat()).done();
    let before = house.objects();
    let plan = prune(&["--json", "prune", "--reencrypt", "--dry-run"]).message("prune_plan");
    assert_eq!(
        (&plan["sealed_before"]["snapshots_count"], &plan["sealed_before"]["packs_staying"]),
        (&2.into(), &0.into())
    );
    assert!(plan["bytes_copied"].as_u64() > Some(200_000), "{plan}");
    prune(&["prune", "--reencrypt", "-n"]).says("under earlier keys").says("2 snapshots").says("nothing was changed");
    assert_eq!(house.objects(), before);
    let waits = prune(&["prune", "--reencrypt", "--grace", "2d"]);
    let waits = waits.says("sealed the record of 2 snapshots anew").says("still under earlier keys");
    waits.says("wait for a prune that runs in").says("'strongroom prune --reencrypt' goes on");
    let summary = prune(&["--json", "prune", "--reencrypt", "--grace", "0"]).message("summary");
    assert_eq!((&summary["sealed_before"]["packs"], &summary["chunks_copied"]), (&0.into(), &0.into()), "{summary}");
    let check = ["-p", "password", "check", "--read-data"];
    with(&house, &[], &check).ended(3).says("no problems were found");
}
