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
