//! `copy`: snapshots of another repository, stored in this one.

use crate::args::CopyArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::drive;
use crate::show::message;
use crate::show::short;
use crate::show::told;
use crate::show::unless_closed;
use serde_json::Value;
use std::sync::atomic::Ordering;
use strongroom::CopyReport;
use strongroom::Name;
use strongroom::Repository;
use strongroom::SnapshotId;

/// Copies the snapshots named, or all that match.
pub async fn run(context: &Context, args: CopyArgs) -> Result<Exit, Failure> {
    let other = context.other(&args.from);
    let meant = |which: &str| {
        let which = format!("this is about the repository to copy {which}");
        move |failure: Failure| failure.because(which)
    };
    let from: Repository = other.open().await.map_err(meant("from"))?;
    let to: Repository = context.open_to_write(args.dry_run).await.map_err(meant("to"))?;
    let snapshots = other.select(&from, &args.which.ids, &args.which.filter).await.map_err(meant("from"))?;
    if other.incomplete.load(Ordering::Relaxed) {
        context.incomplete.store(true, Ordering::Relaxed);
    }
    let mut copy = from.copy_to(&to, snapshots).dry_run(args.dry_run);
    copy = args.compression.into_iter().fold(copy, strongroom::CopyBuilder::compression);
    copy = args.threads.into_iter().fold(copy, |copy, count| copy.threads(count.into()));
    copy = args.limit_upload.into_iter().fold(copy, |copy, kib| copy.limit_upload(u64::from(kib) * 1024));
    let done = drive(copy.start(), &context.show, &context.interrupt, false).await;
    let again = "run it again: what is copied already is not copied again";
    let report = done.map_err(|failure| if args.dry_run { failure } else { failure.if_stopped(again) })?;
    let shown = tell(context, &report, args.dry_run);
    let is_any_there = pairs(&report).next().is_some();
    if let (Some(failed), false) = (report.failed.first(), is_any_there) {
        let what = if report.failed.len() == 1 { "the snapshot cannot be copied" } else { "no snapshot can be copied" };
        unless_closed(shown)?;
        return Err(Failure::new(Exit::of(failed.kind), what).because(&failed.why).hint(HINT));
    }
    told(shown, || match args.dry_run {
        true => "nothing was to be changed".into(),
        false => "the snapshots are copied".into(),
    })?;
    if report.failed.is_empty() {
        return Ok(if report.lacking.is_empty() { Exit::Done } else { Exit::Partial });
    }
    context.show.note(&format!("hint: {HINT}"));
    Ok(Exit::Partial)
}

/// What helps when a snapshot cannot be read.
const HINT: &str = "'strongroom check --read-data' of the repository that is copied from says what helps there; then copy \
                    again: what is copied already stays, and is not copied twice";

fn tell(context: &Context, report: &CopyReport, dry_run: bool) -> Result<(), Failure> {
    let show = &context.show;
    if show.json {
        for (from, to, fate) in pairs(report) {
            let mut value = message(fate.word());
            value.insert("from_snapshot_id".into(), from.to_string().into());
            value.insert("snapshot_id".into(), (!(fate == Fate::Copied && dry_run)).then(|| to.to_string()).into());
            show.json(&Value::Object(value))?;
        }
        for failed in &report.failed {
            let mut value = message("problem");
            value.insert("object".into(), Name::Snapshot(failed.snapshot).to_string().into());
            value.insert("message".into(), failed.why.clone().into());
            show.json(&Value::Object(value))?;
        }
        let mut value = message("summary");
        value.insert("dry_run".into(), dry_run.into());
        value.insert("snapshots_copied".into(), report.copied.len().into());
        value.insert("snapshots_present".into(), report.present.len().into());
        value.insert("snapshots_mended".into(), report.mended.len().into());
        value.insert("snapshots_lacking".into(), report.lacking.len().into());
        value.insert("snapshots_failed".into(), report.failed.len().into());
        value.insert("data_added".into(), report.bytes_new.into());
        value.insert("data_added_packed".into(), report.bytes_stored.into());
        return show.json(&Value::Object(value));
    }
    for (from, to, fate) in pairs(report) {
        let (from, to) = (short(&from), short(&to));
        show.say(&match (fate, dry_run) {
            (Fate::Copied, true) => format!("would copy snapshot {from}"),
            (Fate::Copied, false) => format!("snapshot {from} copied as {to}"),
            (Fate::Present, _) => format!("snapshot {from} is there already, as {to}"),
            (Fate::Mended, true) => format!("would store again what snapshot {to}, the copy of {from}, has lost"),
            (Fate::Mended, false) => format!("snapshot {to}, the copy of {from}, had lost data and is whole again"),
            (Fate::Lacking, _) => format!("snapshot {to}, the copy of {from}, has lost data that {from} lacks too"),
        })?;
    }
    for failed in &report.failed {
        show.warn(&format!("snapshot {} cannot be copied: {}", short(&failed.snapshot), failed.why));
    }
    let what = if dry_run { "to be copied" } else { "copied" };
    let mut line = format!("snapshots {what}: {}, there already: {}", report.copied.len(), report.present.len());
    if !report.failed.is_empty() {
        line.push_str(&format!(", that cannot be copied: {}", report.failed.len()));
    }
    show.say(&line)?;
    if dry_run {
        return Ok(());
    }
    show.say(&format!("added to the repository: {} ({} stored)", bytes(report.bytes_new), bytes(report.bytes_stored)))
}

/// What came of a snapshot that was to be copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Copied,
    Present,
    Mended,
    Lacking,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Present => "present",
            Self::Mended => "mended",
            Self::Lacking => "lacking",
        }
    }
}

/// Every snapshot: its id there and here, and what came of it.
fn pairs(report: &CopyReport) -> impl Iterator<Item = (SnapshotId, SnapshotId, Fate)> {
    let all = [
        (&report.present, Fate::Present),
        (&report.lacking, Fate::Lacking),
        (&report.mended, Fate::Mended),
        (&report.copied, Fate::Copied),
    ];
    all.into_iter().flat_map(|(pairs, fate)| pairs.iter().map(move |(from, to)| (*from, *to, fate)))
}
