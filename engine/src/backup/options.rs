//! What can be asked of a backup, and what it reports.

use super::commit::Lack;
use crate::crypto::seal::Suite;
use crate::event::Warning;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::id::SnapshotId;
use crate::index::table::Index;
use crate::squeeze::Compression;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

/// Which snapshot unchanged files are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parent {
    /// The newest snapshot of the same host and paths.
    #[default]
    Automatic,
    /// None: every file is read again.
    Nothing,
    /// This one.
    Snapshot(SnapshotId),
}

/// Which AEAD seals new segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cipher {
    /// The faster one on this machine.
    #[default]
    Auto,
    /// XChaCha20-Poly1305 with random nonces.
    XChaCha20Poly1305,
    /// AES-256-GCM under derived keys with counter nonces.
    Aes256Gcm,
}

impl Cipher {
    pub(crate) fn suite(self) -> Suite {
        match self {
            Self::Auto => Suite::fastest(),
            Self::XChaCha20Poly1305 => Suite::XChaCha20Poly1305,
            Self::Aes256Gcm => Suite::Aes256Gcm,
        }
    }
}

/// Which chunks to store where nothing is committed, and only what an earlier snapshot lacks is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Fill {
    /// All that no usable pack has.
    All,
    /// Only these.
    Only(Arc<HashSet<ChunkId>>),
}

/// Everything a backup was asked for; the builder of `repository::backup` fills it.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) tags: Vec<String>,
    pub(crate) label: Option<String>,
    /// Key-values of whoever asks, for the record.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) time: Option<Timestamp>,
    pub(crate) parent: Parent,
    pub(crate) ignore_inode: bool,
    pub(crate) ignore_ctime: bool,
    pub(crate) dry_run: bool,
    pub(crate) skip_if_unchanged: bool,
    pub(crate) compression: Compression,
    pub(crate) cipher: Cipher,
    pub(crate) threads: usize,
    /// Bytes a second; 0 is no limit.
    pub(crate) limit_upload: u64,
    pub(crate) program: String,
    pub(crate) is_protected: bool,
    /// Store no snapshot, but what one lacks.
    pub(crate) fill: Option<Fill>,
    /// Another backup of the same run may follow: it gets the index.
    pub(crate) is_followed: bool,
    /// Warnings from before the backup began.
    pub(crate) remarks: Vec<Warning>,
}

/// The outcome of one run.
pub(crate) enum Run {
    /// It did what was asked for. The index is that for the next backup of the run, as far as it may be used again.
    Done(Box<BackupReport>, Option<Arc<Index>>),
    /// No snapshot is stored: data that it relied on is in the repository no more, or has turned out to be damaged. A
    /// run that begins again, with the same [`Distrust`](crate::index::distrust::Distrust), does not rely on that.
    Lacking(Lack),
}

/// What a backup did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupReport {
    /// The snapshot made; `None` after a dry run, or when nothing had changed and that was asked for.
    pub snapshot: Option<Snapshot>,
    /// The snapshot unchanged files were taken from.
    pub parent: Option<SnapshotId>,
    /// Regular files and streams that the parent does not have.
    pub files_new: u64,
    /// Regular files and streams that differ from the parent's.
    pub files_changed: u64,
    /// Regular files and streams as in the parent.
    pub files_unchanged: u64,
    /// Directories that the parent does not have.
    pub directories_new: u64,
    /// Directories that differ from the parent's.
    pub directories_changed: u64,
    /// Directories as in the parent.
    pub directories_unchanged: u64,
    /// Entries of all kinds.
    pub entries: u64,
    /// Plaintext bytes of all entries.
    pub bytes: u64,
    /// Plaintext bytes of chunks that were not in the repository.
    pub bytes_new: u64,
    /// Bytes added to the repository's packs.
    pub bytes_stored: u64,
    /// Whether everything is in the snapshot.
    pub verdict: Verdict,
    /// The first thousand warnings.
    pub warnings: Vec<Warning>,
    /// How many there were.
    pub warnings_total: u64,
    /// CPU seconds spent on verifying sealed segments before upload.
    pub verify_seconds: f64,
    /// Wall seconds from start to commit.
    pub seconds: f64,
}
