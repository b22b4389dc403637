//! What differs between two snapshots: a merge of two trees that jumps over the pages they share.

use crate::catalog::cursor::Ahead;
use crate::catalog::cursor::Cursor;
use crate::catalog::cursor::Next;
use crate::catalog::read::PageSource;
use crate::entry::Entry;
use crate::error::Result;
use crate::format::page::PageRef;
use std::cmp::Ordering;
use std::sync::Arc;

/// One path that is not the same in two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only in the later one.
    Added(Box<Entry>),
    /// Only in the earlier one.
    Removed(Box<Entry>),
    /// In both, with other metadata or other content.
    Changed {
        /// As it was.
        before: Box<Entry>,
        /// As it is.
        after: Box<Entry>,
    },
}

/// Differences in path order; at most one page per level and side in memory.
pub(crate) struct Differ {
    before: Cursor,
    after: Cursor,
}

/// What to do with the two places.
enum Step {
    End,
    OpenBefore,
    OpenAfter,
    Removed,
    Added,
    Both,
}

impl Differ {
    /// Between the catalogs with these roots, read from the same source.
    pub(crate) fn new(source: Arc<dyn PageSource>, before: Option<PageRef>, after: Option<PageRef>) -> Self {
        Self { before: Cursor::new(Arc::clone(&source), before), after: Cursor::new(source, after) }
    }

    /// The next difference; `None` at the end. After an error the same page is tried again.
    pub(crate) async fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            let step = step(self.before.peek(), self.after.peek());
            if matches!(step, Step::OpenBefore | Step::OpenAfter) && self.pass_shared() {
                continue;
            }
            match step {
                Step::End => return Ok(None),
                Step::OpenBefore => self.before.open().await?,
                Step::OpenAfter => self.after.open().await?,
                Step::Removed => return Ok(self.before.take().map(|entry| Difference::Removed(Box::new(entry)))),
                Step::Added => return Ok(self.after.take().map(|entry| Difference::Added(Box::new(entry)))),
                Step::Both => {
                    if let Some(changed) = self.take_both() {
                        return Ok(Some(changed));
                    }
                }
            }
        }
    }

    /// Passes the largest page that begins here on both sides. Both sides stand before the same entries then, so that
    /// nothing below it can differ. The page may be open on one side already: a neighbour had to be compared with it.
    fn pass_shared(&mut self) -> bool {
        let shared = self.before.begun().filter(|page| self.after.begun().any(|other| other == *page)).last();
        if let Some(page) = shared {
            self.before.pass(page);
            self.after.pass(page);
        }
        shared.is_some()
    }

    fn take_both(&mut self) -> Option<Difference> {
        let before = self.before.take()?;
        let after = self.after.take()?;
        if before.metadata == after.metadata && before.content == after.content {
            return None;
        }
        Some(Difference::Changed { before: Box::new(before), after: Box::new(after) })
    }
}

fn step(before: Option<Next<'_>>, after: Option<Next<'_>>) -> Step {
    match (before, after) {
        (None, None) => Step::End,
        (Some(Next::Entry(_)), None) => Step::Removed,
        (None, Some(Next::Entry(_))) => Step::Added,
        (Some(Next::Page(_)), None) => Step::OpenBefore,
        (None, Some(Next::Page(_))) => Step::OpenAfter,
        (Some(Next::Entry(before)), Some(Next::Entry(after))) => match before.path.cmp(&after.path) {
            Ordering::Less => Step::Removed,
            Ordering::Equal => Step::Both,
            Ordering::Greater => Step::Added,
        },
        // An entry that the page comes after needs no look into the page.
        (Some(Next::Entry(before)), Some(Next::Page(page))) => match page.after {
            Some(passed) if before.path <= *passed => Step::Removed,
            _ => Step::OpenAfter,
        },
        (Some(Next::Page(page)), Some(Next::Entry(after))) => match page.after {
            Some(passed) if after.path <= *passed => Step::Added,
            _ => Step::OpenBefore,
        },
        (Some(Next::Page(before)), Some(Next::Page(after))) => open_one(&before, &after),
    }
}

/// Two different pages: opens the one that is wholly before the other, else the higher, else the one that ends first,
/// so that the other one may still be met as a shared page.
fn open_one(before: &Ahead<'_>, after: &Ahead<'_>) -> Step {
    let ends_before = |page: &Ahead<'_>, other: &Ahead<'_>| match (page.last_path, other.after) {
        (Some(last), Some(passed)) => last <= passed,
        _ => false,
    };
    let (Some(before_level), Some(after_level)) = (before.level, after.level) else {
        return if before.level.is_none() { Step::OpenBefore } else { Step::OpenAfter };
    };
    if ends_before(before, after) {
        return Step::OpenBefore;
    }
    if ends_before(after, before) {
        return Step::OpenAfter;
    }
    match before_level.cmp(&after_level) {
        Ordering::Greater => Step::OpenBefore,
        Ordering::Less => Step::OpenAfter,
        Ordering::Equal if before.last_path <= after.last_path => Step::OpenBefore,
        Ordering::Equal => Step::OpenAfter,
    }
}
