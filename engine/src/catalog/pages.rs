//! Where a repository's pages come from: metadata chunks, found through the index.

use crate::catalog::read::LeveledPage;
use crate::catalog::read::PageFuture;
use crate::catalog::read::PageSource;
use crate::error::Error;
use crate::format::page::PageRef;
use crate::format::wire;
use crate::index::chunks::ChunkReader;
use std::sync::Arc;

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
}
