//! Promises about pages that cannot be read: only what is below them is lost, and it is told which paths that are.

use super::shelf::Shelf;
use super::shelf::file;
use super::shelf::files;
use super::shelf::now;
use super::shelf::path;
use super::shelf::tiny;
use super::shelf::write;
use crate::catalog::Differ;
use crate::catalog::Difference;
use crate::catalog::Gap;
use crate::catalog::PageFuture;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::catalog::read::LeveledPage;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::Page;
use crate::format::page::PageRef;
use std::sync::Arc;

/// Everything a walk gives, going on behind gaps; `Err` when it cannot.
fn walk(shelf: &Shelf, root: PageRef, below: Option<&EntryPath>) -> Result<(Vec<Entry>, Vec<Gap>)> {
    let mut walk = Walk::new(shelf.open(), Some(root));
    if let Some(below) = below {
        walk = walk.below(below.clone());
    }
    let (mut entries, mut gaps) = (Vec::new(), Vec::new());
    now(async {
        loop {
            match walk.next_page().await {
                Ok(Some(page)) => entries.extend(page),
                Ok(None) => return Ok((entries, gaps)),
                Err(error) => gaps.push(walk.pass_gap().ok_or(error)?),
            }
        }
    })
}

/// Every difference, going on behind gaps.
fn diff(shelf: &Shelf, before: PageRef, after: PageRef) -> Result<(Vec<Difference>, Vec<Gap>)> {
    let mut differ = Differ::new(shelf.open(), Some(before), Some(after));
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    now(async {
        loop {
            match differ.next().await {
                Ok(Some(difference)) => found.push(difference),
                Ok(None) => return Ok((found, gaps)),
                Err(error) => gaps.push(differ.pass_gap().ok_or(error)?),
            }
        }
    })
}

fn path_of(difference: &Difference) -> &EntryPath {
    match difference {
        Difference::Added(entry) | Difference::Removed(entry) => &entry.path,
        Difference::Changed { after, .. } => &after.path,
    }
}

#[test]
fn a_lost_page_costs_what_is_below_it_and_names_it() {
    let listed = files(400);
    let mut shelf = Shelf::default();
    let root = write(tiny(), &listed, &mut shelf).expect("a root");
    let mut inner = 0;
    for page in shelf.written.clone() {
        let mut hurt = shelf.clone();
        let lost = hurt.pages.remove(&page.id).expect("it was there");
        if page == root {
            assert_eq!(walk(&hurt, root, None).expect_err("nothing is left").kind(), Kind::Damaged);
            continue;
        }
        inner += usize::from(matches!(lost.page, Page::EntriesInner(_)));
        let (entries, gaps) = walk(&hurt, root, None).expect("the rest");
        let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
        let (held, others): (Vec<_>, Vec<_>) = listed.iter().cloned().partition(|entry| gap.holds(&entry.path));
        assert_eq!((entries, gap.entries), (others, held.len() as u64));
        assert_eq!(held.last().map(|entry| &entry.path), Some(&gap.last));
    }
    assert!(inner > 0, "the tree is too low to lose inner pages");
}

#[test]
fn neighbours_that_are_lost_and_all_but_one_leave_the_rest() {
    let listed = files(400);
    let mut shelf = Shelf::default();
    let root = write(tiny(), &listed, &mut shelf).expect("a root");
    let leaves: Vec<PageRef> =
        shelf.written.iter().copied().filter(|page| matches!(shelf.pages[&page.id].page, Page::Entries(_))).collect();
    for kept in 0..leaves.len() {
        let mut hurt = shelf.clone();
        for (_, page) in leaves.iter().enumerate().filter(|(at, _)| *at != kept) {
            hurt.pages.remove(&page.id);
        }
        let (entries, gaps) = walk(&hurt, root, None).expect("the rest");
        assert_eq!(gaps.len(), leaves.len() - 1);
        assert_eq!(entries.len() as u64 + gaps.iter().map(|gap| gap.entries).sum::<u64>(), 400);
        assert!(entries.iter().all(|entry| listed.contains(entry) && !gaps.iter().any(|gap| gap.holds(&entry.path))));
    }
}

#[test]
fn a_part_meets_only_the_gaps_on_its_way() {
    let listed = files(400);
    let mut shelf = Shelf::default();
    let root = write(tiny(), &listed, &mut shelf).expect("a root");
    let part = path("home/ann/project 0002");
    let whole: Vec<Entry> = listed.iter().filter(|entry| entry.path.is_within(&part)).cloned().collect();
    let mut met = 0;
    for page in shelf.written.clone().into_iter().filter(|page| *page != root) {
        let mut hurt = shelf.clone();
        hurt.pages.remove(&page.id);
        let (entries, gaps) = walk(&hurt, root, Some(&part)).expect("the rest");
        let left: Vec<Entry> =
            whole.iter().filter(|entry| !gaps.iter().any(|gap| gap.holds(&entry.path))).cloned().collect();
        let inside: Vec<Entry> = entries.into_iter().filter(|entry| entry.path.is_within(&part)).collect();
        assert_eq!(inside, left);
        met += gaps.len();
    }
    assert!(met > 0 && met < shelf.written.len() / 2, "{met} gaps");
}

#[test]
fn what_is_lost_on_one_side_is_neither_added_nor_removed() {
    let before = files(300);
    let mut after: Vec<Entry> = before.iter().filter(|entry| !entry.path.name().ends_with(b"7.rs")).cloned().collect();
    for number in (0..300).step_by(9) {
        after.push(file(path(&format!("home/ann/project {:04}/source/new {number}", number / 100)), 1));
    }
    after.sort_by(|a, b| a.path.cmp(&b.path));
    let mut shelf = Shelf::default();
    let old = write(tiny(), &before, &mut shelf).expect("a root");
    let new = write(tiny(), &after, &mut shelf).expect("a root");
    let (all, none) = diff(&shelf, old, new).expect("all");
    assert!(all.len() > 50 && none.is_empty());
    let pages: Vec<PageRef> = shelf.written.iter().copied().filter(|page| *page != old && *page != new).collect();
    for (at, page) in pages.iter().enumerate() {
        for other in [at, at + 1, at + 5, pages.len() / 2] {
            let mut hurt = shelf.clone();
            hurt.pages.remove(&page.id);
            hurt.pages.remove(&pages[other % pages.len()].id);
            let (found, gaps) = diff(&hurt, old, new).expect("the rest");
            let left: Vec<Difference> =
                all.iter().filter(|one| !gaps.iter().any(|gap| gap.holds(path_of(one)))).cloned().collect();
            assert_eq!(found, left, "without {page:?}");
        }
    }
}

/// Readable but for one page, for which nothing answers.
struct Silent(Arc<super::shelf::Library>, PageRef);

impl PageSource for Silent {
    fn page<'a>(&'a self, page: PageRef) -> PageFuture<'a> {
        if page == self.1 {
            return Box::pin(async { Err::<Arc<LeveledPage>, _>(Error::new(Kind::BackendBusy, "nobody answers")) });
        }
        self.0.page(page)
    }

    fn prefetch(&self, _: &[PageRef]) {}
}

#[test]
fn a_backend_that_does_not_answer_is_no_gap() {
    let mut shelf = Shelf::default();
    let root = write(tiny(), &files(400), &mut shelf);
    let silent = shelf.written[shelf.written.len() / 2];
    let mut walk = Walk::new(Arc::new(Silent(shelf.open(), silent)), root);
    let error = now(async {
        loop {
            if let Err(error) = walk.next_page().await {
                break error;
            }
            assert_eq!(walk.pass_gap(), None, "nothing is wrong yet");
        }
    });
    assert_eq!((error.kind(), walk.pass_gap()), (Kind::BackendBusy, None));
}

#[test]
fn a_gap_is_told_in_one_line_whatever_the_names() {
    let gap = Gap { after: Some(path("a\nb")), last: path("c\u{1b}[2J"), entries: 1 };
    assert_eq!(gap.to_string(), r#"1 entry after "a\nb" up to "c\u{1b}[2J""#);
}
