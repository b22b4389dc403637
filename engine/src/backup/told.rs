//! Promises about sources that do not keep to what a source must do.

use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::verdict::Verdict;
use std::sync::Arc;

async fn repository() -> Repository {
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
            sink.begin(&EntryPath::parse(path).expect("a path"), &metadata)?;
            sink.end(metadata, Vec::new())?;
        }
        Ok(Verdict::Whole)
    });
    let error = repository.backup(source).start().await.expect_err("no folder can hold it");
    assert_eq!(error.kind(), Kind::SourceFailed);
    assert!(error.in_one_line().contains("it gave a/b below a, which is no folder"), "{}", error.in_one_line());
    assert!(repository.snapshots().await.expect("snapshots").is_empty());
}
