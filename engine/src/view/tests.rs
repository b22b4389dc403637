//! Promises about the bytes of one entry: the same from wherever, however and by how many they are read.

use super::ContentReader;
use super::SnapshotView;
use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::error::Kind;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::FolderSource;
use futures_core::Stream;
use std::future::poll_fn;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncSeekExt;

async fn rest(content: &mut ContentReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = content.next().await.expect("a piece") {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// A view of a large file, one with holes and an empty one; and their bytes.
async fn scene() -> (SnapshotView, Vec<(&'static str, Vec<u8>)>) {
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let key = Key::Passphrase(Secret::new("open"));
    let created = Repository::create(Arc::new(MemoryBackend::new()), key, options).await.expect("a repository");
    let folder = tempfile::tempdir().expect("a folder");
    let mut big = vec![0; 20 << 20];
    SeededRng::new(5).fill(&mut big).expect("seeded bytes");
    std::fs::write(folder.path().join("big"), &big).expect("written");
    let sparse = std::fs::File::create(folder.path().join("sparse")).expect("made");
    sparse.write_all_at(&big[..1 << 20], 1 << 20).expect("written");
    sparse.write_all_at(&big[..3 << 20], 4 << 20).expect("written");
    sparse.set_len(9 << 20).expect("longer");
    std::fs::write(folder.path().join("empty"), b"").expect("written");
    let source = FolderSource::new(vec![".".into()]).relative_to(folder.path().to_owned());
    let snapshot = created.repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot");
    let read = |name| (name, std::fs::read(folder.path().join(name)).expect("read"));
    (created.repository.view(&snapshot).await.expect("a view"), ["big", "sparse", "empty"].map(read).into())
}

async fn open(view: &SnapshotView, name: &str) -> ContentReader {
    let path = EntryPath::parse(name.as_bytes()).expect("a path");
    view.open(&view.entry(&path).await.expect("read").expect("an entry"))
}

#[tokio::test]
async fn reading_goes_on_from_any_byte_of_files_with_and_without_holes() {
    let (view, files) = scene().await;
    for (name, bytes) in files {
        let mut content = open(&view, name).await;
        let last = bytes.len().saturating_sub(1);
        for offset in [last, 0, 1, 1 << 20, (4 << 20) + 7, 3 << 20, (7 << 20) + 1, last + 1, last + 5, 777_777] {
            content.go_to(offset as u64);
            assert!(rest(&mut content).await == bytes[offset.min(bytes.len())..], "{name} from {offset}");
        }
        content.go_to(0);
        content.next().await.expect("a piece");
        content.go_to(123);
        assert!(rest(&mut content).await == bytes[bytes.len().min(123)..], "{name} after a part was read");
    }
}

#[tokio::test]
async fn any_part_of_a_file_can_be_read_whatever_else_is_being_read() {
    let (view, files) = scene().await;
    for (name, bytes) in files {
        let content = Arc::new(open(&view, name).await);
        assert_eq!(content.size(), bytes.len() as u64);
        let mut rng = 77u64;
        let mut tasks = Vec::new();
        for round in 0..60 {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let offset = usize::try_from(rng >> 40).expect("small") % (bytes.len() + 10);
            let length = [0, 1, 4096, 700_000, 5 << 20][round % 5];
            let content = Arc::clone(&content);
            tasks.push((offset, length, tokio::spawn(async move { content.read_at(offset as u64, length).await })));
        }
        for (offset, length, task) in tasks {
            let found = task.await.expect("not lost").expect("read");
            let wanted = bytes.get(offset..).unwrap_or_default();
            assert!(found == wanted[..wanted.len().min(length)], "{name}: {length} bytes at {offset}");
        }
        // Piece by piece, as whoever plays it back.
        let mut all = Vec::new();
        while all.len() < bytes.len() {
            all.extend_from_slice(&content.read_at(all.len() as u64, 999_999).await.expect("read"));
        }
        assert!(all == bytes && content.read_at(u64::MAX, usize::MAX).await.expect("read").is_empty());
    }
}

#[tokio::test]
async fn readers_of_other_kinds_get_the_same_bytes_in_turns() {
    let (view, files) = scene().await;
    for (name, bytes) in files {
        let mut content = open(&view, name).await;
        let mut first = vec![0; bytes.len().min(1000)];
        content.read_exact(&mut first).await.expect("read");
        assert!(first == bytes[..first.len()] && content.position() == first.len() as u64);
        let second = poll_fn(|context| Pin::new(&mut content).poll_next(context)).await.transpose().expect("read");
        let mut all = [first, second.map_or_else(Vec::new, |piece| piece.to_vec())].concat();
        AsyncReadExt::read_to_end(&mut content, &mut all).await.expect("read");
        assert!(all == bytes, "{name}");
        let back = content.seek(SeekFrom::End(-10.min(bytes.len() as i64))).await.expect("a place");
        assert_eq!(back, bytes.len().saturating_sub(10) as u64);
        assert!(content.seek(SeekFrom::Current(-1 - back as i64)).await.is_err());
        assert!(rest(&mut content).await == bytes[bytes.len().saturating_sub(10)..]);
    }
}

#[tokio::test]
async fn a_whole_content_is_given_only_within_the_limit() {
    let (view, files) = scene().await;
    for (name, bytes) in files {
        let content = open(&view, name).await;
        assert!(content.read_to_end(bytes.len()).await.expect("read") == bytes);
        if let Some(less) = bytes.len().checked_sub(1) {
            let refused = content.read_to_end(less).await.expect_err("more than is allowed");
            assert_eq!(refused.kind(), Kind::Invalid);
        }
    }
}
