//! Promises about data keys whose objects are gone or damaged: the packs they sealed are enough.

use super::Repository;
use super::check::CheckReport;
use super::check::ReadData;
use super::create::CreateOptions;
use super::damage::key;
use super::damage::read_all;
use super::hooked::Hooked;
use super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backup::BackupReport;
use crate::backup::Cipher;
use crate::class::Class;
use crate::entry::EntryPath;
use crate::id::DataKeyId;
use crate::index::chunks::ChunkReader;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::source::ReaderSource;
use crate::time::SystemClock;
use bytes::Bytes;
use std::sync::Arc;

/// Enough for segments in both packs that are open at a time.
const CONTENT_BYTES: usize = 20 << 20;

fn content() -> Vec<u8> {
    let mut content = vec![0; CONTENT_BYTES];
    SeededRng::new(3).fill(&mut content).expect("seeded");
    content
}

/// A repository with one snapshot of one stream in several packs; and its data keys as stored.
async fn made(cipher: Cipher) -> (MemoryBackend, Vec<(Name, Bytes)>) {
    let backend = MemoryBackend::new();
    let options = CreateOptions { recovery: false, ..CreateOptions::default() };
    let (rng, clock) = (Arc::new(SeededRng::new(2)), Arc::new(SystemClock));
    let created = Repository::create_with(Arc::new(backend.clone()), key(), options, rng, clock).await;
    back_up(&created.expect("created").repository, cipher, false).await;
    let mut keys = backend.contents();
    keys.retain(|(name, _)| matches!(name, Name::DataKey(_)));
    assert_eq!(keys.len(), 2);
    (backend, keys)
}

async fn back_up(repository: &Repository, cipher: Cipher, dry_run: bool) -> BackupReport {
    let source = ReaderSource::new(EntryPath::parse(b"file").expect("a path"), std::io::Cursor::new(content()));
    repository.backup(source).cipher(cipher).threads(1).dry_run(dry_run).start().await.expect("a backup")
}

/// Opened anew: a repository remembers the keys it has made or read.
async fn opened(backend: &MemoryBackend) -> Repository {
    Repository::open(Arc::new(backend.clone()), key()).await.expect("opens")
}

async fn check(backend: &MemoryBackend, read_data: ReadData) -> CheckReport {
    opened(backend).await.check().read_data(read_data).threads(1).start().await.expect("a check")
}

async fn delete(backend: &MemoryBackend, area: Area) {
    for listed in backend.list(area).await.expect("a list") {
        backend.delete(&listed.name).await.expect("deleted");
    }
}

fn ids(keys: &[(Name, Bytes)]) -> Vec<DataKeyId> {
    keys.iter().filter_map(|(name, _)| if let Name::DataKey(id) = name { Some(*id) } else { None }).collect()
}

#[tokio::test]
async fn without_any_data_key_every_byte_is_restored_and_the_check_says_what_helps() {
    for cipher in [Cipher::XChaCha20Poly1305, Cipher::Aes256Gcm] {
        let (backend, keys) = made(cipher).await;
        delete(&backend, Area::DataKeys).await;
        assert!(read_all(backend.clone()).await.expect("the packs are enough") == content());
        for read_data in [ReadData::Nothing, ReadData::All] {
            let report = check(&backend, read_data).await;
            let named: Vec<_> = report.problems.iter().map(|problem| problem.object.clone()).collect();
            assert_eq!(named, keys.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>());
            for problem in report.problems {
                assert!(problem.message.starts_with("it is missing; nothing is lost"), "{}", problem.message);
                assert!(problem.message.ends_with("the next backup puts it back"), "{}", problem.message);
            }
            assert_eq!(report.segments > 0, read_data == ReadData::All);
        }
    }
}

#[tokio::test]
async fn a_backup_puts_missing_data_keys_back_to_the_byte_and_stores_nothing_again() {
    let (backend, keys) = made(Cipher::Auto).await;
    delete(&backend, Area::DataKeys).await;
    let repository = opened(&backend).await;
    let tried = back_up(&repository, Cipher::Auto, true).await;
    assert_eq!((tried.bytes_new, tried.warnings_total), (0, 2));
    assert_eq!(backend.list(Area::DataKeys).await.expect("a list"), []);
    let report = back_up(&repository, Cipher::Auto, false).await;
    assert_eq!((report.bytes_new, report.warnings_total), (0, 2));
    let objects = backend.contents();
    assert!(keys.iter().all(|key| objects.contains(key)));
    assert_eq!(check(&backend, ReadData::All).await.problems, []);
}

#[tokio::test]
async fn missing_data_keys_are_put_back_on_request() {
    let (backend, keys) = made(Cipher::Auto).await;
    let whole = backend.contents();
    delete(&backend, Area::DataKeys).await;
    let report = opened(&backend).await.put_back_data_keys().await.expect("put back");
    assert_eq!(report.put_back, ids(&keys));
    assert_eq!((report.in_the_way, report.lost), (vec![], vec![]));
    assert_eq!(backend.contents(), whole);
    let again = opened(&backend).await.put_back_data_keys().await.expect("nothing to do");
    assert_eq!(again, super::DataKeysPutBack::default());
}

#[tokio::test]
async fn a_damaged_data_key_costs_nothing_and_is_left_as_evidence() {
    let (backend, keys) = made(Cipher::Auto).await;
    for (name, bytes) in &keys {
        backend.replace(*name, bytes.slice(..bytes.len() - 1));
    }
    assert!(read_all(backend.clone()).await.expect("the packs are enough") == content());
    let found = check(&backend, ReadData::All).await.problems;
    assert_eq!(found.len(), 2);
    assert!(
        found.iter().all(|problem| problem.message.ends_with("puts it back, once this one is removed")),
        "{found:?}"
    );
    let hurt = backend.contents();
    let report = opened(&backend).await.put_back_data_keys().await.expect("looked at");
    assert_eq!((report.put_back, report.in_the_way, report.lost), (vec![], ids(&keys), vec![]));
    assert_eq!(backend.contents(), hurt);
}

#[tokio::test]
async fn a_key_is_taken_from_any_pack_whose_table_opens() {
    let (backend, keys) = made(Cipher::Auto).await;
    delete(&backend, Area::DataKeys).await;
    let mut packs = backend.contents();
    packs.retain(|(name, bytes)| name.is_pack() && bytes.len() > 1 << 20);
    assert!(packs.len() > 1, "one pack for all segments proves nothing");
    // The tables of all but the first. Their segments, which the index knows, are whole.
    for (name, bytes) in packs.iter().skip(1) {
        let mut hurt = bytes.to_vec();
        hurt[60] ^= 1;
        backend.replace(*name, hurt);
    }
    assert!(read_all(backend.clone()).await.expect("one table is enough") == content());
    let (name, bytes) = &packs[0];
    let mut hurt = bytes.to_vec();
    hurt[60] ^= 1;
    backend.replace(*name, hurt);
    assert!(read_all(backend.clone()).await.is_err(), "the key is nowhere");
    let report = opened(&backend).await.put_back_data_keys().await.expect("looked at");
    assert_eq!((report.put_back.len(), report.in_the_way, report.lost.len()), (1, vec![], 1));
    let found = check(&backend, ReadData::Nothing).await.problems;
    assert!(found.iter().any(|problem| problem.message.ends_with("no pack holds a copy of it that opens")));
    assert_eq!(ids(&keys).len(), report.put_back.len() + report.lost.len());
}

#[tokio::test]
async fn a_key_that_is_nowhere_is_not_looked_for_again_for_each_segment() {
    let (backend, _) = made(Cipher::Auto).await;
    delete(&backend, Area::DataKeys).await;
    for (name, bytes) in backend.contents() {
        if name.is_pack() {
            let mut hurt = bytes.to_vec();
            hurt[60] ^= 1;
            backend.replace(name, hurt);
        }
    }
    let hooked = Hooked::new(backend, |_, _| async {});
    let repository = Repository::open(Arc::clone(&hooked) as Arc<dyn Backend>, key()).await.expect("opens");
    let index = repository.index().await.expect("an index");
    let mut ids = Vec::new();
    let all = index.current().for_each_chunk(|copies| {
        ids.extend(copies.iter().map(|(_, record)| record.id));
        Ok(())
    });
    all.expect("the index is whole");
    let chunks = ChunkReader::live(&index, Class::Data);
    let reads = || hooked.steps().into_iter().filter(|step| matches!(step, Step::Get(name) if name.is_pack())).count();
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let before = reads();
        for id in &ids {
            assert!(chunks.chunk(id).await.is_err(), "its key is nowhere");
        }
        rounds.push(reads() - before);
    }
    let [first, second] = rounds[..] else { unreachable!("two rounds") };
    assert!(ids.len() > 10 && second <= ids.len(), "{second} reads for {} segments", ids.len());
    assert!(first <= second + 2 * 8, "{first} reads with those of the tables");
}
