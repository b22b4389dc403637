//! The declared intent of a commit: the pending record, kept in place while it is needed, and the clocks that tell
//! how old knowledge has become.

use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::limits::LATE_COMMIT_SECONDS;
use crate::limits::PENDING_SECONDS_MAX;
use crate::random;
use crate::store::Store;
use crate::time::Clock;
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A moment by both clocks of the host: one of them may be set, the other may stand still in a suspended machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    boot: Duration,
    wall: Timestamp,
}

impl Moment {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { boot: clock.since_boot(), wall: clock.now() }
    }

    /// Time since then, by the clock that says more.
    pub(super) fn age(self, clock: &dyn Clock) -> Duration {
        let now = Self::now(clock);
        now.boot.abs_diff(self.boot).max(now.wall.distance(self.wall))
    }
}

/// A pending record in the store.
pub(super) struct Intent {
    store: Arc<Store>,
    name: Name,
    body: Vec<u8>,
    /// Just before it was stored.
    declared: Moment,
}

impl Intent {
    /// Stores the whole snapshot record: from now on a prune counts it as a snapshot. A record that nobody could read, which
    /// would stop every prune, is refused.
    pub(super) async fn declare(store: &Arc<Store>, snapshot: &Snapshot) -> Result<Self> {
        let (name, body) = (Name::Pending(snapshot.id), snapshot.encode());
        check(snapshot, &body)?;
        let declared = Moment::now(store.clock());
        let intent = Self { store: Arc::clone(store), name, body, declared };
        match store.put_small(&name, &intent.body).await {
            Ok(()) => Ok(intent),
            // It may be there all the same, and nobody will commit on it.
            Err(error) => {
                intent.withdraw().await;
                Err(error)
            }
        }
    }

    /// The record.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// So young that nobody takes it for left over.
    pub(super) fn is_young(&self) -> bool {
        self.declared.age(self.store.clock()) <= Duration::from_secs(PENDING_SECONDS_MAX)
    }

    /// Declares it once more if it was taken for left over, or soon could be: as another snapshot, because a late
    /// delete may still be on its way to the old name.
    pub(super) async fn renew(&mut self, snapshot: &mut Snapshot) -> Result<()> {
        if self.is_young() && self.store.backend().stat(&self.name).await?.is_some() {
            return Ok(());
        }
        snapshot.id = SnapshotId::from_bytes(random::array(self.store.rng())?);
        let renewed = Self::declare(&self.store, snapshot).await?;
        std::mem::replace(self, renewed).withdraw().await;
        Ok(())
    }

    /// Takes it back. If it cannot be removed it only keeps packs alive a while longer.
    pub(super) async fn withdraw(self) {
        let _ = self.store.backend().delete(&self.name).await;
    }

    /// Whether the snapshot became visible so long after `validated` that what was seen then may no longer hold: by
    /// this host's clocks, or by the store's, which dates the pending record and the snapshot. Not to know a date is
    /// no reason to doubt; a pending record that has gone is.
    pub(super) async fn is_late(&self, store: &Store, snapshot: &Name, validated: Moment) -> bool {
        let late = Duration::from_secs(LATE_COMMIT_SECONDS);
        if validated.age(store.clock()) > late {
            return true;
        }
        let backend = store.backend();
        let (declared, committed) = (backend.stat(&self.name).await, backend.stat(snapshot).await);
        if matches!(declared, Ok(None)) {
            return true;
        }
        let date = |stat: Result<Option<Listed>>| stat.ok().flatten().and_then(|listed| listed.modified);
        let (Some(declared), Some(committed)) = (date(declared), date(committed)) else { return false };
        let validated_after = validated.boot.saturating_sub(self.declared.boot);
        committed > declared && committed.distance(declared) > late + validated_after
    }
}

/// Refuses a record that does not read back as what it is.
fn check(snapshot: &Snapshot, body: &[u8]) -> Result<()> {
    let why = match Snapshot::decode(body) {
        Ok(read) if read == *snapshot => return Ok(()),
        Ok(_) => "it reads back as another record".to_owned(),
        Err(why) => why.to_string(),
    };
    Err(Error::new(Kind::Invalid, "cannot store the snapshot: its record could not be read again").because(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::KnownFact;
    use crate::statement::Statement;

    #[test]
    fn a_record_that_would_not_be_read_is_not_stored() {
        let good = Snapshot::new(SnapshotId::from_bytes([1; 16]), Timestamp::default());
        assert!(check(&good, &good.encode()).is_ok());
        let bad_time = Timestamp { seconds: 1, nanoseconds: 1_000_000_000 };
        let stated = Statement::new().with(KnownFact::AsOf, bad_time);
        for bad in [
            Snapshot { started: bad_time, ..good.clone() },
            Snapshot { finished: bad_time, ..good.clone() },
            Snapshot { statement: Some(stated), ..good.clone() },
            Snapshot { metadata: [(String::new(), String::new())].into(), ..good.clone() },
        ] {
            let error = check(&bad, &bad.encode()).expect_err("nobody could read it");
            assert_eq!(error.kind(), Kind::Invalid);
        }
        assert!(check(&good, &Snapshot { is_protected: true, ..good.clone() }.encode()).is_err());
    }
}
