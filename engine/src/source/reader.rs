//! Anything that can be read, as a source of one entry: standard input, a socket.

use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::StreamEntry;
use crate::verdict::Verdict;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Bytes of one piece that goes from the task to the thread.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces on their way at most.
const PIECES_MAX: usize = 4;
/// How often a source that waits for bytes asks whether to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// Everything a reader gives, as one entry. A stop is noticed when the next bytes arrive, or while waiting for them
/// where the reader is a descriptor.
pub struct ReaderSource {
    entry: StreamEntry,
    input: Box<dyn Input + Send>,
}

/// Any reader; it alone knows when it comes back.
struct Plain<R>(R);

/// A descriptor, read only when it has something.
struct Polled(File);

/// Everything an async reader gives, as one entry. A stop is noticed while waiting for bytes.
pub struct AsyncReaderSource {
    entry: StreamEntry,
    input: Pieces,
}

/// The thread's end of the channel that the task fills.
struct Pieces {
    full: mpsc::Receiver<io::Result<Vec<u8>>>,
    empty: mpsc::Sender<Vec<u8>>,
    room: Arc<Semaphore>,
    task: JoinHandle<()>,
    /// The piece being given, and how much of it was.
    piece: Vec<u8>,
    given: usize,
}

impl ReaderSource {
    /// `reader` up to its end, stored as `entry`: a path, or more than that.
    pub fn new(entry: impl Into<StreamEntry>, reader: impl Read + Send + 'static) -> Self {
        Self { entry: entry.into(), input: Box::new(Plain(reader)) }
    }

    /// The same for a pipe, a socket or a file that nobody else reads, which may be silent for long and is stopped all
    /// the same.
    pub fn of_descriptor(entry: impl Into<StreamEntry>, descriptor: OwnedFd) -> Self {
        Self { entry: entry.into(), input: Box::new(Polled(File::from(descriptor))) }
    }
}

impl AsyncReaderSource {
    /// `reader` up to its end, stored as `entry`. Starts a task that reads ahead by at most 1 MiB, so it
    /// must be called inside a tokio runtime.
    pub fn new(entry: impl Into<StreamEntry>, reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self { entry: entry.into(), input: Pieces::start(reader) }
    }
}

/// What a source is called unless said otherwise.
const KIND: &str = "stdin";

impl Source for ReaderSource {
    fn kind(&self) -> &str {
        self.entry.kind_or(KIND)
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![self.entry.path().as_bytes().to_vec()]
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        give_all(&self.entry, &mut *self.input, sink)
    }
}

impl Source for AsyncReaderSource {
    fn kind(&self) -> &str {
        self.entry.kind_or(KIND)
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![self.entry.path().as_bytes().to_vec()]
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        give_all(&self.entry, &mut self.input, sink)
    }
}

fn give_all(entry: &StreamEntry, input: &mut dyn Input, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
    let (metadata, kind) = (entry.begin(sink)?, entry.kind_or(KIND));
    let size = StreamEntry::pour(sink, &format!("cannot read {kind} to its end"), |room| input.next(room))?;
    entry.end(sink, metadata, size, || format!("{kind} gave no bytes"))?;
    Ok(Verdict::Whole)
}

/// Bytes as [`StreamEntry::pour`] asks for them.
trait Input {
    fn next(&mut self, room: &mut [u8]) -> io::Result<Option<usize>>;
}

impl<R: Read> Input for Plain<R> {
    fn next(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        self.0.read(room).map(Some)
    }
}

impl Input for Polled {
    fn next(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) };
        let mut files = [PollFd::new(&self.0, PollFlags::IN)];
        match rustix::event::poll(&mut files, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => Ok(None),
            Ok(_) => self.0.read(room).map(Some),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Input for Pieces {
    fn next(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        if self.given == self.piece.len() {
            match self.full.recv_timeout(PATIENCE) {
                Ok(piece) => self.take(piece?),
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        let rest = self.piece.get(self.given..).unwrap_or_default();
        let count = room.len().min(rest.len());
        if let (Some(room), Some(now)) = (room.get_mut(..count), rest.get(..count)) {
            room.copy_from_slice(now);
        }
        self.given += count;
        Ok(Some(count))
    }
}

impl Pieces {
    fn start(mut reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, full) = mpsc::channel();
        let (empty, used) = mpsc::channel::<Vec<u8>>();
        let room = Arc::new(Semaphore::new(PIECES_MAX));
        let permits = Arc::clone(&room);
        let task = tokio::spawn(async move {
            // The semaphore is never closed; it bounds a channel that itself has no bound.
            while let Ok(permit) = permits.acquire().await {
                permit.forget();
                let mut piece = used.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE_BYTES));
                piece.clear();
                let read = reader.read_buf(&mut piece).await;
                let is_last = !matches!(read, Ok(count) if count > 0);
                if sender.send(read.map(|_| piece)).is_err() || is_last {
                    break;
                }
            }
        });
        Self { full, empty, room, task, piece: Vec::new(), given: 0 }
    }

    /// Takes the next piece, empty at the end, and gives the last one back to be filled again.
    fn take(&mut self, piece: Vec<u8>) {
        let used = std::mem::replace(&mut self.piece, piece);
        self.given = 0;
        if used.is_empty() {
            // The first one: none was taken before it.
            return;
        }
        // The task may have ended: then nobody needs it.
        let _ = self.empty.send(used);
        self.room.add_permits(1);
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::EntryPath;
    use crate::entry::FileKind;
    use crate::source::EmptyStream;
    use crate::source::recorder::Recorder;
    use crate::time::Timestamp;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect("a valid path")
    }

    /// Gives some bytes, then an error.
    struct Failing(bool);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::other("the line went dead"));
            }
            buffer.fill(1);
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_stream_is_one_entry_below_its_folders() {
        let bytes = vec![5; 200_000];
        let time = Timestamp { seconds: 17, nanoseconds: 3 };
        let mut recorder = Recorder::new();
        let entry = StreamEntry::new(path("dumps/shop/all.sql")).modified(time);
        let source = ReaderSource::new(entry, std::io::Cursor::new(bytes.clone()));
        assert_eq!(source.paths(), [b"dumps/shop/all.sql"]);
        assert_eq!(recorder.run(source).expect("a verdict"), Verdict::Whole);
        assert_eq!(recorder.paths(), ["dumps", "dumps/shop", "dumps/shop/all.sql"]);
        let entry = recorder.entry("dumps/shop/all.sql");
        assert_eq!((entry.metadata.kind.clone(), entry.metadata.mode), (FileKind::Stream, 0o600));
        assert_eq!((entry.metadata.size, entry.metadata.modified), (200_000, time));
        assert!(entry.content == bytes);
    }

    #[test]
    fn a_stream_that_breaks_leaves_no_verdict() {
        let error = Recorder::new().run(ReaderSource::new(path("x"), Failing(false))).expect_err("it broke");
        assert!(matches!(error, SourceError::Failed { cause: Some(why), .. } if why.to_string().contains("dead")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_empty_stream_is_refused_only_where_that_was_asked() {
        let is_empty = |outcome| match outcome {
            Err(SourceError::Failed { cause: Some(why), .. }) => why.is::<EmptyStream>(),
            _ => false,
        };
        let plain = |bytes: &'static [u8], refuse| {
            let mut recorder = Recorder::new();
            recorder.run(ReaderSource::new(StreamEntry::new(path("x")).refuse_empty(refuse), bytes))
        };
        assert!(is_empty(plain(b"", true)));
        assert!(plain(b"", false).is_ok() && plain(b"1", true).is_ok());
        let entry = StreamEntry::new(path("x")).refuse_empty(true);
        let source = AsyncReaderSource::new(entry, tokio::io::empty());
        let outcome = tokio::task::spawn_blocking(move || Recorder::new().run(source));
        assert!(is_empty(outcome.await.expect("the thread ends")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_async_stream_is_given_whole() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let source = AsyncReaderSource::new(path("x"), std::io::Cursor::new(bytes.clone()));
        let content = tokio::task::spawn_blocking(move || {
            let mut recorder = Recorder::new();
            assert_eq!(recorder.run(source).expect("a verdict"), Verdict::Whole);
            std::mem::take(&mut recorder.entries[0].content)
        });
        assert!(content.await.expect("the thread ends") == bytes);
    }

    #[test]
    fn a_silent_descriptor_can_be_stopped() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut writer, b"abc").expect("room");
        let mut recorder = Recorder::new();
        recorder.stop_after = 3;
        let outcome = recorder.run(ReaderSource::of_descriptor(path("x"), reader.into()));
        assert!(matches!(outcome, Err(SourceError::Stopped)));
        // Only now does the writer close its end.
        drop(writer);
    }

    #[test]
    fn a_descriptor_is_given_to_its_end() {
        let bytes = vec![9; 300_000];
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let sent = bytes.clone();
        let thread = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
        let mut recorder = Recorder::new();
        let verdict = recorder.run(ReaderSource::of_descriptor(path("x"), reader.into())).expect("a verdict");
        thread.join().expect("the thread ends").expect("all was written");
        assert!(verdict == Verdict::Whole && recorder.entry("x").content == bytes);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_silent_async_stream_can_be_stopped() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let source = AsyncReaderSource::new(path("x"), reader);
        tokio::io::AsyncWriteExt::write_all(&mut writer, b"abc").await.expect("room");
        let ended = tokio::task::spawn_blocking(move || {
            let mut recorder = Recorder::new();
            recorder.stop_after = 3;
            recorder.run(source).expect_err("no verdict")
        });
        assert!(matches!(ended.await.expect("the thread ends"), SourceError::Stopped));
        drop(writer);
    }
}
