//! `snapshots`, `ls`, `find` and `diff`: what is there, and what differs.

use crate::harness::House;
use serde_json::Value;

/// Three snapshots of two hosts.
fn house() -> House {
    let house = House::new();
    house.write("in/notes.txt", "first");
    house.write("in/deep/Report.odt", "report");
    let top = house.text("in");
    house.backup(&["--tag", "daily", "--time", "2020-01-01T00:00:00Z", &top]);
    house.write("in/notes.txt", "second");
    house.write("in/new", "new");
    house.backup(&["--tag", "daily,keep", "--time", "2020-01-02T00:00:00Z", &top]);
    house.backup(&["-H", "other", "--time", "2020-01-03T00:00:00Z", &house.text("in/deep")]);
    house
}

fn count(house: &House, options: &[&str]) -> usize {
    let listed = house.run([&["--json", "snapshots"], options].concat()).done().json();
    listed.as_array().expect("an array").len()
}

#[test]
fn snapshots_are_filtered_and_grouped() {
    let house = house();
    let deep = house.text("in/deep");
    for (options, expected) in [
        (vec![], 3),
        (vec!["--host", "other"], 1),
        (vec!["--host", "other", "--host", "house"], 3),
        (vec!["--tag", "daily"], 2),
        (vec!["--tag", "daily,keep"], 1),
        (vec!["--tag", "keep", "--tag", "none"], 1),
        (vec!["--path", deep.as_str()], 1),
        (vec!["--latest", "1"], 2),
        (vec!["--latest", "1", "--group-by", "tags"], 3),
        (vec!["latest"], 1),
        (vec!["latest", "latest~1"], 2),
        (vec!["--tag", "none"], 0),
    ] {
        assert_eq!(count(&house, &options), expected, "{options:?}");
    }
    let table = house.run(["snapshots", "--group-by", "host"]).done();
    table.says("snapshots of host other").says("snapshots of host house").says("2020-01-02 00:00:00");
    let groups = house.run(["--json", "snapshots", "--group-by", "host,paths,tags"]).done().json();
    let keys: Vec<&Value> = groups.as_array().expect("an array").iter().map(|group| &group["group_key"]).collect();
    assert!(keys.iter().all(|key| key["host"].is_string() && key["paths"].is_array()), "{groups}");
    assert!(keys.iter().any(|key| key["tags"] == serde_json::json!(["daily", "keep"])), "{groups}");
    let compact = house.run(["snapshots", "--compact"]).done();
    assert!(!compact.out.contains(&deep), "{compact}");
}

#[test]
fn a_snapshot_is_named_by_its_age_or_the_beginning_of_its_id() {
    let house = house();
    let ids: Vec<String> =
        house.snapshots().iter().map(|snapshot| snapshot["id"].as_str().expect("an ID").to_owned()).collect();
    for (selector, id) in
        [("latest", &ids[2]), ("latest~1", &ids[1]), ("latest~2", &ids[0]), (&ids[0], &ids[0]), (&ids[1][..8], &ids[1])]
    {
        let shown = house.run(["cat", "snapshot", selector]).done().json();
        assert_eq!(shown["id"], id.as_str(), "{selector}");
    }
    house.run(["ls", "latest", "--host", "house"]).done().says("notes.txt");
    house.run(["ls", "latest~3"]).refused(1, &["snapshot"]);
    house.run(["ls", "ffffffffffff"]).refused(1, &["snapshot"]);
    house.run(["ls", "nonsense"]).refused(2, &["\"nonsense\" names no snapshot"]);
}

#[test]
fn ls_lists_all_or_only_some_folders() {
    let house = house();
    let top = house.text("in");
    let listed = |options: &[&str]| house.run([&["ls", "latest~1"], options].concat()).done().out;
    let all = listed(&[]);
    assert!(all.contains("/in/notes.txt\n") && all.contains("/in/deep/Report.odt\n"), "{all}");
    let direct = listed(&[&top]);
    assert!(direct.contains("/in/deep\n") && !direct.contains("Report"), "{direct}");
    assert!(listed(&["--recursive", &top]).contains("Report"));
    assert!(house.run(["ls", &format!("latest~1:{top}/deep")]).done().out.contains("Report"));
    assert!(listed(&["-l"]).lines().any(|line| line.starts_with("-rw") && line.contains(" 6 ")));
    assert!(listed(&["-l", "--human-readable"]).contains("6 B"));
    let outcome = house.run(["--json", "ls", "latest~1"]).done();
    assert_eq!(outcome.message("snapshot")["hostname"], "house");
    let messages = outcome.messages();
    let node = messages.iter().find(|node| node["name"] == "notes.txt").expect("it is listed");
    assert_eq!((&node["message_type"], &node["type"], &node["size"]), (&"node".into(), &"file".into(), &6.into()));
}

#[test]
fn find_looks_into_every_snapshot() {
    let house = house();
    let hits = |options: &[&str]| -> Vec<u64> {
        let found = house.run([&["--json", "find"], options].concat()).done().json();
        let found = found.as_array().expect("an array");
        found.iter().map(|one| one["hits"].as_u64().expect("a number")).collect()
    };
    assert_eq!(hits(&["notes.txt"]), [1, 1]);
    assert_eq!(hits(&["*.odt"]), [1, 1, 1]);
    assert_eq!(hits(&["REPORT*"]), Vec::<u64>::new());
    assert_eq!(hits(&["-i", "REPORT*"]), [1, 1, 1]);
    assert_eq!(hits(&["--snapshot", "latest", "*.odt"]), [1]);
    assert_eq!(hits(&["--host", "house", "new"]), [1]);
    assert_eq!(hits(&["--newest", "2001-01-01", "*"]), Vec::<u64>::new());
    assert_eq!(hits(&["--oldest", "2001-01-01", "notes.txt", "new"]), [1, 2]);
    assert_eq!(hits(&["--reverse", "notes.txt", "new"]), [2, 1]);
    assert_eq!(hits(&[&format!("{}/*", house.text("in/deep"))]), [1, 1, 1]);
    house.run(["find", "-l", "new"]).done().says("found in snapshot").says("-rw");
    house.run(["find", "["]).refused(2, &["cannot understand the pattern '['", "a [ is not closed"]);
}

#[test]
fn diff_tells_two_snapshots_apart() {
    let house = house();
    let top = house.text("in");
    let outcome = house.run(["diff", "latest~2", "latest~1"]).done();
    let outcome = outcome.says(&format!("M    {top}/notes.txt")).says(&format!("+    {top}/new")).says("1 changed");
    assert!(!outcome.out.contains("Report"), "{outcome}");
    house.run(["diff", "latest~1", "latest~2"]).done().says(&format!("-    {top}/new"));
    let json = house.run(["--json", "diff", "latest~2", "latest~1"]).done();
    assert_eq!((&json.message("statistics")["changed_files"], json.messages().len()), (&1.into(), 3));
    let part = house.run(["diff", &format!("latest~2:{top}/deep"), &format!("latest~1:{top}/deep")]).done();
    assert!(!part.out.contains("notes"), "{part}");
    house.run(["diff", "latest:/a", "latest:/b"]).refused(2, &["the two parts are not the same"]);
    let file = std::fs::File::options().write(true).open(house.path("in/new")).expect("it is there");
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("a time");
    house.backup(&[&top]);
    let quiet = house.run(["diff", "latest~1", "latest", "--host", "house"]).done();
    assert!(!quiet.out.contains("/new"), "{quiet}");
    house.run(["diff", "latest~1", "latest", "--host", "house", "--metadata"]).done().says(&format!("U    {top}/new"));
}

#[test]
fn diff_tells_a_snapshot_from_the_disk() {
    let house = house();
    let marks = |options: &[&str]| -> Vec<String> {
        let outcome = house.run([&["--json", "diff", "latest~1", "--disk"], options].concat()).done();
        let changes = outcome.messages().into_iter().filter(|value: &Value| value["message_type"] == "change");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let name = |path: &str| path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default().to_owned();
        changes.map(|change| format!("{} {}", text(&change["modifier"]), name(&text(&change["path"])))).collect()
    };
    assert_eq!(marks(&[]), Vec::<String>::new());
    house.write("in/more", "x");
    std::fs::remove_file(house.path("in/new")).expect("removed");
    house.write("in/notes.txt", "changed again");
    std::fs::remove_file(house.path("in/deep/Report.odt")).expect("removed");
    std::fs::create_dir(house.path("in/deep/Report.odt")).expect("a folder");
    assert_eq!(marks(&[]), ["T Report.odt", "+ more", "- new", "M notes.txt"]);
    // Other bytes with the same size and time are only found by reading.
    let copy = house.restore(&house.path("in"), "copy");
    let file = copy.join("deep/Report.odt");
    let time = std::fs::metadata(&file).and_then(|metadata| metadata.modified()).expect("a time");
    std::fs::write(&file, "REPORT").expect("written");
    std::fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(time)).expect("a time");
    let part = format!("latest:{}", house.text("in/deep"));
    let disk = copy.join("deep");
    let against = |more: &[&str]| {
        house.run([&["diff", &part, "--disk", disk.to_str().expect("UTF-8")], more].concat()).done().out
    };
    assert_eq!(against(&[]), "no differences\n");
    assert!(against(&["--content"]).starts_with("M "));
}

#[test]
fn diff_takes_the_root_of_the_disk_at_its_word() {
    let house = House::new();
    house.write("in/file", "x");
    // Stored as `in`: it was at home in this folder, and there is no /in.
    house.backup(&["in"]);
    let told = |options: &[&str]| {
        let outcome = house.run([&["diff", "latest", "--disk"], options].concat()).done();
        (outcome.out, outcome.err.lines().next().unwrap_or_default().to_owned())
    };
    let (differences, compared) = told(&[]);
    assert_eq!(differences, "no differences\n");
    assert!(
        compared.ends_with(&format!(" to {}", house.path(".").canonicalize().expect("there").display())),
        "{compared}"
    );
    let (differences, compared) = told(&["/"]);
    assert!(compared.ends_with(" to /"), "{compared}");
    assert!(differences.starts_with("-    /in/\n"), "{differences}");
}

#[test]
fn diff_with_the_disk_asks_where_a_snapshot_was_rather_than_guess() {
    let house = House::new();
    house.write("in/file", "x");
    house.write("other/file", "y");
    let other = house.text("other");
    house.backup(&["in", &other]);
    let unknown = ["cannot tell where on the disk snapshot", "hint: say with --disk FOLDER"];
    house.run(["diff", "latest", "--disk"]).refused(2, &unknown);
    assert_eq!(house.run(["diff", "latest:in", "--disk"]).done().out, "no differences\n");
    assert_eq!(house.run(["diff", &format!("latest:{other}"), "--disk"]).done().out, "no differences\n");
    assert!(house.run(["diff", "latest", "--disk", "."]).done().out.contains("-    /"));
    house.run_with(b"dump", ["backup", "--stdin"]).done();
    house.run(["diff", "latest", "--disk"]).refused(2, &unknown);
}
