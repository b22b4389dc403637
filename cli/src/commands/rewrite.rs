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
use strongroom::SnapshotRewritten;

/// Rewrites the snapshots named, or all that match.
pub async fn run(context: &Context, args: RewriteArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    let snapshots = context.select_surely(&repository, &args.which.ids, &args.which.filter).await?;
    let job = repository.rewrite(snapshots, args.exclude.clone()).forget(args.forget).dry_run(args.dry_run).start();
    let list = args.dry_run || context.show.verbose > 0;
    let report = drive(job, &context.show, &context.interrupt, list).await?;
    told(tell(context, &args, &report), || match args.dry_run {
        true => "nothing was to be changed".into(),
        false => "the snapshots are rewritten".into(),
    })?;
    for id in &report.refused {
        let left = if args.dry_run { "would be left as it is" } else { "was left as it is" };
        context.show.warn(&format!("snapshot {} is protected and {left}", short(id)));
    }
    if report.refused.is_empty() {
        return Ok(Exit::Done);
    }
    context.show.note("hint: 'strongroom unprotect' takes the protection of a snapshot away");
    Ok(Exit::Partial)
}

/// What came of a snapshot, in words.
fn line(args: &RewriteArgs, one: &SnapshotRewritten) -> String {
    let (old, count) = (short(&one.old), one.entries_left_out);
    match &one.new {
        None => format!("snapshot {old}: entries that would be left out: {count}"),
        Some(new) if one.was_there => {
            let fate = match (args.forget, args.dry_run) {
                (false, _) => "",
                (true, false) => ", and is removed",
                (true, true) => ", and would be removed",
            };
            format!("snapshot {old} was rewritten before, as {}{fate}", short(new))
        }
        Some(new) if args.forget => format!("snapshot {old} is now {}; entries left out: {count}", short(new)),
        Some(new) => format!("snapshot {old} is rewritten as {}; entries left out: {count}", short(new)),
    }
}

fn tell(context: &Context, args: &RewriteArgs, report: &RewriteReport) -> Result<(), Failure> {
    let show = &context.show;
    for one in &report.rewritten {
        if !show.json {
            show.say(&line(args, one))?;
            continue;
        }
        let mut value = message("rewritten");
        value.insert("old_snapshot_id".into(), one.old.to_string().into());
        value.insert("new_snapshot_id".into(), one.new.map(|id| id.to_string()).into());
        value.insert("was_there".into(), one.was_there.into());
        value.insert("entries_left_out".into(), one.entries_left_out.into());
        show.json(&Value::Object(value))?;
    }
    let there = report.rewritten.iter().filter(|one| one.was_there).count();
    let (new, unchanged) = (report.rewritten.len() - there, report.unchanged.len());
    if show.json {
        let mut value = message("summary");
        value.insert("dry_run".into(), args.dry_run.into());
        value.insert("snapshots_rewritten".into(), new.into());
        value.insert("snapshots_present".into(), there.into());
        value.insert("snapshots_unchanged".into(), unchanged.into());
        value.insert("snapshots_protected".into(), report.refused.len().into());
        return show.json(&Value::Object(value));
    }
    let what = if args.dry_run { "to be rewritten" } else { "rewritten" };
    show.say(&format!("snapshots {what}: {new}, there already: {there}, without a match: {unchanged}"))
}
