//! Requests that hang, and jobs that are asked to stop.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Disk;
use crate::backend::Heeding;
use crate::backend::Layer;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::backend::Properties;
use crate::backend::heeding::PATIENCE_FAR;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::job::Canceller;
use crate::job::Job;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::Key;
use crate::repository::Repository;
use crate::repository::generate_key_file;
use crate::source::ReaderSource;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// A hundred years.
const NEVER: u64 = 3_155_760_000_000;

/// Answers after so many milliseconds.
struct Silent {
    inner: MemoryBackend,
    delay: AtomicU64,
    is_far: bool,
}

impl Silent {
    async fn answer(&self) {
        tokio::time::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst))).await;
    }
}

impl Layer for Silent {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.answer().await;
            self.inner.put(name, body).await
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.answer().await;
            self.inner.get(name).await
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            self.answer().await;
            self.inner.list_page(area, after).await
        })
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            self.answer().await;
            Ok(())
        })
    }

    fn properties(&self) -> Properties {
        if self.is_far { Properties::far() } else { Properties::near() }
    }

    fn disk(&self) -> Option<&dyn Disk> {
        None
    }
}

fn silent(is_far: bool) -> Arc<Silent> {
    Arc::new(Silent { inner: MemoryBackend::new(), delay: 0.into(), is_far })
}

async fn repository(backend: &Arc<Silent>) -> Repository {
    let key = Key::KeyFile(Secret::new(generate_key_file(&SeededRng::new(1)).expect("seeded")));
    let backend: Arc<dyn Backend> = Arc::clone(backend) as _;
    Repository::create(backend, key, CreateOptions::default()).await.expect("created").repository
}

fn letter() -> ReaderSource {
    ReaderSource::new(EntryPath::parse(b"letter").expect("a path"), &b"Dear reader"[..])
}

/// Lets the job run for an hour, and then asks it to stop; how it ended, and how long that took.
async fn stopped<T>(job: Job<T>) -> (Error, Duration) {
    let canceller = job.canceller();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        canceller.cancel();
        Instant::now()
    };
    let ended = async {
        let error = job.await.err().expect("it was stopped");
        (error, Instant::now())
    };
    let ((error, ended), stopped) = tokio::join!(ended, stop);
    (error, ended.duration_since(stopped))
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_store_never_answers_stops_when_it_is_asked_to() {
    for is_far in [true, false] {
        let backend = silent(is_far);
        let repository = repository(&backend).await;
        backend.delay.store(NEVER, Ordering::SeqCst);
        for (error, took) in [
            stopped(repository.backup(letter()).start()).await,
            stopped(repository.check().start()).await,
            stopped(repository.prune().plan()).await,
            stopped(repository.repair_index().start()).await,
        ] {
            assert_eq!(error.kind(), Kind::Cancelled, "{error}");
            assert!(error.in_one_line().contains("did not answer"), "{error}");
            assert!(took < Duration::from_millis(100), "{took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_answered_is_waited_for_a_little_while() {
    let backend = silent(true);
    let canceller = Canceller::default();
    let heeding = Heeding::new(Arc::clone(&backend) as _, canceller.clone());
    Layer::list_page(&heeding, Area::Packs, None).await.expect("an answer");
    canceller.cancel();
    // What is half-done may still be finished.
    Layer::list_page(&heeding, Area::Packs, None).await.expect("another one");
    backend.delay.store(NEVER, Ordering::SeqCst);
    let begun = Instant::now();
    let error = Layer::list_page(&heeding, Area::Packs, None).await.expect_err("nobody answers");
    assert_eq!((error.kind(), begun.elapsed()), (Kind::Cancelled, PATIENCE_FAR.0));
}

#[tokio::test(start_paused = true)]
async fn what_is_half_done_does_not_go_on_for_ever() {
    let backend = silent(true);
    let canceller = Canceller::default();
    let heeding = Heeding::new(Arc::clone(&backend) as _, canceller.clone());
    Layer::list_page(&heeding, Area::Packs, None).await.expect("an answer");
    canceller.cancel();
    let begun = Instant::now();
    backend.delay.store(1500, Ordering::SeqCst);
    while Layer::list_page(&heeding, Area::Packs, None).await.is_ok() {
        assert!(begun.elapsed() <= PATIENCE_FAR.1);
    }
    assert_eq!(begun.elapsed(), PATIENCE_FAR.1);
}
