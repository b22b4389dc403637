//! A repository that the first release wrote, kept for ever: whatever the program becomes, it opens it, reads every
//! byte, and still cuts, names and lays out the same.
//!
//! `v1/repository` and `v1/EXPECTED.txt` were written once, by
//! `STRONGROOM_GOLDEN_WRITE=1 cargo nextest run -p strongroom-tests every_byte_of_the_golden`, and are not to be written again: a test
//! that fails here has found a change of the format. What a run with the same seed must write again to the byte is
//! what one thread writes: slots, the list of them, and config. In a backup, several threads draw nonces and salts from the one generator
//! in whatever order they come to it; of a backup everything under the seal is compared instead, through the names of
//! the pages, which are hashes of all there is to know about entries, chunk ends included.

mod describe;
mod make;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::Area;
use strongroom::Key;
use strongroom::Kind;
use strongroom::LocalBackend;
use strongroom::Name;
use strongroom::Parent;
use strongroom::ReadData;
use strongroom::Repository;
use strongroom::Secret;
use strongroom::SlotKind;
use strongroom::Verdict;

/// Most bytes that a clone of this project pays for the golden repository.
const BYTES_MAX: u64 = 200 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

fn expected() -> String {
    fs::read_to_string(folder().join("EXPECTED.txt")).expect("the expectation")
}

/// The rest of the first expected line that begins with `what`.
fn expected_line(what: &str) -> String {
    let text = expected();
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    line.unwrap_or_else(|| panic!("no line begins with {what:?}")).to_owned()
}

fn copy(from: &Path, to: &Path) -> u64 {
    fs::create_dir_all(to).expect("a folder of the copy");
    let items = fs::read_dir(from).expect("a folder of the golden repository").map(|item| item.expect("an item"));
    let copy_one = |item: fs::DirEntry| match item.file_type().expect("a type").is_dir() {
        true => copy(&item.path(), &to.join(item.file_name())),
        false => fs::copy(item.path(), to.join(item.file_name())).expect("a copy"),
    };
    items.map(copy_one).sum()
}

/// A copy of the golden repository, since opening is allowed to touch it.
fn golden() -> (tempfile::TempDir, Arc<LocalBackend>) {
    let copied = tempfile::tempdir().expect("a folder");
    let bytes = copy(&folder().join("repository"), copied.path());
    assert!((1..=BYTES_MAX).contains(&bytes), "the golden repository has {bytes} bytes");
    let backend = Arc::new(LocalBackend::new(copied.path()));
    (copied, backend)
}

fn passphrase() -> Key {
    Key::Passphrase(Secret::new(make::PASSPHRASE))
}

async fn opened() -> (tempfile::TempDir, Repository) {
    let (copied, backend) = golden();
    (copied, Repository::open(backend, passphrase()).await.expect("the golden repository opens"))
}

#[tokio::test]
async fn the_golden_repository_opens_with_each_of_its_keys() {
    let keys = [
        (passphrase(), SlotKind::Passphrase),
        (Key::Passphrase(Secret::new(make::PASSPHRASE_DECOMPOSED)), SlotKind::Passphrase),
        (Key::KeyFile(Secret::new(expected_line("key file: "))), SlotKind::KeyFile),
        (Key::Recovery(Secret::new(expected_line("recovery code: "))), SlotKind::Recovery),
        (Key::Recovery(Secret::new(expected_line("recovery code: ").to_lowercase())), SlotKind::Recovery),
    ];
    for (key, kind) in keys {
        let (_copied, backend) = golden();
        let repository = Repository::open(backend, key).await.expect("opens");
        let slots = repository.keys().await.expect("slots");
        assert_eq!(slots.iter().filter(|slot| slot.current && slot.kind == kind).count(), 1);
    }
    let (_copied, backend) = golden();
    let error = Repository::open(backend, Key::Passphrase(Secret::new("another"))).await.expect_err("a wrong key");
    assert_eq!(error.kind(), Kind::WrongKey);
}

#[tokio::test]
async fn every_byte_of_the_golden_repository_reads_back_as_expected() {
    if std::env::var_os("STRONGROOM_GOLDEN_WRITE").is_some() {
        make::write(&folder()).await;
    }
    let (_copied, repository) = opened().await;
    let found = describe::repository(&repository).await;
    let text = expected();
    let (_, wanted) = text.split_once("\n\n").expect("keys, an empty line, the rest");
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn the_packs_of_the_golden_repository_do_without_the_objects_of_their_keys() {
    let (copied, _) = opened().await;
    fs::remove_dir_all(copied.path().join("keys/data")).expect("the data keys go");
    let backend = Arc::new(LocalBackend::new(copied.path()));
    let repository = Repository::open(backend, passphrase()).await.expect("opens");
    let found = describe::repository(&repository).await;
    assert_eq!(found, expected().split_once("\n\n").expect("keys, an empty line, the rest").1);
    assert_eq!(repository.put_back_data_keys().await.expect("put back").put_back.len(), 6);
    for object in fs::read_dir(folder().join("repository/keys/data")).expect("the golden keys") {
        let golden = object.expect("a key").path();
        let put_back = copied.path().join("keys/data").join(golden.file_name().expect("a name"));
        assert_eq!(fs::read(put_back).expect("it is back"), fs::read(&golden).expect("bytes"));
    }
}

#[tokio::test]
async fn a_full_check_of_the_golden_repository_finds_nothing() {
    let (_copied, repository) = opened().await;
    let report = repository.check().read_data(ReadData::All).start().await.expect("a check");
    assert_eq!(report.problems, []);
    assert!(report.snapshots == 3 && report.segments > 30 && report.packs_unreferenced == 0, "{report:?}");
}

#[tokio::test]
async fn backing_up_the_same_into_the_golden_repository_finds_everything_there() {
    let (_copied, repository) = opened().await;
    let snapshots = repository.snapshots().await.expect("snapshots");
    for (plan, golden) in make::plans(&snapshots).into_iter().zip(&snapshots) {
        let report = plan.builder(&repository).parent(Parent::Nothing).start().await.expect("a backup");
        let again = report.snapshot.expect("a snapshot");
        assert_eq!(again.root, golden.root, "chunks or pages end elsewhere, or are named or laid out otherwise");
        assert_eq!(again.counts.bytes_new, 0, "a chunk that is there was stored again");
        // Their writer did not count what a source says at the end of an entry.
        let lacks = Verdict::Partial(vec!["/dir/full: its access control list could not be read".to_owned()]);
        assert_eq!(again.verdict, if golden.verdict == Verdict::Whole { lacks } else { golden.verdict.clone() });
        assert_eq!(
            (&again.statement, &again.metadata, &again.paths, &again.excludes, again.chunker),
            (&golden.statement, &golden.metadata, &golden.paths, &golden.excludes, golden.chunker)
        );
    }
}

#[tokio::test]
async fn the_same_seed_still_writes_the_same_slots_list_and_config() {
    let (backend, _) = make::created().await;
    let mut compared = 0;
    for (name, bytes) in backend.contents() {
        let golden = fs::read(folder().join("repository").join(name.to_string())).expect("the same name");
        if name == Name::Config && expected_line("program: ") != make::PROGRAM {
            // The sealed part names the program that made the repository; the rest stays as it was.
            assert_eq!(bytes[..48], golden[..48]);
        } else {
            assert_eq!(bytes, golden, "{name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 5, "three slots, the list of them, and the config");
}

#[tokio::test]
async fn the_golden_repository_holds_both_ciphers_classes_and_compressions() {
    let (_copied, repository) = opened().await;
    let (mut classes, mut stored, mut squeezed) = (BTreeSet::new(), BTreeSet::new(), 0);
    for listed in repository.list_objects(Area::Packs).await.expect("packs") {
        let Name::Pack(id) = listed.name else { continue };
        let pack = repository.inspect_pack(id).await.expect("a pack");
        classes.insert(pack.class.byte());
        for segment in &pack.segments {
            match segment.compression {
                0 => drop(stored.insert(segment.stored_length - segment.plain_length)),
                _ => squeezed += 1,
            }
        }
    }
    assert_eq!(classes, BTreeSet::from([1, 2]));
    assert_eq!(stored, BTreeSet::from([16, 40]), "a tag under a counted nonce, and a tag with its random nonce");
    assert!(squeezed > 30, "{squeezed} squeezed segments");
}
