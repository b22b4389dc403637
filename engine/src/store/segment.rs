//! Stored segments back to verified chunks: opened, unsqueezed, lengths checked, every chunk compared with its name.

use super::Store;
use crate::class::Class;
use crate::crypto::name::NameKey;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::Opener;
use crate::crypto::seal::Place;
use crate::crypto::seal::SealedSegment;
use crate::crypto::seal::SegmentHead;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::pack::PackTable;
use crate::format::segment::NO_SALT;
use crate::format::segment::SegmentInfo;
use crate::format::wire::size;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::limits::SEGMENT_BYTES_MAX;
use crate::squeeze::Unsqueezer;
use bytes::Bytes;
use std::fmt::Display;
use std::sync::Arc;

/// A segment of a pack, as the pack's table or the index describes it.
#[derive(Clone, Debug)]
pub(crate) struct StoredSegment {
    pack: PackId,
    number: u16,
    class: Class,
    info: SegmentInfo,
    place: Place,
    key: DataKeyId,
}

impl StoredSegment {
    /// Segment `number` of a pack, as the index describes it.
    pub(crate) fn indexed(pack: &PackInfo, number: u16) -> Result<Self> {
        let info = pack.segments.get(usize::from(number)).copied();
        Self::described((pack.id, number, pack.class), info, (&pack.data_keys, &pack.salts))
    }

    /// Segment `number` of the pack `id`, as its table describes it.
    pub(crate) fn of_table(id: PackId, table: &PackTable, number: u16) -> Result<Self> {
        let info = table.segments.get(usize::from(number)).map(|segment| segment.info());
        Self::described((id, number, table.class), info, (&table.data_keys, &table.salts))
    }

    fn described(
        (pack, number, class): (PackId, u16, Class),
        info: Option<SegmentInfo>,
        (data_keys, salts): (&[DataKeyId], &[[u8; 32]]),
    ) -> Result<Self> {
        let damaged = |why: &str| Error::damaged(format!("segment {number} of pack {pack}"), why);
        let info = info.ok_or_else(|| damaged("it is not there"))?;
        let key =
            *data_keys.get(usize::from(info.data_key)).ok_or_else(|| damaged("it names a key that is not there"))?;
        let place = match info.salt {
            NO_SALT => Place::Nonce,
            at => {
                let salt = salts.get(usize::from(at)).ok_or_else(|| damaged("it names a salt that is not there"))?;
                Place::Counter { salt: *salt, number: info.number }
            }
        };
        Ok(Self { pack, number, class, info, place, key })
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// The key that opens it.
    pub(crate) fn key(&self) -> &DataKeyId {
        &self.key
    }

    /// Where its nonce is found.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Where its stored bytes begin in the pack.
    pub(crate) fn offset(&self) -> u32 {
        self.info.offset
    }

    /// How many stored bytes it has.
    pub(crate) fn stored_length(&self) -> u32 {
        self.info.stored_length
    }

    /// How many bytes its plaintext has, as far as it is described truthfully.
    pub(crate) fn plain_length(&self) -> u32 {
        self.info.plain_length
    }

    /// Its stored bytes in a part of the pack that begins at byte `start`.
    pub(crate) fn within<'b>(&self, bytes: &'b [u8], start: u32) -> Result<&'b [u8]> {
        let from = self.info.offset.checked_sub(start).map(size);
        let stored = from.and_then(|from| bytes.get(from..from.saturating_add(size(self.info.stored_length))));
        stored.ok_or_else(|| self.damaged("it reaches past its pack"))
    }

    fn head(&self) -> SegmentHead {
        SegmentHead { class: self.class, compression: self.info.compression, plain_length: self.info.plain_length }
    }

    fn damaged(&self, why: impl Display) -> Error {
        Error::damaged(format!("segment {} of pack {}", self.number, self.pack), why)
    }
}

/// Opens segments, with buffers that are used again; one per thread. Whoever reads stored data reads it through this.
pub(crate) struct SegmentReader {
    store: Arc<Store>,
    opener: Opener,
    unsqueezer: Unsqueezer,
    squeezed: Vec<u8>,
    plain: Vec<u8>,
}

/// Where the plaintext of the segment that was opened last lies.
#[derive(Clone, Copy)]
enum Opened {
    AsSqueezed,
    AsPlain,
}

impl SegmentReader {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            opener: Opener::new(store.repository()),
            unsqueezer: Unsqueezer::new(),
            squeezed: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// The same with room for segments of so many bytes from the start: buffers that grow in one thread after the other
    /// leave what they had to each of them.
    pub(crate) fn with_room(store: &Arc<Store>, bytes: usize) -> Self {
        Self { squeezed: Vec::with_capacity(bytes), plain: Vec::with_capacity(bytes), ..Self::new(store) }
    }

    /// Opens a segment from exactly its stored bytes.
    pub(crate) fn open(&mut self, segment: &StoredSegment, stored: &[u8], key: &DataKey) -> Result<OpenSegment<'_>> {
        let opened = self.decode(segment.head(), &segment.place, stored, key).map_err(|why| segment.damaged(why))?;
        Ok(OpenSegment { plain: self.plain(opened), names: self.store.names(segment.class) })
    }

    /// The same for whoever keeps the plaintext: it is not copied, and no buffer of its size stays here.
    pub(crate) fn open_to_keep(&mut self, segment: &StoredSegment, stored: &[u8], key: &DataKey) -> Result<Bytes> {
        let opened = self.decode(segment.head(), &segment.place, stored, key).map_err(|why| segment.damaged(why))?;
        Ok(Bytes::from(match opened {
            Opened::AsSqueezed => std::mem::take(&mut self.squeezed),
            Opened::AsPlain => std::mem::take(&mut self.plain),
        }))
    }

    /// Opens a segment of a whole pack in memory and compares every chunk that the pack's table has in it.
    pub(crate) fn check(&mut self, pack: &WholePack<'_>, number: u16, key: &DataKey) -> Result<()> {
        let WholePack { id, table, bytes } = *pack;
        let segment = StoredSegment::of_table(id, table, number)?;
        let open = self.open(&segment, segment.within(bytes, 0)?, key)?;
        let mut offset = 0u32;
        for chunk in table.segments.get(usize::from(number)).map_or(&[][..], |segment| &segment.chunks) {
            open.chunk(offset, chunk)?;
            offset = offset.saturating_add(chunk.length);
        }
        Ok(())
    }

    /// Opens the final bytes of a segment and compares them with what was put in (I-9): what was sealed wrong must never
    /// leave memory.
    pub(crate) fn verify(&mut self, sealed: &SealedSegment, plain: &[u8], key: &DataKey) -> Result<()> {
        match self.decode(sealed.head(), &sealed.place(), sealed.bytes(), key) {
            Ok(opened) if self.plain(opened) == plain => Ok(()),
            _ => Err(Error::new(Kind::Bug, "a sealed segment does not open to what was put in")
                .because("memory or the compressor is faulty; nothing of it was stored")),
        }
    }

    fn plain(&self, opened: Opened) -> &[u8] {
        match opened {
            Opened::AsSqueezed => &self.squeezed,
            Opened::AsPlain => &self.plain,
        }
    }

    /// Why it cannot be opened, if it cannot.
    fn decode(
        &mut self,
        head: SegmentHead,
        place: &Place,
        stored: &[u8],
        key: &DataKey,
    ) -> std::result::Result<Opened, String> {
        let plain_length = size(head.plain_length);
        if plain_length > SEGMENT_BYTES_MAX {
            return Err("it claims more plaintext than a segment may hold".to_owned());
        }
        self.opener.open(key, head, place, stored, &mut self.squeezed).map_err(|cause| cause.to_string())?;
        match head.compression {
            0 if self.squeezed.len() == plain_length => Ok(Opened::AsSqueezed),
            0 => Err("its length is not what the pack's table says".to_owned()),
            1 => {
                let done = self.unsqueezer.unsqueeze(&self.squeezed, plain_length, &mut self.plain);
                done.map_err(|cause| cause.to_string())?;
                Ok(Opened::AsPlain)
            }
            other => Err(format!("compression {other} is not known")),
        }
    }
}

/// A pack in memory, with the table that is believed.
#[derive(Clone, Copy)]
pub(crate) struct WholePack<'a> {
    pub(crate) id: PackId,
    pub(crate) table: &'a PackTable,
    pub(crate) bytes: &'a [u8],
}

/// The plaintext of a segment. It gives no chunk that does not hash to its name.
pub(crate) struct OpenSegment<'a> {
    plain: &'a [u8],
    names: &'a NameKey,
}

impl<'a> OpenSegment<'a> {
    /// One of `class` that was opened before and kept.
    pub(crate) fn kept(store: &'a Store, class: Class, plain: &'a [u8]) -> Self {
        Self { plain, names: store.names(class) }
    }

    /// All of it, unverified.
    pub(crate) fn plain(&self) -> &'a [u8] {
        self.plain
    }

    /// The chunk that begins at `offset`, verified.
    pub(crate) fn chunk(&self, offset: u32, chunk: &ChunkRef) -> Result<&'a [u8]> {
        let damaged = |why: &str| Error::damaged(format!("chunk {}", chunk.id), why);
        let (start, length) = (size(offset), size(chunk.length));
        let bytes = self.plain.get(start..start.saturating_add(length));
        let bytes = bytes.ok_or_else(|| damaged("it reaches past its segment"))?;
        if self.names.name(bytes) == chunk.id { Ok(bytes) } else { Err(damaged("its bytes do not hash to its name")) }
    }
}
