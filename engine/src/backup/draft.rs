//! The snapshot record before anything was read, and what keeps it short enough to be stored at the end.

use super::options::Options;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::format::snapshot::each_once;
use crate::format::statement::encoded_pairs_length;
use crate::format::statement::is_key;
use crate::id::SnapshotId;
use crate::limits::SNAPSHOT_GIVEN_BYTES_MAX;
use crate::limits::SNAPSHOT_KEY_BYTES_MAX;
use crate::limits::SNAPSHOT_METADATA_BYTES_MAX;
use crate::limits::SNAPSHOT_REASONS_BYTES_MAX;
use crate::source::Source;
use crate::store::Store;
use crate::verdict::Verdict;

/// Bytes kept of one reason, at its beginning (a path) and at its end (what happened).
const REASON_HEAD_BYTES: usize = 700;
const REASON_TAIL_BYTES: usize = 300;

/// The record as far as it is known before anything is read. Fails when it would be too long to be stored.
pub(crate) fn draft(
    store: &Store,
    session: SnapshotId,
    earlier: Option<&Snapshot>,
    source: &dyn Source,
    options: &Options,
) -> Result<Snapshot> {
    let mut snapshot = Snapshot::new(session, options.time.unwrap_or_else(|| store.clock().now()));
    snapshot.host.clone_from(&options.host);
    snapshot.user.clone_from(&options.user);
    snapshot.source_kind = source.kind().to_owned();
    snapshot.paths = source.paths();
    snapshot.excludes = source.excludes();
    snapshot.tags = each_once(&options.tags);
    snapshot.label.clone_from(&options.label);
    snapshot.metadata.clone_from(&options.metadata);
    snapshot.parent = earlier.map(|earlier| earlier.id);
    snapshot.program.clone_from(&options.program);
    snapshot.is_protected = options.is_protected;
    check(&snapshot)?;
    Ok(snapshot)
}

/// A record that could not be stored would be refused when everything else is: it is refused before that.
fn check(snapshot: &Snapshot) -> Result<()> {
    if let Some(key) = snapshot.metadata.keys().find(|key| !is_key(key)) {
        let why = format!("a key has 1 to {SNAPSHOT_KEY_BYTES_MAX} bytes, and '{key}' has {}", key.len());
        return Err(Error::new(Kind::Invalid, "cannot begin the backup: its key-values cannot be stored").because(why));
    }
    if !snapshot.started.is_valid() {
        let why = format!("it has {} nanoseconds, and a second has fewer", snapshot.started.nanoseconds);
        return Err(Error::new(Kind::Invalid, "cannot begin the backup: its time is none").because(why));
    }
    let length = encoded_pairs_length(&snapshot.metadata);
    if length > SNAPSHOT_METADATA_BYTES_MAX {
        let why = format!("they take {length} bytes, and a snapshot has room for {SNAPSHOT_METADATA_BYTES_MAX}");
        return Err(Error::new(Kind::Invalid, "cannot begin the backup: its key-values cannot be stored").because(why));
    }
    let length = snapshot.encode().len();
    if length <= SNAPSHOT_GIVEN_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, "cannot begin the backup: its list of paths, tags and exclude patterns is too long")
        .because(format!(
            "it takes {length} bytes, and a snapshot has room for {SNAPSHOT_GIVEN_BYTES_MAX}; \
             folders can be given in place of the files in them"
        )))
}

/// The verdict with its reasons cut short: a path alone may have 64 KiB. Whoever watched was told all of them whole.
pub(crate) fn shortened(verdict: Verdict) -> Verdict {
    let Verdict::Partial(reasons) = verdict else { return verdict };
    let mut room = SNAPSHOT_REASONS_BYTES_MAX;
    let fits = |reason: &String| {
        // Each stands behind its length.
        let left = room.checked_sub(reason.len() + 4);
        room = left.unwrap_or(0);
        left.is_some()
    };
    Verdict::Partial(reasons.iter().map(|reason| short(reason)).take_while(fits).collect())
}

fn short(reason: &str) -> String {
    if reason.len() <= REASON_HEAD_BYTES + REASON_TAIL_BYTES {
        return reason.to_owned();
    }
    let head = reason.floor_char_boundary(REASON_HEAD_BYTES);
    let tail = reason.ceil_char_boundary(reason.len() - REASON_TAIL_BYTES);
    let part = |range: Option<&str>| range.unwrap_or_default().to_owned();
    part(reason.get(..head)) + " ... " + &part(reason.get(tail..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PATH_BYTES_MAX;
    use crate::limits::SMALL_OBJECT_BYTES_MAX;
    use crate::limits::SNAPSHOT_STATEMENT_BYTES_MAX;
    use crate::statement::KnownFact;
    use crate::statement::Statement;
    use crate::time::Timestamp;

    #[test]
    fn reasons_are_cut_in_the_middle_and_between_characters() {
        let path = "/ä".repeat(PATH_BYTES_MAX / 3);
        let Verdict::Partial(reasons) = shortened(Verdict::Partial(vec![
            "/a: cannot be read".to_owned(),
            format!("{path}: cannot be read: Permission denied"),
        ])) else {
            panic!("still partial")
        };
        assert_eq!(reasons[0], "/a: cannot be read");
        assert!(reasons[1].starts_with("/ä/ä") && reasons[1].ends_with(": cannot be read: Permission denied"));
        assert!(reasons[1].contains(" ... ") && reasons[1].len() < 1100, "{}", reasons[1].len());
    }

    #[test]
    fn what_no_reader_would_take_is_refused_before_anything_is_read() {
        let good = Snapshot::new(SnapshotId::from_bytes([1; 16]), Timestamp::default());
        let pairs = |length: usize| [("k".to_owned(), "v".repeat(length))].into();
        let most = SNAPSHOT_METADATA_BYTES_MAX - 13;
        let fullest = Snapshot { metadata: pairs(most), ..good.clone() };
        assert!(check(&fullest).is_ok() && Snapshot::decode(&fullest.encode()) == Ok(fullest));
        let longer = Snapshot { metadata: pairs(most + 1), ..good.clone() };
        assert!(Snapshot::decode(&longer.encode()).is_err());
        let bad_time = Snapshot { started: Timestamp { seconds: 0, nanoseconds: 1_000_000_000 }, ..good };
        for bad in [longer, bad_time] {
            assert_eq!(check(&bad).expect_err("refused").kind(), Kind::Invalid);
        }
    }

    #[test]
    fn the_fullest_record_that_is_begun_can_be_stored() {
        let mut snapshot = Snapshot::new(SnapshotId::from_bytes([1; 16]), Timestamp::default());
        snapshot.tags = vec!["t".repeat(SNAPSHOT_GIVEN_BYTES_MAX - 1000)];
        assert!(check(&snapshot).is_ok());
        let longest = "s".repeat(SNAPSHOT_STATEMENT_BYTES_MAX - 40);
        snapshot.statement = Some(Statement::new().with(KnownFact::Server, longest));
        snapshot.verdict = shortened(Verdict::Partial(vec!["r".repeat(PATH_BYTES_MAX); 300]));
        let Verdict::Partial(reasons) = &snapshot.verdict else { panic!("still partial") };
        assert!(reasons.len() > 200, "{} reasons", reasons.len());
        assert!(snapshot.encode().len() + 1000 < SMALL_OBJECT_BYTES_MAX);
        snapshot.tags.push("t".repeat(1000));
        snapshot.statement = None;
        snapshot.verdict = Verdict::Whole;
        assert_eq!(check(&snapshot).expect_err("too long").kind(), Kind::Invalid);
    }
}
