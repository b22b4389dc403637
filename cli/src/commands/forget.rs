//! `forget`: removes snapshots by their IDs.

use crate::args::FilterArgs;
use crate::args::ForgetArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::clock;
use crate::show::message;
use crate::show::short;
use serde_json::Value;
use strongroom::Repository;
use strongroom::SnapshotId;

/// Removes the snapshots named; all of them exist, or none is removed.
pub async fn run(context: &Context, args: ForgetArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let snapshots = context.select(&repository, &args.ids, &FilterArgs::default()).await?;
    let ids: Vec<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();
    if !args.dry_run {
        repository.forget(&ids).await?;
    }
    if context.show.json {
        let mut value = message("forgotten");
        value.insert("dry_run".into(), args.dry_run.into());
        value.insert("snapshots".into(), ids.iter().map(ToString::to_string).collect::<Vec<_>>().into());
        context.show.json(&Value::Object(value))?;
        return Ok(Exit::Done);
    }
    let what = if args.dry_run { "would remove" } else { "removed" };
    for snapshot in &snapshots {
        context.show.say(&format!("{what} snapshot {} of {}", short(&snapshot.id), clock(snapshot.started)))?;
    }
    Ok(Exit::Done)
}
