//! What is left out on purpose.

use super::super::FolderSource;
use super::content_of;
use super::tree;
use super::whole;
use crate::error::Kind;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use std::fs;

const HEADER: &str = "Signature: 8a477f597d28d172789f06886806bc55";

#[test]
fn what_is_excluded_is_not_walked_and_is_reported() {
    let folder = tree(&["keep/a.c", "keep/a.o", "drop/x", "keep/drop/y", "keep/dropped"]);
    let given = whole(content_of(folder.path()).exclude(vec!["drop".into(), "*.o".into()]));
    assert_eq!(given.paths(), ["keep", "keep/a.c", "keep/dropped"]);
    let skipped: Vec<_> = given.skipped.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(skipped, ["drop", "keep/a.o", "keep/drop"]);
}

#[test]
fn patterns_are_matched_against_absolute_paths() {
    let folder = tree(&["a/x", "b/x"]);
    let pattern = format!("{}/a/*", folder.path().display());
    let given = whole(content_of(folder.path()).exclude(vec![pattern.into()]));
    assert_eq!(given.paths(), ["a", "b", "b/x"]);
}

/// These paths of `folder`, by name.
fn named(folder: &tempfile::TempDir, paths: &[&str]) -> FolderSource {
    FolderSource::new(paths.iter().map(Into::into).collect()).relative_to(folder.path().to_path_buf())
}

#[test]
fn what_leaves_out_a_folder_above_a_path_asked_for_leaves_that_path_alone() {
    let folder = tree(&["drop/x", "drop/y", "drop/in/z", "drop/in/drop/w", "keep"]);
    let above = folder.path().to_str().expect("UTF-8").to_owned();
    let name = folder.path().file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
    for pattern in ["drop", "drop/", "/tmp", &above, &name, "DROP"] {
        let given = whole(named(&folder, &["drop/x", "keep"]).iexclude(vec![pattern.into()]));
        assert_eq!(given.paths(), ["drop", "drop/x", "keep"], "{pattern}");
    }
    // Below it the same pattern counts.
    let given = whole(named(&folder, &["drop/in"]).exclude(vec!["drop".into()]));
    assert_eq!(given.paths(), ["drop", "drop/in", "drop/in/z"]);
}

#[test]
fn a_path_asked_for_in_a_folder_that_is_walked_and_left_out_is_taken_alone() {
    let folder = tree(&["drop/x", "drop/in/z", "keep"]);
    fs::write(folder.path().join(".gitignore"), "drop\n").expect("a file");
    let paths = [".", "drop/in"];
    let expected = [".gitignore", "drop", "drop/in", "drop/in/z", "keep"];
    assert_eq!(whole(named(&folder, &paths).exclude(vec!["drop".into()])).paths(), expected);
    assert_eq!(whole(named(&folder, &paths).gitignore(true)).paths(), expected);
    fs::write(folder.path().join("drop/.stop"), "").expect("a marker");
    let given = whole(named(&folder, &paths).exclude_if_present(vec![".stop".into()]));
    assert_eq!(given.paths(), [".gitignore", "drop", "drop/.stop", "drop/in", "drop/in/z", "keep"]);
}

#[test]
fn a_path_asked_for_that_a_rule_means_itself_is_left_out_and_the_snapshot_is_partial() {
    let folder = tree(&["work/x", "keep", "large"]);
    fs::write(folder.path().join("large"), vec![1; 100]).expect("a file");
    fs::write(folder.path().join("work/CACHEDIR.TAG"), HEADER).expect("a tag");
    let work = folder.path().join("work").to_str().expect("UTF-8").to_owned();
    let by_name = |pattern: &str| named(&folder, &["work", "keep"]).exclude(vec![pattern.into()]);
    for (source, given) in [
        (by_name("work"), vec!["keep"]),
        (by_name(&work), vec!["keep"]),
        (by_name("w*"), vec!["keep"]),
        (named(&folder, &["large", "keep"]).exclude_larger_than(10), vec!["keep"]),
        (named(&folder, &["work", "keep"]).exclude_caches(true), vec!["keep", "work", "work/CACHEDIR.TAG"]),
        (content_of(&folder.path().join("work")).exclude_caches(true), vec!["CACHEDIR.TAG"]),
    ] {
        let mut recorder = Recorder::new();
        let Verdict::Partial(reasons) = recorder.run(source).expect("a verdict") else { panic!("{given:?}") };
        assert!(reasons[0].contains("was named to be backed up"), "{reasons:?}");
        assert_eq!(recorder.paths(), given);
        assert!(recorder.warned.iter().any(|(_, _, partial)| *partial));
    }
    let error = Recorder::new().run(named(&folder, &["work"]).exclude(vec!["work".into()])).expect_err("nothing left");
    assert!(error.to_string().contains("nothing of what was named"), "{error}");
}

#[test]
fn cache_folders_are_kept_empty_but_for_their_tag() {
    let folder = tree(&["real/x", "real/sub/y", "fake/x", "empty/x"]);
    fs::write(folder.path().join("real/CACHEDIR.TAG"), format!("{HEADER}\n# a cache")).expect("a tag");
    fs::write(folder.path().join("fake/CACHEDIR.TAG"), "Signature: another").expect("a tag");
    fs::write(folder.path().join("empty/CACHEDIR.TAG"), "").expect("a tag");
    let given = whole(content_of(folder.path()).exclude_caches(true));
    assert_eq!(
        given.paths(),
        ["empty", "empty/CACHEDIR.TAG", "empty/x", "fake", "fake/CACHEDIR.TAG", "fake/x", "real", "real/CACHEDIR.TAG"]
    );
    assert_eq!(whole(content_of(folder.path())).entries.len(), 11);
}

#[test]
fn marker_files_may_ask_for_a_header() {
    let folder = tree(&["a/.nobackup", "a/x", "b/.stop", "b/x", "c/.stop", "c/x"]);
    fs::write(folder.path().join("b/.stop"), "yes please").expect("a marker");
    let markers = vec![".nobackup".into(), ".stop:yes".into()];
    let given = whole(content_of(folder.path()).exclude_if_present(markers));
    assert_eq!(given.paths(), ["a", "a/.nobackup", "b", "b/.stop", "c", "c/.stop", "c/x"]);
}

#[test]
fn the_nearest_gitignore_decides() {
    let folder = tree(&["a.o", "keep.o", "sub/a.o", "sub/b.log", "sub/deep/a.o", "build/x", "sub/build"]);
    fs::write(folder.path().join(".gitignore"), "*.o\n!keep.o\nbuild/\n# nothing\n").expect("a file");
    fs::write(folder.path().join("sub/.gitignore"), "!a.o\n*.log\n/deep/a.o\n").expect("a file");
    let given = whole(content_of(folder.path()).gitignore(true));
    assert_eq!(given.paths(), [".gitignore", "keep.o", "sub", "sub/.gitignore", "sub/a.o", "sub/build", "sub/deep"]);
    assert_eq!(whole(content_of(folder.path())).entries.len(), 12);
}

#[test]
fn large_files_are_left_out_by_their_size() {
    let folder = tree(&["1", "22", "333"]);
    let given = whole(content_of(folder.path()).exclude_larger_than(2));
    assert_eq!(given.paths(), ["1", "22"]);
    assert_eq!(given.skipped.len(), 1);
}

#[test]
fn nonsense_is_refused_before_anything_is_read() {
    let folder = tree(&["x"]);
    for source in [
        content_of(folder.path()).exclude(vec!["[".into()]),
        content_of(folder.path()).exclude_if_present(vec!["a/b".into()]),
    ] {
        assert_eq!(source.check().expect_err("nonsense").kind(), Kind::Invalid);
    }
}

#[test]
fn a_mount_point_is_kept_as_an_empty_folder() {
    // Every Linux machine has one mount inside another at /proc and /dev; only that of /dev/shm or
    // /dev/pts is needed, and only its own entry is looked at.
    let Some(mount) = ["pts", "shm"].into_iter().find(|name| {
        let device = |path: &str| rustix::fs::stat(path).map(|stat| stat.st_dev).ok();
        let inner = device(&format!("/dev/{name}"));
        inner.is_some() && inner != device("/dev")
    }) else {
        eprintln!("no mount below /dev: nothing to look at");
        return;
    };
    let given = whole(FolderSource::new(vec!["/dev".into()]).one_file_system(true));
    let paths = given.paths();
    assert!(paths.contains(&format!("dev/{mount}")));
    assert!(!paths.iter().any(|path| path.starts_with(&format!("dev/{mount}/"))), "{paths:?}");
    // Asked for by name it is walked all the same.
    let paths = vec!["/dev".into(), format!("/dev/{mount}").into()];
    let source = FolderSource::new(paths).one_file_system(true);
    let asked = whole(source).paths();
    let inside = std::fs::read_dir(format!("/dev/{mount}")).expect("a folder").count();
    let below = asked.iter().filter(|path| path.starts_with(&format!("dev/{mount}/"))).count();
    assert!(below >= inside.min(1), "{below} of {inside}");
}
