//! The worker's stage: names every chunk of a batch, claims it, and hands new ones to the open segment.

use super::batch::Batch;
use super::batch::Item;
use super::batch::Prepared;
use super::batch::Span;
use super::group::Group;
use super::halt::Halt;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::index::claim::Claim;
use crate::index::claim::Claims;
use crate::job::Control;
use crate::store::Store;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::sync::Arc;

/// One worker, on a thread of its own.
pub(crate) struct Worker {
    pub(crate) control: Control,
    pub(crate) halt: Arc<Halt>,
    pub(crate) store: Arc<Store>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) group: Group,
    pub(crate) batches: Receiver<Batch>,
    pub(crate) prepared: Sender<Prepared>,
}

impl Worker {
    /// Works until the batches end or the job halts; gives back the group's tally.
    pub(crate) fn run(mut self) -> Result<super::group::Tally> {
        while let Ok(batch) = self.batches.recv() {
            if self.halt.check_storing(&self.control).is_err() {
                return Ok(self.group.tally());
            }
            let Batch { sequence, stream, buffer, items, home } = batch;
            let mut prepared = Vec::with_capacity(items.len());
            for item in items {
                prepared.push(match item {
                    Item::Chunk(span) => Item::Chunk(self.prepare(&buffer, span)?),
                    Item::End(ended) => Item::End(ended),
                    Item::Ready(ended) => Item::Ready(ended),
                    Item::Retract => Item::Retract,
                    Item::Listed(chunks) => Item::Listed(chunks),
                    Item::Opened(stream) => Item::Opened(stream),
                });
            }
            if !buffer.is_empty() {
                // Nobody takes buffers any more once the source has ended: then this one is simply dropped.
                let _ = home.send(buffer);
            }
            if self.prepared.send(Prepared { sequence, stream, items: prepared }).is_err() {
                break;
            }
        }
        if self.halt.is_storing() { self.group.finish() } else { Ok(self.group.tally()) }
    }

    fn prepare(&mut self, buffer: &[u8], span: Span) -> Result<ChunkRef> {
        let bytes = buffer
            .get(span.start..span.start + span.length)
            .ok_or_else(|| Error::new(Kind::Bug, "a chunk reaches past its buffer"))?;
        let id = self.store.names(Class::Data).name(bytes);
        let length = u32::try_from(span.length).map_err(|_| Error::new(Kind::Bug, "a chunk is too long"))?;
        let chunk = ChunkRef { id, length };
        if let Claim::New(ticket) = self.claims.claim(&id, length)? {
            self.group.add(ticket, bytes)?;
        }
        Ok(chunk)
    }
}
