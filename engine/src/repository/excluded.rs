//! What patterns leave out of a snapshot that is there: what a backup of the same files would have left out.

use super::sources::Sources;
use super::sources::ends;
use super::sources::name;
use crate::catalog::PageSource;
use crate::entry::Entry;
use crate::entry::FileKind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::pattern::Pattern;
use crate::pattern::Patterns;
use std::ffi::OsString;
use std::sync::Arc;

/// Patterns, and where the files of one snapshot were: patterns mean absolute paths.
pub(super) struct Excluded {
    texts: Vec<String>,
    patterns: Arc<Patterns>,
    sources: Sources,
}

/// Understands the patterns; one that makes no sense is `Invalid`.
pub(super) fn understood(patterns: &[OsString]) -> Result<Arc<Patterns>> {
    Ok(Arc::new(Patterns::parse(patterns, false)?))
}

impl Excluded {
    /// Finds out where the entries of `snapshot` were.
    pub(super) async fn of(
        pages: &Arc<dyn PageSource>,
        snapshot: &Snapshot,
        texts: &[OsString],
        patterns: Arc<Patterns>,
    ) -> Result<Self> {
        let texts = texts.iter().cloned().map(|text| Pattern::from(text).shown()).collect();
        Ok(Self { texts, patterns, sources: Sources::of(pages, snapshot).await? })
    }

    /// The patterns that the record of the snapshot without these entries names.
    pub(super) fn recorded(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut all = snapshot.excludes.clone();
        all.extend(self.texts.iter().filter(|new| !snapshot.excludes.contains(new)).cloned());
        all
    }

    /// Why the entry is left out, if it is, and whether for its own sake and not with a folder above it.
    pub(super) fn why(&self, entry: &Entry) -> Option<(&str, bool)> {
        let bytes = entry.path.as_bytes();
        let mut real = self.sources.real(b"").cloned();
        // Why the folder above is left out, where it stays only to lead to what was asked for by name.
        let mut above = None;
        for end in ends(bytes) {
            let path = bytes.get(..end).unwrap_or(bytes);
            let is_directory = end < bytes.len() || entry.metadata.kind == FileKind::Directory;
            let why = match (self.sources.real(path), &mut real) {
                // What leaves out the folders above says nothing of what was asked for by name.
                (Some(asked), _) => {
                    real = Some(asked.clone());
                    self.patterns.why(asked, is_directory)
                }
                _ if above.is_some() => above,
                (None, Some(real)) => {
                    real.push(b'/');
                    real.extend_from_slice(name(path));
                    self.patterns.why(real, is_directory)
                }
                (None, None) if self.sources.leads(path) => None,
                // No path tells where it was: then it is taken for where it stands.
                (None, None) => {
                    let taken = [b"/", path].concat();
                    let why = self.patterns.why(&taken, is_directory);
                    real = Some(taken);
                    why
                }
            };
            match why {
                Some(why) if !self.sources.leads(path) => return Some((why, end == bytes.len())),
                why => above = why,
            }
        }
        None
    }

    /// Whether the entry says nothing but where something was asked for: a folder that leads there, or is it.
    pub(super) fn is_frame(&self, entry: &Entry) -> bool {
        let path = entry.path.as_bytes();
        entry.metadata.kind == FileKind::Directory && (self.sources.real(path).is_some() || self.sources.leads(path))
    }
}
