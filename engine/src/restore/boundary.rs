//! What a restore needs from the rest of the engine, as traits: entries, chunk lists and stored segments.

use crate::catalog::Gap;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::error::Result;
use crate::id::ChunkId;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// A boxed future, so that the traits here can be made into objects.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Where one copy of a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The store's number of the pack.
    pub(crate) pack: u32,
    /// The segment's place in the pack's table.
    pub(crate) segment: u16,
    /// Where the chunk begins in the segment's plaintext.
    pub(crate) offset: u32,
    /// The chunk's length in bytes.
    pub(crate) length: u32,
    /// Where the stored bytes that [`SegmentDecode::decode`] wants begin in the pack.
    pub(crate) stored_offset: u64,
    /// How many stored bytes it wants.
    pub(crate) stored_length: u32,
}

/// The repository as a restore sees it.
pub(crate) trait SegmentStore: Send + Sync + 'static {
    /// Where copy number `copy` (0: the preferred one) of a chunk is; `None` when there are not so many.
    /// An error ends the job: it says nothing about the chunk.
    fn locate(&self, id: &ChunkId, copy: usize) -> Result<Option<Located>>;

    /// Exactly `length` bytes of a pack, and whatever else `decode` needs for that pack (its data keys) made ready.
    /// `Damaged`, `NotFound` and `Unsupported` fail the chunks concerned; any other kind ends the job.
    fn fetch<'a>(&'a self, pack: u32, offset: u64, length: u64) -> Later<'a, Bytes>;

    /// A decoder for one worker thread.
    fn decoder(&self) -> Box<dyn SegmentDecode>;

    /// True when `bytes` are the chunk of that name.
    fn verify(&self, id: &ChunkId, bytes: &[u8]) -> bool;
}

/// Opens and unsqueezes segments; one for each worker thread.
pub(crate) trait SegmentDecode: Send {
    /// The plaintext of one segment, from the stored bytes its [`Located`] asked for.
    fn decode(&mut self, pack: u32, segment: u16, stored: &[u8]) -> Result<&[u8]>;
}

/// The next stretch of a snapshot's entries.
pub(crate) enum EntryPage {
    /// Entries, in path order.
    Entries(Vec<Entry>),
    /// It cannot be read, and why in one line; the walk goes on behind it.
    Lost(Gap, String),
}

/// The entries of a snapshot in path order, a page at a time.
pub(crate) trait EntryStream: Send + 'static {
    /// The next entries; `None` at the end. An error is none that the next page would not meet as well.
    fn next_page(&mut self) -> Later<'_, Option<EntryPage>>;
}

/// Opens the chunk lists that are too long to stand in their entry.
pub(crate) trait ChunkLists: Send + Sync + 'static {
    /// The chunks of a [`Content::Tree`] in order.
    fn list(&self, content: &Content) -> Box<dyn ChunkList>;
}

/// One long chunk list, a page at a time.
pub(crate) trait ChunkList: Send {
    /// The next chunks; `None` at the end. `Damaged`, `NotFound` and `Unsupported` fail this content only.
    fn next_page(&mut self) -> Later<'_, Option<Vec<ChunkRef>>>;
}
