//! Folders as archives, written entry by entry to anything that takes bytes.

mod acl;
#[cfg(test)]
mod samples;
mod tar;
mod zip;

pub use self::tar::TarPack;
pub use self::zip::ZipPack;

use crate::show::Failure;
use strongroom::Entry;
use strongroom::FileKind;

/// An archive being written.
pub trait Pack {
    /// Whether such archives have entries of this kind; others are left out.
    fn holds(&self, kind: &FileKind) -> bool;
    /// Whether they have further names of one file, holes, and extended attributes.
    fn is_faithful(&self) -> bool;
    /// Writes an entry's head; what cannot be said of it goes to `lacks`. True when its bytes must follow, and then
    /// `end`.
    fn begin(&mut self, entry: &Entry, lacks: &mut Vec<String>) -> Result<bool, Failure>;
    /// The next bytes of the entry.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure>;
    /// Ends the entry.
    fn end(&mut self) -> Result<(), Failure>;
    /// Ends the archive.
    fn finish(self) -> Result<(), Failure>;
}
