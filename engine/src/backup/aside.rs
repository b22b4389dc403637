//! Entries that wait for their turn in the cache folder, because too many of them wait.

use crate::cache::Unfinished;
use crate::entry::Entry;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::Page;
use crate::format::page::PageWriter;
use crate::id::SnapshotId;
use crate::limits::PAGE_BYTES_HARD;
use crate::limits::PAGE_BYTES_MAX;

/// Pages of entries in the cache folder, for as long as a run goes on; without one it takes nothing.
pub(crate) struct Aside {
    /// Opens the cache when it is needed.
    open: Option<Opener>,
    cache: Option<Unfinished>,
    session: [u8; 16],
    pages: u64,
}

/// Gives the cache, if there is one.
pub(crate) type Opener = Box<dyn FnOnce() -> Option<Unfinished> + Send>;

impl Aside {
    /// In this cache, which belongs to entries that wait. What runs that were killed have left goes.
    pub(crate) fn new(open: Opener, session: SnapshotId) -> Self {
        Self { open: Some(open), cache: None, session: *session.as_bytes(), pages: 0 }
    }

    /// Puts as many of the first entries aside as one page takes: its number, and how many they are.
    pub(crate) fn put<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) -> Option<(u64, usize)> {
        if let Some(open) = self.open.take() {
            self.cache = open().filter(|cache| cache.trim().is_ok());
        }
        let cache = self.cache.as_ref()?;
        let mut page = PageWriter::entries();
        let mut count = 0;
        for entry in entries {
            let length = page.length_with_entry(entry);
            if length > PAGE_BYTES_MAX || (count > 0 && length > PAGE_BYTES_HARD) {
                break;
            }
            if page.push_entry(entry).is_err() {
                // The catalog will say what is wrong with it.
                return None;
            }
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let number = self.pages;
        let bytes = page.finish().ok()?;
        cache.add(&self.session, number, &bytes).ok()?;
        self.pages += 1;
        Some((number, count))
    }

    /// The entries of a page.
    pub(crate) fn take(&self, page: u64) -> Result<Vec<Entry>> {
        let bytes = self.cache.as_ref().and_then(|cache| cache.page(&self.session, page));
        match bytes.as_deref().map(Page::decode) {
            Some(Ok(Page::Entries(entries))) => Ok(entries),
            _ => Err(Error::new(Kind::CacheFailed, "cannot read back the entries that wait in the cache folder")),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(cache) = &self.cache {
            // What stays is trimmed by the next run.
            let _ = cache.forget(&self.session);
        }
    }
}
