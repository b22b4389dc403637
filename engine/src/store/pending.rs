//! Pending records as people are told of them: whose they are, what they keep, and when they go.

use super::Store;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::limits::ABANDONED_NOTE_SECONDS;
use crate::limits::ABANDONED_SECONDS;
use crate::time::Timestamp;

/// The intent of a backup, or of a changed record, whose snapshot is not there: it runs, or it was cut off as it was about to
/// store it. What it needs stays until a prune removes the record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingRecord {
    /// Its id; that of the snapshot it announces.
    pub id: SnapshotId,
    /// The run that has stored the data.
    pub session: SnapshotId,
    /// Whose data it is.
    pub host: String,
    /// The time that the snapshot would have.
    pub started: Timestamp,
    /// When the record was stored, by the store's clock.
    pub stored: Option<Timestamp>,
    /// When a prune has announced that it goes.
    pub announced: Option<Timestamp>,
    /// Its snapshot is there: the next prune removes it.
    pub is_committed: bool,
    /// Packs that only this record, and no snapshot, keeps.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl PendingRecord {
    /// From when on a prune removes it, or, if none has announced that yet, announces it, to remove it a day later. `None`
    /// where the store tells no times.
    pub fn goes_from(&self) -> Option<Timestamp> {
        let (since, seconds) = match self.announced {
            Some(announced) => (announced, ABANDONED_NOTE_SECONDS),
            None => (self.stored?, ABANDONED_SECONDS),
        };
        let seconds = since.seconds.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        Some(Timestamp { seconds, ..since })
    }
}

/// One record, and the root of what it announces.
pub(crate) struct Pending {
    pub(crate) record: PendingRecord,
    pub(crate) root: Option<PageRef>,
}

/// All pending records that are there, and those that cannot be read. What they keep is for others to find out.
pub(crate) async fn pending_records(store: &Store) -> Result<(Vec<Pending>, Vec<(Name, Error)>)> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for listed in store.list(Area::Pending).await? {
        let (name, Name::Pending(id)) = (listed.name, listed.name) else { continue };
        let snapshot = match store.get_small(&name).await {
            Ok(body) => Snapshot::decode(&body).map_err(|cause| cause.while_reading(name)),
            // Removed since it was listed: its snapshot is committed.
            Err(error) if error.kind() == Kind::NotFound => continue,
            Err(error) => Err(error),
        };
        match snapshot {
            Ok(snapshot) if snapshot.id == id => {
                let announced = store.backend().stat(&Name::Mark(id)).await?.and_then(|mark| mark.modified);
                let is_committed = store.backend().stat(&Name::Snapshot(id)).await?.is_some();
                let Snapshot { session, host, started, root, .. } = snapshot;
                let stored = listed.modified;
                let (packs, bytes) = (0, 0);
                let record =
                    PendingRecord { id, session, host, started, stored, announced, is_committed, packs, bytes };
                found.push(Pending { record, root });
            }
            Ok(_) => unreadable.push((name, Error::damaged(name, "it is another snapshot's record"))),
            Err(error) if error.is_local() => unreadable.push((name, error)),
            Err(error) => return Err(error),
        }
    }
    Ok((found, unreadable))
}
