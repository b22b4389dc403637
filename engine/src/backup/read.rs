//! The sink a source pushes into: takes over what is unchanged, cuts the rest, ships batches in order.

use super::batch::BUFFER_BYTES;
use super::batch::Item;
use super::begun::AtEnd;
use super::begun::Before;
use super::begun::Begun;
use super::begun::Desk;
use super::contract::Contract;
use super::counting::Counting;
use super::cut::Cutter;
use super::cut::Cutters;
use super::filling::Filling;
use super::filling::Mark;
use super::stream::Stream;
use super::watch::Watched;
use super::wires::Wires;
use crate::entry::ChunkProfile;
use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::error::Error;
use crate::error::Kind;
use crate::event::Event;
use crate::format::statement;
use crate::limits::BATCH_BYTES;
use crate::limits::BATCH_ITEMS_MAX;
use crate::limits::CHANGE_TOKEN_BYTES_MAX;
use crate::limits::STREAMS_OPEN_MAX;
use crate::source::Amount;
use crate::source::EntryStart;
use crate::source::OpenEntry;
use crate::source::Sink;
use crate::source::Stop;
use crate::source::Want;
use crate::statement::Statement;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Chunks from a journal in one batch.
const LISTED_CHUNKS_MAX: usize = 32 * 1024;

/// The reading end of the pipeline, on the source's own thread.
pub(crate) struct Reader {
    wiring: Wiring,
    filling: Filling,
    /// Chunks in the batch that came from a journal.
    listed: usize,
    current: Option<Current>,
    contract: Contract,
    /// Entries that were opened beside others.
    streams: u64,
}

/// The entry begun last.
struct Current {
    begun: Begun,
    cutter: Cutter,
    /// Where the batch stood when it began; `None` once a batch was shipped since.
    began_at: Option<Mark>,
}

/// What the reader is wired to.
pub(crate) struct Wiring {
    pub(crate) wires: Arc<Wires>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) cutters: Cutters,
    pub(crate) before: Before,
    /// The size of the parent, where there is one: the best guess at this run's.
    pub(crate) expected: Option<Amount>,
    /// What counts how much there is, where there is no parent.
    pub(crate) counting: Option<Counting>,
    /// Buffers to fill, and where they go back to.
    pub(crate) buffers: (Receiver<Vec<u8>>, Sender<Vec<u8>>),
    /// Who looks after the source.
    pub(crate) watched: Watched,
}

impl Reader {
    pub(crate) fn new(wiring: Wiring) -> Self {
        Self {
            wiring,
            filling: Filling::default(),
            listed: 0,
            current: None,
            contract: Contract::default(),
            streams: 0,
        }
    }

    /// Ships what is left; the last call. Gives how many batches there were, so that none can get lost unseen.
    pub(crate) fn finish(mut self) -> Result<u64, Stop> {
        // All there is was given.
        drop(self.wiring.counting.take());
        // What a source left undone when it was told to stop is no fault of it.
        self.wiring.wires.check()?;
        if self.current.is_some() || self.wiring.wires.open.load(Ordering::Acquire) > 0 {
            return Err(self.bug("the source ended inside an entry"));
        }
        self.ship()?;
        Ok(self.wiring.wires.sequence.load(Ordering::Relaxed))
    }

    /// Ships what came before the source failed, so that the next run finds it.
    pub(crate) fn abandon(mut self) {
        // Where that fails another stage has failed, and says so.
        let _ = self.ship();
    }

    fn bug(&self, message: &str) -> Stop {
        self.wiring.desk.bug(message)
    }

    /// Sends the batch on its way; the unfinished chunk moves to the next buffer.
    fn ship(&mut self) -> Result<(), Stop> {
        self.wiring.wires.check()?;
        if self.filling.is_empty() {
            return Ok(());
        }
        let mut next = if self.filling.has_buffer() { self.fresh_buffer()? } else { Vec::new() };
        let rest = self.filling.rest();
        let carried = rest.len();
        if let Some(room) = next.get_mut(..carried) {
            room.copy_from_slice(rest);
        }
        let (buffer, items) = self.filling.take(next, carried);
        self.listed = 0;
        if let Some(current) = &mut self.current {
            current.began_at = None;
        }
        self.wiring.wires.ship(0, buffer, items, &self.wiring.buffers.1)
    }

    fn fresh_buffer(&self) -> Result<Vec<u8>, Stop> {
        let buffer = self.wiring.wires.fresh_buffer(&self.wiring.buffers.0)?;
        debug_assert_eq!(buffer.len(), BUFFER_BYTES);
        Ok(buffer)
    }

    fn push_end(&mut self, AtEnd { ended, listed, is_ready }: AtEnd) -> Result<(), Stop> {
        for chunks in listed.chunks(LISTED_CHUNKS_MAX) {
            self.filling.push(Item::Listed(chunks.into()));
            self.listed += chunks.len();
            if self.listed >= LISTED_CHUNKS_MAX {
                self.ship()?;
            }
        }
        self.filling.push(if is_ready { Item::Ready(ended) } else { Item::End(ended) });
        let is_due = self.filling.cut_bytes() >= BATCH_BYTES || self.filling.count() >= BATCH_ITEMS_MAX;
        if is_due { self.ship() } else { Ok(()) }
    }

    /// Refuses an entry that could not be stored or restored.
    fn check_start(&self, start: &EntryStart<'_>) -> Result<(), Stop> {
        self.wiring.wires.check()?;
        if self.current.is_some() {
            return Err(self.bug("an entry was begun inside another one"));
        }
        if let Some(why) = self.contract.refuses(start.path) {
            return Err(self.bug(&why));
        }
        if start.change_token.is_some_and(|token| !(1..=CHANGE_TOKEN_BYTES_MAX).contains(&token.len())) {
            return Err(self.bug(&format!("the change token of {} is empty or too long", start.path)));
        }
        match start.chunking {
            ChunkProfile::Pages(bytes) if !ChunkProfile::PAGE_BYTES.contains(&bytes) => {
                Err(self.bug(&format!("{} is to be cut by pages of {bytes} bytes", start.path)))
            }
            _ => Ok(()),
        }
    }

    fn begun(&mut self, start: &EntryStart<'_>) -> Result<Begun, Stop> {
        self.check_start(start)?;
        self.wiring.watched.begins(start.path.as_bytes());
        // What is known of it comes from the repository, which may take its time.
        self.wiring.wires.pulse.held_up(true);
        let begun = self.wiring.before.begin(start, &self.wiring.desk);
        self.wiring.wires.pulse.held_up(false);
        Ok(begun)
    }
}

impl Sink for Reader {
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop> {
        let begun = self.begun(&start)?;
        let want = begun.want;
        let cutter = self.wiring.cutters.of(start.chunking);
        self.current = Some(Current { begun, cutter, began_at: Some(self.filling.mark()) });
        Ok(want)
    }

    fn open(&mut self, start: EntryStart<'_>) -> Result<Box<dyn OpenEntry>, Stop> {
        if self.wiring.wires.open.load(Ordering::Acquire) >= STREAMS_OPEN_MAX {
            return Err(self.bug(&format!("more than {STREAMS_OPEN_MAX} entries were opened at once")));
        }
        let begun = self.begun(&start)?;
        self.contract.ended(start.path, &start.metadata.kind);
        self.streams += 1;
        self.filling.push(Item::Opened(self.streams));
        // Its turn is known before its first chunk comes.
        self.ship()?;
        let cutter = self.wiring.cutters.of(start.chunking);
        Ok(Box::new(Stream::new(self.streams, &self.wiring.wires, &self.wiring.desk, begun, cutter)))
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        // A source that waits for its bytes learns here that it need not wait any longer.
        self.wiring.wires.pulse.beat();
        self.wiring.wires.check()?;
        if !self.filling.has_buffer() {
            let buffer = self.fresh_buffer()?;
            self.filling.give_buffer(buffer);
        }
        if self.filling.is_full() {
            self.ship()?;
        }
        self.filling.room().ok_or(Stop)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        let is_taken = self.current.as_ref().is_some_and(|current| self.filling.fill(count, &current.cutter));
        if !is_taken {
            return Err(self.bug("more bytes were reported than were lent"));
        }
        if let Some(current) = &mut self.current {
            current.begun.filled(count, &self.wiring.desk)?;
        }
        if self.filling.is_full() { self.ship() } else { Ok(()) }
    }

    fn end(&mut self, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop> {
        let Some(Current { begun, cutter, .. }) = self.current.take() else {
            return Err(self.bug("an entry was ended that was never begun"));
        };
        self.contract.ended(begun.path(), &metadata.kind);
        self.filling.cut_rest(&cutter);
        let at_end = begun.end(metadata, warnings, &self.wiring.desk)?;
        self.push_end(at_end)
    }

    fn looks_at(&mut self, what: &[u8]) {
        self.wiring.watched.looks_at(what);
    }

    fn retract(&mut self) -> Result<(), Stop> {
        let Some(current) = self.current.take() else {
            return Err(self.bug("an entry was retracted that was never begun"));
        };
        match current.began_at {
            Some(mark) => self.filling.go_back(mark),
            None => {
                self.filling.push(Item::Retract);
                self.filling.forget_rest();
            }
        }
        Ok(())
    }

    fn warn(&mut self, path: Option<&EntryPath>, message: String, partial: bool) {
        self.wiring.desk.warn(path, message, partial);
    }

    fn total(&mut self, entries: u64, bytes: u64) {
        // A source tells only what it has come across, which is no measure of what is left.
        let Some(expected) = self.wiring.expected else { return };
        let counters = self.wiring.desk.control.counters();
        counters.entries_total.store(entries.max(expected.entries), Ordering::Relaxed);
        counters.bytes_total.store(bytes.max(expected.bytes), Ordering::Relaxed);
    }

    fn skipped(&mut self, path: &EntryPath, reason: &str) {
        let control = &self.wiring.desk.control;
        if control.is_watched() {
            control.tell(Event::Skipped { path: path.clone(), reason: reason.to_owned() });
        }
    }

    fn statement(&mut self, statement: Statement) {
        let desk = &self.wiring.desk;
        if let Err(why) = statement::check(&statement) {
            let error = Error::new(Kind::SourceFailed, "what the source says about itself cannot be stored");
            desk.halt.fail(error.because(why.to_string()));
            return;
        }
        desk.said.lock().unwrap_or_else(PoisonError::into_inner).statement = Some(statement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::batch::Batch;
    use crate::backup::journal::Remembered;
    use crate::backup::parent::Cursor;
    use crate::backup::parent::Sameness;
    use crate::crypto::keys::RootKey;
    use crate::entry::FileKind;
    use crate::format::config::PrivateConfig;
    use crate::id::RepositoryId;
    use crate::job::Control;
    use crate::time::Timestamp;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::AtomicUsize;

    /// A reader with this many credits that nobody gives back, and the other ends of its channels.
    fn reader(control: &Control, credits: usize) -> (Reader, Receiver<Batch>, Receiver<()>) {
        let keys = RootKey::from_bytes([1; 32]).derive(&RepositoryId::from_bytes([1; 16]));
        let (batch_sender, batches) = crossbeam_channel::unbounded();
        let (credit_sender, credits) = crossbeam_channel::bounded(credits);
        let desk = Desk {
            control: control.clone(),
            halt: Arc::default(),
            sameness: Sameness { ignore_inode: false, ignore_ctime: false, parent_began: Timestamp::default() },
            keep_earlier: false,
            said: Arc::default(),
        };
        let watched = Watched::alone();
        let wires = Wires {
            control: control.clone(),
            halt: Arc::clone(&desk.halt),
            pulse: watched.pulse(),
            batches: batch_sender,
            credits: credit_sender,
            sequence: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        };
        let wiring = Wiring {
            wires: Arc::new(wires),
            desk: Arc::new(desk),
            cutters: Cutters::new(&keys.chunker, PrivateConfig::standard(String::new()).chunker),
            before: Before { parent: Cursor::empty(), journal: Remembered::nothing() },
            expected: None,
            counting: None,
            buffers: (crossbeam_channel::never(), crossbeam_channel::unbounded().0),
            watched,
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
                reader.begin(EntryStart::new(&path, &metadata))?;
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
