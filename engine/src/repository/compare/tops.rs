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
pub(super) struct Tops(Vec<Top>);

/// One path that was backed up.
#[derive(Debug)]
struct Top {
    /// `None`: the whole snapshot.
    path: Option<EntryPath>,
    /// The folder that stood for the snapshot's top.
    root: PathBuf,
}

/// Finds each source path in the snapshot: under its full name, or under the end of it that was given.
pub(super) async fn find(pages: &Arc<dyn PageSource>, snapshot: &Snapshot) -> Result<Tops> {
    let mut tops = Vec::new();
    if snapshot.source_kind != "folder" {
        // What never was on the disk has no place there.
        return Ok(Tops(tops));
    }
    'paths: for raw in &snapshot.paths {
        let parts: Vec<&[u8]> = raw.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        let mut above = 0;
        let found = loop {
            let rest = parts.get(above..).unwrap_or_default();
            // Nothing left: it was backed up as `.`, and its content stands at the top.
            let Ok(path) = EntryPath::parse(&rest.join(&b'/')) else { break None };
            match catalog::find(Arc::clone(pages), snapshot.root, &path).await {
                Ok(Some(_)) => break Some(path),
                Ok(None) => above += 1,
                // Whether it is there nobody knows: nothing is then called whole because of it.
                Err(error) if error.is_local() => continue 'paths,
                Err(error) => return Err(error),
            }
        };
        let mut root = PathBuf::from("/");
        root.extend(parts.iter().take(above).map(|part| OsStr::from_bytes(part)));
        tops.push(Top { path: found, root });
    }
    Ok(Tops(tops))
}

impl Tops {
    /// Where the top of the snapshot, or `path` in it, was; `None` when it was never on the disk, or in several folders.
    pub(super) fn root(&self, path: Option<&EntryPath>) -> Option<PathBuf> {
        let concerns = |top: &&Top| match (&top.path, path) {
            (Some(top), Some(path)) => path.is_within(top) || top.is_within(path),
            _ => true,
        };
        let mut roots = self.0.iter().filter(concerns).map(|top| &top.root);
        let mut root = roots.next()?.clone();
        if roots.any(|other| *other != root) {
            return None;
        }
        root.extend(path.iter().flat_map(|path| path.components()).map(OsStr::from_bytes));
        Some(root)
    }

    /// Whether everything that was in this folder was backed up; `None` is the snapshot's top.
    pub(super) fn is_whole(&self, folder: Option<&EntryPath>) -> bool {
        self.0.iter().any(|top| match (&top.path, folder) {
            (None, _) => true,
            (Some(top), Some(folder)) => folder.is_within(top),
            (Some(_), None) => false,
        })
    }
}
