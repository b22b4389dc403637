//! How much a source has to give, for whoever watches a first backup: no parent snapshot tells.

use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::source::EntryStart;
use crate::source::OpenEntry;
use crate::source::Sink;
use crate::source::Source;
use crate::source::Stop;
use crate::source::Want;
use crate::statement::Statement;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// How much a source will give, about.
#[non_exhaustive]
pub enum Estimate {
    /// So much.
    Of(Amount),
    /// What this source announces when it is told that nothing is wanted. It is asked on a thread of its own, while the
    /// backup runs, and only if somebody watches the progress.
    Counted(Box<dyn Source>),
}

/// Entries, and bytes of their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Entries of all kinds.
    pub entries: u64,
    /// Plaintext bytes.
    pub bytes: u64,
}

/// Counts what a source announces; `None` when it fails, or when `is_over` says that nobody needs it any more.
pub(crate) fn count(source: Box<dyn Source>, is_over: &AtomicBool) -> Option<Amount> {
    let mut counter = Counter { is_over, seen: Amount::default() };
    source.run(&mut counter).is_ok().then_some(counter.seen)
}

/// Takes everything for unchanged, so that nothing is opened.
struct Counter<'a> {
    is_over: &'a AtomicBool,
    seen: Amount,
}

/// An entry that was counted when it was opened.
struct Counted;

impl Sink for Counter<'_> {
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Stop);
        }
        self.seen.entries += 1;
        if start.metadata.has_content() {
            self.seen.bytes = self.seen.bytes.saturating_add(start.metadata.size);
        }
        Ok(Want::Nothing)
    }

    fn open(&mut self, start: EntryStart<'_>) -> Result<Box<dyn OpenEntry>, Stop> {
        self.begin(start)?;
        Ok(Box::new(Counted))
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        Err(Stop)
    }

    fn filled(&mut self, _: usize) -> Result<(), Stop> {
        Err(Stop)
    }

    fn end(&mut self, _: Metadata, _: Vec<String>) -> Result<(), Stop> {
        Ok(())
    }

    fn retract(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    // The backup itself tells of all this.
    fn warn(&mut self, _: Option<&EntryPath>, _: String, _: bool) {}
    fn total(&mut self, _: u64, _: u64) {}
    fn skipped(&mut self, _: &EntryPath, _: &str) {}
    fn statement(&mut self, _: Statement) {}
}

impl OpenEntry for Counted {
    fn want(&self) -> Want {
        Want::Nothing
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        Err(Stop)
    }

    fn filled(&mut self, _: usize) -> Result<(), Stop> {
        Err(Stop)
    }

    fn end(self: Box<Self>, _: Metadata, _: Vec<String>) -> Result<(), Stop> {
        Ok(())
    }

    fn retract(self: Box<Self>) -> Result<(), Stop> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FolderSource;

    #[test]
    fn entries_and_bytes_are_counted_as_the_backup_would_take_them() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("in")).expect("made");
        for (name, size) in [("in/a", 1000), ("in/b", 24), ("in/left.out", 5000)] {
            std::fs::write(folder.path().join(name), vec![1; size]).expect("written");
        }
        let source = FolderSource::new(vec!["in".into()]).relative_to(folder.path().to_owned());
        let source = source.exclude(vec!["*.out".into()]);
        let Some(Estimate::Counted(same)) = source.estimate() else { panic!("a folder can be counted") };
        assert_eq!(count(same, &AtomicBool::new(false)), Some(Amount { entries: 3, bytes: 1024 }));
        assert_eq!(count(Box::new(source), &AtomicBool::new(true)), None, "nobody needs it any more");
    }
}
