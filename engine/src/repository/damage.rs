//! Damage to stored objects, one byte at a time: never a panic, never wrong bytes, always a word for it.

use super::Repository;
use super::check::ReadData;
use super::create::CreateOptions;
use super::open::Key;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backup::Cipher;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::random::SeededRng;
use crate::source::ReaderSource;
use crate::time::SystemClock;
use std::sync::Arc;

const CONTENT: &[u8] = b"a line of a file\na line of a file\na line of a file\n";

/// A key file rather than a passphrase: damage to a slot's cost must not make the test dear.
pub(super) fn key() -> Key {
    Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(1)).expect("seeded")))
}

/// A repository with nothing in it.
pub(super) async fn made() -> (MemoryBackend, Repository) {
    let memory = MemoryBackend::new();
    let options = CreateOptions { recovery: false, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(memory.clone()), key(), options).await.expect("a repository");
    (memory, created.repository)
}

/// A repository with one snapshot of one file.
async fn small(cipher: Cipher) -> MemoryBackend {
    let backend = Arc::new(MemoryBackend::new());
    let options = CreateOptions { recovery: false, ..CreateOptions::default() };
    let (rng, clock) = (Arc::new(SeededRng::new(2)), Arc::new(SystemClock));
    let created = Repository::create_with(backend.clone(), key(), options, rng, clock).await.expect("created");
    let source = ReaderSource::new(EntryPath::parse(b"file").expect("a path"), CONTENT);
    created.repository.backup(source).cipher(cipher).threads(1).start().await.expect("a backup");
    backend.fork()
}

/// Every byte of every snapshot that a reader can come by.
pub(super) async fn read_all(backend: MemoryBackend) -> Result<Vec<u8>> {
    let repository = Repository::open(Arc::new(backend), key()).await?;
    let mut bytes = Vec::new();
    for snapshot in repository.snapshots().await? {
        let mut entries = repository.view(&snapshot).await?.walk(None);
        while let Some(entry) = entries.next().await? {
            let mut content = entries.open(&entry);
            while let Some(part) = content.next().await? {
                bytes.extend_from_slice(&part);
            }
        }
    }
    Ok(bytes)
}

async fn problems(backend: MemoryBackend) -> u64 {
    let repository = Repository::open(Arc::new(backend), key()).await.expect("packs are not needed to open");
    let check = repository.check().read_data(ReadData::All).threads(1).start();
    check.await.expect("damage is a finding, not a failure").problems_total
}

fn is_word_for_damage(error: &Error) -> bool {
    matches!(error.kind(), Kind::Damaged | Kind::Unsupported | Kind::WrongKey)
}

/// Tries every one of `damaged`, which are other forms of the object `name`.
async fn try_all(whole: &MemoryBackend, name: Name, damaged: impl Iterator<Item = Vec<u8>>) {
    for (number, bytes) in damaged.enumerate() {
        let backend = whole.fork();
        backend.replace(name, bytes);
        // Packs make up for a data key, and nobody needs the list of key slots to read.
        let is_spare = matches!(name, Name::DataKey(_) | Name::KeyList(_));
        match (name.is_pack() || is_spare, read_all(backend.fork()).await) {
            (_, Err(error)) if !is_spare => assert!(is_word_for_damage(&error), "{name}, damage {number}: {error:?}"),
            // Readers fetch segments only; what else is in a pack is the check's affair.
            (true, Ok(bytes)) => assert_eq!(bytes, CONTENT, "{name}, damage {number}"),
            (false, Ok(_)) => panic!("{name}, damage {number}: nobody noticed"),
            (_, Err(error)) => panic!("{name}, damage {number}: it is not needed to read: {error:?}"),
        }
        if name.is_pack() || is_spare {
            assert!(problems(backend).await > 0, "{name}, damage {number}: the check finds nothing");
        }
    }
}

async fn no_damage_goes_unnoticed(cipher: Cipher) {
    let whole = small(cipher).await;
    assert_eq!(read_all(whole.fork()).await.expect("whole"), CONTENT);
    assert_eq!(problems(whole.fork()).await, 0);
    let objects = whole.contents();
    assert_eq!(objects.len(), 9, "config, slot, list of slots, two data keys, two packs, index, snapshot");
    for (name, bytes) in objects {
        let flips = (0..bytes.len()).map(|at| {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << (at % 8);
            flipped
        });
        let cuts = (0..bytes.len()).map(|length| bytes[..length].to_vec());
        let longer = std::iter::once([bytes.as_ref(), &[0]].concat());
        try_all(&whole, name, flips.chain(cuts).chain(longer)).await;
    }
}

#[tokio::test]
async fn a_byte_flipped_or_cut_anywhere_is_noticed_under_xchacha() {
    no_damage_goes_unnoticed(Cipher::XChaCha20Poly1305).await;
}

#[tokio::test]
async fn a_byte_flipped_or_cut_anywhere_is_noticed_under_aes() {
    no_damage_goes_unnoticed(Cipher::Aes256Gcm).await;
}
