//! Promises about change tokens and chunk profiles: what decides that content is read again, and how it is cut.

use super::told::repository;
use crate::entry::ChunkProfile;
use crate::entry::Chunking;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::repository::Repository;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::source::give;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// One object of a store: what is known of it, and its bytes.
#[derive(Clone)]
struct Object {
    kind: FileKind,
    token: Option<&'static [u8]>,
    size: Option<u64>,
    modified: i64,
    chunking: ChunkProfile,
    bytes: Vec<u8>,
    /// Times that its bytes were asked for.
    read: Arc<AtomicUsize>,
}

impl Object {
    fn new(token: Option<&'static [u8]>, bytes: &[u8]) -> Self {
        let (bytes, size) = (bytes.to_vec(), Some(bytes.len() as u64));
        let chunking = ChunkProfile::Default;
        Self { kind: FileKind::File, token, size, modified: 7, chunking, bytes, read: Arc::default() }
    }
}

impl Source for Object {
    fn kind(&self) -> &str {
        "bucket"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"bucket".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let mut metadata = Metadata::new(self.kind.clone());
        metadata.size = self.size.unwrap_or(0);
        metadata.modified = Timestamp { seconds: self.modified, nanoseconds: 0 };
        let path = EntryPath::parse(b"key").expect("a path");
        let mut start = EntryStart::new(&path, &metadata).chunking(self.chunking);
        start.change_token = self.token;
        start.size_is_known = self.size.is_some();
        if sink.begin(start)? == Want::Bytes {
            self.read.fetch_add(1, Ordering::Relaxed);
            give(&self.bytes, sink)?;
        }
        sink.end(metadata, Vec::new())?;
        Ok(Verdict::Whole)
    }
}

/// Backs up; gives the entry stored, and whether its bytes were asked for.
async fn stored(repository: &Repository, object: &Object) -> (Entry, bool) {
    let object = Object { read: Arc::default(), ..object.clone() };
    let read = Arc::clone(&object.read);
    let report = repository.backup(object).start().await.expect("a backup");
    let snapshot = report.snapshot.expect("a snapshot");
    let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
    let entry = entries.next().await.expect("readable").expect("an entry");
    (entry, read.load(Ordering::Relaxed) > 0)
}

#[tokio::test]
async fn a_new_token_is_read_under_the_old_time_and_size_and_the_old_one_is_not() {
    let repository = repository().await;
    let old = Object::new(Some(b"v1"), b"one");
    let (entry, _) = stored(&repository, &old).await;
    assert_eq!(entry.change_token.as_deref(), Some(&b"v1"[..]));
    let (entry, is_read) = stored(&repository, &old).await;
    assert!(!is_read && entry.change_token.as_deref() == Some(b"v1"), "it stays with what was taken over");
    let new = Object { token: Some(b"v2"), bytes: b"two".to_vec(), ..old.clone() };
    let (entry, is_read) = stored(&repository, &new).await;
    assert!(is_read && entry.change_token.as_deref() == Some(b"v2"));
    assert!(!stored(&repository, &new).await.1);
    for other in [
        Object { token: None, ..new.clone() },
        Object { modified: 8, ..new.clone() },
        Object { size: Some(4), bytes: b"four".to_vec(), ..new.clone() },
        Object { size: Some(0), bytes: Vec::new(), ..new.clone() },
    ] {
        assert!(stored(&repository, &other).await.1, "token, time and size decide together");
        assert!(stored(&repository, &new).await.1, "and so they do on the way back");
    }
}

#[tokio::test]
async fn a_source_that_knows_only_tokens_is_read_where_they_changed_even_if_it_gives_streams() {
    for kind in [FileKind::File, FileKind::Stream] {
        let repository = repository().await;
        let only = Object { kind, size: None, modified: 0, ..Object::new(Some(b"lsn 1"), b"rows") };
        assert!(stored(&repository, &only).await.1);
        let (entry, is_read) = stored(&repository, &only).await;
        assert!(!is_read && entry.metadata.size == 4);
        let later = Object { token: Some(b"lsn 2"), bytes: b"rose".to_vec(), ..only.clone() };
        assert!(stored(&repository, &later).await.1);
        let none = Object { token: None, ..later };
        assert!(stored(&repository, &none).await.1);
        assert!(stored(&repository, &none).await.1, "nothing tells that it is as before");
    }
}

#[tokio::test]
async fn what_was_replaced_is_called_changed() {
    let repository = repository().await;
    let old = Object::new(Some(b"v1"), b"one");
    stored(&repository, &old).await;
    let new = Object { token: Some(b"v2"), bytes: b"two".to_vec(), ..old };
    let report = repository.backup(new).start().await.expect("a backup");
    assert_eq!((report.files_new, report.files_changed, report.files_unchanged), (0, 1, 0));
}

#[tokio::test]
async fn an_entry_says_how_it_was_cut() {
    let repository = repository().await;
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let cut = |chunking| Object { chunking, ..Object::new(Some(b"v1"), &bytes) };
    let (entry, _) = stored(&repository, &cut(ChunkProfile::Pages(65_536))).await;
    assert_eq!(entry.chunking, Some(Chunking { chunker: 2, sizes: [65_536; 3] }));
    assert!(matches!(&entry.content, crate::entry::Content::Inline(chunks) if chunks.len() == 7));
    let rows = Object { token: Some(b"v2"), ..cut(ChunkProfile::Rows) };
    let (entry, _) = stored(&repository, &rows).await;
    assert_eq!(entry.chunking, ChunkProfile::Rows.stored());
    assert!(matches!(&entry.content, crate::entry::Content::Inline(chunks) if chunks.len() > 10));
    let (entry, _) = stored(&repository, &Object { token: Some(b"v3"), ..cut(ChunkProfile::Default) }).await;
    assert_eq!(entry.chunking, None);
}

#[tokio::test]
async fn pages_and_tokens_that_cannot_be_stored_are_refused_with_their_path() {
    let repository = repository().await;
    let long: &'static [u8] = &[7; 2000];
    for object in [
        Object { chunking: ChunkProfile::Pages(0), ..Object::new(None, b"x") },
        Object { chunking: ChunkProfile::Pages(u32::MAX), ..Object::new(None, b"x") },
        Object::new(Some(b""), b"x"),
        Object::new(Some(long), b"x"),
    ] {
        let error = repository.backup(object).start().await.expect_err("refused");
        assert_eq!(error.kind(), Kind::SourceFailed);
        assert!(error.in_one_line().contains("key"), "{}", error.in_one_line());
    }
}
