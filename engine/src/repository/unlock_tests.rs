//! Promises about unlocking: no slot of a stranger keeps an owner out, and what is refused says why.

use super::CreateOptions;
use super::KdfChoice;
use super::Key;
use super::OpenOptions;
use super::Repository;
use super::RotateOptions;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Layer;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::format::keyslot;
use crate::format::keyslot::SlotCost;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::id::SlotId;
use crate::limits::KEY_SLOTS_MAX;
use crate::time::Timestamp;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

fn password(word: &str) -> Key {
    Key::Passphrase(Secret::new(word))
}

/// A repository that the password "word" opens, at the standard cost.
async fn made(recovery: bool) -> (MemoryBackend, Repository) {
    let backend = MemoryBackend::new();
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(backend.clone()), password("word"), options).await.expect("created");
    (backend, created.repository)
}

async fn open(backend: &MemoryBackend, word: &str) -> Result<Repository, Error> {
    Repository::open(Arc::new(backend.clone()), password(word)).await
}

/// A slot that nobody's password opens, dated later than all others.
fn hostile(repository: &Repository, number: u16, cost: SlotCost) -> (Name, Vec<u8>) {
    let [high, low] = number.to_be_bytes();
    let head = SlotHead {
        kind: SlotKind::Passphrase,
        repository: repository.id(),
        cost,
        salt: [high; 16],
        commitment: [low; 32],
        nonce: [0; 24],
        created: Timestamp { seconds: 9_000_000_000, nanoseconds: 0 },
        label: String::new(),
    };
    let mut bytes = head.encode(54).expect("a short label");
    bytes.extend_from_slice(&[0; 54]);
    bytes.extend_from_slice(&keyslot::sum(&bytes));
    (Name::Slot(SlotId::from_bytes([0, 0, 0, 0, 0, 0, high, low])), bytes)
}

/// All that a reason says.
fn reason(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

const HUGE: SlotCost = SlotCost { memory_kib: 4 * 1024 * 1024, passes: 64, lanes: 1 };
const MANY_PASSES: SlotCost = SlotCost { memory_kib: 512 * 1024, passes: 64, lanes: 1 };

#[tokio::test]
async fn a_slot_that_asks_for_everything_keeps_nobody_out() {
    let (backend, repository) = made(false).await;
    for number in 0..200 {
        let (name, bytes) = hostile(&repository, number, if number % 2 == 0 { HUGE } else { MANY_PASSES });
        backend.replace(name, bytes);
    }
    // They would take hours, and four GiB.
    open(&backend, "word").await.expect("the cheap one is tried first");
    let refused = open(&backend, "other").await.expect_err("it is no password of it");
    assert_eq!(refused.kind(), Kind::WrongKey);
    let why = reason(&refused);
    for said in ["none of its 201 passwords", "not tried: the key 00000000", "MiB of memory", "and 197 more"] {
        assert!(why.contains(said), "{said:?} is missing from {why:?}");
    }
    assert!(refused.advice().is_some_and(|advice| advice.contains("--kdf-limit")));
    // Nor does it keep anybody from adding a key.
    repository.add_key(password("third"), KdfChoice::Minimal, "").await.expect("added");
}

#[tokio::test]
async fn more_slots_than_are_tried_do_not_take_the_place_of_one_that_costs_less() {
    let (backend, repository) = made(false).await;
    let owner = repository.keys().await.expect("keys")[0].id;
    let bytes = backend.get(&Name::Slot(owner)).await.expect("bytes");
    // Listed after all of them.
    backend.delete(&Name::Slot(owner)).await.expect("deleted");
    for number in 0..=u16::try_from(KEY_SLOTS_MAX).expect("a small number") {
        let (name, bytes) = hostile(&repository, number, HUGE);
        backend.replace(name, bytes);
    }
    let refused = open(&backend, "word").await.expect_err("it is not there");
    assert!(reason(&refused).contains("there are more than"), "{refused:?}");
    backend.replace(Name::Slot(owner), bytes);
    open(&backend, "word").await.expect("the cheapest are tried");
}

/// Objects of which some may not be read.
struct Denying {
    objects: MemoryBackend,
    denied: Vec<Name>,
}

impl Layer for Denying {
    fn inner(&self) -> &dyn Backend {
        &self.objects
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        if self.denied.contains(name) {
            return Box::pin(async move { Err(Error::new(Kind::BackendDenied, format!("cannot read {name}"))) });
        }
        self.objects.get(name)
    }
}

#[tokio::test]
async fn a_slot_or_list_that_may_not_be_read_keeps_no_other_key_out_and_is_named() {
    let (backend, repository) = made(false).await;
    let owner = Name::Slot(repository.keys().await.expect("keys")[0].id);
    let second = Name::Slot(repository.add_key(password("second"), KdfChoice::Minimal, "").await.expect("added"));
    let list = backend.list(Area::KeyLists).await.expect("lists").remove(0).name;
    let denying = |denied| Arc::new(Denying { objects: backend.clone(), denied });
    let found = Repository::open(denying(vec![second, list]), password("word")).await.expect("its own slot is there");
    let mut objects: Vec<String> =
        found.key_findings().await.expect("findings").into_iter().map(|finding| finding.object).collect();
    objects.sort_unstable();
    let mut wanted = [second.to_string(), list.to_string()];
    wanted.sort_unstable();
    assert_eq!(objects, wanted);
    let refused = Repository::open(denying(vec![owner]), password("word")).await.expect_err("its own may not be read");
    assert!(refused.kind() == Kind::BackendDenied && refused.to_string().contains(&owner.to_string()), "{refused:?}");
}

#[tokio::test]
async fn the_work_of_all_slots_together_is_bounded() {
    let (backend, repository) = made(false).await;
    // Each is within the bounds of one, and stands before the owner's by its cost.
    let cost = SlotCost { memory_kib: 8, passes: 1, lanes: 1 };
    for number in 0..300 {
        let (name, bytes) = hostile(&repository, number, cost);
        backend.replace(name, bytes);
    }
    let open = |word, kdf_limit| open_with(&backend, password(word), kdf_limit, None);
    let refused = open("word", 8 * 1024).await.expect_err("the strangers' are newer, and use it up");
    assert!(refused.kind() == Kind::WrongKey && reason(&refused).contains("not tried"), "{refused:?}");
    open("word", 1024 * 1024).await.expect("all of them may be tried");
    let refused = open("word", 4 * 1024).await.expect_err("no slot is within this");
    assert!(reason(&refused).contains("which asks for"), "{refused:?}");
    // Who looks for a key that is there already looks as far as the one who opened the repository.
    let file = Key::KeyFile(Secret::new(super::generate_key_file(&crate::random::SystemRng).expect("a key file")));
    repository.add_key(file.copied(), KdfChoice::Minimal, "").await.expect("added");
    let far = open_with(&backend, file.copied(), 1024 * 1024, None).await.expect("opens");
    let refused = far.add_key(password("word"), KdfChoice::Minimal, "").await.expect_err("it is there");
    assert_eq!(refused.kind(), Kind::Conflict);
    let near = open_with(&backend, file, 8 * 1024, None).await.expect("opens");
    near.add_key(password("word"), KdfChoice::Minimal, "").await.expect("it was not looked for so far");
}

async fn open_with(
    backend: &MemoryBackend,
    key: Key,
    kdf_limit: u64,
    cache: Option<&Path>,
) -> Result<Repository, Error> {
    let options = OpenOptions { kdf_limit, cache: cache.map(Path::to_path_buf) };
    Repository::open_within(Arc::new(backend.clone()), key, options).await
}

/// Slots of strangers that cost as little as can be: more than eight passes over as much memory.
fn crowd(backend: &MemoryBackend, repository: &Repository) {
    for number in 0..20 {
        let (name, bytes) = hostile(repository, number, SlotCost { memory_kib: 8, passes: 1, lanes: 1 });
        backend.replace(name, bytes);
    }
}

#[tokio::test]
async fn the_slot_that_opened_last_on_this_machine_is_never_out_of_reach() {
    let (backend, repository) = made(false).await;
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Some(folder.path());
    const LIMIT: u64 = 8 * 1024;
    open_with(&backend, password("word"), LIMIT, cache).await.expect("the only one");
    crowd(&backend, &repository);
    open_with(&backend, password("word"), LIMIT, None).await.expect_err("nothing is remembered");
    open_with(&backend, password("word"), LIMIT, cache).await.expect("it is remembered");
    let refused = open_with(&backend, password("other"), LIMIT, cache).await.expect_err("another password");
    assert!(reason(&refused).contains("none of its 21 passwords"), "{refused:?}");
    // The bound on memory is for it as for all others.
    open_with(&backend, password("word"), LIMIT / 2, cache).await.expect_err("it asks for more");
    // What is remembered is a hint: a wrong one has one more slot tried.
    let owner = repository.keys().await.expect("keys").into_iter().find(|slot| slot.current).expect("its own").id;
    for number in 0..20 {
        backend.delete(&hostile(&repository, number, HUGE).0).await.expect("deleted");
    }
    let (stranger, bytes) = hostile(&repository, 7, SlotCost { memory_kib: 8, passes: 1, lanes: 1 });
    backend.replace(stranger, bytes);
    let Name::Slot(strange) = stranger else { panic!("{stranger}") };
    for wrong in [strange, SlotId::from_bytes([9; 8])] {
        crate::cache::remember_slot(folder.path(), &repository.id(), SlotKind::Passphrase.byte(), wrong);
        let found = open_with(&backend, password("word"), LIMIT, cache).await.expect("opens");
        assert_eq!(found.inner.slot, owner);
        let kind = SlotKind::Passphrase.byte();
        assert_eq!(crate::cache::last_slot(folder.path(), &repository.id(), kind), Some(owner));
    }
}

#[tokio::test]
async fn a_newer_key_that_was_not_tried_is_told_where_an_older_one_opens() {
    let (backend, repository) = made(false).await;
    let folder = tempfile::tempdir().expect("a folder");
    const LIMIT: u64 = 8 * 1024;
    open_with(&backend, password("word"), LIMIT, Some(folder.path())).await.expect("the only one");
    let options = RotateOptions { kdf: KdfChoice::Minimal, ..RotateOptions::default() };
    let rotation = repository.rotate_root_key(password("word"), options).await.expect("rotated");
    let found = open_with(&backend, password("word"), LIMIT, Some(folder.path())).await.expect("opens");
    assert_eq!((found.inner.slot, found.newer_keys_not_tried()), (rotation.slot(), [].as_slice()));
    let owner = repository.inner.slot;
    crate::cache::remember_slot(folder.path(), &repository.id(), SlotKind::Passphrase.byte(), owner);
    crowd(&backend, &repository);
    let found = open_with(&backend, password("word"), LIMIT, Some(folder.path())).await.expect("opens");
    assert_eq!(found.inner.slot, owner);
    let told = found.newer_keys_not_tried();
    assert!(told.iter().any(|why| why.starts_with(&rotation.slot().to_string())), "{told:?}");
    // Without a limit in the way the newest opens, and nothing is told.
    let found = open_with(&backend, password("word"), 1 << 20, Some(folder.path())).await.expect("opens");
    assert_eq!((found.inner.slot, found.newer_keys_not_tried()), (rotation.slot(), [].as_slice()));
}

#[tokio::test]
async fn own_keys_that_cost_too_much_together_are_known() {
    let (backend, repository) = made(false).await;
    let owner = repository.inner.slot;
    // Others' do not count.
    crowd(&backend, &repository);
    let found = || open_with(&backend, password("word"), 8 * 1024, None);
    for number in 0..8 {
        assert_eq!(repository.keys_beyond_the_limit().await.expect("counted"), []);
        repository.add_key(password(&number.to_string()), KdfChoice::Minimal, "").await.expect("added");
    }
    found().await.expect_err("the oldest is out of reach");
    for number in 0..20 {
        backend.delete(&hostile(&repository, number, HUGE).0).await.expect("deleted");
    }
    found().await.expect_err("it still is");
    let near = open_with(&backend, password("7"), 8 * 1024, None).await.expect("the newest");
    assert_eq!(near.keys_beyond_the_limit().await.expect("counted"), [owner]);
}

#[tokio::test]
async fn what_does_not_open_a_repository_names_it_and_says_what_would() {
    let (backend, repository) = made(true).await;
    let refused = open(&backend, "other").await.expect_err("another password");
    assert_eq!(refused.to_string(), "the password does not open the repository at memory");
    assert_eq!(reason(&refused), "its password is another one; it also has 1 recovery code");
    let key_file = Key::KeyFile(Secret::new(super::generate_key_file(&crate::random::SystemRng).expect("a key file")));
    let shared: Arc<dyn Backend> = Arc::new(backend.clone());
    let refused = Repository::open(shared, key_file.copied()).await.expect_err("no such slot");
    assert_eq!(refused.to_string(), "the key file does not open the repository at memory");
    assert_eq!(reason(&refused), "it has no key file, but 1 password and 1 recovery code");
    repository.add_key(key_file, KdfChoice::Minimal, "").await.expect("added");
    repository.add_key(password("second"), KdfChoice::Minimal, "").await.expect("added");
    let refused = open(&backend, "other").await.expect_err("another password");
    assert_eq!(reason(&refused), "it is none of its 2 passwords; it also has 1 key file and 1 recovery code");
}

#[tokio::test]
async fn a_damaged_config_is_brought_back_from_a_copy_and_nothing_else_is_advised() {
    let (whole, _) = made(false).await;
    let config = whole.get(&Name::Config).await.expect("the config");
    let mut hurts: Vec<Vec<u8>> = (0..config.len()).map(|length| config[..length].to_vec()).collect();
    hurts.extend((0..config.len()).map(|at| {
        let mut altered = config.to_vec();
        altered[at] ^= 0xff;
        altered
    }));
    hurts.push(vec![0; 17 << 20]);
    let mut damaged = 0;
    for hurt in hurts {
        let backend = whole.fork();
        backend.replace(Name::Config, hurt);
        let error = open(&backend, "word").await.expect_err("a damaged config");
        if error.kind() == Kind::Damaged {
            damaged += 1;
            let advice = error.advice().unwrap_or_default();
            assert!(advice.contains("from a copy of the repository"), "{error:?}");
        }
    }
    assert!(damaged > config.len(), "{damaged}");
    let backend = whole.fork();
    backend.spoil(&Name::Config, 0..10);
    let error = open(&backend, "word").await.expect_err("an unreadable config");
    assert!(error.advice().is_some_and(|advice| advice.contains("from a copy of the repository")), "{error:?}");
}

#[tokio::test]
async fn a_slot_for_a_recipient_is_listed_and_passed_over_and_is_no_way_in() {
    let (backend, repository) = made(false).await;
    let head = SlotHead {
        kind: SlotKind::Recipient,
        repository: repository.id(),
        cost: SlotCost::default(),
        salt: [1; 16],
        commitment: [2; 32],
        nonce: [3; 24],
        created: Timestamp { seconds: 9_000_000_000, nanoseconds: 0 },
        label: "the vault".to_owned(),
    };
    let mut bytes = head.encode(86).expect("a short label");
    bytes.extend_from_slice(&[0; 86]);
    bytes.extend_from_slice(&keyslot::sum(&bytes));
    let id = SlotId::from_bytes([7; 8]);
    backend.replace(Name::Slot(id), bytes);
    let repository = open(&backend, "word").await.expect("the password still opens it");
    let slots = repository.keys().await.expect("slots");
    assert_eq!(slots.iter().map(|slot| slot.kind).collect::<Vec<_>>().len(), 2);
    assert!(slots.iter().any(|slot| slot.kind == SlotKind::Recipient && slot.label == "the vault"));
    let own = slots.iter().find(|slot| slot.current).expect("the slot in use").id;
    let refused = repository.remove_key(own).await.expect_err("nobody here could open it any more");
    assert_eq!(refused.kind(), Kind::Invalid);
    repository.remove_key(id).await.expect("it can be removed");
}
