//! `protect` and `unprotect`: whether a snapshot may be forgotten.

use crate::args::FilterArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::message;
use crate::show::short;
use crate::show::told;
use serde_json::Value;
use strongroom::Repository;
use strongroom::SnapshotId;

/// Protects the snapshots named, or takes their protection away.
pub async fn run(context: &Context, ids: Vec<String>, is_protected: bool) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(false).await?;
    let snapshots = context.select_surely(&repository, &ids, &FilterArgs::default()).await?;
    let ids: Vec<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();
    let changed = repository.protect(&ids, is_protected).await?;
    told(tell(context, &ids, &changed, is_protected), || "the protection is changed".into())?;
    Ok(Exit::Done)
}

fn tell(
    context: &Context,
    ids: &[SnapshotId],
    changed: &[(SnapshotId, SnapshotId)],
    is_protected: bool,
) -> Result<(), Failure> {
    let state = if is_protected { "protected" } else { "not protected any more" };
    for (old, new) in changed {
        if context.show.json {
            let mut value = message("changed");
            value.insert("old_snapshot_id".into(), old.to_string().into());
            value.insert("new_snapshot_id".into(), new.to_string().into());
            value.insert("protected".into(), is_protected.into());
            context.show.json(&Value::Object(value))?;
        } else {
            context.show.say(&format!("snapshot {} is {state}, and is now {}", short(old), short(new)))?;
        }
    }
    for id in ids.iter().filter(|id| changed.iter().all(|(old, _)| old != *id)) {
        if context.show.json {
            let mut value = message("unchanged");
            value.insert("snapshot_id".into(), id.to_string().into());
            value.insert("protected".into(), is_protected.into());
            context.show.json(&Value::Object(value))?;
        } else {
            let already = if is_protected { "was protected already" } else { "was not protected" };
            context.show.say(&format!("snapshot {} {already}", short(id)))?;
        }
    }
    if !context.show.json {
        return Ok(());
    }
    let mut value = message("summary");
    value.insert("changed_snapshots".into(), changed.len().into());
    context.show.json(&Value::Object(value))
}
