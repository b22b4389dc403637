//! One entry from its announcement to its end: what is taken over of it, and what is recorded.

use super::batch::Ended;
use super::contract::Contract;
use super::halt::Halt;
use super::journal::Remembered;
use super::parent::Cursor;
use super::parent::Known;
use super::parent::Sameness;
use super::said::Said;
use crate::entry::ChunkRef;
use crate::entry::Chunking;
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
use crate::source::CHANGED;
use crate::source::EntryStart;
use crate::source::Stop;
use crate::source::Want;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// What entries are judged by and told to, shared by all that are open.
pub(crate) struct Desk {
    pub(crate) control: Control,
    pub(crate) halt: Arc<Halt>,
    pub(crate) sameness: Sameness,
    /// Passes on the parent's entries, to be compared with what becomes of them.
    pub(crate) keep_earlier: bool,
    pub(crate) said: Arc<Mutex<Said>>,
}

/// What was known of entries before, moved along with the source.
pub(crate) struct Before {
    pub(crate) parent: Cursor,
    pub(crate) journal: Remembered,
}

/// An entry that was begun.
pub(crate) struct Begun {
    path: EntryPath,
    /// The earlier entry its content is taken over from.
    taken_over: Option<Entry>,
    /// What it was begun as.
    kind: FileKind,
    /// Whether its bytes were asked for.
    pub(crate) want: Want,
    /// The chunks of its content where an unfinished run knew them and no tree of them is stored.
    listed: Vec<ChunkRef>,
    /// It is the parent's, not an unfinished run's.
    unchanged: bool,
    before: Option<Metadata>,
    /// The parent's has another change token.
    is_replaced: bool,
    /// The parent's entry, when it is to be compared at the end.
    earlier: Option<Box<Entry>>,
    chunking: Option<Chunking>,
    change_token: Option<Vec<u8>>,
    size_is_known: bool,
    /// Bytes given so far.
    bytes: u64,
}

/// What is left to do for an entry that was ended.
pub(crate) struct AtEnd {
    pub(crate) ended: Box<Ended>,
    /// Its chunks, where they are known and no tree of them is stored.
    pub(crate) listed: Vec<ChunkRef>,
    /// Its content is known already.
    pub(crate) is_ready: bool,
}

impl Desk {
    /// Ends the job: the source does what it must not.
    pub(crate) fn bug(&self, message: &str) -> Stop {
        self.halt.fail(Error::new(Kind::SourceFailed, "the source broke the order of calls").because(message));
        Stop
    }

    pub(crate) fn warn(&self, path: Option<&EntryPath>, message: String, partial: bool) {
        let warning = Warning { path: path.cloned(), message, partial };
        self.said.lock().unwrap_or_else(PoisonError::into_inner).add(warning.clone());
        self.control.tell(Event::Warning(warning));
    }

    /// What could not be kept of an entry is missing in its snapshot, and still is when the entry is taken over.
    fn misses(&self, path: &EntryPath, warnings: &[String]) {
        for warning in warnings.iter().filter(|warning| *warning != CHANGED) {
            let is_told = self.said.lock().unwrap_or_else(PoisonError::into_inner).has_told(path, warning);
            if !is_told {
                self.warn(Some(path), warning.clone(), true);
            }
        }
    }
}

impl Before {
    /// Begins an entry: decides what can be taken over. Blocks while what is known of it comes from the repository.
    pub(crate) fn begin(&mut self, start: &EntryStart<'_>, desk: &Desk) -> Begun {
        let EntryStart { path, metadata, chunking, change_token, size_is_known } = *start;
        let (parent, journal) = (self.parent.seek(path), self.journal.seek(path));
        let before = parent.as_ref().map(|known| known.entry.metadata.clone());
        let earlier = parent.as_ref().filter(|_| desk.keep_earlier).map(|known| Box::new(known.entry.clone()));
        let is_replaced = parent.as_ref().is_some_and(|known| known.entry.change_token.as_deref() != change_token);
        let usable = |known: &Known| known.present && desk.sameness.holds(&known.entry, start);
        let settled = |known: &Known| change_token.is_some() || desk.sameness.settled(&known.entry.metadata);
        let from_parent = parent.filter(usable).filter(settled).map(|known| (known.entry, Vec::new()));
        let unchanged = from_parent.is_some();
        let known = from_parent.or_else(|| self.journal.take_over(journal.filter(usable)?));
        let (taken_over, listed) = known.map_or_else(Default::default, |(entry, chunks)| (Some(entry), chunks));
        let has_content = metadata.has_content();
        let want = if has_content && taken_over.is_none() { Want::Bytes } else { Want::Nothing };
        desk.control.counters().at(path);
        Begun {
            path: path.clone(),
            taken_over,
            kind: metadata.kind.clone(),
            want,
            listed,
            unchanged,
            before,
            is_replaced,
            earlier,
            chunking: chunking.stored().filter(|_| has_content),
            change_token: change_token.filter(|_| has_content).map(<[u8]>::to_vec),
            size_is_known,
            bytes: 0,
        }
    }
}

impl Begun {
    pub(crate) fn path(&self) -> &EntryPath {
        &self.path
    }

    /// Counts bytes that were given; they must have been asked for.
    pub(crate) fn filled(&mut self, count: usize, desk: &Desk) -> Result<(), Stop> {
        if count > 0 && self.want == Want::Nothing {
            return Err(desk.bug("bytes were given that nobody asked for"));
        }
        let length = u64::try_from(count).unwrap_or(u64::MAX);
        self.bytes += length;
        desk.control.count(|counters| &counters.bytes_done, length);
        Ok(())
    }

    /// The entry as it is recorded; who watches is told.
    pub(crate) fn end(self, mut metadata: Metadata, mut warnings: Vec<String>, desk: &Desk) -> Result<AtEnd, Stop> {
        if let Some(why) = Contract::refuses_end(&self.path, &self.kind, &metadata) {
            return Err(desk.bug(&why));
        }
        let Self { path, taken_over, want, listed, unchanged, before, is_replaced, .. } = self;
        let Self { earlier, chunking, change_token, bytes, size_is_known, .. } = self;
        if let Some(known) = &taken_over {
            complete(&mut metadata, &known.metadata, size_is_known);
            let earlier = known.warnings.iter().filter(|warning| !warnings.contains(warning));
            warnings = earlier.cloned().chain(warnings.iter().cloned()).collect();
        }
        desk.misses(&path, &warnings);
        let done = if taken_over.is_some() { metadata.size } else { bytes };
        let (entry, action) = match taken_over {
            Some(known) => {
                desk.control.count(|counters| &counters.bytes_done, metadata.size);
                let attributes = (&metadata.xattrs, metadata.flags);
                let action = match before {
                    Some(before) if unchanged && (&before.xattrs, before.flags) == attributes => Action::Unchanged,
                    Some(_) => Action::Changed,
                    None => Action::New,
                };
                (Entry { path, metadata, warnings, ..known }, action)
            }
            None => {
                let action = match &before {
                    None => Action::New,
                    Some(_) if is_replaced => Action::Changed,
                    Some(before) if *before == metadata || desk.sameness.is_unmodified(before, &metadata) => {
                        Action::Unchanged
                    }
                    Some(_) => Action::Changed,
                };
                let entry = Entry::new(path, metadata, Content::Empty);
                (Entry { warnings, chunking, change_token, ..entry }, action)
            }
        };
        desk.control.count(|counters| &counters.entries_done, 1);
        if desk.control.is_watched() {
            desk.control.tell(Event::EntryDone { path: entry.path.clone(), action, bytes: done });
        }
        let is_ready = want == Want::Nothing && listed.is_empty();
        Ok(AtEnd { ended: Box::new(Ended { entry, action, earlier }), listed, is_ready })
    }
}

/// Fills in what a source does not say of an entry whose content is taken over: that is as it was. Holes belong to the
/// content.
fn complete(now: &mut Metadata, known: &Metadata, size_is_known: bool) {
    if now.xattrs.is_empty() {
        now.xattrs.clone_from(&known.xattrs);
    }
    if now.flags == 0 {
        now.flags = known.flags;
    }
    now.extents.clone_from(&known.extents);
    if !size_is_known {
        now.size = known.size;
    }
}
