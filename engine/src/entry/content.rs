//! Where an entry's bytes are: nowhere, in a few chunks, or in a page tree of chunks.

use crate::id::ChunkId;

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
