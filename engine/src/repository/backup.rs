//! Backing up: what to ask, which parent to lean on, and the job.

use super::Repository;
use super::data_keys;
use super::series::Series;
use super::snapshots::UnreadableSnapshot;
use crate::backup;
use crate::backup::BackupReport;
use crate::backup::Cipher;
use crate::backup::Fill;
use crate::backup::Options;
use crate::backup::Parent;
use crate::backup::Run;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Phase;
use crate::event::Warning;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::index::load;
use crate::index::table::Index;
use crate::job::Control;
use crate::job::Job;
use crate::limits::BACKUP_ATTEMPTS_MAX;
use crate::source::Source;
use crate::squeeze::Compression;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A backup about to start.
#[must_use = "nothing happens before `start`"]
pub struct BackupBuilder {
    repository: Repository,
    source: Box<dyn Source>,
    options: Options,
    series: Option<Arc<Series>>,
}

impl Repository {
    /// Prepares a backup of `source`.
    pub fn backup(&self, source: impl Source) -> BackupBuilder {
        BackupBuilder {
            repository: self.clone(),
            source: Box::new(source),
            series: None,
            options: Options {
                tags: Vec::new(),
                label: None,
                metadata: BTreeMap::new(),
                host: String::new(),
                user: String::new(),
                time: None,
                parent: Parent::Automatic,
                ignore_inode: false,
                ignore_ctime: false,
                dry_run: false,
                skip_if_unchanged: false,
                compression: Compression::Auto,
                cipher: Cipher::Auto,
                threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
                limit_upload: 0,
                is_protected: false,
                fill: None,
                is_followed: false,
                remarks: Vec::new(),
                program: format!("strongroom {}", env!("CARGO_PKG_VERSION")),
            },
        }
    }
}

impl BackupBuilder {
    /// Adds a tag.
    pub fn tag(mut self, tag: &str) -> Self {
        self.options.tags.push(tag.to_owned());
        self
    }

    /// Replaces all tags.
    pub fn tags(mut self, tags: Vec<String>) -> Self {
        self.options.tags = tags;
        self
    }

    /// A free text shown with the snapshot.
    pub fn label(mut self, label: String) -> Self {
        self.options.label = Some(label);
        self
    }

    /// One more key-value for the record. Its meaning is the caller's; a key has 1 to 256 bytes.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.metadata.insert(key.into(), value.into());
        self
    }

    /// The host's name; a parent is looked for among its snapshots.
    pub fn host(mut self, host: String) -> Self {
        self.options.host = host;
        self
    }

    /// The user's name.
    pub fn user(mut self, user: String) -> Self {
        self.options.user = user;
        self
    }

    /// The snapshot's time instead of the clock's.
    pub fn time(mut self, time: Timestamp) -> Self {
        self.options.time = Some(time);
        self
    }

    /// Which snapshot unchanged files are taken from.
    pub fn parent(mut self, parent: Parent) -> Self {
        self.options.parent = parent;
        self
    }

    /// A file with another inode number may still be unchanged.
    pub fn ignore_inode(mut self, ignore: bool) -> Self {
        self.options.ignore_inode = ignore;
        self
    }

    /// A file with another change time may still be unchanged. Extended attributes, ACLs and inode flags that alone
    /// have changed are then not seen, nor is content whose modification time was set back.
    pub fn ignore_ctime(mut self, ignore: bool) -> Self {
        self.options.ignore_ctime = ignore;
        self
    }

    /// Does everything but store anything.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// Makes no snapshot when it would equal its parent.
    pub fn skip_if_unchanged(mut self, skip: bool) -> Self {
        self.options.skip_if_unchanged = skip;
        self
    }

    /// How hard to squeeze.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    /// Which AEAD seals new data.
    pub fn cipher(mut self, cipher: Cipher) -> Self {
        self.options.cipher = cipher;
        self
    }

    /// Worker threads: at least one, and no more than the memory budget allows (six).
    pub fn threads(mut self, threads: usize) -> Self {
        self.options.threads = threads;
        self
    }

    /// Bytes a second sent to the backend at most; 0 is no limit.
    pub fn limit_upload(mut self, bytes_a_second: u64) -> Self {
        self.options.limit_upload = bytes_a_second;
        self
    }

    /// The program named in the snapshot.
    pub fn program(mut self, program: String) -> Self {
        self.options.program = program;
        self
    }

    /// Stores what is missing of an earlier snapshot, and no snapshot.
    pub(super) fn filling(mut self, fill: Fill) -> Self {
        self.options.fill = Some(fill);
        self
    }

    /// Makes it one of several backups that one run makes, one after the other.
    pub(super) fn among(mut self, series: &Arc<Series>) -> Self {
        self.series = Some(Arc::clone(series));
        self.options.is_followed = true;
        self
    }

    /// Starts the job. Dropping it stops the backup cleanly: what is stored stays, no snapshot appears.
    pub fn start(mut self) -> Job<BackupReport> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    pub(super) async fn run(self, control: Control) -> Result<BackupReport> {
        let Self { repository, mut source, mut options, series } = self;
        let series = series.unwrap_or_default();
        if !options.dry_run && series.begins() {
            repository.check_writable().await?;
            // Left by runs that were killed: it is in nobody's way but that of the space it takes.
            let _ = repository.store().sweep().await;
        }
        for left in (0..BACKUP_ATTEMPTS_MAX).rev() {
            let again = source.again().filter(|_| left > 0);
            let run = repository.back_up_once(control.clone(), source, options.clone(), &series).await?;
            match (run, again) {
                (Run::Done(report, index), _) => {
                    series.keep(&repository, index);
                    return Ok(*report);
                }
                (Run::Lacking(why), None) => return Err(why.into_error()),
                (Run::Lacking(why), Some(again)) => {
                    // What was stored is known to the next attempt, and stays.
                    control.counters().restart();
                    remark(&mut options, format!("the source is read again: {}", why.describe()));
                    source = again;
                }
            }
        }
        Err(Error::new(Kind::Bug, "the backup was not finished after its last attempt"))
    }
}

impl Repository {
    /// One attempt at a backup, with the index as it is now, or as the series has it.
    async fn back_up_once(
        &self,
        control: Control,
        source: Box<dyn Source>,
        mut options: Options,
        series: &Series,
    ) -> Result<Run> {
        control.tell(Event::Phase(Phase::Preparing));
        let store = Arc::clone(self.store());
        let paths = source.paths();
        // Read order: snapshots, then index, then packs (I-13).
        let earlier = self.choose_parent(&mut options, &paths).await?;
        let index = match series.take() {
            Some(index) => index,
            None => self.read_index(&mut options, series).await?,
        };
        let config = self.inner.private.clone();
        backup::run(control, store, index, earlier, source, config, options).await
    }

    /// The index as it is now, with what of it is there; what is not, the report tells.
    async fn read_index(&self, options: &mut Options, series: &Series) -> Result<Arc<Index>> {
        let store = self.store();
        let load::Stored { mut index, damaged, lost, found, bytes, warning } = load::load_what_is_stored(store).await?;
        index.share(series.distrust());
        if !options.dry_run {
            // A repository from before there was one has none, and grows out of one. What cannot be set aside is no failure.
            let _ = store.reserve(bytes).await;
        }
        if let Some(message) = warning {
            remark(options, message);
        }
        for key in found {
            let outcome = data_keys::put_back(store, &key, options.dry_run).await?;
            remark(options, outcome);
        }
        for pack in lost {
            let message = format!(
                "pack {pack} is missing, cut short or without its key: what the source still has of it is stored again"
            );
            remark(options, message);
        }
        for (id, error) in damaged {
            remark(options, format!("index object {id} cannot be read, so its data is stored again: {error}"));
        }
        Ok(Arc::new(index))
    }

    /// A backup whose record says what that of `snapshot` says about who, when and what.
    pub(super) fn again(&self, source: impl Source, snapshot: &Snapshot) -> BackupBuilder {
        let mut builder = self.backup(source);
        builder.options.tags.clone_from(&snapshot.tags);
        builder.options.label.clone_from(&snapshot.label);
        builder.options.metadata.clone_from(&snapshot.metadata);
        builder.options.host.clone_from(&snapshot.host);
        builder.options.user.clone_from(&snapshot.user);
        builder.options.program.clone_from(&snapshot.program);
        builder.options.is_protected = snapshot.is_protected;
        builder.time(snapshot.started)
    }

    async fn choose_parent(&self, options: &mut Options, paths: &[Vec<u8>]) -> Result<Option<Snapshot>> {
        match options.parent {
            Parent::Nothing => Ok(None),
            Parent::Snapshot(id) => self.snapshot(&id).await.map(Some),
            Parent::Automatic => {
                let mut newest: Option<Snapshot> = None;
                let latest_allowed = options.time;
                let list = self.list_snapshots().await?;
                for UnreadableSnapshot { id, error } in list.unreadable {
                    remark(options, format!("snapshot {id} cannot be read and is passed over as a parent: {error}"));
                }
                for snapshot in list.snapshots {
                    let fits = snapshot.host == options.host
                        && same_paths(&snapshot.paths, paths)
                        && latest_allowed.is_none_or(|time| snapshot.started <= time);
                    if fits {
                        newest = Some(snapshot);
                    }
                }
                Ok(newest)
            }
        }
    }

    /// One snapshot by its full id.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot> {
        self.read_snapshot(*id).await?.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no snapshot {id}")))
    }
}

/// A warning for the report: the backup goes on, but somebody should run a check.
fn remark(options: &mut Options, message: String) {
    options.remarks.push(Warning { path: None, message, partial: false });
}

fn same_paths(one: &[Vec<u8>], other: &[Vec<u8>]) -> bool {
    let mut one: Vec<&Vec<u8>> = one.iter().collect();
    let mut other: Vec<&Vec<u8>> = other.iter().collect();
    one.sort();
    other.sort();
    one == other
}
