//! Peak memory of whole runs, as the kernel counts it.

use crate::harness::House;
use crate::kill::noise;
use std::process::Command;

/// Starts a command, waits for it and tells its peak resident memory in KiB on the last line of standard error.
const WATCH: &str = "import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print('peak', usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))";

/// Peak resident memory of a run, in MiB.
fn peak(house: &House, arguments: &[&str]) -> u64 {
    let plain = house.command(arguments);
    let mut command = Command::new("python3");
    command.args(["-c", WATCH]).arg(plain.get_program()).args(plain.get_args()).current_dir(house.path("."));
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let outcome = crate::harness::run(&mut command).done();
    let line = outcome.err.lines().last().and_then(|line| line.strip_prefix("peak "));
    line.and_then(|number| number.parse::<u64>().ok()).expect("the peak was told") / 1024
}

#[test]
fn memory_stays_within_its_limits_whatever_the_input() {
    let house = House::new();
    for number in 0..2 {
        house.write(&format!("in/large{number}"), noise(number, 100 << 20));
    }
    house.write("in/dull", b"the same words again and again, with a number ".repeat(2 << 20));
    for number in 0..5_000 {
        house.write(&format!("in/small/{}/{number}", number % 100), noise(number, 4000 + (number % 977) as usize));
    }
    let top = house.text("in");
    let backup = peak(&house, &["backup", "--threads", "64", &top]);
    let again = peak(&house, &["backup", "--force", "--threads", "64", &top]);
    let restore = peak(&house, &["restore", "latest", "--threads", "64", "--target", "out"]);
    let check = peak(&house, &["check", "--read-data"]);
    println!("peak MiB: backup {backup}, again {again}, restore {restore}, check {check}");
    assert!(backup <= 300 && again <= 300, "backup took {backup} and {again} MiB");
    assert!(restore <= 200, "restore took {restore} MiB");
    assert!(check <= 200, "check took {check} MiB");
}

#[test]
fn a_prune_that_writes_nearly_everything_anew_stays_within_its_limits() {
    let house = House::new();
    for number in 0..120 {
        // Half of it can be squeezed.
        let mut bytes = noise(number, 1 << 20);
        bytes.extend(format!("line {number} of the same words, again and again\n").repeat(20_000).into_bytes());
        house.write(&format!("in/{number}"), bytes);
        house.write(&format!("in/{number}-gone"), noise(number + 1000, 300_000));
    }
    let top = house.text("in");
    let first = house.backup(&[&top])["snapshot_id"].as_str().expect("an ID").to_owned();
    for number in 0..120 {
        std::fs::remove_file(house.path(format!("in/{number}-gone"))).expect("removed");
    }
    house.backup(&[&top]);
    house.run(["forget", &first]).done();
    let prune = peak(&house, &["--json", "prune", "--min-age", "0", "--max-unused", "0"]);
    println!("peak MiB: prune {prune}");
    let left: u64 = house.area("packs").iter().map(|(_, length)| length).sum();
    assert!(left < 140 << 20, "{left} bytes are left");
    assert!(prune <= 200, "prune took {prune} MiB");
    house.assert_sound();
}
