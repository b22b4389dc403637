//! `restore`: a snapshot, or a part of one, into a folder.

use crate::args::RestoreArgs;
use crate::args::RestoreOverwrite;
use crate::commands::Context;
use crate::commands::gaps;
use crate::commands::ls;
use crate::exit::Exit;
use crate::files_from;
use crate::show::Failure;
use crate::show::Show;
use crate::show::bytes;
use crate::show::counted;
use crate::show::drive;
use crate::show::elapsed;
use crate::show::message;
use crate::show::short;
use crate::show::told;
use crate::show::unless_closed;
use serde_json::Value;
use std::path::Path;
use strongroom::Location;
use strongroom::Overwrite;
use strongroom::OwnerMap;
use strongroom::OwnerMode;
use strongroom::Repository;
use strongroom::RestoreReport;
use strongroom::Snapshot;

/// Restores; what fails is listed at the end and does not stop the rest.
pub async fn run(context: &Context, args: RestoreArgs) -> Result<Exit, Failure> {
    guard(context, &args)?;
    if args.target.symlink_metadata().is_ok() && !args.target.is_dir() {
        return Err(Failure::usage(format!("cannot restore into {}: that is no folder", args.target.display()))
            .hint("name the folder to restore into; what is restored keeps its own name there"));
    }
    let (mut include, mut exclude) = (args.include.clone(), args.exclude.clone());
    include.extend(files_from::patterns(&args.include_file)?);
    exclude.extend(files_from::patterns(&args.exclude_file)?);
    let repository: Repository = context.open().await?;
    let snapshot = context.resolve(&repository, &args.selector.snapshot, &args.filter.filter()).await?;
    let is_asked = !(include.is_empty() && args.iinclude.is_empty());
    warn_of_excluded(context, &args, &snapshot)?;
    let mut builder = repository.restore(&snapshot, args.target.clone());
    if let Some(below) = &args.selector.below {
        if gaps::is_missing(&repository.view(&snapshot).await?, below).await? {
            return Err(ls::missing(below, &snapshot));
        }
        builder = builder.path(below.clone());
    }
    builder = builder
        .include(include)
        .include_any_case(args.iinclude.clone())
        .exclude(exclude)
        .exclude_any_case(args.iexclude.clone())
        .overwrite(match args.overwrite {
            RestoreOverwrite::Always => Overwrite::Always,
            RestoreOverwrite::IfChanged => Overwrite::IfChanged,
            RestoreOverwrite::IfNewer => Overwrite::IfNewer,
            RestoreOverwrite::Never => Overwrite::Never,
        })
        .delete(args.delete)
        .verify(args.verify)
        .dry_run(args.dry_run)
        .sparse(args.sparse)
        .spare(context.spared()?)
        .owner(owner(&args));
    if let Some(threads) = args.threads {
        builder = builder.threads(threads.into());
    }
    context.show.note(&format!("restoring snapshot {} to {}", short(&snapshot.id), args.target.display()));
    let list = context.show.verbose > 0 || args.dry_run;
    let job = builder.start();
    let progress = job.progress();
    let report = drive(job, &context.show, &context.interrupt, list).await.inspect_err(|_| {
        let so_far = progress.latest();
        if so_far.entries_done > 0 {
            let (entries, content) = (counted(so_far.entries_done, "entry"), bytes(so_far.bytes_done));
            context.show.warn(&format!("before that, {entries} with {content} were restored, or were right already"));
        }
    })?;
    let exit = tell(context, &report, args.dry_run)?;
    if is_asked && report.entries_selected == 0 {
        // Whoever names what to restore counts on it being there afterwards.
        let snapshot = short(&snapshot.id);
        return Err(Failure::failed(format!("nothing in snapshot {snapshot} matches what is to be included"))
            .hint(format!("'strongroom ls {snapshot}' lists what is in it; a leading / stands for its top")));
    }
    Ok(exit)
}

/// Deleting everything a whole system has beside the snapshot is never what somebody means.
fn guard(context: &Context, args: &RestoreArgs) -> Result<(), Failure> {
    if !args.delete || !args.include.is_empty() || !args.iinclude.is_empty() || !args.include_file.is_empty() {
        return Ok(());
    }
    let real = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or(path.into());
    let target = real(&args.target);
    let home = context.environment.path("HOME").map(|home| real(&home));
    // A part of a snapshot restored over the home folder is a request one can mean; the whole is not.
    if target.parent().is_none()
        || (home.is_some_and(|home| home.starts_with(&target)) && args.selector.below.is_none())
    {
        return Err(Failure::usage(format!("--delete in {} would delete everything else there", target.display()))
            .hint("name what to restore with --include, or give a folder of its own with --target"));
    }
    Ok(())
}

/// What a backup had left out looks to `--delete` like anything else that the snapshot does not have. What belongs to
/// strongroom is always left out, and left alone.
fn warn_of_excluded(context: &Context, args: &RestoreArgs, snapshot: &Snapshot) -> Result<(), Failure> {
    let mut own = context.cache_folder().into_iter().collect::<Vec<_>>();
    if let Ok(Location::Local(folder)) = Location::parse_os(&context.place()?.location) {
        own.push(folder);
    }
    let own = own.iter().filter_map(|folder| files_from::inside(folder, &["/".into()]));
    let own: Vec<String> = own.map(|pattern| pattern.to_string_lossy().into_owned()).collect();
    let count = snapshot.excludes.iter().filter(|pattern| !own.contains(pattern)).count();
    if args.delete && count > 0 {
        let many = counted(u64::try_from(count).unwrap_or(u64::MAX), "exclude rule");
        let id = short(&snapshot.id);
        context.show.warn(&format!("snapshot {id} was made with {many}: what they left out is deleted as well"));
    }
    Ok(())
}

fn owner(args: &RestoreArgs) -> OwnerMap {
    let mut map = OwnerMap::default();
    if args.no_owner {
        map.mode = OwnerMode::None;
    }
    map.by_number = args.numeric_owner;
    for (from, to) in &args.map_owner {
        match (from.strip_prefix(':'), to.strip_prefix(':')) {
            (Some(from), Some(to)) => map.groups.push((from.to_owned(), to.to_owned())),
            _ => map.users.push((from.clone(), to.clone())),
        }
    }
    map
}

fn tell(context: &Context, report: &RestoreReport, dry_run: bool) -> Result<Exit, Failure> {
    let show = &context.show;
    show.warnings("restore", &report.failures, report.failures_total);
    show.warnings("restore", &report.warnings, u64::try_from(report.warnings.len()).unwrap_or(u64::MAX));
    for one in &report.kept {
        let place = one.path.as_ref().map_or_else(|| "the target".to_owned(), crate::show::path);
        show.note(&format!("{place} was left alone: {}", one.message));
    }
    let shown = summary(show, report, dry_run);
    if report.owners_refused > 0 {
        let many = counted(report.owners_refused, "entry");
        show.note(&format!("the owner or group of {many} could not be set: that takes root, or --no-owner"));
    }
    if report.attributes_refused > 0 {
        let many = counted(report.attributes_refused, "attribute");
        show.note(&format!("{many} could not be set: that takes root"));
    }
    if report.failures_total == 0 {
        if dry_run {
            unless_closed(shown)?
        } else {
            told(shown, || "everything was restored".into())?
        }
        return Ok(Exit::Done);
    }
    show.warn(&format!("{} could not be restored", counted(report.failures_total, "thing")));
    told(shown, || "what could be restored was".into())?;
    Ok(Exit::Partial)
}

fn summary(show: &Show, report: &RestoreReport, dry_run: bool) -> Result<(), Failure> {
    if show.json {
        let mut value = message("summary");
        value.insert("dry_run".into(), dry_run.into());
        value.insert("files_restored".into(), report.entries_restored.into());
        value.insert("files_unchanged".into(), report.entries_unchanged.into());
        value.insert("files_skipped".into(), report.entries_skipped.into());
        value.insert("files_deleted".into(), report.entries_deleted.into());
        value.insert("total_bytes".into(), report.bytes_total.into());
        value.insert("bytes_restored".into(), report.bytes_written.into());
        value.insert("error_count".into(), report.failures_total.into());
        let kept = report.kept.iter().filter_map(|one| one.path.as_ref()).map(|path| format!("/{path}"));
        value.insert("left_alone".into(), kept.collect::<Vec<_>>().into());
        value.insert("owners_refused".into(), report.owners_refused.into());
        value.insert("attributes_refused".into(), report.attributes_refused.into());
        value.insert("total_duration".into(), report.seconds.into());
        return show.json(&Value::Object(value));
    }
    let what = if dry_run { "would restore" } else { "restored" };
    show.say(&format!(
        "{what} {} ({} unchanged, {} skipped, {} deleted)",
        counted(report.entries_restored, "entry"),
        report.entries_unchanged,
        report.entries_skipped,
        report.entries_deleted
    ))?;
    let (written, total) = (bytes(report.bytes_written), bytes(report.bytes_total));
    let wrote = if dry_run { "would write" } else { "wrote" };
    show.say(&format!("{wrote} {written} of {total} in {}", elapsed(report.seconds)))
}
