//! Sealing anew what opens with earlier root keys: the records of snapshots here, everything else by a prune.

use super::Repository;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::prune;
use crate::prune::Plan;
use crate::prune::PruneReport;
use crate::store::Condemned;
use std::collections::BTreeSet;
use std::collections::HashMap;

impl Repository {
    /// Carries out a prune that seals anew, and replaces the records of snapshots. A record is replaced at little cost
    /// while nothing is condemned; where something is, after the prune, when all that is needed is elsewhere.
    pub(super) async fn reencrypt(&self, plan: Plan, control: Control) -> Result<PruneReport> {
        let is_first = !Condemned::read(self.store()).await?.has_marked_any();
        let mut replaced = if is_first { self.seal_records_anew(&control).await? } else { 0 };
        let mut report = plan.apply(control.clone()).await?;
        if !is_first {
            replaced = self.seal_records_anew(&control).await?;
            let left = prune::snapshots_sealed_before(self.store()).await?.len();
            if let Some(before) = &mut report.sealed_before {
                before.snapshots = u64::try_from(left).unwrap_or(u64::MAX);
            }
        }
        report.snapshots_sealed_anew = replaced;
        Ok(report)
    }

    /// Stores every record anew that is sealed under an earlier root key, under an id of its own, and removes the old one.
    /// Gives how many were removed.
    async fn seal_records_anew(&self, control: &Control) -> Result<u64> {
        let before: BTreeSet<SnapshotId> = prune::snapshots_sealed_before(self.store()).await?.into_iter().collect();
        if before.is_empty() {
            return Ok(0);
        }
        let records = self.snapshots().await?;
        let mut anew: HashMap<SnapshotId, Vec<&Snapshot>> = HashMap::new();
        for record in records.iter().filter(|record| !before.contains(&record.id)) {
            anew.entry(record.session).or_default().push(record);
        }
        let mut replaced = 0;
        for id in before {
            control.check()?;
            // Read at the last moment: others may have forgotten it.
            let record = match self.snapshot(&id).await {
                Ok(record) => record,
                Err(error) if error.kind() == Kind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // A run that was cut off has stored its twin, and had no time to remove the old one.
            let mut twins = anew.get(&record.session).into_iter().flatten();
            if twins.any(|twin| Snapshot { id, ..Snapshot::clone(twin) } == record) {
                self.remove_records(&[id]).await?;
            } else {
                self.replace_record(record).await?;
            }
            replaced += 1;
        }
        Ok(replaced)
    }
}
