//! A sink that writes down what a source gives, and insists on the contract: for the tests of sources.

use crate::entry::ChunkProfile;
use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::source::EntryStart;
use crate::source::OpenEntry;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Stop;
use crate::source::Want;
use crate::statement::Statement;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What one entry came with.
#[derive(Debug)]
pub struct Recorded {
    /// Where it stands.
    pub path: EntryPath,
    /// As it was at its end.
    pub metadata: Metadata,
    /// How it wants to be cut.
    pub chunking: ChunkProfile,
    /// What tells its content from any other.
    pub change_token: Option<Vec<u8>>,
    /// Its bytes.
    pub content: Vec<u8>,
    /// What could not be kept of it.
    pub warnings: Vec<String>,
}

/// Called with the path and how many bytes it gave so far.
type Hook = Box<dyn FnMut(&EntryPath, usize)>;
/// Told the bytes of the entry so far, says whether to stop.
type Stopper = Box<dyn FnMut(&[u8]) -> bool>;

/// The recording sink.
pub struct Recorder {
    /// What was given, in the order of the paths.
    pub entries: Vec<Recorded>,
    /// Path, message, whether content is missing.
    pub warned: Vec<(String, String, bool)>,
    /// Path and reason.
    pub skipped: Vec<(String, String)>,
    /// What the source said that it is at.
    pub looked_at: Vec<Vec<u8>>,
    /// How many entries were retracted.
    pub retracted: usize,
    /// The latest estimate: entries and bytes.
    pub totals: (u64, u64),
    /// What the source said of itself.
    pub statement: Option<Statement>,
    /// What every `begin` answers.
    pub want: Want,
    /// Called before an entry is begun.
    pub on_begin: Option<Hook>,
    /// Called before room is given.
    pub on_buffer: Option<Hook>,
    /// Stops when this many bytes were given.
    pub stop_after: usize,
    /// Stops when it says so.
    pub stop_when: Option<Stopper>,
    current: Option<Opened>,
    given: usize,
    buffer: Vec<u8>,
    last: Option<EntryPath>,
    /// What was ended of the entries that were opened beside others.
    beside: Arc<Mutex<Vec<Recorded>>>,
    open: Arc<AtomicUsize>,
}

/// An entry that was begun.
struct Opened {
    recorded: Recorded,
    want: Want,
}

/// One that is open beside others.
struct Beside {
    opened: Opened,
    buffer: Vec<u8>,
    ended: Arc<Mutex<Vec<Recorded>>>,
    open: Arc<AtomicUsize>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Wants all bytes, and never stops.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            warned: Vec::new(),
            skipped: Vec::new(),
            looked_at: Vec::new(),
            retracted: 0,
            totals: (0, 0),
            statement: None,
            want: Want::Bytes,
            on_begin: None,
            on_buffer: None,
            stop_after: usize::MAX,
            stop_when: None,
            current: None,
            given: 0,
            buffer: vec![0; 64 * 1024],
            last: None,
            beside: Arc::default(),
            open: Arc::default(),
        }
    }

    /// Runs `source` to its verdict.
    pub fn run(&mut self, source: impl Source) -> Result<Verdict, SourceError> {
        let verdict = Box::new(source).run(self)?;
        assert!(self.current.is_none() && self.open.load(Ordering::Acquire) == 0, "the source ended inside an entry");
        self.entries.append(&mut self.beside.lock().unwrap_or_else(PoisonError::into_inner));
        self.entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(verdict)
    }

    /// All paths as text.
    pub fn paths(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.path.to_string()).collect()
    }

    /// The entry at `path`.
    pub fn entry(&self, path: &str) -> &Recorded {
        let found = self.entries.iter().find(|entry| entry.path.as_bytes() == path.as_bytes());
        found.expect("the source has given an entry at this path")
    }

    /// The bytes of the entry that is not ended yet.
    pub fn unfinished(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |current| &current.recorded.content)
    }

    fn opened(&mut self, start: &EntryStart<'_>) -> Opened {
        let path = start.path;
        assert!(self.current.is_none(), "{path} begun before the entry before it ended");
        if let Some(last) = &self.last {
            assert!(last < path, "{last} is not before {path}");
        }
        if let Some(hook) = &mut self.on_begin {
            hook(path, 0);
        }
        let recorded = Recorded {
            path: path.clone(),
            metadata: start.metadata.clone(),
            chunking: start.chunking,
            change_token: start.change_token.map(<[u8]>::to_vec),
            content: Vec::new(),
            warnings: Vec::new(),
        };
        Opened { recorded, want: if start.metadata.has_content() { self.want } else { Want::Nothing } }
    }
}

impl Opened {
    fn ended(self, metadata: Metadata, warnings: Vec<String>) -> Recorded {
        if self.want == Want::Nothing && metadata.has_content() && self.recorded.change_token.is_none() {
            assert!(metadata.xattrs.is_empty() && metadata.flags == 0 && metadata.extents.is_none());
        }
        Recorded { metadata, warnings, ..self.recorded }
    }
}

impl OpenEntry for Beside {
    fn want(&self) -> Want {
        self.opened.want
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        assert_eq!(self.opened.want, Want::Bytes, "unwanted bytes of {}", self.opened.recorded.path);
        Ok(&mut self.buffer)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        self.opened.recorded.content.extend_from_slice(&self.buffer[..count]);
        Ok(())
    }

    fn end(self: Box<Self>, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop> {
        let recorded = self.opened.ended(metadata, warnings);
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
        self.open.fetch_sub(1, Ordering::AcqRel);
        Ok(())
    }

    fn retract(self: Box<Self>) -> Result<(), Stop> {
        self.open.fetch_sub(1, Ordering::AcqRel);
        Ok(())
    }
}

impl Sink for Recorder {
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop> {
        let opened = self.opened(&start);
        let want = opened.want;
        self.current = Some(opened);
        Ok(want)
    }

    fn open(&mut self, start: EntryStart<'_>) -> Result<Box<dyn OpenEntry>, Stop> {
        let opened = self.opened(&start);
        self.last = Some(start.path.clone());
        self.open.fetch_add(1, Ordering::AcqRel);
        let (ended, open) = (Arc::clone(&self.beside), Arc::clone(&self.open));
        Ok(Box::new(Beside { opened, buffer: vec![0; 1000], ended, open }))
    }

    fn looks_at(&mut self, what: &[u8]) {
        self.looked_at.push(what.to_vec());
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        let Opened { recorded, want } = self.current.as_ref().expect("bytes without an entry");
        assert_eq!(*want, Want::Bytes, "unwanted bytes of {}", recorded.path);
        let says_stop = self.stop_when.as_mut().is_some_and(|stop| stop(&recorded.content));
        if says_stop || self.given >= self.stop_after {
            return Err(Stop);
        }
        if let Some(hook) = &mut self.on_buffer {
            hook(&recorded.path, recorded.content.len());
        }
        Ok(&mut self.buffer)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        let current = self.current.as_mut().expect("bytes without an entry");
        current.recorded.content.extend_from_slice(&self.buffer[..count]);
        self.given += count;
        Ok(())
    }

    fn end(&mut self, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop> {
        let recorded = self.current.take().expect("an end without a beginning").ended(metadata, warnings);
        self.last = Some(recorded.path.clone());
        self.entries.push(recorded);
        Ok(())
    }

    fn retract(&mut self) -> Result<(), Stop> {
        self.current.take().expect("nothing to retract");
        self.retracted += 1;
        Ok(())
    }

    fn warn(&mut self, path: Option<&EntryPath>, message: String, partial: bool) {
        self.warned.push((path.map(EntryPath::to_string).unwrap_or_default(), message, partial));
    }

    fn total(&mut self, entries: u64, bytes: u64) {
        assert!(entries >= self.totals.0 && bytes >= self.totals.1, "totals only grow");
        self.totals = (entries, bytes);
    }

    fn skipped(&mut self, path: &EntryPath, reason: &str) {
        self.skipped.push((path.to_string(), reason.to_string()));
    }

    fn statement(&mut self, statement: Statement) {
        self.statement = Some(statement);
    }
}
