//! A sink that writes down what a source gives, and insists on the contract.

use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Stop;
use crate::source::Want;
use crate::statement::Statement;
use crate::verdict::Verdict;

/// What one entry came with.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) path: EntryPath,
    pub(super) metadata: Metadata,
    pub(super) content: Vec<u8>,
    pub(super) warnings: Vec<String>,
}

/// Called with the path and how many bytes it gave so far.
type Hook = Box<dyn FnMut(&EntryPath, usize)>;

/// The recording sink.
pub(super) struct Recorder {
    pub(super) entries: Vec<Recorded>,
    /// Path, message, whether content is missing.
    pub(super) warned: Vec<(String, String, bool)>,
    pub(super) skipped: Vec<(String, String)>,
    pub(super) looked_at: Vec<Vec<u8>>,
    pub(super) retracted: usize,
    pub(super) totals: (u64, u64),
    pub(super) statement: Option<Statement>,
    /// What every `begin` answers.
    pub(super) want: Want,
    pub(super) on_begin: Option<Hook>,
    pub(super) on_buffer: Option<Hook>,
    /// Stops when this many bytes were given.
    pub(super) stop_after: usize,
    open: Option<(EntryPath, Want, Vec<u8>)>,
    given: usize,
    buffer: Vec<u8>,
}

impl Recorder {
    pub(super) fn new() -> Self {
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
            open: None,
            given: 0,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Runs `source` to its verdict.
    pub(super) fn run(&mut self, source: impl Source) -> Result<Verdict, SourceError> {
        Box::new(source).run(self)
    }

    /// All paths as text.
    pub(super) fn paths(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.path.to_string()).collect()
    }

    /// The entry at `path`.
    pub(super) fn entry(&self, path: &str) -> &Recorded {
        let found = self.entries.iter().find(|entry| entry.path.as_bytes() == path.as_bytes());
        found.unwrap_or_else(|| panic!("{path} is not among {:?}", self.paths()))
    }
}

impl Sink for Recorder {
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop> {
        let EntryStart { path, metadata, .. } = start;
        assert!(self.open.is_none(), "{path} begun before the entry before it ended");
        if let Some(last) = self.entries.last() {
            assert!(last.path < *path, "{} is not before {path}", last.path);
        }
        if let Some(hook) = &mut self.on_begin {
            hook(path, 0);
        }
        let want = if metadata.has_content() { self.want } else { Want::Nothing };
        self.open = Some((path.clone(), want, Vec::new()));
        Ok(want)
    }

    fn looks_at(&mut self, what: &[u8]) {
        self.looked_at.push(what.to_vec());
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        let (path, want, content) = self.open.as_ref().expect("bytes without an entry");
        assert_eq!(*want, Want::Bytes, "unwanted bytes of {path}");
        if self.given >= self.stop_after {
            return Err(Stop);
        }
        if let Some(hook) = &mut self.on_buffer {
            hook(path, content.len());
        }
        Ok(&mut self.buffer)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        let (_, _, content) = self.open.as_mut().expect("bytes without an entry");
        content.extend_from_slice(&self.buffer[..count]);
        self.given += count;
        Ok(())
    }

    fn end(&mut self, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop> {
        let (path, want, content) = self.open.take().expect("an end without a beginning");
        if want == Want::Nothing && metadata.has_content() {
            assert!(metadata.xattrs.is_empty() && metadata.flags == 0 && metadata.extents.is_none());
        }
        self.entries.push(Recorded { path, metadata, content, warnings });
        Ok(())
    }

    fn retract(&mut self) -> Result<(), Stop> {
        self.open.take().expect("nothing to retract");
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
