//! Promises about sources that do not keep to what a source must do.

use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::event::Event;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
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
