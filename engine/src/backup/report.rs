//! What a run came to, in numbers: for the snapshot's record and for the report.

use super::assemble::Assembled;
use super::group::Tally;
use super::options::BackupReport;
use crate::format::snapshot::Counts;
use crate::format::snapshot::Snapshot;
use crate::pack::IndexedPacks;

/// What the record of the snapshot says.
pub(super) fn counts(assembled: &Assembled, tally: &Tally, bytes_stored: u64) -> Counts {
    let entries = assembled.counts;
    let fates = entries.files.iter().zip(&entries.directories).zip(&entries.others);
    let mut by_fate = fates.map(|((files, directories), others)| files + directories + others);
    let mut next = || by_fate.next().unwrap_or_default();
    let (entries_new, entries_changed, entries_unchanged) = (next(), next(), next());
    Counts {
        entries: entries.entries,
        files: entries.files.iter().sum(),
        directories: entries.directories.iter().sum(),
        bytes: entries.bytes,
        bytes_new: tally.bytes_plain,
        bytes_stored,
        entries_new,
        entries_changed,
        entries_unchanged,
    }
}

/// The report as far as it is known before the commit.
pub(super) fn report(assembled: &Assembled, snapshot: &Snapshot, tally: &Tally, packs: &IndexedPacks) -> BackupReport {
    let [files_new, files_changed, files_unchanged] = assembled.counts.files;
    let [directories_new, directories_changed, directories_unchanged] = assembled.counts.directories;
    BackupReport {
        snapshot: None,
        parent: snapshot.parent,
        files_new,
        files_changed,
        files_unchanged,
        directories_new,
        directories_changed,
        directories_unchanged,
        entries: assembled.counts.entries,
        bytes: assembled.counts.bytes,
        bytes_new: tally.bytes_plain,
        bytes_stored: packs.bytes(),
        verdict: snapshot.verdict.clone(),
        warnings: Vec::new(),
        warnings_total: 0,
        verify_seconds: tally.verifying.as_secs_f64(),
        seconds: 0.0,
    }
}
