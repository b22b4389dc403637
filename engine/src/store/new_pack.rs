//! A pack to be stored: its sealed table, segments, padding and trailer, named by the hash of them all.

use super::Store;
use crate::backend::Name;
use crate::backend::Payload;
use crate::crypto::name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexedPack;
use crate::format::pack;
use crate::format::pack::OwnTable;
use crate::format::wire::length_u32;
use crate::id::PackId;
use bytes::Bytes;

/// A pack's bytes in parts, and what an index object will say of it.
pub(crate) struct NewPack {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) indexed: IndexedPack,
}

impl Store {
    /// Lays out a pack of sealed `segments`, which `own` describes in the same order; their places are set here.
    pub(crate) fn lay_out_pack(&self, own: OwnTable, segments: Vec<Bytes>) -> Result<NewPack> {
        let front = self.seal_table(&own)?;
        let mut table = own.table;
        let too_long = |cause| Error::new(Kind::Bug, "a pack is too long").because(cause);
        table.place_segments(length_u32(front.len())).map_err(too_long)?;
        let stored_bytes: usize = segments.iter().map(Bytes::len).sum();
        let used = front.len() + stored_bytes + pack::TRAILER_BYTES;
        let length = pack::padded_length(used);
        let mut parts = segments;
        parts.insert(0, Bytes::from(front));
        let mut tail = vec![0; length - used];
        let trailer = pack::trailer_encode(parts.iter().map(Bytes::as_ref).chain(std::iter::once(tail.as_slice())));
        tail.extend_from_slice(&trailer);
        parts.push(Bytes::from(tail));
        let id = PackId::from_bytes(name::object_hash(parts.iter().map(AsRef::as_ref)));
        Ok(NewPack { parts, indexed: IndexedPack { pack: id, length: length_u32(length), table } })
    }

    /// Stores a pack; it is durable after the next barrier.
    pub(crate) async fn put_pack(&self, id: PackId, length: u32, parts: Vec<Bytes>) -> Result<()> {
        let name = Name::Pack(id);
        match self.backend.put(&name, Payload::from(parts)).await {
            // The name is the hash of the bytes: whatever stands there already is this pack, if its length is right.
            Err(error) if error.kind() == Kind::Conflict => match self.backend.stat(&name).await? {
                Some(there) if there.length == u64::from(length) => Ok(()),
                _ => Err(error),
            },
            other => other,
        }
    }
}
