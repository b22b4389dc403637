//! What a snapshot has as a whole, and where that was.

use crate::catalog;
use crate::catalog::PageSource;
use crate::entry::EntryPath;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The paths that were backed up, as entries.
#[derive(Debug)]
pub(super) struct Tops {
    /// `None` in the list: the whole snapshot.
    tops: Vec<Option<EntryPath>>,
    /// The folder its paths are relative to; `None` when they do not agree.
    root: Option<PathBuf>,
}

/// Finds each source path in the snapshot: under its full name, or under the end of it that was given.
pub(super) async fn find(pages: &Arc<dyn PageSource>, snapshot: &Snapshot) -> Result<Tops> {
    let mut tops = Vec::new();
    let mut roots: Vec<PathBuf> = Vec::new();
    if snapshot.source_kind != "folder" {
        // What never was on the disk has no place there.
        return Ok(Tops { tops, root: None });
    }
    for raw in &snapshot.paths {
        let parts: Vec<&[u8]> = raw.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        let mut above = 0;
        let found = loop {
            let rest = parts.get(above..).unwrap_or_default();
            // Nothing left: it was backed up as `.`, and its content stands at the top.
            let Ok(path) = EntryPath::parse(&rest.join(&b'/')) else { break None };
            if catalog::find(Arc::clone(pages), snapshot.root, &path).await?.is_some() {
                break Some(path);
            }
            above += 1;
        };
        let mut root = PathBuf::from("/");
        root.extend(parts.iter().take(above).map(|part| OsStr::from_bytes(part)));
        tops.push(found);
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    let root = if roots.len() == 1 { roots.pop() } else { None };
    Ok(Tops { tops, root })
}

impl Tops {
    /// Where the top of the snapshot, or `path` in it, was.
    pub(super) fn root(&self, path: Option<&EntryPath>) -> PathBuf {
        let mut root = self.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        root.extend(path.iter().flat_map(|path| path.components()).map(OsStr::from_bytes));
        root
    }

    /// Whether everything that was in this folder was backed up; `None` is the snapshot's top.
    pub(super) fn is_whole(&self, folder: Option<&EntryPath>) -> bool {
        self.tops.iter().any(|top| match (top, folder) {
            (None, _) => true,
            (Some(top), Some(folder)) => folder.is_within(top),
            (Some(_), None) => false,
        })
    }
}
