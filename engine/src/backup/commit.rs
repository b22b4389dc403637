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

/// The outcome of a commit, unless the store failed.
#[must_use = "a snapshot may not have been stored"]
pub(crate) enum Committed {
    /// The snapshot is there.
    Yes,
    /// It is not. Who has its source can store again what is lacking.
    Lacking(Lack),
}

/// Why a snapshot cannot be stored: data that it needs is in no pack that may be relied on.
pub(crate) struct Lack {
    why: Footing,
    chunks: usize,
}

impl Lack {
    /// That no snapshot is stored.
    pub(crate) fn into_error(self) -> Error {
        refusal(self.why, &self.what())
    }

    /// In words, for those who go on.
    pub(crate) fn describe(&self) -> String {
        format!("{}, and {}", in_words(self.why), self.what())
    }

    fn what(&self) -> String {
        let chunks = if self.chunks == 1 { "chunk that it needs is" } else { "chunks that it needs are" };
        format!("{} {chunks} in no other pack", self.chunks)
    }
}

impl Committed {
    /// For those who have no source to read again.
    pub(crate) fn or_fail(self) -> Result<()> {
        match self {
            Self::Yes => Ok(()),
            Self::Lacking(lack) => Err(lack.into_error()),
        }
    }
}

/// Stores the snapshot. It takes what the snapshot needs, which is proof that all packs are indexed, and the record
/// carries the source's verdict: neither can be forgotten.
pub(crate) async fn commit(
    store: &Arc<Store>,
    control: &Control,
    needs: &mut Needs,
    snapshot: &mut Snapshot,
    verdict: Verdict,
) -> Result<Committed> {
    snapshot.verdict = verdict;
    let mut intent = Intent::declare(store, snapshot).await?;
    let validated = match validate(store, control, snapshot, Some(&mut intent), needs).await {
        Ok(Validated::At(moment)) => moment,
        // Nothing is committed: the intent protects nothing any more.
        Ok(Validated::Lost(lost, why)) => {
            intent.withdraw().await;
            return Ok(Committed::Lacking(Lack { why, chunks: lost.len() }));
        }
        Err(error) => {
            intent.withdraw().await;
            return Err(error);
        }
    };
    let name = Name::Snapshot(snapshot.id);
    if let Err(error) = store.put_small(&name, intent.body()).await {
        // The intent stays where the snapshot may yet become visible.
        if is_refused(store, &name, &error).await {
            intent.withdraw().await;
        }
        return Err(error);
    }
    // The snapshot is there: to stop now would only leave it unmended.
    let unstoppable = Arc::new(store.unstoppable());
    let late = intent.is_late(&unstoppable, &name, validated).await;
    let outcome = if late { look_again(&unstoppable, snapshot, needs).await } else { Ok(()) };
    // Where listings may be stale a prune would see the one gone and the other not yet there: it removes the record later.
    if store.lists_at_once() {
        intent.withdraw().await;
    }
    outcome.map(|()| Committed::Yes)
}

/// Whether a snapshot that could not be stored will not appear later either: the store itself has refused it, and it is not
/// there.
async fn is_refused(store: &Arc<Store>, name: &Name, error: &Error) -> bool {
    matches!(error.kind(), Kind::NoSpace | Kind::BackendDenied) && matches!(store.backend().stat(name).await, Ok(None))
}

/// After a late commit: what it needs is validated once more and copied where it must be, or the loss is told.
async fn look_again(store: &Arc<Store>, snapshot: &mut Snapshot, needs: &mut Needs) -> Result<()> {
    match validate(store, &Control::new(), snapshot, None, needs).await {
        Ok(Validated::At(_)) => Ok(()),
        Ok(Validated::Lost(lost, _)) => Err(late::loss(store, snapshot, &lost).await),
        Err(error) => {
            let doing = format!("snapshot {} was stored late, and its data could not be checked again", snapshot.id);
            Err(Error::new(error.kind(), doing).because(error))
        }
    }
}

/// The outcome of a validation.
enum Validated {
    /// All that the snapshot needs was usable then, and that is not long ago.
    At(Moment),
    /// These chunks are gone, and that is why.
    Lost(HashSet<ChunkId>, Footing),
}

/// Whether the snapshot is there whose changed record is to be stored, so that prunes have spared its data until now: what
/// it lacks is damage. Where a listing may be stale nobody can tell that from packs that are not listed yet.
async fn is_damaged(store: &Arc<Store>, twin: Option<SnapshotId>) -> Result<bool> {
    match twin.filter(|_| store.lists_at_once()) {
        Some(twin) => Ok(store.backend().stat(&Name::Snapshot(twin)).await?.is_some()),
        None => Ok(false),
    }
}

/// No snapshot is stored. Whether a prune is to blame decides what is said.
fn refusal(why: Footing, what: &str) -> Error {
    let kind = match why {
        Footing::Missing | Footing::Damaged => Kind::Damaged,
        Footing::Condemned | Footing::Usable => Kind::Conflict,
    };
    Error::new(kind, "commit the snapshot").because(format!("{}, and {what}; try again", in_words(why)))
}

fn in_words(why: Footing) -> &'static str {
    match why {
        Footing::Missing => "packs or index objects are missing, and no prune has recorded their removal",
        Footing::Condemned => "packs that the snapshot needs are condemned",
        Footing::Damaged => "packs that the snapshot needs turned out to be damaged",
        Footing::Usable => "validating everything took too long each time",
    }
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
    let (mut footing, mut was_good) = (Footing::Usable, false);
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
            was_good = true;
            // The last look at the clocks: between here and the snapshot there is only its put.
            let is_recent = moment.age(store.clock()) <= Duration::from_secs(VALIDATION_SECONDS_MAX);
            if is_recent && intent.as_deref().is_none_or(Intent::is_young) {
                return Ok(Validated::At(moment));
            }
            continue;
        }
        // A rescue loads the index anew: two of them need not be in memory.
        needs.outdated();
        let Needs { packs, distrust, .. } = &*needs;
        match rescue::rescue(store, control, snapshot.session, snapshot.root, packs, distrust).await? {
            Rescued::All(found) => *needs = found,
            // No change of its record makes it worse, and who could not change it could never unprotect and forget it.
            Rescued::Lost(_, rest) if is_damaged(store, twin).await? => *needs = rest,
            Rescued::Lost(lost, _) => return Ok(Validated::Lost(lost, footing)),
        }
    }
    // What was all there once is not damaged: others are faster, or this machine too slow.
    let why = if was_good { Footing::Usable } else { footing };
    Err(refusal(why, &format!("{VALIDATIONS_MAX} attempts were not enough")))
}
