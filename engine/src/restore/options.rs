//! What a restore is asked to do, and what it reports.

use crate::entry::EntryPath;
use crate::event::Warning;
use std::ffi::OsString;
use std::path::PathBuf;

/// What happens to files that the target has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overwrite {
    /// Whatever differs by content is rewritten.
    #[default]
    Always,
    /// Files of the same length and time are taken as unchanged.
    IfChanged,
    /// Only where the snapshot's entry is newer.
    IfNewer,
    /// What exists stays as it is.
    Never,
}

/// Whether owners are restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerMode {
    /// As recorded, mapped.
    #[default]
    Keep,
    /// Everything belongs to whoever restores.
    None,
}

/// How recorded owners become owners here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerMap {
    /// Whether owners are restored at all.
    pub mode: OwnerMode,
    /// By recorded number only, names ignored.
    pub by_number: bool,
    /// Users renamed: recorded name or number, then name or number here.
    pub users: Vec<(String, String)>,
    /// Groups renamed, likewise.
    pub groups: Vec<(String, String)>,
}

/// What a restore is asked to do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The folder to restore into; made when it does not exist.
    pub target: PathBuf,
    /// The folder of this machine that the repository is in: nothing in it is touched.
    pub repository: Option<PathBuf>,
    /// Other files and folders that are not touched.
    pub spare: Vec<PathBuf>,
    /// Only this entry and what is below it; its own path is stripped.
    pub path: Option<EntryPath>,
    /// That entry is a folder: a target that does not exist becomes it.
    pub is_folder: bool,
    /// Patterns of what to restore; empty: everything.
    pub include: Vec<OsString>,
    /// The same, whatever the case of letters.
    pub include_any_case: Vec<OsString>,
    /// Patterns of what to leave out.
    pub exclude: Vec<OsString>,
    /// The same, whatever the case of letters.
    pub exclude_any_case: Vec<OsString>,
    /// What happens to files that exist.
    pub overwrite: Overwrite,
    /// Removes what the snapshot does not have.
    pub delete: bool,
    /// The entries of the snapshot that were listed with all below them: only there what the snapshot does not have can be
    /// told and removed, and only there a folder takes the place of a link. Nothing: all of it, or it cannot be told.
    pub listed: Option<Vec<EntryPath>>,
    /// Reads everything back after writing.
    pub verify: bool,
    /// Changes nothing, only reports.
    pub dry_run: bool,
    /// Leaves holes where blocks of 4 KiB are zero.
    pub sparse: bool,
    /// Owners.
    pub owner: OwnerMap,
    /// Worker threads; 0: as many as there are cores.
    pub threads: usize,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Entries that the path and the patterns ask for; none: nothing fits.
    pub entries_selected: u64,
    /// Entries created or rewritten.
    pub entries_restored: u64,
    /// Entries that were as they should be (their metadata is set all the same).
    pub entries_unchanged: u64,
    /// Entries left alone by the overwrite policy.
    pub entries_skipped: u64,
    /// Entries removed because the snapshot does not have them.
    pub entries_deleted: u64,
    /// Bytes of content written.
    pub bytes_written: u64,
    /// Bytes of content of everything selected.
    pub bytes_total: u64,
    /// What could not be restored: the first 1000.
    pub failures: Vec<Warning>,
    /// How many there were.
    pub failures_total: u64,
    /// What was left alone although the snapshot has something else or nothing there, and why: the first 1000.
    pub kept: Vec<Warning>,
    /// What was done that nobody may have expected, with nothing lacking: the first 1000.
    pub warnings: Vec<Warning>,
    /// Entries whose owner or group could not be set, because only root may: no failure, they are whole.
    pub owners_refused: u64,
    /// Attributes (`security.*`, `trusted.*`) that could not be set, because only root may: likewise.
    pub attributes_refused: u64,
    /// How long it took.
    pub seconds: f64,
}
