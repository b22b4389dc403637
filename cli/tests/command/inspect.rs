//! `check`, `stats`, `cat`, `tag` and `forget`.

use crate::harness::House;

fn house() -> House {
    let house = House::new();
    house.write("in/a", crate::support::trees::Dice::new(1).bytes(300_000));
    house.write("in/copy-of-a", std::fs::read(house.path("in/a")).expect("read"));
    house.backup(&[&house.text("in")]);
    house
}

#[test]
fn check_reads_nothing_a_part_or_everything() {
    let house = house();
    let read = |options: &[&str]| {
        let summary = house.run([&["--json", "check"], options].concat()).done().message("summary");
        assert_eq!((&summary["num_errors"], &summary["snapshots_count"]), (&0.into(), &1.into()));
        summary["bytes_read"].as_u64().expect("a number")
    };
    assert_eq!(read(&[]), 0);
    let all = read(&["--read-data"]);
    assert!(all >= 100_000, "{all}");
    let parts: u64 = ["1/3", "2/3", "3/3"].iter().map(|part| read(&["--read-data-subset", part])).sum();
    assert_eq!(parts, all, "parts make the whole");
    assert_eq!(read(&["--read-data-subset", "100%"]), all);
    assert!(read(&["--read-data-subset", "1G", "--threads", "1"]) == all);
    house.run(["check"]).done().says("the data itself was not read").says("no problems were found");
    house.run(["check", "--read-data-subset", "4/3"]).ended(2);
}

#[test]
fn a_budget_reads_a_little_each_time_until_all_was_read() {
    let house = house();
    house.write("in/b", crate::support::trees::Dice::new(2).bytes(300_000));
    house.backup(&[&house.text("in")]);
    let check = |budget: &str| house.run(["--json", "check", "--read-data", "--budget", budget]);
    let summary = |budget: &str| check(budget).done().message("summary");
    let packs = summary("1/run")["packs"].as_u64().expect("a number");
    let mut left = packs - 1;
    for run in 2..=20 {
        // The debt of a whole pack is paid off by the next runs.
        let done = summary("200KiB/run");
        assert!(done["budget"]["all_anew_in_runs"].as_u64().is_some_and(|runs| runs > 1), "{done}");
        let now = done["budget"]["packs_unverified"].as_u64().expect("a number");
        assert!(now <= left, "{done}");
        assert!(done["bytes_read"].as_u64().is_some_and(|bytes| bytes < 600_000), "{done}");
        left = now;
        if left == 0 {
            assert_eq!(done["budget"]["all_read_in_runs"], 0, "{done}");
            break;
        }
        assert!(run < 20, "it does not come to an end: {done}");
    }
    house.run(["check", "--budget", "1/run"]).done().says("this check and earlier ones have read every pack");
    // Of a run that reads a part nobody is told that it has read all.
    let part = house.run(["check", "--budget", "200KiB/run"]).done();
    assert!(!part.out.contains("all data was read"), "{part}");
    // Other readings count, and other forms of a budget are understood.
    house.run(["check", "--budget", "10%/day"]).done().says("has not been verified is").says("read again in 10 days");
    for refused in ["10%", "10%/month", "0/run"] {
        let outcome = house.run(["check", "--budget", refused]).ended(2);
        assert!(outcome.err.contains("'--budget <AMOUNT/TIME>'"), "{outcome}");
    }
    house.run(["check", "--budget", "1/run", "--read-data-subset", "1/2"]).ended(2);
    house.run(["--no-cache", "check", "--budget", "1/run"]).refused(2, &["needs a cache folder", "hint:"]);
    house.write("occupied/verified.sqlite/within", "x");
    house
        .run(["--cache-dir", &house.text("occupied"), "check", "--budget", "1/run"])
        .refused(1, &["cannot keep a reading budget", "because:", "hint:", "verified.sqlite"]);
}

#[test]
fn a_budget_tells_damage_found_earlier_every_time() {
    let house = house();
    let pack = house.area("packs").remove(0).0;
    let mut bytes = std::fs::read(&pack).expect("read");
    bytes[100] ^= 1;
    std::fs::write(&pack, bytes).expect("written");
    let name = pack.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    // Whichever pack a budget begins with.
    house.run(["check", "--read-data"]).ended(13);
    for _ in 0..3 {
        house.run(["check", "--budget", "100%/30d"]).ended(13).says(&name);
    }
}

#[test]
fn stats_tell_plain_deduplicated_and_stored() {
    let house = house();
    let stats = |options: &[&str]| house.run([&["--json", "stats"], options].concat()).done().message("stats");
    let all = stats(&[]);
    assert_eq!((&all["total_size"], &all["total_file_count"]), (&600_000.into(), &2.into()));
    assert_eq!(all["total_uncompressed_size"], 300_000, "what is there twice is stored once");
    assert!(all["total_stored_size"].as_u64().is_some_and(|stored| stored > 10_000));
    assert!(stats(&["--mode", "restore-size"])["packs"].is_null());
    assert!(stats(&["--mode", "raw-data"])["total_size"].is_null());
    house.backup(&[&house.text("in")]);
    assert_eq!(stats(&["latest"])["snapshots_count"], 1);
    let lines = house.run(["--json", "stats", "--mode", "by-snapshot"]).done().messages();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["message_type"] == "snapshot_stats" && line["total_size"] == 600_000));
    assert!(all["selected_stored_size"].is_null(), "all of them are the whole repository: {all}");
    // One of two: what is stored for it is told beside what is stored in all, and each says which it is.
    house.write("in/c", crate::support::trees::Dice::new(9).bytes(100_000));
    house.backup(&[&house.text("in")]);
    let one = stats(&["latest~2"]);
    assert_eq!(one["total_size"], 600_000);
    let of = |name: &str| one[name].as_u64().expect("a number");
    assert!((300_000..400_000).contains(&of("selected_uncompressed_size")), "{one}");
    assert!(of("selected_stored_size") + 10_000 < of("total_stored_size"), "{one}");
    let told = house.run(["stats", "latest~2"]).done().says(", these snapshots").says(", whole repository");
    let scoped = |line: &&str| {
        line.ends_with(", these snapshots") || line.contains("these snapshots, ") || line.ends_with("whole repository")
    };
    assert_eq!(
        told.out
            .lines()
            .filter(|line| line.starts_with("without") || line.starts_with("stored"))
            .filter(scoped)
            .count(),
        4,
        "{told}"
    );
    assert!(!house.run(["stats"]).done().out.contains("these snapshots"));
    house.run(["stats"]).done().says("without duplicates");
    house.run(["stats", "--mode", "by-snapshot"]).done().says("Added then");
}

#[test]
fn cat_shows_objects_as_json() {
    let house = house();
    let cat = |arguments: &[&str]| house.run([&["cat"], arguments].concat());
    assert_eq!(cat(&["config"]).done().json()["pack_bytes"], 16 << 20);
    assert_eq!(cat(&["snapshot", "latest"]).done().json()["paths"][0], house.text("in"));
    let name = |area: &str| {
        let file = house.area(area).remove(0).0;
        file.file_name().and_then(|name| name.to_str()).expect("an ID").to_owned()
    };
    assert!(cat(&["index", &name("index")]).done().json()["packs"].as_array().is_some_and(|packs| packs.len() == 2));
    let pack = name("packs");
    assert_eq!(cat(&["pack", &pack[..10]]).done().json()["id"], pack.as_str());
    // For people it is indented, for scripts a message like all others.
    assert!(cat(&["config"]).done().out.lines().count() > 5);
    for (what, id) in [("config", None), ("snapshot", Some("latest")), ("index", Some("")), ("pack", Some(""))] {
        let id = id.map(|id| if id.is_empty() { name(if what == "pack" { "packs" } else { what }) } else { id.into() });
        let words: Vec<&str> = [Some(what), id.as_deref()].into_iter().flatten().collect();
        let outcome = house.run([&["--json", "cat"], words.as_slice()].concat()).done();
        assert_eq!(outcome.out.lines().count(), 1, "{outcome}");
        assert_eq!(outcome.message(what)["id"].as_str().map(str::is_empty), Some(false));
    }
    cat(&["config", "x"]).refused(2, &["there is one config"]);
    cat(&["pack"]).refused(2, &["the ID is missing"]);
    cat(&["pack", "ffffffffffff"]).refused(1, &["ffffffffffff"]);
}

#[test]
fn tags_are_set_added_and_removed() {
    let house = house();
    let tags = || house.snapshots()[0]["tags"].clone();
    house.run(["tag", "--add", "a,b", "latest"]).done().says("is now");
    assert_eq!(tags(), serde_json::json!(["a", "b"]));
    house.run(["tag", "--remove", "a", "--add", "c", "--tag", "b"]).done().says("changed the tags of 1 snapshot\n");
    assert_eq!(tags(), serde_json::json!(["b", "c"]));
    let json = house.run(["--json", "tag", "--set", "only"]).done();
    assert_eq!(json.message("summary")["changed_snapshots"], 1);
    assert_eq!(tags(), serde_json::json!(["only"]));
    house.run(["tag", "--set", ""]).done();
    assert_eq!(tags(), serde_json::json!([]));
    let asked = house.run(["tag", "latest"]).ended(2);
    assert!(["--set", "--add", "--remove"].iter().all(|option| asked.err.contains(option)), "{asked}");
    assert_eq!(house.snapshots().len(), 1);
    house.assert_sound();
}

#[test]
fn forget_removes_what_is_named_or_nothing() {
    let house = house();
    house.backup(&[&house.text("in")]);
    house.backup(&[&house.text("in")]);
    house.run(["forget", "--dry-run", "latest"]).done().says("would remove snapshot");
    house.run(["forget", "latest", "ffffffff"]).refused(1, &["ffffffff"]);
    assert_eq!(house.snapshots().len(), 3);
    house.run(["forget", "latest", "latest~1"]).done().says("removed snapshot");
    assert_eq!(house.snapshots().len(), 1);
    let json = house.run(["--json", "forget", "latest"]).done().message("forgotten");
    assert_eq!(json["removed_ids"].as_array().map(Vec::len), Some(1));
    assert!(house.snapshots().is_empty());
    house.run(["snapshots"]).done().says("no snapshots");
    house.assert_sound();
}

#[test]
fn one_thing_is_not_called_many() {
    let house = House::new();
    house.write("in/a", "x");
    let backup = house.run(["backup", "in"]).done().says("processed 1 file, 1 B in");
    assert!(!backup.out.contains("1 files"), "{backup}");
    house.run(["snapshots"]).done().says("1 snapshot\n");
    house.run(["check", "--read-data"]).done().says("checked 1 snapshot: 2 chunks in 2 packs");
    house.run(["restore", "latest:in", "--target", "out"]).done().says("restored 1 entry (");
    house.run(["forget", "latest"]).done();
    house.run(["check"]).done().says("checked 0 snapshots: 2 chunks in 2 packs");
}

#[test]
fn finding_nothing_is_said() {
    let house = house();
    let outcome = house.run(["find", "no-such-name"]).done();
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("", "nothing was found in 1 snapshot\n"));
    assert_eq!(house.run(["-q", "find", "no-such-name"]).done().err, "");
}

#[test]
fn a_rehearsed_restore_does_not_claim_to_have_written() {
    let house = house();
    let outcome = house.run(["restore", "--dry-run", "latest", "--target", "out"]).done();
    assert!(outcome.out.contains("would write") && !outcome.out.contains("\nwrote"), "{outcome}");
    assert!(!house.path("out").exists());
}
