//! What repairs found and did, in lines for people and in JSON for scripts.

use crate::commands::Context;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::counted;
use crate::show::message;
use crate::show::short;
use serde_json::Value;
use serde_json::json;
use std::fmt::Display;
use strongroom::FetchReport;
use strongroom::IndexRepaired;
use strongroom::KeysRepaired;
use strongroom::Name;
use strongroom::PacksRepaired;
use strongroom::SnapshotRepaired;
use strongroom::SnapshotsRepaired;

/// Ids as scripts want them.
fn ids<T: Display>(ids: impl IntoIterator<Item = T>) -> Value {
    ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().into()
}

/// Something damaged that was found: a line of result in both forms.
fn found(context: &Context, object: &str, why: &str) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message("problem");
        value.insert("object".into(), object.into());
        value.insert("message".into(), why.into());
        return context.show.json(&Value::Object(value));
    }
    context.show.line(&format!("{object}: {why}"))
}

fn summary(context: &Context, dry_run: bool, what: Value) -> Result<(), Failure> {
    let mut value = message("summary");
    value.insert("dry_run".into(), dry_run.into());
    if let Value::Object(what) = what {
        value.extend(what);
    }
    context.show.json(&Value::Object(value))
}

pub fn keys(context: &Context, report: &KeysRepaired, dry_run: bool) -> Result<(), Failure> {
    for id in &report.damaged {
        context.show.warn(&format!("{}: it is damaged; 'strongroom key remove' takes it away", Name::Slot(*id)));
    }
    if context.show.json {
        let of = |keys: &[(strongroom::SlotId, String)]| ids(keys.iter().map(|(id, _)| id));
        let what = json!({
            "keys_named_ids": of(&report.named),
            "keys_given_up_ids": of(&report.given_up),
            "lists_replaced": report.replaced,
            "keys_damaged_ids": ids(&report.damaged),
        });
        return summary(context, dry_run, what);
    }
    let would = if dry_run { "would be " } else { "" };
    for (id, key) in &report.named {
        context.show.line(&format!("key {id}: {would}named in the list: {key}"))?;
    }
    for (id, key) in &report.given_up {
        context.show.line(&format!("key {id}: {would}missed no longer: {key}"))?;
    }
    context.show.say(&format!("damaged lists of keys {would}replaced: {}", report.replaced))
}

pub fn index(context: &Context, report: &IndexRepaired, dry_run: bool) -> Result<(), Failure> {
    for (id, why) in &report.objects_damaged {
        found(context, &Name::Index(*id).to_string(), why)?;
    }
    for (id, why) in &report.packs_unreadable {
        found(context, &Name::Pack(*id).to_string(), why)?;
    }
    for id in &report.keys.in_the_way {
        let why = "it is damaged, and a pack holds the key: it can be put back once this one is moved away";
        found(context, &Name::DataKey(*id).to_string(), why)?;
    }
    for id in &report.keys.lost {
        found(context, &Name::DataKey(*id).to_string(), "it is lost, and no pack holds it")?;
    }
    if context.show.json {
        let what = json!({
            "packs_named": report.packs_named.len(),
            "packs_named_ids": ids(&report.packs_named),
            "chunks_named": report.chunks_named,
            "index_objects_damaged": report.objects_damaged.len(),
            "packs_unreadable": report.packs_unreadable.len(),
            "data_keys_put_back": report.keys.put_back.len(),
            "data_keys_put_back_ids": ids(&report.keys.put_back),
            "data_keys_lost": report.keys.lost.len(),
            "data_keys_lost_ids": ids(&report.keys.lost),
        });
        return summary(context, dry_run, what);
    }
    let show = &context.show;
    let (named, back) =
        if dry_run { ("to be named in the index", "to be put back") } else { ("named in the index", "put back") };
    let packs = counted(report.packs_named.len() as u64, "pack");
    show.say(&format!("{named}: {packs} with {}", counted(report.chunks_named, "chunk")))?;
    show.say(&format!("data keys {back}: {}", report.keys.put_back.len()))?;
    if !report.evidence().is_empty() {
        show.say("what is damaged was left where it is; a prune removes index objects that nothing misses")?;
    }
    Ok(())
}

pub fn packs(context: &Context, report: &PacksRepaired, dry_run: bool) -> Result<(), Failure> {
    for pack in &report.damaged {
        let (all, lost) = (pack.segments, pack.segments_lost);
        let rest = format!("{}; {} of {} still good", pack.why, all.saturating_sub(lost), counted(all, "segment"));
        found(context, &Name::Pack(pack.id).to_string(), &rest)?;
    }
    for id in &report.missing {
        found(context, &Name::Pack(*id).to_string(), "it is missing")?;
    }
    for (id, why) in &report.unknown {
        found(context, &Name::Pack(*id).to_string(), why)?;
    }
    if context.show.json {
        let what = json!({
            "packs_read": report.packs_read,
            "packs_damaged": report.damaged.len(),
            "packs_damaged_ids": ids(report.damaged.iter().map(|pack| pack.id)),
            "packs_missing": report.missing.len(),
            "packs_missing_ids": ids(&report.missing),
            "packs_written": report.packs_written,
            "bytes_written": report.bytes_written,
            "chunks_saved": report.chunks_saved,
            "chunks_lost": report.chunks_lost,
        });
        return summary(context, dry_run, what);
    }
    let show = &context.show;
    let (damaged, missing) = (report.damaged.len(), report.missing.len());
    show.say(&format!("packs read: {}, damaged: {damaged}, missing: {missing}", report.packs_read))?;
    let saved = if dry_run { "chunks that would be saved" } else { "chunks saved" };
    show.say(&format!("{saved}: {} ({} written)", report.chunks_saved, bytes(report.bytes_written)))?;
    if report.chunks_lost > 0 {
        show.say(&format!("chunks lost: {}", report.chunks_lost))?;
        show.note(
            "hint: a backup stores again what its source still has; 'strongroom repair snapshots --all --dry-run' names \
             the files that lack something",
        );
    }
    Ok(())
}

pub fn fetched(context: &Context, report: &FetchReport, dry_run: bool) -> Result<(), Failure> {
    for (id, count) in &report.lacking {
        let unmatched =
            if report.unmatched.contains(id) { ", and the other repository has no such source" } else { "" };
        let why = format!("it lacks {}{unmatched}", counted(*count, "chunk"));
        found(context, &Name::Snapshot(*id).to_string(), &why)?;
    }
    if context.show.json {
        let what = json!({
            "snapshots_whole": report.whole.len(),
            "snapshots_whole_ids": ids(&report.whole),
            "snapshots_mended": report.mended.len(),
            "snapshots_mended_ids": ids(report.mended.iter().map(|(id, _)| id)),
            "snapshots_lacking": report.lacking.len(),
            "snapshots_lacking_ids": ids(report.lacking.iter().map(|(id, _)| id)),
            "data_added": report.bytes_new,
            "data_added_packed": report.bytes_stored,
        });
        return summary(context, dry_run, what);
    }
    let show = &context.show;
    for (id, count) in &report.mended {
        show.say(&format!("snapshot {} is whole again: {} fetched", short(id), counted(*count, "chunk")))?;
    }
    let (whole, lacking) = (report.whole.len() + report.mended.len(), report.lacking.len());
    show.say(&format!("snapshots that are whole: {whole}, that lack something: {lacking}"))?;
    if dry_run {
        return Ok(());
    }
    show.say(&format!("added to the repository: {} ({} stored)", bytes(report.bytes_new), bytes(report.bytes_stored)))
}

pub fn snapshots(context: &Context, report: &SnapshotsRepaired, dry_run: bool, forget: bool) -> Result<(), Failure> {
    let show = &context.show;
    for (id, why) in &report.hopeless {
        found(context, &Name::Snapshot(*id).to_string(), &format!("nothing of it can be saved: {why}"))?;
    }
    for id in report.forgotten.iter().filter(|_| !show.json) {
        show.say(&format!("snapshot {} was forgotten meanwhile", short(id)))?;
    }
    for one in &report.repaired {
        show.warnings("repair", &one.left_out, one.left_out_total);
        if show.json {
            let mut value = message("repaired");
            value.insert("old_snapshot_id".into(), one.old.to_string().into());
            value.insert("new_snapshot_id".into(), one.new.map(|id| id.to_string()).into());
            value.insert("was_there".into(), one.was_there.into());
            value.insert("entries_left_out".into(), one.entries_left_out.into());
            show.json(&Value::Object(value))?;
            continue;
        }
        let (old, lost) = (short(&one.old), one.entries_left_out);
        show.say(&match one.new {
            None => format!("snapshot {old}: entries that would be left out: {lost}"),
            Some(new) if one.was_there => format!("snapshot {old} was repaired before, as {}", short(&new)),
            Some(new) if forget => format!("snapshot {old} is now {}; entries left out: {lost}", short(&new)),
            Some(new) => format!("snapshot {old} is repaired as {}; entries left out: {lost}", short(&new)),
        })?;
    }
    let (repaired, whole, hopeless) = (report.repaired.len(), report.whole.len(), report.hopeless.len());
    if show.json {
        let what = json!({
            "snapshots_repaired": repaired,
            "snapshots_whole": whole,
            "snapshots_whole_ids": ids(&report.whole),
            "snapshots_hopeless": hopeless,
            "snapshots_hopeless_ids": ids(report.hopeless.iter().map(|(id, _)| id)),
            "snapshots_forgotten": report.forgotten.len(),
            "snapshots_forgotten_ids": ids(&report.forgotten),
        });
        return summary(context, dry_run, what);
    }
    let what = if dry_run { "to be repaired" } else { "repaired" };
    show.say(&format!("snapshots {what}: {repaired}, whole: {whole}, beyond repair: {hopeless}"))?;
    if hopeless > 0 {
        show.note(
            "hint: 'strongroom repair fetch' may get back from a copy what is beyond repair; 'strongroom forget ID' gives \
             it up, and until then a prune stops there",
        );
    }
    Ok(())
}

/// Snapshots that have lost data and may not be replaced.
pub fn refused(context: &Context, refused: &[SnapshotRepaired], dry_run: bool) {
    let left = if dry_run { "would be left as it is" } else { "was left as it is" };
    for one in refused {
        let (id, lost) = (short(&one.old), counted(one.entries_left_out, "entry"));
        context.show.warn(&format!("snapshot {id} lacks {lost}, is protected and {left}"));
    }
    if !refused.is_empty() {
        context.show.note("hint: 'strongroom unprotect' takes the protection of a snapshot away");
    }
}
