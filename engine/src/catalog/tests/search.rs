//! A search through many catalogs: what it finds is what a walk would, and pages they share are read once.

use super::shelf::Shelf;
use super::shelf::file;
use super::shelf::files;
use super::shelf::hasher;
use super::shelf::now;
use super::shelf::path;
use super::shelf::tiny;
use super::shelf::walk;
use super::shelf::write;
use crate::catalog::Found;
use crate::catalog::Gap;
use crate::catalog::PageSource;
use crate::catalog::Search;
use crate::entry::Entry;
use crate::error::Kind;
use crate::id::ChunkId;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

fn is_wanted(entry: &Entry) -> bool {
    entry.path.as_bytes().ends_with(b"7.rs")
}

/// Everything found, and the gaps passed.
fn all(mut found: Found<'_>) -> (Vec<Entry>, Vec<Gap>) {
    now(async {
        let (mut entries, mut gaps) = (Vec::new(), Vec::new());
        loop {
            match found.next().await {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => return (entries, gaps),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Damaged);
                    gaps.push(found.pass_gap().expect("it goes on behind it"));
                }
            }
        }
    })
}

/// Versions of one tree, each with some files changed, some gone and some new.
fn versions(count: u32) -> Vec<Vec<Entry>> {
    let mut now = files(3_000);
    let mut all = vec![now.clone()];
    for version in 1..count {
        let at = (version * 977 % 2_900) as usize;
        now[at] = file(now[at].path.clone(), version);
        now.remove(at + 7);
        let new = path(&format!("home/ann/project {:04}/new {version}7.rs", version * 31 % 30));
        now.insert(now.partition_point(|entry| entry.path < new), file(new, version));
        all.push(now.clone());
    }
    all.push(now);
    all
}

#[test]
fn a_search_finds_in_every_snapshot_what_a_walk_finds_and_reads_each_leaf_once() {
    for pages in [tiny, hasher] {
        let (versions, mut shelf) = (versions(12), Shelf::default());
        let roots: Vec<_> = versions.iter().map(|entries| write(pages(), entries, &mut shelf)).collect();
        let library = shelf.open();
        let mut search = Search::new(Arc::clone(&library) as Arc<dyn PageSource>, is_wanted);
        for (root, entries) in roots.iter().zip(&versions) {
            let wanted: Vec<Entry> = entries.iter().filter(|entry| is_wanted(entry)).cloned().collect();
            assert_eq!(all(search.below(*root)), (wanted, vec![]));
        }
        let is_leaf = |id: &ChunkId| library.shelf.pages.get(id).is_some_and(|page| page.level == 0);
        let read: Vec<ChunkId> = library.take_read().into_iter().filter(is_leaf).collect();
        let different: HashSet<ChunkId> = read.iter().copied().collect();
        // A page is compared anew with the one above it where what stands before it is another.
        let again = read.len() - different.len();
        assert!(again <= versions.len(), "{again} leaves were read twice");
        // Nothing was passed over either.
        assert_eq!(different, shelf.pages.iter().filter(|(_, page)| page.level == 0).map(|(id, _)| *id).collect());
    }
}

#[test]
fn what_has_nothing_is_not_looked_into_again_at_any_height() {
    let (versions, mut shelf) = (versions(6), Shelf::default());
    let roots: Vec<_> = versions.iter().map(|entries| write(tiny(), entries, &mut shelf)).collect();
    let library = shelf.open();
    let mut search = Search::new(Arc::clone(&library) as Arc<dyn PageSource>, |_| false);
    roots.iter().for_each(|root| assert_eq!(all(search.below(*root)), (vec![], vec![])));
    let mut times: HashMap<ChunkId, u32> = HashMap::new();
    library.take_read().into_iter().for_each(|id| *times.entry(id).or_default() += 1);
    // One at most on each level, where what stands before it is another.
    let again: u32 = times.values().map(|times| times - 1).sum();
    assert!(again <= 6 * 3, "{again} of {} pages were read again", times.len());
}

#[test]
fn a_page_that_cannot_be_read_is_a_gap_each_time_and_what_is_above_it_is_not_taken_for_empty() {
    let (listed, mut shelf) = (files(3_000), Shelf::default());
    let root = write(tiny(), &listed, &mut shelf);
    let whole = shelf.open();
    assert_eq!(walk(&whole, root, None).expect("read"), listed);
    let leaves: Vec<ChunkId> = whole
        .take_read()
        .into_iter()
        .filter(|id| whole.shelf.pages.get(id).is_some_and(|page| page.level == 0))
        .collect();
    shelf.pages.remove(&leaves[leaves.len() / 2]);
    let mut search = Search::new(shelf.open() as Arc<dyn PageSource>, is_wanted);
    let first = all(search.below(root));
    assert_eq!(first.1.len(), 1);
    let is_known = |entry: &&Entry| is_wanted(entry) && !first.1[0].holds(&entry.path);
    assert_eq!(first.0, listed.iter().filter(is_known).cloned().collect::<Vec<_>>());
    assert_eq!(all(search.below(root)), first);
    let mut nothing = Search::new(shelf.open() as Arc<dyn PageSource>, |_| false);
    for _ in 0..2 {
        assert_eq!(all(nothing.below(root)), (vec![], first.1.clone()));
    }
}
