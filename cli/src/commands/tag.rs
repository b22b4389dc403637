//! `tag`: changes the tags of snapshots.

use crate::args::TagArgs;
use crate::args::flat_tags;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::counted;
use crate::show::message;
use crate::show::short;
use crate::show::told;
use serde_json::Value;
use strongroom::Repository;
use strongroom::SnapshotId;
use strongroom::TagChange;

/// Changes the tags of the snapshots named, or of all that match.
pub async fn run(context: &Context, args: TagArgs) -> Result<Exit, Failure> {
    let change = TagChange {
        set: (!args.set.is_empty()).then(|| flat_tags(&args.set)),
        add: flat_tags(&args.add),
        remove: flat_tags(&args.remove),
    };
    let repository: Repository = context.open_to_write(false).await?;
    let snapshots = context.select_surely(&repository, &args.ids, &args.filter).await?;
    let ids: Vec<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.id).collect();
    let changed = repository.tag(&ids, &change).await?;
    told(tell(context, &changed), || "the tags are changed".into())?;
    Ok(Exit::Done)
}

fn tell(context: &Context, changed: &[(SnapshotId, SnapshotId)]) -> Result<(), Failure> {
    for (old, new) in changed {
        if context.show.json {
            let mut value = message("changed");
            value.insert("old_snapshot_id".into(), old.to_string().into());
            value.insert("new_snapshot_id".into(), new.to_string().into());
            context.show.json(&Value::Object(value))?;
        } else {
            context.show.say(&format!("snapshot {} is now {}", short(old), short(new)))?;
        }
    }
    if context.show.json {
        let mut value = message("summary");
        value.insert("changed_snapshots".into(), changed.len().into());
        return context.show.json(&Value::Object(value));
    }
    context.show.say(&format!("changed the tags of {}", counted(changed.len() as u64, "snapshot")))
}
