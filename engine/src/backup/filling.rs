//! A buffer that a source fills, and the chunks that are cut from it on the way.

use super::batch::Item;
use super::batch::Span;
use super::cut::Cutter;
use crate::limits::MIB;

/// Bytes lent to a source at once: what is read is cut while it is still in the cache.
const LEND_BYTES: usize = MIB;

/// What was read and not yet shipped.
#[derive(Default)]
pub(crate) struct Filling {
    buffer: Vec<u8>,
    /// Bytes of the buffer in use, and where the chunk being read begins.
    filled: usize,
    chunk_start: usize,
    items: Vec<Item<Span>>,
}

/// A place to come back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    items: usize,
    filled: usize,
}

impl Filling {
    /// Whether there is a buffer.
    pub(crate) fn has_buffer(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Takes a buffer to be filled; the first one, or the next where none is.
    pub(crate) fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// Nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.filled == 0
    }

    /// No byte more fits.
    pub(crate) fn is_full(&self) -> bool {
        self.has_buffer() && self.filled >= self.buffer.len()
    }

    /// Bytes that were cut.
    pub(crate) fn cut_bytes(&self) -> usize {
        self.chunk_start
    }

    /// How many items there are.
    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    /// Room for more bytes.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        let end = self.buffer.len().min(self.filled + LEND_BYTES);
        self.buffer.get_mut(self.filled..end)
    }

    /// Takes what was put into the room, and cuts every chunk whose end is certain; false if it was more than the room.
    pub(crate) fn fill(&mut self, count: usize, cutter: &Cutter) -> bool {
        if count > LEND_BYTES || self.filled + count > self.buffer.len() {
            return false;
        }
        self.filled += count;
        while self.filled - self.chunk_start >= cutter.most() && self.cut_one(cutter) {}
        true
    }

    /// Cuts what is left: the entry ends here.
    pub(crate) fn cut_rest(&mut self, cutter: &Cutter) {
        while self.filled > self.chunk_start && self.cut_one(cutter) {}
    }

    /// Cuts the next chunk; false where there are no bytes, as no chunk is empty.
    fn cut_one(&mut self, cutter: &Cutter) -> bool {
        let bytes = self.buffer.get(self.chunk_start..self.filled).unwrap_or_default();
        let length = cutter.cut(bytes);
        if length == 0 {
            return false;
        }
        self.items.push(Item::Chunk(Span { start: self.chunk_start, length }));
        self.chunk_start += length;
        true
    }

    pub(crate) fn push(&mut self, item: Item<Span>) {
        self.items.push(item);
    }

    /// Where it stands now.
    pub(crate) fn mark(&self) -> Mark {
        Mark { items: self.items.len(), filled: self.filled }
    }

    /// Forgets everything since a mark.
    pub(crate) fn go_back(&mut self, mark: Mark) {
        self.items.truncate(mark.items);
        self.filled = mark.filled;
        self.chunk_start = self.filled;
    }

    /// Forgets the bytes that were not cut.
    pub(crate) fn forget_rest(&mut self) {
        self.filled = self.chunk_start;
    }

    /// Bytes that were not cut, which go to the next buffer.
    pub(crate) fn rest(&self) -> &[u8] {
        self.buffer.get(self.chunk_start..self.filled).unwrap_or_default()
    }

    /// Takes out what is to be shipped, and goes on in `next` with `rest`.
    pub(crate) fn take(&mut self, next: Vec<u8>, rest: usize) -> (Vec<u8>, Vec<Item<Span>>) {
        (self.filled, self.chunk_start) = (rest, 0);
        (std::mem::replace(&mut self.buffer, next), std::mem::take(&mut self.items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_buffer_has_gone_nothing_is_cut() {
        let cutter = Cutter::BySize(4);
        let mut filling = Filling::default();
        filling.give_buffer(vec![0; 10]);
        assert!(filling.fill(10, &cutter));
        assert_eq!((filling.count(), filling.rest().len()), (2, 2));
        // As a stream does that waits for its buffer, and waits in vain.
        drop(filling.take(Vec::new(), 2));
        filling.cut_rest(&cutter);
        assert_eq!(filling.count(), 0);
    }
}
