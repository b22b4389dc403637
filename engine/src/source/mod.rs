//! The way in: anything that can give entries and their bytes.
//!
//! A source runs on a thread of its own and pushes: it announces an entry, reads straight into the
//! buffer the sink lends, ends the entry with the metadata it saw afterwards, and at last says
//! whether it was whole. It knows nothing of chunks, keys or backends.

mod estimate;
mod folder;
pub mod keys;
mod reader;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod recorder;
mod stream;
mod streams;

use crate::entry::ChunkProfile;
use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::statement::Statement;
use crate::verdict::Verdict;

pub use estimate::Amount;
pub use estimate::Estimate;
pub(crate) use estimate::count;
pub(crate) use folder::Attributes;
pub(crate) use folder::Dirents;
pub use folder::FolderSource;
pub(crate) use folder::Handle;
pub(crate) use folder::Listing;
pub(crate) use folder::Owners;
pub(crate) use folder::open_at;
pub(crate) use folder::stat_at;
pub use reader::AsyncReaderSource;
pub use reader::ReaderSource;
pub use stream::StreamEntry;
pub(crate) use stream::give;
pub use streams::OpenStream;
pub use streams::Streams;

/// What is said of a file that did not rest while it was read, and of no later backup that takes it over.
pub(crate) const CHANGED: &str = "changed while being read";

/// Anything that can be backed up.
///
/// A source runs on a thread of its own. One whose client is async blocks there on a runtime that its maker gave it, and looks
/// now and then whether to stop:
///
/// ```
/// # use std::time::Duration;
/// # use strongroom::{EntryPath, Sink, Source, SourceError, StreamEntry, Streams, Verdict};
/// # use tokio::io::AsyncReadExt;
/// struct Table<C> {
///     runtime: tokio::runtime::Handle,
///     connection: C,
/// }
///
/// impl<C: tokio::io::AsyncRead + Send + Unpin + 'static> Source for Table<C> {
///     fn kind(&self) -> &str { "table" }
///     fn paths(&self) -> Vec<Vec<u8>> { vec![b"shop/orders".to_vec()] }
///
///     fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
///         let entry = StreamEntry::new(EntryPath::parse(b"shop/orders.copy").unwrap()).refuse_empty(true);
///         let mut stream = Streams::new(sink).open(&entry)?;
///         stream.pour_with(|room| {
///             let next = async { tokio::time::timeout(Duration::from_millis(200), self.connection.read(room)).await };
///             // Nothing came for a while: the sink is asked whether to go on.
///             self.runtime.block_on(next).map_or(Ok(None), |read| read.map(Some))
///         })?;
///         stream.finish()?;
///         Ok(Verdict::Whole)
///     }
/// }
/// ```
pub trait Source: Send + 'static {
    /// One word for the snapshot record: `folder`, `stdin`, `command`, `postgres`.
    fn kind(&self) -> &str;

    /// What is backed up, as the snapshot record lists it (absolute paths for folders, raw bytes).
    fn paths(&self) -> Vec<Vec<u8>>;

    /// The exclude patterns in force, for the snapshot record.
    fn excludes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The folders above what is backed up that are entries only to lead there. Where nothing else
    /// changed, what happened to them is no change of the source.
    fn leading(&self) -> Vec<EntryPath> {
        Vec::new()
    }

    /// The same once more, for a source that can be read twice. A backup that relied on data which goes away while it
    /// runs, or turns out to be damaged, then begins again; one of a source that is gone when it was read fails.
    fn again(&self) -> Option<Box<dyn Source>> {
        None
    }

    /// How much there is to give, where that can be told cheaply: for the progress of a backup without a parent snapshot.
    fn estimate(&self) -> Option<Estimate> {
        None
    }

    /// Gives all entries in [`EntryPath`] order, then the verdict. An error leaves no snapshot.
    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError>;
}

/// Why a source ended without a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The sink asked to stop.
    #[error("stopped")]
    Stopped,
    /// The source itself failed.
    #[error("{message}")]
    Failed {
        /// What failed, one line.
        message: String,
        /// Why.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
}

/// Why a stream that was told to refuse emptiness failed: it ended well without giving a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an empty stream nearly always comes from a failed command")]
pub struct EmptyStream;

impl From<std::io::Error> for SourceError {
    fn from(why: std::io::Error) -> Self {
        Self::Failed { message: "the source cannot be read".to_owned(), cause: Some(Box::new(why)) }
    }
}

impl Source for Box<dyn Source> {
    fn kind(&self) -> &str {
        self.as_ref().kind()
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        self.as_ref().paths()
    }

    fn excludes(&self) -> Vec<String> {
        self.as_ref().excludes()
    }

    fn leading(&self) -> Vec<EntryPath> {
        self.as_ref().leading()
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        self.as_ref().again()
    }

    fn estimate(&self) -> Option<Estimate> {
        self.as_ref().estimate()
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        (*self).run(sink)
    }
}

impl From<Stop> for SourceError {
    fn from(_: Stop) -> Self {
        Self::Stopped
    }
}

/// The job ends: return [`SourceError::Stopped`] at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop;

/// What the sink wants of an entry just announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its bytes.
    Bytes,
    /// No bytes: it has none, or the parent snapshot has them.
    Nothing,
}

/// What a source says of an entry before it gives its bytes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EntryStart<'a> {
    /// Where it stands.
    pub path: &'a EntryPath,
    /// What is known of it beforehand.
    pub metadata: &'a Metadata,
    /// How its bytes are to be cut.
    pub chunking: ChunkProfile,
    /// What tells this content of it from any other: an `ETag`, a version, a log position; at most 1 KiB.
    pub change_token: Option<&'a [u8]>,
    /// Whether the size in `metadata` is the entry's; otherwise only its end tells.
    pub size_is_known: bool,
}

impl<'a> EntryStart<'a> {
    /// An entry of the size that its metadata say, without a change token, to be cut as usual.
    pub fn new(path: &'a EntryPath, metadata: &'a Metadata) -> Self {
        Self { path, metadata, chunking: ChunkProfile::Default, change_token: None, size_is_known: true }
    }

    /// The same, cut so. Keep the profile of a path: cut otherwise, nothing of it is recognised as stored before.
    #[must_use]
    pub fn chunking(self, chunking: ChunkProfile) -> Self {
        Self { chunking, ..self }
    }

    /// The same with a change token. The content counts as that of the parent snapshot only if the token is the one that the
    /// parent has, and size and times are the same as well. So what was
    /// replaced under its old time is read, and of a source that knows nothing but tokens what has not changed is not.
    /// Without a token, only files can be taken over.
    #[must_use]
    pub fn change_token(self, token: &'a [u8]) -> Self {
        Self { change_token: Some(token), ..self }
    }

    /// The same of an entry whose size is not known yet: a change token then decides with the times alone, and without one
    /// the content is read.
    #[must_use]
    pub fn size_unknown(self) -> Self {
        Self { size_is_known: false, ..self }
    }
}

/// An entry that is open beside others: what [`Sink`] says of the entry begun last holds for it. Dropped without an end it
/// leaves the source no way but to fail.
pub trait OpenEntry: Send {
    /// What is wanted of it.
    fn want(&self) -> Want;

    /// Room for its next bytes, as [`Sink::buffer`].
    fn buffer(&mut self) -> Result<&mut [u8], Stop>;

    /// How many of them now hold data, as [`Sink::filled`].
    fn filled(&mut self, count: usize) -> Result<(), Stop>;

    /// Ends it, as [`Sink::end`].
    fn end(self: Box<Self>, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop>;

    /// Forgets it and its bytes.
    fn retract(self: Box<Self>) -> Result<(), Stop>;
}

/// Where a source puts its entries.
pub trait Sink {
    /// Announces the next entry. Paths must ascend.
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop>;

    /// Announces the next entry, to be given beside others: from its own thread, at its own pace. Paths ascend as with `begin`,
    /// which goes on beside it, and entries stand in the snapshot in that order whichever ends first. Bytes are stored as they come;
    /// nothing waits but the entry. At most 16 may be open. Each must be ended or retracted before `run` returns; one that was
    /// retracted is not given again.
    fn open(&mut self, start: EntryStart<'_>) -> Result<Box<dyn OpenEntry>, Stop>;

    /// Says what is looked at or read from now on, as people know it. Should that not come back for long, it is what they
    /// are told; a source that never says it has the entry named that it began last.
    fn looks_at(&mut self, what: &[u8]) {
        let _ = what;
    }

    /// Room for the next bytes of the entry; never empty. Asking again without `filled` in between is
    /// allowed and changes nothing: a source that waits for input asks to learn whether to stop.
    fn buffer(&mut self) -> Result<&mut [u8], Stop>;

    /// Says how many bytes of the last `buffer` now hold data.
    fn filled(&mut self, count: usize) -> Result<(), Stop>;

    /// Ends the entry begun last, with its metadata as it was after reading.
    ///
    /// When `begin` answered `Want::Nothing` for a kind that has content, `metadata` may come without extended attributes,
    /// flags and extents: the parent snapshot has them and the sink fills them in. What a source gives of the first two
    /// all the same counts, as behind a change token they may have changed; extents are always the parent's.
    ///
    /// `warnings` say what could not be kept of the entry: the snapshot is partial then, and whoever watches is told of
    /// those that [`Self::warn`] did not say of this path before. Where the parent could not keep something of what is
    /// taken over, that is said again.
    fn end(&mut self, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop>;

    /// Forgets the entry begun last and its bytes; the same path may be begun again.
    fn retract(&mut self) -> Result<(), Stop>;

    /// Reports what could not be kept; `partial` when content is missing from the snapshot or may be torn.
    fn warn(&mut self, path: Option<&EntryPath>, message: String, partial: bool);

    /// Estimates for the progress display, cumulative.
    fn total(&mut self, entries: u64, bytes: u64);

    /// Reports an entry that was left out on purpose.
    fn skipped(&mut self, path: &EntryPath, reason: &str);

    /// Says what the state was that was read (server version, position, rows per table); at most 512 KiB when encoded.
    fn statement(&mut self, statement: Statement);
}
