//! The entries of one snapshot in order, and what differs between two.

use super::ContentReader;
use super::SnapshotView;
use crate::catalog::Differ;
use crate::catalog::Difference;
use crate::catalog::Gap;
use crate::catalog::Walk;
use crate::entry::Content;
use crate::entry::Entry;
use crate::error::Result;
use crate::limits::READ_AHEAD_BYTES;
use crate::limits::READ_AHEAD_ENTRIES;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Entries of a snapshot, in order.
pub struct Entries {
    view: SnapshotView,
    walk: Walk,
    ready: VecDeque<Entry>,
    /// Somebody reads the bytes of entries: those that come next are opened ahead.
    is_read: AtomicBool,
    /// How many of the entries that are ready were looked at for that, and the bytes they have.
    seen: usize,
    seen_bytes: u64,
    /// A page ahead could not be read: what is ready comes first.
    is_stuck: bool,
}

impl Entries {
    pub(super) fn new(view: SnapshotView, walk: Walk) -> Self {
        Self {
            view,
            walk,
            ready: VecDeque::new(),
            is_read: AtomicBool::new(false),
            seen: 0,
            seen_bytes: 0,
            is_stuck: false,
        }
    }

    /// The next entry; `None` at the end. After an error the same is tried again, unless [`Entries::pass_gap`] passes it.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        while self.ready.is_empty() {
            self.is_stuck = false;
            match self.walk.next_page().await? {
                Some(entries) => self.ready.extend(entries),
                None => return Ok(None),
            }
        }
        if *self.is_read.get_mut() {
            self.look_ahead().await;
        }
        let next = self.ready.pop_front();
        if let Some(entry) = next.as_ref().filter(|_| self.seen > 0) {
            self.seen -= 1;
            self.seen_bytes -= entry.content.bytes();
        }
        Ok(next)
    }

    /// Goes on behind what the last call of [`Entries::next`] could not read, and tells what is lost with it. `None`
    /// when it cannot go on: the backend does not answer, or nothing of the snapshot can be read.
    pub fn pass_gap(&mut self) -> Option<Gap> {
        self.walk.pass_gap()
    }

    /// The bytes of one of these entries. When those of one were asked for, those of the next ones are made ready.
    pub fn open(&self, entry: &Entry) -> ContentReader {
        self.is_read.store(true, Ordering::Relaxed);
        self.view.open(entry)
    }

    /// Has segments opened that the entries behind this one will want. What goes wrong is met when they are asked for.
    async fn look_ahead(&mut self) {
        while self.seen_bytes < READ_AHEAD_BYTES {
            let Some(entry) = self.ready.get(self.seen) else {
                if self.is_stuck || self.ready.len() >= READ_AHEAD_ENTRIES {
                    return;
                }
                match self.walk.next_page().await {
                    Ok(Some(entries)) => self.ready.extend(entries),
                    Ok(None) => return,
                    Err(_) => self.is_stuck = true,
                }
                continue;
            };
            // A longer list has its own reader look ahead.
            if let Content::Inline(chunks) = &entry.content {
                chunks.iter().for_each(|chunk| self.view.all().chunks().ahead(&chunk.id));
            }
            self.seen += 1;
            self.seen_bytes = self.seen_bytes.saturating_add(entry.content.bytes());
        }
    }
}

/// What differs between two snapshots, in order.
pub struct Differences {
    pub(super) differ: Differ,
}

impl Differences {
    /// The next difference; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Difference>> {
        self.differ.next().await
    }

    /// Goes on behind what the last call could not read, as [`Entries::pass_gap`] does; what is lost on one side is not
    /// told as added or removed on the other.
    pub fn pass_gap(&mut self) -> Option<Gap> {
        self.differ.pass_gap()
    }
}
