//! Where an entry's bytes are: nowhere, in a few chunks, or in a page tree of chunks.

use crate::id::ChunkId;
use crate::limits::CHUNK_BYTES_MAX;
use crate::limits::KIB;
use crate::limits::PAGE_OF_FILE_BYTES_MIN;
use std::ops::RangeInclusive;

/// One chunk of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its name.
    pub id: ChunkId,
    /// Its plaintext length in bytes.
    pub length: u32,
}

/// How an entry's bytes were cut, where that is not what the repository's config says. Nobody needs it to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunking {
    /// Number of the algorithm.
    pub chunker: u8,
    /// Smallest, nominal and largest chunk in bytes; equal for pieces of one size.
    pub sizes: [u32; 3],
}

/// How a source wants an entry's bytes cut: what changes little by little costs least where chunks are about as large as
/// what changes, and every chunk takes 48 bytes of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkProfile {
    /// As the repository's config says: for files of all kinds.
    #[default]
    Default,
    /// For rows of a database, one behind the other in the order of their keys: chunks of 16 KiB on average, from 4 to
    /// 64, end where the bytes say so.
    Rows,
    /// For files that change page by page: pieces of so many bytes from the first byte on, of 512 bytes to 2 MiB.
    Pages(u32),
}

/// Number of the chunker that the config knows.
const BY_CONTENT: u8 = 1;
/// Number of the chunker that cuts pieces of one size.
pub(crate) const BY_SIZE: u8 = 2;
/// Smallest, nominal and largest chunk of rows.
const ROWS: [u32; 3] = [4 * KIB as u32, 16 * KIB as u32, 64 * KIB as u32];

impl ChunkProfile {
    /// Sizes that pages may have, in bytes.
    pub const PAGE_BYTES: RangeInclusive<u32> = PAGE_OF_FILE_BYTES_MIN as u32..=CHUNK_BYTES_MAX as u32;

    /// What an entry says of it.
    pub(crate) fn stored(self) -> Option<Chunking> {
        match self {
            Self::Default => None,
            Self::Rows => Some(Chunking { chunker: BY_CONTENT, sizes: ROWS }),
            Self::Pages(bytes) => Some(Chunking { chunker: BY_SIZE, sizes: [bytes; 3] }),
        }
    }

    /// The profile that cuts as an entry says that it was cut, or the one of the config where none does.
    pub(crate) fn of(stored: Option<Chunking>) -> Self {
        match stored {
            Some(Chunking { chunker: BY_CONTENT, sizes: ROWS }) => Self::Rows,
            Some(Chunking { chunker: BY_SIZE, sizes: [bytes, _, _] }) if Self::PAGE_BYTES.contains(&bytes) => {
                Self::Pages(bytes)
            }
            _ => Self::Default,
        }
    }
}

/// An entry's bytes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// No bytes: directories, links, devices and empty files.
    #[default]
    Empty,
    /// The chunks in order; at most `limits::CHUNKS_INLINE_MAX` of them.
    Inline(Vec<ChunkRef>),
    /// The root page of a chunk list too long to stand in the entry.
    Tree {
        /// Name of the root page (a metadata chunk).
        root: ChunkId,
        /// Its plaintext length in bytes.
        length: u32,
        /// Chunks in the whole tree.
        chunks: u64,
        /// Content bytes below it.
        bytes: u64,
    },
}

impl Content {
    /// The content's length in bytes (holes of sparse files not counted).
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Inline(chunks) => chunks.iter().map(|chunk| u64::from(chunk.length)).sum(),
            Self::Tree { bytes, .. } => *bytes,
        }
    }
}
