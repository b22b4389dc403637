//! Made-up object names, one for every number.

use strongroom::DataKeyId;
use strongroom::IndexId;
use strongroom::KeyListId;
use strongroom::Name;
use strongroom::PackId;
use strongroom::SlotId;
use strongroom::SnapshotId;

/// Packs spread over all fan-out folders.
pub fn pack(number: u64) -> Name {
    Name::Pack(PackId::from_hex(&format!("{:02x}{number:062x}", number % 256)).expect("64 digits"))
}

/// Index objects.
pub fn index(number: u64) -> Name {
    Name::Index(IndexId::from_hex(&format!("{number:064x}")).expect("64 digits"))
}

/// Snapshots.
pub fn snapshot(number: u64) -> Name {
    Name::Snapshot(session(number))
}

/// Pending records.
pub fn pending(number: u64) -> Name {
    Name::Pending(session(number))
}

/// Key slots.
pub fn slot(number: u64) -> Name {
    Name::Slot(SlotId::from_hex(&format!("{number:016x}")).expect("16 digits"))
}

/// What snapshots, pending records, marks and tombs are called by.
pub fn session(number: u64) -> SnapshotId {
    SnapshotId::from_hex(&format!("{number:032x}")).expect("32 digits")
}

/// One name of every kind.
pub fn one_of_each(number: u64) -> Vec<Name> {
    let key_list = KeyListId::from_hex(&format!("{number:032x}")).expect("32 digits");
    let data_key = DataKeyId::from_hex(&format!("{number:032x}")).expect("32 digits");
    vec![
        Name::Config,
        slot(number),
        Name::KeyList(key_list),
        Name::DataKey(data_key),
        pack(number),
        index(number),
        pending(number),
        snapshot(number),
        Name::Mark(session(number)),
        Name::Tomb(session(number)),
    ]
}
