//! What differs between two snapshots: a merge of two trees that jumps over the pages they share.

use crate::catalog::cursor::Ahead;
use crate::catalog::cursor::Cursor;
use crate::catalog::cursor::Next;
use crate::catalog::gap::Gap;
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
    before: Side,
    after: Side,
}

/// One of the two catalogs.
struct Side {
    cursor: Cursor,
    /// Its last gap: what the other side has there was neither added nor removed, as far as anybody knows.
    gap: Option<Gap>,
}

impl Side {
    fn new(source: Arc<dyn PageSource>, root: Option<PageRef>) -> Self {
        Self { cursor: Cursor::new(source, root), gap: None }
    }

    /// Passes the entry that stands next; `None` when it is in a gap of the `other` side.
    fn take(&mut self, other: &Self) -> Option<Box<Entry>> {
        let entry = self.cursor.take()?;
        let is_lost = other.gap.as_ref().is_some_and(|gap| gap.holds(&entry.path));
        if is_lost { None } else { Some(Box::new(entry)) }
    }

    fn pass_gap(&mut self) -> Option<Gap> {
        let gap = self.cursor.pass_gap()?;
        // The other side may still stand before the gap that this one goes on from.
        let known = self.gap.take().filter(|known| Some(&known.last) == gap.after.as_ref());
        let after = known.map_or_else(|| gap.after.clone(), |known| known.after);
        self.gap = Some(Gap { after, ..gap.clone() });
        Some(gap)
    }
}

/// Opens the page that stands next; of its siblings those are fetched meanwhile that the other side does not have.
async fn open(cursor: &mut Cursor, other: &Cursor) -> Result<()> {
    cursor.announce(|_, child| !other.has_ahead(&child.id));
    cursor.open().await
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
        Self { before: Side::new(Arc::clone(&source), before), after: Side::new(source, after) }
    }

    /// The next difference; `None` at the end. After an error the same page is tried again.
    pub(crate) async fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            let step = step(self.before.cursor.peek(), self.after.cursor.peek());
            if matches!(step, Step::OpenBefore | Step::OpenAfter) && self.pass_shared() {
                continue;
            }
            match step {
                Step::End => return Ok(None),
                Step::OpenBefore => open(&mut self.before.cursor, &self.after.cursor).await?,
                Step::OpenAfter => open(&mut self.after.cursor, &self.before.cursor).await?,
                Step::Removed => {
                    if let Some(entry) = self.before.take(&self.after) {
                        return Ok(Some(Difference::Removed(entry)));
                    }
                }
                Step::Added => {
                    if let Some(entry) = self.after.take(&self.before) {
                        return Ok(Some(Difference::Added(entry)));
                    }
                }
                Step::Both => {
                    if let Some(changed) = self.take_both() {
                        return Ok(Some(changed));
                    }
                }
            }
        }
    }

    /// Passes the page that the last call failed on, on its side; what cannot be compared for that.
    pub(crate) fn pass_gap(&mut self) -> Option<Gap> {
        self.before.pass_gap().or_else(|| self.after.pass_gap())
    }

    /// Passes the largest page that begins here on both sides. Both sides stand before the same entries then, so that
    /// nothing below it can differ. The page may be open on one side already: a neighbour had to be compared with it.
    fn pass_shared(&mut self) -> bool {
        let shared =
            self.before.cursor.begun().filter(|page| self.after.cursor.begun().any(|other| other == *page)).last();
        if let Some(page) = shared {
            self.before.cursor.pass(page);
            self.after.cursor.pass(page);
        }
        shared.is_some()
    }

    fn take_both(&mut self) -> Option<Difference> {
        let before = self.before.cursor.take()?;
        let after = self.after.cursor.take()?;
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
