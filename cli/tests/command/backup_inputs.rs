//! Everything `backup` can be given: paths, standard input, a command, lists of paths.

use crate::harness::House;

#[test]
fn several_paths_make_one_snapshot() {
    let house = House::new();
    let (a, b) = (house.write("one/a", "aaa"), house.write("two/b", "bb"));
    let summary = house.backup(&[&house.text("one"), &house.text("two/b")]);
    assert_eq!(summary["total_files_processed"], 2);
    assert_eq!(summary["total_bytes_processed"], 5);
    assert_eq!(house.snapshots()[0]["paths"].as_array().expect("paths").len(), 2);
    for (path, text) in [(a, "aaa"), (b, "bb")] {
        assert_eq!(house.run(["dump", "latest", path.to_str().expect("UTF-8")]).done().out, text);
    }
}

#[test]
fn standard_input_becomes_a_file_with_the_name_asked_for() {
    let house = House::new();
    house.run_with(b"from a pipe", ["backup", "--stdin"]).done().says("saved");
    assert_eq!(house.run(["dump", "latest", "stdin"]).done().out, "from a pipe");
    house.run_with(b"other", ["backup", "--stdin", "--stdin-filename", "db/shop.sql"]).done();
    assert_eq!(house.run(["dump", "latest", "/db/shop.sql"]).done().out, "other");
}

#[test]
fn a_commands_output_is_stored_when_it_succeeds() {
    let house = House::new();
    let script = "printf dumped; echo a remark >&2";
    let outcome = house.run(["backup", "--stdin-filename", "x.sql", "--stdin-from-command", "--", "sh", "-c", script]);
    outcome.done();
    assert_eq!(house.run(["dump", "latest", "x.sql"]).done().out, "dumped");
}

#[test]
fn a_dump_that_dies_midway_leaves_no_snapshot() {
    let house = House::new();
    for end in ["exit 3", "kill -9 $$", "exit 255"] {
        // More than a chunk, so that something was stored before the end.
        let script = format!("head -c 3000000 /dev/zero; {end}");
        let outcome = house.run(["backup", "--stdin-from-command", "--", "sh", "-c", &script]);
        outcome.refused(1, &["because: ", "hint: no snapshot was stored"]);
        assert!(house.snapshots().is_empty(), "{end}");
    }
    house.run(["backup", "--stdin-from-command", "--", "no-such-program"]).refused(1, &["no-such-program"]);
    assert!(house.snapshots().is_empty());
    house.assert_sound();
}

#[test]
fn lists_of_paths_come_from_files() {
    let house = House::new();
    for name in ["in/a.txt", "in/b.txt", "in/c.bin", "in/#d", "in/new\nline"] {
        house.write(name, name);
    }
    let at = |name: &str| house.text(name);
    house.write("patterns", format!("# a comment\n\n  {}/*.txt \n", at("in")));
    house.write("verbatim", format!("{}\n", at("in/#d")));
    house.write("raw", format!("{}\0{}\0", at("in/new\nline"), at("in/c.bin")));
    let files = |arguments: &[&str]| house.backup(arguments)["total_files_processed"].clone();
    assert_eq!(files(&["--files-from", &at("patterns")]), 2);
    assert_eq!(files(&["--files-from-verbatim", &at("verbatim")]), 1);
    assert_eq!(files(&["--files-from-raw", &at("raw")]), 2);
    let all = files(&[
        "--files-from",
        &at("patterns"),
        "--files-from-verbatim",
        &at("verbatim"),
        "--files-from-raw",
        &at("raw"),
    ]);
    assert_eq!(all, 5);
    let list = house.run_with(at("in/c.bin").as_bytes(), ["backup", "--files-from", "-"]);
    list.done().says("processed 1 file,");
    house.run(["backup", "--files-from", "missing"]).refused(2, &["cannot read the list missing"]);
}

#[test]
fn what_is_not_there_is_reported_and_the_rest_is_stored_as_partial() {
    let house = House::new();
    house.write("in/a", "a");
    house.write("in/b", "b");
    let at = |name: &str| house.text(name);
    house.write("verbatim", format!("{}\n{}\n", at("in/gone"), at("in/b")));
    house.write("patterns", format!("{}\n{}\n", at("in/*.gone"), at("in/a")));
    for arguments in [
        vec!["in/a".to_owned(), "in/gone".to_owned()],
        vec!["--files-from-verbatim".to_owned(), at("verbatim")],
        vec!["--files-from".to_owned(), at("patterns")],
    ] {
        let outcome = house.run([&["backup".to_owned()], arguments.as_slice()].concat()).ended(3);
        assert!(outcome.err.contains("gone: No such file") && outcome.err.contains("is partial"), "{outcome}");
        let strict = ["backup".to_owned(), "--require-all-sources".to_owned()];
        house.run([&strict, arguments.as_slice()].concat()).refused(1, &["cannot back up", "gone", "hint: "]);
        let snapshots = house.snapshots();
        let latest = snapshots.last().expect("one");
        assert_eq!(latest["paths"].as_array().map(Vec::len), Some(1), "{latest}");
    }
    assert_eq!(house.snapshots().len(), 3);
    house.run(["backup", "in/gone", "in/far"]).refused(1, &["cannot back up", "and another path"]);
    assert_eq!(house.snapshots().len(), 3);
}

#[test]
fn a_repository_inside_the_source_is_left_out() {
    let house = House::new();
    house.write("home/file", "x");
    let everything = house.path(".").canonicalize().expect("it is there");
    house.backup(&[everything.to_str().expect("UTF-8")]);
    let listed = house.run(["ls", "latest"]).done().out;
    assert!(listed.contains("/home/file") && !listed.contains("repository/config"), "{listed}");
}

#[test]
fn a_repository_is_not_backed_up_into_itself() {
    let house = House::new();
    std::os::unix::fs::symlink(house.repository(), house.path("link")).expect("a link");
    for path in ["repository", "repository/packs", "./in/../repository", "link/packs", "repository/config"] {
        std::fs::create_dir_all(house.path("in")).expect("a folder");
        house.run(["backup", path]).refused(2, &["it belongs to the repository", "hint: "]);
    }
    assert!(house.snapshots().is_empty());
    // As a shell gives it for `*`: what else there is counts, and a link is but a link.
    house.write("in/file", "x");
    let outcome = house.run(["backup", "in", "link", "repository"]).done();
    assert!(outcome.err.contains("leaving out repository: it belongs to the repository"), "{outcome}");
    assert_eq!(house.snapshots()[0]["paths"].as_array().map(Vec::len), Some(2));
    let listed = house.run(["-q", "ls", "latest"]).done().out;
    assert_eq!(listed, "/in\n/in/file\n/link\n");
}

#[test]
fn a_source_without_any_file_is_stored_with_a_warning() {
    let house = House::new();
    house.write("in/deep/file", "x");
    std::fs::create_dir(house.path("unmounted")).expect("a folder");
    let warning = "warning: not a single file was found";
    for arguments in [vec!["-q", "backup", "unmounted"], vec!["backup", "-e", "file", "in"]] {
        let outcome = house.run(arguments).done();
        assert!(outcome.err.contains(warning), "{outcome}");
    }
    let outcome = house.run(["backup", "in"]).done();
    assert!(!outcome.err.contains("warning"), "{outcome}");
}

#[test]
fn a_link_or_device_given_by_name_is_warned_about() {
    let house = House::new();
    house.write("folder/file", "x");
    std::os::unix::fs::symlink("folder", house.path("link")).expect("a link");
    let outcome = house.run(["-q", "backup", "link"]).done();
    let target = house.path("folder").canonicalize().expect("it is there");
    assert!(outcome.err.contains("warning: link is a symbolic link"), "{outcome}");
    assert!(outcome.err.contains(&format!("name {} to", target.display())), "{outcome}");
    assert!(outcome.err.contains("not a single file was found"), "{outcome}");
    let outcome = house.run(["-q", "backup", "/dev/null"]).done();
    assert!(outcome.err.contains("/dev/null is no file") && outcome.err.contains("not a single file"), "{outcome}");
    // What the link leads to is there as well: then all is as it should be.
    let outcome = house.run(["-q", "backup", "link", "folder"]).done();
    assert!(!outcome.err.contains("warning"), "{outcome}");
}

#[test]
fn a_slash_after_a_link_and_dots_behind_one_mean_what_the_kernel_takes_them_for() {
    let house = House::new();
    house.write("top/f", "wrong");
    house.write("real/f", "right");
    house.write("real/deep/file", "x");
    std::os::unix::fs::symlink("../real/deep", house.path("top/sl")).expect("a link");
    house.write("list", "top/sl/../f\n");
    for arguments in [&["top/sl/../f"][..], &["--files-from", "list"], &["--files-from-verbatim", "list"]] {
        house.run([&["backup"], arguments].concat()).done();
        assert_eq!(house.run(["-q", "ls", "latest"]).done().out, "/real\n/real/f\n");
        assert_eq!(house.run(["dump", "latest", "/real/f"]).done().out, "right");
        assert_eq!(house.run(["-q", "diff", "--disk", "--content", "latest"]).done().out, "");
    }
    for path in ["top/sl/", "top/sl/."] {
        let outcome = house.run(["-q", "backup", path]).done();
        assert!(!outcome.err.contains("warning"), "{outcome}");
        assert_eq!(house.run(["-q", "ls", "latest"]).done().out, "/real\n/real/deep\n/real/deep/file\n");
    }
}

#[test]
fn without_configuration_there_is_a_repository_of_ones_own() {
    let house = House::empty();
    let source = house.write("in/file", "precious").parent().expect("a folder").to_owned();
    let bare = |arguments: &[&str]| crate::harness::run(house.bare().args(arguments));
    bare(&["snapshots"]).refused(10, &["there is no repository", "hint: 'strongroom backup FOLDER' makes one"]);
    let first = bare(&["backup", source.to_str().expect("UTF-8")]).done();
    let (repository, key) = (house.text("data/strongroom/repository"), house.text("config/strongroom/key"));
    let first = first.says(&repository).says(&key).says("recovery code").says("saved");
    let again = bare(&["backup", source.to_str().expect("UTF-8")]).done();
    assert!(!again.out.contains("recovery code"), "{again}");
    bare(&["snapshots"]).done().says("2 snapshots");

    // The recovery code opens it when the key is gone.
    let mut lines = first.out.lines().filter_map(|line| line.trim().strip_prefix("its recovery code is in"));
    let file = lines.next().expect("its file was named").trim();
    let code = std::fs::read_to_string(file).expect("the code");
    std::fs::remove_file(&key).expect("the key was there");
    bare(&["snapshots"]).refused(12, &["the key of the repository", "--use-recovery-code"]);
    let mut command = house.bare();
    command.env("STRONGROOM_RECOVERY_CODE", code).args(["-r", &repository, "snapshots", "--use-recovery-code"]);
    crate::harness::run(&mut command).done().says("2 snapshots");
}
