//! Packs that no index object names, looked into before anything is called lost.

use super::judge::Judge;
use super::look::PackRead;
use super::look::read_pack;
use super::salvage;
use super::salvage::Known;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::pack::PackTable;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::job::Control;
use std::collections::HashSet;

const DOING: &str = "cannot tell what the snapshots have lost";
const INDEX_FIRST: &str = "run 'strongroom repair index' first: it may not be lost";
const PACKS_FIRST: &str = "run 'strongroom repair packs' first: it saves what the pack still has";

/// Fails when a pack that no index object names may hold what is missing of the snapshots. Whatever a damaged or lost
/// index object named is in such a pack, is named by another one, or is gone. Packs of backups under way are not named yet
/// either; they are in nobody's way, unless they hold what is missing.
pub(super) async fn check_all_named(judge: &mut Judge, control: &Control, snapshots: &[Snapshot]) -> Result<()> {
    let unnamed = judge.look().unnamed();
    if unnamed.is_empty() {
        return Ok(());
    }
    let mut missing = HashSet::new();
    for snapshot in snapshots {
        control.check()?;
        missing.extend(judge.lost(control, snapshot).await?);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let look = judge.look();
    let refuse = |kind: Kind, why: String| Error::new(kind, DOING).because(why);
    for id in unnamed {
        control.check()?;
        let name = Name::Pack(id);
        match read_pack(&look.store, id).await? {
            Some(PackRead::Whole { own, .. }) if holds(&own.table, &missing) => {
                let why = format!("{name} has some of what is missing, and no index object names it");
                return Err(refuse(Kind::Damaged, why).advise(INDEX_FIRST));
            }
            // `None`: a prune has taken it meanwhile.
            Some(PackRead::Whole { .. }) | None => {}
            Some(PackRead::Damaged { bytes, .. }) => {
                let known = salvage::by_own_table(look, id, &bytes).await?;
                // Without its table nothing can be had of it: a power cut leaves such packs.
                if known.as_ref().and_then(Known::table).is_some_and(|table| holds(table, &missing)) {
                    let why = format!("{name} has some of what is missing, but it is damaged, and not in the index");
                    return Err(refuse(Kind::Damaged, why).advise(PACKS_FIRST));
                }
            }
            Some(PackRead::Unknown(why)) => return Err(refuse(Kind::Unsupported, why)),
        }
    }
    Ok(())
}

fn holds(table: &PackTable, missing: &HashSet<ChunkId>) -> bool {
    table.segments.iter().any(|segment| segment.chunks.iter().any(|chunk| missing.contains(&chunk.id)))
}
