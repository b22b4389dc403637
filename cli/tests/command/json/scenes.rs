//! Runs of every verb with `--json`, and every line that they print.

use crate::harness::House;
use crate::harness::Outcome;
use crate::kill::noise;
use crate::kill::until;
use serde_json::Value;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Child;

/// Every line so far, with the verb that printed it.
#[derive(Default)]
pub struct Record {
    pub messages: Vec<(String, Value)>,
}

/// No further words.
const NOTHING: &[&str] = &[];

impl Record {
    /// Runs a verb of the program and keeps what it prints.
    fn run<S: AsRef<OsStr>>(&mut self, house: &House, verb: &str, rest: &[S]) -> Outcome {
        let words = std::iter::once("--json").chain(verb.split(' ')).map(OsString::from);
        let outcome = house.run(words.chain(rest.iter().map(|word| word.as_ref().to_owned())));
        self.keep(verb, &outcome.out);
        self.keep(verb, &outcome.err);
        outcome
    }

    fn keep(&mut self, verb: &str, lines: &str) {
        for line in lines.lines() {
            let value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{verb}: {why}: {line}"));
            self.messages.push((verb.to_owned(), value));
        }
    }
}

/// The pack that holds the most, which is one of data.
fn largest_pack(house: &House, repository: &str) -> PathBuf {
    let packs = crate::harness::files(&house.path(repository).join("packs"));
    packs.into_iter().max_by_key(|(_, length)| *length).expect("a pack").0
}

/// A snapshot with files, folders, a link, and names that are no text.
fn filled() -> House {
    let house = House::new();
    house.write("in/file", noise(1, 300_000));
    house.write("in/more", b"more");
    std::os::unix::fs::symlink("file", house.path("in/link")).expect("a link");
    std::fs::create_dir(house.path(OsStr::from_bytes(b"in/raw\xff"))).expect("a folder");
    house
}

pub fn backups(record: &mut Record) {
    let house = House::empty();
    house.write("in/file", b"x");
    record.run(&house, "init", NOTHING).done();
    record.run(&house, "init", NOTHING).ended(1);
    let mut command = house.bare();
    let outcome = crate::harness::run(command.args(["--json", "backup", &house.text("in")])).done();
    record.keep("backup", &outcome.out);
    record.keep("backup", &outcome.err);
    record.run(&house, "backup", &["-v", "in"]).done();
    record.run(&house, "backup", &["--dry-run", "--exclude", "file", "in"]).done();
    record.run(&house, "backup", &["--skip-if-unchanged", "in"]).done();
    record.run(&house, "backup", &["missing"]).ended(1);
    record.run(&house, "backup", &["--stdin-from-command", "--", "false"]).ended(1);
    // What may not be read is told, and the snapshot is partial.
    let house = House::of_nobody();
    house.write("in/shut/file", b"y");
    let allow = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(house.path("in/shut"), mode).expect("a mode");
    };
    allow(0o0);
    record.run(&house, "backup", &["in"]).ended(3);
    allow(0o700);
}

pub fn looks(record: &mut Record) {
    let house = filled();
    house.backup(&["--tag", "first", "--exclude", "*.tmp", &house.text("in")]);
    std::fs::remove_file(house.path("in/more")).expect("removed");
    house.write("in/new", b"new");
    house.backup(&["in"]);
    house.run([OsStr::new("backup"), OsStr::from_bytes(b"in/raw\xff")]).done();
    record.run(&house, "snapshots", NOTHING).done();
    record.run(&house, "snapshots", &["--group-by", "host,paths,tags"]).done();
    record.run(&house, "snapshots", &["--host", "nobody"]).done();
    record.run(&house, "ls", &["latest~1"]).done();
    record.run(&house, "ls", &["latest"]).done();
    record.run(&house, "ls", &["latest~1", "/nowhere"]).ended(1);
    record.run(&house, "find", &["file", "link", "*raw*"]).done();
    record.run(&house, "diff", &["latest~2", "latest~1"]).done();
    record.run(&house, "diff", &["latest~1", "--disk"]).done();
    for mode in ["all", "restore-size", "raw-data", "by-snapshot"] {
        record.run(&house, "stats", &["--mode", mode]).done();
    }
    record.run(&house, "check", NOTHING).done();
    record.run(&house, "check", &["--budget", "1/run"]).done();
    record.run(&house, "check", &["--budget", "1GiB/day"]).done();
    record.run(&house, "restore", &["latest~1", "--target", "out", "--no-owner", "-v"]).done();
    record.run(&house, "restore", &["latest~1", "--target", "out", "--include", "nothing"]).ended(1);
    record.run(&house, "dump", &["--target", "dumped", "latest~1", "/"]).done();
    record.run(&house, "cat", &["config"]).done();
    record.run(&house, "cat", &["snapshot", "latest"]).done();
    for (what, area) in [("index", "index"), ("pack", "packs")] {
        let name = house.area(area)[0].0.file_name().expect("a name").to_owned();
        record.run(&house, "cat", &[OsString::from(what), name]).done();
    }
    house.backup(&["--stdin-from-command", "--", "echo", "a dump"]);
    record.run(&house, "cat", &["snapshot", "latest"]).done();
    record.run(&house, "man", &["--folder", "pages"]).done();
    record.run(&house, "version", NOTHING).done();
}

pub fn changes(record: &mut Record) {
    let house = filled();
    for label in ["one", "two"] {
        house.backup(&["--label", label, "in"]);
        house.write(&format!("in/{label}"), noise(7, 200_000));
    }
    house.run([OsStr::new("backup"), OsStr::from_bytes(b"in/raw\xff")]).done();
    record.run(&house, "tag", &["--add", "x", "latest"]).done();
    record.run(&house, "protect", &["latest"]).done();
    record.run(&house, "protect", &["latest"]).done();
    record.run(&house, "forget", &["latest"]).ended(1);
    record.run(&house, "rewrite", &["--exclude", "file", "--dry-run", "latest~1"]).done();
    record.run(&house, "rewrite", &["--exclude", "file", "latest~1"]).done();
    record.run(&house, "unprotect", &["latest"]).done();
    record.run(&house, "unprotect", &["latest"]).done();
    let groups = ["--group-by", "host,paths,tags,label", "--dry-run", "--keep-last", "1"];
    record.run(&house, "forget", &groups).done();
    record.run(&house, "forget", &["latest"]).done();
    record.run(&house, "forget", &["--prune", "--min-age", "0", "--keep-last", "1", "--group-by", ""]).done();
    record.run(&house, "prune", &["--dry-run"]).done();
    record.run(&house, "prune", NOTHING).done();
    record.run(&house, "forget", NOTHING).ended(2);
}

pub fn copies(record: &mut Record) {
    let house = filled();
    house.backup(&["in"]);
    let (from, to, key) = (house.text("repository"), house.text("second"), house.text("key"));
    house.run(["-r", &to, "init", "--no-recovery-code"]).done();
    let words = ["-r", &to, "--from-repo", &from, "--from-key-file", &key, "--all"];
    record.run(&house, "copy", &[&words[..], &["--dry-run"]].concat()).done();
    record.run(&house, "copy", &words).done();
    record.run(&house, "copy", &words).done();
    // What the copy has lost comes back; what both have lost does not.
    std::fs::remove_file(largest_pack(&house, "second")).expect("removed");
    record.run(&house, "copy", &words).done();
    std::fs::remove_file(largest_pack(&house, "second")).expect("removed");
    std::fs::remove_file(largest_pack(&house, "repository")).expect("removed");
    record.run(&house, "copy", &words).ended(3);
    record.run(&house, "copy", &["--from-repo", &from]).ended(2);
}

pub fn keys(record: &mut Record) {
    let house = House::empty();
    house.run(["init"]).done();
    house.write("in/file", noise(1, 200_000));
    house.backup(&["in"]);
    house.write("password", b"correct horse");
    record.run(&house, "key list", NOTHING).done();
    record.run(&house, "repair keys", NOTHING).done();
    record.run(&house, "key add", &["--new-recovery-code"]).done();
    let added = record.run(&house, "key add", &["--new-key-file", "more"]).done().message("added");
    record.run(&house, "key remove", &[added["id"].as_str().expect("an ID")]).done();
    record.run(&house, "key remove", &["ffff"]).ended(1);
    record.run(&house, "key rotate", &["--reencrypt"]).done();
    record.run(&house, "key passwd", &["--new-password-file", "password"]).done();
    record.run(&house, "snapshots", NOTHING).ended(12);
}

pub fn damage(record: &mut Record) {
    let house = filled();
    house.backup(&["in"]);
    let clone = house.text("clone");
    let copied = std::process::Command::new("cp").arg("-r").arg(house.repository()).arg(&clone).status();
    assert!(copied.expect("cp runs").success());
    std::fs::remove_file(&house.area("index")[0].0).expect("removed");
    std::fs::remove_file(&house.area("keys/data")[0].0).expect("removed");
    record.run(&house, "check", NOTHING).ended(13);
    record.run(&house, "repair index", &["--dry-run"]).done();
    record.run(&house, "repair index", NOTHING).done();
    let pack = largest_pack(&house, "repository");
    let mut bytes = std::fs::read(&pack).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pack, bytes).expect("written");
    record.run(&house, "repair packs", NOTHING).ended(3);
    std::fs::remove_file(pack).expect("removed");
    record.run(&house, "check", NOTHING).ended(13);
    record.run(&house, "restore", &["latest", "--target", "out", "--no-owner"]).ended(3);
    record.run(&house, "repair snapshots", &["--all", "--dry-run"]).ended(3);
    record.run(&house, "repair snapshots", &["--all"]).ended(3);
    let fetch = ["--from-repo", &clone, "--all"];
    record.run(&house, "repair fetch", &[&fetch[..], &["--dry-run"]].concat()).ended(3);
    record.run(&house, "repair fetch", &fetch).done();
}

/// Command lines that are not understood, for every verb, and places that are none.
pub fn failures(record: &mut Record) {
    let house = House::empty();
    let verbs = "init backup snapshots ls find diff restore dump check stats tag cat forget prune protect unprotect copy \
                 rewrite completions man version";
    let deeper = ["key list", "key add", "key remove", "key passwd", "key rotate", "repair index", "repair packs"];
    let deepest = ["repair fetch", "repair snapshots"];
    for verb in verbs.split(' ').chain(deeper).chain(deepest) {
        let outcome = record.run(&house, verb, &["--\u{202e}nonsense"]).ended(2);
        assert_eq!(outcome.message("exit_error")["code"], 2);
    }
    for verb in ["ls", "find", "diff", "restore", "dump", "tag", "cat", "protect", "copy", "rewrite", "repair fetch"] {
        let wrong = record.run(&house, verb, NOTHING).ended(2).message("exit_error");
        assert!(
            wrong["message"].as_str().is_some_and(|text| text.contains("missing on the command line: ")),
            "{wrong}"
        );
    }
    for verb in ["nonsense", "key", "repair", "key nonsense"] {
        record.run(&house, verb, NOTHING).ended(2);
    }
    for verb in ["snapshots", "check", "prune", "stats"] {
        record.run(&house, verb, &["-r", "nowhere"]).ended(10);
    }
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
}

/// A running job is asked to stop; what has no job yet ends at once.
pub fn signals(record: &mut Record) {
    let house = House::new();
    let script = "while :; do head -c 1000000 /dev/urandom; done";
    let mut command = house.command(["--json", "backup", "--stdin-from-command", "--", "sh", "-c", script]);
    let mut child = command.spawn().expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = String::new();
    while !lines.contains("\"status\"") {
        assert!(out.read_line(&mut lines).expect("a line") > 0, "it ended: {lines}");
    }
    interrupt(&child);
    out.read_to_string(&mut lines).expect("lines");
    let outcome = crate::harness::finish(child).ended(130);
    assert!(outcome.err.contains("stopping cleanly"), "{outcome}");
    record.keep("backup", &lines);
    record.keep("backup", &outcome.err);

    let asked = house.path("asked");
    let wait = format!("touch {}; cat {}", asked.display(), house.text("pipe"));
    assert!(std::process::Command::new("mkfifo").arg(house.path("pipe")).status().expect("it runs").success());
    let mut child =
        house.command(["--json", "--password-command", &wait, "snapshots"]).spawn().expect("the program starts");
    let catches = |mask: &str| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 2 != 0);
    let status = format!("/proc/{}/status", child.id());
    until(|| {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        asked.exists() && status.lines().filter_map(|line| line.strip_prefix("SigCgt:")).any(catches)
    });
    interrupt(&child);
    child.wait().expect("it ends");
    // The command that makes the password goes on, and holds standard error open.
    std::fs::write(house.path("pipe"), b"").expect("written");
    let outcome = crate::harness::finish(child);
    assert_eq!(outcome.message("exit_error")["code"], 130, "{outcome}");
    record.keep("snapshots", &outcome.err);
}
