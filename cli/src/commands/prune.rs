//! `prune`: gives back the space of what no snapshot needs.

use crate::args::PruneArgs;
use crate::commands::Context;
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
use strongroom::Kind;
use strongroom::PruneBuilder;
use strongroom::PruneReport;
use strongroom::PruneSummary;
use strongroom::Repository;
use strongroom::Snapshot;

/// Shows the plan, and carries it out unless it is only to be shown.
pub async fn run(context: &Context, args: PruneArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let mut builder = repository
        .prune()
        .max_unused(args.how.max_unused)
        .repack_small(args.how.repack_small)
        .min_age(args.how.min_age)
        .allow_no_snapshots(args.unsafe_allow_no_snapshots);
    if let Some(size) = args.how.max_repack_size {
        builder = builder.max_repack_bytes(size);
    }
    if let Some(grace) = args.how.grace {
        builder = builder.grace(grace);
    }
    carry_out(context, builder, args.dry_run).await
}

/// The same after these snapshots were forgotten.
pub async fn after_forget(context: &Context, repository: &Repository, forgotten: &[Snapshot]) -> Result<Exit, Failure> {
    let sessions: Vec<_> = forgotten.iter().flat_map(|snapshot| [snapshot.id, snapshot.session]).collect();
    carry_out(context, repository.prune().forgotten(&sessions), false).await
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
        true => plan_json(context, &summary, dry_run),
        false => plan_lines(context, &summary),
    };
    if dry_run {
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
    Ok(Exit::Done)
}

fn plan_lines(context: &Context, plan: &PruneSummary) -> Result<(), Failure> {
    let packs = |packs: u64, count: u64| format!("{} in {}", bytes(count), counted(packs, "pack"));
    let mut lines = vec![
        ("stored", packs(plan.packs, plan.bytes)),
        ("not needed", bytes(plan.bytes_unused)),
        ("to remove", packs(plan.packs_removed, plan.bytes_removed)),
        (
            "to write anew",
            format!("{} of {}", bytes(plan.bytes_copied), packs(plan.packs_repacked, plan.bytes_repacked)),
        ),
        ("gives back", bytes(plan.bytes_freed())),
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
    if plan.packs_waiting > 0 {
        lines.push(("condemned before", counted(plan.packs_waiting, "pack")));
    }
    for (name, text) in lines {
        context.show.say(&format!("{name:<20} {text}"))?;
    }
    if plan.packs_young > 0 {
        context
            .show
            .say("a backup that runs may yet need young packs; when none does, --min-age 0h takes them as well")?;
    }
    Ok(())
}

fn plan_json(context: &Context, plan: &PruneSummary, dry_run: bool) -> Result<(), Failure> {
    let mut value = message("prune_plan");
    value.insert("dry_run".into(), dry_run.into());
    for (name, number) in [
        ("snapshots", plan.roots),
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
        ("packs_waiting", plan.packs_waiting),
        ("grace_seconds", plan.grace_seconds),
    ] {
        value.insert(name.into(), number.into());
    }
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
    show.say(&format!("left: {} in {}", bytes(report.bytes_left), counted(report.packs_left, "pack")))?;
    if report.packs_waiting > 0 {
        let grace = waiting(grace_seconds);
        show.say(&format!("{} of them wait for a prune that runs in {grace} or later", report.packs_waiting))?;
    }
    Ok(())
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
        ("packs_left", report.packs_left),
        ("bytes_left", report.bytes_left),
        ("packs_waiting", report.packs_waiting),
    ] {
        value.insert(name.into(), number.into());
    }
    context.show.json(&Value::Object(value))
}
