//! Pending records: backups that run, or were cut off before their snapshot was there, and what they keep from a prune.

use crate::commands::Context;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::clock;
use crate::show::counted;
use crate::show::lossy;
use crate::show::short;
use crate::show::time;
use serde_json::Value;
use serde_json::json;
use strongroom::PendingRecord;

/// One line for each.
pub fn lines(context: &Context, records: &[PendingRecord]) -> Result<(), Failure> {
    records.iter().try_for_each(|record| context.show.say(&line(record)))
}

fn line(record: &PendingRecord) -> String {
    let (id, host, begun) = (short(&record.id), lossy(record.host.as_bytes()), clock(record.started));
    let what = format!("pending record {id}: no snapshot, but a run on {host} that began {begun}");
    if record.is_committed {
        return format!("{what} and has stored one since: a prune removes it");
    }
    let keeps = match record.packs {
        0 => "it keeps nothing that snapshots do not need".to_owned(),
        packs => format!("it keeps {} in {}", bytes(record.bytes), counted(packs, "pack")),
    };
    let goes = match (record.goes_from(), record.announced) {
        (Some(from), Some(_)) => format!("a prune removes it from {} on", clock(from)),
        (Some(from), None) => format!("the second of two prunes a day apart, both after {}, removes it", clock(from)),
        (None, _) => "the store tells no times, so no prune removes it".to_owned(),
    };
    format!("{what} and goes on or was cut off; {keeps}; if that run is dead, {goes}")
}

/// The same for scripts.
pub fn json(records: &[PendingRecord]) -> Value {
    let one = |record: &PendingRecord| {
        json!({
            "id": record.id.to_string(),
            "session": record.session.to_string(),
            "hostname": lossy(record.host.as_bytes()),
            "time": time(record.started),
            "stored_at": record.stored.map(time),
            "announced_at": record.announced.map(time),
            "goes_from": record.goes_from().map(time),
            "committed": record.is_committed,
            "packs": record.packs,
            "bytes": record.bytes,
        })
    };
    records.iter().map(one).collect()
}
