//! Which of the two kinds of chunks something holds: content, or the catalog that describes it.

/// The class of a chunk, segment, pack or data key; the two are never mixed in one pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Class {
    /// Bytes of entries.
    Data = 1,
    /// Catalog pages.
    Metadata = 2,
}

impl Class {
    /// The stored byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Metadata => 2,
        }
    }

    /// Reads the stored byte back; `None` for a class this program does not know.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::Metadata),
            _ => None,
        }
    }
}
