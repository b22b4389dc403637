//! `stats`: how much is stored, and how much it would be otherwise.

use crate::args::StatsArgs;
use crate::args::StatsMode;
use crate::commands::Context;
use crate::commands::pending;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::clock;
use crate::show::counted;
use crate::show::message;
use crate::show::short;
use crate::show::table;
use serde_json::Map;
use serde_json::Value;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::Stats;

/// Counts, in the way that was asked for.
pub async fn run(context: &Context, args: StatsArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let snapshots = context.select(&repository, &args.ids, &args.filter).await?;
    if args.mode == StatsMode::BySnapshot {
        return by_snapshot(context, &repository, &snapshots).await;
    }
    let mut value = message("stats");
    let (mut lines, mut not_committed): (Vec<(&str, String)>, _) = (Vec::new(), Vec::new());
    let total = |count: fn(&Snapshot) -> u64| snapshots.iter().map(count).fold(0, u64::saturating_add);
    let plain = total(|snapshot| snapshot.counts.bytes);
    if args.mode != StatsMode::RawData {
        let files = total(|snapshot| snapshot.counts.files);
        value.insert("snapshots_count".into(), snapshots.len().into());
        value.insert("total_file_count".into(), files.into());
        value.insert("total_size".into(), plain.into());
        lines.push(("snapshots", snapshots.len().to_string()));
        lines.push(("files in them", files.to_string()));
        lines.push(("plain", bytes(plain)));
    }
    let mut exit = Exit::Done;
    if args.mode != StatsMode::RestoreSize {
        let stats = repository.stats().await?;
        let is_all = snapshots.len() as u64 == stats.snapshots && stats.snapshots_unreadable == 0;
        if args.mode == StatsMode::All && !is_all {
            exit = selected(context, &repository, &snapshots, &mut value, &mut lines).await?;
        }
        whole(&stats, &mut value, &mut lines);
        value.insert("pending_records".into(), pending::json(&stats.pending_records));
        if plain > 0 && stats.bytes_stored > 0 && args.mode == StatsMode::All && is_all {
            let ratio = plain as f64 / stats.bytes_stored as f64;
            value.insert("ratio".into(), ratio.into());
            lines.push(("plain / stored", format!("{ratio:.2}")));
        }
        not_committed = stats.pending_records;
    }
    if context.show.json {
        context.show.json(&Value::Object(value))?;
    } else {
        for (name, text) in lines {
            context.show.line(&format!("{name:<20} {text}"))?;
        }
        pending::lines(context, &not_committed)?;
    }
    Ok(exit)
}

/// What is stored for the snapshots that were chosen, where they are not all.
async fn selected(
    context: &Context,
    repository: &Repository,
    snapshots: &[Snapshot],
    value: &mut Map<String, Value>,
    lines: &mut Vec<(&'static str, String)>,
) -> Result<Exit, Failure> {
    let stats = repository.view_all().await?.stats_of(snapshots).await?;
    value.insert("selected_chunks".into(), stats.chunks.into());
    value.insert("selected_uncompressed_size".into(), stats.bytes_unique.into());
    value.insert("selected_stored_size".into(), stats.bytes_stored.into());
    let chunks = counted(stats.chunks, "chunk");
    lines.push(("without duplicates", format!("{} in {chunks}, these snapshots", bytes(stats.bytes_unique))));
    lines.push(("stored", format!("{}, these snapshots, whatever they share with others", bytes(stats.bytes_stored))));
    if stats.pages_unreadable == 0 {
        return Ok(Exit::Done);
    }
    let pages = counted(stats.pages_unreadable, "catalog page");
    context.show.warn(&format!("{pages} cannot be read: not all of what these snapshots have is counted"));
    Ok(Exit::Partial)
}

/// What is stored for all snapshots, whichever were chosen.
fn whole(stats: &Stats, value: &mut Map<String, Value>, lines: &mut Vec<(&'static str, String)>) {
    value.insert("packs".into(), stats.packs.into());
    value.insert("index_objects".into(), stats.index_objects.into());
    value.insert("chunks".into(), stats.chunks.into());
    value.insert("total_uncompressed_size".into(), stats.bytes_unique.into());
    value.insert("total_catalog_size".into(), stats.bytes_catalog.into());
    value.insert("total_stored_size".into(), stats.bytes_stored.into());
    value.insert("objects".into(), stats.objects.into());
    lines.push((
        "without duplicates",
        format!("{} in {}, whole repository", bytes(stats.bytes_unique), counted(stats.chunks, "chunk")),
    ));
    lines.push((
        "stored",
        format!("{} in {}, whole repository", bytes(stats.bytes_stored), counted(stats.packs, "pack")),
    ));
}

async fn by_snapshot(context: &Context, repository: &Repository, snapshots: &[Snapshot]) -> Result<Exit, Failure> {
    let view = repository.view_all().await?;
    let mut rows = Vec::new();
    let mut exit = Exit::Done;
    for snapshot in snapshots {
        let stats = view.snapshot_stats(snapshot).await?;
        if stats.pages_unreadable > 0 {
            let (id, pages) = (short(&snapshot.id), stats.pages_unreadable);
            context
                .show
                .warn(&format!("{pages} catalog pages of snapshot {id} cannot be read: not all of it is counted"));
            exit = Exit::Partial;
        }
        if context.show.json {
            let mut value = message("snapshot_stats");
            value.insert("id".into(), snapshot.id.to_string().into());
            value.insert("entries".into(), stats.entries.into());
            value.insert("total_file_count".into(), stats.files.into());
            value.insert("total_size".into(), stats.bytes.into());
            value.insert("chunks".into(), stats.chunks.into());
            value.insert("total_uncompressed_size".into(), stats.bytes_unique.into());
            value.insert("total_stored_size".into(), stats.bytes_stored.into());
            value.insert("pages_unreadable".into(), stats.pages_unreadable.into());
            value.insert("data_added".into(), snapshot.counts.bytes_new.into());
            value.insert("data_added_packed".into(), snapshot.counts.bytes_stored.into());
            context.show.json(&Value::Object(value))?;
            continue;
        }
        rows.push(vec![
            short(&snapshot.id),
            clock(snapshot.started),
            stats.files.to_string(),
            bytes(stats.bytes),
            bytes(stats.bytes_unique),
            bytes(stats.bytes_stored),
            bytes(snapshot.counts.bytes_stored),
        ]);
    }
    if context.show.json {
        return Ok(exit);
    }
    let head = ["ID", "Time", "Files", "Plain", "Without duplicates", "Stored", "Added then"];
    context.show.line(&table(&head, rows, &[2, 3, 4, 5, 6]))?;
    Ok(exit)
}
