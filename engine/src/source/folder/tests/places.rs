//! Where the paths asked for stand in the snapshot.

use super::super::FolderSource;
use super::tree;
use super::whole;
use crate::entry::FileKind;
use crate::error::Kind;
use crate::source::Source;
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
    let source = FolderSource::new(["x/../y", "/b//c/", ".", "/", "/b/c"].map(Into::into).to_vec());
    let source = source.relative_to("/home/ann".into());
    assert_eq!(source.paths(), [&b"/"[..], b"/b/c", b"/home/ann", b"/home/ann/y"]);
}

#[test]
fn what_does_not_exist_is_named_before_anything_is_written() {
    let folder = tree(&["a"]);
    let error = below(&folder, &["a", "missing"]).check().expect_err("missing");
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().ends_with("/missing"), "{error}");
    assert!(below(&folder, &[]).check().is_err());
    below(&folder, &["a"]).check().expect("it exists");
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
