//! A stream of bytes as a source of one entry: standard input, a socket, anything that can be read.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::io::ErrorKind;
use std::io::Read;
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

/// Everything a reader gives, as one entry. A stop is noticed when the next bytes arrive.
pub struct ReaderSource {
    about: About,
    reader: Box<dyn Read + Send>,
}

/// Everything an async reader gives, as one entry. A stop is noticed while waiting for bytes.
pub struct AsyncReaderSource {
    about: About,
    pieces: Pieces,
}

/// What a stream's entry says beside its bytes.
#[derive(Clone, Debug)]
struct About {
    path: EntryPath,
    kind: String,
    modified: Timestamp,
    mode: u32,
}

/// The thread's end of the channel that the task fills.
struct Pieces {
    full: mpsc::Receiver<std::io::Result<Vec<u8>>>,
    empty: mpsc::Sender<Vec<u8>>,
    room: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl ReaderSource {
    /// `reader` up to its end, stored as `path`; the folders above are made entries too.
    pub fn new(path: EntryPath, reader: impl Read + Send + 'static) -> Self {
        Self { about: About::new(path), reader: Box::new(reader) }
    }

    /// What the snapshot record calls this source; `stdin` unless said.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.about.kind = kind.into();
        self
    }

    /// The modification time of the entry.
    #[must_use]
    pub fn modified(mut self, time: Timestamp) -> Self {
        self.about.modified = time;
        self
    }

    /// Permission bits of the entry; `0o600` unless said.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.about.mode = mode & 0o7777;
        self
    }
}

impl AsyncReaderSource {
    /// `reader` up to its end, stored as `path`. Starts a task that reads ahead by at most 1 MiB, so it
    /// must be called inside a tokio runtime.
    pub fn new(path: EntryPath, reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self { about: About::new(path), pieces: Pieces::start(reader) }
    }

    /// What the snapshot record calls this source; `stdin` unless said.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.about.kind = kind.into();
        self
    }

    /// The modification time of the entry.
    #[must_use]
    pub fn modified(mut self, time: Timestamp) -> Self {
        self.about.modified = time;
        self
    }

    /// Permission bits of the entry; `0o600` unless said.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.about.mode = mode & 0o7777;
        self
    }
}

impl Source for ReaderSource {
    fn kind(&self) -> &str {
        &self.about.kind
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![self.about.path.as_bytes().to_vec()]
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let metadata = self.about.begin(sink)?;
        let mut size = 0;
        loop {
            match self.reader.read(sink.buffer()?) {
                Ok(0) => break,
                Ok(count) => {
                    sink.filled(count)?;
                    size += u64::try_from(count).unwrap_or(u64::MAX);
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(self.about.broken(why)),
            }
        }
        sink.end(Metadata { size, ..metadata }, Vec::new())?;
        Ok(Verdict::Whole)
    }
}

impl Source for AsyncReaderSource {
    fn kind(&self) -> &str {
        &self.about.kind
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![self.about.path.as_bytes().to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let metadata = self.about.begin(sink)?;
        let mut size = 0;
        loop {
            match self.pieces.full.recv_timeout(PATIENCE) {
                Ok(Ok(piece)) if piece.is_empty() => break,
                Ok(Ok(piece)) => {
                    give(&piece, sink)?;
                    size += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                    self.pieces.taken(piece);
                }
                Ok(Err(why)) => return Err(self.about.broken(why)),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    sink.buffer()?;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(self.about.broken(ErrorKind::UnexpectedEof.into()));
                }
            }
        }
        sink.end(Metadata { size, ..metadata }, Vec::new())?;
        Ok(Verdict::Whole)
    }
}

impl About {
    fn new(path: EntryPath) -> Self {
        Self { path, kind: "stdin".to_string(), modified: Timestamp::default(), mode: 0o600 }
    }

    /// Gives the folders above, then begins the entry itself.
    fn begin(&self, sink: &mut dyn Sink) -> Result<Metadata, SourceError> {
        let above: Vec<_> = std::iter::successors(self.path.parent(), EntryPath::parent).collect();
        for folder in above.iter().rev() {
            let metadata = self.metadata(FileKind::Directory, 0o700);
            sink.begin(folder, &metadata)?;
            sink.end(metadata, Vec::new())?;
        }
        let metadata = self.metadata(FileKind::Stream, self.mode);
        // A stream has no past: whatever the answer, nobody else has its bytes.
        sink.begin(&self.path, &metadata)?;
        Ok(metadata)
    }

    fn metadata(&self, kind: FileKind, mode: u32) -> Metadata {
        let mut metadata = Metadata::new(kind);
        metadata.mode = mode;
        metadata.uid = rustix::process::geteuid().as_raw();
        metadata.gid = rustix::process::getegid().as_raw();
        metadata.modified = self.modified;
        metadata.changed = self.modified;
        metadata
    }

    fn broken(&self, why: std::io::Error) -> SourceError {
        SourceError::Failed { message: format!("cannot read {} to its end", self.kind), cause: Some(Box::new(why)) }
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
        Self { full, empty, room, task }
    }

    /// Gives a piece back to be filled again.
    fn taken(&self, piece: Vec<u8>) {
        // The task may have ended: then nobody needs it.
        let _ = self.empty.send(piece);
        self.room.add_permits(1);
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Copies a piece into the sink's buffers.
fn give(mut piece: &[u8], sink: &mut dyn Sink) -> Result<(), SourceError> {
    while !piece.is_empty() {
        let room = sink.buffer()?;
        let count = room.len().min(piece.len());
        let (now, later) = piece.split_at(count);
        if let Some(room) = room.get_mut(..count) {
            room.copy_from_slice(now);
        }
        sink.filled(count)?;
        piece = later;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::recorder::Recorder;

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
        let source = ReaderSource::new(path("dumps/shop/all.sql"), std::io::Cursor::new(bytes.clone())).modified(time);
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
