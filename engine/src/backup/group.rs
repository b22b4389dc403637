//! One worker's new chunks on their way into segments and packs.

use crate::crypto::seal::DataKey;
use crate::error::Result;
use crate::index::claim::Ticket;
use crate::limits::CHUNK_BYTES_MIN;
use crate::limits::KIB;
use crate::pack::Form;
use crate::pack::Packer;
use crate::pack::Parcel;
use crate::pack::SegmentBuilder;
use crate::pack::SegmentShape;
use crate::squeeze;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// Chunks below this are not probed: they would not fill a segment of their own.
const PROBE_BYTES_MIN: usize = 16 * KIB;

/// What went through a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) chunks: u64,
    pub(crate) bytes_plain: u64,
    pub(crate) bytes_stored: u64,
    pub(crate) verifying: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes_plain += other.bytes_plain;
        self.bytes_stored += other.bytes_stored;
        self.verifying += other.verifying;
    }
}

/// One worker's open segments, and where they go.
pub(crate) struct Group {
    segments: SegmentBuilder,
    packer: Arc<Packer>,
    tally: Tally,
}

impl Group {
    pub(crate) fn new(
        store: &Arc<Store>,
        shape: SegmentShape,
        key: &Arc<DataKey>,
        packer: &Arc<Packer>,
    ) -> Result<Self> {
        let segments = SegmentBuilder::new(store, shape, key, None)?;
        Ok(Self { segments, packer: Arc::clone(packer), tally: Tally::default() })
    }

    /// Takes a new chunk. The ticket proves that nobody else packs it.
    pub(crate) fn add(&mut self, ticket: Ticket, bytes: &[u8]) -> Result<()> {
        let chunk = ticket.redeem();
        self.tally.chunks += 1;
        self.tally.bytes_plain += u64::from(chunk.length);
        let level = self.segments.level();
        let incompressible = !level.squeezes()
            || (level.probes() && bytes.len() >= PROBE_BYTES_MIN && squeeze::is_incompressible(bytes));
        let form = match (incompressible, bytes.len() >= CHUNK_BYTES_MIN) {
            (false, _) => Form::Squeezed,
            (true, false) => Form::Stored,
            (true, true) => Form::Alone,
        };
        let closed = self.segments.add(chunk, bytes, form)?;
        closed.map_or(Ok(()), |parcel| self.hand_over(parcel))
    }

    /// What went through so far.
    pub(crate) fn tally(&self) -> Tally {
        Tally { verifying: self.segments.verifying(), ..self.tally }
    }

    /// Seals what is open.
    pub(crate) fn finish(mut self) -> Result<Tally> {
        for parcel in self.segments.finish()? {
            self.hand_over(parcel)?;
        }
        Ok(self.tally())
    }

    fn hand_over(&mut self, parcel: Parcel) -> Result<()> {
        self.tally.bytes_stored += parcel.stored_bytes();
        self.packer.add(parcel)
    }
}
