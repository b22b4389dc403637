//! The bytes of one entry in order, from any place on; what comes next is opened ahead.

use super::RepositoryView;
use super::holes::Holes;
use super::holes::Stretch;
use crate::catalog::ChunkWalk;
use crate::catalog::PlacedChunk;
use crate::entry::Content;
use crate::entry::Entry;
use crate::error::Result;
use crate::limits::MIB;
use crate::limits::READ_AHEAD_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is read, and through what.
pub(super) struct Origin {
    pub(super) view: RepositoryView,
    pub(super) holes: Holes,
    content: Content,
}

impl Origin {
    pub(super) fn new(view: &RepositoryView, entry: &Entry) -> Self {
        Self { view: view.clone(), holes: Holes::of(entry), content: entry.content.clone() }
    }
}

/// Pieces in order, holes filled with zeros.
pub(super) struct Sequence {
    origin: Arc<Origin>,
    chunks: ChunkWalk,
    /// Chunks whose segments are opened ahead, in order.
    ahead: VecDeque<PlacedChunk>,
    /// Bytes in them.
    ahead_bytes: u64,
    /// It is known that what comes next is wanted, up to this byte of the content. `None`: not before a piece was read.
    wanted: Option<u64>,
    /// The byte of the file that comes next.
    at: u64,
    /// What comes before this byte of the content is left out.
    from: u64,
    left_over: Bytes,
}

impl Sequence {
    /// From a byte of the file to its end. More than the first piece may never be asked for.
    pub(super) fn from(origin: &Arc<Origin>, offset: u64) -> Self {
        let mut chunks = ChunkWalk::new(Arc::clone(origin.view.pages()), &origin.content);
        let from = origin.holes.in_content(offset);
        chunks.seek(from);
        chunks.until(from.saturating_add(1));
        Self {
            origin: Arc::clone(origin),
            chunks,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            wanted: None,
            at: offset,
            from,
            left_over: Bytes::new(),
        }
    }

    /// The same for whoever will ask for all up to the byte `end` of the file, and for nothing behind it.
    pub(super) fn between(origin: &Arc<Origin>, offset: u64, end: u64) -> Self {
        let mut this = Self::from(origin, offset);
        let wanted = origin.holes.in_content(end);
        this.chunks.until(wanted);
        Self { wanted: Some(wanted), ..this }
    }

    /// The next bytes, never empty; `None` at the end. Every chunk is verified before any of it is given. After an error
    /// the same is tried again.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let limit = match self.origin.holes.stretch(self.at) {
            Stretch::End => return Ok(None),
            Stretch::Zeros(length) => {
                let zeros = usize::try_from(length).unwrap_or(MIB).min(MIB);
                return Ok(Some(self.passed(Bytes::from(vec![0; zeros]))));
            }
            Stretch::Data(length) => usize::try_from(length).unwrap_or(usize::MAX),
        };
        if self.left_over.is_empty() {
            let Some(placed) = self.next_chunk().await? else { return Ok(None) };
            let bytes = match self.origin.view.chunks().chunk(&placed.chunk.id).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.ahead.push_front(placed);
                    self.ahead_bytes += u64::from(placed.chunk.length);
                    return Err(error);
                }
            };
            let skip = usize::try_from(self.from.saturating_sub(placed.offset)).unwrap_or(usize::MAX);
            self.left_over = bytes.slice(skip.min(bytes.len())..);
        }
        let piece = self.left_over.split_to(self.left_over.len().min(limit));
        Ok(Some(self.passed(piece)))
    }

    fn passed(&mut self, piece: Bytes) -> Bytes {
        self.at = self.at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        piece
    }

    /// The next chunk; the segments of those behind it are opened meanwhile, once it is known that they are wanted.
    async fn next_chunk(&mut self) -> Result<Option<PlacedChunk>> {
        let Some(wanted) = self.wanted else {
            let first = self.chunks.next().await;
            self.wanted = Some(u64::MAX);
            self.chunks.until(u64::MAX);
            return first;
        };
        while self.ahead_bytes < READ_AHEAD_BYTES {
            let is_enough = self.ahead.back().is_some_and(|last| end(last) >= wanted);
            match if is_enough { Ok(None) } else { self.chunks.next().await } {
                Ok(Some(placed)) => {
                    self.origin.view.chunks().ahead(&placed.chunk.id);
                    self.ahead_bytes += u64::from(placed.chunk.length);
                    self.ahead.push_back(placed);
                }
                Ok(None) => break,
                // What comes before it is given first; then the same is tried again.
                Err(error) if self.ahead.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        let next = self.ahead.pop_front();
        self.ahead_bytes -= next.map_or(0, |placed| u64::from(placed.chunk.length));
        Ok(next)
    }
}

fn end(placed: &PlacedChunk) -> u64 {
    placed.offset.saturating_add(u64::from(placed.chunk.length))
}
