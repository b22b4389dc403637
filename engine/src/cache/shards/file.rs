//! One file of a shard: parts that are read where they stand, each with a keyed hash over it and its place.

use crate::crypto::name::NameKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Bytes of the hash behind every part.
pub(super) const MAC_BYTES: usize = 16;
/// Bytes of one page of rows, its hash at the end included.
pub(super) const PAGE_BYTES: usize = 4096;
/// What is hashed before a part's bytes: the shard, and which of its parts this is.
const PLACE_BYTES: usize = 32 + 8;

/// Which part of a shard some bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// The first bytes of the file.
    Front,
    /// What is kept in memory.
    Resident,
    /// A page of rows.
    Page(u32),
    /// A pack.
    Pack(u32),
}

impl Part {
    fn number(self) -> u64 {
        match self {
            Self::Front => 0,
            Self::Resident => 1,
            Self::Page(number) => 2 << 32 | u64::from(number),
            Self::Pack(number) => 3 << 32 | u64::from(number),
        }
    }
}

/// A shard's file, open for as long as anybody reads it: it may be removed or replaced meanwhile.
#[derive(Debug)]
pub(super) struct ShardFile {
    pub(super) file: File,
    pub(super) key: NameKey,
    /// The shard's name, part of every hash: no part of another one is taken for one of this.
    pub(super) name: [u8; 32],
    /// Where it stands, unless it has no name of its own.
    pub(super) path: Option<PathBuf>,
}

/// Room for one page.
pub(super) struct Page([u8; PLACE_BYTES + PAGE_BYTES]);

impl Page {
    /// Holds nothing yet.
    pub(super) fn empty() -> Self {
        Self([0; PLACE_BYTES + PAGE_BYTES])
    }

    /// The rows.
    pub(super) fn rows(&self) -> &[u8] {
        self.0.get(PLACE_BYTES..PLACE_BYTES + PAGE_BYTES - MAC_BYTES).unwrap_or_default()
    }
}

impl ShardFile {
    /// The hash of one part.
    pub(super) fn mac(&self, part: Part, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let mut whole = Vec::with_capacity(PLACE_BYTES + bytes.len());
        whole.extend_from_slice(&self.place(part));
        whole.extend_from_slice(bytes);
        first_half(&self.key, &whole)
    }

    /// A part without its hash. Anything but what was written is an error.
    pub(super) fn read(&self, part: Part, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut whole = vec![0; PLACE_BYTES + length];
        whole.get_mut(..PLACE_BYTES).unwrap_or_default().copy_from_slice(&self.place(part));
        self.fill(&mut whole, offset)?;
        whole.truncate(whole.len() - MAC_BYTES);
        whole.drain(..PLACE_BYTES);
        Ok(whole)
    }

    /// A page of rows.
    pub(super) fn read_page(&self, number: u32, offset: u64, page: &mut Page) -> Result<()> {
        page.0.get_mut(..PLACE_BYTES).unwrap_or_default().copy_from_slice(&self.place(Part::Page(number)));
        self.fill(&mut page.0, offset)
    }

    /// The error for bytes that are not what was written. The file is of no use: the next run makes another one.
    pub(super) fn broken(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Error {
        if let Some(path) = &self.path {
            // What cannot be removed is refused again.
            let _ = std::fs::remove_file(path);
        }
        Error::new(Kind::CacheFailed, "a local file with a part of the index cannot be read").because(why)
    }

    /// Reads what follows the place in `whole`, and compares its hash.
    fn fill(&self, whole: &mut [u8], offset: u64) -> Result<()> {
        let bytes = whole.get_mut(PLACE_BYTES..).unwrap_or_default();
        self.file.read_exact_at(bytes, offset).map_err(|cause| self.broken(cause))?;
        let (hashed, mac) = whole.split_at(whole.len().saturating_sub(MAC_BYTES));
        if first_half(&self.key, hashed) == *mac { Ok(()) } else { Err(self.broken("it is not what was written")) }
    }

    fn place(&self, part: Part) -> [u8; PLACE_BYTES] {
        let mut place = [0; PLACE_BYTES];
        let (name, number) = place.split_at_mut(self.name.len());
        name.copy_from_slice(&self.name);
        number.copy_from_slice(&part.number().to_le_bytes());
        place
    }
}

fn first_half(key: &NameKey, bytes: &[u8]) -> [u8; MAC_BYTES] {
    let [half @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *key.name(bytes).as_bytes();
    half
}
