//! A commit that came late: what is to be said when data of a snapshot that is visible has been deleted.

use crate::backend::Name;
use crate::catalog::ChunkWalk;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::class::Class;
use crate::entry::Content;
use crate::error::Error;
use crate::error::Kind;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::index::chunks::ChunkReader;
use crate::index::load;
use crate::index::load::Read;
use crate::store::Store;
use std::collections::HashSet;
use std::sync::Arc;

/// Paths that are named; all are counted.
const NAMED: usize = 20;

/// The error that names what of the snapshot was lost with these chunks and pages; or that says it is gone itself: then
/// nothing has kept its data, and nobody misses it.
pub(super) async fn loss(store: &Arc<Store>, snapshot: &Snapshot, lost: &HashSet<ChunkId>) -> Error {
    if matches!(store.backend().stat(&Name::Snapshot(snapshot.id)).await, Ok(None)) {
        return Error::new(Kind::NotFound, format!("snapshot {} is not there any more", snapshot.id))
            .because("it was stored, and somebody has forgotten it since; back up again");
    }
    let Affected { paths, count, rest } = affected(store, snapshot, lost).await;
    let names = if paths.is_empty() { String::new() } else { format!(": {}", paths.join(", ")) };
    let more = if count > paths.len() { format!(" and {} more", count - paths.len()) } else { String::new() };
    let rest = if rest { "; the rest of its catalog cannot be read" } else { "" };
    Error::new(Kind::Damaged, format!("snapshot {} was stored too late and lacks data", snapshot.id)).because(format!(
        "a prune removed data of {count} entries before the snapshot became visible{names}{more}{rest}; back up again"
    ))
}

#[derive(Default)]
struct Affected {
    paths: Vec<String>,
    count: usize,
    /// Entries behind these could not be looked at.
    rest: bool,
}

async fn affected(store: &Arc<Store>, snapshot: &Snapshot, lost: &HashSet<ChunkId>) -> Affected {
    let mut affected = Affected::default();
    let Ok((index, _)) = load::load_what_opens(store, Read::New).await else {
        return Affected { rest: true, ..affected };
    };
    let pages: Arc<dyn PageSource> = Arc::new(ChunkReader::new(store, &Arc::new(index), Class::Metadata));
    let mut walk = Walk::new(Arc::clone(&pages), snapshot.root);
    loop {
        match walk.next_page().await {
            Ok(Some(entries)) => {
                for entry in entries {
                    if is_hit(&pages, &entry.content, lost).await {
                        affected.count += 1;
                        if affected.paths.len() < NAMED {
                            affected.paths.push(entry.path.to_string());
                        }
                    }
                }
            }
            Ok(None) => return affected,
            Err(_) => return Affected { rest: true, ..affected },
        }
    }
}

/// Whether a content has lost a chunk, or a page of its list.
async fn is_hit(pages: &Arc<dyn PageSource>, content: &Content, lost: &HashSet<ChunkId>) -> bool {
    match content {
        Content::Empty => false,
        Content::Inline(chunks) => chunks.iter().any(|chunk| lost.contains(&chunk.id)),
        Content::Tree { .. } => {
            let mut walk = ChunkWalk::new(Arc::clone(pages), content);
            loop {
                match walk.next().await {
                    Ok(Some(placed)) if lost.contains(&placed.chunk.id) => return true,
                    Ok(Some(_)) => {}
                    Ok(None) => return false,
                    Err(_) => return true,
                }
            }
        }
    }
}
