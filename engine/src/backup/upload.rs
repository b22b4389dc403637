//! Packs to the backend, a few at a time, each acknowledged before it counts.

use super::halt::Halt;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexedPack;
use crate::job::Control;
use crate::pack::IndexWriter;
use crate::pack::IndexedPacks;
use crate::pack::SealedPack;
use crate::store::OnFull;
use crate::store::Store;
use crate::store::StoredPack;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A pack that has left memory.
enum Left {
    Stored(StoredPack),
    /// In a dry run.
    Counted(IndexedPack),
}

/// What the upload stage needs.
pub(crate) struct Uploader {
    pub(crate) store: Arc<Store>,
    pub(crate) control: Control,
    pub(crate) halt: Arc<Halt>,
    pub(crate) index: IndexWriter,
    pub(crate) dry_run: bool,
    /// Bytes a second; 0 is no limit.
    pub(crate) limit: u64,
    /// Packs on their way at once.
    pub(crate) uploads: usize,
}

impl Uploader {
    /// Runs until every packer is done, then indexes what is left. On failure what was stored stays indexed.
    pub(crate) async fn run(mut self, mut packs: mpsc::Receiver<SealedPack>) -> Result<IndexedPacks> {
        let mut running: JoinSet<Result<Left>> = JoinSet::new();
        let mut pace = Pace::new(self.limit);
        let outcome = loop {
            tokio::select! {
                Some(done) = running.join_next(), if !running.is_empty() => {
                    if let Err(error) = self.take(done).await {
                        break Err(error);
                    }
                }
                pack = packs.recv(), if running.len() < self.uploads => match pack {
                    Some(pack) => {
                        if !pace.wait(pack.pack.indexed.length, &self.halt, &self.control).await {
                            break Err(Error::new(Kind::Cancelled, "stopped on request"));
                        }
                        self.control.count(|counters| &counters.bytes_stored, u64::from(pack.pack.indexed.length));
                        running.spawn(put(Arc::clone(&self.store), pack, self.dry_run));
                    }
                    None if running.is_empty() => break Ok(()),
                    None => {
                        if let Some(done) = running.join_next().await
                            && let Err(error) = self.take(done).await
                        {
                            break Err(error);
                        }
                    }
                },
            }
        };
        if let Err(error) = outcome {
            self.halt.fail(error);
            // Packs under way are waited for, as long as the store answers, so that nothing is written after the job has ended.
            packs.close();
            while let Some(done) = running.join_next().await {
                let _ = self.take(done).await;
            }
            // What was stored stays indexed, if the backend still takes it: the next run need not store it again.
            let _ = self.index.finish().await;
            // The reason stays in `halt`: whoever fails because uploading has ended must not take its place.
            return Err(Error::new(Kind::Cancelled, "the upload has failed"));
        }
        self.index.finish().await
    }

    async fn take(&mut self, done: Result<Result<Left>, tokio::task::JoinError>) -> Result<()> {
        match done.map_err(|cause| Error::new(Kind::Bug, "an upload task was lost").because(cause.to_string()))?? {
            Left::Stored(pack) => self.index.add(pack).await,
            Left::Counted(pack) => {
                self.index.count(&pack);
                Ok(())
            }
        }
    }
}

async fn put(store: Arc<Store>, sealed: SealedPack, dry_run: bool) -> Result<Left> {
    let SealedPack { pack, room } = sealed;
    let left =
        if dry_run { Left::Counted(pack.indexed) } else { Left::Stored(store.put_pack(pack, OnFull::Fail).await?.0) };
    drop(room);
    Ok(left)
}

/// How often a paced upload looks whether the job still goes on.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Spreads bytes over time.
struct Pace {
    bytes_a_second: u64,
    free_at: Instant,
}

impl Pace {
    fn new(bytes_a_second: u64) -> Self {
        Self { bytes_a_second, free_at: Instant::now() }
    }

    /// Waits until the bytes sent before have had their time; false when the job was stopped meanwhile.
    async fn wait(&mut self, bytes: u32, halt: &Halt, control: &Control) -> bool {
        if self.bytes_a_second == 0 {
            return true;
        }
        while Instant::now() < self.free_at {
            if halt.check_storing(control).is_err() {
                return false;
            }
            tokio::time::sleep_until(self.free_at.min(Instant::now() + LOOK_EVERY)).await;
        }
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_a_second);
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.free_at = self.free_at.max(Instant::now()) + Duration::from_nanos(nanos);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_paced_upload_that_waits_notices_a_stop() {
        let (halt, control) = (Halt::default(), Control::new());
        let mut pace = Pace::new(1);
        assert!(pace.wait(3600, &halt, &control).await, "the first bytes need not wait");
        let stop = async { control.canceller().cancel() };
        // The wait is polled first, and finds nothing to stop for.
        let (went_on, ()) = tokio::join!(biased; pace.wait(1, &halt, &control), stop);
        assert!(!went_on, "it would have waited for an hour");
        assert_eq!(halt.take().kind(), Kind::Cancelled);
    }

    #[tokio::test]
    async fn a_paced_upload_stores_on_when_only_the_source_has_failed() {
        let (halt, control) = (Halt::default(), Control::new());
        let mut pace = Pace::new(1_000_000);
        assert!(pace.wait(1000, &halt, &control).await);
        halt.fail(Error::new(Kind::SourceFailed, "the source failed"));
        assert!(pace.wait(1000, &halt, &control).await);
        halt.fail(Error::new(Kind::NoSpace, "the disk is full"));
        pace.free_at += Duration::from_secs(3600);
        assert!(!pace.wait(1000, &halt, &control).await);
    }

    #[tokio::test]
    async fn each_pack_pays_for_its_bytes() {
        let (halt, control) = (Halt::default(), Control::new());
        let mut pace = Pace::new(1000);
        let begun = pace.free_at;
        assert!(pace.wait(3_600_000, &halt, &control).await);
        assert!(pace.free_at >= begun + Duration::from_secs(3600), "3,600,000 bytes at a thousand a second");
    }
}
