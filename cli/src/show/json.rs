//! Messages for scripts: restic's types and fields where they exist, in a numbered version.

use crate::show::mode;
use crate::show::short;
use crate::show::type_name;
use jiff::tz::TimeZone;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use strongroom::Entry;
use strongroom::Fact;
use strongroom::FileKind;
use strongroom::Snapshot;
use strongroom::Timestamp;
use strongroom::Verdict;
use strongroom::Warning;

/// The version every message carries; it grows when a field changes its meaning, not when one is added.
const JSON_VERSION: u64 = 1;

/// A message of `kind`, ready for more fields.
pub fn message(kind: &str) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("message_type".into(), kind.into());
    map.insert("version".into(), JSON_VERSION.into());
    map
}

/// RFC 3339 in the local time zone, to the nanosecond.
pub fn time(time: Timestamp) -> Value {
    let nanoseconds = i32::try_from(time.nanoseconds).unwrap_or(0);
    match jiff::Timestamp::new(time.seconds, nanoseconds) {
        Ok(instant) => instant.display_with_offset(TimeZone::system().to_offset(instant)).to_string().into(),
        Err(_) => Value::Null,
    }
}

/// Raw bytes: text where they are UTF-8; otherwise the replacement character stands in.
fn text(raw: &[u8]) -> Value {
    String::from_utf8_lossy(raw).into_owned().into()
}

/// Paths in hexadecimal, where any of them is not UTF-8.
pub fn paths_raw(paths: &[Vec<u8>]) -> Option<Value> {
    let is_text = paths.iter().all(|path| std::str::from_utf8(path).is_ok());
    (!is_text).then(|| paths.iter().map(|path| hexadecimal(path)).collect::<Vec<_>>().into())
}

fn hexadecimal(raw: &[u8]) -> String {
    raw.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a snapshot is whole, and what is missing if not.
fn reasons(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Whole => json!([]),
        Verdict::Partial(reasons) => json!(reasons),
    }
}

/// One snapshot, with restic's field names where they exist; `paths_raw` (hexadecimal) only where a path is not UTF-8.
pub fn snapshot(snapshot: &Snapshot) -> Value {
    let counts = &snapshot.counts;
    let mut value = json!({
        "time": time(snapshot.started),
        "finished": time(snapshot.finished),
        "paths": snapshot.paths.iter().map(|path| text(path)).collect::<Vec<_>>(),
        "hostname": snapshot.host,
        "username": snapshot.user,
        "tags": snapshot.tags,
        "label": snapshot.label,
        "excludes": snapshot.excludes,
        "source": snapshot.source_kind,
        "metadata": snapshot.metadata,
        "parent": snapshot.parent.map(|id| id.to_string()),
        "program_version": snapshot.program,
        "partial": matches!(snapshot.verdict, Verdict::Partial(_)),
        "partial_reasons": reasons(&snapshot.verdict),
        "protected": snapshot.is_protected,
        "summary": {
            "entries": counts.entries,
            "entries_new": counts.entries_new,
            "entries_changed": counts.entries_changed,
            "entries_unmodified": counts.entries_unchanged,
            "total_files_processed": counts.files,
            "total_dirs_processed": counts.directories,
            "total_bytes_processed": counts.bytes,
            "data_added": counts.bytes_new,
            "data_added_packed": counts.bytes_stored,
        },
        "id": snapshot.id.to_string(),
        "short_id": short(&snapshot.id),
    });
    if let (Value::Object(map), Some(raw)) = (&mut value, paths_raw(&snapshot.paths)) {
        map.insert("paths_raw".into(), raw);
    }
    if let (Value::Object(map), Some(stated)) = (&mut value, &snapshot.statement) {
        map.insert("statement".into(), stated.facts().map(fact).collect());
    }
    value
}

/// One fact of a statement, with its value under the name of its type.
fn fact((name, of, fact): (&str, &[u8], &Fact)) -> Value {
    let mut value = json!({ "name": name, "of": text(of) });
    let (kind, is) = match fact {
        Fact::Text(words) => ("text", json!(words)),
        Fact::Count(count) => ("count", json!(count)),
        Fact::Is(is) => ("is", json!(is)),
        Fact::Time(when) => ("time", time(*when)),
        Fact::Unknown(unknown) => ("unknown", hexadecimal(unknown.bytes()).into()),
        _ => return value,
    };
    value[kind] = is;
    value
}

/// One entry, with restic's field names; `path_raw` (hexadecimal) only where the path is not UTF-8.
pub fn entry(entry: &Entry) -> Map<String, Value> {
    let metadata = &entry.metadata;
    let mut map = Map::new();
    map.insert("name".into(), text(entry.path.name()));
    map.insert("type".into(), type_name(&metadata.kind).into());
    map.insert("path".into(), format!("/{}", entry.path).into());
    if std::str::from_utf8(entry.path.as_bytes()).is_err() {
        map.insert("path_raw".into(), hexadecimal(entry.path.as_bytes()).into());
    }
    map.insert("uid".into(), metadata.uid.into());
    map.insert("gid".into(), metadata.gid.into());
    map.insert("user".into(), text(&metadata.user));
    map.insert("group".into(), text(&metadata.group));
    map.insert("size".into(), metadata.size.into());
    map.insert("mode".into(), metadata.mode.into());
    map.insert("permissions".into(), mode(metadata).into());
    map.insert("mtime".into(), time(metadata.modified));
    map.insert("ctime".into(), time(metadata.changed));
    if let Some(born) = metadata.born {
        map.insert("birthtime".into(), time(born));
    }
    map.insert("inode".into(), metadata.inode.into());
    map.insert("links".into(), metadata.links.into());
    if let FileKind::Symlink { target } = &metadata.kind {
        map.insert("linktarget".into(), text(target));
    }
    if !entry.warnings.is_empty() {
        map.insert("warnings".into(), entry.warnings.clone().into());
    }
    map
}

/// Something a job could not do, as restic's `error` message.
pub fn warning(during: &str, warning: &Warning) -> Value {
    let mut map = message("error");
    map.insert("error".into(), json!({ "message": warning.message }));
    map.insert("during".into(), during.into());
    map.insert("item".into(), warning.path.as_ref().map(|path| format!("/{path}")).into());
    map.insert("partial".into(), warning.partial.into());
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_with_their_type_and_version() {
        let value = Value::Object(message("status"));
        assert_eq!(value.to_string(), r#"{"message_type":"status","version":1}"#);
    }

    #[test]
    fn paths_that_are_no_text_are_told_byte_for_byte() {
        assert_eq!(paths_raw(&[b"/srv".to_vec()]), None);
        assert_eq!(paths_raw(&[b"/a".to_vec(), b"/\xff".to_vec()]), Some(json!(["2f61", "2fff"])));
    }

    #[test]
    fn times_name_their_instant() {
        let value = time(Timestamp { seconds: 1_700_000_000, nanoseconds: 5 });
        let back: jiff::Timestamp = value.as_str().expect("a time is text").parse().expect("RFC 3339");
        assert_eq!((back.as_second(), back.subsec_nanosecond()), (1_700_000_000, 5));
    }
}
