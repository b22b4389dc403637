//! What `backup` leaves out, what it takes for changed, and what it writes on the snapshot.

use crate::harness::House;
use serde_json::Value;

/// Paths of a snapshot's files below `in/`.
fn taken(house: &House, arguments: &[&str]) -> Vec<String> {
    house.backup(arguments);
    let top = format!("{}/", house.text("in"));
    let listed = house.run(["--json", "ls", "latest"]).done().messages();
    let files = listed.iter().filter(|node| node["type"] == "file");
    files.map(|node| node["path"].as_str().expect("a path").replace(&top, "")).collect()
}

#[test]
fn what_matches_is_left_out() {
    let house = House::new();
    for name in ["a.tmp", "b.TMP", "keep", "cache/x", "marked/y", "marked/.nobackup", "git/z.o", "git/kept"] {
        house.write(&format!("in/{name}"), name);
    }
    house.write("in/large", vec![1; 5000]);
    house.write("in/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    house.write("in/git/.gitignore", "*.o\n");
    house.write("patterns", "# all of these\nkeep\n\nlarge\n");
    let top = house.text("in");
    let all = taken(&house, &[&top]);
    assert_eq!(all.len(), 11, "{all:?}");
    let list = house.text("patterns");
    for (options, gone) in [
        (vec!["--exclude", "*.tmp"], vec!["a.tmp"]),
        (vec!["--iexclude", "*.tmp"], vec!["a.tmp", "b.TMP"]),
        (vec!["--exclude-file", &list], vec!["keep", "large"]),
        (vec!["--iexclude-file", &list], vec!["keep", "large"]),
        (vec!["--exclude-larger-than", "4K"], vec!["large"]),
        (vec!["--gitignore"], vec!["git/z.o"]),
    ] {
        let left = taken(&house, &[options.as_slice(), &[top.as_str()]].concat());
        let expected: Vec<&String> = all.iter().filter(|name| !gone.contains(&name.as_str())).collect();
        assert_eq!(left.iter().collect::<Vec<_>>(), expected, "{options:?}");
    }
    let left = taken(&house, &["--exclude-if-present", ".nobackup", "--exclude-caches", &top]);
    assert!(!left.contains(&"marked/y".into()) && !left.contains(&"cache/x".into()), "{left:?}");
    assert!(left.contains(&"keep".into()) && left.contains(&"cache/CACHEDIR.TAG".into()), "{left:?}");
}

#[test]
fn other_file_systems_are_left_out_when_asked() {
    if !crate::harness::is_root() {
        // Nobody else can mount: at least the option is taken.
        let house = House::new();
        house.write("in/file", "x");
        assert_eq!(house.backup(&["-x", &house.text("in")])["total_files_processed"], 1);
        return;
    }
    let house = House::new();
    house.write("in/file", "x");
    let mounted = crate::full_disk::Mounted::new(&house.path("in/mounted"), "1m");
    std::fs::write(mounted.path().join("inside"), "y").expect("written");
    let top = house.text("in");
    assert_eq!(house.backup(&[&top])["total_files_processed"], 2);
    assert_eq!(house.backup(&["--one-file-system", &top])["total_files_processed"], 1);
}

#[test]
fn a_dry_run_tells_what_would_be_taken_and_why_not_and_writes_nothing() {
    let house = House::new();
    house.write("in/new", "new");
    house.write("in/skip.tmp", "skip");
    let before = house.objects();
    let top = house.text("in");
    let outcome = house.run(["backup", "--dry-run", "--exclude", "*.tmp", &top]).done();
    let outcome = outcome.says("new").says("skip.tmp").says("by a pattern").says("nothing was stored");
    assert!(!outcome.out.contains("saved"));
    let json = house.run(["--json", "backup", "--dry-run", "-e", "*.tmp", &top]).done();
    let messages = json.messages();
    let excluded: Vec<&Value> = messages.iter().filter(|value| value["action"] == "excluded").collect();
    assert!(
        excluded.len() == 1 && excluded[0]["reason"].as_str().is_some_and(|why| why.contains("a pattern")),
        "{json}"
    );
    assert_eq!(json.message("summary")["snapshot_id"], Value::Null);
    assert_eq!(house.objects(), before);
    assert!(house.snapshots().is_empty());
}

#[test]
fn unchanged_files_are_not_read_again_unless_asked() {
    let house = House::new();
    for number in 0..20 {
        house.write(&format!("in/{number}"), vec![number; 2000]);
    }
    let top = house.text("in");
    let first = house.backup(&[&top]);
    assert_eq!((&first["files_new"], &first["parent"]), (&20.into(), &Value::Null));
    let second = house.backup(&[&top]);
    assert_eq!((&second["files_unmodified"], &second["data_added"]), (&20.into(), &0.into()));
    assert_eq!(second["parent"], first["snapshot_id"]);
    let forced = house.backup(&["--force", &top]);
    assert_eq!((&forced["files_new"], &forced["data_added"]), (&20.into(), &0.into()));
    house.write("in/3", "other");
    let id = first["snapshot_id"].as_str().expect("an ID");
    let third = house.backup(&["--parent", id, &top]);
    assert_eq!((&third["files_changed"], &third["files_unmodified"]), (&1.into(), &19.into()));
    assert_eq!(third["parent"], first["snapshot_id"]);
    house.run(["backup", "--parent", "nothing", &top]).refused(2, &["\"nothing\" names no snapshot"]);
    house.run(["backup", "--parent", "latest", "--force", &top]).ended(2);
}

#[test]
fn inode_and_ctime_may_be_ignored() {
    let house = House::new();
    let file = house.write("in/file", "same bytes");
    let time = filetime(&file);
    let top = house.text("in");
    house.backup(&[&top]);
    // Another inode with the same name, size and time, as after a move to another disk.
    std::fs::rename(&file, house.path("old")).expect("renamed");
    std::fs::copy(house.path("old"), &file).expect("copied");
    std::fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(time)).expect("a time");
    let changed = |options: &[&str]| house.backup(&[options, &["--dry-run", &top]].concat())["files_changed"].clone();
    assert_eq!(changed(&[]), 1);
    assert_eq!(changed(&["--ignore-inode", "--ignore-ctime"]), 0);
    assert_eq!(changed(&["--ignore-ctime"]), 1);
}

fn filetime(file: &std::path::Path) -> std::time::SystemTime {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).expect("a time")
}

#[test]
fn nothing_new_may_mean_no_snapshot() {
    let house = House::new();
    house.write("in/file", "x");
    // Relative: the folders above are not in the snapshot, and others may change them at any time.
    let skipping = ["backup", "--skip-if-unchanged", "in"];
    house.run(skipping).done().says("saved");
    house.run(skipping).done().says("nothing changed: no snapshot was stored");
    assert_eq!(house.snapshots().len(), 1);
    house.write("in/file", "other");
    house.run(skipping).done().says("saved");
    assert_eq!(house.snapshots().len(), 2);
}

#[test]
fn tags_label_host_and_time_stand_on_the_snapshot() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    house.backup(&["--tag", "a,b", "--tag", "c", "--label", "before the move", "-H", "web1", &top]);
    house.backup(&["--time", "2001-02-03T04:05:06Z", &top]);
    let snapshots = house.snapshots();
    assert_eq!(snapshots[0]["time"], "2001-02-03T04:05:06+00:00", "oldest first");
    let other = &snapshots[1];
    assert_eq!(other["tags"], serde_json::json!(["a", "b", "c"]));
    assert_eq!((&other["label"], &other["hostname"]), (&"before the move".into(), &"web1".into()));
    assert_eq!(snapshots[0]["hostname"], "house");
    house.run(["snapshots"]).done().says("before the move");
}

#[test]
fn effort_can_be_chosen() {
    let house = House::new();
    house.write("in/file", b"all work and no play ".repeat(40_000));
    let top = house.text("in");
    let packed = |options: &[&str]| {
        let fresh = House::new();
        let all = [&["--json", "backup"], options, &[&top]].concat();
        let outcome = fresh.run(all).done();
        fresh.assert_sound();
        assert_eq!(fresh.run(["dump", "latest", &format!("{top}/file")]).done().raw.len(), 840_000);
        outcome.message("summary")["data_added_packed"].as_u64().expect("a number")
    };
    let (off, fast, auto, max) = (
        packed(&["--compression", "off"]),
        packed(&["--compression", "fast", "--cipher", "xchacha20-poly1305"]),
        packed(&["--cipher", "aes-256-gcm", "--threads", "1"]),
        packed(&["--compression", "max", "--limit-upload", "100000"]),
    );
    assert!(off > 800_000 && fast.max(auto).max(max) < 100_000, "{off} {fast} {auto} {max}");
    assert!(packed(&["--compression", "7"]) < 100_000);
    house.run(["backup", "--compression", "much", &top]).ended(2);
    house.run(["backup", "--threads", "0", &top]).ended(2);
}
