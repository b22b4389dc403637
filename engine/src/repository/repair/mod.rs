//! Repair: what is damaged is made good from what is left. It adds objects; those that are there stay as they are.
//!
//! ```text
//! look -+-> index      packs that no index object names, named again by their own tables; lost data keys put back
//!       +-> packs      what still opens of damaged packs, in new packs (salvage); the old ones are condemned
//!       +-> fetch      what is missing, from another repository that has the same files
//!       `-> snapshots  without the entries whose data is nowhere (judge), stored beside the old ones
//! ```
//! Every verb looks first, in the order that a prune looks in: marks, tombs, the index, the list of packs. What it adds
//! follows the order of a backup: packs, a barrier, the index object that names them. So a repair may be cut off anywhere
//! and be run again, beside backups and prunes, and whatever was readable before is readable after it.

mod fetch;
#[cfg(test)]
mod fetch_tests;
mod index;
mod judge;
mod keys;
mod look;
mod packs;
#[cfg(test)]
mod packs_tests;
mod salvage;
mod saving;
mod snapshots;
mod unnamed;

pub use fetch::FetchBuilder;
pub use fetch::FetchReport;
pub use index::IndexRepaired;
pub use index::RepairIndexBuilder;
pub(super) use judge::Judge;
pub(super) use judge::told;
pub use keys::KeysRepaired;
pub use packs::DamagedPack;
pub use packs::PacksRepaired;
pub use packs::RepairPacksBuilder;
pub use snapshots::RepairSnapshotsBuilder;
pub use snapshots::SnapshotRepaired;
pub use snapshots::SnapshotsRepaired;
