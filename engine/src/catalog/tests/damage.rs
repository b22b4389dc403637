//! Promises about pages that lie: they are refused by name, and nothing ever loops.

use super::shelf::Library;
use super::shelf::Shelf;
use super::shelf::chunk;
use super::shelf::file;
use super::shelf::files;
use super::shelf::now;
use super::shelf::path;
use super::shelf::tiny;
use super::shelf::walk;
use super::shelf::write;
use crate::catalog::ChunkListBuilder;
use crate::catalog::ChunkWalk;
use crate::catalog::Differ;
use crate::catalog::PageSource;
use crate::catalog::children;
use crate::catalog::find;
use crate::catalog::read::LeveledPage;
use crate::entry::Content;
use crate::entry::Entry;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::id::ChunkId;
use std::sync::Arc;

fn source(library: &Arc<Library>) -> Arc<dyn PageSource> {
    Arc::clone(library) as Arc<dyn PageSource>
}

/// The refusal that a walk over this root meets, which must name `page`.
fn refused(shelf: &Shelf, root: PageRef, page: ChunkId) -> String {
    let error = walk(&shelf.open(), Some(root), None).expect_err("a lying page is refused");
    named(&error, page)
}

fn named(error: &Error, page: ChunkId) -> String {
    assert_eq!(error.kind(), Kind::Damaged);
    assert_eq!(error.doing(), format!("catalog page {page} is damaged"));
    std::error::Error::source(error).expect("a reason").to_string()
}

fn child(page: PageRef, last: &str, entries: u64, bytes: u64) -> Child {
    Child { last_path: Some(path(last)), id: page.id, length: page.length, entries, bytes }
}

fn leaf(names: &[&str]) -> Page {
    Page::Entries(names.iter().map(|name| file(path(name), 0)).collect())
}

#[test]
fn a_child_that_is_not_as_its_parent_says_is_refused() {
    let mut shelf = Shelf::default();
    let page = shelf.forge(1, 0, leaf(&["a", "b"]));
    let honest = shelf.forge(2, 1, Page::EntriesInner(vec![child(page, "b", 2, 10_000)]));
    assert_eq!(walk(&shelf.open(), Some(honest), None).unwrap().len(), 2);
    for (lie, why) in [
        (child(page, "c", 2, 10_000), "last path"),
        (child(page, "a", 2, 10_000), "last path"),
        (child(page, "b", 3, 10_000), "counts"),
        (child(page, "b", 2, 10_001), "counts"),
    ] {
        let root = shelf.forge(3, 1, Page::EntriesInner(vec![lie]));
        assert!(refused(&shelf, root, page.id).contains(why));
    }
}

#[test]
fn a_page_on_the_wrong_level_or_of_the_wrong_kind_is_refused() {
    let mut shelf = Shelf::default();
    let page = shelf.forge(1, 0, leaf(&["a", "b"]));
    let root = shelf.forge(2, 2, Page::EntriesInner(vec![child(page, "b", 2, 10_000)]));
    assert!(refused(&shelf, root, page.id).contains("level"));
    let chunks = shelf.forge(3, 0, Page::Chunks(vec![chunk(1, 5000), chunk(2, 5000)]));
    let root = shelf.forge(4, 1, Page::EntriesInner(vec![child(chunks, "b", 2, 10_000)]));
    assert!(refused(&shelf, root, chunks.id).contains("another kind"));
    let high = shelf.forge(5, 200, Page::EntriesInner(vec![child(page, "b", 2, 10_000)]));
    assert!(refused(&shelf, high, high.id).contains("level"));
    let inner_leaf = shelf.forge(6, 0, Page::EntriesInner(vec![child(page, "b", 2, 10_000)]));
    assert!(refused(&shelf, inner_leaf, inner_leaf.id).contains("another kind"));
    let high_leaf = shelf.forge(7, 1, leaf(&["a"]));
    assert!(refused(&shelf, high_leaf, high_leaf.id).contains("another kind"));
}

#[test]
fn order_holds_within_a_page_and_across_pages() {
    let mut shelf = Shelf::default();
    for names in [["b", "a"], ["a", "a"]] {
        let page = shelf.forge(1, 0, leaf(&names));
        assert!(refused(&shelf, page, page.id).contains("order"));
    }
    let first = shelf.forge(1, 0, leaf(&["a", "c"]));
    for names in [["b", "d"], ["c", "d"]] {
        let second = shelf.forge(2, 0, leaf(&names));
        let both = vec![child(first, "c", 2, 10_000), child(second, "d", 2, 10_000)];
        let root = shelf.forge(3, 1, Page::EntriesInner(both));
        assert!(refused(&shelf, root, second.id).contains("order"));
    }
    // The elder sibling of the parent counts as well.
    let second = shelf.forge(2, 0, leaf(&["b", "d"]));
    let left = shelf.forge(3, 1, Page::EntriesInner(vec![child(first, "c", 2, 10_000)]));
    let right = shelf.forge(4, 1, Page::EntriesInner(vec![child(second, "d", 2, 10_000)]));
    let both = vec![child(left, "c", 2, 10_000), child(right, "d", 2, 10_000)];
    let root = shelf.forge(5, 2, Page::EntriesInner(both));
    assert!(refused(&shelf, root, second.id).contains("order"));
}

#[test]
fn empty_pages_and_overflowing_counts_are_refused() {
    let mut shelf = Shelf::default();
    let page = shelf.forge(1, 0, Page::Entries(Vec::new()));
    assert!(refused(&shelf, page, page.id).contains("empty"));
    let some = shelf.forge(2, 0, leaf(&["a"]));
    let both = vec![child(some, "a", u64::MAX, 5000), child(some, "b", 1, 5000)];
    let root = shelf.forge(3, 1, Page::EntriesInner(both));
    assert!(refused(&shelf, root, root.id).contains("overflow"));
}

#[test]
fn a_page_that_names_itself_ends_the_walk() {
    let mut shelf = Shelf::default();
    let own = PageRef { id: ChunkId::from_bytes([1; 32]), length: 100 };
    shelf.forge(1, 1, Page::EntriesInner(vec![child(own, "b", 2, 10_000)]));
    assert!(refused(&shelf, own, own.id).contains("level"));
    let other = PageRef { id: ChunkId::from_bytes([2; 32]), length: 100 };
    shelf.forge(1, 2, Page::EntriesInner(vec![child(other, "b", 2, 10_000)]));
    shelf.forge(2, 1, Page::EntriesInner(vec![child(own, "b", 2, 10_000)]));
    assert!(refused(&shelf, own, own.id).contains("level"));
    assert!(now(find(source(&shelf.open()), Some(own), &path("a"))).is_err());
    assert!(now(children(source(&shelf.open()), Some(own), None)).is_err());
    let mut differ = Differ::new(source(&shelf.open()), Some(own), None);
    assert!(now(differ.next()).is_err());
    let content = Content::Tree { root: own.id, length: 100, chunks: 2, bytes: 10_000 };
    assert!(now(ChunkWalk::new(source(&shelf.open()), &content).next()).is_err());
}

#[test]
fn chunk_lists_must_be_as_their_entry_and_their_parents_say() {
    let mut shelf = Shelf::default();
    let mut list = ChunkListBuilder::new(tiny());
    (0..500).for_each(|number| list.push(chunk(number, 10), &mut shelf).unwrap());
    let Content::Tree { root, length, chunks, bytes } = list.finish(&mut shelf).unwrap() else { panic!("a tree") };
    let all = |content: Content, shelf: &Shelf| -> Result<usize> {
        let mut walk = ChunkWalk::new(source(&shelf.open()), &content);
        now(async {
            let mut count = 0;
            while walk.next().await?.is_some() {
                count += 1;
            }
            Ok(count)
        })
    };
    assert_eq!(all(Content::Tree { root, length, chunks, bytes }, &shelf).unwrap(), 500);
    for (chunks, bytes) in [(chunks + 1, bytes), (chunks, bytes - 1)] {
        let error = all(Content::Tree { root, length, chunks, bytes }, &shelf).unwrap_err();
        assert!(named(&error, root).contains("counts"));
    }
    let empty = shelf.forge(1, 0, Page::Chunks(vec![chunk(1, 5), chunk(2, 0)]));
    let error = all(Content::Tree { root: empty.id, length: 9, chunks: 2, bytes: 5 }, &shelf).unwrap_err();
    assert!(named(&error, empty.id).contains("empty chunk"));
    let mut refusals = 0;
    for (one, other) in pairs(&shelf) {
        let mut swapped = shelf.clone();
        let page = Arc::clone(&shelf.pages[&other]);
        swapped.pages.insert(one, page);
        match all(Content::Tree { root, length, chunks, bytes }, &swapped) {
            // A list has no keys: pages of as many chunks and bytes can only be told apart by their names.
            Ok(count) => assert_eq!(count, 500),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Damaged);
                refusals += 1;
            }
        }
    }
    assert!(refusals * 2 > pairs(&shelf).len(), "{refusals} refusals");
}

/// Every page with the one written a while after it.
fn pairs(shelf: &Shelf) -> Vec<(ChunkId, ChunkId)> {
    let turned = shelf.written.iter().cycle().skip(7);
    shelf
        .written
        .iter()
        .zip(turned)
        .map(|(one, other)| (one.id, other.id))
        .filter(|(one, other)| one != other)
        .collect()
}

#[test]
fn any_two_pages_swapped_are_noticed_by_every_reader() {
    let listed: Vec<Entry> = files(400);
    let mut shelf = Shelf::default();
    let root = write(tiny(), &listed, &mut shelf).expect("a root");
    let mut other = Shelf::default();
    let nothing: Option<PageRef> = write(tiny(), &[], &mut other);
    // Of the root nothing is known but its name, which the source checks.
    for (one, two) in pairs(&shelf).into_iter().filter(|(one, two)| *one != root.id && *two != root.id) {
        let mut swapped = shelf.clone();
        let (first, second): (Arc<LeveledPage>, Arc<LeveledPage>) =
            (Arc::clone(&shelf.pages[&one]), Arc::clone(&shelf.pages[&two]));
        swapped.pages.insert(one, second);
        swapped.pages.insert(two, first);
        let library = swapped.open();
        assert_eq!(walk(&library, Some(root), None).unwrap_err().kind(), Kind::Damaged);
        let mut differ = Differ::new(source(&library), Some(root), nothing);
        let error = now(async {
            loop {
                match differ.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the swap went unnoticed"),
                    Err(error) => break error,
                }
            }
        });
        assert_eq!(error.kind(), Kind::Damaged);
        for entry in listed.iter().step_by(37) {
            match now(find(source(&library), Some(root), &entry.path)) {
                Ok(found) => assert_eq!(found.as_ref(), Some(entry)),
                Err(error) => assert_eq!(error.kind(), Kind::Damaged),
            }
        }
    }
}

#[test]
fn a_walk_tries_a_page_again_after_it_could_not_be_read() {
    let listed = files(400);
    let mut shelf = Shelf::default();
    let root = write(tiny(), &listed, &mut shelf);
    let lost = shelf.written[shelf.written.len() / 2].id;
    shelf.pages.remove(&lost);
    let mut walk = crate::catalog::Walk::new(source(&shelf.open()), root);
    let error = now(async {
        loop {
            if let Err(error) = walk.next_page().await {
                break error;
            }
        }
    });
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(now(walk.next_page()).is_err(), "a failed walk does not look like a finished one");
}
