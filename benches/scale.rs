//! What an index of many chunks takes: time to open, look-ups a second, memory of a backup, a check and a prune.
//!
//! `cargo bench -p strongroom-benches --bench scale -- CHUNKS [CHUNKS-OF-A-PACK [FOLDER]]` makes a local repository of
//! that many made-up chunks (its packs are empty files of the right length) and runs every step as a process of its own.
//! The last steps store two snapshots with real catalogs, forget the one that needs every chunk, and prune: the other one
//! needs the chunks of every second pack, so that half of all packs go and the whole index is merged.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use strongroom::CreateOptions;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::LocalBackend;
use strongroom::MaxUnused;
use strongroom::Repository;
use strongroom::Secret;
use strongroom::SeededRng;
use strongroom::benching::Known;
use strongroom::benching::Scale;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Chunks when nothing is said: enough for two shards.
const SMOKE: u64 = 600_000;
/// Look-ups of each kind.
const LOOKUPS: u64 = 200_000;
/// Steps, in order: which folders there are, and what is done.
const STEPS: [(&str, bool); 9] = [
    ("in memory", false),
    ("cold", true),
    ("warm", true),
    ("warm again", true),
    ("first backup", true),
    ("check", true),
    ("prune plan", true),
    ("snapshots", true),
    ("prune", true),
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    if let [step, folder, chunks, of_pack] = arguments.as_slice()
        && let Some((name, has_room)) = STEPS.iter().find(|(name, _)| name == step)
    {
        let scale = scale(chunks.parse()?, of_pack.parse()?)?;
        return runtime.block_on(one(name, *has_room, Path::new(folder), scale));
    }
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse::<u64>());
    let (chunks, of_pack) = (number(0, SMOKE)?, number(1, 50)?);
    let temporary = tempfile::tempdir()?;
    let folder = arguments.get(2).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let scale = scale(chunks, of_pack)?;
    println!("{chunks} chunks, {of_pack} to a pack, {} to a segment", scale.of_segment);
    runtime.block_on(fill(scale, &folder))?;
    for (name, _) in STEPS {
        let (chunks, of_pack) = (chunks.to_string(), of_pack.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        let status = command.arg(name).arg(&folder).args([&chunks, &of_pack]).status()?;
        if !status.success() {
            return Err(format!("{name} failed").into());
        }
    }
    Ok(())
}

fn scale(chunks: u64, of_pack: u64) -> Outcome<Scale> {
    Ok(Scale { chunks, of_pack, of_segment: usize::try_from(of_pack.min(6))? })
}

fn key() -> Outcome<Key> {
    Ok(Key::KeyFile(Secret::new(strongroom::generate_key_file(&SeededRng::new(1))?)))
}

async fn fill(scale: Scale, folder: &Path) -> Outcome<()> {
    let location = folder.join("repository");
    let backend = Arc::new(LocalBackend::new(&location));
    let mut options = CreateOptions::default();
    options.kdf = KdfChoice::Minimal;
    options.recovery = false;
    let created = Repository::create(backend, key()?, options).await?;
    for (name, length) in scale.fill(&created.repository).await? {
        let path = location.join(name);
        std::fs::create_dir_all(path.parent().ok_or("a pack has a folder")?)?;
        std::fs::File::create(path)?.set_len(length)?;
    }
    Ok(())
}

/// Resident bytes now and at their peak, from the kernel.
fn resident() -> Outcome<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().map(|kib| kib * 1024)
    };
    Ok((line("VmRSS:")?, line("VmHWM:")?))
}

async fn one(step: &str, has_room: bool, folder: &Path, scale: Scale) -> Outcome<()> {
    let chunks = scale.chunks;
    let backend = Arc::new(LocalBackend::new(folder.join("repository")));
    let repository = Repository::open(backend, key()?).await?;
    if has_room {
        repository.use_folders(Some(folder.join("cache")), Some(folder.join("temporary")));
    }
    let (before, _) = resident()?;
    let started = Instant::now();
    let mut more = String::new();
    let known = match step {
        "check" => {
            let report = repository.check().start().await?;
            more = format!("{} chunks", report.chunks);
            None
        }
        "prune plan" => {
            let plan = repository.prune().allow_no_snapshots(true).plan().await?;
            more = format!("{} packs", plan.summary().packs);
            None
        }
        "snapshots" => {
            scale.snapshots(&repository).await?;
            None
        }
        "prune" => {
            more = prune(&repository).await?;
            None
        }
        "first backup" => {
            // Nothing of what it takes on is known.
            let known = Known::open(&repository).await?;
            let new = known.claim(chunks..2 * chunks)?;
            more = format!("{new} new chunks");
            Some(known)
        }
        _ => Some(Known::open(&repository).await?),
    };
    let seconds = started.elapsed().as_secs_f64();
    let (now, peak) = resident()?;
    if let Some(known) = &known
        && step != "first backup"
    {
        let (copies, shards, bytes) = known.size();
        more =
            format!("{copies} chunks, {shards} shards, {:.2} B a chunk by its own count", each(bytes as u64, chunks));
        for (what, first) in [("hits", 0), ("misses", chunks)] {
            let started = Instant::now();
            let found = known.found((0..LOOKUPS).map(|number| first + number * 7919 % chunks))?;
            let a_second = LOOKUPS as f64 / started.elapsed().as_secs_f64();
            more.push_str(&format!(", {a_second:.0} {what}/s ({found} found)"));
        }
    }
    println!(
        "{step:>12}: {seconds:7.2} s, resident +{:.2} B a chunk, peak +{:.2} B a chunk ({} MiB); {more}",
        each(now.saturating_sub(before), chunks),
        each(peak.saturating_sub(before), chunks),
        peak >> 20,
    );
    Ok(())
}

/// Forgets the snapshot that needs most, and prunes what only it needed.
async fn prune(repository: &Repository) -> Outcome<String> {
    let snapshots = repository.snapshots().await?;
    let first = snapshots.iter().map(|snapshot| snapshot.id).min().ok_or("two snapshots were stored")?;
    repository.forget(&[first]).await?;
    let started = Instant::now();
    let wish = repository.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Unlimited);
    let plan = wish.plan().await?;
    let (planned, (_, peak)) = (started.elapsed().as_secs_f64(), resident()?);
    let started = Instant::now();
    let report = plan.apply().await?;
    Ok(format!(
        "planned in {planned:.2} s with at most {} MiB, applied in {:.2} s: {} packs deleted, {} left, \
         {} index objects for {}",
        peak >> 20,
        started.elapsed().as_secs_f64(),
        report.packs_deleted,
        report.packs_left,
        report.index_written,
        report.index_deleted,
    ))
}

fn each(bytes: u64, chunks: u64) -> f64 {
    bytes as f64 / chunks as f64
}
