//! Reading ahead changes how long it takes, and nothing else.

use super::super::FolderSource;
use super::content_of;
use super::tree;
use super::whole;
use crate::source::SourceError;
use crate::source::Want;
use crate::source::recorder::Recorded;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// Folders in folders, with names that sort around the slash, links, empty and larger files.
fn forest() -> TempDir {
    let folder = tree(&["a", "a-b/x", "a.d/", "z"]);
    for (number, above) in ["", "b", "b/c", "b!", "b.c/deep/deeper", "y"].iter().enumerate() {
        let above = folder.path().join(above);
        fs::create_dir_all(&above).expect("a folder");
        for file in 0..40 {
            fs::write(above.join(format!("f{file}")), vec![b'x'; file * 997 * (number + 1)]).expect("a file");
        }
        symlink("f1", above.join("link")).expect("a link");
        symlink("/", above.join("up")).expect("a link");
    }
    folder
}

/// All that was given, in order; content as its length and hash.
fn given(recorder: &Recorder) -> Vec<String> {
    let entries = recorder.entries.iter();
    entries.map(|entry| format!("{} {:?} {}", entry.path, entry.metadata, content(entry))).collect()
}

fn content(entry: &Recorded) -> String {
    format!("{} {}", entry.content.len(), blake3::hash(&entry.content))
}

fn named(number: usize) -> String {
    format!("{number:06}")
}

#[test]
fn the_same_is_given_in_the_same_order() {
    let folder = forest();
    let plain = whole(content_of(folder.path()));
    let ahead = whole(content_of(folder.path()).read_ahead());
    assert_eq!(given(&plain), given(&ahead));
    assert_eq!(plain.totals, ahead.totals);
    assert!(plain.entries.len() > 250);
}

#[test]
fn the_same_is_given_when_the_parent_snapshot_has_it_all() {
    let folder = forest();
    let run = |source: FolderSource| {
        let mut recorder = Recorder::new();
        recorder.want = Want::Nothing;
        assert_eq!(recorder.run(source).expect("a verdict"), Verdict::Whole);
        given(&recorder)
    };
    assert_eq!(run(content_of(folder.path())), run(content_of(folder.path()).read_ahead()));
}

#[test]
fn rules_leave_out_the_same() {
    let folder = forest();
    fs::write(folder.path().join("b/c/.nobackup"), "").expect("a marker");
    fs::write(folder.path().join("y/.gitignore"), "f2*\n").expect("rules");
    let run = |source: FolderSource| {
        let patterns = ["f3*", "b.c", "!f31"].map(std::ffi::OsString::from).to_vec();
        let source = source.exclude(patterns).exclude_if_present(vec![".nobackup".into()]);
        let recorder = whole(source.exclude_larger_than(60_000).one_file_system(true));
        (given(&recorder), recorder.skipped)
    };
    assert_eq!(run(content_of(folder.path())), run(content_of(folder.path()).read_ahead()));
    let ignoring = |source: FolderSource| run(source.gitignore(true));
    assert_eq!(ignoring(content_of(folder.path())), ignoring(content_of(folder.path()).read_ahead()));
}

#[test]
fn several_paths_from_different_places_are_given_the_same() {
    let folder = forest();
    let outside = tree(&["b/x", "one", "two/three"]);
    let run = |ahead: bool| {
        let paths = vec!["b/c/f1".into(), "b.c".into(), outside.path().join("two"), outside.path().join("one")];
        let source = FolderSource::new(paths).relative_to(folder.path().to_path_buf());
        let recorder = whole(if ahead { source.read_ahead() } else { source });
        // Without metadata: others write to the folder of temporary folders meanwhile.
        recorder.entries.iter().map(|entry| format!("{} {}", entry.path, content(entry))).collect::<Vec<_>>()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn what_vanishes_after_it_was_read_ahead_is_reported_as_ever() {
    let folder = forest();
    let root = folder.path().to_path_buf();
    let mut recorder = Recorder::new();
    recorder.on_begin = Some(Box::new(move |path, _| {
        if path.as_bytes() == b"b/f10" {
            fs::remove_file(root.join("b/f11")).expect("removed");
            fs::remove_dir_all(root.join("y")).expect("removed");
        }
    }));
    let source = content_of(folder.path()).read_ahead();
    assert_eq!(recorder.run(source).expect("a verdict"), Verdict::Whole);
    let warned: Vec<_> = recorder.warned.iter().map(|(path, _, partial)| (path.as_str(), *partial)).collect();
    assert_eq!(warned, [("b/f11", false), ("y", false)]);
    assert!(!recorder.paths().iter().any(|path| path == "b/f11" || path.starts_with('y')));
}

#[test]
fn a_file_and_a_folder_replaced_by_links_are_not_followed() {
    let folder = forest();
    let secret = tree(&["f0", "f1"]);
    let (root, elsewhere) = (folder.path().to_path_buf(), secret.path().to_path_buf());
    let mut recorder = Recorder::new();
    recorder.on_begin = Some(Box::new(move |path, _| {
        if path.as_bytes() == b"a" {
            fs::remove_dir_all(root.join("y")).expect("removed");
            symlink(&elsewhere, root.join("y")).expect("a link");
            fs::remove_file(root.join("b/f1")).expect("removed");
            symlink("/etc/passwd", root.join("b/f1")).expect("a link");
        }
    }));
    recorder.run(content_of(folder.path()).read_ahead()).expect("a verdict");
    let given = recorder.paths();
    assert!(!given.iter().any(|path| path.starts_with("y/")), "{given:?}");
    let entry = recorder.entries.iter().find(|entry| entry.path.as_bytes() == b"b/f1").expect("the link itself");
    assert!(entry.content.is_empty() && !entry.metadata.has_content());
}

#[test]
fn what_cannot_be_read_is_reported_as_ever() {
    let folder = forest();
    for closed in ["b/f3", "b.c/deep", "z"] {
        fs::set_permissions(folder.path().join(closed), fs::Permissions::from_mode(0o0)).expect("a mode");
    }
    let run = |source: FolderSource| {
        let mut recorder = Recorder::new();
        let verdict = recorder.run(source).expect("a verdict");
        (given(&recorder), recorder.warned, verdict)
    };
    let (plain, ahead) = (run(content_of(folder.path())), run(content_of(folder.path()).read_ahead()));
    fs::set_permissions(folder.path().join("b.c/deep"), fs::Permissions::from_mode(0o700)).expect("a mode");
    assert_eq!(plain, ahead);
}

#[test]
fn a_fifo_in_the_place_of_a_file_holds_nobody_up() {
    let folder = forest();
    let root = folder.path().to_path_buf();
    let mut recorder = Recorder::new();
    recorder.on_begin = Some(Box::new(move |path, _| {
        if path.as_bytes() == b"a" {
            fs::remove_file(root.join("y/f1")).expect("removed");
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, root.join("y/f1"), rustix::fs::FileType::Fifo, mode, 0)
                .expect("a fifo");
        }
    }));
    assert_eq!(recorder.run(content_of(folder.path()).read_ahead()).expect("a verdict"), Verdict::Whole);
    assert!(!recorder.entry("y/f1").metadata.has_content());
}

#[test]
fn a_stop_ends_the_walk_and_its_helpers() {
    let folder = forest();
    for stop_after in [0, 1, 10_000, 1_000_000] {
        let mut recorder = Recorder::new();
        recorder.stop_after = stop_after;
        let error = recorder.run(content_of(folder.path()).read_ahead()).expect_err("no verdict");
        assert!(matches!(error, SourceError::Stopped));
        // All are joined: none holds a descriptor of the folder any more.
        assert_eq!(open_below(folder.path()), 0);
    }
}

/// Descriptors of this process that lead into `folder`.
fn open_below(folder: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("the descriptors").flatten();
    open.filter_map(|file| fs::read_link(file.path()).ok()).filter(|path| path.starts_with(folder)).count()
}

#[test]
fn a_folder_of_more_names_than_are_kept_ahead_is_given_whole() {
    let folder = tree(&["before/x", "huge/", "then/y"]);
    for number in 0..10_000 {
        fs::write(folder.path().join("huge").join(named(number)), "").expect("a file");
    }
    let recorder = whole(content_of(folder.path()).read_ahead());
    assert_eq!(recorder.entries.len(), 10_000 + 5);
}

#[test]
fn a_tree_deeper_than_the_directories_kept_open_is_given_the_same() {
    let folder = tree(&["a/"]);
    let mut below = folder.path().to_path_buf();
    for depth in 0..180 {
        below.push("d");
        fs::create_dir(&below).expect("a folder");
        fs::write(below.join("e"), named(depth)).expect("a file");
        fs::write(below.join("c"), named(depth)).expect("a file");
    }
    let (plain, ahead) = (whole(content_of(folder.path())), whole(content_of(folder.path()).read_ahead()));
    assert_eq!(given(&plain), given(&ahead));
    assert_eq!(ahead.entries.len(), 1 + 3 * 180);
}
