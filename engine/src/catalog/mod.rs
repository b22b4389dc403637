//! The catalog: what is in a snapshot, as a prolly tree.
//!
//! A snapshot's entries stand in path order, cut into pages; pages of children (last path, id, counts) stand above
//! them until one page is left, the root. Pages are metadata chunks, named by their bytes. Where a page ends is
//! decided by a keyed hash of the last path in it (`boundary`), so the same entries give the same pages whoever
//! writes them and in whatever steps, and one changed entry makes new pages only on the way from it to the root. All
//! other pages are shared with the snapshot before. The same tree, by chunk ids instead of paths, holds the chunk list
//! of an entry with more chunks than stand in the entry itself.
//!
//! `build` writes both trees with one open page per level (`tree`). `read` walks, finds and lists entries, `chunks`
//! reads chunk lists, `diff` compares two catalogs without reading what they share, and `search` looks for entries of many
//! snapshots at once. Readers trust no page: whatever a
//! page above says of it (`expected`) must be so, which also means that a walk ends, because levels descend. A page
//! that cannot be read is a `gap`: the page above tells its paths, and whoever reads can go on behind it.

mod boundary;
mod build;
mod chunks;
mod cursor;
mod diff;
mod expected;
mod gap;
mod pages;
mod read;
mod search;
mod survey;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use boundary::PageHasher;
pub(crate) use build::CatalogBuilder;
pub(crate) use build::ChunkListBuilder;
pub(crate) use build::PageSink;
pub(crate) use chunks::ChunkWalk;
pub(crate) use chunks::PlacedChunk;
pub(crate) use diff::Differ;
pub use diff::Difference;
pub use gap::Gap;
pub(crate) use pages::KeptPages;
#[cfg(test)]
pub(crate) use read::LeveledPage;
pub(crate) use read::PageFuture;
pub(crate) use read::PageSource;
pub(crate) use read::Walk;
pub(crate) use read::children;
pub(crate) use read::find;
pub use search::Found;
pub use search::Search;
pub(crate) use survey::Survey;
pub(crate) use survey::Surveyor;
