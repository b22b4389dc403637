//! Promises about reading budgets: everything is read in its turn, whatever the clock and the cache do.

use super::AtThisPace;
use super::BudgetReport;
use super::BudgetShare;
use super::CheckReport;
use super::ReadBudget;
use super::ReadData;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::error::Kind;
use crate::id::PackId;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::ReaderSource;
use crate::time::Clock;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

const DAY: i64 = 86_400;
const START: i64 = 1_800_000_000;

/// A clock that stands until it is set.
struct Hands(AtomicI64);

impl Hands {
    fn go(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.0.load(Ordering::Relaxed), nanoseconds: 0 }
    }
}

/// A repository of twelve packs, and the cache of a machine that checks it.
struct Scene {
    backend: MemoryBackend,
    clock: Arc<Hands>,
    repository: Repository,
    cache: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let clock = Arc::new(Hands(AtomicI64::new(START)));
        let backend = MemoryBackend::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let key = Key::KeyFile(Secret::new(super::super::generate_key_file(&SeededRng::new(1)).expect("seeded")));
        let options = CreateOptions { recovery: false, ..CreateOptions::default() };
        let rng = Arc::new(SeededRng::new(2));
        let (stored, clocked) = (Arc::new(backend.clone()), Arc::clone(&clock) as Arc<dyn Clock>);
        let created = Repository::create_with(stored, key, options, rng, clocked).await.expect("created");
        let cache = tempfile::tempdir().expect("a folder");
        created.repository.use_folders(Some(cache.path().to_owned()), None);
        let scene = Self { backend, clock, repository: created.repository, cache };
        for seed in 0..6 {
            scene.back_up(seed).await;
        }
        assert_eq!(scene.packs().len(), 12);
        scene
    }

    async fn back_up(&self, seed: u64) {
        let mut content = vec![0; 200_000];
        SeededRng::new(100 + seed).fill(&mut content).expect("seeded");
        let name = EntryPath::parse(format!("file {seed}").as_bytes()).expect("a path");
        let source = ReaderSource::new(name, std::io::Cursor::new(content));
        self.repository.backup(source).threads(1).start().await.expect("a backup");
    }

    fn packs(&self) -> BTreeSet<PackId> {
        let names = self.backend.contents().into_iter().map(|(name, _)| name);
        names.filter_map(|name| if let Name::Pack(id) = name { Some(id) } else { None }).collect()
    }

    fn stored(&self) -> u64 {
        self.backend.contents().iter().filter(|(name, _)| name.is_pack()).map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn damage(&self, pack: PackId) {
        let held = self.backend.contents().into_iter().find(|(name, _)| *name == Name::Pack(pack));
        let mut bytes = held.expect("it is there").1.to_vec();
        bytes[100] ^= 1;
        self.backend.replace(Name::Pack(pack), bytes);
    }

    async fn check(&self, read_data: ReadData) -> CheckReport {
        let check = self.repository.check().read_data(read_data);
        check.threads(1).start().await.expect("a check")
    }

    async fn read(&self, budget: ReadBudget) -> (u64, BudgetReport) {
        let report = self.check(ReadData::Budget(budget)).await;
        assert_eq!(report.problems, []);
        (report.bytes_read, report.budget.expect("it had a budget"))
    }

    fn sql(&self, statements: &str) {
        let path = self.cache.path().join("verified.sqlite");
        rusqlite::Connection::open(path).expect("the cache").execute_batch(statements).expect("statements");
    }
}

fn each_run(bytes: u64) -> ReadBudget {
    ReadBudget::each_run(BudgetShare::Bytes(bytes))
}

fn percent(percent: f64, seconds: i64) -> ReadBudget {
    ReadBudget::every(BudgetShare::Percent(percent), Duration::from_secs(seconds.unsigned_abs()))
}

#[tokio::test]
async fn every_pack_is_read_once_before_any_is_read_again() {
    let scene = Scene::new().await;
    let mut read = 0;
    for run in 1.. {
        let (bytes, budget) = scene.read(each_run(300_000)).await;
        read += bytes;
        assert!(bytes < 600_000, "packs of 200 KB each");
        scene.clock.go(DAY);
        if budget.packs_unverified > 0 {
            assert_eq!(scene.stored() - budget.bytes_unverified, read, "run {run} read something twice");
        } else {
            assert_eq!(budget.all_read_in, AtThisPace::Runs(0));
            break;
        }
        assert!(run < 12, "it does not come to an end");
    }
    assert!((scene.stored()..scene.stored() + 600_000).contains(&read));
    // From now on those of the first run come first: the oldest age stays what one round takes.
    let (_, before) = scene.read(each_run(1)).await;
    let (_, after) = scene.read(each_run(1 << 30)).await;
    assert!(before.oldest.expect("all were read") >= Duration::from_secs(2 * 86_400));
    assert_eq!(after.oldest, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_budget_for_a_time_gives_what_the_time_since_the_last_run_gives() {
    let scene = Scene::new().await;
    let stored = scene.stored();
    let share = |days: f64| (stored as f64 * days / 10.0) as u64;
    let near = |allowed: u64, days: f64| allowed.abs_diff(share(days)) <= 200_000;
    let tenth = percent(10.0, DAY);
    let (_, first) = scene.read(tenth).await;
    assert!(near(first.allowed, 1.0), "a first run has a day");
    assert_eq!(scene.read(tenth).await.1.allowed, 0, "no time has passed");
    scene.clock.go(3 * DAY);
    let (_, later) = scene.read(tenth).await;
    assert!(near(later.allowed, 3.0), "{later:?}");
    // Over the days no more is read than the budget has: what was too much is taken off.
    let mut read = 0;
    for _ in 0..20 {
        scene.clock.go(DAY / 4);
        read += scene.read(tenth).await.0;
    }
    assert!(near(read, 5.0), "{read} of {stored}");
    scene.clock.go(1000 * DAY);
    assert!(near(scene.read(tenth).await.1.allowed, 7.0), "a week is saved up, no more");
    let AtThisPace::Time(round) = later.all_anew_in else { panic!("{later:?}") };
    assert!(round.as_secs().abs_diff(864_000) < 10, "{round:?}");
    assert!(matches!(later.all_read_in, AtThisPace::Time(left) if left < round && !left.is_zero()), "{later:?}");
}

#[tokio::test]
async fn a_new_budget_counts_what_was_read_as_its_own() {
    let scene = Scene::new().await;
    let (read, _) = scene.read(percent(10.0, DAY)).await;
    assert_eq!(scene.read(percent(10.0, DAY)).await.1.allowed, 0);
    let (more, all) = scene.read(percent(100.0, DAY)).await;
    assert_eq!(all.allowed, scene.stored() - read);
    assert!(read > 0 && read + more >= scene.stored() && all.packs_unverified == 0, "{read} {more}");
    // The other way round everything was read already, a day long.
    assert_eq!(scene.read(percent(10.0, DAY)).await.1.allowed, 0);
    scene.clock.go(DAY);
    assert!(scene.read(percent(10.0, DAY)).await.1.allowed > 0);
}

#[tokio::test]
async fn a_clock_that_jumps_keeps_no_pack_from_its_turn() {
    let scene = Scene::new().await;
    let tenth = percent(10.0, DAY);
    let century = 36_500 * DAY;
    // Far ahead: what is read now is dated in a future that goes away again.
    scene.clock.go(century);
    let (_, ahead) = scene.read(tenth).await;
    assert!(ahead.oldest.is_some_and(|oldest| oldest >= Duration::from_secs(century.unsigned_abs())));
    scene.clock.go(-2 * century);
    let (read, back) = scene.read(tenth).await;
    assert_eq!((read, back.allowed), (0, 0), "no time has passed, or nobody knows how much");
    assert_eq!(back.oldest, Some(Duration::ZERO));
    scene.clock.go(century);
    let mut left = u64::MAX;
    for _ in 0..10 {
        scene.clock.go(DAY);
        let (_, budget) = scene.read(tenth).await;
        assert!(budget.packs_unverified < left || left == 0);
        left = budget.packs_unverified;
    }
    assert_eq!(left, 0, "ten days of a tenth are everything");
    let (_, again) = scene.read(each_run(1 << 30)).await;
    assert_eq!(again.oldest, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_damaged_pack_is_told_every_time_and_keeps_nothing_from_being_read() {
    let scene = Scene::new().await;
    let damaged: Vec<PackId> = scene.packs().into_iter().take(3).collect();
    damaged.iter().for_each(|pack| scene.damage(*pack));
    let first = scene.check(ReadData::Budget(each_run(1 << 30))).await;
    assert_eq!(first.problems_total, 3);
    let budget = first.budget.expect("a budget");
    assert_eq!((budget.packs_unverified, budget.packs_damaged), (3, 3));
    for seed in 10..14 {
        scene.back_up(seed).await;
    }
    for _ in 0..8 {
        let report = scene.check(ReadData::Budget(each_run(1))).await;
        let told: BTreeSet<String> = report.problems.iter().map(|problem| problem.object.clone()).collect();
        assert_eq!(told, damaged.iter().map(|pack| Name::Pack(*pack).to_string()).collect());
        scene.clock.go(DAY);
        // Debts of whole packs are paid, so that the least budget reads again.
        scene.sql("DELETE FROM accounts");
    }
    let report = scene.check(ReadData::Budget(each_run(1))).await;
    assert_eq!(report.budget.expect("a budget").packs_unverified, 3, "the new packs were read beside the damaged ones");
}

#[tokio::test]
async fn a_pack_that_was_mended_is_no_problem_any_more_and_one_that_is_gone_is_forgotten() {
    let scene = Scene::new().await;
    let pack = scene.packs().into_iter().next().expect("packs");
    let whole = scene.backend.contents();
    scene.damage(pack);
    assert_eq!(scene.check(ReadData::Budget(each_run(1 << 30))).await.problems_total, 1);
    for (name, bytes) in whole {
        scene.backend.replace(name, bytes);
    }
    let report = scene.check(ReadData::Budget(each_run(1 << 30))).await;
    assert_eq!((report.problems_total, report.budget.expect("a budget").packs_unverified), (0, 0));
    let rows = || {
        let path = scene.cache.path().join("verified.sqlite");
        let connection = rusqlite::Connection::open(path).expect("the cache");
        connection.query_row("SELECT COUNT(*) FROM packs", [], |row| row.get::<_, u32>(0)).expect("counted")
    };
    assert_eq!(rows(), 12);
    let ids: Vec<_> = scene.repository.snapshots().await.expect("snapshots").into_iter().map(|one| one.id).collect();
    scene.repository.forget(&ids[1..]).await.expect("forgotten");
    scene.clock.go(100 * DAY);
    for _ in 0..2 {
        scene.repository.prune().plan().await.expect("a plan").apply().await.expect("a prune");
        scene.clock.go(3 * DAY);
    }
    let (_, budget) = scene.read(each_run(1)).await;
    assert_eq!(rows() as usize, scene.packs().len() - budget.packs_unverified as usize);
    assert!(rows() < 12);
}

#[tokio::test]
async fn a_cache_that_is_lost_or_spoilt_only_starts_over() {
    let scene = Scene::new().await;
    let all = each_run(1 << 30);
    assert_eq!(scene.read(all).await.1.packs_unverified, 0);
    let spoil: [&dyn Fn(); 4] = [
        &|| std::fs::remove_file(scene.cache.path().join("verified.sqlite")).expect("removed"),
        &|| std::fs::write(scene.cache.path().join("verified.sqlite"), [0x5a; 9_000]).expect("written"),
        &|| scene.sql("UPDATE packs SET turn = turn + 1; UPDATE accounts SET saved = 'x'"),
        &|| scene.sql("DROP TABLE packs; CREATE TABLE packs (x)"),
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        spoil();
        let (read, budget) = scene.read(each_run(1)).await;
        assert!(read > 0 && budget.is_remembered, "{number}");
        assert_eq!(budget.packs_unverified, 11, "{number}");
        assert_eq!(scene.read(all).await.1.packs_unverified, 0, "{number}");
    }
}

#[tokio::test]
async fn a_budget_that_cannot_be_remembered_reads_nothing_and_says_what_to_do() {
    let scene = Scene::new().await;
    let elsewhere = tempfile::tempdir().expect("a folder");
    let occupied = elsewhere.path().join("occupied");
    std::fs::create_dir_all(occupied.join("verified.sqlite/within")).expect("made");
    for (folder, why) in [(std::path::PathBuf::from("/proc/none"), "No such file"), (occupied, "directory")] {
        scene.repository.use_folders(Some(folder.clone()), None);
        let refused = scene.repository.check().read_data(ReadData::Budget(each_run(1 << 30))).start().await;
        let refused = refused.expect_err("nowhere to remember");
        assert_eq!(refused.kind(), Kind::CacheFailed);
        assert!(refused.to_string().contains(&folder.display().to_string()), "{refused}");
        assert!(format!("{refused:?}").contains(why), "{refused:?}");
        assert!(refused.advice().is_some_and(|advice| advice.contains("verified.sqlite")), "{refused:?}");
        // What needs no memory goes on without.
        assert_eq!(scene.check(ReadData::All).await.problems_total, 0);
    }
}

#[tokio::test]
async fn what_a_full_check_has_read_counts_and_impossible_budgets_are_refused() {
    let scene = Scene::new().await;
    assert_eq!(scene.check(ReadData::All).await.budget, None);
    let (_, budget) = scene.read(each_run(1)).await;
    assert_eq!((budget.packs_unverified, budget.all_read_in), (0, AtThisPace::Runs(0)));
    let none = Duration::ZERO;
    for budget in [
        each_run(0),
        percent(0.0, DAY),
        percent(101.0, DAY),
        percent(f64::NAN, DAY),
        ReadBudget::every(BudgetShare::Bytes(1), none),
    ] {
        let refused = scene.repository.check().read_data(ReadData::Budget(budget)).start().await;
        assert_eq!(refused.expect_err("impossible").kind(), Kind::Invalid, "{budget:?}");
    }
    scene.repository.use_folders(None, None);
    let nowhere = scene.repository.check().read_data(ReadData::Budget(each_run(1))).start().await;
    assert_eq!(nowhere.expect_err("nowhere to remember").kind(), Kind::Invalid);
}
