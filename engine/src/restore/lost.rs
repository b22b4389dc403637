//! Promises of a restore where the catalog itself is damaged: only what is below the damage is lost, and it is named.

use crate::catalog::Gap;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Kind;
use crate::restore::Overwrite;
use crate::restore::RestoreOptions;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use crate::restore::scene::trees;
use crate::restore::window::Limits;
use std::os::unix::fs::MetadataExt;

fn path(text: &str) -> EntryPath {
    EntryPath::parse(text.as_bytes()).expect("a valid path")
}

fn gap(after: Option<&str>, last: &str, entries: u64) -> Gap {
    Gap { after: after.map(path), last: path(last), entries }
}

/// Three folders of three files; the end of the first and the beginning of the second are lost.
fn hurt() -> Scene {
    let mut scene = Scene::empty();
    for folder in ["a", "b", "c"] {
        scene.add(folder, FileKind::Directory, b"");
        for file in ["x", "y", "z"] {
            scene.add(&format!("{folder}/{file}"), FileKind::File, b"content");
        }
    }
    scene.gaps = vec![gap(Some("a/x"), "b/x", 4)];
    scene
}

#[tokio::test]
async fn a_lost_catalog_page_costs_only_what_is_below_it() {
    for limits in [TINY, Limits::default()] {
        let mut scene = hurt();
        let report = scene.run_as(limits).await.expect("a restore of the rest");
        assert_eq!(messages(&report), [": 4 entries after \"a/x\" up to \"b/x\" cannot be read: it is damaged"]);
        assert!(report.failures.iter().all(|warning| warning.partial));
        assert_eq!((report.entries_selected, report.entries_restored), (8, 8));
        let names = ["", "a", "b", "c"].map(|folder| scene.names(folder).join(" "));
        assert_eq!(names, ["a b c", "x", "y z", "x y z"]);
        // Nobody knows who was allowed to look into it.
        assert_eq!(scene.target().join("b").metadata().expect("a folder").mode() & 0o7777, 0o700);
    }
}

#[tokio::test]
async fn nothing_is_deleted_where_the_snapshot_is_not_known() {
    for limits in [TINY, Limits::default()] {
        let mut scene = hurt();
        for file in ["a/y", "a/stranger", "b/x", "b/stranger", "c/stranger", "stranger"] {
            scene.write(file, b"old");
        }
        let options = RestoreOptions { delete: true, ..scene.options() };
        let report = scene.run(limits, options).await.expect("a restore of the rest");
        assert_eq!(report.entries_deleted, 0);
        for file in ["a/y", "a/stranger", "b/x", "b/stranger", "c/stranger", "stranger"] {
            assert_eq!(scene.read(file), b"old", "{file}");
        }
    }
}

#[tokio::test]
async fn a_snapshot_of_which_nothing_can_be_read_is_damaged() {
    let mut scene = hurt();
    scene.gaps = vec![gap(None, "c/z", 12)];
    let error = scene.run_as(TINY).await.expect_err("nothing is left");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.in_one_line().contains("12 entries up to \"c/z\""), "{}", error.in_one_line());
}

#[tokio::test]
async fn a_lost_page_of_a_chunk_list_costs_only_its_file() {
    for readable in [0, 1, 2] {
        let mut scene = Scene::empty();
        let bytes = trees::Dice::new(8).bytes(500_000);
        scene.add("large", FileKind::File, &bytes);
        scene.add("next", FileKind::File, b"fine");
        scene.add("standing", FileKind::File, &bytes[1..]);
        scene.write("standing", b"old");
        let lists: Vec<_> = scene.store.lists.keys().copied().collect();
        scene.store.cut.extend(lists.into_iter().map(|root| (root, readable)));
        let report = scene.run_as(TINY).await.expect("a restore of the rest");
        let told = messages(&report);
        assert!(told.len() == 2 && told.iter().all(|line| line.contains("the list of its chunks")), "{told:?}");
        assert_eq!(scene.names(""), ["next", "standing"]);
        assert_eq!((scene.read("next"), scene.read("standing")), (b"fine".to_vec(), b"old".to_vec()));
    }
}

#[tokio::test]
async fn what_is_taken_as_equal_needs_no_chunk_list() {
    let mut scene = Scene::empty();
    let bytes = trees::Dice::new(8).bytes(500_000);
    scene.add("large", FileKind::File, &bytes);
    scene.restore().await;
    let lists: Vec<_> = scene.store.lists.keys().copied().collect();
    scene.store.cut.extend(lists.into_iter().map(|root| (root, 0)));
    let options = RestoreOptions { overwrite: Overwrite::IfChanged, ..scene.options() };
    let report = scene.run(TINY, options).await.expect("a restore");
    assert_eq!((messages(&report), report.entries_unchanged), (Vec::new(), 1));
}
