//! Patterns mean the same wherever one is taken, and names need not be text.

use crate::harness::House;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Names that patterns have had trouble with.
const NAMES: [&[u8]; 8] = [b"a", "ä".as_bytes(), b"{a,b}", b"p[1]", b"p1", b"r\xe4w", b"x.jpg", b"!x"];

fn raw(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}

/// The names among [`NAMES`] in a listing of bytes.
fn among(listed: &[u8]) -> Vec<&'static [u8]> {
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let lines: Vec<String> = String::from_utf8_lossy(listed).lines().map(str::to_owned).collect();
    let there = |name: &&[u8]| lines.iter().any(|line| line.ends_with(&format!("/{}", shown(name))));
    NAMES.into_iter().filter(|name| there(name)).collect()
}

#[test]
fn one_pattern_means_one_thing_in_every_verb() {
    let house = House::new();
    let folder = house.path("in");
    std::fs::create_dir(&folder).expect("a folder");
    NAMES.iter().for_each(|name| std::fs::write(folder.join(OsStr::from_bytes(name)), "x").expect("written"));
    for (pattern, meant) in [
        (&b"?"[..], &[&b"a"[..], "ä".as_bytes()][..]),
        ("[à-ü]".as_bytes(), &["ä".as_bytes()]),
        (b"{a,b}", &[b"{a,b}"]),
        (b"*.{jpg,png}", &[]),
        (b"p[1]", &[b"p1"]),
        (b"p\\[1\\]", &[b"p[1]"]),
        (b"p[[]1]", &[b"p[1]"]),
        (b"r?w", &[b"r\xe4w"]),
        (b"r\xe4w", &[b"r\xe4w"]),
        (b"\\!x", &[b"!x"]),
        ("[!a-zp{ä]*".as_bytes(), &[b"!x"]),
    ] {
        let told = pattern.escape_ascii().to_string();
        let others: Vec<&[u8]> = NAMES.into_iter().filter(|name| !meant.contains(name)).collect();
        let listed = |house: &House| among(&house.run(["-q", "ls", "latest"]).done().raw);
        let run = |words: &[&str], pattern: &[u8]| {
            let words = words.iter().map(OsString::from);
            let words: Vec<OsString> = words.map(|word| if word == "PATTERN" { raw(pattern) } else { word }).collect();
            house.run(words)
        };
        run(&["backup", "in", "--exclude", "PATTERN"], pattern).done();
        assert_eq!(listed(&house), others, "exclude {told}");
        house.write("list", pattern);
        run(&["backup", "in", "--exclude-file", "list"], pattern).done();
        assert_eq!(listed(&house), others, "exclude-file {told}");
        run(&["backup", "in"], pattern).done();
        let found = run(&["-q", "find", "--snapshot", "latest", "PATTERN"], pattern).done();
        assert_eq!(among(&found.raw), meant, "find {told}");
        let _ = std::fs::remove_dir_all(house.path("out"));
        let restored = run(&["restore", "latest", "--target", "out", "--include", "PATTERN"], pattern);
        restored.ended(i32::from(meant.is_empty()));
        let there = |name: &&[u8]| house.path("out/in").join(OsStr::from_bytes(name)).exists();
        assert_eq!(NAMES.into_iter().filter(there).collect::<Vec<_>>(), meant, "restore {told}");
        let rewritten = run(&["rewrite", "latest", "--exclude", "PATTERN", "--forget"], pattern);
        rewritten.done();
        assert_eq!(listed(&house), others, "rewrite {told}");
        if !meant.is_empty() {
            house.write("list", [b"in/", pattern].concat());
            run(&["backup", "--files-from", "list"], pattern).done();
            assert_eq!(listed(&house), meant, "files-from {told}");
        }
    }
}

#[test]
fn paths_and_patterns_that_are_no_text_are_taken_everywhere() {
    let house = House::new();
    let (folder, file) = (b"in/f\xff", b"in/f\xff/n\xfe.txt");
    std::fs::create_dir_all(house.path(OsStr::from_bytes(folder))).expect("folders");
    std::fs::write(house.path(OsStr::from_bytes(file)), "precious").expect("written");
    house.run([OsString::from("backup"), raw(folder)]).done();
    assert_eq!(house.run([OsString::from("dump"), "latest".into(), raw(file)]).done().out, "precious");
    let part = raw(b"latest:in/f\xff");
    assert!(house.run([OsString::from("ls"), part.clone()]).done().out.contains(".txt"));
    assert!(house.run([OsString::from("ls"), "latest".into(), raw(folder)]).done().out.contains(".txt"));
    house.run([OsString::from("restore"), part, "--target".into(), "out".into()]).done();
    assert!(house.path("out").join(OsStr::from_bytes(b"n\xfe.txt")).exists());
    house.run_with(b"x", [OsString::from("backup"), "--stdin".into(), "--stdin-filename".into(), raw(b"s\xff")]).done();
    assert_eq!(house.run([OsString::from("dump"), "latest".into(), raw(b"s\xff")]).done().out, "x");
}

#[test]
fn tags_given_twice_are_stored_once() {
    let house = House::new();
    house.write("in/file", "x");
    house.backup(&["--tag", "a,b,a", "--tag", "b", &house.text("in")]);
    assert_eq!(house.snapshots()[0]["tags"], serde_json::json!(["a", "b"]));
    house.run(["tag", "--set", "c,c,d", "latest"]).done();
    assert_eq!(house.snapshots()[0]["tags"], serde_json::json!(["c", "d"]));
    house.run(["tag", "--add", "e,d,e", "latest"]).done();
    assert_eq!(house.snapshots()[0]["tags"], serde_json::json!(["c", "d", "e"]));
}

#[test]
fn absolute_paths_are_backed_up_from_a_folder_that_is_deleted() {
    let house = House::new();
    house.write("in/file", "x");
    house.write("list", format!("{}\n", house.text("in/file")));
    let program = env!("CARGO_BIN_EXE_strongroom");
    let run = |options: String| {
        let script = format!("mkdir gone && cd gone && rmdir ../gone && exec {program} backup {options}");
        let mut command = std::process::Command::new("sh");
        let template = house.command([] as [&str; 0]);
        command.args(["-c", &script]).current_dir(house.path("."));
        command.env_clear().envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        crate::harness::run(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()))
    };
    run(house.text("in")).done();
    run(format!("--exclude '*.tmp' --files-from-verbatim {}", house.text("list"))).done();
    run("file".to_owned()).refused(2, &["cannot tell the current folder"]);
    assert_eq!(house.snapshots().len(), 2);
}

#[test]
fn every_file_of_lines_may_begin_with_a_byte_order_mark() {
    let house = House::new();
    house.write("in/file", "x");
    house.write("in/other", "y");
    let marked = |text: &str| format!("\u{feff}{text}\r\n");
    house.write("exclude", marked("other"));
    house.write("from", marked(&house.text("in")));
    house.write("verbatim", marked(&house.text("in")).replace('\r', ""));
    let files = |options: &[&str]| house.backup(options)["total_files_processed"].clone();
    assert_eq!(files(&["--exclude-file", "exclude", "in"]), 1);
    assert_eq!(files(&["--files-from", "from"]), 2);
    assert_eq!(files(&["--files-from-verbatim", "verbatim"]), 2);
    house.run(["restore", "latest", "--target", "out", "--exclude-file", "exclude"]).done();
    house.write("where", marked(house.repository().to_str().expect("UTF-8")));
    let mut command = house.command(["--repository-file", "where", "snapshots"]);
    crate::harness::run(command.env_remove("STRONGROOM_REPOSITORY")).done().says("3 snapshots");
}
