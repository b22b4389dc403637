//! What cannot be read of a snapshot's catalog: warned of where it was met, while everything else goes on.

use crate::exit::Exit;
use crate::show::Failure;
use crate::show::Show;
use strongroom::Entries;
use strongroom::Entry;
use strongroom::EntryPath;
use strongroom::Error;
use strongroom::Found;
use strongroom::Gap;
use strongroom::Kind;
use strongroom::SnapshotView;

/// The gaps met so far.
pub struct Gaps<'a> {
    show: &'a Show,
    count: u64,
}

impl<'a> Gaps<'a> {
    pub fn new(show: &'a Show) -> Self {
        Self { show, count: 0 }
    }

    /// Whether everything could be read so far.
    pub fn is_none(&self) -> bool {
        self.count == 0
    }

    /// Where warnings go.
    pub fn show(&self) -> &'a Show {
        self.show
    }

    /// Warns of what was passed after an error; without a gap there is no going on.
    pub fn pass(&mut self, gap: Option<Gap>, error: Error) -> Result<(), Failure> {
        let Some(gap) = gap else { return Err(error.into()) };
        self.warn(&gap.to_string(), error.into());
        Ok(())
    }

    /// Warns of something damaged as a whole; any other failure comes back.
    pub fn pass_whole(&mut self, what: &str, failure: Failure) -> Result<(), Failure> {
        if failure.exit != Exit::Damaged {
            return Err(failure);
        }
        self.warn(what, failure);
        Ok(())
    }

    fn warn(&mut self, what: &str, failure: Failure) {
        self.count += 1;
        let why = [vec![failure.message], failure.because].concat().join(": ");
        self.show.warn(&format!("{what} cannot be read: {why}"));
    }

    /// The next entry that can be read; `None` at the end.
    pub async fn next(&mut self, entries: &mut Entries) -> Result<Option<Entry>, Failure> {
        loop {
            match entries.next().await {
                Ok(entry) => return Ok(entry),
                Err(error) => self.pass(entries.pass_gap(), error)?,
            }
        }
    }

    /// The same for what a search finds.
    pub async fn next_found(&mut self, found: &mut Found<'_>) -> Result<Option<Entry>, Failure> {
        loop {
            match found.next().await {
                Ok(entry) => return Ok(entry),
                Err(error) => self.pass(found.pass_gap(), error)?,
            }
        }
    }

    /// What a command ends with that did everything else.
    pub fn exit(&self) -> Exit {
        if self.count == 0 {
            return Exit::Done;
        }
        self.show.warn("this list is not complete: the repository is damaged; 'strongroom check' names the damage");
        Exit::Partial
    }
}

/// Whether a snapshot certainly has nothing at `path`. Where nobody knows, what is below it may still be readable.
pub async fn is_missing(view: &SnapshotView, path: &EntryPath) -> Result<bool, Failure> {
    match view.entry(path).await {
        Ok(entry) => Ok(entry.is_none()),
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotFound | Kind::Unsupported) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
