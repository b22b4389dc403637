//! Where a repository's pages come from: metadata chunks, found through the index; those that were used last are at hand.

use crate::catalog::read::LeveledPage;
use crate::catalog::read::PageFuture;
use crate::catalog::read::PageSource;
use crate::error::Error;
use crate::format::page::PageRef;
use crate::format::wire;
use crate::id::ChunkId;
use crate::index::chunks::ChunkReader;
use crate::index::recent::Recent;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Bytes in memory for each byte of an encoded page, about.
const DECODED_BYTES: usize = 4;

/// Pages for readers of many snapshots, which share most of them: each is decoded once while it is at hand.
pub(crate) struct KeptPages {
    reader: ChunkReader,
    /// By id and the length that was stated for it.
    kept: Mutex<Recent<(ChunkId, u32), Arc<LeveledPage>>>,
}

impl KeptPages {
    /// With room for so many bytes of decoded pages.
    pub(crate) fn new(reader: ChunkReader, room: usize) -> Self {
        Self { reader, kept: Mutex::new(Recent::new(room)) }
    }
}

impl PageSource for KeptPages {
    fn page(&self, page: PageRef) -> PageFuture<'_> {
        Box::pin(async move {
            let key = (page.id, page.length);
            if let Some(decoded) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
                return Ok(decoded);
            }
            let decoded = self.reader.page(page).await?;
            let cost = wire::size(page.length).saturating_mul(DECODED_BYTES);
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(key, Arc::clone(&decoded), cost);
            Ok(decoded)
        })
    }

    fn prefetch(&self, pages: &[PageRef]) {
        let missing: Vec<PageRef> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            pages.iter().filter(|page| !kept.has(&(page.id, page.length))).copied().collect()
        };
        self.reader.prefetch(&missing);
    }
}

impl PageSource for ChunkReader {
    fn page(&self, page: PageRef) -> PageFuture<'_> {
        Box::pin(async move {
            let bytes = self.chunk(&page.id).await?;
            if bytes.len() != wire::size(page.length) {
                return Err(Error::damaged(format!("catalog page {}", page.id), "its length is not as stated"));
            }
            let decoded = LeveledPage::decode(&bytes)
                .map_err(|cause| cause.while_reading(format!("catalog page {}", page.id)))?;
            Ok(Arc::new(decoded))
        })
    }

    fn prefetch(&self, pages: &[PageRef]) {
        pages.iter().for_each(|page| self.ahead(&page.id));
    }
}
