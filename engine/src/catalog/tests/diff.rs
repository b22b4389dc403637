//! Promises of comparing: the same differences as two sorted maps have, and shared pages stay unread.

use super::read::entries;
use super::shelf::Library;
use super::shelf::Shelf;
use super::shelf::file;
use super::shelf::files;
use super::shelf::hasher;
use super::shelf::now;
use super::shelf::path;
use super::shelf::tiny;
use super::shelf::write;
use crate::catalog::Differ;
use crate::catalog::Difference;
use crate::catalog::PageSource;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::format::page::PageRef;
use proptest::prelude::ProptestConfig;
use proptest::prelude::prop;
use proptest::prelude::prop_assert;
use proptest::prelude::prop_assert_eq;
use proptest::proptest;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

fn diff(library: &Arc<Library>, before: Option<PageRef>, after: Option<PageRef>) -> Vec<Difference> {
    let mut differ = Differ::new(Arc::clone(library) as Arc<dyn PageSource>, before, after);
    now(async {
        let mut all = Vec::new();
        while let Some(difference) = differ.next().await.unwrap() {
            all.push(difference);
        }
        all
    })
}

fn expected(before: &BTreeMap<EntryPath, Entry>, after: &BTreeMap<EntryPath, Entry>) -> Vec<Difference> {
    let paths: BTreeSet<&EntryPath> = before.keys().chain(after.keys()).collect();
    let differences =
        paths.into_iter().filter_map(|path| match (before.get(path).cloned(), after.get(path).cloned()) {
            (Some(before), None) => Some(Difference::Removed(Box::new(before))),
            (None, Some(after)) => Some(Difference::Added(Box::new(after))),
            (Some(before), Some(after)) if before != after => {
                Some(Difference::Changed { before: Box::new(before), after: Box::new(after) })
            }
            _ => None,
        });
    differences.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn unrelated_catalogs_differ_as_sorted_maps_do(before in entries(), after in entries()) {
        let mut shelf = Shelf::default();
        let roots = [&before, &after].map(|model| {
            write(tiny(), &model.values().cloned().collect::<Vec<_>>(), &mut shelf)
        });
        prop_assert_eq!(diff(&shelf.open(), roots[0], roots[1]), expected(&before, &after));
    }

    #[test]
    fn related_catalogs_differ_as_sorted_maps_do_and_few_pages_are_read(
        edits in prop::collection::vec((0usize..2000, 0u8..3), 0..5),
    ) {
        let before: BTreeMap<EntryPath, Entry> =
            files(2000).into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let paths: Vec<EntryPath> = before.keys().cloned().collect();
        let mut after = before.clone();
        for (at, edit) in &edits {
            let path = paths[*at].clone();
            match edit {
                0 => { after.remove(&path); }
                1 => { after.insert(path.clone(), file(path, 9)); }
                _ => { let path = path.join(b"x").unwrap(); after.insert(path.clone(), file(path, 9)); }
            }
        }
        let mut shelf = Shelf::default();
        let roots = [&before, &after].map(|model| {
            write(tiny(), &model.values().cloned().collect::<Vec<_>>(), &mut shelf)
        });
        let library = shelf.open();
        prop_assert_eq!(diff(&library, roots[0], roots[1]), expected(&before, &after));
        let read = library.take_read().len();
        // Pages of four items on average: about six levels, both sides, a neighbour here and there.
        prop_assert!(read <= edits.len() * 48, "{} pages read for {} edits", read, edits.len());
    }
}

fn read_for(before: &[Entry], after: &[Entry], differences: usize) -> usize {
    let mut shelf = Shelf::default();
    let roots = [before, after].map(|entries| write(hasher(), entries, &mut shelf));
    let library = shelf.open();
    assert_eq!(diff(&library, roots[0], roots[1]).len(), differences);
    library.take_read().len()
}

#[test]
fn equal_snapshots_are_compared_without_reading_a_page() {
    let listed = files(10_000);
    assert_eq!(read_for(&listed, &listed, 0), 0);
    assert_eq!(read_for(&[], &[], 0), 0);
}

#[test]
fn one_change_in_100_000_entries_is_found_by_reading_few_pages() {
    let before = files(100_000);
    for at in [0, 77_777, 99_999] {
        let mut after = before.clone();
        after[at] = file(after[at].path.clone(), 1);
        let read = read_for(&before, &after, 1);
        assert!(read <= 6, "{read} pages read for a change");
        after.remove(at);
        let read = read_for(&before, &after, 1);
        assert!(read <= 12, "{read} pages read for a removal");
        let read = read_for(&after, &before, 1);
        assert!(read <= 12, "{read} pages read for an addition");
    }
}

#[test]
fn a_new_directory_does_not_make_its_neighbours_be_read() {
    let before = files(100_000);
    let mut after = before.clone();
    let new = (0..10_000).map(|number| file(path(&format!("home/ann/project 0500 new/{number:06}")), 0));
    after.splice(50_100..50_100, new);
    after.sort_by(|a, b| a.path.cmp(&b.path));
    let mut alone = Shelf::default();
    write(hasher(), &after[50_100..60_100], &mut alone);
    let read = read_for(&before, &after, 10_000);
    assert!(read <= alone.pages.len() + 12, "{read} pages read, {} are new", alone.pages.len());
}

#[test]
fn all_is_added_to_nothing_and_all_removed_again() {
    let listed = files(1000);
    let mut shelf = Shelf::default();
    let root = write(tiny(), &listed, &mut shelf);
    let library = shelf.open();
    let added: Vec<_> = listed.iter().map(|entry| Difference::Added(Box::new(entry.clone()))).collect();
    let removed: Vec<_> = listed.iter().map(|entry| Difference::Removed(Box::new(entry.clone()))).collect();
    assert_eq!(diff(&library, None, root), added);
    assert_eq!(diff(&library, root, None), removed);
}
