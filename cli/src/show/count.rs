//! How much there is to back up, counted beside a first backup: nothing else can tell.

use crate::show::bar::Expected;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use strongroom::EntryPath;
use strongroom::EntryStart;
use strongroom::Metadata;
use strongroom::OpenEntry;
use strongroom::Sink;
use strongroom::Source;
use strongroom::Statement;
use strongroom::Stop;
use strongroom::Want;

/// A count that is begun when it is needed, and ends with this.
pub struct Count {
    source: Option<Box<dyn Source>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    found: OnceLock<Expected>,
    is_over: AtomicBool,
}

impl Count {
    /// Of what this source would give.
    pub fn of(source: impl Source) -> Self {
        Self { source: Some(Box::new(source)), shared: Arc::default() }
    }

    /// What was counted, once all is; the first question begins it.
    pub fn ask(&mut self) -> Option<Expected> {
        if let Some(source) = self.source.take() {
            let shared = Arc::clone(&self.shared);
            // Without a thread there is no estimate, which is no failure.
            let _ = std::thread::Builder::new().name("count".into()).spawn(move || {
                let mut counter = Counter { shared, seen: Expected::default() };
                if source.run(&mut counter).is_ok() {
                    let _ = counter.shared.found.set(counter.seen);
                }
            });
        }
        self.shared.found.get().copied()
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

/// Takes everything for unchanged, so that nothing is opened.
struct Counter {
    shared: Arc<Shared>,
    seen: Expected,
}

impl Sink for Counter {
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop> {
        let metadata = start.metadata;
        if self.shared.is_over.load(Ordering::Relaxed) {
            return Err(Stop);
        }
        self.seen.entries += 1;
        if metadata.has_content() {
            self.seen.bytes = self.seen.bytes.saturating_add(metadata.size);
        }
        Ok(Want::Nothing)
    }

    fn open(&mut self, start: EntryStart<'_>) -> Result<Box<dyn OpenEntry>, Stop> {
        self.begin(start)?;
        // Folders give one entry after the other.
        Err(Stop)
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

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom::FolderSource;

    #[test]
    fn entries_and_bytes_are_counted_as_the_backup_would_take_them() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("in")).expect("made");
        for (name, size) in [("in/a", 1000), ("in/b", 24), ("in/left.out", 5000)] {
            std::fs::write(folder.path().join(name), vec![1; size]).expect("written");
        }
        let source = FolderSource::new(vec!["in".into()]).relative_to(folder.path().to_owned());
        let mut count = Count::of(source.exclude(vec!["*.out".into()]));
        // The thread holds its share until it is done.
        let found = loop {
            match count.ask() {
                Some(found) => break found,
                None if Arc::strong_count(&count.shared) == 1 && count.ask().is_none() => panic!("it was not counted"),
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(found, Expected { entries: 3, bytes: 1024 });
    }
}
