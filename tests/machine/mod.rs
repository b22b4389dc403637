//! Random operations against a model: whatever is done in whatever order, the repository holds what was put in.
//!
//! The model is a map of paths to contents, and for every snapshot a copy of that map and its tags.
//! After each backup the report must count what the model says; each restore, into a fresh folder or over
//! what an earlier restore left, must give exactly the model's files; and a check must find nothing.

use crate::support::trees::Dice;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::UNIX_EPOCH;
use strongroom::CreateOptions;
use strongroom::EntryPath;
use strongroom::FolderSource;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Overwrite;
use strongroom::ReadData;
use strongroom::Repository;
use strongroom::Secret;
use strongroom::Snapshot;
use strongroom::SnapshotId;
use strongroom::TagChange;
use tempfile::TempDir;

/// Files by their path below the source.
type Files = BTreeMap<String, Vec<u8>>;

/// What a snapshot must hold.
struct Kept {
    id: SnapshotId,
    tags: Vec<String>,
    files: Files,
}

struct Machine {
    dice: Dice,
    folder: TempDir,
    backend: MemoryBackend,
    repository: Repository,
    files: Files,
    kept: Vec<Kept>,
    restores: usize,
    /// The last time given to a file.
    time: Duration,
    /// For the message of a failure.
    done: Vec<String>,
}

fn key() -> Key {
    Key::Passphrase(Secret::new("only a test"))
}

impl Machine {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Folders stay when their last file goes: a restore that deletes refuses a snapshot with nothing in it.
        for name in ["in", "in/d1", "in/d2", "in/d3"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let backend = MemoryBackend::new();
        let mut options = CreateOptions::default();
        options.kdf = KdfChoice::Minimal;
        options.recovery = false;
        let created = Repository::create(Arc::new(backend.clone()), key(), options).await.expect("a repository");
        let repository = created.repository;
        let (files, kept, done) = (Files::new(), Vec::new(), Vec::new());
        let time = Duration::from_secs(1_600_000_000);
        Self { dice: Dice::new(seed + 1), folder, backend, repository, files, kept, restores: 0, time, done }
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("in")
    }

    async fn step(&mut self) {
        match self.dice.below(21) {
            0..=4 => self.write(),
            5..=7 => self.modify(),
            8 => self.delete(),
            9..=10 => self.rename(),
            11..=14 => self.backup().await,
            15 => self.forget().await,
            16 => self.tag().await,
            17 => self.prune().await,
            18..=19 => self.restore().await,
            _ => self.check().await,
        }
    }

    /// A name that is taken, if there is one.
    fn some_name(&mut self) -> Option<String> {
        let at = usize::try_from(self.dice.below(self.files.len().max(1) as u64)).expect("small");
        self.files.keys().nth(at).cloned()
    }

    fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let path = self.source().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, &bytes).expect("written");
        // No two contents share a time, however coarse the file system's clock is.
        self.time += Duration::from_millis(1);
        let file = std::fs::File::options().write(true).open(path).expect("it is there");
        file.set_modified(UNIX_EPOCH + self.time).expect("a time");
        self.files.insert(name.to_owned(), bytes);
    }

    fn bytes(&mut self) -> Vec<u8> {
        let most = [1, 300, 5_000, 900_000][usize::try_from(self.dice.below(4)).expect("small")];
        let count = usize::try_from(self.dice.below(most)).expect("small");
        self.dice.bytes(count)
    }

    fn write(&mut self) {
        let (folder, name) = (self.dice.below(4), self.dice.below(12));
        // A folder is never called like a file: `d` and `f` keep them apart.
        let path = if folder == 0 { format!("f{name}") } else { format!("d{folder}/f{name}") };
        // The same bytes again and again, too: they are stored once.
        let twin = if self.dice.below(4) == 0 { self.some_name().map(|name| self.files[&name].clone()) } else { None };
        let bytes = twin.unwrap_or_else(|| self.bytes());
        self.done.push(format!("write {path} {}", bytes.len()));
        self.put(&path, bytes);
    }

    fn modify(&mut self) {
        let Some(name) = self.some_name() else { return };
        let mut bytes = self.files[&name].clone();
        let at = usize::try_from(self.dice.below(bytes.len() as u64 + 1)).expect("small");
        let more = self.bytes();
        match self.dice.below(3) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, more)),
            // The same length: only times tell.
            _ => bytes.iter_mut().skip(at).take(10).for_each(|byte| *byte ^= 1),
        }
        self.done.push(format!("modify {name} {}", bytes.len()));
        self.put(&name, bytes);
    }

    fn delete(&mut self) {
        let Some(name) = self.some_name() else { return };
        self.done.push(format!("delete {name}"));
        std::fs::remove_file(self.source().join(&name)).expect("removed");
        self.files.remove(&name);
    }

    fn rename(&mut self) {
        let Some(name) = self.some_name() else { return };
        let new = format!("d{}/f{}", 1 + self.dice.below(3), self.dice.below(12));
        self.done.push(format!("rename {name} {new}"));
        std::fs::create_dir_all(self.source().join(&new).parent().expect("a folder")).expect("a folder");
        std::fs::rename(self.source().join(&name), self.source().join(&new)).expect("renamed");
        let bytes = self.files.remove(&name).expect("it was there");
        self.files.insert(new, bytes);
    }

    async fn backup(&mut self) {
        let threads = usize::try_from(1 + self.dice.below(3)).expect("small");
        self.done.push(format!("backup with {threads} threads"));
        // A process ends between two backups: what it knew is gone.
        self.repository = Repository::open(Arc::new(self.backend.clone()), key()).await.expect("it opens");
        let backup = self.repository.backup(FolderSource::new(vec![self.source()])).threads(threads);
        let report = backup.tag("machine").start().await.expect("a backup");
        assert_eq!(report.warnings_total, 0, "{:?}", report.warnings);
        assert_eq!(report.bytes, self.files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        let snapshot = report.snapshot.expect("a snapshot");
        self.kept.push(Kept { id: snapshot.id, tags: snapshot.tags, files: self.files.clone() });
        self.compare_lists().await;
    }

    /// One of the snapshots, by its place in the model.
    fn some_kept(&mut self) -> Option<usize> {
        let count = self.kept.len() as u64;
        (count > 0).then(|| usize::try_from(self.dice.below(count)).expect("small"))
    }

    async fn forget(&mut self) {
        let Some(at) = self.some_kept() else { return };
        self.done.push(format!("forget {at}"));
        let gone = self.kept.remove(at);
        assert_eq!(self.repository.forget(&[gone.id]).await.expect("forgotten"), 1);
        self.compare_lists().await;
    }

    /// With limits and graces of all sorts; what later runs have to finish stays for them.
    async fn prune(&mut self) {
        let max_unused = match self.dice.below(3) {
            0 => MaxUnused::Unlimited,
            1 => MaxUnused::Percent(5.0),
            _ => MaxUnused::Bytes(0),
        };
        let (small, hours) = (self.dice.below(2) == 0, 24 * (self.dice.below(3) / 2));
        self.done.push(format!("prune to {max_unused:?}, small packs too: {small}, in {hours} hours"));
        let builder = self.repository.prune().max_unused(max_unused).repack_small(small).allow_no_snapshots(true);
        let builder = builder.min_age(Duration::ZERO).grace(Duration::from_secs(hours * 3600));
        let plan = builder.plan().await.unwrap_or_else(|error| panic!("{error} after {:?}", self.done));
        plan.apply().await.unwrap_or_else(|error| panic!("{error} after {:?}", self.done));
        for at in 0..self.kept.len() {
            let snapshot = self.snapshot(at).await;
            let mut entries = self.repository.view(&snapshot).await.expect("a view").walk(None);
            let mut bytes = 0;
            while let Some(entry) = entries.next().await.expect("an entry") {
                let mut content = entries.open(&entry);
                while let Some(part) = content.next().await.expect("its bytes") {
                    bytes += part.len();
                }
            }
            assert_eq!(bytes, self.kept[at].files.values().map(Vec::len).sum::<usize>(), "{:?}", self.done);
        }
    }

    async fn tag(&mut self) {
        let Some(at) = self.some_kept() else { return };
        let word = format!("t{}", self.dice.below(3));
        self.done.push(format!("tag {at} {word}"));
        let change = TagChange { add: vec![word.clone()], ..TagChange::default() };
        let changed = self.repository.tag(&[self.kept[at].id], &change).await.expect("tagged");
        if !self.kept[at].tags.contains(&word) {
            self.kept[at].tags.push(word);
        }
        for (old, new) in changed {
            assert_eq!(old, self.kept[at].id);
            self.kept[at].id = new;
        }
        self.compare_lists().await;
    }

    /// Snapshots and their tags are those of the model.
    async fn compare_lists(&self) {
        let listed = self.repository.snapshots().await.expect("a list");
        let sorted = |mut all: Vec<(SnapshotId, Vec<String>)>| {
            all.iter_mut().for_each(|(_, tags)| tags.sort());
            all.sort();
            all
        };
        let real = sorted(listed.into_iter().map(|one| (one.id, one.tags)).collect());
        let model = sorted(self.kept.iter().map(|one| (one.id, one.tags.clone())).collect());
        assert_eq!(real, model, "{:?}", self.done);
    }

    async fn snapshot(&self, at: usize) -> Snapshot {
        let all = self.repository.snapshots().await.expect("a list");
        all.into_iter().find(|one| one.id == self.kept[at].id).expect("it is listed")
    }

    async fn restore(&mut self) {
        let Some(at) = self.some_kept() else { return };
        self.restores += 1;
        let over = self.dice.below(2) == 0;
        let target = self.folder.path().join(if over { "over".into() } else { format!("out{}", self.restores) });
        self.done.push(format!("restore {at} to {}", target.display()));
        let part = self.source().to_str().expect("UTF-8").trim_start_matches('/').to_owned();
        let part = EntryPath::parse(part.as_bytes()).expect("a path");
        let how = if self.dice.below(2) == 0 { Overwrite::Always } else { Overwrite::IfChanged };
        let restore = self.repository.restore(&self.snapshot(at).await, &target).path(part);
        let report = restore.overwrite(how).delete(true).verify(self.dice.below(2) == 0).start().await;
        let report = report.expect("a restore");
        assert_eq!(report.failures_total, 0, "{:?} after {:?}", report.failures, self.done);
        let mut found = Files::new();
        read(&target, "", &mut found);
        assert!(found == self.kept[at].files, "other files came back after {:?}", self.done);
        if !over {
            std::fs::remove_dir_all(target).expect("removed");
        }
    }

    async fn check(&mut self) {
        self.done.push("check".into());
        let report = self.repository.check().read_data(ReadData::All).start().await.expect("a check");
        assert_eq!(report.problems_total, 0, "{:?} after {:?}", report.problems, self.done);
        assert_eq!(report.snapshots, self.kept.len() as u64);
    }
}

fn read(folder: &Path, below: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type().expect("a type").is_dir() {
            read(&entry.path(), &path, files);
        } else {
            files.insert(path, std::fs::read(entry.path()).expect("read"));
        }
    }
}

async fn run(seeds: std::ops::Range<u64>, steps: usize) {
    for seed in seeds {
        let mut machine = Machine::new(seed).await;
        for _ in 0..steps {
            machine.step().await;
        }
        machine.backup().await;
        machine.restore().await;
        machine.check().await;
        for at in 0..machine.kept.len() {
            let snapshot = machine.snapshot(at).await;
            assert_eq!(snapshot.counts.files, machine.kept[at].files.len() as u64, "seed {seed}: {:?}", machine.done);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_repository_holds_what_the_model_holds_early() {
    run(0..20, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_repository_holds_what_the_model_holds_late() {
    run(20..40, 40).await;
}

/// Many more steps with a long memory, when there is time: `STRONGROOM_LONG=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_repository_holds_what_the_model_holds_for_long() {
    let long = std::env::var_os("STRONGROOM_LONG").is_some();
    run(100..if long { 200 } else { 101 }, if long { 400 } else { 150 }).await;
}
