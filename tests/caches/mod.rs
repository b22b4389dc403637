//! The cache folder deleted, cut, flipped, swapped or stale between an interrupted run and the next: it may cost
//! work, never the content of a snapshot.

use super::support::crowd;
use super::support::given::End;
use super::support::given::Given;
use super::support::given::Ready;
use super::support::given::Tree;
use super::support::scene::Scene;
use super::support::scene::Trees;
use super::support::scene::backup;
use super::support::scene::check;
use super::support::scene::in_time;
use super::support::scene::shared;
use super::support::scene::store;
use super::support::scene::told;
use super::support::trees::Dice;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Parent;

/// Little files of the source; the run is interrupted at the last, after two pages of the journal.
const FILES: u64 = 1100;
/// Files whose bytes need not be asked for again, at the least.
const REMEMBERED: u64 = 1024;

/// Length of the cache's files together when two pages are in them.
const JOURNAL_BYTES: usize = 150_000;

type File = (String, Vec<u8>);

/// A repository with an interrupted run, and what that run left in its cache folder.
struct Interrupted {
    memory: MemoryBackend,
    /// As a killed run leaves it, and as one that ended in an orderly way.
    caches: [Vec<File>; 2],
    tree: Tree,
}

fn read_folder(folder: &Path) -> Vec<File> {
    let mut files: Vec<File> = std::fs::read_dir(folder)
        .expect("listed")
        .map(|entry| entry.expect("listed"))
        .map(|entry| (entry.file_name().into_string().expect("text"), std::fs::read(entry.path()).expect("read")))
        .collect();
    files.sort();
    files
}

fn write_folder(folder: &Path, files: &[File]) {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).expect("written");
    }
}

/// The chunks are there from an older backup of another host; the run itself dies before its commit.
async fn interrupt(seed: u64) -> Interrupted {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = Tree::of_many("many", seed, FILES);
    let (scene, memory) = (Scene::new(seed), MemoryBackend::new());
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    let older = store(&repository, &tree).await.expect("stored").snapshot.expect("a snapshot");
    repository.forget(&[older.id]).await.expect("forgotten");
    let (killed, path) = (Arc::new(Mutex::new(Vec::new())), folder.path().to_owned());
    let copy = Arc::clone(&killed);
    let ready = Ready(Arc::new(move || {
        let files = read_folder(&path);
        let far_enough = files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > JOURNAL_BYTES;
        // Two looks that show the same: nothing was being written between them.
        let before = std::mem::replace(&mut *copy.lock().expect("no holder panics"), files.clone());
        far_enough && before == files
    }));
    let given = Given::ending(&tree, End::FailWhen(tree.items.len() - 1, ready));
    repository.use_folders(Some(folder.path().to_owned()), None);
    let run = backup(&repository, given).start();
    assert_eq!(run.await.expect_err("interrupted").kind(), Kind::SourceFailed);
    drop(repository);
    let killed = std::mem::take(&mut *killed.lock().expect("no holder panics"));
    Interrupted { memory, caches: [killed, read_folder(folder.path())], tree }
}

/// What is done to the cache folder.
#[derive(Clone, Debug)]
enum Hurt {
    Nothing,
    Delete(usize),
    DeleteAll,
    /// The file, and the length that is left.
    Cut(usize, usize),
    /// The file, and how many bytes are flipped at random.
    Flip(usize, u64, u64),
    /// A stretch of zeros.
    Zero(usize, usize, usize),
    /// Two stretches change places: pages of the database.
    Shuffle(usize, usize, usize),
    Garbage(usize),
    /// The other repository's files, all or only this one.
    Stranger(Option<usize>),
    /// A folder in the place of the file.
    Folder,
    /// A file in the place of the folder.
    NoFolder,
}

fn swap_pages(bytes: &mut [u8], one: usize, other: usize) {
    let (low, high) = (one.min(other) * 4096, one.max(other) * 4096);
    if low + 4096 <= high && high + 4096 <= bytes.len() {
        let (front, back) = bytes.split_at_mut(high);
        front[low..low + 4096].swap_with_slice(&mut back[..4096]);
    }
}

impl Hurt {
    /// Writes the hurt cache into `folder`; gives the folder to use.
    fn apply(&self, folder: &Path, cache: &[File], stranger: &[File]) -> std::path::PathBuf {
        let mut files = cache.to_vec();
        match self {
            Self::Nothing => {}
            Self::Delete(file) => drop(files.remove(*file)),
            Self::DeleteAll => files.clear(),
            Self::Cut(file, length) => files[*file].1.truncate(*length),
            Self::Flip(file, count, seed) => {
                let (bytes, mut dice) = (&mut files[*file].1, Dice::new(*seed + 1));
                for _ in 0..*count {
                    let at = dice.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << dice.below(8);
                }
            }
            Self::Zero(file, at, length) => {
                let bytes = &mut files[*file].1;
                let end = bytes.len().min(at + length);
                bytes[*at..end].fill(0);
            }
            Self::Shuffle(file, one, other) => swap_pages(&mut files[*file].1, *one, *other),
            Self::Garbage(file) => files[*file].1 = Dice::new(3).bytes(20_000),
            Self::Stranger(None) => files = stranger.to_vec(),
            Self::Stranger(Some(file)) => files[*file] = stranger[*file].clone(),
            Self::Folder => {
                std::fs::create_dir(folder.join(&files[0].0)).expect("a folder");
                files.clear();
            }
            Self::NoFolder => {
                std::fs::write(folder.join("file"), b"no folder").expect("written");
                return folder.join("file");
            }
        }
        write_folder(folder, &files);
        folder.to_owned()
    }
}

/// `share` thins them out.
fn hurts(cache: &[File], share: usize) -> Vec<Hurt> {
    let mut hurts = vec![Hurt::DeleteAll, Hurt::Stranger(None), Hurt::Folder, Hurt::NoFolder];
    for (file, (_, bytes)) in cache.iter().enumerate() {
        let length = bytes.len();
        hurts.extend([Hurt::Delete(file), Hurt::Garbage(file), Hurt::Stranger(Some(file))]);
        hurts.extend((0..60 / share).map(|part| Hurt::Cut(file, length * part * share / 60)));
        hurts.extend((0..120 / share as u64).map(|seed| Hurt::Flip(file, 1 + seed % 40, seed)));
        hurts.extend((0..40 / share).map(|part| Hurt::Zero(file, length * part * share / 40, 700)));
        hurts.extend((1..9).flat_map(|one| (0..one).map(move |other| Hurt::Shuffle(file, one, other))));
        // The head of the file, byte by byte.
        hurts.extend((0..100.min(length)).step_by(share).map(|at| Hurt::Zero(file, at, 1)));
    }
    hurts
}

/// The next run with the hurt cache; gives how many files' bytes it asked for.
async fn next_run(interrupted: &Interrupted, which: usize, stranger: &Interrupted, hurt: &Hurt) -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(|cause| cause.to_string())?;
    let cache = hurt.apply(folder.path(), &interrupted.caches[which], &stranger.caches[which]);
    let (scene, memory) = (Scene::new(5000), interrupted.memory.fork());
    let repository = scene.open(shared(memory)).await.map_err(|error| told(&error))?;
    let given = Given::new(&interrupted.tree);
    let wanted = given.wanted.clone();
    repository.use_folders(Some(cache), None);
    let job = backup(&repository, given).parent(Parent::Nothing).start();
    let report = in_time(job).await.map_err(|error| told(&error))?;
    let snapshot = report.snapshot.ok_or("no snapshot")?;
    let trees = Trees(vec![interrupted.tree.clone()]);
    match trees.compare(&repository, &snapshot).await {
        Ok(None) => {}
        Ok(Some(difference)) => return Err(format!("WRONG: {difference}")),
        Err(error) => return Err(told(&error)),
    }
    let report = check(&repository).await.map_err(|error| told(&error))?;
    if report.problems_total > 0 { Err(format!("{:?}", report.problems)) } else { Ok(wanted.load(Ordering::SeqCst)) }
}

#[test]
fn no_hurt_to_the_cache_changes_what_the_next_snapshot_holds() {
    let runtime = crowd::runtime();
    let (interrupted, stranger) = (runtime.block_on(interrupt(81)), runtime.block_on(interrupt(82)));
    let mut cases = Vec::new();
    for (which, share) in [(0, 4), (1, 1)] {
        let caches = (&interrupted.caches[which], &stranger.caches[which]);
        assert_eq!(caches.0.len(), caches.1.len());
        cases.extend(hurts(caches.0, share).into_iter().map(|hurt| (which, hurt)));
    }
    let (spared, nothing_spared) = (AtomicU64::new(0), AtomicU64::new(0));
    crowd::all("caches", &cases, async |(which, hurt)| {
        let wanted = next_run(&interrupted, *which, &stranger, hurt).await?;
        if wanted < FILES { &spared } else { &nothing_spared }.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    println!("caches: {spared:?} runs were spared work, {nothing_spared:?} were not");
    assert!(cases.len() >= 300, "{}", cases.len());
    assert!(spared.into_inner() > 0 && nothing_spared.into_inner() > 0);
}

#[test]
fn an_unhurt_cache_spares_reading_again_and_another_repositorys_does_not() {
    crowd::runtime().block_on(async {
        let (interrupted, stranger) = (interrupt(83).await, interrupt(84).await);
        for which in [0, 1] {
            let wanted = next_run(&interrupted, which, &stranger, &Hurt::Nothing).await;
            // A killed run's last page may have been half written; an orderly end may have written one more.
            let remembered = if which == 0 { REMEMBERED / 2 } else { REMEMBERED };
            let right = wanted.as_ref().is_ok_and(|wanted| *wanted <= FILES - remembered);
            assert!(right, "{which}: {wanted:?}");
            assert_eq!(next_run(&interrupted, which, &stranger, &Hurt::Stranger(None)).await, Ok(FILES), "{which}");
        }
    });
}

/// The journal says that the bytes are stored; here they are not any more.
#[test]
fn a_stale_cache_of_a_repository_that_lost_its_data_is_not_believed() {
    crowd::runtime().block_on(async {
        let interrupted = interrupt(85).await;
        let bare = MemoryBackend::new();
        for (name, bytes) in interrupted.memory.contents() {
            if !matches!(name.area(), Some(strongroom::Area::Packs | strongroom::Area::Index)) {
                bare.replace(name, bytes);
            }
        }
        let interrupted = Interrupted { memory: bare, ..interrupted };
        assert_eq!(next_run(&interrupted, 1, &interrupted, &Hurt::Nothing).await, Ok(FILES));
    });
}
