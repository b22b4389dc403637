//! The sink a source pushes into: takes over what is unchanged, cuts the rest, ships batches in order.

use super::batch::BUFFER_BYTES;
use super::batch::Batch;
use super::batch::Ended;
use super::batch::Item;
use super::batch::Span;
use super::contract::Contract;
use super::cut::Cutter;
use super::halt::Halt;
use super::journal::Remembered;
use super::parent::Cursor;
use super::parent::Known;
use super::parent::Sameness;
use super::said::Said;
use super::watch::Watched;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Error;
use crate::error::Kind;
use crate::event::Action;
use crate::event::Event;
use crate::event::Warning;
use crate::job::Control;
use crate::limits::BATCH_BYTES;
use crate::limits::BATCH_ITEMS_MAX;
use crate::limits::CHUNK_BYTES_MAX;
use crate::limits::MIB;
use crate::limits::SNAPSHOT_SEAL_BYTES_MAX;
use crate::source::CHANGED;
use crate::source::Sink;
use crate::source::Stop;
use crate::source::Want;
use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::SendTimeoutError;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes lent to a source at once: what is read is cut while it is still in the cache.
const LEND_BYTES: usize = MIB;
/// Chunks from a journal in one batch.
const LISTED_CHUNKS_MAX: usize = 32 * 1024;
/// How long another stage is waited for before looking whether the job still goes on.
const PATIENCE: Duration = Duration::from_millis(100);

/// The reading end of the pipeline, on the source's own thread.
pub(crate) struct Reader {
    wiring: Wiring,
    sequence: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer in use, and where the chunk being read begins.
    filled: usize,
    chunk_start: usize,
    items: Vec<Item<Span>>,
    /// Chunks in the batch that came from a journal.
    listed: usize,
    current: Option<Current>,
    contract: Contract,
}

/// How much a run may come to.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// How waiting for another stage went.
enum Wait<T> {
    Over(T),
    GoesOn,
    InVain,
}

/// The entry begun last.
struct Current {
    path: EntryPath,
    /// The earlier entry its content is taken over from.
    taken_over: Option<Entry>,
    /// What it was begun as.
    kind: FileKind,
    /// Whether its bytes were asked for.
    want: Want,
    /// The chunks of its content where an unfinished run knew them and no tree of them is stored.
    listed: Vec<ChunkRef>,
    /// It is the parent's, not an unfinished run's.
    unchanged: bool,
    before: Option<Metadata>,
    /// The parent's entry, when it is to be compared at the end.
    earlier: Option<Box<Entry>>,
    /// Items and bytes of the batch when it began; `None` once a batch was shipped since.
    began_at: Option<(usize, usize)>,
    bytes: u64,
}

/// What the reader is wired to.
pub(crate) struct Wiring {
    pub(crate) control: Control,
    pub(crate) halt: Arc<Halt>,
    pub(crate) cutter: Cutter,
    pub(crate) sameness: Sameness,
    pub(crate) parent: Cursor,
    /// The size of the parent, where there is one: the best guess at this run's.
    pub(crate) expected: Option<Expected>,
    /// Passes on the parent's entries, to be compared with what becomes of them.
    pub(crate) keep_earlier: bool,
    pub(crate) journal: Remembered,
    pub(crate) buffers: Receiver<Vec<u8>>,
    pub(crate) batches: Sender<Batch>,
    /// One credit a batch, given back by the catalog stage: it can fall behind only so far.
    pub(crate) credits: Sender<()>,
    pub(crate) said: Arc<Mutex<Said>>,
    /// Who looks after the source.
    pub(crate) watched: Watched,
}

impl Reader {
    pub(crate) fn new(wiring: Wiring) -> Self {
        Self {
            wiring,
            sequence: 0,
            buffer: Vec::new(),
            filled: 0,
            chunk_start: 0,
            items: Vec::new(),
            listed: 0,
            current: None,
            contract: Contract::default(),
        }
    }

    /// Ships what is left; the last call. Gives how many batches there were, so that none can get lost unseen.
    pub(crate) fn finish(mut self) -> Result<u64, Stop> {
        if self.current.is_some() {
            self.bug("the source ended inside an entry");
            return Err(Stop);
        }
        self.ship()?;
        Ok(self.sequence)
    }

    /// Ships what came before the source failed, so that the next run finds it.
    pub(crate) fn abandon(mut self) {
        // Where that fails another stage has failed, and says so.
        let _ = self.ship();
    }

    fn bug(&self, message: &str) {
        self.wiring.halt.fail(Error::new(Kind::SourceFailed, "the source broke the order of calls").because(message));
    }

    /// What could not be kept of an entry is still missing when the entry is taken over.
    fn repeat(&mut self, path: &EntryPath, warnings: &[String]) {
        for warning in warnings.iter().filter(|warning| *warning != CHANGED) {
            self.warn(Some(path), warning.clone(), true);
        }
    }

    /// Sends the batch on its way; the unfinished chunk moves to the next buffer.
    fn ship(&mut self) -> Result<(), Stop> {
        self.wiring.halt.check(&self.wiring.control)?;
        if self.items.is_empty() && self.filled == self.chunk_start && self.chunk_start == 0 {
            return Ok(());
        }
        let mut next = if self.buffer.is_empty() { Vec::new() } else { self.fresh_buffer()? };
        let carried = self.buffer.get(self.chunk_start..self.filled).unwrap_or_default();
        if let Some(room) = next.get_mut(..carried.len()) {
            room.copy_from_slice(carried);
        }
        self.filled = carried.len();
        self.chunk_start = 0;
        let batch = Batch {
            sequence: self.sequence,
            buffer: std::mem::replace(&mut self.buffer, next),
            items: std::mem::take(&mut self.items),
        };
        self.sequence += 1;
        self.listed = 0;
        if let Some(current) = &mut self.current {
            current.began_at = None;
        }
        self.wait_for(|| match self.wiring.credits.send_timeout((), PATIENCE) {
            Ok(()) => Wait::Over(()),
            Err(SendTimeoutError::Timeout(())) => Wait::GoesOn,
            Err(SendTimeoutError::Disconnected(())) => Wait::InVain,
        })?;
        self.wiring.watched.held_up(true);
        let sent = self.wiring.batches.send(batch);
        self.wiring.watched.held_up(false);
        sent.map_err(|_| Stop)
    }

    fn fresh_buffer(&self) -> Result<Vec<u8>, Stop> {
        self.wait_for(|| match self.wiring.buffers.recv_timeout(PATIENCE) {
            Ok(buffer) => Wait::Over(buffer),
            Err(RecvTimeoutError::Timeout) => Wait::GoesOn,
            Err(RecvTimeoutError::Disconnected) => Wait::InVain,
        })
    }

    /// Waits for a later stage, and looks now and then whether waiting still makes sense.
    fn wait_for<T>(&self, attempt: impl Fn() -> Wait<T>) -> Result<T, Stop> {
        self.wiring.watched.held_up(true);
        let outcome = loop {
            match attempt() {
                Wait::Over(value) => break Ok(value),
                Wait::InVain => break Err(Stop),
                Wait::GoesOn => {
                    if let Err(stop) = self.wiring.halt.check_storing(&self.wiring.control) {
                        break Err(stop);
                    }
                }
            }
        };
        self.wiring.watched.held_up(false);
        outcome
    }

    /// Cuts every chunk whose end is certain.
    fn cut_certain(&mut self) {
        while self.filled - self.chunk_start >= CHUNK_BYTES_MAX {
            self.cut_one();
        }
    }

    fn cut_one(&mut self) {
        let bytes = self.buffer.get(self.chunk_start..self.filled).unwrap_or_default();
        let length = self.wiring.cutter.cut(bytes);
        self.items.push(Item::Chunk(Span { start: self.chunk_start, length }));
        self.chunk_start += length;
    }

    fn push_end(&mut self, item: Item<Span>) -> Result<(), Stop> {
        self.items.push(item);
        if self.chunk_start >= BATCH_BYTES || self.items.len() >= BATCH_ITEMS_MAX { self.ship() } else { Ok(()) }
    }
}

impl Sink for Reader {
    fn begin(&mut self, path: &EntryPath, metadata: &Metadata) -> Result<Want, Stop> {
        self.wiring.halt.check(&self.wiring.control)?;
        if self.current.is_some() {
            self.bug("an entry was begun inside another one");
            return Err(Stop);
        }
        if let Some(why) = self.contract.refuses(path) {
            self.bug(&why);
            return Err(Stop);
        }
        self.wiring.watched.begins(path.as_bytes());
        // What is known of it comes from the repository, which may take its time.
        self.wiring.watched.held_up(true);
        let parent = self.wiring.parent.seek(path);
        let journal = self.wiring.journal.seek(path);
        self.wiring.watched.held_up(false);
        let before = parent.as_ref().map(|known| known.entry.metadata.clone());
        let earlier = parent.as_ref().filter(|_| self.wiring.keep_earlier).map(|known| Box::new(known.entry.clone()));
        let usable = |known: &Known| known.present && self.wiring.sameness.holds(&known.entry.metadata, metadata);
        let settled = |known: &Known| self.wiring.sameness.settled(&known.entry.metadata);
        let from_parent = parent.filter(usable).filter(settled).map(|known| (known.entry, Vec::new()));
        let unchanged = from_parent.is_some();
        let known = from_parent.or_else(|| self.wiring.journal.take_over(journal.filter(usable)?));
        let (taken_over, listed) = known.map_or_else(Default::default, |(entry, chunks)| (Some(entry), chunks));
        let want = if metadata.has_content() && taken_over.is_none() { Want::Bytes } else { Want::Nothing };
        self.wiring.control.counters().at(path);
        self.current = Some(Current {
            path: path.clone(),
            taken_over,
            kind: metadata.kind.clone(),
            want,
            listed,
            unchanged,
            before,
            earlier,
            began_at: Some((self.items.len(), self.filled)),
            bytes: 0,
        });
        Ok(want)
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        // A source that waits for its bytes learns here that it need not wait any longer.
        self.wiring.watched.beat();
        self.wiring.halt.check(&self.wiring.control)?;
        if self.buffer.is_empty() {
            self.buffer = self.fresh_buffer()?;
        }
        if self.filled >= BUFFER_BYTES {
            self.ship()?;
        }
        let end = BUFFER_BYTES.min(self.filled + LEND_BYTES);
        self.buffer.get_mut(self.filled..end).ok_or(Stop)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        if count > LEND_BYTES || self.filled + count > BUFFER_BYTES || self.current.is_none() {
            self.bug("more bytes were reported than were lent");
            return Err(Stop);
        }
        if count > 0 && self.current.as_ref().is_some_and(|current| current.want == Want::Nothing) {
            self.bug("bytes were given that nobody asked for");
            return Err(Stop);
        }
        self.filled += count;
        let length = u64::try_from(count).unwrap_or(u64::MAX);
        if let Some(current) = &mut self.current {
            current.bytes += length;
        }
        self.wiring.control.count(|counters| &counters.bytes_done, length);
        self.cut_certain();
        if self.filled >= BUFFER_BYTES { self.ship() } else { Ok(()) }
    }

    fn end(&mut self, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop> {
        let Some(current) = self.current.take() else {
            self.bug("an entry was ended that was never begun");
            return Err(Stop);
        };
        if let Some(why) = Contract::refuses_end(&current.path, &current.kind, &metadata) {
            self.bug(&why);
            return Err(Stop);
        }
        self.contract.ended(&current.path, &metadata.kind);
        while self.filled > self.chunk_start {
            self.cut_one();
        }
        let Current { path, taken_over, want, listed, unchanged, before, earlier, bytes, .. } = current;
        let is_listed = !listed.is_empty();
        let done = if taken_over.is_some() { metadata.size } else { bytes };
        let (entry, action) = match taken_over {
            Some(known) => {
                self.wiring.control.count(|counters| &counters.bytes_done, metadata.size);
                let metadata = Metadata {
                    xattrs: known.metadata.xattrs,
                    flags: known.metadata.flags,
                    extents: known.metadata.extents,
                    ..metadata
                };
                if warnings.is_empty() {
                    self.repeat(&path, &known.warnings);
                }
                let action = match before {
                    _ if unchanged => Action::Unchanged,
                    Some(_) => Action::Changed,
                    None => Action::New,
                };
                (Entry { path, metadata, ..known }, action)
            }
            None => {
                let action = match &before {
                    None => Action::New,
                    Some(before) if *before == metadata || self.wiring.sameness.is_unmodified(before, &metadata) => {
                        Action::Unchanged
                    }
                    Some(_) => Action::Changed,
                };
                (Entry { warnings, ..Entry::new(path, metadata, Content::Empty) }, action)
            }
        };
        self.wiring.control.count(|counters| &counters.entries_done, 1);
        if self.wiring.control.is_watched() {
            self.wiring.control.tell(Event::EntryDone { path: entry.path.clone(), action, bytes: done });
        }
        let ended = Box::new(Ended { entry, action, earlier });
        for chunks in listed.chunks(LISTED_CHUNKS_MAX) {
            self.items.push(Item::Listed(chunks.into()));
            self.listed += chunks.len();
            if self.listed >= LISTED_CHUNKS_MAX {
                self.ship()?;
            }
        }
        let ready = want == Want::Nothing && !is_listed;
        self.push_end(if ready { Item::Ready(ended) } else { Item::End(ended) })
    }

    fn looks_at(&mut self, what: &[u8]) {
        self.wiring.watched.looks_at(what);
    }

    fn retract(&mut self) -> Result<(), Stop> {
        let Some(current) = self.current.take() else {
            self.bug("an entry was retracted that was never begun");
            return Err(Stop);
        };
        match current.began_at {
            Some((items, filled)) => {
                self.items.truncate(items);
                self.filled = filled;
            }
            None => {
                self.items.push(Item::Retract);
                self.filled = self.chunk_start;
            }
        }
        self.chunk_start = self.filled;
        Ok(())
    }

    fn warn(&mut self, path: Option<&EntryPath>, message: String, partial: bool) {
        let warning = Warning { path: path.cloned(), message, partial };
        self.wiring.said.lock().unwrap_or_else(PoisonError::into_inner).add(warning.clone());
        self.wiring.control.tell(Event::Warning(warning));
    }

    fn total(&mut self, entries: u64, bytes: u64) {
        // A source tells only what it has come across, which is no measure of what is left.
        let Some(expected) = self.wiring.expected else { return };
        let counters = self.wiring.control.counters();
        counters.entries_total.store(entries.max(expected.entries), Ordering::Relaxed);
        counters.bytes_total.store(bytes.max(expected.bytes), Ordering::Relaxed);
    }

    fn skipped(&mut self, path: &EntryPath, reason: &str) {
        if self.wiring.control.is_watched() {
            self.wiring.control.tell(Event::Skipped { path: path.clone(), reason: reason.to_owned() });
        }
    }

    fn seal(&mut self, seal: Vec<u8>) {
        if seal.len() > SNAPSHOT_SEAL_BYTES_MAX {
            let error = Error::new(Kind::SourceFailed, "the source says too much about itself");
            self.wiring.halt.fail(error.because(format!(
                "its seal has {} bytes, and a snapshot has room for {SNAPSHOT_SEAL_BYTES_MAX}",
                seal.len()
            )));
            return;
        }
        self.wiring.said.lock().unwrap_or_else(PoisonError::into_inner).seal = Some(seal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;
    use crate::format::config::PrivateConfig;
    use crate::id::RepositoryId;
    use crate::time::Timestamp;

    /// A reader with this many credits that nobody gives back, and the other ends of its channels.
    fn reader(control: &Control, credits: usize) -> (Reader, Receiver<Batch>, Receiver<()>) {
        let keys = RootKey::from_bytes([1; 32]).derive(&RepositoryId::from_bytes([1; 16]));
        let (batch_sender, batches) = crossbeam_channel::unbounded();
        let (credit_sender, credits) = crossbeam_channel::bounded(credits);
        let wiring = Wiring {
            control: control.clone(),
            halt: Arc::default(),
            cutter: Cutter::new(&keys.chunker, PrivateConfig::standard(String::new()).chunker),
            sameness: Sameness { ignore_inode: false, ignore_ctime: false, parent_began: Timestamp::default() },
            parent: Cursor::empty(),
            expected: None,
            keep_earlier: false,
            journal: Remembered::nothing(),
            buffers: crossbeam_channel::never(),
            batches: batch_sender,
            credits: credit_sender,
            said: Arc::default(),
            watched: Watched::alone(),
        };
        (Reader::new(wiring), batches, credits)
    }

    fn folder(number: usize) -> (EntryPath, Metadata) {
        (EntryPath::parse(format!("{number:09}").as_bytes()).expect("a path"), Metadata::new(FileKind::Directory))
    }

    #[test]
    fn a_catalog_stage_that_falls_behind_stops_the_reader() {
        let control = Control::new();
        let (mut reader, batches, credits) = reader(&control, 2);
        let thread = std::thread::spawn(move || {
            for number in 0..4 * BATCH_ITEMS_MAX {
                let (path, metadata) = folder(number);
                reader.begin(&path, &metadata)?;
                reader.end(metadata, Vec::new())?;
            }
            reader.finish()
        });
        for sequence in 0..2 {
            assert_eq!(batches.recv().expect("a batch").sequence, sequence);
        }
        assert_eq!(credits.len(), 2, "a credit for each batch, before it was sent");
        credits.recv().expect("a credit");
        assert_eq!(batches.recv().expect("a batch for the credit given back").sequence, 2);
        control.canceller().cancel();
        assert_eq!(thread.join().expect("the reader ends"), Err(Stop), "it waits, but not for ever");
        assert!(batches.try_recv().is_err(), "no batch without a credit");
    }
}
