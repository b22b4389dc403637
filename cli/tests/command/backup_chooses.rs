//! What `backup` leaves out, what it takes for changed, and what it writes on the snapshot.

use crate::harness::House;
use rustix::fs::XattrFlags;
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;

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

/// A file system of other ones on top of each other, as containers have it; its files keep the devices of those.
struct Overlay(std::path::PathBuf);

impl Overlay {
    fn new(house: &House) -> (Self, [crate::full_disk::Mounted; 2]) {
        let parts = ["lower", "upper"].map(|name| crate::full_disk::Mounted::new(&house.path(name), "1m"));
        for name in ["upper/changes", "upper/work", "merged"] {
            std::fs::create_dir(house.path(name)).expect("a folder");
        }
        std::fs::create_dir(house.path("lower/deep")).expect("a folder");
        for name in ["lower/file", "lower/deep/file", "upper/changes/new"] {
            house.write(name, name);
        }
        let [lower, changes, work] = ["lower", "upper/changes", "upper/work"].map(|name| house.text(name));
        let options = format!("lowerdir={lower},upperdir={changes},workdir={work}");
        let options = std::ffi::CString::new(options).expect("no NUL");
        let at = house.path("merged");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("overlay", &at, "overlay", flags, options.as_c_str()).expect("root may mount");
        (Self(at), parts)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn one_file_system_takes_the_files_of_an_overlay_and_leaves_out_what_is_mounted_on_a_file() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount");
        return;
    }
    let house = House::new();
    let (overlay, [lower, _upper]) = Overlay::new(&house);
    let merged = house.text("merged");
    let all = ["deep/file", "file", "new"];
    let names = |options: &[&str]| {
        house.backup(&[options, &[merged.as_str()]].concat());
        let listed = house.run(["-q", "ls", &format!("latest:{merged}")]).done().out;
        let files = listed.lines().filter(|line| !line.ends_with("/deep") && !line.ends_with("/merged"));
        files.map(|line| line.split_once("/merged/").expect("below it").1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["-x"]), all);
    // A file of another file system on one of these is a mount point; one of the same file system is in place.
    let bind = |from: &str, to: &str| rustix::mount::mount_bind(house.path(from), house.path(to)).expect("root may");
    let key = house.write("elsewhere", "x");
    bind(key.to_str().expect("UTF-8"), "merged/file");
    assert_eq!(names(&["-x"]), ["deep/file", "new"]);
    assert_eq!(names(&[]), all);
    rustix::mount::unmount(house.path("merged/file"), rustix::mount::UnmountFlags::DETACH).expect("mounted");
    drop(overlay);
    let on = house.write("in/one", "1");
    house.write("in/two", "2");
    bind("in/two", "in/one");
    assert_eq!(house.backup(&["-x", &house.text("in")])["total_files_processed"], 2);
    rustix::mount::unmount(&on, rustix::mount::UnmountFlags::DETACH).expect("mounted");
    drop(lower);
}

#[test]
fn a_pattern_that_means_a_folder_above_what_is_named_drops_nothing() {
    let house = House::new();
    house.write("x/work/file", "kept");
    house.write("x/work/tmp/file", "dropped");
    house.write("x/other", "kept");
    let (work, other) = (house.text("x/work"), house.text("x/other"));
    assert_eq!(taken_of(&house, &["--exclude", "x", "--exclude", "tmp", &work, &other]), ["/x/other", "/x/work/file"]);
    let outcome = house.run(["backup", "--exclude", "work", &work, &other]).ended(3);
    assert!(outcome.err.contains("was named to be backed up, and is left out: by --exclude 'work'"), "{outcome}");
    house.run(["backup", "--exclude", "work", &work]).refused(1, &["nothing of what was named"]);
    assert_eq!(house.snapshots().len(), 2);
}

/// Paths of a snapshot's files below the house.
fn taken_of(house: &House, arguments: &[&str]) -> Vec<String> {
    house.backup(arguments);
    let listed = house.run(["--json", "ls", "latest"]).done().messages();
    let files = listed.iter().filter(|node| node["type"] == "file");
    files.map(|node| node["path"].as_str().expect("a path").replace(&house.text(""), "/")).collect()
}

#[test]
fn a_dry_run_tells_what_would_be_taken_and_why_not_and_writes_nothing() {
    let house = House::new();
    house.write("in/new", "new");
    house.write("in/skip.tmp", "skip");
    let before = house.objects();
    let top = house.text("in");
    let outcome = house.run(["backup", "--dry-run", "--exclude", "*.tmp", &top]).done();
    let outcome = outcome.says("new").says("skip.tmp").says("by --exclude '*.tmp'").says("nothing was stored");
    assert!(!outcome.out.contains("saved"));
    let json = house.run(["--json", "backup", "--dry-run", "-e", "*.tmp", &top]).done();
    let messages = json.messages();
    let excluded: Vec<&Value> = messages.iter().filter(|value| value["action"] == "excluded").collect();
    assert!(
        excluded.len() == 1 && excluded[0]["reason"].as_str().is_some_and(|why| why == "by --exclude '*.tmp'"),
        "{json}"
    );
    assert_eq!(json.message("summary")["snapshot_id"], Value::Null);
    assert_eq!(house.objects(), before);
    assert!(house.snapshots().is_empty());
}

#[test]
fn a_dry_run_names_the_very_rule_that_leaves_each_thing_out() {
    let house = House::new();
    for name in ["a.tmp", "b.TMP", "c.log", "d.LOG", "cache/x", "marked/y", "git/z.o", "git/deep/w.o", "kept"] {
        house.write(&format!("in/{name}"), name);
    }
    house.write("in/large", vec![1; 5000]);
    house.write("in/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    house.write("in/marked/.nobackup", "");
    house.write("in/git/.gitignore", "*.o\n");
    house.write("lists/sensitive", "*.log\n");
    house.write("lists/any-case", "*.LOG\n");
    let (top, list, any_case) = (house.text("in"), house.text("lists/sensitive"), house.text("lists/any-case"));
    let options = [
        ["--exclude", "*.tmp", "--iexclude", "*.tMp"].as_slice(),
        &["--exclude-file", &list, "--iexclude-file", &any_case],
        &["--exclude-if-present", ".nobackup", "--exclude-caches", "--gitignore"],
        &["--exclude-larger-than", "4K", "--exclude", "no-such-thing", &top],
    ];
    let outcome = house.run([&["backup", "--dry-run"], options.concat().as_slice()].concat()).done();
    for (name, reason) in [
        ("a.tmp", "by --exclude '*.tmp'".to_owned()),
        ("b.TMP", "by --iexclude '*.tMp'".to_owned()),
        ("c.log", format!("by --exclude-file {list}, '*.log'")),
        ("d.LOG", format!("by --iexclude-file {any_case}, '*.LOG'")),
        ("cache/x", "beside CACHEDIR.TAG".to_owned()),
        ("marked/y", "beside .nobackup".to_owned()),
        ("git/z.o", format!("by {top}/git/.gitignore, '*.o'")),
        ("git/deep/w.o", format!("by {top}/git/.gitignore, '*.o'")),
        ("large", "larger than 4 KiB".to_owned()),
    ] {
        let line = format!("excluded   {top}/{name} ({reason})");
        assert!(outcome.out.lines().any(|one| one == line), "{line}: {outcome}");
    }
}

#[test]
fn strongrooms_own_folders_are_left_out_by_name() {
    let house = House::new();
    house.write("home/file", "x");
    let everything = house.path(".").canonicalize().expect("it is there");
    let outcome = house.run(["backup", "--dry-run", everything.to_str().expect("UTF-8")]).done();
    outcome.says("/repository (it belongs to strongroom)");
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

#[test]
fn without_the_ctime_a_new_mode_is_seen_but_new_attributes_are_not() {
    let house = House::new();
    let file = house.write("in/file", "same bytes");
    let set = |value: &[u8]| rustix::fs::setxattr(&file, "user.colour", value, XattrFlags::empty());
    set(b"red").expect("attributes on this file system");
    std::fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(UNIX_EPOCH)).expect("a time");
    let top = house.text("in");
    house.backup(&[&top]);
    set(b"blue").expect("another value");
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("permissions");
    let restored = |options: &[&str], target: &str| {
        house.backup(&[options, &[&top]].concat());
        let copy = house.restore(&house.path("in"), target).join("file");
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(&copy, "user.colour", &mut value).expect("the attribute");
        (std::fs::metadata(&copy).expect("restored").permissions().mode() & 0o777, value[..length].to_vec())
    };
    assert_eq!(restored(&["--ignore-ctime"], "one"), (0o640, b"red".to_vec()));
    assert_eq!(restored(&["--force"], "two"), (0o640, b"blue".to_vec()));
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
fn what_happens_above_and_beside_the_source_is_no_change_of_it() {
    let house = House::new();
    house.write("above/in/file", "x");
    let top = house.text("above/in");
    let skipping = ["backup", "--skip-if-unchanged", &top];
    house.run(skipping).done().says("saved");
    let nothing = "nothing changed: no snapshot was stored";
    // Another time and another mode for a folder that only leads to the source.
    house.write("above/neighbour", "y");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(house.path("above"), mode).expect("a mode");
    house.run(skipping).done().says(nothing);
    // Whatever happens in the source itself counts.
    type Change = fn(&House);
    let changes: [(&str, Change); 5] = [
        ("added", |house| drop(house.write("above/in/new", "n"))),
        ("changed", |house| drop(house.write("above/in/new", "other"))),
        ("removed", |house| std::fs::remove_file(house.path("above/in/new")).expect("removed")),
        ("made executable", |house| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(house.path("above/in/file"), mode).expect("a mode");
        }),
        ("closed the folder", |house| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(house.path("above/in"), mode).expect("a mode");
        }),
    ];
    for (what, change) in changes {
        change(&house);
        let outcome = house.run(skipping).done();
        assert!(outcome.out.contains("saved"), "{what}: {outcome}");
        house.run(skipping).done().says(nothing);
    }
    let before = house.snapshots().len();
    // A source within another source is no mere way to it.
    let both = ["backup", "--skip-if-unchanged", &house.text("above"), &top];
    house.run(both).done().says("saved");
    house.run(both).done().says(nothing);
    house.write("above/other", "z");
    house.run(both).done().says("saved");
    assert_eq!(house.snapshots().len(), before + 2);
    house.assert_sound();
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
