//! The last arrow: intent, validation, and the one small object that makes a snapshot.

use super::intent::Intent;
use super::intent::Moment;
use super::late;
use super::needs::Footing;
use super::needs::Needs;
use super::rescue;
use super::rescue::Rescued;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::limits::VALIDATION_SECONDS_MAX;
use crate::limits::VALIDATIONS_MAX;
use crate::store::Store;
use crate::verdict::Verdict;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Stores the snapshot. It takes what the snapshot needs, which is proof that all packs are indexed, and the record
/// carries the source's verdict: neither can be forgotten.
pub(crate) async fn commit(
    store: &Arc<Store>,
    control: &Control,
    mut needs: Needs,
    snapshot: &mut Snapshot,
    verdict: Verdict,
) -> Result<()> {
    snapshot.verdict = verdict;
    let mut intent = Intent::declare(store, snapshot).await?;
    let validated = match validate(store, control, snapshot, Some(&mut intent), &mut needs).await {
        Ok(Validated::At(moment)) => moment,
        // Nothing is committed: the intent protects nothing any more.
        Ok(Validated::Lost(lost, why)) => {
            intent.withdraw().await;
            return Err(refusal(why, &format!("{} chunks that it needs are in no other pack", lost.len())));
        }
        Err(error) => {
            intent.withdraw().await;
            return Err(error);
        }
    };
    let name = Name::Snapshot(snapshot.id);
    // After a failed put the intent stays: the snapshot may yet become visible.
    store.put_small(&name, intent.body()).await?;
    let late = intent.is_late(&name, validated).await;
    let outcome = if late { look_again(store, snapshot, &mut needs).await } else { Ok(()) };
    // Where listings may be stale a prune would see the one gone and the other not yet there: it removes the record later.
    if store.backend().lists_at_once() {
        intent.withdraw().await;
    }
    outcome
}

/// After a late commit: what it needs is validated once more and copied where it must be, or the loss is told.
async fn look_again(store: &Arc<Store>, snapshot: &mut Snapshot, needs: &mut Needs) -> Result<()> {
    // The snapshot is there already: to stop now would only leave it unmended.
    let unstoppable = Control::new();
    match validate(store, &unstoppable, snapshot, None, needs).await {
        Ok(Validated::At(_)) => Ok(()),
        Ok(Validated::Lost(lost, _)) => Err(late::loss(store, snapshot, &lost).await),
        Err(error) => {
            let doing = format!("snapshot {} was stored late, and its data could not be looked after", snapshot.id);
            Err(Error::new(error.kind(), doing).because(error))
        }
    }
}

/// What a validation came to.
enum Validated {
    /// All that the snapshot needs was usable then, and that is not long ago.
    At(Moment),
    /// These chunks are gone, and that is why.
    Lost(HashSet<ChunkId>, Footing),
}

/// Whether the snapshot is there whose changed record is to be stored, so that prunes have spared its data until now: what
/// it lacks is damage. Where a listing may be stale nobody can tell that from packs that are not listed yet.
async fn is_damaged(store: &Arc<Store>, twin: Option<SnapshotId>) -> Result<bool> {
    match twin.filter(|_| store.backend().lists_at_once()) {
        Some(twin) => Ok(store.backend().stat(&Name::Snapshot(twin)).await?.is_some()),
        None => Ok(false),
    }
}

/// No snapshot is stored. Whether a prune is to blame decides what is said.
fn refusal(why: Footing, what: &str) -> Error {
    let (kind, why) = match why {
        Footing::Missing => (Kind::Damaged, "packs or index objects are gone that no prune says it took"),
        Footing::Condemned => (Kind::Conflict, "packs that the snapshot needs are condemned"),
        Footing::Usable => (Kind::Conflict, "the clocks jumped each time that everything had been validated"),
    };
    Error::new(kind, "commit the snapshot").because(format!("{why}, and {what}; try again"))
}

/// Sees to it that everything the snapshot needs is usable (docs/FORMAT.md, order of writing, steps 4 and 5). Without an
/// `intent` the snapshot is stored already, and protects its data by itself. An intent that must be declared again
/// makes another snapshot of it.
async fn validate(
    store: &Arc<Store>,
    control: &Control,
    snapshot: &mut Snapshot,
    mut intent: Option<&mut Intent>,
    needs: &mut Needs,
) -> Result<Validated> {
    let mut footing = Footing::Usable;
    let twin = needs.twin;
    for round in 0..VALIDATIONS_MAX {
        control.check()?;
        if round > 0
            && let Some(intent) = intent.as_deref_mut()
        {
            intent.renew(snapshot).await?;
        }
        let moment = Moment::now(store.clock());
        footing = needs.footing(store).await?;
        if footing == Footing::Usable {
            // The last look at the clocks: between here and the snapshot there is only its put.
            let is_recent = moment.age(store.clock()) <= Duration::from_secs(VALIDATION_SECONDS_MAX);
            if is_recent && intent.as_deref().is_none_or(Intent::is_young) {
                return Ok(Validated::At(moment));
            }
            continue;
        }
        match rescue::rescue(store, control, snapshot.session, snapshot.root, &needs.packs).await? {
            Rescued::All(found) => *needs = found,
            // No change of its record makes it worse, and who could not change it could never unprotect and forget it.
            Rescued::Lost(_, rest) if is_damaged(store, twin).await? => *needs = rest,
            Rescued::Lost(lost, _) => return Ok(Validated::Lost(lost, footing)),
        }
    }
    Err(refusal(footing, &format!("{VALIDATIONS_MAX} attempts were not enough")))
}
