//! Promises of writing: one tree per set of entries, few new pages per change, pages of the wanted length.

use super::shelf::Shelf;
use super::shelf::chunk;
use super::shelf::file;
use super::shelf::files;
use super::shelf::hasher;
use super::shelf::path;
use super::shelf::tiny;
use super::shelf::walk;
use super::shelf::write;
use crate::catalog::CatalogBuilder;
use crate::catalog::ChunkListBuilder;
use crate::catalog::PageHasher;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::error::Kind;
use crate::format::page::Page;
use crate::limits::PAGE_BYTES_GOAL;
use crate::limits::PAGE_BYTES_HARD;

#[test]
fn a_snapshot_without_entries_has_no_root() {
    let mut shelf = Shelf::default();
    assert_eq!(write(hasher(), &[], &mut shelf), None);
    assert!(shelf.written.is_empty());
}

#[test]
fn a_single_leaf_is_the_root() {
    let mut shelf = Shelf::default();
    let root = write(hasher(), &files(1), &mut shelf).expect("a root");
    assert_eq!(shelf.written, [root]);
    assert!(matches!(shelf.pages[&root.id].page, Page::Entries(_)));
}

#[test]
fn entries_out_of_order_or_twice_are_refused_by_name() {
    let mut shelf = Shelf::default();
    for (first, second) in [("b", "a"), ("a", "a"), ("a!", "a/b")] {
        let mut builder = CatalogBuilder::new(tiny());
        builder.push(file(path("0"), 0), &mut shelf).unwrap();
        builder.push(file(path(first), 0), &mut shelf).unwrap();
        let error = builder.push(file(path(second), 0), &mut shelf).unwrap_err();
        assert_eq!(error.kind(), Kind::SourceFailed);
        assert_eq!(error.doing(), format!("cannot record {second}"));
        builder.push(file(path("c"), 0), &mut shelf).expect("the builder goes on after a refusal");
    }
}

#[test]
fn order_is_kept_across_the_end_of_a_page() {
    let mut shelf = Shelf::default();
    let mut builder = CatalogBuilder::new(tiny());
    for entry in files(500) {
        builder.push(entry.clone(), &mut shelf).unwrap();
        assert_eq!(builder.push(entry, &mut shelf).unwrap_err().kind(), Kind::SourceFailed);
    }
}

#[test]
fn an_entry_too_large_for_any_page_is_refused_by_name_and_the_rest_goes_on() {
    let mut shelf = Shelf::default();
    let mut huge = file(path("b"), 0);
    huge.metadata.extents = Some((0..150_000).map(|at| Extent { offset: at * 2, length: 1 }).collect());
    let mut builder = CatalogBuilder::new(hasher());
    builder.push(file(path("a"), 0), &mut shelf).unwrap();
    let error = builder.push(huge, &mut shelf).unwrap_err();
    assert_eq!((error.kind(), error.doing()), (Kind::SourceFailed, "cannot record b"));
    builder.push(file(path("c"), 0), &mut shelf).unwrap();
    let root = builder.finish(&mut shelf).unwrap();
    let kept = walk(&shelf.open(), root, None).unwrap();
    assert_eq!(kept, [file(path("a"), 0), file(path("c"), 0)]);
}

#[test]
fn a_huge_entry_stands_alone_in_its_page() {
    let mut shelf = Shelf::default();
    let mut huge = file(path("b"), 0);
    huge.metadata.extents = Some((0..60_000).map(|at| Extent { offset: at * 2, length: 1 }).collect());
    let entries = [file(path("a"), 0), huge, file(path("c"), 0)];
    let root = write(hasher(), &entries, &mut shelf);
    assert_eq!(shelf.written.len(), 4);
    assert_eq!(walk(&shelf.open(), root, None).unwrap(), entries);
}

/// Leaves as (last path, entries).
fn boundaries(shelf: &Shelf) -> Vec<(EntryPath, usize)> {
    let leaves = shelf.written.iter().filter_map(|page| match &shelf.pages[&page.id].page {
        Page::Entries(entries) => Some((entries.last().expect("entries").path.clone(), entries.len())),
        _ => None,
    });
    leaves.collect()
}

#[test]
fn the_same_entries_make_the_same_tree_and_another_key_another_one() {
    let entries = files(3000);
    let (mut one, mut two, mut other) = (Shelf::default(), Shelf::default(), Shelf::default());
    let root = write(hasher(), &entries, &mut one);
    // The second time content pages are written in between, as a backup does.
    let mut builder = CatalogBuilder::new(hasher());
    for entry in &entries {
        let mut list = ChunkListBuilder::new(hasher());
        list.push(chunk(1, 5), &mut two).unwrap();
        list.finish(&mut two).unwrap();
        builder.push(entry.clone(), &mut two).unwrap();
    }
    assert_eq!(builder.finish(&mut two).unwrap(), root);
    assert_eq!(one.ids(), two.ids());
    write(PageHasher::new([8; 32]), &entries, &mut other);
    assert_ne!(boundaries(&one), boundaries(&other));
}

#[test]
fn boundaries_stay_when_all_metadata_changes() {
    let mut entries = files(5000);
    let (mut before, mut after) = (Shelf::default(), Shelf::default());
    write(hasher(), &entries, &mut before);
    for entry in &mut entries {
        *entry = file(entry.path.clone(), 77);
    }
    write(hasher(), &entries, &mut after);
    assert_eq!(boundaries(&before), boundaries(&after));
    assert!(before.ids().is_disjoint(&after.ids()));
}

#[test]
fn one_change_in_100_000_entries_makes_new_pages_only_on_its_way_to_the_root() {
    let mut entries = files(100_000);
    let mut shelf = Shelf::default();
    write(hasher(), &entries, &mut shelf);
    let (before, total) = (shelf.ids(), shelf.pages.len());
    assert!(total > 150, "{total} pages");
    let mut most = 0;
    for at in [0, 40_009, 99_999] {
        let kept: Entry = entries[at].clone();
        entries[at] = file(kept.path.clone(), 1);
        most = most.max(new_pages(&entries, &before));
        entries.remove(at);
        most = most.max(new_pages(&entries, &before));
        entries.insert(at, kept.clone());
        entries.insert(at + 1, file(kept.path.join(b"beneath").unwrap(), 0));
        most = most.max(new_pages(&entries, &before));
        entries.remove(at + 1);
    }
    // Three levels; where a boundary goes or moves, a neighbour or two more on a level.
    assert!(most <= 9, "{most} of {total} pages are new");
}

fn new_pages(entries: &[Entry], before: &std::collections::HashSet<crate::id::ChunkId>) -> usize {
    let mut shelf = Shelf::default();
    write(hasher(), entries, &mut shelf);
    let new = shelf.ids().difference(before).count();
    assert!(new > 0);
    new
}

#[test]
fn pages_have_the_wanted_length() {
    let mut shelf = Shelf::default();
    write(hasher(), &files(100_000), &mut shelf);
    let leaves: Vec<usize> = shelf
        .written
        .iter()
        .filter(|page| matches!(shelf.pages[&page.id].page, Page::Entries(_)))
        .map(|page| page.length as usize)
        .collect();
    let short = leaves.iter().filter(|length| **length < 8 * 1024).count();
    assert!(short <= 1, "{short} short pages");
    assert!(leaves.iter().all(|length| *length <= PAGE_BYTES_HARD));
    let mean = leaves.iter().sum::<usize>() / leaves.len();
    assert!(mean > PAGE_BYTES_GOAL / 2 && mean < PAGE_BYTES_GOAL * 2, "{mean} bytes on average");
}

#[test]
fn pages_leave_as_they_fill() {
    let mut shelf = Shelf::default();
    let mut builder = CatalogBuilder::new(hasher());
    let mut since = 0;
    for entry in files(20_000) {
        let written = shelf.written.len();
        builder.push(entry, &mut shelf).unwrap();
        since = if shelf.written.len() > written { 0 } else { since + 1 };
        assert!(since * 100 < PAGE_BYTES_HARD, "{since} entries are held back");
    }
}

#[test]
fn inner_pages_narrow_the_tree_whatever_the_paths() {
    let mut shelf = Shelf::default();
    // Paths so long that few children fit a page, and so different that nothing of them is shared.
    let entries: Vec<Entry> =
        (0..120u8).map(|number| file(EntryPath::parse(&vec![number + 100; 65_000]).unwrap(), 0)).collect();
    let root = write(hasher(), &entries, &mut shelf);
    for page in shelf.pages.values() {
        if let Page::EntriesInner(children) = &page.page {
            assert!(!children.is_empty());
        }
    }
    let narrow = shelf.pages.values().filter(|page| page.level > 0).count();
    assert!(narrow < 120, "{narrow} inner pages");
    assert_eq!(walk(&shelf.open(), root, None).unwrap(), entries);
}

#[test]
fn up_to_32_chunks_stand_in_the_entry() {
    for (count, pages) in [(0, 0), (1, 0), (32, 0), (33, 1)] {
        let mut shelf = Shelf::default();
        let mut list = ChunkListBuilder::new(hasher());
        for number in 0..count {
            list.push(chunk(number, 10), &mut shelf).unwrap();
        }
        let content = list.finish(&mut shelf).unwrap();
        assert_eq!((content.bytes(), shelf.written.len()), (count * 10, pages));
        match (count, content) {
            (0, Content::Empty) | (1 | 32, Content::Inline(_)) => {}
            (33, Content::Tree { chunks: 33, bytes: 330, .. }) => {}
            (_, other) => panic!("{count} chunks became {other:?}"),
        }
    }
}

#[test]
fn an_empty_chunk_is_not_listed() {
    let mut shelf = Shelf::default();
    let mut list = ChunkListBuilder::new(hasher());
    assert_eq!(list.push(chunk(1, 0), &mut shelf).unwrap_err().kind(), Kind::Bug);
}

#[test]
fn a_million_times_the_same_chunk_makes_few_different_pages() {
    for number in 0..4 {
        let mut shelf = Shelf::default();
        let mut list = ChunkListBuilder::new(hasher());
        for _ in 0..1_000_000 {
            list.push(chunk(number, 4096), &mut shelf).unwrap();
        }
        assert_eq!(list.finish(&mut shelf).unwrap().bytes(), 4096 * 1_000_000);
        assert!(shelf.pages.len() < 12, "{} pages", shelf.pages.len());
    }
}

#[test]
fn roots_are_frozen() {
    let root = |entries: &[Entry]| {
        let mut shelf = Shelf::default();
        write(hasher(), entries, &mut shelf).map(|root| root.id.to_string()).unwrap_or_default()
    };
    let content = |count: u64| {
        let mut shelf = Shelf::default();
        let mut list = ChunkListBuilder::new(hasher());
        (0..count).for_each(|number| list.push(chunk(number, 65_536), &mut shelf).unwrap());
        match list.finish(&mut shelf).unwrap() {
            Content::Tree { root, .. } => root.to_string(),
            _ => String::new(),
        }
    };
    let found = [root(&files(1)), root(&files(10_000)), content(33), content(100_000)];
    assert_eq!(found, GOLDEN);
}

/// Of 1 and 10,000 files, 33 and 100,000 chunks. A change here is a change of the format.
const GOLDEN: [&str; 4] = [
    "8fa2976c7c321f6fedfbd4189b372ab45d8572427bc997d46869353a3f897dfc",
    "4eafea67581f5e07193486a29219b2eeb9b6dd191f31cdaeaed39efd2ebf3d7f",
    "5b37042646986c44f8b87d982c35645d380b40988b4b5821f328381e651c06b4",
    "6c9fe869b66032634b3f4213efe04906adf0ea178ad4b8b314ed1a9306ffd829",
];
