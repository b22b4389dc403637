//! One stored segment back to plaintext: opened, unsqueezed, lengths checked.

use super::Store;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::Opener;
use crate::crypto::seal::Place;
use crate::crypto::seal::SealedSegment;
use crate::crypto::seal::SegmentHead;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::segment::NO_SALT;
use crate::format::segment::SegmentInfo;
use crate::id::PackId;
use crate::limits::SEGMENT_BYTES_MAX;
use crate::squeeze::Unsqueezer;

/// Where a segment's bytes came from and how to open them.
pub(crate) struct StoredSegment<'a> {
    /// The pack, for messages.
    pub(crate) pack: PackId,
    /// Its number in the pack, for messages.
    pub(crate) number: u16,
    pub(crate) class: Class,
    pub(crate) compression: u8,
    pub(crate) plain_length: u32,
    /// Salt and counter for suite 2; `None` for suite 1.
    pub(crate) place: Place,
    pub(crate) stored: &'a [u8],
}

impl<'a> StoredSegment<'a> {
    /// Segment `number` of a pack, described by its table's line `info`; `stored` are exactly its bytes.
    pub(crate) fn new(
        pack: PackId,
        class: Class,
        salts: &[[u8; 32]],
        number: u16,
        info: &SegmentInfo,
        stored: &'a [u8],
    ) -> Result<Self> {
        let place = match info.salt {
            NO_SALT => Place::Nonce,
            at => {
                let salt = salts.get(usize::from(at)).ok_or_else(|| {
                    Error::damaged(format!("segment {number} of pack {pack}"), "it names a salt that is not there")
                })?;
                Place::Counter { salt: *salt, number: info.number }
            }
        };
        let (compression, plain_length) = (info.compression, info.plain_length);
        Ok(Self { pack, number, class, compression, plain_length, place, stored })
    }
}

/// Opens and unsqueezes segments, with buffers that are used again; one per thread.
pub(crate) struct SegmentDecoder {
    opener: Opener,
    unsqueezer: Unsqueezer,
    squeezed: Vec<u8>,
    plain: Vec<u8>,
}

impl SegmentDecoder {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            opener: Opener::new(store.repository()),
            unsqueezer: Unsqueezer::new(),
            squeezed: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// The same with room for segments of so many bytes from the start: buffers that grow in one thread after the other
    /// leave what they had to each of them.
    pub(crate) fn with_room(store: &Store, bytes: usize) -> Self {
        Self { squeezed: Vec::with_capacity(bytes), plain: Vec::with_capacity(bytes), ..Self::new(store) }
    }

    /// The plaintext of one segment. Chunk ids are the caller's to verify.
    pub(crate) fn decode(&mut self, segment: &StoredSegment<'_>, key: &DataKey) -> Result<&[u8]> {
        let damaged = |why: &dyn std::fmt::Display| {
            Error::damaged(format!("segment {} of pack {}", segment.number, segment.pack), why)
        };
        let plain_length = usize::try_from(segment.plain_length).unwrap_or(usize::MAX);
        if plain_length > SEGMENT_BYTES_MAX {
            return Err(damaged(&"it claims more plaintext than a segment may hold"));
        }
        let head =
            SegmentHead { class: segment.class, compression: segment.compression, plain_length: segment.plain_length };
        self.opener
            .open(key, head, &segment.place, segment.stored, &mut self.squeezed)
            .map_err(|cause| damaged(&cause))?;
        match segment.compression {
            0 if self.squeezed.len() == plain_length => Ok(&self.squeezed),
            0 => Err(damaged(&"its length is not what the pack's table says")),
            1 => {
                self.unsqueezer
                    .unsqueeze(&self.squeezed, plain_length, &mut self.plain)
                    .map_err(|cause| damaged(&cause))?;
                Ok(&self.plain)
            }
            other => Err(damaged(&format!("compression {other} is not known"))),
        }
    }

    /// Opens the final bytes of a segment and compares them with what was put in (I-9): what was sealed wrong must never
    /// leave memory.
    pub(crate) fn verify(&mut self, sealed: &SealedSegment, plain: &[u8], key: &DataKey) -> Result<()> {
        let head = sealed.head();
        let stored = StoredSegment {
            pack: PackId::from_bytes([0; 32]),
            number: 0,
            class: head.class,
            compression: head.compression,
            plain_length: head.plain_length,
            place: sealed.place(),
            stored: sealed.bytes(),
        };
        if self.decode(&stored, key)? == plain {
            return Ok(());
        }
        Err(Error::new(Kind::Bug, "a sealed segment does not open to what was put in")
            .because("memory or the compressor is faulty; nothing of it was stored"))
    }
}
