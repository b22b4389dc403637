//! Entries that are open at once: whose turn it is in the catalog, and what has ended before its turn came.
//!
//! Only finished entries wait here. Their chunk lists do not: each entry that is open builds its own, and the pages of it
//! leave as they fill.

use super::aside::Aside;
use crate::catalog::ChunkListBuilder;
use crate::entry::Entry;
use crate::entry::FileKind;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::limits::WAITING_ENTRIES_BYTES;
use std::collections::HashMap;
use std::collections::VecDeque;

/// What a waiting entry takes in memory besides what it is stored as, about.
const ENTRY_BYTES: usize = 400;

/// The entries from the first one that is open on, in the order of their paths.
pub(crate) struct Turns {
    queue: VecDeque<Turn>,
    /// Entries that have left the queue: the number of its first one.
    passed: u64,
    open: HashMap<u64, Open>,
    aside: Aside,
    /// Bytes that finished entries in the queue take in memory, about.
    waiting: usize,
}

/// An entry that is open.
struct Open {
    /// Its number in the queue.
    place: u64,
    chunks: ChunkListBuilder,
}

enum Turn {
    Open,
    Done(Box<Finished>),
    /// So many entries, this one first, in a page that was put aside.
    Aside(u64),
    /// It was retracted, or is in the page put aside before it.
    Gone,
}

/// An entry whose content is known.
pub(crate) struct Finished {
    pub(crate) entry: Entry,
    /// Its bytes were read in this run.
    pub(crate) is_read: bool,
}

impl Turns {
    /// Nothing is open.
    pub(crate) fn new(aside: Aside) -> Self {
        Self { queue: VecDeque::new(), passed: 0, open: HashMap::new(), aside, waiting: 0 }
    }

    /// Nothing waits, and nothing is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next entry is open from now on, and has no chunks yet.
    pub(crate) fn open(&mut self, stream: u64, chunks: ChunkListBuilder) {
        self.open.insert(stream, Open { place: self.passed + self.queue.len() as u64, chunks });
        self.queue.push_back(Turn::Open);
    }

    /// The chunks of an entry that is open.
    pub(crate) fn chunks(&mut self, stream: u64) -> Result<&mut ChunkListBuilder> {
        self.open.get_mut(&stream).map(|open| &mut open.chunks).ok_or_else(unknown)
    }

    /// Takes an entry that is open for ended: its chunks, and where it stands.
    pub(crate) fn close(&mut self, stream: u64) -> Result<(ChunkListBuilder, u64)> {
        self.open.remove(&stream).map(|open| (open.chunks, open.place)).ok_or_else(unknown)
    }

    /// The entry that was open at this place is finished, or was retracted.
    pub(crate) fn settle(&mut self, place: u64, finished: Option<Finished>) -> Result<()> {
        let turn = match finished {
            Some(finished) => self.done(finished),
            None => Turn::Gone,
        };
        let at = place.checked_sub(self.passed).and_then(|at| usize::try_from(at).ok());
        *at.and_then(|at| self.queue.get_mut(at)).ok_or_else(unknown)? = turn;
        self.put_aside();
        Ok(())
    }

    /// A finished entry behind all that is open.
    pub(crate) fn push(&mut self, finished: Finished) {
        let turn = self.done(finished);
        self.queue.push_back(turn);
        self.put_aside();
    }

    /// Whether the first one waits for nothing any more.
    pub(crate) fn has_next(&self) -> bool {
        self.queue.front().is_some_and(|turn| !matches!(turn, Turn::Open))
    }

    /// Takes the first one out of the queue: no entry, one, or a page of them.
    pub(crate) fn next(&mut self) -> Result<Vec<Finished>> {
        let turn = self.queue.pop_front();
        self.passed += 1;
        match turn {
            Some(Turn::Done(finished)) => {
                self.waiting = self.waiting.saturating_sub(bytes_of(&finished));
                Ok(vec![*finished])
            }
            Some(Turn::Aside(page)) => {
                let entries = self.aside.take(page)?;
                Ok(entries.into_iter().map(|entry| Finished { entry, is_read: false }).collect())
            }
            Some(Turn::Open | Turn::Gone) | None => Ok(Vec::new()),
        }
    }

    fn done(&mut self, finished: Finished) -> Turn {
        self.waiting += bytes_of(&finished);
        Turn::Done(Box::new(finished))
    }

    /// Where too much waits, puts what it can aside: neighbours together.
    fn put_aside(&mut self) {
        if self.waiting < WAITING_ENTRIES_BYTES {
            return;
        }
        for at in 0..self.queue.len() {
            if !matches!(self.queue.get(at), Some(Turn::Done(_))) {
                continue;
            }
            let run = self.queue.range(at..).map_while(|turn| match turn {
                Turn::Done(finished) => Some(&finished.entry),
                _ => None,
            });
            let Some((page, count)) = self.aside.put(run) else { continue };
            for (number, turn) in self.queue.range_mut(at..at + count).enumerate() {
                if let Turn::Done(finished) = turn {
                    self.waiting = self.waiting.saturating_sub(bytes_of(finished));
                }
                *turn = if number == 0 { Turn::Aside(page) } else { Turn::Gone };
            }
        }
        if self.waiting >= WAITING_ENTRIES_BYTES {
            // There is no place for it: it stays, and is not looked through again for every entry that comes.
            self.waiting = 0;
        }
    }
}

fn bytes_of(finished: &Finished) -> usize {
    let Entry { path, metadata, warnings, change_token, .. } = &finished.entry;
    let texts = warnings.iter().map(String::len).sum::<usize>() + path.as_bytes().len() + metadata.user.len();
    let xattrs = metadata.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum::<usize>();
    let chunks = match &finished.entry.content {
        crate::entry::Content::Inline(chunks) => std::mem::size_of_val(chunks.as_slice()),
        _ => 0,
    };
    let extents = metadata.extents.as_deref().map_or(0, std::mem::size_of_val);
    let target = match &metadata.kind {
        FileKind::Symlink { target } => target.len(),
        _ => 0,
    };
    let token = change_token.as_ref().map_or(0, Vec::len);
    ENTRY_BYTES + texts + metadata.group.len() + xattrs + chunks + extents + target + token
}

fn unknown() -> Error {
    Error::new(Kind::Bug, "an entry was ended that is not open")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Content;
    use crate::entry::EntryPath;
    use crate::entry::Extent;
    use crate::entry::Metadata;

    #[test]
    fn all_that_an_entry_takes_while_it_waits_is_counted() {
        let plain = Entry::new(EntryPath::parse(b"a").expect("a path"), Metadata::new(FileKind::File), Content::Empty);
        let bytes = |entry: Entry| bytes_of(&Finished { entry, is_read: true });
        let (mut sparse, mut link, mut token) = (plain.clone(), plain.clone(), plain.clone());
        sparse.metadata.extents = Some(vec![Extent { offset: 0, length: 1 }; 1000]);
        link.metadata.kind = FileKind::Symlink { target: vec![b'x'; 1000] };
        token.change_token = Some(vec![7; 1000]);
        let least = bytes(plain);
        assert_eq!([sparse, link, token].map(|entry| bytes(entry) - least), [16_000, 1000, 1000]);
    }
}
