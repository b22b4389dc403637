//! Whole packs: sealing the table in front, reading it back, checking the frame around it.

use super::Store;
use crate::backend::Name;
use crate::crypto::keys::Purpose;
use crate::crypto::seal;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::FormatError;
use crate::format::pack;
use crate::format::pack::OwnTable;
use crate::format::pack::PackHead;
use crate::format::pack::TableFrame;
use crate::format::wire;
use crate::format::wire::length_u32;
use crate::id::PackId;
use crate::limits::PACK_BYTES_MAX;
use crate::random;
use crate::squeeze::Squeezer;
use crate::squeeze::Unsqueezer;
use bytes::Bytes;

/// Compression level of pack tables: mostly lengths, which any level squeezes.
const TABLE_LEVEL: i32 = 3;

/// A pack's table as read from the pack itself.
pub(crate) struct PackOpened {
    pub(crate) own: OwnTable,
    /// Bytes of the pack object.
    pub(crate) length: u32,
}

impl Store {
    /// Head and sealed table of a pack.
    pub(crate) fn seal_table(&self, own: &OwnTable) -> Result<Vec<u8>> {
        let too_long = |cause| Error::new(Kind::Bug, "lay out a pack table").because(cause);
        let plain = pack::table_encode(own).map_err(too_long)?;
        let plain_length = length_u32(plain.len());
        let mut squeezed = Vec::new();
        let helped = Squeezer::new(TABLE_LEVEL)?.squeeze(&plain, &mut squeezed)?;
        let bytes = if helped { squeezed.as_slice() } else { plain.as_slice() };
        let body = pack::table_frame_encode(&TableFrame { squeezed: helped, plain_length, bytes });
        let nonce = random::array(self.rng())?;
        let key = self.keys.sealing(Purpose::Index);
        let table_length = length_u32(body.len() + seal::TAG_BYTES);
        let mut front = pack::head_encode(&PackHead { class: own.table.class, table_length, key_id: key.id(), nonce });
        let aad = self.table_aad(&front);
        front.extend_from_slice(&seal::seal_object(key, &aad, nonce, &body));
        Ok(front)
    }

    /// Reads the table of a whole pack in memory and checks the frame: head, trailer, tiling.
    pub(crate) fn open_pack(&self, id: PackId, bytes: &[u8]) -> Result<PackOpened> {
        let damaged = |cause: FormatError| cause.while_reading(format!("pack {id}"));
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|_| bytes.len() <= PACK_BYTES_MAX)
            .ok_or_else(|| Error::damaged(format!("pack {id}"), "it is larger than any pack"))?;
        pack::trailer_check(bytes).map_err(damaged)?;
        Ok(PackOpened { own: self.open_table(id, bytes, length)?, length })
    }

    /// Reads the table from a pack's first bytes; `length` is the pack object's whole length.
    pub(crate) fn open_table(&self, id: PackId, front: &[u8], length: u32) -> Result<OwnTable> {
        let damaged = |cause: FormatError| cause.while_reading(format!("pack {id}"));
        let head = pack::head_decode(front).map_err(damaged)?;
        let start = head.segments_start();
        let torn = || Error::damaged(format!("pack {id}"), "it ends inside its table");
        let head_bytes = front.get(..pack::HEAD_BYTES).ok_or_else(torn)?;
        let sealed = front.get(pack::HEAD_BYTES..wire::size(start)).ok_or_else(torn)?;
        let key = self.opening_key(Purpose::Index, &head.key_id, format!("the table of pack {id}"))?;
        let body = seal::open_object(key, &self.table_aad(head_bytes), &head.nonce, sealed)
            .map_err(|cause| Error::damaged(format!("the table of pack {id}"), cause))?;
        let frame = pack::table_frame_decode(&body).map_err(damaged)?;
        let mut plain = Vec::new();
        let plain = if frame.squeezed {
            Unsqueezer::new()
                .unsqueeze(frame.bytes, wire::size(frame.plain_length), &mut plain)
                .map_err(|cause| Error::damaged(format!("the table of pack {id}"), cause))?;
            plain.as_slice()
        } else {
            frame.bytes
        };
        let own = pack::table_decode(plain, start, length).map_err(damaged)?;
        if own.table.class == head.class {
            Ok(own)
        } else {
            Err(Error::damaged(format!("pack {id}"), "its table is of another class than its head"))
        }
    }

    /// Fetches and opens the table alone of a pack of `length` bytes whose first segment begins at byte `start`.
    pub(crate) async fn get_table(&self, id: PackId, start: u32, length: u32) -> Result<OwnTable> {
        let front = self.fetch(id, 0, u64::from(start)).await?;
        self.open_table(id, &front, length)
    }

    /// The same of a pack of which only its length is known.
    pub(crate) async fn find_table(&self, id: PackId, length: u64) -> Result<OwnTable> {
        let damaged = |why: &str| Error::damaged(format!("pack {id}"), why);
        let length = u32::try_from(length).ok().filter(|length| wire::size(*length) <= PACK_BYTES_MAX);
        let length = length.ok_or_else(|| damaged("it is larger than any pack"))?;
        let head_bytes = length_u32(pack::HEAD_BYTES);
        if length < head_bytes {
            return Err(damaged("it is shorter than any pack"));
        }
        let head = self.fetch(id, 0, u64::from(head_bytes)).await?;
        let head = pack::head_decode(&head).map_err(|cause| cause.while_reading(format!("pack {id}")))?;
        let start = head.segments_start();
        if start > length {
            return Err(damaged("it ends inside its table"));
        }
        self.get_table(id, start, length).await
    }

    /// Fetches a whole pack.
    pub(crate) async fn get_pack(&self, id: PackId) -> Result<Bytes> {
        self.backend.get(&Name::Pack(id)).await
    }

    /// `length` bytes of a pack from `offset`; `NotFound` when the pack is gone.
    pub(crate) async fn fetch(&self, id: PackId, offset: u64, length: u64) -> Result<Bytes> {
        self.backend.get_range(&Name::Pack(id), offset, length).await
    }

    fn table_aad(&self, head: &[u8]) -> Vec<u8> {
        let mut aad = head.to_vec();
        aad.extend_from_slice(self.repository.as_bytes());
        aad
    }
}
