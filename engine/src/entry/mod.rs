//! One item of a source and what is known about it: the vocabulary shared by sources, catalog and restore.

mod content;
pub(crate) mod flags;
mod metadata;
mod path;

pub(crate) use content::BY_SIZE;
pub use content::ChunkProfile;
pub use content::ChunkRef;
pub use content::Chunking;
pub use content::Content;
pub use metadata::Extent;
pub use metadata::FileKind;
pub use metadata::Metadata;
pub use metadata::Xattr;
pub use path::EntryPath;
pub use path::PathError;

/// One entry of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands below the snapshot's root.
    pub path: EntryPath,
    /// Everything but its bytes.
    pub metadata: Metadata,
    /// Where its bytes are.
    pub content: Content,
    /// What could not be kept about it, one line each.
    pub warnings: Vec<String>,
    /// BLAKE3 of the whole content, if whoever stored it kept one; this version does not.
    pub hash: Option<[u8; 32]>,
    /// How its bytes were cut, if not as the config says.
    pub chunking: Option<Chunking>,
    /// What its source said to tell this content from any other (an `ETag`, a log position), if it said so; never empty.
    pub change_token: Option<Vec<u8>>,
}

impl Entry {
    /// An entry without warnings, whose content is cut as the config says.
    pub fn new(path: EntryPath, metadata: Metadata, content: Content) -> Self {
        Self { path, metadata, content, warnings: Vec::new(), hash: None, chunking: None, change_token: None }
    }
}
