//! Names of objects: the layout of a repository, to text and back.

use crate::id::DataKeyId;
use crate::id::IndexId;
use crate::id::KeyListId;
use crate::id::PackId;
use crate::id::SlotId;
use crate::id::SnapshotId;
use crate::limits::INDEX_BYTES_MAX;
use crate::limits::KIB;
use crate::limits::PACK_BYTES_MAX;
use crate::limits::SIGNATURE_BYTES_MAX;
use crate::limits::SLOT_BYTES_MAX;
use crate::limits::SMALL_OBJECT_BYTES_MAX;
use std::fmt;

/// Room for what surrounds the body of a small object (head, tag).
const SEAL_BYTES: usize = 64 * KIB;

/// The name of one object; never reused for other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Name {
    /// What the repository is.
    Config,
    /// One way to unlock.
    Slot(SlotId),
    /// Which slots there should be.
    KeyList(KeyListId),
    /// A wrapped data key.
    DataKey(DataKeyId),
    /// Segments.
    Pack(PackId),
    /// Which chunk is in which pack.
    Index(IndexId),
    /// A snapshot that is about to be committed.
    Pending(SnapshotId),
    /// A committed snapshot.
    Snapshot(SnapshotId),
    /// Packs condemned by one prune run.
    Mark(SnapshotId),
    /// Packs deleted by one prune run.
    Tomb(SnapshotId),
}

/// A folder of objects of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Area {
    /// `keys/slot/`
    Slots,
    /// `keys/list/`
    KeyLists,
    /// `keys/data/`
    DataKeys,
    /// `packs/<2 hex>/`
    Packs,
    /// `index/`
    Index,
    /// `pending/`
    Pending,
    /// `snapshots/`
    Snapshots,
    /// `gc/mark/`
    Marks,
    /// `gc/tomb/`
    Tombs,
}

impl Area {
    /// Every area.
    pub const ALL: [Self; 9] = [
        Self::Slots,
        Self::KeyLists,
        Self::DataKeys,
        Self::Packs,
        Self::Index,
        Self::Pending,
        Self::Snapshots,
        Self::Marks,
        Self::Tombs,
    ];

    /// The folder below the location, with a slash at its end.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Slots => "keys/slot/",
            Self::KeyLists => "keys/list/",
            Self::DataKeys => "keys/data/",
            Self::Packs => "packs/",
            Self::Index => "index/",
            Self::Pending => "pending/",
            Self::Snapshots => "snapshots/",
            Self::Marks => "gc/mark/",
            Self::Tombs => "gc/tomb/",
        }
    }

    /// The object of this area that the text after the prefix names; `None` for a stranger.
    pub fn parse(self, rest: &str) -> Option<Name> {
        match self {
            Self::Slots => SlotId::from_hex(rest).map(Name::Slot),
            Self::KeyLists => KeyListId::from_hex(rest).map(Name::KeyList),
            Self::DataKeys => DataKeyId::from_hex(rest).map(Name::DataKey),
            Self::Packs => {
                let (fan, rest) = rest.split_once('/')?;
                if fan.len() != 2 || !rest.starts_with(fan) {
                    return None;
                }
                PackId::from_hex(rest).map(Name::Pack)
            }
            Self::Index => IndexId::from_hex(rest).map(Name::Index),
            Self::Pending => SnapshotId::from_hex(rest).map(Name::Pending),
            Self::Snapshots => SnapshotId::from_hex(rest).map(Name::Snapshot),
            Self::Marks => SnapshotId::from_hex(rest).map(Name::Mark),
            Self::Tombs => SnapshotId::from_hex(rest).map(Name::Tomb),
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix().trim_end_matches('/'))
    }
}

impl Name {
    /// Reads the text form back; `None` for anything that is not exactly one.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "config" {
            return Some(Self::Config);
        }
        Area::ALL.into_iter().find_map(|area| area.parse(text.strip_prefix(area.prefix())?))
    }

    /// The area it is listed in; `None` for the config, which is alone.
    pub const fn area(&self) -> Option<Area> {
        match self {
            Self::Config => None,
            Self::Slot(_) => Some(Area::Slots),
            Self::KeyList(_) => Some(Area::KeyLists),
            Self::DataKey(_) => Some(Area::DataKeys),
            Self::Pack(_) => Some(Area::Packs),
            Self::Index(_) => Some(Area::Index),
            Self::Pending(_) => Some(Area::Pending),
            Self::Snapshot(_) => Some(Area::Snapshots),
            Self::Mark(_) => Some(Area::Marks),
            Self::Tomb(_) => Some(Area::Tombs),
        }
    }

    /// The largest object, in bytes, that is stored or read under such a name.
    pub fn bytes_max(&self) -> u64 {
        let bytes = match self {
            Self::Pack(_) => PACK_BYTES_MAX,
            Self::Index(_) => INDEX_BYTES_MAX,
            Self::Slot(_) => SLOT_BYTES_MAX,
            _ => SMALL_OBJECT_BYTES_MAX + SEAL_BYTES + SIGNATURE_BYTES_MAX,
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Whether its durability waits for a barrier.
    pub const fn is_pack(&self) -> bool {
        matches!(self, Self::Pack(_))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.area().map_or("", Area::prefix);
        match self {
            Self::Config => f.write_str("config"),
            Self::Slot(id) => write!(f, "{prefix}{id}"),
            Self::KeyList(id) => write!(f, "{prefix}{id}"),
            Self::DataKey(id) => write!(f, "{prefix}{id}"),
            Self::Pack(id) => {
                let fan = id.as_bytes().first().copied().unwrap_or_default();
                write!(f, "{prefix}{fan:02x}/{id}")
            }
            Self::Index(id) => write!(f, "{prefix}{id}"),
            Self::Pending(id) | Self::Snapshot(id) | Self::Mark(id) | Self::Tomb(id) => write!(f, "{prefix}{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<(Name, &'static str)> {
        let snapshot = SnapshotId::from_bytes([0xab; 16]);
        let long = "cd".repeat(32);
        let text = |prefix: &str, rest: &str| -> &'static str { format!("{prefix}{rest}").leak() };
        vec![
            (Name::Config, "config"),
            (Name::Slot(SlotId::from_bytes([0x12; 8])), "keys/slot/1212121212121212"),
            (Name::KeyList(KeyListId::from_bytes([0xab; 16])), "keys/list/abababababababababababababababab"),
            (Name::DataKey(DataKeyId::from_bytes([1; 16])), "keys/data/01010101010101010101010101010101"),
            (Name::Pack(PackId::from_bytes([0xcd; 32])), text("packs/cd/", &long)),
            (Name::Index(IndexId::from_bytes([0xcd; 32])), text("index/", &long)),
            (Name::Pending(snapshot), "pending/abababababababababababababababab"),
            (Name::Snapshot(snapshot), "snapshots/abababababababababababababababab"),
            (Name::Mark(snapshot), "gc/mark/abababababababababababababababab"),
            (Name::Tomb(snapshot), "gc/tomb/abababababababababababababababab"),
        ]
    }

    #[test]
    fn every_name_reads_back_from_its_frozen_text() {
        for (name, text) in one_of_each() {
            assert_eq!(name.to_string(), text);
            assert_eq!(Name::parse(text), Some(name));
            if let Some(area) = name.area() {
                assert!(text.starts_with(area.prefix()));
            }
        }
    }

    #[test]
    fn other_spellings_are_no_names() {
        for (_, text) in one_of_each() {
            for other in [format!("/{text}"), format!("{text}/"), format!("{text} "), text.to_uppercase()] {
                assert_eq!(Name::parse(&other), None, "{other}");
            }
            assert_eq!(Name::parse(&text[..text.len() - 1]), None);
        }
        let long = "cd".repeat(32);
        for text in [
            String::new(),
            format!("packs/{long}"),
            format!("packs/ce/{long}"),
            format!("packs/cd/cd/{long}"),
            format!("packs/c/{long}"),
            format!("packs//{long}"),
            "../config".into(),
        ] {
            assert_eq!(Name::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn no_two_names_share_a_text() {
        let texts: std::collections::BTreeSet<String> =
            one_of_each().into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(texts.len(), one_of_each().len());
    }
}
