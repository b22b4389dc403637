//! Files that change, grow or vanish while they are backed up.

use super::content_of;
use super::tree;
use crate::source::SourceError;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use rustix::fs::FileType;
use rustix::fs::Mode;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

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
    assert_eq!(recorder.warned, [("log".to_string(), "changed while being read".to_string(), false)]);
    assert_eq!((log.content.as_slice(), log.metadata.size), (&b"log+more"[..], 8));
    assert_ne!(fs::metadata(folder.path().join("log")).expect("metadata").len(), log.metadata.size);
    assert_eq!(recorder.paths(), ["log", "other"]);
}

/// Replaces a file by a new one with this content and these permissions.
fn replace(path: &Path, content: &str, mode: u32) {
    let new = path.with_extension("new");
    fs::write(&new, content).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("permissions");
    fs::rename(&new, path).expect("a replaced file");
}

#[test]
fn a_file_replaced_again_and_again_has_the_mode_that_belongs_to_its_content() {
    let folder = tree(&["config"]);
    let path = folder.path().join("config");
    let mut recorder = Recorder::new();
    let mut modes = [("first", 0o600), ("second", 0o640), ("third", 0o604)].into_iter();
    recorder.on_begin = Some(Box::new(move |_, _| {
        if let Some((content, mode)) = modes.next() {
            replace(&path, content, mode);
        }
    }));
    assert_eq!(recorder.run(content_of(folder.path())).expect("a verdict"), Verdict::Whole);
    let config = recorder.entry("config");
    assert_eq!((config.content.as_slice(), config.metadata.mode), (&b"first"[..], 0o600));
    assert_eq!(config.warnings, ["changed while being read"], "it was replaced once more, and that is told");
}

#[test]
fn a_file_overwritten_while_it_is_read_twice_is_kept_and_makes_the_snapshot_partial() {
    let folder = tree(&["base.db", "other"]);
    let path = folder.path().join("base.db");
    let mut recorder = Recorder::new();
    let mut times = 0;
    recorder.on_buffer = Some(Box::new(move |entry, _| {
        if entry.as_bytes() == b"base.db" {
            times += 1;
            fs::write(&path, format!("BASE.{times:02}")).expect("a write");
            let file = fs::File::options().write(true).open(&path).expect("the file");
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(times);
            file.set_modified(time).expect("a time of its own");
        }
    }));
    let verdict = recorder.run(content_of(folder.path())).expect("a verdict");
    let Verdict::Partial(reasons) = verdict else { panic!("a torn file is not whole") };
    let [reason] = reasons.as_slice() else { panic!("one reason, not {reasons:?}") };
    assert!(reason.ends_with("base.db: changed while being read"), "{reason}");
    assert_eq!(recorder.warned, [("base.db".to_string(), "changed while being read".to_string(), true)]);
    assert_eq!(recorder.entry("base.db").warnings, ["changed while being read"]);
    assert_eq!(recorder.paths(), ["base.db", "other"]);
}

#[test]
fn a_file_replaced_by_a_pipe_or_a_folder_while_it_was_read_is_reported() {
    let replacements: [fn(&Path); 2] = [
        |path| fs::create_dir(path).expect("a folder"),
        |path| rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("a pipe"),
    ];
    for put in replacements {
        let folder = tree(&["config"]);
        let path = folder.path().join("config");
        let mut recorder = Recorder::new();
        recorder.on_begin = Some(Box::new(move |_, _| {
            if path.is_file() {
                fs::remove_file(&path).expect("removed");
                put(&path);
            }
        }));
        let verdict = recorder.run(content_of(folder.path())).expect("a verdict");
        assert!(matches!(verdict, Verdict::Partial(_)));
        assert_eq!(recorder.warned[0].1, "became something else while it was read");
        assert!(recorder.entries.is_empty());
    }
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
    assert!(matches!(recorder.run(content_of(folder.path())).expect("a verdict"), Verdict::Partial(_)));
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
            replace(&path, "CONFIG", 0o644);
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
