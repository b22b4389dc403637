//! Files that change, grow or vanish while they are backed up.

use super::content_of;
use super::tree;
use crate::source::SourceError;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use std::fs;
use std::io::Write;
use std::path::Path;

fn append(path: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(path).expect("the file");
    file.write_all(b"+more").expect("five bytes");
}

#[test]
fn a_file_that_changed_while_it_was_read_is_read_again() {
    let folder = tree(&["log", "other"]);
    let path = folder.path().join("log");
    let mut recorder = Recorder::new();
    let mut changes = 1;
    recorder.on_buffer = Some(Box::new(move |entry, _| {
        if entry.as_bytes() == b"log" && changes > 0 {
            changes -= 1;
            append(&path);
        }
    }));
    assert_eq!(recorder.run(content_of(folder.path())).expect("a verdict"), Verdict::Whole);
    let log = recorder.entry("log");
    assert_eq!((log.content.as_slice(), log.metadata.size), (&b"log+more"[..], 8));
    assert_eq!((recorder.retracted, recorder.warned.len(), log.warnings.len()), (1, 0, 0));
}

#[test]
fn a_file_that_never_rests_is_kept_as_it_was_read_with_a_warning_of_its_own() {
    let folder = tree(&["log", "other"]);
    let path = folder.path().join("log");
    let mut recorder = Recorder::new();
    recorder.on_buffer = Some(Box::new(move |entry, _| {
        if entry.as_bytes() == b"log" {
            append(&path);
        }
    }));
    assert_eq!(recorder.run(content_of(folder.path())).expect("a verdict"), Verdict::Whole);
    let log = recorder.entry("log");
    assert_eq!(log.warnings, ["changed while being read"]);
    assert_eq!((log.content.as_slice(), log.metadata.size), (&b"log+more"[..], 8));
    assert_ne!(fs::metadata(folder.path().join("log")).expect("metadata").len(), log.metadata.size);
    assert_eq!(recorder.paths(), ["log", "other"]);
}

#[test]
fn a_file_that_shrinks_is_read_to_where_it_ends() {
    let folder = tree(&["log"]);
    let path = folder.path().join("log");
    fs::write(&path, vec![1; 200_000]).expect("a file");
    let mut recorder = Recorder::new();
    let mut length = 200_000;
    recorder.on_buffer = Some(Box::new(move |_, given| {
        if given > 0 {
            length -= 60_000;
            fs::File::options().write(true).open(&path).expect("the file").set_len(length).expect("a cut");
        }
    }));
    assert_eq!(recorder.run(content_of(folder.path())).expect("a verdict"), Verdict::Whole);
    let log = recorder.entry("log");
    assert_eq!(log.metadata.size, log.content.len() as u64);
    assert!(log.metadata.size < 200_000 && log.warnings.len() == 1, "{:?}", log.metadata.size);
}

#[test]
fn a_file_replaced_by_a_new_one_is_read_as_the_new_one() {
    let folder = tree(&["config"]);
    let path = folder.path().join("config");
    let mut recorder = Recorder::new();
    let mut replaced = false;
    recorder.on_begin = Some(Box::new(move |_, _| {
        if !std::mem::replace(&mut replaced, true) {
            fs::write(path.with_extension("new"), "CONFIG").expect("a file");
            fs::rename(path.with_extension("new"), &path).expect("a replaced file");
        }
    }));
    recorder.run(content_of(folder.path())).expect("a verdict");
    assert_eq!(recorder.entry("config").content, b"CONFIG");
    assert_eq!(recorder.retracted, 1);
}

#[test]
fn a_file_replaced_by_a_link_is_not_followed() {
    let folder = tree(&["config"]);
    let path = folder.path().join("config");
    let mut recorder = Recorder::new();
    recorder.on_begin = Some(Box::new(move |_, _| {
        if path.is_file() {
            fs::remove_file(&path).expect("removed");
            std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        }
    }));
    let verdict = recorder.run(content_of(folder.path())).expect("a verdict");
    assert!(matches!(verdict, Verdict::Partial(_)));
    assert!(recorder.entries.is_empty());
}

#[test]
fn what_vanishes_is_reported_and_takes_nothing_from_the_snapshot() {
    let folder = tree(&["a", "b", "c", "dir/x"]);
    let root = folder.path().to_path_buf();
    let mut recorder = Recorder::new();
    recorder.on_begin = Some(Box::new(move |path, _| {
        if path.as_bytes() == b"b" {
            fs::remove_file(root.join("b")).expect("removed");
            fs::remove_file(root.join("c")).expect("removed");
            fs::remove_dir_all(root.join("dir")).expect("removed");
        }
    }));
    assert_eq!(recorder.run(content_of(folder.path())).expect("a verdict"), Verdict::Whole);
    assert_eq!(recorder.paths(), ["a"]);
    let warned: Vec<_> = recorder.warned.iter().map(|(path, _, partial)| (path.as_str(), *partial)).collect();
    assert_eq!(warned, [("b", false), ("c", false), ("dir", false)]);
}

#[test]
fn a_stop_ends_the_walk_at_once() {
    let folder = tree(&["a", "b", "c"]);
    let mut recorder = Recorder::new();
    recorder.stop_after = 2;
    let error = recorder.run(content_of(folder.path())).expect_err("no verdict");
    assert!(matches!(error, SourceError::Stopped));
    assert_eq!(recorder.paths(), ["a", "b"]);
}
