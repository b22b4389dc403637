//! `rewrite`: snapshots written anew without some of their files.

use crate::args::RewriteArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::drive;
use crate::show::message;
use crate::show::short;
use crate::show::told;
use serde_json::Value;
use strongroom::Repository;
use strongroom::RewriteReport;

/// Rewrites the snapshots named, or all that match.
pub async fn run(context: &Context, args: RewriteArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let snapshots = context.select_surely(&repository, &args.which.ids, &args.which.filter).await?;
    let job = repository.rewrite(snapshots, args.exclude.clone()).forget(args.forget).dry_run(args.dry_run).start();
    let report = drive(job, &context.show, &context.interrupt, false).await?;
    told(tell(context, &args, &report), || match args.dry_run {
        true => "nothing was to be changed".into(),
        false => "the snapshots are rewritten".into(),
    })?;
    Ok(Exit::Done)
}

fn tell(context: &Context, args: &RewriteArgs, report: &RewriteReport) -> Result<(), Failure> {
    let show = &context.show;
    for (old, new, left_out) in &report.rewritten {
        if show.json {
            let mut value = message("rewritten");
            value.insert("old_snapshot_id".into(), old.to_string().into());
            value.insert("new_snapshot_id".into(), (!args.dry_run).then(|| new.to_string()).into());
            value.insert("entries_left_out".into(), (*left_out).into());
            show.json(&Value::Object(value))?;
        } else if args.dry_run {
            show.say(&format!("snapshot {}: entries that would be left out: {left_out}", short(old)))?;
        } else {
            show.say(&format!("snapshot {} is now {}; entries left out: {left_out}", short(old), short(new)))?;
        }
    }
    if show.json {
        let mut value = message("summary");
        value.insert("dry_run".into(), args.dry_run.into());
        value.insert("snapshots_rewritten".into(), report.rewritten.len().into());
        value.insert("snapshots_unchanged".into(), report.unchanged.len().into());
        show.json(&Value::Object(value))
    } else {
        let what = if args.dry_run { "to be rewritten" } else { "rewritten" };
        let line = format!("snapshots {what}: {}, without a match: {}", report.rewritten.len(), report.unchanged.len());
        show.say(&line)
    }
}
