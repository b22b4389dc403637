//! The one entry of a stream: what it says beside its bytes, and the loop that gives them.

use crate::entry::ChunkProfile;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::source::EmptyStream;
use crate::source::EntryStart;
use crate::source::OpenEntry;
use crate::source::Sink;
use crate::source::SourceError;
use crate::source::Stop;
use crate::time::Timestamp;
use std::io;
use std::io::ErrorKind;

/// A stream as an entry of a snapshot, for sources that give one: standard input, a command, a socket. A path alone is
/// enough to make one.
#[derive(Clone, Debug)]
pub struct StreamEntry {
    path: EntryPath,
    kind: Option<String>,
    modified: Timestamp,
    mode: u32,
    chunking: ChunkProfile,
    refuse_empty: bool,
}

impl From<EntryPath> for StreamEntry {
    fn from(path: EntryPath) -> Self {
        Self::new(path)
    }
}

impl StreamEntry {
    /// Stored as `path`; the folders above are made entries too.
    pub fn new(path: EntryPath) -> Self {
        Self {
            path,
            kind: None,
            modified: Timestamp::default(),
            mode: 0o600,
            chunking: ChunkProfile::Default,
            refuse_empty: false,
        }
    }

    /// What the snapshot record calls its source, if not what the source calls itself.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Its modification time; 1970 unless said.
    #[must_use]
    pub fn modified(mut self, time: Timestamp) -> Self {
        self.modified = time;
        self
    }

    /// Its permission bits; `0o600` unless said.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o7777;
        self
    }

    /// Fails with [`EmptyStream`] when not a single byte comes: then there is no snapshot. A dump of something that
    /// exists is never empty.
    #[must_use]
    pub fn refuse_empty(mut self, yes: bool) -> Self {
        self.refuse_empty = yes;
        self
    }

    /// Where it is stored.
    pub fn path(&self) -> &EntryPath {
        &self.path
    }

    /// What the snapshot record calls its source: `usual` unless said.
    pub fn kind_or<'a>(&'a self, usual: &'a str) -> &'a str {
        self.kind.as_deref().unwrap_or(usual)
    }

    /// How its bytes are to be cut; as the repository's config says unless said.
    #[must_use]
    pub fn chunking(mut self, profile: ChunkProfile) -> Self {
        self.chunking = profile;
        self
    }

    /// Gives the folders above, then begins the entry itself. What comes back is for [`Self::end`].
    pub fn begin(&self, sink: &mut dyn Sink) -> Result<Metadata, SourceError> {
        self.begin_folders(sink, None)?;
        self.begin_itself(sink)
    }

    /// Makes entries of the folders above, without those that lead to `last` as well.
    pub(super) fn begin_folders(&self, sink: &mut dyn Sink, last: Option<&EntryPath>) -> Result<(), SourceError> {
        let above: Vec<_> = std::iter::successors(self.path.parent(), EntryPath::parent).collect();
        for folder in above.iter().rev().filter(|folder| !last.is_some_and(|last| last.is_within(folder))) {
            let metadata = self.metadata(FileKind::Directory, 0o700);
            sink.begin(EntryStart::new(folder, &metadata))?;
            sink.end(metadata, Vec::new())?;
        }
        Ok(())
    }

    pub(super) fn begin_itself(&self, sink: &mut dyn Sink) -> Result<Metadata, SourceError> {
        let metadata = self.own_metadata();
        // A stream has no past: whatever the answer, nobody else has its bytes.
        sink.begin(self.start(&metadata))?;
        Ok(metadata)
    }

    pub(super) fn own_metadata(&self) -> Metadata {
        self.metadata(FileKind::Stream, self.mode)
    }

    pub(super) fn start<'a>(&'a self, metadata: &'a Metadata) -> EntryStart<'a> {
        EntryStart::new(&self.path, metadata).chunking(self.chunking)
    }

    /// Gives the bytes; their number comes back. `read` fills the room it is given and says how much of it, 0 at the
    /// end; `None` when nothing came for a while, so that a stop is noticed. Its errors fail the source as `doing`.
    pub fn pour(
        sink: &mut dyn Sink,
        doing: &str,
        read: impl FnMut(&mut [u8]) -> io::Result<Option<usize>>,
    ) -> Result<u64, SourceError> {
        pour(sink, doing, read)
    }

    /// Ends the entry, unless it is empty and must not be: then it fails, in the words of `empty`.
    pub fn end(
        &self,
        sink: &mut dyn Sink,
        metadata: Metadata,
        size: u64,
        empty: impl FnOnce() -> String,
    ) -> Result<(), SourceError> {
        self.check_size(size, empty)?;
        Ok(sink.end(Metadata { size, ..metadata }, Vec::new())?)
    }

    /// Fails where it is empty and must not be, in the words of `empty`.
    pub(super) fn check_size(&self, size: u64, empty: impl FnOnce() -> String) -> Result<(), SourceError> {
        if self.refuse_empty && size == 0 {
            return Err(SourceError::Failed { message: empty(), cause: Some(Box::new(EmptyStream)) });
        }
        Ok(())
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
}

/// What takes bytes: a sink for the entry begun last, or one of several entries that are open.
pub(super) trait Takes {
    fn room(&mut self) -> Result<&mut [u8], Stop>;
    fn took(&mut self, count: usize) -> Result<(), Stop>;
}

impl Takes for dyn Sink + '_ {
    fn room(&mut self) -> Result<&mut [u8], Stop> {
        self.buffer()
    }

    fn took(&mut self, count: usize) -> Result<(), Stop> {
        self.filled(count)
    }
}

impl Takes for dyn OpenEntry + '_ {
    fn room(&mut self) -> Result<&mut [u8], Stop> {
        self.buffer()
    }

    fn took(&mut self, count: usize) -> Result<(), Stop> {
        self.filled(count)
    }
}

/// See [`StreamEntry::pour`].
pub(super) fn pour<T: Takes + ?Sized>(
    to: &mut T,
    doing: &str,
    mut read: impl FnMut(&mut [u8]) -> io::Result<Option<usize>>,
) -> Result<u64, SourceError> {
    let mut size = 0;
    loop {
        match read(to.room()?) {
            Ok(Some(0)) => return Ok(size),
            Ok(Some(count)) => {
                to.took(count)?;
                size += u64::try_from(count).unwrap_or(u64::MAX);
            }
            Ok(None) => {}
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => {
                return Err(SourceError::Failed { message: doing.to_owned(), cause: Some(Box::new(why)) });
            }
        }
    }
}

/// Copies bytes into the sink's buffers.
pub(crate) fn give(mut piece: &[u8], sink: &mut dyn Sink) -> Result<(), SourceError> {
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
