//! Streams: what is empty is refused unless it was meant, and no child of the command inherits its secrets.

use crate::harness::House;
use crate::harness::finish;
use crate::harness::run;
use std::io::BufRead;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

#[test]
fn a_stream_that_gives_nothing_is_no_backup_unless_that_was_meant() {
    let house = House::new();
    let hint = "hint: no snapshot was stored; with --allow-empty one is";
    house.run_with(b"", ["backup", "--stdin"]).refused(1, &["stdin gave no bytes", hint]);
    let command = ["--stdin-from-command", "--", "sh", "-c", "exit 0"];
    let outcome = house.run([&["backup"], command.as_slice()].concat());
    outcome.refused(1, &["the command sh succeeded but wrote nothing", hint]);
    house.run_with(b"", ["backup", "--stdin", "--dry-run"]).refused(1, &["gave no bytes"]);
    assert!(house.snapshots().is_empty());

    house.run_with(b"", ["backup", "--stdin", "--allow-empty"]).done().says("saved");
    assert_eq!(house.run(["dump", "latest", "stdin"]).done().out, "");
    house.run([&["backup", "--allow-empty", "--stdin-filename", "x"], command.as_slice()].concat()).done();
    assert_eq!(house.run(["dump", "latest", "x"]).done().out, "");
    house.run(["backup", "--allow-empty", "in"]).ended(2);
    house.assert_sound();
}

/// Prints the names of the variables it was started with.
const NAMES: &str = "env | sed 's/=.*//'";

#[test]
fn a_commands_output_is_made_without_the_repositorys_secrets() {
    let house = House::new();
    let key = house.text("key");
    let mut command = house.command(["--key-file", &key, "backup", "--stdin-from-command", "--", "sh", "-c", NAMES]);
    for name in [
        "STRONGROOM_PASSWORD",
        "STRONGROOM_PASSWORD_COMMAND",
        "STRONGROOM_PASSWORD_FILE",
        "STRONGROOM_RECOVERY_CODE",
        "PGPASSWORD",
    ] {
        command.env(name, "secret");
    }
    run(&mut command).done();
    let names = house.run(["dump", "latest", "stdin"]).done().out;
    let has = |name: &str| names.lines().any(|line| line == name);
    for name in ["STRONGROOM_PASSWORD", "STRONGROOM_PASSWORD_COMMAND", "STRONGROOM_RECOVERY_CODE"] {
        assert!(!has(name), "{name}: {names}");
    }
    for name in ["PGPASSWORD", "STRONGROOM_PASSWORD_FILE", "STRONGROOM_REPOSITORY", "STRONGROOM_KEY_FILE", "PATH"] {
        assert!(has(name), "{name}: {names}");
    }
}

#[test]
fn a_password_command_runs_without_the_other_secrets() {
    let house = House::empty();
    house.write("password", "correct horse");
    house.run(["-p", "password", "init", "--no-recovery-code"]).done();
    let asked = format!("{NAMES} > names; cat password");
    let mut command = house.command(["--password-command", &asked, "snapshots"]);
    for name in ["STRONGROOM_PASSWORD", "STRONGROOM_RECOVERY_CODE", "STRONGROOM_PASSWORD_COMMAND", "VAULT_TOKEN"] {
        command.env(name, "secret");
    }
    run(&mut command).done();
    let names = std::fs::read_to_string(house.path("names")).expect("it ran");
    let has = |name: &str| names.lines().any(|line| line == name);
    for name in ["STRONGROOM_PASSWORD", "STRONGROOM_RECOVERY_CODE", "STRONGROOM_PASSWORD_COMMAND"] {
        assert!(!has(name), "{name}: {names}");
    }
    assert!(has("VAULT_TOKEN") && has("PATH"), "{names}");
}

#[test]
fn a_second_interrupt_ends_a_stubborn_command_too() {
    let house = House::new();
    // It ignores polite requests, and does not mind that nobody reads it any more.
    let script = "trap '' INT TERM PIPE; echo $$ > pid; while :; do head -c 100000 /dev/urandom 2>/dev/null; done";
    let mut command = house.command(["backup", "--stdin-from-command", "--", "sh", "-c", script]);
    let mut child = command.spawn().expect("the program starts");
    crate::kill::until(|| std::fs::read_to_string(house.path("pid")).is_ok_and(|text| text.ends_with('\n')));
    let stubborn = std::fs::read_to_string(house.path("pid")).expect("it is written").trim().to_owned();
    let interrupt = |child: &std::process::Child| {
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    };
    interrupt(&child);
    let mut said = std::io::BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert!(said.any(|line| line.is_ok_and(|line| line.contains("stopping cleanly"))));
    interrupt(&child);
    finish(child).ended(130);
    // One that is dead has no command line any more, whether or not somebody has reaped it.
    let line = format!("/proc/{stubborn}/cmdline");
    crate::kill::until(|| {
        std::fs::read(&line).is_ok_and(|line| line.is_empty()) || !std::path::Path::new(&line).exists()
    });
    assert!(house.snapshots().is_empty());
}

/// A backup of a standard input that is open and silent, once it has begun to read it.
fn silent(house: &House, program: &mut Command) -> Child {
    let program = program.stdin(Stdio::piped());
    let mut child = program.spawn().expect("the program starts");
    // More than a pipe holds: when all is written, somebody reads.
    let input = child.stdin.as_mut().expect("a pipe");
    std::io::Write::write_all(input, &vec![b'x'; 2 << 20]).expect("it is read");
    assert!(house.repository().exists());
    child
}

#[test]
fn a_silent_standard_input_does_not_hold_up_a_stop() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::HUP] {
        let house = House::new();
        let mut child = silent(&house, &mut house.command(["backup", "--stdin"]));
        let input = child.stdin.take();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).expect("a signal");
        let outcome = finish(child).ended(130);
        drop(input);
        assert!(outcome.err.contains("stopping cleanly"), "{outcome}");
        assert!(house.snapshots().is_empty());
    }
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let house = House::new();
    let backup = house.command(["backup", "--stdin"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(backup.get_program()).args(backup.get_args());
    command.env_clear().current_dir(house.path(".")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(backup.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    let child = silent(&house, &mut command);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("a signal");
    finish(child).done();
    assert_eq!(house.snapshots().len(), 1);
}
