//! `prune`: gives back the space of what no snapshot needs.

use crate::args::PruneArgs;
use crate::args::PruneHow;
use crate::commands::Context;
use crate::commands::pending;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::counted;
use crate::show::drive;
use crate::show::message;
use crate::show::told;
use crate::show::unless_closed;
use crate::show::waiting;
use serde_json::Value;
use serde_json::json;
use strongroom::Kind;
use strongroom::PendingRecord;
use strongroom::PruneBuilder;
use strongroom::PruneReport;
use strongroom::PruneSummary;
use strongroom::Repository;
use strongroom::SealedBefore;
use strongroom::Snapshot;

/// Shows the plan, and carries it out unless it is only to be shown.
pub async fn run(context: &Context, args: PruneArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    carry_out(context, builder(repository.prune(), &args.how), args.dry_run).await
}

/// What was asked for; what was not stays as the engine has it.
fn builder(mut builder: PruneBuilder, how: &PruneHow) -> PruneBuilder {
    builder = builder
        .repack_small(how.repack_small)
        .reencrypt(how.reencrypt)
        .allow_no_snapshots(how.unsafe_allow_no_snapshots);
    builder = how.max_unused.into_iter().fold(builder, PruneBuilder::max_unused);
    builder = how.max_repack_size.into_iter().fold(builder, PruneBuilder::max_repack_bytes);
    builder = how.grace.into_iter().fold(builder, PruneBuilder::grace);
    how.min_age.into_iter().fold(builder, PruneBuilder::min_age)
}

/// The same after these snapshots were forgotten.
pub async fn after_forget(
    context: &Context,
    repository: &Repository,
    forgotten: &[Snapshot],
    how: &PruneHow,
) -> Result<Exit, Failure> {
    let sessions: Vec<_> = forgotten.iter().flat_map(|snapshot| [snapshot.id, snapshot.session]).collect();
    carry_out(context, builder(repository.prune().forgotten(&sessions), how), false).await
}

/// The same after the root key was changed, to seal anew what was stored before.
pub async fn after_rotation(context: &Context, repository: &Repository) -> Result<Exit, Failure> {
    carry_out(context, repository.prune().reencrypt(true), false).await
}

async fn carry_out(context: &Context, builder: PruneBuilder, dry_run: bool) -> Result<Exit, Failure> {
    let plan = drive(builder.plan(), &context.show, &context.interrupt, false).await.map_err(|failure| {
        if failure.exit != Exit::of(Kind::Invalid) {
            return failure;
        }
        failure.hint("check the location; '--unsafe-allow-no-snapshots' removes all data if that is meant")
    })?;
    let summary = plan.summary();
    let planned = match context.show.json {
        true => plan_json(context, &summary, plan.pending(), dry_run),
        false => plan_lines(context, &summary).and_then(|()| pending::lines(context, plan.pending())),
    };
    let planned = planned.and_then(|()| match summary.is_beginning {
        true => context.show.say(NO_SNAPSHOT_YET),
        false => Ok(()),
    });
    let is_idle = summary.sealed_before.is_some_and(|before| before.is_nothing());
    if dry_run {
        // The real run says so of what it has left.
        let planned = planned.and_then(|()| match is_idle {
            true => context.show.say("nothing is sealed under an earlier root key"),
            false => Ok(()),
        });
        unless_closed(planned.and_then(|()| context.show.say("nothing was changed")))?;
        return Ok(Exit::Done);
    }
    // A log on a full disk is a reason to prune, and none to stop.
    let report = drive(plan.apply(), &context.show, &context.interrupt, false).await?;
    let shown = planned.and_then(|()| match context.show.json {
        true => report_json(context, &report),
        false => report_lines(context, &report, summary.grace_seconds),
    });
    told(shown, || "the repository is pruned".into())?;
    if report.packs_damaged == 0 {
        return Ok(Exit::Done);
    }
    let (packs, are) = (counted(report.packs_damaged, "pack"), if report.packs_damaged == 1 { "is" } else { "are" });
    context.show.warn(&format!(
        "{packs} that the prune has read {are} damaged: 'strongroom repair packs' saves what can be saved of what snapshots \
         need, and condemns the rest"
    ));
    Ok(Exit::Partial)
}

/// What a prune says that finds nothing but what first backups may be writing.
const NO_SNAPSHOT_YET: &str = "there is no snapshot yet, and what is stored may belong to a backup that runs: nothing is \
                               removed; '--unsafe-allow-no-snapshots' removes all of it, if that is meant";

fn plan_lines(context: &Context, plan: &PruneSummary) -> Result<(), Failure> {
    let packs = |packs: u64, count: u64| format!("{} in {}", bytes(count), counted(packs, "pack"));
    let mut gives_back = bytes(plan.bytes_freed());
    if plan.grace_seconds > 0 && plan.bytes_freed() > 0 {
        let grace = waiting(plan.grace_seconds);
        gives_back = format!("{gives_back}, by a prune that runs in {grace} or later");
    }
    let mut lines = vec![
        ("stored", packs(plan.packs, plan.bytes)),
        ("not needed", bytes(plan.bytes_unused)),
        ("to remove", packs(plan.packs_removed, plan.bytes_removed)),
        (
            "to write anew",
            format!("{} of {}", bytes(plan.bytes_copied), packs(plan.packs_repacked, plan.bytes_repacked)),
        ),
        ("gives back", gives_back),
        ("stays unused", bytes(plan.bytes_unused_after)),
    ];
    if plan.packs_unindexed > 0 {
        lines.push(("left by dead runs", format!("{} of the packs to remove", plan.packs_unindexed)));
    }
    if plan.packs_young > 0 {
        lines.push((
            "too young",
            format!("{} not needed in {}", bytes(plan.bytes_young), counted(plan.packs_young, "pack")),
        ));
    }
    if plan.packs_unfinished > 0 {
        let packs = packs(plan.packs_unfinished, plan.bytes_unfinished);
        lines.push(("unfinished runs", format!("{packs}, too young: a later prune takes them")));
    }
    if plan.packs_waiting > 0 {
        lines.push(("condemned before", counted(plan.packs_waiting, "pack")));
    }
    if plan.packs_due > 0 {
        lines.push(("of these go now", packs(plan.packs_due, plan.bytes_due)));
    }
    if plan.keys_removed > 0 {
        lines.push(("keys of no pack", counted(plan.keys_removed, "data key")));
    }
    if let Some(before) = plan.sealed_before {
        lines.push(("under earlier keys", sealed_before(&before)));
        if before.packs_staying > 0 {
            lines.push(("stays so for now", counted(before.packs_staying, "pack")));
        }
    }
    for (name, text) in lines {
        context.show.say(&format!("{name:<20} {text}"))?;
    }
    if plan.packs_young + plan.packs_unfinished > 0 {
        context
            .show
            .say("a backup that runs may yet need young packs; when none does, --min-age 0h takes them as well")?;
    }
    Ok(())
}

/// What opens with an earlier root key, in words.
fn sealed_before(before: &SealedBefore) -> String {
    format!(
        "{} in {}, {}, {}",
        bytes(before.bytes),
        counted(before.packs, "pack"),
        counted(before.index_objects, "index object"),
        counted(before.snapshots, "snapshot")
    )
}

fn sealed_before_json(before: Option<SealedBefore>) -> Option<Value> {
    before.map(|before| {
        json!({
            "snapshots_count": before.snapshots,
            "index_objects": before.index_objects,
            "packs": before.packs,
            "bytes": before.bytes,
            "packs_condemned": before.packs_condemned,
            "packs_staying": before.packs_staying,
        })
    })
}

fn plan_json(context: &Context, plan: &PruneSummary, records: &[PendingRecord], dry_run: bool) -> Result<(), Failure> {
    let mut value = message("prune_plan");
    value.insert("dry_run".into(), dry_run.into());
    value.insert("no_snapshot_yet".into(), plan.is_beginning.into());
    value.insert("pending_records".into(), pending::json(records));
    for (name, number) in [
        ("snapshots_count", plan.snapshots),
        ("pending", plan.pending),
        ("packs", plan.packs),
        ("bytes", plan.bytes),
        ("packs_removed", plan.packs_removed),
        ("bytes_removed", plan.bytes_removed),
        ("packs_unindexed", plan.packs_unindexed),
        ("packs_repacked", plan.packs_repacked),
        ("bytes_repacked", plan.bytes_repacked),
        ("bytes_copied", plan.bytes_copied),
        ("bytes_freed", plan.bytes_freed()),
        ("bytes_unused", plan.bytes_unused),
        ("bytes_unused_after", plan.bytes_unused_after),
        ("packs_young", plan.packs_young),
        ("bytes_young", plan.bytes_young),
        ("packs_unfinished", plan.packs_unfinished),
        ("bytes_unfinished", plan.bytes_unfinished),
        ("packs_waiting", plan.packs_waiting),
        ("packs_due", plan.packs_due),
        ("bytes_due", plan.bytes_due),
        ("keys_removed", plan.keys_removed),
        ("grace_seconds", plan.grace_seconds),
    ] {
        value.insert(name.into(), number.into());
    }
    value.extend(sealed_before_json(plan.sealed_before).map(|before| ("sealed_before".to_owned(), before)));
    context.show.json(&Value::Object(value))
}

fn report_lines(context: &Context, report: &PruneReport, grace_seconds: u64) -> Result<(), Failure> {
    let show = &context.show;
    if report.packs_written > 0 {
        show.say(&format!(
            "wrote {} of data anew in {}",
            bytes(report.bytes_written),
            counted(report.packs_written, "pack")
        ))?;
    }
    show.say(&format!("removed {} of {}", counted(report.packs_deleted, "pack"), bytes(report.bytes_deleted)))?;
    if report.leftovers.files > 0 {
        let (files, size) = (counted(report.leftovers.files, "file"), bytes(report.leftovers.bytes));
        show.say(&format!("removed {files} of {size} that runs which were killed had left in tmp/"))?;
    }
    show.say(&format!("left: {} in {}", bytes(report.bytes_left), counted(report.packs_left, "pack")))?;
    if report.packs_waiting > 0 {
        let grace = waiting(grace_seconds);
        show.say(&format!("{} of them wait for a prune that runs in {grace} or later", report.packs_waiting))?;
    }
    report.sealed_before.map_or(Ok(()), |before| reencryption_lines(context, report, &before))
}

fn reencryption_lines(context: &Context, report: &PruneReport, left: &SealedBefore) -> Result<(), Failure> {
    let show = &context.show;
    if report.snapshots_sealed_anew > 0 {
        let count = counted(report.snapshots_sealed_anew, "snapshot");
        show.say(&format!("sealed the record of {count} anew, under a new ID"))?;
    }
    if left.is_nothing() {
        return show.say("nothing is sealed under an earlier root key any more");
    }
    show.say(&format!("still under earlier keys: {}", sealed_before(left)))?;
    let young = "; with --min-age 0h, when no backup runs, it takes young packs as well";
    show.say(&format!("'strongroom prune --reencrypt' goes on{}", if left.packs_staying > 0 { young } else { "" }))
}

fn report_json(context: &Context, report: &PruneReport) -> Result<(), Failure> {
    let mut value = message("summary");
    for (name, number) in [
        ("packs_condemned", report.packs_condemned),
        ("packs_deleted", report.packs_deleted),
        ("bytes_deleted", report.bytes_deleted),
        ("packs_written", report.packs_written),
        ("bytes_written", report.bytes_written),
        ("chunks_copied", report.chunks_copied),
        ("segments_copied", report.segments_copied),
        ("segments_formed", report.segments_formed),
        ("index_written", report.index_written),
        ("index_deleted", report.index_deleted),
        ("tombs_removed", report.tombs_removed),
        ("pending_removed", report.pending_removed),
        ("keys_deleted", report.keys_deleted),
        ("packs_left", report.packs_left),
        ("bytes_left", report.bytes_left),
        ("packs_waiting", report.packs_waiting),
        ("packs_damaged", report.packs_damaged),
        ("snapshots_sealed_anew", report.snapshots_sealed_anew),
        ("files_left_over_removed", report.leftovers.files),
        ("bytes_left_over_removed", report.leftovers.bytes),
    ] {
        value.insert(name.into(), number.into());
    }
    value.extend(sealed_before_json(report.sealed_before).map(|before| ("sealed_before".to_owned(), before)));
    context.show.json(&Value::Object(value))
}
