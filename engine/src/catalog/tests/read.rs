//! Promises of reading: every way of looking agrees with a sorted map, and reads no more pages than it must.

use super::shelf::Library;
use super::shelf::Shelf;
use super::shelf::chunk;
use super::shelf::file;
use super::shelf::files;
use super::shelf::hasher;
use super::shelf::now;
use super::shelf::path;
use super::shelf::tiny;
use super::shelf::walk;
use super::shelf::write;
use crate::catalog::PageSource;
use crate::catalog::children;
use crate::catalog::find;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::format::page::PageRef;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::prop;
use proptest::prelude::prop_assert_eq;
use proptest::proptest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Random entries by path; names are few and nasty, so that paths share directories and prefixes.
pub(super) fn entries() -> impl Strategy<Value = BTreeMap<EntryPath, Entry>> {
    let name = prop::sample::select(vec!["a", "b", "c", "a!", "a-b", "ab", "\u{ff}", "z", "0", "~"]);
    let path = prop::collection::vec(name, 1..5)
        .prop_map(|names| EntryPath::parse(names.join("/").as_bytes()).expect("a valid path"));
    prop::collection::vec((path, 0u32..3), 0..300).prop_map(|pairs| {
        let entries = pairs.into_iter().map(|(path, version)| (path.clone(), file(path, version)));
        entries.collect()
    })
}

fn source(library: &Arc<Library>) -> Arc<dyn PageSource> {
    Arc::clone(library) as Arc<dyn PageSource>
}

fn shelved(entries: &[Entry]) -> (Arc<Library>, Option<PageRef>) {
    let mut shelf = Shelf::default();
    let root = write(hasher(), entries, &mut shelf);
    (shelf.open(), root)
}

fn list(library: &Arc<Library>, root: Option<PageRef>, directory: Option<&str>) -> Vec<String> {
    let directory = directory.map(path);
    let found = now(children(source(library), root, directory.as_ref())).unwrap();
    found.iter().map(|entry| entry.path.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn walk_find_children_and_below_agree_with_a_sorted_map(
        model in entries(),
        asked in prop::collection::vec(entries().prop_map(|some| some.into_keys().next()), 0..6),
    ) {
        let listed: Vec<Entry> = model.values().cloned().collect();
        let mut shelf = Shelf::default();
        let root = write(tiny(), &listed, &mut shelf);
        let library = shelf.open();
        prop_assert_eq!(&walk(&library, root, None).unwrap(), &listed);
        let known = model.keys().step_by(7).cloned();
        let above = model.keys().step_by(5).filter_map(EntryPath::parent);
        for path in asked.into_iter().flatten().chain(known).chain(above) {
            prop_assert_eq!(now(find(source(&library), root, &path)).unwrap(), model.get(&path).cloned());
            let below: Vec<Entry> = listed.iter().filter(|entry| entry.path.is_within(&path)).cloned().collect();
            prop_assert_eq!(walk(&library, root, Some(&path)).unwrap(), below);
            let within: Vec<Entry> =
                listed.iter().filter(|entry| entry.path.parent().as_ref() == Some(&path)).cloned().collect();
            prop_assert_eq!(now(children(source(&library), root, Some(&path))).unwrap(), within);
        }
        let top: Vec<Entry> = listed.iter().filter(|entry| entry.path.parent().is_none()).cloned().collect();
        prop_assert_eq!(now(children(source(&library), root, None)).unwrap(), top);
    }
}

#[test]
fn a_walk_reads_every_page_once_and_announces_it_before() {
    let listed = files(20_000);
    let (library, root) = shelved(&listed);
    assert_eq!(walk(&library, root, None).unwrap(), listed);
    let read = library.take_read();
    assert_eq!(read.len(), library.shelf.pages.len());
    let announced = library.announced.lock().unwrap();
    assert_eq!(announced.len() + 2, read.len(), "all but the root and the first child of each inner page");
}

#[test]
fn an_entry_is_found_with_one_page_per_level() {
    let listed = files(100_000);
    let (library, root) = shelved(&listed);
    for at in (0..100_000).step_by(9_973) {
        assert_eq!(now(find(source(&library), root, &listed[at].path)).unwrap().as_ref(), Some(&listed[at]));
        assert!(library.take_read().len() <= 3);
        let missing = listed[at].path.join(b"nothing").unwrap();
        assert_eq!(now(find(source(&library), root, &missing)).unwrap(), None);
        assert!(library.take_read().len() <= 3);
    }
}

#[test]
fn a_walk_below_reads_only_the_way_and_the_subtree() {
    let listed = files(100_000);
    let (library, root) = shelved(&listed);
    let below = walk(&library, root, Some(&path("home/ann/project 0500"))).unwrap();
    assert_eq!(below.len(), 100);
    assert!(library.take_read().len() <= 4);
    assert!(library.announced.lock().unwrap().is_empty(), "no page after the subtree is announced");
    assert!(walk(&library, root, Some(&path("home/ann/zebra"))).unwrap().is_empty());
    assert!(library.take_read().len() <= 3);
    assert_eq!(walk(&library, root, Some(&listed[77].path)).unwrap(), listed[77..78]);
    assert_eq!(walk(&library, root, Some(&path("home"))).unwrap().len(), 100_000);
}

#[test]
fn listing_a_directory_jumps_over_huge_sub_directories() {
    let mut listed = vec![file(path("top"), 0), file(path("top/a"), 0), file(path("top/big"), 0)];
    listed.extend((0..50_000).map(|number| file(path(&format!("top/big/{number:06}")), 0)));
    listed.extend([file(path("top/big!"), 0), file(path("top/c"), 0), file(path("top/c/d"), 0), file(path("u"), 0)]);
    let (library, root) = shelved(&listed);
    assert_eq!(list(&library, root, Some("top")), ["top/a", "top/big", "top/big!", "top/c"]);
    let read = library.take_read().len();
    assert!(read <= 6, "{read} of {} pages read", library.shelf.pages.len());
    assert_eq!(list(&library, root, None), ["top", "u"]);
    let read = library.take_read().len();
    assert!(read <= 6, "{read} of {} pages read", library.shelf.pages.len());
    assert_eq!(list(&library, root, Some("top/big")).len(), 50_000);
}

#[test]
fn directories_that_are_no_entries_are_listed_through() {
    let listed: Vec<Entry> = ["a/b/c", "a/b/d", "a/e", "f"].map(|text| file(path(text), 0)).into();
    let (library, root) = shelved(&listed);
    assert_eq!(list(&library, root, Some("a")), ["a/e"]);
    assert_eq!(list(&library, root, Some("a/b")), ["a/b/c", "a/b/d"]);
    assert_eq!(list(&library, root, None), ["f"]);
    assert_eq!(list(&library, root, Some("g")), Vec::<String>::new());
}

#[test]
fn nothing_is_in_an_empty_snapshot() {
    let (library, root) = shelved(&[]);
    assert_eq!(walk(&library, root, None).unwrap(), []);
    assert_eq!(now(find(source(&library), root, &path("a"))).unwrap(), None);
    assert_eq!(list(&library, root, None), Vec::<String>::new());
    assert!(library.take_read().is_empty());
}

#[test]
fn contents_of_all_sorts_come_back() {
    let mut listed = files(3);
    listed[0].content = Content::Empty;
    listed[1].content = Content::Inline((0..32).map(|number| chunk(number, 9)).collect());
    listed[2].content = Content::Tree { root: chunk(1, 1).id, length: 77, chunks: 40, bytes: 4000 };
    let (library, root) = shelved(&listed);
    assert_eq!(walk(&library, root, None).unwrap(), listed);
}
