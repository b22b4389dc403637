//! Index objects: the body in sealed parts under a key of the object's own, named by the hash of its bytes.

use super::DurablePacks;
use super::OnFull;
use super::Store;
use crate::backend::Name;
use crate::backend::Payload;
use crate::crypto::keys::ObjectKey;
use crate::crypto::keys::Purpose;
use crate::crypto::name;
use crate::crypto::seal;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::FormatError;
use crate::format::index;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::RECORD_BYTES;
use crate::format::index_parts;
use crate::format::index_parts::IndexHead;
use crate::format::index_parts::PART_HEAD_BYTES;
use crate::format::index_reader::IndexReader;
use crate::format::wire::length_u32;
use crate::id::IndexId;
use crate::limits::INDEX_BYTES_MAX;
use crate::limits::INDEX_PART_BYTES;
use crate::random;
use crate::squeeze::Squeezer;
use crate::squeeze::Unsqueezer;
use bytes::Bytes;

/// Compression level of index parts.
const PART_LEVEL: i32 = 3;
/// Context of the key each index object gets of its own.
const KEY_CONTEXT: &str = "strongroom 2026 index object";

impl Store {
    /// Stores an index object that names these packs.
    pub(crate) async fn put_index(&self, packs: &DurablePacks, on_full: OnFull) -> Result<IndexId> {
        let (front, rows) = index::body_parts(packs.body()).map_err(not_laid_out)?;
        on_full.put(self, || async { self.put_sealed(self.seal_index(&front, &rows)?).await }).await
    }

    /// Stores the union of index objects that are stored: the packs that they name were durable before them.
    pub(crate) async fn put_merged_index(&self, records: &IndexRecords, on_full: OnFull) -> Result<IndexId> {
        let front = index::records_front(records).map_err(not_laid_out)?;
        on_full.put(self, || async { self.put_sealed(self.seal_index(&front, &records.chunks)?).await }).await
    }

    async fn put_sealed(&self, bytes: Vec<u8>) -> Result<IndexId> {
        let id = IndexId::from_bytes(name::object_hash([bytes.as_slice()]));
        let name = Name::Index(id);
        let bytes = Bytes::from(bytes);
        match self.backend.put(&name, Payload::from(bytes.clone())).await {
            Ok(()) => Ok(id),
            // It may be this very object, stored by a try that got no answer. Only its bytes can tell.
            Err(error) if error.kind() == Kind::Conflict => match self.backend.get(&name).await {
                Ok(there) if there == bytes => Ok(id),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Fetches and opens one index object.
    pub(crate) async fn get_index(&self, id: IndexId) -> Result<IndexRecords> {
        let bytes = self.backend.get(&Name::Index(id)).await?;
        self.open_index(id, bytes)
    }

    /// The object of a body whose chunk records are encoded part by part: there may be very many of them.
    fn seal_index(&self, front: &[u8], rows: &[ChunkRecord]) -> Result<Vec<u8>> {
        let plain_length = front.len() + rows.len() * RECORD_BYTES;
        let index_key = self.keys.sealing(Purpose::Index);
        let head = IndexHead {
            repository: self.repository,
            key_id: index_key.id(),
            salt: random::array(self.rng())?,
            plain_length: u64::from(length_u32(plain_length)),
        };
        let key = index_key.for_object(KEY_CONTEXT, &head.salt);
        let head_bytes = index_parts::head_encode(&head);
        let mut parts = Parts {
            key,
            object: head_bytes.clone(),
            head_bytes,
            squeezer: Squeezer::new(PART_LEVEL)?,
            squeezed: Vec::new(),
            plain: Vec::with_capacity(plain_length.min(INDEX_PART_BYTES)),
            number: 0,
            count: plain_length.div_ceil(INDEX_PART_BYTES),
        };
        parts.add(front)?;
        for row in rows {
            parts.add(&index::record_encode(row))?;
        }
        parts.finish()
    }

    fn open_index(&self, id: IndexId, object: Bytes) -> Result<IndexRecords> {
        let what = || format!("index object {id}");
        if object.len() > INDEX_BYTES_MAX {
            return Err(Error::damaged(what(), "it is larger than any index object"));
        }
        if name::object_hash([object.as_ref()]) != *id.as_bytes() {
            return Err(Error::damaged(what(), "its bytes do not hash to its name"));
        }
        let head = index_parts::head_decode(&object).map_err(|cause| cause.while_reading(what()))?;
        if head.repository != self.repository {
            return Err(Error::damaged(what(), "it belongs to another repository"));
        }
        let key = self.opening_key(Purpose::Index, &head.key_id, what())?.for_object(KEY_CONTEXT, &head.salt);
        let head_bytes = object.get(..index_parts::HEAD_BYTES).unwrap_or_default();
        let mut body = IndexReader::new(usize::try_from(head.plain_length).unwrap_or(usize::MAX))
            .map_err(|cause| cause.while_reading(what()))?;
        let mut plain = Vec::new();
        let mut unsqueezer = Unsqueezer::new();
        for (number, part) in
            index_parts::parts_decode(&object, &head).map_err(|cause| cause.while_reading(what()))?.iter().enumerate()
        {
            let opened = seal::open_object(&key, &part_aad(head_bytes, part.head), &part_nonce(number), part.sealed)
                .map_err(|cause| Error::damaged(what(), cause))?;
            let piece = if part.squeezed {
                unsqueezer
                    .unsqueeze(&opened, part.plain_length, &mut plain)
                    .map_err(|cause| Error::damaged(what(), cause))?;
                plain.as_slice()
            } else {
                opened.as_slice()
            };
            // The head is sealed with every part: only now are its length, and what the body counts, to be believed.
            body.add(piece).map_err(|cause| cause.while_reading(what()))?;
        }
        body.finish().map_err(|cause| cause.while_reading(what()))
    }
}

/// An index object on its way to be sealed, one part after another.
struct Parts {
    key: ObjectKey,
    head_bytes: Vec<u8>,
    object: Vec<u8>,
    squeezer: Squeezer,
    squeezed: Vec<u8>,
    /// The part that is being filled, its number, and how many there will be.
    plain: Vec<u8>,
    number: usize,
    count: usize,
}

impl Parts {
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = INDEX_PART_BYTES.saturating_sub(self.plain.len()).min(rest.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.plain.extend_from_slice(now);
            rest = later;
            if self.plain.len() >= INDEX_PART_BYTES {
                self.seal()?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        if !self.plain.is_empty() {
            self.seal()?;
        }
        Ok(self.object)
    }

    fn seal(&mut self) -> Result<()> {
        let helped = self.squeezer.squeeze(&self.plain, &mut self.squeezed)?;
        let bytes = if helped { self.squeezed.as_slice() } else { self.plain.as_slice() };
        let is_last = self.number + 1 == self.count;
        let frame = index_parts::part_head_encode(length_u32(bytes.len() + seal::TAG_BYTES), helped, is_last);
        let aad = part_aad(&self.head_bytes, frame);
        self.object.extend_from_slice(&frame);
        self.object.extend_from_slice(&seal::seal_object(&self.key, &aad, part_nonce(self.number), bytes));
        self.number += 1;
        self.plain.clear();
        Ok(())
    }
}

fn not_laid_out(cause: FormatError) -> Error {
    Error::new(Kind::Bug, "lay out an index object").because(cause)
}

/// Parts are bound to their object's head and their own frame.
fn part_aad(head: &[u8], frame: [u8; PART_HEAD_BYTES]) -> Vec<u8> {
    let mut aad = b"index part".to_vec();
    aad.extend_from_slice(head);
    aad.extend_from_slice(&frame);
    aad
}

/// The part's number: a part out of its place does not open.
fn part_nonce(number: usize) -> [u8; seal::NONCE_BYTES] {
    let mut nonce = [0; seal::NONCE_BYTES];
    for (byte, digit) in nonce.iter_mut().zip(length_u32(number).to_le_bytes()) {
        *byte = digit;
    }
    nonce
}
