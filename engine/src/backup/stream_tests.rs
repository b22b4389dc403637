//! Promises about several entries that are open at once.

use super::told::repository;
use crate::entry::ChunkProfile;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::format::snapshot::Snapshot;
use crate::job::Canceller;
use crate::limits::STREAMS_OPEN_MAX;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::Repository;
use crate::source::EntryStart;
use crate::source::OpenEntry;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Stop;
use crate::source::StreamEntry;
use crate::source::Streams;
use crate::source::Want;
use crate::source::give;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc;

/// One entry: its name, whether it is given beside others, and its bytes.
#[derive(Clone)]
struct Item {
    name: String,
    is_beside: bool,
    bytes: Vec<u8>,
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRng::new(seed).fill(&mut bytes).expect("seeded bytes");
    bytes
}

/// Long and short entries, folders and empty ones; every second one is given beside others.
fn items() -> Vec<Item> {
    let item = |number: u64| {
        let length = match number % 5 {
            0 => 3_000_000 + usize::try_from(number).expect("a number") * 1000,
            1 => 500,
            2 => 0,
            3 => 150_000,
            _ => 70_000,
        };
        Item { name: format!("{number:03}"), is_beside: number.is_multiple_of(2), bytes: noise(number + 1, length) }
    };
    (0..24).map(item).collect()
}

fn metadata(item: &Item) -> Metadata {
    let mut metadata = Metadata::new(FileKind::File);
    metadata.size = item.bytes.len() as u64;
    metadata.modified = Timestamp { seconds: 5, nanoseconds: 5 };
    metadata
}

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name.as_bytes()).expect("a path")
}

fn start<'a>(path: &'a EntryPath, metadata: &'a Metadata) -> EntryStart<'a> {
    EntryStart::new(path, metadata).chunking(ChunkProfile::Pages(4096))
}

fn fill(stream: &mut dyn OpenEntry, mut bytes: &[u8]) -> Result<(), Stop> {
    while !bytes.is_empty() {
        let room = stream.buffer()?;
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        stream.filled(count)?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Does what it is told.
pub(super) struct Told<F>(pub(super) F);

impl<F: FnOnce(&mut dyn Sink) -> Result<Verdict, SourceError> + Send + 'static> Source for Told<F> {
    fn kind(&self) -> &str {
        "told"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        (self.0)(sink)
    }
}

async fn stored(
    repository: &Repository,
    run: impl FnOnce(&mut dyn Sink) -> Result<Verdict, SourceError> + Send + 'static,
) -> Snapshot {
    let backup = repository.backup(Told(run)).parent(crate::backup::Parent::Nothing).threads(2);
    let report = backup.start().await.expect("a backup");
    report.snapshot.expect("a snapshot")
}

/// One after the other.
fn in_turn(items: Vec<Item>) -> impl FnOnce(&mut dyn Sink) -> Result<Verdict, SourceError> {
    move |sink| {
        for item in &items {
            let metadata = metadata(item);
            if sink.begin(start(&path(&item.name), &metadata))? == Want::Bytes {
                give(&item.bytes, sink)?;
            }
            sink.end(metadata, vec!["a warning".to_owned()])?;
        }
        Ok(Verdict::Whole)
    }
}

/// An entry that is open: what is left to give of it.
struct Left {
    stream: Box<dyn OpenEntry>,
    item: Item,
    given: usize,
}

/// Several at once on one thread, a piece of one and a piece of another, in an order that the seed decides.
fn interleaved(items: Vec<Item>, seed: u64) -> impl FnOnce(&mut dyn Sink) -> Result<Verdict, SourceError> {
    move |sink| {
        let dice = SeededRng::new(seed);
        let draw = |bound: usize| usize::from(crate::random::array::<2>(&dice).expect("seeded")[0]) % bound;
        let mut waiting = items.into_iter().peekable();
        let mut open: Vec<Left> = Vec::new();
        while waiting.peek().is_some() || !open.is_empty() {
            if open.len() < 5
                && (open.is_empty() || draw(3) == 0)
                && let Some(item) = waiting.next()
            {
                let metadata = metadata(&item);
                if item.is_beside {
                    let stream = sink.open(start(&path(&item.name), &metadata))?;
                    open.push(Left { stream, item, given: 0 });
                } else {
                    sink.begin(start(&path(&item.name), &metadata))?;
                    give(&item.bytes, sink)?;
                    sink.end(metadata, vec!["a warning".to_owned()])?;
                }
            }
            if open.is_empty() {
                continue;
            }
            let at = draw(open.len());
            let left = &mut open[at];
            let piece = (1 + draw(256) * 2000).min(left.item.bytes.len() - left.given);
            fill(&mut *left.stream, &left.item.bytes[left.given..left.given + piece])?;
            left.given += piece;
            if left.given == left.item.bytes.len() {
                let Left { stream, item, .. } = open.swap_remove(at);
                stream.end(metadata(&item), vec!["a warning".to_owned()])?;
            }
        }
        Ok(Verdict::Whole)
    }
}

#[tokio::test]
async fn entries_given_at_once_in_any_order_are_stored_as_one_after_the_other() {
    let repository = repository().await;
    let plain = stored(&repository, in_turn(items())).await;
    for seed in 0..6 {
        let at_once = stored(&repository, interleaved(items(), seed)).await;
        assert_eq!(at_once.root, plain.root, "seed {seed}");
        assert_eq!((at_once.counts.entries, at_once.counts.bytes), (plain.counts.entries, plain.counts.bytes));
        assert_eq!(at_once.counts.bytes_new, 0, "the same chunks");
    }
    let other = super::told::repository().await;
    let first = stored(&other, interleaved(items(), 77)).await;
    let mut entries = other.view(&first).await.expect("a view").walk(None);
    for item in items() {
        let entry = entries.next().await.expect("readable").expect("an entry");
        let (mut content, mut bytes) = (entries.open(&entry), Vec::new());
        while let Some(piece) = content.next().await.expect("a piece") {
            bytes.extend_from_slice(&piece);
        }
        assert!(entry.path.as_bytes() == item.name.as_bytes() && bytes == item.bytes, "{}", item.name);
    }
}

#[tokio::test]
async fn streams_on_threads_of_their_own_need_no_temporary_files_and_end_in_any_order() {
    let repository = repository().await;
    let entry = |number: u64| StreamEntry::new(path(&format!("db/shop/{number}.copy"))).chunking(ChunkProfile::Rows);
    let at_once = stored(&repository, move |sink| {
        let mut streams = Streams::new(sink);
        let threads: Vec<_> = (0..4u64)
            .map(|number| {
                let mut stream = streams.open(&entry(number))?;
                Ok(std::thread::spawn(move || {
                    stream.pour(noise(number, 5_000_000).as_slice())?;
                    stream.finish()
                }))
            })
            .collect::<Result<_, SourceError>>()?;
        for thread in threads {
            assert_eq!(thread.join().expect("it ends")?, 5_000_000);
        }
        Ok(Verdict::Whole)
    })
    .await;
    let in_turn = stored(&repository, move |sink| {
        let mut streams = Streams::new(sink);
        for number in 0..4 {
            streams.give(&entry(number), noise(number, 5_000_000).as_slice())?;
        }
        Ok(Verdict::Whole)
    })
    .await;
    assert_eq!((at_once.root, at_once.counts.entries), (in_turn.root, 6), "two folders, each once");
}

#[tokio::test]
async fn a_stream_that_is_retracted_leaves_nothing_and_is_in_nobodys_way() {
    let repository = repository().await;
    let snapshot = stored(&repository, |sink| {
        let metadata = Metadata::new(FileKind::File);
        let mut gone = sink.open(start(&path("a"), &metadata))?;
        let mut kept = sink.open(start(&path("b"), &metadata))?;
        fill(&mut *gone, &noise(1, 3_000_000))?;
        fill(&mut *kept, b"kept")?;
        kept.end(metadata.clone(), Vec::new())?;
        gone.retract()?;
        let unread = sink.open(start(&path("c"), &metadata))?;
        unread.end(metadata, Vec::new())?;
        Ok(Verdict::Whole)
    })
    .await;
    assert_eq!((snapshot.counts.entries, snapshot.counts.bytes), (2, 4));
}

#[tokio::test]
async fn what_is_unchanged_is_taken_over_beside_others_too() {
    let repository = repository().await;
    let run = |wanted: Want| {
        move |sink: &mut dyn Sink| {
            let mut metadata = Metadata::new(FileKind::File);
            (metadata.size, metadata.modified.seconds) = (200_000, 5);
            let (one, two) = (path("a"), path("b"));
            let mut open = [
                sink.open(start(&one, &metadata).change_token(b"v1"))?,
                sink.open(start(&two, &metadata).change_token(b"v1"))?,
            ];
            for (stream, seed) in open.iter_mut().zip(1..) {
                assert_eq!(stream.want(), wanted);
                if wanted == Want::Bytes {
                    fill(&mut **stream, &noise(seed, 200_000))?;
                }
            }
            let [one, two] = open;
            two.end(metadata.clone(), Vec::new())?;
            one.end(metadata, Vec::new())?;
            Ok(Verdict::Whole)
        }
    };
    let first = repository.backup(Told(run(Want::Bytes))).start().await.expect("a backup").snapshot;
    let second = repository.backup(Told(run(Want::Nothing))).start().await.expect("a backup").snapshot;
    let (first, second) = (first.expect("a snapshot"), second.expect("a snapshot"));
    assert_eq!((first.root, second.counts.entries_unchanged), (second.root, 2));
}

#[tokio::test]
async fn a_source_that_ends_or_fails_with_a_stream_open_leaves_no_snapshot_and_no_stage_waiting() {
    let repository = repository().await;
    let (held, outlives) = mpsc::channel::<Box<dyn OpenEntry>>();
    for verdict in [Ok(Verdict::Whole), Err(SourceError::Failed { message: "died".into(), cause: None })] {
        let held = held.clone();
        let source = Told(move |sink: &mut dyn Sink| {
            let metadata = Metadata::new(FileKind::Stream);
            let mut first = sink.open(start(&path("a"), &metadata))?;
            fill(&mut *first, &noise(1, 3_000_000))?;
            sink.begin(start(&path("b"), &metadata))?;
            sink.end(metadata, Vec::new())?;
            held.send(first).expect("somebody keeps it");
            verdict
        });
        let error = repository.backup(source).start().await.expect_err("it never ended the stream");
        assert_eq!(error.kind(), Kind::SourceFailed);
        let mut kept = outlives.recv().expect("the stream");
        assert_eq!(kept.buffer().map(|_| ()), Err(Stop), "the job is over");
        assert_eq!(kept.end(Metadata::new(FileKind::Stream), Vec::new()), Err(Stop));
    }
    assert!(repository.snapshots().await.expect("snapshots").is_empty());
}

#[tokio::test]
async fn a_job_cancelled_while_streams_are_open_stops_them_all_and_the_next_run_is_whole() {
    let repository = repository().await;
    let switch: Arc<OnceLock<Canceller>> = Arc::default();
    let pulled = Arc::clone(&switch);
    let source = Told(move |sink: &mut dyn Sink| {
        let metadata = Metadata::new(FileKind::Stream);
        let open = |sink: &mut dyn Sink, name| sink.open(start(&path(name), &metadata));
        let (mut one, mut two) = (open(sink, "a")?, open(sink, "b")?);
        fill(&mut *one, &noise(1, 3_000_000))?;
        fill(&mut *two, &noise(2, 3_000_000))?;
        pulled.get().expect("a switch").cancel();
        assert_eq!(fill(&mut *two, &noise(3, 3_000_000)), Err(Stop));
        assert_eq!(sink.open(start(&path("c"), &metadata)).err(), Some(Stop));
        fill(&mut *one, &noise(4, 3_000_000))?;
        Ok(Verdict::Whole)
    });
    let job = repository.backup(source).start();
    switch.set(job.canceller()).expect("set once");
    assert_eq!(job.await.expect_err("cancelled").kind(), Kind::Cancelled);
    assert!(repository.snapshots().await.expect("snapshots").is_empty());
    let whole = stored(&repository, interleaved(items(), 1)).await;
    assert_eq!(whole.counts.entries, 24);
}

#[tokio::test]
async fn a_source_that_does_not_heed_a_stop_ends_its_streams_in_vain_and_not_for_ever() {
    let repository = repository().await;
    let switch: Arc<OnceLock<Canceller>> = Arc::default();
    let pulled = Arc::clone(&switch);
    let source = Told(move |sink: &mut dyn Sink| {
        let metadata = Metadata::new(FileKind::Stream);
        let names = ["a", "b", "c", "d"];
        let open = names.map(|name| sink.open(start(&path(name), &metadata)));
        let mut streams = Vec::new();
        for (stream, seed) in open.into_iter().zip(1..) {
            let mut stream = stream?;
            fill(&mut *stream, &noise(seed, 1_000_000 * usize::try_from(seed).expect("few")))?;
            streams.push(stream);
        }
        let threads: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                let (pulled, metadata) = (Arc::clone(&pulled), metadata.clone());
                std::thread::spawn(move || {
                    // Whatever state the stop finds it in, with a buffer on its way or not.
                    let count = stream.buffer().map_or(0, |room| room.len().min(700_000));
                    pulled.wait().cancel();
                    let _ = stream.filled(count);
                    let _ = fill(&mut *stream, &noise(9, 5_000_000));
                    let _ = stream.filled(1);
                    stream.end(metadata, Vec::new())
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().expect("it ends"), Err(Stop));
        }
        Ok(Verdict::Whole)
    });
    let job = repository.backup(source).start();
    switch.set(job.canceller()).expect("set once");
    assert_eq!(job.await.expect_err("cancelled").kind(), Kind::Cancelled);
    assert!(repository.snapshots().await.expect("snapshots").is_empty());
}

#[tokio::test]
async fn no_more_are_open_at_once_than_there_is_memory_for() {
    let repository = repository().await;
    let source = Told(|sink: &mut dyn Sink| {
        let metadata = Metadata::new(FileKind::Stream);
        let mut open = Vec::new();
        for number in 0..=STREAMS_OPEN_MAX {
            open.push(sink.open(start(&path(&format!("{number:03}")), &metadata))?);
        }
        Ok(Verdict::Whole)
    });
    let error = repository.backup(source).start().await.expect_err("too many");
    assert!(error.in_one_line().contains("more than 16 entries"), "{}", error.in_one_line());
}

#[tokio::test]
async fn many_entries_that_wait_for_one_go_to_the_cache_folder_and_come_back_in_order() {
    let repository = repository().await;
    let cache = tempfile::tempdir().expect("a folder");
    repository.use_folders(Some(cache.path().to_owned()), None);
    let count = 90_000;
    let rows = {
        let file = cache.path().join("unfinished.sqlite");
        move || {
            let connection = rusqlite::Connection::open(&file).expect("the cache");
            let count = "SELECT count(*) FROM read_entries";
            connection.query_row(count, [], |row| row.get::<_, i64>(0)).expect("a count")
        }
    };
    let (seen, told) = mpsc::channel();
    let looks = rows.clone();
    let run = move |beside: bool| {
        move |sink: &mut dyn Sink| {
            let metadata = Metadata::new(FileKind::File);
            let first = match beside {
                true => Some(sink.open(start(&path("0"), &metadata))?),
                false => {
                    sink.begin(start(&path("0"), &metadata))?;
                    sink.end(metadata.clone(), Vec::new())?;
                    None
                }
            };
            for number in 0..count {
                sink.begin(start(&path(&format!("1/{number:06}")), &metadata))?;
                sink.end(metadata.clone(), Vec::new())?;
            }
            if let Some(first) = first {
                // The catalog stage is behind: it has no more credits to give than batches are on their way.
                let _ = seen.send(looks());
                first.end(metadata, Vec::new())?;
            }
            Ok(Verdict::Whole)
        }
    };
    let beside = run.clone();
    let at_once = stored(&repository, beside(true)).await;
    assert!(told.recv().expect("a count") > 0, "they were put aside while they waited");
    assert_eq!(rows(), 0, "and nothing is left of them");
    let in_turn = stored(&repository, run(false)).await;
    assert_eq!((at_once.root, at_once.counts.entries), (in_turn.root, count + 1));
}
