//! Where the paths asked for stand in the snapshot.

use super::super::FolderSource;
use super::tree;
use super::whole;
use crate::entry::FileKind;
use crate::error::Kind;
use crate::source::Source;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use std::fs;
use std::os::unix::fs::symlink;

fn below(folder: &tempfile::TempDir, paths: &[&str]) -> FolderSource {
    FolderSource::new(paths.iter().map(Into::into).collect()).relative_to(folder.path().to_path_buf())
}

#[test]
fn an_absolute_path_is_kept_whole_and_its_parents_are_entries() {
    let folder = tree(&["a/x", "a/y/z", "b"]);
    fs::create_dir_all(folder.path().join("a/y")).expect("a folder");
    let asked = folder.path().join("a/y");
    let given = whole(FolderSource::new(vec![asked.clone()]));
    let inside = asked.to_str().expect("UTF-8").trim_start_matches('/').to_string();
    let mut expected: Vec<String> =
        inside.match_indices('/').map(|(at, _)| inside.get(..at).expect("a parent").to_string()).collect();
    expected.extend([inside.clone(), format!("{inside}/z")]);
    assert_eq!(given.paths(), expected);
    assert!(given.entries.iter().rev().skip(1).all(|entry| entry.metadata.kind == FileKind::Directory));
    assert!(given.entries.iter().all(|entry| entry.metadata.inode != 0));
}

#[test]
fn relative_paths_lose_their_dots_only() {
    let folder = tree(&["a/x", "a/y", "b/c/x", "b/d"]);
    assert_eq!(whole(below(&folder, &["./a", "b/../b/c"])).paths(), ["a", "a/x", "a/y", "b", "b/c", "b/c/x"]);
    let inside = FolderSource::new(vec!["../c/x".into()]).relative_to(folder.path().join("b/c"));
    assert_eq!(whole(inside).paths(), ["c", "c/x"]);
}

#[test]
fn one_file_is_a_source_too() {
    let folder = tree(&["a/x", "a/y"]);
    let given = whole(below(&folder, &["a/x"]));
    assert_eq!(given.paths(), ["a", "a/x"]);
    assert_eq!(given.entry("a/x").content, b"a/x");
}

#[test]
fn overlapping_paths_are_merged() {
    let folder = tree(&["a/b/c", "a/b/d", "a/e", "f"]);
    let all = ["a", "a/b", "a/b/c", "a/b/d", "a/e"];
    for asked in [&["a", "a/b"][..], &["a/b/c", "a"], &["a", "a", "./a/"], &["a/b", "a/e", "a/b/c", "a"]] {
        assert_eq!(whole(below(&folder, asked)).paths(), all, "{asked:?}");
    }
    assert_eq!(whole(below(&folder, &[".", "a/b"])).paths().len(), 6);
}

#[test]
fn the_current_folder_and_a_path_elsewhere_stand_side_by_side() {
    let (here, there) = (tree(&["a"]), tree(&["x"]));
    let asked = there.path().to_str().expect("UTF-8").to_string();
    let given = whole(below(&here, &[".", &asked]));
    let inside = asked.trim_start_matches('/');
    assert_eq!(given.entry("a").content, b"a");
    assert_eq!(given.entry(&format!("{inside}/x")).content, b"x");
}

#[test]
fn a_link_on_the_way_is_followed_but_not_the_path_itself() {
    let folder = tree(&["real/sub/x"]);
    symlink("real", folder.path().join("link")).expect("a link");
    let given = whole(below(&folder, &["link/sub"]));
    assert_eq!(given.paths(), ["link", "link/sub", "link/sub/x"]);
    assert_eq!(given.entry("link").metadata.kind, FileKind::Directory);
    let given = whole(below(&folder, &["link"]));
    assert_eq!(given.entry("link").metadata.kind, FileKind::Symlink { target: b"real".to_vec() });
}

#[test]
fn paths_are_recorded_absolute_and_clean() {
    let folder = tree(&["b/c/x", "y", "x/z"]);
    let top = folder.path().to_str().expect("UTF-8");
    let source = below(&folder, &["x/../y", &format!("{top}/b//c/"), ".", "/", &format!("{top}/b/c")]);
    let expected = ["/".to_owned(), top.to_owned(), format!("{top}/b/c"), format!("{top}/y")];
    assert_eq!(source.paths(), expected.map(String::into_bytes));
}

#[test]
fn what_does_not_exist_is_named_and_the_rest_is_taken() {
    let folder = tree(&["a", "in/b"]);
    let source = below(&folder, &["a", "missing", "gone/far/away", "in/b"]);
    source.check().expect("something is there");
    let there = ["a", "in/b"].map(|name| folder.path().join(name).as_os_str().as_encoded_bytes().to_vec());
    assert_eq!(source.paths(), there, "the record names what is there");
    let mut recorder = Recorder::new();
    let Verdict::Partial(reasons) = recorder.run(source).expect("a verdict") else { panic!("not all is there") };
    assert_eq!(recorder.paths(), ["a", "in", "in/b"]);
    for name in ["missing", "gone/far/away"] {
        let path = folder.path().join(name);
        assert!(reasons.iter().any(|reason| reason.contains(path.to_str().expect("UTF-8"))), "{reasons:?}");
    }
    assert_eq!(recorder.warned.iter().filter(|(_, _, partial)| *partial).count(), 2);
}

#[test]
fn nothing_is_taken_where_nothing_is_there_or_not_all_that_must_be() {
    let folder = tree(&["a"]);
    assert_eq!(below(&folder, &[]).check().expect_err("no path").kind(), Kind::Invalid);
    below(&folder, &["a"]).require_all(true).check().expect("it exists");
    for (source, others) in [
        (below(&folder, &["missing"]), ""),
        (below(&folder, &["missing", "gone"]), " and another path"),
        (below(&folder, &["a", "missing"]).require_all(true), ""),
        (below(&folder, &["missing", "gone", "a", "far"]).require_all(true), " and 2 other paths"),
    ] {
        let error = source.check().expect_err("missing");
        assert_eq!(error.kind(), Kind::SourceFailed);
        assert!(error.to_string().ends_with(&format!("/missing{others}")) && error.advice().is_some(), "{error}");
        let mut recorder = Recorder::new();
        recorder.run(source).expect_err("no verdict");
        assert!(recorder.entries.is_empty());
    }
}

#[test]
fn a_path_that_vanishes_after_it_was_found_makes_the_snapshot_partial() {
    let folder = tree(&["a", "b/x"]);
    let source = below(&folder, &["a", "b"]);
    source.check().expect("both are there");
    fs::remove_file(folder.path().join("a")).expect("it was there");
    let mut recorder = Recorder::new();
    assert!(matches!(recorder.run(source.clone()), Ok(Verdict::Partial(_))));
    assert_eq!(recorder.paths(), ["b", "b/x"]);
    fs::remove_dir_all(folder.path().join("b")).expect("it was there");
    Recorder::new().run(source).expect_err("nothing is left");
}

#[test]
fn two_places_for_one_path_are_refused() {
    let folder = tree(&["b/etc/x", "etc/x"]);
    let inside = FolderSource::new(vec!["etc".into(), "../etc".into()]).relative_to(folder.path().join("b"));
    assert_eq!(inside.check().expect_err("both are etc").kind(), Kind::Invalid);
    // The current folder has an `etc` of its own.
    let inside = FolderSource::new(vec![".".into(), "/etc".into()]).relative_to(folder.path().join("b"));
    assert_eq!(inside.check().expect_err("both are etc").kind(), Kind::Invalid);
}
