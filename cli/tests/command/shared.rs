//! Repositories that several users write to: what one stores the others can read, and nobody is locked out.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::is_root;
use crate::harness::run;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

/// Two users, and the group that both are in besides their own.
const ANN: u32 = 64_101;
const BEN: u32 = 64_102;
const GROUP: u32 = 64_200;

/// Runs the command as one of them, under a umask that gives the group everything.
fn run_as(house: &House, user: u32, arguments: &[&str]) -> Outcome {
    let plain = house.command(arguments);
    let mut command = Command::new("setpriv");
    let (user, group) = (user.to_string(), GROUP.to_string());
    command.args(["--reuid", &user, "--regid", &user, "--groups", &group, "--inh-caps=-all", "--"]);
    command.args(["sh", "-c", "umask 007; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    command.arg("--no-cache").env_clear().current_dir(house.path("."));
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()))
}

/// A folder that both users may write to, and something to back up.
fn house() -> Option<House> {
    if !is_root() {
        eprintln!("NOT TESTED: only root can run the program as several users");
        return None;
    }
    let house = House::for_everybody();
    house.write("in/file", "content");
    std::fs::create_dir(house.path("shared")).expect("a folder");
    share(&house.path("shared"));
    Some(house)
}

/// What `chgrp GROUP; chmod 2770` does.
fn share(path: &Path) {
    chown(path, Some(ANN), Some(GROUP)).expect("an owner");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o2770)).expect("a mode");
}

fn with_key(house: &House, user: u32, arguments: &[&str]) -> Outcome {
    let outcome = run_as(house, user, arguments);
    if house.path("key").exists() {
        chown(house.path("key"), None, Some(GROUP)).expect("a group");
        std::fs::set_permissions(house.path("key"), std::fs::Permissions::from_mode(0o640)).expect("a mode");
    }
    outcome
}

/// Mode, owner and group of everything in the repository.
fn all_of(folder: &Path) -> Vec<(String, u32, u32, u32)> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).expect("listed") {
            let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))).expect("there");
            found.push((path.display().to_string(), metadata.mode() & 0o7777, metadata.uid(), metadata.gid()));
            if metadata.is_dir() {
                todo.push(path);
            }
        }
    }
    found
}

/// Everybody backs up, and everybody can still do everything.
fn live_together(house: &House) {
    let input = house.text("in");
    for user in [BEN, ANN, BEN] {
        // New bytes make new packs, in folders that were not there before.
        for number in 0..3 {
            house.write(&format!("in/{user}-{number}"), crate::kill::noise(u64::from(user) + number, 100_000));
            run_as(house, user, &["backup", &input]).done();
        }
        for other in [ANN, BEN] {
            run_as(house, other, &["check", "--read-data"]).done();
        }
        run_as(house, user, &["forget", "--keep-last", "2", "--prune"]).done();
    }
    let target = house.text("shared/out");
    run_as(house, ANN, &["restore", "latest", "--target", &target]).done();
}

#[test]
fn a_folder_of_a_group_is_a_repository_of_that_group() {
    let Some(house) = house() else { return };
    std::fs::create_dir(house.repository()).expect("a folder");
    share(&house.repository());
    // The key file is made beside the repository.
    chown(house.path("."), Some(ANN), None).expect("an owner");
    with_key(&house, ANN, &["init", "--no-recovery-code"]).done();
    live_together(&house);
    for (path, mode, _, group) in all_of(&house.repository()) {
        assert!(matches!(mode, 0o660 | 0o2770), "{path}: {mode:o}");
        assert_eq!(group, GROUP, "{path}");
    }
}

#[test]
fn a_repository_that_was_shared_later_locks_nobody_out() {
    let Some(house) = house() else { return };
    chown(house.path("."), Some(ANN), None).expect("an owner");
    with_key(&house, ANN, &["init", "--no-recovery-code"]).done();
    let all = all_of(&house.repository());
    assert!(all.iter().all(|(_, mode, ..)| matches!(mode, 0o600 | 0o700)), "what it makes itself is private: {all:?}");
    share(&house.repository());
    for (path, mode, ..) in all {
        chown(&path, None, Some(GROUP)).expect("a group");
        let shared = if mode & 0o100 == 0 { 0o660 } else { 0o2770 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(shared)).expect("a mode");
    }
    live_together(&house);
}

#[test]
fn root_locks_no_owner_out_of_his_repository_and_is_told_whose_it_is() {
    let Some(house) = house() else { return };
    chown(house.path("."), Some(ANN), None).expect("an owner");
    with_key(&house, ANN, &["init", "--no-recovery-code"]).done();
    let outcome = house.run(["backup", &house.text("in")]).done();
    assert!(outcome.err.contains("repository of another user"), "{outcome}");
    assert!(house.run(["snapshots"]).done().err.is_empty(), "nothing is written");
    for dry in [&["forget", "latest", "--dry-run"][..], &["repair", "keys", "--dry-run"], &["key", "list"]] {
        assert!(house.run(dry).done().err.is_empty(), "nothing is written");
    }
    for verb in [
        &["tag", "--add", "new", "latest"][..],
        &["protect", "latest"],
        &["unprotect", "latest"],
        &["rewrite", "--exclude", "nothing", "latest"],
        &["repair", "keys"],
        &["repair", "index"],
        &["repair", "packs"],
        &["repair", "snapshots", "--all"],
        &["key", "add", "--new-recovery-code"],
        &["forget", "--prune", "--keep-last", "1"],
        &["prune"],
    ] {
        let outcome = house.run(verb).done();
        assert_eq!(outcome.err.matches("repository of another user").count(), 1, "{verb:?}: {outcome}");
    }
    assert!(all_of(&house.repository()).iter().all(|(_, _, owner, _)| *owner == ANN));
    house.write("in/more", "more");
    let outcome = run_as(&house, ANN, &["backup", &house.text("in")]).done();
    assert!(!outcome.err.contains("another user"), "{outcome}");
    run_as(&house, ANN, &["check", "--read-data"]).done();
}
