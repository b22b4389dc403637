//! Shards on the disk: altered, cut, swapped, from elsewhere, without a place; nothing of that is ever believed.

use super::Draft;
use super::Joined;
use super::ReadObject;
use super::Shard;
use super::ShardFolder;
use super::contents::Contents;
use crate::crypto::name::NameKey;
use crate::error::Error;
use crate::error::Kind;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::vectors::records_with;
use crate::id::ChunkId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::RepositoryId;
use crate::random::SystemRng;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

const CHUNKS: u64 = 200;

fn id(number: u64) -> ChunkId {
    ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn object(name: u8, chunks: std::ops::Range<u64>) -> ReadObject {
    let chunks: Vec<(ChunkId, u32)> = chunks.map(|number| (id(number), 1000)).collect();
    let mut records = records_with(&chunks);
    records.packs.iter_mut().for_each(|pack| pack.id = PackId::from_bytes([name; 32]));
    records.supersedes = vec![IndexId::from_bytes([name + 100; 32])];
    ReadObject { id: IndexId::from_bytes([name; 32]), length: 77, records }
}

fn draft(name: u8, first: u64) -> Draft {
    Draft::of_objects(vec![
        object(name, first..first + CHUNKS / 2),
        object(name + 1, first + CHUNKS / 2..first + CHUNKS),
    ])
}

fn folder_of(cache: &Path, key: u8, repository: u8) -> ShardFolder {
    let repository = RepositoryId::from_bytes([repository; 16]);
    ShardFolder::new(Some(cache), None, &NameKey::from_bytes([key; 32]), &repository)
}

fn folder(cache: &Path) -> ShardFolder {
    folder_of(cache, 1, 1)
}

fn make(folder: &ShardFolder, contents: &impl Contents) -> Shard {
    folder.make(contents, true, &SystemRng).expect("written").expect("hashes")
}

fn files(cache: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(cache).expect("listed").map(|entry| entry.expect("listed").path());
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(folder).expect("listed"))
        .map(|entry| entry.expect("listed").path())
        .collect();
    files.sort();
    files
}

/// All that a shard of `CHUNKS` chunks from `first` on can be asked, and `None` for what it does not answer.
fn answers(shard: &Shard, first: u64) -> Vec<Option<String>> {
    let told = |outcome: Result<String, Error>| {
        outcome.map_err(|error| assert_eq!(error.kind(), Kind::CacheFailed, "{error}")).ok()
    };
    let find = |number| {
        let mut found: Vec<(u32, ChunkRecord)> = Vec::new();
        shard.find(&id(number), |row, record| found.push((row, record))).map(|()| format!("{found:?}"))
    };
    let mut all: Vec<_> = (first..first + 2 * CHUNKS).map(|number| told(find(number))).collect();
    all.extend((0..2).map(|pack| told(shard.packs().pack(pack).map(|pack| format!("{pack:?}")))));
    all.push(Some(format!("{:?} {:?}", shard.covered(), shard.pack_ids())));
    all
}

#[test]
fn what_was_kept_gives_the_same_answers() {
    let cache = tempfile::tempdir().expect("a folder");
    let made = make(&folder(cache.path()), &draft(1, 0));
    let again = folder(cache.path()).open_all();
    assert_eq!(again.len(), 1);
    let told = answers(&made, 0);
    assert!(told.iter().all(Option::is_some));
    assert_eq!(answers(&again[0], 0), told);
    assert_eq!(told.iter().flatten().filter(|found| *found == "[]").count(), CHUNKS as usize, "half is not there");
}

#[test]
fn no_altered_byte_changes_an_answer() {
    let cache = tempfile::tempdir().expect("a folder");
    let told = answers(&make(&folder(cache.path()), &draft(1, 0)), 0);
    let file = files(cache.path()).remove(0);
    let whole = std::fs::read(&file).expect("read");
    let (mut refused, mut noticed) = (0, 0);
    for at in (0..100).chain((100..whole.len()).step_by(37)) {
        let mut hurt = whole.clone();
        hurt[at] ^= 0x20;
        std::fs::write(&file, hurt).expect("written");
        match folder(cache.path()).open_all().pop() {
            None => refused += 1,
            Some(shard) => {
                let now = answers(&shard, 0);
                assert!(now.iter().zip(&told).all(|(now, told)| now.is_none() || now == told), "byte {at}");
                noticed += usize::from(now.contains(&None));
                let is_noticed = now.contains(&None);
                assert_eq!(file.exists(), !is_noticed, "what cannot be read is made anew by the next run: byte {at}");
            }
        }
    }
    assert!(refused > 96 && noticed > 200, "{refused} refused, {noticed} noticed");
}

#[test]
fn a_cut_or_longer_file_is_refused_and_removed() {
    let cache = tempfile::tempdir().expect("a folder");
    make(&folder(cache.path()), &draft(1, 0));
    let file = files(cache.path()).remove(0);
    let whole = std::fs::read(&file).expect("read");
    for length in [0, 1, 95, 96, 4096, 8192, whole.len() / 2, whole.len() - 1, whole.len() + 1] {
        let mut cut = whole.clone();
        cut.resize(length, 0);
        std::fs::write(&file, cut).expect("written");
        assert!(folder(cache.path()).open_all().is_empty(), "{length} bytes");
        assert!(!file.exists(), "{length} bytes");
    }
}

#[test]
fn a_shard_under_another_name_or_key_is_refused() {
    let cache = tempfile::tempdir().expect("a folder");
    make(&folder(cache.path()), &draft(1, 0));
    make(&folder(cache.path()), &draft(5, 1000));
    let [one, other] = files(cache.path()).try_into().expect("two");
    let (first, second) = (std::fs::read(&one).expect("read"), std::fs::read(&other).expect("read"));
    std::fs::write(&one, &second).expect("written");
    assert_eq!(folder(cache.path()).open_all().len(), 1, "the other one is as it was");
    std::fs::write(&one, &first).expect("written");
    // A stranger who guesses the name still lacks the key.
    let (stranger, key) = (tempfile::tempdir().expect("a folder"), folder_of(cache.path(), 2, 1));
    let theirs = make(&folder_of(stranger.path(), 2, 1), &draft(1, 0));
    std::fs::copy(theirs.path().expect("kept"), &one).expect("copied");
    assert_eq!(folder(cache.path()).open_all().len(), 1);
    assert!(key.open_all().is_empty());
    assert!(files(cache.path()).is_empty(), "what cannot be believed is removed");
}

#[test]
fn pages_of_two_shards_are_not_exchanged() {
    let cache = tempfile::tempdir().expect("a folder");
    let told = answers(&make(&folder(cache.path()), &draft(1, 0)), 0);
    make(&folder(cache.path()), &draft(5, 1000));
    let [one, other] = files(cache.path()).try_into().expect("two");
    let (first, second) = (std::fs::read(&one).expect("read"), std::fs::read(&other).expect("read"));
    assert_eq!(first.len(), second.len());
    for (from, to) in [(4096, 4096), (8192, 4096)] {
        let mut mixed = first.clone();
        mixed[to..to + 4096].copy_from_slice(&second[from..from + 4096]);
        let mut own = first.clone();
        own[to..to + 4096].copy_from_slice(&first[from..from + 4096]);
        for hurt in [mixed, own] {
            let is_whole = hurt == first;
            std::fs::write(&one, hurt).expect("written");
            std::fs::write(&other, &second).expect("written");
            for shard in folder(cache.path()).open_all() {
                if shard.pack_ids() == [PackId::from_bytes([1; 32]), PackId::from_bytes([2; 32])] {
                    let now = answers(&shard, 0);
                    assert!(now.iter().zip(&told).all(|(now, told)| now.is_none() || now == told));
                    assert!(is_whole || one.exists() || now.contains(&None));
                }
            }
        }
    }
}

#[test]
fn nobody_else_may_read_them() {
    let cache = tempfile::tempdir().expect("a folder");
    make(&folder(cache.path()), &draft(1, 0));
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let file = files(cache.path()).remove(0);
    assert_eq!((mode(&file), mode(file.parent().expect("a folder"))), (0o600, 0o700));
}

#[test]
fn one_that_is_removed_or_replaced_serves_who_has_it_open() {
    let cache = tempfile::tempdir().expect("a folder");
    let made = make(&folder(cache.path()), &draft(1, 0));
    let told = answers(&made, 0);
    let other = make(&folder(cache.path()), &draft(1, 0));
    assert_eq!(files(cache.path()).len(), 1, "whoever reads the same objects makes the same file");
    folder(cache.path()).remove(&other);
    assert!(files(cache.path()).is_empty());
    assert_eq!(answers(&made, 0), told);
    assert_eq!(answers(&other, 0), told);
}

#[test]
fn many_at_once_make_and_open_and_remove() {
    let cache = tempfile::tempdir().expect("a folder");
    let told = answers(&make(&folder(cache.path()), &draft(1, 0)), 0);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (cache, told) = (cache.path(), &told);
            scope.spawn(move || {
                for round in 0..20 {
                    let made = make(&folder(cache), &draft(1, 0));
                    for shard in folder(cache).open_all().iter().chain([&made]) {
                        assert_eq!(&answers(shard, 0), told);
                    }
                    if (worker + round) % 3 == 0 {
                        folder(cache).remove(&made);
                    }
                }
            });
        }
    });
    assert!(files(cache.path()).len() <= 1, "nothing unfinished is left");
}

#[test]
fn without_a_place_to_keep_them_they_have_no_name() {
    let (cache, temporary) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let key = NameKey::from_bytes([1; 32]);
    let repository = RepositoryId::from_bytes([1; 16]);
    // A file where a folder should be: nothing can be made below it, whoever asks.
    let blocked = cache.path().join("blocked");
    std::fs::write(&blocked, b"").expect("written");
    let folders = [
        ShardFolder::new(None, Some(temporary.path()), &key, &repository),
        ShardFolder::new(Some(&blocked), Some(temporary.path()), &key, &repository),
    ];
    for folder in folders {
        let made = make(&folder, &draft(1, 0));
        assert!(made.path().is_none() && answers(&made, 0).iter().all(Option::is_some));
        assert_eq!(std::fs::read_dir(temporary.path()).expect("listed").count(), 0);
    }
    let nowhere = ShardFolder::new(Some(&blocked), Some(&blocked), &key, &repository);
    assert!(nowhere.make(&draft(1, 0), true, &SystemRng).is_err());
    assert!(!ShardFolder::new(None, None, &key, &repository).exists());
}

#[test]
fn a_disk_without_room_is_an_error_and_leaves_nothing() {
    // Every write to this device fails as on a full disk.
    let full = Path::new("/dev/full");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(full).expect("opened");
    let (key, name) = (NameKey::from_bytes([1; 32]), [7; 32]);
    let file = super::file::ShardFile { file, key, name, path: None };
    assert!(Shard::write(&draft(1, 0), file).is_err());
}

#[test]
fn what_does_not_belong_there_goes_but_what_is_being_written_stays() {
    let cache = tempfile::tempdir().expect("a folder");
    make(&folder(cache.path()), &draft(1, 0));
    let kept = files(cache.path()).remove(0);
    let stray = kept.with_file_name("notes");
    let unfinished = kept.with_file_name("strongroom-0.tmp");
    std::fs::write(&stray, b"?").expect("written");
    std::fs::write(&unfinished, b"?").expect("written");
    std::fs::create_dir(kept.with_file_name("ab".repeat(32))).expect("made");
    assert_eq!(folder(cache.path()).open_all().len(), 1);
    assert!(!stray.exists() && unfinished.exists());
}

#[test]
fn objects_for_which_there_is_no_shard_come_back_as_they_were() {
    let given = vec![object(3, 0..50), object(1, 20..90), object(2, 90..91)];
    let told = |objects: &[ReadObject]| -> Vec<String> { objects.iter().map(|object| format!("{object:?}")).collect() };
    let back = Draft::of_objects(given.clone()).into_objects();
    assert_eq!(told(&back).len(), 3);
    for (back, given) in told(&back).iter().zip(told(&given)) {
        assert_eq!(*back, given);
    }
}

/// Objects that share chunks and packs, some with no chunk at all.
fn overlapping() -> Vec<ReadObject> {
    let mut objects: Vec<ReadObject> =
        (0..6).map(|name| object(name, u64::from(name) * 30..u64::from(name) * 30 + 100)).collect();
    objects.push(ReadObject { id: IndexId::from_bytes([9; 32]), ..objects[2].clone() });
    let records = IndexRecords { supersedes: vec![], packs: vec![], chunks: vec![] };
    objects.push(ReadObject { id: IndexId::from_bytes([7; 32]), length: 7, records });
    objects
}

#[test]
fn shards_put_together_are_what_their_objects_would_have_made_at_once() {
    let cache = tempfile::tempdir().expect("a folder");
    let folder = folder(cache.path());
    for cut in 1..7 {
        let objects = overlapping();
        let (one, other) = objects.split_at(cut);
        let parts = [one, other].map(|objects| make(&folder, &Draft::of_objects(objects.to_vec())));
        let joined = make(&folder, &Joined::of(&parts, |_| true));
        let bytes = std::fs::read(joined.path().expect("kept")).expect("read");
        let at_once = make(&folder, &Draft::of_objects(objects));
        assert_eq!(std::fs::read(at_once.path().expect("kept")).expect("read"), bytes, "cut at {cut}");
    }
}

#[test]
fn what_is_left_of_a_shard_is_what_the_other_objects_would_have_made() {
    let cache = tempfile::tempdir().expect("a folder");
    let folder = folder(cache.path());
    for left_out in 0u32..1 << 8 {
        let objects = overlapping();
        let all = make(&folder, &Draft::of_objects(objects.clone()));
        let stays =
            |id: IndexId| objects.iter().position(|object| object.id == id).is_some_and(|at| left_out >> at & 1 == 0);
        let left = make(&folder, &Joined::of([&all], |object| stays(object.id)));
        let bytes = std::fs::read(left.path().expect("kept")).expect("read");
        let others = objects.iter().filter(|object| stays(object.id)).cloned().collect();
        let others = make(&folder, &Draft::of_objects(others));
        assert_eq!(std::fs::read(others.path().expect("kept")).expect("read"), bytes, "without {left_out:08b}");
    }
}

#[test]
fn shards_of_ids_alone_are_put_together_too() {
    let cache = tempfile::tempdir().expect("a folder");
    let folder = folder(cache.path());
    let of = |range: std::ops::Range<u64>| {
        let draft = Draft::of_ids(range.map(|number| (id(number), 10)));
        folder.make(&draft, false, &SystemRng).expect("written").expect("hashes")
    };
    let joined = folder.make(&Joined::of(&[of(0..100), of(100..250)], |_| true), false, &SystemRng);
    let joined = joined.expect("written").expect("hashes");
    assert_eq!(joined.rows(), 250);
    assert!((0..250).all(|number| joined.has(&id(number)).expect("read")));
    assert!((250..400).all(|number| !joined.has(&id(number)).expect("read")));
}

#[test]
fn a_shard_is_not_made_of_one_that_is_damaged() {
    let cache = tempfile::tempdir().expect("a folder");
    let folder = folder(cache.path());
    for at in [4096 + 10, 4096 + 4096 + 3000] {
        let parts = [make(&folder, &draft(1, 0)), make(&folder, &draft(5, 1000))];
        let path = parts[0].path().expect("kept");
        let mut hurt = std::fs::read(path).expect("read");
        hurt[at] ^= 1;
        std::fs::write(path, hurt).expect("written");
        assert!(folder.make(&Joined::of(&parts, |_| true), true, &SystemRng).is_err(), "byte {at}");
        assert!(!path.exists(), "it is of no use");
        assert_eq!(files(cache.path()).len(), 1, "the other one is as it was, and nothing unfinished is left");
    }
}

#[test]
fn what_stands_in_the_place_of_a_shard_is_neither_followed_nor_waited_for() {
    let cache = tempfile::tempdir().expect("a folder");
    let whole = make(&folder(cache.path()), &draft(1, 0));
    let (path, outside) = (whole.path().expect("kept").to_owned(), cache.path().join("outside"));
    for way in 0..3 {
        std::fs::rename(&path, &outside).expect("moved");
        match way {
            0 => std::os::unix::fs::symlink(&outside, &path).expect("linked"),
            1 => std::fs::hard_link(&outside, &path).expect("linked"),
            _ => {
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made")
            }
        }
        assert!(folder(cache.path()).open_all().is_empty(), "{way}");
        assert!(!path.exists() && outside.exists(), "{way}");
        std::fs::rename(&outside, &path).expect("moved back");
        assert_eq!(folder(cache.path()).open_all().len(), 1, "{way}");
    }
    // The folder of the shards is no link either, and nobody else's to write.
    let kept = path.parent().expect("a folder");
    std::fs::rename(kept, &outside).expect("moved");
    std::os::unix::fs::symlink(&outside, kept).expect("linked");
    assert!(folder(cache.path()).open_all().is_empty());
    assert!(folder(cache.path()).make(&draft(5, 1000), true, &SystemRng).is_err());
    std::fs::remove_file(kept).expect("removed");
    std::fs::rename(&outside, kept).expect("moved back");
    std::fs::set_permissions(kept, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    assert!(folder(cache.path()).open_all().is_empty());
    assert!(folder(cache.path()).make(&draft(5, 1000), true, &SystemRng).is_err());
}
