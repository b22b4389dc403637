//! Ways in: that none is lost or added unseen, what opening may cost, and what is said when nothing opens.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::run;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// Runs with a password file in place of the key file.
fn with_password(house: &House, arguments: &[&str]) -> Outcome {
    run(house.command(arguments).env_remove("STRONGROOM_KEY_FILE").env("STRONGROOM_PASSWORD_FILE", "password"))
}

/// The file of the slot of a kind, and its id.
fn slot(house: &House, kind: &str) -> (PathBuf, String) {
    let keys = house.run(["--json", "key", "list"]).done().json();
    let of_kind = |key: &&serde_json::Value| key["kind"] == kind;
    let key = keys.as_array().expect("a list").iter().find(of_kind).expect("there is one").clone();
    let id = key["id"].as_str().expect("an ID").to_owned();
    (house.repository().join("keys/slot").join(&id), id)
}

#[test]
fn a_lost_recovery_code_is_found_before_it_is_needed() {
    let house = House::empty();
    house.run(["init"]).done();
    house.run(["check"]).done();
    let (file, id) = slot(&house, "recovery code");
    let whole = std::fs::read(&file).expect("a slot");
    let mut rotten = whole.clone();
    rotten[40] ^= 1;
    std::fs::write(&file, rotten).expect("written");
    let lost = "the recovery code opens nothing any more";
    house.run(["check"]).refused(13, &["hint: ", "'strongroom key add'"]).says(&id).says(lost);
    assert!(house.run(["key", "list"]).ended(3).err.contains(lost));
    std::fs::remove_file(&file).expect("removed");
    house.run(["check"]).refused(13, &["hint: ", "'strongroom key add'"]).says("it is missing").says(lost);
    assert!(house.run(["key", "list"]).ended(3).err.contains(lost));
    let json = house.run(["--json", "check"]).ended(13);
    assert_eq!(json.message("problem")["object"], format!("keys/slot/{id}"));
    // What the hint says helps.
    house.run(["key", "add", "--new-recovery-code"]).done();
    house.run(["key", "remove", &id]).done();
    house.run(["check"]).done();
    house.run(["key", "list"]).done();
}

#[test]
fn a_key_that_somebody_has_added_is_pointed_at() {
    let house = House::empty();
    house.run(["init"]).done();
    let (file, _) = slot(&house, "recovery code");
    let stranger = "00112233aabbccdd";
    std::fs::copy(&file, file.with_file_name(stranger)).expect("copied");
    let outcome = house.run(["check"]).ended(3);
    assert!(outcome.err.contains(stranger) && outcome.err.contains("no list names"), "{outcome}");
    assert!(house.run(["key", "list"]).ended(3).err.contains(&format!("'strongroom key remove {stranger}'")));
    house.run(["repair", "keys", "--dry-run"]).done().says(stranger).says("would be named");
    house.run(["check"]).ended(3);
    house.run(["key", "remove", stranger]).done();
    house.run(["check"]).done();
}

#[test]
fn a_lost_list_of_keys_is_made_anew() {
    let house = House::empty();
    house.run(["init"]).done();
    let lists = house.area("keys/list");
    let [(list, _)] = lists.as_slice() else { panic!("{lists:?}") };
    for hurt in [b"rot".as_slice(), b""] {
        match hurt {
            b"" => std::fs::remove_dir_all(house.repository().join("keys/list")).expect("removed"),
            rot => std::fs::write(list, rot).expect("written"),
        }
        house.run(["check"]).refused(13, &["'strongroom repair keys'"]).says("keys/list");
        let report = house.run(["--json", "repair", "keys"]).done().message("summary");
        assert_eq!(report["keys_damaged_ids"].as_array().map(Vec::len), Some(0));
        house.run(["check"]).done();
    }
}

#[test]
fn opening_costs_no_more_than_is_allowed() {
    let house = House::new();
    house.write("password", "correct horse");
    house.run(["key", "add", "--new-password-file", "password"]).done();
    with_password(&house, &["snapshots"]).done();
    let (_, id) = slot(&house, "password");
    let not_tried = format!("not tried: the key {id}, which asks for 64 MiB of memory");
    let refused = with_password(&house, &["--kdf-limit", "63M", "snapshots"]);
    refused.refused(12, &["the password does not open the repository at", &not_tried, "hint: ", "--kdf-limit"]);
    with_password(&house, &["--kdf-limit", "64M", "snapshots"]).done();
    // A key file costs nothing.
    house.run(["--kdf-limit", "1", "snapshots"]).done();
}

#[test]
fn a_password_too_many_is_told_and_still_opens_where_it_opened_last() {
    let house = House::new();
    for word in ["first", "second", "third"] {
        house.write(word, format!("{word} horse"));
    }
    let add = |word: &str| house.run(["--kdf-limit", "64M", "key", "add", "--new-password-file", word]).done();
    let open = |options: &[&str]| {
        let mut command = house.command([options, &["--kdf-limit", "64M", "-p", "first", "snapshots"]].concat());
        command.env_remove("STRONGROOM_KEY_FILE");
        crate::harness::run(&mut command)
    };
    assert!(!add("first").err.contains("warning"));
    open(&[]).done();
    assert!(!add("second").err.contains("warning"));
    let told = add("third");
    assert!(told.err.contains("cost more together than '--kdf-limit' allows: 1 password"), "{told}");
    open(&["--no-cache"]).refused(12, &["not tried"]);
    open(&[]).done();
}

#[test]
fn where_memory_is_short_the_keys_that_need_little_still_open() {
    let house = House::new();
    house.write("password", "correct horse");
    house.write("dear", "dear horse");
    house.run(["key", "add", "--new-password-file", "password"]).done();
    house.run(["key", "add", "--new-password-file", "dear", "--kdf", "high"]).done();
    let short = |password: &str| {
        let mut command = Command::new("sh");
        let given = house.command(["-p", password, "snapshots"]);
        let script = "ulimit -v 270000 && exec \"$0\" \"$@\"";
        command.arg("-c").arg(script).arg(given.get_program()).args(given.get_args());
        command.env_clear().current_dir(house.path(".")).stdin(Stdio::null());
        command.envs(given.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("MALLOC_ARENA_MAX", "1");
        command.env_remove("STRONGROOM_KEY_FILE");
        run(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    short("password").done();
    short("dear").refused(12, &["not tried: the key", "cannot get the 262144 KiB of memory"]);
}

#[test]
fn a_password_that_is_typed_wrong_may_be_typed_again() {
    let house = House::new();
    house.write("password", "correct horse");
    house.run(["key", "add", "--new-password-file", "password"]).done();
    // A terminal of its own: 'script' makes one.
    let typed = |lines: &str| {
        let given = house.command(["snapshots"]);
        let mut command = Command::new("script");
        let program = given.get_program().to_str().expect("UTF-8");
        command.args(["-qec", &format!("{program} snapshots"), "/dev/null"]).env_clear().current_dir(house.path("."));
        command
            .envs(given.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env_remove("STRONGROOM_KEY_FILE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("'script' starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(lines.as_bytes()).expect("typed");
        crate::harness::finish(child)
    };
    let again = typed("wrong\nwrong as well\ncorrect horse\n").done();
    assert_eq!(again.out.matches("try again").count(), 2, "{again}");
    assert!(again.out.contains("no snapshots") && again.out.contains(&house.text("repository")), "{again}");
    let refused = typed("wrong\nwrong\nwrong\ncorrect horse\n").ended(12);
    assert!(refused.out.contains("its password is another one; it also has 1 key file"), "{refused}");
    // What is given in a file is not asked for.
    house.write("password", "wrong");
    let refused = with_password(&house, &["snapshots"]).refused(12, &["its password is another one"]);
    assert!(!refused.err.contains("try again"), "{refused}");
}

#[test]
fn a_check_of_a_damaged_config_does_not_advise_a_check() {
    let house = House::new();
    let config = house.repository().join("config");
    let whole = std::fs::read(&config).expect("the config");
    for hurt in [vec![], whole[..60].to_vec(), vec![0; whole.len()], vec![0; 17 << 20]] {
        std::fs::write(&config, hurt).expect("written");
        for verb in ["check", "snapshots"] {
            let outcome = house.run([verb]).refused(13, &["hint: ", "copy of the repository"]);
            assert!(!outcome.err.contains("'strongroom check"), "{outcome}");
        }
    }
    std::fs::remove_file(&config).expect("removed");
    std::fs::create_dir(&config).expect("made");
    let outcome = house.run(["check"]);
    assert!(outcome.code != 0 && !outcome.err.contains("'strongroom check"), "{outcome}");
}
