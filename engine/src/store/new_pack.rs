//! A pack to be stored: its sealed table, segments, padding and trailer, named by the hash of them all.

use super::OnFull;
use super::Store;
use crate::backend::Name;
use crate::backend::Payload;
use crate::crypto::name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::format::pack;
use crate::format::pack::OwnTable;
use crate::format::wire::length_u32;
use crate::id::IndexId;
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

    /// Stores a pack. It is durable after the next barrier. Its parts are given back, for their memory.
    pub(crate) async fn put_pack(&self, pack: NewPack, on_full: OnFull) -> Result<(StoredPack, Vec<Bytes>)> {
        let NewPack { parts, indexed } = pack;
        on_full.put(self, || self.put_parts(&indexed, parts.clone())).await?;
        Ok((StoredPack(indexed), parts))
    }

    async fn put_parts(&self, indexed: &IndexedPack, parts: Vec<Bytes>) -> Result<()> {
        let name = Name::Pack(indexed.pack);
        match self.backend.put(&name, Payload::from(parts)).await {
            // The name is the hash of the bytes: whatever stands there already is this pack, if its length is right.
            Err(error) if error.kind() == Kind::Conflict => match self.backend.stat(&name).await? {
                Some(there) if there.length == u64::from(indexed.length) => Ok(()),
                _ => Err(error),
            },
            other => other,
        }
    }

    /// A pack that is there. Whoever stored it may have died before it was durable.
    pub(crate) async fn adopt_pack(&self, indexed: IndexedPack) -> Result<StoredPack> {
        self.adopt(&Name::Pack(indexed.pack)).await?;
        Ok(StoredPack(indexed))
    }

    /// Makes stored packs durable, and all that were stored before.
    pub(crate) async fn make_durable(&self, packs: Vec<StoredPack>) -> Result<DurablePacks> {
        self.backend.barrier().await?;
        let packs = packs.into_iter().map(|StoredPack(indexed)| indexed).collect();
        Ok(DurablePacks(IndexBody { supersedes: Vec::new(), packs }))
    }
}

/// A pack that the backend has acknowledged, or that is there; made only here.
pub(crate) struct StoredPack(IndexedPack);

impl StoredPack {
    /// What an index object will say of it.
    pub(crate) fn indexed(&self) -> &IndexedPack {
        &self.0
    }
}

/// Packs that a barrier has made durable, so that an index object may name them (I-13); made only here.
pub(crate) struct DurablePacks(IndexBody);

impl DurablePacks {
    /// The same in an object that stands for these as well.
    pub(crate) fn superseding(mut self, objects: Vec<IndexId>) -> Self {
        self.0.supersedes = objects;
        self
    }

    /// The body of the index object that names them.
    pub(super) fn body(&self) -> &IndexBody {
        &self.0
    }

    /// Back to packs that no index object names: it could not be stored.
    pub(crate) fn into_stored(self) -> Vec<StoredPack> {
        self.0.packs.into_iter().map(StoredPack).collect()
    }

    /// Packs of a repository that is made up.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn made_up(packs: Vec<IndexedPack>) -> Self {
        Self(IndexBody { supersedes: Vec::new(), packs })
    }
}
