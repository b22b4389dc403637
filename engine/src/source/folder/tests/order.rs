//! Order, names, depth and number of entries.

use super::content_of;
use super::tree;
use super::whole;
use crate::source::Want;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

#[test]
fn a_folder_is_followed_by_what_is_in_it() {
    let folder = tree(&["a/b/c", "a-b", "a!", "a/b-c", "a/b/d/", "b", "a.d/x", "A", "~"]);
    let given = whole(content_of(folder.path()));
    // The recorder insists on ascending paths; this is what that means.
    assert_eq!(given.paths(), ["A", "a", "a/b", "a/b/c", "a/b/d", "a/b-c", "a!", "a-b", "a.d", "a.d/x", "b", "~"]);
    assert_eq!(given.entry("a/b-c").content, b"a/b-c");
    assert_eq!(given.entry("a/b-c").metadata.size, 5);
}

#[test]
fn what_is_looked_at_is_said_before() {
    let folder = tree(&["a/b", "c"]);
    let given = whole(content_of(folder.path()));
    let said: Vec<_> =
        ["a", "a/b", "c"].map(|name| folder.path().join(name).into_os_string().into_encoded_bytes()).into();
    assert_eq!(given.looked_at, said);
}

#[test]
fn names_that_are_not_text_are_kept() {
    let folder = tree(&[]);
    let longest = vec![b'x'; 255];
    for name in [&b"\xff\xfe"[..], b" ", b"new\nline", b"\x01", &longest] {
        fs::write(folder.path().join(OsStr::from_bytes(name)), b"1").expect("a file");
    }
    let given = whole(content_of(folder.path()));
    let names: Vec<&[u8]> = given.entries.iter().map(|entry| entry.path.as_bytes()).collect();
    assert_eq!(names, [&b"\x01"[..], b" ", b"new\nline", &longest, b"\xff\xfe"]);
}

#[test]
fn six_hundred_levels_are_walked_down_and_up_again() {
    let folder = tree(&["a-first", "z-last"]);
    let mut at = rustix::fs::open(folder.path(), OFlags::DIRECTORY, Mode::empty()).expect("the folder");
    let name = "d".repeat(20);
    for _ in 0..600 {
        rustix::fs::mkdirat(&at, &*name, Mode::RWXU).expect("a folder");
        at = rustix::fs::openat(&at, &*name, OFlags::DIRECTORY, Mode::empty()).expect("a folder");
        rustix::fs::mkdirat(&at, "z", Mode::RWXU).expect("a folder");
    }
    let given = whole(content_of(folder.path()));
    assert_eq!(given.entries.len(), 2 + 600 * 2);
    let deepest = given.entries.iter().map(|entry| entry.path.as_bytes().len()).max();
    assert_eq!(deepest, Some(600 * 21 + 1));
    assert_eq!(given.entries.last().expect("entries").path.as_bytes(), b"z-last");
}

#[test]
fn paths_longer_than_the_format_allows_are_reported_and_do_not_stop_the_walk() {
    let folder = tree(&["z-last"]);
    let mut at = rustix::fs::open(folder.path(), OFlags::DIRECTORY, Mode::empty()).expect("the folder");
    let name = "d".repeat(250);
    for _ in 0..263 {
        rustix::fs::mkdirat(&at, &*name, Mode::RWXU).expect("a folder");
        at = rustix::fs::openat(&at, &*name, OFlags::DIRECTORY, Mode::empty()).expect("a folder");
    }
    let mut recorder = Recorder::new();
    let verdict = recorder.run(content_of(folder.path())).expect("a verdict");
    assert!(matches!(verdict, Verdict::Partial(reasons) if reasons.len() == 1));
    assert_eq!(recorder.entries.len(), 261 + 1);
    assert_eq!(recorder.entries.last().expect("entries").path.as_bytes(), b"z-last");
}

#[test]
fn a_hundred_thousand_empty_files_in_one_folder() {
    let folder = tree(&[]);
    for number in 0..100_000 {
        fs::File::create(folder.path().join(format!("{number:06}"))).expect("a file");
    }
    let mut recorder = Recorder::new();
    recorder.want = Want::Nothing;
    recorder.run(content_of(folder.path())).expect("a verdict");
    assert_eq!(recorder.entries.len(), 100_000);
    assert_eq!(recorder.totals.0, 100_000);
}
