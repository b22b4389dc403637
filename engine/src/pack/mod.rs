//! The one way in: chunks side by side in segments, segments side by side in packs, packs in the index.
//!
//! ```text
//! chunk -> SegmentBuilder -> Parcel -> OpenPacks -> FullPack -> NewPack -> put -> StoredPack -> IndexWriter
//!          squeeze, seal,    a sealed  several at               laid out         acknowledged   barrier, then
//!          verify            segment   a time                   and named                       the index object
//! ```
//! A backup, a prune, a repair and a copy differ in where chunks come from and in who may wait for whom; what they store
//! they store through this room. That packs are durable before an index object names them (I-13) stands in `IndexWriter`
//! alone, and cannot be left out: an index object is made of [`crate::store::DurablePacks`], which only a barrier gives.

mod buffers;
mod level;
mod open;
mod packer;
mod parcel;
mod segment;
mod writer;

pub(crate) use buffers::SegmentBuffers;
pub(crate) use open::FullPack;
pub(crate) use open::OpenPacks;
pub(crate) use open::PackShape;
pub(crate) use packer::LastFinishes;
pub(crate) use packer::Packer;
pub(crate) use packer::SealedPack;
pub(crate) use parcel::Parcel;
pub(crate) use segment::Form;
pub(crate) use segment::SegmentBuilder;
pub(crate) use segment::SegmentShape;
pub(crate) use writer::IndexWriter;
pub(crate) use writer::IndexedPacks;
