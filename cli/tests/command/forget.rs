//! Rules that thin snapshots out, and what protects one from them.

use crate::harness::House;
use crate::harness::run;
use std::time::Duration;
use std::time::SystemTime;

/// Backs up as if at that moment: the host claims it, and the store's time bears it out.
fn backup_at(house: &House, time: &str, more: &[&str]) {
    let source = house.text("in");
    let words = [&["--time", time], more, &[&source]].concat();
    let id = house.backup(&words)["snapshot_id"].as_str().expect("an id").to_owned();
    let seconds: jiff::Timestamp = format!("{time}Z").replace(' ', "T").parse().expect("a time");
    let stored = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds.as_second()).expect("after 1970"));
    let record = house.repository().join("snapshots").join(id);
    std::fs::File::open(record).and_then(|file| file.set_modified(stored)).expect("a time can be set");
}

/// Four days, two snapshots each.
fn house() -> House {
    let house = House::new();
    house.write("in/file", b"content");
    for day in ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"] {
        backup_at(&house, &format!("{day} 08:00:00"), &[]);
        backup_at(&house, &format!("{day} 20:00:00"), &["--tag", "evening"]);
    }
    house
}

fn times(house: &House) -> Vec<String> {
    let time = |snapshot: &serde_json::Value| snapshot["time"].as_str().expect("a time")[..13].to_owned();
    house.snapshots().iter().map(time).collect()
}

#[test]
fn rules_keep_what_they_count_and_nothing_else() {
    let house = house();
    let told = house.run(["forget", "--dry-run", "--keep-last", "1", "--keep-daily", "2"]).done();
    let told = told.says("kept: 2, would be removed: 6").says("last, daily: newest of 2026-03-0");
    assert_eq!(house.snapshots().len(), 8);
    // The other one of the last day; and what is older than both that are kept.
    assert_eq!(told.out.matches("no rule keeps it").count(), 1, "{told}");
    assert_eq!(told.out.matches("older than what the rules keep").count(), 5, "{told}");
    let json = house.run(["--json", "forget", "--dry-run", "-l", "1", "-d", "2"]).done().message("forget_group");
    let removed = json["removal_reasons"].as_array().expect("a list");
    let ids: Vec<_> = removed.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(serde_json::Value::from(ids), json["remove"]);
    assert_eq!(removed[5]["reason"], "older than what the rules keep", "{json}");
    house.run(["forget", "-l", "1", "-d", "2"]).done().says("kept: 2, removed: 6");
    assert_eq!(times(&house), ["2026-03-03T20", "2026-03-04T20"]);
    house.assert_sound();
}

#[test]
fn every_rule_can_be_typed() {
    let house = house();
    let rules = "--keep-hourly 1 --keep-weekly 1 --keep-monthly unlimited --keep-yearly -1 --keep-within 1h \
                 --keep-within-hourly 2h --keep-within-daily 1d --keep-within-weekly 1w --keep-within-monthly 1m \
                 --keep-within-yearly 1y --keep-tag none,here --group-by host,label";
    let words: Vec<&str> = ["forget", "--dry-run"].into_iter().chain(rules.split_whitespace()).collect();
    let out = house.run(&words).done().out;
    for reason in ["hourly", "weekly", "monthly", "yearly", "within 1h", "hourly within 2h", "daily within 1d"] {
        assert!(out.contains(reason), "{reason}: {out}");
    }
    house.run(["forget", "--keep-within", "soon"]).refused(2, &["1y6m"]);
    // Nothing is a rule that is off, as a script writes it that has a number for each.
    house.run(["forget", "--keep-last", "0", "--keep-within", "0d"]).refused(2, &["neither rules nor IDs"]);
    let told =
        house.run(["forget", "--dry-run", "--keep-hourly", "0", "--keep-within", "0", "--keep-last", "1"]).done();
    told.says("kept: 1, would be removed: 7");
}

#[test]
fn groups_are_thinned_apart() {
    let house = house();
    house.write("other/file", b"content");
    house.backup(&[&house.text("other")]);
    let json = house.run(["--json", "forget", "--keep-last", "1"]).done();
    assert_eq!(json.message("forgotten")["kept"], 2);
    assert_eq!(house.snapshots().len(), 2);
    house.run(["forget", "--keep-last", "1", "--group-by", ""]).done();
    assert_eq!(house.snapshots().len(), 1);
}

#[test]
fn filters_leave_other_snapshots_alone() {
    let house = house();
    house.run(["forget", "--keep-last", "1", "--tag", "evening"]).done().says("kept: 1, removed: 3");
    assert_eq!(house.snapshots().len(), 5);
    house.run(["forget", "--keep-last", "1", "--host", "elsewhere"]).done().says("kept: 0, removed: 0");
    assert_eq!(house.snapshots().len(), 5);
}

#[test]
fn nothing_goes_without_a_rule_and_never_everything() {
    let house = house();
    house.run(["forget"]).refused(2, &[]);
    house.run(["forget", "latest", "--keep-last", "1"]).refused(2, &[]);
    house.run(["forget", "--keep-tag", "nowhere"]).refused(1, &["keep none", "--unsafe-allow-remove-all"]);
    assert_eq!(house.snapshots().len(), 8);
    house.run(["forget", "--keep-tag", "nowhere", "--unsafe-allow-remove-all"]).done();
    assert!(house.snapshots().is_empty());
}

#[test]
fn a_protected_snapshot_stays_until_it_is_unprotected() {
    let house = house();
    house.run(["protect", "latest~7"]).done().says("is protected, and is now");
    let first = || house.snapshots()[0].clone();
    assert_eq!(first()["protected"], true);
    house.run(["snapshots"]).done().says("protected");
    let id = first()["id"].as_str().expect("an id").to_owned();
    house.run(["protect", &id]).done().says("was protected already");
    house.run(["forget", &id]).refused(1, &["it is protected", "unprotect"]);
    house.run(["forget", "--keep-last", "2"]).done().says("kept: 3");
    assert_eq!(first()["id"], id.as_str());
    house.run(["tag", "--add", "kept", &id]).done();
    assert_eq!(first()["protected"], true);
    house.run(["unprotect", "latest~2"]).done();
    house.run(["forget", "latest~2"]).done();
    assert_eq!(house.snapshots().len(), 2);
    house.assert_sound();
}

#[test]
fn snapshots_that_lie_about_their_time_push_nothing_out() {
    let house = house();
    for forged in ["2026-03-01 23:59:00", "2026-03-02 23:59:00", "2026-03-03 23:59:00", "2099-01-01 00:00:00"] {
        house.backup(&["--time", forged, &house.text("in")]);
    }
    let json = house.run(["--json", "forget", "--dry-run", "--keep-daily", "4"]).done().message("forget_group");
    let kept = json["keep"].as_array().expect("ids").clone();
    let real: Vec<_> =
        house.snapshots().into_iter().filter(|one| one["tags"] == serde_json::json!(["evening"])).collect();
    for snapshot in &real[1..] {
        assert!(kept.contains(&snapshot["id"]), "{} was pushed out", snapshot["time"]);
    }
    house.run(["forget", "--dry-run", "--keep-daily", "4"]).done().says("by the time it was stored");
}

#[test]
fn a_dry_run_is_refused_where_the_real_run_is() {
    let house = house();
    for more in [["--keep-tag", "nosuch"].as_slice(), &["--keep-tag", "nosuch", "--prune"]] {
        for dry in [["--dry-run"].as_slice(), &[]] {
            let words = [&["forget"], dry, more].concat();
            house.run(words).refused(1, &["every snapshot of a group", "--unsafe-allow-remove-all"]);
        }
    }
    house.run(["protect", "latest"]).done();
    for dry in [["--dry-run"].as_slice(), &[]] {
        let words = [&["forget", "latest"], dry].concat();
        house.run(words).refused(1, &["because: it is protected", "hint: 'strongroom unprotect'"]);
    }
    house.run(["unprotect", "latest"]).done();
    house.run(["forget", "-n", "--keep-id", "deadbeef"]).refused(2, &["deadbeef"]);
    house.run(["forget", "--keep-last", "1", "--keep-id", "deadbeef"]).refused(2, &["deadbeef"]);
    house.run(["forget", "-n", "--prune", "--keep-last", "1"]).done().says("the prune was not planned");
    assert_eq!(house.snapshots().len(), 8);
}

/// What a clock that was wrong once has stored, with a store whose clock agreed.
#[test]
fn a_snapshot_of_the_future_is_named_and_pushes_out_no_good_one() {
    let house = House::new();
    house.write("in/file", b"content");
    backup_at(&house, "2999-01-01 00:00:00", &[]);
    for day in ["2026-03-01", "2026-03-02", "2026-03-03"] {
        backup_at(&house, &format!("{day} 08:00:00"), &[]);
    }
    let dry = house.run(["forget", "--dry-run", "--keep-last", "1"]).done();
    assert!(dry.err.contains("1 snapshot is dated in the future"), "{dry}");
    assert!(dry.err.contains("2999-01-01 00:00:00): it is kept, and no rule counts it"), "{dry}");
    let dry = dry.says("kept: 2, would be removed: 2").says("dated in the future");
    assert!(dry.err.contains("'strongroom forget "), "{dry}");
    for rules in [&["-d", "1", "-w", "1", "-m", "1"][..], &["--keep-within", "1d"], &["-y", "1"]] {
        let json = house.run([&["--json", "forget", "--dry-run"], rules].concat()).done();
        let group = json.message("forget_group");
        assert_eq!(group["future_ids"].as_array().map(Vec::len), Some(1), "{rules:?} {json}");
        assert_eq!(group["keep"].as_array().map(Vec::len), Some(2), "{rules:?} {json}");
        assert!(json.message("warning")["message"].as_str().is_some_and(|text| text.contains("in the future")));
    }
    house.run(["forget", "--keep-last", "1", "--prune"]).done();
    assert_eq!(times(&house), ["2026-03-03T08", "2999-01-01T00"]);
    // That it stays is no leave to remove all others.
    house.run(["forget", "--keep-tag", "none"]).refused(1, &["cannot forget every snapshot of a group"]);
    assert_eq!(house.snapshots().len(), 2);
    house.assert_sound();
}

#[test]
fn a_machine_whose_clock_is_behind_forgets_nothing_and_says_so() {
    let house = House::new();
    house.write("in/file", b"content");
    for day in ["2999-01-01", "2999-01-02"] {
        backup_at(&house, &format!("{day} 08:00:00"), &[]);
    }
    let outcome = house.run(["forget", "--keep-last", "1"]).done().says("kept: 2, removed: 0");
    assert!(outcome.err.contains("2 snapshots are dated in the future"), "{outcome}");
    assert!(outcome.err.contains("is the clock of this machine behind?"), "{outcome}");
}

#[test]
fn an_hour_is_an_hour_in_the_night_in_which_clocks_change() {
    let house = House::new();
    house.write("in/file", b"content");
    // In Berlin 01:45 in winter and, 45 minutes later, 03:30 in summer.
    for time in ["2026-03-29 00:15:00", "2026-03-29 00:45:00", "2026-03-29 01:30:00"] {
        backup_at(&house, time, &[]);
    }
    for rule in ["--keep-within", "--keep-within-hourly"] {
        let mut command = house.command(["--json", "forget", "--dry-run", rule, "1h"]);
        let json = run(command.env("TZ", "Europe/Berlin")).done();
        assert_eq!(json.message("forgotten")["kept"], 2, "{rule} {json}");
    }
}

#[test]
fn a_quiet_forget_says_nothing() {
    let house = house();
    for arguments in [vec!["--dry-run", "--keep-last", "3"], vec!["--keep-last", "3", "--prune"], vec!["latest"]] {
        let outcome = house.run([&["-q", "forget"], arguments.as_slice()].concat()).done();
        assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("", ""), "{arguments:?}");
    }
    assert_eq!(house.snapshots().len(), 2);
}

#[test]
fn a_prune_after_forgetting_takes_the_options_of_a_prune() {
    let house = House::new();
    for number in 0..2u64 {
        house.write("in/file", crate::kill::noise(number, 300_000));
        house.backup(&[&house.text("in")]);
    }
    house.run(["forget", "--max-unused", "0", "latest"]).refused(2, &["--prune"]);
    house.run(["forget", "--repack-small", "--keep-last", "1"]).refused(2, &["--prune"]);
    assert_eq!(house.snapshots().len(), 2);
    // What was asked for is what the prune does: packs that wait for two days are still there.
    let packs = house.area("packs").len();
    let kept = house.run(["--json", "forget", "--prune", "--grace", "2d", "--min-age", "0", "--keep-last", "1"]).done();
    assert_eq!(kept.message("prune_plan")["grace_seconds"], 172_800, "{kept}");
    assert_eq!(house.area("packs").len(), packs, "{kept}");
    house.run(["--repository", &house.text("repository"), "check"]).done();
}
