//! Several streams as entries of one snapshot: one after the other, or several at once from threads of their own.

use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::source::OpenEntry;
use crate::source::Sink;
use crate::source::SourceError;
use crate::source::StreamEntry;
use crate::source::stream::pour;
use std::io;

/// Gives streams to a sink, in the order of their paths, and makes the folders above them entries too.
///
/// ```
/// # use strongroom::{EntryPath, KnownFact, Sink, Source, SourceError, Statement, StreamEntry, Streams, Verdict};
/// struct Tables(Vec<(&'static str, &'static [u8])>);
///
/// impl Source for Tables {
///     fn kind(&self) -> &str { "tables" }
///     fn paths(&self) -> Vec<Vec<u8>> { vec![b"shop".to_vec()] }
///
///     fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
///         let mut statement = Statement::new().with(KnownFact::Server, "a shop");
///         let mut streams = Streams::new(sink);
///         for (name, rows) in self.0 {
///             let path = EntryPath::parse(format!("shop/{name}.copy").as_bytes()).unwrap();
///             let bytes = streams.give(&StreamEntry::new(path.clone()), rows)?;
///             statement = statement.with_of(KnownFact::Bytes, path.as_bytes(), bytes);
///         }
///         sink.statement(statement);
///         Ok(Verdict::Whole)
///     }
/// }
/// ```
pub struct Streams<'a> {
    sink: &'a mut dyn Sink,
    last: Option<EntryPath>,
}

/// A stream that is open beside others; give its bytes from whatever thread has them.
pub struct OpenStream {
    entry: StreamEntry,
    metadata: Metadata,
    open: Box<dyn OpenEntry>,
    bytes: u64,
}

impl<'a> Streams<'a> {
    /// Into this sink, which nobody else gives entries meanwhile.
    pub fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, last: None }
    }

    /// One stream up to its end; the number of its bytes comes back.
    pub fn give(&mut self, entry: &StreamEntry, mut reader: impl io::Read) -> Result<u64, SourceError> {
        self.lead_to(entry)?;
        let metadata = entry.begin_itself(self.sink)?;
        let doing = format!("cannot read {} to its end", entry.path());
        let size = StreamEntry::pour(self.sink, &doing, |room| reader.read(room).map(Some))?;
        entry.end(self.sink, metadata, size, || format!("{} has no bytes", entry.path()))?;
        Ok(size)
    }

    /// One stream to be given beside others. At most 16 are open at once, and each must be finished before the source ends.
    pub fn open(&mut self, entry: &StreamEntry) -> Result<OpenStream, SourceError> {
        self.lead_to(entry)?;
        let metadata = entry.own_metadata();
        let open = self.sink.open(entry.start(&metadata))?;
        Ok(OpenStream { entry: entry.clone(), metadata, open, bytes: 0 })
    }

    /// Makes entries of the folders above that are none yet.
    fn lead_to(&mut self, entry: &StreamEntry) -> Result<(), SourceError> {
        let last = self.last.replace(entry.path().clone());
        entry.begin_folders(self.sink, last.as_ref())
    }
}

impl OpenStream {
    /// Gives what `reader` has, up to its end.
    pub fn pour(&mut self, mut reader: impl io::Read) -> Result<(), SourceError> {
        self.pour_with(|room| reader.read(room).map(Some))
    }

    /// Gives bytes: `read` fills the room it is given and says how much of it, 0 at the end; `None` when nothing came for a
    /// while, so that a stop is noticed.
    pub fn pour_with(&mut self, read: impl FnMut(&mut [u8]) -> io::Result<Option<usize>>) -> Result<(), SourceError> {
        let doing = format!("cannot read {} to its end", self.entry.path());
        self.bytes += pour(&mut *self.open, &doing, read)?;
        Ok(())
    }

    /// Ends the stream: all of it was given. The number of its bytes comes back.
    pub fn finish(self) -> Result<u64, SourceError> {
        let Self { entry, metadata, open, bytes } = self;
        entry.check_size(bytes, || format!("{} has no bytes", entry.path()))?;
        open.end(Metadata { size: bytes, ..metadata }, Vec::new())?;
        Ok(bytes)
    }
}
