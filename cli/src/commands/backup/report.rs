//! What came of a backup, for people and for scripts.

use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::counted;
use crate::show::elapsed;
use crate::show::message;
use crate::show::short;
use crate::show::told;
use crate::show::unless_closed;
use serde_json::Value;
use strongroom::BackupReport;
use strongroom::Verdict;

/// Shows the report; a partial snapshot is a warning and an exit code of its own.
pub fn tell(context: &Context, report: &BackupReport, place: &str, dry_run: bool) -> Result<Exit, Failure> {
    let show = &context.show;
    show.warnings("archival", &report.warnings, report.warnings_total);
    let shown =
        if show.json { show.json(&json(report, place, dry_run)) } else { lines(context, report, place, dry_run) };
    let exit = judge(context, report);
    match &report.snapshot {
        Some(snapshot) => told(shown, || format!("snapshot {} is stored", short(&snapshot.id)))?,
        None if dry_run => unless_closed(shown)?,
        None => told(shown, || "nothing has changed and no snapshot was stored".into())?,
    }
    Ok(exit)
}

/// How the run ends; a partial snapshot is said to be one.
fn judge(context: &Context, report: &BackupReport) -> Exit {
    let show = &context.show;
    if files(report) == 0 {
        // A disk that is not mounted, or a pattern that matches all, looks just like this.
        show.warn("not a single file was found: there is nothing to restore but folders, links or devices");
    }
    match &report.verdict {
        Verdict::Whole => Exit::Done,
        Verdict::Partial(reasons) => {
            for reason in reasons.iter().filter(|_| report.warnings.is_empty()) {
                show.warn(reason);
            }
            show.warn("the snapshot is partial: some of the source could not be read");
            Exit::Partial
        }
    }
}

fn lines(context: &Context, report: &BackupReport, place: &str, dry_run: bool) -> Result<(), Failure> {
    let show = &context.show;
    match report.parent {
        Some(parent) => show.say(&format!("compared with snapshot {}", short(&parent)))?,
        None => show.say("compared with no earlier snapshot: everything was read")?,
    }
    for (what, new, changed, same) in [
        ("Files:", report.files_new, report.files_changed, report.files_unchanged),
        ("Dirs: ", report.directories_new, report.directories_changed, report.directories_unchanged),
    ] {
        show.say(&format!("{what} {new:>8} new, {changed:>8} changed, {same:>8} unmodified"))?;
    }
    let (new, stored) = (bytes(report.bytes_new), bytes(report.bytes_stored));
    let added = if dry_run { "Would be added" } else { "Added" };
    show.say(&format!("{added} to the repository: {new} ({stored} stored)"))?;
    if show.verbose > 0 {
        show.say(&format!("verified before upload: {}", elapsed(report.verify_seconds)))?;
    }
    show.say("")?;
    show.say(&format!(
        "processed {}, {} in {}",
        counted(files(report), "file"),
        bytes(report.bytes),
        elapsed(report.seconds)
    ))?;
    match &report.snapshot {
        Some(snapshot) => show.say(&format!("snapshot {} saved in {place}", short(&snapshot.id))),
        None if dry_run => show.say(&format!("dry run: nothing was stored in {place}")),
        None => show.say(&format!("nothing changed: no snapshot was stored in {place}")),
    }
}

/// Files of all three sorts.
fn files(report: &BackupReport) -> u64 {
    report.files_new + report.files_changed + report.files_unchanged
}

/// restic's `summary` message; what is counted differently here has its own name.
fn json(report: &BackupReport, place: &str, dry_run: bool) -> Value {
    let mut value = message("summary");
    value.insert("repository".into(), place.into());
    value.insert("dry_run".into(), dry_run.into());
    value.insert("files_new".into(), report.files_new.into());
    value.insert("files_changed".into(), report.files_changed.into());
    value.insert("files_unmodified".into(), report.files_unchanged.into());
    value.insert("dirs_new".into(), report.directories_new.into());
    value.insert("dirs_changed".into(), report.directories_changed.into());
    value.insert("dirs_unmodified".into(), report.directories_unchanged.into());
    value.insert("total_files_processed".into(), files(report).into());
    value.insert("total_entries_processed".into(), report.entries.into());
    value.insert("total_bytes_processed".into(), report.bytes.into());
    value.insert("data_added".into(), report.bytes_new.into());
    value.insert("data_added_packed".into(), report.bytes_stored.into());
    value.insert("verify_duration".into(), report.verify_seconds.into());
    value.insert("total_duration".into(), report.seconds.into());
    value.insert("error_count".into(), report.warnings_total.into());
    let reasons = match &report.verdict {
        Verdict::Whole => Vec::new(),
        Verdict::Partial(reasons) => reasons.clone(),
    };
    value.insert("partial".into(), matches!(report.verdict, Verdict::Partial(_)).into());
    value.insert("partial_reasons".into(), reasons.into());
    value.insert("parent".into(), report.parent.map(|id| id.to_string()).into());
    value.insert("snapshot_id".into(), report.snapshot.as_ref().map(|snapshot| snapshot.id.to_string()).into());
    Value::Object(value)
}
