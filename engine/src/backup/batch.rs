//! The unit of work handed to a worker: consecutive bytes, and what they belong to.

use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::event::Action;
use crate::limits::BATCH_BYTES;
use crate::limits::CHUNK_BYTES_MAX;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;

/// Bytes a batch buffer holds: a full batch and the unfinished chunk behind it.
pub(crate) const BUFFER_BYTES: usize = BATCH_BYTES + CHUNK_BYTES_MAX;

/// One item of a stream of entries; `C` is how a chunk is known at this stage.
pub(crate) enum Item<C> {
    /// The next chunk of the current entry.
    Chunk(C),
    /// The next chunks of the current entry, all of them stored already.
    Listed(Box<[ChunkRef]>),
    /// The current entry ends; its content is the chunks since the last end.
    End(Box<Ended>),
    /// An entry that needs no bytes: unchanged, or of a kind without content.
    Ready(Box<Ended>),
    /// The chunks since the last end belong to nothing.
    Retract,
    /// The next entry is open from now on: its items come in batches of the stream of this number.
    Opened(u64),
}

/// An entry at its end. For `Item::End` the content is not known yet.
pub(crate) struct Ended {
    pub(crate) entry: Entry,
    pub(crate) action: Action,
    /// What the parent has at this path, when somebody wants to compare.
    pub(crate) earlier: Option<Box<Entry>>,
}

/// A chunk as a place in the batch's buffer.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) length: usize,
}

/// Bytes and items on their way to a worker.
pub(crate) struct Batch {
    pub(crate) sequence: u64,
    /// Which of several open entries it belongs to; 0: the one after the other.
    pub(crate) stream: u64,
    pub(crate) buffer: Vec<u8>,
    pub(crate) items: Vec<Item<Span>>,
    /// Where the buffer goes back to.
    pub(crate) home: Sender<Vec<u8>>,
}

/// The same items with chunk names, on their way to the catalog.
pub(crate) struct Prepared {
    pub(crate) sequence: u64,
    pub(crate) stream: u64,
    pub(crate) items: Vec<Item<ChunkRef>>,
}

/// A fixed set of buffers that go round; taking one waits until a worker gives one back.
pub(crate) struct BufferPool {
    pub(crate) give: Sender<Vec<u8>>,
    pub(crate) take: Receiver<Vec<u8>>,
}

impl BufferPool {
    pub(crate) fn new(buffers: usize) -> Self {
        let (give, take) = crossbeam_channel::bounded(buffers);
        for _ in 0..buffers {
            // Zeroed memory comes from the system untouched: pages cost only when first used.
            if give.send(vec![0; BUFFER_BYTES]).is_err() {
                break;
            }
        }
        Self { give, take }
    }
}
