//! `repair`: what is damaged is made good from what is left, and what stays lost is named.

use crate::args::RepairArgs;
use crate::args::RepairFetchArgs;
use crate::args::RepairIndexArgs;
use crate::args::RepairKeysArgs;
use crate::args::RepairPacksArgs;
use crate::args::RepairSnapshotsArgs;
use crate::args::RepairVerb;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::drive;
use crate::show::told;
use crate::show::unless_closed;
use strongroom::Area;
use strongroom::Name;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotsRepaired;

mod tell;

/// Repairs what was named.
pub async fn run(context: &Context, args: RepairArgs) -> Result<Exit, Failure> {
    match args.verb {
        RepairVerb::Index(args) => index(context, args).await,
        RepairVerb::Packs(args) => packs(context, args).await,
        RepairVerb::Fetch(args) => fetch(context, *args).await,
        RepairVerb::Snapshots(args) => snapshots(context, args).await,
        RepairVerb::Keys(args) => keys(context, args).await,
    }
}

/// What was done stays done when nobody can be told.
fn done(shown: Result<(), Failure>, dry_run: bool, what: &str) -> Result<(), Failure> {
    if dry_run { unless_closed(shown) } else { told(shown, || what.to_owned()) }
}

/// Done, or done with something left that cannot be made good.
fn exit(is_complete: bool) -> Exit {
    if is_complete { Exit::Done } else { Exit::Partial }
}

async fn index(context: &Context, args: RepairIndexArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    let job = repository.repair_index().dry_run(args.dry_run).start();
    let report = drive(job, &context.show, &context.interrupt, false).await?;
    done(tell::index(context, &report, args.dry_run), args.dry_run, "the index is repaired as far as it can be")?;
    Ok(exit(report.is_complete()))
}

async fn keys(context: &Context, args: RepairKeysArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    let report = repository.repair_keys(args.dry_run).await?;
    done(tell::keys(context, &report, args.dry_run), args.dry_run, "the list of keys is repaired")?;
    Ok(exit(report.damaged.is_empty()))
}

async fn packs(context: &Context, args: RepairPacksArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    let mut only = Vec::new();
    for id in &args.ids {
        // As 'check' names it, or only the ID.
        let id = id.rsplit('/').next().unwrap_or(id);
        // A pack that is gone is no longer listed, and is named by its whole ID.
        match (strongroom::PackId::from_hex(id), repository.find_object(Area::Packs, id).await) {
            (Some(id), _) => only.push(id),
            (None, found) => {
                if let Name::Pack(id) = found? {
                    only.push(id);
                }
            }
        }
    }
    let job = repository.repair_packs().only(only).read_data(args.read_data).dry_run(args.dry_run).start();
    let report = drive(job, &context.show, &context.interrupt, false).await?;
    done(tell::packs(context, &report, args.dry_run), args.dry_run, "what could be saved of the packs is saved")?;
    Ok(exit(report.chunks_lost == 0 && report.unknown.is_empty()))
}

async fn fetch(context: &Context, args: RepairFetchArgs) -> Result<Exit, Failure> {
    let other = context.other(&args.from);
    let from: Repository = other.open().await?;
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    let snapshots = context.select(&repository, &args.which.ids, &args.which.filter).await?;
    let job = repository.fetch_from(&from, snapshots).dry_run(args.dry_run).start();
    let report = drive(job, &context.show, &context.interrupt, false).await?;
    done(tell::fetched(context, &report, args.dry_run), args.dry_run, "what could be fetched is stored")?;
    Ok(exit(report.lacking.is_empty()))
}

async fn snapshots(context: &Context, args: RepairSnapshotsArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    let snapshots = if args.forget {
        context.select_surely(&repository, &args.which.ids, &args.which.filter).await?
    } else {
        context.select(&repository, &args.which.ids, &args.which.filter).await?
    };
    let (protected, replaced): (Vec<Snapshot>, Vec<Snapshot>) =
        snapshots.into_iter().partition(|snapshot| args.forget && snapshot.is_protected);
    let mut looked = SnapshotsRepaired::default();
    if !protected.is_empty() {
        // What is protected is not replaced, but whether it has lost anything is told. First: if that cannot be known,
        // nothing is changed.
        let job = repository.repair_snapshots(protected).read_data(args.read_data).dry_run(true).start();
        looked = drive(job, &context.show, &context.interrupt, false).await?;
    }
    let builder = repository.repair_snapshots(replaced).forget(args.forget).read_data(args.read_data);
    let job = builder.dry_run(args.dry_run).start();
    let mut report = drive(job, &context.show, &context.interrupt, false).await?;
    report.whole.extend(looked.whole);
    report.hopeless.extend(looked.hopeless);
    report.forgotten.extend(looked.forgotten);
    let refused = looked.repaired;
    done(
        tell::snapshots(context, &report, args.dry_run, args.forget),
        args.dry_run,
        "the snapshots are repaired as far as they can be",
    )?;
    tell::refused(context, &refused, args.dry_run);
    Ok(exit(report.repaired.is_empty() && report.hopeless.is_empty() && refused.is_empty()))
}
