//! What each stage costs, alone and together: bytes per second on three kinds of data.

use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use std::cell::LazyCell;
use std::hint::black_box;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Backend;
use strongroom::Compression;
use strongroom::CreateOptions;
use strongroom::FolderSource;
use strongroom::Job;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::LocalBackend;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::PackId;
use strongroom::Payload;
use strongroom::Repository;
use strongroom::Secret;
use strongroom::benching::Aead;
use strongroom::benching::Bench;
use strongroom::benching::Lookup;
use strongroom_benches::KINDS;
use strongroom_benches::Kind;
use strongroom_benches::Seeded;
use strongroom_benches::bytes;
use strongroom_benches::tree;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;
const AEADS: [(&str, Aead); 2] = [("xchacha20", Aead::XChaCha20Poly1305), ("aes256gcm", Aead::Aes256Gcm)];

/// Length of something as criterion counts it.
fn size(length: usize) -> Throughput {
    Throughput::Bytes(length as u64)
}

fn chunking(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("chunking");
    for (name, kind) in KINDS {
        let data = bytes(kind, 1, 16 * MIB);
        group.throughput(size(data.len()));
        group.bench_function(name, |b| b.iter(|| bench.cut(black_box(&data)).len()));
    }
    group.finish();
}

fn naming(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("naming");
    for length in [1 << 10, 64 << 10, MIB] {
        let data = bytes(Kind::Random, 2, length);
        group.throughput(size(length));
        group.bench_function(BenchmarkId::from_parameter(length), |b| b.iter(|| bench.name(black_box(&data))));
    }
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let bench = Bench::new();
    let data = bytes(Kind::Random, 3, MIB);
    let mut group = criterion.benchmark_group("sealing");
    group.throughput(size(data.len()));
    for (name, aead) in AEADS {
        let mut stage = bench.segments(aead, 3).expect("keys");
        group.bench_function(name, |b| b.iter(|| stage.seal(black_box(&data)).expect("sealed")));
    }
    group.finish();
}

fn squeezing(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("squeezing");
    for (name, kind) in KINDS {
        let data = bytes(kind, 4, MIB);
        group.throughput(size(data.len()));
        for level in [1, 3] {
            let mut stage = bench.segments(Aead::Aes256Gcm, level).expect("keys");
            let id = BenchmarkId::new(name, level);
            group.bench_function(id, |b| b.iter(|| stage.squeeze(black_box(&data)).expect("squeezed")));
        }
    }
    group.finish();
}

fn segments(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("segments");
    for (name, kind) in KINDS {
        let data = bytes(kind, 5, 2 * MIB);
        group.throughput(size(data.len()));
        for (suite, aead) in AEADS {
            let mut stage = bench.segments(aead, 3).expect("keys");
            let id = BenchmarkId::new(name, suite);
            group.bench_function(id, |b| b.iter(|| stage.build(black_box(&data)).expect("a segment")));
        }
    }
    group.finish();
}

fn lookups(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("lookups");
    // A step that visits the index in no order a cache could guess.
    const STEP: usize = 97;
    for chunks in [10_000, 1_000_000] {
        // Made when a benchmark that was asked for needs it: here and below.
        let lookup = LazyCell::new(|| Lookup::new(&bench, chunks));
        let strangers: Vec<_> = (0..10_000u64).map(|n| bench.name(&(n + chunks).to_le_bytes())).collect();
        group.throughput(Throughput::Elements(chunks / STEP as u64 + 1));
        group.bench_function(BenchmarkId::new("hit", chunks), |b| b.iter(|| black_box(lookup.hits(STEP))));
        group.throughput(Throughput::Elements(strangers.len() as u64));
        group.bench_function(BenchmarkId::new("miss", chunks), |b| b.iter(|| assert_eq!(lookup.found(&strangers), 0)));
    }
    group.finish();
}

/// Bytes of the tree that whole runs work on.
const TREE_BYTES: usize = 32 * MIB;

/// A tree to back up.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        tree(folder.path(), 6, TREE_BYTES).expect("a tree");
        Self(folder)
    }

    fn source(&self) -> FolderSource {
        FolderSource::new(vec![self.0.path().to_owned()])
    }
}

/// A backend and, when it is a folder, the folder that must outlive it.
fn backend(local: bool) -> (Arc<dyn Backend>, Option<tempfile::TempDir>) {
    if !local {
        return (Arc::new(MemoryBackend::new()), None);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    (Arc::new(LocalBackend::new(folder.path().join("repository"))), Some(folder))
}

async fn repository(backend: Arc<dyn Backend>) -> Repository {
    let mut options = CreateOptions::default();
    options.kdf = KdfChoice::Minimal;
    let key = Key::Passphrase(Secret::new("benchmarks only"));
    Repository::create(backend, key, options).await.expect("a repository").repository
}

fn run<T>(runtime: &Runtime, job: impl FnOnce() -> Job<T>) -> T {
    runtime.block_on(async { job().await.expect("a finished job") })
}

fn whole_backup(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let tree = LazyCell::new(Tree::new);
    let mut group = criterion.benchmark_group("backup");
    group.sample_size(10).throughput(size(TREE_BYTES));
    for (name, local) in [("memory", false), ("local", true)] {
        let fresh = || {
            let (backend, folder) = backend(local);
            (runtime.block_on(repository(backend)), folder)
        };
        let first = |(to, folder): (Repository, Option<tempfile::TempDir>)| {
            run(&runtime, || to.backup(tree.source()).compression(Compression::Auto).start());
            (to, folder)
        };
        group.bench_function(BenchmarkId::new("first", name), |b| {
            b.iter_batched(fresh, first, criterion::BatchSize::PerIteration);
        });
        let known = LazyCell::new(|| first(fresh()));
        group.bench_function(BenchmarkId::new("unchanged", name), |b| {
            // Made here: inside a job another one cannot be waited for.
            let (known, _folder) = &*known;
            b.iter(|| run(&runtime, || known.backup(tree.source()).start()));
        });
    }
    group.finish();
}

fn whole_restore(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let tree = LazyCell::new(Tree::new);
    let mut group = criterion.benchmark_group("restore");
    group.sample_size(10).throughput(size(TREE_BYTES));
    for (name, local) in [("memory", false), ("local", true)] {
        let stored = LazyCell::new(|| {
            let (backend, folder) = backend(local);
            let from = runtime.block_on(repository(backend));
            let report = run(&runtime, || from.backup(tree.source()).start());
            (from, report.snapshot.expect("a snapshot"), folder)
        });
        let target = || tempfile::tempdir().expect("a temporary folder");
        let restore = |into: tempfile::TempDir| {
            let path: PathBuf = Path::join(into.path(), "restored");
            let (from, snapshot, _folder) = &*stored;
            run(&runtime, || from.restore(snapshot, path).start());
            into
        };
        group.bench_function(name, |b| b.iter_batched(target, restore, criterion::BatchSize::PerIteration));
        group.bench_function(BenchmarkId::new("check", name), |b| {
            let (from, _, _folder) = &*stored;
            b.iter(|| run(&runtime, || from.check().read_data(strongroom::ReadData::All).start()));
        });
    }
    group.finish();
}

/// Packs go out as they would in a backup: put, put, ..., one barrier.
fn upload(criterion: &mut Criterion) {
    const PACKS: usize = 4;
    let runtime = Runtime::new().expect("a runtime");
    let pack = bytes(Kind::Random, 8, 16 * MIB);
    let mut names = Seeded::new(9);
    let mut group = criterion.benchmark_group("upload");
    group.sample_size(10).throughput(size(PACKS * pack.len()));
    for (name, local) in [("memory", false), ("local", true)] {
        let mut fresh = || {
            let (backend, folder) = backend(local);
            runtime.block_on(backend.prepare()).expect("a place for packs");
            let names: Vec<Name> = (0..PACKS).map(|_| pack_name(&mut names)).collect();
            (backend, folder, names)
        };
        let put = |(backend, folder, names): (Arc<dyn Backend>, Option<tempfile::TempDir>, Vec<Name>)| {
            runtime.block_on(async {
                for name in &names {
                    backend.put(name, Payload::from(pack.clone())).await.expect("a stored pack");
                }
                backend.barrier().await.expect("durable packs");
            });
            (backend, folder)
        };
        group.bench_function(name, |b| b.iter_batched(&mut fresh, put, criterion::BatchSize::PerIteration));
    }
    group.finish();
}

fn pack_name(from: &mut Seeded) -> Name {
    let hex: String = (0..4).map(|_| format!("{:016x}", from.draw())).collect();
    Name::Pack(PackId::from_hex(&hex).expect("64 digits"))
}

fn quick() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = stages;
    config = quick();
    targets = chunking, naming, sealing, squeezing, segments, lookups, upload, whole_backup, whole_restore
}
criterion_main!(stages);
