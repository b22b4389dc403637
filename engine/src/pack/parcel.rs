//! One sealed segment on its way into a pack. Plain bytes cannot get here.

use crate::crypto::seal::Place;
use crate::crypto::seal::SealedSegment;
use crate::entry::ChunkRef;
use crate::format::pack::SegmentRecord;
use crate::id::DataKeyId;
use crate::store::StoredSegment;
use bytes::Bytes;

/// A sealed segment, what is in it, and what opens it.
pub(crate) struct Parcel {
    pub(super) stored: Bytes,
    pub(super) plain_length: u32,
    pub(super) compression: u8,
    pub(super) key: WrappedKey,
    pub(super) place: Place,
    pub(super) chunks: Vec<ChunkRef>,
}

/// A data key's name and its stored form: a pack needs no other object.
pub(super) struct WrappedKey {
    pub(super) id: DataKeyId,
    pub(super) wrapped: Bytes,
}

impl Parcel {
    /// A segment that was sealed just now, with a key of this stored form.
    pub(super) fn sealed(sealed: SealedSegment, wrapped: Bytes, chunks: Vec<ChunkRef>) -> Self {
        let head = sealed.head();
        Self {
            plain_length: head.plain_length,
            compression: head.compression,
            key: WrappedKey { id: sealed.data_key(), wrapped },
            place: sealed.place(),
            stored: Bytes::from(sealed.into_bytes()),
            chunks,
        }
    }

    /// Bytes that it takes in a pack.
    pub(crate) fn stored_bytes(&self) -> u64 {
        u64::try_from(self.stored.len()).unwrap_or(u64::MAX)
    }

    /// A segment of another pack as it stands there, unopened; `wrapped` is the stored form of its key, and `stored` are
    /// its bytes.
    pub(crate) fn copied(from: &StoredSegment, record: &SegmentRecord, wrapped: Vec<u8>, stored: Bytes) -> Self {
        Self {
            stored,
            plain_length: record.plain_length,
            compression: record.compression,
            key: WrappedKey { id: *from.key(), wrapped: Bytes::from(wrapped) },
            place: from.place(),
            chunks: record.chunks.clone(),
        }
    }
}
