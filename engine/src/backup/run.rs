//! The wiring: which stage runs where, and what happens when one of them fails.

use super::aside::Aside;
use super::assemble::Assembled;
use super::assemble::Assembler;
use super::assemble::Pages;
use super::batch::BufferPool;
use super::begun::Before;
use super::begun::Desk;
use super::commit;
use super::commit::Committed;
use super::counting::Counting;
use super::cut::Cutters;
use super::draft;
use super::group::Group;
use super::group::Tally;
use super::halt::Halt;
use super::journal;
use super::journal::Journal;
use super::journal::Remembered;
use super::needs::Needs;
use super::options::BackupReport;
use super::options::Fill;
use super::options::Options;
use super::options::Run;
use super::parent;
use super::parent::Cursor;
use super::parent::Sameness;
use super::place::CachePlace;
use super::prepare::Worker;
use super::read::Reader;
use super::read::Wiring;
use super::report::counts;
use super::report::report;
use super::said::Said;
use super::stage::ReadThrough;
use super::stage::lost;
use super::stage::read;
use super::stage::spawn;
use super::unchanged::Comparison;
use super::unchanged::is_unchanged;
use super::upload::Uploader;
use super::watch::Watched;
use super::wires::Wires;
use crate::catalog::PageHasher;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Phase;
use crate::event::Warning;
use crate::format::config::PrivateConfig;
use crate::format::snapshot::Snapshot;
use crate::format::wire::size;
use crate::id::SnapshotId;
use crate::index::chunks::ChunkReader;
use crate::index::claim::Claims;
use crate::index::table::Index;
use crate::job::Control;
use crate::limits::BACKUP_THREADS_MAX;
use crate::limits::BATCH_BUFFERS_AHEAD;
use crate::limits::METADATA_PACKS_WAITING_MAX;
use crate::limits::UPLOADS_BYTES_MAX;
use crate::limits::UPLOADS_NEAR;
use crate::pack::IndexWriter;
use crate::pack::IndexedPacks;
use crate::pack::LastFinishes;
use crate::pack::PackShape;
use crate::pack::Packer;
use crate::pack::SealedPack;
use crate::pack::SegmentShape;
use crate::random;
use crate::source::Amount;
use crate::source::Source;
use crate::squeeze::Compression;
use crate::store::OnFull;
use crate::store::Store;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Batches a worker that the catalog stage may be behind.
const BATCHES_AHEAD: usize = 16;

/// Runs one backup to its commit. `index` is what the repository holds, `earlier` the parent chosen by the caller.
pub(crate) async fn run(
    control: Control,
    store: Arc<Store>,
    index: Arc<Index>,
    earlier: Option<Snapshot>,
    source: Box<dyn Source>,
    config: PrivateConfig,
    options: Options,
) -> Result<Run> {
    let started = Instant::now();
    let session = SnapshotId::from_bytes(random::array(store.rng())?);
    let mut snapshot = draft::draft(&store, session, earlier.as_ref(), source.as_ref(), &options)?;
    let keys = SessionKeys::new(&store, &options).await?;
    let claims = Claims::beside(&store, Arc::clone(&index));
    let claims = Arc::new(match &options.fill {
        Some(Fill::Only(wanted)) => claims.only(Arc::clone(wanted)),
        _ => claims,
    });
    let job = Stages { control, store, index, claims, halt: Arc::default(), session, config, options };
    let cache = job.open_cache(source.as_ref());
    job.control.tell(Event::Phase(Phase::Reading));
    let outcome = job.run_stages(source, earlier.as_ref(), &keys, &cache).await?;
    let Outcome { mut said, verdict, assembled, tally, packs } = outcome;
    let verdict = draft::shortened(said.verdict(verdict));
    snapshot.finished = job.store.clock().now();
    snapshot.root = assembled.root;
    snapshot.statement = said.statement;
    snapshot.counts = counts(&assembled, &tally, packs.bytes());
    // What leans on damage is not as good as its parent was: the commit finds out.
    let skip = job.options.skip_if_unchanged
        && is_unchanged(earlier.as_ref(), &assembled, &verdict)
        && !job.claims.leans_on_damage();
    let dry_run = job.options.dry_run;
    let keep = !dry_run && !skip && job.options.fill.is_none();
    let report = report(&assembled, &snapshot, &tally, &packs);
    let mut needs = Needs::new(&job.claims, &packs);
    let Stages { control, store, index, claims, options, .. } = job;
    drop(claims);
    // What was not stored must not be known to the next one.
    if options.is_followed && !dry_run {
        needs.keep(index);
    } else {
        drop(index);
    }
    if keep {
        control.check()?;
        control.tell(Event::Phase(Phase::Committing));
        match commit::commit(&store, &control, &mut needs, &mut snapshot, verdict.clone()).await? {
            Committed::Yes => control.tell(Event::SnapshotStored { id: snapshot.id }),
            Committed::Lacking(why) => return Ok(Run::Lacking(why)),
        }
    }
    let index = needs.into_index(packs)?;
    if !dry_run && let Some(cache) = cache.open() {
        // What cannot be forgotten is checked again next time.
        let _ = cache.clear();
    }
    let report = Box::new(BackupReport {
        snapshot: keep.then_some(snapshot),
        parent: earlier.map(|earlier| earlier.id),
        verdict,
        warnings: said.warnings,
        warnings_total: said.warnings_total,
        seconds: started.elapsed().as_secs_f64(),
        ..report
    });
    Ok(Run::Done(report, index))
}

/// This session's data keys.
struct SessionKeys {
    data: Arc<DataKey>,
    metadata: Arc<DataKey>,
}

impl SessionKeys {
    async fn new(store: &Store, options: &Options) -> Result<Self> {
        let (suite, is_stored) = (options.cipher.suite(), !options.dry_run);
        Ok(Self {
            data: store.new_data_key(Class::Data, suite, is_stored).await?,
            metadata: store.new_data_key(Class::Metadata, suite, is_stored).await?,
        })
    }
}

/// The outcome of the stages.
struct Outcome {
    said: Said,
    verdict: Verdict,
    assembled: Assembled,
    tally: Tally,
    packs: IndexedPacks,
}

/// What every stage shares.
struct Stages {
    control: Control,
    store: Arc<Store>,
    index: Arc<Index>,
    claims: Arc<Claims>,
    halt: Arc<Halt>,
    session: SnapshotId,
    config: PrivateConfig,
    options: Options,
}

impl Stages {
    fn open_cache(&self, source: &dyn Source) -> CachePlace {
        let mut identity = self.store.repository().as_bytes().to_vec();
        identity.extend_from_slice(self.options.host.as_bytes());
        for path in source.paths() {
            identity.push(0);
            identity.extend_from_slice(&path);
        }
        let source = *self.store.keys().metadata_names.name(&identity).as_bytes();
        let folder = self.store.local().cache.filter(|_| !self.options.dry_run);
        CachePlace { folder, store: Arc::clone(&self.store), source }
    }

    /// Starts every stage, waits for all of them, and gives the first failure if there was one.
    async fn run_stages(
        &self,
        source: Box<dyn Source>,
        earlier: Option<&Snapshot>,
        keys: &SessionKeys,
        cache: &CachePlace,
    ) -> Result<Outcome> {
        let (full, packs) = mpsc::channel(1);
        let uploader = Uploader {
            store: Arc::clone(&self.store),
            control: self.control.clone(),
            halt: Arc::clone(&self.halt),
            index: IndexWriter::new(&self.store, OnFull::Fail).keeping(self.options.is_followed),
            dry_run: self.options.dry_run,
            limit: self.options.limit_upload,
            uploads: self.uploads(),
        };
        let upload = tokio::spawn(uploader.run(packs));
        let (data_done, catalog_done, read_done, said) = self.start_threads(source, earlier, keys, cache, full)?;
        let read = self.settle(read_done.await).ok().flatten();
        let mut tally = Tally::default();
        let mut failed = false;
        for worker in data_done {
            match self.settle(worker.await) {
                Ok(done) => tally.add(done),
                Err(_) => failed = true,
            }
        }
        let assembled = self.settle(catalog_done.await).ok().flatten();
        let packs = upload.await.map_err(lost)?;
        if self.halt.is_halted() {
            return Err(self.halt.take());
        }
        let packs = packs?;
        let (Some(ReadThrough { verdict, batches }), Some(assembled), false) = (read, assembled, failed) else {
            return Err(self.halt.take());
        };
        if assembled.batches != batches {
            return Err(Error::new(Kind::Bug, "a batch was lost between two stages of the backup"));
        }
        tally.add(Tally { chunks: 0, bytes_plain: 0, ..assembled.tally });
        let said = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Outcome { said, verdict, assembled, tally, packs })
    }

    /// A stage's result; its failure halts the others and is kept by `halt`.
    fn settle<T>(&self, joined: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
        joined.map_err(lost).flatten().map_err(|error| {
            // A stage that failed has said why by itself.
            if !self.halt.is_halted() {
                self.halt.fail(error);
            }
            Error::new(Kind::Cancelled, "another stage failed")
        })
    }

    #[expect(clippy::type_complexity, reason = "the four ends of one wiring, taken apart at once by the only caller")]
    fn start_threads(
        &self,
        source: Box<dyn Source>,
        earlier: Option<&Snapshot>,
        keys: &SessionKeys,
        cache: &CachePlace,
        full: mpsc::Sender<SealedPack>,
    ) -> Result<(
        Vec<JoinHandle<Result<Tally>>>,
        JoinHandle<Result<Option<Assembled>>>,
        JoinHandle<Result<Option<ReadThrough>>>,
        Arc<Mutex<Said>>,
    )> {
        let threads = self.options.threads.clamp(1, BACKUP_THREADS_MAX);
        let buffers = BufferPool::new(threads + BATCH_BUFFERS_AHEAD);
        let (batch_sender, batches) = crossbeam_channel::bounded(threads);
        let (credit_sender, credits) = crossbeam_channel::bounded(threads * BATCHES_AHEAD);
        let (prepared_sender, prepared) = crossbeam_channel::bounded(threads * 4);
        let packs = PackShape::new(Class::Data, self.session, size(self.config.pack_bytes));
        let data_packer = Packer::new(&self.store, packs, self.uploads(), full.clone());
        let shape = SegmentShape::new(Class::Data, self.options.compression, packs.goal_bytes);
        let mut workers = Vec::with_capacity(threads);
        let packing = Arc::new(LastFinishes::new(Arc::clone(&data_packer), threads));
        for _ in 0..threads {
            let group = Group::new(&self.store, shape, &keys.data, &data_packer)?;
            let worker = Worker {
                control: self.control.clone(),
                halt: Arc::clone(&self.halt),
                store: Arc::clone(&self.store),
                claims: Arc::clone(&self.claims),
                group,
                batches: batches.clone(),
                prepared: prepared_sender.clone(),
            };
            let (halt, packing) = (Arc::clone(&self.halt), Arc::clone(&packing));
            workers.push(spawn(&self.halt, move || {
                let tally = worker.run()?;
                if halt.is_storing() {
                    packing.done()?;
                }
                Ok(tally)
            }));
        }
        drop((batches, prepared_sender));
        let leading = self.options.skip_if_unchanged.then(|| source.leading());
        let catalog = self.start_catalog(keys, cache, Comparison::new(leading), (prepared, credits), full)?;
        let (read, said) = self.start_reader(source, earlier, cache, buffers, (batch_sender, credit_sender));
        Ok((workers, catalog, read, said))
    }

    /// Packs on their way at once: as many as the store takes, within what memory there is for them.
    fn uploads(&self) -> usize {
        let within = UPLOADS_BYTES_MAX / size(self.config.pack_bytes).max(1);
        self.store.backend().properties().puts.clamp(1, within.max(UPLOADS_NEAR))
    }

    fn start_catalog(
        &self,
        keys: &SessionKeys,
        cache: &CachePlace,
        comparison: Comparison,
        (prepared, credits): (crossbeam_channel::Receiver<super::batch::Prepared>, crossbeam_channel::Receiver<()>),
        full: mpsc::Sender<SealedPack>,
    ) -> Result<JoinHandle<Result<Option<Assembled>>>> {
        let packs = PackShape::new(Class::Metadata, self.session, size(self.config.metadata_pack_bytes));
        let packer = Packer::new(&self.store, packs, METADATA_PACKS_WAITING_MAX, full);
        let shape = SegmentShape::new(Class::Metadata, Compression::Level(3), packs.goal_bytes);
        let group = Group::new(&self.store, shape, &keys.metadata, &packer)?;
        let pages = Pages { store: Arc::clone(&self.store), claims: Arc::clone(&self.claims), group };
        let hasher = PageHasher::new(*self.store.keys().metadata_names.name(b"page boundaries").as_bytes());
        let assembler = Assembler::new(
            pages,
            hasher,
            (Journal::new(cache.open(), self.session), Aside::new(cache.opener_for_waiting(), self.session)),
            comparison,
        );
        let halt = Arc::clone(&self.halt);
        Ok(spawn(&self.halt, move || {
            let assembled = assembler.run(&prepared, &credits, &halt)?;
            if !halt.is_halted() {
                packer.finish()?;
            }
            Ok(assembled)
        }))
    }

    fn start_reader(
        &self,
        source: Box<dyn Source>,
        earlier: Option<&Snapshot>,
        cache: &CachePlace,
        buffers: BufferPool,
        (batches, credits): (crossbeam_channel::Sender<super::batch::Batch>, crossbeam_channel::Sender<()>),
    ) -> (JoinHandle<Result<Option<ReadThrough>>>, Arc<Mutex<Said>>) {
        let said: Arc<Mutex<Said>> = Arc::default();
        for remark in &self.options.remarks {
            self.say(&said, remark.clone());
        }
        let watched = self.watched(&said);
        let wires = Wires {
            control: self.control.clone(),
            halt: Arc::clone(&self.halt),
            pulse: watched.pulse(),
            batches,
            credits,
            sequence: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        };
        let desk = Desk {
            control: self.control.clone(),
            halt: Arc::clone(&self.halt),
            sameness: Sameness {
                ignore_inode: self.options.ignore_inode,
                ignore_ctime: self.options.ignore_ctime,
                // The start may have been given by hand; the end is the clock's.
                parent_began: earlier.map_or(Timestamp::default(), |earlier| earlier.started.min(earlier.finished)),
            },
            keep_earlier: self.options.skip_if_unchanged,
            said: Arc::clone(&said),
        };
        let reader = Reader::new(Wiring {
            wires: Arc::new(wires),
            desk: Arc::new(desk),
            cutters: Cutters::new(&self.store.keys().chunker, self.config.chunker),
            before: Before { parent: self.parent_cursor(earlier, &said), journal: self.remembered(cache) },
            expected: earlier.map(|earlier| Amount { entries: earlier.counts.entries, bytes: earlier.counts.bytes }),
            counting: source.estimate().filter(|_| earlier.is_none()).map(|it| Counting::start(it, &self.control)),
            buffers: (buffers.take, buffers.give),
            watched,
        });
        (spawn(&self.halt, move || read(source, reader)), said)
    }

    /// Somebody who looks after the source and says when it is silent.
    fn watched(&self, said: &Arc<Mutex<Said>>) -> Watched {
        let (said, control) = (Arc::clone(said), self.control.clone());
        Watched::start(move |warning| {
            said.lock().unwrap_or_else(PoisonError::into_inner).add(warning.clone());
            control.tell(Event::Warning(warning));
        })
    }

    fn say(&self, said: &Mutex<Said>, warning: Warning) {
        said.lock().unwrap_or_else(PoisonError::into_inner).add(warning.clone());
        self.control.tell(Event::Warning(warning));
    }

    fn parent_cursor(&self, earlier: Option<&Snapshot>, said: &Arc<Mutex<Said>>) -> Cursor {
        let Some(earlier) = earlier else { return Cursor::empty() };
        let (sender, cursor) = Cursor::fed();
        let pages: Arc<dyn crate::catalog::PageSource> =
            Arc::new(ChunkReader::new(&self.store, &self.index, Class::Metadata));
        let (root, id, claims, control) = (earlier.root, earlier.id, Arc::clone(&self.claims), self.control.clone());
        let said = Arc::clone(said);
        tokio::spawn(async move {
            // The cursor ends, and with it the run, only once all is said.
            let open = sender.clone();
            if let Err(error) = parent::feed(pages, root, claims, sender).await {
                let message =
                    format!("a part of the parent snapshot {id} cannot be read, so files are read again: {error}");
                let warning = Warning { path: None, message, partial: false };
                said.lock().unwrap_or_else(PoisonError::into_inner).add(warning.clone());
                control.tell(Event::Warning(warning));
            }
            drop(open);
        });
        cursor
    }

    fn remembered(&self, place: &CachePlace) -> Remembered {
        let Some(cache) = place.open() else { return Remembered::nothing() };
        if cache.trim().is_err() {
            cache.discard();
            return Remembered::nothing();
        }
        let (sender, cursor) = Cursor::fed();
        let claims = Arc::clone(&self.claims);
        tokio::task::spawn_blocking(move || journal::feed(&cache, &claims, &sender));
        Remembered::new(cursor, place.open(), Arc::clone(&self.claims))
    }
}
