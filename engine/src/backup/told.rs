//! Promises about sources that do not keep to what a source must do.

use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::event::Event;
use crate::event::Phase;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::Amount;
use crate::source::EntryStart;
use crate::source::Estimate;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn repository() -> Repository {
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let key = Key::Passphrase(Secret::new("open"));
    Repository::create(Arc::new(MemoryBackend::new()), key, options).await.expect("a repository").repository
}

/// Does what it is told.
struct Told(fn(&mut dyn Sink) -> Result<Verdict, SourceError>);

impl Source for Told {
    fn kind(&self) -> &str {
        "told"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        (self.0)(sink)
    }
}

#[tokio::test]
async fn a_source_that_misses_something_and_says_whole_is_stored_as_partial() {
    let repository = repository().await;
    let source = Told(|sink| {
        sink.warn(Some(&EntryPath::parse(b"a").expect("a path")), "cannot be read".into(), true);
        Ok(Verdict::Whole)
    });
    let report = repository.backup(source).start().await.expect("a backup");
    assert_eq!(report.verdict, Verdict::Partial(vec!["/a: cannot be read".to_owned()]));
    assert_eq!(repository.snapshots().await.expect("snapshots").remove(0).verdict, report.verdict);
}

#[tokio::test]
async fn a_source_that_puts_something_below_a_file_fails_with_the_path() {
    let repository = repository().await;
    let source = Told(|sink| {
        for path in [&b"a"[..], b"a/b"] {
            let metadata = Metadata::new(FileKind::File);
            sink.begin(EntryStart::new(&EntryPath::parse(path).expect("a path"), &metadata))?;
            sink.end(metadata, Vec::new())?;
        }
        Ok(Verdict::Whole)
    });
    let error = repository.backup(source).start().await.expect_err("no folder can hold it");
    assert_eq!(error.kind(), Kind::SourceFailed);
    assert!(error.in_one_line().contains("it gave a/b below a, which is no folder"), "{}", error.in_one_line());
    assert!(repository.snapshots().await.expect("snapshots").is_empty());
}

/// Says what it is at, and waits there until it is let go.
struct Hanging {
    is_there: tokio::sync::oneshot::Sender<()>,
    until: std::sync::mpsc::Receiver<()>,
}

impl Source for Hanging {
    fn kind(&self) -> &str {
        "hanging"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/mnt".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        sink.looks_at(b"/mnt/server/file");
        self.is_there.send(()).expect("somebody waits");
        self.until.recv().expect("somebody lets go");
        Ok(Verdict::Whole)
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_named_after_a_minute_and_may_go_on() {
    let repository = repository().await;
    let (is_there, there) = tokio::sync::oneshot::channel();
    let (let_go, until) = std::sync::mpsc::channel();
    let job = repository.backup(Hanging { is_there, until }).start();
    let mut events = job.events();
    let job = tokio::spawn(job);
    there.await.expect("it comes to the file");
    let named = tokio::spawn(async move {
        loop {
            if let Event::Warning(warning) = events.next().await.expect("a warning before the end") {
                return warning;
            }
        }
    });
    for _ in 0..100 {
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    let warning = named.await.expect("it was told");
    assert!(warning.message.ends_with("still waiting for /mnt/server/file") && !warning.partial, "{warning:?}");
    let_go.send(()).expect("it waits");
    let report = job.await.expect("no panic").expect("a backup");
    assert_eq!((report.verdict, report.warnings_total), (Verdict::Whole, 1));
}

/// Gives nothing until it is let go; can tell how much there is, at once or when it is counted.
struct Estimated {
    is_counted: bool,
    until: std::sync::mpsc::Receiver<()>,
}

const THREE: Amount = Amount { entries: 3, bytes: 21 };

impl Source for Estimated {
    fn kind(&self) -> &str {
        "estimated"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/".to_vec()]
    }

    fn estimate(&self) -> Option<Estimate> {
        let announced = Told(|sink| {
            for name in [b"a", b"b", b"c"] {
                let mut metadata = Metadata::new(FileKind::File);
                metadata.size = 7;
                let path = EntryPath::parse(name).expect("a path");
                assert_eq!(sink.begin(EntryStart::new(&path, &metadata))?, Want::Nothing);
                sink.end(metadata, Vec::new())?;
            }
            Ok(Verdict::Whole)
        });
        Some(if self.is_counted { Estimate::Counted(Box::new(announced)) } else { Estimate::Of(THREE) })
    }

    fn run(self: Box<Self>, _: &mut dyn Sink) -> Result<Verdict, SourceError> {
        self.until.recv().expect("somebody lets go");
        Ok(Verdict::Whole)
    }
}

#[tokio::test(start_paused = true)]
async fn who_watches_a_first_backup_sees_how_much_there_is_if_the_source_can_tell() {
    for is_counted in [false, true] {
        let repository = repository().await;
        let (let_go, until) = std::sync::mpsc::channel();
        let job = repository.backup(Estimated { is_counted, until }).start();
        let progress = job.progress();
        let job = tokio::spawn(job);
        let total = || Amount { entries: progress.latest().entries_total, bytes: progress.latest().bytes_total };
        while total() != THREE {
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let_go.send(()).expect("it waits");
        job.await.expect("no panic").expect("a backup");
    }
}

#[tokio::test]
async fn a_backup_tells_its_phases_and_that_its_snapshot_is_stored() {
    let repository = repository().await;
    let job = repository.backup(Told(|_| Ok(Verdict::Whole))).start();
    let mut events = job.events();
    let snapshot = job.await.expect("a backup").snapshot.expect("a snapshot");
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event);
    }
    let phases = [Phase::Preparing, Phase::Reading, Phase::Committing].map(Event::Phase);
    assert_eq!(told, phases.into_iter().chain([Event::SnapshotStored { id: snapshot.id }]).collect::<Vec<_>>());
}
